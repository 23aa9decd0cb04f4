/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of an x86 kernel before 5.8: kvm_exit has no vcpu_id, kvm_inj_virq an irq only, kvm_inj_exception does not tell reinjection, and a task
 * has a state where newer ones have __state.
 */
#include "layout.h"

RECORD(kvm_exit, unsigned int exit_reason; unsigned long guest_rip; u32 isa; u64 info1; u64 info2;);
RECORD(kvm_entry, unsigned int vcpu_id;);
RECORD(kvm_userspace_exit, u32 reason; int errno;);
RECORD(kvm_msr, unsigned int write; u32 ecx; u64 data; u8 exception;);
RECORD(kvm_pio, unsigned int rw; unsigned int port; unsigned int size; unsigned int count; unsigned int val;);
RECORD(kvm_mmio, u32 type; u32 len; u64 gpa; u64 val;);
RECORD(kvm_fast_mmio, u64 gpa;);
RECORD(kvm_hypercall, unsigned long nr; unsigned long a0; unsigned long a1; unsigned long a2; unsigned long a3;);
RECORD(kvm_apic_ipi, u32 icr_low; u32 dest_id;);
RECORD(kvm_inj_virq, unsigned int irq;);
RECORD(kvm_inj_exception, u8 exception; u8 has_error; u32 error_code;);
RECORD(kvm_vcpu_wakeup, u64 ns; _Bool waited; _Bool valid;);
RECORD(kvm_halt_poll_ns, _Bool grow; unsigned int vcpu_id; unsigned int new; unsigned int old;);
RECORD(kvm_fpu, u32 load;);

struct task_struct {
	volatile long state;
	struct task_struct *group_leader;
	char comm[16];
} task;
