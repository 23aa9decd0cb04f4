// SPDX-License-Identifier: GPL-2.0
/*
 * A recording in memory, see recording.h: its intervals, joined as they become too many, and its end. recording_json.c writes it,
 * recording_parse.c reads it.
 */
#include <stdlib.h>
#include <string.h>
#include "recording.h"
#include "util.h"

static int vcpu_order(const struct interval_vcpu *a, const struct interval_vcpu *b)
{
	int r = strcmp(a->engine, b->engine);

	if (r)
		return r;
	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	return (a->vcpu > b->vcpu) - (a->vcpu < b->vcpu);
}

bool interval_seek(const struct interval_vcpu **v, const struct interval_vcpu *end, const struct vm *vm, uint32_t vcpu)
{
	struct interval_vcpu wanted = { .vm = vm->id, .vcpu = vcpu };

	memcpy(wanted.engine, vm->engine, sizeof(wanted.engine));
	while (*v < end && vcpu_order(*v, &wanted) < 0)
		++*v;
	return *v < end && !vcpu_order(*v, &wanted);
}

/* Adds the rows of @b to @a. Both are sorted. */
static void join_rows(struct interval_vcpu *a, const struct interval_vcpu *b)
{
	struct interval_row *rows = xreallocarray(NULL, a->nr_rows + b->nr_rows, sizeof(*rows));
	size_t i = 0, j = 0, n = 0;

	while (i < a->nr_rows || j < b->nr_rows) {
		if (j == b->nr_rows || (i < a->nr_rows && a->rows[i].key < b->rows[j].key)) {
			rows[n++] = a->rows[i++];
		} else if (i == a->nr_rows || b->rows[j].key < a->rows[i].key) {
			rows[n++] = b->rows[j++];
		} else {
			rows[n] = a->rows[i++];
			rows[n].count += b->rows[j].count;
			rows[n++].ticks += b->rows[j++].ticks;
		}
	}
	free(a->rows);
	a->rows = xreallocarray(rows, n, sizeof(*rows));
	a->nr_rows = n;
}

static size_t interval_rows(const struct interval *in)
{
	size_t n = 0;

	for (size_t i = 0; i < in->nr_vcpus; i++)
		n += in->vcpus[i].nr_rows;
	return n;
}

/* Makes @a last until @b's end. @b is no interval any more. */
static void join(struct interval *a, struct interval *b)
{
	struct interval_vcpu *vcpus = xreallocarray(NULL, a->nr_vcpus + b->nr_vcpus, sizeof(*vcpus));
	size_t i = 0, j = 0, n = 0;

	while (i < a->nr_vcpus || j < b->nr_vcpus) {
		int order = i == a->nr_vcpus ? 1 : j == b->nr_vcpus ? -1 : vcpu_order(&a->vcpus[i], &b->vcpus[j]);

		vcpus[n++] = order <= 0 ? a->vcpus[i++] : b->vcpus[j++];
		if (!order) {
			join_rows(&vcpus[n - 1], &b->vcpus[j]);
			free(b->vcpus[j++].rows);
		}
	}
	free(a->vcpus);
	free(b->vcpus);
	a->vcpus = vcpus;
	a->nr_vcpus = n;
	a->end_ns = b->end_ns;
}

static void halve(struct recording *r)
{
	size_t n = 0;

	r->nr_interval_rows = 0;
	for (size_t i = 0; i < r->nr_intervals; i += 2) {
		if (i + 1 < r->nr_intervals)
			join(&r->intervals[i], &r->intervals[i + 1]);
		r->nr_interval_rows += interval_rows(&r->intervals[i]);
		r->intervals[n++] = r->intervals[i];
	}
	r->nr_intervals = n;
	if (r->interval_ms <= RECORDING_MAX_INTERVAL_MS / 2)
		r->interval_ms *= 2;
}

void recording_coarsen(struct recording *r, size_t intervals, size_t rows)
{
	while (r->nr_intervals > 1 && (r->nr_intervals > intervals || r->nr_interval_rows > rows))
		halve(r);
}

static void add_vcpu(struct interval *in, const struct vm *vm, const struct vcpu *vcpu)
{
	struct interval_vcpu *v;
	size_t n = 0;

	for (size_t i = 0; i < vcpu->nr_rows; i++)
		n += vcpu->rows[i].count != 0;
	if (!n)
		return;
	in->vcpus = xreallocarray(in->vcpus, in->nr_vcpus + 1, sizeof(*in->vcpus));
	v = &in->vcpus[in->nr_vcpus++];
	*v = (struct interval_vcpu){ .vm = vm->id, .vcpu = vcpu->id, .rows = xreallocarray(NULL, n, sizeof(*v->rows)) };
	memcpy(v->engine, vm->engine, sizeof(v->engine));
	for (const struct exeunt_row *row = vcpu->rows; row < vcpu->rows + vcpu->nr_rows; row++)
		if (row->count)
			v->rows[v->nr_rows++] = (struct interval_row){ row->key, row->count, row->total };
}

/* Where intervals were joined, the recording is coarser than the looks at the source are. */
static bool belongs_to_last(const struct recording *r, const struct interval *in)
{
	const struct interval *last = &r->intervals[r->nr_intervals - 1];
	uint64_t length = last->end_ns - last->begin_ns, more = in->end_ns - in->begin_ns, wanted = r->interval_ms * 1000000ull;

	return more < wanted / 4 * 3 && length + more / 2 <= wanted;
}

void recording_add_interval(struct recording *r, uint64_t begin_ns, uint64_t end_ns, const struct sample *delta)
{
	struct interval in = { .begin_ns = begin_ns, .end_ns = end_ns };

	for (const struct vm *vm = delta->vms; vm < delta->vms + delta->nr_vms; vm++)
		for (const struct vcpu *vcpu = vm->vcpus; vcpu < vm->vcpus + vm->nr_vcpus; vcpu++)
			add_vcpu(&in, vm, vcpu);
	if (r->nr_intervals && belongs_to_last(r, &in)) {
		struct interval *last = &r->intervals[r->nr_intervals - 1];

		r->nr_interval_rows -= interval_rows(last);
		join(last, &in);
		r->nr_interval_rows += interval_rows(last);
	} else {
		if (r->nr_intervals >= r->intervals_room) {
			r->intervals_room = 2 * r->nr_intervals + 16;
			r->intervals = xreallocarray(r->intervals, r->intervals_room, sizeof(*r->intervals));
		}
		r->intervals[r->nr_intervals++] = in;
		r->nr_interval_rows += interval_rows(&in);
	}
	recording_coarsen(r, RECORDING_MAX_INTERVALS, RECORDING_MAX_INTERVAL_ROWS);
}

static void set_rows(struct vcpu *vcpu, const struct interval_vcpu *v)
{
	vcpu->nr_rows = v->nr_rows;
	vcpu->rows = xcalloc(v->nr_rows, sizeof(*vcpu->rows));
	for (size_t i = 0; i < v->nr_rows; i++) {
		vcpu->rows[i].key = v->rows[i].key;
		vcpu->rows[i].count = v->rows[i].count;
		vcpu->rows[i].total = v->rows[i].ticks;
	}
}

void recording_interval(const struct recording *r, size_t i, struct sample *delta)
{
	const struct interval *in = &r->intervals[i];
	const struct interval_vcpu *v = in->vcpus, *end = in->vcpus + in->nr_vcpus;

	*delta = (struct sample){
		.time_ns = in->end_ns,
		.nr_vms = r->total.nr_vms,
		.vms = xcalloc(r->total.nr_vms, sizeof(*delta->vms)),
	};
	for (size_t m = 0; m < delta->nr_vms; m++) {
		struct vm *vm = &delta->vms[m];

		*vm = r->total.vms[m];
		vm->vcpus = xcalloc(vm->nr_vcpus, sizeof(*vm->vcpus));
		for (size_t c = 0; c < vm->nr_vcpus; c++) {
			vm->vcpus[c].id = r->total.vms[m].vcpus[c].id;
			vm->vcpus[c].tid = r->total.vms[m].vcpus[c].tid;
			if (interval_seek(&v, end, vm, vm->vcpus[c].id))
				set_rows(&vm->vcpus[c], v);
		}
	}
}

static bool has_vcpu(const struct sample *s, const struct interval_vcpu *v)
{
	for (const struct vm *vm = s->vms; vm < s->vms + s->nr_vms; vm++) {
		if (vm->id != v->vm || strcmp(vm->engine, v->engine))
			continue;
		for (size_t c = 0; c < vm->nr_vcpus; c++)
			if (vm->vcpus[c].id == v->vcpu)
				return true;
	}
	return false;
}

static void select_in_interval(struct interval *in, const struct sample *total)
{
	size_t n = 0;

	for (size_t i = 0; i < in->nr_vcpus; i++) {
		if (has_vcpu(total, &in->vcpus[i]))
			in->vcpus[n++] = in->vcpus[i];
		else
			free(in->vcpus[i].rows);
	}
	in->nr_vcpus = n;
}

static void select_engine(struct sample *s, const char *engine)
{
	size_t n = 0;

	for (size_t m = 0; m < s->nr_vms; m++) {
		if (!strcmp(s->vms[m].engine, engine)) {
			s->vms[n++] = s->vms[m];
			continue;
		}
		for (size_t c = 0; c < s->vms[m].nr_vcpus; c++)
			free(s->vms[m].vcpus[c].rows);
		free(s->vms[m].vcpus);
	}
	s->nr_vms = n;
}

void recording_select(struct recording *r, const struct target *t, const char *engine)
{
	sample_select(&r->total, t);
	if (engine)
		select_engine(&r->total, engine);
	r->nr_interval_rows = 0;
	for (size_t i = 0; i < r->nr_intervals; i++) {
		select_in_interval(&r->intervals[i], &r->total);
		r->nr_interval_rows += interval_rows(&r->intervals[i]);
	}
}

void recording_free(struct recording *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nr_intervals; i++) {
		for (size_t c = 0; c < r->intervals[i].nr_vcpus; c++)
			free(r->intervals[i].vcpus[c].rows);
		free(r->intervals[i].vcpus);
	}
	free(r->intervals);
	sample_free(&r->total);
	free(r->hostname);
	free(r->kernel);
	free(r->tool_version);
	free(r->command);
	free(r);
}
