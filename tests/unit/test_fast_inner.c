// SPDX-License-Identifier: GPL-2.0
/* All of test_fast.c, the inner loop (svm/inner.c) dealing with what it knows. */
#define WITH_INNER_LOOP
#include "test_fast.c"
