// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes the local APIC: a sequence of what guests, VMMs and devices can do to three vCPUs, in any
 * order and with any values. After each step what must always hold is checked, against a slow and
 * simple reading of the registers.
 */
#include "machine.h"
#include "run.h"

#define NR_VCPUS	3

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const u32 vcpu_ids[NR_VCPUS] = { 0, 1, 0x25 };

struct input {
	const u8 *data;
	size_t left;
};

static u64 take(struct input *in, u32 bytes)
{
	u64 value = 0;

	bytes = min_t(u32, bytes, in->left);
	memcpy(&value, in->data, bytes);
	in->data += bytes;
	in->left -= bytes;
	return value;
}

/* What the engine's reset does to the APIC. */
void vcpu_reset(struct vcpu *v, bool init)
{
	lapic_reset(v, init);
}

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}
#define CHECK(x) check(x, #x)

static int highest_of(struct vcpu *v, u32 array)
{
	for (int word = 7; word >= 0; word--)
		for (int bit = 31; v->apic.regs[array / 4 + word * 4] && bit >= 0; bit--)
			if (v->apic.regs[array / 4 + word * 4] >> bit & 1)
				return word * 32 + bit;
	return -1;
}

static void check_priorities(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	int irr = highest_of(v, LAPIC_IRR), isr = highest_of(v, LAPIC_ISR);
	u32 tpr = a->regs[LAPIC_TPR / 4], service = isr < 0 ? 0 : isr & 0xf0;
	u32 ppr = (tpr & 0xf0) >= service ? tpr : service;

	CHECK(irr < 0 || irr >= 16);
	CHECK(!(a->regs[LAPIC_IRR / 4] & 0xffff) && !(a->regs[LAPIC_ISR / 4] & 0xffff));
	CHECK(tpr <= 0xff && a->regs[LAPIC_PPR / 4] == ppr);
	CHECK(a->isr_top == isr);
	for (u32 i = 0; i < 8; i++)
		CHECK(!a->regs[LAPIC_IRR / 4 + i * 4] || a->irr_words >> i & 1);
	CHECK(lapic_highest_irr(v) == irr);
	CHECK(lapic_pending_vector(v) ==
	      (lapic_hw_enabled(a) && irr >= 0 && (irr & 0xf0) > (int)(ppr & 0xf0) ? irr : -1));
}

static void check_vcpu(struct vcpu *v)
{
	struct lapic *a = &v->apic;
	u64 mode = a->base & (APIC_BASE_ENABLE_BIT | APIC_BASE_X2APIC_BIT);

	check_priorities(v);
	CHECK(mode != APIC_BASE_X2APIC_BIT);
	/* A timer that waits has its reminder: armed, or fired and not yet looked at. */
	CHECK(!a->timer.expires_ns || machine_of(v)->timer_deadline || lapic_timer_pending(v));
	CHECK(a->timer.divide && a->timer.divide <= 128 &&
	      !(a->timer.divide & (a->timer.divide - 1)));
	CHECK(lapic_timer_current(v) <= a->regs[LAPIC_TIMER_INITIAL / 4]);
	CHECK(!(a->pending_init_sipi & ~3u));
}

/*
 * Loading what was just saved changes nothing that can be saved, once a timer that is due has had
 * its say.
 */
static void save_and_load(struct vcpu *v)
{
	struct kvm_lapic_state before, after;
	bool idle;

	lapic_timer_deliver(v);
	lapic_timer_rearm(v);
	idle = !v->apic.timer.expires_ns;
	lapic_get_state(v, &before);
	CHECK(!lapic_set_state(v, &before));
	lapic_get_state(v, &after);
	if (idle)	/* a one-shot that was through and then made periodic starts again */
		memset(after.regs + LAPIC_TIMER_CURRENT, 0, sizeof(u32));
	CHECK(!memcmp(&before, &after, sizeof(before)));
}

static void load_garbage(struct vcpu *v, struct input *in)
{
	struct kvm_lapic_state s;
	u32 id = lapic_x2apic(&v->apic) && v->vm->x2apic_ids32 ? v->id : v->id << 24;

	lapic_get_state(v, &s);
	for (u32 n = take(in, 1) % 16; n; n--) {
		u32 reg = take(in, 1) % 64, value = take(in, 4);

		memcpy(s.regs + reg * 16, &value, sizeof(value));
	}
	if (take(in, 1) % 16)
		memcpy(s.regs + LAPIC_ID, &id, sizeof(id));
	lapic_set_state(v, &s);
}

static void send_message(struct machine *m, struct vcpu *v, struct input *in)
{
	u64 bits = take(in, 4);
	struct apic_msg msg = {
		.dest = take(in, 4),
		.vector = bits,
		.delivery_mode = bits >> 8,
		.shorthand = bits >> 16 & 3,
		.logical = bits >> 18 & 1,
		.level = bits >> 19 & 1,
		.assert = bits >> 20 & 1,
		.x2apic_dest = bits >> 21 & 1,
	};
	u32 matching = 0, id;
	struct vcpu *each, *src = bits >> 22 & 1 ? v : NULL;
	int count;

	vm_for_each_vcpu(&m->vm, each, id)
		matching += lapic_msg_matches(each, src, &msg);
	count = lapic_deliver(&m->vm, src, &msg);
	CHECK(count >= 0 && (u32)count <= matching);
	CHECK(msg.delivery_mode != APIC_LOWEST || count <= 1);
}

static void send_msi(struct machine *m, struct input *in)
{
	u32 address_lo = take(in, 4), address_hi = take(in, 4), data = take(in, 4);

	CHECK((u32)lapic_deliver_msi(&m->vm, address_lo, address_hi, data) <= NR_VCPUS);
}

static void set_base(struct vcpu *v, struct input *in)
{
	bool host = take(in, 1) & 1;

	lapic_set_base(v, take(in, 5) << 8, host);
}

/* A deadline near the present, or any. */
static void set_deadline(struct vcpu *v, struct input *in)
{
	bool near = !(take(in, 1) & 1);

	lapic_set_tscdeadline(v, near ? msr_guest_tsc(v) + take(in, 3) : take(in, 8));
}

static void access_page(struct vcpu *v, struct input *in)
{
	u32 bits = take(in, 2), len = 1 + (bits >> 12 & 7);
	u64 gpa = (v->apic.base & 0xffffffffff000ull) + (bits & 0xfff), value = take(in, 4);

	if (bits >> 15)
		lapic_mmio_write(v, gpa, len, &value);
	else
		lapic_mmio_read(v, gpa, len, &value);
}

/* A register by its number, written whole: what most accesses are. */
static void write_register(struct vcpu *v, struct input *in)
{
	u32 reg = take(in, 1) & 0x3f, value = take(in, 4);

	if (lapic_x2apic(&v->apic))
		lapic_x2apic_write(v, 0x800 + reg, value);
	else
		lapic_mmio_write(v, (v->apic.base & 0xffffffffff000ull) + reg * 16, 4, &value);
}

static void take_interrupt(struct vcpu *v)
{
	int vector = lapic_pending_vector(v);

	if (vector < 0)
		return;
	machine_take(v, vector);
	CHECK(lapic_vector_in_flight(v, vector));
	CHECK(lapic_pending_vector(v) != vector);
}

static void step(struct machine *m, struct input *in)
{
	u32 op = take(in, 1);
	struct vcpu *v = vm_vcpu(&m->vm, vcpu_ids[op >> 6 ? (op >> 6) - 1 : 0]);
	u64 value;

	switch (op & 15) {
	case 0: write_register(v, in); break;
	case 1: access_page(v, in); break;
	case 2: lapic_x2apic_write(v, 0x800 + take(in, 1), take(in, 8)); break;
	case 3: lapic_x2apic_read(v, 0x800 + take(in, 1), &value); break;
	case 4: take_interrupt(v); break;
	case 5: send_message(m, v, in); break;
	case 6: send_msi(m, in); break;
	case 7: set_base(v, in); break;
	case 8: machine_advance(m, take(in, 3)); break;
	case 9: lapic_timer_deliver(v); break;
	case 10: set_deadline(v, in); break;
	case 11: load_garbage(v, in); break;
	case 12: save_and_load(v); break;
	case 13: lapic_accept_init_sipi(v); break;
	case 14: lapic_set_cr8(v, take(in, 1)); break;
	case 15: v->msr.tsc_offset = take(in, 8), lapic_timer_rearm(v); break;
	}
}

/* The VM's options, from the input's first byte. */
static struct machine *create(u8 options)
{
	struct machine *m = machine_create(0);

	m->vm.x2apic_ids32 = options & 1;
	m->vm.x2apic_no_bcast_quirk = options & 2;
	m->vm.disabled_quirks = options & 4 ? ~0ull : 0;
	for (u32 i = 0; i < NR_VCPUS; i++) {
		struct vcpu *v = machine_add_vcpu(m, vcpu_ids[i]);

		v->cpuid.has_x2apic = !(options & 8);
		v->cpuid.has_tsc_deadline = !(options & 16);
		v->cpuid.maxphyaddr = 40;
		v->msr.tsc_khz = options & 32 ? 1 : MACHINE_TSC_KHZ;
		v->apic.eoi_exit[1] = 0xf0f0;
		if (lapic_create(v))
			abort();
		lapic_mmio_write(v, APIC_DEFAULT_BASE + LAPIC_SVR, 4, &(u32){ 0x1ff });
	}
	return m;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct machine *m = create(take(&in, 1));

	machine_now_ns = 1000000000;
	while (in.left) {
		step(m, &in);
		for (u32 i = 0; i < NR_VCPUS; i++)
			check_vcpu(vm_vcpu(&m->vm, vcpu_ids[i]));
	}
	for (u32 i = 0; i < NR_VCPUS; i++)
		lapic_free(vm_vcpu(&m->vm, vcpu_ids[i]));
	machine_free(m);
	return 0;
}
