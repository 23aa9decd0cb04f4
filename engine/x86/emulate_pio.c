// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O. The CPU has checked that the guest may use the port before it exits; only what it found
 * is executed here, never what the guest has put in the instruction's place since.
 */
#include "x86/emulate_exec.h"

/* kvm_run's page that holds port data, and its offset in the mapping. */
#define DATA_BYTES	4096u
#define DATA_OFFSET	((u64)KVM_PIO_PAGE_OFFSET * DATA_BYTES)

/* The first element, for the trace. */
static u32 first_value(struct vcpu *v, u8 size)
{
	u32 value = 0;

	memcpy(&value, v->pio_data, size);
	return value;
}

static int exit_io(struct vcpu *v, u16 port, u8 size, bool in, u32 count)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = DATA_OFFSET;
	return EXIT_TO_USER;
}

static int wait_for(struct vcpu *v, enum emul_wait what, u32 count)
{
	struct emul *e = &v->emul;

	e->waiting = what;
	e->rip = vcpu_rip(v);
	e->pio.count = count;
	return exit_io(v, e->pio.port, e->pio.size, true, count);
}

static noinline int port_in(struct vcpu *v, u16 port, u8 size, u64 next_rip)
{
	struct emul *e = &v->emul;

	emulate_reset(v);
	e->pio.port = port;
	e->pio.size = size;
	e->pio.next_rip = next_rip;
	return wait_for(v, EMUL_PIO_IN, 1);
}

static __always_inline int out_to_vmm(struct vcpu *v, u16 port, u8 size, u64 next_rip)
{
	/* Four bytes, whatever the size: the VMM looks at no more than it is told, and a constant size takes no call and no loop. */
	memcpy(v->pio_data, &v->regs[R_AX], 4);
	exit_io(v, port, size, false, 1);
	vcpu_advance_to(v, next_rip);
	return EXIT_TO_USER;
}

/* Somebody else may want to know. */
static noinline int out_with_others(struct vcpu *v, u16 port, u8 size, u64 next_rip)
{
	host_trace_pio(v, true, port, size, 1, (u32)alu_zero_extend(v->regs[R_AX], size));
	if (!host_pio_write(v->vm, port, size, &v->regs[R_AX]))
		return out_to_vmm(v, port, size, next_rip);
	vcpu_advance_to(v, next_rip);
	return RESUME;
}

/* Nothing waits for the VMM that would have to be forgotten: emulate_complete() has seen to that before the guest ran. */
static __always_inline int port_out(struct vcpu *v, u16 port, u8 size, u64 next_rip)
{
	if (unlikely(v->vm->pio_doorbells || host_traces_pio()))
		return out_with_others(v, port, size, next_rip);
	return out_to_vmm(v, port, size, next_rip);
}

int emulate_pio(struct vcpu *v, u16 port, u8 size, bool in, u64 next_rip)
{
	return unlikely(in) ? port_in(v, port, size, next_rip) : port_out(v, port, size, next_rip);
}

static int complete_in(struct vcpu *v)
{
	struct emul *e = &v->emul;
	u32 value = first_value(v, e->pio.size);

	host_trace_pio(v, false, e->pio.port, e->pio.size, 1, value);
	if (e->pio.size == 4)
		v->regs[R_AX] = value;
	else
		memcpy(&v->regs[R_AX], &value, e->pio.size);
	vcpu_advance_to(v, e->pio.next_rip);
	return RESUME;
}

/* --- Strings. --- */

static unsigned int string_segment(const struct insn *in)
{
	return in->name == INSN_INS ? SEG_ES : in->seg;
}

/*
 * How many elements go in one exit: those upwards of the first that lie in its page, in the segment
 * and in the address size. One at a time when the direction is down, when the guest single-steps,
 * or when the first crosses a page.
 */
static u32 batch_size(struct exec *x, u64 offset, const struct mem_ref *ref)
{
	struct guest_fault fault;
	u8 size = x->in->op_size;
	u64 linear, n;

	if (!x->in->rep || (x->rflags & (FLAG_DF | FLAG_TF)) || ref->len[1])
		return 1;
	n = (GUEST_PAGE_SIZE - (ref->gpa[0] & (GUEST_PAGE_SIZE - 1))) / size;
	n = min_t(u64, n, exec_count(x));
	if (n < 2 || offset + n * size - 1 > alu_zero_extend(~0ull, x->in->addr_size))
		return 1;
	if (seg_to_linear(x->v, string_segment(x->in), offset, n * size, GVA_READ, &linear, &fault))
		return 1;
	return n;
}

/* The registers after @n elements; RIP stays while there are more. */
static void finish_elements(struct exec *x, u32 n)
{
	exec_step(x, x->in->name == INSN_INS ? R_DI : R_SI, x->in->op_size, n);
	if (x->in->rep)
		exec_count_down(x, n);
	if (x->again)
		x->rip = vcpu_rip(x->v);
}

/*
 * Offers the elements in the data page to in-kernel doorbells one by one; the rest moves to the
 * page's front.
 */
static u32 ring_doorbells(struct vcpu *v, u16 port, u8 size, u32 n)
{
	u32 taken = 0;

	while (taken < n && host_pio_write(v->vm, port, size, v->pio_data + taken * size))
		taken++;
	if (taken)
		memmove(v->pio_data, v->pio_data + taken * size, (n - taken) * size);
	return n - taken;
}

static int outs(struct exec *x, const struct mem_ref *ref, u32 n)
{
	struct vcpu *v = x->v;
	struct emul *e = &v->emul;
	u8 size = e->pio.size;

	if (n == 1 || host_guest_read(v->vm, ref->gpa[0], v->pio_data, n * size)) {
		enum exec_result r;
		u64 value;

		n = 1;
		r = exec_load(x, ref, &value);
		if (r != EXEC_DONE)
			return emulate_stop(v, r);
		memcpy(v->pio_data, &value, size);
	}
	host_trace_pio(v, true, e->pio.port, size, n, first_value(v, size));
	finish_elements(x, n);
	exec_commit(x);
	n = ring_doorbells(v, e->pio.port, size, n);
	return n ? exit_io(v, e->pio.port, size, false, n) : RESUME;
}

static int ins(struct exec *x, const struct mem_ref *ref, u32 n)
{
	struct emul *e = &x->v->emul;

	if (n > 1 && !exec_is_ram(x->v, ref->gpa[0]))
		n = 1;
	e->pio.ref = *ref;
	return wait_for(x->v, EMUL_PIO_INS, n);
}

/*
 * Whether @in is the string instruction that emul.pio describes: the guest may have changed it, the
 * VMM the mode.
 */
static bool is_expected(struct vcpu *v, const struct insn *in)
{
	return in->name == (v->emul.pio.in ? INSN_INS : INSN_OUTS) &&
	       in->op_size == v->emul.pio.size;
}

int emulate_pio_run(struct vcpu *v, const struct insn *in)
{
	bool is_in = in->name == INSN_INS;
	unsigned int access = is_in ? GVA_WRITE : GVA_READ;
	struct mem_ref ref;
	struct exec x;
	u64 offset;

	if (!is_expected(v, in))
		return RESUME;
	exec_init(&x, v, in);
	if (in->rep && !exec_count(&x)) {
		exec_commit(&x);
		return RESUME;
	}
	offset = exec_reg(&x, is_in ? R_DI : R_SI, in->addr_size);
	if (exec_resolve(&x, string_segment(in), offset, in->op_size, access, &ref) != EXEC_DONE)
		return RESUME;
	if (is_in)
		return ins(&x, &ref, batch_size(&x, offset, &ref));
	return outs(&x, &ref, batch_size(&x, offset, &ref));
}

int emulate_pio_string(struct vcpu *v, u16 port, u8 size, bool in)
{
	struct emul *e = &v->emul;

	emulate_reset(v);
	e->pio.string = true;
	e->pio.in = in;
	e->pio.port = port;
	e->pio.size = size;
	return emulate_fetch(v) ? RESUME : emulate_pio_run(v, e->in);
}

/*
 * The elements go where the translation before the exit said. Memory that has lost its slot since
 * swallows them; a VMM that has lowered the count meanwhile gets no more than that.
 */
static int complete_ins(struct vcpu *v)
{
	struct emul *e = &v->emul;
	u8 size = e->pio.size;
	u32 n = e->pio.count;
	const struct insn *in = emulate_waiting_insn(v);
	struct exec x;

	if (!in || !is_expected(v, in))
		return RESUME;
	exec_init(&x, v, in);
	if (in->rep)
		n = min_t(u64, n, exec_count(&x));
	host_trace_pio(v, false, e->pio.port, size, n, first_value(v, size));
	if (e->pio.count > 1)
		host_guest_write(v->vm, e->pio.ref.gpa[0], v->pio_data, n * size);
	else if (n)
		exec_store(&x, &e->pio.ref, first_value(v, size));
	finish_elements(&x, n);
	exec_commit(&x);
	return emulate_next_write(v);
}

int emulate_pio_complete(struct vcpu *v, bool string)
{
	return string ? complete_ins(v) : complete_in(v);
}
