// SPDX-License-Identifier: GPL-2.0
/*
 * The payloads' library: see lib.h. Owns the CPUs' structures, the IDT and the console.
 */
#include <stdarg.h>

#include "apic.h"
#include "lib.h"

#define STACK_BYTES	16384
#define ARGS_BYTES	512

_Static_assert(sizeof(struct cpu) <= CPU_SIZE, "CPU_SIZE");
_Static_assert(offsetof(struct cpu, stack) == CPU_STACK, "CPU_STACK");
_Static_assert(offsetof(struct cpu, self) == 16, "this_cpu()");
_Static_assert(offsetof(struct cpu, trap_vector) == 28, "TRY()");

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
	u32 offset_high, reserved;
};

struct __attribute__((packed)) descriptor_pointer {
	u16 limit;
	u64 base;
};

union cpu_slot {
	struct cpu cpu;
	u8 bytes[CPU_SIZE];
};

#define HLT_BYTES	1

extern u8 exception_stubs[], ap_trampoline[], ap_trampoline_end[], catch_entry[], halt_insn[];
extern u64 boot_gdt[10];

union cpu_slot cpus[MON_MAX_VCPUS];
static u8 stacks[MON_MAX_VCPUS][STACK_BYTES] __attribute__((aligned(4096)));
static u8 user_stacks[MON_MAX_VCPUS][STACK_BYTES] __attribute__((aligned(16)));
static struct gate idt[256] __attribute__((aligned(4096)));
static void (*handlers[256])(struct frame *frame);
static struct mon_info host;
static char args[ARGS_BYTES];

void cpus_init(void);
void load_tables(void);
void exception(struct frame *frame);
void catch_return(int reason, u32 suberror);
void ap_main(void);
void context_go(struct context *context, int value) __attribute__((noreturn));
void user_enter(u64 (*fn)(u64), u64 arg, u64 stack) __attribute__((noreturn));

void *memset(void *to, int c, size_t n)
{
	void *at = to;

	asm volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n && *x == *y; n--)
		x++, y++;
	return n ? *x - *y : 0;
}

static void put_string(const char *s)
{
	for (; *s; s++)
		outb(MON_PORT_CONSOLE, *s);
}

static void put_number(u64 value, unsigned int base, bool negative, unsigned int width, char pad)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		*--at = '-';
	while (at > digits && digits + sizeof(digits) - 1 - at < width)
		*--at = pad;
	put_string(at);
}

/* %s %c %d %u %x %p %%, with l, a width and a leading 0. */
static void vprintf(const char *f, va_list ap)
{
	unsigned int width;
	bool is_long;
	char pad;
	long n;

	for (; *f; f++) {
		if (*f != '%') {
			outb(MON_PORT_CONSOLE, *f);
			continue;
		}
		pad = *++f == '0' ? '0' : ' ';
		for (width = 0; *f >= '0' && *f <= '9'; f++)
			width = 10 * width + *f - '0';
		is_long = *f == 'l';
		f += is_long;
		switch (*f) {
		case 's':
			put_string(va_arg(ap, const char *));
			break;
		case 'c':
			outb(MON_PORT_CONSOLE, va_arg(ap, int));
			break;
		case 'd':
			n = is_long ? va_arg(ap, long) : va_arg(ap, int);
			put_number(n < 0 ? -(u64)n : (u64)n, 10, n < 0, width, pad);
			break;
		case 'u':
		case 'x':
			n = is_long ? va_arg(ap, long) : va_arg(ap, u32);
			put_number(n, *f == 'u' ? 10 : 16, false, width, pad);
			break;
		default:
			outb(MON_PORT_CONSOLE, *f);
		}
	}
}

void printf(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

static void report_line(const char *verdict, const char *format, va_list ap)
{
	printf("%s ", verdict);
	vprintf(format, ap);
	printf("\n");
}

bool report(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_line(ok ? "PASS" : "FAIL", format, ap);
	va_end(ap);
	return ok;
}

bool report_cpu(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_line(ok ? "PASS" : host.emulated ? "SKIP (TCG)" : "FAIL", format, ap);
	va_end(ap);
	return ok;
}

unsigned int tries(void)
{
	return host.emulated ? 10 : 1;
}

void report_skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_line("SKIP", format, ap);
	va_end(ap);
}

/* The place after `word` on the command line, or NULL. */
static const char *find_arg(const char *word)
{
	const char *at = args, *w;

	while (*at) {
		for (w = word; *w && *w == *at; w++)
			at++;
		if (!*w && (*at == ' ' || !*at))
			return at;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

bool has_arg(const char *word)
{
	return find_arg(word) != NULL;
}

u64 arg_number(const char *word, u64 otherwise)
{
	const char *at = find_arg(word);
	u64 n = 0;

	if (!at || *at != ' ')
		return otherwise;
	for (at++; *at >= '0' && *at <= '9'; at++)
		n = 10 * n + *at - '0';
	return n;
}

long mon_call(u64 op, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
	struct mon_call call = { op, { a0, a1, a2, a3, a4 }, 0 };

	outl(MON_PORT_CALL, (u32)(u64)&call);
	return call.ret;
}

void mon_exit(int status)
{
	for (;;)
		outl(MON_PORT_EXIT, status);
}

void mon_info(struct mon_info *info)
{
	*info = host;
}

u64 mon_exits(unsigned int reason)
{
	struct mon_counts counts;

	mon_call(MON_COUNTS, (u64)&counts, 0, 0, 0, 0);
	return counts.exits[reason];
}

void set_gate(u8 vector, u64 entry, unsigned int dpl)
{
	if (!entry)
		entry = (u64)exception_stubs + vector * STUB_SIZE;
	idt[vector] = (struct gate){
		.offset_low = entry, .selector = SEL_CODE, .type = 0x8e | dpl << 5,
		.offset_mid = entry >> 16, .offset_high = entry >> 32,
	};
}

void *idt_base(void)
{
	return idt;
}

void set_handler(u8 vector, void (*handler)(struct frame *frame))
{
	handlers[vector] = handler;
}

struct cpu *cpu_by_id(unsigned int id)
{
	return &cpus[id].cpu;
}

/* First thing the first CPU does, on the boot stack. */
void cpus_init(void)
{
	unsigned int i;
	struct cpu *cpu;

	for (i = 0; i < MON_MAX_VCPUS; i++) {
		cpu = &cpus[i].cpu;
		cpu->self = cpu;
		cpu->id = i;
		cpu->stack = (u64)stacks[i] + STACK_BYTES;
		memcpy(cpu->gdt, boot_gdt, sizeof(cpu->gdt));
	}
	for (i = 0; i < 256; i++)
		set_gate(i, 0, i == VECTOR_USER_RETURN || i == EXC_BP ? 3 : 0);
	mon_call(MON_INFO, (u64)&host, 0, 0, 0, 0);
	mon_call(MON_ARGS, (u64)args, sizeof(args), 0, 0, 0);
}

/* Load this CPU's GDT, IDT and TSS, whose RSP0 is the upper half of its stack. */
void load_tables(void)
{
	struct cpu *cpu = this_cpu();
	struct descriptor_pointer gdtr = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };
	struct descriptor_pointer idtr = { sizeof(idt) - 1, (u64)idt };
	u64 tss = (u64)cpu->tss, rsp0 = cpu->stack - STACK_BYTES / 2;

	memcpy(cpu->tss + 4, &rsp0, sizeof(rsp0));
	cpu->tss[102] = sizeof(cpu->tss);	/* no I/O permission map */
	cpu->gdt[SEL_TSS / 8] = (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 | 0x89UL << 40 |
				(tss >> 24 & 0xff) << 56;
	cpu->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	asm volatile("lgdt %0\n\tlidt %1\n\tltr %2\n\t"
		     : : "m"(gdtr), "m"(idtr), "r"((u16)SEL_TSS) : "memory");
}

static void unexpected(struct frame *frame)
{
	printf("FAIL unexpected exception %lu, error %lx, at %lx:%lx, cr2 %lx, rsp %lx, cpu %u\n",
	       frame->vector, frame->error, frame->cs, frame->rip, read_cr2(), frame->rsp,
	       this_cpu()->id);
	mon_exit(1);
}

/* Every exception and interrupt that has no gate of its own comes here. */
void exception(struct frame *frame)
{
	struct cpu *cpu = this_cpu();

	if (handlers[frame->vector]) {
		if (frame->vector >= 32 && frame->rip == (u64)halt_insn)
			frame->rip += HLT_BYTES;
		handlers[frame->vector](frame);
		return;
	}
	if (frame->vector == VECTOR_USER_RETURN) {
		cpu->user_result = frame->rax;
		context_go(&cpu->user, VECTOR_USER_RETURN + 1);
	}
	cpu->trap_vector = frame->vector;
	cpu->trap_error = frame->error;
	cpu->trap_rip = frame->rip;
	cpu->trap_cr2 = read_cr2();
	if ((frame->cs & 3) == 3)
		context_go(&cpu->user, frame->vector + 1);
	if (!cpu->resume)
		unexpected(frame);
	frame->rip = cpu->resume;
	cpu->resume = 0;
}

int in_user(u64 (*fn)(u64), u64 arg, u64 *result)
{
	struct cpu *cpu = this_cpu();
	int how = context_save(&cpu->user);

	if (!how)
		user_enter(fn, arg, (u64)user_stacks[cpu->id] + STACK_BYTES);
	asm volatile("movl %0, %%ds; movl %0, %%es" : : "r"(SEL_DATA));
	if (how != VECTOR_USER_RETURN + 1)
		return how - 1;
	*result = cpu->user_result;
	return NO_EXC;
}

/* On the fresh stack of catch_entry: back to expect_fatal(). */
void catch_return(int reason, u32 suberror)
{
	struct cpu *cpu = this_cpu();

	cpu->suberror = suberror;
	context_go(&cpu->fatal, reason + 1);
}

void arm_fatal(void)
{
	mon_call(MON_CATCH, (u64)catch_entry, 0, 0, 0, 0);
}

void forget_fatal(void)
{
	mon_call(MON_CATCH, 0, 0, 0, 0, 0);
	this_cpu()->resume = 0;
}

int expect_fatal(void (*fn)(void *), void *arg)
{
	int how = catch_fatal();

	if (!how)
		fn(arg);
	forget_fatal();
	return how - 1;
}

void ap_main(void)
{
	struct cpu *cpu = this_cpu();

	cpu->online = true;
	for (;;) {
		while (!cpu->work)
			pause();
		cpu->work(cpu->work_arg);
		cpu->work = NULL;
	}
}

void on_cpu_start(unsigned int id, void (*fn)(void *), void *arg)
{
	cpus[id].cpu.work_arg = arg;
	cpus[id].cpu.work = fn;
}

bool on_cpu_busy(unsigned int id)
{
	return cpus[id].cpu.work != NULL;
}

void on_cpu_wait(unsigned int id)
{
	while (on_cpu_busy(id))
		pause();
}

void on_cpu(unsigned int id, void (*fn)(void *), void *arg)
{
	on_cpu_start(id, fn, arg);
	on_cpu_wait(id);
}

unsigned int start_cpus(void)
{
	volatile bool *online;
	unsigned int i;

	memcpy((void *)AP_START, ap_trampoline, ap_trampoline_end - ap_trampoline);
	for (i = 1; i < host.vcpus; i++) {
		online = &cpus[i].cpu.online;
		apic_icr(i, APIC_INIT);
		apic_icr(i, APIC_STARTUP | AP_START >> 12);
		while (!*online)
			pause();
	}
	return host.vcpus;
}
