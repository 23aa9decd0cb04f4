/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which series the metrics of a VM have, and that they never go back. Values of open-ended labels get series of their own while there is
 * room, the most frequent first; what comes later is "other", and stays that, because a counter must not lose what it had.
 */
#ifndef EXEUNT_TOOL_METRICS_SERIES_H
#define EXEUNT_TOOL_METRICS_SERIES_H

#include "metrics.h"
#include "metrics_families.h"

/* Of a VM; begins zeroed. */
struct series {
	struct own {			/* values that have series of their own */
		size_t nr;
		uint64_t *values;
	} own[SPACES];
	void *shown;			/* a tree: what each said last */
};

void series_free(struct series *s);
/* Gives each item the vCPU and the value of its series, and sorts them: those of a series stand together. */
void series_arrange(struct series *s, const struct family *f, struct items *items, const struct metrics_options *o);
/* Of one series? */
bool series_same(const struct item *a, const struct item *b);
/*
 * @number, or what the series said last if that is more: a number that is the difference of others, read while a vCPU changes them, may
 * be one less for a moment, and readers take a counter that goes back for one that began anew. @part: of a histogram.
 */
uint64_t series_never_less(struct series *s, const struct family *f, const struct item *item, unsigned int part, uint64_t number);

#endif
