// SPDX-License-Identifier: GPL-2.0
/*
 * See bpf_tables.h. Owns reading while the kernel writes.
 */
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "bpf_proc.h"
#include "bpf_tables.h"
#include "util.h"

#define READ_ATTEMPTS	1000	/* at a row that changes all the time */

static int by_owner(const void *pa, const void *pb)
{
	const struct exits_row_key *a = pa, *b = pb;

	if (a->owner != b->owner)
		return a->owner > b->owner ? 1 : -1;
	return (a->key > b->key) - (a->key < b->key);
}

/* All rows' keys, each once though rows come meanwhile. */
static void read_keys(struct bpf_tables *t)
{
	struct exits_row_key *keys = NULL;
	size_t room = 0, n = 0;

	do {
		if (n == room) {
			room = room ? 2 * room : 64;
			keys = xreallocarray(keys, room, sizeof(*keys));
		}
	} while (!bpf_map_get_next_key(t->from->rows_fd, n ? &keys[n - 1] : NULL, &keys[n]) && ++n);
	qsort(keys, n, sizeof(*keys), by_owner);
	for (size_t i = 0; i < n; i++) {
		if (!i || by_owner(&keys[i], &keys[t->nr_keys - 1]))
			keys[t->nr_keys++] = keys[i];
	}
	t->keys = keys;
}

static int by_id(const void *pa, const void *pb)
{
	const struct bpf_thread *a = pa, *b = pb;

	return (a->state.id > b->state.id) - (a->state.id < b->state.id);
}

static void read_threads(struct bpf_tables *t)
{
	t->threads = xcalloc(EXITS_THREADS, sizeof(*t->threads));
	for (size_t i = 0; i < EXITS_THREADS; i++) {
		struct bpf_thread *thread = &t->threads[t->nr_threads];

		thread->home = &t->from->threads[i];
		thread->state.id = __atomic_load_n(&thread->home->id, __ATOMIC_ACQUIRE);
		if (!thread->state.id)
			continue;
		thread->gone = thread_is_gone(bpf_thread_process(thread), bpf_thread_tid(thread));
		thread->state = *thread->home;
		t->nr_threads++;
	}
	qsort(t->threads, t->nr_threads, sizeof(*t->threads), by_id);
}

/* Threads first: what is gone when they are read has all its rows in the table. */
void bpf_tables_read(struct bpf_tables *t, const struct bpf_exits *from)
{
	memset(t, 0, sizeof(*t));
	t->from = from;
	read_threads(t);
	read_keys(t);
}

void bpf_tables_free(struct bpf_tables *t)
{
	free(t->threads);
	free(t->keys);
}

/* The position of the first key whose owner is not below @owner. */
static size_t first_key(const struct bpf_tables *t, uint64_t owner)
{
	size_t low = 0, high = t->nr_keys;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->keys[middle].owner < owner)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct exits_row_key *bpf_thread_rows(const struct bpf_tables *t, const struct bpf_thread *thread, size_t *nr)
{
	uint64_t owner = EXITS_OWNER(bpf_thread_process(thread), bpf_thread_tid(thread), 0);
	size_t begin = first_key(t, owner);

	*nr = first_key(t, owner + EXITS_VCPU_UNKNOWN + 1) - begin;
	return &t->keys[begin];
}

static bool is_whole(const struct exeunt_row *row)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		sum += row->hist[i];
	return sum == row->count;
}

/* Reads until no exit came between: see exits_count(). A row that never rests is off by the one that did. */
bool bpf_read_row(const struct bpf_exits *from, const struct exits_row_key *key, struct exeunt_row *row)
{
	struct exeunt_row again;

	if (bpf_map_lookup_elem(from->rows_fd, key, row))
		return false;
	for (int i = 0; i < READ_ATTEMPTS; i++) {
		if (bpf_map_lookup_elem(from->rows_fd, key, &again))
			return false;
		if (!memcmp(row, &again, sizeof(again)) && is_whole(&again))
			break;
		*row = again;
	}
	row->key = key->key;
	return row->count;
}

void bpf_read_counters(const struct bpf_exits *from, const struct bpf_thread *thread, struct exeunt_counters *c)
{
	if (bpf_map_lookup_elem(from->counters_fd, &thread->state.id, c))
		memset(c, 0, sizeof(*c));
	c->preemptions += thread->state.preemptions;
	c->fpu_guest_loads += thread->state.fpu_guest_loads;
	c->rows_lost += thread->state.rows_lost;
}

/* Its number comes last: from there the place is anyone's. */
void bpf_remove_thread(const struct bpf_tables *t, const struct bpf_thread *thread)
{
	struct exits_thread *home = thread->home;
	size_t nr;
	const struct exits_row_key *keys = bpf_thread_rows(t, thread, &nr);

	for (size_t i = 0; i < nr; i++)
		bpf_map_delete_elem(t->from->rows_fd, &keys[i]);
	bpf_map_delete_elem(t->from->counters_fd, &thread->state.id);
	memset((char *)home + sizeof(home->id), 0, sizeof(*home) - sizeof(home->id));
	__atomic_store_n(&home->id, 0, __ATOMIC_RELEASE);
}
