/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording: what was watched, as a JSON file whose format docs/recording.md defines. Version 1.
 */
#ifndef EXEUNT_TOOL_RECORDING_H
#define EXEUNT_TOOL_RECORDING_H

#include <stdio.h>
#include <jansson.h>
#include "model.h"

#define RECORDING_FORMAT	"exeunt-recording"
#define RECORDING_VERSION	1

/*
 * Limits of a file, so that the memory for reading it is bounded. recording_add_interval() keeps to the two for intervals by making them
 * longer; the others are far beyond what a source gives.
 */
#define RECORDING_MAX_BYTES	(512u << 20)
#define RECORDING_MAX_VMS	65536		/* of a recording */
#define RECORDING_MAX_VCPUS	65536		/* of a recording */
#define RECORDING_MAX_ROWS	4096		/* of a vCPU */
#define RECORDING_MAX_INTERVALS	65536		/* of a recording */
#define RECORDING_MAX_INTERVAL_ROWS (1u << 20)	/* of a recording */
#define RECORDING_MAX_INTERVAL_MS (1u << 30)

/*
 * What a vCPU did in an interval. An hour has thousands of intervals, so they are kept compact: recording_interval() makes a sample of
 * one.
 */
struct interval_vcpu {
	char engine[8];
	uint64_t vm;			/* its id */
	uint32_t vcpu;			/* its id */
	size_t nr_rows;			/* at least 1 */
	struct interval_row {
		uint64_t key, count, ticks;
	} *rows;			/* sorted by key, all of them in the recording's total */
};

struct interval {
	uint64_t begin_ns, end_ns;	/* from the recording's beginning */
	size_t nr_vcpus;
	struct interval_vcpu *vcpus;	/* sorted as in a sample; those with exits only */
};

struct recording {
	char *hostname, *kernel, *tool_version;
	char *command;			/* the words, quoted for a shell; NULL if there was none */
	int64_t begin_unix_ns;		/* CLOCK_REALTIME */
	uint64_t duration_ns;
	unsigned int interval_ms;	/* 0: no intervals were asked for */
	struct sample total;		/* of the whole time */
	size_t nr_intervals;		/* at least 1: without intervals the whole time is one */
	size_t intervals_room;		/* for recording_add_interval() */
	struct interval *intervals;	/* in their order; together they are the total */
	size_t nr_interval_rows;	/* of all intervals */
};

/*
 * Reads and checks: every number is bounded, every key is known or ignored as the format says. NULL, with a line in @error (truncated,
 * no JSON, another format, a newer version, which member is wrong), for anything else.
 */
struct recording *recording_read(FILE *f, char *error, size_t size);
struct recording *recording_parse(const char *text, size_t len, char *error, size_t size);
/* 0, or -1 with errno. */
int recording_write(const struct recording *r, FILE *f);
void recording_free(struct recording *r);

/*
 * Interval @i as a sample: the total's VMs and vCPUs with what they did then. count and total of its rows are right, what an interval
 * does not have (min, max, squares, histogram, counters) is 0.
 */
void recording_interval(const struct recording *r, size_t i, struct sample *delta);
/*
 * Appends an interval. Where that passes the limits, neighbours are joined and interval_ms grows; from then on what is added is joined,
 * too, until an interval is that long.
 */
void recording_add_interval(struct recording *r, uint64_t begin_ns, uint64_t end_ns, const struct sample *delta);
/* Removes what @t does not mean, and the VMs of other engines unless @engine is NULL. */
void recording_select(struct recording *r, const struct target *t, const char *engine);
/* Joins neighbours until there are at most @intervals with at most @rows rows in all, or one is left. */
void recording_coarsen(struct recording *r, size_t intervals, size_t rows);

/*
 * Moves *@v, in an interval whose vCPUs end at @end, on to @vm's vCPU @vcpu, or to the first behind it. Is it there? For a walk through
 * the vCPUs of a sample, in order.
 */
bool interval_seek(const struct interval_vcpu **v, const struct interval_vcpu *end, const struct vm *vm, uint32_t vcpu);

/* The parts, for `exeunt stat --json` and others that print them. New references. */
json_t *json_of_row(const struct vm *vm, const struct exeunt_row *row, bool histogram);
json_t *json_of_counters(const struct exeunt_counters *c);	/* what is not zero */
json_t *json_of_sample(const struct sample *s, bool histograms);

#endif
