// SPDX-License-Identifier: GPL-2.0
/*
 * The SVM of the CPU in user space: VMRUN checks the VMCB as the manual says, and lets the test play
 * the guest.
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

const char *machine_vmcb_problem(struct vcpu *v)
{
	const struct vmcb_control *c = &VMCB(v)->c;
	const char *problem = registers_problem(&VMCB(v)->s);

	if (problem)
		return problem;
	if (!(c->intercepts[ICPT_MISC2] & ICPT2_VMRUN))
		return "VMRUN is not intercepted";
	if (!(c->np_ctl & NP_ENABLE_BIT))
		return "nested paging is off";
	return event_problem(c->event_inj);
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
	machine_cpu.others = true;
	machine_guest(v);
	machine_cpu.others = false;
}

void svm_world_switch(struct vcpu *v, u64 guest_vmcb_pa, u64 host_vmcb_pa, u64 host_spec_ctrl)
{
	if (guest_vmcb_pa != (uintptr_t)VMCB(v))
		abort();
	do
		vmrun(v);
	while (v->hw.inner && svm_inner(v));
}
