// SPDX-License-Identifier: GPL-2.0
/*
 * AVIC: the CPU takes interrupts from the APIC's page by itself, and IPIs between running vCPUs cause no exit (APM vol. 2, 15.29).
 * Owns struct vendor_vm, vendor_vcpu's avic fields, and the AVIC fields of the VMCB.
 *
 * Two degrees. AVIC_DELIVER: whoever has set an IRR bit rings the doorbell of the vCPU's CPU, instead of forcing an exit; the guest's
 * accesses to its APIC exit as ever. AVIC_FULL, for a guest in x2APIC mode on a CPU that has x2AVIC: those that are frequent do not.
 * The APIC's page is not mapped for a guest in xAPIC mode: nested page tables are one for all vCPUs, and it would be there, too, for those
 * whose APIC is off, elsewhere, or an x2APIC.
 *
 * The CPU finds the targets of an IPI in the physical APIC ID table. An entry there is valid while the vCPU's APIC takes interrupts, AVIC or
 * not: what the CPU then cannot do is an exit of the sender, in which nothing is forgotten. IsRunning is set at an entry with AVIC_FULL, and
 * cleared when the thread leaves the CPU, is about to sleep, or has changed what says whether the entry is valid; not by exits. Whoever
 * clears it looks at IRR after that, and who sends sets IRR before it reads it, so that either of them sees the other's.
 */
#include "x86/lapic_inline.h"
#include "x86/svm/svm.h"

#define ENTRY_VALID	(1ull << 63)
#define ENTRY_RUNNING	(1ull << 62)
#define ENTRY_CPU	0xfffull	/* the host's APIC id */

/* The logical APIC ID table is for guests in xAPIC mode, whose ICR exits: no entry is valid. */
static void *logical_table;
static u64 logical_table_pa;

int svm_avic_init(void)
{
	if (!svm.avic)
		return 0;
	logical_table = host_pages_alloc(0, &logical_table_pa);
	return logical_table ? 0 : -ENOMEM;
}

void svm_avic_exit(void)
{
	host_pages_free(logical_table, 0);
	logical_table = NULL;
}

int vendor_vm_create(struct vm *vm)
{
	if (!svm.avic)
		return 0;
	vm->hw.avic_ids = host_pages_alloc(0, &vm->hw.avic_ids_pa);
	return vm->hw.avic_ids ? 0 : -ENOMEM;
}

void vendor_vm_destroy(struct vm *vm)
{
	host_pages_free(vm->hw.avic_ids, 0);
	vm->hw.avic_ids = NULL;
}

static void set_entry(struct vcpu *v, u64 entry)
{
	__atomic_exchange_n(&v->vm->hw.avic_ids[v->id], entry, __ATOMIC_SEQ_CST);
}

/* The entry of a vCPU that is on no CPU. */
static u64 idle_entry(const struct vcpu *v)
{
	if (!lapic_reachable(&v->apic) || !lapic_sw_enabled(&v->apic))
		return 0;
	return ENTRY_VALID | v->apic.regs_pa;
}

void svm_avic_leave_cpu(struct vcpu *v)
{
	__atomic_store_n(&v->hw.avic_running, false, __ATOMIC_RELAXED);
	set_entry(v, idle_entry(v));
}

void svm_avic_come_to_cpu(struct vcpu *v)
{
	u32 id = host_apic_id();

	/* Where the entry has no room for the CPU's number, senders go on causing exits. */
	if (id > ENTRY_CPU)
		return;
	__atomic_store_n(&v->hw.avic_running, true, __ATOMIC_RELAXED);
	set_entry(v, idle_entry(v) | ENTRY_RUNNING | id);
}

/*
 * What of the x2APIC the guest has without exits. The others need the hypervisor, or are not worth their traps; and nothing is known to
 * report a vector below 16 in SELF_IPI.
 */
static const u32 passed_msrs[] = { M_X2APIC_TPR, M_X2APIC_EOI, M_X2APIC_ICR };

/* An APIC that is disabled by software takes no interrupt of its own either, which the CPU does not look at. */
static void pass_msrs(struct vcpu *v)
{
	bool full = v->hw.avic == AVIC_FULL;

	for (unsigned int i = 0; i < ARRAY_SIZE(passed_msrs); i++)
		svm_pass_msr(v, passed_msrs[i], full && (passed_msrs[i] != M_X2APIC_ICR || lapic_sw_enabled(&v->apic)));
}

void vendor_apic_changed(struct vcpu *v)
{
	if (!v->vm->hw.avic_ids)
		return;
	svm_avic_leave_cpu(v);
	pass_msrs(v);
}

void svm_avic_choose(struct vcpu *v, enum avic_mode mode)
{
	struct vmcb_control *c = &VMCB(v)->c;

	vendor_leave_cpu(v);
	vendor_withdraw_interrupt(v);
	vendor_unwatch_cr8(v);
	/* Without x2AVIC FFh is a broadcast, and FEh the last index. */
	c->avic_physical = v->vm->hw.avic_ids_pa | (mode == AVIC_FULL ? VM_MAX_VCPUS - 1 : 0xfe);
	c->int_ctl &= ~(AVIC_BIT | X2AVIC_BIT);
	if (mode != AVIC_OFF)
		c->int_ctl |= mode == AVIC_FULL ? AVIC_BIT | X2AVIC_BIT : AVIC_BIT;
	v->hw.avic = mode;
	pass_msrs(v);
	lapic_set_apicv(v, mode != AVIC_OFF);
}

void svm_avic_reset(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;

	if (!svm.avic)
		return;
	/* Where hardly a VMM has memory for a guest. If it has, a guest in xAPIC mode finds its APIC's registers there, and what traps ends KVM_RUN. */
	c->avic_bar = ((1ull << svm.phys_bits) - 1) & ~0xfffull;
	c->avic_page = v->apic.regs_pa;
	c->avic_logical = logical_table_pa;
	if (v->hw.avic != AVIC_OFF)
		svm_avic_choose(v, AVIC_OFF);
}

void svm_avic_destroy(struct vcpu *v)
{
	/* A vCPU that never got as far as to belong to a VM has no entry. */
	if (v->vm && v->vm->hw.avic_ids)
		set_entry(v, 0);
}
