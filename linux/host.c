// SPDX-License-Identifier: GPL-2.0
/*
 * The parts of host.h that are neither memory, nor threads, nor the FPU: allocation, time, MSRs, debug registers.
 */
#include <linux/gfp.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include <linux/timekeeping.h>
#include "vm.h"

void *host_zalloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}

void host_free(void *p)
{
	kvfree(p);
}

void *host_pages_alloc(unsigned int order, u64 *pa)
{
	void *p = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, order);

	if (p)
		*pa = __sme_pa(p);
	return p;
}

void host_pages_free(void *p, unsigned int order)
{
	free_pages((unsigned long)p, order);
}

u64 host_real_ns(void)
{
	return ktime_get_real_ns();
}

bool host_tsc_stable(void)
{
	return boot_cpu_has(X86_FEATURE_CONSTANT_TSC) && boot_cpu_has(X86_FEATURE_NONSTOP_TSC) && !check_tsc_unstable();
}

int host_rdmsr_safe(u32 msr, u64 *value)
{
	u64 v;

	if (rdmsrl_safe(msr, &v))
		return -EIO;
	*value = v;
	return 0;
}

u64 host_spec_ctrl_bits(void)
{
	u64 bits = 0;

	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return 0;
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL) || boot_cpu_has(X86_FEATURE_AMD_IBRS))
		bits |= SPEC_CTRL_IBRS;
	if (boot_cpu_has(X86_FEATURE_INTEL_STIBP) || boot_cpu_has(X86_FEATURE_AMD_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD) || boot_cpu_has(X86_FEATURE_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	return bits;
}

void host_debug_load(const u64 dr[4])
{
	/* Host breakpoints that are armed must not hit at the guest's addresses; host_debug_restore arms them again. */
	set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

void host_debug_save(u64 dr[4])
{
	unsigned long value;

	get_debugreg(value, 0);
	dr[0] = value;
	get_debugreg(value, 1);
	dr[1] = value;
	get_debugreg(value, 2);
	dr[2] = value;
	get_debugreg(value, 3);
	dr[3] = value;
}
