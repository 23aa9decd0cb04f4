// SPDX-License-Identifier: GPL-2.0
/*
 * See top_screen.h.
 */
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "top_screen.h"
#include "top_state.h"
#include "util.h"

#define ESCAPE_MS	25	/* how long a sequence of Escape and more may take to arrive */

static struct {
	bool open;
	SCREEN *screen;
	int real_stderr;	/* -1: standard error is not held back */
	attr_t attributes[STYLES];
	short pairs[STYLES];
} terminal = { .real_stderr = -1 };

/* --- Standard error, which would end up in the middle of the picture --- */

static void hold_stderr_back(void)
{
	int file;

	if (!isatty(STDERR_FILENO))
		return;
	file = memfd_create("stderr", MFD_CLOEXEC);
	terminal.real_stderr = file < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (terminal.real_stderr >= 0)
		dup2(file, STDERR_FILENO);
	if (file >= 0)
		close(file);
}

static void print_held_stderr(void)
{
	char buf[4096];
	ssize_t len;
	int file;

	if (terminal.real_stderr < 0)
		return;
	file = dup(STDERR_FILENO);
	dup2(terminal.real_stderr, STDERR_FILENO);
	close(terminal.real_stderr);
	terminal.real_stderr = -1;
	if (file < 0)
		return;
	lseek(file, 0, SEEK_SET);
	while ((len = read(file, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, len, stderr);
	close(file);
}

/* --- Opening and closing --- */

static const struct look {
	attr_t plain;		/* without colours */
	attr_t coloured;
	short foreground, background;	/* -1: the terminal's own */
} looks[STYLES] = {
	[STYLE_PLAIN] = { A_NORMAL, A_NORMAL, -1, -1 },
	[STYLE_TITLE] = { A_REVERSE, A_BOLD, COLOR_WHITE, COLOR_BLUE },
	[STYLE_HEAD] = { A_BOLD, A_BOLD, COLOR_CYAN, -1 },
	[STYLE_SORTED] = { A_BOLD | A_UNDERLINE, A_BOLD | A_UNDERLINE, COLOR_CYAN, -1 },
	[STYLE_SELECTED] = { A_REVERSE, A_REVERSE, -1, -1 },
	[STYLE_ENDED] = { A_DIM, A_DIM, -1, -1 },
	[STYLE_FAINT] = { A_DIM, A_DIM, -1, -1 },
	[STYLE_KEY] = { A_BOLD, A_BOLD, COLOR_CYAN, -1 },
	[STYLE_MESSAGE] = { A_BOLD, A_BOLD, COLOR_YELLOW, -1 },
	[STYLE_TREND] = { A_NORMAL, A_NORMAL, COLOR_GREEN, -1 },
	[STYLE_FAST] = { A_NORMAL, A_NORMAL, COLOR_GREEN, -1 },
	[STYLE_SLOW] = { A_NORMAL, A_NORMAL, COLOR_YELLOW, -1 },
	[STYLE_SLOWEST] = { A_NORMAL, A_NORMAL, COLOR_RED, -1 },
};

static void choose_looks(void)
{
	bool colours = colour_on(stdout) && has_colors() && start_color() == OK && use_default_colors() == OK;

	for (short i = 0; i < STYLES; i++) {
		terminal.attributes[i] = colours ? looks[i].coloured : looks[i].plain;
		terminal.pairs[i] = colours && init_pair(i + 1, looks[i].foreground, looks[i].background) == OK ? i + 1 : 0;
	}
}

/* Can one write anywhere on it? */
static bool can_move_cursor(void)
{
	const char *sequence = tigetstr("cup");

	return sequence && sequence != (const char *)-1;
}

/* The terminal, ready for ncurses; NULL, with a line on standard error, if it is of no use. */
static SCREEN *open_terminal(void)
{
	const char *type = getenv("TERM");
	SCREEN *screen = newterm(NULL, stdout, stdin);

	if (screen && can_move_cursor())
		return screen;
	if (screen) {
		endwin();
		delscreen(screen);
	}
	complain("a terminal of type '%s' is of no use here; -b prints plain text", type ? type : "");
	return NULL;
}

bool screen_open(void)
{
	terminal.screen = open_terminal();
	if (!terminal.screen)
		return false;
	terminal.open = true;
	atexit(screen_close);
	hold_stderr_back();
	cbreak();
	noecho();
	nonl();
	set_escdelay(ESCAPE_MS);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	choose_looks();
	screen_resize();
	return true;
}

void screen_close(void)
{
	if (!terminal.open)
		return;
	terminal.open = false;
	endwin();
	delscreen(terminal.screen);
	print_held_stderr();
}

/* --- Size --- */

bool screen_unicode(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void screen_size(unsigned int *lines, unsigned int *columns)
{
	*lines = LINES;
	*columns = COLS;
}

void screen_resize(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

/* --- Output --- */

static void show_cell(int y, int x, const struct cell *cell)
{
	wchar_t text[2] = { cell->c, L'\0' };
	cchar_t c;

	setcchar(&c, text, terminal.attributes[cell->style], terminal.pairs[cell->style], NULL);
	mvadd_wch(y, x, &c);
}

void screen_show(const struct canvas *c, int cursor_x)
{
	erase();
	for (unsigned int y = 0; y < c->lines; y++) {
		for (unsigned int x = 0; x < c->columns; x++) {
			const struct cell *cell = canvas_cell(c, y, x);

			if (cell->c)
				show_cell(y, x, cell);
		}
	}
	curs_set(cursor_x >= 0);
	move(c->lines - 1, cursor_x >= 0 ? cursor_x : 0);
	refresh();
}

void screen_refresh(void)
{
	clearok(stdscr, TRUE);
}

/* --- Keys --- */

static unsigned int special_key(wint_t code)
{
	switch (code) {
	case KEY_UP: return TOP_KEY_UP;
	case KEY_DOWN: return TOP_KEY_DOWN;
	case KEY_LEFT: return TOP_KEY_LEFT;
	case KEY_RIGHT: return TOP_KEY_RIGHT;
	case KEY_PPAGE: return TOP_KEY_PAGE_UP;
	case KEY_NPAGE: return TOP_KEY_PAGE_DOWN;
	case KEY_HOME: return TOP_KEY_HOME;
	case KEY_END: return TOP_KEY_END;
	case KEY_ENTER: return TOP_KEY_ENTER;
	case KEY_BACKSPACE: return TOP_KEY_BACKSPACE;
	case KEY_F(1): return TOP_KEY_F1;
	case KEY_F(6): return TOP_KEY_F6;
	}
	return TOP_KEY_OTHER;
}

static unsigned int character_key(wint_t code)
{
	switch (code) {
	case '\r':
	case '\n': return TOP_KEY_ENTER;
	case '\b':
	case 0x7f: return TOP_KEY_BACKSPACE;
	case 0x1b: return TOP_KEY_ESCAPE;
	}
	return code;
}

bool screen_key(unsigned int *key)
{
	wint_t code;
	int result;

	do {
		result = get_wch(&code);
	} while (result == KEY_CODE_YES && code == KEY_RESIZE);
	if (result == ERR)
		return false;
	*key = result == KEY_CODE_YES ? special_key(code) : character_key(code);
	return true;
}
