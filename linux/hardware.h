/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SVM on the host's CPUs: switched on while a VM exists, off otherwise.
 */
#ifndef EXEUNT_HARDWARE_H
#define EXEUNT_HARDWARE_H

#include <linux/smp.h>
#include <asm/msr.h>

/* Module load and unload. */
int hardware_init(void);
void hardware_exit(void);
/*
 * The first VM switches every CPU on, the last one off. -EBUSY if another hypervisor has a CPU. May sleep.
 */
int hardware_get(void);
void hardware_put(void);

/* AVIC: makes the CPU look whether the guest that it runs, if any, has interrupts to take (APM vol. 2, 15.29.8). Any context. */
static inline void hardware_doorbell(int cpu)
{
	wrmsrl(MSR_AMD64_SVM_AVIC_DOORBELL, cpu_physical_id(cpu));
}

#endif
