// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of `exeunt stat` as a whole, on a source made up by the test: each run is a process of its own, whose output is read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <argp.h>
#include <fcntl.h>
#include <jansson.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cmd.h"
#include "fake_source.h"

#define CPUID	EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define HLT	EXEUNT_KEY(0x78, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define WRMSR(n) EXEUNT_KEY(0x7c, EXEUNT_MSR_WRITE, EXEUNT_FAST, n)

#define MAX_WORDS 16
#define ROOM 1000000

static char out[ROOM], err[ROOM];
static char directory[] = "/tmp/test_stat.XXXXXX";

static void read_all(int fd, char *to)
{
	size_t len = 0;
	ssize_t n;

	while (len < ROOM - 1 && (n = read(fd, to + len, ROOM - 1 - len)) > 0)
		len += n;
	to[len] = '\0';
	close(fd);
}

/* In the child: the command, with its standard output in @output. */
static void be_stat(char **words, int output, int errors)
{
	int argc = 0;

	while (words[argc])
		argc++;
	dup2(output, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	argp_err_exit_status = STATUS_USAGE;
	command_name = "stat";
	exit(cmd_stat(argc, words));
}

/* Runs "exeunt stat" with these words; out and err are what it wrote, the result is its exit status, or minus the signal. */
static int stat_words(char **words)
{
	char *path = xasprintf("%s/err", directory);
	int ends[2], errors = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (!child) {
		close(ends[0]);
		be_stat(words, ends[1], errors);
	}
	close(ends[1]);
	read_all(ends[0], out);
	assert_int_equal(waitpid(child, &status, 0), child);
	lseek(errors, 0, SEEK_SET);
	read_all(errors, err);
	free(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define run_stat(...) stat_words((char *[]){ "exeunt stat", __VA_ARGS__ __VA_OPT__(,) NULL })

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void more_exits(void)
{
	struct vcpu *v = &fake.now.vms[0].vcpus[0];

	fake_exits(v, CPUID, 40, 2000);
	fake_exits(v, WRMSR(0x830), 60, 1000);
	v->counters.runs += 4;
	v->counters.user_exits[2] += 3;
}

/* A VM with a past, which then has 40 exits for CPUID and 60 for WRMSR between two looks. */
static int one_vm(void **state)
{
	struct vcpu *v;

	fake_reset();
	v = fake_vcpu(fake_vm("exeunt", 1, getpid(), "web"), 0);
	fake_exits(v, CPUID, 1000, 3000);
	fake_exits(v, HLT, 10, 3000);
	fake.step = more_exits;
	return 0;
}

static int no_vm(void **state)
{
	fake_reset();
	return 0;
}

/* --- Tables --- */

static void table_has_what_happened_while_the_command_ran(void **state)
{
	assert_int_equal(run_stat("--", "true"), 0);
	assert_non_null(strstr(out, "\nAnalyze events for all VMs, all VCPUs:\n"));
	assert_non_null(strstr(out, "                 msr         60    60.00% "));
	assert_non_null(strstr(out, "               cpuid         40    40.00% "));
	assert_null(strstr(out, "hlt"));
	assert_non_null(strstr(out, "\nTotal Samples:100, Total events handled time:140.00us.\n"));
	assert_string_equal(err, "");
}

static void command_needs_no_dashes_and_keeps_its_options(void **state)
{
	assert_int_equal(run_stat("sh", "-c", "exit 7"), 7);
	assert_int_equal(run_stat("--msr", "sh", "-c", "echo --pio; exit 0", "--json"), 0);
	assert_non_null(strstr(out, "--pio\n"));
	assert_non_null(strstr(out, "wr 0x830 x2APIC_ICR"));
	assert_null(strstr(out, "Port"));
}

static void sections_are_those_asked_for(void **state)
{
	static const struct { char *option; const char *text; } sections[] = {
		{ "--msr", "wr 0x830 x2APIC_ICR         60 " }, { "--pio", "\nPort I/O for " }, { "--mmio", "\nMMIO for " },
		{ "--hypercall", "\nHypercalls for " }, { "--ipi", "\nTargets of IPIs for " }, { "--irq", "\nInterrupts and " },
		{ "--fpu", "\nVector state for " }, { "--user", "KVM_EXIT_IO          3 " },
	};

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		assert_int_equal(run_stat(sections[i].option, "--", "true"), 0);
		assert_non_null(strstr(out, sections[i].text));
		assert_null(strstr(out, "VM-EXIT"));
		for (size_t j = 0; j < sizeof(sections) / sizeof(sections[0]); j++)
			assert_true(i == j || !strstr(out, sections[j].text));
	}
	assert_int_equal(run_stat("--user", "--msr", "--", "true"), 0);
	assert_non_null(strstr(out, "x2APIC_ICR"));
	assert_non_null(strstr(out, "KVM_EXIT_IO"));
}

static void targets_are_passed_on(void **state)
{
	char *pid = xasprintf("%d", getpid());

	assert_int_equal(run_stat("-p", pid, "--vcpu", "0", "--", "true"), 0);
	assert_non_null(strstr(out, ", VCPU 0:\n"));
	assert_int_equal(run_stat("--vm", "web", "--", "true"), 0);
	assert_non_null(strstr(out, " for VM web, all VCPUs:\n"));
	assert_int_equal(run_stat("--vm", "other", "--", "true"), 1);
	assert_string_equal(err, "exeunt stat: no virtual machine is named 'other'\n");
	assert_int_equal(run_stat("-p", "1", "--", "true"), 1);
	assert_string_equal(err, "exeunt stat: process 1 is not a virtual machine\n");
	assert_string_equal(out, "");
	free(pid);
}

/* As names are, which are cut and have no control characters. */
static void name_asked_for_is_cleaned(void **state)
{
	char *name = fake.now.vms[0].name, asked[101];

	memset(name, 'x', sizeof(fake.now.vms[0].name) - 1);
	name[0] = '?';
	memset(asked, 'x', sizeof(asked) - 1);
	asked[0] = '\033';
	asked[sizeof(asked) - 1] = '\0';
	assert_int_equal(run_stat("--vm", asked, "--", "true"), 0);
	assert_non_null(strstr(out, "Total Samples:100,"));
	assert_int_equal(run_stat("--vm", "a\033[2J", "--", "true"), 1);
	assert_string_equal(err, "exeunt stat: no virtual machine is named 'a?[2J'\n");
}

/* The engine shows in nothing but what the source is asked for. */
static void refuse_kvm(void)
{
	if (fake.engine == ENGINE_KVM)
		exit(99);
}

static void engine_is_passed_on(void **state)
{
	fake.step = refuse_kvm;
	assert_int_equal(run_stat("--engine", "kvm", "--", "true"), 99);
	assert_int_equal(run_stat("--engine", "exeunt", "--", "true"), 0);
	assert_int_equal(run_stat("--engine", "auto", "--", "true"), 0);
}

static void intervals_have_a_table_each(void **state)
{
	char *begin, *end;

	assert_int_equal(run_stat("-I", "50", "--", "sleep", ".35"), 0);
	assert_true(lines(out) > 12);
	begin = strstr(out, "Time              VM-EXIT");
	assert_non_null(begin);
	assert_non_null(end = strstr(begin + 1, "Time              VM-EXIT"));
	assert_non_null(strstr(begin, " msr         60 "));
	assert_true(strstr(begin, " msr         60 ") < end);
	assert_non_null(strstr(end, " msr         60 "));
	assert_non_null(strstr(out, "\n     0.0"));
}

/* --- Files, JSON --- */

static void output_goes_to_the_file(void **state)
{
	char *path = xasprintf("%s/out", directory);

	assert_int_equal(run_stat("-o", path, "--", "true"), 0);
	assert_string_equal(out, "");
	read_all(open(path, O_RDONLY), out);
	assert_non_null(strstr(out, "Total Samples:100,"));
	free(path);
}

static void dash_is_standard_output(void **state)
{
	assert_int_equal(run_stat("-o", "-", "--", "true"), 0);
	assert_non_null(strstr(out, "Total Samples:100,"));
	assert_int_equal(access("-", F_OK), -1);
}

static void file_stays_when_there_is_nothing_to_watch(void **state)
{
	char *path = xasprintf("%s/out", directory);
	FILE *f = fopen(path, "w");

	fputs("precious", f);
	fclose(f);
	assert_int_equal(run_stat("-o", path, "--vm", "other"), 1);
	fake.now.vms[0].ended = true;
	assert_int_equal(run_stat("-o", path), 1);
	fake.cannot_open = true;
	assert_int_equal(run_stat("-o", path, "--", "true"), 1);
	read_all(open(path, O_RDONLY), out);
	assert_string_equal(out, "precious");
	free(path);
}

static void file_that_cannot_be_written_is_an_error(void **state)
{
	assert_int_equal(run_stat("-o", "/nonexistent/out", "--", "true"), 1);
	assert_string_equal(err, "exeunt stat: cannot write '/nonexistent/out': No such file or directory\n");
	assert_int_equal(run_stat("-o", "/dev/full", "--", "true"), 1);
	assert_non_null(strstr(err, "exeunt stat: cannot write '/dev/full': No space left on device\n"));
	assert_int_equal(lines(err), 1);
}

static uint64_t json_exits(const json_t *document)
{
	json_t *vm = json_array_get(json_object_get(document, "vms"), 0);
	json_t *rows = json_object_get(json_array_get(json_object_get(vm, "vcpus"), 0), "rows"), *row;
	uint64_t n = 0;
	size_t i;

	assert_string_equal(json_string_value(json_object_get(vm, "name")), "web");
	assert_true(json_integer_value(json_object_get(document, "duration_ns")) > 0);
	json_array_foreach(rows, i, row)
		n += json_integer_value(json_object_get(row, "count"));
	return n;
}

static void json_is_one_document(void **state)
{
	json_t *document;

	assert_int_equal(run_stat("--json", "--", "true"), 0);
	document = json_loads(out, 0, NULL);
	assert_non_null(document);
	assert_int_equal(json_exits(document), 100);
	json_decref(document);
}

static void json_with_intervals_is_a_document_on_each_line(void **state)
{
	size_t n = 0;

	assert_int_equal(run_stat("--json", "-I", "50", "--", "sleep", ".3"), 0);
	for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"), n++) {
		json_t *document = json_loads(line, 0, NULL);

		assert_non_null(document);
		assert_int_equal(json_exits(document), 100);
		json_decref(document);
	}
	assert_in_range(n, 3, 8);
}

/* --- Terminals, pipes --- */

static void terminal_of_20_columns_has_a_table(void **state)
{
	char *words[] = { "exeunt stat", "--msr", "--", "true", NULL };
	struct winsize size = { .ws_row = 24, .ws_col = 20 };
	int master, slave, status;
	pid_t child;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	child = fork();
	if (!child) {
		close(master);
		be_stat(words, slave, slave);
	}
	close(slave);
	read_all(master, out);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "MSR    Samples\r\n"));
	assert_non_null(strstr(out, "wr 0x830~         60\r\n"));
	for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 20 + strlen("\r"));
}

static void closed_pipe_ends_it_quietly(void **state)
{
	char *words[] = { "exeunt stat", "-I", "10", NULL };
	int ends[2], errors[2], status;
	pid_t child;

	assert_int_equal(pipe(ends) | pipe(errors), 0);
	child = fork();
	if (!child) {
		close(ends[0]);
		be_stat(words, ends[1], errors[1]);
	}
	close(ends[0]);
	close(ends[1]);
	close(errors[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	read_all(errors[0], err);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_string_equal(err, "");
}

/* --- Without a command --- */

static void end_it(void)
{
	if (fake.reads == 2)
		fake.now.vms[0].ended = true;
}

static void end_of_the_vm_prints_the_table(void **state)
{
	fake.step = end_it;
	assert_int_equal(run_stat("--vm", "web"), 0);
	assert_non_null(strstr(out, "Total Samples:0, "));
	assert_string_equal(err, "");			/* which is no terminal */
}

static void interrupt_self(void)
{
	more_exits();
	if (fake.reads == 1)
		kill(getpid(), SIGINT);
}

static void interrupt_prints_the_table(void **state)
{
	/* The first look is not over when the signal comes: it is held back, or this would be the end. */
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fake.step = interrupt_self;
	assert_int_equal(run_stat("--vm", "web"), 0);
	assert_non_null(strstr(out, "Total Samples:100, "));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void without_vms_there_is_nothing_to_watch(void **state)
{
	assert_int_equal(run_stat(), 1);
	assert_string_equal(err, "exeunt stat: no virtual machine is running\n");
	fake_vm("exeunt", 1, 1, "web")->ended = true;
	assert_int_equal(run_stat(), 1);
	assert_string_equal(err, "exeunt stat: no virtual machine is running\n");
}

static void command_may_start_the_first_vm(void **state)
{
	assert_int_equal(run_stat("--", "sh", "-c", "exit 3"), 3);
	assert_non_null(strstr(out, "Total Samples:0, "));
}

static void lose_exits(void)
{
	fake.now.vms[0].unaccounted = 5 + 7 * fake.reads;
}

static void unaccounted_exits_are_warned_of(void **state)
{
	fake.now.vms[0].unaccounted = 5;
	fake.step = lose_exits;
	assert_int_equal(run_stat("--", "true"), 0);
	assert_string_equal(err, "exeunt stat: warning: 7 exits are not counted: there was no room for their kind\n");
}

/* --- Wrong usage --- */

static void check_usage(char **words, const char *message)
{
	assert_int_equal(stat_words(words), STATUS_USAGE);
	assert_string_equal(out, "");
	assert_ptr_equal(strstr(err, message), err);
	assert_non_null(strstr(err, "--help"));
}

#define wrong_usage(message, ...) check_usage((char *[]){ "exeunt stat", __VA_ARGS__, NULL }, "exeunt stat: " message "\n")

static void wrong_arguments_are_said_to_be_so(void **state)
{
	wrong_usage("-p takes a number from 1 to 2147483647, not 'x'", "-p", "x");
	wrong_usage("-p takes a number from 1 to 2147483647, not '0'", "-p", "0");
	wrong_usage("-p takes a number from 1 to 2147483647, not '-1'", "--pid=-1");
	wrong_usage("-p takes a number from 1 to 2147483647, not '12 '", "-p", "12 ");
	wrong_usage("--vcpu takes a number from 0 to 4294967295, not '4294967296'", "--vcpu", "4294967296");
	wrong_usage("--vm takes a name", "--vm", "");
	wrong_usage("-p is given twice", "-p", "1", "-p", "2");
	wrong_usage("--vm is given twice", "--vm", "a", "--vm", "b");
	wrong_usage("--vcpu is given twice", "--vcpu", "0", "--vcpu", "0");
	wrong_usage("--engine is auto, exeunt or kvm, not 'xen'", "--engine", "xen");
	wrong_usage("-I takes a number from 10 to 86400000, not '9'", "-I", "9");
	wrong_usage("-I takes a number from 10 to 86400000, not '1s'", "-I", "1s");
	wrong_usage("-I takes a number from 10 to 86400000, not ''", "-I", "");
	wrong_usage("-o takes a file's name", "-o", "");
	wrong_usage("unrecognized option '--bogus'", "--bogus");
	wrong_usage("option requires an argument -- 'p'", "-p");
}

static void help_teaches(void **state)
{
	static const char *const texts[] = {
		"Usage: exeunt stat [OPTION...] [-- COMMAND...]", "-p, --pid=PID", "--vm=NAME", "--vcpu=N", "--engine=ENGINE", "--msr",
		"-I, --interval=MS", "--json", "-o, --output=FILE", "Examples:", "Exit status:", "percentiles",
	};

	assert_int_equal(run_stat("--help"), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_non_null(strstr(out, texts[i]));
	assert_string_equal(err, "");
}

static int make_directory(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = { "err", "out" };

	for (size_t i = 0; i < 2; i++) {
		char *path = xasprintf("%s/%s", directory, names[i]);

		unlink(path);
		free(path);
	}
	return rmdir(directory);
}

#define T(f) cmocka_unit_test_setup_teardown(f, one_vm, no_vm)
#define T_NO_VM(f) cmocka_unit_test_setup_teardown(f, no_vm, no_vm)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(table_has_what_happened_while_the_command_ran), T(command_needs_no_dashes_and_keeps_its_options),
		T(sections_are_those_asked_for), T(targets_are_passed_on), T(engine_is_passed_on), T(intervals_have_a_table_each),
		T(output_goes_to_the_file), T(dash_is_standard_output), T(file_stays_when_there_is_nothing_to_watch),
		T(name_asked_for_is_cleaned), T(file_that_cannot_be_written_is_an_error), T(json_is_one_document),
		T(json_with_intervals_is_a_document_on_each_line), T(terminal_of_20_columns_has_a_table),
		T(closed_pipe_ends_it_quietly), T(end_of_the_vm_prints_the_table), T(interrupt_prints_the_table),
		T_NO_VM(without_vms_there_is_nothing_to_watch), T_NO_VM(command_may_start_the_first_vm),
		T(unaccounted_exits_are_warned_of), T_NO_VM(wrong_arguments_are_said_to_be_so), T_NO_VM(help_teaches),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
