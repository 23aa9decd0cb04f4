/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SVM on the host's CPUs: switched on while a VM exists, off otherwise.
 */
#ifndef EXEUNT_HARDWARE_H
#define EXEUNT_HARDWARE_H

/* Module load and unload. */
int hardware_init(void);
void hardware_exit(void);
/*
 * The first VM switches every CPU on, the last one off. -EBUSY if another hypervisor has a CPU. May sleep.
 */
int hardware_get(void);
void hardware_put(void);

#endif
