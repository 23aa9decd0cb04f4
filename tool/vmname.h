/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a virtual machine is called: what its user called it, where the VMM's command line tells, else what its process is called.
 */
#ifndef EXEUNT_TOOL_VMNAME_H
#define EXEUNT_TOOL_VMNAME_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The name of the VM of process @pid (0: not visible): that of a -name X or -name guest=X in its arguments, else @comm, or what /proc
 * says in its place if @comm is NULL or empty. Never empty, and fit to be printed: see name_clean().
 */
void vm_name(char *name, size_t size, pid_t pid, const char *comm);
/* The value of QEMU's -name in @arguments, @len bytes as in /proc/PID/cmdline, made clean; an empty string if there is none. */
void qemu_name(char *name, size_t size, const char *arguments, size_t len);
/* Copies @from, cut to @size with its NUL. Each byte that is not UTF-8, or of a control character (U+2028 to
 * U+202E and U+2066 to U+2069 included), becomes '?'. */
void name_clean(char *to, size_t size, const char *from);

#endif
