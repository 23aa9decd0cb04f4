// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic that the BPF program does on each exit (tool/bpf/exits.h), compiled for this machine: buckets as the model has them,
 * squares as 128-bit numbers have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "bpf/exits.h"
#include "model.h"

#define RANDOM_TIMES 200000

static uint64_t random_state = 88172645463325252ull;

/* Of any size: few bits as often as many. */
static uint64_t random_time(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> (random_state & 63);
}

/* 2^i and its neighbours for all i. */
static uint64_t edge_time(unsigned int i)
{
	return (1ull << i / 3) + i % 3 - 1;
}

static void buckets_are_the_models(void **state)
{
	for (unsigned int i = 0; i < 64 * 3; i++)
		assert_int_equal(exits_bucket(edge_time(i)), hist_bucket(edge_time(i), EXITS_HIST_SHIFT));
	for (unsigned int i = 0; i < RANDOM_TIMES; i++) {
		uint64_t ns = random_time();

		assert_int_equal(exits_bucket(ns), hist_bucket(ns, EXITS_HIST_SHIFT));
	}
	assert_int_equal(exits_bucket(UINT64_MAX), EXEUNT_HIST_BUCKETS - 1);
}

static void a_logarithm_is_the_highest_bits_position(void **state)
{
	for (unsigned int i = 0; i < 32; i++) {
		assert_int_equal(exits_log2(1u << i), i);
		assert_int_equal(exits_log2(UINT32_MAX >> (31 - i)), i);
	}
}

static void assert_square(const struct exeunt_row *row, unsigned __int128 expected)
{
	assert_int_equal(row->square_lo, (uint64_t)expected);
	assert_int_equal(row->square_hi, (uint64_t)(expected >> 64));
}

static void one_square_is_right(void **state)
{
	for (unsigned int i = 0; i < 64 * 3; i++) {
		struct exeunt_row row = { 0 };

		exits_add_square(&row, edge_time(i));
		assert_square(&row, (unsigned __int128)edge_time(i) * edge_time(i));
	}
}

static void squares_add_up_with_their_carries(void **state)
{
	struct exeunt_row row = { 0 };
	unsigned __int128 sum = 0;

	for (unsigned int i = 0; i < RANDOM_TIMES; i++) {
		uint64_t ns = random_time();

		exits_add_square(&row, ns);
		sum += (unsigned __int128)ns * ns;
		assert_square(&row, sum);
	}
}

static void an_exit_changes_all_of_its_row(void **state)
{
	struct exeunt_row row = { 0 };
	struct exeunt_row zero = { 0 };

	exits_count(&row, 1000);
	assert_int_equal(row.count, 1);
	assert_int_equal(row.total, 1000);
	assert_int_equal(row.min, 1000);
	assert_int_equal(row.max, 1000);
	assert_int_equal(row.hist[hist_bucket(1000, EXITS_HIST_SHIFT)], 1);
	exits_count(&row, 10);
	exits_count(&row, 70000);
	assert_int_equal(row.count, 3);
	assert_int_equal(row.total, 71010);
	assert_int_equal(row.min, 10);
	assert_int_equal(row.max, 70000);
	assert_square(&row, 1000ull * 1000 + 10 * 10 + 70000ull * 70000);
	assert_int_equal(row.hist[hist_bucket(10, EXITS_HIST_SHIFT)], 1);
	exits_count(&zero, 0);
	assert_int_equal(zero.min, 0);
	assert_int_equal(zero.hist[0], 1);
}

static void an_owner_comes_apart_as_it_was_put_together(void **state)
{
	uint64_t owner = EXITS_OWNER(4194303u, 4194302u, 16383u);

	assert_int_equal(EXITS_OWNER_TGID(owner), 4194303);
	assert_int_equal(EXITS_OWNER_TID(owner), 4194302);
	assert_int_equal(EXITS_OWNER_VCPU(owner), 16383);
	assert_int_equal(EXITS_OWNER_VCPU(EXITS_OWNER(1u, 1u, EXITS_VCPU_UNKNOWN)), EXITS_VCPU_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_the_models),
		cmocka_unit_test(a_logarithm_is_the_highest_bits_position),
		cmocka_unit_test(one_square_is_right),
		cmocka_unit_test(squares_add_up_with_their_carries),
		cmocka_unit_test(an_exit_changes_all_of_its_row),
		cmocka_unit_test(an_owner_comes_apart_as_it_was_put_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
