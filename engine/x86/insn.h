/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The instruction decoder: bytes to struct insn (APM vol. 3, chapter 1 and appendix A). Pure: it
 * knows no vCPU and touches no memory but its arguments.
 */
#ifndef EXEUNT_X86_INSN_H
#define EXEUNT_X86_INSN_H

#include "host.h"

#define INSN_MAX_BYTES	15
#define INSN_NO_REG	0xff

/* Default operand and address size. */
enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

enum insn_map { INSN_MAP_ONE, INSN_MAP_0F, INSN_MAP_0F38, INSN_MAP_0F3A };

/* The instructions that callers ask for by name: those that a CPU hands to a hypervisor. */
enum insn_name {
	INSN_OTHER,
	INSN_CPUID, INSN_RDMSR, INSN_WRMSR, INSN_RDPMC, INSN_RDTSC, INSN_RDTSCP, INSN_RDPRU,
	INSN_VMMCALL, INSN_VMCALL, INSN_HLT, INSN_PAUSE, INSN_MONITOR, INSN_MWAIT,
	INSN_INVD, INSN_WBINVD,		/* and WBNOINVD */
	INSN_INVLPG, INSN_INVLPGA, INSN_INVPCID, INSN_XSETBV, INSN_CLTS, INSN_LMSW, INSN_SMSW,
	/* Opcodes 0x20..0x23; reg is the control or debug register, rm the GPR. */
	INSN_MOV_CR, INSN_MOV_DR,
	INSN_IRET, INSN_INT3, INSN_INT, INSN_INTO, INSN_ICEBP,
	INSN_IN, INSN_OUT, INSN_INS, INSN_OUTS,
};

struct insn {
	u8 length;		/* 1..15, prefixes included */
	u8 map;			/* enum insn_map */
	u8 opcode;
	u8 name;		/* enum insn_name */
	u8 mode;		/* enum insn_mode that it was decoded for */
	u8 rex;			/* the REX byte, 0 if none */
	u8 rep;			/* the last of F2 and F3, 0 if none */
	bool lock, opsize_prefix;
	u8 seg;			/* enum seg of the memory operand, or of rSI */
	u8 op_size;		/* effective operand size in bytes: 1, 2, 4 or 8 */
	u8 addr_size;		/* effective address size in bytes: 2, 4 or 8 */
	bool has_modrm;
	bool has_mem;		/* ModRM or a moffs names memory */
	u8 mod, reg, rm;	/* ModRM fields, REX.R and REX.B applied; rm counts if mod is 3 */
	u8 ext;			/* ModRM.reg without REX.R: the opcode extension of groups */
	u8 base, index;		/* GPRs of the memory operand, INSN_NO_REG if absent */
	u8 scale;		/* the index is shifted left by so much */
	bool rip_relative;
	u64 disp;		/* sign-extended; a moffs is here too */
	u64 imm;		/* sign-extended */
};

/*
 * Decodes the instruction at @bytes, of which @nr are there (more than 15 are ignored). Returns 0;
 * -EAGAIN if the bytes end before the instruction does; -EINVAL if it is longer than 15 bytes,
 * undefined, or has a LOCK prefix that it may not have; -EOPNOTSUPP for what this decoder leaves
 * out (VEX, XOP, EVEX, 3DNow!). Any context.
 */
int insn_decode(struct insn *in, const u8 *bytes, unsigned int nr, enum insn_mode mode);

#endif
