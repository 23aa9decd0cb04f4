// SPDX-License-Identifier: GPL-2.0
/*
 * engine/x86/cpuid.c with tables that a hostile VMM makes and leaves that a hostile guest asks for,
 * compared with a plain look-up through the VMM's own array. Input: commands of one byte, each
 * followed by what it needs.
 */
#include "machine.h"

static struct kvm_cpuid_entry2 table[CPUID_MAX_ENTRIES];
static u32 nr_table;
static const u8 *in;
static size_t left;

static u32 take(u32 bytes)
{
	u32 x = 0;

	while (bytes-- && left) {
		x = x << 8 | *in++;
		left--;
	}
	return x;
}

/* Leaves near those that mean something, and now and then any. */
static u32 take_leaf(void)
{
	static const u32 kinds[] = { 0,		 0x40000000, 0x80000000, 0xc0000000,
				     0x40000100, 0x20,	     0x80000020 };
	u32 kind = take(1);

	return kind < ARRAY_SIZE(kinds) ? kinds[kind] + take(1) % 0x24 : take(4);
}

static void take_table(struct vcpu *v)
{
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES + 1];
	u32 i, nr = take(2) % ARRAY_SIZE(entries);
	bool big = left < 3;

	if (big)
		nr = CPUID_MAX_ENTRIES + 1;
	memset(entries, 0, sizeof(entries));
	for (i = 0; i < nr && left; i++) {
		entries[i].function = take_leaf();
		entries[i].index = take(1);
		entries[i].flags = take(1);
		entries[i].eax = take(4);
		entries[i].ebx = take(2) << 8;
		entries[i].ecx = take(4);
		entries[i].edx = take(4);
	}
	if (cpuid_set(v, entries, nr))
		return;
	if (nr > CPUID_MAX_ENTRIES)
		abort();
	if (!v->cpuid.frozen) {
		memcpy(table, entries, sizeof(table));
		nr_table = nr;
	}
}

/* What may differ from the VMM's entry. */
static bool live(const struct kvm_cpuid_entry2 *e)
{
	return e->function == 1 || e->function == 7 || e->function == 0xd;
}

static void ask(struct vcpu *v)
{
	u32 leaf = take_leaf(), sub = take(1), i;
	const struct kvm_cpuid_entry2 *e = NULL;

	for (i = 0; i < nr_table && !e; i++)
		if (table[i].function == leaf &&
		    (table[i].index == sub || !(table[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			e = &table[i];
	v->regs[R_AX] = leaf | 1ull << 63;
	v->regs[R_CX] = sub | 1ull << 63;
	cpuid_execute(v);
	if ((v->regs[R_AX] | v->regs[R_BX] | v->regs[R_CX] | v->regs[R_DX]) >> 32)
		abort();
	if (e && !live(e) &&
	    (v->regs[R_AX] != e->eax || v->regs[R_BX] != e->ebx || v->regs[R_CX] != e->ecx ||
	     v->regs[R_DX] != e->edx))
		abort();
	if (e && v->regs[R_AX] != e->eax)
		abort();
}

/* What other files rely on, whatever the VMM said. */
static void check_derived(const struct cpuid_state *s)
{
	if (s->maxphyaddr > 52 || s->xcr0_allowed & ~(machine_xfeatures | 1) ||
	    !(s->xcr0_allowed & 1) || s->has_xsaves)
		abort();
	if (s->cr4_allowed & ~0x771fffull || s->efer_allowed & EFER_SVME_BIT)
		abort();
}

static void get(struct vcpu *v)
{
	u32 room = take(2) % (CPUID_MAX_ENTRIES + 8), nr = room;
	struct kvm_cpuid_entry2 *out = malloc(room * sizeof(*out) + 1);
	int r = cpuid_get(v, out, &nr);

	if (nr != nr_table || (r == -E2BIG) != (room < nr))
		abort();
	free(out);
}

/* A host with every feature: the real one's CPUID may be slow, and differs from machine to machine.
 */
static void describe_host(void)
{
	static const u32 leaves[] = { 1, 6, 7, 0x80000001, 0x80000007, 0x80000008, 0x80000021 };
	u32 i;

	machine_clear_cpuid();
	machine_set_cpuid(0, 0, 0x1f, 0, 0, 0);
	machine_set_cpuid(0x80000000, 0, 0x80000021, 0, 0, 0);
	for (i = 0; i < ARRAY_SIZE(leaves); i++)
		machine_set_cpuid(leaves[i], 0, U32_MAX, U32_MAX, U32_MAX, U32_MAX);
	machine_set_cpuid(0xd, 2, 256, 576, 0, 0);
	machine_set_cpuid(0xd, 9, 8, 2432, 0, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct machine *m = machine_create(0);
	struct vcpu *v = machine_add_vcpu(m, 0);

	in = data;
	left = size;
	nr_table = 0;
	machine_xfeatures = 0x2e7;
	describe_host();
	cpuid_init(v);
	while (left) {
		switch (take(1) % 8) {
		case 0: take_table(v); break;
		case 1: v->xcr0 = take(4); break;
		case 2: v->msr.xss = take(4); break;
		case 3: VMCB(v)->s.cr4 = take(4); break;
		case 4: get(v); break;
		case 5: cpuid_freeze(&v->cpuid); break;
		default: ask(v);
		}
		check_derived(&v->cpuid);
	}
	cpuid_free(v);
	machine_free(m);
	return 0;
}
