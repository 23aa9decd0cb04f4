// SPDX-License-Identifier: GPL-2.0
/*
 * The operations of `bench` that take several vCPUs: the first one sends, the others follow. What the targets do when the
 * IPI is sent is made sure of before each sample: they are in the monitor (MON_REST), or have been halted for longer than a
 * host polls, or run in a loop.
 */
#include "apic.h"
#include "measure.h"

#define NAP_VECTOR	0x53
#define NAP_US		1000
#define SETTLE_US	20

enum state { AWAY, HALTED, RUNNING };
enum part { SENDER, HANDLER, AFTER_HLT };

struct ipi {
	enum state state;
	enum part part;
	void (*send)(void);
};

static unsigned int cpus;
static volatile unsigned int following;
static struct stamp awake[MON_MAX_VCPUS] __attribute__((aligned(64)));
static volatile bool nap_over;

/* --- Senders --- */

static void send_one(void)
{
	wrmsr(X2APIC_MSR(APIC_ICR), 1UL << 32 | STAMP_VECTOR);
}

/* All others, which are in the first cluster with us. */
static void send_many(void)
{
	wrmsr(X2APIC_MSR(APIC_ICR), ((1UL << cpus) - 2) << 32 | APIC_LOGICAL | STAMP_VECTOR);
}

static void send_pv(void)
{
	pv_ipi((1UL << (cpus - 1)) - 1, 1);
}

/* --- Targets --- */

static void begin_following(void)
{
	apic_enable(true);
	__atomic_fetch_add(&following, 1, __ATOMIC_SEQ_CST);
}

static void follow_away(void *unused)
{
	begin_following();
	for (;;) {
		mon_call(MON_REST, 0, 0, 0, 0, 0);
		sti_nop_cli();
	}
}

static void follow_halted(void *unused)
{
	struct stamp *mine = &awake[this_cpu()->id];

	begin_following();
	for (;;) {
		sti_hlt_cli();
		mine->tsc = rdtsc();
	}
}

static void follow_running(void *unused)
{
	begin_following();
	sti();
	for (;;)
		;
}

/* --- The sender's naps: so long the targets have to fall asleep --- */

static void take_nap_timer(struct frame *frame)
{
	nap_over = true;
	apic_eoi();
}

static void nap_begin(void)
{
	nap_over = false;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ticks(NAP_US));
}

static void nap_end(void)
{
	while (!nap_over)
		sti_hlt_cli();
}

static void nap(void)
{
	nap_begin();
	nap_end();
}

/* --- Samples --- */

/* The last of the targets' stamps, or 0 if one has not come yet. */
static u64 last_of(const struct stamp *of)
{
	unsigned int targets = operation->ipi->send == send_one ? 1 : cpus - 1, i;
	u64 last = 0;

	for (i = 1; i <= targets; i++) {
		if (!of[i].tsc)
			return 0;
		if (of[i].tsc > last)
			last = of[i].tsc;
	}
	return last;
}

static void prepare(void)
{
	u64 until;
	unsigned int i;

	if (operation->ipi->state == AWAY)
		mon_call(MON_RESTING, cpus - 1, 0, 0, 0, 0);
	for (i = 1; i < cpus; i++)
		stamps[i].tsc = awake[i].tsc = 0;
	if (operation->ipi->state == HALTED)
		nap_begin();
	if (operation->ipi->state == RUNNING)
		for (until = rdtsc() + ticks(SETTLE_US); rdtsc() < until; )
			;
}

/* Until the targets have taken it. */
static void settle(void)
{
	switch (operation->ipi->state) {
	case AWAY:
		mon_call(MON_WAKE, 0, 0, 0, 0, 0);
		break;
	case HALTED:
		for (nap_end(); !last_of(awake); nap())
			;
		break;
	case RUNNING:
		while (!last_of(stamps))
			;
	}
}

static u64 sample_ipi(void)
{
	u64 began, sender;

	prepare();
	sender = time_once(operation->ipi->send, &began);
	settle();
	switch (operation->ipi->part) {
	case HANDLER:
		return last_of(stamps) - began;
	case AFTER_HLT:
		return last_of(awake) - began;
	default:
		return sender;
	}
}

static void setup_ipi(void)
{
	static void (*const follow[])(void *) = {
		[AWAY] = follow_away, [HALTED] = follow_halted, [RUNNING] = follow_running,
	};
	unsigned int i;

	if (operation->ipi->send == send_pv)
		need_pv_ipi();
	need_deadline();
	set_handler(NAP_VECTOR, take_nap_timer);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | NAP_VECTOR);
	cpus = start_cpus();
	if (cpus < 2)
		fail("there is no other vCPU");
	for (i = 1; i < cpus; i++)
		on_cpu_start(i, follow[operation->ipi->state], NULL);
	while (following < cpus - 1)
		nap();
	nap();
}

#define IPI_OPERATION(state, part, send)								\
	{ .setup = setup_ipi, .sample = sample_ipi, .ipi = &(const struct ipi){ state, part, send } }

const struct operation ipi_operations[NR_BENCHES] = {
	[BENCH_ipi_away] = IPI_OPERATION(AWAY, SENDER, send_one),
	[BENCH_ipi_halted] = IPI_OPERATION(HALTED, SENDER, send_one),
	[BENCH_ipi_halted_handler] = IPI_OPERATION(HALTED, HANDLER, send_one),
	[BENCH_hlt_wake] = IPI_OPERATION(HALTED, AFTER_HLT, send_one),
	[BENCH_ipi_running] = IPI_OPERATION(RUNNING, SENDER, send_one),
	[BENCH_ipi_running_handler] = IPI_OPERATION(RUNNING, HANDLER, send_one),
	[BENCH_multicast_away] = IPI_OPERATION(AWAY, SENDER, send_many),
	[BENCH_multicast_halted] = IPI_OPERATION(HALTED, SENDER, send_many),
	[BENCH_multicast_running] = IPI_OPERATION(RUNNING, SENDER, send_many),
	[BENCH_multicast_running_handler] = IPI_OPERATION(RUNNING, HANDLER, send_many),
	[BENCH_pv_ipi_away] = IPI_OPERATION(AWAY, SENDER, send_pv),
	[BENCH_pv_ipi_halted] = IPI_OPERATION(HALTED, SENDER, send_pv),
	[BENCH_pv_ipi_running] = IPI_OPERATION(RUNNING, SENDER, send_pv),
};
