// SPDX-License-Identifier: GPL-2.0
/*
 * A profiler at work: the processor clock interrupts a busy loop FREQUENCY times a second on each CPU, and the kernel takes a sample
 * each time (perf_event_open(2), software event CPU_CLOCK, which is an hrtimer). Prints how many samples there were.
 */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES		64	/* of the ring: far more than the samples take */
#define SECONDS		2

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned int count_samples(const struct perf_event_mmap_page *ring, size_t page)
{
	const char *data = (const char *)ring + page;
	unsigned int nr = 0;

	for (size_t at = 0; at < ring->data_head;) {
		struct perf_event_header h;

		memcpy(&h, data + at, sizeof(h));
		nr += h.type == PERF_RECORD_SAMPLE;
		at += h.size;
	}
	return nr;
}

/* Samples this CPU while it is busy; the number of samples, or -1. */
static int sample(int cpu, unsigned long frequency)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = frequency,
		.sample_type = PERF_SAMPLE_IP,
	};
	size_t page = sysconf(_SC_PAGESIZE);
	double end = now() + SECONDS;
	cpu_set_t one;
	void *ring;
	int fd;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return -1;
	fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
	if (fd < 0)
		return -1;
	ring = mmap(NULL, (PAGES + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return -1;
	while (now() < end)
		;
	return count_samples(ring, page);
}

int main(int argc, char **argv)
{
	unsigned long frequency = argc > 1 ? strtoul(argv[1], NULL, 10) : 500;
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), failed = 0;

	for (int cpu = 0; cpu < cpus; cpu++) {
		if (!fork()) {
			int nr = sample(cpu, frequency);

			printf("SAMPLES cpu %d: %d in %d s at %lu Hz\n", cpu, nr, SECONDS, frequency);
			fflush(stdout);
			/* An emulated machine may be late; a profiler that gets next to nothing does not work. */
			_exit(nr < (int)(frequency * SECONDS / 10));
		}
	}
	for (int cpu = 0; cpu < cpus; cpu++) {
		int status;

		failed |= wait(&status) < 0 || status;
	}
	return failed;
}
