/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The run loop's interface to the host and to the APIC.
 */
#ifndef EXEUNT_RUN_H
#define EXEUNT_RUN_H

#include "x86/vcpu.h"

/* Allocates the engine's part of a vCPU that the host zeroed, and resets it. -ENOMEM. Undone by vcpu_destroy. May sleep. */
int vcpu_create(struct vcpu *v, struct vm *vm, u32 id);
void vcpu_destroy(struct vcpu *v);

/* Power-up reset, or INIT (APM vol. 2, 14.1). vCPU thread, or before the vCPU is published. */
void vcpu_reset(struct vcpu *v, bool init);
/* A start-up IPI: real mode at @vector * 4 KiB. vCPU thread. */
void vcpu_start_at(struct vcpu *v, u8 vector);

/*
 * KVM_RUN: runs the guest until the VMM is needed. vCPU thread, the vCPU loaded on this CPU (host: preempt notifier, FPU swapped),
 * preemption and interrupts on. 0 with kvm_run filled in, or -errno (-EINTR with KVM_EXIT_INTR for signals).
 */
int vcpu_run(struct vcpu *v);

/*
 * Ends the wait of a halted or waiting vCPU, if there is what it waits for: true then. One that is halted, and waits for an event, is
 * runnable from then on; what else ends a wait is a request, which vcpu_run() serves. vCPU thread; called by host_block around its sleep.
 */
bool vcpu_end_wait(struct vcpu *v);

#endif
