/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples from Exeunt's module, by /dev/exeunt (include/exeunt/stats.h).
 */
#ifndef EXEUNT_TOOL_SOURCE_EXEUNT_H
#define EXEUNT_TOOL_SOURCE_EXEUNT_H

#include "model.h"

struct exeunt_source;

/* Is there a /dev/exeunt? If so, *@owns_dev_kvm: whether the module answers as /dev/kvm too; true if it does not let us ask. */
bool exeunt_present(bool *owns_dev_kvm);
/* NULL with a line on stderr and *@status set. Only what @t means is read; it must live as long as the source. */
struct exeunt_source *exeunt_source_open(const struct target *t, int *status);
/* 0, or -1 with a line on stderr. */
int exeunt_source_read(struct exeunt_source *src, struct sample *s);
void exeunt_source_close(struct exeunt_source *src);

#endif
