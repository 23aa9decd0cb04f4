/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What there is to say of many measurements of the same thing.
 */
#ifndef EXEUNT_TOOL_SUMMARY_H
#define EXEUNT_TOOL_SUMMARY_H

#include <stddef.h>

/* Minimum, median and percentile are values that were seen: of an even number the median is the upper of the two in the middle. */
struct summary {
	size_t n;
	double min, median, p99, max;
	double mean;
	double error;			/* standard error of the mean */
	double half_width;		/* of the mean's 95 % confidence interval, by Student's t */
};

/* Sorts the values. From no value all numbers are 0; of one, error and half_width are. */
void summarize(struct summary *s, double *values, size_t n);

#endif
