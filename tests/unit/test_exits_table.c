// SPDX-License-Identifier: GPL-2.0
/* test_exits, of the other build: exits reach their handlers through a table (make DISPATCH=table), and nothing else changes. */
#define EXEUNT_DISPATCH_TABLE
#include "x86/svm/exits.c"
#include "test_exits.c"
