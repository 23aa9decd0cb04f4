// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: a guest that means harm. Whatever it does, each step ends in an
 * exception, in nothing, or in an exit that a monitor can handle, and the vCPU is
 * fit for use afterwards. The host's own log is for the lab to judge. At its end
 * all its CPUs still send interrupts to all, so that the monitor has to stop that.
 *
 * Arguments: -s SEED (default 1).
 */
#include "apic.h"
#include "lib.h"

#include <linux/kvm.h>

#define GIVE_UP_US	2000000
#define GIVE_UP_SOON_US	30000
#define ROUNDS		150
#define SURELY_NOT_RAM	(1UL << 40)
#define RETURNED	(-1)
#define STORM_SENDS	2000

struct __attribute__((packed)) descriptor_pointer {
	u16 limit;
	u64 base;
};

extern u8 catch_entry[];

static u64 seed;

static u64 random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Few bits, many bits, or low bits only: what reserved-bit checks are weak at. */
static u64 random_value(void)
{
	switch (random_u64() % 4) {
	case 0: return 1UL << random_u64() % 64;
	case 1: return random_u64() & random_u64() & random_u64();
	case 2: return random_u64() & 0xffffffff;
	default: return random_u64();
	}
}

/* expect_fatal() with a kick in case fn hangs the vCPU. */
static int survive(void (*fn)(void *), void *arg, u32 us)
{
	int reason;

	mon_call(MON_KICK, us, 0, 0, 0, 0);
	reason = expect_fatal(fn, arg);
	mon_call(MON_KICK, 0, 0, 0, 0, 0);
	return reason;
}

static bool still_works(void)
{
	u32 regs[4];

	cpuid(MON_CPUID_LEAF, 1, regs);
	outl(MON_PORT_ECHO, 0xfeedface);
	return regs[0] == MON_CPUID_EAX(1) && inb(MON_PORT_ECHO) == 0xce;
}

static void report_fatal(const char *what, int reason, bool ok)
{
	ok &= still_works();
	report(ok, "%s (exit reason %d, suberror %u)", what, reason,
	       reason == RETURNED ? 0 : this_cpu()->suberror);
}

/* ---- hangs ---- */

static void on_ud(struct frame *frame)
{
}

static void kick_soon(void)
{
	mon_call(MON_KICK, 20000, 0, 0, 0, 0);
}

static void spin(void *arg)
{
	kick_soon();
	asm volatile("1:\tjmp 1b");
}

static void spin_on_exits(void *arg)
{
	kick_soon();
	asm volatile("1:\tcpuid\n\tjmp 1b" : : : "rax", "rbx", "rcx", "rdx");
}

static void sleep_forever(void *arg)
{
	kick_soon();
	asm volatile("cli\n1:\thlt\n\tjmp 1b");
}

static void endless_string(void *arg)
{
	u64 count = ~0UL;

	kick_soon();
	asm volatile("rep outsb" : "+c"(count) : "S"(catch_entry), "d"(0x84));
}

static void endless_fault(void *arg)
{
	kick_soon();
	set_handler(EXC_UD, on_ud);
	asm volatile("ud2");
}

static void hang(const char *what, void (*fn)(void *))
{
	int reason = expect_fatal(fn, NULL);

	report_fatal(what, reason, reason == MON_KICKED);
}

static void test_hangs(void)
{
	hang("a spin is interrupted by a signal", spin);
	hang("so is a loop of CPUID", spin_on_exits);
	hang("so is HLT with interrupts off", sleep_forever);
	hang("so is an endless REP OUTSB", endless_string);
	hang("so is an instruction that faults for ever", endless_fault);
	set_handler(EXC_UD, NULL);
}

/* ---- fatal exits ---- */

static void no_idt(void *arg)
{
	struct descriptor_pointer none = { 0, 0 };

	asm volatile("lidt %0\n\tud2" : : "m"(none));
}

static void idt_in_mmio(void *arg)
{
	struct descriptor_pointer idtr = { 0xfff, MON_MMIO_BASE };

	asm volatile("lidt %0\n\tint $0x30" : : "m"(idtr));
}

static void stack_in_mmio(void *arg)
{
	asm volatile("movq %0, %%rsp\n\tud2" : : "r"(MON_MMIO_BASE + 0x1000));
}

static void gdt_in_mmio(void *arg)
{
	struct descriptor_pointer gdtr = { 0xff, MON_MMIO_BASE };

	asm volatile("lgdt %0\n\tmovl %1, %%ds" : : "m"(gdtr), "r"(SEL_DATA));
}

static void page_tables_in_mmio(void *arg)
{
	asm volatile("movq %0, %%cr3" : : "r"(MON_MMIO_BASE));
}

static void jump_to_mmio(void *arg)
{
	asm volatile("jmp *%0" : : "r"(MON_MMIO_BASE + 0x800));
}

static void jump_to_nowhere(void *arg)
{
	asm volatile("jmp *%0" : : "r"(0xb0000000UL));
}

static void x87_to_mmio(void *arg)
{
	asm volatile("fnstenv (%0)" : : "r"(MON_MMIO_BASE) : "memory");
}

static void sse_from_mmio(void *arg)
{
	try_write_cr4(read_cr4() | CR4_OSFXSR);
	asm volatile("paddd (%0), %%xmm0" : : "r"(MON_MMIO_BASE) : "memory");
}

static void xsave_to_mmio(void *arg)
{
	try_write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
	asm volatile("xsave (%0)" : : "r"(MON_MMIO_BASE), "a"(1), "d"(0) : "memory");
}

/* MMIO that no monitor could do without knowing the instruction. */
static void undecodable(const char *what, void (*fn)(void *))
{
	int reason = survive(fn, NULL, GIVE_UP_US);

	report_fatal(what, reason, reason == KVM_EXIT_INTERNAL_ERROR);
}

/* Any end will do, a loop that a signal interrupts too. */
static void fatal(const char *what, void (*fn)(void *))
{
	int reason = survive(fn, NULL, GIVE_UP_US);

	report_fatal(what, reason, reason == KVM_EXIT_INTERNAL_ERROR ||
		     reason == KVM_EXIT_SHUTDOWN || reason == MON_KICKED);
}

static void test_fatal(void)
{
	int reason = survive(no_idt, NULL, GIVE_UP_US);

	report_fatal("triple fault: KVM_EXIT_SHUTDOWN", reason, reason == KVM_EXIT_SHUTDOWN);
	fatal("IDT in MMIO", idt_in_mmio);
	fatal("stack in MMIO", stack_in_mmio);
	fatal("GDT in MMIO", gdt_in_mmio);
	fatal("page tables in MMIO", page_tables_in_mmio);
	fatal("jump to MMIO", jump_to_mmio);
	fatal("jump to where nothing is", jump_to_nowhere);
	undecodable("x87 environment stored to MMIO: KVM_EXIT_INTERNAL_ERROR", x87_to_mmio);
	undecodable("SSE operand in MMIO: KVM_EXIT_INTERNAL_ERROR", sse_from_mmio);
	undecodable("XSAVE to MMIO: KVM_EXIT_INTERNAL_ERROR", xsave_to_mmio);
}

/* ---- MSRs ---- */

static const struct {
	u32 first, last;
} msr_ranges[] = {
	{ 0x0, 0x4ff }, { 0x570, 0x5ff }, { 0x600, 0x7ff }, { 0xc00, 0xc8f }, { 0xd90, 0xdaf },
	{ 0x9fff0000, 0x9fff000f }, { 0x40000000, 0x400001ff }, { 0x4b564d00, 0x4b564d0f },
	{ 0xc0000000, 0xc00003ff }, { 0xc0010000, 0xc00103ff }, { 0xc0011000, 0xc00110ff },
	{ 0xfffffff0, 0xffffffff },
};

/* GS.base is this library's own; what else is hit is put back. */
static void try_msr(u32 msr, u32 *done, u32 *refused, u32 *odd)
{
	u64 old;
	int vector = try_rdmsr(msr, &old);

	if (vector == EXC_GP) {
		old = 0;
	} else if (vector != NO_EXC) {
		(*odd)++;
		return;
	}
	if (msr == MSR_GS_BASE)
		return;
	vector = try_wrmsr(msr, random_value() | SURELY_NOT_RAM);
	*done += vector == NO_EXC;
	*refused += vector == EXC_GP;
	*odd += vector != NO_EXC && vector != EXC_GP;
	try_wrmsr(msr, random_u64() | SURELY_NOT_RAM);
	try_wrmsr(msr, 0);
	try_wrmsr(msr, old);
}

static void test_msrs(void)
{
	u32 range, msr, done = 0, refused = 0, odd = 0;

	for (range = 0; range < sizeof(msr_ranges) / sizeof(msr_ranges[0]); range++)
		for (msr = msr_ranges[range].first; ; msr++) {
			if (msr != MSR_APIC_BASE)
				try_msr(msr, &done, &refused, &odd);
			if (msr == msr_ranges[range].last)
				break;
		}
	report(!odd && done && refused, "MSRs: written or #GP, nothing else (%u, %u, %u)", done,
	       refused, odd);
	report(still_works(), "MSRs: the CPU still works");
}

static void on_any(struct frame *frame)
{
	apic_eoi();
}

static void on_nmi(struct frame *frame)
{
}

static void test_apic_msrs(bool x2apic)
{
	const char *mode = x2apic ? "x2apic" : "xapic";
	u32 msr, turn, readable = 0, odd = 0;
	int vector;
	u64 value;

	apic_enable(x2apic);
	for (msr = 0x800; msr < 0x900; msr++) {
		vector = try_rdmsr(msr, &value);
		readable += vector == NO_EXC;
		odd += vector != NO_EXC && vector != EXC_GP;
	}
	report(!odd && !readable == !x2apic, "%s: RDMSR 800 to 8ff (%u readable)", mode, readable);
	for (turn = 0; turn < 8; turn++)
		for (msr = 0x800; msr < 0x900; msr++) {
			value = random_value();
			/* No INIT, SIPI or SMI to oneself. */
			if (msr == X2APIC_MSR(APIC_ICR))
				value &= ~0x700UL;
			vector = try_wrmsr(msr, value);
			odd += vector != NO_EXC && vector != EXC_GP;
		}
	try_wrmsr(MSR_TSC_DEADLINE, 0);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_TIMER_INIT, 0);
	apic_enable(false);
	apic_enable(true);
	sti();
	for (turn = 0; turn < 256; turn++)
		apic_eoi();
	cli();
	report(!odd && still_works(), "%s: WRMSR 800 to 8ff, anything", mode);
}

static void test_apic_mmio(void)
{
	u32 turn, offset;

	apic_enable(false);
	for (turn = 0; turn < 4000; turn++) {
		offset = random_u64() & 0xffc;
		if (offset == APIC_ICR)
			continue;
		if (turn & 1)
			*(volatile u32 *)(APIC_BASE_ADDR + offset) = random_value();
		else
			(void)*(volatile u32 *)(APIC_BASE_ADDR + offset);
	}
	for (turn = 0; turn < 64; turn++) {
		offset = random_u64() & 0xffc;
		(void)*(volatile u8 *)(APIC_BASE_ADDR + offset + 1);
		(void)*(volatile u64 *)(APIC_BASE_ADDR + (offset & 0xff8));
		(void)*(volatile u16 *)(APIC_BASE_ADDR + offset + 3);
	}
	apic_enable(true);
	apic_enable(false);
	report(still_works(), "xapic: any access of any size to the register page");
	apic_enable(true);
}

/* ---- control registers ---- */

struct write {
	unsigned int what;
	u64 value;
	int vector;
};

static void write_control(void *arg)
{
	struct write *w = arg;
	u64 old;

	switch (w->what) {
	case 0:
		old = read_cr0();
		w->vector = try_write_cr0(w->value);
		try_write_cr0(old);
		break;
	case 1:
		old = read_cr3();
		w->vector = try_write_cr3(w->value);
		try_write_cr3(old);
		break;
	case 2:
		old = read_cr4();
		w->vector = try_write_cr4(w->value);
		try_write_cr4(old);
		break;
	case 3:
		w->vector = try_write_cr8(w->value);
		try_write_cr8(0);
		break;
	case 4:
		old = rdmsr(MSR_EFER);
		w->vector = try_wrmsr(MSR_EFER, w->value);
		try_wrmsr(MSR_EFER, old);
		break;
	case 5:
		asm volatile(TRY("movq %0, %%dr7") : : "r"(w->value) : "memory");
		w->vector = trapped();
		asm volatile("movq %0, %%dr7" : : "r"(0x400UL));
		break;
	case 6:
		asm volatile(TRY("xsetbv") : : "a"((u32)w->value), "d"((u32)(w->value >> 32)),
			     "c"(0) : "memory");
		w->vector = trapped();
		asm volatile(TRY("xsetbv") : : "a"(1), "d"(0), "c"(0) : "memory");
		break;
	}
}

static void test_control_registers(void)
{
	static const char *const names[] = { "CR0", "CR3", "CR4", "CR8", "EFER", "DR7", "XCR0" };
	static const u64 base[] = { 0x80000033, 0, 0x20, 0, 0x500, 0x400, 0 };
	unsigned int what, turn, done, refused, died, odd;
	struct write w;
	int reason;

	for (what = 0; what < sizeof(names) / sizeof(names[0]); what++) {
		done = refused = died = odd = 0;
		for (turn = 0; turn < ROUNDS; turn++) {
			w = (struct write){ what, random_value(), NO_EXC };
			if (turn & 1)
				w.value ^= base[what];
			/* Code for ring 3 too could not run: faults without end, all over memory. */
			if (what == 2)
				w.value &= ~CR4_SMEP;
			if (what == 6)
				try_write_cr4(read_cr4() | CR4_OSXSAVE);
			reason = survive(write_control, &w, GIVE_UP_SOON_US);
			if (reason != RETURNED) {
				died++;
				apic_enable(true);
			} else {
				done += w.vector == NO_EXC;
				refused += w.vector == EXC_GP;
				odd += w.vector != NO_EXC && w.vector != EXC_GP;
			}
		}
		report(!odd && done + refused + died == ROUNDS && still_works(),
		       "%s: random values (%u written, %u #GP, %u fatal or stuck, %u odd)",
		       names[what], done, refused, died, odd);
	}
}

/* ---- ports and hypercalls ---- */

static bool monitor_port(u16 port)
{
	u16 last;

	for (last = port; last != (u16)(port + 4); last++)
		if ((last >= MON_PORT_CONSOLE && last <= MON_PORT_CALL + 3))
			return true;
	return false;
}

static void test_ports(void)
{
	u32 turn, value;
	u16 port;

	for (turn = 0; turn < 2000; turn++) {
		port = random_u64();
		if (monitor_port(port))
			continue;
		outb(port, turn);
		outw(port, turn);
		outl(port, turn);
		inb(port);
		asm volatile("inl %1, %0" : "=a"(value) : "d"(port));
	}
	report(still_works(), "ports: any, any size");
}

static void test_hypercalls(void)
{
	u32 turn;
	u64 rax;

	for (turn = 0; turn < 2000; turn++) {
		rax = turn < 64 ? turn : random_value();
		asm volatile("vmmcall" : "+a"(rax) : "b"(random_value() | SURELY_NOT_RAM),
			     "c"(random_value() | SURELY_NOT_RAM), "d"(random_value()),
			     "S"(random_value() & ~0x700UL) : "memory");
	}
	report(still_works(), "hypercalls: any number, any arguments");
}

/* ---- storms: all to all, without end ---- */

static volatile bool storm_ends;
static volatile u32 storm_sends[MON_MAX_VCPUS], storm_irqs[MON_MAX_VCPUS];

static void on_storm(struct frame *frame)
{
	storm_irqs[this_cpu()->id]++;
	apic_eoi();
}

/* Every kind of broadcast, a vector of its own for each CPU and kind. */
static void storm(void *arg)
{
	static const u32 shorthands[] = { APIC_ALL, APIC_OTHERS, 0, APIC_LOGICAL };
	u32 id = this_cpu()->id, way;

	apic_enable(true);
	sti();
	while (!storm_ends) {
		way = storm_sends[id]++ % 4;
		wrmsr(X2APIC_MSR(APIC_ICR), (u64)(way == 3 ? 0xffff : ~0U) << 32 | shorthands[way] | APIC_ASSERT |
		      (0x90 + 0x10 * way + id));
	}
	cli();
}

static void storm_till_kicked(void *arg)
{
	kick_soon();
	storm(arg);
}

static bool storm_has_grown(u32 cpus, const u32 *before)
{
	u32 i;

	for (i = 1; i < cpus; i++)
		if (storm_sends[i] - before[i] < STORM_SENDS || !storm_irqs[i])
			return false;
	return true;
}

/* The storm goes on when this payload is done: the monitor must be able to end it. */
static void test_storm(void)
{
	u32 i, cpus = start_cpus(), turn, before[MON_MAX_VCPUS];
	struct mon_info host;
	bool grown = false;
	u64 start;

	mon_info(&host);
	for (i = 0x90; i < 0xe0; i++)
		set_handler(i, on_storm);
	for (i = 1; i < cpus; i++)
		on_cpu_start(i, storm, NULL);
	hang("so is a storm of broadcasts, in which this CPU takes part", storm_till_kicked);
	apic_enable(true);
	for (i = 0; i < cpus; i++)
		before[i] = storm_sends[i];
	start = rdtsc();
	for (turn = 0; !grown && rdtsc() - start < host.tsc_khz * 20000UL; turn++) {
		wrmsr(X2APIC_MSR(APIC_ICR), APIC_ALL | APIC_ASSERT | (0x90 + turn % 64));
		sti_nop_cli();
		grown = storm_has_grown(cpus, before);
	}
	report(grown && still_works(), "a storm of broadcasts from %u CPUs: all send, all receive (%u sends by this one)", cpus,
	       turn);
}

int payload_main(void)
{
	unsigned int i;

	seed = arg_number("-s", 1) * 0x9e3779b97f4a7c15UL | 1;
	set_handler(EXC_NMI, on_nmi);
	for (i = 32; i < 256; i++)
		if (i != VECTOR_USER_RETURN)
			set_handler(i, on_any);
	apic_enable(true);
	test_hangs();
	test_fatal();
	apic_enable(true);
	test_msrs();
	test_apic_msrs(false);
	test_apic_msrs(true);
	test_apic_mmio();
	test_control_registers();
	test_ports();
	test_hypercalls();
	test_storm();
	return 0;
}
