/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address space ids (APM vol. 2, 15.16): every CPU hands out 1..nr-1 in turn; when they run out it flushes everything and starts
 * a new generation. A vCPU keeps its ASID while it stays on the CPU and the generation lasts.
 */
#ifndef EXEUNT_SVM_ASID_H
#define EXEUNT_SVM_ASID_H

#include "host.h"

/* One per CPU; touched only by that CPU with preemption off. */
struct asid_cpu {
	u64 generation;		/* 0: not started */
	u32 next, nr;
};

/* One per vCPU. */
struct asid {
	u64 generation;
	u32 cpu;
	u32 id;
	bool flush;		/* the vCPU's translations are stale */
};

/* Nothing has changed since the last entry: asid_prepare() would keep everything as it is. */
static __always_inline bool asid_is_ready(const struct asid *a, const struct asid_cpu *c, u32 cpu)
{
	return a->generation == c->generation && a->cpu == cpu && c->generation && !a->flush;
}

/*
 * Makes @a valid on this CPU. @by_asid: the CPU can flush one ASID. Returns the VMCB's TLB control: TLB_KEEP, TLB_FLUSH_ALL when a
 * generation begins, TLB_FLUSH_GUEST when only this ASID is stale. Without @by_asid a stale ASID is replaced by a fresh one.
 */
u8 asid_prepare(struct asid *a, struct asid_cpu *c, u32 cpu, bool by_asid);
/* Marks the vCPU's translations stale. */
static inline void asid_flush(struct asid *a) { a->flush = true; }
/* The flush that asid_prepare asked for may not have happened: the next one starts a new generation. */
static inline void asid_flush_owed(struct asid *a, struct asid_cpu *c)
{
	a->generation = 0;
	c->next = c->nr;
}
/* A CPU comes up, for the first time or again: its ids start at 1 and end below @nr (CPUID 8000_000Ah EBX). @c was zeroed once. */
void asid_cpu_init(struct asid_cpu *c, u32 nr);

#endif
