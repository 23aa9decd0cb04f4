/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What /proc says of processes that have VMs.
 */
#ifndef EXEUNT_TOOL_BPF_PROC_H
#define EXEUNT_TOOL_BPF_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* When the process began, in ticks since the host's boot: with its number its identity. 0 if it is gone, or dead and not buried yet. */
uint64_t process_start(pid_t pid);
bool thread_is_gone(pid_t pid, pid_t tid);
/* The vCPU's number in the thread's name as QEMU gives it, "CPU 3/KVM"; -1 if that is no such name. */
int thread_vcpu(pid_t pid, pid_t tid);
/* Which processes have a VM of stock KVM's open: all that do, or @only if it is one; their number. The caller frees *@pids. */
size_t processes_with_vm(pid_t only, pid_t **pids);

#endif
