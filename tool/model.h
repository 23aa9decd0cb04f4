/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tool knows of virtual machines at one moment, whoever said it (a source, or a recording): VMs, their vCPUs, and of each
 * vCPU rows (one for each kind of exit) and counters. Everything is cumulative since the vCPU, or the watching, began; model_diff()
 * makes an interval of two moments. Plain data with value semantics: a sample owns what it points to.
 */
#ifndef EXEUNT_TOOL_MODEL_H
#define EXEUNT_TOOL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <exeunt/stats.h>

enum isa { ISA_UNKNOWN, ISA_VMX, ISA_SVM, ISA_ARM64 };

struct vcpu {
	uint32_t id;
	pid_t tid;			/* 0: not known */
	struct exeunt_counters counters;
	size_t nr_rows;
	struct exeunt_row *rows;	/* sorted by key; times in ticks of the VM */
};

struct vm {
	uint64_t id;			/* of its source */
	pid_t pid;
	char name[64];			/* QEMU's -name guest=..., else the process's name; never empty */
	char engine[8];			/* "exeunt" or "kvm" */
	uint32_t isa;			/* enum isa, or whatever number the kernel said */
	bool ended;
	double tick_ns;			/* nanoseconds in a tick of the rows' times */
	unsigned int hist_shift;	/* see struct exeunt_row */
	uint64_t unaccounted;		/* exits that the source saw and could not keep (a full table); 0 on Exeunt */
	size_t nr_vcpus;
	struct vcpu *vcpus;		/* sorted by id */
};

struct sample {
	uint64_t time_ns;		/* CLOCK_MONOTONIC */
	size_t nr_vms;
	struct vm *vms;			/* sorted by engine, then id */
};

/* Which part of a sample is meant; a zeroed one means all. */
struct target {
	pid_t pid;			/* 0: any */
	const char *vm;			/* NULL: any; else a VM's name */
	bool one_vcpu;
	uint32_t vcpu;
};

void sample_free(struct sample *s);			/* and zeroes it */
/* Deep copy; aborts on lack of memory, as every allocation here. */
void sample_copy(struct sample *to, const struct sample *from);
/* Does @t mean @vm, be it for one vCPU of it? */
bool target_means(const struct target *t, const struct vm *vm);
/* Removes what @t does not mean. */
void sample_select(struct sample *s, const struct target *t);
/*
 * What happened between two moments: counts and times of @later less those of @earlier, VM by VM, vCPU by vCPU; what @earlier does not
 * have counts whole. VMs and vCPUs of @later are all there, rows only where there were exits; a number that went back counts 0. min and
 * max of an interval cannot be known from cumulative ones: they are the bounds of the outermost buckets that grew, cut to the
 * cumulative min and max (and those themselves where @earlier had no such exit).
 */
void sample_diff(struct sample *out, const struct sample *later, const struct sample *earlier);

/* Adds @b to @a; a->key stays. Both in the same ticks. */
void row_add(struct exeunt_row *a, const struct exeunt_row *b);
/* A row without exits. */
void row_init(struct exeunt_row *r, uint64_t key);
double row_mean(const struct exeunt_row *r);		/* ticks; 0 if there is none */
double row_variance(const struct exeunt_row *r);	/* of one exit's time, ticks squared, n - 1; 0 if count < 2 */
double row_error(const struct exeunt_row *r);		/* standard error of the mean as a share of the mean, 0..; 0 if count < 2 */
/*
 * The time that a share @p (0..1) of the exits did not exceed, in ticks: the middle of the bucket where it lies, cut to min and max.
 * Off by at most 1/16. 0 if there is none.
 */
double row_percentile(const struct exeunt_row *r, unsigned int hist_shift, double p);
/* Bucket of a time in ticks, and a bucket's bounds [low, high) in ticks. */
unsigned int hist_bucket(uint64_t ticks, unsigned int hist_shift);
uint64_t hist_low(unsigned int bucket, unsigned int hist_shift);

void counters_add(struct exeunt_counters *a, const struct exeunt_counters *b);

/* A table: the rows of a sample brought together by what one wants to see. */
enum view { VIEW_REASON, VIEW_MSR, VIEW_PIO, VIEW_MMIO, VIEW_HYPERCALL };
struct table {
	uint32_t isa;
	double tick_ns;
	unsigned int hist_shift;
	char engine[8];
	struct exeunt_row all;		/* every exit of the sample, whether the view shows it or not */
	size_t nr;
	struct table_row {
		char name[48];		/* what exit_name() and kind_name() say */
		struct exeunt_row sum;	/* key: reason for VIEW_REASON; kind and detail (reason and outcome 0) for the others */
		uint64_t outcomes[EXEUNT_OUTCOMES];	/* of sum.count */
	} *rows;			/* most exits first */
	struct exeunt_counters counters;
};
/*
 * Brings the VMs of @s that @engine ("exeunt", "kvm") runs together. VIEW_MSR and the others have rows for exits of these kinds only.
 * A sample with VMs of both engines makes two tables: their ticks differ.
 */
void table_make(struct table *t, const struct sample *s, const char *engine, enum view view);
void table_free(struct table *t);

#endif
