// SPDX-License-Identifier: GPL-2.0
/*
 * The course of an emulated instruction: fetch, runs, and the exits to the VMM in between. Owns
 * struct emul with emulate_mem.c and emulate_pio.c.
 */
#include "x86/emulate_exec.h"

#define MAX_ITERATIONS	1024	/* elements of a string instruction in one go */

/* --- Fetch and decode. --- */

static enum insn_mode code_mode(struct vcpu *v)
{
	if (vcpu_is_64bit(v))
		return INSN_MODE_64;
	return vcpu_cs_is_32bit(v) ? INSN_MODE_32 : INSN_MODE_16;
}

/*
 * How many bytes can be fetched at @offset within the segment and the page; 0 with *@fault filled
 * in.
 */
static u32 fetchable(struct vcpu *v, u64 offset, u32 max, u64 *linear, struct guest_fault *fault)
{
	u32 n = max;

	while (n && seg_to_linear(v, SEG_CS, offset, n, GVA_FETCH, linear, fault))
		n--;
	return n ? min_t(u32, n, GUEST_PAGE_SIZE - (*linear & (GUEST_PAGE_SIZE - 1))) : 0;
}

/*
 * Adds bytes to emul.code, up to the end of a page. 0; -EFAULT with the fault queued; -EINVAL if
 * no memory is there.
 */
static int fetch_more(struct vcpu *v)
{
	struct emul_code *c = &v->emul.code;
	u64 offset = vcpu_rip(v) + c->nr, linear, gpa;
	struct guest_fault fault;
	u32 n;

	if (!vcpu_is_64bit(v))
		offset &= 0xffffffffull;
	n = fetchable(v, offset, INSN_MAX_BYTES - c->nr, &linear, &fault);
	if (!n || gva_to_gpa(v, linear, GVA_FETCH, &gpa, &fault)) {
		gva_inject_fault(v, &fault);
		return -EFAULT;
	}
	if (host_guest_read(v->vm, gpa, c->bytes + c->nr, n))
		return -EINVAL;
	c->nr += n;
	return 0;
}

static bool is_same_code(const struct emul_code *a, const struct emul_code *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->nr == b->nr && a->mode == b->mode;
}

/*
 * Decodes emul.code, unless the same bytes are known from before. The result, in emul.in, lasts until the next instruction is
 * decoded. 0, or as insn_decode().
 */
static int decode(struct vcpu *v)
{
	struct emul *e = &v->emul;
	struct emul_decoded *known = &e->decoded[vcpu_rip(v) / 2 % EMUL_DECODED];
	int r;

	e->in = NULL;
	e->code.mode = code_mode(v);
	if (!is_same_code(&known->code, &e->code)) {
		known->code.nr = 0;
		r = insn_decode(&known->in, e->code.bytes, e->code.nr, e->code.mode);
		if (r)
			return r;
		known->code = e->code;
	}
	e->in = &known->in;
	return 0;
}

int emulate_fetch(struct vcpu *v)
{
	struct emul *e = &v->emul;
	int r;

	e->in = NULL;
	e->code = (struct emul_code){ .nr = 0 };
	do {
		r = fetch_more(v);
		if (r)
			return r;
		r = decode(v);
	} while (r == -EAGAIN);
	return r ? -EINVAL : 0;
}

int emulate_fetch_decode(struct vcpu *v, struct insn *insn)
{
	int r = emulate_fetch(v);

	if (!r)
		*insn = *v->emul.in;
	return r;
}

const struct insn *emulate_waiting_insn(struct vcpu *v)
{
	struct emul *e = &v->emul;

	if (e->in && e->code.mode == code_mode(v))
		return e->in;
	return e->code.nr && !decode(v) ? e->in : NULL;
}

int emulate_length(struct vcpu *v, enum insn_name name)
{
	return emulate_fetch(v) || v->emul.in->name != name ? 0 : v->emul.in->length;
}

/* --- Exits. --- */

/*
 * KVM_INTERNAL_ERROR_EMULATION with the instruction's bytes; data[3] is RIP, for whoever reads the
 * VMM's log.
 */
static int emulation_failure(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct emul *e = &v->emul;

	host_trace_emulate(v, true);
	if (vcpu_cpl(v) == 3) {
		event_exception(v, VEC_UD);
		return RESUME;
	}
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	memset(&run->internal, 0, sizeof(run->internal));
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = e->code.nr;
	memcpy(run->emulation_failure.insn_bytes, e->code.bytes, e->code.nr);
	run->internal.data[3] = vcpu_rip(v);
	return EXIT_TO_USER;
}

static void exit_mmio(struct vcpu *v, const struct mmio_fragment *f, bool write)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = f->gpa;
	memcpy(run->mmio.data, f->data, sizeof(run->mmio.data));
	run->mmio.len = f->len;
	run->mmio.is_write = write;
}

int emulate_next_write(struct vcpu *v)
{
	struct emul *e = &v->emul;

	if (e->next_write >= e->nr_writes)
		return RESUME;
	exit_mmio(v, &e->writes[e->next_write++], true);
	e->waiting = EMUL_MMIO_WRITE;
	e->rip = vcpu_rip(v);
	return EXIT_TO_USER;
}

static int ask_for_read(struct vcpu *v)
{
	struct emul *e = &v->emul;
	struct mmio_fragment *f = &e->reads[e->nr_reads];

	host_trace_mmio(v, 0, f->len, f->gpa, 0);
	exit_mmio(v, f, false);
	e->waiting = EMUL_MMIO_READ;
	e->rip = vcpu_rip(v);
	return EXIT_TO_USER;
}

int emulate_stop(struct vcpu *v, enum exec_result result)
{
	if (result == EXEC_READ)
		return ask_for_read(v);
	if (result == EXEC_CANNOT)
		return emulation_failure(v);
	return RESUME;
}

/* --- Runs. --- */

/*
 * Something else wants this thread, or a single-step trap is due: the next element is the CPU's to
 * start.
 */
static bool must_leave(struct vcpu *v)
{
	return __atomic_load_n(&v->requests, __ATOMIC_RELAXED) || v->ev.exception.pending ||
	       host_signal_pending();
}

static int run(struct vcpu *v, const struct insn *in)
{
	struct exec x;
	unsigned int i;

	for (i = 0; i < MAX_ITERATIONS; i++) {
		enum exec_result r;

		exec_init(&x, v, in);
		r = exec_insn(&x);
		if (r != EXEC_DONE)
			return emulate_stop(v, r);
		exec_commit(&x);
		if (v->emul.nr_writes)
			return emulate_next_write(v);
		if (!x.again || must_leave(v))
			break;
	}
	return RESUME;
}

/* The instruction that faulted, as the CPU fetched it. False: it has to be fetched here, with what exceptions that may raise. */
static bool take_fault_code(struct vcpu *v)
{
	struct emul_code *c = &v->emul.code;

	*c = (struct emul_code){ .nr = vcpu_fault_code_len(v) };
	memcpy(c->bytes, vcpu_fault_code(v), c->nr);
	return c->nr && !decode(v);
}

int emulate_mmio(struct vcpu *v, const struct emul_operand *operand)
{
	struct emul *e = &v->emul;
	int r;

	emulate_reset(v);
	if (operand) {
		e->translated = true;
		e->operand = *operand;
	}
	r = operand && take_fault_code(v) ? 0 : emulate_fetch(v);
	if (r == -EFAULT)
		return RESUME;
	if (r)
		return emulation_failure(v);
	host_trace_emulate(v, false);
	return run(v, e->in);
}

static int complete_read(struct vcpu *v)
{
	struct emul *e = &v->emul;
	struct mmio_fragment *f = &e->reads[e->nr_reads];
	const struct insn *in;
	u64 value = 0;

	memcpy(f->data, v->run->mmio.data, sizeof(f->data));
	memcpy(&value, f->data, f->len);
	host_trace_mmio(v, 1, f->len, f->gpa, value);
	e->nr_reads++;
	in = emulate_waiting_insn(v);
	if (!in)
		return RESUME;
	return e->pio.string ? emulate_pio_run(v, in) : run(v, in);
}

int emulate_complete(struct vcpu *v)
{
	struct emul *e = &v->emul;
	u8 waiting = e->waiting;

	e->waiting = EMUL_IDLE;
	if (waiting == EMUL_IDLE || vcpu_rip(v) != e->rip)
		return RESUME;
	if (waiting == EMUL_MMIO_WRITE)
		return emulate_next_write(v);
	if (waiting == EMUL_MMIO_READ)
		return complete_read(v);
	return emulate_pio_complete(v, waiting == EMUL_PIO_INS);
}

void emulate_reset(struct vcpu *v)
{
	struct emul *e = &v->emul;

	e->waiting = EMUL_IDLE;
	e->code.nr = e->nr_reads = e->nr_writes = e->next_write = 0;
	e->in = NULL;
	e->translated = false;
	e->pio.string = false;
}

void emulate_translate(struct vcpu *v, struct kvm_translation *t)
{
	struct guest_fault fault;
	u64 gpa = ~0ull;

	t->valid = !gva_to_gpa(v, t->linear_address, GVA_READ | GVA_PROBE, &gpa, &fault);
	t->physical_address = gpa;
	t->writeable = 1;
	t->usermode = 0;
}
