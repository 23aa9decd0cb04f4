/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sample as metrics, in OpenMetrics 1.0 or in Prometheus's text format before it. docs/metrics.md lists them; metrics_families.c makes
 * them. What is kept from one text to the next makes the series those of counters: a series, once there, stays and does not go back.
 */
#ifndef EXEUNT_TOOL_METRICS_H
#define EXEUNT_TOOL_METRICS_H

#include "model.h"

struct metrics_options {
	unsigned int max_series;	/* values that an open-ended label (MSR, port, vector ...) may have per VM, besides "other"; from 1 */
	bool per_vm;			/* the vCPUs of a VM are added up, and there is no label "vcpu" */
	uint64_t keep_ended_ns;		/* a VM that has ended is shown for so long from when that was seen */
};

#define METRICS_MAX_SERIES	32
#define METRICS_KEEP_ENDED_NS	(300 * 1000000000ull)	/* how long Prometheus takes a series for current after its last sample */

enum metrics_format { METRICS_OPENMETRICS, METRICS_PROMETHEUS };

struct metrics;

struct metrics *metrics_new(const struct metrics_options *o);
void metrics_free(struct metrics *m);
/* All of @s, whose time_ns must not go back from call to call. The caller frees the text; @len is without its NUL. */
char *metrics_text(struct metrics *m, const struct sample *s, enum metrics_format format, size_t *len);

/* The value of HTTP's Content-Type. */
const char *metrics_content_type(enum metrics_format format);
/* What a client prefers by its Accept header, NULL if it sent none. OpenMetrics unless it likes text/plain better. */
enum metrics_format metrics_preferred(const char *accept);

#endif
