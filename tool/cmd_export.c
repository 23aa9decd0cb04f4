// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt export: the exits of virtual machines as metrics, once, into a file again and again, or over HTTP.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cmd.h"
#include "metrics.h"
#include "options.h"
#include "outfile.h"
#include "serve.h"
#include "util.h"
#include "watch.h"

struct export {
	struct target_options target;
	const char *output;		/* NULL: standard output */
	unsigned int interval_ms;	/* 0: once */
	const char *listen;
	char **command;
	bool format_chosen;
	enum metrics_format format;
	struct metrics_options metrics_options;
	struct metrics *metrics;
	struct source *source;
	bool done;
};

enum { OPTION_LISTEN = 0x300, OPTION_FORMAT, OPTION_MAX_SERIES, OPTION_PER_VM, OPTION_KEEP_ENDED };

static const struct argp_option option_list[] = {
	{ NULL, 0, NULL, 0, "Where to:", 2 },
	{ "output", 'o', "FILE", 0, "A file, always whole: for the node exporter's textfile collector, NAME.prom in its directory", 2 },
	{ "interval", 'I', "MS", 0, "Write the file again every MS milliseconds, until SIGTERM", 2 },
	{ "listen", OPTION_LISTEN, "[ADDR:]PORT", 0, "Serve http://ADDR:PORT/metrics until SIGTERM (default ADDR 127.0.0.1; PORT 0: any)", 2 },
	{ NULL, 0, NULL, 0, "What it is like:", 3 },
	{ "format", OPTION_FORMAT, "FORMAT", 0, "openmetrics (default on standard output) or prometheus, the older one (default with -o); "
	  "over HTTP, clients choose", 3 },
	{ "per-vm", OPTION_PER_VM, NULL, 0, "Add up the vCPUs of a virtual machine: no label vcpu", 3 },
	{ "max-series", OPTION_MAX_SERIES, "N", 0, "Values of an open-ended label (MSR, port, vector ...) that have series of their own, "
	  "in each VM; the rest is \"other\" (default 32)", 3 },
	{ "keep-ended", OPTION_KEEP_ENDED, "SECONDS", 0, "How long a virtual machine that has ended is still shown (default 300)", 3 },
	{ 0 }
};

static const char doc[] =
	"Give the exits of virtual machines to Prometheus and its kin as metrics: once on standard output, or to a file, or over HTTP. With a "
	"COMMAND, when that has ended.\v"
	"On Exeunt counters are since a vCPU's creation. On stock KVM they are since this command's start, so that looking once shows nothing: "
	"give a COMMAND, -I or --listen there.\n\n"
	"HTTP is not encrypted and asks nobody who he is: leave it at loopback unless the network is trusted. docs/metrics.md describes every "
	"metric.\n\n"
	"Examples:\n"
	"  exeunt export --listen 9177\n"
	"  exeunt export -I 15000 -o /var/lib/prometheus/node-exporter/exeunt.prom\n"
	"  exeunt export --format prometheus | promtool check metrics\n\n"
	"Exit status: 0 it went well, also when a signal (SIGTERM, SIGINT, SIGHUP, SIGQUIT) ended it; "
	"1 something failed; 2 called wrongly; of a COMMAND, the COMMAND's.";

static enum metrics_format format_argument(const struct argp_state *state, const char *arg)
{
	if (strcmp(arg, "openmetrics") && strcmp(arg, "prometheus"))
		argp_error(state, "--format is openmetrics or prometheus, not '%s'", arg);
	return strcmp(arg, "openmetrics") ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
}

/* What goes together, and what is meant where nothing was said. */
static void check_options(const struct argp_state *state, struct export *e)
{
	if (e->listen && (e->output || e->interval_ms || e->command))
		argp_error(state, "--listen goes with none of -o, -I and a command");
	if (e->listen && e->format_chosen)
		argp_error(state, "with --listen the clients choose the format");
	if (e->interval_ms && (!e->output || !strcmp(e->output, "-")))
		argp_error(state, "-I takes a file to write again and again: -o FILE");
	if (e->interval_ms && e->command)
		argp_error(state, "-I does not go with a command");
	if (!e->format_chosen && e->output && strcmp(e->output, "-"))
		e->format = METRICS_PROMETHEUS;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct export *e = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &e->target;
		return 0;
	case 'o':
		if (!*arg)
			argp_error(state, "-o takes a file's name");
		e->output = arg;
		return 0;
	case 'I':
		e->interval_ms = interval_argument(state, arg);
		return 0;
	case OPTION_LISTEN:
		if (!serve_parse(arg))
			argp_error(state, "--listen takes PORT, ADDRESS:PORT or [ADDRESS]:PORT, not '%s'", arg);
		e->listen = arg;
		return 0;
	case OPTION_FORMAT:
		e->format = format_argument(state, arg);
		e->format_chosen = true;
		return 0;
	case OPTION_MAX_SERIES:
		e->metrics_options.max_series = number_argument(state, "--max-series", arg, 1, 65536);
		return 0;
	case OPTION_PER_VM:
		e->metrics_options.per_vm = true;
		return 0;
	case OPTION_KEEP_ENDED:
		e->metrics_options.keep_ended_ns = number_argument(state, "--keep-ended", arg, 0, 86400) * 1000000000;
		return 0;
	case ARGP_KEY_ARG:
		e->command = take_command(state);
		return 0;
	case ARGP_KEY_END:
		check_options(state, e);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- Once, or when a command has ended --- */

static bool write_sample(struct export *e, const struct sample *s)
{
	struct outfile file;
	size_t len;
	char *text;

	if (!outfile_open(&file, e->output ? e->output : "-", 0666))
		return false;
	text = metrics_text(e->metrics, s, e->format, &len);
	fwrite(text, 1, len, file.f);
	free(text);
	return outfile_commit(&file, false);
}

static void warn_of_kvm(const struct sample *s)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (!strcmp(s->vms[i].engine, "kvm")) {
			complain("warning: on stock KVM exits are counted from now on: give a command, -I or --listen");
			return;
		}
	}
}

static bool look(const struct sample *s, enum moment m, void *arg)
{
	struct export *e = arg;

	if (m == WATCH_BEGIN && e->command)
		return true;
	if (m == WATCH_BEGIN)
		warn_of_kvm(s);
	e->done = write_sample(e, s);
	return e->done && e->command;
}

static int export_once(struct export *e)
{
	const struct watch w = { .engine = e->target.engine, .target = e->target.target, .command = e->command };
	int status = watch_run(&w, look, e);

	return e->done && !e->command ? 0 : status;
}

/* --- Again and again --- */

static bool read_sample(struct export *e, struct sample *s)
{
	if (source_read(e->source, s))
		return false;
	sample_select(s, &e->target.target);
	return true;
}

/* Is what is @asked for there, at the beginning? */
static bool check_first_sample(struct export *e, const struct target *asked)
{
	struct sample s;
	bool ok;

	if (!read_sample(e, &s))
		return false;
	ok = watch_check_target(asked, &s, true);
	sample_free(&s);
	return ok;
}

static bool write_now(struct export *e)
{
	struct sample s;
	bool ok;

	if (!read_sample(e, &s))
		return false;
	ok = write_sample(e, &s);
	sample_free(&s);
	return ok;
}

static int write_repeatedly(struct export *e)
{
	const struct timespec interval = { .tv_sec = e->interval_ms / 1000, .tv_nsec = e->interval_ms % 1000 * 1000000 };
	sigset_t set;

	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	do {
		if (!write_now(e))
			return STATUS_FAILED;
	} while (sigtimedwait(&set, NULL, &interval) < 0);
	return 0;
}

/* --- Over HTTP --- */

static char *text_now(void *arg, enum metrics_format format, size_t *len)
{
	struct export *e = arg;
	struct sample s;
	char *text;

	if (!read_sample(e, &s))
		return NULL;
	text = metrics_text(e->metrics, &s, format, len);
	sample_free(&s);
	return text;
}

static int serve(struct export *e)
{
	struct server *server = serve_open(e->listen);
	int status;

	if (!server)
		return STATUS_FAILED;
	status = serve_run(server, text_now, e);
	serve_close(server);
	return status;
}

static int export_for_long(struct export *e)
{
	const struct target asked = e->target.target;
	int status;

	if (!watch_find_process(&e->target.target))
		return STATUS_FAILED;
	e->source = source_open(e->target.engine, &e->target.target, &status);
	if (!e->source)
		return status;
	if (!check_first_sample(e, &asked))
		status = STATUS_FAILED;
	else
		status = e->listen ? serve(e) : write_repeatedly(e);
	source_close(e->source);
	return status;
}

int cmd_export(int argc, char **argv)
{
	static const struct argp_child children[] = { { &target_argp, 0, "What to export:", 1 }, { 0 } };
	static const struct argp argp = { option_list, parse, "[-- COMMAND...]", doc, children, NULL, NULL };
	struct export e = { .metrics_options = { .max_series = METRICS_MAX_SERIES, .keep_ended_ns = METRICS_KEEP_ENDED_NS } };
	int status;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &e);
	e.metrics = metrics_new(&e.metrics_options);
	status = e.listen || e.interval_ms ? export_for_long(&e) : export_once(&e);
	metrics_free(e.metrics);
	return status;
}
