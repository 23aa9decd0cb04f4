// SPDX-License-Identifier: GPL-2.0
/*
 * reboot-guest: restarts the machine, as `reboot -f` does, while vCPUs run: one that spins in the
 * guest, one that exits all the time. For the script reboot; it ends the machine that it runs in.
 */
#include "robust.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#define VCPUS		2
#define COUNTERS	0x800	/* in guest memory, one a vCPU */
#define EXITING_CODE	0x100
#define TRIES		500
#define OUTPUT_US	500000	/* for the line to leave the machine */

/* 0: incl (%ebx); jmp 0 */
static const uint8_t spin[] = { 0xff, 0x03, 0xeb, 0xfc };
/* 0: incl (%ebx); out %al, $0x80; jmp 0 */
static const uint8_t exits[] = { 0xff, 0x03, 0xe6, 0x80, 0xeb, 0xfa };

static struct vcpu vcpus[VCPUS];

static void *run(void *argument)
{
	struct vcpu *v = argument;

	while (!vcpu_run(v) && v->run->exit_reason == KVM_EXIT_IO)
		;
	return NULL;
}

static bool all_run(const volatile uint32_t *counters)
{
	for (int i = 0; i < TRIES; i++) {
		if (counters[0] && counters[1])
			return true;
		usleep(10000);
	}
	return false;
}

int main(void)
{
	struct machine m;
	pthread_t thread;
	uint8_t *memory;

	start(60);
	m = machine_new();
	memory = memory_new(PAGE, false);
	memcpy(memory, spin, sizeof(spin));
	memcpy(memory + EXITING_CODE, exits, sizeof(exits));
	machine_slot(&m, 0, 0, memory, PAGE, 0);
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct kvm_regs regs = { .rip = i * EXITING_CODE, .rbx = COUNTERS + 4 * i, .rflags = 2 };

		vcpus[i] = vcpu_new(&m, i, 0);
		vcpu_set_regs(&vcpus[i], &regs);
		pthread_create(&thread, NULL, run, &vcpus[i]);
	}
	if (!all_run((volatile uint32_t *)(memory + COUNTERS))) {
		printf("FAIL the vCPUs run\n");
		return 1;
	}
	printf("rebooting under running vCPUs\n");
	usleep(OUTPUT_US);
	reboot(RB_AUTOBOOT);
	die("reboot");
}
