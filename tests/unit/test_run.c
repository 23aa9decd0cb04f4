// SPDX-License-Identifier: GPL-2.0
/*
 * run.c: when KVM_RUN ends and with what, what wakes a waiting vCPU, start-up, and that an entry that
 * does not happen leaves no trace. The guest is a script: one function per entry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest.h"
#include "whole.h"

#define MAX_STEPS	16
#define MAX_BLOCKS	50

typedef void (*step)(struct vcpu *v);

static struct machine *m;
static struct vcpu *v;
static step script[MAX_STEPS];
static unsigned int next_step;
static void (*while_blocked)(struct vcpu *v);

/* Ends KVM_RUN with what no engine file gives by itself. */
static void stop(struct vcpu *v)
{
	VMCB(v)->c.exit_code = 0x1234;
}

static void host_interrupt(struct vcpu *v)
{
}

static void play(struct vcpu *v)
{
	step s = next_step < MAX_STEPS ? script[next_step++] : NULL;

	(s ? s : stop)(v);
}

/* A vCPU that waits for ever would hang the test: a signal ends it. */
static void blocked(struct vcpu *v)
{
	if (while_blocked)
		while_blocked(v);
	if (machine_of(v)->blocks >= MAX_BLOCKS)
		machine_signal = true;
}

static int start(bool irqchip)
{
	m = whole_create(1 << 20, irqchip);
	v = vm_vcpu(&m->vm, 0);
	svm.nrip = true;
	machine_guest = play;
	machine_blocked = blocked;
	while_blocked = NULL;
	memset(script, 0, sizeof(script));
	next_step = 0;
	return 0;
}

static int setup(void **state)
{
	u32 svr = 0x1ff;

	start(true);
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
	VMCB(v)->s.rflags |= FLAG_IF;
	return 0;
}

static int setup_no_apic(void **state)
{
	start(false);
	VMCB(v)->s.rflags |= FLAG_IF;
	return 0;
}

static int teardown(void **state)
{
	machine_signal = false;
	assert_false(machine_cpu.irqs_off || machine_cpu.preempt_off || machine_cpu.in_guest_xstate);
	assert_int_equal(v->mode, OUTSIDE_GUEST);
	whole_free(m);
	return 0;
}

#define SCRIPT(...) do { \
	const step steps_[] = { __VA_ARGS__ }; \
	memset(script, 0, sizeof(script)); \
	memcpy(script, steps_, sizeof(steps_)); \
	next_step = 0; \
} while (0)

/* KVM_RUN that ends with this reason after @n entries. */
static void run_until(u32 reason, unsigned int n)
{
	u32 before = machine_cpu.entries;

	v->run->exit_reason = 0xdead;
	assert_int_equal(vcpu_run(v), reason == KVM_EXIT_INTR ? -EINTR : 0);
	assert_int_equal(v->run->exit_reason, reason);
	assert_int_equal(machine_cpu.entries - before, n);
}

#define run_until_stop(n)	run_until(KVM_EXIT_INTERNAL_ERROR, n)

static bool in_isr(u8 vector)
{
	return v->apic.regs[LAPIC_ISR / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

static void irq(struct vcpu *v)
{
	lapic_deliver(v->vm, NULL, &(struct apic_msg){ .vector = 0x50, .assert = true });
}

static void hlt(struct vcpu *v)
{
	VMCB(v)->c.exit_code = SVM_EXIT_HLT;
	VMCB(v)->c.next_rip = vcpu_rip(v) + 1;
}

static void cpuid(struct vcpu *v)
{
	VMCB(v)->c.exit_code = SVM_EXIT_CPUID;
	VMCB(v)->c.next_rip = vcpu_rip(v) + 2;
}

static void take_interrupt(struct vcpu *v)
{
	assert_true(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	VMCB(v)->c.int_ctl &= ~V_IRQ_BIT;
}

static void expect_no_interrupt(struct vcpu *v)
{
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
}

/* --- The loop. --- */

static void test_guest_runs_until_the_vmm_is_needed(void **state)
{
	SCRIPT(cpuid, host_interrupt, cpuid, cpuid);
	run_until_stop(5);
	assert_int_equal(vcpu_rip(v), 0xfff0 + 6);
}

static void test_failed_entry_ends_the_run(void **state)
{
	VMCB(v)->s.efer = 0;
	run_until(KVM_EXIT_FAIL_ENTRY, 1);
}

static void test_first_entry_flushes_the_tlb(void **state)
{
	v->requests = 0;
	v->hw.asid.flush = false;
	vcpu_request(v, REQ_TLB_FLUSH);
	run_until_stop(1);
	assert_int_not_equal(VMCB(v)->c.asid, 0);
	assert_int_equal(v->requests & 1ull << REQ_TLB_FLUSH, 0);
}

static void signal_comes(struct vcpu *v)
{
	machine_signal = true;
}

static void test_signal_ends_the_run_after_the_exit(void **state)
{
	SCRIPT(cpuid, signal_comes);
	run_until(KVM_EXIT_INTR, 2);
	assert_int_equal(vcpu_rip(v), 0xfff0 + 2);
}

static void test_signal_before_the_entry_prevents_it(void **state)
{
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
}

static void test_reschedule_is_served_and_the_guest_goes_on(void **state)
{
	machine_cpu.work = true;
	SCRIPT(cpuid);
	run_until_stop(2);
	assert_false(machine_cpu.work);
}

static void test_entry_that_does_not_happen_puts_the_interrupt_back(void **state)
{
	irq(v);
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
	assert_false(in_isr(0x50));
	assert_int_equal(lapic_pending_vector(v), 0x50);
	assert_int_equal(v->ev.offered, -1);
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	machine_signal = false;
	SCRIPT(take_interrupt, expect_no_interrupt);
	run_until_stop(3);
	assert_true(in_isr(0x50));
}

static void test_entry_that_does_not_happen_keeps_exception_and_nmi(void **state)
{
	event_exception(v, VEC_UD);
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
	machine_signal = false;
	assert_true(v->ev.exception.pending || v->ev.exception.injected);
	event_nmi(v);
	run_until_stop(1);
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
	machine_signal = false;
	assert_true(v->ev.nmi_pending || v->ev.nmi_injected);
}

static void expect_nmi(struct vcpu *v)
{
	assert_int_equal(VMCB(v)->c.event_inj, EVENT_VALID | EVENT_TYPE_NMI | 2);
}

static void expect_ud(struct vcpu *v)
{
	assert_int_equal(VMCB(v)->c.event_inj, EVENT_VALID | EVENT_TYPE_EXCEPTION | VEC_UD);
}

static void test_events_of_an_abandoned_entry_are_delivered_by_the_next(void **state)
{
	event_exception(v, VEC_UD);
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
	machine_signal = false;
	SCRIPT(expect_ud);
	run_until_stop(2);
	event_nmi(v);
	machine_signal = true;
	run_until(KVM_EXIT_INTR, 0);
	machine_signal = false;
	SCRIPT(expect_nmi);
	run_until_stop(2);
}

static void expect_ud_and_an_exit(struct vcpu *v)
{
	expect_ud(v);
	assert_true(machine_cpu.kicked);
}

static void test_nmi_behind_an_exception_goes_in_right_after_it(void **state)
{
	event_exception(v, VEC_UD);
	event_nmi(v);
	SCRIPT(expect_ud_and_an_exit, expect_nmi);
	run_until_stop(3);
	assert_false(vcpu_rflags(v) & FLAG_TF);
}

static void request_while_in_guest(struct vcpu *v)
{
	assert_int_equal(v->mode, IN_GUEST);
	irq(v);
}

static void test_interrupt_that_arrives_in_the_guest_goes_with_the_next_entry(void **state)
{
	SCRIPT(request_while_in_guest, take_interrupt);
	run_until_stop(3);
	assert_true(in_isr(0x50));
}

/* --- Requests. --- */

static void test_triple_fault_is_a_shutdown(void **state)
{
	vcpu_request(v, REQ_TRIPLE_FAULT);
	run_until(KVM_EXIT_SHUTDOWN, 0);
	run_until_stop(1);
}

static void test_triple_fault_of_a_halted_vcpu_is_a_shutdown_too(void **state)
{
	v->mp_state = KVM_MP_STATE_HALTED;
	vcpu_request(v, REQ_TRIPLE_FAULT);
	run_until(KVM_EXIT_SHUTDOWN, 0);
}

static void test_eoi_for_the_vmms_ioapic(void **state)
{
	v->apic.eoi_vector = 0x61;
	vcpu_request(v, REQ_IOAPIC_EOI);
	run_until(KVM_EXIT_IOAPIC_EOI, 0);
	assert_int_equal(v->run->eoi.vector, 0x61);
	run_until_stop(1);
}

static void test_eoi_for_the_vmms_ioapic_of_a_halted_vcpu(void **state)
{
	v->mp_state = KVM_MP_STATE_HALTED;
	v->apic.eoi_vector = 0x61;
	vcpu_request(v, REQ_IOAPIC_EOI);
	run_until(KVM_EXIT_IOAPIC_EOI, 0);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
}

/* The host reboots, or the CPU goes down. */
static void test_cpu_without_svm_is_not_entered(void **state)
{
	irq(v);
	machine_cpu.svm_off = true;
	assert_int_equal(vcpu_run(v), -EIO);
	assert_int_equal(machine_cpu.entries, 0);
	assert_int_equal(lapic_pending_vector(v), 0x50);
}

static void test_routes_are_scanned_on_request(void **state)
{
	vcpu_request(v, REQ_IOAPIC_SCAN);
	run_until_stop(1);
	assert_int_equal(machine_cpu.route_scans, 1);
}

static void test_clock_page_is_written_on_request(void **state)
{
	assert_int_equal(pv_msr_write(v, 0x4b564d01, 0x3001, true), 0);
	run_until_stop(1);
	assert_int_not_equal(*(u32 *)(m->mem + 0x3000), 0);
}

static void test_all_requests_at_once_end_in_an_entry(void **state)
{
	for (unsigned int r = 0; r <= REQ_IOAPIC_EOI; r++)
		if (r != REQ_TRIPLE_FAULT && r != REQ_IOAPIC_EOI)
			vcpu_request(v, r);
	run_until_stop(1);
	assert_int_equal(v->requests & ~(1ull << REQ_EVENT), 0);
}

static void test_nmi_from_outside_is_delivered(void **state)
{
	event_nmi(v);
	SCRIPT(expect_nmi);
	run_until_stop(2);
}

/* --- Windows for the VMM's PIC. --- */

static void window_opens(struct vcpu *v)
{
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_VINTR);
	VMCB(v)->s.rflags |= FLAG_IF;
	VMCB(v)->c.exit_code = SVM_EXIT_VINTR;
}

static void test_window_exit_when_the_guest_can_take_an_interrupt(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	v->run->request_interrupt_window = 1;
	SCRIPT(host_interrupt, window_opens);
	run_until(KVM_EXIT_IRQ_WINDOW_OPEN, 2);
	v->run->request_interrupt_window = 0;
	assert_int_equal(event_extint(v, 0x20), 0);
	SCRIPT(take_interrupt);
	run_until_stop(2);
	assert_int_equal(v->ev.extint, -1);
}

static void test_no_window_exit_unless_asked(void **state)
{
	SCRIPT(cpuid, cpuid);
	run_until_stop(3);
}

/* --- Waiting. --- */

static void test_halted_vcpu_waits_and_wakes_for_an_interrupt(void **state)
{
	SCRIPT(hlt, take_interrupt);
	while_blocked = irq;
	run_until_stop(3);
	assert_int_equal(machine_of(v)->blocks, 1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(vcpu_rip(v), 0xfff1);
	assert_true(in_isr(0x50));
}

static void test_hlt_with_an_interrupt_waiting_does_not_sleep_for_ever(void **state)
{
	irq(v);
	SCRIPT(hlt, take_interrupt);
	run_until_stop(3);
}

static void test_halted_vcpu_with_interrupts_off_sleeps_on(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	SCRIPT(hlt);
	while_blocked = irq;
	run_until(KVM_EXIT_INTR, 1);
	assert_int_equal(machine_of(v)->blocks, MAX_BLOCKS);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
}

static void test_halted_vcpu_wakes_for_an_nmi(void **state)
{
	VMCB(v)->s.rflags &= ~FLAG_IF;
	SCRIPT(hlt, expect_nmi);
	while_blocked = event_nmi;
	run_until_stop(3);
}

static void timer_passes(struct vcpu *v)
{
	machine_advance(m, 10000000);
}

static void test_halted_vcpu_wakes_for_its_timer(void **state)
{
	u32 lvt = 0x50, count = 100000, divide = 0xb;

	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_TIMER_DIVIDE, 4, &divide);
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_LVT_TIMER, 4, &lvt);
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_TIMER_INITIAL, 4, &count);
	SCRIPT(hlt, take_interrupt);
	while_blocked = timer_passes;
	run_until_stop(3);
}

static void test_signal_wakes_a_halted_vcpu_and_it_stays_halted(void **state)
{
	SCRIPT(hlt);
	while_blocked = signal_comes;
	run_until(KVM_EXIT_INTR, 1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_HALTED);
	machine_signal = false;
	while_blocked = irq;
	SCRIPT(take_interrupt);
	run_until_stop(2);
}

static void test_what_wakes_a_vcpu(void **state)
{
	assert_true(vcpu_end_wait(v));
	v->requests = 0;
	v->mp_state = KVM_MP_STATE_HALTED;
	assert_false(vcpu_end_wait(v));
	irq(v);
	assert_true(vcpu_end_wait(v));
	v->requests = 0;
	v->mp_state = KVM_MP_STATE_INIT_RECEIVED;
	assert_false(vcpu_end_wait(v));
	vcpu_request(v, REQ_TRIPLE_FAULT);
	assert_true(vcpu_end_wait(v));
	v->requests = 0;
	vcpu_request(v, REQ_IOAPIC_EOI);
	assert_true(vcpu_end_wait(v));
}

/* --- Start-up. --- */

static struct vcpu *bsp;

static void ipi(u32 mode)
{
	lapic_deliver(&m->vm, bsp, &(struct apic_msg){
		.dest = 1, .vector = 0x9a, .delivery_mode = mode, .assert = true, .level = mode == APIC_INIT,
	});
}

static void init_arrives(struct vcpu *v)
{
	ipi(machine_of(v)->blocks == 1 ? APIC_INIT : APIC_SIPI);
}

static void test_processor_starts_with_init_and_sipi(void **state)
{
	bsp = v;
	v = whole_add_vcpu(m, 1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_UNINITIALIZED);
	while_blocked = init_arrives;
	run_until_stop(1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(VMCB(v)->s.cs.selector, 0x9a00);
	assert_int_equal(VMCB(v)->s.cs.base, 0x9a000);
	assert_int_equal(vcpu_rip(v), 0);
}

static void gets_init(struct vcpu *v)
{
	ipi(APIC_INIT);
}

static void test_init_stops_a_running_processor_until_sipi(void **state)
{
	bsp = v;
	v = whole_add_vcpu(m, 1);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	v->regs[R_BX] = 77;
	SCRIPT(gets_init, cpuid);
	run_until(KVM_EXIT_INTR, 1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	assert_int_equal(v->regs[R_BX], 0);
}

static void test_waiting_processor_ignores_interrupts(void **state)
{
	v->mp_state = KVM_MP_STATE_INIT_RECEIVED;
	while_blocked = irq;
	run_until(KVM_EXIT_INTR, 0);
	assert_int_equal(v->mp_state, KVM_MP_STATE_INIT_RECEIVED);
}

static void test_reset_forgets_events_and_what_waited_for_the_vmm(void **state)
{
	event_exception(v, VEC_UD);
	event_nmi(v);
	v->emul.waiting = EMUL_PIO_IN;
	vcpu_reset(v, true);
	assert_false(v->ev.exception.pending || v->ev.nmi_pending);
	assert_int_equal(v->ev.offered, -1);
	assert_int_equal(v->emul.waiting, EMUL_IDLE);
	assert_true(v->requests & 1ull << REQ_TLB_FLUSH);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(guest_runs_until_the_vmm_is_needed),
		CASE(failed_entry_ends_the_run),
		CASE(first_entry_flushes_the_tlb),
		CASE(signal_ends_the_run_after_the_exit),
		CASE(signal_before_the_entry_prevents_it),
		CASE(reschedule_is_served_and_the_guest_goes_on),
		CASE(entry_that_does_not_happen_puts_the_interrupt_back),
		CASE(entry_that_does_not_happen_keeps_exception_and_nmi),
		CASE(events_of_an_abandoned_entry_are_delivered_by_the_next),
		CASE(nmi_behind_an_exception_goes_in_right_after_it),
		CASE(interrupt_that_arrives_in_the_guest_goes_with_the_next_entry),
		CASE(triple_fault_is_a_shutdown),
		CASE(triple_fault_of_a_halted_vcpu_is_a_shutdown_too),
		CASE(eoi_for_the_vmms_ioapic),
		CASE(eoi_for_the_vmms_ioapic_of_a_halted_vcpu),
		CASE(cpu_without_svm_is_not_entered),
		CASE(routes_are_scanned_on_request),
		CASE(clock_page_is_written_on_request),
		CASE(all_requests_at_once_end_in_an_entry),
		CASE(nmi_from_outside_is_delivered),
		cmocka_unit_test_setup_teardown(test_window_exit_when_the_guest_can_take_an_interrupt,
						setup_no_apic, teardown),
		CASE(no_window_exit_unless_asked),
		CASE(halted_vcpu_waits_and_wakes_for_an_interrupt),
		CASE(hlt_with_an_interrupt_waiting_does_not_sleep_for_ever),
		CASE(halted_vcpu_with_interrupts_off_sleeps_on),
		CASE(halted_vcpu_wakes_for_an_nmi),
		CASE(halted_vcpu_wakes_for_its_timer),
		CASE(signal_wakes_a_halted_vcpu_and_it_stays_halted),
		CASE(what_wakes_a_vcpu),
		CASE(processor_starts_with_init_and_sipi),
		CASE(init_stops_a_running_processor_until_sipi),
		CASE(waiting_processor_ignores_interrupts),
		CASE(reset_forgets_events_and_what_waited_for_the_vmm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
