// SPDX-License-Identifier: GPL-2.0
/*
 * kvmclock, poll control and hypercalls (Documentation/virt/kvm/x86/msr.rst, hypercalls.rst). Owns struct pv_state, and of struct vm
 * the clock.
 *
 * Where the host's TSC is the same on all CPUs, all vCPUs compute time from one pair (TSC, ns) per VM, so that no two of them can
 * disagree; where it is not, every vCPU gets a pair of its own each time it comes to another CPU.
 */
#include "x86/fast.h"

#define FEATURE_CLOCKSOURCE	(1u << 0)
#define FEATURE_CLOCKSOURCE2	(1u << 3)
#define FEATURE_SEND_IPI	(1u << 11)
#define FEATURE_POLL_CONTROL	(1u << 12)

#define TIME_ENABLED	1ull

/* What the guest reads (ABI). */
struct time_page {
	u32 version, pad0;
	u64 tsc_timestamp, system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags, pad[2];
};

struct wall_clock {
	u32 version, sec, nsec;
};

#define TIME_TSC_STABLE		1
#define TIME_GUEST_STOPPED	2

static u64 ticks_to_ns(u64 ticks, u64 khz)
{
	return host_muldiv(ticks, 1000000, khz);
}

u64 pv_clock_ns(struct vm *vm)
{
	if (vm->clock_shared)
		return vm->clock_base_ns + ticks_to_ns(host_tsc() - vm->clock_base_tsc, host_tsc_khz());
	return host_boot_ns() + vm->clock_offset_ns;
}

void pv_clock_set(struct vm *vm, u64 ns)
{
	vm->clock_shared = host_tsc_stable();
	vm->clock_base_tsc = host_tsc();
	vm->clock_base_ns = ns;
	vm->clock_offset_ns = ns - host_boot_ns();
}

/*
 * The guest computes ns = ((ticks << shift) * mul) >> 32, shifting right for a negative shift: finds the shift for which mul has its
 * top bit set, the most precise.
 */
static void tsc_scale(u64 khz, u32 *mul, s8 *shift)
{
	u64 n = 1000000, d = khz;
	s8 s = 0;

	while (n >= d) {
		d <<= 1;
		s++;
	}
	while (2 * n < d) {
		n <<= 1;
		s--;
	}
	*mul = host_div64(n << 32, d);
	*shift = s;
}

void pv_clock_update(struct vcpu *v)
{
	struct pv_state *pv = &v->pv;
	struct vm *vm = v->vm;
	u64 gpa = pv->system_time_msr & ~TIME_ENABLED;
	struct time_page t;

	if (!(pv->system_time_msr & TIME_ENABLED))
		return;
	memset(&t, 0, sizeof(t));
	/* Odd while it changes: the guest reads again (the version is ours alone, whatever the guest writes there). */
	pv->clock_version = (pv->clock_version | 1) + 2;
	t.version = pv->clock_version;
	if (host_guest_write(vm, gpa, &t.version, sizeof(t.version)))
		return;
	if (vm->clock_shared) {
		t.tsc_timestamp = vm->clock_base_tsc + v->msr.tsc_offset;
		t.system_time = vm->clock_base_ns;
		t.flags = TIME_TSC_STABLE;
	} else {
		t.tsc_timestamp = msr_guest_tsc(v);
		t.system_time = pv_clock_ns(vm);
	}
	if (pv->guest_stopped)
		t.flags |= TIME_GUEST_STOPPED;
	pv->guest_stopped = false;
	tsc_scale(v->msr.tsc_khz, &t.tsc_to_system_mul, &t.tsc_shift);
	if (host_guest_write(vm, gpa, &t, sizeof(t)))
		return;
	t.version = ++pv->clock_version;
	host_guest_write(vm, gpa, &t.version, sizeof(t.version));
}

/* Wall-clock time at the moment when the guest's clock was 0. */
static void write_wall_clock(struct vcpu *v, u64 gpa)
{
	u64 ns = host_real_ns() - pv_clock_ns(v->vm);
	struct wall_clock w = { .version = 1, .sec = host_div64(ns, 1000000000), };

	if (!gpa)
		return;
	w.nsec = ns - (u64)w.sec * 1000000000;
	if (host_guest_write(v->vm, gpa, &w.version, sizeof(w.version)) || host_guest_write(v->vm, gpa, &w, sizeof(w)))
		return;
	w.version = 2;
	host_guest_write(v->vm, gpa, &w.version, sizeof(w.version));
}

/* The VMM has given the guest the feature that this MSR belongs to. */
static bool offered(const struct vcpu *v, u32 index)
{
	u32 need = 0;

	switch (index) {
	case M_PV_OLD_WALL: case M_PV_OLD_TIME: need = FEATURE_CLOCKSOURCE; break;
	case M_PV_WALL: case M_PV_TIME: need = FEATURE_CLOCKSOURCE2; break;
	case M_PV_POLL_CONTROL: need = FEATURE_POLL_CONTROL; break;
	}
	return v->cpuid.kvm_features & need;
}

int pv_msr_read(struct vcpu *v, u32 index, u64 *value, bool host)
{
	if (!host && !offered(v, index))
		return 1;
	switch (index) {
	case M_PV_WALL: case M_PV_OLD_WALL: *value = v->pv.wall_clock_msr; return 0;
	case M_PV_TIME: case M_PV_OLD_TIME: *value = v->pv.system_time_msr; return 0;
	case M_PV_POLL_CONTROL: *value = v->pv.poll_control; return 0;
	}
	return 1;
}

int pv_msr_write(struct vcpu *v, u32 index, u64 value, bool host)
{
	if (!host && !offered(v, index))
		return 1;
	switch (index) {
	case M_PV_WALL: case M_PV_OLD_WALL:
		v->pv.wall_clock_msr = value;
		write_wall_clock(v, value);
		return 0;
	case M_PV_TIME: case M_PV_OLD_TIME:
		v->pv.system_time_msr = value;
		vcpu_request(v, REQ_CLOCK_UPDATE);
		return 0;
	case M_PV_POLL_CONTROL:
		if (value & ~PV_HOST_MAY_POLL)
			return 1;
		v->pv.poll_control = value;
		return 0;
	}
	return 1;
}

/* KVM_HC_SEND_IPI: a bitmap in two registers, the APIC id that its lowest bit stands for, and an ICR. */
static s64 send_ipi(struct vcpu *v, u64 low, u64 high, u64 base, u32 icr)
{
	if (!(v->cpuid.kvm_features & FEATURE_SEND_IPI))
		return -KVM_ENOSYS;
	if (!v->apic.present)
		return -KVM_EOPNOTSUPP;
	return lapic_send_to_set(v, icr, base, vcpu_is_64bit(v) ? 64 : 32, low, high);
}

void pv_hypercall(struct vcpu *v)
{
	/* What is not 64-bit code has the lower halves of the registers. */
	u64 mask = vcpu_is_64bit(v) ? ~0ull : U32_MAX, nr = v->regs[R_AX] & mask;
	u64 a0 = v->regs[R_BX] & mask, a1 = v->regs[R_CX] & mask, a2 = v->regs[R_DX] & mask, a3 = v->regs[R_SI] & mask;

	host_trace_hypercall(nr, a0, a1, a2, a3);
	if (!pv_hypercall_simple(v, nr, &v->regs[R_AX]))
		v->regs[R_AX] = send_ipi(v, a0, a1, a2, a3) & mask;
}

void pv_reset(struct vcpu *v)
{
	memset(&v->pv, 0, sizeof(v->pv));
	v->pv.poll_control = PV_HOST_MAY_POLL;
}
