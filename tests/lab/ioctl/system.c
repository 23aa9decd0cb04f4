// SPDX-License-Identifier: GPL-2.0
/*
 * The device and the VM: creation, capabilities, vCPU creation, interrupt
 * routing, irqfd, ioeventfd, MSI.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

#define SPLIT_PINS		24
#define MAX_ROUTES		4096
#define ABSENT_CAP		100000

static void test_device(void)
{
	struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 entries[1024]; } *cpuid;
	struct kvm_msr_list list = { 0 };
	int fd = open_device();

	check(ioctl(fd, KVM_GET_API_VERSION, 0) == 12, "KVM_GET_API_VERSION is 12");
	check_errno(ioctl(fd, KVM_GET_API_VERSION, 1), EINVAL,
		    "KVM_GET_API_VERSION refuses an argument");
	check_errno(ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL,
		    "KVM_GET_VCPU_MMAP_SIZE refuses an argument");
	check(ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0) >= (int)sizeof(struct kvm_run),
	      "KVM_GET_VCPU_MMAP_SIZE holds struct kvm_run");
	check_errno(ioctl(fd, KVM_CREATE_VM, 1), EINVAL, "KVM_CREATE_VM refuses type 1");
	check_errno(ioctl(fd, KVM_CREATE_VM, ~0UL), EINVAL, "KVM_CREATE_VM refuses type -1");
	check(ioctl(fd, KVM_CHECK_EXTENSION, ABSENT_CAP) == 0, "an unknown capability is 0");
	check(ioctl(fd, KVM_CHECK_EXTENSION, -1) == 0, "capability -1 is 0");
	check(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0, "KVM_CAP_USER_MEMORY");
	check(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) > 0, "KVM_CAP_SPLIT_IRQCHIP");

	check_errno(ioctl(fd, KVM_GET_MSR_INDEX_LIST, &list), E2BIG,
		    "KVM_GET_MSR_INDEX_LIST with room for none: E2BIG");
	check(list.nmsrs > 0, "and it says how many there are");
	cpuid = calloc(1, sizeof(*cpuid));
	check_errno(ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid), E2BIG,
		    "KVM_GET_SUPPORTED_CPUID with room for none: E2BIG");
	cpuid->head.nent = 1;
	check_errno(ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid), E2BIG,
		    "KVM_GET_SUPPORTED_CPUID with room for one: E2BIG");
	cpuid->head.nent = 1024;
	check_errno(ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid), 0,
		    "KVM_GET_SUPPORTED_CPUID with more room than needed");
	check(cpuid->head.nent > 1 && cpuid->head.nent < 1024, "and it says how many there are");
	free(cpuid);
	close(fd);
}

static void test_enable_cap(void)
{
	static const struct {
		const char *name;
		struct kvm_enable_cap cap;
		int want;
	} rows[] = {
		{ "an unknown capability", { .cap = ABSENT_CAP }, EINVAL },
		{ "flags", { .cap = KVM_CAP_SPLIT_IRQCHIP, .flags = 1, .args = { 24 } }, EINVAL },
		{ "more pins than an IOAPIC can have",
		  { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 4097 } }, EINVAL },
		{ "-1 pins", { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { ~0ULL } }, EINVAL },
		{ "a capability that cannot be enabled", { .cap = KVM_CAP_USER_MEMORY }, EINVAL },
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { SPLIT_PINS } };
	struct machine m = machine_new(STAGE_VM);
	struct kvm_enable_cap cap;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		cap = rows[i].cap;
		check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &cap), rows[i].want,
			    "KVM_ENABLE_CAP refuses %s", rows[i].name);
	}
	check_errno(ioctl(m.vm, KVM_SET_IDENTITY_MAP_ADDR, NULL), EFAULT,
		    "KVM_SET_IDENTITY_MAP_ADDR with NULL: EFAULT");
	check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &split), 0, "split irqchip");
	check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &split), EEXIST, "split irqchip twice: EEXIST");
	machine_free(&m);

	m = machine_without_irqchip();
	check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &split), EEXIST,
		    "split irqchip after a vCPU: EEXIST");
	machine_free(&m);
	m = machine_new(STAGE_VCPU);
	cap = (struct kvm_enable_cap){ .cap = ABSENT_CAP };
	check_either(ioctl(m.vcpu, KVM_ENABLE_CAP, &cap), EINVAL, ENOTTY,
		     "KVM_ENABLE_CAP of a vCPU refuses an unknown capability");
	machine_free(&m);
}

static void test_create_vcpu(void)
{
	struct machine m = machine_new(STAGE_SPLIT);
	int max_id = ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);
	int max = ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int fd;

	if (!max_id)
		max_id = max;
	check(max > 0 && max_id >= max, "KVM_CAP_MAX_VCPUS and KVM_CAP_MAX_VCPU_ID");
	check_errno(ioctl(m.vm, KVM_CREATE_VCPU, (unsigned long)max_id), EINVAL,
		    "KVM_CREATE_VCPU refuses the first id too large");
	check_errno(ioctl(m.vm, KVM_CREATE_VCPU, ~0UL), EINVAL, "KVM_CREATE_VCPU refuses id -1");
	check_errno(ioctl(m.vm, KVM_CREATE_VCPU, 1UL << 31), EINVAL,
		    "KVM_CREATE_VCPU refuses id 2^31");
	fd = ioctl(m.vm, KVM_CREATE_VCPU, 3UL);
	check_errno(fd, 0, "KVM_CREATE_VCPU takes ids in any order");
	check_errno(ioctl(m.vm, KVM_CREATE_VCPU, 3UL), EEXIST,
		    "KVM_CREATE_VCPU of an id twice: EEXIST");
	close(fd);
	check_errno(ioctl(m.vm, KVM_CREATE_VCPU, 3UL), EEXIST,
		    "closing a vCPU does not free its id while the VM lives");
	check_errno(ioctl(m.vm, KVM_SET_TSS_ADDR, ~0UL), EINVAL, "KVM_SET_TSS_ADDR refuses -1");
	machine_free(&m);
}

static int set_routing(int vm, uint32_t nr, uint32_t flags, const struct kvm_irq_routing_entry *e)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + (nr <= MAX_ROUTES ? nr : 1) *
					       sizeof(table->entries[0]));
	uint32_t i;
	int ret, err;

	table->nr = nr;
	table->flags = flags;
	for (i = 0; e && i < nr && nr <= MAX_ROUTES; i++) {
		table->entries[i] = *e;
		table->entries[i].gsi = e->gsi + i;
	}
	ret = ioctl(vm, KVM_SET_GSI_ROUTING, table);
	err = errno;
	free(table);
	errno = err;
	return ret;
}

static void test_routing(void)
{
	static const struct kvm_irq_routing_entry msi = {
		.type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = 0x40 },
	};
	static const struct {
		const char *name;
		struct kvm_irq_routing_entry entry;
	} rows[] = {
		{ "an unknown type", { .type = 99 } },
		{ "unknown flags of an entry", { .type = KVM_IRQ_ROUTING_MSI, .flags = 0x80 } },
		{ "a GSI too large", { .type = KVM_IRQ_ROUTING_MSI, .gsi = MAX_ROUTES } },
		{ "GSI -1", { .type = KVM_IRQ_ROUTING_MSI, .gsi = ~0U } },
	};
	struct machine m = machine_new(STAGE_VM);
	unsigned int i;

	check_errno(set_routing(m.vm, 1, 0, &msi), EINVAL,
		    "KVM_SET_GSI_ROUTING without an irqchip: EINVAL");
	machine_free(&m);
	m = machine_new(STAGE_SPLIT);
	check_errno(set_routing(m.vm, 1, 1, &msi), EINVAL, "KVM_SET_GSI_ROUTING refuses flags");
	check_errno(set_routing(m.vm, MAX_ROUTES + 1, 0, &msi), EINVAL,
		    "KVM_SET_GSI_ROUTING refuses one entry too many");
	check_errno(set_routing(m.vm, ~0U, 0, &msi), EINVAL,
		    "KVM_SET_GSI_ROUTING refuses -1 entries");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		check_errno(set_routing(m.vm, 1, 0, &rows[i].entry), EINVAL,
			    "KVM_SET_GSI_ROUTING refuses %s", rows[i].name);
	check_errno(set_routing(m.vm, 0, 0, NULL), 0, "KVM_SET_GSI_ROUTING with no entries");
	check_errno(set_routing(m.vm, MAX_ROUTES, 0, &msi), 0,
		    "KVM_SET_GSI_ROUTING, as many as may be");
	machine_free(&m);
}

static void test_irqfd(void)
{
	const int event = eventfd(0, EFD_CLOEXEC);
	int pipes[2];
	const struct {
		const char *name;
		struct kvm_irqfd irqfd;
		int want;
	} rows[] = {
		{ "unknown flags", { .fd = event, .gsi = 4, .flags = 0x80 }, EINVAL },
		{ "a closed fd", { .fd = 999, .gsi = 4 }, EBADF },
		{ "fd -1", { .fd = -1, .gsi = 4 }, EBADF },
		{ "an fd that is no eventfd", { .fd = 0, .gsi = 4 }, EINVAL },
		{ "to take back a closed fd",
		  { .fd = 999, .gsi = 4, .flags = KVM_IRQFD_FLAG_DEASSIGN }, EBADF },
		{ "resampling without an IOAPIC of its own",
		  { .fd = event, .gsi = 4, .resamplefd = event, .flags = KVM_IRQFD_FLAG_RESAMPLE },
		  EINVAL },
	};
	struct kvm_irqfd irqfd = { .fd = event, .gsi = 4 };
	struct machine m = machine_new(STAGE_VM);
	unsigned int i;

	if (pipe(pipes))
		return;
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), EINVAL, "KVM_IRQFD without an irqchip: EINVAL");
	machine_free(&m);
	m = machine_new(STAGE_SPLIT);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		irqfd = rows[i].irqfd;
		if (irqfd.fd == 0)
			irqfd.fd = pipes[0];
		check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), rows[i].want, "KVM_IRQFD refuses %s",
			    rows[i].name);
	}
	irqfd = (struct kvm_irqfd){ .fd = event, .gsi = ~0U };
	check_either(ioctl(m.vm, KVM_IRQFD, &irqfd), 0, EINVAL,
		     "KVM_IRQFD of a GSI that cannot be");
	check(eventfd_write(event, 1) == 0, "and a signal to it does no harm");
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	ioctl(m.vm, KVM_IRQFD, &irqfd);
	irqfd = (struct kvm_irqfd){ .fd = event, .gsi = 4 };
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), 0, "KVM_IRQFD");
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), EBUSY, "KVM_IRQFD of an eventfd twice: EBUSY");
	irqfd.gsi = 5;
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), EBUSY, "for another GSI too: EBUSY");
	check(eventfd_write(event, 1) == 0, "an irqfd can be signalled with no route and no vCPU");
	irqfd = (struct kvm_irqfd){ .fd = event, .gsi = 4, .flags = KVM_IRQFD_FLAG_DEASSIGN };
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), 0, "KVM_IRQFD takes it back");
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), 0,
		    "taking back what is not assigned is no error");
	irqfd.flags = 0;
	check_errno(ioctl(m.vm, KVM_IRQFD, &irqfd), 0, "KVM_IRQFD again");
	machine_free(&m);
	check(eventfd_write(event, 1) == 0, "the eventfd outlives the VM it was assigned to");
	close(pipes[0]);
	close(pipes[1]);
	close(event);
}

static void test_ioeventfd(void)
{
	const int event = eventfd(0, EFD_CLOEXEC);
	const struct {
		const char *name;
		struct kvm_ioeventfd e;
		int want;
	} rows[] = {
		{ "unknown flags",
		  { .addr = 0x1000, .len = 4, .fd = event, .flags = 0x80 }, EINVAL },
		{ "length 3", { .addr = 0x1000, .len = 3, .fd = event }, EINVAL },
		{ "length 16", { .addr = 0x1000, .len = 16, .fd = event }, EINVAL },
		{ "a closed fd", { .addr = 0x1000, .len = 4, .fd = 999 }, EBADF },
		{ "fd -1", { .addr = 0x1000, .len = 4, .fd = -1 }, EBADF },
		{ "an address that wraps", { .addr = ~0ULL - 1, .len = 4, .fd = event }, EINVAL },
		{ "a match of no bytes",
		  { .addr = 0x1000, .fd = event, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH }, EINVAL },
		{ "to take back what is absent",
		  { .addr = 0x1000, .len = 4, .fd = event, .flags = KVM_IOEVENTFD_FLAG_DEASSIGN },
		  ENOENT },
	};
	struct kvm_ioeventfd e;
	struct machine m = machine_new(STAGE_SPLIT);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		e = rows[i].e;
		check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), rows[i].want,
			    "KVM_IOEVENTFD refuses %s",
			    rows[i].name);
	}
	e = (struct kvm_ioeventfd){ .addr = 0x10000000, .len = 4, .fd = event, .datamatch = 7,
				    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), 0, "KVM_IOEVENTFD with a value to match");
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), EEXIST, "the same again: EEXIST");
	e.datamatch = 8;
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), 0, "another value beside it");
	e.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), 0, "KVM_IOEVENTFD takes it back");
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), ENOENT, "only once");
	machine_free(&m);
	close(event);
}

static void test_msi(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x40 };
	struct kvm_irq_level level = { .irq = 4, .level = 1 };
	struct machine m = machine_new(STAGE_VM);

	check_errno(ioctl(m.vm, KVM_SIGNAL_MSI, &msi), EINVAL,
		    "KVM_SIGNAL_MSI without an irqchip: EINVAL");
	check_errno(ioctl(m.vm, KVM_IRQ_LINE, &level), ENXIO,
		    "KVM_IRQ_LINE without an irqchip: ENXIO");
	machine_free(&m);
	m = machine_new(STAGE_SPLIT);
	check(ioctl(m.vm, KVM_SIGNAL_MSI, &msi) <= 0,
	      "KVM_SIGNAL_MSI with no vCPU is delivered to nobody");
	msi.flags = 0x80;
	check_errno(ioctl(m.vm, KVM_SIGNAL_MSI, &msi), EINVAL, "KVM_SIGNAL_MSI refuses flags");
	level.irq = ~0U;
	ioctl(m.vm, KVM_IRQ_LINE, &level);
	check(true, "KVM_IRQ_LINE of GSI -1 does no harm");
	machine_free(&m);
}

static void test_other_vm_ioctls(void)
{
	struct kvm_clock_data clock = { .flags = 0x80000000 };
	struct kvm_create_device dev = { .type = 999 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x1000, .size = 0x1000, .pio = 2 };
	uint64_t identity = 0xfffbc000;
	struct machine m = machine_new(STAGE_VCPU);

	check_errno(ioctl(m.vm, KVM_SET_CLOCK, &clock), EINVAL, "KVM_SET_CLOCK refuses flags");
	check_either(ioctl(m.vm, KVM_CREATE_DEVICE, &dev), ENODEV, ENOTTY,
		     "KVM_CREATE_DEVICE of an unknown type");
	check_errno(ioctl(m.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity), EINVAL,
		    "KVM_SET_IDENTITY_MAP_ADDR after a vCPU: EINVAL");
	if (has_cap(KVM_CAP_COALESCED_MMIO))
		check_errno(ioctl(m.vm, KVM_REGISTER_COALESCED_MMIO, &zone), EINVAL,
			    "KVM_REGISTER_COALESCED_MMIO refuses pio 2");
	else
		skip("KVM_CAP_COALESCED_MMIO");
	if (has_cap(KVM_CAP_SET_BOOT_CPU_ID))
		check_errno(ioctl(m.vm, KVM_SET_BOOT_CPU_ID, 0), EBUSY,
			    "KVM_SET_BOOT_CPU_ID after a vCPU: EBUSY");
	else
		skip("KVM_CAP_SET_BOOT_CPU_ID");
	machine_free(&m);
}

static void test_msr_filter(void)
{
	struct machine m = machine_new(STAGE_SPLIT);
	static uint8_t bitmap[0x600];
	const struct {
		const char *name;
		struct kvm_msr_filter filter;
		int want;
	} rows[] = {
		{ "unknown flags", { .flags = 0x80 }, EINVAL },
		{ "unknown flags of a range",
		  { .ranges[0] = { .flags = 0x80, .nmsrs = 8, .bitmap = bitmap } }, EINVAL },
		{ "a range too large",
		  { .ranges[0] = { .flags = 3, .nmsrs = 0x3001, .bitmap = bitmap } }, EINVAL },
		{ "a range of -1",
		  { .ranges[0] = { .flags = 3, .nmsrs = ~0U, .bitmap = bitmap } }, EINVAL },
		{ "a bitmap that is not there",
		  { .ranges[0] = { .flags = 3, .nmsrs = 8, .bitmap = (void *)8 } }, EFAULT },
	};
	struct kvm_msr_filter filter;
	unsigned int i;

	if (!has_cap(KVM_CAP_X86_MSR_FILTER)) {
		skip("KVM_CAP_X86_MSR_FILTER");
		machine_free(&m);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		filter = rows[i].filter;
		check_errno(ioctl(m.vm, KVM_X86_SET_MSR_FILTER, &filter), rows[i].want,
			    "KVM_X86_SET_MSR_FILTER refuses %s", rows[i].name);
	}
	filter = (struct kvm_msr_filter){
		.ranges[0] = { .flags = 3, .nmsrs = 0x3000, .bitmap = bitmap },
	};
	check_errno(ioctl(m.vm, KVM_X86_SET_MSR_FILTER, &filter), 0,
		    "KVM_X86_SET_MSR_FILTER, the largest range");
	filter = (struct kvm_msr_filter){ .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	check_errno(ioctl(m.vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL,
		    "KVM_X86_SET_MSR_FILTER refuses to deny all without a range");
	machine_free(&m);
}

void test_system(void)
{
	test_device();
	test_enable_cap();
	test_create_vcpu();
	test_routing();
	test_irqfd();
	test_ioeventfd();
	test_msi();
	test_other_vm_ioctls();
	test_msr_filter();
}
