// SPDX-License-Identifier: GPL-2.0
/*
 * See welch.h. The distributions are GSL's.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sf_gamma.h>
#include "util.h"
#include "welch.h"

/* From here on t is normal for every purpose, and GSL's approximations are not made for more. */
#define MOST_DF		1e9

/* Variance below this share of the mean's square is what rounding leaves of none: sums of squares have 64 bits of precision. */
#define ROUNDING	1e-18

static double spread(const struct moments *m)
{
	return m->variance > m->mean * m->mean * ROUNDING ? m->variance : 0;
}

/*
 * What makes the standardized difference unbiased (Hedges 1981): gamma(df/2) / (sqrt(df/2) gamma((df-1)/2)). From MANY on its first-order
 * form is as exact, while the gamma functions' quotient loses digits.
 */
#define MANY	1e5
static double small_sample_correction(double df)
{
	if (df > MANY)
		return 1 - 3 / (4 * df - 1);
	return gsl_sf_poch((df - 1) / 2, 0.5) / sqrt(df / 2);
}

static double hedges_g(const struct moments *a, const struct moments *b)
{
	double df = a->n + b->n - 2;
	double pooled = ((a->n - 1) * spread(a) + (b->n - 1) * spread(b)) / df;

	return (b->mean - a->mean) / sqrt(pooled) * small_sample_correction(df);
}

bool welch_test(struct welch *w, const struct moments *a, const struct moments *b, double confidence)
{
	double error_a, error_b, error, share, half;

	memset(w, 0, sizeof(*w));
	if (a->n < 2 || b->n < 2)
		return false;
	error_a = spread(a) / a->n;
	error_b = spread(b) / b->n;
	error = sqrt(error_a + error_b);
	w->difference = w->low = w->high = b->mean - a->mean;
	if (!(error > 0)) {
		/* Means are quotients: equal ones may differ in the last bits. */
		w->constant = true;
		w->p = fabs(w->difference) <= fmax(fabs(a->mean), fabs(b->mean)) * 1e-12;
		return true;
	}
	share = error_a / (error_a + error_b);
	w->t = w->difference / error;
	w->df = 1 / (share * share / (a->n - 1) + (1 - share) * (1 - share) / (b->n - 1));
	w->p = 2 * gsl_cdf_tdist_Q(fabs(w->t), fmin(w->df, MOST_DF));
	half = gsl_cdf_tdist_Qinv((1 - confidence) / 2, fmin(w->df, MOST_DF)) * error;
	w->low -= half;
	w->high += half;
	w->g = hedges_g(a, b);
	return true;
}

enum effect welch_effect(const struct welch *w)
{
	double size = fabs(w->g);

	if (w->constant)
		return w->p < 1 ? EFFECT_LARGE : EFFECT_NEGLIGIBLE;
	return size < 0.2 ? EFFECT_NEGLIGIBLE : size < 0.5 ? EFFECT_SMALL : size < 0.8 ? EFFECT_MEDIUM : EFFECT_LARGE;
}

const char *effect_word(enum effect e)
{
	static const char *const words[] = { "negligible", "small", "medium", "large" };

	return words[e];
}

static int by_value(const void *a, const void *b)
{
	double x = **(double *const *)a, y = **(double *const *)b;

	return (x > y) - (x < y);
}

void holm_correct(double *p, size_t n)
{
	double **sorted = xcalloc(n, sizeof(*sorted));
	double largest = 0;

	for (size_t i = 0; i < n; i++)
		sorted[i] = &p[i];
	qsort(sorted, n, sizeof(*sorted), by_value);
	for (size_t i = 0; i < n; i++) {
		largest = fmax(largest, fmin(1, *sorted[i] * (n - i)));
		*sorted[i] = largest;
	}
	free(sorted);
}

struct moments moments_join(const struct moments *a, const struct moments *b)
{
	struct moments m = { .n = a->n + b->n };
	double apart = b->mean - a->mean, squares;

	if (!a->n || !b->n)
		return a->n ? *a : *b;
	m.mean = (a->n * a->mean + b->n * b->mean) / m.n;
	squares = (a->n - 1) * a->variance + (b->n - 1) * b->variance + apart * apart * a->n / m.n * b->n;
	m.variance = squares / (m.n - 1);
	return m;
}
