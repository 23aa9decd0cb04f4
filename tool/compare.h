/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two recordings, side by side: of each exit reason (or MSR, port, page, hypercall) how often it came, how long it took and what that
 * cost, and whether these differ by more than chance. docs/comparing.md says what is tested, and how.
 */
#ifndef EXEUNT_TOOL_COMPARE_H
#define EXEUNT_TOOL_COMPARE_H

#include "recording.h"
#include "welch.h"

enum { SIDE_A, SIDE_B, SIDES };

enum quantity {
	QUANTITY_RATE,		/* exits a second; an observation is an interval's */
	QUANTITY_TIME,		/* nanoseconds from exit to entry; an observation is an exit's */
	QUANTITY_SHARE,		/* seconds a second, from exits to entries: the share of one CPU; an observation is an interval's */
	QUANTITIES
};

struct compared {
	bool known[SIDES];	/* false: no exits, so no time that they took */
	double value[SIDES];	/* 0 where not known */
	bool tested;		/* false: too few observations on a side */
	struct welch test;
	double p;		/* test.p after Holm's correction for all tests of the comparison */
	bool significant;	/* by p, whatever its size */
	bool matters;		/* significant, and the effect is at least small */
};

struct compared_row {
	char name[48];
	uint64_t count[SIDES];
	struct compared quantity[QUANTITIES];
};

struct compared_side {
	char engines[24];	/* "exeunt", "kvm", "exeunt+kvm", "none" */
	uint32_t isa;
	double seconds;
	size_t intervals;
	uint64_t unaccounted;	/* exits that the source could not keep */
};

struct comparison {
	enum view view;
	double confidence;
	struct compared_side side[SIDES];
	size_t nr;
	struct compared_row *rows;	/* what is on either side */
	struct compared_row all;	/* those together */
	bool has_halts;			/* the view is of reasons, and one of them is a halted vCPU's wait */
	struct compared_row busy;	/* if so: all the others together */
	size_t tests;
};

enum compare_order { ORDER_RATE, ORDER_TIME, ORDER_SHARE, ORDER_CHANGE, ORDER_P, ORDER_NAME };
#define ORDER_WORDS	{ "rate", "time", "share", "change", "p", "name" }

struct compare_options {
	enum view view;
	double confidence;		/* 0 to 1 exclusive */
	enum compare_order order;	/* largest first, either side's; smallest first for ORDER_P and ORDER_NAME */
	struct target target;		/* of both recordings */
};

/* Free with comparison_free(). A recording without length (duration 0) is one without rates. */
void comparison_make(struct comparison *c, const struct recording *a, const struct recording *b, const struct compare_options *o);
void comparison_free(struct comparison *c);

/* --- In words: compare_words.c. Each result is the caller's to free. --- */

/* "exit reasons", "MSR accesses" ... */
const char *view_noun(enum view view);
/* Which of @row's quantities differ, and by how much; NULL if none does that matters. */
char *comparison_finding(const struct comparison *c, const struct compared_row *row);
/* One sentence on the whole. */
char *comparison_summary(const struct comparison *c);
/* What one should know of the recordings to judge the comparison: number @i, or NULL beyond the last. */
char *comparison_note(const struct comparison *c, size_t i);
/* "+12.3%", "x12", "new", "gone", "" for what is on neither side. */
const char *format_change(const struct compared *q, char *buf, size_t size);
/* @value of @quantity, short and with its unit. */
const char *format_quantity(enum quantity quantity, double value, char *buf, size_t size);

/* --- As a whole: compare_print.c. --- */

struct compare_names {
	const char *file[SIDES];
	const struct recording *recording[SIDES];
};

void comparison_print(const struct comparison *c, const struct compare_names *n, bool verbose, bool colour);
json_t *comparison_json(const struct comparison *c, const struct compare_names *n);

#endif
