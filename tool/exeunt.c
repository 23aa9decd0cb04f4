// SPDX-License-Identifier: GPL-2.0
/*
 * The `exeunt` command: finds the command that is meant and hands over to it.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "util.h"

const char *argp_program_version = "exeunt " TOOL_VERSION;

static const struct command {
	const char *group;		/* headings, where a group begins */
	const char *name, *purpose;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "Watch virtual machines:", "stat", "count exits by reason, with their times, while a command runs or until Ctrl-C", cmd_stat },
	{ NULL, "top", "show them live, on the whole screen", cmd_top },
	{ "Keep, show, compare:", "record", "write what was watched to a file", cmd_record },
	{ NULL, "report", "show a recording, as tables or as an HTML page", cmd_report },
	{ NULL, "compare", "say what differs between two recordings, and how sure that is", cmd_compare },
	{ "Measure a hypervisor:", "bench", "say what each sort of exit costs on this machine", cmd_bench },
	{ "Feed a monitoring system:", "export", "give metrics to Prometheus and its kin", cmd_export },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *f)
{
	fputs("Usage: exeunt COMMAND [OPTION...]\n"
	      "Where the exits of virtual machines go: how many, why, and how long each took. On Exeunt, and on stock KVM.\n", f);
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (commands[i].group)
			fprintf(f, "\n%s\n", commands[i].group);
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].purpose);
	}
	fputs("\n"
	      "  exeunt help COMMAND, or exeunt COMMAND --help, explains a command; exeunt --version says the version.\n"
	      "\n"
	      "Examples:\n"
	      "  exeunt stat -- sleep 10               exits of all virtual machines in ten seconds\n"
	      "  exeunt stat --vm web --msr -I 1000    MSR exits of the virtual machine \"web\", every second\n"
	      "  exeunt record -o a.json -- sleep 60   exits of a minute, into a file: exeunt report a.json shows them\n"
	      "\n"
	      "Exit status: 0 it went well, 1 something failed, 2 called wrongly; of a command that ran another, the other's.\n", f);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	die(STATUS_USAGE, "'%s' is not a command. See 'exeunt --help'.", name);
}

/* Commands write to standard output, and argp does, which then exits by itself: what could not be written is a failure. */
static void finish(int status, void *unused)
{
	if (!status && !finish_output())
		_exit(STATUS_FAILED);
}

static void refuse_more(char *const *words)
{
	if (words[0])
		die(STATUS_USAGE, "'%s' is one word too many. See 'exeunt --help'.", words[0]);
}

/* argv[0] is the command's name and becomes "exeunt NAME". */
static int run_command(int argc, char **argv)
{
	const struct command *command = find_command(argv[0]);
	char *name = xasprintf("exeunt %s", command->name);
	int status;

	command_name = command->name;
	argv[0] = name;
	status = command->run(argc, argv);
	free(name);
	return status;
}

/* Of the command @name; NULL: of all. */
static int help(char *name)
{
	char *words[] = { name, "--help", NULL };

	if (name)
		return run_command(2, words);
	print_help(stdout);
	return 0;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return !strcmp(word, a) || !strcmp(word, b);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);	/* whose reader has gone finds out by EPIPE */
	argp_err_exit_status = STATUS_USAGE;
	on_exit(finish, NULL);
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		refuse_more(argv + 2);
		return help(NULL);
	}
	if (!strcmp(argv[1], "help")) {
		refuse_more(argv + (argv[2] ? 3 : 2));
		return help(argv[2]);
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		refuse_more(argv + 2);
		puts(argp_program_version);
		return 0;
	}
	if (argv[1][0] == '-')
		die(STATUS_USAGE, "there is no option '%s' before the command. See 'exeunt --help'.", argv[1]);
	return run_command(argc - 1, argv + 1);
}
