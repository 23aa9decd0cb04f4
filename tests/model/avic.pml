/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AVIC: a vCPU whose CPU takes interrupts from IRR by itself, or not, which the vCPU's thread changes; senders that are CPUs (another guest's
 * IPI) and senders that are software. The protocol is described at the top of engine/x86/svm/avic.c; each step here names the function it
 * stands for. kick.pml has the rest of the way in and out, and of kicks; irr.pml has IRR's summary.
 *
 * Memory is x86's (TSO), with store buffers as in kick.pml. Locked operations drain them: a CPU's and a sender's "lock or" of IRR, XCHG of the
 * table's entry. A doorbell makes a CPU look at IRR that runs the guest, and is forgotten by all others. Interrupts are taken all at once,
 * and end at once.
 *
 * In the end, when nothing can move, every vector sent must have been taken by the guest.
 *
 * -DCPUS=n and -DSENDERS=n are the senders, with a vector each; -DEXITS=n exits of the guest's own accord, -DSWITCHES=n changes of who
 * delivers, beginning with the hypervisor or (-DBEGINS_ON) the CPU; -DMIGRATIONS=n times that the thread is scheduled out, and in on
 * another CPU; -DHIDDEN: no CPU ever knows where the vCPU runs (xAPIC mode, or a CPU with too large a number). Other macros break something.
 */
#ifndef CPUS
#define CPUS 0
#endif
#ifndef SENDERS
#define SENDERS 0
#endif
#ifndef EXITS
#define EXITS 2
#endif
#ifndef SWITCHES
#define SWITCHES 0
#endif
#ifndef MIGRATIONS
#define MIGRATIONS 0
#endif

#define VCPU		0	/* threads, each with a store buffer */
#define CPU(n)		(1 + (n))
#define SENDER(n)	(1 + CPUS + (n))
#define THREADS		(1 + CPUS + SENDERS)
#define VECTOR(thread)	(1 << ((thread) - 1))

#define OUTSIDE_GUEST	0
#define IN_GUEST	1
#define EXITING_GUEST	2

/* struct vcpu, struct host_vcpu, as far as others see them. */
byte mode;
bit requests;			/* REQ_EVENT */
byte irr;
bit irr_words;
bit apicv;
bit openly;			/* hw.avic_running */
bit queued, sleeping, wait_lock;

/* The entry in the physical APIC ID table. */
bit is_running, entry_cpu;

/* The CPU that the thread is on. */
bit cpu, irqs_off, ipi;
bit in_guest;			/* it runs the guest */
bit looks;			/* and is about to look at IRR */
byte migrations = MIGRATIONS, switches = SWITCHES;

byte owed;			/* vectors sent and not yet taken by the guest */

mtype = { MODE, IRR, OPENLY, IS_RUNNING, APICV, WAITER };	/* what a buffered store goes to */
mtype = { HLT, SVR, OTHER, INTR };			/* exits; 0: dealt with */

chan buffer[THREADS] = [3] of { mtype, byte };

#define store(t, what, value)	buffer[t]!what,value
#define fence(t)		empty(buffer[t])
#define locked(t, operation)	atomic { fence(t); operation }

proctype store_buffer(byte t)
{
	mtype what;
	byte value;
end:
	do
	:: atomic {
		buffer[t]?what,value ->
		if
		:: what == MODE -> mode = value
		:: what == IRR -> irr = irr | value
		:: what == OPENLY -> openly = value
		:: what == IS_RUNNING -> is_running = value
		:: what == APICV -> apicv = value
		:: what == WAITER -> queued = 1; sleeping = 1
		fi;
		what = 0; value = 0
	   }
	od
}

/* --- Senders. --- */

/* lapic_inline.h: lapic_irr_set(), and what a CPU does */
#define set_irr(t)		locked(t, owed = owed | VECTOR(t); irr = irr | VECTOR(t))
#define set_irr_plainly(t)	atomic { owed = owed | VECTOR(t); store(t, IRR, VECTOR(t)) }

#ifdef NO_DOORBELL
#define doorbell(on)	on = 0
#else
#define doorbell(on)								\
	d_step {								\
		if								\
		:: in_guest && cpu == on -> looks = 1				\
		:: else								\
		fi;								\
		on = 0								\
	}
#endif

inline swake_up_one(t)
{
	atomic { !wait_lock && fence(t) -> wait_lock = 1 };
	if
	:: queued -> atomic { sleeping = 0; queued = 0 }
	:: else
	fi;
	wait_lock = 0
}

/* thread.c: host_kick() */
inline host_kick(t)
{
	fence(t);
	if
	:: queued -> swake_up_one(t)
	:: else
	fi;
	if
	:: mode == IN_GUEST ->
		locked(t, first = (mode == IN_GUEST); mode = (first -> EXITING_GUEST : mode));
		if
		:: first ->
			first = 0;
			on = cpu;
			d_step {
				if
				:: cpu == on && irqs_off -> ipi = 1
				:: else
				fi;
				on = 0
			}
		:: else
		fi
	:: else
	fi
}

/* thread.c: host_post() */
inline host_post(t)
{
#ifndef NO_BARRIER_POST
	fence(t);				/* swq_has_sleeper(): smp_mb() */
#endif
	if
#ifndef POST_NO_WAKE
	:: queued -> swake_up_one(t)
	:: !queued && mode == OUTSIDE_GUEST
	:: !queued && mode != OUTSIDE_GUEST ->
#else
	:: mode == OUTSIDE_GUEST
	:: mode != OUTSIDE_GUEST ->
#endif
		on = cpu;
		doorbell(on)
	fi
}

#define request_and_kick(t)						\
	locked(t, requests = 1);	/* vcpu_request() */		\
	host_kick(t)

/* lapic.c: take_interrupt() of another vCPU's APIC */
proctype software(byte t)
{
	bit on, first;

#ifdef POST_BEFORE_WRITE
	if
	:: apicv ->
		host_post(t);
		set_irr(t);
		goto done
	:: else
	fi;
#endif
#ifdef NO_BARRIER_SEND
	set_irr_plainly(t);
#else
	set_irr(t);
#endif
	if
	:: irr_words
	:: else -> locked(t, irr_words = 1)
	fi;
	if
	:: apicv -> host_post(t)
	:: else -> request_and_kick(t)
	fi;
done:	skip
}

/* lapic.c: take_sent() */
inline take_sent(t)
{
	if
	:: apicv ->
		if
#ifdef SENT_TRUSTS_MODE
		:: mode != OUTSIDE_GUEST
#elif defined(SENT_NO_POST)
		:: true
#else
		:: openly
#endif
		:: else -> host_post(t)
		fi
	:: else ->
#ifndef SENT_NO_SUMMARY
		locked(t, irr_words = 1);
#endif
		request_and_kick(t)
	fi
}

/* A guest's IPI on another CPU, and what its hypervisor does after AVIC_INCOMPLETE_IPI. The entry is read at once. */
proctype hardware(byte t)
{
	bit on, first, running;

#ifdef CPU_READS_FIRST
	atomic { running = is_running; on = entry_cpu };
	set_irr(t);
#else
#ifdef CPU_NO_BARRIER
	set_irr_plainly(t);
#else
	set_irr(t);
#endif
	atomic { running = is_running; on = entry_cpu };
#endif
	if
	:: running -> doorbell(on)
	:: else ->
		on = 0;
		take_sent(t)
	fi
}

/* --- The vCPU's thread. --- */

#define irq_disable()	irqs_off = 1
#define irq_enable()	d_step { irqs_off = 0; ipi = 0 }
#define request_self()	locked(VCPU, requests = 1)

/* avic.c: svm_avic_leave_cpu(): set_entry() is an XCHG */
#ifdef NO_BARRIER_LEAVE
#define clear_entry()	store(VCPU, IS_RUNNING, 0)
#else
#define clear_entry()	locked(VCPU, is_running = 0)
#endif
#define leave_cpu()						\
	if							\
	:: here -> here = 0; store(VCPU, OPENLY, 0); clear_entry() \
	:: else							\
	fi

/* avic.c: svm_avic_come_to_cpu() */
#ifdef HIDDEN
#define come_to_cpu()	skip
#else
#define come_to_cpu()						\
	if							\
	:: on && !here ->					\
		here = 1;					\
		store(VCPU, OPENLY, 1);				\
		locked(VCPU, is_running = 1; entry_cpu = cpu)	\
	:: else							\
	fi
#endif

/* thread.c: sched_out(), sched_in(), where the thread can be preempted */
#if MIGRATIONS
#ifdef RUNNING_AT_SCHED_IN
#define at_sched_in()	come_to_cpu();
#else
#define at_sched_in()
#endif
#ifdef NO_LEAVE_AT_SCHED_OUT
#define at_sched_out()
#else
#define at_sched_out()	leave_cpu();
#endif
#define preempt()						\
	if							\
	:: migrations ->					\
		migrations--;					\
		at_sched_out()					\
		locked(VCPU, cpu = 1 - cpu);			\
		at_sched_in()					\
	:: true							\
	fi;
#else
#define preempt()
#endif

/* lapic.c: lapic_set_apicv() */
#ifdef SWITCH_NO_SUMMARY
#define all_words()
#else
#define all_words()	locked(VCPU, irr_words = 1);
#endif

/* avic.c: svm_avic_choose() */
inline choose()
{
#ifndef SWITCH_NO_LEAVE
	leave_cpu();
#endif
	on = 1 - on;
#if !defined(APICV_NOTED_LATE)
	store(VCPU, APICV, on);
#ifndef NO_BARRIER_APICV
	fence(VCPU);
#endif
#endif
	all_words()
#ifndef SWITCH_NO_REQUEST
	request_self()
#endif
}

/* event.c: event_inject(), offer_interrupt(), lapic.c: lapic_offer(). What is offered leaves IRR. */
inline inject()
{
	if
	:: requests ->
		locked(VCPU, requests = 0);
		if
		:: !on && irr_words ->
			locked(VCPU, irr_words = 0);
			locked(VCPU, offered = irr; irr = 0)
		:: else
		fi
	:: else
	fi
}

/* event.c: event_settle() of what was not taken */
inline settle()
{
	if
	:: offered ->
		locked(VCPU, irr = irr | offered; offered = 0);
		locked(VCPU, irr_words = 1);
		request_self()
	:: else
	fi
}

/* lapic.c: lapic_pending_vector() */
#define deliverable()	((on || irr_words) && irr)

inline prepare_to_swait()
{
	atomic { !wait_lock && fence(VCPU) -> wait_lock = 1 };
#ifdef NO_BARRIER_SLEEP
	store(VCPU, WAITER, 1);
#else
	d_step { queued = 1; sleeping = 1 };
#endif
	wait_lock = 0
}

proctype vcpu()
{
	byte offered, exits = EXITS;
	bit on, here, halted, first;	/* VMCB's AVIC; hw.avic_running as its own thread sees it */
	mtype exit;

	on = apicv;

round:	/* run.c: run_until_needed() */
	preempt()
	if
	:: halted -> goto block
	:: else
	fi;

	/* enter_once() */
#if SWITCHES
	if
	:: switches -> switches--; choose()
	:: true
	fi;
#endif
	inject();
#ifdef APICV_NOTED_LATE
	locked(VCPU, apicv = on);
#endif
	preempt()
	irq_disable();
	store(VCPU, MODE, IN_GUEST);
#ifndef NO_BARRIER_ENTER
	fence(VCPU);
#endif
	if
	:: requests -> goto leave
	:: !requests && exits -> exits--; goto leave	/* host_work_pending() */
	:: !requests
	fi;
	come_to_cpu();					/* vendor_prepare() */

vmrun:	/* With V_IRQ it takes what is offered at once. */
	atomic { in_guest = 1; looks = on; owed = owed & ~offered; offered = 0 };
end_guest:	/* Here it may stay for ever, unless an interrupt is pending. */
	if
	:: looks -> d_step { looks = 0; owed = owed & ~irr; irr = 0 }; goto end_guest
	:: exits -> exits--; exit = HLT
	:: exits -> exits--; exit = SVR
	:: exits -> exits--; exit = OTHER
	:: ipi -> exit = INTR
	fi;
	d_step { in_guest = 0; looks = 0 };
	/* svm/fast.h: vendor_handle_fast(); interrupts stay off, and nobody writes OUTSIDE_GUEST. */
	if
	:: exit == HLT && deliverable() ->		/* fast_halt() */
		if
		:: on
		:: else -> request_self()
		fi
	:: exit == SVR -> leave_cpu()			/* lapic.c: write_svr(), vendor_apic_changed() */
	:: else -> goto slow
	fi;
	exit = 0;
	if						/* may_enter_again() */
	:: !requests -> goto vmrun
	:: requests ->					/* only_interrupts_came(), event_inject_again() */
		inject();
		if
		:: !requests && mode == IN_GUEST -> goto vmrun
		:: else
		fi
	:: true
	fi;

slow:
	store(VCPU, MODE, OUTSIDE_GUEST);
	settle();
	irq_enable();
	halted = (exit == HLT);
	exit = 0;
	goto round;

leave:
	store(VCPU, MODE, OUTSIDE_GUEST);
	irq_enable();
	settle();
	goto round;

block:	/* block.c: poll() */
	if
	:: deliverable() -> goto woken
	:: true
	fi;
#if !defined(LEAVE_AFTER_LOOK)
	leave_cpu();					/* sleep() */
#endif
sleep:
	preempt()
	prepare_to_swait();
	if
	:: deliverable() -> first = 1
	:: else
	fi;
	if
	:: !first ->
#ifdef LEAVE_AFTER_LOOK
		leave_cpu();
#endif
		if
		:: sleeping -> leave_cpu()		/* schedule(): sched_out() */
		:: else
		fi;
end_asleep:
		!sleeping;
		goto sleep
	:: else -> first = 0
	fi;
	sleeping = 0;					/* finish_swait() */
	atomic { !wait_lock -> queued = 0 };
woken:
	if						/* wait_until_runnable() */
	:: deliverable() -> halted = 0; request_self()
	:: else
	fi;
	goto round
}

/* Nothing moves any more: the vCPU is in its guest, or asleep. */
proctype in_the_end()
{
end:
	timeout;
	assert(!owed && !irr)
}

init
{
	byte i;

	atomic {
#ifdef BEGINS_ON
		apicv = 1;
#ifndef SWITCH_NO_SUMMARY
		irr_words = 1;
#endif
#endif
		for (i : 0 .. THREADS - 1) {
			run store_buffer(i)
		}
		run vcpu();
#if CPUS
		for (i : 0 .. CPUS - 1) {
			run hardware(CPU(i))
		}
#endif
#if SENDERS
		for (i : 0 .. SENDERS - 1) {
			run software(SENDER(i))
		}
#endif
		run in_the_end()
	}
}
