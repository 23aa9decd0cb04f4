// SPDX-License-Identifier: GPL-2.0
/*
 * The SVM of the CPU in user space: VMRUN checks the VMCB as the manual says, and lets the test play the guest, with help where AVIC plays
 * a part.
 */
#include "machine.h"
#include "x86/svm/svm.h"

void (*machine_guest)(struct vcpu *v);

/* APM vol. 2, 3.1.3: CR4 bits that no CPU of this age has. */
#define CR4_MBZ		(~0ull << 24 | 1ull << 19 | 3ull << 14 | 1ull << 13)
/* 3.1.7: EFER bits 1..7, 9, 16, 19, 22.. */
#define EFER_MBZ	(0xfeull | 1ull << 9 | 1ull << 16 | 1ull << 19 | ~0ull << 22)

static const char *registers_problem(const struct vmcb_save *s)
{
	bool long_mode = (s->efer & EFER_LME_BIT) && (s->cr0 & CR0_PG_BIT);

	if (!(s->efer & EFER_SVME_BIT))
		return "EFER.SVME is 0";
	if (s->efer & EFER_MBZ)
		return "reserved EFER bits";
	if ((s->cr0 & CR0_NW_BIT) && !(s->cr0 & CR0_CD_BIT))
		return "CR0.NW without CD";
	if (s->cr0 >> 32)
		return "upper half of CR0";
	if (s->cr4 & CR4_MBZ)
		return "reserved CR4 bits";
	if (s->cr3 >> 52)
		return "reserved CR3 bits";
	if (s->dr6 >> 32 || s->dr7 >> 32)
		return "upper half of DR6 or DR7";
	if (long_mode && !(s->cr4 & CR4_PAE_BIT))
		return "long mode without CR4.PAE";
	if (long_mode && !(s->cr0 & CR0_PE_BIT))
		return "long mode without CR0.PE";
	if (long_mode && (s->cs.attrib & 3u << 9) == 3u << 9)
		return "CS.L and CS.D in long mode";
	for (unsigned int i = 0; i < 8; i++) {
		u8 type = s->g_pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return "PAT type";
	}
	return NULL;
}

static const char *event_problem(u32 event)
{
	u8 vector = event & 0xff;

	if (!(event & EVENT_VALID))
		return NULL;
	switch (event & EVENT_TYPE_FIELD) {
	case EVENT_TYPE_EXCEPTION:
		return vector > 31 || vector == VEC_NMI ? "vector of an injected exception" : NULL;
	case EVENT_TYPE_INTR:
	case EVENT_TYPE_NMI:
	case EVENT_TYPE_SOFT:
		return NULL;
	}
	return "type of an injected event";
}

/* What 15.29 leaves open is as in lab/qemu/0005. */
static const char *avic_problem(const struct vmcb_control *c)
{
	bool x2avic = c->int_ctl & X2AVIC_BIT;

	if (!(c->int_ctl & AVIC_BIT))
		return x2avic ? "x2AVIC without AVIC" : NULL;
	if (!svm.avic || (x2avic && !svm.x2avic))
		return "AVIC that the CPU does not have";
	if ((c->avic_bar | c->avic_page | c->avic_logical | c->avic_physical) >> svm.phys_bits)
		return "an AVIC pointer beyond physical memory";
	if ((c->avic_bar | c->avic_page | c->avic_logical) & 0xfff || !c->avic_page || !c->avic_logical || !(c->avic_physical >> 12))
		return "an AVIC pointer that is no page's";
	if ((c->avic_physical & 0xfff) > (x2avic ? 511 : 255))
		return "AVIC's highest index";
	return NULL;
}

const char *machine_vmcb_problem(struct vcpu *v)
{
	const struct vmcb_control *c = &VMCB(v)->c;
	const char *problem = registers_problem(&VMCB(v)->s);

	if (!problem)
		problem = avic_problem(c);
	if (problem)
		return problem;
	if (!(c->intercepts[ICPT_MISC2] & ICPT2_VMRUN))
		return "VMRUN is not intercepted";
	if (!(c->np_ctl & NP_ENABLE_BIT))
		return "nested paging is off";
	return event_problem(c->event_inj);
}

/* --- AVIC. --- */

#define ENTRY_VALID	(1ull << 63)
#define ENTRY_RUNNING	(1ull << 62)
#define ENTRY_PAGE	0x000ffffffffff000ull
#define ENTRY_CPU	0xfffull

/* EXITINFO2[63:32] of AVIC_INCOMPLETE_IPI. */
enum { IPI_TYPE, IPI_TARGET = 2, IPI_VECTOR = 4 };

#define ICR_MODE		(7u << 8)
#define ICR_LOGICAL		(1u << 11)
#define ICR_BUSY		(1u << 12)
#define ICR_LEVEL		(1u << 15)

static struct vcpu *in_guest;	/* it runs now */

/* A register of the APIC whose page is at @page: physical addresses are pointers here. */
static u32 *page_reg(u64 page, u32 reg)
{
	return (u32 *)(uintptr_t)(page & ENTRY_PAGE) + reg / 4;
}

static u32 *page_word(u64 page, u32 array, u8 vector)
{
	return page_reg(page, array + (vector >> 5) * 16);
}

static int highest_vector(u64 page, u32 array)
{
	for (int vector = 224; vector >= 0; vector -= 32) {
		u32 word = __atomic_load_n(page_word(page, array, vector), __ATOMIC_SEQ_CST);

		if (word)
			return vector + lapic_highest_bit(word);
	}
	return -1;
}

static void set_vector(u64 page, u32 array, u8 vector)
{
	__atomic_fetch_or(page_word(page, array, vector), lapic_vector_bit(vector), __ATOMIC_SEQ_CST);
}

static void clear_vector(u64 page, u32 array, u8 vector)
{
	__atomic_fetch_and(page_word(page, array, vector), ~lapic_vector_bit(vector), __ATOMIC_SEQ_CST);
}

/* V_TPR counts, not the TPR in the page. It does not write PPR there, which no guest of the engine's can read without an exit. */
static u32 priority(const struct vmcb_control *c)
{
	u32 tpr = (c->int_ctl & V_TPR_FIELD) << 4;
	int isr = highest_vector(c->avic_page, LAPIC_ISR);

	return isr >= 0 && LAPIC_PRIORITY((u32)isr) > tpr ? LAPIC_PRIORITY(isr) : tpr;
}

/* The vector to be taken next, or -1. */
static int next_vector(const struct vmcb_control *c)
{
	int vector;

	if (!(c->int_ctl & AVIC_BIT))
		return -1;
	vector = highest_vector(c->avic_page, LAPIC_IRR);
	return vector >= 0 && LAPIC_PRIORITY((u32)vector) > priority(c) ? vector : -1;
}

/* The CPU looks at IRR; what it does not see it will not see before it looks again. */
static void look_at_irr(const struct vmcb_control *c)
{
	machine_cpu.looks |= next_vector(c) >= 0;
}

int machine_take_from_irr(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	int vector = next_vector(c);

	machine_cpu.looks &= vector >= 0;
	if (!machine_cpu.looks || !(VMCB(v)->s.rflags & FLAG_IF) || (c->int_state & INT_SHADOW_BIT))
		return -1;
	clear_vector(c->avic_page, LAPIC_IRR, vector);
	set_vector(c->avic_page, LAPIC_ISR, vector);
	return vector;
}

void machine_doorbell(u32 apic_id)
{
	if (!in_guest || apic_id != host_apic_id())
		return;
	machine_cpu.doorbells++;
	look_at_irr(&VMCB(in_guest)->c);
}

/* An IPI of @c's guest; @send: or only a look whether it can be sent. */
struct ipi {
	const struct vmcb_control *c;
	u8 vector;
	bool send;
	u64 failed;	/* EXITINFO2, or IPI_COMPLETE */
};

/* The first failure is told. */
static void fail(struct ipi *ipi, u32 reason, u32 index)
{
	if (ipi->failed == IPI_COMPLETE)
		ipi->failed = (u64)reason << 32 | index;
}

static void send_to_entry(struct ipi *ipi, u32 id)
{
	const u64 *table = (const u64 *)(uintptr_t)(ipi->c->avic_physical & ENTRY_PAGE);
	u64 entry = id <= (ipi->c->avic_physical & 0xfff) ? table[id] : 0;

	if (!(entry & ENTRY_VALID)) {
		fail(ipi, IPI_TARGET, id);
		return;
	}
	if (!ipi->send)
		return;
	set_vector(entry, LAPIC_IRR, ipi->vector);
	entry = __atomic_load_n(&table[id], __ATOMIC_SEQ_CST);
	if (entry & ENTRY_RUNNING)
		machine_doorbell(entry & ENTRY_CPU);
	else
		fail(ipi, AVIC_IPI_NOT_RUNNING, id);
}

/* It passes over invalid entries. */
static void send_to_all(struct ipi *ipi, bool self)
{
	const u64 *table = (const u64 *)(uintptr_t)(ipi->c->avic_physical & ENTRY_PAGE);

	for (u32 id = 0; id <= (ipi->c->avic_physical & 0xfff); id++)
		if ((table[id] & ENTRY_VALID) && (self || (table[id] & ENTRY_PAGE) != ipi->c->avic_page))
			send_to_entry(ipi, id);
}

static void send_to_targets(struct ipi *ipi, u32 low, u32 dest)
{
	switch (low >> 18 & 3) {
	case APIC_SELF:
		if (ipi->send)
			set_vector(ipi->c->avic_page, LAPIC_IRR, ipi->vector);
		return;
	case APIC_ALL:
	case APIC_OTHERS:
		send_to_all(ipi, (low >> 18 & 3) == APIC_ALL);
		return;
	}
	if (dest == U32_MAX) {
		send_to_all(ipi, true);
	} else if (low & ICR_LOGICAL) {
		for (u32 bit = 0; bit < 16; bit++)
			if (dest >> bit & 1)
				send_to_entry(ipi, (dest >> 16) * 16 + bit);
	} else {
		send_to_entry(ipi, dest);
	}
}

u64 machine_send_ipi(struct vcpu *v, u64 icr)
{
	struct ipi ipi = { .c = &VMCB(v)->c, .vector = icr, .failed = IPI_COMPLETE };
	u32 low = icr, dest = icr >> 32;

	*page_reg(ipi.c->avic_page, LAPIC_ICR) = low;
	*page_reg(ipi.c->avic_page, LAPIC_ICR_HIGH) = dest;
	if (low & (ICR_MODE | ICR_LEVEL))
		fail(&ipi, IPI_TYPE, 0);
	else if (ipi.vector < LAPIC_FIRST_VECTOR)
		fail(&ipi, IPI_VECTOR, 0);
	else
		send_to_targets(&ipi, low, dest);
	/* Unless every target is valid, nothing is sent. */
	if (ipi.failed == IPI_COMPLETE) {
		ipi.send = true;
		send_to_targets(&ipi, low, dest);
	}
	return ipi.failed;
}

/* --- Instructions. --- */

u32 machine_interrupted_event(u32 type, u32 info)
{
	u32 vector = info & 0xff;

	switch (type) {
	case 0:
		return EVENT_VALID | EVENT_TYPE_INTR | vector;
	case 1:
		return EVENT_VALID | EVENT_TYPE_NMI | VEC_NMI;
	case 2:
		vector &= 31;
		return vector == VEC_NMI ? 0 : EVENT_VALID | EVENT_TYPE_EXCEPTION | (info & EVENT_ERROR_VALID) | vector;
	case 3:
		return EVENT_VALID | EVENT_TYPE_SOFT | vector;
	}
	return 0;
}

bool machine_leave(struct vcpu *v, u32 code, u64 info_1, u64 info_2, u32 length)
{
	struct vmcb_control *c = &VMCB(v)->c;

	c->exit_code = code;
	c->exit_info_1 = info_1;
	c->exit_info_2 = info_2;
	c->next_rip = VMCB(v)->s.rip + length;
	return true;
}

static void retire(struct vcpu *v, u32 length)
{
	struct vmcb *vmcb = VMCB(v);

	vmcb->s.rip += length;
	if (!(vmcb->s.cs.attrib & VMCB_CS_LONG))
		vmcb->s.rip = (u32)vmcb->s.rip;
	vmcb->c.int_state &= ~INT_SHADOW_BIT;
}

bool machine_msr_intercepted(const struct vcpu *v, u32 msr, bool write)
{
	u32 index = msr - 0xc0000000u < 0x2000 ? msr - 0xc0000000u + 0x2000 : msr;

	return index >= 0x4000 || ((const u8 *)v->hw.msrpm)[index / 4] >> (index % 4 * 2 + write) & 1;
}

/* True: it is level-triggered, and the hypervisor's to end. */
static bool end_interrupt(struct vcpu *v)
{
	u64 page = VMCB(v)->c.avic_page;
	int vector = highest_vector(page, LAPIC_ISR);

	if (vector < 0)
		return false;
	if (*page_word(page, LAPIC_TMR, vector) & lapic_vector_bit(vector))
		return machine_leave(v, SVM_EXIT_AVIC_NOACCEL, AVIC_ACCESS_WRITE | LAPIC_EOI, vector, 0);
	clear_vector(page, LAPIC_ISR, vector);
	return false;
}

static void write_tpr(struct vmcb_control *c, u32 tpr)
{
	c->int_ctl = (c->int_ctl & ~V_TPR_FIELD) | tpr >> 4;
	*page_reg(c->avic_page, LAPIC_TPR) = tpr;
}

/* The APIC's MSRs are the guest's only with x2AVIC. */
static void check_x2avic(const struct vcpu *v)
{
	if (~VMCB(v)->c.int_ctl & (AVIC_BIT | X2AVIC_BIT))
		abort();
}

bool machine_wrmsr(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	u64 value = (u32)VMCB(v)->s.rax | v->regs[R_DX] << 32, failed;
	u32 msr = v->regs[R_CX];
	bool exits = false;

	if (machine_msr_intercepted(v, msr, true))
		return machine_leave(v, SVM_EXIT_MSR, 1, 0, 2);
	check_x2avic(v);
	retire(v, 2);
	switch (msr) {
	case M_X2APIC_TPR:
		write_tpr(c, value);
		break;
	case M_X2APIC_EOI:
		exits = end_interrupt(v);
		break;
	case M_X2APIC_ICR:
		value &= ~(u64)ICR_BUSY;
		failed = machine_send_ipi(v, value);
		exits = failed != IPI_COMPLETE && machine_leave(v, SVM_EXIT_AVIC_INCOMPLETE_IPI, value, failed, 0);
		break;
	default:
		abort();	/* the engine passes no others */
	}
	look_at_irr(c);
	return exits;
}

bool machine_rdmsr(struct vcpu *v)
{
	u64 page = VMCB(v)->c.avic_page;
	u32 msr = v->regs[R_CX];

	if (machine_msr_intercepted(v, msr, false))
		return machine_leave(v, SVM_EXIT_MSR, 0, 0, 2);
	check_x2avic(v);
	retire(v, 2);
	VMCB(v)->s.rax = *page_reg(page, (msr & 0xff) << 4);
	v->regs[R_DX] = msr == M_X2APIC_ICR ? *page_reg(page, LAPIC_ICR_HIGH) : 0;
	return false;
}

bool machine_write_cr8(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	u32 cr8 = v->regs[R_DI] & V_TPR_FIELD;

	if (c->intercepts[ICPT_CR] & ICPT_CR_WRITE(8))
		return machine_leave(v, SVM_EXIT_WRITE_CR8, 1ull << 63 | R_DI, 0, 4);
	if (c->int_ctl & AVIC_BIT)
		write_tpr(c, cr8 << 4);
	else
		vendor_set_cr8(v, cr8);
	retire(v, 4);
	look_at_irr(c);
	return false;
}

static void vmrun(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;

	if (!machine_cpu.irqs_off || !machine_cpu.preempt_off || !machine_cpu.in_guest_xstate)
		abort();
	/* A vCPU that looks as if it had been kicked is not kicked again: then a kick must be on its way. */
	if (v->mode == OUTSIDE_GUEST || (v->mode == EXITING_GUEST && !machine_cpu.kicked))
		abort();
	machine_cpu.entries++;
	c->exit_int_info = 0;
	c->exit_info_1 = c->exit_info_2 = c->next_rip = 0;
	c->exit_code_hi = 0;
	c->exit_code = SVM_EXIT_ERR;
	if (machine_vmcb_problem(v) || !c->asid) {
		c->exit_code_hi = U32_MAX;
		return;
	}
	c->exit_code = SVM_EXIT_INTR;
	if (!machine_guest || machine_cpu.kicked)
		return;
	machine_cpu.looks = false;
	look_at_irr(c);
	in_guest = v;
	machine_cpu.kicked |= machine_cpu.exit_at_once;
	machine_cpu.exit_at_once = false;
	machine_cpu.others = true;
	machine_guest(v);
	machine_cpu.others = false;
	in_guest = NULL;
}

void svm_world_switch(struct vcpu *v, u64 guest_vmcb_pa, u64 host_vmcb_pa, u64 host_spec_ctrl)
{
	if (guest_vmcb_pa != (uintptr_t)VMCB(v))
		abort();
	do
		vmrun(v);
	while (v->hw.inner && svm_inner(v));
}
