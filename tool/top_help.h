/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The help screen of `exeunt top`.
 */
#ifndef EXEUNT_TOOL_TOP_HELP_H
#define EXEUNT_TOOL_TOP_HELP_H

#include "top_canvas.h"

/* Lines that the text takes on a screen of so many columns. */
unsigned int help_lines(unsigned int columns);
/* Paints the text from its line @offset on into the lines [@y, @y + @lines) of @c. */
void help_paint(struct canvas *c, unsigned int y, unsigned int lines, unsigned int offset);

#endif
