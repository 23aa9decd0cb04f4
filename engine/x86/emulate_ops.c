// SPDX-License-Identifier: GPL-2.0
/*
 * The instructions that are executed in software: those with a memory operand that drivers use on
 * device memory. Each resolves all its operands before it reads one, and changes only the copy of
 * the registers in struct exec, so that it can stop anywhere.
 */
#include "x86/emulate_exec.h"

/* Ends the function with what a step came to, unless it is done. */
#define TRY(step) do { enum exec_result r_ = (step); if (r_ != EXEC_DONE) return r_; } while (0)

void exec_init(struct exec *x, struct vcpu *v, const struct insn *in)
{
	x->v = v;
	x->in = in;
	memcpy(x->regs, v->regs, sizeof(x->regs));
	x->rflags = vcpu_rflags(v);
	x->rip = vcpu_rip(v) + in->length;
	x->again = false;
	x->next_read = x->nr_stores = 0;
}

static bool is_high_byte(const struct exec *x, unsigned int reg, unsigned int size)
{
	return size == 1 && !x->in->rex && reg >= 4 && reg < 8;
}

u64 exec_reg(const struct exec *x, unsigned int reg, unsigned int size)
{
	if (is_high_byte(x, reg, size))
		return x->regs[reg & 3] >> 8 & 0xff;
	return alu_zero_extend(x->regs[reg & 15], size);
}

void exec_set_reg(struct exec *x, unsigned int reg, unsigned int size, u64 value)
{
	u64 mask = alu_zero_extend(~0ull, size == 4 ? 8 : size);

	value = alu_zero_extend(value, size);
	if (is_high_byte(x, reg, size)) {
		x->regs[reg & 3] = (x->regs[reg & 3] & ~0xff00ull) | value << 8;
		return;
	}
	x->regs[reg & 15] = (x->regs[reg & 15] & ~mask) | value;
}

/* --- Operands. --- */

static enum exec_result load_operand(struct exec *x, unsigned int size, u64 *value)
{
	struct mem_ref ref;

	TRY(exec_resolve_modrm(x, size, GVA_READ, &ref));
	return exec_load(x, &ref, value);
}

static enum exec_result store_operand(struct exec *x, unsigned int size, u64 value)
{
	struct mem_ref ref;

	TRY(exec_resolve_modrm(x, size, GVA_WRITE, &ref));
	exec_store(x, &ref, value);
	return EXEC_DONE;
}

/* Writes the result of a read-modify-write; XCHG is locked without the prefix. */
static enum exec_result update(struct exec *x, const struct mem_ref *ref, u64 old, u64 new,
			       bool locked)
{
	if (locked)
		return exec_store_locked(x, ref, old, new);
	exec_store(x, ref, new);
	return EXEC_DONE;
}

/* The memory operand becomes @op of itself and @b; *@old is what it was. */
static enum exec_result modify(struct exec *x, enum alu_op op, u64 b, u64 *old)
{
	bool reads_only = op == ALU_CMP || op == ALU_TEST;
	unsigned int size = x->in->op_size;
	struct mem_ref ref;
	u64 new;

	TRY(exec_resolve_modrm(x, size, reads_only ? GVA_READ : GVA_WRITE, &ref));
	TRY(exec_load(x, &ref, old));
	new = alu(op, *old, b, size, &x->rflags);
	return reads_only ? EXEC_DONE : update(x, &ref, *old, new, x->in->lock || op == ALU_MOV);
}

/* --- Data transfer. --- */

/* ADD..CMP between a register and memory, either way. */
static enum exec_result op_alu(struct exec *x)
{
	const struct insn *in = x->in;
	enum alu_op op = in->opcode >> 3 & 7;
	u64 reg = exec_reg(x, in->reg, in->op_size), value;

	if (!(in->opcode & 2))
		return modify(x, op, reg, &value);
	TRY(load_operand(x, in->op_size, &value));
	value = alu(op, reg, value, in->op_size, &x->rflags);
	if (op != ALU_CMP)
		exec_set_reg(x, in->reg, in->op_size, value);
	return EXEC_DONE;
}

static enum exec_result op_load(struct exec *x, unsigned int reg)
{
	u64 value;

	TRY(load_operand(x, x->in->op_size, &value));
	exec_set_reg(x, reg, x->in->op_size, value);
	return EXEC_DONE;
}

/* MOVZX, MOVSX, MOVSXD: memory of @size bytes to a register of the operand size. */
static enum exec_result op_load_extended(struct exec *x, unsigned int size, bool with_sign)
{
	u64 value;

	TRY(load_operand(x, size, &value));
	if (with_sign)
		value = alu_sign_extend(value, size);
	exec_set_reg(x, x->in->reg, x->in->op_size, value);
	return EXEC_DONE;
}

/* IMUL of memory with @factor into a register. */
static enum exec_result op_multiply(struct exec *x, u64 factor)
{
	u64 value;

	TRY(load_operand(x, x->in->op_size, &value));
	exec_set_reg(x, x->in->reg, x->in->op_size, alu_multiply(value, factor, x->in->op_size, &x->rflags));
	return EXEC_DONE;
}

static enum exec_result op_store_segment(struct exec *x)
{
	struct kvm_segment s;

	if (x->in->ext > SEG_GS)
		return EXEC_CANNOT;
	vcpu_get_segment(x->v, x->in->ext, &s);
	return store_operand(x, 2, s.selector);
}

static enum exec_result op_exchange(struct exec *x)
{
	u64 old;

	TRY(modify(x, ALU_MOV, exec_reg(x, x->in->reg, x->in->op_size), &old));
	exec_set_reg(x, x->in->reg, x->in->op_size, old);
	return EXEC_DONE;
}

static enum exec_result op_xadd(struct exec *x)
{
	u64 old;

	TRY(modify(x, ALU_ADD, exec_reg(x, x->in->reg, x->in->op_size), &old));
	exec_set_reg(x, x->in->reg, x->in->op_size, old);
	return EXEC_DONE;
}

/* The destination is written also when the comparison fails (APM vol. 3, CMPXCHG). */
static enum exec_result op_cmpxchg(struct exec *x)
{
	unsigned int size = x->in->op_size;
	struct mem_ref ref;
	u64 old, new;

	TRY(exec_resolve_modrm(x, size, GVA_WRITE, &ref));
	TRY(exec_load(x, &ref, &old));
	alu(ALU_CMP, exec_reg(x, R_AX, size), old, size, &x->rflags);
	if (x->rflags & FLAG_ZF) {
		new = exec_reg(x, x->in->reg, size);
	} else {
		new = old;
		exec_set_reg(x, R_AX, size, old);
	}
	return update(x, &ref, old, new, x->in->lock);
}

static u64 swap_bytes(u64 value, unsigned int size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

static enum exec_result op_movbe(struct exec *x)
{
	unsigned int size = x->in->op_size;
	u64 value;

	if (x->in->opcode == 0xf1)
		return store_operand(x, size, swap_bytes(exec_reg(x, x->in->reg, size), size));
	TRY(load_operand(x, size, &value));
	exec_set_reg(x, x->in->reg, size, swap_bytes(value, size));
	return EXEC_DONE;
}

/* A false condition still reads memory, and clears the upper half of a 32-bit destination. */
static enum exec_result op_cmov(struct exec *x)
{
	unsigned int size = x->in->op_size;
	u64 value;

	TRY(load_operand(x, size, &value));
	if (!alu_condition(x->in->opcode & 15, x->rflags))
		value = exec_reg(x, x->in->reg, size);
	exec_set_reg(x, x->in->reg, size, value);
	return EXEC_DONE;
}

/* --- Bits. --- */

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/* Bit @bit of @size bytes at @offset. BT and its kin change no flag but CF. */
static enum exec_result modify_bit(struct exec *x, enum bit_op op, u64 offset, unsigned int bit)
{
	unsigned int size = x->in->op_size;
	u64 mask = 1ull << bit, old, new;
	struct mem_ref ref;

	TRY(exec_resolve(x, x->in->seg, offset, size, op == BIT_TEST ? GVA_READ : GVA_WRITE, &ref));
	TRY(exec_load(x, &ref, &old));
	x->rflags = (x->rflags & ~FLAG_CF) | (old & mask ? FLAG_CF : 0);
	if (op == BIT_TEST)
		return EXEC_DONE;
	new = op == BIT_SET ? old | mask : op == BIT_RESET ? old & ~mask : old ^ mask;
	return update(x, &ref, old, new, x->in->lock);
}

/* The bit number in a register is signed and reaches beyond the operand, in steps of its size. */
static enum exec_result op_bit_reg(struct exec *x)
{
	unsigned int size = x->in->op_size, bits = 8 * size;
	s64 number = (s64)alu_sign_extend(exec_reg(x, x->in->reg, size), size);
	u64 offset = exec_offset(x) + (u64)(number >> (bits == 16 ? 4 : bits == 32 ? 5 : 6)) * size;

	offset = alu_zero_extend(offset, x->in->addr_size);
	return modify_bit(x, x->in->opcode >> 3 & 3, offset, number & (bits - 1));
}

static enum exec_result op_bit_imm(struct exec *x)
{
	if (x->in->ext < 4)
		return EXEC_CANNOT;
	return modify_bit(x, x->in->ext & 3, exec_offset(x), x->in->imm & (8 * x->in->op_size - 1));
}

/* --- Stack and near branches. --- */

/* Width of the stack pointer. */
static unsigned int stack_size(struct vcpu *v)
{
	if (vcpu_is_64bit(v))
		return 8;
	return vcpu_ss_is_32bit(v) ? 4 : 2;
}

/* Moves the stack pointer by @delta in the copy of the registers. */
static void move_stack(struct exec *x, u64 delta)
{
	unsigned int width = stack_size(x->v);

	exec_set_reg(x, R_SP, width, exec_reg(x, R_SP, width) + delta);
}

static enum exec_result branch(struct exec *x, u64 target)
{
	struct guest_fault fault = { .vector = VEC_GP };
	struct kvm_segment cs;
	bool valid;

	target = alu_zero_extend(target, x->in->op_size);
	if (vcpu_is_64bit(x->v)) {
		valid = gva_canonical(x->v, target);
	} else {
		vcpu_get_segment(x->v, SEG_CS, &cs);
		valid = target <= cs.limit;
	}
	if (!valid) {
		gva_inject_fault(x->v, &fault);
		return EXEC_RESUME;
	}
	x->rip = target;
	return EXEC_DONE;
}

/* In 64-bit mode an operand-size prefix means different things to different vendors. */
static bool is_odd_branch(const struct exec *x)
{
	return x->in->mode == INSN_MODE_64 && x->in->op_size != 8;
}

static enum exec_result op_jump(struct exec *x)
{
	u64 target;

	if (is_odd_branch(x))
		return EXEC_CANNOT;
	TRY(load_operand(x, x->in->op_size, &target));
	return branch(x, target);
}

/* PUSH and CALL: the operand is addressed with the old stack pointer. */
static enum exec_result op_push(struct exec *x, bool call)
{
	unsigned int size = x->in->op_size;
	struct mem_ref source, stack;
	u64 value, next = x->rip;

	if (call && is_odd_branch(x))
		return EXEC_CANNOT;
	TRY(exec_resolve_modrm(x, size, GVA_READ, &source));
	move_stack(x, -(u64)size);
	TRY(exec_resolve(x, SEG_SS, exec_reg(x, R_SP, stack_size(x->v)), size, GVA_WRITE, &stack));
	TRY(exec_load(x, &source, &value));
	if (call)
		TRY(branch(x, value));
	exec_store(x, &stack, call ? next : value);
	return EXEC_DONE;
}

/* POP: the operand is addressed with the new stack pointer. */
static enum exec_result op_pop(struct exec *x)
{
	unsigned int size = x->in->op_size;
	struct mem_ref stack, dest;
	u64 value;

	TRY(exec_resolve(x, SEG_SS, exec_reg(x, R_SP, stack_size(x->v)), size, GVA_READ, &stack));
	move_stack(x, size);
	TRY(exec_resolve_modrm(x, size, GVA_WRITE, &dest));
	TRY(exec_load(x, &stack, &value));
	exec_store(x, &dest, value);
	return EXEC_DONE;
}

/* --- Strings. --- */

u64 exec_count(const struct exec *x)
{
	return exec_reg(x, R_CX, x->in->addr_size);
}

void exec_step(struct exec *x, unsigned int reg, unsigned int size, u32 n)
{
	u64 delta = (u64)size * n;
	unsigned int width = x->in->addr_size;

	if (x->rflags & FLAG_DF)
		delta = -delta;
	exec_set_reg(x, reg, width, exec_reg(x, reg, width) + delta);
}

void exec_count_down(struct exec *x, u32 n)
{
	exec_set_reg(x, R_CX, x->in->addr_size, exec_count(x) - n);
	x->again = exec_count(x) != 0;
}

static enum exec_result resolve_si(struct exec *x, unsigned int access, struct mem_ref *ref)
{
	u64 offset = exec_reg(x, R_SI, x->in->addr_size);

	return exec_resolve(x, x->in->seg, offset, x->in->op_size, access, ref);
}

static enum exec_result resolve_di(struct exec *x, unsigned int access, struct mem_ref *ref)
{
	u64 offset = exec_reg(x, R_DI, x->in->addr_size);

	return exec_resolve(x, SEG_ES, offset, x->in->op_size, access, ref);
}

static enum exec_result op_movs(struct exec *x)
{
	struct mem_ref from, to;
	u64 value;

	TRY(resolve_si(x, GVA_READ, &from));
	TRY(resolve_di(x, GVA_WRITE, &to));
	TRY(exec_load(x, &from, &value));
	exec_store(x, &to, value);
	exec_step(x, R_SI, x->in->op_size, 1);
	exec_step(x, R_DI, x->in->op_size, 1);
	return EXEC_DONE;
}

static enum exec_result op_cmps(struct exec *x)
{
	struct mem_ref first, second;
	u64 a, b;

	TRY(resolve_si(x, GVA_READ, &first));
	TRY(resolve_di(x, GVA_READ, &second));
	TRY(exec_load(x, &first, &a));
	TRY(exec_load(x, &second, &b));
	alu(ALU_CMP, a, b, x->in->op_size, &x->rflags);
	exec_step(x, R_SI, x->in->op_size, 1);
	exec_step(x, R_DI, x->in->op_size, 1);
	return EXEC_DONE;
}

static enum exec_result op_stos(struct exec *x)
{
	struct mem_ref to;

	TRY(resolve_di(x, GVA_WRITE, &to));
	exec_store(x, &to, exec_reg(x, R_AX, x->in->op_size));
	exec_step(x, R_DI, x->in->op_size, 1);
	return EXEC_DONE;
}

static enum exec_result op_lods(struct exec *x)
{
	struct mem_ref from;
	u64 value;

	TRY(resolve_si(x, GVA_READ, &from));
	TRY(exec_load(x, &from, &value));
	exec_set_reg(x, R_AX, x->in->op_size, value);
	exec_step(x, R_SI, x->in->op_size, 1);
	return EXEC_DONE;
}

static enum exec_result op_scas(struct exec *x)
{
	struct mem_ref with;
	u64 value;

	TRY(resolve_di(x, GVA_READ, &with));
	TRY(exec_load(x, &with, &value));
	alu(ALU_CMP, exec_reg(x, R_AX, x->in->op_size), value, x->in->op_size, &x->rflags);
	exec_step(x, R_DI, x->in->op_size, 1);
	return EXEC_DONE;
}

static enum exec_result string_element(struct exec *x)
{
	switch (x->in->opcode & ~1) {
	case 0xa4: return op_movs(x);
	case 0xa6: return op_cmps(x);
	case 0xaa: return op_stos(x);
	case 0xac: return op_lods(x);
	case 0xae: return op_scas(x);
	}
	return EXEC_CANNOT;
}

/* One element; while the count lasts, RIP stays at the instruction. */
static enum exec_result op_string(struct exec *x)
{
	bool compares = (x->in->opcode & ~1) == 0xa6 || (x->in->opcode & ~1) == 0xae;

	if (!x->in->rep)
		return string_element(x);
	if (!exec_count(x))
		return EXEC_DONE;
	TRY(string_element(x));
	exec_count_down(x, 1);
	/* REPE ends at the first difference, REPNE at the first match. */
	if (compares && !(x->rflags & FLAG_ZF) == (x->in->rep == 0xf3))
		x->again = false;
	if (x->again)
		x->rip = vcpu_rip(x->v);
	return EXEC_DONE;
}

/* --- The opcode maps. --- */

/* Group 15: CLFLUSH, CLFLUSHOPT and CLWB read nothing, but fault like a load. */
static enum exec_result op_group15(struct exec *x)
{
	bool flushes = x->in->ext == 7 || (x->in->ext == 6 && x->in->opsize_prefix);
	struct mem_ref ref;

	return flushes && !x->in->rep ? exec_resolve_modrm(x, 1, GVA_READ, &ref) : EXEC_CANNOT;
}

/* Groups 3, 4 and 5. */
static enum exec_result op_group345(struct exec *x)
{
	const struct insn *in = x->in;
	bool group3 = in->opcode < 0xf8;
	u64 old;

	switch (in->ext) {
	case 0: return group3 ? modify(x, ALU_TEST, in->imm, &old) : modify(x, ALU_INC, 0, &old);
	case 1: return group3 ? modify(x, ALU_TEST, in->imm, &old) : modify(x, ALU_DEC, 0, &old);
	case 2: return group3 ? modify(x, ALU_NOT, 0, &old) : op_push(x, true);
	case 3: return group3 ? modify(x, ALU_NEG, 0, &old) : EXEC_CANNOT;
	case 4: return group3 ? EXEC_CANNOT : op_jump(x);
	case 6: return group3 ? EXEC_CANNOT : op_push(x, false);
	}
	return EXEC_CANNOT;
}

/* Group 2: by an immediate, by 1 or by CL. */
static enum exec_result op_shift(struct exec *x)
{
	const struct insn *in = x->in;
	unsigned int count = in->opcode < 0xd0 ? in->imm : in->opcode < 0xd2 ? 1 : exec_reg(x, R_CX, 1);
	struct mem_ref ref;
	u64 old;

	TRY(exec_resolve_modrm(x, in->op_size, GVA_WRITE, &ref));
	TRY(exec_load(x, &ref, &old));
	exec_store(x, &ref, alu_shift(in->ext, old, count, in->op_size, &x->rflags));
	return EXEC_DONE;
}

static enum exec_result exec_one_byte(struct exec *x)
{
	const struct insn *in = x->in;
	u64 reg = exec_reg(x, in->reg, in->op_size), old;

	switch (in->opcode) {
	case 0x63:
		if (in->mode != INSN_MODE_64 || in->op_size == 2)
			return EXEC_CANNOT;
		return op_load_extended(x, 4, true);
	case 0x69: case 0x6b:
		return op_multiply(x, in->imm);
	case 0x80: case 0x81: case 0x82: case 0x83:
		return modify(x, in->ext, in->imm, &old);
	case 0x84: case 0x85:
		return modify(x, ALU_TEST, reg, &old);
	case 0x86: case 0x87:
		return op_exchange(x);
	case 0x88: case 0x89:
		return store_operand(x, in->op_size, reg);
	case 0x8a: case 0x8b:
		return op_load(x, in->reg);
	case 0x8c:
		return op_store_segment(x);
	case 0x8f:
		return op_pop(x);
	case 0xa0: case 0xa1:
		return op_load(x, R_AX);
	case 0xa2: case 0xa3:
		return store_operand(x, in->op_size, exec_reg(x, R_AX, in->op_size));
	case 0xc0: case 0xc1: case 0xd0 ... 0xd3:
		return op_shift(x);
	case 0xc6: case 0xc7:
		return store_operand(x, in->op_size, in->imm);
	case 0xf6: case 0xf7: case 0xfe: case 0xff:
		return op_group345(x);
	}
	return in->opcode < 0x40 && (in->opcode & 7) < 4 ? op_alu(x) : EXEC_CANNOT;
}

static enum exec_result exec_0f(struct exec *x)
{
	const struct insn *in = x->in;

	switch (in->opcode) {
	case 0x90 ... 0x9f:
		return store_operand(x, 1, alu_condition(in->opcode & 15, x->rflags));
	case 0x40 ... 0x4f:
		return op_cmov(x);
	case 0xa3: case 0xab: case 0xb3: case 0xbb:
		return op_bit_reg(x);
	case 0xba:
		return op_bit_imm(x);
	case 0xae:
		return op_group15(x);
	case 0xaf:
		return op_multiply(x, exec_reg(x, in->reg, in->op_size));
	case 0xb0: case 0xb1:
		return op_cmpxchg(x);
	case 0xb6: case 0xb7:
		return op_load_extended(x, in->opcode & 1 ? 2 : 1, false);
	case 0xbe: case 0xbf:
		return op_load_extended(x, in->opcode & 1 ? 2 : 1, true);
	case 0xc0: case 0xc1:
		return op_xadd(x);
	case 0xc3:
		if (in->opsize_prefix || in->rep)
			return EXEC_CANNOT;
		return store_operand(x, in->op_size, exec_reg(x, in->reg, in->op_size));
	}
	return EXEC_CANNOT;
}

static bool is_string(const struct insn *in)
{
	return in->map == INSN_MAP_ONE && in->opcode >= 0xa4 && in->opcode <= 0xaf &&
	       (in->opcode & ~1) != 0xa8;
}

enum exec_result exec_insn(struct exec *x)
{
	const struct insn *in = x->in;

	if (is_string(in))
		return op_string(x);
	if (!in->has_mem)
		return EXEC_CANNOT;
	if (in->map == INSN_MAP_ONE)
		return exec_one_byte(x);
	if (in->map == INSN_MAP_0F)
		return exec_0f(x);
	if (in->map == INSN_MAP_0F38 && (in->opcode & ~1) == 0xf0 && in->rep != 0xf2)
		return op_movbe(x);
	return EXEC_CANNOT;
}
