/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What `exeunt top` has seen: the last sample, what happened since the one before and since the beginning, and how the rates went.
 * A VM that ends stays for a few seconds.
 */
#ifndef EXEUNT_TOOL_TOP_DATA_H
#define EXEUNT_TOOL_TOP_DATA_H

#include "model.h"

#define ENDED_VISIBLE_NS	5000000000ull	/* how long an ended VM is shown */
#define TREND_TICKS		180		/* samples that a trend goes back */

/* A part of a sample: a VM, a vCPU, their exits of one reason or one detail. Also the identity of what stands for it on the screen. */
struct part {
	char engine[8];
	uint64_t vm;
	bool all_vcpus;
	uint32_t vcpu;			/* 0 if all */
	uint64_t key, key_mask;		/* rows whose key is that under the mask; 0: all */
};

#define REASON_MASK	0xfffull
#define DETAIL_MASK	(~(3ull << EXEUNT_OUTCOME_SHIFT))

bool part_is(const struct part *a, const struct part *b);

/* What a part did. */
struct figures {
	struct exeunt_row sum;		/* in the VM's ticks; its key is the part's */
	uint64_t user;			/* of sum.count, by the VMM */
	uint64_t halt_wait_ns;		/* of whole vCPUs */
	double seconds;			/* in which time */
};

struct top_vm;
struct trend;

struct top_data {
	unsigned int samples;		/* taken so far */
	uint64_t first_ns;		/* when the first was */
	struct sample first, now;	/* cumulative */
	struct sample interval, total;	/* @now since the sample before, since @first */
	uint64_t interval_ns;
	size_t nr_vms;
	struct top_vm *vms;		/* every VM ever seen */
	size_t nr_trends, sorted_trends, trends_room;
	struct trend **trends;		/* the first @sorted_trends in the order of a sample's rows */
	uint64_t tick_ns[TREND_TICKS + 1];	/* a ring: when the last samples were */
};

/* Takes @s over. */
void top_data_add(struct top_data *d, struct sample *s);
/* Forgets VMs that ended long enough before @now_ns. */
void top_data_forget(struct top_data *d, uint64_t now_ns);
void top_data_free(struct top_data *d);

/* The VM in @s that @p belongs to; NULL if there is none. */
const struct vm *part_vm(const struct sample *s, const struct part *p);
/* What @p did: since the beginning, or in the last interval. All 0 if it is not there. */
void top_data_figures(const struct top_data *d, const struct part *p, bool cumulative, struct figures *f);
/* Exits per second of @p, one for each of the last samples, oldest first; returns how many there are, up to TREND_TICKS. */
unsigned int top_data_trend(const struct top_data *d, const struct part *p, float rates[TREND_TICKS]);
/* The time that those cover. */
double top_data_trend_seconds(const struct top_data *d);

#endif
