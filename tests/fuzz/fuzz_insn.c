// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder on any bytes: it stays inside them (ASan watches an exact copy), and what it returns
 * keeps the promises of insn.h. Input: one byte of mode, then the code.
 */
#include "x86/insn.h"
#include "x86/regs.h"

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)

static bool is_reg(u8 reg)
{
	return reg < 16 || reg == INSN_NO_REG;
}

static void check(const struct insn *in, const u8 *bytes, size_t nr)
{
	struct insn again;

	CHECK(in->length >= 1 && in->length <= INSN_MAX_BYTES && in->length <= nr);
	CHECK(in->op_size == 1 || in->op_size == 2 || in->op_size == 4 || in->op_size == 8);
	CHECK(in->addr_size == 2 || in->addr_size == 4 || in->addr_size == 8);
	CHECK(in->mode == INSN_MODE_64 || (in->op_size < 8 && in->addr_size < 8 && !in->rex));
	CHECK(in->seg <= SEG_GS && is_reg(in->base) && is_reg(in->index) && in->scale <= 3);
	CHECK(in->reg < 16 && in->rm < 16 && in->mod < 4 && in->ext < 8);
	CHECK(in->name <= INSN_OUTS && (in->name < INSN_INS || in->op_size <= 4));
	/* Its own bytes are enough, and none can be missing. */
	CHECK(!insn_decode(&again, bytes, in->length, in->mode));
	CHECK(!memcmp(&again, in, sizeof(again)));
	CHECK(insn_decode(&again, bytes, in->length - 1, in->mode) == -EAGAIN);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct insn in;
	u8 *copy;
	int r;

	if (!size)
		return 0;
	copy = malloc(size);
	CHECK(copy);
	memcpy(copy, data + 1, size - 1);
	memset(&in, 0, sizeof(in));
	r = insn_decode(&in, copy, size - 1, data[0] % 3);
	CHECK(r == 0 || r == -EAGAIN || r == -EINVAL || r == -EOPNOTSUPP);
	CHECK(r != -EAGAIN || size - 1 < INSN_MAX_BYTES);
	if (!r)
		check(&in, copy, size - 1);
	free(copy);
	return 0;
}
