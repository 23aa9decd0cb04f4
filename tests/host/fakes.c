// SPDX-License-Identifier: GPL-2.0
/*
 * Stand-ins for the engine files that a test does not link: weak, so that the real function wins
 * where it is linked. Each does the least that its header promises, in the state that a test can
 * look at.
 */
#include "machine.h"
#include "run.h"
#include "x86/svm/svm.h"

#define FAKE __attribute__((weak))

struct svm_features svm FAKE;

/* --- event.c --- */

FAKE void event_exception(struct vcpu *v, u8 vector)
{
	v->ev.exception.pending = true;
	v->ev.exception.vector = vector;
	v->ev.exception.has_error = false;
	v->ev.exception.error = 0;
}

FAKE void event_exception_error(struct vcpu *v, u8 vector, u32 error)
{
	v->ev.exception.pending = true;
	v->ev.exception.vector = vector;
	v->ev.exception.has_error = true;
	v->ev.exception.error = error;
}

FAKE void event_page_fault(struct vcpu *v, u64 cr2, u32 error)
{
	vcpu_set_cr2(v, cr2);
	event_exception_error(v, VEC_PF, error);
}

FAKE void event_nmi(struct vcpu *v)
{
	__atomic_fetch_add(&machine_of(v)->nmis, 1, __ATOMIC_RELAXED);
	vcpu_request(v, REQ_NMI);
	host_kick(v);
}

/* --- msr.c --- */

FAKE u64 msr_guest_tsc(struct vcpu *v)
{
	return host_tsc() + v->msr.tsc_offset;
}

/* --- run.c --- */

FAKE void vcpu_reset(struct vcpu *v, bool init)
{
	if (init)
		machine_of(v)->inits++;
	else
		machine_of(v)->resets++;
}

FAKE void vcpu_start_at(struct vcpu *v, u8 sipi_vector)
{
	machine_of(v)->started_at = sipi_vector;
}

/* --- lapic.c, lapic_timer.c --- */

FAKE bool lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *data)
{
	return false;
}

FAKE bool lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *data)
{
	return false;
}

FAKE void lapic_timer_expired(struct vcpu *v)
{
}

/* --- svm/inner.c --- */

FAKE bool svm_inner(struct vcpu *v)
{
	return false;
}

/* --- svm/svm.c --- */

FAKE void vcpu_advance_to(struct vcpu *v, u64 next_rip)
{
	VMCB(v)->s.rip = vcpu_is_64bit(v) ? next_rip : (u32)next_rip;
	vcpu_clear_shadow(v);
}

/* --- svm/avic.c --- */

FAKE void vendor_apic_changed(struct vcpu *v)
{
}

FAKE void svm_avic_leave_cpu(struct vcpu *v)
{
}

/* --- svm/svm.c --- */

/* Where the VMCB keeps each segment, by enum seg. */
static const size_t segment_offset[] = {
	offsetof(struct vmcb, s.es), offsetof(struct vmcb, s.cs),   offsetof(struct vmcb, s.ss),
	offsetof(struct vmcb, s.ds), offsetof(struct vmcb, s.fs),   offsetof(struct vmcb, s.gs),
	offsetof(struct vmcb, s.tr), offsetof(struct vmcb, s.ldtr),
};

static void *vmcb_segment(struct vcpu *v, unsigned int seg)
{
	if (seg >= ARRAY_SIZE(segment_offset))
		abort();
	return (u8 *)VMCB(v) + segment_offset[seg];
}

FAKE void vcpu_get_segment(struct vcpu *v, unsigned int seg, struct kvm_segment *out)
{
	struct vmcb_seg in;

	memcpy(&in, vmcb_segment(v, seg), sizeof(in));
	*out = (struct kvm_segment){
		.base = in.base,
		.limit = in.limit,
		.selector = in.selector,
		.type = in.attrib & 15,
		.s = in.attrib >> 4 & 1,
		.dpl = in.attrib >> 5 & 3,
		.present = in.attrib >> 7 & 1,
		.avl = in.attrib >> 8 & 1,
		.l = in.attrib >> 9 & 1,
		.db = in.attrib >> 10 & 1,
		.g = in.attrib >> 11 & 1,
		.unusable = !(in.attrib >> 7 & 1),
	};
}

FAKE void vcpu_set_segment(struct vcpu *v, unsigned int seg, const struct kvm_segment *in)
{
	struct vmcb_seg out = {
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.attrib = (in->type & 15) | (in->s & 1) << 4 | (in->dpl & 3) << 5 |
			  (in->present & 1) << 7 | (in->avl & 1) << 8 | (in->l & 1) << 9 |
			  (in->db & 1) << 10 | (in->g & 1) << 11,
	};

	memcpy(vmcb_segment(v, seg), &out, sizeof(out));
}
