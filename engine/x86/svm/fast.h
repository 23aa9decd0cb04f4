/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fast path: exits that are dealt with right after they happened, host interrupts still off (threads/2). What is here is inlined
 * into the run loop, and once more into the inner loop. Nothing sleeps, and what is not simple is left, untouched, to exits.c, which can
 * do everything: so the guest cannot tell which of them it was. @inner: see x86/fast.h.
 */
#ifndef EXEUNT_SVM_FAST_H
#define EXEUNT_SVM_FAST_H

#include "x86/fast.h"
#include "x86/svm/svm.h"

/*
 * Nothing is going on that vendor_finish() has to see the end of, or that x86/fast.h does not know of. Before an entry, when all is
 * prepared for it. Stays true while only vendor_handle_fast() handles exits.
 */
static __always_inline bool vendor_may_be_fast(const struct vcpu *v)
{
	return svm.nrip && v->apic.present && !svm_goes_on(v) && v->ev.extint < 0;
}

/*
 * Whether the inner loop may deal with this entry's exits: nobody traces what it does not, and the CPU has one SPEC_CTRL for both sides, or
 * switches it by itself. Interrupts off, for an entry for which vendor_may_be_fast() is true.
 */
static __always_inline void vendor_allow_inner(struct vcpu *v, bool fast)
{
	v->hw.inner = fast && (v->mechanisms & EXEUNT_INNER_LOOP) && !host_traces_exits() &&
		      (svm.v_spec_ctrl || (!v->hw.spec_ctrl_passed && v->hw.spec_ctrl == host_spec_ctrl()));
	stats_allow_inner(v->stats);
}

/*
 * Who delivers interrupts at the entries to come: the CPU, if it has AVIC and v->mechanisms has, the APIC is on, and no interrupt comes past
 * it. Before event_inject(). vCPU thread.
 */
static __always_inline void vendor_choose_delivery(struct vcpu *v)
{
	enum avic_mode mode = AVIC_OFF;

	if (svm.avic && (v->mechanisms & EXEUNT_AVIC) && lapic_reachable(&v->apic) && v->ev.extint < 0 && !v->apic.vapic_gpa &&
	    !__atomic_load_n(&v->run->request_interrupt_window, __ATOMIC_RELAXED))
		mode = svm.x2avic && lapic_x2apic(&v->apic) ? AVIC_FULL : AVIC_DELIVER;
	if (unlikely(mode != v->hw.avic))
		svm_avic_choose(v, mode);
}

/* The inner loop dealt with the exit that has ended it, and has noted it for the accounting. */
static __always_inline bool vendor_inner_handled(struct vcpu *v)
{
	bool handled = v->hw.inner_handled;

	v->hw.inner_handled = false;
	return handled;
}

/* The guest's TPR, and whether it took the interrupt that it was offered: what handlers must find in the APIC. */
static __always_inline void fast_sync_apic(struct vcpu *v, const bool inner)
{
	u32 int_ctl = VMCB(v)->c.int_ctl;

	if (unlikely((lapic_reg(&v->apic, LAPIC_TPR) >> 4 ^ int_ctl) & V_TPR_FIELD))
		lapic_set_tpr(v, (int_ctl & V_TPR_FIELD) << 4);
	if (v->ev.offered >= 0)
		event_settle_apic(v, !(int_ctl & V_IRQ_BIT), fast_counting(v, inner));
}

static __always_inline void fast_advance(struct vmcb *vmcb, u64 next)
{
	if (unlikely(!(vmcb->s.cs.attrib & VMCB_CS_LONG)))
		next = (u32)next;
	vmcb->s.rip = next;
	vmcb->c.int_state &= ~INT_SHADOW_BIT;
	vmcb->c.tlb_ctl = TLB_KEEP;
}

static __always_inline bool fast_rdmsr(struct vcpu *v, struct vmcb *vmcb, const bool inner)
{
	u32 index = v->regs[R_CX];
	u64 value;

	if (!fast_msr_read(v, index, &value, inner))
		return false;
	vmcb->s.rax = (u32)value;
	v->regs[R_DX] = value >> 32;
	if (fast_counting(v, inner))
		stats_fast(v->stats, SVM_EXIT_MSR, EXEUNT_MSR_READ, index);
	if (!inner)
		host_trace_msr(false, index, value, false);
	return true;
}

static __always_inline bool fast_wrmsr(struct vcpu *v, struct vmcb *vmcb, const bool inner)
{
	u32 index = v->regs[R_CX];
	u64 value = (u32)vmcb->s.rax | v->regs[R_DX] << 32;

	if (!fast_msr_write(v, index, value, inner))
		return false;
	if (fast_counting(v, inner))
		stats_fast(v->stats, SVM_EXIT_MSR, EXEUNT_MSR_WRITE, index);
	if (!inner)
		host_trace_msr(true, index, value, false);
	return true;
}

static __always_inline bool fast_vmmcall(struct vcpu *v, struct vmcb *vmcb, const bool inner)
{
	u64 nr = vmcb->s.rax;

	if (!vcpu_is_64bit(v))
		nr = (u32)nr;
	if (inner) {
		if (!pv_hypercall_simple(v, nr, &vmcb->s.rax))
			return false;
	} else {
		if (!pv_hypercall_short(v, nr))
			return false;
		v->regs[R_AX] = vmcb->s.rax;
		pv_hypercall(v);
		vmcb->s.rax = v->regs[R_AX];
	}
	if (fast_counting(v, inner))
		stats_fast(v->stats, SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, min_t(u64, nr, U32_MAX));
	return true;
}

/* OUT to a doorbell (ioeventfd). EXITINFO1 is 15.10.2's: bit 0 in, 2 string, 4..6 size, 16.. port. */
static __always_inline bool fast_out(struct vcpu *v, struct vmcb *vmcb)
{
	u32 info = vmcb->c.exit_info_1, size = info >> 4 & 7;
	u16 port = info >> 16;

	if ((info & 5) || size > 4 || !host_pio_write(v->vm, port, size, &vmcb->s.rax))
		return false;
	host_trace_pio(v, true, port, size, 1, (u32)vmcb->s.rax & ~0u >> (32 - 8 * size));
	if (host_accounting())
		stats_fast(v->stats, SVM_EXIT_IOIO, EXEUNT_PIO_OUT, port);
	return true;
}

/* An IPI that the CPU has sent, and not all targets run; to one vCPU, or where there are but a few. */
static __always_inline bool fast_incomplete_ipi(struct vcpu *v, const struct vmcb_control *c)
{
	if (!(v->mechanisms & EXEUNT_FAST_IPI) || c->exit_info_2 >> 32 != AVIC_IPI_NOT_RUNNING || v->hw.avic != AVIC_FULL)
		return false;
	if (unlikely(!lapic_icr_sent_one(v, c->exit_info_1))) {
		if (v->vm->max_id >= EXEUNT_FAST_IPI_TARGETS)
			return false;
		lapic_icr_sent(v, c->exit_info_1);
	}
	/* After what it has led to, for only now it is known to belong here. */
	host_trace_avic_incomplete_ipi(v, c->exit_info_1 >> 32, (u32)c->exit_info_1, c->exit_info_2 >> 32, (u32)c->exit_info_2);
	if (host_accounting())
		stats_fast(v->stats, SVM_EXIT_AVIC_INCOMPLETE_IPI, EXEUNT_PLAIN, 0);
	return true;
}

/* An exit of a kind that may be simple. The world switch has seen to it that the inner loop is asked about no others. */
static __always_inline bool fast_kind(const struct vmcb *vmcb, const bool inner)
{
	u32 code = vmcb->c.exit_code;

	if (!inner && code != SVM_EXIT_MSR && code != SVM_EXIT_CPUID && code != SVM_EXIT_VMMCALL && code != SVM_EXIT_HLT &&
	    code != SVM_EXIT_IOIO && code != SVM_EXIT_AVIC_INCOMPLETE_IPI)
		return false;
	return likely(!(vmcb->c.exit_int_info & EVENT_VALID) && !(vmcb->s.rflags & FLAG_TF));
}

/*
 * Deals with the exit if it is one of the simple ones: true, and the guest may go on. vCPU thread, interrupts off, right after an entry
 * for which vendor_may_be_fast() was true, or after the last call that returned true.
 */
static __always_inline bool vendor_handle_fast(struct vcpu *v, const bool inner)
{
	struct vmcb *vmcb = VMCB(v);
	u64 next = vmcb->c.next_rip;
	bool done = false;

	/* First, for it is the most frequent of those that are not for here, and the longest way is still before it. */
	if (!inner && vmcb->c.exit_code == SVM_EXIT_IOIO && !v->vm->pio_doorbells)
		return false;
	if (!fast_kind(vmcb, inner))
		return false;
	if (!inner && vmcb->c.exit_code == SVM_EXIT_IOIO) {
		fast_sync_apic(v, inner);
		done = fast_out(v, vmcb);
		if (done)
			fast_advance(vmcb, vmcb->c.exit_info_2);
		return done;
	}
	fast_sync_apic(v, inner);
	switch (vmcb->c.exit_code) {
	case SVM_EXIT_MSR:
		done = vmcb->c.exit_info_1 ? fast_wrmsr(v, vmcb, inner) : fast_rdmsr(v, vmcb, inner);
		break;
	case SVM_EXIT_CPUID:
		done = fast_cpuid(v, &vmcb->s.rax, inner);
		if (done && fast_counting(v, inner))
			stats_fast(v->stats, SVM_EXIT_CPUID, EXEUNT_PLAIN, 0);
		break;
	case SVM_EXIT_VMMCALL:
		done = fast_vmmcall(v, vmcb, inner);
		break;
	case SVM_EXIT_HLT:
		/* Not known to the inner loop. */
		done = !inner && fast_halt(v);
		if (done && host_accounting())
			stats_fast(v->stats, SVM_EXIT_HLT, EXEUNT_PLAIN, 0);
		break;
	case SVM_EXIT_AVIC_INCOMPLETE_IPI:
		next = vmcb->s.rip;	/* the instruction is done */
		done = !inner && fast_incomplete_ipi(v, &vmcb->c);
		break;
	}
	if (done)
		fast_advance(vmcb, next);
	return done;
}

#endif
