// SPDX-License-Identifier: GPL-2.0
/*
 * failentry: guest state that VMRUN refuses (APM vol. 2, 15.5.1) ends KVM_RUN with
 * KVM_EXIT_FAIL_ENTRY, and the vCPU works once the VMM has repaired its state.
 */
#include "robust.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define CR0_PE			(1ULL << 0)
#define CR0_ET			(1ULL << 4)
#define CR0_PG			(1ULL << 31)
#define CR4_PAE			(1ULL << 5)
#define EFER_LME		(1ULL << 8)
#define EFER_LMA		(1ULL << 10)
#define VMEXIT_INVALID		(~0ULL)
#define ROUNDS			3

/* hlt */
static const uint8_t code[] = { 0xf4 };

/* 64-bit mode with a code segment that is 64-bit and 32-bit at once. */
static void break_state(struct vcpu *v, const struct kvm_sregs *good)
{
	struct kvm_sregs sregs = *good;

	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.cr3 = PAGE;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	sregs.cs.l = 1;
	sregs.cs.db = 1;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs))
		die("KVM_SET_SREGS of the bad state");
}

/*
 * Reported as EXIT_FAIL_ENTRY, again and again until it is repaired. Whether the state is refused
 * by VMRUN itself shows in the reason.
 */
static void test_round(struct vcpu *v, const struct kvm_sregs *good, int round)
{
	struct kvm_regs regs = { .rflags = 2 };

	break_state(v, good);
	for (int i = 0; i < 2; i++) {
		int ret = vcpu_run(v);

		check(!ret && v->run->exit_reason == KVM_EXIT_FAIL_ENTRY,
		      "round %d: KVM_RUN reports that VMRUN failed (returns %d, exit reason %u)",
		      round, ret, v->run->exit_reason);
		check(v->run->fail_entry.hardware_entry_failure_reason == VMEXIT_INVALID,
		      "round %d: the failure reason is the hardware's", round);
	}
	if (ioctl(v->fd, KVM_SET_SREGS, good) || ioctl(v->fd, KVM_SET_REGS, &regs))
		die("KVM_SET_SREGS of the good state");
	check(!vcpu_run(v) && v->run->exit_reason == KVM_EXIT_HLT,
	      "round %d: the vCPU works after its state was repaired", round);
}

int main(void)
{
	struct kvm_sregs good;
	struct machine m;
	struct vcpu v;
	uint8_t *memory;

	start(20);
	m = machine_new();
	memory = memory_new(4 * PAGE, false);
	memcpy(memory, code, sizeof(code));
	machine_slot(&m, 0, 0, memory, 4 * PAGE, 0);
	v = vcpu_new(&m, 0, 0);
	if (ioctl(v.fd, KVM_GET_SREGS, &good))
		die("KVM_GET_SREGS");
	for (int round = 1; round <= ROUNDS; round++)
		test_round(&v, &good, round);
	machine_free(&m);
	return verdict();
}
