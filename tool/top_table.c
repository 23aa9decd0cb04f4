// SPDX-License-Identifier: GPL-2.0
/*
 * See top_table.h.
 */
#include <string.h>
#include "top_chart.h"
#include "top_table.h"
#include "util.h"

#define MARK_COLUMNS	1	/* in front of each line: which one is selected */
#define NAME_COLUMNS	16	/* names are cut to that before a column is left out for them */
#define MAX_TREND	60

static const struct column_form {
	const char *title;
	unsigned int width;
	unsigned int rank;	/* columns of low rank are left out first */
	bool left;		/* flush left */
	bool ascending;		/* in natural order */
} forms[COLUMNS_END] = {
	[COLUMN_NAME] = { NULL, 6, 0, true, true },
	[COLUMN_PID] = { "PID", 7, 15, false, true },
	[COLUMN_ENGINE] = { "ENGINE", 7, 13, true, true },
	[COLUMN_VCPUS] = { "VCPUS", 6, 14, false, false },
	[COLUMN_TID] = { "TID", 7, 6, false, true },
	[COLUMN_RATE] = { "EXITS/S", 8, 18, false, false },
	[COLUMN_COUNT] = { "EXITS", 6, 1, false, false },
	[COLUMN_SHARE] = { "EXITS%", 7, 10, false, false },
	[COLUMN_TIME] = { "TIME%", 6, 15, false, false },
	[COLUMN_OUTSIDE] = { "OUT%", 5, 17, false, false },
	[COLUMN_HALTED] = { "HALT%", 6, 7, false, false },
	[COLUMN_AVERAGE] = { "AVG", 6, 8, false, false },
	[COLUMN_P50] = { "P50", 6, 4, false, false },
	[COLUMN_P99] = { "P99", 6, 11, false, false },
	[COLUMN_MAX] = { "MAX", 6, 5, false, false },
	[COLUMN_USER] = { "USER%", 6, 2, false, false },
	[COLUMN_TOP] = { "TOP REASON", 14, 16, true, true },
	[COLUMN_TREND] = { "TREND", 9, 9, true, false },
};

static const char *const name_titles[LEVELS] = {
	[LEVEL_VMS] = "VM", [LEVEL_VCPUS] = "VCPU", [LEVEL_REASONS] = "REASON", [LEVEL_DETAILS] = "DETAIL",
};

/* --- Texts --- */

const char *column_title(enum column column)
{
	return column == COLUMN_NAME ? "NAME" : forms[column].title;
}

const char *column_text(const struct item *item, enum column column, char *buf, size_t size)
{
	double value = item->values[column];

	*buf = '\0';
	switch (column) {
	case COLUMN_NAME:
		snprintf(buf, size, "%s", item->name);
		break;
	case COLUMN_ENGINE:
		snprintf(buf, size, "%s", item->part.engine);
		break;
	case COLUMN_TOP:
		snprintf(buf, size, "%s", *item->top ? item->top : "-");
		break;
	case COLUMN_PID:
	case COLUMN_TID:
	case COLUMN_VCPUS:
		snprintf(buf, size, value > 0 ? "%.0f" : "-", value);
		break;
	case COLUMN_RATE:
		if (item->ended)
			snprintf(buf, size, "ended");
		else
			format_count(value, buf, size);
		break;
	case COLUMN_COUNT:
		format_count(value, buf, size);
		break;
	case COLUMN_SHARE:
	case COLUMN_TIME:
	case COLUMN_OUTSIDE:
	case COLUMN_HALTED:
	case COLUMN_USER:
		snprintf(buf, size, "%.1f", value);
		break;
	case COLUMN_AVERAGE:
	case COLUMN_P50:
	case COLUMN_P99:
	case COLUMN_MAX:
		if (item->figures.sum.count)
			format_ns(value, buf, size);
		else
			snprintf(buf, size, "-");
		break;
	case COLUMN_TREND:
	case COLUMNS_END:
		break;
	}
	return buf;
}

/* How long the trends are, in the title. */
static void title_text(const struct top *t, enum column column, char *buf, size_t size)
{
	double seconds = top_data_trend_seconds(&t->data);

	if (column == COLUMN_NAME)
		snprintf(buf, size, "%s", name_titles[t->level]);
	else if (column != COLUMN_TREND || seconds < 1)
		snprintf(buf, size, "%s", column_title(column));
	else if (seconds < 100)
		snprintf(buf, size, "TREND %.0fs", seconds);
	else if (seconds < 6000)
		snprintf(buf, size, "TREND %.0fm", seconds / 60);
	else
		snprintf(buf, size, "TREND %.0fh", seconds / 3600);
}

/* --- Widths --- */

static unsigned int longest_name(const struct canvas *canvas, const struct top *t)
{
	unsigned int longest = forms[COLUMN_NAME].width;

	for (size_t i = 0; i < t->items.nr; i++) {
		unsigned int width = canvas_text_width(canvas, t->items.items[i].name);

		longest = width > longest ? width : longest;
	}
	return longest;
}

static unsigned int total_width(const struct table_columns *c)
{
	unsigned int total = MARK_COLUMNS;

	for (size_t i = 0; i < c->nr; i++)
		total += c->columns[i].width + (i > 0);
	return total;
}

static void leave_one_out(struct table_columns *c)
{
	size_t least = 1;

	for (size_t i = 2; i < c->nr; i++) {
		if (forms[c->columns[i].column].rank < forms[c->columns[least].column].rank)
			least = i;
	}
	memmove(&c->columns[least], &c->columns[least + 1], (c->nr - least - 1) * sizeof(c->columns[0]));
	c->nr--;
}

/* Takes from the room that is left: up to @most for @column. */
static void widen(struct table_columns *c, enum column column, unsigned int most, unsigned int width)
{
	for (size_t i = 0; i < c->nr; i++) {
		unsigned int *mine = &c->columns[i].width, total = total_width(c), room = width > total ? width - total : 0;

		if (c->columns[i].column == column && *mine < most)
			*mine += room < most - *mine ? room : most - *mine;
	}
}

/* Makes names as short as the other column wants them, or drops that for their sake. */
static void squeeze_name(struct table_columns *c, unsigned int width)
{
	unsigned int total = total_width(c), *name = &c->columns[0].width;

	if (total <= width)
		return;
	if (total - width <= *name - forms[COLUMN_NAME].width) {
		*name -= total - width;
		return;
	}
	c->nr = 1;
	*name = width > MARK_COLUMNS && width - MARK_COLUMNS < *name ? width - MARK_COLUMNS : *name;
}

void table_choose(struct table_columns *c, const struct canvas *canvas, const struct top *t, unsigned int width, bool trends)
{
	const enum column *all = level_columns(t->level);
	unsigned int longest = longest_name(canvas, t);

	c->nr = 0;
	for (size_t i = 0; all[i] != COLUMNS_END; i++) {
		if (all[i] != COLUMN_TREND || trends)
			c->columns[c->nr++] = (struct table_column){ all[i], forms[all[i]].width };
	}
	c->columns[0].width = longest < NAME_COLUMNS ? longest : NAME_COLUMNS;
	while (c->nr > 2 && total_width(c) > width)
		leave_one_out(c);
	squeeze_name(c, width);
	widen(c, COLUMN_NAME, longest, width);
	widen(c, COLUMN_TOP, 2 * forms[COLUMN_TOP].width, width);
	widen(c, COLUMN_TREND, MAX_TREND, width);
}

/* --- Painting --- */

static void put_cell(struct canvas *c, unsigned int y, unsigned int x, const struct table_column *column, enum style style,
		     const char *text)
{
	if (forms[column->column].left)
		canvas_put(c, y, x, column->width, style, text);
	else
		canvas_put_right(c, y, x, column->width, style, text);
}

/* The head of the column that the list is sorted by says which way. */
static void put_head(struct canvas *c, unsigned int y, unsigned int x, const struct top *t, const struct table_column *column)
{
	const struct top_view *v = top_current_view(t);
	bool up = forms[column->column].ascending != v->reverse, sorted = column->column == v->sort;
	char title[24], text[32];

	title_text(t, column->column, title, sizeof(title));
	snprintf(text, sizeof(text), "%s%s", title, !sorted ? "" : c->unicode ? up ? "▲" : "▼" : up ? "^" : "v");
	put_cell(c, y, x, column, sorted ? STYLE_SORTED : STYLE_HEAD, text);
}

void table_paint_head(struct canvas *c, unsigned int y, const struct top *t, const struct table_columns *columns)
{
	unsigned int x = MARK_COLUMNS;

	canvas_fill(c, y, 0, c->columns, STYLE_HEAD, L' ', ' ');
	for (size_t i = 0; i < columns->nr; i++) {
		put_head(c, y, x, t, &columns->columns[i]);
		x += columns->columns[i].width + 1;
	}
}

static void put_trend(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, const struct top *t,
		      const struct item *item)
{
	float rates[TREND_TICKS];
	unsigned int nr = top_data_trend(&t->data, &item->part, rates);

	trend_paint(c, y, x, width, STYLE_TREND, rates, nr, t->data.samples);
}

/* The trend keeps its colours: bars in reverse look like something else. */
static unsigned int width_without_trend(const struct canvas *c, const struct table_columns *columns)
{
	const struct table_column *last = &columns->columns[columns->nr - 1];

	return last->column == COLUMN_TREND ? total_width(columns) - last->width - 1 : c->columns;
}

void table_paint_row(struct canvas *c, unsigned int y, const struct top *t, const struct table_columns *columns, size_t index,
		     bool selected)
{
	const struct item *item = &t->items.items[index];
	unsigned int x = MARK_COLUMNS;
	char text[80];

	for (size_t i = 0; i < columns->nr; i++) {
		const struct table_column *column = &columns->columns[i];

		if (column->column == COLUMN_TREND)
			put_trend(c, y, x, column->width, t, item);
		else
			put_cell(c, y, x, column, STYLE_PLAIN, column_text(item, column->column, text, sizeof(text)));
		x += column->width + 1;
	}
	if (item->ended)
		canvas_restyle(c, y, 0, c->columns, STYLE_ENDED);
	if (selected) {
		canvas_fill(c, y, 0, MARK_COLUMNS, STYLE_PLAIN, L'>', '>');
		canvas_restyle(c, y, 0, width_without_trend(c, columns), STYLE_SELECTED);
	}
}
