/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pictures of numbers: the distribution of exits' times on a logarithmic axis, and trends as a line of small bars.
 */
#ifndef EXEUNT_TOOL_TOP_CHART_H
#define EXEUNT_TOOL_TOP_CHART_H

#include <stdint.h>
#include "top_canvas.h"
#include "top_items.h"

/*
 * A histogram fitted to a width. Its axis is that of the buckets (include/exeunt/stats.h): eight to each octave, all equally wide.
 * Either a column is some buckets, or a bucket is some columns.
 */
struct chart {
	unsigned int first;		/* bucket of the first column */
	unsigned int group, repeat;	/* buckets of a column; columns of such a group */
	unsigned int columns;
	uint64_t *counts;		/* by column */
	uint64_t highest;
};

/* @columns at least 1. */
void chart_make(struct chart *c, const struct exeunt_row *row, unsigned int columns);
void chart_free(struct chart *c);
/* The column of a time; may lie outside [0, columns). */
int chart_column(const struct chart *c, double ticks, unsigned int hist_shift);

/* Paints @item's distribution into lines [@y, @y + @lines) of @c, over the whole width, with a title and percentiles. */
void chart_paint(struct canvas *c, unsigned int y, unsigned int lines, const struct item *item, const char *title);

/*
 * @nr rates, the last ones of @samples samples, as bars in [@x, @x + @width) of line @y, newest to the right; neighbours share a bar if
 * there are more than fit.
 */
void trend_paint(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const float *rates,
		 unsigned int nr, unsigned int samples);

#endif
