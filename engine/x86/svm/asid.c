// SPDX-License-Identifier: GPL-2.0
/*
 * ASID allocation. Owns struct asid and struct asid_cpu. Emulators flush on every VMRUN and hide mistakes here, so the unit test
 * checks the rule itself: no two vCPUs share an ASID in one generation of one CPU without a flush between.
 */
#include "x86/svm/asid.h"
#include "x86/svm/vmcb.h"

void asid_cpu_init(struct asid_cpu *c, u32 nr)
{
	c->nr = nr;
	c->next = nr;		/* the first vCPU starts a new generation, with a flush */
	c->generation++;	/* never back: a vCPU may still hold an id from before the CPU went down */
}

u8 asid_prepare(struct asid *a, struct asid_cpu *c, u32 cpu, bool by_asid)
{
	bool valid = a->generation == c->generation && a->cpu == cpu && c->generation;

	if (valid && !a->flush)
		return TLB_KEEP;
	a->flush = false;
	if (valid && by_asid)
		return TLB_FLUSH_GUEST;

	a->cpu = cpu;
	if (c->next < c->nr) {
		a->id = c->next++;
		a->generation = c->generation;
		return TLB_KEEP;
	}
	c->generation++;
	c->next = 2;
	a->id = 1;
	a->generation = c->generation;
	return TLB_FLUSH_ALL;
}
