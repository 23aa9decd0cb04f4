/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that the engine asks of its host, for the Linux kernel. tests/host/host.h answers the same names in user space.
 * Names start with host_; what is inline here is on the exit path.
 */
#ifndef EXEUNT_HOST_H
#define EXEUNT_HOST_H

#include <linux/types.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/minmax.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/nospec.h>
#include <linux/math64.h>
#include <linux/kvm.h>
#include <exeunt/mechanisms.h>
#include <exeunt/stats.h>
#include <uapi/linux/kvm_para.h>
#include <asm/kvm.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/context_tracking.h>
#include <linux/vtime.h>
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/entry-kvm.h>
#include <linux/jump_label.h>
#include <asm/cpuid.h>
#include <asm/debugreg.h>
#include <asm/mce.h>
#include <linux/hw_breakpoint.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include <asm/spec-ctrl.h>
#include <asm/nospec-branch.h>
#include <asm/msr.h>
#include <asm/tsc.h>

struct vm;
struct vcpu;
struct memslot;

#define HOST_WORK_FLAGS	XFER_TO_GUEST_MODE_WORK

/* Per-CPU state of the hypervisor (hardware.c). */
struct host_cpu_state {
	u64 save_pa;		/* VMSAVE area */
	bool on;		/* EFER.SVME is ours */
	u64 tsc_aux;		/* the host's TSC_AUX, which has the CPU's number in it and never changes */
	void *save_area;	/* VM_HSAVE_PA page */
	void *vmsave_page;
	unsigned long rcu_told;	/* jiffies when RCU was last told that a guest runs here */
	struct asid_cpu *asids;
	struct vcpu *last;	/* whose branch predictions may be in the CPU: IBPB when another vCPU is loaded */
};
DECLARE_PER_CPU(struct host_cpu_state, host_cpu_state);

/* Exits are accounted for (module parameter `accounting`). */
DECLARE_STATIC_KEY_TRUE(host_accounting_key);
static __always_inline bool host_accounting(void) { return static_branch_likely(&host_accounting_key); }

/* The mechanisms that are on now for a VM that does not decide by itself: EXEUNT_* of mechanisms.h. Any context. */
extern atomic_t mechanism_defaults;
static __always_inline u32 host_mechanisms(void) { return atomic_read(&mechanism_defaults); }

/* --- Memory. --- */

/*
 * Guest-physical memory through the memslots; may cross pages. 0, or -EFAULT if a part has no (writable) slot or the VMM's mapping
 * faults. A write marks the page dirty. May sleep.
 */
int host_guest_read(struct vm *vm, u64 gpa, void *data, u32 len);
int host_guest_write(struct vm *vm, u64 gpa, const void *data, u32 len);
/*
 * The same for entries of tables, one after another: the slots stay as they are from begin to end, and the one used last is looked at
 * first. An entry has 4 or 8 bytes and is naturally aligned, and is read as one; *@value is set if 0 is returned. May sleep.
 */
struct host_reader {
	struct vm *vm;
	const struct memslot *slot;	/* used last, or NULL */
	int srcu;
};
void host_reader_begin(struct host_reader *r, struct vm *vm);
int host_reader_get(struct host_reader *r, u64 gpa, u32 size, u64 *value);
void host_reader_end(struct host_reader *r);
/* Atomic compare-and-exchange of 4 or 8 bytes, naturally aligned. 0 exchanged; 1 the value was another; -EFAULT. May sleep. */
int host_guest_cmpxchg(struct vm *vm, u64 gpa, u64 old, u64 new, u32 len);

/* What backs a guest frame now. */
struct host_page {
	u64 pfn;		/* of @gfn itself */
	bool writable;
	bool large;		/* the whole aligned 2 MiB around gfn is contiguous, in one slot, and mapped by one large host entry */
	bool logged;		/* host_mark_dirty() is needed; when that changes, host_mmu_retry() says so */
	u64 hva, seq;		/* for host_mmu_retry() */
};
/*
 * Finds, faulting it in if need be, the page of @gfn. 0; -ENOENT no slot; -EROFS write to a read-only slot; -EFAULT the VMM has no
 * usable mapping there; -EINTR a signal. Takes no reference that outlives host_mmu_unlock: the notifier revokes. May sleep.
 */
int host_gfn_to_page(struct vm *vm, u64 gfn, bool write, struct host_page *page);
/* The lock that orders table changes and notifier callbacks. Not recursive, no sleeping inside. */
void host_mmu_lock(struct vm *vm);
void host_mmu_unlock(struct vm *vm);
/* With the lock held: @page may be stale, look it up again. */
bool host_mmu_retry(struct vm *vm, const struct host_page *page);
/* With the lock held, after a writable mapping was made: the gfn is dirty. */
void host_mark_dirty(struct vm *vm, u64 gfn);

/* A zeroed page for translation tables, charged to the VMM; may sleep / atomic from a cache topped up by host_table_topup. NULL: none. */
int host_table_topup(struct vm *vm);
u64 *host_table_alloc(struct vm *vm, u64 *pa);
void host_table_free(struct vm *vm, u64 *table);
u64 *host_table_va(u64 pa);

/* Zeroed memory, charged to the VMM, freed by host_free. May sleep. */
void *host_zalloc(size_t size);
void host_free(void *p);
/* 2^@order zeroed physically contiguous pages. */
void *host_pages_alloc(unsigned int order, u64 *pa);
void host_pages_free(void *p, unsigned int order);

/* In-kernel doorbells (ioeventfd): true if one took the write of @len, at most 8, bytes. Any context. */
bool host_mmio_write(struct vm *vm, u64 gpa, u32 len, const void *data);
bool host_pio_write(struct vm *vm, u16 port, u32 len, const void *data);

/* --- Time. --- */

static inline u64 host_now_ns(void) { return ktime_get_ns(); }		/* monotonic, the scale of host_timer_arm */
static inline u64 host_boot_ns(void) { return ktime_get_boottime_ns(); }
u64 host_real_ns(void);
static inline u64 host_tsc(void) { return rdtsc(); }
static inline u64 host_tsc_khz(void) { return tsc_khz; }
bool host_tsc_stable(void);
/*
 * One timer per vCPU; lapic_timer_expired() is called when it fires. Arming replaces the old deadline; a deadline in the past fires
 * at once. Any context without the vCPU being freed.
 */
void host_timer_arm(struct vcpu *v, u64 deadline_ns);
void host_timer_cancel(struct vcpu *v);
/* The vCPU has come to another CPU: its timer shall fire there. vCPU thread. */
void host_timer_follow(struct vcpu *v);

/* --- Threads. --- */

/*
 * Makes @v notice its requests: wakes it if it is blocked, gets it out of the guest if it is in it. What it was doing; it is halted if
 * it had to be woken. Any context.
 */
enum exeunt_target host_kick(struct vcpu *v);
/*
 * The same where the CPU takes interrupts from the APIC by itself (lapic.apicv): @v is not made to leave the guest for one that has just
 * been put into IRR. Any context.
 */
enum exeunt_target host_post(struct vcpu *v);
/* Its thread is on a CPU, in KVM_RUN or another call. Any context; true only for this moment. */
bool host_vcpu_on_cpu(const struct vcpu *v);
/* Waits until vcpu_end_wait(v) (run.h) or a signal. vCPU thread. */
void host_block(struct vcpu *v);
/* In the middle of long work: others may run. May sleep. */
static inline void host_resched(void) { cond_resched(); }
static inline bool host_signal_pending(void) { return signal_pending(current); }

/* --- The CPU. --- */

static inline void host_cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d) { cpuid_count(leaf, sub, a, b, c, d); }
static inline u32 host_cpu(void) { return raw_smp_processor_id(); }
/* The next entry on this CPU ends before the guest's first instruction, the event that it injects delivered. Interrupts off. */
void host_exit_at_once(void);
/* Of the CPU that this is. Preemption off. */
static inline u32 host_apic_id(void) { return cpu_physical_id(smp_processor_id()); }
/* MSRs that may not exist (the feature MSRs): -EIO when the CPU raises #GP. */
int host_rdmsr_safe(u32 msr, u64 *value);
static inline bool host_la57(void) { return pgtable_l5_enabled(); }

/* XCR0 bits that the kernel's guest FPU can hold; 0 without XSAVE. */
u64 host_xfeatures(void);

/*
 * --- The way into the guest. Called by run.c in this order, interrupts off from host_irq_disable on. ---
 */
static inline void host_preempt_disable(void) { preempt_disable(); }
static inline void host_preempt_enable(void) { preempt_enable(); }
static inline void host_irq_disable(void) { local_irq_disable(); }
static inline void host_irq_enable(void) { local_irq_enable(); }
/* A signal, a reschedule or other work wants this thread before it may enter the guest. Any time; final with interrupts off. */
static inline bool host_work_pending(void) { return read_thread_flags() & HOST_WORK_FLAGS; }
/* Does that work. 0 to go on, -EINTR for a signal. May sleep. */
int host_handle_work(struct vcpu *v);
/* The guest's FPU state is in the registers after this. True if it had to be loaded. */
static inline bool host_fpu_ready(void)
{
	if (likely(!test_thread_flag(TIF_NEED_FPU_LOAD)))
		return false;
	switch_fpu_return();
	return true;
}
/* The host's own XCR0, XSS and PKRU; the last is read whenever the vCPU is loaded, for it changes with the thread. */
struct host_xstate {
	u64 xcr0, xss;
	u32 pkru;
};

/* The guest can use PKRU with CR4.PKE, or read and write it through XSAVE. */
static __always_inline bool host_switches_pkru(u64 cr4, u64 xcr0)
{
	return cpu_feature_enabled(X86_FEATURE_OSPKE) && ((xcr0 & XFEATURE_MASK_PKRU) || (cr4 & X86_CR4_PKE));
}

/* XCR0, XSS and PKRU are the guest's while it runs: @xcr0, @xss and *@pkru, of which the guest changes the last without an exit. */
static __always_inline void host_xstate_enter(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, const u32 *pkru)
{
	if (cr4 & X86_CR4_OSXSAVE) {
		if (xcr0 != host->xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
		if (xss != host->xss)
			wrmsrl(MSR_IA32_XSS, xss);
	}
	if (host_switches_pkru(cr4, xcr0) && *pkru != host->pkru)
		wrpkru(*pkru);
}

static __always_inline void host_xstate_exit(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, u32 *pkru)
{
	if (host_switches_pkru(cr4, xcr0)) {
		*pkru = rdpkru();
		if (*pkru != host->pkru)
			wrpkru(host->pkru);
	}
	if (cr4 & X86_CR4_OSXSAVE) {
		if (xcr0 != host->xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, host->xcr0);
		if (xss != host->xss)
			wrmsrl(MSR_IA32_XSS, host->xss);
	}
}
/* DR0..DR3: the guest's into the CPU, and back out. */
void host_debug_load(const u64 dr[4]);
void host_debug_save(u64 dr[4]);
/* The exit disabled all breakpoints in DR7: the host's own come back, if it has any. */
static __always_inline bool host_debug_armed(void) { return hw_breakpoint_active(); }
static inline void host_debug_restore(void)
{
	if (unlikely(host_debug_armed()))
		hw_breakpoint_restore();
}
/* A machine check hit while the guest ran. Interrupts off, the host's XCR0 and PKRU back. */
static inline void host_machine_check(void)
{
	/* As if it had hit user space: what is lost is this VMM's, and it is killed, not the host. */
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
}
/* SVM is on here. Not so when the host reboots or takes the CPU down under a running VMM. Interrupts off. */
static __always_inline bool host_svm_on(void) { return __this_cpu_read(host_cpu_state.on); }
/* Lets interrupts that wait at the CPU be taken. One instruction with interrupts on suffices, after STI's shadow. */
static inline void host_interrupt_window(void) { asm volatile("nop"); }
/* The vCPU spins: somebody else may need the CPU. May sleep. */
static inline void host_yield(void) { yield(); }
/* The bits of SPEC_CTRL that this CPU takes: WRMSR of any other would fault in the world switch. */
u64 host_spec_ctrl_bits(void);
/* The CPU switches SPEC_CTRL by itself, from and to the VMCB. */
static inline bool host_cpu_switches_spec_ctrl(void) { return boot_cpu_has(X86_FEATURE_V_SPEC_CTRL); }
/* For a guest that asks for it, whatever the host itself does against Spectre. */
static inline void host_branch_barrier(void)
{
	if (boot_cpu_has(X86_FEATURE_IBPB))
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}
/* The guest wrote TSC_AUX: the CPU has it while the vCPU is loaded. vCPU thread. */
void host_tsc_aux_changed(struct vcpu *v);
/* All vCPUs of @vm drop their translations before this returns or before they run next. host_mmu_lock held. */
void host_flush_tlbs(struct vm *vm);
/* Which vectors' EOIs the VMM's IOAPIC wants from @v. vCPU thread, may sleep. */
void host_scan_ioapic_routes(struct vcpu *v, u64 eoi_exit[4]);

/* Accounts time to the guest and tells context tracking and RCU; between enter and exit only noinstr code runs. */
static __always_inline void host_timing_enter(void) { vtime_account_guest_enter(); }
static __always_inline void host_timing_exit(void) { vtime_account_guest_exit(); }
/*
 * RCU looks at what it was told at the host's ticks only, which make the guest exit: one note a tick is all that it can use. It gets one at
 * the first entry after jiffies have changed. @again: the host's interrupts have not been enabled since the guest was left, nor has there
 * been a tick.
 */
static __always_inline void host_context_enter(bool again)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	if (!context_tracking_guest_enter() && !again && __this_cpu_read(host_cpu_state.rcu_told) != jiffies) {
		instrumentation_begin();
		__this_cpu_write(host_cpu_state.rcu_told, jiffies);
		rcu_virt_note_context_switch(smp_processor_id());
		instrumentation_end();
	}
	lockdep_hardirqs_on(CALLER_ADDR0);
}
static __always_inline void host_context_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}
#define host_noinstr noinstr

/* The SVM page of this CPU that holds the host's VMSAVE state, and the host's SPEC_CTRL. Preemption off. */
static __always_inline u64 host_save_pa(void) { return __this_cpu_read(host_cpu_state.save_pa); }
static __always_inline u64 host_spec_ctrl(void) { return __this_cpu_read(x86_spec_ctrl_current); }
/* What a CPU needs after it ran a guest: the next return to user space flushes branch predictions where the CPU's bug asks for it. */
static __always_inline void host_guest_ran(void)
{
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		__this_cpu_write(x86_ibpb_exit_to_user, true);
}
/* An ASID owner's per-CPU allocator; see svm/asid.h. Preemption off. */
static __always_inline struct asid_cpu *host_asid_cpu(void) { return __this_cpu_read(host_cpu_state.asids); }

/* One rate-limited line to the host's log, for what an administrator must know. */
#define host_log(fmt, ...) pr_info_ratelimited("exeunt: " fmt "\n", ##__VA_ARGS__)

/* A guest-controlled index, bounded also under speculation. */
#define host_index(i, n) array_index_nospec(i, n)

/* @x squared: the low half, and the high one in *@high. Not as a variable of 128 bits, which would have its function align the stack. */
static __always_inline u64 host_square(u64 x, u64 *high)
{
	u64 low;

	asm("mulq %%rax" : "=a"(low), "=d"(*high) : "a"(x) : "cc");
	return low;
}

/* In a loop that waits for another CPU. */
#define host_relax()	cpu_relax()

#define host_div64(n, d) div64_u64(n, d)
/* a * b / c without losing the high bits. */
#define host_muldiv(a, b, c) mul_u64_u64_div_u64(a, b, c)

#include "trace_host.h"

#endif
