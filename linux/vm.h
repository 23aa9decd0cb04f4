/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's side of a virtual machine and its vCPUs: file descriptors, locks, memory slots, threads.
 *
 * Lock order: vcpu->mutex, vm->lock, vm->slots_lock, vm->mmu_lock. SRCU readers (slots, routes, ioeventfds) hold none of the last two.
 */
#ifndef EXEUNT_LINUX_VM_H
#define EXEUNT_LINUX_VM_H

#include <linux/kvm.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/hrtimer.h>
#include <linux/swait.h>
#include <linux/fs.h>
#include <asm/fpu/types.h>
#include "run.h"
#include "irq.h"
#include "eventfd.h"

/* Table pages that a fault can need: one a level, and some for faults at the same time. */
#define TABLE_CACHE	8

#define VM_MAX_SLOTS	512		/* KVM_CAP_NR_MEMSLOTS */

/* A guest-physical range backed by the VMM's memory. Immutable once published but for the dirty bitmap's bits. */
struct memslot {
	u64 base_gfn, npages;
	u64 hva;
	u32 id, flags;			/* KVM_MEM_* */
	unsigned long *dirty;		/* one bit a page; NULL unless KVM_MEM_LOG_DIRTY_PAGES */
	bool leaving;			/* no longer found by frame number */
};

/* All slots of a VM, by frame number. Replaced as a whole under slots_lock, read under SRCU. */
struct memslots {
	u32 nr;
	struct memslot *slot[];
};

#define HALT_POLL_DEFAULT	U64_MAX	/* as the module's parameter says */

struct host_vm {
	struct vm vm;
	struct kref ref;		/* the VM's descriptor, each vCPU's, each eventfd's user */
	struct mm_struct *mm;		/* the VMM: the only process that may use the VM */
	struct mutex lock;		/* vCPU creation, capabilities, clock */
	struct mutex slots_lock;
	struct srcu_struct srcu;
	struct memslots __rcu *slots;

	/* Translation tables, and the notifier that keeps them true. */
	spinlock_t mmu_lock;
	struct mmu_notifier notifier;
	u64 mmu_seq;			/* counts invalidations that ended; under mmu_lock */
	u32 mmu_invalidating;		/* invalidations under way, and a range that holds them */
	unsigned long mmu_start, mmu_end;
	void *spare[2 * TABLE_CACHE];	/* zeroed pages for tables; under mmu_lock */
	u32 nr_spare;

	struct stats_vm *stats;
	struct host_irq irq;
	struct host_eventfds eventfds;
	u64 tss_addr, identity_map_addr;
	u64 halt_poll_ns;		/* KVM_CAP_HALT_POLL, 32 bits; or HALT_POLL_DEFAULT */
};

#define HOST_VM(v)	container_of(v, struct host_vm, vm)

struct host_vcpu {
	struct vcpu v;
	struct host_vm *hvm;
	struct mutex mutex;		/* one ioctl at a time; KVM_RUN holds it */
	struct page *run_page, *pio_page;
	int cpu, last_cpu;		/* loaded on this one, -1: on none; and before */
	struct pid __rcu *pid;		/* the thread in KVM_RUN last: whom a kick interrupts */
	struct preempt_notifier preempt;
	struct swait_queue_head wait;
	struct hrtimer timer;
	struct fpu_guest fpu;
	bool running;			/* within KVM_RUN */
	unsigned int halt_poll_ns;	/* how long it polls before it sleeps (block.c) */
	atomic64_t woken_ns;		/* when the first kick came that woke it, host_now_ns(); 0: none did */
	bool sigset_active;
	sigset_t sigset;
	bool tsc_aux_loaded;
};

#define HOST_VCPU(vcpu)	container_of(vcpu, struct host_vcpu, v)

/* vm.c */
int vm_create_fd(unsigned long type);
void vm_get(struct host_vm *hvm);
void vm_put(struct host_vm *hvm);
int vm_check_extension(struct host_vm *hvm, long cap);

/* vcpu.c */
int vcpu_create_fd(struct host_vm *hvm, u32 id);
void vcpu_free(struct host_vcpu *hv);
void vcpu_load(struct host_vcpu *hv);
void vcpu_put(struct host_vcpu *hv);

/* block.c */
/* A kick is about to wake a vCPU that waits. Any context. */
void block_note_wake(struct host_vcpu *hv);

/* thread.c: the thread in KVM_RUN. The vCPU's mutex is held; loads and puts it itself. */
int vcpu_ioctl_run(struct host_vcpu *hv);
void vcpu_thread_init(struct host_vcpu *hv);
/* No kick can come any more. */
void vcpu_thread_destroy(struct host_vcpu *hv);

/* memslot.c */
int memslots_init(struct host_vm *hvm);
void memslots_destroy(struct host_vm *hvm);
int vm_ioctl_set_memory(struct host_vm *hvm, const struct kvm_userspace_memory_region *r);
int vm_ioctl_get_dirty_log(struct host_vm *hvm, const struct kvm_dirty_log *log);
/* The slot of @gfn, or NULL. Under SRCU. */
struct memslot *memslot_find(struct host_vm *hvm, u64 gfn);
static inline bool memslot_has(const struct memslot *s, u64 gfn) { return gfn - s->base_gfn < s->npages; }
/* The VMM's address of @gfn, which is in the slot; never outside of it, also under speculation. */
static inline u64 memslot_hva(const struct memslot *s, u64 gfn)
{
	return s->hva + (array_index_nospec(gfn - s->base_gfn, s->npages) << PAGE_SHIFT);
}

/* mmu.c */
int mmu_init(struct host_vm *hvm);
void mmu_destroy(struct host_vm *hvm);
void mmu_free_tables(struct host_vm *hvm);
/* Drops, or write-protects, the translations of guest frames, with the flush. May sleep. */
void mmu_unmap_gfns(struct host_vm *hvm, u64 start, u64 end);
void mmu_protect_gfns(struct host_vm *hvm, u64 start, u64 end);

/* fpu.c */
int fpu_create(struct host_vcpu *hv);
void fpu_destroy(struct host_vcpu *hv);
void fpu_load(struct host_vcpu *hv);
void fpu_put(struct host_vcpu *hv);
/* The thread is scheduled out with the guest's vector state in the CPU: accounts for that. Interrupts off. */
void fpu_preempted(struct host_vcpu *hv);
void fpu_get_legacy(struct host_vcpu *hv, struct kvm_fpu *f);
void fpu_set_legacy(struct host_vcpu *hv, const struct kvm_fpu *f);
void fpu_get_xsave(struct host_vcpu *hv, void *buf, u32 size);
int fpu_set_xsave(struct host_vcpu *hv, const void *buf);

#endif
