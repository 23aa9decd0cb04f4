// SPDX-License-Identifier: GPL-2.0
/*
 * One operation measured: a virtual machine of its own, on the monitor of ../guest/machine.h, that runs the payload which this program
 * carries within it. So no operation finds what another one has left, and one whose guest dies takes no other with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "../guest/machine.h"
#include "bench.h"
#include "util.h"

#define MEMORY_MB 64

_Static_assert(BENCH_MAX_SAMPLES == MON_MAX_SAMPLES && BENCH_MAX_VCPUS == MON_MAX_VCPUS, "limits");

extern const uint8_t _binary_bench_elf_start[], _binary_bench_elf_end[];

static bool is_kvm(int fd)
{
	return ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
}

bool bench_check_device(const char *device)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);
	bool good;

	if (fd < 0) {
		if (errno == ENOENT)
			complain("there is no '%s': is the hypervisor's module loaded?", device);
		else
			complain("cannot open '%s': %s", device, strerror(errno));
		return false;
	}
	good = is_kvm(fd);
	if (!good)
		complain("'%s' does not speak the KVM API", device);
	close(fd);
	return good;
}

static void say(struct bench_result *r, enum bench_outcome outcome, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(struct bench_result *r, enum bench_outcome outcome, const char *fmt, ...)
{
	va_list args;

	r->outcome = outcome;
	va_start(args, fmt);
	vsnprintf(r->words, sizeof(r->words), fmt, args);
	va_end(args);
}

/* Each vCPU has a CPU of its own as long as there are some left. */
static void place_vcpus(struct vm *vm, const struct bench_setup *setup)
{
	for (unsigned int i = 0; setup->pin && i < vm->vcpus; i++)
		vm->vcpu[i].cpu = setup->cpus[i % setup->nr_cpus];
	vm->batch = vm->vcpus > setup->nr_cpus;
}

static void summarize_samples(struct bench_result *r, const struct samples *samples)
{
	double *values = xcalloc(samples->nr, sizeof(*values));

	for (size_t i = 0; i < samples->nr; i++)
		values[i] = samples->values[i] > samples->empty ? samples->values[i] - samples->empty : 0;
	summarize(&r->cost, values, samples->nr);
	r->empty = samples->empty;
	free(values);
}

/* What a run that has ended was. */
static void judge(struct bench_result *r, const struct vm *vm, const struct bench_setup *setup)
{
	const struct samples *samples = &vm->samples;

	if (vm->fault[0])
		say(r, BENCH_FAILED, "%s", vm->fault);
	else if (vm->failed)
		say(r, BENCH_FAILED, "the guest says: %s", vm->line);
	else if (!samples->values)
		say(r, BENCH_FAILED, "the guest ended with status %lu and without samples", (unsigned long)vm->status);
	else if (samples->outcome != MON_MEASURED)
		say(r, samples->outcome == MON_SKIPPED ? BENCH_SKIPPED : BENCH_FAILED, "%s", samples->words);
	else if (samples->nr != setup->samples)
		say(r, BENCH_FAILED, "the guest gave %zu samples", samples->nr);
	else
		say(r, BENCH_MEASURED, "%s", samples->words);
	if (r->outcome == BENCH_MEASURED)
		summarize_samples(r, samples);
}

static void run_machine(struct bench_result *r, const struct bench_setup *setup, struct bench_host *host)
{
	char *args = xasprintf("%s -n %u", r->operation->name, setup->samples);
	const struct vm_options options = {
		.device = setup->device,
		.vcpus = r->vcpus,
		.mem_mb = MEMORY_MB,
		.payload = _binary_bench_elf_start,
		.payload_bytes = _binary_bench_elf_end - _binary_bench_elf_start,
		.args = args,
	};
	struct vm *vm = xcalloc(1, sizeof(*vm));
	struct mon_info info;

	if (vm_create(vm, &options)) {
		place_vcpus(vm, setup);
		vm_run(vm, setup->timeout);
		judge(r, vm, setup);
		vm_info(vm, &info);
		*host = (struct bench_host){ .tsc_khz = info.tsc_khz, .emulated = info.emulated, .nrips = info.nrips };
	} else {
		say(r, BENCH_FAILED, "%s", vm->fault);
	}
	vm_destroy(vm);
	free(vm);
	free(args);
}

void bench_run(struct bench_result *r, const struct bench_setup *setup, const struct bench_operation *operation, struct bench_host *host)
{
	*r = (struct bench_result){ .operation = operation, .vcpus = operation->vcpus ? operation->vcpus : setup->vcpus };
	if (operation->together && r->vcpus > setup->nr_cpus)
		say(r, BENCH_SKIPPED, "needs %u CPUs at the same time, of %u that may be used", r->vcpus, setup->nr_cpus);
	else
		run_machine(r, setup, host);
	if (r->outcome == BENCH_MEASURED && r->vcpus > setup->nr_cpus && !r->words[0])
		say(r, BENCH_MEASURED, "%u vCPUs take turns on %u CPU%s", r->vcpus, setup->nr_cpus, setup->nr_cpus > 1 ? "s" : "");
}
