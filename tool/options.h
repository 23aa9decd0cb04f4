/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options that all commands have in common, as a child of their argp: -p/--pid PID, --vm NAME, --vcpu N, --engine auto|exeunt|kvm.
 *
 *	static const struct argp_child children[] = { { &target_argp, 0, "What to watch:", 1 }, {} };
 *	static const struct argp argp = { options, parse, "[-- COMMAND...]", doc, children };
 *
 *	case ARGP_KEY_INIT:			// in the command's own parser: where the child puts what it finds
 *		state->child_inputs[0] = &mine->target;
 *		return 0;
 *	case ARGP_KEY_ARG:			// of a command that runs a command; with ARGP_IN_ORDER
 *		mine->command = take_command(state);
 *		return 0;
 *
 * Whatever is wrong ends the program by argp_error(): a line that says it, a hint at --help, status argp_err_exit_status, which
 * main() sets to STATUS_USAGE.
 */
#ifndef EXEUNT_TOOL_OPTIONS_H
#define EXEUNT_TOOL_OPTIONS_H

#include <argp.h>
#include "source.h"

struct target_options {
	struct target target;		/* .vm is NULL or points to @name: no copy of this outlives it */
	enum engine engine;
	char name[sizeof(((struct vm *)0)->name)];	/* that of --vm, made clean as VMs' names are */
};

/* Its input is a struct target_options, zeroed. Keys of its options without a letter are 0x200 to 0x2ff: have others of your own. */
extern const struct argp target_argp;

/* For ARGP_KEY_ARG under ARGP_IN_ORDER: this word and all that follow are a command, whatever they look like. NULL-terminated. */
char **take_command(struct argp_state *state);
/* An option's argument that is a whole number within [min, max]; @what it is, e.g. "-I", for the message. Does not return otherwise. */
uint64_t number_argument(const struct argp_state *state, const char *what, const char *arg, uint64_t min, uint64_t max);
/* The argument of -I/--interval: milliseconds between two looks, INTERVAL_MIN_MS to INTERVAL_MAX_MS. */
#define INTERVAL_MIN_MS		10
#define INTERVAL_MAX_MS		86400000
unsigned int interval_argument(const struct argp_state *state, const char *arg);

#endif
