/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The monitor's own structures, shared by run.c (the machine and its vCPU
 * threads) and service.c (the devices and the calls a payload makes).
 */
#ifndef GUEST_RUN_H
#define GUEST_RUN_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor.h"

#define MAX_CPUID_ENTRIES	256
#define MMIO_LOG_ENTRIES	1024
#define STREAM_BYTES		4096
#define LINE_BYTES		512

struct vm;

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
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
	bool disturb;
	uint64_t status;		/* what the payload wrote to MON_PORT_EXIT */
	char fault[LINE_BYTES];		/* why the monitor ended the run, or "" */

	char line[LINE_BYTES];		/* the console line being received */
	unsigned int line_len;
	unsigned int passed, failed, skipped;

	uint32_t echo;
	uint8_t stream[STREAM_BYTES];
	unsigned int stream_len, stream_pos;
	uint8_t mmio[MON_MMIO_SIZE];
	struct mon_mmio mmio_log[MMIO_LOG_ENTRIES];
	unsigned int mmio_logged;
};

/* service.c: handle one exit; with the VM's lock held. */
void service_io(struct vcpu *vcpu);
void service_mmio(struct vcpu *vcpu);
/* service.c: deliver what MON_EXTINT asked for, or ask for an interrupt window. */
void service_extint(struct vcpu *vcpu);
/* service.c: write out a line the payload has not ended. */
void console_flush(struct vm *vm);

/* run.c: end the run; with the VM's lock held. The first reason given is kept. */
void vm_finish(struct vm *vm, const char *fault, ...) __attribute__((format(printf, 2, 3)));
/* run.c: put a vCPU's id into vm->cpuid; the leaves with one are all that differ. */
void cpuid_personalize(struct vcpu *vcpu);
/* run.c: make a vCPU leave KVM_RUN with EINTR, from any thread. */
void vcpu_kick(struct vcpu *vcpu);

#endif
