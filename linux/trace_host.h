/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine's trace hooks, as the kernel's trace points. A disabled one costs one no-op in its caller: its arguments are not computed.
 */
#ifndef EXEUNT_TRACE_HOST_H
#define EXEUNT_TRACE_HOST_H

#include "trace.h"

#define WHEN_ON(event, ...) \
	do { \
		if (trace_##event##_enabled()) \
			trace_##event(__VA_ARGS__); \
	} while (0)

/* Somebody wants to see exits that the fast path deals with. */
static __always_inline bool host_traces_exits(void)
{
	return static_branch_unlikely(&trace_fast);
}

static __always_inline bool host_traces_pio(void)
{
	return trace_kvm_pio_enabled();
}

#define host_trace_entry(v) \
	WHEN_ON(kvm_entry, (v)->id, vcpu_rip(v), false)
#define host_trace_exit(v) \
	WHEN_ON(kvm_exit, (v)->id, VMCB(v)->c.exit_code, vcpu_rip(v), VMCB(v)->c.exit_info_1, VMCB(v)->c.exit_info_2, \
		       VMCB(v)->c.exit_int_info, VMCB(v)->c.exit_int_info_err)
#define host_trace_page_fault(v, gpa, error) \
	WHEN_ON(kvm_page_fault, (v)->id, vcpu_rip(v), gpa, error)
#define host_trace_msr(write, index, value, fault) \
	WHEN_ON(kvm_msr, write, index, value, fault)
#define host_trace_pio(v, write, port, size, count, value) \
	WHEN_ON(kvm_pio, write, port, size, count, value)
#define host_trace_mmio(v, type, len, gpa, value) \
	WHEN_ON(kvm_mmio, type, len, gpa, value)
#define host_trace_inj_virq(vector) \
	WHEN_ON(kvm_inj_virq, vector, false, false)
#define host_trace_inj_exception(vector, has_error, error, again) \
	WHEN_ON(kvm_inj_exception, vector, has_error, error, again)
#define host_trace_apic(v, write, reg, value) \
	WHEN_ON(kvm_apic, write, reg, value)
#define host_trace_apic_ipi(icr_lo, dest) \
	WHEN_ON(kvm_apic_ipi, icr_lo, dest)
#define host_trace_apic_accept(v, mode, level, vector) \
	WHEN_ON(kvm_apic_accept_irq, (v)->id, (mode) << 8, level, vector)
#define host_trace_eoi(v, vector) \
	WHEN_ON(kvm_eoi, (v)->id, vector)
#define host_trace_cpuid(leaf, sub, a, b, c, d, found) \
	WHEN_ON(kvm_cpuid, leaf, sub, a, b, c, d, found)
#define host_trace_cr(cr, value) \
	WHEN_ON(kvm_cr, 1, cr, value)
#define host_trace_hypercall(nr, a0, a1, a2, a3) \
	WHEN_ON(kvm_hypercall, nr, a0, a1, a2, a3)
#define host_trace_avic_incomplete_ipi(v, icr_high, icr_low, reason, index) \
	WHEN_ON(kvm_avic_incomplete_ipi, (v)->id, icr_high, icr_low, reason, index)
#define host_trace_avic_unaccelerated(v, reg, write, vector) \
	WHEN_ON(kvm_avic_unaccelerated_access, (v)->id, reg, true, write, vector)
#define host_trace_emulate(v, failed) \
	WHEN_ON(kvm_emulate_insn, vcpu_rip(v), (u32)VMCB(v)->s.cs.base, (v)->emul.code.nr, (v)->emul.code.bytes, \
			       vcpu_is_64bit(v) ? 9 : vcpu_cs_is_32bit(v) ? 5 : vcpu_cr0(v) & 1, failed)

#endif
