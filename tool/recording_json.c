// SPDX-License-Identifier: GPL-2.0
/*
 * Writes recordings, and their parts for whoever prints JSON. docs/recording.md defines every member.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "names.h"
#include "recording.h"
#include "recording_words.h"
#include "util.h"

/* JSON's integers end at 2^63 - 1 in most libraries. */
static uint64_t bounded(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : n;
}

static json_t *number(uint64_t n)
{
	return json_integer(bounded(n));
}

static json_t *rounded(double ns)
{
	return json_integer(ns < 0x1p62 ? llround(ns) : INT64_MAX);
}

static void set(json_t *object, const char *member, json_t *value)
{
	if (json_object_set_new_nocheck(object, member, value))
		die(STATUS_FAILED, "out of memory");
}

static void append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		die(STATUS_FAILED, "out of memory");
}

/*
 * Texts in a recording are one line that can be printed. Processes have names that are not: '?' stands for control characters, and if
 * the whole is no UTF-8, for all beyond ASCII.
 */
static json_t *text(const char *s)
{
	json_t *valid = json_string(s);
	char *clean = xstrdup(s);

	for (char *c = clean; *c; c++) {
		if ((unsigned char)*c >= 0x80 && !valid)
			*c = '?';
		else
			memset(c, '?', control_length(c));
	}
	json_decref(valid);
	valid = json_string(clean);
	free(clean);
	return valid;
}

static json_t *square_text(const struct exeunt_row *row)
{
	unsigned __int128 n = (unsigned __int128)row->square_hi << 64 | row->square_lo;
	char digits[40], *d = digits + sizeof(digits);

	*--d = '\0';
	do {
		*--d = '0' + n % 10;
		n /= 10;
	} while (n);
	return json_string(d);
}

static json_t *histogram_array(const struct exeunt_row *row)
{
	json_t *histogram = json_array();

	for (unsigned int i = 0; i < EXEUNT_HIST_BUCKETS; i++) {
		json_t *pair;

		if (!row->hist[i])
			continue;
		pair = json_array();
		append(pair, json_integer(i));
		append(pair, number(row->hist[i]));
		append(histogram, pair);
	}
	return histogram;
}

static void set_key(json_t *object, uint32_t isa, uint64_t key)
{
	unsigned int kind = EXEUNT_KEY_KIND(key), outcome = EXEUNT_KEY_OUTCOME(key);
	char name[64];

	set(object, "reason", json_integer(EXEUNT_KEY_REASON(key)));
	set(object, "reason_name", json_string(exit_name(isa, EXEUNT_KEY_REASON(key), name, sizeof(name))));
	set(object, "outcome", outcome < EXEUNT_OUTCOMES ? json_string(outcome_words[outcome]) : json_integer(outcome));
	set(object, "kind", kind < EXEUNT_KINDS ? json_string(kind_words[kind]) : json_integer(kind));
	set(object, "detail", json_integer(EXEUNT_KEY_DETAIL(key)));
	if (kind != EXEUNT_PLAIN)
		set(object, "detail_name", json_string(detail_name(isa, key, name, sizeof(name))));
}

json_t *json_of_row(const struct vm *vm, const struct exeunt_row *row, bool histogram)
{
	static const struct { const char *member; double share; } percentiles[] = {
		{ "p50_ns", .5 }, { "p90_ns", .9 }, { "p99_ns", .99 }, { "p99_9_ns", .999 },
	};
	json_t *object = json_object();

	set_key(object, vm->isa, row->key);
	set(object, "count", number(row->count));
	set(object, "total_ns", rounded(row->total * vm->tick_ns));
	set(object, "mean_ns", rounded(row_mean(row) * vm->tick_ns));
	set(object, "min_ns", rounded(row->count ? row->min * vm->tick_ns : 0));
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		set(object, percentiles[i].member, rounded(row_percentile(row, vm->hist_shift, percentiles[i].share) * vm->tick_ns));
	set(object, "max_ns", rounded(row->max * vm->tick_ns));
	if (histogram) {
		set(object, "total_ticks", number(row->total));
		set(object, "min_ticks", number(row->min));
		set(object, "max_ticks", number(row->max));
		set(object, "squares_ticks", square_text(row));
		set(object, "histogram", histogram_array(row));
	}
	return object;
}

static void append_counted(json_t *array, const char *member, unsigned int i, const char *name, uint64_t count)
{
	json_t *object;

	if (!count)
		return;
	object = json_object();
	set(object, member, json_integer(i));
	if (name)
		set(object, "name", json_string(name));
	set(object, "count", number(count));
	append(array, object);
}

static void set_unless_empty(json_t *object, const char *member, json_t *array)
{
	if (json_array_size(array))
		set(object, member, array);
	else
		json_decref(array);
}

static json_t *user_exits(const struct exeunt_counters *c)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < EXEUNT_USER_REASONS; i++)
		append_counted(array, "reason", i, user_exit_name(i), c->user_exits[i]);
	return array;
}

static json_t *interrupts(const struct exeunt_counters *c)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < 256; i++)
		append_counted(array, "vector", i, NULL, c->interrupts[i]);
	return array;
}

static json_t *exceptions(const struct exeunt_counters *c)
{
	json_t *array = json_array();
	char name[16];

	for (unsigned int i = 0; i < 32; i++)
		append_counted(array, "vector", i, exception_name(i, name, sizeof(name)), c->exceptions[i]);
	return array;
}

static json_t *ipis(const struct exeunt_counters *c)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < 8 * 2 * 2; i++) {
		unsigned int mode = i >> 2, destination = i >> 1 & 1, targets = i & 1;
		json_t *object;

		if (!c->ipis[mode][destination][targets])
			continue;
		object = json_object();
		set(object, "delivery_mode", json_integer(mode));
		set(object, "name", json_string(delivery_mode_name(mode)));
		set(object, "destination", json_string(destination_words[destination]));
		set(object, "targets", json_string(targets_words[targets]));
		set(object, "count", number(c->ipis[mode][destination][targets]));
		append(array, object);
	}
	return array;
}

static json_t *ipi_targets(const struct exeunt_counters *c)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < 2 * EXEUNT_TARGETS; i++) {
		unsigned int targets = i / EXEUNT_TARGETS, state = i % EXEUNT_TARGETS;
		json_t *object;

		if (!c->ipi_targets[targets][state])
			continue;
		object = json_object();
		set(object, "targets", json_string(targets_words[targets]));
		set(object, "state", json_string(target_words[state]));
		set(object, "count", number(c->ipi_targets[targets][state]));
		append(array, object);
	}
	return array;
}

json_t *json_of_counters(const struct exeunt_counters *c)
{
	json_t *object = json_object();

#define SET(name) if (c->name) set(object, #name, number(c->name));
	COUNTERS_EACH(SET)
#undef SET
	set_unless_empty(object, "user_exits", user_exits(c));
	set_unless_empty(object, "interrupts", interrupts(c));
	set_unless_empty(object, "exceptions", exceptions(c));
	set_unless_empty(object, "ipis", ipis(c));
	set_unless_empty(object, "ipi_targets", ipi_targets(c));
	return object;
}

static json_t *json_of_vcpu(const struct vm *vm, const struct vcpu *vcpu, bool histograms)
{
	json_t *object = json_object(), *rows = json_array();

	set(object, "id", json_integer(vcpu->id));
	set(object, "tid", json_integer(vcpu->tid));
	set(object, "counters", json_of_counters(&vcpu->counters));
	for (size_t i = 0; i < vcpu->nr_rows; i++)
		if (vcpu->rows[i].count)
			append(rows, json_of_row(vm, &vcpu->rows[i], histograms));
	set(object, "rows", rows);
	return object;
}

static json_t *json_of_vm(const struct vm *vm, bool histograms)
{
	json_t *object = json_object(), *vcpus = json_array();
	const char *isa = isa_name(vm->isa);

	set(object, "engine", text(vm->engine));
	set(object, "id", number(vm->id));
	set(object, "pid", json_integer(vm->pid));
	set(object, "name", text(vm->name));
	set(object, "isa", json_integer(vm->isa));
	if (isa)
		set(object, "isa_name", json_string(isa));
	set(object, "ended", json_boolean(vm->ended));
	set(object, "tick_ns", json_real(vm->tick_ns));
	set(object, "hist_shift", json_integer(vm->hist_shift));
	set(object, "unaccounted", number(vm->unaccounted));
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		append(vcpus, json_of_vcpu(vm, &vm->vcpus[i], histograms));
	set(object, "vcpus", vcpus);
	return object;
}

json_t *json_of_sample(const struct sample *s, bool histograms)
{
	json_t *object = json_object(), *vms = json_array();

	set(object, "time_ns", number(s->time_ns));
	for (size_t i = 0; i < s->nr_vms; i++)
		append(vms, json_of_vm(&s->vms[i], histograms));
	set(object, "vms", vms);
	return object;
}

static void write_head(const struct recording *r, FILE *f)
{
	json_t *head = json_object();

	set(head, "format", json_string(RECORDING_FORMAT));
	set(head, "version", json_integer(RECORDING_VERSION));
	set(head, "tool_version", text(r->tool_version));
	set(head, "hostname", text(r->hostname));
	set(head, "kernel", text(r->kernel));
	set(head, "command", r->command ? text(r->command) : json_null());
	set(head, "begin_unix_ns", json_integer(r->begin_unix_ns));
	set(head, "duration_ns", number(r->duration_ns));
	set(head, "interval_ms", json_integer(r->interval_ms));
	json_dumpf(head, f, JSON_COMPACT | JSON_EMBED);
	json_decref(head);
}

/* VM by VM: a large recording need not be in memory twice. */
static void write_total(const struct sample *total, FILE *f)
{
	fprintf(f, "\"total\":{\"time_ns\":%" PRIu64 ",\"vms\":[", bounded(total->time_ns));
	for (size_t i = 0; i < total->nr_vms; i++) {
		json_t *vm = json_of_vm(&total->vms[i], true);

		fputs(i ? ",\n" : "\n", f);
		json_dumpf(vm, f, JSON_COMPACT);
		json_decref(vm);
	}
	fputs("]}", f);
}

/* Rows without exits are not in the file, and do not count in the numbers that intervals refer by. */
static void write_interval_rows(const struct vcpu *vcpu, const struct interval_vcpu *v, FILE *f)
{
	size_t index = 0, n = 0;

	for (size_t i = 0; i < vcpu->nr_rows && n < v->nr_rows; i++) {
		const struct interval_row *row = &v->rows[n];

		if (vcpu->rows[i].key == row->key)
			fprintf(f, "%s[%zu,%" PRIu64 ",%" PRIu64 "]", n++ ? "," : "", index, bounded(row->count),
				bounded(row->ticks));
		index += vcpu->rows[i].count != 0;
	}
}

static uint64_t exits_of(const struct interval *in)
{
	uint64_t n = 0;

	for (size_t c = 0; c < in->nr_vcpus; c++)
		for (size_t i = 0; i < in->vcpus[c].nr_rows; i++)
			n += in->vcpus[c].rows[i].count;
	return n;
}

static void write_interval(const struct sample *total, const struct interval *in, FILE *f)
{
	const struct interval_vcpu *v = in->vcpus, *end = in->vcpus + in->nr_vcpus;
	const char *separator = "";

	fprintf(f, "{\"begin_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64 ",\"exits\":%" PRIu64 ",\"vcpus\":[", bounded(in->begin_ns),
		bounded(in->end_ns), bounded(exits_of(in)));
	for (size_t m = 0; m < total->nr_vms; m++) {
		const struct vm *vm = &total->vms[m];

		for (size_t c = 0; c < vm->nr_vcpus && v < end; c++) {
			if (!interval_seek(&v, end, vm, vm->vcpus[c].id))
				continue;
			fprintf(f, "%s{\"vm\":%zu,\"vcpu\":%zu,\"rows\":[", separator, m, c);
			write_interval_rows(&vm->vcpus[c], v, f);
			fputs("]}", f);
			separator = ",";
		}
	}
	fputs("]}", f);
}

int recording_write(const struct recording *r, FILE *f)
{
	fputc('{', f);
	write_head(r, f);
	fputs(",\n", f);
	write_total(&r->total, f);
	fputs(",\n\"intervals\":[", f);
	for (size_t i = 0; i < r->nr_intervals; i++) {
		fputs(i ? ",\n" : "\n", f);
		write_interval(&r->total, &r->intervals[i], f);
	}
	fputs("]}\n", f);
	return fflush(f) || ferror(f) ? -1 : 0;
}
