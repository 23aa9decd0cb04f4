/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fast path does about MSRs, IPIs, CPUID, hypercalls and HLT: the frequent ones, in their simple case. Whatever is not simple, #GP too, is
 * refused before anything has changed, and the ordinary handlers do it, which are right for all. Each function answers whether the
 * instruction is done. vCPU thread, interrupts off.
 *
 * @inner: called from the inner loop (svm/inner.c), with the guest's segment bases in the CPU: no per-CPU data, so no trace points, no
 * calls, no static keys. It is a constant where these are inlined.
 */
#ifndef EXEUNT_X86_FAST_H
#define EXEUNT_X86_FAST_H

#include "x86/event_inline.h"

/* An MSR whose accesses the inner loop knows. */
static __always_inline bool fast_is_inner_msr(u32 index)
{
	return (index >= M_X2APIC && index <= M_X2APIC_END) || index == M_TSCDEADLINE;
}

/* A write that may sleep (PV), or that changes what was looked at before the entry. */
static __always_inline bool fast_write_is_slow(u32 index)
{
	return (index >= M_PV_FIRST && index <= M_PV_RANGE_END) || index == M_SPEC_CTRL || index == M_PRED_CMD || index == M_XSS ||
	       index == M_PV_OLD_WALL || index == M_PV_OLD_TIME;
}

/* Bits of the ICR: delivery mode, assert, shorthand; and what may be set in an IPI to the sender. */
#define FAST_ICR_MODE		(7u << 8)
#define FAST_ICR_ASSERT		(1u << 14)
#define FAST_ICR_SHORTHAND	(3u << 18)
#define FAST_ICR_SELF		(1u << 18)
#define FAST_ICR_SELF_BITS	(0xffu | FAST_ICR_ASSERT | FAST_ICR_SHORTHAND)

static __always_inline bool fast_counting(const struct vcpu *v, const bool inner)
{
	return inner ? v->stats->inner_counts : host_accounting();
}

/* An edge-triggered interrupt of the vCPU's own arrives. */
static __always_inline bool fast_self_ipi(struct vcpu *v, u8 vector, const bool inner)
{
	struct lapic *a = &v->apic;

	if (!(v->mechanisms & EXEUNT_FAST_IPI) || vector < LAPIC_FIRST_VECTOR || !lapic_sw_enabled(a) ||
	    __atomic_load_n(&v->requests, __ATOMIC_RELAXED) || (lapic_reg(a, LAPIC_TMR + (vector >> 5) * 16) & lapic_vector_bit(vector)))
		return false;
	if (unlikely(a->apicv))
		lapic_irr_set(a, vector);
	else if (!event_offer_arriving(v, vector))
		return false;
	if (fast_counting(v, inner))
		v->stats->ipi_one[APIC_FIXED][true][EXEUNT_TARGET_SELF]++;	/* by shorthand */
	if (!inner) {
		host_trace_apic_ipi(FAST_ICR_SELF | vector, 0);
		host_trace_apic_accept(v, APIC_FIXED, false, vector);
		if (!a->apicv)
			host_trace_inj_virq(vector);
	}
	return true;
}

/* An IPI of fixed delivery, to one vCPU, or to several where there are but a few: host interrupts may stay off for that. */
static __always_inline bool fast_ipi(struct vcpu *v, u64 icr)
{
	if (!(v->mechanisms & EXEUNT_FAST_IPI))
		return false;
	if (lapic_icr_write_one(v, icr))
		return true;
	return !((u32)icr & FAST_ICR_MODE) && v->vm->max_id < EXEUNT_FAST_IPI_TARGETS && !lapic_icr_write(v, icr);
}

static __always_inline bool fast_icr(struct vcpu *v, u64 icr, const bool inner)
{
	u32 low = (u32)icr;

	if ((low & ~FAST_ICR_SELF_BITS) || (low & FAST_ICR_SHORTHAND) != FAST_ICR_SELF || !fast_self_ipi(v, low, inner))
		return !inner && fast_ipi(v, icr);
	lapic_set_x2apic_icr(&v->apic, icr);
	if (!inner)
		host_trace_apic(v, true, LAPIC_ICR, icr);
	return true;
}

static __always_inline bool fast_self_ipi_register(struct vcpu *v, u64 value, const bool inner)
{
	if (value > 0xff || !fast_self_ipi(v, value, inner))
		return !inner && (v->mechanisms & EXEUNT_FAST_IPI) && !lapic_x2apic_write(v, M_X2APIC_SELF_IPI, value);
	if (!inner)
		host_trace_apic(v, true, LAPIC_SELF_IPI, value);
	return true;
}

static __always_inline bool fast_eoi(struct vcpu *v, u64 value, const bool inner)
{
	struct lapic *a = &v->apic;
	int vector;

	if (unlikely(a->apicv))
		lapic_read_service(a);
	vector = a->isr_top;
	if (value || (vector >= 0 && lapic_eoi_exits(a, vector)))
		return false;
	if (!inner)
		host_trace_apic(v, true, LAPIC_EOI, 0);
	if (vector < 0)
		return true;
	lapic_end_service(a);
	if (!inner)
		host_trace_eoi(v, vector);
	lapic_recheck_irr(v);
	return true;
}

static __always_inline bool fast_tpr(struct vcpu *v, u64 value, const bool inner)
{
	if (value > 0xff)
		return false;
	if (!inner)
		host_trace_apic(v, true, LAPIC_TPR, value);
	lapic_set_tpr(v, value);
	return true;
}

static __always_inline bool fast_deadline(struct vcpu *v, u64 value, const bool inner)
{
	if (!(v->mechanisms & EXEUNT_FAST_TIMER) || !v->cpuid.has_tsc_deadline)
		return false;
	if ((v->mechanisms & EXEUNT_LAZY_TIMER) && lapic_deadline_moves_later(&v->apic, value))
		return true;
	if (inner)
		return false;
	lapic_set_tscdeadline(v, value);
	return true;
}

static __always_inline bool fast_msr_write(struct vcpu *v, u32 index, u64 value, const bool inner)
{
	if (index == M_TSCDEADLINE)
		return fast_deadline(v, value, inner);
	if (index >= M_X2APIC && index <= M_X2APIC_END && lapic_x2apic(&v->apic)) {
		if (index == M_X2APIC_ICR)
			return fast_icr(v, value, inner);
		if (index == M_X2APIC_EOI)
			return fast_eoi(v, value, inner);
		if (index == M_X2APIC_SELF_IPI)
			return fast_self_ipi_register(v, value, inner);
		if (index == M_X2APIC_TPR)
			return fast_tpr(v, value, inner);
	}
	return !inner && !fast_write_is_slow(index) && !msr_write(v, index, value, false);
}

static __always_inline bool fast_msr_read(struct vcpu *v, u32 index, u64 *value, const bool inner)
{
	if (index == M_TSCDEADLINE) {
		*value = v->apic.timer.tscdeadline;
		return true;
	}
	if (index != M_X2APIC_TPR || !lapic_x2apic(&v->apic)) {
		/* RAX is in the VMCB; its place here is free. The address of a local would cost the run loop a stack protector. */
		if (inner || msr_read(v, index, &v->regs[R_AX], false))
			return false;
		*value = v->regs[R_AX];
		return true;
	}
	*value = lapic_reg(&v->apic, LAPIC_TPR);
	if (!inner)
		host_trace_apic(v, false, LAPIC_TPR, *value);
	return true;
}

/*
 * The hypercall @nr, if its number says it all: *@rax is the answer (Documentation/virt/kvm/x86/hypercalls.rst). False: nothing is
 * done, pv_hypercall() has to.
 */
static __always_inline bool pv_hypercall_simple(struct vcpu *v, u64 nr, u64 *rax)
{
	/* VAPIC_POLL_IRQ only wants the exit that it has caused. */
	u64 answer = nr == KVM_HC_VAPIC_POLL_IRQ ? 0 : (u64)-KVM_ENOSYS;

	/* Only the guest's kernel may ask at all. */
	if (vcpu_cpl(v))
		answer = (u64)-KVM_EPERM;
	else if (nr == KVM_HC_SEND_IPI)
		return false;
	*rax = vcpu_is_64bit(v) ? answer : (u32)answer;
	return true;
}

/* Host interrupts may stay off for this hypercall: it kicks a few vCPUs at most. */
static __always_inline bool pv_hypercall_short(const struct vcpu *v, u64 nr)
{
	u64 low = v->regs[R_BX], high = v->regs[R_CX];

	if (nr != KVM_HC_SEND_IPI)
		return true;
	if (!(v->mechanisms & EXEUNT_FAST_IPI))
		return false;
	for (u32 i = 0; i < EXEUNT_FAST_IPI_TARGETS; i++) {
		/* The lowest bit that is left goes. */
		if (low)
			low &= low - 1;
		else
			high &= high - 1;
	}
	return !(low | high);
}

/* @rax: where the guest's RAX is. */
static __always_inline bool fast_cpuid(struct vcpu *v, u64 *rax, const bool inner)
{
	u32 leaf = (u32)*rax, sub = (u32)v->regs[R_CX];
	const struct cpuid_slot *e = cpuid_find(&v->cpuid, leaf, sub);

	if (unlikely(!e || e->live)) {
		if (inner)
			return false;
		v->regs[R_AX] = *rax;
		cpuid_execute(v);
		*rax = v->regs[R_AX];
		return true;
	}
	*rax = e->a;
	v->regs[R_BX] = e->b;
	v->regs[R_CX] = e->c;
	v->regs[R_DX] = e->d;
	if (!inner)
		host_trace_cpuid(leaf, sub, e->a, e->b, e->c, e->d, true);
	return true;
}

/* HLT with an interrupt that the guest will take: it need not wait. */
static __always_inline bool fast_halt(struct vcpu *v)
{
	if (!(vcpu_rflags(v) & FLAG_IF) || lapic_pending_vector(v) < 0)
		return false;
	if (!v->apic.apicv)
		vcpu_request(v, REQ_EVENT);
	return true;
}

#endif
