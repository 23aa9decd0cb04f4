// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes msr.c and what it reaches: sequences of RDMSR and WRMSR by the guest and by the VMM, entries
 * between them, time that passes. Whatever is written, the CPU takes the VMCB, and reads answer from
 * state.
 *
 * Input: a byte of features, then steps of 14 bytes: operation, MSR selector, MSR number, value.
 */
#include "whole.h"

#define STEP_SIZE	14
#define MAX_STEPS	64

static const u32 known[] = {
	0x10, 0x11, 0x12, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xfe, 0x10a, 0x174, 0x175, 0x176, 0x179,
	0x17a, 0x17b, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x258, 0x259, 0x268, 0x277, 0x2ff, 0x400,
	0x401, 0x402, 0x47f, 0x6e0, 0x802, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83e, 0x83f,
	0xda0, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d04, 0x4b564d08, 0xc0000080, 0xc0000081,
	0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
	0xc0010000, 0xc0010015, 0xc0010114, 0xc0010117, 0xc001011f, 0xc0011029, 0x34,
};

enum operation { GUEST_WRITE, GUEST_READ, HOST_WRITE, HOST_READ, ENTER, PASS_TIME, PAGING, RESET, NR_OPERATIONS };

static void nothing(struct vcpu *v)
{
}

static void check(struct vcpu *v)
{
	static const unsigned int based[] = { SEG_FS, SEG_GS };

	if (machine_vmcb_problem(v))
		abort();
	/* Long mode is active exactly when it is enabled and paging is on. */
	if (!(vcpu_efer(v) & EFER_LMA_BIT) != !((vcpu_efer(v) & EFER_LME_BIT) && (vcpu_cr0(v) & CR0_PG_BIT)))
		abort();
	for (unsigned int i = 0; i < ARRAY_SIZE(based); i++) {
		struct kvm_segment s;

		vcpu_get_segment(v, based[i], &s);
		if ((u64)((s64)(s.base << 7) >> 7) != s.base)
			abort();
	}
	/* The world switch loads this with WRMSR. */
	if (v->hw.spec_ctrl & ~machine_spec_ctrl_bits)
		abort();
	if (v->msr.tsc_aux >> 32 || (u64)v->msr.tsc_offset != VMCB(v)->c.tsc_offset)
		abort();
}

/* The answer depends on nothing but state. */
static void read_twice(struct vcpu *v, u32 msr, bool host)
{
	u64 a = 0x5555555555555555ull, b = 0xaaaaaaaaaaaaaaaaull;
	int r = msr_read(v, msr, &a, host);

	if ((r != 0 && r != 1) || msr_read(v, msr, &b, host) != r)
		abort();
	if (!r && a != b)
		abort();
}

/* A VMM may make a state that no CPU enters; it keeps the mode bits here, so that the guest does not. */
static void host_write(struct vcpu *v, u32 msr, u64 value)
{
	u64 mode = EFER_LME_BIT | EFER_LMA_BIT;

	if (msr == 0xc0000080)
		value = (value & ~mode) | (vcpu_efer(v) & mode);
	msr_write(v, msr, value, true);
}

/* Paging and with it long mode go on and off, as MOV CR0 does it. */
static void toggle_paging(struct vcpu *v)
{
	struct vmcb_save *s = &VMCB(v)->s;

	s->cr0 ^= CR0_PG_BIT;
	s->cr0 |= CR0_PE_BIT;
	s->cr4 |= CR4_PAE_BIT;
	s->efer &= ~EFER_LMA_BIT;
	if ((s->cr0 & CR0_PG_BIT) && (s->efer & EFER_LME_BIT))
		s->efer |= EFER_LMA_BIT;
}

static void run_step(struct machine *m, struct vcpu *v, const u8 *in)
{
	bool by_table = in[1] & 0x80;
	u32 msr;
	u64 value;

	memcpy(&msr, in + 2, sizeof(msr));
	memcpy(&value, in + 6, sizeof(value));
	if (by_table)
		msr = known[(in[1] & 0x7f) % ARRAY_SIZE(known)] + (msr & 3);
	switch (in[0] % NR_OPERATIONS) {
	case GUEST_WRITE:
		msr_write(v, msr, value, false);
		break;
	case GUEST_READ:
		read_twice(v, msr, false);
		break;
	case HOST_WRITE:
		host_write(v, msr, value);
		break;
	case HOST_READ:
		read_twice(v, msr, true);
		break;
	case ENTER:
		vcpu_take_request(v, REQ_CLOCK_UPDATE);
		pv_clock_update(v);
		whole_enter(v, nothing);
		if (v->hw.exit_code == (u32)SVM_EXIT_ERR)
			abort();
		break;
	case PASS_TIME:
		machine_advance(m, value % 1000000000);
		break;
	case PAGING:
		toggle_paging(v);
		break;
	case RESET:
		vcpu_reset(v, true);
		break;
	}
	check(v);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct machine *m;
	struct vcpu *v;

	if (size < 1)
		return 0;
	machine_now_ns = 1000000000;
	m = whole_create(1 << 16, data[0] & 1);
	v = vm_vcpu(&m->vm, 0);
	machine_spec_ctrl_bits = data[0] >> 1 & 7;
	v->cpuid.has_tsc_deadline = data[0] & 16;
	msr_setup_mce(v, 10 | (data[0] & 32 ? 1ull << 8 : 0));
	check(v);
	for (size_t at = 1, n = 0; at + STEP_SIZE <= size && n < MAX_STEPS; at += STEP_SIZE, n++)
		run_step(m, v, data + at);
	whole_free(m);
	return 0;
}
