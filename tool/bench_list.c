// SPDX-License-Identifier: GPL-2.0
/*
 * The operations that can be measured: the payload's list, made a table.
 */
#include <fnmatch.h>
#include <stddef.h>
#include "../guest/bench_operations.h"
#include "bench.h"

static const char *const headings[] = BENCH_HEADINGS;

#define ROW(group_number, operation, nr_vcpus, at_once, text) \
	{ .group = group_number, .name = #operation, .what = text, .vcpus = nr_vcpus, .together = at_once },
const struct bench_operation bench_operations[] = { BENCH_OPERATIONS(ROW) };
const size_t nr_bench_operations = sizeof(bench_operations) / sizeof(bench_operations[0]);

const char *bench_heading(const struct bench_operation *operation)
{
	return headings[operation->group];
}

bool bench_select(bool *selected, const char *pattern)
{
	bool any = false;

	for (size_t i = 0; i < nr_bench_operations; i++) {
		if (fnmatch(pattern, bench_operations[i].name, 0))
			continue;
		selected[i] = true;
		any = true;
	}
	return any;
}
