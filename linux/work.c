// SPDX-License-Identifier: GPL-2.0
/*
 * Rescheduling, task work, rseq and memory-cgroup work before a guest entry. The kernel does all of it in
 * xfer_to_guest_mode_handle_work(), written for upstream's struct kvm_vcpu, of which it writes run->exit_reason and one counter
 * when a signal is pending. This file gives it a stand-in whose contents nobody reads. Alone here because linux/kvm_host.h is.
 */
#include <linux/kvm_host.h>
#include <linux/entry-kvm.h>
#include <linux/slab.h>
#include "work.h"

struct vcpu;
int host_handle_work(struct vcpu *v);

static struct kvm_vcpu *stand_in;

int work_init(void)
{
	stand_in = kvzalloc(sizeof(*stand_in), GFP_KERNEL);
	if (!stand_in)
		return -ENOMEM;
	stand_in->run = (struct kvm_run *)get_zeroed_page(GFP_KERNEL);
	if (stand_in->run)
		return 0;
	kvfree(stand_in);
	return -ENOMEM;
}

void work_exit(void)
{
	free_page((unsigned long)stand_in->run);
	kvfree(stand_in);
}

int host_handle_work(struct vcpu *v)
{
	if (signal_pending(current))
		return -EINTR;
	return xfer_to_guest_mode_handle_work(stand_in);
}
