/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The words that stand for numbers in a recording, for its writer and its reader. docs/recording.md lists them.
 */
#ifndef EXEUNT_TOOL_RECORDING_WORDS_H
#define EXEUNT_TOOL_RECORDING_WORDS_H

#include <stddef.h>
#include <exeunt/stats.h>

static const char *const kind_words[EXEUNT_KINDS] = {
	[EXEUNT_PLAIN] = "plain",
	[EXEUNT_MSR_READ] = "msr_read",
	[EXEUNT_MSR_WRITE] = "msr_write",
	[EXEUNT_PIO_IN] = "pio_in",
	[EXEUNT_PIO_OUT] = "pio_out",
	[EXEUNT_MMIO_READ] = "mmio_read",
	[EXEUNT_MMIO_WRITE] = "mmio_write",
	[EXEUNT_HYPERCALL] = "hypercall",
};

static const char *const outcome_words[EXEUNT_OUTCOMES] = {
	[EXEUNT_KERNEL] = "kernel",
	[EXEUNT_USER] = "user",
	[EXEUNT_FAST] = "fast",
};

static const char *const target_words[EXEUNT_TARGETS] = {
	[EXEUNT_TARGET_SELF] = "self",
	[EXEUNT_TARGET_RUNNING] = "running",
	[EXEUNT_TARGET_OUTSIDE] = "outside",
	[EXEUNT_TARGET_HALTED] = "halted",
	[EXEUNT_TARGET_PREEMPTED] = "preempted",
};

/*
 * The length in bytes of the character at @s, which is UTF-8, if it does not belong into one line of text: control characters, line and
 * paragraph separators (U+2028, U+2029), and what changes the direction of writing (U+202A to U+202E, U+2066 to U+2069). 0: it does.
 */
static inline size_t control_length(const char *s)
{
	const unsigned char *c = (const unsigned char *)s;

	if (*c < ' ' || *c == 0x7f)
		return 1;
	if (*c == 0xc2)
		return c[1] < 0xa0 ? 2 : 0;
	if (*c == 0xe2 && c[1] == 0x80)
		return c[2] >= 0xa8 && c[2] <= 0xae ? 3 : 0;
	if (*c == 0xe2 && c[1] == 0x81)
		return c[2] >= 0xa6 && c[2] <= 0xa9 ? 3 : 0;
	return 0;
}

/* Of exeunt_counters.ipis and .ipi_targets. */
static const char *const destination_words[2] = { "physical", "logical" };
static const char *const targets_words[2] = { "one", "many" };

/* Counters that are numbers of their own: member and field have the same name. */
#define COUNTERS_EACH(do) \
	do(runs) do(preemptions) do(nmis) do(halts) do(halt_wait_ns) do(halt_polls) do(halt_polls_won) do(halt_poll_won_ns) \
	do(halt_poll_lost_ns) do(fpu_touched) do(fpu_untouched) do(fpu_host_saves) do(fpu_guest_loads) do(ipis_untaken) \
	do(rows_lost) do(halt_wakes) do(halt_wake_ns)

#define COUNTERS_ONE(name) + 1
_Static_assert(sizeof(struct exeunt_counters) / 8 == COUNTERS_EACH(COUNTERS_ONE) + EXEUNT_USER_REASONS + 256 + 32 + 8 * 2 * 2 +
	       2 * EXEUNT_TARGETS, "a recording has all counters");

#endif
