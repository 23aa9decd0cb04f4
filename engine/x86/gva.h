/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's own address translation in software: segmentation and page tables (none, 32-bit, PAE,
 * 4 and 5 levels), for instructions that the engine completes. Reads guest memory through host.h;
 * holds no state.
 */
#ifndef EXEUNT_X86_GVA_H
#define EXEUNT_X86_GVA_H

#include "host.h"

struct vcpu;

#define GUEST_PAGE_SIZE	4096u

/* A guest-visible fault that a translation found. */
struct guest_fault {
	u8 vector;		/* VEC_PF, VEC_GP or VEC_SS */
	u32 error;
	u64 cr2;
};

enum gva_access {
	GVA_READ = 0,
	GVA_WRITE = 1,
	GVA_FETCH = 2,
	GVA_SYSTEM = 4,		/* supervisor access whatever CPL is */
	GVA_PROBE = 8,		/* only look: no permissions, no accessed and dirty bits */
};

/*
 * Linear address to guest-physical. @access: enum gva_access bits. Honours CR0.WP, CR4.SMEP/SMAP
 * (with EFLAGS.AC), EFER.NXE; CR4.PKE is ignored; sets accessed and dirty bits as the CPU would
 * (atomically). A table that no memory backs is not present. 0, or -EFAULT with *@fault filled in.
 * May sleep. APM vol. 2, chapter 5.
 */
int gva_to_gpa(struct vcpu *v, u64 gva, unsigned int access, u64 *gpa, struct guest_fault *fault);

/*
 * Segment:offset to linear: limit, canonical and type checks by mode (APM vol. 2, 4.5 to 4.12;
 * 5.3.1). @size bytes (not 0) are about to be accessed; @access: GVA_READ, GVA_WRITE or GVA_FETCH
 * (with SEG_CS). 0, or -EFAULT with #GP or #SS in *@fault.
 */
int seg_to_linear(struct vcpu *v, unsigned int seg, u64 offset, u32 size, unsigned int access,
		  u64 *linear, struct guest_fault *fault);

/* Whether @gva is canonical for the guest's number of paging levels. */
bool gva_canonical(struct vcpu *v, u64 gva);

/* Queues *@fault on the vCPU. */
void gva_inject_fault(struct vcpu *v, const struct guest_fault *fault);

#endif
