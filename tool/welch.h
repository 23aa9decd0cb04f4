/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is the mean of one sample another than that of a second one? Welch's t-test, which does not assume equal variances, with a confidence
 * interval of the difference, Hedges' g for its size, and Holm's correction for many such questions at once.
 */
#ifndef EXEUNT_TOOL_WELCH_H
#define EXEUNT_TOOL_WELCH_H

#include <stdbool.h>
#include <stddef.h>

/* What the test needs of a sample. */
struct moments {
	double n;		/* observations */
	double mean;
	double variance;	/* with n - 1; >= 0 */
};

/* Every number is finite. */
struct welch {
	double difference;	/* mean of b less mean of a */
	double low, high;	/* its confidence interval */
	double t, df;
	double p;		/* two-sided */
	double g;		/* Hedges' g: difference by the pooled standard deviation, corrected for small samples; its sign is the difference's */
	/*
	 * Neither sample varies, so there is nothing to calculate: p is 1 when the means are equal and 0 when not, the interval has no width,
	 * and t, df and g are 0.
	 */
	bool constant;
};

/* False, and @w zeroed, if a sample has less than two observations. @confidence: of the interval, 0 to 1 exclusive. */
bool welch_test(struct welch *w, const struct moments *a, const struct moments *b, double confidence);

/* Holm's correction, in place and in the order they came: each @p becomes what may be held against the level of the whole family. */
void holm_correct(double *p, size_t n);

/* How large is that, by Cohen's thresholds 0.2, 0.5 and 0.8? */
enum effect { EFFECT_NEGLIGIBLE, EFFECT_SMALL, EFFECT_MEDIUM, EFFECT_LARGE };
/* EFFECT_LARGE where constant samples differ. */
enum effect welch_effect(const struct welch *w);
const char *effect_word(enum effect e);		/* "negligible", ... */

/* Of two samples that were drawn apart, as if they had been one. */
struct moments moments_join(const struct moments *a, const struct moments *b);

#endif
