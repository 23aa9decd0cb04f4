// SPDX-License-Identifier: GPL-2.0
/*
 * Formats of metrics as HTTP names them, and which of them a client wants: RFC 9110, 12.5.1. See metrics.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "metrics.h"
#include "util.h"

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
					       "text/plain; version=0.0.4; charset=utf-8";
}

/* How well a media range of an Accept header, without parameters, describes @type "/" @subtype: 0 not, 1 by wildcards, to 3. */
static int matches(const char *range, size_t len, const char *type, const char *subtype)
{
	char *full = xasprintf("%s/%s", type, subtype), *any = xasprintf("%s/*", type);
	int how = 0;

	if (len == strlen(full) && !strncasecmp(range, full, len))
		how = 3;
	else if (len == strlen(any) && !strncasecmp(range, any, len))
		how = 2;
	else if (len == 3 && !strncmp(range, "*/*", len))
		how = 1;
	free(full);
	free(any);
	return how;
}

/* The weight of a media range; its parameters begin at @s. */
static double weight(const char *s, const char *end)
{
	while (s < end && (s = memchr(s, ';', end - s))) {
		s++;
		s += strspn(s, " \t");
		if (!strncasecmp(s, "q=", 2))
			return strtod(s + 2, NULL);
	}
	return 1;
}

/* The weight that @accept gives to a type, by the range that describes it best, and of such the heaviest. */
static double weight_of(const char *accept, const char *type, const char *subtype)
{
	double best = 0;
	int best_match = 0;

	while (*accept) {
		const char *range = accept + strspn(accept, " \t"), *end = range + strcspn(range, ",");
		int match = matches(range, strcspn(range, ";, \t"), type, subtype);
		double w = weight(range, end);

		if (match && (match > best_match || (match == best_match && w > best))) {
			best_match = match;
			best = w;
		}
		accept = *end ? end + 1 : end;
	}
	return best;
}

enum metrics_format metrics_preferred(const char *accept)
{
	if (!accept)
		return METRICS_OPENMETRICS;
	return weight_of(accept, "text", "plain") > weight_of(accept, "application", "openmetrics-text") ? METRICS_PROMETHEUS :
												     METRICS_OPENMETRICS;
}
