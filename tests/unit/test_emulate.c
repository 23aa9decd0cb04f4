// SPDX-License-Identifier: GPL-2.0
/*
 * emulate*.c and alu.c. First against the real CPU: random instructions on random state run
 * natively and in the emulator, on memory, on MMIO that the test answers as a VMM, and across the
 * border of both. Then, one by one, what the CPU here cannot show: exits, faults, segments, 16-bit
 * and 32-bit modes, port I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include "guest.h"
#include "x86/alu.h"
#include "x86/gva.h"

#define DATA 0x10000000ull /* two pages, at the same address natively and in the guest */
#define DATA_SIZE 0x2000ull
#define CODE 0x20000000ull
#define CODE_GPA 0x60000ull
#define RAM_GPA(i) (0x80000ull + (i)*0x10000)
#define MMIO_GPA(i) (0x40000000ull + (i)*0x1000000)
#define ALL (PTE_P | PTE_W | PTE_U)
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static struct guest g;
/* What the VMM has behind the MMIO pages, and how often it was asked. */
static u8 device[2][4096];
static unsigned int device_reads, device_writes;
/* What the CPU says of the access for which it exits, or NULL. */
static const struct emul_operand *cpu_says;

/* --- The real CPU. --- */

/* The registers before and after. Global: the assembly has no register left to address it. */
struct native_state {
	u64 regs[16]; /* in encoding order */
	u64 flags, host_sp, code;
};
struct native_state native_state;

void native_enter(void);
extern u8 native_back[];

__asm__("	.text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_state+136(%rip)\n"
	"	push native_state+128(%rip)\n"
	"	popfq\n"
	"	mov native_state+0(%rip), %rax;		mov native_state+8(%rip), %rcx\n"
	"	mov native_state+16(%rip), %rdx;	mov native_state+24(%rip), %rbx\n"
	"	mov native_state+32(%rip), %rsp;	mov native_state+40(%rip), %rbp\n"
	"	mov native_state+48(%rip), %rsi;	mov native_state+56(%rip), %rdi\n"
	"	mov native_state+64(%rip), %r8;		mov native_state+72(%rip), %r9\n"
	"	mov native_state+80(%rip), %r10;	mov native_state+88(%rip), %r11\n"
	"	mov native_state+96(%rip), %r12;	mov native_state+104(%rip), %r13\n"
	"	mov native_state+112(%rip), %r14;	mov native_state+120(%rip), %r15\n"
	"	jmp *native_state+144(%rip)\n"
	"native_back:\n"
	"	mov %rax, native_state+0(%rip);		mov %rcx, native_state+8(%rip)\n"
	"	mov %rdx, native_state+16(%rip);	mov %rbx, native_state+24(%rip)\n"
	"	mov %rsp, native_state+32(%rip);	mov %rbp, native_state+40(%rip)\n"
	"	mov %rsi, native_state+48(%rip);	mov %rdi, native_state+56(%rip)\n"
	"	mov %r8, native_state+64(%rip);		mov %r9, native_state+72(%rip)\n"
	"	mov %r10, native_state+80(%rip);	mov %r11, native_state+88(%rip)\n"
	"	mov %r12, native_state+96(%rip);	mov %r13, native_state+104(%rip)\n"
	"	mov %r14, native_state+112(%rip);	mov %r15, native_state+120(%rip)\n"
	"	mov native_state+136(%rip), %rsp\n"
	"	pushfq\n"
	"	pop native_state+128(%rip)\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

_Static_assert(offsetof(struct native_state, flags) == 128 &&
		       offsetof(struct native_state, code) == 144,
	       "as the assembly says");

/* The instruction of @length bytes at @code, then a jump back. */
static void native_run(u8 *code, unsigned int length)
{
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	u64 back = (uintptr_t)native_back;

	memcpy(code + length, jump, sizeof(jump));
	memcpy(code + length + sizeof(jump), &back, sizeof(back));
	native_state.code = (uintptr_t)code;
	native_enter();
}

/* --- The guest. --- */

/* Completes an instruction as svm.c does, single-step trap included. */
void vcpu_advance_to(struct vcpu *v, u64 next_rip)
{
	VMCB(v)->s.rip = vcpu_is_64bit(v) ? next_rip : (u32)next_rip;
	if (vcpu_rflags(v) & FLAG_TF)
		event_exception(v, VEC_DB);
}

static void map_native(u64 at, u64 size, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	assert_ptr_equal(p, (void *)at);
}

/* Maps data page @i to memory or to MMIO. */
static void map_data(unsigned int i, bool mmio)
{
	guest_map(&g, DATA + i * 4096, mmio ? MMIO_GPA(i) : RAM_GPA(i), ALL);
}

static void guest_ready(enum guest_mode mode, bool mmio0, bool mmio1)
{
	guest_set_mode(&g, mode);
	memset(g.v->regs, 0, sizeof(g.v->regs));
	g.v->ev.exception.pending = false;
	if (mode != GUEST_REAL) {
		guest_map(&g, CODE, CODE_GPA, ALL);
		map_data(0, mmio0);
		map_data(1, mmio1);
	}
	VMCB(g.v)->s.rip = CODE;
	device_reads = device_writes = 0;
}

static int setup(void **state)
{
	guest_create(&g, 1 << 20);
	memset(device, 0, sizeof(device));
	machine_signal = false;
	guest_ready(GUEST_LONG, true, true);
	return 0;
}

static int teardown(void **state)
{
	machine_free(g.m);
	return 0;
}

static unsigned int put_code(const char *hex)
{
	u8 bytes[16];
	unsigned int n = 0;

	for (; *hex; hex += 2) {
		unsigned int byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		bytes[n++] = byte;
	}
	assert_int_equal(host_guest_write(&g.m->vm, CODE_GPA, bytes, n), 0);
	return n;
}

static u8 *device_at(u64 gpa, u32 len)
{
	unsigned int i = gpa >= MMIO_GPA(1);

	assert_in_range(gpa, MMIO_GPA(i), MMIO_GPA(i) + 4096 - len);
	return &device[i][gpa - MMIO_GPA(i)];
}

/*
 * The VMM's part of one KVM_EXIT_MMIO; kvm_run is spoiled afterwards: the engine may look at
 * nothing but the data.
 */
static void serve_mmio(void)
{
	struct kvm_run *run = g.v->run;
	u8 data[8];

	assert_int_equal(run->exit_reason, KVM_EXIT_MMIO);
	assert_in_range(run->mmio.len, 1, 8);
	if (run->mmio.is_write) {
		device_writes++;
		memcpy(device_at(run->mmio.phys_addr, run->mmio.len), run->mmio.data,
		       run->mmio.len);
		memset(run, 0xff, sizeof(*run));
		return;
	}
	device_reads++;
	memset(data, 0xaa, sizeof(data));
	memcpy(data, device_at(run->mmio.phys_addr, run->mmio.len), run->mmio.len);
	memset(run, 0xff, sizeof(*run));
	memcpy(run->mmio.data, data, sizeof(data));
}

/* Emulates until the engine has no more for the VMM. */
static int emulate_served(void)
{
	int r = emulate_mmio(g.v, cpu_says);

	while (r == EXIT_TO_USER && g.v->run->exit_reason == KVM_EXIT_MMIO) {
		serve_mmio();
		r = emulate_complete(g.v);
	}
	return r;
}

/* Emulates the instruction to its end, as many entries as it takes. */
static int emulate_all(void)
{
	int r;

	do
		r = emulate_served();
	while (r == RESUME && vcpu_rip(g.v) == CODE && !g.v->ev.exception.pending);
	return r;
}

static void assert_done(unsigned int length)
{
	assert_false(g.v->ev.exception.pending);
	assert_int_equal(vcpu_rip(g.v), CODE + length);
}

static void assert_exception(u8 vector, u32 error)
{
	assert_true(g.v->ev.exception.pending);
	assert_int_equal(g.v->ev.exception.vector, vector);
	assert_int_equal(g.v->ev.exception.error, error);
	assert_int_equal(vcpu_rip(g.v), CODE);
	g.v->ev.exception.pending = false;
}

/* --- Random instructions. --- */

enum kind { PLAIN, BITS, STRING, COMPARE, STACK };

struct spec {
	u8 map; /* 0 one byte, 1 0F, 2 0F38 */
	u8 opcode;
	s8 ext; /* ModRM.reg, or -1 for a register */
	u8 imm; /* 0 none, 1 byte, 4 of the operand size */
	bool lock, no_opsize;
	enum kind kind;
	u64 undefined; /* flags */
};

#define BIT_FLAGS (FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF | FLAG_ZF)

/* Group 2: the flags of a count other than 1 are partly undefined. */
#define SHIFTS(e) \
	{ .opcode = 0xc0, .ext = e, .imm = 1, .undefined = FLAG_OF | FLAG_AF | FLAG_CF }, \
	{ .opcode = 0xc1, .ext = e, .imm = 1, .undefined = FLAG_OF | FLAG_AF | FLAG_CF }, \
	{ .opcode = 0xd0, .ext = e, .undefined = FLAG_AF }, \
	{ .opcode = 0xd1, .ext = e, .undefined = FLAG_AF }, \
	{ .opcode = 0xd2, .ext = e, .undefined = FLAG_OF | FLAG_AF | FLAG_CF }, \
	{ .opcode = 0xd3, .ext = e, .undefined = FLAG_OF | FLAG_AF | FLAG_CF }

static const struct spec other_specs[] = {
	SHIFTS(0), SHIFTS(1), SHIFTS(2), SHIFTS(3), SHIFTS(4), SHIFTS(5), SHIFTS(7),
	{ .map = 1, .opcode = 0xaf, .ext = -1, .undefined = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF },
	{ .opcode = 0x69, .ext = -1, .imm = 4, .undefined = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF },
	{ .opcode = 0x6b, .ext = -1, .imm = 1, .undefined = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF },
	{ .opcode = 0x63, .ext = -1, .no_opsize = true },
	{ .opcode = 0x84, .ext = -1, .undefined = FLAG_AF },
	{ .opcode = 0x85, .ext = -1, .undefined = FLAG_AF },
	{ .opcode = 0x86, .ext = -1, .lock = true },
	{ .opcode = 0x87, .ext = -1, .lock = true },
	{ .opcode = 0x88, .ext = -1 },
	{ .opcode = 0x89, .ext = -1 },
	{ .opcode = 0x8a, .ext = -1 },
	{ .opcode = 0x8b, .ext = -1 },
	{ .opcode = 0x8f, .ext = 0, .kind = STACK },
	{ .opcode = 0xff, .ext = 6, .kind = STACK },
	{ .opcode = 0xc6, .ext = 0, .imm = 1 },
	{ .opcode = 0xc7, .ext = 0, .imm = 4 },
	{ .opcode = 0xf6, .ext = 0, .imm = 1, .undefined = FLAG_AF },
	{ .opcode = 0xf7, .ext = 1, .imm = 4, .undefined = FLAG_AF },
	{ .opcode = 0xf6, .ext = 2, .lock = true },
	{ .opcode = 0xf7, .ext = 2, .lock = true },
	{ .opcode = 0xf6, .ext = 3, .lock = true },
	{ .opcode = 0xf7, .ext = 3, .lock = true },
	{ .opcode = 0xfe, .ext = 0, .lock = true },
	{ .opcode = 0xff, .ext = 0, .lock = true },
	{ .opcode = 0xfe, .ext = 1, .lock = true },
	{ .opcode = 0xff, .ext = 1, .lock = true },
	{ .opcode = 0xa4, .kind = STRING },
	{ .opcode = 0xa5, .kind = STRING },
	{ .opcode = 0xaa, .kind = STRING },
	{ .opcode = 0xab, .kind = STRING },
	{ .opcode = 0xac, .kind = STRING },
	{ .opcode = 0xad, .kind = STRING },
	{ .opcode = 0xa6, .kind = COMPARE },
	{ .opcode = 0xa7, .kind = COMPARE },
	{ .opcode = 0xae, .kind = COMPARE },
	{ .opcode = 0xaf, .kind = COMPARE },
	{ .map = 1, .opcode = 0xa3, .ext = -1, .kind = BITS, .undefined = BIT_FLAGS },
	{ .map = 1, .opcode = 0xab, .ext = -1, .kind = BITS, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xb3, .ext = -1, .kind = BITS, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xbb, .ext = -1, .kind = BITS, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xba, .ext = 4, .imm = 1, .undefined = BIT_FLAGS },
	{ .map = 1, .opcode = 0xba, .ext = 5, .imm = 1, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xba, .ext = 6, .imm = 1, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xba, .ext = 7, .imm = 1, .undefined = BIT_FLAGS, .lock = true },
	{ .map = 1, .opcode = 0xb0, .ext = -1, .lock = true },
	{ .map = 1, .opcode = 0xb1, .ext = -1, .lock = true },
	{ .map = 1, .opcode = 0xc0, .ext = -1, .lock = true },
	{ .map = 1, .opcode = 0xc1, .ext = -1, .lock = true },
	{ .map = 1, .opcode = 0xb6, .ext = -1 },
	{ .map = 1, .opcode = 0xb7, .ext = -1 },
	{ .map = 1, .opcode = 0xbe, .ext = -1 },
	{ .map = 1, .opcode = 0xbf, .ext = -1 },
	{ .map = 1, .opcode = 0xc3, .ext = -1, .no_opsize = true },
	{ .map = 2, .opcode = 0xf0, .ext = -1 },
	{ .map = 2, .opcode = 0xf1, .ext = -1 },
};

/*
 * The regular parts of the opcode maps: arithmetic in all forms, groups 1, CMOVcc, SETcc; then the
 * table.
 */
#define NR_SPECS (32 + 24 + 16 + 16 + ARRAY_SIZE(other_specs))

static struct spec nth_spec(unsigned int n)
{
	static const u8 group1[] = { 0x80, 0x81, 0x83 };

	if (n < 32) {
		unsigned int op = n >> 2;
		bool logic = op == ALU_OR || op == ALU_AND || op == ALU_XOR;

		return (struct spec){ .opcode = op << 3 | (n & 3),
				      .ext = -1,
				      .lock = !(n & 2) && op != ALU_CMP,
				      .undefined = logic ? FLAG_AF : 0 };
	}
	n -= 32;
	if (n < 24) {
		unsigned int op = n & 7;
		bool logic = op == ALU_OR || op == ALU_AND || op == ALU_XOR;

		return (struct spec){ .opcode = group1[n >> 3],
				      .ext = op,
				      .imm = n >> 3 == 1 ? 4 : 1,
				      .lock = op != ALU_CMP,
				      .undefined = logic ? FLAG_AF : 0 };
	}
	n -= 24;
	if (n < 16)
		return (struct spec){ .map = 1, .opcode = 0x40 | n, .ext = -1 };
	n -= 16;
	if (n < 16)
		return (struct spec){ .map = 1, .opcode = 0x90 | n, .ext = 0 };
	return other_specs[n - 16];
}

static u64 seed = 1;

static u64 rnd64(void)
{
	u64 value = 0;

	for (unsigned int i = 0; i < 4; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		value = value << 16 | (seed >> 40 & 0xffff);
	}
	return value;
}

static u32 rnd(u32 n)
{
	return rnd64() % n;
}

/* Numbers at which carries and signs turn. */
static u64 rnd_value(void)
{
	static const u64 edges[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffffull, 0x8000000000000000ull, ~0ull
	};

	return rnd(3) ? rnd64() : edges[rnd(ARRAY_SIZE(edges))];
}

/* One test: the instruction, and the state before it. */
struct sample {
	u8 bytes[16];
	unsigned int length;
	u64 regs[16], flags;
	u64 offset; /* of the operand that ModRM names, in the data; ~0 none */
	u8 data[DATA_SIZE];
};

/* ModRM, SIB and displacement of an operand at DATA + @offset; sets the registers so. */
static void add_operand(struct sample *s, u8 reg, u64 offset, u8 *rex, unsigned int imm_size,
			bool addr32)
{
	static const u8 bases[] = { R_BX, R_BP, R_DI, R_10, R_12, R_13 };
	static const u8 indices[] = { R_DX, R_9, R_14 };
	u8 base = bases[rnd(*rex ? 6 : 3)], index = indices[rnd(*rex ? 3 : 1)], mod = rnd(3),
	   scale = rnd(4);
	u32 disp = mod == 1 ? (u32)(s32)(s8)rnd64() : mod == 2 ? (u32)rnd(0x10000) : 0;
	u64 target = DATA + offset;

	if ((base & 7) == R_BP && !mod)
		mod = 1;
	if (!rnd(8)) { /* RIP-relative */
		s->bytes[s->length++] = (reg & 7) << 3 | 5;
		*rex &= ~3;
		disp = target - (CODE + s->length + 4 + imm_size);
		mod = 2;
	} else if (!rnd(8)) { /* absolute */
		s->bytes[s->length++] = (reg & 7) << 3 | 4;
		s->bytes[s->length++] = 0x25;
		*rex &= ~3;
		disp = target;
		mod = 2;
	} else if ((base & 7) == R_SP || rnd(2)) {
		*rex |= (base >> 3) | (index >> 3) << 1;
		s->bytes[s->length++] = mod << 6 | (reg & 7) << 3 | 4;
		s->bytes[s->length++] = scale << 6 | (index & 7) << 3 | (base & 7);
		s->regs[index] = rnd(0x1000);
		s->regs[base] = target - (s->regs[index] << scale) - (u64)(s64)(s32)disp;
	} else {
		*rex |= base >> 3;
		s->bytes[s->length++] = mod << 6 | (reg & 7) << 3 | (base & 7);
		s->regs[base] = target - (u64)(s64)(s32)disp;
	}
	if (addr32)
		s->regs[base] ^= rnd64() << 32;
	if (mod == 1)
		s->bytes[s->length++] = disp;
	if (mod == 2) {
		memcpy(s->bytes + s->length, &disp, 4);
		s->length += 4;
	}
}

static u64 rnd_offset(void)
{
	return rnd(3) ? 0x800 + rnd(0x1000) : 0xff8 + rnd(9);
}

static void make_string(struct sample *s, const struct spec *spec, bool addr32)
{
	s->regs[R_SI] = DATA + rnd_offset();
	s->regs[R_DI] = DATA + rnd_offset();
	s->regs[R_CX] = rnd(20);
	s->flags |= rnd(2) ? FLAG_DF : 0;
	if (addr32) {
		s->regs[R_SI] |= rnd64() << 32;
		s->regs[R_DI] |= rnd64() << 32;
		s->regs[R_CX] |= rnd64() << 32;
	}
	/* Long runs of equal bytes, so that comparisons go on for a while. */
	if (spec->kind == COMPARE && rnd(2)) {
		memset(s->data, 0x5a, sizeof(s->data));
		memset(s->data + rnd(DATA_SIZE - 64), 0xa5, 64);
		memset(&s->regs[R_AX], rnd(2) ? 0x5a : 0xa5, 8);
	}
}

static void make_sample(struct sample *s, const struct spec *spec)
{
	bool opsize = !spec->no_opsize && !rnd(4), addr32 = !rnd(6),
	     string = spec->kind == STRING || spec->kind == COMPARE;
	u8 rex = rnd(4) ? 0x40 | (rnd(2) ? 8 : 0) : 0, reg = rnd(rex ? 16 : 8);
	unsigned int rex_at, imm_size = spec->imm == 4 ? (rex & 8 ? 4 : opsize ? 2 : 4) : spec->imm;
	u64 offset = rnd_offset();

	s->offset = string || spec->kind == BITS ? ~0ull : offset;
	s->length = 0;
	for (unsigned int i = 0; i < 16; i++)
		s->regs[i] = rnd_value();
	for (unsigned int i = 0; i < DATA_SIZE; i += 8) {
		u64 value = rnd_value();

		memcpy(s->data + i, &value, 8);
	}
	s->regs[R_SP] = DATA + 0x1000 + rnd(0x200) - 0x100;
	s->flags = (rnd64() & FLAGS_ARITH) | FLAG_FIXED | FLAG_IF;
	if (addr32)
		s->bytes[s->length++] = 0x67;
	if (opsize)
		s->bytes[s->length++] = 0x66;
	if (spec->lock && rnd(2))
		s->bytes[s->length++] = 0xf0;
	if (string && rnd(4))
		s->bytes[s->length++] = rnd(2) ? 0xf3 : 0xf2;
	rex_at = s->length;
	if (rex)
		s->length++;
	if (spec->map)
		s->bytes[s->length++] = 0x0f;
	if (spec->map == 2)
		s->bytes[s->length++] = 0x38;
	s->bytes[s->length++] = spec->opcode;
	if (string) {
		make_string(s, spec, addr32);
	} else {
		if (spec->ext >= 0)
			reg = spec->ext;
		else if (spec->kind == BITS)
			s->regs[reg = R_AX] = (u64)((s64)rnd(0x3000) - 0x1800);
		rex |= rex ? reg >> 3 << 2 : 0;
		add_operand(s, reg, offset, &rex, imm_size, addr32);
		if (rnd(2) && spec->map == 1 && (spec->opcode & 0xfe) == 0xb0)
			memcpy(&s->regs[R_AX], s->data + offset, 8); /* CMPXCHG succeeds */
	}
	if (rex)
		s->bytes[rex_at] = rex;
	for (unsigned int i = 0; i < imm_size; i++)
		s->bytes[s->length++] = rnd(256);
}

static void run_natively(struct sample *s)
{
	memcpy((void *)DATA, s->data, DATA_SIZE);
	memcpy((void *)CODE, s->bytes, s->length);
	memcpy(native_state.regs, s->regs, sizeof(s->regs));
	native_state.flags = s->flags;
	native_run((u8 *)CODE, s->length);
}

/* The memory behind data page @i. */
static u8 *backing(unsigned int i, bool mmio)
{
	return mmio ? device[i] : g.m->mem + RAM_GPA(i);
}

static void report(const struct sample *s, const char *what)
{
	char hex[33] = "";

	for (unsigned int i = 0; i < s->length; i++)
		snprintf(hex + 2 * i, 3, "%02x", s->bytes[i]);
	for (unsigned int i = 0; i < 16; i++)
		if (g.v->regs[i] != native_state.regs[i])
			print_message("reg %u: before %llx, emulated %llx, CPU %llx\n", i,
				      s->regs[i], g.v->regs[i], native_state.regs[i]);
	fail_msg("%s: %s; flags before %llx, emulated %llx, CPU %llx", hex, what, s->flags,
		 vcpu_rflags(g.v), native_state.flags);
}

static void compare_sample(struct sample *s, const struct spec *spec, bool mmio0, bool mmio1)
{
	struct emul_operand operand;

	guest_ready(GUEST_LONG, mmio0, mmio1);
	memcpy(backing(0, mmio0), s->data, 4096);
	memcpy(backing(1, mmio1), s->data + 4096, 4096);
	assert_int_equal(host_guest_write(&g.m->vm, CODE_GPA, s->bytes, s->length), 0);
	memcpy(g.v->regs, s->regs, sizeof(s->regs));
	vcpu_set_rflags(g.v, s->flags);
	operand.gpa = s->offset < 0x1000 ? MMIO_GPA(0) + s->offset : MMIO_GPA(1) + s->offset - 0x1000;
	operand.write = rnd(2);
	cpu_says = s->offset != ~0ull && (s->offset < 0x1000 ? mmio0 : mmio1) && rnd(4) ? &operand : NULL;
	if (emulate_all() != RESUME || g.v->ev.exception.pending ||
	    vcpu_rip(g.v) != CODE + s->length)
		report(s, "not executed");
	if (memcmp(g.v->regs, native_state.regs, sizeof(s->regs)))
		report(s, "registers");
	if ((vcpu_rflags(g.v) ^ native_state.flags) & FLAGS_ARITH & ~spec->undefined)
		report(s, "flags");
	if (memcmp(backing(0, mmio0), (void *)DATA, 4096) ||
	    memcmp(backing(1, mmio1), (void *)(DATA + 4096), 4096))
		report(s, "memory");
}

static void test_against_cpu(void **state)
{
	static struct sample s;

	map_native(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
	map_native(CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	for (unsigned int n = 0; n < NR_SPECS; n++) {
		struct spec spec = nth_spec(n);

		for (unsigned int i = 0; i < 120; i++) {
			make_sample(&s, &spec);
			run_natively(&s);
			compare_sample(&s, &spec, i & 1, i & 2);
		}
	}
	cpu_says = NULL;
	munmap((void *)DATA, DATA_SIZE);
	munmap((void *)CODE, 4096);
}

/* --- MMIO exits. --- */

static void assert_mmio(u64 gpa, u32 len, bool write)
{
	struct kvm_run *run = g.v->run;

	assert_int_equal(run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(run->mmio.phys_addr, gpa);
	assert_int_equal(run->mmio.len, len);
	assert_int_equal(run->mmio.is_write, write);
}

static void test_read_exit(void **state)
{
	unsigned int n = put_code("8b4304"); /* mov 4(%rbx),%eax */

	g.v->regs[R_BX] = DATA + 0x10;
	g.v->regs[R_AX] = ~0ull;
	memcpy(&device[0][0x14], "\x78\x56\x34\x12", 4);
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x14, 4, false);
	assert_int_equal(g.v->regs[R_AX], ~0ull);
	assert_int_equal(vcpu_rip(g.v), CODE);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0x12345678);
	assert_done(n);
	assert_int_equal(emulate_complete(g.v), RESUME); /* nothing waits any more */
	assert_done(n);
}

static void test_write_exit(void **state)
{
	unsigned int n = put_code("668903"); /* mov %ax,(%rbx) */

	g.v->regs[R_BX] = DATA;
	g.v->regs[R_AX] = 0x1122334455667788;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0), 2, true);
	assert_memory_equal(g.v->run->mmio.data, "\x88\x77\0\0\0\0\0\0", 8);
	assert_done(n);
	memset(g.v->run, 0xff, sizeof(*g.v->run));
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(n);
}

/* Both pages are MMIO: lock add %rax,(%rbx) takes two reads, then two writes. */
static void test_crossing_update(void **state)
{
	static const struct {
		u64 gpa;
		u32 len;
		bool write;
	} expected[] = {
		{ MMIO_GPA(0) + 0xffd, 3, false },
		{ MMIO_GPA(1), 5, false },
		{ MMIO_GPA(0) + 0xffd, 3, true },
		{ MMIO_GPA(1), 5, true },
	};
	unsigned int n = put_code("f0480103");
	u64 value = 0x00000000ffffffff;
	int r;

	g.v->regs[R_BX] = DATA + 0xffd;
	g.v->regs[R_AX] = 1;
	memcpy(&device[0][0xffd], &value, 3);
	memcpy(&device[1][0], (u8 *)&value + 3, 5);
	r = emulate_mmio(g.v, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(r, EXIT_TO_USER);
		assert_mmio(expected[i].gpa, expected[i].len, expected[i].write);
		serve_mmio();
		r = emulate_complete(g.v);
	}
	assert_int_equal(r, RESUME);
	assert_done(n);
	memcpy(&value, &device[0][0xffd], 3);
	memcpy((u8 *)&value + 3, &device[1][0], 5);
	assert_int_equal(value, 0x100000000);
	assert_int_equal(vcpu_rflags(g.v) & FLAGS_ARITH, FLAG_PF | FLAG_AF);
}

/* The guest maps another page while the VMM answers: the answer for the old one is not used. */
static void test_answer_for_another_place(void **state)
{
	put_code("8b03");
	g.v->regs[R_BX] = DATA;
	device[0][0] = 1;
	device[1][0] = 2;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	serve_mmio();
	guest_map(&g, DATA, MMIO_GPA(1), ALL);
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(1), 4, false);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 2);
	assert_done(2);
}

/* Where the emulator reads or writes when the CPU says @gpa and @write, and the tables say MMIO_GPA(0). */
static void assert_operand(u64 gpa, bool write, u64 expected, u32 len, bool expected_write)
{
	struct emul_operand operand = { .gpa = gpa, .write = write };

	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_mmio(g.v, &operand), EXIT_TO_USER);
	assert_mmio(expected, len, expected_write);
}

/* What the CPU has translated is not looked up again, be the tables changed meanwhile; but only for that access. */
static void test_cpu_translates(void **state)
{
	put_code("8b03"); /* mov (%rbx),%eax */
	g.v->regs[R_BX] = DATA + 0x10;
	assert_operand(MMIO_GPA(1) + 0x10, false, MMIO_GPA(1) + 0x10, 4, false);
	device[1][0x10] = 0x77;
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0x77);
	/* Another place, another kind of access. */
	assert_operand(MMIO_GPA(1) + 0x14, false, MMIO_GPA(0) + 0x10, 4, false);
	assert_operand(MMIO_GPA(1) + 0x10, true, MMIO_GPA(0) + 0x10, 4, false);
	/* Into the next page. */
	g.v->regs[R_BX] = DATA + 0xffe;
	assert_operand(MMIO_GPA(1) + 0xffe, false, MMIO_GPA(0) + 0xffe, 2, false);
	put_code("8903"); /* mov %eax,(%rbx) */
	g.v->regs[R_BX] = DATA + 0x10;
	assert_operand(MMIO_GPA(1) + 0x10, true, MMIO_GPA(1) + 0x10, 4, true);
	assert_operand(MMIO_GPA(1) + 0x10, false, MMIO_GPA(0) + 0x10, 4, true);
	/* The next instruction has an operand of its own. */
	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x10, 4, true);
}

/* The CPU exited for the stack, not for the operand at the same place in another page; the page is not the stack's. */
static void test_cpu_translates_stack(void **state)
{
	put_code("ff33"); /* push (%rbx) */
	g.v->regs[R_BX] = DATA + 0x20;
	g.v->regs[R_SP] = DATA + 0x1028;
	assert_operand(MMIO_GPA(1) + 0x20, true, MMIO_GPA(0) + 0x20, 8, false);
	put_code("8f03"); /* pop (%rbx) */
	g.v->regs[R_SP] = DATA + 0x1020;
	assert_operand(MMIO_GPA(0) + 0x20, true, MMIO_GPA(1) + 0x20, 8, false);
	assert_operand(MMIO_GPA(1) + 0x20, false, MMIO_GPA(1) + 0x20, 8, false);
	device[1][0x20] = 0x55;
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x20, 8, true);
}

/* Bytes that the CPU gives are the instruction, whatever is in memory now; unless they do not suffice, or it says nothing of a fault on data. */
static void test_cpu_gives_code(void **state)
{
	struct emul_operand operand = { .gpa = MMIO_GPA(0) };
	struct vmcb_control *c = &VMCB(g.v)->c;

	put_code("8b4304"); /* mov 4(%rbx),%eax */
	g.v->regs[R_BX] = DATA;
	memcpy(c->insn_bytes, "\x8a\x03\x90\x90", 4); /* mov (%rbx),%al */
	c->insn_len = 4;
	assert_int_equal(emulate_mmio(g.v, &operand), EXIT_TO_USER); /* not with this CPU */
	assert_mmio(MMIO_GPA(0) + 4, 4, false);
	svm.decode_assists = true;
	assert_int_equal(emulate_mmio(g.v, &operand), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0), 1, false);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(2);
	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 4, 4, false);
	for (c->insn_len = 0; c->insn_len < 2; c->insn_len++) {
		assert_int_equal(emulate_mmio(g.v, &operand), EXIT_TO_USER);
		assert_mmio(MMIO_GPA(0) + 4, 4, false);
	}
	svm.decode_assists = false;
}

/* A translation does not go past a segment's limit. */
static void test_cpu_translates_within_limit(void **state)
{
	struct emul_operand operand = { .gpa = MMIO_GPA(0) + 0x10 };

	guest_ready(GUEST_32, true, true);
	put_code("8b03");
	guest_set_segment(g.v, SEG_DS, 0x10, 0, DATA + 0x12, 0xc93);
	g.v->regs[R_BX] = DATA + 0x10;
	assert_int_equal(emulate_mmio(g.v, &operand), RESUME);
	assert_exception(VEC_GP, 0);
}

/*
 * Another vCPU replaces the instruction while the VMM answers: the one that was begun is completed; the next run at the same place
 * is of the new one, and later of the old one again.
 */
static void test_code_replaced(void **state)
{
	put_code("8b03");
	g.v->regs[R_BX] = DATA;
	device[0][0] = 0x99;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	put_code("8903");
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0x99);
	assert_done(2);
	for (unsigned int i = 0; i < 4; i++) {
		VMCB(g.v)->s.rip = CODE;
		put_code(i & 1 ? "8b03" : "8903");
		assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
		assert_mmio(MMIO_GPA(0), 4, !(i & 1));
		emulate_reset(g.v);
	}
}

/* Bytes that are known from one mode are another instruction in another, also if the VMM changes it while they wait. */
static void test_code_in_another_mode(void **state)
{
	unsigned int n = put_code("408b03"); /* mov (%rbx),%eax; or inc %eax */

	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_served(), RESUME);
	assert_done(n);
	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_int_equal(g.v->run->exit_reason, KVM_EXIT_MMIO);
	guest_ready(GUEST_32, true, true);
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_int_equal(g.v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_int_equal(g.v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
}

/*
 * A VMM that moves RIP (a reset, a debugger) ends what waits; bytes that mean something else in its
 * new mode are harmless.
 */
static void test_vmm_interferes(void **state)
{
	put_code("8b03");
	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	VMCB(g.v)->s.rip = 0xfff0;
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0);
	assert_int_equal(vcpu_rip(g.v), 0xfff0);
	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	emulate_reset(g.v);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(vcpu_rip(g.v), CODE);
	/* The second half of a write is lost with a reset. */
	put_code("8903");
	g.v->regs[R_BX] = DATA + 0xffe;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	VMCB(g.v)->s.rip = 0xfff0;
	assert_int_equal(emulate_complete(g.v), RESUME);
}

static void test_rom_write_is_mmio(void **state)
{
	unsigned int n = put_code("c60342"); /* movb $0x42,(%rbx) */

	guest_ready(GUEST_LONG, false, false);
	g.m->ro_start = RAM_GPA(0);
	g.m->ro_end = RAM_GPA(0) + 4096;
	g.v->regs[R_BX] = DATA + 7;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(RAM_GPA(0) + 7, 1, true);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(n);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 7, 1), 0);
}

/* The CPU has said that it may not write there; reading it may. */
static void test_rom_update_reads_rom(void **state)
{
	struct emul_operand operand = { .gpa = RAM_GPA(0) + 7, .write = true };
	unsigned int n = put_code("800b02"); /* orb $2,(%rbx) */

	guest_ready(GUEST_LONG, false, false);
	guest_poke(&g, RAM_GPA(0) + 7, 0x40, 1);
	g.m->ro_start = RAM_GPA(0);
	g.m->ro_end = RAM_GPA(0) + 4096;
	g.v->regs[R_BX] = DATA + 7;
	assert_int_equal(emulate_mmio(g.v, &operand), EXIT_TO_USER);
	assert_mmio(RAM_GPA(0) + 7, 1, true);
	assert_int_equal(g.v->run->mmio.data[0], 0x42);
	assert_done(n);
}

static void test_doorbell(void **state)
{
	unsigned int n = put_code("8903");

	g.m->doorbell_gpa = MMIO_GPA(0) + 0x50;
	g.v->regs[R_BX] = DATA + 0x50;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.m->doorbells, 1);
	assert_done(n);
}

static u32 apic_register;

bool lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *data)
{
	if (lapic_x2apic(&v->apic) || gpa != v->apic.base - (v->apic.base & 0xfff) + 0x80)
		return false;
	memcpy(data, &apic_register, len);
	return true;
}

bool lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *data)
{
	u8 was[4];

	if (!lapic_mmio_read(v, gpa, len, was))
		return false;
	memcpy(&apic_register, data, len);
	return true;
}

/* The APIC's page comes before a slot in the same place, and only while the APIC is on. */
static void test_apic_page(void **state)
{
	unsigned int n = put_code("810310000000"); /* addl $0x10,(%rbx) */

	guest_ready(GUEST_LONG, false, false);
	g.v->apic.present = true;
	g.v->apic.base = RAM_GPA(0) | APIC_BASE_ENABLE_BIT;
	g.v->regs[R_BX] = DATA + 0x80;
	apic_register = 0x20;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_done(n);
	assert_int_equal(apic_register, 0x30);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 0x80, 4), 0);
	VMCB(g.v)->s.rip = CODE;
	g.v->apic.base &= ~APIC_BASE_ENABLE_BIT;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(apic_register, 0x30);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 0x80, 4), 0x10);
}

/* --- Faults: nothing changes, nothing is asked. --- */

static void test_page_fault(void **state)
{
	put_code("830301"); /* addl $1,(%rbx): a read-modify-write faults as a write */
	g.v->regs[R_BX] = DATA + 0x3000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_WRITE);
	assert_int_equal(vcpu_cr2(g.v), DATA + 0x3000);
	VMCB(g.v)->s.cpl = 3;
	guest_map(&g, DATA, MMIO_GPA(0), PTE_P | PTE_U);
	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_PRESENT | PF_WRITE | PF_USER);
	put_code("8b03");
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	guest_map(&g, DATA, MMIO_GPA(0), PTE_P | PTE_W);
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_PRESENT | PF_USER);
}

/* Of an operand in two pages, none is touched when the second faults. */
static void test_crossing_fault(void **state)
{
	guest_ready(GUEST_LONG, false, false);
	put_code("48c703ffffffff");
	guest_set_entry(&g, DATA + 0x1000, 0, 0);
	g.v->regs[R_BX] = DATA + 0xffc;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_WRITE);
	assert_int_equal(vcpu_cr2(g.v), DATA + 0x1000);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 0xffc, 4), 0);
	/* MOVS from a device whose destination faults reads nothing. */
	map_data(0, true);
	put_code("a5");
	g.v->regs[R_SI] = DATA;
	g.v->regs[R_DI] = DATA + 0x1000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_WRITE);
	assert_int_equal(g.v->regs[R_SI], DATA);
}

static void test_not_canonical(void **state)
{
	put_code("8b03");
	g.v->regs[R_BX] = 0x8000000000000000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_GP, 0);
	put_code("8b4500"); /* mov (%rbp),%eax */
	g.v->regs[R_BP] = 0x8000000000000000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_SS, 0);
}

static void assert_cannot(const char *hex)
{
	struct kvm_run *run = g.v->run;
	unsigned int n = put_code(hex);

	memset(run, 0xff, sizeof(*run));
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_int_equal(run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_int_equal(run->emulation_failure.ndata, 4);
	assert_int_equal(run->emulation_failure.flags,
			 KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	assert_in_range(run->emulation_failure.insn_size, n, 15);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(run->emulation_failure.insn_bytes[i],
				 guest_peek(&g, CODE_GPA + i, 1));
	assert_int_equal(vcpu_rip(g.v), CODE);
	assert_false(g.v->ev.exception.pending);
}

static void test_cannot(void **state)
{
	static const char *const codes[] = {
		"c5fd6f03", /* vmovdqa (%rbx),%ymm0 */
		"0f1003", /* movups */
		"d903", /* flds */
		"0f0b", /* ud2 */
		"89d8", /* mov %ebx,%eax: no memory */
		"6c", "6e", "f36f", /* port I/O: its permission has not been checked */
		"0f2203",   "0f30",   "f4", /* privileged */
		"480fc70b", /* cmpxchg16b */
		"ff2b", /* ljmp *(%rbx) */
		"f08903", /* LOCK where it may not be */
		"0fae03",   "0fae33", /* fxsave, xsaveopt */
		"66ff23",   "668fc0", /* near branch with an operand-size prefix; pop %ax */
		"66630b",
	};

	g.v->regs[R_BX] = DATA;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		assert_cannot(codes[i]);
	VMCB(g.v)->s.cpl = 3;
	put_code("d903");
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_UD, 0);
}

/* Code where no memory is: there is nothing to decode, and nothing is guessed. */
static void test_code_in_mmio(void **state)
{
	guest_map(&g, CODE, MMIO_GPA(0), ALL);
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_int_equal(g.v->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(g.v->run->emulation_failure.insn_size, 0);
}

/* --- String instructions. --- */

static void test_rep_is_bounded(void **state)
{
	guest_ready(GUEST_LONG, false, false);
	put_code("f3aa");
	g.v->regs[R_DI] = DATA;
	g.v->regs[R_CX] = 5000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.v->regs[R_CX], 5000 - 1024);
	assert_int_equal(vcpu_rip(g.v), CODE);
	machine_signal = true;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.v->regs[R_CX], 5000 - 1025);
	machine_signal = false;
	vcpu_request(g.v, REQ_EVENT);
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.v->regs[R_CX], 5000 - 1026);
	assert_int_equal(g.v->regs[R_DI], DATA + 1026);
}

static void test_rep_single_step(void **state)
{
	guest_ready(GUEST_LONG, false, false);
	put_code("f3aa");
	g.v->regs[R_DI] = DATA;
	g.v->regs[R_CX] = 10;
	VMCB(g.v)->s.rflags |= FLAG_TF;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_DB, 0);
	assert_int_equal(g.v->regs[R_CX], 9);
	put_code("f36e");
	g.v->regs[R_SI] = DATA;
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, false), EXIT_TO_USER);
	assert_exception(VEC_DB, 0);
	assert_int_equal(g.v->run->io.count, 1);
}

/* The write of an element reaches the VMM before the next element starts. */
static void test_rep_to_device(void **state)
{
	guest_ready(GUEST_LONG, false, true);
	put_code("f3a5");
	for (unsigned int i = 0; i < 3; i++)
		guest_poke(&g, RAM_GPA(0) + 4 * i, 0x11111111 * (i + 1), 4);
	g.v->regs[R_SI] = DATA;
	g.v->regs[R_DI] = DATA + 0x1000;
	g.v->regs[R_CX] = 3;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(vcpu_rip(g.v), CODE);
		assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
		assert_mmio(MMIO_GPA(1) + 4 * i, 4, true);
		assert_int_equal(g.v->regs[R_CX], 2 - i);
		serve_mmio();
		assert_int_equal(emulate_complete(g.v), RESUME);
	}
	assert_done(2);
	assert_memory_equal(device[1], "\x11\x11\x11\x11\x22\x22\x22\x22\x33\x33\x33\x33", 12);
}

static void test_rep_from_device(void **state)
{
	guest_ready(GUEST_LONG, true, false);
	put_code("f3a4");
	memcpy(device[0], "hello", 5);
	g.v->regs[R_SI] = DATA;
	g.v->regs[R_DI] = DATA + 0x1000;
	g.v->regs[R_CX] = 5;
	assert_int_equal(emulate_served(), RESUME);
	assert_done(2);
	assert_int_equal(device_reads, 5);
	assert_memory_equal(g.m->mem + RAM_GPA(1), "hello", 5);
}

static void test_rep_fault_in_the_middle(void **state)
{
	guest_ready(GUEST_LONG, false, false);
	guest_set_entry(&g, DATA + 0x1000, 0, 0);
	put_code("f348ab");
	g.v->regs[R_DI] = DATA + 0xff0;
	g.v->regs[R_CX] = 10;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, PF_WRITE);
	assert_int_equal(g.v->regs[R_CX], 8);
	assert_int_equal(g.v->regs[R_DI], DATA + 0x1000);
}

/* --- Other modes and odd operands. --- */

static void test_real_mode(void **state)
{
	guest_ready(GUEST_REAL, false, false);
	VMCB(g.v)->s.rip = 0x10;
	guest_set_segment(g.v, SEG_CS, 0x6000, CODE_GPA - 0x10, 0xffff, 0x9b);
	guest_set_segment(g.v, SEG_DS, 0, MMIO_GPA(0), 0xffff, 0x93);
	guest_set_segment(g.v, SEG_ES, 0, MMIO_GPA(1), 0xffff, 0x93);
	guest_set_segment(g.v, SEG_SS, 0, MMIO_GPA(0), 0x1ff, 0x93);
	put_code("268900"); /* mov %ax,%es:(%bx,%si) */
	memset(g.v->regs, 0xff, sizeof(g.v->regs));
	g.v->regs[R_BX] = 0x1ff00; /* the offset wraps at 64 KiB */
	g.v->regs[R_SI] = 0x200;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(1) + 0x100, 2, true);
	assert_int_equal(vcpu_rip(g.v), 0x13);
	VMCB(g.v)->s.rip = 0x10;
	put_code("8b4600"); /* mov (%bp),%ax: the stack segment */
	g.v->regs[R_BP] = 0x1fe;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x1fe, 2, false);
	g.v->regs[R_BP] = 0x1ff;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.v->ev.exception.vector, VEC_SS);
	assert_false(g.v->ev.exception.has_error);
	/* String offsets wrap too, and only the low halves change. */
	put_code("ac");
	g.v->regs[R_SI] = 0xabcd0123;
	emulate_served();
	assert_int_equal(g.v->regs[R_SI], 0xabcd0124);
}

static void test_protected_mode(void **state)
{
	guest_ready(GUEST_PAE, true, true);
	put_code("8903");
	g.v->regs[R_BX] = 0xffffffff00000000 | DATA; /* the upper half does not exist */
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0), 4, true);
	VMCB(g.v)->s.rip = CODE;
	guest_set_segment(g.v, SEG_DS, 0x10, 0, DATA + 2, 0xc93);
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_GP, 0);
	put_code("368903");
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	VMCB(g.v)->s.rip = CODE;
	put_code("2e8903"); /* code segments cannot be written */
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_GP, 0);
}

static void test_fs_segment(void **state)
{
	put_code("648b042500010000"); /* mov %fs:0x100,%eax */
	guest_set_segment(g.v, SEG_FS, 0, DATA + 0x20, 0, 0);
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x120, 4, false);
}

static void test_store_selector(void **state)
{
	put_code("488c1b"); /* mov %ds,(%rbx): 16 bits whatever the size */
	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0), 2, true);
	assert_memory_equal(g.v->run->mmio.data, "\x10\0\0\0", 4);
}

static void test_moffs(void **state)
{
	unsigned int n = put_code("48a10810001000000000");

	g.v->regs[R_AX] = 0;
	device[1][8] = 0x99;
	assert_int_equal(emulate_served(), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0x99);
	assert_done(n);
}

/* Flushing a line of a device asks nobody. */
static void test_cache_flush(void **state)
{
	unsigned int n = put_code("660fae3b"); /* clflushopt (%rbx) */

	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_done(n);
	VMCB(g.v)->s.rip = CODE;
	g.v->regs[R_BX] = DATA + 0x5000;
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_exception(VEC_PF, 0);
}

static void test_near_branches(void **state)
{
	u64 target = 0x123456789ab;

	guest_ready(GUEST_LONG, true, false);
	g.v->regs[R_BX] = DATA + 8;
	g.v->regs[R_SP] = DATA + 0x1100;
	memcpy(&device[0][8], &target, 8);
	put_code("ff23");
	assert_int_equal(emulate_served(), RESUME);
	assert_int_equal(vcpu_rip(g.v), target);
	VMCB(g.v)->s.rip = CODE;
	put_code("ff13");
	assert_int_equal(emulate_served(), RESUME);
	assert_int_equal(vcpu_rip(g.v), target);
	assert_int_equal(g.v->regs[R_SP], DATA + 0x10f8);
	assert_int_equal(guest_peek(&g, RAM_GPA(1) + 0xf8, 8), CODE + 2);
	VMCB(g.v)->s.rip = CODE;
	device[0][8 + 7] = 0x80;
	assert_int_equal(emulate_served(), RESUME);
	assert_exception(VEC_GP, 0);
	assert_int_equal(g.v->regs[R_SP], DATA + 0x10f8);
}

/* --- Fetch. --- */

static void test_fetch_across_pages(void **state)
{
	u8 code[] = { 0x8b, 0x83, 0x10, 0, 0, 0 }; /* mov 0x10(%rbx),%eax */

	guest_map(&g, CODE + 0x1000, 0x70000, ALL);
	assert_int_equal(host_guest_write(&g.m->vm, CODE_GPA + 0xffd, code, 3), 0);
	assert_int_equal(host_guest_write(&g.m->vm, 0x70000, code + 3, 3), 0);
	VMCB(g.v)->s.rip = CODE + 0xffd;
	g.v->regs[R_BX] = DATA;
	assert_int_equal(emulate_mmio(g.v, NULL), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0x10, 4, false);
	guest_map(&g, CODE + 0x1000, 0x70000, ALL | PTE_NX_BIT);
	assert_int_equal(emulate_mmio(g.v, NULL), RESUME);
	assert_int_equal(g.v->ev.exception.vector, VEC_PF);
	assert_int_equal(g.v->ev.exception.error, PF_PRESENT | PF_FETCH);
	assert_int_equal(vcpu_cr2(g.v), CODE + 0x1000);
}

static void test_length(void **state)
{
	put_code("660fa2");
	assert_int_equal(emulate_length(g.v, INSN_CPUID), 3);
	assert_int_equal(emulate_length(g.v, INSN_RDMSR), 0);
	put_code("0f0b");
	assert_int_equal(emulate_length(g.v, INSN_CPUID), 0);
	assert_false(g.v->ev.exception.pending);
	/* It ends with the page, and the next one does not exist. */
	VMCB(g.v)->s.rip = CODE + 0xfff;
	guest_poke(&g, CODE_GPA + 0xfff, 0xf4, 1);
	assert_int_equal(emulate_length(g.v, INSN_HLT), 1);
	assert_false(g.v->ev.exception.pending);
	guest_poke(&g, CODE_GPA + 0xfff, 0x0f, 1);
	assert_int_equal(emulate_length(g.v, INSN_CPUID), 0);
	assert_true(g.v->ev.exception.pending);
	assert_int_equal(vcpu_cr2(g.v), CODE + 0x1000);
}

static void test_length_at_limit(void **state)
{
	guest_ready(GUEST_REAL, false, false);
	guest_set_segment(g.v, SEG_CS, 0x6000, CODE_GPA, 0x1f, 0x9b);
	guest_poke(&g, CODE_GPA + 0x1e, 0xa20f, 2);
	VMCB(g.v)->s.rip = 0x1e;
	assert_int_equal(emulate_length(g.v, INSN_CPUID), 2);
	VMCB(g.v)->s.rip = 0x1f;
	assert_int_equal(emulate_length(g.v, INSN_CPUID), 0);
	assert_int_equal(g.v->ev.exception.vector, VEC_GP);
}

static void test_translate(void **state)
{
	struct kvm_translation t = { .linear_address = DATA + 0x1234 };

	guest_map(&g, DATA + 0x1000, 0x70000, PTE_P);
	emulate_translate(g.v, &t);
	assert_int_equal(t.valid, 1);
	assert_int_equal(t.physical_address, 0x70234);
	assert_int_equal(guest_peek(&g, guest_entry(&g, DATA + 0x1000, 0), 8), 0x70000 | PTE_P);
	t.linear_address = DATA + 0x4000;
	emulate_translate(g.v, &t);
	assert_int_equal(t.valid, 0);
	assert_int_equal(t.physical_address, ~0ull);
	assert_false(g.v->ev.exception.pending);
}

/* --- Port I/O. --- */

static void assert_io(bool in, u8 size, u16 port, u32 count)
{
	struct kvm_run *run = g.v->run;

	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->io.direction, in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT);
	assert_int_equal(run->io.size, size);
	assert_int_equal(run->io.port, port);
	assert_int_equal(run->io.count, count);
	assert_int_equal(run->io.data_offset, KVM_PIO_PAGE_OFFSET * 4096);
	memset(run, 0xff, sizeof(*run));
}

static void test_out(void **state)
{
	g.v->regs[R_AX] = 0x1122334455667788;
	assert_int_equal(emulate_pio(g.v, 0x80, 2, false, CODE + 1), EXIT_TO_USER);
	assert_io(false, 2, 0x80, 1);
	assert_memory_equal(g.v->pio_data, "\x88\x77", 2);
	assert_done(1);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(1);
	g.m->vm.pio_doorbells = false;
	assert_int_equal(emulate_pio(g.v, 0x90, 4, false, CODE + 1), EXIT_TO_USER);
	assert_io(false, 4, 0x90, 1);
	assert_memory_equal(g.v->pio_data, "\x88\x77\x66\x55", 4);
	assert_done(1);
	g.m->vm.pio_doorbells = true;
	g.m->doorbell_port = 0x90;
	assert_int_equal(emulate_pio(g.v, 0x90, 1, false, CODE + 2), RESUME);
	assert_int_equal(g.m->doorbells, 1);
	assert_done(2);
}

static void check_in(u8 size, u64 expected)
{
	VMCB(g.v)->s.rip = CODE;
	g.v->regs[R_AX] = 0x1122334455667788;
	assert_int_equal(emulate_pio(g.v, 0x60, size, true, CODE + 2), EXIT_TO_USER);
	assert_io(true, size, 0x60, 1);
	assert_int_equal(vcpu_rip(g.v), CODE);
	memcpy(g.v->pio_data, "\xaa\xbb\xcc\xdd", 4);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], expected);
	assert_done(2);
}

static void test_in(void **state)
{
	check_in(1, 0x11223344556677aa);
	check_in(2, 0x112233445566bbaa);
	check_in(4, 0xddccbbaa);
	/* The VMM resets the vCPU instead of answering. */
	VMCB(g.v)->s.rip = CODE;
	assert_int_equal(emulate_pio(g.v, 0x60, 1, true, CODE + 2), EXIT_TO_USER);
	VMCB(g.v)->s.rip = 0xfff0;
	g.v->regs[R_AX] = 0;
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_AX], 0);
	assert_int_equal(vcpu_rip(g.v), 0xfff0);
}

static void string_ready(const char *hex, u64 at, u64 count)
{
	guest_ready(GUEST_LONG, false, false);
	put_code(hex);
	g.v->regs[R_SI] = g.v->regs[R_DI] = at;
	g.v->regs[R_CX] = count;
}

static void test_outs(void **state)
{
	string_ready("f36e", DATA + 0xffc, 6);
	memcpy(g.m->mem + RAM_GPA(0) + 0xffc, "abcd", 4);
	memcpy(g.m->mem + RAM_GPA(1), "ef", 2);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 1, false), EXIT_TO_USER);
	assert_io(false, 1, 0x3f8, 4); /* as far as the page goes */
	assert_memory_equal(g.v->pio_data, "abcd", 4);
	assert_int_equal(g.v->regs[R_CX], 2);
	assert_int_equal(vcpu_rip(g.v), CODE);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 1, false), EXIT_TO_USER);
	assert_io(false, 1, 0x3f8, 2);
	assert_memory_equal(g.v->pio_data, "ef", 2);
	assert_int_equal(g.v->regs[R_SI], DATA + 0x1002);
	assert_int_equal(g.v->regs[R_CX], 0);
	assert_done(2);
}

static void test_outs_alone(void **state)
{
	string_ready("66646f", 0xffe, 77);
	guest_set_segment(g.v, SEG_FS, 0, DATA, 0, 0);
	guest_poke(&g, RAM_GPA(0) + 0xffe, 0x2211, 2);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 2, false), EXIT_TO_USER);
	assert_io(false, 2, 0x3f8, 1);
	assert_memory_equal(g.v->pio_data, "\x11\x22", 2);
	assert_int_equal(g.v->regs[R_CX], 77);
	assert_int_equal(g.v->regs[R_SI], 0x1000);
	assert_done(3);
	/* REP with a count of 0 does nothing. */
	string_ready("f36e", DATA, 0);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 1, false), RESUME);
	assert_done(2);
}

/* Direction down and elements across pages go one at a time. */
static void test_outs_one_by_one(void **state)
{
	string_ready("f36f", DATA + 0x100, 3);
	VMCB(g.v)->s.rflags |= FLAG_DF;
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 4, false), EXIT_TO_USER);
	assert_io(false, 4, 0x3f8, 1);
	assert_int_equal(g.v->regs[R_SI], DATA + 0xfc);
	assert_int_equal(g.v->regs[R_CX], 2);
	string_ready("f36f", DATA + 0xffe, 3);
	guest_poke(&g, RAM_GPA(0) + 0xffe, 0x2211, 2);
	guest_poke(&g, RAM_GPA(1), 0x4433, 2);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 4, false), EXIT_TO_USER);
	assert_io(false, 4, 0x3f8, 1);
	assert_memory_equal(g.v->pio_data, "\x11\x22\x33\x44", 4);
}

static void test_outs_doorbell(void **state)
{
	string_ready("f36e", DATA, 3);
	g.m->doorbell_port = 0x90;
	assert_int_equal(emulate_pio_string(g.v, 0x90, 1, false), RESUME);
	assert_int_equal(g.m->doorbells, 3);
	assert_done(2);
}

/* The string is on a device: first the MMIO read, then the port write. */
static void test_outs_from_device(void **state)
{
	string_ready("f36f", DATA, 2);
	map_data(0, true);
	memcpy(device[0], "abcd", 4);
	assert_int_equal(emulate_pio_string(g.v, 0x3f8, 4, false), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0), 4, false);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_io(false, 4, 0x3f8, 1);
	assert_memory_equal(g.v->pio_data, "abcd", 4);
	assert_int_equal(g.v->regs[R_CX], 1);
}

static void test_ins(void **state)
{
	string_ready("f36d", DATA + 0xff0, 6);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), EXIT_TO_USER);
	assert_io(true, 4, 0x1f0, 4);
	assert_int_equal(g.v->regs[R_CX], 6);
	memcpy(g.v->pio_data, "0123456789abcdef", 16);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_memory_equal(g.m->mem + RAM_GPA(0) + 0xff0, "0123456789abcdef", 16);
	assert_int_equal(g.v->regs[R_CX], 2);
	assert_int_equal(g.v->regs[R_DI], DATA + 0x1000);
	assert_int_equal(vcpu_rip(g.v), CODE);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), EXIT_TO_USER);
	assert_io(true, 4, 0x1f0, 2);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(2);
}

/* A whole page is the most that one exit takes. */
static void test_ins_page(void **state)
{
	string_ready("f36c", DATA, 100000);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, true), EXIT_TO_USER);
	assert_io(true, 1, 0x1f0, 4096);
	memset(g.v->pio_data, 0x77, 4096);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 4095, 1), 0x77);
	assert_int_equal(guest_peek(&g, RAM_GPA(0) + 4096, 1), 0);
	assert_int_equal(g.v->regs[R_CX], 100000 - 4096);
}

/* The VMM changes the count, or takes the memory away, before it answers. */
static void test_ins_interfered(void **state)
{
	string_ready("f36c", DATA, 2);
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, true), EXIT_TO_USER);
	assert_io(true, 1, 0x80, 2);
	memset(g.v->pio_data, 0xaa, 4096);
	g.v->regs[R_CX] = 1;
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(guest_peek(&g, RAM_GPA(0), 2), 0x00aa);
	assert_int_equal(g.v->regs[R_DI], DATA + 1);
	assert_int_equal(g.v->regs[R_CX], 0);
	assert_done(2);
	string_ready("f36c", DATA, 3);
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, true), EXIT_TO_USER);
	g.v->regs[R_CX] = 8192;
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_CX], 8189);
	assert_int_equal(vcpu_rip(g.v), CODE);
	string_ready("f36c", DATA, 3);
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, true), EXIT_TO_USER);
	g.m->ro_start = RAM_GPA(0);
	g.m->ro_end = RAM_GPA(0) + 4096;
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_done(2);
}

static void test_ins_to_device(void **state)
{
	string_ready("f36d", DATA + 0xffe, 9);
	map_data(0, true);
	map_data(1, true);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), EXIT_TO_USER);
	assert_io(true, 4, 0x1f0, 1);
	memcpy(g.v->pio_data, "wxyz", 4);
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(0) + 0xffe, 2, true);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), EXIT_TO_USER);
	assert_mmio(MMIO_GPA(1), 2, true);
	serve_mmio();
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_memory_equal(&device[0][0xffe], "wx", 2);
	assert_memory_equal(&device[1][0], "yz", 2);
	assert_int_equal(g.v->regs[R_CX], 8);
	/* Not crossing, but no memory: one at a time all the same. */
	string_ready("f36d", DATA, 9);
	map_data(0, true);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), EXIT_TO_USER);
	assert_io(true, 4, 0x1f0, 1);
}

static void test_string_pio_faults(void **state)
{
	string_ready("f36c", DATA + 0x5000, 3);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, true), RESUME);
	assert_exception(VEC_PF, PF_WRITE);
	assert_int_equal(g.v->regs[R_CX], 3);
	string_ready("6e", DATA + 0x5000, 3);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, false), RESUME);
	assert_exception(VEC_PF, 0);
	/* In a segment that ends within the batch, elements go up to the limit. */
	guest_ready(GUEST_PAE, false, false);
	put_code("f36e");
	guest_set_segment(g.v, SEG_DS, 0x10, DATA, 1, 0x493);
	g.v->regs[R_CX] = 4;
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, false), EXIT_TO_USER);
	assert_io(false, 1, 0x1f0, 1);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, false), EXIT_TO_USER);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, false), RESUME);
	assert_exception(VEC_GP, 0);
	assert_int_equal(g.v->regs[R_CX], 2);
}

/* A 16-bit string pointer wraps within the segment: the batch ends before. */
static void test_string_pio_wraps(void **state)
{
	guest_ready(GUEST_PAE, false, false);
	put_code("f3676e");
	guest_set_segment(g.v, SEG_DS, 0x10, DATA + 0x10 - 0xfffe, 0xffffffff, 0xc93);
	g.v->regs[R_SI] = 0xfffe;
	g.v->regs[R_CX] = 2;
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, false), EXIT_TO_USER);
	assert_io(false, 1, 0x80, 2);
	assert_int_equal(g.v->regs[R_SI], 0);
	VMCB(g.v)->s.rip = CODE;
	g.v->regs[R_SI] = 0xfffe;
	g.v->regs[R_CX] = 3;
	assert_int_equal(emulate_pio_string(g.v, 0x80, 1, false), EXIT_TO_USER);
	assert_io(false, 1, 0x80, 1);
	assert_int_equal(g.v->regs[R_SI], 0xffff);
}

/*
 * Another vCPU changes the instruction, or the VMM the mode: only what the CPU has checked is done.
 */
static void test_string_pio_changed(void **state)
{
	string_ready("6d", DATA, 1);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, false), RESUME);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 1, true), RESUME);
	put_code("90");
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), RESUME);
	assert_int_equal(vcpu_rip(g.v), CODE);
	assert_false(g.v->ev.exception.pending);
	/* REX.W OUTSD is DEC EAX in 32-bit mode. */
	string_ready("486f", DATA, 1);
	map_data(0, true);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, false), EXIT_TO_USER);
	serve_mmio();
	guest_set_segment(g.v, SEG_CS, 0x08, 0, 0xffffffff, 0xc9b);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(vcpu_rip(g.v), CODE);
	string_ready("f3676d", DATA, 100);
	assert_int_equal(emulate_pio_string(g.v, 0x1f0, 4, true), EXIT_TO_USER);
	guest_set_segment(g.v, SEG_CS, 0x08, 0, 0xffff, 0x09b);
	assert_int_equal(emulate_complete(g.v), RESUME);
	assert_int_equal(g.v->regs[R_CX], 100);
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(against_cpu),
		CASE(read_exit),
		CASE(write_exit),
		CASE(crossing_update),
		CASE(answer_for_another_place),
		CASE(cpu_translates),
		CASE(cpu_gives_code),
		CASE(rom_update_reads_rom),
		CASE(cpu_translates_stack),
		CASE(cpu_translates_within_limit),
		CASE(code_replaced),
		CASE(code_in_another_mode),
		CASE(vmm_interferes),
		CASE(rom_write_is_mmio),
		CASE(doorbell),
		CASE(apic_page),
		CASE(page_fault),
		CASE(crossing_fault),
		CASE(not_canonical),
		CASE(cannot),
		CASE(code_in_mmio),
		CASE(rep_is_bounded),
		CASE(rep_single_step),
		CASE(rep_to_device),
		CASE(rep_from_device),
		CASE(rep_fault_in_the_middle),
		CASE(real_mode),
		CASE(protected_mode),
		CASE(fs_segment),
		CASE(store_selector),
		CASE(moffs),
		CASE(cache_flush),
		CASE(near_branches),
		CASE(fetch_across_pages),
		CASE(length),
		CASE(length_at_limit),
		CASE(translate),
		CASE(out),
		CASE(in),
		CASE(outs),
		CASE(outs_alone),
		CASE(outs_one_by_one),
		CASE(outs_doorbell),
		CASE(outs_from_device),
		CASE(ins),
		CASE(ins_page),
		CASE(ins_interfered),
		CASE(ins_to_device),
		CASE(string_pio_faults),
		CASE(string_pio_wraps),
		CASE(string_pio_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
