/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupts between their senders and the guest: IRR and the summary of its words, which senders set while the vCPU's thread looks and
 * clears; vectors that are offered, taken or withdrawn; priorities, EOI, and a TPR that the guest changes without an exit where it
 * may. Each step names the function it stands for; files are in engine/x86/.
 *
 * There are no store buffers here as in kick.pml: what threads share is written by locked operations only, and those drain them. The
 * kick is taken for granted, because kick.pml shows it: a guest whose vCPU has a request exits.
 *
 * Two words of two vectors, with a priority class to each word. Everything ends (run checks that there is no cycle), and then the guest
 * must have taken every vector that was sent. Other macros break something.
 */
#ifndef EXITS
#define EXITS 1		/* exits that the guest makes for reasons that do not matter here */
#endif
#ifdef ONE_WORD
#define RAISES 0
#else
#define RAISES 1	/* times that the guest raises TPR so that class 1 waits; it always lowers it again */
#endif

#define WORD(vector)	((vector) / 2)
#define BIT(vector)	(1 << ((vector) % 2))
#define CLASS(vector)	(WORD(vector) + 1)
#define MASK(vector)	(1 << (vector))
#define NONE		255

/* struct lapic and vcpu->requests, as far as senders see them. */
byte irr[2];
byte irr_words;
bit requests;		/* REQ_EVENT */

byte owed;		/* vectors sent and not yet taken by the guest, as bits */

mtype = { EOI, CR8, OTHER, INTR };	/* exits */

/* lapic_inline.h: lapic_irr_set() */
inline irr_set(n)
{
#ifdef SUMMARY_FIRST
	irr_words = irr_words | 1 << WORD(n);
	irr[WORD(n)] = irr[WORD(n)] | BIT(n);
#else
#ifdef SUMMARY_READ_EARLY
	seen = irr_words;
	irr[WORD(n)] = irr[WORD(n)] | BIT(n);
#else
	irr[WORD(n)] = irr[WORD(n)] | BIT(n);
	seen = irr_words;
#endif
	if
	:: seen & 1 << WORD(n)
	:: else -> irr_words = irr_words | 1 << WORD(n)
	fi;
	seen = 0
#endif
}

/* lapic.c: take_interrupt(), by any thread */
proctype sender(byte vector)
{
	byte seen;

	owed = owed | MASK(vector);
	irr_set(vector);
	requests = 1
}

/* --- The vCPU's thread. --- */

/* lapic.c: irr_forget() */
inline irr_forget(w)
{
#ifdef FORGET_LOOK_FIRST
	seen = irr[w];
	irr_words = irr_words & ~(1 << w);
#else
	irr_words = irr_words & ~(1 << w);
	seen = irr[w];
#endif
#ifndef FORGET_NO_SECOND_LOOK
	if
	:: seen -> irr_words = irr_words | 1 << w
	:: else
	fi;
#endif
	seen = 0
}

/* lapic.c: lapic_highest_irr(): to @highest */
inline highest_irr()
{
	highest = NONE;
	do
	:: atomic { seen = irr_words; word = (seen & 2 -> 1 : 0) };
		if
		:: !seen -> break
		:: else
		fi;
		seen = irr[word];
		if
		:: seen -> highest = 2 * word + (seen & 2 -> 1 : 0); break
		:: else -> irr_forget(word)
		fi
	od;
	atomic { seen = 0; word = 0 }
}

/* The bits of ISR from @class up. */
#define in_service_from(class)	((class) == 1 -> isr : isr & 12)
/* lapic.c: update_ppr() has made PPR the higher of TPR and what is in service. */
#define above_ppr(vector)	(CLASS(vector) > tpr && !in_service_from(CLASS(vector)))

/* lapic_inline.h: lapic_recheck_irr() */
inline recheck_irr()
{
	if
	:: irr_words -> requests = 1
	:: else
	fi
}

/* event.c: event_inject(): offer_interrupt() with lapic_pending_vector() and lapic_offer(); svm.c: vendor_update_tpr() */
inline event_inject()
{
	highest_irr();
	if
	:: highest != NONE && above_ppr(highest) ->
		offered = highest;
#ifdef OFFER_PLAIN_CLEAR
		seen = irr[WORD(offered)];
		irr[WORD(offered)] = seen & ~BIT(offered);
#else
		irr[WORD(offered)] = irr[WORD(offered)] & ~BIT(offered);
#endif
		if
		:: !irr[WORD(offered)] -> irr_forget(WORD(offered))
		:: else
		fi
	:: else
	fi;
	highest_irr();
#ifndef NO_CR8_INTERCEPT
	cr8_intercept = (offered != NONE || (highest != NONE && CLASS(highest) <= tpr));
#endif
	highest = NONE
}

/* event_inline.h: event_settle_apic() */
inline event_settle()
{
	if
	:: offered != NONE ->
		if
		:: taken -> isr = isr | MASK(offered)		/* lapic_begin_service() */
#if defined(SETTLE_NO_WITHDRAW)
		:: else
#elif defined(WITHDRAW_NO_SUMMARY)
		:: else -> irr[WORD(offered)] = irr[WORD(offered)] | BIT(offered)
#else
		:: else -> irr_set(offered)			/* lapic_irr_set() */
#endif
		fi;
		offered = NONE;
		taken = 0;
		recheck_irr()
	:: else
	fi
}

proctype vcpu()
{
	byte offered = NONE, highest = NONE;
	byte isr, tpr, v_tpr, cr8, seen, word;
	byte exits = EXITS, raises = RAISES;
	bit taken, cr8_intercept;
	mtype exit;

round:	/* run.c: enter_once() */
	if
	:: requests -> requests = 0; event_inject()
	:: else
	fi;
	if
	:: requests ->						/* an entry called off */
#ifndef CALLED_OFF_NO_SETTLE
		event_settle();
#endif
		goto round
	:: else
	fi;
	v_tpr = tpr;						/* vendor_prepare() */

end_guest:	/* Here it may stay for ever, unless it has a request. */
	if
	:: offered != NONE && !taken && CLASS(offered) > v_tpr ->	/* V_IRQ (APM vol. 2, 15.21.4) */
		atomic { taken = 1; owed = owed & ~MASK(offered) };
		goto end_guest
	:: taken || isr -> exit = EOI
	:: v_tpr || raises ->
		atomic { raises = raises - !v_tpr; cr8 = !v_tpr };
		if
		:: cr8_intercept -> exit = CR8
		:: else -> v_tpr = cr8; goto end_guest
		fi
	:: exits -> exits--; exit = OTHER
	:: requests -> exit = INTR
	fi;

	/* svm.c: vendor_finish() */
	if
	:: !cr8_intercept && v_tpr != tpr ->			/* lapic_set_cr8() */
		tpr = v_tpr;
		recheck_irr()
	:: else
	fi;
	event_settle();

	/* exits.c: vendor_handle_exit() */
	if
	:: exit == EOI ->					/* lapic.c: end_of_interrupt() */
		isr = (isr & 8 -> isr & 7 : (isr & 4 -> isr & 3 : (isr & 2 -> isr & 1 : 0)));
#ifndef EOI_NO_RECHECK
		recheck_irr()
#endif
	:: exit == CR8 ->					/* handle_cr8_write(), lapic.c: set_tpr() */
		tpr = cr8;
#ifndef TPR_NO_RECHECK
		recheck_irr()
#endif
	:: else
	fi;
	cr8 = 0;
	goto round
}

proctype in_the_end()
{
end:
	timeout;
	assert(!owed && !irr[0] && !irr[1])
}

init
{
	atomic {
		run vcpu();
#ifdef ONE_WORD
		run sender(0);
		run sender(0);
		run sender(1);
#else
		run sender(0);
		run sender(1);
		run sender(2);
#endif
		run in_the_end()
	}
}
