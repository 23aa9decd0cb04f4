// SPDX-License-Identifier: GPL-2.0
/*
 * slots: memory that the VMM gives back while its slot is taken away is not written by the guest any more. The slot had left the table before
 * it was unmapped, so that the host's invalidation found nothing to unmap, and a page that the host had freed stayed mapped for a while.
 *
 * The guest does nothing but write a number to its page. One thread makes the slot and takes it away; another gives the page back and
 * takes new ones, one of which is likely to be the page that was just freed. In none may the number appear.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define GUEST_MEMORY	0x40000000UL
#define NUMBER		0x51075107u
#define ROUNDS		300
#define OTHERS		8
#define LOOKS		2000

/* 1: movl $NUMBER, (%ebx); jmp 1b */
static const uint8_t code[] = { 0xc7, 0x03, 0x07, 0x51, 0x07, 0x51, 0xeb, 0xf8 };

static struct machine machine;
static struct vcpu vcpu;
static volatile uint32_t *memory, *others;
static atomic_uint deleting, found, given;
static atomic_bool over;

static void *run(void *unused)
{
	(void)unused;
	pin(0);
	/* Without its slot each write is an exit. */
	while (!over && !vcpu_run(&vcpu))
		sched_yield();
	return NULL;
}

static void give_back(void)
{
	const size_t step = PAGE / sizeof(*others);

	if (madvise((void *)memory, PAGE, MADV_DONTNEED))
		die("madvise");
	given++;
	for (size_t i = 0; i < OTHERS; i++)
		others[i * step + 1] = 1;
	for (size_t look = 0; look < LOOKS; look++)
		for (size_t i = 0; i < OTHERS; i++)
			found += others[i * step] == NUMBER;
	if (madvise((void *)others, OTHERS * PAGE, MADV_DONTNEED))
		die("madvise");
}

static void *giver(void *unused)
{
	(void)unused;
	pin(1);
	while (!over) {
		if (deleting)
			give_back();
		else
			sched_yield();
	}
	return NULL;
}

/* Until the guest has its page mapped; not for ever. */
static bool guest_writes(void)
{
	for (unsigned int i = 0; i < 1000000; i++) {
		if (*memory == NUMBER)
			return true;
		sched_yield();
	}
	return false;
}

int main(void)
{
	unsigned int round, written = 0;
	pthread_t threads[2];

	start(60);
	stop_signal_init();
	machine = machine_new();
	machine_code(&machine, code, sizeof(code));
	memory = memory_new(PAGE, false);
	others = memory_new(OTHERS * PAGE, false);
	vcpu = vcpu_new(&machine, 0, GUEST_MEMORY);
	pthread_create(&threads[0], NULL, run, NULL);
	pthread_create(&threads[1], NULL, giver, NULL);
	pin(1);
	for (round = 0; round < ROUNDS && !found; round++) {
		machine_slot(&machine, 1, GUEST_MEMORY, (void *)memory, PAGE, 0);
		written += guest_writes();
		deleting = 1;
		machine_slot(&machine, 1, GUEST_MEMORY, (void *)memory, 0, 0);
		deleting = 0;
		*memory = 0;
	}
	over = true;
	vcpu_stop(&vcpu, threads[0]);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	check(!found, "memory that is given back while its slot goes is not the guest's any more (round %u)", round);
	check(written == round, "the guest had its page before, each time (%u of %u)", written, round);
	check(given > 0, "pages were given back meanwhile (%u)", given);
	return verdict();
}
