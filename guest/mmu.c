// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: memory. MMIO with every size and many instruction forms, each access
 * as the monitor saw it; read-only slots; slots that appear, move and go away
 * under a running guest; first touches; dirty logging.
 */
#include "lib.h"

#include <linux/kvm.h>

#define MMIO		MON_MMIO_BASE
#define LOG_MAX		512
#define SLOT_ADDR	0x40000000UL
#define MOVED_ADDR	0x48000000UL
#define HUGE		0x200000UL
#define PAGE		4096UL
#define TABLE		0x3200000UL	/* page table for 4 KiB mappings at SLOT_ADDR */
#define BITMAP		0x3300000UL
#define SLOT		1
#define READONLY_SLOT	2
#define DIRTY_SLOT	3

extern u64 boot_pd[];
extern u8 near_window[];		/* addresses within reach of RIP-relative operands */

static struct mon_mmio log[LOG_MAX];
static long logged;

/* ---- the monitor's log ---- */

static void log_start(void)
{
	mon_call(MON_MMIO_LOG, 0, 0, 0, 0, 0);
}

static void log_read(void)
{
	logged = mon_call(MON_MMIO_LOG, (u64)log, LOG_MAX, 0, 0, 0);
}

static bool log_entry(long i, u64 addr, u32 len, bool write, u64 data)
{
	u64 mask = len == 8 ? ~0UL : (1UL << 8 * len) - 1;

	return i < logged && log[i].addr == addr && log[i].len == len && log[i].write == write &&
	       (log[i].data & mask) == (data & mask);
}

static u64 mmio_get(u64 offset)
{
	return *(volatile u64 *)(MMIO + offset);
}

static void mmio_put(u64 offset, u64 value)
{
	*(volatile u64 *)(MMIO + offset) = value;
}

/* ---- plain reads and writes ---- */

#define READ_FORM(name, text, len, in_memory, before, want) do {		\
	volatile u64 got = (before);						\
	mmio_put(0, in_memory);							\
	log_start();								\
	if (!catch_fatal())							\
		asm volatile(text : "+a"(got) : "d"(MMIO) : "rcx", "rsi", "r9",	\
			     "memory", "cc");					\
	forget_fatal();								\
	log_read();								\
	report(got == (want) && logged == 1 && log_entry(0, MMIO, len, false, in_memory),	\
	       "read: %s (%lx)", name, got);					\
} while (0)

static void test_reads(void)
{
	const u64 v = 0x8182838485868788UL, r = 0x1122334455667788UL;

	READ_FORM("mov r8", "movb (%%rdx), %%al", 1, v, r, 0x1122334455667788UL);
	READ_FORM("mov r16", "movw (%%rdx), %%ax", 2, v, r, 0x1122334455668788UL);
	READ_FORM("mov r32", "movl (%%rdx), %%eax", 4, v, r, 0x85868788UL);
	READ_FORM("mov r64", "movq (%%rdx), %%rax", 8, v, r, v);
	READ_FORM("mov high byte", "movb (%%rdx), %%ah", 1, v, r, 0x1122334455668888UL);
	READ_FORM("mov r9", "movq (%%rdx), %%r9; movq %%r9, %%rax", 8, v, r, v);
	READ_FORM("movzx 8 to 32", "movzbl (%%rdx), %%eax", 1, v, r, 0x88UL);
	READ_FORM("movzx 8 to 16", "movzbw (%%rdx), %%ax", 1, v, r, 0x1122334455660088UL);
	READ_FORM("movzx 16 to 64", "movzwq (%%rdx), %%rax", 2, v, r, 0x8788UL);
	READ_FORM("movsx 8 to 64", "movsbq (%%rdx), %%rax", 1, v, r, 0xffffffffffffff88UL);
	READ_FORM("movsx 16 to 32", "movswl (%%rdx), %%eax", 2, v, r, 0xffff8788UL);
	READ_FORM("movsxd", "movslq (%%rdx), %%rax", 4, v, r, 0xffffffff85868788UL);
	READ_FORM("mov with SIB", "xorl %%ecx, %%ecx; movl (%%rdx,%%rcx,8), %%eax", 4, v, r,
		  0x85868788UL);
	READ_FORM("mov with disp32", "subq $0x1000, %%rdx; movl 0x1000(%%rdx), %%eax;"
		  "addq $0x1000, %%rdx", 4, v, r, 0x85868788UL);
	READ_FORM("mov from an absolute address", "movabsl 0xd0000000, %%eax", 4, v, r,
		  0x85868788UL);
	READ_FORM("mov with an address-size prefix", "movl (%%edx), %%eax", 4, v, r, 0x85868788UL);
	READ_FORM("add r, m", "addl (%%rdx), %%eax", 4, v, 1, 0x85868789UL);
	READ_FORM("sub r, m", "subl (%%rdx), %%eax", 4, 1, 5, 4UL);
	READ_FORM("and r, m", "andq (%%rdx), %%rax", 8, 0xff00, 0xfff0, 0xff00UL);
	READ_FORM("or r, m", "orb (%%rdx), %%al", 1, 0x0f, 0xf0, 0xffUL);
	READ_FORM("xor r, m", "xorw (%%rdx), %%ax", 2, 0xffff, 0xf0f0, 0x0f0fUL);
	READ_FORM("cmp r, m", "cmpl (%%rdx), %%eax; sete %%al", 4, 7, 7, 1UL);
	READ_FORM("cmp m, r", "cmpl %%eax, (%%rdx); setb %%al", 4, 6, 7, 1UL);
	READ_FORM("cmp m, imm", "cmpw $0x1234, (%%rdx); sete %%al; movzbl %%al, %%eax", 2, 0x1234,
		  7, 1UL);
	READ_FORM("test m, r", "testb %%al, (%%rdx); setnz %%al", 1, 0x10, 0x10, 1UL);
	READ_FORM("test m, imm", "testl $0x100, (%%rdx); setnz %%al; movzbl %%al, %%eax", 4, 0x100,
		  0, 1UL);
	READ_FORM("bt m, imm", "btl $5, (%%rdx); setc %%al; movzbl %%al, %%eax", 4, 0x20, 0, 1UL);
	READ_FORM("lods", "movq %%rdx, %%rsi; lodsl", 4, v, r, 0x85868788UL);
	READ_FORM("push m", "pushq (%%rdx); popq %%rax", 8, v, r, v);
	READ_FORM("cmovcc", "cmpl %%edx, %%edx; cmovel (%%rdx), %%eax", 4, v, r, 0x85868788UL);
	READ_FORM("imul r, m", "imull (%%rdx), %%eax", 4, 3, 5, 15UL);
}

#define WRITE_FORM(name, text, len, value, want) do {				\
	volatile u64 rax = (value);						\
	mmio_put(8, 0);								\
	log_start();								\
	if (!catch_fatal())							\
		asm volatile(text : "+a"(rax) : "d"(MMIO + 8) : "rcx", "rdi", "memory",	\
			     "cc");						\
	forget_fatal();								\
	log_read();								\
	report(logged == 1 && log_entry(0, MMIO + 8, len, true, want) && mmio_get(8) == (want),	\
	       "write: %s", name);						\
} while (0)

static void test_writes(void)
{
	const u64 v = 0xfedcba9876543210UL;

	WRITE_FORM("mov m8", "movb %%al, (%%rdx)", 1, v, 0x10UL);
	WRITE_FORM("mov m16", "movw %%ax, (%%rdx)", 2, v, 0x3210UL);
	WRITE_FORM("mov m32", "movl %%eax, (%%rdx)", 4, v, 0x76543210UL);
	WRITE_FORM("mov m64", "movq %%rax, (%%rdx)", 8, v, v);
	WRITE_FORM("mov high byte", "movb %%ah, (%%rdx)", 1, v, 0x32UL);
	WRITE_FORM("mov m8, imm", "movb $0x5a, (%%rdx)", 1, v, 0x5aUL);
	WRITE_FORM("mov m16, imm", "movw $0x5aa5, (%%rdx)", 2, v, 0x5aa5UL);
	WRITE_FORM("mov m32, imm", "movl $0x12345678, (%%rdx)", 4, v, 0x12345678UL);
	WRITE_FORM("mov m64, imm", "movq $-2, (%%rdx)", 8, v, 0xfffffffffffffffeUL);
	WRITE_FORM("mov to an absolute address", "movabsl %%eax, 0xd0000008", 4, v, 0x76543210UL);
	boot_pd[(u64)near_window >> 21] = MMIO | 0x87;
	try_write_cr3(read_cr3());
	WRITE_FORM("mov, RIP-relative", "movl %%eax, near_window + 8(%%rip)", 4, v, 0x76543210UL);
	WRITE_FORM("mov imm, RIP-relative", "movl $0x1234, near_window + 8(%%rip)", 4, v, 0x1234UL);
	WRITE_FORM("stos", "movq %%rdx, %%rdi; stosl", 4, v, 0x76543210UL);
	WRITE_FORM("setcc", "cmpl %%edx, %%edx; sete (%%rdx)", 1, v, 1UL);
	WRITE_FORM("pop m", "pushq %%rax; popq (%%rdx)", 8, v, v);
	WRITE_FORM("movnti", "movnti %%eax, (%%rdx)", 4, v, 0x76543210UL);
}

#define RMW_FORM(name, text, len, in_memory, reg, want, want_reg) do {		\
	volatile u64 rax = (reg);						\
	mmio_put(16, in_memory);						\
	log_start();								\
	if (!catch_fatal())							\
		asm volatile(text : "+a"(rax) : "d"(MMIO + 16) : "rcx", "memory", "cc");	\
	forget_fatal();								\
	log_read();								\
	report(logged == 2 && log_entry(0, MMIO + 16, len, false, in_memory) &&	\
	       log_entry(1, MMIO + 16, len, true, want) && mmio_get(16) == (want) &&	\
	       rax == (want_reg), "read and write: %s (%lx)", name, rax);	\
} while (0)

static void test_rmw(void)
{
	RMW_FORM("add m, r", "addl %%eax, (%%rdx)", 4, 1UL, 2, 3UL, 2);
	RMW_FORM("add m, imm8", "addl $-1, (%%rdx)", 4, 5UL, 2, 4UL, 2);
	RMW_FORM("sub m64, r", "subq %%rax, (%%rdx)", 8, 1UL << 32, 1, 0xffffffffUL, 1);
	RMW_FORM("and m8, imm", "andb $0xf0, (%%rdx)", 1, 0xffUL, 2, 0xf0UL, 2);
	RMW_FORM("or m16, r", "orw %%ax, (%%rdx)", 2, 0x00ffUL, 0x1200, 0x12ffUL, 0x1200);
	RMW_FORM("xor m, imm32", "xorl $0xffffffff, (%%rdx)", 4, 0x0f0f0f0fUL, 1, 0xf0f0f0f0UL, 1);
	RMW_FORM("adc m, r", "stc; adcl %%eax, (%%rdx)", 4, 1UL, 2, 4UL, 2);
	RMW_FORM("inc m", "incw (%%rdx)", 2, 0xfffeUL, 2, 0xffffUL, 2);
	RMW_FORM("dec m", "decb (%%rdx)", 1, 1UL, 2, 0UL, 2);
	RMW_FORM("not m", "notl (%%rdx)", 4, 0UL, 2, 0xffffffffUL, 2);
	RMW_FORM("neg m", "negb (%%rdx)", 1, 1UL, 2, 0xffUL, 2);
	RMW_FORM("shl m", "shll $4, (%%rdx)", 4, 1UL, 2, 0x10UL, 2);
	RMW_FORM("lock or m, r", "lock orl %%eax, (%%rdx)", 4, 1UL, 2, 3UL, 2);
	RMW_FORM("xchg", "xchgl %%eax, (%%rdx)", 4, 0x1234UL, 0x5678, 0x5678UL, 0x1234);
	RMW_FORM("xadd", "xaddl %%eax, (%%rdx)", 4, 5UL, 7, 12UL, 5);
	RMW_FORM("bts m, imm", "btsl $7, (%%rdx)", 4, 0UL, 2, 0x80UL, 2);
	RMW_FORM("btr m, imm", "btrl $0, (%%rdx)", 4, 3UL, 2, 2UL, 2);
	RMW_FORM("btc m, imm", "btcl $1, (%%rdx)", 4, 2UL, 2, 0UL, 2);
	RMW_FORM("bts m, r", "btsl %%eax, (%%rdx)", 4, 0UL, 9, 0x200UL, 9);
	RMW_FORM("bts m, r beyond the operand", "btsl %%eax, -8(%%rdx)", 4, 0UL, 2 * 32 + 5, 0x20UL,
		 2 * 32 + 5);
	RMW_FORM("cmpxchg", "cmpxchgl %%edx, (%%rdx)", 4, 7UL, 7, MMIO + 16, 7);
}

/* ---- strings and addresses that cross ---- */

static void test_strings(void)
{
	static u8 buffer[64];
	void *to, *from;
	unsigned int i;
	u64 count;
	bool ok;

	for (i = 0; i < sizeof(buffer); i++)
		buffer[i] = i;
	log_start();
	to = (void *)(MMIO + 0x100), from = buffer, count = 8;
	asm volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	log_read();
	ok = logged == 8;
	for (i = 0; i < 8; i++)
		ok &= log_entry(i, MMIO + 0x100 + 4 * i, 4, true, ((u32 *)buffer)[i]);
	report(ok && !count && to == (void *)(MMIO + 0x120) && from == buffer + 32,
	       "rep movs from memory to MMIO");

	memset(buffer, 0, 32);
	log_start();
	to = buffer, from = (void *)(MMIO + 0x100), count = 16;
	asm volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	log_read();
	ok = logged == 16;
	for (i = 0; i < 32; i++)
		ok &= buffer[i] == i;
	report(ok && !count && to == buffer + 32, "rep movs from MMIO to memory (%ld)", logged);

	log_start();
	to = (void *)(MMIO + 0x200), from = (void *)(MMIO + 0x100), count = 4;
	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	log_read();
	report(logged == 8 && !count && mmio_get(0x200) == 0x0706050403020100UL &&
	       mmio_get(0x218) == 0x1f1e1d1c1b1a1918UL, "rep movs from MMIO to MMIO");

	log_start();
	to = (void *)(MMIO + 0x300), count = 5;
	asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0xaa) : "memory");
	log_read();
	report(logged == 5 && !count && mmio_get(0x300) == 0xaaaaaaaaaaUL, "rep stos");

	log_start();
	to = (void *)(MMIO + 0x30f), count = 3;
	asm volatile("std; rep stosb; cld" : "+D"(to), "+c"(count) : "a"(0xbb) : "memory");
	log_read();
	report(logged == 3 && log_entry(0, MMIO + 0x30f, 1, true, 0xbb) &&
	       log_entry(2, MMIO + 0x30d, 1, true, 0xbb), "rep stos, backwards");

	log_start();
	to = (void *)(MMIO + 0x300), count = 0;
	asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0xaa) : "memory");
	log_read();
	report(!logged, "rep stos with a count of 0 touches nothing");

	log_start();
	to = (void *)(MMIO + 0x300), from = (void *)(MMIO + 0x300), count = 8;
	asm volatile("repe cmpsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc");
	report(!count, "repe cmps");
	to = (void *)(MMIO + 0x300), count = 8;
	asm volatile("repe scasb" : "+D"(to), "+c"(count) : "a"(0xaa) : "memory", "cc");
	report(to == (void *)(MMIO + 0x306) && count == 2, "repe scas stops where it differs");
}

/* All accesses together write or read each byte of [addr, addr + len) once. */
static bool log_covers(u64 addr, u32 len, bool write)
{
	u32 i, covered = 0;

	for (i = 0; i < logged; i++) {
		if (log[i].write != write || log[i].addr < addr ||
		    log[i].addr + log[i].len > addr + len)
			return false;
		covered += log[i].len;
	}
	return covered == len;
}

static void test_crossing(void)
{
	const u64 end_of_page = MMIO + PAGE;
	u64 value = 0;

	mmio_put(PAGE - 8, 0);
	mmio_put(PAGE, 0);
	log_start();
	asm volatile("movq %0, (%1)" : : "r"(0x1122334455667788UL), "r"(end_of_page - 3)
		     : "memory");
	log_read();
	report(log_covers(end_of_page - 3, 8, true) && logged >= 2 &&
	       mmio_get(PAGE - 8) == 0x6677880000000000UL && mmio_get(PAGE) == 0x1122334455UL,
	       "a write across two MMIO pages");
	log_start();
	asm volatile("movq (%1), %0" : "=r"(value) : "r"(end_of_page - 3) : "memory");
	log_read();
	report(log_covers(end_of_page - 3, 8, false) && value == 0x1122334455667788UL,
	       "a read across two MMIO pages (%lx)", value);
	log_start();
	asm volatile("movl (%1), %k0" : "=r"(value) : "r"(MMIO + 0x41) : "memory");
	log_read();
	report(log_covers(MMIO + 0x41, 4, false), "a read that is not aligned");
}

/* ---- slots ---- */

static long set_slot(u32 slot, u32 flags, u64 addr, u64 size, u64 aux)
{
	return mon_call(MON_SLOT, slot, flags, addr, size, aux);
}

static void test_memory_to_mmio(void)
{
	volatile u64 *last = (u64 *)(SLOT_ADDR + PAGE - 8);
	u64 value;

	set_slot(SLOT, 0, SLOT_ADDR, PAGE, 0);
	*last = 0x0807060504030201UL;
	log_start();
	asm volatile("movq (%1), %0" : "=r"(value) : "r"(SLOT_ADDR + PAGE - 4) : "memory");
	log_read();
	report(log_covers(SLOT_ADDR + PAGE, 4, false) && value == 0xffffffff08070605UL,
	       "a read from memory into MMIO (%lx)", value);
	log_start();
	asm volatile("movq %0, (%1)" : : "r"(0x1817161514131211UL), "r"(SLOT_ADDR + PAGE - 4)
		     : "memory");
	log_read();
	report(log_covers(SLOT_ADDR + PAGE, 4, true) && *last == 0x1413121104030201UL,
	       "a write from memory into MMIO (%lx)", *last);
	set_slot(SLOT, 0, SLOT_ADDR, 0, 0);
}

static void test_slots(void)
{
	volatile u64 *here = (u64 *)SLOT_ADDR, *there = (u64 *)MOVED_ADDR;
	unsigned int turn, good = 0;

	log_start();
	report(*here == ~0UL, "no slot: reads go to the monitor");
	log_read();
	report(logged == 1 && log_entry(0, SLOT_ADDR, 8, false, ~0UL), "by one exit");

	mon_call(MON_AUX_WRITE, 0, 0x1234, 0, 0, 0);
	report(!set_slot(SLOT, 0, SLOT_ADDR, HUGE, 0), "slot created under a running guest");
	log_start();
	report(*here == 0x1234, "its memory is there");
	*here = 0x5678;
	log_read();
	report(!logged && mon_call(MON_AUX_READ, 0, 0, 0, 0, 0) == 0x5678,
	       "written without an exit, seen by the monitor");
	report(!set_slot(SLOT, 0, MOVED_ADDR, HUGE, 0), "slot moved");
	log_start();
	report(*here == ~0UL && *there == 0x5678, "its memory has moved too");
	log_read();
	report(logged == 1, "and the old place is MMIO");
	report(!set_slot(SLOT, 0, MOVED_ADDR, 0, 0), "slot deleted");
	report(*there == ~0UL, "its memory is gone");
	for (turn = 0; turn < 50; turn++) {
		set_slot(SLOT, 0, SLOT_ADDR, HUGE, turn * PAGE);
		*here = turn;
		set_slot(SLOT, 0, SLOT_ADDR, 0, 0);
		good += *here == ~0UL && mon_call(MON_AUX_READ, turn * PAGE, 0, 0, 0, 0) == turn;
	}
	report(good == 50, "created, written, deleted 50 times (%u)", good);
}

static void test_readonly(void)
{
	volatile u32 *p = (u32 *)SLOT_ADDR;
	u32 value;

	mon_call(MON_AUX_WRITE, 0, 0x55667788, 0, 0, 0);
	report(!set_slot(READONLY_SLOT, KVM_MEM_READONLY, SLOT_ADDR, HUGE, 0), "read-only slot");
	log_start();
	value = *p;
	log_read();
	report(value == 0x55667788 && !logged, "read without an exit");
	log_start();
	*p = 0x1111;
	log_read();
	report(logged == 1 && log_entry(0, SLOT_ADDR, 4, true, 0x1111), "a write is an MMIO exit");
	report(*p == 0x55667788, "and changes nothing");
	log_start();
	asm volatile("addl $1, %0" : "+m"(*p));
	log_read();
	report(logged == 1 && log_entry(0, SLOT_ADDR, 4, true, 0x55667789),
	       "read and write: the read is from memory, the write exits (%ld)", logged);
	set_slot(READONLY_SLOT, 0, SLOT_ADDR, 0, 0);
}

/* ---- faults ---- */

/* Map SLOT_ADDR with 4 KiB guest pages (small) or as the boot tables do. */
static void map_slot(bool small)
{
	u64 *table = (u64 *)TABLE;
	unsigned int i;

	for (i = 0; i < 512; i++)
		table[i] = (SLOT_ADDR + i * PAGE) | 7;
	boot_pd[SLOT_ADDR >> 21] = small ? TABLE | 7 : SLOT_ADDR | 0x87;
	try_write_cr3(read_cr3());
}

static void test_first_touch(bool small)
{
	const char *kind = small ? "4K" : "2M";
	const u64 aux = small ? MON_AUX_SIZE / 4 : MON_AUX_SIZE / 2;
	long before, after;
	unsigned int i;
	bool ok = true;

	map_slot(small);
	set_slot(SLOT, 0, SLOT_ADDR, HUGE, aux);
	before = mon_call(MON_RESIDENT, aux, HUGE, 0, 0, 0);
	for (i = 0; i < 64; i++)
		((volatile u64 *)SLOT_ADDR)[i * PAGE / 8] = i;
	after = mon_call(MON_RESIDENT, aux, HUGE, 0, 0, 0);
	report(before == 0 && (after == 64 || (!small && after == 512)),
	       "%s: 64 pages touched make 64 pages, or one huge page (%ld, %ld)", kind, before,
	       after);
	for (i = 0; i < 64; i++)
		ok &= mon_call(MON_AUX_READ, aux + i * PAGE, 0, 0, 0, 0) == i;
	report(ok, "%s: the monitor sees what was written", kind);
	for (i = 0; i < 512; i++)
		ok &= ((volatile u64 *)SLOT_ADDR)[i * PAGE / 8] == (i < 64 ? i : 0);
	report(ok, "%s: untouched pages read as 0", kind);
	set_slot(SLOT, 0, SLOT_ADDR, 0, 0);
	map_slot(false);
}

static void test_discard(void)
{
	volatile u64 *p = (u64 *)0x3400000UL;
	unsigned int i, good = 0;

	for (i = 0; i < 64; i++) {
		p[i * 512] = i;
		mon_call(MON_DISCARD, (u64)p, 64 * PAGE, 0, 0, 0);
		good += p[i * 512] == i;
	}
	report(good == 64, "memory comes back after the monitor unmapped it (%u)", good);
}

static bool dirty(unsigned int page)
{
	return ((volatile u8 *)BITMAP)[page / 8] >> page % 8 & 1;
}

static bool dirty_is(u64 pages)
{
	unsigned int i;
	bool ok = true;

	memset((void *)BITMAP, 0, PAGE);
	if (mon_call(MON_DIRTY, DIRTY_SLOT, BITMAP, PAGE, 0, 0))
		return false;
	for (i = 0; i < 512; i++)
		ok &= dirty(i) == (i < 64 && (pages >> i & 1));
	return ok;
}

static void test_dirty_log(void)
{
	volatile u64 *p = (u64 *)SLOT_ADDR;

	set_slot(DIRTY_SLOT, 0, SLOT_ADDR, HUGE, 0);
	p[0] = p[512] = p[2 * 512] = p[3 * 512] = p[9 * 512] = 1;
	set_slot(DIRTY_SLOT, KVM_MEM_LOG_DIRTY_PAGES, SLOT_ADDR, HUGE, 0);
	report(dirty_is(0), "dirty log: nothing at first");
	p[512] = 2;
	p[3 * 512] = p[2 * 512];
	report(dirty_is(1UL << 1 | 1UL << 3), "dirty log: what was written, not what was read");
	report(dirty_is(0), "dirty log: reading it clears it");
	p[512] = 3;
	report(dirty_is(1UL << 1), "dirty log: written again, dirty again");
	p[9 * 512] = 1;
	mon_call(MON_SLOT, DIRTY_SLOT, 0, SLOT_ADDR, HUGE, 0);
	report(mon_call(MON_DIRTY, DIRTY_SLOT, BITMAP, PAGE, 0, 0) == -2,
	       "dirty log: ENOENT once logging is off");
	set_slot(DIRTY_SLOT, 0, SLOT_ADDR, 0, 0);
}

int payload_main(void)
{
	test_reads();
	test_writes();
	test_rmw();
	test_strings();
	test_crossing();
	test_memory_to_mmio();
	test_slots();
	test_readonly();
	test_first_touch(true);
	test_first_touch(false);
	test_discard();
	test_dirty_log();
	return 0;
}
