// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of watching: what looks come when, what ends it, what the command gets and gives.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fake_source.h"
#include "watch.h"

#define CPUID	EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define MAX_LOOKS 64

static struct {
	unsigned int nr;
	enum moment moments[MAX_LOOKS];
	struct sample samples[MAX_LOOKS];
	unsigned int stop_at;		/* this look returns false; 0: none */
	void (*then)(void);		/* at each look */
} looks;

static bool look(const struct sample *s, enum moment m, void *arg)
{
	assert_ptr_equal(arg, &looks);
	assert_true(looks.nr < MAX_LOOKS);
	looks.moments[looks.nr] = m;
	sample_copy(&looks.samples[looks.nr++], s);
	if (looks.then)
		looks.then();
	return looks.nr != looks.stop_at;
}

static int reset(void **state)
{
	for (unsigned int i = 0; i < looks.nr; i++)
		sample_free(&looks.samples[i]);
	memset(&looks, 0, sizeof(looks));
	fake_reset();
	return 0;
}

static int run(struct watch w)
{
	int status = watch_run(&w, look, &looks);

	assert_int_equal(fake.open, 0);
	return status;
}

static char **sh(const char *script)
{
	static char *words[4];

	words[0] = "sh";
	words[1] = "-c";
	words[2] = (char *)script;
	return words;
}

static unsigned int live(const struct sample *s)
{
	unsigned int n = 0;

	for (size_t i = 0; i < s->nr_vms; i++)
		n += !s->vms[i].ended;
	return n;
}

static unsigned int reads_before;

static void hang_up_then_end(void)
{
	if (!reads_before)
		reads_before = fake.reads;
	if (fake.reads == reads_before + 1)
		kill(getpid(), SIGHUP);
	if (fake.reads == reads_before + 5)
		fake.now.vms[0].ended = true;
}

/* --- Commands --- */

static void looks_before_and_after_the_command(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("exit 0") }), 0);
	assert_int_equal(looks.nr, 2);
	assert_int_equal(looks.moments[0], WATCH_BEGIN);
	assert_int_equal(looks.moments[1], WATCH_END);
	assert_int_equal(fake.reads, 2);
}

static void status_is_the_commands(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("exit 42") }), 42);
	assert_int_equal(run((struct watch){ .command = sh("kill -9 $$") }), 128 + SIGKILL);
	assert_int_equal(looks.nr, 4);
}

static void command_that_is_not_there_is_127(void **state)
{
	assert_int_equal(run((struct watch){ .command = (char *[]){ "/nonexistent/command", NULL } }), 127);
	assert_int_equal(run((struct watch){ .command = (char *[]){ "/etc/passwd", NULL } }), 126);
	assert_int_equal(looks.nr, 2);
	assert_int_equal(looks.moments[1], WATCH_BEGIN);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* What a child of the test's own has, too. */
static void command_gets_signals_as_they_were(void **state)
{
	static const char check[] = "mask() { sed -n \"s/^$1:.*\\(........\\)$/0x\\1/p\" /proc/self/status; }; "
		"[ $(($(mask SigBlk) & 0x14007)) = 0 ] && [ $(($(mask SigIgn) & 0x1000)) = 0 ]";	/* CHLD, TERM, QUIT, INT, HUP; PIPE */

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run((struct watch){ .command = sh(check) }), 0);
	signal(SIGPIPE, SIG_DFL);
}

static void interrupt_is_left_to_the_command(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("kill -INT $PPID; sleep .3; exit 3") }), 3);
	assert_int_equal(looks.nr, 2);
}

static void term_is_passed_to_the_command(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("kill -TERM $PPID; exec sleep 20") }), 128 + SIGTERM);
	assert_int_equal(looks.moments[1], WATCH_END);
}

static void hangup_and_quit_are_passed_to_the_command(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("trap 'exit 7' HUP; kill -HUP $PPID; sleep .5; exit 8") }), 7);
	assert_int_equal(looks.moments[1], WATCH_END);
	assert_int_equal(run((struct watch){ .command = sh("trap 'exit 7' QUIT; kill -QUIT $PPID; sleep .5; exit 8") }), 7);
	assert_int_equal(looks.moments[3], WATCH_END);
}

/* As under nohup. */
static void hangup_that_is_ignored_stays_so(void **state)
{
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(run((struct watch){ .command = sh("kill -HUP $PPID; sleep .2; exit 3") }), 3);
	fake_vm("exeunt", 1, 100, "a");
	fake.step = hang_up_then_end;
	assert_int_equal(run((struct watch){ .target.vm = "a", .interval_ms = 20 }), 0);
	signal(SIGHUP, SIG_DFL);
	assert_int_equal(looks.moments[4], WATCH_INTERVAL);
}

/* --- Intervals --- */

static uint64_t elapsed_ms(uint64_t begin)
{
	return (now_ns() - begin) / 1000000;
}

static void looks_come_at_intervals(void **state)
{
	assert_int_equal(run((struct watch){ .interval_ms = 50, .command = sh("sleep .5") }), 0);
	assert_in_range(looks.nr, 4, 13);
	for (unsigned int i = 1; i < looks.nr - 1; i++) {
		assert_int_equal(looks.moments[i], WATCH_INTERVAL);
		assert_in_range((looks.samples[i].time_ns - looks.samples[0].time_ns) / 1000000, 50 * i, 60000);
	}
	assert_int_equal(looks.moments[looks.nr - 1], WATCH_END);
}

#define NAP_MS 400

static void nap_once(void)
{
	if (looks.nr == 2)
		nanosleep(&(struct timespec){ .tv_nsec = NAP_MS * 1000000 }, NULL);
}

/* A look takes longer than the interval: those that it delayed are left out, not made up for in a hurry. */
static void late_looks_are_left_out(void **state)
{
	uint64_t begin = now_ns();

	looks.then = nap_once;
	assert_int_equal(run((struct watch){ .interval_ms = 20, .command = sh("sleep .7") }), 0);
	assert_in_range(looks.nr, 4, 4 + (elapsed_ms(begin) - NAP_MS) / 20);
}

static void look_may_stop_it(void **state)
{
	looks.stop_at = 1;
	assert_int_equal(run((struct watch){ .command = sh("exit 0") }), STATUS_FAILED);
	assert_int_equal(looks.nr, 1);
	reset(NULL);
	looks.stop_at = 3;
	assert_int_equal(run((struct watch){ .interval_ms = 20, .command = sh("sleep .3") }), STATUS_FAILED);
	assert_int_equal(looks.nr, 3);
	wait(NULL);
	reset(NULL);
	looks.stop_at = 2;
	assert_int_equal(run((struct watch){ .command = sh("exit 0") }), STATUS_FAILED);
}

/* --- Until interrupted, or until the target is gone --- */

static int to_send;

static void send_signal(void)
{
	kill(getpid(), to_send);
}

static void signals_end_it(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGQUIT };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		to_send = signals[i];
		looks.then = send_signal;
		fake_vm("exeunt", 1, 100, "a");
		/* The signal sent at the end stays pending: it is not for us. */
		signal(to_send, SIG_IGN);
		assert_int_equal(run((struct watch){ 0 }), 0);
		signal(to_send, SIG_DFL);
		assert_int_equal(looks.nr, 2);
		assert_int_equal(looks.moments[1], WATCH_END);
		reset(NULL);
	}
}

static void hang_up_at_first_look(void)
{
	if (looks.nr == 1)
		kill(getpid(), SIGHUP);
}

static void hangup_ends_it(void **state)
{
	fake_vm("exeunt", 1, 100, "a");
	looks.then = hang_up_at_first_look;
	assert_int_equal(run((struct watch){ 0 }), 0);
	assert_int_equal(looks.nr, 2);
	assert_int_equal(looks.moments[1], WATCH_END);
}

static void end_at_third_read(void)
{
	if (fake.reads == 2)
		fake.now.vms[0].ended = true;
}

static void end_of_the_target_ends_it(void **state)
{
	fake_vm("exeunt", 1, 100, "a");
	fake_vm("exeunt", 2, 101, "b");
	fake.step = end_at_third_read;
	assert_int_equal(run((struct watch){ .target.vm = "a", .interval_ms = 20 }), 0);
	assert_int_equal(looks.moments[looks.nr - 1], WATCH_END);
	assert_int_equal(looks.samples[looks.nr - 1].nr_vms, 1);
	assert_int_equal(live(&looks.samples[looks.nr - 1]), 0);
}

/* Or the source might forget what ended meanwhile. */
static void long_intervals_do_not_keep_it_from_reading(void **state)
{
	uint64_t begin = now_ns();

	fake_vm("exeunt", 1, 100, "a");
	fake.step = end_at_third_read;
	assert_int_equal(run((struct watch){ .target.vm = "a", .interval_ms = 60000 }), 0);
	assert_in_range(elapsed_ms(begin), 1000, 20000);
	assert_int_equal(looks.nr, 2);
	assert_int_equal(looks.moments[1], WATCH_END);
}

static void end_after_second_look(void)
{
	fake.now.vms[0].ended = looks.nr == 2;
}

static void reads_between_looks_are_not_shown(void **state)
{
	fake_vm("exeunt", 1, 100, "a");
	fake.step = end_after_second_look;
	assert_int_equal(run((struct watch){ .target.vm = "a", .interval_ms = 1300 }), 0);
	assert_true(looks.nr >= 3);
	assert_int_equal(looks.moments[1], WATCH_INTERVAL);
	assert_in_range((looks.samples[1].time_ns - looks.samples[0].time_ns) / 1000000, 1300, 60000);
}

/* The module forgets VMs that ended when there are too many. */
static void forget_at_third_read(void)
{
	if (fake.reads == 2) {
		sample_free(&fake.now);
		fake_exits(fake_vcpu(fake_vm("exeunt", 7, 103, "c"), 0), CPUID, 1, 100);
	}
}

static void vms_that_the_source_forgets_stay(void **state)
{
	fake_exits(fake_vcpu(fake_vm("exeunt", 5, 100, "a"), 0), CPUID, 10, 100);
	fake_exits(fake_vcpu(fake_vm("exeunt", 6, 101, "b"), 0), CPUID, 11, 100);
	fake.step = forget_at_third_read;
	assert_int_equal(run((struct watch){ .interval_ms = 20, .command = sh("sleep .2") }), 0);
	for (unsigned int i = 2; i < looks.nr; i++) {
		const struct sample *s = &looks.samples[i];

		assert_int_equal(s->nr_vms, 3);
		assert_int_equal(s->vms[0].id, 5);
		assert_true(s->vms[0].ended);
		assert_int_equal(s->vms[0].vcpus[0].rows[0].count, 10);
		assert_int_equal(s->vms[1].id, 6);
		assert_int_equal(s->vms[2].id, 7);
		assert_false(s->vms[2].ended);
	}
}

static void vms_that_the_source_forgets_are_in_one_look_of_differences(void **state)
{
	fake_exits(fake_vcpu(fake_vm("exeunt", 5, 100, "a"), 0), CPUID, 10, 100);
	fake_exits(fake_vcpu(fake_vm("exeunt", 6, 101, "b"), 0), CPUID, 11, 100);
	fake.step = forget_at_third_read;
	assert_int_equal(watch_run_differences(&(struct watch){ .interval_ms = 20, .command = sh("sleep .2") }, look, &looks), 0);
	assert_true(looks.nr > 4);
	assert_int_equal(looks.samples[1].nr_vms, 2);
	assert_int_equal(looks.samples[2].nr_vms, 3);
	assert_int_equal(looks.samples[2].vms[0].vcpus[0].rows[0].count, 10);
	for (unsigned int i = 3; i < looks.nr; i++)
		assert_int_equal(looks.samples[i].nr_vms, 1);
}

/* In the list, and gone when its vCPUs were to be read: the second is, the first was read in time. */
static void lose_vcpus_at_second_read(void)
{
	struct vm *vm = &fake.now.vms[0];

	if (fake.reads != 1)
		return;
	fake_exits(&vm->vcpus[0], CPUID, 5, 100);
	while (vm->nr_vcpus > 1)
		free(vm->vcpus[--vm->nr_vcpus].rows);
}

static void vcpus_that_go_between_list_and_read_stay(void **state)
{
	struct vm *vm = fake_vm("exeunt", 5, 100, "a");

	for (unsigned int id = 0; id < 3; id++)
		fake_exits(fake_vcpu(vm, id), CPUID, 10 + id, 100);
	fake.step = lose_vcpus_at_second_read;
	assert_int_equal(run((struct watch){ .command = sh("") }), 0);
	assert_int_equal(looks.nr, 2);
	vm = &looks.samples[1].vms[0];
	assert_int_equal(vm->nr_vcpus, 3);
	assert_int_equal(vm->vcpus[0].rows[0].count, 15);
	for (unsigned int id = 1; id < 3; id++) {
		assert_int_equal(vm->vcpus[id].id, id);
		assert_int_equal(vm->vcpus[id].rows[0].count, 10 + id);
	}
}

/* --- Targets --- */

static void only_the_target_is_looked_at(void **state)
{
	fake_vcpu(fake_vm("exeunt", 1, 100, "a"), 0);
	fake_vcpu(fake_vm("exeunt", 2, 101, "b"), 0);
	fake_vcpu(&fake.now.vms[1], 1);
	assert_int_equal(run((struct watch){ .target = { .vm = "b", .one_vcpu = true, .vcpu = 1 }, .command = sh("") }), 0);
	assert_int_equal(looks.samples[0].nr_vms, 1);
	assert_int_equal(looks.samples[0].vms[0].id, 2);
	assert_int_equal(looks.samples[0].vms[0].nr_vcpus, 1);
	assert_int_equal(looks.samples[0].vms[0].vcpus[0].id, 1);
}

static void no_vm_is_no_error(void **state)
{
	assert_int_equal(run((struct watch){ .command = sh("") }), 0);
}

static void target_that_is_not_there_is_an_error(void **state)
{
	struct vm *vm = fake_vm("exeunt", 1, getpid(), "gone");

	fake_vcpu(vm, 0);
	assert_int_equal(run((struct watch){ .target.pid = INT32_MAX }), STATUS_FAILED);	/* no such process */
	assert_int_equal(run((struct watch){ .target.pid = 1 }), STATUS_FAILED);		/* no VM */
	assert_int_equal(run((struct watch){ .target.vm = "web" }), STATUS_FAILED);
	assert_int_equal(run((struct watch){ .target = { .one_vcpu = true, .vcpu = 1 } }), STATUS_FAILED);
	vm->ended = true;
	assert_int_equal(run((struct watch){ .target.vm = "gone" }), STATUS_FAILED);
	assert_int_equal(looks.nr, 0);
}

static void *watch_own_thread(void *result)
{
	pid_t tid = syscall(SYS_gettid);

	assert_int_not_equal(tid, getpid());
	*(int *)result = run((struct watch){ .target.pid = tid, .command = sh("") });
	return NULL;
}

static void thread_stands_for_its_process(void **state)
{
	int result = -1;
	pthread_t thread;

	fake_vm("exeunt", 1, getpid(), "own");
	pthread_create(&thread, NULL, watch_own_thread, &result);
	pthread_join(thread, NULL);
	assert_int_equal(result, 0);
	assert_int_equal(fake.target.pid, getpid());
	assert_int_equal(looks.samples[0].nr_vms, 1);
}

/* --- Failing sources --- */

static void source_that_fails_fails_it(void **state)
{
	fake.cannot_open = true;
	assert_int_equal(run((struct watch){ .command = sh("") }), STATUS_FAILED);
	fake.cannot_open = false;
	fake.cannot_read = true;
	assert_int_equal(run((struct watch){ .command = sh("") }), STATUS_FAILED);
	assert_int_equal(looks.nr, 0);
}

static void break_source(void)
{
	fake.cannot_read = true;
}

static void source_that_fails_at_the_end_fails_it(void **state)
{
	fake.step = break_source;
	assert_int_equal(run((struct watch){ .command = sh("exit 5") }), STATUS_FAILED);
	assert_int_equal(looks.nr, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, reset, reset)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(looks_before_and_after_the_command), T(status_is_the_commands), T(command_that_is_not_there_is_127),
		T(command_gets_signals_as_they_were), T(interrupt_is_left_to_the_command), T(term_is_passed_to_the_command),
		T(hangup_and_quit_are_passed_to_the_command), T(hangup_that_is_ignored_stays_so), T(hangup_ends_it),
		T(long_intervals_do_not_keep_it_from_reading), T(reads_between_looks_are_not_shown),
		T(vms_that_the_source_forgets_are_in_one_look_of_differences), T(vcpus_that_go_between_list_and_read_stay),
		T(looks_come_at_intervals), T(late_looks_are_left_out), T(look_may_stop_it), T(signals_end_it),
		T(end_of_the_target_ends_it), T(vms_that_the_source_forgets_stay), T(only_the_target_is_looked_at),
		T(no_vm_is_no_error), T(target_that_is_not_there_is_an_error), T(thread_stands_for_its_process),
		T(source_that_fails_fails_it), T(source_that_fails_at_the_end_fails_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
