/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reading of what the BPF program has written: threads, their counters and rows.
 */
#ifndef EXEUNT_TOOL_BPF_TABLES_H
#define EXEUNT_TOOL_BPF_TABLES_H

#include <stddef.h>
#include "bpf_load.h"

struct bpf_thread {
	struct exits_thread *home;	/* in the memory shared with the kernel */
	struct exits_thread state;	/* a copy */
	bool gone;			/* had ended before anything of it was read: what is read is final */
};

struct bpf_tables {
	const struct bpf_exits *from;
	size_t nr_threads, nr_keys;
	struct bpf_thread *threads;	/* by process and thread */
	struct exits_row_key *keys;	/* of all rows, by owner */
};

void bpf_tables_read(struct bpf_tables *t, const struct bpf_exits *from);
void bpf_tables_free(struct bpf_tables *t);

static inline pid_t bpf_thread_process(const struct bpf_thread *thread)
{
	return thread->state.id >> 32;
}

static inline pid_t bpf_thread_tid(const struct bpf_thread *thread)
{
	return (pid_t)thread->state.id;
}

/* The keys of @thread's rows: *@nr of them. */
const struct exits_row_key *bpf_thread_rows(const struct bpf_tables *t, const struct bpf_thread *thread, size_t *nr);
/* A whole row, with its key; false if it is empty or gone. */
bool bpf_read_row(const struct bpf_exits *from, const struct exits_row_key *key, struct exeunt_row *row);
void bpf_read_counters(const struct bpf_exits *from, const struct bpf_thread *thread, struct exeunt_counters *c);
/* Makes the place free that a thread had that is gone. */
void bpf_remove_thread(const struct bpf_tables *t, const struct bpf_thread *thread);

#endif
