/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the user of `exeunt top` is and what he has chosen: a state machine of keys and samples that knows nothing of terminals.
 */
#ifndef EXEUNT_TOOL_TOP_STATE_H
#define EXEUNT_TOOL_TOP_STATE_H

#include "top_items.h"

/* Keys that are no characters; characters are themselves. */
enum top_key {
	TOP_KEY_UP = 0x110000, TOP_KEY_DOWN, TOP_KEY_LEFT, TOP_KEY_RIGHT, TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN, TOP_KEY_HOME, TOP_KEY_END,
	TOP_KEY_ENTER, TOP_KEY_BACKSPACE, TOP_KEY_ESCAPE, TOP_KEY_F1, TOP_KEY_F6, TOP_KEY_OTHER
};

enum top_mode { TOP_BROWSE, TOP_FILTER, TOP_SORT, TOP_HELP };

#define TOP_MAX_LIST_COLUMNS	14
#define TOP_FILTER_SIZE		128	/* bytes of UTF-8 with its NUL */

#define TOP_MIN_DELAY		0.05	/* seconds between samples */
#define TOP_MAX_DELAY		3600

/* What is kept for each level while one is elsewhere. */
struct top_view {
	enum column sort;
	bool reverse;
	char filter[TOP_FILTER_SIZE];
	bool chosen;			/* @selected means something */
	struct part selected;
	size_t index;			/* where that was last */
	size_t offset;			/* first row on the screen */
};

struct top {
	struct top_data data;
	enum level level;
	struct part scopes[LEVELS];	/* of each level up to this one; [LEVEL_VMS] is unused */
	char scope_names[LEVELS][72];
	struct top_view views[LEVELS];
	struct items items;		/* of the level, filtered and sorted */

	enum top_mode mode;
	size_t sort_index;		/* in TOP_SORT */
	size_t help_offset;
	bool cumulative, paused;
	double delay;			/* seconds */
	unsigned int lines, columns;	/* of the screen */
	size_t page;			/* rows that it shows */
	char message[128];		/* shown until the next key */
	bool touched;			/* a key has been pressed */
	bool quit;
};

void top_init(struct top *t, double delay);
void top_free(struct top *t);
void top_resize(struct top *t, unsigned int lines, unsigned int columns);
/* Takes @s over. */
void top_sample(struct top *t, struct sample *s);
/* Forgets what has ended some time before @now_ns. */
void top_expire(struct top *t, uint64_t now_ns);
void top_key(struct top *t, unsigned int key);

/* The view of the level, and its selected row, NULL if the list is empty. */
const struct top_view *top_current_view(const struct top *t);
const struct item *top_selected(const struct top *t);
/* Goes there at once, as one enters a level from above; @name is the scope's. For who prints lists without a user. */
void top_go(struct top *t, enum level level, const struct part *scope, const char *name);

/* The columns of a level's list, from left to right; ends with COLUMNS_END. */
const enum column *level_columns(enum level level);
/* Those that one can sort by. */
size_t level_sort_columns(enum level level, enum column columns[TOP_MAX_LIST_COLUMNS]);

#endif
