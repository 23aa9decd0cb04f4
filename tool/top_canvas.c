// SPDX-License-Identifier: GPL-2.0
/*
 * See top_canvas.h.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>
#include "top_canvas.h"
#include "util.h"

void canvas_init(struct canvas *c, unsigned int lines, unsigned int columns, bool unicode)
{
	size_t nr = (size_t)lines * columns;

	*c = (struct canvas){ .lines = lines, .columns = columns, .unicode = unicode, .cells = xcalloc(nr, sizeof(*c->cells)) };
	for (size_t i = 0; i < nr; i++)
		c->cells[i].c = L' ';
}

void canvas_free(struct canvas *c)
{
	free(c->cells);
	memset(c, 0, sizeof(*c));
}

static struct cell *cell_at(const struct canvas *c, unsigned int y, unsigned int x)
{
	return y < c->lines && x < c->columns ? &c->cells[(size_t)y * c->columns + x] : NULL;
}

const struct cell *canvas_cell(const struct canvas *c, unsigned int y, unsigned int x)
{
	return cell_at(c, y, x);
}

/* Half a wide character cannot stay: its other half becomes a space. */
static void blank_other_half(struct canvas *c, unsigned int y, unsigned int x)
{
	struct cell *cell = cell_at(c, y, x), *left = x ? cell_at(c, y, x - 1) : NULL, *right = cell_at(c, y, x + 1);

	if (!cell->c && left)
		left->c = L' ';
	if (cell->c && right && !right->c)
		right->c = L' ';
}

static void set_cell(struct canvas *c, unsigned int y, unsigned int x, wchar_t character, enum style style)
{
	struct cell *cell = cell_at(c, y, x);

	if (!cell)
		return;
	if (character)
		blank_other_half(c, y, x);
	*cell = (struct cell){ character, style };
}

/* A character of @width columns; a wide one that the edge would cut is a space instead. */
static void put_character(struct canvas *c, unsigned int y, unsigned int x, enum style style, wchar_t character, unsigned int width)
{
	if (width == 2 && x + 1 >= c->columns) {
		set_cell(c, y, x, L' ', style);
		return;
	}
	if (width == 2)
		set_cell(c, y, x + 1, L' ', style);
	set_cell(c, y, x, character, style);
	if (width == 2)
		set_cell(c, y, x + 1, L'\0', style);
}

/* Bytes after the first of a UTF-8 sequence that begins with @lead; -1: none does. */
static int bytes_to_follow(unsigned char lead)
{
	if (lead < 0x80)
		return 0;
	if (lead < 0xc0 || lead >= 0xf8)
		return -1;
	return lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
}

/* Takes a character off *@text; L'\0' at the end, WEOF where there is none: not UTF-8. */
static wint_t decode(const char **text)
{
	const unsigned char *s = (const unsigned char *)*text;
	int more = bytes_to_follow(*s);
	wint_t code = more > 0 ? *s & (0x3f >> more) : *s;

	if (!*s)
		return L'\0';
	++*text;
	for (int i = 1; i <= more; i++, ++*text) {
		if ((s[i] & 0xc0) != 0x80)
			return WEOF;
		code = code << 6 | (s[i] & 0x3f);
	}
	return more < 0 ? WEOF : code;
}

/* Takes a character off *@text, as it can be shown, with its width. False at the end. */
static bool next_character(const struct canvas *c, const char **text, wchar_t *character, unsigned int *width)
{
	wint_t code = decode(text);
	int columns = -1;

	if (!code)
		return false;
	if (code != WEOF && (c->unicode || code < 0x80))
		columns = wcwidth(code);
	*character = columns < 0 ? L'?' : (wchar_t)code;
	*width = columns < 0 ? 1 : columns;
	return true;
}

unsigned int canvas_text_width(const struct canvas *c, const char *text)
{
	unsigned int total = 0, width;
	wchar_t character;

	while (next_character(c, &text, &character, &width))
		total += width;
	return total;
}

unsigned int canvas_put(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const char *text)
{
	unsigned int edge = x < c->columns ? c->columns - x : 0, room = width < edge ? width : edge, used = 0, columns;
	bool cut = canvas_text_width(c, text) > room, mark = cut && room;
	wchar_t character;

	room -= mark;
	while (next_character(c, &text, &character, &columns)) {
		if (columns > room - used)
			break;
		if (columns)
			put_character(c, y, x + used, style, character, columns);
		used += columns;
	}
	if (mark)
		put_character(c, y, x + used++, style, c->unicode ? L'…' : L'~', 1);
	return used;
}

void canvas_put_right(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const char *text)
{
	unsigned int taken = canvas_text_width(c, text);

	canvas_put(c, y, x + (taken < width ? width - taken : 0), width, style, text);
}

void canvas_fill(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, wchar_t wide, char ascii)
{
	for (unsigned int i = 0; i < width && x + i < c->columns; i++)
		set_cell(c, y, x + i, c->unicode ? wide : (wchar_t)ascii, style);
}

void canvas_restyle(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style)
{
	for (unsigned int i = 0; i < width && cell_at(c, y, x + i); i++)
		cell_at(c, y, x + i)->style = style;
}

static void print_line(const struct canvas *c, unsigned int y, FILE *f)
{
	unsigned int end = c->columns;
	char bytes[MB_LEN_MAX];
	mbstate_t state = { 0 };

	while (end && cell_at(c, y, end - 1)->c == L' ')
		end--;
	for (unsigned int x = 0; x < end; x++) {
		size_t len = wcrtomb(bytes, cell_at(c, y, x)->c, &state);

		if (cell_at(c, y, x)->c && len != (size_t)-1)
			fwrite(bytes, 1, len, f);
	}
	fputc('\n', f);
}

void canvas_print(const struct canvas *c, FILE *f)
{
	for (unsigned int y = 0; y < c->lines; y++)
		print_line(c, y, f);
}
