/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the BPF program (exits.bpf.c) and the tool (source_bpf.c) share: the values of its maps, and how an exit is added to a row.
 *
 * Rows are struct exeunt_row with EXEUNT_KEY keys, as Exeunt's module gives them; times are nanoseconds in a histogram of
 * EXITS_HIST_SHIFT. The reason in a key is the number that the architecture gives:
 *
 *	isa 1, VMX	the basic exit reason, bits 15..0 of the field; so failed entries have their own (33, 34, 41)
 *	isa 2, SVM	EXITCODE; -1 is EXEUNT_REASON_INVALID
 *	isa 3, arm64	for traps the exception class, ESR_ELx.EC; else EXITS_ARM64_OTHER | the kernel's ARM_EXCEPTION_*:
 *			0x100 IRQ, 0x101 SError, 0x103 illegal exception return; 0x1ff any larger one
 *	others		as the kernel says
 *
 * EXITS_REASON_LARGE stands for any that does not fit into a key. Outcomes: EXEUNT_USER where KVM_RUN returned; EXEUNT_FAST as far as
 * it shows (on SVM, where the fast path's events come before the exit's); EXEUNT_KERNEL else.
 */
#ifndef EXITS_H
#define EXITS_H

#include <exeunt/stats.h>

#define EXITS_HIST_SHIFT	4	/* units of 16 ns; the last bucket begins at 64 s */
#define EXITS_REASON_LARGE	0xffdu
#define EXITS_ARM64_OTHER	0x100u
#define EXITS_VCPU_UNKNOWN	0xfffffu	/* this kernel's events do not tell: arm64; x86 before 5.8 */

/* Who an exit belongs to: process and thread (22 bits are as many as Linux has) and vCPU. */
#define EXITS_OWNER(tgid, tid, vcpu) ((__u64)(tgid) << 42 | (__u64)(tid) << 20 | ((vcpu) & EXITS_VCPU_UNKNOWN))
#define EXITS_OWNER_TGID(owner)	((__u32)((owner) >> 42))
#define EXITS_OWNER_TID(owner)	((__u32)((owner) >> 20) & 0x3fffffu)
#define EXITS_OWNER_VCPU(owner)	((__u32)(owner) & EXITS_VCPU_UNKNOWN)

/* Key of map rows. Its value is a struct exeunt_row, whose own key is 0 and whose min means nothing while count is 0. */
struct exits_row_key {
	__u64 owner;
	__u64 key;
};

/* Where a thread is, as its events tell. */
enum exits_place {
	EXITS_SOMEWHERE,	/* not known yet, or outside of KVM_RUN */
	EXITS_IN_GUEST,
	EXITS_HANDLING,		/* between an exit and the next entry, whether in KVM_RUN or not */
};

/*
 * A vCPU thread. Only the thread itself writes it, but for the tool, which empties that of a thread that is gone. They are in sets by the
 * thread's number, for a table of our own is a tenth of the price of the kernel's hash table.
 */
struct exits_thread {
	__u64 id;			/* process << 32 | thread; 0: free */
	__u64 exit_ns;			/* when the exit that it handles happened */
	__u64 key;			/* of that exit, as far as known */
	__u64 owner;
	__u64 ahead;			/* key's bits for the next exit, told before it */
	__u64 unaccounted;		/* exits without a row: no room for one, or one of the two events did not come */
	__u64 preemptions;		/* these three go into its counters */
	__u64 fpu_guest_loads;
	__u64 rows_lost;
	__u32 poll_window_ns;		/* how long it polls before it sleeps in a halt, as far as known */
	__u32 vcpu, first_vcpu;		/* those that it ran last and first: valid if isa is not 0 */
	__u32 place;			/* enum exits_place */
	__u32 in_run;			/* 1: in KVM_RUN, as far as its events tell */
	__u32 isa;			/* 0: no exit has told */
	__u32 nr_rows;
	__u32 reserved;
	char process[16];		/* name of its process's first thread */
};
#define EXITS_SETS		256u	/* a power of 2 */
#define EXITS_WAYS		16u
#define EXITS_THREADS		(EXITS_SETS * EXITS_WAYS)

/* Position of the highest bit of @x, which is not 0. */
static inline __u32 exits_log2(__u32 x)
{
	__u32 e = 0;

	if (x >> 16) {
		e = 16;
		x >>= 16;
	}
	if (x >> 8) {
		e += 8;
		x >>= 8;
	}
	if (x >> 4) {
		e += 4;
		x >>= 4;
	}
	if (x >> 2) {
		e += 2;
		x >>= 2;
	}
	return e + (x >> 1);
}

/* The histogram's bucket of @ns. */
static inline __u32 exits_bucket(__u64 ns)
{
	__u64 units = ns >> EXITS_HIST_SHIFT;
	__u32 x = units > 0xffffffffu ? 0xffffffffu : units;
	__u32 octave = exits_log2(x | 8) - 3;

	return octave * 8 + (x >> octave);
}

/* Adds the square of @ns, in 128 bits by 32-bit halves: BPF has no wider multiplication than 64 bits to 64. */
static inline void exits_add_square(struct exeunt_row *row, __u64 ns)
{
	__u64 low = ns & 0xffffffffu, high = ns >> 32;
	__u64 square = low * low, old;

	if (high) {
		__u64 cross = high * low, low_square = square;

		square += cross << 33;
		row->square_hi += high * high + (cross >> 31) + (square < low_square);
	}
	old = row->square_lo;
	row->square_lo = old + square;
	row->square_hi += row->square_lo < old;
}

/* The compiler moves no access across this. */
#define exits_barrier()	asm volatile("" : : : "memory")

/*
 * Counts an exit that took @ns. The count is the first to change and the histogram the last: a reader who sees twice the same row, and as
 * many exits in the histogram as in the count, has a whole one.
 */
static inline void exits_count(struct exeunt_row *row, __u64 ns)
{
	__u32 bucket = exits_bucket(ns);

	if (!row->count || ns < row->min)
		row->min = ns;
	row->count++;
	exits_barrier();
	row->total += ns;
	if (ns > row->max)
		row->max = ns;
	exits_add_square(row, ns);
	exits_barrier();
	if (bucket < EXEUNT_HIST_BUCKETS)	/* always: this is for the verifier */
		row->hist[bucket]++;
}

#endif
