/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual machine as the engine sees it. The host embeds struct vm in its own per-VM structure.
 */
#ifndef EXEUNT_VM_H
#define EXEUNT_VM_H

#include "host.h"
#include "x86/npt.h"
#include "vendor.h"		/* svm/ or vmx/, by include path: struct vendor_vm */

#define VM_MAX_VCPUS	256	/* vCPU ids, and so APIC ids, are 0..255 */

struct vcpu;

struct vm {
	/* Written once by the host at vCPU creation (release), read anywhere (acquire); never removed while the VM lives. */
	struct vcpu *vcpu_by_id[VM_MAX_VCPUS];
	u32 nr_vcpus;
	u32 max_id;		/* highest id in use; bounds the loops over vcpu_by_id */
	u32 bsp_id;		/* KVM_SET_BOOT_CPU_ID; 0 unless set */

	bool irqchip_split;	/* in-kernel local APICs, IOAPIC in the VMM */
	bool x2apic_ids32;	/* KVM_X2APIC_API_USE_32BIT_IDS */
	bool x2apic_no_bcast_quirk;
	u32 nr_ioapic_pins;	/* KVM_CAP_SPLIT_IRQCHIP args[0] */
	u64 disabled_quirks;	/* KVM_CAP_DISABLE_QUIRKS */
	bool pause_in_guest, hlt_in_guest;	/* KVM_CAP_X86_DISABLE_EXITS */
	/* EXEUNT_CAP_MECHANISMS: those that this VM decides for itself, and which of them are on. Written by the host. */
	u32 mechanisms_own, mechanisms_on;
	bool pio_doorbells;	/* host_pio_write() may take some; until then it need not be asked. Written by the host. */

	u64 tsc_khz;		/* default for new vCPUs */
	/* kvmclock (pv.c): one pair for all vCPUs where the host's TSC allows it, else an offset to the host's boot clock. */
	bool clock_shared;
	u64 clock_base_tsc, clock_base_ns;
	s64 clock_offset_ns;
	/* The last TSC offset that a vCPU was given, at its creation or by the VMM's writes (msr.c). */
	bool tsc_begun, tsc_written;
	s64 last_tsc_offset;
	struct npt npt;
	struct vendor_vm hw;
};

/* The mechanisms that are on for @vm now. Any context. */
static inline u32 vm_mechanisms(const struct vm *vm)
{
	u32 own = __atomic_load_n(&vm->mechanisms_own, __ATOMIC_RELAXED);

	return (host_mechanisms() & ~own) | (__atomic_load_n(&vm->mechanisms_on, __ATOMIC_RELAXED) & own);
}

/* The vCPU with this id, or NULL. Any context. */
static inline struct vcpu *vm_vcpu(struct vm *vm, u32 id)
{
	return id < VM_MAX_VCPUS ? __atomic_load_n(&vm->vcpu_by_id[host_index(id, VM_MAX_VCPUS)], __ATOMIC_ACQUIRE) : NULL;
}

/* Visits every vCPU of @vm; vCPUs being created may be missed. */
#define vm_for_each_vcpu(vm, v, i) \
	for ((i) = 0; (i) <= (vm)->max_id; (i)++) \
		if (!((v) = vm_vcpu(vm, i))) { \
		} else

#endif
