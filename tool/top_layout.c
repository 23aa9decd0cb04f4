// SPDX-License-Identifier: GPL-2.0
/*
 * See top_layout.h.
 */
#include "top_layout.h"

#define SUMMARY_FROM	9	/* lines that a screen has where there is one */
#define PANE_FROM	16
#define PANE_COLUMNS	24
#define PANE_MIN	8
#define PANE_MAX	15

static unsigned int pane_lines(unsigned int lines, unsigned int columns)
{
	unsigned int wanted = lines * 2 / 5;

	if (lines < PANE_FROM || columns < PANE_COLUMNS)
		return 0;
	return wanted < PANE_MIN ? PANE_MIN : wanted > PANE_MAX ? PANE_MAX : wanted;
}

static struct strip take(unsigned int *y, unsigned int lines)
{
	struct strip s = { *y, lines };

	*y += lines;
	return s;
}

void layout_make(struct layout *l, unsigned int lines, unsigned int columns)
{
	unsigned int y = 0, keys = lines >= 4, pane = pane_lines(lines, columns);

	l->title = take(&y, lines >= 2);
	l->summary = take(&y, lines >= SUMMARY_FROM);
	l->head = take(&y, lines >= 3);
	l->list = take(&y, lines - y - keys - pane);
	l->pane = take(&y, pane);
	l->keys = take(&y, keys);
}

size_t scroll(size_t offset, size_t index, size_t nr, size_t page)
{
	size_t last = nr > page ? nr - page : 0;

	if (index < offset)
		offset = index;
	if (page && index >= offset + page)
		offset = index - page + 1;
	return offset < last ? offset : last;
}
