/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Work that the kernel wants done before a thread enters a guest.
 */
#ifndef EXEUNT_WORK_H
#define EXEUNT_WORK_H

int work_init(void);
void work_exit(void);

#endif
