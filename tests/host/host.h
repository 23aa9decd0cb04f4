/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that the engine asks of its host, for user space: what linux/host.h answers in the
 * kernel, answered by a fake that unit tests and fuzzers drive. machine.h has the test's side:
 * time, memory, and what the engine asked for.
 */
#ifndef EXEUNT_HOST_H
#define EXEUNT_HOST_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <exeunt/mechanisms.h>
#include <exeunt/stats.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

struct vm;
struct vcpu;

u32 host_mechanisms(void);

/* --- What the kernel's own headers give the engine. --- */

#define U8_MAX	((u8)~0u)
#define U16_MAX	((u16)~0u)
#define U32_MAX	((u32)~0u)
#define U64_MAX	((u64)~0ull)
#define S32_MAX	((s32)(U32_MAX >> 1))
#define S64_MAX	((s64)(U64_MAX >> 1))

#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define GENMASK(h, l)		((~0ul << (l)) & (~0ul >> (63 - (h))))
#define GENMASK_ULL(h, l)	((~0ull << (l)) & (~0ull >> (63 - (h))))

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	__asm__ volatile("" ::: "memory")
#define READ_ONCE(x)	(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#ifndef __always_inline
#define __always_inline	inline __attribute__((always_inline))
#endif
#define noinline	__attribute__((noinline))
#define fallthrough	__attribute__((fallthrough))
#define static_assert	_Static_assert

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		(void)(&a_ == &b_);                                                                \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		(void)(&a_ == &b_);                                                                \
		a_ > b_ ? a_ : b_;                                                                 \
	})
#define min_t(t, a, b)	({ t a_ = (a); t b_ = (b); a_ < b_ ? a_ : b_; })
#define max_t(t, a, b)	({ t a_ = (a); t b_ = (b); a_ > b_ ? a_ : b_; })
#define clamp(x, l, h)	min(max(x, l), h)
#define clamp_t(t, x, l, h) min_t(t, max_t(t, x, l), h)
#define swap(a, b)	do { __typeof__(a) t_ = (a); (a) = (b); (b) = t_; } while (0)

/* --- Memory: machine.h's flat buffer. --- */

int host_guest_read(struct vm *vm, u64 gpa, void *data, u32 len);
int host_guest_write(struct vm *vm, u64 gpa, const void *data, u32 len);
struct host_reader {
	struct vm *vm;
};
void host_reader_begin(struct host_reader *r, struct vm *vm);
int host_reader_get(struct host_reader *r, u64 gpa, u32 size, u64 *value);
void host_reader_end(struct host_reader *r);
int host_guest_cmpxchg(struct vm *vm, u64 gpa, u64 old, u64 new, u32 len);

struct host_page {
	u64 pfn;
	bool writable;
	bool large;
	bool logged;
	u64 hva, seq;
};
int host_gfn_to_page(struct vm *vm, u64 gfn, bool write, struct host_page *page);
void host_mmu_lock(struct vm *vm);
void host_mmu_unlock(struct vm *vm);
bool host_mmu_retry(struct vm *vm, const struct host_page *page);
void host_mark_dirty(struct vm *vm, u64 gfn);

int host_table_topup(struct vm *vm);
u64 *host_table_alloc(struct vm *vm, u64 *pa);
void host_table_free(struct vm *vm, u64 *table);
u64 *host_table_va(u64 pa);

void *host_zalloc(size_t size);
void host_free(void *p);
void *host_pages_alloc(unsigned int order, u64 *pa);
void host_pages_free(void *p, unsigned int order);

bool host_mmio_write(struct vm *vm, u64 gpa, u32 len, const void *data);
bool host_pio_write(struct vm *vm, u16 port, u32 len, const void *data);

/* --- Time: stands still until the test moves it. --- */

u64 host_now_ns(void);
u64 host_boot_ns(void);
u64 host_real_ns(void);
u64 host_tsc(void);
u64 host_tsc_khz(void);
bool host_tsc_stable(void);
void host_timer_arm(struct vcpu *v, u64 deadline_ns);
void host_timer_cancel(struct vcpu *v);
static inline void host_timer_follow(struct vcpu *v) { }

/* --- Threads. --- */

enum exeunt_target host_kick(struct vcpu *v);
enum exeunt_target host_post(struct vcpu *v);
bool host_vcpu_on_cpu(const struct vcpu *v);
bool host_accounting(void);
void host_block(struct vcpu *v);
bool host_signal_pending(void);
void host_resched(void);

/* --- The CPU. --- */

void host_cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d);
u32 host_cpu(void);
u32 host_apic_id(void);
void host_exit_at_once(void);
int host_rdmsr_safe(u32 msr, u64 *value);
u64 host_spec_ctrl_bits(void);
bool host_cpu_switches_spec_ctrl(void);
bool host_svm_on(void);
static inline void host_branch_barrier(void) { }
static inline void host_tsc_aux_changed(struct vcpu *v) { }
void host_flush_tlbs(struct vm *vm);
u64 host_xfeatures(void);
bool host_la57(void);

/*
 * The way into the guest: the fake aborts when a step is taken out of order, and when something that
 * may sleep is called inside it.
 */
void host_preempt_disable(void);
void host_preempt_enable(void);
void host_irq_disable(void);
void host_irq_enable(void);
bool host_work_pending(void);
int host_handle_work(struct vcpu *v);
struct host_xstate { };
void host_xstate_enter(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, const u32 *pkru);
void host_xstate_exit(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, u32 *pkru);
void host_debug_load(const u64 dr[4]);
void host_debug_save(u64 dr[4]);
void host_machine_check(void);
void host_yield(void);
void host_scan_ioapic_routes(struct vcpu *v, u64 eoi_exit[4]);
struct asid_cpu *host_asid_cpu(void);
static inline bool host_fpu_ready(void) { return false; }
static inline bool host_debug_armed(void) { return false; }
static inline void host_debug_restore(void) { }
static inline void host_interrupt_window(void) { }
static inline void host_timing_enter(void) { }
static inline void host_timing_exit(void) { }
static inline void host_context_enter(bool again) { }
static inline void host_context_exit(void) { }
static inline void host_guest_ran(void) { }
static inline u64 host_save_pa(void) { return 0; }
static inline u64 host_spec_ctrl(void) { return 0; }
#define host_noinstr

#define host_log(fmt, ...) ((void)snprintf(NULL, 0, "exeunt: " fmt "\n", ##__VA_ARGS__))

/* As in the kernel on this processor, so that it costs what it does there (bench/dispatch). */
static inline u64 host_index_mask(u64 i, u64 n)
{
	u64 mask;

	__asm__ volatile("cmp %1, %2\n\tsbb %0, %0" : "=r"(mask) : "g"(n), "r"(i) : "cc");
	return mask;
}

#define host_index(i, n) ((__typeof__(i))((i) & host_index_mask(i, n)))

/* Who waits for the time makes it pass. */
void host_relax(void);

static inline u64 host_square(u64 x, u64 *high)
{
	unsigned __int128 square = (unsigned __int128)x * x;

	*high = square >> 64;
	return square;
}

#define host_div64(n, d) ((u64)(n) / (u64)(d))
/* Aborts where the kernel's would raise #DE: when the quotient does not fit. */
u64 host_muldiv(u64 a, u64 b, u64 c);

/* --- Trace points: the host's to emit; nothing to do here but to let other threads in. --- */

enum machine_moment { MOMENT_HANDLED, MOMENT_ENTERING };
void machine_moment(enum machine_moment moment);

static inline bool host_traces_exits(void) { return false; }
static inline bool host_traces_pio(void) { return false; }
static inline void host_trace_mmio(struct vcpu *v, int type, u32 len, u64 gpa, u64 val) { }
static inline void host_trace_pio(struct vcpu *v, bool out, u16 port, u32 size, u32 n, u32 x) { }
static inline void host_trace_apic_accept(struct vcpu *v, u8 mode, bool level, u8 vector) { }
static inline void host_trace_apic_ipi(u32 icr_lo, u32 dest) { }
static inline void host_trace_eoi(struct vcpu *v, u8 vector) { }
static inline void host_trace_apic(struct vcpu *v, bool write, u32 reg, u64 val) { }
static inline void host_trace_cpuid(u32 leaf, u32 sub, u32 a, u32 b, u32 c, u32 d, bool found) { }
static inline void host_trace_entry(struct vcpu *v) { }
static inline void host_trace_exit(struct vcpu *v) { }
static inline void host_trace_page_fault(struct vcpu *v, u64 gpa, u32 error) { }
static inline void host_trace_msr(bool write, u32 index, u64 value, bool fault) { machine_moment(MOMENT_HANDLED); }
static inline void host_trace_inj_virq(u8 vector) { }
static inline void host_trace_inj_exception(u8 vector, bool has_error, u32 error, bool again) { }
static inline void host_trace_cr(u32 cr, u64 value) { }
static inline void host_trace_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3) { }
static inline void host_trace_avic_incomplete_ipi(struct vcpu *v, u32 high, u32 low, u32 reason, u32 index) { }
static inline void host_trace_avic_unaccelerated(struct vcpu *v, u32 reg, bool write, u8 vector) { }
static inline void host_trace_emulate(struct vcpu *v, bool failed) { }

#endif
