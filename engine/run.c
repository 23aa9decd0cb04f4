// SPDX-License-Identifier: GPL-2.0
/*
 * The run loop: enter the guest, come back, hand the exit to its handler, go round again. Read this first.
 *
 * Kicks. Whoever wants a vCPU's attention writes what it wants (a request bit, an IRR bit) and then calls host_kick(),
 * which reads vcpu->mode and interrupts the vCPU's CPU only if that is IN_GUEST, which it makes EXITING_GUEST: others need not interrupt it
 * again. The vCPU writes IN_GUEST, with interrupts off, and then reads the requests. Both sides have a full barrier between their write
 * and their read, so either the kicker sees that the vCPU may be in the guest (and an interrupt stays pending until VMRUN, which exits at once)
 * or the vCPU sees the request. Between exits of the fast path nobody writes OUTSIDE_GUEST, so that requests need no barrier there.
 */
#include "run.h"
#include "fast.h"		/* svm/ or vmx/, by include path */

bool vcpu_end_wait(struct vcpu *v)
{
	if (__atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & (1ull << REQ_TRIPLE_FAULT | 1ull << REQ_IOAPIC_EOI))
		return true;
	if (__atomic_load_n(&v->apic.pending_init_sipi, __ATOMIC_ACQUIRE))
		return true;
	if (v->mp_state == KVM_MP_STATE_HALTED && event_deliverable(v)) {
		v->mp_state = KVM_MP_STATE_RUNNABLE;
		vcpu_request(v, REQ_EVENT);
	}
	return v->mp_state == KVM_MP_STATE_RUNNABLE;
}

/* Other threads asked for something that serve_requests() does: events are injected without it. */
static __always_inline bool any_to_serve(const struct vcpu *v)
{
	return (__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & ~(1ull << REQ_EVENT | 1ull << REQ_NMI)) || v->apic.pending_init_sipi;
}

/* Does what other threads asked for. RESUME, or EXIT_TO_USER with kvm_run filled in. */
static int serve_requests(struct vcpu *v)
{
	if (vcpu_take_request(v, REQ_TRIPLE_FAULT)) {
		v->run->exit_reason = KVM_EXIT_SHUTDOWN;
		emulate_reset(v);
		return EXIT_TO_USER;
	}
	if (vcpu_take_request(v, REQ_IOAPIC_EOI)) {
		v->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		v->run->eoi.vector = v->apic.eoi_vector;
		return EXIT_TO_USER;
	}
	if (vcpu_take_request(v, REQ_IOAPIC_SCAN))
		host_scan_ioapic_routes(v, v->apic.eoi_exit);
	if (vcpu_take_request(v, REQ_CLOCK_UPDATE))
		pv_clock_update(v);
	if (vcpu_take_request(v, REQ_TLB_FLUSH))
		vendor_flush_tlb(v);
	if (vcpu_take_request(v, REQ_STATS))
		stats_refill(v->stats);
	if (vcpu_take_request(v, REQ_TIMER_FOLLOW))
		host_timer_follow(v);
	lapic_accept_init_sipi(v);
	return RESUME;
}

/* Not runnable: waits for an interrupt, an INIT or a SIPI, whichever this state wants. */
static int wait_until_runnable(struct vcpu *v)
{
	int r;

	host_block(v);
	if (any_to_serve(v)) {
		r = serve_requests(v);
		if (r <= 0)
			return r;
	}
	/* The last look found something else, or was before a signal. */
	if (unlikely(v->mp_state == KVM_MP_STATE_HALTED))
		vcpu_end_wait(v);
	if (host_signal_pending()) {
		v->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	return RESUME;
}

/* The VMM's PIC waits for the guest to take interrupts, and it can now. */
static bool irq_window_exit(struct vcpu *v)
{
	if (!__atomic_load_n(&v->run->request_interrupt_window, __ATOMIC_RELAXED) || !event_ready_for_extint(v))
		return false;
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return true;
}

/*
 * Decides which exits of the entries to come may be dealt with without enabling interrupts, and how many in a row. A VMM that waits for its
 * PIC's turn wants a look after each exit.
 */
static __always_inline void prepare_fast(struct vcpu *v)
{
	bool fast;

	fast = (v->mechanisms & EXEUNT_FAST_PATH) && !v->apic.vapic_gpa && vendor_may_be_fast(v) &&
	       !__atomic_load_n(&v->run->request_interrupt_window, __ATOMIC_RELAXED);
	v->rounds = fast ? EXEUNT_FAST_ROUNDS : 0;
	vendor_allow_inner(v, fast);
}

/* All that came up are interrupts; they are offered now. */
static bool only_interrupts_came(struct vcpu *v, u64 requests)
{
	if (requests != 1ull << REQ_EVENT || v->apic.pending_init_sipi || !event_inject_again(v))
		return false;
	/*
	 * Whoever kicked it has made a request first. It may have been this thread (an APIC error), which interrupts nobody: then others
	 * would take the vCPU for one that is on its way out, and not kick it when they should.
	 */
	return __atomic_load_n(&v->mode, __ATOMIC_RELAXED) == IN_GUEST;
}

/* Whether the guest may be entered again as things are: nobody wants anything that takes interrupts to be on. */
static __always_inline bool may_enter_again(struct vcpu *v)
{
	u64 requests = __atomic_load_n(&v->requests, __ATOMIC_RELAXED);

	if (requests && !only_interrupts_came(v, requests))
		return false;
	return !host_work_pending();
}

/* Counts the exit before the entry that comes now. */
static __always_inline void count_exit(struct vcpu *v)
{
	if (unlikely(!stats_enter(v->stats)))
		vcpu_request(v, REQ_STATS);
}

/* The guest, and those of its exits that need no more than the fast path. True: so did the last one, its handler has run. */
static __always_inline bool run_guest(struct vcpu *v)
{
	prepare_fast(v);
	if (unlikely(v->apic.timer.early_tsc))
		lapic_timer_wait(v);
	host_trace_entry(v);
	count_exit(v);
	vendor_enter(v);
	for (;;) {
		if (!vendor_inner_handled(v)) {
			stats_exit(v->stats, vcpu_exit_reason(v));
			host_trace_exit(v);
			if (!v->rounds || !vendor_handle_fast(v, false))
				return false;
			v->rounds--;
		}
		if (!v->rounds || !may_enter_again(v))
			return true;
		host_trace_entry(v);
		count_exit(v);
		vendor_enter_again(v);
	}
}

/* On the way in something came up. */
static noinline int back_out(struct vcpu *v)
{
	int r = host_svm_on() ? RESUME : -EIO;

	__atomic_store_n(&v->mode, OUTSIDE_GUEST, __ATOMIC_RELEASE);
	host_irq_enable();
	host_preempt_enable();
	event_settle(v, false);
	return r;
}

/* One round: requests, events, the guest, the exit's handler. */
static int enter_once(struct vcpu *v)
{
	bool done;
	int r;

	if (any_to_serve(v)) {
		r = serve_requests(v);
		if (r <= 0 || v->mp_state != KVM_MP_STATE_RUNNABLE)
			return r;
	}
	v->mechanisms = vm_mechanisms(v->vm);
	vendor_choose_delivery(v);
	if ((__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & (1ull << REQ_EVENT | 1ull << REQ_NMI)) || v->run->request_interrupt_window) {
		vcpu_take_request(v, REQ_EVENT);
		event_inject(v);
	}
	if (v->apic.vapic_gpa)
		lapic_sync_to_vapic(v);

	host_preempt_disable();
	host_irq_disable();
	__atomic_store_n(&v->mode, IN_GUEST, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&v->requests, __ATOMIC_RELAXED) || v->apic.pending_init_sipi || host_work_pending() ||
		     !host_svm_on()))
		return back_out(v);
	if (host_fpu_ready())
		v->stats->fpu_reloads += host_accounting();
	host_xstate_enter(&v->host_xstate, vcpu_cr4(v), v->xcr0, v->msr.xss, &v->pkru);
	vendor_prepare(v);
	if (unlikely(v->ev.another))
		host_exit_at_once();
	host_timing_enter();

	done = run_guest(v);

	__atomic_store_n(&v->mode, OUTSIDE_GUEST, __ATOMIC_RELEASE);
	host_xstate_exit(&v->host_xstate, vcpu_cr4(v), v->xcr0, v->msr.xss, &v->pkru);
	vendor_finish(v);
	host_guest_ran();
	/* Interrupts that forced the exit run here, while the time still counts as the guest's. */
	host_irq_enable();
	host_interrupt_window();
	host_irq_disable();
	host_timing_exit();
	host_irq_enable();
	host_preempt_enable();

	if (v->apic.vapic_gpa)
		lapic_sync_from_vapic(v);
	return done ? RESUME : vendor_handle_exit(v);
}

static int run_until_needed(struct vcpu *v)
{
	int r;

	for (;;) {
		r = v->mp_state == KVM_MP_STATE_RUNNABLE ? enter_once(v) : wait_until_runnable(v);
		if (r <= 0)
			return r;
		if (irq_window_exit(v))
			return 0;
		if (host_work_pending()) {
			r = host_handle_work(v);
			if (r) {
				v->run->exit_reason = KVM_EXIT_INTR;
				return r;
			}
		}
	}
}

int vcpu_run(struct vcpu *v)
{
	int r = run_until_needed(v);

	stats_outcome(v->stats, EXEUNT_USER);
	return r;
}

void vcpu_reset(struct vcpu *v, bool init)
{
	u64 type_family_model = 0x600;
	u32 a = 1, c = 0;

	if (cpuid_lookup(v, &a, &c))
		type_family_model = a;
	memset(v->regs, 0, sizeof(v->regs));
	memset(v->dr, 0, sizeof(v->dr));
	v->regs[R_DX] = type_family_model;
	__atomic_fetch_and(&v->requests, 1ull << REQ_IOAPIC_SCAN | 1ull << REQ_IOAPIC_EOI | 1ull << REQ_TLB_FLUSH |
			   1ull << REQ_CLOCK_UPDATE | 1ull << REQ_STATS | 1ull << REQ_TIMER_FOLLOW, __ATOMIC_RELEASE);
	emulate_reset(v);
	event_reset(v);
	vendor_reset(v, init);
	if (!init) {
		v->xcr0 = 1;
		v->pkru = 0;
		msr_reset(v);
		pv_reset(v);
	}
	lapic_reset(v, init);
	vcpu_request(v, REQ_EVENT);
	vcpu_request(v, REQ_TLB_FLUSH);
}

void vcpu_start_at(struct vcpu *v, u8 vector)
{
	struct kvm_segment cs;

	vcpu_get_segment(v, SEG_CS, &cs);
	cs.selector = vector << 8;
	cs.base = (u64)vector << 12;
	vcpu_set_segment(v, SEG_CS, &cs);
	vcpu_set_rip(v, 0);
}

int vcpu_create(struct vcpu *v, struct vm *vm, u32 id)
{
	int r;

	v->vm = vm;
	v->id = id;
	cpuid_init(v);
	r = vendor_create(v);
	if (r)
		return r;
	if (vm->irqchip_split) {
		r = lapic_create(v);
		if (r) {
			vendor_destroy(v);
			return r;
		}
	}
	v->msr.tsc_khz = vm->tsc_khz;
	v->mp_state = !vm->irqchip_split || id == vm->bsp_id ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	vcpu_reset(v, false);
	return 0;
}

void vcpu_destroy(struct vcpu *v)
{
	vendor_destroy(v);
	lapic_free(v);
	cpuid_free(v);
}
