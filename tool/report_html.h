/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording as one HTML page that needs nothing else: report.html with the recording in it.
 */
#ifndef EXEUNT_TOOL_REPORT_HTML_H
#define EXEUNT_TOOL_REPORT_HTML_H

#include "recording.h"

/* Joins intervals of @r that are more than a page can show. Errors stay on @f, see ferror(). */
void report_html(struct recording *r, FILE *f);

#endif
