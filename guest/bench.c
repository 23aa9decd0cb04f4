// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: what an exit costs. Each operation is timed alone with RDTSC, many
 * times; the cost of an empty RDTSC pair is taken off. In the lab's -icount
 * machine the TSC counts executed instructions, so the figures are instructions
 * from the guest's exiting instruction to its next one, and repeat exactly.
 *
 * Arguments: -n N (samples, default 1000), --json.
 */
#include "apic.h"
#include "lib.h"

#define MAX_SAMPLES	20000
#define IPI_VECTOR	0x50
#define FAR_FUTURE	(1UL << 60)

struct bench {
	const char *name, *what;
	void (*setup)(void);
	void (*once)(void);
	void (*drain)(void);	/* after each sample, not timed; may be NULL */
};

static u32 samples[MAX_SAMPLES];
volatile u64 ipi_count;
void ipi_entry(void);

/* The shortest handler: count, EOI, return. */
asm(".globl ipi_entry\n"
    "ipi_entry:\n\t"
    "pushq %rax\n\tpushq %rcx\n\tpushq %rdx\n\t"
    "movl $0x80b, %ecx\n\t"		/* x2APIC EOI */
    "xorl %eax, %eax\n\txorl %edx, %edx\n\t"
    "wrmsr\n\t"
    "incq ipi_count\n\t"
    "popq %rdx\n\tpopq %rcx\n\tpopq %rax\n\t"
    "iretq\n");

static void no_setup(void)
{
}

static void once_empty(void)
{
}

static void once_cpuid(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
}

static void once_vmmcall(void)
{
	u64 rax = 0x7fff;

	asm volatile("vmmcall" : "+a"(rax) : : "memory");
}

static void once_rdmsr(void)
{
	rdmsr(X2APIC_MSR(APIC_TPR));
}

static void once_tpr(void)
{
	wrmsr(X2APIC_MSR(APIC_TPR), 0);
}

static void once_icr(void)
{
	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | IPI_VECTOR);
}

static void once_deadline(void)
{
	wrmsr(MSR_TSC_DEADLINE, FAR_FUTURE);
}

static void once_out(void)
{
	outb(MON_PORT_ECHO, 0);
}

/* The window is open throughout: the interrupt comes with the ICR write. */
static void once_self_ipi(void)
{
	u64 before = ipi_count;

	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | IPI_VECTOR);
	while (ipi_count == before)
		pause();
}

static void setup_deadline(void)
{
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | IPI_VECTOR);
}

static void setup_self_ipi(void)
{
	sti();
}

static const struct bench benches[] = {
	{ "cpuid", "CPUID", no_setup, once_cpuid, NULL },
	{ "vmmcall", "VMMCALL, unknown number", no_setup, once_vmmcall, NULL },
	{ "rdmsr_tpr", "RDMSR of the x2APIC TPR", no_setup, once_rdmsr, NULL },
	{ "wrmsr_tpr", "WRMSR of the x2APIC TPR", no_setup, once_tpr, NULL },
	{ "wrmsr_icr_self", "WRMSR of the x2APIC ICR: self-IPI, interrupts off", no_setup,
	  once_icr, sti_nop_cli },
	{ "wrmsr_deadline", "WRMSR of the TSC deadline", setup_deadline, once_deadline, NULL },
	{ "out_user", "OUT to user space and back", no_setup, once_out, NULL },
	{ "self_ipi", "self-IPI to its handler, EOI and back", setup_self_ipi, once_self_ipi,
	  NULL },
};

static void sort(u32 *v, unsigned int n)
{
	unsigned int gap, i, j;
	u32 x;

	for (gap = n / 2; gap; gap /= 2)
		for (i = gap; i < n; i++) {
			x = v[i];
			for (j = i; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
}

/* Fill samples[] and sort it. The call through once() costs the same every time. */
static void measure(void (*once)(void), void (*drain)(void), unsigned int n)
{
	unsigned int i;
	u64 start;

	for (i = 0; i < n; i++) {
		start = rdtsc();
		once();
		samples[i] = rdtsc() - start;
		if (drain)
			drain();
	}
	sort(samples, n);
}

static void print_result(const struct bench *b, u32 min, u32 median, u32 p99, bool json, bool first)
{
	if (json)
		printf("%s\n  {\"name\": \"%s\", \"min\": %u, \"median\": %u, \"p99\": %u}",
		       first ? "" : ",", b->name, min, median, p99);
	else
		printf("%8u %8u %8u  %s\n", min, median, p99, b->what);
}

static u32 less(u32 value, u32 base)
{
	return value > base ? value - base : 0;
}

int payload_main(void)
{
	u64 n = arg_number("-n", 1000);
	bool json = has_arg("--json");
	struct mon_info info;
	unsigned int i;
	u32 base;

	if (!n || n > MAX_SAMPLES) {
		printf("bench: -n must be 1 to %u\n", MAX_SAMPLES);
		return 2;
	}
	mon_info(&info);
	apic_enable(true);
	set_gate(IPI_VECTOR, (u64)ipi_entry, 0);
	measure(once_empty, NULL, n);
	base = samples[0];
	if (json)
		printf("{\"samples\": %lu, \"tsc_khz\": %u, \"nrips\": %u, \"empty\": %u, "
		       "\"results\": [", n, info.tsc_khz, info.nrips, base);
	else
		printf("     min   median      p99  TSC ticks for\n");
	for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		benches[i].setup();
		measure(benches[i].once, benches[i].drain, n);
		cli();
		print_result(&benches[i], less(samples[0], base), less(samples[n / 2], base),
			     less(samples[n - 1 - n / 100], base), json, !i);
	}
	printf(json ? "\n]}\n" : "");
	return 0;
}
