// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's address translation in software. A walk first reads the entries of all levels and
 * finds the permissions, and only when the access is allowed sets accessed and dirty bits.
 */
#include "x86/vcpu.h"
#include "x86/gva.h"

#define PTE_PRESENT	(1ull << 0)
#define PTE_WRITE	(1ull << 1)
#define PTE_USER	(1ull << 2)
#define PTE_ACCESSED	(1ull << 5)
#define PTE_DIRTY	(1ull << 6)
#define PTE_LARGE	(1ull << 7)
#define PTE_NX		(1ull << 63)
#define PTE_KEY(entry)	((entry) >> 59 & 15)	/* of a leaf, with CR4.PKE */
#define PTE_ADDRESS	0x000ffffffffff000ull
#define PTE32_ADDRESS	0xfffff000ull

#define MAX_LEVELS	5
#define MAX_RETRIES	16	/* of a walk whose entries another vCPU changes under us */

/* How the guest's tables look. */
struct format {
	u8 levels;
	u8 entry_size;		/* 4 or 8 */
	u8 index_bits;		/* 10 or 9 */
	bool pae;		/* three levels: the top one's entries have no permissions */
	bool nx, pse, keys;
	u64 phys_mask;		/* address bits that the guest's CPU has */
	u64 reserved;		/* bits that are zero in every present entry of 8 bytes */
};

/* What a walk found, level 0 the root's entry. */
struct walk {
	struct format f;
	u8 depth;		/* entries read */
	bool present, reserved, nx;
	u64 all;		/* the bits that all its entries have, PDPEs of three levels left out */
	u64 entry_gpa[MAX_LEVELS];
	u64 entry[MAX_LEVELS];
	u64 gpa;
};

static void paging_format(struct vcpu *v, struct format *f)
{
	u64 cr4 = vcpu_cr4(v), efer = vcpu_efer(v);
	unsigned int bits = v->cpuid.maxphyaddr ? v->cpuid.maxphyaddr : 52;

	*f = (struct format){ .levels = 2, .entry_size = 4, .index_bits = 10 };
	f->phys_mask = (1ull << (bits < 52 ? bits : 52)) - 1;
	f->pse = cr4 & CR4_PSE_BIT;
	if (!(cr4 & CR4_PAE_BIT))
		return;
	f->entry_size = 8;
	f->index_bits = 9;
	f->pse = true;
	f->nx = efer & EFER_NXE_BIT;
	f->pae = !(efer & EFER_LMA_BIT);
	f->reserved = (PTE_ADDRESS & ~f->phys_mask) | (f->nx ? 0 : PTE_NX);
	if (f->pae)
		f->reserved |= 0x7ff0000000000000ull;
	f->levels = f->pae ? 3 : cr4 & CR4_LA57_BIT ? 5 : 4;
	f->keys = !f->pae && (cr4 & CR4_PKE_BIT);
}

static u64 root_table(struct vcpu *v, const struct format *f)
{
	u64 cr3 = vcpu_cr3(v);

	if (f->entry_size == 4)
		return cr3 & PTE32_ADDRESS;
	if (f->pae)
		return cr3 & 0xffffffe0ull;
	return cr3 & PTE_ADDRESS & f->phys_mask;
}

/*
 * One entry on the way down: @above levels of tables are below it, and it leaves @shift bits of the
 * linear address untranslated.
 */
struct step {
	unsigned int above, shift;
};

static bool is_leaf(const struct format *f, struct step at, u64 entry)
{
	if (!at.above)
		return true;
	if (!(entry & PTE_LARGE))
		return false;
	return at.above == 1 ? f->pse : at.above == 2 && !f->pae;
}

/* Bits that must be zero in a present @entry (APM vol. 2, 5.2 to 5.4). */
static u64 reserved_bits(const struct format *f, struct step at, bool leaf)
{
	if (f->entry_size == 4) {
		if (!leaf || !at.above)
			return 0;
		/* PSE-36: entry bits 13 to 20 are address bits 32 to 39. */
		return (1ull << 21) | (((PTE_ADDRESS & ~f->phys_mask) >> 32 & 0xff) << 13);
	}
	/*
	 * Bits 5 and 6 of a PDPE are reserved too, but CPU emulators set them as accessed and dirty
	 * bits.
	 */
	if (f->pae && at.above == 2)
		return f->reserved | PTE_NX | 0x186;
	if (leaf && at.above)
		return f->reserved | (((1ull << at.shift) - 1) & ~0x1fffull);
	return leaf || at.above < 3 ? f->reserved : f->reserved | PTE_LARGE;
}

static u64 leaf_address(const struct format *f, struct step at, u64 entry, u64 gva)
{
	u64 offset = (1ull << at.shift) - 1;
	u64 base;

	if (f->entry_size == 4) {
		base = entry & 0xffffffffull & ~offset;
		if (at.above)
			base |= (entry >> 13 & 0xff) << 32;
	} else {
		base = entry & PTE_ADDRESS & ~offset;
	}
	return base | (gva & offset);
}

/* Reads the entries that translate @gva and gathers their permissions. Changes nothing. */
static void walk_tables(struct vcpu *v, struct host_reader *reader, u64 gva, struct walk *w)
{
	const struct format *f = &w->f;
	struct step at = { .above = f->levels, .shift = 12 + f->index_bits * f->levels };
	u64 table = root_table(v, f), index_mask = (1ull << f->index_bits) - 1;

	w->present = w->reserved = w->nx = false;
	w->all = ~0ull;
	w->depth = 0;
	while (at.above--) {
		bool pdpte = f->pae && at.above == 2, leaf;
		unsigned int level = w->depth++;
		u64 index, entry;

		at.shift -= f->index_bits;
		index = gva >> at.shift & (pdpte ? 3 : index_mask);
		w->entry_gpa[level] = table + index * f->entry_size;
		if (host_reader_get(reader, w->entry_gpa[level], f->entry_size, &entry) || !(entry & PTE_PRESENT))
			return;
		w->entry[level] = entry;
		leaf = is_leaf(f, at, entry);
		if (entry & reserved_bits(f, at, leaf)) {
			w->reserved = true;
			return;
		}
		if (!pdpte) {
			w->all &= entry;
			w->nx |= f->nx && (entry & PTE_NX);
		}
		if (leaf) {
			w->gpa = leaf_address(f, at, entry, gva);
			w->present = true;
			return;
		}
		table = entry & (f->entry_size == 4 ? PTE32_ADDRESS : PTE_ADDRESS);
	}
}

/* Whether PKRU denies an access to the page's data (APM vol. 2, 5.6.7): of each key's two bits the lower is for all, the upper for writes. */
static noinline bool key_denies(struct vcpu *v, const struct walk *w, unsigned int access, bool user)
{
	unsigned int rights;

	if (!w->present || !(w->all & PTE_USER) || (access & GVA_FETCH))
		return false;
	rights = v->pkru >> 2 * PTE_KEY(w->entry[w->depth - 1]) & 3;
	return (rights & 1) || (rights && (access & GVA_WRITE) && (user || (vcpu_cr0(v) & CR0_WP_BIT)));
}

static __always_inline bool denied_by_key(struct vcpu *v, const struct walk *w, unsigned int access, bool user)
{
	return unlikely(w->f.keys) && key_denies(v, w, access, user);
}

/* Whether the access is allowed by what the walk found (APM vol. 2, 5.6). */
static bool permitted(struct vcpu *v, const struct walk *w, unsigned int access, bool user)
{
	bool user_page = w->all & PTE_USER;

	if ((user && !user_page) || denied_by_key(v, w, access, user))
		return false;
	if ((access & GVA_FETCH) && (w->nx || (!user && user_page && (vcpu_cr4(v) & CR4_SMEP_BIT))))
		return false;
	if ((access & GVA_WRITE) && !(w->all & PTE_WRITE) && (user || (vcpu_cr0(v) & CR0_WP_BIT)))
		return false;
	/* SMAP: EFLAGS.AC excuses explicit accesses only. */
	if (!user && user_page && !(access & GVA_FETCH) && (vcpu_cr4(v) & CR4_SMAP_BIT))
		return !(access & GVA_SYSTEM) && (vcpu_rflags(v) & FLAG_AC);
	return true;
}

static int page_fault(struct vcpu *v, const struct walk *w, u64 gva, unsigned int access, bool user,
		      struct guest_fault *fault)
{
	bool shows_fetch = w->f.nx || (vcpu_cr4(v) & CR4_SMEP_BIT);

	*fault = (struct guest_fault){ .vector = VEC_PF, .cr2 = gva };
	if (w->present || w->reserved)
		fault->error |= PF_PRESENT;
	if (w->reserved)
		fault->error |= PF_RSVD;
	if (access & GVA_WRITE)
		fault->error |= PF_WRITE;
	if (user)
		fault->error |= PF_USER;
	if ((access & GVA_FETCH) && shows_fetch)
		fault->error |= PF_FETCH;
	if (denied_by_key(v, w, access, user))
		fault->error |= PF_PK;
	return -EFAULT;
}

/*
 * Sets accessed bits and the leaf's dirty bit. False if an entry has changed since the walk. Tables
 * in memory that cannot be written stay as they are: a CPU's write to ROM has no effect either.
 */
static bool mark_used(struct vcpu *v, struct walk *w, bool write)
{
	unsigned int level;

	if ((w->all & PTE_ACCESSED) && (!write || (w->entry[w->depth - 1] & PTE_DIRTY)))
		return true;
	for (level = 0; level < w->depth; level++) {
		u64 want = PTE_ACCESSED, gpa = w->entry_gpa[level];

		if (w->f.pae && level == 0)
			continue;
		if (write && level == w->depth - 1u)
			want |= PTE_DIRTY;
		want |= w->entry[level];
		if (want == w->entry[level])
			continue;
		if (host_guest_cmpxchg(v->vm, gpa, w->entry[level], want, w->f.entry_size) == 1)
			return false;
	}
	return true;
}

bool gva_canonical(struct vcpu *v, u64 gva)
{
	unsigned int shift = 64 - ((vcpu_cr4(v) & CR4_LA57_BIT) ? 57 : 48);

	return (u64)((s64)(gva << shift) >> shift) == gva;
}

/* gva_to_gpa() with paging, the tables read through @reader. */
static int translate(struct vcpu *v, struct host_reader *reader, u64 gva, unsigned int access, u64 *gpa,
		     struct guest_fault *fault)
{
	bool user = vcpu_cpl(v) == 3 && !(access & GVA_SYSTEM);
	struct walk w;
	unsigned int retries;

	paging_format(v, &w.f);
	for (retries = 0; retries < MAX_RETRIES; retries++) {
		walk_tables(v, reader, gva, &w);
		if (!w.present || (!(access & GVA_PROBE) && !permitted(v, &w, access, user)))
			return page_fault(v, &w, gva, access, user, fault);
		if ((access & GVA_PROBE) || mark_used(v, &w, access & GVA_WRITE))
			break;
	}
	*gpa = w.gpa;
	return 0;
}

int gva_to_gpa(struct vcpu *v, u64 gva, unsigned int access, u64 *gpa, struct guest_fault *fault)
{
	struct host_reader reader;
	int r;

	if (!(vcpu_efer(v) & EFER_LMA_BIT)) {
		gva &= 0xffffffffull;
	} else if (!gva_canonical(v, gva)) {
		*fault = (struct guest_fault){ .vector = VEC_GP };
		return -EFAULT;
	}
	if (!(vcpu_cr0(v) & CR0_PG_BIT)) {
		*gpa = gva;
		return 0;
	}
	host_reader_begin(&reader, v->vm);
	r = translate(v, &reader, gva, access, gpa, fault);
	host_reader_end(&reader);
	return r;
}

/* Whether the segment may be used this way, in protected mode (APM vol. 2, 4.7 and 4.12.2). */
static bool segment_allows(const struct kvm_segment *s, unsigned int access)
{
	bool code = s->type & 8, read_write = s->type & 2;

	if (s->unusable || !s->present || !s->s)
		return false;
	if (access & GVA_FETCH)
		return code;
	if (access & GVA_WRITE)
		return !code && read_write;
	return !code || read_write;
}

static bool within_limit(const struct kvm_segment *s, u64 offset, u32 size)
{
	u64 last = offset + size - 1;

	/* Expand-down data segments: valid above the limit. */
	if ((s->type & 0xc) == 4 && s->s)
		return offset > s->limit && last <= (s->db ? 0xffffffffull : 0xffffull);
	return last <= s->limit;
}

static int segment_fault(unsigned int seg, struct guest_fault *fault)
{
	*fault = (struct guest_fault){ .vector = seg == SEG_SS ? VEC_SS : VEC_GP };
	return -EFAULT;
}

static noinline u64 segment_base(struct vcpu *v, unsigned int seg)
{
	struct kvm_segment s;

	vcpu_get_segment(v, seg, &s);
	return s.base;
}

static int linear64(struct vcpu *v, unsigned int seg, u64 offset, u32 size, u64 *linear,
		    struct guest_fault *fault)
{
	*linear = offset;
	if (seg == SEG_FS || seg == SEG_GS)
		*linear += segment_base(v, seg);
	if (!gva_canonical(v, *linear) || !gva_canonical(v, *linear + size - 1))
		return segment_fault(seg, fault);
	return 0;
}

/* Apart from the 64-bit case, which has no use for the descriptor. */
static noinline int linear32(struct vcpu *v, unsigned int seg, u64 offset, u32 size, unsigned int access,
			     u64 *linear, struct guest_fault *fault)
{
	bool typed = (vcpu_cr0(v) & CR0_PE_BIT) && !(vcpu_rflags(v) & FLAG_VM);
	struct kvm_segment s;

	vcpu_get_segment(v, seg, &s);
	if ((typed && !segment_allows(&s, access)) || !within_limit(&s, offset, size))
		return segment_fault(seg, fault);
	*linear = (s.base + offset) & 0xffffffffull;
	return 0;
}

int seg_to_linear(struct vcpu *v, unsigned int seg, u64 offset, u32 size, unsigned int access,
		  u64 *linear, struct guest_fault *fault)
{
	if (vcpu_is_64bit(v))
		return linear64(v, seg, offset, size, linear, fault);
	return linear32(v, seg, offset, size, access, linear, fault);
}

void gva_inject_fault(struct vcpu *v, const struct guest_fault *fault)
{
	if (fault->vector == VEC_PF)
		event_page_fault(v, fault->cr2, fault->error);
	else if (vcpu_cr0(v) & CR0_PE_BIT)
		event_exception_error(v, fault->vector, fault->error);
	else
		event_exception(v, fault->vector);
}
