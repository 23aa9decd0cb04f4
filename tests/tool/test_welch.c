// SPDX-License-Identifier: GPL-2.0
/*
 * Welch's t-test, Hedges' g and Holm's correction: as published examples have them, and with the properties that they promise.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "welch.h"
#include "near.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct moments moments_of(const double *x, size_t n)
{
	struct moments m = { .n = n };

	for (size_t i = 0; i < n; i++)
		m.mean += x[i] / n;
	for (size_t i = 0; i < n; i++)
		m.variance += (x[i] - m.mean) * (x[i] - m.mean) / (n - 1);
	return m;
}

static const double sleep_1[] = { 0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0 };
static const double sleep_2[] = { 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4 };

/* Student's sleep data (1908) as t.test(extra ~ group, data = sleep) of R's manual prints them. */
static void student_sleep_is_as_in_R(void **state)
{
	struct moments a = moments_of(sleep_1, ARRAY_SIZE(sleep_1)), b = moments_of(sleep_2, ARRAY_SIZE(sleep_2));
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_near(w.t, 1.8608, 1e-4);
	assert_near(w.df, 17.776, 1e-4);
	assert_near(w.p, 0.07939, 1e-4);
	assert_near(w.low, -0.2054832, 1e-6);
	assert_near(w.high, 3.3654832, 1e-6);
	assert_near(w.difference, 1.58, 1e-12);
	/* d = 1.58 / 1.898625, times gamma(9) / (3 gamma(8.5)); to 15 places by mpmath. */
	assert_near(w.g, 0.796935239191121, 1e-12);
	assert_false(w.constant);
	assert_int_equal(welch_effect(&w), EFFECT_MEDIUM);
}

/* Unequal variances: the example of https://statisticalpoint.com/welch-t-test-in-r, t.test(booklet, no_booklet). */
static void unequal_variances_are_as_in_R(void **state)
{
	static const double booklet[] = { 90, 85, 88, 89, 94, 91, 79, 83, 87, 88, 91, 90 };
	static const double no_booklet[] = { 67, 90, 71, 95, 88, 83, 72, 66, 75, 86, 93, 84 };
	struct moments a = moments_of(no_booklet, ARRAY_SIZE(no_booklet)), b = moments_of(booklet, ARRAY_SIZE(booklet));
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_near(w.t, 2.2361, 1e-4);
	assert_near(w.df, 14.354, 1e-4);
	assert_near(w.p, 0.04171, 1e-4);
	assert_near(w.low, 0.3048395, 1e-6);
	assert_near(w.high, 13.8618272, 1e-6);
	assert_int_equal(welch_effect(&w), EFFECT_LARGE);
}

/* AUTO83B of the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.3: from means and deviations, n different. */
static void summaries_are_as_in_the_NIST_handbook(void **state)
{
	const struct moments japan = { 79, 30.48101, 6.10771 * 6.10771 }, us = { 249, 20.14458, 6.41470 * 6.41470 };
	struct welch w;

	assert_true(welch_test(&w, &us, &japan, 0.95));
	assert_near(w.t, 12.94627, 1e-6);
	assert_near(w.df, 136.8750, 1e-6);
	assert_near(w.p, 1.570904615464823e-25, 1e-9);
	/* Their pooled deviation is 6.34260; the correction is 1 - 3 / (4 * 326 - 1), nearly. */
	assert_near(w.g, 10.33643 / 6.34260 * (1 - 3.0 / 1303), 2e-6);
}

/* Hedges (1981): c(2) is 1 / sqrt(pi). Two observations each, a pooled deviation of 1. */
static void the_smallest_samples_are_corrected_most(void **state)
{
	const struct moments a = { 2, 5, 1 }, b = { 2, 6, 1 };
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_near(w.g, 1 / sqrt(M_PI), 1e-12);
	assert_near(w.df, 2, 1e-12);
	/* t with 2 degrees of freedom has a closed form: p = 1 - t / sqrt(2 + t²). */
	assert_near(w.p, 1 - 1 / sqrt(3), 1e-12);
}

static void effects_have_cohens_names(void **state)
{
	static const struct { double g; enum effect effect; const char *word; } cases[] = {
		{ 0, EFFECT_NEGLIGIBLE, "negligible" }, { 0.199, EFFECT_NEGLIGIBLE, "negligible" }, { 0.2, EFFECT_SMALL, "small" },
		{ -0.49, EFFECT_SMALL, "small" }, { 0.5, EFFECT_MEDIUM, "medium" }, { -0.79, EFFECT_MEDIUM, "medium" },
		{ 0.8, EFFECT_LARGE, "large" }, { -100, EFFECT_LARGE, "large" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct welch w = { .g = cases[i].g };

		assert_int_equal(welch_effect(&w), cases[i].effect);
		assert_string_equal(effect_word(welch_effect(&w)), cases[i].word);
	}
}

/* --- Degenerate samples --- */

static void fewer_than_two_observations_are_no_test(void **state)
{
	const struct moments none = { 0, 0, 0 }, one = { 1, 5, 0 }, two = { 2, 5, 1 };
	const struct moments *const few[] = { &none, &one };
	struct welch w;

	for (size_t i = 0; i < ARRAY_SIZE(few); i++) {
		assert_false(welch_test(&w, few[i], &two, 0.95));
		assert_false(welch_test(&w, &two, few[i], 0.95));
		assert_true(w.p == 0 && w.g == 0 && w.t == 0);
	}
}

static void constant_samples_differ_or_not(void **state)
{
	const struct moments a = { 10, 100, 0 }, b = { 20, 101, 0 }, zero = { 5, 0, 0 };
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_true(w.constant && w.p == 0 && w.difference == 1 && w.low == 1 && w.high == 1 && w.g == 0);
	assert_int_equal(welch_effect(&w), EFFECT_LARGE);
	assert_true(welch_test(&w, &a, &a, 0.95));
	assert_true(w.constant && w.p == 1 && w.difference == 0);
	assert_int_equal(welch_effect(&w), EFFECT_NEGLIGIBLE);
	assert_true(welch_test(&w, &zero, &zero, 0.95));
	assert_true(w.constant && w.p == 1);
}

/* The rest of a cancellation is no variance, and the last bits of a quotient no difference. */
static void rounding_is_no_difference(void **state)
{
	const struct moments a = { 1e6, 1000, 1e-14 }, b = { 1e6, 1000 * (1 + 1e-15), 0 };
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_true(w.constant && w.p == 1);
}

static void one_constant_sample_is_tested(void **state)
{
	const struct moments a = { 4, 10, 0 }, b = { 4, 12, 4 };
	struct welch w;

	assert_true(welch_test(&w, &a, &b, 0.95));
	assert_false(w.constant);
	assert_near(w.t, 2, 1e-12);
	assert_near(w.df, 3, 1e-12);
}

static void every_number_is_finite(void **state)
{
	static const double ns[] = { 2, 3, 10, 1e3, 1e5, 1e6, 1e9, 1e12, 9e15 }, means[] = { 0, 1e-12, 1, 1e3, 1e12 };
	static const double deviations[] = { 0, 1e-12, 1e-3, 1, 1e6, 1e15 }, confidences[] = { 0.5, 0.95, 0.9999 };
	size_t tests = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ns) * ARRAY_SIZE(means) * ARRAY_SIZE(deviations); i++) {
		struct moments a = { ns[i % 9], means[i / 9 % 5], deviations[i / 45] * deviations[i / 45] };

		for (size_t j = 0; j < ARRAY_SIZE(ns) * ARRAY_SIZE(means) * ARRAY_SIZE(deviations); j++) {
			struct moments b = { ns[j % 9], means[j / 9 % 5], deviations[j / 45] * deviations[j / 45] };
			struct welch w;

			assert_true(welch_test(&w, &a, &b, confidences[(i + j) % 3]));
			if (!isfinite(w.t) || !isfinite(w.df) || !isfinite(w.g) || !isfinite(w.low) || !isfinite(w.high) ||
			    !(w.p >= 0 && w.p <= 1) || !(w.low <= w.difference && w.difference <= w.high))
				fail_msg("n %g %g, mean %g %g, variance %g %g: t %g df %g p %g g %g [%g %g]", a.n, b.n, a.mean, b.mean,
					 a.variance, b.variance, w.t, w.df, w.p, w.g, w.low, w.high);
			tests++;
		}
	}
	assert_int_equal(tests, 270 * 270);
}

/* --- Properties --- */

static double uniform(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (*seed >> 11) * 0x1p-53 + 0x1p-54;
}

static double normal(uint64_t *seed)
{
	return sqrt(-2 * log(uniform(seed))) * cos(2 * M_PI * uniform(seed));
}

static struct moments draw(size_t n, double mean, double deviation, uint64_t *seed)
{
	double x[64];

	for (size_t i = 0; i < n; i++)
		x[i] = mean + deviation * normal(seed);
	return moments_of(x, n);
}

static void swapping_the_samples_turns_the_signs(void **state)
{
	uint64_t seed = 1;

	for (int i = 0; i < 200; i++) {
		struct moments a = draw(3 + i % 20, 10, 2, &seed), b = draw(30 - i % 20, 11, 5, &seed);
		struct welch w, v;

		welch_test(&w, &a, &b, 0.95);
		welch_test(&v, &b, &a, 0.95);
		assert_near(v.t, -w.t, 1e-12);
		assert_near(v.g, -w.g, 1e-12);
		assert_near(v.p, w.p, 1e-12);
		assert_near(v.df, w.df, 1e-12);
		assert_near(v.low, -w.high, 1e-12);
	}
}

static void units_do_not_matter(void **state)
{
	uint64_t seed = 2;

	for (int i = 0; i < 200; i++) {
		struct moments a = draw(12, 10, 2, &seed), b = draw(7, 11, 5, &seed), c = a, d = b;
		struct welch w, v;

		c.mean = c.mean * 1e6 + 5e6;
		d.mean = d.mean * 1e6 + 5e6;
		c.variance *= 1e12;
		d.variance *= 1e12;
		welch_test(&w, &a, &b, 0.95);
		welch_test(&v, &c, &d, 0.95);
		assert_near(v.t, w.t, 1e-9);
		assert_near(v.g, w.g, 1e-9);
		assert_near(v.p, w.p, 1e-9);
		assert_near(v.high, w.high * 1e6, 1e-9);
	}
}

/* Of pairs that do not differ, p calls a share of alpha different; and so many intervals miss the true difference. */
static void p_and_intervals_keep_their_promise(void **state)
{
	const int pairs = 20000;
	int called = 0, missed = 0;
	uint64_t seed = 3;

	for (int i = 0; i < pairs; i++) {
		struct moments a = draw(8, 5, 1, &seed), b = draw(15, 5, 4, &seed), c = draw(15, 7, 4, &seed);
		struct welch w;

		welch_test(&w, &a, &b, 0.95);
		called += w.p < 0.05;
		assert_int_equal(w.p < 0.05, w.low > 0 || w.high < 0);
		welch_test(&w, &a, &c, 0.95);
		missed += w.low > 2 || w.high < 2;
	}
	/* Four standard errors of a binomial count: 20000 * 0.05, +- 123. */
	assert_in_range(called, 1000 - 123, 1000 + 123);
	assert_in_range(missed, 1000 - 123, 1000 + 123);
}

/* The reason for the correction of small samples: without it, the mean of these would be 1.09. */
static void g_is_unbiased(void **state)
{
	const int pairs = 40000;
	double sum = 0;
	uint64_t seed = 4;

	for (int i = 0; i < pairs; i++) {
		struct moments a = draw(5, 0, 1, &seed), b = draw(5, 1, 1, &seed);
		struct welch w;

		welch_test(&w, &a, &b, 0.95);
		sum += w.g;
	}
	assert_near(sum / pairs, 1, 0.02);
}

/* --- Holm --- */

/* R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") */
static void holm_is_as_in_R(void **state)
{
	double p[] = { 0.01, 0.04, 0.03, 0.005 };
	static const double expected[] = { 0.03, 0.06, 0.06, 0.02 };

	holm_correct(p, ARRAY_SIZE(p));
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		assert_near(p[i], expected[i], 1e-12);
}

static void holm_of_none_and_one_changes_nothing(void **state)
{
	double p = 0.04;

	holm_correct(&p, 0);
	holm_correct(&p, 1);
	assert_true(p == 0.04);
}

static void holm_keeps_order_and_bounds(void **state)
{
	uint64_t seed = 5;

	for (int round = 0; round < 300; round++) {
		double p[40], corrected[40];
		size_t n = 1 + round % 40;

		for (size_t i = 0; i < n; i++)
			p[i] = corrected[i] = round % 3 ? uniform(&seed) : floor(uniform(&seed) * 4) / 100;
		holm_correct(corrected, n);
		for (size_t i = 0; i < n; i++) {
			assert_true(corrected[i] >= p[i] && corrected[i] <= 1 && corrected[i] <= p[i] * n * (1 + 1e-12));
			for (size_t j = 0; j < n; j++)
				assert_true(p[i] > p[j] || corrected[i] <= corrected[j]);
		}
	}
}

/* In a family of 20 tests of what does not differ, the chance of any false finding stays at 5 %; uncorrected it would be 64 %. */
static void holm_keeps_the_family_error(void **state)
{
	const int families = 2000;
	int wrong = 0;
	uint64_t seed = 6;

	for (int f = 0; f < families; f++) {
		double p[20];
		bool any = false;

		for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
			struct moments a = draw(10, 5, 1, &seed), b = draw(10, 5, 2, &seed);
			struct welch w;

			welch_test(&w, &a, &b, 0.95);
			p[i] = w.p;
		}
		holm_correct(p, ARRAY_SIZE(p));
		for (size_t i = 0; i < ARRAY_SIZE(p); i++)
			any |= p[i] < 0.05;
		wrong += any;
	}
	assert_in_range(wrong, 50, 140);
}

static void joined_moments_are_those_of_all(void **state)
{
	const struct moments none = { 0 };
	double all[20];
	struct moments a, b, joined, whole;

	memcpy(all, sleep_1, sizeof(sleep_1));
	memcpy(all + 10, sleep_2, sizeof(sleep_2));
	whole = moments_of(all, 20);
	for (size_t n = 1; n < 20; n++) {
		a = moments_of(all, n);
		b = moments_of(all + n, 20 - n);
		if (n == 1)
			a.variance = 0;
		if (n == 19)
			b.variance = 0;
		joined = moments_join(&a, &b);
		assert_near(joined.n, 20, 0);
		assert_near(joined.mean, whole.mean, 1e-12);
		assert_near(joined.variance, whole.variance, 1e-12);
	}
	joined = moments_join(&none, &whole);
	assert_memory_equal(&joined, &whole, sizeof(whole));
	joined = moments_join(&whole, &none);
	assert_memory_equal(&joined, &whole, sizeof(whole));
	joined = moments_join(&none, &none);
	assert_true(joined.n == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(student_sleep_is_as_in_R),
		cmocka_unit_test(unequal_variances_are_as_in_R),
		cmocka_unit_test(summaries_are_as_in_the_NIST_handbook),
		cmocka_unit_test(the_smallest_samples_are_corrected_most),
		cmocka_unit_test(effects_have_cohens_names),
		cmocka_unit_test(fewer_than_two_observations_are_no_test),
		cmocka_unit_test(constant_samples_differ_or_not),
		cmocka_unit_test(rounding_is_no_difference),
		cmocka_unit_test(one_constant_sample_is_tested),
		cmocka_unit_test(every_number_is_finite),
		cmocka_unit_test(swapping_the_samples_turns_the_signs),
		cmocka_unit_test(units_do_not_matter),
		cmocka_unit_test(p_and_intervals_keep_their_promise),
		cmocka_unit_test(g_is_unbiased),
		cmocka_unit_test(holm_is_as_in_R),
		cmocka_unit_test(holm_of_none_and_one_changes_nothing),
		cmocka_unit_test(holm_keeps_order_and_bounds),
		cmocka_unit_test(holm_keeps_the_family_error),
		cmocka_unit_test(joined_moments_are_those_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
