// SPDX-License-Identifier: GPL-2.0
/*
 * Integer arithmetic with x86 flags. Carries come out of the bits of operands and result, so all
 * sizes share one formula.
 */
#include "x86/alu.h"
#include "x86/regs.h"

#define FLAGS_ARITH	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* ZF, SF and PF of a result that is cut to @size. */
static u64 result_flags(u64 result, unsigned int size)
{
	u64 flags = 0;

	if (!result)
		flags |= FLAG_ZF;
	if (result >> (8 * size - 1) & 1)
		flags |= FLAG_SF;
	if (!__builtin_parity(result & 0xff))
		flags |= FLAG_PF;
	return flags;
}

static u64 add(u64 a, u64 b, bool carry, unsigned int size, u64 *flags)
{
	u64 result = alu_zero_extend(a + b + carry, size);
	unsigned int top = 8 * size - 1;

	*flags = result_flags(result, size);
	if (((a & b) | ((a | b) & ~result)) >> top & 1)
		*flags |= FLAG_CF;
	if (((a ^ result) & (b ^ result)) >> top & 1)
		*flags |= FLAG_OF;
	if ((a ^ b ^ result) & 0x10)
		*flags |= FLAG_AF;
	return result;
}

static u64 subtract(u64 a, u64 b, bool borrow, unsigned int size, u64 *flags)
{
	u64 result = alu_zero_extend(a - b - borrow, size);
	unsigned int top = 8 * size - 1;

	*flags = result_flags(result, size);
	if (((~a & b) | ((~a | b) & result)) >> top & 1)
		*flags |= FLAG_CF;
	if (((a ^ b) & (a ^ result)) >> top & 1)
		*flags |= FLAG_OF;
	if ((a ^ b ^ result) & 0x10)
		*flags |= FLAG_AF;
	return result;
}

static u64 logic(u64 result, unsigned int size, u64 *flags)
{
	*flags = result_flags(result, size);
	return result;
}

/* All arithmetic flags of *@f are computed, except where the operation says that it keeps some. */
static u64 compute(enum alu_op op, u64 a, u64 b, unsigned int size, u64 old, u64 *f)
{
	u64 result;

	switch (op) {
	case ALU_ADD:
		return add(a, b, false, size, f);
	case ALU_ADC:
		return add(a, b, old & FLAG_CF, size, f);
	case ALU_SUB:
		return subtract(a, b, false, size, f);
	case ALU_SBB:
		return subtract(a, b, old & FLAG_CF, size, f);
	case ALU_CMP:
		subtract(a, b, false, size, f);
		return a;
	case ALU_NEG:
		return subtract(0, a, false, size, f);
	case ALU_OR:
		return logic(a | b, size, f);
	case ALU_AND:
		return logic(a & b, size, f);
	case ALU_XOR:
		return logic(a ^ b, size, f);
	case ALU_TEST:
		logic(a & b, size, f);
		return a;
	case ALU_INC:
		result = add(a, 1, false, size, f);
		*f = (*f & ~FLAG_CF) | (old & FLAG_CF);
		return result;
	case ALU_DEC:
		result = subtract(a, 1, false, size, f);
		*f = (*f & ~FLAG_CF) | (old & FLAG_CF);
		return result;
	case ALU_NOT:
		*f = old & FLAGS_ARITH;
		return alu_zero_extend(~a, size);
	case ALU_MOV:
		break;
	}
	*f = old & FLAGS_ARITH;
	return b;
}

u64 alu(enum alu_op op, u64 a, u64 b, unsigned int size, u64 *flags)
{
	u64 arith, result;

	a = alu_zero_extend(a, size);
	b = alu_zero_extend(b, size);
	result = compute(op, a, b, size, *flags, &arith);
	*flags = (*flags & ~FLAGS_ARITH) | arith;
	return result;
}

u64 alu_multiply(u64 a, u64 b, unsigned int size, u64 *flags)
{
	s64 product;
	bool cut = __builtin_mul_overflow((s64)alu_sign_extend(a, size), (s64)alu_sign_extend(b, size), &product) ||
		   (s64)alu_sign_extend(product, size) != product;

	*flags &= ~(FLAG_CF | FLAG_OF);
	if (cut)
		*flags |= FLAG_CF | FLAG_OF;
	return alu_zero_extend(product, size);
}

/* One step of a rotate or shift; *@cf goes in and comes out. */
static u64 shift_once(unsigned int op, u64 a, unsigned int bits, bool *cf)
{
	bool top = a >> (bits - 1) & 1, low = a & 1, in = *cf;

	*cf = op & 1 ? low : top;
	switch (op) {
	case 0: return a << 1 | top;
	case 1: return a >> 1 | (u64)low << (bits - 1);
	case 2: return a << 1 | in;
	case 3: return a >> 1 | (u64)in << (bits - 1);
	case 5: return a >> 1;
	case 7: return a >> 1 | (u64)top << (bits - 1);
	}
	return a << 1;
}

u64 alu_shift(unsigned int op, u64 a, unsigned int count, unsigned int size, u64 *flags)
{
	unsigned int bits = 8 * size;
	bool cf = *flags & FLAG_CF, before, after;

	count &= size == 8 ? 63 : 31;
	a = alu_zero_extend(a, size);
	if (!count)
		return a;
	before = a >> (bits - 1) & 1;
	while (count--)
		a = alu_zero_extend(shift_once(op, a, bits, &cf), size);
	after = a >> (bits - 1) & 1;
	*flags &= ~(FLAG_CF | FLAG_OF);
	if (cf)
		*flags |= FLAG_CF;
	if (op & 1 ? before != after : after != cf)
		*flags |= FLAG_OF;
	if (op >= 4)
		*flags = (*flags & ~(FLAG_SF | FLAG_ZF | FLAG_PF)) | result_flags(a, size);
	return a;
}

bool alu_condition(unsigned int cc, u64 flags)
{
	bool cf = flags & FLAG_CF, zf = flags & FLAG_ZF, sf = flags & FLAG_SF, of = flags & FLAG_OF;
	bool holds = false;

	switch (cc >> 1 & 7) {
	case 0: holds = of; break;
	case 1: holds = cf; break;
	case 2: holds = zf; break;
	case 3: holds = cf || zf; break;
	case 4: holds = sf; break;
	case 5: holds = flags & FLAG_PF; break;
	case 6: holds = sf != of; break;
	case 7: holds = zf || sf != of; break;
	}
	return holds != (cc & 1);
}
