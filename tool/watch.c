// SPDX-License-Identifier: GPL-2.0
/*
 * See watch.h. Owns signals, the command's process and the clock of the intervals. What happens meanwhile is waited for in one place,
 * wait_event(), with the signals blocked everywhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "util.h"
#include "watch.h"

#define NS_PER_MS	1000000ull
#define POLL_NS		(1000 * NS_PER_MS)	/* at most, between reads: the sources do not keep what has ended for ever */

#define CANNOT_RUN	126	/* the shell's exit statuses for commands that it cannot start */
#define NOT_FOUND	127

struct session {
	const struct watch *watch;
	struct target target;		/* the same, but a thread's id is replaced by its process's */
	struct source *source;
	struct sample last;		/* what was read last, of the target */
	struct sample gone;		/* VMs that ended and that the source has forgotten since */
	bool gone_once;			/* are for one look only */
	pid_t child;			/* 0: no command, or it has ended */
	int status;
	bool stopped;
	bool (*look)(const struct sample *s, enum moment m, void *arg);
	void *arg;
};

/* --- The target --- */

/* The process that thread @tid belongs to; 0 if there is none. */
static pid_t process_of(pid_t tid)
{
	char *path = xasprintf("/proc/%d/status", tid), line[256];
	FILE *f = fopen(path, "re");
	int tgid = 0;

	free(path);
	if (!f)
		return 0;
	while (!tgid && fgets(line, sizeof(line), f))
		sscanf(line, "Tgid: %d", &tgid);
	fclose(f);
	return tgid;
}

bool watch_find_process(struct target *t)
{
	pid_t asked = t->pid;

	if (!asked)
		return true;
	t->pid = process_of(asked);
	if (!t->pid)
		complain("there is no process %d", asked);
	return t->pid;
}

static size_t live_vms(const struct sample *s)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->nr_vms; i++)
		nr += !s->vms[i].ended;
	return nr;
}

static bool has_vcpu(const struct sample *s)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (s->vms[i].nr_vcpus)
			return true;
	}
	return false;
}

bool watch_check_target(const struct target *t, const struct sample *s, bool vcpu_too)
{
	bool live = live_vms(s);

	if (t->pid && !live)
		complain("process %d is not a virtual machine%s%s%s", t->pid, t->vm ? " named '" : "", t->vm ? t->vm : "",
			 t->vm ? "'" : "");
	else if (t->vm && !live)
		complain("no virtual machine is named '%s'", t->vm);
	else if (t->one_vcpu && live && vcpu_too && !has_vcpu(s))
		complain("no virtual machine%s has a vCPU %u", t->pid || t->vm ? " that is meant" : "", t->vcpu);
	else
		return true;
	return false;
}

/* --- Looking --- */

static bool same_vm(const struct vm *a, const struct vm *b)
{
	return a->id == b->id && !strcmp(a->engine, b->engine);
}

/* What @vm is in @s; NULL: nothing. */
static struct vm *find_vm(const struct sample *s, const struct vm *vm)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (same_vm(&s->vms[i], vm))
			return &s->vms[i];
	}
	return NULL;
}

static void take_vm(struct sample *s, struct vm *vm)
{
	s->vms = xreallocarray(s->vms, s->nr_vms + 1, sizeof(*s->vms));
	s->vms[s->nr_vms++] = *vm;
	vm->nr_vcpus = 0;
	vm->vcpus = NULL;
}

static int by_engine_and_id(const void *pa, const void *pb)
{
	const struct vm *a = pa, *b = pb;
	int engines = strcmp(a->engine, b->engine);

	return engines ? engines : (a->id > b->id) - (a->id < b->id);
}

static bool has_vcpu_id(const struct vm *vm, uint32_t id)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].id == id)
			return true;
	}
	return false;
}

static int by_id(const void *pa, const void *pb)
{
	const struct vcpu *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

/* A VM may be forgotten between being listed and being read: the vCPUs that @now lacks are taken from what was read @before. */
static void keep_vcpus(struct vm *now, struct vm *before)
{
	if (now->nr_vcpus >= before->nr_vcpus)
		return;
	for (size_t i = 0; i < before->nr_vcpus; i++) {
		if (has_vcpu_id(now, before->vcpus[i].id))
			continue;
		now->vcpus = xreallocarray(now->vcpus, now->nr_vcpus + 1, sizeof(*now->vcpus));
		now->vcpus[now->nr_vcpus++] = before->vcpus[i];
		before->vcpus[i].nr_rows = 0;
		before->vcpus[i].rows = NULL;
	}
	qsort(now->vcpus, now->nr_vcpus, sizeof(*now->vcpus), by_id);
}

/* The sources keep the last VMs that ended, not all: what @now lacks and we have read stays as it was. */
static void keep_gone(struct session *s, struct sample *now)
{
	for (size_t i = 0; i < s->last.nr_vms; i++) {
		struct vm *before = &s->last.vms[i], *vm = find_vm(now, before);

		if (vm) {
			keep_vcpus(vm, before);
		} else {
			before->ended = true;
			take_vm(&s->gone, before);
		}
	}
}

static bool read_now(struct session *s)
{
	struct sample now;

	if (source_read(s->source, &now)) {
		s->status = STATUS_FAILED;
		return false;
	}
	sample_select(&now, &s->target);
	keep_gone(s, &now);
	sample_free(&s->last);
	s->last = now;
	return true;
}

/* The look gets a list of its own, of VMs that stay @last's and @gone's. */
static bool show(struct session *s, enum moment m)
{
	struct sample all = { .time_ns = s->last.time_ns, .nr_vms = s->last.nr_vms + s->gone.nr_vms };
	bool go_on;

	all.vms = xcalloc(all.nr_vms, sizeof(*all.vms));
	for (size_t i = 0; i < all.nr_vms; i++)
		all.vms[i] = i < s->last.nr_vms ? s->last.vms[i] : s->gone.vms[i - s->last.nr_vms];
	qsort(all.vms, all.nr_vms, sizeof(*all.vms), by_engine_and_id);
	go_on = s->look(&all, m, s->arg);
	free(all.vms);
	if (s->gone_once)
		sample_free(&s->gone);
	if (!go_on)
		s->status = STATUS_FAILED;
	return go_on;
}

static bool look_at(struct session *s, enum moment m)
{
	return read_now(s) && show(s, m);
}

/* --- The command --- */

/* Runs the command in this process, a child. Says on @report why it could not. */
static void run_child(char **command, int report, const sigset_t *mask)
{
	int error;

	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(CANNOT_RUN);
	_exit(NOT_FOUND);
}

/* False, with a line and the status, if it cannot be started. */
static bool start_command(struct session *s, const sigset_t *mask)
{
	int report[2], error = 0;
	pid_t child;

	if (pipe2(report, O_CLOEXEC))
		die(STATUS_FAILED, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0)
		die(STATUS_FAILED, "cannot start a process: %s", strerror(errno));
	if (!child)
		run_child(s->watch->command, report[1], mask);
	close(report[1]);
	if (read(report[0], &error, sizeof(error)) == sizeof(error)) {
		complain("cannot run '%s': %s", s->watch->command[0], strerror(error));
		s->status = error == ENOENT ? NOT_FOUND : CANNOT_RUN;
		waitpid(child, NULL, 0);
	} else {
		s->child = child;
	}
	close(report[0]);
	return s->child;
}

static void reap(struct session *s)
{
	int status;

	if (!s->child || waitpid(s->child, &status, WNOHANG) != s->child)
		return;
	s->child = 0;
	s->stopped = true;
	s->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- Waiting --- */

static void take_signal(struct session *s, int signo)
{
	switch (signo) {
	case SIGCHLD:
		reap(s);
		break;
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		if (s->child)
			kill(s->child, signo);
		else
			s->stopped = true;
		break;
	case SIGINT:			/* at a terminal, the command has got it too, and decides */
		s->stopped |= !s->child;
		break;
	}
}

/* Waits until @deadline, or the next signal, and does what that asks for. */
static void wait_event(struct session *s, const sigset_t *signals, uint64_t deadline)
{
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
	int signo = sigtimedwait(signals, NULL, &timeout);

	if (signo > 0)
		take_signal(s, signo);
}

/* All that was to be watched has ended. Who watches whatever there is waits for more. */
static bool target_ended(const struct session *s)
{
	return (s->target.pid || s->target.vm) && !s->watch->command && !live_vms(&s->last);
}

static uint64_t later_tick(uint64_t tick, uint64_t period)
{
	uint64_t now = now_ns();

	return tick > now ? tick : tick + ((now - tick) / period + 1) * period;
}

/* Until the end. False if there is none to look at any more. */
static bool watch_loop(struct session *s, const sigset_t *signals)
{
	uint64_t interval = s->watch->interval_ms * NS_PER_MS, poll = interval && interval < POLL_NS ? interval : POLL_NS;
	uint64_t begin = now_ns(), next_read = begin + poll, next_look = interval ? begin + interval : UINT64_MAX;

	while (!s->stopped) {
		uint64_t next = next_read < next_look ? next_read : next_look;
		bool due;

		wait_event(s, signals, next);
		if (s->stopped)
			break;
		if (now_ns() < next)
			continue;
		due = now_ns() >= next_look;
		next_read = later_tick(next_read, poll);
		if (!read_now(s))
			return false;
		if (target_ended(s))
			break;
		if (!due)
			continue;
		next_look = later_tick(next_look, interval);
		if (!show(s, WATCH_INTERVAL))
			return false;
	}
	return true;
}

/* Who ignores hang-ups (nohup) goes on when the terminal goes: a signal that is blocked is not ignored. */
static bool ignores(int signo)
{
	struct sigaction action;

	return !sigaction(signo, NULL, &action) && action.sa_handler == SIG_IGN;
}

static void watch_signals(sigset_t *signals)
{
	sigemptyset(signals);
	if (!ignores(SIGHUP))
		sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGQUIT);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGCHLD);
}

static void watch_session(struct session *s)
{
	sigset_t signals, before;

	watch_signals(&signals);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (show(s, WATCH_BEGIN) && (!s->watch->command || start_command(s, &before)) && watch_loop(s, &signals))
		look_at(s, WATCH_END);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static int run(struct session *s)
{
	const struct watch *w = s->watch;

	if (!watch_find_process(&s->target))
		return STATUS_FAILED;
	s->source = source_open(w->engine, &s->target, &s->status);
	if (!s->source)
		return s->status;
	s->status = 0;
	if (!read_now(s) || !watch_check_target(&w->target, &s->last, !w->command))
		s->status = STATUS_FAILED;
	else
		watch_session(s);
	sample_free(&s->last);
	sample_free(&s->gone);
	source_close(s->source);
	return s->status;
}

int watch_run(const struct watch *w, bool (*look)(const struct sample *s, enum moment m, void *arg), void *arg)
{
	return run(&(struct session){ .watch = w, .target = w->target, .look = look, .arg = arg });
}

int watch_run_differences(const struct watch *w, bool (*look)(const struct sample *s, enum moment m, void *arg), void *arg)
{
	return run(&(struct session){ .watch = w, .target = w->target, .gone_once = true, .look = look, .arg = arg });
}
