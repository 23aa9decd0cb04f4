// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc says of processes, asked of real ones: this one, and children of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bpf_proc.h"

#define NO_PROCESS 4194304	/* beyond the largest number that there is */

/* A child that ends when the pipe does; its end of the pipe is the caller's to close. */
static pid_t child(int *end)
{
	int ends[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1));
	}
	close(ends[0]);
	*end = ends[1];
	return pid;
}

/* Dead, but not waited for. */
static void await_death(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
}

static void a_process_lives_until_it_is_dead(void **state)
{
	int end;
	pid_t pid = child(&end);
	uint64_t start = process_start(pid);

	assert_true(start);
	assert_true(start >= process_start(getpid()));
	assert_int_equal(process_start(pid), start);
	assert_false(thread_is_gone(pid, pid));
	close(end);
	await_death(pid);
	assert_int_equal(process_start(pid), 0);
	assert_true(thread_is_gone(pid, pid));
	waitpid(pid, NULL, 0);
	assert_int_equal(process_start(pid), 0);
}

static void what_never_was_is_gone(void **state)
{
	assert_int_equal(process_start(NO_PROCESS), 0);
	assert_true(thread_is_gone(NO_PROCESS, NO_PROCESS));
	assert_true(thread_is_gone(getpid(), getppid()));
	assert_int_equal(thread_vcpu(NO_PROCESS, NO_PROCESS), -1);
}

static void a_name_with_brackets_and_spaces_does_no_harm(void **state)
{
	prctl(PR_SET_NAME, "a) Z 1 (2 3");
	assert_true(process_start(getpid()));
	assert_false(thread_is_gone(getpid(), getpid()));
}

static int vcpu_of_name(const char *name)
{
	prctl(PR_SET_NAME, name);
	return thread_vcpu(getpid(), getpid());
}

static void a_vcpus_number_is_in_its_threads_name(void **state)
{
	assert_int_equal(vcpu_of_name("CPU 0/KVM"), 0);
	assert_int_equal(vcpu_of_name("CPU 127/KVM"), 127);
	assert_int_equal(vcpu_of_name("CPU 3/TCG"), -1);
	assert_int_equal(vcpu_of_name("CPU /KVM"), -1);
	assert_int_equal(vcpu_of_name("qemu"), -1);
}

static void *end_main_thread_first(void *main_thread)
{
	pthread_join(*(pthread_t *)main_thread, NULL);
	_exit(process_start(getpid()) ? 0 : 1);
}

static void a_process_outlives_its_first_thread(void **state)
{
	static pthread_t main_thread;
	pthread_t other;
	int status;
	pid_t pid = fork();

	if (!pid) {
		main_thread = pthread_self();
		pthread_create(&other, NULL, end_main_thread_first, &main_thread);
		pthread_exit(NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_process_without_kvm_has_no_vm(void **state)
{
	pid_t *pids;

	assert_int_equal(processes_with_vm(getpid(), &pids), 0);
	free(pids);
	assert_int_equal(processes_with_vm(NO_PROCESS, &pids), 0);
	free(pids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_lives_until_it_is_dead),
		cmocka_unit_test(what_never_was_is_gone),
		cmocka_unit_test(a_name_with_brackets_and_spaces_does_no_harm),
		cmocka_unit_test(a_vcpus_number_is_in_its_threads_name),
		cmocka_unit_test(a_process_outlives_its_first_thread),
		cmocka_unit_test(a_process_without_kvm_has_no_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
