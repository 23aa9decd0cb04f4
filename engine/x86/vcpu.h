/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The x86 virtual CPU: the structure that the run loop, the handlers and the host share. Each member structure belongs
 * to the file whose header declares it; what others write of it is little (docs/architecture.md, Who owns what).
 */
#ifndef EXEUNT_X86_VCPU_H
#define EXEUNT_X86_VCPU_H

#include "host.h"
#include "exit.h"
#include "vm.h"
#include "x86/regs.h"
#include "x86/cpuid.h"
#include "x86/emulate.h"
#include "x86/event.h"
#include "x86/lapic.h"
#include "x86/msr.h"
#include "x86/pv.h"
#include "stats.h"
#include "vendor.h"		/* svm/ or vmx/, by include path: struct vendor_vcpu and the register accessors */

/*
 * Where a vCPU is (see run.c for the protocol). A kick sends an interrupt only to IN_GUEST, and notes that with EXITING_GUEST: the
 * next one need not.
 */
enum vcpu_mode { OUTSIDE_GUEST, IN_GUEST, EXITING_GUEST };

/* Bits of vcpu->requests: work that the vCPU's own thread does before it enters the guest next. */
enum vcpu_request {
	REQ_TLB_FLUSH,		/* drop all of this vCPU's nested translations */
	REQ_EVENT,		/* look for events to inject again */
	REQ_CLOCK_UPDATE,	/* rewrite the kvmclock page */
	REQ_TRIPLE_FAULT,	/* KVM_EXIT_SHUTDOWN */
	REQ_IOAPIC_SCAN,	/* recompute which vectors' EOIs go to the VMM's IOAPIC */
	REQ_NMI,		/* an NMI was queued from outside */
	REQ_IOAPIC_EOI,		/* KVM_EXIT_IOAPIC_EOI for lapic.eoi_vector */
	REQ_STATS,		/* the accounting needs spare rows */
	REQ_TIMER_FOLLOW,	/* the host's timer is still on another CPU */
};

struct vcpu {
	/* What the world switch touches first: keep at the top, the offsets are checked in svm/switch.S's asserts. */
	u64 regs[16];		/* GPRs in encoding order; RAX and RSP are the VMCB's while the guest runs */
	struct vendor_vcpu hw;

	struct vcpu_stats *stats;
	struct vm *vm;
	struct kvm_run *run;
	u8 *pio_data;		/* the page of kvm_run that holds port I/O data */
	u32 id;
	u32 mode;		/* enum vcpu_mode */
	u64 requests;		/* BIT(enum vcpu_request); set by anyone, atomically */
	u32 rounds;		/* exits that may still be dealt with before host interrupts are enabled */
	u32 mechanisms;		/* EXEUNT_* that are on, as of the last entry with host interrupts on before */

	u32 mp_state;		/* KVM_MP_STATE_* */
	u64 xcr0;
	u64 dr[4];		/* DR0..DR3; DR6 and DR7 are the VMCB's */
	u32 pkru;
	struct host_xstate host_xstate;	/* written by the host */

	struct cpuid_state cpuid;
	struct msr_state msr;
	struct event_state ev;
	struct emul emul;
	struct lapic apic;
	struct pv_state pv;
};

/* XCR0 values that XSETBV takes (APM vol. 2, 11.5.2) and this guest's CPUID offers. */
bool vcpu_xcr0_valid(struct vcpu *v, u64 xcr0);

/* Sets a request; the caller kicks the vCPU if it must notice soon. Any context. */
static __always_inline void vcpu_request(struct vcpu *v, enum vcpu_request r)
{
	__atomic_fetch_or(&v->requests, 1ull << r, __ATOMIC_RELEASE);
}

/* Takes a request if set. The vCPU's own thread. */
static inline bool vcpu_take_request(struct vcpu *v, enum vcpu_request r)
{
	if (!(__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & (1ull << r)))
		return false;
	__atomic_fetch_and(&v->requests, ~(1ull << r), __ATOMIC_ACQUIRE);
	return true;
}

#endif
