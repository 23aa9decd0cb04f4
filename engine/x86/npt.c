// SPDX-License-Identifier: GPL-2.0
/*
 * Nested page tables. Owns struct npt and the tables. Every change is made with host_mmu_lock held; the CPU reads (and sets accessed
 * and dirty bits) without it. Nested entries need U=1 because the CPU treats all nested accesses as user's (APM vol. 2, 15.25.5).
 */
#include "x86/vcpu.h"

#define NPT_P		(1ull << 0)
#define NPT_W		(1ull << 1)
#define NPT_U		(1ull << 2)
#define NPT_A		(1ull << 5)
#define NPT_LARGE	(1ull << 7)
#define NPT_ADDR	0x000ffffffffff000ull

#define ENTRIES		512

/* Guest frames that one entry at @level (0: 4 KiB leaf) covers. */
static u64 span(unsigned int level)
{
	return 1ull << (9 * level);
}

static unsigned int index_at(u64 gfn, unsigned int level)
{
	return gfn >> (9 * level) & (ENTRIES - 1);
}

static bool is_leaf(u64 entry, unsigned int level)
{
	return level == 0 || (entry & NPT_LARGE);
}

/* The CPU may set A and D at any time, so entries are replaced atomically. */
static u64 replace(u64 *entry, u64 value)
{
	return __atomic_exchange_n(entry, value, __ATOMIC_RELEASE);
}

int npt_create(struct vm *vm, unsigned int levels)
{
	struct npt *npt = &vm->npt;

	if (host_table_topup(vm))
		return -ENOMEM;
	npt->root = host_table_alloc(vm, &npt->root_pa);
	if (!npt->root)
		return -ENOMEM;
	npt->levels = levels;
	npt->nr_tables = 1;
	npt->detached = 0;
	return 0;
}

static void detach(struct npt *npt, u64 table_pa)
{
	u64 *table = host_table_va(table_pa);

	table[0] = npt->detached;
	npt->detached = table_pa;
}

/* Detaches the table at @pa, whose entries are of @level, and all below it. */
static void detach_tree(struct npt *npt, u64 pa, unsigned int level)
{
	u64 *table = host_table_va(pa);

	for (unsigned int i = 0; i < ENTRIES; i++) {
		u64 e = replace(&table[i], 0);

		if ((e & NPT_P) && !is_leaf(e, level))
			detach_tree(npt, e & NPT_ADDR, level - 1);
	}
	detach(npt, pa);
}

void npt_reap(struct vm *vm)
{
	struct npt *npt = &vm->npt;

	while (npt->detached) {
		u64 *table = host_table_va(npt->detached);

		npt->detached = table[0];
		table[0] = 0;
		host_table_free(vm, table);
		npt->nr_tables--;
	}
}

/* Frees a table, whose entries are of @level, and all below it: nobody uses them any more. */
static void free_tree(struct vm *vm, u64 *table, unsigned int level)
{
	for (unsigned int i = 0; level && i < ENTRIES; i++)
		if ((table[i] & NPT_P) && !is_leaf(table[i], level))
			free_tree(vm, host_table_va(table[i] & NPT_ADDR), level - 1);
	host_table_free(vm, table);
	vm->npt.nr_tables--;
	if (level > 1)
		host_resched();
}

void npt_destroy(struct vm *vm)
{
	struct npt *npt = &vm->npt;

	if (!npt->root)
		return;
	free_tree(vm, npt->root, npt->levels - 1);
	npt->root = NULL;
}

enum change { UNMAP, PROTECT, AGE, AGE_CLEAR };

/* Applies @how to one leaf. True if translations that a TLB may hold became stale (for ageing: if it was accessed). */
static bool change_leaf(u64 *entry, unsigned int level, enum change how)
{
	u64 e = __atomic_load_n(entry, __ATOMIC_RELAXED);

	switch (how) {
	case UNMAP:
		replace(entry, 0);
		return true;
	case PROTECT:
		if (!(e & NPT_W))
			return false;
		if (level)
			replace(entry, 0);	/* comes back as 4 KiB pages, one by one */
		else
			__atomic_fetch_and(entry, ~NPT_W, __ATOMIC_RELEASE);
		return true;
	case AGE_CLEAR:
		if (e & NPT_A)
			__atomic_fetch_and(entry, ~NPT_A, __ATOMIC_RELEASE);
		return e & NPT_A;
	case AGE:
		return e & NPT_A;
	}
	return false;
}

/* Visits the leaves of [@start, @end) under @table, whose entries are of @level and which begins at frame @base. */
static bool change_range(struct npt *npt, u64 *table, unsigned int level, u64 base, u64 start, u64 end, enum change how)
{
	unsigned int first = start > base ? (start - base) / span(level) : 0;
	bool stale = false;

	for (unsigned int i = first; i < ENTRIES; i++) {
		u64 from = base + i * span(level);
		u64 e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);

		if (from >= end)
			break;
		if (!(e & NPT_P))
			continue;
		if (is_leaf(e, level)) {
			stale |= change_leaf(&table[i], level, how);
		} else if (how == UNMAP && from >= start && from + span(level) <= end) {
			replace(&table[i], 0);
			detach_tree(npt, e & NPT_ADDR, level - 1);
			stale = true;
		} else {
			stale |= change_range(npt, host_table_va(e & NPT_ADDR), level - 1, from, start, end, how);
		}
	}
	return stale;
}

static bool change(struct vm *vm, u64 start, u64 end, enum change how)
{
	struct npt *npt = &vm->npt;

	if (!npt->root || start >= end)
		return false;
	return change_range(npt, npt->root, npt->levels - 1, 0, start, end, how);
}

bool npt_unmap(struct vm *vm, u64 start, u64 end)
{
	return change(vm, start, end, UNMAP);
}

bool npt_write_protect(struct vm *vm, u64 start, u64 end)
{
	return change(vm, start, end, PROTECT);
}

bool npt_age(struct vm *vm, u64 start, u64 end, bool clear)
{
	return change(vm, start, end, clear ? AGE_CLEAR : AGE);
}

/*
 * The entry of @level that translates @gfn, making the tables above it. NULL if no table could be had, or if a large leaf is in
 * the way (*@blocked: it already maps the frame).
 */
static u64 *walk_to(struct vm *vm, u64 gfn, unsigned int level, bool *blocked)
{
	struct npt *npt = &vm->npt;
	u64 *table = npt->root;

	*blocked = false;
	for (unsigned int l = npt->levels - 1; l > level; l--) {
		u64 *entry = &table[index_at(gfn, l)];
		u64 e = *entry;

		if (!(e & NPT_P)) {
			u64 pa;
			u64 *next = host_table_alloc(vm, &pa);

			if (!next)
				return NULL;
			npt->nr_tables++;
			replace(entry, pa | NPT_P | NPT_W | NPT_U | NPT_A);
			table = next;
			continue;
		}
		if (is_leaf(e, l)) {
			*blocked = true;
			return entry;
		}
		table = host_table_va(e & NPT_ADDR);
	}
	return &table[index_at(gfn, level)];
}

/* Maps @gfn to @page with the lock held. 0; -ENOMEM; *@flush set if an old translation was replaced. */
static int map(struct vm *vm, u64 gfn, const struct host_page *page, bool *flush)
{
	unsigned int level = page->large ? 1 : 0;
	u64 frame = page->pfn & ~(span(level) - 1);
	u64 new = frame << 12 | NPT_P | NPT_U | NPT_A | (page->writable ? NPT_W : 0) | (level ? NPT_LARGE : 0);
	bool blocked;
	u64 *entry = walk_to(vm, gfn, level, &blocked);
	u64 old;

	if (!entry)
		return -ENOMEM;
	old = __atomic_load_n(entry, __ATOMIC_RELAXED);
	if (blocked) {
		/* A large page maps it; the fault can only be a write that this page's 4 KiB mapping would allow: start over. */
		if (page->writable && !(old & NPT_W)) {
			replace(entry, 0);
			*flush = true;
		}
		return 0;
	}
	if (level && (old & NPT_P) && !(old & NPT_LARGE)) {
		/* 4 KiB pages are mapped below: the frame joins them. */
		u64 *table = host_table_va(old & NPT_ADDR);

		entry = &table[index_at(gfn, 0)];
		old = __atomic_load_n(entry, __ATOMIC_RELAXED);
		new = page->pfn << 12 | NPT_P | NPT_U | NPT_A | (page->writable ? NPT_W : 0);
	}
	if ((old & NPT_P) && (old & NPT_ADDR) == (new & NPT_ADDR) && !(new & ~old & NPT_W))
		return 0;
	replace(entry, new);
	/* More rights for the same frame need no flush: a translation without them only faults again. */
	if ((old & NPT_P) && ((old ^ new) & NPT_ADDR || (old & ~new & NPT_W)))
		*flush = true;
	return 0;
}

int npt_fault(struct vcpu *v, u64 gpa, u32 error)
{
	struct vm *vm = v->vm;
	bool write = error & PF_WRITE, flush = false;
	struct host_page page;
	u64 gfn = gpa >> 12;
	int r;

	if (gfn >> (9 * vm->npt.levels))
		return NPT_MMIO;
	if (host_table_topup(vm))
		return -ENOMEM;
	r = host_gfn_to_page(vm, gfn, write, &page);
	if (r == -ENOENT || r == -EROFS)
		return NPT_MMIO;
	if (r == -EINTR)
		return RESUME;
	if (r)
		return r;

	host_mmu_lock(vm);
	if (host_mmu_retry(vm, &page)) {
		host_mmu_unlock(vm);
		return RESUME;
	}
	if (!map(vm, gfn, &page, &flush) && page.writable && page.logged)
		host_mark_dirty(vm, gfn);
	if (flush)
		host_flush_tlbs(vm);
	host_mmu_unlock(vm);
	/* Other vCPUs took the spare tables first: the next fault fills them up again, or reports that there is no memory. */
	return RESUME;
}
