/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the SVM files: the world switch, what svm.c tells exits.c.
 */
#ifndef EXEUNT_SVM_H
#define EXEUNT_SVM_H

#include "x86/vcpu.h"

/* switch.S. Interrupts off; from the first instruction to the last no per-CPU data of the kernel is reachable. */
void svm_world_switch(struct vcpu *v, u64 guest_vmcb_pa, u64 host_vmcb_pa, u64 host_spec_ctrl);
/* inner.c, called by the world switch only: true if the guest may be entered again at once. */
bool svm_inner(struct vcpu *v);

/* The exit ended or interrupted IRET's intercept: NMIs may be taken again. vCPU thread. */
void svm_nmi_unmask(struct vcpu *v);

/* An event, an NMI handler's end or debug registers, of which vendor_finish() has to see the end. */
static __always_inline bool svm_goes_on(const struct vcpu *v)
{
	return v->hw.event_given || v->hw.nmi_iret || v->hw.nmi_singlestep || v->hw.guest_dr;
}

#endif
