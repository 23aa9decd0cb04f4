/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Always-on accounting of exits: one row for each kind of exit of a vCPU (include/exeunt/stats.h says what a kind is), and counters.
 *
 * An exit is counted when its vCPU enters the guest next, in one place, with one update of one row: what it was about and what came
 * of it is collected in a key until then. Totals by reason are for readers to add up. Only the vCPU's thread writes, interrupts off;
 * anybody may read at any time (stats_read_rows): each row has a sequence number that is odd while it changes.
 */
#ifndef EXEUNT_STATS_ENGINE_H
#define EXEUNT_STATS_ENGINE_H

#include "host.h"
#include <exeunt/stats.h>

#define STATS_HIST_SHIFT	4	/* histograms tell 16 cycles apart */
#define STATS_SLOT_BITS		12	/* far more than rows: most keys have their first slot to themselves */
#define STATS_SLOTS		(1u << STATS_SLOT_BITS)
#define STATS_MAX_DETAILED	448	/* rows with a detail; the rest of EXEUNT_MAX_ROWS is for reasons and "others" */
#define STATS_SPARES		4
#define STATS_EARLY		59
/* No exit was noted: so far back that it is never taken for a time. */
#define STATS_NEVER		(1ull << 63)
/* The key of row 0: exits of every kind, memory being short. */
#define STATS_LOST_KEY		EXEUNT_KEY(EXEUNT_REASON_LOST, EXEUNT_PLAIN, EXEUNT_KERNEL, EXEUNT_DETAIL_OTHERS)

/*
 * A row as it is kept: most kinds of exits happen a few times, when a guest starts, and need no histogram of 2 KiB. The buckets of the
 * first exits are written down one by one, and become a histogram when there is no more room.
 */
struct stats_row {
	u64 key;
	u64 seq;		/* odd while the row changes */
	u64 total, min, max;
	u64 square_lo, square_hi;
	u64 *hist;		/* EXEUNT_HIST_BUCKETS; NULL: early */
	u32 unplaced;		/* exits with no room in either, memory being short */
	u8 nr_early;
	u8 early[STATS_EARLY];
};

/* Times of halts that have a histogram: bucket 0 is for 0 ns, bucket n for 2^(n - 1) ns and more, the last also for all longer ones. */
enum stats_halt { STATS_POLL_WON, STATS_POLL_LOST, STATS_WAIT, STATS_WAKE, STATS_HALTS };
#define STATS_HALT_BUCKETS	32

struct vcpu_stats {
	u64 since;		/* cycles at the last exit, or STATS_NEVER */
	u64 key;		/* of that exit */
	bool inner_counts;	/* the inner loop counts: as host_accounting() was when it was entered */
	u16 slot[STATS_SLOTS];	/* index in @row by hash of the key; 0: free */
	/* Row 0 is for exits that can have no other. Filled by the vCPU's thread, read by anyone, never emptied. */
	struct stats_row *row[EXEUNT_MAX_ROWS];
	u32 nr_rows;		/* released after the row */
	u32 nr_detailed;
	struct stats_row *spare_row[STATS_SPARES];
	u64 *spare_hist[STATS_SPARES];
	u32 nr_spare_rows, nr_spare_hists;
	/* What can be computed from others is left out here: stats_read_counters() does. */
	struct exeunt_counters counters;
	u64 fpu_reloads;	/* the guest's vector state had left the CPU within KVM_RUN and came back */
	u64 ipi_one[8][2][EXEUNT_TARGETS];	/* IPIs taken by one: ipis and ipi_targets are made of it */
	u64 halt_hist[STATS_HALTS][STATS_HALT_BUCKETS];
};

/* NULL: no memory. May sleep. */
struct vcpu_stats *stats_create(void);
/* NULL is allowed. */
void stats_destroy(struct vcpu_stats *s);
/* Allocates the spare rows that new kinds of exits took (REQ_STATS). vCPU thread, may sleep. */
void stats_refill(struct vcpu_stats *s);

/* Counts an exit that is not the common case of stats_enter(). False: it took spare rows. vCPU thread, interrupts off. */
bool stats_count_rare(struct vcpu_stats *s, u64 cycles);

/* Copies up to @room rows, each consistent in itself. The number of rows that there are. Any thread, while @s lives. */
u32 stats_read_rows(const struct vcpu_stats *s, struct exeunt_row *rows, u32 room);
/* Copies the counters; they change meanwhile, each by itself. Any thread, while @s lives. */
void stats_read_counters(const struct vcpu_stats *s, struct exeunt_counters *c);
/* Copies one row as it was at one moment. */
void stats_read_row(const struct stats_row *from, struct exeunt_row *to);

static __always_inline u32 stats_slot(u64 key)
{
	return (key * 0x9e3779b97f4a7c15ull) >> (64 - STATS_SLOT_BITS);
}

#define STATS_HIST_BITS		(32 + STATS_HIST_SHIFT)	/* of the longest time that has a bucket of its own */

/* See struct exeunt_row. @cycles below 1 << STATS_HIST_BITS. */
static __always_inline u32 stats_bucket(u64 cycles)
{
	u32 x = cycles >> STATS_HIST_SHIFT, e = 31 - __builtin_clz(x | 8);

	return (e - 3) * 8 + (x >> (e - 3));
}

/* What both ways of counting do: all but the histogram. */
static __always_inline void stats_add_time(struct stats_row *r, u64 cycles)
{
	u64 high, low = host_square(cycles, &high);
	bool carry;

	r->total += cycles;
	if (cycles < r->min)
		r->min = cycles;
	if (cycles > r->max)
		r->max = cycles;
	carry = __builtin_add_overflow(r->square_lo, low, &r->square_lo);
	r->square_hi += high + carry;
}

static __always_inline void stats_begin_change(struct stats_row *r)
{
	r->seq++;
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static __always_inline void stats_end_change(struct stats_row *r)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	r->seq++;
}

/*
 * Counts the exit that took @cycles until now, if it is one of the common case: its row is there and has a histogram, and the time one of
 * its buckets. False: stats_count_rare() has to.
 */
static __always_inline bool stats_count(struct vcpu_stats *s, u64 cycles)
{
	struct stats_row *r = s->row[s->slot[stats_slot(s->key)]];

	if (unlikely(r->key != s->key || !r->hist || cycles >> STATS_HIST_BITS))
		return false;
	stats_begin_change(r);
	stats_add_time(r, cycles);
	r->hist[stats_bucket(cycles)]++;
	stats_end_change(r);
	return true;
}

/* The guest is about to be entered: counts the exit before, if there was one. False: stats_refill() is due. vCPU thread, interrupts off. */
static __always_inline bool stats_enter(struct vcpu_stats *s)
{
	u64 cycles;

	if (!host_accounting())
		return true;
	cycles = host_tsc() - s->since;
	return likely(stats_count(s, cycles)) || stats_count_rare(s, cycles);
}

/* The guest was left for @reason. Interrupts off. */
static __always_inline void stats_exit(struct vcpu_stats *s, u32 reason)
{
	if (!host_accounting()) {
		/* Nor does an exit count any more that came before the switch went off. */
		s->since = STATS_NEVER;
		return;
	}
	s->key = reason & 0xfff;
	s->since = host_tsc();
}

/* What the exit is about, known from its first access on. vCPU thread. */
static __always_inline void stats_detail(struct vcpu_stats *s, enum exeunt_kind kind, u64 detail)
{
	if (host_accounting())
		s->key |= EXEUNT_KEY(0, kind, 0, detail);
}

/* All at once, for an exit that the fast path has dealt with. vCPU thread. */
static __always_inline void stats_fast(struct vcpu_stats *s, u32 reason, enum exeunt_kind kind, u64 detail)
{
	s->key = EXEUNT_KEY(reason, kind, EXEUNT_FAST, detail);
}

/* The inner loop may run until the host is back: whether it counts. Interrupts off. */
static __always_inline void stats_allow_inner(struct vcpu_stats *s)
{
	s->inner_counts = host_accounting();
}

/* The exit that the inner loop has dealt with last, at @since, is counted by the host when the guest is entered next. */
static __always_inline void stats_leave_inner(struct vcpu_stats *s, u64 since)
{
	s->since = s->inner_counts ? since : STATS_NEVER;
}

static inline void stats_mmio(struct vcpu_stats *s, bool write, u64 gpa)
{
	if (EXEUNT_KEY_KIND(s->key) == EXEUNT_PLAIN)
		stats_detail(s, write ? EXEUNT_MMIO_WRITE : EXEUNT_MMIO_READ, gpa >> 12);
}

/* Who dealt with the exit: the kernel, unless this is said. The last word counts: the VMM's, where the fast path's had been said. vCPU thread. */
static __always_inline void stats_outcome(struct vcpu_stats *s, enum exeunt_outcome outcome)
{
	s->key = (s->key & ~EXEUNT_KEY(0, 0, 3, 0)) | EXEUNT_KEY(0, 0, outcome, 0);
}

/* @n more, or one more, of what @field of struct exeunt_counters counts. vCPU thread. */
#define stats_add_to(v, field, n) \
	do { \
		if (host_accounting()) \
			(v)->stats->counters.field += (n); \
	} while (0)
#define stats_inc(v, field)	stats_add_to(v, field, 1)

/* One vCPU took an IPI, and was doing @state. vCPU thread of the sender. */
static __always_inline void stats_ipi_one(struct vcpu_stats *s, u32 mode, bool logical, enum exeunt_target state)
{
	if (host_accounting())
		s->ipi_one[mode & 7][logical][state]++;
}

/* vCPU thread. */
static inline void stats_halt(struct vcpu_stats *s, enum stats_halt what, u64 ns)
{
	u32 bucket = ns ? 64 - __builtin_clzll(ns) : 0;

	if (host_accounting())
		s->halt_hist[what][min(bucket, STATS_HALT_BUCKETS - 1u)]++;
}

/* KVM_RUN returns @r (0 or -errno) with @exit_reason in kvm_run, which the VMM can write: it is bounded here. vCPU thread. */
static inline void stats_user_exit(struct vcpu_stats *s, u32 exit_reason, int r)
{
	u32 i = exit_reason < EXEUNT_USER_IMMEDIATE ? exit_reason : EXEUNT_USER_OTHER;

	if (!host_accounting())
		return;
	if (unlikely(r < 0))
		i = r != -EINTR ? EXEUNT_USER_ERROR : host_signal_pending() ? KVM_EXIT_INTR : EXEUNT_USER_IMMEDIATE;
	s->counters.user_exits[i % EXEUNT_USER_REASONS]++;
}

#endif
