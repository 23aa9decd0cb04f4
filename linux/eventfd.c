// SPDX-License-Identifier: GPL-2.0
/*
 * irqfd and ioeventfd (the KVM API document, 4.75 and 4.59). Owns struct host_eventfds.
 *
 * An irqfd sits in its eventfd's wait queue and delivers from there, with interrupts off: an MSI
 * needs no lock and no sleep. It ends in one of three ways: the VMM deassigns it, the VM is
 * released, or the eventfd is closed. Whoever takes it off eventfds.irqfds frees it; the wait
 * queue's lock, which eventfd_ctx_remove_wait_queue() takes, keeps a running delivery safe.
 *
 * ioeventfds are kept sorted by address in an array per bus that is replaced as a whole.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait.h>

#include "x86/vcpu.h"
#include "vm.h"

/* --- irqfd. --- */

struct irqfd {
	struct host_vm *hvm;
	struct eventfd_ctx *ctx;
	struct list_head list;		/* empty once somebody frees it */
	wait_queue_entry_t wait;
	poll_table poll;
	u32 gsi;
};

/*
 * The eventfd's last file is gone. Its wait queue cannot be left from inside its own wake-up, so a
 * work item does that.
 */
static void irqfd_closed(struct irqfd *f)
{
	struct host_eventfds *e = &f->hvm->eventfds;
	unsigned long flags;

	spin_lock_irqsave(&e->irqfds_lock, flags);
	if (!list_empty(&f->list)) {
		list_move(&f->list, &e->closed);
		schedule_work(&e->reap);
	}
	spin_unlock_irqrestore(&e->irqfds_lock, flags);
}

/*
 * The eventfd was signalled. Its wait-queue lock is held, interrupts are off. True if the event is
 * taken from other readers.
 */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *f = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(f->ctx, &count);
		host_irq_deliver(f->hvm, f->gsi);
	}
	if (events & EPOLLHUP)
		irqfd_closed(f);
	return events & EPOLLIN ? 1 : 0;
}

static void irqfd_queue(struct file *file, wait_queue_head_t *queue, poll_table *poll)
{
	add_wait_queue_priority(queue, &container_of(poll, struct irqfd, poll)->wait);
}

/* @f is on no list. Its last delivery is over when this returns. */
static void irqfd_free(struct irqfd *f)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(f->ctx, &f->wait, &count);
	eventfd_ctx_put(f->ctx);
	kfree(f);
}

/* Takes the first irqfd off @list. NULL: none is left. */
static struct irqfd *irqfd_take(struct host_eventfds *e, struct list_head *list)
{
	struct irqfd *f;

	spin_lock_irq(&e->irqfds_lock);
	f = list_first_entry_or_null(list, struct irqfd, list);
	if (f)
		list_del_init(&f->list);
	spin_unlock_irq(&e->irqfds_lock);
	return f;
}

static void irqfd_reap(struct work_struct *work)
{
	struct host_eventfds *e = container_of(work, struct host_eventfds, reap);
	struct irqfd *f;

	while ((f = irqfd_take(e, &e->closed)))
		irqfd_free(f);
}

/* The irqfd of this eventfd, or NULL. Caller holds irqfds_lock. */
static struct irqfd *irqfd_find(struct host_eventfds *e, struct eventfd_ctx *ctx)
{
	struct irqfd *f;

	list_for_each_entry(f, &e->irqfds, list)
		if (f->ctx == ctx)
			return f;
	return NULL;
}

static int irqfd_link(struct host_eventfds *e, struct irqfd *f)
{
	int r = -EBUSY;

	spin_lock_irq(&e->irqfds_lock);
	if (!irqfd_find(e, f->ctx)) {
		list_add_tail(&f->list, &e->irqfds);
		r = 0;
	}
	spin_unlock_irq(&e->irqfds_lock);
	return r;
}

/* Puts @f to work. Caller holds a reference to @file, so that it cannot be closed meanwhile. */
static int irqfd_start(struct host_vm *hvm, struct irqfd *f, struct file *file)
{
	struct host_eventfds *e = &hvm->eventfds;
	int r;

	/* Deassigning must not find it between the list and the wait queue. */
	mutex_lock(&e->lock);
	r = irqfd_link(e, f);
	/* What was signalled before is an interrupt too. */
	if (!r && vfs_poll(file, &f->poll) & EPOLLIN)
		host_irq_deliver(hvm, f->gsi);
	mutex_unlock(&e->lock);
	return r;
}

static int irqfd_assign(struct host_vm *hvm, u32 gsi, struct file *file)
{
	struct irqfd *f;
	int r;

	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(f->ctx)) {
		r = PTR_ERR(f->ctx);
		kfree(f);
		return r;
	}
	f->hvm = hvm;
	f->gsi = gsi;
	INIT_LIST_HEAD(&f->list);
	init_waitqueue_func_entry(&f->wait, irqfd_wake);
	init_poll_funcptr(&f->poll, irqfd_queue);
	r = irqfd_start(hvm, f, file);
	if (r) {
		eventfd_ctx_put(f->ctx);
		kfree(f);
	}
	return r;
}

static int irqfd_deassign(struct host_vm *hvm, u32 gsi, int fd)
{
	struct host_eventfds *e = &hvm->eventfds;
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);
	struct irqfd *f;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&e->lock);
	spin_lock_irq(&e->irqfds_lock);
	f = irqfd_find(e, ctx);
	if (f && f->gsi == gsi)
		list_del_init(&f->list);
	else
		f = NULL;
	spin_unlock_irq(&e->irqfds_lock);
	if (f)
		irqfd_free(f);
	mutex_unlock(&e->lock);
	eventfd_ctx_put(ctx);
	return 0;
}

int vm_ioctl_irqfd(struct host_vm *hvm, const struct kvm_irqfd *args)
{
	struct fd file;
	int r;

	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(hvm, args->gsi, args->fd);
	if (!hvm->vm.irqchip_split || args->flags & KVM_IRQFD_FLAG_RESAMPLE)
		return -EINVAL;
	file = fdget(args->fd);
	if (!file.file)
		return -EBADF;
	r = irqfd_assign(hvm, args->gsi, file.file);
	fdput(file);
	return r;
}

/* --- ioeventfd. --- */

struct doorbell {
	u64 addr, datamatch;
	u32 len;			/* 0: a write of any length */
	bool wildcard;			/* any data */
	struct eventfd_ctx *ctx;
};

struct doorbells {
	u32 nr;
	struct doorbell at[];		/* by address */
};

/* The first doorbell at @addr or behind it; may be one past the last. */
static u32 first_at(const struct doorbells *b, u64 addr)
{
	u32 low = 0, high = b->nr, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (b->at[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool doorbell_takes(const struct doorbell *d, u32 len, const void *data)
{
	u64 value = 0;

	if (!d->len)
		return true;
	if (d->len != len)
		return false;
	memcpy(&value, data, len);
	return d->wildcard || value == d->datamatch;
}

static bool doorbell_write(struct host_vm *hvm, enum host_bus bus, u64 addr, u32 len,
			   const void *data)
{
	struct doorbells *b;
	bool taken = false;
	int idx;
	u32 i;

	if (!rcu_access_pointer(hvm->eventfds.doorbells[bus]))
		return false;
	idx = srcu_read_lock(&hvm->srcu);
	/* Once there is a table there always is one. */
	b = srcu_dereference(hvm->eventfds.doorbells[bus], &hvm->srcu);
	for (i = first_at(b, addr); i < b->nr && b->at[i].addr == addr && !taken; i++) {
		taken = doorbell_takes(&b->at[i], len, data);
		if (taken)
			eventfd_signal(b->at[i].ctx, 1);
	}
	srcu_read_unlock(&hvm->srcu, idx);
	return taken;
}

bool host_mmio_write(struct vm *vm, u64 gpa, u32 len, const void *data)
{
	return doorbell_write(container_of(vm, struct host_vm, vm), HOST_BUS_MMIO, gpa, len, data);
}

bool host_pio_write(struct vm *vm, u16 port, u32 len, const void *data)
{
	return doorbell_write(container_of(vm, struct host_vm, vm), HOST_BUS_PIO, port, len, data);
}

/* Some write would be taken by both. */
static bool doorbells_collide(const struct doorbell *a, const struct doorbell *b)
{
	if (a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard || a->datamatch == b->datamatch);
}

static bool doorbells_same(const struct doorbell *a, const struct doorbell *b)
{
	return a->ctx == b->ctx && a->addr == b->addr && a->len == b->len &&
	       a->wildcard == b->wildcard && (a->wildcard || a->datamatch == b->datamatch);
}

/* Makes @new the bus's array and frees the old one. Caller holds eventfds.lock. */
static void doorbells_replace(struct host_vm *hvm, enum host_bus bus, struct doorbells *new)
{
	struct doorbells *old;

	old = rcu_replace_pointer(hvm->eventfds.doorbells[bus], new,
				  lockdep_is_held(&hvm->eventfds.lock));
	if (bus == HOST_BUS_PIO)
		WRITE_ONCE(hvm->vm.pio_doorbells, new->nr > 0);
	synchronize_srcu_expedited(&hvm->srcu);
	kvfree(old);
}

static struct doorbells *doorbells_alloc(u32 nr)
{
	struct doorbells *b = kvzalloc(struct_size(b, at, nr), GFP_KERNEL_ACCOUNT);

	if (b)
		b->nr = nr;
	return b;
}

/* Caller holds eventfds.lock. */
static int doorbell_add(struct host_vm *hvm, enum host_bus bus, const struct doorbell *d)
{
	struct doorbells *new, *old;
	u32 i, at = 0, nr = 0;

	old = rcu_dereference_protected(hvm->eventfds.doorbells[bus],
					lockdep_is_held(&hvm->eventfds.lock));
	if (old) {
		nr = old->nr;
		at = first_at(old, d->addr);
		for (i = at; i < nr && old->at[i].addr == d->addr; i++)
			if (doorbells_collide(&old->at[i], d))
				return -EEXIST;
	}
	if (nr == HOST_MAX_DOORBELLS)
		return -ENOSPC;
	new = doorbells_alloc(nr + 1);
	if (!new)
		return -ENOMEM;
	if (old) {
		memcpy(new->at, old->at, at * sizeof(*d));
		memcpy(&new->at[at + 1], &old->at[at], (nr - at) * sizeof(*d));
	}
	new->at[at] = *d;
	doorbells_replace(hvm, bus, new);
	return 0;
}

/* Caller holds eventfds.lock. The doorbell's reference to its eventfd goes too. */
static int doorbell_remove(struct host_vm *hvm, enum host_bus bus, const struct doorbell *d)
{
	struct doorbells *new, *old;
	u32 at;

	old = rcu_dereference_protected(hvm->eventfds.doorbells[bus],
					lockdep_is_held(&hvm->eventfds.lock));
	if (!old)
		return -ENOENT;
	for (at = first_at(old, d->addr); at < old->nr; at++)
		if (doorbells_same(&old->at[at], d))
			break;
	if (at == old->nr)
		return -ENOENT;
	new = doorbells_alloc(old->nr - 1);
	if (!new)
		return -ENOMEM;
	memcpy(new->at, old->at, at * sizeof(*d));
	memcpy(&new->at[at], &old->at[at + 1], (new->nr - at) * sizeof(*d));
	doorbells_replace(hvm, bus, new);
	eventfd_ctx_put(d->ctx);
	return 0;
}

static bool ioeventfd_valid(const struct kvm_ioeventfd *args)
{
	if (args->len != 0 && args->len != 1 && args->len != 2 && args->len != 4 && args->len != 8)
		return false;
	if (args->addr + args->len < args->addr)
		return false;
	return args->len || !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
}

int vm_ioctl_ioeventfd(struct host_vm *hvm, const struct kvm_ioeventfd *args)
{
	enum host_bus bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? HOST_BUS_PIO : HOST_BUS_MMIO;
	bool remove = args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	struct doorbell d = {
		.addr = args->addr, .len = args->len, .datamatch = args->datamatch,
		.wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
	};
	int r;

	if (args->flags &
	    ~(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN))
		return -EINVAL;
	if (!remove && !ioeventfd_valid(args))
		return -EINVAL;
	d.ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(d.ctx))
		return PTR_ERR(d.ctx);
	mutex_lock(&hvm->eventfds.lock);
	r = remove ? doorbell_remove(hvm, bus, &d) : doorbell_add(hvm, bus, &d);
	mutex_unlock(&hvm->eventfds.lock);
	/* An assigned doorbell keeps the reference. */
	if (remove || r)
		eventfd_ctx_put(d.ctx);
	return r;
}

static void doorbells_free(struct doorbells *b)
{
	u32 i;

	for (i = 0; b && i < b->nr; i++)
		eventfd_ctx_put(b->at[i].ctx);
	kvfree(b);
}

/* --- Life. --- */

void host_eventfds_init(struct host_vm *hvm)
{
	struct host_eventfds *e = &hvm->eventfds;

	mutex_init(&e->lock);
	spin_lock_init(&e->irqfds_lock);
	INIT_LIST_HEAD(&e->irqfds);
	INIT_LIST_HEAD(&e->closed);
	INIT_WORK(&e->reap, irqfd_reap);
}

void host_eventfds_release(struct host_vm *hvm)
{
	struct host_eventfds *e = &hvm->eventfds;
	struct irqfd *f;

	while ((f = irqfd_take(e, &e->irqfds)))
		irqfd_free(f);
	/* Those whose eventfd was closed meanwhile. */
	flush_work(&e->reap);
}

void host_eventfds_destroy(struct host_vm *hvm)
{
	u32 bus;

	for (bus = 0; bus < HOST_NR_BUSES; bus++)
		doorbells_free(rcu_dereference_protected(hvm->eventfds.doorbells[bus], true));
}
