// SPDX-License-Identifier: GPL-2.0
/*
 * poison: a guest that touches a page whose memory is broken costs the VMM a SIGBUS that says where, from which QEMU makes a machine check for
 * the guest. KVM_RUN failed with EFAULT.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define GUEST_MEMORY	0x40000000UL

/* mov (%ebx), %eax; hlt */
static const uint8_t code[] = { 0x8b, 0x03, 0xf4 };

static struct vcpu vcpu;
static volatile siginfo_t seen;
static volatile sig_atomic_t signals;

static void on_sigbus(int number, siginfo_t *info, void *unused)
{
	(void)number;
	(void)unused;
	signals++;
	seen = *info;
	vcpu.run->immediate_exit = 1;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct machine m;
	uint8_t *memory;
	int result;

	start(20);
	m = machine_new();
	machine_code(&m, code, sizeof(code));
	memory = memory_new(PAGE, false);
	machine_slot(&m, 1, GUEST_MEMORY, memory, PAGE, 0);
	vcpu = vcpu_new(&m, 0, GUEST_MEMORY);
	*memory = 1;
	if (madvise(memory, PAGE, MADV_HWPOISON)) {
		skip("memory cannot be declared broken: %s", strerror(errno));
		return verdict();
	}
	if (sigaction(SIGBUS, &action, NULL))
		die("sigaction");
	result = vcpu_run(&vcpu);
	check(result == -1 && errno == EINTR, "KVM_RUN ends with EINTR (%d, %s)", result, strerror(errno));
	check(signals == 1, "and one SIGBUS (%d)", (int)signals);
	check(seen.si_code == BUS_MCEERR_AR && seen.si_addr == memory && seen.si_addr_lsb == 12,
	      "which says that the page at its address is broken (code %d)", seen.si_code);
	return verdict();
}
