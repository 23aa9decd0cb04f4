/* SPDX-License-Identifier: GPL-2.0 */
/*
 * `exeunt bench` in its parts: the operations (bench_list.c), one of them measured (bench_run.c), and results as text and as JSON
 * (bench_print.c). The payload that does the operations is ../guest/bench.c.
 */
#ifndef EXEUNT_TOOL_BENCH_H
#define EXEUNT_TOOL_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "summary.h"

#define BENCH_MIN_SAMPLES	2
#define BENCH_MAX_SAMPLES	100000
#define BENCH_MIN_VCPUS		2
#define BENCH_MAX_VCPUS		8
#define BENCH_MAX_CPUS		1024

/* --- bench_list.c --- */

struct bench_operation {
	unsigned int group;
	const char *name, *what;
	unsigned int vcpus;		/* 0: as many as the user says */
	bool together;			/* these must run at the same time */
};

extern const struct bench_operation bench_operations[];
extern const size_t nr_bench_operations;
/* That the operation stands below. */
const char *bench_heading(const struct bench_operation *operation);

/* Marks the operations that @pattern, a name or a shell pattern, means. False if it means none. */
bool bench_select(bool *selected, const char *pattern);

/* --- bench_run.c --- */

/* What the user wants. */
struct bench_setup {
	const char *device;
	unsigned int samples, vcpus, timeout;	/* timeout: seconds for each operation */
	unsigned int cpus[BENCH_MAX_CPUS];	/* that may be used; a vCPU is pinned to one */
	unsigned int nr_cpus;
	bool pin;
};

/* The machine that was measured; tsc_khz is 0 until something was. */
struct bench_host {
	unsigned int tsc_khz;
	bool emulated;			/* by QEMU's TCG */
	bool nrips;
};

enum bench_outcome { BENCH_MEASURED, BENCH_SKIPPED, BENCH_FAILED };

struct bench_result {
	const struct bench_operation *operation;
	enum bench_outcome outcome;
	char words[512];		/* why it was skipped or failed; a remark, or "" */
	unsigned int vcpus;
	struct summary cost;		/* in ticks of the TSC, without: */
	double empty;			/* what measuring itself costs */
};

/* False, with a complaint: there is no such device, or it is none of KVM's. */
bool bench_check_device(const char *device);
/* Measures one operation in a virtual machine of its own. */
void bench_run(struct bench_result *r, const struct bench_setup *setup, const struct bench_operation *operation, struct bench_host *host);

/* --- bench_print.c --- */

void bench_print_list(FILE *f);

/* A table that grows: a line for each result, below the heading of its group. */
struct bench_table {
	FILE *f;
	unsigned int columns;		/* of the terminal, or 0 */
	bool colour;
	const char *heading;		/* printed last */
};

void bench_print_result(struct bench_table *t, const struct bench_setup *setup, const struct bench_host *host, const struct bench_result *r);
void bench_print_json(FILE *f, const struct bench_setup *setup, const struct bench_host *host, const struct bench_result *results, size_t n);

#endif
