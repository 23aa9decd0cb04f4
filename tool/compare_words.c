// SPDX-License-Identifier: GPL-2.0
/*
 * A comparison in plain sentences, see compare.h.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "compare.h"
#include "names.h"
#include "util.h"

const char *view_noun(enum view view)
{
	static const char *const nouns[] = {
		[VIEW_REASON] = "exit reasons", [VIEW_MSR] = "MSR accesses", [VIEW_PIO] = "port accesses", [VIEW_MMIO] = "MMIO pages",
		[VIEW_HYPERCALL] = "hypercalls",
	};

	return nouns[view];
}

const char *format_quantity(enum quantity quantity, double value, char *buf, size_t size)
{
	char number[32];

	if (value < 0) {
		snprintf(buf, size, "-%s", format_quantity(quantity, -value, number, sizeof(number)));
		return buf;
	}
	if (quantity == QUANTITY_TIME && value >= 99.95)
		return format_ns(value, buf, size);
	if (quantity == QUANTITY_TIME)
		snprintf(buf, size, "%.3gns", value);
	else if (quantity == QUANTITY_SHARE)
		snprintf(buf, size, value < 1e-4 ? "%.2g %%" : "%.3g %%", value * 100);
	else if (value < 99.95)
		snprintf(buf, size, "%.3g", value);
	else
		return format_count(value, buf, size);
	return buf;
}

const char *format_change(const struct compared *q, char *buf, size_t size)
{
	double a = q->value[SIDE_A], b = q->value[SIDE_B];

	if (a == b)
		snprintf(buf, size, "%s", a > 0 ? "+0.0%" : "");
	else if (!q->known[SIDE_A] || a <= 0)
		snprintf(buf, size, "new");
	else if (!q->known[SIDE_B] || b <= 0)
		snprintf(buf, size, "gone");
	else if (b / a >= 10)
		snprintf(buf, size, "x%.3g", b / a);
	else
		snprintf(buf, size, "%+.1f%%", (b / a - 1) * 100);
	return buf;
}

/* "12 %", "0.34 %"; never 0 % or 100 % for a share that is neither. */
static const char *format_percent(double share, char *buf, size_t size)
{
	double percent = share * 100;

	if (percent > 99 && percent < 100)
		snprintf(buf, size, "over 99 %%");
	else if (percent < 0.01)
		snprintf(buf, size, "less than 0.01 %%");
	else
		snprintf(buf, size, percent < 9.95 ? "%.2g %%" : "%.0f %%", percent);
	return buf;
}

/* "12 % fewer", "3.4 times as many": from a to b, neither 0. */
static void print_relation(FILE *f, double a, double b, const char *less, const char *more, const char *times)
{
	char percent[32];

	if (b >= 2 * a)
		fprintf(f, "%.3g times as %s", b / a, times);
	else
		fprintf(f, "%s %s", format_percent(fabs(b / a - 1), percent, sizeof(percent)), b < a ? less : more);
}

/* "(-148 +- 31, p = 0.003, large effect)" */
static void print_evidence(FILE *f, const struct compared *c, enum quantity q)
{
	double half = (c->test.high - c->test.low) / 2;
	char difference[32], error[32];

	if (c->test.constant) {
		fputs(" (differs in every sample)", f);
		return;
	}
	fprintf(f, " (%c%s +- %s, ", c->test.difference < 0 ? '-' : '+',
		format_quantity(q, fabs(c->test.difference), difference, sizeof(difference)), format_quantity(q, half, error, sizeof(error)));
	fprintf(f, c->p < 0.001 ? "p < 0.001" : "p = %.3f", c->p);
	fprintf(f, ", %s effect)", effect_word(welch_effect(&c->test)));
}

static void print_rate(FILE *f, const struct compared *c)
{
	double a = c->value[SIDE_A], b = c->value[SIDE_B];
	char rate[32];

	if (a <= 0 || b <= 0)
		fprintf(f, "only in %c, %s a second", a <= 0 ? 'B' : 'A', format_quantity(QUANTITY_RATE, a + b, rate, sizeof(rate)));
	else
		print_relation(f, a, b, "fewer exits a second in B", "more exits a second in B", "many exits a second in B");
	print_evidence(f, c, QUANTITY_RATE);
}

static void print_time(FILE *f, const struct compared *c)
{
	fputs("an exit takes ", f);
	print_relation(f, c->value[SIDE_A], c->value[SIDE_B], "less time in B", "more time in B", "long in B");
	print_evidence(f, c, QUANTITY_TIME);
}

static void print_share(FILE *f, const struct compared *c)
{
	char a[32], b[32];

	fprintf(f, "%s of a CPU instead of %s", format_quantity(QUANTITY_SHARE, c->value[SIDE_B], b, sizeof(b)),
		format_quantity(QUANTITY_SHARE, c->value[SIDE_A], a, sizeof(a)));
	print_evidence(f, c, QUANTITY_SHARE);
}

static void (*const print_quantity[QUANTITIES])(FILE *f, const struct compared *c) = {
	[QUANTITY_RATE] = print_rate, [QUANTITY_TIME] = print_time, [QUANTITY_SHARE] = print_share,
};

/* A stream into a string that ends up in @text. */
static FILE *open_text(char **text)
{
	static size_t size;
	FILE *f = open_memstream(text, &size);

	if (!f)
		die(STATUS_FAILED, "out of memory");
	return f;
}

static void close_text(FILE *f)
{
	if (fclose(f))
		die(STATUS_FAILED, "out of memory");
}

static bool row_matters(const struct compared_row *row)
{
	for (int q = 0; q < QUANTITIES; q++) {
		if (row->quantity[q].matters)
			return true;
	}
	return false;
}

char *comparison_finding(const struct comparison *c, const struct compared_row *row)
{
	const char *separator = ": ";
	char *text;
	FILE *f;

	if (!row_matters(row))
		return NULL;
	f = open_text(&text);
	fputs(row->name, f);
	for (int q = 0; q < QUANTITIES; q++) {
		if (!row->quantity[q].matters)
			continue;
		fputs(separator, f);
		print_quantity[q](f, &row->quantity[q]);
		separator = "; ";
	}
	close_text(f);
	return text;
}

/* How much the whole differs, if it does: its rate, and the CPU's time that is lost to exits. */
static void print_whole(FILE *f, const struct comparison *c)
{
	const struct compared *rate = &c->all.quantity[QUANTITY_RATE];
	const struct compared *share = &(c->has_halts ? &c->busy : &c->all)->quantity[QUANTITY_SHARE];

	fputs("In all, ", f);
	if (rate->matters)
		print_rate(f, rate);
	if (rate->matters && share->matters)
		fputs(", and ", f);
	if (share->matters) {
		print_share(f, share);
		if (c->has_halts)
			fputs(", halts apart", f);
	}
	if (!rate->matters && !share->matters)
		fputs("no significant difference", f);
}

static bool any_significant(const struct comparison *c)
{
	for (size_t i = 0; i < c->nr; i++) {
		for (int q = 0; q < QUANTITIES; q++) {
			if (c->rows[i].quantity[q].significant)
				return true;
		}
	}
	return false;
}

/* Without two intervals on each side times are all that can be. */
static bool rates_tested(const struct comparison *c)
{
	return c->side[SIDE_A].intervals > 1 && c->side[SIDE_B].intervals > 1;
}

static char *no_difference(const struct comparison *c)
{
	return xasprintf("No significant difference%s%s.", rates_tested(c) ? "" : " of times, all that could be tested,",
			 any_significant(c) ? " but for negligible ones" : rates_tested(c) ? "" : " was found");
}

char *comparison_summary(const struct comparison *c)
{
	size_t differ = 0;
	char *text;
	FILE *f;

	for (size_t i = 0; i < c->nr; i++)
		differ += row_matters(&c->rows[i]);
	if (!c->nr)
		return xasprintf("Neither recording has any %s.", view_noun(c->view));
	if (!c->tests)
		return xasprintf("Nothing could be tested: too few exits and intervals.");
	if (!differ && !row_matters(&c->all) && !row_matters(&c->busy))
		return no_difference(c);
	f = open_text(&text);
	if (rates_tested(c))
		print_whole(f, c);
	else
		fputs("Only times could be tested", f);
	fprintf(f, "; %zu of %zu %s differ.", differ, c->nr, view_noun(c->view));
	close_text(f);
	return text;
}

/* --- Notes --- */

#define FEW	10	/* intervals: with less than these the t-test needs differences of several standard deviations */

static char *isa_note(const struct comparison *c)
{
	const char *a = isa_name(c->side[SIDE_A].isa), *b = isa_name(c->side[SIDE_B].isa);

	if (c->side[SIDE_A].isa == c->side[SIDE_B].isa || !c->all.count[SIDE_A] || !c->all.count[SIDE_B])
		return NULL;
	return xasprintf("A has %s exits and B has %s: they are compared by name only, and what has another name there counts as another.",
			 a ? a : "unknown", b ? b : "unknown");
}

static char *engine_note(const struct comparison *c)
{
	if (!strcmp(c->side[SIDE_A].engines, c->side[SIDE_B].engines))
		return NULL;
	return xasprintf("A was counted on %s, B on %s.", c->side[SIDE_A].engines, c->side[SIDE_B].engines);
}

static char *interval_note(const struct comparison *c)
{
	bool a = c->side[SIDE_A].intervals < 2, b = c->side[SIDE_B].intervals < 2;

	if (!a && !b)
		return NULL;
	return xasprintf("Rates and shares are not testable: %s fewer than two intervals; record longer, or with a smaller -I.",
			 a && b ? "the recordings have" : a ? "A has" : "B has");
}

static char *few_note(const struct comparison *c)
{
	size_t a = c->side[SIDE_A].intervals, b = c->side[SIDE_B].intervals;

	if (a < 2 || b < 2 || (a >= FEW && b >= FEW))
		return NULL;
	return xasprintf("There are few intervals, %zu in A and %zu in B: of rates and shares only very clear differences can be told.", a, b);
}

static char *unaccounted_note(const struct comparison *c)
{
	if (!c->side[SIDE_A].unaccounted && !c->side[SIDE_B].unaccounted)
		return NULL;
	return xasprintf("Exits that could not be kept and are missing here: %" PRIu64 " in A, %" PRIu64 " in B.",
			 c->side[SIDE_A].unaccounted, c->side[SIDE_B].unaccounted);
}

char *comparison_note(const struct comparison *c, size_t i)
{
	static char *(*const notes[])(const struct comparison *c) = {
		isa_note, engine_note, interval_note, few_note, unaccounted_note,
	};

	for (size_t n = 0; n < sizeof(notes) / sizeof(notes[0]); n++) {
		char *text = notes[n](c);

		if (text && !i--)
			return text;
		free(text);
	}
	return NULL;
}
