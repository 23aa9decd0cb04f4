/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the payload `bench` share: how an operation says what is to be timed. bench.c does the timing.
 */
#ifndef GUEST_MEASURE_H
#define GUEST_MEASURE_H

#include "bench_operations.h"
#include "lib.h"

#define BENCH_ENUM(group, name, vcpus, together, what)	BENCH_##name,
enum { BENCH_OPERATIONS(BENCH_ENUM) NR_BENCHES };

#define IPI_VECTOR	0x50
#define STAMP_VECTOR	0x51	/* its handler is stamp_entry() */

struct ipi;

struct operation {
	void (*setup)(void);		/* may be NULL, as drain and finish */
	void (*once)(void);		/* is timed; */
	void (*drain)(void);		/* after each, not timed */
	u64 (*sample)(void);		/* or, instead of once(): the time itself, by time_once(), */
	bool whole;			/* or by another way, which has no cost of measuring in it */
	void (*finish)(void);
	unsigned int warm_up;		/* samples that are not kept; 0: as many as most have */
	/* The APIC stays in xAPIC mode: leaving x2APIC disables it, after which upstream takes longer ways for a second. */
	bool xapic;
	const struct ipi *ipi;		/* bench_ipi.c's */
};

/* Those of each file, by number; the others' are empty. */
extern const struct operation plain_operations[NR_BENCHES], ipi_operations[NR_BENCHES], memory_operations[NR_BENCHES];
extern const struct operation *operation;

/* The time from before to after once(); and when it began. */
u64 time_once(void (*once)(void), u64 *began);
/* How often once() or sample() has been called. */
extern u64 rounds;
/* A remark that goes with the result. */
extern const char *remark;

/* End here, without a result. */
void skip(const char *reason) __attribute__((noreturn));
void fail(const char *reason) __attribute__((noreturn));

/* Time stamps of stamp_entry(), 0 before it came; a cache line for each CPU. */
struct stamp {
	volatile u64 tsc;
	u64 unused[7];
};
extern struct stamp stamps[MON_MAX_VCPUS];
void stamp_entry(void);

u64 ticks(u64 us);
/* Ends in skip() where there is no TSC deadline. */
void need_deadline(void);
void need_pv_ipi(void);
/* KVM_HC_SEND_IPI of STAMP_VECTOR to the vCPUs whose APIC ids are first + the bits set. */
void pv_ipi(u64 bits, u64 first);

#endif
