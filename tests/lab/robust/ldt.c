// SPDX-License-Identifier: GPL-2.0
/*
 * ldt: another thread of the VMM changes the process's LDT while a vCPU runs. When KVM_RUN comes
 * back, the vCPU's thread has the new LDT: the CPU's hidden copy of the old one, which the world
 * switch saved before, names freed memory. Upstream 6.1 comes back with the old LDT: skipped there.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <asm/ldt.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS		8
#define FLAG		0x800		/* in guest memory: the guest halts once it is not 0 */
#define FIRST_LIMIT	0x1111
#define SELECTOR	((0 << 3) | 4 | 3)	/* entry 0 of the LDT, RPL 3 */
#define SETTLE_US	30000

/* 0: cmpl $0, FLAG; je 0; hlt */
static const uint8_t code[] = { 0x83, 0x3d, 0x00, 0x08, 0x00, 0x00, 0x00, 0x74, 0xf7, 0xf4 };

static struct vcpu vcpu;
static int run_result;
static uint32_t limit_after;

static void set_ldt(uint32_t limit)
{
	struct user_desc descriptor = { .limit = limit, .seg_32bit = 1, .useable = 1 };

	if (syscall(SYS_modify_ldt, 1, &descriptor, sizeof(descriptor)))
		die("modify_ldt");
}

/* The segment's limit as this CPU's LDT has it; ~0 if there is no such segment. */
static uint32_t ldt_limit(void)
{
	uint32_t limit = ~0U, selector = SELECTOR;

	asm volatile("lsl %1, %0" : "+r"(limit) : "r"(selector) : "cc");
	return limit;
}

static void *run(void *unused)
{
	pin(1);
	run_result = vcpu_run(&vcpu);
	limit_after = ldt_limit();
	return unused;
}

/* Whether the vCPU's thread had the LDT that was set while the guest ran. */
static bool one_round(volatile uint32_t *flag, uint32_t limit)
{
	pthread_t thread;

	*flag = 0;
	vcpu_protected_mode(&vcpu, 0);
	if (pthread_create(&thread, NULL, run, NULL))
		die("pthread_create");
	usleep(SETTLE_US);
	set_ldt(limit);
	usleep(SETTLE_US);
	*flag = 1;
	pthread_join(thread, NULL);
	if (run_result || vcpu.run->exit_reason != KVM_EXIT_HLT)
		die("KVM_RUN");
	return limit_after == limit;
}

int main(void)
{
	unsigned int good = 0;
	struct machine m;
	uint8_t *memory;

	start(20);
	if (access("/dev/exeunt", F_OK)) {
		skip("KVM_RUN comes back with the LDT that another thread set: upstream 6.1 does not");
		return 0;
	}
	pin(0);
	set_ldt(FIRST_LIMIT);
	if (!check(ldt_limit() == FIRST_LIMIT, "the test sees its LDT"))
		return verdict();
	m = machine_new();
	memory = machine_code(&m, code, sizeof(code));
	vcpu = vcpu_new(&m, 0, 0);
	for (uint32_t i = 1; i <= ROUNDS; i++)
		good += one_round((volatile uint32_t *)(memory + FLAG), FIRST_LIMIT + i);
	check(good == ROUNDS, "KVM_RUN comes back with the LDT that another thread set (%u of %u times)",
	      good, ROUNDS);
	return verdict();
}
