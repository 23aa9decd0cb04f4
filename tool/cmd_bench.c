// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt bench: what each sort of exit costs, on any device that speaks the KVM API, measured by a bare-metal guest.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"
#include "cmd.h"
#include "options.h"
#include "util.h"

#define DEFAULT_SAMPLES		1000
#define DEFAULT_VCPUS		3
#define DEFAULT_TIMEOUT		60
#define SAMPLES_PER_SECOND	100	/* at least: more time for more samples */
#define MAX_TIMEOUT		86400
#define PROGRESS_AFTER_NS	2000000000ull

enum { OPTION_DEVICE = 0x500, OPTION_CPU_LIST, OPTION_NO_PIN, OPTION_TIMEOUT, OPTION_JSON, OPTION_LIST };

struct bench {
	struct bench_setup setup;
	struct bench_host host;
	bool *selected;			/* of bench_operations */
	bool any;
	bool json, list;

	struct bench_table table;
	struct bench_result *results;
	size_t done, wanted;
	uint64_t begin_ns;
	bool progress;			/* a line of it is on the terminal */
};

static const struct argp_option options[] = {
	{ "device", OPTION_DEVICE, "DEV", 0, "The hypervisor's device (default: /dev/exeunt if it is there, or else /dev/kvm)", 0 },
	{ "samples", 'n', "N", 0, "Samples of each operation, 2 to 100000 (default 1000)", 0 },
	{ "vcpus", 'c', "N", 0, "vCPUs where IPIs go to all others, 2 to 8 (default 3)", 0 },
	{ "cpu-list", OPTION_CPU_LIST, "LIST", 0, "CPUs to use, such as 0,2-4: a vCPU for each, in this order (default: all)", 0 },
	{ "no-pin", OPTION_NO_PIN, NULL, 0, "Let the scheduler choose CPUs", 0 },
	{ "timeout", OPTION_TIMEOUT, "SECONDS", 0, "For each operation (default 60, and more for many samples)", 0 },
	{ "json", OPTION_JSON, NULL, 0, "JSON instead of a table", 0 },
	{ "list", OPTION_LIST, NULL, 0, "Print the operations that there are, and stop", 0 },
	{ 0 }
};

static const char doc[] =
	"Measure what exits cost on this machine's hypervisor, Exeunt or stock KVM: a bare-metal guest does each OPERATION many times, alone, "
	"between two readings of the time stamp counter. OPERATIONs are names, or patterns such as 'ipi*'; all, if there is none.\v"
	"Figures are ticks of the TSC, from before the operation to after it; what an empty measurement costs is taken off. The error is the "
	"standard error of the mean. Each operation has a virtual machine of its own, with one vCPU or as many as it needs, each of which is "
	"pinned to a CPU. An operation that this machine cannot do is skipped, and the reason said.\n"
	"\n"
	"Examples:\n"
	"  exeunt bench                              everything, on the default device\n"
	"  exeunt bench --device /dev/kvm cpuid 'ipi*'\n"
	"  exeunt bench --cpu-list 2,4 hlt_wake      on two CPUs of your choice\n"
	"  exeunt stat -- exeunt bench out_user      the same exits, as the hypervisor counts them\n"
	"\n"
	"Exit status: 0 measured, or skipped for a reason; 1 something failed; 2 called wrongly.";

/* --- Options --- */

static void add_cpu(const struct argp_state *state, struct bench_setup *setup, unsigned int cpu, const cpu_set_t *allowed)
{
	if (!CPU_ISSET(cpu, allowed))
		argp_error(state, "CPU %u is not there, or not for us to use", cpu);
	for (unsigned int i = 0; i < setup->nr_cpus; i++) {
		if (setup->cpus[i] == cpu)
			argp_error(state, "CPU %u is twice in --cpu-list", cpu);
	}
	setup->cpus[setup->nr_cpus++] = cpu;
}

static void get_allowed(cpu_set_t *allowed)
{
	if (sched_getaffinity(0, sizeof(*allowed), allowed))
		die(STATUS_FAILED, "cannot find out which CPUs may be used: %s", strerror(errno));
}

/* "0,2-4": appends to setup->cpus. False if it is none. */
static bool parse_cpu_list(const struct argp_state *state, struct bench_setup *setup, char *list)
{
	cpu_set_t allowed;
	char *item, *last;
	uint64_t from, to;

	get_allowed(&allowed);
	while ((item = strsep(&list, ","))) {
		last = strchr(item, '-');
		if (last)
			*last++ = '\0';
		if (!parse_number(item, 0, BENCH_MAX_CPUS - 1, &from) || !parse_number(last ? last : item, from, BENCH_MAX_CPUS - 1, &to))
			return false;
		for (; from <= to; from++)
			add_cpu(state, setup, from, &allowed);
	}
	return true;
}

static void set_cpus(const struct argp_state *state, struct bench_setup *setup, const char *arg)
{
	char *list = xstrdup(arg);

	if (setup->nr_cpus)
		argp_error(state, "--cpu-list is given twice");
	if (!parse_cpu_list(state, setup, list))
		argp_error(state, "--cpu-list takes numbers and ranges of CPUs such as 0,2-4, not '%s'", arg);
	free(list);
}

static void select_operations(const struct argp_state *state, struct bench *b, const char *pattern)
{
	if (!bench_select(b->selected, pattern))
		argp_error(state, "there is no operation '%s': see exeunt bench --list", pattern);
	b->any = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench *b = state->input;

	switch (key) {
	case OPTION_DEVICE:
		if (!*arg)
			argp_error(state, "--device takes a file's name");
		b->setup.device = arg;
		return 0;
	case 'n':
		b->setup.samples = number_argument(state, "-n", arg, BENCH_MIN_SAMPLES, BENCH_MAX_SAMPLES);
		return 0;
	case 'c':
		b->setup.vcpus = number_argument(state, "-c", arg, BENCH_MIN_VCPUS, BENCH_MAX_VCPUS);
		return 0;
	case OPTION_CPU_LIST:
		set_cpus(state, &b->setup, arg);
		return 0;
	case OPTION_NO_PIN:
		b->setup.pin = false;
		return 0;
	case OPTION_TIMEOUT:
		b->setup.timeout = number_argument(state, "--timeout", arg, 1, MAX_TIMEOUT);
		return 0;
	case OPTION_JSON:
		b->json = true;
		return 0;
	case OPTION_LIST:
		b->list = true;
		return 0;
	case ARGP_KEY_ARG:
		select_operations(state, b, arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- Defaults --- */

static void all_cpus(struct bench_setup *setup)
{
	cpu_set_t allowed;

	get_allowed(&allowed);
	for (unsigned int cpu = 0; cpu < BENCH_MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed))
			setup->cpus[setup->nr_cpus++] = cpu;
	}
}

static void fill_in(struct bench *b)
{
	struct bench_setup *s = &b->setup;

	if (!s->device)
		s->device = access("/dev/exeunt", F_OK) ? "/dev/kvm" : "/dev/exeunt";
	if (!s->timeout)
		s->timeout = DEFAULT_TIMEOUT + s->samples / SAMPLES_PER_SECOND;
	if (!s->nr_cpus)
		all_cpus(s);
	if (!b->any)
		bench_select(b->selected, "*");
	for (size_t i = 0; i < nr_bench_operations; i++)
		b->wanted += b->selected[i];
}

/* --- Measuring --- */

/* Tells who sits at a terminal what goes on, where the table does not. */
static void show_progress(struct bench *b, const struct bench_operation *o)
{
	bool table_shows = !b->json && isatty(STDOUT_FILENO);

	if (table_shows || !isatty(STDERR_FILENO) || now_ns() - b->begin_ns < PROGRESS_AFTER_NS)
		return;
	fprintf(stderr, "\r\033[K%zu of %zu measured, now %s", b->done, b->wanted, o->name);
	b->progress = true;
}

static void clear_progress(const struct bench *b)
{
	if (b->progress)
		fputs("\r\033[K", stderr);
}

static void measure(struct bench *b, const struct bench_operation *o)
{
	struct bench_result *r = &b->results[b->done];

	show_progress(b, o);
	bench_run(r, &b->setup, o, &b->host);
	b->done++;
	if (!b->json)
		bench_print_result(&b->table, &b->setup, &b->host, r);
}

static int finish(const struct bench *b)
{
	size_t failed = 0;

	clear_progress(b);
	if (b->json)
		bench_print_json(stdout, &b->setup, &b->host, b->results, b->done);
	for (size_t i = 0; i < b->done; i++)
		failed += b->results[i].outcome == BENCH_FAILED;
	if (!finish_output())
		return STATUS_FAILED;
	if (failed)
		complain("%zu of %zu operations failed", failed, b->done);
	return failed ? STATUS_FAILED : 0;
}

static int run(struct bench *b)
{
	int status;

	if (!bench_check_device(b->setup.device))
		return STATUS_FAILED;
	b->table = (struct bench_table){ .f = stdout, .columns = terminal_columns(stdout), .colour = colour_on(stdout) };
	b->results = xcalloc(b->wanted, sizeof(*b->results));
	b->begin_ns = now_ns();
	for (size_t i = 0; i < nr_bench_operations && !ferror(stdout); i++) {
		if (b->selected[i])
			measure(b, &bench_operations[i]);
	}
	status = finish(b);
	free(b->results);
	return status;
}

int cmd_bench(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[OPERATION...]", doc, NULL, NULL, NULL };
	struct bench b = {
		.setup = { .samples = DEFAULT_SAMPLES, .vcpus = DEFAULT_VCPUS, .pin = true },
		.selected = xcalloc(nr_bench_operations, sizeof(bool)),
	};
	int status = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &b);
	if (b.list) {
		bench_print_list(stdout);
	} else {
		fill_in(&b);
		status = run(&b);
	}
	free(b.selected);
	return status;
}
