// SPDX-License-Identifier: GPL-2.0
/*
 * hotplug: a CPU goes offline and comes back, many times, while vCPUs run on it. Each vCPU goes on
 * running, or its KVM_RUN ends with EIO and the next one works; the kernel logs no complaint.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VCPUS		4
#define ROUNDS		15
#define SECONDS		10	/* fewer rounds on a slow machine */
#define COUNTERS	0x800	/* in guest memory, one a vCPU */
#define SETTLE_US	20000
#define PROGRESS_TRIES	200
#define ONLINE		"/sys/devices/system/cpu/cpu1/online"

/* 0: incl (%ebx); jmp 0 */
static const uint8_t code[] = { 0xff, 0x03, 0xeb, 0xfc };

static struct vcpu vcpus[VCPUS];
static int errors[VCPUS];	/* of KVM_RUN, when it ends before it is told to */

static void *run(void *argument)
{
	struct vcpu *v = argument;

	do {
		if (vcpu_run(v) && errno != EINTR)
			errors[v - vcpus] = errno;
		else if (!v->run->immediate_exit)
			errors[v - vcpus] = -1;
	} while (errors[v - vcpus] == EIO && !v->run->immediate_exit);
	return NULL;
}

/* How often the CPU went away and came back. */
static unsigned int toggle_cpu(void)
{
	time_t end = time(NULL) + SECONDS;
	unsigned int n;

	for (n = 0; n < ROUNDS && time(NULL) < end; n++) {
		if (!write_file(ONLINE, "0"))
			die("CPU 1 offline");
		usleep(SETTLE_US);
		if (!write_file(ONLINE, "1"))
			die("CPU 1 online");
		usleep(SETTLE_US);
	}
	return n;
}

/* The guest's counter grows within a while. */
static bool runs(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	for (int i = 0; i < PROGRESS_TRIES; i++) {
		if (*counter != before)
			return true;
		usleep(SETTLE_US);
	}
	return false;
}

/* Complaints among the records that came to @log since it was opened. */
static unsigned int complaints(int log)
{
	static const char *const words[] = { "BUG:", "WARNING:", "Oops", "stall", "exeunt:", "kvm:" };
	unsigned int n = 0;
	char record[8192];
	ssize_t len;

	while ((len = read(log, record, sizeof(record) - 1)) > 0) {
		record[len] = 0;
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (strstr(record, words[i])) {
				printf("%s", record);
				n++;
			}
	}
	return n;
}

static int open_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		die("/dev/kmsg");
	return log;
}

int main(void)
{
	pthread_t threads[VCPUS];
	struct machine m;
	uint8_t *memory;
	unsigned int n;
	int log;

	start(40);
	if (online_cpus() < 2 || access(ONLINE, W_OK)) {
		skip("no CPU that can go offline");
		return 0;
	}
	log = open_log();
	stop_signal_init();
	m = machine_new();
	memory = machine_code(&m, code, sizeof(code));
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpus[i] = vcpu_new(&m, i, COUNTERS + 4 * i);
	for (unsigned int i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, run, &vcpus[i]);
	usleep(SETTLE_US);
	n = toggle_cpu();
	check(n > 1, "a CPU goes offline and comes back while vCPUs run (%u times)", n);
	for (unsigned int i = 0; i < VCPUS; i++)
		check(runs((volatile uint32_t *)(memory + COUNTERS + 4 * i)),
		      "vCPU %u runs after CPU hotplug", i);
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_stop(&vcpus[i], threads[i]);
	for (unsigned int i = 0; i < VCPUS; i++) {
		pthread_join(threads[i], NULL);
		check(!errors[i] || errors[i] == EIO,
		      "KVM_RUN of vCPU %u does not end, or with EIO, at CPU hotplug", i);
	}
	machine_free(&m);
	check(complaints(log) == 0, "the kernel's log is quiet over CPU hotplug");
	return verdict();
}
