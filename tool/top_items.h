/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of the four lists of `exeunt top`: VMs; a VM's vCPUs; the exit reasons of what was chosen there; a reason's details. Which
 * rows there are, what they are worth in each column, in which order.
 */
#ifndef EXEUNT_TOOL_TOP_ITEMS_H
#define EXEUNT_TOOL_TOP_ITEMS_H

#include "top_data.h"

enum level { LEVEL_VMS, LEVEL_VCPUS, LEVEL_REASONS, LEVEL_DETAILS, LEVELS };

enum column {
	COLUMN_NAME, COLUMN_PID, COLUMN_ENGINE, COLUMN_VCPUS, COLUMN_TID,
	COLUMN_RATE,			/* exits per second */
	COLUMN_COUNT,
	COLUMN_SHARE,			/* of the exits of all rows */
	COLUMN_TIME,			/* of the time outside the guest of all rows */
	COLUMN_OUTSIDE,			/* time outside the guest as a share of all time */
	COLUMN_HALTED,			/* asleep in HLT, of all time */
	COLUMN_AVERAGE, COLUMN_P50, COLUMN_P99, COLUMN_MAX,
	COLUMN_USER,			/* share of the row's exits that the VMM dealt with */
	COLUMN_TOP,			/* most frequent reason */
	COLUMN_TREND,
	COLUMNS_END
};

struct item {
	struct part part;
	char name[64];
	char top[48];			/* the most frequent reason and its share of the exits */
	bool ended;
	double tick_ns;
	unsigned int hist_shift;
	struct figures figures;
	double values[COLUMNS_END];	/* of columns that are numbers; times in ns, shares in per cent */
};

struct items {
	size_t nr, room;
	struct item *items;
};

/*
 * The rows of @level within @scope: a VM for LEVEL_VCPUS, a VM's vCPU or all of them for LEVEL_REASONS, one of their reasons for
 * LEVEL_DETAILS; any for LEVEL_VMS. All that ever had an exit, whether it has had one lately or not. items_free() the result.
 */
void items_make(struct items *l, const struct top_data *d, enum level level, const struct part *scope, bool cumulative);
void items_free(struct items *l);
/* Keeps rows whose name has @needle in it, in capitals or not. */
void items_filter(struct items *l, const char *needle);
/* By @column, in its natural order (numbers: large ones first) or @reverse. All vCPUs together come before single ones in any case. */
void items_sort(struct items *l, enum column column, bool reverse);
/* The row that is @p, or l->nr. */
size_t items_find(const struct items *l, const struct part *p);
/* Does the reason @p have anything to show below it? */
bool reason_has_details(const struct top_data *d, const struct part *p);

#endif
