/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace points, with upstream KVM's names, fields and field order, so that perf kvm stat, trace-cmd, kvm_stat and bpftrace scripts
 * work unchanged. The engine reaches them through trace_host.h.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(EXEUNT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define EXEUNT_TRACE_H

#include <linux/jump_label.h>
#include <linux/tracepoint.h>

#ifndef EXEUNT_TRACE_NAMES
#define EXEUNT_TRACE_NAMES

#define SVM_EXIT_NAMES \
	{ 0x000, "read_cr0" }, { 0x004, "read_cr4" }, { 0x010, "write_cr0" }, { 0x014, "write_cr4" }, { 0x018, "write_cr8" }, \
	{ 0x020, "read_dr0" }, { 0x021, "read_dr1" }, { 0x022, "read_dr2" }, { 0x023, "read_dr3" }, \
	{ 0x024, "read_dr4" }, { 0x025, "read_dr5" }, { 0x026, "read_dr6" }, { 0x027, "read_dr7" }, { 0x030, "write_dr0" }, { 0x031, "write_dr1" }, \
	{ 0x032, "write_dr2" }, { 0x033, "write_dr3" }, { 0x034, "write_dr4" }, { 0x035, "write_dr5" }, { 0x036, "write_dr6" }, { 0x037, "write_dr7" }, \
	{ 0x041, "DB excp" }, { 0x051, "AC excp" }, { 0x052, "MC excp" }, \
	{ 0x060, "interrupt" }, { 0x061, "nmi" }, { 0x062, "smi" }, { 0x063, "init" }, { 0x064, "vintr" }, { 0x065, "cr0_sel_write" }, \
	{ 0x06f, "rdpmc" }, { 0x072, "cpuid" }, { 0x074, "iret" }, { 0x076, "invd" }, { 0x077, "pause" }, { 0x078, "hlt" }, \
	{ 0x07a, "invlpga" }, { 0x07b, "io" }, { 0x07c, "msr" }, { 0x07e, "ferr_freeze" }, { 0x07f, "shutdown" }, \
	{ 0x080, "vmrun" }, { 0x081, "hypercall" }, { 0x082, "vmload" }, { 0x083, "vmsave" }, { 0x084, "stgi" }, \
	{ 0x085, "clgi" }, { 0x086, "skinit" }, { 0x087, "rdtscp" }, { 0x089, "wbinvd" }, { 0x08a, "monitor" }, \
	{ 0x08b, "mwait" }, { 0x08c, "mwait_cond" }, { 0x08d, "xsetbv" }, { 0x08e, "rdpru" }, { 0x0a0, "invlpgb" }, { 0x0a2, "invpcid" }, { 0x0a4, "tlbsync" }, { 0x400, "npf" }, \
	{ 0x401, "avic_incomplete_ipi" }, { 0x402, "avic_unaccelerated_access" }, \
	{ 0xffffffff, "invalid_guest_state" }

#define KVM_EXIT_NAMES \
	{ 0, "KVM_EXIT_UNKNOWN" }, { 2, "KVM_EXIT_IO" }, { 4, "KVM_EXIT_DEBUG" }, { 5, "KVM_EXIT_HLT" }, { 6, "KVM_EXIT_MMIO" }, \
	{ 7, "KVM_EXIT_IRQ_WINDOW_OPEN" }, { 8, "KVM_EXIT_SHUTDOWN" }, { 9, "KVM_EXIT_FAIL_ENTRY" }, { 10, "KVM_EXIT_INTR" }, \
	{ 11, "KVM_EXIT_SET_TPR" }, { 17, "KVM_EXIT_INTERNAL_ERROR" }, { 26, "KVM_EXIT_IOAPIC_EOI" }

/*
 * One of the events that the fast path has, those of TRACE_EVENT_FN below, is on: the inner loop, which cannot trace, asks this instead of
 * each of them.
 */
DECLARE_STATIC_KEY_FALSE(trace_fast);
int trace_fast_on(void);
void trace_fast_off(void);

#endif

TRACE_EVENT_FN(kvm_entry,
	TP_PROTO(unsigned int vcpu_id, unsigned long rip, bool immediate_exit),
	TP_ARGS(vcpu_id, rip, immediate_exit),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
		__field(bool, immediate_exit)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
		__entry->immediate_exit = immediate_exit;
	),
	TP_printk("vcpu %u, rip 0x%lx%s", __entry->vcpu_id, __entry->rip, __entry->immediate_exit ? "[immediate exit]" : ""),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_exit,
	TP_PROTO(unsigned int vcpu_id, unsigned int exit_reason, unsigned long guest_rip, u64 info1, u64 info2, u32 intr_info,
		 u32 error_code),
	TP_ARGS(vcpu_id, exit_reason, guest_rip, info1, info2, intr_info, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
		__field(u32, error_code)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		__entry->exit_reason = exit_reason;
		__entry->guest_rip = guest_rip;
		__entry->isa = 2;	/* SVM */
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->intr_info = intr_info;
		__entry->error_code = error_code;
		__entry->vcpu_id = vcpu_id;
	),
	TP_printk("vcpu %u reason %s rip 0x%lx info1 0x%016llx info2 0x%016llx intr_info 0x%08x error_code 0x%08x",
		  __entry->vcpu_id, __print_symbolic(__entry->exit_reason, SVM_EXIT_NAMES), __entry->guest_rip,
		  __entry->info1, __entry->info2, __entry->intr_info, __entry->error_code),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_msr,
	TP_PROTO(unsigned int write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read", __entry->ecx, __entry->data,
		  __entry->exception ? " (#GP)" : ""),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size, unsigned int count, unsigned int val),
	TP_ARGS(rw, port, size, count, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = val;
	),
	TP_printk("pio_%s at 0x%x size %d count %d val 0x%x %s", __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val, __entry->count > 1 ? "(...)" : "")
);

TRACE_EVENT(kvm_mmio,
	TP_PROTO(u32 type, u32 len, u64 gpa, u64 val),
	TP_ARGS(type, len, gpa, val),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = val;
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type, { 0, "unsatisfied-read" }, { 1, "read" }, { 2, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(unsigned int vcpu_id, unsigned long guest_rip, u64 fault_address, u64 error_code),
	TP_ARGS(vcpu_id, guest_rip, fault_address, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->guest_rip = guest_rip;
		__entry->fault_address = fault_address;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx", __entry->vcpu_id, __entry->guest_rip,
		  __entry->fault_address, __entry->error_code)
);

TRACE_EVENT_FN(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector)
		__field(bool, soft)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "Soft/INTn" : "IRQ", __entry->vector, __entry->reinjected ? " [reinjected]" : ""),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(u8 exception, bool has_error, u32 error_code, bool reinjected),
	TP_ARGS(exception, has_error, error_code, reinjected),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = exception;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
		__entry->reinjected = reinjected;
	),
	TP_printk("%u (0x%x)%s", __entry->exception, __entry->error_code, __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int errno),
	TP_ARGS(reason, errno),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = errno;
	),
	TP_printk("reason %s (%d)", __entry->errno < 0 ? (__entry->errno == -EINTR ? "restart" : "error") :
		  __print_symbolic(__entry->reason, KVM_EXIT_NAMES), __entry->errno < 0 ? -__entry->errno : __entry->reason)
);

TRACE_EVENT_FN(kvm_apic,
	TP_PROTO(unsigned int rw, unsigned int reg, u64 val),
	TP_ARGS(rw, reg, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, reg)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->reg = reg;
		__entry->val = val;
	),
	TP_printk("apic_%s 0x%x = 0x%llx", __entry->rw ? "write" : "read", __entry->reg, __entry->val),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_apic_ipi,
	TP_PROTO(u32 icr_low, u32 dest_id),
	TP_ARGS(icr_low, dest_id),
	TP_STRUCT__entry(
		__field(u32, icr_low)
		__field(u32, dest_id)
	),
	TP_fast_assign(
		__entry->icr_low = icr_low;
		__entry->dest_id = dest_id;
	),
	TP_printk("dst %x vec %u (icr 0x%x)", __entry->dest_id, __entry->icr_low & 0xff, __entry->icr_low),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_apic_accept_irq,
	TP_PROTO(u32 apicid, u16 dm, u16 tm, u8 vec),
	TP_ARGS(apicid, dm, tm, vec),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(u16, dm)
		__field(u16, tm)
		__field(u8, vec)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->dm = dm;
		__entry->tm = tm;
		__entry->vec = vec;
	),
	TP_printk("apicid %x vec %u (mode %u|%s)", __entry->apicid, __entry->vec, __entry->dm >> 8 & 7, __entry->tm ? "level" : "edge"),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_eoi,
	TP_PROTO(u32 apicid, int vector),
	TP_ARGS(apicid, vector),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(int, vector)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->vector = vector;
	),
	TP_printk("apicid %x vector %d", __entry->apicid, __entry->vector),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT_FN(kvm_cpuid,
	TP_PROTO(unsigned int function, unsigned int index, unsigned long rax, unsigned long rbx, unsigned long rcx,
		 unsigned long rdx, bool found),
	TP_ARGS(function, index, rax, rbx, rcx, rdx, found),
	TP_STRUCT__entry(
		__field(unsigned int, function)
		__field(unsigned int, index)
		__field(unsigned long, rax)
		__field(unsigned long, rbx)
		__field(unsigned long, rcx)
		__field(unsigned long, rdx)
		__field(bool, found)
		__field(bool, used_max_basic)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = rax;
		__entry->rbx = rbx;
		__entry->rcx = rcx;
		__entry->rdx = rdx;
		__entry->found = found;
		__entry->used_max_basic = false;
	),
	TP_printk("func %x idx %x rax %lx rbx %lx rcx %lx rdx %lx, cpuid entry %s", __entry->function, __entry->index,
		  __entry->rax, __entry->rbx, __entry->rcx, __entry->rdx, __entry->found ? "found" : "not found"),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT(kvm_cr,
	TP_PROTO(unsigned int rw, unsigned int cr, unsigned long val),
	TP_ARGS(rw, cr, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, cr)
		__field(unsigned long, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->cr = cr;
		__entry->val = val;
	),
	TP_printk("cr_%s %x = 0x%lx", __entry->rw ? "write" : "read", __entry->cr, __entry->val)
);

TRACE_EVENT_FN(kvm_hypercall,
	TP_PROTO(unsigned long nr, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3),
	TP_ARGS(nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(unsigned long, nr)
		__field(unsigned long, a0)
		__field(unsigned long, a1)
		__field(unsigned long, a2)
		__field(unsigned long, a3)
	),
	TP_fast_assign(
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx", __entry->nr, __entry->a0, __entry->a1, __entry->a2, __entry->a3),
	trace_fast_on, trace_fast_off
);

TRACE_EVENT(kvm_msi_set_irq,
	TP_PROTO(u64 address, u64 data),
	TP_ARGS(address, data),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u64, data)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->data = data;
	),
	TP_printk("address 0x%llx vec %llu", __entry->address, __entry->data & 0xff)
);

TRACE_EVENT(kvm_vcpu_wakeup,
	TP_PROTO(u64 ns, bool waited, bool valid),
	TP_ARGS(ns, waited, valid),
	TP_STRUCT__entry(
		__field(u64, ns)
		__field(bool, waited)
		__field(bool, valid)
	),
	TP_fast_assign(
		__entry->ns = ns;
		__entry->waited = waited;
		__entry->valid = valid;
	),
	TP_printk("%s time %lld ns, polling %s", __entry->waited ? "wait" : "poll", __entry->ns, __entry->valid ? "valid" : "invalid")
);

TRACE_EVENT(kvm_fpu,
	TP_PROTO(int load),
	TP_ARGS(load),
	TP_STRUCT__entry(
		__field(u32, load)
	),
	TP_fast_assign(
		__entry->load = load;
	),
	TP_printk("%s", __print_symbolic(__entry->load, { 0, "unload" }, { 1, "load" }))
);

TRACE_EVENT(kvm_avic_incomplete_ipi,
	TP_PROTO(u32 vcpu, u32 icrh, u32 icrl, u32 id, u32 index),
	TP_ARGS(vcpu, icrh, icrl, id, index),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, icrh)
		__field(u32, icrl)
		__field(u32, id)
		__field(u32, index)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->icrh = icrh;
		__entry->icrl = icrl;
		__entry->id = id;
		__entry->index = index;
	),
	TP_printk("vcpu %u icr 0x%08x:%08x reason %u index %u", __entry->vcpu, __entry->icrh, __entry->icrl, __entry->id, __entry->index)
);

TRACE_EVENT(kvm_avic_unaccelerated_access,
	TP_PROTO(u32 vcpu, u32 offset, bool ft, bool rw, u32 vec),
	TP_ARGS(vcpu, offset, ft, rw, vec),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, offset)
		__field(bool, ft)
		__field(bool, rw)
		__field(u32, vec)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->offset = offset;
		__entry->ft = ft;
		__entry->rw = rw;
		__entry->vec = vec;
	),
	TP_printk("vcpu %u apic_%s 0x%x %s vec %u", __entry->vcpu, __entry->rw ? "write" : "read", __entry->offset,
		  __entry->ft ? "trap" : "fault", __entry->vec)
);

TRACE_EVENT(kvm_avic_doorbell,
	TP_PROTO(u32 vcpuid, u32 apicid),
	TP_ARGS(vcpuid, apicid),
	TP_STRUCT__entry(
		__field(u32, vcpuid)
		__field(u32, apicid)
	),
	TP_fast_assign(
		__entry->vcpuid = vcpuid;
		__entry->apicid = apicid;
	),
	TP_printk("vcpu %u apicid %x", __entry->vcpuid, __entry->apicid)
);

TRACE_EVENT(kvm_emulate_insn,
	TP_PROTO(u64 rip, u32 csbase, u8 len, const u8 *insn, u8 flags, bool failed),
	TP_ARGS(rip, csbase, len, insn, flags, failed),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, csbase)
		__field(u8, len)
		__array(u8, insn, 15)
		__field(u8, flags)
		__field(u8, failed)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->csbase = csbase;
		__entry->len = min_t(u8, len, 15);
		memset(__entry->insn, 0, 15);
		memcpy(__entry->insn, insn, min_t(u8, len, 15));
		__entry->flags = flags;
		__entry->failed = failed;
	),
	TP_printk("%x:%llx:%s%s", __entry->csbase, __entry->rip, __print_hex(__entry->insn, __entry->len),
		  __entry->failed ? " failed" : "")
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
