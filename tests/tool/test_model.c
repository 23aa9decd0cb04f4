// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the model: rows and their statistics against sums done the long way, percentiles against sorted data, differences, tables.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "fake_source.h"

#define CPUID	EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define HLT	EXEUNT_KEY(0x78, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define RDMSR(n, outcome) EXEUNT_KEY(0x7c, EXEUNT_MSR_READ, outcome, n)
#define WRMSR(n, outcome) EXEUNT_KEY(0x7c, EXEUNT_MSR_WRITE, outcome, n)

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int reset(void **state)
{
	seed = 0x9e3779b97f4a7c15;
	fake_reset();
	return 0;
}

static bool is_near(double a, double b, double tolerance)
{
	return fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b));
}

/* --- Histograms --- */

static void buckets_follow_each_other_without_gap(void **state)
{
	for (unsigned int shift = 0; shift < 12; shift++) {
		assert_int_equal(hist_low(0, shift), 0);
		for (unsigned int i = 0; i < EXEUNT_HIST_BUCKETS; i++) {
			assert_int_equal(hist_bucket(hist_low(i, shift), shift), i);
			if (i < EXEUNT_HIST_BUCKETS - 1)
				assert_int_equal(hist_bucket(hist_low(i + 1, shift) - 1, shift), i);
		}
	}
}

/* The formula in include/exeunt/stats.h, word by word. */
static void buckets_are_those_of_the_abi(void **state)
{
	for (unsigned int n = 0; n < 200000; n++) {
		uint64_t ticks = next_random() >> (next_random() % 64), x = ticks >> 4;
		unsigned int e;

		if (x > UINT32_MAX)
			x = UINT32_MAX;
		for (e = 31; !((x | 8) >> e & 1); e--)
			;
		assert_int_equal(hist_bucket(ticks, 4), (e - 3) * 8 + (x >> (e - 3)));
	}
}

static void buckets_are_no_wider_than_an_eighth_of_their_lower_end(void **state)
{
	for (unsigned int i = 16; i < EXEUNT_HIST_BUCKETS - 1; i++)
		assert_true((hist_low(i + 1, 4) - hist_low(i, 4)) * 8 <= hist_low(i, 4));
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(hist_low(i + 1, 4) - hist_low(i, 4), 16);
}

static void times_beyond_the_histogram_count_in_the_last_bucket(void **state)
{
	assert_int_equal(hist_bucket(UINT64_MAX, 0), EXEUNT_HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket(1ull << 40, 4), EXEUNT_HIST_BUCKETS - 1);
}

/* --- Percentiles --- */

static int by_value(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return (a > b) - (a < b);
}

/* Every percentile of @n times, against the sorted times: off by a sixteenth at most, or by one unit where that is more. */
static void check_percentiles(uint64_t *times, size_t n, unsigned int shift)
{
	struct exeunt_row r;

	row_init(&r, CPUID);
	for (size_t i = 0; i < n; i++)
		row_exits(&r, 1, times[i], shift);
	qsort(times, n, sizeof(*times), by_value);
	for (unsigned int permille = 0; permille <= 1000; permille++) {
		size_t rank = fmax(ceil(permille / 1000.0 * n), 1);
		double exact = times[rank - 1], got = row_percentile(&r, shift, permille / 1000.0);

		assert_true(fabs(got - exact) <= fmax(exact / 16, 1u << shift));
		assert_true(got >= r.min && got <= r.max);
	}
}

static void percentiles_are_off_by_a_sixteenth_at_most(void **state)
{
	static uint64_t times[5000];

	for (unsigned int shift = 0; shift < 8; shift++) {
		for (unsigned int spread = 1; spread <= 32 + shift; spread++) {
			size_t n = 1 + next_random() % (sizeof(times) / sizeof(times[0]));

			/* Log-uniform below 2^spread: all scales are there. */
			for (size_t i = 0; i < n; i++)
				times[i] = (next_random() & ((1ull << spread) - 1)) >> next_random() % spread;
			check_percentiles(times, n, shift);
		}
	}
}

static void percentile_of_one_exit_is_its_time(void **state)
{
	struct exeunt_row r;

	row_init(&r, CPUID);
	row_exits(&r, 1, 123457, 4);
	assert_true(row_percentile(&r, 4, 0) == 123457);
	assert_true(row_percentile(&r, 4, .999) == 123457);
	assert_true(row_percentile(&r, 4, 1) == 123457);
}

static void percentile_of_times_beyond_the_histogram_lies_between_them(void **state)
{
	struct exeunt_row r;

	row_init(&r, HLT);
	row_exits(&r, 3, 1ull << 40, 4);
	row_exits(&r, 1, 1ull << 50, 4);
	assert_true(row_percentile(&r, 4, .5) >= 1ull << 40);
	assert_true(row_percentile(&r, 4, .5) <= 1ull << 50);
}

static void no_exits_have_no_statistics(void **state)
{
	struct exeunt_row r;

	row_init(&r, CPUID);
	assert_true(row_percentile(&r, 4, .5) == 0);
	assert_true(row_mean(&r) == 0);
	assert_true(row_variance(&r) == 0);
	assert_true(row_error(&r) == 0);
	row_exits(&r, 1, 1000, 4);
	assert_true(row_mean(&r) == 1000);
	assert_true(row_variance(&r) == 0);
	assert_true(row_error(&r) == 0);
}

/* --- Mean and variance --- */

static void mean_variance_and_error_are_those_of_the_data(void **state)
{
	enum { N = 1000 };
	static uint64_t times[N];
	double mean = 0, variance = 0;
	struct exeunt_row r;

	row_init(&r, CPUID);
	for (size_t i = 0; i < N; i++) {
		times[i] = 3000000000 + next_random() % 1000;	/* a small spread on large numbers: sums of squares cancel */
		row_exits(&r, 1, times[i], 4);
		mean += (double)times[i] / N;
	}
	for (size_t i = 0; i < N; i++)
		variance += (times[i] - mean) * (times[i] - mean) / (N - 1);
	assert_true(is_near(row_mean(&r), mean, 1e-12));
	assert_true(is_near(row_variance(&r), variance, 1e-3));
	assert_true(is_near(row_error(&r), sqrt(variance / N) / mean, 1e-3));
}

static void sum_of_squares_has_128_bits(void **state)
{
	struct exeunt_row r, other;

	row_init(&r, HLT);
	row_init(&other, HLT);
	row_exits(&r, 1, 1ull << 40, 4);
	row_exits(&other, 1, 3ull << 40, 4);
	row_add(&r, &other);
	assert_int_equal(r.square_hi, 10 << 16);
	assert_int_equal(r.square_lo, 0);
	assert_true(is_near(row_variance(&r), ldexp(2, 80), 1e-12));
	row_exits(&r, 1, UINT32_MAX, 4);
	row_exits(&r, 1, UINT32_MAX, 4);
	assert_int_equal(r.square_lo, 2ull * UINT32_MAX * UINT32_MAX);
}

static void adding_rows_carries_into_the_upper_half(void **state)
{
	struct exeunt_row a, b;

	row_init(&a, HLT);
	row_init(&b, CPUID);
	a.square_lo = UINT64_MAX;
	b.square_lo = 1;
	row_add(&a, &b);
	assert_int_equal(a.square_lo, 0);
	assert_int_equal(a.square_hi, 1);
	assert_int_equal(a.key, HLT);
}

static void adding_rows_adds_everything(void **state)
{
	struct exeunt_row a, b, both;

	row_init(&a, CPUID);
	row_init(&b, CPUID);
	row_init(&both, CPUID);
	for (int i = 0; i < 2000; i++) {
		uint64_t ticks = next_random() >> 30;

		row_exits(i % 3 ? &a : &b, 1, ticks, 4);
		row_exits(&both, 1, ticks, 4);
	}
	row_add(&a, &b);
	assert_memory_equal(&a, &both, sizeof(a));
}

/* --- Counters --- */

static void counters_add_to_the_last(void **state)
{
	struct exeunt_counters a, b;
	uint64_t *na = (uint64_t *)&a, *nb = (uint64_t *)&b;

	for (size_t i = 0; i < sizeof(a) / 8; i++) {
		na[i] = i;
		nb[i] = 1000 * i;
	}
	counters_add(&a, &b);
	for (size_t i = 0; i < sizeof(a) / 8; i++)
		assert_int_equal(na[i], 1001 * i);
	assert_int_equal(a.halt_wake_ns, 1001 * (sizeof(a) / 8 - 1));
}

/* --- Samples --- */

/* Two VMs of Exeunt's, one of KVM's, with vCPUs 0 and 1 each. */
static void three_vms(void)
{
	static const char *const engines[] = { "exeunt", "exeunt", "kvm" }, *const names[] = { "a", "b", "a" };

	for (uint64_t i = 0; i < 3; i++) {
		struct vm *vm = fake_vm(engines[i], i < 2 ? i + 1 : 1, 100 + i, names[i]);

		for (uint32_t id = 0; id < 2; id++) {
			struct vcpu *v = fake_vcpu(vm, id);

			fake_exits(v, CPUID, 10 * (i + 1), 1000);
			fake_exits(v, HLT, 1, 100000);
			v->counters.runs = 5;
		}
	}
}

static struct exeunt_row *find_row(struct sample *s, size_t vm, size_t vcpu, uint64_t key)
{
	struct vcpu *v = &s->vms[vm].vcpus[vcpu];

	for (size_t i = 0; i < v->nr_rows; i++) {
		if (v->rows[i].key == key)
			return &v->rows[i];
	}
	return NULL;
}

static void copies_are_deep(void **state)
{
	struct sample copy;

	three_vms();
	sample_copy(&copy, &fake.now);
	assert_memory_equal(copy.vms[2].vcpus[1].rows, fake.now.vms[2].vcpus[1].rows, 2 * sizeof(struct exeunt_row));
	fake.now.vms[2].vcpus[1].rows[0].count = 77;
	fake.now.vms[2].vcpus[1].id = 9;
	assert_int_equal(copy.vms[2].vcpus[1].rows[0].count, 30);
	assert_int_equal(copy.vms[2].vcpus[1].id, 1);
	sample_free(&copy);
	assert_int_equal(copy.nr_vms, 0);
	assert_null(copy.vms);
}

static void check_selection(struct target t, size_t vms, size_t vcpus)
{
	struct sample s;
	size_t n = 0;

	sample_copy(&s, &fake.now);
	sample_select(&s, &t);
	assert_int_equal(s.nr_vms, vms);
	for (size_t i = 0; i < s.nr_vms; i++)
		n += s.vms[i].nr_vcpus;
	assert_int_equal(n, vcpus);
	sample_free(&s);
}

static void selection_keeps_what_is_meant(void **state)
{
	three_vms();
	check_selection((struct target){ 0 }, 3, 6);
	check_selection((struct target){ .pid = 101 }, 1, 2);
	check_selection((struct target){ .pid = 1 }, 0, 0);
	check_selection((struct target){ .vm = "a" }, 2, 4);
	check_selection((struct target){ .vm = "a", .pid = 101 }, 0, 0);
	check_selection((struct target){ .one_vcpu = true }, 3, 3);
	check_selection((struct target){ .one_vcpu = true, .vcpu = 7 }, 3, 0);
	check_selection((struct target){ .vm = "b", .one_vcpu = true, .vcpu = 1 }, 1, 1);
}

/* --- Differences --- */

static struct sample diff_since(struct sample *earlier)
{
	struct sample d;

	sample_diff(&d, &fake.now, earlier);
	sample_free(earlier);
	return d;
}

static struct sample remember(void)
{
	struct sample s;

	sample_copy(&s, &fake.now);
	return s;
}

static void difference_has_what_happened_between(void **state)
{
	struct sample earlier, d;

	three_vms();
	earlier = remember();
	fake_exits(&fake.now.vms[1].vcpus[0], CPUID, 7, 2000);
	fake_exits(&fake.now.vms[1].vcpus[0], WRMSR(0x80b, EXEUNT_FAST), 3, 500);
	fake.now.vms[1].vcpus[0].counters.runs += 2;
	fake.now.vms[1].vcpus[0].counters.rows_lost += 4;
	fake.now.vms[1].unaccounted = 6;
	d = diff_since(&earlier);

	assert_int_equal(d.nr_vms, 3);
	assert_int_equal(d.vms[0].vcpus[0].nr_rows, 0);
	assert_int_equal(d.vms[0].vcpus[0].counters.runs, 0);
	assert_int_equal(d.vms[1].unaccounted, 6);
	assert_int_equal(d.vms[1].vcpus[0].nr_rows, 2);
	assert_int_equal(d.vms[1].vcpus[0].counters.runs, 2);
	assert_int_equal(d.vms[1].vcpus[0].counters.rows_lost, 4);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->count, 7);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->total, 14000);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->square_lo, 7 * 2000 * 2000);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->hist[hist_bucket(2000, 4)], 7);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->hist[hist_bucket(1000, 4)], 0);
	assert_int_equal(find_row(&d, 1, 0, WRMSR(0x80b, EXEUNT_FAST))->count, 3);
	sample_free(&d);
}

static void difference_has_new_vms_and_vcpus_whole(void **state)
{
	struct sample earlier, d;

	three_vms();
	earlier = remember();
	fake_exits(fake_vcpu(&fake.now.vms[0], 2), CPUID, 4, 10);
	fake_exits(fake_vcpu(fake_vm("kvm", 2, 9, "new"), 0), CPUID, 5, 10);
	d = diff_since(&earlier);
	assert_int_equal(find_row(&d, 0, 2, CPUID)->count, 4);
	assert_int_equal(find_row(&d, 3, 0, CPUID)->count, 5);
	sample_free(&d);
}

static void difference_has_no_rows_without_exits(void **state)
{
	struct sample earlier = remember(), d;

	fake_exits(fake_vcpu(fake_vm("kvm", 2, 9, "new"), 0), CPUID, 0, 10);
	fake_exits(&fake.now.vms[0].vcpus[0], HLT, 1, 10);
	d = diff_since(&earlier);
	assert_int_equal(d.vms[0].vcpus[0].nr_rows, 1);
	assert_int_equal(d.vms[0].vcpus[0].rows[0].key, HLT);
	sample_free(&d);
}

static void difference_tells_vms_of_the_two_engines_apart(void **state)
{
	struct sample earlier, d;

	fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0);
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 100, 10);
	earlier = remember();
	fake_exits(fake_vcpu(fake_vm("kvm", 1, 100, "a"), 0), CPUID, 30, 10);
	d = diff_since(&earlier);
	assert_int_equal(d.vms[0].vcpus[0].nr_rows, 0);
	assert_int_equal(find_row(&d, 1, 0, CPUID)->count, 30);
	sample_free(&d);
}

static void difference_borrows_from_the_upper_half_of_the_squares(void **state)
{
	struct sample earlier, d;
	struct exeunt_row *r;

	fake_exits(fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0), HLT, 3, UINT32_MAX);	/* 2^65 or so */
	earlier = remember();
	fake_exits(&fake.now.vms[0].vcpus[0], HLT, 1, 1ull << 32);
	d = diff_since(&earlier);
	r = find_row(&d, 0, 0, HLT);
	assert_int_equal(r->square_hi, 1);
	assert_int_equal(r->square_lo, 0);
	sample_free(&d);
}

static void numbers_that_went_back_count_as_nothing(void **state)
{
	struct sample earlier, d;
	struct exeunt_row *r;

	three_vms();
	earlier = remember();
	r = find_row(&fake.now, 0, 0, CPUID);
	row_init(r, CPUID);
	row_exits(r, 3, 100, 4);		/* it had 10 */
	r = find_row(&fake.now, 0, 1, CPUID);
	r->count += 5;
	r->total = 1;
	r->square_lo = 0;
	fake.now.vms[0].vcpus[0].counters.runs = 1;
	d = diff_since(&earlier);
	assert_null(find_row(&d, 0, 0, CPUID));
	assert_int_equal(d.vms[0].vcpus[0].counters.runs, 0);
	r = find_row(&d, 0, 1, CPUID);
	assert_int_equal(r->count, 5);
	assert_int_equal(r->total, 0);
	assert_int_equal(r->square_lo, 0);
	assert_true(row_variance(r) == 0);
	assert_true(row_error(r) == 0);
	sample_free(&d);
}

/* Bounds from buckets of a difference hold what happened between, and say it exactly where the extremes are new. */
static void check_bounds(uint64_t low, uint64_t high)
{
	struct sample earlier = remember(), d;
	struct exeunt_row *r;

	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, low);
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, high);
	d = diff_since(&earlier);
	r = find_row(&d, 0, 0, CPUID);
	assert_true(r->min <= low && r->min >= hist_low(hist_bucket(low, 4), 4));
	assert_true(r->max >= high && r->max < hist_low(hist_bucket(high, 4) + 1, 4));
	sample_free(&d);
}

static void bounds_of_a_difference_are_those_of_its_buckets(void **state)
{
	struct exeunt_row *r;

	fake_exits(fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0), CPUID, 5, 100);
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, 1000000);
	check_bounds(5000, 70000);
	for (int i = 0; i < 1000; i++) {
		uint64_t a = next_random() % 1100000, b = next_random() % 1100000;

		check_bounds(a < b ? a : b, a < b ? b : a);
	}
	r = find_row(&fake.now, 0, 0, CPUID);
	assert_int_equal(r->count, 6 + 2 * 1001);
}

static void new_extremes_are_exact_in_a_difference(void **state)
{
	struct sample earlier, d;

	fake_exits(fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0), CPUID, 5, 10000);
	earlier = remember();
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, 777);
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, 123456);
	d = diff_since(&earlier);
	assert_int_equal(find_row(&d, 0, 0, CPUID)->min, 777);
	assert_int_equal(find_row(&d, 0, 0, CPUID)->max, 123456);
	sample_free(&d);
}

static void difference_without_earlier_exits_has_their_own_extremes(void **state)
{
	struct sample earlier, d;

	fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0);
	earlier = remember();
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, 1003);
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, 1, 9001);
	d = diff_since(&earlier);
	assert_int_equal(find_row(&d, 0, 0, CPUID)->min, 1003);
	assert_int_equal(find_row(&d, 0, 0, CPUID)->max, 9001);
	sample_free(&d);
}

/* --- Tables --- */

static void table_by_reason_adds_vms_vcpus_kinds_and_outcomes(void **state)
{
	struct table t;

	three_vms();
	fake_exits(&fake.now.vms[0].vcpus[0], WRMSR(0x80b, EXEUNT_FAST), 100, 10);
	fake_exits(&fake.now.vms[1].vcpus[1], WRMSR(0x80b, EXEUNT_KERNEL), 20, 20);
	fake_exits(&fake.now.vms[1].vcpus[1], RDMSR(0x10, EXEUNT_USER), 3, 30);
	table_make(&t, &fake.now, "exeunt", VIEW_REASON);
	assert_int_equal(t.isa, ISA_SVM);
	assert_string_equal(t.engine, "exeunt");
	assert_int_equal(t.nr, 3);
	assert_string_equal(t.rows[0].name, "msr");
	assert_int_equal(t.rows[0].sum.key, 0x7c);
	assert_int_equal(t.rows[0].sum.count, 123);
	assert_int_equal(t.rows[0].sum.total, 100 * 10 + 20 * 20 + 3 * 30);
	assert_int_equal(t.rows[0].outcomes[EXEUNT_FAST], 100);
	assert_int_equal(t.rows[0].outcomes[EXEUNT_KERNEL], 20);
	assert_int_equal(t.rows[0].outcomes[EXEUNT_USER], 3);
	assert_string_equal(t.rows[1].name, "cpuid");
	assert_int_equal(t.rows[1].sum.count, 60);
	assert_string_equal(t.rows[2].name, "hlt");
	assert_int_equal(t.all.count, 123 + 60 + 4);
	assert_int_equal(t.counters.runs, 20);
	table_free(&t);
	table_make(&t, &fake.now, "kvm", VIEW_REASON);
	assert_int_equal(t.all.count, 62);
	table_free(&t);
}

static void table_of_msrs_has_a_row_for_each_and_its_direction(void **state)
{
	struct table t;

	three_vms();
	fake_exits(&fake.now.vms[0].vcpus[0], WRMSR(0x80b, EXEUNT_FAST), 5, 10);
	fake_exits(&fake.now.vms[0].vcpus[1], WRMSR(0x80b, EXEUNT_KERNEL), 2, 10);
	fake_exits(&fake.now.vms[0].vcpus[0], RDMSR(0x80b, EXEUNT_KERNEL), 4, 10);
	fake_exits(&fake.now.vms[0].vcpus[0], WRMSR(EXEUNT_DETAIL_OTHERS, EXEUNT_KERNEL), 3, 10);
	table_make(&t, &fake.now, "exeunt", VIEW_MSR);
	assert_int_equal(t.nr, 3);
	assert_string_equal(t.rows[0].name, "wr 0x80b x2APIC_EOI");
	assert_int_equal(t.rows[0].sum.key, EXEUNT_KEY(0, EXEUNT_MSR_WRITE, 0, 0x80b));
	assert_int_equal(t.rows[0].sum.count, 7);
	assert_string_equal(t.rows[1].name, "rd 0x80b x2APIC_EOI");
	assert_string_equal(t.rows[2].name, "wr others");
	assert_int_equal(t.all.count, 14 + 64);
	table_free(&t);
	table_make(&t, &fake.now, "exeunt", VIEW_PIO);
	assert_int_equal(t.nr, 0);
	assert_int_equal(t.all.count, 14 + 64);
	table_free(&t);
}

static void each_view_shows_its_kinds(void **state)
{
	static const struct { enum view view; unsigned int kinds; } views[] = {
		{ VIEW_MSR, 1u << EXEUNT_MSR_READ | 1u << EXEUNT_MSR_WRITE }, { VIEW_PIO, 1u << EXEUNT_PIO_IN | 1u << EXEUNT_PIO_OUT },
		{ VIEW_MMIO, 1u << EXEUNT_MMIO_READ | 1u << EXEUNT_MMIO_WRITE }, { VIEW_HYPERCALL, 1u << EXEUNT_HYPERCALL },
	};
	struct vcpu *v = fake_vcpu(fake_vm("kvm", 1, 1, "a"), 0);

	for (unsigned int kind = 0; kind < EXEUNT_KINDS; kind++)
		fake_exits(v, EXEUNT_KEY(0x7c, kind, EXEUNT_KERNEL, 1), kind + 1, 10);
	for (size_t i = 0; i < 4; i++) {
		unsigned int shown = 0;
		struct table t;

		table_make(&t, &fake.now, "kvm", views[i].view);
		for (size_t j = 0; j < t.nr; j++)
			shown |= 1u << EXEUNT_KEY_KIND(t.rows[j].sum.key);
		assert_int_equal(shown, views[i].kinds);
		table_free(&t);
	}
}

static void table_of_nothing_is_empty(void **state)
{
	struct table t;

	table_make(&t, &fake.now, "exeunt", VIEW_REASON);
	assert_int_equal(t.nr, 0);
	table_free(&t);
	fake_exits(fake_vcpu(fake_vm("exeunt", 1, 1, "a"), 0), CPUID, 0, 10);

	table_make(&t, &fake.now, "exeunt", VIEW_REASON);
	assert_int_equal(t.nr, 0);
	assert_int_equal(t.all.count, 0);
	table_free(&t);
}

#define T(f) cmocka_unit_test_setup_teardown(f, reset, reset)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(buckets_follow_each_other_without_gap), T(buckets_are_those_of_the_abi),
		T(buckets_are_no_wider_than_an_eighth_of_their_lower_end), T(times_beyond_the_histogram_count_in_the_last_bucket),
		T(percentiles_are_off_by_a_sixteenth_at_most), T(percentile_of_one_exit_is_its_time),
		T(percentile_of_times_beyond_the_histogram_lies_between_them), T(no_exits_have_no_statistics),
		T(mean_variance_and_error_are_those_of_the_data), T(sum_of_squares_has_128_bits),
		T(adding_rows_carries_into_the_upper_half), T(adding_rows_adds_everything), T(counters_add_to_the_last),
		T(copies_are_deep), T(selection_keeps_what_is_meant),
		T(difference_has_what_happened_between), T(difference_has_new_vms_and_vcpus_whole),
		T(difference_has_no_rows_without_exits),
		T(difference_tells_vms_of_the_two_engines_apart), T(difference_borrows_from_the_upper_half_of_the_squares),
		T(numbers_that_went_back_count_as_nothing), T(bounds_of_a_difference_are_those_of_its_buckets),
		T(new_extremes_are_exact_in_a_difference), T(difference_without_earlier_exits_has_their_own_extremes),
		T(table_by_reason_adds_vms_vcpus_kinds_and_outcomes), T(table_of_msrs_has_a_row_for_each_and_its_direction),
		T(each_view_shows_its_kinds), T(table_of_nothing_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
