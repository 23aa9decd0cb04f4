// SPDX-License-Identifier: GPL-2.0
/*
 * vCPU state: CPUID, MSRs, registers, events, and the ioctls that need an APIC.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "check.h"

#define MAX_MSRS		256	/* as many as one call takes, and one more than it may */
#define MAX_CPUID		256
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_UNKNOWN		0x12345678

#define CR0_PE			(1ULL << 0)
#define CR0_ET			(1ULL << 4)
#define CR0_NW			(1ULL << 29)
#define CR0_PG			(1ULL << 31)
#define CR4_PAE			(1ULL << 5)
#define EFER_LME		(1ULL << 8)
#define EFER_LMA		(1ULL << 10)

struct cpuid_buffer {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[MAX_CPUID + 1];
};

struct msr_buffer {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entries[MAX_MSRS + 1];
};

/* out %al, $0x80, twice; hlt */
static const uint8_t code_out_hlt[] = { 0xe6, 0x80, 0xe6, 0x80, 0xf4 };

static void supported_cpuid(struct machine *m, struct cpuid_buffer *cpuid)
{
	cpuid->nent = MAX_CPUID;
	if (ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
		cpuid->nent = 0;
}

/* Values may differ in the bits that follow the vCPU's state. */
static bool same_leaves(const struct cpuid_buffer *a, const struct cpuid_buffer *b, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (a->entries[i].function != b->entries[i].function ||
		    a->entries[i].index != b->entries[i].index)
			return false;
	return true;
}

static void test_cpuid(void)
{
	static struct cpuid_buffer cpuid, back;
	struct machine m = machine_new(STAGE_VCPU);
	uint32_t n;

	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), 0, "KVM_SET_CPUID2 with no entries");
	cpuid.nent = MAX_CPUID + 1;
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), E2BIG,
		    "KVM_SET_CPUID2 with one too many: E2BIG");
	cpuid.nent = ~0U;
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), E2BIG,
		    "KVM_SET_CPUID2 with -1 entries: E2BIG");
	supported_cpuid(&m, &cpuid);
	n = cpuid.nent;
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), 0,
		    "KVM_SET_CPUID2 with what is supported");
	back.nent = 1;
	check_errno(ioctl(m.vcpu, KVM_GET_CPUID2, &back), E2BIG,
		    "KVM_GET_CPUID2 with too little room: E2BIG");
	back.nent = MAX_CPUID;
	check_errno(ioctl(m.vcpu, KVM_GET_CPUID2, &back), 0, "KVM_GET_CPUID2");
	check(same_leaves(&back, &cpuid, n), "KVM_GET_CPUID2 gives the leaves that were set");
	cpuid.nent = 1;
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), 0, "KVM_SET_CPUID2 with one entry");

	supported_cpuid(&m, &cpuid);
	ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid);
	machine_code(&m, code_out_hlt, sizeof(code_out_hlt));
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO, "the vCPU runs");
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), 0,
		    "the same CPUID may be set after KVM_RUN");
	cpuid.nent--;
	check_errno(ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid), EINVAL, "another CPUID may not");
	machine_free(&m);
}

static int msrs(struct machine *m, unsigned long request, struct msr_buffer *b, uint32_t n)
{
	b->nmsrs = n;
	return ioctl(m->vcpu, request, b);
}

static void test_msrs(void)
{
	static struct msr_buffer b;
	struct machine m = machine_new(STAGE_VCPU);
	uint32_t i;

	for (i = 0; i <= MAX_MSRS; i++)
		b.entries[i].index = MSR_STAR;
	check(msrs(&m, KVM_GET_MSRS, &b, 0) == 0, "KVM_GET_MSRS of none gives 0");
	check(msrs(&m, KVM_SET_MSRS, &b, 0) == 0, "KVM_SET_MSRS of none gives 0");
	check(msrs(&m, KVM_GET_MSRS, &b, MAX_MSRS - 1) == MAX_MSRS - 1,
	      "KVM_GET_MSRS of as many as may be");
	check(msrs(&m, KVM_SET_MSRS, &b, MAX_MSRS - 1) == MAX_MSRS - 1,
	      "KVM_SET_MSRS of as many as may be");
	check_errno(msrs(&m, KVM_GET_MSRS, &b, MAX_MSRS), E2BIG,
		    "KVM_GET_MSRS of one too many: E2BIG");
	check_errno(msrs(&m, KVM_SET_MSRS, &b, MAX_MSRS), E2BIG,
		    "KVM_SET_MSRS of one too many: E2BIG");
	check_errno(msrs(&m, KVM_GET_MSRS, &b, ~0U), E2BIG, "KVM_GET_MSRS of -1: E2BIG");
	check_errno(msrs(&m, KVM_SET_MSRS, &b, ~0U), E2BIG, "KVM_SET_MSRS of -1: E2BIG");

	b.entries[0] = (struct kvm_msr_entry){ .index = MSR_STAR, .data = 0x1234 };
	b.entries[1] = (struct kvm_msr_entry){ .index = MSR_UNKNOWN, .data = 1 };
	b.entries[2] = (struct kvm_msr_entry){ .index = MSR_STAR, .data = 0x5678 };
	check(msrs(&m, KVM_SET_MSRS, &b, 3) == 1, "KVM_SET_MSRS stops at the first that fails");
	b.entries[0].data = 0;
	b.entries[2].data = 99;
	check(msrs(&m, KVM_GET_MSRS, &b, 3) == 1, "KVM_GET_MSRS stops at the first that fails");
	check(b.entries[0].data == 0x1234, "what came before is done");
	check(b.entries[2].data == 99, "what comes after is not");
	b.entries[0] = (struct kvm_msr_entry){ .index = MSR_LSTAR, .data = 1ULL << 63 };
	check(msrs(&m, KVM_SET_MSRS, &b, 1) == 0, "an LSTAR that is not canonical is refused");
	b.entries[0] = (struct kvm_msr_entry){ .index = 0xc0000080, .data = 1ULL << 63 };
	check(msrs(&m, KVM_SET_MSRS, &b, 1) == 0, "an EFER with reserved bits is refused");
	b.entries[0] = (struct kvm_msr_entry){ .index = 0x277, .data = 2 };
	check(msrs(&m, KVM_SET_MSRS, &b, 1) == 0, "a PAT with a reserved type is refused");
	machine_free(&m);
}

static int restore_list(struct machine *m)
{
	struct { struct kvm_msr_list head; uint32_t index[512]; } list = { .head.nmsrs = 512 };
	static struct msr_buffer b;
	uint32_t i, bad = 0;

	if (ioctl(m->kvm, KVM_GET_MSR_INDEX_LIST, &list))
		return -1;
	for (i = 0; i < list.head.nmsrs; i++) {
		b.entries[0] = (struct kvm_msr_entry){ .index = list.head.indices[i] };
		if (msrs(m, KVM_GET_MSRS, &b, 1) != 1 || msrs(m, KVM_SET_MSRS, &b, 1) != 1)
			bad++;
	}
	return bad;
}

static void test_msr_list(void)
{
	static struct cpuid_buffer cpuid;
	struct machine m = machine_new(STAGE_VCPU);
	int bad;

	supported_cpuid(&m, &cpuid);
	ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid);
	bad = restore_list(&m);
	check(!bad,
	      "every MSR of KVM_GET_MSR_INDEX_LIST can be saved and restored (%d cannot)", bad);
	machine_free(&m);
}

static void long_mode(struct kvm_sregs *s)
{
	s->cr0 = CR0_PG | CR0_ET | CR0_PE;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

static const struct {
	const char *name;
	uint64_t cr0, cr4, efer;	/* XORed to those of 64-bit mode */
	uint64_t cr3, apic_base, cr8;	/* XORed to those at reset */
	int want;
} sregs_rows[] = {
	{ .name = "64-bit mode", .want = 0 },
	{ .name = "64-bit mode without PAE", .cr4 = CR4_PAE, .want = EINVAL },
	{ .name = "LME and PG without LMA", .efer = EFER_LMA, .want = EINVAL },
	{ .name = "LMA without LME", .efer = EFER_LME, .want = EINVAL },
	{ .name = "LMA without PG", .cr0 = CR0_PG, .want = EINVAL },
	{ .name = "PG without PE", .cr0 = CR0_PE, .want = EINVAL },
	{ .name = "NW without CD", .cr0 = CR0_NW, .want = EINVAL },
	{ .name = "CR0 beyond 32 bits", .cr0 = 1ULL << 32, .want = EINVAL },
	{ .name = "CR4 with a reserved bit", .cr4 = 1ULL << 15, .want = EINVAL },
	{ .name = "CR4 beyond 32 bits", .cr4 = 1ULL << 40, .want = EINVAL },
	{ .name = "CR3 beyond physical addresses", .cr3 = 1ULL << 60, .want = EINVAL },
	{ .name = "APIC base with a reserved bit", .apic_base = 1, .want = EINVAL },
	{ .name = "x2APIC mode without the enable bit", .apic_base = 0xc00, .want = EINVAL },
};

static void test_sregs(void)
{
	struct kvm_sregs reset, s, after;
	struct kvm_sregs2 s2;
	static struct cpuid_buffer cpuid;
	struct machine m = machine_new(STAGE_VCPU);
	unsigned int i;

	supported_cpuid(&m, &cpuid);
	ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid);
	ioctl(m.vcpu, KVM_GET_SREGS, &reset);
	for (i = 0; i < ARRAY_SIZE(sregs_rows); i++) {
		s = reset;
		long_mode(&s);
		s.cr0 ^= sregs_rows[i].cr0;
		s.cr3 ^= sregs_rows[i].cr3;
		s.cr4 ^= sregs_rows[i].cr4;
		s.cr8 ^= sregs_rows[i].cr8;
		s.efer ^= sregs_rows[i].efer;
		s.apic_base ^= sregs_rows[i].apic_base;
		check_errno(ioctl(m.vcpu, KVM_SET_SREGS, &s), sregs_rows[i].want,
			    "KVM_SET_SREGS: %s",
			    sregs_rows[i].name);
		ioctl(m.vcpu, KVM_SET_SREGS, &reset);
	}
	ioctl(m.vcpu, KVM_GET_SREGS, &after);
	check(!memcmp(&after, &reset, sizeof(after)),
	      "KVM_SET_SREGS then KVM_GET_SREGS is what was set");
	if (!has_cap(KVM_CAP_SREGS2)) {
		skip("KVM_CAP_SREGS2");
	} else {
		ioctl(m.vcpu, KVM_GET_SREGS2, &s2);
		check_errno(ioctl(m.vcpu, KVM_SET_SREGS2, &s2), 0, "KVM_SET_SREGS2");
		s2.flags = 0x80;
		check_errno(ioctl(m.vcpu, KVM_SET_SREGS2, &s2), EINVAL,
			    "KVM_SET_SREGS2 refuses flags");
	}
	machine_free(&m);
}

static const struct {
	const char *name;
	struct kvm_vcpu_events events;
} event_rows[] = {
	{ "unknown flags", { .flags = 0x80000000 } },
	{ "exception 32", { .exception = { .injected = 1, .nr = 32 } } },
	{ "exception 255", { .exception = { .injected = 1, .nr = 255 } } },
	{ "exception 2, NMI's", { .exception = { .injected = 1, .nr = 2 } } },
};

static void test_events(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_vcpu_events e;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(event_rows); i++) {
		e = event_rows[i].events;
		check_errno(ioctl(m.vcpu, KVM_SET_VCPU_EVENTS, &e), EINVAL,
			    "KVM_SET_VCPU_EVENTS refuses %s", event_rows[i].name);
	}
	memset(&e, 0, sizeof(e));
	e.exception.injected = 1;
	e.exception.nr = 13;
	e.exception.has_error_code = 1;
	e.exception.error_code = 0x18;
	check_errno(ioctl(m.vcpu, KVM_SET_VCPU_EVENTS, &e), 0, "KVM_SET_VCPU_EVENTS: #GP");
	memset(&e, 0, sizeof(e));
	ioctl(m.vcpu, KVM_GET_VCPU_EVENTS, &e);
	check(e.exception.injected && e.exception.nr == 13 && e.exception.error_code == 0x18,
	      "KVM_GET_VCPU_EVENTS gives it back");
	memset(&e, 0, sizeof(e));
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	e.nmi.pending = 1;
	check_errno(ioctl(m.vcpu, KVM_SET_VCPU_EVENTS, &e), 0, "KVM_SET_VCPU_EVENTS: NMI");
	ioctl(m.vcpu, KVM_GET_VCPU_EVENTS, &e);
	check(e.nmi.pending == 1 && !e.exception.injected,
	      "KVM_GET_VCPU_EVENTS gives it back alone");
	machine_free(&m);
}

static void test_debug_state(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_debugregs d = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };

	d.flags = 1;
	check_errno(ioctl(m.vcpu, KVM_SET_DEBUGREGS, &d), EINVAL,
		    "KVM_SET_DEBUGREGS refuses flags");
	d.flags = 0;
	d.dr6 = 1ULL << 32;
	check_errno(ioctl(m.vcpu, KVM_SET_DEBUGREGS, &d), EINVAL,
		    "KVM_SET_DEBUGREGS refuses DR6 beyond 32 bits");
	d.dr6 = 0xffff0ff0;
	d.dr7 = 1ULL << 32;
	check_errno(ioctl(m.vcpu, KVM_SET_DEBUGREGS, &d), EINVAL,
		    "KVM_SET_DEBUGREGS refuses DR7 beyond 32 bits");
	machine_free(&m);
}

static void test_extended_state(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = 1 } };
	static struct kvm_xsave xsave;
	static struct cpuid_buffer cpuid;

	if (!has_cap(KVM_CAP_XCRS) || !has_cap(KVM_CAP_XSAVE)) {
		skip("KVM_CAP_XCRS and KVM_CAP_XSAVE");
		machine_free(&m);
		return;
	}
	supported_cpuid(&m, &cpuid);
	ioctl(m.vcpu, KVM_SET_CPUID2, &cpuid);
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), 0, "KVM_SET_XCRS");
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), EINVAL, "KVM_SET_XCRS refuses one too many");
	x.nr_xcrs = ~0U;
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), EINVAL, "KVM_SET_XCRS refuses -1");
	x.nr_xcrs = 1;
	x.flags = 1;
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), EINVAL, "KVM_SET_XCRS refuses flags");
	x.flags = 0;
	x.xcrs[0].value = 0;
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), EINVAL,
		    "KVM_SET_XCRS refuses XCR0 without x87");
	x.xcrs[0].value = 1ULL << 62 | 1;
	check_errno(ioctl(m.vcpu, KVM_SET_XCRS, &x), EINVAL,
		    "KVM_SET_XCRS refuses unknown features");
	ioctl(m.vcpu, KVM_GET_XSAVE, &xsave);
	check_errno(ioctl(m.vcpu, KVM_SET_XSAVE, &xsave), 0, "KVM_SET_XSAVE");
	xsave.region[512 / 4 + 1] = 1U << 30;	/* XSTATE_BV, upper half */
	check_errno(ioctl(m.vcpu, KVM_SET_XSAVE, &xsave), EINVAL,
		    "KVM_SET_XSAVE refuses unknown features");
	ioctl(m.vcpu, KVM_GET_XSAVE, &xsave);
	xsave.region[24 / 4] = 0xffffffff;	/* MXCSR */
	xsave.region[512 / 4] |= 2;
	check_errno(ioctl(m.vcpu, KVM_SET_XSAVE, &xsave), EINVAL,
		    "KVM_SET_XSAVE refuses a bad MXCSR");
	machine_free(&m);
}

static void test_interrupts(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_interrupt irq = { .irq = 256 };
	struct kvm_mp_state mp = { .mp_state = 99 };
	struct kvm_lapic_state lapic;

	check_errno(ioctl(m.vcpu, KVM_INTERRUPT, &irq), EINVAL, "KVM_INTERRUPT refuses vector 256");
	irq.irq = ~0U;
	check_errno(ioctl(m.vcpu, KVM_INTERRUPT, &irq), EINVAL, "KVM_INTERRUPT refuses vector -1");
	irq.irq = 0x20;
	check_errno(ioctl(m.vcpu, KVM_INTERRUPT, &irq), 0, "KVM_INTERRUPT with a split irqchip");
	check_errno(ioctl(m.vcpu, KVM_INTERRUPT, &irq), EEXIST,
		    "a second one before it is taken: EEXIST");
	check_errno(ioctl(m.vcpu, KVM_SET_MP_STATE, &mp), EINVAL, "KVM_SET_MP_STATE refuses 99");
	mp.mp_state = ~0U;
	check_errno(ioctl(m.vcpu, KVM_SET_MP_STATE, &mp), EINVAL, "KVM_SET_MP_STATE refuses -1");
	check_errno(ioctl(m.vcpu, KVM_NMI, 0), 0, "KVM_NMI");
	machine_free(&m);

	m = machine_without_irqchip();
	memset(&lapic, 0, sizeof(lapic));
	check_errno(ioctl(m.vcpu, KVM_GET_LAPIC, &lapic), EINVAL,
		    "KVM_GET_LAPIC without one: EINVAL");
	check_errno(ioctl(m.vcpu, KVM_SET_LAPIC, &lapic), EINVAL,
		    "KVM_SET_LAPIC without one: EINVAL");
	mp.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	check_errno(ioctl(m.vcpu, KVM_SET_MP_STATE, &mp), EINVAL,
		    "KVM_SET_MP_STATE without an APIC refuses what needs one");
	machine_free(&m);
}

static void test_signal_mask(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct { struct kvm_signal_mask head; uint8_t bits[16]; } mask = { .head.len = 4 };

	check_errno(ioctl(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), EINVAL,
		    "KVM_SET_SIGNAL_MASK refuses 4 bytes");
	mask.head.len = 16;
	check_errno(ioctl(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), EINVAL,
		    "KVM_SET_SIGNAL_MASK refuses 16 bytes");
	mask.head.len = ~0U;
	check_errno(ioctl(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), EINVAL,
		    "KVM_SET_SIGNAL_MASK refuses -1 bytes");
	mask.head.len = 8;
	check_errno(ioctl(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0, "KVM_SET_SIGNAL_MASK of 8 bytes");
	check_errno(ioctl(m.vcpu, KVM_SET_SIGNAL_MASK, NULL), 0, "KVM_SET_SIGNAL_MASK of none");
	machine_free(&m);
}

static void test_mce(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	uint64_t supported = 0, cap;

	if (!has_cap(KVM_CAP_MCE)) {
		skip("KVM_CAP_MCE");
		machine_free(&m);
		return;
	}
	ioctl(m.kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported);
	cap = 0;
	check_errno(ioctl(m.vcpu, KVM_X86_SETUP_MCE, &cap), EINVAL,
		    "KVM_X86_SETUP_MCE refuses no banks");
	cap = 255;
	check_errno(ioctl(m.vcpu, KVM_X86_SETUP_MCE, &cap), EINVAL,
		    "KVM_X86_SETUP_MCE refuses 255 banks");
	cap = 10 | 1ULL << 60;
	check_errno(ioctl(m.vcpu, KVM_X86_SETUP_MCE, &cap), EINVAL,
		    "KVM_X86_SETUP_MCE refuses what is unsupported");
	cap = 10 | (supported & ~0xffULL);
	check_errno(ioctl(m.vcpu, KVM_X86_SETUP_MCE, &cap), 0, "KVM_X86_SETUP_MCE with 10 banks");
	machine_free(&m);
}

static void test_run(void)
{
	static const uint8_t spin[] = { 0xeb, 0xfe };
	struct machine m = machine_new(STAGE_VCPU);

	check_errno(ioctl(m.vcpu, KVM_RUN, 1), EINVAL, "KVM_RUN refuses an argument");
	machine_code(&m, spin, sizeof(spin));
	m.run->immediate_exit = 1;
	check_errno(ioctl(m.vcpu, KVM_RUN, 0), EINTR, "KVM_RUN with immediate_exit: EINTR");
	m.run->immediate_exit = 0;
	machine_free(&m);

	m = machine_new(STAGE_VCPU);
	check(!machine_run(&m) && (m.run->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
				   m.run->exit_reason == KVM_EXIT_SHUTDOWN),
	      "KVM_RUN as created, with nothing at the reset vector, ends (%u)",
	      m.run->exit_reason);
	machine_free(&m);

	m = machine_new(STAGE_VCPU);
	machine_code(&m, code_out_hlt, sizeof(code_out_hlt));
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO && m.run->io.port == 0x80 &&
	      m.run->io.size == 1 && m.run->io.count == 1 &&
	      m.run->io.direction == KVM_EXIT_IO_OUT, "KVM_EXIT_IO says what was written");
	machine_free(&m);
}

void test_vcpu(void)
{
	test_cpuid();
	test_msrs();
	test_msr_list();
	test_sregs();
	test_events();
	test_debug_state();
	test_extended_state();
	test_interrupts();
	test_signal_mask();
	test_mce();
	test_run();
}
