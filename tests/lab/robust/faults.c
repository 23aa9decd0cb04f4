// SPDX-License-Identifier: GPL-2.0
/*
 * faults: many vCPUs that touch a new 2 MiB region each, at the same time, all get their page tables.
 * KVM_RUN failed with ENOMEM when the others had taken the tables set aside.
 *
 * userfaultfd holds every vCPU in the look-up of its page; then all are let go at once.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VCPUS		32
#define BYTES		(VCPUS * LARGE_PAGE)
#define GUEST_MEMORY	0x40000000UL
#define PATIENCE_MS	15000

/* mov (%ebx), %eax; hlt */
static const uint8_t code[] = { 0x8b, 0x03, 0xf4 };

static struct vcpu vcpus[VCPUS];
static int results[VCPUS];	/* 0: HLT; or an errno, or -1: another exit */
static pthread_barrier_t barrier;

/*
 * No thread comes or goes while vCPUs run: its stack's mapping changes with it, after which the
 * hypervisor looks all pages up again, and takes tables again.
 */
static void *run(void *argument)
{
	struct vcpu *v = argument;

	pthread_barrier_wait(&barrier);
	results[v - vcpus] = vcpu_run(v) ? errno : v->run->exit_reason == KVM_EXIT_HLT ? 0 : -1;
	pthread_barrier_wait(&barrier);
	return NULL;
}

static int userfaultfd_new(uint8_t *memory)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)memory, BYTES }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		die("userfaultfd");
	return fd;
}

/* How many vCPUs wait for their page, once all do or patience is over. */
static unsigned int wait_for_faults(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct uffd_msg message;
	unsigned int n = 0;

	while (n < VCPUS && poll(&ready, 1, PATIENCE_MS) > 0)
		while (read(fd, &message, sizeof(message)) == sizeof(message))
			n += message.event == UFFD_EVENT_PAGEFAULT;
	return n;
}

static void let_all_go(int fd, uint8_t *memory)
{
	struct uffdio_range all = { (uintptr_t)memory, BYTES };

	for (size_t i = 0; i < VCPUS; i++) {
		struct uffdio_zeropage page = {
			.range = { (uintptr_t)memory + i * LARGE_PAGE, PAGE },
			.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE,
		};

		if (ioctl(fd, UFFDIO_ZEROPAGE, &page))
			die("UFFDIO_ZEROPAGE");
	}
	if (ioctl(fd, UFFDIO_WAKE, &all))
		die("UFFDIO_WAKE");
}

static unsigned int results_that_are(int result)
{
	unsigned int n = 0;

	for (size_t i = 0; i < VCPUS; i++)
		n += results[i] == result;
	return n;
}

int main(void)
{
	struct machine m;
	pthread_t threads[VCPUS];
	uint8_t *memory;
	int fd;

	start(40);
	m = machine_new();
	machine_code(&m, code, sizeof(code));
	memory = memory_new(BYTES, false);
	machine_slot(&m, 1, GUEST_MEMORY, memory, BYTES, 0);
	fd = userfaultfd_new(memory);
	for (size_t i = 0; i < VCPUS; i++)
		vcpus[i] = vcpu_new(&m, i, GUEST_MEMORY + i * LARGE_PAGE);
	pthread_barrier_init(&barrier, NULL, VCPUS + 1);
	for (size_t i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, run, &vcpus[i]);
	pthread_barrier_wait(&barrier);
	check(wait_for_faults(fd) == VCPUS, "%u vCPUs wait for their pages at the same time", VCPUS);
	let_all_go(fd, memory);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < VCPUS; i++)
		pthread_join(threads[i], NULL);
	check(results_that_are(ENOMEM) == 0, "KVM_RUN does not fail with ENOMEM while memory is free (%u of %u)",
	      results_that_are(ENOMEM), VCPUS);
	check(results_that_are(0) == VCPUS, "every vCPU reads its new page and halts (%u of %u)",
	      results_that_are(0), VCPUS);
	return verdict();
}
