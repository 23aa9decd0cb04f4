// SPDX-License-Identifier: GPL-2.0
/*
 * See metrics_series.h.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include "metrics_series.h"
#include "util.h"

static bool has_own(const struct own *own, uint64_t value)
{
	for (size_t i = 0; i < own->nr; i++) {
		if (own->values[i] == value)
			return true;
	}
	return false;
}

static int by_value(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	return (a->value > b->value) - (a->value < b->value);
}

static int by_number(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	return a->number != b->number ? (a->number < b->number) - (a->number > b->number) : by_value(pa, pb);
}

static int by_series(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->vcpu != b->vcpu)
		return a->vcpu < b->vcpu ? -1 : 1;
	if (a->value != b->value)
		return by_value(a, b);
	return (a->variant > b->variant) - (a->variant < b->variant);
}

static void sort(struct item *items, size_t nr, int (*order)(const void *, const void *))
{
	if (nr)
		qsort(items, nr, sizeof(*items), order);
}

/* One item for each value that has no series yet, with the sum of its numbers. */
static size_t new_values(struct item *to, const struct items *items, const struct own *own)
{
	size_t nr = 0;

	memcpy(to, items->all, items->nr * sizeof(*to));
	sort(to, items->nr, by_value);
	for (size_t i = 0; i < items->nr; i++) {
		if (nr && to[nr - 1].value == to[i].value)
			to[nr - 1].number += to[i].number;
		else if (to[i].value != VALUE_OTHER && !has_own(own, to[i].value))
			to[nr++] = to[i];
	}
	return nr;
}

/* Gives what is new series of their own, as long as there is room. */
static void admit(struct own *own, const struct items *items, size_t room)
{
	struct item *candidates;
	size_t nr;

	if (own->nr >= room || !items->nr)
		return;
	candidates = xcalloc(items->nr, sizeof(*candidates));
	nr = new_values(candidates, items, own);
	sort(candidates, nr, by_number);
	for (size_t i = 0; i < nr && own->nr < room; i++) {
		own->values = xreallocarray(own->values, own->nr + 1, sizeof(*own->values));
		own->values[own->nr++] = candidates[i].value;
	}
	free(candidates);
}

bool series_same(const struct item *a, const struct item *b)
{
	return !by_series(a, b);
}

void series_arrange(struct series *s, const struct family *f, struct items *items, const struct metrics_options *o)
{
	struct own *own = &s->own[f->space];

	if (f->space != SPACE_FIXED)
		admit(own, items, o->max_series);
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->all[i];

		if (f->space != SPACE_FIXED && !has_own(own, item->value))
			item->value = VALUE_OTHER;
		if (f->of_vm || o->per_vm)
			item->vcpu = 0;
	}
	sort(items->all, items->nr, by_series);
}

/* --- What they said --- */

/* What a series said last. */
struct shown {
	const struct family *family;
	uint32_t vcpu;
	uint64_t value;
	unsigned int variant, part;
	uint64_t number;
};

static int by_place(const void *pa, const void *pb)
{
	const struct shown *a = pa, *b = pb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->vcpu != b->vcpu)
		return a->vcpu < b->vcpu ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	if (a->variant != b->variant)
		return a->variant < b->variant ? -1 : 1;
	return (a->part > b->part) - (a->part < b->part);
}

uint64_t series_never_less(struct series *s, const struct family *f, const struct item *item, unsigned int part, uint64_t number)
{
	struct shown *shown, **place;

	if (f->type == FAMILY_GAUGE)
		return number;
	shown = xcalloc(1, sizeof(*shown));
	*shown = (struct shown){ f, item->vcpu, item->value, item->variant, part, number };
	place = tsearch(shown, &s->shown, by_place);
	if (!place)
		die(STATUS_FAILED, "out of memory");
	if (*place != shown)
		free(shown);
	if ((*place)->number < number)
		(*place)->number = number;
	return (*place)->number;
}

void series_free(struct series *s)
{
	for (size_t i = 0; i < SPACES; i++)
		free(s->own[i].values);
	tdestroy(s->shown, free);
}
