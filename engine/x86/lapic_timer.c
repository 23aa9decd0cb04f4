// SPDX-License-Identifier: GPL-2.0
/*
 * The APIC timer (APM vol. 2, 16.4.1; TSC deadline: Intel SDM vol. 3, 10.5.4.1). The APIC bus runs
 * at 1 GHz, so one count is divide nanoseconds. Owns struct lapic_timer.
 *
 * The host's timer is only a reminder: when it fires, timer.pending makes the vCPU's thread look,
 * and that thread decides from the registers whether the timer really expired. An expiry that raced
 * with the guest's disarming or re-arming is dropped there. So the host's timer may also fire too
 * early: it is left as it is when the guest's timer is stopped or moves later, until the vCPU sleeps.
 */
#include "x86/lapic_inline.h"

/*
 * A shorter period is stretched: a guest may not keep the host busy with its ticks. KVM's default
 * min_timer_period_us.
 */
#define MIN_PERIOD_NS		200000ull
/*
 * Deadlines further away than this are armed in steps: the conversion to ns stays within 63 bits
 * whatever the rate.
 */
#define MAX_TSC_DELTA		(1ull << 42)
/* EXEUNT_TIMER_ADVANCE: at most, to begin with, and the part of an error that the next expiry corrects. */
#define MAX_ADVANCE_NS		5000
#define FIRST_ADVANCE_NS	1000
#define ADVANCE_STEP		4
#define MAX_WRONG_NS		(2 * MAX_ADVANCE_NS)

/* One-shot or periodic. Mode 3 is reserved: nothing counts. */
static bool counts(enum lapic_timer_mode mode)
{
	return mode == TIMER_ONE_SHOT || mode == TIMER_PERIODIC;
}

static u64 period_ns(const struct lapic *a)
{
	u64 ns = (u64)lapic_reg(a, LAPIC_TIMER_INITIAL) * a->timer.divide;

	return lapic_timer_mode(a) == TIMER_PERIODIC ? max(ns, (u64)MIN_PERIOD_NS) : ns;
}

/* The divide configuration's bits 3, 1 and 0 are one number: 0 divides by 2, 6 by 128, 7 by 1. */
static u32 divisor(u32 divide_config)
{
	u32 n = (divide_config & 3) | (divide_config >> 1 & 4);

	return 1u << ((n + 1) & 7);
}

/* The host's timer, if it has fired, is not armed any more. True: it has. */
static bool forget_expiry(struct lapic_timer *t)
{
	if (!__atomic_exchange_n(&t->pending, 0, __ATOMIC_ACQUIRE))
		return false;
	t->armed_ns = t->armed_tsc = 0;
	return true;
}

/*
 * The host's timer fires at @ns, or before. @tsc: the deadline that this is, or 0. If it fires just now, after the look at pending, then
 * the vCPU's thread is asked to look again.
 */
static void program(struct vcpu *v, u64 ns, u64 tsc, bool lazily)
{
	struct lapic_timer *t = &v->apic.timer;

	forget_expiry(t);
	t->lax = lazily && t->armed_ns && t->armed_ns <= ns;
	if (t->lax)
		return;
	t->armed_ns = ns;
	t->armed_tsc = tsc;
	host_timer_arm(v, ns);
}

static bool is_lazy(const struct vcpu *v)
{
	return v->mechanisms & EXEUNT_LAZY_TIMER;
}

static void arm(struct vcpu *v, u64 expires_ns)
{
	v->apic.timer.expires_ns = expires_ns;
	program(v, expires_ns, 0, is_lazy(v));
}

static void cancel(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;

	t->lax = false;
	if (t->armed_ns)
		host_timer_cancel(v);
	t->armed_ns = t->armed_tsc = 0;
}

static void stop(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;

	t->expires_ns = 0;
	forget_expiry(t);
	if (is_lazy(v))
		t->lax = t->armed_ns;
	else
		cancel(v);
}

/* Counts down from @count; 0 stops. */
static void count_from(struct vcpu *v, u32 count)
{
	struct lapic *a = &v->apic;
	u64 ns = (u64)count * a->timer.divide;

	if (!count || !counts(lapic_timer_mode(a))) {
		stop(v);
		return;
	}
	if (count == lapic_reg(a, LAPIC_TIMER_INITIAL))
		ns = period_ns(a);
	arm(v, host_now_ns() + ns);
}

static u64 rate_khz(const struct vcpu *v)
{
	return v->msr.tsc_khz ? v->msr.tsc_khz : host_tsc_khz();
}

/* By how much earlier than a deadline the host's timer fires, in ticks of the guest's TSC. */
static u64 advance_ticks(const struct vcpu *v, bool asleep)
{
	if (!(v->mechanisms & EXEUNT_TIMER_ADVANCE))
		return 0;
	return host_muldiv(v->apic.timer.advance_ns[asleep], rate_khz(v), 1000000);
}

/* Programs the host's timer for timer.tscdeadline, which is not before @tsc. @asleep: the vCPU is expected to sleep by then. */
static void program_deadline(struct vcpu *v, u64 tsc, bool asleep, bool lazily)
{
	struct lapic_timer *t = &v->apic.timer;
	u64 delta = min(t->tscdeadline - tsc, (u64)MAX_TSC_DELTA), early = min(advance_ticks(v, asleep), delta);

	program(v, host_now_ns() + host_muldiv(delta - early, 1000000, rate_khz(v)) + 1, tsc + delta - early, lazily);
	if (!t->lax)
		t->asleep = asleep;
}

/* The deadline is reached, or about to be. */
static void deadline_fire(struct vcpu *v, u64 early_tsc)
{
	v->apic.timer.tscdeadline = 0;
	stop(v);
	v->apic.timer.early_tsc = early_tsc;
	lapic_lvt_fire(v, LAPIC_LVT_TIMER, false);
}

/* The host's timer fired: was it for the deadline? */
static void deadline_expired(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;
	u64 tsc = msr_guest_tsc(v);

	t->sleeps = v->mp_state == KVM_MP_STATE_HALTED;
	/* A guest that runs, where a sleep was expected, would wait for too long. */
	t->asleep &= t->sleeps;
	if (t->tscdeadline <= tsc || t->tscdeadline - tsc <= advance_ticks(v, t->asleep))
		deadline_fire(v, t->tscdeadline);
	else
		program_deadline(v, tsc, false, is_lazy(v));
}

/* Moves the advance by a part of what it was wrong by. */
static void adapt(struct lapic_timer *t, bool late, u64 ns)
{
	u32 *advance = &t->advance_ns[t->asleep], step = min(ns, (u64)MAX_ADVANCE_NS) / ADVANCE_STEP;

	if (late)
		*advance = min(*advance + step, (u32)MAX_ADVANCE_NS);
	else
		*advance -= min(*advance, step);
}

void lapic_timer_wait(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;
	u64 deadline = t->early_tsc, tsc = msr_guest_tsc(v), off;

	t->early_tsc = 0;
	off = tsc > deadline ? tsc - deadline : deadline - tsc;
	/* Something came in between: the thread was away. */
	if (off > host_muldiv(MAX_WRONG_NS, rate_khz(v), 1000000))
		return;
	adapt(t, tsc > deadline, host_muldiv(off, 1000000, rate_khz(v)));
	while ((s64)(deadline - tsc) > 0) {
		host_relax();
		tsc = msr_guest_tsc(v);
	}
}

/* Waits for timer.tscdeadline, or fires at once if it has passed. */
static void deadline_start(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;
	u64 tsc;

	if (!t->tscdeadline) {
		stop(v);
		return;
	}
	tsc = msr_guest_tsc(v);
	if (t->tscdeadline <= tsc)
		deadline_fire(v, 0);
	else
		program_deadline(v, tsc, t->sleeps, is_lazy(v));
}

/* It is worth its cost to program the host's timer once more so that a sleeper is woken in time: the deadline is not far. */
static bool wakes_soon(const struct vcpu *v, u64 tsc)
{
	const struct lapic_timer *t = &v->apic.timer;

	return (v->mechanisms & EXEUNT_TIMER_ADVANCE) && t->tscdeadline && !t->asleep && t->tscdeadline - tsc < rate_khz(v);
}

void lapic_timer_tighten(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;
	u64 tsc = msr_guest_tsc(v);

	if (!t->lax && !wakes_soon(v, tsc))
		return;
	if (t->expires_ns)
		program(v, t->expires_ns, 0, false);
	else if (t->tscdeadline)
		program_deadline(v, min(tsc, t->tscdeadline), true, false);
	else
		cancel(v);
}

void lapic_timer_set_lvt(struct vcpu *v, u32 lvt)
{
	struct lapic *a = &v->apic;
	enum lapic_timer_mode old = lapic_timer_mode(a), new = lapic_timer_mode_of(lvt);

	if (old != new && !(counts(old) && counts(new))) {
		stop(v);
		a->timer.tscdeadline = 0;
		lapic_set_reg(a, LAPIC_TIMER_INITIAL, 0);
	}
	lapic_set_reg(a, LAPIC_LVT_TIMER, lvt);
}

void lapic_timer_set_initial(struct vcpu *v, u32 count)
{
	struct lapic *a = &v->apic;

	if (!counts(lapic_timer_mode(a)))
		return;
	lapic_set_reg(a, LAPIC_TIMER_INITIAL, count);
	count_from(v, count);
}

void lapic_timer_set_divide(struct vcpu *v, u32 divide)
{
	struct lapic *a = &v->apic;
	u32 current_count = lapic_timer_current(v);

	lapic_set_reg(a, LAPIC_TIMER_DIVIDE, divide);
	if (a->timer.divide == divisor(divide))
		return;
	a->timer.divide = divisor(divide);
	if (current_count)
		count_from(v, current_count);
}

u32 lapic_timer_current(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	u64 now, left, period;

	if (!a->timer.expires_ns || !counts(lapic_timer_mode(a)))
		return 0;
	now = host_now_ns();
	if (a->timer.expires_ns > now) {
		left = a->timer.expires_ns - now;
	} else {
		if (lapic_timer_mode(a) == TIMER_ONE_SHOT)
			return 0;
		period = period_ns(a);
		left = period - (now - a->timer.expires_ns) % period;
	}
	left = (left + a->timer.divide - 1) / a->timer.divide;
	return min(left, (u64)lapic_reg(a, LAPIC_TIMER_INITIAL));
}

u64 lapic_get_tscdeadline(struct vcpu *v)
{
	return v->apic.timer.tscdeadline;
}

void lapic_set_tscdeadline(struct vcpu *v, u64 value)
{
	if (!v->apic.present || lapic_timer_mode(&v->apic) != TIMER_TSC_DEADLINE)
		return;
	v->apic.timer.tscdeadline = value;
	deadline_start(v);
}

void lapic_timer_rearm(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;

	t->armed_tsc = t->early_tsc = 0;
	if (!t->tscdeadline)
		return;
	cancel(v);
	deadline_start(v);
}

void lapic_timer_expired(struct vcpu *v)
{
	__atomic_store_n(&v->apic.timer.pending, 1, __ATOMIC_RELAXED);
	vcpu_request(v, REQ_EVENT);
	host_kick(v);
}

/* The one-shot or periodic timer's expiry, if it is one. */
static void count_expired(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	u64 expires = a->timer.expires_ns, now = host_now_ns(), period;

	if (!expires)
		return;
	if (expires > now) {	/* this was the expiry of an earlier arming */
		arm(v, expires);
		return;
	}
	lapic_lvt_fire(v, LAPIC_LVT_TIMER, false);
	if (lapic_timer_mode(a) == TIMER_ONE_SHOT) {
		a->timer.expires_ns = 0;
		return;
	}
	/* Ticks that nobody could take are one tick; the next one keeps the phase. */
	period = period_ns(a);
	arm(v, expires + ((now - expires) / period + 1) * period);
}

void lapic_timer_deliver(struct vcpu *v)
{
	if (!forget_expiry(&v->apic.timer))
		return;
	if (counts(lapic_timer_mode(&v->apic)))
		count_expired(v);
	else if (v->apic.timer.tscdeadline)
		deadline_expired(v);
}

void lapic_timer_reset(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;

	stop(v);
	cancel(v);
	t->tscdeadline = t->early_tsc = 0;
	t->advance_ns[false] = t->advance_ns[true] = FIRST_ADVANCE_NS;
	t->sleeps = false;
	t->divide = divisor(0);
}

void lapic_timer_load(struct vcpu *v, u32 current_count, u64 tscdeadline)
{
	struct lapic *a = &v->apic;
	u32 initial = lapic_reg(a, LAPIC_TIMER_INITIAL);
	enum lapic_timer_mode mode = lapic_timer_mode(a);

	a->timer.divide = divisor(lapic_reg(a, LAPIC_TIMER_DIVIDE));
	if (mode == TIMER_TSC_DEADLINE) {
		a->timer.tscdeadline = tscdeadline;
		deadline_start(v);
	} else if (current_count || mode == TIMER_PERIODIC) {
		count_from(v, current_count ? min(current_count, initial) : initial);
	} else if (mode == TIMER_ONE_SHOT && initial) {
		/*
		 * Expired, or the VMM does not save the count (QEMU): a tick too many is harmless,
		 * a lost one hangs the guest.
		 */
		arm(v, host_now_ns());
	}
}
