/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The terminal of `exeunt top`, by ncurses. While it is open, what is said on standard error is held back, and printed when it has been
 * closed, also by exit().
 */
#ifndef EXEUNT_TOOL_TOP_SCREEN_H
#define EXEUNT_TOOL_TOP_SCREEN_H

#include "top_canvas.h"

/* Standard input and output are a terminal. False, with a line on standard error, if it cannot be used. Call setlocale() before. */
bool screen_open(void);
void screen_close(void);	/* once is enough, twice does no harm */

/* Does the locale's encoding have all characters? */
bool screen_unicode(void);
void screen_size(unsigned int *lines, unsigned int *columns);
/* Asks the terminal how large it is now; for SIGWINCH. */
void screen_resize(void);
/* @c is as large as the screen. The cursor is on the last line at @cursor_x, invisible if that is negative. */
void screen_show(const struct canvas *c, int cursor_x);
/* Draws everything anew next time, in case something else has written to the terminal. */
void screen_refresh(void);
/* A key that has been pressed, as top_key() wants it. False if there is none. */
bool screen_key(unsigned int *key);

#endif
