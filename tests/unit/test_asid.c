// SPDX-License-Identifier: GPL-2.0
/*
 * asid.c: translations of one vCPU are never used for another. Emulators flush at every VMRUN and
 * would hide a mistake, so a model of the TLB checks the rule itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host.h"
#include "x86/svm/asid.h"
#include "x86/svm/vmcb.h"

#define NR_CPUS		3
#define NR_VCPUS	7
#define MAX_ASIDS	64

/* Whose translations a CPU's TLB may hold under each ASID. -1: nobody's. */
struct model_tlb {
	int owner[MAX_ASIDS];
	bool stale[MAX_ASIDS];	/* the owner asked for a flush since */
};

static struct asid_cpu cpus[NR_CPUS];
static struct asid vcpus[NR_VCPUS];
static struct model_tlb tlbs[NR_CPUS];

static void start(u32 nr_asids)
{
	memset(vcpus, 0, sizeof(vcpus));
	memset(cpus, 0, sizeof(cpus));
	for (unsigned int i = 0; i < NR_CPUS; i++) {
		asid_cpu_init(&cpus[i], nr_asids);
		memset(tlbs[i].owner, 0xff, sizeof(tlbs[i].owner));
	}
}

/* vCPU @who enters on @cpu: checks that whatever the TLB holds under its ASID is its own and valid. */
static u8 enter(unsigned int who, u32 cpu, bool by_asid)
{
	struct asid *a = &vcpus[who];
	struct model_tlb *tlb = &tlbs[cpu];
	u8 control = asid_prepare(a, &cpus[cpu], cpu, by_asid);

	assert_in_range(a->id, 1, cpus[cpu].nr - 1);
	if (control == TLB_FLUSH_ALL) {
		memset(tlb->owner, 0xff, sizeof(tlb->owner));
	} else if (control == TLB_FLUSH_GUEST) {
		assert_true(by_asid);
		tlb->owner[a->id] = -1;
	} else {
		assert_int_equal(control, TLB_KEEP);
	}
	if (tlb->owner[a->id] != -1) {
		assert_int_equal(tlb->owner[a->id], who);
		assert_false(tlb->stale[a->id]);
	}
	tlb->owner[a->id] = who;
	tlb->stale[a->id] = false;
	return control;
}

/* All that any TLB holds of vCPU @who is stale from now on. */
static void flush(unsigned int who)
{
	asid_flush(&vcpus[who]);
	for (unsigned int cpu = 0; cpu < NR_CPUS; cpu++)
		for (unsigned int id = 0; id < MAX_ASIDS; id++)
			if (tlbs[cpu].owner[id] == (int)who)
				tlbs[cpu].stale[id] = true;
}

static void test_first_entry_on_a_cpu_flushes_it_all(void **state)
{
	start(8);
	assert_int_equal(enter(0, 0, true), TLB_FLUSH_ALL);
	assert_int_equal(enter(1, 0, true), TLB_KEEP);
	assert_int_equal(enter(1, 1, true), TLB_FLUSH_ALL);
}

static void test_asid_is_kept_while_nothing_changes(void **state)
{
	u32 id;

	start(8);
	enter(0, 0, true);
	id = vcpus[0].id;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(enter(0, 0, true), TLB_KEEP);
		assert_int_equal(vcpus[0].id, id);
	}
}

static void test_exhaustion_flushes_once_and_starts_over(void **state)
{
	start(4);
	assert_int_equal(enter(0, 0, true), TLB_FLUSH_ALL);
	assert_int_equal(enter(1, 0, true), TLB_KEEP);
	assert_int_equal(enter(2, 0, true), TLB_KEEP);
	assert_int_equal(enter(3, 0, true), TLB_FLUSH_ALL);
	/* The others' ids are of the old generation. */
	assert_int_equal(enter(0, 0, true), TLB_KEEP);
	assert_int_not_equal(vcpus[0].id, vcpus[3].id);
	assert_int_equal(enter(3, 0, true), TLB_KEEP);
}

static void test_one_asid_is_shared_with_a_flush_at_every_change(void **state)
{
	start(2);
	enter(0, 0, true);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(enter(1, 0, true), TLB_FLUSH_ALL);
		assert_int_equal(enter(1, 0, true), TLB_KEEP);
		assert_int_equal(enter(0, 0, true), TLB_FLUSH_ALL);
	}
}

static void test_flush_of_one_vcpu_with_flush_by_asid(void **state)
{
	u32 id;

	start(8);
	enter(0, 0, true);
	id = vcpus[0].id;
	flush(0);
	assert_int_equal(enter(0, 0, true), TLB_FLUSH_GUEST);
	assert_int_equal(vcpus[0].id, id);
	assert_int_equal(enter(0, 0, true), TLB_KEEP);
}

static void test_flush_of_one_vcpu_without_flush_by_asid_takes_a_new_asid(void **state)
{
	u32 id;

	start(8);
	enter(0, 0, false);
	id = vcpus[0].id;
	flush(0);
	assert_int_equal(enter(0, 0, false), TLB_KEEP);
	assert_int_not_equal(vcpus[0].id, id);
}

static void test_vcpu_that_comes_back_to_a_cpu_trusts_nothing_there(void **state)
{
	u32 id;

	start(8);
	enter(0, 0, true);
	id = vcpus[0].id;
	enter(0, 1, true);
	assert_int_equal(enter(0, 0, true), TLB_KEEP);
	assert_int_not_equal(vcpus[0].id, id);
}

/* It went away for suspend or hotplug; vCPUs that ran on it before live on. */
static void test_cpu_that_comes_up_again_hands_no_asid_out_twice(void **state)
{
	start(8);
	for (unsigned int i = 0; i < 4; i++)
		enter(i, 0, true);
	asid_cpu_init(&cpus[0], 8);
	enter(4, 0, true);
	enter(3, 0, true);
	enter(5, 0, true);
	enter(6, 0, true);
	enter(0, 0, true);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		for (unsigned int j = 0; j < i; j++)
			if (vcpus[i].cpu == 0 && vcpus[j].cpu == 0 &&
			    vcpus[i].generation == cpus[0].generation &&
			    vcpus[j].generation == cpus[0].generation)
				assert_int_not_equal(vcpus[i].id, vcpus[j].id);
}

/* VMRUN failed, and does not say whether it flushed before that. */
static void test_flush_that_may_not_have_happened_is_asked_for_again(void **state)
{
	start(4);
	assert_int_equal(enter(0, 0, true), TLB_FLUSH_ALL);
	asid_flush_owed(&vcpus[0], &cpus[0]);
	assert_int_equal(enter(0, 0, true), TLB_FLUSH_ALL);
	asid_flush_owed(&vcpus[0], &cpus[0]);
	assert_int_equal(enter(1, 0, true), TLB_FLUSH_ALL);
	assert_int_not_equal(enter(0, 0, true), TLB_FLUSH_GUEST);
	assert_int_not_equal(vcpus[0].id, vcpus[1].id);
}

static u32 next_random(u32 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void random_steps(u32 nr_asids, bool by_asid, u32 seed)
{
	start(nr_asids);
	for (int i = 0; i < 20000; i++) {
		u32 r = next_random(&seed);

		if (r % 5 == 0)
			flush(r / 5 % NR_VCPUS);
		else
			enter(r / 5 % NR_VCPUS, r / 64 % NR_CPUS, by_asid);
	}
}

static void test_random_entries_flushes_and_migrations(void **state)
{
	static const u32 nr_asids[] = { 2, 3, 5, 8, 9, MAX_ASIDS };

	for (unsigned int i = 0; i < ARRAY_SIZE(nr_asids); i++) {
		random_steps(nr_asids[i], true, 0x1234567 + i);
		random_steps(nr_asids[i], false, 0x89abcd + i);
	}
}

/* As above, with CPUs that go down and come up. */
static void test_random_hotplug(void **state)
{
	u32 seed = 4711;

	start(6);
	for (int i = 0; i < 20000; i++) {
		u32 r = next_random(&seed);

		if (r % 50 == 0)
			asid_cpu_init(&cpus[r / 64 % NR_CPUS], 6);
		else
			enter(r / 50 % NR_VCPUS, r / 64 % NR_CPUS, r & 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_entry_on_a_cpu_flushes_it_all),
		cmocka_unit_test(test_asid_is_kept_while_nothing_changes),
		cmocka_unit_test(test_exhaustion_flushes_once_and_starts_over),
		cmocka_unit_test(test_one_asid_is_shared_with_a_flush_at_every_change),
		cmocka_unit_test(test_flush_of_one_vcpu_with_flush_by_asid),
		cmocka_unit_test(test_flush_of_one_vcpu_without_flush_by_asid_takes_a_new_asid),
		cmocka_unit_test(test_vcpu_that_comes_back_to_a_cpu_trusts_nothing_there),
		cmocka_unit_test(test_cpu_that_comes_up_again_hands_no_asid_out_twice),
		cmocka_unit_test(test_flush_that_may_not_have_happened_is_asked_for_again),
		cmocka_unit_test(test_random_entries_flushes_and_migrations),
		cmocka_unit_test(test_random_hotplug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
