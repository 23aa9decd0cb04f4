/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The metrics: of each its name, what it counts, and which labels tell its series apart. For metrics.c, which writes them down.
 */
#ifndef EXEUNT_TOOL_METRICS_FAMILIES_H
#define EXEUNT_TOOL_METRICS_FAMILIES_H

#include <stdio.h>
#include "model.h"

/* Sets of values that a label takes, and that are limited per VM. Families of one space have the same values. */
enum space {
	SPACE_FIXED,		/* few by nature: no limit */
	SPACE_REASON, SPACE_MSR, SPACE_PORT, SPACE_PAGE, SPACE_HYPERCALL, SPACE_VECTOR, SPACE_EXCEPTION, SPACE_USER,
	SPACES
};

#define VALUE_OTHER	UINT64_MAX	/* what found no series of its own */

/* A part of a series: those of the same vCPU, value and variant are added up. */
struct item {
	uint32_t vcpu;
	uint64_t value;			/* of the space's label; 0 in SPACE_FIXED */
	unsigned int variant;		/* of the other labels */
	uint64_t number;
	const struct exeunt_row *row;	/* of a histogram */
};

struct items {
	size_t nr, room;
	struct item *all;
};

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

struct family {
	const char *name;		/* a counter's without _total */
	const char *unit;		/* NULL: a number of things */
	const char *help;
	enum family_type type;
	enum space space;
	bool of_vm;			/* has no label "vcpu" */
	bool ticks;			/* the number is in ticks of the VM, the metric in seconds */
	bool nanoseconds;		/* the number is in these, the metric in seconds */
	void (*collect)(const struct family *f, const struct vm *vm, struct items *items);
	/* Writes labels and their values, each preceded by a comma. NULL: there are none. */
	void (*labels)(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant);
	size_t counter;			/* for collect: offset in struct exeunt_counters */
	bool exeunt_only;		/* stock KVM's source does not know it */
};

extern const struct family families[];
extern const size_t nr_families;

#endif
