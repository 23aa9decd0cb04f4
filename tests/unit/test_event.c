// SPDX-License-Identifier: GPL-2.0
/*
 * event.c with svm.c and lapic.c: what the VMCB is told to deliver at each entry, in which order, and
 * what comes back when the delivery was interrupted or did not happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "whole.h"

#define NONE	0u

static struct machine *m;
static struct vcpu *v;

static int setup(void **state)
{
	u32 svr = 0x1ff;

	m = whole_create(1 << 20, true);
	v = vm_vcpu(&m->vm, 0);
	VMCB(v)->s.cr0 |= CR0_PE_BIT;
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
	return 0;
}

static int setup_no_apic(void **state)
{
	m = whole_create(1 << 20, false);
	v = vm_vcpu(&m->vm, 0);
	return 0;
}

static int teardown(void **state)
{
	whole_free(m);
	return 0;
}

/* --- What the guest does during an entry; the fields are what it found. --- */

static struct {
	u32 injected, error;	/* event_inj */
	bool offered;		/* V_IRQ */
	u8 vector;		/* int_vector */
	u32 window;		/* the VINTR intercept */
	u32 int_ctl;
} seen;

static void look(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;

	seen.injected = c->event_inj & EVENT_VALID ? c->event_inj : NONE;
	seen.error = c->event_inj_err;
	seen.int_ctl = c->int_ctl;
	seen.offered = c->int_ctl & V_IRQ_BIT;
	seen.vector = c->int_vector;
	seen.window = c->intercepts[ICPT_MISC1] & ICPT1_VINTR;
}

/* The CPU takes the offered interrupt. */
static void take(struct vcpu *v)
{
	look(v);
	VMCB(v)->c.int_ctl &= ~V_IRQ_BIT;
}

/* The exit interrupts the delivery of what was given. */
static void interrupt_delivery(struct vcpu *v)
{
	look(v);
	VMCB(v)->c.exit_int_info = VMCB(v)->c.event_inj;
	VMCB(v)->c.exit_int_info_err = VMCB(v)->c.event_inj_err;
	VMCB(v)->c.exit_code = SVM_EXIT_NPF;
}

static void iret_intercepted(struct vcpu *v)
{
	look(v);
	VMCB(v)->c.exit_code = SVM_EXIT_IRET;
}

/* What one entry delivers: event_inj, or NONE. */
static u32 entry(void (*guest)(struct vcpu *v))
{
	whole_enter(v, guest);
	return seen.injected;
}

#define EXCEPTION(n)	(EVENT_VALID | EVENT_TYPE_EXCEPTION | (n))
#define WITH_ERROR	EVENT_ERROR_VALID
#define INTERRUPT(n)	(EVENT_VALID | EVENT_TYPE_INTR | (n))
#define NMI		(EVENT_VALID | EVENT_TYPE_NMI | VEC_NMI)

static bool requested(enum vcpu_request r)
{
	return v->requests >> r & 1;
}

static void irq(u8 vector)
{
	lapic_deliver(&m->vm, NULL, &(struct apic_msg){ .vector = vector, .assert = true });
}

static bool in_reg(u32 reg, u8 vector)
{
	return v->apic.regs[reg / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

static void eoi(void)
{
	u32 zero = 0;

	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_EOI, 4, &zero);
}

/* --- Exceptions. --- */

static void test_exception_is_delivered_once(void **state)
{
	event_exception(v, VEC_UD);
	assert_int_equal(entry(look), EXCEPTION(VEC_UD));
	assert_false(VMCB(v)->c.event_inj & EVENT_VALID);
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(look), NONE);
}

static void test_error_codes_go_with_the_vectors_that_push_one(void **state)
{
	for (unsigned int vector = 0; vector < 20; vector++) {
		bool pushes = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		if (vector == VEC_NMI || vector == 9 || vector == 15)
			continue;
		event_exception_error(v, vector, 0x18);
		assert_int_equal(entry(look), EXCEPTION(vector) | (pushes ? WITH_ERROR : 0));
		if (pushes)
			assert_int_equal(seen.error, 0x18);
	}
}

static void test_real_mode_pushes_no_error_code(void **state)
{
	VMCB(v)->s.cr0 &= ~CR0_PE_BIT;
	event_exception_error(v, VEC_GP, 0x18);
	assert_int_equal(entry(look), EXCEPTION(VEC_GP));
}

static void test_page_fault_sets_cr2(void **state)
{
	event_page_fault(v, 0xdeadbeef000, PF_WRITE | PF_USER);
	assert_int_equal(entry(look), EXCEPTION(VEC_PF) | WITH_ERROR);
	assert_int_equal(seen.error, PF_WRITE | PF_USER);
	assert_int_equal(vcpu_cr2(v), 0xdeadbeef000);
}

/* What becomes of @second while @first is on its way (APM vol. 2, 8.2.9). */
static u8 combine(u8 first, u8 second)
{
	event_reset(v);
	v->requests = 0;
	event_requeue(v, EVENT_EXCEPTION, first, first >= 10 && first <= 14, 0x10);
	event_exception_error(v, second, 0x28);
	if (requested(REQ_TRIPLE_FAULT)) {
		assert_false(v->ev.exception.pending || v->ev.exception.injected);
		return 0xff;
	}
	entry(look);
	if ((seen.injected & 0xff) == VEC_DF) {
		assert_true(seen.injected & WITH_ERROR);
		assert_int_equal(seen.error, 0);
	}
	return seen.injected & 0xff;
}

static void test_double_fault_table(void **state)
{
	static const u8 contributory[] = { VEC_DE, VEC_TS, VEC_NP, VEC_SS, VEC_GP };
	static const u8 benign[] = { VEC_DB, VEC_UD, VEC_NM, VEC_AC, VEC_XM, VEC_MF };

	for (unsigned int i = 0; i < ARRAY_SIZE(contributory); i++) {
		u8 c = contributory[i];

		for (unsigned int k = 0; k < ARRAY_SIZE(contributory); k++)
			assert_int_equal(combine(c, contributory[k]), VEC_DF);
		for (unsigned int k = 0; k < ARRAY_SIZE(benign); k++) {
			assert_int_equal(combine(c, benign[k]), benign[k]);
			assert_int_equal(combine(benign[k], c), c);
			assert_int_equal(combine(VEC_PF, benign[k]), benign[k]);
			assert_int_equal(combine(benign[k], VEC_PF), VEC_PF);
		}
		assert_int_equal(combine(VEC_PF, c), VEC_DF);
		assert_int_equal(combine(c, VEC_PF), VEC_PF);
		assert_int_equal(combine(VEC_DF, c), 0xff);
	}
	assert_int_equal(combine(VEC_PF, VEC_PF), VEC_DF);
	assert_int_equal(combine(VEC_DF, VEC_PF), 0xff);
}

static void test_two_exceptions_of_one_instruction_combine_too(void **state)
{
	event_exception_error(v, VEC_GP, 0);
	event_exception_error(v, VEC_NP, 8);
	assert_int_equal(entry(look), EXCEPTION(VEC_DF) | WITH_ERROR);
}

static void test_interrupted_exception_goes_again(void **state)
{
	event_page_fault(v, 0x1000, PF_USER);
	assert_int_equal(entry(interrupt_delivery), EXCEPTION(VEC_PF) | WITH_ERROR);
	assert_int_equal(entry(look), EXCEPTION(VEC_PF) | WITH_ERROR);
	assert_int_equal(seen.error, PF_USER);
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(look), NONE);
}

static void test_debug_exception_clears_dr7_gd(void **state)
{
	VMCB(v)->s.dr7 |= 1u << 13;
	event_exception(v, VEC_DB);
	entry(look);
	assert_int_equal(VMCB(v)->s.dr7 & 1u << 13, 0);
	VMCB(v)->s.dr7 |= 1u << 13;
	event_exception(v, VEC_UD);
	entry(look);
	assert_int_not_equal(VMCB(v)->s.dr7 & 1u << 13, 0);
}

/* --- NMIs. --- */

static void test_nmi_is_delivered_and_masks_until_iret(void **state)
{
	event_nmi(v);
	assert_true(requested(REQ_EVENT) && machine_of(v)->kicks == 1);
	assert_int_equal(entry(look), NMI);
	assert_true(v->ev.nmi_masked);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_IRET);
	event_nmi(v);
	assert_int_equal(entry(look), NONE);
	assert_int_equal(v->ev.nmi_pending, 1);
}

/* One is delivered, one is latched, more are lost. */
static void test_two_nmis_can_be_outstanding_and_no_more(void **state)
{
	event_nmi(v);
	event_nmi(v);
	event_nmi(v);
	assert_int_equal(entry(look), NMI);
	assert_int_equal(v->ev.nmi_pending, 1);
	event_nmi(v);
	entry(look);
	assert_int_equal(v->ev.nmi_pending, 1);
}

static void test_latched_nmi_comes_after_iret(void **state)
{
	event_nmi(v);
	entry(look);
	event_nmi(v);
	assert_int_equal(entry(iret_intercepted), NONE);
	assert_int_equal(vendor_handle_exit(v), RESUME);
	/* IRET is about to run: a step, at the end of which the guest is out of its handler. */
	assert_false(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_IRET);
	VMCB(v)->s.rip = 0x5000;
	assert_int_equal(entry(look), NONE);
	assert_true(VMCB(v)->s.rflags & FLAG_TF);
	VMCB(v)->s.rip = 0x6000;
	/* What IRET popped is the guest's, its trap flag too. */
	VMCB(v)->s.rflags = FLAG_FIXED | FLAG_TF;
	v->hw.exit_code = SVM_EXIT_EXCP_BASE + VEC_DB;
	assert_int_equal(vendor_handle_exit(v), RESUME);
	assert_true(VMCB(v)->s.rflags & FLAG_TF);
	VMCB(v)->s.rflags = FLAG_FIXED;
	svm_nmi_unmask(v);
	assert_int_equal(entry(look), NMI);
	assert_int_equal(v->ev.nmi_pending, 0);
}

static void test_interrupted_nmi_goes_again_and_stays_masked(void **state)
{
	event_nmi(v);
	entry(interrupt_delivery);
	assert_true(v->ev.nmi_injected && v->ev.nmi_masked);
	assert_int_equal(entry(look), NMI);
	assert_false(v->ev.nmi_injected);
	assert_true(v->ev.nmi_masked);
}

static void test_nmi_waits_for_the_end_of_an_interrupt_shadow(void **state)
{
	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	event_nmi(v);
	assert_int_equal(entry(look), NONE);
	assert_true(VMCB(v)->s.rflags & FLAG_TF);
	VMCB(v)->c.int_state &= ~INT_SHADOW_BIT;
	v->hw.exit_code = SVM_EXIT_EXCP_BASE + VEC_DB;
	assert_int_equal(vendor_handle_exit(v), RESUME);
	assert_int_equal(entry(look), NMI);
	assert_false(VMCB(v)->s.rflags & FLAG_TF);
	assert_false(v->ev.exception.pending);
}

/* --- Order. --- */

static void test_exception_goes_before_nmi_and_that_before_interrupt(void **state)
{
	VMCB(v)->s.rflags |= FLAG_IF;
	irq(0x50);
	event_nmi(v);
	event_exception(v, VEC_UD);
	assert_int_equal(entry(look), EXCEPTION(VEC_UD));
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(look), NMI);
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(take), NONE);
	assert_true(seen.offered && seen.vector == 0x50);
}

static void test_exception_goes_before_an_interrupt_that_was_interrupted(void **state)
{
	event_requeue(v, EVENT_INTERRUPT, 0x61, false, 0);
	event_exception(v, VEC_AC);
	assert_int_equal(entry(look), EXCEPTION(VEC_AC) | WITH_ERROR);
}

static void test_interrupted_interrupt_goes_before_a_new_nmi(void **state)
{
	event_requeue(v, EVENT_INTERRUPT, 0x61, false, 0);
	event_nmi(v);
	assert_int_equal(entry(look), INTERRUPT(0x61));
	assert_int_equal(v->ev.nmi_pending, 1);
}

/* --- Interrupts. --- */

static void test_interrupt_taken_is_in_service(void **state)
{
	irq(0x50);
	assert_true(requested(REQ_EVENT) || in_reg(LAPIC_IRR, 0x50));
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(take), NONE);
	assert_true(seen.offered && seen.vector == 0x50 && !seen.window);
	assert_true(in_reg(LAPIC_ISR, 0x50) && !in_reg(LAPIC_IRR, 0x50));
	assert_int_equal(v->ev.offered, -1);
	entry(look);
	assert_false(seen.offered);
	eoi();
	assert_false(in_reg(LAPIC_ISR, 0x50));
}

static void test_interrupt_not_taken_waits_again(void **state)
{
	irq(0x50);
	entry(look);
	assert_true(seen.offered);
	assert_true(in_reg(LAPIC_IRR, 0x50) && !in_reg(LAPIC_ISR, 0x50));
	assert_false(VMCB(v)->c.int_ctl & V_IRQ_BIT);
	assert_true(requested(REQ_EVENT));
	seen.offered = false;
	entry(take);
	assert_true(seen.offered && in_reg(LAPIC_ISR, 0x50));
}

static void same_vector_again_not_taken(struct vcpu *v)
{
	look(v);
	irq(0x50);
}

static void same_vector_again_taken(struct vcpu *v)
{
	irq(0x50);
	take(v);
}

static void test_same_vector_arriving_before_it_is_taken_is_one_interrupt_or_two(void **state)
{
	irq(0x50);
	entry(same_vector_again_not_taken);
	/* Not taken: one interrupt, as two requests merge in IRR. */
	entry(take);
	assert_true(in_reg(LAPIC_ISR, 0x50) && !in_reg(LAPIC_IRR, 0x50));
	eoi();
	/* Taken, and another arrived since the offer: it is not lost. */
	irq(0x50);
	entry(same_vector_again_taken);
	assert_true(in_reg(LAPIC_ISR, 0x50) && in_reg(LAPIC_IRR, 0x50));
}

static void higher_vector_arrives(struct vcpu *v)
{
	look(v);
	irq(0x90);
}

static void test_higher_vector_is_offered_next(void **state)
{
	irq(0x50);
	entry(higher_vector_arrives);
	assert_int_equal(seen.vector, 0x50);
	entry(take);
	assert_int_equal(seen.vector, 0x90);
	assert_true(in_reg(LAPIC_ISR, 0x90) && in_reg(LAPIC_IRR, 0x50));
	/* The lower one waits for the EOI. */
	entry(look);
	assert_false(seen.offered);
}

static void test_interrupted_interrupt_goes_again(void **state)
{
	event_requeue(v, EVENT_INTERRUPT, 0x61, false, 0);
	assert_int_equal(entry(interrupt_delivery), INTERRUPT(0x61));
	assert_int_equal(entry(look), INTERRUPT(0x61));
	vcpu_request(v, REQ_EVENT);
	assert_int_equal(entry(look), NONE);
}

static void test_tpr_holds_interrupts_back(void **state)
{
	lapic_set_cr8(v, 5);
	irq(0x50);
	entry(look);
	assert_false(seen.offered);
	assert_true(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_WRITE(8));
	lapic_set_cr8(v, 4);
	vcpu_request(v, REQ_EVENT);
	entry(take);
	assert_true(seen.offered && seen.vector == 0x50);
	assert_int_equal(VMCB(v)->c.int_ctl & V_TPR_FIELD, 4);
}

static void guest_raises_tpr(struct vcpu *v)
{
	VMCB(v)->c.int_ctl = (VMCB(v)->c.int_ctl & ~V_TPR_FIELD) | 9;
}

static void test_tpr_that_the_guest_wrote_without_an_exit_is_the_apics(void **state)
{
	assert_false(VMCB(v)->c.intercepts[ICPT_CR] & ICPT_CR_WRITE(8));
	entry(guest_raises_tpr);
	assert_int_equal(lapic_get_cr8(v), 9);
}

static void test_extint_is_offered_and_used_up(void **state)
{
	u32 masked = LAPIC_LVT_MASKED;

	assert_int_equal(event_extint(v, 256), -EINVAL);
	assert_int_equal(event_extint(v, ~0u), -EINVAL);
	assert_int_equal(event_extint(v, 0x08), 0);
	assert_int_equal(event_extint(v, 0x09), -EEXIST);
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_LVT_LINT0, 4, &masked);
	entry(look);
	assert_false(seen.offered);
	lapic_set_base(v, 0, true);
	vcpu_request(v, REQ_EVENT);
	entry(look);
	assert_true(seen.offered && seen.vector == 0x08);
	assert_int_equal(v->ev.extint, 0x08);
	entry(take);
	assert_int_equal(v->ev.extint, -1);
	entry(look);
	assert_false(seen.offered);
}

static void test_extint_without_an_apic(void **state)
{
	VMCB(v)->s.rflags |= FLAG_IF;
	assert_true(event_ready_for_extint(v));
	assert_int_equal(event_extint(v, 0x20), 0);
	assert_false(event_ready_for_extint(v));
	assert_int_equal(event_extint(v, 0x21), 0);
	entry(take);
	assert_true(seen.offered && seen.vector == 0x21);
	assert_true(event_ready_for_extint(v));
}

/* ExtINT knows no priority; BIOSes have the PIC's first vectors at 08h. */
static void test_extint_ignores_tpr(void **state)
{
	VMCB(v)->s.rflags |= FLAG_IF;
	assert_int_equal(event_extint(v, 0x08), 0);
	entry(take);
	assert_true(seen.offered && seen.vector == 0x08);
	assert_true((seen.int_ctl & V_IGN_TPR_BIT) || (seen.int_ctl >> 16 & 0xf) > (seen.int_ctl & V_TPR_FIELD));
}

/* What KVM_INTERRUPT has queued is the vCPU's state: saved, and forgotten when the VMM says so. */
static void test_extint_is_saved(void **state)
{
	struct kvm_vcpu_events e;

	assert_int_equal(event_extint(v, 0x30), 0);
	event_get_state(v, &e);
	assert_true(e.interrupt.injected && e.interrupt.nr == 0x30);
}

static void test_extint_is_forgotten(void **state)
{
	struct kvm_vcpu_events e = { 0 };

	VMCB(v)->s.rflags |= FLAG_IF;
	assert_int_equal(event_extint(v, 0x30), 0);
	assert_int_equal(event_set_state(v, &e), 0);
	entry(look);
	assert_false(seen.offered);
}

/* Saved and restored without the vCPU having run: once, not twice. */
static void test_extint_that_was_saved_is_delivered_once(void **state)
{
	struct kvm_vcpu_events e;
	struct kvm_sregs s;

	VMCB(v)->s.rflags |= FLAG_IF;
	assert_int_equal(event_extint(v, 0x30), 0);
	state_get_sregs(v, &s);
	event_get_state(v, &e);
	assert_int_equal(s.interrupt_bitmap[0], 1ull << 0x30);
	assert_int_equal(state_set_sregs(v, &s), 0);
	assert_int_equal(event_set_state(v, &e), 0);
	entry(look);
	assert_int_equal(seen.injected & 0xff, 0x30);
	assert_false(seen.offered);
	entry(look);
	assert_int_equal(seen.injected, NONE);
	assert_false(seen.offered);
}

static void test_window_opens_only_when_asked_and_nothing_is_offered(void **state)
{
	v->run->request_interrupt_window = 1;
	vcpu_request(v, REQ_EVENT);
	entry(look);
	assert_true(seen.offered && seen.window);
	assert_int_equal(VMCB(v)->c.int_ctl & V_IGN_TPR_BIT, V_IGN_TPR_BIT);
	irq(0x50);
	vcpu_request(v, REQ_EVENT);
	entry(look);
	assert_true(seen.offered && !seen.window && seen.vector == 0x50);
	lapic_set_base(v, 0, true);
	v->run->request_interrupt_window = 0;
	vcpu_request(v, REQ_EVENT);
	entry(look);
	assert_false(seen.offered || seen.window);
}

static void test_ready_for_extint_follows_what_blocks(void **state)
{
	lapic_set_base(v, 0, true);
	assert_false(event_ready_for_extint(v));
	VMCB(v)->s.rflags |= FLAG_IF;
	assert_true(event_ready_for_extint(v));
	VMCB(v)->c.int_state |= INT_SHADOW_BIT;
	assert_false(event_ready_for_extint(v));
	VMCB(v)->c.int_state = 0;
	event_exception(v, VEC_UD);
	assert_false(event_ready_for_extint(v));
	entry(look);
	assert_true(event_ready_for_extint(v));
	event_requeue(v, EVENT_INTERRUPT, 0x30, false, 0);
	assert_false(event_ready_for_extint(v));
}

static void test_halted_vcpu_wakes_for_what_it_can_take(void **state)
{
	assert_false(event_deliverable(v));
	irq(0x50);
	assert_false(event_deliverable(v));	/* IF is 0 */
	VMCB(v)->s.rflags |= FLAG_IF;
	assert_true(event_deliverable(v));
	lapic_set_cr8(v, 15);
	assert_false(event_deliverable(v));
	event_nmi(v);
	assert_true(event_deliverable(v));
	entry(look);
	assert_false(event_deliverable(v));
	event_nmi(v);
	entry(look);
	assert_false(event_deliverable(v));	/* masked until IRET */
	event_exception(v, VEC_DB);
	assert_true(event_deliverable(v));
}

/* --- The VMM's view. --- */

static void test_state_round_trip(void **state)
{
	struct kvm_vcpu_events in = {
		.exception = { .injected = 1, .nr = VEC_GP, .has_error_code = 1, .error_code = 0x1238 },
		.interrupt = { .injected = 1, .nr = 0x71, .shadow = KVM_X86_SHADOW_INT_STI },
		.nmi = { .injected = 1, .pending = 1, .masked = 1 },
		.sipi_vector = 0x9f,
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SHADOW,
	}, out;

	assert_int_equal(event_set_state(v, &in), 0);
	memset(&out, 0x55, sizeof(out));
	event_get_state(v, &out);
	in.flags = out.flags;
	assert_memory_equal(&in, &out, sizeof(in));
	assert_true(out.flags & KVM_VCPUEVENT_VALID_NMI_PENDING);
	assert_true(out.flags & KVM_VCPUEVENT_VALID_SHADOW);
	assert_true(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_IRET);
	assert_int_equal(entry(look), EXCEPTION(VEC_GP) | WITH_ERROR);
	assert_int_equal(seen.error, 0x1238);
}

static void test_state_read_and_written_back_loses_nothing(void **state)
{
	struct kvm_vcpu_events e;

	event_nmi(v);
	event_get_state(v, &e);
	assert_int_equal(e.nmi.pending, 1);
	assert_int_equal(event_set_state(v, &e), 0);
	assert_int_equal(entry(look), NMI);
	event_exception_error(v, VEC_NP, 0x33);
	event_get_state(v, &e);
	assert_true(e.exception.injected && e.exception.nr == VEC_NP);
	assert_int_equal(event_set_state(v, &e), 0);
	assert_int_equal(entry(look), EXCEPTION(VEC_NP) | WITH_ERROR);
	assert_int_equal(seen.error, 0x33);
}

static void test_state_without_valid_flags_changes_only_what_has_none(void **state)
{
	struct kvm_vcpu_events e = { .nmi.pending = 1, .sipi_vector = 5, .interrupt.shadow = 1 };

	assert_int_equal(event_set_state(v, &e), 0);
	assert_int_equal(v->ev.nmi_pending, 0);
	assert_int_not_equal(v->apic.sipi_vector, 5);
	assert_false(vcpu_in_shadow(v));
}

static void test_bad_state_is_refused(void **state)
{
	static const u32 unknown_flags[] = {
		KVM_VCPUEVENT_VALID_SMM, KVM_VCPUEVENT_VALID_PAYLOAD, 1u << 5, 1u << 31
	};
	struct kvm_vcpu_events e = { .exception = { .injected = 1 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(unknown_flags); i++) {
		e.flags = unknown_flags[i];
		assert_int_equal(event_set_state(v, &e), -EINVAL);
	}
	e.flags = 0;
	e.exception.nr = 32;
	assert_int_equal(event_set_state(v, &e), -EINVAL);
	e.exception.nr = 255;
	assert_int_equal(event_set_state(v, &e), -EINVAL);
	e.exception.nr = VEC_NMI;
	assert_int_equal(event_set_state(v, &e), -EINVAL);
	assert_false(v->ev.exception.injected);
	e.exception.nr = 31;
	assert_int_equal(event_set_state(v, &e), 0);
}

static void test_any_state_that_is_taken_can_be_entered(void **state)
{
	struct kvm_vcpu_events e;
	u32 seed = 99;

	for (int i = 0; i < 5000; i++) {
		u8 *p = (u8 *)&e;

		for (unsigned int k = 0; k < sizeof(e); k++) {
			seed = seed * 1664525 + 1013904223;
			p[k] = seed >> 24 & (seed & 1 ? 0xff : 0x0f);
		}
		e.flags &= 7;
		if (event_set_state(v, &e))
			continue;
		whole_enter(v, look);
		assert_int_not_equal(v->hw.exit_code, (u32)SVM_EXIT_ERR);
		assert_in_range(v->ev.nmi_pending, 0, 2);
	}
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(exception_is_delivered_once),
		CASE(error_codes_go_with_the_vectors_that_push_one),
		CASE(real_mode_pushes_no_error_code),
		CASE(page_fault_sets_cr2),
		CASE(double_fault_table),
		CASE(two_exceptions_of_one_instruction_combine_too),
		CASE(interrupted_exception_goes_again),
		CASE(debug_exception_clears_dr7_gd),
		CASE(nmi_is_delivered_and_masks_until_iret),
		CASE(two_nmis_can_be_outstanding_and_no_more),
		CASE(latched_nmi_comes_after_iret),
		CASE(interrupted_nmi_goes_again_and_stays_masked),
		CASE(nmi_waits_for_the_end_of_an_interrupt_shadow),
		CASE(exception_goes_before_nmi_and_that_before_interrupt),
		CASE(exception_goes_before_an_interrupt_that_was_interrupted),
		CASE(interrupted_interrupt_goes_before_a_new_nmi),
		CASE(interrupt_taken_is_in_service),
		CASE(interrupt_not_taken_waits_again),
		CASE(same_vector_arriving_before_it_is_taken_is_one_interrupt_or_two),
		CASE(higher_vector_is_offered_next),
		CASE(interrupted_interrupt_goes_again),
		CASE(tpr_holds_interrupts_back),
		CASE(tpr_that_the_guest_wrote_without_an_exit_is_the_apics),
		CASE(extint_is_offered_and_used_up),
		cmocka_unit_test_setup_teardown(test_extint_without_an_apic, setup_no_apic, teardown),
		cmocka_unit_test_setup_teardown(test_extint_ignores_tpr, setup_no_apic, teardown),
		cmocka_unit_test_setup_teardown(test_extint_is_saved, setup_no_apic, teardown),
		cmocka_unit_test_setup_teardown(test_extint_is_forgotten, setup_no_apic, teardown),
		cmocka_unit_test_setup_teardown(test_extint_that_was_saved_is_delivered_once, setup_no_apic, teardown),
		CASE(window_opens_only_when_asked_and_nothing_is_offered),
		CASE(ready_for_extint_follows_what_blocks),
		CASE(halted_vcpu_wakes_for_what_it_can_take),
		CASE(state_round_trip),
		CASE(state_read_and_written_back_loses_nothing),
		CASE(state_without_valid_flags_changes_only_what_has_none),
		CASE(bad_state_is_refused),
		CASE(any_state_that_is_taken_can_be_entered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
