// SPDX-License-Identifier: GPL-2.0
/*
 * The fast path (run.c's inner loop, x86/fast.h, svm/fast.h): which exits it deals with and which it leaves untouched, its switches, when
 * it ends, and the two things that it brings along: interrupts offered without a detour, and the timer that is lazy. The guest is
 * a script: one act per entry. What the guest and the VMM see is the same with it and without: tests/fuzz/fuzz_fast.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest.h"
#include "whole.h"

#define MAX_ACTS	16
#define START_RIP	0x401000ull
#define CODE_GPA	0x8000ull
#define DEADLINE	0x6e0u
#define TPR		0x808u
#define EOI		0x80bu
#define LVT_TIMER	0x832u
#define LVT_ERROR	0x837u
#define ICR		0x830u
#define SELF_IPI	0x83fu
#define VECTOR		0x50

/* What the guest does in one entry; @index and @value are the act's own. */
struct act {
	void (*fn)(struct vcpu *v);
	u32 index;
	u64 value;
};

/* test_fast_inner.c: the same with the inner loop, in which others' moments between exits do not exist. */
#ifdef WITH_INNER_LOOP
#define INNER_LOOP	EXEUNT_INNER_LOOP
#else
#define INNER_LOOP	0
#endif
/* The timer's advance is test_lapic_timer.c's: here the host's timer fires when the guest's does. */
#define MECHANISMS	(EXEUNT_FAST_PATH | EXEUNT_FAST_IPI | EXEUNT_FAST_TIMER | EXEUNT_LAZY_TIMER | INNER_LOOP)

static struct machine *m;
static struct vcpu *v, *other;
static struct act script[MAX_ACTS];
static const struct act *act;
static u32 next_act;
static u32 others_turns;	/* moments of this kind to come until @others does something */
static enum machine_moment others_moment;
static void (*others)(void);

/* --- The guest. --- */

static void leave(u32 code, u64 info, u32 length)
{
	VMCB(v)->c.exit_code = code;
	VMCB(v)->c.exit_info_1 = info;
	VMCB(v)->c.next_rip = vcpu_rip(v) + length;
}

static void stop(struct vcpu *v) { leave(0x1234, 0, 0); }
static void cpuid(struct vcpu *v) { leave(SVM_EXIT_CPUID, 0, 2); }
static void vmmcall(struct vcpu *v) { leave(SVM_EXIT_VMMCALL, 0, 3); }
static void hlt(struct vcpu *v) { leave(SVM_EXIT_HLT, 0, 1); }
static void host_interrupt(struct vcpu *v) { }

static void call(struct vcpu *v)
{
	VMCB(v)->s.rax = act->value;
	vmmcall(v);
}

static void ask_leaf(struct vcpu *v)
{
	VMCB(v)->s.rax = act->index;
	v->regs[R_CX] = act->value;
	cpuid(v);
}

static void wrmsr(struct vcpu *v)
{
	v->regs[R_CX] = act->index;
	v->regs[R_DX] = act->value >> 32;
	VMCB(v)->s.rax = (u32)act->value;
	leave(SVM_EXIT_MSR, 1, 2);
}

static void rdmsr(struct vcpu *v)
{
	v->regs[R_CX] = act->index;
	leave(SVM_EXIT_MSR, 0, 2);
}

/* The CPU takes what it is offered, then the guest ends that interrupt at once, or does nothing more. */
static void take(struct vcpu *v)
{
	assert_true(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	assert_int_equal(VMCB(v)->c.int_vector, act->index);
	VMCB(v)->c.int_ctl &= ~V_IRQ_BIT;
	cpuid(v);
}

static void take_and_end(struct vcpu *v)
{
	take(v);
	v->regs[R_CX] = EOI;
	v->regs[R_DX] = VMCB(v)->s.rax = 0;
	leave(SVM_EXIT_MSR, 1, 2);
}

/* MOV to CR8, not intercepted. */
static void set_cr8(struct vcpu *v)
{
	vendor_set_cr8(v, act->value);
	cpuid(v);
}

static void nothing_offered(struct vcpu *v)
{
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	cpuid(v);
}

#define WRMSR(index, value)	{ wrmsr, index, value }
#define RDMSR(index)		{ rdmsr, index, 0 }
#define DO(fn)			{ fn, 0, 0 }
#define TAKE(vector)		{ take, vector, 0 }
#define TAKE_AND_END(vector)	{ take_and_end, vector, 0 }
#define SELF(vector)		WRMSR(SELF_IPI, vector)

static void play(struct vcpu *v)
{
	act = &script[next_act];
	if (next_act < MAX_ACTS && act->fn) {
		next_act++;
		act->fn(v);
	} else {
		stop(v);
	}
}

static void have_their_turn(enum machine_moment moment)
{
	if (others && moment == others_moment && !others_turns--)
		others();
}

/* --- KVM_RUN. --- */

static void run(void)
{
	next_act = 0;
	v->run->exit_reason = 0xdead;
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
}

#define RUN(...) do { \
	const struct act acts_[] = { __VA_ARGS__ }; \
	memset(script, 0, sizeof(script)); \
	memcpy(script, acts_, sizeof(acts_)); \
	run(); \
} while (0)

/* Without new rows of the accounting, which end the fast path for a moment. */
static void quietly(void)
{
	machine_accounting_off = true;
	RUN(DO(host_interrupt));
}

static bool is_fast(struct act a)
{
	u32 reasons[] = { SVM_EXIT_MSR, SVM_EXIT_CPUID, SVM_EXIT_VMMCALL, SVM_EXIT_HLT };
	u64 before = 0, after = 0;

	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++)
		before += whole_exits(v, reasons[i], EXEUNT_FAST);
	RUN(a);
	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++)
		after += whole_exits(v, reasons[i], EXEUNT_FAST);
	return after > before;
}

#define assert_fast(...)	assert_true(is_fast((struct act)__VA_ARGS__))
#define assert_not_fast(...)	assert_false(is_fast((struct act)__VA_ARGS__))

/* Ends the run with #GP pending: the instruction has not been executed, not even a little. */
static void assert_gp(struct act a)
{
	u64 rip = vcpu_rip(v), gps = v->stats->counters.exceptions[VEC_GP];

	assert_false(is_fast(a));
	assert_int_equal(v->stats->counters.exceptions[VEC_GP], gps + 1);
	assert_int_equal(vcpu_rip(v), rip);
}

static u32 reg(u32 offset)
{
	return lapic_reg(&v->apic, offset);
}

static bool bit_of(struct vcpu *v, u32 array, u8 vector)
{
	return lapic_reg(&v->apic, array + vector / 32 * 16) >> vector % 32 & 1;
}

#define in_irr(v, vector)	bit_of(v, LAPIC_IRR, vector)
#define in_isr(v, vector)	bit_of(v, LAPIC_ISR, vector)

static void arrive(struct vcpu *v, u8 vector)
{
	lapic_deliver(v->vm, NULL, &(struct apic_msg){ .dest = v->id, .vector = vector, .assert = true });
}

/* A vCPU that waits where it should not would hang the test. */
static void sleep_for_ever(struct vcpu *v)
{
	machine_signal = true;
}

static void enable_lapic(struct vcpu *v)
{
	lapic_set_base(v, v->apic.base | APIC_BASE_X2APIC_BIT, true);
	lapic_x2apic_write(v, 0x80f, 0x1ff);
}

static int setup(void **state)
{
	struct guest g;

	m = whole_create(1 << 20, true);
	g.m = m;
	g.v = v = vm_vcpu(&m->vm, 0);
	other = whole_add_vcpu(m, 1);
	svm.nrip = svm.decode_assists = true;
	machine_guest = play;
	machine_others = have_their_turn;
	machine_blocked = sleep_for_ever;
	others = NULL;
	others_turns = 0;
	others_moment = MOMENT_ENTERING;
	machine_accounting_off = false;
	machine_mechanisms = MECHANISMS;
	guest_set_mode(&g, GUEST_LONG);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	VMCB(v)->s.rflags |= FLAG_IF;
	vcpu_set_rip(v, START_RIP);
	enable_lapic(v);
	enable_lapic(other);
	v->cpuid.has_tsc_deadline = true;
	machine_advance(m, 1000);
	RUN(DO(host_interrupt));	/* requests of the start are through, mechanisms known */
	return 0;
}

static int teardown(void **state)
{
	machine_signal = machine_accounting_off = false;
	machine_mechanisms = EXEUNT_MECHANISMS;
	assert_false(machine_cpu.irqs_off || machine_cpu.preempt_off || machine_cpu.in_guest_xstate);
	whole_free(m);
	return 0;
}

/* --- What is fast, and what is left alone. --- */

static void cpuid_is_fast(void **state)
{
	assert_fast({ ask_leaf, 0, 0 });
	assert_int_equal(v->regs[R_BX], 0x68747541);
	assert_int_equal(vcpu_rip(v), START_RIP + 2);
	assert_fast({ ask_leaf, 1, 0 });		/* has bits that follow the guest's state */
	assert_fast({ ask_leaf, 0x1234567, 0 });	/* does not exist */
}

static void hypercalls_are_fast_and_none_is_known(void **state)
{
	assert_fast({ call, 0, 5 });
	assert_int_equal(v->regs[R_AX], (u64)-KVM_ENOSYS);
	VMCB(v)->s.cpl = 3;
	assert_fast({ call, 0, 5 });
	assert_int_equal(v->regs[R_AX], (u64)-KVM_EPERM);
	VMCB(v)->s.cs.attrib ^= 3u << 9;
	assert_fast({ call, 0, 5ull | 1ull << 40 });
	assert_int_equal(v->regs[R_AX], (u32)-KVM_EPERM);
}

static void rip_is_cut_to_32_bits_outside_64_bit_code(void **state)
{
	vcpu_set_rip(v, 0xfffffffe);
	assert_fast({ cpuid, 0, 0 });
	assert_int_equal(vcpu_rip(v), 0x100000000);
	VMCB(v)->s.cs.attrib ^= 3u << 9;
	vcpu_set_rip(v, 0xfffffffe);
	assert_fast({ cpuid, 0, 0 });
	assert_int_equal(vcpu_rip(v), 0);
}

static void fast_instruction_ends_the_interrupt_shadow(void **state)
{
	vcpu_set_shadow(v, true);
	assert_fast({ cpuid, 0, 0 });
	assert_false(vcpu_in_shadow(v));
}

static void tpr_is_fast_but_not_with_reserved_bits(void **state)
{
	assert_fast({ wrmsr, TPR, 0x35 });
	assert_int_equal(reg(LAPIC_TPR), 0x35);
	assert_gp((struct act)WRMSR(TPR, 0x100));
	assert_gp((struct act)WRMSR(TPR, 1ull << 32));
	assert_int_equal(reg(LAPIC_TPR), 0x35);
}

static void eoi_is_fast_but_not_with_a_value(void **state)
{
	machine_take(v, 0x61);
	assert_gp((struct act)WRMSR(EOI, 1));
	assert_gp((struct act)WRMSR(EOI, 1ull << 32));
	assert_true(in_isr(v, 0x61));
	assert_fast({ wrmsr, EOI, 0 });
	assert_false(in_isr(v, 0x61));
	assert_fast({ wrmsr, EOI, 0 });		/* of nothing */
}

static void eoi_that_the_vmms_ioapic_wants_is_left_to_the_kernel(void **state)
{
	machine_take(v, 0x61);
	v->apic.eoi_exit[1] = 1ull << (0x61 - 64);
	next_act = 0;
	memset(script, 0, sizeof(script));
	script[0] = (struct act)WRMSR(EOI, 0);
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_IOAPIC_EOI);
	assert_int_equal(v->run->eoi.vector, 0x61);
	assert_int_equal(whole_exits(v, SVM_EXIT_MSR, EXEUNT_FAST), 0);
	assert_false(in_isr(v, 0x61));
}

static void self_ipis_are_fast_by_both_registers(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	assert_fast({ wrmsr, SELF_IPI, VECTOR });
	assert_true(in_irr(v, VECTOR));
	assert_fast({ wrmsr, ICR, 1u << 18 | 0x51 });
	assert_true(in_irr(v, 0x51));
	assert_int_equal(lapic_reg(&v->apic, LAPIC_ICR), 1u << 18 | 0x51);
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][1][EXEUNT_TARGET_SELF], 2);
}

static void self_ipi_register_takes_no_more_than_a_vector(void **state)
{
	assert_gp((struct act)WRMSR(SELF_IPI, 0x150));
	assert_gp((struct act)WRMSR(SELF_IPI, 1ull << 32 | VECTOR));
	assert_false(in_irr(v, VECTOR));
}

static void ipi_to_one_other_is_fast(void **state)
{
	assert_fast({ wrmsr, ICR, 1ull << 32 | VECTOR });
	assert_fast({ wrmsr, ICR, 2ull << 32 | 1u << 11 | 0x51 });
	assert_true(in_irr(other, VECTOR) && in_irr(other, 0x51));
}

static void ipi_to_several_is_fast_if_there_are_only_a_few_vcpus(void **state)
{
	assert_fast({ wrmsr, ICR, 0xffffffffull << 32 | VECTOR });		/* broadcast */
	assert_fast({ wrmsr, ICR, 3ull << 32 | 1u << 11 | 0x51 });		/* two of a cluster */
	assert_fast({ wrmsr, ICR, 3u << 18 | 0x52 });				/* all but self */
	assert_true(in_irr(other, VECTOR) && in_irr(other, 0x51) && in_irr(other, 0x52));
	assert_fast({ wrmsr, ICR, 77ull << 32 | VECTOR });			/* nobody */
	m->vm.max_id = EXEUNT_FAST_IPI_TARGETS;
	assert_not_fast({ wrmsr, ICR, 3u << 18 | 0x54 });
	assert_true(in_irr(other, 0x54));
	m->vm.max_id = 1;
}

static void other_ipis_are_sent_but_not_fast(void **state)
{
	assert_not_fast({ wrmsr, ICR, 1ull << 32 | APIC_LOWEST << 8 | 0x53 });
	assert_true(in_irr(other, 0x53));
	assert_not_fast({ wrmsr, ICR, 1ull << 32 | APIC_NMI << 8 });
	assert_int_equal(other->ev.nmi_queued, 1);
	assert_gp((struct act)WRMSR(ICR, 1ull << 32 | 1u << 13 | VECTOR));	/* reserved */
}

static void level_triggered_self_ipi_sets_its_trigger_mode(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	assert_fast({ wrmsr, ICR, 1u << 18 | 1u << 15 | VECTOR });
	assert_true(bit_of(v, LAPIC_TMR, VECTOR));
	/* And an edge-triggered one clears it. */
	RUN(WRMSR(TPR, 0));
	VMCB(v)->s.rflags |= FLAG_IF;
	quietly();
	RUN(TAKE_AND_END(VECTOR), SELF(VECTOR), TAKE(VECTOR));
	assert_false(bit_of(v, LAPIC_TMR, VECTOR));
}

static void illegal_vector_is_an_apic_error(void **state)
{
	RUN(SELF(5), WRMSR(0x828, 0));
	assert_int_equal(reg(LAPIC_ESR), 1u << 5);
}

static void disabled_apic_takes_no_self_ipi(void **state)
{
	quietly();
	RUN(WRMSR(0x80f, 0xff), SELF(VECTOR), DO(nothing_offered));
	assert_false(in_irr(v, VECTOR));
}

static void deadline_is_fast_where_it_exists(void **state)
{
	RUN(WRMSR(LVT_TIMER, 0x40000 | VECTOR));
	assert_fast({ wrmsr, DEADLINE, msr_guest_tsc(v) + 1000 });
	assert_fast({ rdmsr, DEADLINE, 0 });
	assert_int_equal(v->regs[R_AX] | v->regs[R_DX] << 32, v->apic.timer.tscdeadline);
	v->cpuid.has_tsc_deadline = false;
	assert_gp((struct act)WRMSR(DEADLINE, 1));
}

static void apic_registers_are_read_fast_if_they_exist(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	arrive(v, VECTOR);
	assert_fast({ rdmsr, TPR, 0 });
	assert_fast({ rdmsr, 0x822, 0 });
	assert_int_equal(v->regs[R_AX], 1u << (VECTOR - 64));
	assert_gp((struct act)RDMSR(EOI));
}

static void other_msrs_are_fast_unless_their_writes_may_sleep(void **state)
{
	assert_fast({ rdmsr, 0x10, 0 });
	assert_fast({ rdmsr, 0x277, 0 });
	assert_fast({ wrmsr, 0x277, 0x0007040600070406ull });
	assert_gp((struct act)WRMSR(0x277, 2));
	assert_gp((struct act)RDMSR(0x12345678));
	/* kvmclock writes guest memory; SPEC_CTRL changes what the world switch may do. */
	assert_not_fast({ wrmsr, 0x4b564d01, 0 });
	v->cpuid.has_spec_ctrl = true;
	assert_not_fast({ wrmsr, 0x48, 0 });
}

static void x2apic_registers_are_not_there_in_xapic_mode(void **state)
{
	lapic_set_base(v, v->apic.base & ~APIC_BASE_X2APIC_BIT, true);
	assert_gp((struct act)WRMSR(TPR, 0x20));
	assert_gp((struct act)WRMSR(SELF_IPI, VECTOR));
	assert_gp((struct act)RDMSR(TPR));
	assert_int_equal(reg(LAPIC_TPR), 0);
}

static void halt_is_fast_with_an_interrupt_that_can_be_taken(void **state)
{
	RUN(SELF(VECTOR), DO(hlt), TAKE(VECTOR));
	assert_int_equal(whole_exits(v, SVM_EXIT_HLT, EXEUNT_FAST), 1);
	assert_int_equal(machine_of(v)->blocks, 0);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
}

static void wake_by_nmi(struct vcpu *v)
{
	event_nmi(v);
}

static void halt_waits_otherwise(void **state)
{
	machine_blocked = wake_by_nmi;
	assert_not_fast({ hlt, 0, 0 });
	assert_int_equal(machine_of(v)->blocks, 1);
}

static void halt_waits_with_interrupts_off_or_blocked(void **state)
{
	machine_blocked = wake_by_nmi;
	RUN(WRMSR(TPR, 0xf0), SELF(VECTOR));
	assert_not_fast({ hlt, 0, 0 });
	vendor_set_nmi_mask(v, false);
	RUN(WRMSR(TPR, 0));
	VMCB(v)->s.rflags &= ~FLAG_IF;
	assert_not_fast({ hlt, 0, 0 });
	assert_int_equal(machine_of(v)->blocks, 2);
}

static void single_step_traps_after_each_instruction(void **state)
{
	struct act acts[] = { DO(cpuid), DO(vmmcall), WRMSR(TPR, 0x20), RDMSR(TPR) };

	for (u32 i = 0; i < ARRAY_SIZE(acts); i++) {
		VMCB(v)->s.rflags |= FLAG_TF;
		VMCB(v)->s.dr6 = 0xffff0ff0;
		assert_false(is_fast(acts[i]));
		assert_true(VMCB(v)->s.dr6 & 1u << 14);
		assert_int_equal(v->stats->counters.exceptions[VEC_DB], i + 1);
	}
}

static void interrupted(struct vcpu *v)
{
	VMCB(v)->c.exit_int_info = EVENT_VALID | EVENT_TYPE_INTR | 0x77;
	cpuid(v);
}

static void expect_interrupted(struct vcpu *v)
{
	assert_int_equal(VMCB(v)->c.event_inj, EVENT_VALID | EVENT_TYPE_INTR | 0x77);
	cpuid(v);
}

static void exit_that_interrupted_an_event_is_not_fast(void **state)
{
	RUN(DO(interrupted), DO(expect_interrupted), DO(cpuid));
	/* Nor was the one after the entry that delivered it. */
	assert_int_equal(whole_exits(v, SVM_EXIT_CPUID, EXEUNT_FAST), 1);
	assert_int_equal(whole_exits(v, SVM_EXIT_CPUID, EXEUNT_KERNEL), 2);
}

static void nothing_is_fast_without_the_next_rip(void **state)
{
	memcpy(m->mem + CODE_GPA, "\x0f\xa2", 2);
	guest_map(&(struct guest){ .m = m, .v = v, .mode = GUEST_LONG, .next_table = TABLES_START + 0x1000 }, START_RIP, CODE_GPA, PTE_P);
	svm.nrip = false;
	assert_not_fast({ cpuid, 0, 0 });
}

static void nothing_is_fast_while_the_vmms_pic_waits(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	v->run->request_interrupt_window = 1;
	assert_not_fast({ cpuid, 0, 0 });
	v->run->request_interrupt_window = 0;
	assert_int_equal(event_extint(v, 0x20), 0);
	assert_not_fast({ cpuid, 0, 0 });
}

static void nothing_is_fast_with_the_guests_breakpoints(void **state)
{
	VMCB(v)->s.dr7 |= 1;
	assert_not_fast({ cpuid, 0, 0 });
}

static void nothing_is_fast_with_a_vapic_page(void **state)
{
	assert_int_equal(lapic_set_vapic(v, 0x2000), 0);
	assert_not_fast({ cpuid, 0, 0 });
}

static void nothing_is_fast_while_the_end_of_an_nmi_is_watched(void **state)
{
	event_nmi(v);
	event_nmi(v);
	RUN(DO(host_interrupt));
	v->hw.nmi_iret = true;
	v->hw.nmi_iret_rip = vcpu_rip(v);
	assert_not_fast({ cpuid, 0, 0 });
	v->hw.nmi_iret = false;
	v->hw.nmi_singlestep = true;
	assert_not_fast({ cpuid, 0, 0 });
}

/* --- Switches. --- */

static void set_own(u32 on)
{
	m->vm.mechanisms_own = EXEUNT_MECHANISMS;
	m->vm.mechanisms_on = on;
}

static void without_the_fast_path_nothing_is_fast(void **state)
{
	set_own(MECHANISMS & ~EXEUNT_FAST_PATH);
	assert_not_fast({ cpuid, 0, 0 });
	assert_not_fast({ wrmsr, TPR, 0 });
	assert_not_fast({ wrmsr, DEADLINE, 0 });
}

static void without_fast_ipis_the_rest_is_fast(void **state)
{
	set_own(MECHANISMS & ~EXEUNT_FAST_IPI);
	VMCB(v)->s.rflags &= ~FLAG_IF;
	assert_not_fast({ wrmsr, SELF_IPI, VECTOR });
	assert_not_fast({ wrmsr, ICR, 1u << 18 | VECTOR });
	assert_not_fast({ wrmsr, ICR, 1ull << 32 | VECTOR });
	assert_true(in_irr(v, VECTOR) && in_irr(other, VECTOR));
	assert_fast({ wrmsr, TPR, 0 });
	assert_fast({ wrmsr, DEADLINE, 0 });
}

static void without_fast_timers_the_rest_is_fast(void **state)
{
	set_own(MECHANISMS & ~EXEUNT_FAST_TIMER);
	assert_not_fast({ wrmsr, DEADLINE, 0 });
	assert_fast({ rdmsr, DEADLINE, 0 });
	assert_fast({ cpuid, 0, 0 });
}

static void vm_follows_the_default_where_it_has_not_decided(void **state)
{
	machine_mechanisms = 0;
	assert_not_fast({ cpuid, 0, 0 });
	m->vm.mechanisms_own = EXEUNT_FAST_PATH;
	assert_not_fast({ cpuid, 0, 0 });
	m->vm.mechanisms_on = EXEUNT_MECHANISMS;
	assert_fast({ cpuid, 0, 0 });
	assert_not_fast({ wrmsr, DEADLINE, 0 });
	machine_mechanisms = EXEUNT_MECHANISMS;
	m->vm.mechanisms_on = 0;
	assert_not_fast({ cpuid, 0, 0 });
}

/* --- When it ends. --- */

static u32 storm_left, rounds, most_rounds, irq_enables;

/* CPUID for ever; counts how many in a row there are with host interrupts off. */
static void storm(struct vcpu *v)
{
	rounds = irq_enables == machine_cpu.irq_enables ? rounds + 1 : 1;
	irq_enables = machine_cpu.irq_enables;
	most_rounds = max(most_rounds, rounds);
	if (storm_left--)
		cpuid(v);
	else
		stop(v);
}

static void host_interrupts_are_enabled_after_so_many_exits(void **state)
{
	machine_accounting_off = true;
	machine_guest = storm;
	storm_left = 1000;
	most_rounds = 0;
	run();
	assert_int_equal(most_rounds, EXEUNT_FAST_ROUNDS);
	assert_int_equal(vcpu_rip(v), START_RIP + 2000);
}

/* With host interrupts off all the time, two CPUIDs in a row: entered twice in one go. */
static bool goes_on_after(void (*what)(void))
{
	u32 before;

	quietly();
	others = what;
	others_turns = 1;	/* the first is enter_once()'s */
	before = machine_cpu.irq_enables;
	RUN(DO(cpuid));
	others = NULL;
	return machine_cpu.irq_enables - before == 2;
}

static void do_nothing(void) { }
static void kick_by_interrupt(void) { arrive(v, VECTOR); }
static void work_comes(void) { machine_cpu.work = true; }

static void goes_on_if_nothing_comes_up(void **state)
{
	assert_true(goes_on_after(do_nothing));
}

static void ends_when_the_host_has_work(void **state)
{
	assert_false(goes_on_after(work_comes));
}

static void ends_when_it_is_kicked_at_the_last_moment(void **state)
{
	u32 entries;

	machine_accounting_off = true;
	others = kick_by_interrupt;
	others_turns = 1;
	entries = machine_cpu.entries;
	RUN(DO(cpuid), TAKE(VECTOR));
	/* CPUID; not a single instruction; the interrupt. */
	assert_int_equal(machine_cpu.entries - entries, 4);
}

static void request_while_in_guest(struct vcpu *v)
{
	vcpu_request(v, act->index);
	cpuid(v);
}

static void ends_on_each_request_but_for_interrupts(void **state)
{
	u32 requests[] = { REQ_TLB_FLUSH, REQ_CLOCK_UPDATE, REQ_IOAPIC_SCAN, REQ_STATS, REQ_TIMER_FOLLOW }, before;

	machine_accounting_off = true;
	for (u32 i = 0; i < ARRAY_SIZE(requests); i++) {
		before = machine_cpu.irq_enables;
		RUN({ request_while_in_guest, requests[i], 0 });
		assert_true(machine_cpu.irq_enables - before >= 4);
		assert_false(v->requests & 1ull << requests[i]);
	}
	before = machine_cpu.irq_enables;
	RUN({ request_while_in_guest, REQ_EVENT, 0 });
	assert_int_equal(machine_cpu.irq_enables - before, 2);
}

static void nmi_arrives(struct vcpu *v)
{
	event_nmi(v);
	machine_cpu.kicked = false;	/* on its way still */
	v->mode = IN_GUEST;
	cpuid(v);
}

static void expect_nmi(struct vcpu *v)
{
	assert_int_equal(VMCB(v)->c.event_inj, EVENT_VALID | EVENT_TYPE_NMI | 2);
	cpuid(v);
}

static void nmi_goes_with_the_next_entry(void **state)
{
	RUN(DO(nmi_arrives), DO(expect_nmi));
	assert_int_equal(v->stats->counters.nmis, 1);
}

/* svm_world_switch() aborts where a vCPU enters the guest that looks as if it had been kicked, and nothing will interrupt it. */
static void kick_of_its_own_does_not_make_it_deaf(void **state)
{
	quietly();
	RUN(WRMSR(LVT_ERROR, 0x40));
	RUN(SELF(5), TAKE(0x40));
	assert_true(in_isr(v, 0x40));
	/* The same from a timer whose vector is illegal. */
	RUN(WRMSR(EOI, 0), WRMSR(0x828, 0), WRMSR(LVT_TIMER, 0x40000 | 3), WRMSR(DEADLINE, 1), TAKE(0x40));
}

static void signal_comes(void) { machine_signal = true; }

static void exit_after_which_the_vmm_was_needed_is_the_vmms(void **state)
{
	memset(script, 0, sizeof(script));
	script[0] = (struct act)DO(cpuid);
	next_act = 0;
	others = signal_comes;
	others_turns = 1;
	assert_int_equal(vcpu_run(v), -EINTR);
	others = NULL;
	machine_signal = false;
	RUN(DO(host_interrupt));
	assert_int_equal(whole_exits(v, SVM_EXIT_CPUID, EXEUNT_USER), 1);
	assert_int_equal(whole_exits(v, SVM_EXIT_CPUID, EXEUNT_FAST), 0);
	assert_int_equal(whole_exits(v, SVM_EXIT_CPUID, EXEUNT_OUTCOMES), 0);
}

/* --- TPR. --- */

/* The guest finds in CR8 what the APIC's TPR says; tried with two values, the second lower. */
static void tpr_in_the_vmcb_is_always_the_apics(void **state)
{
	struct kvm_lapic_state s;
	u32 tpr = 0x70;

	RUN(WRMSR(TPR, 0x45));
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 4);
	RUN({ set_cr8, 0, 9 }, RDMSR(TPR));
	assert_int_equal(v->regs[R_AX], 0x90);
	RUN(WRMSR(TPR, 0x21), { set_cr8, 0, 2 }, RDMSR(TPR));
	assert_int_equal(v->regs[R_AX], 0x21);	/* CR8 has not changed */
	lapic_get_state(v, &s);
	memcpy(s.regs + LAPIC_TPR, &tpr, sizeof(tpr));
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 7);
	lapic_set_base(v, v->apic.base & ~APIC_BASE_X2APIC_BIT, true);
	tpr = 0xc3;
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_TPR, 4, &tpr);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 0xc);
	lapic_reset(v, true);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 0);
}

static void apic_that_is_switched_off_has_no_tpr(void **state)
{
	RUN(WRMSR(TPR, 0x45), WRMSR(0x1b, APIC_DEFAULT_BASE | APIC_BASE_BSP_BIT));
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 0);
}

static void raised_tpr_takes_an_offer_back(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	RUN(SELF(VECTOR), WRMSR(TPR, 0x60), DO(nothing_offered), WRMSR(TPR, 0x40), TAKE(VECTOR));
}

/* --- In service. --- */

static void check_isr_words(struct vcpu *v)
{
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(v->apic.isr_words >> i & 1, !!lapic_reg(&v->apic, LAPIC_ISR + i * 16));
}

static void nested_interrupts_end_in_their_order(void **state)
{
	static const u8 vectors[] = { 0x31, 0x41, 0x5f, 0x60, 0xef };

	for (u32 i = 0; i < ARRAY_SIZE(vectors); i++) {
		RUN(SELF(vectors[i]), TAKE(vectors[i]));
		check_isr_words(v);
		assert_int_equal(v->apic.isr_top, vectors[i]);
		assert_int_equal(reg(LAPIC_PPR), vectors[i] & 0xf0);
	}
	for (u32 i = ARRAY_SIZE(vectors); i--;) {
		assert_true(in_isr(v, vectors[i]));
		RUN(WRMSR(EOI, 0));
		check_isr_words(v);
		assert_false(in_isr(v, vectors[i]));
		assert_int_equal(v->apic.isr_top, i ? vectors[i - 1] : -1);
	}
	assert_int_equal(reg(LAPIC_PPR), 0);
}

static void blocked_interrupt_comes_when_the_one_in_service_ends(void **state)
{
	quietly();
	RUN(SELF(0x61), TAKE(0x61), SELF(0x51), DO(nothing_offered), SELF(0x52), WRMSR(EOI, 0), TAKE_AND_END(0x52), TAKE_AND_END(0x51));
	assert_int_equal(v->apic.isr_top, -1);
	check_isr_words(v);
}

/* --- Offered directly. --- */

static void expect_offered(struct vcpu *v)
{
	assert_int_equal(v->ev.offered, act->index);
	assert_false(in_irr(v, act->index));
	assert_true(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_WRITE(8));
	cpuid(v);
}

static void arriving_self_ipi_is_offered_without_a_detour(void **state)
{
	quietly();
	RUN(SELF(VECTOR), { expect_offered, VECTOR, 0 }, TAKE(VECTOR));
	assert_true(in_isr(v, VECTOR));
	assert_false(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_WRITE(8));
}

static void offer_that_was_not_taken_waits_in_irr(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	RUN(SELF(VECTOR), DO(cpuid));
	assert_true(in_irr(v, VECTOR));
	assert_int_equal(v->ev.offered, -1);
}

static void higher_interrupt_takes_the_place_of_the_one_offered(void **state)
{
	quietly();
	VMCB(v)->s.rflags &= ~FLAG_IF;
	RUN(SELF(VECTOR), SELF(0x80), SELF(0x60), TAKE_AND_END(0x80), TAKE_AND_END(0x60), TAKE_AND_END(VECTOR), DO(nothing_offered));
}

static void same_vector_again_while_it_is_in_service_comes_twice(void **state)
{
	quietly();
	RUN(SELF(VECTOR), TAKE(VECTOR), SELF(VECTOR), DO(nothing_offered), WRMSR(EOI, 0), TAKE_AND_END(VECTOR), DO(nothing_offered));
}

static void another_arrives(void) { arrive(v, 0x81); }

static void offer_is_not_lost_when_another_interrupt_arrives_at_that_moment(void **state)
{
	quietly();
	others = another_arrives;
	others_moment = MOMENT_HANDLED;
	RUN(SELF(VECTOR), DO(host_interrupt), TAKE_AND_END(0x81), TAKE_AND_END(VECTOR), DO(nothing_offered));
}

/* The guest's timer has expired, and is not yet looked at, when it sends itself an IPI. */
static void send_late(struct vcpu *v)
{
	machine_advance(m, 2000);
	wrmsr(v);
}

static void offer_does_not_overtake_the_timer(void **state)
{
	quietly();
	RUN(WRMSR(LVT_TIMER, 0x40000 | 0x81), WRMSR(DEADLINE, msr_guest_tsc(v) + 2000), { send_late, SELF_IPI, VECTOR },
	    TAKE_AND_END(0x81), TAKE_AND_END(VECTOR), DO(nothing_offered));
}

static void blocked_self_ipi_is_not_offered(void **state)
{
	quietly();
	RUN(WRMSR(TPR, 0x50), SELF(VECTOR), DO(nothing_offered), WRMSR(TPR, 0x4f), TAKE(VECTOR));
}

/* --- The lazy timer. --- */

static u64 in_ns(u64 ns)
{
	return msr_guest_tsc(v) + ns * (MACHINE_TSC_KHZ / 1000000);
}

static void arm_in(u64 ns)
{
	RUN(WRMSR(LVT_TIMER, 0x40000 | VECTOR), WRMSR(DEADLINE, in_ns(ns)));
}

static u64 host_timer(void) { return machine_of(v)->timer_deadline; }

static void deadline_that_moves_later_leaves_the_hosts_timer(void **state)
{
	u32 arms;

	arm_in(10000);
	arms = machine_of(v)->timer_arms;
	for (u64 ns = 20000; ns < 100000; ns += 10000)
		assert_fast({ wrmsr, DEADLINE, in_ns(ns) });
	assert_int_equal(machine_of(v)->timer_arms, arms);
	assert_int_equal(host_timer(), machine_now_ns + 10001);
}

static void deadline_that_moves_earlier_arms_it(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(5000)));
	assert_int_equal(host_timer(), machine_now_ns + 5001);
	/* Also after it has moved later. */
	RUN(WRMSR(DEADLINE, in_ns(90000)), WRMSR(DEADLINE, in_ns(3000)));
	assert_int_equal(host_timer(), machine_now_ns + 3001);
}

static void deadline_taken_back_leaves_the_hosts_timer(void **state)
{
	u32 cancels;

	arm_in(10000);
	cancels = machine_of(v)->timer_cancels;
	RUN(WRMSR(DEADLINE, 0));
	assert_int_equal(machine_of(v)->timer_cancels, cancels);
	machine_advance(m, 20000);
	RUN(DO(nothing_offered));
	assert_int_equal(host_timer(), 0);
}

static void early_fire_arms_it_once_for_what_is_left(void **state)
{
	u32 arms;

	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	arms = machine_of(v)->timer_arms;
	machine_advance(m, 20000);
	RUN(DO(nothing_offered));
	assert_int_equal(machine_of(v)->timer_arms, arms + 1);
	assert_int_equal(host_timer(), machine_now_ns + 30001);
	machine_advance(m, 30001);
	RUN(TAKE(VECTOR));
}

static void sleep_is_not_disturbed_by_a_lax_timer(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	lapic_timer_tighten(v);
	assert_int_equal(host_timer(), machine_now_ns + 50001);
	RUN(WRMSR(DEADLINE, 0));
	lapic_timer_tighten(v);
	assert_int_equal(host_timer(), 0);
	/* Nothing to do the second time. */
	lapic_timer_tighten(v);
	assert_int_equal(host_timer(), 0);
}

static void sleep_with_a_counting_timer_is_not_disturbed_either(void **state)
{
	u32 arms;

	RUN(WRMSR(0x83e, 0xb), WRMSR(LVT_TIMER, VECTOR), WRMSR(0x838, 10000));
	arms = machine_of(v)->timer_arms;
	RUN(WRMSR(0x838, 50000));
	assert_int_equal(machine_of(v)->timer_arms, arms);
	assert_int_equal(host_timer(), machine_now_ns + 10000);
	lapic_timer_tighten(v);
	assert_int_equal(host_timer(), machine_now_ns + 50000);
}

static void tightened_deadline_that_is_over_fires(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(10001)));
	machine_now_ns += 60000;	/* the host's timer is late */
	lapic_timer_tighten(v);
	machine_advance(m, 1);
	RUN(TAKE(VECTOR));
}

static void new_tsc_counts_for_a_lax_timer(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	msr_set_tsc(v, msr_guest_tsc(v) + 80000);	/* 40 us on */
	assert_int_equal(host_timer(), machine_now_ns + 10001);
	/* What was armed for the old TSC is no measure for the new one. */
	RUN(WRMSR(DEADLINE, 0));
	msr_set_tsc(v, 1ull << 40);
	RUN(WRMSR(DEADLINE, in_ns(4000)));
	machine_advance(m, 4001);
	RUN(TAKE(VECTOR));
}

static void timer_is_exact_again_when_it_is_lazy_no_more(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	set_own(MECHANISMS & ~EXEUNT_LAZY_TIMER);
	RUN(DO(cpuid));
	machine_advance(m, 50001);
	RUN(TAKE(VECTOR), WRMSR(DEADLINE, in_ns(60000)));
	assert_int_equal(host_timer(), machine_now_ns + 60001);
	RUN(WRMSR(DEADLINE, in_ns(70000)));
	assert_int_equal(host_timer(), machine_now_ns + 70001);
	RUN(WRMSR(DEADLINE, 0));
	assert_int_equal(host_timer(), 0);
}

static void past_deadline_fires_at_once(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)), WRMSR(DEADLINE, 1), TAKE_AND_END(VECTOR), RDMSR(DEADLINE));
	assert_int_equal(v->regs[R_AX], 0);
	RUN(WRMSR(DEADLINE, in_ns(0)), TAKE(VECTOR));
}

static void state_is_loaded_under_a_lax_timer(void **state)
{
	struct kvm_lapic_state s;

	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	lapic_get_state(v, &s);
	assert_int_equal(lapic_set_state(v, &s), 0);
	assert_int_equal(host_timer(), machine_now_ns + 50001);
	machine_advance(m, 50001);
	RUN(TAKE(VECTOR));
}

static void reset_stops_a_lax_timer(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)));
	lapic_reset(v, true);
	assert_int_equal(host_timer(), 0);
	enable_lapic(v);
	/* Nothing of what was before makes the next one lax. */
	arm_in(20000);
	assert_int_equal(host_timer(), machine_now_ns + 20001);
}

static void other_timer_mode_does_not_inherit_the_deadline(void **state)
{
	arm_in(10000);
	RUN(WRMSR(DEADLINE, in_ns(50000)), WRMSR(0x83e, 0xb), WRMSR(LVT_TIMER, VECTOR), WRMSR(0x838, 30000));
	machine_advance(m, 29999);
	RUN(DO(nothing_offered));
	machine_advance(m, 1);
	RUN(TAKE_AND_END(VECTOR));
	RUN(WRMSR(LVT_TIMER, 0x40000 | VECTOR), RDMSR(DEADLINE));
	assert_int_equal(v->regs[R_AX], 0);
}

static u64 to_pass;
static void time_passes(void) { machine_advance(m, to_pass); }

/* The host's timer fires at @turn of the moments at which others act; the interrupt comes all the same, once. */
static void fires_between(u32 turn, u64 deadline, u64 passes)
{
	arm_in(1000);
	to_pass = passes;
	others = time_passes;
	others_turns = turn;
	RUN(DO(cpuid), WRMSR(DEADLINE, in_ns(deadline)), DO(cpuid), DO(host_interrupt), DO(cpuid));
	others = NULL;
	assert_true(!v->apic.timer.tscdeadline || host_timer() || v->apic.timer.pending || in_irr(v, VECTOR));
	machine_advance(m, 10000);
	RUN(DO(cpuid));
	assert_int_equal(in_irr(v, VECTOR) + (v->apic.timer.tscdeadline != 0), 1);
	RUN(TAKE_AND_END(VECTOR), DO(nothing_offered));
}

static void no_expiry_is_lost_wherever_the_hosts_timer_fires(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	for (u32 turn = 0; turn < 8; turn++)
		for (u64 deadline = 500; deadline < 5000; deadline += 1500)
			fires_between(turn, deadline, 1100);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

#ifdef WITH_INNER_LOOP
#define MOMENT_CASE(name)	{ #name, skip_moment, setup, teardown, NULL }

static void skip_moment(void **state)
{
	skip();
}
#else
#define MOMENT_CASE(name)	CASE(name)
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(cpuid_is_fast),
		CASE(hypercalls_are_fast_and_none_is_known),
		CASE(rip_is_cut_to_32_bits_outside_64_bit_code),
		CASE(fast_instruction_ends_the_interrupt_shadow),
		CASE(tpr_is_fast_but_not_with_reserved_bits),
		CASE(eoi_is_fast_but_not_with_a_value),
		CASE(eoi_that_the_vmms_ioapic_wants_is_left_to_the_kernel),
		CASE(self_ipis_are_fast_by_both_registers),
		CASE(self_ipi_register_takes_no_more_than_a_vector),
		CASE(ipi_to_one_other_is_fast),
		CASE(ipi_to_several_is_fast_if_there_are_only_a_few_vcpus),
		CASE(other_ipis_are_sent_but_not_fast),
		CASE(level_triggered_self_ipi_sets_its_trigger_mode),
		CASE(illegal_vector_is_an_apic_error),
		CASE(disabled_apic_takes_no_self_ipi),
		CASE(deadline_is_fast_where_it_exists),
		CASE(apic_registers_are_read_fast_if_they_exist),
		CASE(other_msrs_are_fast_unless_their_writes_may_sleep),
		CASE(x2apic_registers_are_not_there_in_xapic_mode),
		CASE(halt_is_fast_with_an_interrupt_that_can_be_taken),
		CASE(halt_waits_otherwise),
		CASE(halt_waits_with_interrupts_off_or_blocked),
		CASE(single_step_traps_after_each_instruction),
		CASE(exit_that_interrupted_an_event_is_not_fast),
		CASE(nothing_is_fast_without_the_next_rip),
		CASE(nothing_is_fast_while_the_vmms_pic_waits),
		CASE(nothing_is_fast_with_the_guests_breakpoints),
		CASE(nothing_is_fast_with_a_vapic_page),
		CASE(nothing_is_fast_while_the_end_of_an_nmi_is_watched),
		CASE(without_the_fast_path_nothing_is_fast),
		CASE(without_fast_ipis_the_rest_is_fast),
		CASE(without_fast_timers_the_rest_is_fast),
		CASE(vm_follows_the_default_where_it_has_not_decided),
		CASE(host_interrupts_are_enabled_after_so_many_exits),
		CASE(goes_on_if_nothing_comes_up),
		MOMENT_CASE(ends_when_the_host_has_work),
		MOMENT_CASE(ends_when_it_is_kicked_at_the_last_moment),
		CASE(ends_on_each_request_but_for_interrupts),
		CASE(nmi_goes_with_the_next_entry),
		CASE(kick_of_its_own_does_not_make_it_deaf),
		CASE(exit_after_which_the_vmm_was_needed_is_the_vmms),
		CASE(tpr_in_the_vmcb_is_always_the_apics),
		CASE(apic_that_is_switched_off_has_no_tpr),
		CASE(raised_tpr_takes_an_offer_back),
		CASE(nested_interrupts_end_in_their_order),
		CASE(blocked_interrupt_comes_when_the_one_in_service_ends),
		CASE(arriving_self_ipi_is_offered_without_a_detour),
		CASE(offer_that_was_not_taken_waits_in_irr),
		CASE(higher_interrupt_takes_the_place_of_the_one_offered),
		CASE(same_vector_again_while_it_is_in_service_comes_twice),
		MOMENT_CASE(offer_is_not_lost_when_another_interrupt_arrives_at_that_moment),
		CASE(offer_does_not_overtake_the_timer),
		CASE(blocked_self_ipi_is_not_offered),
		CASE(deadline_that_moves_later_leaves_the_hosts_timer),
		CASE(deadline_that_moves_earlier_arms_it),
		CASE(deadline_taken_back_leaves_the_hosts_timer),
		CASE(early_fire_arms_it_once_for_what_is_left),
		CASE(sleep_is_not_disturbed_by_a_lax_timer),
		CASE(sleep_with_a_counting_timer_is_not_disturbed_either),
		CASE(tightened_deadline_that_is_over_fires),
		CASE(new_tsc_counts_for_a_lax_timer),
		CASE(timer_is_exact_again_when_it_is_lazy_no_more),
		CASE(past_deadline_fires_at_once),
		CASE(state_is_loaded_under_a_lax_timer),
		CASE(reset_stops_a_lax_timer),
		CASE(other_timer_mode_does_not_inherit_the_deadline),
		CASE(no_expiry_is_lost_wherever_the_hosts_timer_fires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
