/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kicks: vCPU threads that enter the guest, halt, poll and sleep, against everyone who wants their attention. The protocol is described
 * at the top of engine/run.c; each step here names the function it stands for.
 *
 * Memory is x86's (TSO): each thread has a FIFO store buffer; plain stores wait in it, fences and locked operations drain it. A
 * sender's "lock or" of IRR and of the requests is weaker here than on x86: it waits in the store buffer too, so that all that orders a
 * kicker is the barrier in swq_has_sleeper(). -DLOCKED_RMW makes it x86's again.
 *
 * Every behaviour is finite (run checks that there is no cycle), so "in the end" is the moment at which nothing can move: then every
 * vector sent must have been taken by the guest. IRR is one word here; irr.pml has its summary, priorities and TPR.
 *
 * Assumed: who has made mode EXITING_GUEST also sends the interrupt, after whatever time. Others rely on it, so host_kick() disables
 * preemption; -DKICKER_STOPS shows what would happen if that thread were not scheduled again.
 *
 * -DVCPUS=n -DKICKERS=n -DEXITS=n -DMIGRATIONS=n -DREMOTE_TIMER -DOWN_TIMER -DFLUSHER -DSELF_KICK -DNMI -DINIT say what there is;
 * the other macros break something.
 */
#ifndef VCPUS
#define VCPUS 1
#endif
#ifndef KICKERS
#define KICKERS 0
#endif
#ifndef EXITS
#define EXITS 2		/* exits that each guest makes of its own accord */
#endif
#ifndef MIGRATIONS
#define MIGRATIONS 0
#endif

/* Threads, each with a store buffer: the vCPUs first. */
#define KICKER(n)	(VCPUS + (n))
#define TIMER_CPU	(VCPUS + KICKERS)
#define OTHER_CPU	(VCPUS + KICKERS + 1)	/* of the flusher, or of who sends an NMI or INIT */
#define THREADS		(VCPUS + KICKERS + 2)

#define OUTSIDE_GUEST	0
#define IN_GUEST	1
#define EXITING_GUEST	2	/* in the guest, and kicked */
#define REQ_EVENT	1
#define REQ_TLB_FLUSH	2
#define REQ_NMI		4	/* with nmi_queued, which is written before it and read after it was taken */

/* Vectors, as bits: each kicker has its own. A larger one has priority. */
#define VECTOR(kicker)	(1 << (kicker))
#define VECTOR_IPI	4
#define VECTOR_ERROR	4
#define VECTOR_TIMER	8
/* Owed like vectors, but not in IRR. */
#define OWED_NMI	16
#define OWED_INIT	32

/* struct vcpu and struct host_vcpu, as far as others see them. */
byte mode[VCPUS];
byte requests[VCPUS];
byte irr[VCPUS];
bit timer_pending[VCPUS];
bit pending_init;		/* vCPU 0's apic.pending_init_sipi */
bit queued[VCPUS];		/* its thread is on hv->wait */
bit sleeping[VCPUS];		/* its thread's state is TASK_INTERRUPTIBLE */
bit wait_lock[VCPUS];

/* The CPU that a vCPU's thread is on. */
bit cpu[VCPUS];
bit irqs_off[VCPUS];
bit ipi[VCPUS];			/* an interrupt is pending there */
bit call[VCPUS];		/* so is smp_call_function()'s */
bit timer_irq;			/* so is the host's timer (-DOWN_TIMER) */
byte migrations = MIGRATIONS;

/* What must hold. */
byte owed[VCPUS];		/* vectors sent and not yet taken by the guest */
byte excused;			/* those whose sender has been stopped */
bit stale;			/* vCPU 0 may have translations that are gone */
bit in_guest;			/* it runs the guest */
bit flushed;			/* host_flush_tlbs() has returned */

mtype = { MODE, IRR, REQUESTS, PENDING, PENDING_INIT, WAITER };	/* what a buffered store goes to */
mtype = { HLT, EOI, IPI, SELF_IPI, ERROR, OTHER, INTR };	/* exits; 0: dealt with */

/* --- The CPU's memory. --- */

chan buffer[THREADS] = [3] of { mtype, byte, byte };

#define store(t, what, v, value)	buffer[t]!what,v,value
#define fence(t)			empty(buffer[t])
#define locked(t, operation)		atomic { fence(t); operation }
#ifdef LOCKED_RMW
#define sender_or(t, what, var, v, bits) locked(t, var[v] = var[v] | bits)
#else
#define sender_or(t, what, var, v, bits) store(t, what, v, bits)
#endif

proctype store_buffer(byte t)
{
	mtype what;
	byte v, value;
end:
	do
	:: atomic {
		buffer[t]?what,v,value ->
		if
		:: what == MODE -> mode[v] = value
		:: what == IRR -> irr[v] = irr[v] | value
		:: what == REQUESTS -> requests[v] = requests[v] | value
		:: what == PENDING -> timer_pending[v] = value
		:: what == PENDING_INIT -> pending_init = value
		:: what == WAITER -> queued[v] = 1; sleeping[v] = 1
		fi;
		what = 0; v = 0; value = 0
	   }
	od
}

/* --- The kicker's side. Any thread, or an interrupt. --- */

/* swait: swake_up_one(), under the queue's lock. */
inline swake_up_one(from, to)
{
	atomic { !wait_lock[to] && fence(from) -> wait_lock[to] = 1 };
	if
	:: queued[to] -> atomic { sleeping[to] = 0; queued[to] = 0 }
	:: else
	fi;
	wait_lock[to] = 0
}

/*
 * An interrupt arrives at the CPU @on: it stays @pending there while interrupts are off. With interrupts on it is over at once, and a CPU
 * that the vCPU has left is none of ours.
 */
#define send_interrupt(to, on, pending)						\
	d_step {								\
		if								\
		:: cpu[to] == on && irqs_off[to] -> pending[to] = 1		\
		:: else								\
		fi;								\
		on = 0								\
	}

#ifdef KICKER_STOPS
/* Kicker 0 is preempted for ever, which does not matter to its own vector. */
#define may_stop(from, to)						\
	if								\
	:: from == KICKER(0) ->						\
		excused = VECTOR(0);					\
end_stopped:	false							\
	:: else								\
	fi;
#else
#define may_stop(from, to)
#endif

/* thread.c: host_kick(). Between its last steps any time may pass, in which others kick too. */
inline host_kick(from, to)
{
#ifndef NO_BARRIER_KICK
	fence(from);				/* swq_has_sleeper(): smp_mb() */
#endif
	if
	:: queued[to] -> swake_up_one(from, to)
	:: else
	fi;
	if
	:: mode[to] == IN_GUEST ->
		locked(from, first = (mode[to] == IN_GUEST); mode[to] = (first -> EXITING_GUEST : mode[to]));	/* cmpxchg() */
		if
		:: first ->
			first = 0;
			may_stop(from, to)
#ifndef KICK_CPU_FIRST
			on = cpu[to];		/* kick_process(): task_cpu() */
#endif
#ifndef KICK_NO_INTERRUPT
			send_interrupt(to, on, ipi)
#endif
		:: else
		fi
	:: else
	fi
}

/* lapic.c: take_interrupt() of another vCPU's APIC */
inline take_interrupt(from, to, vector)
{
#ifdef KICK_CPU_FIRST
	on = cpu[to];
#endif
#ifdef KICK_BEFORE_WRITE
	host_kick(from, to);
#endif
#ifdef REQUEST_BEFORE_IRR
	sender_or(from, REQUESTS, requests, to, REQ_EVENT);
#endif
	atomic { owed[to] = owed[to] | vector; sender_or(from, IRR, irr, to, vector) };	/* irr_set() */
#ifndef REQUEST_BEFORE_IRR
	sender_or(from, REQUESTS, requests, to, REQ_EVENT);					/* vcpu_request() */
#endif
#ifndef KICK_BEFORE_WRITE
	host_kick(from, to)
#endif
}

/* irqfd, KVM_SIGNAL_MSI: another thread, on any CPU */
proctype kicker(byte n)
{
	bit on, first;

	take_interrupt(KICKER(n), 0, VECTOR(n))
}

/* lapic_timer.c: lapic_timer_expired() */
inline lapic_timer_expired(from)
{
#ifdef TIMER_REQUEST_FIRST
	sender_or(from, REQUESTS, requests, 0, REQ_EVENT);
#endif
	atomic { owed[0] = owed[0] | VECTOR_TIMER; store(from, PENDING, 0, 1) };
#ifndef TIMER_REQUEST_FIRST
	sender_or(from, REQUESTS, requests, 0, REQ_EVENT);
#endif
	host_kick(from, 0)
}

/* The hrtimer is on a CPU that vCPU 0 is not on (any more). */
proctype remote_timer()
{
	bit on, first;

	lapic_timer_expired(TIMER_CPU)
}

/*
 * The hrtimer is on the CPU of vCPU 0: its interrupt ends the guest's run, and its handler runs in the place of the thread, with that
 * CPU's store buffer. IRET drains that (APM vol. 2, 7.6.4).
 */
proctype own_timer()
{
	bit on, first;

	timer_irq = 1;
	!irqs_off[0];
	lapic_timer_expired(0);
	assert(mode[0] == OUTSIDE_GUEST);	/* as kick_process() does nothing for its own CPU */
	fence(0);
	timer_irq = 0
}

/* event.c: event_nmi() */
proctype nmi_sender()
{
	bit on, first;

	atomic { owed[0] = owed[0] | OWED_NMI; sender_or(OTHER_CPU, REQUESTS, requests, 0, REQ_NMI) };
	sender_or(OTHER_CPU, REQUESTS, requests, 0, REQ_EVENT);
	host_kick(OTHER_CPU, 0)
}

/* lapic.c: queue_init() */
proctype init_sender()
{
	bit on, first;

	atomic { owed[0] = owed[0] | OWED_INIT; store(OTHER_CPU, PENDING_INIT, 0, 1) };
	sender_or(OTHER_CPU, REQUESTS, requests, 0, REQ_EVENT);
	host_kick(OTHER_CPU, 0)
}

/* mmu.c: host_flush_tlbs(), once what the guest had mapped is gone */
proctype flusher()
{
	bit on;

	stale = 1;
	sender_or(OTHER_CPU, REQUESTS, requests, 0, REQ_TLB_FLUSH);
#ifndef NO_BARRIER_FLUSH
	fence(OTHER_CPU);
#endif
	if
#ifdef FLUSH_IN_GUEST_ONLY
	:: mode[0] == IN_GUEST ->
#else
	:: mode[0] != OUTSIDE_GUEST ->
#endif
		on = cpu[0];
		send_interrupt(0, on, call);
#ifndef FLUSH_NO_WAIT
		!call[0]			/* smp_call_function_many(..., wait) */
#endif
	:: else
	fi;
	atomic { flushed = 1; assert(!(in_guest && stale)) }
}

/* --- The vCPU's thread. --- */

#define irq_disable()	irqs_off[self] = 1
/* What waits at the CPU is taken at once. */
#define irq_enable()	d_step { irqs_off[self] = 0; ipi[self] = 0; call[self] = 0 }
/* vcpu_request() and vcpu_take_request() of one's own */
#define request_self()	locked(self, requests[self] = requests[self] | REQ_EVENT)
#define take_request(bit) locked(self, requests[self] = requests[self] & ~(bit))
/* With one interrupt in service no other is deliverable here. */
#define deliverable()	(irr[self] && !isr)

#if defined(OWN_TIMER) || defined(REMOTE_TIMER)
/* lapic_timer.c: lapic_timer_deliver() and, without a kick, lapic_lvt_fire() */
#define timer_deliver()							\
	if								\
	:: timer_pending[self] ->					\
		locked(self, timer_pending[self] = 0);			\
		locked(self, irr[self] = irr[self] | VECTOR_TIMER);	\
		request_self()						\
	:: else								\
	fi;
#else
#define timer_deliver()
#endif

/* event.c: offer_interrupt(), lapic.c: lapic_offer() */
inline offer_interrupt()
{
	atomic {
		if
		:: deliverable() ->
			if
			:: irr[self] & 8 -> offered = 8
			:: irr[self] < 8 && irr[self] & 4 -> offered = 4
			:: irr[self] < 4 && irr[self] & 2 -> offered = 2
			:: irr[self] == 1 -> offered = 1
			fi
		:: else
		fi
	};
	if
	:: offered -> locked(self, irr[self] = irr[self] & ~offered)
	:: else
	fi
}

#ifdef NMI
/* event.c: fold_nmi(), inject_nmi() */
#define fold_nmi()					\
	if						\
	:: requests[self] & REQ_NMI ->			\
		take_request(REQ_NMI);			\
		nmi = 1					\
	:: else						\
	fi;
#else
#define fold_nmi()
#endif

/* run.c: enter_once(): event_inject(), if there is a request to take */
inline inject()
{
	if
	:: requests[self] & REQ_EVENT ->
#ifdef INJECT_BEFORE_TAKE
		timer_deliver()
		offer_interrupt();
		take_request(REQ_EVENT)
#else
		take_request(REQ_EVENT);
		timer_deliver()
		fold_nmi()
		offer_interrupt()
#endif
#if defined(NMI) && !defined(NMI_BY_EVENT)
	:: !(requests[self] & REQ_EVENT) && requests[self] & REQ_NMI ->
		timer_deliver()
		fold_nmi()
		offer_interrupt()
#endif
	:: else
	fi
}

/* lapic_inline.h: lapic_recheck_irr() */
inline recheck_irr()
{
	if
	:: irr[self] -> request_self()
	:: else
	fi
}

/* event_inline.h: event_settle_apic() */
inline settle()
{
	if
	:: offered ->
		if
		:: taken -> isr = offered			/* lapic_begin_service() */
		:: else -> locked(self, irr[self] = irr[self] | offered)	/* lapic_irr_set() */
		fi;
		d_step { offered = 0; taken = 0 };
#ifndef SETTLE_NO_REQUEST
		recheck_irr()
#endif
	:: else
	fi
}

#if defined(OWN_TIMER) || defined(REMOTE_TIMER)
#define look_at_timer()	busy = timer_pending[self];
#else
#define look_at_timer()
#endif
#ifdef INIT
#define look_at_init()	busy = busy || pending_init;
#else
#define look_at_init()
#endif

/* event.c: event_inject_again(). False: @busy. */
inline inject_again()
{
#ifdef AGAIN_TIMER_FIRST
	look_at_timer()
#endif
#ifndef AGAIN_NO_SETTLE
	settle();					/* what offer_arriving() has offered */
#endif
	take_request(REQ_EVENT);
#ifndef AGAIN_TIMER_FIRST
	look_at_timer()
#endif
#ifdef AGAIN_TAKE_TWICE
	take_request(REQ_EVENT);
#endif
	busy = busy || requests[self];
	look_at_init()
	if
	:: busy ->
#ifndef AGAIN_NO_PUT_BACK
		request_self()
#endif
	:: else -> offer_interrupt()
	fi
}

/* lapic.c: take_interrupt() of one's own: no kick */
#define take_own_interrupt(vector)								\
	locked(self, owed[self] = owed[self] | vector; irr[self] = irr[self] | vector);		\
	request_self()

/* event_inline.h: event_offer_arriving(), from fast.h: fast_self_ipi() */
inline offer_arriving()
{
	if
	:: exit == SELF_IPI && !requests[self] ->
		if
		:: !irr[self] && !isr -> d_step { owed[self] = owed[self] | VECTOR_IPI; offered = VECTOR_IPI; exit = 0 }
		:: else
		fi
	:: else
	fi
}

/* What an exit asked for: vendor_handle_fast() or vendor_handle_exit(), but for HLT. */
inline handle_exit()
{
	if
	:: exit == EOI ->					/* lapic.c: end_of_interrupt(), fast.h: fast_eoi() */
		isr = 0;
		recheck_irr()
#if VCPUS > 1
	:: exit == IPI -> take_interrupt(self, 1 - self, VECTOR_IPI)	/* lapic_icr_write(), send_to_one() */
#else
	:: exit == SELF_IPI -> take_own_interrupt(VECTOR_IPI)		/* the same */
#ifdef SELF_KICK
	:: exit == ERROR ->					/* report_error(): it kicks, which interrupts nobody on this CPU */
		take_own_interrupt(VECTOR_ERROR);
		locked(self, mode[self] = (mode[self] == IN_GUEST -> EXITING_GUEST : mode[self]))
#endif
#endif
	:: else
	fi
}

#ifdef NMI
#define nmi_wanted()	wanted = (requests[self] & REQ_NMI) != 0;
#else
#define nmi_wanted()	wanted = 0;
#endif
#ifdef INIT
#define init_wanted()	wanted = wanted || pending_init;
#else
#define init_wanted()
#endif

/* run.c: vcpu_end_wait(), event.c: event_deliverable() */
inline end_wait()
{
	nmi_wanted()
	init_wanted()
	timer_deliver()
	wanted = wanted || deliverable()
}

/* The wait queue's lock, with interrupts off: a timer's handler may want it. */
#define lock_queue()							\
	atomic {							\
		!wait_lock[self] && fence(self) ->			\
		irq_disable();						\
		wait_lock[self] = 1					\
	}
#define unlock_queue()							\
	atomic {							\
		wait_lock[self] = 0;					\
		irq_enable()						\
	}

/* swait: prepare_to_swait_exclusive(); its set_current_state() is an XCHG. */
inline prepare_to_swait()
{
	lock_queue();
#ifdef NO_BARRIER_SLEEP
	store(self, WAITER, self, 1);
#else
	queued[self] = 1;
	sleeping[self] = 1;
#endif
	unlock_queue()
}

inline finish_swait()
{
	sleeping[self] = 0;
	if
	:: queued[self] ->
		lock_queue();
		queued[self] = 0;
		unlock_queue()
	:: else
	fi
}

#ifdef FLUSHER
#define serve_flush()									\
	if										\
	:: requests[self] & REQ_TLB_FLUSH -> take_request(REQ_TLB_FLUSH); stale = 0	\
	:: else										\
	fi;
#define guest_runs(yes)	atomic { in_guest = yes; assert(!(yes && flushed && stale)) };
#else
#define serve_flush()
#define guest_runs(yes)
#endif
#ifdef INIT
/* lapic.c: lapic_accept_init_sipi(), of the bootstrap processor */
#define accept_init()									\
	if										\
	:: pending_init ->								\
		locked(self, pending_init = 0; owed[self] = owed[self] & ~OWED_INIT);	\
		halted = 0;								\
		request_self()								\
	:: else										\
	fi;
#else
#define accept_init()
#endif
/* run.c: serve_requests() */
#define serve_requests() serve_flush() accept_init()

/* enter_once()'s last look: at pending_init_sipi too, whose REQ_EVENT may have been taken; as only_interrupts_came() does. */
#ifdef INIT_OVERLOOKED
#define called_off()	requests[self]
#else
#define called_off()	(requests[self] || pending_init)
#endif

/* Its CPU is in a handler, or about to be. Here vCPU 0 is the only one. */
#define INTERRUPTED	(timer_irq && !irqs_off[0])

#ifdef OWN_TIMER
proctype vcpu(byte self) provided (!INTERRUPTED)
#else
proctype vcpu(byte self)
#endif
{
	byte offered, isr;
	byte exits = EXITS;
	bit taken, nmi, halted, wanted, busy, on, first;
	mtype exit;

round:	/* run.c: run_until_needed() */
#if MIGRATIONS
	if
	:: atomic { migrations && empty(buffer[self]) -> migrations--; cpu[self] = 1 - cpu[self] }
	:: true
	fi;
#endif
	if
	:: halted -> goto block
	:: else
	fi;

	/* enter_once() */
	serve_requests()
	inject();
#ifndef IRQ_OFF_LATE
	irq_disable();
#endif
#ifndef CHECK_BEFORE_MODE
	store(self, MODE, self, IN_GUEST);
#ifndef NO_BARRIER_ENTER
	fence(self);
#endif
#endif
	if
	:: called_off() -> goto leave
	:: !called_off() && exits -> exits--; goto leave	/* host_work_pending() */
	:: !called_off()
	fi;
#ifdef CHECK_BEFORE_MODE
	store(self, MODE, self, IN_GUEST);
	fence(self);
#endif
#ifdef IRQ_OFF_LATE
	irq_disable();
#endif

vmrun:	/* run_guest(): vendor_enter(), vendor_enter_again() */
#ifdef NMI
	if
	:: nmi -> d_step { nmi = 0; owed[self] = owed[self] & ~OWED_NMI }	/* EVENTINJ */
	:: else
	fi;
#endif
	guest_runs(1)
end_guest:	/* Here it may stay for ever, unless an interrupt is pending. */
	if
	:: offered && !taken -> d_step { taken = 1; owed[self] = owed[self] & ~offered }; goto end_guest
	:: taken || isr -> exit = EOI
	:: exits && !taken && !isr -> exits--; exit = HLT
#if VCPUS > 1
	:: exits -> exits--; exit = IPI
#else
	:: exits -> exits--; exit = SELF_IPI
	:: exits -> exits--; exit = OTHER
#ifdef SELF_KICK
	:: exits -> exits--; exit = ERROR
#endif
#endif
	:: ipi[self] || call[self] || timer_irq -> exit = INTR
	fi;
	guest_runs(0)
#ifdef FAST_KEEPS_INTR
	goto fast;
#endif
	if
	:: exit != INTR -> goto fast
	:: goto slow
	fi;

fast:	/* svm/fast.h: vendor_handle_fast(), in run_guest() or svm_inner(): interrupts stay off, and nobody writes OUTSIDE_GUEST. */
#ifdef FAST_MODE_TOGGLES
	store(self, MODE, self, OUTSIDE_GUEST);
#endif
	settle();						/* fast_sync_apic() */
	if
	:: exit == HLT ->					/* fast_halt() */
		if
		:: deliverable() -> request_self()
		:: else -> goto slow
		fi
	:: else
	fi;
#if VCPUS == 1
	offer_arriving();
#endif
	handle_exit();
	exit = 0;
#ifdef FAST_NO_RECHECK
	goto vmrun;
#endif
#ifdef FAST_MODE_TOGGLES
	store(self, MODE, self, IN_GUEST);
#endif
	if							/* may_enter_again() */
	:: !requests[self] ->
#ifdef FAST_IRQ_WINDOW
		irq_enable();
		irq_disable();
#endif
		goto vmrun
	:: requests[self] == REQ_EVENT && !pending_init ->	/* only_interrupts_came() */
		inject_again();
		if
#ifdef SELF_KICK_UNCHECKED
		:: !busy -> goto vmrun
#else
		:: !busy && mode[self] == IN_GUEST -> goto vmrun
#endif
		:: true						/* or host_work_pending() */
		fi;
		busy = 0
	:: true							/* requests, host_work_pending(), too many rounds */
	fi;

slow:	/* The rest of enter_once(); exit is 0 if there is nothing left to do. */
	store(self, MODE, self, OUTSIDE_GUEST);
#ifndef FINISH_NO_SETTLE
	settle();						/* vendor_finish() */
#endif
	irq_enable();
	handle_exit();
	halted = (exit == HLT);
	exit = 0;
	goto round;

leave:	/* enter_once(): the entry is called off. */
	store(self, MODE, self, OUTSIDE_GUEST);
	irq_enable();
	settle();
	goto round;

block:	/* run.c: wait_until_runnable(), block.c: poll() */
	if
	:: true -> end_wait(); if :: wanted -> goto woken :: else fi
	:: true
	fi;
sleep:	/* block.c: sleep() */
#ifdef SLEEP_CHECK_BEFORE_QUEUE
	end_wait();
	prepare_to_swait();
#else
	prepare_to_swait();
	end_wait();
#endif
	if
	:: !wanted ->
end_asleep:	/* schedule() */
		!sleeping[self];
		goto sleep
	:: else
	fi;
	finish_swait();
woken:
	serve_requests()
	end_wait();
	if
	:: wanted -> halted = 0; wanted = 0; request_self()
	:: else
	fi;
	goto round
}

/* Nothing moves any more: each vCPU is in its guest, or asleep. */
proctype in_the_end()
{
	byte v;

end:
	timeout;
	for (v : 0 .. VCPUS - 1) {
		assert(!((owed[v] | irr[v]) & ~excused) && !timer_pending[v])
	}
}

init
{
	byte i;

	atomic {
		for (i : 0 .. THREADS - 1) {
			run store_buffer(i)
		}
		for (i : 0 .. VCPUS - 1) {
			run vcpu(i)
		}
#if KICKERS
		for (i : 0 .. KICKERS - 1) {
			run kicker(i)
		}
#endif
#ifdef OWN_TIMER
		run own_timer();
#endif
#ifdef REMOTE_TIMER
		run remote_timer();
#endif
#ifdef FLUSHER
		run flusher();
#endif
#ifdef NMI
		run nmi_sender();
#endif
#ifdef INIT
		run init_sender();
#endif
		run in_the_end()
	}
}
