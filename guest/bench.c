// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: what an exit costs. One operation (bench_operations.h) is timed alone with RDTSC, many times, and the samples are given to
 * who runs us, with the cost of an empty RDTSC pair, which is to be taken off. In the lab's -icount machine the TSC counts
 * executed instructions, so the figures are instructions from the guest's exiting instruction to its next one, and repeat
 * exactly.
 *
 * This file owns the timing, and the operations that take one vCPU and no memory of their own.
 *
 * Arguments: the operation's name, -n N (samples, default 1000).
 */
#include "apic.h"
#include "measure.h"

#define DEADLINE_VECTOR	0x52
#define FAR_FUTURE	(1UL << 60)
#define UNKNOWN_CALL	0x7fff
#define MSR_MISC_ENABLE	0x1a0
#define WARM_UP		100		/* not kept: Exeunt's accounting makes room for a kind of exit at its 59th */
#define EXPIRY_US	100
#define SLEEP_US	1000		/* longer than a host polls before it sleeps */
#define EVENTFD_PORT	0x520
#define EVENTFD_MMIO	(MON_MMIO_BASE + 0x8000)
#define CPUID_1_ECX_DEADLINE	(1U << 24)
#define CPUID_KVM		0x40000000
#define KVM_HC_SEND_IPI		10
#define KVM_FEATURE_PV_SEND_IPI	(1U << 11)

static u64 samples[MON_MAX_SAMPLES];
const struct operation *operation;
u64 rounds;
const char *remark;
struct stamp stamps[MON_MAX_VCPUS] __attribute__((aligned(64)));
static struct mon_info info;
volatile u64 ipi_count;
void ipi_entry(void);

_Static_assert(sizeof(struct stamp) == 64, "stamp_entry()");
_Static_assert(offsetof(struct cpu, id) == 24, "stamp_entry()");

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

/* The time first, into this CPU's stamp; EOI; past the HLT of sti_hlt_cli(), which the interrupt may have come before. */
asm(".globl stamp_entry\n"
    "stamp_entry:\n\t"
    "pushq %rax\n\tpushq %rcx\n\tpushq %rdx\n\t"
    "rdtsc\n\t"
    "shlq $32, %rdx\n\torq %rdx, %rax\n\t"
    "movl %gs:24, %ecx\n\tshll $6, %ecx\n\t"
    "movq %rax, stamps(%rcx)\n\t"
    "movl $0x80b, %ecx\n\t"
    "xorl %eax, %eax\n\txorl %edx, %edx\n\t"
    "wrmsr\n\t"
    "cmpq $halt_insn, 24(%rsp)\n\tjne 1f\n\t"
    "incq 24(%rsp)\n"
    "1:\tpopq %rdx\n\tpopq %rcx\n\tpopq %rax\n\t"
    "iretq\n");

/*
 * The call through once() costs the same every time, so nothing of it may be inlined. bench/counts.py knows this function, and those
 * below that are noipa as well, by their names.
 */
__attribute__((noipa)) u64 time_once(void (*once)(void), u64 *began)
{
	u64 start = rdtsc(), end;

	once();
	end = rdtsc();
	*began = start;
	return end - start;
}

/* --- What operations need --- */

static void deliver(unsigned int n, u64 empty, enum mon_outcome outcome, const char *words)
{
	if (mon_call(MON_SAMPLES, (u64)samples, n, empty, outcome, (u64)words))
		printf("FAIL the samples were not taken\n");
}

void skip(const char *reason)
{
	deliver(0, 0, MON_SKIPPED, reason);
	mon_exit(0);
}

void fail(const char *reason)
{
	deliver(0, 0, MON_FAILED, reason);
	mon_exit(1);
}

u64 ticks(u64 us)
{
	return us * info.tsc_khz / 1000;
}

void need_deadline(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	if (!(regs[2] & CPUID_1_ECX_DEADLINE) || !info.tsc_khz)
		skip("the TSC deadline timer is not offered");
}

void need_pv_ipi(void)
{
	u32 regs[4];

	cpuid(CPUID_KVM, 0, regs);
	if (!memcmp(&regs[1], "KVMKVMKVM\0\0", 12)) {
		cpuid(CPUID_KVM + 1, 0, regs);
		if (regs[0] & KVM_FEATURE_PV_SEND_IPI)
			return;
	}
	skip("PV IPI is not offered");
}

void pv_ipi(u64 bits, u64 first)
{
	u64 rax = KVM_HC_SEND_IPI;

	asm volatile("vmmcall" : "+a"(rax) : "b"(bits), "c"(0UL), "d"(first), "S"((u64)STAMP_VECTOR) : "memory");
}

/* --- Instructions and MSRs --- */

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
	u64 rax = UNKNOWN_CALL;

	asm volatile("vmmcall" : "+a"(rax) : : "memory");
}

static void once_rdpmc(void)
{
	asm volatile(TRY("rdpmc") : : "c"(0) : "rax", "rdx", "memory");
}

static void finish_rdpmc(void)
{
	if (trapped() == EXC_GP)
		remark = "#GP, and the handler of that";
	else if (trapped() != NO_EXC)
		fail("RDPMC ended in another exception than #GP");
}

static void once_cr8(void)
{
	asm volatile("movq %0, %%cr8" : : "r"(0UL) : "memory");
}

static void once_rdmsr(void)
{
	rdmsr(X2APIC_MSR(APIC_TPR));
}

static void once_misc_enable(void)
{
	rdmsr(MSR_MISC_ENABLE);
}

static void once_tpr(void)
{
	wrmsr(X2APIC_MSR(APIC_TPR), 0);
}

static void once_icr(void)
{
	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | IPI_VECTOR);
}

static void setup_deadline(void)
{
	need_deadline();
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | IPI_VECTOR);
}

static void once_deadline(void)
{
	wrmsr(MSR_TSC_DEADLINE, FAR_FUTURE);
}

static u64 pat;

static void setup_pat(void)
{
	pat = rdmsr(MSR_PAT);
}

static void once_pat(void)
{
	wrmsr(MSR_PAT, pat);
}

static volatile u64 eoi_ticks;

static void once_eoi(void)
{
	wrmsr(X2APIC_MSR(APIC_EOI), 0);
}

static void take_and_time_eoi(struct frame *frame)
{
	u64 began;

	eoi_ticks = time_once(once_eoi, &began);
}

static void setup_eoi(void)
{
	set_gate(IPI_VECTOR, 0, 0);
	set_handler(IPI_VECTOR, take_and_time_eoi);
}

static u64 sample_eoi(void)
{
	once_icr();
	sti_nop_cli();
	return eoi_ticks;
}

/* --- Ports and MMIO --- */

static void once_out(void)
{
	outb(MON_PORT_ECHO, 0);
}

static void once_in(void)
{
	inb(MON_PORT_ECHO);
}

static void setup_out_eventfd(void)
{
	if (mon_call(MON_EVENTFD, EVENTFD_PORT, 1, 1, 0, 0))
		fail("KVM_IOEVENTFD of a port failed");
}

static void once_out_eventfd(void)
{
	outb(EVENTFD_PORT, 0);
}

static void check_signals(long signals)
{
	if (signals != (long)rounds)
		fail("the eventfd was not signalled once for each write");
}

static void finish_out_eventfd(void)
{
	check_signals(mon_call(MON_EVENTFD_END, EVENTFD_PORT, 1, 1, 0, 0));
}

static void once_mmio_write(void)
{
	*(volatile u32 *)MON_MMIO_BASE = 0;
}

static void once_mmio_read(void)
{
	*(volatile u32 *)MON_MMIO_BASE;
}

static void setup_mmio_eventfd(void)
{
	if (mon_call(MON_EVENTFD, EVENTFD_MMIO, 4, 0, 0, 0))
		fail("KVM_IOEVENTFD of MMIO failed");
}

static void once_mmio_eventfd(void)
{
	*(volatile u32 *)EVENTFD_MMIO = 0;
}

static void finish_mmio_eventfd(void)
{
	check_signals(mon_call(MON_EVENTFD_END, EVENTFD_MMIO, 4, 0, 0, 0));
}

static void once_xapic_tpr(void)
{
	*(volatile u32 *)(APIC_BASE_ADDR + APIC_TPR);
}

/* --- Interrupts, timer, HLT --- */

static void setup_interrupts_on(void)
{
	sti();
}

/* The window is open throughout: the interrupt comes with the ICR write. */
static void once_self_ipi(void)
{
	u64 before = ipi_count;

	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | IPI_VECTOR);
	while (ipi_count == before)
		pause();
}

static void once_pv_ipi(void)
{
	pv_ipi(1, 0);
}

static void setup_timer(void)
{
	need_deadline();
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | STAMP_VECTOR);
}

static void setup_spinning(void)
{
	setup_timer();
	sti();
}

static void once_past(void)
{
	wrmsr(MSR_TSC_DEADLINE, 1);
}

static u64 sample_past(void)
{
	u64 began;

	stamps[0].tsc = 0;
	time_once(once_past, &began);
	while (!stamps[0].tsc)
		pause();
	return stamps[0].tsc - began;
}

static u64 late(u64 deadline)
{
	return stamps[0].tsc > deadline ? stamps[0].tsc - deadline : 0;
}

/* From here on the guest waits for the timer. */
__attribute__((noipa)) void wait_begin(void)
{
	asm volatile("" : : : "memory");
}

/* No PAUSE: its exits would be in the way. */
static u64 sample_expiry(void)
{
	u64 deadline;

	stamps[0].tsc = 0;
	deadline = rdtsc() + ticks(EXPIRY_US);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	wait_begin();
	while (!stamps[0].tsc)
		;
	return late(deadline);
}

static u64 sample_hlt_timer(void)
{
	u64 deadline;

	stamps[0].tsc = 0;
	deadline = rdtsc() + ticks(SLEEP_US);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	wait_begin();
	while (!stamps[0].tsc)
		sti_hlt_cli();
	return late(deadline);
}

static u64 sample_hlt_pending(void)
{
	u64 began;

	wrmsr(X2APIC_MSR(APIC_ICR), APIC_SELF | STAMP_VECTOR);
	return time_once(sti_hlt_cli, &began);
}

const struct operation plain_operations[NR_BENCHES] = {
	[BENCH_cpuid] = { .once = once_cpuid },
	[BENCH_vmmcall] = { .once = once_vmmcall },
	[BENCH_rdpmc] = { .once = once_rdpmc, .finish = finish_rdpmc },
	[BENCH_mov_cr8] = { .once = once_cr8 },
	[BENCH_rdmsr_tpr] = { .once = once_rdmsr },
	[BENCH_rdmsr_misc_enable] = { .once = once_misc_enable },
	[BENCH_wrmsr_tpr] = { .once = once_tpr },
	[BENCH_wrmsr_eoi] = { .setup = setup_eoi, .sample = sample_eoi },
	[BENCH_wrmsr_icr_self] = { .once = once_icr, .drain = sti_nop_cli },
	[BENCH_wrmsr_deadline] = { .setup = setup_deadline, .once = once_deadline },
	[BENCH_wrmsr_pat] = { .setup = setup_pat, .once = once_pat },
	[BENCH_out_user] = { .once = once_out },
	[BENCH_in_user] = { .once = once_in },
	[BENCH_out_eventfd] = { .setup = setup_out_eventfd, .once = once_out_eventfd, .finish = finish_out_eventfd },
	[BENCH_mmio_write_user] = { .once = once_mmio_write },
	[BENCH_mmio_read_user] = { .once = once_mmio_read },
	[BENCH_mmio_write_eventfd] = { .setup = setup_mmio_eventfd, .once = once_mmio_eventfd,
				       .finish = finish_mmio_eventfd },
	[BENCH_mmio_read_apic] = { .once = once_xapic_tpr, .xapic = true },
	[BENCH_self_ipi] = { .setup = setup_interrupts_on, .once = once_self_ipi },
	[BENCH_pv_ipi_self] = { .setup = need_pv_ipi, .once = once_pv_ipi, .drain = sti_nop_cli },
	[BENCH_deadline_past] = { .setup = setup_spinning, .sample = sample_past },
	[BENCH_deadline_expiry] = { .setup = setup_spinning, .sample = sample_expiry, .whole = true },
	[BENCH_hlt_timer] = { .setup = setup_timer, .sample = sample_hlt_timer, .whole = true },
	[BENCH_hlt_pending] = { .sample = sample_hlt_pending },
};

/* --- Timing --- */

static u64 least_empty(unsigned int n)
{
	u64 least = ~0UL, time, began;

	while (n--) {
		time = time_once(once_empty, &began);
		if (time < least)
			least = time;
	}
	return least;
}

/* From here on samples are kept. */
__attribute__((noipa)) void keep_samples(void)
{
	asm volatile("" : : : "memory");
}

static void measure(unsigned int n)
{
	unsigned int warm_up = operation->warm_up ? operation->warm_up : WARM_UP, i;
	u64 time, began;

	for (i = 0; i < warm_up + n; i++) {
		if (i == warm_up)
			keep_samples();
		rounds++;
		time = operation->sample ? operation->sample() : time_once(operation->once, &began);
		if (operation->drain)
			operation->drain();
		if (i >= warm_up)
			samples[i - warm_up] = time;
	}
}

static const struct operation *find_operation(void)
{
#define BENCH_NAME(group, name, vcpus, together, what)	#name,
	static const char *const names[NR_BENCHES] = { BENCH_OPERATIONS(BENCH_NAME) };
	static const struct operation *const tables[] = { plain_operations, ipi_operations, memory_operations };
	unsigned int i, t;

	for (i = 0; i < NR_BENCHES; i++)
		for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
			if (has_arg(names[i]) && (tables[t][i].once || tables[t][i].sample))
				return &tables[t][i];
	return NULL;
}

int payload_main(void)
{
	u64 n = arg_number("-n", 1000), empty;

	operation = find_operation();
	if (!operation || !n || n > MON_MAX_SAMPLES) {
		printf("FAIL bench: needs an operation's name; -n is 1 to %u\n", MON_MAX_SAMPLES);
		return 2;
	}
	mon_info(&info);
	apic_enable(!operation->xapic);
	set_gate(IPI_VECTOR, (u64)ipi_entry, 0);
	set_gate(STAMP_VECTOR, (u64)stamp_entry, 0);
	empty = operation->whole ? 0 : least_empty(n);
	if (operation->setup)
		operation->setup();
	measure(n);
	cli();
	if (operation->finish)
		operation->finish();
	deliver(n, empty, MON_MEASURED, remark);
	return 0;
}
