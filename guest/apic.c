// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: the local APIC in both modes (AMD APM vol. 2 chapter 16). Registers,
 * mode changes, delivery and its order, the timer's three modes, interrupts
 * between CPUs, INIT and SIPI, and interrupts from the monitor. Wants 2 CPUs or
 * more; with one, what needs others is skipped.
 */
#include "apic.h"
#include "lib.h"

#define FIRST_VECTOR	0x30
#define MAX_ORDER	64
#define STOP_VECTOR	0xf0
#define RESET_PAGE	0x9000
#define KVM_HC_SEND_IPI	10
#define KVM_EINVAL	22
#define PV_SEND_IPI	(1 << 11)
#define NO_CPU		7		/* an APIC id that no run uses: CPUs are 0 to 6 */

static struct {
	volatile u32 count[256];
	volatile u32 nmis;
} seen[MON_MAX_VCPUS];

static volatile u8 order[MAX_ORDER];
static volatile unsigned int ordered;
static volatile bool stop_idling;
static volatile unsigned int idling;
static bool x2apic;
static const char *mode;
static unsigned int cpus_up;
static struct mon_info host;

/* What a handler does beyond counting; runs with interrupts off, before EOI. */
static void (*volatile in_handler)(u8 vector);

/* ---- helpers ---- */

static void on_irq(struct frame *frame)
{
	u8 vector = frame->vector;

	if (!this_cpu()->id && ordered < MAX_ORDER)
		order[ordered++] = vector;
	if (in_handler && !this_cpu()->id)
		in_handler(vector);
	seen[this_cpu()->id].count[vector]++;
	apic_eoi();
}

static void on_nmi(struct frame *frame)
{
	seen[this_cpu()->id].nmis++;
}

static void clear_seen(void)
{
	unsigned int i;

	for (i = 0; i < MON_MAX_VCPUS; i++) {
		memset((void *)seen[i].count, 0, sizeof(seen[i].count));
		seen[i].nmis = 0;
	}
	ordered = 0;
}

static u64 now_us(void)
{
	return rdtsc() * 1000 / host.tsc_khz;
}

/* Wait until *counter is at least want, up to a second. */
static bool wait_count(volatile u32 *counter, u32 want)
{
	u64 end = now_us() + 1000000;

	while (*counter < want && now_us() < end)
		pause();
	return *counter >= want;
}

static void wait_us(u64 us)
{
	u64 end = now_us() + us;

	while (now_us() < end)
		pause();
}

static bool bit_of(u32 reg, u8 vector)
{
	return apic_read(reg + vector / 32 * 0x10) >> vector % 32 & 1;
}

static void self_ipi(u8 vector)
{
	apic_icr(this_cpu()->id, APIC_FIXED | APIC_ASSERT | vector);
}

static void let_in(void)
{
	sti();
	asm volatile("nop; nop");
	cli();
}

/* Vectors in the order of arrival are exactly these (0 ends the list). */
static bool order_is(const u8 *want)
{
	unsigned int i;

	for (i = 0; want[i]; i++)
		if (i >= ordered || order[i] != want[i])
			return false;
	return i == ordered;
}

/* ---- registers ---- */

static void test_reset_state(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);
	u32 version = apic_read(APIC_VERSION);

	report(base == (APIC_BASE_ADDR | APIC_BASE_ENABLE | APIC_BASE_BSP),
	       "reset: APIC_BASE is %lx", base);
	report(apic_read(APIC_ID) == 0, "reset: ID is 0");
	report((version & 0xf0) == 0x10 && (version >> 16 & 0xff) >= 3, "version is %x", version);
	report(apic_read(APIC_SVR) == 0xff, "reset: SVR is ff (off)");
	report(apic_read(APIC_TPR) == 0 && apic_read(APIC_PPR) == 0, "reset: TPR and PPR are 0");
	report(apic_read(APIC_LVT_TIMER) == APIC_MASKED &&
	       apic_read(APIC_LVT_LINT1) == APIC_MASKED &&
	       apic_read(APIC_LVT_ERROR) == APIC_MASKED, "reset: LVT entries are masked");
	report(apic_read(APIC_DFR) == 0xffffffff, "reset: DFR is flat");
	report(apic_read(APIC_LDR) == 0, "reset: LDR is 0");
	report(apic_read(APIC_TIMER_INIT) == 0 && apic_read(APIC_TIMER_COUNT) == 0,
	       "reset: timer counts are 0");
	apic_write(APIC_LVT_ERROR, 0x44);
	report(apic_read(APIC_LVT_ERROR) == (APIC_MASKED | 0x44),
	       "LVT entries cannot be unmasked while the APIC is off by SVR");
}

static void test_xapic_registers(void)
{
	apic_write(APIC_LDR, 0x55aa55aa);
	report(apic_read(APIC_LDR) == 0x55000000, "LDR keeps its upper byte");
	apic_write(APIC_LDR, 0);
	apic_write(APIC_DFR, 0x0fffffff);
	report(apic_read(APIC_DFR) == 0x0fffffff, "DFR takes cluster mode; the rest is ones");
	apic_write(APIC_DFR, 0);
	report(apic_read(APIC_DFR) == 0x0fffffff, "DFR's low bits stay ones");
	apic_write(APIC_DFR, 0xffffffff);
	*(volatile u32 *)(APIC_BASE_ADDR + APIC_ICR_HIGH) = 0xff123456;
	report(apic_read(APIC_ICR_HIGH) == 0xff000000, "ICR keeps its destination's upper byte");
	*(volatile u32 *)(APIC_BASE_ADDR + APIC_VERSION) = 0;
	report(apic_read(APIC_VERSION) != 0, "version is read-only");
}

static void test_common_registers(void)
{
	unsigned int lvt;
	bool ok = true;

	apic_write(APIC_TPR, 0xa0);
	report(apic_read(APIC_TPR) == 0xa0 && read_cr8() == 0xa, "%s: TPR a0 makes CR8 a", mode);
	report(apic_read(APIC_PPR) == 0xa0, "%s: PPR follows TPR", mode);
	apic_write(APIC_TPR, 0xa5);
	report(apic_read(APIC_TPR) == 0xa5, "%s: TPR keeps its sub-class", mode);
	try_write_cr8(3);
	report(apic_read(APIC_TPR) == 0x30, "%s: CR8 3 makes TPR 30", mode);
	try_write_cr8(0);
	report(apic_read(APIC_TPR) == 0 && apic_read(APIC_PPR) == 0, "%s: CR8 0 makes TPR 0", mode);
	for (lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 0x10) {
		if (lvt == APIC_LVT_THERMAL || lvt == APIC_LVT_PERF || lvt == APIC_LVT_LINT0)
			continue;
		apic_write(lvt, APIC_MASKED | 0x77);
		ok &= apic_read(lvt) == (APIC_MASKED | 0x77);
		apic_write(lvt, APIC_MASKED);
	}
	report(ok, "%s: LVT entries keep mask and vector", mode);
	apic_write(APIC_SVR, 0xfe);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xee);
	report(apic_read(APIC_SVR) == (APIC_SVR_ENABLE | 0xee), "%s: SVR reads back", mode);
	apic_write(APIC_LVT_ERROR, 0x44);
	apic_write(APIC_SVR, 0xff);
	report(apic_read(APIC_LVT_ERROR) == (APIC_MASKED | 0x44),
	       "%s: SVR off masks the LVT", mode);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	report(apic_read(APIC_TIMER_DIVIDE) == 0xb, "%s: timer divisor reads back", mode);
}

/* WRMSR of value with any one of the reserved bits set: #GP, and nothing done. */
static void reserved_bits(u32 reg, u64 value, u64 reserved, const char *name)
{
	u64 refused = 0;
	u32 bit;

	clear_seen();
	for (bit = 0; bit < 64; bit++)
		if (reserved >> bit & 1 && try_wrmsr(X2APIC_MSR(reg), value | 1UL << bit) == EXC_GP)
			refused |= 1UL << bit;
	let_in();
	report(refused == reserved && !seen[0].count[0x40], "x2apic: %s: #GP for each reserved bit (%lx of %lx)", name, refused,
	       reserved);
}

/* Intel SDM vol. 3, 10.12.9 for ICR, whose bit 12 some models ignore; 10.12.11 for SELF_IPI. */
static void test_reserved_bits(void)
{
	reserved_bits(APIC_ICR, APIC_SELF | APIC_ASSERT | 0x40, 0xfff32000, "ICR");
	reserved_bits(APIC_SELF_IPI, 0x40, ~0xffUL, "SELF_IPI");
	reserved_bits(APIC_EOI, 0, ~0UL, "EOI");
	reserved_bits(APIC_TPR, 0, ~0xffUL, "TPR");
	reserved_bits(APIC_SVR, APIC_SVR_ENABLE | 0xff, ~0xffffffffUL, "SVR, upper half");
	reserved_bits(APIC_TIMER_INIT, 0, ~0xffffffffUL, "timer count, upper half");
	report(apic_read(APIC_TPR) == 0, "x2apic: TPR is as before");
}

/* Registers that x2APIC mode does not have, or not to read or to write. */
static void test_x2apic_registers(void)
{
	static const u16 no_read[] = { 0x800, 0x801, 0x804, 0x809, 0x80b, 0x80c, 0x80e, 0x829,
				       0x831, 0x83a, 0x83f, 0x840, 0x8ff };
	static const u16 no_write[] = { 0x802, 0x803, 0x80a, 0x80d, 0x810, 0x817, 0x818, 0x820,
					0x827, 0x831, 0x839, 0x840, 0x8ff };
	unsigned int i;
	u64 value;

	report(rdmsr(X2APIC_MSR(APIC_ID)) == 0, "x2apic: ID is 0");
	report(rdmsr(X2APIC_MSR(APIC_LDR)) == 1, "x2apic: LDR is cluster 0, bit 0");
	for (i = 0; i < sizeof(no_read) / sizeof(no_read[0]); i++)
		report(try_rdmsr(no_read[i], &value) == EXC_GP,
		       "x2apic: RDMSR %x: #GP", no_read[i]);
	for (i = 0; i < sizeof(no_write) / sizeof(no_write[0]); i++)
		report(try_wrmsr(no_write[i], 0) == EXC_GP, "x2apic: WRMSR %x: #GP", no_write[i]);
	report(try_wrmsr(X2APIC_MSR(APIC_EOI), 1) == EXC_GP, "x2apic: EOI: #GP but for 0");
	report(try_wrmsr(X2APIC_MSR(APIC_ESR), 1) == EXC_GP, "x2apic: ESR: #GP but for 0");
	report(try_wrmsr(X2APIC_MSR(APIC_TPR), 0x100) == EXC_GP, "x2apic: TPR: #GP for bit 8");
	report(try_wrmsr(X2APIC_MSR(APIC_TPR), 1UL << 32) == EXC_GP, "x2apic: TPR: #GP for bit 32");
	report(try_wrmsr(X2APIC_MSR(APIC_SVR), 1UL << 32) == EXC_GP, "x2apic: SVR: #GP for bit 32");
	report(try_wrmsr(X2APIC_MSR(APIC_SELF_IPI), 0x100) == EXC_GP,
	       "x2apic: SELF_IPI: #GP for bit 8");
	report(try_wrmsr(X2APIC_MSR(APIC_ICR), 1 << 20 | 0x40) == EXC_GP,
	       "x2apic: ICR: #GP for bit 20");
	report(try_wrmsr(X2APIC_MSR(APIC_ICR), 1 << 13 | 0x40) == EXC_GP,
	       "x2apic: ICR: #GP for bit 13");
	report(*(volatile u32 *)(APIC_BASE_ADDR + APIC_VERSION) == 0xffffffff,
	       "x2apic: no APIC in memory");
	test_reserved_bits();
}

/* APM vol. 2, 16.9: which values of (EN, EXTD) may follow which. */
static void test_modes(void)
{
	const u64 xapic = APIC_BASE_ENABLE, x2 = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	u32 regs[4];
	u64 value;

	report(try_rdmsr(X2APIC_MSR(APIC_ID), &value) == EXC_GP,
	       "mode: x2APIC MSRs #GP in xAPIC mode");
	report(apic_set_base(APIC_BASE_X2APIC) == EXC_GP, "mode: xAPIC to EXTD without EN: #GP");
	report(apic_set_base(x2) == NO_EXC && (rdmsr(MSR_APIC_BASE) & x2) == x2,
	       "mode: xAPIC to x2APIC");
	report(try_rdmsr(X2APIC_MSR(APIC_ID), &value) == NO_EXC, "mode: x2APIC MSRs work");
	report(apic_set_base(xapic) == EXC_GP, "mode: x2APIC to xAPIC: #GP");
	report(apic_set_base(APIC_BASE_X2APIC) == EXC_GP, "mode: x2APIC to EXTD without EN: #GP");
	report((rdmsr(MSR_APIC_BASE) & x2) == x2, "mode: still x2APIC");
	report(apic_set_base(0) == NO_EXC, "mode: x2APIC to off");
	cpuid(1, 0, regs);
	report(!(regs[3] & 1 << 9), "mode: off clears CPUID's APIC bit");
	report(try_rdmsr(X2APIC_MSR(APIC_ID), &value) == EXC_GP, "mode: x2APIC MSRs #GP when off");
	report(apic_set_base(x2) == EXC_GP, "mode: off to x2APIC: #GP");
	report(apic_set_base(APIC_BASE_X2APIC) == EXC_GP, "mode: off to EXTD without EN: #GP");
	report(apic_set_base(xapic) == NO_EXC, "mode: off to xAPIC");
	cpuid(1, 0, regs);
	report(regs[3] & 1 << 9, "mode: on sets CPUID's APIC bit");
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

/* ---- delivery to oneself ---- */

static void test_self(void)
{
	clear_seen();
	self_ipi(0x41);
	report(bit_of(APIC_IRR, 0x41) && !bit_of(APIC_ISR, 0x41),
	       "%s: IPI to self waits in IRR", mode);
	report(!seen[0].count[0x41], "%s: not delivered while IF is 0", mode);
	let_in();
	report(seen[0].count[0x41] == 1 && !bit_of(APIC_IRR, 0x41) && !bit_of(APIC_ISR, 0x41),
	       "%s: delivered once with IF 1; IRR and ISR clear after EOI", mode);
	apic_icr(0, APIC_SELF | APIC_ASSERT | 0x42);
	let_in();
	report(seen[0].count[0x42] == 1, "%s: shorthand self", mode);
	self_ipi(0x43);
	self_ipi(0x43);
	let_in();
	report(seen[0].count[0x43] == 1, "%s: sent twice before delivery, delivered once", mode);
	if (x2apic) {
		wrmsr(X2APIC_MSR(APIC_SELF_IPI), 0x44);
		let_in();
		report(seen[0].count[0x44] == 1, "x2apic: SELF_IPI register");
	}
	apic_write(APIC_SVR, 0xff);
	self_ipi(0x45);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
	let_in();
	report(!seen[0].count[0x45], "%s: no fixed interrupt is taken while SVR is off", mode);
	sti();
	self_ipi(0x46);
	wait_count(&seen[0].count[0x46], 1);
	cli();
	report(seen[0].count[0x46] == 1, "%s: IPI to self with IF 1", mode);
	apic_icr(0, APIC_SELF | APIC_ASSERT | 0x47);
	sti_hlt_cli();
	report(seen[0].count[0x47] == 1, "%s: HLT does not sleep on a pending interrupt", mode);
}

static void resend_in_45(u8 vector)
{
	if (vector != 0x45)
		return;
	in_handler = NULL;
	self_ipi(0x48);		/* same class: waits */
	self_ipi(0x31);		/* lower: waits */
	self_ipi(0x45);		/* itself: once more after EOI */
	report(bit_of(APIC_ISR, 0x45) && apic_read(APIC_PPR) == 0x40,
	       "%s: in the handler ISR is set and PPR is the class", mode);
	let_in();
	report(ordered == 1, "%s: same and lower class do not interrupt the handler", mode);
	self_ipi(0x81);
	let_in();
	report(ordered == 2 && order[1] == 0x81, "%s: a higher class does", mode);
	report(!bit_of(APIC_ISR, 0x81) && bit_of(APIC_ISR, 0x45),
	       "%s: EOI clears the highest", mode);
}

static void test_priority(void)
{
	static const u8 by_priority[] = { 0x81, 0x61, 0x41, 0x31, 0 };
	static const u8 nested[] = { 0x45, 0x81, 0x48, 0x45, 0x31, 0 };

	clear_seen();
	self_ipi(0x41);
	self_ipi(0x81);
	self_ipi(0x31);
	self_ipi(0x61);
	sti();
	wait_count(&seen[0].count[0x31], 1);
	cli();
	report(order_is(by_priority), "%s: delivered by priority (%u)", mode, ordered);

	clear_seen();
	in_handler = resend_in_45;
	self_ipi(0x45);
	let_in();
	wait_count(&seen[0].count[0x31], 0);
	let_in();
	report(order_is(nested), "%s: nesting goes by class (%u: %x %x %x %x %x)", mode, ordered,
	       order[0], order[1], order[2], order[3], order[4]);
}

static void test_task_priority(void)
{
	clear_seen();
	apic_write(APIC_TPR, 0x50);
	self_ipi(0x55);
	self_ipi(0x61);
	let_in();
	report(seen[0].count[0x61] == 1 && !seen[0].count[0x55],
	       "%s: TPR holds back its class", mode);
	report(bit_of(APIC_IRR, 0x55), "%s: what TPR holds back stays in IRR", mode);
	sti();
	try_write_cr8(4);
	asm volatile("nop");
	cli();
	report(seen[0].count[0x55] == 1, "%s: lowering CR8 lets it in at once", mode);

	try_write_cr8(0xf);
	self_ipi(0xe1);
	let_in();
	report(!seen[0].count[0xe1], "%s: CR8 f holds back everything", mode);
	sti();
	apic_write(APIC_TPR, 0);
	asm volatile("nop");
	cli();
	report(seen[0].count[0xe1] == 1, "%s: lowering TPR lets it in", mode);
	apic_eoi();
	report(!bit_of(APIC_ISR, 0xe1), "%s: EOI with nothing in service does nothing", mode);
}

static u32 error_status(void)
{
	apic_write(APIC_ESR, 0);
	return apic_read(APIC_ESR);
}

static void test_illegal_vector(void)
{
	u32 esr;

	error_status();
	error_status();
	clear_seen();
	apic_icr(0, APIC_SELF | APIC_ASSERT | 5);
	esr = error_status();
	let_in();
	report(esr & 0x60, "%s: vector 5 is an error in ESR (%x)", mode, esr);
	report(!seen[0].count[5] && !bit_of(APIC_IRR, 5) && !bit_of(APIC_ISR, 5),
	       "%s: vector 5 is not accepted", mode);
	error_status();
	report(error_status() == 0, "%s: ESR is clear after it was read", mode);
}

static u32 nobody_got(u8 vector)
{
	u32 i, count = 0;

	wait_us(1000);
	for (i = 0; i < cpus_up; i++)
		count += seen[i].count[vector];
	return count;
}

/* Every vector below 16, to oneself in all ways and to all others: an error each time, and nothing arrives. */
static void test_illegal_vectors(void)
{
	u32 vector, errors = 0, accepted = 0, sent = 0;

	clear_seen();
	error_status();
	for (vector = 0; vector < 16; vector++) {
		self_ipi(vector);
		errors += !!(error_status() & 0x60);
		apic_icr(0, APIC_OTHERS | APIC_ASSERT | vector);
		errors += !!(error_status() & 0x20);
		sent += 2;
		if (x2apic) {
			wrmsr(X2APIC_MSR(APIC_SELF_IPI), vector);
			errors += !!(error_status() & 0x60);
			sent++;
		}
	}
	let_in();
	for (vector = 0; vector < 16; vector++)
		accepted += nobody_got(vector) + bit_of(APIC_IRR, vector) + bit_of(APIC_ISR, vector);
	report(errors == sent, "%s: each IPI with a vector below 16 is an error in ESR (%u of %u)", mode, errors, sent);
	report(!accepted, "%s: no vector below 16 is accepted (%u)", mode, accepted);
	error_status();
}

/* Delivery modes 3 (remote read) and 7 (ExtINT, which only a PIC sends): no fault, no interrupt, whatever else ICR says. */
static void test_odd_delivery(void)
{
	static const u32 odd[] = { 0x300, 0x700, 0x300 | APIC_LEVEL, 0x700 | APIC_LEVEL, 0x300 | APIC_LOGICAL,
				   0x700 | APIC_LOGICAL };
	u32 i, to, got = 0;

	clear_seen();
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (to = 0; to < cpus_up; to++)
			apic_icr(odd[i] & APIC_LOGICAL ? 1U << to : to, odd[i] | APIC_ASSERT | 0x6e);
	let_in();
	got = nobody_got(0x6e);
	report(!got && !bit_of(APIC_IRR, 0x6e) && !bit_of(APIC_ISR, 0x6e),
	       "%s: delivery modes 3 and 7 in ICR deliver nothing (%u)", mode, got);
	error_status();
}

/* ---- timer ---- */

static void test_one_shot(void)
{
	u32 first, second;

	clear_seen();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, 0x51);
	apic_write(APIC_TIMER_INIT, 0xffffffff);
	first = apic_read(APIC_TIMER_COUNT);
	second = apic_read(APIC_TIMER_COUNT);
	report(first && second && second <= first, "%s: timer counts down", mode);
	report(apic_read(APIC_TIMER_INIT) == 0xffffffff, "%s: initial count reads back", mode);
	apic_write(APIC_TIMER_INIT, 0);
	report(apic_read(APIC_TIMER_COUNT) == 0, "%s: initial count 0 stops it", mode);
	apic_write(APIC_TIMER_INIT, 200000);
	sti();
	wait_count(&seen[0].count[0x51], 1);
	wait_us(2000);
	cli();
	report(seen[0].count[0x51] == 1, "%s: one-shot fires once (%u)", mode, seen[0].count[0x51]);
	report(apic_read(APIC_TIMER_COUNT) == 0, "%s: one-shot ends at 0", mode);

	apic_write(APIC_LVT_TIMER, APIC_MASKED | 0x51);
	apic_write(APIC_TIMER_INIT, 1000);
	wait_us(1000);
	let_in();
	report(seen[0].count[0x51] == 1, "%s: a masked timer does not fire", mode);
}

/* Ticks of the timer in a while, by the divisor's code. */
static u32 ticks(u32 divide)
{
	apic_write(APIC_TIMER_DIVIDE, divide);
	apic_write(APIC_TIMER_INIT, 0xffffffff);
	wait_us(20000);
	return 0xffffffff - apic_read(APIC_TIMER_COUNT);
}

static void test_divider(void)
{
	u32 by_1 = 0, by_128 = 0;
	bool ok = false;
	unsigned int left;

	apic_write(APIC_LVT_TIMER, APIC_MASKED | 0x51);
	/* The while is as long as the host makes it. */
	for (left = 5; left && !ok; left--) {
		by_1 = ticks(0xb);
		by_128 = ticks(0xa);
		ok = by_1 / 128 < by_128 * 2 && by_128 < by_1 / 128 * 2;
	}
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER_INIT, 0);
	report(ok, "%s: divisors 1 and 128 (%u, %u)", mode, by_1, by_128);
}

static void test_periodic(void)
{
	u32 count;

	clear_seen();
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | 0x52);
	apic_write(APIC_TIMER_INIT, 1000000);
	sti();
	wait_count(&seen[0].count[0x52], 5);
	cli();
	report(seen[0].count[0x52] >= 5, "%s: periodic fires again and again", mode);
	apic_write(APIC_TIMER_INIT, 0);
	let_in();
	count = seen[0].count[0x52];
	wait_us(5000);
	let_in();
	report(seen[0].count[0x52] == count, "%s: periodic stops at count 0", mode);
}

/* Whether the timer fires within 50 ms of a deadline being set; what the MSR then reads. */
static bool fires_soon(u64 deadline, u64 *reads)
{
	clear_seen();
	wrmsr(MSR_TSC_DEADLINE, deadline);
	wait_us(50000);
	let_in();
	*reads = rdmsr(MSR_TSC_DEADLINE);
	wrmsr(MSR_TSC_DEADLINE, 0);
	return seen[0].count[0x55];
}

static void spin_to(u64 start, u64 cycles)
{
	while (rdtsc() - start < cycles)
		pause();
	let_in();
}

/* 50 ms after start, 200 ms before the counter wraps. False if the host was too slow to tell. */
static bool try_before_wrap(u64 ms, bool *ok)
{
	u64 start = -200 * ms, deadline = start + 50 * ms;

	clear_seen();
	wrmsr(MSR_TSC, start);
	wrmsr(MSR_TSC_DEADLINE, 1);
	let_in();
	*ok = seen[0].count[0x55] == 1;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	let_in();
	*ok &= seen[0].count[0x55] == 1 || rdtsc() >= deadline;
	spin_to(start, 60 * ms);
	*ok &= seen[0].count[0x55] == 2 && rdmsr(MSR_TSC_DEADLINE) == 0;
	return rdtsc() > start;
}

/* Deadlines before the time stamp counter wraps, and one that it may miss; the counter is put back to about what it was. */
static void test_deadline_at_wrap(void)
{
	u64 was = rdtsc(), ms = host.tsc_khz;
	bool ok = false, sure = false;
	u32 left;

	for (left = 5; left && !sure; left--)
		sure = try_before_wrap(ms, &ok);
	report(sure && ok, "%s: before the TSC wraps, small deadlines have passed and big ones come", mode);
	wrmsr(MSR_TSC, -10 * ms);
	wrmsr(MSR_TSC_DEADLINE, ~0UL);
	spin_to(-10 * ms, 20 * ms);
	report(seen[0].count[0x55] <= 3, "%s: the last deadline before the TSC wraps fires once or never (%u)", mode,
	       seen[0].count[0x55] - 2);
	wrmsr(MSR_TSC_DEADLINE, 0);
	wrmsr(MSR_TSC, was);
}

/* Deadlines that arithmetic may get wrong; Intel SDM vol. 3, 10.5.4.1: the comparison is of unsigned numbers. */
static void test_odd_deadlines(void)
{
	static const u64 far[] = { ~0UL, ~0UL - 1, 1UL << 63, (1UL << 63) - 1, 1UL << 62, 1UL << 52 };
	u64 reads;
	u32 i;
	bool fired;

	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | 0x55);
	for (i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		fired = fires_soon(far[i], &reads);
		report(!fired && reads == far[i], "%s: deadline %lx does not fire soon", mode, far[i]);
	}
	fired = fires_soon(0, &reads);
	report(!fired && !reads, "%s: deadline 0 never fires", mode);
	fired = fires_soon(rdtsc(), &reads);
	report(fired && !reads, "%s: deadline now fires", mode);
	test_deadline_at_wrap();
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | 0x55);
	fired = fires_soon(rdtsc() + 1000, &reads);
	report(!fired, "%s: a masked deadline passes without an interrupt", mode);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | 0x55);
	fired = fires_soon(rdtsc() + 1000, &reads);
	report(!fired && !reads, "%s: deadline is ignored in periodic mode", mode);
}

static void test_deadline(void)
{
	u64 deadline, at;
	u32 regs[4];

	cpuid(1, 0, regs);
	if (!(regs[2] & 1 << 24)) {
		report_skip("%s: no TSC deadline in CPUID", mode);
		return;
	}
	clear_seen();
	apic_write(APIC_LVT_TIMER, 0x53);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
	report(rdmsr(MSR_TSC_DEADLINE) == 0, "%s: deadline is ignored in one-shot mode", mode);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | 0x53);
	apic_write(APIC_TIMER_INIT, 1000);
	report(apic_read(APIC_TIMER_COUNT) == 0,
	       "%s: initial count is ignored in deadline mode", mode);
	deadline = rdtsc() + host.tsc_khz * 100UL;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	report(rdmsr(MSR_TSC_DEADLINE) == deadline, "%s: deadline reads back while armed", mode);
	sti();
	wait_count(&seen[0].count[0x53], 1);
	at = rdtsc();
	cli();
	report(seen[0].count[0x53] == 1 && at >= deadline,
	       "%s: deadline fires, and not before", mode);
	report(rdmsr(MSR_TSC_DEADLINE) == 0, "%s: deadline reads 0 after it fired", mode);
	wrmsr(MSR_TSC_DEADLINE, 1);
	sti();
	wait_count(&seen[0].count[0x53], 2);
	cli();
	report(seen[0].count[0x53] == 2, "%s: a deadline in the past fires at once", mode);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + host.tsc_khz * 100UL);
	wrmsr(MSR_TSC_DEADLINE, 0);
	wait_us(110000);
	let_in();
	report(seen[0].count[0x53] == 2, "%s: writing 0 disarms it", mode);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + host.tsc_khz * 100UL);
	apic_write(APIC_LVT_TIMER, 0x53);
	wait_us(110000);
	let_in();
	report(seen[0].count[0x53] == 2, "%s: leaving deadline mode disarms it", mode);
	wrmsr(MSR_TSC_DEADLINE, 0);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | 0x54);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + host.tsc_khz * 5UL);
	sti_hlt_cli();
	report(seen[0].count[0x54] == 1, "%s: deadline wakes HLT", mode);
	test_odd_deadlines();
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
}

/* ---- between CPUs ---- */

/* Idle with interrupts on and the APIC in the current mode, until told to stop. */
static void idle(void *arg)
{
	u32 id = this_cpu()->id;

	apic_enable(x2apic);
	if (!x2apic)
		apic_write(APIC_LDR, 1U << (24 + id));
	__atomic_fetch_add(&idling, 1, __ATOMIC_SEQ_CST);
	while (!stop_idling)
		sti_hlt_cli();
	sti_nop_cli();
}

static void idle_cpus(void)
{
	unsigned int i;

	idling = 0;
	stop_idling = false;
	for (i = 1; i < cpus_up; i++)
		on_cpu_start(i, idle, NULL);
	wait_count(&idling, cpus_up - 1);
}

static void wake_cpus(void)
{
	unsigned int i;

	stop_idling = true;
	apic_icr(0, APIC_OTHERS | APIC_ASSERT | STOP_VECTOR);
	for (i = 1; i < cpus_up; i++)
		on_cpu_wait(i);
}

/* Exactly the CPUs in `mask` got the vector once. */
static bool got(u8 vector, u32 mask)
{
	unsigned int i;

	for (i = 0; i < cpus_up; i++)
		if (mask >> i & 1 && !wait_count(&seen[i].count[vector], 1))
			return false;
	wait_us(1000);
	for (i = 0; i < cpus_up; i++)
		if (seen[i].count[vector] != (mask >> i & 1))
			return false;
	return true;
}

/* Destinations that name no CPU, but do if cut to fewer bits. Nothing faults, nobody gets it. */
static void test_no_such_destination(void)
{
	static const u32 physical[] = { NO_CPU, 0x40, 0x7f, 0xfe, 0x100, 0x101, 0xff00, 0x10000, 0x80000000, 0xfffffffe };
	static const u32 logical[] = { 0, 0x10000001, 0x80000003, 0x00010001, 0xffff0001 };
	u32 i;

	for (i = 0; i < sizeof(physical) / sizeof(physical[0]); i++)
		if (x2apic || physical[i] < 0xff)
			apic_icr(physical[i], APIC_ASSERT | 0x6b);
	for (i = 0; i < sizeof(logical) / sizeof(logical[0]); i++)
		if (x2apic || !logical[i])
			apic_icr(logical[i], APIC_LOGICAL | APIC_ASSERT | 0x6b);
	report(got(0x6b, 0), "%s: no destination that names no CPU reaches one", mode);
}

static void test_destinations(void)
{
	u32 all = (1U << cpus_up) - 1, total = 0, i, turn;

	clear_seen();
	sti();
	apic_icr(1, APIC_ASSERT | 0x61);
	report(got(0x61, 2), "%s: physical destination", mode);
	apic_icr(x2apic ? 0xffffffff : 0xff, APIC_ASSERT | 0x62);
	report(got(0x62, all), "%s: physical broadcast", mode);
	apic_icr(0, APIC_ALL | APIC_ASSERT | 0x63);
	report(got(0x63, all), "%s: shorthand all", mode);
	apic_icr(0, APIC_OTHERS | APIC_ASSERT | 0x64);
	report(got(0x64, all & ~1U), "%s: shorthand all but self", mode);
	apic_icr(NO_CPU, APIC_ASSERT | 0x65);
	report(got(0x65, 0), "%s: no CPU with that id: nobody gets it", mode);
	test_no_such_destination();
	apic_icr(3, APIC_LOGICAL | APIC_ASSERT | 0x66);
	report(got(0x66, 3), "%s: logical destination, two CPUs", mode);
	apic_icr(2, APIC_LOGICAL | APIC_ASSERT | 0x67);
	report(got(0x67, 2), "%s: logical destination, one CPU", mode);
	if (x2apic) {
		apic_icr(0x10000 | 3, APIC_LOGICAL | APIC_ASSERT | 0x68);
		report(got(0x68, 0), "x2apic: another cluster: nobody gets it");
	}
	apic_icr(3, APIC_LOGICAL | APIC_LOWEST | APIC_ASSERT | 0x69);
	for (turn = 0; turn < 200 && !total; turn++) {
		wait_us(5000);
		for (i = 0; i < cpus_up; i++)
			total += seen[i].count[0x69];
	}
	report(total == 1, "%s: lowest priority: exactly one CPU gets it (%u)", mode, total);
	cli();
}

/* The hypercall for several IPIs: the APIC ids base + n and base + 64 + n for bits n of low and high. */
static long send_ipis(u64 low, u64 high, u64 base, u64 icr)
{
	u64 rax = KVM_HC_SEND_IPI;

	asm volatile("vmmcall" : "+a"(rax) : "b"(low), "c"(high), "d"(base), "S"(icr) : "memory");
	return rax;
}

static bool sends(u64 low, u64 high, u64 base, u8 vector, u32 mask)
{
	long left = send_ipis(low, high, base, vector);
	unsigned int i;

	for (i = 0; i < cpus_up; i++)
		left -= mask >> i & 1;
	return !left && got(vector, mask);
}

static void test_hypercall(void)
{
	u32 all = (1U << cpus_up) - 1, regs[4], i, before;

	cpuid(0x40000001, 0, regs);
	if (!(regs[0] & PV_SEND_IPI)) {
		report_skip("%s: no KVM_HC_SEND_IPI in CPUID", mode);
		return;
	}
	clear_seen();
	sti();
	report(sends(2, 0, 0, 0x90, 2), "%s: hypercall to one CPU", mode);
	report(sends(all, 0, 0, 0x91, all), "%s: hypercall to all CPUs, itself too", mode);
	report(sends(1, 0, 1, 0x92, 2), "%s: hypercall, bits from CPU 1 on", mode);
	report(sends(~0UL, ~0UL, 0, 0x93, all), "%s: hypercall to all that could be", mode);
	report(sends(~0UL << NO_CPU, ~0UL, 0, 0x94, 0), "%s: hypercall to CPUs that are not there", mode);
	report(sends(0, ~0UL, 0, 0x95, 0), "%s: hypercall, upper half only", mode);
	report(sends(~0UL, ~0UL, 0xffffffc0, 0x96, 0), "%s: hypercall, ids at 2^32 do not wrap", mode);
	report(sends(~0UL, ~0UL, ~0UL, 0x97, 0), "%s: hypercall, ids at 2^64 do not wrap", mode);
	report(sends(0, 0, 0, 0x98, 0), "%s: hypercall to nobody", mode);
	report(send_ipis(all, 0, 0, APIC_LOGICAL | 0x99) == -KVM_EINVAL && got(0x99, 0),
	       "%s: hypercall with a logical destination is refused", mode);
	report(send_ipis(all, 0, 0, APIC_ALL | 0x9a) == -KVM_EINVAL && got(0x9a, 0),
	       "%s: hypercall with a shorthand is refused", mode);
	report(send_ipis(2, 0, 0, 5) == 0, "%s: hypercall: vector 5 is not delivered", mode);
	before = seen[1].nmis;
	report(send_ipis(2, 0, 0, APIC_NMI) == 1 && wait_count(&seen[1].nmis, before + 1),
	       "%s: hypercall sends NMIs", mode);
	/* The target is halted, or just halts. */
	for (i = 1; i <= 200; i++)
		if (send_ipis(2, 0, 0, 0x9b) != 1 || !wait_count(&seen[1].count[0x9b], i))
			break;
	report(seen[1].count[0x9b] == 200, "%s: 200 hypercalls to a halted CPU (%u)", mode, seen[1].count[0x9b]);
	cli();
}

static void set_cluster(void *arg)
{
	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR,
		   (this_cpu()->id < 1 ? 0x01U : 0x10U | 1 << (this_cpu()->id - 1)) << 24);
}

static void cluster_idle(void *arg)
{
	apic_enable(false);
	set_cluster(NULL);
	__atomic_fetch_add(&idling, 1, __ATOMIC_SEQ_CST);
	while (!stop_idling)
		sti_hlt_cli();
	sti_nop_cli();
}

static void test_xapic_cluster(void)
{
	unsigned int i;

	idling = 0;
	stop_idling = false;
	set_cluster(NULL);
	for (i = 1; i < cpus_up; i++)
		on_cpu_start(i, cluster_idle, NULL);
	wait_count(&idling, cpus_up - 1);
	clear_seen();
	sti();
	apic_icr(0x01, APIC_LOGICAL | APIC_ASSERT | 0x6a);
	report(got(0x6a, 1), "xapic: cluster 0, bit 0");
	apic_icr(0x11, APIC_LOGICAL | APIC_ASSERT | 0x6b);
	report(got(0x6b, 2), "xapic: cluster 1, bit 0");
	apic_icr(0x1f, APIC_LOGICAL | APIC_ASSERT | 0x6c);
	report(got(0x6c, (1U << cpus_up) - 2), "xapic: cluster 1, all bits");
	apic_icr(0x2f, APIC_LOGICAL | APIC_ASSERT | 0x6d);
	report(got(0x6d, 0), "xapic: cluster 2: nobody gets it");
	cli();
	wake_cpus();
	apic_write(APIC_DFR, 0xffffffff);
	for (i = 1; i < cpus_up; i++)
		on_cpu(i, idle, NULL);
	apic_write(APIC_LDR, 1U << 24);
}

static void test_nmi(void)
{
	clear_seen();
	apic_icr(1, APIC_NMI | APIC_ASSERT);
	wait_count(&seen[1].nmis, 1);
	report(seen[1].nmis == 1, "%s: NMI to another CPU", mode);
	mon_call(MON_NMI, 0, 0, 0, 0, 0);
	report(seen[0].nmis == 1, "%s: NMI from the monitor", mode);
}

/* One IPI each way, many times: none may be lost, none may come twice. */
static void test_ping_pong(void)
{
	unsigned int i;
	bool ok = true;

	clear_seen();
	for (i = 1; i <= 200 && ok; i++) {
		apic_icr(1, APIC_ASSERT | 0x71);
		ok = wait_count(&seen[1].count[0x71], i);
	}
	report(ok && seen[1].count[0x71] == 200, "%s: 200 IPIs to a halted CPU (%u)", mode,
	       seen[1].count[0x71]);
}

/* ---- INIT and SIPI ---- */

/*
 * Stored by the real-mode code below, at RESET_PAGE + 0x800.
 */
struct reset_state {
	volatile u32 runs;
	u32 cr0, edx, efer;
	u16 cs, ds, ip;
};

extern u8 reset_code[], reset_code_end[];
asm(".code16\n"
    "reset_code:\n\t"
    "movw %ds, %bx\n\t"
    "movw %cs, %ax\n\t"
    "movw %ax, %ds\n\t"
    "movl %edx, 0x808\n\t"
    "movw %ax, 0x810\n\t"
    "movw %bx, 0x812\n\t"
    "movl %cr0, %eax\n\t"
    "movl %eax, 0x804\n\t"
    "movl $0xc0000080, %ecx\n\t"
    "rdmsr\n\t"
    "movl %eax, 0x80c\n\t"
    "incl 0x800\n"
    "1:\n\t"
    "hlt\n\t"
    "jmp 1b\n"
    "reset_code_end:\n"
    ".code64\n");

static void test_init_sipi(void)
{
	struct reset_state *state = (struct reset_state *)(RESET_PAGE + 0x800);
	u32 regs[4];

	memcpy((void *)RESET_PAGE, reset_code, reset_code_end - reset_code);
	memset(state, 0, sizeof(*state));
	cpuid(1, 0, regs);
	apic_icr(1, APIC_STARTUP | RESET_PAGE >> 12);
	wait_us(5000);
	report(!state->runs, "%s: SIPI does nothing to a running CPU", mode);
	apic_icr(1, APIC_INIT | APIC_ASSERT);
	wait_us(5000);
	clear_seen();
	apic_icr(1, APIC_ASSERT | 0x72);
	wait_us(5000);
	report(!state->runs && !seen[1].count[0x72], "%s: INIT stops a CPU until SIPI", mode);
	apic_icr(1, APIC_STARTUP | RESET_PAGE >> 12);
	wait_count(&state->runs, 1);
	report(state->runs == 1 && state->cs == RESET_PAGE >> 4,
	       "%s: SIPI starts it at its page", mode);
	report((state->cr0 & ~(CR0_CD | CR0_NW)) == 0x10 && !state->ds && !(state->efer & 0x500),
	       "%s: in real mode (cr0 %x, efer %x)", mode, state->cr0, state->efer);
	apic_icr(1, APIC_STARTUP | RESET_PAGE >> 12);
	wait_us(5000);
	report(state->runs == 1, "%s: a second SIPI does nothing", mode);

	apic_icr(1, APIC_INIT | APIC_ASSERT);
	cpu_by_id(1)->online = false;
	cpu_by_id(1)->work = NULL;
	apic_icr(1, APIC_STARTUP | AP_START >> 12);
	while (!*(volatile bool *)&cpu_by_id(1)->online)
		pause();
	report(true, "%s: INIT and SIPI once more: the CPU is back", mode);
}

/* ---- from the monitor ---- */

static void test_msi(void)
{
	const u64 addr = APIC_BASE_ADDR;

	clear_seen();
	sti();
	report(mon_call(MON_MSI, addr, 0x81, 0, 0, 0) > 0, "%s: MSI accepted", mode);
	report(got(0x81, 1), "%s: MSI, physical, to this CPU", mode);
	if (cpus_up > 1) {
		mon_call(MON_MSI, addr | 1 << 12, 0x82, 0, 0, 0);
		report(got(0x82, 2), "%s: MSI, physical, to another CPU", mode);
		mon_call(MON_MSI, addr | 3 << 12 | 1 << 2, 0x83, 0, 0, 0);
		report(got(0x83, 3), "%s: MSI, logical, to two CPUs", mode);
		mon_call(MON_MSI, addr | 1 << 12, 0x400, 0, 0, 0);
		wait_count(&seen[1].nmis, 1);
		report(seen[1].nmis == 1, "%s: MSI as NMI", mode);
	}
	cli();
}

/* For what the monitor has: it needs an exit to see that the CPU can take it, and another to give it. */
static void open_window(void)
{
	sti();
	asm volatile("nop; nop");
	inb(MON_PORT_ECHO);
	inb(MON_PORT_ECHO);
	cli();
}

static void test_extint(void)
{
	u64 windows = mon_exits(7);	/* KVM_EXIT_IRQ_WINDOW_OPEN */

	clear_seen();
	apic_write(APIC_LVT_LINT0, APIC_EXTINT);
	mon_call(MON_EXTINT, 0x91, 0, 0, 0, 0);
	inb(MON_PORT_ECHO);
	report(!seen[0].count[0x91], "%s: external interrupt waits for IF", mode);
	in_handler = NULL;
	open_window();
	report(seen[0].count[0x91] == 1, "%s: external interrupt through the window", mode);
	report(mon_exits(7) == windows + 1, "%s: one exit for the interrupt window", mode);
	apic_write(APIC_TPR, 0xa0);
	mon_call(MON_EXTINT, 0x92, 0, 0, 0, 0);
	open_window();
	report(seen[0].count[0x92] == 1, "%s: external interrupt whatever the TPR", mode);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_LINT0, APIC_MASKED);
}

/* ---- */

static void run_mode(bool x2)
{
	x2apic = x2;
	mode = x2 ? "x2apic" : "xapic";
	apic_enable(x2);
	if (x2)
		test_x2apic_registers();
	else
		test_xapic_registers();
	test_common_registers();
	test_self();
	test_priority();
	test_task_priority();
	test_illegal_vector();
	test_one_shot();
	test_divider();
	test_periodic();
	test_deadline();
	test_extint();
	if (cpus_up < 2) {
		test_msi();
		report_skip("%s: interrupts between CPUs: only one CPU", mode);
		return;
	}
	if (!x2)
		apic_write(APIC_LDR, 1U << 24);
	idle_cpus();
	test_illegal_vectors();
	test_odd_delivery();
	test_destinations();
	test_hypercall();
	test_msi();
	test_nmi();
	test_ping_pong();
	wake_cpus();
	if (!x2)
		test_xapic_cluster();
	test_init_sipi();
}

int payload_main(void)
{
	unsigned int i;

	mon_info(&host);
	set_handler(EXC_NMI, on_nmi);
	for (i = FIRST_VECTOR; i < 256; i++)
		if (i != VECTOR_USER_RETURN)
			set_handler(i, on_irq);
	test_reset_state();
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
	test_modes();
	cpus_up = start_cpus();
	report(cpus_up == host.vcpus, "%u CPUs started by INIT and SIPI", cpus_up);
	run_mode(false);
	run_mode(true);
	return 0;
}
