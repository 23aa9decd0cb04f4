// SPDX-License-Identifier: GPL-2.0
/*
 * The harness: counts failures, ends a program that hangs, makes virtual machines.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CR0_PE		1
#define FLAGS_FIXED	2

static int failures;

static void say(const char *word, const char *format, va_list ap)
{
	char name[200];

	vsnprintf(name, sizeof(name), format, ap);
	printf("%s %s\n", word, name);
}

bool check(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(ok ? "PASS" : "FAIL", format, ap);
	va_end(ap);
	if (!ok)
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	return ok;
}

void skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("SKIP", format, ap);
	va_end(ap);
}

void die(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	exit(1);
}

int verdict(void)
{
	return __atomic_load_n(&failures, __ATOMIC_RELAXED) ? 1 : 0;
}

static void time_is_over(int signal)
{
	static const char line[] = "FAIL the test ends in time\n";

	(void)signal;
	if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
		_exit(2);
	_exit(1);
}

void start(unsigned int seconds)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, time_is_over);
	alarm(seconds);
}

struct machine machine_new(void)
{
	struct machine m = { .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC) };
	int bytes;

	if (m.kvm < 0)
		die("/dev/kvm");
	m.vm = ioctl(m.kvm, KVM_CREATE_VM, 0);
	if (m.vm < 0)
		die("KVM_CREATE_VM");
	bytes = ioctl(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		die("KVM_GET_VCPU_MMAP_SIZE");
	m.run_bytes = bytes;
	return m;
}

void machine_free(struct machine *m)
{
	close(m->vm);
	close(m->kvm);
}

void machine_slot(struct machine *m, unsigned int slot, uint64_t gpa, void *memory,
		  uint64_t bytes, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = bytes, .userspace_addr = (uintptr_t)memory,
	};

	if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION");
}

void *memory_new(size_t bytes, bool large)
{
	uint8_t *memory = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	memory += -(uintptr_t)memory & (LARGE_PAGE - 1);
	if (madvise(memory, bytes, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise");
	return memory;
}

void *machine_code(struct machine *m, const void *code, size_t bytes)
{
	void *page = memory_new(PAGE, false);

	memcpy(page, code, bytes);
	machine_slot(m, 0, 0, page, PAGE, 0);
	return page;
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
	if (ioctl(v->fd, KVM_SET_REGS, regs))
		die("KVM_SET_REGS");
}

void vcpu_protected_mode(struct vcpu *v, uint32_t ebx)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_regs regs = { .rbx = ebx, .rflags = FLAGS_FIXED };
	struct kvm_sregs sregs;

	data.selector = 16;
	data.type = 3;
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= CR0_PE;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs))
		die("KVM_SET_SREGS");
	vcpu_set_regs(v, &regs);
}

struct vcpu vcpu_new(struct machine *m, unsigned int id, uint32_t ebx)
{
	struct vcpu v = { .fd = ioctl(m->vm, KVM_CREATE_VCPU, id) };

	if (v.fd < 0)
		die("KVM_CREATE_VCPU");
	v.run = mmap(NULL, m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v.fd, 0);
	if (v.run == MAP_FAILED)
		die("mmap of a vCPU");
	vcpu_protected_mode(&v, ebx);
	return v;
}

int vcpu_run(struct vcpu *v)
{
	int ret;

	do {
		ret = ioctl(v->fd, KVM_RUN, 0);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN) && !v->run->immediate_exit);
	return ret;
}

static void no_action(int signal)
{
	(void)signal;
}

void stop_signal_init(void)
{
	struct sigaction action = { .sa_handler = no_action };

	if (sigaction(SIGUSR1, &action, NULL))
		die("sigaction");
}

void vcpu_stop(struct vcpu *v, unsigned long thread)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(thread, SIGUSR1);
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	error = errno;
	close(fd);
	errno = error;
	return ok;
}

unsigned int online_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n;
}

void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}
