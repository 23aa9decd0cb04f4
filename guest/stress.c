// SPDX-License-Identifier: GPL-2.0
/*
 * Payload: no interrupt is lost, no wake-up is lost, none comes twice, no deadline comes early. Wants 2 CPUs or more. Three parts:
 *
 *   token      one token goes from CPU to CPU by IPI; all others are halted, and nothing else would ever wake them
 *   deadlines  every CPU by itself arms deadlines and one-shots around now, moves and disarms them, halts until they come
 *   mix        IPIs of all kinds from all to all, halts, spins, windows with interrupts off, TPR and timers, at random
 *
 * IRR merges equal vectors, so each pair of CPUs has its own vectors, and an IPI is sent only when the one before it was counted by
 * its target: the counts are exact. Who waits in vain says so, shows what every CPU's APIC holds, and ends the run; what came too
 * often or too early is counted.
 *
 * Arguments: --seed N (default 1); --rounds N, of each CPU in each part (default 2000); --patience SECONDS (default 20);
 * --xapic, instead of x2APIC; --no-cr8: TPR is written by its register only.
 */
#include "apic.h"
#include "lib.h"

#define MAX_CPUS	MON_MAX_VCPUS
#define CLASS(vector)	((vector) >> 4)
#define VECTOR_ONE_SHOT	0x70
#define VECTOR_DEADLINE	0x71
#define VECTOR_STOP	0xf0
#define TPR_FOR_TIMER	0x60		/* holds back IPIs of three kinds, but not the timer */
#define NEVER		(~0UL)
#define SOON_MS		200		/* a timer that is due later is not relied upon to end a halt */
#define PET_MS		2000
#define DUMP_MS		3000

/* Each has a class of vectors of its own; the vector's low digit is the sender. */
enum kind { PHYSICAL, MULTI, LOWEST, REPLY, SELF, LOGICAL, TOKEN, KINDS };

static const u8 first_vector[KINDS] = {
	[PHYSICAL] = 0x40, [MULTI] = 0x50, [LOWEST] = 0x60, [REPLY] = 0x90, [SELF] = 0xa0, [LOGICAL] = 0xb0, [TOKEN] = 0xc0,
};
static const char *const kind_names[KINDS] = {
	"physical", "multicast", "lowest priority", "reply", "self", "logical", "token",
};

/* From one CPU to another. With `got` == `sent` the sender may send again. */
struct flow {
	volatile u64 sent;	/* written by the sender */
	volatile u64 got;	/* written by the target's handler */
	volatile bool reply;	/* the target answers with an IPI of its own */
};

/* What this CPU's APIC timer may do: `fires` is to reach `min` and may not exceed `max`. */
struct timer {
	bool one_shot;		/* the LVT entry's mode */
	u8 vector;
	u64 due;		/* TSC before which it may not fire */
	volatile u64 fires;
	volatile u64 min, max;
};

struct worker {
	u32 id;
	u64 random, handler_random;
	struct timer timer;
	u64 asked[MAX_CPUS];	/* replies that others owe or have sent */
	volatile bool token;
	volatile u32 tpr;	/* at least that holds */
	const char *volatile doing;
	u64 petted;
	u64 halts, timers, moves;
	volatile u64 round;
} __attribute__((aligned(64)));

enum fault { TWICE, EARLY, STILL_ARMED, HELD_BACK, FAULTS };

static struct flow flows[KINDS][MAX_CPUS][MAX_CPUS];
static struct worker workers[MAX_CPUS];
static struct mon_info host;
static bool x2apic, has_deadline, use_cr8;
static u32 cpus_up;
static u64 seed, rounds, patience;
static volatile u32 finished;
static volatile bool stopped;
static volatile u64 passes;
static u64 faults[FAULTS];
static u64 part_start;
static u32 failing;
static volatile bool dumped;

/* ---- time and chance ---- */

static u64 cycles_of_us(u64 us)
{
	return us * host.tsc_khz / 1000;
}

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 8;
}

static u64 pick(struct worker *w, u64 n)
{
	return next_random(&w->random) % n;
}

/* Small ones as often as big ones. */
static u64 pick_scaled(struct worker *w, u32 bits)
{
	return pick(w, 1UL << pick(w, bits));
}

static void spin(u64 cycles)
{
	u64 start = rdtsc();

	while (rdtsc() - start < cycles)
		pause();
}

static void spin_open(u64 cycles)
{
	sti();
	spin(cycles);
	cli();
}

static struct worker *self(void)
{
	return &workers[this_cpu()->id];
}

/* ---- the APIC, without the exit that apic.h takes to find out its mode ---- */

static void put_reg(u32 reg, u32 value)
{
	if (x2apic)
		wrmsr(X2APIC_MSR(reg), value);
	else
		*(volatile u32 *)(APIC_BASE_ADDR + reg) = value;
}

static u32 get_reg(u32 reg)
{
	return x2apic ? rdmsr(X2APIC_MSR(reg)) : *(volatile u32 *)(APIC_BASE_ADDR + reg);
}

/* Interrupts are off, or a handler might come in between the two halves. */
static void put_icr(u32 dest, u32 command)
{
	if (x2apic) {
		wrmsr(X2APIC_MSR(APIC_ICR), command | (u64)dest << 32);
		return;
	}
	put_reg(APIC_ICR_HIGH, dest << 24);
	put_reg(APIC_ICR, command);
}

static bool is_pending(u8 vector)
{
	return get_reg(APIC_IRR + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* ---- failures ---- */

static void print_vectors(const char *name, u32 reg)
{
	int i;

	printf(" %s", name);
	for (i = 7; i >= 0; i--)
		printf(" %08x", get_reg(reg + 0x10 * i));
}

static void dump_flows(u32 to)
{
	u32 kind, from;
	struct flow *f;

	for (kind = 0; kind < KINDS; kind++)
		for (from = 0; from < cpus_up; from++) {
			f = &flows[kind][from][to];
			if (f->sent != f->got)
				printf("     %s from cpu %u%s: %lu sent, %lu taken\n", kind_names[kind], from,
				       kind == LOWEST ? " to any" : "", f->sent, f->got);
		}
}

/* On the CPU that it is about. */
static void dump(struct frame *frame)
{
	struct worker *w = self();
	struct timer *t = &w->timer;

	printf("cpu %u: %s, at %lx, flags %lx, tpr %x ppr %x\n    ", w->id, w->doing, frame ? frame->rip : 0,
	       frame ? frame->rflags : 0, get_reg(APIC_TPR), get_reg(APIC_PPR));
	print_vectors("irr", APIC_IRR);
	print_vectors("isr", APIC_ISR);
	print_vectors("tmr", APIC_TMR);
	printf("\n     timer: lvt %x deadline %lx count %x, now %lx due %lx, %lu fires of %lu to %lu; asked %lu %lu %lu %lu\n",
	       get_reg(APIC_LVT_TIMER), has_deadline ? rdmsr(MSR_TSC_DEADLINE) : 0, get_reg(APIC_TIMER_COUNT), rdtsc(), t->due,
	       t->fires, t->min, t->max, w->asked[0], w->asked[1], w->asked[2], w->asked[3]);
	dump_flows(w->id);
	dumped = true;
}

static void dump_other(u32 id)
{
	u64 start = rdtsc();

	dumped = false;
	put_icr(id, APIC_NMI | APIC_ASSERT);
	while (!dumped && rdtsc() - start < cycles_of_us(DUMP_MS * 1000UL))
		pause();
	if (!dumped)
		printf("cpu %u: does not answer an NMI; it was last known to: %s\n", id, workers[id].doing);
}

/* The end of the run: something did not happen. The first to see it speaks; the others still answer it. */
static void fail(const char *what) __attribute__((noreturn));
static void fail(const char *what)
{
	struct worker *w = self();
	u32 i;

	cli();
	while (__atomic_exchange_n(&failing, 1, __ATOMIC_SEQ_CST))
		pause();
	report(false, "nothing is lost: cpu %u waits in vain: %s (seed %lu, %u CPUs, token passes %lu)", w->id, what, seed, cpus_up,
	       passes);
	dump(NULL);
	for (i = 0; i < cpus_up; i++)
		if (i != w->id)
			dump_other(i);
	mon_exit(1);
}

/* What came though it must not have; the first of each sort is shown. */
static void note(enum fault fault, u8 vector, u64 a, u64 b)
{
	static const char *const names[FAULTS] = { "came twice", "came early", "left its deadline set", "came in spite of TPR" };

	if (!__atomic_fetch_add(&faults[fault], 1, __ATOMIC_SEQ_CST))
		printf("cpu %u: vector %x %s (%lx, %lx), while: %s\n", self()->id, vector, names[fault], a, b, self()->doing);
}

/* CPU 0 has itself woken by the monitor, in case that no CPU is left that could see the others halted in vain. */
static void pet_watchdog(struct worker *w)
{
	if (w->id || (w->petted && rdtsc() - w->petted < cycles_of_us(PET_MS * 1000UL)))
		return;
	w->petted = rdtsc();
	mon_call(MON_KICK, (patience + 10) * 1000000, 0, 0, 0, 0);
}

/* ---- handlers ---- */

static struct flow *flow_of(u32 kind, u32 from, u32 to)
{
	return &flows[kind][from][kind == LOWEST ? 0 : to];
}

static void count_sent(u32 kind, u32 from, u32 to)
{
	__atomic_fetch_add(&flow_of(kind, from, to)->sent, 1, __ATOMIC_SEQ_CST);
}

static void take_ipi(struct worker *w, u32 kind, u8 vector)
{
	u32 from = vector & 15;
	struct flow *f = flow_of(kind, from, w->id);
	bool reply = f->reply;

	if (from >= cpus_up || f->got == f->sent) {
		note(TWICE, vector, f->sent, f->got);
		return;
	}
	if (kind == TOKEN)
		w->token = true;
	__atomic_fetch_add(&f->got, 1, __ATOMIC_SEQ_CST);
	if (!reply)
		return;
	count_sent(REPLY, w->id, from);
	put_icr(from, APIC_ASSERT | (first_vector[REPLY] + w->id));
}

static void take_timer(struct worker *w, u8 vector)
{
	struct timer *t = &w->timer;
	u64 now = rdtsc(), left;

	if (t->fires >= t->max || vector != t->vector) {
		note(TWICE, vector, t->fires, t->max);
		return;
	}
	t->fires++;
	if (now < t->due)
		note(EARLY, vector, now, t->due);
	if (t->one_shot || t->fires < t->max)
		return;
	left = rdmsr(MSR_TSC_DEADLINE);
	if (left)
		note(STILL_ARMED, vector, left, now);
}

static void on_irq(struct frame *frame)
{
	u8 vector = frame->vector;
	struct worker *w = self();
	u32 kind;

	if (CLASS(vector) <= CLASS(w->tpr))
		note(HELD_BACK, vector, w->tpr, 0);
	if (vector == VECTOR_ONE_SHOT || vector == VECTOR_DEADLINE)
		take_timer(w, vector);
	for (kind = 0; kind < KINDS; kind++)
		if (CLASS(vector) == CLASS(first_vector[kind]))
			take_ipi(w, kind, vector);
	if (!(next_random(&w->handler_random) & 7))
		sti_nop_cli();		/* higher ones may nest */
	put_reg(APIC_EOI, 0);
}

/* ---- waiting ---- */

static bool all_taken(struct worker *w)
{
	u32 kind, to;

	for (kind = 0; kind < KINDS; kind++)
		for (to = 0; to < cpus_up; to++)
			if (flows[kind][w->id][to].got != flows[kind][w->id][to].sent)
				return false;
	return true;
}

static bool all_replied(struct worker *w)
{
	u32 i;

	for (i = 0; i < cpus_up; i++)
		if (w->asked[i] != flows[REPLY][i][w->id].got)
			return false;
	return true;
}

static bool ipis_done(struct worker *w)
{
	return all_taken(w) && all_replied(w);
}

static bool timer_done(struct worker *w)
{
	return w->timer.fires >= w->timer.min;
}

static bool has_token(struct worker *w)
{
	return w->token || stopped;
}

/* The timer will end a halt, without help and before long. */
static bool timer_is_near(struct worker *w)
{
	u64 now = rdtsc();

	return !timer_done(w) && (w->timer.due < now || w->timer.due - now < cycles_of_us(SOON_MS * 1000UL));
}

static bool wake_is_due(struct worker *w)
{
	return timer_is_near(w) || !all_replied(w);
}

static void halt(struct worker *w)
{
	w->halts++;
	sti_hlt_cli();
}

/* Interrupts are off, but for the wait itself. If it may halt, what it waits for comes with an interrupt. */
static void wait_until(struct worker *w, bool (*ready)(struct worker *w), bool may_halt, const char *what)
{
	u64 start = rdtsc();

	w->doing = what;
	while (!ready(w)) {
		if (may_halt)
			halt(w);
		else
			spin_open(1000);
		if (rdtsc() - start > cycles_of_us(patience * 1000000))
			fail(what);
	}
	w->doing = "work";
}

/* The same where the CPU that is waited for need not tell: halt only if something else is due. */
static void wait_for_ipis(struct worker *w)
{
	u64 start = rdtsc();
	bool may_halt = pick(w, 4);

	w->doing = "IPIs to be taken and answered";
	while (!ipis_done(w)) {
		if (may_halt && wake_is_due(w))
			halt(w);
		else
			spin_open(1000);
		if (rdtsc() - start > cycles_of_us(patience * 1000000))
			fail(w->doing);
	}
	w->doing = "work";
}

/* ---- the timer ---- */

/* Deadlines as far away as an exit takes, and nearer, matter most. */
static long pick_delta(struct worker *w)
{
	switch (pick(w, 10)) {
	case 0: return -(long)pick_scaled(w, 24);
	case 1: return 0;
	case 2: return pick(w, cycles_of_us(1000));
	case 3: return pick(w, cycles_of_us(5000));
	default: return pick(w, cycles_of_us(10) << pick(w, 5));
	}
}

static void put_deadline(struct timer *t, u64 deadline)
{
	t->due = deadline;
	wrmsr(MSR_TSC_DEADLINE, deadline);
}

/* The APIC's clock has 1 GHz; how exactly that and the TSC's rate fit is the host's affair, to 1 in 256. */
static void put_count(struct timer *t, u64 cycles)
{
	u32 count = cycles * 1000000 / host.tsc_khz + 1;
	u64 atleast = count * (u64)host.tsc_khz / 1000000;

	t->due = rdtsc() + atleast - atleast / 256;
	put_reg(APIC_TIMER_INIT, count);
}

static void set_mode(struct timer *t, bool one_shot)
{
	if (t->vector && t->one_shot == one_shot)
		return;
	t->one_shot = one_shot;
	t->vector = one_shot ? VECTOR_ONE_SHOT : VECTOR_DEADLINE;
	put_reg(APIC_LVT_TIMER, one_shot ? VECTOR_ONE_SHOT : APIC_DEADLINE | VECTOR_DEADLINE);
	put_reg(APIC_TIMER_DIVIDE, 0xb);
}

/* Afterwards the timer is off, has fired as often as it ever will, and the next arming's count is exact. */
static void disarm(struct worker *w)
{
	struct timer *t = &w->timer;

	if (t->fires == t->max)
		return;
	if (t->one_shot)
		put_reg(APIC_TIMER_INIT, 0);
	else
		wrmsr(MSR_TSC_DEADLINE, 0);
	if (!is_pending(t->vector)) {
		t->min = t->max = t->fires;
		return;
	}
	if (rdtsc() < t->due)
		note(EARLY, t->vector, rdtsc(), t->due);
	t->min = t->max = t->fires + 1;
	wait_until(w, timer_done, false, "the timer, which has fired before it was disarmed");
}

static void arm(struct worker *w, long delta)
{
	struct timer *t = &w->timer;

	disarm(w);
	set_mode(t, !has_deadline || !pick(w, 4));
	w->timers++;
	t->min = t->max = t->fires + 1;
	if (t->one_shot)
		put_count(t, delta > 0 ? delta : 0);
	else
		put_deadline(t, rdtsc() + delta);
}

/* Far away: in some cases so far that arithmetic may go wrong. */
static void arm_far(struct worker *w)
{
	static const u64 far[] = { NEVER, 1UL << 63, 1UL << 62, 1UL << 48 };
	struct timer *t = &w->timer;

	arm(w, cycles_of_us(2000000));
	if (!t->one_shot && pick(w, 2))
		put_deadline(t, far[pick(w, 4)]);
}

/* Move an armed timer, nearer or farther. Whether the old one fires too is known only if it is not due yet after that. */
static void move(struct worker *w)
{
	struct timer *t = &w->timer;
	u64 old = t->due;
	long delta = pick_delta(w);
	bool fired;

	if (t->min != t->max || timer_done(w))
		return;
	w->moves++;
	fired = is_pending(t->vector);
	if (fired && rdtsc() < old)
		note(EARLY, t->vector, rdtsc(), old);
	t->max++;
	if (t->one_shot)
		put_count(t, delta > 0 ? delta : 0);
	else
		put_deadline(t, rdtsc() + delta);
	if (!fired && rdtsc() < old)
		t->max--;
	else if (old < t->due)
		t->due = old;
}

static void step_timer(struct worker *w)
{
	switch (pick(w, 8)) {
	case 0:
		arm_far(w);
		if (pick(w, 2))
			spin(pick_scaled(w, 16));
		move(w);
		break;
	case 1:
		disarm(w);
		break;
	case 2:
		move(w);
		break;
	default:
		arm(w, pick_delta(w));
	}
}

/* Leave no timer behind that is not due before long. */
static void wait_for_timer(struct worker *w)
{
	if (!timer_is_near(w)) {
		disarm(w);
		return;
	}
	if (!pick(w, 4))
		spin(pick_scaled(w, 18));
	wait_until(w, timer_done, pick(w, 4), "its own timer");
}

/* ---- IPIs ---- */

static bool may_send(struct worker *w, u32 kind, u32 mask)
{
	u32 to;

	for (to = 0; to < cpus_up; to++)
		if (mask >> to & 1 && flow_of(kind, w->id, to)->got != flow_of(kind, w->id, to)->sent)
			return false;
	return true;
}

/* An interrupt to the CPUs in mask, with a reply from each if it can be told from others. */
static void send(struct worker *w, u32 kind, u32 mask, u32 dest, u32 command)
{
	bool reply = kind != SELF && kind != LOWEST && kind != TOKEN && pick(w, 4) && all_replied(w);
	u32 to;

	for (to = 0; to < cpus_up; to++) {
		if (!(mask >> to & 1))
			continue;
		flow_of(kind, w->id, to)->reply = reply;
		w->asked[to] += reply;
		count_sent(kind, w->id, to);
	}
	put_icr(dest, command | APIC_ASSERT | (first_vector[kind] + w->id));
}

static void send_multi(struct worker *w)
{
	u32 all = (1U << cpus_up) - 1, mask;

	if (!may_send(w, MULTI, all))
		return;
	switch (pick(w, 4)) {
	case 0:
		send(w, MULTI, all & ~(1U << w->id), 0, APIC_OTHERS);
		break;
	case 1:
		send(w, MULTI, all, 0, APIC_ALL);
		break;
	case 2:
		send(w, MULTI, all, x2apic ? ~0U : 0xff, 0);
		break;
	default:
		mask = 1 + pick(w, all);
		send(w, MULTI, mask, mask, APIC_LOGICAL);
	}
}

static void send_to_self(struct worker *w)
{
	u32 way = pick(w, x2apic ? 3 : 2);

	if (!may_send(w, SELF, 1U << w->id))
		return;
	if (way < 2) {
		send(w, SELF, 1U << w->id, w->id, way ? APIC_SELF : 0);
		return;
	}
	count_sent(SELF, w->id, w->id);
	put_reg(APIC_SELF_IPI, first_vector[SELF] + w->id);
}

/* It is pending, so this HLT may not sleep; nothing else need come to end it. */
static void halt_on_own_ipi(struct worker *w)
{
	send_to_self(w);
	if (all_taken(w))
		return;
	w->doing = "its IPI to itself, in HLT";
	halt(w);
	w->doing = "work";
}

static void send_one(struct worker *w)
{
	u32 to = pick(w, cpus_up), kind = pick(w, 2) ? PHYSICAL : LOGICAL;

	if (!may_send(w, kind, 1U << to))
		wait_for_ipis(w);
	if (kind == PHYSICAL)
		send(w, PHYSICAL, 1U << to, to, 0);
	else
		send(w, LOGICAL, 1U << to, 1U << to, APIC_LOGICAL);
}

static void send_lowest(struct worker *w)
{
	if (may_send(w, LOWEST, 1))
		send(w, LOWEST, 1, (1U << cpus_up) - 1, APIC_LOGICAL | APIC_LOWEST);
}

/* ---- TPR ---- */

static void set_tpr(struct worker *w, u32 tpr)
{
	if (tpr < w->tpr)
		w->tpr = tpr;
	if (use_cr8 && pick(w, 2))
		try_write_cr8(tpr >> 4);
	else
		put_reg(APIC_TPR, tpr);
	w->tpr = tpr;
}

static void with_tpr(struct worker *w)
{
	set_tpr(w, pick(w, 16) << 4);
	if (pick(w, 2))
		send_to_self(w);
	spin_open(pick_scaled(w, 18));
	if (pick(w, 2))
		set_tpr(w, pick(w, 16) << 4);
	if (pick(w, 2)) {
		sti();
		set_tpr(w, 0);
		cli();
	}
	set_tpr(w, 0);
}

/* Asleep with interrupts pending that may not wake it. */
static void halt_with_tpr(struct worker *w)
{
	if (!timer_is_near(w))
		return;
	set_tpr(w, TPR_FOR_TIMER);
	wait_until(w, timer_done, true, "its own timer, with TPR raised");
	set_tpr(w, 0);
}

/* ---- the parts ---- */

static void stop_all(void)
{
	stopped = true;
	put_icr(0, APIC_OTHERS | APIC_ASSERT | VECTOR_STOP);
}

/* Ends a halt of a CPU that nobody else may be left to wake. */
static void arm_tick(struct worker *w)
{
	struct timer *t = &w->timer;

	disarm(w);
	set_mode(t, true);
	t->min = t->max = t->fires + 1;
	put_count(t, cycles_of_us(100000));
}

static u64 rounds_of_all(void)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < cpus_up; i++)
		sum += workers[i].round;
	return sum;
}

/* CPU 0 sees to it that the others get on. */
static void watch_others(struct worker *w, u64 *seen, u64 *since)
{
	u64 now = rounds_of_all();

	arm_tick(w);
	pet_watchdog(w);
	if (now != *seen)
		*since = rdtsc();
	*seen = now;
	if (rdtsc() - *since > cycles_of_us(patience * 1000000))
		fail("the others, to finish");
}

/* The last one wakes the others. */
static void finish(struct worker *w)
{
	u64 seen = 0, since = rdtsc();

	disarm(w);
	wait_for_ipis(w);
	w->doing = "the others, to finish";
	if (__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST) == cpus_up)
		stop_all();
	while (!stopped) {
		if (!w->id)
			watch_others(w, &seen, &since);
		halt(w);
	}
	disarm(w);
	sti_nop_cli();
}

static void pass_token(struct worker *w)
{
	u32 to = pick(w, cpus_up);

	/* Its receiver's HLT and this IPI are to meet. */
	spin(pick_scaled(w, 20));
	w->token = false;
	passes++;
	if (pick(w, 4))
		send(w, TOKEN, 1U << to, to, 0);
	else
		send(w, TOKEN, 1U << to, 1U << to, APIC_LOGICAL);
}

/* Awake for a while, the token's receiver sends it back so soon that its sender is still on the way to sleep. */
static void spin_for_token(struct worker *w)
{
	u64 start = rdtsc(), cycles = pick_scaled(w, 20);

	while (!has_token(w) && rdtsc() - start < cycles)
		spin_open(100);
}

static void work_token(void *arg)
{
	struct worker *w = arg;

	while (!stopped) {
		if (pick(w, 2))
			spin_for_token(w);
		wait_until(w, has_token, true, "the token");
		pet_watchdog(w);
		if (stopped)
			break;
		w->round++;
		if (passes == rounds * cpus_up)
			stop_all();
		else
			pass_token(w);
	}
	sti_nop_cli();
}

static void work_deadlines(void *arg)
{
	struct worker *w = arg;

	for (w->round = 0; w->round < rounds; w->round++) {
		pet_watchdog(w);
		step_timer(w);
		wait_for_timer(w);
	}
	finish(w);
}

static void step(struct worker *w)
{
	switch (pick(w, 12)) {
	case 0:
		send_multi(w);
		break;
	case 1:
		send_lowest(w);
		break;
	case 2:
		halt_on_own_ipi(w);
		break;
	case 3:
		step_timer(w);
		break;
	case 4:
		wait_for_timer(w);
		break;
	case 5:
		with_tpr(w);
		break;
	case 6:
		halt_with_tpr(w);
		break;
	case 7:
		spin_open(pick_scaled(w, 18));
		break;
	case 8:
		spin(pick_scaled(w, 18));
		break;
	case 9:
		wait_for_ipis(w);
		break;
	default:
		send_one(w);
	}
}

static void work_mix(void *arg)
{
	struct worker *w = arg;

	for (w->round = 0; w->round < rounds; w->round++) {
		pet_watchdog(w);
		step(w);
		if (wake_is_due(w) && !pick(w, 4))
			halt(w);
	}
	finish(w);
}

static void prepare(void *arg)
{
	struct worker *w = arg;

	apic_enable(x2apic);
	if (!x2apic)
		apic_write(APIC_LDR, 1U << (24 + w->id));
	apic_write(APIC_TPR, 0);
}

static void on_all(void (*fn)(void *))
{
	u32 i;

	for (i = 1; i < cpus_up; i++)
		on_cpu_start(i, fn, &workers[i]);
	fn(&workers[0]);
	for (i = 1; i < cpus_up; i++)
		on_cpu_wait(i);
}

static void run_part(void (*fn)(void *))
{
	u32 i;

	finished = 0;
	stopped = false;
	for (i = 0; i < cpus_up; i++) {
		workers[i].round = 0;
		workers[i].halts = workers[i].timers = workers[i].moves = 0;
		workers[i].doing = "start";
	}
	part_start = rdtsc();
	on_all(fn);
}

static u64 part_ms(void)
{
	return (rdtsc() - part_start) / host.tsc_khz;
}

static u64 halts_of_all(void)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < cpus_up; i++)
		sum += workers[i].halts;
	return sum;
}

static u64 sent_by_all(void)
{
	u64 sum = 0;
	u32 kind, from, to;

	for (kind = 0; kind < KINDS; kind++)
		for (from = 0; from < cpus_up; from++)
			for (to = 0; to < cpus_up; to++)
				sum += flows[kind][from][to].sent;
	return sum;
}

static bool every_ipi_taken(void)
{
	u32 i;

	for (i = 0; i < cpus_up; i++)
		if (!ipis_done(&workers[i]))
			return false;
	return true;
}

static void test_token(void)
{
	workers[0].token = true;
	run_part(work_token);
	report(passes == rounds * cpus_up && every_ipi_taken(),
	       "token: every pass of it wakes its receiver (%lu passes, %lu halts, %u CPUs, seed %lu, %lu ms)", passes,
	       halts_of_all(), cpus_up, seed, part_ms());
}

static void test_deadlines(void)
{
	u64 timers = 0, moves = 0;
	u32 i;

	run_part(work_deadlines);
	for (i = 0; i < cpus_up; i++) {
		timers += workers[i].timers;
		moves += workers[i].moves;
	}
	report(true, "deadlines: every one that is not disarmed comes (%lu armed, %lu moved, %lu halts, %lu ms)", timers,
	       moves, halts_of_all(), part_ms());
}

static void test_mix(void)
{
	u64 before = sent_by_all();

	run_part(work_mix);
	report(every_ipi_taken(), "mix: every IPI arrives (%lu, %lu halts, %lu ms)", sent_by_all() - before,
	       halts_of_all(), part_ms());
}

static void report_faults(void)
{
	report(!faults[TWICE], "no interrupt comes twice (%lu)", faults[TWICE]);
	report(!faults[EARLY], "no timer fires early (%lu)", faults[EARLY]);
	report(!faults[STILL_ARMED], "a deadline that has come reads 0 (%lu)", faults[STILL_ARMED]);
	report(!faults[HELD_BACK], "TPR holds back what it should (%lu)", faults[HELD_BACK]);
}

static void set_up(void)
{
	u32 regs[4], i, turn;

	mon_info(&host);
	cpuid(1, 0, regs);
	has_deadline = regs[2] & 1 << 24;
	x2apic = !has_arg("--xapic");
	use_cr8 = !has_arg("--no-cr8");
	seed = arg_number("--seed", 1);
	rounds = arg_number("--rounds", 2000);
	patience = arg_number("--patience", 20);
	for (i = 0; i < MAX_CPUS; i++) {
		workers[i].id = i;
		workers[i].random = ((seed << 8 | i) + 1) * 0x9e3779b97f4a7c15UL;
		for (turn = 0; turn < 16; turn++)
			next_random(&workers[i].random);
		workers[i].handler_random = ~workers[i].random;
	}
	set_handler(EXC_NMI, dump);
	for (i = 0x40; i < 0x100; i++)
		if (i != VECTOR_USER_RETURN)
			set_handler(i, on_irq);
}

int payload_main(void)
{
	int reason;

	set_up();
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
	cpus_up = start_cpus();
	on_all(prepare);
	reason = catch_fatal();
	if (reason)
		fail(reason == MON_KICKED + 1 ? "anything: CPU 0 was halted or stuck" : "a way on after a fatal exit");
	pet_watchdog(&workers[0]);
	test_token();
	test_deadlines();
	test_mix();
	forget_fatal();
	mon_call(MON_KICK, 0, 0, 0, 0, 0);
	report_faults();
	return 0;
}
