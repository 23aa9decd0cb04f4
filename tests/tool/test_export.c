// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of `exeunt export` as a whole, on a source made up by the test: each run is a process of its own. What the metrics look like is
 * test_metrics' matter, and HTTP test_serve's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <argp.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cmd.h"
#include "fake_source.h"

#define CPUID	EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define OUT	"build/test_export.out"
#define ERR	"build/test_export.err"
#define PROM	"build/test_export.prom"

static char out[1 << 16], err[1 << 16];

static void read_file(const char *name, char *to)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, to, (1 << 16) - 1);

	to[n < 0 ? 0 : n] = '\0';
	close(fd);
}

static pid_t start(char **words)
{
	int argc = 0;
	pid_t child;

	unlink(PROM);
	child = fork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (words[argc])
		argc++;
	dup2(open(OUT, O_RDWR | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
	dup2(open(ERR, O_RDWR | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
	argp_err_exit_status = STATUS_USAGE;
	command_name = "export";
	alarm(20);
	exit(cmd_export(argc, words));
}

static int finish(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	read_file(OUT, out);
	read_file(ERR, err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define begin(...) start((char *[]){ "exeunt export", __VA_ARGS__ __VA_OPT__(,) NULL })
#define export(...) finish(begin(__VA_ARGS__))

static int set_up(void **state)
{
	fake_reset();
	fake_exits(fake_vcpu(fake_vm("exeunt", 1, getpid(), "web"), 0), CPUID, 10, 500);
	return 0;
}

static int tear_down(void **state)
{
	fake_reset();
	unlink(OUT);
	unlink(ERR);
	unlink(PROM);
	return 0;
}

/* Waits until a whole file is there. */
static void await_file(void)
{
	for (int i = 0; i < 1000 && access(PROM, F_OK); i++)
		usleep(10000);
	assert_int_equal(access(PROM, F_OK), 0);
}

static void every_signal_that_asks_for_the_end_ends_it(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t child = begin("-I", "10000", "-o", PROM);

		await_file();
		kill(child, signals[i]);
		assert_int_equal(finish(child), 0);
		assert_string_equal(err, "");
	}
}

static void what_is_not_there_is_told_at_once(void **state)
{
	static char *const ways[][4] = { { "-I", "10", "-o", PROM }, { "--listen", "0", "--listen", "0" }, { "-o", PROM, "-o", PROM } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char *const *w = ways[i];

		assert_int_equal(export(w[0], w[1], w[2], w[3], "--vm", "typo"), STATUS_FAILED);
		assert_string_equal(err, "exeunt export: no virtual machine is named 'typo'\n");
		assert_int_equal(export(w[0], w[1], w[2], w[3], "-p", "2147483647"), STATUS_FAILED);
		assert_string_equal(err, "exeunt export: there is no process 2147483647\n");
		assert_int_equal(export(w[0], w[1], w[2], w[3], "-p", "1"), STATUS_FAILED);
		assert_string_equal(err, "exeunt export: process 1 is not a virtual machine\n");
		assert_int_equal(export(w[0], w[1], w[2], w[3], "--vm", "web", "--vcpu", "9"), STATUS_FAILED);
		assert_string_equal(err, "exeunt export: no virtual machine that is meant has a vCPU 9\n");
		assert_string_equal(out, "");
	}
}

static void *sleep_for_ever(void *tid)
{
	__atomic_store_n((pid_t *)tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

static void a_thread_stands_for_its_process(void **state)
{
	pthread_t thread;
	pid_t tid = 0, child;
	char word[16];

	assert_int_equal(pthread_create(&thread, NULL, sleep_for_ever, &tid), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	snprintf(word, sizeof(word), "%d", tid);
	child = begin("-I", "10000", "-o", PROM, "-p", word);
	await_file();
	kill(child, SIGTERM);
	assert_int_equal(finish(child), 0);
	read_file(PROM, out);
	assert_non_null(strstr(out, "vm=\"web\""));
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

static void having_no_machine_yet_is_no_error(void **state)
{
	pid_t child;

	fake_reset();
	child = begin("-I", "10000", "-o", PROM);
	await_file();
	kill(child, SIGTERM);
	assert_int_equal(finish(child), 0);
	assert_string_equal(err, "");
}

static void wrong_usage_is_status_2(void **state)
{
	assert_int_equal(export("-o", ""), STATUS_USAGE);
	assert_non_null(strstr(err, "-o takes a file's name"));
	assert_int_equal(export("-I", "100"), STATUS_USAGE);
	assert_int_equal(export("--listen", "0", "-o", PROM), STATUS_USAGE);
	assert_int_equal(export("--format", "xml"), STATUS_USAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_signal_that_asks_for_the_end_ends_it),
		TEST(what_is_not_there_is_told_at_once),
		TEST(a_thread_stands_for_its_process),
		TEST(having_no_machine_yet_is_no_error),
		TEST(wrong_usage_is_status_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
