/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A picture made of characters: what `exeunt top` wants on the screen, before a terminal comes into it. Whatever is put outside the
 * picture is cut off, so that nobody who paints has to care for the size.
 */
#ifndef EXEUNT_TOOL_TOP_CANVAS_H
#define EXEUNT_TOOL_TOP_CANVAS_H

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

/* What a character is part of. How that looks is the terminal's business. */
enum style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_HEAD,		/* of a column */
	STYLE_SORTED,		/* the head of the column that decides the order */
	STYLE_SELECTED,
	STYLE_ENDED,		/* a row of a VM that has ended */
	STYLE_FAINT,		/* lines, axes */
	STYLE_KEY,
	STYLE_MESSAGE,
	STYLE_TREND,
	STYLE_FAST, STYLE_SLOW, STYLE_SLOWEST,	/* bars of a distribution: up to p90, to p99, above */
	STYLES
};

struct cell {
	wchar_t c;		/* L'\0': the right half of the wide character to its left */
	unsigned char style;
};

struct canvas {
	unsigned int lines, columns;
	bool unicode;		/* else plain ASCII is all that the terminal can show */
	struct cell *cells;
};

void canvas_init(struct canvas *c, unsigned int lines, unsigned int columns, bool unicode);	/* blank */
void canvas_free(struct canvas *c);
const struct cell *canvas_cell(const struct canvas *c, unsigned int y, unsigned int x);

/*
 * Puts @text, which is UTF-8, at (@y, @x), on @width columns at most; what does not fit, there or on the picture, is cut, with a mark.
 * Control characters and what the terminal cannot show become '?'; characters without a width are left out. Returns the columns that
 * it took.
 */
unsigned int canvas_put(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const char *text);
/* The same, flush right in the @width columns. */
void canvas_put_right(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const char *text);
/* Columns that canvas_put() would take without a limit. */
unsigned int canvas_text_width(const struct canvas *c, const char *text);
/* @width times the character @wide, or @ascii where there is no Unicode. */
void canvas_fill(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, wchar_t wide, char ascii);
/* Gives what is there another style. */
void canvas_restyle(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style);

/* Prints it as lines without trailing spaces. */
void canvas_print(const struct canvas *c, FILE *f);

#endif
