// SPDX-License-Identifier: GPL-2.0
/*
 * msr.c: for every register the values that a guest may write and those that raise #GP; what the VMM
 * may do besides; time; and the lists that VMMs save and restore by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "whole.h"

#define GP	1
#define GUEST	false
#define HOST	true

static struct machine *m;
static struct vcpu *v;

static int setup(void **state)
{
	m = whole_create(1 << 20, true);
	v = vm_vcpu(&m->vm, 0);
	return 0;
}

static int setup_no_apic(void **state)
{
	m = whole_create(1 << 20, false);
	v = vm_vcpu(&m->vm, 0);
	return 0;
}

static int teardown(void **state)
{
	whole_free(m);
	return 0;
}

static u64 get(u32 msr, bool host)
{
	u64 value = 0x5555555555555555ull;

	if (msr_read(v, msr, &value, host))
		fail_msg("MSR %x cannot be read by the %s", msr, host ? "VMM" : "guest");
	return value;
}

#define set(msr, value, host)	msr_write(v, msr, value, host)
#define takes(msr, value)	assert_int_equal(msr_write(v, msr, value, GUEST), 0)
#define refuses(msr, value)	assert_int_equal(msr_write(v, msr, value, GUEST), GP)

static void stores(u32 msr, u64 value)
{
	takes(msr, value);
	assert_int_equal(get(msr, GUEST), value);
}

static void test_unknown_registers_raise_gp(void **state)
{
	static const u32 unknown[] = {
		0, 1, 0xe7, 0xe8, 0x345, 0x38f, 0x480, 0x491, 0x560, 0x1fff, 0x2000, 0x40000000,
		0x40000073, 0x4b564d09, 0x4b564d07, 0xbfffffff, 0xc0000085, 0xc00000e9, 0xc0001fff,
		0xc0010200, 0xc0010130, 0xc0011fff, 0xffffffff,
	};
	u64 value;

	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(msr_read(v, unknown[i], &value, GUEST), GP);
		refuses(unknown[i], 0);
		assert_int_equal(set(unknown[i], 0, HOST), GP);
	}
}

static void test_addresses_must_be_canonical(void **state)
{
	static const u32 addresses[] = {
		0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
		stores(addresses[i], 0x00007fffffffffffull);
		stores(addresses[i], 0xffff800000000000ull);
		refuses(addresses[i], 0x0000800000000000ull);
		refuses(addresses[i], 0xffff7fffffffffffull);
		refuses(addresses[i], 1ull << 63);
		assert_int_equal(set(addresses[i], 1ull << 63, HOST), GP);
		assert_int_equal(get(addresses[i], GUEST), 0xffff800000000000ull);
		VMCB(v)->s.cr4 |= CR4_LA57_BIT;
		stores(addresses[i], 0x00ffffffffffffffull);
		refuses(addresses[i], 0x0100000000000000ull);
		VMCB(v)->s.cr4 &= ~CR4_LA57_BIT;
	}
}

static void test_system_call_registers_are_the_vmcbs(void **state)
{
	stores(0xc0000081, 0x0023001000000000ull);
	stores(0xc0000084, 0x47700);
	stores(0x174, 0x10);
	assert_int_equal(VMCB(v)->s.star, 0x0023001000000000ull);
	assert_int_equal(VMCB(v)->s.sfmask, 0x47700);
	assert_int_equal(VMCB(v)->s.sysenter_cs, 0x10);
}

static void test_efer_rules(void **state)
{
	stores(0xc0000080, EFER_SCE_BIT | EFER_NXE_BIT | EFER_LME_BIT);
	refuses(0xc0000080, EFER_SVME_BIT);
	refuses(0xc0000080, 1ull << 1);
	refuses(0xc0000080, 1ull << 63);
	assert_true(VMCB(v)->s.efer & EFER_SVME_BIT);
	assert_false(get(0xc0000080, GUEST) & EFER_SVME_BIT);
	/* LMA follows CR0.PG; writes of it are ignored. */
	takes(0xc0000080, EFER_LME_BIT | EFER_LMA_BIT);
	assert_int_equal(get(0xc0000080, GUEST), EFER_LME_BIT);
	/* LME is fixed while paging is on. */
	VMCB(v)->s.cr0 |= CR0_PE_BIT | CR0_PG_BIT;
	VMCB(v)->s.cr4 |= CR4_PAE_BIT;
	VMCB(v)->s.efer |= EFER_LMA_BIT;
	refuses(0xc0000080, 0);
	takes(0xc0000080, EFER_LME_BIT);
	assert_int_equal(get(0xc0000080, GUEST), EFER_LME_BIT | EFER_LMA_BIT);
	v->requests = 0;
	takes(0xc0000080, EFER_LME_BIT | EFER_LMA_BIT | EFER_NXE_BIT);
	assert_true(v->requests & 1ull << REQ_TLB_FLUSH);
	assert_int_equal(set(0xc0000080, EFER_SVME_BIT, HOST), GP);
}

static void test_efer_bits_need_their_cpuid(void **state)
{
	struct kvm_cpuid_entry2 none = { .function = 0 };

	assert_int_equal(cpuid_set(v, &none, 1), 0);
	refuses(0xc0000080, EFER_NXE_BIT);
	refuses(0xc0000080, EFER_LME_BIT);
	refuses(0xc0000080, EFER_FFXSR_BIT);
	assert_int_equal(set(0xc0000080, EFER_LME_BIT, HOST), GP);
	takes(0xc0000080, EFER_SCE_BIT);
}

static void test_pat_types(void **state)
{
	static const u8 good[] = { 0, 1, 4, 5, 6, 7 };

	assert_int_equal(get(0x277, GUEST), 0x0007040600070406ull);
	for (unsigned int slot = 0; slot < 8; slot++) {
		for (unsigned int type = 0; type < 256; type++) {
			bool ok = memchr(good, type, sizeof(good));

			assert_int_equal(set(0x277, (u64)type << (8 * slot), GUEST), ok ? 0 : GP);
			assert_null(machine_vmcb_problem(v));
		}
	}
}

static void test_mtrr_types_and_reserved_bits(void **state)
{
	static const u32 fixed[] = {
		0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++) {
		stores(fixed[i], 0x0606060606060606ull);
		stores(fixed[i], 0x0001040506000104ull);
		refuses(fixed[i], 0x0206060606060606ull);
		refuses(fixed[i], 0x0606060606060607ull);
		refuses(fixed[i], 0x0606ff0606060606ull);
		assert_int_equal(get(fixed[i], GUEST), 0x0001040506000104ull);
	}
	stores(0x2ff, 0xc06);
	refuses(0x2ff, 0xc02);
	refuses(0x2ff, 0xc06 | 1u << 8);
	refuses(0x2ff, 0xc06 | 1u << 12);
	for (u32 i = 0x200; i < 0x210; i += 2) {
		stores(i, 0xc0000006);
		stores(i + 1, 0xffffc0000800ull);
		refuses(i, 0xc0000007);
		refuses(i, 0xc0000106);
		refuses(i, 1ull << 48);
		refuses(i + 1, 0x400);
		refuses(i + 1, 1ull << 48);
	}
	assert_int_equal(get(0xfe, GUEST) & 0xff, 8);
	refuses(0xfe, 0);
	refuses(0x210, 0);
	refuses(0x251, 0);
}

static void test_mtrrs_do_not_alias(void **state)
{
	for (u32 i = 0x200; i < 0x210; i++)
		takes(i, (u64)(i - 0x1ff) << 12);
	for (u32 i = 0x268; i < 0x270; i++)
		takes(i, i & 1 ? 0x06 : 0x0600);
	takes(0x250, 0x04);
	takes(0x258, 0x0400);
	takes(0x259, 0x040000);
	for (u32 i = 0x200; i < 0x210; i++)
		assert_int_equal(get(i, GUEST), (u64)(i - 0x1ff) << 12);
	for (u32 i = 0x268; i < 0x270; i++)
		assert_int_equal(get(i, GUEST), i & 1 ? 0x06 : 0x0600);
	assert_int_equal(get(0x250, GUEST), 0x04);
	assert_int_equal(get(0x258, GUEST), 0x0400);
	assert_int_equal(get(0x259, GUEST), 0x040000);
}

static void test_mce_setup_is_checked(void **state)
{
	assert_int_equal(msr_setup_mce(v, 0), -EINVAL);
	assert_int_equal(msr_setup_mce(v, MCE_MAX_BANKS + 1), -EINVAL);
	assert_int_equal(msr_setup_mce(v, 0xff), -EINVAL);
	assert_int_equal(msr_setup_mce(v, 10 | 1ull << 9), -EINVAL);
	assert_int_equal(msr_setup_mce(v, 10 | 1ull << 63), -EINVAL);
	assert_int_equal(msr_setup_mce(v, MCE_MAX_BANKS), 0);
	assert_int_equal(msr_setup_mce(v, 10 | 1ull << 8 | 1ull << 24), 0);
	assert_int_equal(get(0x179, GUEST), 10 | 1ull << 8 | 1ull << 24);
	assert_int_equal(get(0x17b, GUEST), ~0ull);
}

static void test_mce_banks(void **state)
{
	u64 value;

	assert_int_equal(msr_setup_mce(v, 10 | 1ull << 8), 0);
	for (u32 bank = 0; bank < 10; bank++) {
		u32 ctl = 0x400 + 4 * bank;

		assert_int_equal(get(ctl, GUEST), ~0ull);
		stores(ctl, 0);
		stores(ctl, ~0ull);
		stores(ctl, ~(1ull << 10));	/* Linux switches off one report of AMD's bank 4 */
		refuses(ctl, 0x1234);
		stores(ctl + 1, 0);
		refuses(ctl + 1, 1);
		assert_int_equal(set(ctl + 1, 1ull << 63, HOST), 0);
		stores(ctl + 2, 0x1234 + bank);
		stores(ctl + 3, 0x5678 + bank);
	}
	assert_int_equal(msr_read(v, 0x428, &value, GUEST), GP);
	refuses(0x428, 0);
	refuses(0x47f, 0);
	refuses(0x480, 0);
	/* HWCR.McStatusWrEn */
	takes(0xc0010015, 1ull << 18);
	stores(0x401, 1);
	stores(0x17a, 7);
	refuses(0x17a, 8);
	stores(0x17b, 0);
	refuses(0x17b, 5);
	refuses(0x179, 0);
}

static void test_mcg_ctl_exists_only_with_its_capability(void **state)
{
	u64 value;

	assert_int_equal(msr_setup_mce(v, 10), 0);
	assert_int_equal(msr_read(v, 0x17b, &value, GUEST), GP);
	refuses(0x17b, 0);
	assert_int_equal(set(0x17b, ~0ull, HOST), 0);
}

/* --- Time. --- */

static void test_tsc_runs_and_takes_values(void **state)
{
	u64 before;

	takes(0x10, 5000);
	assert_int_equal(get(0x10, GUEST), 5000);
	machine_now_ns += 1000;
	assert_int_equal(get(0x10, GUEST), 5000 + 2000);
	assert_int_equal(VMCB(v)->c.tsc_offset, (u64)v->msr.tsc_offset);
	before = get(0x10, GUEST);
	takes(0x3b, get(0x3b, GUEST) + 12345);
	assert_int_equal(get(0x10, GUEST), before + 12345);
	takes(0x3b, get(0x3b, GUEST) - 12345);
	assert_int_equal(get(0x10, GUEST), before);
}

static void test_tsc_write_of_the_guest_shows_in_tsc_adjust(void **state)
{
	u64 tsc = get(0x10, GUEST), adjust = get(0x3b, GUEST);

	takes(0x10, tsc + 1000000);
	assert_int_equal(get(0x3b, GUEST), adjust + 1000000);
	takes(0x3b, adjust);
	assert_int_equal(get(0x10, GUEST), tsc);
}

static void test_tsc_write_of_the_vmm_leaves_tsc_adjust(void **state)
{
	set(0x3b, 77, HOST);
	assert_int_equal(set(0x10, 123456789, HOST), 0);
	assert_int_equal(get(0x10, HOST), 123456789);
	assert_int_equal(get(0x3b, HOST), 77);
	/* Restoring TSC_ADJUST does not move the TSC that was restored before it. */
	assert_int_equal(set(0x3b, 99, HOST), 0);
	assert_int_equal(get(0x10, HOST), 123456789);
}

static void test_tscs_that_the_vmm_writes_one_after_the_other_are_one_time(void **state)
{
	struct vcpu *other = whole_add_vcpu(m, 1);

	assert_int_equal(msr_write(v, 0x10, 1000000, HOST), 0);
	machine_now_ns += 300000;
	/* The VMM means the same moment. */
	assert_int_equal(msr_write(other, 0x10, 1000000, HOST), 0);
	assert_int_equal(other->msr.tsc_offset, v->msr.tsc_offset);
	machine_now_ns += 300000;
	assert_int_equal(msr_guest_tsc(other), msr_guest_tsc(v));
	/* An hour apart is meant. */
	assert_int_equal(msr_write(other, 0x10, 3600 * MACHINE_TSC_KHZ * 1000, HOST), 0);
	assert_int_equal(msr_guest_tsc(other), 3600 * MACHINE_TSC_KHZ * 1000);
	assert_int_not_equal(other->msr.tsc_offset, v->msr.tsc_offset);
	/* A vCPU that is added later gets 0 from the VMM, and the time of the others. */
	assert_int_equal(msr_write(v, 0x10, 0, HOST), 0);
	assert_int_equal(other->msr.tsc_offset, v->msr.tsc_offset);
}

static void test_tscs_are_one_time_from_the_start(void **state)
{
	struct vcpu *other;

	machine_now_ns += 300000;
	other = whole_add_vcpu(m, 1);
	assert_int_equal(other->msr.tsc_offset, v->msr.tsc_offset);
	assert_int_equal(msr_guest_tsc(other), 300 * MACHINE_TSC_KHZ / 1000);
}

static void test_smi_count_is_the_vmms_to_write(void **state)
{
	assert_int_equal(msr_write(v, 0x34, 7, HOST), 0);
	assert_int_equal(msr_write(v, 0x34, 8, GUEST), 1);
	assert_int_equal(v->msr.smi_count, 7);
}

static void test_tsc_values_at_the_ends_do_not_overflow(void **state)
{
	static const u64 values[] = {
		0, 1, 1ull << 62, S64_MAX, 1ull << 63, 5ull << 61, ~0ull
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
		for (unsigned int k = 0; k < ARRAY_SIZE(values); k++) {
			assert_int_equal(set(0x10, values[i], HOST), 0);
			assert_int_equal(set(0x10, values[k], HOST), 0);
			assert_int_equal(set(0x10, values[i], GUEST), 0);
			assert_int_equal(set(0x3b, values[k], i & 1), 0);
		}
}

static void test_tsc_deadline_needs_its_cpuid(void **state)
{
	u32 lvt = 2u << 17 | 0x40;

	v->cpuid.has_tsc_deadline = false;
	refuses(0x6e0, 1);
	v->cpuid.has_tsc_deadline = true;
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_LVT_TIMER, 4, &lvt);
	takes(0x6e0, get(0x10, GUEST) + 10000000);
	assert_int_not_equal(get(0x6e0, GUEST), 0);
	takes(0x6e0, 0);
	assert_int_equal(get(0x6e0, GUEST), 0);
}

static void test_tsc_aux_is_32_bits_wide(void **state)
{
	stores(0xc0000103, 0xffffffff);
	refuses(0xc0000103, 1ull << 32);
	v->cpuid.has_rdtscp = v->cpuid.has_rdpid = false;
	refuses(0xc0000103, 1);
	assert_int_equal(set(0xc0000103, 1, HOST), 0);
}

/* --- Speculation control. --- */

static bool spec_ctrl_passed(void)
{
	return !(((u8 *)v->hw.msrpm)[0x48 / 4] & 3);
}

static void test_spec_ctrl_passes_after_the_first_use(void **state)
{
	assert_false(spec_ctrl_passed());
	takes(0x48, 0);
	assert_false(spec_ctrl_passed());
	stores(0x48, 1);
	assert_true(spec_ctrl_passed() && v->hw.spec_ctrl_passed);
	refuses(0x48, 8);
	refuses(0x48, 1ull << 32);
}

/* What is stored is loaded into the host's register around the entry: a bit it lacks would fault there. */
static void test_spec_ctrl_takes_no_bit_that_the_host_lacks(void **state)
{
	machine_spec_ctrl_bits = 1;
	takes(0x48, 1);
	refuses(0x48, 2);
	refuses(0x48, 4);
	assert_int_equal(set(0x48, 4, HOST), GP);
}

/* V_SPEC_CTRL: the CPU switches it from and to the VMCB. */
static void test_spec_ctrl_is_in_the_vmcb_where_the_cpu_switches_it(void **state)
{
	svm.v_spec_ctrl = true;
	stores(0x48, 5);
	assert_int_equal(VMCB(v)->s.spec_ctrl, 5);
	vcpu_reset(v, false);
	assert_int_equal(VMCB(v)->s.spec_ctrl, 0);
	assert_int_equal(get(0x48, GUEST), 0);
}

static void test_speculation_registers_need_their_cpuid(void **state)
{
	u64 value;

	machine_clear_cpuid();
	whole_host_cpuid(0);
	whole_give_cpuid(v);
	assert_int_equal(msr_read(v, 0x48, &value, GUEST), GP);
	refuses(0x48, 0);
	refuses(0x49, 1);
	assert_int_equal(msr_read(v, 0xc001011f, &value, GUEST), GP);
	refuses(0xc001011f, 0);
}

static void test_pred_cmd_is_write_only(void **state)
{
	u64 value;

	takes(0x49, 0);
	takes(0x49, 1);
	refuses(0x49, 2);
	assert_int_equal(msr_read(v, 0x49, &value, GUEST), GP);
}

/* A reset that takes SPEC_CTRL away from the guest has to intercept it again. */
static void test_power_up_reset_intercepts_spec_ctrl_again(void **state)
{
	takes(0x48, 1);
	assert_true(spec_ctrl_passed());
	vcpu_reset(v, false);
	assert_int_equal(v->hw.spec_ctrl, 0);
	assert_int_equal(!spec_ctrl_passed(), !v->hw.spec_ctrl_passed);
}

static void test_msr_permission_map_passes_only_what_the_vmcb_switches(void **state)
{
	static const u32 passed[] = {
		0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
		0xc0000101, 0xc0000102,
	};
	u8 expected[8192];

	memset(expected, 0xff, sizeof(expected));
	for (unsigned int i = 0; i < ARRAY_SIZE(passed); i++) {
		u32 n = passed[i] < 0x2000 ? passed[i] : passed[i] - 0xc0000000u + 0x2000;

		expected[n / 4] &= ~(3u << (n % 4 * 2));
	}
	assert_memory_equal(v->hw.msrpm, expected, sizeof(expected));
}

/* --- The rest. --- */

static void test_apic_base(void **state)
{
	assert_int_equal(get(0x1b, GUEST), APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | APIC_BASE_BSP_BIT);
	refuses(0x1b, 1);
	refuses(0x1b, APIC_DEFAULT_BASE | APIC_BASE_X2APIC_BIT);
	takes(0x1b, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | APIC_BASE_BSP_BIT | APIC_BASE_X2APIC_BIT);
	assert_int_equal(get(0x802, GUEST), 0);
}

static void test_x2apic_range_needs_x2apic_mode(void **state)
{
	u64 value;

	for (u32 i = 0x800; i < 0x900; i++) {
		assert_int_equal(msr_read(v, i, &value, GUEST), GP);
		refuses(i, 0);
	}
}

static void test_without_an_apic_only_its_base_exists(void **state)
{
	u64 value;

	assert_int_equal(get(0x1b, GUEST), APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | APIC_BASE_BSP_BIT);
	takes(0x1b, APIC_DEFAULT_BASE | APIC_BASE_BSP_BIT);
	takes(0x1b, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT);
	refuses(0x1b, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | APIC_BASE_X2APIC_BIT);
	assert_int_equal(msr_read(v, 0x802, &value, GUEST), GP);
	refuses(0x80b, 0);
	assert_int_equal(set(0x6e0, 0, HOST), 0);
}

static void test_registers_for_the_vmm_only(void **state)
{
	u64 value;

	assert_int_equal(set(0x3a, 5, HOST), 0);
	assert_int_equal(get(0x3a, HOST), 5);
	assert_int_equal(msr_read(v, 0x3a, &value, GUEST), GP);
	refuses(0x3a, 0);
	assert_int_equal(set(0x10a, 0x2b, HOST), 0);
	assert_int_equal(msr_read(v, 0x10a, &value, GUEST), GP);
	refuses(0x10a, 0);
	/* The patch level: a guest's write is ignored, as a loader expects of an old patch. */
	assert_int_equal(set(0x8b, 0x01020304, HOST), 0);
	takes(0x8b, 0xdead);
	assert_int_equal(get(0x8b, GUEST), 0x01020304);
}

static void test_storage_with_reserved_bits(void **state)
{
	stores(0x1a0, 1 | 1u << 11 | 1u << 12);
	refuses(0x1a0, 2);
	stores(0xc0010015, 1ull << 24);
	refuses(0xc0010015, 1);
	stores(0xc0011029, 2);
	refuses(0xc0011029, 1);
	stores(0x1d9, 2);
	refuses(0x1d9, 4);
	refuses(0x1d9, 1ull << 32);
	refuses(0xda0, 1);
}

static void test_read_only_registers(void **state)
{
	assert_true(get(0xc0010114, GUEST) & 1u << 4);	/* VM_CR.SVMDIS */
	refuses(0xc0010114, 0);
	refuses(0x198, 0);
	refuses(0xc0010063, 0);
}

static void test_probed_registers_read_zero(void **state)
{
	static const u32 probed[] = {
		0x17, 0x2a, 0xc0010010, 0xc001001f, 0xc0010055, 0xc0010058, 0xc0010112, 0xc0010113,
		0xc0010117, 0xc0010140, 0xc0010141, 0xc0010000, 0xc0010007, 0x1db, 0x1de,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(probed); i++)
		assert_int_equal(get(probed[i], GUEST), 0);
	/* A counter that would not count is refused rather than pretended. */
	refuses(0xc0010000, 0x530076);
	takes(0xc0010000, 0);
}

static void test_reset_keeps_frequency_and_restarts_time(void **state)
{
	v->msr.tsc_khz = 1234567;
	takes(0x200, 0x1006);
	msr_reset(v);
	assert_int_equal(v->msr.tsc_khz, 1234567);
	assert_int_equal(get(0x200, GUEST), 0);
	assert_int_equal(get(0x10, GUEST), 0);
	assert_int_equal(get(0x1a0, GUEST), 1);
}

/* --- What VMMs do. --- */

/* QEMU 7.2 stops if one of these cannot be written in its KVM_SET_MSRS. */
static void test_qemus_registers_can_all_be_written(void **state)
{
	static const u32 single[] = {
		0x174, 0x175, 0x176, 0x277, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
		0x10, 0x1a0, 0x1b, 0x3b, 0x6e0, 0x8b, 0x10a, 0x2ff, 0x250, 0x258, 0x259, 0x17a, 0x17b,
		0x34, 0xc0010117, 0xc001011f, 0x48, 0xc0000103, 0xc0000080, 0x11, 0x12, 0x4b564d00,
		0x4b564d01, 0x4b564d05,
	};
	static const struct { u32 first, last; } ranges[] = {
		{ 0x268, 0x26f }, { 0x200, 0x20f }, { 0x400, 0x427 },
	};

	assert_int_equal(msr_setup_mce(v, 10 | 1ull << 8 | 1ull << 24), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(single); i++) {
		u64 value = get(single[i], HOST);

		if (set(single[i], value, HOST))
			fail_msg("MSR %x cannot be written back", single[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		for (u32 k = ranges[i].first; k <= ranges[i].last; k++)
			if (set(k, 0, HOST) || set(k, get(k, HOST), HOST))
				fail_msg("MSR %x cannot be written", k);
}

static void test_listed_registers_can_be_saved_and_restored(void **state)
{
	u32 nr;
	const u32 *list = msr_index_list(&nr);

	assert_true(nr > 20);
	for (u32 i = 0; i < nr; i++) {
		u64 value = get(list[i], HOST);

		if (set(list[i], value, HOST))
			fail_msg("MSR %x cannot be written back", list[i]);
		for (u32 k = 0; k < i; k++)
			assert_int_not_equal(list[i], list[k]);
	}
}

static void test_listed_registers_can_be_restored_without_an_apic(void **state)
{
	u32 nr;
	const u32 *list = msr_index_list(&nr);

	for (u32 i = 0; i < nr; i++) {
		u64 value;

		/* The API lets a VMM skip a register that it could not read. */
		if (!msr_read(v, list[i], &value, HOST) && set(list[i], value, HOST) && list[i] != 0x1b)
			fail_msg("MSR %x cannot be written back", list[i]);
	}
}

static void test_feature_registers(void **state)
{
	u32 nr;
	const u32 *list = msr_feature_list(&nr);
	u64 value;

	assert_true(nr);
	for (u32 i = 0; i < nr; i++) {
		value = 0x5555;
		assert_int_equal(msr_read_feature(list[i], &value), 0);
		assert_int_not_equal(value, 0x5555);
	}
	assert_int_equal(msr_read_feature(0x10, &value), GP);
	assert_int_equal(msr_read_feature(0xffffffff, &value), GP);
}

/* Whatever a VMM may write it can read back; nothing is left of the buffer's old contents. */
static void test_every_index_is_answered_or_refused(void **state)
{
	static const struct { u32 first, last; } ranges[] = {
		{ 0, 0x1fff }, { 0x4b564cf0, 0x4b564d20 }, { 0xc0000000, 0xc00020ff }, { 0xc0010000, 0xc0011fff },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		for (u32 k = ranges[i].first; k <= ranges[i].last; k++) {
			u64 value = 0x5a5a5a5a5a5a5a5aull;

			if (!msr_read(v, k, &value, GUEST))
				assert_int_not_equal(value, 0x5a5a5a5a5a5a5a5aull);
			set(k, 0x5a5a5a5a5a5a5a5aull, GUEST);
			set(k, ~0ull, GUEST);
		}
	assert_null(machine_vmcb_problem(v));
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(unknown_registers_raise_gp),
		CASE(addresses_must_be_canonical),
		CASE(system_call_registers_are_the_vmcbs),
		CASE(efer_rules),
		CASE(efer_bits_need_their_cpuid),
		CASE(pat_types),
		CASE(mtrr_types_and_reserved_bits),
		CASE(mtrrs_do_not_alias),
		CASE(mce_setup_is_checked),
		CASE(mce_banks),
		CASE(mcg_ctl_exists_only_with_its_capability),
		CASE(tsc_runs_and_takes_values),
		CASE(tsc_write_of_the_guest_shows_in_tsc_adjust),
		CASE(tsc_write_of_the_vmm_leaves_tsc_adjust),
		CASE(tscs_that_the_vmm_writes_one_after_the_other_are_one_time),
		CASE(tscs_are_one_time_from_the_start),
		CASE(tsc_values_at_the_ends_do_not_overflow),
		CASE(smi_count_is_the_vmms_to_write),
		CASE(tsc_deadline_needs_its_cpuid),
		CASE(tsc_aux_is_32_bits_wide),
		CASE(spec_ctrl_passes_after_the_first_use),
		CASE(spec_ctrl_takes_no_bit_that_the_host_lacks),
		CASE(spec_ctrl_is_in_the_vmcb_where_the_cpu_switches_it),
		CASE(speculation_registers_need_their_cpuid),
		CASE(pred_cmd_is_write_only),
		CASE(power_up_reset_intercepts_spec_ctrl_again),
		CASE(msr_permission_map_passes_only_what_the_vmcb_switches),
		CASE(apic_base),
		CASE(x2apic_range_needs_x2apic_mode),
		cmocka_unit_test_setup_teardown(test_without_an_apic_only_its_base_exists, setup_no_apic,
						teardown),
		CASE(registers_for_the_vmm_only),
		CASE(storage_with_reserved_bits),
		CASE(read_only_registers),
		CASE(probed_registers_read_zero),
		CASE(reset_keeps_frequency_and_restarts_time),
		CASE(qemus_registers_can_all_be_written),
		CASE(listed_registers_can_be_saved_and_restored),
		cmocka_unit_test_setup_teardown(test_listed_registers_can_be_restored_without_an_apic,
						setup_no_apic, teardown),
		CASE(feature_registers),
		CASE(every_index_is_answered_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
