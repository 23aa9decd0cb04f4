// SPDX-License-Identifier: GPL-2.0
/*
 * See summary.h. The distribution is GSL's.
 */
#include <math.h>
#include <string.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include "summary.h"

#define CONFIDENCE 0.95

void summarize(struct summary *s, double *values, size_t n)
{
	memset(s, 0, sizeof(*s));
	if (!n)
		return;
	gsl_sort(values, 1, n);
	s->n = n;
	s->min = values[0];
	s->median = values[n / 2];
	s->p99 = values[n - 1 - n / 100];
	s->max = values[n - 1];
	s->mean = gsl_stats_mean(values, 1, n);
	if (n < 2)
		return;
	s->error = gsl_stats_sd_m(values, 1, n, s->mean) / sqrt(n);
	s->half_width = s->error * gsl_cdf_tdist_Pinv((1 + CONFIDENCE) / 2, n - 1);
}
