// SPDX-License-Identifier: GPL-2.0
/*
 * AMD SVM: a vCPU's VMCB from creation to entry and back (APM vol. 2, chapter 15). Owns struct vendor_vcpu and what the VMCB's
 * control area says, but for AVIC's part (avic.c) and the inner loop's (fast.h, inner.c); exits.c has the exit handlers.
 */
#include "x86/svm/svm.h"
#include "x86/svm/switch_offsets.h"

_Static_assert(__builtin_offsetof(struct vcpu, regs) == V_REGS, "switch.S");
_Static_assert(__builtin_offsetof(struct vcpu, hw.spec_ctrl) == V_SPEC_CTRL, "switch.S");
_Static_assert(__builtin_offsetof(struct vcpu, hw.spec_ctrl_passed) == V_SPEC_CTRL_PASSED, "switch.S");
_Static_assert(__builtin_offsetof(struct vcpu, hw.inner) == V_INNER, "switch.S");
_Static_assert(__builtin_offsetof(struct vcpu, hw.vmcb_pa) == V_VMCB_PA, "switch.S");
_Static_assert(__builtin_offsetof(struct vcpu, hw.vmcb) == V_VMCB, "switch.S");
_Static_assert(__builtin_offsetof(struct vmcb, c.exit_code) == VMCB_EXIT_CODE, "switch.S");
#define INNER_BIT(exit)	(1u << ((exit) - SVM_INNER_FIRST))
_Static_assert((INNER_BIT(SVM_EXIT_CPUID) | INNER_BIT(SVM_EXIT_MSR) | INNER_BIT(SVM_EXIT_VMMCALL)) == SVM_INNER_EXITS, "switch.S");

struct svm_features svm;

/* All ports intercepted, for all VMs: three pages of ones (15.10.1). */
static void *iopm;
static u64 iopm_pa;
#define IOPM_ORDER	2

static bool svm_detect(const char **why)
{
	u32 a, b, c, d;

	host_cpuid(0x80000000, 0, &a, &b, &c, &d);
	if (a < 0x8000000a) {
		*why = "this CPU has no SVM";
		return false;
	}
	host_cpuid(0x80000001, 0, &a, &b, &c, &d);
	if (!(c & (1u << 2))) {
		*why = "this CPU has no SVM";
		return false;
	}
	host_cpuid(0x8000000a, 0, &a, &b, &c, &d);
	if (!(d & (1u << 0))) {
		*why = "this CPU has SVM but no nested paging, and Exeunt has no shadow paging";
		return false;
	}
	svm.nr_asids = b;
	svm.avic = d & (1u << 13);
	svm.x2avic = svm.avic && (d & (1u << 18));
	svm.nrip = d & (1u << 3);
	svm.flush_by_asid = d & (1u << 6);
	svm.decode_assists = d & (1u << 7);
	svm.pause_filter = d & (1u << 10);
	svm.pause_threshold = d & (1u << 12);
	svm.v_spec_ctrl = host_cpu_switches_spec_ctrl();
	if (svm.nr_asids < 2) {
		*why = "this CPU has no ASID for a guest";
		return false;
	}
	host_cpuid(0x80000000, 0, &a, &b, &c, &d);
	if (a >= 0x80000008)
		host_cpuid(0x80000008, 0, &a, &b, &c, &d);
	svm.phys_bits = clamp_t(u32, a & 0xff, 36, 52);
	return true;
}

int svm_init(void)
{
	const char *why;

	if (!svm_detect(&why)) {
		host_log("not loaded: %s", why);
		return -EOPNOTSUPP;
	}
	iopm = host_pages_alloc(IOPM_ORDER, &iopm_pa);
	if (!iopm)
		return -ENOMEM;
	memset(iopm, 0xff, 4096 << IOPM_ORDER);
	if (svm_avic_init()) {
		svm_exit();
		return -ENOMEM;
	}
	return 0;
}

void svm_exit(void)
{
	svm_avic_exit();
	host_pages_free(iopm, IOPM_ORDER);
}

/* The MSR permission map has two bits per MSR, read and write: 0 gives the guest the register (15.11). */
void svm_pass_msr(struct vcpu *v, u32 msr, bool pass)
{
	u32 index = msr < 0x2000 ? msr : msr - 0xc0000000u + 0x2000;
	u8 *byte = (u8 *)v->hw.msrpm + index / 4;
	u8 bits = 3u << (index % 4 * 2);

	*byte = pass ? *byte & ~bits : *byte | bits;
}

/* MSRs that VMLOAD and VMSAVE switch, or that are in the VMCB: the guest has its own, the CPU checks the values. */
static const u32 passed_msrs[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,	/* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000100, 0xc0000101, 0xc0000102,		/* FS, GS, kernel GS base */
	0x174, 0x175, 0x176,				/* SYSENTER */
};

int vendor_create(struct vcpu *v)
{
	v->hw.vmcb = host_pages_alloc(0, &v->hw.vmcb_pa);
	v->hw.msrpm = host_pages_alloc(1, &v->hw.msrpm_pa);
	if (!v->hw.vmcb || !v->hw.msrpm) {
		vendor_destroy(v);
		return -ENOMEM;
	}
	memset(v->hw.msrpm, 0xff, 8192);
	for (unsigned int i = 0; i < sizeof(passed_msrs) / sizeof(passed_msrs[0]); i++)
		svm_pass_msr(v, passed_msrs[i], true);
	return 0;
}

void vendor_destroy(struct vcpu *v)
{
	svm_avic_destroy(v);
	host_pages_free(v->hw.vmcb, 0);
	host_pages_free(v->hw.msrpm, 1);
	v->hw.vmcb = NULL;
	v->hw.msrpm = NULL;
}

static void reset_intercepts(struct vcpu *v)
{
	struct vmcb_control *c = &v->hw.vmcb->c;

	c->intercepts[ICPT_CR] = ICPT_CR_WRITE(4);
	if (!v->apic.present && !v->vm->irqchip_split)
		c->intercepts[ICPT_CR] |= ICPT_CR_WRITE(8);
	c->intercepts[ICPT_DR] = 0x00ff00ff;
	/* #AC and #DB can recur for ever inside their own delivery (CVE-2015-5307, CVE-2015-8104); #MC is the host's. */
	c->intercepts[ICPT_EXCEPTION] = 1u << VEC_DB | 1u << VEC_AC | 1u << VEC_MC;
	c->intercepts[ICPT_MISC1] = ICPT1_INTR | ICPT1_NMI | ICPT1_SMI | ICPT1_INIT | ICPT1_CR0_SELECTIVE | ICPT1_RDPMC | ICPT1_CPUID |
				    ICPT1_INVD | ICPT1_INVLPGA | ICPT1_IOIO | ICPT1_MSR | ICPT1_FERR_FREEZE | ICPT1_SHUTDOWN;
	if (!v->vm->hlt_in_guest)
		c->intercepts[ICPT_MISC1] |= ICPT1_HLT;
	c->intercepts[ICPT_MISC2] = ICPT2_VMRUN | ICPT2_VMMCALL | ICPT2_VMLOAD | ICPT2_VMSAVE | ICPT2_STGI | ICPT2_CLGI |
				    ICPT2_SKINIT | ICPT2_WBINVD | ICPT2_MONITOR | ICPT2_MWAIT | ICPT2_XSETBV | ICPT2_RDPRU;
	c->intercepts[ICPT_MISC3] = ICPT3_INVLPGB | ICPT3_TLBSYNC;
	if (svm.pause_filter && !v->vm->pause_in_guest) {
		c->intercepts[ICPT_MISC1] |= ICPT1_PAUSE;
		c->pause_filter_count = 3000;
		if (svm.pause_threshold)
			c->pause_filter_thresh = 128;
	}
	vendor_cpuid_changed(v);
}

static void reset_segment(struct vmcb_seg *s, u16 selector, u16 attrib, u64 base)
{
	s->selector = selector;
	s->attrib = attrib;
	s->limit = 0xffff;
	s->base = base;
}

/* The registers after power-up or INIT (APM vol. 2, table 14-1). */
static void reset_registers(struct vmcb_save *s, bool init)
{
	reset_segment(&s->cs, 0xf000, 0x9b, 0xffff0000);
	reset_segment(&s->ds, 0, 0x93, 0);
	reset_segment(&s->es, 0, 0x93, 0);
	reset_segment(&s->fs, 0, 0x93, 0);
	reset_segment(&s->gs, 0, 0x93, 0);
	reset_segment(&s->ss, 0, 0x93, 0);
	reset_segment(&s->gdtr, 0, 0, 0);
	reset_segment(&s->idtr, 0, 0, 0);
	reset_segment(&s->ldtr, 0, 0x82, 0);
	reset_segment(&s->tr, 0, 0x8b, 0);
	s->cpl = 0;
	s->efer = EFER_SVME_BIT;
	s->cr2 = s->cr3 = 0;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->rflags = FLAG_FIXED;
	s->rip = 0xfff0;
	s->rsp = s->rax = 0;
	if (init)
		return;
	s->star = s->lstar = s->cstar = s->sfmask = s->kernel_gs_base = 0;
	s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
	s->g_pat = 0x0007040600070406ull;
	s->dbgctl = 0;
}

void vendor_reset(struct vcpu *v, bool init)
{
	struct vmcb_control *c = &v->hw.vmcb->c;
	u64 caches = CR0_CD_BIT | CR0_NW_BIT;

	/* INIT leaves the caches as they are; power-up finds them off. */
	if (init)
		caches &= vcpu_cr0(v);
	reset_registers(&v->hw.vmcb->s, init);
	reset_intercepts(v);
	vendor_set_cr0(v, CR0_ET_BIT | caches);
	vendor_set_cr4(v, 0);
	svm_avic_reset(v);
	c->iopm_pa = iopm_pa;
	c->msrpm_pa = v->hw.msrpm_pa;
	c->int_ctl = V_INTR_MASKING_BIT;
	c->int_state = 0;
	vendor_clear_event(v);
	c->np_ctl = NP_ENABLE_BIT;
	c->ncr3 = v->vm->npt.root_pa;
	c->clean = 0;
	v->hw.nmi_iret = v->hw.nmi_singlestep = v->hw.guest_dr = false;
	if (!init) {
		v->hw.spec_ctrl = v->hw.vmcb->s.spec_ctrl = 0;
		v->hw.spec_ctrl_passed = 0;
		svm_pass_msr(v, 0x48, false);
	}
}

void vendor_cpuid_changed(struct vcpu *v)
{
	struct vmcb_control *c = &v->hw.vmcb->c;

	if (v->cpuid.has_rdtscp || v->cpuid.has_rdpid) {
		c->intercepts[ICPT_MISC2] &= ~ICPT2_RDTSCP;
	} else {
		c->intercepts[ICPT_MISC2] |= ICPT2_RDTSCP;
	}
	if (v->cpuid.has_invpcid)
		c->intercepts[ICPT_MISC3] &= ~ICPT3_INVPCID;
	else
		c->intercepts[ICPT_MISC3] |= ICPT3_INVPCID;
}

/* --- In and out. --- */

void vendor_flush_tlb(struct vcpu *v)
{
	asid_flush(&v->hw.asid);
}

static noinline void prepare_rest(struct vcpu *v)
{
	struct vmcb *vmcb = v->hw.vmcb;

	vmcb->c.tlb_ctl = asid_prepare(&v->hw.asid, host_asid_cpu(), host_cpu(), svm.flush_by_asid);
	vmcb->c.asid = v->hw.asid.id;
	/* Armed breakpoints need their addresses in the CPU; so does an instruction that accesses them. */
	if (v->hw.guest_dr || (vmcb->s.dr7 & 0xff)) {
		v->hw.guest_dr = true;
		vmcb->c.intercepts[ICPT_DR] = 0;
		host_debug_load(v->dr);
	}
}

void vendor_prepare(struct vcpu *v)
{
	struct vmcb *vmcb = v->hw.vmcb;

	vmcb->s.rax = v->regs[R_AX];
	vmcb->s.rsp = v->regs[R_SP];
	if (unlikely(v->hw.avic == AVIC_FULL && !v->hw.avic_running))
		svm_avic_come_to_cpu(v);
	if (unlikely(!asid_is_ready(&v->hw.asid, host_asid_cpu(), host_cpu()) || v->hw.guest_dr || (vmcb->s.dr7 & 0xff)))
		prepare_rest(v);
}

static __always_inline void enter(struct vcpu *v, const bool again)
{
	host_context_enter(again);
	svm_world_switch(v, v->hw.vmcb_pa, host_save_pa(), host_spec_ctrl());
	host_context_exit();
}

host_noinstr void vendor_enter(struct vcpu *v)
{
	enter(v, false);
}

host_noinstr void vendor_enter_again(struct vcpu *v)
{
	enter(v, true);
}

/* An event was on its way in when the exit happened (15.7.2): it is delivered again, except where executing again does it. */
static void requeue_interrupted(struct vcpu *v)
{
	u32 info = v->hw.vmcb->c.exit_int_info;
	u8 vector = info & 0xff;
	bool has_error = info & EVENT_ERROR_VALID;

	/* QEMU's TCG reports an offered interrupt so, as an exception, and keeps it offered. */
	if (v->ev.offered == vector && (v->hw.vmcb->c.int_ctl & V_IRQ_BIT))
		return;

	switch (info & EVENT_TYPE_FIELD) {
	case EVENT_TYPE_INTR:
		event_requeue(v, EVENT_INTERRUPT, vector, false, 0);
		break;
	case EVENT_TYPE_NMI:
		event_requeue(v, EVENT_NMI, VEC_NMI, false, 0);
		break;
	case EVENT_TYPE_EXCEPTION:
		/* INT3 and INTO: RIP is still at the instruction, which may have been changed meanwhile; the guest runs it again. */
		if (vector != VEC_BP && vector != VEC_OF)
			event_requeue(v, EVENT_EXCEPTION, vector & 31, has_error, v->hw.vmcb->c.exit_int_info_err);
		break;
	case EVENT_TYPE_SOFT:
		break;		/* INT n: run again */
	}
}

/* What most exits have nothing of. */
static noinline void finish_rest(struct vcpu *v)
{
	struct vmcb *vmcb = v->hw.vmcb;

	if (v->hw.guest_dr) {
		host_debug_save(v->dr);
		v->hw.guest_dr = false;
		vmcb->c.intercepts[ICPT_DR] = 0x00ff00ff;
	}
	host_debug_restore();
	if (v->hw.exit_code == SVM_EXIT_EXCP_BASE + VEC_MC)
		host_machine_check();
	if (v->hw.exit_code == (u32)SVM_EXIT_ERR) {
		event_settle(v, false);
		/* Whether the CPU flushed before it refused is not said: the flush is owed again. */
		if (vmcb->c.tlb_ctl != TLB_KEEP)
			asid_flush_owed(&v->hw.asid, host_asid_cpu());
		return;
	}
	vmcb->c.tlb_ctl = TLB_KEEP;
	if (v->hw.event_given) {
		vendor_clear_event(v);
		event_delivered(v);
	}
	if (vcpu_cr8(v) != lapic_cr8(&v->apic))
		lapic_set_cr8(v, vcpu_cr8(v));
	if (v->hw.nmi_iret && vmcb->s.rip != v->hw.nmi_iret_rip)
		svm_nmi_unmask(v);
	if (vmcb->c.exit_int_info & EVENT_VALID)
		requeue_interrupted(v);
	if (v->ev.offered >= 0)
		event_settle(v, !(vmcb->c.int_ctl & V_IRQ_BIT));
}

void vendor_finish(struct vcpu *v)
{
	struct vmcb *vmcb = v->hw.vmcb;
	u32 code = vmcb->c.exit_code;

	v->regs[R_AX] = vmcb->s.rax;
	v->regs[R_SP] = vmcb->s.rsp;
	v->hw.exit_code = code;
	if (unlikely(svm_goes_on(v) || host_debug_armed() || code == SVM_EXIT_EXCP_BASE + VEC_MC || code == (u32)SVM_EXIT_ERR ||
		     ((lapic_cr8(&v->apic) ^ vmcb->c.int_ctl) & V_TPR_FIELD) || (vmcb->c.exit_int_info & EVENT_VALID))) {
		finish_rest(v);
		return;
	}
	vmcb->c.tlb_ctl = TLB_KEEP;
	if (v->ev.offered >= 0)
		event_settle(v, !(vmcb->c.int_ctl & V_IRQ_BIT));
}

/* --- Events. --- */

static void give_event(struct vcpu *v, u32 event, u32 error)
{
	v->hw.vmcb->c.event_inj = event | EVENT_VALID;
	v->hw.vmcb->c.event_inj_err = error;
	v->hw.event_given = true;
}

void vendor_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	give_event(v, vector | EVENT_TYPE_EXCEPTION | (has_error ? EVENT_ERROR_VALID : 0), error);
}

/* The caller has marked NMIs masked: IRET ends that. */
void vendor_inject_nmi(struct vcpu *v)
{
	give_event(v, VEC_NMI | EVENT_TYPE_NMI, 0);
	v->hw.vmcb->c.intercepts[ICPT_MISC1] |= ICPT1_IRET;
}

void vendor_inject_interrupt(struct vcpu *v, u8 vector)
{
	give_event(v, vector | EVENT_TYPE_INTR, 0);
}

bool vendor_nmi_allowed(struct vcpu *v)
{
	return !v->ev.nmi_masked && !vcpu_in_shadow(v);
}

/* The same with the intercept: an exit in the place of the interrupt. */
void vendor_open_interrupt_window(struct vcpu *v)
{
	struct vmcb_control *c = &v->hw.vmcb->c;

	c->int_ctl |= V_IRQ_BIT | V_IGN_TPR_BIT | V_INTR_PRIO(0xf);
	c->int_vector = 0;
	c->intercepts[ICPT_MISC1] |= ICPT1_VINTR;
}

void vendor_open_nmi_window(struct vcpu *v)
{
	if (v->ev.nmi_masked && !v->hw.nmi_iret)
		return;		/* the IRET intercept tells us */
	if (v->hw.nmi_singlestep)
		return;
	/* Either IRET is about to execute or an interrupt shadow is about to end: one step further NMIs are possible. */
	v->hw.nmi_singlestep = true;
	v->hw.nmi_step_iret = v->hw.nmi_iret;
	v->hw.nmi_singlestep_flags = vcpu_rflags(v) & (FLAG_TF | FLAG_RF);
	vcpu_set_rflags(v, vcpu_rflags(v) | FLAG_TF | FLAG_RF);
}

void vendor_end_nmi_step(struct vcpu *v)
{
	if (!v->hw.nmi_singlestep)
		return;
	v->hw.nmi_singlestep = false;
	if (v->hw.nmi_step_iret && vcpu_rip(v) != v->hw.nmi_iret_rip)
		return;
	vcpu_set_rflags(v, (vcpu_rflags(v) & ~FLAG_TF) | (v->hw.nmi_singlestep_flags & FLAG_TF));
}

void svm_nmi_unmask(struct vcpu *v)
{
	v->hw.nmi_iret = false;
	v->ev.nmi_masked = false;
	vcpu_request(v, REQ_EVENT);
}

void vendor_set_nmi_mask(struct vcpu *v, bool masked)
{
	v->ev.nmi_masked = masked;
	v->hw.nmi_iret = false;
	if (masked)
		v->hw.vmcb->c.intercepts[ICPT_MISC1] |= ICPT1_IRET;
	else
		v->hw.vmcb->c.intercepts[ICPT_MISC1] &= ~ICPT1_IRET;
}

void vendor_set_debug_fault(struct vcpu *v)
{
	v->hw.vmcb->s.dr7 &= ~(1ull << 13);
}

void vendor_update_tpr(struct vcpu *v)
{
	int irr = -1;

	if (!v->apic.present || v->apic.apicv)
		return;
	if (v->ev.offered < 0)
		irr = lapic_highest_irr(v);
	/* Blocked: a lower TPR lets it in. Offered: a higher one takes it back, which not every CPU emulator does by itself. */
	if (v->ev.offered >= 0 || (irr >= 0 && irr >> 4 <= (int)lapic_cr8(&v->apic)))
		vendor_watch_cr8(v);
	else
		vendor_unwatch_cr8(v);
}

/* --- State for the VMM and the MSR code. --- */

static u64 *vmcb_msr(struct vcpu *v, u32 index)
{
	struct vmcb_save *s = &v->hw.vmcb->s;

	switch (index) {
	case 0xc0000081: return &s->star;
	case 0xc0000082: return &s->lstar;
	case 0xc0000083: return &s->cstar;
	case 0xc0000084: return &s->sfmask;
	case 0xc0000100: return &s->fs.base;
	case 0xc0000101: return &s->gs.base;
	case 0xc0000102: return &s->kernel_gs_base;
	case 0x174: return &s->sysenter_cs;
	case 0x175: return &s->sysenter_esp;
	case 0x176: return &s->sysenter_eip;
	case 0x277: return &s->g_pat;
	case 0x1d9: return &s->dbgctl;
	case 0x48: return svm.v_spec_ctrl ? &s->spec_ctrl : &v->hw.spec_ctrl;
	}
	return NULL;
}

u64 vendor_get_msr(struct vcpu *v, u32 index)
{
	u64 *p = vmcb_msr(v, index);

	return p ? *p : 0;
}

void vendor_set_msr(struct vcpu *v, u32 index, u64 value)
{
	u64 *p = vmcb_msr(v, index);

	if (p)
		*p = value;
}

void vendor_pass_spec_ctrl(struct vcpu *v)
{
	v->hw.spec_ctrl_passed = 1;
	svm_pass_msr(v, 0x48, true);
}

void vendor_set_efer(struct vcpu *v, u64 efer)
{
	v->hw.vmcb->s.efer = efer | EFER_SVME_BIT;
}

void vendor_set_cr0(struct vcpu *v, u64 cr0)
{
	u32 *cr = &v->hw.vmcb->c.intercepts[ICPT_CR];

	/* Caches stay on whatever firmware says, unless the VMM asked for the opposite (KVM_X86_QUIRK_CD_NW_CLEARED). */
	v->hw.cr0_hidden = 0;
	if (!(v->vm->disabled_quirks & KVM_X86_QUIRK_CD_NW_CLEARED))
		v->hw.cr0_hidden = cr0 & (CR0_CD_BIT | CR0_NW_BIT);
	v->hw.vmcb->s.cr0 = (cr0 & ~v->hw.cr0_hidden) | CR0_ET_BIT;
	if (v->hw.cr0_hidden)
		*cr |= ICPT_CR_READ(0) | ICPT_CR_WRITE(0);
	else
		*cr &= ~(ICPT_CR_READ(0) | ICPT_CR_WRITE(0));
}

void vendor_set_cr3(struct vcpu *v, u64 cr3)
{
	v->hw.vmcb->s.cr3 = cr3;
}

void vendor_set_cr4(struct vcpu *v, u64 cr4)
{
	u32 *cr = &v->hw.vmcb->c.intercepts[ICPT_CR];

	/* A machine check of the host's while the guest has CR4.MCE at 0 would be a shutdown instead of an exit (APM vol. 2, 9.3). */
	v->hw.cr4_added = ~cr4 & CR4_MCE_BIT;
	v->hw.vmcb->s.cr4 = cr4 | CR4_MCE_BIT;
	if (v->hw.cr4_added)
		*cr |= ICPT_CR_READ(4);
	else
		*cr &= ~ICPT_CR_READ(4);
}

void vendor_set_tsc_offset(struct vcpu *v, s64 offset)
{
	v->hw.vmcb->c.tsc_offset = offset;
}

static struct vmcb_seg *segment(struct vcpu *v, unsigned int seg)
{
	struct vmcb_save *s = &v->hw.vmcb->s;

	switch (seg) {
	case SEG_ES: return &s->es;
	case SEG_CS: return &s->cs;
	case SEG_SS: return &s->ss;
	case SEG_DS: return &s->ds;
	case SEG_FS: return &s->fs;
	case SEG_GS: return &s->gs;
	case SEG_TR: return &s->tr;
	default: return &s->ldtr;
	}
}

void vcpu_get_segment(struct vcpu *v, unsigned int seg, struct kvm_segment *out)
{
	const struct vmcb_seg *s = segment(v, seg);
	u16 a = s->attrib;

	memset(out, 0, sizeof(*out));
	out->base = s->base;
	out->limit = s->limit;
	out->selector = s->selector;
	out->type = a & 0xf;
	out->s = a >> 4 & 1;
	out->dpl = a >> 5 & 3;
	out->present = a >> 7 & 1;
	out->avl = a >> 8 & 1;
	out->l = a >> 9 & 1;
	out->db = a >> 10 & 1;
	out->g = a >> 11 & 1;
	out->unusable = !out->present;
	/* SVM keeps CPL apart; the API's users read it as SS.DPL. */
	if (seg == SEG_SS)
		out->dpl = v->hw.vmcb->s.cpl;
	/* The CPU loads an available TSS as busy; some VMCBs come back without the bit. */
	if (seg == SEG_TR)
		out->type |= 2;
}

void vcpu_set_segment(struct vcpu *v, unsigned int seg, const struct kvm_segment *in)
{
	struct vmcb_seg *s = segment(v, seg);

	s->base = in->base;
	s->limit = in->limit;
	s->selector = in->selector;
	s->attrib = (in->type & 0xf) | (in->s & 1) << 4 | (in->dpl & 3) << 5 |
		    ((in->present & 1) && !in->unusable) << 7 | (in->avl & 1) << 8 | (in->l & 1) << 9 |
		    (in->db & 1) << 10 | (in->g & 1) << 11;
	if (seg == SEG_SS)
		v->hw.vmcb->s.cpl = in->dpl & 3;
}

void vcpu_get_tables(struct vcpu *v, struct kvm_dtable *gdt, struct kvm_dtable *idt)
{
	const struct vmcb_save *s = &v->hw.vmcb->s;

	*gdt = (struct kvm_dtable){ .base = s->gdtr.base, .limit = s->gdtr.limit };
	*idt = (struct kvm_dtable){ .base = s->idtr.base, .limit = s->idtr.limit };
}

void vcpu_set_tables(struct vcpu *v, const struct kvm_dtable *gdt, const struct kvm_dtable *idt)
{
	struct vmcb_save *s = &v->hw.vmcb->s;

	s->gdtr.base = gdt->base;
	s->gdtr.limit = gdt->limit;
	s->idtr.base = idt->base;
	s->idtr.limit = idt->limit;
}

void vcpu_advance_to(struct vcpu *v, u64 next_rip)
{
	/* As the fast path does it, also with a VMM's CS.L outside of long mode, where the CPU has no such RIP. */
	if (!(VMCB(v)->s.cs.attrib & VMCB_CS_LONG))
		next_rip = (u32)next_rip;
	vcpu_set_rip(v, next_rip);
	vcpu_clear_shadow(v);
	if (unlikely(vcpu_rflags(v) & FLAG_TF) && !v->hw.nmi_singlestep) {
		v->hw.vmcb->s.dr6 |= 1ull << 14;
		event_exception(v, VEC_DB);
	}
}
