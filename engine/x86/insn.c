// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction decoder. One table per opcode map says what follows an opcode; the rest is
 * prefixes, ModRM and SIB (APM vol. 3, 1.2 to 1.5, and the opcode maps of appendix A).
 */
#include "x86/insn.h"
#include "x86/regs.h"

/* What an opcode has: the tables' alphabet. */
enum {
	M   = 1 << 0,	/* ModRM */
	B   = 1 << 1,	/* byte operands */
	I8  = 1 << 2,	/* immediate byte */
	IZ  = 1 << 3,	/* immediate of the operand size, at most 4 bytes */
	IV  = 1 << 4,	/* immediate of the operand size */
	I16 = 1 << 5,	/* immediate word (before I8, if both) */
	D64 = 1 << 6,	/* operands are 64 bits wide in 64-bit mode */
	N64 = 1 << 7,	/* undefined in 64-bit mode */
	LK  = 1 << 8,	/* LOCK allowed with a memory destination */
	MO  = 1 << 9,	/* a moffs: an offset of the address size */
	FP  = 1 << 10,	/* a far pointer */
	NR  = 1 << 11,	/* near branch: left out with 66 in 64-bit mode (vendors differ) */
	UD  = 1 << 12,	/* undefined */
	LO  = 1 << 13,	/* left out */
};

#define ROW_ALU(lk)	M|B|lk, M|lk, M|B, M, B|I8, IZ
#define X4(a)		a, a, a, a
#define X8(a)		X4(a), X4(a)
#define X16(a)		X8(a), X8(a)

/* Prefixes, the 0F escape and REX never get here. */
static const u16 one_byte_map[256] = {
	/* 00 */ ROW_ALU(LK), N64, N64, ROW_ALU(LK), N64, UD,
	/* 10 */ ROW_ALU(LK), N64, N64, ROW_ALU(LK), N64, N64,
	/* 20 */ ROW_ALU(LK), UD, N64, ROW_ALU(LK), UD, N64,
	/* 30 */ ROW_ALU(LK), UD, N64, ROW_ALU(0), UD, N64,
	/* 40 */ X16(N64),
	/* 50 */ X16(D64),
	/* 60 */ N64, N64, M|N64, M, UD, UD, UD, UD, IZ|D64, M|IZ, I8|D64, M|I8, B, 0, B, 0,
	/* 70 */ X16(I8|D64),
	/* 80 */ M|B|I8|LK, M|IZ|LK, M|B|I8|N64|LK, M|I8|LK, M|B, M, M|B|LK, M|LK,
	/* 88 */ M|B, M, M|B, M, M, M, M, M|D64,
	/* 90 */ X8(0), 0, 0, FP|N64, 0, D64, D64, 0, 0,
	/* a0 */ B|MO, MO, B|MO, MO, B, 0, B, 0, B|I8, IZ, B, 0, B, 0, B, 0,
	/* b0 */ X8(B|I8), X8(IV),
	/* c0 */ M|B|I8, M|I8, I16|D64, D64, M|N64, M|N64, M|B|I8, M|IZ,
	/* c8 */ I16|I8|D64, D64, I16, 0, 0, I8, N64, 0,
	/* d0 */ M|B, M, M|B, M, I8|N64, I8|N64, UD, B, X8(M),
	/* e0 */ X4(I8|D64), B|I8, I8, B|I8, I8, IZ|D64|NR, IZ|D64|NR, FP|N64, I8|D64, B, 0, B, 0,
	/* f0 */ UD, 0, UD, UD, 0, 0, M|B|LK, M|LK, 0, 0, 0, 0, 0, 0, M|B|LK, M|LK,
};

static const u16 map_0f[256] = {
	/* 00 */ M, M, M, M, UD, 0, 0, 0, 0, 0, UD, UD, UD, M, 0, LO,
	/* 10 */ X16(M),
	/* 20 */ X4(M|D64), X4(UD), X8(M),
	/* 30 */ X4(0), 0, 0, UD, 0, UD, UD, UD, UD, X4(UD),
	/* 40 */ X16(M),
	/* 50 */ X16(M),
	/* 60 */ X16(M),
	/* 70 */ X4(M|I8), M, M, M, 0, M, M, UD, UD, X4(M),
	/* 80 */ X16(IZ|D64|NR),
	/* 90 */ X16(M|B),
	/* a0 */ D64, D64, 0, M, M|I8, M, UD, UD, D64, D64, 0, M|LK, M|I8, M, M, M,
	/* b0 */ M|B|LK, M|LK, M, M|LK, M, M, M, M, M, UD, M|I8|LK, M|LK, X4(M),
	/* c0 */ M|B|LK, M|LK, M|I8, M, M|I8, M|I8, M|I8, M|LK, X8(0),
	/* d0 */ X16(M),
	/* e0 */ X16(M),
	/* f0 */ X8(M), X4(M), M, M, M, UD,
};

/* The bytes, read front to back; past the end they read as zeros, and @short_of says so. */
struct cursor {
	const u8 *bytes;
	unsigned int nr, pos;
	bool short_of;
};

static u64 take(struct cursor *c, unsigned int size)
{
	u64 value = 0;
	unsigned int i;

	if (size > c->nr - c->pos) {
		c->short_of = true;
		return 0;
	}
	for (i = 0; i < size; i++)
		value |= (u64)c->bytes[c->pos + i] << (8 * i);
	c->pos += size;
	return value;
}

static u64 take_signed(struct cursor *c, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(take(c, size) << shift) >> shift);
}

static u8 peek(const struct cursor *c)
{
	return c->pos < c->nr ? c->bytes[c->pos] : 0;
}

/*
 * Takes @byte if it is a legacy prefix. @seg stays -1 without an override; those of 64-bit mode are
 * FS and GS only.
 */
static bool legacy_prefix(struct insn *in, u8 byte, int *seg, bool *addr_prefix)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		if (in->mode != INSN_MODE_64)
			*seg = (byte >> 3) & 3;
		return true;
	case 0x64:
		*seg = SEG_FS;
		return true;
	case 0x65:
		*seg = SEG_GS;
		return true;
	case 0x66:
		in->opsize_prefix = true;
		return true;
	case 0x67:
		*addr_prefix = true;
		return true;
	case 0xf0:
		in->lock = true;
		return true;
	case 0xf2: case 0xf3:
		in->rep = byte;
		return true;
	}
	return false;
}

/* Prefixes; a REX counts only right before the opcode. Returns the segment override or -1. */
static int decode_prefixes(struct insn *in, struct cursor *c)
{
	bool addr_prefix = false;
	int seg = -1;

	while (!c->short_of) {
		u8 byte = peek(c);

		if (in->mode == INSN_MODE_64 && (byte & 0xf0) == 0x40)
			in->rex = byte;
		else if (legacy_prefix(in, byte, &seg, &addr_prefix))
			in->rex = 0;
		else
			break;
		take(c, 1);
	}
	if (in->mode == INSN_MODE_64)
		in->addr_size = addr_prefix ? 4 : 8;
	else
		in->addr_size = (in->mode == INSN_MODE_32) != addr_prefix ? 4 : 2;
	return seg;
}

/* Opcode and escapes; returns what the opcode has. */
static u16 decode_opcode(struct insn *in, struct cursor *c)
{
	in->opcode = take(c, 1);
	if (in->opcode != 0x0f)
		return one_byte_map[in->opcode];
	in->opcode = take(c, 1);
	if (in->opcode != 0x38 && in->opcode != 0x3a) {
		in->map = INSN_MAP_0F;
		return map_0f[in->opcode];
	}
	in->map = in->opcode == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
	in->opcode = take(c, 1);
	return in->map == INSN_MAP_0F38 ? M : M | I8;
}

/*
 * What the ModRM byte adds to the opcode's entry: immediates of the TEST groups, stack operands of
 * group 5, and the encodings that share their first byte with VEX, XOP and EVEX.
 */
static u16 refine(const struct insn *in, u16 attr)
{
	if (in->map == INSN_MAP_0F) {
		/* EXTRQ and INSERTQ; JMPE. */
		if (in->opcode == 0x78 && (in->opsize_prefix || in->rep == 0xf2))
			return LO;
		return in->opcode == 0xb8 && in->rep != 0xf3 ? UD : attr;
	}
	if (in->map != INSN_MAP_ONE)
		return attr;
	switch (in->opcode) {
	case 0x62: case 0xc4: case 0xc5:
		return in->mode == INSN_MODE_64 || in->mod == 3 ? LO : attr;
	case 0x8f:
		return in->ext ? LO : attr;
	case 0xc6: case 0xc7:
		return in->ext ? LO : attr;	/* XABORT and XBEGIN have other lengths */
	case 0xf6: case 0xf7:
		return in->ext < 2 ? attr | (in->opcode & 1 ? IZ : I8) : attr;
	case 0xfe:
		return in->ext > 1 ? UD : attr;
	case 0xff:
		if (in->ext == 7)
			return UD;
		return in->ext == 2 || in->ext == 4 || in->ext == 6 ? attr | D64 : attr;
	}
	return attr;
}

static u8 operand_size(const struct insn *in, u16 attr)
{
	if (attr & B)
		return 1;
	if (in->mode != INSN_MODE_64)
		return (in->mode == INSN_MODE_32) != in->opsize_prefix ? 4 : 2;
	if (in->rex & 8)
		return 8;
	if (in->opsize_prefix)
		return 2;
	return attr & D64 ? 8 : 4;
}

/* 16-bit addressing (APM vol. 3, table A-32). */
static void decode_mem16(struct insn *in, struct cursor *c)
{
	static const u8 bases[8] = { R_BX, R_BX, R_BP, R_BP, R_SI, R_DI, R_BP, R_BX };
	static const u8 indices[4] = { R_SI, R_DI, R_SI, R_DI };
	u8 rm = in->rm & 7;

	in->base = bases[rm];
	if (rm < 4)
		in->index = indices[rm];
	if (in->mod == 0 && rm == 6) {
		in->base = INSN_NO_REG;
		in->disp = take_signed(c, 2);
	} else if (in->mod) {
		in->disp = take_signed(c, in->mod);
	}
}

static void decode_sib(struct insn *in, struct cursor *c)
{
	u8 sib = take(c, 1);

	in->scale = sib >> 6;
	in->index = (sib >> 3 & 7) | (in->rex & 2 ? 8 : 0);
	if (in->index == R_SP)
		in->index = INSN_NO_REG;
	in->base = (sib & 7) | (in->rex & 1 ? 8 : 0);
	if ((sib & 7) == R_BP && in->mod == 0)
		in->base = INSN_NO_REG;
}

/* 32-bit and 64-bit addressing (APM vol. 3, tables ). */
static void decode_mem32(struct insn *in, struct cursor *c)
{
	u8 rm = in->rm & 7;

	if (rm == R_SP) {
		decode_sib(in, c);
	} else if (rm == R_BP && in->mod == 0) {
		in->rip_relative = in->mode == INSN_MODE_64;
	} else {
		in->base = in->rm;
	}
	if (in->mod == 1)
		in->disp = take_signed(c, 1);
	else if (in->mod == 2 || in->base == INSN_NO_REG)
		in->disp = take_signed(c, 4);
}

static void decode_modrm(struct insn *in, struct cursor *c)
{
	u8 modrm = take(c, 1);

	in->has_modrm = true;
	in->mod = modrm >> 6;
	in->ext = modrm >> 3 & 7;
	in->reg = in->ext | (in->rex & 4 ? 8 : 0);
	in->rm = (modrm & 7) | (in->rex & 1 ? 8 : 0);
	/* MOV to and from control and debug registers take any mod for 3. */
	if (in->map == INSN_MAP_0F && in->opcode >= 0x20 && in->opcode <= 0x23)
		in->mod = 3;
	in->has_mem = in->mod != 3;
}

static void decode_immediates(struct insn *in, struct cursor *c, u16 attr)
{
	unsigned int z = in->op_size > 4 ? 4 : in->op_size;

	if (attr & FP)
		take(c, z + 2);
	if (attr & MO) {
		in->disp = take(c, in->addr_size);
		in->has_mem = true;
	}
	if (attr & I16)
		in->imm = take(c, 2);
	if (attr & I8)
		in->imm = take_signed(c, 1);
	if (attr & IZ)
		in->imm = take_signed(c, z);
	if (attr & IV)
		in->imm = take_signed(c, in->op_size);
}

static bool lock_allowed(const struct insn *in, u16 attr)
{
	if (!(attr & LK) || !in->has_mem)
		return false;
	if (in->map == INSN_MAP_0F) {
		if (in->opcode == 0xba)
			return in->ext >= 5;
		return in->opcode != 0xc7 || in->ext == 1;
	}
	switch (in->opcode) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		return in->ext != 7;
	case 0xf6: case 0xf7:
		return in->ext == 2 || in->ext == 3;
	case 0xfe: case 0xff:
		return in->ext < 2;
	}
	return true;
}

/* Register operand forms of group 7, and its members with memory. */
static enum insn_name name_0f01(const struct insn *in)
{
	if (in->ext == 4)
		return INSN_SMSW;
	if (in->ext == 6)
		return INSN_LMSW;
	if (in->has_mem)
		return in->ext == 7 ? INSN_INVLPG : INSN_OTHER;
	switch (0xc0 | in->ext << 3 | (in->rm & 7)) {
	case 0xc1: return INSN_VMCALL;
	case 0xc8: case 0xfa: return INSN_MONITOR;
	case 0xc9: case 0xfb: return INSN_MWAIT;
	case 0xd1: return INSN_XSETBV;
	case 0xd9: return INSN_VMMCALL;
	case 0xdf: return INSN_INVLPGA;
	case 0xf9: return INSN_RDTSCP;
	case 0xfd: return INSN_RDPRU;
	}
	return INSN_OTHER;
}

static enum insn_name name_0f(const struct insn *in)
{
	switch (in->opcode) {
	case 0x01: return name_0f01(in);
	case 0x06: return INSN_CLTS;
	case 0x08: return INSN_INVD;
	case 0x09: return INSN_WBINVD;
	case 0x20: case 0x22: return INSN_MOV_CR;
	case 0x21: case 0x23: return INSN_MOV_DR;
	case 0x30: return INSN_WRMSR;
	case 0x31: return INSN_RDTSC;
	case 0x32: return INSN_RDMSR;
	case 0x33: return INSN_RDPMC;
	case 0xa2: return INSN_CPUID;
	}
	return INSN_OTHER;
}

static enum insn_name name_of(const struct insn *in)
{
	if (in->map == INSN_MAP_0F)
		return name_0f(in);
	if (in->map == INSN_MAP_0F38 && in->opcode == 0x82 && in->opsize_prefix && in->has_mem)
		return INSN_INVPCID;
	if (in->map != INSN_MAP_ONE)
		return INSN_OTHER;
	switch (in->opcode) {
	case 0x6c: case 0x6d: return INSN_INS;
	case 0x6e: case 0x6f: return INSN_OUTS;
	case 0x90: return in->rep == 0xf3 && !(in->rex & 1) ? INSN_PAUSE : INSN_OTHER;
	case 0xcc: return INSN_INT3;
	case 0xcd: return INSN_INT;
	case 0xce: return INSN_INTO;
	case 0xcf: return INSN_IRET;
	case 0xe4: case 0xe5: case 0xec: case 0xed: return INSN_IN;
	case 0xe6: case 0xe7: case 0xee: case 0xef: return INSN_OUT;
	case 0xf1: return INSN_ICEBP;
	case 0xf4: return INSN_HLT;
	}
	return INSN_OTHER;
}

/*
 * What the names say about operands: ports are at most 32 bits wide, control and debug registers
 * all of one width.
 */
static int finish(struct insn *in, u16 attr)
{
	in->name = name_of(in);
	if (in->name >= INSN_IN && in->op_size == 8)
		in->op_size = 4;
	if (in->name == INSN_MOV_CR || in->name == INSN_MOV_DR)
		in->op_size = in->mode == INSN_MODE_64 ? 8 : 4;
	if (in->name == INSN_MOV_CR) {
		/* LOCK is another way to say REX.R (APM vol. 3, MOV CRn). */
		if (in->lock)
			in->reg |= 8;
		return in->reg == 0 || (in->reg >= 2 && in->reg <= 4) || in->reg == 8 ? 0 : -EINVAL;
	}
	if (in->name == INSN_MOV_DR && in->reg >= 8)
		return -EINVAL;
	return in->lock && !lock_allowed(in, attr) ? -EINVAL : 0;
}

static u8 memory_segment(const struct insn *in, int override)
{
	if (override >= 0)
		return override;
	return in->has_mem && (in->base == R_SP || in->base == R_BP) ? SEG_SS : SEG_DS;
}

int insn_decode(struct insn *in, const u8 *bytes, unsigned int nr, enum insn_mode mode)
{
	struct cursor c = { .bytes = bytes, .nr = nr < INSN_MAX_BYTES ? nr : INSN_MAX_BYTES };
	int override;
	u16 attr;

	*in = (struct insn){ .mode = mode, .base = INSN_NO_REG, .index = INSN_NO_REG };
	override = decode_prefixes(in, &c);
	attr = decode_opcode(in, &c);
	if (attr & M) {
		decode_modrm(in, &c);
		attr = refine(in, attr);
	}
	if ((attr & NR) && mode == INSN_MODE_64 && in->opsize_prefix)
		attr = LO;
	in->op_size = operand_size(in, attr);
	if (in->has_mem && in->addr_size == 2)
		decode_mem16(in, &c);
	else if (in->has_mem)
		decode_mem32(in, &c);
	decode_immediates(in, &c, attr);

	if (!c.short_of && (attr & LO))
		return -EOPNOTSUPP;
	if (!c.short_of && ((attr & UD) || ((attr & N64) && mode == INSN_MODE_64)))
		return -EINVAL;
	if (c.short_of)
		return c.nr < INSN_MAX_BYTES ? -EAGAIN : -EINVAL;
	in->seg = memory_segment(in, override);
	in->length = c.pos;
	return finish(in, attr);
}
