// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt stat: watches for a while and prints what happened as tables, in perf kvm stat's layout, or as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "options.h"
#include "print.h"
#include "recording.h"
#include "sections.h"
#include "util.h"
#include "watch.h"

struct stat_run {
	struct target_options what;
	unsigned int interval_ms;
	unsigned int sections;		/* bits of enum section */
	bool json;
	const char *path;		/* NULL: standard output */
	char **command;

	FILE *f;			/* NULL: not open yet */
	uint64_t begin_ns;
	struct sample last;		/* the look before */
	uint64_t unaccounted;		/* exits that the source saw and that are in no row */
};

#define OPTION_JSON	0x400

static const struct argp_option options[] = {
	{ "interval", 'I', "MS", 0, "Print what happened since the last time every MS milliseconds", 0 },
	{ "json", OPTION_JSON, NULL, 0, "As one JSON document with everything in it; with -I, one on each line", 0 },
	{ "output", 'o', "FILE", 0, "To FILE, not to standard output, which - is", 0 },
	{ 0 }
};

static const char doc[] =
	"Count the exits of virtual machines by reason, with their times: until COMMAND ends, or without one until Ctrl-C or until "
	"those that -p or --vm mean have ended.\v"
	"The columns up to the average are those of perf kvm stat. Time is from an exit to the next entry of its vCPU; +- is the "
	"standard error of the average; p50 to p99.9 are percentiles, off by a sixteenth at most; Fast, Kernel and User say where the "
	"exits were dealt with. Where a table of exits ran full, a row \"others\" has the rest.\n"
	"\n"
	"Examples:\n"
	"  exeunt stat -- sleep 10\n"
	"  exeunt stat --vm web --msr --ipi -I 1000\n"
	"  exeunt stat -p $(pidof -s qemu-system-x86_64) --json -o exits.json -- sleep 60\n"
	"\n"
	"Exit status: COMMAND's, or 0; 1 if there was nothing to watch or something failed, 2 if called wrongly; 126 or 127 if "
	"COMMAND could not be run.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stat_run *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->what;
		state->child_inputs[1] = &r->sections;
		return 0;
	case 'I':
		r->interval_ms = interval_argument(state, arg);
		return 0;
	case OPTION_JSON:
		r->json = true;
		return 0;
	case 'o':
		if (!*arg)
			argp_error(state, "-o takes a file's name");
		r->path = strcmp(arg, "-") ? arg : NULL;
		return 0;
	case ARGP_KEY_ARG:
		r->command = take_command(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- Output --- */

static bool open_output(struct stat_run *r)
{
	r->f = stdout;
	if (!r->path)
		return true;
	r->f = fopen(r->path, "we");
	if (!r->f)
		complain("cannot write '%s': %s", r->path, strerror(errno));
	return r->f;
}

static bool flush_output(struct stat_run *r)
{
	if (r->f == stdout)
		return finish_output();
	if (!fflush(r->f) && !ferror(r->f))
		return true;
	complain("cannot write '%s': %s", r->path, strerror(errno));
	return false;
}

static void print_json(struct stat_run *r, const struct sample *s, uint64_t duration_ns)
{
	json_t *document = json_of_sample(s, true);

	if (json_object_set_new(document, "duration_ns", json_integer(duration_ns)))
		die(STATUS_FAILED, "out of memory");
	json_dumpf(document, r->f, JSON_COMPACT);
	fputc('\n', r->f);
	json_decref(document);
}

/* What happened between the last look and @now. */
static bool print_difference(struct stat_run *r, const struct sample *now)
{
	struct print p = {
		.f = r->f,
		.columns = terminal_columns(r->f),
		.target = &r->what.target,
		.timed = r->interval_ms,
		.seconds = (now->time_ns - r->begin_ns) / 1e9,
	};
	struct sample difference;

	sample_diff(&difference, now, &r->last);
	for (size_t i = 0; i < difference.nr_vms; i++)
		r->unaccounted += difference.vms[i].unaccounted;
	if (r->json)
		print_json(r, &difference, now->time_ns - r->last.time_ns);
	else
		print_sample(&p, &difference, r->sections ? r->sections : 1u << SECTION_EXITS);
	sample_free(&difference);
	return flush_output(r);
}

/* --- Watching --- */

static bool anything_runs(const struct sample *s)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (!s->vms[i].ended)
			return true;
	}
	return false;
}

/* Tells who sits at a terminal what goes on, when nothing else will be seen for a while. */
static void say_what_is_watched(const struct stat_run *r, const struct sample *s)
{
	if (r->command || r->interval_ms || !isatty(STDERR_FILENO))
		return;
	if (s->nr_vms == 1)
		fprintf(stderr, "Watching virtual machine %s (process %d). Ctrl-C ends it.\n", s->vms[0].name, s->vms[0].pid);
	else
		fprintf(stderr, "Watching %zu virtual machines%s. Ctrl-C ends it.\n", s->nr_vms,
			r->what.target.pid || r->what.target.vm ? "" : ", and those to come");
}

static bool begin(struct stat_run *r, const struct sample *s)
{
	if (!r->command && !anything_runs(s)) {
		complain("no virtual machine is running");
		return false;
	}
	if (!open_output(r))
		return false;
	say_what_is_watched(r, s);
	r->begin_ns = s->time_ns;
	sample_copy(&r->last, s);
	return true;
}

static bool look(const struct sample *s, enum moment m, void *arg)
{
	struct stat_run *r = arg;
	bool written;

	if (m == WATCH_BEGIN)
		return begin(r, s);
	written = print_difference(r, s);
	if (m == WATCH_END && r->unaccounted)
		complain("warning: %" PRIu64 " exits are not counted: there was no room for their kind", r->unaccounted);
	sample_free(&r->last);
	sample_copy(&r->last, s);
	return written;
}

int cmd_stat(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &target_argp, 0, "What to watch (default: all virtual machines):", 1 },
		{ &section_argp, 0, "What to print (default: the exits by reason). Several give a table each:", 2 },
		{ 0 }
	};
	static const struct argp argp = { options, parse, "[-- COMMAND...]", doc, children, NULL, NULL };
	struct stat_run r = { 0 };
	struct watch w;
	int status;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &r);
	w = (struct watch){
		.engine = r.what.engine,
		.target = r.what.target,
		.interval_ms = r.interval_ms,
		.command = r.command,
	};
	status = watch_run_differences(&w, look, &r);
	sample_free(&r.last);
	if (r.f && r.f != stdout && fclose(r.f)) {
		complain("cannot write '%s': %s", r.path, strerror(errno));
		status = STATUS_FAILED;
	}
	return status;
}
