// SPDX-License-Identifier: GPL-2.0
/*
 * See top_data.h.
 */
#include <stdlib.h>
#include <string.h>
#include "top_data.h"
#include "util.h"

struct top_vm {
	char engine[8];
	uint64_t id;
	uint64_t since_ns;		/* what @total says of it happened from here on */
	uint64_t ended_ns;		/* when it was seen to have ended; 0: it lives */
	bool forgotten;
};

/* How often a row of a sample grew, by the second. */
struct trend {
	struct part part;
	float rates[TREND_TICKS];	/* a ring: of sample n at n % TREND_TICKS */
};

/* --- Parts --- */

bool part_is(const struct part *a, const struct part *b)
{
	return !strcmp(a->engine, b->engine) && a->vm == b->vm && a->all_vcpus == b->all_vcpus && a->vcpu == b->vcpu &&
	       a->key == b->key && a->key_mask == b->key_mask;
}

static bool part_has(const struct part *p, const char *engine, uint64_t vm, uint32_t vcpu, uint64_t key)
{
	return p->vm == vm && !strcmp(p->engine, engine) && (p->all_vcpus || p->vcpu == vcpu) && (key & p->key_mask) == p->key;
}

static const struct vm *find_vm(const struct sample *s, const char *engine, uint64_t id)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (s->vms[i].id == id && !strcmp(s->vms[i].engine, engine))
			return &s->vms[i];
	}
	return NULL;
}

const struct vm *part_vm(const struct sample *s, const struct part *p)
{
	return find_vm(s, p->engine, p->vm);
}

static struct top_vm *find_top_vm(const struct top_data *d, const char *engine, uint64_t id)
{
	for (size_t i = 0; i < d->nr_vms; i++) {
		if (d->vms[i].id == id && !strcmp(d->vms[i].engine, engine))
			return &d->vms[i];
	}
	return NULL;
}

/* --- VMs that come and go --- */

static void vm_free(struct vm *vm)
{
	struct sample one = { .nr_vms = 1, .vms = xcalloc(1, sizeof(*vm)) };

	one.vms[0] = *vm;
	sample_free(&one);
}

static void remove_vm(struct sample *s, size_t i)
{
	vm_free(&s->vms[i]);
	memmove(&s->vms[i], &s->vms[i + 1], (s->nr_vms - i - 1) * sizeof(*s->vms));
	s->nr_vms--;
}

static void remove_forgotten(const struct top_data *d, struct sample *s)
{
	for (size_t i = s->nr_vms; i-- > 0;) {
		const struct top_vm *vm = find_top_vm(d, s->vms[i].engine, s->vms[i].id);

		if (vm && vm->forgotten)
			remove_vm(s, i);
	}
}

static int by_engine_and_id(const void *pa, const void *pb)
{
	const struct vm *a = pa, *b = pb;
	int engines = strcmp(a->engine, b->engine);

	return engines ? engines : (a->id > b->id) - (a->id < b->id);
}

/* A source need not remember a VM that has ended: what the last sample had of it goes into @s. */
static void keep_vanished(struct top_data *d, struct sample *s)
{
	for (size_t i = d->now.nr_vms; i-- > 0;) {
		struct vm *vm = &d->now.vms[i];
		struct sample one = { .nr_vms = 1, .vms = vm }, copy;

		if (find_vm(s, vm->engine, vm->id))
			continue;
		sample_copy(&copy, &one);
		s->vms = xreallocarray(s->vms, s->nr_vms + 1, sizeof(*s->vms));
		s->vms[s->nr_vms] = copy.vms[0];
		s->vms[s->nr_vms++].ended = true;
		free(copy.vms);
	}
	if (s->nr_vms)
		qsort(s->vms, s->nr_vms, sizeof(*s->vms), by_engine_and_id);
}

static struct top_vm *new_top_vm(struct top_data *d, const struct vm *vm, uint64_t since_ns)
{
	struct top_vm *new;

	d->vms = xreallocarray(d->vms, d->nr_vms + 1, sizeof(*d->vms));
	new = &d->vms[d->nr_vms++];
	*new = (struct top_vm){ .id = vm->id, .since_ns = since_ns };
	memcpy(new->engine, vm->engine, sizeof(new->engine));
	return new;
}

/* A VM that was not there before has done all that it has done since the sample before. */
static void note_vms(struct top_data *d, const struct sample *s)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		struct top_vm *vm = find_top_vm(d, s->vms[i].engine, s->vms[i].id);

		if (!vm)
			vm = new_top_vm(d, &s->vms[i], d->samples ? d->now.time_ns : s->time_ns);
		if (s->vms[i].ended && !vm->ended_ns)
			vm->ended_ns = s->time_ns;
	}
}

void top_data_forget(struct top_data *d, uint64_t now_ns)
{
	for (size_t i = 0; i < d->nr_vms; i++) {
		struct top_vm *vm = &d->vms[i];

		if (vm->ended_ns && !vm->forgotten && now_ns > vm->ended_ns + ENDED_VISIBLE_NS)
			vm->forgotten = true;
	}
	remove_forgotten(d, &d->now);
	remove_forgotten(d, &d->interval);
	remove_forgotten(d, &d->total);
}

/* --- Trends --- */

static struct part row_part(const struct vm *vm, const struct vcpu *v, const struct exeunt_row *r)
{
	struct part p = { .vm = vm->id, .vcpu = v->id, .key = r->key, .key_mask = ~0ull };

	memcpy(p.engine, vm->engine, sizeof(p.engine));
	return p;
}

static int part_order(const struct part *a, const struct part *b)
{
	int engines = strcmp(a->engine, b->engine);

	if (engines)
		return engines;
	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	if (a->vcpu != b->vcpu)
		return a->vcpu < b->vcpu ? -1 : 1;
	return (a->key > b->key) - (a->key < b->key);
}

static int by_part(const void *pa, const void *pb)
{
	return part_order(&(*(struct trend *const *)pa)->part, &(*(struct trend *const *)pb)->part);
}

static struct trend *find_trend(const struct top_data *d, const struct part *p)
{
	size_t low = 0, high = d->sorted_trends;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = part_order(&d->trends[middle]->part, p);

		if (!order)
			return d->trends[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void drop_trends(struct top_data *d)
{
	size_t nr = 0;

	for (size_t i = 0; i < d->nr_trends; i++) {
		const struct part *p = &d->trends[i]->part;

		if (find_vm(&d->now, p->engine, p->vm))
			d->trends[nr++] = d->trends[i];
		else
			free(d->trends[i]);
	}
	d->nr_trends = d->sorted_trends = nr;
}

static void add_trend(struct top_data *d, const struct part *p)
{
	if (d->nr_trends == d->trends_room) {
		d->trends_room = d->trends_room ? 2 * d->trends_room : 64;
		d->trends = xreallocarray(d->trends, d->trends_room, sizeof(*d->trends));
	}
	d->trends[d->nr_trends] = xcalloc(1, sizeof(**d->trends));
	d->trends[d->nr_trends++]->part = *p;
}

static void each_interval_row(struct top_data *d, void (*visit)(struct top_data *d, const struct part *p, const struct exeunt_row *r))
{
	for (size_t i = 0; i < d->interval.nr_vms; i++) {
		const struct vm *vm = &d->interval.vms[i];

		for (size_t j = 0; j < vm->nr_vcpus; j++) {
			for (size_t k = 0; k < vm->vcpus[j].nr_rows; k++) {
				struct part p = row_part(vm, &vm->vcpus[j], &vm->vcpus[j].rows[k]);

				visit(d, &p, &vm->vcpus[j].rows[k]);
			}
		}
	}
}

static void make_trend(struct top_data *d, const struct part *p, const struct exeunt_row *r)
{
	if (!find_trend(d, p))
		add_trend(d, p);
}

static void set_rate(struct top_data *d, const struct part *p, const struct exeunt_row *r)
{
	find_trend(d, p)->rates[d->samples % TREND_TICKS] = r->count * 1e9 / d->interval_ns;
}

static void note_trends(struct top_data *d)
{
	drop_trends(d);
	d->tick_ns[d->samples % (TREND_TICKS + 1)] = d->now.time_ns;
	for (size_t i = 0; i < d->nr_trends; i++)
		d->trends[i]->rates[d->samples % TREND_TICKS] = 0;
	each_interval_row(d, make_trend);
	if (d->nr_trends > d->sorted_trends)
		qsort(d->trends, d->nr_trends, sizeof(*d->trends), by_part);
	d->sorted_trends = d->nr_trends;
	each_interval_row(d, set_rate);
}

/* Each sample but the first ends an interval. */
static unsigned int trend_length(const struct top_data *d)
{
	unsigned int intervals = d->samples ? d->samples - 1 : 0;

	return intervals < TREND_TICKS ? intervals : TREND_TICKS;
}

unsigned int top_data_trend(const struct top_data *d, const struct part *p, float rates[TREND_TICKS])
{
	unsigned int nr = trend_length(d);

	memset(rates, 0, TREND_TICKS * sizeof(*rates));
	for (size_t i = 0; i < d->nr_trends; i++) {
		const struct trend *t = d->trends[i];

		if (!part_has(p, t->part.engine, t->part.vm, t->part.vcpu, t->part.key))
			continue;
		for (unsigned int j = 0; j < nr; j++)
			rates[j] += t->rates[(d->samples - nr + j) % TREND_TICKS];
	}
	return nr;
}

double top_data_trend_seconds(const struct top_data *d)
{
	unsigned int nr = trend_length(d);

	return nr ? (d->now.time_ns - d->tick_ns[(d->samples - nr - 1) % (TREND_TICKS + 1)]) / 1e9 : 0;
}

/* --- Samples --- */

static void set_differences(struct top_data *d, struct sample *s)
{
	sample_free(&d->interval);
	sample_free(&d->total);
	sample_diff(&d->interval, s, d->samples ? &d->now : s);
	sample_diff(&d->total, s, d->samples ? &d->first : s);
	d->interval_ns = d->samples && s->time_ns > d->now.time_ns ? s->time_ns - d->now.time_ns : 1;
}

void top_data_add(struct top_data *d, struct sample *s)
{
	remove_forgotten(d, s);
	keep_vanished(d, s);
	note_vms(d, s);
	set_differences(d, s);
	if (!d->samples) {
		d->first_ns = s->time_ns;
		sample_copy(&d->first, s);
	}
	sample_free(&d->now);
	d->now = *s;
	memset(s, 0, sizeof(*s));
	note_trends(d);
	d->samples++;
}

void top_data_free(struct top_data *d)
{
	sample_free(&d->first);
	sample_free(&d->now);
	sample_free(&d->interval);
	sample_free(&d->total);
	free(d->vms);
	for (size_t i = 0; i < d->nr_trends; i++)
		free(d->trends[i]);
	free(d->trends);
	memset(d, 0, sizeof(*d));
}

/* --- Figures --- */

static double span_seconds(const struct top_data *d, const struct part *p, bool cumulative)
{
	const struct top_vm *vm = find_top_vm(d, p->engine, p->vm);
	uint64_t end;

	if (!cumulative || !vm)
		return d->interval_ns / 1e9;
	end = vm->ended_ns ? vm->ended_ns : d->now.time_ns;
	return end > vm->since_ns ? (end - vm->since_ns) / 1e9 : 0;
}

static void figures_add_vcpu(struct figures *f, const struct part *p, const struct vm *vm, const struct vcpu *v)
{
	for (size_t i = 0; i < v->nr_rows; i++) {
		const struct exeunt_row *r = &v->rows[i];

		if (!part_has(p, vm->engine, vm->id, v->id, r->key))
			continue;
		row_add(&f->sum, r);
		if (EXEUNT_KEY_OUTCOME(r->key) == EXEUNT_USER)
			f->user += r->count;
	}
	if (p->all_vcpus || p->vcpu == v->id)
		f->halt_wait_ns += v->counters.halt_wait_ns;
}

void top_data_figures(const struct top_data *d, const struct part *p, bool cumulative, struct figures *f)
{
	const struct vm *vm = part_vm(cumulative ? &d->total : &d->interval, p);

	memset(f, 0, sizeof(*f));
	row_init(&f->sum, p->key);
	f->seconds = span_seconds(d, p, cumulative);
	for (size_t i = 0; vm && i < vm->nr_vcpus; i++)
		figures_add_vcpu(f, p, vm, &vm->vcpus[i]);
}
