// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC: its registers, which interrupt goes where and when, IPIs, INIT and SIPI. Owns
 * struct lapic but for the timer.
 *
 * Who writes what. Only the vCPU's own thread writes its registers, with these exceptions, which
 * any thread may do at any time to any APIC: set bits in IRR and in irr_words, set and clear bits
 * in TMR, set bits in esr_pending, store INIT and SIPI. Whoever does so then sets REQ_EVENT and
 * kicks: the atomic operations are full barriers on x86, so either the vCPU sees the request before
 * it enters the guest, or the kicker sees that it is in the guest (run.c). With AVIC CPUs write, too:
 * IRR of any APIC, ISR and what the guest may write of its own; and a sender posts where the
 * target's CPU takes interrupts by itself (apicv).
 */
#include "run.h"
#include "x86/lapic_inline.h"

#define REG_BIT(reg)		(1ull << ((reg) >> 4))
#define REG_BITS8(reg)		(0xffull << ((reg) >> 4))
/* The registers that exist in both forms and can be read. */
#define READABLE_REGS                                                                              \
	(REG_BIT(LAPIC_ID) | REG_BIT(LAPIC_VERSION) | REG_BIT(LAPIC_TPR) | REG_BIT(LAPIC_PPR) |    \
	 REG_BIT(LAPIC_LDR) | REG_BIT(LAPIC_SVR) | REG_BITS8(LAPIC_ISR) | REG_BITS8(LAPIC_TMR) |   \
	 REG_BITS8(LAPIC_IRR) | REG_BIT(LAPIC_ESR) | REG_BIT(LAPIC_ICR) |                          \
	 REG_BIT(LAPIC_LVT_TIMER) | REG_BIT(LAPIC_LVT_THERMAL) | REG_BIT(LAPIC_LVT_PERF) |         \
	 REG_BIT(LAPIC_LVT_LINT0) | REG_BIT(LAPIC_LVT_LINT1) | REG_BIT(LAPIC_LVT_ERROR) |          \
	 REG_BIT(LAPIC_TIMER_INITIAL) | REG_BIT(LAPIC_TIMER_CURRENT) |                             \
	 REG_BIT(LAPIC_TIMER_DIVIDE))
/* Those of the xAPIC page only, and EOI, which the page lets one read. */
#define XAPIC_ONLY_REGS                                                                            \
	(REG_BIT(LAPIC_APR) | REG_BIT(LAPIC_EOI) | REG_BIT(LAPIC_REMOTE_READ) |                    \
	 REG_BIT(LAPIC_DFR) | REG_BIT(LAPIC_ICR_HIGH))

#define LAPIC_PAGE_MASK		0xfffull
#define LAPIC_END		0x400u	/* the registers' end in the page */
#define LAPIC_VERSION_VALUE	0x00050014u	/* integrated APIC, LVT entries 0..5 */

#define SVR_WRITABLE		0x3ffu
#define TPR_WRITABLE		0xffu
#define LDR_WRITABLE		0xff000000u
#define DFR_FIXED		0x0fffffffu
#define DIVIDE_WRITABLE		0xbu

#define LVT_VECTOR		0xffu
#define LVT_MODE		(7u << 8)
#define LVT_READ_ONLY		((1u << 12) | (1u << 14))	/* delivery status, remote IRR */
#define LVT_PINS		((1u << 13) | (1u << 15))	/* polarity, trigger mode */
#define LVT_LEVEL		(1u << 15)
#define LVT_PERIODIC		(1u << 17)
#define LVT_TSC_DEADLINE	(1u << 18)

#define ICR_MODE		(7u << 8)
#define ICR_LOGICAL		(1u << 11)
#define ICR_BUSY		(1u << 12)
#define ICR_ASSERT		(1u << 14)
#define ICR_LEVEL		(1u << 15)
#define ICR_SHORTHAND		(3u << 18)
#define ICR_WRITABLE \
	(LVT_VECTOR | ICR_MODE | ICR_LOGICAL | ICR_ASSERT | ICR_LEVEL | ICR_SHORTHAND)

#define ESR_SEND_ILLEGAL	(1u << 5)
#define ESR_RECEIVE_ILLEGAL	(1u << 6)
#define ESR_ILLEGAL_REG		(1u << 7)

#define XAPIC_BROADCAST		0xffu
#define X2APIC_BROADCAST	0xffffffffu

/* Of a guest-physical address: at least, also before the VMM has set the CPUID, and at most. */
#define MIN_PHYS_BITS		36
#define MAX_PHYS_BITS		52

#define PENDING_INIT		1u
#define PENDING_SIPI		2u

/*
 * IRR word @i was seen empty. If a bit came since, the summary bit is set again, by the sender or
 * here.
 */
static void irr_forget(struct lapic *a, u32 i)
{
	__atomic_fetch_and(&a->irr_words, ~(1u << i), __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&a->regs[LAPIC_IRR / 4 + i * 4], __ATOMIC_SEQ_CST))
		__atomic_fetch_or(&a->irr_words, 1u << i, __ATOMIC_SEQ_CST);
}

/* The highest vector in IRR or ISR, as the page has it, or -1. */
static int highest_in(const struct lapic *a, u32 array)
{
	for (int i = 7; i >= 0; i--) {
		u32 word = __atomic_load_n(&a->regs[array / 4 + i * 4], __ATOMIC_ACQUIRE);

		if (word)
			return i * 32 + lapic_highest_bit(word);
	}
	return -1;
}

/* Word @i has none any more: the highest of the others. */
static noinline int highest_irr_but(struct lapic *a, u32 i)
{
	u32 words, word;

	do {
		irr_forget(a, i);
		words = __atomic_load_n(&a->irr_words, __ATOMIC_ACQUIRE);
		if (!words)
			return -1;
		i = lapic_highest_bit(words);
		word = __atomic_load_n(&a->regs[LAPIC_IRR / 4 + i * 4], __ATOMIC_ACQUIRE);
	} while (!word);
	return i * 32 + lapic_highest_bit(word);
}

int lapic_highest_irr(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	u32 words = __atomic_load_n(&a->irr_words, __ATOMIC_ACQUIRE), word, i;

	if (unlikely(a->apicv))
		return highest_in(a, LAPIC_IRR);
	if (!words)
		return -1;
	i = lapic_highest_bit(words);
	word = __atomic_load_n(&a->regs[LAPIC_IRR / 4 + i * 4], __ATOMIC_ACQUIRE);
	return likely(word) ? (int)(i * 32) + lapic_highest_bit(word) : highest_irr_but(a, i);
}

/* --- Priorities. --- */

void lapic_set_cr8(struct vcpu *v, u8 cr8)
{
	if (v->apic.present) {
		lapic_set_tpr(v, (u32)(cr8 & 15) << 4);
		return;
	}
	v->apic.cr8 = cr8 & 15;
	vendor_set_cr8(v, v->apic.cr8);
}

u8 lapic_get_cr8(struct vcpu *v)
{
	return lapic_cr8(&v->apic);
}

int lapic_pending_vector(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	int vector;

	if ((!__atomic_load_n(&a->irr_words, __ATOMIC_ACQUIRE) && !a->apicv) || !lapic_hw_enabled(a))
		return -1;
	vector = lapic_highest_irr(v);
	if (vector < 0)
		return -1;
	if (unlikely(a->apicv))
		lapic_read_service(a);
	if (LAPIC_PRIORITY((u32)vector) <= LAPIC_PRIORITY(lapic_reg(a, LAPIC_PPR)))
		return -1;
	return vector;
}

void lapic_offer(struct vcpu *v, u8 vector)
{
	struct lapic *a = &v->apic;
	u32 *irr = lapic_vector_word(a, LAPIC_IRR, vector);

	__atomic_fetch_and(irr, ~lapic_vector_bit(vector), __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(irr, __ATOMIC_RELAXED))
		irr_forget(a, vector >> 5);
}

bool lapic_vector_in_flight(struct vcpu *v, u8 vector)
{
	struct lapic *a = &v->apic;

	if (!a->present)
		return false;
	return (__atomic_load_n(lapic_vector_word(a, LAPIC_IRR, vector), __ATOMIC_RELAXED) |
		*lapic_vector_word(a, LAPIC_ISR, vector)) & lapic_vector_bit(vector);
}

/* APM vol. 2, 16.6.4: the highest interrupt in service is done. */
void lapic_eoi(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	int vector;

	if (unlikely(a->apicv))
		lapic_read_service(a);
	vector = a->isr_top;
	if (vector < 0)
		return;
	lapic_end_service(a);
	host_trace_eoi(v, vector);
	if (lapic_eoi_exits(a, vector)) {
		a->eoi_vector = vector;
		vcpu_request(v, REQ_IOAPIC_EOI);
	}
	lapic_recheck_irr(v);
}

/* --- Acceptance. --- */

/*
 * What the vCPU was doing; without a kick it is the one that sends. A CPU that takes interrupts by itself looks at IRR when it enters the
 * guest. That it does so no more the vCPU notes first, and then looks at IRR (lapic_set_apicv): either it finds the bit, or we find the note.
 */
static enum exeunt_target take_interrupt(struct vcpu *v, u8 vector, bool level, bool kick)
{
	struct lapic *a = &v->apic;

	/* With apicv TMR says whether the EOI will be seen: an edge must not take that from a level that is in service. */
	if (level || !a->apicv || !lapic_eoi_exits(a, vector))
		lapic_set_trigger_mode(a, vector, level);
	lapic_irr_set(a, vector);
	if (unlikely(__atomic_load_n(&a->apicv, __ATOMIC_SEQ_CST)))
		return kick ? host_post(v) : EXEUNT_TARGET_SELF;
	vcpu_request(v, REQ_EVENT);
	return kick ? host_kick(v) : EXEUNT_TARGET_SELF;
}

void lapic_set_apicv(struct vcpu *v, bool on)
{
	struct lapic *a = &v->apic;

	__atomic_store_n(&a->apicv, on, __ATOMIC_SEQ_CST);
	lapic_read_service(a);
	__atomic_fetch_or(&a->irr_words, 0xff, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_EVENT);
}

/*
 * Notes an error for ESR and raises the error interrupt (APM vol. 2, 16.4.6) unless that error is
 * noted already. Any context.
 */
static void report_error(struct vcpu *v, u32 error)
{
	if (!(__atomic_fetch_or(&v->apic.esr_pending, error, __ATOMIC_SEQ_CST) & error))
		lapic_lvt_fire(v, LAPIC_LVT_ERROR, true);
}

/* A fixed interrupt arrives at a reachable APIC. -1 if it does not take it, else what its vCPU was doing. Any context. */
static int accept_fixed(struct vcpu *v, u8 vector, bool level, u8 mode, bool kick)
{
	host_trace_apic_accept(v, mode, level, vector);
	if (!lapic_sw_enabled(&v->apic))
		return -1;
	if (unlikely(vector < LAPIC_FIRST_VECTOR)) {
		report_error(v, ESR_RECEIVE_ILLEGAL);
		return -1;
	}
	return take_interrupt(v, vector, level, kick);
}

void lapic_lvt_fire(struct vcpu *v, enum lapic_reg lvt, bool kick)
{
	u32 entry = lapic_reg(&v->apic, lvt);
	u8 vector = entry & LVT_VECTOR;

	if ((entry & LAPIC_LVT_MASKED) || !lapic_reachable(&v->apic))
		return;
	switch ((entry & LVT_MODE) >> 8) {
	case APIC_FIXED:
		/* An illegal vector of the error entry itself has nothing to report it with. */
		if (lvt != LAPIC_LVT_ERROR || vector >= LAPIC_FIRST_VECTOR)
			accept_fixed(v, vector, entry & LVT_LEVEL, APIC_FIXED, kick);
		break;
	case APIC_NMI:
		host_trace_apic_accept(v, APIC_NMI, false, vector);
		event_nmi(v);
		break;
	}
}

/* INIT forgets a start-up IPI that came before it. */
static void queue_init(struct vcpu *v)
{
	__atomic_store_n(&v->apic.pending_init_sipi, PENDING_INIT, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_EVENT);
	host_kick(v);
}

static void queue_sipi(struct vcpu *v, u8 vector)
{
	__atomic_store_n(&v->apic.sipi_vector, vector, __ATOMIC_RELAXED);
	__atomic_fetch_or(&v->apic.pending_init_sipi, PENDING_SIPI, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_EVENT);
	host_kick(v);
}

void lapic_accept_init_sipi(struct vcpu *v)
{
	u32 *pending = &v->apic.pending_init_sipi;

	if (!v->apic.present || !__atomic_load_n(pending, __ATOMIC_ACQUIRE))
		return;
	if (__atomic_fetch_and(pending, ~PENDING_INIT, __ATOMIC_SEQ_CST) & PENDING_INIT) {
		vcpu_reset(v, true);
		v->mp_state = v->apic.base & APIC_BASE_BSP_BIT ? KVM_MP_STATE_RUNNABLE
							       : KVM_MP_STATE_INIT_RECEIVED;
	}
	if (!(__atomic_fetch_and(pending, ~PENDING_SIPI, __ATOMIC_SEQ_CST) & PENDING_SIPI))
		return;
	if (v->mp_state == KVM_MP_STATE_INIT_RECEIVED) {
		vcpu_start_at(v, __atomic_load_n(&v->apic.sipi_vector, __ATOMIC_RELAXED));
		v->mp_state = KVM_MP_STATE_RUNNABLE;
	}
}

bool lapic_accepts_extint(struct vcpu *v)
{
	u32 lint0;

	if (!lapic_reachable(&v->apic))
		return true;
	lint0 = lapic_reg(&v->apic, LAPIC_LVT_LINT0);
	return !(lint0 & LAPIC_LVT_MASKED) && (lint0 & LVT_MODE) >> 8 == APIC_EXTINT;
}

/* --- Destinations. --- */

static u32 x2apic_logical_id(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

/*
 * All APICs are meant. A 32-bit destination means them with all ones only. An 8-bit 0xff from an
 * MSI means them too, except for APICs in x2APIC mode if the VMM asked for the architecture's rule
 * (KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK).
 */
static bool is_broadcast(const struct vcpu *v, const struct vcpu *src, const struct apic_msg *msg)
{
	if (msg->x2apic_dest)
		return msg->dest == X2APIC_BROADCAST;
	return msg->dest == XAPIC_BROADCAST &&
	       (src || !v->vm->x2apic_no_bcast_quirk || !lapic_x2apic(&v->apic));
}

/*
 * The flat and cluster models (Intel SDM vol. 3, 10.6.2.2); in x2APIC mode 16 bits of cluster and
 * one bit for each of its 16 APICs (10.12.10.2).
 */
static bool matches_logical(const struct vcpu *v, u32 dest)
{
	const struct lapic *a = &v->apic;
	u32 logical;

	if (lapic_x2apic(a)) {
		logical = x2apic_logical_id(v->id);
		return dest >> 16 == logical >> 16 && (dest & logical & 0xffff);
	}
	if (dest > 0xff)
		return false;
	logical = lapic_reg(a, LAPIC_LDR) >> 24;
	switch (lapic_reg(a, LAPIC_DFR) >> 28) {
	case 0xf:
		return dest & logical;
	case 0:
		return (dest >> 4 == logical >> 4 || dest >> 4 == 0xf) && (dest & logical & 0xf);
	}
	return false;
}

bool lapic_msg_matches(struct vcpu *v, struct vcpu *src, const struct apic_msg *msg)
{
	if (!lapic_reachable(&v->apic))
		return false;
	switch (msg->shorthand) {
	case APIC_SELF:
		return v == src;
	case APIC_ALL:
		return true;
	case APIC_OTHERS:
		return v != src;
	}
	if (is_broadcast(v, src, msg))
		return true;
	return msg->logical ? matches_logical(v, msg->dest) : msg->dest == v->id;
}

/* What an IPI of @src finds its target @v doing. Both may change at any time: this is for the accounting. */
static enum exeunt_target target_state(const struct vcpu *src, const struct vcpu *v)
{
	if (v == src)
		return EXEUNT_TARGET_SELF;
	if (__atomic_load_n(&v->mode, __ATOMIC_RELAXED) != OUTSIDE_GUEST)
		return EXEUNT_TARGET_RUNNING;
	if (__atomic_load_n(&v->mp_state, __ATOMIC_RELAXED) != KVM_MP_STATE_RUNNABLE)
		return EXEUNT_TARGET_HALTED;
	return host_vcpu_on_cpu(v) ? EXEUNT_TARGET_OUTSIDE : EXEUNT_TARGET_PREEMPTED;
}

/* @msg arrives at @v, which it addresses. -1 if it does not take it, else what it was doing. */
static int deliver_one(struct vcpu *v, struct vcpu *src, const struct apic_msg *msg)
{
	enum exeunt_target state;

	if (msg->delivery_mode <= APIC_LOWEST)
		return accept_fixed(v, msg->vector, msg->level, msg->delivery_mode, v != src);
	host_trace_apic_accept(v, msg->delivery_mode, msg->level, msg->vector);
	state = target_state(src, v);
	switch (msg->delivery_mode) {
	case APIC_NMI:
		event_nmi(v);
		return state;
	case APIC_INIT:
		/* The level de-assert of old only synchronized arbitration ids. */
		if (msg->level && !msg->assert)
			return -1;
		queue_init(v);
		return state;
	case APIC_SIPI:
		queue_sipi(v, msg->vector);
		return state;
	}
	return -1;	/* SMI is not supported; ExtINT has no sender but the PIC */
}

/* The PPR of another vCPU: where the CPU takes interrupts by itself, what there is of it in the page may be old. */
static u32 priority_of(const struct lapic *a)
{
	u32 tpr = lapic_reg(a, LAPIC_TPR);
	int vector;

	if (!a->apicv)
		return lapic_reg(a, LAPIC_PPR);
	vector = highest_in(a, LAPIC_ISR);
	return vector < 0 ? tpr : max(LAPIC_PRIORITY(tpr), LAPIC_PRIORITY((u32)vector));
}

/*
 * Lowest priority: one of those addressed, the one whose PPR is lowest. Among equals the search's
 * start decides, which depends on the vector: one vector stays on one vCPU while it is idle, and
 * different vectors spread.
 */
static int deliver_lowest(struct vm *vm, struct vcpu *src, const struct apic_msg *msg)
{
	u32 nr = min_t(u32, __atomic_load_n(&vm->max_id, __ATOMIC_RELAXED) + 1, VM_MAX_VCPUS);
	u32 start = msg->vector % nr;
	struct vcpu *best = NULL;
	u32 best_ppr = 0;

	for (u32 i = 0; i < nr; i++) {
		struct vcpu *v = vm_vcpu(vm, start + i < nr ? start + i : start + i - nr);
		u32 ppr;

		if (!v || !lapic_msg_matches(v, src, msg) || !lapic_sw_enabled(&v->apic))
			continue;
		ppr = priority_of(&v->apic);
		if (!best || ppr < best_ppr) {
			best = v;
			best_ppr = ppr;
		}
	}
	return best ? deliver_one(best, src, msg) : -1;
}

/* One vCPU is meant, and its id is the destination. */
static bool is_unicast(const struct apic_msg *msg)
{
	return !msg->shorthand && !msg->logical &&
	       msg->dest != (msg->x2apic_dest ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

/* Accounts for an IPI that @count vCPUs have taken, the first of which was doing @first. */
static void count_ipi(struct vcpu *v, const struct apic_msg *msg, int count, int first)
{
	bool logical = msg->logical || msg->shorthand;

	if (likely(count == 1)) {
		stats_ipi_one(v->stats, msg->delivery_mode, logical, first);
	} else if (count) {
		stats_inc(v, ipis[msg->delivery_mode & 7][logical][1]);
		stats_inc(v, ipi_targets[1][first]);
	} else {
		stats_inc(v, ipis_untaken);
	}
}

/*
 * One of several has taken an IPI if @state, what it was doing, is not negative. *@count: those that took it; *@first: what the first of them
 * was doing.
 */
static void note_taken(struct vcpu *src, int state, int *count, int *first)
{
	if (state < 0)
		return;
	if (!(*count)++)
		*first = state;
	else if (src)
		stats_inc(src, ipi_targets[1][state]);
}

/* To all that are addressed. The number that took it; in *@first what the first of them was doing. */
static int deliver_all(struct vm *vm, struct vcpu *src, const struct apic_msg *msg, int *first)
{
	struct vcpu *v;
	int count = 0;
	u32 i;

	vm_for_each_vcpu(vm, v, i)
		if (lapic_msg_matches(v, src, msg))
			note_taken(src, deliver_one(v, src, msg), &count, first);
	return count;
}

int lapic_deliver(struct vm *vm, struct vcpu *src, const struct apic_msg *msg)
{
	int count, first = -1;

	if (is_unicast(msg)) {
		struct vcpu *v = vm_vcpu(vm, msg->dest);

		if (v && lapic_reachable(&v->apic))
			first = deliver_one(v, src, msg);
		count = first >= 0;
	} else if (msg->delivery_mode == APIC_LOWEST) {
		first = deliver_lowest(vm, src, msg);
		count = first >= 0;
	} else {
		count = deliver_all(vm, src, msg, &first);
	}
	if (src)
		count_ipi(src, msg, count, first);
	return count;
}

void lapic_decode_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data, struct apic_msg *msg)
{
	u32 dest = address_lo >> 12 & 0xff;
	bool redirect = address_lo & (1u << 3);

	if (vm->x2apic_ids32)
		dest |= address_hi & 0xffffff00u;
	*msg = (struct apic_msg){
		.dest = dest,
		.vector = data & 0xff,
		.delivery_mode = data >> 8 & 7,
		.logical = address_lo & (1u << 2),
		.level = data & (1u << 15),
		.assert = true,
		.x2apic_dest = dest > 0xff,
	};
	/* The redirection hint asks for one of a logical group. */
	if (redirect && msg->logical && msg->delivery_mode == APIC_FIXED)
		msg->delivery_mode = APIC_LOWEST;
}

int lapic_deliver_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct apic_msg msg;

	lapic_decode_msi(vm, address_lo, address_hi, data, &msg);
	return lapic_deliver(vm, NULL, &msg);
}

/* --- IPIs. --- */

static struct apic_msg icr_message(const struct vcpu *v, u32 icr, u32 dest)
{
	return (struct apic_msg){
		.dest = dest,
		.vector = icr & LVT_VECTOR,
		.delivery_mode = (icr & ICR_MODE) >> 8,
		.shorthand = (icr & ICR_SHORTHAND) >> 18,
		.logical = icr & ICR_LOGICAL,
		.level = icr & ICR_LEVEL,
		.assert = icr & ICR_ASSERT,
		.x2apic_dest = lapic_x2apic(&v->apic),
	};
}

static void send_ipi(struct vcpu *v, u32 icr, u32 dest)
{
	struct apic_msg msg = icr_message(v, icr, dest);

	host_trace_apic_ipi(icr, dest);
	if (msg.delivery_mode <= APIC_LOWEST && msg.vector < LAPIC_FIRST_VECTOR) {
		report_error(v, ESR_SEND_ILLEGAL);
		return;
	}
	lapic_deliver(v->vm, v, &msg);
}

/* The one vCPU whose x2APIC logical id has the one bit of @dest. NULL: none, or its APIC is in xAPIC mode and has another id. */
static struct vcpu *find_logical(struct vm *vm, u32 dest)
{
	u32 bit = dest & 0xffff;
	struct vcpu *target;

	if (bit & (bit - 1) || !bit)
		return NULL;
	target = vm_vcpu(vm, (dest >> 16) * 16 + lapic_highest_bit(bit));
	return target && lapic_x2apic(&target->apic) ? target : NULL;
}

/*
 * Whom an x2APIC's ICR of fixed delivery and a legal vector means, if that is one vCPU and easy to find. NULL: lapic_deliver() has to
 * look at them all.
 */
static struct vcpu *find_target(struct vcpu *v, u32 icr, u32 dest)
{
	if ((icr & ICR_MODE) || (icr & LVT_VECTOR) < LAPIC_FIRST_VECTOR)
		return NULL;
	if ((icr & ICR_SHORTHAND) == (u32)APIC_SELF << 18)
		return v;
	if ((icr & ICR_SHORTHAND) || dest == X2APIC_BROADCAST)
		return NULL;
	return icr & ICR_LOGICAL ? find_logical(v->vm, dest) : vm_vcpu(v->vm, dest);
}

/* What lapic_deliver() would do for the one target, without a message. */
static void send_to_one(struct vcpu *v, struct vcpu *target, u32 icr, u32 dest)
{
	bool logical = icr & (ICR_LOGICAL | ICR_SHORTHAND);
	int state = -1;

	host_trace_apic_ipi(icr, dest);
	if (likely(lapic_reachable(&target->apic)))
		state = accept_fixed(target, icr & LVT_VECTOR, icr & ICR_LEVEL, APIC_FIXED, target != v);
	if (unlikely(state < 0))
		stats_inc(v, ipis_untaken);
	else
		stats_ipi_one(v->stats, APIC_FIXED, logical, state);
}

bool lapic_icr_write_one(struct vcpu *v, u64 icr)
{
	u32 low = (u32)icr & ~ICR_BUSY, dest = icr >> 32;
	struct vcpu *target;

	if (unlikely(low & ~ICR_WRITABLE))
		return false;
	target = find_target(v, low, dest);
	if (unlikely(!target))
		return false;
	lapic_set_x2apic_icr(&v->apic, (u64)dest << 32 | low);
	send_to_one(v, target, low, dest);
	host_trace_apic(v, true, LAPIC_ICR, icr);
	return true;
}

int lapic_send_to_set(struct vcpu *v, u32 icr, u64 base, u32 width, u64 low, u64 high)
{
	struct apic_msg msg = {
		.vector = icr & LVT_VECTOR,
		.delivery_mode = (icr & ICR_MODE) >> 8,
		.level = icr & ICR_LEVEL,
		.assert = icr & ICR_ASSERT,
	};
	u64 sets[2] = { low, high };
	int count = 0, first = -1;

	if (icr & (ICR_LOGICAL | ICR_SHORTHAND))
		return -EINVAL;
	if (msg.delivery_mode <= APIC_LOWEST && msg.vector < LAPIC_FIRST_VECTOR) {
		report_error(v, ESR_SEND_ILLEGAL);
		return 0;
	}
	/* Nobody has such an id; and the sums below cannot overflow. */
	if (base >= VM_MAX_VCPUS)
		return 0;
	for (u32 i = 0; i < 2; i++) {
		for (u64 set = sets[i]; set; set &= set - 1) {
			struct vcpu *target = vm_vcpu(v->vm, (u32)base + i * width + __builtin_ctzll(set));

			if (target && lapic_reachable(&target->apic))
				note_taken(v, deliver_one(target, v, &msg), &count, &first);
		}
	}
	if (low | high)
		count_ipi(v, &msg, count, first);
	return count;
}

static void write_self_ipi(struct vcpu *v, u8 vector)
{
	u32 icr = (u32)APIC_SELF << 18 | vector;

	if (likely(vector >= LAPIC_FIRST_VECTOR))
		send_to_one(v, v, icr, 0);
	else
		send_ipi(v, icr, 0);
}

int lapic_icr_write(struct vcpu *v, u64 icr)
{
	u32 low = (u32)icr & ~ICR_BUSY, dest = icr >> 32;

	if (lapic_icr_write_one(v, icr))
		return 0;
	if (low & ~ICR_WRITABLE)
		return 1;
	lapic_set_x2apic_icr(&v->apic, (u64)dest << 32 | low);
	send_ipi(v, low, dest);
	host_trace_apic(v, true, LAPIC_ICR, icr);
	return 0;
}

/*
 * The CPU has set the bit of @vector in IRR, and that was not enough. A vCPU that by now runs where the CPUs know it looks at IRR after that.
 * Others that take interrupts by themselves may be in the guest, too: in xAPIC mode, or since before. -1: it does not take it. As
 * take_interrupt().
 */
static int take_sent(struct vcpu *v, struct vcpu *src, u8 vector)
{
	enum exeunt_target state = target_state(src, v);

	if (!lapic_reachable(&v->apic) || !lapic_sw_enabled(&v->apic))
		return -1;
	host_trace_apic_accept(v, APIC_FIXED, false, vector);
	if (__atomic_load_n(&v->apic.apicv, __ATOMIC_SEQ_CST)) {
		if (v != src && !vendor_runs_openly(v))
			host_post(v);
		return state;
	}
	__atomic_fetch_or(&v->apic.irr_words, 1u << (vector >> 5), __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_EVENT);
	if (v != src)
		host_kick(v);
	return state;
}

/* Whom the CPU has sent to by an x2APIC's logical destination: it goes by vCPU ids, whatever the mode of their APICs. */
static bool logical_by_id(const struct vcpu *v, u32 dest)
{
	return v->id >> 4 == dest >> 16 && (dest >> (v->id & 15) & 1);
}

bool lapic_icr_sent_one(struct vcpu *v, u64 icr)
{
	struct vcpu *target = find_target(v, (u32)icr, icr >> 32);
	int state;

	if (unlikely(!target))
		return false;
	host_trace_apic_ipi((u32)icr, icr >> 32);
	state = take_sent(target, v, (u8)icr);
	if (likely(state >= 0))
		stats_ipi_one(v->stats, APIC_FIXED, icr & (ICR_LOGICAL | ICR_SHORTHAND), state);
	else
		stats_inc(v, ipis_untaken);
	return true;
}

void lapic_icr_sent(struct vcpu *v, u64 icr)
{
	struct apic_msg msg = icr_message(v, (u32)icr, icr >> 32);
	bool by_id = msg.logical && !msg.shorthand && msg.dest != X2APIC_BROADCAST;
	int count = 0, first = -1;
	struct vcpu *target;
	u32 i;

	host_trace_apic_ipi((u32)icr, icr >> 32);
	vm_for_each_vcpu(v->vm, target, i)
		if (by_id ? logical_by_id(target, msg.dest) : lapic_msg_matches(target, v, &msg))
			note_taken(v, take_sent(target, v, msg.vector), &count, &first);
	count_ipi(v, &msg, count, first);
}

/* --- Registers. --- */

/* Bits of the LVT entry @reg that can be written. */
static u32 lvt_writable(struct vcpu *v, u32 reg)
{
	switch (reg) {
	case LAPIC_LVT_TIMER:
		return LVT_VECTOR | LAPIC_LVT_MASKED | LVT_PERIODIC |
		       (v->cpuid.has_tsc_deadline ? LVT_TSC_DEADLINE : 0);
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
		return LVT_VECTOR | LAPIC_LVT_MASKED | LVT_MODE;
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		return LVT_VECTOR | LAPIC_LVT_MASKED | LVT_MODE | LVT_PINS;
	default:
		return LVT_VECTOR | LAPIC_LVT_MASKED;
	}
}

static void write_lvt(struct vcpu *v, u32 reg, u32 value)
{
	struct lapic *a = &v->apic;

	value &= lvt_writable(v, reg);
	if (!lapic_sw_enabled(a))
		value |= LAPIC_LVT_MASKED;
	if (reg == LAPIC_LVT_TIMER)
		lapic_timer_set_lvt(v, value);
	else
		lapic_set_reg(a, reg, value);
	/* An interrupt of the VMM's PIC may have waited for this. */
	if (reg == LAPIC_LVT_LINT0)
		vcpu_request(v, REQ_EVENT);
}

/* Software-disabling masks every LVT entry, and they stay masked (APM vol. 2, 16.4.7). */
static void write_svr(struct vcpu *v, u32 value)
{
	struct lapic *a = &v->apic;

	lapic_set_reg(a, LAPIC_SVR, value & SVR_WRITABLE);
	vendor_apic_changed(v);
	if (lapic_sw_enabled(a))
		return;
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
		lapic_set_reg(a, reg, lapic_reg(a, reg) | LAPIC_LVT_MASKED);
}

/* The register @reg as a read sees it: some are computed. */
static u32 read_reg(struct vcpu *v, u32 reg)
{
	struct lapic *a = &v->apic;

	switch (reg) {
	case LAPIC_VERSION:
		return LAPIC_VERSION_VALUE;
	case LAPIC_TIMER_CURRENT:
		return lapic_timer_current(v);
	case LAPIC_PPR:
		if (a->apicv)
			lapic_read_service(a);
		return lapic_reg(a, LAPIC_PPR);
	default:
		return lapic_reg(a, reg);
	}
}

/* A write to an existing register, its value not yet cut to the bits that can be written. */
static void write_reg(struct vcpu *v, u32 reg, u32 value)
{
	struct lapic *a = &v->apic;

	switch (reg) {
	case LAPIC_EOI:
		lapic_eoi(v);
		return;
	case LAPIC_TPR:
		lapic_set_tpr(v, value & TPR_WRITABLE);
		return;
	case LAPIC_TIMER_INITIAL:
		lapic_timer_set_initial(v, value);
		return;
	case LAPIC_TIMER_DIVIDE:
		lapic_timer_set_divide(v, value & DIVIDE_WRITABLE);
		return;
	case LAPIC_SVR:
		write_svr(v, value);
		return;
	case LAPIC_ESR:
		lapic_set_reg(a, LAPIC_ESR,
			      __atomic_exchange_n(&a->esr_pending, 0, __ATOMIC_SEQ_CST));
		return;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		write_lvt(v, reg, value);
		return;
	}
}

/* The registers that only the xAPIC page lets one write. True if @reg is one. */
static bool write_xapic_reg(struct vcpu *v, u32 reg, u32 value)
{
	struct lapic *a = &v->apic;

	switch (reg) {
	case LAPIC_LDR:
		lapic_set_reg(a, LAPIC_LDR, value & LDR_WRITABLE);
		vcpu_request(v, REQ_IOAPIC_SCAN);
		return true;
	case LAPIC_DFR:
		lapic_set_reg(a, LAPIC_DFR, value | DFR_FIXED);
		vcpu_request(v, REQ_IOAPIC_SCAN);
		return true;
	case LAPIC_ICR_HIGH:
		lapic_set_reg(a, LAPIC_ICR_HIGH, value & LDR_WRITABLE);
		return true;
	case LAPIC_ICR:
		lapic_set_reg(a, LAPIC_ICR, value & ICR_WRITABLE);
		send_ipi(v, value & ICR_WRITABLE, lapic_reg(a, LAPIC_ICR_HIGH) >> 24);
		return true;
	}
	return false;
}

/* --- The page. --- */

/* Whether @gpa is the APIC page's. *@hole: the page is there but no xAPIC behind it. */
static bool page_claimed(struct vcpu *v, u64 gpa, bool *hole)
{
	struct lapic *a = &v->apic;

	if (!a->present || (gpa ^ a->base) & ~LAPIC_PAGE_MASK)
		return false;
	*hole = !lapic_hw_enabled(a) || lapic_x2apic(a);
	return !*hole || !(v->vm->disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

static bool reg_exists(u32 reg, u64 which)
{
	return reg < LAPIC_END && which >> (reg >> 4) & 1;
}

/*
 * Only the first four bytes of each sixteen hold the register (APM vol. 2, 16.3.2); the others read
 * as 0.
 */
bool lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *data)
{
	u32 offset = gpa & LAPIC_PAGE_MASK, reg = offset & ~15u, value = 0;
	bool hole;

	if (!page_claimed(v, gpa, &hole))
		return false;
	memset(data, hole ? 0xff : 0, len);
	if (hole)
		return true;
	if (reg_exists(reg, READABLE_REGS | XAPIC_ONLY_REGS))
		value = read_reg(v, reg);
	else
		report_error(v, ESR_ILLEGAL_REG);
	host_trace_apic(v, false, reg, value);
	offset &= 15;
	if (offset < sizeof(value) && len <= sizeof(value) - offset)
		memcpy(data, (u8 *)&value + offset, len);
	return true;
}

bool lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *data)
{
	u32 reg = gpa & LAPIC_PAGE_MASK, value;
	bool hole;

	if (!page_claimed(v, gpa, &hole))
		return false;
	if (hole || len != sizeof(value) || (reg & 15))
		return true;
	memcpy(&value, data, sizeof(value));
	host_trace_apic(v, true, reg, value);
	if (!reg_exists(reg, READABLE_REGS | XAPIC_ONLY_REGS))
		report_error(v, ESR_ILLEGAL_REG);
	else if (!write_xapic_reg(v, reg, value))
		write_reg(v, reg, value);
	return true;
}

/* --- The x2APIC's MSRs. --- */

/* The offset of the register that is MSR 0x800..0x8ff. */
static u32 x2apic_reg(u32 msr)
{
	return (msr & 0xff) << 4;
}

int lapic_x2apic_read(struct vcpu *v, u32 msr, u64 *value)
{
	u32 reg = x2apic_reg(msr);

	if (!v->apic.present || !lapic_x2apic(&v->apic) || !reg_exists(reg, READABLE_REGS))
		return 1;
	*value = read_reg(v, reg);
	if (reg == LAPIC_ICR)
		*value |= (u64)lapic_reg(&v->apic, LAPIC_ICR_HIGH) << 32;
	host_trace_apic(v, false, reg, *value);
	return 0;
}

/* The x2APIC register @reg can be written; *@bits: those that need not be 0. */
static bool x2apic_writable(struct vcpu *v, u32 reg, u32 *bits)
{
	switch (reg) {
	case LAPIC_EOI:
	case LAPIC_ESR:
		*bits = 0;
		return true;
	case LAPIC_TPR:
		*bits = TPR_WRITABLE;
		return true;
	case LAPIC_SELF_IPI:
		*bits = LVT_VECTOR;
		return true;
	case LAPIC_TIMER_INITIAL:
		*bits = ~0u;
		return true;
	case LAPIC_TIMER_DIVIDE:
		*bits = DIVIDE_WRITABLE;
		return true;
	case LAPIC_SVR:
		*bits = SVR_WRITABLE;
		return true;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		*bits = lvt_writable(v, reg) | LVT_READ_ONLY;
		return true;
	}
	return false;
}

int lapic_x2apic_write(struct vcpu *v, u32 msr, u64 value)
{
	u32 reg = x2apic_reg(msr), bits;

	if (!v->apic.present || !lapic_x2apic(&v->apic))
		return 1;
	if (msr == M_X2APIC_ICR)
		return lapic_icr_write(v, value);
	if (!x2apic_writable(v, reg, &bits) || value & ~(u64)bits)
		return 1;
	host_trace_apic(v, true, reg, value);
	if (reg == LAPIC_SELF_IPI)
		write_self_ipi(v, value);
	else
		write_reg(v, reg, value);
	return 0;
}

/* --- Life. --- */

int lapic_create(struct vcpu *v)
{
	v->apic.regs = host_pages_alloc(0, &v->apic.regs_pa);
	if (!v->apic.regs)
		return -ENOMEM;
	v->apic.present = true;
	lapic_reset(v, false);
	return 0;
}

void lapic_free(struct vcpu *v)
{
	if (!v->apic.present)
		return;
	host_timer_cancel(v);
	v->apic.present = false;
	host_pages_free(v->apic.regs, 0);
	v->apic.regs = NULL;
}

/* The APIC is in another mode, or its registers are others: its ids follow, and so does who can reach it. */
static void mode_changed(struct vcpu *v)
{
	struct lapic *a = &v->apic;

	lapic_set_reg(a, LAPIC_ID, lapic_x2apic(a) ? v->id : v->id << 24);
	/* An xAPIC's logical id is the guest's to write; an x2APIC's has no bits there. */
	lapic_set_reg(a, LAPIC_LDR, lapic_x2apic(a) ? x2apic_logical_id(v->id) : lapic_reg(a, LAPIC_LDR) & LDR_WRITABLE);
	vendor_apic_changed(v);
}

/* The reset values of APM vol. 2, table 16-2; what is 0 there and what is computed is 0 here. */
static void reset_regs(struct vcpu *v)
{
	struct lapic *a = &v->apic;

	lapic_timer_reset(v);
	for (u32 reg = 0; reg < LAPIC_END; reg += 16)
		lapic_set_reg(a, reg, 0);
	vendor_set_cr8(v, 0);
	lapic_set_reg(a, LAPIC_DFR, ~0u);
	lapic_set_reg(a, LAPIC_SVR, 0xff);
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
		lapic_set_reg(a, reg, LAPIC_LVT_MASKED);
	if ((a->base & APIC_BASE_BSP_BIT) &&
	    !(v->vm->disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED))
		lapic_set_reg(a, LAPIC_LVT_LINT0, APIC_EXTINT << 8);
	a->isr_top = -1;
	a->isr_words = 0;
	__atomic_store_n(&a->esr_pending, 0, __ATOMIC_RELAXED);
}

void lapic_reset(struct vcpu *v, bool init)
{
	struct lapic *a = &v->apic;
	u64 bsp = v->id == v->vm->bsp_id ? APIC_BASE_BSP_BIT : 0;

	if (!init) {
		__atomic_store_n(&a->base, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | bsp,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&a->pending_init_sipi, 0, __ATOMIC_SEQ_CST);
		a->sipi_vector = 0;
	}
	if (!a->present) {
		lapic_set_cr8(v, 0);
		return;
	}
	reset_regs(v);
	mode_changed(v);
	vcpu_request(v, REQ_IOAPIC_SCAN);
}

/*
 * Off, xAPIC, x2APIC: which a base value asks for; the bit pattern that is none of them is x2APIC
 * without enable.
 */
static u64 mode_bits(u64 base)
{
	return base & (APIC_BASE_ENABLE_BIT | APIC_BASE_X2APIC_BIT);
}

/*
 * The guest may go from off to xAPIC, from there to x2APIC, and from any to off (APM vol. 2, 16.9).
 */
static bool transition_allowed(u64 from, u64 to)
{
	if (mode_bits(from) == mode_bits(to) || !mode_bits(to))
		return true;
	if (!mode_bits(from))
		return mode_bits(to) == APIC_BASE_ENABLE_BIT;
	return mode_bits(to) != APIC_BASE_ENABLE_BIT;
}

/*
 * Bits of the base MSR that @v's guest (or with @host the VMM, which may not have set the CPUID
 * yet) may set.
 */
static u64 base_allowed(struct vcpu *v, bool host)
{
	u32 width = host ? MAX_PHYS_BITS
			 : clamp_t(u32, v->cpuid.maxphyaddr, MIN_PHYS_BITS, MAX_PHYS_BITS);
	u64 bits = APIC_BASE_BSP_BIT | APIC_BASE_ENABLE_BIT |
		   (((1ull << width) - 1) & ~LAPIC_PAGE_MASK);

	if (v->apic.present && (host || v->cpuid.has_x2apic))
		bits |= APIC_BASE_X2APIC_BIT;
	return bits;
}

int lapic_set_base(struct vcpu *v, u64 value, bool host)
{
	struct lapic *a = &v->apic;
	u64 old = a->base;

	if (value & ~base_allowed(v, host) || mode_bits(value) == APIC_BASE_X2APIC_BIT)
		return 1;
	if (!host && !transition_allowed(old, value))
		return 1;
	__atomic_store_n(&a->base, value, __ATOMIC_RELAXED);
	if (!a->present || mode_bits(old) == mode_bits(value))
		return 0;
	/*
	 * What a disabled APIC held is lost; one that becomes an x2APIC starts with the ICR it had,
	 * its destination gone.
	 */
	if (!lapic_hw_enabled(a))
		reset_regs(v);
	else if (lapic_x2apic(a))
		lapic_set_reg(a, LAPIC_ICR_HIGH, 0);
	else
		lapic_set_reg(a, LAPIC_ICR_HIGH, lapic_reg(a, LAPIC_ICR_HIGH) & LDR_WRITABLE);
	mode_changed(v);
	vcpu_request(v, REQ_EVENT);
	vcpu_request(v, REQ_IOAPIC_SCAN);
	return 0;
}

/* --- State for the VMM. --- */

static void save_reg(struct kvm_lapic_state *s, u32 reg, u32 value)
{
	memcpy(s->regs + reg, &value, sizeof(value));
}

static u32 saved_reg(const struct kvm_lapic_state *s, u32 reg)
{
	u32 value;

	memcpy(&value, s->regs + reg, sizeof(value));
	return value;
}

void lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s)
{
	struct lapic *a = &v->apic;

	memset(s, 0, sizeof(*s));
	if (!a->present)
		return;
	for (u32 reg = 0; reg < LAPIC_END; reg += 16)
		save_reg(s, reg, read_reg(v, reg));
	if (lapic_x2apic(a) && !v->vm->x2apic_ids32)
		save_reg(s, LAPIC_ID, v->id << 24);
}

/* The request, service and trigger-mode bits, without the vectors that cannot be. */
static void load_vectors(struct lapic *a, const struct kvm_lapic_state *s)
{
	u32 words = 0;

	a->isr_words = 0;
	a->isr_top = -1;
	for (u32 i = 0; i < 8; i++) {
		u32 legal = i ? ~0u : ~0u << LAPIC_FIRST_VECTOR;
		u32 irr = saved_reg(s, LAPIC_IRR + i * 16) & legal;
		u32 isr = saved_reg(s, LAPIC_ISR + i * 16) & legal;

		lapic_set_reg(a, LAPIC_ISR + i * 16, isr);
		a->isr_words |= (u32)!!isr << i;
		if (isr)
			a->isr_top = i * 32 + lapic_highest_bit(isr);
		lapic_set_reg(a, LAPIC_TMR + i * 16, saved_reg(s, LAPIC_TMR + i * 16) & legal);
		lapic_set_reg(a, LAPIC_IRR + i * 16, irr);
		words |= (u32)!!irr << i;
	}
	__atomic_fetch_or(&a->irr_words, words, __ATOMIC_SEQ_CST);
}

/*
 * The other registers, cut to the bits that a guest could have set. An APIC disabled by software
 * may still have LINT0 open: VMMs reset the boot processor's so, as reset_regs() does.
 */
static void load_regs(struct vcpu *v, const struct kvm_lapic_state *s)
{
	struct lapic *a = &v->apic;

	lapic_set_reg(a, LAPIC_TPR, saved_reg(s, LAPIC_TPR) & TPR_WRITABLE);
	vendor_set_cr8(v, lapic_tpr(a) >> 4);
	lapic_set_reg(a, LAPIC_LDR, lapic_x2apic(a) ? 0 : saved_reg(s, LAPIC_LDR) & LDR_WRITABLE);
	lapic_set_reg(a, LAPIC_DFR, saved_reg(s, LAPIC_DFR) | DFR_FIXED);
	lapic_set_reg(a, LAPIC_SVR, saved_reg(s, LAPIC_SVR) & SVR_WRITABLE);
	lapic_set_reg(a, LAPIC_ESR, saved_reg(s, LAPIC_ESR) & 0xff);
	lapic_set_reg(a, LAPIC_ICR, saved_reg(s, LAPIC_ICR) & ICR_WRITABLE);
	lapic_set_reg(a, LAPIC_ICR_HIGH,
		      saved_reg(s, LAPIC_ICR_HIGH) & (lapic_x2apic(a) ? ~0u : LDR_WRITABLE));
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
		lapic_set_reg(a, reg, saved_reg(s, reg) & lvt_writable(v, reg));
	lapic_set_reg(a, LAPIC_TIMER_INITIAL, saved_reg(s, LAPIC_TIMER_INITIAL));
	lapic_set_reg(a, LAPIC_TIMER_DIVIDE, saved_reg(s, LAPIC_TIMER_DIVIDE) & DIVIDE_WRITABLE);
}

int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s)
{
	struct lapic *a = &v->apic;
	u64 tscdeadline = a->timer.tscdeadline;
	bool id32;

	if (!a->present)
		return -EINVAL;
	id32 = lapic_x2apic(a) && v->vm->x2apic_ids32;
	if (saved_reg(s, LAPIC_ID) != (id32 ? v->id : v->id << 24))
		return -EINVAL;
	lapic_timer_reset(v);
	load_vectors(a, s);
	load_regs(v, s);
	lapic_update_ppr(a);
	mode_changed(v);
	lapic_timer_load(v, saved_reg(s, LAPIC_TIMER_CURRENT), tscdeadline);
	vcpu_request(v, REQ_EVENT);
	vcpu_request(v, REQ_IOAPIC_SCAN);
	return 0;
}

/* --- INIT and SIPI state that the VMM restores. --- */

void lapic_set_sipi_vector(struct vcpu *v, u8 vector)
{
	__atomic_store_n(&v->apic.sipi_vector, vector, __ATOMIC_RELAXED);
}

void lapic_receive_sipi(struct vcpu *v)
{
	__atomic_fetch_or(&v->apic.pending_init_sipi, PENDING_SIPI, __ATOMIC_SEQ_CST);
}

/* --- The page that the VMM's patched guest code reads instead of the TPR (QEMU's kvmvapic). --- */

int lapic_set_vapic(struct vcpu *v, u64 gpa)
{
	u32 probe;

	if (gpa && host_guest_read(v->vm, gpa, &probe, sizeof(probe)))
		return -EINVAL;
	v->apic.vapic_gpa = gpa;
	return 0;
}

void lapic_sync_to_vapic(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	int irr;
	u8 page[4];

	if (!a->present || !a->vapic_gpa)
		return;
	irr = lapic_highest_irr(v);
	page[0] = lapic_reg(a, LAPIC_TPR);
	page[1] = a->isr_top < 0 ? 0 : LAPIC_PRIORITY(a->isr_top);
	page[2] = 0;
	page[3] = irr < 0 ? 0 : irr;
	host_guest_write(v->vm, a->vapic_gpa, page, sizeof(page));
}

void lapic_sync_from_vapic(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	u8 tpr;

	if (!a->present || !a->vapic_gpa || host_guest_read(v->vm, a->vapic_gpa, &tpr, sizeof(tpr)))
		return;
	if (tpr != lapic_reg(a, LAPIC_TPR))
		lapic_set_tpr(v, tpr);
}
