// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes the fast path (x86/fast.h, svm/fast.h) against the ordinary one. Two machines, one with mechanisms that go on and off as the input
 * says, the other with none, have the same VMM, the same other threads, the same clock, and guests that execute the same instructions.
 * Before each instruction, and whenever KVM_RUN has returned, neither guest nor VMM can tell one machine from the other; and the
 * accounting is the same but for where an exit was dealt with. Also: summaries agree with the bit arrays, and no timer is lost.
 *
 * What may differ: when the host's timer fires, and so which host interrupts there are; whether MOV to CR8 exits.
 *
 * With AVIC among the mechanisms, the fast machine's guest takes interrupts and sends IPIs as tests/host/svm_cpu.c's CPU does. Then guests
 * keep away from what they can tell AVIC by, or the manual leaves open: TMR, which the CPU's IPIs leave as it is; lowest priority, which
 * reads other vCPUs' PPR; the lower half of TPR, which MOV to CR8 clears or does not; logical destinations while not all are x2APICs; a #GP
 * or #DB of an access that does not exit. Exits and interrupts are not counted alike.
 *
 * Input: a byte of options, then steps of 12 bytes (struct step).
 */
#include "../unit/guest.h"
#include "whole.h"

#define NR_VCPUS	3
/* Not the timer's advance: waiting for a deadline moves the clock, which both machines share. */
#define MECHANISMS	(EXEUNT_MECHANISMS & ~(EXEUNT_TIMER_ADVANCE | (inner ? 0 : EXEUNT_INNER_LOOP)))
#define MAX_STEPS	160
#define MAX_ENTRIES	(20 * MAX_STEPS)	/* of one KVM_RUN: an instruction takes few */

#define MEMORY		0x40000u
#define CODE_GPA	0x8000ull
#define CODE_GVA	0x400000ull
#define READ_CODE	16u			/* MOV (%rbx), %eax; before it MOV %eax, (%rbx) */
#define RIGHTS		(PTE_P | PTE_W | PTE_U)
#define EXIT_TO_VMM	0x1234u			/* an exit reason that no engine file knows */

/* INNER_LOOP: the fast machine's mechanism; other threads act while a guest runs only, for its moments between exits are not the other's. */
enum option { NO_DEADLINE = 1, START_XAPIC = 2, NO_QUIRKS = 4, ACCOUNTING = 8, IDS32 = 16, INNER_LOOP = 32, AVIC = 64, X2AVIC = 128 };

/* What a guest executes; what other threads do at any time; what the VMM does between two KVM_RUNs. */
enum op {
	WRITE_X2APIC, WRITE_DEADLINE, WRITE_OTHER, WRITE_ICR, END_INTERRUPT, READ_X2APIC, READ_OTHER, CPUID, VMMCALL, HALT, SET_CR8, STI,
	CLI, POPF, IRET, SET_MODE, JUMP, PAGE_WRITE, PAGE_READ, HOST_INTERRUPT, TAKE_LATE,
	MESSAGE, FIRST_OF_OTHERS = MESSAGE, MSI, NMI, PASS_TIME, SWITCH, SIGNAL, WORK,
	LOAD_SAVED, FIRST_OF_VMM = LOAD_SAVED, LOAD_CHANGED, PIC, WINDOW, EVENTS, RESET, ROUTES, VMM_MSR, STOP,
	NR_OPS
};

struct step {
	u8 op, flags;
	u16 arg;
	u64 value;
} __attribute__((packed));

#define FLAG_BETWEEN	1u	/* other threads do it between an exit and the next entry, if there is an exit */
#define FLAG_USER	2u	/* executed at CPL 3, where that exits all the same */
#define FLAG_DELIVERING	4u	/* the exit interrupted the delivery of the event @arg */
#define FLAG_EARLY	8u	/* with FLAG_BETWEEN: as soon as an access to an MSR has been dealt with; not with AVIC, for it may not exit */
#define FLAG_IPI	16u	/* with AVIC: the message is an IPI of another vCPU, whose guest runs on another CPU */
#define FLAG_VCPU(f)	((f) >> 6)

/* What there is to know of a vCPU but for its GPRs and its LAPIC's registers. */
#define FIELDS(F) \
	F(rip) F(rflags) F(shadow) F(cpl) F(cs) F(dr6) F(cr8) F(taken) F(events) F(extint) F(nmi_pending) F(nmi_masked) F(nmi_injected) \
	F(exception) F(exception_vector) F(exception_error) F(interrupt) F(base) F(esr_pending) F(init_sipi) \
	F(sipi_vector) F(eoi_vector) F(deadline) F(expires) F(current_count) F(divide) F(mp_state) F(requests) F(tsc_offset) \
	F(exit_reason) F(result)

struct view {
	u64 regs[16], lapic[64];
#define FIELD(name) u64 name;
	FIELDS(FIELD)
};

static const char *const names[] = {
#define NAME(name) #name,
	FIELDS(NAME)
};

static struct machine *fast, *slow, *now;
static bool inner;	/* INNER_LOOP */
static bool avic;	/* AVIC */
static const struct step *steps;
static u32 nr_steps, at;
static struct vcpu *running;
static bool exited;		/* the guest, and other threads have not had their turn since */
static bool take_late;		/* the CPU looks for interrupts one instruction later */
static u32 nr_entries;
static int result;		/* of the last KVM_RUN */

/* The interrupts and events that each vCPU took, in their order: a hash. */
static u64 taken[2][NR_VCPUS], events[2][NR_VCPUS];

/* What the fast machine went through in this round, which the slow one must repeat. */
static struct view trace[2 * MAX_STEPS][NR_VCPUS];
static u64 pauses[2 * MAX_STEPS];
static u32 nr_trace, nr_pauses, next_trace, next_pause;

static void fail(const char *what, u64 a, u64 b)
{
	fprintf(stderr, "before step %u (op %u), vCPU %d runs: %s: fast %#llx, slow %#llx\n", at,
		at < nr_steps ? steps[at].op % NR_OPS : NR_OPS, running ? (int)running->id : -1, what, (unsigned long long)a,
		(unsigned long long)b);
	abort();
}

static void check(bool holds, const char *what)
{
	if (!holds)
		fail(what, now == fast, now == slow);
}
#define CHECK(x) check(x, #x)

static u64 hash(u64 sum, u64 value)
{
	return (sum ^ value) * 0x9e3779b97f4a7c15ull + 1;
}

/* --- What can be seen of a vCPU, and what must hold. --- */

static int highest_bit(const u64 *words)
{
	for (int i = 7; i >= 0; i--)
		if (words[i])
			return i * 32 + lapic_highest_bit(words[i]);
	return -1;
}

/* While the vCPU is in the guest, only the CPU knows its TPR and whether it took what it was offered. */
static void fold_offered(struct vcpu *v, struct view *w)
{
	u32 int_ctl = VMCB(v)->c.int_ctl, array = int_ctl & V_IRQ_BIT ? LAPIC_IRR : LAPIC_ISR;
	int vector = v->ev.offered;

	if (w->lapic[LAPIC_TPR / 16] >> 4 != w->cr8)
		w->lapic[LAPIC_TPR / 16] = w->cr8 << 4;
	if (vector < 0)
		return;
	if (vector != v->ev.extint)
		w->lapic[array / 16 + vector / 32] |= 1u << vector % 32;
	else if (!(int_ctl & V_IRQ_BIT))
		w->extint = ~0ull;
}

/* Of the registers of TMR. */
static bool is_tmr(u32 reg)
{
	return (reg & ~0x7fu) == LAPIC_TMR;
}

static void look_at_lapic(struct vcpu *v, struct view *w)
{
	struct lapic *a = &v->apic;
	u64 *tpr = &w->lapic[LAPIC_TPR / 16];
	int isr;

	for (u32 i = 0; i < 64; i++)
		w->lapic[i] = avic && is_tmr(i * 16) ? 0 : a->regs[i * 4];
	fold_offered(v, w);
	isr = highest_bit(&w->lapic[LAPIC_ISR / 16]);
	w->lapic[LAPIC_PPR / 16] = isr < 0 || (int)(*tpr & 0xf0) >= (isr & 0xf0) ? *tpr : (u64)isr & 0xf0;
	w->base = a->base;
	w->esr_pending = a->esr_pending;
	w->init_sipi = a->pending_init_sipi;
	w->sipi_vector = a->sipi_vector;
	w->eoi_vector = a->eoi_vector;
	w->deadline = a->timer.tscdeadline;
	w->expires = a->timer.expires_ns;
	w->divide = a->timer.divide;
	w->current_count = lapic_timer_current(v);
}

static void look_at_events(struct vcpu *v, struct view *w)
{
	struct event_state *ev = &v->ev;
	/* The CPU has taken what it was given, and the engine does not know yet. */
	bool through = v->hw.event_given && !(VMCB(v)->c.event_inj & EVENT_VALID);

	w->nmi_pending = ev->nmi_pending + ev->nmi_queued;
	w->nmi_masked = ev->nmi_masked;
	w->nmi_injected = ev->nmi_injected && !through;
	w->exception = ev->exception.pending << 1 | (ev->exception.injected && !through);
	if (w->exception) {
		w->exception_vector = ev->exception.vector;
		w->exception_error = ev->exception.has_error ? 1ull << 32 | ev->exception.error : 0;
	}
	w->interrupt = ev->interrupt.injected && !through ? 0x100u | ev->interrupt.vector : 0;
	w->extint = ev->extint;
}

/* The fast path does not begin to wait where there is no need; a signal may end KVM_RUN before the ordinary one finds out. */
static bool halt_is_over(struct vcpu *v)
{
	return v->mp_state == KVM_MP_STATE_HALTED && vendor_interrupt_allowed(v) && lapic_pending_vector(v) >= 0;
}

static void look(struct vcpu *v, struct view *w)
{
	struct vmcb *vmcb = VMCB(v);

	memset(w, 0, sizeof(*w));
	memcpy(w->regs, v->regs, sizeof(w->regs));
	if (v->mode != OUTSIDE_GUEST)
		w->regs[R_AX] = vmcb->s.rax;
	w->rip = vmcb->s.rip;
	w->rflags = vmcb->s.rflags;
	w->shadow = vmcb->c.int_state;
	w->cpl = vmcb->s.cpl;
	w->cs = vmcb->s.cs.attrib;
	w->dr6 = vmcb->s.dr6;
	w->cr8 = vmcb->c.int_ctl & V_TPR_FIELD;
	w->taken = taken[now == slow][v->id];
	w->events = events[now == slow][v->id];
	look_at_events(v, w);
	look_at_lapic(v, w);
	w->mp_state = halt_is_over(v) ? KVM_MP_STATE_RUNNABLE : v->mp_state;
	w->requests = v->requests & ~(1ull << REQ_EVENT | 1ull << REQ_STATS);
	w->tsc_offset = v->msr.tsc_offset;
	w->exit_reason = v->run->exit_reason;
	w->result = result;
}

static void compare(const struct view *a, const struct view *b)
{
	const u64 *x = &a->rip, *y = &b->rip;

	for (u32 i = 0; i < 16; i++)
		if (a->regs[i] != b->regs[i])
			fail("a GPR", a->regs[i], b->regs[i]);
	for (u64 i = 0; i < 64; i++)
		if (a->lapic[i] != b->lapic[i])
			fail("a LAPIC register (offset << 32 | value)", i << 36 | a->lapic[i], i << 36 | b->lapic[i]);
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (x[i] != y[i])
			fail(names[i], x[i], y[i]);
}

static void check_summaries(const struct lapic *a)
{
	u64 isr[8];

	if (a->apicv)
		return;
	for (u32 i = 0; i < 8; i++) {
		isr[i] = a->regs[LAPIC_ISR / 4 + i * 4];
		CHECK(!isr[i] == !(a->isr_words >> i & 1));
		CHECK(!a->regs[LAPIC_IRR / 4 + i * 4] || (a->irr_words >> i & 1));
	}
	CHECK(a->isr_top == highest_bit(isr));
}

/* A timer that runs has its reminder: armed for then or before, or fired and not yet looked at. */
static void check_timer(struct vcpu *v)
{
	const struct lapic_timer *t = &v->apic.timer;
	u64 armed = machine_of(v)->timer_deadline, tsc = msr_guest_tsc(v);
	u64 ticks = t->tscdeadline > tsc ? t->tscdeadline - tsc : 0;

	if (t->pending)
		return;
	CHECK(!t->armed_ns == !armed);
	CHECK(!t->expires_ns || (armed && armed <= t->expires_ns));
	CHECK(!t->tscdeadline || (armed && (ticks >= 1ull << 42 || armed <= machine_now_ns + ticks / 2 + 1)));
}

/* A point that both machines come to, in the same state. */
static void meet(void)
{
	struct view *w = trace[next_trace], own;

	CHECK(now == fast ? nr_trace < ARRAY_SIZE(trace) : next_trace < nr_trace);
	for (u32 i = 0; i < NR_VCPUS; i++) {
		struct vcpu *v = vm_vcpu(&now->vm, i);

		check_summaries(&v->apic);
		check_timer(v);
		if (now == fast) {
			look(v, &trace[nr_trace][i]);
		} else {
			look(v, &own);
			compare(&w[i], &own);
		}
	}
	if (now == fast)
		nr_trace++;
	else
		next_trace++;
}

/* --- Other threads, and time. --- */

/* Some timer of the fast machine fires within the nanosecond to which the host's timers are rounded up. */
static bool almost_due(void)
{
	for (u32 i = 0; i < NR_VCPUS; i++)
		if (fast->vcpus[i]->timer_deadline == machine_now_ns + 1)
			return true;
	return false;
}

/* A deadline that is over by less than that can be set anew; whether it counts as over then is no promise, so the clock does not stay there. */
static void pass_time(u64 ns)
{
	u64 start = machine_now_ns;

	if (now == slow) {
		CHECK(next_pause < nr_pauses);
		machine_advance(now, pauses[next_pause++]);
		return;
	}
	CHECK(nr_pauses < ARRAY_SIZE(pauses));
	machine_advance(now, ns);
	while (almost_due())
		machine_advance(now, 1);
	pauses[nr_pauses++] = machine_now_ns - start;
}

/* Of an ICR or an MSI. */
static u64 without_lowest(u64 value)
{
	return avic && (value >> 8 & 7) == APIC_LOWEST ? value & ~0x700ull : value;
}

static u64 pick_icr(const struct step *s)
{
	u64 shorthand = s->value >> 40 & 3, others = s->value >> 42 & 1 ? s->value >> 43 << 16 : 0;

	return (s->value & 0xffffffff) << 32 | (u32)others | shorthand << 18 | s->arg;
}

static bool all_are_x2apics(void)
{
	for (u32 i = 0; i < NR_VCPUS; i++)
		if (!lapic_x2apic(&vm_vcpu(&now->vm, i)->apic))
			return false;
	return true;
}

/* Whether the guest may access the MSR without an exit, with AVIC. */
static bool is_own_msr(u32 index)
{
	return index == M_X2APIC_TPR || index == M_X2APIC_EOI || index == M_X2APIC_ICR;
}

/* What the guest writes there. */
static u64 own_msr_value(u32 index, u64 value)
{
	if (index == M_X2APIC_TPR)
		return value & 0xf0;
	if (index == M_X2APIC_EOI)
		return 0;
	return without_lowest(value & ~0xfff32000ull & ~(all_are_x2apics() ? 0ull : 1ull << 11));
}

/* The guest of another vCPU than the one that runs here writes its ICR. */
static void send_ipi(const struct step *s)
{
	struct vcpu *v = vm_vcpu(&now->vm, FLAG_VCPU(s->flags) % NR_VCPUS);
	u64 icr = own_msr_value(M_X2APIC_ICR, pick_icr(s)), failed;

	if (v == running || !lapic_x2apic(&v->apic))
		return;
	if (v->hw.avic != AVIC_FULL || machine_msr_intercepted(v, M_X2APIC_ICR, true)) {
		lapic_icr_write(v, icr);
		return;
	}
	icr &= ~(1ull << 12);
	failed = machine_send_ipi(v, icr);
	if (failed == IPI_COMPLETE)
		return;
	if (failed >> 32 == AVIC_IPI_NOT_RUNNING)
		lapic_icr_sent(v, icr);
	else
		lapic_icr_write(v, icr);
}

static void send_message(const struct step *s)
{
	lapic_deliver(&now->vm, NULL, &(struct apic_msg){
		.vector = s->arg, .delivery_mode = without_lowest(s->arg) >> 8 & 7, .shorthand = s->arg >> 12 & 3, .logical = s->arg >> 11 & 1,
		.level = s->arg >> 15, .assert = s->arg >> 14 & 1, .dest = s->value, .x2apic_dest = s->value >> 32 & 1,
	});
}

static void interrupt_host(void)
{
	machine_cpu.kicked |= running && running->mode != OUTSIDE_GUEST;
}

static void do_other(const struct step *s)
{
	bool others = machine_cpu.others;

	machine_cpu.others = true;
	switch (s->op % NR_OPS) {
	case MESSAGE:
		if (avic && (s->flags & FLAG_IPI))
			send_ipi(s);
		else
			send_message(s);
		break;
	case MSI:
		lapic_deliver_msi(&now->vm, s->value & ~(avic ? 1ull << 3 : 0), s->value >> 32, without_lowest(s->arg));
		break;
	case NMI:
		event_nmi(vm_vcpu(&now->vm, s->arg % NR_VCPUS));
		break;
	case PASS_TIME:
		pass_time(s->value & ((1ull << 42) - 1));
		break;
	case SWITCH:
		fast->vm.mechanisms_on = s->arg & MECHANISMS;
		break;
	case SIGNAL:
		machine_signal = true;
		interrupt_host();
		break;
	case WORK:
		machine_cpu.work = true;
		interrupt_host();
		break;
	}
	machine_cpu.others = others;
}

/* The next step if it is for other threads. */
static const struct step *next_other(void)
{
	u32 op = at < nr_steps ? steps[at].op % NR_OPS : NR_OPS;

	return op >= FIRST_OF_OTHERS && op < FIRST_OF_VMM ? &steps[at] : NULL;
}

/* At each moment once after an exit, before the next entry. */
static void between(enum machine_moment moment)
{
	const struct step *s;
	u32 now_or_never = FLAG_BETWEEN | (moment == MOMENT_HANDLED ? FLAG_EARLY : 0);

	if (!exited || (avic && moment == MOMENT_HANDLED))
		return;
	exited = moment == MOMENT_HANDLED;
	while ((s = next_other()) && (s->flags & now_or_never) == now_or_never) {
		at++;
		do_other(s);
	}
}

/* Where the fast machine's guest goes on and the slow one's has exited, or was kicked: before either takes an interrupt. */
static void between_without_exit(void)
{
	const struct step *s;

	while (!inner && (s = next_other()) && (s->flags & FLAG_BETWEEN)) {
		at++;
		do_other(s);
	}
}

/* As the kernel's: looks, is about to sleep, looks again; other threads wake it, or a signal does. */
static void blocked(struct vcpu *v)
{
	struct lapic_timer *t = &v->apic.timer;
	const struct step *s;

	while (!vcpu_end_wait(v) && !machine_signal) {
		lapic_timer_tighten(v);
		vendor_leave_cpu(v);
		CHECK(t->tscdeadline || t->expires_ns || t->pending || !machine_of(v)->timer_deadline);
		s = next_other();
		if (!s) {
			machine_signal = true;
			return;
		}
		at++;
		do_other(s);
	}
}

/* --- The guest. --- */

static void set_mode(struct vcpu *v, bool is64)
{
	VMCB(v)->s.cs.attrib = 0x89b | (is64 ? 0x200 : 0x400);
}

/* The CPU begins to execute a handler. */
static void enter_handler(struct vcpu *v)
{
	VMCB(v)->s.rflags &= ~(FLAG_IF | FLAG_TF | FLAG_RF);
	VMCB(v)->c.int_state = 0;
}

static void take_event(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	u64 *sum = &events[now == slow][v->id];

	if (!(c->event_inj & EVENT_VALID))
		return;
	*sum = hash(*sum, (u64)c->event_inj << 32 | (c->event_inj & EVENT_ERROR_VALID ? c->event_inj_err : 0));
	c->event_inj = 0;
	enter_handler(v);
}

/* APM vol. 2, 15.21.4. True: that was intercepted. */
static bool take_interrupt(struct vcpu *v)
{
	struct vmcb_control *c = &VMCB(v)->c;
	bool ignore_tpr = c->int_ctl & V_IGN_TPR_BIT;
	u64 *sum = &taken[now == slow][v->id];
	int vector;

	if (c->int_ctl & AVIC_BIT) {
		vector = take_late ? -1 : machine_take_from_irr(v);
		if (vector >= 0) {
			*sum = hash(*sum, vector);
			enter_handler(v);
		}
		return false;
	}
	if (!(c->int_ctl & V_IRQ_BIT) || !(VMCB(v)->s.rflags & FLAG_IF) || (c->int_state & INT_SHADOW_BIT))
		return false;
	if (take_late || (!ignore_tpr && (c->int_ctl >> 16 & 0xf) <= (c->int_ctl & V_TPR_FIELD)))
		return false;
	if (c->intercepts[ICPT_MISC1] & ICPT1_VINTR) {
		c->exit_code = SVM_EXIT_VINTR;
		return true;
	}
	c->int_ctl &= ~V_IRQ_BIT;
	*sum = hash(*sum, c->int_vector);
	enter_handler(v);
	return false;
}

/* An instruction that needs no exit is done; with TF set before it, it traps. True: it did. */
static bool done(struct vcpu *v, u32 length, bool traps)
{
	struct vmcb_save *s = &VMCB(v)->s;

	s->rip += length;
	if (!(s->cs.attrib & VMCB_CS_LONG))
		s->rip = (u32)s->rip;
	if (!traps)
		return false;
	s->dr6 |= 1ull << 14;
	machine_leave(v, SVM_EXIT_EXCP_BASE + VEC_DB, 0, 0, 0);
	return true;
}

/* The CPU knows by TMR alone that an EOI concerns the VMM, whose routes with such an EOI are level-triggered. */
static void mark_level(struct vcpu *v)
{
	struct view w;
	int vector;

	look(v, &w);
	vector = highest_bit(&w.lapic[LAPIC_ISR / 16]);
	if (vector >= 0 && lapic_eoi_exits(&v->apic, vector))
		lapic_set_trigger_mode(&v->apic, vector, true);
}

/* To an NMI it matters whether there is an exit. */
static bool nmi_waits(const struct vcpu *v)
{
	return v->hw.nmi_iret || v->hw.nmi_singlestep || v->ev.nmi_pending || v->ev.nmi_queued;
}

/* With AVIC, guests do not do now what does not exit there. */
static bool avoids_own(struct vcpu *v)
{
	return avic && (nmi_waits(v) || (VMCB(v)->s.rflags & FLAG_TF));
}

/* True: it exits. */
static bool write_msr(struct vcpu *v, u32 index, u64 value)
{
	if (avic && is_own_msr(index)) {
		if (avoids_own(v))
			return done(v, 2, VMCB(v)->s.rflags & FLAG_TF);
		value = own_msr_value(index, value);
		mark_level(v);		/* for EOI */
	}
	v->regs[R_CX] = index;
	v->regs[R_DX] = value >> 32 | 0xdull << 60;
	VMCB(v)->s.rax = (u32)value | 0xaull << 60;
	if (machine_wrmsr(v))
		return true;
	between_without_exit();
	return false;
}

static bool read_msr(struct vcpu *v, u32 index)
{
	/* Neither EOI, which is a #GP, nor TMR. */
	if (avic && (index == M_X2APIC_EOI || (index - M_X2APIC < 0x100 && is_tmr((index - M_X2APIC) * 16))))
		index = M_X2APIC_TPR;
	if (is_own_msr(index) && avoids_own(v))
		return done(v, 2, VMCB(v)->s.rflags & FLAG_TF);
	v->regs[R_CX] = index;
	if (machine_rdmsr(v))
		return true;
	between_without_exit();
	return false;
}

static u64 pick_deadline(struct vcpu *v, const struct step *s)
{
	u64 tsc = msr_guest_tsc(v), set = v->apic.timer.tscdeadline;

	switch (s->arg % 8) {
	case 0: return 0;
	case 1: return tsc + (s->value & 0xfffff);
	case 2: return tsc - (s->value & 0xfffff);
	case 3: return ~0ull - (s->value & 7);
	case 4: return set + (s->value & 0xffff);
	case 5: return set - (s->value & 0xffff);
	case 6: return tsc + (s->value & ((1ull << 44) - 1));
	}
	return s->value;
}

static u32 pick_msr(const struct step *s)
{
	static const u32 msrs[] = { 0x10, 0x3b, 0x1b, 0x8b, 0xc0000103, 0x6e0, 0x12345 };

	return msrs[s->arg % ARRAY_SIZE(msrs)];
}

static void access_page(struct vcpu *v, const struct step *s, bool write)
{
	u32 offset = s->arg & 0x3ff & (s->arg >> 15 ? ~0u : ~15u), value = s->value;
	u64 gpa;

	if (avic) {
		offset = is_tmr(offset) ? 0 : offset;
		value = offset == LAPIC_TPR ? value & 0xf0 : offset == LAPIC_ICR ? without_lowest(value) : value;
	}
	gpa = APIC_DEFAULT_BASE + offset;
	VMCB(v)->s.rip = CODE_GVA + (write ? 0 : READ_CODE);
	v->regs[R_BX] = gpa;
	VMCB(v)->s.rax = (s->value & ~0xffffffffull) | value;
	machine_leave(v, SVM_EXIT_NPF, 1ull << 32 | PF_USER | (write ? PF_WRITE : 0), gpa, 0);
}

static bool set_cr8(struct vcpu *v, u64 value, bool traps)
{
	if (avoids_own(v))
		return done(v, 4, traps);
	v->regs[R_DI] = value & 15;
	if (machine_write_cr8(v))
		return true;
	if (VMCB(v)->c.int_ctl & AVIC_BIT)
		between_without_exit();
	return done(v, 0, traps);
}

static void set_flags(struct vcpu *v, u64 value)
{
	VMCB(v)->s.rflags = FLAG_FIXED | (value & (FLAG_IF | FLAG_CF | FLAG_ZF)) | (value & FLAG_CF ? value & FLAG_TF : 0);
}

/* What changes nothing but flags and RIP. */
static bool execute_simple(struct vcpu *v, const struct step *s, bool traps)
{
	struct vmcb *vmcb = VMCB(v);
	bool was_on = vmcb->s.rflags & FLAG_IF;

	vmcb->c.int_state = 0;
	switch (s->op % NR_OPS) {
	case STI:
		vmcb->s.rflags |= FLAG_IF;
		vmcb->c.int_state = was_on ? 0 : INT_SHADOW_BIT;
		break;
	case CLI:
		vmcb->s.rflags &= ~FLAG_IF;
		break;
	case POPF:
	case IRET:
		set_flags(v, s->value);
		break;
	case SET_MODE:
		set_mode(v, s->arg & 1);
		break;
	case JUMP:
		vmcb->s.rip = s->value >> 17;
		break;
	case SET_CR8:
		return set_cr8(v, s->value, traps);
	case TAKE_LATE:
		take_late = true;
		break;
	}
	return done(v, 1, traps);
}

/* True: it exits. */
static bool execute(struct vcpu *v, const struct step *s)
{
	struct vmcb_save *save = &VMCB(v)->s;
	u32 op = s->op % NR_OPS;

	save->cpl = (s->flags & FLAG_USER) && (op == CPUID || op == VMMCALL) ? 3 : 0;
	switch (op) {
	case WRITE_X2APIC:
		return write_msr(v, 0x800 + (s->arg & 0xff), s->value);
	case WRITE_DEADLINE:
		return write_msr(v, 0x6e0, pick_deadline(v, s));
	case WRITE_OTHER:
		return write_msr(v, pick_msr(s), s->value);
	case WRITE_ICR:
		return write_msr(v, 0x830, pick_icr(s));
	case END_INTERRUPT:
		return write_msr(v, 0x80b, s->arg ? 0 : s->value);
	case READ_X2APIC:
		return read_msr(v, 0x800 + (s->arg & 0xff));
	case READ_OTHER:
		return read_msr(v, pick_msr(s));
	case CPUID:
		save->rax = s->value & 0xf000001f;
		v->regs[R_CX] = s->arg;
		machine_leave(v, SVM_EXIT_CPUID, 0, 0, 2);
		return true;
	case VMMCALL:
		save->rax = s->value;
		machine_leave(v, SVM_EXIT_VMMCALL, 0, 0, 3);
		return true;
	case HALT:
		machine_leave(v, SVM_EXIT_HLT, 0, 0, 1);
		return true;
	case PAGE_WRITE:
	case PAGE_READ:
		access_page(v, s, op == PAGE_WRITE);
		return true;
	case HOST_INTERRUPT:
		return true;
	}
	return execute_simple(v, s, save->rflags & FLAG_TF);
}

/* What the engine has to have prepared. */
static void check_entry(struct vcpu *v)
{
	u32 int_ctl = VMCB(v)->c.int_ctl;

	CHECK((int_ctl & V_TPR_FIELD) == lapic_reg(&v->apic, LAPIC_TPR) >> 4);
	if (!(VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_VINTR))
		CHECK(!(int_ctl & V_IRQ_BIT) == (v->ev.offered < 0));
	CHECK(++nr_entries < MAX_ENTRIES);
}

/* The CPU is at an instruction that the IRET intercept stops; it runs the next time. */
static bool at_watched_iret(struct vcpu *v)
{
	return steps[at].op % NR_OPS == IRET && (VMCB(v)->c.intercepts[ICPT_MISC1] & ICPT1_IRET);
}

/*
 * The exit can have interrupted a delivery on both machines: it is one on both, and the vector is not one that the slow machine's CPU is
 * offered, which the engine takes for another way to say so.
 */
static bool may_interrupt(struct vcpu *v, const struct step *s)
{
	u32 op = s->op % NR_OPS, vector = s->arg & 0xff;
	struct view w;

	if (!avic)
		return true;
	look(v, &w);
	return !((op < CPUID && is_own_msr(v->regs[R_CX])) || op == SET_CR8) && !(w.lapic[LAPIC_IRR / 16 + vector / 32] >> vector % 32 & 1);
}

/* True: the guest goes on to the next. */
static bool execute_next(struct vcpu *v)
{
	const struct step *s = &steps[at];
	u32 doorbells;

	if (at == nr_steps || s->op % NR_OPS >= FIRST_OF_VMM) {
		machine_leave(v, EXIT_TO_VMM, 0, 0, 0);
		return false;
	}
	if (at_watched_iret(v)) {
		machine_leave(v, SVM_EXIT_IRET, 0, 0, 0);
		return false;
	}
	if (s->op % NR_OPS >= FIRST_OF_OTHERS) {
		doorbells = machine_cpu.doorbells;
		at++;
		do_other(s);
		if (machine_cpu.doorbells != doorbells) {
			if (nmi_waits(v))
				host_kick(v);
			between_without_exit();
		}
		return true;
	}
	meet();
	at++;
	take_late = false;
	if (!execute(v, s))
		return true;
	if ((s->flags & FLAG_DELIVERING) && may_interrupt(v, s))
		VMCB(v)->c.exit_int_info = machine_interrupted_event(s->arg >> 8 & 3, s->arg);
	return false;
}

/* From VMRUN to the exit; SVM_EXIT_INTR unless said otherwise. */
static void guest(struct vcpu *v)
{
	check_entry(v);
	take_event(v);
	do
		exited = true;
	while (!machine_cpu.kicked && !take_interrupt(v) && execute_next(v));
	/* Only where interrupts are offered is there a reason to look at all events. */
	if (avic && nmi_waits(v))
		vcpu_request(v, REQ_EVENT);
}

/* --- The VMM. --- */

static void restart(struct vcpu *v)
{
	struct guest g = { .m = now, .v = v };

	guest_set_mode(&g, GUEST_LONG);
	VMCB(v)->s.efer |= EFER_SVME_BIT;
	guest_map(&g, CODE_GVA, CODE_GPA, RIGHTS);
	guest_map(&g, APIC_DEFAULT_BASE, APIC_DEFAULT_BASE, RIGHTS);
	memcpy(now->mem + CODE_GPA, "\x89\x03", 2);
	memcpy(now->mem + CODE_GPA + READ_CODE, "\x8b\x03", 2);
	VMCB(v)->s.rip = 0x401000;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static void load_lapic(struct vcpu *v, const struct step *s, bool changed)
{
	struct kvm_lapic_state state;
	u32 low = s->value, high = s->value >> 32;

	lapic_get_state(v, &state);
	if (changed) {
		memcpy(state.regs + (s->arg & 63) * 16, &low, sizeof(low));
		memcpy(state.regs + (s->arg >> 8 & 63) * 16, &high, sizeof(high));
		if (avic)
			state.regs[LAPIC_TPR] &= 0xf0;
	}
	result = lapic_set_state(v, &state);
}

static void set_events(struct vcpu *v, const struct step *s)
{
	struct kvm_vcpu_events e;

	event_get_state(v, &e);
	e.exception.injected = s->value & 1;
	e.exception.nr = s->arg & 31;
	e.exception.has_error_code = s->value >> 1 & 1;
	e.interrupt.injected = s->value >> 2 & 1;
	e.interrupt.nr = s->arg >> 8;
	e.interrupt.shadow = s->value >> 3 & 1;
	e.nmi.injected = s->value >> 4 & 1;
	e.nmi.pending = s->value >> 5 & 3;
	e.nmi.masked = s->value >> 7 & 1;
	result = event_set_state(v, &e);
}

static void do_vmm(struct vcpu *v, const struct step *s)
{
	switch (s->op % NR_OPS) {
	case LOAD_SAVED:
	case LOAD_CHANGED:
		load_lapic(v, s, s->op % NR_OPS == LOAD_CHANGED);
		break;
	case PIC:
		result = event_extint(v, s->arg & 0xff);
		break;
	case WINDOW:
		v->run->request_interrupt_window = s->arg & 1;
		break;
	case EVENTS:
		set_events(v, s);
		break;
	case RESET:
		if (s->arg & 1)
			vcpu_reset(v, s->arg & 2);
		restart(v);
		break;
	case ROUTES:
		v->apic.eoi_exit[s->arg & 3] = s->value;
		break;
	case VMM_MSR:
		result = msr_write(v, pick_msr(s), s->value, true);
		break;
	}
}

/* The VMM's answer to an access that is no LAPIC's. */
static void answer(struct vcpu *v)
{
	u64 data = 0x123456789abcdefull;

	do
		memcpy(v->run->mmio.data, &data, sizeof(data));
	while (emulate_complete(v) == EXIT_TO_USER);
}

static void run(struct vcpu *v)
{
	exited = take_late = false;
	nr_entries = 0;
	running = v;
	result = vcpu_run(v);
	vendor_leave_cpu(v);
	running = NULL;
	if (result == EXIT_TO_USER && v->run->exit_reason == KVM_EXIT_MMIO)
		answer(v);
}

/* --- Both machines. --- */

static void check_ppr(void)
{
	struct view w;

	for (u32 i = 0; i < NR_VCPUS; i++) {
		struct vcpu *v = vm_vcpu(&now->vm, i);

		look(v, &w);
		CHECK(v->ev.offered < 0);
		CHECK(v->apic.apicv || w.lapic[LAPIC_PPR / 16] == lapic_reg(&v->apic, LAPIC_PPR));
	}
}

/* One machine's part of a round: the next step, or as many as a guest executes. */
static void one_round(struct machine *m)
{
	const struct step *s = &steps[at];
	struct vcpu *v = vm_vcpu(&m->vm, FLAG_VCPU(s->flags) % NR_VCPUS);
	u32 op = s->op % NR_OPS;

	now = m;
	result = 0;
	machine_signal = machine_cpu.work = false;
	if (op < FIRST_OF_OTHERS) {
		run(v);
		check_ppr();
	} else {
		at++;
		if (op < FIRST_OF_VMM)
			do_other(s);
		else
			do_vmm(v, s);
	}
	meet();
}

static void round_of_both(void)
{
	u64 start = machine_now_ns, end;
	u32 first = at, last;

	nr_trace = next_trace = nr_pauses = next_pause = 0;
	one_round(fast);
	last = at;
	end = machine_now_ns;
	at = first;
	machine_now_ns = start;
	one_round(slow);
	CHECK(at == last && machine_now_ns == end && next_trace == nr_trace && next_pause == nr_pauses);
	/* The vCPU did not want to run. */
	if (at == first)
		at++;
}

/* So many exits of this kind, wherever they were dealt with. */
static u64 exits_like(const struct exeunt_row *rows, u32 nr, u64 key)
{
	u64 where = EXEUNT_KEY(0, 0, 3, 0), count = 0;

	for (u32 i = 0; i < nr; i++)
		if ((rows[i].key & ~where) == (key & ~where))
			count += rows[i].count;
	return count;
}

/* Every kind of exit that @a has, @b has as often. */
static void check_rows(const struct exeunt_row *a, u32 nr_a, const struct exeunt_row *b, u32 nr_b)
{
	for (u32 i = 0; i < nr_a; i++) {
		u32 reason = EXEUNT_KEY_REASON(a[i].key);

		CHECK(EXEUNT_KEY_OUTCOME(a[i].key) < EXEUNT_OUTCOMES);
		if (reason == SVM_EXIT_INTR || reason == SVM_EXIT_WRITE_CR8 || reason == EXEUNT_REASON_LOST)
			continue;
		if (exits_like(a, nr_a, a[i].key) != exits_like(b, nr_b, a[i].key))
			fail("exits of a kind, and their key", exits_like(a, nr_a, a[i].key), a[i].key);
	}
}

static void check_accounting(const struct vcpu_stats *f, const struct vcpu_stats *s)
{
	static struct exeunt_row fast_rows[EXEUNT_MAX_ROWS], slow_rows[EXEUNT_MAX_ROWS];
	u32 nr_fast = stats_read_rows(f, fast_rows, EXEUNT_MAX_ROWS), nr_slow = stats_read_rows(s, slow_rows, EXEUNT_MAX_ROWS);
	struct exeunt_counters a, b;

	stats_read_counters(f, &a);
	stats_read_counters(s, &b);
	CHECK(!memcmp(a.interrupts, b.interrupts, sizeof(a.interrupts)));
	CHECK(!memcmp(a.exceptions, b.exceptions, sizeof(a.exceptions)));
	CHECK(!memcmp(a.ipis, b.ipis, sizeof(a.ipis)));
	CHECK(!memcmp(a.ipi_targets, b.ipi_targets, sizeof(a.ipi_targets)));
	CHECK(a.nmis == b.nmis && a.ipis_untaken == b.ipis_untaken);
	check_rows(fast_rows, nr_fast, slow_rows, nr_slow);
	check_rows(slow_rows, nr_slow, fast_rows, nr_fast);
}

static struct machine *create(u8 options, u32 mechanisms)
{
	struct machine *m = now = whole_add_machine(MEMORY, true);

	m->vm.mechanisms_own = EXEUNT_MECHANISMS;
	m->vm.mechanisms_on = mechanisms;
	m->vm.x2apic_ids32 = options & IDS32;
	m->vm.disabled_quirks = options & NO_QUIRKS ? ~0ull : 0;
	for (u32 i = 0; i < NR_VCPUS; i++) {
		struct vcpu *v = i ? whole_add_vcpu(m, i) : vm_vcpu(&m->vm, 0);

		v->cpuid.has_tsc_deadline = !(options & NO_DEADLINE);
		if (!(options & START_XAPIC))
			lapic_set_base(v, v->apic.base | APIC_BASE_X2APIC_BIT, true);
		lapic_set_reg(&v->apic, LAPIC_SVR, 0x1ff);
		vendor_apic_changed(v);
		restart(v);
	}
	return m;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 options = size ? data[0] : 0;

	machine_now_ns = 1000000000;
	memset(taken, 0, sizeof(taken));
	memset(events, 0, sizeof(events));
	avic = options & AVIC;
	whole_svm_bits = 1u << 0 | (avic ? 1u << 13 : 0) | (avic && (options & X2AVIC) ? 1u << 18 : 0);
	whole_host();
	svm.nrip = svm.decode_assists = true;
	machine_accounting_off = !(options & ACCOUNTING);
	inner = options & INNER_LOOP;
	fast = create(options, MECHANISMS);
	slow = create(options, 0);
	machine_guest = guest;
	machine_others = inner ? NULL : between;
	machine_blocked = blocked;
	steps = (const struct step *)(data + 1);
	nr_steps = size ? min_t(u32, (size - 1) / sizeof(struct step), MAX_STEPS) : 0;
	for (at = 0; at < nr_steps;)
		round_of_both();
	/* The last exit of a vCPU that is not entered again counts only where the inner loop has dealt with it: after an INIT that can be. */
	for (u32 i = 0; i < NR_VCPUS && !avic; i++)
		if (vm_vcpu(&slow->vm, i)->mp_state != KVM_MP_STATE_INIT_RECEIVED)
			check_accounting(vm_vcpu(&fast->vm, i)->stats, vm_vcpu(&slow->vm, i)->stats);
	whole_free_machine(fast);
	whole_free(slow);
	machine_accounting_off = false;
	return 0;
}
