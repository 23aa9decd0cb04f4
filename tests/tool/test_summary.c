// SPDX-License-Identifier: GPL-2.0
/*
 * What is said of many measurements: order, moments, error and its interval.
 */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "summary.h"
#include "near.h"

static void none_is_all_zeros(void **state)
{
	struct summary s, zeros = { 0 };

	memset(&s, 0xff, sizeof(s));
	summarize(&s, NULL, 0);
	assert_memory_equal(&s, &zeros, sizeof(s));
}

static void one_value_is_everything_and_has_no_error(void **state)
{
	double value = 603;
	struct summary s;

	summarize(&s, &value, 1);
	assert_int_equal(s.n, 1);
	assert_true(s.min == 603 && s.median == 603 && s.p99 == 603 && s.max == 603 && s.mean == 603);
	assert_true(s.error == 0 && s.half_width == 0);
}

static void equal_values_have_no_error(void **state)
{
	double values[1000];
	struct summary s;

	for (int i = 0; i < 1000; i++)
		values[i] = 1281;
	summarize(&s, values, 1000);
	assert_true(s.min == 1281 && s.p99 == 1281 && s.max == 1281 && s.mean == 1281 && s.error == 0 && s.half_width == 0);
}

/* In R: x <- c(2, 4, 4, 4, 5, 5, 7, 9); sd(x) / sqrt(8); qt(0.975, 7) * that. */
static void error_and_interval_are_as_in_R(void **state)
{
	double values[] = { 9, 2, 5, 4, 7, 4, 5, 4 };
	struct summary s;

	summarize(&s, values, 8);
	assert_near(s.mean, 5, 1e-15);
	assert_near(s.error, 0.75592894601845445, 1e-12);
	assert_near(s.half_width, 1.7874883, 1e-6);
	assert_true(s.min == 2 && s.max == 9);
}

static void values_are_sorted_and_some_that_were_seen(void **state)
{
	double values[200];
	struct summary s;

	for (int i = 0; i < 200; i++)
		values[i] = (i * 7 + 3) % 200;
	summarize(&s, values, 200);
	for (int i = 0; i < 200; i++)
		assert_true(values[i] == i);
	assert_true(s.min == 0 && s.median == 100 && s.p99 == 197 && s.max == 199);
	assert_near(s.mean, 99.5, 1e-12);
}

static void order_holds_for_any_number(void **state)
{
	double values[150];
	struct summary s;

	for (size_t n = 1; n <= 150; n++) {
		for (size_t i = 0; i < n; i++)
			values[i] = (i * 31 + 17) % 101;
		summarize(&s, values, n);
		assert_true(s.min <= s.median && s.median <= s.p99 && s.p99 <= s.max);
		assert_true(s.min <= s.mean && s.mean <= s.max);
		assert_true(s.half_width >= s.error && isfinite(s.half_width));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_all_zeros),
		cmocka_unit_test(one_value_is_everything_and_has_no_error),
		cmocka_unit_test(equal_values_have_no_error),
		cmocka_unit_test(error_and_interval_are_as_in_R),
		cmocka_unit_test(values_are_sorted_and_some_that_were_seen),
		cmocka_unit_test(order_holds_for_any_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
