// SPDX-License-Identifier: GPL-2.0
/*
 * TCG plugin: counts the host's instructions on each processor by itself, while a guest on one of them sends IPIs to a guest on the
 * other. bench/running loads it into the lab's QEMU.
 *
 * Arguments: after=ADDRESS (nothing is counted before that was executed), guest=LOW:HIGH, tick=ADDRESS (the host's), out=FILE,
 * and NAME=ADDRESS for each of the guest's marks. FILE gets a line each time that a processor comes to a mark, but for one
 * that stays in the loop:
 *	NAME HOST TICKS LOOPING
 * HOST is how many instructions outside the guest's range this processor has executed since its last mark, TICKS how often
 * tick was among them, and LOOPING whether the other processor is in the loop now. The instructions follow, a line for each in
 * order (address, bytes), if it came from the mark before, without ticks, and not with as many before. For machines with two
 * processors, a thread each.
 *
 * The two take turns, so that it does not matter when this machine's scheduler lets them run: the receiver stands still in its
 * loop until the sender has sent, and the sender thereafter, until the receiver is in its loop again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "plugin.h"

#define NR_PROCESSORS	2
#define MAX_TRACED	(1u << 16)	/* if there are more they are not written out */
#define MAX_SUMS	4096
#define PATIENCE_NS	1000000		/* in which it may be needed for something else */

/* Of the sender, and of the receiver: where the interrupt finds it, and what it does then. */
enum mark { SEND, SENT, LOOP, HANDLER, NR_MARKS };

/* Its own thread writes it, the other's looks whether it is looping. */
struct processor {
	_Atomic enum mark at;		/* last; since then: */
	_Atomic uint64_t host;
	uint64_t ticks;
	const struct insn *trace[MAX_TRACED];
} __attribute__((aligned(64)));

static const char *const names[NR_MARKS] = { [SEND] = "send", [SENT] = "sent", [LOOP] = "loop", [HANDLER] = "handler" };
static const enum mark before[NR_MARKS] = { [SEND] = NR_MARKS, [SENT] = SEND, [LOOP] = HANDLER, [HANDLER] = LOOP };
static uint64_t marks[NR_MARKS];
static uint64_t after, tick;
static struct range guest;
static struct processor processors[NR_PROCESSORS];
static atomic_bool begun;
/* Of what follows; so lines are in the order in which marks are reached. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static bool receivers_turn;
static FILE *out;
static uint64_t sums[NR_MARKS][MAX_SUMS];
static unsigned int nr_sums[NR_MARKS];

/* Did it take that many instructions to the mark before? It has from now on. */
static bool seen(enum mark mark, uint64_t sum)
{
	for (unsigned int i = 0; i < nr_sums[mark]; i++) {
		if (sums[mark][i] == sum)
			return true;
	}
	if (nr_sums[mark] < MAX_SUMS)
		sums[mark][nr_sums[mark]++] = sum;
	return false;
}

static bool is_looping(const struct processor *processor)
{
	return processor->at == LOOP && !processor->host;
}

static void write_trace(const struct processor *processor, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		const struct insn *insn = processor->trace[i];

		write_insn(out, insn);
		fputc('\n', out);
	}
}

static void write_line(unsigned int cpu, enum mark mark)
{
	const struct processor *mine = &processors[cpu];
	uint64_t host = mine->host;

	fprintf(out, "%s %" PRIu64 " %" PRIu64 " %d\n", names[mark], host, mine->ticks, is_looping(&processors[!cpu]));
	if (mine->at == before[mark] && !mine->ticks && host <= MAX_TRACED && !seen(mark, host))
		write_trace(mine, host);
	fflush(out);
}

static void turn(bool receivers)
{
	receivers_turn = receivers;
	pthread_cond_signal(&turned);
}

static void await_turn(bool receivers)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PATIENCE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (receivers_turn != receivers && !pthread_cond_timedwait(&turned, &lock, &until))
		;
}

static void reach(unsigned int cpu, enum mark mark)
{
	struct processor *mine = &processors[cpu];
	enum mark last = mine->at;

	pthread_mutex_lock(&lock);
	if (mark != LOOP || !is_looping(mine))
		write_line(cpu, mark);
	mine->at = mark;
	mine->host = 0;
	mine->ticks = 0;
	if (mark == SENT || (mark == LOOP && last == HANDLER))
		turn(mark == SENT);
	if (mark == SENT || mark == LOOP)
		await_turn(mark == LOOP);
	pthread_mutex_unlock(&lock);
}

static void executed_guest(unsigned int cpu, void *data)
{
	const struct insn *insn = data;

	if (insn->address == after)
		begun = true;
	for (enum mark mark = 0; begun && mark < NR_MARKS; mark++) {
		if (insn->address == marks[mark])
			reach(cpu, mark);
	}
}

static void executed_host(unsigned int cpu, void *data)
{
	struct processor *mine = &processors[cpu];
	uint64_t n = atomic_load_explicit(&mine->host, memory_order_relaxed);

	if (n < MAX_TRACED)
		mine->trace[n] = data;
	atomic_store_explicit(&mine->host, n + 1, memory_order_relaxed);
}

static void executed_tick(unsigned int cpu, void *data)
{
	processors[cpu].ticks++;
	executed_host(cpu, data);
}

static bool is_mark(uint64_t address)
{
	for (enum mark mark = 0; mark < NR_MARKS; mark++) {
		if (address == marks[mark])
			return true;
	}
	return address == after;
}

static qemu_plugin_vcpu_udata_cb_t executed(uint64_t address)
{
	if (address >= guest.low && address < guest.high)
		return is_mark(address) ? executed_guest : NULL;
	return address == tick ? executed_tick : executed_host;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *source = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(source);
		qemu_plugin_vcpu_udata_cb_t callback = executed(address);
		struct insn *insn;

		if (!callback)
			continue;
		insn = malloc(sizeof(*insn));
		if (!insn)
			abort();
		keep_insn(insn, source);
		qemu_plugin_register_vcpu_insn_exec_cb(source, callback, QEMU_PLUGIN_CB_NO_REGS, insn);
	}
}

static bool read_mark(const char *name, const char *value)
{
	for (enum mark mark = 0; mark < NR_MARKS; mark++) {
		if (strcmp(name, names[mark]))
			continue;
		marks[mark] = strtoull(value, NULL, 0);
		return true;
	}
	return false;
}

static bool read_argument(const char *name, const char *value)
{
	if (!strcmp(name, "guest"))
		return read_range(value, &guest);
	if (!strcmp(name, "after"))
		after = strtoull(value, NULL, 0);
	else if (!strcmp(name, "tick"))
		tick = strtoull(value, NULL, 0);
	else if (!strcmp(name, "out"))
		out = fopen(value, "w");
	else
		return read_mark(name, value);
	return true;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	if (info->system.max_vcpus != NR_PROCESSORS)
		return -1;
	if (!read_arguments(argc, argv, read_argument))
		return -1;
	for (enum mark mark = 0; mark < NR_MARKS; mark++) {
		if (!marks[mark])
			return -1;
	}
	if (!after || !guest.high || !tick || !out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
