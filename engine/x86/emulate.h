/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions that the engine completes in software: MMIO, port I/O, and those whose length must
 * be found because the CPU does not save the next RIP. Owns struct emul: what an instruction waits
 * for while the VMM acts.
 *
 * An instruction that needs a value from the VMM runs twice or more often: a run that meets an
 * unanswered MMIO read changes nothing and exits; emulate_complete() keeps the answer and runs what
 * was decoded then again, since the instruction is still the one that the CPU had begun. MMIO writes are collected, and go to the VMM one a time after the instruction
 * has changed registers, flags and RIP.
 */
#ifndef EXEUNT_X86_EMULATE_H
#define EXEUNT_X86_EMULATE_H

#include "host.h"
#include "x86/insn.h"

struct vcpu;
struct kvm_translation;

#define EMUL_MAX_FRAGMENTS	4	/* two operands, each across a page boundary */

/* One piece of an MMIO access: at most 8 bytes, within one page. */
struct mmio_fragment {
	u64 gpa;
	u8 data[8];
	u8 len;
};

/* A translated memory operand: its bytes in one page, or in two. */
struct mem_ref {
	u64 gpa[2];
	u8 len[2];		/* len[1] is 0 for one page */
};

enum emul_wait {
	EMUL_IDLE,
	EMUL_MMIO_READ,		/* reads[nr_reads] is what the VMM was asked for */
	EMUL_MMIO_WRITE,	/* writes[next_write - 1] is what the VMM was given */
	EMUL_PIO_IN,		/* IN */
	EMUL_PIO_INS,		/* pio.count elements of INS */
};

/* Bytes of code, and what they were decoded to. */
struct emul_code {
	union {
		u8 bytes[INSN_MAX_BYTES + 1];
		u64 words[2];	/* for comparing: what is not there is zero */
	};
	u8 nr;			/* bytes; 0: nothing is here */
	u8 mode;		/* enum insn_mode */
};

struct emul_decoded {
	struct emul_code code;
	struct insn in;
};

#define EMUL_DECODED	8	/* a power of 2; instructions that access devices are few */

/* Where an operand is that the CPU has translated, with all its checks, before it exited. */
struct emul_operand {
	u64 gpa;		/* of its first byte */
	bool write;
};

struct emul {
	u8 waiting;		/* enum emul_wait */
	struct emul_code code;	/* the instruction's: each run is of the same bytes, whatever the guest changes */
	const struct insn *in;	/* what they are decoded to, in @decoded; NULL: not yet */
	struct emul_decoded decoded[EMUL_DECODED];	/* by RIP, whatever address space it was in: the bytes are compared */
	bool translated;	/* @operand is known */
	struct emul_operand operand;
	u64 rip;		/* at the exit; if the VMM moves RIP, what waits is dropped */
	u8 nr_reads;		/* MMIO reads that the VMM has answered for this instruction */
	u8 nr_writes, next_write;
	struct mmio_fragment reads[EMUL_MAX_FRAGMENTS];
	struct mmio_fragment writes[EMUL_MAX_FRAGMENTS];	/* a run notes its stores here; nr_writes are left for the VMM */
	/* The port I/O that waits, or whose string operand waits for an MMIO read. */
	struct {
		bool string;	/* INS or OUTS, permission checked by the CPU's exit */
		bool in;
		u8 size;
		u16 port;
		u32 count;
		struct mem_ref ref;	/* INS: where the first element goes */
		u64 next_rip;	/* IN */
	} pio;
};

/*
 * The guest's instruction at RIP touched memory that no slot backs. Decodes and executes it; MMIO
 * goes first to the in-kernel devices (lapic_mmio_*, host_mmio_write), then to the VMM. Returns
 * RESUME (done, or a fault is queued, or to be executed again); EXIT_TO_USER (KVM_EXIT_MMIO, or
 * KVM_EXIT_INTERNAL_ERROR with the bytes if it cannot be executed here). What cannot be
 * executed at CPL 3 raises #UD instead, so that a program in the guest cannot stop the VM. @operand:
 * the access that made the CPU exit, if the CPU says which; else NULL. vCPU thread, interrupts on,
 * may sleep.
 */
int emulate_mmio(struct vcpu *v, const struct emul_operand *operand);

/*
 * IN/OUT without a string: @size 1, 2 or 4. RIP becomes @next_rip. Result as emulate_mmio's
 * (KVM_EXIT_IO).
 */
int emulate_pio(struct vcpu *v, u16 port, u8 size, bool in, u64 next_rip);
/*
 * INS/OUTS, with or without REP: decodes the instruction at RIP, which must be one with this @size
 * and direction (else it is left to be executed again). The CPU has checked the permission for
 * @port. Result as emulate_pio's.
 */
int emulate_pio_string(struct vcpu *v, u16 port, u8 size, bool in);

/*
 * Called at the start of KVM_RUN, before anything else looks at the vCPU: finishes what the VMM
 * answered in kvm_run (MMIO data, port data). Nothing in kvm_run is trusted but the data bytes.
 * Returns RESUME to run the guest (also if nothing waited), EXIT_TO_USER if there is another piece
 * for the VMM.
 */
int emulate_complete(struct vcpu *v);

/* Forgets what waits: the vCPU is reset. vCPU thread. */
void emulate_reset(struct vcpu *v);

/*
 * Length of the instruction at RIP if it is @name, for CPUs without NRIP save: a guest that changes
 * its code under us gets re-execution, not a wrong skip. Returns 1..15; 0 if it is another
 * instruction or its bytes cannot be read (then a page fault may have been queued): the caller
 * resumes the guest without completing the instruction. vCPU thread, may sleep.
 */
int emulate_length(struct vcpu *v, enum insn_name name);

/*
 * Fetches (through the guest's page tables) and decodes the instruction at RIP. 0; -EFAULT with the
 * fault queued; -EINVAL if it cannot be decoded or fetched. Check insn->name: it may have changed
 * since the exit. vCPU thread, may sleep.
 */
int emulate_fetch_decode(struct vcpu *v, struct insn *insn);

/*
 * KVM_TRANSLATE: fills in @t for t->linear_address. Changes no accessed bits. vCPU thread, may
 * sleep.
 */
void emulate_translate(struct vcpu *v, struct kvm_translation *t);

#endif
