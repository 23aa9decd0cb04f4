// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the program's main(): which command gets which arguments, and what it says by itself. Each run is a process of its own.
 */
#define main exeunt_main
#include "../../tool/exeunt.c"
#undef main
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM 10000

static char out[ROOM], err[ROOM];

/* A command that says what it got. */
static int show(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--help")) {	/* as argp does */
		printf("[%s]<%s><--help>", command_name, argv[0]);
		exit(0);
	}
	printf("[%s]", command_name);
	for (int i = 0; i < argc; i++)
		printf("<%s>", argv[i]);
	return argv[argc] ? 99 : 42;
}

#define FAKE(name) int name(int argc, char **argv) { return show(argc, argv); }
FAKE(cmd_stat)
FAKE(cmd_top)
FAKE(cmd_record)
FAKE(cmd_report)
FAKE(cmd_compare)
FAKE(cmd_bench)
FAKE(cmd_export)

static void read_back(FILE *f, char *to)
{
	rewind(f);
	to[fread(to, 1, ROOM - 1, f)] = '\0';
	fclose(f);
}

static int run_words(char **words, FILE *output)
{
	FILE *errors = tmpfile();
	int argc = 0, status;

	while (words[argc])
		argc++;
	if (!fork()) {
		dup2(fileno(output), STDOUT_FILENO);
		dup2(fileno(errors), STDERR_FILENO);
		exit(exeunt_main(argc, words));
	}
	wait(&status);
	read_back(errors, err);
	read_back(output, out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define run(...) run_words((char *[]){ "/usr/bin/exeunt", __VA_ARGS__ __VA_OPT__(,) NULL }, tmpfile())

static void commands_get_their_arguments(void **state)
{
	static char *const names[] = { "stat", "top", "record", "report", "compare", "bench", "export" };
	char expected[100];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(run(names[i], "-x", "--", "y"), 42);
		snprintf(expected, sizeof(expected), "[%s]<exeunt %s><-x><--><y>", names[i], names[i]);
		assert_string_equal(out, expected);
	}
	assert_string_equal(err, "");
}

static void help_of_a_command_is_its_own(void **state)
{
	assert_int_equal(run("help", "record"), 0);
	assert_string_equal(out, "[record]<exeunt record><--help>");
}

static void help_lists_every_command(void **state)
{
	assert_int_equal(run("--help"), 0);
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		char line[100];

		snprintf(line, sizeof(line), "\n  %-10s %s\n", commands[i].name, commands[i].purpose);
		assert_non_null(strstr(out, line));
	}
	assert_non_null(strstr(out, "Exit status:"));
	assert_string_equal(err, "");
	assert_int_equal(run("help"), 0);
	assert_non_null(strstr(out, "\n  stat "));
	assert_int_equal(run("-h"), 0);
	assert_non_null(strstr(out, "\n  stat "));
}

static void version_is_said(void **state)
{
	assert_int_equal(run("--version"), 0);
	assert_string_equal(out, "exeunt " TOOL_VERSION "\n");
	assert_int_equal(run("-V"), 0);
	assert_string_equal(out, "exeunt " TOOL_VERSION "\n");
}

static void what_is_no_command_is_wrong_usage(void **state)
{
	assert_int_equal(run("bogus", "--help"), STATUS_USAGE);
	assert_string_equal(err, "exeunt: 'bogus' is not a command. See 'exeunt --help'.\n");
	assert_int_equal(run("help", "bogus"), STATUS_USAGE);
	assert_string_equal(err, "exeunt: 'bogus' is not a command. See 'exeunt --help'.\n");
	assert_int_equal(run(""), STATUS_USAGE);
	assert_string_equal(err, "exeunt: '' is not a command. See 'exeunt --help'.\n");
	assert_int_equal(run("--bogus", "stat"), STATUS_USAGE);
	assert_string_equal(err, "exeunt: there is no option '--bogus' before the command. See 'exeunt --help'.\n");
	assert_string_equal(out, "");
}

static void a_word_too_many_is_wrong_usage(void **state)
{
	assert_int_equal(run("--version", "extra"), STATUS_USAGE);
	assert_string_equal(err, "exeunt: 'extra' is one word too many. See 'exeunt --help'.\n");
	assert_int_equal(run("-V", "extra"), STATUS_USAGE);
	assert_int_equal(run("--help", "extra"), STATUS_USAGE);
	assert_int_equal(run("help", "stat", "extra"), STATUS_USAGE);
	assert_string_equal(err, "exeunt: 'extra' is one word too many. See 'exeunt --help'.\n");
	assert_string_equal(out, "");
}

static void nothing_is_wrong_usage(void **state)
{
	assert_int_equal(run(), STATUS_USAGE);
	assert_ptr_equal(strstr(err, "Usage: exeunt COMMAND"), err);
	assert_string_equal(out, "");
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
	assert_int_equal(run_words((char *[]){ "exeunt", "--help", NULL }, fopen("/dev/full", "r+")), STATUS_FAILED);
	assert_string_equal(err, "exeunt: cannot write: No space left on device\n");
	assert_int_equal(run_words((char *[]){ "exeunt", "--version", NULL }, fopen("/dev/full", "r+")), STATUS_FAILED);
	assert_int_equal(run_words((char *[]){ "exeunt", "stat", "--help", NULL }, fopen("/dev/full", "r+")), STATUS_FAILED);
	assert_string_equal(err, "exeunt stat: cannot write: No space left on device\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_get_their_arguments),
		cmocka_unit_test(help_of_a_command_is_its_own),
		cmocka_unit_test(help_lists_every_command),
		cmocka_unit_test(version_is_said),
		cmocka_unit_test(what_is_no_command_is_wrong_usage),
		cmocka_unit_test(a_word_too_many_is_wrong_usage),
		cmocka_unit_test(nothing_is_wrong_usage),
		cmocka_unit_test(output_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
