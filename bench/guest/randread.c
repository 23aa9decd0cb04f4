// SPDX-License-Identifier: GPL-2.0
/*
 * Reads of 4 KiB from a block device at random places, one after another, past the page cache, on one CPU: each is a
 * request, its interrupt and a wake-up. The places are the same in every run.
 *
 * usage: randread DEVICE READS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

int main(int argc, char **argv)
{
	long reads = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	uint32_t state = 2463534242u;
	struct timespec begin, end;
	off_t blocks;
	void *buffer;
	cpu_set_t set;
	int fd;

	if (reads <= 0) {
		fprintf(stderr, "usage: randread DEVICE READS\n");
		return 2;
	}
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("randread: sched_setaffinity");
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0)
		die(argv[1]);
	blocks = lseek(fd, 0, SEEK_END) / BLOCK;
	if (blocks <= 0)
		die("randread: lseek");
	buffer = aligned_alloc(BLOCK, BLOCK);
	if (!buffer)
		die("randread: aligned_alloc");

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long i = 0; i < reads; i++) {
		if (pread(fd, buffer, BLOCK, next_random(&state) % blocks * BLOCK) != BLOCK)
			die("randread: pread");
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("randread: %ld reads, %.2f us each\n", reads,
	       ((end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3) / reads);
	return 0;
}
