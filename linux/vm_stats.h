/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The statistics of all VMs as the host keeps them: apart from the VMs, because who reads them may hold them longer.
 */
#ifndef EXEUNT_VM_STATS_H
#define EXEUNT_VM_STATS_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pid.h>
#include "stats.h"
#include "vm.h"

struct stats_vm {
	struct kref ref;		/* the list's, the VM's, each reader's */
	struct list_head list;		/* of those alive, or of those that have ended, in that order */
	u64 id, created_ns;
	struct pid *pid;		/* the VMM */
	char comm[TASK_COMM_LEN];
	bool ended;
	u32 nr_vcpus, max_vcpu_id;
	/* Set once (release), under the VM's lock; freed with the last reference. */
	struct vcpu_stats *vcpu[VM_MAX_VCPUS];
	struct pid __rcu *thread[VM_MAX_VCPUS];	/* in KVM_RUN last */
};

/* A VM begins: -ENOMEM. May sleep. */
int stats_vm_begin(struct host_vm *hvm);
/* It is gone: what it did stays while somebody watches. May sleep. */
void stats_vm_end(struct host_vm *hvm);
/* From here @v's statistics belong to the VM's. hvm->lock held. */
void stats_vcpu_publish(struct host_vm *hvm, struct vcpu *v);
/* Another thread runs the vCPU now. The pid of the one before, to be put after a grace period. hv->mutex held. */
struct pid *stats_vcpu_thread(struct host_vcpu *hv, struct pid *pid);

void stats_vm_get(struct stats_vm *s);
void stats_vm_put(struct stats_vm *s);

/* /dev/exeunt: EXEUNT_GET_INFO and EXEUNT_OPEN_STATS; -ENOTTY for others. @owns_dev_kvm goes into the info. */
long stats_device_ioctl(unsigned int cmd, void __user *p, bool owns_dev_kvm);

/* KVM_GET_STATS_FD (vm_stats_fd.c): a descriptor for the VM, or for one vCPU of it; -errno. */
#define STATS_ALL_VCPUS	(~0u)
int stats_fd_create(struct stats_vm *s, u32 vcpu_id);

#endif
