// SPDX-License-Identifier: GPL-2.0
/*
 * The operations of `bench` that fault on nested pages. Each sample is the first write to a page of a range, whose pages are
 * taken away from the guest together when all have been written to: by MADV_DONTNEED, which for the aux memory, private,
 * means that the host forgets them, and for main memory, a file's, that it keeps them and unmaps them only.
 */
#include "measure.h"

#define SMALL		0x1000UL
#define HUGE		0x200000UL
#define AUX_AT		0x80000000UL
#define AUX_SLOT	1
#define RANGE		(MON_AUX_SIZE / 2)	/* of each sort of page, in either memory */
#define RAM_SMALL	0x800000UL		/* above the payload */
#define RAM_HUGE	0x2000000UL		/* main memory's upper half: 64 MiB in all */

#define WARM_UP_2M	16			/* each may clear 2 MiB */

static u64 begin, page_size, used;
static bool aux;

static void take_away(void)
{
	long ret = aux ? mon_call(MON_AUX_DISCARD, begin - AUX_AT, RANGE, 0, 0, 0) :
			 mon_call(MON_DISCARD, begin, RANGE, 0, 0, 0);

	if (ret)
		fail("MADV_DONTNEED failed");
	used = 0;
}

/* Are the pages that were written to as large as they are to be? */
static void check_size(void)
{
	long huge = mon_call(MON_HUGE, aux ? begin - AUX_AT : begin, RANGE, aux, 0, 0);

	if (page_size == SMALL && huge)
		fail("the host has huge pages where it was told to have none");
	if (page_size == SMALL || !used)
		return;
	if (huge <= 0)
		skip(aux ? "the host gave no huge page: see transparent_hugepage/enabled" :
			   "the host gave no huge page: see transparent_hugepage/shmem_enabled");
	if (huge < (long)used)
		remark = "not all of the pages were huge";
}

static void once_write(void)
{
	*(volatile u64 *)(begin + used) = 1;
}

static u64 sample_page(void)
{
	u64 time, began;

	if (used == RANGE) {
		check_size();
		take_away();
	}
	time = time_once(once_write, &began);
	used += page_size;
	return time;
}

static void setup_first(u64 offset, u64 size)
{
	aux = true;
	begin = AUX_AT + offset;
	page_size = size;
	if (mon_call(MON_SLOT, AUX_SLOT, 0, AUX_AT, MON_AUX_SIZE, 0))
		fail("KVM_SET_USER_MEMORY_REGION failed");
}

static void setup_4k_first(void)
{
	setup_first(0, SMALL);
}

static void setup_2m_first(void)
{
	setup_first(RANGE, HUGE);
}

static void setup_discarded(u64 address, u64 size)
{
	struct mon_info info;

	mon_info(&info);
	begin = address;
	page_size = size;
	if (begin + RANGE > info.ram_bytes)
		fail("main memory is too small");
	while (used < RANGE)
		sample_page();
	check_size();
	take_away();
}

static void setup_4k_discarded(void)
{
	setup_discarded(RAM_SMALL, SMALL);
}

static void setup_2m_discarded(void)
{
	setup_discarded(RAM_HUGE, HUGE);
}

const struct operation memory_operations[NR_BENCHES] = {
	[BENCH_npf_4k_first] = { .setup = setup_4k_first, .sample = sample_page, .finish = check_size },
	[BENCH_npf_4k_discarded] = { .setup = setup_4k_discarded, .sample = sample_page, .finish = check_size },
	[BENCH_npf_2m_first] = { .setup = setup_2m_first, .sample = sample_page, .finish = check_size, .warm_up = WARM_UP_2M },
	[BENCH_npf_2m_discarded] = { .setup = setup_2m_discarded, .sample = sample_page, .finish = check_size, .warm_up = WARM_UP_2M },
};
