// SPDX-License-Identifier: GPL-2.0
/*
 * svm/exits.c and svm/svm.c: every exit reason has its answer (the instruction completed, or faulted,
 * or given to the VMM), on CPUs that tell the next RIP and on those that do not; what is intercepted;
 * what an entry is told and what it leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest.h"
#include "whole.h"

#define CODE_GPA	0x8000ull
#define CODE_GVA	0x400000ull
#define TABLE_FLAGS	(PTE_P | PTE_W | PTE_U)

static struct guest g;
static struct machine *m;
static struct vcpu *v;

static void enter_mode(enum guest_mode mode)
{
	guest_set_mode(&g, mode);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	vendor_set_cr0(v, VMCB(v)->s.cr0);
	if (mode != GUEST_REAL)
		guest_map(&g, CODE_GVA, CODE_GPA, TABLE_FLAGS);
	VMCB(v)->s.rip = mode == GUEST_REAL ? CODE_GPA : CODE_GVA;
}

static int setup(void **state)
{
	u32 svr = 0x1ff;

	m = whole_create(1 << 20, true);
	v = vm_vcpu(&m->vm, 0);
	g = (struct guest){ .m = m, .v = v };
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
	enter_mode(GUEST_LONG);
	return 0;
}

static int setup_nrip(void **state)
{
	setup(state);
	svm.nrip = svm.decode_assists = true;
	return 0;
}

static int setup_no_apic(void **state)
{
	m = whole_create(1 << 20, false);
	v = vm_vcpu(&m->vm, 0);
	g = (struct guest){ .m = m, .v = v };
	enter_mode(GUEST_LONG);
	return 0;
}

static int teardown(void **state)
{
	whole_free(m);
	return 0;
}

static u64 start_rip;

/* The guest's instruction at RIP is @bytes; the CPU exits there with @code and EXITINFO1 @info. */
static int exit_at(u32 code, u64 info, const u8 *bytes, unsigned int length)
{
	struct vmcb_control *c = &VMCB(v)->c;

	start_rip = vcpu_rip(v);
	memset(m->mem + CODE_GPA, 0x90, 64);
	memcpy(m->mem + CODE_GPA + (start_rip & 0xfff), bytes, length);
	v->hw.exit_code = c->exit_code = code;
	c->exit_info_1 = info;
	c->exit_info_2 = start_rip + length;
	c->next_rip = svm.nrip ? start_rip + length : 0;
	return vendor_handle_exit(v);
}

#define EXIT(code, info, ...) ({ \
	const u8 bytes_[] = { __VA_ARGS__ }; \
	exit_at(code, info, bytes_, sizeof(bytes_)); \
})

/* The instruction of @n bytes is done. */
#define assert_done(n) do { \
	assert_int_equal(vcpu_rip(v), start_rip + (n)); \
	assert_false(v->ev.exception.pending); \
} while (0)

/* It raised @vec and nothing else happened. */
#define assert_fault(vec) do { \
	assert_int_equal(vcpu_rip(v), start_rip); \
	assert_true(v->ev.exception.pending); \
	assert_int_equal(v->ev.exception.vector, vec); \
	v->ev.exception.pending = false; \
} while (0)

#define UD_EXIT(code, ...) do { \
	assert_int_equal(EXIT(code, 0, __VA_ARGS__), RESUME); \
	assert_fault(VEC_UD); \
} while (0)

/* --- Instructions. --- */

static void test_cpuid(void **state)
{
	v->regs[R_AX] = 0;
	assert_int_equal(EXIT(SVM_EXIT_CPUID, 0, 0x0f, 0xa2), RESUME);
	assert_done(2);
	assert_int_equal(v->regs[R_BX], 0x68747541);
}

static void test_interrupt_shadow_ends_with_the_instruction(void **state)
{
	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	EXIT(SVM_EXIT_CPUID, 0, 0x0f, 0xa2);
	assert_done(2);
	assert_false(vcpu_in_shadow(v));
}

static void test_trap_flag_traps_after_an_instruction_done_here(void **state)
{
	VMCB(v)->s.rflags |= FLAG_TF;
	EXIT(SVM_EXIT_CPUID, 0, 0x0f, 0xa2);
	assert_int_equal(vcpu_rip(v), start_rip + 2);
	assert_true(v->ev.exception.pending && v->ev.exception.vector == VEC_DB);
	assert_true(VMCB(v)->s.dr6 & 1u << 14);
}

static void test_rip_is_cut_to_32_bits_outside_64_bit_code(void **state)
{
	enter_mode(GUEST_PAE);
	guest_map(&g, 0xfffff000, CODE_GPA, TABLE_FLAGS);
	VMCB(v)->s.rip = 0xfffffffe;
	assert_int_equal(EXIT(SVM_EXIT_CPUID, 0, 0x0f, 0xa2), RESUME);
	assert_int_equal(vcpu_rip(v), 0);
}

static void test_rdmsr_and_wrmsr(void **state)
{
	v->regs[R_CX] = 0xffffffff00000277ull;
	v->regs[R_AX] = 0xffffffff00070106ull;
	v->regs[R_DX] = 0xffffffff00070106ull;
	assert_int_equal(EXIT(SVM_EXIT_MSR, 1, 0x0f, 0x30), RESUME);
	assert_done(2);
	assert_int_equal(VMCB(v)->s.g_pat, 0x0007010600070106ull);
	v->regs[R_AX] = v->regs[R_DX] = ~0ull;
	assert_int_equal(EXIT(SVM_EXIT_MSR, 0, 0x0f, 0x32), RESUME);
	assert_done(2);
	assert_int_equal(v->regs[R_AX], 0x00070106);
	assert_int_equal(v->regs[R_DX], 0x00070106);
}

static void test_refused_msr_access_raises_gp_and_changes_nothing(void **state)
{
	v->regs[R_CX] = 0x277;
	v->regs[R_AX] = 2;
	v->regs[R_DX] = 0;
	assert_int_equal(EXIT(SVM_EXIT_MSR, 1, 0x0f, 0x30), RESUME);
	assert_fault(VEC_GP);
	assert_true(v->ev.exception.has_error && !v->ev.exception.error);
	v->regs[R_CX] = 0x12345;
	assert_int_equal(EXIT(SVM_EXIT_MSR, 0, 0x0f, 0x32), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(v->regs[R_AX], 2);
}

static void test_hlt_halts_after_the_instruction(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_HLT, 0, 0xf4), RESUME);
	assert_done(1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
}

static void test_hlt_without_an_apic_is_the_vmms(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_HLT, 0, 0xf4), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_HLT);
	assert_done(1);
}

static void test_vmmcall(void **state)
{
	v->regs[R_AX] = 77;
	assert_int_equal(EXIT(SVM_EXIT_VMMCALL, 0, 0x0f, 0x01, 0xd9), RESUME);
	assert_done(3);
	assert_int_equal(v->regs[R_AX], (u64)-1000);
}

static void test_pause_yields(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_PAUSE, 0, 0xf3, 0x90), RESUME);
	assert_done(2);
	assert_int_equal(machine_cpu.yields, 1);
}

static void test_cache_instructions_are_no_ops(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_WBINVD, 0, 0x0f, 0x09), RESUME);
	assert_done(2);
	assert_int_equal(EXIT(SVM_EXIT_INVD, 0, 0x0f, 0x08), RESUME);
	assert_done(2);
	/* QEMU's TCG calls INVD WBINVD. */
	assert_int_equal(EXIT(SVM_EXIT_WBINVD, 0, 0x0f, 0x08), RESUME);
	assert_done(2);
}

static void test_monitor_and_mwait_as_the_vmm_chose(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_MONITOR, 0, 0x0f, 0x01, 0xc8), RESUME);
	assert_done(3);
	assert_int_equal(EXIT(SVM_EXIT_MWAIT, 0, 0x0f, 0x01, 0xc9), RESUME);
	assert_done(3);
	assert_int_equal(EXIT(SVM_EXIT_MWAIT_COND, 0, 0x0f, 0x01, 0xc9), RESUME);
	assert_done(3);
	m->vm.disabled_quirks = KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
	UD_EXIT(SVM_EXIT_MONITOR, 0x0f, 0x01, 0xc8);
	UD_EXIT(SVM_EXIT_MWAIT, 0x0f, 0x01, 0xc9);
}

static void test_instructions_that_the_guest_does_not_have(void **state)
{
	UD_EXIT(SVM_EXIT_VMRUN, 0x0f, 0x01, 0xd8);
	UD_EXIT(SVM_EXIT_VMLOAD, 0x0f, 0x01, 0xda);
	UD_EXIT(SVM_EXIT_VMSAVE, 0x0f, 0x01, 0xdb);
	UD_EXIT(SVM_EXIT_STGI, 0x0f, 0x01, 0xdc);
	UD_EXIT(SVM_EXIT_CLGI, 0x0f, 0x01, 0xdd);
	UD_EXIT(SVM_EXIT_SKINIT, 0x0f, 0x01, 0xde);
	UD_EXIT(SVM_EXIT_INVLPGA, 0x0f, 0x01, 0xdf);
	UD_EXIT(SVM_EXIT_RDTSCP, 0x0f, 0x01, 0xf9);
	UD_EXIT(SVM_EXIT_RDPRU, 0x0f, 0x01, 0xfd);
	UD_EXIT(SVM_EXIT_INVLPGB, 0x0f, 0x01, 0xfe);
	UD_EXIT(SVM_EXIT_TLBSYNC, 0x0f, 0x01, 0xff);
	UD_EXIT(SVM_EXIT_INVPCID, 0x66, 0x0f, 0x38, 0x82, 0x00);
}

static void test_rdpmc_raises_gp(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_RDPMC, 0, 0x0f, 0x33), RESUME);
	assert_fault(VEC_GP);
}

static int xsetbv(u32 index, u64 value)
{
	v->regs[R_CX] = index;
	v->regs[R_AX] = (u32)value;
	v->regs[R_DX] = value >> 32;
	return EXIT(SVM_EXIT_XSETBV, 0, 0x0f, 0x01, 0xd1);
}

static void test_xsetbv(void **state)
{
	assert_int_equal(xsetbv(0, 7), RESUME);
	assert_done(3);
	assert_int_equal(v->xcr0, 7);
	assert_int_equal(xsetbv(1, 7), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(xsetbv(0, 6), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(xsetbv(0, 5), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(xsetbv(0, 1ull << 62 | 1), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(v->xcr0, 7);
}

/* Without NRIP the bytes are looked at after the exit, and another CPU may have changed them. */
static void test_instruction_that_was_changed_meanwhile_runs_again(void **state)
{
	static const u32 codes[] = {
		SVM_EXIT_CPUID, SVM_EXIT_MSR, SVM_EXIT_VMMCALL, SVM_EXIT_PAUSE, SVM_EXIT_WBINVD,
		SVM_EXIT_INVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT, SVM_EXIT_XSETBV, SVM_EXIT_WRITE_CR4,
		SVM_EXIT_WRITE_CR8, SVM_EXIT_WRITE_CR0, SVM_EXIT_READ_CR0, SVM_EXIT_CR0_SEL_WRITE,
	};
	u64 regs[16];

	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
		memcpy(regs, v->regs, sizeof(regs));
		assert_int_equal(EXIT(codes[i], 0, 0x90), RESUME);
		assert_done(0);
		assert_memory_equal(regs, v->regs, sizeof(regs));
	}
}

static void test_hlt_that_was_changed_meanwhile_does_not_halt(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_HLT, 0, 0x90), RESUME);
	assert_done(0);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
}

static void test_instruction_on_a_page_that_went_away_faults_or_runs_again(void **state)
{
	guest_map(&g, CODE_GVA, CODE_GPA, 0);
	assert_int_equal(EXIT(SVM_EXIT_CPUID, 0, 0x0f, 0xa2), RESUME);
	assert_int_equal(vcpu_rip(v), start_rip);
}

/* --- Control registers. --- */

#define ASSIST(reg)	(1ull << 63 | (reg))

/* MOV CRn, RAX with @value. */
static int mov_cr(u8 cr, u64 value)
{
	u32 code = cr == 0 ? SVM_EXIT_CR0_SEL_WRITE : SVM_EXIT_WRITE_CR0 + cr;
	u8 bytes[] = { 0x44, 0x0f, 0x22, 0xc0 | (cr & 7) << 3 };
	unsigned int skip = cr == 8 ? 0 : 1;

	v->regs[R_AX] = value;
	return exit_at(code, svm.decode_assists ? ASSIST(R_AX) : 0, bytes + skip, 4 - skip);
}

static void test_cr0_write(void **state)
{
	u64 cr0 = vcpu_cr0(v);

	assert_int_equal(mov_cr(0, cr0 | CR0_TS_BIT | CR0_AM_BIT), RESUME);
	assert_done(3);
	assert_int_equal(vcpu_cr0(v), cr0 | CR0_TS_BIT | CR0_AM_BIT);
	v->hw.asid.flush = false;
	assert_int_equal(mov_cr(0, cr0 & ~CR0_WP_BIT), RESUME);
	assert_done(3);
	assert_true(v->hw.asid.flush);
}

static void test_cr0_values_that_raise_gp(void **state)
{
	u64 cr0 = vcpu_cr0(v);
	const u64 bad[] = {
		cr0 | 1ull << 32, cr0 | 1ull << 63, cr0 | CR0_NW_BIT, cr0 & ~CR0_PE_BIT,
		cr0 & ~CR0_PG_BIT,	/* in 64-bit code */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(mov_cr(0, bad[i]), RESUME);
		assert_fault(VEC_GP);
		assert_int_equal(vcpu_cr0(v), cr0);
	}
}

static void test_long_mode_is_entered_and_left_with_paging(void **state)
{
	u64 paged;

	enter_mode(GUEST_PAE);
	paged = vcpu_cr0(v);
	/* Identity: the code is where it was when paging goes off. */
	guest_map(&g, CODE_GPA, CODE_GPA, TABLE_FLAGS);
	VMCB(v)->s.rip = CODE_GPA;
	VMCB(v)->s.cr0 &= ~CR0_PG_BIT;
	VMCB(v)->s.efer = EFER_SVME_BIT | EFER_LME_BIT;
	/* A page table root that works for both modes. */
	memset(m->mem + 0x50000, 0, 0x3000);
	guest_poke(&g, 0x50000, 0x51000 | TABLE_FLAGS, 8);
	guest_poke(&g, 0x51000, 0x52000 | TABLE_FLAGS, 8);
	guest_poke(&g, 0x52000, 0 | TABLE_FLAGS | PTE_PS, 8);
	VMCB(v)->s.cr3 = 0x50000;
	assert_int_equal(mov_cr(0, paged), RESUME);
	assert_done(3);
	assert_true(vcpu_efer(v) & EFER_LMA_BIT);
	assert_null(machine_vmcb_problem(v));
	assert_int_equal(mov_cr(0, paged & ~CR0_PG_BIT), RESUME);
	assert_done(3);
	assert_false(vcpu_efer(v) & EFER_LMA_BIT);
	assert_true(vcpu_efer(v) & EFER_LME_BIT);
	/* Without PAE it cannot be entered, nor from a 64-bit code segment. */
	VMCB(v)->s.cr4 &= ~CR4_PAE_BIT;
	assert_int_equal(mov_cr(0, paged), RESUME);
	assert_fault(VEC_GP);
	VMCB(v)->s.cr4 |= CR4_PAE_BIT;
	VMCB(v)->s.cs.attrib |= 1u << 9;
	assert_int_equal(mov_cr(0, paged), RESUME);
	assert_fault(VEC_GP);
}

static void test_cache_bits_are_kept_from_the_cpu(void **state)
{
	u64 cr0 = vcpu_cr0(v);

	assert_int_equal(mov_cr(0, cr0 | CR0_CD_BIT | CR0_NW_BIT), RESUME);
	assert_done(3);
	assert_int_equal(VMCB(v)->s.cr0, cr0);
	assert_true(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_READ(0));
	/* MOV RBX, CR0; SMSW EAX; SMSW AX */
	assert_int_equal(EXIT(SVM_EXIT_READ_CR0, ASSIST(R_BX), 0x0f, 0x20, 0xc3), RESUME);
	assert_done(3);
	assert_int_equal(v->regs[R_BX], cr0 | CR0_CD_BIT | CR0_NW_BIT);
	v->regs[R_AX] = ~0ull;
	assert_int_equal(EXIT(SVM_EXIT_READ_CR0, 0, 0x66, 0x0f, 0x01, 0xe0), RESUME);
	assert_done(4);
	assert_int_equal(v->regs[R_AX], ~0xffffull | (cr0 & 0xffff));
	/* CLTS and LMSW come as CR0 writes then. */
	VMCB(v)->s.cr0 |= CR0_TS_BIT;
	assert_int_equal(EXIT(SVM_EXIT_WRITE_CR0, 0, 0x0f, 0x06), RESUME);
	assert_done(2);
	assert_false(vcpu_cr0(v) & CR0_TS_BIT);
	v->regs[R_AX] = 0xfff8;
	assert_int_equal(EXIT(SVM_EXIT_WRITE_CR0, 0, 0x0f, 0x01, 0xf0), RESUME);
	assert_done(3);
	assert_int_equal(vcpu_cr0(v) & 0xf, CR0_TS_BIT | CR0_PE_BIT);
	assert_true(vcpu_cr0(v) & CR0_CD_BIT);
	assert_int_equal(mov_cr(0, cr0), RESUME);
	assert_false(VMCB(v)->c.intercepts[ICPT_CR] & (ICPT_CR_READ(0) | ICPT_CR_WRITE(0)));
}

static void test_cr4_write(void **state)
{
	u64 cr4 = vcpu_cr4(v);

	v->hw.asid.flush = false;
	assert_int_equal(mov_cr(4, cr4 | CR4_OSFXSR_BIT), RESUME);
	assert_done(3);
	assert_false(v->hw.asid.flush);
	assert_int_equal(vcpu_cr4(v), cr4 | CR4_OSFXSR_BIT);
	assert_int_equal(mov_cr(4, cr4 | CR4_PGE_BIT), RESUME);
	assert_done(3);
	assert_true(v->hw.asid.flush);
}

static void test_cr4_values_that_raise_gp(void **state)
{
	u64 cr4 = vcpu_cr4(v);
	const u64 bad[] = { cr4 & ~CR4_PAE_BIT, cr4 | CR4_LA57_BIT, cr4 | 1ull << 13, cr4 | 1ull << 24,
			    cr4 | 1ull << 32, cr4 | 1ull << 63 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(mov_cr(4, bad[i]), RESUME);
		assert_fault(VEC_GP);
	}
	v->cpuid.cr4_allowed |= CR4_PCIDE_BIT;
	VMCB(v)->s.cr3 |= 0x18;
	assert_int_equal(mov_cr(4, cr4 | CR4_PCIDE_BIT), RESUME);
	assert_fault(VEC_GP);
	VMCB(v)->s.cr3 &= ~0x18ull;
	assert_int_equal(mov_cr(4, cr4 | CR4_PCIDE_BIT), RESUME);
	assert_done(3);
	v->cpuid.cr4_allowed &= ~CR4_SMEP_BIT;
	assert_int_equal(mov_cr(4, cr4 | CR4_SMEP_BIT), RESUME);
	assert_fault(VEC_GP);
	assert_null(machine_vmcb_problem(v));
}

static void test_cr8_write(void **state)
{
	assert_int_equal(mov_cr(8, 9), RESUME);
	assert_done(4);
	assert_int_equal(lapic_get_cr8(v), 9);
	assert_true(v->requests & 1ull << REQ_EVENT);
	assert_int_equal(mov_cr(8, 16), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(mov_cr(8, 1ull << 32), RESUME);
	assert_fault(VEC_GP);
	assert_int_equal(lapic_get_cr8(v), 9);
}

static void test_debug_register_access_gives_the_registers_to_the_guest(void **state)
{
	assert_int_equal(VMCB(v)->c.intercepts[ICPT_DR], 0x00ff00ff);
	for (unsigned int i = 0; i < 8; i++) {
		v->hw.guest_dr = false;
		VMCB(v)->c.intercepts[ICPT_DR] = 0x00ff00ff;
		assert_int_equal(EXIT(SVM_EXIT_READ_DR0 + i, 0, 0x0f, 0x21, 0xc0), RESUME);
		assert_done(0);
		assert_int_equal(VMCB(v)->c.intercepts[ICPT_DR], 0);
		assert_int_equal(EXIT(SVM_EXIT_WRITE_DR0 + i, 0, 0x0f, 0x23, 0xc0), RESUME);
		assert_done(0);
		assert_true(v->hw.guest_dr);
	}
}

static void writes_dr0(struct vcpu *v)
{
	machine_cpu.dr[0] = 0x1234;
}

static void test_debug_registers_are_taken_back_at_the_next_exit(void **state)
{
	v->dr[1] = 0x5678;
	EXIT(SVM_EXIT_WRITE_DR0, 0, 0x0f, 0x23, 0xc0);
	whole_enter(v, writes_dr0);
	assert_int_equal(v->dr[0], 0x1234);
	assert_int_equal(v->dr[1], 0x5678);
	assert_int_equal(VMCB(v)->c.intercepts[ICPT_DR], 0x00ff00ff);
	assert_false(v->hw.guest_dr);
}

/* --- Memory and ports. --- */

static int npf(u64 gpa, u32 error, const u8 *bytes, unsigned int length)
{
	int r;

	start_rip = vcpu_rip(v);
	memcpy(m->mem + CODE_GPA + (start_rip & 0xfff), bytes, length);
	v->hw.exit_code = SVM_EXIT_NPF;
	VMCB(v)->c.exit_info_1 = 1ull << 32 | error;
	VMCB(v)->c.exit_info_2 = gpa;
	r = vendor_handle_exit(v);
	return r;
}

static void test_nested_fault_in_memory_is_mapped(void **state)
{
	assert_int_equal(npf(0x5123, PF_WRITE | PF_USER, (const u8 []){ 0x90 }, 1), RESUME);
	assert_done(0);
	assert_true(m->vm.npt.nr_tables > 1);
}

/* The CPU's translation of the operand is good for no fault but that of the operand itself. */
static void test_nested_fault_says_where_the_operand_is(void **state)
{
	const u8 mov[] = { 0x89, 0x03 };	/* mov %eax, (%rbx) */

	guest_map(&g, 0xd0000000, 0xfeb00000, TABLE_FLAGS);
	v->regs[R_BX] = 0xd0000040;
	assert_int_equal(npf(0xfeb01040, PF_WRITE | PF_USER, mov, 2), EXIT_TO_USER);
	assert_int_equal(v->run->mmio.phys_addr, 0xfeb01040);
	npf(0xfeb01040, PF_WRITE | PF_USER | PF_FETCH, mov, 2);
	assert_int_equal(v->run->mmio.phys_addr, 0xfeb00040);
	/* A guest's page table outside of memory, as if the others were in it. */
	memcpy(m->mem + CODE_GPA + (vcpu_rip(v) & 0xfff), mov, 2);
	VMCB(v)->c.exit_info_1 = 1ull << 33 | PF_WRITE | PF_USER;
	VMCB(v)->c.exit_info_2 = 0xfeb01040;
	assert_int_equal(vendor_handle_exit(v), EXIT_TO_USER);
	assert_int_equal(v->run->mmio.phys_addr, 0xfeb00040);
}

static void test_nested_fault_outside_memory_goes_to_the_vmm(void **state)
{
	const u8 mov[] = { 0x89, 0x03 };	/* mov %eax, (%rbx) */

	guest_map(&g, 0xd0000000, 0xfeb00000, TABLE_FLAGS);
	v->regs[R_BX] = 0xd0000040;
	v->regs[R_AX] = 0x11223344;
	assert_int_equal(npf(0xfeb00040, PF_WRITE | PF_USER, mov, 2), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(v->run->mmio.phys_addr, 0xfeb00040);
	assert_int_equal(v->run->mmio.len, 4);
	assert_true(v->run->mmio.is_write);
	assert_int_equal(*(u32 *)v->run->mmio.data, 0x11223344);
	assert_int_equal(vcpu_rip(v), start_rip + 2);
}

static void test_event_delivery_through_mmio_is_an_internal_error(void **state)
{
	VMCB(v)->c.exit_int_info = EVENT_VALID | EVENT_TYPE_EXCEPTION | VEC_PF;
	assert_int_equal(npf(0xfeb00000, PF_WRITE, (const u8 []){ 0x90 }, 1), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(v->run->internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV);
	assert_in_range(v->run->internal.ndata, 0, 16);
}

static void test_host_error_in_a_nested_fault_ends_the_run(void **state)
{
	m->page_error = -EFAULT;
	assert_int_equal(npf(0x5000, 0, (const u8 []){ 0x90 }, 1), -EFAULT);
}

static void test_port_write_and_read(void **state)
{
	v->regs[R_AX] = 0x41;
	/* OUT 0x80, AL: size 1 in bits 6:4 */
	assert_int_equal(EXIT(SVM_EXIT_IOIO, 0x80ull << 16 | 1u << 4, 0xe6, 0x80), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(v->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(v->run->io.port, 0x80);
	assert_int_equal(v->run->io.size, 1);
	assert_int_equal(v->run->io.count, 1);
	assert_int_equal(v->pio_data[0], 0x41);
	assert_int_equal(vcpu_rip(v), start_rip + 2);
	/* IN AX, DX */
	assert_int_equal(EXIT(SVM_EXIT_IOIO, 0x1f0ull << 16 | 2u << 4 | 1, 0x66, 0xed), EXIT_TO_USER);
	assert_int_equal(v->run->io.direction, KVM_EXIT_IO_IN);
	memcpy(v->pio_data, "\xcd\xab", 2);
	v->regs[R_AX] = ~0ull;
	assert_int_equal(emulate_complete(v), RESUME);
	assert_int_equal(v->regs[R_AX], 0xffffffffffffabcdull);
	assert_int_equal(vcpu_rip(v), start_rip + 2);
}

/* --- Exits without an instruction. --- */

static void test_host_events_only_resume(void **state)
{
	static const u32 codes[] = {
		SVM_EXIT_INTR, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT, SVM_EXIT_EXCP_BASE + VEC_MC
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(EXIT(codes[i], 0, 0x90), RESUME);
		assert_done(0);
	}
}

static void guest_machine_check(struct vcpu *v)
{
	VMCB(v)->c.exit_code = SVM_EXIT_EXCP_BASE + VEC_MC;
}

static void test_machine_check_is_the_hosts(void **state)
{
	whole_enter(v, guest_machine_check);
	assert_int_equal(machine_cpu.machine_checks, 1);
	assert_int_equal(vendor_handle_exit(v), RESUME);
	assert_false(v->ev.exception.pending);
}

static void test_reflected_exceptions(void **state)
{
	assert_int_equal(EXIT(SVM_EXIT_EXCP_BASE + VEC_DB, 0, 0x90), RESUME);
	assert_fault(VEC_DB);
	assert_int_equal(EXIT(SVM_EXIT_EXCP_BASE + VEC_AC, 0, 0x90), RESUME);
	assert_true(v->ev.exception.has_error && !v->ev.exception.error);
	assert_fault(VEC_AC);
}

static void test_interrupt_window_closes_and_events_are_looked_at(void **state)
{
	vendor_open_interrupt_window(v);
	v->requests = 0;
	assert_int_equal(EXIT(SVM_EXIT_VINTR, 0, 0x90), RESUME);
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_VINTR);
	assert_true(v->requests & 1ull << REQ_EVENT);
}

static void test_shutdown_inits_the_vcpu_and_tells_the_vmm(void **state)
{
	v->regs[R_BX] = 5;
	assert_int_equal(EXIT(SVM_EXIT_SHUTDOWN, 0, 0x90), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_int_equal(vcpu_rip(v), 0xfff0);
	assert_int_equal(v->regs[R_BX], 0);
	assert_null(machine_vmcb_problem(v));
}

static void test_failed_entry_is_reported_with_its_reason(void **state)
{
	VMCB(v)->s.cr0 |= 1ull << 40;
	whole_enter(v, NULL);
	assert_int_equal(v->hw.exit_code, (u32)SVM_EXIT_ERR);
	assert_int_equal(vendor_handle_exit(v), EXIT_TO_USER);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	assert_int_equal(v->run->fail_entry.hardware_entry_failure_reason, 0xffffffff);
}

static void test_unknown_exit_is_an_internal_error_with_its_code(void **state)
{
	static const u32 unknown[] = { 0x66, 0x88, 0x8f, 0x90, 0xa3, 0x401, 0x402, 0x403, 0x7fffffff, 0x41, 0x5f, 0x1234 };

	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
		if (unknown[i] == SVM_EXIT_EXCP_BASE + VEC_DB)
			continue;
		assert_int_equal(EXIT(unknown[i], 0, 0x90), EXIT_TO_USER);
		assert_int_equal(v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
		assert_int_equal(v->run->internal.suberror, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
		assert_int_equal(v->run->internal.data[0], unknown[i]);
		assert_int_equal(vcpu_rip(v), start_rip);
	}
}

/* --- What was on its way in when the exit came. --- */

static u32 interrupted;

static void exit_in_delivery(struct vcpu *v)
{
	VMCB(v)->c.exit_code = SVM_EXIT_NPF;
	VMCB(v)->c.exit_int_info = interrupted;
	VMCB(v)->c.exit_int_info_err = 0x77;
}

static u32 given;

static void look(struct vcpu *v)
{
	given = VMCB(v)->c.event_inj & EVENT_VALID ? VMCB(v)->c.event_inj : 0;
}

/* What the next entry delivers after an exit that interrupted @event. */
static u32 after(u32 event)
{
	interrupted = event | EVENT_VALID;
	whole_enter(v, exit_in_delivery);
	whole_enter(v, look);
	return given & ~EVENT_VALID;
}

static void test_interrupted_delivery_is_repeated(void **state)
{
	assert_int_equal(after(EVENT_TYPE_INTR | 0x40), EVENT_TYPE_INTR | 0x40);
	assert_int_equal(after(EVENT_TYPE_NMI | 2), EVENT_TYPE_NMI | 2);
	assert_int_equal(after(EVENT_TYPE_EXCEPTION | VEC_UD), EVENT_TYPE_EXCEPTION | VEC_UD);
	assert_int_equal(after(EVENT_TYPE_EXCEPTION | EVENT_ERROR_VALID | VEC_GP),
			 EVENT_TYPE_EXCEPTION | EVENT_ERROR_VALID | VEC_GP);
	assert_int_equal(VMCB(v)->c.event_inj_err, 0x77);
}

/* RIP is still at the instruction: it runs again. */
static void test_interrupted_software_interrupt_is_not_repeated(void **state)
{
	assert_int_equal(after(EVENT_TYPE_SOFT | 0x80), 0);
	assert_int_equal(after(EVENT_TYPE_EXCEPTION | VEC_BP), 0);
	assert_int_equal(after(EVENT_TYPE_EXCEPTION | VEC_OF), 0);
}

static void fails_to_enter(struct vcpu *v)
{
	VMCB(v)->c.exit_code = SVM_EXIT_ERR;
}

static void test_failed_entry_does_not_lose_the_interrupt_that_was_offered(void **state)
{
	lapic_deliver(&m->vm, NULL, &(struct apic_msg){ .vector = 0x50, .assert = true });
	whole_enter(v, fails_to_enter);
	assert_int_equal(v->ev.offered, -1);
	assert_int_equal(lapic_pending_vector(v), 0x50);
}

/* --- NMI, IRET and the single step between. --- */

static void test_iret_exit_arms_the_window_only_for_a_waiting_nmi(void **state)
{
	event_nmi(v);
	whole_enter(v, look);
	assert_int_equal(given, EVENT_VALID | EVENT_TYPE_NMI | 2);
	assert_int_equal(EXIT(SVM_EXIT_IRET, 0, 0x48, 0xcf), RESUME);
	assert_done(0);
	assert_true(v->hw.nmi_iret && v->ev.nmi_masked);
	/* Nothing waits: no step, and the next exit elsewhere unmasks. */
	VMCB(v)->s.rip += 0x100;
	whole_enter(v, look);
	assert_false(VMCB(v)->s.rflags & FLAG_TF);
	assert_false(v->ev.nmi_masked);
	event_nmi(v);
	whole_enter(v, look);
	assert_int_equal(given, EVENT_VALID | EVENT_TYPE_NMI | 2);
}

static void test_exit_before_iret_executes_keeps_nmis_masked(void **state)
{
	event_nmi(v);
	whole_enter(v, look);
	EXIT(SVM_EXIT_IRET, 0, 0x48, 0xcf);
	whole_enter(v, look);	/* a host interrupt, RIP still at IRET */
	assert_true(v->ev.nmi_masked);
	event_nmi(v);
	whole_enter(v, look);
	assert_int_equal(given, 0);
	assert_true(VMCB(v)->s.rflags & FLAG_TF);
}

static void test_guests_own_single_step_is_not_swallowed(void **state)
{
	VMCB(v)->s.rflags |= FLAG_TF;
	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	event_nmi(v);
	whole_enter(v, look);
	assert_true(v->hw.nmi_singlestep);
	VMCB(v)->s.dr6 |= 1u << 14;
	assert_int_equal(EXIT(SVM_EXIT_EXCP_BASE + VEC_DB, 0, 0x90), RESUME);
	assert_true(v->ev.exception.pending && v->ev.exception.vector == VEC_DB);
	assert_true(VMCB(v)->s.rflags & FLAG_TF && VMCB(v)->s.dr6 & 1u << 14);
}

static void test_breakpoint_during_our_step_is_the_guests(void **state)
{
	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	event_nmi(v);
	whole_enter(v, look);
	VMCB(v)->s.dr6 |= 1u << 14 | 1;
	assert_int_equal(EXIT(SVM_EXIT_EXCP_BASE + VEC_DB, 0, 0x90), RESUME);
	assert_true(v->ev.exception.pending);
	assert_int_equal(VMCB(v)->s.dr6 & (1u << 14 | 0xf), 1);
	assert_false(VMCB(v)->s.rflags & FLAG_TF);
}

/* --- Reset and intercepts. --- */

static void check_intercepts(void)
{
	const u32 *i = VMCB(v)->c.intercepts;

	/* A guest must not reach these whatever its CPUID says. */
	assert_int_equal(~i[ICPT_MISC2] & (ICPT2_VMRUN | ICPT2_VMMCALL | ICPT2_VMLOAD | ICPT2_VMSAVE | ICPT2_STGI |
					   ICPT2_CLGI | ICPT2_SKINIT | ICPT2_WBINVD | ICPT2_MONITOR |
					   ICPT2_MWAIT | ICPT2_XSETBV | ICPT2_RDPRU), 0);
	assert_int_equal(~i[ICPT_MISC1] & (ICPT1_INTR | ICPT1_NMI | ICPT1_SMI | ICPT1_INIT | ICPT1_CR0_SELECTIVE |
					   ICPT1_RDPMC | ICPT1_CPUID | ICPT1_INVD | ICPT1_INVLPGA | ICPT1_IOIO |
					   ICPT1_MSR | ICPT1_FERR_FREEZE | ICPT1_SHUTDOWN), 0);
	assert_int_equal(~i[ICPT_MISC3] & (ICPT3_INVLPGB | ICPT3_TLBSYNC), 0);
	assert_int_equal(~i[ICPT_EXCEPTION] & (1u << VEC_DB | 1u << VEC_AC | 1u << VEC_MC), 0);
	assert_true(i[ICPT_CR] & ICPT_CR_WRITE(4));
	assert_int_equal(i[ICPT_DR], 0x00ff00ff);
	assert_true(VMCB(v)->c.np_ctl & NP_ENABLE_BIT);
	assert_true(VMCB(v)->c.int_ctl & V_INTR_MASKING_BIT);
	assert_int_equal(VMCB(v)->c.ncr3, m->vm.npt.root_pa);
	assert_null(machine_vmcb_problem(v));
}

static void test_intercepts_after_reset_and_init(void **state)
{
	for (int init = 0; init < 2; init++) {
		memset(VMCB(v)->c.intercepts, 0, sizeof(VMCB(v)->c.intercepts));
		VMCB(v)->c.event_inj = EVENT_VALID | 0x30;
		vcpu_reset(v, init);
		check_intercepts();
		assert_true(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_HLT);
		assert_int_equal(VMCB(v)->c.event_inj, 0);
		assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & (ICPT1_VINTR | ICPT1_IRET));
	}
	m->vm.hlt_in_guest = true;
	vcpu_reset(v, true);
	check_intercepts();
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_HLT);
}

static void test_intercepts_follow_cpuid(void **state)
{
	struct kvm_cpuid_entry2 none = { .function = 0 };

	assert_false(VMCB(v)->c.intercepts[ICPT_MISC2] & ICPT2_RDTSCP);
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC3] & ICPT3_INVPCID);
	assert_int_equal(cpuid_set(v, &none, 1), 0);
	vendor_cpuid_changed(v);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC2] & ICPT2_RDTSCP);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC3] & ICPT3_INVPCID);
	vcpu_reset(v, true);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC2] & ICPT2_RDTSCP);
}

static void test_pause_filter_is_used_where_the_cpu_has_it(void **state)
{
	vcpu_reset(v, true);
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_PAUSE);
	svm.pause_filter = true;
	vcpu_reset(v, true);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_PAUSE);
	assert_int_not_equal(VMCB(v)->c.pause_filter_count, 0);
	m->vm.pause_in_guest = true;
	vcpu_reset(v, true);
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_PAUSE);
}

static void test_init_keeps_what_the_manual_says(void **state)
{
	VMCB(v)->s.star = 0x1234;
	VMCB(v)->s.sysenter_cs = 0x10;
	VMCB(v)->s.g_pat = 0x0606060606060606ull;
	v->msr.mtrr_deftype = 0xc06;
	v->xcr0 = 7;
	vcpu_reset(v, true);
	assert_int_equal(VMCB(v)->s.star, 0x1234);
	assert_int_equal(VMCB(v)->s.sysenter_cs, 0x10);
	assert_int_equal(VMCB(v)->s.g_pat, 0x0606060606060606ull);
	assert_int_equal(v->msr.mtrr_deftype, 0xc06);
	assert_int_equal(v->xcr0, 7);
	vcpu_reset(v, false);
	assert_int_equal(VMCB(v)->s.star, 0);
	assert_int_equal(VMCB(v)->s.g_pat, 0x0007040600070406ull);
	assert_int_equal(v->xcr0, 1);
}

static void test_cpus_that_cannot_be_used_are_refused(void **state)
{
	svm_exit();
	machine_set_cpuid(0x8000000a, 0, 1, 8, 0, 0);
	assert_int_equal(svm_init(), -EOPNOTSUPP);
	machine_set_cpuid(0x8000000a, 0, 1, 1, 0, 1);
	assert_int_equal(svm_init(), -EOPNOTSUPP);
	machine_set_cpuid(0x8000000a, 0, 1, 8, 0, 1);
	machine_set_cpuid(0x80000001, 0, 0, 0, ~4u, 0);
	assert_int_equal(svm_init(), -EOPNOTSUPP);
	machine_set_cpuid(0x80000000, 0, 0x80000008, 0, 0, 0);
	assert_int_equal(svm_init(), -EOPNOTSUPP);
	whole_host_cpuid(WHOLE_SPEC_BITS);
	assert_int_equal(svm_init(), 0);
}

static void check_entry(struct vcpu *v)
{
	assert_int_equal(VMCB(v)->s.rax, 0x1111);
	assert_int_equal(VMCB(v)->s.rsp, 0x2222);
	assert_int_not_equal(VMCB(v)->c.asid, 0);
	VMCB(v)->s.rax = 0x3333;
	VMCB(v)->s.rsp = 0x4444;
}

static void test_rax_and_rsp_go_through_the_vmcb(void **state)
{
	v->regs[R_AX] = 0x1111;
	v->regs[R_SP] = 0x2222;
	whole_enter(v, check_entry);
	assert_int_equal(v->regs[R_AX], 0x3333);
	assert_int_equal(v->regs[R_SP], 0x4444);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define NRIP(name)	{ "NRIP: " #name, test_##name, setup_nrip, teardown, NULL }
#define BOTH(name)	CASE(name), NRIP(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(cpuid),
		BOTH(interrupt_shadow_ends_with_the_instruction),
		BOTH(trap_flag_traps_after_an_instruction_done_here),
		BOTH(rip_is_cut_to_32_bits_outside_64_bit_code),
		BOTH(rdmsr_and_wrmsr),
		BOTH(refused_msr_access_raises_gp_and_changes_nothing),
		BOTH(hlt_halts_after_the_instruction),
		cmocka_unit_test_setup_teardown(test_hlt_without_an_apic_is_the_vmms, setup_no_apic, teardown),
		BOTH(vmmcall),
		BOTH(pause_yields),
		BOTH(cache_instructions_are_no_ops),
		BOTH(monitor_and_mwait_as_the_vmm_chose),
		BOTH(instructions_that_the_guest_does_not_have),
		BOTH(rdpmc_raises_gp),
		BOTH(xsetbv),
		CASE(instruction_that_was_changed_meanwhile_runs_again),
		CASE(hlt_that_was_changed_meanwhile_does_not_halt),
		CASE(instruction_on_a_page_that_went_away_faults_or_runs_again),
		BOTH(cr0_write),
		BOTH(cr0_values_that_raise_gp),
		BOTH(long_mode_is_entered_and_left_with_paging),
		BOTH(cache_bits_are_kept_from_the_cpu),
		BOTH(cr4_write),
		BOTH(cr4_values_that_raise_gp),
		BOTH(cr8_write),
		BOTH(debug_register_access_gives_the_registers_to_the_guest),
		CASE(debug_registers_are_taken_back_at_the_next_exit),
		CASE(nested_fault_in_memory_is_mapped),
		CASE(nested_fault_says_where_the_operand_is),
		CASE(nested_fault_outside_memory_goes_to_the_vmm),
		CASE(event_delivery_through_mmio_is_an_internal_error),
		CASE(host_error_in_a_nested_fault_ends_the_run),
		BOTH(port_write_and_read),
		CASE(host_events_only_resume),
		CASE(machine_check_is_the_hosts),
		CASE(reflected_exceptions),
		CASE(interrupt_window_closes_and_events_are_looked_at),
		CASE(shutdown_inits_the_vcpu_and_tells_the_vmm),
		CASE(failed_entry_is_reported_with_its_reason),
		CASE(unknown_exit_is_an_internal_error_with_its_code),
		CASE(interrupted_delivery_is_repeated),
		CASE(interrupted_software_interrupt_is_not_repeated),
		CASE(failed_entry_does_not_lose_the_interrupt_that_was_offered),
		CASE(iret_exit_arms_the_window_only_for_a_waiting_nmi),
		CASE(exit_before_iret_executes_keeps_nmis_masked),
		CASE(guests_own_single_step_is_not_swallowed),
		CASE(breakpoint_during_our_step_is_the_guests),
		CASE(intercepts_after_reset_and_init),
		CASE(intercepts_follow_cpuid),
		CASE(pause_filter_is_used_where_the_cpu_has_it),
		CASE(init_keeps_what_the_manual_says),
		CASE(cpus_that_cannot_be_used_are_refused),
		CASE(rax_and_rsp_go_through_the_vmcb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
