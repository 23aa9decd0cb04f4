// SPDX-License-Identifier: GPL-2.0
/*
 * TCG plugin: records every instruction executed from one instruction to another, which are named
 * by their virtual addresses. bench/path loads it into the lab's QEMU to see where the instructions
 * of a VM exit go.
 *
 * Arguments: after=ADDRESS (nothing is recorded before that was executed), from=ADDRESS, to=ADDRESS (not recorded),
 * out=FILE. FILE gets one line per instruction: address, bytes. For machines with one processor.
 */
#include "plugin.h"

#define MAX_RECORDED	(1u << 23)

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
		write_insn(file, recorded[i]);
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
		struct insn *insn = malloc(sizeof(*insn));

		if (!insn)
			abort();
		keep_insn(insn, source);
		qemu_plugin_register_vcpu_insn_exec_cb(source, executed,
						       QEMU_PLUGIN_CB_NO_REGS, insn);
	}
}

static bool read_argument(const char *name, const char *value)
{
	if (!strcmp(name, "after"))
		after = strtoull(value, NULL, 0);
	else if (!strcmp(name, "from"))
		from = strtoull(value, NULL, 0);
	else if (!strcmp(name, "to"))
		to = strtoull(value, NULL, 0);
	else if (!strcmp(name, "out"))
		out = strdup(value);
	else
		return false;
	return true;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	if (!read_arguments(argc, argv, read_argument))
		return -1;
	recorded = calloc(MAX_RECORDED, sizeof(*recorded));
	if (!after || !from || !to || !out || !recorded)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
