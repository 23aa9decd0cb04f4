// SPDX-License-Identifier: GPL-2.0
/*
 * See top_state.h.
 */
#include <stdio.h>
#include <string.h>
#include "top_help.h"
#include "top_layout.h"
#include "top_state.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))
#define CTRL(c)		((c) & 0x1f)

/* --- Columns --- */

const enum column *level_columns(enum level level)
{
	static const enum column columns[LEVELS][TOP_MAX_LIST_COLUMNS + 1] = {
		[LEVEL_VMS] = {
			COLUMN_NAME, COLUMN_PID, COLUMN_ENGINE, COLUMN_VCPUS, COLUMN_RATE, COLUMN_OUTSIDE, COLUMN_HALTED, COLUMN_TOP,
			COLUMN_AVERAGE, COLUMN_P99, COLUMN_TREND, COLUMNS_END
		},
		[LEVEL_VCPUS] = {
			COLUMN_NAME, COLUMN_TID, COLUMN_RATE, COLUMN_OUTSIDE, COLUMN_HALTED, COLUMN_TOP, COLUMN_AVERAGE, COLUMN_P50,
			COLUMN_P99, COLUMN_MAX, COLUMN_TREND, COLUMNS_END
		},
		[LEVEL_REASONS] = {
			COLUMN_NAME, COLUMN_RATE, COLUMN_COUNT, COLUMN_SHARE, COLUMN_TIME, COLUMN_AVERAGE, COLUMN_P50, COLUMN_P99,
			COLUMN_MAX, COLUMN_USER, COLUMN_TREND, COLUMNS_END
		},
		[LEVEL_DETAILS] = {
			COLUMN_NAME, COLUMN_RATE, COLUMN_COUNT, COLUMN_SHARE, COLUMN_TIME, COLUMN_AVERAGE, COLUMN_P50, COLUMN_P99,
			COLUMN_MAX, COLUMN_USER, COLUMN_TREND, COLUMNS_END
		},
	};

	return columns[level];
}

size_t level_sort_columns(enum level level, enum column columns[TOP_MAX_LIST_COLUMNS])
{
	const enum column *all = level_columns(level);
	size_t nr = 0;

	for (size_t i = 0; all[i] != COLUMNS_END; i++) {
		if (all[i] != COLUMN_TREND)
			columns[nr++] = all[i];
	}
	return nr;
}

/* --- The list and what is selected in it --- */

static struct top_view *view_of(struct top *t)
{
	return &t->views[t->level];
}

const struct top_view *top_current_view(const struct top *t)
{
	return &t->views[t->level];
}

const struct item *top_selected(const struct top *t)
{
	return t->items.nr ? &t->items.items[top_current_view(t)->index] : NULL;
}

static void select_index(struct top *t, size_t index)
{
	struct top_view *v = view_of(t);

	if (!t->items.nr)
		return;
	v->index = index < t->items.nr ? index : t->items.nr - 1;
	v->selected = t->items.items[v->index].part;
	v->chosen = true;
	v->offset = scroll(v->offset, v->index, t->items.nr, t->page);
}

/* Whoever was selected stays it, wherever he is now; if he is gone, whoever took his place. */
static void select_again(struct top *t)
{
	struct top_view *v = view_of(t);
	size_t index = v->chosen ? items_find(&t->items, &v->selected) : 0;

	select_index(t, index < t->items.nr ? index : v->index);
}

static void leave_ended_vm(struct top *t)
{
	if (t->level == LEVEL_VMS || part_vm(&t->data.now, &t->scopes[t->level]))
		return;
	snprintf(t->message, sizeof(t->message), "%s has ended", t->scope_names[LEVEL_VCPUS]);
	t->level = LEVEL_VMS;
	if (t->mode == TOP_FILTER || t->mode == TOP_SORT)
		t->mode = TOP_BROWSE;
}

static void arrange(struct top *t)
{
	const struct top_view *v;

	leave_ended_vm(t);
	v = top_current_view(t);
	items_free(&t->items);
	items_make(&t->items, &t->data, t->level, &t->scopes[t->level], t->cumulative);
	if (*v->filter)
		items_filter(&t->items, v->filter);
	items_sort(&t->items, v->sort, v->reverse);
	select_again(t);
}

void top_init(struct top *t, double delay)
{
	*t = (struct top){
		.delay = delay,
		.lines = 24,
		.columns = 80,
		.page = 1,
		.views = {
			[LEVEL_VMS].sort = COLUMN_RATE,
			[LEVEL_VCPUS].sort = COLUMN_NAME,
			[LEVEL_REASONS].sort = COLUMN_RATE,
			[LEVEL_DETAILS].sort = COLUMN_RATE,
		},
	};
}

void top_free(struct top *t)
{
	top_data_free(&t->data);
	items_free(&t->items);
}

/* The help screen has a line less than the terminal, for its title. */
static void clamp_help(struct top *t)
{
	size_t page = t->lines > 1 ? t->lines - 1 : 1, lines = help_lines(t->columns), last = lines > page ? lines - page : 0;

	if (t->help_offset > last)
		t->help_offset = last;
}

void top_resize(struct top *t, unsigned int lines, unsigned int columns)
{
	struct layout l;

	layout_make(&l, lines, columns);
	t->lines = lines;
	t->columns = columns;
	t->page = l.list.lines ? l.list.lines : 1;
	clamp_help(t);
	select_index(t, view_of(t)->index);
}

/* The first figures come with the second sample: the row that is on top then is the selected one, unless the user has made a choice. */
void top_sample(struct top *t, struct sample *s)
{
	top_data_add(&t->data, s);
	if (t->data.samples == 2 && !t->touched)
		view_of(t)->chosen = false;
	top_data_forget(&t->data, t->data.now.time_ns);
	arrange(t);
}

void top_expire(struct top *t, uint64_t now_ns)
{
	top_data_forget(&t->data, now_ns);
	arrange(t);
}

/* --- Up and down the levels --- */

void top_go(struct top *t, enum level level, const struct part *scope, const char *name)
{
	struct top_view *v = &t->views[level];

	t->level = level;
	t->scopes[level] = *scope;
	snprintf(t->scope_names[level], sizeof(t->scope_names[level]), "%s", name);
	v->chosen = false;
	v->index = v->offset = 0;
	v->filter[0] = '\0';
	arrange(t);
}

static void go_in(struct top *t)
{
	const struct item *item = top_selected(t);
	struct part scope;
	char name[sizeof(item->name) + 8];

	if (!item)
		return;
	if (t->level == LEVEL_DETAILS || (t->level == LEVEL_REASONS && !reason_has_details(&t->data, &item->part))) {
		snprintf(t->message, sizeof(t->message), "nothing more is known of %s", item->name);
		return;
	}
	scope = item->part;
	if (t->level == LEVEL_VCPUS)
		snprintf(name, sizeof(name), item->part.all_vcpus ? "%s vCPUs" : "vCPU %s", item->name);
	else
		snprintf(name, sizeof(name), "%s", item->name);
	top_go(t, t->level + 1, &scope, name);
}

static void go_up(struct top *t)
{
	if (t->level == LEVEL_VMS)
		return;
	t->level--;
	arrange(t);
}

/* --- Sorting --- */

static void sort_by(struct top *t, enum column column)
{
	struct top_view *v = view_of(t);

	v->sort = column;
	v->reverse = false;
	arrange(t);
}

static size_t sort_position(const struct top *t, const enum column *columns, size_t nr)
{
	size_t i = 0;

	while (i + 1 < nr && columns[i] != top_current_view(t)->sort)
		i++;
	return i;
}

static void sort_by_neighbour(struct top *t, bool right)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr = level_sort_columns(t->level, columns), i = sort_position(t, columns, nr);

	if (right && i + 1 < nr)
		sort_by(t, columns[i + 1]);
	else if (!right && i)
		sort_by(t, columns[i - 1]);
}

static void begin_sort(struct top *t)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr = level_sort_columns(t->level, columns);

	t->sort_index = sort_position(t, columns, nr);
	t->mode = TOP_SORT;
}

static void sort_key(struct top *t, unsigned int key)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr = level_sort_columns(t->level, columns);

	switch (key) {
	case 'k':
	case TOP_KEY_UP:
		t->sort_index -= t->sort_index > 0;
		break;
	case 'j':
	case TOP_KEY_DOWN:
		t->sort_index += t->sort_index + 1 < nr;
		break;
	case TOP_KEY_HOME:
	case TOP_KEY_PAGE_UP:
		t->sort_index = 0;
		break;
	case TOP_KEY_END:
	case TOP_KEY_PAGE_DOWN:
		t->sort_index = nr - 1;
		break;
	case TOP_KEY_ENTER:
		t->mode = TOP_BROWSE;
		sort_by(t, columns[t->sort_index]);
		break;
	case 'q':
	case 's':
	case TOP_KEY_F6:
	case TOP_KEY_ESCAPE:
		t->mode = TOP_BROWSE;
		break;
	}
}

/* --- Filtering --- */

/* Appends character @code as UTF-8, if it is one that can be seen and there is room. */
static void filter_append(char *filter, unsigned int code)
{
	size_t len = strlen(filter), more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

	if (code < ' ' || (code >= 0x7f && code < 0xa0) || len + more + 1 >= TOP_FILTER_SIZE)
		return;
	filter[len] = more ? (char)(0xff00 >> (more + 1) | code >> 6 * more) : (char)code;
	for (size_t i = 1; i <= more; i++)
		filter[len + i] = 0x80 | (code >> 6 * (more - i) & 0x3f);
	filter[len + more + 1] = '\0';
}

static void filter_delete(char *filter)
{
	size_t len = strlen(filter);

	while (len && (filter[len - 1] & 0xc0) == 0x80)
		len--;
	filter[len ? len - 1 : 0] = '\0';
}

static void filter_key(struct top *t, unsigned int key)
{
	struct top_view *v = view_of(t);

	switch (key) {
	case TOP_KEY_ENTER:
		t->mode = TOP_BROWSE;
		return;
	case TOP_KEY_ESCAPE:
		v->filter[0] = '\0';
		t->mode = TOP_BROWSE;
		break;
	case TOP_KEY_BACKSPACE:
		filter_delete(v->filter);
		break;
	case CTRL('U'):
		v->filter[0] = '\0';
		break;
	default:
		if (key < TOP_KEY_UP)
			filter_append(v->filter, key);
		break;
	}
	arrange(t);
}

/* --- Help --- */

static void help_key(struct top *t, unsigned int key)
{
	size_t page = t->lines > 2 ? t->lines - 2 : 1;

	switch (key) {
	case 'k':
	case TOP_KEY_UP:
		t->help_offset -= t->help_offset > 0;
		break;
	case 'j':
	case TOP_KEY_DOWN:
		t->help_offset++;
		break;
	case TOP_KEY_PAGE_UP:
		t->help_offset -= t->help_offset < page ? t->help_offset : page;
		break;
	case ' ':
	case TOP_KEY_PAGE_DOWN:
		t->help_offset += page;
		break;
	case 'g':
	case TOP_KEY_HOME:
		t->help_offset = 0;
		break;
	case 'G':
	case TOP_KEY_END:
		t->help_offset = help_lines(t->columns);
		break;
	default:
		t->mode = TOP_BROWSE;
		break;
	}
	clamp_help(t);
}

static void begin_help(struct top *t)
{
	t->help_offset = 0;
	t->mode = TOP_HELP;
}

/* --- The rest --- */

static void change_delay(struct top *t, bool longer)
{
	static const double steps[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60 };

	if (longer) {
		for (size_t i = 0; i < LENGTH(steps); i++) {
			if (steps[i] > t->delay) {
				t->delay = steps[i];
				break;
			}
		}
	} else {
		for (size_t i = LENGTH(steps); i-- > 0;) {
			if (steps[i] < t->delay) {
				t->delay = steps[i];
				break;
			}
		}
	}
	snprintf(t->message, sizeof(t->message), "a sample every %gs", t->delay);
}

static void move_by(struct top *t, size_t rows, bool down)
{
	size_t index = view_of(t)->index;

	if (down)
		select_index(t, index + rows);
	else
		select_index(t, index > rows ? index - rows : 0);
}

static bool move_key(struct top *t, unsigned int key)
{
	switch (key) {
	case 'k':
	case TOP_KEY_UP:
		move_by(t, 1, false);
		return true;
	case 'j':
	case TOP_KEY_DOWN:
		move_by(t, 1, true);
		return true;
	case TOP_KEY_PAGE_UP:
		move_by(t, t->page, false);
		return true;
	case TOP_KEY_PAGE_DOWN:
		move_by(t, t->page, true);
		return true;
	case 'g':
	case TOP_KEY_HOME:
		select_index(t, 0);
		return true;
	case 'G':
	case TOP_KEY_END:
		select_index(t, SIZE_MAX);
		return true;
	case 'l':
	case TOP_KEY_RIGHT:
	case TOP_KEY_ENTER:
		go_in(t);
		return true;
	case 'h':
	case TOP_KEY_LEFT:
	case TOP_KEY_BACKSPACE:
	case TOP_KEY_ESCAPE:
		go_up(t);
		return true;
	}
	return false;
}

static void browse_key(struct top *t, unsigned int key)
{
	if (move_key(t, key))
		return;
	switch (key) {
	case 's':
	case TOP_KEY_F6:
		begin_sort(t);
		break;
	case '<':
	case '>':
		sort_by_neighbour(t, key == '>');
		break;
	case 'r':
		view_of(t)->reverse = !view_of(t)->reverse;
		arrange(t);
		break;
	case '/':
		t->mode = TOP_FILTER;
		break;
	case 'c':
		t->cumulative = !t->cumulative;
		arrange(t);
		break;
	case 'p':
		t->paused = !t->paused;
		break;
	case '+':
	case '-':
		change_delay(t, key == '+');
		break;
	case '?':
	case TOP_KEY_F1:
		begin_help(t);
		break;
	case 'q':
		t->quit = true;
		break;
	}
}

void top_key(struct top *t, unsigned int key)
{
	t->message[0] = '\0';
	t->touched = true;
	switch (t->mode) {
	case TOP_BROWSE:
		browse_key(t, key);
		break;
	case TOP_FILTER:
		filter_key(t, key);
		break;
	case TOP_SORT:
		sort_key(t, key);
		break;
	case TOP_HELP:
		help_key(t, key);
		break;
	}
}
