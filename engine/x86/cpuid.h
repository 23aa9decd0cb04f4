/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CPUID: what the engine can give a guest on this host, and what the VMM gave this vCPU.
 */
#ifndef EXEUNT_X86_CPUID_H
#define EXEUNT_X86_CPUID_H

#include "host.h"

struct vcpu;
struct kvm_cpuid_entry2;

#define CPUID_MAX_ENTRIES	256	/* as KVM_MAX_CPUID_ENTRIES */
#define CPUID_BUCKETS		128
#define XSAVE_COMPONENTS	10	/* XCR0 bits 0 (x87) to 9 (PKRU) */

/* One entry, as the CPUID instruction looks for it: half a cache line. */
struct cpuid_slot {
	u32 leaf, sub;
	u32 flags;		/* KVM_CPUID_FLAG_* */
	u32 a, b, c, d;
	u16 next;		/* slot number + 1 of the next one in the same bucket; 0: none */
	u16 live;		/* enum live_bits, cpuid.c: what follows the guest's state */
};

/* Where the CPU's XSAVE area holds a component (CPUID leaf 0xd). */
struct xsave_component {
	u32 size, offset;
	bool align64;		/* in the compacted form */
};

struct cpuid_state {
	struct cpuid_slot *slots;	/* in the VMM's order; owned here */
	u16 first[CPUID_BUCKETS];	/* slot number + 1 of a bucket's first entry; 0: none */
	u32 nr;
	bool frozen;			/* the vCPU has run: cpuid_freeze() */
	bool intel_range;		/* out-of-range leaves answer as the last basic one */
	struct xsave_component xsave[XSAVE_COMPONENTS];
	/*
	 * Derived whenever the entries change: what other files ask about. All of it is also
	 * limited to what this host can do, so that a bit that a VMM invents never reaches a VMCB
	 * or a real MSR. Without entries the host's limits are the only ones.
	 */
	u64 cr4_allowed;		/* CR4 bits that the guest may set */
	u64 efer_allowed;
	u64 xcr0_allowed;
	u8 maxphyaddr;			/* 36 unless leaf 0x80000008 says otherwise; at most 52 */
	bool has_rdtscp, has_tsc_deadline, has_x2apic, has_nx, has_rdpid, has_xsaves, has_invpcid;
	bool has_spec_ctrl;		/* MSR 0x48: any of IBRS, STIBP, SSBD */
	bool has_ibpb;			/* MSR 0x49 */
	u32 kvm_features;		/* leaf 0x40000001 EAX; 0 without KVM's signature */
};

/*
 * KVM_GET_SUPPORTED_CPUID: fills at most *@nr entries and sets *@nr to the count. -E2BIG if they do
 * not fit. The host's CPUID masked to what the engine supports. May sleep.
 */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nr);
/* A new vCPU, zeroed: no entries. Before it is published, and before vendor_create(). */
void cpuid_init(struct vcpu *v);
/*
 * KVM_SET_CPUID2: takes a copy of @entries (host memory). -E2BIG over CPUID_MAX_ENTRIES; -EINVAL
 * for a leaf 0x80000008 with a virtual address width other than 48, 57 or 0, and for contents that
 * differ once the vCPU has run; -ENOMEM. On success the caller tells the vendor
 * (vendor_cpuid_changed). vCPU thread.
 */
int cpuid_set(struct vcpu *v, const struct kvm_cpuid_entry2 *entries, u32 nr);
/* The vCPU is about to run: from now on cpuid_set() takes only what is already set. */
static inline void cpuid_freeze(struct cpuid_state *s) { s->frozen = true; }
/*
 * KVM_GET_CPUID2: copies out at most *@nr entries; -E2BIG if there are more; *@nr is the count
 * either way. vCPU thread.
 */
int cpuid_get(struct vcpu *v, struct kvm_cpuid_entry2 *entries, u32 *nr);
void cpuid_free(struct vcpu *v);
/*
 * The CPUID instruction: reads leaf in RAX, sub-leaf in RCX, answers with the bits that follow the
 * guest's state (OSXSAVE, OSPKE, APIC enabled, XSAVE sizes) made right, and the out-of-range rules
 * of the VMM's vendor (Intel: last basic leaf; AMD: zeros). Writes the four GPRs of @v->regs. Hot
 * path: no sleeping, no locks, interrupts may be off.
 */
void cpuid_execute(struct vcpu *v);
/*
 * The entry for leaf *@a, sub-leaf *@c: its EAX and ECX as set, without what follows the guest's
 * state. False: there is none.
 */
bool cpuid_lookup(struct vcpu *v, u32 *a, u32 *c);

/* The entry is for one sub-leaf only. */
static __always_inline bool cpuid_is_indexed(u32 flags)
{
	return flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

/*
 * Basic, hypervisor, extended and Centaur leaves fall apart, and so do the leaves of one kind that
 * exist. Always in range.
 */
static __always_inline u32 cpuid_bucket(u32 leaf)
{
	return (leaf & 31) | (leaf >> 30) << 5;
}

/* The entry as the CPUID instruction looks for it, or NULL. */
static __always_inline const struct cpuid_slot *cpuid_find(const struct cpuid_state *s, u32 leaf, u32 sub)
{
	const struct cpuid_slot *e;
	u32 i;

	for (i = s->first[cpuid_bucket(leaf)]; i; i = e->next) {
		e = &s->slots[i - 1];
		if (e->leaf == leaf && (e->sub == sub || !cpuid_is_indexed(e->flags)))
			return e;
	}
	return NULL;
}

#endif
