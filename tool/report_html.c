// SPDX-License-Identifier: GPL-2.0
/*
 * See report_html.h.
 */
#include <stdlib.h>
#include <string.h>
#include "report_html.h"
#include "util.h"

/* More are finer than a screen; more rows make the page slow to open. */
#define PAGE_INTERVALS		1000
#define PAGE_INTERVAL_ROWS	(1 << 18)

/* report.html, which the program carries within it, and where the recording goes in it. */
extern const char _binary_report_html_start[], _binary_report_html_end[];
static const char mark[] = "@RECORDING@";

/*
 * The recording stands in a script element, which ends where "</script" does, whatever that is to JSON. '<' occurs in JSON's strings only,
 * and may be written otherwise there.
 */
static void write_escaped(const char *json, FILE *f)
{
	for (; *json; json++) {
		if (*json == '<')
			fputs("\\u003c", f);
		else
			fputc(*json, f);
	}
}

void report_html(struct recording *r, FILE *f)
{
	const char *begin = _binary_report_html_start, *end = _binary_report_html_end;
	const char *place = memmem(begin, end - begin, mark, strlen(mark));
	char *json = NULL;
	size_t size;
	FILE *text = open_memstream(&json, &size);

	recording_coarsen(r, PAGE_INTERVALS, PAGE_INTERVAL_ROWS);
	if (!text || recording_write(r, text) || fclose(text))
		die(STATUS_FAILED, "out of memory");
	fwrite(begin, 1, place - begin, f);
	write_escaped(json, f);
	fwrite(place + strlen(mark), 1, end - place - strlen(mark), f);
	free(json);
}
