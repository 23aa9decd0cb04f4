/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APIC (APM vol. 2, chapter 16; Intel SDM vol. 3, chapter 10 for what AMD leaves open):
 * registers in xAPIC and x2APIC form, interrupt acceptance and priorities, IPIs, INIT/SIPI, and its
 * timer. lapic.c owns struct lapic; lapic_timer.c owns struct lapic_timer.
 */
#ifndef EXEUNT_X86_LAPIC_H
#define EXEUNT_X86_LAPIC_H

#include "host.h"
#include <exeunt/stats.h>

struct vcpu;
struct vm;
struct kvm_lapic_state;

#define APIC_DEFAULT_BASE	0xfee00000ull
#define APIC_BASE_BSP_BIT	(1ull << 8)
#define APIC_BASE_X2APIC_BIT	(1ull << 10)
#define APIC_BASE_ENABLE_BIT	(1ull << 11)

/*
 * Byte offsets of the registers in the xAPIC page; the x2APIC MSR of one is 0x800 + offset / 16
 * (APM vol. 2, table 16-2).
 */
enum lapic_reg {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_APR = 0x90,
	LAPIC_PPR = 0xa0,
	LAPIC_EOI = 0xb0,
	LAPIC_REMOTE_READ = 0xc0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200,
	LAPIC_ESR = 0x280,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0,
};

#define LAPIC_LVT_MASKED	(1u << 16)

/* Delivery modes, in ICR, LVT, MSI data and struct apic_msg. */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_SIPI,
	APIC_EXTINT
};

enum apic_shorthand { APIC_DEST, APIC_SELF, APIC_ALL, APIC_OTHERS };

/* A message to APICs, from an ICR, an MSI or the VMM's IOAPIC. */
struct apic_msg {
	u32 dest;
	u8 vector;
	u8 delivery_mode;	/* enum apic_delivery */
	u8 shorthand;		/* enum apic_shorthand */
	bool logical, level, assert;
	/* @dest is a 32-bit x2APIC id: from an x2APIC's ICR, or in an MSI more than 8 bits wide. */
	bool x2apic_dest;
};

struct lapic_timer {
	u64 tscdeadline;	/* guest TSC; 0 disarmed */
	u64 expires_ns;		/* host_now_ns() scale; 0 disarmed */
	/*
	 * When the host's timer fires, 0 if it does not; and the guest's TSC by then, 0 if that was not what it was armed for. It may be
	 * earlier than needed (@lax): EXEUNT_LAZY_TIMER.
	 */
	u64 armed_ns, armed_tsc;
	bool lax;
	/*
	 * For a TSC deadline the host's timer fires earlier, by what it has taken of late from there into the guest: from a guest that runs
	 * [0], from a sleep [1]. @early_tsc: a deadline that was delivered before its time, to be waited for at the entry; 0 none.
	 */
	u32 advance_ns[2];
	bool asleep;		/* which of them the host's timer was armed with */
	bool sleeps;		/* the last one fired in a sleep: the next one is armed for that at once */
	u64 early_tsc;
	u32 divide;		/* 1..128 */
	u32 pending;		/* the host timer fired; set from its context, atomically */
};

struct lapic {
	bool present;
	u64 base;		/* MSR 0x1b */
	/*
	 * One page in the xAPIC layout: the register at byte offset o is regs[o / 4]. Anyone sets
	 * IRR bits, atomically, and then bit n of irr_words, which says that word n may have some. An
	 * IPI that a CPU has sent gets that bit by lapic_icr_sent().
	 */
	u32 *regs;
	u64 regs_pa;
	/*
	 * The CPU takes interrupts from IRR into ISR by itself: irr_words may lack bits, and what is said of ISR is true after
	 * lapic_read_service() only.
	 */
	bool apicv;
	u32 irr_words;
	u32 isr_words;		/* bit n: word n of ISR has some */
	int isr_top;		/* highest vector in ISR, or -1 */
	u32 esr_pending;	/* errors since ESR was last written; set atomically by anyone */
	u32 pending_init_sipi;	/* bit 0 INIT, bit 1 SIPI; set atomically by anyone */
	u8 sipi_vector;
	u8 eoi_vector;		/* for KVM_EXIT_IOAPIC_EOI */
	u64 eoi_exit[4];	/* vectors whose EOI the VMM's IOAPIC wants; set at REQ_IOAPIC_SCAN */
	u8 cr8;			/* without an APIC here: what the VMM's has */
	u64 vapic_gpa;		/* KVM_SET_VAPIC_ADDR; 0 off */
	struct lapic_timer timer;
};

/* Allocates the register page and resets; -ENOMEM. lapic_free undoes, also of nothing. */
int lapic_create(struct vcpu *v);
void lapic_free(struct vcpu *v);
/*
 * Power-up reset, or INIT (@init: APIC id and base survive). Without an APIC here: of its base and CR8, which the VMM's APIC is told. vCPU
 * thread or before it is published.
 */
void lapic_reset(struct vcpu *v, bool init);

/*
 * MSR 0x1b. 1 for #GP: reserved bits, x2APIC without enable, or, unless the VMM writes (@host), a
 * transition that the architecture forbids or x2APIC without its CPUID bit. vCPU thread.
 */
int lapic_set_base(struct vcpu *v, u64 value, bool host);
static __always_inline bool lapic_hw_enabled(const struct lapic *a)
{
	return __atomic_load_n(&a->base, __ATOMIC_RELAXED) & APIC_BASE_ENABLE_BIT;
}
static __always_inline bool lapic_x2apic(const struct lapic *a)
{
	return !(~__atomic_load_n(&a->base, __ATOMIC_RELAXED) &
		 (APIC_BASE_ENABLE_BIT | APIC_BASE_X2APIC_BIT));
}

/*
 * The MMIO page: true if @gpa belongs to this vCPU's APIC and the access was done (with
 * KVM_X86_QUIRK_LAPIC_MMIO_HOLE also when it is disabled or in x2APIC mode: all ones, writes
 * dropped). Only aligned 4-byte writes have an effect. vCPU thread.
 */
bool lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *data);
bool lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *data);
/*
 * x2APIC MSRs 0x800..0x8ff. 0, or 1 for #GP. vCPU thread; may run with interrupts off (no sleeping,
 * no locks).
 */
int lapic_x2apic_read(struct vcpu *v, u32 msr, u64 *value);
int lapic_x2apic_write(struct vcpu *v, u32 msr, u64 value);
/*
 * The x2APIC ICR (MSR 0x830) of a vCPU in x2APIC mode: what lapic_x2apic_write does for it, for
 * callers that know the MSR.
 */
int lapic_icr_write(struct vcpu *v, u64 icr);
/*
 * The same if it sends a fixed interrupt to one vCPU that is easy to find: to the sender itself, by its number, or by its bit in a
 * cluster. False: nothing has happened, lapic_icr_write() has to do it.
 */
bool lapic_icr_write_one(struct vcpu *v, u64 icr);
/*
 * The CPU has sent what @icr says for @v, an x2APIC: IRR is set in all targets, but not all of them ran. Those that do not are told. vCPU
 * thread.
 */
void lapic_icr_sent(struct vcpu *v, u64 icr);
/* The same for one target, as in lapic_icr_write_one(). False: nothing has happened. */
bool lapic_icr_sent_one(struct vcpu *v, u64 icr);
/* The highest interrupt in service is done. vCPU thread. */
void lapic_eoi(struct vcpu *v);
/*
 * The CPU takes interrupts by itself from the next entry on, or does so no more (apicv). Those that have come are looked for. vCPU
 * thread.
 */
void lapic_set_apicv(struct vcpu *v, bool on);
/*
 * An IPI to a set of vCPUs (KVM_HC_SEND_IPI), in either mode of the APICs: to the APIC ids @base + n for each bit n of @low, and
 * @base + @width + n for each of @high, with the delivery mode, vector, level and trigger mode of @icr. How many took it; -EINVAL if
 * @icr has a logical destination or a shorthand. vCPU thread, no sleeping, no locks; up to 128 kicks.
 */
int lapic_send_to_set(struct vcpu *v, u32 icr, u64 base, u32 width, u64 low, u64 high);
/*
 * MSR 0x6e0. Writes outside TSC-deadline mode are ignored (SDM 10.5.4.1); whether the MSR exists is
 * the caller's question. vCPU thread.
 */
u64 lapic_get_tscdeadline(struct vcpu *v);
void lapic_set_tscdeadline(struct vcpu *v, u64 value);

/*
 * Delivers to every APIC that the message addresses and kicks them. @src: the sending vCPU (on its
 * own thread) or NULL. Returns the number of vCPUs reached (0: nobody; the same count that
 * KVM_SIGNAL_MSI and KVM_IRQ_LINE_STATUS report). Any context, no sleeping.
 */
int lapic_deliver(struct vm *vm, struct vcpu *src, const struct apic_msg *msg);
/*
 * Decodes an MSI address/data pair (Intel SDM vol. 3, 10.11; with 32-bit ids: address_hi[31:8] as
 * KVM_CAP_X2APIC_API says) and delivers.
 */
int lapic_deliver_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data);
/*
 * The same decoding, exposed for the host's EOI routes; and whether @msg addresses @v. Any context.
 */
void lapic_decode_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data,
		      struct apic_msg *msg);
bool lapic_msg_matches(struct vcpu *v, struct vcpu *src, const struct apic_msg *msg);
/*
 * @vector is requested or in service: its EOI is still to come, wherever its route points by now.
 * vCPU thread.
 */
bool lapic_vector_in_flight(struct vcpu *v, u8 vector);

/* Highest-priority vector that may be delivered now (above PPR), or -1. vCPU thread. */
int lapic_pending_vector(struct vcpu *v);
/* Highest vector in IRR whatever PPR says, or -1 (for TPR interception). */
int lapic_highest_irr(struct vcpu *v);
/*
 * The CPU may take @vector from now on: it leaves IRR, and the same vector arriving again is another interrupt. Before anything looks at
 * the registers, event_settle() puts it into ISR or back. vCPU thread.
 */
void lapic_offer(struct vcpu *v, u8 vector);
/* The APIC accepts the PIC's ExtINT: no APIC at all, or disabled, or LVT0 in ExtINT mode. */
bool lapic_accepts_extint(struct vcpu *v);
/* CR8 and the TPR register are one. @cr8 0..15. Without an APIC: 0. */
void lapic_set_cr8(struct vcpu *v, u8 cr8);
u8 lapic_get_cr8(struct vcpu *v);

/*
 * The host timer armed by host_timer_arm() fired. Any context incl. hard interrupt: only sets
 * timer.pending and asks for a look.
 */
void lapic_timer_expired(struct vcpu *v);
/* Turns a pending expiry into an IRR bit and re-arms a periodic timer. vCPU thread, no sleeping. */
void lapic_timer_deliver(struct vcpu *v);
/*
 * A deadline was delivered a little before its time: waits for it, a few microseconds at most. vCPU thread, interrupts off, right before
 * the entry, if timer.early_tsc is set.
 */
void lapic_timer_wait(struct vcpu *v);
/* The vCPU is about to sleep: the host's timer shall not wake it for nothing. vCPU thread, no sleeping. */
void lapic_timer_tighten(struct vcpu *v);
/* The guest's TSC offset or rate changed: computes the host deadline again. vCPU thread. */
void lapic_timer_rearm(struct vcpu *v);

/* Takes INIT and SIPI that arrived; changes v->mp_state. vCPU thread, interrupts on. */
void lapic_accept_init_sipi(struct vcpu *v);

/*
 * KVM_GET/SET_LAPIC: the 1 KiB of registers in KVM's layout (the id in x2APIC form as
 * KVM_CAP_X2APIC_API says). set: -EINVAL without an APIC or if the id is not this vCPU's. vCPU
 * thread.
 */
void lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s);
int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s);

/* What the VMM restores: KVM_SET_VCPU_EVENTS' vector, and KVM_MP_STATE_SIPI_RECEIVED. vCPU thread. */
void lapic_set_sipi_vector(struct vcpu *v, u8 vector);
void lapic_receive_sipi(struct vcpu *v);

/* KVM_SET_VAPIC_ADDR: 0 switches it off; -EINVAL if no memory is there. vCPU thread, may sleep. */
int lapic_set_vapic(struct vcpu *v, u64 gpa);
/*
 * KVM_SET_VAPIC_ADDR's page: TPR, highest ISR and IRR shared with the guest's patched code. Called
 * around the entry when vapic_gpa is set.
 */
void lapic_sync_to_vapic(struct vcpu *v);
void lapic_sync_from_vapic(struct vcpu *v);

/*
 * --- Between lapic.c and lapic_timer.c. ---
 */
static __always_inline u32 lapic_reg(const struct lapic *a, u32 reg)
{
	return __atomic_load_n(&a->regs[reg / 4], __ATOMIC_RELAXED);
}
static __always_inline void lapic_set_reg(struct lapic *a, u32 reg, u32 value)
{
	__atomic_store_n(&a->regs[reg / 4], value, __ATOMIC_RELAXED);
}
/* An x2APIC's ICR is two registers in the page. */
static __always_inline void lapic_set_x2apic_icr(struct lapic *a, u64 icr)
{
	lapic_set_reg(a, LAPIC_ICR, (u32)icr);
	lapic_set_reg(a, LAPIC_ICR_HIGH, icr >> 32);
}
static __always_inline u8 lapic_tpr(const struct lapic *a)
{
	return lapic_reg(a, LAPIC_TPR);
}
static __always_inline u32 lapic_cr8(const struct lapic *a)
{
	return likely(a->present) ? lapic_reg(a, LAPIC_TPR) >> 4 : a->cr8;
}
/*
 * An event of the local vector table entry @lvt happened. @kick: not on the vCPU's own thread. Any
 * context.
 */
void lapic_lvt_fire(struct vcpu *v, enum lapic_reg lvt, bool kick);

/*
 * The timer's registers, written with values that lapic.c has cut to the architectural bits. vCPU
 * thread.
 */
void lapic_timer_set_lvt(struct vcpu *v, u32 lvt);
void lapic_timer_set_initial(struct vcpu *v, u32 count);
void lapic_timer_set_divide(struct vcpu *v, u32 divide);
/* The current-count register now. */
u32 lapic_timer_current(struct vcpu *v);
/* Stops and forgets everything, for a reset or before a state is loaded. */
void lapic_timer_reset(struct vcpu *v);
/*
 * The timer's registers were loaded: goes on from @current_count. @tscdeadline: what it was
 * before, kept in TSC-deadline mode.
 */
void lapic_timer_load(struct vcpu *v, u32 current_count, u64 tscdeadline);

#endif
