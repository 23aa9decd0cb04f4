// SPDX-License-Identifier: GPL-2.0
/*
 * engine/x86/cpuid.c: what is offered on hosts of several kinds, the VMM's table, the instruction,
 * and what is derived.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine.h"

#define INDEXED	KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define ALL	0xffffffffu

#define AMD_B	0x68747541u
#define AMD_C	0x444d4163u
#define AMD_D	0x69746e65u

static struct machine *m;
static struct vcpu *v;

/* An AMD host with every feature bit set, so that only the allow-lists keep anything out. */
static void host_with_everything(void)
{
	u32 leaf, sub;

	machine_clear_cpuid();
	machine_set_cpuid(0, 0, 0x20, AMD_B, AMD_C, AMD_D);
	machine_set_cpuid(0x80000000, 0, 0x80000028, AMD_B, AMD_C, AMD_D);
	for (leaf = 1; leaf <= 0x20; leaf++)
		for (sub = 0; sub < (leaf == 7 ? 2 : 1); sub++)
			machine_set_cpuid(leaf, sub, ALL, ALL, ALL, ALL);
	for (leaf = 0x80000001; leaf <= 0x80000028; leaf++)
		machine_set_cpuid(leaf, 0, ALL, ALL, ALL, ALL);
	machine_set_cpuid(0x80000008, 0, 0x3930, ALL, ALL, ALL);
	machine_set_cpuid(0x8000001d, 0, 0x0fffc121, 1, 2, 3);
	machine_set_cpuid(0x8000001d, 1, 0x04000143, 4, 5, 6);
	machine_set_cpuid(0xd, 0, ALL, ALL, ALL, ALL);
	machine_set_cpuid(0xd, 1, ALL, ALL, ALL, ALL);
	machine_set_cpuid(0xd, 2, 256, 576, 0, 0);
	machine_set_cpuid(0xd, 5, 64, 832, 0, 0);
	machine_set_cpuid(0xd, 6, 512, 896, 2, 0);
	machine_set_cpuid(0xd, 7, 1024, 1408, 2, 0);
	machine_set_cpuid(0xd, 9, 8, 2432, 0, 0);
	machine_xfeatures = 0x2e7;
	machine_la57 = true;
	machine_tsc_stable = true;
}

static int setup(void **state)
{
	host_with_everything();
	m = machine_create(0);
	v = machine_add_vcpu(m, 0);
	v->xcr0 = 1;
	v->apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT;
	return 0;
}

static int teardown(void **state)
{
	cpuid_free(v);
	machine_free(m);
	machine_clear_cpuid();
	return 0;
}

static struct kvm_cpuid_entry2 offered[CPUID_MAX_ENTRIES];
static u32 nr_offered;

static void get_supported(void)
{
	nr_offered = CPUID_MAX_ENTRIES;
	memset(offered, 0x55, sizeof(offered));
	assert_int_equal(cpuid_supported(offered, &nr_offered), 0);
}

static const struct kvm_cpuid_entry2 *entry(u32 leaf, u32 sub)
{
	for (u32 i = 0; i < nr_offered; i++)
		if (offered[i].function == leaf &&
		    (!(offered[i].flags & INDEXED) || offered[i].index == sub))
			return &offered[i];
	fail_msg("leaf %x.%x is not offered", leaf, sub);
	return NULL;
}

static struct kvm_cpuid_entry2 make(u32 leaf, u32 sub, u32 flags, u32 a, u32 b, u32 c, u32 d)
{
	return (struct kvm_cpuid_entry2){
		.function = leaf, .index = sub, .flags = flags,
		.eax = a, .ebx = b, .ecx = c, .edx = d,
	};
}

#define set(...) do { \
	struct kvm_cpuid_entry2 set_[] = { __VA_ARGS__ }; \
	assert_int_equal(cpuid_set(v, set_, ARRAY_SIZE(set_)), 0); \
} while (0)

static void execute(u32 leaf, u32 sub)
{
	v->regs[R_AX] = 0xdead00000000ull | leaf;
	v->regs[R_CX] = 0xdead00000000ull | sub;
	v->regs[R_BX] = v->regs[R_DX] = U64_MAX;
	cpuid_execute(v);
}

static void expect(u32 leaf, u32 sub, u32 a, u32 b, u32 c, u32 d)
{
	execute(leaf, sub);
	assert_int_equal(v->regs[R_AX], a);
	assert_int_equal(v->regs[R_BX], b);
	assert_int_equal(v->regs[R_CX], c);
	assert_int_equal(v->regs[R_DX], d);
}

/* --- What is offered. --- */

static void test_offers_only_listed_bits(void **state)
{
	const struct kvm_cpuid_entry2 *e;

	get_supported();
	e = entry(1, 0);
	/*
	 * MONITOR, VMX, SMX, EIST, TM2, PDCM, DCA, TSC_DEADLINE and OSXSAVE are not; X2APIC and
	 * HYPERVISOR are.
	 */
	assert_int_equal(e->ecx & (1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 15 |
				   1u << 18 | 1u << 24 | 1u << 27),
			 0);
	assert_int_equal(e->ecx & (1u << 21 | 1u << 31), 1u << 21 | 1u << 31);
	assert_int_equal(e->ebx, 0xff00);
	/* PSN, DS, ACPI, HTT, TM, PBE are not. */
	assert_int_equal(e->edx & (1u << 18 | 1u << 21 | 1u << 22 | 1u << 28 | 1u << 29 | 1u << 31),
			 0);
	assert_int_equal(e->edx & 0x0783fbff & ~(1u << 10),
			 0x0783fbff & ~(1u << 10) & ~(1u << 18 | 1u << 21 | 1u << 22));
	e = entry(6, 0);
	assert_int_equal(e->eax, 4);
	assert_int_equal(e->ecx, 0);
	e = entry(7, 0);
	assert_int_equal(e->eax, 1);
	/* SGX, CQM, MPX, RDT and PT are not. */
	assert_int_equal(e->ebx & (1u << 2 | 1u << 12 | 1u << 14 | 1u << 15 | 1u << 25), 0);
	/* OSPKE, WAITPKG, SHSTK, TME, BUS_LOCK, ENQCMD, SGX_LC and PKS are not. */
	assert_int_equal(e->ecx & (1u << 4 | 1u << 5 | 1u << 7 | 1u << 13 | 1u << 24 | 1u << 29 |
				   1u << 30 | 1u << 31),
			 0);
	/* UINTR, PCONFIG, LBR, IBT, AMX, L1D_FLUSH and ARCH_CAPABILITIES are not. */
	assert_int_equal(e->edx & (1u << 5 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 24 |
				   1u << 25 | 1u << 28 | 1u << 29),
			 0);
	e = entry(0x80000001, 0);
	/* SVM, EXTAPIC, OSVW, IBS, SKINIT, WDT, LWP, TCE, NODEID_MSR, PERFCTR_*, MWAITX are not. */
	assert_int_equal(e->ecx & (1u << 2 | 1u << 3 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 13 |
				   1u << 15 | 1u << 17 | 1u << 19 | 1u << 23 | 1u << 24 | 1u << 28 |
				   1u << 29),
			 0);
	assert_int_equal(e->edx & (1u << 20 | 1u << 27 | 1u << 29), 1u << 20 | 1u << 27 | 1u << 29);
	e = entry(0x80000007, 0);
	assert_int_equal(e->edx, 1u << 8);
	e = entry(0x80000008, 0);
	/* RDPRU, INT_WBINVD and IBRS_ALWAYS_ON's neighbours that need the engine's help are not. */
	assert_int_equal(e->ebx & (1u << 1 | 1u << 3 | 1u << 4 | 1u << 13), 0);
	e = entry(0x80000021, 0);
	assert_int_equal(e->eax & (1u << 8 | 1u << 27), 0);
	assert_int_equal(e->eax & (1u << 2 | 1u << 6), 1u << 2 | 1u << 6);
}

static void test_offers_zeros_for_what_is_not_virtual(void **state)
{
	static const u32 leaves[] = {
		2, 3, 4, 5, 8, 9, 0xa, 0xb, 0xf, 0x10, 0x12, 0x14, 0x15, 0x19, 0x1c, 0x1f,
		0x8000000a, 0x8000001b, 0x8000001c, 0x8000001e, 0x8000001f, 0x80000020,
	};

	get_supported();
	for (u32 i = 0; i < ARRAY_SIZE(leaves); i++) {
		const struct kvm_cpuid_entry2 *e = entry(leaves[i], 0);

		assert_int_equal(e->eax | e->ebx | e->ecx | e->edx, 0);
	}
	assert_int_equal(entry(0, 0)->eax, 0x1f);
	assert_int_equal(entry(0x80000000, 0)->eax, 0x80000021);
	assert_int_equal(offered[nr_offered - 1].padding[0], 0);
}

static void test_emulated_bits_need_no_host(void **state)
{
	machine_set_cpuid(1, 0, 0, 0, 0, 0);
	machine_set_cpuid(6, 0, 0, 0, 0, 0);
	machine_set_cpuid(7, 0, 0, 0, 0, 0);
	get_supported();
	assert_int_equal(entry(1, 0)->ecx, 1u << 21 | 1u << 31);
	assert_int_equal(entry(1, 0)->edx, 0);
	assert_int_equal(entry(6, 0)->eax, 4);
	assert_int_equal(entry(7, 0)->ebx, 1u << 1);
}

static void test_old_host_has_no_leaf_7(void **state)
{
	/*
	 * An Intel CPU answers leaf 7 with leaf 5's contents: that must not be taken for feature
	 * bits.
	 */
	machine_set_cpuid(0, 0, 5, 0x756e6547, 0x6c65746e, 0x49656e69);
	machine_set_cpuid(0x80000000, 0, 0x80000004, 0, 0, 0);
	cpuid_init(v);
	assert_int_equal(v->cpuid.cr4_allowed & (CR4_SMEP_BIT | CR4_SMAP_BIT | CR4_FSGSBASE_BIT),
			 0);
	assert_false(v->cpuid.has_spec_ctrl);
	get_supported();
	for (u32 i = 0; i < nr_offered; i++)
		assert_true(offered[i].function <= 5 || offered[i].function >= 0x40000000);
}

static void test_xsave_follows_the_host_fpu(void **state)
{
	const struct kvm_cpuid_entry2 *e;

	get_supported();
	e = entry(0xd, 0);
	assert_int_equal(e->eax, 0x2e7);
	assert_int_equal(e->edx, 0);
	assert_int_equal(e->ecx, 2440);
	assert_int_equal(e->ebx, 2440);
	e = entry(0xd, 1);
	assert_int_equal(e->eax, 7);			/* no XSAVES, no XFD */
	/* 576 + 256 + 64, the rest aligned to 64: 896 + 512 + 1024, then 8. */
	assert_int_equal(e->ebx, 2440);
	assert_int_equal(e->ecx | e->edx, 0);
	e = entry(0xd, 9);
	assert_int_equal(e->eax, 8);
	assert_int_equal(e->ebx, 2432);
	assert_true(entry(7, 0)->ebx & 1u << 16);
	assert_true(entry(7, 0)->ecx & 1u << 3);

	machine_xfeatures = 7;
	get_supported();
	assert_int_equal(entry(0xd, 0)->ecx, 832);
	assert_int_equal(entry(7, 0)->ebx &
				 (1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31),
			 0);
	assert_int_equal(entry(7, 0)->ecx &
				 (1u << 1 | 1u << 3 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14),
			 0);
	assert_true(entry(7, 0)->ebx & 1u << 5);	/* AVX2 */
	for (u32 i = 0; i < nr_offered; i++)
		assert_false(offered[i].function == 0xd && offered[i].index > 2);

	machine_xfeatures = 0;
	get_supported();
	assert_int_equal(entry(1, 0)->ecx & (1u << 26 | 1u << 28 | 1u << 12 | 1u << 29), 0);
	assert_int_equal(entry(7, 0)->ebx & 1u << 5, 0);
	e = entry(0xd, 0);
	assert_int_equal(e->eax | e->ebx | e->ecx | e->edx, 0);
}

static void test_compacted_alignment(void **state)
{
	/* A component of 60 bytes makes the next aligned one start at a multiple of 64. */
	machine_set_cpuid(0xd, 5, 60, 832, 0, 0);
	machine_xfeatures = 0xe7;
	get_supported();
	assert_int_equal(entry(0xd, 1)->ebx, 896 + 512 + 1024);
	machine_set_cpuid(0xd, 6, 512, 896, 0, 0);
	get_supported();
	/* 576 + 256 + 60 + 512 = 1404, and up to 1408. */
	assert_int_equal(entry(0xd, 1)->ebx, 1408 + 1024);
}

static void test_unstable_tsc_is_not_promised(void **state)
{
	get_supported();
	assert_int_equal(entry(0x40000001, 0)->eax, 1 | 2 | 8 | 3 << 11 | 1u << 24);
	machine_tsc_stable = false;
	get_supported();
	assert_int_equal(entry(0x40000001, 0)->eax, 1 | 2 | 8 | 3 << 11);
	assert_int_equal(entry(0x80000007, 0)->edx, 0);
}

static void test_kvm_signature(void **state)
{
	char name[12];
	const struct kvm_cpuid_entry2 *e;

	get_supported();
	e = entry(0x40000000, 0);
	memcpy(name, &e->ebx, 4);
	memcpy(name + 4, &e->ecx, 4);
	memcpy(name + 8, &e->edx, 4);
	assert_memory_equal(name, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(e->eax, 0x40000001);
}

static void test_address_widths(void **state)
{
	get_supported();
	assert_int_equal(entry(0x80000008, 0)->eax, 0x3930);
	assert_int_equal(entry(0x80000008, 0)->ecx, 0);
	machine_set_cpuid(0x80000008, 0, 0x2e3034, 0, ALL, ALL); /* guest physical 46, of 52 */
	get_supported();
	assert_int_equal(entry(0x80000008, 0)->eax, 0x302e);
	machine_la57 = false;
	machine_set_cpuid(0x80000008, 0, 0x3934, 0, 0, 0);
	get_supported();
	assert_int_equal(entry(0x80000008, 0)->eax, 0x303934);
}

static void test_cache_topology_is_the_vmms(void **state)
{
	get_supported();
	assert_int_equal(entry(0x8000001d, 0)->eax, 0x0fffc121 & ~0x3ffc000);
	assert_int_equal(entry(0x8000001d, 1)->ebx, 4);
	/* Sub-leaf 2 has type 0: it ends the list. */
	assert_int_equal(entry(0x8000001d, 2)->eax, 0);
}

static void test_supported_size_limits(void **state)
{
	u32 need, nr;

	get_supported();
	need = nr_offered;
	for (u32 max = 0; max < need; max++) {
		struct kvm_cpuid_entry2 *exact = malloc(max * sizeof(*exact) + 1);

		nr = max;
		assert_int_equal(cpuid_supported(exact, &nr), -E2BIG);
		free(exact);
	}
	nr = need;
	assert_int_equal(cpuid_supported(offered, &nr), 0);
	assert_int_equal(nr, need);
}

static void test_real_host_can_be_set_back(void **state)
{
	struct kvm_cpuid_entry2 back[CPUID_MAX_ENTRIES];
	u32 nr = CPUID_MAX_ENTRIES;

	machine_clear_cpuid();
	get_supported();
	assert_true(nr_offered > 10);
	assert_int_equal(cpuid_set(v, offered, nr_offered), 0);
	assert_int_equal(cpuid_get(v, back, &nr), 0);
	assert_int_equal(nr, nr_offered);
	for (u32 i = 0; i < nr; i++) {
		if (back[i].function == 0xd && back[i].index < 2)
			back[i].ebx = offered[i].ebx;
		assert_memory_equal(&back[i], &offered[i], sizeof(back[i]));
	}
}

/* --- The table and the instruction. --- */

static void test_no_table_answers_zeros(void **state)
{
	expect(0, 0, 0, 0, 0, 0);
	expect(1, 0, 0, 0, 0, 0);
	expect(ALL, ALL, 0, 0, 0, 0);
}

static void test_sub_leaves(void **state)
{
	set(make(4, 0, INDEXED, 1, 2, 3, 4), make(4, 1, INDEXED, 5, 6, 7, 8),
	    make(2, 9, 0, 10, 11, 12, 13));
	expect(4, 0, 1, 2, 3, 4);
	expect(4, 1, 5, 6, 7, 8);
	expect(4, 2, 0, 0, 0, 0);
	/* Without the flag every sub-leaf is the same. */
	expect(2, 0, 10, 11, 12, 13);
	expect(2, 77, 10, 11, 12, 13);
}

static void test_first_of_duplicates_wins(void **state)
{
	set(make(2, 0, 0, 1, 1, 1, 1), make(2, 0, 0, 2, 2, 2, 2), make(4, 3, INDEXED, 3, 3, 3, 3),
	    make(4, 0, 0, 4, 4, 4, 4));
	expect(2, 0, 1, 1, 1, 1);
	expect(4, 3, 3, 3, 3, 3);
	expect(4, 2, 4, 4, 4, 4);
}

static void test_leaves_that_share_a_bucket(void **state)
{
	set(make(1 + 32, 0, 0, 1, 0, 0, 0), make(0x80000001, 0, 0, 2, 0, 0, 0),
	    make(0x80000021, 0, 0, 3, 0, 0, 0), make(0x40000001, 0, 0, 4, 0, 0, 0),
	    make(0x40000101, 0, 0, 5, 0, 0, 0), make(0xc0000001, 0, 0, 6, 0, 0, 0),
	    make(0, 0, 0, 0x21, AMD_B, AMD_C, AMD_D));
	expect(0x21, 0, 1, 0, 0, 0);
	expect(0x80000001, 0, 2, 0, 0, 0);
	expect(0x80000021, 0, 3, 0, 0, 0);
	expect(0x40000001, 0, 4, 0, 0, 0);
	expect(0x40000101, 0, 5, 0, 0, 0);
	expect(0xc0000001, 0, 6, 0, 0, 0);
	expect(0x41, 0, 0, 0, 0, 0);
	expect(0x80000041, 0, 0, 0, 0, 0);
}

static void test_amd_out_of_range_is_zero(void **state)
{
	set(make(0, 0, 0, 2, AMD_B, AMD_C, AMD_D), make(2, 0, 0, 1, 2, 3, 4),
	    make(0x80000000, 0, 0, 0x80000001, 0, 0, 0));
	expect(3, 0, 0, 0, 0, 0);
	expect(0x80000002, 0, 0, 0, 0, 0);
	expect(0x40000000, 0, 0, 0, 0, 0);
}

static void test_intel_out_of_range_is_last_basic(void **state)
{
	set(make(0, 0, 0, 4, 0x756e6547, 0x6c65746e, 0x49656e69), make(4, 0, INDEXED, 1, 2, 3, 4),
	    make(4, 1, INDEXED, 5, 6, 7, 8), make(0x80000000, 0, 0, 0x80000004, 0, 0, 0),
	    make(0x40000000, 0, 0, 0x40000001, 0, 0, 0),
	    make(0x40000100, 0, 0, 0x40000101, 0, 0, 0));
	expect(5, 0, 1, 2, 3, 4);
	expect(5, 1, 5, 6, 7, 8);
	expect(5, 2, 0, 0, 0, 0);
	expect(3, 0, 0, 0, 0, 0);		/* in range, but not there */
	expect(0x80000004, 0, 0, 0, 0, 0);
	expect(0x80000005, 0, 1, 2, 3, 4);
	expect(0x40000001, 0, 0, 0, 0, 0);
	expect(0x40000002, 0, 1, 2, 3, 4);
	expect(0x40000101, 0, 0, 0, 0, 0);
	expect(0x40000102, 0, 1, 2, 3, 4);
	expect(0xc0000000, 0, 1, 2, 3, 4);
}

static void test_missing_topology_level_keeps_the_apic_id(void **state)
{
	set(make(0, 0, 0, 0x1f, AMD_B, AMD_C, AMD_D), make(0xb, 0, INDEXED, 0, 1, 0x100, 7),
	    make(0xb, 1, INDEXED, 3, 8, 0x201, 7), make(0x1f, 0, INDEXED, 0, 1, 0x100, 9));
	expect(0xb, 5, 0, 0, 5, 7);
	expect(0xb, 0x1234, 0, 0, 0x34, 7);
	expect(0x1f, 1, 0, 0, 0, 0);
}

static void test_live_bits_follow_the_guest(void **state)
{
	set(make(1, 0, 0, 0, 0xab000800, 1u << 26 | 1u << 27, 0),
	    make(7, 0, INDEXED, 0, 0, 1u << 3 | 1u << 4, 0), make(7, 1, INDEXED, 0, 0, 1u << 4, 0));
	v->apic.present = true;
	v->apic.base = APIC_DEFAULT_BASE;
	expect(1, 0, 0, 0xab000800, 1u << 26, 0);
	expect(7, 0, 0, 0, 1u << 3, 0);
	expect(7, 1, 0, 0, 1u << 4, 0);
	VMCB(v)->s.cr4 = CR4_OSXSAVE_BIT;
	v->apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT;
	expect(1, 0, 0, 0xab000800, 1u << 26 | 1u << 27, 1u << 9);
	expect(7, 0, 0, 0, 1u << 3, 0);
	VMCB(v)->s.cr4 = CR4_PKE_BIT;
	v->apic.base = APIC_DEFAULT_BASE;
	expect(7, 0, 0, 0, 1u << 3 | 1u << 4, 0);
	expect(1, 0, 0, 0xab000800, 1u << 26, 0);
	/* The same without an APIC in the engine: the base is that of the VMM's. */
	set(make(1, 0, 0, 0, 0, 0, 1u << 9));
	v->apic.present = false;
	expect(1, 0, 0, 0, 0, 0);
	v->apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT;
	expect(1, 0, 0, 0, 0, 1u << 9);
}

static void test_live_xsave_sizes(void **state)
{
	set(make(0xd, 0, INDEXED, 0x2e7, 1, 2440, 0), make(0xd, 1, INDEXED, 2, 1, 0, 0));
	v->xcr0 = 1;
	expect(0xd, 0, 0x2e7, 576, 2440, 0);
	v->xcr0 = 7;
	expect(0xd, 0, 0x2e7, 832, 2440, 0);
	expect(0xd, 1, 2, 832, 0, 0);
	v->xcr0 = 0x207;
	expect(0xd, 0, 0x2e7, 2440, 2440, 0);
	expect(0xd, 1, 2, 840, 0, 0);
	v->msr.xss = 1 << 5;
	expect(0xd, 1, 2, 904, 0, 0);
	/* Bits of XCR0 beyond those known do not lead outside the table. */
	v->xcr0 = U64_MAX;
	expect(0xd, 0, 0x2e7, 2440, 2440, 0);
	/* Without XSAVEC and XSAVES there is no compacted size. */
	set(make(0xd, 1, INDEXED, 5, 0, 0, 0));
	expect(0xd, 1, 5, 0, 0, 0);
}

static void test_lookup(void **state)
{
	u32 a = 1, c = 0;

	set(make(1, 0, 0, 0x800f12, 1, 2, 3));
	assert_true(cpuid_lookup(v, &a, &c));
	assert_int_equal(a, 0x800f12);
	assert_int_equal(c, 2);
	a = 9;
	assert_false(cpuid_lookup(v, &a, &c));
	assert_int_equal(a, 9);
}

/* --- Set and get. --- */

static void test_set_refuses(void **state)
{
	struct kvm_cpuid_entry2 e[CPUID_MAX_ENTRIES + 1] = { };
	u32 nr = 1;

	set(make(2, 0, 0, 1, 2, 3, 4));
	assert_int_equal(cpuid_set(v, e, CPUID_MAX_ENTRIES + 1), -E2BIG);
	for (u32 virt = 0; virt < 256; virt++) {
		e[3] = make(0x80000008, 0, 0, virt << 8 | 40, 0, 0, 0);
		assert_int_equal(cpuid_set(v, e, 4),
				 virt == 48 || virt == 57 || virt == 0 ? 0 : -EINVAL);
	}
	assert_int_equal(cpuid_set(v, e, CPUID_MAX_ENTRIES), -EINVAL);
	e[3].eax = 0x3028;
	assert_int_equal(cpuid_set(v, e, CPUID_MAX_ENTRIES), 0);
	assert_int_equal(cpuid_get(v, e, &nr), -E2BIG);
	assert_int_equal(nr, CPUID_MAX_ENTRIES);
}

static void test_failed_set_changes_nothing(void **state)
{
	struct kvm_cpuid_entry2 bad = make(0x80000008, 0, 0, 0x3128, 0, 0, 0);

	set(make(2, 0, 0, 1, 2, 3, 4));
	assert_int_equal(cpuid_set(v, &bad, 1), -EINVAL);
	expect(2, 0, 1, 2, 3, 4);
}

static void test_set_again_forgets_the_old(void **state)
{
	set(make(2, 0, 0, 1, 2, 3, 4), make(3, 0, 0, 1, 2, 3, 4));
	set(make(2, 0, 0, 5, 6, 7, 8));
	expect(2, 0, 5, 6, 7, 8);
	expect(3, 0, 0, 0, 0, 0);
	assert_int_equal(cpuid_set(v, NULL, 0), 0);
	expect(2, 0, 0, 0, 0, 0);
}

static void test_get_shows_live_bits(void **state)
{
	struct kvm_cpuid_entry2 e[2];
	u32 nr = 2;

	set(make(1, 0, 0, 0, 0, 0, 0), make(4, 3, INDEXED, 1, 2, 3, 4));
	VMCB(v)->s.cr4 = CR4_OSXSAVE_BIT;
	memset(e, 0x55, sizeof(e));
	assert_int_equal(cpuid_get(v, e, &nr), 0);
	assert_int_equal(nr, 2);
	assert_int_equal(e[0].ecx, 1u << 27);
	assert_int_equal(e[1].index, 3);
	assert_int_equal(e[1].flags, INDEXED);
	assert_int_equal(e[1].padding[0] | e[1].padding[1] | e[1].padding[2], 0);
}

static void test_frozen_takes_only_the_same(void **state)
{
	struct kvm_cpuid_entry2 e[2] = { make(1, 0, 0, 0, 0, 0, 0), make(2, 0, 0, 1, 2, 3, 4) };
	u32 nr = 2;

	assert_int_equal(cpuid_set(v, e, 2), 0);
	VMCB(v)->s.cr4 = CR4_OSXSAVE_BIT;
	cpuid_freeze(&v->cpuid);
	assert_int_equal(cpuid_set(v, e, 2), 0);
	assert_int_equal(cpuid_get(v, e, &nr), 0);
	assert_int_equal(cpuid_set(v, e, 2), 0);	/* what was read, OSXSAVE included */
	assert_int_equal(cpuid_set(v, e, 1), -EINVAL);
	e[1].ebx++;
	assert_int_equal(cpuid_set(v, e, 2), -EINVAL);
	expect(2, 0, 1, 2, 3, 4);
}

/* --- What is derived. --- */

static void test_derived_from_full_table(void **state)
{
	const struct cpuid_state *s = &v->cpuid;

	get_supported();
	assert_int_equal(cpuid_set(v, offered, nr_offered), 0);
	assert_int_equal(s->cr4_allowed, 0x771fff);
	assert_int_equal(s->efer_allowed, EFER_SCE_BIT | EFER_LME_BIT | EFER_LMA_BIT |
						  EFER_NXE_BIT | EFER_FFXSR_BIT);
	assert_int_equal(s->xcr0_allowed, 0x2e7);
	assert_int_equal(s->maxphyaddr, 48);
	assert_true(s->has_rdtscp && s->has_x2apic && s->has_nx && s->has_rdpid && s->has_invpcid);
	assert_true(s->has_spec_ctrl && s->has_ibpb);
	assert_false(s->has_xsaves);
	assert_false(s->has_tsc_deadline);	/* the VMM adds it, by the capability */
	assert_int_equal(s->kvm_features, 1 | 2 | 8 | 3 << 11 | 1u << 24);
}

static void test_derived_from_small_table(void **state)
{
	const struct cpuid_state *s = &v->cpuid;

	set(make(0, 0, 0, 1, AMD_B, AMD_C, AMD_D), make(1, 0, 0, 0, 0, 1u << 24, 0));
	assert_int_equal(s->cr4_allowed, 0x7ff);
	assert_int_equal(s->efer_allowed, EFER_SCE_BIT);
	assert_int_equal(s->xcr0_allowed, 1);
	assert_int_equal(s->maxphyaddr, 36);
	assert_true(s->has_tsc_deadline);
	assert_false(s->has_x2apic || s->has_rdtscp || s->has_nx || s->has_spec_ctrl ||
		     s->has_ibpb);
	assert_int_equal(s->kvm_features, 0);
}

static void test_derived_without_table(void **state)
{
	cpuid_init(v);
	assert_true(v->cpuid.cr4_allowed & CR4_LA57_BIT);
	assert_true(v->cpuid.efer_allowed & EFER_LME_BIT);
	assert_int_equal(v->cpuid.xcr0_allowed, 0x2e7);
	assert_int_equal(v->cpuid.maxphyaddr, 36);
	assert_int_equal(v->cpuid.kvm_features, 0);
}

static void test_invented_bits_do_not_count(void **state)
{
	machine_set_cpuid(7, 0, 0, 0, 0, 0);
	machine_set_cpuid(1, 0, 0, 0, 0, 0);
	machine_set_cpuid(0x80000001, 0, 0, 0, 0, 0);
	machine_set_cpuid(0x80000008, 0, 0x3030, 0, 0, 0);
	machine_xfeatures = 3;
	set(make(1, 0, 0, ALL, ALL, ALL, ALL), make(7, 0, INDEXED, ALL, ALL, ALL, ALL),
	    make(0xd, 0, INDEXED, ALL, ALL, ALL, ALL), make(0xd, 1, INDEXED, ALL, ALL, ALL, ALL),
	    make(0x80000000, 0, 0, 0x80000008, 0, 0, 0), make(0x80000001, 0, 0, ALL, ALL, ALL, ALL),
	    make(0x80000008, 0, 0, 0x30ff, ALL, ALL, ALL));
	assert_int_equal(v->cpuid.cr4_allowed, 0x7ff);
	assert_int_equal(v->cpuid.efer_allowed, EFER_SCE_BIT);
	assert_int_equal(v->cpuid.xcr0_allowed, 3);
	assert_int_equal(v->cpuid.maxphyaddr, 52);
	assert_false(v->cpuid.has_xsaves || v->cpuid.has_spec_ctrl ||
		     v->cpuid.has_rdtscp);
	assert_true(v->cpuid.has_x2apic && v->cpuid.has_tsc_deadline);
}

static void test_maxphyaddr_needs_the_range(void **state)
{
	set(make(0x80000008, 0, 0, 0x302e, 0, 0, 0));
	assert_int_equal(v->cpuid.maxphyaddr, 36);
	set(make(0x80000000, 0, 0, 0x80000007, 0, 0, 0), make(0x80000008, 0, 0, 0x302e, 0, 0, 0));
	assert_int_equal(v->cpuid.maxphyaddr, 36);
	set(make(0x80000000, 0, 0, 0x80000008, 0, 0, 0), make(0x80000008, 0, 0, 0x302e, 0, 0, 0));
	assert_int_equal(v->cpuid.maxphyaddr, 46);
}

static void test_kvm_leaves_may_move_up(void **state)
{
	set(make(0x40000000, 0, 0, 0x40000005, 0x7263694d, 0x666f736f, 0x76482074),
	    make(0x40000100, 0, 0, 0x40000101, 0x4b4d564b, 0x564b4d56, 0x4d),
	    make(0x40000001, 0, 0, 0x31237648, 0, 0, 0), make(0x40000101, 0, 0, 0x80, 0, 0, 0));
	assert_int_equal(v->cpuid.kvm_features, 0x80);
	set(make(0x40000001, 0, 0, 0x80, 0, 0, 0));
	assert_int_equal(v->cpuid.kvm_features, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_offers_only_listed_bits),
		TEST(test_offers_zeros_for_what_is_not_virtual),
		TEST(test_emulated_bits_need_no_host),
		TEST(test_old_host_has_no_leaf_7),
		TEST(test_xsave_follows_the_host_fpu),
		TEST(test_compacted_alignment),
		TEST(test_unstable_tsc_is_not_promised),
		TEST(test_kvm_signature),
		TEST(test_address_widths),
		TEST(test_cache_topology_is_the_vmms),
		TEST(test_supported_size_limits),
		TEST(test_real_host_can_be_set_back),
		TEST(test_no_table_answers_zeros),
		TEST(test_sub_leaves),
		TEST(test_first_of_duplicates_wins),
		TEST(test_leaves_that_share_a_bucket),
		TEST(test_amd_out_of_range_is_zero),
		TEST(test_intel_out_of_range_is_last_basic),
		TEST(test_missing_topology_level_keeps_the_apic_id),
		TEST(test_live_bits_follow_the_guest),
		TEST(test_live_xsave_sizes),
		TEST(test_lookup),
		TEST(test_set_refuses),
		TEST(test_failed_set_changes_nothing),
		TEST(test_set_again_forgets_the_old),
		TEST(test_get_shows_live_bits),
		TEST(test_frozen_takes_only_the_same),
		TEST(test_derived_from_full_table),
		TEST(test_derived_from_small_table),
		TEST(test_derived_without_table),
		TEST(test_invented_bits_do_not_count),
		TEST(test_maxphyaddr_needs_the_range),
		TEST(test_kvm_leaves_may_move_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
