/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which line of the screen is whose, at any size; and what is seen of a list that is longer than its place.
 */
#ifndef EXEUNT_TOOL_TOP_LAYOUT_H
#define EXEUNT_TOOL_TOP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/* A strip of the screen; without lines it is not shown. */
struct strip {
	unsigned int y, lines;
};

/* From top to bottom. There is always a line of the list, if there is any line. */
struct layout {
	struct strip title, summary, head, list, pane, keys;
};

void layout_make(struct layout *l, unsigned int lines, unsigned int columns);

/*
 * The first of @nr rows that is shown on @page lines, so that row @index is; as near to @offset, which it was before, as can be, and
 * without empty lines below the last row if there are enough.
 */
size_t scroll(size_t offset, size_t index, size_t nr, size_t page);

#endif
