// SPDX-License-Identifier: GPL-2.0
/*
 * Defines the trace points that trace.h declares. Owns the key that says whether the fast path is traced.
 */
#include <linux/types.h>
#include <linux/minmax.h>
#define CREATE_TRACE_POINTS
#include "trace.h"

DEFINE_STATIC_KEY_FALSE(trace_fast);

/* An event gets its first probe, or loses its last. */
int trace_fast_on(void)
{
	static_branch_inc(&trace_fast);
	return 0;
}

void trace_fast_off(void)
{
	static_branch_dec(&trace_fast);
}
