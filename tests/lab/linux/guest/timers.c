// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's clocks and timers: no sleep ends early or absurdly late, a periodic timer delivers
 * every tick, signals from a CPU-time timer arrive at a busy loop, and CLOCK_MONOTONIC never steps
 * back as the process hops between CPUs.
 *
 * usage: timers
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000LL
#define NS_PER_MS 1000000LL
/* An emulated host is slow and shared: late means lost, not merely delayed. */
#define LATE_NS (5 * NS_PER_SEC)
#define DEADLINE_SECONDS 60

static int failures;

static void fail(const char *what, long long got, long long want)
{
	fprintf(stderr, "timers: %s: %lld, expected %lld\n", what, got, want);
	failures++;
}

static long long now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts)) {
		perror("timers: clock_gettime");
		exit(1);
	}
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("timers: sched_setaffinity");
		exit(1);
	}
}

/* Short sleeps arm the timer close to now, long ones let the CPU idle. */
static void test_sleep(clockid_t clock)
{
	static const long long lengths[] = { 1, 1000, 50000, 300000, NS_PER_MS, 3 * NS_PER_MS,
					     20 * NS_PER_MS, 150 * NS_PER_MS };

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		long long due = now(clock) + lengths[i];
		struct timespec ts = { due / NS_PER_SEC, due % NS_PER_SEC };
		long long woke;
		int err;

		do
			err = clock_nanosleep(clock, TIMER_ABSTIME, &ts, NULL);
		while (err == EINTR);
		woke = now(clock);
		if (err)
			fail("clock_nanosleep", err, 0);
		if (woke < due)
			fail("woke before the time, ns", woke, due);
		if (woke > due + LATE_NS)
			fail("woke late, ns after the time", woke - due, 0);
	}
}

/* Expirations are counted by the kernel even when they are read late: none may be missing. */
static void test_periodic(void)
{
	const long long period = 4 * NS_PER_MS, want = 100;
	struct itimerspec spec = { { 0, period }, { 0, period } };
	long long begin = now(CLOCK_MONOTONIC), elapsed, ticks = 0;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL)) {
		perror("timers: timerfd");
		exit(1);
	}
	while (ticks < want) {
		uint64_t n;

		if (read(fd, &n, sizeof(n)) != sizeof(n)) {
			perror("timers: read of a timerfd");
			exit(1);
		}
		ticks += n;
		elapsed = now(CLOCK_MONOTONIC) - begin;
		if (ticks * period > elapsed)
			fail("ticks before their time", ticks, elapsed / period);
	}
	if (elapsed > ticks * period + LATE_NS)
		fail("ticks lost: ns elapsed", elapsed, ticks * period);
	close(fd);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* The loop never sleeps: the signal comes only from an interrupt that stops running code. */
static void test_busy(void)
{
	struct itimerval spec = { { 0, 10000 }, { 0, 10000 } }, off = { 0 };
	long long begin = now(CLOCK_MONOTONIC);

	alarms = 0;
	signal(SIGVTALRM, on_alarm);
	setitimer(ITIMER_VIRTUAL, &spec, NULL);
	while (alarms < 20 && now(CLOCK_MONOTONIC) - begin < 4 * LATE_NS)
		;
	setitimer(ITIMER_VIRTUAL, &off, NULL);
	if (alarms < 20)
		fail("signals in a busy loop", alarms, 20);
}

static void test_monotonic(long cpus)
{
	long long last = now(CLOCK_MONOTONIC);

	for (int i = 0; i < 400; i++) {
		pin(i % cpus);
		for (int j = 0; j < 50; j++) {
			long long t = now(CLOCK_MONOTONIC);

			if (t < last) {
				fail("CLOCK_MONOTONIC stepped back, ns", t, last);
				return;
			}
			last = t;
		}
	}
}

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	alarm(DEADLINE_SECONDS);
	for (long cpu = 0; cpu < cpus; cpu++) {
		pin(cpu);
		test_sleep(CLOCK_MONOTONIC);
		test_sleep(CLOCK_REALTIME);
		test_periodic();
		test_busy();
	}
	test_monotonic(cpus);
	printf("timers: %ld CPU%s\n", cpus, cpus > 1 ? "s" : "");
	return failures ? 1 : 0;
}
