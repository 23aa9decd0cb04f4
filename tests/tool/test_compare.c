// SPDX-License-Identifier: GPL-2.0
/*
 * Two recordings side by side: rates over intervals, times over exits, what is on one side only, other engines and ISAs, and the words.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <argp.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "cmd.h"
#include "compare.h"
#include "synthetic.h"
#include "near.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND 1000000000ull

/* --- Recordings made exit by exit --- */

struct maker {
	struct recording *r;
	struct sample now, before;
	uint64_t time_ns;
};

static struct vm *add_vm(struct sample *s, const char *engine, uint32_t isa, const char *name, double tick_ns)
{
	struct vm *vm;

	s->vms = xreallocarray(s->vms, s->nr_vms + 1, sizeof(*s->vms));
	vm = &s->vms[s->nr_vms];
	*vm = (struct vm){ .id = ++s->nr_vms, .pid = 100, .isa = isa, .tick_ns = tick_ns, .nr_vcpus = 1,
			   .vcpus = xcalloc(1, sizeof(*vm->vcpus)) };
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	snprintf(vm->engine, sizeof(vm->engine), "%s", engine);
	return vm;
}

static struct maker make(const char *engine, uint32_t isa)
{
	struct maker m = { .r = xcalloc(1, sizeof(*m.r)) };

	m.r->hostname = xstrdup("host");
	m.r->kernel = xstrdup("6.1");
	m.r->tool_version = xstrdup("1.0");
	m.r->interval_ms = 1000;
	add_vm(&m.now, engine, isa, "vm", 2);
	sample_copy(&m.before, &m.now);
	return m;
}

static void exits_of(struct maker *m, size_t vm, uint64_t key, unsigned int n, uint64_t ticks)
{
	struct vcpu *v = &m->now.vms[vm].vcpus[0];
	size_t i = 0;

	while (i < v->nr_rows && v->rows[i].key < key)
		i++;
	if (i == v->nr_rows || v->rows[i].key != key) {
		v->rows = xreallocarray(v->rows, v->nr_rows + 1, sizeof(*v->rows));
		memmove(&v->rows[i + 1], &v->rows[i], (v->nr_rows++ - i) * sizeof(*v->rows));
		row_init(&v->rows[i], key);
	}
	while (n--)
		synthetic_exit(&v->rows[i], ticks, 0);
}

static void exits(struct maker *m, uint64_t key, unsigned int n, uint64_t ticks)
{
	exits_of(m, 0, key, n, ticks);
}

static void interval(struct maker *m, uint64_t length_ns)
{
	struct sample delta;

	sample_diff(&delta, &m->now, &m->before);
	recording_add_interval(m->r, m->time_ns, m->time_ns + length_ns, &delta);
	m->time_ns += length_ns;
	m->r->duration_ns = m->time_ns;
	sample_free(&delta);
	sample_free(&m->before);
	sample_copy(&m->before, &m->now);
}

static struct recording *made(struct maker *m)
{
	sample_free(&m->r->total);
	m->r->total = m->now;
	sample_free(&m->before);
	return m->r;
}

/* An exit's count in each of @n intervals of a second. */
static struct recording *steady(uint64_t key, const unsigned int *counts, size_t n, uint64_t ticks)
{
	struct maker m = make("exeunt", ISA_SVM);

	for (size_t i = 0; i < n; i++) {
		exits(&m, key, counts[i], ticks + i % 2);
		interval(&m, SECOND);
	}
	return made(&m);
}

static struct comparison compare_view(struct recording *a, struct recording *b, enum view view)
{
	const struct compare_options o = { .view = view, .confidence = 0.95 };
	struct comparison c;

	comparison_make(&c, a, b, &o);
	recording_free(a);
	recording_free(b);
	return c;
}

static struct comparison compare(struct recording *a, struct recording *b)
{
	return compare_view(a, b, VIEW_REASON);
}

static const struct compared_row *row_named(const struct comparison *c, const char *name)
{
	for (size_t i = 0; i < c->nr; i++) {
		if (!strcmp(c->rows[i].name, name))
			return &c->rows[i];
	}
	fail_msg("no row %s", name);
	return NULL;
}

static void assert_text(char *text, const char *expected)
{
	assert_string_equal(text ? text : "(none)", expected ? expected : "(none)");
	free(text);
}

static bool has_note(const struct comparison *c, const char *expected)
{
	bool found = false;
	char *note;

	for (size_t i = 0; (note = comparison_note(c, i)); i++) {
		found |= !strcmp(note, expected);
		free(note);
	}
	return found;
}

static const uint64_t CPUID = EXEUNT_KEY(SVM_EXIT_CPUID, EXEUNT_PLAIN, EXEUNT_KERNEL, 0);
static const uint64_t HLT = EXEUNT_KEY(SVM_EXIT_HLT, EXEUNT_PLAIN, EXEUNT_KERNEL, 0);

/* --- What is measured, and what is tested --- */

/* R: t.test(c(90, 110, 90, 110), c(100, 160, 100, 160)): t = -1.6977, df = 3.6585 (that of variances 133.3 and 1200 over 4 each). */
static void rates_are_tested_over_intervals(void **state)
{
	static const unsigned int a[] = { 90, 110, 90, 110 }, b[] = { 100, 160, 100, 160 };
	struct comparison c = compare(steady(CPUID, a, 4, 1000), steady(CPUID, b, 4, 1000));
	const struct compared *rate = &row_named(&c, "cpuid")->quantity[QUANTITY_RATE];

	assert_near(rate->value[SIDE_A], 100, 1e-12);
	assert_near(rate->value[SIDE_B], 130, 1e-12);
	assert_true(rate->tested);
	assert_near(rate->test.t, 30 / sqrt((400.0 / 3 + 1200 * 3.0 / 3) / 4), 1e-12);
	assert_near(rate->test.df, (400.0 / 3 + 1200) * (400.0 / 3 + 1200) / ((400.0 / 3 * 400 / 3 + 1200.0 * 1200) / 3), 1e-12);
	assert_int_equal(row_named(&c, "cpuid")->count[SIDE_A], 400);
	assert_int_equal(row_named(&c, "cpuid")->count[SIDE_B], 520);
	comparison_free(&c);
}

/* Exits of 1000 and 1001 ticks, 2 ns each. */
static void times_are_tested_over_exits(void **state)
{
	static const unsigned int a[] = { 50, 50 }, b[] = { 200, 200 };
	struct comparison c = compare(steady(CPUID, a, 2, 1000), steady(CPUID, b, 2, 1002));
	const struct compared *time = &row_named(&c, "cpuid")->quantity[QUANTITY_TIME];

	assert_near(time->value[SIDE_A], 2001, 1e-12);
	assert_near(time->value[SIDE_B], 2005, 1e-12);
	assert_near(time->test.difference, 4, 1e-12);
	/* Half of the exits a tick of 2 ns longer than the others: variance n / (n - 1). */
	assert_near(time->test.t, 4 / sqrt(100.0 / 99 / 100 + 400.0 / 399 / 400), 1e-9);
	assert_true(time->matters);
	comparison_free(&c);
}

static void shares_are_time_over_time(void **state)
{
	static const unsigned int a[] = { 1000, 1000 }, b[] = { 3000, 3000 };
	struct comparison c = compare(steady(CPUID, a, 2, 1000), steady(CPUID, b, 2, 1000));
	const struct compared *share = &row_named(&c, "cpuid")->quantity[QUANTITY_SHARE];

	assert_near(share->value[SIDE_A], 1000 * 2001e-9, 1e-12);
	assert_near(share->value[SIDE_B], 3000 * 2001e-9, 1e-12);
	comparison_free(&c);
}

/* A last interval of a hundredth of the others' length, without exits by chance, is a hundredth of an observation. */
static void a_short_interval_weighs_little(void **state)
{
	static const unsigned int b[] = { 100, 101, 100, 99 };
	struct maker m = make("exeunt", ISA_SVM);
	struct comparison c;
	const struct compared *rate;

	for (size_t i = 0; i < 4; i++) {
		exits(&m, CPUID, b[i], 1000);
		interval(&m, SECOND);
	}
	m.r->interval_ms = 0;
	interval(&m, SECOND / 100);
	assert_int_equal(m.r->nr_intervals, 5);
	c = compare(made(&m), steady(CPUID, b, 4, 1000));
	rate = &row_named(&c, "cpuid")->quantity[QUANTITY_RATE];
	assert_near(rate->value[SIDE_A], 400 / 4.01, 1e-12);
	assert_false(rate->significant);
	/* Weighted by length, the five deviate by 2 and 0.01 * 100² * (100 / 401); unweighted by 8000. */
	assert_true(rate->test.high - rate->test.low < 30);
	comparison_free(&c);
}

static void without_intervals_only_times_are_tested(void **state)
{
	static const unsigned int many[] = { 100, 100 }, one[] = { 200 };
	struct comparison c = compare(steady(CPUID, many, 2, 1000), steady(CPUID, one, 1, 1000));
	const struct compared_row *row = row_named(&c, "cpuid");

	assert_false(row->quantity[QUANTITY_RATE].tested);
	assert_false(row->quantity[QUANTITY_SHARE].tested);
	assert_true(row->quantity[QUANTITY_TIME].tested);
	assert_near(row->quantity[QUANTITY_RATE].value[SIDE_B], 200, 1e-12);
	assert_text(comparison_note(&c, 0), "Rates and shares are not testable: B has fewer than two intervals; record longer, "
					    "or with a smaller -I.");
	assert_text(comparison_note(&c, 1), NULL);
	comparison_free(&c);
}

static void what_was_not_tested_is_not_said_to_be_the_same(void **state)
{
	static const unsigned int many[] = { 100, 100 }, one[] = { 90000 };
	struct comparison c = compare(steady(CPUID, many, 2, 1000), steady(CPUID, one, 1, 1000));
	struct maker m = make("exeunt", ISA_SVM);

	assert_text(comparison_summary(&c), "Only times could be tested; 1 of 1 exit reasons differ.");
	comparison_free(&c);
	exits(&m, CPUID, 100, 1000);
	exits(&m, CPUID, 100, 1001);
	interval(&m, SECOND);
	c = compare(steady(CPUID, many, 2, 1000), made(&m));
	assert_text(comparison_summary(&c), "No significant difference of times, all that could be tested, was found.");
	comparison_free(&c);
}

static void few_intervals_are_mentioned(void **state)
{
	struct comparison c = compare(synthetic_recording(7, 10, 100), synthetic_recording(8, 9, 100));

	assert_text(comparison_note(&c, 0), "There are few intervals, 10 in A and 9 in B: of rates and shares only very clear differences can "
					    "be told.");
	comparison_free(&c);
	c = compare(synthetic_recording(7, 10, 100), synthetic_recording(8, 10, 100));
	assert_text(comparison_note(&c, 0), NULL);
	comparison_free(&c);
}

/* --- Together --- */

static void halts_are_left_out_of_the_busy_sum(void **state)
{
	struct maker a = make("exeunt", ISA_SVM), b = make("exeunt", ISA_SVM);
	struct comparison c;

	for (int i = 0; i < 3; i++) {
		exits(&a, CPUID, 10 + i, 500);
		exits(&a, HLT, 5, 1000000);
		exits(&b, CPUID, 20 + i, 500);
		interval(&a, SECOND);
		interval(&b, SECOND);
	}
	c = compare(made(&a), made(&b));
	assert_true(c.has_halts);
	assert_int_equal(c.all.count[SIDE_A], 33 + 15);
	assert_int_equal(c.all.count[SIDE_B], 63);
	assert_int_equal(c.busy.count[SIDE_A], 33);
	assert_near(c.busy.quantity[QUANTITY_SHARE].value[SIDE_A], 33 * 1e-6 / 3, 1e-12);
	/* Nor are they in its intervals: what is left is the other reason alone. */
	assert_near(c.busy.quantity[QUANTITY_RATE].test.t, row_named(&c, "cpuid")->quantity[QUANTITY_RATE].test.t, 1e-12);
	assert_near(c.busy.quantity[QUANTITY_SHARE].test.t, row_named(&c, "cpuid")->quantity[QUANTITY_SHARE].test.t, 1e-12);
	assert_near(c.all.quantity[QUANTITY_RATE].value[SIDE_A], 16, 1e-12);
	comparison_free(&c);
}

static void every_test_is_corrected_for_all(void **state)
{
	static const unsigned int a[] = { 90, 110, 95, 105 }, b[] = { 140, 160, 145, 155 };
	struct comparison c = compare(steady(CPUID, a, 4, 1000), steady(CPUID, b, 4, 1000));
	const struct compared *rate = &row_named(&c, "cpuid")->quantity[QUANTITY_RATE];

	/* The row's three and the sum's three, which are the same: the smallest p is that of rates or shares. */
	assert_int_equal(c.tests, 6);
	assert_true(rate->p >= 3 * rate->test.p && rate->p <= 6 * rate->test.p);
	assert_true(rate->matters);
	comparison_free(&c);
}

/* Of a hundred thousand exits each, a tick more is significant, and of no weight. */
static void a_tiny_effect_is_significant_but_does_not_matter(void **state)
{
	struct maker a = make("exeunt", ISA_SVM), b = make("exeunt", ISA_SVM);
	struct comparison c;
	const struct compared *time;

	for (unsigned int i = 0; i < 100; i++) {
		exits(&a, CPUID, 1000, 1000 + i);
		exits(&b, CPUID, 1000, 1001 + i);
	}
	interval(&a, SECOND);
	interval(&b, SECOND);
	c = compare(made(&a), made(&b));
	time = &row_named(&c, "cpuid")->quantity[QUANTITY_TIME];
	assert_true(time->significant);
	assert_false(time->matters);
	assert_text(comparison_finding(&c, row_named(&c, "cpuid")), NULL);
	assert_text(comparison_summary(&c), "No significant difference of times, all that could be tested, but for negligible ones.");
	comparison_free(&c);
}

/* --- Degenerate recordings --- */

static void the_same_recording_does_not_differ(void **state)
{
	struct comparison c = compare(synthetic_recording(7, 20, 300), synthetic_recording(7, 20, 300));

	assert_true(c.nr > 5);
	for (size_t i = 0; i < c.nr; i++) {
		for (int q = 0; q < QUANTITIES; q++) {
			assert_true(c.rows[i].quantity[q].tested);
			assert_near(c.rows[i].quantity[q].p, 1, 1e-12);
		}
		assert_text(comparison_finding(&c, &c.rows[i]), NULL);
	}
	assert_text(comparison_summary(&c), "No significant difference.");
	comparison_free(&c);
}

static void constant_rates_differ_in_every_sample(void **state)
{
	static const unsigned int a[] = { 100, 100, 100 }, b[] = { 88, 88, 88 };
	struct comparison c = compare(steady(CPUID, a, 3, 1000), steady(CPUID, b, 3, 1000));
	const struct compared_row *row = row_named(&c, "cpuid");
	char *text = comparison_finding(&c, row);

	assert_true(row->quantity[QUANTITY_RATE].test.constant && row->quantity[QUANTITY_RATE].p == 0);
	assert_memory_equal(text, "cpuid: 12 % fewer exits a second in B (differs in every sample)", 63);
	free(text);
	comparison_free(&c);
}

static void a_reason_of_one_side_only_is_named(void **state)
{
	struct maker a = make("exeunt", ISA_SVM), b = make("exeunt", ISA_SVM);
	struct comparison c;
	const struct compared_row *row;
	char change[32];
	char *text;

	for (unsigned int i = 0; i < 4; i++) {
		exits(&a, HLT, 10 + i, 1000);
		exits(&b, CPUID, 20 + i, 1000);
		interval(&a, SECOND);
		interval(&b, SECOND);
	}
	c = compare(made(&a), made(&b));
	row = row_named(&c, "cpuid");
	assert_false(row->quantity[QUANTITY_TIME].known[SIDE_A]);
	assert_true(row->quantity[QUANTITY_TIME].known[SIDE_B]);
	assert_false(row->quantity[QUANTITY_TIME].tested);
	assert_true(row->quantity[QUANTITY_RATE].matters);
	assert_string_equal(format_change(&row->quantity[QUANTITY_RATE], change, sizeof(change)), "new");
	text = comparison_finding(&c, row);
	assert_memory_equal(text, "cpuid: only in B, 21.5 a second (+21.5 +- ", 42);
	free(text);
	row = row_named(&c, "hlt");
	assert_string_equal(format_change(&row->quantity[QUANTITY_RATE], change, sizeof(change)), "gone");
	text = comparison_finding(&c, row);
	assert_memory_equal(text, "hlt: only in A, 11.5 a second (-11.5 +- ", 40);
	free(text);
	comparison_free(&c);
}

static void empty_recordings_are_compared_too(void **state)
{
	struct maker a = make("exeunt", ISA_SVM), b = make("exeunt", ISA_SVM), d = make("exeunt", ISA_SVM);
	struct comparison c;

	interval(&a, SECOND);
	interval(&b, SECOND);
	c = compare(made(&a), made(&b));
	assert_int_equal(c.nr, 0);
	assert_text(comparison_summary(&c), "Neither recording has any exit reasons.");
	comparison_free(&c);

	/* One that has no length has no rates. */
	a = make("exeunt", ISA_SVM);
	exits(&a, CPUID, 10, 1000);
	interval(&a, 0);
	exits(&d, CPUID, 1, 1000);
	interval(&d, SECOND);
	c = compare(made(&a), made(&d));
	assert_int_equal(c.nr, 1);
	assert_false(c.rows[0].quantity[QUANTITY_RATE].known[SIDE_A]);
	assert_true(c.rows[0].quantity[QUANTITY_TIME].known[SIDE_A]);
	assert_int_equal(c.tests, 0);
	assert_text(comparison_summary(&c), "Nothing could be tested: too few exits and intervals.");
	comparison_free(&c);
}

/* --- Engines, ISAs, parts --- */

static void other_isas_are_compared_by_name(void **state)
{
	struct maker a = make("kvm", ISA_SVM), b = make("exeunt", ISA_VMX);
	struct comparison c;

	for (unsigned int i = 0; i < 4; i++) {
		exits(&a, HLT, 10 + i, 1000);
		exits(&b, EXEUNT_KEY(12, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 20 + i, 500);
		exits(&b, EXEUNT_KEY(48, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 5, 500);
		interval(&a, SECOND);
		interval(&b, SECOND);
	}
	c = compare(made(&a), made(&b));
	assert_int_equal(c.nr, 2);
	assert_true(c.has_halts);
	assert_int_equal(row_named(&c, "hlt")->count[SIDE_A], 46);
	assert_int_equal(row_named(&c, "hlt")->count[SIDE_B], 86);
	assert_true(has_note(&c, "A has svm exits and B has vmx: they are compared by name only, and what has another name there counts as "
				 "another."));
	assert_true(has_note(&c, "A was counted on kvm, B on exeunt."));
	comparison_free(&c);
}

/* A machine with VMs of both: the same reason is one row, in nanoseconds, whatever the ticks. */
static void two_engines_of_one_recording_are_one(void **state)
{
	struct maker a = make("exeunt", ISA_SVM), b = make("exeunt", ISA_SVM);
	struct comparison c;
	const struct compared_row *row;

	add_vm(&a.now, "kvm", ISA_SVM, "other", 1);
	sample_free(&a.before);
	sample_copy(&a.before, &a.now);
	for (unsigned int i = 0; i < 4; i++) {
		exits_of(&a, 0, CPUID, 10, 1000);
		exits_of(&a, 1, CPUID, 30, 1000);
		exits(&b, CPUID, 40, 1000);
		interval(&a, SECOND);
		interval(&b, SECOND);
	}
	c = compare(made(&a), made(&b));
	row = row_named(&c, "cpuid");
	assert_string_equal(c.side[SIDE_A].engines, "exeunt+kvm");
	assert_int_equal(row->count[SIDE_A], 160);
	assert_near(row->quantity[QUANTITY_TIME].value[SIDE_A], (10 * 2000 + 30 * 1000) / 40.0, 1e-12);
	assert_near(row->quantity[QUANTITY_RATE].value[SIDE_A], 40, 1e-12);
	assert_true(row->quantity[QUANTITY_RATE].test.constant);
	assert_near(row->quantity[QUANTITY_SHARE].value[SIDE_A], 50e-6, 1e-12);
	comparison_free(&c);
}

/* The exits of VM 1's vCPU 1 in the intervals, each of half a second. */
static struct moments rates_of_part(const struct recording *r)
{
	struct moments m = { .n = r->nr_intervals };

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->nr_intervals; i++) {
			struct sample s;
			double exits = 0;

			recording_interval(r, i, &s);
			for (size_t row = 0; row < s.vms[1].vcpus[1].nr_rows; row++)
				exits += s.vms[1].vcpus[1].rows[row].count;
			if (pass)
				m.variance += (2 * exits - m.mean) * (2 * exits - m.mean) / (m.n - 1);
			else
				m.mean += 2 * exits / m.n;
			sample_free(&s);
		}
	}
	return m;
}

static void a_part_may_be_compared(void **state)
{
	struct recording *a = synthetic_recording(7, 10, 300), *b = synthetic_recording(8, 10, 300);
	const struct compare_options vm = { .confidence = 0.95, .target = { .vm = "database", .one_vcpu = true, .vcpu = 1 } };
	struct moments rates_a = rates_of_part(a), rates_b = rates_of_part(b);
	struct comparison c;
	struct welch w;

	comparison_make(&c, a, b, &vm);
	assert_near(c.all.count[SIDE_A], rates_a.mean * 5, 1e-12);
	assert_near(c.all.quantity[QUANTITY_RATE].value[SIDE_A], rates_a.mean, 1e-12);
	assert_true(welch_test(&w, &rates_a, &rates_b, 0.95));
	assert_near(c.all.quantity[QUANTITY_RATE].test.t, w.t, 1e-9);
	comparison_free(&c);
	recording_free(a);
	recording_free(b);
}

static void views_show_their_kind(void **state)
{
	struct comparison c = compare_view(synthetic_recording(7, 10, 2000), synthetic_recording(8, 10, 2000), VIEW_MSR);

	assert_int_equal(c.nr, 5);
	assert_true(row_named(&c, "wr 0x80b x2APIC_EOI")->count[SIDE_A] > 0);
	assert_false(c.has_halts);
	assert_int_equal(c.all.count[SIDE_A], c.rows[0].count[SIDE_A] + c.rows[1].count[SIDE_A] + c.rows[2].count[SIDE_A] +
			 c.rows[3].count[SIDE_A] + c.rows[4].count[SIDE_A]);
	comparison_free(&c);
	c = compare_view(synthetic_recording(7, 10, 300), synthetic_recording(8, 10, 300), VIEW_PIO);
	assert_int_equal(c.nr, 2);
	comparison_free(&c);
}

/* --- Order, words --- */

static void rows_come_in_the_order_asked_for(void **state)
{
	static const struct { enum compare_order order; const char *first, *last; } cases[] = {
		{ ORDER_RATE, "cpuid", "io" }, { ORDER_TIME, "hlt", "cpuid" }, { ORDER_SHARE, "hlt", "io" }, { ORDER_CHANGE, "io", "cpuid" },
		{ ORDER_NAME, "cpuid", "io" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct maker m[2] = { make("exeunt", ISA_SVM), make("exeunt", ISA_SVM) };
		struct compare_options o = { .confidence = 0.95, .order = cases[i].order };
		struct comparison c;

		for (int side = 0; side < 2; side++) {
			exits(&m[side], CPUID, 1000, 100);
			exits(&m[side], HLT, 100 + 50 * side, 100000);
			exits(&m[side], EXEUNT_KEY(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, EXEUNT_USER, 1), 10 + 20 * side, 1000);
			interval(&m[side], SECOND);
		}
		comparison_make(&c, made(&m[0]), made(&m[1]), &o);
		assert_int_equal(c.nr, 3);
		assert_string_equal(c.rows[0].name, cases[i].first);
		assert_string_equal(c.rows[2].name, cases[i].last);
		comparison_free(&c);
		recording_free(m[0].r);
		recording_free(m[1].r);
	}
}

static void changes_are_short(void **state)
{
	static const struct { double a, b; const char *text; } cases[] = {
		{ 100, 88, "-12.0%" }, { 100, 250, "+150.0%" }, { 100, 1000, "x10" }, { 100, 123456, "x1.23e+03" }, { 0, 5, "new" },
		{ 5, 0, "gone" }, { 0, 0, "" }, { 7, 7, "+0.0%" }, { 1e9, 1, "-100.0%" },
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct compared q = { .known = { true, true }, .value = { cases[i].a, cases[i].b } };

		assert_string_equal(format_change(&q, buf, sizeof(buf)), cases[i].text);
	}
}

static void quantities_have_units_and_signs(void **state)
{
	char buf[32];

	assert_string_equal(format_quantity(QUANTITY_RATE, 21.5, buf, sizeof(buf)), "21.5");
	assert_string_equal(format_quantity(QUANTITY_RATE, -12345, buf, sizeof(buf)), "-12.3k");
	assert_string_equal(format_quantity(QUANTITY_TIME, -1234, buf, sizeof(buf)), "-1.23us");
	assert_string_equal(format_quantity(QUANTITY_SHARE, 0.0123, buf, sizeof(buf)), "1.23 %");
	assert_string_equal(format_quantity(QUANTITY_SHARE, 0.000001234, buf, sizeof(buf)), "0.00012 %");
}

static void sentences_are_plain(void **state)
{
	static const unsigned int a[] = { 90, 110, 95, 105, 100, 100 }, b[] = { 82, 94, 86, 90, 88, 88 }, d[] = { 290, 310, 295, 305, 300, 300 };
	struct comparison c = compare(steady(CPUID, a, 6, 1000), steady(CPUID, b, 6, 1000));

	assert_text(comparison_finding(&c, row_named(&c, "cpuid")),
		    "cpuid: 12 % fewer exits a second in B (-12 +- 7.66, p = 0.042, large effect); 0.0176 % of a CPU instead of 0.02 % "
		    "(-0.0024 % +- 0.0015 %, p = 0.042, large effect)");
	comparison_free(&c);
	c = compare(steady(CPUID, a, 6, 1000), steady(CPUID, d, 6, 3000));
	assert_text(comparison_finding(&c, row_named(&c, "cpuid")),
		    "cpuid: 3 times as many exits a second in B (+200 +- 9.1, p < 0.001, large effect); an exit takes 3 times as long in B "
		    "(+4.00us +- 0.0925ns, p < 0.001, large effect); 0.18 % of a CPU instead of 0.02 % (+0.16 % +- 0.0045 %, p < 0.001, large effect)");
	assert_text(comparison_summary(&c), "In all, 3 times as many exits a second in B (+200 +- 9.1, p < 0.001, large effect), and 0.18 % "
					    "of a CPU instead of 0.02 % (+0.16 % +- 0.0045 %, p < 0.001, large effect); 1 of 1 exit reasons differ.");
	comparison_free(&c);
}

static void exits_that_were_not_kept_are_mentioned(void **state)
{
	static const unsigned int n[] = { 10, 12 };
	struct recording *a = steady(CPUID, n, 2, 1000), *b = steady(CPUID, n, 2, 1000);
	struct comparison c;

	b->total.vms[0].unaccounted = 99;
	c = compare(a, b);
	assert_true(has_note(&c, "Exits that could not be kept and are missing here: 0 in A, 99 in B."));
	comparison_free(&c);
}

/* --- As a whole --- */

static char *printed(const struct comparison *c, const struct compare_names *n, bool verbose, bool colour)
{
	FILE *f = tmpfile();
	int before = dup(STDOUT_FILENO);
	char *text;
	long size;

	assert_non_null(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	comparison_print(c, n, verbose, colour);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	text = xcalloc(size + 1, 1);
	assert_int_equal(fread(text, 1, size, f), size);
	fclose(f);
	return text;
}

static void assert_no_wild_numbers(const char *text)
{
	static const char *const words[] = { " nan", " -nan", " inf", " -inf", "[nan", "[inf", "[-inf" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_null(strstr(text, words[i]));
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	while ((text = strstr(text, word))) {
		text++;
		n++;
	}
	return n;
}

static void a_printed_comparison_is_complete(void **state)
{
	struct recording *r[] = { synthetic_recording(7, 30, 100), synthetic_recording(8, 30, 900) };
	const struct compare_names n = { { "a.json", "b.json" }, { r[0], r[1] } };
	const struct compare_options o = { .confidence = 0.95 };
	struct comparison c;
	char *text;

	comparison_make(&c, r[0], r[1], &o);
	text = printed(&c, &n, true, false);
	assert_no_wild_numbers(text);
	assert_non_null(strstr(text, "A: a.json: 15.0 s in 30 intervals on host, engine exeunt, kernel 6.1.0-42-amd64: sleep 20\n"));
	for (size_t i = 0; i < c.nr; i++)
		assert_true(count(text, c.rows[i].name) >= 3);
	assert_int_equal(count(text, "B - A = "), c.tests);
	assert_null(strstr(text, "\033"));
	free(text);
	text = printed(&c, &n, false, true);
	assert_true(count(text, "\033[31m") > 5);
	assert_int_equal(count(text, "\033[31m") + count(text, "\033[32m"), count(text, "\033[0m"));
	assert_int_equal(count(text, "B - A = "), 0);
	free(text);
	comparison_free(&c);
	recording_free(r[0]);
	recording_free(r[1]);
}

/* With nothing to test and nothing on one side, text and JSON have no number that is none. */
static void a_degenerate_comparison_prints_no_wild_numbers(void **state)
{
	struct maker m[2] = { make("exeunt", ISA_SVM), make("kvm", ISA_UNKNOWN) };
	struct compare_names n = { .file = { "a", "b" } };
	const struct compare_options o = { .confidence = 0.95 };
	struct comparison c;
	json_t *json;
	char *text;

	exits(&m[0], CPUID, 1, 0);
	interval(&m[0], 0);
	exits(&m[1], HLT, 3, 1000);
	interval(&m[1], SECOND);
	for (int i = 0; i < SIDES; i++)
		n.recording[i] = made(&m[i]);
	comparison_make(&c, n.recording[0], n.recording[1], &o);
	text = printed(&c, &n, true, false);
	assert_no_wild_numbers(text);
	assert_non_null(strstr(text, "not testable: too few intervals"));
	free(text);
	json = comparison_json(&c, &n);
	assert_non_null(json);
	assert_true(json_is_null(json_object_get(json_object_get(json_array_get(json_object_get(json, "rows"), 0), "rate"), "test")));
	json_decref(json);
	comparison_free(&c);
	recording_free(m[0].r);
	recording_free(m[1].r);
}

static void json_has_what_the_table_has(void **state)
{
	struct recording *r[] = { synthetic_recording(7, 30, 100), synthetic_recording(8, 30, 900) };
	const struct compare_names n = { { "a.json", "b.json" }, { r[0], r[1] } };
	const struct compare_options o = { .confidence = 0.9 };
	struct comparison c;
	json_t *json, *row, *test;

	comparison_make(&c, r[0], r[1], &o);
	json = comparison_json(&c, &n);
	assert_string_equal(json_string_value(json_object_get(json, "format")), "exeunt-comparison");
	assert_int_equal(json_integer_value(json_object_get(json, "tests")), c.tests);
	assert_int_equal(json_array_size(json_object_get(json, "rows")), c.nr);
	assert_true(json_is_object(json_object_get(json, "all_but_halts")));
	row = json_array_get(json_object_get(json, "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "name")), c.rows[0].name);
	assert_int_equal(json_integer_value(json_object_get(row, "count_b")), c.rows[0].count[SIDE_B]);
	test = json_object_get(json_object_get(row, "rate"), "test");
	assert_near(json_real_value(json_object_get(test, "p_corrected")), c.rows[0].quantity[QUANTITY_RATE].p, 0);
	assert_near(json_real_value(json_object_get(test, "low")), c.rows[0].quantity[QUANTITY_RATE].test.low, 0);
	json_decref(json);
	comparison_free(&c);
	recording_free(r[0]);
	recording_free(r[1]);
}

/* --- The command --- */

/* options.c asks it, for an option that compare does not have. */
int engine_parse(const char *word)
{
	return -1;
}

#define A_FILE "build/test_compare.a.json"
#define B_FILE "build/test_compare.b.json"

static int write_files(void **state)
{
	for (int i = 0; i < SIDES; i++) {
		struct recording *r = synthetic_recording(7 + i, 20, 200);
		FILE *f = fopen(i ? B_FILE : A_FILE, "w");
		bool ok = f && !recording_write(r, f) && !fclose(f);

		recording_free(r);
		if (!ok)
			return -1;
	}
	return 0;
}

/* Runs the command in a process of its own. Its status; what it printed, both ways, is in @output. */
static int run(char *output, size_t size, const char *const *words)
{
	char *argv[10] = { "exeunt compare" };
	int out[2], argc = 1, status;
	size_t len = 0;
	ssize_t n;
	pid_t child;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	assert_int_equal(pipe(out), 0);
	child = fork();
	if (!child) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		command_name = "compare";
		argp_err_exit_status = STATUS_USAGE;
		dup2(open(A_FILE, O_RDONLY), STDIN_FILENO);
		exit(cmd_compare(argc, argv));
	}
	close(out[1]);
	while ((n = read(out[0], output + len, size - 1 - len)) > 0)
		len += n;
	output[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_command_says_what_is_wrong(void **state)
{
	static const struct { const char *words[6]; int status; const char *says; } cases[] = {
		{ { A_FILE, B_FILE }, 0, "No significant difference." },
		{ { "--msr", "--sort", "p", A_FILE, B_FILE }, 0, "x2APIC_EOI" },
		{ { "--json", A_FILE, B_FILE }, 0, "\"format\": \"exeunt-comparison\"" },
		{ { "--vm", "web-1", "--vcpu", A_FILE, B_FILE }, STATUS_USAGE, "--vcpu takes a number" },
		{ { "--vm", "nobody", A_FILE, B_FILE }, STATUS_FAILED, "neither recording has a virtual machine 'nobody'" },
		{ { "--vcpu", "77", A_FILE, B_FILE }, STATUS_FAILED, "neither recording has a vCPU 77" },
		{ { A_FILE }, STATUS_USAGE, "two recordings are needed" },
		{ { A_FILE, B_FILE, A_FILE }, STATUS_USAGE, "two recordings are compared" },
		{ { "--confidence", "95", A_FILE, B_FILE }, STATUS_USAGE, "--confidence takes" },
		{ { "--confidence", "nan", A_FILE, B_FILE }, STATUS_USAGE, "--confidence takes" },
		{ { "--sort", "size", A_FILE, B_FILE }, STATUS_USAGE, "--sort is" },
		{ { "--msr", "--pio", A_FILE, B_FILE }, STATUS_USAGE, "only one of" },
		{ { A_FILE, "build/no-such-file" }, STATUS_FAILED, "build/no-such-file: No such file or directory" },
		{ { "--vm", "", A_FILE, B_FILE }, STATUS_USAGE, "--vm takes a name" },
		{ { "-", B_FILE }, 0, "A: standard input: 10.0 s" },
		{ { B_FILE, "-" }, 0, "B: standard input: 10.0 s" },
		{ { "-", "-" }, STATUS_USAGE, "only one of the recordings can be standard input" },
		{ { A_FILE, "/dev/null" }, STATUS_FAILED, "/dev/null: " },
		{ { A_FILE, "." }, STATUS_FAILED, ".: " },
		{ { "--help" }, 0, "Exit status: 0 compared" },
	};
	static char output[1 << 20];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = run(output, sizeof(output), cases[i].words);

		if (status != cases[i].status || !strstr(output, cases[i].says))
			fail_msg("case %zu: status %d, not %d; '%s' without '%s'", i, status, cases[i].status, output, cases[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_tested_over_intervals),
		cmocka_unit_test(times_are_tested_over_exits),
		cmocka_unit_test(shares_are_time_over_time),
		cmocka_unit_test(a_short_interval_weighs_little),
		cmocka_unit_test(without_intervals_only_times_are_tested),
		cmocka_unit_test(what_was_not_tested_is_not_said_to_be_the_same),
		cmocka_unit_test(few_intervals_are_mentioned),
		cmocka_unit_test(halts_are_left_out_of_the_busy_sum),
		cmocka_unit_test(every_test_is_corrected_for_all),
		cmocka_unit_test(a_tiny_effect_is_significant_but_does_not_matter),
		cmocka_unit_test(the_same_recording_does_not_differ),
		cmocka_unit_test(constant_rates_differ_in_every_sample),
		cmocka_unit_test(a_reason_of_one_side_only_is_named),
		cmocka_unit_test(empty_recordings_are_compared_too),
		cmocka_unit_test(other_isas_are_compared_by_name),
		cmocka_unit_test(two_engines_of_one_recording_are_one),
		cmocka_unit_test(a_part_may_be_compared),
		cmocka_unit_test(views_show_their_kind),
		cmocka_unit_test(rows_come_in_the_order_asked_for),
		cmocka_unit_test(changes_are_short),
		cmocka_unit_test(quantities_have_units_and_signs),
		cmocka_unit_test(sentences_are_plain),
		cmocka_unit_test(exits_that_were_not_kept_are_mentioned),
		cmocka_unit_test(a_printed_comparison_is_complete),
		cmocka_unit_test(a_degenerate_comparison_prints_no_wild_numbers),
		cmocka_unit_test(json_has_what_the_table_has),
		cmocka_unit_test_setup(the_command_says_what_is_wrong, write_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
