/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Puts a vCPU of the test machine into a processor mode, and builds page tables for it in the
 * machine's memory.
 */
#ifndef EXEUNT_TESTS_GUEST_H
#define EXEUNT_TESTS_GUEST_H

#include "machine.h"

#define PTE_P		1ull
#define PTE_W		2ull
#define PTE_U		4ull
#define PTE_A		0x20ull
#define PTE_D		0x40ull
#define PTE_PS		0x80ull
#define PTE_NX_BIT	(1ull << 63)

#define TABLES_START	0x10000ull	/* page tables: [start, end) of guest memory */
#define TABLES_END	0x40000ull

enum guest_mode { GUEST_REAL, GUEST_32, GUEST_PAE, GUEST_LONG, GUEST_LA57 };

struct guest {
	struct machine *m;
	struct vcpu *v;
	enum guest_mode mode;
	u64 next_table;
};

static inline u64 guest_peek(struct guest *g, u64 gpa, u32 size)
{
	u64 value = 0;

	if (host_guest_read(&g->m->vm, gpa, &value, size))
		abort();
	return value;
}

static inline void guest_poke(struct guest *g, u64 gpa, u64 value, u32 size)
{
	if (host_guest_write(&g->m->vm, gpa, &value, size))
		abort();
}

static inline u64 guest_new_table(struct guest *g)
{
	u64 table = g->next_table;

	if (table >= TABLES_END)
		abort();
	g->next_table += 4096;
	memset(g->m->mem + table, 0, 4096);
	return table;
}

static inline void guest_set_segment(struct vcpu *v, unsigned int seg, u16 selector, u64 base,
				     u32 limit, u16 attrib)
{
	struct kvm_segment s = {
		.base = base, .limit = limit, .selector = selector,
		.type = attrib & 15, .s = attrib >> 4 & 1, .dpl = attrib >> 5 & 3,
		.present = attrib >> 7 & 1, .l = attrib >> 9 & 1, .db = attrib >> 10 & 1,
		.g = attrib >> 11 & 1,
	};

	vcpu_set_segment(v, seg, &s);
}

static inline unsigned int guest_levels(enum guest_mode mode)
{
	return mode == GUEST_32 ? 2 : mode == GUEST_PAE ? 3 : mode == GUEST_LONG ? 4 : 5;
}

/* Flat segments and control registers of @mode at CPL 0, no pages mapped. */
static inline void guest_set_mode(struct guest *g, enum guest_mode mode)
{
	struct vmcb_save *s = &VMCB(g->v)->s;
	bool is64 = mode >= GUEST_LONG;

	g->mode = mode;
	g->next_table = TABLES_START;
	s->rflags = FLAG_FIXED;
	s->cpl = 0;
	s->cr0 = CR0_ET_BIT;
	s->cr3 = s->cr4 = s->efer = 0;
	for (unsigned int seg = SEG_ES; seg <= SEG_GS; seg++) {
		u16 attrib = seg == SEG_CS ? 0x9b : 0x93;

		if (mode == GUEST_REAL)
			guest_set_segment(g->v, seg, 0, 0, 0xffff, attrib);
		else if (seg == SEG_CS)
			guest_set_segment(g->v, seg, 0x08, 0, 0xffffffff,
					  attrib | 0x800 | (is64 ? 0x200 : 0x400));
		else
			guest_set_segment(g->v, seg, 0x10, 0, 0xffffffff, attrib | 0xc00);
	}
	if (mode == GUEST_REAL)
		return;
	s->cr0 |= CR0_PE_BIT | CR0_PG_BIT | CR0_WP_BIT;
	if (mode != GUEST_32)
		s->cr4 |= CR4_PAE_BIT;
	if (mode == GUEST_LA57)
		s->cr4 |= CR4_LA57_BIT;
	if (is64)
		s->efer = EFER_LME_BIT | EFER_LMA_BIT;
	if (mode != GUEST_32)
		s->efer |= EFER_NXE_BIT;
	s->cr3 = guest_new_table(g);
}

/*
 * Where the entry lies that translates @gva, @above levels over the last one (0: a 4 KiB page);
 * tables on the way are made with all permissions.
 */
static inline u64 guest_entry(struct guest *g, u64 gva, unsigned int above)
{
	unsigned int levels = guest_levels(g->mode), bits = g->mode == GUEST_32 ? 10 : 9;
	unsigned int size = g->mode == GUEST_32 ? 4 : 8, level;
	u64 table = VMCB(g->v)->s.cr3 & ~0xfffull, at;

	for (level = levels - 1;; level--) {
		at = table + (gva >> (12 + level * bits) & ((1u << bits) - 1)) * size;
		if (level == above)
			return at;
		if (!(guest_peek(g, at, size) & PTE_P)) {
			bool pdpte = g->mode == GUEST_PAE && level == 2;
			u64 all = pdpte ? PTE_P : PTE_P | PTE_W | PTE_U;

			guest_poke(g, at, guest_new_table(g) | all, size);
		}
		table = guest_peek(g, at, size) & 0xffffffffff000ull;
	}
}

static inline void guest_set_entry(struct guest *g, u64 gva, unsigned int above, u64 entry)
{
	guest_poke(g, guest_entry(g, gva, above), entry, g->mode == GUEST_32 ? 4 : 8);
}

static inline void guest_map(struct guest *g, u64 gva, u64 gpa, u64 flags)
{
	guest_set_entry(g, gva, 0, gpa | flags);
}

static inline void guest_create(struct guest *g, u64 mem_size)
{
	g->m = machine_create(mem_size);
	g->v = machine_add_vcpu(g->m, 0);
}

#endif
