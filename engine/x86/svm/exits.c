// SPDX-License-Identifier: GPL-2.0
/*
 * What each SVM exit means (APM vol. 2, appendix C): one handler per reason, reached by a switch that the compiler must not turn
 * into a table (or, so that the difference can be measured, by a table: at the end). Every handler leaves its instruction completed, or
 * faulted, or waiting for the VMM (exit.h).
 */
#include "run.h"
#include "x86/svm/svm.h"
#include "x86/insn.h"

/* Where the instruction that exited ends. False if it is not @name any more (the guest changed it): it runs again. */
static bool find_next_rip(struct vcpu *v, enum insn_name name, u64 *next)
{
	int length;

	if (svm.nrip && VMCB(v)->c.next_rip) {
		*next = VMCB(v)->c.next_rip;
		return true;
	}
	length = emulate_length(v, name);
	*next = vcpu_rip(v) + length;
	return length;
}

static int handle_nothing(struct vcpu *v)
{
	return RESUME;
}

static int skip(struct vcpu *v, enum insn_name name)
{
	u64 next;

	if (find_next_rip(v, name, &next))
		vcpu_advance_to(v, next);
	return RESUME;
}

static int inject_ud(struct vcpu *v)
{
	event_exception(v, VEC_UD);
	return RESUME;
}

static int inject_gp(struct vcpu *v)
{
	event_exception_error(v, VEC_GP, 0);
	return RESUME;
}

static int internal_error(struct vcpu *v, u32 suberror, u64 data)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = 2;
	run->internal.data[0] = data;
	run->internal.data[1] = host_cpu();
	return EXIT_TO_USER;
}

static noinline int handle_cpuid(struct vcpu *v)
{
	u64 next;

	if (!find_next_rip(v, INSN_CPUID, &next))
		return RESUME;
	cpuid_execute(v);
	vcpu_advance_to(v, next);
	return RESUME;
}

static noinline int handle_rdmsr(struct vcpu *v)
{
	u32 index = v->regs[R_CX];
	u64 next, value = 0;
	int fault;

	stats_detail(v->stats, EXEUNT_MSR_READ, index);
	if (!find_next_rip(v, INSN_RDMSR, &next))
		return RESUME;
	fault = msr_read(v, index, &value, false);
	host_trace_msr(false, index, fault ? 0 : value, fault);
	if (fault)
		return inject_gp(v);
	v->regs[R_AX] = (u32)value;
	v->regs[R_DX] = value >> 32;
	vcpu_advance_to(v, next);
	return RESUME;
}

static noinline int handle_wrmsr(struct vcpu *v)
{
	u32 index = v->regs[R_CX];
	u64 next, value = (u32)v->regs[R_AX] | v->regs[R_DX] << 32;
	int fault;

	stats_detail(v->stats, EXEUNT_MSR_WRITE, index);
	if (!find_next_rip(v, INSN_WRMSR, &next))
		return RESUME;
	fault = msr_write(v, index, value, false);
	host_trace_msr(true, index, value, fault);
	if (fault)
		return inject_gp(v);
	vcpu_advance_to(v, next);
	return RESUME;
}

static noinline int handle_msr(struct vcpu *v)
{
	return VMCB(v)->c.exit_info_1 ? handle_wrmsr(v) : handle_rdmsr(v);
}

static noinline int handle_hlt(struct vcpu *v)
{
	u64 next;

	if (!find_next_rip(v, INSN_HLT, &next))
		return RESUME;
	vcpu_advance_to(v, next);
	if (!v->apic.present) {
		v->run->exit_reason = KVM_EXIT_HLT;
		return EXIT_TO_USER;
	}
	v->mp_state = KVM_MP_STATE_HALTED;
	return RESUME;
}

/* EXITINFO1 of IOIO (15.10.2): bit 0 in, 2 string, 4..6 size, 16.. port; EXITINFO2 is the next RIP. */
static noinline int handle_io(struct vcpu *v)
{
	u32 info = VMCB(v)->c.exit_info_1;
	u16 port = info >> 16;
	u8 size = info >> 4 & 7;
	bool in = info & 1;

	/* Not as one call with a computed kind: the key of each is a constant so. */
	if (in)
		stats_detail(v->stats, EXEUNT_PIO_IN, port);
	else
		stats_detail(v->stats, EXEUNT_PIO_OUT, port);
	if (unlikely(info & (1u << 2)))
		return emulate_pio_string(v, port, size, in);
	return emulate_pio(v, port, size, in, VMCB(v)->c.exit_info_2);
}

static noinline int handle_npf(struct vcpu *v)
{
	u64 gpa = VMCB(v)->c.exit_info_2, info = VMCB(v)->c.exit_info_1;
	struct emul_operand operand = { .gpa = gpa, .write = info & PF_WRITE };
	u32 error = info;
	int r;

	host_trace_page_fault(v, gpa, VMCB(v)->c.exit_info_1);
	r = npt_fault(v, gpa, error);
	if (r != NPT_MMIO)
		return r;
	/* The CPU was delivering an event through this address: there is no instruction to execute. */
	if (VMCB(v)->c.exit_int_info & EVENT_VALID)
		return internal_error(v, KVM_INTERNAL_ERROR_DELIVERY_EV, VMCB(v)->c.exit_int_info);
	return emulate_mmio(v, (info & NPF_FINAL) && !(info & PF_FETCH) ? &operand : NULL);
}

static noinline int handle_vmmcall(struct vcpu *v)
{
	u64 next;

	stats_detail(v->stats, EXEUNT_HYPERCALL, vcpu_is_64bit(v) ? min_t(u64, v->regs[R_AX], U32_MAX) : (u32)v->regs[R_AX]);
	if (!find_next_rip(v, INSN_VMMCALL, &next))
		return RESUME;
	pv_hypercall(v);
	vcpu_advance_to(v, next);
	return RESUME;
}

/* Which GPR a MOV to a control register reads: from the CPU if it says so (EXITINFO1 bit 63), else from the instruction. */
static bool find_mov_cr(struct vcpu *v, u8 cr, u64 *value, u64 *next)
{
	u64 info = VMCB(v)->c.exit_info_1;
	struct insn insn;

	if (svm.decode_assists && (info >> 63) && find_next_rip(v, INSN_MOV_CR, next)) {
		*value = v->regs[info & 0xf];
	} else {
		if (emulate_fetch_decode(v, &insn) || insn.name != INSN_MOV_CR || insn.opcode != 0x22)
			return false;
		/* LOCK MOV CR0 is another way to name CR8 (APM vol. 3, MOV CRn). */
		if (insn.reg != cr && !(cr == 8 && insn.lock && insn.reg == 0))
			return false;
		*value = v->regs[insn.rm & 0xf];
		*next = vcpu_rip(v) + insn.length;
	}
	if (!vcpu_is_64bit(v))
		*value = (u32)*value;
	return true;
}

/* CR0's rules that depend on the mode (APM vol. 2, 3.1.1 and 14.6). */
static bool cr0_write_legal(struct vcpu *v, u64 cr0)
{
	u64 cr4 = vcpu_cr4(v);

	if (!cr0_valid(cr0))
		return false;
	if (!(cr0 & CR0_PG_BIT))
		return !vcpu_is_64bit(v) && !(cr4 & CR4_PCIDE_BIT);
	if (vcpu_cr0(v) & CR0_PG_BIT)
		return true;
	/* Entering long mode takes PAE and a code segment that is not 64-bit yet. */
	return !(vcpu_efer(v) & EFER_LME_BIT) || ((cr4 & CR4_PAE_BIT) && !(VMCB(v)->s.cs.attrib & (1u << 9)));
}

static void set_cr0(struct vcpu *v, u64 cr0)
{
	u64 changed = vcpu_cr0(v) ^ cr0, efer = vcpu_efer(v);

	if ((changed & CR0_PG_BIT) && (efer & EFER_LME_BIT))
		vendor_set_efer(v, cr0 & CR0_PG_BIT ? efer | EFER_LMA_BIT : efer & ~EFER_LMA_BIT);
	if (changed & (CR0_PG_BIT | CR0_WP_BIT | CR0_PE_BIT))
		vendor_flush_tlb(v);
	vendor_set_cr0(v, cr0);
}

/* LMSW sets the low four bits of CR0 and cannot clear PE (APM vol. 3). Its memory form is decoded but not executed here. */
static int find_cr0_value(struct vcpu *v, u64 *value, u64 *next)
{
	struct insn insn;
	u64 reg;

	if (emulate_fetch_decode(v, &insn))
		return -EAGAIN;
	if (insn.name == INSN_MOV_CR && insn.opcode == 0x22 && insn.reg == 0) {
		reg = v->regs[insn.rm & 0xf];
		*value = vcpu_is_64bit(v) ? reg : (u32)reg;
	} else if (insn.name == INSN_CLTS) {
		*value = vcpu_cr0(v) & ~CR0_TS_BIT;
	} else if (insn.name == INSN_LMSW && insn.mod == 3) {
		reg = v->regs[insn.rm & 0xf];
		*value = (vcpu_cr0(v) & ~0xeull) | (reg & 0xf);
	} else {
		return insn.name == INSN_LMSW ? -EOPNOTSUPP : -EAGAIN;
	}
	*next = vcpu_rip(v) + insn.length;
	return 0;
}

static int handle_cr0_write(struct vcpu *v)
{
	u64 value, next;
	int r = find_cr0_value(v, &value, &next);

	if (r == -EOPNOTSUPP)
		return internal_error(v, KVM_INTERNAL_ERROR_EMULATION, SVM_EXIT_CR0_SEL_WRITE);
	if (r)
		return RESUME;
	host_trace_cr(0, value);
	if (!cr0_write_legal(v, value))
		return inject_gp(v);
	set_cr0(v, value);
	vcpu_advance_to(v, next);
	return RESUME;
}

/* MOV from CR0 and SMSW, while the guest sees bits that it does not run with. */
static int handle_cr0_read(struct vcpu *v)
{
	u64 *reg, cr0 = vcpu_cr0(v);
	struct insn insn;

	if (emulate_fetch_decode(v, &insn))
		return RESUME;
	reg = &v->regs[insn.rm & 0xf];
	if (insn.name == INSN_MOV_CR && insn.opcode == 0x20 && insn.reg == 0)
		*reg = cr0;
	else if (insn.name == INSN_SMSW && insn.mod == 3)
		*reg = insn.op_size == 2 ? (*reg & ~0xffffull) | (u16)cr0 : cr0;
	else if (insn.name == INSN_SMSW)
		return internal_error(v, KVM_INTERNAL_ERROR_EMULATION, SVM_EXIT_READ_CR0);
	else
		return RESUME;
	vcpu_advance_to(v, vcpu_rip(v) + insn.length);
	return RESUME;
}

/* MOV from CR4, while the guest runs with a bit that it does not see. */
static int handle_cr4_read(struct vcpu *v)
{
	struct insn insn;

	if (emulate_fetch_decode(v, &insn) || insn.name != INSN_MOV_CR || insn.opcode != 0x20 || insn.reg != 4)
		return RESUME;
	v->regs[insn.rm & 0xf] = vcpu_cr4(v);
	vcpu_advance_to(v, vcpu_rip(v) + insn.length);
	return RESUME;
}

/* CR4's rules that depend on the mode (APM vol. 2, 3.1.3 and 5.5.1). */
static bool cr4_write_legal(struct vcpu *v, u64 cr4)
{
	u64 old = vcpu_cr4(v);
	bool lma = vcpu_efer(v) & EFER_LMA_BIT;

	if (!cr4_valid(v, cr4))
		return false;
	if (lma && (!(cr4 & CR4_PAE_BIT) || ((old ^ cr4) & CR4_LA57_BIT)))
		return false;
	if ((cr4 & CR4_PCIDE_BIT) && !(old & CR4_PCIDE_BIT))
		return lma && !(vcpu_cr3(v) & 0xfff);
	return true;
}

static int handle_cr4_write(struct vcpu *v)
{
	u64 value, next;

	if (!find_mov_cr(v, 4, &value, &next))
		return RESUME;
	host_trace_cr(4, value);
	if (!cr4_write_legal(v, value))
		return inject_gp(v);
	/* The CPU would have flushed for a change of these; any other change needs no flush, but none is frequent. */
	if ((vcpu_cr4(v) ^ value) & (CR4_PGE_BIT | CR4_PSE_BIT | CR4_PAE_BIT | CR4_PCIDE_BIT | CR4_SMEP_BIT | CR4_LA57_BIT))
		vendor_flush_tlb(v);
	vendor_set_cr4(v, value);
	vcpu_advance_to(v, next);
	return RESUME;
}

static int handle_cr8_write(struct vcpu *v)
{
	u64 value, next;
	u8 old;

	if (!find_mov_cr(v, 8, &value, &next))
		return RESUME;
	host_trace_cr(8, value);
	if (value > 15)
		return inject_gp(v);
	vcpu_advance_to(v, next);
	if (v->apic.present) {
		lapic_set_cr8(v, value);
		vcpu_request(v, REQ_EVENT);
		return RESUME;
	}
	old = lapic_get_cr8(v);
	lapic_set_cr8(v, value);
	if (value >= old)
		return RESUME;
	v->run->exit_reason = KVM_EXIT_SET_TPR;
	return EXIT_TO_USER;
}

static int handle_dr_access(struct vcpu *v)
{
	/* Hand the registers over and run the instruction again: DR6 and DR7 are the VMCB's anyway. */
	v->hw.guest_dr = true;
	VMCB(v)->c.intercepts[ICPT_DR] = 0;
	return RESUME;
}

static int handle_db(struct vcpu *v)
{
	if (v->hw.nmi_singlestep) {
		bool guests = v->hw.nmi_singlestep_flags & FLAG_TF;

		vendor_end_nmi_step(v);
		vcpu_request(v, REQ_EVENT);
		if (!guests) {
			/* The step was ours; breakpoints that hit with it are the guest's. */
			VMCB(v)->s.dr6 &= ~(1ull << 14);
			if (!(VMCB(v)->s.dr6 & 0xf))
				return RESUME;
		}
	}
	event_exception(v, VEC_DB);
	return RESUME;
}

static int handle_ac(struct vcpu *v)
{
	event_exception_error(v, VEC_AC, 0);
	return RESUME;
}

static int handle_iret(struct vcpu *v)
{
	VMCB(v)->c.intercepts[ICPT_MISC1] &= ~ICPT1_IRET;
	v->hw.nmi_iret = true;
	v->hw.nmi_iret_rip = vcpu_rip(v);
	vcpu_request(v, REQ_EVENT);
	return RESUME;
}

static noinline int handle_vintr(struct vcpu *v)
{
	vendor_withdraw_interrupt(v);
	vcpu_request(v, REQ_EVENT);
	return RESUME;
}

/* XSETBV (APM vol. 4): CPL 0 was checked by the CPU. */
static int handle_xsetbv(struct vcpu *v)
{
	u64 next, value = (u32)v->regs[R_AX] | v->regs[R_DX] << 32;

	if (!find_next_rip(v, INSN_XSETBV, &next))
		return RESUME;
	if ((u32)v->regs[R_CX] || !vcpu_xcr0_valid(v, value))
		return inject_gp(v);
	v->xcr0 = value;
	vcpu_advance_to(v, next);
	return RESUME;
}

/* Caches are coherent without the guest's help. QEMU's TCG reports INVD as WBINVD, so either is expected for both. */
static int handle_cache_flush(struct vcpu *v)
{
	u64 next;

	if (find_next_rip(v, INSN_WBINVD, &next) || find_next_rip(v, INSN_INVD, &next))
		vcpu_advance_to(v, next);
	return RESUME;
}

/* Without MONITOR in the guest's CPUID, MWAIT is a no-op or undefined, as the VMM chose (KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS). */
static int skip_mwait(struct vcpu *v, enum insn_name name)
{
	if (v->vm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
		return inject_ud(v);
	return skip(v, name);
}

static int handle_monitor(struct vcpu *v)
{
	return skip_mwait(v, INSN_MONITOR);
}

static int handle_mwait(struct vcpu *v)
{
	return skip_mwait(v, INSN_MWAIT);
}

static noinline int handle_pause(struct vcpu *v)
{
	host_yield();
	return skip(v, INSN_PAUSE);
}

static int handle_shutdown(struct vcpu *v)
{
	/* The VMCB's state is undefined now (15.14.3): INIT it, and tell the VMM. */
	vcpu_reset(v, true);
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return EXIT_TO_USER;
}

static int handle_failed_entry(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	v->run->fail_entry.hardware_entry_failure_reason = v->hw.exit_code;
	v->run->fail_entry.cpu = host_cpu();
	return EXIT_TO_USER;
}

static int handle_unknown(struct vcpu *v)
{
	return internal_error(v, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, v->hw.exit_code);
}

/* The guest's x2APIC could not send an IPI all by itself; the guest is behind the write (15.29.9.1). */
static noinline int handle_incomplete_ipi(struct vcpu *v)
{
	u64 icr = VMCB(v)->c.exit_info_1, info = VMCB(v)->c.exit_info_2;

	if (v->hw.avic != AVIC_FULL)
		return handle_unknown(v);
	host_trace_avic_incomplete_ipi(v, icr >> 32, (u32)icr, info >> 32, (u32)info);
	if (info >> 32 != AVIC_IPI_NOT_RUNNING)
		lapic_icr_write(v, icr);
	else if (!lapic_icr_sent_one(v, icr))
		lapic_icr_sent(v, icr);
	return RESUME;
}

/*
 * Of what AVIC does not accelerate and the MSR permission map lets through, that is the EOI of a level-triggered interrupt: it is still in
 * service, and the guest behind the write (15.29.9.2).
 */
static noinline int handle_unaccelerated(struct vcpu *v)
{
	u64 info = VMCB(v)->c.exit_info_1;

	host_trace_avic_unaccelerated(v, AVIC_ACCESS_REG(info), info & AVIC_ACCESS_WRITE, (u8)VMCB(v)->c.exit_info_2);
	if (v->hw.avic != AVIC_FULL || AVIC_ACCESS_REG(info) != LAPIC_EOI || !(info & AVIC_ACCESS_WRITE))
		return handle_unknown(v);
	lapic_eoi(v);
	return RESUME;
}

#ifndef EXEUNT_DISPATCH_TABLE

/* The rare ones, apart from the hot switch. */
static noinline int handle_rare_exit(struct vcpu *v)
{
	switch (v->hw.exit_code) {
	case SVM_EXIT_READ_CR0:
		return handle_cr0_read(v);
	case SVM_EXIT_READ_CR4:
		return handle_cr4_read(v);
	case SVM_EXIT_WRITE_CR0:
	case SVM_EXIT_CR0_SEL_WRITE:
		return handle_cr0_write(v);
	case SVM_EXIT_WRITE_CR4:
		return handle_cr4_write(v);
	case SVM_EXIT_WRITE_CR8:
		return handle_cr8_write(v);
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
		return handle_dr_access(v);
	case SVM_EXIT_EXCP_BASE + VEC_DB:
		return handle_db(v);
	case SVM_EXIT_EXCP_BASE + VEC_AC:
		return handle_ac(v);
	case SVM_EXIT_EXCP_BASE + VEC_MC:	/* vendor_finish gave it to the host */
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
		return handle_nothing(v);
	case SVM_EXIT_IRET:
		return handle_iret(v);
	case SVM_EXIT_AVIC_INCOMPLETE_IPI:
		return handle_incomplete_ipi(v);
	case SVM_EXIT_AVIC_NOACCEL:
		return handle_unaccelerated(v);
	case SVM_EXIT_RDPMC:
		return inject_gp(v);		/* no counters are offered */
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:
		return handle_cache_flush(v);
	case SVM_EXIT_XSETBV:
		return handle_xsetbv(v);
	case SVM_EXIT_MONITOR:
		return handle_monitor(v);
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_COND:
		return handle_mwait(v);
	case SVM_EXIT_INVLPGA: case SVM_EXIT_VMRUN: case SVM_EXIT_VMLOAD: case SVM_EXIT_VMSAVE: case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI: case SVM_EXIT_SKINIT: case SVM_EXIT_RDTSCP: case SVM_EXIT_RDPRU: case SVM_EXIT_INVLPGB:
	case SVM_EXIT_INVPCID: case SVM_EXIT_TLBSYNC:
		return inject_ud(v);		/* not in the guest's CPUID */
	case SVM_EXIT_SHUTDOWN:
		return handle_shutdown(v);
	case (u32)SVM_EXIT_ERR:
		return handle_failed_entry(v);
	}
	return handle_unknown(v);
}

/*
 * The frequent ones, by how often they come here, which is after the fast path (fast.h) has had its share: `exeunt stat` of a Debian guest with
 * two vCPUs on the lab's QEMU, from firmware to power-off: IOIO 84 %, INTR 8 %, NPF 4 %, HLT 3 %, MSR 1 %, no CPUID; of one that bounces a byte
 * through pipes, HLT and INTR. Where there is no fast path (no NRIP save) MSR is second. The compiler makes of it a tree of comparisons, at
 * most four for these, whatever the order here; a chain of ifs in this order was not found to be faster by more than half a nanosecond.
 */
int vendor_handle_exit(struct vcpu *v)
{
	switch (v->hw.exit_code) {
	case SVM_EXIT_IOIO:
		return handle_io(v);
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
		return handle_nothing(v);
	case SVM_EXIT_NPF:
		return handle_npf(v);
	case SVM_EXIT_HLT:
		return handle_hlt(v);
	case SVM_EXIT_MSR:
		return handle_msr(v);
	case SVM_EXIT_VINTR:
		return handle_vintr(v);
	case SVM_EXIT_CPUID:
		return handle_cpuid(v);
	case SVM_EXIT_VMMCALL:
		return handle_vmmcall(v);
	case SVM_EXIT_PAUSE:
		return handle_pause(v);
	}
	return handle_rare_exit(v);
}

#else

/*
 * make DISPATCH=table: the opposite, for measuring what the switch saves (bench/dispatch). What others do: one pointer for each exit code,
 * called through the kernel's retpoline. Same handlers, same outcome.
 */
static int (*const exit_handlers[SVM_EXIT_AVIC_NOACCEL + 1])(struct vcpu *v) = {
	[SVM_EXIT_READ_CR0]			= handle_cr0_read,
	[SVM_EXIT_READ_CR4]			= handle_cr4_read,
	[SVM_EXIT_WRITE_CR0]			= handle_cr0_write,
	[SVM_EXIT_WRITE_CR4]			= handle_cr4_write,
	[SVM_EXIT_WRITE_CR8]			= handle_cr8_write,
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 7] = handle_dr_access,
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7] = handle_dr_access,
	[SVM_EXIT_EXCP_BASE + VEC_DB]		= handle_db,
	[SVM_EXIT_EXCP_BASE + VEC_AC]		= handle_ac,
	[SVM_EXIT_EXCP_BASE + VEC_MC]		= handle_nothing,
	[SVM_EXIT_INTR ... SVM_EXIT_INIT]	= handle_nothing,
	[SVM_EXIT_VINTR]			= handle_vintr,
	[SVM_EXIT_CR0_SEL_WRITE]		= handle_cr0_write,
	[SVM_EXIT_RDPMC]			= inject_gp,
	[SVM_EXIT_CPUID]			= handle_cpuid,
	[SVM_EXIT_IRET]				= handle_iret,
	[SVM_EXIT_INVD]				= handle_cache_flush,
	[SVM_EXIT_PAUSE]			= handle_pause,
	[SVM_EXIT_HLT]				= handle_hlt,
	[SVM_EXIT_INVLPGA]			= inject_ud,
	[SVM_EXIT_IOIO]				= handle_io,
	[SVM_EXIT_MSR]				= handle_msr,
	[SVM_EXIT_SHUTDOWN]			= handle_shutdown,
	[SVM_EXIT_VMRUN]			= inject_ud,
	[SVM_EXIT_VMMCALL]			= handle_vmmcall,
	[SVM_EXIT_VMLOAD ... SVM_EXIT_RDTSCP]	= inject_ud,
	[SVM_EXIT_WBINVD]			= handle_cache_flush,
	[SVM_EXIT_MONITOR]			= handle_monitor,
	[SVM_EXIT_MWAIT ... SVM_EXIT_MWAIT_COND] = handle_mwait,
	[SVM_EXIT_XSETBV]			= handle_xsetbv,
	[SVM_EXIT_RDPRU]			= inject_ud,
	[SVM_EXIT_INVLPGB]			= inject_ud,
	[SVM_EXIT_INVPCID]			= inject_ud,
	[SVM_EXIT_TLBSYNC]			= inject_ud,
	[SVM_EXIT_NPF]				= handle_npf,
	[SVM_EXIT_AVIC_INCOMPLETE_IPI]		= handle_incomplete_ipi,
	[SVM_EXIT_AVIC_NOACCEL]			= handle_unaccelerated,
};

int vendor_handle_exit(struct vcpu *v)
{
	int (*handle)(struct vcpu *v);
	u32 code = v->hw.exit_code;

	if (code == (u32)SVM_EXIT_ERR)
		return handle_failed_entry(v);
	if (code >= ARRAY_SIZE(exit_handlers))
		return handle_unknown(v);
	handle = exit_handlers[host_index(code, ARRAY_SIZE(exit_handlers))];
	return handle ? handle(v) : handle_unknown(v);
}

#endif
