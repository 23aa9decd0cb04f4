/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exceptions, NMIs and interrupts on their way into the guest: what is pending, what was being delivered when an exit
 * interrupted it, and what blocks the next one.
 */
#ifndef EXEUNT_X86_EVENT_H
#define EXEUNT_X86_EVENT_H

#include "host.h"

struct vcpu;

struct event_state {
	struct {
		bool pending, injected, has_error;
		u8 vector;
		u32 error;
	} exception;
	struct {
		bool injected;		/* delivery was interrupted, or the VMM injected it (KVM_INTERRUPT) */
		u8 vector;
	} interrupt;
	bool nmi_injected;		/* delivery was interrupted */
	bool nmi_masked;		/* an NMI handler runs: until IRET */
	u8 nmi_pending;			/* 0..2 */
	u8 nmi_queued;			/* from other threads, atomically; folded into nmi_pending at entry */
	bool another;			/* an NMI waits for what the next entry delivers, and goes in right after it */
	int offered;			/* vector that the CPU may take during this entry, or -1 */
	int extint;			/* vector that KVM_INTERRUPT queued for the VMM's PIC, or -1 */
};

/*
 * Queues an exception for delivery at the next entry; merges with one that is already queued into a double or triple
 * fault (APM vol. 2, 8.2.9, table 8-... "double-fault conditions"). @error is used for vectors that push one. vCPU thread.
 */
void event_exception(struct vcpu *v, u8 vector);
void event_exception_error(struct vcpu *v, u8 vector, u32 error);
/* Queues #PF and sets CR2. */
void event_page_fault(struct vcpu *v, u64 cr2, u32 error);
/* Queues an NMI from any context; kicks the vCPU. */
void event_nmi(struct vcpu *v);
/*
 * The exit interrupted the delivery of an event: it goes again, first, at the next entry. And: the entry delivered what it was given.
 * Called by the vendor's exit path, event_delivered before event_requeue.
 */
enum event_kind { EVENT_EXCEPTION, EVENT_NMI, EVENT_INTERRUPT };
void event_requeue(struct vcpu *v, enum event_kind kind, u8 vector, bool has_error, u32 error);
void event_delivered(struct vcpu *v);
/* The entry that an interrupt was offered for is over, or did not happen: it is in service now, or waits again. No-op if none was. */
void event_settle(struct vcpu *v, bool taken);
/*
 * KVM_INTERRUPT: the VMM's PIC delivers @vector when the guest can take it it. -EINVAL over 255; -EEXIST while one
 * waits (without an APIC in the kernel the new one replaces it). vCPU thread.
 */
int event_extint(struct vcpu *v, u32 vector);
/* Hands events to the hardware for this entry and opens windows for those that must wait. vCPU thread, before interrupts go off. */
void event_inject(struct vcpu *v);
/*
 * The same where nothing but interrupts can have come up since event_inject(), and interrupts of the host are off. False: something
 * else has, or may have; nothing is offered, and REQ_EVENT is set for event_inject().
 */
bool event_inject_again(struct vcpu *v);
/* Something could be delivered if the guest ran now: used to decide whether a halted vCPU wakes. vCPU thread. */
bool event_deliverable(struct vcpu *v);
/* The guest can take an interrupt that the VMM injects now (kvm_run->ready_for_interrupt_injection). */
bool event_ready_for_extint(struct vcpu *v);
void event_reset(struct vcpu *v);

/* The vector of the interrupt whose delivery was cut short, or that waits although its sender has forgotten it; -1 if none. vCPU thread. */
int event_saved_interrupt(const struct vcpu *v);
/* Replaces that by what the VMM says, -1 for none. vCPU thread. */
void event_restore_interrupt(struct vcpu *v, int vector);

struct kvm_vcpu_events;
/* KVM_GET/SET_VCPU_EVENTS; -EINVAL on values that the API document forbids. vCPU thread. */
void event_get_state(struct vcpu *v, struct kvm_vcpu_events *e);
int event_set_state(struct vcpu *v, const struct kvm_vcpu_events *e);

#endif
