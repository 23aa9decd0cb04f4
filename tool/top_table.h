/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A list of `exeunt top` as a table: which columns there is room for, and what stands in them.
 */
#ifndef EXEUNT_TOOL_TOP_TABLE_H
#define EXEUNT_TOOL_TOP_TABLE_H

#include "top_canvas.h"
#include "top_state.h"

struct table_columns {
	size_t nr;
	struct table_column {
		enum column column;
		unsigned int width;
	} columns[TOP_MAX_LIST_COLUMNS];
};

/*
 * Chooses columns for a list on @width columns of the screen, from left to right, a space between two. What matters least is left out
 * first; the names are never. @trends: with COLUMN_TREND, if there is room.
 */
void table_choose(struct table_columns *c, const struct canvas *canvas, const struct top *t, unsigned int width, bool trends);

const char *column_title(enum column column);
/* What stands in a column but the trend's. Returns @buf. */
const char *column_text(const struct item *item, enum column column, char *buf, size_t size);

/* Paints the column heads on line @y. */
void table_paint_head(struct canvas *c, unsigned int y, const struct top *t, const struct table_columns *columns);
/* Paints row @index of the list on line @y. */
void table_paint_row(struct canvas *c, unsigned int y, const struct top *t, const struct table_columns *columns, size_t index,
		     bool selected);

#endif
