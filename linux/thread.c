// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that runs a vCPU: KVM_RUN from the system call to the engine's loop and back, what is bound to the CPU while the
 * vCPU is loaded, kicks and the timer. Owns the thread's half of struct host_vcpu.
 */
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/swait.h>
#include <asm/msr.h>
#include "vm.h"
#include "hardware.h"
#include "vm_stats.h"
#include "x86/state.h"

/* --- Load and put: a vCPU on a CPU. --- */

/*
 * The state of this thread that VMLOAD brings back after a guest ran: FS, GS, TR, LDTR, SYSENTER (APM vol. 2, 15.5.2). Where SVM is off
 * (the host reboots), VMSAVE is undefined and does nothing: no guest is entered there either.
 */
static __always_inline void save_host_segments(void)
{
	asm volatile("1: vmsave %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "a"(host_save_pa()) : "memory");
}

static __always_inline bool has_tsc_aux(const struct vcpu *v)
{
	return cpu_feature_enabled(X86_FEATURE_RDTSCP) && (v->cpuid.has_rdtscp || v->cpuid.has_rdpid);
}

static __always_inline void load_on_cpu(struct host_vcpu *hv, int cpu)
{
	struct vcpu *v = &hv->v;

	if (this_cpu_read(host_cpu_state.last) != v) {
		this_cpu_write(host_cpu_state.last, v);
		indirect_branch_prediction_barrier();
	}
	save_host_segments();
	v->host_xstate.pkru = read_pkru();
	if (has_tsc_aux(v)) {
		hv->tsc_aux_loaded = this_cpu_read(host_cpu_state.tsc_aux) != v->msr.tsc_aux;
		if (hv->tsc_aux_loaded)
			wrmsrl(MSR_TSC_AUX, v->msr.tsc_aux);
	}
	if (hv->last_cpu != cpu) {
		vcpu_request(v, REQ_TIMER_FOLLOW);
		if (!v->vm->clock_shared)
			vcpu_request(v, REQ_CLOCK_UPDATE);
		hv->last_cpu = cpu;
	}
	WRITE_ONCE(hv->cpu, cpu);
}

/*
 * Every exit loaded the LDT register as it was when the vCPU was loaded. If another thread of the VMM changed the LDT since, the CPU's
 * hidden copy names memory that is freed: read it from the GDT again.
 */
static void reload_ldt(void)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (current->mm && READ_ONCE(current->mm->context.ldt))
		asm volatile("lldt %w0" : : "r"(GDT_ENTRY_LDT * 8));
#endif
}

static __always_inline void put_off_cpu(struct host_vcpu *hv)
{
	vendor_leave_cpu(&hv->v);
	reload_ldt();
	WRITE_ONCE(hv->cpu, -1);
	if (hv->tsc_aux_loaded)
		wrmsrl(MSR_TSC_AUX, this_cpu_read(host_cpu_state.tsc_aux));
	hv->tsc_aux_loaded = false;
}

void host_tsc_aux_changed(struct vcpu *v)
{
	struct host_vcpu *hv = HOST_VCPU(v);

	preempt_disable();
	if (has_tsc_aux(v)) {
		wrmsrl(MSR_TSC_AUX, v->msr.tsc_aux);
		hv->tsc_aux_loaded = true;
	}
	preempt_enable();
}

static void sched_in(struct preempt_notifier *n, int cpu)
{
	load_on_cpu(container_of(n, struct host_vcpu, preempt), cpu);
}

static void sched_out(struct preempt_notifier *n, struct task_struct *next)
{
	struct host_vcpu *hv = container_of(n, struct host_vcpu, preempt);

	if (hv->running) {
		if (task_is_running(current))
			stats_inc(&hv->v, preemptions);
		fpu_preempted(hv);
	}
	put_off_cpu(hv);
}

static struct preempt_ops preempt_ops = { .sched_in = sched_in, .sched_out = sched_out };

static __always_inline void load(struct host_vcpu *hv)
{
	preempt_disable();
	preempt_notifier_register(&hv->preempt);
	load_on_cpu(hv, smp_processor_id());
	preempt_enable();
}

static __always_inline void put(struct host_vcpu *hv)
{
	preempt_disable();
	put_off_cpu(hv);
	preempt_notifier_unregister(&hv->preempt);
	preempt_enable();
}

void vcpu_load(struct host_vcpu *hv)
{
	load(hv);
}

void vcpu_put(struct host_vcpu *hv)
{
	put(hv);
}

/* --- Kicks, the timer. --- */

bool host_vcpu_on_cpu(const struct vcpu *v)
{
	return READ_ONCE(HOST_VCPU(v)->cpu) >= 0;
}

/*
 * Wakes the vCPU if it sleeps, and says what it was doing if it is not in the guest. swq_has_sleeper() has the barrier between what the
 * caller wrote and what the vCPU's mode is; see engine/run.c.
 */
static __always_inline enum exeunt_target wake(struct host_vcpu *hv)
{
	enum exeunt_target state = host_vcpu_on_cpu(&hv->v) ? EXEUNT_TARGET_OUTSIDE : EXEUNT_TARGET_PREEMPTED;

	if (!swq_has_sleeper(&hv->wait))
		return state;
	block_note_wake(hv);
	swake_up_one(&hv->wait);
	return EXEUNT_TARGET_HALTED;
}

enum exeunt_target host_kick(struct vcpu *v)
{
	struct host_vcpu *hv = HOST_VCPU(v);
	enum exeunt_target state = wake(hv);
	struct task_struct *thread;

	/* Only the first of several kickers interrupts it, and the others rely on that: no preemption in between. */
	preempt_disable();
	if (READ_ONCE(v->mode) == IN_GUEST && cmpxchg(&v->mode, IN_GUEST, EXITING_GUEST) == IN_GUEST) {
		rcu_read_lock();
		thread = pid_task(rcu_dereference(hv->pid), PIDTYPE_PID);
		if (thread)
			kick_process(thread);
		rcu_read_unlock();
		state = EXEUNT_TARGET_RUNNING;
	} else if (READ_ONCE(v->mode) == EXITING_GUEST) {
		state = EXEUNT_TARGET_RUNNING;
	}
	preempt_enable();
	return state;
}

enum exeunt_target host_post(struct vcpu *v)
{
	struct host_vcpu *hv = HOST_VCPU(v);
	enum exeunt_target state = wake(hv);
	int cpu;

	if (state == EXEUNT_TARGET_HALTED || READ_ONCE(v->mode) == OUTSIDE_GUEST)
		return state;
	/* A vCPU that enters the guest looks at IRR, also if it has gone to another CPU meanwhile. */
	cpu = READ_ONCE(hv->cpu);
	if (cpu >= 0) {
		trace_kvm_avic_doorbell(v->id, cpu_physical_id(cpu));
		hardware_doorbell(cpu);
	}
	return EXEUNT_TARGET_RUNNING;
}

/* Notes which thread runs the vCPU; a VMM changes that rarely. */
static void set_thread(struct host_vcpu *hv)
{
	struct pid *old = rcu_dereference_protected(hv->pid, lockdep_is_held(&hv->mutex)), *old_too;

	if (likely(old == task_pid(current)))
		return;
	rcu_assign_pointer(hv->pid, get_task_pid(current, PIDTYPE_PID));
	old_too = stats_vcpu_thread(hv, task_pid(current));
	if (old)
		synchronize_rcu();
	put_pid(old);
	put_pid(old_too);
}

static enum hrtimer_restart timer_fired(struct hrtimer *t)
{
	lapic_timer_expired(&container_of(t, struct host_vcpu, timer)->v);
	return HRTIMER_NORESTART;
}

void host_timer_arm(struct vcpu *v, u64 deadline_ns)
{
	hrtimer_start(&HOST_VCPU(v)->timer, ns_to_ktime(min_t(u64, deadline_ns, KTIME_MAX)), HRTIMER_MODE_ABS_PINNED_HARD);
}

void host_timer_follow(struct vcpu *v)
{
	struct hrtimer *t = &HOST_VCPU(v)->timer;
	int r = hrtimer_try_to_cancel(t);

	if (r > 0)
		hrtimer_start_expires(t, HRTIMER_MODE_ABS_PINNED_HARD);
	/* It fires just now, on the other CPU: if it were armed again meanwhile, it would stay there. */
	else if (r < 0)
		vcpu_request(v, REQ_TIMER_FOLLOW);
}

void host_timer_cancel(struct vcpu *v)
{
	hrtimer_try_to_cancel(&HOST_VCPU(v)->timer);
}

void vcpu_thread_init(struct host_vcpu *hv)
{
	hv->cpu = hv->last_cpu = -1;
	preempt_notifier_init(&hv->preempt, &preempt_ops);
	init_swait_queue_head(&hv->wait);
	hrtimer_init(&hv->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	hv->timer.function = timer_fired;
}

void vcpu_thread_destroy(struct host_vcpu *hv)
{
	hrtimer_cancel(&hv->timer);
	put_pid(rcu_dereference_protected(hv->pid, true));
}

/* --- KVM_RUN. --- */

/* The signal mask that KVM_SET_SIGNAL_MASK asked for holds while the guest runs. */
static void sigset_enter(struct host_vcpu *hv)
{
	if (hv->sigset_active)
		sigprocmask(SIG_SETMASK, &hv->sigset, &current->real_blocked);
}

static void sigset_exit(struct host_vcpu *hv)
{
	if (!hv->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

static int run_loaded(struct host_vcpu *hv)
{
	struct vcpu *v = &hv->v;
	int r;

	if (!v->apic.present) {
		u64 cr8 = READ_ONCE(v->run->cr8);

		if (cr8 > 15)
			return -EINVAL;
		lapic_set_cr8(v, cr8);
	}
	/* What the VMM answered is taken in even if the guest does not run now: it will not be told again. */
	if (v->emul.waiting) {
		r = emulate_complete(v);
		if (r != RESUME)
			return r;
	}
	if (READ_ONCE(v->run->immediate_exit))
		return -EINTR;
	return vcpu_run(v);
}

int vcpu_ioctl_run(struct host_vcpu *hv)
{
	struct vcpu *v = &hv->v;
	int r;

	load(hv);
	set_thread(hv);
	cpuid_freeze(&v->cpuid);
	sigset_enter(hv);
	fpu_load(hv);
	hv->running = true;
	r = run_loaded(hv);
	hv->running = false;
	fpu_put(hv);
	state_to_run(v);
	sigset_exit(hv);
	stats_user_exit(v->stats, READ_ONCE(v->run->exit_reason), r);
	if (trace_kvm_userspace_exit_enabled())
		trace_kvm_userspace_exit(v->run->exit_reason, r);
	put(hv);
	return r;
}
