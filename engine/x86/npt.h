/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nested page tables (APM vol. 2, 15.25): guest-physical to host-physical, filled on demand, 4 KiB and 2 MiB leaves, as deep
 * as the host's own tables. npt.c owns struct npt and every table page.
 */
#ifndef EXEUNT_X86_NPT_H
#define EXEUNT_X86_NPT_H

#include "host.h"

struct vm;
struct vcpu;

struct npt {
	u64 *root;
	u64 root_pa;
	u8 levels;		/* 4 or 5 */
	u64 nr_tables;		/* table pages in use, the root included */
	u64 detached;		/* list of tables that no entry names any more, linked through their first entry; 0 ends it */
};

/* -ENOMEM. */
int npt_create(struct vm *vm, unsigned int levels);
/* Frees all tables; no vCPU of the VM can run any more. */
void npt_destroy(struct vm *vm);

/*
 * Nested page fault at @gpa (error code in PF_* bits). RESUME when mapped (or when somebody else did it); EXIT_TO_USER never;
 * NPT_MMIO if no slot backs it or the slot is read-only and this is a write; -EFAULT, -ENOMEM. May sleep.
 */
#define NPT_MMIO 2
int npt_fault(struct vcpu *v, u64 gpa, u32 error);

/*
 * Removes translations of [@start, @end) guest frames. True if a TLB flush is needed. Caller holds host_mmu_lock. Tables that the
 * range covers whole are detached; npt_reap, called after the flush with the lock held, frees them.
 */
bool npt_unmap(struct vm *vm, u64 start, u64 end);
void npt_reap(struct vm *vm);
/* Makes [@start, @end) read-only, splitting large leaves (by removal). Same rules. */
bool npt_write_protect(struct vm *vm, u64 start, u64 end);
/* Tests, and with @clear clears, the accessed bits of [@start, @end). Same rules. */
bool npt_age(struct vm *vm, u64 start, u64 end, bool clear);

#endif
