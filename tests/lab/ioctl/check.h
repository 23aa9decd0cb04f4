/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness of the ioctl tests: verdicts and the machines they are about.
 */
#ifndef IOCTL_CHECK_H
#define IOCTL_CHECK_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		4096UL
#define RAM_BYTES	(16 * PAGE)

/* How far a machine is set up; each stage includes those before it. */
enum stage { STAGE_VM, STAGE_SPLIT, STAGE_VCPU };

struct machine {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_bytes;
	uint8_t *ram;		/* RAM_BYTES at guest address 0, slot 0 */
};

/* One PASS or FAIL line; the name says what must hold. Returns ok. */
bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* ret is an ioctl's result with errno beside it: it must fail with `want`, or work if 0. */
bool check_errno(int ret, int want, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same where two answers are as good. */
bool check_either(int ret, int want, int other, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int summary(void);

extern const char *device;

/* An open /dev/kvm (or what was given); ends the program if there is none. */
int open_device(void);
bool has_cap(int cap);
/* A new machine, or the end of the program. */
struct machine machine_new(enum stage stage);
void machine_free(struct machine *m);
/* A vCPU without a split irqchip in the VM. */
struct machine machine_without_irqchip(void);
/* Put real-mode code at 0 and point the vCPU at it. */
void machine_code(struct machine *m, const void *code, size_t len);
/* KVM_RUN until something other than EINTR or EAGAIN. */
int machine_run(struct machine *m);

/* stats_fd.c: the value, or all values added up, that KVM_GET_STATS_FD gives for @name; ~0 if there is none. */
uint64_t vcpu_statistic(int vcpu, const char *name);

void test_system(void);		/* system.c: the device, VMs, capabilities, routing, eventfds */
void test_memory(void);		/* memory.c: memory slots, dirty log */
void test_vcpu(void);		/* vcpu.c: vCPU state, CPUID, MSRs */
void test_pointers(void);	/* pointers.c: bad pointers, unknown numbers, absent features */
void test_replies(void);	/* replies.c: every byte of a reply is defined */
void test_lifetime(void);	/* lifetime.c: processes, closing order, threads */
void test_halt(void);		/* halt.c: halted vCPUs: polling, KVM_CAP_HALT_POLL, MSR_KVM_POLL_CONTROL, wake-ups */
void test_mechanisms(void);	/* mechanisms.c: EXEUNT_CAP_MECHANISMS */
void test_stats(void);		/* stats.c: statistics: test_stats_fd(), and Exeunt's own ioctls */
void test_stats_fd(void);	/* stats_fd.c: KVM's format */

#endif
