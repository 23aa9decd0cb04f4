/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Integer arithmetic with x86 flags (APM vol. 3, chapter 3). Pure functions on values.
 */
#ifndef EXEUNT_X86_ALU_H
#define EXEUNT_X86_ALU_H

#include "host.h"

/* The first eight in the order of their encodings. */
enum alu_op {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
	ALU_TEST, ALU_INC, ALU_DEC, ALU_NOT, ALU_NEG,
	ALU_MOV,	/* the result is @b; no flags */
};

/*
 * The result of @op on @a (the destination) and @b, values of @size bytes (1, 2, 4 or 8; higher
 * bits are ignored); sets the arithmetic flags in *@flags. CMP and TEST return @a: nothing is to be
 * written. AF is cleared where it is undefined.
 */
u64 alu(enum alu_op op, u64 a, u64 b, unsigned int size, u64 *flags);

/*
 * Signed product of @size (2, 4 or 8) bytes; CF and OF say whether it was cut. The other flags, which are undefined, stay.
 */
u64 alu_multiply(u64 a, u64 b, unsigned int size, u64 *flags);

/*
 * Rotates and shifts: @op as ModRM.reg encodes it (ROL, ROR, RCL, RCR, SHL, SHR, SHL, SAR), @count as the instruction has it (it is
 * masked here). OF is right for a count of 1 and undefined, as on a CPU, for others; AF stays.
 */
u64 alu_shift(unsigned int op, u64 a, unsigned int count, unsigned int size, u64 *flags);

/* Whether condition code @cc (0..15, as Jcc, SETcc and CMOVcc encode it) holds. */
bool alu_condition(unsigned int cc, u64 flags);

/* @value cut to @size bytes, and with its sign extended from @size bytes. */
static inline u64 alu_zero_extend(u64 value, unsigned int size)
{
	return size >= 8 ? value : value & ((1ull << (8 * size)) - 1);
}

static inline u64 alu_sign_extend(u64 value, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(value << shift) >> shift);
}

#endif
