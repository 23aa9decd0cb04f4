// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU that waits: for an interrupt in HLT, or for INIT or SIPI. It polls for a while that adapts to how long waits last, because
 * sleeping and being woken costs more than a short wait; then it sleeps. Owns the parameters, which have upstream's names.
 */
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/swait.h>
#include "vm.h"

static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "Longest time to poll for work before a halted vCPU sleeps, in ns; 0: never");
static unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "Factor by which that time grows when a longer poll would have won; 0: stays");
static unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "What it grows to from 0, in ns");
static unsigned int halt_poll_ns_shrink;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "Divisor by which it shrinks after a wait that no poll would have won; 0: to nothing");

/* The longest time to poll: the VM's own (KVM_CAP_HALT_POLL), or everybody's. */
static unsigned int max_poll_ns(const struct host_vcpu *hv)
{
	u64 own = READ_ONCE(hv->hvm->halt_poll_ns);

	return own == HALT_POLL_DEFAULT ? READ_ONCE(halt_poll_ns) : own;
}

static void grow(struct host_vcpu *hv, unsigned int max)
{
	u64 ns = (u64)hv->halt_poll_ns * READ_ONCE(halt_poll_ns_grow);

	if (READ_ONCE(halt_poll_ns_grow))
		ns = max_t(u64, ns, READ_ONCE(halt_poll_ns_grow_start));
	else
		ns = hv->halt_poll_ns;
	hv->halt_poll_ns = min_t(u64, ns, max);
}

static void shrink(struct host_vcpu *hv)
{
	unsigned int divisor = READ_ONCE(halt_poll_ns_shrink);

	hv->halt_poll_ns = divisor ? hv->halt_poll_ns / divisor : 0;
}

/* What this wait of @ns, and a poll of the present length, have taught. */
static void adapt(struct host_vcpu *hv, u64 ns)
{
	unsigned int max = max_poll_ns(hv);

	if (ns <= hv->halt_poll_ns && hv->halt_poll_ns <= max)
		return;
	if (ns < max)
		grow(hv, max);
	else
		shrink(hv);
}

/* Polls from *@time on, until when it says. True if work came. Nobody else may be waiting for the CPU. */
static bool poll(struct host_vcpu *hv, u64 *time)
{
	u64 start = *time, end = start + min(hv->halt_poll_ns, max_poll_ns(hv)), now;
	bool won;

	if (end == start)
		return false;
	do {
		won = vcpu_end_wait(&hv->v);
		if (!won)
			cpu_relax();
		now = host_now_ns();
	} while (!won && now < end && single_task_running() && !need_resched() && !signal_pending(current));
	stats_inc(&hv->v, halt_polls);
	if (won)
		stats_inc(&hv->v, halt_polls_won);
	stats_add_to(&hv->v, halt_poll_won_ns, won ? now - start : 0);
	stats_add_to(&hv->v, halt_poll_lost_ns, won ? 0 : now - start);
	stats_halt(hv->v.stats, won ? STATS_POLL_WON : STATS_POLL_LOST, now - start);
	*time = now;
	return won;
}

void block_note_wake(struct host_vcpu *hv)
{
	/* Of several kickers the first counts. */
	if (!atomic64_read(&hv->woken_ns))
		atomic64_cmpxchg(&hv->woken_ns, 0, host_now_ns());
}

/*
 * The vCPU slept since @start, and does so no more since @now: for how long it was on its way? A kicker that saw the sleep before may
 * have noted its time late, so that it is from before this sleep began.
 */
static void count_wake(struct host_vcpu *hv, u64 start, u64 now)
{
	u64 woken = atomic64_read(&hv->woken_ns), latency;

	if (!woken)
		return;
	woken = max(woken, start);
	latency = now > woken ? now - woken : 0;
	stats_inc(&hv->v, halt_wakes);
	stats_add_to(&hv->v, halt_wake_ns, latency);
	stats_halt(hv->v.stats, STATS_WAKE, latency);
}

/* Sleeps from *@time on, until when it says. True if it had to. */
static bool sleep(struct host_vcpu *hv, u64 *time)
{
	u64 start = *time, now, noted = 0;
	DECLARE_SWAITQUEUE(wait);
	bool slept = false, work;

	lapic_timer_tighten(&hv->v);
	vendor_leave_cpu(&hv->v);
	atomic64_set(&hv->woken_ns, 0);
	for (;;) {
		prepare_to_swait_exclusive(&hv->wait, &wait, TASK_INTERRUPTIBLE);
		work = vcpu_end_wait(&hv->v);
		if (work || signal_pending(current))
			break;
		/* Who woke it before this look did so for nothing, or it would have found something. Later ones stay noted. */
		atomic64_cmpxchg(&hv->woken_ns, noted, 0);
		slept = true;
		schedule();
		noted = atomic64_read(&hv->woken_ns);
		/* Woken for a reason, mostly: then there is no need to queue again. */
		work = vcpu_end_wait(&hv->v);
		if (work)
			break;
	}
	finish_swait(&hv->wait, &wait);
	now = host_now_ns();
	if (slept && work)
		count_wake(hv, start, now);
	stats_add_to(&hv->v, halt_wait_ns, now - start);
	stats_halt(hv->v.stats, STATS_WAIT, now - start);
	*time = now;
	return slept;
}

void host_block(struct vcpu *v)
{
	/* A guest that polls by itself before it halts has done so already. */
	bool may_poll = pv_host_may_poll(&v->pv), slept;
	struct host_vcpu *hv = HOST_VCPU(v);
	u64 start = host_now_ns(), now = start;

	stats_inc(v, halts);
	slept = !(may_poll && poll(hv, &now)) && sleep(hv, &now);
	if (may_poll && !signal_pending(current))
		adapt(hv, now - start);
	if (trace_kvm_vcpu_wakeup_enabled())
		trace_kvm_vcpu_wakeup(now - start, slept, true);
}
