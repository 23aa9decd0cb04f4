// SPDX-License-Identifier: GPL-2.0
/*
 * A byte bounced between two processes over a pair of pipes, each process pinned to its own CPU
 * where there are two: every bounce is a wake-up IPI and, with the peer idle, a HLT. The bytes
 * count up, so that corruption is seen as a wrong byte; a lost wake-up is a hang, which SIGALRM
 * ends.
 *
 * usage: pingpong ROUNDS
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_SECONDS 60

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("pingpong: sched_setaffinity");
}

static void send_byte(int fd, unsigned char byte)
{
	if (write(fd, &byte, 1) != 1)
		die("pingpong: write");
}

static void expect_byte(int fd, unsigned char want)
{
	unsigned char got;

	if (read(fd, &got, 1) != 1)
		die("pingpong: read");
	if (got != want) {
		fprintf(stderr, "pingpong: got byte %u, expected %u\n", got, want);
		exit(1);
	}
}

static void pong(int in, int out, long rounds)
{
	for (long i = 0; i < rounds; i++) {
		expect_byte(in, i & 0xff);
		send_byte(out, ~i & 0xff);
	}
}

static void ping(int in, int out, long rounds)
{
	for (long i = 0; i < rounds; i++) {
		send_byte(out, i & 0xff);
		expect_byte(in, ~i & 0xff);
	}
}

int main(int argc, char **argv)
{
	long rounds = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct timespec begin, end;
	int there[2], back[2];
	int status;
	pid_t peer;

	if (rounds <= 0) {
		fprintf(stderr, "usage: pingpong ROUNDS\n");
		return 2;
	}
	if (pipe(there) || pipe(back))
		die("pingpong: pipe");

	peer = fork();
	if (peer < 0)
		die("pingpong: fork");
	alarm(DEADLINE_SECONDS);
	if (!peer) {
		pin(cpus > 1 ? 1 : 0);
		pong(there[0], back[1], rounds);
		return 0;
	}

	pin(0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	ping(back[0], there[1], rounds);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (waitpid(peer, &status, 0) != peer || status)
		die("pingpong: the peer failed");
	printf("pingpong: %ld round trips on %ld CPU%s, %.1f us each\n", rounds, cpus > 1 ? 2L : 1L,
	       cpus > 1 ? "s" : "",
	       ((end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3) / rounds);
	return 0;
}
