/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Model-specific registers: those that the engine answers itself, and the route to those of the APIC, the vendor and PV.
 */
#ifndef EXEUNT_X86_MSR_H
#define EXEUNT_X86_MSR_H

#include "host.h"

struct vcpu;

/* The MSRs that the engine knows by number. */
enum msr_index {
	M_TSC = 0x10, M_PLATFORM_ID = 0x17, M_APIC_BASE = 0x1b, M_EBL_CR_POWERON = 0x2a, M_SMI_COUNT = 0x34,
	M_FEAT_CTL = 0x3a, M_TSC_ADJ = 0x3b, M_SPEC_CTRL = 0x48, M_PRED_CMD = 0x49, M_UCODE_REV = 0x8b,
	M_MTRR_CAP = 0xfe, M_ARCH_CAPS = 0x10a, M_SYSENTER_CS = 0x174, M_SYSENTER_EIP = 0x176, M_MCG_CAP = 0x179,
	M_MCG_STATUS = 0x17a, M_MCG_CTL = 0x17b, M_PERF_STATUS = 0x198, M_MISC_ENABLE = 0x1a0, M_DEBUGCTL = 0x1d9,
	M_LASTBRANCH_FROM = 0x1db, M_LASTINT_TO = 0x1de, M_MTRR_VAR = 0x200, M_MTRR_VAR_END = 0x20f,
	M_MTRR_FIX64K = 0x250, M_MTRR_FIX16K_80000 = 0x258, M_MTRR_FIX16K_A0000 = 0x259, M_MTRR_FIX4K = 0x268,
	M_MTRR_FIX4K_END = 0x26f, M_PAT = 0x277, M_MTRR_DEFTYPE = 0x2ff, M_MC0_CTL = 0x400, M_TSCDEADLINE = 0x6e0,
	M_X2APIC = 0x800, M_X2APIC_TPR = 0x808, M_X2APIC_EOI = 0x80b, M_X2APIC_ICR = 0x830, M_X2APIC_SELF_IPI = 0x83f,
	M_X2APIC_END = 0x8ff, M_XSS = 0xda0,
	M_PV_OLD_WALL = 0x11, M_PV_OLD_TIME = 0x12, M_PV_FIRST = 0x4b564d00, M_PV_LAST = 0x4b564d08,
	M_PV_WALL = M_PV_FIRST, M_PV_TIME = 0x4b564d01, M_PV_POLL_CONTROL = 0x4b564d05, M_PV_RANGE_END = 0x4b564dff,
	M_EFER = 0xc0000080, M_STAR = 0xc0000081, M_LSTAR = 0xc0000082, M_CSTAR = 0xc0000083, M_SFMASK = 0xc0000084,
	M_FS_BASE = 0xc0000100, M_GS_BASE = 0xc0000101, M_KERNEL_GS = 0xc0000102, M_TSC_AUX = 0xc0000103,
	M_SYSCFG = 0xc0010010, M_HWCR = 0xc0010015, M_TSEG_ADDR = 0xc0010112, M_TSEG_MASK = 0xc0010113,
	M_VM_CR = 0xc0010114, M_VM_HSAVE = 0xc0010117, M_VIRT_SPEC_CTRL = 0xc001011f, M_PATCH_LOADER = 0xc0010020,
	M_NB_CFG = 0xc001001f, M_DE_CFG = 0xc0011029, M_BU_CFG2 = 0xc001102a, M_IC_CFG = 0xc0011021,
	M_DC_CFG = 0xc0011022, M_OSVW_ID = 0xc0010140, M_OSVW_STATUS = 0xc0010141, M_INT_PENDING = 0xc0010055,
	M_PERF_CTL0 = 0xc0010000, M_PERF_CTR3 = 0xc0010007, M_MMIO_CFG_BASE = 0xc0010058, M_PSTATE_STATUS = 0xc0010063,
};

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
