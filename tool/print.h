/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tables as text: perf kvm stat's VM-EXIT table and its sisters. On a terminal too narrow for all columns the less important ones are
 * left out, percentiles first; a line never wraps.
 */
#ifndef EXEUNT_TOOL_PRINT_H
#define EXEUNT_TOOL_PRINT_H

#include <stdio.h>
#include "model.h"

/* --- Any table: cells are added row by row, from left to right. --- */

struct column {
	const char *title;
	unsigned int width;		/* at least */
	unsigned int rank;		/* columns of low rank are left out first; 0: never left out */
	bool flexible;			/* made narrower before any column is left out; at the end its text is cut. One at most */
};

struct grid {
	const struct column *columns;
	size_t nr_columns;
	size_t nr_cells, room;
	char **cells;
};

void grid_init(struct grid *g, const struct column *columns, size_t nr_columns);
void grid_cell(struct grid *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Titles, and below them the rows, flush right. @columns: of the terminal, 0 for any number. */
void grid_print(const struct grid *g, FILE *f, unsigned int columns);
void grid_free(struct grid *g);

/* One line of text, cut to @columns unless that is 0. */
void print_line(FILE *f, unsigned int columns, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* --- What a sample says --- */

enum section {
	SECTION_EXITS,			/* by reason */
	SECTION_MSR, SECTION_PIO, SECTION_MMIO, SECTION_HYPERCALL,
	SECTION_IPI,
	SECTION_IRQ,
	SECTION_FPU,
	SECTION_USER,
	SECTIONS
};

struct print {
	FILE *f;
	unsigned int columns;		/* of the terminal; 0: as many as there are */
	const struct target *target;	/* for the headings */
	bool timed;			/* lines begin with @seconds */
	double seconds;
};

/* Prints the sections whose bits are set in @sections, 1u << enum section, for each engine that has VMs in @s. */
void print_sample(const struct print *p, const struct sample *s, unsigned int sections);

#endif
