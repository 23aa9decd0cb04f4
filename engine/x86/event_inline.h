/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Those parts of event.c that the fast path inlines. They call nothing.
 */
#ifndef EXEUNT_X86_EVENT_INLINE_H
#define EXEUNT_X86_EVENT_INLINE_H

#include "x86/lapic_inline.h"

/* Something other than an interrupt waits, or was interrupted in its delivery: event_inject() has to put it in order. */
static __always_inline bool event_only_interrupts(const struct vcpu *v)
{
	const struct event_state *ev = &v->ev;

	return !(ev->exception.pending | ev->exception.injected | ev->nmi_injected | ev->interrupt.injected | ev->nmi_pending);
}

/*
 * event_settle() for an interrupt of the APIC's, of which there is one. Asks for another look (REQ_EVENT) where there is something to
 * look for. @count: in the accounting.
 */
static __always_inline void event_settle_apic(struct vcpu *v, bool taken, bool count)
{
	int vector = v->ev.offered;

	v->ev.offered = -1;
	vendor_withdraw_interrupt(v);
	if (likely(taken)) {
		if (count)
			v->stats->counters.interrupts[vector]++;
		lapic_begin_service(&v->apic, vector);
		vendor_unwatch_cr8(v);
	} else {
		lapic_irr_set(&v->apic, vector);
	}
	lapic_recheck_irr(v);
}

/*
 * Offers a vector that has just arrived, without a detour through IRR and a request. False: others are in the way, or it is blocked;
 * nothing is done. vCPU thread, with event_only_interrupts() true, and no event_inject() needed before.
 */
static __always_inline bool event_offer_arriving(struct vcpu *v, u8 vector)
{
	struct lapic *a = &v->apic;

	if (v->ev.offered >= 0 || v->ev.extint >= 0 || a->irr_words || v->run->request_interrupt_window)
		return false;
	if (LAPIC_PRIORITY((u32)vector) <= LAPIC_PRIORITY(lapic_reg(a, LAPIC_PPR)))
		return false;
	v->ev.offered = vector;
	vendor_offer_interrupt(v, vector);
	vendor_watch_cr8(v);
	return true;
}

#endif
