// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt report: shows a recording, as exeunt stat's tables, as JSON or as an HTML page.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "cmd.h"
#include "options.h"
#include "outfile.h"
#include "print.h"
#include "recording.h"
#include "report_html.h"
#include "sections.h"
#include "util.h"

#define DEFAULT_FILE	"exeunt.json"

struct report {
	struct target_options what;
	unsigned int sections;
	bool json;
	const char *html;		/* NULL: not as HTML */
	const char *path;		/* of the output, unless that is HTML; NULL: standard output */
	const char *file;		/* the recording */
};

#define OPTION_HTML	0x400
#define OPTION_JSON	0x401

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "How to show it (default: as text):", 3 },
	{ "html", OPTION_HTML, "OUT", 0, "As one HTML page with tables, histograms and a time line, that needs nothing else", 3 },
	{ "json", OPTION_JSON, NULL, 0, "As one JSON document with everything in it, as exeunt stat does", 3 },
	{ "output", 'o', "FILE", 0, "To FILE, not to standard output", 3 },
	{ 0 }
};

static const char doc[] =
	"Show a recording that exeunt record has made (default " DEFAULT_FILE "; - is standard input).\v"
	"The tables are those of exeunt stat. The page opens in any browser; nothing is loaded from elsewhere.\n"
	"\n"
	"Examples:\n"
	"  exeunt report --msr --ipi\n"
	"  exeunt report busy.json --vm web --html busy.html\n"
	"  ssh host exeunt record -o - -- sleep 10 | exeunt report -\n"
	"\n"
	"Exit status: 0, 1 if the recording cannot be read or what is asked for is not in it, 2 if called wrongly.";

static void take_file(struct report *r, const struct argp_state *state, const char *arg)
{
	if (r->file)
		argp_error(state, "one recording at a time: '%s' is one too many. See exeunt compare", arg);
	r->file = arg;
}

static void check_options(const struct report *r, const struct argp_state *state)
{
	if (r->html && r->json)
		argp_error(state, "--html and --json exclude each other");
	if (r->html && r->path)
		argp_error(state, "--html says where to write: -o has nothing to do with it");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct report *r = state->input;

	if ((key == OPTION_HTML || key == 'o') && !*arg)
		argp_error(state, "%s takes a file's name", key == 'o' ? "-o" : "--html");
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->what;
		state->child_inputs[1] = &r->sections;
		return 0;
	case OPTION_HTML:
		r->html = arg;
		return 0;
	case OPTION_JSON:
		r->json = true;
		return 0;
	case 'o':
		r->path = arg;
		return 0;
	case ARGP_KEY_ARG:
		take_file(r, state, arg);
		return 0;
	case ARGP_KEY_END:
		check_options(r, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- As text --- */

static const char *date_of(const struct recording *recording, char *buf, size_t size)
{
	time_t seconds = recording->begin_unix_ns / 1000000000;
	struct tm date;

	if (!localtime_r(&seconds, &date) || !strftime(buf, size, "%a %b %e %H:%M:%S %Y", &date))
		snprintf(buf, size, "unknown");
	return buf;
}

static void print_vms(const struct sample *total, FILE *f, unsigned int columns)
{
	for (const struct vm *vm = total->vms; vm < total->vms + total->nr_vms; vm++) {
		print_line(f, columns, "# %-14s : %s, pid %d, %zu vCPU%s, on %s%s", "VM", vm->name, vm->pid, vm->nr_vcpus,
			   vm->nr_vcpus == 1 ? "" : "s", vm->engine, vm->ended ? ", ended" : "");
		if (vm->unaccounted)
			print_line(f, columns, "# %-14s : %" PRIu64 " exits: there was no room for their kind", "not counted",
				   vm->unaccounted);
	}
}

/* In perf report's style. */
static void print_head(const struct recording *recording, FILE *f, unsigned int columns)
{
	char date[64];

	print_line(f, columns, "# ========");
	print_line(f, columns, "# %-14s : %s", "captured on", date_of(recording, date, sizeof(date)));
	print_line(f, columns, "# %-14s : %s", "hostname", recording->hostname);
	print_line(f, columns, "# %-14s : %s", "os release", recording->kernel);
	print_line(f, columns, "# %-14s : %s", "exeunt version", recording->tool_version);
	if (recording->command)
		print_line(f, columns, "# %-14s : %s", "command", recording->command);
	print_line(f, columns, "# %-14s : %.3f s, %zu interval%s", "duration", recording->duration_ns / 1e9, recording->nr_intervals,
		   recording->nr_intervals == 1 ? "" : "s");
	print_vms(&recording->total, f, columns);
	print_line(f, columns, "# ========");
}

static void report_text(const struct report *r, const struct recording *recording, FILE *f)
{
	struct print p = { .f = f, .columns = terminal_columns(f), .target = &r->what.target };

	print_head(recording, f, p.columns);
	print_sample(&p, &recording->total, r->sections ? r->sections : 1u << SECTION_EXITS);
}

/* --- As JSON --- */

static void report_json(const struct recording *recording, FILE *f)
{
	json_t *document = json_of_sample(&recording->total, true);

	if (json_object_set_new(document, "duration_ns", json_integer(recording->duration_ns)))
		die(STATUS_FAILED, "out of memory");
	json_dumpf(document, f, JSON_COMPACT);
	fputc('\n', f);
	json_decref(document);
}

/* --- The recording --- */

static struct recording *read_recording(const char *file)
{
	bool from_stdin = !strcmp(file, "-");
	const char *name = from_stdin ? "standard input" : file;
	FILE *f = from_stdin ? stdin : fopen(file, "re");
	struct recording *recording;
	char error[256];

	if (!f) {
		complain("cannot open %s: %s", name, strerror(errno));
		return NULL;
	}
	recording = recording_read(f, error, sizeof(error));
	if (!recording)
		complain("%s: %s", name, error);
	if (!from_stdin)
		fclose(f);
	return recording;
}

static bool has_vcpus(const struct sample *s)
{
	for (size_t m = 0; m < s->nr_vms; m++)
		if (s->vms[m].nr_vcpus)
			return true;
	return false;
}

/* Leaves what was asked for. False, with a line, if there is nothing of that. */
static bool select_target(struct recording *recording, const struct target_options *what)
{
	static const char *const engines[] = { [ENGINE_AUTO] = NULL, [ENGINE_EXEUNT] = "exeunt", [ENGINE_KVM] = "kvm" };
	const struct target *t = &what->target;

	recording_select(recording, t, engines[what->engine]);
	if (t->vm && !recording->total.nr_vms)
		complain("the recording has no virtual machine '%s' that is meant", t->vm);
	else if (t->pid && !recording->total.nr_vms)
		complain("the recording has no virtual machine of process %d that is meant", t->pid);
	else if (what->engine != ENGINE_AUTO && !recording->total.nr_vms)
		complain("the recording has no virtual machine on %s", engines[what->engine]);
	else if (t->one_vcpu && !has_vcpus(&recording->total))
		complain("the recording has no vCPU %" PRIu32 " that is meant", t->vcpu);
	else
		return true;
	return false;
}

static bool write_report(const struct report *r, struct recording *recording)
{
	const char *path = r->html ? r->html : r->path;
	struct outfile out;

	if (!outfile_open(&out, path ? path : "-", 0666))
		return false;
	if (r->html)
		report_html(recording, out.f);
	else if (r->json)
		report_json(recording, out.f);
	else
		report_text(r, recording, out.f);
	return outfile_commit(&out, false);
}

int cmd_report(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &target_argp, 0, "What of the recording (default: all of it):", 1 },
		{ &section_argp, 0, "What to print (default: the exits by reason). Several give a table each:", 2 },
		{ 0 }
	};
	static const struct argp argp = { options, parse, "[FILE]", doc, children, NULL, NULL };
	struct report r = { 0 };
	struct recording *recording;
	bool ok;

	argp_parse(&argp, argc, argv, 0, NULL, &r);
	recording = read_recording(r.file ? r.file : DEFAULT_FILE);
	if (!recording)
		return STATUS_FAILED;
	ok = select_target(recording, &r.what) && write_report(&r, recording);
	recording_free(recording);
	return ok ? 0 : STATUS_FAILED;
}
