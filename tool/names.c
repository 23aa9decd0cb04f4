// SPDX-License-Identifier: GPL-2.0
/*
 * See names.h. Owns the tables of names, and no other knowledge.
 */
#include <inttypes.h>
#include <stdio.h>
#include "bpf/exits.h"
#include "model.h"
#include "names.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))

/* --- Exit reasons, by the words of the kernel's own headers, which perf prints. --- */

static const char *const svm_reasons[] = {
	[0x000] = "read_cr0", [0x002] = "read_cr2", [0x003] = "read_cr3", [0x004] = "read_cr4", [0x008] = "read_cr8",
	[0x010] = "write_cr0", [0x012] = "write_cr2", [0x013] = "write_cr3", [0x014] = "write_cr4", [0x018] = "write_cr8",
	[0x020] = "read_dr0", [0x021] = "read_dr1", [0x022] = "read_dr2", [0x023] = "read_dr3",
	[0x024] = "read_dr4", [0x025] = "read_dr5", [0x026] = "read_dr6", [0x027] = "read_dr7",
	[0x030] = "write_dr0", [0x031] = "write_dr1", [0x032] = "write_dr2", [0x033] = "write_dr3",
	[0x034] = "write_dr4", [0x035] = "write_dr5", [0x036] = "write_dr6", [0x037] = "write_dr7",
	[0x040] = "DE excp", [0x041] = "DB excp", [0x043] = "BP excp", [0x044] = "OF excp", [0x045] = "BR excp",
	[0x046] = "UD excp", [0x047] = "NM excp", [0x048] = "DF excp", [0x04a] = "TS excp", [0x04b] = "NP excp",
	[0x04c] = "SS excp", [0x04d] = "GP excp", [0x04e] = "PF excp", [0x050] = "MF excp", [0x051] = "AC excp",
	[0x052] = "MC excp", [0x053] = "XF excp",
	[0x060] = "interrupt", [0x061] = "nmi", [0x062] = "smi", [0x063] = "init", [0x064] = "vintr", [0x065] = "cr0_sel_write",
	[0x066] = "read_idtr", [0x067] = "read_gdtr", [0x068] = "read_ldtr", [0x069] = "read_rt",
	[0x06a] = "write_idtr", [0x06b] = "write_gdtr", [0x06c] = "write_ldtr", [0x06d] = "write_rt",
	[0x06e] = "rdtsc", [0x06f] = "rdpmc", [0x070] = "pushf", [0x071] = "popf", [0x072] = "cpuid", [0x073] = "rsm",
	[0x074] = "iret", [0x075] = "swint", [0x076] = "invd", [0x077] = "pause", [0x078] = "hlt", [0x079] = "invlpg",
	[0x07a] = "invlpga", [0x07b] = "io", [0x07c] = "msr", [0x07d] = "task_switch", [0x07e] = "ferr_freeze",
	[0x07f] = "shutdown", [0x080] = "vmrun", [0x081] = "hypercall", [0x082] = "vmload", [0x083] = "vmsave",
	[0x084] = "stgi", [0x085] = "clgi", [0x086] = "skinit", [0x087] = "rdtscp", [0x088] = "icebp", [0x089] = "wbinvd",
	[0x08a] = "monitor", [0x08b] = "mwait", [0x08c] = "mwait_cond", [0x08d] = "xsetbv", [0x08e] = "rdpru",
	[0x08f] = "write_efer_trap", [0x090] = "write_cr0_trap", [0x094] = "write_cr4_trap", [0x098] = "write_cr8_trap",
	[0x0a0] = "invlpgb", [0x0a1] = "invlpgb_illegal", [0x0a2] = "invpcid", [0x0a3] = "mcommit", [0x0a4] = "tlbsync",
	[0x0a5] = "bus_lock", [0x0a6] = "idle_hlt",
	[0x400] = "npf", [0x401] = "avic_incomplete_ipi", [0x402] = "avic_unaccelerated_access", [0x403] = "vmgexit",
	[EXEUNT_REASON_INVALID] = "invalid_guest_state",
};

static const char *const vmx_reasons[] = {
	[0] = "EXCEPTION_NMI", "EXTERNAL_INTERRUPT", "TRIPLE_FAULT", "INIT_SIGNAL", "SIPI_SIGNAL", "IO_SMI", "OTHER_SMI",
	[7] = "INTERRUPT_WINDOW", "NMI_WINDOW", "TASK_SWITCH", "CPUID", "GETSEC", "HLT", "INVD", "INVLPG", "RDPMC", "RDTSC", "RSM",
	[18] = "VMCALL", "VMCLEAR", "VMLAUNCH", "VMPTRLD", "VMPTRST", "VMREAD", "VMRESUME", "VMWRITE", "VMOFF", "VMON",
	[28] = "CR_ACCESS", "DR_ACCESS", "IO_INSTRUCTION", "MSR_READ", "MSR_WRITE", "INVALID_STATE", "MSR_LOAD_FAIL",
	[36] = "MWAIT_INSTRUCTION", "MONITOR_TRAP_FLAG",
	[39] = "MONITOR_INSTRUCTION", "PAUSE_INSTRUCTION", "MCE_DURING_VMENTRY",
	[43] = "TPR_BELOW_THRESHOLD", "APIC_ACCESS", "EOI_INDUCED", "GDTR_IDTR", "LDTR_TR", "EPT_VIOLATION", "EPT_MISCONFIG",
	[50] = "INVEPT", "RDTSCP", "PREEMPTION_TIMER", "INVVPID", "WBINVD", "XSETBV", "APIC_WRITE", "RDRAND", "INVPCID", "VMFUNC",
	[60] = "ENCLS", "RDSEED", "PML_FULL", "XSAVES", "XRSTORS", [67] = "UMWAIT", "TPAUSE", [74] = "BUS_LOCK", "NOTIFY",
	[EXEUNT_REASON_INVALID] = "FAILED_VMENTRY",
};

static const char *const arm64_reasons[] = {
	[0x00] = "UNKNOWN", [0x01] = "WFx", [0x03] = "CP15_32", [0x04] = "CP15_64", [0x05] = "CP14_MR", [0x06] = "CP14_LS",
	[0x07] = "FP_ASIMD", [0x08] = "CP10_ID", [0x09] = "PAC", [0x0c] = "CP14_64", [0x0d] = "BTI", [0x0e] = "ILL",
	[0x11] = "SVC32", [0x12] = "HVC32", [0x13] = "SMC32", [0x15] = "SVC64", [0x16] = "HVC64", [0x17] = "SMC64",
	[0x18] = "SYS64", [0x19] = "SVE", [0x1a] = "ERET", [0x1c] = "FPAC", [0x1d] = "SME", [0x1f] = "IMP_DEF",
	[0x20] = "IABT_LOW", [0x21] = "IABT_CUR", [0x22] = "PC_ALIGN", [0x24] = "DABT_LOW", [0x25] = "DABT_CUR",
	[0x26] = "SP_ALIGN", [0x28] = "FP_EXC32", [0x2c] = "FP_EXC64", [0x2f] = "SERROR",
	[0x30] = "BREAKPT_LOW", [0x31] = "BREAKPT_CUR", [0x32] = "SOFTSTP_LOW", [0x33] = "SOFTSTP_CUR",
	[0x34] = "WATCHPT_LOW", [0x35] = "WATCHPT_CUR", [0x38] = "BKPT32", [0x3a] = "VECTOR32", [0x3c] = "BRK64",
	/* No traps: see bpf/exits.h. */
	[EXITS_ARM64_OTHER] = "IRQ", [EXITS_ARM64_OTHER + 1] = "SERROR", [EXITS_ARM64_OTHER + 3] = "ILLEGAL",
};

static const char *at(const char *const *names, size_t length, unsigned int i)
{
	return i < length ? names[i] : NULL;
}

const char *exit_reason_name(uint32_t isa, unsigned int reason)
{
	if (reason == EXEUNT_REASON_LOST)
		return "others";
	if (reason == EXITS_REASON_LARGE)
		return ">=0xffd";
	switch (isa) {
	case ISA_VMX:
		return at(vmx_reasons, LENGTH(vmx_reasons), reason);
	case ISA_SVM:
		return at(svm_reasons, LENGTH(svm_reasons), reason);
	case ISA_ARM64:
		return at(arm64_reasons, LENGTH(arm64_reasons), reason);
	}
	return NULL;
}

const char *exit_name(uint32_t isa, unsigned int reason, char *buf, size_t size)
{
	const char *name = exit_reason_name(isa, reason);

	if (name)
		return name;
	snprintf(buf, size, "0x%x", reason);
	return buf;
}

const char *isa_name(uint32_t isa)
{
	static const char *const names[] = { [ISA_VMX] = "vmx", [ISA_SVM] = "svm", [ISA_ARM64] = "arm64" };

	return at(names, LENGTH(names), isa);
}

/* --- MSRs, by their names in the manuals of AMD and Intel, of Hyper-V and of KVM. --- */

#define FOUR(base, step, name) \
	{ (base), name "0" }, { (base) + (step), name "1" }, { (base) + 2 * (step), name "2" }, { (base) + 3 * (step), name "3" }
#define EIGHT(base, step, name) \
	FOUR(base, step, name), { (base) + 4 * (step), name "4" }, { (base) + 5 * (step), name "5" }, \
	{ (base) + 6 * (step), name "6" }, { (base) + 7 * (step), name "7" }
#define MC_BANK(n) \
	{ 0x400 + 4 * (n), "MC" #n "_CTL" }, { 0x401 + 4 * (n), "MC" #n "_STATUS" }, { 0x402 + 4 * (n), "MC" #n "_ADDR" }, \
	{ 0x403 + 4 * (n), "MC" #n "_MISC" }

static const struct {
	uint32_t msr;
	const char *name;
} msrs[] = {
	{ 0x010, "TSC" }, { 0x011, "KVM_WALL_CLOCK" }, { 0x012, "KVM_SYSTEM_TIME" }, { 0x017, "PLATFORM_ID" },
	{ 0x01b, "APIC_BASE" }, { 0x034, "SMI_COUNT" }, { 0x03a, "FEATURE_CONTROL" }, { 0x03b, "TSC_ADJUST" },
	{ 0x048, "SPEC_CTRL" }, { 0x049, "PRED_CMD" }, { 0x079, "BIOS_UPDT_TRIG" }, { 0x08b, "PATCH_LEVEL" },
	EIGHT(0x0c1, 1, "PMC"), { 0x0cd, "FSB_FREQ" }, { 0x0ce, "PLATFORM_INFO" }, { 0x0e1, "UMWAIT_CONTROL" },
	{ 0x0e2, "PKG_CST_CONFIG_CONTROL" }, { 0x0e7, "MPERF" }, { 0x0e8, "APERF" }, { 0x0fe, "MTRRcap" },
	{ 0x10a, "ARCH_CAPABILITIES" }, { 0x10b, "FLUSH_CMD" }, { 0x122, "TSX_CTRL" }, { 0x140, "MISC_FEATURES_ENABLES" },
	{ 0x174, "SYSENTER_CS" }, { 0x175, "SYSENTER_ESP" }, { 0x176, "SYSENTER_EIP" },
	{ 0x179, "MCG_CAP" }, { 0x17a, "MCG_STATUS" }, { 0x17b, "MCG_CTL" }, EIGHT(0x186, 1, "PERFEVTSEL"),
	{ 0x198, "PERF_STATUS" }, { 0x199, "PERF_CTL" }, { 0x19a, "CLOCK_MODULATION" }, { 0x19b, "THERM_INTERRUPT" },
	{ 0x19c, "THERM_STATUS" }, { 0x1a0, "MISC_ENABLE" }, { 0x1a2, "TEMPERATURE_TARGET" }, { 0x1a4, "MISC_FEATURE_CONTROL" },
	{ 0x1a6, "OFFCORE_RSP_0" }, { 0x1a7, "OFFCORE_RSP_1" }, { 0x1ad, "TURBO_RATIO_LIMIT" }, { 0x1b0, "ENERGY_PERF_BIAS" },
	{ 0x1b1, "PACKAGE_THERM_STATUS" }, { 0x1c4, "XFD" }, { 0x1c5, "XFD_ERR" }, { 0x1c8, "LBR_SELECT" },
	{ 0x1c9, "LASTBRANCH_TOS" }, { 0x1d9, "DEBUGCTL" }, { 0x1db, "LASTBRANCHFROMIP" }, { 0x1dc, "LASTBRANCHTOIP" },
	{ 0x1dd, "LASTINTFROMIP" }, { 0x1de, "LASTINTTOIP" },
	EIGHT(0x200, 2, "MTRRphysBase"), EIGHT(0x201, 2, "MTRRphysMask"), { 0x250, "MTRRfix64K_00000" },
	{ 0x258, "MTRRfix16K_80000" }, { 0x259, "MTRRfix16K_A0000" }, { 0x268, "MTRRfix4K_C0000" }, { 0x269, "MTRRfix4K_C8000" },
	{ 0x26a, "MTRRfix4K_D0000" }, { 0x26b, "MTRRfix4K_D8000" }, { 0x26c, "MTRRfix4K_E0000" }, { 0x26d, "MTRRfix4K_E8000" },
	{ 0x26e, "MTRRfix4K_F0000" }, { 0x26f, "MTRRfix4K_F8000" }, { 0x277, "PAT" }, { 0x2ff, "MTRRdefType" },
	FOUR(0x309, 1, "FIXED_CTR"), { 0x345, "PERF_CAPABILITIES" }, { 0x38d, "FIXED_CTR_CTRL" },
	{ 0x38e, "PERF_GLOBAL_STATUS" }, { 0x38f, "PERF_GLOBAL_CTRL" }, { 0x390, "PERF_GLOBAL_OVF_CTRL" },
	{ 0x391, "PERF_GLOBAL_STATUS_SET" }, { 0x3f1, "PEBS_ENABLE" }, { 0x3f2, "PEBS_DATA_CFG" }, { 0x3f6, "PEBS_LD_LAT" },
	MC_BANK(0), MC_BANK(1), MC_BANK(2), MC_BANK(3), MC_BANK(4), MC_BANK(5), MC_BANK(6), MC_BANK(7), MC_BANK(8), MC_BANK(9),
	MC_BANK(10), MC_BANK(11), MC_BANK(12), MC_BANK(13), MC_BANK(14), MC_BANK(15),
	{ 0x480, "VMX_BASIC" }, { 0x481, "VMX_PINBASED_CTLS" }, { 0x482, "VMX_PROCBASED_CTLS" }, { 0x483, "VMX_EXIT_CTLS" },
	{ 0x484, "VMX_ENTRY_CTLS" }, { 0x485, "VMX_MISC" }, { 0x48b, "VMX_PROCBASED_CTLS2" }, { 0x48c, "VMX_EPT_VPID_CAP" },
	EIGHT(0x4c1, 1, "A_PMC"), { 0x600, "DS_AREA" }, { 0x606, "RAPL_POWER_UNIT" }, { 0x611, "PKG_ENERGY_STATUS" },
	{ 0x6a0, "U_CET" }, { 0x6a2, "S_CET" }, FOUR(0x6a4, 1, "SSP_PL"), { 0x6a8, "INTERRUPT_SSP_TABLE" }, { 0x6e0, "TSC_DEADLINE" },
	{ 0x770, "PM_ENABLE" }, { 0x771, "HWP_CAPABILITIES" }, { 0x774, "HWP_REQUEST" },
	{ 0x802, "x2APIC_ID" }, { 0x803, "x2APIC_VERSION" }, { 0x808, "x2APIC_TPR" }, { 0x80a, "x2APIC_PPR" }, { 0x80b, "x2APIC_EOI" },
	{ 0x80d, "x2APIC_LDR" }, { 0x80f, "x2APIC_SVR" }, EIGHT(0x810, 1, "x2APIC_ISR"), EIGHT(0x818, 1, "x2APIC_TMR"),
	EIGHT(0x820, 1, "x2APIC_IRR"), { 0x828, "x2APIC_ESR" }, { 0x82f, "x2APIC_LVT_CMCI" }, { 0x830, "x2APIC_ICR" },
	{ 0x832, "x2APIC_LVT_TIMER" }, { 0x833, "x2APIC_LVT_THERMAL" }, { 0x834, "x2APIC_LVT_PMI" }, { 0x835, "x2APIC_LVT_LINT0" },
	{ 0x836, "x2APIC_LVT_LINT1" }, { 0x837, "x2APIC_LVT_ERROR" }, { 0x838, "x2APIC_INIT_COUNT" }, { 0x839, "x2APIC_CUR_COUNT" },
	{ 0x83e, "x2APIC_DIV_CONF" }, { 0x83f, "x2APIC_SELF_IPI" }, { 0xd90, "BNDCFGS" }, { 0xda0, "XSS" },
	{ 0x40000000, "HV_GUEST_OS_ID" }, { 0x40000001, "HV_HYPERCALL" }, { 0x40000002, "HV_VP_INDEX" }, { 0x40000003, "HV_RESET" },
	{ 0x40000010, "HV_VP_RUNTIME" }, { 0x40000020, "HV_TIME_REF_COUNT" }, { 0x40000021, "HV_REFERENCE_TSC" },
	{ 0x40000022, "HV_TSC_FREQUENCY" }, { 0x40000023, "HV_APIC_FREQUENCY" }, { 0x40000070, "HV_EOI" }, { 0x40000071, "HV_ICR" },
	{ 0x40000072, "HV_TPR" }, { 0x40000073, "HV_VP_ASSIST_PAGE" }, { 0x40000080, "HV_SCONTROL" }, { 0x40000081, "HV_SVERSION" },
	{ 0x40000082, "HV_SIEFP" }, { 0x40000083, "HV_SIMP" }, { 0x40000084, "HV_EOM" }, EIGHT(0x40000090, 1, "HV_SINT"),
	{ 0x400000b0, "HV_STIMER0_CONFIG" }, { 0x400000b1, "HV_STIMER0_COUNT" }, { 0x400000b2, "HV_STIMER1_CONFIG" },
	{ 0x400000b3, "HV_STIMER1_COUNT" }, { 0x400000b4, "HV_STIMER2_CONFIG" }, { 0x400000b5, "HV_STIMER2_COUNT" },
	{ 0x400000b6, "HV_STIMER3_CONFIG" }, { 0x400000b7, "HV_STIMER3_COUNT" },
	{ 0x4b564d00, "KVM_WALL_CLOCK_NEW" }, { 0x4b564d01, "KVM_SYSTEM_TIME_NEW" }, { 0x4b564d02, "KVM_ASYNC_PF_EN" },
	{ 0x4b564d03, "KVM_STEAL_TIME" }, { 0x4b564d04, "KVM_PV_EOI_EN" }, { 0x4b564d05, "KVM_POLL_CONTROL" },
	{ 0x4b564d06, "KVM_ASYNC_PF_INT" }, { 0x4b564d07, "KVM_ASYNC_PF_ACK" }, { 0x4b564d08, "KVM_MIGRATION_CONTROL" },
	{ 0xc0000080, "EFER" }, { 0xc0000081, "STAR" }, { 0xc0000082, "LSTAR" }, { 0xc0000083, "CSTAR" }, { 0xc0000084, "SFMASK" },
	{ 0xc00000e7, "MPERF_RO" }, { 0xc00000e8, "APERF_RO" }, { 0xc00000e9, "IRPERF" },
	{ 0xc0000100, "FS_BASE" }, { 0xc0000101, "GS_BASE" }, { 0xc0000102, "KERNEL_GS_BASE" }, { 0xc0000103, "TSC_AUX" },
	{ 0xc0000104, "TSC_RATIO" }, { 0xc0000300, "PERF_CNTR_GLOBAL_STATUS" }, { 0xc0000301, "PERF_CNTR_GLOBAL_CTL" },
	{ 0xc0000302, "PERF_CNTR_GLOBAL_STATUS_CLR" }, { 0xc0000303, "PERF_CNTR_GLOBAL_STATUS_SET" },
	FOUR(0xc0010000, 1, "LEGACY_PERF_CTL"), FOUR(0xc0010004, 1, "LEGACY_PERF_CTR"),
	{ 0xc0010010, "SYSCFG" }, { 0xc0010015, "HWCR" }, { 0xc0010016, "IORRBase0" }, { 0xc0010017, "IORRMask0" },
	{ 0xc0010018, "IORRBase1" }, { 0xc0010019, "IORRMask1" }, { 0xc001001a, "TOP_MEM" }, { 0xc001001d, "TOP_MEM2" },
	{ 0xc001001f, "NB_CFG" }, { 0xc0010020, "PATCH_LOADER" }, { 0xc0010055, "INT_PENDING" }, { 0xc0010058, "MMIO_CFG_BASE" },
	{ 0xc0010061, "PSTATE_CUR_LIMIT" }, { 0xc0010062, "PSTATE_CTL" }, { 0xc0010063, "PSTATE_STATUS" },
	EIGHT(0xc0010064, 1, "PSTATE_DEF"), { 0xc0010111, "SMBASE" }, { 0xc0010112, "SMM_ADDR" }, { 0xc0010113, "SMM_MASK" },
	{ 0xc0010114, "VM_CR" }, { 0xc0010115, "IGNNE" }, { 0xc0010117, "VM_HSAVE_PA" }, { 0xc001011f, "VIRT_SPEC_CTRL" },
	{ 0xc0010130, "GHCB" }, { 0xc0010131, "SEV_STATUS" }, { 0xc0010140, "OSVW_ID_LENGTH" }, { 0xc0010141, "OSVW_STATUS" },
	EIGHT(0xc0010200, 2, "PERF_CTL"), EIGHT(0xc0010201, 2, "PERF_CTR"),
	{ 0xc0010299, "RAPL_PWR_UNIT" }, { 0xc001029a, "CORE_ENERGY" }, { 0xc001029b, "PKG_ENERGY" },
	{ 0xc00102b0, "CPPC_CAPABILITY_1" }, { 0xc00102b1, "CPPC_ENABLE" }, { 0xc00102b2, "CPPC_CAPABILITY_2" },
	{ 0xc00102b3, "CPPC_REQUEST" }, { 0xc00102b4, "CPPC_STATUS" },
	{ 0xc0011004, "CPUID_FEATURES" }, { 0xc0011005, "CPUID_EXT_FEATURES" }, { 0xc0011020, "LS_CFG" }, { 0xc0011021, "IC_CFG" },
	{ 0xc0011022, "DC_CFG" }, { 0xc0011023, "TW_CFG" }, { 0xc0011029, "DE_CFG" }, { 0xc001102a, "BU_CFG2" },
	{ 0xc0011030, "IBS_FETCH_CTL" }, { 0xc0011031, "IBS_FETCH_LINADDR" }, { 0xc0011032, "IBS_FETCH_PHYSADDR" },
	{ 0xc0011033, "IBS_OP_CTL" }, { 0xc0011034, "IBS_OP_RIP" }, { 0xc0011035, "IBS_OP_DATA" }, { 0xc001103a, "IBS_CTL" },
};

const char *msr_name(uint32_t msr)
{
	for (size_t i = 0; i < LENGTH(msrs); i++) {
		if (msrs[i].msr == msr)
			return msrs[i].name;
	}
	return NULL;
}

/* --- KVM's hypercalls and reasons for KVM_RUN to return --- */

const char *hypercall_name(uint32_t nr)
{
	static const char *const names[] = {
		[1] = "KVM_HC_VAPIC_POLL_IRQ", "KVM_HC_MMU_OP", "KVM_HC_FEATURES", "KVM_HC_PPC_MAP_MAGIC_PAGE", "KVM_HC_KICK_CPU",
		[6] = "KVM_HC_MIPS_GET_CLOCK_FREQ", "KVM_HC_MIPS_EXIT_VM", "KVM_HC_MIPS_CONSOLE_OUTPUT", "KVM_HC_CLOCK_PAIRING",
		[10] = "KVM_HC_SEND_IPI", "KVM_HC_SCHED_YIELD", "KVM_HC_MAP_GPA_RANGE",
	};

	return at(names, LENGTH(names), nr);
}

const char *user_exit_name(unsigned int reason)
{
	static const char *const names[EXEUNT_USER_REASONS] = {
		[0] = "KVM_EXIT_UNKNOWN", "KVM_EXIT_EXCEPTION", "KVM_EXIT_IO", "KVM_EXIT_HYPERCALL", "KVM_EXIT_DEBUG", "KVM_EXIT_HLT",
		[6] = "KVM_EXIT_MMIO", "KVM_EXIT_IRQ_WINDOW_OPEN", "KVM_EXIT_SHUTDOWN", "KVM_EXIT_FAIL_ENTRY", "KVM_EXIT_INTR",
		[11] = "KVM_EXIT_SET_TPR", "KVM_EXIT_TPR_ACCESS", "KVM_EXIT_S390_SIEIC", "KVM_EXIT_S390_RESET", "KVM_EXIT_DCR",
		[16] = "KVM_EXIT_NMI", "KVM_EXIT_INTERNAL_ERROR", "KVM_EXIT_OSI", "KVM_EXIT_PAPR_HCALL", "KVM_EXIT_S390_UCONTROL",
		[21] = "KVM_EXIT_WATCHDOG", "KVM_EXIT_S390_TSCH", "KVM_EXIT_EPR", "KVM_EXIT_SYSTEM_EVENT", "KVM_EXIT_S390_STSI",
		[26] = "KVM_EXIT_IOAPIC_EOI", "KVM_EXIT_HYPERV", "KVM_EXIT_ARM_NISV", "KVM_EXIT_X86_RDMSR", "KVM_EXIT_X86_WRMSR",
		[31] = "KVM_EXIT_DIRTY_RING_FULL", "KVM_EXIT_AP_RESET_HOLD", "KVM_EXIT_X86_BUS_LOCK", "KVM_EXIT_XEN",
		[35] = "KVM_EXIT_RISCV_SBI", "KVM_EXIT_RISCV_CSR", "KVM_EXIT_NOTIFY", "KVM_EXIT_LOONGARCH_IOCSR",
		[39] = "KVM_EXIT_MEMORY_FAULT", "KVM_EXIT_TDX",
		[EXEUNT_USER_IMMEDIATE] = "immediate_exit", [EXEUNT_USER_OTHER] = "other reason", [EXEUNT_USER_ERROR] = "error",
	};

	return at(names, LENGTH(names), reason);
}

/* --- Interrupts and exceptions of x86 --- */

const char *delivery_mode_name(unsigned int mode)
{
	static const char *const names[] = { "fixed", "lowest priority", "SMI", "reserved", "NMI", "INIT", "SIPI", "ExtINT" };

	return names[mode & 7];
}

const char *exception_name(unsigned int vector, char *buf, size_t size)
{
	static const char *const names[] = {
		"#DE", "#DB", NULL, "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS", "#NP", "#SS", "#GP", "#PF", NULL,
		"#MF", "#AC", "#MC", "#XM", "#VE", "#CP", [28] = "#HV", "#VC", "#SX",
	};

	if (at(names, LENGTH(names), vector))
		return names[vector];
	snprintf(buf, size, "%u", vector);
	return buf;
}

/* --- Details of keys --- */

static const char *msr_detail(uint32_t isa, const char *direction, uint64_t detail, char *buf, size_t size)
{
	const char *name = isa == ISA_VMX || isa == ISA_SVM ? msr_name(detail) : NULL;

	snprintf(buf, size, "%s 0x%" PRIx64 "%s%s", direction, detail, name ? " " : "", name ? name : "");
	return buf;
}

static const char *hypercall_detail(uint32_t isa, uint64_t detail, char *buf, size_t size)
{
	const char *name = isa == ISA_VMX || isa == ISA_SVM ? hypercall_name(detail) : NULL;

	if (name)
		return name;
	snprintf(buf, size, "%s0x%" PRIx64, detail == UINT32_MAX ? ">=" : "", detail);
	return buf;
}

const char *detail_name(uint32_t isa, uint64_t key, char *buf, size_t size)
{
	static const char *const directions[EXEUNT_KINDS] = {
		[EXEUNT_MSR_READ] = "rd", [EXEUNT_MSR_WRITE] = "wr", [EXEUNT_PIO_IN] = "in", [EXEUNT_PIO_OUT] = "out",
		[EXEUNT_MMIO_READ] = "rd", [EXEUNT_MMIO_WRITE] = "wr",
	};
	unsigned int kind = EXEUNT_KEY_KIND(key);
	uint64_t detail = EXEUNT_KEY_DETAIL(key);
	const char *direction = at(directions, LENGTH(directions), kind);

	if (detail == EXEUNT_DETAIL_OTHERS) {
		snprintf(buf, size, "%s%sothers", direction ? direction : "", direction ? " " : "");
		return buf;
	}
	switch (kind) {
	case EXEUNT_PLAIN:
		return "";
	case EXEUNT_MSR_READ:
	case EXEUNT_MSR_WRITE:
		return msr_detail(isa, direction, detail, buf, size);
	case EXEUNT_MMIO_READ:
	case EXEUNT_MMIO_WRITE:
		snprintf(buf, size, "%s 0x%" PRIx64 "xxx", direction, detail);
		return buf;
	case EXEUNT_HYPERCALL:
		return hypercall_detail(isa, detail, buf, size);
	}
	snprintf(buf, size, "%s%s0x%" PRIx64, direction ? direction : "", direction ? " " : "", detail);
	return buf;
}
