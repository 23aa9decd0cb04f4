/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where samples come from: Exeunt's module (source_exeunt.c) or, on stock KVM, a BPF program on the kvm trace points (source_bpf.c).
 * Linked, not tabled: source.c chooses by a switch.
 */
#ifndef EXEUNT_TOOL_SOURCE_H
#define EXEUNT_TOOL_SOURCE_H

#include "model.h"

enum engine { ENGINE_AUTO, ENGINE_EXEUNT, ENGINE_KVM };

struct source;

/*
 * Begins watching. ENGINE_AUTO: Exeunt's module where it is loaded, stock KVM's trace points where that runs (kvm module loaded, or
 * /dev/kvm there and not Exeunt's), both where both do. NULL on failure, with one line on standard error that says what is missing (no module, no
 * permission, another version, no BTF) and @status set to the command's exit status (1). From here on every exit counts.
 */
struct source *source_open(enum engine engine, const struct target *t, int *status);
/* The VMs now. Cumulative; those that have ended since source_open() are there with what they had. 0, or -1 with a line on stderr. */
int source_read(struct source *src, struct sample *s);
void source_close(struct source *src);

/* "auto", "exeunt", "kvm"; -1 for anything else. */
int engine_parse(const char *word);

#endif
