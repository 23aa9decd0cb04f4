// SPDX-License-Identifier: GPL-2.0
/*
 * The inner loop: what the world switch calls between an exit and the next entry, without having come back to the host. GIF is 0, and
 * FS, GS, TR, LDTR and what else VMLOAD loads are the guest's.
 *
 * So nothing here may use per-CPU data or call anything that might, trace, fault, warn, use RCU, or branch indirectly; nor contain what the
 * kernel patches while it runs (static keys): the trap at the place being patched would find the guest's GS base. tests/static/inner
 * checks the machine code. No flag needs checking but the vCPU's requests: whoever else wants this CPU sends it an interrupt, which
 * stays pending while GIF is 0 and makes the next VMRUN exit at once with SVM_EXIT_INTR, which ends the loop. NMIs, SMIs and machine checks
 * wait for GIF in the same way (APM vol. 2, 15.17). Returns are balanced with the calls right before them, so that they never use what the
 * guest left in the return stack; the world switch untrains and clears registers before it calls.
 */
#include "x86/svm/fast.h"

host_noinstr bool svm_inner(struct vcpu *v)
{
	struct vcpu_stats *s = v->stats;
	u64 since;

	if (!fast_kind(VMCB(v), true) || (VMCB(v)->c.exit_code == SVM_EXIT_MSR && !fast_is_inner_msr(v->regs[R_CX])))
		return false;
	since = s->inner_counts ? host_tsc() : 0;
	if (!vendor_handle_fast(v, true))
		return false;
	if (unlikely(!--v->rounds || __atomic_load_n(&v->requests, __ATOMIC_RELAXED)) ||
	    (s->inner_counts && unlikely(!stats_count(s, host_tsc() - since)))) {
		stats_leave_inner(s, since);
		v->hw.inner_handled = true;
		return false;
	}
	return true;
}
