/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A minimal KVM monitor that runs one payload: machine.c is the machine and its
 * vCPU threads, service.c the devices and the calls that a payload makes. guest/run
 * and the command `exeunt bench` are made of it.
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor.h"

#define MAX_CPUID_ENTRIES	256
#define MMIO_LOG_ENTRIES	1024
#define STREAM_BYTES		4096
#define LINE_BYTES		512
#define VCPU_ANYWHERE		(-1)

struct vm;

/* What the payload has measured: MON_SAMPLES. */
struct samples {
	uint64_t *values;		/* NULL: nothing */
	size_t nr;
	uint64_t empty;			/* to be taken off each */
	enum mon_outcome outcome;
	char words[LINE_BYTES];		/* a reason, a remark, or "" */
};

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	int cpu;			/* of the host's, to run on; VCPU_ANYWHERE */
	struct mon_counts counts;
	uint64_t catch_rip;		/* MON_CATCH, 0 if not armed */
	bool kicked;
	unsigned int kicks;		/* MON_KICK calls; a later one replaces an earlier one */
	uint32_t extint;		/* MON_EXTINT, MON_VECTOR_NONE if none waits */
};

/* Everything but the vcpu array is used with the lock held once the vCPUs run. */
struct vm {
	pthread_mutex_t lock;
	pthread_cond_t finished;
	pthread_cond_t rest;		/* a vCPU rests, or may go on */
	int kvm, fd;
	unsigned int vcpus;
	struct vcpu vcpu[MON_MAX_VCPUS];
	size_t run_bytes;
	uint8_t *ram, *aux;
	size_t ram_bytes;
	char args[LINE_BYTES];
	struct kvm_cpuid2 *cpuid;	/* as of the vCPU it was personalized for last */
	uint32_t tsc_khz;

	bool done;
	bool disturb;			/* ask for all of the vCPU's state between exits */
	bool batch;			/* a vCPU that is woken does not preempt another one */
	uint64_t status;		/* what the payload wrote to MON_PORT_EXIT */
	char fault[LINE_BYTES];		/* why the monitor ended the run, or "" */

	FILE *console;			/* NULL: nothing is printed */
	char line[LINE_BYTES];		/* the console line being received, or received last */
	unsigned int line_len;
	unsigned int passed, failed, skipped;

	uint32_t echo;
	uint8_t stream[STREAM_BYTES];
	unsigned int stream_len, stream_pos;
	uint8_t mmio[MON_MMIO_SIZE];
	struct mon_mmio mmio_log[MMIO_LOG_ENTRIES];
	unsigned int mmio_logged;

	int eventfd;			/* of MON_EVENTFD, or -1 */
	unsigned int resting;		/* vCPUs in MON_REST */
	unsigned int wakes;		/* MON_WAKE calls */
	struct samples samples;
};

struct vm_options {
	const char *device;
	unsigned int vcpus;		/* 1 to MON_MAX_VCPUS */
	unsigned int mem_mb;		/* 16 to 1024 */
	const void *payload;		/* an ELF file, as it is on disk */
	size_t payload_bytes;
	const char *args;		/* the payload's command line */
};

/* False: vm->fault says why. vm_destroy() is due in either case. */
bool vm_create(struct vm *vm, const struct vm_options *o);
/*
 * Run until the payload ends or `timeout` seconds have passed; false in the latter case. Then
 * vm->fault says why the monitor ended the run, if it did, and vm->status what the payload said.
 */
bool vm_run(struct vm *vm, unsigned int timeout);
void vm_destroy(struct vm *vm);
/* What MON_INFO tells the payload. */
void vm_info(const struct vm *vm, struct mon_info *info);

/* --- Between machine.c and service.c --- */

/* service.c: handle one exit; with the VM's lock held. */
void service_io(struct vcpu *vcpu);
void service_mmio(struct vcpu *vcpu);
/* service.c: deliver what MON_EXTINT asked for, or ask for an interrupt window. */
void service_extint(struct vcpu *vcpu);
/* service.c: free what calls have left. */
void service_end(struct vm *vm);
/* service.c: write out a line the payload has not ended. */
void console_flush(struct vm *vm);

/* machine.c: end the run; with the VM's lock held. The first reason given is kept. */
void vm_finish(struct vm *vm, const char *fault, ...) __attribute__((format(printf, 2, 3)));
/* machine.c: put a vCPU's id into vm->cpuid; the leaves with one are all that differ. */
void cpuid_personalize(struct vcpu *vcpu);
/* machine.c: make a vCPU leave KVM_RUN with EINTR, from any thread. */
void vcpu_kick(struct vcpu *vcpu);

#endif
