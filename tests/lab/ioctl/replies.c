// SPDX-License-Identifier: GPL-2.0
/*
 * Replies: every byte that an ioctl hands back has been given a value. The same
 * call is made with two patterns in the buffer; a byte that keeps both was not
 * written. What the structures reserve must be 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "check.h"

#define BUFFER		65536
#define ALWAYS		(-1)

struct reply {
	const char *name;
	bool of_vm;
	unsigned long request;
	size_t size;
	int cap;
	struct { uint16_t offset, len; } zero[4];	/* reserved bytes */
};

#define FIELD(type, member)						\
	{ offsetof(struct type, member), sizeof(((struct type *)0)->member) }

static const struct reply replies[] = {
	{ "KVM_GET_REGS", false, KVM_GET_REGS, sizeof(struct kvm_regs), ALWAYS, { { 0 } } },
	{ "KVM_GET_SREGS", false, KVM_GET_SREGS, sizeof(struct kvm_sregs), ALWAYS,
	  { FIELD(kvm_sregs, cs.padding), FIELD(kvm_sregs, ldt.padding),
	    FIELD(kvm_sregs, gdt.padding), FIELD(kvm_sregs, idt.padding) } },
	{ "KVM_GET_SREGS2", false, KVM_GET_SREGS2, sizeof(struct kvm_sregs2), KVM_CAP_SREGS2,
	  { FIELD(kvm_sregs2, tr.padding), FIELD(kvm_sregs2, gdt.padding) } },
	{ "KVM_GET_FPU", false, KVM_GET_FPU, sizeof(struct kvm_fpu), ALWAYS,
	  { FIELD(kvm_fpu, pad1), FIELD(kvm_fpu, pad2) } },
	{ "KVM_GET_XSAVE", false, KVM_GET_XSAVE, sizeof(struct kvm_xsave), KVM_CAP_XSAVE,
	  { { 0 } } },
	{ "KVM_GET_XCRS", false, KVM_GET_XCRS, sizeof(struct kvm_xcrs), KVM_CAP_XCRS,
	  { FIELD(kvm_xcrs, padding), FIELD(kvm_xcrs, xcrs[0].reserved) } },
	{ "KVM_GET_DEBUGREGS", false, KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs),
	  KVM_CAP_DEBUGREGS, { FIELD(kvm_debugregs, flags), FIELD(kvm_debugregs, reserved) } },
	{ "KVM_GET_VCPU_EVENTS", false, KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events),
	  KVM_CAP_VCPU_EVENTS,
	  { FIELD(kvm_vcpu_events, nmi.pad), FIELD(kvm_vcpu_events, reserved) } },
	{ "KVM_GET_MP_STATE", false, KVM_GET_MP_STATE, sizeof(struct kvm_mp_state), ALWAYS,
	  { { 0 } } },
	{ "KVM_GET_LAPIC", false, KVM_GET_LAPIC, sizeof(struct kvm_lapic_state), ALWAYS,
	  { { 0x00, 32 }, { 0x24, 12 }, { 0x34, 12 }, { 0x3f4, 12 } } },
	{ "KVM_GET_CLOCK", true, KVM_GET_CLOCK, sizeof(struct kvm_clock_data), KVM_CAP_ADJUST_CLOCK,
	  { FIELD(kvm_clock_data, pad0), FIELD(kvm_clock_data, pad) } },
};

static const struct reply *current;

/* How many of the first `size` bytes keep both patterns. */
static unsigned int unwritten(const uint8_t *a, const uint8_t *b, size_t size)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < size; i++)
		n += a[i] == 0x55 && b[i] == 0xaa;
	return n;
}

static bool reserved_is_zero(const uint8_t *reply)
{
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(current->zero); i++)
		for (at = 0; at < current->zero[i].len; at++)
			if (reply[current->zero[i].offset + at])
				return false;
	return true;
}

static void test_fixed(struct machine *m, const char *when)
{
	static uint8_t a[BUFFER], b[BUFFER];
	unsigned int n;
	int fd;

	for (current = replies; current < replies + ARRAY_SIZE(replies); current++) {
		if (current->cap != ALWAYS && !has_cap(current->cap)) {
			skip("%s: not advertised", current->name);
			continue;
		}
		fd = current->of_vm ? m->vm : m->vcpu;
		memset(a, 0x55, sizeof(a));
		memset(b, 0xaa, sizeof(b));
		if (!check_errno(ioctl(fd, current->request, a), 0, "%s %s", current->name, when) ||
		    ioctl(fd, current->request, b))
			continue;
		n = unwritten(a, b, current->size);
		check(!n, "%s %s: all %zu bytes are defined (%u are not)", current->name, when,
		      current->size, n);
		check(reserved_is_zero(a), "%s %s: what is reserved is 0", current->name, when);
		check(a[current->size] == 0x55 && b[current->size] == 0xaa,
		      "%s %s: nothing is written beyond it", current->name, when);
	}
}

/* KVM_GET_XSAVE2's size is the capability's. */
static void test_xsave2(struct machine *m)
{
	int size = ioctl(m->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	uint8_t *a, *b;

	if (size <= 0) {
		skip("KVM_CAP_XSAVE2");
		return;
	}
	a = malloc(size + PAGE);
	b = malloc(size + PAGE);
	memset(a, 0x55, size + PAGE);
	memset(b, 0xaa, size + PAGE);
	check_errno(ioctl(m->vcpu, KVM_GET_XSAVE2, a), 0, "KVM_GET_XSAVE2");
	ioctl(m->vcpu, KVM_GET_XSAVE2, b);
	check(size >= 4096 && !unwritten(a, b, size),
	      "KVM_GET_XSAVE2: all %d bytes are defined", size);
	check(a[size] == 0x55, "KVM_GET_XSAVE2: nothing is written beyond it");
	free(a);
	free(b);
}

static void poisoned_cpuid(struct kvm_cpuid2 *cpuid, uint8_t pattern, unsigned int nent)
{
	memset(cpuid, pattern, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
	cpuid->nent = nent;
}

static void test_cpuid(struct machine *m)
{
	const unsigned int nent = 200;
	const size_t room = sizeof(struct kvm_cpuid2) + nent * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *a = malloc(room), *b = malloc(room);
	unsigned int i, n, pads = 0;
	size_t size;

	poisoned_cpuid(a, 0x55, nent);
	poisoned_cpuid(b, 0xaa, nent);
	check_errno(ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, a), 0, "KVM_GET_SUPPORTED_CPUID");
	ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, b);
	size = a->nent * sizeof(a->entries[0]);
	check(!unwritten((uint8_t *)a->entries, (uint8_t *)b->entries, size),
	      "KVM_GET_SUPPORTED_CPUID: all bytes of %u entries are defined", a->nent);
	for (i = 0; i < a->nent; i++)
		pads += a->entries[i].padding[0] || a->entries[i].padding[1] ||
			a->entries[i].padding[2];
	check(!pads, "KVM_GET_SUPPORTED_CPUID: padding is 0 (not so in %u)", pads);
	check(unwritten((uint8_t *)a->entries + size, (uint8_t *)b->entries + size, 40) == 40,
	      "KVM_GET_SUPPORTED_CPUID: nothing is written beyond the last entry");
	n = a->nent;
	ioctl(m->vcpu, KVM_SET_CPUID2, a);
	poisoned_cpuid(a, 0x55, nent);
	poisoned_cpuid(b, 0xaa, nent);
	check_errno(ioctl(m->vcpu, KVM_GET_CPUID2, a), 0, "KVM_GET_CPUID2");
	ioctl(m->vcpu, KVM_GET_CPUID2, b);
	check(!unwritten((uint8_t *)a->entries, (uint8_t *)b->entries,
			 n * sizeof(a->entries[0])),
	      "KVM_GET_CPUID2: all bytes of %u entries are defined", n);
	free(a);
	free(b);
}

static bool all_zero(const uint8_t *p, size_t size)
{
	while (size && !*p)
		p++, size--;
	return !size;
}

/* struct kvm_run and the page behind it are shared with user space from the start. */
static void test_run_page(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	size_t head = offsetof(struct kvm_run, s);

	check(all_zero((uint8_t *)m.run + head + sizeof(m.run->s),
		       PAGE - head - sizeof(m.run->s)),
	      "struct kvm_run's page starts with nothing in it");
	machine_free(&m);
}

void test_replies(void)
{
	static const uint8_t code[] = { 0xe6, 0x80, 0xf4 };	/* out %al, $0x80; hlt */
	struct machine m = machine_new(STAGE_VCPU);

	test_fixed(&m, "of a new vCPU");
	test_xsave2(&m);
	test_cpuid(&m);
	machine_code(&m, code, sizeof(code));
	machine_run(&m);
	test_fixed(&m, "after KVM_RUN");
	machine_free(&m);
	test_run_page();
}
