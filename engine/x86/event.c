// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions, NMIs and interrupts on their way into the guest. Owns struct event_state. The hardware part (what a VMCB or a
 * VMCS is told) is the vendor's; the order of events and what blocks them is the same for both (APM vol. 2, 8.5).
 */
#include "x86/event_inline.h"

static bool pushes_error(u8 vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

static bool contributory(u8 vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

/* A second exception while @first is being delivered: APM vol. 2, table 8-2 of 8.2.9. */
static bool makes_double_fault(u8 first, u8 second)
{
	return (contributory(first) && contributory(second)) ||
	       (first == VEC_PF && (contributory(second) || second == VEC_PF));
}

static void queue(struct vcpu *v, u8 vector, u32 error)
{
	struct event_state *ev = &v->ev;

	if (ev->exception.pending || ev->exception.injected) {
		u8 first = ev->exception.vector;

		if (first == VEC_DF) {
			ev->exception.pending = ev->exception.injected = false;
			vcpu_request(v, REQ_TRIPLE_FAULT);
			return;
		}
		if (makes_double_fault(first, vector)) {
			vector = VEC_DF;
			error = 0;
		}
	}
	ev->exception.pending = true;
	ev->exception.injected = false;
	ev->exception.vector = vector;
	ev->exception.error = error;
	/* Real mode pushes no error codes. */
	ev->exception.has_error = pushes_error(vector) && (vcpu_cr0(v) & CR0_PE_BIT);
	vcpu_request(v, REQ_EVENT);
}

void event_exception(struct vcpu *v, u8 vector)
{
	queue(v, vector, 0);
}

void event_exception_error(struct vcpu *v, u8 vector, u32 error)
{
	queue(v, vector, error);
}

void event_page_fault(struct vcpu *v, u64 cr2, u32 error)
{
	vcpu_set_cr2(v, cr2);
	queue(v, VEC_PF, error);
}

void event_nmi(struct vcpu *v)
{
	/* Two can be outstanding: one blocked, one latched. More are lost, as on hardware; the count is cut when it is folded. */
	if (__atomic_load_n(&v->ev.nmi_queued, __ATOMIC_RELAXED) < 2)
		__atomic_fetch_add(&v->ev.nmi_queued, 1, __ATOMIC_RELEASE);
	vcpu_request(v, REQ_NMI);
	vcpu_request(v, REQ_EVENT);
	host_kick(v);
}

static void fold_nmi(struct vcpu *v)
{
	struct event_state *ev = &v->ev;
	u8 limit;

	if (likely(!vcpu_take_request(v, REQ_NMI)))
		return;
	limit = ev->nmi_masked || ev->nmi_injected ? 1 : 2;
	ev->nmi_pending = min_t(u32, ev->nmi_pending + __atomic_exchange_n(&ev->nmi_queued, 0, __ATOMIC_ACQUIRE), limit);
}

void event_requeue(struct vcpu *v, enum event_kind kind, u8 vector, bool has_error, u32 error)
{
	struct event_state *ev = &v->ev;

	switch (kind) {
	case EVENT_EXCEPTION:
		ev->exception.injected = true;
		ev->exception.pending = false;
		ev->exception.vector = vector;
		ev->exception.has_error = has_error;
		ev->exception.error = error;
		break;
	case EVENT_NMI:
		ev->nmi_injected = true;
		break;
	case EVENT_INTERRUPT:
		ev->interrupt.injected = true;
		ev->interrupt.vector = vector;
		break;
	}
	vcpu_request(v, REQ_EVENT);
}

void event_delivered(struct vcpu *v)
{
	v->ev.exception.injected = false;
	v->ev.nmi_injected = false;
	v->ev.interrupt.injected = false;
	if (unlikely(v->ev.another)) {
		v->ev.another = false;
		vcpu_request(v, REQ_EVENT);
	}
}

/* What was interrupted in its delivery, or an exception that an instruction raised: at most one, before anything new. */
static bool inject_interrupted(struct vcpu *v)
{
	struct event_state *ev = &v->ev;
	bool again = !ev->exception.pending;

	if (ev->exception.pending) {
		/*
		 * It replaces an NMI or interrupt whose delivery was interrupted: only an exit to the VMM in
		 * between can make both.
		 */
		ev->exception.pending = false;
		ev->exception.injected = true;
		stats_inc(v, exceptions[host_index(ev->exception.vector, 32)]);
		if (ev->exception.vector == VEC_DB)
			vendor_set_debug_fault(v);
	}
	if (ev->exception.injected) {
		host_trace_inj_exception(ev->exception.vector, ev->exception.has_error, ev->exception.error, again);
		vendor_inject_exception(v, ev->exception.vector, ev->exception.has_error, ev->exception.error);
	} else if (ev->nmi_injected) {
		vendor_inject_nmi(v);
	} else if (ev->interrupt.injected) {
		vendor_inject_interrupt(v, ev->interrupt.vector);
	} else {
		return false;
	}
	return true;
}

static bool inject_nmi(struct vcpu *v)
{
	struct event_state *ev = &v->ev;

	if (!ev->nmi_pending || !vendor_nmi_allowed(v))
		return false;
	ev->nmi_pending--;
	ev->nmi_injected = true;
	ev->nmi_masked = true;
	stats_inc(v, nmis);
	vendor_inject_nmi(v);
	return true;
}

/* The VMM's PIC is heard: there is no APIC in the kernel, or it lets ExtINT through. */
static bool accepts_extint(struct vcpu *v)
{
	return !v->apic.present || lapic_accepts_extint(v);
}

/* The vector to deliver next, -1 if none: the VMM's PIC first (it has no priority to lose), then the APIC. */
static int next_interrupt(struct vcpu *v)
{
	if (v->ev.extint >= 0 && accepts_extint(v))
		return v->ev.extint;
	return v->apic.present ? lapic_pending_vector(v) : -1;
}

/* @vector comes from the VMM's PIC, not from the APIC. */
static bool is_extint(struct vcpu *v, int vector)
{
	return vector == v->ev.extint && accepts_extint(v);
}

/*
 * Interrupts are offered: the CPU takes the vector by itself as soon as the guest's IF, interrupt shadow and TPR allow, without an exit
 * to tell that they do. event_settle() finds out at the next exit, before anything can look at the APIC.
 */
static void offer_interrupt(struct vcpu *v)
{
	int vector;

	if (unlikely(v->apic.apicv))
		return;		/* the CPU finds them in IRR */
	vector = next_interrupt(v);
	v->ev.offered = vector;
	if (vector >= 0) {
		host_trace_inj_virq(vector);
		if (is_extint(v, vector)) {
			vendor_offer_extint(v, vector);
		} else {
			lapic_offer(v, vector);
			vendor_offer_interrupt(v, vector);
		}
	} else if (v->run->request_interrupt_window && accepts_extint(v)) {
		vendor_open_interrupt_window(v);
	} else {
		vendor_withdraw_interrupt(v);
	}
}

void event_settle(struct vcpu *v, bool taken)
{
	int vector = v->ev.offered;

	if (vector < 0)
		return;
	if (likely(!is_extint(v, vector))) {
		event_settle_apic(v, taken, host_accounting());
		return;
	}
	v->ev.offered = -1;
	vendor_withdraw_interrupt(v);
	if (taken) {
		stats_inc(v, interrupts[vector]);
		v->ev.extint = -1;
	}
	vcpu_request(v, REQ_EVENT);
}

void event_inject(struct vcpu *v)
{
	bool given;

	if (lapic_timer_pending(v))
		lapic_timer_deliver(v);
	fold_nmi(v);
	vendor_clear_event(v);
	given = inject_interrupted(v) || inject_nmi(v);
	/* An entry delivers one event; a single step would not outlive that. */
	v->ev.another = given && v->ev.nmi_pending && !v->ev.nmi_masked;
	if (v->ev.nmi_pending && !v->ev.another)
		vendor_open_nmi_window(v);
	offer_interrupt(v);
	vendor_update_tpr(v);
}

bool event_inject_again(struct vcpu *v)
{
	/*
	 * One that event_offer_arriving() has offered, another having arrived since: it is in neither IRR nor ISR. First, for it asks for a
	 * look itself.
	 */
	event_settle(v, false);
	/* Then the request is taken, and only then one looks: what comes in between asks again. */
	vcpu_take_request(v, REQ_EVENT);
	if (!event_only_interrupts(v) || v->run->request_interrupt_window || lapic_timer_pending(v) ||
	    __atomic_load_n(&v->requests, __ATOMIC_RELAXED) || v->apic.pending_init_sipi) {
		vcpu_request(v, REQ_EVENT);
		return false;
	}
	offer_interrupt(v);
	vendor_update_tpr(v);
	return true;
}

bool event_deliverable(struct vcpu *v)
{
	if (__atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & (1ull << REQ_NMI))
		return true;
	if (lapic_timer_pending(v))
		lapic_timer_deliver(v);
	if (v->ev.exception.pending || v->ev.exception.injected || v->ev.nmi_injected || v->ev.interrupt.injected)
		return true;
	if (v->ev.nmi_pending && !v->ev.nmi_masked)
		return true;
	return next_interrupt(v) >= 0 && vendor_interrupt_allowed(v);
}

int event_extint(struct vcpu *v, u32 vector)
{
	if (vector > 255)
		return -EINVAL;
	if (v->apic.present && v->ev.extint >= 0)
		return -EEXIST;
	v->ev.extint = vector;
	vcpu_request(v, REQ_EVENT);
	return 0;
}

bool event_ready_for_extint(struct vcpu *v)
{
	struct event_state *ev = &v->ev;

	if (!vendor_interrupt_allowed(v))
		return false;
	if (ev->exception.pending || ev->exception.injected || ev->nmi_injected || ev->interrupt.injected || ev->extint >= 0)
		return false;
	return accepts_extint(v) && !(v->apic.present && lapic_pending_vector(v) >= 0);
}

void event_reset(struct vcpu *v)
{
	memset(&v->ev, 0, sizeof(v->ev));
	v->ev.extint = v->ev.offered = -1;
}

/* Without an APIC here, what KVM_INTERRUPT queued is the vCPU's state too: nobody else has it any more. */
int event_saved_interrupt(const struct vcpu *v)
{
	if (v->ev.interrupt.injected)
		return v->ev.interrupt.vector;
	return v->apic.present ? -1 : v->ev.extint;
}

void event_restore_interrupt(struct vcpu *v, int vector)
{
	if (!v->apic.present)
		v->ev.extint = -1;
	v->ev.interrupt.injected = vector >= 0;
	v->ev.interrupt.vector = max(vector, 0);
}

void event_get_state(struct vcpu *v, struct kvm_vcpu_events *e)
{
	struct event_state *ev = &v->ev;
	int vector = event_saved_interrupt(v);

	memset(e, 0, sizeof(*e));
	fold_nmi(v);
	e->exception.injected = ev->exception.injected || ev->exception.pending;
	e->exception.nr = ev->exception.vector;
	e->exception.has_error_code = ev->exception.has_error;
	e->exception.error_code = ev->exception.error;
	e->interrupt.injected = vector >= 0;
	e->interrupt.nr = max(vector, 0);
	e->interrupt.shadow = vcpu_in_shadow(v) ? KVM_X86_SHADOW_INT_STI : 0;
	e->nmi.injected = ev->nmi_injected;
	e->nmi.pending = ev->nmi_pending;
	e->nmi.masked = ev->nmi_masked;
	e->sipi_vector = v->apic.sipi_vector;
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
}

int event_set_state(struct vcpu *v, const struct kvm_vcpu_events *e)
{
	struct event_state *ev = &v->ev;

	if (e->flags & ~(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW))
		return -EINVAL;
	if (e->exception.injected && (e->exception.nr > 31 || e->exception.nr == VEC_NMI))
		return -EINVAL;
	ev->exception.injected = e->exception.injected;
	ev->exception.pending = false;
	ev->exception.vector = e->exception.nr;
	ev->exception.has_error = e->exception.has_error_code;
	ev->exception.error = e->exception.error_code;
	event_restore_interrupt(v, e->interrupt.injected ? e->interrupt.nr : -1);
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu_set_shadow(v, e->interrupt.shadow);
	ev->nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi_pending = min_t(u8, e->nmi.pending, 2);
	vendor_set_nmi_mask(v, e->nmi.masked);
	if ((e->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && v->apic.present)
		lapic_set_sipi_vector(v, e->sipi_vector);
	vcpu_request(v, REQ_EVENT);
	return 0;
}
