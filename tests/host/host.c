// SPDX-License-Identifier: GPL-2.0
/*
 * The host in user space: guest memory is a buffer, time is a variable, kicks and timers are
 * written down.
 */
#include <cpuid.h>

#include "machine.h"

#define PAGE_SIZE	4096ull
#define LARGE_SIZE	(512 * PAGE_SIZE)
#define MAX_CPUID	256

u64 machine_now_ns = 1000000000, machine_relax_ns = 1;
bool machine_signal;
u64 machine_xfeatures = 7;	/* x87, SSE, AVX */
bool machine_la57, machine_tsc_stable = true;
u64 machine_spec_ctrl_bits = 7;
bool machine_v_spec_ctrl;

static struct { u32 leaf, sub, regs[4]; } cpuid_table[MAX_CPUID];
static u32 nr_cpuid;

struct machine_cpu machine_cpu;
void (*machine_blocked)(struct vcpu *v);
void (*machine_others)(enum machine_moment moment);
bool machine_accounting_off;
bool machine_no_memory;
u32 machine_pages_fail, machine_pages;
u32 machine_mechanisms = EXEUNT_MECHANISMS;
static struct asid_cpu asids = { .nr = 8, .next = 8 };

static struct machine *to_machine(struct vm *vm)
{
	return (struct machine *)vm;
}

static void may_sleep(void)
{
	if (machine_cpu.preempt_off || machine_cpu.irqs_off)
		abort();
}

static void *page_alloc(size_t size)
{
	void *p = aligned_alloc(PAGE_SIZE, size);

	if (!p)
		abort();
	return memset(p, 0, size);
}

struct machine *machine_create(u64 mem_size)
{
	struct machine *m = host_zalloc(sizeof(*m));

	if (!m)
		abort();
	m->mem_size = (mem_size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (m->mem_size)
		m->mem = page_alloc(m->mem_size);
	m->vm.irqchip_split = true;
	m->vm.pio_doorbells = true;
	m->vm.nr_ioapic_pins = 24;
	m->vm.tsc_khz = MACHINE_TSC_KHZ;
	return m;
}

struct vcpu *machine_add_vcpu(struct machine *m, u32 id)
{
	struct machine_vcpu *mv = host_zalloc(sizeof(*mv));
	struct vcpu *v = &mv->vcpu;

	if (!mv || id >= VM_MAX_VCPUS || m->vcpus[id])
		abort();
	mv->started_at = -1;
	v->vm = &m->vm;
	v->stats = &mv->stats;
	v->id = id;
	v->run = page_alloc(PAGE_SIZE);
	v->pio_data = page_alloc(PAGE_SIZE);
	v->hw.vmcb = page_alloc(PAGE_SIZE);
	v->msr.tsc_khz = m->vm.tsc_khz;
	v->ev.extint = -1;
	m->vcpus[id] = mv;
	m->vm.nr_vcpus++;
	if (id > m->vm.max_id)
		m->vm.max_id = id;
	__atomic_store_n(&m->vm.vcpu_by_id[id], v, __ATOMIC_RELEASE);
	return v;
}

void machine_free(struct machine *m)
{
	for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
		struct machine_vcpu *mv = m->vcpus[i];

		if (!mv)
			continue;
		free(mv->vcpu.run);
		free(mv->vcpu.pio_data);
		free(mv->vcpu.hw.vmcb);
		host_free(mv);
	}
	free(m->mem);
	host_free(m);
}

/* The vCPU whose timer is due first, by @now; NULL if none is. */
static struct machine_vcpu *next_due(struct machine *m, u64 now)
{
	struct machine_vcpu *due = NULL;

	for (u32 i = 0; i <= m->vm.max_id; i++) {
		struct machine_vcpu *mv = m->vcpus[i];

		if (mv && mv->timer_deadline && mv->timer_deadline <= now &&
		    (!due || mv->timer_deadline < due->timer_deadline))
			due = mv;
	}
	return due;
}

void machine_advance(struct machine *m, u64 ns)
{
	u64 end = machine_now_ns + ns;
	bool others = machine_cpu.others;
	struct machine_vcpu *mv;

	machine_cpu.others = true;
	while ((mv = next_due(m, end))) {
		if (mv->timer_deadline > machine_now_ns)
			machine_now_ns = mv->timer_deadline;
		mv->timer_deadline = 0;
		lapic_timer_expired(&mv->vcpu);
	}
	machine_now_ns = end;
	machine_cpu.others = others;
}

/* --- Memory. --- */

static bool in_memory(struct machine *m, u64 gpa, u64 len)
{
	return gpa >= m->mem_base && gpa - m->mem_base <= m->mem_size &&
	       len <= m->mem_size - (gpa - m->mem_base);
}

static bool writable(struct machine *m, u64 gpa, u64 len)
{
	return in_memory(m, gpa, len) && (gpa >= m->ro_end || gpa + len <= m->ro_start);
}

int host_guest_read(struct vm *vm, u64 gpa, void *data, u32 len)
{
	struct machine *m = to_machine(vm);

	may_sleep();
	if (!in_memory(m, gpa, len))
		return -EFAULT;
	memcpy(data, m->mem + (gpa - m->mem_base), len);
	return 0;
}

void host_reader_begin(struct host_reader *r, struct vm *vm)
{
	may_sleep();
	r->vm = vm;
	to_machine(vm)->readers++;
}

/* What is unlike the kernel's answer is a mistake of the caller's. */
int host_reader_get(struct host_reader *r, u64 gpa, u32 size, u64 *value)
{
	if (!to_machine(r->vm)->readers || (size != 4 && size != 8) || gpa % size)
		abort();
	*value = 0;
	return host_guest_read(r->vm, gpa, value, size);
}

void host_reader_end(struct host_reader *r)
{
	to_machine(r->vm)->readers--;
}

int host_guest_write(struct vm *vm, u64 gpa, const void *data, u32 len)
{
	struct machine *m = to_machine(vm);

	may_sleep();
	if (!writable(m, gpa, len))
		return -EFAULT;
	memcpy(m->mem + (gpa - m->mem_base), data, len);
	m->dirty_marks++;
	return 0;
}

int host_guest_cmpxchg(struct vm *vm, u64 gpa, u64 old, u64 new, u32 len)
{
	struct machine *m = to_machine(vm);
	u64 was = 0;

	if ((len != 4 && len != 8) || gpa % len)
		abort();
	if (!writable(m, gpa, len))
		return -EFAULT;
	memcpy(&was, m->mem + (gpa - m->mem_base), len);
	if (was != old)
		return 1;
	memcpy(m->mem + (gpa - m->mem_base), &new, len);
	m->dirty_marks++;
	return 0;
}

/* The 2 MiB around @gfn are all memory and all writable, or all not. */
static bool large_around(struct machine *m, u64 gfn)
{
	u64 start = gfn / 512 * LARGE_SIZE;
	bool read_only = start >= m->ro_start && start + LARGE_SIZE <= m->ro_end;

	return in_memory(m, start, LARGE_SIZE) && (read_only || writable(m, start, LARGE_SIZE));
}

int host_gfn_to_page(struct vm *vm, u64 gfn, bool write, struct host_page *page)
{
	struct machine *m = to_machine(vm);

	may_sleep();
	if (m->mmu_locked)
		abort();
	if (m->page_error)
		return m->page_error;
	if (gfn > U64_MAX / PAGE_SIZE || !in_memory(m, gfn * PAGE_SIZE, PAGE_SIZE))
		return -ENOENT;
	page->writable = writable(m, gfn * PAGE_SIZE, PAGE_SIZE);
	if (write && !page->writable)
		return -EROFS;
	page->pfn = gfn + m->pfn_offset;
	page->large = m->large_pages && large_around(m, gfn);
	page->logged = !m->unlogged;
	page->seq = m->seq;
	if (m->notifier_races) {
		m->notifier_races--;
		m->seq++;
	}
	return 0;
}

void host_mmu_lock(struct vm *vm)
{
	if (to_machine(vm)->mmu_locked)
		abort();
	to_machine(vm)->mmu_locked = true;
}

void host_mmu_unlock(struct vm *vm)
{
	if (!to_machine(vm)->mmu_locked)
		abort();
	to_machine(vm)->mmu_locked = false;
}

bool host_mmu_retry(struct vm *vm, const struct host_page *page)
{
	return page->seq != to_machine(vm)->seq;
}

void host_flush_tlbs(struct vm *vm)
{
	to_machine(vm)->tlb_flushes++;
}

void host_mark_dirty(struct vm *vm, u64 gfn)
{
	to_machine(vm)->dirty_marks++;
}

static bool tables_left(struct machine *m)
{
	return !m->max_tables || m->nr_tables < m->max_tables;
}

int host_table_topup(struct vm *vm)
{
	may_sleep();
	return tables_left(to_machine(vm)) ? 0 : -ENOMEM;
}

u64 *host_table_alloc(struct vm *vm, u64 *pa)
{
	u64 *table;

	if (!tables_left(to_machine(vm)))
		return NULL;
	table = page_alloc(PAGE_SIZE);
	to_machine(vm)->nr_tables++;
	*pa = (uintptr_t)table;
	return table;
}

void host_table_free(struct vm *vm, u64 *table)
{
	to_machine(vm)->nr_tables--;
	free(table);
}

u64 *host_table_va(u64 pa)
{
	return (u64 *)(uintptr_t)pa;
}

void *host_zalloc(size_t size)
{
	return machine_no_memory ? NULL : calloc(1, size);
}

void host_free(void *p)
{
	free(p);
}

void *host_pages_alloc(unsigned int order, u64 *pa)
{
	void *p;

	if (machine_pages_fail && !--machine_pages_fail)
		return NULL;
	p = page_alloc(PAGE_SIZE << order);
	machine_pages++;
	*pa = (uintptr_t)p;
	return p;
}

void host_pages_free(void *p, unsigned int order)
{
	machine_pages -= !!p;
	free(p);
}

bool host_mmio_write(struct vm *vm, u64 gpa, u32 len, const void *data)
{
	struct machine *m = to_machine(vm);

	if (!m->doorbell_gpa || gpa != m->doorbell_gpa)
		return false;
	m->doorbells++;
	return true;
}

bool host_pio_write(struct vm *vm, u16 port, u32 len, const void *data)
{
	struct machine *m = to_machine(vm);

	if (!m->doorbell_port || port != m->doorbell_port)
		return false;
	m->doorbells++;
	return true;
}

/* --- Time. --- */

u64 host_now_ns(void) { return machine_now_ns; }
u64 host_boot_ns(void) { return machine_now_ns; }
u64 host_real_ns(void) { return machine_now_ns + 1700000000000000000ull; }
u64 host_tsc(void) { return machine_now_ns * (MACHINE_TSC_KHZ / 1000000); }
u64 host_tsc_khz(void) { return MACHINE_TSC_KHZ; }
bool host_tsc_stable(void) { return machine_tsc_stable; }

void host_timer_arm(struct vcpu *v, u64 deadline_ns)
{
	machine_of(v)->timer_arms++;
	machine_of(v)->timer_deadline = deadline_ns ? deadline_ns : 1;
}

void host_timer_cancel(struct vcpu *v)
{
	machine_of(v)->timer_cancels++;
	machine_of(v)->timer_deadline = 0;
}

/* --- Threads. --- */

/* As the kernel's: a thread's kick of its own vCPU interrupts nobody, but is noted too. */
enum exeunt_target host_kick(struct vcpu *v)
{
	u32 mode = IN_GUEST;

	__atomic_fetch_add(&machine_of(v)->kicks, 1, __ATOMIC_RELAXED);
	if (__atomic_compare_exchange_n(&v->mode, &mode, EXITING_GUEST, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		machine_cpu.kicked |= machine_cpu.others;
	if (mode != OUTSIDE_GUEST)
		return EXEUNT_TARGET_RUNNING;
	if (v->mp_state != KVM_MP_STATE_RUNNABLE)
		return EXEUNT_TARGET_HALTED;
	return machine_of(v)->off_cpu ? EXEUNT_TARGET_PREEMPTED : EXEUNT_TARGET_OUTSIDE;
}

enum exeunt_target host_post(struct vcpu *v)
{
	u32 mode = __atomic_load_n(&v->mode, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&machine_of(v)->posts, 1, __ATOMIC_RELAXED);
	if (mode != OUTSIDE_GUEST) {
		machine_doorbell(host_apic_id());
		return EXEUNT_TARGET_RUNNING;
	}
	if (v->mp_state != KVM_MP_STATE_RUNNABLE)
		return EXEUNT_TARGET_HALTED;
	return machine_of(v)->off_cpu ? EXEUNT_TARGET_PREEMPTED : EXEUNT_TARGET_OUTSIDE;
}

bool host_vcpu_on_cpu(const struct vcpu *v) { return !((const struct machine_vcpu *)v)->off_cpu; }
bool host_accounting(void) { return !machine_accounting_off; }

void host_block(struct vcpu *v)
{
	may_sleep();
	machine_of(v)->blocks++;
	if (machine_blocked)
		machine_blocked(v);
}

void host_relax(void) { machine_now_ns += machine_relax_ns; }
bool host_signal_pending(void) { return machine_signal; }
void host_resched(void) { may_sleep(); }

u32 host_mechanisms(void) { return machine_mechanisms; }

/* --- The way into the guest. --- */

static void set_off(bool *off, bool now)
{
	if (*off == now)
		abort();
	*off = now;
}

void host_preempt_disable(void) { set_off(&machine_cpu.preempt_off, true); }
void host_preempt_enable(void) { set_off(&machine_cpu.preempt_off, false); }
void host_irq_disable(void) { set_off(&machine_cpu.irqs_off, true); }

void host_irq_enable(void)
{
	set_off(&machine_cpu.irqs_off, false);
	machine_cpu.irq_enables++;
	machine_cpu.kicked = false;
}

void host_xstate_enter(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, const u32 *pkru)
{
	set_off(&machine_cpu.in_guest_xstate, true);
}

void host_xstate_exit(const struct host_xstate *host, u64 cr4, u64 xcr0, u64 xss, u32 *pkru)
{
	set_off(&machine_cpu.in_guest_xstate, false);
}

void machine_moment(enum machine_moment moment)
{
	if (!machine_others)
		return;
	machine_cpu.others = true;
	machine_others(moment);
	machine_cpu.others = false;
}

bool host_work_pending(void)
{
	machine_moment(MOMENT_ENTERING);
	return machine_signal || machine_cpu.work;
}

int host_handle_work(struct vcpu *v)
{
	may_sleep();
	machine_cpu.work = false;
	vendor_leave_cpu(v);	/* somebody else wanted the CPU */
	return machine_signal ? -EINTR : 0;
}

void host_debug_load(const u64 dr[4])
{
	memcpy(machine_cpu.dr, dr, sizeof(machine_cpu.dr));
	machine_cpu.debug_loads++;
}

void host_debug_save(u64 dr[4])
{
	memcpy(dr, machine_cpu.dr, sizeof(machine_cpu.dr));
}

void host_machine_check(void)
{
	if (!machine_cpu.irqs_off || machine_cpu.in_guest_xstate)
		abort();
	machine_cpu.machine_checks++;
}

void host_yield(void)
{
	may_sleep();
	machine_cpu.yields++;
}

void host_scan_ioapic_routes(struct vcpu *v, u64 eoi_exit[4])
{
	may_sleep();
	machine_cpu.route_scans++;
}

struct asid_cpu *host_asid_cpu(void) { return &asids; }

/* --- The CPU. --- */

u32 host_cpu(void) { return machine_cpu.nr; }
void host_exit_at_once(void) { machine_cpu.exit_at_once = true; }
u32 host_apic_id(void) { return machine_cpu.nr + MACHINE_FIRST_APIC_ID; }
bool host_svm_on(void) { return !machine_cpu.svm_off; }
u64 host_spec_ctrl_bits(void) { return machine_spec_ctrl_bits; }
bool host_cpu_switches_spec_ctrl(void) { return machine_v_spec_ctrl; }

u64 host_xfeatures(void) { return machine_xfeatures; }
bool host_la57(void) { return machine_la57; }

void machine_set_cpuid(u32 leaf, u32 sub, u32 a, u32 b, u32 c, u32 d)
{
	u32 i;

	for (i = 0; i < nr_cpuid; i++)
		if (cpuid_table[i].leaf == leaf && cpuid_table[i].sub == sub)
			break;
	if (i == MAX_CPUID)
		abort();
	if (i == nr_cpuid)
		nr_cpuid++;
	cpuid_table[i].leaf = leaf;
	cpuid_table[i].sub = sub;
	memcpy(cpuid_table[i].regs, (u32 []){ a, b, c, d }, sizeof(cpuid_table[i].regs));
}

void machine_clear_cpuid(void)
{
	nr_cpuid = 0;
}

void host_cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d)
{
	*a = *b = *c = *d = 0;
	if (!nr_cpuid) {
		__cpuid_count(leaf, sub, *a, *b, *c, *d);
		return;
	}
	for (u32 i = 0; i < nr_cpuid; i++) {
		if (cpuid_table[i].leaf == leaf && cpuid_table[i].sub == sub) {
			*a = cpuid_table[i].regs[0];
			*b = cpuid_table[i].regs[1];
			*c = cpuid_table[i].regs[2];
			*d = cpuid_table[i].regs[3];
		}
	}
}

int host_rdmsr_safe(u32 msr, u64 *value)
{
	return -EIO;
}

u64 host_muldiv(u64 a, u64 b, u64 c)
{
	unsigned __int128 q;

	if (!c)
		abort();
	q = (unsigned __int128)a * b / c;
	if (q > U64_MAX)
		abort();
	return (u64)q;
}
