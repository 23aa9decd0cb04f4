// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of every kind that user space can make: first touch, zero after MADV_DONTNEED, copy
 * on write after fork, a fault turned into a signal, pages shared between processes, huge pages;
 * and, where there are two CPUs, that a page remapped on one is not read through a stale
 * translation on the other.
 *
 * usage: pagefaults MEBIBYTES
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define DEADLINE_SECONDS 60
#define REMAPS 300

static int failures;

static void fail(const char *what, unsigned long page)
{
	fprintf(stderr, "pagefaults: %s at page %lu\n", what, page);
	failures++;
}

static void *map(size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("pagefaults: mmap");
		exit(1);
	}
	return p;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("pagefaults: sched_setaffinity");
		exit(1);
	}
}

/* The last word of each page holds a value made of its number and a salt. */
static uint64_t *mark(char *base, unsigned long page)
{
	return (uint64_t *)(base + page * PAGE + PAGE - sizeof(uint64_t));
}

static uint64_t value(unsigned long page, unsigned long salt)
{
	return (page + 1) * 0x9e3779b97f4a7c15UL ^ salt;
}

static void fill(char *base, unsigned long pages, unsigned long salt)
{
	for (unsigned long i = 0; i < pages; i++)
		*mark(base, i) = value(i, salt);
}

static void verify(char *base, unsigned long pages, unsigned long salt, const char *what)
{
	for (unsigned long i = 0; i < pages; i++) {
		if (*mark(base, i) != value(i, salt)) {
			fail(what, i);
			return;
		}
	}
}

static void test_anonymous(unsigned long pages, int advice, const char *what)
{
	char *p = map(pages * PAGE, MAP_PRIVATE);

	madvise(p, pages * PAGE, advice);
	fill(p, pages, 1);
	verify(p, pages, 1, what);
	madvise(p, pages * PAGE, MADV_DONTNEED);
	for (unsigned long i = 0; i < pages; i++) {
		if (*mark(p, i)) {
			fail("a page not zero after MADV_DONTNEED", i);
			break;
		}
	}
	munmap(p, pages * PAGE);
}

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status)
		fail("a child failed: its wait status", status);
}

static void test_fork(unsigned long pages)
{
	char *private = map(pages * PAGE, MAP_PRIVATE);
	char *shared = map(pages * PAGE, MAP_SHARED);
	pid_t child;

	fill(private, pages, 2);
	child = fork();
	if (!child) {
		failures = 0;
		fill(shared, pages, 3);
		verify(private, pages, 2, "the child's copy differs");
		fill(private, pages, 4);
		verify(private, pages, 4, "the child's writes were lost");
		_exit(failures ? 1 : 0);
	}
	wait_for(child);
	verify(private, pages, 2, "the child's write reached its parent");
	verify(shared, pages, 3, "the child's write to a shared page was lost");
	munmap(private, pages * PAGE);
	munmap(shared, pages * PAGE);
}

static sigjmp_buf fault;
static void *volatile fault_address;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(fault, 1);
}

/* The address of a fault comes to the guest in CR2: wrong means that an exit damaged it. */
static void test_signal(unsigned long pages)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	char *p = map(pages * PAGE, MAP_PRIVATE);

	sigaction(SIGSEGV, &sa, NULL);
	fill(p, pages, 5);
	mprotect(p, pages * PAGE, PROT_READ);
	for (volatile unsigned long i = 0; i < pages; i++) {
		fault_address = NULL;
		if (!sigsetjmp(fault, 1)) {
			*mark(p, i) = 0;
			fail("a write to a read-only page succeeded", i);
		} else if (fault_address != mark(p, i)) {
			fail("a fault at the wrong address", i);
		}
	}
	verify(p, pages, 5, "a read-only page changed");
	munmap(p, pages * PAGE);
	signal(SIGSEGV, SIG_DFL);
}

static char *volatile window;
static _Atomic unsigned long asked, answered;
static volatile uint64_t seen;

static void *reader(void *unused)
{
	(void)unused;
	pin(1);
	for (unsigned long turn = 1; turn <= REMAPS; turn++) {
		while (atomic_load(&asked) != turn)
			;
		seen = *(volatile uint64_t *)window;
		atomic_store(&answered, turn);
	}
	return NULL;
}

/* The reader spins in user space: its translation goes only if the remapping CPU's IPI arrives. */
static void test_shootdown(void)
{
	pthread_t thread;

	pin(0);
	window = map(PAGE, MAP_PRIVATE);
	if (pthread_create(&thread, NULL, reader, NULL)) {
		perror("pagefaults: pthread_create");
		exit(1);
	}
	for (unsigned long turn = 1; turn <= REMAPS; turn++) {
		uint64_t *fresh = map(PAGE, MAP_PRIVATE);

		*fresh = value(turn, 6);
		if (mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, window) ==
		    MAP_FAILED) {
			perror("pagefaults: mremap");
			exit(1);
		}
		atomic_store(&asked, turn);
		while (atomic_load(&answered) != turn)
			;
		if (seen != value(turn, 6))
			fail("a stale translation on the other CPU, turn", turn);
	}
	pthread_join(thread, NULL);
	munmap(window, PAGE);
}

int main(int argc, char **argv)
{
	unsigned long pages = argc == 2 ? strtoul(argv[1], NULL, 10) * (1 << 20) / PAGE : 0;

	if (!pages) {
		fprintf(stderr, "usage: pagefaults MEBIBYTES\n");
		return 2;
	}
	alarm(DEADLINE_SECONDS);
	test_anonymous(pages, MADV_NOHUGEPAGE, "a small page lost its content");
	test_anonymous(pages, MADV_HUGEPAGE, "a huge page lost its content");
	test_fork(pages / 4);
	test_signal(pages / 16);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		test_shootdown();
	printf("pagefaults: %lu pages\n", pages);
	return failures ? 1 : 0;
}
