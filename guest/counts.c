// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: so many exits of each kind and not one more, for who counts them. Every one is followed by another entry. Two runs
 * with different numbers differ by exactly these; what else a run does (start-up, output, its end) is the same in both.
 *
 * Arguments, each with a number (default 1000): --cpuid; --msr-read (the x2APIC TPR); --msr-write (the TSC deadline, too far to
 * fire); --icr (fixed IPIs to itself, each taken before the next is sent); --out and --in (MON_PORT_ECHO); --mmio and --mmio-read
 * (the first and the second page of the MMIO window); --vmmcall (an unknown number); --hlt (woken by a periodic timer).
 */
#include "apic.h"
#include "lib.h"

#define DEFAULT_COUNT	1000
#define IPI_VECTOR	0x50
#define TIMER_VECTOR	0x51
#define TIMER_PERIOD	500000		/* of the APIC's clock, 1 GHz here */
#define FAR_FUTURE	(1UL << 60)
#define HYPERCALL	0x7fff
#define PAGE		0x1000

static volatile u64 ipis;

static void eoi(void)
{
	wrmsr(X2APIC_MSR(APIC_EOI), 0);
}

static void take_ipi(struct frame *frame)
{
	ipis++;
	eoi();
}

static void take_timer(struct frame *frame)
{
	eoi();
}

static void once_cpuid(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
}

static void once_msr_read(void)
{
	rdmsr(X2APIC_MSR(APIC_TPR));
}

static void once_msr_write(void)
{
	wrmsr(MSR_TSC_DEADLINE, FAR_FUTURE);
}

static void once_icr(void)
{
	u64 before = ipis;

	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | IPI_VECTOR);
	while (ipis == before)
		sti_nop_cli();
}

static void once_out(void)
{
	outb(MON_PORT_ECHO, 0);
}

static void once_in(void)
{
	inb(MON_PORT_ECHO);
}

static void once_mmio(void)
{
	*(volatile u32 *)MON_MMIO_BASE = 0;
}

static void once_mmio_read(void)
{
	*(volatile u32 *)(MON_MMIO_BASE + PAGE);
}

static void once_vmmcall(void)
{
	u64 rax = HYPERCALL;

	asm volatile("vmmcall" : "+a"(rax) : : "memory");
}

static const struct {
	const char *argument;
	void (*once)(void);
} kinds[] = {
	{ "--cpuid", once_cpuid }, { "--msr-read", once_msr_read }, { "--msr-write", once_msr_write }, { "--icr", once_icr },
	{ "--out", once_out }, { "--in", once_in }, { "--mmio", once_mmio }, { "--mmio-read", once_mmio_read },
	{ "--vmmcall", once_vmmcall },
};

/* Each HLT counts, so none is skipped: the next tick wakes from one that the last tick came too early for. */
static void halt(u64 times)
{
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | TIMER_VECTOR);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER_INIT, TIMER_PERIOD);
	while (times--)
		asm volatile("sti; hlt; cli" : : : "memory");
	apic_write(APIC_TIMER_INIT, 0);
	sti_nop_cli();
}

int payload_main(void)
{
	unsigned int i;
	u64 n;

	apic_enable(true);
	set_handler(IPI_VECTOR, take_ipi);
	set_handler(TIMER_VECTOR, take_timer);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | TIMER_VECTOR);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (n = arg_number(kinds[i].argument, DEFAULT_COUNT); n; n--)
			kinds[i].once();
	halt(arg_number("--hlt", DEFAULT_COUNT));
	printf("done\n");
	return 0;
}
