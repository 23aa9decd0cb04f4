// SPDX-License-Identifier: GPL-2.0
/*
 * exeunt top: virtual machines and their exits, live: full-screen (top_screen.c), or as plain text again and again. Owns options, time
 * and signals.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cmd.h"
#include "options.h"
#include "top_paint.h"
#include "top_screen.h"
#include "top_state.h"
#include "util.h"
#include "watch.h"

#define NS_PER_S	1000000000ull
#define FIRST_DELAY	0.25	/* seconds: the first figures come early */
#define CTRL_L		0x0c

struct top_run {
	struct target_options what;
	struct target target;		/* a thread's id replaced by its process's */
	double delay;
	uint64_t iterations;		/* 0: no end */
	bool batch;

	struct source *source;
	struct top top;
	uint64_t next_ns;		/* when to read again */
	uint64_t intervals;		/* read so far */
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "How to show it:", 2 },
	{ "delay", 'd', "SECONDS", 0, "Between two looks; fractions allowed (default 1)", 2 },
	{ "iterations", 'n', "N", 0, "End after so many looks", 2 },
	{ "batch", 'b', NULL, 0, "Plain text, one look after the other; needs no terminal", 2 },
	{ 0 }
};

static const char doc[] =
	"Show virtual machines and their exits live, on the whole screen: the VMs, the vCPUs of one, the exit reasons of what is "
	"selected, the MSRs, ports and pages of a reason; below them how the times of the selected row's exits are distributed.\v"
	"Move with the arrow keys, Enter and Escape; ? explains the other keys and the columns, q quits. Colours are used if the "
	"terminal has them and NO_COLOR is not set.\n"
	"\n"
	"Examples:\n"
	"  exeunt top\n"
	"  exeunt top --vm web -d 0.5\n"
	"  exeunt top -b -n 10 -d 60 >>exits.log\n"
	"\n"
	"Exit status: 0, or 128 and the number of the signal that ended it, if that was not SIGINT; 1 if there was nothing to watch or "
	"something failed, 2 if called wrongly.";

static double delay_argument(const struct argp_state *state, const char *arg)
{
	char *end;
	double delay = strtod(arg, &end);

	if (!*arg || *end || strspn(arg, "0123456789.") != strlen(arg) || delay < TOP_MIN_DELAY || delay > TOP_MAX_DELAY)
		argp_error(state, "-d takes seconds from %g to %d, not '%s'", TOP_MIN_DELAY, TOP_MAX_DELAY, arg);
	return delay;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top_run *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->what;
		return 0;
	case 'd':
		r->delay = delay_argument(state, arg);
		return 0;
	case 'n':
		r->iterations = number_argument(state, "-n", arg, 1, UINT32_MAX);
		return 0;
	case 'b':
		r->batch = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- Signals: all but those of a moment's wait are blocked --- */

static volatile sig_atomic_t ended_by, resized;

static void note_signal(int signo)
{
	if (signo == SIGWINCH)
		resized = 1;
	else
		ended_by = signo;
}

/* @before: the mask to wait with. */
static void catch_signals(sigset_t *before)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	struct sigaction action = { .sa_handler = note_signal };
	sigset_t mask;

	sigemptyset(&mask);
	ended_by = resized = 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&mask, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &mask, before);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigdelset(before, signals[i]);
}

/* Until @deadline, a signal, or input on @fd (-1: none). Returns what is up there. */
static short wait_until(uint64_t deadline, int fd, const sigset_t *mask)
{
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { .tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S };
	struct pollfd input = { .fd = fd, .events = POLLIN };

	return ppoll(&input, 1, &timeout, mask) > 0 ? input.revents : 0;
}

static int signal_status(void)
{
	return !ended_by || ended_by == SIGINT ? 0 : 128 + ended_by;
}

/* --- Samples --- */

static bool read_sample(struct top_run *r, struct sample *s)
{
	if (source_read(r->source, s))
		return false;
	sample_select(s, &r->target);
	return true;
}

static bool open_source(struct top_run *r, int *status)
{
	struct sample s;

	*status = STATUS_FAILED;
	r->target = r->what.target;
	if (!watch_find_process(&r->target))
		return false;
	r->source = source_open(r->what.engine, &r->target, status);
	if (!r->source || !read_sample(r, &s))
		return false;
	if (!watch_check_target(&r->what.target, &s, true)) {
		sample_free(&s);
		return false;
	}
	top_sample(&r->top, &s);
	return true;
}

/* Reads at the due time; the next time is a delay after that. */
static bool sample_now(struct top_run *r)
{
	struct sample s;

	r->next_ns = now_ns() + (uint64_t)(r->top.delay * NS_PER_S);
	if (!read_sample(r, &s))
		return false;
	top_sample(&r->top, &s);
	r->intervals++;
	return true;
}

static bool all_done(const struct top_run *r)
{
	return ended_by || r->top.quit || (r->iterations && r->intervals >= r->iterations);
}

/* --- Full-screen --- */

static void show(struct top_run *r)
{
	unsigned int lines, columns;
	struct canvas c;
	int cursor_x;

	screen_size(&lines, &columns);
	canvas_init(&c, lines, columns, screen_unicode());
	top_paint(&r->top, &c, &cursor_x);
	screen_show(&c, cursor_x);
	canvas_free(&c);
}

static void follow_size(struct top_run *r)
{
	unsigned int lines, columns;

	screen_size(&lines, &columns);
	top_resize(&r->top, lines, columns);
}

static void take_keys(struct top_run *r)
{
	double delay = r->top.delay;
	unsigned int key;

	while (!r->top.quit && screen_key(&key)) {
		if (key == CTRL_L)
			screen_refresh();
		else
			top_key(&r->top, key);
	}
	if (r->top.delay != delay)
		r->next_ns = now_ns() + (uint64_t)(r->top.delay * NS_PER_S);
}

/* Meanwhile, what has ended goes away in its own time. */
static uint64_t wake_ns(const struct top_run *r)
{
	uint64_t soon = now_ns() + NS_PER_S;

	return r->top.paused || r->next_ns > soon ? soon : r->next_ns;
}

/* Whatever has happened. False if the source failed. */
static bool go_on(struct top_run *r, short input)
{
	if (resized) {
		resized = 0;
		screen_resize();
		follow_size(r);
	}
	if (input & POLLIN)
		take_keys(r);
	if (input & (POLLHUP | POLLERR | POLLNVAL))
		ended_by = SIGHUP;
	if (r->top.paused)
		return true;
	if (now_ns() >= r->next_ns)
		return sample_now(r);
	top_expire(&r->top, now_ns());
	return true;
}

static bool run_screen(struct top_run *r, const sigset_t *mask)
{
	double first = r->delay < FIRST_DELAY ? r->delay : FIRST_DELAY;
	bool fine = true;

	if (!screen_open())
		return false;
	follow_size(r);
	r->next_ns = now_ns() + (uint64_t)(first * NS_PER_S);
	while (fine && !all_done(r)) {
		show(r);
		fine = go_on(r, wait_until(wake_ns(r), STDIN_FILENO, mask));
	}
	if (fine)
		show(r);
	screen_close();
	return fine;
}

/* --- Plain text --- */

/* What a VM's vCPUs did, by reason. */
static void print_vm(struct top_run *r, const struct item *item)
{
	char summary[160];

	top_go(&r->top, LEVEL_REASONS, &item->part, item->name);
	top_summary(&r->top, summary, sizeof(summary));
	printf("\n%s: %s\n", item->name, summary);
	if (r->top.items.nr)
		top_print_list(&r->top, terminal_columns(stdout), screen_unicode(), stdout);
}

static bool print_all(struct top_run *r)
{
	struct part nothing = { 0 };
	struct items vms;
	char summary[160], clock[16];
	time_t now = time(NULL);

	top_go(&r->top, LEVEL_VMS, &nothing, "");
	top_summary(&r->top, summary, sizeof(summary));
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	printf("%sexeunt top %s: %s\n", r->intervals > 1 ? "\n" : "", clock, summary);
	if (r->top.items.nr)
		top_print_list(&r->top, terminal_columns(stdout), screen_unicode(), stdout);
	else
		puts("no virtual machine is running; waiting");
	vms = r->top.items;
	memset(&r->top.items, 0, sizeof(r->top.items));
	for (size_t i = 0; i < vms.nr; i++)
		print_vm(r, &vms.items[i]);
	items_free(&vms);
	return finish_output();
}

static bool run_batch(struct top_run *r, const sigset_t *mask)
{
	r->next_ns = now_ns() + (uint64_t)(r->delay * NS_PER_S);
	while (!all_done(r)) {
		wait_until(r->next_ns, -1, mask);
		if (now_ns() < r->next_ns)
			continue;
		if (!sample_now(r) || !print_all(r))
			return false;
	}
	return true;
}

/* --- The command --- */

static int run(struct top_run *r)
{
	sigset_t before, mask;
	int status;
	bool fine = open_source(r, &status);

	if (fine) {
		sigprocmask(SIG_SETMASK, NULL, &before);
		catch_signals(&mask);
		fine = r->batch ? run_batch(r, &mask) : run_screen(r, &mask);
		status = fine ? signal_status() : STATUS_FAILED;
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	if (r->source)
		source_close(r->source);
	return status;
}

int cmd_top(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &target_argp, 0, "What to watch (default: all virtual machines):", 1 },
		{ 0 }
	};
	static const struct argp argp = { options, parse, NULL, doc, children, NULL, NULL };
	struct top_run r = { .delay = 1 };
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &r);
	setlocale(LC_CTYPE, "");
	if (!r.batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		complain("standard input and output are not a terminal; -b prints plain text");
		return STATUS_FAILED;
	}
	top_init(&r.top, r.delay);
	status = run(&r);
	top_free(&r.top);
	return status;
}
