/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What descriptions of other kernels' trace points have in common. Compiled for BPF with -g, such a file has type information as a kernel
 * has; load.c gives it to libbpf in the place of the running kernel's.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct trace_entry {
	u16 type;
	u8 flags;
	u8 preempt_count;
	int pid;
};

/* A trace point's record, and a variable of it, without which the compiler would leave it out. */
#define RECORD(event, ...)				\
	struct trace_event_raw_##event {		\
		struct trace_entry ent;			\
		__VA_ARGS__				\
		char __data[0];				\
	} event

#endif
