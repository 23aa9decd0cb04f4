// SPDX-License-Identifier: GPL-2.0
/*
 * See model.h. Owns the arithmetic: of rows, of histograms, of differences, and the tables made of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "names.h"
#include "util.h"

#define NR_COUNTERS	(sizeof(struct exeunt_counters) / sizeof(uint64_t))
_Static_assert(sizeof(struct exeunt_counters) == NR_COUNTERS * sizeof(uint64_t), "counters are 64-bit numbers, all of them");

/* --- Histograms: see struct exeunt_row. --- */

#define LINEAR_BUCKETS	16	/* one unit each */
#define OCTAVE_BUCKETS	8	/* of the octaves above */

unsigned int hist_bucket(uint64_t ticks, unsigned int hist_shift)
{
	uint64_t units = ticks >> hist_shift;
	uint32_t x = units > UINT32_MAX ? UINT32_MAX : units;
	unsigned int octave = 31 - __builtin_clz(x | OCTAVE_BUCKETS) - 3;

	return octave * OCTAVE_BUCKETS + (x >> octave);
}

uint64_t hist_low(unsigned int bucket, unsigned int hist_shift)
{
	unsigned int octave;

	if (bucket < LINEAR_BUCKETS)
		return (uint64_t)bucket << hist_shift;
	octave = bucket / OCTAVE_BUCKETS - 1;
	return (uint64_t)(OCTAVE_BUCKETS + bucket % OCTAVE_BUCKETS) << (octave + hist_shift);
}

/* The longest time that @bucket counts in row @r: the last bucket has no bound of its own. */
static uint64_t hist_high(const struct exeunt_row *r, unsigned int bucket, unsigned int hist_shift)
{
	if (bucket == EXEUNT_HIST_BUCKETS - 1)
		return r->max;
	return hist_low(bucket + 1, hist_shift) - 1;
}

/* --- Rows --- */

static unsigned __int128 row_square(const struct exeunt_row *r)
{
	return (unsigned __int128)r->square_hi << 64 | r->square_lo;
}

static void row_set_square(struct exeunt_row *r, unsigned __int128 square)
{
	r->square_lo = square;
	r->square_hi = square >> 64;
}

void row_init(struct exeunt_row *r, uint64_t key)
{
	memset(r, 0, sizeof(*r));
	r->key = key;
	r->min = UINT64_MAX;
}

void row_add(struct exeunt_row *a, const struct exeunt_row *b)
{
	a->count += b->count;
	a->total += b->total;
	if (b->min < a->min)
		a->min = b->min;
	if (b->max > a->max)
		a->max = b->max;
	row_set_square(a, row_square(a) + row_square(b));
	for (size_t i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		a->hist[i] += b->hist[i];
}

double row_mean(const struct exeunt_row *r)
{
	return r->count ? (double)r->total / r->count : 0;
}

double row_variance(const struct exeunt_row *r)
{
	long double n = r->count, total = r->total, deviations;

	if (r->count < 2)
		return 0;
	deviations = (long double)row_square(r) - total * total / n;
	return deviations > 0 ? deviations / (n - 1) : 0;
}

double row_error(const struct exeunt_row *r)
{
	double mean = row_mean(r);

	return r->count < 2 || mean <= 0 ? 0 : sqrt(row_variance(r) / r->count) / mean;
}

double row_percentile(const struct exeunt_row *r, unsigned int hist_shift, double p)
{
	uint64_t all = 0, seen = 0;
	unsigned int i;
	double rank, middle;

	for (i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		all += r->hist[i];
	if (!all)
		return 0;
	rank = fmin(fmax(ceil(p * all), 1), all);
	for (i = 0; i < EXEUNT_HIST_BUCKETS - 1; i++) {
		seen += r->hist[i];
		if (seen >= rank)
			break;
	}
	middle = (hist_low(i, hist_shift) + (double)hist_high(r, i, hist_shift)) / 2;
	return fmax(fmin(middle, r->max), r->min);
}

/* --- Counters --- */

void counters_add(struct exeunt_counters *a, const struct exeunt_counters *b)
{
	uint64_t *to = (uint64_t *)a;
	const uint64_t *from = (const uint64_t *)b;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		to[i] += from[i];
}

/* A cumulative number that went back, because a vCPU was replaced by another with its number, counts as one that stood still. */
static uint64_t grown(uint64_t later, uint64_t earlier)
{
	return later > earlier ? later - earlier : 0;
}

static void counters_diff(struct exeunt_counters *a, const struct exeunt_counters *earlier)
{
	uint64_t *to = (uint64_t *)a;
	const uint64_t *from = (const uint64_t *)earlier;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		to[i] = grown(to[i], from[i]);
}

/* --- Samples --- */

static void vm_free(struct vm *vm)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		free(vm->vcpus[i].rows);
	free(vm->vcpus);
}

void sample_free(struct sample *s)
{
	for (size_t i = 0; i < s->nr_vms; i++)
		vm_free(&s->vms[i]);
	free(s->vms);
	memset(s, 0, sizeof(*s));
}

static void *copy_array(const void *from, size_t n, size_t size)
{
	void *to = xcalloc(n, size);

	if (n)
		memcpy(to, from, n * size);
	return to;
}

void sample_copy(struct sample *to, const struct sample *from)
{
	*to = *from;
	to->vms = copy_array(from->vms, from->nr_vms, sizeof(*from->vms));
	for (size_t i = 0; i < to->nr_vms; i++) {
		struct vm *vm = &to->vms[i];

		vm->vcpus = copy_array(vm->vcpus, vm->nr_vcpus, sizeof(*vm->vcpus));
		for (size_t j = 0; j < vm->nr_vcpus; j++)
			vm->vcpus[j].rows = copy_array(vm->vcpus[j].rows, vm->vcpus[j].nr_rows, sizeof(*vm->vcpus[j].rows));
	}
}

bool target_means(const struct target *t, const struct vm *vm)
{
	return (!t->pid || vm->pid == t->pid) && (!t->vm || !strcmp(vm->name, t->vm));
}

static void vm_keep_vcpu(struct vm *vm, uint32_t id)
{
	size_t nr = 0;

	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].id == id)
			vm->vcpus[nr++] = vm->vcpus[i];
		else
			free(vm->vcpus[i].rows);
	}
	vm->nr_vcpus = nr;
}

void sample_select(struct sample *s, const struct target *t)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->nr_vms; i++) {
		if (!target_means(t, &s->vms[i])) {
			vm_free(&s->vms[i]);
			continue;
		}
		if (t->one_vcpu)
			vm_keep_vcpu(&s->vms[i], t->vcpu);
		s->vms[nr++] = s->vms[i];
	}
	s->nr_vms = nr;
}

/* --- Differences, in place: @r becomes what it grew by since @earlier. --- */

/* min and max of what is in the histogram @r, a difference whose min and max are still those of the whole time. */
static void row_bound(struct exeunt_row *r, unsigned int hist_shift)
{
	unsigned int low = 0, high = EXEUNT_HIST_BUCKETS;

	while (low < EXEUNT_HIST_BUCKETS && !r->hist[low])
		low++;
	if (low == EXEUNT_HIST_BUCKETS)
		return;
	while (!r->hist[high - 1])
		high--;
	if (hist_low(low, hist_shift) > r->min)
		r->min = hist_low(low, hist_shift);
	if (hist_high(r, high - 1, hist_shift) < r->max)
		r->max = hist_high(r, high - 1, hist_shift);
}

static void row_diff(struct exeunt_row *r, const struct exeunt_row *earlier, unsigned int hist_shift)
{
	unsigned __int128 square = row_square(r), before = row_square(earlier);

	if (!earlier->count)
		return;
	r->count = grown(r->count, earlier->count);
	r->total = grown(r->total, earlier->total);
	row_set_square(r, square > before ? square - before : 0);
	for (size_t i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		r->hist[i] = grown(r->hist[i], earlier->hist[i]);
	row_bound(r, hist_shift);
}

/* Both are sorted. Rows that did not grow go. */
static void vcpu_diff(struct vcpu *v, const struct vcpu *earlier, unsigned int hist_shift)
{
	size_t nr = 0, j = 0;

	for (size_t i = 0; i < v->nr_rows; i++) {
		struct exeunt_row *r = &v->rows[i];

		while (j < earlier->nr_rows && earlier->rows[j].key < r->key)
			j++;
		if (j < earlier->nr_rows && earlier->rows[j].key == r->key)
			row_diff(r, &earlier->rows[j], hist_shift);
		if (r->count)
			v->rows[nr++] = *r;
	}
	v->nr_rows = nr;
	counters_diff(&v->counters, &earlier->counters);
}

/* What @vm was in @earlier: one without exits if it was not there. */
static const struct vm *earlier_vm(const struct sample *earlier, const struct vm *vm)
{
	static const struct vm new_vm;

	for (size_t i = 0; i < earlier->nr_vms; i++) {
		if (earlier->vms[i].id == vm->id && !strcmp(earlier->vms[i].engine, vm->engine))
			return &earlier->vms[i];
	}
	return &new_vm;
}

static const struct vcpu *earlier_vcpu(const struct vm *earlier, uint32_t id)
{
	static const struct vcpu new_vcpu;

	for (size_t i = 0; i < earlier->nr_vcpus; i++) {
		if (earlier->vcpus[i].id == id)
			return &earlier->vcpus[i];
	}
	return &new_vcpu;
}

void sample_diff(struct sample *out, const struct sample *later, const struct sample *earlier)
{
	sample_copy(out, later);
	for (size_t i = 0; i < out->nr_vms; i++) {
		struct vm *vm = &out->vms[i];
		const struct vm *before = earlier_vm(earlier, vm);

		vm->unaccounted = grown(vm->unaccounted, before->unaccounted);
		for (size_t j = 0; j < vm->nr_vcpus; j++)
			vcpu_diff(&vm->vcpus[j], earlier_vcpu(before, vm->vcpus[j].id), vm->hist_shift);
	}
}

/* --- Tables --- */

/* Does @view show exits of @kind? */
static bool view_shows(enum view view, unsigned int kind)
{
	switch (view) {
	case VIEW_REASON:
		return true;
	case VIEW_MSR:
		return kind == EXEUNT_MSR_READ || kind == EXEUNT_MSR_WRITE;
	case VIEW_PIO:
		return kind == EXEUNT_PIO_IN || kind == EXEUNT_PIO_OUT;
	case VIEW_MMIO:
		return kind == EXEUNT_MMIO_READ || kind == EXEUNT_MMIO_WRITE;
	case VIEW_HYPERCALL:
		return kind == EXEUNT_HYPERCALL;
	}
	return false;
}

static uint64_t view_key(enum view view, uint64_t key)
{
	if (view == VIEW_REASON)
		return EXEUNT_KEY_REASON(key);
	return EXEUNT_KEY(0, EXEUNT_KEY_KIND(key), 0, EXEUNT_KEY_DETAIL(key));
}

static struct table_row *table_find(struct table *t, enum view view, uint64_t key, size_t *room)
{
	struct table_row *row;
	char buf[sizeof(row->name)];

	for (size_t i = 0; i < t->nr; i++) {
		if (t->rows[i].sum.key == key)
			return &t->rows[i];
	}
	if (t->nr == *room) {
		*room = *room ? 2 * *room : 32;
		t->rows = xreallocarray(t->rows, *room, sizeof(*t->rows));
	}
	row = &t->rows[t->nr++];
	memset(row, 0, sizeof(*row));
	row_init(&row->sum, key);
	snprintf(row->name, sizeof(row->name), "%s", view == VIEW_REASON ? exit_name(t->isa, key, buf, sizeof(buf)) :
						     detail_name(t->isa, key, buf, sizeof(buf)));
	return row;
}

static void table_add(struct table *t, enum view view, const struct exeunt_row *r, size_t *room)
{
	unsigned int outcome = EXEUNT_KEY_OUTCOME(r->key);
	struct table_row *row;

	row_add(&t->all, r);
	if (!r->count || !view_shows(view, EXEUNT_KEY_KIND(r->key)))
		return;
	row = table_find(t, view, view_key(view, r->key), room);
	row_add(&row->sum, r);
	if (outcome < EXEUNT_OUTCOMES)
		row->outcomes[outcome] += r->count;
}

static int by_count(const void *pa, const void *pb)
{
	const struct exeunt_row *a = &((const struct table_row *)pa)->sum, *b = &((const struct table_row *)pb)->sum;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return (a->key > b->key) - (a->key < b->key);
}

void table_make(struct table *t, const struct sample *s, const char *engine, enum view view)
{
	size_t room = 0;

	memset(t, 0, sizeof(*t));
	snprintf(t->engine, sizeof(t->engine), "%s", engine);
	row_init(&t->all, 0);
	for (size_t i = 0; i < s->nr_vms; i++) {
		const struct vm *vm = &s->vms[i];

		if (strcmp(vm->engine, engine))
			continue;
		t->isa = vm->isa;
		t->tick_ns = vm->tick_ns;
		t->hist_shift = vm->hist_shift;
		for (size_t j = 0; j < vm->nr_vcpus; j++) {
			counters_add(&t->counters, &vm->vcpus[j].counters);
			for (size_t k = 0; k < vm->vcpus[j].nr_rows; k++)
				table_add(t, view, &vm->vcpus[j].rows[k], &room);
		}
	}
	if (t->nr)
		qsort(t->rows, t->nr, sizeof(*t->rows), by_count);
}

void table_free(struct table *t)
{
	free(t->rows);
	memset(t, 0, sizeof(*t));
}
