// SPDX-License-Identifier: GPL-2.0
/*
 * EXEUNT_CAP_MECHANISMS: which values it takes, and that it holds for the VM it is said of. What the mechanisms do is not for here. On upstream
 * it must be unknown.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <exeunt/mechanisms.h>
#include <exeunt/stats.h>

#include "check.h"

#define UNKNOWN	(1ULL << 40)

static int decide(struct machine *m, uint64_t own, uint64_t on)
{
	struct kvm_enable_cap cap = { .cap = EXEUNT_CAP_MECHANISMS, .args = { own, on } };

	return ioctl(m->vm, KVM_ENABLE_CAP, &cap);
}

void test_mechanisms(void)
{
	struct kvm_enable_cap flags = { .cap = EXEUNT_CAP_MECHANISMS, .flags = 1 };
	struct machine m = machine_new(STAGE_VCPU);
	struct exeunt_info info;
	int all = ioctl(m.vm, KVM_CHECK_EXTENSION, EXEUNT_CAP_MECHANISMS);

	if (ioctl(m.kvm, EXEUNT_GET_INFO, &info)) {
		check(all == 0, "EXEUNT_CAP_MECHANISMS is not there");
		check_errno(decide(&m, EXEUNT_FAST_PATH, 0), EINVAL, "nor taken");
		machine_free(&m);
		return;
	}
	check(all == EXEUNT_MECHANISMS, "EXEUNT_CAP_MECHANISMS: all mechanisms are there");
	check_errno(decide(&m, EXEUNT_MECHANISMS, 0), 0, "all off, also when there are vCPUs");
	check_errno(decide(&m, EXEUNT_MECHANISMS, EXEUNT_MECHANISMS), 0, "all on");
	check_errno(decide(&m, EXEUNT_FAST_PATH, 0), 0, "one off, the others as the module says");
	check_errno(decide(&m, 0, 0), 0, "none decided");
	check_errno(decide(&m, UNKNOWN, 0), EINVAL, "an unknown one to decide about is refused");
	check_errno(decide(&m, 0, UNKNOWN), EINVAL, "and one to switch on");
	check_errno(decide(&m, ~0ULL, ~0ULL), EINVAL, "and all bits");
	check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &flags), EINVAL, "and flags");
	check_errno(ioctl(m.vcpu, KVM_ENABLE_CAP, &flags), ENOTTY, "a vCPU has no such capability");
	machine_free(&m);
}
