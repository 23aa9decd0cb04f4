// SPDX-License-Identifier: GPL-2.0
/*
 * Aggregates the exits of stock KVM's vCPUs, in the kernel, from its trace points: a row for each vCPU and kind of exit, counters for
 * each vCPU thread. Owns the meaning of the events; exits.h has what comes of it.
 *
 * A vCPU's events come on its own thread, so what a thread writes nobody else does: no lock is needed.
 *
 * Programs of the tracepoint kind read an event's record, whose fields have kept their names through years in which the arguments behind
 * them changed, and tracefs decides which of two modules with events of the same names is meant. They return 1, or perf would not see the
 * event. Raw ones save the making of the record, 230 instructions. Events that come with every exit have both, if their arguments are as
 * good, and the tool takes the raw one unless there are two such modules.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "exits.h"

char LICENSE[] SEC("license") = "GPL";

#define MINUS_EINTR		-4
#define USER_EXIT_INTR		10		/* KVM_EXIT_INTR */
#define MMIO_WRITE		2		/* KVM_TRACE_MMIO_WRITE */
#define VMX			1
#define SVM			2
#define ARM64			3
#define ARM64_TRAP		2		/* ARM_EXCEPTION_TRAP */
#define PAGE_BITS		12

/* --- What the kernel has, as far as needed; the loader finds the offsets. --- */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct trace_event_raw_kvm_exit___x86 {
	unsigned int exit_reason;
	__u32 isa;
	unsigned int vcpu_id;
};

struct trace_event_raw_kvm_exit___arm64 {
	int ret;
	unsigned int esr_ec;
};

struct trace_event_raw_kvm_userspace_exit {
	__u32 reason;
	int errno;
};

struct trace_event_raw_kvm_msr {
	unsigned int write;
	__u32 ecx;
};

struct trace_event_raw_kvm_pio {
	unsigned int rw;
	unsigned int port;
};

struct trace_event_raw_kvm_mmio {
	__u32 type;
	__u64 gpa;
};

struct trace_event_raw_kvm_fast_mmio {
	__u64 gpa;
};

struct trace_event_raw_kvm_hypercall {
	unsigned long nr;
};

struct trace_event_raw_kvm_hvc_arm64 {
	unsigned long r0;
};

struct trace_event_raw_kvm_apic_ipi {
	__u32 icr_low;
	__u32 dest_id;
};

struct trace_event_raw_kvm_inj_virq___old {
	unsigned int irq;
};

struct trace_event_raw_kvm_inj_virq {
	unsigned int vector;
	_Bool soft;
	_Bool reinjected;
};

struct trace_event_raw_kvm_inj_exception {
	__u8 exception;
	_Bool reinjected;
};

struct trace_event_raw_kvm_vcpu_wakeup {
	__u64 ns;
	_Bool waited;
};

struct trace_event_raw_kvm_halt_poll_ns {
	unsigned int new;
};

struct trace_event_raw_kvm_fpu {
	__u32 load;
};

struct task_struct {
	struct task_struct *group_leader;
	char comm[16];
	unsigned int __state;
};

struct task_struct___before_5_14 {
	long state;
};

#pragma clang attribute pop

/* --- Tables --- */

const volatile __u32 target_tgid;	/* 0: all processes */
_Bool watching;				/* set when all programs are attached: until then no event is whole */
__u64 homeless;				/* events of threads that found no room in the tables */
struct exits_thread threads[EXITS_SETS][EXITS_WAYS];

/* By a thread's id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EXITS_THREADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct exeunt_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct exits_row_key);
	__type(value, struct exeunt_row);
} rows SEC(".maps");

/* New entries are copies of these. */
static const struct exeunt_counters no_counters;
static const struct exeunt_row no_row;

/* The current thread; NULL if it is not known. */
static __always_inline struct exits_thread *known_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct exits_thread *set = threads[id & (EXITS_SETS - 1)];

	if (!watching || (target_tgid && id >> 32 != target_tgid))
		return NULL;
	for (__u32 i = 0; i < EXITS_WAYS; i++) {
		if (set[i].id == id)
			return &set[i];
	}
	return NULL;
}

static __always_inline struct exits_thread *take_place(__u64 id)
{
	struct exits_thread *set = threads[id & (EXITS_SETS - 1)];

	for (__u32 i = 0; i < EXITS_WAYS; i++) {
		if (!set[i].id && !__sync_val_compare_and_swap(&set[i].id, 0, id))
			return &set[i];
	}
	return NULL;
}

static __noinline struct exits_thread *new_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct task_struct *leader, *task = (void *)bpf_get_current_task();
	struct exits_thread *t;

	if (!watching || (target_tgid && id >> 32 != target_tgid))
		return NULL;
	t = take_place(id);
	if (!t) {
		__sync_fetch_and_add(&homeless, 1);
		return NULL;
	}
	bpf_map_update_elem(&counters, &id, &no_counters, BPF_NOEXIST);
	leader = BPF_CORE_READ(task, group_leader);
	bpf_core_read(t->process, sizeof(t->process), &leader->comm);
	return t;
}

/* The current thread, made known if need be; NULL if it is none of the target's, or there is no room. */
static __always_inline struct exits_thread *this_thread(void)
{
	struct exits_thread *t = known_thread();

	return t ? t : new_thread();
}

static __always_inline struct exeunt_counters *counters_of(const struct exits_thread *t)
{
	__u64 id = t->id;

	return bpf_map_lookup_elem(&counters, &id);
}

static __always_inline struct exeunt_counters *known_counters(void)
{
	struct exits_thread *t = known_thread();

	return t ? counters_of(t) : NULL;
}

/* A thread has so many rows; what a guest makes up beyond them, by odd MSRs or ports, goes together. */
static __noinline struct exeunt_row *new_row(struct exits_thread *t)
{
	struct exits_row_key key = { .owner = t->owner, .key = t->key };
	struct exeunt_row *row;

	if (t->nr_rows >= EXEUNT_MAX_ROWS && EXEUNT_KEY_KIND(key.key)) {
		t->rows_lost++;
		key.key |= EXEUNT_KEY(0, 0, 0, EXEUNT_DETAIL_OTHERS);
		row = bpf_map_lookup_elem(&rows, &key);
		if (row)
			return row;
	}
	if (!bpf_map_update_elem(&rows, &key, &no_row, BPF_NOEXIST))
		t->nr_rows++;
	return bpf_map_lookup_elem(&rows, &key);
}

static __always_inline struct exeunt_row *row_of(struct exits_thread *t)
{
	struct exits_row_key key = { .owner = t->owner, .key = t->key };
	struct exeunt_row *row = bpf_map_lookup_elem(&rows, &key);

	return row ? row : new_row(t);
}

/* --- Exits and entries --- */

static __always_inline __u32 reason_in_key(__u32 reason)
{
	return reason < EXITS_REASON_LARGE ? reason : EXITS_REASON_LARGE;
}

static __always_inline __u32 x86_reason(__u32 isa, __u32 reason)
{
	if (isa == VMX)
		return reason_in_key(reason & 0xffff);
	if (isa == SVM && reason == 0xffffffff)
		return EXEUNT_REASON_INVALID;
	return reason_in_key(reason);
}

static __always_inline __u32 arm64_reason(__u32 ret, __u32 class)
{
	if (ret == ARM64_TRAP)
		return reason_in_key(class);
	return EXITS_ARM64_OTHER | (ret < 0xff ? ret : 0xff);
}

static __always_inline void set_vcpu(struct exits_thread *t, __u32 vcpu)
{
	if (!t->isa)
		t->first_vcpu = vcpu;
	t->vcpu = vcpu;
	t->owner = EXITS_OWNER(t->id >> 32, (__u32)t->id, vcpu);
}

SEC("tracepoint/kvm/kvm_exit")
int record_kvm_exit(void *ctx)
{
	struct trace_event_raw_kvm_exit___arm64 *arm64 = ctx;
	struct trace_event_raw_kvm_exit___x86 *x86 = ctx;
	__u32 isa = ARM64, vcpu = EXITS_VCPU_UNKNOWN, reason;
	struct exits_thread *t = this_thread();

	if (!t)
		return 1;
	if (bpf_core_field_exists(x86->exit_reason)) {
		isa = x86->isa;
		reason = x86_reason(isa, x86->exit_reason);
		if (bpf_core_field_exists(x86->vcpu_id))
			vcpu = x86->vcpu_id;
	} else {
		reason = arm64_reason(arm64->ret, arm64->esr_ec);
	}
	if (!t->isa || t->vcpu != vcpu)
		set_vcpu(t, vcpu);
	if (t->place == EXITS_HANDLING)
		t->unaccounted++;
	t->isa = isa;
	t->key = reason | t->ahead;
	t->ahead = 0;
	t->place = EXITS_HANDLING;
	t->in_run = 1;
	t->exit_ns = bpf_ktime_get_ns();	/* last: what this program takes is not the exit's */
	return 1;
}

static __always_inline void count_exit(struct exits_thread *t, __u64 now)
{
	struct exeunt_row *row = row_of(t);

	if (row)
		exits_count(row, now - t->exit_ns);
	else
		t->unaccounted++;
}

static __always_inline void on_entry(void)
{
	__u64 now = bpf_ktime_get_ns();
	struct exits_thread *t = this_thread();

	if (!t)
		return;
	if (t->place == EXITS_HANDLING)
		count_exit(t, now);
	else if (t->place == EXITS_IN_GUEST)
		t->unaccounted++;
	t->place = EXITS_IN_GUEST;
	t->in_run = 1;
	t->ahead = 0;
}

static __always_inline void on_userspace_exit(__u32 reason, int error)
{
	struct exits_thread *t = this_thread();
	struct exeunt_counters *c = t ? counters_of(t) : NULL;

	if (!t)
		return;
	if (error < 0)
		reason = error == MINUS_EINTR ? USER_EXIT_INTR : EXEUNT_USER_ERROR;
	else if (reason > EXEUNT_USER_OTHER)
		reason = EXEUNT_USER_OTHER;
	if (c && reason < EXEUNT_USER_REASONS) {
		c->user_exits[reason]++;
		c->runs++;
	}
	t->in_run = 0;
	if (t->place == EXITS_IN_GUEST) {
		t->unaccounted++;
		t->place = EXITS_SOMEWHERE;
	}
	t->key = (t->key & ~EXEUNT_KEY(0, 0, 3, 0)) | EXEUNT_KEY(0, 0, EXEUNT_USER, 0);
}

SEC("tracepoint/kvm/kvm_entry")
int record_kvm_entry(void *ctx)
{
	on_entry();
	return 1;
}

SEC("raw_tp/kvm_entry")
int raw_kvm_entry(void *ctx)
{
	on_entry();
	return 0;
}

SEC("tracepoint/kvm/kvm_userspace_exit")
int record_kvm_userspace_exit(struct trace_event_raw_kvm_userspace_exit *ctx)
{
	on_userspace_exit(ctx->reason, ctx->errno);
	return 1;
}

SEC("raw_tp/kvm_userspace_exit")
int BPF_PROG(raw_kvm_userspace_exit, __u32 reason, int error)
{
	on_userspace_exit(reason, error);
	return 0;
}

/* --- What an exit is about --- */

/* The first that is told counts. Told in the guest, it is of the fast path, whose exit is told later. */
static __always_inline void set_kind(__u32 kind, __u64 detail)
{
	struct exits_thread *t = known_thread();

	if (!t)
		return;
	if (t->place == EXITS_HANDLING && !EXEUNT_KEY_KIND(t->key))
		t->key |= EXEUNT_KEY(0, kind, 0, detail);
	else if (t->place == EXITS_IN_GUEST && !t->ahead)
		t->ahead = EXEUNT_KEY(0, kind, EXEUNT_FAST, detail);
}

static __always_inline void on_msr(_Bool write, __u32 msr)
{
	set_kind(write ? EXEUNT_MSR_WRITE : EXEUNT_MSR_READ, msr);
}

static __always_inline void on_pio(_Bool out, __u16 port)
{
	set_kind(out ? EXEUNT_PIO_OUT : EXEUNT_PIO_IN, port);
}

static __always_inline void on_mmio(__u32 type, __u64 gpa)
{
	set_kind(type == MMIO_WRITE ? EXEUNT_MMIO_WRITE : EXEUNT_MMIO_READ, gpa >> PAGE_BITS);
}

static __always_inline void on_hypercall(__u64 nr)
{
	set_kind(EXEUNT_HYPERCALL, nr < 0xffffffff ? nr : 0xffffffff);
}

SEC("tracepoint/kvm/kvm_msr")
int record_kvm_msr(struct trace_event_raw_kvm_msr *ctx)
{
	on_msr(ctx->write, ctx->ecx);
	return 1;
}

SEC("raw_tp/kvm_msr")
int BPF_PROG(raw_kvm_msr, unsigned int write, __u32 ecx)
{
	on_msr(write, ecx);
	return 0;
}

SEC("tracepoint/kvm/kvm_pio")
int record_kvm_pio(struct trace_event_raw_kvm_pio *ctx)
{
	on_pio(ctx->rw, ctx->port);
	return 1;
}

SEC("raw_tp/kvm_pio")
int BPF_PROG(raw_kvm_pio, unsigned int rw, unsigned int port)
{
	on_pio(rw, port);
	return 0;
}

SEC("tracepoint/kvm/kvm_mmio")
int record_kvm_mmio(struct trace_event_raw_kvm_mmio *ctx)
{
	on_mmio(ctx->type, ctx->gpa);
	return 1;
}

SEC("raw_tp/kvm_mmio")
int BPF_PROG(raw_kvm_mmio, int type, int len, __u64 gpa)
{
	on_mmio(type, gpa);
	return 0;
}

SEC("tracepoint/kvm/kvm_fast_mmio")
int record_kvm_fast_mmio(struct trace_event_raw_kvm_fast_mmio *ctx)
{
	on_mmio(MMIO_WRITE, ctx->gpa);
	return 1;
}

SEC("tracepoint/kvm/kvm_hypercall")
int record_kvm_hypercall(struct trace_event_raw_kvm_hypercall *ctx)
{
	on_hypercall(ctx->nr);
	return 1;
}

SEC("raw_tp/kvm_hypercall")
int BPF_PROG(raw_kvm_hypercall, unsigned long nr)
{
	on_hypercall(nr);
	return 0;
}

SEC("tracepoint/kvm/kvm_hvc_arm64")
int record_kvm_hvc_arm64(struct trace_event_raw_kvm_hvc_arm64 *ctx)
{
	on_hypercall(ctx->r0);
	return 1;
}

/* --- Counters --- */

/* Is it one that a destination means? In logical mode a bit for each, below a cluster's number if it is an x2APIC's. */
static __always_inline _Bool one_destination(__u32 icr, __u32 dest)
{
	__u32 shorthand = icr >> 18 & 3, bits = dest > 0xff ? dest & 0xffff : dest;

	if (shorthand)
		return shorthand == 1;		/* itself */
	if (icr & 1 << 11)
		return bits && !(bits & (bits - 1));
	return dest != 0xff && dest != 0xffffffff;
}

static __always_inline void on_ipi(__u32 icr, __u32 dest)
{
	struct exeunt_counters *c = known_counters();

	if (c)
		c->ipis[icr >> 8 & 7][(icr & (3 << 18 | 1 << 11)) != 0][!one_destination(icr, dest)]++;
}

SEC("tracepoint/kvm/kvm_apic_ipi")
int record_kvm_apic_ipi(struct trace_event_raw_kvm_apic_ipi *ctx)
{
	on_ipi(ctx->icr_low, ctx->dest_id);
	return 1;
}

SEC("raw_tp/kvm_apic_ipi")
int BPF_PROG(raw_kvm_apic_ipi, __u32 icr_low, __u32 dest_id)
{
	on_ipi(icr_low, dest_id);
	return 0;
}

/* Software interrupts are not counted, and none twice because an exit came between. */
SEC("tracepoint/kvm/kvm_inj_virq")
int record_kvm_inj_virq(struct trace_event_raw_kvm_inj_virq *ctx)
{
	struct trace_event_raw_kvm_inj_virq___old *old = (void *)ctx;
	struct exeunt_counters *c = known_counters();

	if (!c || (bpf_core_field_exists(ctx->soft) && ctx->soft) ||
	    (bpf_core_field_exists(ctx->reinjected) && ctx->reinjected))
		return 1;
	if (bpf_core_field_exists(ctx->vector))
		c->interrupts[ctx->vector & 0xff]++;
	else
		c->interrupts[BPF_CORE_READ(old, irq) & 0xff]++;	/* in another way, or clang makes one access of the two */
	return 1;
}

SEC("tracepoint/kvm/kvm_inj_exception")
int record_kvm_inj_exception(struct trace_event_raw_kvm_inj_exception *ctx)
{
	struct exeunt_counters *c = known_counters();

	if (c && !(bpf_core_field_exists(ctx->reinjected) && ctx->reinjected))
		c->exceptions[ctx->exception & 31]++;
	return 1;
}

/* A halt that slept has polled before, in vain, for as long as its window is. */
SEC("tracepoint/kvm/kvm_vcpu_wakeup")
int record_kvm_vcpu_wakeup(struct trace_event_raw_kvm_vcpu_wakeup *ctx)
{
	struct exits_thread *t = known_thread();
	struct exeunt_counters *c = t ? counters_of(t) : NULL;
	__u64 ns = ctx->ns, polled;

	if (!c)
		return 1;
	c->halts++;
	if (!ctx->waited) {
		c->halt_polls++;
		c->halt_polls_won++;
		c->halt_poll_won_ns += ns;
		return 1;
	}
	polled = t->poll_window_ns < ns ? t->poll_window_ns : ns;
	if (polled) {
		c->halt_polls++;
		c->halt_poll_lost_ns += polled;
	}
	c->halt_wait_ns += ns - polled;
	return 1;
}

SEC("tracepoint/kvm/kvm_halt_poll_ns")
int record_kvm_halt_poll_ns(struct trace_event_raw_kvm_halt_poll_ns *ctx)
{
	struct exits_thread *t = known_thread();

	if (t)
		t->poll_window_ns = ctx->new;
	return 1;
}

static __always_inline void on_fpu(_Bool load)
{
	struct exits_thread *t = load ? this_thread() : NULL;

	if (!t)
		return;
	t->fpu_guest_loads++;
	t->in_run = 1;
}

SEC("tracepoint/kvm/kvm_fpu")
int record_kvm_fpu(struct trace_event_raw_kvm_fpu *ctx)
{
	on_fpu(ctx->load);
	return 1;
}

SEC("raw_tp/kvm_fpu")
int BPF_PROG(raw_kvm_fpu, int load)
{
	on_fpu(load);
	return 0;
}

/* The thread that leaves the CPU is still the current one. Every thread's switches come here. */
SEC("raw_tp/sched_switch")
int BPF_PROG(raw_sched_switch, _Bool preempt, struct task_struct *prev)
{
	struct task_struct___before_5_14 *old = (void *)prev;
	struct exits_thread *t = known_thread();
	long state;

	if (!t || !t->in_run)
		return 0;
	if (bpf_core_field_exists(prev->__state))
		state = BPF_CORE_READ(prev, __state);
	else
		state = BPF_CORE_READ(old, state);
	if (preempt || !state)
		t->preemptions++;
	return 0;
}
