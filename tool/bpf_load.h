/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The BPF program of bpf/exits.bpf.c: from "may we, and is there anything to watch" to attached.
 */
#ifndef EXEUNT_TOOL_BPF_LOAD_H
#define EXEUNT_TOOL_BPF_LOAD_H

#include <stdbool.h>
#include <sys/types.h>
#include "bpf/exits.h"

/* The program at work, and where it writes. */
struct bpf_exits {
	struct exits *skeleton;			/* build/exits.skel.h */
	struct exits_thread *threads;		/* EXITS_THREADS of them, shared with the kernel */
	const __u64 *homeless;			/* events of threads that found no room there */
	int counters_fd, rows_fd;		/* maps */
};

/*
 * Loads and attaches; counts all processes' vCPUs, or only @only's if that is not 0. False with a line on stderr if that cannot be: no
 * permission, no KVM, trace points that are not KVM's, a kernel without type information.
 */
bool bpf_load(struct bpf_exits *b, pid_t only);
void bpf_unload(struct bpf_exits *b);

#endif
