/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Those parts of lapic.c that the fast path inlines: bit arrays, priorities, acceptance, EOI. They
 * touch only what the caller hands over, and call nothing.
 */
#ifndef EXEUNT_X86_LAPIC_INLINE_H
#define EXEUNT_X86_LAPIC_INLINE_H

#include "x86/vcpu.h"

#define LAPIC_FIRST_VECTOR	16	/* vectors below are illegal in APIC interrupts */
#define LAPIC_PRIORITY(vector)	((vector) & 0xf0)
#define LAPIC_SVR_ENABLE	(1u << 8)

/* --- Bit arrays of 256 vectors: eight words, 16 bytes apart. --- */

static __always_inline u32 *lapic_vector_word(struct lapic *a, u32 array, u8 vector)
{
	return &a->regs[array / 4 + (vector >> 5) * 4];
}

static __always_inline u32 lapic_vector_bit(u8 vector)
{
	return 1u << (vector & 31);
}

static __always_inline int lapic_highest_bit(u32 word)
{
	return 31 - __builtin_clz(word);
}

/* --- Priorities. --- */

/* APM vol. 2, 16.6.4: the higher of the task priority and the class in service. */
static __always_inline void lapic_update_ppr(struct lapic *a)
{
	u32 tpr = lapic_reg(a, LAPIC_TPR);
	u32 service = a->isr_top < 0 ? 0 : LAPIC_PRIORITY(a->isr_top);

	lapic_set_reg(a, LAPIC_PPR, LAPIC_PRIORITY(tpr) >= service ? tpr : service);
}

/* What may be delivered changed: look again at the next entry, if there is anything to look for. */
static __always_inline void lapic_recheck_irr(struct vcpu *v)
{
	if (__atomic_load_n(&v->apic.irr_words, __ATOMIC_RELAXED) && !v->apic.apicv)
		vcpu_request(v, REQ_EVENT);
}

static __always_inline void lapic_set_tpr(struct vcpu *v, u32 tpr)
{
	lapic_set_reg(&v->apic, LAPIC_TPR, tpr);
	vendor_set_cr8(v, tpr >> 4);
	lapic_update_ppr(&v->apic);
	lapic_recheck_irr(v);
}

/* --- In service. --- */

/* From IRR, or from where it was offered, to ISR. */
static __always_inline void lapic_begin_service(struct lapic *a, u8 vector)
{
	*lapic_vector_word(a, LAPIC_ISR, vector) |= lapic_vector_bit(vector);
	a->isr_words |= 1u << (vector >> 5);
	a->isr_top = max(a->isr_top, (int)vector);
	lapic_update_ppr(a);
}

/* What the CPU has put into ISR and taken out (apicv). vCPU thread. */
static __always_inline void lapic_read_service(struct lapic *a)
{
	a->isr_words = 0;
	a->isr_top = -1;
	for (u32 i = 0; i < 8; i++) {
		u32 word = lapic_reg(a, LAPIC_ISR + i * 16);

		if (!word)
			continue;
		a->isr_words |= 1u << i;
		a->isr_top = i * 32 + lapic_highest_bit(word);
	}
	lapic_update_ppr(a);
}

/* The highest in service is done; there is one. */
static __always_inline void lapic_end_service(struct lapic *a)
{
	u32 *word = lapic_vector_word(a, LAPIC_ISR, a->isr_top);
	u32 i;

	*word &= ~lapic_vector_bit(a->isr_top);
	if (!*word)
		a->isr_words &= ~(1u << (a->isr_top >> 5));
	a->isr_top = -1;
	if (a->isr_words) {
		i = lapic_highest_bit(a->isr_words);
		a->isr_top = i * 32 + lapic_highest_bit(a->regs[LAPIC_ISR / 4 + i * 4]);
	}
	lapic_update_ppr(a);
}

/* The end of @vector's interrupt concerns the VMM's IOAPIC. */
static __always_inline bool lapic_eoi_exits(const struct lapic *a, u8 vector)
{
	return a->eoi_exit[vector >> 6] >> (vector & 63) & 1;
}

/* --- Acceptance. --- */

/* Messages can reach this APIC at all. */
static __always_inline bool lapic_reachable(const struct lapic *a)
{
	return a->present && lapic_hw_enabled(a);
}

/* The APIC is enabled by software too: it takes fixed interrupts. */
static __always_inline bool lapic_sw_enabled(const struct lapic *a)
{
	return lapic_reg(a, LAPIC_SVR) & LAPIC_SVR_ENABLE;
}

/* The trigger mode of the interrupt now in IRR, for its EOI. Atomics only when it changes. */
static __always_inline void lapic_set_trigger_mode(struct lapic *a, u8 vector, bool level)
{
	u32 *tmr = lapic_vector_word(a, LAPIC_TMR, vector);
	u32 bit = lapic_vector_bit(vector);

	if (level == !!(__atomic_load_n(tmr, __ATOMIC_RELAXED) & bit))
		return;
	if (level)
		__atomic_fetch_or(tmr, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(tmr, ~bit, __ATOMIC_RELAXED);
}

/* First the bit, then its summary: irr_forget() relies on it. Any context. */
static __always_inline void lapic_irr_set(struct lapic *a, u8 vector)
{
	u32 word_bit = 1u << (vector >> 5);

	__atomic_fetch_or(lapic_vector_word(a, LAPIC_IRR, vector), lapic_vector_bit(vector), __ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&a->irr_words, __ATOMIC_SEQ_CST) & word_bit))
		__atomic_fetch_or(&a->irr_words, word_bit, __ATOMIC_SEQ_CST);
}

/* --- The timer. --- */

enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static __always_inline enum lapic_timer_mode lapic_timer_mode_of(u32 lvt)
{
	return lvt >> 17 & 3;
}

static __always_inline enum lapic_timer_mode lapic_timer_mode(const struct lapic *a)
{
	return lapic_timer_mode_of(lapic_reg(a, LAPIC_LVT_TIMER));
}

static __always_inline bool lapic_timer_pending(const struct vcpu *v)
{
	return __atomic_load_n(&v->apic.timer.pending, __ATOMIC_ACQUIRE);
}

/*
 * Sets the TSC deadline, or none, where the host's timer can stay as it is: it fires before, and a look will be taken then. False: that
 * is not so; nothing is done. With EXEUNT_LAZY_TIMER.
 */
static __always_inline bool lapic_deadline_moves_later(struct lapic *a, u64 value)
{
	struct lapic_timer *t = &a->timer;

	if (lapic_timer_mode(a) != TIMER_TSC_DEADLINE || !t->armed_tsc || (value && value < t->armed_tsc) ||
	    __atomic_load_n(&t->pending, __ATOMIC_RELAXED))
		return false;
	t->tscdeadline = value;
	t->lax = true;
	return true;
}

#endif
