// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of the accounting: where they are, where they come from, and how they are read while they change. Owns struct vcpu_stats but
 * for its counters, which belong to whoever sees the event.
 */
#include "stats.h"

static struct exeunt_row *row_alloc(void)
{
	struct exeunt_row *r = host_zalloc(sizeof(*r));

	if (r)
		r->min = ~0ull;
	return r;
}

void stats_refill(struct vcpu_stats *s)
{
	while (s->nr_spare < STATS_SPARES) {
		struct exeunt_row *r = row_alloc();

		if (!r)
			return;
		s->spare[s->nr_spare++] = r;
	}
}

struct vcpu_stats *stats_create(void)
{
	struct vcpu_stats *s = host_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->row[0] = row_alloc();
	stats_refill(s);
	if (s->row[0] && s->nr_spare == STATS_SPARES) {
		s->row[0]->key = STATS_LOST_KEY;
		s->nr_rows = 1;
		return s;
	}
	stats_destroy(s);
	return NULL;
}

void stats_destroy(struct vcpu_stats *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < EXEUNT_MAX_ROWS; i++)
		host_free(s->row[i]);
	while (s->nr_spare)
		host_free(s->spare[--s->nr_spare]);
	host_free(s);
}

/* Every key lies between its own slot and the next free one. The slot of @key, or the free one where it would go. */
static u8 *probe(struct vcpu_stats *s, u64 key)
{
	u32 i = stats_slot(key);

	while (s->slot[i] && s->row[s->slot[i]]->key != key)
		i = (i + 1) % STATS_SLOTS;
	return &s->slot[i];
}

static bool is_detailed(u64 key)
{
	return EXEUNT_KEY_KIND(key) != EXEUNT_PLAIN && EXEUNT_KEY_DETAIL(key) != EXEUNT_DETAIL_OTHERS;
}

static bool may_make(const struct vcpu_stats *s, u64 key)
{
	if (!s->nr_spare || s->nr_rows == EXEUNT_MAX_ROWS)
		return false;
	return !is_detailed(key) || s->nr_detailed < STATS_MAX_DETAILED;
}

static struct exeunt_row *make(struct vcpu_stats *s, u8 *slot, u64 key)
{
	struct exeunt_row *r = s->spare[--s->nr_spare];

	r->key = key;
	s->nr_detailed += is_detailed(key);
	*slot = s->nr_rows;
	s->row[s->nr_rows] = r;
	__atomic_store_n(&s->nr_rows, s->nr_rows + 1, __ATOMIC_RELEASE);
	return r;
}

struct exeunt_row *stats_find_slow(struct vcpu_stats *s, u64 key)
{
	u8 *slot = probe(s, key), *first = &s->slot[stats_slot(key)];

	if (*slot) {
		/* All slots between the two are taken, so both keys can still be found: the one in use now goes first. */
		swap(*slot, *first);
		return s->row[*first];
	}
	if (may_make(s, key))
		return make(s, slot, key);
	s->counters.rows_lost++;
	key |= EXEUNT_KEY(0, 0, 0, EXEUNT_DETAIL_OTHERS);
	slot = probe(s, key);
	if (*slot || !may_make(s, key))
		return s->row[*slot];
	return make(s, slot, key);
}

static u64 less(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

void stats_read_counters(const struct vcpu_stats *s, struct exeunt_counters *c)
{
	*c = s->counters;
	for (u32 i = 0; i < EXEUNT_USER_REASONS; i++)
		c->runs += c->user_exits[i];
	/* KVM_RUN loads the guest's vector state at its beginning and takes it off at its end. */
	c->fpu_guest_loads = c->runs + s->fpu_reloads;
	c->fpu_host_saves = less(c->runs, s->fpu_unsaved);
	c->fpu_touched = less(c->runs + s->fpu_leaves, c->fpu_untouched);
}

void stats_read_row(const struct exeunt_row *from, struct exeunt_row *to)
{
	u64 begin;

	for (;;) {
		begin = __atomic_load_n(&from->reserved, __ATOMIC_ACQUIRE);
		if (!(begin & 1)) {
			memcpy(to, from, sizeof(*to));
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__atomic_load_n(&from->reserved, __ATOMIC_RELAXED) == begin)
				break;
		}
		host_relax();
	}
	to->reserved = 0;
}

u32 stats_read_rows(const struct vcpu_stats *s, struct exeunt_row *rows, u32 room)
{
	u32 nr = __atomic_load_n(&s->nr_rows, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < min(nr, room); i++)
		stats_read_row(s->row[i], &rows[i]);
	return nr;
}
