/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples from stock KVM: a BPF program on its trace points (bpf/exits.bpf.c) keeps count in the kernel from the opening of the source
 * on. Rows are in nanoseconds.
 *
 * A VM is a process: the trace points do not tell which of several VMs in one process an exit belongs to, and vCPUs of the same number
 * are added up. For a thread that runs several vCPUs in turn, an exit lasts until its next entry of any of them, and the counters are
 * those of all, under the first's number.
 *
 * Of the counters stock KVM tells: runs and user_exits; preemptions, from the vCPU's first entry or exit in a KVM_RUN on; interrupts
 * (those that KVM injects: none that AVIC, APICv or a GIC delivers) and exceptions; ipis as sent, whether taken or not, to one or several
 * as far as the ICR's value says; halts, halt_wait_ns and polls that won; polls that lost from when their length has changed for the first
 * time; fpu_guest_loads; rows_lost. Not told, and 0: nmis, ipi_targets and the others.
 */
#ifndef EXEUNT_TOOL_SOURCE_BPF_H
#define EXEUNT_TOOL_SOURCE_BPF_H

#include "model.h"

struct bpf_source;

/* NULL with a line on stderr and *@status set to STATUS_FAILED. Of @t only the process narrows down what is counted. */
struct bpf_source *bpf_source_open(const struct target *t, int *status);
/*
 * 0, or -1 with a line on stderr. What threads that are gone have left in the kernel's tables is taken over here, so that the tables
 * hold what lives; of ended VMs the last EXEUNT_MAX_ENDED are kept.
 */
int bpf_source_read(struct bpf_source *src, struct sample *s);
void bpf_source_close(struct bpf_source *src);

#endif
