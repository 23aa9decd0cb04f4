// SPDX-License-Identifier: GPL-2.0
/*
 * See top_help.h. Owns the text.
 */
#include <string.h>
#include "top_help.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))
#define KEYS_COLUMNS	17	/* of the left column, with the gap */
#define NARROW		44	/* below, what a key does stands under it */

static const struct paragraph {
	const char *keys, *text;	/* no keys: a heading, or an empty line */
} paragraphs[] = {
	{ NULL, "Moving" },
	{ "Up Down k j", "to the row above or below" },
	{ "PgUp PgDn", "by a screen" },
	{ "Home End g G", "to the first or last row" },
	{ "Enter Right l", "into the row: VM, its vCPUs, their exit reasons, a reason's MSRs, ports or pages" },
	{ "Esc Left h Bksp", "up again" },
	{ NULL, "" },
	{ NULL, "What is shown" },
	{ "s F6", "choose the column to sort by" },
	{ "< >", "sort by the column to the left or right" },
	{ "r", "reverse the order" },
	{ "/", "only rows with this text in their name; Enter keeps it, Esc clears it" },
	{ "c", "figures since the start, or of the last interval" },
	{ "p", "pause, go on" },
	{ "+ -", "longer or shorter intervals" },
	{ "Ctrl-L", "draw the screen again" },
	{ "? F1", "this text" },
	{ "q", "quit" },
	{ NULL, "" },
	{ NULL, "Columns" },
	{ "EXITS/S", "exits per second" },
	{ "EXITS", "number of exits" },
	{ "EXITS%", "share of the exits of all rows" },
	{ "TIME%", "share of the time that the exits of all rows took" },
	{ "OUT%", "time outside the guest, sleep in HLT included, as a share of all time" },
	{ "HALT%", "time asleep in HLT as a share of all time" },
	{ "AVG P50 P99 MAX", "time from exit to entry; MAX in an interval is known to an eighth" },
	{ "USER%", "share of the exits that the VMM dealt with" },
	{ "TOP REASON", "the most frequent reason, and its share" },
	{ "TREND", "exits per second in the time that the title says; each row has a scale of its own" },
};

/* Where a text goes: onto a canvas, or nowhere, just to be counted. */
struct flow {
	struct canvas *canvas;		/* NULL: nowhere */
	unsigned int y, lines, offset;
	unsigned int line;		/* that comes next */
};

/* @len bytes of ASCII at the current line. */
static void put(struct flow *f, unsigned int x, enum style style, const char *text, size_t len)
{
	char line[160];

	if (!f->canvas || f->line < f->offset || f->line - f->offset >= f->lines)
		return;
	if (len >= sizeof(line))
		len = sizeof(line) - 1;
	memcpy(line, text, len);
	line[len] = '\0';
	canvas_put(f->canvas, f->y + f->line - f->offset, x, f->canvas->columns > x ? f->canvas->columns - x : 0, style, line);
}

/* How much of @text, from a word's beginning, goes into @width columns: whole words, unless one is too long. */
static size_t fitting(const char *text, size_t width)
{
	size_t len = strlen(text), end = width;

	if (len <= width)
		return len;
	while (end && text[end] != ' ')
		end--;
	return end ? end : width;
}

static void wrap(struct flow *f, unsigned int x, unsigned int columns, const char *text)
{
	size_t width = columns > x ? columns - x : 1;

	do {
		size_t len = fitting(text, width);

		put(f, x, STYLE_PLAIN, text, len);
		f->line++;
		text += len;
		text += strspn(text, " ");
	} while (*text);
}

static void flow_text(struct flow *f, unsigned int columns)
{
	bool narrow = columns < NARROW;

	for (size_t i = 0; i < LENGTH(paragraphs); i++) {
		const struct paragraph *p = &paragraphs[i];

		put(f, 0, p->keys ? STYLE_KEY : STYLE_HEAD, p->keys ? p->keys : p->text, strlen(p->keys ? p->keys : p->text));
		if (narrow || !p->keys)
			f->line++;
		if (p->keys)
			wrap(f, narrow ? 2 : KEYS_COLUMNS, columns, p->text);
	}
}

unsigned int help_lines(unsigned int columns)
{
	struct flow f = { 0 };

	flow_text(&f, columns);
	return f.line;
}

void help_paint(struct canvas *c, unsigned int y, unsigned int lines, unsigned int offset)
{
	struct flow f = { .canvas = c, .y = y, .lines = lines, .offset = offset };

	flow_text(&f, c->columns);
}
