/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations that the payload `bench` measures. This list is all that it and the command `exeunt bench` share beside the
 * calls of monitor.h; the payload is given an operation's name and -n SAMPLES.
 */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

/* How many vCPUs an operation takes: as many as the user says, or a number. */
#define BENCH_VCPUS	0

/*
 * OP(name, vCPUs, whether these must run at the same time, what is measured). GROUP(heading) stands before the operations of
 * a group.
 */
#define BENCH_OPERATIONS(GROUP, OP)									\
	GROUP("Instructions")										\
	OP(cpuid, 1, 0, "CPUID")									\
	OP(vmmcall, 1, 0, "VMMCALL, unknown number")							\
	OP(rdpmc, 1, 0, "RDPMC of counter 0")								\
	OP(mov_cr8, 1, 0, "MOV to CR8, which is the TPR")						\
	GROUP("MSRs")											\
	OP(rdmsr_tpr, 1, 0, "RDMSR of the x2APIC TPR")							\
	OP(rdmsr_misc_enable, 1, 0, "RDMSR of MISC_ENABLE, which is not often asked for")		\
	OP(wrmsr_tpr, 1, 0, "WRMSR of the x2APIC TPR")							\
	OP(wrmsr_eoi, 1, 0, "WRMSR of the x2APIC EOI, an interrupt in service")				\
	OP(wrmsr_icr_self, 1, 0, "WRMSR of the x2APIC ICR: self-IPI, interrupts off")			\
	OP(wrmsr_deadline, 1, 0, "WRMSR of the TSC deadline: later")					\
	OP(wrmsr_pat, 1, 0, "WRMSR of the PAT, with the value it has")					\
	GROUP("Ports and MMIO")										\
	OP(out_user, 1, 0, "OUT to user space and back")						\
	OP(in_user, 1, 0, "IN from user space")								\
	OP(out_eventfd, 1, 0, "OUT to an ioeventfd")							\
	OP(mmio_write_user, 1, 0, "MMIO write to user space and back")					\
	OP(mmio_read_user, 1, 0, "MMIO read from user space")						\
	OP(mmio_write_eventfd, 1, 0, "MMIO write to an ioeventfd")					\
	OP(mmio_read_apic, 1, 0, "MMIO read of the xAPIC's TPR, in the kernel")				\
	GROUP("Interrupts, timer, HLT")									\
	OP(self_ipi, 1, 0, "self-IPI to its handler, EOI and back")					\
	OP(pv_ipi_self, 1, 0, "PV IPI to itself, interrupts off")					\
	OP(deadline_past, 1, 0, "WRMSR of a TSC deadline in the past, to its handler")			\
	OP(deadline_expiry, 1, 0, "TSC deadline to its handler: how late, the guest running")		\
	OP(hlt_timer, 1, 0, "TSC deadline to its handler: how late, the guest halted")			\
	OP(hlt_pending, 1, 0, "HLT with an interrupt waiting, until after its handler")			\
	GROUP("IPIs to another vCPU")									\
	OP(ipi_away, 2, 0, "ICR, the target in user space: sender's side")				\
	OP(ipi_halted, 2, 0, "ICR, the target halted: sender's side")					\
	OP(ipi_halted_handler, 2, 0, "ICR, the target halted: until its handler")			\
	OP(hlt_wake, 2, 0, "ICR, the target halted: until it goes on after its HLT")			\
	OP(ipi_running, 2, 1, "ICR, the target running: sender's side")					\
	OP(ipi_running_handler, 2, 1, "ICR, the target running: until its handler")			\
	GROUP("IPIs to all other vCPUs (-c)")								\
	OP(multicast_away, BENCH_VCPUS, 0, "ICR, targets in user space: sender's side")			\
	OP(multicast_halted, BENCH_VCPUS, 0, "ICR, targets halted: sender's side")			\
	OP(multicast_running, BENCH_VCPUS, 1, "ICR, targets running: sender's side")			\
	OP(multicast_running_handler, BENCH_VCPUS, 1, "ICR, targets running: until the last one's handler")	\
	OP(pv_ipi_away, BENCH_VCPUS, 0, "PV IPI, targets in user space: sender's side")			\
	OP(pv_ipi_halted, BENCH_VCPUS, 0, "PV IPI, targets halted: sender's side")			\
	OP(pv_ipi_running, BENCH_VCPUS, 1, "PV IPI, targets running: sender's side")			\
	GROUP("Nested page faults")									\
	OP(npf_4k_first, 1, 0, "4 KiB, first touch: the host has no page yet")				\
	OP(npf_4k_discarded, 1, 0, "4 KiB, after MADV_DONTNEED: the host has the page still")		\
	OP(npf_2m_first, 1, 0, "2 MiB, first touch: the host has no huge page yet")			\
	OP(npf_2m_discarded, 1, 0, "2 MiB, after MADV_DONTNEED: the host has the huge page still")

#endif
