/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Model-specific registers: those that the engine answers itself, and the route to those of the APIC, the vendor and PV.
 */
#ifndef EXEUNT_X86_MSR_H
#define EXEUNT_X86_MSR_H

#include "host.h"

struct vcpu;

#define MCE_MAX_BANKS	32

struct msr_state {
	u64 misc_enable;
	u64 ucode_rev;
	u64 arch_capabilities;
	u64 tsc_adjust;
	u64 tsc_aux;
	u64 xss;
	u64 virt_spec_ctrl;
	u64 mtrr_deftype, mtrr_fixed[11], mtrr_var[16];
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 mce_banks[MCE_MAX_BANKS * 4];
	u64 smi_count, feature_control, hwcr, de_cfg;
	s64 tsc_offset;		/* guest TSC = host TSC + offset */
	u64 tsc_khz;
};

/*
 * RDMSR and WRMSR. @host: the VMM asks (KVM_GET/SET_MSRS), read-only and opt-in ones are allowed then. 0; 1 for #GP (the VMM's
 * call stops there). vCPU thread, loaded. May sleep only when @host.
 */
int msr_read(struct vcpu *v, u32 index, u64 *value, bool host);
int msr_write(struct vcpu *v, u32 index, u64 value, bool host);
void msr_reset(struct vcpu *v);

/* KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST: constant arrays. */
const u32 *msr_index_list(u32 *nr);
const u32 *msr_feature_list(u32 *nr);
/* KVM_GET_MSRS on the system fd: 0, or 1 if it is no feature MSR. */
int msr_read_feature(u32 index, u64 *value);

/* KVM_X86_SETUP_MCE: -EINVAL for banks or capabilities not supported. */
int msr_setup_mce(struct vcpu *v, u64 mcg_cap);
#define MSR_MCG_CAP_SUPPORTED	(MCE_MAX_BANKS | (1ull << 8) | (1ull << 24))

struct kvm_x86_mce;
/* KVM_X86_SET_MCE: logs the error and, if uncorrected, raises #MC (APM vol. 2, 9.3). -EINVAL for a bank or a status that cannot be. */
int msr_inject_mce(struct vcpu *v, const struct kvm_x86_mce *e);

/* Guest TSC now. Any context. */
u64 msr_guest_tsc(struct vcpu *v);
void msr_set_tsc(struct vcpu *v, u64 value);

/* CR0/CR4/EFER legality shared by WRMSR, MOV CR and KVM_SET_SREGS. */
bool cr0_valid(u64 cr0);
bool cr4_valid(struct vcpu *v, u64 cr4);

#endif
