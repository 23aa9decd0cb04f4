// SPDX-License-Identifier: GPL-2.0
/*
 * state.c: what a VMM sets it gets back, what no CPU can have is refused, and a refused call changes
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "whole.h"

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

static void nothing(struct vcpu *v)
{
}

static void assert_enters(void)
{
	whole_enter(v, nothing);
	assert_int_not_equal(v->hw.exit_code, (u32)SVM_EXIT_ERR);
}

/* --- Registers after power-up (APM vol. 2, table 14-1). --- */

static void test_power_up_state(void **state)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	state_get_regs(v, &r);
	state_get_sregs(v, &s);
	assert_int_equal(r.rip, 0xfff0);
	assert_int_equal(r.rflags, 2);
	assert_true(r.rdx);
	assert_int_equal(r.rax | r.rbx | r.rcx | r.rsp, 0);
	assert_int_equal(s.cs.selector, 0xf000);
	assert_int_equal(s.cs.base, 0xffff0000);
	assert_int_equal(s.cs.limit, 0xffff);
	assert_int_equal(s.cr4 | s.cr3 | s.cr2 | s.efer, 0);
	assert_int_equal(s.gdt.limit, 0xffff);
	assert_int_equal(s.idt.limit, 0xffff);
	assert_true(s.tr.present && s.tr.type == 11);
	assert_enters();
}

static void test_power_up_cr0_has_caches_off(void **state)
{
	struct kvm_sregs s;

	state_get_sregs(v, &s);
	assert_int_equal(s.cr0, 0x60000010);
}

static void test_power_up_state_of_debug_registers(void **state)
{
	struct kvm_debugregs d;

	state_get_debugregs(v, &d);
	assert_int_equal(d.dr6, 0xffff0ff0);
	assert_int_equal(d.dr7, 0x400);
}

/* --- KVM_GET/SET_REGS. --- */

static void test_regs_round_trip(void **state)
{
	struct kvm_regs in, out;
	u64 *r = (u64 *)&in;

	for (unsigned int i = 0; i < sizeof(in) / 8; i++)
		r[i] = 0x1122334455667700ull + i;
	in.rflags = 0x246;
	state_set_regs(v, &in);
	memset(&out, 0x55, sizeof(out));
	state_get_regs(v, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(v->regs[R_SP], in.rsp);
	assert_int_equal(v->regs[R_DI], in.rdi);
}

static void test_set_regs_keeps_the_fixed_flag_and_drops_a_queued_exception(void **state)
{
	struct kvm_regs r;

	event_exception(v, VEC_UD);
	state_get_regs(v, &r);
	r.rflags = 0;
	state_set_regs(v, &r);
	state_get_regs(v, &r);
	assert_int_equal(r.rflags, FLAG_FIXED);
	assert_false(v->ev.exception.pending);
}

static void test_our_single_step_is_not_seen_and_survives_set_regs(void **state)
{
	struct kvm_regs r;

	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	event_nmi(v);
	assert_enters();
	assert_true(v->hw.nmi_singlestep);
	state_get_regs(v, &r);
	assert_int_equal(r.rflags & FLAG_TF, 0);
	state_set_regs(v, &r);
	assert_enters();
	/* Else the NMI would wait until the guest happens to raise #DB. */
	assert_true(v->ev.nmi_pending == 0 || (VMCB(v)->s.rflags & FLAG_TF));
}

/* --- KVM_GET/SET_SREGS. --- */

/* A 64-bit kernel's. */
static struct kvm_sregs long_mode(void)
{
	struct kvm_segment code = { .limit = 0xffffffff, .selector = 0x10, .type = 11, .s = 1, .present = 1,
				    .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = 0xffffffff, .selector = 0x18, .type = 3, .s = 1, .present = 1,
				    .db = 1, .g = 1 };
	struct kvm_sregs s;

	state_get_sregs(v, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gs.base = 0xffff888000000000ull;
	s.ldt = (struct kvm_segment){ .unusable = 1 };
	s.tr = (struct kvm_segment){ .base = 0xfffffe0000003000ull, .limit = 0x4087, .selector = 0x40,
				     .type = 11, .present = 1 };
	s.gdt = (struct kvm_dtable){ .base = 0xfffffe0000001000ull, .limit = 0x7f };
	s.idt = (struct kvm_dtable){ .base = 0xfffffe0000000000ull, .limit = 0xfff };
	s.cr0 = 0x80050033;
	s.cr2 = 0xdeadbeef;
	s.cr3 = 0x2000;
	s.cr4 = CR4_PAE_BIT | CR4_PGE_BIT | CR4_OSFXSR_BIT | CR4_SMEP_BIT;
	s.efer = EFER_SCE_BIT | EFER_LME_BIT | EFER_LMA_BIT | EFER_NXE_BIT;
	s.cr8 = 3;
	return s;
}

static void test_sregs_round_trip(void **state)
{
	struct kvm_sregs in = long_mode(), out;

	in.interrupt_bitmap[1] = 1ull << 5;
	assert_int_equal(state_set_sregs(v, &in), 0);
	memset(&out, 0x55, sizeof(out));
	state_get_sregs(v, &out);
	out.ldt.type = 0;
	assert_memory_equal(&in, &out, sizeof(in));
	assert_true(v->ev.interrupt.injected && v->ev.interrupt.vector == 69);
	assert_enters();
}

static void test_sregs_flush_translations(void **state)
{
	struct kvm_sregs s = long_mode();

	v->hw.asid.flush = false;
	assert_int_equal(state_set_sregs(v, &s), 0);
	assert_true(v->hw.asid.flush);
}

static void test_cpl_is_that_of_ss(void **state)
{
	struct kvm_sregs s = long_mode();

	s.ss.dpl = 3;
	s.cs.dpl = 3;
	assert_int_equal(state_set_sregs(v, &s), 0);
	assert_int_equal(vcpu_cpl(v), 3);
	state_get_sregs(v, &s);
	assert_int_equal(s.ss.dpl, 3);
}

static void test_cache_disable_bits_are_shown_but_not_run_with(void **state)
{
	struct kvm_sregs s = long_mode();

	s.cr0 |= CR0_CD_BIT | CR0_NW_BIT;
	assert_int_equal(state_set_sregs(v, &s), 0);
	state_get_sregs(v, &s);
	assert_int_equal(s.cr0, 0xe0050033);
	assert_int_equal(VMCB(v)->s.cr0, 0x80050033);
	assert_true(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_READ(0));
	m->vm.disabled_quirks = KVM_X86_QUIRK_CD_NW_CLEARED;
	assert_int_equal(state_set_sregs(v, &s), 0);
	assert_int_equal(VMCB(v)->s.cr0, 0xe0050033);
	assert_false(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_READ(0));
}

/* @changed is refused, and refused as a whole. */
static void refuses(struct kvm_sregs changed)
{
	struct kvm_sregs before, after;

	state_get_sregs(v, &before);
	assert_int_equal(state_set_sregs(v, &changed), -EINVAL);
	state_get_sregs(v, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

#define REFUSES(change) do { \
	struct kvm_sregs s = long_mode(); \
	change; \
	refuses(s); \
} while (0)

static void test_sregs_that_no_cpu_can_have_are_refused(void **state)
{
	struct kvm_sregs s = long_mode();

	assert_int_equal(state_set_sregs(v, &s), 0);
	REFUSES(s.cr0 |= 1ull << 32);
	REFUSES(s.cr0 |= CR0_NW_BIT);
	REFUSES(s.cr0 &= ~CR0_PE_BIT);
	REFUSES(s.cr4 |= 1ull << 63);
	REFUSES(s.cr4 |= 1ull << 13);
	REFUSES(s.cr4 &= ~CR4_PAE_BIT);
	REFUSES(s.cr3 |= 1ull << 52);
	REFUSES(s.cr3 |= 1ull << 63);
	REFUSES(s.efer |= EFER_SVME_BIT);
	REFUSES(s.efer |= 1ull << 40);
	REFUSES(s.efer &= ~EFER_LMA_BIT);
	REFUSES(s.efer &= ~EFER_LME_BIT);
	REFUSES(s.cs.db = 1);
	REFUSES(s.cr0 &= ~CR0_PG_BIT);
	REFUSES((s.efer = 0, s.cr0 = 0x11));
	REFUSES(s.apic_base |= 1);
	REFUSES(s.apic_base |= 1ull << 60);
}

static void test_refused_cr8_changes_nothing_else(void **state)
{
	struct kvm_sregs s = long_mode();

	assert_int_equal(state_set_sregs(v, &s), 0);
	s.cr8 = 16;
	s.apic_base = (s.apic_base & ~0xfff000ull) | 0xd00000;
	refuses(s);
}

static void test_any_sregs_that_are_taken_can_be_entered(void **state)
{
	u32 seed = 7, taken = 0;

	for (int i = 0; i < 20000; i++) {
		struct kvm_sregs s = long_mode();
		u64 *where[] = { &s.cr0, &s.cr3, &s.cr4, &s.efer, &s.cr2, &s.cr8 };

		for (unsigned int k = 0; k < 3; k++) {
			seed = seed * 1664525 + 1013904223;
			*where[seed >> 8 & 1 ? seed % 3 * 2 % 6 : seed >> 9 & 3] ^= 1ull << (seed >> 20 & 63);
		}
		s.cs.l = seed >> 28 & 1;
		s.cs.db = seed >> 29 & 1;
		if (state_set_sregs(v, &s))
			continue;
		taken++;
		assert_enters();
	}
	assert_true(taken > 100);
}

/* --- Debug registers, XCR0, MP state. --- */

static void test_debugregs_round_trip(void **state)
{
	struct kvm_debugregs in = { .db = { 1, 2, 0xffffffff81000000ull, ~0ull }, .dr6 = 0xffff0ff1, .dr7 = 0x7ff };
	struct kvm_debugregs out;

	assert_int_equal(state_set_debugregs(v, &in), 0);
	memset(&out, 0x55, sizeof(out));
	state_get_debugregs(v, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_enters();
	/* Armed: the CPU has them while the guest runs. */
	assert_int_equal(machine_cpu.debug_loads, 1);
	assert_memory_equal(machine_cpu.dr, in.db, sizeof(in.db));
}

static void test_bad_debugregs_are_refused(void **state)
{
	struct kvm_debugregs d;

	state_get_debugregs(v, &d);
	d.dr6 |= 1ull << 32;
	assert_int_equal(state_set_debugregs(v, &d), -EINVAL);
	d.dr6 = 0xffff0ff0;
	d.dr7 = 1ull << 32;
	assert_int_equal(state_set_debugregs(v, &d), -EINVAL);
	d.dr7 = 0x400;
	d.flags = 1;
	assert_int_equal(state_set_debugregs(v, &d), -EINVAL);
}

static int set_xcr0(u64 value)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = value } } };

	return state_set_xcrs(v, &x);
}

static void test_xcr0_rules(void **state)
{
	struct kvm_xcrs x;

	v->cpuid.xcr0_allowed = 0x2e7;
	assert_int_equal(set_xcr0(0), -EINVAL);
	assert_int_equal(set_xcr0(1), 0);
	assert_int_equal(set_xcr0(2), -EINVAL);
	assert_int_equal(set_xcr0(5), -EINVAL);
	assert_int_equal(set_xcr0(7), 0);
	assert_int_equal(set_xcr0(0x27), -EINVAL);
	assert_int_equal(set_xcr0(0xe3), -EINVAL);
	assert_int_equal(set_xcr0(0xe7), 0);
	assert_int_equal(set_xcr0(0x2e7), 0);
	assert_int_equal(set_xcr0(0x407), -EINVAL);
	assert_int_equal(set_xcr0(1ull << 63 | 7), -EINVAL);
	memset(&x, 0x55, sizeof(x));
	state_get_xcrs(v, &x);
	assert_int_equal(x.nr_xcrs, 1);
	assert_int_equal(x.xcrs[0].value, 0x2e7);
}

static void test_xcrs_count_is_bounded(void **state)
{
	struct kvm_xcrs x = { .nr_xcrs = KVM_MAX_XCRS + 1 };

	assert_int_equal(state_set_xcrs(v, &x), -EINVAL);
	x.nr_xcrs = ~0u;
	assert_int_equal(state_set_xcrs(v, &x), -EINVAL);
	x.nr_xcrs = 0;
	assert_int_equal(state_set_xcrs(v, &x), 0);
	x.flags = 1;
	assert_int_equal(state_set_xcrs(v, &x), -EINVAL);
}

static void test_mp_state(void **state)
{
	static const u32 good[] = {
		KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_HALTED
	};
	static const u32 bad[] = { KVM_MP_STATE_STOPPED, KVM_MP_STATE_CHECK_STOP, KVM_MP_STATE_OPERATING,
				   KVM_MP_STATE_LOAD, KVM_MP_STATE_AP_RESET_HOLD, 10, 11, 255, ~0u };

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(state_set_mp_state(v, good[i]), 0);
		assert_int_equal(state_get_mp_state(v), good[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(state_set_mp_state(v, bad[i]), -EINVAL);
	assert_int_equal(state_get_mp_state(v), KVM_MP_STATE_HALTED);
}

static void test_mp_state_without_an_apic_is_runnable(void **state)
{
	assert_int_equal(state_get_mp_state(v), KVM_MP_STATE_RUNNABLE);
	assert_int_equal(state_set_mp_state(v, KVM_MP_STATE_HALTED), -EINVAL);
	assert_int_equal(state_set_mp_state(v, KVM_MP_STATE_RUNNABLE), 0);
}

static void test_run_structure_tells_what_every_exit_tells(void **state)
{
	VMCB(v)->s.rflags |= FLAG_IF;
	lapic_set_cr8(v, 6);
	v->run->flags = 0xffff;
	state_to_run(v);
	assert_int_equal(v->run->if_flag, 1);
	assert_int_equal(v->run->cr8, 6);
	assert_int_equal(v->run->flags, 0);
	assert_int_equal(v->run->apic_base, v->apic.base);
}

static void test_apic_base_without_an_apic_is_kept(void **state)
{
	struct kvm_sregs s;

	state_get_sregs(v, &s);
	s.apic_base = 0xfee00900;
	assert_int_equal(state_set_sregs(v, &s), 0);
	state_get_sregs(v, &s);
	assert_int_equal(s.apic_base, 0xfee00900);
	state_to_run(v);
	assert_int_equal(v->run->apic_base, 0xfee00900);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(power_up_state),
		CASE(power_up_cr0_has_caches_off),
		CASE(power_up_state_of_debug_registers),
		CASE(regs_round_trip),
		CASE(set_regs_keeps_the_fixed_flag_and_drops_a_queued_exception),
		CASE(our_single_step_is_not_seen_and_survives_set_regs),
		CASE(sregs_round_trip),
		CASE(sregs_flush_translations),
		CASE(cpl_is_that_of_ss),
		CASE(cache_disable_bits_are_shown_but_not_run_with),
		CASE(sregs_that_no_cpu_can_have_are_refused),
		CASE(refused_cr8_changes_nothing_else),
		CASE(any_sregs_that_are_taken_can_be_entered),
		CASE(debugregs_round_trip),
		CASE(bad_debugregs_are_refused),
		CASE(xcr0_rules),
		CASE(xcrs_count_is_bounded),
		CASE(mp_state),
		cmocka_unit_test_setup_teardown(test_mp_state_without_an_apic_is_runnable, setup_no_apic, teardown),
		cmocka_unit_test_setup_teardown(test_apic_base_without_an_apic_is_kept, setup_no_apic, teardown),
		CASE(run_structure_tells_what_every_exit_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
