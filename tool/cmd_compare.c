// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt compare: what is different between two recordings, and is it more than chance?
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "compare.h"
#include "options.h"
#include "util.h"

struct options {
	struct compare_options compare;
	const char *file[SIDES];
	int nr_files;
	bool json, verbose;
};

enum {
	OPTION_CONFIDENCE = 0x300, OPTION_SORT, OPTION_JSON, OPTION_VM, OPTION_VCPU,
	OPTION_MSR, OPTION_PIO, OPTION_MMIO, OPTION_HYPERCALL,	/* as in enum view */
};

static const struct argp_option option_list[] = {
	{ NULL, 0, NULL, 0, "What to compare:", 1 },
	{ "msr", OPTION_MSR, NULL, 0, "MSR accesses, by number, instead of exit reasons", 1 },
	{ "pio", OPTION_PIO, NULL, 0, "Port accesses, by port", 1 },
	{ "mmio", OPTION_MMIO, NULL, 0, "MMIO accesses, by page", 1 },
	{ "hypercall", OPTION_HYPERCALL, NULL, 0, "Hypercalls, by number", 1 },
	{ "vm", OPTION_VM, "NAME", 0, "Only the virtual machine of this name, in both", 1 },
	{ "vcpu", OPTION_VCPU, "N", 0, "Only the vCPUs with this number", 1 },
	{ NULL, 0, NULL, 0, "How:", 2 },
	{ "confidence", OPTION_CONFIDENCE, "C", 0, "Of tests and intervals, 0.5 to 0.9999 (default 0.95)", 2 },
	{ "sort", OPTION_SORT, "WHAT", 0, "Rows by rate (default), time, share, change (of the rate), p or name", 2 },
	{ "verbose", 'v', NULL, 0, "Every test with its confidence interval", 2 },
	{ "json", OPTION_JSON, NULL, 0, "JSON instead of a table; the numbers unrounded", 2 },
	{ 0 }
};

static const char doc[] =
	"Compare two recordings (exeunt record; - is standard input): of each exit reason the exits a second, their mean time and the share of a CPU that they "
	"cost, in A and in B, and whether they differ by more than chance.\v"
	"Rates and shares are tested over the recordings' intervals (record with -I, ten intervals or more each), times over the exits, "
	"by Welch's t-test, corrected for the number of tests by Holm's method. A difference is named if it is significant "
	"and of at least small effect (Hedges' g from 0.2), because among millions of exits any difference is significant.\n\n"
	"Examples:\n"
	"  exeunt record -I 500 -o before.json -- sleep 20\n"
	"  exeunt record -I 500 -o after.json -- sleep 20\n"
	"  exeunt compare before.json after.json\n"
	"  exeunt compare --msr --sort p before.json after.json\n\n"
	"Exit status: 0 compared, whether they differ or not; 1 a recording could not be read; 2 called wrongly.";

static double confidence_argument(const struct argp_state *state, const char *arg)
{
	char *end;
	double confidence = strtod(arg, &end);

	if (end == arg || *end || !(confidence >= 0.5 && confidence <= 0.9999))
		argp_error(state, "--confidence takes a number from 0.5 to 0.9999, not '%s'", arg);
	return confidence;
}

static enum compare_order order_argument(const struct argp_state *state, const char *arg)
{
	static const char *const words[] = ORDER_WORDS;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(arg, words[i]))
			return i;
	}
	argp_error(state, "--sort is rate, time, share, change, p or name, not '%s'", arg);
	return ORDER_RATE;
}

static void set_view(const struct argp_state *state, struct options *o, enum view view)
{
	if (o->compare.view != VIEW_REASON && o->compare.view != view)
		argp_error(state, "only one of --msr, --pio, --mmio and --hypercall");
	o->compare.view = view;
}

static void add_file(const struct argp_state *state, struct options *o, const char *arg)
{
	if (o->nr_files == SIDES)
		argp_error(state, "two recordings are compared, and '%s' is one more", arg);
	if (o->nr_files && !strcmp(arg, "-") && !strcmp(o->file[0], "-"))
		argp_error(state, "only one of the recordings can be standard input");
	o->file[o->nr_files++] = arg;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPTION_MSR:
	case OPTION_PIO:
	case OPTION_MMIO:
	case OPTION_HYPERCALL:
		set_view(state, o, VIEW_MSR + key - OPTION_MSR);
		return 0;
	case OPTION_VM:
		if (!*arg)
			argp_error(state, "--vm takes a name");
		o->compare.target.vm = arg;
		return 0;
	case OPTION_VCPU:
		o->compare.target.one_vcpu = true;
		o->compare.target.vcpu = number_argument(state, "--vcpu", arg, 0, UINT32_MAX);
		return 0;
	case OPTION_CONFIDENCE:
		o->compare.confidence = confidence_argument(state, arg);
		return 0;
	case OPTION_SORT:
		o->compare.order = order_argument(state, arg);
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case OPTION_JSON:
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		add_file(state, o, arg);
		return 0;
	case ARGP_KEY_END:
		if (o->nr_files < SIDES)
			argp_error(state, "two recordings are needed");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const char *file_title(const char *name)
{
	return strcmp(name, "-") ? name : "standard input";
}

static struct recording *read_file(const char *name)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
	struct recording *r;
	char error[256];

	if (!f)
		die(STATUS_FAILED, "%s: %s", name, strerror(errno));
	r = recording_read(f, error, sizeof(error));
	if (!r)
		die(STATUS_FAILED, "%s: %s", file_title(name), error);
	if (f != stdin)
		fclose(f);
	return r;
}

/* A name that is in neither is a mistake; in one only, a result. */
static void check_target(const struct target *t, const struct compare_names *n)
{
	bool found = false;

	for (int i = 0; i < SIDES; i++) {
		struct sample s;

		sample_copy(&s, &n->recording[i]->total);
		sample_select(&s, t);
		for (size_t m = 0; m < s.nr_vms; m++)
			found |= s.vms[m].nr_vcpus > 0;
		sample_free(&s);
	}
	if (found || (!t->vm && !t->one_vcpu))
		return;
	if (t->vm)
		die(STATUS_FAILED, "neither recording has a virtual machine '%s'%s", t->vm, t->one_vcpu ? " with such a vCPU" : "");
	die(STATUS_FAILED, "neither recording has a vCPU %u", t->vcpu);
}

static void print_json(const struct comparison *c, const struct compare_names *n)
{
	json_t *o = comparison_json(c, n);

	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(o);
}

int cmd_compare(int argc, char **argv)
{
	static const struct argp argp = { option_list, parse, "A B", doc, NULL, NULL, NULL };
	struct options o = { .compare = { .confidence = 0.95 } };
	struct recording *r[SIDES];
	struct compare_names names;
	struct comparison c;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	for (int i = 0; i < SIDES; i++) {
		names.file[i] = file_title(o.file[i]);
		names.recording[i] = r[i] = read_file(o.file[i]);
	}
	check_target(&o.compare.target, &names);
	comparison_make(&c, r[SIDE_A], r[SIDE_B], &o.compare);
	if (o.json)
		print_json(&c, &names);
	else
		comparison_print(&c, &names, o.verbose, colour_on(stdout));
	comparison_free(&c);
	for (int i = 0; i < SIDES; i++)
		recording_free(r[i]);
	return finish_output() ? 0 : STATUS_FAILED;
}
