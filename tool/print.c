// SPDX-License-Identifier: GPL-2.0
/*
 * See print.h. Owns the layout of tables, whatever they say; print_sample.c fills them.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "print.h"
#include "util.h"

void grid_init(struct grid *g, const struct column *columns, size_t nr_columns)
{
	*g = (struct grid){ .columns = columns, .nr_columns = nr_columns };
}

void grid_free(struct grid *g)
{
	for (size_t i = 0; i < g->nr_cells; i++)
		free(g->cells[i]);
	free(g->cells);
}

static char *format_list(const char *fmt, va_list args)
{
	char *text;

	if (vasprintf(&text, fmt, args) < 0)
		die(STATUS_FAILED, "out of memory");
	return text;
}

void grid_cell(struct grid *g, const char *fmt, ...)
{
	va_list args;

	if (g->nr_cells == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->cells = xreallocarray(g->cells, g->room, sizeof(*g->cells));
	}
	va_start(args, fmt);
	g->cells[g->nr_cells++] = format_list(fmt, args);
	va_end(args);
}

/* --- Which columns, and how wide: 0 is left out --- */

static size_t longest_text(const struct grid *g, size_t column)
{
	size_t longest = strlen(g->columns[column].title);

	for (size_t i = column; i < g->nr_cells; i += g->nr_columns) {
		size_t len = strlen(g->cells[i]);

		if (len > longest)
			longest = len;
	}
	return longest;
}

/* Of a line: columns are a space apart. */
static size_t total_width(const struct grid *g, const size_t *widths)
{
	size_t total = 0;

	for (size_t i = 0; i < g->nr_columns; i++)
		total += widths[i] ? widths[i] + 1 : 0;
	return total ? total - 1 : 0;
}

/* Leaves out the column of lowest rank. False if all that are left must stay. */
static bool leave_one_out(const struct grid *g, size_t *widths)
{
	size_t least = g->nr_columns;

	for (size_t i = 0; i < g->nr_columns; i++) {
		if (!widths[i] || !g->columns[i].rank)
			continue;
		if (least == g->nr_columns || g->columns[i].rank < g->columns[least].rank)
			least = i;
	}
	if (least == g->nr_columns)
		return false;
	widths[least] = 0;
	return true;
}

/* Makes the flexible column narrower until a line fits in @columns, but leaves its texts whole unless @cut. */
static void squeeze(const struct grid *g, size_t *widths, size_t columns, bool cut)
{
	for (size_t i = 0; i < g->nr_columns; i++) {
		size_t total = total_width(g, widths), least = cut ? 1 : longest_text(g, i), excess;

		if (!g->columns[i].flexible || total <= columns)
			continue;
		excess = total - columns;
		widths[i] = widths[i] > least + excess ? widths[i] - excess : least;
	}
}

static size_t *choose_widths(const struct grid *g, size_t columns)
{
	size_t *widths = xcalloc(g->nr_columns, sizeof(*widths));

	for (size_t i = 0; i < g->nr_columns; i++) {
		widths[i] = longest_text(g, i);
		if (widths[i] < g->columns[i].width)
			widths[i] = g->columns[i].width;
	}
	if (!columns)
		return widths;
	squeeze(g, widths, columns, false);
	while (total_width(g, widths) > columns && leave_one_out(g, widths))
		;
	squeeze(g, widths, columns, true);
	return widths;
}

/* --- Lines --- */

/* Prints @text and ends the line; without trailing spaces, and cut to @columns, at a character's beginning. */
static void put_line(FILE *f, unsigned int columns, const char *text)
{
	size_t len = strlen(text);

	if (columns && len > columns) {
		len = columns;
		while (len && (text[len] & 0xc0) == 0x80)
			len--;
	}
	while (len && text[len - 1] == ' ')
		len--;
	fprintf(f, "%.*s\n", (int)len, text);
}

void print_line(FILE *f, unsigned int columns, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = format_list(fmt, args);
	va_end(args);
	put_line(f, columns, text);
	free(text);
}

static void put_cell(FILE *line, const char *text, size_t width)
{
	if (strlen(text) > width)
		fprintf(line, "%.*s~", (int)width - 1, text);
	else
		fprintf(line, "%*s", (int)width, text);
}

/* Row number @row; SIZE_MAX: the titles. */
static void put_row(const struct grid *g, const size_t *widths, size_t row, FILE *f, unsigned int columns)
{
	char *text = NULL;
	size_t len;
	FILE *line = open_memstream(&text, &len);

	if (!line)
		die(STATUS_FAILED, "out of memory");
	for (size_t i = 0, before = 0; i < g->nr_columns; i++) {
		if (!widths[i])
			continue;
		if (before++)
			fputc(' ', line);
		put_cell(line, row == SIZE_MAX ? g->columns[i].title : g->cells[row * g->nr_columns + i], widths[i]);
	}
	fclose(line);
	put_line(f, columns, text);
	free(text);
}

void grid_print(const struct grid *g, FILE *f, unsigned int columns)
{
	size_t *widths = choose_widths(g, columns);

	put_row(g, widths, SIZE_MAX, f, columns);
	fputc('\n', f);
	for (size_t i = 0; i < g->nr_cells / g->nr_columns; i++)
		put_row(g, widths, i, f, columns);
	free(widths);
}
