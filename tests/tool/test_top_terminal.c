// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of `exeunt top` as a program on a terminal (a pseudo-terminal here): it comes, it goes, and leaves the terminal as it was,
 * however it ends; and of its plain text, its options and its exit status.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <argp.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>
#include "cmd.h"
#include "fake_top.h"

#define ENTER_SCREEN	"\x1b[?1049h"	/* xterm's */
#define LEAVE_SCREEN	"\x1b[?1049l"
#define PATIENCE_MS	20000

static struct {
	pid_t pid;
	int master, slave;		/* -1: no terminal, @master is a pipe */
	struct termios before;
	size_t len;
	char text[1 << 20];		/* all it has written, NUL-terminated */
} program = { .master = -1, .slave = -1 };

static const char *terminal_type = "xterm", *no_colour;
static FILE *errors;			/* standard error of a program on a pipe; NULL: the pipe, too */

static void busy(void)
{
	for (size_t i = 0; i < fake.now.nr_vms; i++) {
		fake_exits(&fake.now.vms[i].vcpus[0], MSR_WRITE(0x830), 100 * (i + 1), 3000);
		fake_exits(&fake.now.vms[i].vcpus[0], CPUID, 50, 1000);
	}
}

static int setup(void **state)
{
	fake_vms();
	fake.step = busy;
	terminal_type = "xterm";
	no_colour = NULL;
	return 0;
}

static int teardown(void **state)
{
	if (program.pid)
		kill(program.pid, SIGKILL);
	if (program.pid)
		waitpid(program.pid, NULL, 0);
	if (program.master >= 0)
		close(program.master);
	if (program.slave >= 0)
		close(program.slave);
	memset(&program, 0, sizeof(program));
	program.master = program.slave = -1;
	fake_reset();
	return 0;
}

/* --- The program, in a process of its own --- */

static void child(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", terminal_type, 1);
	unsetenv("LINES");
	unsetenv("COLUMNS");
	unsetenv("NO_COLOR");
	if (no_colour)
		setenv("NO_COLOR", no_colour, 1);
	command_name = "top";
	argp_err_exit_status = STATUS_USAGE;
	signal(SIGPIPE, SIG_IGN);
	exit(cmd_top(argc, argv));
}

#define ARGUMENTS(...)	((char *[]){ "exeunt top", ##__VA_ARGS__, NULL })

static void start_on_terminal(char **argv)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	assert_int_equal(openpty(&program.master, &program.slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(program.slave, &program.before), 0);
	program.pid = fork();
	assert_true(program.pid >= 0);
	if (program.pid)
		return;
	close(program.master);
	if (login_tty(program.slave))
		_exit(99);
	child(argv);
}

/* Without a terminal: standard output and error are one pipe, standard input is nothing. */
static void start_on_pipe(char **argv)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	program.master = ends[0];
	program.pid = fork();
	assert_true(program.pid >= 0);
	if (!program.pid) {
		dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		dup2(errors ? fileno(errors) : ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		child(argv);
	}
	close(ends[1]);
}

/* Reads what there is, waiting for it @ms at most. False at the end, or when nothing came. */
static bool read_some(int ms)
{
	struct pollfd p = { .fd = program.master, .events = POLLIN };
	ssize_t len;

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (program.len > sizeof(program.text) / 2) {	/* what is old is not asked for any more */
		memmove(program.text, program.text + program.len / 2, program.len - program.len / 2 + 1);
		program.len -= program.len / 2;
	}
	len = read(program.master, program.text + program.len, sizeof(program.text) - program.len - 1);
	if (len <= 0)
		return false;
	program.len += len;
	program.text[program.len] = '\0';
	return true;
}

/* Waits until it has written @text after what has been seen so far. */
static void wait_for(const char *text)
{
	uint64_t until = now_ns() + PATIENCE_MS * 1000000ull;

	while (!strstr(program.text, text)) {
		if (now_ns() > until || (!read_some(1000) && now_ns() > until))
			fail_msg("'%s' did not come, but: %s", text, program.text);
	}
}

/* From here on, only what comes counts. */
static void forget_output(void)
{
	while (read_some(0))
		;
	program.len = 0;
	program.text[0] = '\0';
}

static void press(const char *keys)
{
	assert_int_equal(write(program.master, keys, strlen(keys)), strlen(keys));
}

static void resize(unsigned int lines, unsigned int columns)
{
	struct winsize size = { .ws_row = lines, .ws_col = columns };

	assert_int_equal(ioctl(program.master, TIOCSWINSZ, &size), 0);
}

/* Its exit status, 1000 and the signal that killed it. Takes what it writes until then. */
static int end_of_program(void)
{
	uint64_t until = now_ns() + PATIENCE_MS * 1000000ull;
	int status;

	while (waitpid(program.pid, &status, WNOHANG) != program.pid) {
		if (now_ns() > until)
			fail_msg("it does not end; it wrote: %s", program.text);
		read_some(20);
	}
	program.pid = 0;
	while (read_some(0))
		;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The terminal's modes are as before, and the screen has been left. */
static void assert_terminal_restored(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(program.slave, &now), 0);
	assert_int_equal(now.c_lflag, program.before.c_lflag);
	assert_int_equal(now.c_iflag, program.before.c_iflag);
	assert_int_equal(now.c_oflag, program.before.c_oflag);
	assert_non_null(strstr(program.text, LEAVE_SCREEN));
	assert_null(strstr(strstr(program.text, LEAVE_SCREEN) + 1, ENTER_SCREEN));
}

/* --- Ways out --- */

static void q_leaves_the_terminal_as_it_was(void **state)
{
	start_on_terminal(ARGUMENTS());
	wait_for(ENTER_SCREEN);
	wait_for("msr");
	press("q");
	assert_int_equal(end_of_program(), 0);
	assert_terminal_restored();
}

static void signals_leave_the_terminal_as_it_was(void **state)
{
	static const struct { int signo, status; } signals[] = {
		{ SIGINT, 0 }, { SIGTERM, 128 + SIGTERM }, { SIGHUP, 128 + SIGHUP }, { SIGQUIT, 128 + SIGQUIT },
	};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		start_on_terminal(ARGUMENTS());
		wait_for("exits/s");
		kill(program.pid, signals[i].signo);
		assert_int_equal(end_of_program(), signals[i].status);
		assert_terminal_restored();
		teardown(state);
		setup(state);
	}
}

static void ctrl_c_at_the_keyboard_ends_it(void **state)
{
	start_on_terminal(ARGUMENTS());
	wait_for("exits/s");
	press("\x03");
	assert_int_equal(end_of_program(), 0);
	assert_terminal_restored();
}

static void a_terminal_that_goes_away_ends_it(void **state)
{
	start_on_terminal(ARGUMENTS());
	wait_for("exits/s");
	close(program.slave);
	program.slave = -1;
	close(program.master);
	program.master = -1;
	assert_int_equal(end_of_program(), 128 + SIGHUP);
}

static void break_later(void)
{
	busy();
	fake.cannot_read = fake.reads == 3;
	if (fake.cannot_read)
		complain("the statistics are broken");
}

static void a_source_that_fails_is_told_of_after_the_screen_is_left(void **state)
{
	fake.step = break_later;
	start_on_terminal(ARGUMENTS("-d", "0.1"));
	assert_int_equal(end_of_program(), 1);
	assert_terminal_restored();
	assert_non_null(strstr(strstr(program.text, LEAVE_SCREEN), "exeunt top: the statistics are broken"));
}

static void die_later(void)
{
	if (fake.reads == 3)
		die(STATUS_FAILED, "out of memory");
}

static void who_exits_from_within_leaves_the_terminal_as_it_was(void **state)
{
	fake.step = die_later;
	start_on_terminal(ARGUMENTS("-d", "0.1"));
	assert_int_equal(end_of_program(), 1);
	assert_terminal_restored();
	assert_non_null(strstr(strstr(program.text, LEAVE_SCREEN), "exeunt top: out of memory"));
}

static void n_ends_it_by_itself(void **state)
{
	start_on_terminal(ARGUMENTS("-n", "3", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	assert_terminal_restored();
}

/* --- What it shows --- */

static void keys_work(void **state)
{
	start_on_terminal(ARGUMENTS("-d", "0.1"));
	wait_for("old");
	press("\r");
	wait_for("VCPU");
	press("\x1bOB");		/* down, in keypad mode */
	press("\r");
	wait_for("REASON");
	press("?");
	wait_for("help; q goes back");
	press("\x1b");
	forget_output();
	press("/cpu");
	wait_for("/cpu");
	press("\x1b");
	press("\x1bOP");		/* F1 */
	wait_for("help; q goes back");
	press("qq");
	assert_int_equal(end_of_program(), 0);
	assert_terminal_restored();
}

static void it_follows_the_terminals_size(void **state)
{
	unsigned int seed = 7;

	start_on_terminal(ARGUMENTS("-d", "0.05"));
	wait_for("exits/s");
	for (unsigned int i = 0; i < 60; i++) {
		resize(1 + rand_r(&seed) % 50, 1 + rand_r(&seed) % 130);
		press(i % 3 ? "j" : i % 2 ? "\r" : "\x1b");
		read_some(30);
	}
	resize(5, 20);
	usleep(300000);
	forget_output();
	resize(77, 80);
	wait_for("\x1b[77");		/* the cursor goes to the last line */
	press("qq");
	assert_int_equal(end_of_program(), 0);
	assert_terminal_restored();
}

/* Is what follows ESC [ a list of numbers and an m, and does one of them mean a colour? */
static bool chooses_colour(const char *s)
{
	bool colour = false;

	do {
		char *end;
		long number = strtol(s, &end, 10);

		colour |= number >= 30 && number <= 47 && number != 39;
		s = end;
	} while (*s++ == ';');
	return colour && s[-1] == 'm';
}

static bool has_colour(void)
{
	for (const char *s = program.text; (s = strstr(s, "\x1b[")); s += 2) {
		if (chooses_colour(s + 2))
			return true;
	}
	return false;
}

static void colours_are_for_who_wants_them(void **state)
{
	start_on_terminal(ARGUMENTS("-n", "2", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	assert_true(has_colour());
	teardown(state);
	setup(state);
	no_colour = "1";
	start_on_terminal(ARGUMENTS("-n", "2", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	assert_false(has_colour());
	teardown(state);
	setup(state);
	terminal_type = "vt100";
	start_on_terminal(ARGUMENTS("-n", "2", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	assert_false(has_colour());
}

/* --- Without a terminal --- */

static void without_a_terminal_it_says_so(void **state)
{
	start_on_pipe(ARGUMENTS());
	assert_int_equal(end_of_program(), 1);
	assert_string_equal(program.text, "exeunt top: standard input and output are not a terminal; -b prints plain text\n");
}

static void a_terminal_without_a_cursor_will_not_do(void **state)
{
	static const char *const types[] = { "dumb", "no-such-terminal", "" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		terminal_type = types[i];
		start_on_terminal(ARGUMENTS());
		assert_int_equal(end_of_program(), 1);
		assert_non_null(strstr(program.text, "is of no use here"));
		teardown(state);
		setup(state);
	}
}

static void batch_mode_prints_vms_and_their_reasons(void **state)
{
	const char *first, *second;

	start_on_pipe(ARGUMENTS("-b", "-n", "2", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	first = strstr(program.text, "exeunt top ");
	assert_non_null(first);
	second = strstr(first + 1, "exeunt top ");
	assert_non_null(second);
	assert_null(strstr(second + 1, "exeunt top "));
	assert_non_null(strstr(second, "3 VMs, 4 vCPUs: "));
	assert_non_null(strstr(second, "\n old "));
	assert_non_null(strstr(second, "\nweb: pid 101 on exeunt, 2 vCPUs: "));
	assert_non_null(strstr(second, "\n msr "));
	assert_null(strchr(program.text, '\x1b'));
}

static void batch_mode_waits_where_no_vm_is(void **state)
{
	while (fake.now.nr_vms)
		vm_vanishes(fake.now.vms[0].name);
	start_on_pipe(ARGUMENTS("-b", "-n", "1", "-d", "0.1"));
	assert_int_equal(end_of_program(), 0);
	assert_non_null(strstr(program.text, "no virtual machine is running; waiting\n"));
}

static void batch_mode_ends_quietly_when_its_reader_goes(void **state)
{
	errors = tmpfile();
	start_on_pipe(ARGUMENTS("-b", "-d", "0.05"));
	wait_for("web");
	close(program.master);
	program.master = -1;
	assert_int_equal(end_of_program(), 1);
	assert_int_equal(lseek(fileno(errors), 0, SEEK_END), 0);
	fclose(errors);
	errors = NULL;
}

static void batch_mode_ends_at_ctrl_c(void **state)
{
	start_on_pipe(ARGUMENTS("-b", "-d", "60"));
	usleep(200000);
	kill(program.pid, SIGINT);
	assert_int_equal(end_of_program(), 0);
}

/* --- Called wrongly, or in vain --- */

static void wrong_arguments_are_refused(void **state)
{
	char *const wrong[][2] = {
		{ "-d", "0" }, { "-d", "x" }, { "-d", "1s" }, { "-d", "-1" }, { "-d", "nan" }, { "-d", "0x10" }, { "-d", "" },
		{ "-d", "99999" }, { "-n", "0" }, { "-n", "x" }, { "-p", "0" }, { "--vcpu", "a" }, { "--engine", "xen" },
		{ "-b", "word" }, { "--frobnicate", "1" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		start_on_pipe(ARGUMENTS(wrong[i][0], wrong[i][1]));
		assert_int_equal(end_of_program(), 2);
		assert_non_null(strstr(program.text, "exeunt top: "));
		teardown(state);
		setup(state);
	}
}

static void what_is_not_there_cannot_be_watched(void **state)
{
	static const char *const vain[][3] = {
		{ "--vm", "nobody", "exeunt top: no virtual machine is named 'nobody'\n" },
		{ "-p", "1", "exeunt top: process 1 is not a virtual machine\n" },
		{ "-p", "2147483647", "exeunt top: there is no process 2147483647\n" },
		{ "--vcpu", "77", "exeunt top: no virtual machine has a vCPU 77\n" },
	};

	for (size_t i = 0; i < sizeof(vain) / sizeof(vain[0]); i++) {
		start_on_pipe(ARGUMENTS("-b", (char *)vain[i][0], (char *)vain[i][1]));
		assert_int_equal(end_of_program(), 1);
		assert_string_equal(program.text, vain[i][2]);
		teardown(state);
		setup(state);
	}
}

static void options_choose_what_is_watched(void **state)
{
	start_on_pipe(ARGUMENTS("-b", "-n", "1", "-d", "0.1", "--vm", "db"));
	assert_int_equal(end_of_program(), 0);
	assert_non_null(strstr(program.text, "1 VM, 1 vCPU: "));
	assert_non_null(strstr(program.text, "\n db "));
	assert_null(strstr(program.text, "web"));
}

static void help_teaches(void **state)
{
	start_on_pipe(ARGUMENTS("--help"));
	assert_int_equal(end_of_program(), 0);
	assert_non_null(strstr(program.text, "Examples:"));
	assert_non_null(strstr(program.text, "Exit status:"));
	assert_non_null(strstr(program.text, "--delay=SECONDS"));
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(q_leaves_the_terminal_as_it_was),
		TEST(signals_leave_the_terminal_as_it_was),
		TEST(ctrl_c_at_the_keyboard_ends_it),
		TEST(a_terminal_that_goes_away_ends_it),
		TEST(a_source_that_fails_is_told_of_after_the_screen_is_left),
		TEST(who_exits_from_within_leaves_the_terminal_as_it_was),
		TEST(n_ends_it_by_itself),
		TEST(keys_work),
		TEST(it_follows_the_terminals_size),
		TEST(colours_are_for_who_wants_them),
		TEST(without_a_terminal_it_says_so),
		TEST(a_terminal_without_a_cursor_will_not_do),
		TEST(batch_mode_prints_vms_and_their_reasons),
		TEST(batch_mode_waits_where_no_vm_is),
		TEST(batch_mode_ends_quietly_when_its_reader_goes),
		TEST(batch_mode_ends_at_ctrl_c),
		TEST(wrong_arguments_are_refused),
		TEST(what_is_not_there_cannot_be_watched),
		TEST(options_choose_what_is_watched),
		TEST(help_teaches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
