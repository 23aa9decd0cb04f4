/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the emulate_*.c files share: one run of one instruction on a copy of the registers, and its
 * memory operands.
 */
#ifndef EXEUNT_X86_EMULATE_EXEC_H
#define EXEUNT_X86_EMULATE_EXEC_H

#include "x86/vcpu.h"
#include "x86/alu.h"
#include "x86/gva.h"

/* What a run, or a step of it, came to. */
enum exec_result {
	EXEC_DONE,
	EXEC_RESUME,		/* nothing changed: a fault is queued, or to be run again */
	EXEC_READ,		/* emul.reads[emul.nr_reads] is to be asked of the VMM */
	EXEC_CANNOT,		/* not an instruction for here */
};

struct exec {
	struct vcpu *v;
	const struct insn *in;
	u64 regs[16];
	u64 rflags;
	u64 rip;		/* where execution goes on */
	bool again;		/* a repeated string instruction has elements left */
	u8 next_read;		/* the answered reads that this run has used */
	u8 nr_stores;		/* in emul.writes, as yet noted only */
};

/* --- emulate_mem.c: memory operands. --- */

/* The offset that ModRM, SIB and displacement name, cut to the address size. */
u64 exec_offset(const struct exec *x);
/*
 * Translates @size (1..8) bytes at @seg:@offset for @access; no side effects but accessed and dirty
 * bits.
 */
enum exec_result exec_resolve(struct exec *x, unsigned int seg, u64 offset, u32 size,
			      unsigned int access, struct mem_ref *ref);
/* The same for the operand that ModRM names. If it is the one that the CPU exited for, its translation is known. */
enum exec_result exec_resolve_modrm(struct exec *x, u32 size, unsigned int access, struct mem_ref *ref);
enum exec_result exec_load(struct exec *x, const struct mem_ref *ref, u64 *value);
/* Notes a store; exec_commit() does it. */
void exec_store(struct exec *x, const struct mem_ref *ref, u64 value);
/* Replaces @old by @new as a locked instruction does; on memory, atomically. */
enum exec_result exec_store_locked(struct exec *x, const struct mem_ref *ref, u64 old, u64 new);
/*
 * Registers, flags and RIP become the vCPU's, stores go to memory and devices; those left for the
 * VMM are in emul.writes.
 */
void exec_commit(struct exec *x);
/* Whether the 4 aligned bytes around @gpa are memory that can be written. */
bool exec_is_ram(struct vcpu *v, u64 gpa);

/* --- emulate_ops.c: the instructions. --- */

void exec_init(struct exec *x, struct vcpu *v, const struct insn *in);
/* Runs @x->in, or one element of it if it is a repeated string instruction. */
enum exec_result exec_insn(struct exec *x);

/*
 * GPR access as operands encode it: a byte register 4..7 without REX is AH..BH; 4-byte writes clear
 * the upper half.
 */
u64 exec_reg(const struct exec *x, unsigned int reg, unsigned int size);
void exec_set_reg(struct exec *x, unsigned int reg, unsigned int size, u64 value);
/*
 * The count register cut to the address size; and the string registers and the count moved on by @n
 * elements of @size bytes.
 */
u64 exec_count(const struct exec *x);
void exec_step(struct exec *x, unsigned int reg, unsigned int size, u32 n);
void exec_count_down(struct exec *x, u32 n);

/* --- emulate.c --- */

/* Ends a run that did not come to EXEC_DONE: RESUME, or EXIT_TO_USER with kvm_run filled in. */
int emulate_stop(struct vcpu *v, enum exec_result result);
/* The next of emul.writes goes to the VMM: EXIT_TO_USER; or RESUME if none is left. */
int emulate_next_write(struct vcpu *v);
/* emulate_fetch_decode() to emul.in. */
int emulate_fetch(struct vcpu *v);
/* The instruction that waited, as the VMM has left the mode. NULL: it is none in this mode. */
const struct insn *emulate_waiting_insn(struct vcpu *v);

/* --- emulate_pio.c --- */

/* INS or OUTS with what emul.pio says. */
int emulate_pio_run(struct vcpu *v, const struct insn *in);
/* The VMM answered an IN or INS. */
int emulate_pio_complete(struct vcpu *v, bool string);

#endif
