/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Paravirtual interfaces: kvmclock, poll control (Documentation/virt/kvm/x86/msr.rst) and hypercalls. Owns struct pv_state.
 */
#ifndef EXEUNT_X86_PV_H
#define EXEUNT_X86_PV_H

#include "host.h"

struct vcpu;
struct vm;

struct pv_state {
	u64 system_time_msr;	/* MSR_KVM_SYSTEM_TIME(_NEW) as written */
	u64 wall_clock_msr;
	u32 clock_version;	/* of the page that system_time_msr names */
	bool guest_stopped;	/* KVM_KVMCLOCK_CTRL: set the flag once */
	u64 poll_control;	/* MSR_KVM_POLL_CONTROL: PV_HOST_MAY_POLL or 0 */
};

/* The host may poll when this vCPU halts; a guest that polls by itself before it halts takes that back. */
#define PV_HOST_MAY_POLL	1ull

static inline bool pv_host_may_poll(const struct pv_state *pv) { return pv->poll_control & PV_HOST_MAY_POLL; }

/* The PV MSRs. 0, or 1 for #GP. vCPU thread; a write of the wall clock's MSR writes guest memory and may sleep. */
int pv_msr_read(struct vcpu *v, u32 index, u64 *value, bool host);
int pv_msr_write(struct vcpu *v, u32 index, u64 value, bool host);
/* REQ_CLOCK_UPDATE: writes the time page. vCPU thread, may sleep. */
void pv_clock_update(struct vcpu *v);
/* VMMCALL: result in RAX. vCPU thread, interrupts may be off. */
void pv_hypercall(struct vcpu *v);
void pv_reset(struct vcpu *v);
/* Guest kvmclock of the VM, in ns (KVM_GET_CLOCK, KVM_SET_CLOCK). After a set the caller requests REQ_CLOCK_UPDATE of all vCPUs. */
u64 pv_clock_ns(struct vm *vm);
void pv_clock_set(struct vm *vm, u64 ns);

#endif
