// SPDX-License-Identifier: GPL-2.0
/*
 * The module parameters that switch mechanisms on and off (include/exeunt/mechanisms.h). One word holds them all, so that a vCPU reads
 * them at once.
 */
#include <linux/atomic.h>
#include <linux/kstrtox.h>
#include <linux/moduleparam.h>
#include "vm.h"

atomic_t mechanism_defaults = ATOMIC_INIT(EXEUNT_MECHANISMS);

static int set_switch(const char *text, const struct kernel_param *kp)
{
	int bit = (long)kp->arg, r;
	bool on = true;

	/* The name alone, without a value, switches on. */
	r = text ? kstrtobool(text, &on) : 0;
	if (r)
		return r;
	if (on)
		atomic_or(bit, &mechanism_defaults);
	else
		atomic_andnot(bit, &mechanism_defaults);
	return 0;
}

static int get_switch(char *buffer, const struct kernel_param *kp)
{
	return sprintf(buffer, "%c\n", atomic_read(&mechanism_defaults) & (long)kp->arg ? 'Y' : 'N');
}

static const struct kernel_param_ops switch_ops = { .flags = KERNEL_PARAM_OPS_FL_NOARG, .set = set_switch, .get = get_switch };

#define SWITCH(name, bit, what) \
	module_param_cb(name, &switch_ops, (void *)(bit), 0644); \
	MODULE_PARM_DESC(name, what " (default: on)")

SWITCH(fast_path, EXEUNT_FAST_PATH, "Deal with frequent exits before host interrupts are enabled");
SWITCH(fast_ipi, EXEUNT_FAST_IPI, "Also with those that send an interrupt to one vCPU, or to a few");
SWITCH(fast_timer, EXEUNT_FAST_TIMER, "Also with writes of the TSC deadline");
SWITCH(lazy_timer, EXEUNT_LAZY_TIMER, "Leave the host's timer as it is when the guest's moves later");
SWITCH(inner_loop, EXEUNT_INNER_LOOP, "Deal with the simplest exits without leaving the guest's segment bases");
SWITCH(timer_advance, EXEUNT_TIMER_ADVANCE, "Let the host's timer fire earlier by what it takes from there into the guest");
SWITCH(avic, EXEUNT_AVIC, "Let the CPU deliver interrupts and IPIs to running vCPUs by itself, where it has AVIC");
