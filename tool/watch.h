/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Watching for a while: from the start of a command to its end, or until interrupted, with a look at each interval. For stat and
 * record.
 */
#ifndef EXEUNT_TOOL_WATCH_H
#define EXEUNT_TOOL_WATCH_H

#include "source.h"

struct watch {
	enum engine engine;
	struct target target;
	unsigned int interval_ms;	/* 0: none but the first look and the last */
	char **command;			/* NULL: until SIGINT, SIGTERM, SIGHUP or SIGQUIT, or until the target's VMs have all ended */
};

/* Replaces a thread's id in @t by its process's. False, with a line on standard error, if there is no such process. */
bool watch_find_process(struct target *t);
/*
 * Is what @t means in @s, which is what watch_find_process() and sample_select() made of @t, alive? With @vcpu_too, so is the vCPU.
 * False, with a line on standard error, if not. What means all VMs is content with none.
 */
bool watch_check_target(const struct target *t, const struct sample *s, bool vcpu_too);

enum moment { WATCH_BEGIN, WATCH_INTERVAL, WATCH_END };

/*
 * Opens the source, looks (WATCH_BEGIN), starts the command, looks at each interval and once more at the end. @look gets what the
 * target selects, cumulative; WATCH_BEGIN's is the base for differences. VMs that ended since stay in it.
 * The source is read at least once a second, however long the interval.
 * It returns false to stop early, without WATCH_END and with STATUS_FAILED; it has said why.
 * While a command runs, SIGINT is left to it, and SIGTERM, SIGHUP and SIGQUIT are passed on. SIGHUP stays ignored if it was. Returns the exit status: the command's (128 + signal if one killed it), 127 or 126 if it
 * could not be started, 0 when there is none; STATUS_FAILED if there is nothing to watch: no such process, a process that is no
 * VM, no VM of that name (a message says which). Without -p or --vm, having no VM (yet) is no error.
 */
int watch_run(const struct watch *w, bool (*look)(const struct sample *s, enum moment m, void *arg), void *arg);
/* The same, for who compares each look with the one before only: a VM that the source has forgotten is in one more look, not in all. */
int watch_run_differences(const struct watch *w, bool (*look)(const struct sample *s, enum moment m, void *arg), void *arg);

#endif
