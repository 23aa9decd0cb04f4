// SPDX-License-Identifier: GPL-2.0
/*
 * Results of `exeunt bench`: as a table, line by line while they come, and as JSON.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"
#include "print.h"
#include "util.h"

#define BOLD		"\033[1m"
#define PLAIN		"\033[0m"
#define NAME_WIDTH	25

static void print_heading(FILE *f, const char *heading, bool colour)
{
	fprintf(f, "%s%s%s\n", colour ? BOLD : "", heading, colour ? PLAIN : "");
}

void bench_print_list(FILE *f)
{
	const char *last = NULL;

	for (size_t i = 0; i < nr_bench_operations; i++) {
		const struct bench_operation *o = &bench_operations[i];
		const char *heading = bench_heading(o);

		if (heading != last)
			fprintf(f, "%s%s\n", last ? "\n" : "", heading);
		last = heading;
		print_line(f, terminal_columns(f), "  %-*s  %s", NAME_WIDTH, o->name, o->what);
	}
}

static void print_title(const struct bench_table *t, const struct bench_setup *setup, const struct bench_host *host)
{
	char *rate = host->tsc_khz ? xasprintf(" of %.3f GHz", host->tsc_khz / 1e6) : xstrdup("");

	print_line(t->f, t->columns, "%s, %u samples of each, in ticks of the TSC%s%s", setup->device, setup->samples, rate,
		   host->emulated ? ", on a processor emulated by QEMU" : "");
	fputc('\n', t->f);
	print_line(t->f, t->columns, "%*s %9s %9s %9s %11s %8s", NAME_WIDTH + 2, "", "min", "median", "p99", "mean", "error");
	free(rate);
}

void bench_print_result(struct bench_table *t, const struct bench_setup *setup, const struct bench_host *host, const struct bench_result *r)
{
	const struct bench_operation *o = r->operation;
	const struct summary *c = &r->cost;
	bool remark = r->words[0];

	if (!t->heading)
		print_title(t, setup, host);
	if (t->heading != bench_heading(o)) {
		t->heading = bench_heading(o);
		print_heading(t->f, t->heading, t->colour);
	}
	if (r->outcome != BENCH_MEASURED)
		print_line(t->f, t->columns, "  %-*s %s: %s", NAME_WIDTH, o->name, r->outcome == BENCH_SKIPPED ? "skipped" : "failed",
			   r->words);
	else
		print_line(t->f, t->columns, "  %-*s %9.0f %9.0f %9.0f %11.1f %8.1f  %s%s%s%s", NAME_WIDTH, o->name, c->min, c->median,
			   c->p99, c->mean, c->error, o->what, remark ? " (" : "", r->words, remark ? ")" : "");
	fflush(t->f);
}

/* --- JSON --- */

static json_t *or_die(json_t *value)
{
	if (!value)
		die(STATUS_FAILED, "out of memory");
	return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, or_die(value)))
		die(STATUS_FAILED, "out of memory");
}

/* Ticks are whole numbers. */
static json_t *ticks(double value)
{
	return json_integer((json_int_t)value);
}

static json_t *json_of_result(const struct bench_result *r)
{
	json_t *object = or_die(json_object());

	set(object, "name", json_string(r->operation->name));
	set(object, "group", json_string(bench_heading(r->operation)));
	set(object, "what", json_string(r->operation->what));
	set(object, "vcpus", json_integer(r->vcpus));
	if (r->outcome != BENCH_MEASURED) {
		set(object, r->outcome == BENCH_SKIPPED ? "skipped" : "failed", json_string(r->words));
		return object;
	}
	if (r->words[0])
		set(object, "remark", json_string(r->words));
	set(object, "samples", json_integer(r->cost.n));
	set(object, "empty", ticks(r->empty));
	set(object, "min", ticks(r->cost.min));
	set(object, "median", ticks(r->cost.median));
	set(object, "p99", ticks(r->cost.p99));
	set(object, "max", ticks(r->cost.max));
	set(object, "mean", json_real(r->cost.mean));
	set(object, "error", json_real(r->cost.error));
	set(object, "half_width_95", json_real(r->cost.half_width));
	return object;
}

static json_t *json_of_cpus(const struct bench_setup *setup)
{
	json_t *array = or_die(json_array());

	for (unsigned int i = 0; i < setup->nr_cpus; i++) {
		if (json_array_append_new(array, or_die(json_integer(setup->cpus[i]))))
			die(STATUS_FAILED, "out of memory");
	}
	return array;
}

void bench_print_json(FILE *f, const struct bench_setup *setup, const struct bench_host *host, const struct bench_result *results, size_t n)
{
	json_t *document = or_die(json_object()), *array = or_die(json_array());

	set(document, "device", json_string(setup->device));
	set(document, "samples", json_integer(setup->samples));
	set(document, "vcpus", json_integer(setup->vcpus));
	set(document, "cpus", json_of_cpus(setup));
	set(document, "pinned", json_boolean(setup->pin));
	set(document, "tsc_khz", json_integer(host->tsc_khz));
	set(document, "emulated", json_boolean(host->emulated));
	set(document, "nrips", json_boolean(host->nrips));
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(array, json_of_result(&results[i])))
			die(STATUS_FAILED, "out of memory");
	}
	set(document, "results", array);
	json_dumpf(document, f, JSON_INDENT(1));
	fputc('\n', f);
	json_decref(document);
}
