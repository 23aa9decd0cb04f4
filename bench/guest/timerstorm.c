// SPDX-License-Identifier: GPL-2.0
/*
 * Threads, spread over all CPUs, that sleep 50 to 500 us again and again: with several on each CPU the next timer is always
 * near, and every sleep arms one.
 *
 * usage: timerstorm THREADS SLEEPS
 *
 * SLEEPS are each thread's. Prints, in microseconds, the time that it took for each sleep of all, and how late a thread
 * woke up, the median.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000LL
#define NS_PER_US 1000
#define SHORTEST_US 50
#define LONGEST_US 500
#define MAX_THREADS 256

static pthread_barrier_t start;
static long sleeps;
static long long *late;

static void check(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "timerstorm: %s: %s\n", what, strerror(err));
		exit(1);
	}
}

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* The same lengths in every run: xorshift, seeded by the thread's number. */
static long long next_length(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return (SHORTEST_US + *state % (LONGEST_US - SHORTEST_US + 1)) * NS_PER_US;
}

static void *sleeper(void *arg)
{
	long number = (long)arg, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t state = 2463534242u + number * 7919;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number % cpus, &set);
	check(sched_setaffinity(0, sizeof(set), &set) ? errno : 0, "sched_setaffinity");
	/* Without this the kernel may let timers fire together that are within 50 us. */
	check(prctl(PR_SET_TIMERSLACK, 1) ? errno : 0, "prctl");

	pthread_barrier_wait(&start);
	for (long i = 0; i < sleeps; i++) {
		long long due = now() + next_length(&state);
		struct timespec ts = { due / NS_PER_SEC, due % NS_PER_SEC };

		check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), "clock_nanosleep");
		late[number * sleeps + i] = now() - due;
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	long threads = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
	pthread_t ids[MAX_THREADS];
	long long begin, end;
	long total;

	sleeps = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	if (threads <= 0 || threads > MAX_THREADS || sleeps <= 0 || sleeps > 1000000) {
		fprintf(stderr, "usage: timerstorm THREADS SLEEPS\n");
		return 2;
	}
	total = threads * sleeps;
	late = calloc(total, sizeof(*late));
	if (!late)
		check(ENOMEM, "calloc");
	check(pthread_barrier_init(&start, NULL, threads + 1), "pthread_barrier_init");
	for (long i = 0; i < threads; i++)
		check(pthread_create(&ids[i], NULL, sleeper, (void *)i), "pthread_create");
	pthread_barrier_wait(&start);
	begin = now();
	for (long i = 0; i < threads; i++)
		check(pthread_join(ids[i], NULL), "pthread_join");
	end = now();

	qsort(late, total, sizeof(*late), compare);
	if (late[0] < 0) {
		fprintf(stderr, "timerstorm: woke %lld ns before the time\n", -late[0]);
		return 1;
	}
	printf("timerstorm: %ld sleeps, %.2f us each, %.2f us late\n", total, (end - begin) / 1e3 / total, late[total / 2] / 1e3);
	return 0;
}
