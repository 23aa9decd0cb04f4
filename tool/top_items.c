// SPDX-License-Identifier: GPL-2.0
/*
 * See top_items.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>
#include "names.h"
#include "top_items.h"
#include "util.h"

static double per_cent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* Time of exits counts when they end: a long sleep may bring more than the interval had. */
static double per_cent_of_time(double part, double whole)
{
	double share = per_cent(part, whole);

	return share > 100 ? 100 : share;
}

/* --- Which rows there are --- */

static struct item *add_item(struct items *l, const struct vm *vm, const struct part *p)
{
	struct item *item;

	if (l->nr == l->room) {
		l->room = l->room ? 2 * l->room : 16;
		l->items = xreallocarray(l->items, l->room, sizeof(*l->items));
	}
	item = &l->items[l->nr++];
	memset(item, 0, sizeof(*item));
	item->part = *p;
	item->ended = vm->ended;
	item->tick_ns = vm->tick_ns;
	item->hist_shift = vm->hist_shift;
	return item;
}

static struct part vm_part(const struct vm *vm)
{
	struct part p = { .vm = vm->id, .all_vcpus = true };

	memcpy(p.engine, vm->engine, sizeof(p.engine));
	return p;
}

static void add_vms(struct items *l, const struct top_data *d)
{
	for (size_t i = 0; i < d->now.nr_vms; i++) {
		const struct vm *vm = &d->now.vms[i];
		struct part p = vm_part(vm);
		struct item *item = add_item(l, vm, &p);

		snprintf(item->name, sizeof(item->name), "%s", vm->name);
		item->values[COLUMN_PID] = vm->pid;
		item->values[COLUMN_VCPUS] = vm->nr_vcpus;
	}
}

static void add_vcpus(struct items *l, const struct vm *vm)
{
	struct part p = vm_part(vm);
	struct item *item = add_item(l, vm, &p);

	snprintf(item->name, sizeof(item->name), "all");
	item->values[COLUMN_VCPUS] = vm->nr_vcpus;
	p.all_vcpus = false;
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		p.vcpu = vm->vcpus[i].id;
		item = add_item(l, vm, &p);
		snprintf(item->name, sizeof(item->name), "%" PRIu32, p.vcpu);
		item->values[COLUMN_TID] = vm->vcpus[i].tid;
		item->values[COLUMN_VCPUS] = 1;
	}
}

static bool scope_has(const struct part *scope, const struct vcpu *v, const struct exeunt_row *r)
{
	return (scope->all_vcpus || scope->vcpu == v->id) && (r->key & scope->key_mask) == scope->key;
}

static void name_exits(struct item *item, uint32_t isa)
{
	char buf[sizeof(item->name)];
	const char *name = item->part.key_mask == REASON_MASK ? exit_name(isa, item->part.key, buf, sizeof(buf)) :
								detail_name(isa, item->part.key, buf, sizeof(buf));

	snprintf(item->name, sizeof(item->name), "%s", *name ? name : "no detail");
}

/* One row for each key, under @mask, that exits in @scope have. @vm has the exits since the beginning. */
static void add_keys(struct items *l, const struct vm *vm, const struct part *scope, uint64_t mask)
{
	struct part p = *scope;

	p.key_mask = mask;
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		for (size_t j = 0; j < vm->vcpus[i].nr_rows; j++) {
			const struct exeunt_row *r = &vm->vcpus[i].rows[j];

			p.key = r->key & mask;
			if (scope_has(scope, &vm->vcpus[i], r) && items_find(l, &p) == l->nr)
				name_exits(add_item(l, vm, &p), vm->isa);
		}
	}
}

size_t items_find(const struct items *l, const struct part *p)
{
	size_t i = 0;

	while (i < l->nr && !part_is(&l->items[i].part, p))
		i++;
	return i;
}

bool reason_has_details(const struct top_data *d, const struct part *p)
{
	const struct vm *vm = part_vm(&d->total, p);

	for (size_t i = 0; vm && i < vm->nr_vcpus; i++) {
		for (size_t j = 0; j < vm->vcpus[i].nr_rows; j++) {
			const struct exeunt_row *r = &vm->vcpus[i].rows[j];

			if (scope_has(p, &vm->vcpus[i], r) && (r->key & DETAIL_MASK) != (r->key & REASON_MASK))
				return true;
		}
	}
	return false;
}

static void add_rows(struct items *l, const struct top_data *d, enum level level, const struct part *scope)
{
	const struct vm *vm = level == LEVEL_VMS ? NULL : part_vm(&d->total, scope);

	if (level == LEVEL_VMS)
		add_vms(l, d);
	else if (vm && level == LEVEL_VCPUS)
		add_vcpus(l, vm);
	else if (vm)
		add_keys(l, vm, scope, level == LEVEL_REASONS ? REASON_MASK : DETAIL_MASK);
}

/* --- What they are worth --- */

static void name_top_reason(struct item *item, const struct top_data *d, bool cumulative)
{
	const struct vm *vm = part_vm(cumulative ? &d->total : &d->interval, &item->part);
	uint64_t counts[REASON_MASK + 1] = { 0 };
	unsigned int top = 0;
	char buf[16];

	for (size_t i = 0; vm && i < vm->nr_vcpus; i++) {
		for (size_t j = 0; j < vm->vcpus[i].nr_rows; j++) {
			const struct exeunt_row *r = &vm->vcpus[i].rows[j];

			if (scope_has(&item->part, &vm->vcpus[i], r))
				counts[EXEUNT_KEY_REASON(r->key)] += r->count;
		}
	}
	for (unsigned int i = 1; i <= REASON_MASK; i++) {
		if (counts[i] > counts[top])
			top = i;
	}
	if (counts[top])
		snprintf(item->top, sizeof(item->top), "%s %.0f%%", exit_name(vm->isa, top, buf, sizeof(buf)),
			 per_cent(counts[top], item->figures.sum.count));
}

static void set_values(struct item *item, double all_count, double all_ns)
{
	const struct figures *f = &item->figures;
	const struct exeunt_row *sum = &f->sum;
	double ns = sum->total * item->tick_ns, vcpus_ns = f->seconds * 1e9 * item->values[COLUMN_VCPUS], *v = item->values;

	v[COLUMN_COUNT] = sum->count;
	v[COLUMN_RATE] = f->seconds > 0 ? sum->count / f->seconds : 0;
	v[COLUMN_SHARE] = per_cent(sum->count, all_count);
	v[COLUMN_TIME] = per_cent(ns, all_ns);
	v[COLUMN_OUTSIDE] = per_cent_of_time(ns, vcpus_ns);
	v[COLUMN_HALTED] = per_cent_of_time(f->halt_wait_ns, vcpus_ns);
	v[COLUMN_AVERAGE] = row_mean(sum) * item->tick_ns;
	v[COLUMN_P50] = row_percentile(sum, item->hist_shift, .5) * item->tick_ns;
	v[COLUMN_P99] = row_percentile(sum, item->hist_shift, .99) * item->tick_ns;
	v[COLUMN_MAX] = sum->max * item->tick_ns;
	v[COLUMN_USER] = per_cent(f->user, sum->count);
}

void items_make(struct items *l, const struct top_data *d, enum level level, const struct part *scope, bool cumulative)
{
	double all_count = 0, all_ns = 0;

	memset(l, 0, sizeof(*l));
	add_rows(l, d, level, scope);
	for (size_t i = 0; i < l->nr; i++) {
		struct item *item = &l->items[i];

		top_data_figures(d, &item->part, cumulative, &item->figures);
		if (level == LEVEL_VMS || level == LEVEL_VCPUS)
			name_top_reason(item, d, cumulative);
		if (level == LEVEL_VCPUS && !item->part.all_vcpus)
			continue;
		all_count += item->figures.sum.count;
		all_ns += item->figures.sum.total * item->tick_ns;
	}
	for (size_t i = 0; i < l->nr; i++)
		set_values(&l->items[i], all_count, all_ns);
}

void items_free(struct items *l)
{
	free(l->items);
	memset(l, 0, sizeof(*l));
}

/* --- Which of them, in which order --- */

/* Converts byte by byte where the locale is no help. */
static void lower(const char *text, wchar_t *wide, size_t size)
{
	mbstate_t state = { 0 };
	size_t nr = 0;

	while (*text && nr + 1 < size) {
		size_t len = mbrtowc(&wide[nr], text, strlen(text), &state);

		if (len == (size_t)-1 || len == (size_t)-2) {
			wide[nr] = (unsigned char)*text;
			len = 1;
			memset(&state, 0, sizeof(state));
		}
		wide[nr] = towlower(wide[nr]);
		nr++;
		text += len;
	}
	wide[nr] = L'\0';
}

void items_filter(struct items *l, const char *needle)
{
	wchar_t wanted[256], name[sizeof(((struct item *)0)->name)];
	size_t nr = 0;

	lower(needle, wanted, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < l->nr; i++) {
		lower(l->items[i].name, name, sizeof(name) / sizeof(name[0]));
		if (wcsstr(name, wanted))
			l->items[nr++] = l->items[i];
	}
	l->nr = nr;
}

struct order {
	enum column column;
	bool reverse;
};

/* Natural order of the column. */
static int compare(const struct item *a, const struct item *b, enum column column)
{
	switch (column) {
	case COLUMN_NAME:
		return a->part.vcpu != b->part.vcpu ? (a->part.vcpu > b->part.vcpu) - (a->part.vcpu < b->part.vcpu) :
						      strcasecmp(a->name, b->name);
	case COLUMN_ENGINE:
		return strcmp(a->part.engine, b->part.engine);
	case COLUMN_TOP:
		return strcmp(a->top, b->top);
	case COLUMN_PID:
	case COLUMN_TID:
		return (a->values[column] > b->values[column]) - (a->values[column] < b->values[column]);
	default:
		return (a->values[column] < b->values[column]) - (a->values[column] > b->values[column]);
	}
}

/* Where the column does not decide, rows must not swap places from one sample to the next. */
static int by_identity(const struct item *a, const struct item *b)
{
	int engines = strcmp(a->part.engine, b->part.engine);

	if (engines)
		return engines;
	if (a->part.vm != b->part.vm)
		return a->part.vm < b->part.vm ? -1 : 1;
	if (a->part.vcpu != b->part.vcpu)
		return a->part.vcpu < b->part.vcpu ? -1 : 1;
	return (a->part.key > b->part.key) - (a->part.key < b->part.key);
}

/* Only among vCPUs is there a row for all of them beside others. */
static int by_order(const void *pa, const void *pb, void *arg)
{
	const struct item *a = pa, *b = pb;
	const struct order *o = arg;
	int order = compare(a, b, o->column);

	if (a->part.all_vcpus != b->part.all_vcpus)
		return a->part.all_vcpus ? -1 : 1;
	if (o->reverse)
		order = -order;
	return order ? order : by_identity(a, b);
}

void items_sort(struct items *l, enum column column, bool reverse)
{
	struct order o = { column, reverse };

	if (l->nr)
		qsort_r(l->items, l->nr, sizeof(*l->items), by_order, &o);
}
