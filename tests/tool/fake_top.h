/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMs made up for the tests of `exeunt top`, and a clock that they move.
 */
#ifndef EXEUNT_TESTS_FAKE_TOP_H
#define EXEUNT_TESTS_FAKE_TOP_H

#include "fake_source.h"
#include "top_state.h"

#define MSR_WRITE(msr)	EXEUNT_KEY(0x7c, EXEUNT_MSR_WRITE, EXEUNT_KERNEL, msr)
#define MSR_READ(msr)	EXEUNT_KEY(0x7c, EXEUNT_MSR_READ, EXEUNT_USER, msr)
#define CPUID		EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define HLT		EXEUNT_KEY(0x78, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define PORT_OUT(port)	EXEUNT_KEY(0x7b, EXEUNT_PIO_OUT, EXEUNT_USER, port)

#define SECOND		1000000000ull

static uint64_t fake_ns;

/* What a source would give @after_ns later. */
static inline struct sample fake_sample(uint64_t after_ns)
{
	struct sample s;

	fake_ns += after_ns;
	sample_copy(&s, &fake.now);
	s.time_ns = fake_ns;
	return s;
}

static inline void take(struct top *t, uint64_t after_ns)
{
	struct sample s = fake_sample(after_ns);

	top_sample(t, &s);
}

static struct vm *vm_named(const char *name)
{
	for (size_t i = 0; i < fake.now.nr_vms; i++) {
		if (!strcmp(fake.now.vms[i].name, name))
			return &fake.now.vms[i];
	}
	abort();
}

static inline void vm_exits(const char *name, size_t vcpu, uint64_t key, uint64_t n, uint64_t ticks)
{
	fake_exits(&vm_named(name)->vcpus[vcpu], key, n, ticks);
}

/* The source has nothing more of it. */
static inline void vm_vanishes(const char *name)
{
	struct sample one = { .nr_vms = 1, .vms = xcalloc(1, sizeof(struct vm)) };
	struct vm *vm = vm_named(name);

	one.vms[0] = *vm;
	memmove(vm, vm + 1, (&fake.now.vms[fake.now.nr_vms] - vm - 1) * sizeof(*vm));
	fake.now.nr_vms--;
	sample_free(&one);
}

/* Three: "web" with two vCPUs, "db" with one, on Exeunt; "old" with one on KVM. */
static void fake_vms(void)
{
	struct vm *vm = fake_vm("exeunt", 1, 101, "web");

	fake_vcpu(vm, 0);
	fake_vcpu(vm, 1);
	fake_vcpu(fake_vm("exeunt", 2, 102, "db"), 0);
	fake_vcpu(fake_vm("kvm", 1, 103, "old"), 0);
	fake_ns = 1000 * SECOND;
}

#endif
