// SPDX-License-Identifier: GPL-2.0
/*
 * The APIC timer: counting, expiry, TSC deadlines, and what survives saving and loading.
 */
#include "lapic_fixture.h"

#define VECTOR		0xec
#define PERIODIC	(1u << 17)
#define DEADLINE	(1u << 18)
#define DIVIDE_BY_1	0xb
#define MIN_PERIOD	200000u

/* vCPU 0's timer counts nanoseconds. */
static struct vcpu *start(u32 mode, u32 count)
{
	write_reg(cpu[0], LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	write_reg(cpu[0], LAPIC_LVT_TIMER, mode | VECTOR);
	if (count)
		write_reg(cpu[0], LAPIC_TIMER_INITIAL, count);
	return cpu[0];
}

/* Lets @ns pass and the vCPU look. True if a tick became an interrupt, which is taken. */
static bool ticks_after(struct vcpu *v, u64 ns)
{
	machine_advance(m, ns);
	lapic_timer_deliver(v);
	if (!in_irr(v, VECTOR))
		return false;
	machine_take(v, VECTOR);
	write_reg(v, LAPIC_EOI, 0);
	return true;
}

static void one_shot_fires_once_when_its_count_is_through(void **state)
{
	struct vcpu *v = start(0, 5000);

	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 5000);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 5000);
	assert_false(ticks_after(v, 4999));
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 1);
	assert_int_equal(machine_of(v)->kicks, 0);
	machine_advance(m, 1);
	assert_true(lapic_timer_pending(v));
	assert_true(requested(v, REQ_EVENT));
	assert_int_equal(machine_of(v)->kicks, 1);
	assert_false(in_irr(v, VECTOR));	/* only the vCPU's thread decides */
	assert_true(ticks_after(v, 0));
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 0);
	assert_int_equal(read_reg(v, LAPIC_TIMER_INITIAL), 5000);
	assert_false(ticks_after(v, 1000000));
	assert_int_equal(machine_of(v)->timer_deadline, 0);
}

static void every_divisor_divides(void **state)
{
	static const u32 divide[16] = { 2, 4, 8, 16, 0, 0, 0, 0, 32, 64, 128, 1 };
	struct vcpu *v = start(0, 0);

	for (u32 config = 0; config < 16; config++) {
		if (!divide[config])
			continue;
		write_reg(v, LAPIC_TIMER_DIVIDE, config);
		write_reg(v, LAPIC_TIMER_INITIAL, 1000);
		assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 1000);
		assert_false(ticks_after(v, 1000 * divide[config] - 1));
		assert_true(ticks_after(v, 1));
	}
	/* The reset value of 0 divides by 2. */
	lapic_reset(v, false);
	write_reg(v, LAPIC_SVR, SVR_ON);
	write_reg(v, LAPIC_LVT_TIMER, VECTOR);
	write_reg(v, LAPIC_TIMER_INITIAL, 1000);
	assert_false(ticks_after(v, 1999));
	assert_true(ticks_after(v, 1));
}

static void longest_count_does_not_overflow(void **state)
{
	struct vcpu *v = start(0, 0);

	write_reg(v, LAPIC_TIMER_DIVIDE, 0xa);
	write_reg(v, LAPIC_TIMER_INITIAL, ~0u);
	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 128ull * 0xffffffff);
	machine_advance(m, 128ull * 0x80000000);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 0x7fffffff);
}

static void changing_the_divisor_changes_the_speed_of_what_is_left(void **state)
{
	struct vcpu *v = start(0, 10000);

	assert_false(ticks_after(v, 4000));
	write_reg(v, LAPIC_TIMER_DIVIDE, 0);	/* by 2 */
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 6000);
	assert_false(ticks_after(v, 11999));
	assert_true(ticks_after(v, 1));
}

static void periodic_goes_on_in_phase(void **state)
{
	struct vcpu *v = start(PERIODIC, 1000000);

	for (u32 i = 0; i < 5; i++) {
		assert_false(ticks_after(v, 999999));
		assert_true(ticks_after(v, 1));
		assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 1000000);
	}
	/* Late, and several late: one tick, and the next one when it would have been. */
	assert_true(ticks_after(v, 3300000));
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 700000);
	assert_false(ticks_after(v, 699999));
	assert_true(ticks_after(v, 1));
}

static void periodic_count_wraps_while_the_expiry_is_not_yet_taken(void **state)
{
	struct vcpu *v = start(PERIODIC, 1000000);

	machine_advance(m, 1250000);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 750000);
	assert_true(lapic_timer_pending(v));
}

static void short_periods_are_stretched(void **state)
{
	struct vcpu *v = start(PERIODIC, 1);
	u32 ticks = 0;

	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + MIN_PERIOD);
	for (u32 i = 0; i < 1000; i++)
		ticks += ticks_after(v, MIN_PERIOD / 10);
	assert_int_equal(ticks, 100);
	assert_true(read_reg(v, LAPIC_TIMER_CURRENT) <= 1);
}

static void one_shot_that_becomes_periodic_is_bounded_too(void **state)
{
	struct vcpu *v = start(0, 10);

	write_reg(v, LAPIC_LVT_TIMER, PERIODIC | VECTOR);
	assert_true(ticks_after(v, 10));
	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + MIN_PERIOD);
}

static void masked_timer_counts_but_does_not_interrupt(void **state)
{
	struct vcpu *v = start(LAPIC_LVT_MASKED, 5000);

	machine_advance(m, 2000);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 3000);
	assert_false(ticks_after(v, 3000));
	write_reg(v, LAPIC_LVT_TIMER, VECTOR);
	assert_false(ticks_after(v, 1000));
	write_reg(v, LAPIC_TIMER_INITIAL, 500);
	assert_true(ticks_after(v, 500));
}

static void writing_zero_stops(void **state)
{
	struct vcpu *v = start(0, 5000);

	write_reg(v, LAPIC_TIMER_INITIAL, 0);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 0);
	assert_false(ticks_after(v, 10000));
}

static void expiry_that_raced_with_stopping_or_restarting_is_dropped(void **state)
{
	struct vcpu *v = start(0, 5000);

	write_reg(v, LAPIC_TIMER_INITIAL, 0);
	lapic_timer_expired(v);		/* the host's timer was just firing */
	assert_false(ticks_after(v, 0));
	write_reg(v, LAPIC_TIMER_INITIAL, 5000);
	lapic_timer_expired(v);
	assert_false(ticks_after(v, 0));
	assert_false(ticks_after(v, 4999));
	assert_true(ticks_after(v, 1));
	lapic_timer_expired(v);
	assert_false(ticks_after(v, 0));
}

static void host_timer_that_fired_early_is_armed_again(void **state)
{
	struct vcpu *v = start(0, 5000);
	u64 deadline = machine_of(v)->timer_deadline;

	machine_of(v)->timer_deadline = 0;
	lapic_timer_expired(v);
	assert_false(ticks_after(v, 0));
	assert_int_equal(machine_of(v)->timer_deadline, deadline);
	assert_true(ticks_after(v, 5000));
}

static void software_disabled_apic_has_no_ticks(void **state)
{
	struct vcpu *v = start(0, 5000);

	write_reg(v, LAPIC_SVR, 0xff);
	assert_false(ticks_after(v, 5000));
}

static void illegal_timer_vector_is_reported(void **state)
{
	struct vcpu *v = start(0, 0);

	write_reg(v, LAPIC_LVT_TIMER, 5);
	write_reg(v, LAPIC_TIMER_INITIAL, 10);
	assert_false(ticks_after(v, 10));
	write_reg(v, LAPIC_ESR, 0);
	assert_int_equal(read_reg(v, LAPIC_ESR), 1 << 6);
}

/* --- TSC deadline. The guest's TSC runs at 2 GHz here. --- */

static void deadline_fires_when_the_guests_tsc_gets_there(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);
	u64 deadline;

	v->msr.tsc_offset = -12345678;
	deadline = msr_guest_tsc(v) + 10000;
	lapic_set_tscdeadline(v, deadline);
	assert_int_equal(lapic_get_tscdeadline(v), deadline);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 0);
	assert_false(ticks_after(v, 4999));
	assert_true(ticks_after(v, 2));
	assert_true(msr_guest_tsc(v) >= deadline);
	assert_int_equal(lapic_get_tscdeadline(v), 0);
	assert_false(ticks_after(v, 1000000));
}

static void host_timer_never_comes_before_the_deadline(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);

	for (u32 delta = 1; delta < 10; delta++) {
		lapic_set_tscdeadline(v, msr_guest_tsc(v) + delta);
		assert_true(ticks_after(v, machine_of(v)->timer_deadline - machine_now_ns));
	}
}

static void deadline_in_the_past_fires_at_once_without_the_host(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);
	u32 arms = machine_of(v)->timer_arms;

	lapic_set_tscdeadline(v, msr_guest_tsc(v));
	assert_true(in_irr(v, VECTOR));
	assert_true(requested(v, REQ_EVENT));
	assert_int_equal(machine_of(v)->timer_arms, arms);
	assert_int_equal(machine_of(v)->kicks, 0);
	assert_int_equal(lapic_get_tscdeadline(v), 0);
}

static void deadline_of_zero_disarms(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);

	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 10000);
	lapic_set_tscdeadline(v, 0);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	assert_false(ticks_after(v, 10000));
}

static void new_deadline_replaces_the_old_one(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);

	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 10000);
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 40000);
	lapic_timer_expired(v);		/* the old one was just firing */
	assert_false(ticks_after(v, 10000));
	assert_true(ticks_after(v, 10001));
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 10000);
	lapic_set_tscdeadline(v, 1);	/* past: at once, and the old one does not follow */
	assert_true(ticks_after(v, 0));
	assert_false(ticks_after(v, 10000));
}

static void furthest_deadline_at_the_slowest_rate_does_not_overflow(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);

	v->msr.tsc_khz = 1;
	lapic_set_tscdeadline(v, U64_MAX);
	assert_true(machine_of(v)->timer_deadline > machine_now_ns);
	assert_true(machine_of(v)->timer_deadline < S64_MAX);
	v->msr.tsc_khz = U32_MAX;
	lapic_set_tscdeadline(v, U64_MAX);
	assert_true(machine_of(v)->timer_deadline > machine_now_ns);
	v->msr.tsc_khz = 0;
	lapic_set_tscdeadline(v, U64_MAX);
	assert_true(machine_of(v)->timer_deadline > machine_now_ns);
}

static void far_deadline_is_approached_in_steps(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);
	u64 deadline = msr_guest_tsc(v) + (1ull << 43) + 1000;
	u32 steps = 0;

	lapic_set_tscdeadline(v, deadline);
	while (!ticks_after(v, machine_of(v)->timer_deadline - machine_now_ns)) {
		assert_true(msr_guest_tsc(v) < deadline);
		assert_true(machine_of(v)->timer_deadline > machine_now_ns);
		assert_true(++steps < 5);
	}
	assert_true(msr_guest_tsc(v) >= deadline);
}

static void moving_the_guests_tsc_moves_the_deadline(void **state)
{
	struct vcpu *v = start(DEADLINE, 0);

	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 100000);
	v->msr.tsc_offset += 60000;
	lapic_timer_rearm(v);
	assert_false(ticks_after(v, 19999));
	assert_true(ticks_after(v, 2));
}

static void deadline_is_ignored_in_other_modes_and_counts_in_this_one(void **state)
{
	struct vcpu *v = start(0, 0);

	lapic_set_tscdeadline(v, 1);
	assert_false(ticks_after(v, 0));
	assert_int_equal(lapic_get_tscdeadline(v), 0);
	start(DEADLINE, 1000);
	assert_int_equal(read_reg(v, LAPIC_TIMER_INITIAL), 0);
	assert_false(ticks_after(v, 1000));
}

static void changing_between_counting_and_deadline_disarms(void **state)
{
	struct vcpu *v = start(0, 1000);

	write_reg(v, LAPIC_LVT_TIMER, DEADLINE | VECTOR);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	assert_int_equal(read_reg(v, LAPIC_TIMER_INITIAL), 0);
	assert_false(ticks_after(v, 1000));
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 2000);
	write_reg(v, LAPIC_LVT_TIMER, PERIODIC | VECTOR);
	assert_int_equal(lapic_get_tscdeadline(v), 0);
	assert_false(ticks_after(v, 1000));
	write_reg(v, LAPIC_TIMER_INITIAL, 1000000);
	write_reg(v, LAPIC_LVT_TIMER, VECTOR);	/* periodic to one-shot goes on */
	assert_true(ticks_after(v, 1000000));
	assert_false(ticks_after(v, 1000000));
}

static void reserved_mode_never_fires(void **state)
{
	struct vcpu *v = start(DEADLINE | PERIODIC, 1000);

	lapic_set_tscdeadline(v, 1);
	lapic_timer_expired(v);
	assert_false(ticks_after(v, 1000000));
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 0);
}

/* --- Reset, saving and loading. --- */

static void reset_stops_the_timer(void **state)
{
	struct vcpu *v = start(PERIODIC, 1000000);

	lapic_reset(v, true);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	assert_false(lapic_timer_pending(v));
	assert_int_equal(read_reg(v, LAPIC_TIMER_INITIAL), 0);
	write_reg(v, LAPIC_SVR, SVR_ON);
	start(DEADLINE, 0);
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 1000);
	lapic_reset(v, true);
	assert_int_equal(lapic_get_tscdeadline(v), 0);
}

static void loaded_timer_goes_on_with_what_was_left(void **state)
{
	struct kvm_lapic_state s;
	struct vcpu *v = start(PERIODIC, 1000000);

	machine_advance(m, 300000);
	lapic_get_state(v, &s);
	lapic_reset(v, false);
	machine_advance(m, 5000000);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(read_reg(v, LAPIC_TIMER_CURRENT), 700000);
	assert_false(ticks_after(v, 699999));
	assert_true(ticks_after(v, 1));
	assert_false(ticks_after(v, 999999));
	assert_true(ticks_after(v, 1));
}

static void loaded_one_shot_without_a_count_fires_rather_than_never(void **state)
{
	struct kvm_lapic_state s;
	struct vcpu *v = start(0, 1000000);

	lapic_get_state(v, &s);
	memset(s.regs + LAPIC_TIMER_CURRENT, 0, 4);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_true(ticks_after(v, 0));
	assert_false(ticks_after(v, 2000000));
}

static void loaded_idle_timer_stays_idle(void **state)
{
	struct kvm_lapic_state s;
	struct vcpu *v = start(PERIODIC, 0);

	lapic_get_state(v, &s);
	memset(s.regs + LAPIC_TIMER_CURRENT, 0xff, 4);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	start(0, 0);
	lapic_get_state(v, &s);
	start(0, 1000000);	/* running when the idle state is loaded */
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
	assert_false(ticks_after(v, 10000000000ull));
}

static void loaded_count_is_no_longer_than_the_period(void **state)
{
	struct kvm_lapic_state s;
	struct vcpu *v = start(0, 1000);

	lapic_get_state(v, &s);
	memset(s.regs + LAPIC_TIMER_CURRENT, 0xff, 4);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_true(ticks_after(v, 1000));
}

static void deadline_survives_loading_the_registers(void **state)
{
	struct kvm_lapic_state s;
	struct vcpu *v = start(DEADLINE, 0);
	u64 deadline = msr_guest_tsc(v) + 100000;

	lapic_set_tscdeadline(v, deadline);
	lapic_get_state(v, &s);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(lapic_get_tscdeadline(v), deadline);
	assert_false(ticks_after(v, 49999));
	assert_true(ticks_after(v, 2));
}

static void x2apic_timer_is_the_same_timer(void **state)
{
	struct vcpu *v = start(0, 0);

	enable_x2apic(v);
	assert_int_equal(write_msr(v, LAPIC_TIMER_INITIAL, 3000), 0);
	assert_int_equal(read_msr(v, LAPIC_TIMER_CURRENT), 3000);
	machine_advance(m, 3000);
	lapic_timer_deliver(v);
	assert_int_equal(lapic_pending_vector(v), VECTOR);
}

static void freeing_cancels_the_hosts_timer(void **state)
{
	struct vcpu *v = start(PERIODIC, 1000000);

	lapic_free(v);
	assert_int_equal(machine_of(v)->timer_deadline, 0);
}

/* --- EXEUNT_TIMER_ADVANCE. --- */

#define FIRST_ADVANCE	1000u	/* ns */
#define MOST_ADVANCE	5000u

/* A TSC deadline in @ns, the host's timer firing before it. */
static struct vcpu *start_advanced(u64 ns)
{
	struct vcpu *v = start(DEADLINE, 0);

	v->mechanisms = EXEUNT_TIMER_ADVANCE;
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + ns * (MACHINE_TSC_KHZ / 1000000));
	return v;
}

static void advanced_deadline_is_delivered_early_and_waited_for(void **state)
{
	struct vcpu *v = start_advanced(10000);
	u64 deadline = machine_now_ns + 10000;

	assert_int_equal(machine_of(v)->timer_deadline, deadline - FIRST_ADVANCE + 1);
	machine_advance(m, 10000 - FIRST_ADVANCE + 1);
	lapic_timer_deliver(v);
	assert_true(in_irr(v, VECTOR));
	assert_true(v->apic.timer.early_tsc);
	lapic_timer_wait(v);
	assert_int_equal(machine_now_ns, deadline);
	assert_int_equal(v->apic.timer.early_tsc, 0);
	/* It could have come later. */
	assert_true(v->apic.timer.advance_ns[0] < FIRST_ADVANCE);
}

static void late_deadlines_are_advanced_more_but_not_without_end(void **state)
{
	struct vcpu *v;
	u32 before = FIRST_ADVANCE;

	for (unsigned int i = 0; i < 20; i++) {
		v = start_advanced(100000);
		machine_advance(m, 100000 + 3000);
		lapic_timer_deliver(v);
		lapic_timer_wait(v);
		assert_true(v->apic.timer.advance_ns[0] > before || v->apic.timer.advance_ns[0] == MOST_ADVANCE);
		before = v->apic.timer.advance_ns[0];
		machine_take(v, VECTOR);
		write_reg(v, LAPIC_EOI, 0);
	}
	assert_int_equal(before, MOST_ADVANCE);
	assert_int_equal(v->apic.timer.advance_ns[1], FIRST_ADVANCE);
}

static void sleeper_has_an_advance_of_its_own(void **state)
{
	struct vcpu *v = start_advanced(100000);

	v->apic.timer.advance_ns[1] = 4000;
	lapic_timer_tighten(v);
	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 96001);
}

static void far_deadline_is_not_programmed_again_for_a_sleeper(void **state)
{
	struct vcpu *v = start_advanced(50000000);
	u32 arms = machine_of(v)->timer_arms;

	lapic_timer_tighten(v);
	assert_int_equal(machine_of(v)->timer_arms, arms);
}

/* A vCPU whose last deadline ended its sleep, and one more, in @ns. */
static struct vcpu *start_sleeper(u64 ns)
{
	struct vcpu *v = start_advanced(100000);

	v->apic.timer.advance_ns[1] = 4000;
	v->mp_state = KVM_MP_STATE_HALTED;
	lapic_timer_tighten(v);
	machine_advance(m, 100000);
	lapic_timer_deliver(v);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	v->apic.timer.early_tsc = 0;
	machine_take(v, VECTOR);
	write_reg(v, LAPIC_EOI, 0);
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + ns * (MACHINE_TSC_KHZ / 1000000));
	return v;
}

static void after_a_sleep_the_next_deadline_is_armed_for_a_sleep_at_once(void **state)
{
	struct vcpu *v = start_sleeper(100000);
	u32 arms = machine_of(v)->timer_arms;

	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 96001);
	v->mp_state = KVM_MP_STATE_HALTED;
	lapic_timer_tighten(v);
	assert_int_equal(machine_of(v)->timer_arms, arms);
	machine_advance(m, 96001);
	lapic_timer_deliver(v);
	assert_true(in_irr(v, VECTOR));
	assert_true(v->apic.timer.early_tsc);
	assert_true(v->apic.timer.asleep);
}

static void expected_sleep_that_was_none_does_not_delay_the_guest(void **state)
{
	struct vcpu *v = start_sleeper(100000);
	u64 deadline = machine_now_ns + 100000;

	/* Awake: not delivered as early as that, but armed once more. */
	machine_advance(m, 96001);
	lapic_timer_deliver(v);
	assert_false(in_irr(v, VECTOR));
	assert_int_equal(machine_of(v)->timer_deadline, deadline - FIRST_ADVANCE + 1);
	machine_advance(m, 3000);
	lapic_timer_deliver(v);
	assert_true(in_irr(v, VECTOR));
	assert_false(v->apic.timer.asleep);
	machine_take(v, VECTOR);
	write_reg(v, LAPIC_EOI, 0);
	/* And the next one is not expected to end a sleep. */
	lapic_set_tscdeadline(v, msr_guest_tsc(v) + 100000 * (MACHINE_TSC_KHZ / 1000000));
	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 100000 - FIRST_ADVANCE + 1);
}

static void deadline_whose_time_has_changed_is_not_waited_for(void **state)
{
	struct vcpu *v = start_advanced(10000);
	u64 now;

	machine_advance(m, 10000 - FIRST_ADVANCE + 1);
	lapic_timer_deliver(v);
	assert_true(v->apic.timer.early_tsc);
	v->msr.tsc_offset -= 1ll << 40;
	now = machine_now_ns;
	lapic_timer_wait(v);
	assert_int_equal(machine_now_ns, now);
	assert_int_equal(v->apic.timer.advance_ns[0], FIRST_ADVANCE);
}

static void new_tsc_is_not_waited_for_either(void **state)
{
	struct vcpu *v = start_advanced(10000);

	machine_advance(m, 10000 - FIRST_ADVANCE + 1);
	lapic_timer_deliver(v);
	assert_true(v->apic.timer.early_tsc);
	lapic_timer_rearm(v);
	assert_false(v->apic.timer.early_tsc);
}

static void past_and_near_deadlines_are_not_early(void **state)
{
	struct vcpu *v = start_advanced(0);

	assert_true(in_irr(v, VECTOR));
	assert_false(v->apic.timer.early_tsc);
	machine_take(v, VECTOR);
	write_reg(v, LAPIC_EOI, 0);
	/* Nearer than the advance: the host's timer fires at once. */
	start_advanced(300);
	assert_false(in_irr(v, VECTOR));
	assert_int_equal(machine_of(v)->timer_deadline, machine_now_ns + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_shot_fires_once_when_its_count_is_through),
		CASE(every_divisor_divides),
		CASE(longest_count_does_not_overflow),
		CASE(changing_the_divisor_changes_the_speed_of_what_is_left),
		CASE(periodic_goes_on_in_phase),
		CASE(periodic_count_wraps_while_the_expiry_is_not_yet_taken),
		CASE(short_periods_are_stretched),
		CASE(one_shot_that_becomes_periodic_is_bounded_too),
		CASE(masked_timer_counts_but_does_not_interrupt),
		CASE(writing_zero_stops),
		CASE(expiry_that_raced_with_stopping_or_restarting_is_dropped),
		CASE(host_timer_that_fired_early_is_armed_again),
		CASE(software_disabled_apic_has_no_ticks),
		CASE(illegal_timer_vector_is_reported),
		CASE(deadline_fires_when_the_guests_tsc_gets_there),
		CASE(host_timer_never_comes_before_the_deadline),
		CASE(deadline_in_the_past_fires_at_once_without_the_host),
		CASE(deadline_of_zero_disarms),
		CASE(new_deadline_replaces_the_old_one),
		CASE(furthest_deadline_at_the_slowest_rate_does_not_overflow),
		CASE(far_deadline_is_approached_in_steps),
		CASE(moving_the_guests_tsc_moves_the_deadline),
		CASE(deadline_is_ignored_in_other_modes_and_counts_in_this_one),
		CASE(changing_between_counting_and_deadline_disarms),
		CASE(reserved_mode_never_fires),
		CASE(reset_stops_the_timer),
		CASE(loaded_timer_goes_on_with_what_was_left),
		CASE(loaded_one_shot_without_a_count_fires_rather_than_never),
		CASE(loaded_idle_timer_stays_idle),
		CASE(loaded_count_is_no_longer_than_the_period),
		CASE(deadline_survives_loading_the_registers),
		CASE(x2apic_timer_is_the_same_timer),
		CASE(freeing_cancels_the_hosts_timer),
		CASE(advanced_deadline_is_delivered_early_and_waited_for),
		CASE(late_deadlines_are_advanced_more_but_not_without_end),
		CASE(sleeper_has_an_advance_of_its_own),
		CASE(after_a_sleep_the_next_deadline_is_armed_for_a_sleep_at_once),
		CASE(expected_sleep_that_was_none_does_not_delay_the_guest),
		CASE(far_deadline_is_not_programmed_again_for_a_sleeper),
		CASE(deadline_whose_time_has_changed_is_not_waited_for),
		CASE(new_tsc_is_not_waited_for_either),
		CASE(past_and_near_deadlines_are_not_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
