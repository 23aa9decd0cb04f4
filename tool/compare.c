// SPDX-License-Identifier: GPL-2.0
/*
 * See compare.h. Each recording becomes tallies, one for each name, whose moments are then tested against the other's of that name:
 * by name, because that is what two engines, or two ISAs, have in common.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "compare.h"
#include "names.h"
#include "util.h"

static const char *const engines[] = { "exeunt", "kvm" };
#define NR_ENGINES	(sizeof(engines) / sizeof(engines[0]))

/* What a recording says of one name. */
struct tally {
	char name[48];
	bool halt;
	uint64_t count;
	double ns;			/* of all exits */
	struct moments time;		/* ns of an exit */
	struct moments rate, share;	/* of an interval */
	double exits_now, ns_now;	/* in the interval that is looked at */
};

/* all[nr] is the sum of those before it, all[nr + 1] that of those which are no halts. */
#define NR_SUMS	2
struct tallies {
	double seconds;
	size_t nr;
	struct tally *all;
};

/* --- The whole time --- */

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct tally *)a)->name, ((const struct tally *)b)->name);
}

static struct tally *find_or_add(struct tallies *t, const char *name)
{
	struct tally *tally;

	for (size_t i = 0; i < t->nr; i++) {
		if (!strcasecmp(t->all[i].name, name))
			return &t->all[i];
	}
	t->all = xreallocarray(t->all, t->nr + 1, sizeof(*t->all));
	tally = &t->all[t->nr++];
	memset(tally, 0, sizeof(*tally));
	snprintf(tally->name, sizeof(tally->name), "%s", name);
	return tally;
}

/* A vCPU waits in these exits until something happens: their time costs no CPU. */
static bool is_halt(uint32_t isa, unsigned int reason)
{
	enum { VMX_HLT = 12, SVM_HLT = 0x78, ARM64_WFX = 1 };

	return (isa == ISA_VMX && reason == VMX_HLT) || (isa == ISA_SVM && reason == SVM_HLT) || (isa == ISA_ARM64 && reason == ARM64_WFX);
}

static void add_row(struct tally *tally, const struct exeunt_row *row, double tick_ns)
{
	struct moments time = {
		.n = row->count,
		.mean = row_mean(row) * tick_ns,
		.variance = row_variance(row) * tick_ns * tick_ns,
	};

	tally->time = moments_join(&tally->time, &time);
	tally->count += row->count;
	tally->ns += row->total * tick_ns;
}

static void add_table(struct tallies *t, const struct table *table, enum view view)
{
	for (const struct table_row *row = table->rows; row < table->rows + table->nr; row++) {
		struct tally *tally;

		if (!row->sum.count)
			continue;
		tally = find_or_add(t, row->name);
		tally->halt = view == VIEW_REASON && is_halt(table->isa, EXEUNT_KEY_REASON(row->sum.key));
		add_row(tally, &row->sum, table->tick_ns);
	}
}

static void add_tally(struct tally *sum, const struct tally *tally)
{
	sum->count += tally->count;
	sum->ns += tally->ns;
	sum->time = moments_join(&sum->time, &tally->time);
}

static void add_sums(struct tallies *t)
{
	struct tally *sums;

	t->all = xreallocarray(t->all, t->nr + NR_SUMS, sizeof(*t->all));
	sums = &t->all[t->nr];
	memset(sums, 0, NR_SUMS * sizeof(*sums));
	snprintf(sums[0].name, sizeof(sums[0].name), "all");
	snprintf(sums[1].name, sizeof(sums[1].name), "all but halts");
	for (size_t i = 0; i < t->nr; i++) {
		add_tally(&sums[0], &t->all[i]);
		if (!t->all[i].halt)
			add_tally(&sums[1], &t->all[i]);
	}
}

/* --- Interval by interval --- */

static double interval_seconds(const struct interval *in)
{
	return in->end_ns > in->begin_ns ? (in->end_ns - in->begin_ns) / 1e9 : 0;
}

static void add_now(struct tally *tally, const struct exeunt_row *row, double tick_ns)
{
	tally->exits_now += row->count;
	tally->ns_now += row->total * tick_ns;
}

static void look_at_table(struct tallies *t, const struct table *table)
{
	for (const struct table_row *row = table->rows; row < table->rows + table->nr; row++) {
		struct tally name, *tally;

		snprintf(name.name, sizeof(name.name), "%s", row->name);
		tally = t->nr ? bsearch(&name, t->all, t->nr, sizeof(*t->all), by_name) : NULL;
		if (!tally)
			continue;
		add_now(tally, &row->sum, table->tick_ns);
		add_now(&t->all[t->nr], &row->sum, table->tick_ns);
		if (!tally->halt)
			add_now(&t->all[t->nr + 1], &row->sum, table->tick_ns);
	}
}

static void look_at_interval(struct tallies *t, const struct recording *r, size_t i, const struct compare_options *o)
{
	struct sample s;

	for (size_t j = 0; j < t->nr + NR_SUMS; j++)
		t->all[j].exits_now = t->all[j].ns_now = 0;
	recording_interval(r, i, &s);
	sample_select(&s, &o->target);
	for (size_t e = 0; e < NR_ENGINES; e++) {
		struct table table;

		table_make(&table, &s, engines[e], o->view);
		look_at_table(t, &table);
		table_free(&table);
	}
	sample_free(&s);
}

/* The sum of squares of weighted deviations, in place of the variance until all are there. */
static void deviate(struct moments *m, double value, double weight)
{
	m->variance += weight * (value - m->mean) * (value - m->mean);
}

/*
 * An interval weighs as much as it lasts, the weights being 1 on average: so the mean is that of the whole time, and a short last
 * interval whose rate is chance does not count as a full one. Where all are of one length that is the usual mean and variance.
 */
static void rates(struct tallies *t, const struct recording *r, const struct compare_options *o)
{
	struct tally *end = t->all + t->nr + NR_SUMS;
	size_t n = 0;

	for (size_t i = 0; i < r->nr_intervals; i++)
		n += interval_seconds(&r->intervals[i]) > 0;
	for (struct tally *tally = t->all; tally < end && t->seconds > 0; tally++) {
		tally->rate = (struct moments){ .n = n, .mean = tally->count / t->seconds };
		tally->share = (struct moments){ .n = n, .mean = tally->ns / 1e9 / t->seconds };
	}
	for (size_t i = 0; n > 1 && i < r->nr_intervals; i++) {
		double seconds = interval_seconds(&r->intervals[i]);

		if (seconds <= 0)
			continue;
		look_at_interval(t, r, i, o);
		for (struct tally *tally = t->all; tally < end; tally++) {
			deviate(&tally->rate, tally->exits_now / seconds, seconds * n / t->seconds / (n - 1));
			deviate(&tally->share, tally->ns_now / 1e9 / seconds, seconds * n / t->seconds / (n - 1));
		}
	}
}

static void describe(struct compared_side *side, const struct recording *r, const struct sample *s)
{
	for (size_t i = 0; i < r->nr_intervals; i++) {
		side->seconds += interval_seconds(&r->intervals[i]);
		side->intervals += interval_seconds(&r->intervals[i]) > 0;
	}
	for (size_t i = 0; i < s->nr_vms; i++) {
		side->isa = s->vms[i].isa;
		side->unaccounted += s->vms[i].unaccounted;
	}
	for (size_t e = 0; e < NR_ENGINES; e++) {
		size_t used = strlen(side->engines), i = 0;

		while (i < s->nr_vms && strcmp(s->vms[i].engine, engines[e]))
			i++;
		if (i < s->nr_vms)
			snprintf(side->engines + used, sizeof(side->engines) - used, "%s%s", used ? "+" : "", engines[e]);
	}
	if (!side->engines[0])
		snprintf(side->engines, sizeof(side->engines), "none");
}

static void tallies_make(struct tallies *t, struct compared_side *side, const struct recording *r, const struct compare_options *o)
{
	struct sample s;

	memset(t, 0, sizeof(*t));
	sample_copy(&s, &r->total);
	sample_select(&s, &o->target);
	describe(side, r, &s);
	for (size_t e = 0; e < NR_ENGINES; e++) {
		struct table table;

		table_make(&table, &s, engines[e], o->view);
		add_table(t, &table, o->view);
		table_free(&table);
	}
	sample_free(&s);
	if (t->nr)
		qsort(t->all, t->nr, sizeof(*t->all), by_name);
	add_sums(t);
	t->seconds = side->seconds;
	rates(t, r, o);
}

/* --- Two recordings --- */

static void compare_quantity(struct compared *q, const struct moments *a, const struct moments *b, double confidence)
{
	const struct moments *m[SIDES] = { a, b };

	for (int i = 0; i < SIDES; i++) {
		q->known[i] = m[i]->n > 0;
		q->value[i] = q->known[i] ? m[i]->mean : 0;
	}
	q->tested = welch_test(&q->test, a, b, confidence);
	q->p = q->test.p;
}

/* A name that a side does not have came there 0 times in each interval. */
static void compare_row(struct compared_row *row, const struct tally *a, const struct tally *b, const struct comparison *c)
{
	struct tally none[SIDES] = { 0 };
	const struct tally *t[SIDES] = { a ? a : &none[SIDE_A], b ? b : &none[SIDE_B] };

	snprintf(row->name, sizeof(row->name), "%s", a ? a->name : b->name);
	for (int i = 0; i < SIDES; i++) {
		none[i].rate.n = none[i].share.n = c->side[i].intervals;
		row->count[i] = t[i]->count;
	}
	compare_quantity(&row->quantity[QUANTITY_RATE], &t[SIDE_A]->rate, &t[SIDE_B]->rate, c->confidence);
	compare_quantity(&row->quantity[QUANTITY_TIME], &t[SIDE_A]->time, &t[SIDE_B]->time, c->confidence);
	compare_quantity(&row->quantity[QUANTITY_SHARE], &t[SIDE_A]->share, &t[SIDE_B]->share, c->confidence);
}

/* Both are sorted by name. */
static void compare_tallies(struct comparison *c, const struct tallies *a, const struct tallies *b)
{
	size_t i = 0, j = 0;

	c->rows = xcalloc(a->nr + b->nr, sizeof(*c->rows));
	while (i < a->nr || j < b->nr) {
		int order = i == a->nr ? 1 : j == b->nr ? -1 : by_name(&a->all[i], &b->all[j]);

		c->has_halts |= (order <= 0 && a->all[i].halt) || (order >= 0 && b->all[j].halt);
		compare_row(&c->rows[c->nr++], order <= 0 ? &a->all[i] : NULL, order >= 0 ? &b->all[j] : NULL, c);
		i += order <= 0;
		j += order >= 0;
	}
	compare_row(&c->all, &a->all[a->nr], &b->all[b->nr], c);
	if (c->has_halts)
		compare_row(&c->busy, &a->all[a->nr + 1], &b->all[b->nr + 1], c);
}

/* Every test of the comparison: the family that the correction is for. */
static size_t collect_tests(struct comparison *c, struct compared **tests)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nr + NR_SUMS; i++) {
		struct compared_row *row = i < c->nr ? &c->rows[i] : i == c->nr ? &c->all : &c->busy;

		for (int q = 0; q < QUANTITIES; q++) {
			if (row->quantity[q].tested)
				tests[n++] = &row->quantity[q];
		}
	}
	return n;
}

static void correct(struct comparison *c)
{
	struct compared **tests = xcalloc((c->nr + NR_SUMS) * QUANTITIES, sizeof(*tests));
	double *p;

	c->tests = collect_tests(c, tests);
	p = xcalloc(c->tests, sizeof(*p));
	for (size_t i = 0; i < c->tests; i++)
		p[i] = tests[i]->p;
	holm_correct(p, c->tests);
	for (size_t i = 0; i < c->tests; i++) {
		tests[i]->p = p[i];
		tests[i]->significant = p[i] < 1 - c->confidence;
		tests[i]->matters = tests[i]->significant && welch_effect(&tests[i]->test) >= EFFECT_SMALL;
	}
	free(p);
	free(tests);
}

/* --- Order --- */

static double larger(const struct compared_row *row, enum quantity q)
{
	return fmax(row->quantity[q].value[SIDE_A], row->quantity[q].value[SIDE_B]);
}

/* How many times the one's rate is the other's; what is on one side only comes first. */
static double change(const struct compared_row *row)
{
	const double *rate = row->quantity[QUANTITY_RATE].value;

	return fmin(rate[SIDE_A], rate[SIDE_B]) > 0 ? fabs(log(rate[SIDE_B] / rate[SIDE_A])) : INFINITY;
}

static double smallest_p(const struct compared_row *row)
{
	double p = 1;

	for (int q = 0; q < QUANTITIES; q++) {
		if (row->quantity[q].tested)
			p = fmin(p, row->quantity[q].p);
	}
	return p;
}

/* What comes first has the larger key. */
static double order_key(const struct compared_row *row, enum compare_order order)
{
	switch (order) {
	case ORDER_RATE:
		return larger(row, QUANTITY_RATE);
	case ORDER_TIME:
		return larger(row, QUANTITY_TIME);
	case ORDER_SHARE:
		return larger(row, QUANTITY_SHARE);
	case ORDER_CHANGE:
		return change(row);
	case ORDER_P:
		return -smallest_p(row);
	case ORDER_NAME:
		break;
	}
	return 0;
}

static int in_order(const void *pa, const void *pb, void *order)
{
	const struct compared_row *a = pa, *b = pb;
	double x = order_key(a, *(enum compare_order *)order), y = order_key(b, *(enum compare_order *)order);

	return x == y ? strcasecmp(a->name, b->name) : x < y ? 1 : -1;
}

void comparison_make(struct comparison *c, const struct recording *a, const struct recording *b, const struct compare_options *o)
{
	struct tallies ta, tb;
	enum compare_order order = o->order;

	memset(c, 0, sizeof(*c));
	c->view = o->view;
	c->confidence = o->confidence;
	tallies_make(&ta, &c->side[SIDE_A], a, o);
	tallies_make(&tb, &c->side[SIDE_B], b, o);
	compare_tallies(c, &ta, &tb);
	correct(c);
	qsort_r(c->rows, c->nr, sizeof(*c->rows), in_order, &order);
	free(ta.all);
	free(tb.all);
}

void comparison_free(struct comparison *c)
{
	free(c->rows);
	memset(c, 0, sizeof(*c));
}
