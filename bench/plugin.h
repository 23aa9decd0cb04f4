/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the TCG plugins of bench/ share: an instruction as they keep and write it, and how they read their arguments. Each
 * plugin is one file, which includes this.
 */
#ifndef EXEUNT_BENCH_PLUGIN_H
#define EXEUNT_BENCH_PLUGIN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qemu-plugin.h>

#define MAX_BYTES	15

struct insn {
	uint64_t address;
	unsigned char bytes[MAX_BYTES];
	unsigned char size;
};

/* Addresses, the upper end excluded. */
struct range {
	uint64_t low, high;
};

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* QEMU's instruction is gone when its block is translated; this one stays. */
static inline void keep_insn(struct insn *insn, const struct qemu_plugin_insn *source)
{
	size_t size = qemu_plugin_insn_size(source);

	insn->address = qemu_plugin_insn_vaddr(source);
	insn->size = size < MAX_BYTES ? size : MAX_BYTES;
	memcpy(insn->bytes, qemu_plugin_insn_data(source), insn->size);
}

/* Address and bytes, both hexadecimal; the line is not ended. */
static inline void write_insn(FILE *file, const struct insn *insn)
{
	fprintf(file, "%" PRIx64 " ", insn->address);
	for (unsigned int b = 0; b < insn->size; b++)
		fprintf(file, "%02x", insn->bytes[b]);
}

/* "FIRST:SECOND"; what comes after it, or NULL if it is none. */
static inline const char *read_pair(const char *text, uint64_t *first, uint64_t *second)
{
	char *end;

	*first = strtoull(text, &end, 0);
	if (*end != ':')
		return NULL;
	*second = strtoull(end + 1, &end, 0);
	return end;
}

static inline bool read_range(const char *text, struct range *range)
{
	return read_pair(text, &range->low, &range->high) && range->low < range->high;
}

/* Each argument is NAME=VALUE, which read() takes or refuses. */
static inline bool read_arguments(int argc, char **argv, bool (*read)(const char *name, const char *value))
{
	for (int i = 0; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			return false;
		*value++ = '\0';
		if (!read(argv[i], value))
			return false;
	}
	return true;
}

#endif
