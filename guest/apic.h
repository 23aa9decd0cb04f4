/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APIC in both its modes (AMD APM vol. 2 chapter 16). Registers are
 * named by their xAPIC offset; x2APIC's MSR is 0x800 + offset / 16.
 */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include "cpu.h"

#define APIC_BASE_ADDR		0xfee00000UL
#define APIC_BASE_BSP		(1UL << 8)
#define APIC_BASE_X2APIC	(1UL << 10)
#define APIC_BASE_ENABLE	(1UL << 11)

enum { APIC_ID = 0x20, APIC_VERSION = 0x30, APIC_TPR = 0x80, APIC_APR = 0x90, APIC_PPR = 0xa0,
       APIC_EOI = 0xb0, APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_SVR = 0xf0, APIC_ISR = 0x100,
       APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280, APIC_ICR = 0x300,
       APIC_ICR_HIGH = 0x310, APIC_LVT_TIMER = 0x320, APIC_LVT_THERMAL = 0x330,
       APIC_LVT_PERF = 0x340, APIC_LVT_LINT0 = 0x350, APIC_LVT_LINT1 = 0x360,
       APIC_LVT_ERROR = 0x370, APIC_TIMER_INIT = 0x380, APIC_TIMER_COUNT = 0x390,
       APIC_TIMER_DIVIDE = 0x3e0, APIC_SELF_IPI = 0x3f0 };

#define X2APIC_MSR(reg)		(0x800 + (reg) / 16)

/* ICR and LVT */
#define APIC_FIXED		0x000
#define APIC_LOWEST		0x100
#define APIC_NMI		0x400
#define APIC_INIT		0x500
#define APIC_STARTUP		0x600
#define APIC_EXTINT		0x700
#define APIC_LOGICAL		0x800
#define APIC_ASSERT		0x4000
#define APIC_LEVEL		0x8000
#define APIC_SELF		0x40000
#define APIC_ALL		0x80000
#define APIC_OTHERS		0xc0000
#define APIC_MASKED		0x10000
#define APIC_PERIODIC		0x20000
#define APIC_DEADLINE		0x40000

#define APIC_SVR_ENABLE		0x100

static inline u32 apic_read(u32 reg)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC)
		return rdmsr(X2APIC_MSR(reg));
	return *(volatile u32 *)(APIC_BASE_ADDR + reg);
}

static inline void apic_write(u32 reg, u32 value)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC)
		wrmsr(X2APIC_MSR(reg), value);
	else
		*(volatile u32 *)(APIC_BASE_ADDR + reg) = value;
}

/* Send an interrupt; dest is an APIC id, or a logical one with APIC_LOGICAL. */
static inline void apic_icr(u32 dest, u32 command)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) {
		wrmsr(X2APIC_MSR(APIC_ICR), command | (u64)dest << 32);
		return;
	}
	*(volatile u32 *)(APIC_BASE_ADDR + APIC_ICR_HIGH) = dest << 24;
	*(volatile u32 *)(APIC_BASE_ADDR + APIC_ICR) = command;
}

static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static inline int apic_set_base(u64 flags)
{
	return try_wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) &
				~(APIC_BASE_ENABLE | APIC_BASE_X2APIC)) | flags);
}

static inline void apic_enable(bool x2apic)
{
	if (!x2apic && rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC)
		apic_set_base(0);
	apic_set_base(APIC_BASE_ENABLE);
	if (x2apic)
		apic_set_base(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

#endif
