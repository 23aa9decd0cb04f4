// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: what may be created, changed, moved and deleted; the dirty log.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"

#define HOST		((uintptr_t)host)
#define BASE		0x10000000ULL
#define HOST_BYTES	(64 * PAGE)
#define LOG		KVM_MEM_LOG_DIRTY_PAGES

static uint8_t *host;

struct row {
	const char *name;
	uint32_t slot, flags;
	uint64_t gpa, size;
	uint64_t host_offset;
	int want;
};

static int set_slot(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
		    uint64_t addr)
{
	struct kvm_userspace_memory_region region = { slot, flags, gpa, size, addr };

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Each on a VM that has slot 0 (RAM_BYTES at 0) and slot 1 (16 pages at BASE, logged or not). */
static const struct row on_absent[] = {
	{ "an address that is not aligned", 2, 0, 0x20000001, PAGE, 0, EINVAL },
	{ "a size that is not aligned", 2, 0, 0x20000000, PAGE + 1, 0, EINVAL },
	{ "a size below a page", 2, 0, 0x20000000, 1, 0, EINVAL },
	{ "a host address that is not aligned", 2, 0, 0x20000000, PAGE, 1, EINVAL },
	{ "unknown flags", 2, 0x80, 0x20000000, PAGE, 0, EINVAL },
	{ "all flags", 2, ~0U, 0x20000000, PAGE, 0, EINVAL },
	{ "a slot too large", 0xffff, 0, 0x20000000, PAGE, 0, EINVAL },
	{ "an address space that is not there", 2 << 16 | 2, 0, 0x20000000, PAGE, 0, EINVAL },
	{ "slot -1", ~0U, 0, 0x20000000, PAGE, 0, EINVAL },
	{ "a range that wraps", 2, 0, 0ULL - PAGE, 2 * PAGE, 0, EINVAL },
	{ "a range that ends at 2^64", 2, 0, 0ULL - PAGE, PAGE, 0, EINVAL },
	{ "a range beyond physical addresses", 2, 0, 1ULL << 56, PAGE, 0, EINVAL },
	{ "a size of 2^63", 2, 0, 0x20000000, 1ULL << 63, 0, EINVAL },
	{ "more pages than a slot may have", 2, 0, 0x20000000, 1ULL << 44, 0, EINVAL },
	{ "to delete what is absent", 2, 0, 0x20000000, 0, 0, EINVAL },
	{ "what overlaps a slot's start", 2, 0, BASE - PAGE, 2 * PAGE, 0, EEXIST },
	{ "what overlaps a slot's end", 2, 0, BASE + 15 * PAGE, 2 * PAGE, 0, EEXIST },
	{ "what lies in a slot", 2, 0, BASE + PAGE, PAGE, 0, EEXIST },
	{ "what covers a slot", 2, 0, BASE - PAGE, 20 * PAGE, 0, EEXIST },
};

static const struct row on_present[] = {
	{ "a new size", 1, 0, BASE, 8 * PAGE, 0, EINVAL },
	{ "a new host address", 1, 0, BASE, 16 * PAGE, PAGE, EINVAL },
	{ "to become read-only", 1, KVM_MEM_READONLY, BASE, 16 * PAGE, 0, EINVAL },
	{ "unknown flags", 1, 0x80, BASE, 16 * PAGE, 0, EINVAL },
	{ "to move where slot 0 is", 1, 0, PAGE, 16 * PAGE, 0, EEXIST },
};

static struct machine with_slot_1(void)
{
	struct machine m = machine_new(STAGE_VM);

	check_errno(set_slot(m.vm, 1, 0, BASE, 16 * PAGE, HOST), 0, "a slot is created");
	return m;
}

static void test_rows(const struct row *rows, unsigned int n, const char *what)
{
	struct machine m = with_slot_1();
	unsigned int i;

	for (i = 0; i < n; i++)
		check_errno(set_slot(m.vm, rows[i].slot, rows[i].flags, rows[i].gpa, rows[i].size,
				     HOST + rows[i].host_offset),
			    rows[i].want, "%s refuses %s", what, rows[i].name);
	machine_free(&m);
}

static void test_host_addresses(void)
{
	struct machine m = machine_new(STAGE_VM);

	check_errno(set_slot(m.vm, 2, 0, BASE, PAGE, 0xffff888000000000ULL), EINVAL,
		    "a new slot refuses a kernel address");
	check_errno(set_slot(m.vm, 2, 0, BASE, 2 * PAGE, 0xfffffffffff000ULL), EINVAL,
		    "a new slot refuses memory that ends beyond user space");
	check_errno(set_slot(m.vm, 2, 0, BASE, PAGE, 0ULL - PAGE), EINVAL,
		    "a new slot refuses host memory that wraps");
	check_errno(set_slot(m.vm, 2, 0, BASE, PAGE, 0x1000), 0,
		    "a slot's host memory need not be mapped yet");
	machine_free(&m);
}

static void test_changes(void)
{
	struct machine m = with_slot_1();

	check_errno(set_slot(m.vm, 1, 0, BASE, 16 * PAGE, HOST), 0, "a slot may be set as it is");
	check_errno(set_slot(m.vm, 1, LOG, BASE, 16 * PAGE, HOST), 0,
		    "dirty logging may be turned on");
	check_errno(set_slot(m.vm, 1, 0, BASE, 16 * PAGE, HOST), 0, "and off");
	check_errno(set_slot(m.vm, 1, 0, BASE + PAGE, 16 * PAGE, HOST), 0,
		    "a slot may move onto its own old place");
	check_errno(set_slot(m.vm, 1, 0, BASE, 0, HOST), 0, "a slot is deleted");
	check_errno(set_slot(m.vm, 1, 0, BASE, 0, HOST), EINVAL, "but not twice");
	check_errno(set_slot(m.vm, 1, 0, BASE, 8 * PAGE, HOST + PAGE), 0,
		    "and its number is free again");
	check_errno(set_slot(m.vm, 2, 0, BASE + 8 * PAGE, PAGE, HOST), 0,
		    "a slot right behind another");
	if (has_cap(KVM_CAP_READONLY_MEM)) {
		check_errno(set_slot(m.vm, 3, KVM_MEM_READONLY, 0x30000000, PAGE, HOST), 0,
			    "a read-only slot");
		check_errno(set_slot(m.vm, 3, 0, 0x30000000, PAGE, HOST), EINVAL,
			    "a read-only slot does not become writable");
	} else {
		check_errno(set_slot(m.vm, 3, KVM_MEM_READONLY, 0x30000000, PAGE, HOST), EINVAL,
			    "no read-only slot without KVM_CAP_READONLY_MEM");
	}
	machine_free(&m);
}

static void test_many_slots(void)
{
	struct machine m = machine_new(STAGE_VM);
	int n = ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	unsigned int i, made = 0;

	check(n >= 32, "KVM_CAP_NR_MEMSLOTS");
	check_errno(set_slot(m.vm, n, 0, BASE, PAGE, HOST), EINVAL,
		    "the first slot number too large");
	check_errno(set_slot(m.vm, n - 1, 0, BASE, PAGE, HOST), 0, "the last slot number");
	check_errno(set_slot(m.vm, n - 1, 0, BASE, 0, HOST), 0, "is deleted");
	for (i = 1; i < 200 && i < (unsigned int)n; i++)
		made += !set_slot(m.vm, i, 0, BASE + 2 * i * PAGE, PAGE, HOST);
	check(made == i - 1, "%u slots at a time", made);
	machine_free(&m);
}

static void test_dirty_log(void)
{
	struct machine m = with_slot_1();
	uint64_t bits = ~0ULL;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), ENOENT,
		    "KVM_GET_DIRTY_LOG of a slot not logged: ENOENT");
	log.slot = 5;
	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), ENOENT, "of an absent slot: ENOENT");
	log.slot = 0xffff;
	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), EINVAL, "of a slot too large: EINVAL");
	log.slot = 9 << 16;
	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), EINVAL,
		    "of another address space: EINVAL");
	set_slot(m.vm, 1, LOG, BASE, 16 * PAGE, HOST);
	log.slot = 1;
	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), 0, "KVM_GET_DIRTY_LOG");
	check(!bits, "every bit of the last word is defined");
	log.dirty_bitmap = (void *)8;
	check_errno(ioctl(m.vm, KVM_GET_DIRTY_LOG, &log), EFAULT,
		    "KVM_GET_DIRTY_LOG to a bad address: EFAULT");
	machine_free(&m);
}

void test_memory(void)
{
	host = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!check(host != MAP_FAILED, "memory for the slots"))
		return;
	test_rows(on_absent, ARRAY_SIZE(on_absent), "a new slot");
	test_rows(on_present, ARRAY_SIZE(on_present), "a slot");
	test_host_addresses();
	test_changes();
	test_many_slots();
	test_dirty_log();
	munmap(host, HOST_BYTES);
}
