// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes svm/exits.c, svm.c, event.c and all that they reach: a guest in any mode runs any
 * instructions and exits for any reason, again and again, and a VMM answers with any data. Handlers
 * answer with an outcome that exists, and the CPU takes the VMCB at the next entry.
 *
 * Input: a byte of features, a byte of mode, 16 bytes of code, then steps of 48 bytes (struct step).
 */
#include "../unit/guest.h"
#include "whole.h"

#define MEMORY		0x60000u
#define CODE_GPA	0x8000ull
#define CODE_GVA	0x400000ull
#define MMIO_GVA	0xd0000000ull
#define MMIO_GPA	0xfeb00000ull
#define RIGHTS		(PTE_P | PTE_W | PTE_U)
#define MAX_STEPS	24
#define MAX_ROUNDS	70000	/* of the VMM for one instruction: as many as INS has elements in a page, and more */

/* What the CPU says at an exit, and what the guest did since the last one. */
struct step {
	u8 reason, reg, flags, length;
	u32 code;
	u64 info1, info2;
	u64 value;
	u32 int_info, int_error;
	u8 bytes[8];
} __attribute__((packed));

static const u16 reasons[] = {
	SVM_EXIT_READ_CR0, SVM_EXIT_WRITE_CR0, SVM_EXIT_WRITE_CR4, SVM_EXIT_WRITE_CR8, SVM_EXIT_READ_DR0,
	SVM_EXIT_WRITE_DR7, SVM_EXIT_EXCP_BASE + VEC_DB, SVM_EXIT_EXCP_BASE + VEC_AC,
	SVM_EXIT_EXCP_BASE + VEC_MC, SVM_EXIT_INTR, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT,
	SVM_EXIT_VINTR, SVM_EXIT_CR0_SEL_WRITE, SVM_EXIT_RDPMC, SVM_EXIT_CPUID, SVM_EXIT_IRET,
	SVM_EXIT_INVD, SVM_EXIT_PAUSE, SVM_EXIT_HLT, SVM_EXIT_INVLPGA, SVM_EXIT_IOIO, SVM_EXIT_IOIO,
	SVM_EXIT_MSR, SVM_EXIT_MSR, SVM_EXIT_SHUTDOWN, SVM_EXIT_VMRUN, SVM_EXIT_VMMCALL, SVM_EXIT_RDTSCP,
	SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT, SVM_EXIT_XSETBV, SVM_EXIT_RDPRU,
	SVM_EXIT_INVPCID, SVM_EXIT_NPF, SVM_EXIT_NPF, SVM_EXIT_NPF, SVM_EXIT_NPF,
};

static const struct step *now;
static struct guest g;

static void enter_mode(struct vcpu *v, enum guest_mode mode)
{
	guest_set_mode(&g, mode);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	vendor_set_cr0(v, VMCB(v)->s.cr0);
	VMCB(v)->s.rip = mode == GUEST_REAL ? CODE_GPA : CODE_GVA;
	if (mode == GUEST_REAL)
		return;
	guest_map(&g, CODE_GVA, CODE_GPA, RIGHTS);
	guest_map(&g, CODE_GVA + 4096, CODE_GPA + 4096, RIGHTS);
	guest_map(&g, MMIO_GVA, MMIO_GPA, RIGHTS);
	guest_map(&g, MMIO_GVA + 4096, CODE_GPA, RIGHTS);
}

/* EXITINFO1 of an IOIO exit names one size. */
static u64 io_info(u64 info)
{
	u64 sizes[] = { 1, 2, 4 };

	return (info & 0xffff000full) | sizes[info % 3] << 4;
}

/* The guest between VMRUN and the exit. */
static void guest(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	struct vmcb_save *s = &VMCB(v)->s;

	v->regs[now->reg & 15] = now->value;
	if ((now->reg & 15) == R_AX)
		s->rax = now->value;
	if (now->flags & 1)
		s->rflags ^= (now->value & 0x3f7fd7) & ~FLAG_FIXED;
	s->rflags |= FLAG_FIXED;
	if (now->flags & 2)
		s->cpl = now->value & 3;
	if ((now->flags & 4) && (c->int_ctl & V_IRQ_BIT) && !(c->intercepts[ICPT_MISC1] & ICPT1_VINTR))
		c->int_ctl &= ~V_IRQ_BIT;	/* it took the interrupt */
	if (now->flags & 8)
		c->int_state ^= INT_SHADOW_BIT;
	c->exit_code = now->reason & 0x80 ? now->code : reasons[now->reason % ARRAY_SIZE(reasons)];
	if (c->exit_code == (u32)SVM_EXIT_ERR)
		c->exit_code = SVM_EXIT_INTR;
	c->exit_info_1 = c->exit_code == SVM_EXIT_IOIO ? io_info(now->info1) : now->info1;
	c->exit_info_2 = c->exit_code == SVM_EXIT_NPF ? now->info2 & ((1ull << 52) - 1) : s->rip + now->length % 16;
	if (c->exit_code == SVM_EXIT_NPF && (now->flags & 16))
		c->exit_info_2 = MMIO_GPA | (now->info2 & 0xfff);
	c->next_rip = svm.nrip ? s->rip + 1 + now->length % 15 : 0;
	c->exit_int_info = machine_interrupted_event(now->int_info >> 28 & 7, now->int_info);
	c->exit_int_info_err = now->int_error;
}

static void check_exit_to_user(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		if (!run->mmio.len || run->mmio.len > 8)
			abort();
		break;
	case KVM_EXIT_IO:
		if (run->io.size * (u64)run->io.count > 4096 || !run->io.count)
			abort();
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.ndata > 16)
			abort();
		break;
	case KVM_EXIT_HLT:
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_SET_TPR:
		break;
	default:
		abort();
	}
}

static void check(struct vcpu *v)
{
	if (machine_vmcb_problem(v))
		abort();
	if (v->ev.exception.pending && (v->ev.exception.vector > 31 || v->ev.exception.vector == VEC_NMI))
		abort();
	if (v->ev.offered != -1 || v->ev.nmi_pending > 2)
		abort();
	if (!vcpu_is_64bit(v) && v->hw.exit_code == SVM_EXIT_CPUID && vcpu_rip(v) >> 32)
		abort();
}

/* The VMM answers until the instruction needs nothing more. */
static void answer(struct vcpu *v)
{
	int rounds = 0;

	do {
		check_exit_to_user(v);
		if (++rounds > MAX_ROUNDS)
			abort();
		memcpy(v->run->mmio.data, &now->value, 8);
		memcpy(v->pio_data, now->bytes, sizeof(now->bytes));
	} while (emulate_complete(v) == EXIT_TO_USER);
}

static void run_step(struct vcpu *v)
{
	int r;

	if (v->requests & 1ull << REQ_TRIPLE_FAULT)
		v->requests &= ~(1ull << REQ_TRIPLE_FAULT);
	whole_enter(v, guest);
	if (v->hw.exit_code == (u32)SVM_EXIT_ERR)
		abort();
	r = vendor_handle_exit(v);
	if (r != RESUME && r != EXIT_TO_USER && r != -EFAULT && r != -ENOMEM)
		abort();
	if (r == EXIT_TO_USER)
		answer(v);
	check(v);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	if (now->flags & 32)
		memcpy(g.m->mem + CODE_GPA + (vcpu_rip(v) & 0xfff), now->bytes, sizeof(now->bytes));
	if (now->flags & 64)
		event_nmi(v);
	if (v->apic.present && (now->flags & 128))
		lapic_deliver(v->vm, NULL, &(struct apic_msg){ .vector = 16 | now->length, .assert = true });
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const size_t head = 18;
	struct vcpu *v;
	u32 svr = 0x1ff;

	if (size < head + sizeof(struct step))
		return 0;
	machine_now_ns = 1000000000;
	g.m = whole_create(MEMORY, !(data[0] & 1));
	g.v = v = vm_vcpu(&g.m->vm, 0);
	svm.nrip = data[0] & 2;
	svm.decode_assists = svm.nrip && (data[0] & 4);
	if (data[0] & 8)
		g.m->vm.disabled_quirks = ~0ull;
	if (v->apic.present)
		lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
	enter_mode(v, data[1] % 5);
	for (unsigned int i = 0; i < 4096; i += 16)
		memcpy(g.m->mem + CODE_GPA + i, data + 2, 16);
	for (size_t at = head, n = 0; at + sizeof(struct step) <= size && n < MAX_STEPS; at += sizeof(struct step), n++) {
		now = (const struct step *)(data + at);
		run_step(v);
	}
	whole_free(g.m);
	return 0;
}
