// SPDX-License-Identifier: GPL-2.0
/*
 * TCG plugin: records every instruction executed from one instruction to another, which are named
 * by their virtual addresses. bench/path loads it into the lab's QEMU to see where the instructions
 * of a VM exit go.
 *
 * Arguments: after=ADDRESS (nothing is recorded before that was executed), from=ADDRESS, to=ADDRESS (not recorded),
 * out=FILE. FILE gets one line per instruction: address, bytes. For machines with one processor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qemu-plugin.h>

#define MAX_RECORDED	(1u << 23)
#define MAX_BYTES	15

struct insn {
	uint64_t address;
	unsigned char bytes[MAX_BYTES];
	unsigned char size;
};

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint64_t after, from, to;
static const char *out;
static const struct insn **recorded;
static unsigned int count;
static enum { EARLY, WAITING, RECORDING, DONE } state = EARLY;

static void write_out(void)
{
	FILE *file = fopen(out, "w");

	if (!file) {
		perror(out);
		return;
	}
	for (unsigned int i = 0; i < count; i++) {
		fprintf(file, "%" PRIx64 " ", recorded[i]->address);
		for (unsigned int b = 0; b < recorded[i]->size; b++)
			fprintf(file, "%02x", recorded[i]->bytes[b]);
		fputc('\n', file);
	}
	fclose(file);
}

static void look_for_marks(uint64_t address)
{
	if (state == EARLY && address == after) {
		state = WAITING;
	} else if (state == WAITING && address == from) {
		state = RECORDING;
	} else if (state == RECORDING && address == to) {
		state = DONE;
		write_out();
	}
}

static void executed(unsigned int cpu, void *data)
{
	const struct insn *insn = data;

	(void)cpu;
	look_for_marks(insn->address);
	if (state == RECORDING && count < MAX_RECORDED)
		recorded[count++] = insn;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *source = qemu_plugin_tb_get_insn(tb, i);
		size_t size = qemu_plugin_insn_size(source);
		struct insn *insn = malloc(sizeof(*insn));

		if (!insn)
			abort();
		insn->address = qemu_plugin_insn_vaddr(source);
		insn->size = size < MAX_BYTES ? size : MAX_BYTES;
		memcpy(insn->bytes, qemu_plugin_insn_data(source), insn->size);
		qemu_plugin_register_vcpu_insn_exec_cb(source, executed,
						       QEMU_PLUGIN_CB_NO_REGS, insn);
	}
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
					   int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "after=", 6))
			after = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "from=", 5))
			from = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "to=", 3))
			to = strtoull(argv[i] + 3, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		else
			return -1;
	}
	recorded = calloc(MAX_RECORDED, sizeof(*recorded));
	if (!after || !from || !to || !out || !recorded)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
