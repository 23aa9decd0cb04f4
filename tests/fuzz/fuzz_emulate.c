// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator on hostile code, page tables, registers and kvm_run: whatever the input, every call
 * ends, stays inside its structures, and gives the VMM only exits that the API allows. Input: a
 * script of bytes, read as described at each reader.
 */
#include "../unit/guest.h"
#include "x86/gva.h"

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define MEM_SIZE	0x80000ull
#define CODE_GVA	0x400000ull
#define CODE_GPA	0x50000ull
#define DATA_GVA	0x600000ull
#define MAX_STEPS	64

/* --- The input; zeros when it has ended. --- */

static const u8 *input;
static size_t input_size;

static u64 take(unsigned int n)
{
	u64 value = 0;

	for (; n; n--) {
		value <<= 8;
		if (input_size) {
			value |= *input++;
			input_size--;
		}
	}
	return value;
}

/* --- The guest: a plausible one, then bits of it spoiled. --- */

static u64 take_address(void)
{
	switch (take(1) % 6) {
	case 0: return DATA_GVA + take(2) % 0x4000;
	case 1: return DATA_GVA + 0xff8 + take(1) % 16;
	case 2: return CODE_GVA + take(2) % 0x1000;
	case 3: return 0x7ffffffffff0 + take(1) % 32;
	case 4: return take(2);
	}
	return take(8);
}

static void map_pages(struct guest *g)
{
	static const u64 targets[] = { 0x60000, 0x40000000, 0x70000, 0xfee00000 };

	for (unsigned int i = 0; i < 4; i++) {
		u64 target = take(1) & 3;

		guest_map(g, CODE_GVA + i * 4096, CODE_GPA + i * 4096, PTE_P | PTE_W | PTE_U);
		guest_map(g, DATA_GVA + i * 4096, targets[target], PTE_P | (take(1) & 0x7e));
	}
}

/* Changes guest memory, be it ROM to the guest or not. */
static void plant(struct guest *g, u64 gpa, u64 value, unsigned int size)
{
	CHECK(gpa + size <= MEM_SIZE);
	memcpy(g->m->mem + gpa, &value, size);
}

static void spoil(struct guest *g)
{
	struct vmcb_save *s = &VMCB(g->v)->s;
	unsigned int seg = take(1) % 6;

	switch (take(1) % 12) {
	case 0: s->cr0 ^= 1ull << take(1) % 32; break;
	case 1: s->cr4 ^= 1ull << take(1) % 24; break;
	case 2: s->efer ^= 1ull << take(1) % 16; break;
	case 3: s->cr3 = take(8); break;
	case 4: s->cpl = take(1) & 3; break;
	case 5: s->rflags = take(4); break;
	case 6: guest_set_segment(g->v, seg, take(2), take(8), take(4), take(2)); break;
	case 7: plant(g, TABLES_START + (take(2) & 0x7ff8), take(8), 8); break;
	case 8: g->m->ro_start = take(2) << 3; g->m->ro_end = g->m->ro_start + take(2); break;
	case 9: g->v->cpuid.maxphyaddr = 32 + take(1) % 24; break;
	case 10: s->rip = take_address(); break;
	case 11: g->v->apic.base = (take(1) & 1 ? 0xfee00000 : 0x60000) | take(2); break;
	}
}

static void put_code(struct guest *g)
{
	for (unsigned int i = take(1) % 16; i; i--)
		plant(g, CODE_GPA + (VMCB(g->v)->s.rip + i - 1) % 0x2000, take(1), 1);
}

/* The same machine for every input: making one costs more than running one. */
static void make_guest(struct guest *g)
{
	struct vcpu *v = g->v;

	memset(g->m->mem, 0, MEM_SIZE);
	memset(VMCB(v), 0, sizeof(*VMCB(v)));
	memset(v->run, 0, 4096);
	memset(v->pio_data, 0, 4096);
	memset(&v->ev, 0, sizeof(v->ev));
	memset(&v->emul, 0, sizeof(v->emul));
	g->m->ro_start = g->m->ro_end = 0;
	v->cpuid.maxphyaddr = 0;
	guest_set_mode(g, take(1) % 5);
	if (g->mode != GUEST_REAL)
		map_pages(g);
	v->apic.present = true;
	v->apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE_BIT;
	VMCB(v)->s.rip = g->mode == GUEST_REAL ? CODE_GPA & 0xffff : CODE_GVA + take(2) % 0x1000;
	if (g->mode == GUEST_REAL)
		guest_set_segment(v, SEG_CS, 0x5000, CODE_GPA, 0xffff, 0x9b);
	for (unsigned int i = 0; i < 16; i++)
		v->regs[i] = take_address();
	put_code(g);
}

/* --- The engine's answers. --- */

static void check_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		CHECK(run->mmio.len >= 1 && run->mmio.len <= 8 && run->mmio.is_write <= 1);
		CHECK((run->mmio.phys_addr & 0xfff) + run->mmio.len <= 4096);
		break;
	case KVM_EXIT_IO:
		CHECK(run->io.size == 1 || run->io.size == 2 || run->io.size == 4);
		CHECK(run->io.count >= 1 && run->io.count * run->io.size <= 4096);
		CHECK(run->io.data_offset == 4096 && run->io.direction <= 1);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		CHECK(run->emulation_failure.suberror == KVM_INTERNAL_ERROR_EMULATION);
		CHECK(run->emulation_failure.insn_size <= 15);
		break;
	default:
		abort();
	}
}

static void check_state(struct vcpu *v)
{
	struct emul *e = &v->emul;

	CHECK(e->code.nr <= INSN_MAX_BYTES && e->nr_reads <= EMUL_MAX_FRAGMENTS);
	CHECK(e->nr_writes <= EMUL_MAX_FRAGMENTS && e->next_write <= e->nr_writes);
	CHECK(e->waiting <= EMUL_PIO_INS);
}

static int act(struct vcpu *v)
{
	static const u8 sizes[] = { 1, 2, 4 };
	struct kvm_translation t = { 0 };
	u8 size = sizes[take(1) % 3], what = take(1) % 8;
	struct emul_operand operand;

	switch (what) {
	case 0:
		return emulate_pio(v, take(2), size, take(1) & 1, vcpu_rip(v) + take(1) % 16);
	case 1: case 2:
		return emulate_pio_string(v, take(2), size, take(1) & 1);
	case 3:
		t.linear_address = take_address();
		emulate_translate(v, &t);
		CHECK(t.valid <= 1);
		return emulate_length(v, take(1) % (INSN_OUTS + 1)) <= 15 ? RESUME : -1;
	}
	if (what < 6)
		return emulate_mmio(v, NULL);
	operand.gpa = take_address();
	operand.write = what & 1;
	svm.decode_assists = size == 4;
	VMCB(v)->c.insn_len = take(1);
	for (unsigned int i = 0; i < sizeof(VMCB(v)->c.insn_bytes); i++)
		VMCB(v)->c.insn_bytes[i] = take(1);
	return emulate_mmio(v, &operand);
}

static void scribble(struct vcpu *v)
{
	memset(v->run, take(1), 4096);
	memset(v->pio_data, take(1), 4096);
	for (unsigned int i = 0; i < 8; i++)
		v->run->mmio.data[i] = take(1);
}

static void run_script(struct guest *g)
{
	struct vcpu *v = g->v;

	for (unsigned int i = 0; i < MAX_STEPS && input_size; i++) {
		u8 op = take(1);
		int r;

		if (op & 1)
			spoil(g);
		if (op & 2)
			put_code(g);
		machine_signal = op & 4;
		r = v->emul.waiting && op & 0xf0 ? emulate_complete(v) : act(v);
		CHECK(r == RESUME || r == EXIT_TO_USER);
		if (r == EXIT_TO_USER)
			check_exit(v);
		check_state(v);
		scribble(v);
		v->ev.exception.pending = false;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct guest g;

	input = data;
	input_size = size;
	if (!g.m)
		guest_create(&g, MEM_SIZE);
	make_guest(&g);
	run_script(&g);
	return 0;
}
