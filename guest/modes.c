// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: processor modes, exceptions and interrupts around exits. The tour
 * through all modes; every exception with its error code; single-stepping and
 * interrupt shadows across exiting instructions; NMI; triple faults; and events
 * whose delivery itself faults in the nested page tables.
 */
#include "apic.h"
#include "lib.h"
#include "tour.h"

#include <linux/kvm.h>

#define KVM_ENOSYS	1000
#define REPEAT		50
#define IRQ_VECTOR	0x60
#define TIMER_NS	2000000	/* long enough for HLT to be reached before, even on TCG */
#define SOFT_VECTOR	0x61
#define TEST_PAGE	0x3000000UL	/* mapped on its own, for page faults */
#define TEST_TABLE	0x3200000UL	/* the page table that maps it */
#define PTE_P		1UL
#define PTE_W		2UL
#define PTE_U		4UL
#define PTE_RESERVED	(1UL << 51)
#define PTE_NX		(1UL << 63)
#define DR6_BS		(1UL << 14)
#define DR7_OFF		0x400UL
#define DR7_GLOBAL_0	0x402UL
#define DR7_WRITE_4_0	(0xdUL << 16)
#define PAGE		4096UL

extern u64 boot_pd[];

static volatile unsigned int hits;
static volatile u64 hit_rip, hit_dr6, hit_error;

/* ---- the tour ---- */

static void check_stop(const char *name, unsigned int n, u32 elements, u32 esi, u32 vector,
		       u32 error, u32 cr2)
{
	const struct tour_stop *s = &tour_stops[n];
	unsigned int i;
	bool ok = true;

	report(s->cpuid == MON_CPUID_EAX(0), "%s: CPUID", name);
	report(s->in == TOUR_ECHO + n, "%s: OUT and IN", name);
	report(s->vmmcall == (u32)-KVM_ENOSYS, "%s: VMMCALL", name);
	report(s->outs_esi == TOUR_STRING && !s->outs_ecx, "%s: REP OUTSB", name);
	for (i = 0; i < TOUR_STRING; i++)
		ok &= s->data[i] == n * TOUR_STRING + i;
	report(ok && s->ins_edi == TOUR_STRING, "%s: REP INSB", name);
	report(s->vector == vector && s->error == error && (vector != EXC_PF || s->cr2 == cr2),
	       "%s: a string instruction faults half-way (vector %u, error %x)", name, s->vector,
	       s->error);
	report(s->fault_ecx == TOUR_FAULTING - elements && s->fault_esi == esi,
	       "%s: its registers tell how far it came (%u left, at %x)", name, s->fault_ecx,
	       s->fault_esi);
}

static void test_tour(void)
{
	static u8 log[512];
	u64 *hole = &boot_pd[TOUR_HOLE >> 21], old = *hole;
	unsigned int stop;
	bool ok = true;
	long n;

	*hole = 0;
	invlpg((void *)TOUR_HOLE);
	mon_call(MON_STREAM_LOG, 0, 0, 0, 0, 0);
	tour();
	*hole = old;
	n = mon_call(MON_STREAM_LOG, (u64)log, sizeof(log), 0, 0, 0);

	check_stop("compat", TOUR_COMPAT, 8, TOUR_HOLE, EXC_PF, 0, TOUR_HOLE);
	check_stop("protected", TOUR_PROTECTED, 8, 0x1000, EXC_GP, 0, 0);
	check_stop("pae", TOUR_PAE, 8, TOUR_HOLE, EXC_PF, 0, TOUR_HOLE);
	check_stop("32-bit paging", TOUR_PAGED32, 8, TOUR_HOLE, EXC_PF, 0, TOUR_HOLE);
	check_stop("real", TOUR_REAL, 7, 0xffff, EXC_GP, -1, 0);
	report(tour_stops[TOUR_REAL].extra[0] == (u32)MON_MAGIC,
	       "real: a segment keeps the limit that protected mode gave it");
	report(tour_stops[TOUR_REAL].extra[1] == 1, "real: INT n goes through the vector table");
	/* Four stops send 8 and 8 bytes, the last 8 and 7 words, of which the port keeps bytes. */
	for (stop = 0; stop < TOUR_STOPS; stop++)
		ok &= !memcmp(log + stop * 2 * TOUR_STRING, tour_text, TOUR_STRING);
	report(ok && n == 4 * 16 + 8 + 7, "the monitor got every string (%ld bytes)", n);
}

/* ---- exceptions ---- */

static u64 *test_pte(u64 flags)
{
	u64 *table = (u64 *)TEST_TABLE;
	unsigned int i;

	for (i = 0; i < 512; i++)
		table[i] = (TEST_PAGE + i * PAGE) | 7;
	table[1] = (TEST_PAGE + PAGE) | flags;
	boot_pd[TEST_PAGE >> 21] = TEST_TABLE | 7;
	try_write_cr3(read_cr3());
	return table;
}

/* TCG forgets the P bit when it reports a reserved one. */
static void expect_pf(const char *what, u64 pte, bool write, u64 error)
{
	volatile u8 *p = (u8 *)TEST_PAGE + PAGE + 0x123;
	struct cpu *cpu = this_cpu();

	test_pte(pte);
	if (write)
		asm volatile(TRY("movb $1, %0") : : "m"(*p) : "memory");
	else
		asm volatile(TRY("movb %0, %%al") : : "m"(*p) : "rax", "memory");
	(pte & PTE_RESERVED ? report_cpu : report)(
		trapped() == EXC_PF && cpu->trap_error == error && cpu->trap_cr2 == (u64)p,
		"#PF: %s: error %lx and CR2 (%d, %lx, %lx)", what, error, trapped(),
		cpu->trap_error, cpu->trap_cr2);
}

static u64 user_read(u64 addr)
{
	return *(volatile u8 *)addr;
}

static u64 user_jump(u64 addr)
{
	((void (*)(void))addr)();
	return 0;
}

static void test_page_faults(void)
{
	struct cpu *cpu = this_cpu();
	u64 value;
	int vector;

	expect_pf("read, not present", 0, false, 0);
	expect_pf("write, not present", 0, true, 2);
	expect_pf("write, read-only", PTE_P | PTE_U, true, 3);
	expect_pf("reserved bit", PTE_P | PTE_W | PTE_RESERVED, false, 9);
	test_pte(PTE_P | PTE_W);
	vector = in_user(user_read, TEST_PAGE + PAGE, &value);
	report(vector == EXC_PF && cpu->trap_error == 5,
	       "#PF: ring 3 reads a ring 0 page: error 5");
	test_pte(0);
	vector = in_user(user_read, TEST_PAGE + PAGE, &value);
	report(vector == EXC_PF && cpu->trap_error == 4, "#PF: ring 3, not present: error 4");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	test_pte(PTE_P | PTE_W | PTE_U | PTE_NX);
	vector = in_user(user_jump, TEST_PAGE + PAGE, &value);
	report(vector == EXC_PF && cpu->trap_error == 0x15 && cpu->trap_rip == TEST_PAGE + PAGE,
	       "#PF: ring 3 executes an NX page: error 15 (%d, %lx)", vector, cpu->trap_error);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	test_pte(7);
}

u64 user_int(u64 arg);
u64 user_int3(u64 arg);
u64 user_ud2(u64 arg);
asm("user_int:\tint $0x61\n\tret\n"
    "user_int3:\tint3\n\tret\n"
    "user_ud2:\tud2\n\tret\n");

static void test_exceptions(void)
{
	struct cpu *cpu = this_cpu();
	u64 value;
	int vector;

	asm volatile(TRY("divl %0") : : "r"(0), "a"(1), "d"(0) : "memory");
	report(trapped() == EXC_DE, "#DE");
	asm volatile(TRY("ud2") : : : "memory");
	report(trapped() == EXC_UD, "#UD");
	asm volatile(TRY("int3") : : : "memory");
	report(trapped() == EXC_BP, "#BP by INT3");
	asm volatile(TRY("movw %0, %%ds") : : "r"((u16)0x1f8) : "memory");
	report(trapped() == EXC_GP && cpu->trap_error == 0x1f8, "#GP with a selector");
	asm volatile(TRY("movb (%0), %%al") : : "r"(1UL << 63) : "rax", "memory");
	report(trapped() == EXC_GP && !cpu->trap_error, "#GP for an address not canonical");
	asm volatile(TRY("int $0x1f") : : : "memory");
	report(trapped() == 0x1f, "INT n");
	vector = in_user(user_int, 0, &value);
	/* TCG takes the vector 16 times. */
	report_cpu(vector == EXC_GP && cpu->trap_error == SOFT_VECTOR * 8 + 2,
	       "INT n in ring 3 to a ring 0 gate: #GP with its vector (%d, %lx)", vector,
	       cpu->trap_error);
	vector = in_user(user_int3, 0, &value);
	report(vector == EXC_BP && cpu->trap_rip == (u64)user_int3 + 1, "INT3 in ring 3");
	test_page_faults();
}

/* ---- single step, breakpoints ---- */

static u64 read_dr6(void)
{
	u64 value;

	asm volatile("movq %%dr6, %0" : "=r"(value));
	return value;
}

static void write_dr6(u64 value)
{
	asm volatile("movq %0, %%dr6" : : "r"(value));
}

static void on_debug(struct frame *frame)
{
	hits++;
	hit_rip = frame->rip;
	hit_dr6 = read_dr6();
	write_dr6(0xffff0ff0);
	frame->rflags &= ~RFLAGS_TF;
	frame->rflags |= 1UL << 16;	/* RF: go on past an instruction breakpoint */
}

/* TF set just before one instruction: one #DB, right after it. */
#define STEP_OVER(name, text, ...) do {						\
	u64 after, rax = 0, rcx = 0, rdx = 0;					\
	hits = 0;								\
	write_dr6(0xffff0ff0);							\
	asm volatile("leaq 1f(%%rip), %0\n\t"					\
		     "pushfq\n\torq $0x100, (%%rsp)\n\t" __VA_ARGS__ "popfq\n\t"	\
		     text "\n1:\tnop\n\tnop"					\
		     : "=&r"(after), "+a"(rax), "+c"(rcx), "+d"(rdx) : : "rbx", "memory");	\
	report(hits == 1 && hit_rip == after && hit_dr6 & DR6_BS,		\
	       "single step over %s (%u, %ld)", name, hits, (long)(hit_rip - after));	\
} while (0)

static void test_single_step(void)
{
	set_handler(EXC_DB, on_debug);
	STEP_OVER("NOP", "nop");
	STEP_OVER("CPUID", "cpuid");
	STEP_OVER("VMMCALL", "vmmcall", "movl $0x7fff, %%eax\n\t");
	STEP_OVER("RDMSR", "rdmsr", "movl $0x277, %%ecx\n\t");
	STEP_OVER("OUT", "outb %%al, %%dx", "movl $0x500, %%edx\n\t");
	STEP_OVER("IN", "inb %%dx, %%al", "movl $0x500, %%edx\n\t");
	STEP_OVER("WBINVD", "wbinvd");
	STEP_OVER("MOV SS and CPUID, as one", "movl %%ecx, %%ss\n\tcpuid", "movl %%ss, %%ecx\n\t");
	STEP_OVER("MOV from CR0", "movq %%cr0, %%rax");
	STEP_OVER("MOV to CR8", "movq %%rax, %%cr8");
	STEP_OVER("an MMIO read", "movl (%%rdx), %%eax", "movl $0xd0000000, %%edx\n\t");
	STEP_OVER("an MMIO write", "movl %%eax, (%%rdx)", "movl $0xd0000000, %%edx\n\t");
	set_handler(EXC_DB, NULL);
}

static void test_breakpoints(void)
{
	static volatile u32 watched;
	unsigned int left;
	u64 target = 0, rax;

	set_handler(EXC_DB, on_debug);
	for (left = tries(), hits = 0; left && !hits; left--) {
		rax = 0;
		write_dr6(0xffff0ff0);
		asm volatile("movq %0, %%dr7" : : "r"(DR7_OFF));
		asm volatile("leaq 1f(%%rip), %0\n\t"
			     "movq %0, %%dr0\n\t"
			     "movq %2, %%dr7\n\t"
			     "nop\n1:\tcpuid\n\t"
			     : "=&r"(target), "+a"(rax) : "r"(DR7_GLOBAL_0)
			     : "rbx", "rcx", "rdx", "memory");
	}
	report(hits == 1 && hit_rip == target && hit_dr6 & 1,
	       "breakpoint on CPUID: once, before it (%u)", hits);
	for (left = tries(), hits = 0; left && !hits; left--) {
		asm volatile("movq %0, %%dr7" : : "r"(DR7_OFF));
		asm volatile("movq %0, %%dr0" : : "r"(&watched));
		asm volatile("movq %0, %%dr7" : : "r"(DR7_GLOBAL_0 | DR7_WRITE_4_0));
		watched = 1;
	}
	report(hits == 1 && hit_dr6 & 1, "watchpoint on a write (%u)", hits);
	asm volatile("movq %0, %%dr7" : : "r"(DR7_OFF));
	watched = 2;
	report(hits <= 1, "no hit when it is off (%u)", hits);
	set_handler(EXC_DB, NULL);
}

/* ---- interrupt shadows ---- */

static void on_irq(struct frame *frame)
{
	hits++;
	hit_rip = frame->rip;
	apic_eoi();
}

/* A pending interrupt comes right after the instruction that follows STI. */
#define STI_SHADOW(name, text, a, c, d) do {					\
	u64 after = 0, rax, rcx, rdx;						\
	unsigned int left;							\
	for (left = tries(); left && hit_rip != after; left--) {		\
		rax = (a), rcx = (c), rdx = (d);				\
		hits = 0;							\
		apic_icr(0, APIC_SELF | APIC_ASSERT | IRQ_VECTOR);		\
		asm volatile("leaq 1f(%%rip), %0\n\t"				\
			     "sti\n\t" text "\n1:\tnop\n\tcli"			\
			     : "=&r"(after), "+a"(rax), "+c"(rcx), "+d"(rdx) :	\
			     : "rbx", "memory");				\
	}									\
	report(hits == 1 && hit_rip == after, "STI shadow covers %s (%u, %ld)", name,	\
	       hits, (long)(hit_rip - after));					\
} while (0)

static void test_shadow(void)
{
	u64 after;

	set_handler(IRQ_VECTOR, on_irq);
	STI_SHADOW("NOP", "nop", 0, 0, 0);
	STI_SHADOW("CPUID", "cpuid", 0, 0, 0);
	STI_SHADOW("VMMCALL", "vmmcall", 0x7fff, 0, 0);
	STI_SHADOW("RDMSR", "rdmsr", 0, MSR_PAT, 0);
	STI_SHADOW("OUT", "outb %%al, %%dx", 0, 0, MON_PORT_ECHO);
	STI_SHADOW("IN", "inb %%dx, %%al", 0, 0, MON_PORT_ECHO);
	STI_SHADOW("HLT", "hlt", 0, 0, 0);

	hits = 0;
	try_write_cr8(15);
	apic_icr(0, APIC_SELF | APIC_ASSERT | IRQ_VECTOR);
	sti();
	asm volatile("leaq 1f(%%rip), %0\n\t"
		     "movl %%ss, %%ecx\n\t"
		     "xorl %%eax, %%eax\n\t"
		     "movq %%rax, %%cr8\n1:\tnop\n\tcli"
		     : "=&r"(after) : : "rax", "rcx", "memory");
	report(hits == 1 && hit_rip == after, "an interrupt comes right after MOV to CR8 (%ld)",
	       (long)(hit_rip - after));
}

/* ---- NMI ---- */

static volatile unsigned int nmi_depth, nmi_max_depth, nmi_count;

static void on_nmi(struct frame *frame)
{
	nmi_depth++;
	nmi_count++;
	if (nmi_depth > nmi_max_depth)
		nmi_max_depth = nmi_depth;
	if (nmi_count == 1) {
		mon_call(MON_NMI, 0, 0, 0, 0, 0);
		inb(MON_PORT_ECHO);
	}
	nmi_depth--;
}

static void test_nmi(void)
{
	set_handler(EXC_NMI, on_nmi);
	mon_call(MON_NMI, 0, 0, 0, 0, 0);
	asm volatile("nop; nop");
	report(nmi_count == 2 && nmi_max_depth == 1,
	       "NMI is blocked until IRET, then delivered (%u, depth %u)", nmi_count,
	       nmi_max_depth);
	apic_icr(0, APIC_NMI | APIC_ASSERT);
	asm volatile("nop; nop");
	report(nmi_count == 3, "NMI by self-IPI");
}

/* ---- fatal ---- */

static void triple_fault(void *arg)
{
	struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} none = { 0, 0 };

	asm volatile("lidt %0\n\tud2" : : "m"(none));
}

static void test_shutdown(void)
{
	int reason = expect_fatal(triple_fault, NULL);

	report(reason == KVM_EXIT_SHUTDOWN, "triple fault: KVM_EXIT_SHUTDOWN (%d)", reason);
	reason = expect_fatal(triple_fault, NULL);
	report(reason == KVM_EXIT_SHUTDOWN, "and once more after recovery (%d)", reason);
	apic_enable(true);
}

/* ---- events whose delivery faults in the nested page tables ---- */

static void discard_idt(void)
{
	mon_call(MON_DISCARD, (u64)idt_base(), PAGE, 0, 0, 0);
}

static void discard_ring0_stack(void)
{
	mon_call(MON_DISCARD, this_cpu()->stack - 16384, 8192, 0, 0, 0);
}

static void on_soft(struct frame *frame)
{
	hits++;
	hit_rip = frame->rip;
	hit_error = frame->error;
}

#define IDT_GONE(name, vector, text, at_next) do {				\
	unsigned int turn, good = 0;						\
	u64 before, after;							\
	set_handler(vector, on_soft);						\
	for (turn = 0; turn < REPEAT; turn++) {					\
		hits = 0;							\
		discard_idt();							\
		asm volatile("leaq 1f(%%rip), %0\n\tleaq 2f(%%rip), %1\n1:\t"	\
			     text "\n2:" : "=&r"(before), "=&r"(after) : : "memory");	\
		good += hits == 1 && hit_rip == ((at_next) ? after : before);	\
	}									\
	set_handler(vector, NULL);						\
	report(good == REPEAT, "IDT not mapped: %s (%u of %u)", name, good, REPEAT);	\
} while (0)

static void test_soft_events(void)
{
	IDT_GONE("INT n", SOFT_VECTOR, "int $0x61", true);
	IDT_GONE("INT3", EXC_BP, "int3", true);
}

static void skip_two(struct frame *frame)
{
	on_soft(frame);
	frame->rip += 2;	/* UD2, WRMSR, MOVB (%rax), %al: all of 2 bytes */
}

static void test_fault_events(void)
{
	unsigned int turn, ud = 0, gp = 0, pf = 0;

	set_handler(EXC_UD, skip_two);
	set_handler(EXC_GP, skip_two);
	set_handler(EXC_PF, skip_two);
	test_pte(0);
	for (turn = 0; turn < REPEAT; turn++) {
		hits = 0;
		discard_idt();
		asm volatile("ud2");
		ud += hits == 1;
		hits = 0;
		discard_idt();
		wrmsr(0x12345678, 0);
		gp += hits == 1 && !hit_error;
		hits = 0;
		discard_idt();
		asm volatile("movb (%%rax), %%al" : : "a"(TEST_PAGE + PAGE + turn) : "memory");
		pf += hits == 1 && !hit_error && read_cr2() == TEST_PAGE + PAGE + turn;
	}
	set_handler(EXC_UD, NULL);
	set_handler(EXC_GP, NULL);
	set_handler(EXC_PF, NULL);
	test_pte(7);
	report(ud == REPEAT, "IDT not mapped: #UD (%u)", ud);
	report(gp == REPEAT, "IDT not mapped: #GP that the hypervisor raises (%u)", gp);
	report(pf == REPEAT, "IDT not mapped: #PF with its error code and CR2 (%u)", pf);
}

static void test_interrupt_events(void)
{
	unsigned int turn, irq = 0, nmi = 0, timer = 0;

	for (turn = 0; turn < REPEAT; turn++) {
		hits = 0;
		apic_icr(0, APIC_SELF | APIC_ASSERT | IRQ_VECTOR);
		discard_idt();
		sti_nop_cli();
		irq += hits == 1;
		nmi_count = 1;
		discard_idt();
		apic_icr(0, APIC_NMI | APIC_ASSERT);
		nmi += nmi_count == 2;
		hits = 0;
		apic_write(APIC_LVT_TIMER, IRQ_VECTOR);
		apic_write(APIC_TIMER_DIVIDE, 0xb);
		discard_idt();
		apic_write(APIC_TIMER_INIT, TIMER_NS);
		sti_hlt_cli();
		timer += hits == 1;
	}
	report(irq == REPEAT, "IDT not mapped: interrupt (%u)", irq);
	report(nmi == REPEAT, "IDT not mapped: NMI (%u)", nmi);
	report(timer == REPEAT, "IDT not mapped: timer out of HLT (%u)", timer);
}

static void test_stack_events(void)
{
	unsigned int turn, bp = 0, ud = 0, ret = 0;
	u64 value;

	for (turn = 0; turn < REPEAT; turn++) {
		discard_ring0_stack();
		bp += in_user(user_int3, 0, &value) == EXC_BP &&
		      this_cpu()->trap_rip == (u64)user_int3 + 1;
		discard_ring0_stack();
		discard_idt();
		ud += in_user(user_ud2, 0, &value) == EXC_UD &&
		      this_cpu()->trap_rip == (u64)user_ud2;
		discard_ring0_stack();
		ret += in_user(user_read, (u64)&tour_text, &value) == NO_EXC &&
		       value == tour_text[0];
	}
	report(bp == REPEAT, "stack not mapped: INT3 out of ring 3 (%u)", bp);
	report(ud == REPEAT, "stack and IDT not mapped: #UD out of ring 3 (%u)", ud);
	report(ret == REPEAT, "stack not mapped: INT n out of ring 3 (%u)", ret);
}

/* The monitor unmaps the IDT at times nobody knows; no interrupt is lost or doubled. */
static void test_racing_discards(void)
{
	unsigned int turn, sent = 0;

	hits = 0;
	for (turn = 0; turn < 20; turn++) {
		u64 end;

		mon_call(MON_DISCARD_LATER, (u64)idt_base(), PAGE, 200, 0, 0);
		sti();
		for (end = rdtsc() + 1000000; rdtsc() < end; sent++) {
			apic_icr(0, APIC_SELF | APIC_ASSERT | IRQ_VECTOR);
			while (hits <= sent && rdtsc() < end + 1000000000)
				pause();
		}
		cli();
	}
	report(hits == sent, "IDT unmapped at random: %u interrupts sent, %u came", sent, hits);
}

int payload_main(void)
{
	apic_enable(true);
	test_tour();
	test_exceptions();
	test_single_step();
	test_breakpoints();
	test_shadow();
	test_nmi();
	test_shutdown();
	test_soft_events();
	test_fault_events();
	test_interrupt_events();
	test_stack_events();
	test_racing_discards();
	return 0;
}
