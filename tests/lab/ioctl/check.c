// SPDX-License-Identifier: GPL-2.0
/*
 * The harness: counts verdicts, makes and unmakes machines.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

const char *device = "/dev/kvm";
static unsigned int passed, failed, skipped;

static void verdict(const char *word, const char *format, va_list ap, const char *tail)
{
	printf("%s ", word);
	vprintf(format, ap);
	printf("%s\n", tail);
}

bool check(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verdict(ok ? "PASS" : "FAIL", format, ap, "");
	va_end(ap);
	ok ? passed++ : failed++;
	return ok;
}

void skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verdict("SKIP", format, ap, "");
	va_end(ap);
	skipped++;
}

static bool check_answer(int ret, int want, int other, const char *format, va_list ap)
{
	int got = ret < 0 ? errno : 0;
	bool ok = got == want || got == other;
	char tail[128] = "";

	if (!ok)
		snprintf(tail, sizeof(tail), " (%s, expected %s)",
			 got ? strerrorname_np(got) : "success",
			 want ? strerrorname_np(want) : "success");
	verdict(ok ? "PASS" : "FAIL", format, ap, tail);
	ok ? passed++ : failed++;
	return ok;
}

bool check_errno(int ret, int want, const char *format, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, format);
	ok = check_answer(ret, want, want, format, ap);
	va_end(ap);
	return ok;
}

bool check_either(int ret, int want, int other, const char *format, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, format);
	ok = check_answer(ret, want, other, format, ap);
	va_end(ap);
	return ok;
}

int summary(void)
{
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}

static void die(const char *what)
{
	fprintf(stderr, "ioctl-test: %s: %s\n", what, strerror(errno));
	exit(2);
}

int open_device(void)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(device);
	return fd;
}

bool has_cap(int cap)
{
	int fd = open_device();
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	close(fd);
	return ret > 0;
}

static void add_vcpu(struct machine *m)
{
	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	if (m->vcpu < 0)
		die("KVM_CREATE_VCPU");
	m->run_bytes = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->run = mmap(NULL, m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		die("mmap of a vCPU");
}

static struct machine new_vm(void)
{
	struct machine m = { .kvm = open_device(), .vcpu = -1 };
	struct kvm_userspace_memory_region region = { .memory_size = RAM_BYTES };

	m.vm = ioctl(m.kvm, KVM_CREATE_VM, 0);
	if (m.vm < 0)
		die("KVM_CREATE_VM");
	m.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m.ram == MAP_FAILED)
		die("mmap of memory");
	region.userspace_addr = (uintptr_t)m.ram;
	if (ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION");
	return m;
}

struct machine machine_new(enum stage stage)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct machine m = new_vm();

	if (stage >= STAGE_SPLIT && ioctl(m.vm, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_SPLIT_IRQCHIP");
	if (stage >= STAGE_VCPU)
		add_vcpu(&m);
	return m;
}

struct machine machine_without_irqchip(void)
{
	struct machine m = new_vm();

	add_vcpu(&m);
	return m;
}

void machine_free(struct machine *m)
{
	if (m->run)
		munmap(m->run, m->run_bytes);
	if (m->vcpu >= 0)
		close(m->vcpu);
	if (m->vm >= 0)
		close(m->vm);
	munmap(m->ram, RAM_BYTES);
	close(m->kvm);
}

void machine_code(struct machine *m, const void *code, size_t len)
{
	struct kvm_regs regs = { .rflags = 2, .rsp = 0x8000 };
	struct kvm_sregs sregs;

	memcpy(m->ram, code, len);
	if (ioctl(m->vcpu, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) || ioctl(m->vcpu, KVM_SET_REGS, &regs))
		die("KVM_SET_SREGS");
}

int machine_run(struct machine *m)
{
	int ret;

	do {
		ret = ioctl(m->vcpu, KVM_RUN, 0);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret;
}
