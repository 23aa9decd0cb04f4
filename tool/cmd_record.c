// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt record: watches, and writes what happened to a file that report and compare read.
 */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "cmd.h"
#include "options.h"
#include "outfile.h"
#include "recording.h"
#include "util.h"
#include "watch.h"

#define DEFAULT_FILE		"exeunt.json"
#define DEFAULT_INTERVAL_MS	1000

struct record {
	struct target_options what;
	unsigned int interval_ms;
	const char *path;
	bool quiet;
	char **command;
	bool progress;			/* a line on the terminal says how far it is */

	struct outfile out;
	struct recording *recording;	/* not NULL: @out is open */
	struct sample first, last;	/* looks at the source */
	bool failed;
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Where to; - is standard output (default " DEFAULT_FILE "). A file that is there becomes FILE.old", 0 },
	{ "interval", 'I', "MS", 0, "Length of an interval of the time line, in milliseconds (default 1000); 0: no time line", 0 },
	{ "quiet", 'q', NULL, 0, "Say nothing but what goes wrong", 0 },
	{ 0 }
};

static const char doc[] =
	"Record the exits of virtual machines: until COMMAND ends, or without one until Ctrl-C or until those that -p or --vm mean "
	"have ended.\v"
	"The file is JSON, see docs/recording.md: of each vCPU every kind of exit with count, times and histogram, its counters, and "
	"how many exits of which kind came in each interval. However long it is recorded, there are at most 65536 intervals: they "
	"get longer instead.\n"
	"\n"
	"Examples:\n"
	"  exeunt record -- sleep 10\n"
	"  exeunt report exeunt.json --html exeunt.html\n"
	"  exeunt record --vm web -I 100 -o busy.json\n"
	"\n"
	"Exit status: COMMAND's, or 0; 1 if it could not be recorded, 2 if called wrongly.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct record *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->what;
		return 0;
	case 'o':
		if (!*arg)
			argp_error(state, "-o takes a file's name");
		r->path = arg;
		return 0;
	case 'I':
		r->interval_ms = strcmp(arg, "0") ? interval_argument(state, arg) : 0;
		return 0;
	case 'q':
		r->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		r->command = take_command(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- The command in one line of text that a shell would read as the same --- */

static bool is_plain(const char *word)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";

	return *word && !word[strspn(word, safe)];
}

static void print_escaped(FILE *f, const char *word)
{
	fputs("$'", f);
	for (const unsigned char *c = (const unsigned char *)word; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			fprintf(f, "\\%03o", *c);
		else
			fprintf(f, "%s%c", *c == '\'' || *c == '\\' ? "\\" : "", *c);
	}
	fputc('\'', f);
}

static bool has_control_characters(const char *word)
{
	for (; *word; word++)
		if ((unsigned char)*word < ' ' || *word == 0x7f)
			return true;
	return false;
}

static char *quote_command(char *const *words)
{
	char *text = NULL;
	size_t size;
	FILE *f;

	if (!words)
		return NULL;
	f = open_memstream(&text, &size);
	if (!f)
		die(STATUS_FAILED, "out of memory");
	for (char *const *word = words; *word; word++) {
		if (word > words)
			fputc(' ', f);
		if (is_plain(*word))
			fputs(*word, f);
		else if (has_control_characters(*word) || strchr(*word, '\''))
			print_escaped(f, *word);
		else
			fprintf(f, "'%s'", *word);
	}
	fclose(f);
	return text;
}

/* --- Recording --- */

static struct recording *begin_recording(const struct record *r)
{
	struct recording *recording = xcalloc(1, sizeof(*recording));
	struct timespec now;
	struct utsname host;

	uname(&host);
	clock_gettime(CLOCK_REALTIME, &now);
	recording->hostname = xstrdup(host.nodename);
	recording->kernel = xasprintf("%s %s", host.release, host.machine);
	recording->tool_version = xstrdup(TOOL_VERSION);
	recording->command = quote_command(r->command);
	recording->begin_unix_ns = now.tv_sec * 1000000000ll + now.tv_nsec;
	recording->interval_ms = r->interval_ms;
	return recording;
}

static uint64_t exits_in(const struct sample *s)
{
	uint64_t n = 0;

	for (const struct vm *vm = s->vms; vm < s->vms + s->nr_vms; vm++)
		for (size_t c = 0; c < vm->nr_vcpus; c++)
			for (size_t i = 0; i < vm->vcpus[c].nr_rows; i++)
				n += vm->vcpus[c].rows[i].count;
	return n;
}

static void show_progress(const struct record *r, const struct sample *delta, uint64_t begin_ns, uint64_t end_ns)
{
	double seconds = (end_ns - begin_ns) / 1e9;
	char rate[16], line[64];

	format_count(seconds > 0 ? exits_in(delta) / seconds : 0, rate, sizeof(rate));
	snprintf(line, sizeof(line), "[ recording: %.0f s, %s exits/s ]", end_ns / 1e9, rate);
	fprintf(stderr, "\r\033[K%.*s", (int)terminal_columns(stderr) - 1, line);
}

static void add_interval(struct record *r, const struct sample *s)
{
	uint64_t begin = r->last.time_ns - r->first.time_ns, end = s->time_ns - r->first.time_ns;
	struct sample delta;

	sample_diff(&delta, s, &r->last);
	recording_add_interval(r->recording, begin, end, &delta);
	if (r->progress)
		show_progress(r, &delta, begin, end);
	sample_free(&delta);
	sample_free(&r->last);
	sample_copy(&r->last, s);
}

static void say_what_was_recorded(const struct record *r)
{
	char exits[16];
	size_t vms = r->recording->total.nr_vms;

	if (r->progress)
		fputs("\r\033[K", stderr);
	fprintf(stderr, "[ exeunt record: %.1f s, %s exits of %zu VM%s%s%s ]\n", r->recording->duration_ns / 1e9,
		format_count(exits_in(&r->recording->total), exits, sizeof(exits)), vms, vms == 1 ? "" : "s",
		strcmp(r->path, "-") ? " in " : "", strcmp(r->path, "-") ? r->path : "");
}

/* What was seen until the last look. */
static void write_out(struct record *r)
{
	sample_diff(&r->recording->total, &r->last, &r->first);
	r->recording->duration_ns = r->last.time_ns - r->first.time_ns;
	recording_write(r->recording, r->out.f);
	if (!outfile_commit(&r->out, true))
		r->failed = true;
	else if (!r->quiet)
		say_what_was_recorded(r);
}

static void end_recording(struct record *r)
{
	recording_free(r->recording);
	r->recording = NULL;
	sample_free(&r->first);
	sample_free(&r->last);
}

/* SIGINT and SIGTERM are blocked here: neither leaves half a file. */
static bool look(const struct sample *s, enum moment m, void *arg)
{
	struct record *r = arg;

	switch (m) {
	case WATCH_BEGIN:
		if (!outfile_open(&r->out, r->path, 0600))
			return false;
		r->recording = begin_recording(r);
		sample_copy(&r->first, s);
		sample_copy(&r->last, s);
		break;
	case WATCH_INTERVAL:
		add_interval(r, s);
		break;
	case WATCH_END:
		add_interval(r, s);
		write_out(r);
		end_recording(r);
		break;
	}
	return !r->failed;
}

/* The command could not be started, or the source gave up: what there is of the time line is kept. */
static void end_early(struct record *r)
{
	if (r->progress)
		fputc('\n', stderr);
	if (r->recording->nr_intervals)
		write_out(r);
	else
		outfile_abandon(&r->out);
	end_recording(r);
}

int cmd_record(int argc, char **argv)
{
	static const struct argp_child children[] = { { &target_argp, 0, "What to watch:", 1 }, { 0 } };
	static const struct argp argp = { options, parse, "[-- COMMAND...]", doc, children, NULL, NULL };
	struct record r = { .interval_ms = DEFAULT_INTERVAL_MS, .path = DEFAULT_FILE };
	int status;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &r);
	r.progress = !r.quiet && !r.command && terminal_columns(stderr);
	status = watch_run(&(struct watch){ r.what.engine, r.what.target, r.interval_ms, r.command }, look, &r);
	if (r.recording)
		end_early(&r);
	return r.failed ? STATUS_FAILED : status;
}
