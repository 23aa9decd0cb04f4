/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Exeunt's statistics as the kernel gives them to programs: what a vCPU's exits were, how long they took and what came of them.
 * For all VMs at once, for the administrator. (A VMM reads its own VM's with KVM_GET_STATS_FD, as on KVM.)
 *
 * Open /dev/exeunt, ask EXEUNT_GET_INFO for the version, then EXEUNT_OPEN_STATS for a session: a descriptor that takes
 * EXEUNT_LIST_VMS and EXEUNT_READ_VCPU. While any session is open the statistics of VMs that end are kept (of the last
 * EXEUNT_MAX_ENDED to end, and EXEUNT_MAX_ENDED_VCPUS), so that the last exits are not lost to who watches. Reading stops no vCPU and waits for none.
 */
#ifndef EXEUNT_STATS_H
#define EXEUNT_STATS_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define EXEUNT_STATS_VERSION	1

/*
 * A key tells what an exit was: bits 11..0 the reason, which is the architecture's exit code (SVM: EXITCODE; VMX: basic exit reason;
 * arm64: exception class), EXEUNT_REASON_INVALID when the entry failed; bits 15..12 enum exeunt_kind; 17..16 enum exeunt_outcome;
 * 63..18 the detail that belongs to the kind.
 */
#define EXEUNT_REASON_INVALID	0xfffu		/* VMRUN or VMLAUNCH refused the guest's state */
#define EXEUNT_REASON_LOST	0xffeu		/* exits for which there was no row and no memory, whatever their reason */
#define EXEUNT_KIND_SHIFT	12
#define EXEUNT_OUTCOME_SHIFT	16
#define EXEUNT_DETAIL_SHIFT	18
#define EXEUNT_DETAIL_OTHERS	((1ull << 46) - 1)	/* all that found no row of their own any more */

#define EXEUNT_KEY(reason, kind, outcome, detail) \
	((__u64)(reason) | (__u64)(kind) << EXEUNT_KIND_SHIFT | (__u64)(outcome) << EXEUNT_OUTCOME_SHIFT | \
	 (__u64)(detail) << EXEUNT_DETAIL_SHIFT)
#define EXEUNT_KEY_REASON(key)	((unsigned int)(key) & 0xfffu)
#define EXEUNT_KEY_KIND(key)	((unsigned int)((key) >> EXEUNT_KIND_SHIFT) & 0xfu)
#define EXEUNT_KEY_OUTCOME(key)	((unsigned int)((key) >> EXEUNT_OUTCOME_SHIFT) & 3u)
#define EXEUNT_KEY_DETAIL(key)	((__u64)(key) >> EXEUNT_DETAIL_SHIFT)

/* What an exit was about, and what its detail is. */
enum exeunt_kind {
	EXEUNT_PLAIN,		/* nothing more: 0 */
	EXEUNT_MSR_READ,	/* MSR number */
	EXEUNT_MSR_WRITE,
	EXEUNT_PIO_IN,		/* port */
	EXEUNT_PIO_OUT,
	EXEUNT_MMIO_READ,	/* guest page frame number, of the first access if there are several */
	EXEUNT_MMIO_WRITE,
	EXEUNT_HYPERCALL,	/* number; larger ones than 32 bits: 0xffffffff */
	EXEUNT_KINDS
};

/* Where the exit was dealt with. */
enum exeunt_outcome {
	EXEUNT_KERNEL,		/* in the kernel */
	EXEUNT_USER,		/* by the VMM: KVM_RUN returned */
	EXEUNT_FAST,		/* in the fast path, host interrupts still off */
	EXEUNT_OUTCOMES
};

/*
 * A row: all exits of one key. Time is in cycles of struct exeunt_info's cycles_khz, from the exit to the next entry of the same vCPU;
 * an exit counts when that entry happens. The histogram is log-linear: with x the time in units of 2^hist_shift cycles, cut to 32 bits,
 * and e the position of the highest bit of (x | 8), x counts in bucket (e - 3) * 8 + (x >> (e - 3)). So 16 units are told apart one
 * by one, and from there each octave has 8 buckets, none wider than an eighth of its lower end.
 */
#define EXEUNT_HIST_BUCKETS	240
struct exeunt_row {
	__u64 key;
	__u64 count;
	__u64 total;			/* cycles */
	__u64 min, max;			/* cycles; min is ~0 and max 0 when count is 0 */
	__u64 square_lo, square_hi;	/* sum of the squares, 128 bits */
	__u64 reserved;
	__u64 hist[EXEUNT_HIST_BUCKETS];
};

/* States of an IPI's target when it was sent. */
enum exeunt_target {
	EXEUNT_TARGET_SELF,		/* the sender itself */
	EXEUNT_TARGET_RUNNING,		/* in guest mode: it is kicked */
	EXEUNT_TARGET_OUTSIDE,		/* its thread is on a CPU, in the hypervisor: it looks anyway */
	EXEUNT_TARGET_HALTED,		/* asleep in HLT, or for INIT or SIPI: it is woken */
	EXEUNT_TARGET_PREEMPTED,	/* its thread is on no CPU though it has work, or it is in the VMM */
	EXEUNT_TARGETS
};

#define EXEUNT_USER_REASONS	64	/* index: kvm_run.exit_reason; the last three are */
#define EXEUNT_USER_IMMEDIATE	61	/* kvm_run.immediate_exit was set: EINTR without a signal */
#define EXEUNT_USER_OTHER	62	/* any larger one */
#define EXEUNT_USER_ERROR	63	/* KVM_RUN failed; but EINTR for a signal counts as KVM_EXIT_INTR */

/* Counters of a vCPU since it was created. Grows at its end only: a program that knows less, or more, says how much it has room for. */
struct exeunt_counters {
	__u64 runs;				/* calls of KVM_RUN that have returned */
	__u64 preemptions;			/* within KVM_RUN its thread left the CPU though it could have run on: preempted,
						   or a PAUSE exit yielded */
	__u64 user_exits[EXEUNT_USER_REASONS];	/* returns of KVM_RUN */
	__u64 interrupts[256];			/* taken by the guest, by vector */
	__u64 exceptions[32];			/* given to the guest by the hypervisor, by vector; its own #DB and #AC, which are
						   intercepted and handed back, among them */
	__u64 nmis;				/* injected */
	__u64 ipis[8][2][2];			/* taken by somebody: [delivery mode][0 physical, 1 logical or shorthand][0 by one, 1 by several] */
	__u64 ipi_targets[2][EXEUNT_TARGETS];	/* who took those: [0 one, 1 several][enum exeunt_target] */
	__u64 halts;				/* waits for an interrupt, INIT or SIPI */
	__u64 halt_wait_ns;			/* time in them after polling: asleep, and then until its thread runs again */
	__u64 halt_polls, halt_polls_won;	/* polls before sleeping; those that made sleeping unnecessary */
	__u64 halt_poll_won_ns, halt_poll_lost_ns;	/* time in those, and in the others */
	__u64 fpu_touched, fpu_untouched;	/* vcpu_put: the guest's vector state was in use, or not */
	__u64 fpu_host_saves;			/* the thread's own vector state was saved to make room */
	__u64 fpu_guest_loads;			/* the guest's was loaded into the registers */
	__u64 ipis_untaken;			/* sent, and no APIC took it; not in ipis */
	__u64 rows_lost;			/* exits that went to an EXEUNT_DETAIL_OTHERS row or had no memory for one */
	__u64 halt_wakes;			/* sleeps in those halts that somebody ended: by an interrupt, INIT or SIPI, or the timer */
	__u64 halt_wake_ns;			/* time in those from the first such event until the thread ran again */
};

/* EXEUNT_GET_INFO, on /dev/exeunt. */
struct exeunt_info {
	__u32 version;		/* EXEUNT_STATS_VERSION of the module */
	__u32 isa;		/* of the exit reasons: 1 VMX, 2 SVM, 3 arm64 */
	__u64 cycles_khz;
	__u32 hist_shift;
	__u32 accounting;	/* 1: on; 0: switched off (module parameter `accounting`) */
	__u32 counters_size;	/* bytes of the module's struct exeunt_counters */
	__u32 owns_dev_kvm;	/* 1: the module answers as /dev/kvm too */
	__u64 reserved[4];
};

#define EXEUNT_VM_ENDED	1u

struct exeunt_vm_entry {
	__u64 id;		/* never used again while the module is loaded */
	__s32 pid;		/* of the process that made the VM, in the reader's namespace; 0 if it is not visible there. An
				   ended VM's may be another process's by now */
	__u32 flags;		/* EXEUNT_VM_ENDED */
	__u32 nr_vcpus;
	__u32 max_vcpu_id;	/* valid if nr_vcpus */
	__u64 created_ns;	/* CLOCK_BOOTTIME */
	__u8 comm[16];		/* of that process then, NUL-terminated */
};

/* EXEUNT_LIST_VMS, on a session: those that have ended, the first to end first; then the others, oldest first. E2BIG, with @nr what it takes, if there are more. */
struct exeunt_vm_list {
	__u32 nr;		/* in: room; out: entries */
	__u32 reserved;		/* 0, else EINVAL */
	struct exeunt_vm_entry vms[];
};

/*
 * EXEUNT_READ_VCPU, on a session. ENOENT: no such VM or vCPU. E2BIG, with @nr_rows what it takes, if there are more rows.
 * Each row is consistent in itself: its count, total and histogram belong together.
 */
struct exeunt_read_vcpu {
	__u64 vm_id;
	__u32 vcpu_id;
	__u32 nr_rows;		/* in: room for; out: rows */
	__u64 rows;		/* struct exeunt_row * */
	__u64 counters;		/* struct exeunt_counters * */
	__u32 counters_size;	/* in: room in bytes; out: bytes filled in */
	__s32 tid;		/* out: the thread that was in KVM_RUN last, in the reader's namespace; 0 none */
	__u64 now;		/* out: cycles when it was read */
};

#define EXEUNT_MAX_ROWS		512	/* of a vCPU */
#define EXEUNT_MAX_ENDED	64	/* VMs */
#define EXEUNT_MAX_ENDED_VCPUS	1024	/* of all those together, but for the last VM's */
#define EXEUNT_MAX_VMS		65536	/* sane bound for exeunt_vm_list.nr */

#define EXEUNT_IOC		0xe8
/* Any process that may open /dev/exeunt. */
#define EXEUNT_GET_INFO		_IOR(EXEUNT_IOC, 0, struct exeunt_info)
/* The new descriptor. Takes CAP_PERFMON or CAP_SYS_ADMIN: EPERM. */
#define EXEUNT_OPEN_STATS	_IO(EXEUNT_IOC, 1)
#define EXEUNT_LIST_VMS		_IOWR(EXEUNT_IOC, 2, struct exeunt_vm_list)
#define EXEUNT_READ_VCPU	_IOWR(EXEUNT_IOC, 3, struct exeunt_read_vcpu)

#endif
