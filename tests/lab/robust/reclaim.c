// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim: what a guest wrote survives memory reclaim. A lazily freed page (MADV_FREE) that is clean
 * may be thrown away; a guest's write reaches it through nested page tables and never touches the
 * host's page-table entry, so the hypervisor has to make the page dirty.
 *
 * Reclaims through its own memory cgroup (cgroup 2). The same pages, not written by a guest, must be
 * thrown away: else the test shows nothing.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUPS		"/sys/fs/cgroup"
#define GROUP		CGROUPS "/exeunt-robust"
#define BYTES		(2 * LARGE_PAGE)
#define PAGES		(BYTES / PAGE)
#define GUEST_MEMORY	0x400000U
#define OLD		1U
#define NEW		0xdeadbeefU

/* mov (%ebx), %eax; movl $NEW, (%ebx); add $4096, %ebx; cmp $end, %ebx; jb 0; hlt */
static const uint8_t code[] = {
	0x8b, 0x03, 0xc7, 0x03, 0xef, 0xbe, 0xad, 0xde, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00,
	0x81, 0xfb, 0x00, 0x00, 0x80, 0x00, 0x72, 0xea, 0xf4,
};
_Static_assert(GUEST_MEMORY + BYTES == 0x800000, "the end that the guest's code compares with");

static struct machine machine;
static struct vcpu vcpu;

static bool join_cgroup(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	return write_file(GROUP "/cgroup.procs", pid) && access(GROUP "/memory.reclaim", W_OK) == 0;
}

/* Asks for more than there is, so that everything that may be reclaimed is; EAGAIN is expected. */
static void reclaim(void)
{
	for (int i = 0; i < 2; i++)
		write_file(GROUP "/memory.reclaim", "1G");
}

static void write_by_guest(void)
{
	vcpu_protected_mode(&vcpu, GUEST_MEMORY);
	if (vcpu_run(&vcpu) || vcpu.run->exit_reason != KVM_EXIT_HLT)
		die("the guest did not write its memory");
}

static void write_by_host(uint8_t *memory)
{
	for (size_t i = 0; i < PAGES; i++)
		*(volatile uint32_t *)(memory + i * PAGE) = OLD;
}

static unsigned int pages_with(const uint8_t *memory, uint32_t value)
{
	unsigned int n = 0;

	for (size_t i = 0; i < PAGES; i++)
		n += *(volatile const uint32_t *)(memory + i * PAGE) == value;
	return n;
}

static void free_lazily(uint8_t *memory)
{
	if (madvise(memory, BYTES, MADV_FREE))
		die("MADV_FREE");
}

/* Pages that nobody writes after they were lazily freed are taken. */
static void test_control(bool large)
{
	uint8_t *memory = memory_new(BYTES, large);

	write_by_host(memory);
	free_lazily(memory);
	reclaim();
	check(pages_with(memory, OLD) < PAGES / 2, "reclaim takes lazily freed pages%s that nobody wrote",
	      large ? " (large)" : "");
	munmap(memory, BYTES);
}

/* @mapped: the guest has the pages mapped for writing when they are lazily freed. */
static void test_guest_writes(bool large, bool mapped)
{
	uint8_t *memory = memory_new(BYTES, large);
	unsigned int kept;

	machine_slot(&machine, 1, GUEST_MEMORY, memory, BYTES, 0);
	write_by_host(memory);
	if (mapped) {
		write_by_guest();
		write_by_host(memory);
	}
	free_lazily(memory);
	write_by_guest();
	reclaim();
	kept = pages_with(memory, NEW);
	check(kept == PAGES, "guest writes to lazily freed pages%s%s survive reclaim (%u of %lu did)",
	      large ? " (large)" : "", mapped ? " that it had mapped" : "", kept, PAGES);
	machine_slot(&machine, 1, GUEST_MEMORY, memory, 0, 0);
	munmap(memory, BYTES);
}

int main(void)
{

	start(30);
	if (!join_cgroup()) {
		skip("no memory cgroup at " GROUP ": nothing can be reclaimed");
		return 0;
	}
	machine = machine_new();
	machine_code(&machine, code, sizeof(code));
	vcpu = vcpu_new(&machine, 0, GUEST_MEMORY);
	for (int large = 0; large < 2; large++) {
		test_control(large);
		test_guest_writes(large, false);
		test_guest_writes(large, true);
	}
	write_file(CGROUPS "/cgroup.procs", "0");
	rmdir(GROUP);
	return verdict();
}
