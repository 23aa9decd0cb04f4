// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: the intercepted instructions that need no device. Exact counts of
 * exits to the monitor, and the architecture's answer to each instruction,
 * legal or not (AMD APM vol. 2 and 3; hypercalls as in the KVM API document).
 */
#include "apic.h"
#include "lib.h"

#include <linux/kvm.h>

#define COUNT		1000
#define KVM_ENOSYS	1000
#define KVM_EPERM	1
#define KVM_HC_VAPIC_POLL_IRQ	1
#define KVM_HC_SEND_IPI	10
#define MSR_KVM_POLL_CONTROL	0x4b564d05
#define POLL_CONTROL	(1 << 12)
#define TIMER_VECTOR	0x40
#define HALTS		50
#define TIMER_NS	2000000	/* long enough for HLT to be reached before, even on TCG */
#define CPUID_MAX	256
#define UNKNOWN_MSR	0x12345678
#define NONCANONICAL	0x8000000000000000UL

static struct mon_cpuid cpuid_table[CPUID_MAX];
static volatile unsigned int timer_fired;

/* ---- counts ---- */

/* KVM_EXIT_IO and all other exits since `from`, this look itself not counted. */
static void exits_since(const struct mon_counts *from, u64 *io, u64 *other)
{
	struct mon_counts now;
	unsigned int i;

	mon_call(MON_COUNTS, (u64)&now, 0, 0, 0, 0);
	*io = now.exits[KVM_EXIT_IO] - from->exits[KVM_EXIT_IO] - 1;
	*other = 0;
	for (i = 0; i < MON_EXIT_REASONS; i++)
		if (i != KVM_EXIT_IO && i != KVM_EXIT_INTR)
			*other += now.exits[i] - from->exits[i];
}

static void check_counts(const char *what, const struct mon_counts *from, u64 expected)
{
	u64 io, other;

	exits_since(from, &io, &other);
	report(io == expected && !other, "%s: %lu I/O exits, %lu others (expected %lu, 0)", what,
	       io, other, expected);
}

static void start_count(struct mon_counts *counts)
{
	mon_call(MON_COUNTS, (u64)counts, 0, 0, 0, 0);
}

static u64 vmmcall(u64 nr, u64 a0)
{
	u64 rax = nr;

	asm volatile("vmmcall" : "+a"(rax) : "b"(a0), "c"(0UL), "d"(0UL), "S"(0UL) : "memory");
	return rax;
}

static void test_counts(void)
{
	struct mon_counts from;
	u32 regs[4], i;

	start_count(&from);
	for (i = 0; i < COUNT; i++)
		outb(MON_PORT_ECHO, i);
	for (i = 0; i < COUNT; i++)
		inb(MON_PORT_ECHO);
	check_counts("1000 OUT and 1000 IN", &from, 2 * COUNT);

	start_count(&from);
	for (i = 0; i < COUNT; i++)
		cpuid(MON_CPUID_LEAF, i & 1, regs);
	check_counts("1000 CPUID", &from, 0);

	start_count(&from);
	for (i = 0; i < COUNT; i++)
		wrmsr(MSR_TSC_AUX, i);
	check_counts("1000 WRMSR", &from, 0);

	start_count(&from);
	for (i = 0; i < COUNT; i++)
		rdmsr(MSR_PAT);
	check_counts("1000 RDMSR", &from, 0);

	start_count(&from);
	for (i = 0; i < COUNT; i++)
		vmmcall(0x7fff, i);
	check_counts("1000 VMMCALL", &from, 0);
}

/* ---- ports ---- */

static void test_ports(void)
{
	u64 rax;

	outl(MON_PORT_ECHO, 0x89abcdef);
	rax = 0x1122334455667788UL;
	asm volatile("inb %1, %%al" : "+a"(rax) : "d"((u16)MON_PORT_ECHO));
	report(rax == 0x11223344556677efUL, "IN AL changes AL only");
	rax = 0x1122334455667788UL;
	asm volatile("inw %1, %%ax" : "+a"(rax) : "d"((u16)MON_PORT_ECHO));
	report(rax == 0x112233445566cdefUL, "IN AX changes AX only");
	rax = 0x1122334455667788UL;
	asm volatile("inl %1, %%eax" : "+a"(rax) : "d"((u16)MON_PORT_ECHO));
	report(rax == 0x89abcdefUL, "IN EAX clears the upper half of RAX");
	outw(MON_PORT_ECHO, 0x1234);
	asm volatile("inl %1, %%eax" : "+a"(rax) : "d"((u16)MON_PORT_ECHO));
	report(rax == 0x1234, "OUT AX writes 16 bits");
	asm volatile("movl $0x5aa5a55a, %%eax; outb %%al, $0xe0; inb $0xe0, %%al" : "=a"(rax));
	report(rax == 0x5aa5a5ff, "ports given as immediates; no device reads as ones");
}

/* ---- CPUID ---- */

/*
 * Bits that the processor derives from its state and SET_CPUID2 does not fix:
 * leaf 1 APIC and OSXSAVE (and MWAIT, which a hypervisor may tie to
 * IA32_MISC_ENABLE), leaf 7 OSPKE, leaf 0xd's sizes for the current XCR0 and XSS.
 */
static void mask_dynamic(const struct mon_cpuid *e, u32 regs[4])
{
	if (e->function == 1) {
		regs[2] &= ~(1U << 27 | 1U << 3);
		regs[3] &= ~(1U << 9);
	} else if (e->function == 7 && !e->index) {
		regs[2] &= ~(1U << 4);
	} else if (e->function == 0xd && e->index < 2) {
		regs[1] = 0;
	} else if (e->function == 0x80000001) {
		regs[3] &= ~(1U << 9);
	}
}

static bool cpuid_agrees(const struct mon_cpuid *e)
{
	u32 want[4] = { e->eax, e->ebx, e->ecx, e->edx }, got[4];

	cpuid(e->function, e->index, got);
	mask_dynamic(e, want);
	mask_dynamic(e, got);
	if (!memcmp(want, got, sizeof(want)))
		return true;
	printf("leaf %x.%x: %08x %08x %08x %08x, set %08x %08x %08x %08x\n", e->function,
	       e->index, got[0], got[1], got[2], got[3], want[0], want[1], want[2], want[3]);
	return false;
}

static void test_cpuid(void)
{
	long n = mon_call(MON_CPUID, (u64)cpuid_table, CPUID_MAX, 0, 0, 0);
	u32 regs[4], i, wrong = 0;
	u64 a = ~0UL, b = ~0UL, c = 0xffffffff00000001UL, d = ~0UL;

	for (i = 0; i < n; i++)
		wrong += !cpuid_agrees(&cpuid_table[i]);
	report(n > 10 && !wrong, "CPUID: all %ld leaves are as set", n);
	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	a = 0xffffffff00000000UL | MON_CPUID_LEAF;
	c = 0xffffffff00000001UL;
	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	report(a == MON_CPUID_EAX(1) && b == (u32)MON_CPUID_EBX(1) &&
	       c == (u32)MON_CPUID_ECX(1) && d == (u32)MON_CPUID_EDX(1),
	       "CPUID: upper halves ignored and cleared");
	cpuid(MON_CPUID_LEAF, 2, regs);
	report(!regs[0] && !regs[1] && !regs[2] && !regs[3], "CPUID: absent subleaf is zero");
	cpuid(0x8fffffff, 0, regs);
	report(!regs[0] && !regs[1] && !regs[2] && !regs[3], "CPUID: absent leaf is zero");
	cpuid(1, 0, regs);
	report(regs[3] & 1U << 9, "CPUID: APIC bit is set while the APIC is enabled");
	report(!(regs[2] & 1U << 27), "CPUID: OSXSAVE is clear as CR4.OSXSAVE is");
	if (regs[2] & 1U << 26) {
		try_write_cr4(read_cr4() | CR4_OSXSAVE);
		cpuid(1, 0, regs);
		report(regs[2] & 1U << 27, "CPUID: OSXSAVE follows CR4.OSXSAVE");
		try_write_cr4(read_cr4() & ~CR4_OSXSAVE);
	}
}

/* ---- MSRs ---- */

static void msr_keeps(const char *name, u32 msr, u64 value)
{
	u64 old = rdmsr(msr), now = 0;
	int vector = try_wrmsr(msr, value);

	now = rdmsr(msr);
	try_wrmsr(msr, old);
	report(vector == NO_EXC && now == value, "MSR %s reads back %lx", name, value);
}

static void msr_refuses(const char *name, u32 msr, u64 value, bool by_cpu)
{
	u64 old = rdmsr(msr), now;
	int vector = try_wrmsr(msr, value);
	bool ok;

	now = rdmsr(msr);
	if (vector == NO_EXC)
		try_wrmsr(msr, old);
	ok = vector == EXC_GP && now == old && (vector != EXC_GP || !this_cpu()->trap_error);
	if (by_cpu)
		report_cpu(ok, "MSR %s: #GP for %lx", name, value);
	else
		report(ok, "MSR %s: #GP for %lx", name, value);
}

static void test_msrs(void)
{
	u64 value;
	int vector;

	msr_keeps("STAR", MSR_STAR, 0x0023001000000000UL);
	msr_keeps("LSTAR", MSR_LSTAR, 0xffff800000001234UL);
	msr_keeps("CSTAR", MSR_CSTAR, 0x00007fffffff0000UL);
	msr_keeps("SFMASK", MSR_SFMASK, 0x47700);
	msr_keeps("FS_BASE", MSR_FS_BASE, 0x00007ffffffff000UL);
	msr_keeps("KERNEL_GS_BASE", MSR_KERNEL_GS_BASE, 0xffff888000000000UL);
	msr_keeps("SYSENTER_CS", MSR_SYSENTER_CS, 0x10);
	msr_keeps("SYSENTER_ESP", MSR_SYSENTER_ESP, 0x12345000);
	msr_keeps("SYSENTER_EIP", MSR_SYSENTER_EIP, 0x7654321);
	msr_keeps("PAT", MSR_PAT, 0x0007040600070401UL);
	msr_keeps("TSC_AUX", MSR_TSC_AUX, 0xfedcba98);
	msr_keeps("EFER with NXE", MSR_EFER, rdmsr(MSR_EFER) ^ EFER_NXE);
	msr_keeps("EFER with SCE", MSR_EFER, rdmsr(MSR_EFER) ^ EFER_SCE);

	vector = try_rdmsr(UNKNOWN_MSR, &value);
	report(vector == EXC_GP && !this_cpu()->trap_error, "RDMSR of an unknown MSR: #GP(0)");
	vector = try_wrmsr(UNKNOWN_MSR, 0);
	report(vector == EXC_GP && !this_cpu()->trap_error, "WRMSR of an unknown MSR: #GP(0)");

	msr_refuses("PAT (reserved type)", MSR_PAT, 0x0007040600070402UL, false);
	msr_refuses("EFER (reserved bit)", MSR_EFER, rdmsr(MSR_EFER) | 1UL << 63, false);
	msr_refuses("EFER (LME cleared under paging)", MSR_EFER,
		    rdmsr(MSR_EFER) & ~(u64)EFER_LME, false);
	msr_refuses("EFER (SVME, not in CPUID)", MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME, false);
	msr_refuses("APIC_BASE (reserved bit)", MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1, false);
	msr_refuses("LSTAR (not canonical)", MSR_LSTAR, NONCANONICAL, true);
	msr_refuses("CSTAR (not canonical)", MSR_CSTAR, NONCANONICAL, true);
	msr_refuses("FS_BASE (not canonical)", MSR_FS_BASE, NONCANONICAL, true);
	msr_refuses("KERNEL_GS_BASE (not canonical)", MSR_KERNEL_GS_BASE, NONCANONICAL, true);
	vector = try_wrmsr(MSR_TSC_AUX, 1UL << 32);
	report_cpu(vector == EXC_GP || rdmsr(MSR_TSC_AUX) == 0, "MSR TSC_AUX: upper half not kept");
	wrmsr(MSR_TSC_AUX, 0);
}

/* Whether the host may poll while this vCPU is halted. */
static void test_poll_control(void)
{
	u32 regs[4];

	cpuid(0x40000001, 0, regs);
	if (!(regs[0] & POLL_CONTROL)) {
		report_skip("MSR_KVM_POLL_CONTROL: not in CPUID");
		return;
	}
	report(rdmsr(MSR_KVM_POLL_CONTROL) == 1, "MSR_KVM_POLL_CONTROL: the host may poll after reset");
	wrmsr(MSR_KVM_POLL_CONTROL, 0);
	report(rdmsr(MSR_KVM_POLL_CONTROL) == 0, "MSR_KVM_POLL_CONTROL: bit 0 can be cleared");
	msr_refuses("MSR_KVM_POLL_CONTROL (bit 1)", MSR_KVM_POLL_CONTROL, 2, false);
	msr_refuses("MSR_KVM_POLL_CONTROL (bit 63)", MSR_KVM_POLL_CONTROL, 1UL << 63 | 1, false);
	wrmsr(MSR_KVM_POLL_CONTROL, 1);
}

static void test_rdtscp(void)
{
	u32 lo, hi, aux, regs[4];
	u64 before, value;
	int vector;

	cpuid(0x80000001, 0, regs);
	if (!(regs[3] & 1U << 27)) {
		report_skip("RDTSCP: not in CPUID");
		return;
	}
	wrmsr(MSR_TSC_AUX, 0x1234abcd);
	before = rdtsc();
	asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	value = lo | (u64)hi << 32;
	report(aux == 0x1234abcd && value >= before && rdtsc() >= value, "RDTSCP: TSC and TSC_AUX");
	cpuid(7, 0, regs);
	if (regs[2] & 1U << 22) {
		asm volatile(TRY("rdpid %0") : "=r"(value) : : "memory");
		vector = trapped();
		report(vector == NO_EXC && value == 0x1234abcd, "RDPID: TSC_AUX");
	}
}

/* ---- hypercalls ---- */

static u64 user_vmmcall(u64 nr)
{
	return vmmcall(nr, 0);
}

static u64 user_send_ipi(u64 arg)
{
	return vmmcall(KVM_HC_SEND_IPI, 1);
}

static void test_vmmcall(void)
{
	u64 rax = 0x7fff, rbx = 1, rcx = 2, rdx = 3, rsi = 4, result = 0;
	int vector;

	asm volatile("vmmcall" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi));
	report(rax == (u64)-KVM_ENOSYS, "VMMCALL: unknown number gives -KVM_ENOSYS");
	report(rbx == 1 && rcx == 2 && rdx == 3 && rsi == 4, "VMMCALL: arguments are kept");
	vector = in_user(user_vmmcall, 0x7fff, &result);
	report(vector == NO_EXC && result == (u64)-KVM_EPERM,
	       "VMMCALL in ring 3 gives -KVM_EPERM (vector %d, %lx)", vector, result);
	report(vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0) == 0, "VMMCALL: VAPIC_POLL_IRQ gives 0");
	vector = in_user(user_send_ipi, 0, &result);
	report(vector == NO_EXC && result == (u64)-KVM_EPERM, "VMMCALL: SEND_IPI in ring 3 gives -KVM_EPERM");
	report(vmmcall(KVM_HC_SEND_IPI | 1UL << 32, 1) == (u64)-KVM_ENOSYS, "VMMCALL: the number has 64 bits");
}

/* ---- control registers ---- */

static void test_control_registers(void)
{
	u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), value;
	struct mon_info info;
	u32 regs[4];
	int vector;

	report(try_write_cr0(cr0 & ~CR0_PE) == EXC_GP, "CR0: #GP for PG without PE");
	report(try_write_cr0(cr0 | CR0_NW) == EXC_GP, "CR0: #GP for NW without CD");
	report_cpu(try_write_cr0(cr0 | 1UL << 32) == EXC_GP, "CR0: #GP for upper half");
	report(read_cr0() == cr0, "CR0 is unchanged");
	vector = try_write_cr0(cr0 | CR0_CD);
	value = read_cr0();
	report(vector == NO_EXC && value == (cr0 | CR0_CD), "CR0: CD can be set (%lx)", value);
	try_write_cr0(cr0 | CR0_TS | CR0_AM);
	report(read_cr0() == (cr0 | CR0_TS | CR0_AM), "CR0: TS and AM can be set");
	try_write_cr0(cr0 & ~CR0_WP);
	report(read_cr0() == (cr0 & ~CR0_WP), "CR0: WP can be cleared");
	try_write_cr0(cr0);
	asm volatile("clts");
	report(read_cr0() == cr0, "CLTS");
	asm volatile("lmsw %0" : : "r"((u16)0));
	report(read_cr0() == (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)), "LMSW does not clear PE");
	try_write_cr0(cr0);

	report(try_write_cr4(cr4 & ~(u64)CR4_PAE) == EXC_GP, "CR4: #GP for PAE cleared");
	report(try_write_cr4(cr4 | 1UL << 15) == EXC_GP, "CR4: #GP for bit 15");
	report(try_write_cr4(cr4 | 1UL << 63) == EXC_GP, "CR4: #GP for bit 63");
	report(read_cr4() == cr4, "CR4 is unchanged");

	cpuid(0x80000008, 0, regs);
	mon_info(&info);
	/* TCG takes it, and then refuses the state at the next VMRUN. */
	if (info.emulated || (regs[0] & 0xff) >= 52)
		report_skip("CR3: #GP beyond MAXPHYADDR");
	else
		report(try_write_cr3(cr3 | 1UL << 51) == EXC_GP, "CR3: #GP beyond MAXPHYADDR");
	report(read_cr3() == cr3, "CR3 reads back");

	report(try_write_cr8(15) == NO_EXC && read_cr8() == 15, "CR8 holds 15");
	report_cpu(try_write_cr8(16) == EXC_GP && read_cr8() == 15, "CR8: #GP for 16");
	try_write_cr8(0);

	asm volatile(TRY("movq %%cr1, %0") : "=r"(value) : : "memory");
	report(trapped() == EXC_UD, "CR1: #UD");
	asm volatile(TRY("movq %%cr5, %0") : "=r"(value) : : "memory");
	report(trapped() == EXC_UD, "CR5: #UD");
}

#define WRITE_DR(n, value) ({						\
	asm volatile(TRY("movq %0, %%dr" #n) : : "r"((u64)(value)) : "memory"); trapped(); })
#define READ_DR(n) ({							\
	u64 dr_value; asm volatile("movq %%dr" #n ", %0" : "=r"(dr_value)); dr_value; })

static void test_debug_registers(void)
{
	u64 cr4 = read_cr4(), value;

	report(WRITE_DR(0, 0xffff800000000123UL) == NO_EXC && READ_DR(0) == 0xffff800000000123UL &&
	       WRITE_DR(3, 0x456) == NO_EXC && READ_DR(3) == 0x456, "DR0 and DR3 read back");
	WRITE_DR(0, 0);
	WRITE_DR(3, 0);
	report(READ_DR(7) == 0x400, "DR7 is 0x400 at reset");
	report(WRITE_DR(6, 1UL << 32) == EXC_GP, "DR6: #GP for upper half");
	report(WRITE_DR(7, 1UL << 32) == EXC_GP, "DR7: #GP for upper half");
	WRITE_DR(6, 0);
	report(READ_DR(6) == 0xffff0ff0, "DR6: fixed ones");
	asm volatile(TRY("movq %%dr4, %0") : "=r"(value) : : "memory");
	report(trapped() == NO_EXC && value == 0xffff0ff0, "DR4 is DR6 while CR4.DE is clear");
	try_write_cr4(cr4 | CR4_DE);
	asm volatile(TRY("movq %%dr4, %0") : "=r"(value) : : "memory");
	report(trapped() == EXC_UD, "DR4: #UD while CR4.DE is set");
	try_write_cr4(cr4);
}

static void test_xcr0(void)
{
	u32 regs[4], lo, hi;
	int vector;

	asm volatile(TRY("xgetbv") : "=a"(lo), "=d"(hi) : "c"(0) : "memory");
	report(trapped() == EXC_UD, "XGETBV: #UD without CR4.OSXSAVE");
	asm volatile(TRY("xsetbv") : : "a"(1), "d"(0), "c"(0) : "memory");
	report(trapped() == EXC_UD, "XSETBV: #UD without CR4.OSXSAVE");
	cpuid(1, 0, regs);
	if (!(regs[2] & 1U << 26)) {
		report_skip("XSETBV: no XSAVE in CPUID");
		return;
	}
	try_write_cr4(read_cr4() | CR4_OSXSAVE);
	asm volatile(TRY("xsetbv") : : "a"(3), "d"(0), "c"(0) : "memory");
	vector = trapped();
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	report(vector == NO_EXC, "XSETBV: XCR0 takes x87 and SSE");
	report_cpu(lo == 3 && !hi, "XGETBV reads it back");	/* TCG: XSETBV is not intercepted */
	asm volatile(TRY("xsetbv") : : "a"(2), "d"(0), "c"(0) : "memory");
	report(trapped() == EXC_GP, "XSETBV: #GP without x87");
	asm volatile(TRY("xsetbv") : : "a"(5), "d"(0), "c"(0) : "memory");
	report(trapped() == EXC_GP, "XSETBV: #GP for AVX without SSE");
	asm volatile(TRY("xsetbv") : : "a"(1), "d"(1 << 29), "c"(0) : "memory");
	report(trapped() == EXC_GP, "XSETBV: #GP for a reserved bit");
	asm volatile(TRY("xsetbv") : : "a"(1), "d"(0), "c"(1) : "memory");
	report(trapped() == EXC_GP, "XSETBV: #GP for XCR1");
	asm volatile("xsetbv" : : "a"(1), "d"(0), "c"(0));
	try_write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* ---- instructions that must not exist, and ones that must do no harm ---- */

#define EXPECT_UD(text) do {						\
	asm volatile(TRY(text) : : "a"(0UL), "c"(0UL), "d"(0UL) : "rbx", "memory");	\
	report(trapped() == EXC_UD, "#UD for %s", text);		\
} while (0)

static u64 user_cpuid(u64 arg)
{
	u32 regs[4];

	cpuid(MON_CPUID_LEAF, arg, regs);
	return regs[0];
}

static u64 user_hlt(u64 arg)
{
	asm volatile("hlt");
	return arg;
}

static u64 user_rdmsr(u64 msr)
{
	return rdmsr(msr);
}

static u64 user_wbinvd(u64 arg)
{
	asm volatile("wbinvd");
	return arg;
}

static u64 user_cr8(u64 arg)
{
	return read_cr8();
}

static u64 user_out(u64 value)
{
	outl(MON_PORT_ECHO, value);
	return 0;
}

static void test_ring3(void)
{
	u64 value = 0;

	report(in_user(user_cpuid, 0, &value) == NO_EXC && value == MON_CPUID_EAX(0),
	       "CPUID works in ring 3");
	report(in_user(user_hlt, 0, &value) == EXC_GP, "HLT: #GP in ring 3");
	report(in_user(user_rdmsr, MSR_PAT, &value) == EXC_GP, "RDMSR: #GP in ring 3");
	report(in_user(user_wbinvd, 0, &value) == EXC_GP, "WBINVD: #GP in ring 3");
	report(in_user(user_cr8, 0, &value) == EXC_GP, "CR8: #GP in ring 3");
	value = in_user(user_out, 0x13572468, &value);
	asm volatile("inl %1, %%eax" : "=a"(value) : "d"((u16)MON_PORT_ECHO));
	report(value == 0x13572468, "OUT works in ring 3 at IOPL 3");
}

static void test_instructions(void)
{
	u32 regs[4];

	EXPECT_UD("vmrun");
	EXPECT_UD("vmload");
	EXPECT_UD("vmsave");
	EXPECT_UD("clgi");		/* before STGI, lest a hypervisor that lets both by hang */
	EXPECT_UD("stgi");
	EXPECT_UD("skinit");
	EXPECT_UD("invlpga");
	EXPECT_UD("rsm");
	EXPECT_UD("ud2");
	cpuid(0x80000008, 0, regs);
	if (!(regs[1] & 1U << 4))
		EXPECT_UD(".byte 0x0f, 0x01, 0xfd /* rdpru */");
	cpuid(7, 0, regs);
	if (!(regs[1] & 1U << 10))
		EXPECT_UD("invpcid (%%rsp), %%rax");

	asm volatile(TRY("rdpmc") : : "c"(0x3fffffff) : "rax", "rdx", "memory");
	report(trapped() == EXC_GP, "RDPMC: #GP for an absent counter");
	asm volatile(TRY("pause; pause; pause; pause") : : : "memory");
	report(trapped() == NO_EXC, "PAUSE");
}

/* ---- caches, HLT ---- */

static void test_caches(void)
{
	asm volatile(TRY("wbinvd") : : : "memory");
	report(trapped() == NO_EXC, "WBINVD");
	asm volatile(TRY("invd") : : : "memory");
	report(trapped() == NO_EXC, "INVD");
}

static void on_timer(struct frame *frame)
{
	timer_fired++;
	apic_eoi();
}

static void test_halt(void)
{
	struct mon_counts from;
	unsigned int i;

	apic_enable(true);
	set_handler(TIMER_VECTOR, on_timer);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
	start_count(&from);
	for (i = 0; i < HALTS; i++) {
		apic_write(APIC_TIMER_INIT, TIMER_NS);
		sti_hlt_cli();
		if (timer_fired != i + 1)
			break;
	}
	check_counts("HLT and the timer", &from, 0);
	report(timer_fired == HALTS, "%u HLTs, each woken by the timer once (%u)", HALTS,
	       timer_fired);
}

int payload_main(void)
{
	test_counts();
	test_ports();
	test_cpuid();
	test_msrs();
	test_poll_control();
	test_rdtscp();
	test_vmmcall();
	test_control_registers();
	test_debug_registers();
	test_xcr0();
	test_instructions();
	test_ring3();
	test_halt();
	test_caches();
	return 0;
}
