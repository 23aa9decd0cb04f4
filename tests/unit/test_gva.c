// SPDX-License-Identifier: GPL-2.0
/*
 * gva.c: every paging format, the permission matrix with its error codes, accessed and dirty bits,
 * hostile tables, segments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest.h"
#include "x86/gva.h"

#define ALL	(PTE_P | PTE_W | PTE_U)
#define NOT_FAULT	0xffffffffu

static struct guest g;

static int setup(void **state)
{
	guest_create(&g, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	machine_free(g.m);
	return 0;
}

static u64 translate(u64 gva, unsigned int access)
{
	struct guest_fault fault;
	u64 gpa;

	return gva_to_gpa(g.v, gva, access, &gpa, &fault) ? ~0ull : gpa;
}

/* The #PF error code of an access, or NOT_FAULT. */
static u32 error_of(u64 gva, unsigned int access)
{
	struct guest_fault fault = { 0 };
	u64 gpa;

	if (!gva_to_gpa(g.v, gva, access, &gpa, &fault))
		return NOT_FAULT;
	assert_int_equal(fault.vector, VEC_PF);
	assert_int_equal(fault.cr2, gva);
	return fault.error;
}

static void test_no_paging(void **state)
{
	guest_set_mode(&g, GUEST_REAL);
	assert_int_equal(translate(0x12345, GVA_WRITE), 0x12345);
	assert_int_equal(translate(0x1000012345, GVA_READ), 0x12345);
}

static void test_32bit(void **state)
{
	guest_set_mode(&g, GUEST_32);
	guest_map(&g, 0xc0001000, 0xfffff000, ALL);
	assert_int_equal(translate(0xc0001234, GVA_READ), 0xfffff234);
	/* PS means nothing without CR4.PSE: the entry names a table. */
	guest_set_entry(&g, 0x00400000, 1, 0x00800000 | PTE_PS | ALL);
	assert_int_equal(error_of(0x00400000, GVA_READ), 0);
	VMCB(g.v)->s.cr4 |= CR4_PSE_BIT;
	assert_int_equal(translate(0x007fffff, GVA_READ), 0x00bfffff);
	guest_set_entry(&g, 0x00400000, 1, 0x00800000 | 0x8ull << 13 | PTE_PS | ALL);
	assert_int_equal(translate(0x00400004, GVA_READ), 0x800800004ull);
	g.v->cpuid.maxphyaddr = 35;
	assert_int_equal(error_of(0x00400000, GVA_READ), PF_PRESENT | PF_RSVD);
	g.v->cpuid.maxphyaddr = 0;
	guest_set_entry(&g, 0x00400000, 1, 0x00a00000 | PTE_PS | ALL);
	assert_int_equal(error_of(0x00400000, GVA_READ), PF_PRESENT | PF_RSVD);
}

static void test_pae(void **state)
{
	guest_set_mode(&g, GUEST_PAE);
	guest_map(&g, 0xc0001000, 0x123456000, ALL);
	assert_int_equal(translate(0xc0001234, GVA_READ), 0x123456234);
	/* The linear address has 32 bits: no index beyond the four top entries. */
	assert_int_equal(translate(0x7c0001234, GVA_READ), 0x123456234);
	guest_set_entry(&g, 0x00200000, 1, 0x40000000 | PTE_PS | ALL);
	assert_int_equal(translate(0x003abcde, GVA_READ), 0x401abcde);
	guest_set_entry(&g, 0x00200000, 1, 0x40002000 | PTE_PS | ALL);
	assert_int_equal(error_of(0x00200000, GVA_READ), PF_PRESENT | PF_RSVD);
	guest_set_entry(&g, 0x00200000, 1, 1ull << 52 | 0x40000000 | PTE_PS | ALL);
	assert_int_equal(error_of(0x00200000, GVA_READ), PF_PRESENT | PF_RSVD);
	/* A PDPTE has neither permissions nor a large page. */
	guest_set_entry(&g, 0x40000000, 2, guest_new_table(&g) | PTE_P | PTE_W);
	assert_int_equal(error_of(0x40000000, GVA_READ), PF_PRESENT | PF_RSVD);
	guest_set_entry(&g, 0x40000000, 2, guest_new_table(&g) | PTE_P | PTE_PS);
	assert_int_equal(error_of(0x40000000, GVA_READ), PF_PRESENT | PF_RSVD);
	guest_set_entry(&g, 0x40000000, 2, 0);
	assert_int_equal(error_of(0x40000000, GVA_READ), 0);
	/* CR3 needs only 32-byte alignment. */
	memcpy(g.m->mem + 0x50020, g.m->mem + VMCB(g.v)->s.cr3, 32);
	VMCB(g.v)->s.cr3 = 0x50020;
	assert_int_equal(translate(0xc0001234, GVA_READ), 0x123456234);
}

static void check_long(enum guest_mode mode, u64 gva)
{
	guest_set_mode(&g, mode);
	VMCB(g.v)->s.cr3 |= 0x18;	/* PWT and PCD are no address bits */
	guest_map(&g, gva, 0xffffffffff000, ALL);
	assert_int_equal(translate(gva + 0x234, GVA_READ), 0xffffffffff234);
	guest_set_entry(&g, gva, 1, 0x40000000 | PTE_PS | ALL);
	assert_int_equal(translate(gva + 0xabcde, GVA_READ), 0x400abcde);
	guest_set_entry(&g, gva, 1, 0x40100000 | PTE_PS | ALL);
	assert_int_equal(error_of(gva, GVA_READ), PF_PRESENT | PF_RSVD);
	guest_set_entry(&g, gva, 2, 0x40000000 | PTE_PS | ALL);
	assert_int_equal(translate(gva + 0x1abcdef, GVA_READ), 0x41abcdef);
	guest_set_entry(&g, gva, 2, 0x60000000 | PTE_PS | ALL);
	assert_int_equal(error_of(gva, GVA_READ), PF_PRESENT | PF_RSVD);
	guest_set_entry(&g, gva, 3, 0x40000000 | PTE_PS | ALL);
	assert_int_equal(error_of(gva, GVA_READ), PF_PRESENT | PF_RSVD);
}

static void test_4_levels(void **state)
{
	check_long(GUEST_LONG, 0xffff800000000000ull);
	check_long(GUEST_LONG, 0x00007fffc0000000ull);
}

static void test_5_levels(void **state)
{
	check_long(GUEST_LA57, 0xff00000000000000ull);
	check_long(GUEST_LA57, 0x0007fff000000000ull);
	guest_set_entry(&g, 0, 4, 0x40000000 | PTE_PS | ALL);
	assert_int_equal(error_of(0, GVA_READ), PF_PRESENT | PF_RSVD);
}

static void test_not_canonical(void **state)
{
	struct guest_fault fault;
	u64 gpa;

	guest_set_mode(&g, GUEST_LONG);
	assert_int_equal(gva_to_gpa(g.v, 0x0000800000000000ull, GVA_READ, &gpa, &fault), -EFAULT);
	assert_int_equal(fault.vector, VEC_GP);
	assert_true(gva_canonical(g.v, 0xffff800000000000ull));
	VMCB(g.v)->s.cr4 |= CR4_LA57_BIT;
	assert_true(gva_canonical(g.v, 0x0000800000000000ull));
	assert_false(gva_canonical(g.v, 0x0100000000000000ull));
}

static void test_physical_width(void **state)
{
	guest_set_mode(&g, GUEST_LONG);
	g.v->cpuid.maxphyaddr = 40;
	guest_map(&g, 0x1000, 0xfffffff000, ALL);
	assert_int_equal(translate(0x1000, GVA_READ), 0xfffffff000);
	guest_map(&g, 0x1000, 0x10000000000, ALL);
	assert_int_equal(error_of(0x1000, GVA_READ), PF_PRESENT | PF_RSVD);
	/* NX is reserved while EFER.NXE is off; bits 52 to 62 are free. */
	guest_map(&g, 0x1000, 0x7ff0000000000000ull, ALL);
	assert_int_equal(translate(0x1000, GVA_READ), 0);
	VMCB(g.v)->s.efer &= ~EFER_NXE_BIT;
	guest_map(&g, 0x1000, PTE_NX_BIT, ALL);
	assert_int_equal(error_of(0x1000, GVA_FETCH), PF_PRESENT | PF_RSVD);
}

/* One line of the permission matrix. */
struct permission {
	u64 flags;		/* of the page */
	u8 cpl;
	u64 cr0_clear, cr4_set, rflags;
	unsigned int access;
	u32 error;
};

static const struct permission permissions[] = {
	{ PTE_P, 0, 0, 0, 0, GVA_READ, NOT_FAULT },
	{ PTE_P, 0, 0, 0, 0, GVA_WRITE, PF_PRESENT | PF_WRITE },
	{ PTE_P, 0, CR0_WP_BIT, 0, 0, GVA_WRITE, NOT_FAULT },
	{ PTE_P, 3, 0, 0, 0, GVA_READ, PF_PRESENT | PF_USER },
	{ PTE_P, 3, 0, 0, 0, GVA_READ | GVA_SYSTEM, NOT_FAULT },
	{ PTE_P | PTE_W, 3, 0, 0, 0, GVA_WRITE, PF_PRESENT | PF_USER | PF_WRITE },
	{ PTE_P | PTE_U, 3, 0, 0, 0, GVA_READ, NOT_FAULT },
	{ PTE_P | PTE_U, 3, CR0_WP_BIT, 0, 0, GVA_WRITE, PF_PRESENT | PF_USER | PF_WRITE },
	{ ALL, 3, 0, 0, 0, GVA_WRITE, NOT_FAULT },
	{ ALL, 1, 0, 0, 0, GVA_WRITE, NOT_FAULT },
	{ 0, 3, 0, 0, 0, GVA_WRITE, PF_USER | PF_WRITE },
	{ 0, 0, 0, 0, 0, GVA_FETCH, PF_FETCH },
	{ ALL | PTE_NX_BIT, 3, 0, 0, 0, GVA_FETCH, PF_PRESENT | PF_USER | PF_FETCH },
	{ ALL | PTE_NX_BIT, 3, 0, 0, 0, GVA_READ, NOT_FAULT },
	{ ALL, 0, 0, 0, 0, GVA_FETCH, NOT_FAULT },
	{ ALL, 0, 0, CR4_SMEP_BIT, 0, GVA_FETCH, PF_PRESENT | PF_FETCH },
	{ ALL, 3, 0, CR4_SMEP_BIT, 0, GVA_FETCH, NOT_FAULT },
	{ ALL, 0, 0, CR4_SMAP_BIT, 0, GVA_READ, PF_PRESENT },
	{ ALL, 0, 0, CR4_SMAP_BIT, 0, GVA_WRITE, PF_PRESENT | PF_WRITE },
	{ ALL, 0, 0, CR4_SMAP_BIT, FLAG_AC, GVA_WRITE, NOT_FAULT },
	{ ALL, 3, 0, CR4_SMAP_BIT, FLAG_AC, GVA_WRITE | GVA_SYSTEM, PF_PRESENT | PF_WRITE },
	{ ALL, 3, 0, CR4_SMAP_BIT, 0, GVA_WRITE, NOT_FAULT },
	{ ALL, 0, 0, CR4_SMAP_BIT, 0, GVA_FETCH, NOT_FAULT },
	{ PTE_P | PTE_W, 0, 0, CR4_SMAP_BIT | CR4_SMEP_BIT, 0, GVA_WRITE, NOT_FAULT },
};

/* The restriction has the same effect in an entry of any level. */
static void check_permission(const struct permission *p, unsigned int above)
{
	u64 at;

	guest_set_mode(&g, GUEST_LONG);
	guest_map(&g, 0x5000, 0x7000, ALL);
	at = guest_entry(&g, 0x5000, above);
	guest_poke(&g, at, (guest_peek(&g, at, 8) & ~ALL) | p->flags, 8);
	VMCB(g.v)->s.cpl = p->cpl;
	VMCB(g.v)->s.cr0 &= ~p->cr0_clear;
	VMCB(g.v)->s.cr4 |= p->cr4_set;
	VMCB(g.v)->s.rflags |= p->rflags;
	assert_int_equal(error_of(0x5000, p->access), p->error);
}

/* The access to a page with key 5, PKRU having @rights for it and all rights for the others. */
static u32 error_with_key(u64 flags, u8 cpl, u64 cr4, u32 rights, unsigned int access)
{
	u64 at;

	guest_set_mode(&g, GUEST_LONG);
	guest_map(&g, 0x5000, 0x7000, flags);
	at = guest_entry(&g, 0x5000, 0);
	guest_poke(&g, at, guest_peek(&g, at, 8) | 5ull << 59, 8);
	VMCB(g.v)->s.cpl = cpl;
	VMCB(g.v)->s.cr4 |= cr4;
	g.v->pkru = rights << 10;
	return error_of(0x5000, access);
}

static void test_protection_keys(void **state)
{
	const u64 pke = CR4_PKE_BIT;

	assert_int_equal(error_with_key(ALL, 3, pke, 0, GVA_WRITE), NOT_FAULT);
	assert_int_equal(error_with_key(ALL, 3, 0, 3, GVA_WRITE), NOT_FAULT);
	assert_int_equal(error_with_key(ALL, 3, pke, 1, GVA_READ), PF_PRESENT | PF_USER | PF_PK);
	assert_int_equal(error_with_key(ALL, 0, pke, 1, GVA_READ), PF_PRESENT | PF_PK);
	assert_int_equal(error_with_key(ALL, 3, pke, 2, GVA_READ), NOT_FAULT);
	assert_int_equal(error_with_key(ALL, 3, pke, 2, GVA_WRITE), PF_PRESENT | PF_USER | PF_WRITE | PF_PK);
	assert_int_equal(error_with_key(ALL, 3, pke, 3, GVA_FETCH), NOT_FAULT);
	assert_int_equal(error_with_key(PTE_P | PTE_W, 0, pke, 3, GVA_WRITE), NOT_FAULT);
	/* Without CR0.WP the kernel may write all the same, unless PKRU denies every access. */
	assert_int_equal(error_with_key(ALL, 0, pke, 2, GVA_WRITE), PF_PRESENT | PF_WRITE | PF_PK);
	VMCB(g.v)->s.cr0 &= ~CR0_WP_BIT;
	assert_int_equal(error_of(0x5000, GVA_WRITE), NOT_FAULT);
	g.v->pkru = 1 << 10;
	assert_int_equal(error_of(0x5000, GVA_WRITE), PF_PRESENT | PF_WRITE | PF_PK);
}

static void test_permissions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
		for (unsigned int above = 0; above < 4; above++)
			check_permission(&permissions[i], above);
}

static void test_fetch_bit_hidden(void **state)
{
	guest_set_mode(&g, GUEST_LONG);
	VMCB(g.v)->s.efer &= ~EFER_NXE_BIT;
	assert_int_equal(error_of(0x5000, GVA_FETCH), 0);
	VMCB(g.v)->s.cr4 |= CR4_SMEP_BIT;
	assert_int_equal(error_of(0x5000, GVA_FETCH), PF_FETCH);
}

static void test_accessed_dirty(void **state)
{
	u64 leaf, pde;

	guest_set_mode(&g, GUEST_LONG);
	guest_map(&g, 0x5000, 0x7000, ALL);
	leaf = guest_entry(&g, 0x5000, 0);
	pde = guest_entry(&g, 0x5000, 1);
	assert_int_equal(translate(0x5000, GVA_READ | GVA_PROBE), 0x7000);
	assert_int_equal(guest_peek(&g, leaf, 8), 0x7000 | ALL);
	assert_int_equal(translate(0x5000, GVA_READ), 0x7000);
	assert_int_equal(guest_peek(&g, leaf, 8), 0x7000 | ALL | PTE_A);
	assert_int_equal(guest_peek(&g, pde, 8) & (PTE_A | PTE_D), PTE_A);
	assert_int_equal(translate(0x5000, GVA_WRITE), 0x7000);
	assert_int_equal(guest_peek(&g, leaf, 8), 0x7000 | ALL | PTE_A | PTE_D);
	assert_int_equal(guest_peek(&g, pde, 8) & (PTE_A | PTE_D), PTE_A);
	/* A refused access leaves the entries alone. */
	guest_map(&g, 0x5000, 0x7000, PTE_P | PTE_U);
	guest_poke(&g, pde, guest_peek(&g, pde, 8) & ~PTE_A, 8);
	assert_int_equal(error_of(0x5000, GVA_WRITE), PF_PRESENT | PF_WRITE);
	assert_int_equal(guest_peek(&g, leaf, 8), 0x7000 | PTE_P | PTE_U);
	assert_int_equal(guest_peek(&g, pde, 8) & PTE_A, 0);
}

static void test_accessed_dirty_32bit(void **state)
{
	u64 leaf;

	guest_set_mode(&g, GUEST_32);
	guest_map(&g, 0x5000, 0x7000, ALL);
	leaf = guest_entry(&g, 0x5000, 0);
	guest_poke(&g, leaf + 4, 0x12345678, 4);
	assert_int_equal(translate(0x5000, GVA_WRITE), 0x7000);
	assert_int_equal(guest_peek(&g, leaf, 4), 0x7000 | ALL | PTE_A | PTE_D);
	assert_int_equal(guest_peek(&g, leaf + 4, 4), 0x12345678);
}

static void test_tables_in_rom(void **state)
{
	guest_set_mode(&g, GUEST_LONG);
	guest_map(&g, 0x5000, 0x7000, ALL);
	g.m->ro_start = TABLES_START;
	g.m->ro_end = TABLES_END;
	assert_int_equal(translate(0x5000, GVA_WRITE), 0x7000);
	assert_int_equal(guest_peek(&g, guest_entry(&g, 0x5000, 0), 8), 0x7000 | ALL);
}

static void test_hostile_tables(void **state)
{
	guest_set_mode(&g, GUEST_LA57);
	/* Every level is the same page: the walk ends after five steps, in that page. */
	for (unsigned int i = 0; i < 512; i++)
		guest_poke(&g, TABLES_START + 8 * i, TABLES_START | ALL, 8);
	assert_int_equal(translate(0x123, GVA_READ), TABLES_START + 0x123);
	guest_poke(&g, TABLES_START, 0x40000000 | ALL, 8);
	assert_int_equal(error_of(0x123, GVA_READ), 0);
	VMCB(g.v)->s.cr3 = 0xffffffffff000;
	assert_int_equal(error_of(0x123, GVA_READ), 0);
}

/* --- Segments. --- */

/* The vector of a segment fault, or -1; *@linear on success. */
static int segment_vector(unsigned int seg, u64 offset, u32 size, unsigned int access, u64 *linear)
{
	struct guest_fault fault = { 0 };

	if (!seg_to_linear(g.v, seg, offset, size, access, linear, &fault))
		return -1;
	assert_int_equal(fault.error, 0);
	return fault.vector;
}

static void check_segment(unsigned int seg, u64 offset, u32 size, unsigned int access, int vector)
{
	u64 linear;

	assert_int_equal(segment_vector(seg, offset, size, access, &linear), vector);
}

static void test_segment_limit(void **state)
{
	u64 linear;

	guest_set_mode(&g, GUEST_32);
	guest_set_segment(g.v, SEG_DS, 0x18, 0xfffff000, 0x1fff, 0xc93);
	assert_int_equal(segment_vector(SEG_DS, 0x1ffc, 4, GVA_WRITE, &linear), -1);
	assert_int_equal(linear, 0xffc);
	check_segment(SEG_DS, 0x1ffd, 4, GVA_WRITE, VEC_GP);
	check_segment(SEG_DS, 0xffffffff, 8, GVA_READ, VEC_GP);
	guest_set_segment(g.v, SEG_SS, 0x18, 0, 0x1fff, 0xc93);
	check_segment(SEG_SS, 0x2000, 1, GVA_READ, VEC_SS);
	/* Expand-down: only what is above the limit; the top follows the B bit. */
	guest_set_segment(g.v, SEG_ES, 0x18, 0, 0x1fff, 0xc97);
	check_segment(SEG_ES, 0x1fff, 1, GVA_READ, VEC_GP);
	check_segment(SEG_ES, 0x2000, 4, GVA_READ, -1);
	check_segment(SEG_ES, 0xfffffffc, 4, GVA_READ, -1);
	check_segment(SEG_ES, 0xfffffffd, 4, GVA_READ, VEC_GP);
	guest_set_segment(g.v, SEG_ES, 0x18, 0, 0x1fff, 0x97);
	check_segment(SEG_ES, 0xfffe, 4, GVA_READ, VEC_GP);
}

static void test_segment_type(void **state)
{
	guest_set_mode(&g, GUEST_32);
	check_segment(SEG_CS, 0, 4, GVA_READ, -1);
	check_segment(SEG_CS, 0, 4, GVA_FETCH, -1);
	check_segment(SEG_CS, 0, 4, GVA_WRITE, VEC_GP);
	guest_set_segment(g.v, SEG_CS, 0x08, 0, 0xffffffff, 0xc99);
	check_segment(SEG_CS, 0, 4, GVA_READ, VEC_GP);
	guest_set_segment(g.v, SEG_DS, 0x18, 0, 0xffffffff, 0xc91);
	check_segment(SEG_DS, 0, 4, GVA_READ, -1);
	check_segment(SEG_DS, 0, 4, GVA_WRITE, VEC_GP);
	guest_set_segment(g.v, SEG_DS, 0, 0, 0, 0);
	check_segment(SEG_DS, 0, 1, GVA_READ, VEC_GP);
	guest_set_segment(g.v, SEG_SS, 0, 0, 0xffffffff, 0xc13);
	check_segment(SEG_SS, 0, 1, GVA_READ, VEC_SS);
}

static void test_segment_real_mode(void **state)
{
	u64 linear;

	guest_set_mode(&g, GUEST_REAL);
	guest_set_segment(g.v, SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	assert_int_equal(segment_vector(SEG_CS, 0xfff0, 1, GVA_WRITE, &linear), -1);
	assert_int_equal(linear, 0xfffffff0);
	check_segment(SEG_CS, 0xffff, 2, GVA_READ, VEC_GP);
}

static void test_segment_64bit(void **state)
{
	u64 linear;

	guest_set_mode(&g, GUEST_LONG);
	guest_set_segment(g.v, SEG_DS, 0, 0x1000, 0, 0);
	assert_int_equal(segment_vector(SEG_DS, 0x5000, 8, GVA_WRITE, &linear), -1);
	assert_int_equal(linear, 0x5000);
	guest_set_segment(g.v, SEG_GS, 0, 0xffff800000000000ull, 0, 0);
	assert_int_equal(segment_vector(SEG_GS, 0x10, 8, GVA_WRITE, &linear), -1);
	assert_int_equal(linear, 0xffff800000000010ull);
	check_segment(SEG_DS, 0x7ffffffffff8, 8, GVA_READ, -1);
	check_segment(SEG_DS, 0x7ffffffffff9, 8, GVA_READ, VEC_GP);
	check_segment(SEG_SS, 0x800000000000, 8, GVA_READ, VEC_SS);
	check_segment(SEG_GS, 0xffffffffffffffffull, 8, GVA_READ, VEC_GP);
}

static void test_inject(void **state)
{
	guest_set_mode(&g, GUEST_LONG);
	gva_inject_fault(g.v, &(struct guest_fault){ .vector = VEC_PF, .error = 6, .cr2 = 0x1234 });
	assert_int_equal(vcpu_cr2(g.v), 0x1234);
	assert_int_equal(g.v->ev.exception.error, 6);
	gva_inject_fault(g.v, &(struct guest_fault){ .vector = VEC_GP });
	assert_true(g.v->ev.exception.has_error);
	guest_set_mode(&g, GUEST_REAL);
	gva_inject_fault(g.v, &(struct guest_fault){ .vector = VEC_GP });
	assert_false(g.v->ev.exception.has_error);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(no_paging), CASE(32bit), CASE(pae), CASE(4_levels), CASE(5_levels),
		CASE(not_canonical), CASE(physical_width), CASE(permissions), CASE(protection_keys),
		CASE(fetch_bit_hidden), CASE(accessed_dirty), CASE(accessed_dirty_32bit),
		CASE(tables_in_rom), CASE(hostile_tables), CASE(segment_limit),
		CASE(segment_type), CASE(segment_real_mode), CASE(segment_64bit), CASE(inject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
