// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: which guest frames the VMM backs, with what, and which of them were written. Owns struct memslots. The table is
 * replaced whole; readers look at it under SRCU, so a slot that is gone from the table has no readers after synchronize_srcu().
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "vm.h"

#define MAX_GFN		(1ull << 40)		/* 52 bits of guest-physical address */
#define MAX_PAGES	(1ull << 31)		/* of one slot, as KVM */

static struct memslots *table_alloc(u32 nr)
{
	return kvzalloc(struct_size_t(struct memslots, slot, nr), GFP_KERNEL_ACCOUNT);
}

int memslots_init(struct host_vm *hvm)
{
	struct memslots *t = table_alloc(0);

	if (!t)
		return -ENOMEM;
	rcu_assign_pointer(hvm->slots, t);
	return 0;
}

static void slot_free(struct memslot *s)
{
	if (!s)
		return;
	kvfree(s->dirty);
	kfree(s);
}

void memslots_destroy(struct host_vm *hvm)
{
	struct memslots *t = rcu_dereference_protected(hvm->slots, true);
	u32 i;

	if (!t)
		return;
	for (i = 0; i < t->nr; i++)
		slot_free(t->slot[i]);
	kvfree(t);
}

/* memslot_find(), inlined for this file, whose lookups are in the way of emulated instructions. */
static __always_inline struct memslot *find_gfn(struct host_vm *hvm, u64 gfn)
{
	struct memslots *t = srcu_dereference(hvm->slots, &hvm->srcu);
	u32 low = 0, high = t->nr;

	while (low < high) {
		u32 mid = (low + high) / 2;
		struct memslot *s = t->slot[mid];

		if (gfn < s->base_gfn)
			high = mid;
		else if (gfn - s->base_gfn >= s->npages)
			low = mid + 1;
		else
			return READ_ONCE(s->leaving) ? NULL : s;
	}
	return NULL;
}

struct memslot *memslot_find(struct host_vm *hvm, u64 gfn)
{
	return find_gfn(hvm, gfn);
}

/* The current table, for writers. */
static struct memslots *table_of(struct host_vm *hvm)
{
	return rcu_dereference_protected(hvm->slots, lockdep_is_held(&hvm->slots_lock));
}

static struct memslot *find_id(struct memslots *t, u32 id)
{
	u32 i;

	for (i = 0; i < t->nr; i++)
		if (t->slot[i]->id == id)
			return t->slot[i];
	return NULL;
}

/*
 * Publishes @new, for which there is room, with @add (or nothing) instead of @remove (or nothing), waits until no reader has the old table, and
 * frees that. slots_lock held.
 */
static void table_replace(struct host_vm *hvm, struct memslots *new, struct memslot *remove, struct memslot *add)
{
	struct memslots *old = table_of(hvm);
	u32 i;

	for (i = 0; i < old->nr; i++) {
		struct memslot *s = old->slot[i];

		if (s == remove)
			continue;
		if (add && add->base_gfn < s->base_gfn) {
			new->slot[new->nr++] = add;
			add = NULL;
		}
		new->slot[new->nr++] = s;
	}
	if (add)
		new->slot[new->nr++] = add;
	rcu_assign_pointer(hvm->slots, new);
	synchronize_srcu_expedited(&hvm->srcu);
	kvfree(old);
}

/*
 * Unmaps @s, and keeps it from being mapped again. It is in the table still, where the host's invalidations must find it as long as anything is
 * mapped: the VMM may give its memory back meanwhile.
 */
static void retire(struct host_vm *hvm, struct memslot *s)
{
	WRITE_ONCE(s->leaving, true);
	/* host_gfn_to_page() reads mmu_seq, which is changed now, before it looks for the slot. */
	smp_wmb();
	mmu_unmap_gfns(hvm, s->base_gfn, s->base_gfn + s->npages);
}

static bool overlaps(struct memslots *t, const struct memslot *except, u64 base, u64 npages)
{
	u32 i;

	for (i = 0; i < t->nr; i++) {
		const struct memslot *s = t->slot[i];

		if (s != except && base < s->base_gfn + s->npages && s->base_gfn < base + npages)
			return true;
	}
	return false;
}

/* What the API document and KVM refuse about the region itself. */
static int check_region(const struct kvm_userspace_memory_region *r)
{
	if (r->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	if ((r->memory_size | r->guest_phys_addr | r->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (r->userspace_addr != untagged_addr(r->userspace_addr) ||
	    !access_ok((void __user *)(unsigned long)r->userspace_addr, r->memory_size))
		return -EINVAL;
	if (r->slot >> 16 || (r->slot & 0xffff) >= VM_MAX_SLOTS)
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (r->memory_size >> PAGE_SHIFT > MAX_PAGES)
		return -EINVAL;
	return (r->guest_phys_addr + r->memory_size) >> PAGE_SHIFT > MAX_GFN ? -EINVAL : 0;
}

static int delete_slot(struct host_vm *hvm, struct memslot *s)
{
	struct memslots *t = table_alloc(table_of(hvm)->nr);

	if (!t)
		return -ENOMEM;
	retire(hvm, s);
	table_replace(hvm, t, s, NULL);
	slot_free(s);
	return 0;
}

static int set_dirty_bitmap(struct memslot *s, const struct memslot *old)
{
	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty)
		s->dirty = old->dirty;
	else
		s->dirty = kvcalloc(BITS_TO_LONGS(s->npages), sizeof(long), GFP_KERNEL_ACCOUNT);
	return s->dirty ? 0 : -ENOMEM;
}

/* Creates @new, or puts it in the place of @old: a move, or a change of flags. */
static int put_slot(struct host_vm *hvm, struct memslot *old, struct memslot *new)
{
	bool moved = old && old->base_gfn != new->base_gfn;
	struct memslots *t;
	int r = set_dirty_bitmap(new, old);

	if (r)
		return r;
	t = table_alloc(table_of(hvm)->nr + 1);
	if (!t) {
		if (!old || new->dirty != old->dirty)
			kvfree(new->dirty);
		return -ENOMEM;
	}
	if (moved)
		retire(hvm, old);
	table_replace(hvm, t, old, new);
	if (!moved && old && (new->flags & KVM_MEM_LOG_DIRTY_PAGES) && !(old->flags & KVM_MEM_LOG_DIRTY_PAGES))
		mmu_protect_gfns(hvm, new->base_gfn, new->base_gfn + new->npages);
	if (old && old->dirty == new->dirty)
		old->dirty = NULL;
	slot_free(old);
	return 0;
}

static int set_memory_locked(struct host_vm *hvm, const struct kvm_userspace_memory_region *r)
{
	u64 base = r->guest_phys_addr >> PAGE_SHIFT, npages = r->memory_size >> PAGE_SHIFT;
	struct memslots *t = table_of(hvm);
	struct memslot *old = find_id(t, r->slot), *new;
	int err;

	if (!npages)
		return old ? delete_slot(hvm, old) : -EINVAL;
	if (old) {
		/* A slot keeps its memory, size and read-only flag for life. */
		if (r->userspace_addr != old->hva || npages != old->npages || ((r->flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (base == old->base_gfn && r->flags == old->flags)
			return 0;
	}
	if (overlaps(t, old, base, npages))
		return -EEXIST;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->base_gfn = base;
	new->npages = npages;
	new->hva = r->userspace_addr;
	new->id = r->slot;
	new->flags = r->flags;
	err = put_slot(hvm, old, new);
	if (err)
		kfree(new);
	return err;
}

int vm_ioctl_set_memory(struct host_vm *hvm, const struct kvm_userspace_memory_region *r)
{
	int err = check_region(r);

	if (err)
		return err;
	mutex_lock(&hvm->slots_lock);
	err = set_memory_locked(hvm, r);
	mutex_unlock(&hvm->slots_lock);
	return err;
}

/* Bits that are taken and protected under one lock and one flush: 64 Ki pages, 256 MiB. */
#define DIRTY_CHUNK	1024

/* Takes up to DIRTY_CHUNK words from @first and protects the pages between the first and the last dirty one. */
static void take_dirty_chunk(struct host_vm *hvm, struct memslot *s, unsigned long *copy, u64 first, u64 end)
{
	u64 i, low = ~0ull, high = 0;

	for (i = first; i < end; i++) {
		copy[i] = s->dirty[i] ? xchg(&s->dirty[i], 0) : 0;
		if (!copy[i])
			continue;
		low = min(low, i * BITS_PER_LONG + __ffs(copy[i]));
		high = i * BITS_PER_LONG + __fls(copy[i]) + 1;
	}
	if (high)
		mmu_protect_gfns(hvm, s->base_gfn + low, s->base_gfn + high);
}

/* What was taken was not reported: it is dirty still. */
static void give_dirty_back(struct memslot *s, const unsigned long *copy, u64 nlongs)
{
	u64 i;

	for (i = 0; i < nlongs; i++)
		if (copy[i])
			atomic_long_or(copy[i], (atomic_long_t *)&s->dirty[i]);
}

/* Takes all bits of @s and protects their pages, so that each is reported once per write that follows. slots_lock held. */
static int take_dirty(struct host_vm *hvm, struct memslot *s, unsigned long *copy)
{
	u64 nlongs = BITS_TO_LONGS(s->npages), i;

	for (i = 0; i < nlongs; i += DIRTY_CHUNK) {
		if (fatal_signal_pending(current)) {
			give_dirty_back(s, copy, i);
			return -EINTR;
		}
		take_dirty_chunk(hvm, s, copy, i, min(i + DIRTY_CHUNK, nlongs));
		cond_resched();
	}
	return 0;
}

int vm_ioctl_get_dirty_log(struct host_vm *hvm, const struct kvm_dirty_log *log)
{
	struct memslot *s;
	unsigned long *copy;
	size_t size;
	int r = 0;

	if (log->slot >> 16 || (log->slot & 0xffff) >= VM_MAX_SLOTS)
		return -EINVAL;
	mutex_lock(&hvm->slots_lock);
	s = find_id(table_of(hvm), log->slot);
	if (!s || !s->dirty) {
		mutex_unlock(&hvm->slots_lock);
		return -ENOENT;
	}
	size = BITS_TO_LONGS(s->npages) * sizeof(long);
	copy = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!copy)
		r = -ENOMEM;
	else
		r = take_dirty(hvm, s, copy);
	mutex_unlock(&hvm->slots_lock);
	if (!r && copy_to_user(log->dirty_bitmap, copy, size))
		r = -EFAULT;
	kvfree(copy);
	return r;
}

static void mark_dirty(struct memslot *s, u64 gfn)
{
	u64 bit = gfn - s->base_gfn;

	if (s->dirty && !test_bit(bit, s->dirty))
		set_bit(bit, s->dirty);
}

void host_mark_dirty(struct vm *vm, u64 gfn)
{
	struct host_vm *hvm = HOST_VM(vm);
	int idx = srcu_read_lock(&hvm->srcu);
	struct memslot *s = find_gfn(hvm, gfn);

	if (s)
		mark_dirty(s, gfn);
	srcu_read_unlock(&hvm->srcu, idx);
}

/* --- Guest memory for the engine. --- */

/* One value of a usual size. 0, -EFAULT, or 1: @len is no such size. */
static int read_value(void *data, const void __user *p, u32 len)
{
	switch (len) {
	case 1: return __get_user(*(u8 *)data, (const u8 __user *)p);
	case 2: return __get_user(*(u16 *)data, (const u16 __user *)p);
	case 4: return __get_user(*(u32 *)data, (const u32 __user *)p);
	case 8: return __get_user(*(u64 *)data, (const u64 __user *)p);
	}
	return 1;
}

/* 9 to 15 bytes, an instruction's: two values that overlap. */
static int read_instruction(void *data, const void __user *p, u32 len)
{
	u32 second = len - sizeof(u64);
	u64 first;

	if (__get_user(first, (const u64 __user *)p) || __get_user(*(u64 *)(data + second), (const u64 __user *)(p + second)))
		return -EFAULT;
	memcpy(data, &first, sizeof(first));
	return 0;
}

static int read_user(void *data, const void __user *p, u32 len)
{
	int r = read_value(data, p, len);

	if (r <= 0)
		return r;
	if (len > sizeof(u64) && len < 2 * sizeof(u64))
		return read_instruction(data, p, len);
	return __copy_from_user(data, p, len) ? -EFAULT : 0;
}

/* One page's part of an access. */
static int access_page(struct host_vm *hvm, u64 gpa, void *data, u32 len, bool write)
{
	struct memslot *s = find_gfn(hvm, gpa >> PAGE_SHIFT);
	void __user *p;

	if (!s || (write && (s->flags & KVM_MEM_READONLY)))
		return -EFAULT;
	p = (void __user *)(memslot_hva(s, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
	if (!write)
		return read_user(data, p, len);
	if (__copy_to_user(p, data, len))
		return -EFAULT;
	mark_dirty(s, gpa >> PAGE_SHIFT);
	return 0;
}

static int access_guest(struct vm *vm, u64 gpa, void *data, u32 len, bool write)
{
	struct host_vm *hvm = HOST_VM(vm);
	int idx = srcu_read_lock(&hvm->srcu);
	int r = 0;

	while (len && !r) {
		u32 part = min_t(u32, len, PAGE_SIZE - offset_in_page(gpa));

		r = access_page(hvm, gpa, data, part, write);
		data += part;
		gpa += part;
		len -= part;
	}
	srcu_read_unlock(&hvm->srcu, idx);
	return r;
}

int host_guest_read(struct vm *vm, u64 gpa, void *data, u32 len)
{
	return access_guest(vm, gpa, data, len, false);
}

void host_reader_begin(struct host_reader *r, struct vm *vm) __acquires(srcu)
{
	r->vm = vm;
	r->slot = NULL;
	r->srcu = srcu_read_lock(&HOST_VM(vm)->srcu);
}

void host_reader_end(struct host_reader *r) __releases(srcu)
{
	srcu_read_unlock(&HOST_VM(r->vm)->srcu, r->srcu);
}

int host_reader_get(struct host_reader *r, u64 gpa, u32 size, u64 *value)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	const void __user *p;

	if (!r->slot || !memslot_has(r->slot, gfn)) {
		r->slot = find_gfn(HOST_VM(r->vm), gfn);
		if (!r->slot)
			return -EFAULT;
	}
	p = (const void __user *)(memslot_hva(r->slot, gfn) + (offset_in_page(gpa) & ~(size - 1)));
	*value = 0;
	return read_value(value, p, size) ? -EFAULT : 0;
}

int host_guest_write(struct vm *vm, u64 gpa, const void *data, u32 len)
{
	return access_guest(vm, gpa, (void *)data, len, true);
}

/* An exchange on the VMM's own mapping: 0 exchanged, 1 another value was there, -EFAULT. */
static int user_cmpxchg(void __user *p, u64 old, u64 new, u32 len)
{
	u32 old32 = old;

	if (len == 8)
		return __try_cmpxchg_user((u64 __user *)p, &old, new, fault64);
	return __try_cmpxchg_user((u32 __user *)p, &old32, (u32)new, fault32);
}

int host_guest_cmpxchg(struct vm *vm, u64 gpa, u64 old, u64 new, u32 len)
{
	struct host_vm *hvm = HOST_VM(vm);
	int idx = srcu_read_lock(&hvm->srcu);
	struct memslot *s = find_gfn(hvm, gpa >> PAGE_SHIFT);
	int r = -EFAULT;

	if (s && !(s->flags & KVM_MEM_READONLY) && (len == 4 || len == 8) && IS_ALIGNED(gpa, len)) {
		r = user_cmpxchg((void __user *)(memslot_hva(s, gpa >> PAGE_SHIFT) + offset_in_page(gpa)), old, new, len);
		if (!r)
			mark_dirty(s, gpa >> PAGE_SHIFT);
	}
	srcu_read_unlock(&hvm->srcu, idx);
	return r;
}
