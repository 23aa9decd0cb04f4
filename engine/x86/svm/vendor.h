/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMD's side of the vendor interface: the per-vCPU SVM state, and the register accessors that the rest of the engine calls.
 * A VMX build finds its own vendor.h on the include path; the linker binds the functions.
 */
#ifndef EXEUNT_SVM_VENDOR_H
#define EXEUNT_SVM_VENDOR_H

#include "host.h"
#include "x86/regs.h"
#include "x86/svm/asid.h"
#include "x86/svm/vmcb.h"

struct vcpu;
struct vm;
struct kvm_segment;

/*
 * Who delivers the guest's interrupts: the hypervisor offers them one by one; the CPU takes them from IRR (AVIC); and lets the guest send
 * and end them, too (x2AVIC). See avic.c.
 */
enum avic_mode { AVIC_OFF, AVIC_DELIVER, AVIC_FULL };

struct vendor_vcpu {
	/* Offsets known to switch.S. */
	u64 spec_ctrl;		/* the guest's */
	u32 spec_ctrl_passed;	/* the guest writes SPEC_CTRL without an exit */
	bool inner;		/* the inner loop (inner.c) may deal with exits of this entry */
	u64 vmcb_pa;

	bool inner_handled;	/* it dealt with the last one, too, that is: with the one that ended it */
	struct vmcb *vmcb;
	u64 *msrpm;		/* two pages: a set bit intercepts */
	u64 msrpm_pa;
	struct asid asid;
	u64 cr0_hidden;		/* CR0.CD and NW that the guest set but does not run with; CR0 accesses are intercepted then */
	u64 cr4_added;		/* CR4.MCE that the guest did not set but runs with; its reads of CR4 are intercepted then */
	/* Any of these four is seldom set: together, so that one comparison finds that none is. */
	bool event_given;	/* the VMCB holds an event that the next entry delivers (the CPU clears the field itself) */
	bool nmi_iret;		/* IRET of the NMI handler was intercepted and not yet executed */
	bool nmi_singlestep;	/* TF is ours: to see IRET end */
	bool guest_dr;		/* DR0..3 hold the guest's values while it runs */
	u64 nmi_iret_rip;
	u64 nmi_singlestep_flags;
	bool nmi_step_iret;	/* over IRET, which pops the guest's flags */
	u8 avic;		/* enum avic_mode */
	bool avic_running;	/* AVIC_FULL, and other CPUs know where it runs */
	u32 exit_code;		/* of the last exit; 0xffffffff when VMRUN failed */
};

#define VMCB(v) ((v)->hw.vmcb)

/* A VM's part: 0 where the CPU has no AVIC. */
struct vendor_vm {
	u64 *avic_ids;		/* the physical APIC ID table, by vCPU id; each entry is written by its vCPU's thread */
	u64 avic_ids_pa;
};

/* What the CPU offers (CPUID 8000_000Ah); filled by svm_init. */
struct svm_features {
	u32 nr_asids, phys_bits;
	bool avic, x2avic, nrip, flush_by_asid, decode_assists, pause_filter, pause_threshold, v_spec_ctrl;
};
extern struct svm_features svm;

/*
 * Reads the features and makes the tables that all VMs share. -EOPNOTSUPP with a reason logged if the CPU lacks SVM or nested paging;
 * -ENOMEM. Undone by svm_exit. May sleep.
 */
int svm_init(void);
void svm_exit(void);

/*
 * Accessors, as macros over VMCB(v) so that they need no complete struct vcpu here. vCPU thread only.
 */
#define vcpu_rip(v)		(VMCB(v)->s.rip)
#define vcpu_rflags(v)		(VMCB(v)->s.rflags)
#define vcpu_cr0(v)		(VMCB(v)->s.cr0 | (v)->hw.cr0_hidden)
#define vcpu_cr2(v)		(VMCB(v)->s.cr2)
#define vcpu_cr3(v)		(VMCB(v)->s.cr3)
#define vcpu_cr4(v)		(VMCB(v)->s.cr4 & ~(v)->hw.cr4_added)
/* As the guest left it: the task priority of the APIC, here or the VMM's. */
#define vcpu_cr8(v)		(VMCB(v)->c.int_ctl & V_TPR_FIELD)
#define vcpu_efer(v)		(VMCB(v)->s.efer & ~EFER_SVME_BIT)
#define vcpu_cpl(v)		(VMCB(v)->s.cpl)
#define vcpu_set_cr2(v, x)	((void)(VMCB(v)->s.cr2 = (x)))
#define vcpu_set_rflags(v, x)	((void)(VMCB(v)->s.rflags = (x)))
#define vcpu_in_shadow(v)	(VMCB(v)->c.int_state & INT_SHADOW_BIT)
#define vcpu_clear_shadow(v)	((void)(VMCB(v)->c.int_state &= ~INT_SHADOW_BIT))

/* 64-bit code segment in long mode. */
#define vcpu_is_64bit(v)	((VMCB(v)->s.efer & EFER_LMA_BIT) && (VMCB(v)->s.cs.attrib & (1u << 9)))
/* CS.D: the default operand and address size is 32 bits (when not 64-bit). */
#define vcpu_cs_is_32bit(v)	(VMCB(v)->s.cs.attrib & (1u << 10))
/* SS.B: the stack pointer is 32 bits wide (when not 64-bit). */
#define vcpu_ss_is_32bit(v)	(VMCB(v)->s.ss.attrib & (1u << 10))

#define vcpu_set_rip(v, x)	((void)(VMCB(v)->s.rip = (x)))
#define vcpu_set_shadow(v, on)	((void)(VMCB(v)->c.int_state = (VMCB(v)->c.int_state & ~INT_SHADOW_BIT) | ((on) ? INT_SHADOW_BIT : 0)))

/* The instruction set of exit reasons, as the kvm_exit trace point and struct exeunt_info name it. */
#define VENDOR_ISA	2

/*
 * The bytes at RIP, where the CPU gives them with a nested page fault on data (decode assists, APM vol. 2, 15.8.4), and how many. 0: it
 * does not say, or could not fetch them.
 */
#define vcpu_fault_code(v)	(VMCB(v)->c.insn_bytes)
#define vcpu_fault_code_len(v)	(svm.decode_assists ? VMCB(v)->c.insn_len & 0xf : 0)

/* Why the guest was left: EXITCODE. From vendor_enter() on. */
#define vcpu_exit_reason(v)	(VMCB(v)->c.exit_code)

/* --- Lifetime. -ENOMEM. --- */
int vendor_vm_create(struct vm *vm);
/* When its vCPUs are gone; also of nothing. */
void vendor_vm_destroy(struct vm *vm);
int vendor_create(struct vcpu *v);
void vendor_destroy(struct vcpu *v);
void vendor_reset(struct vcpu *v, bool init);

/* --- The way in and out: called by run.c, interrupts off, in this order. --- */
void vendor_prepare(struct vcpu *v);
void vendor_enter(struct vcpu *v);
/* Between exits that fast.h deals with: the host's interrupts have been off since the last one. */
void vendor_enter_again(struct vcpu *v);
void vendor_finish(struct vcpu *v);
/* Interrupts on. The outcome of the exit (exit.h). */
int vendor_handle_exit(struct vcpu *v);
/* The vCPU's translations are dropped before it runs next. vCPU thread. */
void vendor_flush_tlb(struct vcpu *v);

/*
 * The vCPU's thread leaves the CPU, or is about to look for interrupts for the last time before it sleeps: CPUs that send it some by
 * themselves will have to wake it. vCPU thread, also with interrupts off. No-op unless they think that it runs.
 */
#define vendor_leave_cpu(v) \
	do { \
		if (unlikely((v)->hw.avic_running)) \
			svm_avic_leave_cpu(v); \
	} while (0)
void svm_avic_leave_cpu(struct vcpu *v);
/* CPUs that send it interrupts by themselves know that it runs: it looks at IRR after it has let them know, and before it leaves. Any context. */
#define vendor_runs_openly(v)	__atomic_load_n(&(v)->hw.avic_running, __ATOMIC_RELAXED)
/* The vCPU's APIC may have begun or ceased to take interrupts. vCPU thread. */
void vendor_apic_changed(struct vcpu *v);

/* --- Events (called by event.c). --- */
void vendor_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error);
void vendor_inject_nmi(struct vcpu *v);
void vendor_inject_interrupt(struct vcpu *v, u8 vector);
bool vendor_nmi_allowed(struct vcpu *v);
#define vendor_interrupt_allowed(v)	((vcpu_rflags(v) & FLAG_IF) && !vcpu_in_shadow(v))
void vendor_open_nmi_window(struct vcpu *v);
/*
 * The CPU takes @vector when the guest can; or it exits when the guest could take one; or neither. V_IRQ: it takes
 * the vector when the priority is above V_TPR, IF is set, and no shadow blocks it (APM vol. 2, 15.21.4).
 */
static __always_inline void svm_withdraw_interrupt(struct vmcb_control *c)
{
	c->int_ctl &= ~(V_IRQ_BIT | V_IGN_TPR_BIT | V_INTR_PRIO(0xf));
	c->intercepts[ICPT_MISC1] &= ~ICPT1_VINTR;
}

static __always_inline void svm_offer_interrupt(struct vmcb_control *c, u8 vector)
{
	svm_withdraw_interrupt(c);
	c->int_ctl |= V_IRQ_BIT | V_INTR_PRIO(vector >> 4);
	c->int_vector = vector;
}

#define vendor_offer_interrupt(v, vector)	svm_offer_interrupt(&VMCB(v)->c, vector)
/* The same for a vector of the VMM's PIC, whose interrupts have no priority and heed no TPR. */
#define vendor_offer_extint(v, vector)		(svm_offer_interrupt(&VMCB(v)->c, vector), (void)(VMCB(v)->c.int_ctl |= V_IGN_TPR_BIT))
void vendor_open_interrupt_window(struct vcpu *v);
#define vendor_withdraw_interrupt(v)		svm_withdraw_interrupt(&VMCB(v)->c)
/* A #DB is about to be delivered by software: DR7.GD is cleared as the CPU would. */
void vendor_set_debug_fault(struct vcpu *v);
/* Stops the single step that vendor_open_nmi_window may have begun; the guest has its own TF again. */
void vendor_end_nmi_step(struct vcpu *v);
void vendor_set_nmi_mask(struct vcpu *v, bool masked);
/* The TPR that the guest finds in CR8: always that of its APIC. */
#define vendor_set_cr8(v, cr8)	((void)(VMCB(v)->c.int_ctl = (VMCB(v)->c.int_ctl & ~V_TPR_FIELD) | (cr8)))
/* Makes the CPU exit on CR8 writes only while one could unblock an interrupt. With an APIC in the engine. */
#define vendor_watch_cr8(v)	((void)(VMCB(v)->c.intercepts[ICPT_CR] |= ICPT_CR_WRITE(8)))
#define vendor_unwatch_cr8(v)	((void)(VMCB(v)->c.intercepts[ICPT_CR] &= ~ICPT_CR_WRITE(8)))
void vendor_update_tpr(struct vcpu *v);

/* --- State that the VMM reads and writes (state.c, msr.c). --- */
u64 vendor_get_msr(struct vcpu *v, u32 index);
void vendor_set_msr(struct vcpu *v, u32 index, u64 value);
void vendor_set_efer(struct vcpu *v, u64 efer);
void vendor_set_cr0(struct vcpu *v, u64 cr0);
void vendor_set_cr3(struct vcpu *v, u64 cr3);
void vendor_set_cr4(struct vcpu *v, u64 cr4);
void vendor_set_tsc_offset(struct vcpu *v, s64 offset);
/* The guest's CPUID changed: what is intercepted follows. */
void vendor_cpuid_changed(struct vcpu *v);
/* Nothing is left to inject at the next entry; event_inject decides anew. */
#define vendor_clear_event(v)	((void)((v)->hw.event_given = false, VMCB(v)->c.event_inj = 0))
/* SPEC_CTRL goes to the guest directly from its first write on. */
void vendor_pass_spec_ctrl(struct vcpu *v);

/* Completes the current instruction: RIP becomes @next_rip (cut to the code segment's width), the interrupt shadow ends, TF traps. */
void vcpu_advance_to(struct vcpu *v, u64 next_rip);

/* Segment @seg (enum seg) in the API's form. */
void vcpu_get_segment(struct vcpu *v, unsigned int seg, struct kvm_segment *s);
void vcpu_set_segment(struct vcpu *v, unsigned int seg, const struct kvm_segment *s);
/* GDTR and IDTR. */
struct kvm_dtable;
void vcpu_get_tables(struct vcpu *v, struct kvm_dtable *gdt, struct kvm_dtable *idt);
void vcpu_set_tables(struct vcpu *v, const struct kvm_dtable *gdt, const struct kvm_dtable *idt);

#endif
