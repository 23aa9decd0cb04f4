// SPDX-License-Identifier: GPL-2.0
/*
 * npt.c: what the CPU would find in the tables after faults, notifier calls and dirty logging; that
 * every table page is given back; and random sequences against a flat model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine.h"

#define PTE_P		(1ull << 0)
#define PTE_W		(1ull << 1)
#define PTE_U		(1ull << 2)
#define PTE_A		(1ull << 5)
#define PTE_LARGE	(1ull << 7)
#define PTE_ADDR	0x000ffffffffff000ull

#define PFN_OFFSET	0x40000000ull
#define NONE		0ull

static struct machine *m;
static struct vcpu *v;

/* Guest memory of 2 TiB that no buffer backs: npt.c never touches it. */
static void create(unsigned int levels)
{
	m = machine_create(0);
	m->mem_size = 1ull << 41;
	m->pfn_offset = PFN_OFFSET;
	v = machine_add_vcpu(m, 0);
	assert_int_equal(npt_create(&m->vm, levels), 0);
}

static int setup(void **state)
{
	create(4);
	return 0;
}

static int setup_5_levels(void **state)
{
	create(5);
	return 0;
}

static int teardown(void **state)
{
	npt_destroy(&m->vm);
	assert_int_equal(m->nr_tables, 0);
	machine_free(m);
	return 0;
}

/*
 * The leaf by which the CPU translates @gfn, as a 4 KiB entry of that frame with bit 7 for a large
 * page; NONE if there is none. Fails on entries that no nested walk may meet.
 */
static u64 walk(u64 gfn)
{
	u64 *table = m->vm.npt.root;

	for (int level = m->vm.npt.levels - 1;; level--) {
		u64 e = table[gfn >> (9 * level) & 511];

		if (!(e & PTE_P))
			return NONE;
		assert_true(e & PTE_U);
		assert_true(e >> 52 == 0);
		if (level == 0) {
			assert_false(e & PTE_LARGE);
			return e;
		}
		if (e & PTE_LARGE) {
			assert_int_equal(level, 1);
			assert_int_equal(e & 0x1fe000, 0);
			return e + ((gfn & 511) << 12);
		}
		assert_true(e & PTE_W);
		table = (u64 *)(uintptr_t)(e & PTE_ADDR);
	}
}

static bool maps(u64 gfn, bool writable, bool large)
{
	u64 e = walk(gfn);

	return e != NONE && (e & PTE_ADDR) >> 12 == gfn + PFN_OFFSET && !(e & PTE_W) == !writable &&
	       !(e & PTE_LARGE) == !large;
}

static int fault(u64 gfn, bool write)
{
	int r = npt_fault(v, gfn << 12 | 0x123, write ? PF_WRITE | PF_USER : PF_USER);

	assert_false(m->mmu_locked);
	return r;
}

/* The three range operations as the host calls them: lock, change, flush, reap. */
static bool unmap(u64 start, u64 end)
{
	bool flush;

	host_mmu_lock(&m->vm);
	flush = npt_unmap(&m->vm, start, end);
	npt_reap(&m->vm);
	host_mmu_unlock(&m->vm);
	assert_int_equal(m->nr_tables, m->vm.npt.nr_tables);
	return flush;
}

static bool protect(u64 start, u64 end)
{
	bool flush;

	host_mmu_lock(&m->vm);
	flush = npt_write_protect(&m->vm, start, end);
	npt_reap(&m->vm);
	host_mmu_unlock(&m->vm);
	return flush;
}

static bool age(u64 start, u64 end, bool clear)
{
	bool young;

	host_mmu_lock(&m->vm);
	young = npt_age(&m->vm, start, end, clear);
	host_mmu_unlock(&m->vm);
	return young;
}

static void test_small_page_is_mapped_where_it_was_touched(void **state)
{
	assert_int_equal(fault(5, false), RESUME);
	assert_true(maps(5, true, false));
	assert_true(walk(4) == NONE && walk(6) == NONE);
	assert_int_equal(m->vm.npt.nr_tables, m->vm.npt.levels);
	assert_int_equal(m->dirty_marks, 1);
}

static void test_page_of_a_slot_without_a_log_is_not_marked_dirty(void **state)
{
	m->unlogged = true;
	assert_int_equal(fault(5, true), RESUME);
	assert_true(maps(5, true, false));
	assert_int_equal(m->dirty_marks, 0);
}

static void test_large_page_is_one_leaf(void **state)
{
	m->large_pages = true;
	assert_int_equal(fault(0x200 + 7, true), RESUME);
	assert_true(maps(0x200, true, true) && maps(0x3ff, true, true));
	assert_true(walk(0x1ff) == NONE && walk(0x400) == NONE);
	assert_int_equal(m->vm.npt.nr_tables, m->vm.npt.levels - 1);
}

static void test_read_only_memory_is_mapped_without_write(void **state)
{
	m->ro_start = 0x10000;
	m->ro_end = 0x20000;
	assert_int_equal(fault(0x10, false), RESUME);
	assert_true(maps(0x10, false, false));
	assert_int_equal(m->dirty_marks, 0);
	assert_int_equal(fault(0x10, true), NPT_MMIO);
	assert_true(maps(0x10, false, false));
}

static void test_memory_that_nobody_backs_is_mmio(void **state)
{
	assert_int_equal(fault(m->mem_size >> 12, false), NPT_MMIO);
	assert_int_equal(fault(m->mem_size >> 12, true), NPT_MMIO);
	assert_int_equal(m->vm.npt.nr_tables, 1);
}

static void test_address_beyond_the_tables_is_mmio(void **state)
{
	u64 beyond = 1ull << (9 * m->vm.npt.levels);

	m->mem_size = ~0xfffull;
	assert_int_equal(fault(beyond, false), NPT_MMIO);
	assert_int_equal(npt_fault(v, ~0ull, PF_WRITE), NPT_MMIO);
	m->pfn_offset = 0x1234 - (beyond - 1);
	assert_int_equal(fault(beyond - 1, true), RESUME);
	assert_int_equal((walk(beyond - 1) & PTE_ADDR) >> 12, 0x1234);
}

static void test_errors_of_the_host_end_the_fault(void **state)
{
	m->page_error = -EFAULT;
	assert_int_equal(fault(1, true), -EFAULT);
	m->page_error = -EINTR;
	assert_int_equal(fault(1, true), RESUME);
	m->page_error = 0;
	assert_true(walk(1) == NONE);
	m->max_tables = 1;
	assert_int_equal(fault(1, true), -ENOMEM);
	/* Other vCPUs took the tables on the way down: tried again, and then there is none to begin with. */
	m->max_tables = 3;
	assert_int_equal(fault(1, true), RESUME);
	assert_true(walk(1) == NONE);
	assert_int_equal(m->dirty_marks, 0);
	assert_int_equal(fault(1, true), -ENOMEM);
	m->max_tables = 0;
	assert_int_equal(fault(1, true), RESUME);
	assert_true(maps(1, true, false));
}

static void test_page_that_a_notifier_overtook_is_not_mapped(void **state)
{
	m->notifier_races = 1;
	assert_int_equal(fault(9, true), RESUME);
	assert_true(walk(9) == NONE);
	assert_int_equal(m->dirty_marks, 0);
	assert_int_equal(fault(9, true), RESUME);
	assert_true(maps(9, true, false));
}

static void test_second_fault_on_a_mapped_page_changes_nothing(void **state)
{
	fault(9, true);
	assert_int_equal(fault(9, true), RESUME);
	assert_int_equal(fault(9, false), RESUME);
	assert_true(maps(9, true, false));
	assert_int_equal(m->tlb_flushes, 0);
}

static void test_page_that_became_writable_is_upgraded(void **state)
{
	m->ro_end = 0x200000;
	fault(3, false);
	assert_true(maps(3, false, false));
	m->ro_end = 0;
	assert_int_equal(fault(3, true), RESUME);
	assert_true(maps(3, true, false));
}

static void test_large_page_that_became_writable_is_upgraded(void **state)
{
	m->large_pages = true;
	m->ro_end = 0x400000;
	fault(3, false);
	assert_true(maps(3, false, true));
	m->ro_end = 0;
	assert_int_equal(fault(3, true), RESUME);
	assert_true(maps(3, true, true));
}

/* Dirty logging began: the host now gives 4 KiB pages where a large read-only leaf is. */
static void test_write_below_a_read_only_large_leaf_gets_through(void **state)
{
	m->large_pages = true;
	m->ro_end = 0x400000;
	fault(3, false);
	m->ro_end = 0;
	m->large_pages = false;
	assert_int_equal(fault(3, true), RESUME);
	assert_int_equal(m->tlb_flushes, 1);
	assert_int_equal(fault(3, true), RESUME);
	assert_true(maps(3, true, false));
}

static void test_large_page_over_small_ones_joins_them(void **state)
{
	fault(0x201, true);
	m->large_pages = true;
	assert_int_equal(fault(0x202, true), RESUME);
	assert_true(maps(0x201, true, false) && maps(0x202, true, false));
}

static void test_page_that_moved_is_replaced_with_a_flush(void **state)
{
	fault(8, false);
	m->pfn_offset += 512;
	m->ro_end = 0;
	assert_int_equal(fault(8, true), RESUME);
	assert_int_equal((walk(8) & PTE_ADDR) >> 12, 8 + PFN_OFFSET + 512);
	assert_int_equal(m->tlb_flushes, 1);
	m->pfn_offset -= 512;
}

static void test_unmap_removes_the_range_and_nothing_else(void **state)
{
	for (u64 gfn = 0x1f0; gfn < 0x610; gfn++)
		fault(gfn, true);
	assert_true(unmap(0x1f8, 0x408));
	for (u64 gfn = 0x1f0; gfn < 0x610; gfn++)
		assert_int_equal(walk(gfn) != NONE, gfn < 0x1f8 || gfn >= 0x408);
	assert_false(unmap(0x1f8, 0x408));
}

static void test_unmap_of_one_frame_in_a_large_leaf_removes_the_leaf(void **state)
{
	m->large_pages = true;
	fault(0x200, true);
	fault(0x400, true);
	assert_true(unmap(0x2ff, 0x300));
	assert_true(walk(0x200) == NONE && walk(0x3ff) == NONE);
	assert_true(maps(0x400, true, true));
}

static void test_unmap_of_nothing_needs_no_flush(void **state)
{
	assert_false(unmap(0, ~0ull));
	fault(0x1000, true);
	assert_false(unmap(0x1000, 0x1000));
	assert_false(unmap(0x2000, 0x1000));
	assert_false(unmap(0x1001, ~0ull));
	assert_false(unmap(0, 0x1000));
	assert_false(unmap(1ull << (9 * m->vm.npt.levels), ~0ull));
	assert_true(maps(0x1000, true, false));
}

static void test_unmap_of_all_gives_back_all_tables_but_the_root(void **state)
{
	for (u64 i = 0; i < 300; i++)
		fault(i * 0x12345, true);
	assert_true(m->nr_tables > 300);
	assert_int_equal(m->nr_tables, m->vm.npt.nr_tables);
	assert_true(unmap(0, ~0ull));
	assert_int_equal(m->nr_tables, 1);
	for (u64 i = 0; i < 300; i++)
		assert_true(walk(i * 0x12345) == NONE);
}

/* Another CPU may still walk them: the flush comes first. */
static void test_detached_tables_live_until_reaped(void **state)
{
	u64 before;

	fault(0x200, true);
	before = m->nr_tables;
	host_mmu_lock(&m->vm);
	assert_true(npt_unmap(&m->vm, 0x200, 0x400));
	assert_int_equal(m->nr_tables, before);
	assert_true(walk(0x200) == NONE);
	npt_reap(&m->vm);
	assert_int_equal(m->nr_tables, before - 1);
	host_mmu_unlock(&m->vm);
	assert_int_equal(fault(0x200, true), RESUME);
	assert_true(maps(0x200, true, false));
}

static void test_write_protection_keeps_small_pages_readable(void **state)
{
	for (u64 gfn = 0x100; gfn < 0x110; gfn++)
		fault(gfn, true);
	assert_true(protect(0x104, 0x108));
	for (u64 gfn = 0x100; gfn < 0x110; gfn++)
		assert_true(maps(gfn, gfn < 0x104 || gfn >= 0x108, false));
	assert_false(protect(0x104, 0x108));
	assert_int_equal(fault(0x105, true), RESUME);
	assert_true(maps(0x105, true, false));
}

static void test_write_protection_splits_large_pages(void **state)
{
	m->large_pages = true;
	fault(0x200, true);
	assert_true(protect(0x280, 0x281));
	m->large_pages = false;
	for (u64 gfn = 0x200; gfn < 0x400; gfn++)
		assert_true(!(walk(gfn) & PTE_W) || !(walk(gfn) & PTE_LARGE));
	assert_false(walk(0x280) & PTE_W);
	assert_int_equal(fault(0x280, true), RESUME);
	assert_true(maps(0x280, true, false));
	assert_true(walk(0x281) == NONE);
}

static void test_ageing_sees_and_clears_the_accessed_bit(void **state)
{
	fault(7, false);
	assert_false(age(8, 100, false));
	assert_true(age(0, 8, false));
	assert_true(age(7, 8, true));
	assert_false(age(7, 8, false));
	assert_false(age(7, 8, true));
	assert_true(maps(7, true, false));
	m->large_pages = true;
	fault(0x200, false);
	assert_true(age(0x3ff, 0x400, true));
	assert_false(age(0x200, 0x201, false));
	assert_true(maps(0x200, true, true));
}

static void test_creation_fails_without_memory_and_leaves_nothing(void **state)
{
	struct machine *other = machine_create(0);

	other->nr_tables = other->max_tables = 1;
	assert_int_equal(npt_create(&other->vm, 4), -ENOMEM);
	npt_destroy(&other->vm);
	assert_int_equal(other->nr_tables, 1);
	machine_free(other);
}

/* --- Random sequences. --- */

/* Frames in two places that share only the root: the ends of a table are in both. */
#define MODEL_FRAMES	2048u
#define MODEL_FAR	0x1ffffc00ull	/* the upper half is around here */

/* What the guest may have of a frame: nothing is mapped, or writable, that the model does not allow. */
static struct { bool mapped, writable; } model[MODEL_FRAMES];

static u64 model_gfn(u32 i)
{
	return i < MODEL_FRAMES / 2 ? i : MODEL_FAR + i - MODEL_FRAMES / 2;
}

static u32 seed = 2463534242u;

static u32 next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static void random_fault(void)
{
	u32 i = next_random() % MODEL_FRAMES;
	bool write = next_random() & 1, read_only;
	u64 gfn = model_gfn(i), around = i & ~511u;

	m->large_pages = next_random() & 1;
	read_only = gfn << 12 >= m->ro_start && gfn << 12 < m->ro_end;
	if (write && read_only) {
		assert_int_equal(fault(gfn, write), NPT_MMIO);
		return;
	}
	/* Twice: the first may only have removed a leaf that was in the way. */
	assert_int_equal(fault(gfn, write), RESUME);
	if (write && !(walk(gfn) & PTE_W))
		assert_int_equal(fault(gfn, write), RESUME);
	assert_true(walk(gfn) & PTE_P);
	if (write)
		assert_true(walk(gfn) & PTE_W);
	for (u32 k = around; k < around + 512; k++) {
		u64 e = walk(model_gfn(k));

		if (k == i || (e & PTE_LARGE)) {
			model[k].mapped = true;
			model[k].writable = !read_only;
		}
	}
}

static void random_range(void)
{
	u32 a = next_random() % MODEL_FRAMES, n = 1 + next_random() % (next_random() & 1 ? 8 : 1200);
	u32 b = min(a + n, a < MODEL_FRAMES / 2 ? MODEL_FRAMES / 2 : MODEL_FRAMES);
	bool remove = next_random() & 1, any = false, flush;

	for (u32 i = a; i < b; i++) {
		u64 e = walk(model_gfn(i));

		any |= (e & PTE_P) && (remove || (e & PTE_W));
	}
	flush = remove ? unmap(model_gfn(a), model_gfn(b - 1) + 1) :
			 protect(model_gfn(a), model_gfn(b - 1) + 1);
	assert_true(flush || !any);
	for (u32 i = a; i < b; i++) {
		model[i].writable = false;
		if (remove)
			model[i].mapped = false;
	}
}

static void check_model(void)
{
	for (u32 i = 0; i < MODEL_FRAMES; i++) {
		u64 e = walk(model_gfn(i));

		if (!(e & PTE_P))
			continue;
		assert_true(model[i].mapped);
		assert_int_equal((e & PTE_ADDR) >> 12, model_gfn(i) + PFN_OFFSET);
		assert_true(!(e & PTE_W) || model[i].writable);
	}
	assert_int_equal(m->nr_tables, m->vm.npt.nr_tables);
}

static void test_random_sequences_map_nothing_that_was_not_given(void **state)
{
	memset(model, 0, sizeof(model));
	m->ro_start = 0x80000;
	m->ro_end = 0x500000;
	for (int i = 0; i < 3000; i++) {
		if (next_random() % 4)
			random_fault();
		else
			random_range();
		if (i % 8 == 0)
			check_model();
	}
	check_model();
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define CASE5(name)	{ "5 levels: " #name, test_##name, setup_5_levels, teardown, NULL }
#define BOTH(name)	CASE(name), CASE5(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(small_page_is_mapped_where_it_was_touched),
		BOTH(large_page_is_one_leaf),
		CASE(page_of_a_slot_without_a_log_is_not_marked_dirty),
		CASE(read_only_memory_is_mapped_without_write),
		CASE(memory_that_nobody_backs_is_mmio),
		BOTH(address_beyond_the_tables_is_mmio),
		CASE(errors_of_the_host_end_the_fault),
		CASE(page_that_a_notifier_overtook_is_not_mapped),
		CASE(second_fault_on_a_mapped_page_changes_nothing),
		CASE(page_that_became_writable_is_upgraded),
		CASE(large_page_that_became_writable_is_upgraded),
		CASE(write_below_a_read_only_large_leaf_gets_through),
		CASE(large_page_over_small_ones_joins_them),
		CASE(page_that_moved_is_replaced_with_a_flush),
		CASE(unmap_removes_the_range_and_nothing_else),
		CASE(unmap_of_one_frame_in_a_large_leaf_removes_the_leaf),
		BOTH(unmap_of_nothing_needs_no_flush),
		BOTH(unmap_of_all_gives_back_all_tables_but_the_root),
		CASE(detached_tables_live_until_reaped),
		CASE(write_protection_keeps_small_pages_readable),
		CASE(write_protection_splits_large_pages),
		CASE(ageing_sees_and_clears_the_accessed_bit),
		CASE(creation_fails_without_memory_and_leaves_nothing),
		BOTH(random_sequences_map_nothing_that_was_not_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
