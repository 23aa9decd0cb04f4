/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Paints what `exeunt top` shows, at any size.
 */
#ifndef EXEUNT_TOOL_TOP_PAINT_H
#define EXEUNT_TOOL_TOP_PAINT_H

#include "top_canvas.h"
#include "top_state.h"

/* Fills @c, which is blank and as large as the screen. *@cursor_x: where a text is being typed on the last line, -1 if none is. */
void top_paint(const struct top *t, struct canvas *c, int *cursor_x);
/* Prints the list of the level, all of it, with its heads; @columns: of the terminal, 0 if it is none. Without trends. */
void top_print_list(const struct top *t, unsigned int columns, bool unicode, FILE *f);
/* "all virtual machines: ..." or "web: ...": what the summary line says. */
void top_summary(const struct top *t, char *buf, size_t size);

#endif
