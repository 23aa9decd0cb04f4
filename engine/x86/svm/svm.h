/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the SVM files: the world switch and its inner loop, AVIC, what svm.c tells the others.
 */
#ifndef EXEUNT_SVM_H
#define EXEUNT_SVM_H

#include "x86/vcpu.h"

/* switch.S. Interrupts off; from the first instruction to the last no per-CPU data of the kernel is reachable. */
void svm_world_switch(struct vcpu *v, u64 guest_vmcb_pa, u64 host_vmcb_pa, u64 host_spec_ctrl);
/* inner.c, called by the world switch only: true if the guest may be entered again at once. */
bool svm_inner(struct vcpu *v);

/* The guest accesses @msr, 0..1fffh or c0000000h..c0001fffh, without an exit, or not. vCPU thread. */
void svm_pass_msr(struct vcpu *v, u32 msr, bool pass);

/* avic.c. What all VMs share, after svm_detect(): -ENOMEM. */
int svm_avic_init(void);
void svm_avic_exit(void);
/* Off, for a vCPU that is reset; then its VMCB's AVIC fields are as they must be. And: it goes away. vCPU thread. */
void svm_avic_reset(struct vcpu *v);
void svm_avic_destroy(struct vcpu *v);
/* Goes over to @mode, which the CPU must have. Interrupts that have come are looked for again. vCPU thread, before event_inject(). */
void svm_avic_choose(struct vcpu *v, enum avic_mode mode);
/* The vCPU runs here until vendor_leave_cpu(). Interrupts off, right before an entry with AVIC_FULL. */
void svm_avic_come_to_cpu(struct vcpu *v);

/* The exit ended or interrupted IRET's intercept: NMIs may be taken again. vCPU thread. */
void svm_nmi_unmask(struct vcpu *v);

/* An event, an NMI handler's end or debug registers, of which vendor_finish() has to see the end. */
static __always_inline bool svm_goes_on(const struct vcpu *v)
{
	return v->hw.event_given || v->hw.nmi_iret || v->hw.nmi_singlestep || v->hw.guest_dr;
}

#endif
