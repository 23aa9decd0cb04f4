/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the local APIC's tests share: a machine with four vCPUs, and ways to reach their registers.
 */
#ifndef EXEUNT_TESTS_LAPIC_FIXTURE_H
#define EXEUNT_TESTS_LAPIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>

#include "machine.h"
#include "run.h"

#include <cmocka.h>

#define NR_VCPUS	4
#define SVR_ON		0x1ffu		/* enabled by software, spurious vector 255 */
#define MODE(m)		((u32)(m) << 8)
#define ICR_LOGICAL	(1u << 11)
#define ICR_ASSERT	(1u << 14)
#define ICR_LEVEL	(1u << 15)
#define ICR_TO(short)	((u32)(short) << 18)
#define GP		1

static struct machine *m;
static struct vcpu *cpu[NR_VCPUS];

static u32 read_reg(struct vcpu *v, u32 reg)
{
	u32 value;

	assert_true(lapic_mmio_read(v, (v->apic.base & ~0xfffull) + reg, 4, &value));
	return value;
}

static void write_reg(struct vcpu *v, u32 reg, u32 value)
{
	assert_true(lapic_mmio_write(v, (v->apic.base & ~0xfffull) + reg, 4, &value));
}

static u64 read_msr(struct vcpu *v, u32 reg)
{
	u64 value;

	assert_int_equal(lapic_x2apic_read(v, 0x800 + reg / 16, &value), 0);
	return value;
}

static int write_msr(struct vcpu *v, u32 reg, u64 value)
{
	return lapic_x2apic_write(v, 0x800 + reg / 16, value);
}

/*
 * A machine whose vCPUs have APICs that are enabled by software too; vCPU 0 is the boot processor.
 */
static int setup(void **state)
{
	m = machine_create(1 << 20);
	for (u32 i = 0; i < NR_VCPUS; i++) {
		cpu[i] = machine_add_vcpu(m, i);
		cpu[i]->cpuid.has_x2apic = true;
		cpu[i]->cpuid.has_tsc_deadline = true;
		cpu[i]->cpuid.maxphyaddr = 40;
		if (lapic_create(cpu[i]))
			return -1;
		write_reg(cpu[i], LAPIC_SVR, SVR_ON);
		cpu[i]->requests = 0;
	}
	return 0;
}

static int teardown(void **state)
{
	for (u32 i = 0; i < NR_VCPUS; i++)
		lapic_free(cpu[i]);
	machine_free(m);
	return 0;
}

static inline void enable_x2apic(struct vcpu *v)
{
	assert_int_equal(lapic_set_base(v, v->apic.base | APIC_BASE_X2APIC_BIT, false), 0);
}

static inline bool requested(struct vcpu *v, enum vcpu_request r)
{
	return v->requests >> r & 1;
}

static inline bool in_irr(struct vcpu *v, u8 vector)
{
	return v->apic.regs[LAPIC_IRR / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

static inline bool in_isr(struct vcpu *v, u8 vector)
{
	return v->apic.regs[LAPIC_ISR / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

static inline bool in_tmr(struct vcpu *v, u8 vector)
{
	return v->apic.regs[LAPIC_TMR / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
