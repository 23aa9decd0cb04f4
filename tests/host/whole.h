/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A whole virtual machine on a whole host: every engine file is linked, the CPU is svm_cpu.c. For
 * tests and fuzzers of what a vCPU as a whole does.
 */
#ifndef EXEUNT_TESTS_WHOLE_H
#define EXEUNT_TESTS_WHOLE_H

#include "machine.h"
#include "run.h"
#include "x86/state.h"
#include "x86/svm/svm.h"

/* Host CPUID 8000_0008h EBX: IBPB, IBRS, STIBP, SSBD. */
#define WHOLE_SPEC_BITS	(1u << 12 | 1u << 14 | 1u << 15 | 1u << 24)

/* And 8000_000Ah EDX: nested paging, unless the test says more. */
static u32 whole_svm_bits = 1u << 0;

/* An AMD CPU with SVM, of a size that all tests can agree on. */
static inline void whole_host_cpuid(u32 spec_bits)
{
	machine_clear_cpuid();
	machine_set_cpuid(0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65);
	machine_set_cpuid(1, 0, 0x00800f12, 0x00000800, 0x7ed8320b, 0x178bfbff);
	/* FSGSBASE, SMEP, INVPCID, SMAP; UMIP, PKU, LA57, RDPID. */
	machine_set_cpuid(7, 0, 0, 1u << 0 | 1u << 7 | 1u << 10 | 1u << 20,
			  1u << 2 | 1u << 3 | 1u << 16 | 1u << 22, 0);
	machine_set_cpuid(0xd, 0, 0x207, 0x988, 0x988, 0);
	machine_set_cpuid(0xd, 1, 7, 0, 0, 0);
	machine_set_cpuid(0xd, 2, 256, 576, 0, 0);
	machine_set_cpuid(0xd, 9, 8, 2432, 0, 0);
	machine_set_cpuid(0x80000000, 0, 0x8000000a, 0x68747541, 0x444d4163, 0x69746e65);
	machine_set_cpuid(0x80000001, 0, 0x00800f12, 0, 0x75c237ff, 0x2fd3fbff);
	machine_set_cpuid(0x80000008, 0, 0x00003030, spec_bits, 0, 0);
	machine_set_cpuid(0x8000000a, 0, 1, 8, 0, whole_svm_bits);
	machine_xfeatures = 0x207;
	machine_la57 = true;
	machine_tsc_stable = true;
}

/* The VMM gives its vCPU all that the engine offers. */
static inline void whole_give_cpuid(struct vcpu *v)
{
	static struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
	u32 nr = CPUID_MAX_ENTRIES;

	if (cpuid_supported(entries, &nr) || cpuid_set(v, entries, nr))
		abort();
	vendor_cpuid_changed(v);
}

/* A vCPU after power-up, made as the host makes it. */
static inline struct vcpu *whole_add_vcpu(struct machine *m, u32 id)
{
	struct vcpu *v = machine_add_vcpu(m, id);

	free(v->hw.vmcb);
	v->hw.vmcb = NULL;
	v->stats = stats_create();
	if (!v->stats || vcpu_create(v, &m->vm, id))
		abort();
	whole_give_cpuid(v);
	return v;
}

/* A host without machines. Undone by svm_exit(). */
static inline void whole_host(void)
{
	memset(&machine_cpu, 0, sizeof(machine_cpu));
	machine_guest = NULL;
	machine_blocked = NULL;
	machine_others = NULL;
	machine_signal = false;
	machine_spec_ctrl_bits = 7;
	machine_v_spec_ctrl = false;
	whole_host_cpuid(WHOLE_SPEC_BITS);
	if (svm_init())
		abort();
}

/* A machine on it with one vCPU and, unless @irqchip is false, APICs in the engine. Undone by whole_free_machine(). */
static inline struct machine *whole_add_machine(u64 mem_size, bool irqchip)
{
	struct machine *m = machine_create(mem_size);

	m->vm.irqchip_split = irqchip;
	if (npt_create(&m->vm, 4) || vendor_vm_create(&m->vm))
		abort();
	pv_clock_set(&m->vm, 0);
	whole_add_vcpu(m, 0);
	return m;
}

/* The host with one such machine. Undone by whole_free(). */
static inline struct machine *whole_create(u64 mem_size, bool irqchip)
{
	whole_host();
	return whole_add_machine(mem_size, irqchip);
}

static inline void whole_free_vcpu(struct vcpu *v)
{
	vcpu_destroy(v);
	stats_destroy(v->stats);
}

static inline void whole_free_machine(struct machine *m)
{
	for (u32 i = 0; i < VM_MAX_VCPUS; i++)
		if (m->vcpus[i])
			whole_free_vcpu(&m->vcpus[i]->vcpu);
	vendor_vm_destroy(&m->vm);
	npt_destroy(&m->vm);
	if (m->nr_tables)
		abort();
	machine_free(m);
}

static inline void whole_free(struct machine *m)
{
	whole_free_machine(m);
	svm_exit();
	machine_clear_cpuid();
}

/* Exits for @reason that were dealt with at @outcome; the last one counts once the guest has been entered again. */
static inline u64 whole_exits(struct vcpu *v, u32 reason, enum exeunt_outcome outcome)
{
	static struct exeunt_row rows[EXEUNT_MAX_ROWS];
	u32 nr = stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS);
	u64 count = 0;

	for (u32 i = 0; i < nr; i++)
		if (EXEUNT_KEY_REASON(rows[i].key) == reason && EXEUNT_KEY_OUTCOME(rows[i].key) == outcome)
			count += rows[i].count;
	return count;
}

/*
 * One entry into the guest, which does @guest and exits: what run.c does around it, without its
 * loop and without the exit's handler.
 */
static inline void whole_enter(struct vcpu *v, void (*guest)(struct vcpu *v))
{
	machine_guest = guest;
	if (vcpu_take_request(v, REQ_EVENT))
		event_inject(v);
	host_preempt_disable();
	host_irq_disable();
	v->mode = IN_GUEST;
	host_xstate_enter(&v->host_xstate, vcpu_cr4(v), v->xcr0, v->msr.xss, &v->pkru);
	vendor_prepare(v);
	vendor_enter(v);
	v->mode = OUTSIDE_GUEST;
	host_xstate_exit(&v->host_xstate, vcpu_cr4(v), v->xcr0, v->msr.xss, &v->pkru);
	vendor_finish(v);
	host_irq_enable();
	host_preempt_enable();
	machine_guest = NULL;
}

#endif
