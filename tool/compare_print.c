// SPDX-License-Identifier: GPL-2.0
/*
 * A comparison on paper, and as JSON, see compare.h. docs/comparing.md describes both.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "compare.h"
#include "names.h"
#include "util.h"

#define NAME_WIDTH_MIN	14	/* for the sums */
#define GREEN		"\033[32m"
#define RED		"\033[31m"
#define PLAIN		"\033[0m"

static const char *const quantity_titles[QUANTITIES] = {
	[QUANTITY_RATE] = "exits/s", [QUANTITY_TIME] = "mean time", [QUANTITY_SHARE] = "share of a CPU",
};

/* --- Text --- */

static void print_side(const struct comparison *c, const struct compare_names *n, int i)
{
	const struct recording *r = n->recording[i];
	const struct compared_side *side = &c->side[i];

	printf("%c: %s: %.1f s", i == SIDE_A ? 'A' : 'B', n->file[i], side->seconds);
	if (side->intervals > 1)
		printf(" in %zu intervals", side->intervals);
	printf(" on %s, engine %s, kernel %s%s%s\n", r->hostname, side->engines, r->kernel, r->command ? ": " : "",
	       r->command ? r->command : "");
}

/* What of the table fits the terminal. */
struct layout {
	int name;		/* columns of a name, which is cut to that */
	int quantities;		/* the first so many */
	bool values;		/* not the change only */
	bool colour;
};

#define VALUES_WIDTH	20
#define CHANGE_WIDTH	10
#define NAME_LEAST	8

static int longest_name(const struct comparison *c)
{
	size_t width = NAME_WIDTH_MIN;

	for (size_t i = 0; i < c->nr; i++) {
		if (strlen(c->rows[i].name) > width)
			width = strlen(c->rows[i].name);
	}
	return width;
}

/* @columns: 0 for any number. */
static struct layout fit(int name, int columns, bool colour)
{
	struct layout l = { .name = name, .quantities = QUANTITIES, .values = true, .colour = colour };
	int width;

	if (!columns)
		return l;
	l.values = NAME_LEAST + VALUES_WIDTH + CHANGE_WIDTH <= columns;
	width = CHANGE_WIDTH + (l.values ? VALUES_WIDTH : 0);
	while (l.quantities > 1 && name + l.quantities * width > columns)
		l.quantities--;
	if (name + l.quantities * width > columns)
		l.name = columns - width > NAME_LEAST ? columns - width : NAME_LEAST;
	return l;
}

static void print_value(const struct compared *c, enum quantity q, int side)
{
	char buf[32];

	printf(" %9s", c->known[side] ? format_quantity(q, c->value[side], buf, sizeof(buf)) : "-");
}

/* Less is better, of each quantity. */
static void print_change(const struct compared *c, bool last, bool colour)
{
	const char *mark = c->matters ? "*" : last ? "" : " ";
	char change[32];

	colour = colour && c->matters;
	format_change(c, change, sizeof(change));
	printf("%s %8s%s%s", !colour ? "" : c->value[SIDE_B] < c->value[SIDE_A] ? GREEN : RED, change, mark, colour ? PLAIN : "");
}

static void print_row(const struct compared_row *row, const struct layout *l)
{
	printf("%-*.*s", l->name, l->name, row->name);
	for (int q = 0; q < l->quantities; q++) {
		if (l->values) {
			print_value(&row->quantity[q], q, SIDE_A);
			print_value(&row->quantity[q], q, SIDE_B);
		}
		print_change(&row->quantity[q], q == l->quantities - 1, l->colour);
	}
	putchar('\n');
}

static void print_titles(const struct layout *l)
{
	printf("\n%-*s", l->name, "");
	for (int q = 0; q < l->quantities; q++)
		printf("%s%*s", q ? " " : "", l->values ? VALUES_WIDTH + CHANGE_WIDTH - 1 : CHANGE_WIDTH - 1, quantity_titles[q]);
	printf("\n%-*s", l->name, "");
	for (int q = 0; q < l->quantities; q++)
		printf("%s%s %8s", q ? " " : "", l->values ? "         A         B" : "", "change");
	putchar('\n');
}

static void print_table(const struct comparison *c, bool colour)
{
	struct layout l = fit(longest_name(c), terminal_columns(stdout), colour);

	print_titles(&l);
	for (size_t i = 0; i < c->nr; i++)
		print_row(&c->rows[i], &l);
	print_row(&c->all, &l);
	if (c->has_halts)
		print_row(&c->busy, &l);
}

static void print_test(const struct compared_row *row, enum quantity q)
{
	const struct compared *c = &row->quantity[q];
	char difference[32], low[32], high[32];

	if (!c->tested) {
		printf("  %-14s not testable: too few %s\n", quantity_titles[q], q == QUANTITY_TIME ? "exits" : "intervals");
		return;
	}
	if (c->test.constant) {
		printf("  %-14s %s, each without variance\n", quantity_titles[q], c->test.p < 1 ? "differs in every sample" : "equal");
		return;
	}
	format_quantity(q, c->test.difference, difference, sizeof(difference));
	format_quantity(q, c->test.low, low, sizeof(low));
	format_quantity(q, c->test.high, high, sizeof(high));
	printf("  %-14s B - A = %s [%s, %s], t = %.3g, df = %.3g, p = %.2g, corrected %.2g, g = %.3g (%s)\n", quantity_titles[q],
	       difference, low, high, c->test.t, c->test.df, c->test.p, c->p, c->test.g, effect_word(welch_effect(&c->test)));
}

static void print_tests(const struct compared_row *row)
{
	printf("%s\n", row->name);
	for (int q = 0; q < QUANTITIES; q++)
		print_test(row, q);
}

static void print_all_tests(const struct comparison *c)
{
	printf("\nEvery test, with confidence intervals at %g %%:\n", c->confidence * 100);
	for (size_t i = 0; i < c->nr; i++)
		print_tests(&c->rows[i]);
	print_tests(&c->all);
	if (c->has_halts)
		print_tests(&c->busy);
}

/* Prints @text, if any, and frees it. */
static bool print_text(char *text)
{
	if (text)
		printf("%s\n", text);
	free(text);
	return text;
}

static void print_findings(const struct comparison *c)
{
	for (size_t i = 0; i < c->nr; i++)
		print_text(comparison_finding(c, &c->rows[i]));
	print_text(comparison_summary(c));
}

void comparison_print(const struct comparison *c, const struct compare_names *n, bool verbose, bool colour)
{
	for (int i = 0; i < SIDES; i++)
		print_side(c, n, i);
	for (size_t i = 0; print_text(comparison_note(c, i)); i++)
		;
	if (c->nr) {
		print_table(c, colour);
		printf("\n* Welch's t-test finds a difference at %g %% confidence, corrected for %zu tests (Holm), and its effect is not negligible.\n",
		       c->confidence * 100, c->tests);
		if (verbose)
			print_all_tests(c);
	}
	putchar('\n');
	print_findings(c);
}

/* --- JSON --- */

static void set(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value))
		die(STATUS_FAILED, "out of memory");
}

static json_t *text(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *taken(char *s)
{
	json_t *value = text(s);

	free(s);
	return value;
}

static json_t *test_json(const struct compared *c)
{
	const struct welch *w = &c->test;
	json_t *o;

	if (!c->tested)
		return json_null();
	o = json_object();
	set(o, "difference", json_real(w->difference));
	set(o, "low", json_real(w->low));
	set(o, "high", json_real(w->high));
	set(o, "constant", json_boolean(w->constant));
	set(o, "t", w->constant ? json_null() : json_real(w->t));
	set(o, "df", w->constant ? json_null() : json_real(w->df));
	set(o, "p", json_real(w->p));
	set(o, "p_corrected", json_real(c->p));
	set(o, "g", w->constant ? json_null() : json_real(w->g));
	set(o, "effect", text(effect_word(welch_effect(w))));
	set(o, "significant", json_boolean(c->significant));
	set(o, "matters", json_boolean(c->matters));
	return o;
}

static json_t *quantity_json(const struct compared *c)
{
	double a = c->value[SIDE_A], b = c->value[SIDE_B];
	json_t *o = json_object();

	set(o, "a", c->known[SIDE_A] ? json_real(a) : json_null());
	set(o, "b", c->known[SIDE_B] ? json_real(b) : json_null());
	set(o, "change", c->known[SIDE_A] && c->known[SIDE_B] && a > 0 ? json_real(b / a - 1) : json_null());
	set(o, "test", test_json(c));
	return o;
}

static json_t *row_json(const struct comparison *c, const struct compared_row *row)
{
	static const char *const keys[QUANTITIES] = {
		[QUANTITY_RATE] = "rate", [QUANTITY_TIME] = "time_ns", [QUANTITY_SHARE] = "cpu_share",
	};
	json_t *o = json_object();

	set(o, "name", text(row->name));
	set(o, "count_a", json_integer(row->count[SIDE_A]));
	set(o, "count_b", json_integer(row->count[SIDE_B]));
	for (int q = 0; q < QUANTITIES; q++)
		set(o, keys[q], quantity_json(&row->quantity[q]));
	set(o, "finding", taken(comparison_finding(c, row)));
	return o;
}

static json_t *side_json(const struct comparison *c, const struct compare_names *n, int i)
{
	const struct compared_side *side = &c->side[i];
	json_t *o = json_object();

	set(o, "file", text(n->file[i]));
	set(o, "hostname", text(n->recording[i]->hostname));
	set(o, "kernel", text(n->recording[i]->kernel));
	set(o, "command", text(n->recording[i]->command));
	set(o, "engine", text(side->engines));
	set(o, "isa", text(isa_name(side->isa)));
	set(o, "seconds", json_real(side->seconds));
	set(o, "intervals", json_integer(side->intervals));
	set(o, "unaccounted", json_integer(side->unaccounted));
	return o;
}

static json_t *notes_json(const struct comparison *c)
{
	json_t *notes = json_array();
	char *note;

	for (size_t i = 0; (note = comparison_note(c, i)); i++) {
		if (json_array_append_new(notes, taken(note)))
			die(STATUS_FAILED, "out of memory");
	}
	return notes;
}

json_t *comparison_json(const struct comparison *c, const struct compare_names *n)
{
	static const char *const views[] = {
		[VIEW_REASON] = "reason", [VIEW_MSR] = "msr", [VIEW_PIO] = "pio", [VIEW_MMIO] = "mmio", [VIEW_HYPERCALL] = "hypercall",
	};
	json_t *o = json_object(), *rows = json_array();

	set(o, "format", text("exeunt-comparison"));
	set(o, "version", json_integer(1));
	set(o, "view", text(views[c->view]));
	set(o, "confidence", json_real(c->confidence));
	set(o, "tests", json_integer(c->tests));
	set(o, "a", side_json(c, n, SIDE_A));
	set(o, "b", side_json(c, n, SIDE_B));
	set(o, "notes", notes_json(c));
	for (size_t i = 0; i < c->nr; i++) {
		if (json_array_append_new(rows, row_json(c, &c->rows[i])))
			die(STATUS_FAILED, "out of memory");
	}
	set(o, "rows", rows);
	set(o, "all", row_json(c, &c->all));
	set(o, "all_but_halts", c->has_halts ? row_json(c, &c->busy) : json_null());
	set(o, "summary", taken(comparison_summary(c)));
	return o;
}
