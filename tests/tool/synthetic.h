/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recordings made up for tests: consistent in themselves, as a source would give them, and the same for the same seed.
 */
#ifndef EXEUNT_TESTS_SYNTHETIC_H
#define EXEUNT_TESTS_SYNTHETIC_H

#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "recording.h"
#include "util.h"

#define SVM_EXIT_INTR	0x60u
#define SVM_EXIT_CPUID	0x72u
#define SVM_EXIT_HLT	0x78u
#define SVM_EXIT_IOIO	0x7bu
#define SVM_EXIT_MSR	0x7cu
#define SVM_EXIT_VMMCALL 0x81u
#define SVM_EXIT_NPF	0x400u

struct synthetic_row {
	uint64_t key;
	uint64_t ticks;		/* the shortest exit's */
	unsigned int spread;	/* times are up to 2^spread times that */
	unsigned int weight;
};

static const struct synthetic_row synthetic_rows[] = {
	{ EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_FAST, 0x80b), 900, 3, 400 },
	{ EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_FAST, 0x830), 1500, 4, 260 },
	{ EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_KERNEL, 0x838), 1900, 4, 220 },
	{ EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_READ, EXEUNT_KERNEL, 0x10), 1700, 3, 20 },
	{ EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_READ, EXEUNT_USER, EXEUNT_DETAIL_OTHERS), 9000, 4, 2 },
	{ EXEUNT_KEY(SVM_EXIT_HLT, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 20000, 12, 150 },
	{ EXEUNT_KEY(SVM_EXIT_INTR, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 1200, 6, 90 },
	{ EXEUNT_KEY(SVM_EXIT_CPUID, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 1200, 2, 30 },
	{ EXEUNT_KEY(SVM_EXIT_NPF, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 4000, 7, 60 },
	{ EXEUNT_KEY(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, EXEUNT_USER, 0xfebc0), 15000, 5, 25 },
	{ EXEUNT_KEY(SVM_EXIT_NPF, EXEUNT_MMIO_READ, EXEUNT_USER, 0xfec00), 14000, 5, 8 },
	{ EXEUNT_KEY(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, EXEUNT_USER, 0x3f8), 12000, 5, 40 },
	{ EXEUNT_KEY(SVM_EXIT_IOIO, EXEUNT_PIO_IN, EXEUNT_USER, 0x3fd), 12000, 5, 40 },
	{ EXEUNT_KEY(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, EXEUNT_KERNEL, 5), 1600, 3, 12 },
};
#define NR_SYNTHETIC_ROWS (sizeof(synthetic_rows) / sizeof(synthetic_rows[0]))

static uint64_t synthetic_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void synthetic_exit(struct exeunt_row *r, uint64_t ticks, unsigned int hist_shift)
{
	unsigned __int128 square = ((unsigned __int128)r->square_hi << 64 | r->square_lo) + (unsigned __int128)ticks * ticks;

	r->count++;
	r->total += ticks;
	r->min = ticks < r->min ? ticks : r->min;
	r->max = ticks > r->max ? ticks : r->max;
	r->square_lo = square;
	r->square_hi = square >> 64;
	r->hist[hist_bucket(ticks, hist_shift)]++;
}

/* A few powers of two above the shortest, long ones being rare. */
static uint64_t synthetic_ticks(const struct synthetic_row *s, uint64_t *seed)
{
	uint64_t ticks = s->ticks + synthetic_random(seed) % (s->ticks / 4 + 1);

	for (unsigned int i = 0; i < s->spread && synthetic_random(seed) % 3 == 0; i++)
		ticks += ticks / 2 + synthetic_random(seed) % ticks;
	return ticks;
}

static int synthetic_order(const void *a, const void *b)
{
	const struct exeunt_row *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static void synthetic_vcpu(struct vcpu *v, uint32_t id)
{
	v->id = id;
	v->tid = 4300 + id;
	v->nr_rows = NR_SYNTHETIC_ROWS;
	v->rows = xcalloc(NR_SYNTHETIC_ROWS, sizeof(*v->rows));
	for (size_t i = 0; i < NR_SYNTHETIC_ROWS; i++)
		row_init(&v->rows[i], synthetic_rows[i].key);
	qsort(v->rows, v->nr_rows, sizeof(*v->rows), synthetic_order);
}

static void synthetic_vm(struct vm *vm, uint64_t id, const char *name, size_t nr_vcpus)
{
	*vm = (struct vm){
		.id = id, .pid = 4200 + id, .engine = "exeunt", .isa = ISA_SVM, .tick_ns = 1 / 2.9, .hist_shift = 4,
		.nr_vcpus = nr_vcpus, .vcpus = xcalloc(nr_vcpus, sizeof(*vm->vcpus)),
	};
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	for (size_t i = 0; i < nr_vcpus; i++)
		synthetic_vcpu(&vm->vcpus[i], i);
}

static struct exeunt_row *synthetic_find(struct vcpu *v, uint64_t key)
{
	for (size_t i = 0; i < v->nr_rows; i++)
		if (v->rows[i].key == key)
			return &v->rows[i];
	abort();
}

static void synthetic_count(struct exeunt_counters *c, const struct synthetic_row *s, uint64_t *seed)
{
	static const unsigned char vectors[] = { 0xec, 0xec, 0xec, 0xfd, 0xfb, 0x22 };

	c->interrupts[vectors[synthetic_random(seed) % sizeof(vectors)]]++;
	if (EXEUNT_KEY_OUTCOME(s->key) == EXEUNT_USER) {
		c->runs++;
		c->user_exits[EXEUNT_KEY_REASON(s->key) == SVM_EXIT_IOIO ? 2 : 6]++;
		c->fpu_touched++;
		c->fpu_guest_loads++;
	}
	if (EXEUNT_KEY_REASON(s->key) == SVM_EXIT_HLT) {
		c->halts++;
		c->halt_polls++;
		c->halt_wait_ns += 200000;
		c->halt_polls_won += synthetic_random(seed) % 2;
		c->halt_poll_won_ns += 20000;
		c->halt_poll_lost_ns += 90000;
		c->halt_wakes++;
		c->halt_wake_ns += 7000;
		c->fpu_untouched++;
	}
	if (EXEUNT_KEY_DETAIL(s->key) == 0x830) {
		c->ipis[0][0][0]++;
		c->ipi_targets[0][synthetic_random(seed) % EXEUNT_TARGETS]++;
		if (synthetic_random(seed) % 20 == 0) {
			c->ipis[4][1][1]++;
			c->ipi_targets[1][synthetic_random(seed) % EXEUNT_TARGETS]++;
		}
	}
}

/* @load: how many exits a vCPU makes, or so. */
static void synthetic_go_on(struct sample *s, unsigned int load, uint64_t *seed)
{
	for (size_t m = 0; m < s->nr_vms; m++) {
		for (size_t c = 0; c < s->vms[m].nr_vcpus; c++) {
			struct vcpu *v = &s->vms[m].vcpus[c];

			for (size_t i = 0; i < NR_SYNTHETIC_ROWS; i++) {
				const struct synthetic_row *row = &synthetic_rows[i];
				uint64_t n = synthetic_random(seed) % (1 + load * row->weight / 1000);

				for (; n; n--) {
					synthetic_exit(synthetic_find(v, row->key), synthetic_ticks(row, seed), s->vms[m].hist_shift);
					synthetic_count(&v->counters, row, seed);
				}
			}
		}
	}
}

static struct recording *synthetic_recording(uint64_t seed, size_t intervals, unsigned int load)
{
	struct recording *r = xcalloc(1, sizeof(*r));
	struct sample now, before, delta, first;

	now = (struct sample){ .nr_vms = 2, .vms = xcalloc(2, sizeof(*now.vms)) };
	synthetic_vm(&now.vms[0], 7, "web-1", 4);
	synthetic_vm(&now.vms[1], 9, "database", 2);
	sample_copy(&first, &now);
	r->hostname = xstrdup("host");
	r->kernel = xstrdup("6.1.0-42-amd64");
	r->tool_version = xstrdup("1.0");
	r->command = xstrdup("sleep 20");
	r->begin_unix_ns = 1763727600123456789;
	r->interval_ms = 500;
	for (size_t i = 0; i < intervals; i++) {
		sample_copy(&before, &now);
		synthetic_go_on(&now, i % 13 < 5 ? load : load / 4, &seed);
		sample_diff(&delta, &now, &before);
		recording_add_interval(r, i * 500000000ull, (i + 1) * 500000000ull, &delta);
		sample_free(&delta);
		sample_free(&before);
	}
	r->duration_ns = intervals * 500000000ull;
	sample_diff(&r->total, &now, &first);
	r->total.time_ns = 1234567890;
	sample_free(&now);
	sample_free(&first);
	return r;
}

#endif
