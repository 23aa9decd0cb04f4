// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's FPU: the kernel's own guest FPU container, swapped with the thread's around KVM_RUN. The registers beside it that are
 * switched at every entry (XCR0, XSS, PKRU) are in host.h.
 */
#include <linux/slab.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/types.h>
#include <asm/pkru.h>
#include "vm.h"

#define XFEATURES_OFFERED	(0x7 | 0xe0 | 0x200)	/* x87, SSE, AVX, the three of AVX-512, PKRU */

u64 host_xfeatures(void)
{
	if (!boot_cpu_has(X86_FEATURE_OSXSAVE))
		return 0;
	return xgetbv(XCR_XFEATURE_ENABLED_MASK) & XFEATURES_OFFERED;
}

int fpu_create(struct host_vcpu *hv)
{
	if (!fpu_alloc_guest_fpstate(&hv->fpu))
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		hv->v.host_xstate.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, hv->v.host_xstate.xss);
	return 0;
}

void fpu_destroy(struct host_vcpu *hv)
{
	if (hv->fpu.fpstate)
		fpu_free_guest_fpstate(&hv->fpu);
}

/* Of these the guest's use counts as use of the vector state. */
#define XFEATURES_COUNTED	(XFEATURES_OFFERED & ~(u64)XFEATURE_MASK_PKRU)

/* From here the thread's FPU is the guest's: a preemption saves and restores the guest's state. */
void fpu_load(struct host_vcpu *hv)
{
	if (!test_thread_flag(TIF_NEED_FPU_LOAD))
		stats_inc(&hv->v, fpu_host_saves);
	fpu_swap_kvm_fpstate(&hv->fpu, true);
	trace_kvm_fpu(1);
}

static __always_inline void count_leave(struct host_vcpu *hv, u64 in_use)
{
	if (in_use & XFEATURES_COUNTED)
		stats_inc(&hv->v, fpu_touched);
	else
		stats_inc(&hv->v, fpu_untouched);
}

/*
 * The guest's state leaves the CPU, unless a preemption has taken it off already. XSAVE leaves out what is in its initial state, which
 * the guest never touched (XSTATE_BV, APM vol. 2, 11.5.7).
 */
void fpu_put(struct host_vcpu *hv)
{
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD))) {
		fpu_swap_kvm_fpstate(&hv->fpu, false);
	} else {
		fpu_swap_kvm_fpstate(&hv->fpu, false);
		count_leave(hv, cpu_feature_enabled(X86_FEATURE_XSAVE) ? hv->fpu.fpstate->regs.xsave.header.xfeatures : ~0ull);
	}
	trace_kvm_fpu(0);
}

/* The same before the state is saved: the CPU tells (XINUSE, 11.5.8). One that cannot is taken to say that it was touched. */
void fpu_preempted(struct host_vcpu *hv)
{
	if (host_accounting() && !test_thread_flag(TIF_NEED_FPU_LOAD))
		count_leave(hv, boot_cpu_has(X86_FEATURE_XGETBV1) ? xgetbv(XCR_XFEATURE_IN_USE_MASK) : ~0ull);
}

/* KVM_GET_FPU, KVM_SET_FPU: the FXSAVE image's fields (APM vol. 2, 11.5.5). */
void fpu_get_legacy(struct host_vcpu *hv, struct kvm_fpu *f)
{
	const struct fxregs_state *x = &hv->fpu.fpstate->regs.fxsave;

	memset(f, 0, sizeof(*f));
	memcpy(f->fpr, x->st_space, sizeof(f->fpr));
	f->fcw = x->cwd;
	f->fsw = x->swd;
	f->ftwx = x->twd;
	f->last_opcode = x->fop;
	f->last_ip = x->rip;
	f->last_dp = x->rdp;
	memcpy(f->xmm, x->xmm_space, sizeof(f->xmm));
	f->mxcsr = x->mxcsr;
}

void fpu_set_legacy(struct host_vcpu *hv, const struct kvm_fpu *f)
{
	struct fxregs_state *x = &hv->fpu.fpstate->regs.fxsave;

	memcpy(x->st_space, f->fpr, sizeof(f->fpr));
	x->cwd = f->fcw;
	x->swd = f->fsw;
	x->twd = f->ftwx;
	x->fop = f->last_opcode;
	x->rip = f->last_ip;
	x->rdp = f->last_dp;
	memcpy(x->xmm_space, f->xmm, sizeof(f->xmm));
	/* Bits that no CPU defines would fault in the host's XRSTOR. */
	x->mxcsr = f->mxcsr & 0xffff;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		hv->fpu.fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
}

void fpu_get_xsave(struct host_vcpu *hv, void *buf, u32 size)
{
	memset(buf, 0, size);
	fpu_copy_guest_fpstate_to_uabi(&hv->fpu, buf, size, host_xfeatures() | XFEATURE_MASK_FPSSE, hv->v.pkru);
}

int fpu_set_xsave(struct host_vcpu *hv, const void *buf)
{
	return fpu_copy_uabi_to_guest_fpstate(&hv->fpu, buf, host_xfeatures(), &hv->v.pkru);
}
