// SPDX-License-Identifier: GPL-2.0
/*
 * pv.c: the time that a guest computes from kvmclock's page is the VM's clock at every frequency;
 * the page's protocol; wall clock; poll control; hypercalls, IPIs among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine.h"
#include "run.h"
#include "x86/fast.h"

#define GP		1
#define WALL_OLD	0x11
#define TIME_OLD	0x12
#define WALL		0x4b564d00
#define TIME		0x4b564d01
#define POLL_CONTROL	0x4b564d05
#define PAGE		0x3000ull
#define SEND_IPI	10
#define HAS_SEND_IPI	(1u << 11)
#define HAS_POLL_CONTROL	(1u << 12)
#define MODE_NMI	0x400
#define MODE_INIT	0x4500
#define MODE_SIPI	0x4600
#define NR_TARGETS	70	/* vCPUs 0 to 68, and 255 */

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
		if (i == POLL_CONTROL)
			continue;
		assert_int_equal(pv_msr_read(v, i, &value, false), GP);
		assert_int_equal(pv_msr_write(v, i, 1, false), GP);
	}
}

static void test_poll_control_is_one_bit_that_is_set_at_reset(void **state)
{
	u64 value;

	v->cpuid.kvm_features = HAS_POLL_CONTROL;
	pv_reset(v);
	assert_int_equal(pv_msr_read(v, POLL_CONTROL, &value, false), 0);
	assert_int_equal(value, 1);
	assert_true(pv_host_may_poll(&v->pv));
	assert_int_equal(pv_msr_write(v, POLL_CONTROL, 0, false), 0);
	assert_false(pv_host_may_poll(&v->pv));
	for (unsigned int bit = 1; bit < 64; bit++)
		for (int host = 0; host < 2; host++)
			assert_int_equal(pv_msr_write(v, POLL_CONTROL, 1ull << bit | 1, host), GP);
	assert_int_equal(pv_msr_read(v, POLL_CONTROL, &value, false), 0);
	assert_int_equal(value, 0);
	pv_reset(v);
	assert_true(pv_host_may_poll(&v->pv));
}

static void test_poll_control_needs_its_feature_bit_unless_the_vmm_asks(void **state)
{
	u64 value;

	v->cpuid.kvm_features = ~HAS_POLL_CONTROL;
	assert_int_equal(pv_msr_read(v, POLL_CONTROL, &value, false), GP);
	assert_int_equal(pv_msr_write(v, POLL_CONTROL, 0, false), GP);
	assert_int_equal(pv_msr_write(v, POLL_CONTROL, 0, true), 0);
	assert_int_equal(pv_msr_read(v, POLL_CONTROL, &value, true), 0);
	assert_int_equal(value, 0);
}

/* --- Hypercalls. --- */

static void in_64_bit_code(void)
{
	VMCB(v)->s.efer = EFER_LMA_BIT;
	VMCB(v)->s.cs.attrib = 1u << 9;
	VMCB(v)->s.cpl = 0;
}

static void in_32_bit_code(void)
{
	in_64_bit_code();
	VMCB(v)->s.cs.attrib = 1u << 10;
}

static u64 hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	v->regs[R_AX] = nr;
	v->regs[R_BX] = a0;
	v->regs[R_CX] = a1;
	v->regs[R_DX] = a2;
	v->regs[R_SI] = a3;
	pv_hypercall(v);
	assert_int_equal(v->regs[R_BX], a0);
	assert_int_equal(v->regs[R_CX], a1);
	assert_int_equal(v->regs[R_DX], a2);
	assert_int_equal(v->regs[R_SI], a3);
	return v->regs[R_AX];
}

static void test_unknown_hypercall(void **state)
{
	v->cpuid.kvm_features = ~0u;
	in_64_bit_code();
	for (u64 nr = 0; nr < 20; nr++)
		if (nr != 1 && nr != SEND_IPI)
			assert_int_equal(hypercall(nr, 0, 0, 0, 0), (u64)-1000);
	assert_int_equal(hypercall(SEND_IPI | 1ull << 32, 1, 0, 0, 0x40), (u64)-1000);
	/* 32-bit code gets 32 bits. */
	in_32_bit_code();
	assert_int_equal(hypercall(5, 0, 0, 0, 0), (u32)-1000);
	VMCB(v)->s.cpl = 3;
	for (u64 nr = 0; nr < 20; nr++)
		assert_int_equal(hypercall(nr, 0, 0, 0, 0), (u32)-1);
}

static void test_vapic_poll_irq_does_nothing(void **state)
{
	in_64_bit_code();
	assert_int_equal(hypercall(1, ~0ull, ~0ull, ~0ull, ~0ull), 0);
	in_32_bit_code();
	assert_int_equal(hypercall(1 | 1ull << 32, 0, 0, 0, 0), 0);
}

static struct vcpu *targets[NR_TARGETS];

static u32 target_id(u32 i)
{
	return i == NR_TARGETS - 1 ? 255 : i;
}

/* Many vCPUs with APICs that are on; the sender is the first. */
static int setup_targets(void **state)
{
	u32 svr = 0x1ff;

	setup(state);
	for (u32 i = 0; i < NR_TARGETS; i++) {
		targets[i] = i ? machine_add_vcpu(m, target_id(i)) : v;
		if (lapic_create(targets[i]))
			return -1;
		assert_true(lapic_mmio_write(targets[i], APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr));
		targets[i]->requests = 0;
	}
	v->cpuid.kvm_features = HAS_SEND_IPI;
	in_64_bit_code();
	return 0;
}

static int teardown_targets(void **state)
{
	for (u32 i = 0; i < NR_TARGETS; i++)
		lapic_free(targets[i]);
	return teardown(state);
}

/* Takes @vector back from those that have it: how many, and a check sum of their ids. */
static u32 collect(u8 vector, u64 *sum)
{
	u32 nr = 0;

	*sum = 0;
	for (u32 i = 0; i < NR_TARGETS; i++) {
		struct lapic *a = &targets[i]->apic;

		if (!(lapic_reg(a, LAPIC_IRR + (vector >> 5) * 16) & lapic_vector_bit(vector)))
			continue;
		assert_true(targets[i]->requests & 1ull << REQ_EVENT);
		assert_int_equal(machine_of(targets[i])->kicks, targets[i] != v);
		machine_of(targets[i])->kicks = 0;
		targets[i]->requests = 0;
		lapic_offer(targets[i], vector);
		*sum += target_id(i);
		nr++;
	}
	for (u32 i = 0; i < NR_TARGETS; i++)
		assert_int_equal(machine_of(targets[i])->kicks | targets[i]->requests, 0);
	return nr;
}

/* IPI to the sets from @base on: @taken vCPUs take it, and the sum of their ids is @ids. */
#define SEND(low, high, base, taken, ids) do { 	u64 sum_; 	assert_int_equal(hypercall(SEND_IPI, low, high, base, 0x40), taken); 	assert_int_equal(collect(0x40, &sum_), taken); 	assert_int_equal(sum_, ids); } while (0)

static void test_ipi_reaches_the_set(void **state)
{
	SEND(1, 0, 0, 1, 0);			/* itself */
	SEND(2, 0, 0, 1, 1);
	SEND(0xa5, 0, 0, 4, 0 + 2 + 5 + 7);
	SEND(1, 1, 3, 2, 3 + 67);		/* bit 64 stands for base + 64 */
	SEND(~0ull, ~0ull, 0, 69, 68 * 69 / 2);
	SEND(~0ull, 0, 60, 9, 60 + 61 + 62 + 63 + 64 + 65 + 66 + 67 + 68);
	SEND(0, 0x10, 0, 1, 68);
	SEND(1ull << 63, 0, 192, 1, 255);
}

static void test_ipi_to_ids_that_nobody_has(void **state)
{
	static const u64 nowhere[] = { 256, 257, 0xffffffff, 1ull << 32, 1ull << 63, ~0ull, ~0ull - 62 };

	for (unsigned int i = 0; i < ARRAY_SIZE(nowhere); i++)
		SEND(~0ull, ~0ull, nowhere[i], 0, 0);
	SEND(~0ull, ~0ull, 255, 1, 255);	/* those beyond do not wrap */
	SEND(~1ull, ~0ull, 255, 0, 0);
	SEND(0, 0, 0, 0, 0);
	SEND(~0ull, ~0ull, 69, 0, 0);		/* up to 196: a hole */
}

static void test_ipi_from_32_bit_code(void **state)
{
	in_32_bit_code();
	/* The upper halves are not there: 32 bits each, and the second set begins 32 after the first. */
	SEND(1 | 1ull << 40, 1 | ~0ull << 32, 5 | 1ull << 32, 2, 5 + 37);
	v->cpuid.kvm_features = 0;
	assert_int_equal(hypercall(SEND_IPI, 1, 0, 0, 0x40), (u32)-1000);
}

static void test_ipi_is_refused(void **state)
{
	static const u32 bad_icr[] = { 0x840, 0x40040, 0x80040, 0xc0040, 0xc0840 };
	u64 sum;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad_icr); i++)
		assert_int_equal(hypercall(SEND_IPI, ~0ull, 0, 0, bad_icr[i]), (u64)-22);
	for (u32 vector = 0; vector < 16; vector++)
		assert_int_equal(hypercall(SEND_IPI, ~0ull, 0, 0, vector), 0);
	assert_true(v->apic.esr_pending & 1u << 5);
	/* Modes that no APIC takes: SMI, reserved, ExtINT. */
	assert_int_equal(hypercall(SEND_IPI, ~0ull, 0, 0, 0x240), 0);
	assert_int_equal(hypercall(SEND_IPI, ~0ull, 0, 0, 0x340), 0);
	assert_int_equal(hypercall(SEND_IPI, ~0ull, 0, 0, 0x740), 0);
	v->cpuid.kvm_features = ~HAS_SEND_IPI;
	assert_int_equal(hypercall(SEND_IPI, 1, 0, 0, 0x40), (u64)-1000);
	v->cpuid.kvm_features = HAS_SEND_IPI;
	VMCB(v)->s.cpl = 3;
	assert_int_equal(hypercall(SEND_IPI, 1, 0, 0, 0x40), (u64)-1);
	VMCB(v)->s.cpl = 0;
	assert_int_equal(collect(0x40, &sum), 0);
}

static void test_ipi_needs_an_apic(void **state)
{
	v->cpuid.kvm_features = HAS_SEND_IPI;
	in_64_bit_code();
	assert_int_equal(hypercall(SEND_IPI, 1, 0, 0, 0x40), (u64)-95);
}

static void test_ipi_is_not_taken_by_apics_that_are_off(void **state)
{
	u32 off = 0xff;

	assert_true(lapic_mmio_write(targets[1], APIC_DEFAULT_BASE + LAPIC_SVR, 4, &off));
	assert_int_equal(lapic_set_base(targets[2], APIC_DEFAULT_BASE, true), 0);
	targets[1]->requests = targets[2]->requests = 0;
	SEND(0xf, 0, 0, 2, 3);
}

static void test_ipi_of_other_modes(void **state)
{
	assert_int_equal(hypercall(SEND_IPI, 0xe, 0, 0, MODE_NMI), 3);
	for (u32 i = 1; i < 4; i++) {
		assert_true(targets[i]->requests & 1ull << REQ_NMI);
		assert_int_equal(targets[i]->ev.nmi_queued, 1);
	}
	assert_int_equal(hypercall(SEND_IPI, 0x6, 0, 0, MODE_INIT), 2);
	assert_int_equal(targets[1]->apic.pending_init_sipi, 1);
	assert_int_equal(hypercall(SEND_IPI, 0x4, 0, 0, MODE_SIPI | 0x12), 1);
	assert_int_equal(targets[2]->apic.pending_init_sipi, 3);
	assert_int_equal(targets[2]->apic.sipi_vector, 0x12);
}

/* One hypercall is one IPI, whatever the number of its targets. */
static void test_ipi_is_accounted_for(void **state)
{
	struct exeunt_counters c;

	machine_of(targets[3])->off_cpu = true;
	targets[2]->mp_state = KVM_MP_STATE_HALTED;
	hypercall(SEND_IPI, 0x2, 0, 0, 0x40);
	hypercall(SEND_IPI, 0xf, 0, 0, 0x41);
	hypercall(SEND_IPI, 0x1, 0, 250, 0x42);
	hypercall(SEND_IPI, 0, 0, 0, 0x43);
	stats_read_counters(v->stats, &c);
	assert_int_equal(c.ipis[APIC_FIXED][0][0], 1);
	assert_int_equal(c.ipis[APIC_FIXED][0][1], 1);
	assert_int_equal(c.ipis_untaken, 1);
	assert_int_equal(c.ipi_targets[0][EXEUNT_TARGET_OUTSIDE], 1);
	assert_int_equal(c.ipi_targets[1][EXEUNT_TARGET_SELF], 1);
	assert_int_equal(c.ipi_targets[1][EXEUNT_TARGET_OUTSIDE], 1);
	assert_int_equal(c.ipi_targets[1][EXEUNT_TARGET_HALTED], 1);
	assert_int_equal(c.ipi_targets[1][EXEUNT_TARGET_PREEMPTED], 1);
}

/* What the fast path asks before it begins. */
static void test_only_few_targets_are_short(void **state)
{
	static const struct { u64 low, high; bool is_short; } sets[] = {
		{ 0, 0, true }, { 0xffff, 0, true }, { 0, 0xffffull << 48, true }, { 0xff00, 0xff, true },
		{ 1ull << 63, 0x7fff, true }, { 0x1ffff, 0, false }, { 0, 0x1ffff, false }, { 0xffff, 1, false },
		{ 1, 0xffff, false }, { ~0ull, ~0ull, false },
	};

	v->mechanisms = EXEUNT_MECHANISMS;
	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++) {
		v->regs[R_BX] = sets[i].low;
		v->regs[R_CX] = sets[i].high;
		assert_int_equal(pv_hypercall_short(v, SEND_IPI), sets[i].is_short);
		assert_true(pv_hypercall_short(v, 1));
	}
	v->mechanisms &= ~EXEUNT_FAST_IPI;
	v->regs[R_BX] = 1;
	v->regs[R_CX] = 0;
	assert_false(pv_hypercall_short(v, SEND_IPI));
}

/* What needs more than its number is left as it is. */
static void test_simple_hypercalls(void **state)
{
	u64 rax = 0x5555;

	in_64_bit_code();
	v->cpuid.kvm_features = HAS_SEND_IPI;
	assert_false(pv_hypercall_simple(v, SEND_IPI, &rax));
	assert_int_equal(rax, 0x5555);
	assert_true(pv_hypercall_simple(v, 1, &rax));
	assert_int_equal(rax, 0);
	VMCB(v)->s.cpl = 1;
	assert_true(pv_hypercall_simple(v, SEND_IPI, &rax));
	assert_int_equal(rax, (u64)-1);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define IPI_CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup_targets, teardown_targets)

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
		CASE(poll_control_is_one_bit_that_is_set_at_reset),
		CASE(poll_control_needs_its_feature_bit_unless_the_vmm_asks),
		CASE(unknown_hypercall),
		CASE(vapic_poll_irq_does_nothing),
		CASE(simple_hypercalls),
		CASE(only_few_targets_are_short),
		CASE(ipi_needs_an_apic),
		IPI_CASE(ipi_reaches_the_set),
		IPI_CASE(ipi_to_ids_that_nobody_has),
		IPI_CASE(ipi_from_32_bit_code),
		IPI_CASE(ipi_is_refused),
		IPI_CASE(ipi_is_not_taken_by_apics_that_are_off),
		IPI_CASE(ipi_of_other_modes),
		IPI_CASE(ipi_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
