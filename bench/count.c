// SPDX-License-Identifier: GPL-2.0
/*
 * TCG plugin: counts how often each instruction is executed within windows of a run, which begin and end where instructions
 * of the guest's guest are executed. bench/against-upstream loads it into the lab's QEMU to see what is in an operation of
 * `exeunt bench` that is dear on silicon.
 *
 * Arguments: section=ADDRESS, windows=BEGIN:END[/BEGIN:END]..., guest=LOW:HIGH, out=FILE. Each time that section's
 * instruction is executed the next window of the list holds. A window that begins again has not begun before; its end
 * without a beginning is nothing. FILE gets, for each window,
 *	window SECTION ALL HOST
 * which are sums of the instructions executed in it, HOST's without those in the guest's range, and, unless HOST was the
 * same before in the section, a line for each of HOST's instructions: address, bytes, how often. The first instruction of a
 * window is counted, its last is not. For machines with one processor.
 */
#include <sys/mman.h>
#include "plugin.h"

#define MAX_INSNS	(1u << 24)	/* translated in the whole run, those translated again counted again */
#define MAX_SECTIONS	256
#define MAX_SUMS	4096

struct window {
	uint64_t begin, end;
};

static uint64_t section_mark;
static struct range guest;
static struct window windows[MAX_SECTIONS];
static unsigned int nr_windows;
static FILE *out;
/* By the number of the instruction: itself, how often it was executed, and how often when the window began. */
static struct insn *insns;
static uint64_t *executed, *before;
static size_t nr_insns, nr_before;
static unsigned int section;		/* 1 and up */
static bool open;
static uint64_t sums[MAX_SUMS];		/* HOST of this section's windows that were written out */
static unsigned int nr_sums;

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static uint64_t count_of(size_t i)
{
	return executed[i] - (i < nr_before ? before[i] : 0);
}

/* Has this section a window of that sum? It has from now on. */
static bool seen(uint64_t sum)
{
	for (unsigned int i = 0; i < nr_sums; i++) {
		if (sums[i] == sum)
			return true;
	}
	if (nr_sums < MAX_SUMS)
		sums[nr_sums++] = sum;
	return false;
}

static void write_count(const struct insn *insn, uint64_t count)
{
	write_insn(out, insn);
	fprintf(out, " %" PRIu64 "\n", count);
}

static bool is_guest(const struct insn *insn)
{
	return insn->address >= guest.low && insn->address < guest.high;
}

static void write_window(void)
{
	uint64_t all = 0, host = 0;

	for (size_t i = 0; i < nr_insns; i++) {
		if (!count_of(i))
			continue;
		all += count_of(i);
		host += is_guest(&insns[i]) ? 0 : count_of(i);
	}
	fprintf(out, "window %u %" PRIu64 " %" PRIu64 "\n", section, all, host);
	if (seen(host))
		return;
	for (size_t i = 0; i < nr_insns; i++) {
		if (count_of(i) && !is_guest(&insns[i]))
			write_count(&insns[i], count_of(i));
	}
	fflush(out);
}

static void begin_window(void)
{
	nr_before = nr_insns;
	memcpy(before, executed, nr_before * sizeof(*before));
	open = true;
}

static void reach(unsigned int cpu, void *data)
{
	const struct insn *insn = data;
	const struct window *window;

	(void)cpu;
	if (insn->address == section_mark) {
		section++;
		open = false;
		nr_sums = 0;
		return;
	}
	if (!section || section > nr_windows)
		return;
	window = &windows[section - 1];
	if (open && insn->address == window->end) {
		write_window();
		open = false;
	} else if (insn->address == window->begin) {
		begin_window();
	}
}

static bool is_mark(uint64_t address)
{
	if (address == section_mark)
		return true;
	for (unsigned int i = 0; i < nr_windows; i++) {
		if (address == windows[i].begin || address == windows[i].end)
			return true;
	}
	return false;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *source = qemu_plugin_tb_get_insn(tb, i);
		struct insn *insn = &insns[nr_insns];

		if (nr_insns == MAX_INSNS)
			abort();
		keep_insn(insn, source);
		if (is_mark(insn->address))
			qemu_plugin_register_vcpu_insn_exec_cb(source, reach, QEMU_PLUGIN_CB_NO_REGS, insn);
		qemu_plugin_register_vcpu_insn_exec_inline(source, QEMU_PLUGIN_INLINE_ADD_U64, &executed[nr_insns], 1);
		nr_insns++;
	}
}

static bool read_windows(const char *text)
{
	do {
		if (nr_windows == MAX_SECTIONS)
			return false;
		text = read_pair(text, &windows[nr_windows].begin, &windows[nr_windows].end);
		nr_windows++;
	} while (text && *text++ == '/');
	return text && !text[-1];
}

static bool read_argument(const char *name, const char *value)
{
	if (!strcmp(name, "section"))
		section_mark = strtoull(value, NULL, 0);
	else if (!strcmp(name, "windows"))
		return read_windows(value);
	else if (!strcmp(name, "guest"))
		return read_range(value, &guest);
	else if (!strcmp(name, "out"))
		out = fopen(value, "w");
	else
		return false;
	return true;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	if (!read_arguments(argc, argv, read_argument))
		return -1;
	if (!section_mark || !nr_windows || !guest.high || !out)
		return -1;
	insns = reserve(MAX_INSNS * sizeof(*insns));
	executed = reserve(MAX_INSNS * sizeof(*executed));
	before = reserve(MAX_INSNS * sizeof(*before));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
