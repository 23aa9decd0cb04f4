/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processor as payloads see it: registers and instructions (AMD APM vol. 2,
 * vol. 3), and for each instruction that may fault a wrapper that says if it did.
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#define SEL_CODE		0x08
#define SEL_DATA		0x10
#define SEL_CODE32		0x18
#define SEL_CODE16		0x20
#define SEL_DATA16		0x28
#define SEL_USER_DATA		0x33
#define SEL_USER_CODE		0x3b
#define SEL_TSS			0x40

#define CR4_PAE			0x20
#define EFER_LME		0x100

#define CPU_SIZE		1024	/* of struct cpu */
#define CPU_STACK		8	/* offset of its stack member */
#define STUB_SIZE		16
#define VECTOR_USER_RETURN	0x80
#define AP_START		0x8000

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_UD = 6, EXC_DF = 8, EXC_TS = 10,
       EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_AC = 17 };

#define NO_EXC			(-1)	/* what the try_ wrappers return if all went well */

#define CR0_PE			(1UL << 0)
#define CR0_MP			(1UL << 1)
#define CR0_EM			(1UL << 2)
#define CR0_TS			(1UL << 3)
#define CR0_NE			(1UL << 5)
#define CR0_WP			(1UL << 16)
#define CR0_AM			(1UL << 18)
#define CR0_NW			(1UL << 29)
#define CR0_CD			(1UL << 30)
#define CR0_PG			(1UL << 31)

#define CR4_TSD			(1UL << 2)
#define CR4_DE			(1UL << 3)
#define CR4_OSFXSR		(1UL << 9)
#define CR4_OSXSAVE		(1UL << 18)
#define CR4_SMEP		(1UL << 20)

#define EFER_SCE		(1UL << 0)
#define EFER_LMA		(1UL << 10)
#define EFER_NXE		(1UL << 11)
#define EFER_SVME		(1UL << 12)

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_PAT			0x277
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SFMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

#define RFLAGS_CF		(1UL << 0)
#define RFLAGS_TF		(1UL << 8)
#define RFLAGS_IF		(1UL << 9)
#define RFLAGS_DF		(1UL << 10)

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

struct context {
	u64 regs[8];
};

/* One per CPU, at GS:0. `resume` and `trap` serve the try_ wrappers. */
struct cpu {
	u64 resume;		/* where to go on after the next exception, or 0 */
	u64 stack;		/* top of the stack used in ring 0 */
	struct cpu *self;
	u32 id;
	int trap_vector;
	u64 trap_error, trap_rip, trap_cr2;
	struct context user, fatal;
	int exit_reason;
	u32 suberror;
	bool online;
	u64 user_result;
	void (*volatile work)(void *arg);
	void *volatile work_arg;
	u64 gdt[10];
	u8 tss[104];
} __attribute__((aligned(64)));

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	asm volatile("movq %%gs:16, %0" : "=r"(cpu));
	return cpu;
}

/*
 * TRY(asm text): run it; an exception on the way goes on after it. The text is
 * one instruction or more; what it clobbers beyond its operands is the caller's
 * affair. Afterwards trap_vector is NO_EXC or the vector.
 */
#define TRY(text)	"movl $-1, %%gs:28\n\tmovq $771f, %%gs:0\n\t" text	\
			"\n771:\n\tmovq $0, %%gs:0"

static inline int trapped(void)
{
	int vector;

	asm volatile("movl %%gs:28, %0" : "=r"(vector) : : "memory");
	return vector;
}

static inline void cpuid(u32 leaf, u32 index, u32 regs[4])
{
	asm volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
		     : "a"(leaf), "c"(index));
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline int try_rdmsr(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;

	asm volatile(TRY("rdmsr") : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*value = lo | (u64)hi << 32;
	return trapped();
}

static inline int try_wrmsr(u32 msr, u64 value)
{
	asm volatile(TRY("wrmsr") : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
		     : "memory");
	return trapped();
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (u64)hi << 32;
}

#define DEFINE_CR(n)							\
static inline u64 read_cr##n(void)					\
{									\
	u64 value;							\
									\
	asm volatile("movq %%cr" #n ", %0" : "=r"(value) : : "memory");	\
	return value;							\
}									\
static inline int try_write_cr##n(u64 value)				\
{									\
	asm volatile(TRY("movq %0, %%cr" #n) : : "r"(value) : "memory");	\
	return trapped();						\
}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
DEFINE_CR(8)

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void cli(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	asm volatile("sti" : : : "memory");
}

/* Let interrupts in for one instruction. */
static inline void sti_nop_cli(void)
{
	asm volatile("sti; nop; cli" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause" : : : "memory");
}

static inline u64 read_flags(void)
{
	u64 flags;

	asm volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags;
}

static inline void invlpg(void *addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

#endif /* __ASSEMBLER__ */
#endif
