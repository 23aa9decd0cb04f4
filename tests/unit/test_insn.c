// SPDX-License-Identifier: GPL-2.0
/*
 * insn.c: lengths and fields of encodings taken from the manual, what is refused, truncation at
 * every byte, and lengths of random bytes against objdump where it is installed.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "x86/insn.h"
#include "x86/regs.h"

#define M16 (1 << INSN_MODE_16)
#define M32 (1 << INSN_MODE_32)
#define M64 (1 << INSN_MODE_64)
#define ANY (M16 | M32 | M64)

static u8 hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static unsigned int from_hex(const char *hex, u8 *bytes)
{
	unsigned int n = 0;

	for (; *hex; hex++)
		if (*hex != ' ') {
			bytes[n++] = hex_digit(hex[0]) << 4 | hex_digit(hex[1]);
			hex++;
		}
	return n;
}

/* Encodings whose length is all their bytes, in the modes named. */
static const struct {
	const char *hex;
	u8 modes;
	u8 name;
} encodings[] = {
	/* What exits. */
	{ "0fa2", ANY, INSN_CPUID },
	{ "480fa2", M64, INSN_CPUID },
	{ "660fa2", ANY, INSN_CPUID },
	{ "0f32", ANY, INSN_RDMSR },
	{ "0f30", ANY, INSN_WRMSR },
	{ "0f33", ANY, INSN_RDPMC },
	{ "0f31", ANY, INSN_RDTSC },
	{ "0f01f9", ANY, INSN_RDTSCP },
	{ "0f01fd", ANY, INSN_RDPRU },
	{ "0f01d9", ANY, INSN_VMMCALL },
	{ "0f01c1", ANY, INSN_VMCALL },
	{ "f30f01d9", ANY, INSN_VMMCALL },
	{ "f4", ANY, INSN_HLT },
	{ "2ef4", ANY, INSN_HLT },
	{ "f390", ANY, INSN_PAUSE },
	{ "f34190", M64, INSN_OTHER },
	{ "90", ANY, INSN_OTHER },
	{ "0f01c8", ANY, INSN_MONITOR },
	{ "670f01c8", ANY, INSN_MONITOR },
	{ "0f01c9", ANY, INSN_MWAIT },
	{ "0f01fa", ANY, INSN_MONITOR },
	{ "0f01fb", ANY, INSN_MWAIT },
	{ "0f08", ANY, INSN_INVD },
	{ "0f09", ANY, INSN_WBINVD },
	{ "f30f09", ANY, INSN_WBINVD },
	{ "0f01d1", ANY, INSN_XSETBV },
	{ "0f01d0", ANY, INSN_OTHER },
	{ "0f06", ANY, INSN_CLTS },
	{ "0f01f0", ANY, INSN_LMSW },
	{ "0f0130", M32 | M64, INSN_LMSW },
	{ "0f01e0", ANY, INSN_SMSW },
	{ "0f0138", M32 | M64, INSN_INVLPG },
	{ "65480f013c2510000000", M64, INSN_INVLPG },
	{ "0f01df", ANY, INSN_INVLPGA },
	{ "660f38820c24", M32 | M64, INSN_INVPCID },
	{ "cf", ANY, INSN_IRET },
	{ "48cf", M64, INSN_IRET },
	{ "cc", ANY, INSN_INT3 },
	{ "cd80", ANY, INSN_INT },
	{ "ce", M16 | M32, INSN_INTO },
	{ "f1", ANY, INSN_ICEBP },
	{ "0f20c0", ANY, INSN_MOV_CR },
	{ "0f22d8", ANY, INSN_MOV_CR },
	{ "440f20c0", M64, INSN_MOV_CR },
	{ "f00f20c0", ANY, INSN_MOV_CR },
	{ "0f2200", ANY, INSN_MOV_CR },
	{ "0f2244", ANY, INSN_MOV_CR },
	{ "0f23f8", ANY, INSN_MOV_DR },
	{ "410f21c7", M64, INSN_MOV_DR },
	{ "e460", ANY, INSN_IN },
	{ "ec", ANY, INSN_IN },
	{ "66ed", ANY, INSN_IN },
	{ "e680", ANY, INSN_OUT },
	{ "ee", ANY, INSN_OUT },
	{ "48ef", M64, INSN_OUT },
	{ "6c", ANY, INSN_INS },
	{ "f36d", ANY, INSN_INS },
	{ "6e", ANY, INSN_OUTS },
	{ "f3676e", ANY, INSN_OUTS },
	{ "26666f", ANY, INSN_OUTS },
	/* Moves and memory operands. */
	{ "8807", ANY, 0 },
	{ "8907", ANY, 0 },
	{ "668907", ANY, 0 },
	{ "48890425 00000080", M64, 0 },
	{ "8b05 00000000", M32 | M64, 0 },
	{ "8b06 0000", M16, 0 },
	{ "8b46 00", M16, 0 },
	{ "8b86 0000", M16, 0 },
	{ "678b06", M16, 0 },
	{ "678b05 00000000", M16, 0 },
	{ "678b06 0000", M32, 0 },
	{ "678b06", M64, 0 },
	{ "8b84d8 78563412", M32 | M64, 0 },
	{ "8b44d8 12", M32 | M64, 0 },
	{ "8b04d8", M32 | M64, 0 },
	{ "8b04dd 78563412", M32 | M64, 0 },
	{ "498b4424 08", M64, 0 },
	{ "418b4500", M64, 0 },
	{ "a0 1234", M16, 0 },
	{ "a1 12345678", M32, 0 },
	{ "a3 1122334455667788", M64, 0 },
	{ "67a1 12345678", M64, 0 },
	{ "67a1 1234", M32, 0 },
	{ "48a1 1122334455667788", M64, 0 },
	{ "c600 12", ANY, 0 },
	{ "c700 12345678", M32 | M64, 0 },
	{ "c700 1234", M16, 0 },
	{ "66c700 1234", M32 | M64, 0 },
	{ "48c700 12345678", M64, 0 },
	{ "48b8 1122334455667788", M64, 0 },
	{ "b8 12345678", M32 | M64, 0 },
	{ "66b8 1234", M32 | M64, 0 },
	{ "0fb600", ANY, 0 },
	{ "0fb700", ANY, 0 },
	{ "480fbe00", M64, 0 },
	{ "486300", M64, 0 },
	{ "6300", M32, 0 },
	{ "0fc300", ANY, 0 },
	{ "0f38f000", ANY, 0 },
	{ "f20f38f100", ANY, 0 },
	{ "660f3a0fc108", ANY, 0 },
	/* Arithmetic and groups. */
	{ "f0830001", ANY, 0 },
	{ "800001", ANY, 0 },
	{ "8100 01000000", M32 | M64, 0 },
	{ "668100 0100", M32 | M64, 0 },
	{ "f60001", ANY, 0 },
	{ "f610", ANY, 0 },
	{ "f700 01000000", M32 | M64, 0 },
	{ "f718", ANY, 0 },
	{ "fe00", ANY, 0 },
	{ "ff10", ANY, 0 },
	{ "ff30", ANY, 0 },
	{ "f00fb110", ANY, 0 },
	{ "f00fc108", ANY, 0 },
	{ "f0480fba2805", M64, 0 },
	{ "0fa308", ANY, 0 },
	{ "0f9400", ANY, 0 },
	{ "0f4508", ANY, 0 },
	{ "8f00", ANY, 0 },
	/* Immediates of other kinds. */
	{ "c8 123456", ANY, 0 },
	{ "c2 1234", ANY, 0 },
	{ "9a 12345678 1234", M32, 0 },
	{ "ea 1234 5678", M16, 0 },
	{ "e8 12345678", M32 | M64, 0 },
	{ "e8 1234", M16, 0 },
	{ "eb12", ANY, 0 },
	{ "0f84 12345678", M32 | M64, 0 },
	{ "6a01", ANY, 0 },
	{ "68 12345678", M32 | M64, 0 },
	{ "69c0 12345678", M32 | M64, 0 },
	{ "c400", M16 | M32, 0 },
	{ "6200", M16 | M32, 0 },
	{ "40", M16 | M32, 0 },
	{ "0f0d08", ANY, 0 },
	{ "0f1f4000", ANY, 0 },
	/* Fifteen bytes, all of them needed. */
	{ "2e2e2e 48 8184d8 11223344 55667788", M64, 0 },
	{ "66666666666666666666666666 0fa2", ANY, INSN_CPUID },
};

static void test_lengths(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		u8 bytes[32] = { 0 };
		unsigned int n = from_hex(encodings[i].hex, bytes);

		for (unsigned int mode = 0; mode < 3; mode++) {
			struct insn in;
			int r;

			if (!(encodings[i].modes & 1 << mode))
				continue;
			r = insn_decode(&in, bytes, sizeof(bytes), mode);
			if (r || in.length != n || in.name != encodings[i].name)
				fail_msg("%s mode %u: %d, length %u, name %u", encodings[i].hex,
					 mode, r, in.length, in.name);
		}
	}
}

/*
 * With fewer bytes than it has, an instruction is incomplete, and no byte beyond is read (ASan sees
 * the copy's end).
 */
static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		u8 bytes[32];
		unsigned int n = from_hex(encodings[i].hex, bytes);

		for (unsigned int have = 0; have < n; have++) {
			u8 *copy = malloc(have ? have : 1);
			struct insn in;

			memcpy(copy, bytes, have);
			for (unsigned int mode = 0; mode < 3; mode++)
				if (encodings[i].modes & 1 << mode)
					assert_int_equal(insn_decode(&in, copy, have, mode),
							 -EAGAIN);
			free(copy);
		}
	}
}

static const struct {
	const char *hex;
	u8 modes;
	int error;
} refused[] = {
	/*
	 * VEX, EVEX, XOP, 3DNow!, EXTRQ, XABORT, XBEGIN; near branches whose length vendors
	 * disagree on.
	 */
	{ "c5f877", ANY, -EOPNOTSUPP },
	{ "c4e279180500000000", ANY, -EOPNOTSUPP },
	{ "62f17c4828c0", ANY, -EOPNOTSUPP },
	{ "8fe97880c100", ANY, -EOPNOTSUPP },
	{ "0f0fc1bf", ANY, -EOPNOTSUPP },
	{ "660f78c00102", ANY, -EOPNOTSUPP },
	{ "c6f800", ANY, -EOPNOTSUPP },
	{ "c7f800000000", ANY, -EOPNOTSUPP },
	{ "66e800000000", M64, -EOPNOTSUPP },
	/* Undefined. */
	{ "0f0b", ANY, -EINVAL },
	{ "d6", ANY, -EINVAL },
	{ "0f04", ANY, -EINVAL },
	{ "fe38", ANY, -EINVAL },
	{ "ff38", ANY, -EINVAL },
	{ "06", M64, -EINVAL },
	{ "27", M64, -EINVAL },
	{ "60", M64, -EINVAL },
	{ "9a000000000000", M64, -EINVAL },
	{ "ea000000000000", M64, -EINVAL },
	{ "ce", M64, -EINVAL },
	{ "d40a", M64, -EINVAL },
	{ "820000", M64, -EINVAL },
	{ "0f20c8", ANY, -EINVAL },
	{ "0f22e8", ANY, -EINVAL },
	{ "440f21c0", M64, -EINVAL },
	{ "0fb8c0", ANY, -EINVAL },
	/* LOCK where it may not be: registers, loads, CMP, TEST, BT, no memory at all. */
	{ "f001c0", ANY, -EINVAL },
	{ "f08b00", ANY, -EINVAL },
	{ "f03900", ANY, -EINVAL },
	{ "f0833800", ANY, -EINVAL },
	{ "f0f60001", ANY, -EINVAL },
	{ "f08900", ANY, -EINVAL },
	{ "f00fa300", ANY, -EINVAL },
	{ "f00fba2000", ANY, -EINVAL },
	{ "f0f4", ANY, -EINVAL },
	{ "f00fa2", ANY, -EINVAL },
	{ "f0ff30", ANY, -EINVAL },
	{ "f00fc730", ANY, -EINVAL },
	{ "f0a4", ANY, -EINVAL },
	/* Sixteen bytes, or prefixes without end. */
	{ "2e2e2e2e2e488184d81122334455667788", M64, -EINVAL },
	{ "66666666666666666666666666660fa2", ANY, -EINVAL },
	{ "66666666666666666666666666666666", ANY, -EINVAL },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		u8 bytes[32] = { 0 };
		struct insn in;

		from_hex(refused[i].hex, bytes);
		for (unsigned int mode = 0; mode < 3; mode++)
			if ((refused[i].modes & 1 << mode) &&
			    insn_decode(&in, bytes, 16, mode) != refused[i].error)
				fail_msg("%s mode %u: %d", refused[i].hex, mode,
					 insn_decode(&in, bytes, 16, mode));
	}
}

static struct insn decode(const char *hex, enum insn_mode mode)
{
	u8 bytes[32];
	struct insn in;

	assert_int_equal(insn_decode(&in, bytes, from_hex(hex, bytes), mode), 0);
	return in;
}

static void test_operand_size(void **state)
{
	assert_int_equal(decode("8907", INSN_MODE_16).op_size, 2);
	assert_int_equal(decode("668907", INSN_MODE_16).op_size, 4);
	assert_int_equal(decode("8907", INSN_MODE_32).op_size, 4);
	assert_int_equal(decode("668907", INSN_MODE_32).op_size, 2);
	assert_int_equal(decode("8907", INSN_MODE_64).op_size, 4);
	assert_int_equal(decode("66488907", INSN_MODE_64).op_size, 8);
	assert_int_equal(decode("48668907", INSN_MODE_64).op_size,
			 2); /* REX before a prefix is void */
	assert_int_equal(decode("8807", INSN_MODE_64).op_size, 1);
	assert_int_equal(decode("ff30", INSN_MODE_64).op_size, 8);
	assert_int_equal(decode("66ff30", INSN_MODE_64).op_size, 2);
	assert_int_equal(decode("ff00", INSN_MODE_64).op_size, 4);
	assert_int_equal(decode("486f", INSN_MODE_64).op_size, 4);
	assert_int_equal(decode("0f20c0", INSN_MODE_64).op_size, 8);
	assert_int_equal(decode("660f20c0", INSN_MODE_32).op_size, 4);
}

static void test_memory_operand(void **state)
{
	struct insn in = decode("8b44d8 f0", INSN_MODE_64);

	assert_true(in.has_mem);
	assert_int_equal(in.base, R_AX);
	assert_int_equal(in.index, R_BX);
	assert_int_equal(in.scale, 3);
	assert_int_equal(in.disp, -0x10);
	assert_int_equal(in.seg, SEG_DS);
	in = decode("4f8b4c f5 80", INSN_MODE_64); /* mov -0x80(%r13,%r14,8),%r9 */
	assert_int_equal(in.reg, R_9);
	assert_int_equal(in.base, R_13);
	assert_int_equal(in.index, R_14);
	in = decode("428b0424", INSN_MODE_64); /* REX.X makes index 4 a register */
	assert_int_equal(in.base, R_SP);
	assert_int_equal(in.index, R_12);
	assert_int_equal(in.seg, SEG_SS);
	in = decode("418b0424", INSN_MODE_64);
	assert_int_equal(in.base, R_12);
	assert_int_equal(in.index, INSN_NO_REG);
	assert_int_equal(in.seg, SEG_DS);
	in = decode("648b4508", INSN_MODE_64);
	assert_int_equal(in.seg, SEG_FS);
	in = decode("2e8b4508", INSN_MODE_64); /* CS: is ignored in 64-bit mode */
	assert_int_equal(in.seg, SEG_SS);
	assert_int_equal(decode("2e8b4508", INSN_MODE_32).seg, SEG_CS);
	in = decode("8b05 fcffffff", INSN_MODE_64);
	assert_true(in.rip_relative);
	assert_int_equal(in.base, INSN_NO_REG);
	assert_int_equal(in.disp, -4);
	assert_false(decode("8b05 fcffffff", INSN_MODE_32).rip_relative);
	assert_int_equal(decode("678b05 fcffffff", INSN_MODE_64).addr_size, 4);
	in = decode("8b42 f0", INSN_MODE_16);
	assert_int_equal(in.base, R_BP);
	assert_int_equal(in.index, R_SI);
	assert_int_equal(in.disp, -0x10);
	assert_int_equal(in.seg, SEG_SS);
	in = decode("67a1 000000fe", INSN_MODE_64); /* a moffs is not sign-extended */
	assert_int_equal(in.disp, 0xfe000000);
	assert_true(in.has_mem);
	assert_false(decode("8bc0", INSN_MODE_64).has_mem);
	assert_int_equal(decode("48c70080000080", INSN_MODE_64).imm, 0xffffffff80000080);
	assert_int_equal(decode("830080", INSN_MODE_32).imm, -0x80);
}

static void test_control_registers(void **state)
{
	struct insn in = decode("440f20c3", INSN_MODE_64); /* mov %cr8,%rbx */

	assert_int_equal(in.opcode, 0x20);
	assert_int_equal(in.reg, 8);
	assert_int_equal(in.rm, R_BX);
	in = decode("f00f22c1", INSN_MODE_32); /* the other encoding of CR8 */
	assert_int_equal(in.reg, 8);
	in = decode("410f22df", INSN_MODE_64);
	assert_int_equal(in.reg, 3);
	assert_int_equal(in.rm, R_15);
	in = decode("0f22 1c", INSN_MODE_64); /* mod is ignored */
	assert_int_equal(in.rm, R_SP);
	assert_int_equal(in.length, 3);
}

/* --- objdump as an oracle. --- */

#define SAMPLES 20000
#define STRIDE 32

static u64 seed;

static u32 rnd(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % n;
}

/*
 * Random bytes with some structure, then enough NOPs for a linear disassembler to be in step again.
 */
static void random_insn(u8 *b, enum insn_mode mode)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x64 };
	unsigned int n = 0, map = rnd(10);

	memset(b, 0x90, STRIDE);
	for (unsigned int i = rnd(3); i; i--)
		b[n++] = prefixes[rnd(sizeof(prefixes))];
	if (mode == INSN_MODE_64 && rnd(2))
		b[n++] = 0x40 | rnd(16);
	if (map < 5)
		b[n++] = 0x0f;
	if (map < 2)
		b[n++] = map ? 0x38 : 0x3a;
	for (unsigned int i = 0; i < 12; i++)
		b[n++] = rnd(256);
}

/* What objdump shows as an instruction of its own: prefixes that have no effect on the next one. */
static bool is_only_prefixes(const char *text)
{
	size_t len = strcspn(text, "\n");
	const char *last;

	while (len && text[len - 1] == ' ')
		len--;
	last = memrchr(text, ' ', len);
	return !strncmp(last ? last + 1 : text, "rex", 3);
}

static void compare_with_objdump(enum insn_mode mode, const char *options)
{
	static u8 bytes[SAMPLES][STRIDE];
	char path[] = "/tmp/test_insn.XXXXXX", command[160], line[256];
	unsigned int compared = 0;
	int fd = mkstemp(path);
	FILE *out;

	assert_true(fd >= 0);
	seed = mode + 1;
	for (unsigned int i = 0; i < SAMPLES; i++)
		random_insn(bytes[i], mode);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	snprintf(command, sizeof(command), "objdump -D -z -b binary %s --insn-width=16 %s", options,
		 path);
	out = popen(command, "r");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out)) {
		unsigned int at, length = 0, pos = 0;
		struct insn in;
		const char *text;

		if (sscanf(line, " %x:%n", &at, &pos) != 1 || !pos || at % STRIDE)
			continue;
		text = strchr(line + pos + 1, '\t');
		for (const char *p = line + pos; text && p < text - 1; p++)
			length += p[0] != ' ' && p[0] != '\t' && (p[1] == ' ' || p[1] == '\t') ? 1
											       : 0;
		if (!text || strstr(text, "(bad)") || is_only_prefixes(text + 1) ||
		    insn_decode(&in, bytes[at / STRIDE], STRIDE, mode))
			continue;
		if (in.map == INSN_MAP_ONE && in.opcode == 0x9b)
			continue; /* FWAIT is shown as part of the next one */
		compared++;
		if (in.length != length)
			fail_msg("mode %u: length %u: %s", mode, in.length, line);
	}
	pclose(out);
	unlink(path);
	assert_true(compared > SAMPLES / 4);
}

static void test_objdump(void **state)
{
	if (system("objdump --version > /dev/null 2>&1"))
		skip();
	compare_with_objdump(INSN_MODE_16, "-m i8086");
	compare_with_objdump(INSN_MODE_32, "-m i386");
	compare_with_objdump(INSN_MODE_64, "-m i386:x86-64 -M amd64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),	       cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_operand_size),
		cmocka_unit_test(test_memory_operand), cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_objdump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
