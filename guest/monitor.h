/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a payload may ask of the monitor (machine.h): port numbers, the MMIO
 * window and the call block. Shared by both sides, so only fixed-width types.
 */
#ifndef GUEST_MONITOR_H
#define GUEST_MONITOR_H

#define MON_MAGIC		0x3147544e55455845ULL	/* "EXEUNTG1" */
#define MON_LOAD_ADDR		0x100000
#define MON_MAX_VCPUS		8

#define MON_PORT_CONSOLE	0xe9	/* byte: a character of output */
#define MON_PORT_EXIT		0xf4	/* any size: exit status, ends the run */
#define MON_PORT_CALL		0xf8	/* 32 bits: address of a struct mon_call */
#define MON_PORT_ECHO		0x500	/* 1, 2, 4 bytes: reads what was written last */
#define MON_PORT_STREAM		0x510	/* byte: reads 0, 1, 2...; writes are kept */

/* Never backed by a memory slot: 64 KiB that behave as RAM and log each access. */
#define MON_MMIO_BASE		0xd0000000UL
#define MON_MMIO_SIZE		0x10000UL

/* Memory that slots 1 and up may map (MON_SLOT), apart from the main RAM (slot 0). */
#define MON_AUX_SIZE		0x2000000UL

#define MON_VECTOR_NONE		(~0U)
#define MON_KICKED		0x1000	/* no exit reason has this value */

/* A CPUID leaf that only the monitor defines, with two subleaves. */
#define MON_CPUID_LEAF		0x40000100
#define MON_CPUID_EAX(index)	(0x45584555 + (index))
#define MON_CPUID_EBX(index)	(0x12345678 ^ (index))
#define MON_CPUID_ECX(index)	(0x9abcdef0 - (index))
#define MON_CPUID_EDX(index)	(0x0fedcba9 + 16 * (index))

#ifndef __ASSEMBLER__
#include <stdint.h>

/* First bytes of a payload's image, at MON_LOAD_ADDR. */
struct mon_header {
	uint64_t magic;
	uint64_t entry;			/* 64-bit code, interrupts off */
	uint64_t pml4;			/* identity map of the low 4 GiB */
	uint64_t gdt;
	uint64_t gdt_limit;
};

enum mon_op {
	MON_COUNTS,		/* a0: struct mon_counts of this vCPU is stored there */
	MON_ARGS,		/* a0: buffer, a1: size; ret: length of the command line */
	MON_CPUID,		/* a0: struct mon_cpuid[], a1: entries; ret: entries in all */
	MON_INFO,		/* a0: struct mon_info is stored there */
	MON_CATCH,		/* a0: rip to restart at after a fatal exit, with its reason in
				   rdi and suberror in rsi */
	MON_KICK,		/* a0: after us, or 0 to call it off, signal this vCPU; if
				   MON_CATCH is armed then, restart there with MON_KICKED in rdi */
	MON_NMI,		/* an NMI for this vCPU; ret: result of KVM_NMI */
	MON_MSI,		/* a0: address, a1: data; ret: result of KVM_SIGNAL_MSI */
	MON_EXTINT,		/* a0: vector; KVM_INTERRUPT as soon as the vCPU can take it */
	MON_DISCARD,		/* a0: address, a1: bytes; unmap from the monitor, keep contents */
	MON_DISCARD_LATER,	/* as MON_DISCARD, a2: us after which another thread does it */
	MON_RESIDENT,		/* a0: aux offset, a1: bytes; ret: aux pages in memory */
	MON_SLOT,		/* a0: slot, a1: flags, a2: address, a3: size, a4: aux offset */
	MON_AUX_READ,		/* a0: aux offset; ret: 64 bits there */
	MON_AUX_WRITE,		/* a0: aux offset, a1: 64 bits to store */
	MON_DIRTY,		/* a0: slot, a1: buffer, a2: bytes; ret: of KVM_GET_DIRTY_LOG */
	MON_MMIO_LOG,		/* a0: struct mon_mmio[], a1: entries; ret: accesses; empties it */
	MON_STREAM_LOG,		/* a0: buffer, a1: bytes; ret: bytes written; empties, rewinds */
	MON_AUX_DISCARD,	/* a0: aux offset, a1: bytes; contents are lost */
	MON_HUGE,		/* a0: address, or aux offset if a2; a1: bytes; ret: of these, bytes in
				   huge pages of the host's */
	MON_EVENTFD,		/* a0: address, a1: bytes, a2: 1 for a port; an ioeventfd there */
	MON_EVENTFD_END,	/* the same; no longer. ret: how often it was signalled */
	MON_REST,		/* wait in the monitor until MON_WAKE */
	MON_RESTING,		/* a0: wait until so many vCPUs are in MON_REST */
	MON_WAKE,		/* all that are in MON_REST go on */
	MON_SAMPLES,		/* a0: 64-bit samples, a1: how many, a2: cost of measuring nothing,
				   a3: enum mon_outcome, a4: words on it, or 0. For who runs us */
};

enum mon_outcome { MON_MEASURED, MON_SKIPPED, MON_FAILED };
#define MON_MAX_SAMPLES	100000

struct mon_call {
	uint64_t op;
	uint64_t arg[5];
	int64_t ret;			/* or a negative errno */
};

#define MON_EXIT_REASONS	64

struct mon_counts {
	uint64_t runs;			/* KVM_RUN calls */
	uint64_t eintr;			/* of these, interrupted by a signal */
	uint64_t exits[MON_EXIT_REASONS];
};

struct mon_cpuid {
	uint32_t function, index, flags, eax, ebx, ecx, edx;
};

struct mon_info {
	uint32_t vcpus;
	uint32_t tsc_khz;
	uint64_t ram_bytes;
	uint32_t emulated;		/* 1: the host CPU is QEMU's TCG */
	uint32_t nrips;			/* 1: the host CPU saves the next RIP */
};

struct mon_mmio {
	uint64_t addr, data;
	uint32_t len, write;
};

#endif /* __ASSEMBLER__ */
#endif
