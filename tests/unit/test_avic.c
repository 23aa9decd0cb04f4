// SPDX-License-Identifier: GPL-2.0
/*
 * AVIC (svm/avic.c, and what lapic.c, event.c and the exit handlers know of it): when it is on, what the CPU is told, and that what CPU and
 * hypervisor send reaches the guest once, whoever of them does it. The guest is a script, on tests/host/svm_cpu.c's AVIC; it takes
 * interrupts as soon as it can, and ends none by itself. What guest and VMM see is the same with AVIC and without: tests/fuzz/fuzz_fast.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest.h"
#include "whole.h"

#define NR_VCPUS	3
#define MAX_ACTS	16
#define VECTOR		0x50u
#define SVR		0x80fu
#define ESR		0x828u
#define X2APIC(reg)	(0x800u + (reg) / 16)
#define SVR_ON		0x1ffu
#define ICR_LEVEL	(1u << 15)
#define ICR_LOGICAL	(1u << 11)
#define ICR_TO(short)	((u32)(short) << 18)
#define TO(id)		((u64)(id) << 32)
#define BROADCAST	TO(U32_MAX)

#define NPT_BIT		(1u << 0)
#define NRIP_BIT	(1u << 3)
#define AVIC_CPUID	(1u << 13)
#define X2AVIC_CPUID	(1u << 18)

#define ENTRY_VALID	(1ull << 63)
#define ENTRY_RUNNING	(1ull << 62)
#define ENTRY_CPU	0xfffull

/* The timer's advance moves the clock. */
#define ALL		(EXEUNT_MECHANISMS & ~EXEUNT_TIMER_ADVANCE)

/* What the guest does next, true if that exits. */
struct act {
	bool (*fn)(struct vcpu *v);
	u32 index;
	u64 value;
};

static struct machine *m;
static struct vcpu *v, *other, *third;
static struct act script[MAX_ACTS];
static const struct act *act;
static u32 next_act;
static u32 taken[MAX_ACTS], nr_taken;	/* interrupts, by the guest that ran last */
static u32 injected;			/* the last event that an entry brought with it */

/* --- The guest. --- */

static bool cpuid(struct vcpu *v) { return machine_leave(v, SVM_EXIT_CPUID, 0, 0, 2); }
static bool hlt(struct vcpu *v) { return machine_leave(v, SVM_EXIT_HLT, 0, 0, 1); }
static bool exit_by_itself(struct vcpu *v) { return machine_leave(v, act->index, act->value, 0, 0); }

static bool wrmsr(struct vcpu *v)
{
	v->regs[R_CX] = act->index;
	v->regs[R_DX] = act->value >> 32;
	VMCB(v)->s.rax = (u32)act->value;
	return machine_wrmsr(v);
}

static bool rdmsr(struct vcpu *v)
{
	v->regs[R_CX] = act->index;
	return machine_rdmsr(v);
}

static bool set_cr8(struct vcpu *v)
{
	v->regs[R_DI] = act->value;
	return machine_write_cr8(v);
}

static bool call(struct vcpu *v)
{
	((void (*)(void))(uintptr_t)act->value)();
	return false;
}

/* An exit interrupts the delivery of what was taken last. */
static bool interrupted(struct vcpu *v)
{
	VMCB(v)->c.exit_int_info = EVENT_VALID | EVENT_TYPE_INTR | taken[--nr_taken];
	return machine_leave(v, SVM_EXIT_INTR, 0, 0, 0);
}

static bool host_interrupt(struct vcpu *v)
{
	return machine_leave(v, SVM_EXIT_INTR, 0, 0, 0);
}

#define WRMSR(index, value)	{ wrmsr, index, value }
#define RDMSR(index)		{ rdmsr, index, 0 }
#define SEND(icr)		WRMSR(M_X2APIC_ICR, icr)
#define END			WRMSR(M_X2APIC_EOI, 0)
#define CR8(value)		{ set_cr8, 0, value }
#define DO(fn)			{ fn, 0, 0 }
#define CALL(fn)		{ call, 0, (uintptr_t)(fn) }
#define EXIT(code, info)	{ exit_by_itself, code, info }

static void note_taken(int vector)
{
	assert_true(nr_taken < MAX_ACTS);
	taken[nr_taken++] = vector;
}

/* By itself, or what it is offered (APM vol. 2, 15.21.4). */
static void take_interrupts(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	int vector;

	while ((vector = machine_take_from_irr(v)) >= 0)
		note_taken(vector);
	if (!(c->int_ctl & V_IRQ_BIT) || !vendor_interrupt_allowed(v) || (c->int_ctl >> 16 & 0xf) <= (c->int_ctl & V_TPR_FIELD))
		return;
	assert_false(c->int_ctl & AVIC_BIT);
	if (c->intercepts[ICPT_MISC1] & ICPT1_VINTR)
		return;
	c->int_ctl &= ~V_IRQ_BIT;
	note_taken(c->int_vector);
}

static void play(struct vcpu *v)
{
	if (VMCB(v)->c.event_inj & EVENT_VALID)
		injected = VMCB(v)->c.event_inj;
	VMCB(v)->c.event_inj = 0;
	do {
		take_interrupts(v);
		act = &script[next_act];
		if (next_act == MAX_ACTS || !act->fn) {
			machine_leave(v, 0x1234, 0, 0, 0);
			return;
		}
		next_act++;
	} while (!act->fn(v));
}

/* --- KVM_RUN. --- */

static void run_until(struct vcpu *v, u32 reason)
{
	next_act = 0;
	nr_taken = injected = 0;
	v->run->exit_reason = 0xdead;
	assert_int_equal(vcpu_run(v), reason == KVM_EXIT_INTR ? -EINTR : 0);
	assert_int_equal(v->run->exit_reason, reason);
}

#define SCRIPT(...) do { \
	const struct act acts_[] = { __VA_ARGS__ }; \
	memset(script, 0, sizeof(script)); \
	memcpy(script, acts_, sizeof(acts_)); \
} while (0)

#define RUN(v, ...) do { \
	SCRIPT(__VA_ARGS__); \
	run_until(v, KVM_EXIT_INTERNAL_ERROR); \
} while (0)

/* No act: it enters, takes what there is, and stops. */
static void enter(struct vcpu *v)
{
	memset(script, 0, sizeof(script));
	run_until(v, KVM_EXIT_INTERNAL_ERROR);
}

static void check_taken(const u32 *vectors, u32 nr)
{
	assert_int_equal(nr_taken, nr);
	for (u32 i = 0; i < nr; i++)
		assert_int_equal(taken[i], vectors[i]);
}

#define assert_taken(...) check_taken((const u32 []){ __VA_ARGS__ }, ARRAY_SIZE(((const u32 []){ __VA_ARGS__ })))
#define assert_none_taken() assert_int_equal(nr_taken, 0)

/* --- What there is to see. --- */

static u64 entry_of(const struct vcpu *v)
{
	return m->vm.hw.avic_ids[v->id];
}

static bool bit_of(struct vcpu *v, u32 array, u8 vector)
{
	return *lapic_vector_word(&v->apic, array, vector) & lapic_vector_bit(vector);
}

#define in_irr(v, vector)	bit_of(v, LAPIC_IRR, vector)
#define in_isr(v, vector)	bit_of(v, LAPIC_ISR, vector)

static u32 ctl(struct vcpu *v)
{
	return VMCB(v)->c.int_ctl & (AVIC_BIT | X2AVIC_BIT);
}

/* --- What others do. --- */

/* The CPU of some other guest: a bit in IRR, and nothing that tells of it. */
static void set_irr_quietly(u8 vector)
{
	*lapic_vector_word(&v->apic, LAPIC_IRR, vector) |= lapic_vector_bit(vector);
}

static void arrives(struct vcpu *v, u8 vector)
{
	lapic_deliver(v->vm, NULL, &(struct apic_msg){ .dest = v->id, .vector = vector, .assert = true });
}

static void vector_arrives(void)
{
	arrives(v, VECTOR);
}

static void sleep_for_ever(struct vcpu *v)
{
	machine_signal = true;
}

static void set_lapic(struct vcpu *v, u32 reg, u32 value)
{
	struct kvm_lapic_state s;

	lapic_get_state(v, &s);
	memcpy(s.regs + reg, &value, sizeof(value));
	assert_int_equal(lapic_set_state(v, &s), 0);
}

static void set_x2apic(struct vcpu *v, bool on)
{
	assert_int_equal(lapic_set_base(v, on ? v->apic.base | APIC_BASE_X2APIC_BIT : v->apic.base & ~APIC_BASE_X2APIC_BIT, true), 0);
}

/* --- The machine. --- */

static void start(struct vcpu *v)
{
	struct guest g = { .m = m, .v = v };

	guest_set_mode(&g, GUEST_LONG);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	VMCB(v)->s.rflags |= FLAG_IF;
	vcpu_set_rip(v, 0x401000);
	set_x2apic(v, true);
	assert_int_equal(lapic_x2apic_write(v, SVR, SVR_ON), 0);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static int setup_cpu(u32 svm_bits)
{
	whole_svm_bits = NPT_BIT | NRIP_BIT | svm_bits;
	m = whole_create(1 << 20, true);
	v = vm_vcpu(&m->vm, 0);
	other = whole_add_vcpu(m, 1);
	third = whole_add_vcpu(m, 2);
	for (u32 i = 0; i < NR_VCPUS; i++)
		start(vm_vcpu(&m->vm, i));
	machine_guest = play;
	machine_blocked = sleep_for_ever;
	machine_mechanisms = ALL;
	machine_accounting_off = false;
	enter(v);
	return 0;
}

static int setup(void **state) { return setup_cpu(AVIC_CPUID | X2AVIC_CPUID); }
static int setup_without(void **state) { return setup_cpu(0); }
static int setup_x2avic_alone(void **state) { return setup_cpu(X2AVIC_CPUID); }
static int setup_avic_alone(void **state) { return setup_cpu(AVIC_CPUID); }

static int teardown(void **state)
{
	machine_signal = false;
	machine_mechanisms = EXEUNT_MECHANISMS;
	assert_false(machine_cpu.irqs_off || machine_cpu.preempt_off || machine_cpu.in_guest_xstate);
	whole_free(m);
	assert_int_equal(machine_pages, 0);
	whole_svm_bits = NPT_BIT;
	return 0;
}

/* --- When it is on, and what the CPU is told. --- */

static void off_where_the_cpu_has_none(void **state)
{
	assert_int_equal(v->hw.avic, AVIC_OFF);
	assert_int_equal(ctl(v), 0);
	assert_false(v->apic.apicv);
	assert_null(m->vm.hw.avic_ids);
	arrives(v, VECTOR);
	enter(v);
	assert_taken(VECTOR);
}

static void guest_in_x2apic_mode_has_all_of_it(void **state)
{
	assert_int_equal(v->hw.avic, AVIC_FULL);
	assert_int_equal(ctl(v), AVIC_BIT | X2AVIC_BIT);
	assert_true(v->apic.apicv);
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
}

static void guest_in_xapic_mode_only_takes_interrupts(void **state)
{
	set_x2apic(v, false);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_DELIVER);
	assert_int_equal(ctl(v), AVIC_BIT);
	set_x2apic(v, true);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_FULL);
}

static void guest_without_x2avic_only_takes_interrupts(void **state)
{
	assert_int_equal(v->hw.avic, AVIC_DELIVER);
	assert_int_equal(ctl(v), AVIC_BIT);
	assert_true(v->apic.apicv);
}

static void follows_its_mechanism(void **state)
{
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_OFF);
	assert_int_equal(ctl(v), 0);
	assert_false(v->apic.apicv);
	machine_mechanisms |= EXEUNT_AVIC;
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_FULL);
}

static void check_passed(struct vcpu *v, bool passed)
{
	for (u32 msr = 0x7f0; msr < 0x910; msr++) {
		bool own = passed && (msr == M_X2APIC_TPR || msr == M_X2APIC_EOI || msr == M_X2APIC_ICR);

		assert_int_equal(machine_msr_intercepted(v, msr, false), !own);
		assert_int_equal(machine_msr_intercepted(v, msr, true), !own);
	}
}

static void three_msrs_are_the_guests_own(void **state)
{
	check_passed(v, true);
	check_passed(other, false);
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(v);
	check_passed(v, false);
	machine_mechanisms |= EXEUNT_AVIC;
	enter(v);
	check_passed(v, true);
	set_x2apic(v, false);
	enter(v);
	check_passed(v, false);
	set_x2apic(v, true);
	enter(v);
	vcpu_reset(v, true);
	check_passed(v, false);
}

static void vmcb_names_page_and_tables(void **state)
{
	const struct vmcb_control *c = &VMCB(v)->c;
	const u32 *logical = (const u32 *)(uintptr_t)c->avic_logical;

	assert_int_equal(c->avic_page, v->apic.regs_pa);
	assert_int_equal(c->avic_physical, m->vm.hw.avic_ids_pa | (VM_MAX_VCPUS - 1));
	/* The last page that there could be. */
	assert_int_equal(c->avic_bar, 0xfffffffff000);
	for (u32 i = 0; i < 1024; i++)
		assert_int_equal(logical[i], 0);
	assert_int_equal(VMCB(other)->c.avic_logical, c->avic_logical);
	assert_int_not_equal(VMCB(other)->c.avic_page, c->avic_page);
	assert_null(machine_vmcb_problem(v));
}

/* --- The entry in the physical APIC ID table. --- */

#define assert_valid(v)		assert_int_equal(entry_of(v) & ~(ENTRY_RUNNING | ENTRY_CPU), ENTRY_VALID | (v)->apic.regs_pa)
#define assert_invalid(v)	assert_int_equal(entry_of(v), 0)
#define assert_running(v, cpu)	assert_int_equal(entry_of(v), ENTRY_VALID | ENTRY_RUNNING | (v)->apic.regs_pa | (cpu))
#define assert_idle(v)		assert_int_equal(entry_of(v), ENTRY_VALID | (v)->apic.regs_pa)

static void entry_is_valid_while_the_apic_takes_interrupts(void **state)
{
	/* AVIC or not. */
	assert_false(other->apic.apicv);
	assert_idle(other);
	assert_int_equal(m->vm.hw.avic_ids[NR_VCPUS], 0);
	lapic_x2apic_write(other, SVR, 0xff);
	assert_invalid(other);
	lapic_x2apic_write(other, SVR, SVR_ON);
	assert_idle(other);
	lapic_set_base(other, APIC_DEFAULT_BASE, true);
	assert_invalid(other);
	lapic_set_base(other, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT, true);
	assert_invalid(other);		/* its SVR is that of a reset */
	set_lapic(other, LAPIC_SVR, SVR_ON);
	assert_idle(other);
	set_lapic(other, LAPIC_SVR, 0xff);
	assert_invalid(other);
	set_lapic(other, LAPIC_SVR, SVR_ON);
	vcpu_reset(other, true);
	assert_invalid(other);
	set_lapic(other, LAPIC_SVR, SVR_ON);
	vcpu_reset(other, false);
	assert_invalid(other);
}

static void entry_of_a_guest_that_writes_svr_follows_at_once(void **state)
{
	RUN(v, WRMSR(SVR, 0xff));
	assert_false(entry_of(v) & ENTRY_VALID);
	RUN(v, WRMSR(SVR, SVR_ON));
	assert_valid(v);
}

/* What the machine has of a vCPU that the engine has nothing of any more. */
static void drop(struct vcpu *v)
{
	m->vcpus[v->id] = NULL;
	m->vm.vcpu_by_id[v->id] = NULL;
	free(v->run);
	free(v->pio_data);
	host_free(machine_of(v));
}

static void entry_goes_with_the_vcpu(void **state)
{
	struct vcpu *fourth = whole_add_vcpu(m, 3);

	start(fourth);
	enter(fourth);
	assert_valid(fourth);
	whole_free_vcpu(fourth);
	assert_int_equal(m->vm.hw.avic_ids[3], 0);
	drop(fourth);
}

static void expect_running(void)
{
	assert_running(v, host_apic_id());
}

static void entry_says_running_from_an_entry_until_the_cpu_is_left(void **state)
{
	assert_idle(other);
	assert_running(v, MACHINE_FIRST_APIC_ID);
	vendor_leave_cpu(v);
	assert_idle(v);
	RUN(v, CALL(expect_running), DO(cpuid), CALL(expect_running), DO(host_interrupt), CALL(expect_running));
	assert_running(v, MACHINE_FIRST_APIC_ID);
	/* An entry that does not happen does not say so. */
	vendor_leave_cpu(v);
	machine_signal = true;
	run_until(v, KVM_EXIT_INTR);
	assert_idle(v);
}

static void entry_names_the_cpu_that_the_vcpu_has_come_to(void **state)
{
	vendor_leave_cpu(v);
	machine_cpu.nr = 5;
	RUN(v, CALL(expect_running));
	assert_running(v, MACHINE_FIRST_APIC_ID + 5);
	vendor_leave_cpu(v);
	machine_cpu.nr = ENTRY_CPU - MACHINE_FIRST_APIC_ID;
	enter(v);
	assert_running(v, ENTRY_CPU);
}

static void cpu_whose_number_has_no_room_is_not_named(void **state)
{
	vendor_leave_cpu(v);
	machine_cpu.nr = ENTRY_CPU + 1 - MACHINE_FIRST_APIC_ID;
	enter(v);
	assert_idle(v);
	RUN(v, DO(cpuid));
	assert_idle(v);
}

static void entry_says_not_running_when_it_goes_off(void **state)
{
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(v);
	assert_idle(v);
	vcpu_reset(v, true);
	machine_mechanisms |= EXEUNT_AVIC;
	start(v);
	enter(v);
	assert_running(v, MACHINE_FIRST_APIC_ID);
	vcpu_reset(v, true);
	assert_invalid(v);
}

static void entry_says_not_running_without_x2avic(void **state)
{
	assert_idle(v);
}

/* --- Software that sends. --- */

/* @send_to: one that reaches v with @vector. */
static void check_posted(void (*send_to)(u8 vector), u8 vector)
{
	u32 kicks = machine_of(v)->kicks, posts = machine_of(v)->posts;
	u64 requests = v->requests;

	send_to(vector);
	assert_int_equal(machine_of(v)->kicks, kicks);
	assert_int_equal(machine_of(v)->posts, posts + 1);
	assert_int_equal(v->requests, requests);
	assert_true(in_irr(v, vector));
	enter(v);
	assert_taken(vector);
	RUN(v, END);
	assert_none_taken();
	assert_false(in_isr(v, vector));
}

static void send_message(u8 vector) { arrives(v, vector); }
static void send_msi(u8 vector) { assert_int_equal(lapic_deliver_msi(&m->vm, 0xfee00000, 0, vector), 1); }
static void send_ipi(u8 vector) { assert_int_equal(lapic_icr_write(other, TO(0) | vector), 0); }
static void send_by_broadcast(u8 vector) { assert_int_equal(lapic_icr_write(other, ICR_TO(APIC_OTHERS) | vector), 0); }
static void send_by_hypercall(u8 vector) { assert_int_equal(lapic_send_to_set(other, vector, 0, 64, 1, 0), 1); }

static void who_sends_posts_and_requests_nothing(void **state)
{
	check_posted(send_message, 0x51);
	check_posted(send_msi, 0x52);
	check_posted(send_ipi, 0x53);
	check_posted(send_by_broadcast, 0x54);
	check_posted(send_by_hypercall, 0x55);
}

static void who_sends_while_it_is_off_kicks(void **state)
{
	u32 kicks = machine_of(other)->kicks;

	arrives(other, VECTOR);
	assert_int_equal(machine_of(other)->posts, 0);
	assert_int_equal(machine_of(other)->kicks, kicks + 1);
	assert_true(other->requests & 1ull << REQ_EVENT);
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(other);
	assert_taken(VECTOR);
}

static void vcpu_in_the_guest_takes_what_arrives_without_an_exit(void **state)
{
	u32 entries = machine_cpu.entries;

	RUN(v, CALL(vector_arrives), DO(cpuid));
	assert_taken(VECTOR);
	assert_int_equal(machine_cpu.entries, entries + 2);
}

static void interrupts_are_taken_by_priority_above_the_tpr(void **state)
{
	arrives(v, 0x51);
	arrives(v, 0x35);
	arrives(v, 0x81);
	arrives(v, 0x58);
	RUN(v, END, END, CR8(5), END, CR8(3), CR8(2));
	assert_taken(0x81, 0x58, 0x51, 0x35);
	assert_int_equal(lapic_reg(&v->apic, LAPIC_TPR), 0x20);
}

/* --- On and off. --- */

static void what_only_the_cpu_has_noted_is_offered_once_it_is_off(void **state)
{
	v->apic.irr_words = 0;
	set_irr_quietly(0x51);
	set_irr_quietly(0x91);
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(v);
	assert_taken(0x91);
	RUN(v, END);
	assert_taken(0x51);
	RUN(v, END);
	assert_none_taken();
	assert_false(in_isr(v, 0x51) || in_irr(v, 0x51) || in_isr(v, 0x91) || in_irr(v, 0x91));
}

static void what_waited_is_taken_once_it_is_on(void **state)
{
	machine_mechanisms &= ~EXEUNT_AVIC;
	VMCB(v)->s.rflags &= ~FLAG_IF;
	arrives(v, 0x51);
	arrives(v, 0x91);
	enter(v);
	assert_none_taken();
	machine_mechanisms |= EXEUNT_AVIC;
	VMCB(v)->s.rflags |= FLAG_IF;
	RUN(v, END, END);
	assert_taken(0x91, 0x51);
}

static void what_is_in_service_stays_so(void **state)
{
	arrives(v, 0x51);
	enter(v);
	assert_taken(0x51);
	machine_mechanisms &= ~EXEUNT_AVIC;
	arrives(v, 0x52);
	enter(v);
	assert_none_taken();
	machine_mechanisms |= EXEUNT_AVIC;
	enter(v);
	assert_none_taken();
	RUN(v, END);
	assert_taken(0x52);
}

static bool cr8_writes_exit(void)
{
	return VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_WRITE(8);
}

static void cr8_writes_exit_only_while_it_is_off(void **state)
{
	machine_mechanisms &= ~EXEUNT_AVIC;
	RUN(v, CR8(8));
	arrives(v, VECTOR);
	enter(v);
	assert_none_taken();
	assert_true(cr8_writes_exit());
	machine_mechanisms |= EXEUNT_AVIC;
	enter(v);
	assert_false(cr8_writes_exit());
	vcpu_request(v, REQ_EVENT);
	enter(v);
	assert_false(cr8_writes_exit());
	RUN(v, CR8(4));
	assert_taken(VECTOR);
}

static void off_while_the_vmms_pic_has_an_interrupt(void **state)
{
	set_lapic(v, LAPIC_LVT_LINT0, APIC_EXTINT << 8);
	VMCB(v)->s.rflags &= ~FLAG_IF;
	assert_int_equal(event_extint(v, 0x20), 0);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_OFF);
	arrives(v, 0x51);
	VMCB(v)->s.rflags |= FLAG_IF;
	enter(v);
	assert_taken(0x20);
	enter(v);
	assert_taken(0x51);
	assert_int_equal(v->hw.avic, AVIC_FULL);
}

static void off_while_the_vmm_waits_for_its_pics_turn(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	v->run->request_interrupt_window = 1;
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_OFF);
	v->run->request_interrupt_window = 0;
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_FULL);
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_VINTR);
}

static void off_with_a_vapic_page(void **state)
{
	assert_int_equal(lapic_set_vapic(v, 0x2000), 0);
	arrives(v, VECTOR);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_OFF);
	assert_taken(VECTOR);
	assert_int_equal(lapic_set_vapic(v, 0), 0);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_FULL);
}

static void off_while_the_apic_is(void **state)
{
	u64 base = v->apic.base;

	assert_int_equal(lapic_set_base(v, APIC_DEFAULT_BASE, true), 0);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_OFF);
	assert_int_equal(ctl(v), 0);
	assert_int_equal(lapic_set_base(v, base, true), 0);
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_FULL);
}

static void off_after_init_and_reset(void **state)
{
	for (int init = 0; init < 2; init++) {
		vcpu_reset(v, init);
		assert_int_equal(v->hw.avic, AVIC_OFF);
		assert_false(v->apic.apicv);
		assert_int_equal(ctl(v), 0);
		start(v);
		enter(v);
		assert_int_equal(v->hw.avic, AVIC_FULL);
	}
}

/* --- IPIs that the CPU sends. --- */

static void ipi_to_a_running_vcpu_is_no_exit(void **state)
{
	u32 entries = machine_cpu.entries;

	enter(other);
	RUN(v, SEND(TO(1) | VECTOR));
	assert_int_equal(machine_cpu.entries, entries + 2);
	assert_true(in_irr(other, VECTOR));
	assert_int_equal(machine_of(other)->posts, 0);
	enter(other);
	assert_taken(VECTOR);
}

static void ipi_to_itself_is_no_exit(void **state)
{
	u32 entries = machine_cpu.entries;

	RUN(v, SEND(ICR_TO(APIC_SELF) | 0x51), SEND(TO(0) | 0x61), SEND(ICR_TO(APIC_ALL) | 0x71));
	assert_int_equal(machine_cpu.entries, entries + 2);	/* for the last one: others do not run */
	assert_taken(0x51, 0x61, 0x71);
}

/* @v is halted, and its CPU does something else. */
static void halt(struct vcpu *v)
{
	vendor_leave_cpu(v);
	v->mp_state = KVM_MP_STATE_HALTED;
	v->requests = 0;
}

static void halted_target_is_posted(void **state)
{
	u32 kicks;

	enter(other);
	halt(other);
	kicks = machine_of(other)->kicks;
	RUN(v, SEND(TO(1) | VECTOR));
	assert_int_equal(machine_of(other)->posts, 1);
	assert_int_equal(machine_of(other)->kicks, kicks);
	assert_int_equal(other->requests, 0);
	assert_true(vcpu_end_wait(other));
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][0][EXEUNT_TARGET_HALTED], 1);
	machine_blocked = NULL;
	enter(other);
	assert_taken(VECTOR);
	RUN(other, END);
	assert_none_taken();
}

/* Fast path or not. */
static void check_target_without(u32 mechanisms)
{
	machine_mechanisms = mechanisms;
	halt(other);
	RUN(v, SEND(TO(1) | VECTOR));
	assert_int_equal(machine_of(other)->posts, 0);
	assert_true(other->requests & 1ull << REQ_EVENT);
	machine_mechanisms &= ~EXEUNT_AVIC;
	machine_blocked = NULL;
	enter(other);
	assert_taken(VECTOR);
	RUN(other, END);
	assert_none_taken();
	machine_mechanisms = ALL;
}

static void target_without_it_is_kicked_and_takes_the_interrupt_once(void **state)
{
	u32 kicks = machine_of(other)->kicks;

	check_target_without(ALL);
	assert_int_equal(machine_of(other)->kicks, kicks + 1);
	check_target_without(ALL & ~EXEUNT_FAST_PATH);
	assert_int_equal(machine_of(other)->kicks, kicks + 2);
	check_target_without(ALL & ~EXEUNT_FAST_IPI);
	assert_int_equal(machine_of(other)->kicks, kicks + 3);
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][0][EXEUNT_TARGET_HALTED], 3);
}

static void target_in_the_guest_without_it_is_kicked(void **state)
{
	other->mode = IN_GUEST;
	RUN(v, SEND(TO(1) | VECTOR));
	assert_int_equal(other->mode, EXITING_GUEST);
	other->mode = OUTSIDE_GUEST;
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][0][EXEUNT_TARGET_RUNNING], 1);
}

/* The other one runs with AVIC, but no CPU knows where. */
static void check_doorbell(void)
{
	u32 posts = machine_of(other)->posts, kicks = machine_of(other)->kicks;

	assert_true(other->apic.apicv);
	assert_idle(other);
	other->mode = IN_GUEST;
	RUN(v, SEND(TO(1) | 0x51), DO(cpuid));
	assert_int_equal(machine_of(other)->posts, posts + 1);
	RUN(v, SEND(ICR_TO(APIC_OTHERS) | 0x52), DO(cpuid));
	other->mode = OUTSIDE_GUEST;
	assert_int_equal(machine_of(other)->posts, posts + 2);
	assert_int_equal(machine_of(other)->kicks, kicks);
}

static void target_in_xapic_mode_in_the_guest_is_told(void **state)
{
	set_x2apic(other, false);
	enter(other);
	check_doorbell();
}

static void target_in_the_guest_on_a_cpu_whose_number_has_no_room_is_told(void **state)
{
	machine_cpu.nr = ENTRY_CPU + 1 - MACHINE_FIRST_APIC_ID;
	enter(other);
	check_doorbell();
}

static void target_that_has_just_written_svr_and_stays_in_the_guest_is_told(void **state)
{
	enter(other);
	lapic_x2apic_write(other, SVR, SVR_ON);
	check_doorbell();
}

/* One runs, one is halted with AVIC, one has none: whatever the form of the destination, each is told once, in its way. */
static void check_several(u64 icr, u8 vector)
{
	struct vcpu *fourth = vm_vcpu(&m->vm, 3);
	u32 posts = machine_of(third)->posts, kicks = machine_of(fourth)->kicks;

	machine_mechanisms = ALL;
	machine_blocked = NULL;
	enter(other);
	other->mode = IN_GUEST;
	enter(third);
	halt(third);
	RUN(v, SEND(icr | vector));
	other->mode = OUTSIDE_GUEST;
	assert_int_equal(machine_of(other)->posts, 0);
	assert_int_equal(machine_of(third)->posts, posts + 1);
	assert_int_equal(machine_of(fourth)->kicks, kicks + 1);
	assert_int_equal(machine_of(fourth)->posts, 0);
	for (u32 i = 1; i < 4; i++) {
		if (i == 3)
			machine_mechanisms &= ~EXEUNT_AVIC;
		enter(vm_vcpu(&m->vm, i));
		assert_taken(vector);
		RUN(vm_vcpu(&m->vm, i), END);
		assert_none_taken();
	}
}

static void several_targets_are_each_told_in_its_way(void **state)
{
	start(whole_add_vcpu(m, 3));
	check_several(ICR_TO(APIC_OTHERS), 0x51);
	check_several(TO(0xe) | ICR_LOGICAL, 0x52);
	enter(v);
	assert_none_taken();
	check_several(ICR_TO(APIC_ALL), 0x53);
	enter(v);
	RUN(v, END);
	check_several(BROADCAST, 0x54);
	check_several(BROADCAST | ICR_LOGICAL, 0x55);
	assert_int_equal(v->stats->counters.ipis[APIC_FIXED][0][1], 1);		/* of several by number: one */
	assert_int_equal(v->stats->counters.ipis[APIC_FIXED][1][1], 4);
	assert_int_equal(v->stats->counters.ipis_untaken, 0);
}

static void x2apic_logical_destination_of_one_is_told_too(void **state)
{
	enter(third);
	halt(third);
	RUN(v, SEND(TO(1u << 2) | ICR_LOGICAL | VECTOR));
	assert_int_equal(machine_of(third)->posts, 1);
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][1][EXEUNT_TARGET_HALTED], 1);
}

static void incomplete_ipis_are_counted(void **state)
{
	halt(other);
	RUN(v, SEND(TO(1) | 0x51), SEND(TO(1) | 0x52), DO(cpuid));
	RUN(v, SEND(ICR_TO(APIC_OTHERS) | 0x53), DO(cpuid));
	assert_true(whole_exits(v, SVM_EXIT_AVIC_INCOMPLETE_IPI, EXEUNT_FAST) >= 1);
	assert_int_equal(whole_exits(v, SVM_EXIT_AVIC_INCOMPLETE_IPI, EXEUNT_FAST) + whole_exits(v, SVM_EXIT_AVIC_INCOMPLETE_IPI, EXEUNT_KERNEL), 3);
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][0][EXEUNT_TARGET_HALTED], 2);
	assert_int_equal(v->stats->counters.ipis[APIC_FIXED][1][1], 1);
}

/* The architecture does not know the mixture; the CPU goes by ids, and who wakes the targets must follow it. */
static void xapic_mode_target_that_the_cpu_found_by_its_id_is_woken(void **state)
{
	enter(other);
	enter(third);
	set_x2apic(other, false);
	set_x2apic(third, false);
	set_lapic(other, LAPIC_LDR, 4u << 24);
	set_lapic(third, LAPIC_LDR, 2u << 24);
	enter(other);
	enter(third);
	halt(other);
	halt(third);
	RUN(v, SEND(TO(2) | ICR_LOGICAL | VECTOR), DO(cpuid));
	assert_true(in_irr(other, VECTOR) && vcpu_end_wait(other));
	assert_int_equal(machine_of(other)->posts, 1);
	assert_int_equal(machine_of(third)->posts, 0);
}

static void ipis_that_their_targets_no_more_take_are_counted(void **state)
{
	lapic_x2apic_write(other, SVR, 0xff);
	lapic_x2apic_write(third, SVR, 0xff);
	lapic_icr_sent(v, TO(1) | 0x51);
	assert_int_equal(v->stats->counters.ipis_untaken, 1);
	lapic_icr_sent(v, ICR_TO(APIC_OTHERS) | 0x51);
	assert_int_equal(v->stats->counters.ipis_untaken, 2);
}

static void lowest_priority_goes_by_what_the_cpu_has_put_into_service(void **state)
{
	enter(other);
	enter(third);
	arrives(v, 0x91);
	enter(v);
	assert_taken(0x91);
	lapic_deliver(v->vm, NULL, &(struct apic_msg){ .dest = 7, .vector = 0x51, .delivery_mode = APIC_LOWEST, .logical = true,
						       .x2apic_dest = true, .assert = true });
	assert_false(in_irr(v, 0x51));
	assert_true(in_irr(other, 0x51) != in_irr(third, 0x51));
}

static void page_has_the_apics_identity(void **state)
{
	assert_int_equal(lapic_reg(&third->apic, LAPIC_ID), 2);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_LDR), 1u << 2);
	lapic_set_base(third, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT, true);	/* the VMM may */
	assert_int_equal(lapic_reg(&third->apic, LAPIC_ID), 2u << 24);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_LDR), 0);
	lapic_set_base(third, APIC_DEFAULT_BASE, true);
	lapic_set_base(third, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT, true);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_ID), 2u << 24);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_LDR), 0);
	set_lapic(third, LAPIC_LDR, 8u << 24);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_ID), 2u << 24);
	assert_int_equal(lapic_reg(&third->apic, LAPIC_LDR), 8u << 24);
}

static void ipi_that_the_cpu_cannot_send_is_sent_once(void **state)
{
	enter(other);
	/* Level-triggered; an NMI; lowest priority; to nobody; to one that is not there, too. */
	RUN(v, SEND(TO(1) | ICR_LEVEL | 0x51));
	assert_true(in_irr(other, 0x51) && bit_of(other, LAPIC_TMR, 0x51));
	assert_int_equal(machine_of(other)->posts, 1);
	RUN(v, SEND(TO(1) | APIC_NMI << 8));
	assert_int_equal(other->ev.nmi_queued, 1);
	RUN(v, SEND(TO(1) | APIC_LOWEST << 8 | 0x52));
	assert_true(in_irr(other, 0x52));
	RUN(v, SEND(TO(77) | 0x53));
	assert_int_equal(v->stats->counters.ipis_untaken, 1);
	RUN(v, SEND(TO(0x12) | ICR_LOGICAL | 0x54));
	assert_true(in_irr(other, 0x54));
	assert_int_equal(machine_of(other)->posts, 3);
	lapic_x2apic_write(other, SVR, 0xff);
	RUN(v, SEND(TO(1) | 0x55));
	assert_false(in_irr(other, 0x55));
	assert_int_equal(v->stats->counters.ipis_untaken, 2);
	assert_int_equal(v->stats->ipi_one[APIC_FIXED][0][EXEUNT_TARGET_OUTSIDE], 1);
	assert_int_equal(lapic_reg(&v->apic, LAPIC_ICR), 0x55);
	assert_int_equal(lapic_reg(&v->apic, LAPIC_ICR_HIGH), 1);
}

static void illegal_vector_is_an_apic_error(void **state)
{
	RUN(v, SEND(TO(1) | 5), WRMSR(ESR, 0));
	assert_int_equal(lapic_reg(&v->apic, LAPIC_ESR), 1u << 5);
	assert_false(in_irr(other, 5));
}

static void incomplete_ipi_of_a_guest_without_x2avic_is_an_internal_error(void **state)
{
	RUN(v, EXIT(SVM_EXIT_AVIC_INCOMPLETE_IPI, TO(1) | VECTOR), DO(cpuid));
	assert_int_equal(next_act, 1);
	assert_false(in_irr(other, VECTOR));
}

static void software_disabled_apic_takes_no_ipi_of_its_own(void **state)
{
	RUN(v, WRMSR(SVR, 0xff), SEND(ICR_TO(APIC_SELF) | 0x51), SEND(TO(0) | 0x52), SEND(ICR_TO(APIC_ALL) | 0x53), DO(cpuid));
	assert_none_taken();
	assert_false(in_irr(v, 0x51) || in_irr(v, 0x52) || in_irr(v, 0x53));
	assert_true(in_irr(other, 0x53));
	/* After a slow exit, after a reset of the delivery's mode, and enabled again. */
	RUN(v, SEND(ICR_TO(APIC_SELF) | 0x54));
	machine_mechanisms &= ~EXEUNT_AVIC;
	enter(v);
	machine_mechanisms |= EXEUNT_AVIC;
	RUN(v, SEND(ICR_TO(APIC_SELF) | 0x55));
	assert_none_taken();
	RUN(v, WRMSR(SVR, SVR_ON), SEND(ICR_TO(APIC_SELF) | 0x56));
	assert_taken(0x56);
	check_passed(v, true);
}

/* --- The end of an interrupt. --- */

static void level_arrives(u8 vector)
{
	lapic_deliver(&m->vm, NULL, &(struct apic_msg){ .vector = vector, .level = true, .assert = true });
}

static void edge_interrupt_ends_without_an_exit(void **state)
{
	u32 entries = machine_cpu.entries;

	arrives(v, VECTOR);
	RUN(v, END);
	assert_int_equal(machine_cpu.entries, entries + 1);
	assert_false(in_isr(v, VECTOR));
}

static void end_of_a_level_interrupt_is_told_to_the_vmm_that_wants_it(void **state)
{
	level_arrives(0x61);
	RUN(v, END);
	assert_taken(0x61);
	assert_false(in_isr(v, 0x61));
	v->apic.eoi_exit[1] = 1ull << (0x61 - 64);
	level_arrives(0x61);
	SCRIPT(END);
	run_until(v, KVM_EXIT_IOAPIC_EOI);
	assert_taken(0x61);
	assert_int_equal(v->run->eoi.vector, 0x61);
	assert_false(in_isr(v, 0x61));
	level_arrives(0x61);
	arrives(v, 0x51);
	SCRIPT(END);
	run_until(v, KVM_EXIT_IOAPIC_EOI);
	assert_taken(0x61);
	enter(v);
	assert_taken(0x51);
}

static void edge_does_not_hide_the_end_of_a_level_interrupt_in_service(void **state)
{
	v->apic.eoi_exit[1] = 1ull << (0x61 - 64);
	level_arrives(0x61);
	enter(v);
	assert_taken(0x61);
	arrives(v, 0x61);
	SCRIPT(END);
	run_until(v, KVM_EXIT_IOAPIC_EOI);
	assert_int_equal(v->run->eoi.vector, 0x61);
}

static void other_accesses_that_are_not_accelerated_are_internal_errors(void **state)
{
	const u64 infos[] = { LAPIC_EOI, AVIC_ACCESS_WRITE | LAPIC_TPR, LAPIC_TIMER_CURRENT, AVIC_ACCESS_WRITE | LAPIC_SVR };

	arrives(v, VECTOR);
	enter(v);
	for (u32 i = 0; i < ARRAY_SIZE(infos); i++) {
		RUN(v, EXIT(SVM_EXIT_AVIC_NOACCEL, infos[i]), DO(cpuid));
		assert_int_equal(next_act, 1);
	}
	machine_mechanisms &= ~EXEUNT_AVIC;
	RUN(v, EXIT(SVM_EXIT_AVIC_NOACCEL, AVIC_ACCESS_WRITE | LAPIC_EOI), DO(cpuid));
	assert_int_equal(next_act, 1);
	assert_true(in_isr(v, VECTOR));
}

/* --- HLT. --- */

static void quiet_arrival(void)
{
	set_irr_quietly(VECTOR);
}

static void may_not_sleep(struct vcpu *v)
{
	assert_true(vcpu_end_wait(v));
}

static void halt_with_what_only_the_cpu_has_noted_does_not_sleep(void **state)
{
	v->apic.irr_words = 0;
	RUN(v, CALL(quiet_arrival), DO(hlt));
	assert_taken(VECTOR);
	assert_int_equal(machine_of(v)->blocks, 0);
	RUN(v, END);
	machine_mechanisms &= ~EXEUNT_FAST_PATH;
	machine_blocked = may_not_sleep;
	RUN(v, CALL(quiet_arrival), DO(hlt));
	assert_taken(VECTOR);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
}

static void halt_sleeps_while_the_cpu_has_the_like_in_service(void **state)
{
	arrives(v, 0x5f);
	SCRIPT(CALL(quiet_arrival), DO(hlt));
	run_until(v, KVM_EXIT_INTR);
	assert_taken(0x5f);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
	assert_false(vcpu_end_wait(v));
	machine_signal = false;
	machine_mechanisms &= ~EXEUNT_FAST_PATH;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	SCRIPT(DO(hlt));
	run_until(v, KVM_EXIT_INTR);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
	machine_signal = false;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	RUN(v, END);
	assert_taken(VECTOR);
}

static void wakes_by_message(struct vcpu *v)
{
	vendor_leave_cpu(v);
	assert_false(vcpu_end_wait(v));
	arrives(v, VECTOR);
	assert_true(vcpu_end_wait(v));
}

static void wakes_by_ipi_of_a_cpu(struct vcpu *v)
{
	vendor_leave_cpu(v);
	assert_false(vcpu_end_wait(v));
	assert_int_equal(machine_send_ipi(other, VECTOR), (u64)AVIC_IPI_NOT_RUNNING << 32);
	lapic_icr_sent(other, VECTOR);
	assert_true(vcpu_end_wait(v));
}

static void halted_vcpu_is_woken(void **state)
{
	enter(other);
	machine_blocked = wakes_by_message;
	RUN(v, DO(hlt), END);
	assert_taken(VECTOR);
	assert_int_equal(machine_of(v)->posts, 1);
	machine_blocked = wakes_by_ipi_of_a_cpu;
	RUN(v, DO(hlt), END);
	assert_taken(VECTOR);
	assert_int_equal(machine_of(v)->posts, 2);
	assert_int_equal(machine_of(v)->blocks, 2);
}

/* --- The guest's own accesses, where they exit. --- */

static void check_delivery_alone(u32 mechanisms)
{
	machine_mechanisms = mechanisms;
	enter(v);
	assert_int_equal(v->hw.avic, AVIC_DELIVER);
	/* Of equal class, blocked by TPR, above; ended in the order of their priority. */
	RUN(v, WRMSR(M_X2APIC_SELF_IPI, 0x51), WRMSR(M_X2APIC_SELF_IPI, 0x52), SEND(ICR_TO(APIC_SELF) | 0x71), END, END, END);
	assert_taken(0x51, 0x71, 0x52);
	RUN(v, WRMSR(M_X2APIC_TPR, 0x60), WRMSR(M_X2APIC_SELF_IPI, 0x51), WRMSR(M_X2APIC_SELF_IPI, 0x75));
	assert_taken(0x75);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 6);
	RUN(v, WRMSR(M_X2APIC_TPR, 0x20));
	assert_none_taken();
	RUN(v, RDMSR(X2APIC(LAPIC_PPR)));
	assert_int_equal(v->regs[R_AX], 0x70);
	RUN(v, END);
	assert_taken(0x51);
	RUN(v, RDMSR(X2APIC(LAPIC_PPR)));
	assert_int_equal(v->regs[R_AX], 0x50);
	RUN(v, END, RDMSR(M_X2APIC_TPR), WRMSR(M_X2APIC_TPR, 0));
	assert_none_taken();
	assert_int_equal(v->requests & 1ull << REQ_EVENT, 0);
	v->apic.eoi_exit[1] = 1ull << (0x61 - 64);
	level_arrives(0x61);
	SCRIPT(END);
	run_until(v, KVM_EXIT_IOAPIC_EOI);
	assert_taken(0x61);
	assert_false(in_isr(v, 0x61));
	v->apic.eoi_exit[1] = 0;
}

static void without_x2avic_its_accesses_are_right_on_every_path(void **state)
{
	check_delivery_alone(ALL);
	check_delivery_alone(ALL & ~EXEUNT_INNER_LOOP);
	check_delivery_alone(ALL & ~EXEUNT_FAST_IPI);
	check_delivery_alone(ALL & ~EXEUNT_FAST_PATH);
	machine_accounting_off = true;
	check_delivery_alone(ALL);
}

static void accesses_of_the_guests_own_registers_are_no_exits(void **state)
{
	u32 entries = machine_cpu.entries;

	RUN(v, WRMSR(M_X2APIC_TPR, 0x45), RDMSR(M_X2APIC_TPR));
	assert_int_equal(VMCB(v)->s.rax, 0x45);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 4);
	RUN(v, CR8(7), RDMSR(M_X2APIC_TPR));
	assert_int_equal(VMCB(v)->s.rax, 0x70);
	RUN(v, SEND(ICR_TO(APIC_SELF) | 0x44), RDMSR(M_X2APIC_ICR));
	assert_int_equal(VMCB(v)->s.rax, ICR_TO(APIC_SELF) | 0x44);
	assert_int_equal(machine_cpu.entries, entries + 3);
}

/* --- For the VMM. --- */

static u32 saved(u32 reg)
{
	struct kvm_lapic_state s;
	u32 value;

	lapic_get_state(v, &s);
	memcpy(&value, s.regs + reg, sizeof(value));
	return value;
}

static void state_for_the_vmm_is_what_the_guest_sees(void **state)
{
	enter(other);
	arrives(v, 0x91);
	RUN(v, WRMSR(M_X2APIC_TPR, 0x35), SEND(TO(1) | 0x42));
	assert_taken(0x91);
	assert_int_equal(saved(LAPIC_PPR), 0x90);
	assert_int_equal(saved(LAPIC_TPR), 0x35);
	assert_int_equal(saved(LAPIC_ICR), 0x42);
	assert_int_equal(saved(LAPIC_ICR_HIGH), 1);
	assert_int_equal(saved(LAPIC_ISR + 4 * 16), 1u << (0x91 - 0x80));
	RUN(v, END);
	assert_int_equal(saved(LAPIC_PPR), 0x35);
	assert_int_equal(saved(LAPIC_ISR + 4 * 16), 0);
}

static void state_of_the_vmms_is_what_the_cpu_goes_on_with(void **state)
{
	/* 0x91 in service, 0x51 and 0xa1 requested. */
	set_lapic(v, LAPIC_ISR + 4 * 16, 1u << (0x91 - 0x80));
	set_lapic(v, LAPIC_IRR + 2 * 16, 1u << (0x51 - 0x40));
	set_lapic(v, LAPIC_IRR + 5 * 16, 1u << (0xa1 - 0xa0));
	enter(v);
	assert_taken(0xa1);
	RUN(v, END);
	assert_none_taken();
	RUN(v, END);
	assert_taken(0x51);
}

static void interrupt_whose_delivery_an_exit_cuts_short_is_injected_again(void **state)
{
	arrives(v, VECTOR);
	RUN(v, DO(interrupted), DO(cpuid));
	assert_int_equal(injected, EVENT_VALID | EVENT_TYPE_INTR | VECTOR);
	assert_none_taken();
	assert_true(in_isr(v, VECTOR));
	enter(v);
	assert_int_equal(injected, 0);
	assert_none_taken();
}

/* --- Memory. --- */

/* Its structure was allocated, and then there was no memory for what it needs. */
static void vcpu_that_was_never_created_can_be_destroyed(void **state)
{
	struct vcpu *never = calloc(1, sizeof(*never));

	vcpu_destroy(never);
	free(never);
	assert_true(m->vm.hw.avic_ids[0]);
}

static void leaks_nothing_where_memory_ends(void **state)
{
	u32 pages = machine_pages;
	struct machine *another;

	for (u32 n = 1; n <= 3; n++) {
		struct vcpu *w = machine_add_vcpu(m, NR_VCPUS);

		free(w->hw.vmcb);
		w->hw.vmcb = NULL;
		machine_pages_fail = n;
		assert_int_equal(vcpu_create(w, &m->vm, w->id), -ENOMEM);
		assert_int_equal(machine_pages_fail, 0);
		assert_int_equal(machine_pages, pages);
		assert_int_equal(entry_of(w), 0);
		drop(w);
	}
	another = machine_create(4096);
	machine_pages_fail = 1;
	assert_int_equal(vendor_vm_create(&another->vm), -ENOMEM);
	vendor_vm_destroy(&another->vm);
	machine_free(another);
	assert_int_equal(machine_pages, pages);
}

static void host_is_left_as_it_was_where_memory_ends(void **state)
{
	whole_svm_bits = NPT_BIT | AVIC_CPUID;
	whole_host_cpuid(WHOLE_SPEC_BITS);
	for (u32 n = 1; n <= 2; n++) {
		machine_pages_fail = n;
		assert_int_equal(svm_init(), -ENOMEM);
		assert_int_equal(machine_pages_fail, 0);
		assert_int_equal(machine_pages, 0);
	}
	assert_int_equal(svm_init(), 0);
	svm_exit();
	assert_int_equal(machine_pages, 0);
	machine_clear_cpuid();
	whole_svm_bits = NPT_BIT;
}

#define CASE(name)		cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CASE_ON(cpu, name)	cmocka_unit_test_setup_teardown(name, setup_##cpu, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE_ON(without, off_where_the_cpu_has_none),
		CASE_ON(x2avic_alone, off_where_the_cpu_has_none),
		CASE(guest_in_x2apic_mode_has_all_of_it),
		CASE(guest_in_xapic_mode_only_takes_interrupts),
		CASE_ON(avic_alone, guest_without_x2avic_only_takes_interrupts),
		CASE(follows_its_mechanism),
		CASE(three_msrs_are_the_guests_own),
		CASE(vmcb_names_page_and_tables),
		CASE(entry_is_valid_while_the_apic_takes_interrupts),
		CASE(entry_of_a_guest_that_writes_svr_follows_at_once),
		CASE(entry_goes_with_the_vcpu),
		CASE(entry_says_running_from_an_entry_until_the_cpu_is_left),
		CASE(entry_names_the_cpu_that_the_vcpu_has_come_to),
		CASE(cpu_whose_number_has_no_room_is_not_named),
		CASE(entry_says_not_running_when_it_goes_off),
		CASE_ON(avic_alone, entry_says_not_running_without_x2avic),
		CASE(who_sends_posts_and_requests_nothing),
		CASE_ON(avic_alone, who_sends_posts_and_requests_nothing),
		CASE(who_sends_while_it_is_off_kicks),
		CASE(vcpu_in_the_guest_takes_what_arrives_without_an_exit),
		CASE_ON(avic_alone, vcpu_in_the_guest_takes_what_arrives_without_an_exit),
		CASE(interrupts_are_taken_by_priority_above_the_tpr),
		CASE_ON(avic_alone, interrupts_are_taken_by_priority_above_the_tpr),
		CASE(what_only_the_cpu_has_noted_is_offered_once_it_is_off),
		CASE(what_waited_is_taken_once_it_is_on),
		CASE(what_is_in_service_stays_so),
		CASE_ON(avic_alone, what_is_in_service_stays_so),
		CASE(cr8_writes_exit_only_while_it_is_off),
		CASE_ON(avic_alone, cr8_writes_exit_only_while_it_is_off),
		CASE(off_while_the_vmms_pic_has_an_interrupt),
		CASE(off_while_the_vmm_waits_for_its_pics_turn),
		CASE(off_with_a_vapic_page),
		CASE(off_while_the_apic_is),
		CASE(off_after_init_and_reset),
		CASE(ipi_to_a_running_vcpu_is_no_exit),
		CASE(ipi_to_itself_is_no_exit),
		CASE(halted_target_is_posted),
		CASE(target_without_it_is_kicked_and_takes_the_interrupt_once),
		CASE(target_in_the_guest_without_it_is_kicked),
		CASE(target_in_xapic_mode_in_the_guest_is_told),
		CASE(target_in_the_guest_on_a_cpu_whose_number_has_no_room_is_told),
		CASE(target_that_has_just_written_svr_and_stays_in_the_guest_is_told),
		CASE(several_targets_are_each_told_in_its_way),
		CASE(x2apic_logical_destination_of_one_is_told_too),
		CASE(incomplete_ipis_are_counted),
		CASE(ipis_that_their_targets_no_more_take_are_counted),
		CASE(xapic_mode_target_that_the_cpu_found_by_its_id_is_woken),
		CASE(lowest_priority_goes_by_what_the_cpu_has_put_into_service),
		CASE(page_has_the_apics_identity),
		CASE(ipi_that_the_cpu_cannot_send_is_sent_once),
		CASE(illegal_vector_is_an_apic_error),
		CASE(software_disabled_apic_takes_no_ipi_of_its_own),
		CASE_ON(avic_alone, incomplete_ipi_of_a_guest_without_x2avic_is_an_internal_error),
		CASE_ON(without, incomplete_ipi_of_a_guest_without_x2avic_is_an_internal_error),
		CASE(edge_interrupt_ends_without_an_exit),
		CASE(end_of_a_level_interrupt_is_told_to_the_vmm_that_wants_it),
		CASE(edge_does_not_hide_the_end_of_a_level_interrupt_in_service),
		CASE(other_accesses_that_are_not_accelerated_are_internal_errors),
		CASE(halt_with_what_only_the_cpu_has_noted_does_not_sleep),
		CASE_ON(avic_alone, halt_with_what_only_the_cpu_has_noted_does_not_sleep),
		CASE(halt_sleeps_while_the_cpu_has_the_like_in_service),
		CASE_ON(avic_alone, halt_sleeps_while_the_cpu_has_the_like_in_service),
		CASE(halted_vcpu_is_woken),
		CASE_ON(avic_alone, without_x2avic_its_accesses_are_right_on_every_path),
		CASE(accesses_of_the_guests_own_registers_are_no_exits),
		CASE(state_for_the_vmm_is_what_the_guest_sees),
		CASE(state_of_the_vmms_is_what_the_cpu_goes_on_with),
		CASE(interrupt_whose_delivery_an_exit_cuts_short_is_injected_again),
		CASE_ON(avic_alone, interrupt_whose_delivery_an_exit_cuts_short_is_injected_again),
		CASE(leaks_nothing_where_memory_ends),
		CASE(vcpu_that_was_never_created_can_be_destroyed),
		cmocka_unit_test(host_is_left_as_it_was_where_memory_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
