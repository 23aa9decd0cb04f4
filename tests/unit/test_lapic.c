// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC: what each rule of the architecture and of the KVM API says that must hold.
 */
#include <pthread.h>

#include "lapic_fixture.h"

/* What the engine's reset does to the APIC. */
void vcpu_reset(struct vcpu *v, bool init)
{
	machine_of(v)->inits++;
	lapic_reset(v, init);
}

static int send(struct vcpu *src, const struct apic_msg *msg)
{
	return lapic_deliver(&m->vm, src, msg);
}

static int send_fixed(u32 dest, u8 vector)
{
	return send(NULL, &(struct apic_msg){ .dest = dest, .vector = vector, .assert = true });
}

static int send_logical(u32 dest, u8 vector)
{
	return send(NULL, &(struct apic_msg){ .dest = dest, .vector = vector, .logical = true });
}

/* To a 32-bit destination. */
static int send_x2apic(u32 dest, bool logical, u8 vector)
{
	struct apic_msg msg = { .dest = dest, .vector = vector, .x2apic_dest = true };

	msg.logical = logical;
	return send(NULL, &msg);
}

/* Bit i: vCPU i has @vector requested. Takes it from them. */
static u32 who_got(u8 vector)
{
	u32 set = 0;

	for (u32 i = 0; i < NR_VCPUS; i++) {
		if (!in_irr(cpu[i], vector))
			continue;
		set |= 1u << i;
		cpu[i]->apic.regs[LAPIC_IRR / 4 + vector / 32 * 4] &= ~(1u << vector % 32);
	}
	return set;
}

/* --- Reset. --- */

static void reset_values_are_the_manuals(void **state)
{
	struct vcpu *v = cpu[1];

	lapic_reset(v, false);
	assert_int_equal(v->apic.base, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT);
	assert_int_equal(read_reg(v, LAPIC_ID), 1u << 24);
	assert_int_equal(read_reg(v, LAPIC_VERSION), 0x50014);
	assert_int_equal(read_reg(v, LAPIC_SVR), 0xff);
	assert_int_equal(read_reg(v, LAPIC_DFR), 0xffffffff);
	assert_int_equal(read_reg(v, LAPIC_LDR), 0);
	assert_int_equal(read_reg(v, LAPIC_TPR), 0);
	assert_int_equal(read_reg(v, LAPIC_PPR), 0);
	assert_int_equal(read_reg(v, LAPIC_ICR), 0);
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
		assert_int_equal(read_reg(v, reg), LAPIC_LVT_MASKED);
	assert_int_equal(lapic_pending_vector(v), -1);
}

static void boot_processor_starts_with_extint_unless_the_quirk_is_off(void **state)
{
	lapic_reset(cpu[0], false);
	assert_int_equal(cpu[0]->apic.base,
			 APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT | APIC_BASE_BSP_BIT);
	assert_int_equal(read_reg(cpu[0], LAPIC_LVT_LINT0), MODE(APIC_EXTINT));
	assert_true(lapic_accepts_extint(cpu[0]));
	m->vm.disabled_quirks = KVM_X86_QUIRK_LINT0_REENABLED;
	lapic_reset(cpu[0], false);
	assert_int_equal(read_reg(cpu[0], LAPIC_LVT_LINT0), LAPIC_LVT_MASKED);
	assert_false(lapic_accepts_extint(cpu[0]));
}

static void init_resets_registers_but_not_the_base(void **state)
{
	struct vcpu *v = cpu[2];

	enable_x2apic(v);
	assert_int_equal(write_msr(v, LAPIC_TPR, 0x30), 0);
	send_fixed(2, 0x80);
	lapic_reset(v, true);
	assert_true(lapic_x2apic(&v->apic));
	assert_int_equal(read_msr(v, LAPIC_ID), 2);
	assert_int_equal(read_msr(v, LAPIC_TPR), 0);
	assert_int_equal(read_msr(v, LAPIC_SVR), 0xff);
	assert_int_equal(lapic_highest_irr(v), -1);
}

/* --- The page. --- */

static void page_is_claimed_only_at_the_base(void **state)
{
	u32 value = 0;

	assert_false(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE - 4, 4, &value));
	assert_false(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + 0x1000, 4, &value));
	assert_false(lapic_mmio_write(cpu[0], APIC_DEFAULT_BASE + 0x1000, 4, &value));
	assert_true(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + 0xffc, 4, &value));
}

static void page_follows_a_moved_base(void **state)
{
	u32 value = 0x40;

	assert_int_equal(lapic_set_base(cpu[1], 0x80000000ull | APIC_BASE_ENABLE_BIT, false), 0);
	assert_false(lapic_mmio_write(cpu[1], APIC_DEFAULT_BASE + LAPIC_TPR, 4, &value));
	assert_true(lapic_mmio_write(cpu[1], 0x80000000ull + LAPIC_TPR, 4, &value));
	assert_int_equal(lapic_get_cr8(cpu[1]), 4);
}

static void page_behind_no_xapic_reads_ones_or_is_not_there(void **state)
{
	u64 value = 0;

	enable_x2apic(cpu[0]);
	assert_true(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + LAPIC_ID, 8, &value));
	assert_int_equal(value, U64_MAX);
	assert_true(lapic_mmio_write(cpu[0], APIC_DEFAULT_BASE + LAPIC_TPR, 4, &value));
	assert_int_equal(read_msr(cpu[0], LAPIC_TPR), 0);
	m->vm.disabled_quirks = KVM_X86_QUIRK_LAPIC_MMIO_HOLE;
	assert_false(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + LAPIC_ID, 4, &value));
	assert_false(lapic_mmio_write(cpu[0], APIC_DEFAULT_BASE + LAPIC_TPR, 4, &value));
}

static void only_aligned_dword_writes_count(void **state)
{
	u64 value = 0x5555555555555555ull;
	u64 tpr = APIC_DEFAULT_BASE + LAPIC_TPR;

	for (u32 len = 1; len <= 8; len++)
		if (len != 4)
			assert_true(lapic_mmio_write(cpu[0], tpr, len, &value));
	for (u32 off = 1; off < 16; off++)
		assert_true(lapic_mmio_write(cpu[0], tpr + off, 4, &value));
	assert_int_equal(read_reg(cpu[0], LAPIC_TPR), 0);
}

static void narrow_reads_give_the_registers_bytes_and_the_rest_is_zero(void **state)
{
	u64 value = U64_MAX;
	u8 byte = 0xff;

	write_reg(cpu[0], LAPIC_TIMER_INITIAL, 0x11223344);
	assert_true(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + LAPIC_TIMER_INITIAL + 2, 1, &byte));
	assert_int_equal(byte, 0x22);
	assert_true(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + LAPIC_TIMER_INITIAL + 4, 1, &byte));
	assert_int_equal(byte, 0);
	assert_true(lapic_mmio_read(cpu[0], APIC_DEFAULT_BASE + LAPIC_TIMER_INITIAL, 8, &value));
	assert_int_equal(value, 0);
}

static void read_only_registers_ignore_writes(void **state)
{
	static const u32 regs[] = { LAPIC_ID,		LAPIC_VERSION,	   LAPIC_PPR,
				    LAPIC_APR,		LAPIC_REMOTE_READ, LAPIC_ISR,
				    LAPIC_ISR + 0x70,	LAPIC_TMR,	   LAPIC_IRR + 0x30,
				    LAPIC_TIMER_CURRENT };

	for (u32 i = 0; i < ARRAY_SIZE(regs); i++) {
		u32 before = read_reg(cpu[1], regs[i]);

		write_reg(cpu[1], regs[i], ~before);
		assert_int_equal(read_reg(cpu[1], regs[i]), before);
	}
	write_reg(cpu[1], LAPIC_ESR, 0);
	assert_int_equal(read_reg(cpu[1], LAPIC_ESR), 0);
	assert_int_equal(lapic_pending_vector(cpu[1]), -1);
}

static void registers_keep_only_their_bits(void **state)
{
	static const struct {
		u32 reg, value;
	} kept[] = {
		{ LAPIC_TPR, 0xff },
		{ LAPIC_LDR, 0xff000000 },
		{ LAPIC_DFR, 0xffffffff },
		{ LAPIC_SVR, 0x3ff },
		{ LAPIC_ICR_HIGH, 0xff000000 },
		{ LAPIC_LVT_TIMER, 0x700ff },
		{ LAPIC_LVT_THERMAL, 0x107ff },
		{ LAPIC_LVT_PERF, 0x107ff },
		{ LAPIC_LVT_LINT0, 0x1a7ff },
		{ LAPIC_LVT_LINT1, 0x1a7ff },
		{ LAPIC_LVT_ERROR, 0x100ff },
		{ LAPIC_TIMER_DIVIDE, 0xb },
	};

	for (u32 i = 0; i < ARRAY_SIZE(kept); i++) {
		write_reg(cpu[0], kept[i].reg, 0xffffffff);
		assert_int_equal(read_reg(cpu[0], kept[i].reg), kept[i].value);
	}
	write_reg(cpu[0], LAPIC_DFR, 0);
	assert_int_equal(read_reg(cpu[0], LAPIC_DFR), 0x0fffffff);
	cpu[1]->cpuid.has_tsc_deadline = false;
	write_reg(cpu[1], LAPIC_LVT_TIMER, 0xffffffff);
	assert_int_equal(read_reg(cpu[1], LAPIC_LVT_TIMER), 0x300ff);
}

static void destination_registers_ask_for_new_eoi_routes(void **state)
{
	write_reg(cpu[0], LAPIC_LDR, 1u << 24);
	assert_true(requested(cpu[0], REQ_IOAPIC_SCAN));
	write_reg(cpu[1], LAPIC_DFR, 0);
	assert_true(requested(cpu[1], REQ_IOAPIC_SCAN));
	enable_x2apic(cpu[2]);
	assert_true(requested(cpu[2], REQ_IOAPIC_SCAN));
}

/* --- Errors. --- */

static void reserved_register_is_an_error_that_esr_shows_after_a_write(void **state)
{
	static const u32 reserved[] = { 0,     0x10,  0x40,  0x70,  0x290, 0x2f0,
					0x3a0, 0x3d0, 0x3f0, 0x400, 0x500, 0xff0 };

	for (u32 i = 0; i < ARRAY_SIZE(reserved); i++) {
		assert_int_equal(read_reg(cpu[0], reserved[i]), 0);
		assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 0);
		write_reg(cpu[0], LAPIC_ESR, 0);
		assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 1 << 7);
		write_reg(cpu[0], reserved[i], ~0u);
		write_reg(cpu[0], LAPIC_ESR, ~0u);
		assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 1 << 7);
		write_reg(cpu[0], LAPIC_ESR, 0);
		assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 0);
	}
}

static void error_interrupt_comes_once_until_esr_is_written(void **state)
{
	write_reg(cpu[0], LAPIC_LVT_ERROR, 0x55);
	read_reg(cpu[0], 0x10);
	assert_int_equal(who_got(0x55), 1);
	read_reg(cpu[0], 0x10);
	assert_int_equal(who_got(0x55), 0);
	write_reg(cpu[0], LAPIC_ESR, 0);
	read_reg(cpu[0], 0x10);
	assert_int_equal(who_got(0x55), 1);
}

static void error_entry_with_an_illegal_vector_reports_nothing_more(void **state)
{
	write_reg(cpu[0], LAPIC_LVT_ERROR, 3);
	read_reg(cpu[0], 0x10);
	write_reg(cpu[0], LAPIC_ESR, 0);
	assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 1 << 7);
	assert_int_equal(lapic_highest_irr(cpu[0]), -1);
}

static void illegal_vectors_are_refused_and_reported(void **state)
{
	for (u32 vector = 0; vector < 16; vector++) {
		assert_int_equal(send_fixed(1, vector), 0);
		write_reg(cpu[1], LAPIC_ESR, 0);
		assert_int_equal(read_reg(cpu[1], LAPIC_ESR), 1 << 6);

		write_reg(cpu[0], LAPIC_ICR_HIGH, 1u << 24);
		write_reg(cpu[0], LAPIC_ICR, vector);
		write_reg(cpu[0], LAPIC_ESR, 0);
		assert_int_equal(read_reg(cpu[0], LAPIC_ESR), 1 << 5);
		write_reg(cpu[1], LAPIC_ESR, 0);
		assert_int_equal(read_reg(cpu[1], LAPIC_ESR), 0);
	}
	assert_int_equal(lapic_highest_irr(cpu[1]), -1);
	assert_int_equal(send_fixed(1, 16), 1);
	assert_int_equal(lapic_highest_irr(cpu[1]), 16);
}

static void illegal_self_ipi_is_a_send_error(void **state)
{
	enable_x2apic(cpu[0]);
	assert_int_equal(write_msr(cpu[0], LAPIC_SELF_IPI, 15), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ESR, 0), 0);
	assert_int_equal(read_msr(cpu[0], LAPIC_ESR), 1 << 5);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 15), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ESR, 0), 0);
	assert_int_equal(read_msr(cpu[0], LAPIC_ESR), 1 << 5);
	assert_int_equal(lapic_highest_irr(cpu[0]), -1);
}

/* --- Enabling. --- */

static void software_disabling_masks_every_lvt_entry_for_good(void **state)
{
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16)
		write_reg(cpu[0], reg, 0x40);
	write_reg(cpu[0], LAPIC_SVR, 0xff);
	for (u32 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 16) {
		assert_int_equal(read_reg(cpu[0], reg), 0x40 | LAPIC_LVT_MASKED);
		write_reg(cpu[0], reg, 0x41);
		assert_int_equal(read_reg(cpu[0], reg), 0x41 | LAPIC_LVT_MASKED);
	}
	write_reg(cpu[0], LAPIC_SVR, SVR_ON);
	assert_int_equal(read_reg(cpu[0], LAPIC_LVT_LINT1), 0x41 | LAPIC_LVT_MASKED);
}

static void software_disabled_apic_takes_nmi_init_and_sipi_but_no_interrupt(void **state)
{
	struct apic_msg msg = { .dest = 1, .vector = 0x40, .assert = true };

	write_reg(cpu[1], LAPIC_SVR, 0xff);
	assert_int_equal(send(NULL, &msg), 0);
	msg.delivery_mode = APIC_LOWEST;
	assert_int_equal(send(NULL, &msg), 0);
	msg.logical = true;
	msg.dest = 0xff;
	write_reg(cpu[1], LAPIC_LDR, 0x01000000);
	assert_int_equal(send(NULL, &msg), 1);
	assert_false(in_irr(cpu[1], 0x40));
	msg = (struct apic_msg){ .dest = 1, .vector = 0x40, .delivery_mode = APIC_NMI };
	assert_int_equal(send(NULL, &msg), 1);
	assert_int_equal(machine_of(cpu[1])->nmis, 1);
	msg.delivery_mode = APIC_INIT;
	assert_int_equal(send(NULL, &msg), 1);
	msg.delivery_mode = APIC_SIPI;
	assert_int_equal(send(NULL, &msg), 1);
	assert_int_equal(cpu[1]->apic.pending_init_sipi, 3);
}

static void hardware_disabled_apic_takes_nothing(void **state)
{
	struct apic_msg msg = { .dest = 1, .vector = 0x40, .assert = true };

	assert_int_equal(lapic_set_base(cpu[1], APIC_DEFAULT_BASE, false), 0);
	for (u32 mode = 0; mode < 8; mode++) {
		msg.delivery_mode = mode;
		msg.shorthand = APIC_DEST;
		assert_int_equal(send(NULL, &msg), 0);
		msg.shorthand = APIC_SELF;
		assert_int_equal(send(cpu[1], &msg), 0);
	}
	assert_int_equal(machine_of(cpu[1])->nmis, 0);
	assert_int_equal(cpu[1]->apic.pending_init_sipi, 0);
	assert_int_equal(lapic_highest_irr(cpu[1]), -1);
	assert_true(lapic_accepts_extint(cpu[1]));
	assert_int_equal(lapic_set_base(cpu[1], APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT, false),
			 0);
	assert_int_equal(read_reg(cpu[1], LAPIC_SVR), 0xff);
}

static void a_vcpu_without_apic_is_never_reached_and_never_crashes(void **state)
{
	struct vcpu *v = machine_add_vcpu(m, 7);
	struct kvm_lapic_state s;
	u64 value;

	for (u32 n = 0; n < 32; n++) {
		struct apic_msg msg = { .dest = 7, .vector = 0x40 };

		msg.delivery_mode = n & 7;
		msg.shorthand = n >> 3;
		send(v, &msg);
	}
	assert_int_equal(send_fixed(7, 0x40), 0);
	enable_x2apic(cpu[0]);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 7ull << 32 | 0x40), 0);
	assert_int_equal(v->requests, 0);
	assert_int_equal(lapic_pending_vector(v), -1);
	assert_int_equal(lapic_highest_irr(v), -1);
	assert_true(lapic_accepts_extint(v));
	lapic_set_cr8(v, 5);
	assert_int_equal(lapic_get_cr8(v), 5);	/* kept for a VMM that has the APIC */
	assert_false(lapic_mmio_read(v, 0, 4, &value));
	assert_false(lapic_mmio_read(v, APIC_DEFAULT_BASE, 4, &value));
	assert_int_equal(lapic_x2apic_read(v, 0x802, &value), GP);
	assert_int_equal(lapic_x2apic_write(v, 0x808, 0), GP);
	assert_int_equal(lapic_set_base(v, APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT, true), 0);
	assert_int_equal(lapic_set_base(v, v->apic.base | APIC_BASE_X2APIC_BIT, true), GP);
	assert_int_equal(send_fixed(7, 0x40), 0);
	lapic_set_tscdeadline(v, 1);
	lapic_timer_rearm(v);
	lapic_timer_deliver(v);
	lapic_accept_init_sipi(v);
	lapic_get_state(v, &s);
	assert_int_equal(lapic_set_state(v, &s), -EINVAL);
	lapic_free(v);
}

/* --- Priorities. --- */

static void ppr_is_the_higher_of_task_priority_and_class_in_service(void **state)
{
	struct vcpu *v = cpu[0];

	for (u32 vector = 16; vector < 256; vector++) {
		lapic_reset(v, false);
		write_reg(v, LAPIC_SVR, SVR_ON);
		send_fixed(0, vector);
		machine_take(v, vector);
		for (u32 tpr = 0; tpr < 256; tpr++) {
			u32 service = vector & 0xf0;

			write_reg(v, LAPIC_TPR, tpr);
			assert_int_equal(read_reg(v, LAPIC_PPR),
					 (tpr & 0xf0) >= service ? tpr : service);
		}
	}
}

static void highest_vector_above_ppr_comes_first(void **state)
{
	struct vcpu *v = cpu[0];

	send_fixed(0, 0x31);
	send_fixed(0, 0x52);
	send_fixed(0, 0x3f);
	assert_int_equal(lapic_pending_vector(v), 0x52);
	machine_take(v, 0x52);
	assert_true(in_isr(v, 0x52));
	assert_false(in_irr(v, 0x52));
	assert_int_equal(lapic_pending_vector(v), -1);	/* 0x3f is below the one in service */
	assert_int_equal(lapic_highest_irr(v), 0x3f);
	send_fixed(0, 0x5f);
	assert_int_equal(lapic_pending_vector(v), -1);	/* the same class */
	send_fixed(0, 0x60);
	assert_int_equal(lapic_pending_vector(v), 0x60);
	machine_take(v, 0x60);
	machine_take(v, 0x5f);	/* whatever the order: the highest is what ends first */
	send_fixed(0, 0x5f);
	write_reg(v, LAPIC_EOI, 0);
	assert_false(in_isr(v, 0x60));
	assert_true(in_isr(v, 0x5f));
	write_reg(v, LAPIC_EOI, 0);
	assert_true(in_isr(v, 0x52));
	write_reg(v, LAPIC_EOI, 0);
	assert_int_equal(lapic_pending_vector(v), 0x5f);
	machine_take(v, 0x5f);
	write_reg(v, LAPIC_EOI, 0);
	assert_int_equal(lapic_pending_vector(v), 0x3f);
}

static void task_priority_holds_back_its_class_and_below(void **state)
{
	struct vcpu *v = cpu[0];

	send_fixed(0, 0x45);
	lapic_set_cr8(v, 4);
	assert_int_equal(read_reg(v, LAPIC_TPR), 0x40);
	assert_int_equal(lapic_pending_vector(v), -1);
	assert_int_equal(lapic_highest_irr(v), 0x45);
	lapic_set_cr8(v, 3);
	assert_int_equal(lapic_pending_vector(v), 0x45);
	write_reg(v, LAPIC_TPR, 0xf0);
	assert_int_equal(lapic_get_cr8(v), 15);
	assert_int_equal(lapic_pending_vector(v), -1);
}

static void lowering_tpr_and_eoi_ask_for_another_look_only_if_something_waits(void **state)
{
	struct vcpu *v = cpu[0];

	write_reg(v, LAPIC_TPR, 0xf0);
	write_reg(v, LAPIC_TPR, 0);
	write_reg(v, LAPIC_EOI, 0);
	assert_false(requested(v, REQ_EVENT));
	send_fixed(0, 0x45);
	machine_take(v, 0x45);
	v->requests = 0;
	write_reg(v, LAPIC_EOI, 0);
	assert_false(requested(v, REQ_EVENT));
	write_reg(v, LAPIC_TPR, 0xf0);
	send_fixed(0, 0x45);
	v->requests = 0;
	write_reg(v, LAPIC_TPR, 0);
	assert_true(requested(v, REQ_EVENT));
	machine_take(v, 0x45);
	send_fixed(0, 0x31);
	v->requests = 0;
	write_reg(v, LAPIC_EOI, 0);
	assert_true(requested(v, REQ_EVENT));
}

static void every_vector_goes_round_irr_isr_eoi(void **state)
{
	struct vcpu *v = cpu[3];

	for (u32 vector = 16; vector < 256; vector++) {
		assert_int_equal(send_fixed(3, vector), 1);
		assert_true(lapic_vector_in_flight(v, vector));
		assert_int_equal(lapic_pending_vector(v), vector);
		assert_int_equal(read_reg(v, LAPIC_IRR + vector / 32 * 16), 1u << vector % 32);
		machine_take(v, vector);
		assert_true(lapic_vector_in_flight(v, vector));
		assert_int_equal(read_reg(v, LAPIC_ISR + vector / 32 * 16), 1u << vector % 32);
		assert_int_equal(lapic_pending_vector(v), -1);
		write_reg(v, LAPIC_EOI, 0);
		assert_false(lapic_vector_in_flight(v, vector));
	}
}

static void eoi_of_nothing_does_nothing(void **state)
{
	memset(cpu[0]->apic.eoi_exit, 0xff, sizeof(cpu[0]->apic.eoi_exit));
	write_reg(cpu[0], LAPIC_EOI, 0);
	assert_int_equal(cpu[0]->requests, 0);
}

static void eoi_of_a_vector_that_the_ioapic_wants_exits(void **state)
{
	struct vcpu *v = cpu[0];

	v->apic.eoi_exit[0x91 / 64] = 1ull << (0x91 % 64);
	send_fixed(0, 0x92);
	machine_take(v, 0x92);
	write_reg(v, LAPIC_EOI, 0);
	assert_false(requested(v, REQ_IOAPIC_EOI));
	send_fixed(0, 0x91);
	machine_take(v, 0x91);
	assert_false(requested(v, REQ_IOAPIC_EOI));
	write_reg(v, LAPIC_EOI, 0);
	assert_true(requested(v, REQ_IOAPIC_EOI));
	assert_int_equal(v->apic.eoi_vector, 0x91);
}

static void trigger_mode_is_that_of_the_last_acceptance(void **state)
{
	struct apic_msg msg = { .dest = 0, .vector = 0x77, .level = true, .assert = true };

	assert_int_equal(send(NULL, &msg), 1);
	assert_true(in_tmr(cpu[0], 0x77));
	msg.level = false;
	assert_int_equal(send(NULL, &msg), 1);
	assert_false(in_tmr(cpu[0], 0x77));
}

static void acceptance_requests_and_kicks_but_not_oneself(void **state)
{
	send_fixed(1, 0x40);
	assert_true(requested(cpu[1], REQ_EVENT));
	assert_int_equal(machine_of(cpu[1])->kicks, 1);
	send(cpu[0], &(struct apic_msg){ .dest = 0, .vector = 0x40 });
	assert_true(requested(cpu[0], REQ_EVENT));
	assert_int_equal(machine_of(cpu[0])->kicks, 0);
}

/* --- Destinations. --- */

static void physical_destination_is_the_vcpu_id(void **state)
{
	for (u32 i = 0; i < NR_VCPUS; i++) {
		assert_int_equal(send_fixed(i, 0x40), 1);
		assert_int_equal(who_got(0x40), 1u << i);
	}
	for (u32 i = NR_VCPUS; i < 0xff; i++)
		assert_int_equal(send_fixed(i, 0x40), 0);
	assert_int_equal(send_x2apic(0x100, false, 0x40), 0);
	assert_int_equal(send_x2apic(0xfffffffe, false, 0x40), 0);
	assert_int_equal(send_x2apic(0x80000000, false, 0x40), 0);
	assert_int_equal(who_got(0x40), 0);
}

static void all_ones_is_everybody(void **state)
{
	assert_int_equal(send_fixed(0xff, 0x40), NR_VCPUS);
	assert_int_equal(who_got(0x40), 15);
	assert_int_equal(send_x2apic(~0u, false, 0x40), NR_VCPUS);
	assert_int_equal(who_got(0x40), 15);
	assert_int_equal(send_x2apic(~0u, true, 0x40), NR_VCPUS);
	assert_int_equal(who_got(0x40), 15);
	assert_int_equal(send_x2apic(0xff, false, 0x40), 0);
}

static void msi_to_0xff_follows_the_broadcast_quirk(void **state)
{
	struct vcpu *v255 = machine_add_vcpu(m, 255);

	v255->cpuid.has_x2apic = true;
	assert_int_equal(lapic_create(v255), 0);
	write_reg(v255, LAPIC_SVR, SVR_ON);
	enable_x2apic(cpu[1]);
	enable_x2apic(v255);
	assert_int_equal(lapic_deliver_msi(&m->vm, 0xfeeff000, 0, 0x40), NR_VCPUS + 1);
	assert_int_equal(who_got(0x40), 15);
	m->vm.x2apic_no_bcast_quirk = true;
	/* Still everybody for an xAPIC; for an x2APIC the one with that id. */
	assert_int_equal(lapic_deliver_msi(&m->vm, 0xfeeff000, 0, 0x40), NR_VCPUS);
	assert_int_equal(who_got(0x40), 13);
	/* And in logical mode cluster 0's first eight. */
	assert_int_equal(lapic_deliver_msi(&m->vm, 0xfeeff004, 0, 0x41), NR_VCPUS);
	assert_int_equal(who_got(0x41), 15);
	assert_false(in_irr(v255, 0x41));
	lapic_free(v255);
}

static void flat_logical_destination_is_a_set_of_bits(void **state)
{
	for (u32 i = 0; i < NR_VCPUS; i++)
		write_reg(cpu[i], LAPIC_LDR, 1u << (24 + i));
	for (u32 set = 0; set < 16; set++) {
		struct apic_msg msg = { .dest = set, .vector = 0x40, .logical = true };

		assert_int_equal(send(NULL, &msg), __builtin_popcount(set));
		assert_int_equal(who_got(0x40), set);
	}
}

static void cluster_logical_destination_needs_the_cluster_or_all(void **state)
{
	static const u32 ldr[NR_VCPUS] = { 0x11, 0x12, 0x21, 0x28 };
	static const struct {
		u32 dest, who;
	} cases[] = {
		{ 0x11, 1 }, { 0x13, 3 }, { 0x1f, 3 }, { 0x21, 4 },  { 0x2f, 12 },
		{ 0x31, 0 }, { 0x10, 0 }, { 0xf1, 5 }, { 0xff, 15 },
	};

	for (u32 i = 0; i < NR_VCPUS; i++) {
		write_reg(cpu[i], LAPIC_DFR, 0);
		write_reg(cpu[i], LAPIC_LDR, ldr[i] << 24);
	}
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct apic_msg msg = { .dest = cases[i].dest, .vector = 0x40, .logical = true };

		send(NULL, &msg);
		assert_int_equal(who_got(0x40), cases[i].who);
	}
}

static void logical_destination_with_an_undefined_model_matches_nobody(void **state)
{
	write_reg(cpu[0], LAPIC_LDR, 0xff000000);
	write_reg(cpu[0], LAPIC_DFR, 0x50000000);
	assert_int_equal(send_logical(0x01, 0x40), 0);
	write_reg(cpu[0], LAPIC_DFR, 0xf0000000);
	assert_int_equal(send_logical(0x01, 0x40), 1);
	assert_int_equal(send_x2apic(0x101, true, 0x40), 0);
}

static void x2apic_logical_destination_is_cluster_and_bits_of_the_id(void **state)
{
	struct vcpu *v = machine_add_vcpu(m, 0x3d);
	struct apic_msg msg = {
		.dest = 0x00032000, .vector = 0x40, .logical = true, .x2apic_dest = true
	};

	v->cpuid.has_x2apic = true;
	assert_int_equal(lapic_create(v), 0);
	write_reg(v, LAPIC_SVR, SVR_ON);
	enable_x2apic(v);
	for (u32 i = 0; i < NR_VCPUS; i++)
		enable_x2apic(cpu[i]);
	assert_int_equal(read_msr(v, LAPIC_LDR), 0x00032000);
	assert_int_equal(read_msr(cpu[3], LAPIC_LDR), 8);
	assert_int_equal(send(NULL, &msg), 1);
	assert_true(in_irr(v, 0x40));
	msg.dest = 0x0003dfff;
	assert_int_equal(send(NULL, &msg), 0);
	msg.dest = 0x00022000;
	assert_int_equal(send(NULL, &msg), 0);
	msg.dest = 0x0000000a;
	assert_int_equal(send(NULL, &msg), 2);
	assert_int_equal(who_got(0x40), 10);
	lapic_free(v);
}

static void shorthands_name_self_all_and_others(void **state)
{
	struct apic_msg msg = { .dest = 3, .vector = 0x40, .shorthand = APIC_SELF };

	assert_int_equal(send(cpu[1], &msg), 1);
	assert_int_equal(who_got(0x40), 2);
	assert_int_equal(send(NULL, &msg), 0);
	msg.shorthand = APIC_ALL;
	assert_int_equal(send(cpu[1], &msg), 4);
	assert_int_equal(who_got(0x40), 15);
	msg.shorthand = APIC_OTHERS;
	assert_int_equal(send(cpu[1], &msg), 3);
	assert_int_equal(who_got(0x40), 13);
}

static void lowest_priority_reaches_exactly_one_the_least_busy(void **state)
{
	struct apic_msg msg = {
		.dest = 15, .vector = 0x40, .logical = true, .delivery_mode = APIC_LOWEST
	};

	for (u32 i = 0; i < NR_VCPUS; i++) {
		write_reg(cpu[i], LAPIC_LDR, 1u << (24 + i));
		write_reg(cpu[i], LAPIC_TPR, i == 2 ? 0x10 : 0x20);
	}
	assert_int_equal(send(NULL, &msg), 1);
	assert_int_equal(who_got(0x40), 4);
	write_reg(cpu[2], LAPIC_SVR, 0xff);
	assert_int_equal(send(NULL, &msg), 1);
	assert_int_equal(__builtin_popcount(who_got(0x40)), 1);
	msg.dest = 4;
	assert_int_equal(send(NULL, &msg), 0);
}

static void lowest_priority_spreads_vectors_over_equals(void **state)
{
	u32 seen = 0;

	for (u32 i = 0; i < NR_VCPUS; i++)
		write_reg(cpu[i], LAPIC_LDR, 1u << (24 + i));
	for (u32 vector = 0x40; vector < 0x48; vector++) {
		struct apic_msg msg = {
			.dest = 15, .vector = vector, .logical = true, .delivery_mode = APIC_LOWEST
		};
		u32 who;

		assert_int_equal(send(NULL, &msg), 1);
		who = who_got(vector);
		assert_int_equal(send(NULL, &msg), 1);
		assert_int_equal(who_got(vector), who);
		seen |= who;
	}
	assert_int_equal(seen, 15);
}

static void smi_and_extint_messages_reach_nobody(void **state)
{
	struct apic_msg msg = { .dest = 1, .vector = 0x40, .delivery_mode = APIC_SMI };

	assert_int_equal(send(NULL, &msg), 0);
	msg.delivery_mode = APIC_EXTINT;
	assert_int_equal(send(NULL, &msg), 0);
	msg.delivery_mode = 3;
	assert_int_equal(send(NULL, &msg), 0);
	assert_int_equal(cpu[1]->requests, 0);
}

static void msi_is_decoded(void **state)
{
	struct apic_msg msg;

	lapic_decode_msi(&m->vm, 0xfee12000, 0xabcdef00, 0x8051, &msg);
	assert_int_equal(msg.dest, 0x12);
	assert_int_equal(msg.vector, 0x51);
	assert_int_equal(msg.delivery_mode, APIC_FIXED);
	assert_true(msg.level);
	assert_true(msg.assert);
	assert_false(msg.logical);
	assert_false(msg.x2apic_dest);
	m->vm.x2apic_ids32 = true;
	lapic_decode_msi(&m->vm, 0xfee12004, 0xabcdef99, 0x0455, &msg);
	assert_int_equal(msg.dest, 0xabcdef12);
	assert_true(msg.x2apic_dest);
	assert_true(msg.logical);
	assert_int_equal(msg.delivery_mode, APIC_NMI);
	/* The redirection hint chooses one of a group. */
	lapic_decode_msi(&m->vm, 0xfee0f00c, 0, 0x0055, &msg);
	assert_int_equal(msg.delivery_mode, APIC_LOWEST);
	lapic_decode_msi(&m->vm, 0xfee0f008, 0, 0x0055, &msg);
	assert_int_equal(msg.delivery_mode, APIC_FIXED);
}

static void matching_agrees_with_delivery(void **state)
{
	for (u32 i = 0; i < NR_VCPUS; i++)
		write_reg(cpu[i], LAPIC_LDR, (0x10u | 1u << i) << 24);
	enable_x2apic(cpu[2]);
	for (u32 n = 0; n < 0x40000; n += 7) {
		struct apic_msg msg = { .dest = n & 0xff,
					.vector = 0x40,
					.logical = n >> 8 & 1,
					.shorthand = n >> 9 & 3,
					.x2apic_dest = n >> 11 & 1 };
		u32 who = 0;

		msg.dest |= msg.x2apic_dest && n >> 12 & 1 ? 0xffffff00 : 0;
		for (u32 i = 0; i < NR_VCPUS; i++)
			who |= (u32)lapic_msg_matches(cpu[i], cpu[1], &msg) << i;
		assert_int_equal(send(cpu[1], &msg), __builtin_popcount(who));
		assert_int_equal(who_got(0x40), who);
	}
}

/* --- IPIs. --- */

static void xapic_icr_sends_on_the_low_half(void **state)
{
	write_reg(cpu[0], LAPIC_ICR_HIGH, 2u << 24);
	assert_int_equal(who_got(0x40), 0);
	write_reg(cpu[0], LAPIC_ICR, 0x40 | ICR_ASSERT | 1u << 12);
	assert_int_equal(who_got(0x40), 4);
	assert_int_equal(read_reg(cpu[0], LAPIC_ICR), 0x40 | ICR_ASSERT);	/* never busy */
	assert_int_equal(read_reg(cpu[0], LAPIC_ICR_HIGH), 2u << 24);
	write_reg(cpu[0], LAPIC_ICR, 0x41 | ICR_TO(APIC_OTHERS));
	assert_int_equal(who_got(0x41), 14);
	write_reg(cpu[0], LAPIC_ICR_HIGH, 0xffu << 24);
	write_reg(cpu[0], LAPIC_ICR, 0x42);
	assert_int_equal(who_got(0x42), 15);
}

static void x2apic_icr_sends_at_once_and_reads_back_whole(void **state)
{
	enable_x2apic(cpu[0]);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 3ull << 32 | 0x40), 0);
	assert_int_equal(who_got(0x40), 8);
	assert_int_equal(machine_of(cpu[3])->kicks, 1);
	assert_int_equal(read_msr(cpu[0], LAPIC_ICR), 3ull << 32 | 0x40);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 0x41), 0);
	assert_int_equal(who_got(0x41), 1);
	assert_int_equal(machine_of(cpu[0])->kicks, 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 0xffffffffull << 32 | 0x42), 0);
	assert_int_equal(who_got(0x42), 15);
	/* One APIC, and it does not exist. */
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 0xffull << 32 | 0x43), 0);
	assert_int_equal(who_got(0x43), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 0xfffffff0ull << 32 | 0x43), 0);
	assert_int_equal(who_got(0x43), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 0xaull << 32 | ICR_LOGICAL | 0x44), 0);
	assert_int_equal(who_got(0x44), 0);	/* the others are xAPICs with no logical id */
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, ICR_TO(APIC_SELF) | 0x45), 0);
	assert_int_equal(who_got(0x45), 1);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 1ull << 32 | MODE(APIC_NMI)), 0);
	assert_int_equal(machine_of(cpu[1])->nmis, 1);
}

static void x2apic_icr_reserved_bits_fault_and_send_nothing(void **state)
{
	enable_x2apic(cpu[0]);
	for (u32 bit = 0; bit < 32; bit++) {
		u64 icr = 1ull << 32 | 0x40 | 1u << bit;
		bool reserved = bit == 13 || bit == 16 || bit == 17 || bit >= 20;

		assert_int_equal(write_msr(cpu[0], LAPIC_ICR, icr), reserved ? GP : 0);
		if (reserved)
			assert_int_equal(lapic_highest_irr(cpu[1]), -1);
		while (lapic_highest_irr(cpu[1]) >= 0)
			machine_take(cpu[1], lapic_highest_irr(cpu[1]));
	}
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 1ull << 32 | 1u << 12 | 0x40), 0);
	assert_int_equal(read_msr(cpu[0], LAPIC_ICR), 1ull << 32 | 0x40);
}

static void self_ipi_goes_to_oneself_without_a_kick(void **state)
{
	enable_x2apic(cpu[2]);
	assert_int_equal(write_msr(cpu[2], LAPIC_SELF_IPI, 0x99), 0);
	assert_int_equal(lapic_pending_vector(cpu[2]), 0x99);
	assert_true(requested(cpu[2], REQ_EVENT));
	assert_int_equal(machine_of(cpu[2])->kicks, 0);
	assert_false(in_tmr(cpu[2], 0x99));
	assert_int_equal(write_msr(cpu[2], LAPIC_SELF_IPI, 0x199), GP);
}

static void ipi_to_a_disabled_or_absent_apic_is_dropped(void **state)
{
	enable_x2apic(cpu[0]);
	assert_int_equal(lapic_set_base(cpu[1], APIC_DEFAULT_BASE, false), 0);
	write_reg(cpu[2], LAPIC_SVR, 0xff);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 1ull << 32 | 0x40), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 2ull << 32 | 0x40), 0);
	assert_int_equal(write_msr(cpu[0], LAPIC_ICR, 200ull << 32 | 0x40), 0);
	assert_int_equal(who_got(0x40), 0);
}

/* --- INIT and SIPI. --- */

static void init_then_sipi_starts_an_application_processor(void **state)
{
	struct vcpu *v = cpu[1];

	v->mp_state = KVM_MP_STATE_UNINITIALIZED;
	write_reg(cpu[0], LAPIC_ICR_HIGH, 1u << 24);
	write_reg(cpu[0], LAPIC_ICR, MODE(APIC_INIT) | ICR_ASSERT | ICR_LEVEL);
	assert_true(requested(v, REQ_EVENT));
	assert_int_equal(machine_of(v)->kicks, 1);
	lapic_accept_init_sipi(v);
	assert_int_equal(machine_of(v)->inits, 1);
	assert_int_equal(v->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	write_reg(cpu[0], LAPIC_ICR, MODE(APIC_INIT) | ICR_LEVEL);	/* de-assert */
	assert_int_equal(v->apic.pending_init_sipi, 0);
	write_reg(cpu[0], LAPIC_ICR, MODE(APIC_SIPI) | 0x9a);
	lapic_accept_init_sipi(v);
	assert_int_equal(machine_of(v)->started_at, 0x9a);
	assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
	machine_of(v)->started_at = -1;
	write_reg(cpu[0], LAPIC_ICR, MODE(APIC_SIPI) | 0x9b);
	lapic_accept_init_sipi(v);
	assert_int_equal(machine_of(v)->started_at, -1);	/* only once */
	assert_int_equal(machine_of(v)->inits, 1);
	assert_int_equal(v->apic.pending_init_sipi, 0);
}

static void init_and_sipi_that_arrived_together_are_taken_in_order(void **state)
{
	struct apic_msg msg = { .dest = 1, .delivery_mode = APIC_INIT };

	send(NULL, &msg);
	msg.delivery_mode = APIC_SIPI;
	msg.vector = 0x10;
	send(NULL, &msg);
	lapic_accept_init_sipi(cpu[1]);
	assert_int_equal(cpu[1]->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(machine_of(cpu[1])->started_at, 0x10);
	assert_int_equal(machine_of(cpu[1])->inits, 1);
}

static void init_forgets_an_older_sipi(void **state)
{
	struct apic_msg msg = { .dest = 1, .delivery_mode = APIC_SIPI, .vector = 0x10 };

	send(NULL, &msg);
	msg.delivery_mode = APIC_INIT;
	send(NULL, &msg);
	lapic_accept_init_sipi(cpu[1]);
	assert_int_equal(cpu[1]->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	assert_int_equal(machine_of(cpu[1])->started_at, -1);
}

static void sipi_without_init_is_dropped(void **state)
{
	cpu[1]->mp_state = KVM_MP_STATE_UNINITIALIZED;
	send(NULL, &(struct apic_msg){ .dest = 1, .delivery_mode = APIC_SIPI, .vector = 0x10 });
	lapic_accept_init_sipi(cpu[1]);
	assert_int_equal(cpu[1]->mp_state, KVM_MP_STATE_UNINITIALIZED);
	assert_int_equal(cpu[1]->apic.pending_init_sipi, 0);
	assert_int_equal(machine_of(cpu[1])->started_at, -1);
}

static void init_leaves_the_boot_processor_runnable(void **state)
{
	cpu[0]->mp_state = KVM_MP_STATE_HALTED;
	send(NULL, &(struct apic_msg){ .dest = 0, .delivery_mode = APIC_INIT });
	lapic_accept_init_sipi(cpu[0]);
	assert_int_equal(cpu[0]->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(machine_of(cpu[0])->inits, 1);
}

/* --- x2APIC access rules. --- */

enum { RO = 1, WO = 2, RW = 3 };

/* What can be done with the register whose MSR is 0x800 + @n. */
static int x2apic_rights(u32 n)
{
	switch (n) {
	case 0x02: case 0x03: case 0x0a: case 0x0d: case 0x39:
		return RO;
	case 0x08: case 0x0f: case 0x28: case 0x30: case 0x32 ... 0x38: case 0x3e:
		return RW;
	case 0x0b: case 0x3f:
		return WO;
	case 0x10 ... 0x27:
		return RO;
	}
	return 0;
}

static void x2apic_registers_have_the_manuals_rights(void **state)
{
	enable_x2apic(cpu[1]);
	for (u32 n = 0; n < 0x100; n++) {
		int rights = x2apic_rights(n);
		u64 value;

		assert_int_equal(lapic_x2apic_read(cpu[1], 0x800 + n, &value),
				 rights & RO ? 0 : GP);
		assert_int_equal(lapic_x2apic_write(cpu[1], 0x800 + n, 0), rights & WO ? 0 : GP);
	}
}

static void x2apic_registers_do_not_exist_outside_x2apic_mode(void **state)
{
	for (u32 n = 0; n < 0x100; n++) {
		u64 value;

		assert_int_equal(lapic_x2apic_read(cpu[1], 0x800 + n, &value), GP);
		assert_int_equal(lapic_x2apic_write(cpu[1], 0x800 + n, 0), GP);
	}
}

static void x2apic_reserved_bits_fault_and_change_nothing(void **state)
{
	static const struct {
		u32 reg;
		u64 legal;
	} regs[] = {
		{ LAPIC_TPR, 0xff },
		{ LAPIC_EOI, 0 },
		{ LAPIC_ESR, 0 },
		{ LAPIC_SVR, 0x3ff },
		{ LAPIC_TIMER_INITIAL, 0xffffffff },
		{ LAPIC_TIMER_DIVIDE, 0xb },
		{ LAPIC_SELF_IPI, 0xff },
		{ LAPIC_LVT_TIMER, 0x750ff },
		{ LAPIC_LVT_THERMAL, 0x157ff },
		{ LAPIC_LVT_PERF, 0x157ff },
		{ LAPIC_LVT_LINT0, 0x1f7ff },
		{ LAPIC_LVT_LINT1, 0x1f7ff },
		{ LAPIC_LVT_ERROR, 0x150ff },
	};

	enable_x2apic(cpu[1]);
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		for (u32 bit = 0; bit < 64; bit++)
			assert_int_equal(write_msr(cpu[1], regs[i].reg, 1ull << bit),
					 regs[i].legal >> bit & 1 ? 0 : GP);
	assert_int_equal(write_msr(cpu[1], LAPIC_TPR, 0x50), 0);
	assert_int_equal(write_msr(cpu[1], LAPIC_TPR, 0x160), GP);
	assert_int_equal(read_msr(cpu[1], LAPIC_TPR), 0x50);
	cpu[1]->cpuid.has_tsc_deadline = false;
	assert_int_equal(write_msr(cpu[1], LAPIC_LVT_TIMER, 1 << 18), GP);
}

static void x2apic_eoi_works_and_takes_only_zero(void **state)
{
	enable_x2apic(cpu[0]);
	send_fixed(0, 0x61);
	machine_take(cpu[0], 0x61);
	assert_int_equal(write_msr(cpu[0], LAPIC_EOI, 1), GP);
	assert_true(in_isr(cpu[0], 0x61));
	assert_int_equal(write_msr(cpu[0], LAPIC_EOI, 0), 0);
	assert_false(in_isr(cpu[0], 0x61));
}

/* --- The base. --- */

#define OFF	APIC_DEFAULT_BASE
#define XAPIC	(APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT)
#define X2APIC	(XAPIC | APIC_BASE_X2APIC_BIT)

static void guest_goes_between_modes_only_by_the_allowed_edges(void **state)
{
	static const struct {
		u64 from, to;
		int result;
	} edges[] = {
		{ OFF, OFF, 0 },
		{ OFF, XAPIC, 0 },
		{ OFF, X2APIC, GP },
		{ XAPIC, OFF, 0 },
		{ XAPIC, XAPIC, 0 },
		{ XAPIC, X2APIC, 0 },
		{ X2APIC, OFF, 0 },
		{ X2APIC, XAPIC, GP },
		{ X2APIC, X2APIC, 0 },
		{ XAPIC, APIC_DEFAULT_BASE | APIC_BASE_X2APIC_BIT, GP },
		{ OFF, APIC_DEFAULT_BASE | APIC_BASE_X2APIC_BIT, GP },
	};

	for (u32 i = 0; i < ARRAY_SIZE(edges); i++) {
		assert_int_equal(lapic_set_base(cpu[1], edges[i].from, true), 0);
		assert_int_equal(cpu[1]->apic.base, edges[i].from);
		assert_int_equal(lapic_set_base(cpu[1], edges[i].to, false), edges[i].result);
		assert_int_equal(cpu[1]->apic.base, edges[i].result ? edges[i].from : edges[i].to);
	}
}

static void vmm_sets_any_mode_but_not_nonsense(void **state)
{
	assert_int_equal(lapic_set_base(cpu[1], OFF, true), 0);
	assert_int_equal(lapic_set_base(cpu[1], X2APIC, true), 0);
	assert_int_equal(lapic_set_base(cpu[1], XAPIC, true), 0);
	assert_int_equal(lapic_set_base(cpu[1], APIC_DEFAULT_BASE | APIC_BASE_X2APIC_BIT, true),
			 GP);
	for (u32 bit = 0; bit < 8; bit++)
		assert_int_equal(lapic_set_base(cpu[1], XAPIC | 1ull << bit, true), GP);
	assert_int_equal(lapic_set_base(cpu[1], XAPIC | 1ull << 9, true), GP);
	assert_int_equal(lapic_set_base(cpu[1], XAPIC | 1ull << 52, true), GP);
	assert_int_equal(cpu[1]->apic.base, XAPIC);
}

static void guest_base_is_bounded_by_its_cpuid(void **state)
{
	assert_int_equal(lapic_set_base(cpu[1], XAPIC | 1ull << 39, false), 0);
	assert_int_equal(lapic_set_base(cpu[1], XAPIC | 1ull << 40, false), GP);
	cpu[1]->cpuid.has_x2apic = false;
	assert_int_equal(lapic_set_base(cpu[1], X2APIC, false), GP);
	cpu[1]->cpuid.maxphyaddr = 0;
	assert_int_equal(lapic_set_base(cpu[1], XAPIC, false), 0);
}

static void disabling_loses_what_was_pending(void **state)
{
	send_fixed(1, 0x40);
	send_fixed(1, 0x80);
	machine_take(cpu[1], 0x80);
	write_reg(cpu[1], LAPIC_TIMER_INITIAL, 1000);
	assert_int_equal(lapic_set_base(cpu[1], OFF, false), 0);
	assert_int_equal(lapic_pending_vector(cpu[1]), -1);
	assert_int_equal(machine_of(cpu[1])->timer_deadline, 0);
	assert_int_equal(lapic_set_base(cpu[1], XAPIC, false), 0);
	assert_int_equal(lapic_highest_irr(cpu[1]), -1);
	assert_int_equal(cpu[1]->apic.isr_top, -1);
	assert_int_equal(read_reg(cpu[1], LAPIC_PPR), 0);
}

static void x2apic_mode_keeps_what_the_xapic_held(void **state)
{
	write_reg(cpu[1], LAPIC_TPR, 0x20);
	write_reg(cpu[1], LAPIC_ICR_HIGH, 0xaa000000);
	write_reg(cpu[1], LAPIC_ICR, MODE(APIC_SMI) | 0x40);
	send_fixed(1, 0x40);
	enable_x2apic(cpu[1]);
	assert_int_equal(read_msr(cpu[1], LAPIC_TPR), 0x20);
	assert_int_equal(read_msr(cpu[1], LAPIC_ICR), MODE(APIC_SMI) | 0x40);
	assert_int_equal(lapic_pending_vector(cpu[1]), 0x40);
	assert_int_equal(read_msr(cpu[1], LAPIC_ID), 1);
}

static void lint0_decides_about_extint(void **state)
{
	write_reg(cpu[1], LAPIC_LVT_LINT0, MODE(APIC_EXTINT));
	assert_true(lapic_accepts_extint(cpu[1]));
	write_reg(cpu[1], LAPIC_LVT_LINT0, MODE(APIC_EXTINT) | LAPIC_LVT_MASKED);
	assert_false(lapic_accepts_extint(cpu[1]));
	write_reg(cpu[1], LAPIC_LVT_LINT0, 0x40);
	assert_false(lapic_accepts_extint(cpu[1]));
}

/* --- State for the VMM. --- */

static u32 state_get(const struct kvm_lapic_state *s, u32 reg)
{
	u32 value;

	memcpy(&value, s->regs + reg, 4);
	return value;
}

static void state_put(struct kvm_lapic_state *s, u32 reg, u32 value)
{
	memcpy(s->regs + reg, &value, 4);
}

static void saved_state_restores_the_same_apic(void **state)
{
	struct kvm_lapic_state s, again;

	write_reg(cpu[1], LAPIC_LDR, 0x42000000);
	write_reg(cpu[1], LAPIC_LVT_LINT1, MODE(APIC_NMI));
	write_reg(cpu[1], LAPIC_LVT_ERROR, 0xfe);
	write_reg(cpu[1], LAPIC_ICR_HIGH, 0x05000000);
	write_reg(cpu[1], LAPIC_ICR, 0xfd);
	send_fixed(1, 0x81);
	send_fixed(1, 0x31);
	machine_take(cpu[1], 0x81);
	write_reg(cpu[1], LAPIC_TPR, 0x13);
	lapic_get_state(cpu[1], &s);
	lapic_reset(cpu[1], false);
	assert_int_equal(lapic_set_state(cpu[1], &s), 0);
	lapic_get_state(cpu[1], &again);
	assert_memory_equal(&s, &again, sizeof(s));
	assert_int_equal(read_reg(cpu[1], LAPIC_PPR), 0x80);
	assert_int_equal(lapic_pending_vector(cpu[1]), -1);
	write_reg(cpu[1], LAPIC_EOI, 0);
	assert_int_equal(lapic_pending_vector(cpu[1]), 0x31);
	assert_true(requested(cpu[1], REQ_EVENT));
	assert_true(requested(cpu[1], REQ_IOAPIC_SCAN));
}

static void x2apic_state_has_the_id_in_the_form_that_was_asked_for(void **state)
{
	struct kvm_lapic_state s;

	enable_x2apic(cpu[3]);
	assert_int_equal(write_msr(cpu[3], LAPIC_ICR, 0x12345678ull << 32 | 0x4041), 0);
	lapic_get_state(cpu[3], &s);
	assert_int_equal(state_get(&s, LAPIC_ID), 3u << 24);
	assert_int_equal(state_get(&s, LAPIC_LDR), 8);
	assert_int_equal(state_get(&s, LAPIC_ICR), 0x4041);
	assert_int_equal(state_get(&s, LAPIC_ICR_HIGH), 0x12345678);
	assert_int_equal(lapic_set_state(cpu[3], &s), 0);
	assert_int_equal(read_msr(cpu[3], LAPIC_ICR), 0x12345678ull << 32 | 0x4041);
	m->vm.x2apic_ids32 = true;
	assert_int_equal(lapic_set_state(cpu[3], &s), -EINVAL);
	lapic_get_state(cpu[3], &s);
	assert_int_equal(state_get(&s, LAPIC_ID), 3);
	assert_int_equal(lapic_set_state(cpu[3], &s), 0);
	state_put(&s, LAPIC_LDR, 0xffffffff);
	assert_int_equal(lapic_set_state(cpu[3], &s), 0);
	assert_int_equal(read_msr(cpu[3], LAPIC_LDR), 8);
}

static void state_of_another_vcpu_is_refused_and_changes_nothing(void **state)
{
	struct kvm_lapic_state s;

	lapic_get_state(cpu[1], &s);
	state_put(&s, LAPIC_TPR, 0x50);
	state_put(&s, LAPIC_ID, 2u << 24);
	assert_int_equal(lapic_set_state(cpu[1], &s), -EINVAL);
	assert_int_equal(read_reg(cpu[1], LAPIC_TPR), 0);
}

static void garbage_state_is_cut_to_what_a_guest_could_have_made(void **state)
{
	struct kvm_lapic_state s;

	memset(&s, 0xff, sizeof(s));
	state_put(&s, LAPIC_ID, 1u << 24);
	assert_int_equal(lapic_set_state(cpu[1], &s), 0);
	assert_int_equal(read_reg(cpu[1], LAPIC_IRR), 0xffff0000);
	assert_int_equal(read_reg(cpu[1], LAPIC_ISR), 0xffff0000);
	assert_int_equal(read_reg(cpu[1], LAPIC_TPR), 0xff);
	assert_int_equal(read_reg(cpu[1], LAPIC_SVR), 0x3ff);
	assert_int_equal(read_reg(cpu[1], LAPIC_LVT_TIMER), 0x700ff);
	assert_int_equal(read_reg(cpu[1], LAPIC_VERSION), 0x50014);
	for (u32 n = 0; n < 240; n++)
		write_reg(cpu[1], LAPIC_EOI, 0);
	assert_int_equal(cpu[1]->apic.isr_top, -1);
	write_reg(cpu[1], LAPIC_TPR, 0);
	for (u32 vector = 255; vector >= 16; vector--) {
		assert_int_equal(lapic_pending_vector(cpu[1]), vector);
		machine_take(cpu[1], vector);
		write_reg(cpu[1], LAPIC_EOI, 0);
	}
	assert_int_equal(lapic_pending_vector(cpu[1]), -1);
}

static void loaded_reset_state_leaves_lint0_open_for_the_pic(void **state)
{
	struct kvm_lapic_state s;

	lapic_reset(cpu[0], false);
	lapic_get_state(cpu[0], &s);
	assert_int_equal(state_get(&s, LAPIC_SVR), 0xff);
	assert_int_equal(lapic_set_state(cpu[0], &s), 0);
	assert_true(lapic_accepts_extint(cpu[0]));
}

static void vapic_page_shows_priorities_and_brings_the_tpr_back(void **state)
{
	struct vcpu *v = cpu[0];

	v->apic.vapic_gpa = 0x1000;
	send_fixed(0, 0x85);
	machine_take(v, 0x85);
	send_fixed(0, 0x63);
	write_reg(v, LAPIC_TPR, 0x27);
	memset(m->mem + 0x1000, 0xee, 8);
	lapic_sync_to_vapic(v);
	assert_memory_equal(m->mem + 0x1000, "\x27\x80\0\x63\xee\xee\xee\xee", 8);
	m->mem[0x1000] = 0x90;
	v->requests = 0;
	lapic_sync_from_vapic(v);
	assert_int_equal(read_reg(v, LAPIC_TPR), 0x90);
	assert_int_equal(read_reg(v, LAPIC_PPR), 0x90);
	assert_true(requested(v, REQ_EVENT));
	v->apic.vapic_gpa = 1ull << 40;	/* no memory there */
	lapic_sync_to_vapic(v);
	lapic_sync_from_vapic(v);
	assert_int_equal(read_reg(v, LAPIC_TPR), 0x90);
}

/* --- Threads. --- */

#define STRESS_ROUNDS	30000

static u32 taken[256];
static bool sender_done, interrupt_lost;

static u32 times_taken(u8 vector)
{
	return __atomic_load_n(&taken[vector], __ATOMIC_ACQUIRE);
}

static void send_to_receiver(u8 vector, u32 round)
{
	lapic_deliver(&m->vm, NULL,
		      &(struct apic_msg){ .dest = 0, .vector = vector, .level = round & 1 });
}

/*
 * Two vectors of one IRR word, the second at every distance from the first: often while the
 * receiver takes the first and finds the word empty. Then waits for both.
 */
static void *sender_main(void *arg)
{
	for (u32 n = 1; n <= STRESS_ROUNDS && !interrupt_lost; n++) {
		u64 spins = 0;

		send_to_receiver(65, n);
		for (u32 i = 0; i < n % 256; i++)
			barrier();
		send_to_receiver(64, n);
		while ((times_taken(65) < n || times_taken(64) < n) && !interrupt_lost)
			interrupt_lost = ++spins > 1000000000;
	}
	__atomic_store_n(&sender_done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Looks at IRR only when it was asked to, as the run loop does. */
static void *receiver_main(void *arg)
{
	struct vcpu *v = cpu[0];
	int vector;

	while (!__atomic_load_n(&sender_done, __ATOMIC_ACQUIRE)) {
		if (!vcpu_take_request(v, REQ_EVENT))
			continue;
		while ((vector = lapic_pending_vector(v)) >= 0) {
			machine_take(v, vector);
			__atomic_fetch_add(&taken[vector], 1, __ATOMIC_RELEASE);
			write_reg(v, LAPIC_EOI, 0);
		}
	}
	return NULL;
}

static void no_interrupt_is_lost_between_threads(void **state)
{
	pthread_t sender, receiver;

	sender_done = interrupt_lost = false;
	memset(taken, 0, sizeof(taken));
	assert_int_equal(pthread_create(&receiver, NULL, receiver_main, NULL), 0);
	assert_int_equal(pthread_create(&sender, NULL, sender_main, NULL), 0);
	pthread_join(sender, NULL);
	pthread_join(receiver, NULL);
	assert_false(interrupt_lost);
	assert_int_equal(lapic_highest_irr(cpu[0]), -1);
	assert_int_equal(cpu[0]->apic.irr_words, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(reset_values_are_the_manuals),
		CASE(boot_processor_starts_with_extint_unless_the_quirk_is_off),
		CASE(init_resets_registers_but_not_the_base),
		CASE(page_is_claimed_only_at_the_base),
		CASE(page_follows_a_moved_base),
		CASE(page_behind_no_xapic_reads_ones_or_is_not_there),
		CASE(only_aligned_dword_writes_count),
		CASE(narrow_reads_give_the_registers_bytes_and_the_rest_is_zero),
		CASE(read_only_registers_ignore_writes),
		CASE(registers_keep_only_their_bits),
		CASE(destination_registers_ask_for_new_eoi_routes),
		CASE(reserved_register_is_an_error_that_esr_shows_after_a_write),
		CASE(error_interrupt_comes_once_until_esr_is_written),
		CASE(error_entry_with_an_illegal_vector_reports_nothing_more),
		CASE(illegal_vectors_are_refused_and_reported),
		CASE(illegal_self_ipi_is_a_send_error),
		CASE(software_disabling_masks_every_lvt_entry_for_good),
		CASE(software_disabled_apic_takes_nmi_init_and_sipi_but_no_interrupt),
		CASE(hardware_disabled_apic_takes_nothing),
		CASE(a_vcpu_without_apic_is_never_reached_and_never_crashes),
		CASE(ppr_is_the_higher_of_task_priority_and_class_in_service),
		CASE(highest_vector_above_ppr_comes_first),
		CASE(task_priority_holds_back_its_class_and_below),
		CASE(lowering_tpr_and_eoi_ask_for_another_look_only_if_something_waits),
		CASE(every_vector_goes_round_irr_isr_eoi),
		CASE(eoi_of_nothing_does_nothing),
		CASE(eoi_of_a_vector_that_the_ioapic_wants_exits),
		CASE(trigger_mode_is_that_of_the_last_acceptance),
		CASE(acceptance_requests_and_kicks_but_not_oneself),
		CASE(physical_destination_is_the_vcpu_id),
		CASE(all_ones_is_everybody),
		CASE(msi_to_0xff_follows_the_broadcast_quirk),
		CASE(flat_logical_destination_is_a_set_of_bits),
		CASE(cluster_logical_destination_needs_the_cluster_or_all),
		CASE(logical_destination_with_an_undefined_model_matches_nobody),
		CASE(x2apic_logical_destination_is_cluster_and_bits_of_the_id),
		CASE(shorthands_name_self_all_and_others),
		CASE(lowest_priority_reaches_exactly_one_the_least_busy),
		CASE(lowest_priority_spreads_vectors_over_equals),
		CASE(smi_and_extint_messages_reach_nobody),
		CASE(msi_is_decoded),
		CASE(matching_agrees_with_delivery),
		CASE(xapic_icr_sends_on_the_low_half),
		CASE(x2apic_icr_sends_at_once_and_reads_back_whole),
		CASE(x2apic_icr_reserved_bits_fault_and_send_nothing),
		CASE(self_ipi_goes_to_oneself_without_a_kick),
		CASE(ipi_to_a_disabled_or_absent_apic_is_dropped),
		CASE(init_then_sipi_starts_an_application_processor),
		CASE(init_and_sipi_that_arrived_together_are_taken_in_order),
		CASE(init_forgets_an_older_sipi),
		CASE(sipi_without_init_is_dropped),
		CASE(init_leaves_the_boot_processor_runnable),
		CASE(x2apic_registers_have_the_manuals_rights),
		CASE(x2apic_registers_do_not_exist_outside_x2apic_mode),
		CASE(x2apic_reserved_bits_fault_and_change_nothing),
		CASE(x2apic_eoi_works_and_takes_only_zero),
		CASE(guest_goes_between_modes_only_by_the_allowed_edges),
		CASE(vmm_sets_any_mode_but_not_nonsense),
		CASE(guest_base_is_bounded_by_its_cpuid),
		CASE(disabling_loses_what_was_pending),
		CASE(x2apic_mode_keeps_what_the_xapic_held),
		CASE(lint0_decides_about_extint),
		CASE(saved_state_restores_the_same_apic),
		CASE(x2apic_state_has_the_id_in_the_form_that_was_asked_for),
		CASE(state_of_another_vcpu_is_refused_and_changes_nothing),
		CASE(garbage_state_is_cut_to_what_a_guest_could_have_made),
		CASE(loaded_reset_state_leaves_lint0_open_for_the_pic),
		CASE(vapic_page_shows_priorities_and_brings_the_tpr_back),
		CASE(no_interrupt_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
