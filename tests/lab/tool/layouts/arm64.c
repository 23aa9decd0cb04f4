/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of a 6.1 kernel for arm64.
 */
#include "layout.h"

RECORD(kvm_exit, int ret; unsigned int esr_ec; unsigned long vcpu_pc;);
RECORD(kvm_entry, unsigned long vcpu_pc;);
RECORD(kvm_userspace_exit, u32 reason; int errno;);
RECORD(kvm_mmio, u32 type; u32 len; u64 gpa; u64 val;);
RECORD(kvm_hvc_arm64, unsigned long vcpu_pc; unsigned long r0; unsigned long imm;);
RECORD(kvm_vcpu_wakeup, u64 ns; _Bool waited; _Bool valid;);
RECORD(kvm_halt_poll_ns, _Bool grow; unsigned int vcpu_id; unsigned int new; unsigned int old;);

struct task_struct {
	unsigned int __state;
	struct task_struct *group_leader;
	char comm[16];
} task;
