// SPDX-License-Identifier: GPL-2.0
/*
 * RDMSR and WRMSR. Owns struct msr_state. What the CPU switches by itself is the vendor's; APIC and PV ranges go to their files.
 */
#include "x86/vcpu.h"

#define GP 1

#define DE_CFG_LFENCE_SERIALIZE	(1ull << 1)
#define HWCR_MCSTATUS_WR_EN	(1ull << 18)
#define MISC_ENABLE_MASK	((1ull << 0) | (1ull << 11) | (1ull << 12) | (1ull << 18))
#define MTRR_CAP_VALUE		(8ull | 1ull << 8 | 1ull << 10)	/* 8 variable ranges, fixed ranges, write combining */

/* --- Legality of control registers, shared with MOV CR and KVM_SET_SREGS. --- */

bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & CR0_NW_BIT) && !(cr0 & CR0_CD_BIT))
		return false;
	return !(cr0 & CR0_PG_BIT) || (cr0 & CR0_PE_BIT);
}

bool cr4_valid(struct vcpu *v, u64 cr4)
{
	return !(cr4 & ~v->cpuid.cr4_allowed);
}

static bool canonical(struct vcpu *v, u64 va)
{
	unsigned int bits = vcpu_cr4(v) & CR4_LA57_BIT ? 57 : 48;

	return (u64)((s64)(va << (64 - bits)) >> (64 - bits)) == va;
}

static bool pat_valid(u64 pat)
{
	for (unsigned int i = 0; i < 8; i++) {
		u8 type = pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool mtrr_type_valid(u8 type)
{
	return type < 8 && type != 2 && type != 3 && type != 7;
}

/* --- Time. --- */

u64 msr_guest_tsc(struct vcpu *v)
{
	return host_tsc() + v->msr.tsc_offset;
}

static void set_tsc_offset(struct vcpu *v, s64 offset)
{
	v->msr.tsc_offset = offset;
	vendor_set_tsc_offset(v, offset);
	if (v->apic.present)
		lapic_timer_rearm(v);
	vcpu_request(v, REQ_CLOCK_UPDATE);
}

void msr_set_tsc(struct vcpu *v, u64 value)
{
	set_tsc_offset(v, value - host_tsc());
}

/*
 * The VMM writes vCPU after vCPU what it means to be one time. Writes that lie within a second of where the VM's clock would be
 * by now get the same offset as the last one, and so does 0, which a VMM writes for a vCPU that it adds later.
 */
static void set_tsc_by_vmm(struct vcpu *v, u64 value)
{
	struct vm *vm = v->vm;
	s64 offset = value - host_tsc();
	s64 apart = (u64)offset - (u64)vm->last_tsc_offset;
	s64 second = (s64)v->msr.tsc_khz * 1000;

	if (vm->tsc_written && (!value || (apart < second && apart > -second)))
		offset = vm->last_tsc_offset;
	vm->last_tsc_offset = offset;
	vm->tsc_written = true;
	set_tsc_offset(v, offset);
}

/* A VM's vCPUs have one time from the start, also where the VMM never writes it; the first begins at 0. */
static void begin_tsc(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (!vm->tsc_begun)
		vm->last_tsc_offset = -host_tsc();
	vm->tsc_begun = true;
	set_tsc_offset(v, vm->last_tsc_offset);
}

/* --- MTRRs: stored, with types checked; nested paging ignores them (15.25.8 combines PATs only). --- */

static u64 *mtrr_slot(struct vcpu *v, u32 index)
{
	struct msr_state *m = &v->msr;

	if (index >= M_MTRR_VAR && index <= M_MTRR_VAR_END)
		return &m->mtrr_var[host_index(index - M_MTRR_VAR, 16)];
	if (index >= M_MTRR_FIX4K && index <= M_MTRR_FIX4K_END)
		return &m->mtrr_fixed[3 + host_index(index - M_MTRR_FIX4K, 8)];
	switch (index) {
	case M_MTRR_FIX64K: return &m->mtrr_fixed[0];
	case M_MTRR_FIX16K_80000: return &m->mtrr_fixed[1];
	case M_MTRR_FIX16K_A0000: return &m->mtrr_fixed[2];
	case M_MTRR_DEFTYPE: return &m->mtrr_deftype;
	}
	return NULL;
}

static bool mtrr_valid(struct vcpu *v, u32 index, u64 value)
{
	u64 phys_reserved = ~0ull << v->cpuid.maxphyaddr;

	if (index == M_MTRR_DEFTYPE)
		return !(value & ~0xcffull) && mtrr_type_valid(value & 0xff);
	if (index >= M_MTRR_VAR && index <= M_MTRR_VAR_END) {
		if (index & 1)
			return !(value & (phys_reserved | 0x7ff));
		return !(value & (phys_reserved | 0xf00)) && mtrr_type_valid(value & 0xff);
	}
	for (unsigned int i = 0; i < 8; i++)
		if (!mtrr_type_valid(value >> (8 * i) & 0xff))
			return false;
	return true;
}

/* --- Machine check banks: four registers each. --- */

static u64 *mce_slot(struct vcpu *v, u32 index)
{
	u32 nr = v->msr.mcg_cap & 0xff, i = index - M_MC0_CTL;

	if (index < M_MC0_CTL || i >= nr * 4 || i >= MCE_MAX_BANKS * 4)
		return NULL;
	return &v->msr.mce_banks[host_index(i, MCE_MAX_BANKS * 4)];
}

static int mce_write(struct vcpu *v, u32 index, u64 *slot, u64 value, bool host)
{
	switch (index & 3) {
	case 0:		/* CTL: all or nothing; bit 10 of bank 4 off is a known workaround of Linux on AMD */
		if (value != 0 && (value | (1ull << 10) | 1ull) != ~0ull)
			return GP;
		break;
	case 1:		/* STATUS: a guest clears it, or writes it with HWCR's permission */
		if (!host && value && !(v->msr.hwcr & HWCR_MCSTATUS_WR_EN))
			return GP;
		break;
	}
	*slot = value;
	return 0;
}

int msr_setup_mce(struct vcpu *v, u64 mcg_cap)
{
	u32 banks = mcg_cap & 0xff;

	if (!banks || banks > MCE_MAX_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(MSR_MCG_CAP_SUPPORTED | 0xff | 0xff0000))
		return -EINVAL;
	v->msr.mcg_cap = mcg_cap;
	if (mcg_cap & (1ull << 8))
		v->msr.mcg_ctl = ~0ull;
	for (u32 i = 0; i < banks; i++)
		v->msr.mce_banks[i * 4] = ~0ull;
	return 0;
}

#define MCG_MCIP	(1ull << 2)
#define MCI_VALID	(1ull << 63)
#define MCI_OVERFLOW	(1ull << 62)
#define MCI_UNCORRECTED	(1ull << 61)

static void log_mce(u64 *bank, const struct kvm_x86_mce *e, u64 status)
{
	bank[1] = status;
	bank[2] = e->addr;
	bank[3] = e->misc;
}

int msr_inject_mce(struct vcpu *v, const struct kvm_x86_mce *e)
{
	struct msr_state *m = &v->msr;
	u32 nr = min_t(u32, m->mcg_cap & 0xff, MCE_MAX_BANKS);
	u64 *bank, status = e->status;

	if (e->bank >= nr || !(status & MCI_VALID))
		return -EINVAL;
	bank = &m->mce_banks[4 * host_index(e->bank, MCE_MAX_BANKS)];
	if (status & MCI_UNCORRECTED) {
		/* Reporting is off: for all banks, or for this one. */
		if (((m->mcg_cap & (1ull << 8)) && m->mcg_ctl != ~0ull) || bank[0] != ~0ull)
			return 0;
		/* A second one before the first was handled, or nobody to handle it: the CPU shuts down. */
		if ((m->mcg_status & MCG_MCIP) || !(vcpu_cr4(v) & CR4_MCE_BIT)) {
			vcpu_request(v, REQ_TRIPLE_FAULT);
			return 0;
		}
		log_mce(bank, e, bank[1] & MCI_VALID ? status | MCI_OVERFLOW : status);
		m->mcg_status = e->mcg_status;
		event_exception(v, VEC_MC);
	} else if (!(bank[1] & MCI_VALID) || !(bank[1] & MCI_UNCORRECTED)) {
		log_mce(bank, e, bank[1] & MCI_VALID ? status | MCI_OVERFLOW : status);
	} else {
		bank[1] |= MCI_OVERFLOW;
	}
	return 0;
}

/* --- EFER. --- */

static int write_efer(struct vcpu *v, u64 value, bool host)
{
	u64 old = vcpu_efer(v);

	if (value & ~v->cpuid.efer_allowed)
		return GP;
	if (!host) {
		if ((vcpu_cr0(v) & CR0_PG_BIT) && (old ^ value) & EFER_LME_BIT)
			return GP;
		value = (value & ~EFER_LMA_BIT) | (old & EFER_LMA_BIT);
	}
	vendor_set_efer(v, value);
	if ((old ^ value) & EFER_NXE_BIT)
		vcpu_request(v, REQ_TLB_FLUSH);
	return 0;
}

/* --- SPEC_CTRL and PRED_CMD. --- */

static int write_spec_ctrl(struct vcpu *v, u64 value, bool host)
{
	if (!host && !v->cpuid.has_spec_ctrl)
		return GP;
	if (value & ~host_spec_ctrl_bits())
		return GP;
	vendor_set_msr(v, M_SPEC_CTRL, value);
	if (value)
		vendor_pass_spec_ctrl(v);
	return 0;
}

static int write_pred_cmd(struct vcpu *v, u64 value, bool host)
{
	if (!host && !v->cpuid.has_ibpb)
		return GP;
	if (value & ~1ull)
		return GP;
	if (value)
		host_branch_barrier();
	return 0;
}

/* --- The registers that are plain storage, with the bits that may be set. --- */

static u64 *plain_slot(struct vcpu *v, u32 index, u64 *allowed)
{
	struct msr_state *m = &v->msr;

	*allowed = ~0ull;
	switch (index) {
	case M_MISC_ENABLE: *allowed = MISC_ENABLE_MASK; return &m->misc_enable;
	case M_SMI_COUNT: return &m->smi_count;
	case M_MCG_STATUS: *allowed = 7; return &m->mcg_status;
	case M_HWCR: *allowed = 1ull << 24 | HWCR_MCSTATUS_WR_EN | 1ull << 8 | 1ull << 6 | 1ull << 3; return &m->hwcr;
	case M_DE_CFG: *allowed = DE_CFG_LFENCE_SERIALIZE; return &m->de_cfg;
	case M_VIRT_SPEC_CTRL: *allowed = 1ull << 2; return &m->virt_spec_ctrl;
	case M_XSS: *allowed = 0; return &m->xss;
	}
	return NULL;
}

/* Read-only or write-ignored registers that guests probe on this vendor's CPUs: zero is a true answer for what we emulate. */
static bool reads_as_zero(u32 index)
{
	switch (index) {
	case M_PLATFORM_ID: case M_EBL_CR_POWERON: case M_SYSCFG: case M_NB_CFG: case M_TSEG_ADDR: case M_TSEG_MASK:
	case M_VM_HSAVE: case M_BU_CFG2: case M_IC_CFG: case M_DC_CFG: case M_INT_PENDING: case M_OSVW_ID:
	case M_OSVW_STATUS: case M_MMIO_CFG_BASE: case M_PATCH_LOADER:
	case M_LASTBRANCH_FROM ... M_LASTINT_TO:
	case M_PERF_CTL0 ... M_PERF_CTR3:
		return true;
	}
	return false;
}

int msr_read(struct vcpu *v, u32 index, u64 *value, bool host)
{
	u64 allowed, *slot;

	if (index >= M_X2APIC && index <= M_X2APIC_END)
		return v->apic.present ? lapic_x2apic_read(v, index, value) : GP;
	if ((index >= M_PV_FIRST && index <= M_PV_LAST) || index == M_PV_OLD_WALL || index == M_PV_OLD_TIME)
		return pv_msr_read(v, index, value, host);
	switch (index) {
	case M_TSC: *value = msr_guest_tsc(v); return 0;
	case M_TSCDEADLINE: *value = v->apic.present ? lapic_get_tscdeadline(v) : 0; return 0;
	case M_APIC_BASE: *value = v->apic.base; return 0;
	case M_EFER: *value = vcpu_efer(v); return 0;
	case M_TSC_ADJ: *value = v->msr.tsc_adjust; return 0;
	case M_TSC_AUX:
		*value = v->msr.tsc_aux;
		return host || v->cpuid.has_rdtscp || v->cpuid.has_rdpid ? 0 : GP;
	case M_UCODE_REV: *value = v->msr.ucode_rev; return 0;
	case M_MTRR_CAP: *value = MTRR_CAP_VALUE; return 0;
	case M_MCG_CAP: *value = v->msr.mcg_cap; return 0;
	case M_MCG_CTL:
		*value = v->msr.mcg_ctl;
		return v->msr.mcg_cap & (1ull << 8) || host ? 0 : GP;
	case M_FEAT_CTL: *value = v->msr.feature_control; return host ? 0 : GP;
	case M_ARCH_CAPS: *value = v->msr.arch_capabilities; return host ? 0 : GP;
	case M_VM_CR: *value = 1ull << 4; return 0;			/* SVM disabled */
	case M_PERF_STATUS: *value = 1000ull | 4ull << 40; return 0;	/* as KVM: bus ratio that FSB-probing guests divide by */
	case M_PSTATE_STATUS: *value = 0; return 0;
	case M_SPEC_CTRL:
		*value = vendor_get_msr(v, index);
		return host || v->cpuid.has_spec_ctrl ? 0 : GP;
	case M_VIRT_SPEC_CTRL:
		*value = v->msr.virt_spec_ctrl;
		return host ? 0 : GP;		/* kept for the VMM that saves it; not offered */
	case M_XSS:
		*value = v->msr.xss;
		return host || v->cpuid.has_xsaves ? 0 : GP;
	case M_STAR: case M_LSTAR: case M_CSTAR: case M_SFMASK: case M_FS_BASE: case M_GS_BASE: case M_KERNEL_GS:
	case M_SYSENTER_CS ... M_SYSENTER_EIP: case M_PAT: case M_DEBUGCTL:
		*value = vendor_get_msr(v, index);
		return 0;
	}
	slot = mtrr_slot(v, index);
	if (!slot)
		slot = mce_slot(v, index);
	if (!slot)
		slot = plain_slot(v, index, &allowed);
	if (slot) {
		*value = *slot;
		return 0;
	}
	*value = 0;
	return reads_as_zero(index) ? 0 : GP;
}

static int write_plain(struct vcpu *v, u32 index, u64 value, bool host)
{
	u64 allowed, *slot = mtrr_slot(v, index);

	if (slot) {
		if (!mtrr_valid(v, index, value))
			return GP;
		*slot = value;
		return 0;
	}
	slot = mce_slot(v, index);
	if (slot)
		return mce_write(v, index, slot, value, host);
	slot = plain_slot(v, index, &allowed);
	if (slot) {
		if (value & ~allowed)
			return GP;
		if (index == M_VIRT_SPEC_CTRL && !host)
			return GP;
		if (index == M_XSS && !host && !v->cpuid.has_xsaves)
			return GP;
		if (index == M_SMI_COUNT && !host)
			return GP;
		*slot = value;
		return 0;
	}
	if (!reads_as_zero(index))
		return GP;
	/* What reads as zero takes the writes that change nothing, and those with which operating systems apply errata. */
	return index >= M_PERF_CTL0 && index <= M_PERF_CTR3 && value && !host ? GP : 0;
}

int msr_write(struct vcpu *v, u32 index, u64 value, bool host)
{
	if (index >= M_X2APIC && index <= M_X2APIC_END)
		return v->apic.present ? lapic_x2apic_write(v, index, value) : GP;
	if ((index >= M_PV_FIRST && index <= M_PV_LAST) || index == M_PV_OLD_WALL || index == M_PV_OLD_TIME)
		return pv_msr_write(v, index, value, host);
	switch (index) {
	case M_TSC:
		if (host) {
			set_tsc_by_vmm(v, value);
		} else {
			v->msr.tsc_adjust += value - msr_guest_tsc(v);
			msr_set_tsc(v, value);
		}
		return 0;
	case M_TSC_ADJ:
		if (!host)
			set_tsc_offset(v, v->msr.tsc_offset + (value - v->msr.tsc_adjust));
		v->msr.tsc_adjust = value;
		return 0;
	case M_TSCDEADLINE:
		if (v->apic.present && (host || v->cpuid.has_tsc_deadline))
			lapic_set_tscdeadline(v, value);
		return host || v->cpuid.has_tsc_deadline ? 0 : GP;
	case M_APIC_BASE: return lapic_set_base(v, value, host);
	case M_EFER: return write_efer(v, value, host);
	case M_TSC_AUX:
		if ((!host && !v->cpuid.has_rdtscp && !v->cpuid.has_rdpid) || value >> 32)
			return GP;
		v->msr.tsc_aux = value;
		host_tsc_aux_changed(v);
		return 0;
	case M_UCODE_REV:
		if (host)
			v->msr.ucode_rev = value;
		return 0;
	case M_FEAT_CTL:
		if (host)
			v->msr.feature_control = value;
		return host ? 0 : GP;
	case M_ARCH_CAPS:
		if (host)
			v->msr.arch_capabilities = value;
		return host ? 0 : GP;
	case M_MCG_CTL:
		if ((!host && !(v->msr.mcg_cap & (1ull << 8))) || (value != 0 && value != ~0ull))
			return GP;
		v->msr.mcg_ctl = value;
		return 0;
	case M_SPEC_CTRL: return write_spec_ctrl(v, value, host);
	case M_PRED_CMD: return write_pred_cmd(v, value, host);
	case M_LSTAR: case M_CSTAR: case M_FS_BASE: case M_GS_BASE: case M_KERNEL_GS:
	case M_SYSENTER_CS + 1: case M_SYSENTER_EIP:
		if (!canonical(v, value))
			return GP;
		vendor_set_msr(v, index, value);
		return 0;
	case M_STAR: case M_SFMASK: case M_SYSENTER_CS:
		vendor_set_msr(v, index, value);
		return 0;
	case M_PAT:
		if (!pat_valid(value))
			return GP;
		vendor_set_msr(v, index, value);
		return 0;
	case M_DEBUGCTL:
		/* No branch records for guests: only BTF, which the VMCB switches. */
		if (value & ~3ull)
			return GP;
		vendor_set_msr(v, index, value & 2);
		return 0;
	}
	return write_plain(v, index, value, host);
}

void msr_reset(struct vcpu *v)
{
	struct msr_state *m = &v->msr;
	u64 khz = m->tsc_khz;

	memset(m, 0, sizeof(*m));
	m->tsc_khz = khz;
	m->misc_enable = 1;			/* fast strings */
	m->ucode_rev = 0x01000065;		/* any AMD patch level that no operating system has a quirk for */
	m->mcg_cap = MCE_MAX_BANKS;
	msr_read_feature(M_DE_CFG, &m->de_cfg);
	begin_tsc(v);
}

/* --- Lists for the VMM. --- */

static const u32 saved_msrs[] = {
	M_SYSENTER_CS, M_SYSENTER_CS + 1, M_SYSENTER_EIP, M_STAR, M_CSTAR, M_KERNEL_GS, M_SFMASK, M_LSTAR, M_TSC,
	M_PAT, M_VM_HSAVE, M_TSC_AUX, M_SPEC_CTRL, M_EFER, M_APIC_BASE, M_FS_BASE, M_GS_BASE,
	M_PV_OLD_WALL, M_PV_OLD_TIME, M_PV_WALL, M_PV_TIME, M_PV_POLL_CONTROL,
	M_TSC_ADJ, M_TSCDEADLINE, M_MISC_ENABLE, M_MCG_STATUS, M_MCG_CTL, M_SMI_COUNT, M_VIRT_SPEC_CTRL, M_HWCR,
	M_UCODE_REV, M_ARCH_CAPS,
};

static const u32 feature_msrs[] = { M_DE_CFG, M_UCODE_REV, M_ARCH_CAPS };

const u32 *msr_index_list(u32 *nr)
{
	*nr = sizeof(saved_msrs) / sizeof(saved_msrs[0]);
	return saved_msrs;
}

const u32 *msr_feature_list(u32 *nr)
{
	*nr = sizeof(feature_msrs) / sizeof(feature_msrs[0]);
	return feature_msrs;
}

int msr_read_feature(u32 index, u64 *value)
{
	*value = 0;
	switch (index) {
	case M_DE_CFG:
		if (!host_rdmsr_safe(M_DE_CFG, value))
			*value &= DE_CFG_LFENCE_SERIALIZE;
		return 0;
	case M_UCODE_REV:
		host_rdmsr_safe(M_UCODE_REV, value);
		return 0;
	case M_ARCH_CAPS:
		return 0;		/* no AMD CPU has it; the engine adds no promise */
	}
	return GP;
}
