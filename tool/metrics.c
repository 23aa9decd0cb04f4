// SPDX-License-Identifier: GPL-2.0
/*
 * See metrics.h. Owns the text, and which VMs are in it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "metrics.h"
#include "metrics_families.h"
#include "metrics_series.h"
#include "util.h"
#include "vmname.h"

struct vm_state {
	char engine[8];
	uint64_t id;
	bool there;			/* in this sample */
	bool ended;
	uint64_t ended_ns;		/* when that was seen */
	struct series series;
};

struct metrics {
	struct metrics_options options;
	size_t nr_states;
	struct vm_state *states;
};

/* What one text is written with. */
struct page {
	FILE *out;
	enum metrics_format format;
	const struct metrics_options *options;
	const struct family *family;
	bool titled;			/* the family's title is there */
	const struct vm *vm;
	struct series *series;		/* of the VM */
	char *vm_labels;
};

struct metrics *metrics_new(const struct metrics_options *o)
{
	struct metrics *m = xcalloc(1, sizeof(*m));

	m->options = *o;
	return m;
}

void metrics_free(struct metrics *m)
{
	for (size_t i = 0; i < m->nr_states; i++)
		series_free(&m->states[i].series);
	free(m->states);
	free(m);
}

/* --- Text --- */

static void write_title(struct page *page)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const struct family *f = page->family;
	const char *suffix = page->format == METRICS_PROMETHEUS && f->type == FAMILY_COUNTER ? "_total" : "";

	if (page->titled)
		return;
	page->titled = true;
	fprintf(page->out, "# TYPE %s%s %s\n", f->name, suffix, types[f->type]);
	if (page->format == METRICS_OPENMETRICS && f->unit)
		fprintf(page->out, "# UNIT %s %s\n", f->name, f->unit);
	fprintf(page->out, "# HELP %s%s %s\n", f->name, suffix, f->help);
}

static void write_labels(const struct page *page, const struct item *item)
{
	const struct family *f = page->family;

	fputs(page->vm_labels, page->out);
	if (!f->of_vm && !page->options->per_vm)
		fprintf(page->out, ",vcpu=\"%" PRIu32 "\"", item->vcpu);
	if (f->labels)
		f->labels(page->out, page->vm, item->value, item->variant);
}

static void write_number(const struct page *page, uint64_t number)
{
	const struct family *f = page->family;

	if (f->ticks)
		fprintf(page->out, "%.15g\n", number * page->vm->tick_ns / 1e9);
	else if (f->nanoseconds)
		fprintf(page->out, "%.15g\n", number / 1e9);
	else
		fprintf(page->out, "%" PRIu64 "\n", number);
}

/* Returns the item after the series that begins at @item. */
static const struct item *write_series(const struct page *page, const struct item *item, const struct item *end)
{
	const struct item *first = item;
	uint64_t number = 0;

	for (; item < end && series_same(first, item); item++)
		number += item->number;
	fprintf(page->out, "%s%s{", page->family->name, page->family->type == FAMILY_COUNTER ? "_total" : "");
	write_labels(page, first);
	fputs("} ", page->out);
	write_number(page, series_never_less(page->series, page->family, first, 0, number));
	return item;
}

/* --- Histograms --- */

/* Upper bounds of buckets; all times of a bucket of ours that is not wholly below a bound count above it. */
static const struct bound {
	const char *seconds;
	double ns;
} bounds[] = {
	{ "2.5e-07", 250 }, { "5e-07", 500 }, { "1e-06", 1e3 }, { "2e-06", 2e3 }, { "5e-06", 5e3 }, { "1e-05", 10e3 }, { "2e-05", 20e3 },
	{ "5e-05", 50e3 }, { "0.0001", 100e3 }, { "0.0002", 200e3 }, { "0.0005", 500e3 }, { "0.001", 1e6 }, { "0.005", 5e6 },
	{ "0.01", 10e6 }, { "0.1", 100e6 }, { "1.0", 1e9 },
};
#define NR_BOUNDS	(sizeof(bounds) / sizeof(bounds[0]))

/* The bound that a bucket is below; NR_BOUNDS if none. The last one of ours has no upper end. */
static size_t bound_of(unsigned int bucket, const struct vm *vm)
{
	double longest;
	size_t i = 0;

	if (bucket == EXEUNT_HIST_BUCKETS - 1)
		return NR_BOUNDS;
	longest = (hist_low(bucket + 1, vm->hist_shift) - 1) * vm->tick_ns;
	while (i < NR_BOUNDS && longest > bounds[i].ns)
		i++;
	return i;
}

static void count_row(uint64_t *counts, const struct exeunt_row *row, const struct vm *vm)
{
	for (unsigned int i = 0; i < EXEUNT_HIST_BUCKETS; i++) {
		if (row->hist[i])
			counts[bound_of(i, vm)] += row->hist[i];
	}
}

static void write_buckets(const struct page *page, const struct item *item, const uint64_t *counts, uint64_t total)
{
	const char *name = page->family->name;
	uint64_t below = 0, shown = 0;

	for (size_t i = 0; i <= NR_BOUNDS; i++) {
		below += counts[i];
		shown = series_never_less(page->series, page->family, item, i, below);
		fprintf(page->out, "%s_bucket{", name);
		write_labels(page, item);
		fprintf(page->out, ",le=\"%s\"} %" PRIu64 "\n", i < NR_BOUNDS ? bounds[i].seconds : "+Inf", shown);
	}
	fprintf(page->out, "%s_count{", name);
	write_labels(page, item);
	fprintf(page->out, "} %" PRIu64 "\n%s_sum{", shown, name);
	write_labels(page, item);
	fputs("} ", page->out);
	write_number(page, series_never_less(page->series, page->family, item, NR_BOUNDS + 1, total));
}

static const struct item *write_histogram(const struct page *page, const struct item *item, const struct item *end)
{
	const struct item *first = item;
	uint64_t counts[NR_BOUNDS + 1] = { 0 }, total = 0;

	for (; item < end && series_same(first, item); item++) {
		count_row(counts, item->row, page->vm);
		total += item->row->total;
	}
	write_buckets(page, first, counts, total);
	return item;
}

/* --- All of it --- */

static void write_family(struct page *page)
{
	const struct family *f = page->family;
	struct items items = { 0 };
	const struct item *item, *end;

	f->collect(f, page->vm, &items);
	series_arrange(page->series, f, &items, page->options);
	end = items.all + items.nr;
	for (item = items.all; item < end;) {
		write_title(page);
		item = f->type == FAMILY_HISTOGRAM ? write_histogram(page, item, end) : write_series(page, item, end);
	}
	free(items.all);
}

static struct vm_state *state_of(struct metrics *m, const struct vm *vm)
{
	struct vm_state *state;

	for (size_t i = 0; i < m->nr_states; i++) {
		if (m->states[i].id == vm->id && !strcmp(m->states[i].engine, vm->engine))
			return &m->states[i];
	}
	m->states = xreallocarray(m->states, m->nr_states + 1, sizeof(*m->states));
	state = &m->states[m->nr_states++];
	*state = (struct vm_state){ .id = vm->id };
	snprintf(state->engine, sizeof(state->engine), "%s", vm->engine);
	return state;
}

static void update_states(struct metrics *m, const struct sample *s)
{
	size_t nr = 0;

	for (size_t i = 0; i < m->nr_states; i++)
		m->states[i].there = false;
	for (size_t i = 0; i < s->nr_vms; i++) {
		struct vm_state *state = state_of(m, &s->vms[i]);

		state->there = true;
		if (s->vms[i].ended && !state->ended)
			state->ended_ns = s->time_ns;
		state->ended = s->vms[i].ended;
	}
	for (size_t i = 0; i < m->nr_states; i++) {
		if (m->states[i].there)
			m->states[nr++] = m->states[i];
		else
			series_free(&m->states[i].series);
	}
	m->nr_states = nr;
}

static bool is_shown(const struct metrics *m, const struct vm_state *state, uint64_t now)
{
	return !state->ended || now - state->ended_ns <= m->options.keep_ended_ns;
}

/* The labels that every series of a VM has. */
static char *vm_labels(const struct vm *vm)
{
	char name[sizeof(vm->name)], escaped[2 * sizeof(vm->name)], *to = escaped;

	name_clean(name, sizeof(name), vm->name);
	for (const char *c = name; *c; c++) {
		if (*c == '\\' || *c == '"')
			*to++ = '\\';
		*to++ = *c;
	}
	*to = '\0';
	return xasprintf("vm=\"%s\",pid=\"%d\",id=\"%" PRIu64 "\",engine=\"%s\"", escaped, (int)vm->pid, vm->id, vm->engine);
}

static void write_sample(struct metrics *m, struct page *page, const struct sample *s)
{
	char **labels = xcalloc(s->nr_vms, sizeof(*labels));

	for (size_t i = 0; i < s->nr_vms; i++)
		labels[i] = vm_labels(&s->vms[i]);
	for (size_t f = 0; f < nr_families; f++) {
		page->family = &families[f];
		page->titled = false;
		for (size_t i = 0; i < s->nr_vms; i++) {
			struct vm_state *state = state_of(m, &s->vms[i]);

			if (!is_shown(m, state, s->time_ns))
				continue;
			page->vm = &s->vms[i];
			page->series = &state->series;
			page->vm_labels = labels[i];
			write_family(page);
		}
	}
	for (size_t i = 0; i < s->nr_vms; i++)
		free(labels[i]);
	free(labels);
}

char *metrics_text(struct metrics *m, const struct sample *s, enum metrics_format format, size_t *len)
{
	struct page page = { .format = format, .options = &m->options };
	char *text;

	page.out = open_memstream(&text, len);
	if (!page.out)
		die(STATUS_FAILED, "out of memory");
	update_states(m, s);
	fputs("# TYPE exeunt_build_info gauge\n# HELP exeunt_build_info 1; the label says which version of the exeunt command this is from.\n"
	      "exeunt_build_info{version=\"" TOOL_VERSION "\"} 1\n", page.out);
	write_sample(m, &page, s);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", page.out);
	if (fclose(page.out))
		die(STATUS_FAILED, "out of memory");
	return text;
}
