/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The machine that unit tests and fuzzers run the engine in: one flat piece of guest memory, vCPUs
 * with a VMCB each, a clock that moves only when told to, and a record of what the engine asked its
 * host for.
 */
#ifndef EXEUNT_TESTS_MACHINE_H
#define EXEUNT_TESTS_MACHINE_H

#include "x86/lapic_inline.h"

#define MACHINE_TSC_KHZ		2000000ull	/* host TSC: 2 cycles a ns */
#define MACHINE_FIRST_APIC_ID	16	/* of host CPU 0 */

/* What was asked of the host on behalf of one vCPU. */
struct machine_vcpu {
	struct vcpu vcpu;	/* first: a vcpu pointer is a machine_vcpu pointer */
	u32 kicks;
	u32 posts;		/* calls of host_post() */
	u32 blocks;
	u32 timer_arms, timer_cancels;
	u64 timer_deadline;	/* host_now_ns() scale; 0 not armed */
	u32 nmis;		/* counted by the fake event_nmi() */
	u32 resets, inits;	/* counted by the fake vcpu_reset() */
	struct vcpu_stats stats;	/* until the test gives it others */
	bool off_cpu;		/* host_vcpu_on_cpu() answers the opposite */
	int started_at;		/* SIPI vector given to the fake vcpu_start_at(), or -1 */
};

struct machine {
	struct vm vm;		/* first: a vm pointer is a machine pointer */
	u8 *mem;		/* guest-physical [mem_base, mem_base + mem_size) */
	u64 mem_base, mem_size;
	u64 ro_start, ro_end;	/* guest-physical range that is read-only; empty unless set */
	bool large_pages;	/* the host maps guest memory by 2 MiB pages where it can */
	u64 pfn_offset;		/* host frame = guest frame + this; a multiple of 512 for large pages */
	int page_error;		/* not 0: what host_gfn_to_page() answers */
	u32 notifier_races;	/* so many lookups to come are overtaken by a notifier */
	u64 max_tables;		/* not 0: so many table pages can be had */
	u64 seq;		/* of the notifier: host_mmu_retry() compares it */
	bool mmu_locked;
	u64 nr_tables;		/* pages of host_table_alloc() not yet freed */
	u32 tlb_flushes;	/* calls of host_flush_tlbs() */
	u32 readers;	/* host_reader_begin() without its end */
	bool unlogged;		/* no slot has a log of what is dirty */
	u64 dirty_marks;	/* calls of host_mark_dirty() */
	u64 doorbell_gpa;	/* host_mmio_write() takes writes here; 0 none */
	u16 doorbell_port;	/* host_pio_write() takes writes here; 0 none */
	u32 doorbells;
	struct machine_vcpu *vcpus[VM_MAX_VCPUS];
};

/* The host's CPU, for the code around the entry. */
struct machine_cpu {
	u32 nr;			/* host_cpu() */
	bool preempt_off, irqs_off;
	bool in_guest_xstate;	/* between host_xstate_enter() and host_xstate_exit() */
	bool svm_off;		/* host_svm_on() answers the opposite */
	bool work;		/* host_work_pending(), until host_handle_work() has done it */
	bool exit_at_once;	/* the next entry ends before the guest's first instruction, its event delivered */
	u32 entries;		/* calls of svm_world_switch() */
	u32 irq_enables;	/* calls of host_irq_enable() */
	bool others;		/* what runs now is not the vCPU's thread: the guest, another thread, a timer */
	bool kicked;		/* another thread's kick waits for interrupts to be on: VMRUN exits at once */
	u32 doorbells;		/* that came while a guest ran */
	bool looks;		/* with AVIC: there was something to take when it looked last, and it will look again */
	u32 yields, machine_checks, route_scans, debug_loads;
	u64 dr[4];		/* the CPU's debug registers, as host_debug_load() left them */
};

extern struct machine_cpu machine_cpu;
/* What the CPU does between VMRUN and the exit: changes the VMCB and v->regs as the guest would. */
extern void (*machine_guest)(struct vcpu *v);
/*
 * What other threads do while a vCPU's thread is between an exit and the next entry. NULL: nothing. At MOMENT_HANDLED an access to an MSR
 * has just been dealt with; at MOMENT_ENTERING, when host_work_pending() is asked, what they do has to be noticed by a kick alone.
 */
extern void (*machine_others)(enum machine_moment moment);
/* What happens while host_block() waits; NULL: nothing, it returns at once. */
extern void (*machine_blocked)(struct vcpu *v);

/* Why VMRUN would refuse this VMCB (APM vol. 2, 15.5.1), or NULL. */
const char *machine_vmcb_problem(struct vcpu *v);

/*
 * What the CPU does for a guest with AVIC (15.29), as the lab's QEMU has it (lab/qemu/0005), and without. For machine_guest, about the vCPU
 * that runs. Values that are a #GP are the test's to avoid.
 */
/* The permission map makes the guest's accesses to @msr exit. */
bool machine_msr_intercepted(const struct vcpu *v, u32 msr, bool write);
/* The guest exits, at an instruction of @length. Always true: it did. */
bool machine_leave(struct vcpu *v, u32 code, u64 info_1, u64 info_2, u32 length);
/* EXITINTINFO of an event whose delivery the CPU can have been at: only types and vectors that exist. @info: as there; 0 for other types. */
u32 machine_interrupted_event(u32 type, u32 info);
/* WRMSR and RDMSR, with ECX, EDX and EAX; MOV to CR8 from RDI. True: it exits. Else it is done, and RIP behind it. */
bool machine_wrmsr(struct vcpu *v);
bool machine_rdmsr(struct vcpu *v);
bool machine_write_cr8(struct vcpu *v);
/* The guest takes the highest interrupt that the CPU has seen in IRR, if it may: from there to ISR. -1: none. */
int machine_take_from_irr(struct vcpu *v);
/* @v's guest sends @icr, wherever it runs: EXITINFO2 of its AVIC_INCOMPLETE_IPI, or IPI_COMPLETE if there is no exit. */
#define IPI_COMPLETE	~0ull
u64 machine_send_ipi(struct vcpu *v, u64 icr);
/* The host's CPU with this APIC id gets one: it looks at IRR if it is the one that runs a guest now. */
void machine_doorbell(u32 apic_id);

/* The clock, shared by all machines of a process. host_tsc() follows it at MACHINE_TSC_KHZ. */
extern u64 machine_now_ns;
/* By so much who waits in a loop moves it. */
extern u64 machine_relax_ns;
/* host_accounting() answers the opposite. */
extern bool machine_accounting_off;
/* host_zalloc() finds none. */
extern bool machine_no_memory;
/* The n-th call of host_pages_alloc() from now on finds none; 0: all do. */
extern u32 machine_pages_fail;
/* Pieces of host_pages_alloc() not yet freed. */
extern u32 machine_pages;
/* The defaults that host_mechanisms() answers. */
extern u32 machine_mechanisms;
/* What host_signal_pending() answers. */
extern bool machine_signal;
/* What host_xfeatures(), host_la57() and host_tsc_stable() answer. */
extern u64 machine_xfeatures;
extern bool machine_la57, machine_tsc_stable;
/* What host_spec_ctrl_bits() and host_cpu_switches_spec_ctrl() answer. */
extern u64 machine_spec_ctrl_bits;
extern bool machine_v_spec_ctrl;

/* A machine with @mem_size bytes of zeroed memory at 0 and no vCPU. Aborts when memory is short. */
struct machine *machine_create(u64 mem_size);
/*
 * A vCPU in the state after host_zalloc() with vm, id, run, pio_data and a zeroed VMCB; published
 * in vm.vcpu_by_id.
 */
struct vcpu *machine_add_vcpu(struct machine *m, u32 id);
/*
 * Frees all; engine objects hanging off vCPUs (lapic_free, cpuid_free) are the test's to free
 * first.
 */
void machine_free(struct machine *m);

static inline struct machine_vcpu *machine_of(struct vcpu *v) { return (struct machine_vcpu *)v; }

/*
 * Moves the clock, and lets every armed timer that is due fire (lapic_timer_expired), in order of
 * its deadline.
 */
void machine_advance(struct machine *m, u64 ns);

/* The CPU takes @vector at once: from IRR to ISR. */
static inline void machine_take(struct vcpu *v, u8 vector)
{
	lapic_offer(v, vector);
	lapic_begin_service(&v->apic, vector);
}

/*
 * What host_cpuid() answers for this leaf and sub-leaf from now on. As soon as one entry is set all
 * others answer zeros; with none set, the real CPU answers.
 */
void machine_set_cpuid(u32 leaf, u32 sub, u32 a, u32 b, u32 c, u32 d);
void machine_clear_cpuid(void);

#endif
