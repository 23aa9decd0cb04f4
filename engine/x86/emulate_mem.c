// SPDX-License-Identifier: GPL-2.0
/*
 * Memory operands of emulated instructions: address, translation, and where the bytes are: the
 * local APIC's page, memory, an in-kernel device or the VMM.
 */
#include "x86/emulate_exec.h"

#define PAGE_MASK_BITS	0x000ffffffffff000ull

u64 exec_offset(const struct exec *x)
{
	const struct insn *in = x->in;
	u64 offset = in->disp;

	if (in->base != INSN_NO_REG)
		offset += x->regs[in->base];
	if (in->index != INSN_NO_REG)
		offset += x->regs[in->index] << in->scale;
	if (in->rip_relative)
		offset += vcpu_rip(x->v) + in->length;
	return alu_zero_extend(offset, in->addr_size);
}

enum exec_result exec_resolve(struct exec *x, unsigned int seg, u64 offset, u32 size,
			      unsigned int access, struct mem_ref *ref)
{
	struct guest_fault fault;
	u64 linear;
	u32 first;

	if (seg_to_linear(x->v, seg, offset, size, access, &linear, &fault))
		goto faulted;
	first = min_t(u32, size, GUEST_PAGE_SIZE - (linear & (GUEST_PAGE_SIZE - 1)));
	ref->len[0] = first;
	ref->len[1] = size - first;
	if (gva_to_gpa(x->v, linear, access, &ref->gpa[0], &fault))
		goto faulted;
	if (ref->len[1] && gva_to_gpa(x->v, linear + first, access, &ref->gpa[1], &fault))
		goto faulted;
	return EXEC_DONE;

faulted:
	gva_inject_fault(x->v, &fault);
	return EXEC_RESUME;
}

/*
 * The CPU was about to make this access when it exited: it is permitted, accessed and dirty bits are set, and the address is
 * translated. Instructions with two operands in memory access them differently, so that the kind of access tells them apart.
 */
static bool is_translated(const struct exec *x, u64 linear, u32 size, unsigned int access)
{
	const struct emul *e = &x->v->emul;
	u32 in_page = linear & (GUEST_PAGE_SIZE - 1);

	return e->translated && e->operand.write == (access == GVA_WRITE) &&
	       in_page == (e->operand.gpa & (GUEST_PAGE_SIZE - 1)) && in_page + size <= GUEST_PAGE_SIZE;
}

enum exec_result exec_resolve_modrm(struct exec *x, u32 size, unsigned int access, struct mem_ref *ref)
{
	u64 offset = exec_offset(x), linear;
	struct guest_fault fault;

	if (seg_to_linear(x->v, x->in->seg, offset, size, access, &linear, &fault) ||
	    !is_translated(x, linear, size, access))
		return exec_resolve(x, x->in->seg, offset, size, access, ref);
	ref->gpa[0] = x->v->emul.operand.gpa;
	ref->len[0] = size;
	ref->len[1] = 0;
	return EXEC_DONE;
}

/* What made the CPU exit has no memory for this access: a read finds no slot, a write perhaps one that is read-only. */
static bool is_known_mmio(struct vcpu *v, u64 gpa, bool write)
{
	const struct emul *e = &v->emul;

	return e->translated && e->operand.gpa == gpa && e->operand.write == write;
}

static bool is_apic_page(struct vcpu *v, u64 gpa)
{
	return v->apic.present && lapic_hw_enabled(&v->apic) &&
	       !((gpa ^ v->apic.base) & PAGE_MASK_BITS);
}

static u64 fragment_value(const u8 *data, unsigned int len)
{
	u64 value = 0;

	memcpy(&value, data, len);
	return value;
}

/*
 * An MMIO read is answered by what the VMM gave for the same place in an earlier run; other answers
 * are dropped.
 */
static enum exec_result read_answered(struct exec *x, u64 gpa, u8 len, u8 *data)
{
	struct emul *e = &x->v->emul;
	struct mmio_fragment *f;

	if (x->next_read >= EMUL_MAX_FRAGMENTS)
		return EXEC_CANNOT;
	f = &e->reads[x->next_read];
	if (x->next_read < e->nr_reads && f->gpa == gpa && f->len == len) {
		memcpy(data, f->data, len);
		x->next_read++;
		return EXEC_DONE;
	}
	e->nr_reads = x->next_read;
	*f = (struct mmio_fragment){ .gpa = gpa, .len = len };
	return EXEC_READ;
}

static enum exec_result read_fragment(struct exec *x, u64 gpa, u8 len, u8 *data)
{
	struct vcpu *v = x->v;

	if (is_apic_page(v, gpa) && lapic_mmio_read(v, gpa, len, data)) {
		host_trace_mmio(v, 1, len, gpa, fragment_value(data, len));
		stats_mmio(v->stats, false, gpa);
		return EXEC_DONE;
	}
	if (!is_known_mmio(v, gpa, false) && !host_guest_read(v->vm, gpa, data, len))
		return EXEC_DONE;
	stats_mmio(v->stats, false, gpa);
	return read_answered(x, gpa, len, data);
}

enum exec_result exec_load(struct exec *x, const struct mem_ref *ref, u64 *value)
{
	enum exec_result r;
	u8 data[8] = { 0 };

	r = read_fragment(x, ref->gpa[0], ref->len[0], data);
	if (r == EXEC_DONE && ref->len[1])
		r = read_fragment(x, ref->gpa[1], ref->len[1], data + ref->len[0]);
	memcpy(value, data, sizeof(data));
	return r;
}

static void add_store(struct exec *x, u64 gpa, u8 len, const u8 *data)
{
	struct mmio_fragment *f = &x->v->emul.writes[x->nr_stores];

	if (x->nr_stores == EMUL_MAX_FRAGMENTS)
		return;
	*f = (struct mmio_fragment){ .gpa = gpa, .len = len };
	memcpy(f->data, data, len);
	x->nr_stores++;
}

void exec_store(struct exec *x, const struct mem_ref *ref, u64 value)
{
	u8 data[8];

	memcpy(data, &value, sizeof(data));
	add_store(x, ref->gpa[0], ref->len[0], data);
	if (ref->len[1])
		add_store(x, ref->gpa[1], ref->len[1], data + ref->len[0]);
}

/*
 * Memory appears here only if a slot was added since the exit; the other vCPUs may already use it,
 * so the aligned 8 bytes around the operand are exchanged as one. An operand that crosses them is
 * stored plainly.
 */
enum exec_result exec_store_locked(struct exec *x, const struct mem_ref *ref, u64 old, u64 new)
{
	unsigned int shift = 8 * (ref->gpa[0] & 7), size = ref->len[0];
	u64 aligned = ref->gpa[0] & ~7ull, mask, word, new_word;
	int r;

	if (ref->len[1] || shift + 8 * size > 64 || is_apic_page(x->v, aligned) ||
	    host_guest_read(x->v->vm, aligned, &word, sizeof(word)))
		goto plain;
	if (alu_zero_extend(word >> shift, size) != alu_zero_extend(old, size))
		return EXEC_RESUME;
	mask = alu_zero_extend(~0ull, size) << shift;
	new_word = (word & ~mask) | (new << shift & mask);
	r = host_guest_cmpxchg(x->v->vm, aligned, word, new_word, sizeof(word));
	if (!r)
		return EXEC_DONE;
	if (r > 0)
		return EXEC_RESUME;
plain:
	exec_store(x, ref, new);
	return EXEC_DONE;
}

/* True if the bytes have found their place without the VMM. */
static bool write_fragment(struct vcpu *v, const struct mmio_fragment *f)
{
	if (is_apic_page(v, f->gpa) && lapic_mmio_write(v, f->gpa, f->len, f->data)) {
		host_trace_mmio(v, 2, f->len, f->gpa, fragment_value(f->data, f->len));
		stats_mmio(v->stats, true, f->gpa);
		return true;
	}
	if (!is_known_mmio(v, f->gpa, true) && !host_guest_write(v->vm, f->gpa, f->data, f->len))
		return true;
	host_trace_mmio(v, 2, f->len, f->gpa, fragment_value(f->data, f->len));
	stats_mmio(v->stats, true, f->gpa);
	return host_mmio_write(v->vm, f->gpa, f->len, f->data);
}

void exec_commit(struct exec *x)
{
	struct vcpu *v = x->v;
	struct emul *e = &v->emul;
	unsigned int i;

	memcpy(v->regs, x->regs, sizeof(v->regs));
	vcpu_set_rflags(v, x->rflags);
	vcpu_advance_to(v, x->rip);
	e->nr_reads = e->nr_writes = e->next_write = 0;
	for (i = 0; i < x->nr_stores; i++)
		if (!write_fragment(v, &e->writes[i]))
			e->writes[e->nr_writes++] = e->writes[i];
}

bool exec_is_ram(struct vcpu *v, u64 gpa)
{
	u64 aligned = gpa & ~3ull;
	u32 word;

	return !is_apic_page(v, gpa) && !host_guest_read(v->vm, aligned, &word, sizeof(word)) &&
	       host_guest_cmpxchg(v->vm, aligned, word, word, sizeof(word)) >= 0;
}
