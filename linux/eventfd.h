/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Eventfds tied to a VM: those that raise interrupts in the guest (irqfd), and those that the
 * guest's writes signal (ioeventfd). eventfd.c owns struct host_eventfds.
 */
#ifndef EXEUNT_LINUX_EVENTFD_H
#define EXEUNT_LINUX_EVENTFD_H

#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct host_vm;
struct doorbells;

/* ioeventfds of one VM and kind. */
#define HOST_MAX_DOORBELLS	4096

enum host_bus { HOST_BUS_MMIO, HOST_BUS_PIO, HOST_NR_BUSES };

struct host_eventfds {
	struct mutex lock;		/* assigning and deassigning, of both kinds */
	spinlock_t irqfds_lock;		/* both lists; nests in an eventfd's wait-queue lock */
	struct list_head irqfds;
	struct list_head closed;	/* their eventfd was closed; @reap frees them */
	struct work_struct reap;
	struct doorbells __rcu *doorbells[HOST_NR_BUSES];	/* readers hold host_vm.srcu */
};

void host_eventfds_init(struct host_vm *hvm);
/* The VM's file is released: no irqfd delivers any more when this returns. May sleep. */
void host_eventfds_release(struct host_vm *hvm);
/* Nobody can run the guest any more. After host_eventfds_release(). */
void host_eventfds_destroy(struct host_vm *hvm);

/*
 * KVM_IRQFD. 0; -EINVAL: an unknown flag, KVM_IRQFD_FLAG_RESAMPLE (which needs an IOAPIC in the
 * kernel), no irqchip, or a file that is no eventfd; -EBADF; -EBUSY: the eventfd is an irqfd of
 * this VM already; -ENOMEM. A GSI without a route, any number, is no error: its events are dropped.
 * Nor is deassigning what is not assigned. May sleep.
 */
int vm_ioctl_irqfd(struct host_vm *hvm, const struct kvm_irqfd *args);
/*
 * KVM_IOEVENTFD. 0; -EINVAL: an unknown flag, a length other than 0 (any), 1, 2, 4 or 8, a range
 * that wraps, a datamatch with length 0, or a file that is no eventfd; -EBADF; -EEXIST: one that is
 * assigned would take the same write; -ENOENT: not assigned; -ENOSPC; -ENOMEM. May sleep.
 */
int vm_ioctl_ioeventfd(struct host_vm *hvm, const struct kvm_ioeventfd *args);

#endif
