// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's registers in the API's structures. Owns no state; changes are followed by whatever the CPU would have done.
 */
#include "x86/state.h"

/* The API's order of GPRs to the encoding's. */
void state_get_regs(struct vcpu *v, struct kvm_regs *r)
{
	memset(r, 0, sizeof(*r));
	r->rax = v->regs[R_AX];
	r->rbx = v->regs[R_BX];
	r->rcx = v->regs[R_CX];
	r->rdx = v->regs[R_DX];
	r->rsi = v->regs[R_SI];
	r->rdi = v->regs[R_DI];
	r->rsp = v->regs[R_SP];
	r->rbp = v->regs[R_BP];
	r->r8 = v->regs[R_8];
	r->r9 = v->regs[R_9];
	r->r10 = v->regs[R_10];
	r->r11 = v->regs[R_11];
	r->r12 = v->regs[R_12];
	r->r13 = v->regs[R_13];
	r->r14 = v->regs[R_14];
	r->r15 = v->regs[R_15];
	r->rip = vcpu_rip(v);
	r->rflags = vcpu_rflags(v);
	if (v->hw.nmi_singlestep)
		r->rflags = (r->rflags & ~FLAG_TF) | (v->hw.nmi_singlestep_flags & FLAG_TF);
}

void state_set_regs(struct vcpu *v, const struct kvm_regs *r)
{
	v->regs[R_AX] = r->rax;
	v->regs[R_BX] = r->rbx;
	v->regs[R_CX] = r->rcx;
	v->regs[R_DX] = r->rdx;
	v->regs[R_SI] = r->rsi;
	v->regs[R_DI] = r->rdi;
	v->regs[R_SP] = r->rsp;
	v->regs[R_BP] = r->rbp;
	v->regs[R_8] = r->r8;
	v->regs[R_9] = r->r9;
	v->regs[R_10] = r->r10;
	v->regs[R_11] = r->r11;
	v->regs[R_12] = r->r12;
	v->regs[R_13] = r->r13;
	v->regs[R_14] = r->r14;
	v->regs[R_15] = r->r15;
	vcpu_set_rip(v, r->rip);
	vendor_end_nmi_step(v);
	vcpu_set_rflags(v, r->rflags | FLAG_FIXED);
	v->ev.exception.pending = false;
	vcpu_request(v, REQ_EVENT);
}

void state_get_sregs(struct vcpu *v, struct kvm_sregs *s)
{
	int vector = event_saved_interrupt(v);

	memset(s, 0, sizeof(*s));
	vcpu_get_segment(v, SEG_CS, &s->cs);
	vcpu_get_segment(v, SEG_DS, &s->ds);
	vcpu_get_segment(v, SEG_ES, &s->es);
	vcpu_get_segment(v, SEG_FS, &s->fs);
	vcpu_get_segment(v, SEG_GS, &s->gs);
	vcpu_get_segment(v, SEG_SS, &s->ss);
	vcpu_get_segment(v, SEG_TR, &s->tr);
	vcpu_get_segment(v, SEG_LDTR, &s->ldt);
	vcpu_get_tables(v, &s->gdt, &s->idt);
	s->cr0 = vcpu_cr0(v);
	s->cr2 = vcpu_cr2(v);
	s->cr3 = vcpu_cr3(v);
	s->cr4 = vcpu_cr4(v);
	s->cr8 = lapic_get_cr8(v);
	s->efer = vcpu_efer(v);
	s->apic_base = v->apic.base;
	if (vector >= 0)
		s->interrupt_bitmap[vector / 64] |= 1ull << (vector % 64);
}

static bool sregs_valid(struct vcpu *v, const struct kvm_sregs *s)
{
	bool lme = s->efer & EFER_LME_BIT, lma = s->efer & EFER_LMA_BIT;

	if (s->cr8 > 15)
		return false;
	if (s->cr0 >> 32 || ((s->cr0 & CR0_PG_BIT) && !(s->cr0 & CR0_PE_BIT)))
		return false;
	if ((s->cr0 & CR0_NW_BIT) && !(s->cr0 & CR0_CD_BIT))
		return false;
	if (!cr4_valid(v, s->cr4) || (s->efer & ~v->cpuid.efer_allowed))
		return false;
	if (lme && (s->cr0 & CR0_PG_BIT)) {
		if (!(s->cr4 & CR4_PAE_BIT) || !lma || (s->cr3 >> v->cpuid.maxphyaddr))
			return false;
		return !(s->cs.l && s->cs.db);
	}
	return !lma && !s->cs.l;
}

int state_set_sregs(struct vcpu *v, const struct kvm_sregs *s)
{
	int vector = -1;

	if (!sregs_valid(v, s))
		return -EINVAL;
	if (lapic_set_base(v, s->apic_base, true))
		return -EINVAL;
	vcpu_set_segment(v, SEG_CS, &s->cs);
	vcpu_set_segment(v, SEG_DS, &s->ds);
	vcpu_set_segment(v, SEG_ES, &s->es);
	vcpu_set_segment(v, SEG_FS, &s->fs);
	vcpu_set_segment(v, SEG_GS, &s->gs);
	vcpu_set_segment(v, SEG_SS, &s->ss);
	vcpu_set_segment(v, SEG_TR, &s->tr);
	vcpu_set_segment(v, SEG_LDTR, &s->ldt);
	vcpu_set_tables(v, &s->gdt, &s->idt);
	vcpu_set_cr2(v, s->cr2);
	vendor_set_efer(v, s->efer);
	vendor_set_cr0(v, s->cr0);
	vendor_set_cr3(v, s->cr3);
	vendor_set_cr4(v, s->cr4);
	lapic_set_cr8(v, s->cr8);
	vendor_flush_tlb(v);
	for (int i = 0; i < 256; i++)
		if (s->interrupt_bitmap[i / 64] >> (i % 64) & 1)
			vector = i;
	if (vector >= 0)
		event_restore_interrupt(v, vector);
	vcpu_request(v, REQ_EVENT);
	return 0;
}

void state_get_debugregs(struct vcpu *v, struct kvm_debugregs *d)
{
	memset(d, 0, sizeof(*d));
	memcpy(d->db, v->dr, sizeof(v->dr));
	d->dr6 = VMCB(v)->s.dr6;
	d->dr7 = VMCB(v)->s.dr7;
}

int state_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d)
{
	if (d->flags || d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	memcpy(v->dr, d->db, sizeof(v->dr));
	VMCB(v)->s.dr6 = (d->dr6 & ~(1ull << 12)) | 0xffff0ff0;
	VMCB(v)->s.dr7 = (d->dr7 & ~0xd000ull) | 0x400;
	return 0;
}

u32 state_get_mp_state(struct vcpu *v)
{
	if (v->apic.present)
		lapic_accept_init_sipi(v);
	return v->mp_state;
}

int state_set_mp_state(struct vcpu *v, u32 mp_state)
{
	if (!v->apic.present && mp_state != KVM_MP_STATE_RUNNABLE)
		return -EINVAL;
	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		v->mp_state = mp_state;
		break;
	case KVM_MP_STATE_SIPI_RECEIVED:
		v->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		lapic_receive_sipi(v);
		break;
	default:
		return -EINVAL;
	}
	vcpu_request(v, REQ_EVENT);
	return 0;
}

bool vcpu_xcr0_valid(struct vcpu *v, u64 xcr0)
{
	if (xcr0 & ~v->cpuid.xcr0_allowed)
		return false;
	if (!(xcr0 & 1) || ((xcr0 & 4) && !(xcr0 & 2)))
		return false;
	/* AVX-512's three parts come together, and need AVX. */
	return !(xcr0 & 0xe0) || ((xcr0 & 0xe0) == 0xe0 && (xcr0 & 4));
}

void state_get_xcrs(struct vcpu *v, struct kvm_xcrs *x)
{
	memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].value = v->xcr0;
}

int state_set_xcrs(struct vcpu *v, const struct kvm_xcrs *x)
{
	if (x->nr_xcrs > KVM_MAX_XCRS || x->flags)
		return -EINVAL;
	for (u32 i = 0; i < x->nr_xcrs; i++) {
		if (x->xcrs[i].xcr)
			continue;
		if (!vcpu_xcr0_valid(v, x->xcrs[i].value))
			return -EINVAL;
		v->xcr0 = x->xcrs[i].value;
		break;
	}
	return 0;
}

void state_to_run(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->if_flag = !!(vcpu_rflags(v) & FLAG_IF);
	run->flags = 0;
	run->cr8 = vcpu_cr8(v);
	run->apic_base = v->apic.base;
	run->ready_for_interrupt_injection = event_ready_for_extint(v);
}
