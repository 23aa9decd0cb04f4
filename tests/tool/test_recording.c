// SPDX-License-Identifier: GPL-2.0
/*
 * Recordings: what is written is read again, and what is no recording is refused with a line that says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "synthetic.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static char *text_of(const struct recording *r)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(recording_write(r, f), 0);
	fclose(f);
	return text;
}

static struct recording *parse(const char *text)
{
	char error[256] = "";
	struct recording *r = recording_parse(text, strlen(text), error, sizeof(error));

	if (!r)
		fail_msg("%s", error);
	return r;
}

static void assert_refused(const char *text, const char *expected)
{
	char error[256] = "";
	struct recording *r = recording_parse(text, strlen(text), error, sizeof(error));

	if (r)
		fail_msg("accepted, though \"%s\"", expected);
	if (!strstr(error, expected))
		fail_msg("\"%s\" instead of \"%s\"", error, expected);
	assert_null(strchr(error, '\n'));
}

/* @text with the first @from replaced by @to; frees @text. */
static char *edited(char *text, const char *from, const char *to)
{
	char *place = strstr(text, from), *result;

	if (!place)
		fail_msg("no %s", from);
	result = xasprintf("%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
	free(text);
	return result;
}

static void assert_same_vm(const struct vm *a, const struct vm *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->engine, b->engine);
	assert_true(a->id == b->id && a->pid == b->pid && a->isa == b->isa && a->ended == b->ended && a->tick_ns == b->tick_ns &&
		    a->hist_shift == b->hist_shift && a->unaccounted == b->unaccounted && a->nr_vcpus == b->nr_vcpus);
	for (size_t c = 0; c < a->nr_vcpus; c++) {
		const struct vcpu *v = &a->vcpus[c], *w = &b->vcpus[c];

		assert_int_equal(v->id, w->id);
		assert_int_equal(v->tid, w->tid);
		assert_memory_equal(&v->counters, &w->counters, sizeof(v->counters));
		assert_int_equal(v->nr_rows, w->nr_rows);
		if (v->nr_rows)
			assert_memory_equal(v->rows, w->rows, v->nr_rows * sizeof(*v->rows));
	}
}

static void assert_same_sample(const struct sample *a, const struct sample *b)
{
	assert_int_equal(a->time_ns, b->time_ns);
	assert_int_equal(a->nr_vms, b->nr_vms);
	for (size_t m = 0; m < a->nr_vms; m++)
		assert_same_vm(&a->vms[m], &b->vms[m]);
}

static void assert_same(const struct recording *a, const struct recording *b)
{
	assert_string_equal(a->hostname, b->hostname);
	assert_string_equal(a->kernel, b->kernel);
	assert_string_equal(a->tool_version, b->tool_version);
	assert_int_equal(!a->command, !b->command);
	if (a->command)
		assert_string_equal(a->command, b->command);
	assert_true(a->begin_unix_ns == b->begin_unix_ns && a->duration_ns == b->duration_ns && a->interval_ms == b->interval_ms);
	assert_same_sample(&a->total, &b->total);
	assert_int_equal(a->nr_intervals, b->nr_intervals);
	assert_int_equal(a->nr_interval_rows, b->nr_interval_rows);
	for (size_t i = 0; i < a->nr_intervals; i++) {
		struct sample x, y;

		assert_int_equal(a->intervals[i].begin_ns, b->intervals[i].begin_ns);
		assert_int_equal(a->intervals[i].end_ns, b->intervals[i].end_ns);
		recording_interval(a, i, &x);
		recording_interval(b, i, &y);
		assert_same_sample(&x, &y);
		sample_free(&x);
		sample_free(&y);
	}
}

static void assert_survives(const struct recording *r)
{
	char *text = text_of(r);
	struct recording *again = parse(text);

	assert_same(r, again);
	recording_free(again);
	free(text);
}

static void what_is_written_reads_back_the_same(void **state)
{
	struct recording *r = synthetic_recording(1, 20, 400);

	assert_survives(r);
	r->total.vms[0].ended = true;
	r->total.vms[1].isa = 77;
	r->total.vms[1].unaccounted = 12;
	r->total.vms[1].vcpus[1].rows[0].square_lo = 0xfedcba9876543210;
	r->total.vms[1].vcpus[1].rows[0].square_hi = UINT64_MAX;
	memset(r->total.vms[1].vcpus[0].counters.interrupts, 1, sizeof(r->total.vms[1].vcpus[0].counters.interrupts) / 2);
	strcpy(r->total.vms[0].name, "</script><!-- \"\\ \xe2\x9c\x93");
	free(r->command);
	r->command = NULL;
	r->begin_unix_ns = -5;
	/* A count of 0x0101010101010101 is beyond what the format allows: such a one is refused, not cut. */
	{
		char *text = text_of(r);

		assert_refused(text, "total.vms[1].vcpus[0].counters.interrupts[0].count: not a whole number from 1 to 9007199254740992");
		free(text);
	}
	memset(r->total.vms[1].vcpus[0].counters.interrupts, 0, sizeof(r->total.vms[1].vcpus[0].counters.interrupts));
	assert_survives(r);
	recording_free(r);
}

static void recordings_without_exits_or_vms_read_back(void **state)
{
	struct recording *r = synthetic_recording(1, 1, 0);

	assert_survives(r);
	sample_free(&r->total);
	assert_survives(r);
	recording_free(r);
}

static void reading_from_a_file_is_the_same(void **state)
{
	struct recording *r = synthetic_recording(5, 200, 2000), *again;
	FILE *f = tmpfile();
	char error[256];

	assert_int_equal(recording_write(r, f), 0);
	assert_true(ftell(f) > 1 << 17);
	rewind(f);
	again = recording_read(f, error, sizeof(error));
	assert_non_null(again);
	assert_same(r, again);
	recording_free(again);
	recording_free(r);
	fclose(f);
}

static void a_file_that_cannot_be_read_is_said_so(void **state)
{
	FILE *f = fopen("/", "r");
	char error[256] = "";

	assert_non_null(f);
	assert_null(recording_read(f, error, sizeof(error)));
	assert_string_equal(error, "cannot read: Is a directory");
	fclose(f);
}

static void a_failed_write_is_told(void **state)
{
	struct recording *r = synthetic_recording(1, 2, 100);
	FILE *f = fopen("/dev/full", "w");

	assert_int_equal(recording_write(r, f), -1);
	fclose(f);
	recording_free(r);
}

static void truncated_recordings_are_refused(void **state)
{
	struct recording *r = synthetic_recording(1, 3, 100);
	char *text = text_of(r);
	size_t len = strlen(text) - 1;	/* the newline is not missed */

	for (size_t cut = 0; cut < len; cut += 1 + cut / 97) {
		char *part = strndup(text, cut);

		assert_refused(part, cut ? "" : "empty");
		free(part);
	}
	text[len / 2] = '\0';
	assert_refused(text, "truncated");
	free(text);
	recording_free(r);
}

static void foreign_files_are_refused(void **state)
{
	static const struct { const char *text, *error; } foreign[] = {
		{ "", "empty" },
		{ "PERFILE2h\x01", "not a recording of exeunt" },
		{ "\xff\xfe\xfd", "not a recording of exeunt" },
		{ "[1]", "not a recording of exeunt" },
		{ "{}", "not a recording of exeunt" },
		{ "{\"format\":\"other\",\"version\":1}", "not a recording of exeunt" },
		{ "{\"format\":7}", "not a recording of exeunt" },
		{ "{\"format\":\"exeunt-recording\"}", "version" },
		{ "{\"format\":\"exeunt-recording\",\"version\":0}", "version" },
		{ "{\"format\":\"exeunt-recording\",\"version\":\"1\"}", "version" },
		{ "{\"format\":\"exeunt-recording\",\"version\":2}", "a recording of version 2; this program reads up to 1" },
		{ "{\"format\":\"exeunt-recording\",\"version\":1}", "tool_version: missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_refused(foreign[i].text, foreign[i].error);
}

static void deep_nesting_is_refused(void **state)
{
	size_t depth = 1 << 20;
	char *text = xcalloc(depth + 1, 1);

	memset(text, '[', depth);
	assert_refused(text, "not a recording of exeunt");
	free(text);
}

/* One vCPU with two rows, in two intervals. */
static struct recording *small_recording(void)
{
	struct sample now = { .nr_vms = 1, .vms = xcalloc(1, sizeof(*now.vms)) };
	struct recording *r = xcalloc(1, sizeof(*r));
	struct vcpu *v;

	r->hostname = xstrdup("host");
	r->kernel = xstrdup("6.1");
	r->tool_version = xstrdup("1");
	r->duration_ns = 2000;
	synthetic_vm(&now.vms[0], 1, "vm", 1);
	v = &now.vms[0].vcpus[0];
	v->nr_rows = 2;
	synthetic_exit(&v->rows[0], 100, 4);
	synthetic_exit(&v->rows[1], 200, 4);
	synthetic_exit(&v->rows[1], 300, 4);
	v->counters.user_exits[2] = 3;
	v->counters.ipis[0][1][0] = 4;
	v->counters.ipi_targets[0][3] = 4;
	v->counters.halts = 5;
	v->counters.halt_wakes = 4;
	v->counters.halt_wake_ns = 123456;
	recording_add_interval(r, 0, 1000, &now);
	recording_add_interval(r, 1000, 2000, &now);
	synthetic_exit(&v->rows[0], 100, 4);
	synthetic_exit(&v->rows[1], 200, 4);
	synthetic_exit(&v->rows[1], 300, 4);
	r->total = now;
	return r;
}

static void what_breaks_the_format_is_refused_with_its_place(void **state)
{
#define ROW "total.vms[0].vcpus[0].rows[0]."
	static const struct { const char *from, *to, *error; } edits[] = {
		{ "\"hostname\":\"host\"", "\"hostname\":7", "hostname: not a string" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u001b[31m\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u009b31m\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u2028b\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u202eb\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u2066b\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"hostname\":\"a\\u2069b\"", "hostname: has control characters" },
		{ "\"hostname\":\"host\"", "\"host\\u0000name\":\"host\"", "a member with \\u0000 in its name" },
		{ "\"kernel\":\"6.1\",", "", "kernel: missing" },
		{ "\"command\":null", "\"command\":[]", "command: not a string" },
		{ "\"begin_unix_ns\":0", "\"begin_unix_ns\":0.5", "begin_unix_ns: not a whole number" },
		{ "\"duration_ns\":2000", "\"duration_ns\":-2000", "duration_ns: not a whole number from 0" },
		{ "\"duration_ns\":2000", "\"duration_ns\":1999", "intervals[1].end_ns: not a whole number from 1000 to 1999" },
		{ "\"duration_ns\":2000", "\"duration_ns\":NaN", "not a recording" },
		{ "\"duration_ns\":2000", "\"duration_ns\":99999999999999999999", "a number that is too large" },
		{ "\"duration_ns\":2000", "\"duration_ns\":1e999", "a number that is too large" },
		{ "\"duration_ns\":2000", "\"duration_ns\":2000,\"duration_ns\":2000", "a member that is there already" },
		{ "\"total\":", "\"tota\":", "total: missing" },
		{ "\"engine\":\"exeunt\"", "\"engine\":\"xen\"", "total.vms[0].engine: unknown: \"xen\"" },
		{ "\"name\":\"vm\"", "\"name\":\"\"", "total.vms[0].name: not 1 to 63 bytes long" },
		{ "\"name\":\"vm\"", "\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"",
		  "total.vms[0].name: not 1 to 63 bytes long" },
		{ "\"name\":\"vm\"", "\"name\":\"a\\u0000b\"", "not a recording" },
		{ "\"ended\":false", "\"ended\":0", "total.vms[0].ended: not true or false" },
		{ "\"tick_ns\":", "\"tick_ns\":-", "total.vms[0].tick_ns: not a number from 1e-06 to 1e+06" },
		{ "\"tick_ns\":", "\"tick_ns\":\"x\",\"x\":", "total.vms[0].tick_ns: not a number" },
		{ "\"hist_shift\":4", "\"hist_shift\":32", "total.vms[0].hist_shift: not a whole number from 0 to 31" },
		{ "\"vms\":[", "\"vms\":[7,", "total.vms[0]: not an object" },
		{ "\"vms\":[", "\"vms\":7,\"x\":[", "total.vms: not an array" },
		{ "\"vcpus\":[{\"id\":0", "\"vcpus\":[{\"id\":4294967296", "total.vms[0].vcpus[0].id: not a whole number" },
		{ "\"counters\":{", "\"counters\":{\"runs\":-1,", "total.vms[0].vcpus[0].counters.runs: not a whole number" },
		{ "\"user_exits\":[{\"reason\":2", "\"user_exits\":[{\"reason\":64",
		  "total.vms[0].vcpus[0].counters.user_exits[0].reason: not a whole number from 0 to 63" },
		{ "\"user_exits\":[", "\"user_exits\":[{\"reason\":2,\"count\":1},",
		  "total.vms[0].vcpus[0].counters.user_exits[1]: there already" },
		{ "\"destination\":\"logical\"", "\"destination\":\"moon\"",
		  "total.vms[0].vcpus[0].counters.ipis[0].destination: unknown: \"moon\"" },
		{ "\"state\":\"halted\"", "\"state\":\"dead\"", "total.vms[0].vcpus[0].counters.ipi_targets[0].state: unknown" },
		{ "\"reason\":96", "\"reason\":4096", ROW "reason: not a whole number from 0 to 4095" },
		{ "\"kind\":\"plain\"", "\"kind\":\"fancy\"", ROW "kind: unknown: \"fancy\"" },
		{ "\"outcome\":\"kernel\"", "\"outcome\":\"lost\"", ROW "outcome: unknown: \"lost\"" },
		{ "\"detail\":0", "\"detail\":70368744177664", ROW "detail: not a whole number from 0 to 70368744177663" },
		{ "\"count\":2,\"total_ns\"", "\"count\":0,\"total_ns\"", ROW "count: not a whole number from 1" },
		{ "\"count\":2,\"total_ns\"", "\"count\":3,\"total_ns\"", ROW "histogram: has 2 exits, count says 3" },
		{ "\"max_ticks\":100", "\"max_ticks\":99", ROW "max_ticks: not a whole number from 100" },
		{ "\"squares_ticks\":\"20000\"", "\"squares_ticks\":20000", ROW "squares_ticks: not a string" },
		{ "\"squares_ticks\":\"20000\"", "\"squares_ticks\":\"-20000\"", ROW "squares_ticks: not a decimal number" },
		{ "\"squares_ticks\":\"20000\"", "\"squares_ticks\":\"\"", ROW "squares_ticks: not a decimal number" },
		{ "\"squares_ticks\":\"20000\"", "\"squares_ticks\":\"340282366920938463463374607431768211456\"",
		  ROW "squares_ticks: beyond 128 bits" },
		{ "\"histogram\":[[6,2]]", "\"histogram\":[[240,2]]", ROW "histogram[0]: not a whole number from 0 to 239" },
		{ "\"histogram\":[[6,2]]", "\"histogram\":[[6,1],[6,1]]", ROW "histogram[1]: not a whole number from 7 to 239" },
		{ "\"histogram\":[[6,2]]", "\"histogram\":[[6]]", ROW "histogram[0]: not an array of 2 numbers" },
		{ "\"histogram\":[[6,2]]", "\"histogram\":[[6,2,1]]", ROW "histogram[0]: not an array of 2 numbers" },
		{ "\"reason\":114", "\"reason\":96", "total.vms[0].vcpus[0].rows[1]: there already, or out of order" },
		{ "\"intervals\":[", "\"intervals\":[],\"x\":[", "intervals: empty" },
		{ "\"begin_ns\":1000", "\"begin_ns\":999", "intervals[1].begin_ns: not a whole number from 1000" },
		{ "\"end_ns\":1000", "\"end_ns\":2001", "intervals[0].end_ns: not a whole number from 0 to 2000" },
		{ "{\"vm\":0,\"vcpu\":0", "{\"vm\":1,\"vcpu\":0", "intervals[0].vcpus[0].vm: not a whole number from 0 to 0" },
		{ "{\"vm\":0,\"vcpu\":0", "{\"vm\":0,\"vcpu\":1", "intervals[0].vcpus[0].vcpu: not a whole number from 0 to 0" },
		{ "[[0,1,100],[1,2,500]]", "[]", "intervals[0].vcpus[0].rows: empty" },
		{ "[[0,1,100],[1,2,500]]", "[[2,1,100]]", "intervals[0].vcpus[0].rows[0]: not a whole number from 0 to 1" },
		{ "[[0,1,100],[1,2,500]]", "[[1,2,500],[0,1,100]]", "intervals[0].vcpus[0].rows[1]: not a whole number" },
		{ "[[0,1,100],[1,2,500]]", "[[0,3,100],[1,2,500]]",
		  "intervals[0].vcpus[0].rows[0]: with this, the intervals are more than the total" },
		{ "[[0,1,100],[1,2,500]]", "[[0,1,301],[1,2,500]]",
		  "intervals[0].vcpus[0].rows[0]: with this, the intervals are more than the total" },
		{ "[[0,1,100],[1,2,500]]", "[[0,1,100]]", "intervals: fewer exits than total.vms[0].vcpus[0].rows[1]" },
	};
	struct recording *r = small_recording();

	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		char *text = edited(text_of(r), edits[i].from, edits[i].to);

		assert_refused(text, edits[i].error);
		free(text);
	}
	recording_free(r);
}

static void vms_are_in_order_and_there_once(void **state)
{
	struct recording *r = synthetic_recording(1, 1, 0);
	char *text = edited(text_of(r), "\"id\":7", "\"id\":9");

	assert_refused(text, "total.vms[1].id: there already, or out of order");
	free(text);
	recording_free(r);
}

static void unknown_members_are_ignored(void **state)
{
	struct recording *r = small_recording(), *again;
	char *text = text_of(r);

	text = edited(text, "\"hostname\"", "\"weather\":{\"rain\":[1,2.5,null]},\"hostname\"");
	text = edited(text, "\"counters\":{", "\"counters\":{\"naps\":-1.5,");
	text = edited(text, "{\"reason\":96", "{\"mood\":\"good\",\"reason\":96");
	text = edited(text, "\"begin_ns\":0", "\"begin_ns\":0,\"moon\":true");
	again = parse(text);
	assert_same(r, again);
	recording_free(again);
	free(text);
	recording_free(r);
}

static void texts_that_cannot_be_printed_are_written_so_that_they_can(void **state)
{
	static const struct { const char *name, *read; } names[] = {
		{ "a\x1b[2J", "a?[2J" }, { "b\n", "b?" }, { "\xc3\xbc", "\xc3\xbc" }, { "\xc3", "?" }, { "\xff-\xc3\xbc", "?-??" },
		{ "c\xc2\x9b", "c??" }, { "\x7f", "?" }, { "\xe2\x80\xa8", "???" }, { "d\xe2\x80\xae", "d???" }, { "\xe2\x81\xa6", "???" },
		{ "\xe2\x81\xa9", "???" }, { "\xe2\x80\xa7\xe2\x80\xaf", "\xe2\x80\xa7\xe2\x80\xaf" },
		{ "\xe2\x81\xa5\xe2\x81\xaa", "\xe2\x81\xa5\xe2\x81\xaa" },
	};
	struct recording *r = small_recording(), *again;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text;

		strcpy(r->total.vms[0].name, names[i].name);
		text = text_of(r);
		again = parse(text);
		assert_string_equal(again->total.vms[0].name, names[i].read);
		recording_free(again);
		free(text);
	}
	recording_free(r);
}

static void an_interval_is_what_happened_in_it(void **state)
{
	struct recording *r = synthetic_recording(3, 7, 300);
	struct sample sum = { 0 }, delta;

	sample_copy(&sum, &r->total);
	for (size_t i = 0; i < r->nr_intervals; i++) {
		recording_interval(r, i, &delta);
		assert_int_equal(delta.nr_vms, r->total.nr_vms);
		for (size_t m = 0; m < delta.nr_vms; m++) {
			assert_string_equal(delta.vms[m].name, r->total.vms[m].name);
			assert_int_equal(delta.vms[m].nr_vcpus, r->total.vms[m].nr_vcpus);
			for (size_t c = 0; c < delta.vms[m].nr_vcpus; c++) {
				struct vcpu *v = &delta.vms[m].vcpus[c];

				assert_int_equal(v->id, r->total.vms[m].vcpus[c].id);
				for (size_t k = 0; k < v->nr_rows; k++) {
					struct exeunt_row *left = synthetic_find(&sum.vms[m].vcpus[c], v->rows[k].key);

					assert_true(v->rows[k].count && left->count >= v->rows[k].count);
					left->count -= v->rows[k].count;
					left->total -= v->rows[k].total;
				}
			}
		}
		sample_free(&delta);
	}
	for (size_t m = 0; m < sum.nr_vms; m++)
		for (size_t c = 0; c < sum.vms[m].nr_vcpus; c++)
			for (size_t k = 0; k < sum.vms[m].vcpus[c].nr_rows; k++)
				assert_true(!sum.vms[m].vcpus[c].rows[k].count && !sum.vms[m].vcpus[c].rows[k].total);
	sample_free(&sum);
	recording_free(r);
}

static size_t vcpus_with_rows(const struct recording *r, size_t interval)
{
	struct sample delta;
	size_t n = 0;

	recording_interval(r, interval, &delta);
	for (size_t m = 0; m < delta.nr_vms; m++)
		for (size_t c = 0; c < delta.vms[m].nr_vcpus; c++)
			n += delta.vms[m].vcpus[c].nr_rows > 0;
	sample_free(&delta);
	return n;
}

/* The first VM's first vCPU is taken out of the total only. */
static void a_vcpu_that_is_in_an_interval_alone_does_not_hide_the_others(void **state)
{
	struct recording *r = synthetic_recording(3, 2, 3000), *again;
	struct vm *vm = &r->total.vms[0];

	assert_int_equal(vcpus_with_rows(r, 0), 6);
	free(vm->vcpus[0].rows);
	memmove(vm->vcpus, vm->vcpus + 1, --vm->nr_vcpus * sizeof(*vm->vcpus));
	assert_int_equal(vcpus_with_rows(r, 0), 5);
	assert_int_equal(vcpus_with_rows(r, 1), 5);
	{
		char *text = text_of(r);

		again = parse(text);
		free(text);
	}
	assert_int_equal(vcpus_with_rows(again, 0), 5);
	assert_int_equal(vcpus_with_rows(again, 1), 5);
	recording_free(again);
	recording_free(r);
}

/* An only interval is the total, in counts and times. */
static void assert_is_total(const struct recording *r)
{
	struct sample whole;

	assert_int_equal(r->nr_intervals, 1);
	recording_interval(r, 0, &whole);
	for (size_t m = 0; m < whole.nr_vms; m++)
		for (size_t c = 0; c < whole.vms[m].nr_vcpus; c++) {
			const struct vcpu *v = &whole.vms[m].vcpus[c], *w = &r->total.vms[m].vcpus[c];

			assert_int_equal(v->nr_rows, w->nr_rows);
			for (size_t i = 0; i < v->nr_rows; i++)
				assert_true(v->rows[i].key == w->rows[i].key && v->rows[i].count == w->rows[i].count &&
					    v->rows[i].total == w->rows[i].total);
		}
	sample_free(&whole);
}

static void joined_intervals_are_still_the_whole(void **state)
{
	struct recording *r = synthetic_recording(4, 21, 100);
	size_t rows = r->nr_interval_rows;

	recording_coarsen(r, 21, rows);
	assert_int_equal(r->nr_intervals, 21);
	recording_coarsen(r, 10, rows);
	assert_int_equal(r->nr_intervals, 6);
	assert_int_equal(r->interval_ms, 2000);
	assert_int_equal(r->intervals[4].begin_ns, 8000000000);
	assert_int_equal(r->intervals[4].end_ns, 10000000000);
	assert_int_equal(r->intervals[5].end_ns, 10500000000);
	assert_survives(r);
	recording_coarsen(r, 21, 0);
	assert_is_total(r);
	assert_survives(r);
	recording_free(r);
}

static void selecting_leaves_what_is_meant(void **state)
{
	struct recording *r = synthetic_recording(6, 9, 200);
	const struct target one = { .vm = "database", .one_vcpu = true, .vcpu = 1 };
	const struct target all = { 0 };
	size_t rows = r->nr_interval_rows;

	recording_select(r, &all, "exeunt");
	assert_int_equal(r->nr_interval_rows, rows);
	recording_select(r, &one, NULL);
	assert_int_equal(r->total.nr_vms, 1);
	assert_int_equal(r->total.vms[0].nr_vcpus, 1);
	for (size_t i = 0; i < r->nr_intervals; i++) {
		assert_in_range(r->intervals[i].nr_vcpus, 0, 1);
		assert_true(!r->intervals[i].nr_vcpus || (r->intervals[i].vcpus[0].vm == 9 && r->intervals[i].vcpus[0].vcpu == 1));
	}
	assert_survives(r);
	recording_coarsen(r, 1, 0);
	assert_is_total(r);
	recording_select(r, &all, "kvm");
	assert_int_equal(r->total.nr_vms, 0);
	assert_int_equal(r->nr_interval_rows, 0);
	assert_survives(r);
	recording_free(r);
}

static void a_long_recording_gets_coarser(void **state)
{
	struct recording *r = small_recording();
	const size_t more = 2 * RECORDING_MAX_INTERVALS + RECORDING_MAX_INTERVALS / 2;
	const struct sample nothing = { 0 };
	uint64_t ms = 1000000;

	r->interval_ms = 1;
	for (size_t i = 1; i <= more; i++)
		recording_add_interval(r, i * ms, (i + 1) * ms, &nothing);
	r->duration_ns = (more + 1) * ms;
	assert_true(r->nr_intervals <= RECORDING_MAX_INTERVALS);
	assert_true(r->nr_intervals >= RECORDING_MAX_INTERVALS / 2);
	assert_int_equal(r->interval_ms, 4);
	for (size_t i = 0; i + 1 < r->nr_intervals; i++)
		assert_in_range((r->intervals[i].end_ns - r->intervals[i].begin_ns) / ms, 3, 5);
	assert_survives(r);
	recording_free(r);
}

static void a_row_in_json_says_what_a_person_wants_to_know(void **state)
{
	struct recording *r = small_recording();
	const struct vm *vm = &r->total.vms[0];
	struct exeunt_row row;
	json_t *json;

	row_init(&row, EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_USER, 0x830));
	for (int i = 1; i <= 1000; i++)
		synthetic_exit(&row, i * 100, vm->hist_shift);
	json = json_of_row(vm, &row, false);
	assert_int_equal(json_integer_value(json_object_get(json, "reason")), SVM_EXIT_MSR);
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "msr_write");
	assert_string_equal(json_string_value(json_object_get(json, "outcome")), "user");
	assert_int_equal(json_integer_value(json_object_get(json, "detail")), 0x830);
	assert_non_null(strstr(json_string_value(json_object_get(json, "detail_name")), "0x830"));
	assert_int_equal(json_integer_value(json_object_get(json, "count")), 1000);
	assert_int_equal(json_integer_value(json_object_get(json, "mean_ns")), (int)(50050 * vm->tick_ns + .5));
	assert_int_equal(json_integer_value(json_object_get(json, "max_ns")), (int)(100000 * vm->tick_ns + .5));
	assert_in_range(json_integer_value(json_object_get(json, "p50_ns")), 50000 * vm->tick_ns * .9, 50000 * vm->tick_ns * 1.1);
	assert_in_range(json_integer_value(json_object_get(json, "p99_9_ns")), 99900 * vm->tick_ns * .9, 99900 * vm->tick_ns * 1.1);
	assert_null(json_object_get(json, "histogram"));
	assert_null(json_object_get(json, "total_ticks"));
	json_decref(json);
	json = json_of_row(vm, &row, true);
	assert_true(json_array_size(json_object_get(json, "histogram")) > 20);
	assert_int_equal(json_integer_value(json_object_get(json, "total_ticks")), 50050000);
	json_decref(json);
	recording_free(r);
}

static void counters_in_json_are_those_that_are_not_zero(void **state)
{
	struct exeunt_counters c = { .runs = 3, .halts = 1 };
	json_t *json;

	c.interrupts[0xec] = 5;
	c.user_exits[EXEUNT_USER_ERROR] = 1;
	json = json_of_counters(&c);
	assert_int_equal(json_object_size(json), 4);
	assert_int_equal(json_integer_value(json_object_get(json, "runs")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json, "interrupts"), 0), "vector")), 0xec);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json, "user_exits"), 0), "reason")), 63);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back_the_same),
		cmocka_unit_test(recordings_without_exits_or_vms_read_back),
		cmocka_unit_test(reading_from_a_file_is_the_same),
		cmocka_unit_test(a_file_that_cannot_be_read_is_said_so),
		cmocka_unit_test(a_failed_write_is_told),
		cmocka_unit_test(truncated_recordings_are_refused),
		cmocka_unit_test(foreign_files_are_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(what_breaks_the_format_is_refused_with_its_place),
		cmocka_unit_test(vms_are_in_order_and_there_once),
		cmocka_unit_test(unknown_members_are_ignored),
		cmocka_unit_test(texts_that_cannot_be_printed_are_written_so_that_they_can),
		cmocka_unit_test(an_interval_is_what_happened_in_it),
		cmocka_unit_test(a_vcpu_that_is_in_an_interval_alone_does_not_hide_the_others),
		cmocka_unit_test(joined_intervals_are_still_the_whole),
		cmocka_unit_test(selecting_leaves_what_is_meant),
		cmocka_unit_test(a_long_recording_gets_coarser),
		cmocka_unit_test(a_row_in_json_says_what_a_person_wants_to_know),
		cmocka_unit_test(counters_in_json_are_those_that_are_not_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
