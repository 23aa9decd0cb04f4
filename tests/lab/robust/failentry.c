// SPDX-License-Identifier: GPL-2.0
/*
 * failentry: guest state that VMRUN refuses (APM vol. 2, 15.5.1) ends KVM_RUN with
 * KVM_EXIT_FAIL_ENTRY, and the vCPU works once the VMM has repaired its state.
 */
#include "robust.h"

#include <string.h>
#include <sys/ioctl.h>

#define CR0_PE			(1ULL << 0)
#define CR0_PG			(1ULL << 31)
#define EFER_LME		(1ULL << 8)
#define MSR_EFER		0xc0000080
#define VMEXIT_INVALID		(~0U)	/* -1; upstream gives its low 32 bits */
#define ROUNDS			3

/* hlt */
static const uint8_t code[] = { 0xf4 };

/* Paging and EFER.LME without CR4.PAE. KVM_SET_SREGS refuses that, so EFER comes by KVM_SET_MSRS. */
static void break_state(struct vcpu *v, const struct kvm_sregs *good)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry efer;
	} msrs = { { .nmsrs = 1 }, { .index = MSR_EFER, .data = EFER_LME } };
	struct kvm_sregs sregs = *good;

	sregs.cr0 |= CR0_PE | CR0_PG;
	sregs.cr3 = PAGE;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs))
		die("KVM_SET_SREGS");
	if (ioctl(v->fd, KVM_SET_MSRS, &msrs) != 1)
		die("KVM_SET_MSRS of EFER");
}

/* Reported again and again, until the state is repaired. */
static void test_round(struct vcpu *v, const struct kvm_sregs *good, int round)
{
	struct kvm_regs regs = { .rflags = 2 };

	break_state(v, good);
	for (int i = 0; i < 2; i++) {
		int ret = vcpu_run(v);

		check(!ret && v->run->exit_reason == KVM_EXIT_FAIL_ENTRY,
		      "round %d: KVM_RUN reports that VMRUN failed (returns %d, exit reason %u)",
		      round, ret, v->run->exit_reason);
		check((uint32_t)v->run->fail_entry.hardware_entry_failure_reason == VMEXIT_INVALID,
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
