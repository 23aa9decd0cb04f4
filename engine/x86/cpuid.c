// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: the allow-lists of features that guests may have, the table that a VMM gave a vCPU, and
 * the instruction. Owns struct cpuid_state. Leaves and bits: APM vol. 3, appendix E; SDM vol. 2,
 * CPUID; the KVM leaves: virt/kvm/x86/cpuid.rst.
 */
#include "x86/vcpu.h"

/* --- The features that a guest may have. --- */

/* The registers of leaves that hold feature bits. */
enum word {
	W1_C, W1_D, W6_A, W7_B, W7_C, W7_D, W7_1A, W7_1D, WD_1A,
	W8_1C, W8_1D, W8_7D, W8_8B, W8_21A, W8_21C, NR_WORDS
};

enum reg { REG_A, REG_B, REG_C, REG_D };

static const struct {
	u32 leaf;
	u8 sub, reg;
} word_at[NR_WORDS] = {
	[W1_C] = { 1, 0, REG_C }, [W1_D] = { 1, 0, REG_D }, [W6_A] = { 6, 0, REG_A },
	[W7_B] = { 7, 0, REG_B }, [W7_C] = { 7, 0, REG_C }, [W7_D] = { 7, 0, REG_D },
	[W7_1A] = { 7, 1, REG_A }, [W7_1D] = { 7, 1, REG_D }, [WD_1A] = { 0xd, 1, REG_A },
	[W8_1C] = { 0x80000001, 0, REG_C }, [W8_1D] = { 0x80000001, 0, REG_D },
	[W8_7D] = { 0x80000007, 0, REG_D }, [W8_8B] = { 0x80000008, 0, REG_B },
	[W8_21A] = { 0x80000021, 0, REG_A }, [W8_21C] = { 0x80000021, 0, REG_C },
};

#define FEATURE(word, bit)	((word) * 32 + (bit))

enum feature {
	/* Leaf 1 ECX. */
	F_SSE3 = FEATURE(W1_C, 0), F_PCLMULQDQ = FEATURE(W1_C, 1), F_SSSE3 = FEATURE(W1_C, 9),
	F_FMA = FEATURE(W1_C, 12), F_CX16 = FEATURE(W1_C, 13), F_PCID = FEATURE(W1_C, 17),
	F_SSE4_1 = FEATURE(W1_C, 19), F_SSE4_2 = FEATURE(W1_C, 20), F_X2APIC = FEATURE(W1_C, 21),
	F_MOVBE = FEATURE(W1_C, 22), F_POPCNT = FEATURE(W1_C, 23),
	F_TSC_DEADLINE = FEATURE(W1_C, 24), F_AES = FEATURE(W1_C, 25), F_XSAVE = FEATURE(W1_C, 26),
	F_OSXSAVE = FEATURE(W1_C, 27), F_AVX = FEATURE(W1_C, 28), F_F16C = FEATURE(W1_C, 29),
	F_RDRAND = FEATURE(W1_C, 30), F_HYPERVISOR = FEATURE(W1_C, 31),
	/* Leaf 1 EDX. */
	F_FPU = FEATURE(W1_D, 0), F_VME = FEATURE(W1_D, 1), F_DE = FEATURE(W1_D, 2),
	F_PSE = FEATURE(W1_D, 3), F_TSC = FEATURE(W1_D, 4), F_MSR = FEATURE(W1_D, 5),
	F_PAE = FEATURE(W1_D, 6), F_MCE = FEATURE(W1_D, 7), F_CX8 = FEATURE(W1_D, 8),
	F_APIC = FEATURE(W1_D, 9), F_SEP = FEATURE(W1_D, 11), F_MTRR = FEATURE(W1_D, 12),
	F_PGE = FEATURE(W1_D, 13), F_MCA = FEATURE(W1_D, 14), F_CMOV = FEATURE(W1_D, 15),
	F_PAT = FEATURE(W1_D, 16), F_PSE36 = FEATURE(W1_D, 17), F_CLFLUSH = FEATURE(W1_D, 19),
	F_MMX = FEATURE(W1_D, 23), F_FXSR = FEATURE(W1_D, 24), F_SSE = FEATURE(W1_D, 25),
	F_SSE2 = FEATURE(W1_D, 26), F_SELFSNOOP = FEATURE(W1_D, 27),
	/* Leaf 6 EAX. */
	F_ARAT = FEATURE(W6_A, 2),
	/* Leaf 7 EBX. */
	F_FSGSBASE = FEATURE(W7_B, 0), F_TSC_ADJUST = FEATURE(W7_B, 1), F_BMI1 = FEATURE(W7_B, 3),
	F_HLE = FEATURE(W7_B, 4), F_AVX2 = FEATURE(W7_B, 5), F_FDP_EXCPTN_ONLY = FEATURE(W7_B, 6),
	F_SMEP = FEATURE(W7_B, 7), F_BMI2 = FEATURE(W7_B, 8), F_ERMS = FEATURE(W7_B, 9),
	F_INVPCID = FEATURE(W7_B, 10), F_RTM = FEATURE(W7_B, 11),
	F_ZERO_FCS_FDS = FEATURE(W7_B, 13), F_AVX512F = FEATURE(W7_B, 16),
	F_AVX512DQ = FEATURE(W7_B, 17), F_RDSEED = FEATURE(W7_B, 18), F_ADX = FEATURE(W7_B, 19),
	F_SMAP = FEATURE(W7_B, 20), F_AVX512IFMA = FEATURE(W7_B, 21),
	F_CLFLUSHOPT = FEATURE(W7_B, 23), F_CLWB = FEATURE(W7_B, 24),
	F_AVX512CD = FEATURE(W7_B, 28), F_SHA = FEATURE(W7_B, 29), F_AVX512BW = FEATURE(W7_B, 30),
	F_AVX512VL = FEATURE(W7_B, 31),
	/* Leaf 7 ECX. */
	F_AVX512VBMI = FEATURE(W7_C, 1), F_UMIP = FEATURE(W7_C, 2), F_PKU = FEATURE(W7_C, 3),
	F_OSPKE = FEATURE(W7_C, 4), F_AVX512_VBMI2 = FEATURE(W7_C, 6), F_GFNI = FEATURE(W7_C, 8),
	F_VAES = FEATURE(W7_C, 9), F_VPCLMULQDQ = FEATURE(W7_C, 10),
	F_AVX512_VNNI = FEATURE(W7_C, 11), F_AVX512_BITALG = FEATURE(W7_C, 12),
	F_AVX512_VPOPCNTDQ = FEATURE(W7_C, 14), F_LA57 = FEATURE(W7_C, 16),
	F_RDPID = FEATURE(W7_C, 22), F_CLDEMOTE = FEATURE(W7_C, 25), F_MOVDIRI = FEATURE(W7_C, 27),
	F_MOVDIR64B = FEATURE(W7_C, 28),
	/* Leaf 7 EDX. */
	F_FSRM = FEATURE(W7_D, 4), F_AVX512_VP2INTERSECT = FEATURE(W7_D, 8),
	F_MD_CLEAR = FEATURE(W7_D, 10), F_SERIALIZE = FEATURE(W7_D, 14),
	F_TSXLDTRK = FEATURE(W7_D, 16), F_AVX512_FP16 = FEATURE(W7_D, 23),
	F_SPEC_CTRL = FEATURE(W7_D, 26), F_INTEL_STIBP = FEATURE(W7_D, 27),
	F_INTEL_SSBD = FEATURE(W7_D, 31),
	/* Leaf 7.1 EAX and EDX. */
	F_AVX_VNNI = FEATURE(W7_1A, 4), F_AVX512_BF16 = FEATURE(W7_1A, 5),
	F_FZRM = FEATURE(W7_1A, 10), F_FSRS = FEATURE(W7_1A, 11), F_FSRC = FEATURE(W7_1A, 12),
	F_AVX_IFMA = FEATURE(W7_1A, 23), F_AVX_VNNI_INT8 = FEATURE(W7_1D, 4),
	F_AVX_NE_CONVERT = FEATURE(W7_1D, 5), F_PREFETCHITI = FEATURE(W7_1D, 14),
	/* Leaf 0xd.1 EAX. */
	F_XSAVEOPT = FEATURE(WD_1A, 0), F_XSAVEC = FEATURE(WD_1A, 1), F_XGETBV1 = FEATURE(WD_1A, 2),
	F_XSAVES = FEATURE(WD_1A, 3),
	/* Leaf 0x80000001 ECX. */
	F_LAHF_LM = FEATURE(W8_1C, 0), F_CMP_LEGACY = FEATURE(W8_1C, 1),
	F_CR8_LEGACY = FEATURE(W8_1C, 4), F_ABM = FEATURE(W8_1C, 5), F_SSE4A = FEATURE(W8_1C, 6),
	F_MISALIGNSSE = FEATURE(W8_1C, 7), F_3DNOWPREFETCH = FEATURE(W8_1C, 8),
	F_XOP = FEATURE(W8_1C, 11), F_FMA4 = FEATURE(W8_1C, 16), F_TBM = FEATURE(W8_1C, 21),
	F_TOPOEXT = FEATURE(W8_1C, 22),
	/* Leaf 0x80000001 EDX; the bits that repeat leaf 1's are REPEATED_1D below. */
	F_SYSCALL = FEATURE(W8_1D, 11), F_NX = FEATURE(W8_1D, 20), F_MMXEXT = FEATURE(W8_1D, 22),
	F_FXSR_OPT = FEATURE(W8_1D, 25), F_PDPE1GB = FEATURE(W8_1D, 26),
	F_RDTSCP = FEATURE(W8_1D, 27), F_LM = FEATURE(W8_1D, 29), F_3DNOWEXT = FEATURE(W8_1D, 30),
	F_3DNOW = FEATURE(W8_1D, 31),
	/* Leaf 0x80000007 EDX. */
	F_INVTSC = FEATURE(W8_7D, 8),
	/* Leaf 0x80000008 EBX. */
	F_CLZERO = FEATURE(W8_8B, 0), F_XSAVEERPTR = FEATURE(W8_8B, 2),
	F_WBNOINVD = FEATURE(W8_8B, 9), F_IBPB = FEATURE(W8_8B, 12), F_IBRS = FEATURE(W8_8B, 14),
	F_STIBP = FEATURE(W8_8B, 15), F_STIBP_ALWAYS_ON = FEATURE(W8_8B, 17),
	F_SSBD = FEATURE(W8_8B, 24),
	F_SSB_NO = FEATURE(W8_8B, 26), F_BTC_NO = FEATURE(W8_8B, 29),
	/* Leaf 0x80000021 EAX and ECX. */
	F_NO_NESTED_DATA_BP = FEATURE(W8_21A, 0), F_LFENCE_SERIALIZES = FEATURE(W8_21A, 2),
	F_VERW_CLEAR = FEATURE(W8_21A, 5), F_NULL_SEL_CLEARS_BASE = FEATURE(W8_21A, 6),
	F_IBPB_BRTYPE = FEATURE(W8_21A, 28), F_SRSO_NO = FEATURE(W8_21A, 29),
	F_TSA_SQ_NO = FEATURE(W8_21C, 1), F_TSA_L1_NO = FEATURE(W8_21C, 2),
};

#define B(name)		(1u << (F_##name & 31))

/* AMD repeats these bits of leaf 1 EDX in leaf 0x80000001 EDX. */
#define REPEATED_1D	(B(FPU) | B(VME) | B(DE) | B(PSE) | B(TSC) | B(MSR) | B(PAE) | B(MCE) | \
			 B(CX8) | B(APIC) | B(MTRR) | B(PGE) | B(MCA) | B(CMOV) | B(PAT) | \
			 B(PSE36) | B(MMX) | B(FXSR))

/*
 * Features that a guest gets where the host has them: they work in guest mode without the engine,
 * or the engine does its part. A bit that is not named here is never offered.
 */
static const u32 allowed[NR_WORDS] = {
	[W1_C] = B(SSE3) | B(PCLMULQDQ) | B(SSSE3) | B(FMA) | B(CX16) | B(PCID) | B(SSE4_1) |
		 B(SSE4_2) | B(X2APIC) | B(MOVBE) | B(POPCNT) | B(AES) | B(XSAVE) | B(AVX) |
		 B(F16C) | B(RDRAND) | B(HYPERVISOR),
	[W1_D] = B(FPU) | B(VME) | B(DE) | B(PSE) | B(TSC) | B(MSR) | B(PAE) | B(MCE) | B(CX8) |
		 B(APIC) | B(SEP) | B(MTRR) | B(PGE) | B(MCA) | B(CMOV) | B(PAT) | B(PSE36) |
		 B(CLFLUSH) | B(MMX) | B(FXSR) | B(SSE) | B(SSE2) | B(SELFSNOOP),
	[W6_A] = B(ARAT),
	[W7_B] = B(FSGSBASE) | B(TSC_ADJUST) | B(BMI1) | B(HLE) | B(AVX2) | B(FDP_EXCPTN_ONLY) |
		 B(SMEP) | B(BMI2) | B(ERMS) | B(INVPCID) | B(RTM) | B(ZERO_FCS_FDS) | B(AVX512F) |
		 B(AVX512DQ) | B(RDSEED) | B(ADX) | B(SMAP) | B(AVX512IFMA) | B(CLFLUSHOPT) |
		 B(CLWB) | B(AVX512CD) | B(SHA) | B(AVX512BW) | B(AVX512VL),
	[W7_C] = B(AVX512VBMI) | B(UMIP) | B(PKU) | B(AVX512_VBMI2) | B(GFNI) | B(VAES) |
		 B(VPCLMULQDQ) | B(AVX512_VNNI) | B(AVX512_BITALG) | B(AVX512_VPOPCNTDQ) | B(LA57) |
		 B(RDPID) | B(CLDEMOTE) | B(MOVDIRI) | B(MOVDIR64B),
	[W7_D] = B(FSRM) | B(AVX512_VP2INTERSECT) | B(MD_CLEAR) | B(SERIALIZE) | B(TSXLDTRK) |
		 B(AVX512_FP16) | B(SPEC_CTRL) | B(INTEL_STIBP) | B(INTEL_SSBD),
	[W7_1A] = B(AVX_VNNI) | B(AVX512_BF16) | B(FZRM) | B(FSRS) | B(FSRC) | B(AVX_IFMA),
	[W7_1D] = B(AVX_VNNI_INT8) | B(AVX_NE_CONVERT) | B(PREFETCHITI),
	[WD_1A] = B(XSAVEOPT) | B(XSAVEC) | B(XGETBV1),
	[W8_1C] = B(LAHF_LM) | B(CMP_LEGACY) | B(CR8_LEGACY) | B(ABM) | B(SSE4A) | B(MISALIGNSSE) |
		  B(3DNOWPREFETCH) | B(XOP) | B(FMA4) | B(TBM) | B(TOPOEXT),
	[W8_1D] = REPEATED_1D | B(SYSCALL) | B(NX) | B(MMXEXT) | B(FXSR_OPT) | B(PDPE1GB) |
		  B(RDTSCP) | B(LM) | B(3DNOWEXT) | B(3DNOW),
	[W8_7D] = B(INVTSC),
	[W8_8B] = B(CLZERO) | B(XSAVEERPTR) | B(WBNOINVD) | B(IBPB) | B(IBRS) | B(STIBP) |
		  B(STIBP_ALWAYS_ON) | B(SSBD) | B(SSB_NO) | B(BTC_NO),
	[W8_21A] = B(NO_NESTED_DATA_BP) | B(LFENCE_SERIALIZES) | B(VERW_CLEAR) |
		   B(NULL_SEL_CLEARS_BASE) | B(IBPB_BRTYPE) | B(SRSO_NO),
	[W8_21C] = B(TSA_SQ_NO) | B(TSA_L1_NO),
};

/* Features that the engine makes, whatever the host has. */
static const u32 emulated[NR_WORDS] = {
	[W1_C] = B(X2APIC) | B(HYPERVISOR),
	[W6_A] = B(ARAT),
	[W7_B] = B(TSC_ADJUST),
};
/*
 * The engine makes these too, but KVM_GET_SUPPORTED_CPUID leaves them out: they need the in-kernel
 * APIC (the API document, 4.46).
 */
static const u32 emulated_with_apic[NR_WORDS] = {
	[W1_C] = B(TSC_DEADLINE),
};

#define XF_SSE		(1ull << 1)
#define XF_AVX		(1ull << 2)
#define XF_AVX512	(7ull << 5)
#define XF_PKRU		(1ull << 9)

/*
 * Features whose registers only exist with these XCR0 bits: a host that does not switch the
 * registers cannot offer them.
 */
static const struct {
	u64 xfeatures;
	u8 word;
	u32 mask;
} needs_xfeatures[] = {
	{ XF_SSE, W1_C, B(XSAVE) },
	{ XF_AVX, W1_C, B(AVX) | B(FMA) | B(F16C) },
	{ XF_AVX, W7_B, B(AVX2) },
	{ XF_AVX, W7_C, B(VAES) | B(VPCLMULQDQ) },
	{ XF_AVX, W7_1A, B(AVX_VNNI) | B(AVX_IFMA) },
	{ XF_AVX, W7_1D, B(AVX_VNNI_INT8) | B(AVX_NE_CONVERT) },
	{ XF_AVX, W8_1C, B(XOP) | B(FMA4) },
	{ XF_AVX512, W7_B, B(AVX512F) | B(AVX512DQ) | B(AVX512IFMA) | B(AVX512CD) |
			   B(AVX512BW) | B(AVX512VL) },
	{ XF_AVX512, W7_C, B(AVX512VBMI) | B(AVX512_VBMI2) | B(AVX512_VNNI) |
			   B(AVX512_BITALG) | B(AVX512_VPOPCNTDQ) },
	{ XF_AVX512, W7_D, B(AVX512_VP2INTERSECT) | B(AVX512_FP16) },
	{ XF_AVX512, W7_1A, B(AVX512_BF16) },
	{ XF_PKRU, W7_C, B(PKU) },
	{ XF_SSE, WD_1A, B(XSAVEOPT) | B(XSAVEC) | B(XGETBV1) },
};

/* --- The host's side. --- */

/*
 * The host's leaf, or zeros where it has none (an Intel CPU would answer with another leaf's
 * contents).
 */
static void host_leaf(u32 leaf, u32 sub, u32 regs[4])
{
	u32 max, unused;

	memset(regs, 0, 4 * sizeof(*regs));
	host_cpuid(leaf & 0x80000000, 0, &max, &unused, &unused, &unused);
	if (max >= leaf && !((max ^ leaf) & 0x80000000))
		host_cpuid(leaf, sub, &regs[REG_A], &regs[REG_B], &regs[REG_C], &regs[REG_D]);
}

/* What a guest can have of a word on this host. */
static u32 supported_word(enum word w)
{
	u64 xfeatures = host_xfeatures();
	u32 i, regs[4], bits;
	u64 need;

	host_leaf(word_at[w].leaf, word_at[w].sub, regs);
	bits = regs[word_at[w].reg] & allowed[w];
	for (i = 0; i < ARRAY_SIZE(needs_xfeatures); i++) {
		need = needs_xfeatures[i].xfeatures;
		if (needs_xfeatures[i].word == w && (xfeatures & need) != need)
			bits &= ~needs_xfeatures[i].mask;
	}
	if (w == W8_7D && !host_tsc_stable())
		bits &= ~B(INVTSC);
	return bits | emulated[w];
}

/* Where this CPU keeps each of the host's XSAVE components. */
static void read_xsave_components(struct xsave_component comp[XSAVE_COMPONENTS])
{
	u64 xfeatures = host_xfeatures();
	u32 i, regs[4];

	memset(comp, 0, XSAVE_COMPONENTS * sizeof(*comp));
	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		if (!(xfeatures & 1ull << i))
			continue;
		host_leaf(0xd, i, regs);
		comp[i].size = regs[REG_A];
		comp[i].offset = regs[REG_B];
		comp[i].align64 = regs[REG_C] & 2;
	}
}

/*
 * Bytes of an XSAVE area with these components: the legacy area and header (APM vol. 2, 11.5.2),
 * and what lies behind them.
 */
static u32 xsave_size(const struct xsave_component comp[XSAVE_COMPONENTS], u64 xfeatures,
		      bool compacted)
{
	u32 i, end = 512 + 64;

	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		if (!(xfeatures & 1ull << i))
			continue;
		if (!compacted)
			end = max(end, comp[i].offset + comp[i].size);
		else
			end = (comp[i].align64 ? (end + 63) & ~63u : end) + comp[i].size;
	}
	return end;
}

/* --- KVM_GET_SUPPORTED_CPUID. --- */

#define LAST_BASIC_LEAF		0x1fu
#define LAST_EXTENDED_LEAF	0x80000021u
#define KVM_LEAF		0x40000000u
#define KVM_FEATURES_LEAF	0x40000001u
/* "KVMKVMKVM\0\0\0" */
#define KVM_SIGNATURE_B		0x4b4d564bu
#define KVM_SIGNATURE_C		0x564b4d56u
#define KVM_SIGNATURE_D		0x4du

enum {
	KVM_CLOCKSOURCE = 1u << 0, KVM_NOP_IO_DELAY = 1u << 1, KVM_CLOCKSOURCE2 = 1u << 3,
	KVM_PV_SEND_IPI = 1u << 11, KVM_POLL_CONTROL = 1u << 12, KVM_CLOCKSOURCE_STABLE = 1u << 24,
};

/* Where cpuid_supported() writes. */
struct list {
	struct kvm_cpuid_entry2 *entries;
	u32 nr, max;
	bool overflow;
};

static void add(struct list *l, u32 leaf, u32 sub, u32 flags, const u32 regs[4])
{
	if (l->nr == l->max) {
		l->overflow = true;
		return;
	}
	l->entries[l->nr++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = sub, .flags = flags,
		.eax = regs[REG_A], .ebx = regs[REG_B], .ecx = regs[REG_C], .edx = regs[REG_D],
	};
}

static void add_indexed(struct list *l, u32 leaf, u32 sub, const u32 regs[4])
{
	add(l, leaf, sub, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, regs);
}

/* A leaf's registers in which only feature words are kept. */
static void feature_leaf(u32 leaf, u32 sub, u32 regs[4])
{
	u32 w;

	memset(regs, 0, 4 * sizeof(*regs));
	for (w = 0; w < NR_WORDS; w++)
		if (word_at[w].leaf == leaf && word_at[w].sub == sub)
			regs[word_at[w].reg] = supported_word(w);
}

static void add_leaf_7(struct list *l)
{
	u32 host[4], regs[4], last;

	host_leaf(7, 0, host);
	feature_leaf(7, 0, regs);
	regs[REG_A] = last = min(host[REG_A], 1u);
	add_indexed(l, 7, 0, regs);
	if (last) {
		feature_leaf(7, 1, regs);
		add_indexed(l, 7, 1, regs);
	}
}

static void add_leaf_d(struct list *l)
{
	struct xsave_component comp[XSAVE_COMPONENTS];
	u64 xfeatures = host_xfeatures();
	u32 i, regs[4] = { };

	if (!xfeatures) {
		add_indexed(l, 0xd, 0, regs);
		return;
	}
	read_xsave_components(comp);
	regs[REG_A] = (u32)xfeatures;
	regs[REG_D] = xfeatures >> 32;
	regs[REG_B] = regs[REG_C] = xsave_size(comp, xfeatures, false);
	add_indexed(l, 0xd, 0, regs);

	feature_leaf(0xd, 1, regs);
	if (regs[REG_A] & B(XSAVEC))
		regs[REG_B] = xsave_size(comp, xfeatures, true);
	add_indexed(l, 0xd, 1, regs);

	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		if (!(xfeatures & 1ull << i))
			continue;
		regs[REG_A] = comp[i].size;
		regs[REG_B] = comp[i].offset;
		regs[REG_C] = comp[i].align64 ? 2 : 0;
		regs[REG_D] = 0;
		add_indexed(l, 0xd, i, regs);
	}
}

/* The caches, without how many threads share each: the topology is the VMM's (EAX bits 25:14). */
static void add_cache_topology(struct list *l)
{
	u32 i, regs[4];

	for (i = 0; i < 8; i++) {
		host_leaf(0x8000001d, i, regs);
		regs[REG_A] &= ~0x3ffc000u;
		add_indexed(l, 0x8000001d, i, regs);
		if (!(regs[REG_A] & 0x1f))
			break;
	}
}

/* Leaf 0x80000008 EAX: address widths. */
static u32 address_widths(u32 host)
{
	u32 phys = host & 0xff, virt = max(host >> 8 & 0xff, 48u), guest_phys = host >> 16 & 0xff;

	if (guest_phys)
		phys = guest_phys;
	/* Four levels of nested tables reach no further than this. */
	guest_phys = !host_la57() && phys > 48 ? 48 : 0;
	return phys | virt << 8 | guest_phys << 16;
}

static void add_basic(struct list *l, u32 leaf, u32 last)
{
	u32 host[4], regs[4];

	host_leaf(leaf, 0, host);
	feature_leaf(leaf, 0, regs);
	switch (leaf) {
	case 0:
		host[REG_A] = last;
		add(l, leaf, 0, 0, host);
		break;
	case 1:
		regs[REG_A] = host[REG_A];
		/* The CLFLUSH size; APIC id and number of threads are the VMM's. */
		regs[REG_B] = host[REG_B] & 0xff00;
		add(l, leaf, 0, 0, regs);
		break;
	case 7:
		add_leaf_7(l);
		break;
	case 0xd:
		add_leaf_d(l);
		break;
	case 4: case 0xb: case 0xf: case 0x10: case 0x12: case 0x14:
	case 0x17: case 0x18: case 0x1d: case 0x1e: case 0x1f:
		add_indexed(l, leaf, 0, regs);
		break;
	default:
		add(l, leaf, 0, 0, regs);
	}
}

static void add_extended(struct list *l, u32 leaf, u32 last)
{
	u32 host[4], regs[4];

	host_leaf(leaf, 0, host);
	feature_leaf(leaf, 0, regs);
	switch (leaf) {
	case 0x80000000:
		host[REG_A] = last;
		add(l, leaf, 0, 0, host);
		break;
	case 0x80000001:
		regs[REG_A] = host[REG_A];
		add(l, leaf, 0, 0, regs);
		break;
	case 0x80000002: case 0x80000003: case 0x80000004:	/* brand string */
	case 0x80000005: case 0x80000006: case 0x80000019:	/* caches and TLBs */
	case 0x8000001a:					/* what forms are fast */
		add(l, leaf, 0, 0, host);
		break;
	case 0x80000008:
		regs[REG_A] = address_widths(host[REG_A]);
		add(l, leaf, 0, 0, regs);
		break;
	case 0x8000001d:
		add_cache_topology(l);
		break;
	default:
		add(l, leaf, 0, 0, regs);
	}
}

static void add_kvm(struct list *l)
{
	static const u32 signature[] = {
		KVM_FEATURES_LEAF, KVM_SIGNATURE_B, KVM_SIGNATURE_C, KVM_SIGNATURE_D,
	};
	/* IPIs by hypercall need the in-kernel APIC; a VMM that does without it leaves the bit out, or its guest learns by error. */
	u32 features[4] = { KVM_CLOCKSOURCE | KVM_NOP_IO_DELAY | KVM_CLOCKSOURCE2 | KVM_PV_SEND_IPI | KVM_POLL_CONTROL };

	if (host_tsc_stable())
		features[REG_A] |= KVM_CLOCKSOURCE_STABLE;
	add(l, KVM_LEAF, 0, 0, signature);
	add(l, KVM_FEATURES_LEAF, 0, 0, features);
}

int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nr)
{
	struct list l = { .entries = entries, .max = *nr };
	u32 leaf, last, unused;

	host_cpuid(0, 0, &last, &unused, &unused, &unused);
	last = min(last, LAST_BASIC_LEAF);
	for (leaf = 0; leaf <= last; leaf++)
		add_basic(&l, leaf, last);
	host_cpuid(0x80000000, 0, &last, &unused, &unused, &unused);
	last = min(last, LAST_EXTENDED_LEAF);
	for (leaf = 0x80000000; leaf <= last; leaf++)
		add_extended(&l, leaf, last);
	add_kvm(&l);
	if (l.overflow)
		return -E2BIG;
	*nr = l.nr;
	return 0;
}

/* --- The vCPU's table. --- */

/* What of an entry follows the guest's state. */
enum live_bits { LIVE_NONE, LIVE_1, LIVE_7, LIVE_D_0, LIVE_D_1 };

static enum live_bits live_bits_of(const struct kvm_cpuid_entry2 *e)
{
	bool sub_0 = !e->index || !cpuid_is_indexed(e->flags);

	if (e->function == 1)
		return LIVE_1;
	if (e->function == 7 && sub_0)
		return LIVE_7;
	if (e->function == 0xd && sub_0)
		return LIVE_D_0;
	if (e->function == 0xd && e->index == 1 && e->eax & (B(XSAVEC) | B(XSAVES)))
		return LIVE_D_1;
	return LIVE_NONE;
}

static void replace_bits(u32 *reg, u32 mask, bool set)
{
	*reg = set ? *reg | mask : *reg & ~mask;
}

/* Makes the live bits of @e's @regs right for the guest's state now. */
static void apply_live_bits(struct vcpu *v, const struct cpuid_slot *e, u32 regs[4])
{
	if (e->live == LIVE_1) {
		replace_bits(&regs[REG_C], B(OSXSAVE), vcpu_cr4(v) & CR4_OSXSAVE_BIT);
		replace_bits(&regs[REG_D], B(APIC), lapic_hw_enabled(&v->apic));
	} else if (e->live == LIVE_7) {
		replace_bits(&regs[REG_C], B(OSPKE), vcpu_cr4(v) & CR4_PKE_BIT);
	} else if (e->live == LIVE_D_0) {
		regs[REG_B] = xsave_size(v->cpuid.xsave, v->xcr0, false);
	} else {
		regs[REG_B] = xsave_size(v->cpuid.xsave, v->xcr0 | v->msr.xss, true);
	}
}

/* An entry as the guest and KVM_GET_CPUID2 see it. */
static void read_slot(struct vcpu *v, const struct cpuid_slot *e, u32 regs[4])
{
	regs[REG_A] = e->a;
	regs[REG_B] = e->b;
	regs[REG_C] = e->c;
	regs[REG_D] = e->d;
	if (e->live)
		apply_live_bits(v, e, regs);
}

/*
 * Intel CPUs answer a leaf beyond the last of its kind with the contents of the last basic leaf
 * (SDM vol. 2, CPUID).
 */
static const struct cpuid_slot *find_out_of_range(const struct cpuid_state *s, u32 leaf, u32 sub)
{
	const struct cpuid_slot *kind, *basic = cpuid_find(s, 0, 0);
	u32 first = leaf & 0x80000000;

	if (leaf >> 28 == 4)
		first = leaf & 0xffffff00;
	else if (leaf >= 0xc0000000)
		first = 0xc0000000;
	kind = cpuid_find(s, first, 0);
	if (kind && leaf <= kind->a)
		return NULL;
	return cpuid_find(s, basic->a, sub);
}

/* The answer for a leaf that has no entry. */
static void answer_missing(struct vcpu *v, u32 leaf, u32 sub, u32 regs[4])
{
	const struct cpuid_slot *e = NULL;

	memset(regs, 0, 4 * sizeof(*regs));
	if (v->cpuid.intel_range)
		e = find_out_of_range(&v->cpuid, leaf, sub);
	if (e) {
		read_slot(v, e, regs);
		return;
	}
	/* Sub-leaves behind the last topology level still tell their number and the APIC id. */
	if (leaf == 0xb || leaf == 0x1f) {
		e = cpuid_find(&v->cpuid, leaf, 1);
		if (e) {
			regs[REG_C] = sub & 0xff;
			regs[REG_D] = e->d;
		}
	}
}

static inline void answer(struct vcpu *v, u32 leaf, u32 sub, bool found, u32 a, u32 b, u32 c, u32 d)
{
	v->regs[R_AX] = a;
	v->regs[R_BX] = b;
	v->regs[R_CX] = c;
	v->regs[R_DX] = d;
	host_trace_cpuid(leaf, sub, a, b, c, d, found);
}

/* What cpuid_execute() does not do itself: entries with live bits, and those that are missing. */
static noinline void execute_rare(struct vcpu *v, u32 leaf, u32 sub, const struct cpuid_slot *e)
{
	u32 regs[4];

	if (e)
		read_slot(v, e, regs);
	else
		answer_missing(v, leaf, sub, regs);
	answer(v, leaf, sub, e, regs[REG_A], regs[REG_B], regs[REG_C], regs[REG_D]);
}

void cpuid_execute(struct vcpu *v)
{
	u32 leaf = (u32)v->regs[R_AX], sub = (u32)v->regs[R_CX];
	const struct cpuid_slot *e = cpuid_find(&v->cpuid, leaf, sub);

	if (likely(e && !e->live))
		answer(v, leaf, sub, true, e->a, e->b, e->c, e->d);
	else
		execute_rare(v, leaf, sub, e);
}

bool cpuid_lookup(struct vcpu *v, u32 *a, u32 *c)
{
	const struct cpuid_slot *e = cpuid_find(&v->cpuid, *a, *c);

	if (!e)
		return false;
	*a = e->a;
	*c = e->c;
	return true;
}

/* --- What follows from the table. --- */

static u32 slot_reg(const struct cpuid_slot *e, u32 reg)
{
	return reg == REG_A ? e->a : reg == REG_B ? e->b : reg == REG_C ? e->c : e->d;
}

/* The bits of a word that the guest was given and that really work here. */
static u32 usable_word(const struct cpuid_state *s, enum word w)
{
	u32 works = supported_word(w) | emulated_with_apic[w];
	const struct cpuid_slot *e;

	if (!s->nr)
		return works;
	e = cpuid_find(s, word_at[w].leaf, word_at[w].sub);
	return e ? slot_reg(e, word_at[w].reg) & works : 0;
}

static bool usable(const u32 words[NR_WORDS], enum feature f)
{
	return words[f / 32] >> f % 32 & 1;
}

#define CR4_ALWAYS	(CR4_VME_BIT | CR4_PVI_BIT | CR4_TSD_BIT | CR4_DE_BIT | CR4_PSE_BIT | \
			 CR4_PAE_BIT | CR4_MCE_BIT | CR4_PGE_BIT | CR4_PCE_BIT | CR4_OSFXSR_BIT | \
			 CR4_OSXMMEXC_BIT)

static u64 cr4_allowed(const u32 words[NR_WORDS])
{
	static const struct {
		u16 feature;
		u32 bit;
	} cr4_bits[] = {
		{ F_UMIP, CR4_UMIP_BIT },	  { F_LA57, CR4_LA57_BIT },
		{ F_FSGSBASE, CR4_FSGSBASE_BIT }, { F_PCID, CR4_PCIDE_BIT },
		{ F_XSAVE, CR4_OSXSAVE_BIT },	  { F_SMEP, CR4_SMEP_BIT },
		{ F_SMAP, CR4_SMAP_BIT },	  { F_PKU, CR4_PKE_BIT },
	};
	u64 cr4 = CR4_ALWAYS;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cr4_bits); i++)
		if (usable(words, cr4_bits[i].feature))
			cr4 |= cr4_bits[i].bit;
	return cr4;
}

static u64 efer_allowed(const u32 words[NR_WORDS])
{
	u64 efer = EFER_SCE_BIT;

	if (usable(words, F_LM))
		efer |= EFER_LME_BIT | EFER_LMA_BIT;
	if (usable(words, F_NX))
		efer |= EFER_NXE_BIT;
	if (usable(words, F_FXSR_OPT))
		efer |= EFER_FFXSR_BIT;
	return efer;
}

static u64 xcr0_allowed(const struct cpuid_state *s)
{
	const struct cpuid_slot *e = cpuid_find(s, 0xd, 0);
	u64 given = e ? e->a | (u64)e->d << 32 : 0;

	return ((s->nr ? given : U64_MAX) & host_xfeatures()) | 1;
}

static u8 maxphyaddr(const struct cpuid_state *s)
{
	const struct cpuid_slot *last = cpuid_find(s, 0x80000000, 0), *widths = cpuid_find(s, 0x80000008, 0);

	if (!last || last->a < 0x80000008 || !widths)
		return 36;
	return min(widths->a & 0xff, 52u);
}

static bool is_vendor(const struct cpuid_slot *e, u32 b, u32 c, u32 d)
{
	return e && e->b == b && e->c == c && e->d == d;
}

/*
 * The hypervisor leaves may start at any 0x40000x00: a VMM that also shows another hypervisor's
 * interface moves KVM's up.
 */
static u32 kvm_features(const struct cpuid_state *s)
{
	const struct cpuid_slot *e;
	u32 base;

	for (base = KVM_LEAF; base < KVM_LEAF + 0x10000; base += 0x100) {
		e = cpuid_find(s, base, 0);
		if (is_vendor(e, KVM_SIGNATURE_B, KVM_SIGNATURE_C, KVM_SIGNATURE_D)) {
			e = cpuid_find(s, base | 1, 0);
			return e ? e->a : 0;
		}
	}
	return 0;
}

/* AMD's and Hygon's CPUs answer with zeros out of range; all others as Intel's. */
static bool intel_range(const struct cpuid_state *s)
{
	const struct cpuid_slot *e = cpuid_find(s, 0, 0);

	return e && !is_vendor(e, 0x68747541, 0x444d4163, 0x69746e65) &&	/* AuthenticAMD */
	       !is_vendor(e, 0x6f677948, 0x656e6975, 0x6e65476e);		/* HygonGenuine */
}

static void derive(struct cpuid_state *s)
{
	u32 words[NR_WORDS], w;

	for (w = 0; w < NR_WORDS; w++)
		words[w] = usable_word(s, w);
	read_xsave_components(s->xsave);
	s->intel_range = intel_range(s);
	s->cr4_allowed = cr4_allowed(words);
	s->efer_allowed = efer_allowed(words);
	s->xcr0_allowed = xcr0_allowed(s);
	s->maxphyaddr = maxphyaddr(s);
	s->kvm_features = kvm_features(s);
	s->has_rdtscp = usable(words, F_RDTSCP);
	s->has_rdpid = usable(words, F_RDPID);
	s->has_invpcid = usable(words, F_INVPCID);
	s->has_xsaves = usable(words, F_XSAVES);
	s->has_x2apic = usable(words, F_X2APIC);
	s->has_tsc_deadline = usable(words, F_TSC_DEADLINE);
	s->has_nx = usable(words, F_NX);
	s->has_spec_ctrl = usable(words, F_SPEC_CTRL) || usable(words, F_IBRS) ||
			   usable(words, F_STIBP) || usable(words, F_SSBD);
	s->has_ibpb = usable(words, F_SPEC_CTRL) || usable(words, F_IBPB);
}

/* --- The VMM's side. --- */

static void index_slots(struct cpuid_state *s)
{
	u32 i, bucket;

	memset(s->first, 0, sizeof(s->first));
	/* Backwards, so that of two entries for one leaf the VMM's first is found first. */
	for (i = s->nr; i-- > 0; ) {
		bucket = cpuid_bucket(s->slots[i].leaf);
		s->slots[i].next = s->first[bucket];
		s->first[bucket] = i + 1;
	}
}

static void fill_slot(struct cpuid_slot *slot, const struct kvm_cpuid_entry2 *e)
{
	*slot = (struct cpuid_slot){
		.leaf = e->function, .sub = e->index, .flags = e->flags,
		.a = e->eax, .b = e->ebx, .c = e->ecx, .d = e->edx,
		.live = live_bits_of(e),
	};
}

/* The guest would see no difference between @old and @e. */
static bool same_entry(struct vcpu *v, const struct cpuid_slot *old,
		       const struct kvm_cpuid_entry2 *e)
{
	struct cpuid_slot new;
	u32 before[4], after[4];

	fill_slot(&new, e);
	read_slot(v, old, before);
	read_slot(v, &new, after);
	return old->leaf == new.leaf && old->sub == new.sub && old->flags == new.flags &&
	       !memcmp(before, after, sizeof(before));
}

static bool same_table(struct vcpu *v, const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	u32 i;

	if (nr != v->cpuid.nr)
		return false;
	for (i = 0; i < nr; i++)
		if (!same_entry(v, &v->cpuid.slots[i], &entries[i]))
			return false;
	return true;
}

static bool address_widths_valid(const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	u32 i, virt;

	for (i = 0; i < nr; i++) {
		virt = entries[i].eax >> 8 & 0xff;
		if (entries[i].function == 0x80000008 && virt != 48 && virt != 57 && virt != 0)
			return false;
	}
	return true;
}

void cpuid_init(struct vcpu *v)
{
	derive(&v->cpuid);
}

int cpuid_set(struct vcpu *v, const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	struct cpuid_state *s = &v->cpuid;
	struct cpuid_slot *slots = NULL;
	u32 i;

	if (nr > CPUID_MAX_ENTRIES)
		return -E2BIG;
	if (s->frozen)
		return same_table(v, entries, nr) ? 0 : -EINVAL;
	if (!address_widths_valid(entries, nr))
		return -EINVAL;
	if (nr) {
		slots = host_zalloc(nr * sizeof(*slots));
		if (!slots)
			return -ENOMEM;
	}
	for (i = 0; i < nr; i++)
		fill_slot(&slots[i], &entries[i]);
	host_free(s->slots);
	s->slots = slots;
	s->nr = nr;
	index_slots(s);
	derive(s);
	return 0;
}

int cpuid_get(struct vcpu *v, struct kvm_cpuid_entry2 *entries, u32 *nr)
{
	const struct cpuid_state *s = &v->cpuid;
	u32 i, room = *nr, regs[4];

	*nr = s->nr;
	if (room < s->nr)
		return -E2BIG;
	for (i = 0; i < s->nr; i++) {
		const struct cpuid_slot *e = &s->slots[i];

		read_slot(v, e, regs);
		entries[i] = (struct kvm_cpuid_entry2){
			.function = e->leaf, .index = e->sub, .flags = e->flags,
			.eax = regs[REG_A], .ebx = regs[REG_B],
			.ecx = regs[REG_C], .edx = regs[REG_D],
		};
	}
	return 0;
}

void cpuid_free(struct vcpu *v)
{
	host_free(v->cpuid.slots);
	memset(&v->cpuid, 0, sizeof(v->cpuid));
}
