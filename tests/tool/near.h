/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Comparing computed numbers with known ones.
 */
#ifndef EXEUNT_TESTS_NEAR_H
#define EXEUNT_TESTS_NEAR_H

#include <math.h>

/* @a is @b, but for a part of @b. */
#define assert_near(a, b, relative) \
	do { \
		double near_a = (a), near_b = (b); \
		if (!(fabs(near_a - near_b) <= fabs(near_b) * (relative))) \
			fail_msg("%s is %.15g, not %.15g", #a, near_a, near_b); \
	} while (0)

#endif
