// SPDX-License-Identifier: GPL-2.0
/*
 * pv.c: the time that a guest computes from kvmclock's page is the VM's clock at every frequency;
 * the page's protocol; wall clock; hypercalls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine.h"

#define GP		1
#define WALL_OLD	0x11
#define TIME_OLD	0x12
#define WALL		0x4b564d00
#define TIME		0x4b564d01
#define PAGE		0x3000ull

/* Documentation/virt/kvm/x86/msr.rst. */
struct time_info {
	u32 version, pad0;
	u64 tsc_timestamp, system_time;
	u32 mul;
	s8 shift;
	u8 flags, pad[2];
} __attribute__((packed));

static struct machine *m;
static struct vcpu *v;

static int setup(void **state)
{
	machine_tsc_stable = true;
	machine_now_ns = 1000000000;
	m = machine_create(1 << 16);
	v = machine_add_vcpu(m, 0);
	v->cpuid.kvm_features = 1 << 0 | 1 << 3;
	pv_clock_set(&m->vm, 0);
	return 0;
}

static int teardown(void **state)
{
	machine_tsc_stable = true;
	machine_free(m);
	return 0;
}

static struct time_info page(void)
{
	struct time_info t;

	memcpy(&t, m->mem + PAGE, sizeof(t));
	return t;
}

static void enable(void)
{
	assert_int_equal(pv_msr_write(v, TIME, PAGE | 1, false), 0);
	assert_true(vcpu_take_request(v, REQ_CLOCK_UPDATE));
	pv_clock_update(v);
}

/* As a guest computes it. */
static u64 guest_ns(const struct time_info *t, u64 tsc)
{
	u64 delta = tsc - t->tsc_timestamp;

	delta = t->shift >= 0 ? delta << t->shift : delta >> -t->shift;
	return t->system_time + (u64)((unsigned __int128)delta * t->mul >> 32);
}

static void test_scale_is_exact_at_every_frequency(void **state)
{
	static const u64 khz[] = {
		1, 2, 3, 10, 999, 1000, 1001, 32768, 500000, 999999, 1000000, 1000001, 1193182,
		1999999, 2000000, 2000001, 2100000, 3693000, 4000000, 5000000, 15999999, 100000000,
		2147483647, 2147483648, 4294967295,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(khz); i++) {
		struct time_info t;

		v->msr.tsc_khz = khz[i];
		enable();
		t = page();
		assert_true(t.mul >> 31);
		for (u64 seconds = 1; seconds < 5000; seconds = seconds * 7 + 1) {
			u64 ticks = khz[i] * 1000 * seconds, ns = seconds * 1000000000;
			u64 got = guest_ns(&t, t.tsc_timestamp + ticks) - t.system_time;

			/* One part in 2^30, and a tick's worth of rounding. */
			assert_in_range(got, ns - (ns >> 30) - 2000000 / khz[i] - 1,
					ns + (ns >> 30) + 2000000 / khz[i] + 1);
		}
	}
}

static void test_guest_time_is_the_vms_clock(void **state)
{
	struct time_info t;

	pv_clock_set(&m->vm, 5000000000ull);
	v->msr.tsc_offset = -12345678;
	enable();
	t = page();
	for (int i = 0; i < 100; i++) {
		machine_now_ns += 123456789;
		assert_in_range(guest_ns(&t, msr_guest_tsc(v)) + 20, pv_clock_ns(&m->vm),
				pv_clock_ns(&m->vm) + 40);
	}
}

static void test_all_vcpus_share_one_pair_on_a_stable_host(void **state)
{
	struct vcpu *other = machine_add_vcpu(m, 1);
	struct time_info a, b;

	other->cpuid.kvm_features = v->cpuid.kvm_features;
	enable();
	machine_now_ns += 987654321;
	pv_msr_write(other, TIME, (PAGE + 64) | 1, false);
	pv_clock_update(other);
	a = page();
	memcpy(&b, m->mem + PAGE + 64, sizeof(b));
	assert_int_equal(a.tsc_timestamp, b.tsc_timestamp);
	assert_int_equal(a.system_time, b.system_time);
	assert_true(a.flags & 1 && b.flags & 1);
}

static void test_unstable_host_gives_a_fresh_pair_and_no_stable_flag(void **state)
{
	struct time_info t;

	machine_tsc_stable = false;
	pv_clock_set(&m->vm, 777);
	machine_now_ns += 1000000;
	enable();
	t = page();
	assert_int_equal(t.flags & 1, 0);
	assert_int_equal(t.tsc_timestamp, msr_guest_tsc(v));
	assert_int_equal(t.system_time, 777 + 1000000);
}

static void test_version_is_even_and_grows(void **state)
{
	u32 last = 0;

	enable();
	for (int i = 0; i < 50; i++) {
		struct time_info t;

		pv_clock_update(v);
		t = page();
		assert_int_equal(t.version & 1, 0);
		assert_true(t.version > last);
		last = t.version;
		/* What the guest writes there changes nothing. */
		memset(m->mem + PAGE, 0xff, 4);
	}
}

/* The end of the page is not there: the guest must not take what it sees for valid. */
static void test_page_written_in_part_stays_odd(void **state)
{
	u32 version;

	pv_msr_write(v, TIME, (m->mem_size - 8) | 1, false);
	pv_clock_update(v);
	memcpy(&version, m->mem + m->mem_size - 8, sizeof(version));
	assert_true(version & 1);
}

static void test_disabled_clock_writes_nothing(void **state)
{
	enable();
	pv_msr_write(v, TIME, PAGE, false);
	memset(m->mem + PAGE, 0xcc, 64);
	m->dirty_marks = 0;
	pv_clock_update(v);
	assert_int_equal(m->dirty_marks, 0);
	assert_int_equal(m->mem[PAGE], 0xcc);
}

static void test_page_outside_memory_is_survived(void **state)
{
	static const u64 where[] = { 1 << 20, 0xfffffffffffff000ull, 0xfffffffffffffffeull, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(where); i++) {
		assert_int_equal(pv_msr_write(v, TIME, where[i] | 1, false), 0);
		pv_clock_update(v);
		assert_int_equal(pv_msr_write(v, WALL, where[i], false), 0);
	}
}

static void test_reset_turns_the_clock_off(void **state)
{
	u64 value;

	enable();
	pv_reset(v);
	memset(m->mem + PAGE, 0xcc, 64);
	pv_clock_update(v);
	assert_int_equal(m->mem[PAGE], 0xcc);
	assert_int_equal(pv_msr_read(v, TIME, &value, false), 0);
	assert_int_equal(value, 0);
}

static void test_stopped_flag_is_shown_once(void **state)
{
	enable();
	v->pv.guest_stopped = true;
	pv_clock_update(v);
	assert_true(page().flags & 2);
	pv_clock_update(v);
	assert_false(page().flags & 2);
}

static void test_clock_can_be_set_and_goes_on(void **state)
{
	static const u64 values[] = { 0, 1, 123456789012345ull, 1ull << 62 };

	for (int stable = 0; stable < 2; stable++) {
		machine_tsc_stable = stable;
		for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
			pv_clock_set(&m->vm, values[i]);
			assert_int_equal(pv_clock_ns(&m->vm), values[i]);
			machine_now_ns += 5000000;
			assert_int_equal(pv_clock_ns(&m->vm), values[i] + 5000000);
		}
	}
}

static void test_wall_clock_is_the_time_when_the_guests_clock_was_zero(void **state)
{
	u32 w[3];
	u64 ns;

	machine_now_ns += 1500000000;
	assert_int_equal(pv_msr_write(v, WALL, 0x4000, false), 0);
	memcpy(w, m->mem + 0x4000, sizeof(w));
	assert_true(w[0] && !(w[0] & 1));
	assert_in_range(w[2], 0, 999999999);
	ns = w[1] * 1000000000ull + w[2];
	assert_int_equal(ns + pv_clock_ns(&m->vm), host_real_ns());
}

static void test_old_and_new_numbers_are_one_register(void **state)
{
	u64 value;

	pv_msr_write(v, TIME_OLD, 0x2001, false);
	assert_int_equal(pv_msr_read(v, TIME, &value, false), 0);
	assert_int_equal(value, 0x2001);
	pv_msr_write(v, WALL, 0x5000, false);
	assert_int_equal(pv_msr_read(v, WALL_OLD, &value, false), 0);
	assert_int_equal(value, 0x5000);
}

static void test_registers_need_their_feature_bit_unless_the_vmm_asks(void **state)
{
	u64 value;

	v->cpuid.kvm_features = 1 << 0;
	assert_int_equal(pv_msr_write(v, TIME_OLD, 0, false), 0);
	assert_int_equal(pv_msr_write(v, TIME, 0, false), GP);
	assert_int_equal(pv_msr_read(v, WALL, &value, false), GP);
	v->cpuid.kvm_features = 0;
	assert_int_equal(pv_msr_write(v, TIME_OLD, 0, false), GP);
	assert_int_equal(pv_msr_write(v, TIME, 0, true), 0);
	assert_int_equal(pv_msr_read(v, WALL_OLD, &value, true), 0);
}

static void test_interfaces_that_are_not_offered_raise_gp(void **state)
{
	u64 value;

	v->cpuid.kvm_features = ~0u;
	for (u32 i = 0x4b564d02; i <= 0x4b564d08; i++) {
		assert_int_equal(pv_msr_read(v, i, &value, false), GP);
		assert_int_equal(pv_msr_write(v, i, 1, false), GP);
	}
}

static void test_unknown_hypercall(void **state)
{
	VMCB(v)->s.efer = EFER_LMA_BIT;
	VMCB(v)->s.cs.attrib = 1u << 9;
	for (u64 nr = 0; nr < 20; nr++) {
		v->regs[R_AX] = nr;
		pv_hypercall(v);
		assert_int_equal(v->regs[R_AX], (u64)-1000);
	}
	/* 32-bit code gets 32 bits. */
	VMCB(v)->s.cs.attrib = 1u << 10;
	v->regs[R_AX] = 5;
	pv_hypercall(v);
	assert_int_equal(v->regs[R_AX], (u32)-1000);
	VMCB(v)->s.cpl = 3;
	v->regs[R_AX] = 5;
	pv_hypercall(v);
	assert_int_equal(v->regs[R_AX], (u32)-1);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(scale_is_exact_at_every_frequency),
		CASE(guest_time_is_the_vms_clock),
		CASE(all_vcpus_share_one_pair_on_a_stable_host),
		CASE(unstable_host_gives_a_fresh_pair_and_no_stable_flag),
		CASE(version_is_even_and_grows),
		CASE(page_written_in_part_stays_odd),
		CASE(disabled_clock_writes_nothing),
		CASE(page_outside_memory_is_survived),
		CASE(reset_turns_the_clock_off),
		CASE(stopped_flag_is_shown_once),
		CASE(clock_can_be_set_and_goes_on),
		CASE(wall_clock_is_the_time_when_the_guests_clock_was_zero),
		CASE(old_and_new_numbers_are_one_register),
		CASE(registers_need_their_feature_bit_unless_the_vmm_asks),
		CASE(interfaces_that_are_not_offered_raise_gp),
		CASE(unknown_hypercall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
