/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vCPU's registers in the API's structures: KVM_GET/SET_REGS, SREGS, DEBUGREGS, MP_STATE, XCRS.
 */
#ifndef EXEUNT_X86_STATE_H
#define EXEUNT_X86_STATE_H

#include "x86/vcpu.h"

void state_get_regs(struct vcpu *v, struct kvm_regs *r);
void state_set_regs(struct vcpu *v, const struct kvm_regs *r);
void state_get_sregs(struct vcpu *v, struct kvm_sregs *s);
/* -EINVAL for combinations that no CPU can have (APM vol. 2, 15.5.1). */
int state_set_sregs(struct vcpu *v, const struct kvm_sregs *s);
void state_get_debugregs(struct vcpu *v, struct kvm_debugregs *d);
/* -EINVAL for flags or for bits above 31 of DR6 and DR7. */
int state_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d);
u32 state_get_mp_state(struct vcpu *v);
/* -EINVAL for states that do not exist here. */
int state_set_mp_state(struct vcpu *v, u32 mp_state);
int state_set_xcrs(struct vcpu *v, const struct kvm_xcrs *x);
void state_get_xcrs(struct vcpu *v, struct kvm_xcrs *x);
/* The fields of kvm_run that every exit reports. */
void state_to_run(struct vcpu *v);

#endif
