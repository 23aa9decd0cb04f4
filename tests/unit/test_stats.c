// SPDX-License-Identifier: GPL-2.0
/*
 * stats.c, stats.h and what feeds them: which exits count, when, under which key and with what time; that none is lost when rows,
 * slots or memory run out; the counters; and that a reader sees each row whole while the vCPU's thread counts.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <cmocka.h>

#include "guest.h"
#include "whole.h"

#define CODE_GPA	0x8000ull
#define CODE_GVA	0x400000ull
#define TABLE_FLAGS	(PTE_P | PTE_W | PTE_U)
#define VMM_GPA		0xd0000000ull	/* no memory: accesses are the VMM's; mapped at the same address */
#define CYCLES(ns)	((u64)(ns) * (MACHINE_TSC_KHZ / 1000000))
#define STOP_CODE	0xfd0u		/* no exit code that anybody knows: ends KVM_RUN */
#define WAKE_VECTOR	0x50
#define MAX_EXITS	20000
#define NR_VCPUS	4
#define ICR_MODE(mode)	((u32)(mode) << 8)	/* of LVT entries too */

/* What the CPU does: @rax and @rcx are the guest's when it exits with @code and EXITINFO1 and 2. */
struct an_exit {
	u32 code;
	u64 info1, info2, rax, rcx;
	u8 bytes[3];		/* the instruction */
};

#define CPUID_		{ SVM_EXIT_CPUID, .bytes = { 0x0f, 0xa2 } }
#define HLT_		{ SVM_EXIT_HLT, .bytes = { 0xf4 } }
#define INTR_		{ SVM_EXIT_INTR, .bytes = { 0x90 } }
#define RDMSR_(n)	{ SVM_EXIT_MSR, .rcx = (n), .bytes = { 0x0f, 0x32 } }
#define WRMSR_(n, value) { SVM_EXIT_MSR, .info1 = 1, .rcx = (n), .rax = (value), .bytes = { 0x0f, 0x30 } }
#define OUT_(port)	{ SVM_EXIT_IOIO, .info1 = (u64)(port) << 16 | 1 << 4, .info2 = CODE_GVA + 1, .bytes = { 0xee } }
#define IN_(port)	{ SVM_EXIT_IOIO, .info1 = (u64)(port) << 16 | 1 << 4 | 1, .info2 = CODE_GVA + 1, .bytes = { 0xec } }
#define VMMCALL_(n)	{ SVM_EXIT_VMMCALL, .rax = (n), .bytes = { 0x0f, 0x01, 0xd9 } }
/* mov (%rcx), %eax and mov %eax, (%rcx) */
#define LOAD_(gpa)	{ SVM_EXIT_NPF, .info1 = 1ull << 32 | PF_USER, .info2 = (gpa), .rcx = (gpa), .bytes = { 0x8b, 0x01 } }
#define STORE_(gpa)	{ SVM_EXIT_NPF, .info1 = 1ull << 32 | PF_USER | PF_WRITE, .info2 = (gpa), .rcx = (gpa), \
			  .bytes = { 0x89, 0x01 } }

static struct guest g;
static struct machine *m;
static struct vcpu *v, *cpu[NR_VCPUS];
static const struct an_exit *script;
static unsigned int nr_script, next_exit;
static u64 guest_ns;		/* how long the guest runs at a time */
static s64 wait_ns;		/* how long a halted vCPU waits */
static bool switch_off_waiting;	/* accounting goes off while it waits */

static void play(struct vcpu *v)
{
	const struct an_exit *e = next_exit < nr_script ? &script[next_exit] : NULL;
	struct vmcb_control *c = &VMCB(v)->c;

	next_exit++;
	machine_now_ns += guest_ns;
	c->exit_code = e ? e->code : STOP_CODE;
	if (!e)
		return;
	c->exit_info_1 = e->info1;
	c->exit_info_2 = e->info2;
	VMCB(v)->s.rip = CODE_GVA;
	c->next_rip = CODE_GVA + 1 + !!e->bytes[1] + !!e->bytes[2];
	memcpy(m->mem + CODE_GPA, e->bytes, sizeof(e->bytes));
	VMCB(v)->s.rax = e->rax;
	v->regs[R_CX] = e->rcx;
	v->regs[R_DX] = 0;
}

static void wake(struct vcpu *v)
{
	machine_now_ns += wait_ns;
	machine_accounting_off |= switch_off_waiting;
	lapic_deliver(v->vm, NULL, &(struct apic_msg){ .dest = v->id, .vector = WAKE_VECTOR, .assert = true });
}

static int setup(void **state)
{
	u32 svr = 0x1ff;

	m = whole_create(1 << 20, true);
	v = cpu[0] = vm_vcpu(&m->vm, 0);
	g = (struct guest){ .m = m, .v = v };
	svm.nrip = svm.decode_assists = true;
	/* What counts does not depend on it, but whether the outcome is "fast" does. */
	m->vm.mechanisms_own = EXEUNT_FAST_PATH;
	lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
	guest_set_mode(&g, GUEST_LONG);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	VMCB(v)->s.rflags |= FLAG_IF;
	vendor_set_cr0(v, VMCB(v)->s.cr0);
	guest_map(&g, CODE_GVA, CODE_GPA, TABLE_FLAGS);
	guest_map(&g, VMM_GPA, VMM_GPA, TABLE_FLAGS);
	guest_map(&g, VMM_GPA + 4096, VMM_GPA + 4096, TABLE_FLAGS);
	guest_map(&g, APIC_DEFAULT_BASE, APIC_DEFAULT_BASE, TABLE_FLAGS);
	machine_guest = play;
	machine_blocked = wake;
	nr_script = next_exit = 0;
	guest_ns = 1000;
	wait_ns = 0;
	switch_off_waiting = false;
	return 0;
}

/* Four vCPUs, in x2APIC mode. */
static int setup_smp(void **state)
{
	u32 svr = 0x1ff;

	setup(state);
	for (u32 i = 1; i < NR_VCPUS; i++) {
		cpu[i] = whole_add_vcpu(m, i);
		lapic_mmio_write(cpu[i], APIC_DEFAULT_BASE + LAPIC_SVR, 4, &svr);
		cpu[i]->mp_state = KVM_MP_STATE_RUNNABLE;
	}
	for (u32 i = 0; i < NR_VCPUS; i++)
		assert_int_equal(lapic_set_base(cpu[i], cpu[i]->apic.base | APIC_BASE_X2APIC_BIT, true), 0);
	return 0;
}

static int teardown(void **state)
{
	machine_accounting_off = machine_no_memory = machine_signal = false;
	whole_free(m);
	return 0;
}

/* KVM_RUN until it has returned for the end of the script, as the host calls it. The calls made. */
static unsigned int run_exits(const struct an_exit *exits, unsigned int nr)
{
	unsigned int runs = 0;

	script = exits;
	nr_script = nr;
	next_exit = 0;
	do {
		int r = emulate_complete(v);

		if (r == RESUME)
			r = vcpu_run(v);
		assert_true(!r || r == -EINTR);
		stats_user_exit(v->stats, v->run->exit_reason, r);
		runs++;
	} while (next_exit <= nr && !machine_signal);
	return runs;
}

#define RUN(...) ({ \
	const struct an_exit exits_[] = { __VA_ARGS__ }; \
	run_exits(exits_, ARRAY_SIZE(exits_)); \
})

static struct exeunt_row rows[EXEUNT_MAX_ROWS];

/* The row of @key; an empty one if there is none. */
static struct exeunt_row row_of(struct vcpu *v, u64 key)
{
	u32 nr = stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS);
	struct exeunt_row none = { .key = key, .min = ~0ull };

	for (u32 i = 0; i < nr; i++)
		if (rows[i].key == key)
			return rows[i];
	return none;
}

static u64 count_of(u64 key)
{
	return row_of(v, key).count;
}

static u64 hist_sum(const struct exeunt_row *r)
{
	u64 sum = 0;

	for (u32 i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		sum += r->hist[i];
	return sum;
}

/* Of all rows: nothing is lost that was counted once. */
static u64 all_exits(void)
{
	u32 nr = stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS);
	u64 sum = 0;

	for (u32 i = 0; i < nr; i++) {
		assert_int_equal(hist_sum(&rows[i]), rows[i].count);
		sum += rows[i].count;
	}
	return sum;
}

static struct exeunt_counters counters_of(struct vcpu *v)
{
	struct exeunt_counters c;

	stats_read_counters(v->stats, &c);
	return c;
}

#define counters()	counters_of(v)

#define IN_KERNEL(reason, kind, detail)	EXEUNT_KEY(reason, kind, EXEUNT_KERNEL, detail)
#define IN_USER(reason, kind, detail)	EXEUNT_KEY(reason, kind, EXEUNT_USER, detail)
#define STOP_KEY	IN_USER(STOP_CODE, EXEUNT_PLAIN, 0)
#define CPUID_KEY	IN_KERNEL(SVM_EXIT_CPUID, EXEUNT_PLAIN, 0)
#define HLT_KEY		IN_KERNEL(SVM_EXIT_HLT, EXEUNT_PLAIN, 0)

/* An exit of @key whose time to the entry now is @cycles. */
static void count(struct vcpu *v, u64 key, u64 cycles)
{
	v->stats->key = key;
	v->stats->since = host_tsc() - cycles;
	if (!stats_enter(v->stats))
		vcpu_request(v, REQ_STATS);
}

/* The same with memory to be had before. */
static void refill_and_count(u64 key, u64 cycles)
{
	stats_refill(v->stats);
	count(v, key, cycles);
}

/* --- Buckets. --- */

/* The ABI's rule. */
static u32 bucket_of(u64 cycles)
{
	u64 x = min_t(u64, cycles >> STATS_HIST_SHIFT, U32_MAX);
	u32 e = 63 - __builtin_clzll(x | 8);

	return (e - 3) * 8 + (x >> (e - 3));
}

/* The bucket that an exit of @cycles did count in. */
static u32 bucket_used(u64 cycles)
{
	struct exeunt_row before = row_of(v, CPUID_KEY), after;
	u32 b;

	refill_and_count(CPUID_KEY, cycles);
	after = row_of(v, CPUID_KEY);
	assert_int_equal(hist_sum(&after), hist_sum(&before) + 1);
	for (b = 0; before.hist[b] == after.hist[b]; b++)
		;
	return b;
}

/* The lowest number of units that counts in @bucket, by the ABI's rule turned round. */
static u64 lowest(u32 bucket)
{
	return bucket < 16 ? bucket : (8ull + bucket % 8) << (bucket / 8 - 1);
}

static void test_every_bucket_begins_where_the_one_before_it_ends(void **state)
{
	for (u32 b = 0; b < EXEUNT_HIST_BUCKETS; b++) {
		u64 first = lowest(b) << STATS_HIST_SHIFT;

		assert_int_equal(bucket_used(first), b);
		assert_int_equal(bucket_used(first + (1u << STATS_HIST_SHIFT) - 1), b);
		if (b)
			assert_int_equal(bucket_used(first - 1), b - 1);
	}
}

static void test_no_bucket_is_wider_than_an_eighth_of_its_lower_end(void **state)
{
	for (u32 b = 16; b < EXEUNT_HIST_BUCKETS - 1; b++)
		assert_true((lowest(b + 1) - lowest(b)) * 8 <= lowest(b));
	for (u32 b = 0; b < 16; b++)
		assert_int_equal(lowest(b + 1) - lowest(b), 1);
}

static void test_the_last_bucket_takes_all_that_32_bits_do_not_hold(void **state)
{
	u64 cut = 1ull << (32 + STATS_HIST_SHIFT);

	assert_int_equal(lowest(EXEUNT_HIST_BUCKETS - 1) << STATS_HIST_SHIFT, cut - (cut >> 4));
	assert_int_equal(bucket_used(cut - 1), EXEUNT_HIST_BUCKETS - 1);
	assert_int_equal(bucket_used(cut), EXEUNT_HIST_BUCKETS - 1);
	assert_int_equal(bucket_used(S64_MAX), EXEUNT_HIST_BUCKETS - 1);
}

static void test_buckets_grow_with_time(void **state)
{
	u32 last = 0;

	for (u64 cycles = 1; cycles; cycles = cycles > S64_MAX / 101 * 100 ? 0 : cycles + cycles / 100 + 1) {
		u32 b = bucket_used(cycles);

		assert_int_equal(b, bucket_of(cycles));
		assert_true(b == last || b == last + 1);
		last = b;
	}
	assert_int_equal(last, EXEUNT_HIST_BUCKETS - 1);
}

/* --- When an exit counts, and with what time. --- */

static u64 counted_while_waiting;

static void wait_and_look(struct vcpu *v)
{
	counted_while_waiting += count_of(HLT_KEY);
	wake(v);
}

static void test_exit_counts_at_the_next_entry_with_the_time_between(void **state)
{
	struct exeunt_row r;

	counted_while_waiting = 0;
	machine_blocked = wait_and_look;
	wait_ns = 12345;
	RUN(HLT_);
	assert_int_equal(counted_while_waiting, 0);
	r = row_of(v, HLT_KEY);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.total, CYCLES(12345));
	assert_int_equal(r.min, CYCLES(12345));
	assert_int_equal(r.max, CYCLES(12345));
	assert_int_equal(r.square_lo, CYCLES(12345) * CYCLES(12345));
	assert_int_equal(r.square_hi, 0);
	assert_int_equal(r.hist[bucket_of(CYCLES(12345))], 1);
	assert_int_equal(r.reserved, 0);
}

static void test_time_of_an_exit_to_the_vmm_includes_the_vmm(void **state)
{
	struct exeunt_row r;

	run_exits(NULL, 0);
	assert_int_equal(count_of(STOP_KEY), 0);
	machine_now_ns += 777;
	run_exits(NULL, 0);
	r = row_of(v, STOP_KEY);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.total, CYCLES(777));
}

static void test_time_in_the_guest_does_not_count(void **state)
{
	guest_ns = 1000000;
	RUN(CPUID_, CPUID_, CPUID_);
	assert_int_equal(count_of(CPUID_KEY), 3);
	assert_int_equal(row_of(v, CPUID_KEY).total, 0);
	assert_int_equal(row_of(v, CPUID_KEY).min, 0);
}

static void test_every_exit_counts_once(void **state)
{
	RUN(CPUID_, HLT_, CPUID_, INTR_, OUT_(0x80), CPUID_);
	assert_int_equal(all_exits(), 6);
	RUN(CPUID_);
	assert_int_equal(all_exits(), 8);
}

static void test_entry_that_does_not_happen_counts_nothing(void **state)
{
	machine_signal = true;
	run_exits(NULL, 0);
	run_exits(NULL, 0);
	machine_signal = false;
	assert_int_equal(all_exits(), 0);
	assert_int_equal(counters().runs, 2);
	RUN(CPUID_);
	machine_signal = true;
	run_exits(NULL, 0);
	machine_signal = false;
	assert_int_equal(count_of(STOP_KEY), 0);
	machine_now_ns += 50;
	run_exits(NULL, 0);
	assert_int_equal(count_of(STOP_KEY), 1);
	assert_int_equal(row_of(v, STOP_KEY).total, CYCLES(50));
}

static void test_clock_that_goes_backwards_counts_as_no_time(void **state)
{
	wait_ns = -500000;
	RUN(HLT_);
	wait_ns = 100;
	RUN(HLT_);
	assert_int_equal(row_of(v, HLT_KEY).count, 2);
	assert_int_equal(row_of(v, HLT_KEY).total, CYCLES(100));
	assert_int_equal(row_of(v, HLT_KEY).min, 0);
	assert_int_equal(row_of(v, HLT_KEY).max, CYCLES(100));
}

/* --- Sums. --- */

/* Exits of these times, of one kind; the row that they are counted in. */
static struct exeunt_row add(const u64 *cycles, unsigned int nr)
{
	struct exeunt_row sum;

	for (unsigned int i = 0; i < nr; i++)
		refill_and_count(CPUID_KEY, cycles[i]);
	sum = row_of(v, CPUID_KEY);
	assert_int_equal(hist_sum(&sum), sum.count);
	return sum;
}

#define ADD(...) ({ \
	const u64 cycles_[] = { __VA_ARGS__ }; \
	add(cycles_, ARRAY_SIZE(cycles_)); \
})

static unsigned __int128 squares(const struct exeunt_row *r)
{
	return (unsigned __int128)r->square_hi << 64 | r->square_lo;
}

static void test_sums_of_a_row(void **state)
{
	struct exeunt_row r = ADD(100, 7, 3000000, 100, 0);

	assert_int_equal(r.count, 5);
	assert_int_equal(r.total, 3000207);
	assert_int_equal(r.min, 0);
	assert_int_equal(r.max, 3000000);
	assert_int_equal(r.square_lo, 9000000020049);
	assert_int_equal(r.hist[bucket_of(100)], 2);
	assert_int_equal(r.hist[bucket_of(3000000)], 1);
	assert_int_equal(r.reserved, 0);
}

static void test_squares_carry_into_the_upper_half(void **state)
{
	const u64 values[] = { 0xffffffff, 0x100000000, 0x123456789abc, 1ull << 62, U64_MAX >> 2 };
	unsigned __int128 want = 0;
	struct exeunt_row r;

	for (unsigned int i = 0; i < 5 * ARRAY_SIZE(values); i++) {
		u64 x = values[i % ARRAY_SIZE(values)];

		want += (unsigned __int128)x * x;
		r = ADD(x);
		assert_true(squares(&r) == want);
	}
	assert_true(r.square_hi > 0 && r.square_lo > 0);
}

/* --- Histograms: the first exits of a kind are kept one by one. --- */

static u32 seed;

static u32 random_below(u32 n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void test_histogram_holds_every_exit_from_the_first_on(void **state)
{
	u64 want[EXEUNT_HIST_BUCKETS] = { 0 };
	struct exeunt_row r;

	seed = 3;
	for (unsigned int i = 1; i <= 4 * STATS_EARLY; i++) {
		u64 cycles = (u64)random_below(1 << 24) << random_below(14);

		want[bucket_of(cycles)]++;
		r = ADD(cycles);
		assert_int_equal(r.count, i);
		assert_memory_equal(r.hist, want, sizeof(want));
	}
	assert_int_equal(counters().rows_lost, 0);
}

static void test_rows_of_many_kinds_get_their_histograms(void **state)
{
	for (unsigned int i = 0; i < 20 * STATS_EARLY; i++)
		refill_and_count(IN_KERNEL(i % 10, EXEUNT_PLAIN, 0), 16 << i % 10);
	for (unsigned int i = 0; i < 10; i++) {
		struct exeunt_row r = row_of(v, IN_KERNEL(i, EXEUNT_PLAIN, 0));

		assert_int_equal(r.count, 2 * STATS_EARLY);
		assert_int_equal(r.hist[bucket_of(16 << i)], r.count);
	}
	assert_int_equal(counters().rows_lost, 0);
}

/* What is not kept counts where the mean is; the rest of the row is exact. */
static void test_no_exit_is_lost_without_memory_for_a_histogram(void **state)
{
	unsigned int late = 100;
	struct exeunt_row r;

	refill_and_count(CPUID_KEY, 64);
	for (unsigned int i = 0; i < STATS_EARLY * STATS_SPARES; i++) {
		machine_no_memory = i >= STATS_SPARES;
		refill_and_count(IN_KERNEL(i % STATS_SPARES, EXEUNT_PLAIN, 0), 64);
	}
	for (unsigned int i = 1; i < STATS_EARLY + late; i++)
		count(v, CPUID_KEY, 64);
	r = row_of(v, CPUID_KEY);
	assert_int_equal(r.count, STATS_EARLY + late);
	assert_int_equal(r.hist[bucket_of(64)], STATS_EARLY + late);
	assert_int_equal(r.total, 64 * (STATS_EARLY + late));
	assert_int_equal(counters().rows_lost, late);
	machine_no_memory = false;
	for (unsigned int i = 0; i < 10; i++)
		refill_and_count(CPUID_KEY, 1 << 20);
	r = row_of(v, CPUID_KEY);
	assert_int_equal(r.count, STATS_EARLY + late + 10);
	assert_int_equal(hist_sum(&r), r.count);
	assert_true(r.hist[bucket_of(1 << 20)] >= 9);
	assert_true(counters().rows_lost <= late + 1);
}

/* --- Keys. --- */

static void test_plain_exits(void **state)
{
	RUN(CPUID_, INTR_, HLT_);
	assert_int_equal(count_of(CPUID_KEY), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_INTR, EXEUNT_PLAIN, 0)), 1);
	assert_int_equal(count_of(HLT_KEY), 1);
}

static void test_msr_reads_and_writes_apart_by_number(void **state)
{
	RUN(RDMSR_(0x277), RDMSR_(0x277), WRMSR_(0x277, 0), RDMSR_(0xc0000080), WRMSR_(0xffffffff, 1));
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0x277)), 2);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, 0x277)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0xc0000080)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, 0xffffffff)), 1);
	assert_int_equal(all_exits(), 5);
}

static void test_ports_in_and_out_apart_by_number(void **state)
{
	m->doorbell_port = 0xffff;
	RUN(OUT_(0x80), IN_(0x80), OUT_(0), OUT_(0xffff), IN_(0x80), OUT_(0x80), OUT_(0x80));
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, 0x80)), 3);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_IN, 0x80)), 2);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, 0)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, 0xffff)), 1);
	assert_int_equal(all_exits(), 7);
}

static void test_string_io_is_of_its_port(void **state)
{
	const struct an_exit outsb = { SVM_EXIT_IOIO, .info1 = 0x60u << 16 | 1 << 4 | 1 << 2, .bytes = { 0x6e } };

	guest_map(&g, 0, 0, TABLE_FLAGS);
	v->regs[R_SI] = 0x100;
	RUN(outsb);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, 0x60)), 1);
}

static void test_mmio_by_page(void **state)
{
	m->doorbell_gpa = VMM_GPA + 0x20;
	RUN(STORE_(VMM_GPA + 0x40), STORE_(VMM_GPA + 0xff0), LOAD_(VMM_GPA), STORE_(VMM_GPA + 0x1000), STORE_(VMM_GPA + 0x20));
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, VMM_GPA >> 12)), 2);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_READ, VMM_GPA >> 12)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, (VMM_GPA >> 12) + 1)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, VMM_GPA >> 12)), 1);
	assert_int_equal(all_exits(), 5);
}

static void test_mmio_of_the_apic_page(void **state)
{
	RUN(LOAD_(APIC_DEFAULT_BASE + LAPIC_ID), STORE_(APIC_DEFAULT_BASE + LAPIC_TPR), LOAD_(APIC_DEFAULT_BASE + LAPIC_TPR));
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_NPF, EXEUNT_MMIO_READ, APIC_DEFAULT_BASE >> 12)), 2);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, APIC_DEFAULT_BASE >> 12)), 1);
}

/* add %eax, (%rcx): the VMM reads, then writes; and a store across two pages, which goes to the VMM in two pieces. */
static void test_mmio_in_several_pieces_is_one_exit_named_after_the_first(void **state)
{
	struct an_exit rmw = STORE_(VMM_GPA + 8);

	rmw.bytes[0] = 0x01;
	assert_int_equal(run_exits(&rmw, 1), 3);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_READ, VMM_GPA >> 12)), 1);
	assert_int_equal(all_exits(), 1);
	assert_int_equal(RUN(STORE_(VMM_GPA + 0xffe)), 3);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, VMM_GPA >> 12)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, (VMM_GPA >> 12) + 1)), 0);
	assert_int_equal(all_exits(), 3);
}

static void test_fault_in_memory_is_a_plain_exit(void **state)
{
	guest_map(&g, 0x5000, 0x5000, TABLE_FLAGS);
	RUN(STORE_(0x5000));
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_NPF, EXEUNT_PLAIN, 0)), 1);
}

static void test_hypercalls_by_number(void **state)
{
	RUN(VMMCALL_(1), VMMCALL_(77), VMMCALL_(77), VMMCALL_(0xffffffff), VMMCALL_(1ull << 32), VMMCALL_(~0ull));
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, 1)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, 77)), 2);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, 0xffffffff)), 3);
}

static void test_failed_entry_has_its_own_reason(void **state)
{
	u64 efer = VMCB(v)->s.efer;

	VMCB(v)->s.efer = 0;
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	VMCB(v)->s.efer = efer;
	run_exits(NULL, 0);
	assert_int_equal(count_of(IN_USER(EXEUNT_REASON_INVALID, EXEUNT_PLAIN, 0)), 1);
}

static void signal_comes(struct vcpu *v)
{
	machine_signal = true;
}

static void test_exit_that_a_signal_takes_to_the_vmm_is_a_user_exit(void **state)
{
	machine_blocked = signal_comes;
	RUN(HLT_);
	assert_int_equal(v->run->exit_reason, KVM_EXIT_INTR);
	machine_signal = false;
	machine_blocked = wake;
	run_exits(NULL, 0);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_HLT, EXEUNT_PLAIN, 0)), 1);
	assert_int_equal(count_of(HLT_KEY), 0);
}

static void test_detail_of_one_exit_is_not_the_next_ones(void **state)
{
	RUN(RDMSR_(0x277), CPUID_, OUT_(0x80), CPUID_, VMMCALL_(5), HLT_, LOAD_(APIC_DEFAULT_BASE), CPUID_);
	assert_int_equal(count_of(CPUID_KEY), 3);
	assert_int_equal(count_of(HLT_KEY), 1);
	assert_int_equal(all_exits(), 8);
}

/* --- Many keys. --- */

static struct an_exit many[MAX_EXITS];

struct tally {
	u32 number;
	u64 count;
};

/* Runs @nr reads of MSRs drawn from @of, and compares every row's count. */
static void read_at_random(struct tally *of, unsigned int nr_of, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct tally *t = &of[random_below(nr_of)];

		many[i] = (struct an_exit)RDMSR_(t->number);
		t->count++;
	}
	run_exits(many, nr);
	for (unsigned int i = 0; i < nr_of; i++)
		assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, of[i].number)), of[i].count);
	assert_int_equal(counters().rows_lost, 0);
	assert_int_equal(count_of(STATS_LOST_KEY), 0);
}

static u32 slot_of(u32 msr)
{
	return stats_slot(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, msr));
}

/* MSRs that nobody knows, whose keys' first slot is @slot; the numbers tried so far are in @at. */
static void collide(struct tally *t, unsigned int nr, u32 slot, u32 *at)
{
	while (nr) {
		if (slot_of(*at) == slot) {
			*t++ = (struct tally){ .number = *at };
			nr--;
		}
		++*at;
	}
}

static void test_random_keys_keep_their_own_counts(void **state)
{
	struct tally t[STATS_MAX_DETAILED];

	for (seed = 1; seed < 6; seed++) {
		for (u32 i = 0; i < ARRAY_SIZE(t); i++)
			t[i] = (struct tally){ .number = 0x20000000 + 191 * i + random_below(191) };
		read_at_random(t, ARRAY_SIZE(t), MAX_EXITS / 4);
		teardown(state);
		setup(state);
	}
}

static void test_keys_of_one_slot_keep_their_own_counts(void **state)
{
	struct tally t[100];
	u32 at = 0x20000000;

	collide(t, ARRAY_SIZE(t), 1234, &at);
	read_at_random(t, ARRAY_SIZE(t), MAX_EXITS);
}

/* Where the keys of one slot are in the way of the next one's, and the last slot's go on at the first. */
static void test_keys_that_are_in_each_others_way_keep_their_own_counts(void **state)
{
	static const u32 slots[] = { STATS_SLOTS - 1, 0, 1, STATS_SLOTS - 2, 3 };
	struct tally t[30 * ARRAY_SIZE(slots)];
	u32 at = 0x20000000;

	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		collide(&t[30 * i], 30, slots[i], &at);
	read_at_random(t, ARRAY_SIZE(t), MAX_EXITS);
}

static void test_key_in_use_gets_its_first_slot(void **state)
{
	struct tally t[3];
	u32 at = 0x20000000, slot;

	collide(t, ARRAY_SIZE(t), 99, &at);
	for (unsigned int i = 0; i < 6; i++) {
		many[0] = many[1] = (struct an_exit)RDMSR_(t[i % 3].number);
		run_exits(many, 2);
		slot = v->stats->slot[99];
		assert_int_equal(v->stats->row[slot]->key, IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, t[i % 3].number));
	}
}

/* --- No row. --- */

static void test_msrs_beyond_the_limit_count_in_one_row_of_their_kind(void **state)
{
	u32 writes = 20, reads = 1000, details = 0;
	u64 others;

	for (u32 i = 0; i < writes; i++)
		many[i] = (struct an_exit)WRMSR_(0x20000000 + i, 0);
	for (u32 i = 0; i < reads; i++)
		many[writes + i] = (struct an_exit)RDMSR_(0x20000000 + i);
	run_exits(many, writes + reads);
	others = count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, EXEUNT_DETAIL_OTHERS));
	assert_int_equal(others, writes + reads - STATS_MAX_DETAILED);
	assert_int_equal(counters().rows_lost, others);
	run_exits(many, writes + reads);
	assert_int_equal(counters().rows_lost, 2 * others);
	for (u32 i = 0; i < writes; i++)
		assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, 0x20000000 + i)), 2);
	for (u32 i = 0; i < reads; i++)
		details += count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0x20000000 + i)) == 2;
	assert_int_equal(details, STATS_MAX_DETAILED - writes);
	assert_int_equal(count_of(STATS_LOST_KEY), 0);
	assert_int_equal(all_exits(), 2 * (writes + reads) + 1);
}

static void test_full_table_still_tells_reasons_and_kinds_apart(void **state)
{
	u32 n = STATS_MAX_DETAILED + 100;

	for (u32 i = 0; i < n; i++)
		many[i] = (struct an_exit)RDMSR_(0x20000000 + i);
	run_exits(many, n);
	RUN(WRMSR_(0x277, 0), OUT_(0x80), IN_(0x80), LOAD_(VMM_GPA), STORE_(VMM_GPA), VMMCALL_(5), CPUID_, HLT_, INTR_);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_IN, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_READ, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, EXEUNT_DETAIL_OTHERS)), 1);
	assert_int_equal(count_of(CPUID_KEY), 1);
	assert_int_equal(count_of(HLT_KEY), 1);
	assert_int_equal(all_exits(), n + 1 + 9);
}

/* Every row there can be, and more kinds of exit than that. */
static void test_table_without_a_free_row_loses_no_exit(void **state)
{
	struct vcpu_stats *s = v->stats;
	u64 keys = 0;

	for (u32 reason = 0; reason < 0xf00; reason += 3)
		for (u32 outcome = 0; outcome < EXEUNT_OUTCOMES; outcome++, keys++)
			refill_and_count(EXEUNT_KEY(reason, EXEUNT_PLAIN, outcome, 0), 16);
	assert_int_equal(s->nr_rows, EXEUNT_MAX_ROWS);
	assert_int_equal(all_exits(), keys);
	assert_int_equal(count_of(STATS_LOST_KEY), keys - (EXEUNT_MAX_ROWS - 1));
	assert_int_equal(counters().rows_lost, keys - (EXEUNT_MAX_ROWS - 1));
	for (u32 i = 0; i < EXEUNT_MAX_ROWS - 1; i++)
		assert_int_equal(count_of(EXEUNT_KEY(i / 3 * 3, EXEUNT_PLAIN, i % 3, 0)), 1);
}

static void test_exits_count_in_row_0_while_there_is_no_memory(void **state)
{
	u32 n = 40, own = 0;

	for (u32 i = 0; i < n; i++)
		many[i] = (struct an_exit)RDMSR_(0x20000000 + i);
	machine_no_memory = true;
	run_exits(many, n);
	for (u32 i = 0; i < n; i++)
		own += count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0x20000000 + i));
	assert_int_equal(own, STATS_SPARES);
	assert_int_equal(count_of(STATS_LOST_KEY), n - own);
	assert_int_equal(EXEUNT_KEY_REASON(STATS_LOST_KEY), EXEUNT_REASON_LOST);
	assert_int_equal(counters().rows_lost, n - own);
	assert_int_equal(all_exits(), n);
	machine_no_memory = false;
	run_exits(many, n);
	run_exits(many, n);
	for (u32 i = 0; i < n; i++)
		assert_true(count_of(IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0x20000000 + i)) >= 2);
	assert_int_equal(all_exits(), 3 * n + 2);
}

static void test_room_for_fewer_rows_gives_the_number_there_are(void **state)
{
	u32 nr;

	RUN(CPUID_, HLT_, OUT_(0x80));
	nr = stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS);
	assert_int_equal(nr, 4);
	memset(rows, 0x5a, sizeof(rows));
	assert_int_equal(stats_read_rows(v->stats, rows, 2), nr);
	assert_int_equal(rows[2].key, 0x5a5a5a5a5a5a5a5aull);
	assert_int_equal(stats_read_rows(v->stats, NULL, 0), nr);
}

static void test_statistics_that_cannot_be_made(void **state)
{
	machine_no_memory = true;
	assert_null(stats_create());
	machine_no_memory = false;
	stats_destroy(NULL);
}

/* --- The switch. --- */

static void test_switched_off_nothing_counts(void **state)
{
	static const struct exeunt_counters zeros;
	struct exeunt_counters c;

	machine_accounting_off = true;
	event_exception(v, VEC_UD);
	event_nmi(v);
	RUN(CPUID_, HLT_, RDMSR_(0x277), OUT_(0x80), LOAD_(VMM_GPA), VMMCALL_(1), STORE_(APIC_DEFAULT_BASE + LAPIC_TPR));
	lapic_icr_write(v, (u64)APIC_SELF << 18 | 0x60);
	assert_int_equal(stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS), 1);
	assert_int_equal(rows[0].count, 0);
	c = counters();
	assert_memory_equal(&c, &zeros, sizeof(c));
}

static void test_exit_before_the_switch_goes_off_does_not_count_later(void **state)
{
	wait_ns = 100;
	switch_off_waiting = true;
	RUN(HLT_, CPUID_, OUT_(0x80), CPUID_);
	switch_off_waiting = machine_accounting_off = false;
	machine_now_ns += 1000000000;
	RUN(CPUID_);
	assert_int_equal(count_of(HLT_KEY), 0);
	assert_int_equal(count_of(CPUID_KEY), 1);
	assert_int_equal(all_exits(), 1);
	assert_int_equal(row_of(v, CPUID_KEY).total, 0);
}

/* Off and on again while an exit is dealt with: it counts, with its own time. */
static void test_switch_that_is_on_again_at_the_next_entry(void **state)
{
	RUN(CPUID_);
	machine_accounting_off = true;
	machine_now_ns += 300;
	machine_accounting_off = false;
	RUN(CPUID_);
	assert_int_equal(row_of(v, STOP_KEY).count, 1);
	assert_int_equal(row_of(v, STOP_KEY).total, CYCLES(300));
	assert_int_equal(count_of(CPUID_KEY), 2);
}

static void test_exit_before_the_switch_goes_on_does_not_count(void **state)
{
	machine_accounting_off = true;
	RUN(CPUID_, OUT_(0x80), RDMSR_(0x277));
	machine_accounting_off = false;
	machine_now_ns += 1000000000;
	RUN(CPUID_);
	assert_int_equal(all_exits(), 1);
	assert_int_equal(count_of(CPUID_KEY), 1);
}

static void flip(struct vcpu *v)
{
	machine_accounting_off = random_below(2);
	play(v);
	if (random_below(2))
		machine_accounting_off = !machine_accounting_off;
}

static void flip_waiting(struct vcpu *v)
{
	machine_accounting_off = random_below(2);
	wake(v);
	if (random_below(4) == 0)
		machine_accounting_off = !machine_accounting_off;
}

/* Whatever the moments: keys are those of exits that were made, and no time is longer than the longest there was. */
static void test_switch_at_any_moment_gives_no_exit_that_never_was(void **state)
{
	static const struct an_exit kinds[] = { CPUID_, HLT_, OUT_(0x80), RDMSR_(0x277), LOAD_(VMM_GPA), VMMCALL_(3) };
	const u64 keys[] = {
		CPUID_KEY, HLT_KEY, IN_USER(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, 0x80),
		IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_READ, 0x277), IN_USER(SVM_EXIT_NPF, EXEUNT_MMIO_READ, VMM_GPA >> 12),
		IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, 3), STOP_KEY, STATS_LOST_KEY,
		/* The switch went on when the exit's detail was known already. */
		IN_USER(SVM_EXIT_IOIO, EXEUNT_PLAIN, 0), IN_KERNEL(SVM_EXIT_MSR, EXEUNT_PLAIN, 0),
		IN_USER(SVM_EXIT_NPF, EXEUNT_PLAIN, 0), IN_KERNEL(SVM_EXIT_VMMCALL, EXEUNT_PLAIN, 0),
	};
	u32 nr, k;

	seed = 7;
	wait_ns = 100;
	machine_guest = flip;
	machine_blocked = flip_waiting;
	for (unsigned int i = 0; i < MAX_EXITS; i++)
		many[i] = kinds[random_below(ARRAY_SIZE(kinds))];
	run_exits(many, MAX_EXITS);
	assert_true(all_exits() > MAX_EXITS / 10);
	assert_true(all_exits() < MAX_EXITS);
	nr = stats_read_rows(v->stats, rows, EXEUNT_MAX_ROWS);
	for (u32 i = 0; i < nr; i++) {
		for (k = 0; k < ARRAY_SIZE(keys) && keys[k] != rows[i].key; k++)
			;
		assert_true(k < ARRAY_SIZE(keys));
		assert_true(rows[i].max <= CYCLES(wait_ns));
	}
}

/* --- Counters. --- */

static void test_returns_of_kvm_run_by_reason(void **state)
{
	unsigned int runs = RUN(OUT_(0x80), IN_(0x80), LOAD_(VMM_GPA), STORE_(VMM_GPA));
	struct exeunt_counters c = counters();

	assert_int_equal(c.user_exits[KVM_EXIT_IO], 2);
	assert_int_equal(c.user_exits[KVM_EXIT_MMIO], 2);
	assert_int_equal(c.user_exits[KVM_EXIT_INTERNAL_ERROR], 1);
	assert_int_equal(c.runs, runs);
	machine_signal = true;
	run_exits(NULL, 0);
	assert_int_equal(counters().user_exits[KVM_EXIT_INTR], 1);
	assert_int_equal(counters().runs, runs + 1);
}

static void test_any_exit_reason_that_a_vmm_writes_is_within_the_table(void **state)
{
	static const struct { u32 reason; int r; bool signal; u32 index; } cases[] = {
		{ 0, 0, false, 0 }, { 60, 0, false, 60 }, { EXEUNT_USER_IMMEDIATE, 0, false, EXEUNT_USER_OTHER },
		{ EXEUNT_USER_OTHER, 0, false, EXEUNT_USER_OTHER }, { EXEUNT_USER_ERROR, 0, true, EXEUNT_USER_OTHER },
		{ 64, 0, false, EXEUNT_USER_OTHER }, { 0x7fffffff, 0, false, EXEUNT_USER_OTHER },
		{ 0x80000000, 0, false, EXEUNT_USER_OTHER }, { U32_MAX, 0, false, EXEUNT_USER_OTHER },
		{ U32_MAX, -EINTR, true, KVM_EXIT_INTR }, { 5, -EINTR, true, KVM_EXIT_INTR },
		{ 5, -EINTR, false, EXEUNT_USER_IMMEDIATE }, { U32_MAX, -EFAULT, false, EXEUNT_USER_ERROR },
		{ 2, -EIO, true, EXEUNT_USER_ERROR }, { 64, -ENOMEM, false, EXEUNT_USER_ERROR },
	};
	struct exeunt_counters before, after;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		before = counters();
		machine_signal = cases[i].signal;
		stats_user_exit(v->stats, cases[i].reason, cases[i].r);
		after = counters();
		before.user_exits[cases[i].index]++;
		before.runs++;
		assert_memory_equal(before.user_exits, after.user_exits, sizeof(before.user_exits));
		assert_int_equal(before.runs, after.runs);
		assert_memory_equal(before.interrupts, after.interrupts, sizeof(before.interrupts));
	}
}

/* Once for each KVM_RUN, and again when it had left the CPU in between. */
static void test_loads_of_the_vector_state(void **state)
{
	unsigned int runs = RUN(OUT_(0x80), OUT_(0x80));

	assert_int_equal(counters().fpu_guest_loads, runs);
	v->stats->fpu_reloads = 4;
	assert_int_equal(counters().fpu_guest_loads, runs + 4);
}

static void take(struct vcpu *v)
{
	play(v);
	VMCB(v)->c.int_ctl &= ~V_IRQ_BIT;
}

static void irq(u8 vector)
{
	lapic_deliver(&m->vm, NULL, &(struct apic_msg){ .vector = vector, .assert = true });
}

static u64 sum(const u64 *values, unsigned int nr)
{
	u64 n = 0;

	while (nr--)
		n += values[nr];
	return n;
}

static void test_interrupt_counts_when_it_is_taken(void **state)
{
	struct exeunt_counters c;

	irq(0x51);
	RUN(CPUID_, CPUID_, CPUID_);
	c = counters();
	assert_int_equal(sum(c.interrupts, 256), 0);
	machine_guest = take;
	RUN(CPUID_);
	irq(0xff);
	RUN(CPUID_);
	c = counters();
	assert_int_equal(c.interrupts[0x51], 1);
	assert_int_equal(c.interrupts[0xff], 1);
	assert_int_equal(sum(c.interrupts, 256), 2);
}

static void test_interrupt_of_the_vmms_pic_counts_too(void **state)
{
	u32 lint0 = ICR_MODE(APIC_EXTINT);

	assert_true(lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_LVT_LINT0, 4, &lint0));
	assert_int_equal(event_extint(v, 0), 0);
	machine_guest = take;
	RUN(CPUID_);
	assert_int_equal(counters().interrupts[0], 1);
}

/* The CPU took it, and an exit interrupted its delivery: it is injected again, and counted once. */
static void delivery_is_interrupted(struct vcpu *v)
{
	play(v);
	if (next_exit == 1) {
		VMCB(v)->c.int_ctl &= ~V_IRQ_BIT;
		VMCB(v)->c.exit_int_info = EVENT_VALID | EVENT_TYPE_INTR | 0x51;
	}
}

static void test_interrupt_that_is_injected_again_counts_once(void **state)
{
	irq(0x51);
	machine_guest = delivery_is_interrupted;
	RUN(INTR_, CPUID_);
	assert_int_equal(counters().interrupts[0x51], 1);
}

static void test_exceptions_count_by_vector(void **state)
{
	event_exception(v, VEC_UD);
	RUN(RDMSR_(0x20000000), RDMSR_(0x20000001), CPUID_);
	assert_int_equal(counters().exceptions[VEC_UD], 1);
	assert_int_equal(counters().exceptions[VEC_GP], 2);
	assert_int_equal(sum(counters().exceptions, 32), 3);
}

static void test_exception_whose_entry_did_not_happen_counts_once(void **state)
{
	event_exception(v, VEC_UD);
	machine_signal = true;
	run_exits(NULL, 0);
	run_exits(NULL, 0);
	machine_signal = false;
	RUN(CPUID_);
	assert_int_equal(sum(counters().exceptions, 32), 1);
}

/* The guest's own, which an exit interrupted. */
static void test_exception_of_the_guest_does_not_count(void **state)
{
	event_requeue(v, EVENT_EXCEPTION, VEC_PF, true, 2);
	RUN(CPUID_);
	assert_int_equal(sum(counters().exceptions, 32), 0);
}

static void test_nmis_count_when_injected(void **state)
{
	event_nmi(v);
	assert_int_equal(counters().nmis, 0);
	machine_signal = true;
	run_exits(NULL, 0);
	machine_signal = false;
	RUN(CPUID_);
	assert_int_equal(counters().nmis, 1);
	RUN(CPUID_);
	assert_int_equal(counters().nmis, 1);
}

/* --- IPIs. --- */

#define ICR_LOGICAL	(1u << 11)
#define ICR_TO(short)	((u32)(short) << 18)
#define BROADCAST	0xffffffffull

enum { PHYSICAL, LOGICAL };
enum { ONE, SEVERAL };

/* Sends from vCPU 0, and checks that @mode, @dest, @several count one more and only they. */
static void expect_ipi(u64 dest, u32 low, u32 mode, u32 logical, u32 several)
{
	struct exeunt_counters before = counters(), after;

	assert_int_equal(lapic_icr_write(v, dest << 32 | low), 0);
	after = counters();
	before.ipis[mode][logical][several]++;
	assert_memory_equal(before.ipis, after.ipis, sizeof(before.ipis));
}

static void expect_targets(u32 several, u64 self, u64 running, u64 outside, u64 halted, u64 preempted)
{
	const u64 want[EXEUNT_TARGETS] = { self, running, outside, halted, preempted };
	struct exeunt_counters c = counters();

	assert_memory_equal(c.ipi_targets[several], want, sizeof(want));
}

static void test_ipis_by_mode_and_destination(void **state)
{
	expect_ipi(1, 0x60, APIC_FIXED, PHYSICAL, ONE);
	expect_ipi(0, 0x60, APIC_FIXED, PHYSICAL, ONE);
	expect_ipi(1, ICR_MODE(APIC_NMI), APIC_NMI, PHYSICAL, ONE);
	expect_ipi(1, ICR_MODE(APIC_INIT), APIC_INIT, PHYSICAL, ONE);
	expect_ipi(1, ICR_MODE(APIC_SIPI) | 0x9a, APIC_SIPI, PHYSICAL, ONE);
	expect_ipi(0xe, ICR_LOGICAL | ICR_MODE(APIC_LOWEST) | 0x60, APIC_LOWEST, LOGICAL, ONE);
	expect_ipi(2, ICR_LOGICAL | 0x60, APIC_FIXED, LOGICAL, ONE);
	expect_ipi(6, ICR_LOGICAL | 0x60, APIC_FIXED, LOGICAL, SEVERAL);
	expect_ipi(0, ICR_TO(APIC_SELF) | 0x60, APIC_FIXED, LOGICAL, ONE);
	expect_ipi(0, ICR_TO(APIC_ALL) | 0x60, APIC_FIXED, LOGICAL, SEVERAL);
	expect_ipi(0, ICR_TO(APIC_OTHERS) | ICR_MODE(APIC_NMI), APIC_NMI, LOGICAL, SEVERAL);
	expect_ipi(BROADCAST, 0x60, APIC_FIXED, PHYSICAL, SEVERAL);
	assert_int_equal(sum(&counters().ipis[0][0][0], 32), 12);
}

static void switch_apic_off(struct vcpu *v)
{
	assert_int_equal(lapic_x2apic_write(v, 0x800 + LAPIC_SVR / 16, 0xff), 0);
}

static void test_ipi_that_nobody_takes(void **state)
{
	lapic_icr_write(v, 77ull << 32 | 0x60);
	lapic_icr_write(v, 77ull << 32 | ICR_MODE(APIC_NMI));
	lapic_icr_write(v, 0x10001ull << 32 | ICR_LOGICAL | 0x60);
	assert_int_equal(counters().ipis_untaken, 3);
	switch_apic_off(cpu[1]);
	lapic_icr_write(v, 1ull << 32 | 0x60);
	lapic_icr_write(v, 2ull << 32 | ICR_LOGICAL | 0x60);
	assert_int_equal(counters().ipis_untaken, 5);
	switch_apic_off(v);
	lapic_icr_write(v, ICR_TO(APIC_SELF) | 0x60);
	assert_int_equal(counters().ipis_untaken, 6);
	assert_int_equal(sum(&counters().ipis[0][0][0], 32), 0);
	expect_targets(ONE, 0, 0, 0, 0, 0);
	expect_targets(SEVERAL, 0, 0, 0, 0, 0);
}

static void test_only_who_takes_an_ipi_is_a_target(void **state)
{
	switch_apic_off(cpu[2]);
	expect_ipi(0, ICR_TO(APIC_ALL) | 0x60, APIC_FIXED, LOGICAL, SEVERAL);
	expect_targets(SEVERAL, 1, 0, 2, 0, 0);
	switch_apic_off(cpu[3]);
	expect_ipi(0, ICR_TO(APIC_OTHERS) | 0x60, APIC_FIXED, LOGICAL, ONE);
	expect_targets(ONE, 0, 0, 1, 0, 0);
	expect_targets(SEVERAL, 1, 0, 2, 0, 0);
	assert_int_equal(counters().ipis_untaken, 0);
}

static void test_ipi_with_a_vector_that_cannot_be_is_not_sent(void **state)
{
	lapic_icr_write(v, 1ull << 32 | 5);
	lapic_icr_write(v, ICR_TO(APIC_SELF) | 5);
	assert_int_equal(lapic_x2apic_write(v, 0x800 + LAPIC_SELF_IPI / 16, 5), 0);
	assert_int_equal(sum(&counters().ipis[0][0][0], 32), 0);
	assert_int_equal(counters().ipis_untaken, 0);
}

static void test_ipi_through_the_self_ipi_register(void **state)
{
	assert_int_equal(lapic_x2apic_write(v, 0x800 + LAPIC_SELF_IPI / 16, 0x60), 0);
	assert_int_equal(counters().ipis[APIC_FIXED][LOGICAL][ONE], 1);
	expect_targets(ONE, 1, 0, 0, 0, 0);
}

static void test_ipi_through_the_mmio_registers(void **state)
{
	u32 high = 0, low = 0x60;

	assert_true(lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_ICR_HIGH, 4, &high));
	assert_true(lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_ICR, 4, &low));
	assert_int_equal(counters().ipis[APIC_FIXED][PHYSICAL][ONE], 1);
	expect_targets(ONE, 1, 0, 0, 0, 0);
}

static void test_states_of_one_target(void **state)
{
	lapic_icr_write(v, 0x60);
	lapic_icr_write(v, ICR_TO(APIC_SELF) | 0x60);
	expect_targets(ONE, 2, 0, 0, 0, 0);
	cpu[1]->mode = IN_GUEST;
	lapic_icr_write(v, 1ull << 32 | 0x60);
	expect_targets(ONE, 2, 1, 0, 0, 0);
	cpu[1]->mode = OUTSIDE_GUEST;
	lapic_icr_write(v, 1ull << 32 | 0x60);
	expect_targets(ONE, 2, 1, 1, 0, 0);
	cpu[1]->mp_state = KVM_MP_STATE_HALTED;
	lapic_icr_write(v, 1ull << 32 | 0x60);
	machine_of(cpu[1])->off_cpu = true;
	lapic_icr_write(v, 1ull << 32 | ICR_MODE(APIC_NMI));
	cpu[1]->mp_state = KVM_MP_STATE_INIT_RECEIVED;
	lapic_icr_write(v, 1ull << 32 | ICR_MODE(APIC_SIPI) | 0x9a);
	expect_targets(ONE, 2, 1, 1, 3, 0);
	cpu[1]->mp_state = KVM_MP_STATE_RUNNABLE;
	lapic_icr_write(v, 1ull << 32 | 0x60);
	expect_targets(ONE, 2, 1, 1, 3, 1);
	expect_targets(SEVERAL, 0, 0, 0, 0, 0);
}

static void test_states_of_several_targets(void **state)
{
	cpu[1]->mode = IN_GUEST;
	cpu[2]->mp_state = KVM_MP_STATE_HALTED;
	machine_of(cpu[3])->off_cpu = true;
	lapic_icr_write(v, ICR_TO(APIC_ALL) | 0x60);
	expect_targets(SEVERAL, 1, 1, 0, 1, 1);
	machine_of(cpu[3])->off_cpu = false;
	lapic_icr_write(v, ICR_TO(APIC_OTHERS) | 0x60);
	expect_targets(SEVERAL, 1, 2, 1, 2, 1);
	lapic_icr_write(v, (u64)6 << 32 | ICR_LOGICAL | 0x60);
	expect_targets(SEVERAL, 1, 3, 1, 3, 1);
	expect_targets(ONE, 0, 0, 0, 0, 0);
}

static void test_interrupts_from_outside_are_no_ipis(void **state)
{
	irq(0x60);
	lapic_deliver_msi(&m->vm, 0xfee00000, 0, 0x61);
	assert_int_equal(sum(&counters().ipis[0][0][0], 32), 0);
	expect_targets(ONE, 0, 0, 0, 0, 0);
}

static void test_ipis_count_for_the_sender(void **state)
{
	lapic_icr_write(cpu[1], 0x60);
	assert_int_equal(sum(&counters().ipis[0][0][0], 32), 0);
	assert_int_equal(counters_of(cpu[1]).ipis[APIC_FIXED][PHYSICAL][ONE], 1);
}

/* --- A reader. --- */

#define WRITER_EXITS	1500000
#define WRITER_KEYS	200	/* two exits out of three have the first */

/* Times that have a bucket each: what a row's histogram adds up to can be computed from it exactly. */
static u64 writer_cycles(u32 i)
{
	return 16ull << i % 32;
}

static u64 writer_key(u32 i)
{
	return IN_KERNEL(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, i % 3 ? 0 : i / 300 % WRITER_KEYS);
}

static void write_exit(struct vcpu *v, u32 i)
{
	count(v, writer_key(i), writer_cycles(i));
	v->stats->counters.runs++;
}

static volatile bool writer_done;

static void *count_fast(void *arg)
{
	struct vcpu *v = arg;

	for (u32 i = 0; i < WRITER_EXITS; i++) {
		write_exit(v, i);
		stats_refill(v->stats);
	}
	writer_done = true;
	return NULL;
}

static bool is_whole(const struct exeunt_row *r)
{
	unsigned __int128 square = 0;
	u64 total = 0, n;

	for (u32 i = 0; i < 32; i++) {
		n = r->hist[bucket_of(writer_cycles(i))];
		total += n * writer_cycles(i);
		square += (unsigned __int128)n * writer_cycles(i) * writer_cycles(i);
	}
	return hist_sum(r) == r->count && total == r->total && squares(r) == square && !r->reserved &&
	       (!r->count || (r->hist[bucket_of(r->min)] && r->hist[bucket_of(r->max)]));
}

/* One reading of @room rows. Those that were torn, or had more exits in the reading before, whose counts are in @last. */
static u32 count_bad_rows(struct vcpu_stats *s, u64 *last, u32 room)
{
	u32 nr = min_t(u32, stats_read_rows(s, rows, room), room), bad = 0;

	for (u32 i = 0; i < nr; i++) {
		bad += !is_whole(&rows[i]) || rows[i].count < last[i];
		last[i] = rows[i].count;
	}
	return bad;
}

static void test_reader_sees_rows_whole_while_the_vcpu_counts(void **state)
{
	u64 last[EXEUNT_MAX_ROWS] = { 0 };
	u32 bad = 0, reads = 0;
	pthread_t writer;

	writer_done = false;
	machine_relax_ns = 0;	/* the clock is the writer's */
	assert_int_equal(pthread_create(&writer, NULL, count_fast, v), 0);
	for (; !writer_done; reads++)
		bad += count_bad_rows(v->stats, last, reads % 8 ? 2 : EXEUNT_MAX_ROWS);
	pthread_join(writer, NULL);
	machine_relax_ns = 1;
	assert_int_equal(bad, 0);
	assert_true(reads > 1);
	assert_int_equal(all_exits(), WRITER_EXITS);
	assert_int_equal(counters().runs, WRITER_EXITS);
}

#define INTERRUPTIONS	3000

static volatile u32 interruptions;

static void interrupted(int sig)
{
	write_exit(v, 2 * interruptions);
	write_exit(v, 2 * interruptions + 1);
	interruptions++;
}

/* The same on one CPU, where a reader is overtaken only when it is interrupted. */
static void test_reader_that_exits_overtake_reads_again(void **state)
{
	const struct itimerval often = { { 0, 30 }, { 0, 30 } }, never = { { 0, 0 }, { 0, 0 } };
	u64 last[EXEUNT_MAX_ROWS] = { 0 };
	u32 bad = 0;

	interruptions = 0;
	for (u32 i = 0; i < WRITER_KEYS; i++) {
		write_exit(v, 300 * i);
		stats_refill(v->stats);
	}
	signal(SIGALRM, interrupted);
	setitimer(ITIMER_REAL, &often, NULL);
	while (interruptions < INTERRUPTIONS)
		bad += count_bad_rows(v->stats, last, 2);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(bad, 0);
	assert_int_equal(all_exits(), WRITER_KEYS + 2 * interruptions);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define SMP_CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup_smp, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_bucket_begins_where_the_one_before_it_ends),
		CASE(no_bucket_is_wider_than_an_eighth_of_its_lower_end),
		CASE(the_last_bucket_takes_all_that_32_bits_do_not_hold),
		CASE(buckets_grow_with_time),
		CASE(exit_counts_at_the_next_entry_with_the_time_between),
		CASE(time_of_an_exit_to_the_vmm_includes_the_vmm),
		CASE(time_in_the_guest_does_not_count),
		CASE(every_exit_counts_once),
		CASE(entry_that_does_not_happen_counts_nothing),
		CASE(clock_that_goes_backwards_counts_as_no_time),
		CASE(sums_of_a_row),
		CASE(squares_carry_into_the_upper_half),
		CASE(histogram_holds_every_exit_from_the_first_on),
		CASE(rows_of_many_kinds_get_their_histograms),
		CASE(no_exit_is_lost_without_memory_for_a_histogram),
		CASE(plain_exits),
		CASE(msr_reads_and_writes_apart_by_number),
		CASE(ports_in_and_out_apart_by_number),
		CASE(string_io_is_of_its_port),
		CASE(mmio_by_page),
		CASE(mmio_of_the_apic_page),
		CASE(mmio_in_several_pieces_is_one_exit_named_after_the_first),
		CASE(fault_in_memory_is_a_plain_exit),
		CASE(hypercalls_by_number),
		CASE(failed_entry_has_its_own_reason),
		CASE(exit_that_a_signal_takes_to_the_vmm_is_a_user_exit),
		CASE(detail_of_one_exit_is_not_the_next_ones),
		CASE(random_keys_keep_their_own_counts),
		CASE(keys_of_one_slot_keep_their_own_counts),
		CASE(keys_that_are_in_each_others_way_keep_their_own_counts),
		CASE(key_in_use_gets_its_first_slot),
		CASE(msrs_beyond_the_limit_count_in_one_row_of_their_kind),
		CASE(full_table_still_tells_reasons_and_kinds_apart),
		CASE(table_without_a_free_row_loses_no_exit),
		CASE(exits_count_in_row_0_while_there_is_no_memory),
		CASE(room_for_fewer_rows_gives_the_number_there_are),
		CASE(statistics_that_cannot_be_made),
		CASE(switched_off_nothing_counts),
		CASE(exit_before_the_switch_goes_off_does_not_count_later),
		CASE(switch_that_is_on_again_at_the_next_entry),
		CASE(exit_before_the_switch_goes_on_does_not_count),
		CASE(switch_at_any_moment_gives_no_exit_that_never_was),
		CASE(returns_of_kvm_run_by_reason),
		CASE(any_exit_reason_that_a_vmm_writes_is_within_the_table),
		CASE(loads_of_the_vector_state),
		CASE(interrupt_counts_when_it_is_taken),
		CASE(interrupt_of_the_vmms_pic_counts_too),
		CASE(interrupt_that_is_injected_again_counts_once),
		CASE(exceptions_count_by_vector),
		CASE(exception_whose_entry_did_not_happen_counts_once),
		CASE(exception_of_the_guest_does_not_count),
		CASE(nmis_count_when_injected),
		SMP_CASE(ipis_by_mode_and_destination),
		SMP_CASE(ipi_that_nobody_takes),
		SMP_CASE(only_who_takes_an_ipi_is_a_target),
		SMP_CASE(ipi_with_a_vector_that_cannot_be_is_not_sent),
		SMP_CASE(ipi_through_the_self_ipi_register),
		CASE(ipi_through_the_mmio_registers),
		SMP_CASE(states_of_one_target),
		SMP_CASE(states_of_several_targets),
		SMP_CASE(interrupts_from_outside_are_no_ipis),
		SMP_CASE(ipis_count_for_the_sender),
		CASE(reader_sees_rows_whole_while_the_vcpu_counts),
		CASE(reader_that_exits_overtake_reads_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
