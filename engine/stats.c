// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of the accounting: where they are, where they come from, and how they are read while they change. Owns struct vcpu_stats but
 * for its counters, which belong to whoever sees the event.
 */
#include "stats.h"

void stats_refill(struct vcpu_stats *s)
{
	while (s->nr_spare_rows < STATS_SPARES) {
		struct stats_row *r = host_zalloc(sizeof(*r));

		if (!r)
			return;
		r->min = ~0ull;
		s->spare_row[s->nr_spare_rows++] = r;
	}
	while (s->nr_spare_hists < STATS_SPARES) {
		u64 *hist = host_zalloc(EXEUNT_HIST_BUCKETS * sizeof(*hist));

		if (!hist)
			return;
		s->spare_hist[s->nr_spare_hists++] = hist;
	}
}

struct vcpu_stats *stats_create(void)
{
	struct vcpu_stats *s = host_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	stats_refill(s);
	if (s->nr_spare_rows < STATS_SPARES || s->nr_spare_hists < STATS_SPARES) {
		stats_destroy(s);
		return NULL;
	}
	s->row[0] = s->spare_row[--s->nr_spare_rows];
	s->row[0]->key = STATS_LOST_KEY;
	s->row[0]->hist = s->spare_hist[--s->nr_spare_hists];
	s->nr_rows = 1;
	s->since = STATS_NEVER;
	stats_refill(s);
	return s;
}

void stats_destroy(struct vcpu_stats *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->nr_rows; i++) {
		host_free(s->row[i]->hist);
		host_free(s->row[i]);
	}
	while (s->nr_spare_rows)
		host_free(s->spare_row[--s->nr_spare_rows]);
	while (s->nr_spare_hists)
		host_free(s->spare_hist[--s->nr_spare_hists]);
	host_free(s);
}

/* The histogram of a row that has none. What has no place counts where the first exit was: buckets must not shrink. */
static void fill_hist(const struct stats_row *r, u64 *hist)
{
	for (u32 i = 0; i < r->nr_early; i++)
		hist[r->early[i] % EXEUNT_HIST_BUCKETS]++;
	hist[r->early[0] % EXEUNT_HIST_BUCKETS] += r->unplaced;
}

/* Every key lies between its own slot and the next free one. The slot of @key, or the free one where it would go. */
static u16 *probe(struct vcpu_stats *s, u64 key)
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
	if (!s->nr_spare_rows || s->nr_rows == EXEUNT_MAX_ROWS)
		return false;
	return !is_detailed(key) || s->nr_detailed < STATS_MAX_DETAILED;
}

static struct stats_row *make(struct vcpu_stats *s, u16 *slot, u64 key)
{
	struct stats_row *r = s->spare_row[--s->nr_spare_rows];

	r->key = key;
	s->nr_detailed += is_detailed(key);
	*slot = s->nr_rows;
	s->row[s->nr_rows] = r;
	__atomic_store_n(&s->nr_rows, s->nr_rows + 1, __ATOMIC_RELEASE);
	return r;
}

/* A row for a key that has none, which would go to @slot: its own while there is room, or the one for others of its kind. */
static struct stats_row *new_row(struct vcpu_stats *s, u16 *slot, u64 key)
{
	if (may_make(s, key))
		return make(s, slot, key);
	s->counters.rows_lost++;
	key |= EXEUNT_KEY(0, 0, 0, EXEUNT_DETAIL_OTHERS);
	slot = probe(s, key);
	if (*slot || !may_make(s, key))
		return s->row[*slot];
	return make(s, slot, key);
}

/* The row of @key, made if need be. */
static struct stats_row *find(struct vcpu_stats *s, u64 key)
{
	u16 *slot = probe(s, key), *first = &s->slot[stats_slot(key)];

	if (!*slot)
		return new_row(s, slot, key);
	/* All slots between the two are taken, so both keys can still be found: the one in use now goes first. */
	swap(*slot, *first);
	return s->row[*first];
}

/* Notes an exit in @bucket of a row that has no histogram yet; gives it one when that is due. */
static void add_early(struct vcpu_stats *s, struct stats_row *r, u32 bucket)
{
	if (r->nr_early < STATS_EARLY) {
		r->early[r->nr_early++] = bucket;
	} else {
		r->unplaced++;
		s->counters.rows_lost++;
	}
	if (r->nr_early < STATS_EARLY || !s->nr_spare_hists)
		return;
	fill_hist(r, s->spare_hist[s->nr_spare_hists - 1]);
	r->hist = s->spare_hist[--s->nr_spare_hists];
}

/* The clock goes backwards where the vCPU has changed its CPU and TSCs differ: that is no time. */
static u32 far_bucket(u64 *cycles)
{
	if ((s64)*cycles >= 0)
		return EXEUNT_HIST_BUCKETS - 1;
	*cycles = 0;
	return 0;
}

/* An exit that is rare, of whatever kind: its row is new, or young, or not in its place, or the time is out of range. */
bool stats_count_rare(struct vcpu_stats *s, u64 cycles)
{
	struct stats_row *r;
	u32 bucket;

	if (s->since == STATS_NEVER)
		return true;
	bucket = cycles >> STATS_HIST_BITS ? far_bucket(&cycles) : stats_bucket(cycles);
	r = find(s, s->key);
	stats_begin_change(r);
	stats_add_time(r, cycles);
	if (r->hist)
		r->hist[bucket]++;
	else
		add_early(s, r, bucket);
	stats_end_change(r);
	return s->nr_spare_rows == STATS_SPARES && s->nr_spare_hists == STATS_SPARES;
}

void stats_read_counters(const struct vcpu_stats *s, struct exeunt_counters *c)
{
	*c = s->counters;
	for (u32 i = 0; i < EXEUNT_USER_REASONS; i++)
		c->runs += c->user_exits[i];
	/* KVM_RUN loads the guest's vector state at its beginning. */
	c->fpu_guest_loads = c->runs + s->fpu_reloads;
	for (u32 i = 0; i < 8 * 2 * EXEUNT_TARGETS; i++) {
		u64 taken = (&s->ipi_one[0][0][0])[i];

		c->ipis[i / (2 * EXEUNT_TARGETS)][i / EXEUNT_TARGETS % 2][0] += taken;
		c->ipi_targets[0][i % EXEUNT_TARGETS] += taken;
	}
}

/* The row as it is just now; garbage if it changes meanwhile, but never out of bounds. */
static void read_changing(const struct stats_row *from, struct exeunt_row *to)
{
	const u64 *hist = __atomic_load_n(&from->hist, __ATOMIC_ACQUIRE);
	struct stats_row copy;

	memcpy(&copy, from, sizeof(copy));
	*to = (struct exeunt_row){ .key = copy.key, .total = copy.total, .min = copy.min, .max = copy.max,
				   .square_lo = copy.square_lo, .square_hi = copy.square_hi };
	if (hist)
		memcpy(to->hist, hist, sizeof(to->hist));
	else
		fill_hist(&copy, to->hist);
}

void stats_read_row(const struct stats_row *from, struct exeunt_row *to)
{
	u64 begin;

	for (;;) {
		begin = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);
		if (!(begin & 1)) {
			read_changing(from, to);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__atomic_load_n(&from->seq, __ATOMIC_RELAXED) == begin)
				break;
		}
		host_relax();
	}
	for (u32 i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		to->count += to->hist[i];
}

u32 stats_read_rows(const struct vcpu_stats *s, struct exeunt_row *rows, u32 room)
{
	u32 nr = __atomic_load_n(&s->nr_rows, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < min(nr, room); i++)
		stats_read_row(s->row[i], &rows[i]);
	return nr;
}
