// SPDX-License-Identifier: GPL-2.0
/*
 * See top_paint.h. Owns what the lines around the list say.
 */
#include <inttypes.h>
#include <string.h>
#include "top_chart.h"
#include "top_help.h"
#include "top_layout.h"
#include "top_paint.h"
#include "top_table.h"
#include "util.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))
#define NARROW		50	/* columns; below, the title has no room for the way that led here */
#define MENU_COLUMNS	16

/* --- Words --- */

static const char *format_seconds(double seconds, char *buf, size_t size)
{
	if (seconds < 10)
		snprintf(buf, size, "%.2gs", seconds);
	else if (seconds < 600)
		snprintf(buf, size, "%.0fs", seconds);
	else if (seconds < 36000)
		snprintf(buf, size, "%.0fm", seconds / 60);
	else
		snprintf(buf, size, "%.0fh", seconds / 3600);
	return buf;
}

/* Of which time the figures are. */
static void period_text(const struct top *t, bool narrow, char *buf, size_t size)
{
	const struct top_data *d = &t->data;
	char time[16];

	if (d->samples < 2)
		snprintf(buf, size, narrow ? "..." : "measuring");
	else if (t->cumulative)
		snprintf(buf, size, "%s%s", narrow ? "all " : "since the start, ",
			 format_seconds((d->now.time_ns - d->first_ns) / 1e9, time, sizeof(time)));
	else
		snprintf(buf, size, "%s%s", narrow ? "" : "last ", format_seconds(d->interval_ns / 1e9, time, sizeof(time)));
}

/* What the selected row of the level stands for. */
static void item_text(const struct top *t, const struct item *item, char *buf, size_t size)
{
	if (t->level == LEVEL_VCPUS)
		snprintf(buf, size, item->part.all_vcpus ? "%s vCPUs" : "vCPU %s", item->name);
	else
		snprintf(buf, size, "%s", item->name);
}

static void count_vms(const struct top *t, size_t *vms, size_t *vcpus)
{
	*vms = *vcpus = 0;
	for (size_t i = 0; i < t->data.now.nr_vms; i++) {
		const struct vm *vm = &t->data.now.vms[i];

		*vms += !vm->ended;
		*vcpus += vm->ended ? 0 : vm->nr_vcpus;
	}
}

/* Exits that the source saw and that are in no row. */
static uint64_t count_unaccounted(const struct top *t)
{
	uint64_t unaccounted = 0;

	for (size_t i = 0; i < t->data.total.nr_vms; i++)
		unaccounted += t->data.total.vms[i].unaccounted;
	return unaccounted;
}

static void vms_summary(const struct top *t, char *buf, size_t size)
{
	size_t vms, vcpus, len;
	double rate = 0;
	char count[16];

	count_vms(t, &vms, &vcpus);
	for (size_t i = 0; i < t->items.nr; i++)
		rate += t->items.items[i].ended ? 0 : t->items.items[i].values[COLUMN_RATE];
	len = snprintf(buf, size, "%zu VM%s, %zu vCPU%s: %s exits/s", vms, vms == 1 ? "" : "s", vcpus, vcpus == 1 ? "" : "s",
		       format_count(rate, count, sizeof(count)));
	if (count_unaccounted(t) && len < size)
		snprintf(buf + len, size - len, "; not shown for lack of room: %s exits",
			 format_count(count_unaccounted(t), count, sizeof(count)));
}

static void vm_summary(const struct top *t, const struct vm *vm, char *buf, size_t size)
{
	struct part all = t->scopes[t->level];
	struct figures f;
	char count[16], average[16];
	int len;

	top_data_figures(&t->data, &all, t->cumulative, &f);
	len = snprintf(buf, size, "pid %d on %s, %zu vCPU%s%s: %s exits/s", vm->pid, vm->engine, vm->nr_vcpus,
		       vm->nr_vcpus == 1 ? "" : "s", vm->ended ? ", ended" : "", format_count(f.seconds > 0 ? f.sum.count / f.seconds : 0, count, sizeof(count)));
	if (f.sum.count && (size_t)len < size)
		snprintf(buf + len, size - len, ", %s each", format_ns(row_mean(&f.sum) * vm->tick_ns, average, sizeof(average)));
}

void top_summary(const struct top *t, char *buf, size_t size)
{
	const struct vm *vm = t->level == LEVEL_VMS ? NULL : part_vm(&t->data.now, &t->scopes[t->level]);

	*buf = '\0';
	if (t->level == LEVEL_VMS)
		vms_summary(t, buf, size);
	else if (vm)
		vm_summary(t, vm, buf, size);
}

/* --- The title: where one is; of which time the figures are --- */

static void way_text(const struct top *t, bool unicode, char *buf, size_t size)
{
	size_t len = snprintf(buf, size, "exeunt top: VMs");

	for (unsigned int i = LEVEL_VCPUS; i <= t->level && len < size; i++)
		len += snprintf(buf + len, size - len, " %s %s", unicode ? "›" : ">", t->scope_names[i]);
}

static void state_text(const struct top *t, bool narrow, char *buf, size_t size)
{
	const char *filter = top_current_view(t)->filter;
	char period[48];

	period_text(t, narrow, period, sizeof(period));
	snprintf(buf, size, "%s%s%s%s%s", *filter ? "/" : "", filter, *filter ? "  " : "", t->paused ? "paused  " : "", period);
}

static void paint_title(const struct top *t, struct canvas *c, unsigned int y)
{
	bool narrow = c->columns < NARROW;
	char left[4 * 80], right[TOP_FILTER_SIZE + 80];
	unsigned int right_width;

	if (narrow)
		snprintf(left, sizeof(left), "%s", t->level == LEVEL_VMS ? "VMs" : t->scope_names[t->level]);
	else
		way_text(t, c->unicode, left, sizeof(left));
	state_text(t, narrow, right, sizeof(right));
	right_width = canvas_text_width(c, right);
	if (right_width > c->columns / 2)
		right_width = c->columns / 2;
	canvas_fill(c, y, 0, c->columns, STYLE_TITLE, L' ', ' ');
	canvas_put(c, y, 0, c->columns - right_width - (right_width > 0), STYLE_TITLE, left);
	canvas_put_right(c, y, c->columns - right_width, right_width, STYLE_TITLE, right);
}

/* --- The last line: keys, a message, or what is being typed --- */

static void paint_hints(struct canvas *c, unsigned int y)
{
	static const struct { const char *key, *what; } hints[] = {
		{ "q", "quit" }, { "?", "help" }, { "Enter", "in" }, { "Esc", "up" }, { "s", "sort" }, { "/", "filter" },
		{ "r", "reverse" }, { "c", "total" }, { "p", "pause" }, { "+ -", "delay" },
	};
	unsigned int x = 0;

	for (size_t i = 0; i < LENGTH(hints); i++) {
		unsigned int key = strlen(hints[i].key), what = strlen(hints[i].what);

		if (x + key + 1 + what > c->columns)
			break;
		canvas_put(c, y, x, key, STYLE_KEY, hints[i].key);
		canvas_put(c, y, x + key + 1, what, STYLE_PLAIN, hints[i].what);
		x += key + 1 + what + 2;
	}
}

/* The end of a long text is what is seen of it. */
static int paint_prompt(const struct top *t, struct canvas *c, unsigned int y)
{
	const char *text = top_current_view(t)->filter;
	unsigned int room = c->columns > 2 ? c->columns - 2 : 0;

	while (canvas_text_width(c, text) > room) {
		text++;
		while ((*text & 0xc0) == 0x80)
			text++;
	}
	canvas_fill(c, y, 0, c->columns, STYLE_PLAIN, L' ', ' ');
	canvas_put(c, y, 0, 1, STYLE_KEY, "/");
	return 1 + canvas_put(c, y, 1, room, STYLE_PLAIN, text);
}

static void paint_keys(const struct top *t, struct canvas *c, unsigned int y)
{
	if (t->mode == TOP_SORT)
		canvas_put(c, y, 0, c->columns, STYLE_PLAIN, "Enter: sort by it  Esc: leave it");
	else if (*t->message)
		canvas_put(c, y, 0, c->columns, STYLE_MESSAGE, t->message);
	else
		paint_hints(c, y);
}

/* --- The list --- */

static void paint_rows(const struct top *t, struct canvas *c, const struct layout *l)
{
	const struct top_view *v = top_current_view(t);
	struct table_columns columns;

	table_choose(&columns, c, t, c->columns, true);
	if (l->head.lines)
		table_paint_head(c, l->head.y, t, &columns);
	for (size_t i = v->offset; i < t->items.nr && i - v->offset < l->list.lines; i++)
		table_paint_row(c, l->list.y + i - v->offset, t, &columns, i, i == v->index);
}

/* Why there is no row. */
static void paint_emptiness(const struct top *t, struct canvas *c, const struct strip *list)
{
	char text[TOP_FILTER_SIZE + 32];
	unsigned int width, y = list->y + (list->lines - 1) / 2;

	if (*top_current_view(t)->filter)
		snprintf(text, sizeof(text), "no row has '%s' in it", top_current_view(t)->filter);
	else if (t->level == LEVEL_VMS)
		snprintf(text, sizeof(text), "no virtual machine is running; waiting");
	else
		snprintf(text, sizeof(text), "no exit so far");
	width = canvas_text_width(c, text);
	canvas_put(c, y, width < c->columns ? (c->columns - width) / 2 : 0, c->columns, STYLE_MESSAGE, text);
}

static void paint_menu(const struct top *t, struct canvas *c, unsigned int y, unsigned int lines)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr = level_sort_columns(t->level, columns), page = lines > 1 ? lines - 1 : 1;
	size_t offset = scroll(0, t->sort_index, nr, page);

	if (lines > 1) {
		canvas_fill(c, y, 0, MENU_COLUMNS, STYLE_HEAD, L' ', ' ');
		canvas_put(c, y++, 1, MENU_COLUMNS - 1, STYLE_HEAD, "SORT BY");
	}
	for (size_t i = offset; i < nr && i - offset < page; i++) {
		enum style style = i == t->sort_index ? STYLE_SELECTED : STYLE_PLAIN;

		canvas_fill(c, y + i - offset, 0, MENU_COLUMNS, style, L' ', ' ');
		canvas_put(c, y + i - offset, 0, 1, style, i == t->sort_index ? ">" : " ");
		canvas_put(c, y + i - offset, 1, MENU_COLUMNS - 2, style, column_title(columns[i]));
		canvas_fill(c, y + i - offset, MENU_COLUMNS - 1, 1, STYLE_FAINT, L'│', '|');
	}
}

static void paint_pane(const struct top *t, struct canvas *c, const struct strip *pane)
{
	const struct item *item = top_selected(t);
	char name[80], count[16], title[128];

	if (!item)
		return;
	item_text(t, item, name, sizeof(name));
	if (item->figures.sum.count)
		snprintf(title, sizeof(title), " %s: time of %s exits ", name,
			 format_count(item->figures.sum.count, count, sizeof(count)));
	else
		snprintf(title, sizeof(title), " %s: no exits ", name);
	chart_paint(c, pane->y, pane->lines, item, title);
}

/* --- All of it --- */

static void paint_help(const struct top *t, struct canvas *c)
{
	bool titled = c->lines > 1;

	if (titled) {
		canvas_fill(c, 0, 0, c->columns, STYLE_TITLE, L' ', ' ');
		canvas_put(c, 0, 0, c->columns, STYLE_TITLE, c->columns < NARROW ? "help; q: back" : "exeunt top: help; q goes back");
	}
	help_paint(c, titled, c->lines - titled, t->help_offset);
}

static void paint_browser(const struct top *t, struct canvas *c)
{
	struct layout l;
	char text[160];

	layout_make(&l, c->lines, c->columns);
	if (l.title.lines)
		paint_title(t, c, l.title.y);
	if (l.summary.lines) {
		top_summary(t, text, sizeof(text));
		canvas_put(c, l.summary.y, 1, c->columns, STYLE_PLAIN, text);
	}
	paint_rows(t, c, &l);
	if (l.pane.lines)
		paint_pane(t, c, &l.pane);
	if (!t->items.nr && l.list.lines)
		paint_emptiness(t, c, &l.list);
	if (t->mode == TOP_SORT)
		paint_menu(t, c, l.list.y - l.head.lines, l.head.lines + l.list.lines + l.pane.lines);
	if (l.keys.lines)
		paint_keys(t, c, l.keys.y);
}

void top_paint(const struct top *t, struct canvas *c, int *cursor_x)
{
	*cursor_x = -1;
	if (!c->lines || !c->columns)
		return;
	if (t->mode == TOP_HELP)
		paint_help(t, c);
	else
		paint_browser(t, c);
	if (t->mode == TOP_FILTER)
		*cursor_x = paint_prompt(t, c, c->lines - 1);
}

/* Wide enough for every column and the longest name. */
#define ANY_COLUMNS	240

void top_print_list(const struct top *t, unsigned int columns, bool unicode, FILE *f)
{
	struct table_columns chosen;
	struct canvas c;

	canvas_init(&c, 1 + t->items.nr, columns ? columns : ANY_COLUMNS, unicode);
	table_choose(&chosen, &c, t, c.columns, false);
	table_paint_head(&c, 0, t, &chosen);
	for (size_t i = 0; i < t->items.nr; i++)
		table_paint_row(&c, 1 + i, t, &chosen, i, false);
	canvas_print(&c, f);
	canvas_free(&c);
}
