/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness of the robustness tests: verdicts, a time limit, and small virtual machines.
 */
#ifndef ROBUST_H
#define ROBUST_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		4096UL
#define MIB		(1UL << 20)
#define LARGE_PAGE	(2 * MIB)

/* One PASS or FAIL line; the name says what must hold. Any thread. Returns ok. */
bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The test cannot be run: says so, with errno, as a FAIL line and ends the program. */
void die(const char *what) __attribute__((noreturn));
/* The exit status: 0, or 1 if a check failed. */
int verdict(void);
/* To be called first: after @seconds the program ends with a FAIL line. */
void start(unsigned int seconds);

struct machine {
	int kvm, vm;
	size_t run_bytes;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

/* A VM on /dev/kvm without memory and irqchip; ends the program if there is none. */
struct machine machine_new(void);
void machine_free(struct machine *m);
/* Memory of @bytes at @gpa; 0 bytes take the slot away. */
void machine_slot(struct machine *m, unsigned int slot, uint64_t gpa, void *memory,
		  uint64_t bytes, uint32_t flags);
/* Anonymous memory, without large pages unless @large. */
void *memory_new(size_t bytes, bool large);
/* Slot 0: a page at 0, where vcpu_new() begins, with @code. The page. */
void *machine_code(struct machine *m, const void *code, size_t bytes);

/* A vCPU that stands at 0 in 32-bit protected mode, flat, without paging, with @ebx. */
struct vcpu vcpu_new(struct machine *m, unsigned int id, uint32_t ebx);
void vcpu_protected_mode(struct vcpu *v, uint32_t ebx);
void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs);
/* KVM_RUN until it ends otherwise than by EINTR or EAGAIN. 0, or -1 with errno. */
int vcpu_run(struct vcpu *v);

/*
 * SIGUSR1 ends KVM_RUN with EINTR, for good if kvm_run's immediate_exit is set: call
 * stop_signal_init() before threads are made, vcpu_stop() on each that is to stop.
 */
void stop_signal_init(void);
void vcpu_stop(struct vcpu *v, unsigned long thread);

/* Writes a short string to a file of the kernel's. Whether that worked, with errno. */
bool write_file(const char *path, const char *text);
unsigned int online_cpus(void);
/* This thread runs on @cpu from now on, if there is such a CPU. */
void pin(unsigned int cpu);

#endif
