// SPDX-License-Identifier: GPL-2.0
/*
 * Every ioctl with a pointer to nothing; numbers that are no ioctl; ioctls of
 * features that are not advertised.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum level { SYSTEM, VM, VCPU };

static const char *const level_names[] = { "device", "VM", "vCPU" };

#define ALWAYS	(-1)

struct row {
	const char *name;
	enum level level;
	unsigned long request;
	int cap;		/* capability that the ioctl comes with, or ALWAYS */
};

#define ROW(level, request, cap)	{ #request, level, request, cap }

static const struct row with_pointer[] = {
	ROW(SYSTEM, KVM_GET_MSR_INDEX_LIST, ALWAYS),
	ROW(SYSTEM, KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_CAP_GET_MSR_FEATURES),
	ROW(SYSTEM, KVM_GET_SUPPORTED_CPUID, ALWAYS),
	ROW(SYSTEM, KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_CAP_MCE),
	ROW(SYSTEM, KVM_GET_MSRS, KVM_CAP_GET_MSR_FEATURES),
	ROW(VM, KVM_SET_USER_MEMORY_REGION, ALWAYS),
	ROW(VM, KVM_GET_DIRTY_LOG, ALWAYS),
	ROW(VM, KVM_CLEAR_DIRTY_LOG, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
	ROW(VM, KVM_ENABLE_CAP, ALWAYS),
	ROW(VM, KVM_SET_GSI_ROUTING, ALWAYS),
	ROW(VM, KVM_IRQFD, ALWAYS),
	ROW(VM, KVM_IOEVENTFD, ALWAYS),
	ROW(VM, KVM_SIGNAL_MSI, ALWAYS),
	ROW(VM, KVM_IRQ_LINE, ALWAYS),
	ROW(VM, KVM_IRQ_LINE_STATUS, ALWAYS),
	ROW(VM, KVM_GET_CLOCK, KVM_CAP_ADJUST_CLOCK),
	ROW(VM, KVM_SET_CLOCK, KVM_CAP_ADJUST_CLOCK),
	ROW(VM, KVM_CREATE_DEVICE, KVM_CAP_DEVICE_CTRL),
	ROW(VM, KVM_REGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_MMIO),
	ROW(VM, KVM_UNREGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_MMIO),
	ROW(VM, KVM_X86_SET_MSR_FILTER, KVM_CAP_X86_MSR_FILTER),
	ROW(VCPU, KVM_GET_REGS, ALWAYS),
	ROW(VCPU, KVM_SET_REGS, ALWAYS),
	ROW(VCPU, KVM_GET_SREGS, ALWAYS),
	ROW(VCPU, KVM_SET_SREGS, ALWAYS),
	ROW(VCPU, KVM_GET_SREGS2, KVM_CAP_SREGS2),
	ROW(VCPU, KVM_SET_SREGS2, KVM_CAP_SREGS2),
	ROW(VCPU, KVM_GET_FPU, ALWAYS),
	ROW(VCPU, KVM_SET_FPU, ALWAYS),
	ROW(VCPU, KVM_GET_XSAVE, KVM_CAP_XSAVE),
	ROW(VCPU, KVM_SET_XSAVE, KVM_CAP_XSAVE),
	ROW(VCPU, KVM_GET_XSAVE2, KVM_CAP_XSAVE2),
	ROW(VCPU, KVM_GET_XCRS, KVM_CAP_XCRS),
	ROW(VCPU, KVM_SET_XCRS, KVM_CAP_XCRS),
	ROW(VCPU, KVM_GET_MSRS, ALWAYS),
	ROW(VCPU, KVM_SET_MSRS, ALWAYS),
	ROW(VCPU, KVM_GET_CPUID2, ALWAYS),
	ROW(VCPU, KVM_SET_CPUID2, ALWAYS),
	ROW(VCPU, KVM_GET_LAPIC, ALWAYS),
	ROW(VCPU, KVM_SET_LAPIC, ALWAYS),
	ROW(VCPU, KVM_INTERRUPT, ALWAYS),
	ROW(VCPU, KVM_GET_MP_STATE, ALWAYS),
	ROW(VCPU, KVM_SET_MP_STATE, ALWAYS),
	ROW(VCPU, KVM_GET_VCPU_EVENTS, KVM_CAP_VCPU_EVENTS),
	ROW(VCPU, KVM_SET_VCPU_EVENTS, KVM_CAP_VCPU_EVENTS),
	ROW(VCPU, KVM_GET_DEBUGREGS, KVM_CAP_DEBUGREGS),
	ROW(VCPU, KVM_SET_DEBUGREGS, KVM_CAP_DEBUGREGS),
	ROW(VCPU, KVM_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG),
	ROW(VCPU, KVM_TRANSLATE, ALWAYS),
	ROW(VCPU, KVM_SET_VAPIC_ADDR, KVM_CAP_VAPIC),
	ROW(VCPU, KVM_TPR_ACCESS_REPORTING, KVM_CAP_VAPIC),
	ROW(VCPU, KVM_X86_SETUP_MCE, KVM_CAP_MCE),
	ROW(VCPU, KVM_X86_SET_MCE, KVM_CAP_MCE),
	ROW(VCPU, KVM_ENABLE_CAP, KVM_CAP_ENABLE_CAP),
};

/*
 * Of features that a KVM may lack: unless advertised, the ioctl must fail, whatever
 * the argument. EFAULT would be an answer of code that should not be there.
 */
static const struct row optional[] = {
	ROW(VM, KVM_CREATE_PIT2, KVM_CAP_PIT2),
	ROW(VM, KVM_GET_PIT2, KVM_CAP_PIT_STATE2),
	ROW(VM, KVM_SET_PIT2, KVM_CAP_PIT_STATE2),
	ROW(VM, KVM_REINJECT_CONTROL, KVM_CAP_REINJECT_CONTROL),
	ROW(VM, KVM_XEN_HVM_CONFIG, KVM_CAP_XEN_HVM),
	ROW(VM, KVM_XEN_HVM_GET_ATTR, KVM_CAP_XEN_HVM),
	ROW(VM, KVM_HYPERV_EVENTFD, KVM_CAP_HYPERV_EVENTFD),
	ROW(VM, KVM_MEMORY_ENCRYPT_REG_REGION, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM),
	ROW(VM, KVM_RESET_DIRTY_RINGS, KVM_CAP_DIRTY_LOG_RING),
	ROW(VM, KVM_SET_PMU_EVENT_FILTER, KVM_CAP_PMU_EVENT_FILTER),
	ROW(VM, KVM_CREATE_DEVICE, KVM_CAP_DEVICE_CTRL),
	ROW(VM, KVM_REGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_MMIO),
	ROW(VM, KVM_X86_SET_MSR_FILTER, KVM_CAP_X86_MSR_FILTER),
	ROW(VM, KVM_CLEAR_DIRTY_LOG, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
	ROW(VCPU, KVM_SMI, KVM_CAP_X86_SMM),
	ROW(VCPU, KVM_GET_NESTED_STATE, KVM_CAP_NESTED_STATE),
	ROW(VCPU, KVM_SET_NESTED_STATE, KVM_CAP_NESTED_STATE),
	ROW(VCPU, KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_HYPERV_CPUID),
	ROW(VCPU, KVM_XEN_VCPU_GET_ATTR, KVM_CAP_XEN_HVM),
	ROW(VCPU, KVM_GET_XSAVE2, KVM_CAP_XSAVE2),
	ROW(VCPU, KVM_GET_SREGS2, KVM_CAP_SREGS2),
	ROW(VCPU, KVM_X86_SETUP_MCE, KVM_CAP_MCE),
	ROW(VCPU, KVM_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG),
	ROW(VCPU, KVM_GET_STATS_FD, KVM_CAP_BINARY_STATS_FD),
};

static int fd_of(const struct machine *m, enum level level)
{
	switch (level) {
	case SYSTEM: return m->kvm;
	case VM: return m->vm;
	default: return m->vcpu;
	}
}

static void test_bad_pointers(const char *what, void *pointer)
{
	struct machine m = machine_new(STAGE_VCPU);
	const struct row *row;

	for (row = with_pointer; row < with_pointer + ARRAY_SIZE(with_pointer); row++) {
		if (row->cap != ALWAYS && !has_cap(row->cap)) {
			skip("%s: not advertised", row->name);
			continue;
		}
		check_errno(ioctl(fd_of(&m, row->level), row->request, pointer), EFAULT,
			    "%s of the %s with %s: EFAULT", row->name,
			    level_names[row->level], what);
	}
	machine_free(&m);
}

static void test_unknown(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} rows[] = {
		{ "a number of KVM's that is free", _IO(KVMIO, 0xff) },
		{ "one with a size that is wrong", _IOR(KVMIO, 0x81, char[4000]) },
		{ "one of no type", 0 },
		{ "-1", ~0U },
		{ "one of terminals", 0x5401 },
	};
	struct machine m = machine_new(STAGE_VCPU);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		check_either(ioctl(m.kvm, rows[i].request, 0), ENOTTY, EINVAL,
			     "the device knows no ioctl: %s", rows[i].name);
		check_either(ioctl(m.vm, rows[i].request, 0), ENOTTY, EINVAL,
			     "the VM knows no ioctl: %s", rows[i].name);
		check_either(ioctl(m.vcpu, rows[i].request, 0), ENOTTY, EINVAL,
			     "the vCPU knows no ioctl: %s", rows[i].name);
	}
	check_either(ioctl(m.kvm, KVM_RUN, 0), ENOTTY, EINVAL, "the device has no vCPU's ioctl");
	check_either(ioctl(m.vcpu, KVM_CREATE_VM, 0), ENOTTY, EINVAL,
		     "a vCPU has no device's ioctl");
	check_either(ioctl(m.vcpu, KVM_CREATE_VCPU, 0), ENOTTY, EINVAL, "a vCPU has no VM's ioctl");
	machine_free(&m);
}

static void test_not_advertised(void)
{
	static uint8_t buffer[65536];
	struct machine m = machine_new(STAGE_VCPU);
	const struct row *row;
	int ret;

	for (row = optional; row < optional + ARRAY_SIZE(optional); row++) {
		if (has_cap(row->cap)) {
			skip("%s: advertised", row->name);
			continue;
		}
		ret = ioctl(fd_of(&m, row->level), row->request, buffer);
		check(ret < 0 && errno != EFAULT, "%s fails, as it is not advertised", row->name);
	}
	machine_free(&m);
}

void test_pointers(void)
{
	void *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	test_bad_pointers("NULL", NULL);
	test_bad_pointers("memory that may not be used", page);
	test_bad_pointers("a kernel address", (void *)0xffff888000000000UL);
	test_unknown();
	test_not_advertised();
	munmap(page, PAGE);
}
