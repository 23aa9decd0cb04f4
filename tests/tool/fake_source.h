/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A source (tool/source.h) whose VMs a test makes: what source_read() gives is a copy of @fake.now, after each of which @fake.step may
 * change it.
 */
#ifndef EXEUNT_TESTS_FAKE_SOURCE_H
#define EXEUNT_TESTS_FAKE_SOURCE_H

#include <string.h>
#include "source.h"
#include "util.h"

static struct {
	struct sample now;
	unsigned int reads;
	void (*step)(void);
	bool cannot_open, cannot_read;
	enum engine engine;		/* what was asked for */
	struct target target;
	unsigned int open;
} fake;

struct source { int unused; };

struct source *source_open(enum engine engine, const struct target *t, int *status)
{
	fake.engine = engine;
	fake.target = *t;
	*status = STATUS_FAILED;
	if (fake.cannot_open)
		return NULL;
	fake.open++;
	return xcalloc(1, sizeof(struct source));
}

int source_read(struct source *src, struct sample *s)
{
	if (fake.cannot_read)
		return -1;
	sample_copy(s, &fake.now);
	s->time_ns = now_ns();
	fake.reads++;
	if (fake.step)
		fake.step();
	return 0;
}

void source_close(struct source *src)
{
	fake.open--;
	free(src);
}

int engine_parse(const char *word)
{
	return !strcmp(word, "auto") ? ENGINE_AUTO : !strcmp(word, "exeunt") ? ENGINE_EXEUNT : !strcmp(word, "kvm") ? ENGINE_KVM : -1;
}

static void fake_reset(void)
{
	sample_free(&fake.now);
	memset(&fake, 0, sizeof(fake));
}

static struct vm *fake_vm(const char *engine, uint64_t id, pid_t pid, const char *name)
{
	struct vm *vm;

	fake.now.vms = xreallocarray(fake.now.vms, fake.now.nr_vms + 1, sizeof(*fake.now.vms));
	vm = &fake.now.vms[fake.now.nr_vms++];
	*vm = (struct vm){ .id = id, .pid = pid, .isa = ISA_SVM, .tick_ns = 1, .hist_shift = 4 };
	snprintf(vm->engine, sizeof(vm->engine), "%s", engine);
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	return vm;
}

static struct vcpu *fake_vcpu(struct vm *vm, uint32_t id)
{
	struct vcpu *v;

	vm->vcpus = xreallocarray(vm->vcpus, vm->nr_vcpus + 1, sizeof(*vm->vcpus));
	v = &vm->vcpus[vm->nr_vcpus++];
	memset(v, 0, sizeof(*v));
	v->id = id;
	return v;
}

/* @n exits of @ticks each. */
static void row_exits(struct exeunt_row *r, uint64_t n, uint64_t ticks, unsigned int hist_shift)
{
	unsigned __int128 square = ((unsigned __int128)r->square_hi << 64 | r->square_lo) + (unsigned __int128)ticks * ticks * n;

	r->count += n;
	r->total += n * ticks;
	r->min = ticks < r->min ? ticks : r->min;
	r->max = ticks > r->max ? ticks : r->max;
	r->square_lo = square;
	r->square_hi = square >> 64;
	r->hist[hist_bucket(ticks, hist_shift)] += n;
}

/* The same in @v's row for @key, which is made where it belongs if it is not there. */
static void fake_exits(struct vcpu *v, uint64_t key, uint64_t n, uint64_t ticks)
{
	size_t i = 0;

	while (i < v->nr_rows && v->rows[i].key < key)
		i++;
	if (i == v->nr_rows || v->rows[i].key != key) {
		v->rows = xreallocarray(v->rows, v->nr_rows + 1, sizeof(*v->rows));
		memmove(&v->rows[i + 1], &v->rows[i], (v->nr_rows - i) * sizeof(*v->rows));
		v->nr_rows++;
		row_init(&v->rows[i], key);
	}
	row_exits(&v->rows[i], n, ticks, 4);
}

#endif
