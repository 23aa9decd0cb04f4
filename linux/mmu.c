// SPDX-License-Identifier: GPL-2.0
/*
 * Between the VMM's page tables and the guest's: finds the page behind a guest frame, and follows every change that the host makes
 * (reclaim, migration, madvise, munmap) through an MMU notifier. Owns the mmu_* fields of struct host_vm.
 *
 * A fault reads mmu_seq, finds the page without a lock, and maps it under mmu_lock only if no invalidation began or ended since
 * (host_mmu_retry), so it needs no reference to the page.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include "vm.h"

/* --- TLBs. --- */

static void acknowledge(void *unused)
{
}

/* Every vCPU flushes before it runs again; those in guest mode now are out of it when this returns. */
void host_flush_tlbs(struct vm *vm)
{
	cpumask_var_t cpus;
	struct vcpu *v;
	bool have_mask = zalloc_cpumask_var(&cpus, GFP_ATOMIC);
	u32 i;

	vm_for_each_vcpu(vm, v, i) {
		int cpu;

		vcpu_request(v, REQ_TLB_FLUSH);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		/* One that was kicked may still be in the guest. */
		if (READ_ONCE(v->mode) == OUTSIDE_GUEST)
			continue;
		cpu = READ_ONCE(HOST_VCPU(v)->cpu);
		if (cpu < 0 || cpu == smp_processor_id())
			continue;
		if (have_mask)
			cpumask_set_cpu(cpu, cpus);
		else
			smp_call_function_single(cpu, acknowledge, NULL, 1);
	}
	if (have_mask) {
		if (!cpumask_empty(cpus))
			smp_call_function_many(cpus, acknowledge, NULL, true);
		free_cpumask_var(cpus);
	}
}

/* --- Table pages: charged to the VMM, taken with mmu_lock held from a cache that was filled before. --- */

int host_table_topup(struct vm *vm)
{
	struct host_vm *hvm = HOST_VM(vm);

	while (READ_ONCE(hvm->nr_spare) < TABLE_CACHE) {
		void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		spin_lock(&hvm->mmu_lock);
		if (hvm->nr_spare < ARRAY_SIZE(hvm->spare)) {
			hvm->spare[hvm->nr_spare++] = page;
			page = NULL;
		}
		spin_unlock(&hvm->mmu_lock);
		free_page((unsigned long)page);
	}
	return 0;
}

u64 *host_table_alloc(struct vm *vm, u64 *pa)
{
	struct host_vm *hvm = HOST_VM(vm);
	u64 *table;

	if (!hvm->nr_spare)
		return NULL;
	table = hvm->spare[--hvm->nr_spare];
	*pa = __pa(table);
	return table;
}

void host_table_free(struct vm *vm, u64 *table)
{
	free_page((unsigned long)table);
}

u64 *host_table_va(u64 pa)
{
	return __va(pa);
}

void host_mmu_lock(struct vm *vm) __acquires(mmu_lock)
{
	spin_lock(&HOST_VM(vm)->mmu_lock);
}

void host_mmu_unlock(struct vm *vm) __releases(mmu_lock)
{
	spin_unlock(&HOST_VM(vm)->mmu_lock);
}

/* --- From a guest frame to the page behind it. --- */

/* The host maps @hva with an entry of 2 MiB at least, now. Interrupts off keep the tables from being freed while we read. */
static bool host_maps_large(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	bool large = false;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	large = pud_large(pud);
	if (large)
		goto out;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	large = !pmd_none(pmd) && pmd_present(pmd) && pmd_large(pmd);
out:
	local_irq_restore(flags);
	return large;
}

/* The 2 MiB around @gfn lie in the slot and are aligned alike on both sides. */
static bool slot_allows_large(const struct memslot *s, u64 gfn)
{
	u64 first = gfn & ~511ull;

	if (s->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return false;
	if (first < s->base_gfn || first + 512 > s->base_gfn + s->npages)
		return false;
	return !((s->hva >> PAGE_SHIFT ^ s->base_gfn) & 511);
}

/*
 * What a fault for reading maps there can be written, because the page is nobody's private copy and the kernel does not wait to see
 * the first write of it (for a file system that keeps its own account of that).
 */
static bool reading_maps_writable(const struct vm_area_struct *vma)
{
	const unsigned long needs = VM_SHARED | VM_READ | VM_WRITE;

	return (vma->vm_flags & needs) == needs && pgprot_val(vma->vm_page_prot) & _PAGE_RW;
}

/*
 * The VMM's own fault at @hva, without the two walks of its tables that get_user_pages() adds. Memory that is shared (a memfd, tmpfs,
 * hugetlbfs) is faulted in for reading, because the kernel then maps the pages around it that it has already, and the guest's next
 * faults find them mapped. An attempt: it does not wait for a lock or a page. True if the page, if it is there, can be written.
 */
static bool fault_in(struct mm_struct *mm, unsigned long hva, bool write)
{
	unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
	bool writable = write;
	struct vm_area_struct *vma;

	if (!mmap_read_trylock(mm))
		return writable;
	vma = vma_lookup(mm, hva);
	if (vma && (vma->vm_flags & (write ? VM_WRITE : VM_READ)) && !(vma->vm_flags & (VM_IO | VM_PFNMAP))) {
		if (reading_maps_writable(vma))
			writable = true;
		else if (write)
			flags |= FAULT_FLAG_WRITE;
		handle_mm_fault(vma, hva, flags, NULL);
	}
	mmap_read_unlock(mm);
	return writable;
}

static int pin_page(struct mm_struct *mm, unsigned long hva, bool write, struct page **p, bool *writable)
{
	long r;

	/* A page that is writable already is mapped so at once: the guest writes most of what it reads. */
	*writable = true;
	if (get_user_pages_fast_only(hva, 1, FOLL_WRITE, p) == 1)
		return 0;
	*writable = fault_in(mm, hva, write);
	if (get_user_pages_fast_only(hva, 1, *writable ? FOLL_WRITE : 0, p) == 1)
		return 0;
	/* All that takes longer, and what fails. */
	r = get_user_pages_unlocked(hva, 1, p, FOLL_HWPOISON | (write ? FOLL_WRITE : 0));
	*writable = write;
	if (r == 1)
		return 0;
	if (r == -EHWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
		return -EINTR;
	}
	return fatal_signal_pending(current) ? -EINTR : -EFAULT;
}

int host_gfn_to_page(struct vm *vm, u64 gfn, bool write, struct host_page *page)
{
	struct host_vm *hvm = HOST_VM(vm);
	bool readonly, large;
	struct memslot *s;
	unsigned long hva;
	struct page *p;
	int r, idx;

	page->seq = READ_ONCE(hvm->mmu_seq);
	smp_rmb();
	idx = srcu_read_lock(&hvm->srcu);
	s = memslot_find(hvm, gfn);
	if (!s) {
		srcu_read_unlock(&hvm->srcu, idx);
		return -ENOENT;
	}
	readonly = s->flags & KVM_MEM_READONLY;
	page->logged = s->flags & KVM_MEM_LOG_DIRTY_PAGES;
	hva = memslot_hva(s, gfn);
	page->hva = hva;
	large = slot_allows_large(s, gfn);
	srcu_read_unlock(&hvm->srcu, idx);
	if (readonly && write)
		return -EROFS;
	r = pin_page(hvm->mm, hva, write, &p, &page->writable);
	if (r)
		return r;
	page->pfn = page_to_pfn(p);
	/* A clean page under logging is mapped read-only until the guest writes it. */
	if (readonly || (page->logged && !write))
		page->writable = false;
	page->large = large && PageTransCompound(p) && host_maps_large(hvm->mm, hva);
	/* The guest's writes never reach the host's page-table entry. Whatever cleans the page again revokes the mapping first. */
	if (page->writable && !PageReserved(p))
		SetPageDirty(p);
	put_page(p);
	return 0;
}

bool host_mmu_retry(struct vm *vm, const struct host_page *page)
{
	struct host_vm *hvm = HOST_VM(vm);
	u64 size = page->large ? PMD_SIZE : PAGE_SIZE, start = round_down(page->hva, size);

	if (hvm->mmu_invalidating && start < hvm->mmu_end && start + size > hvm->mmu_start)
		return true;
	return hvm->mmu_seq != page->seq;
}

/* --- Changes that slots make. --- */

/* In steps of 1 GiB, so that the lock is not held, and preemption off, for long. Sleeps between them only if it may. */
static void change_gfns(struct host_vm *hvm, u64 start, u64 end, bool (*change)(struct vm *, u64, u64), bool may_sleep)
{
	const u64 step = 1ull << (30 - PAGE_SHIFT);

	while (start < end) {
		u64 stop = min(round_down(start, step) + step, end);

		spin_lock(&hvm->mmu_lock);
		hvm->mmu_seq++;
		if (change(&hvm->vm, start, stop))
			host_flush_tlbs(&hvm->vm);
		npt_reap(&hvm->vm);
		spin_unlock(&hvm->mmu_lock);
		if (may_sleep)
			cond_resched();
		start = stop;
	}
}

void mmu_unmap_gfns(struct host_vm *hvm, u64 start, u64 end)
{
	change_gfns(hvm, start, end, npt_unmap, true);
}

void mmu_protect_gfns(struct host_vm *hvm, u64 start, u64 end)
{
	change_gfns(hvm, start, end, npt_write_protect, true);
}

/* --- Changes that the host makes. --- */

/* The frames of @s that [@start, @end) of the VMM's addresses back: [@first, @last). False: none. */
static bool frames_of(const struct memslot *s, unsigned long start, unsigned long end, u64 *first, u64 *last)
{
	u64 from = max_t(u64, start, s->hva), to = min_t(u64, end, s->hva + (s->npages << PAGE_SHIFT));

	if (from >= to)
		return false;
	*first = s->base_gfn + ((from - s->hva) >> PAGE_SHIFT);
	*last = s->base_gfn + ((to - s->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
	return true;
}

static void unmap_hvas(struct host_vm *hvm, unsigned long start, unsigned long end, bool may_sleep)
{
	int idx = srcu_read_lock(&hvm->srcu);
	struct memslots *t = srcu_dereference(hvm->slots, &hvm->srcu);
	u64 first, last;
	u32 i;

	for (i = 0; i < t->nr; i++) {
		if (frames_of(t->slot[i], start, end, &first, &last))
			change_gfns(hvm, first, last, npt_unmap, may_sleep);
	}
	srcu_read_unlock(&hvm->srcu, idx);
}

#define NOTIFIER_VM(mn)	container_of(mn, struct host_vm, notifier)

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct host_vm *hvm = NOTIFIER_VM(mn);

	spin_lock(&hvm->mmu_lock);
	/* Several at a time are taken together as one range that holds them all. */
	if (!hvm->mmu_invalidating++) {
		hvm->mmu_start = range->start;
		hvm->mmu_end = range->end;
	} else {
		hvm->mmu_start = min(hvm->mmu_start, range->start);
		hvm->mmu_end = max(hvm->mmu_end, range->end);
	}
	spin_unlock(&hvm->mmu_lock);
	/* From here on host_mmu_retry() keeps others from mapping it again. */
	unmap_hvas(hvm, range->start, range->end, mmu_notifier_range_blockable(range));
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct host_vm *hvm = NOTIFIER_VM(mn);

	spin_lock(&hvm->mmu_lock);
	hvm->mmu_seq++;
	hvm->mmu_invalidating--;
	spin_unlock(&hvm->mmu_lock);
}

/* Whether the guest has used a page in [@start, @end) since its mark was last cleared, which @clear does. */
static bool age(struct host_vm *hvm, unsigned long start, unsigned long end, bool clear, bool flush)
{
	int idx = srcu_read_lock(&hvm->srcu);
	struct memslots *t = srcu_dereference(hvm->slots, &hvm->srcu);
	bool young = false;
	u64 first, last;
	u32 i;

	spin_lock(&hvm->mmu_lock);
	for (i = 0; i < t->nr; i++) {
		if (frames_of(t->slot[i], start, end, &first, &last))
			young |= npt_age(&hvm->vm, first, last, clear);
	}
	if (young && flush)
		host_flush_tlbs(&hvm->vm);
	spin_unlock(&hvm->mmu_lock);
	srcu_read_unlock(&hvm->srcu, idx);
	return young;
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)
{
	return age(NOTIFIER_VM(mn), start, end, true, true);
}

/* Without a flush a translation in a TLB may hide an access for a while: reclaim only guesses with this one. */
static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)
{
	return age(NOTIFIER_VM(mn), start, end, true, false);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return age(NOTIFIER_VM(mn), address, address + PAGE_SIZE, false, false);
}

/* The VMM's address space goes: nothing may stay mapped. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct host_vm *hvm = NOTIFIER_VM(mn);
	struct memslots *t;
	u32 i;
	int idx = srcu_read_lock(&hvm->srcu);

	t = srcu_dereference(hvm->slots, &hvm->srcu);
	for (i = 0; i < t->nr; i++)
		mmu_unmap_gfns(hvm, t->slot[i]->base_gfn, t->slot[i]->base_gfn + t->slot[i]->npages);
	srcu_read_unlock(&hvm->srcu, idx);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = release,
};

int mmu_init(struct host_vm *hvm)
{
	int r;

	spin_lock_init(&hvm->mmu_lock);
	r = npt_create(&hvm->vm, host_la57() ? 5 : 4);
	if (r)
		goto fail;
	hvm->notifier.ops = &notifier_ops;
	r = mmu_notifier_register(&hvm->notifier, hvm->mm);
	if (!r)
		return 0;
fail:
	mmu_free_tables(hvm);
	return r;
}

void mmu_free_tables(struct host_vm *hvm)
{
	npt_destroy(&hvm->vm);
	while (hvm->nr_spare)
		free_page((unsigned long)hvm->spare[--hvm->nr_spare]);
}

void mmu_destroy(struct host_vm *hvm)
{
	mmu_notifier_unregister(&hvm->notifier, hvm->mm);
	mmu_free_tables(hvm);
}
