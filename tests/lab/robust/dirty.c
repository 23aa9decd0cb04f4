// SPDX-License-Identifier: GPL-2.0
/*
 * dirty: a live migration in small. vCPUs write memory while the VMM takes the dirty log and copies
 * the pages that it names; after the vCPUs stop and a last round, the copy equals the memory. Logging
 * is switched on while vCPUs run on large pages. The slot spans more than what is protected at once.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define VCPUS		3
#define GUEST_MEMORY	0x1000000U
#define SLOT_BYTES	(258 * MIB)
#define SLOT_PAGES	(SLOT_BYTES / PAGE)
#define AREA_BYTES	(2 * MIB)
#define SECONDS		3
#define PAUSE_US	2000	/* between two rounds, for vCPUs to write */

/* The areas that are written: one at the start, one across 256 MiB. */
static const size_t areas[] = { 0, 255 * MIB };

/*
 * 0: mov %edi, %ebx; 2: lock incl (%ebx); add $4096, %ebx; cmp %esi, %ebx; jb 2; jmp 0
 * It never ends; the VMM stops it.
 */
static const uint8_t code[] = {
	0x89, 0xfb, 0xf0, 0xff, 0x03, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0x39, 0xf3, 0x72, 0xf3,
	0xeb, 0xef,
};

static struct machine machine;
static struct vcpu vcpus[VCPUS];
static pthread_t threads[VCPUS];
static uint8_t *memory, *copy;
static uint64_t log_bits[(SLOT_PAGES + 63) / 64];
static unsigned int stray;	/* pages reported that nobody writes */
static unsigned int failed;	/* vCPUs whose KVM_RUN ended before it was told to */

static void *run(void *argument)
{
	struct vcpu *v = argument;

	vcpu_run(v);
	if (!v->run->immediate_exit)
		__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void start_vcpus(void)
{
	for (size_t i = 0; i < VCPUS; i++) {
		uint32_t first = GUEST_MEMORY + areas[i % ARRAY_SIZE(areas)];
		struct kvm_regs regs = { .rdi = first, .rsi = first + AREA_BYTES, .rflags = 2 };

		vcpus[i] = vcpu_new(&machine, i, 0);
		vcpu_set_regs(&vcpus[i], &regs);
		pthread_create(&threads[i], NULL, run, &vcpus[i]);
	}
}

static void stop_vcpus(void)
{
	for (size_t i = 0; i < VCPUS; i++)
		vcpu_stop(&vcpus[i], threads[i]);
	for (size_t i = 0; i < VCPUS; i++)
		pthread_join(threads[i], NULL);
}

static bool is_written(size_t offset)
{
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		if (offset >= areas[i] && offset < areas[i] + AREA_BYTES)
			return true;
	return false;
}

/* Takes the log and copies what is dirty. The number of pages. */
static unsigned int take_and_copy(void)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = log_bits };
	unsigned int n = 0;

	if (ioctl(machine.vm, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	for (size_t page = 0; page < SLOT_PAGES; page++) {
		if (!(log_bits[page / 64] >> page % 64 & 1))
			continue;
		n++;
		if (is_written(page * PAGE))
			memcpy(copy + page * PAGE, memory + page * PAGE, PAGE);
		else
			stray++;
	}
	return n;
}

static unsigned int pages_that_differ(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		for (size_t at = areas[i]; at < areas[i] + AREA_BYTES; at += PAGE)
			n += memcmp(copy + at, memory + at, PAGE) != 0;
	return n;
}

static void migrate(void)
{
	time_t end = time(NULL) + SECONDS;
	unsigned int rounds = 0, pages = 0, differ;

	machine_slot(&machine, 1, GUEST_MEMORY, memory, SLOT_BYTES, KVM_MEM_LOG_DIRTY_PAGES);
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		memcpy(copy + areas[i], memory + areas[i], AREA_BYTES);
	for (; time(NULL) < end; rounds++) {
		pages += take_and_copy();
		usleep(PAUSE_US);
	}
	stop_vcpus();
	pages += take_and_copy();
	differ = pages_that_differ();
	check(rounds > 10 && pages > 100, "vCPUs write while the dirty log is taken (%u pages, %u times)",
	      pages, rounds);
	check(differ == 0, "the dirty log loses no page (%u of the copy differ)", differ);
	check(stray == 0, "the dirty log names no page that nobody wrote (%u)", stray);
	check(take_and_copy() == 0, "the dirty log is empty once nobody writes");
	check(failed == 0, "the vCPUs run until they are told to stop");
}

int main(void)
{

	start(30);
	stop_signal_init();
	machine = machine_new();
	machine_code(&machine, code, sizeof(code));
	memory = memory_new(SLOT_BYTES, true);
	copy = memory_new(SLOT_BYTES, false);
	machine_slot(&machine, 1, GUEST_MEMORY, memory, SLOT_BYTES, 0);
	start_vcpus();
	usleep(300000);
	migrate();
	machine_free(&machine);
	return verdict();
}
