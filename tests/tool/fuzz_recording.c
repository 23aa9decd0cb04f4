// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of recordings on arbitrary bytes: it refuses with one line, or what it made of them can be written, is read again to the same,
 * and does no harm to those that compute with it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "recording.h"

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static char *text_of(const struct recording *r, size_t *size)
{
	char *text;
	FILE *f = open_memstream(&text, size);

	MUST(f && recording_write(r, f) == 0);
	fclose(f);
	return text;
}

static void check_row(const struct vm *vm, const struct exeunt_row *row)
{
	double p = row_percentile(row, vm->hist_shift, .5);

	MUST(p >= row->min && p <= row->max);
	MUST(isfinite(row_mean(row)) && row_variance(row) >= 0 && row_error(row) >= 0);
}

static void compute(const struct recording *r)
{
	struct table table;

	for (size_t m = 0; m < r->total.nr_vms; m++)
		for (size_t c = 0; c < r->total.vms[m].nr_vcpus; c++)
			for (size_t i = 0; i < r->total.vms[m].vcpus[c].nr_rows; i++)
				check_row(&r->total.vms[m], &r->total.vms[m].vcpus[c].rows[i]);
	table_make(&table, &r->total, "exeunt", VIEW_REASON);
	table_free(&table);
	for (size_t i = 0; i < r->nr_intervals; i++) {
		struct sample delta;

		recording_interval(r, i, &delta);
		table_make(&table, &delta, "exeunt", VIEW_MSR);
		table_free(&table);
		sample_free(&delta);
	}
}

static struct recording *parse_own(const char *text, size_t size)
{
	char error[256];
	struct recording *r = recording_parse(text, size, error, sizeof(error));

	if (!r)
		fprintf(stderr, "refuses what it wrote: %s\n%s\n", error, text);
	MUST(r);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[256] = "";
	struct recording *r = recording_parse((const char *)data, size, error, sizeof(error)), *again;
	char *text, *same;
	size_t len, same_len;

	if (!r) {
		MUST(*error && strlen(error) < sizeof(error) && !strchr(error, '\n'));
		return 0;
	}
	compute(r);
	text = text_of(r, &len);
	again = parse_own(text, len);
	same = text_of(again, &same_len);
	MUST(len == same_len && !memcmp(text, same, len));
	recording_free(again);
	again = parse_own(text, len);
	recording_coarsen(again, 1, 0);
	free(same);
	same = text_of(again, &same_len);
	recording_free(parse_own(same, same_len));
	recording_free(again);
	recording_free(r);
	free(same);
	free(text);
	return 0;
}
