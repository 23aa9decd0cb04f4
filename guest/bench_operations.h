/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations that the payload `bench` measures. This list is all that it and the command `exeunt bench` share beside the
 * calls of monitor.h; the payload is given an operation's name and -n SAMPLES.
 */
#ifndef GUEST_BENCH_OPERATIONS_H
#define GUEST_BENCH_OPERATIONS_H

/* How many vCPUs an operation takes: as many as the user says, or a number. */
#define BENCH_VCPUS	0

enum bench_group { INSTRUCTIONS, MSRS, PORTS, INTERRUPTS, IPI, MULTICAST, NPF };
#define BENCH_HEADINGS { "Instructions", "MSRs", "Ports and MMIO", "Interrupts, timer, HLT", "IPIs to another vCPU", \
			 "IPIs to all other vCPUs (-c)", "Nested page faults" }

/* OP(group, name, vCPUs, whether these must run at the same time, what is measured) */
#define BENCH_OPERATIONS(OP)											\
	OP(INSTRUCTIONS, cpuid, 1, 0, "CPUID")									\
	OP(INSTRUCTIONS, vmmcall, 1, 0, "VMMCALL, unknown number")						\
	OP(INSTRUCTIONS, rdpmc, 1, 0, "RDPMC of counter 0")							\
	OP(INSTRUCTIONS, mov_cr8, 1, 0, "MOV to CR8, which is the TPR")						\
	OP(MSRS, rdmsr_tpr, 1, 0, "RDMSR of the x2APIC TPR")							\
	OP(MSRS, rdmsr_misc_enable, 1, 0, "RDMSR of MISC_ENABLE, which is not often asked for")			\
	OP(MSRS, wrmsr_tpr, 1, 0, "WRMSR of the x2APIC TPR")							\
	OP(MSRS, wrmsr_eoi, 1, 0, "WRMSR of the x2APIC EOI, an interrupt in service")				\
	OP(MSRS, wrmsr_icr_self, 1, 0, "WRMSR of the x2APIC ICR: self-IPI, interrupts off")			\
	OP(MSRS, wrmsr_deadline, 1, 0, "WRMSR of the TSC deadline: later")					\
	OP(MSRS, wrmsr_pat, 1, 0, "WRMSR of the PAT, with the value it has")					\
	OP(PORTS, out_user, 1, 0, "OUT to user space and back")							\
	OP(PORTS, in_user, 1, 0, "IN from user space")								\
	OP(PORTS, out_eventfd, 1, 0, "OUT to an ioeventfd")							\
	OP(PORTS, mmio_write_user, 1, 0, "MMIO write to user space and back")					\
	OP(PORTS, mmio_read_user, 1, 0, "MMIO read from user space")						\
	OP(PORTS, mmio_write_eventfd, 1, 0, "MMIO write to an ioeventfd")					\
	OP(PORTS, mmio_read_apic, 1, 0, "MMIO read of the xAPIC's TPR, in the kernel")				\
	OP(INTERRUPTS, self_ipi, 1, 0, "self-IPI to its handler, EOI and back")					\
	OP(INTERRUPTS, pv_ipi_self, 1, 0, "PV IPI to itself, interrupts off")					\
	OP(INTERRUPTS, deadline_past, 1, 0, "WRMSR of a TSC deadline in the past, to its handler")		\
	OP(INTERRUPTS, deadline_expiry, 1, 0, "TSC deadline to its handler: how late, the guest running")	\
	OP(INTERRUPTS, hlt_timer, 1, 0, "TSC deadline to its handler: how late, the guest halted")		\
	OP(INTERRUPTS, hlt_pending, 1, 0, "HLT with an interrupt waiting, until after its handler")		\
	OP(IPI, ipi_away, 2, 0, "ICR, the target in user space: sender's side")					\
	OP(IPI, ipi_halted, 2, 0, "ICR, the target halted: sender's side")					\
	OP(IPI, ipi_halted_handler, 2, 0, "ICR, the target halted: until its handler")				\
	OP(IPI, hlt_wake, 2, 0, "ICR, the target halted: until it goes on after its HLT")			\
	OP(IPI, ipi_running, 2, 1, "ICR, the target running: sender's side")					\
	OP(IPI, ipi_running_handler, 2, 1, "ICR, the target running: until its handler")			\
	OP(MULTICAST, multicast_away, BENCH_VCPUS, 0, "ICR, targets in user space: sender's side")		\
	OP(MULTICAST, multicast_halted, BENCH_VCPUS, 0, "ICR, targets halted: sender's side")			\
	OP(MULTICAST, multicast_running, BENCH_VCPUS, 1, "ICR, targets running: sender's side")			\
	OP(MULTICAST, multicast_running_handler, BENCH_VCPUS, 1, "ICR, targets running: until the last one's handler")\
	OP(MULTICAST, pv_ipi_away, BENCH_VCPUS, 0, "PV IPI, targets in user space: sender's side")		\
	OP(MULTICAST, pv_ipi_halted, BENCH_VCPUS, 0, "PV IPI, targets halted: sender's side")			\
	OP(MULTICAST, pv_ipi_running, BENCH_VCPUS, 1, "PV IPI, targets running: sender's side")			\
	OP(NPF, npf_4k_first, 1, 0, "4 KiB, first touch: the host has no page yet")				\
	OP(NPF, npf_4k_discarded, 1, 0, "4 KiB, after MADV_DONTNEED: the host has the page still")		\
	OP(NPF, npf_2m_first, 1, 0, "2 MiB, first touch: the host has no huge page yet")			\
	OP(NPF, npf_2m_discarded, 1, 0, "2 MiB, after MADV_DONTNEED: the host has the huge page still")

#endif
