// SPDX-License-Identifier: GPL-2.0
/*
 * See metrics_families.h. A family is a row of the table at the end; above it, what the rows refer to: functions that collect a VM's
 * numbers, and functions that write the labels.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "metrics_families.h"
#include "names.h"
#include "recording_words.h"
#include "util.h"

static struct item *add(struct items *items, uint32_t vcpu, uint64_t value, unsigned int variant, uint64_t number)
{
	if (items->nr == items->room) {
		items->room = items->room ? 2 * items->room : 64;
		items->all = xreallocarray(items->all, items->room, sizeof(*items->all));
	}
	items->all[items->nr] = (struct item){ .vcpu = vcpu, .value = value, .variant = variant, .number = number };
	return &items->all[items->nr++];
}

/* --- From rows --- */

#define EACH_ROW(vm, v, r) \
	for (const struct vcpu *v = (vm)->vcpus; v < (vm)->vcpus + (vm)->nr_vcpus; v++) \
		for (const struct exeunt_row *r = v->rows; r < v->rows + v->nr_rows; r++)

static void collect_exits(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_ROW(vm, v, r) {
		add(items, v->id, EXEUNT_KEY_REASON(r->key), EXEUNT_KEY_OUTCOME(r->key), r->count);
	}
}

static void collect_exit_time(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_ROW(vm, v, r) {
		add(items, v->id, EXEUNT_KEY_REASON(r->key), EXEUNT_KEY_OUTCOME(r->key), r->total);
	}
}

static void collect_durations(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_ROW(vm, v, r) {
		add(items, v->id, EXEUNT_KEY_REASON(r->key), 0, r->count)->row = r;
	}
}

/* Exits of @first and the kind after it, in other words of reads and writes; the detail is the value. */
static void collect_kinds(const struct vm *vm, struct items *items, enum exeunt_kind first, unsigned int kinds)
{
	EACH_ROW(vm, v, r) {
		unsigned int variant = EXEUNT_KEY_KIND(r->key) - first;
		uint64_t detail = EXEUNT_KEY_DETAIL(r->key);

		if (variant < kinds)
			add(items, v->id, detail == EXEUNT_DETAIL_OTHERS ? VALUE_OTHER : detail, variant, r->count);
	}
}

static void collect_msrs(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_kinds(vm, items, EXEUNT_MSR_READ, 2);
}

static void collect_ports(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_kinds(vm, items, EXEUNT_PIO_IN, 2);
}

static void collect_pages(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_kinds(vm, items, EXEUNT_MMIO_READ, 2);
}

static void collect_hypercalls(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_kinds(vm, items, EXEUNT_HYPERCALL, 1);
}

/* --- From counters --- */

#define EACH_VCPU(vm, v) \
	for (const struct vcpu *v = (vm)->vcpus; v < (vm)->vcpus + (vm)->nr_vcpus; v++)

/* A number that exists from the beginning, 0 or not, so that its first increase is seen as one; but not where it is never counted. */
static void add_known(struct items *items, const struct family *f, const struct vm *vm, const struct vcpu *v, unsigned int variant,
		      uint64_t n)
{
	if (n || !f->exeunt_only || !strcmp(vm->engine, "exeunt"))
		add(items, v->id, 0, variant, n);
}

static const uint64_t *counter(const struct family *f, const struct vcpu *v)
{
	return (const uint64_t *)((const char *)&v->counters + f->counter);
}

static void collect_counter(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_VCPU(vm, v)
		add_known(items, f, vm, v, 0, *counter(f, v));
}

/* Two counters, one after the other, that the label tells apart. */
static void collect_pair(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_VCPU(vm, v) {
		add_known(items, f, vm, v, 0, counter(f, v)[0]);
		add_known(items, f, vm, v, 1, counter(f, v)[1]);
	}
}

static void collect_polls(const struct family *f, const struct vm *vm, struct items *items)
{
	EACH_VCPU(vm, v) {
		const struct exeunt_counters *c = &v->counters;

		add_known(items, f, vm, v, 0, c->halt_polls_won);
		add_known(items, f, vm, v, 1, c->halt_polls > c->halt_polls_won ? c->halt_polls - c->halt_polls_won : 0);
	}
}

/* An array of counters; the index is the value. */
static void collect_array(const struct family *f, const struct vm *vm, struct items *items, size_t size)
{
	EACH_VCPU(vm, v) {
		for (size_t i = 0; i < size; i++) {
			if (counter(f, v)[i])
				add(items, v->id, i, 0, counter(f, v)[i]);
		}
	}
}

static void collect_vectors(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_array(f, vm, items, 256);
}

static void collect_exceptions(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_array(f, vm, items, 32);
}

static void collect_user_exits(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_array(f, vm, items, EXEUNT_USER_REASONS);
}

/* A table of counters; the variant is the place in it. */
static void collect_table(const struct family *f, const struct vm *vm, struct items *items, size_t size)
{
	EACH_VCPU(vm, v) {
		for (size_t i = 0; i < size; i++) {
			if (counter(f, v)[i])
				add(items, v->id, 0, i, counter(f, v)[i]);
		}
	}
}

static void collect_ipis(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_table(f, vm, items, 8 * 2 * 2);
}

static void collect_ipi_targets(const struct family *f, const struct vm *vm, struct items *items)
{
	collect_table(f, vm, items, 2 * EXEUNT_TARGETS);
}

/* --- Of the VM itself --- */

static void collect_unaccounted(const struct family *f, const struct vm *vm, struct items *items)
{
	add(items, 0, 0, 0, vm->unaccounted);
}

static void collect_vcpus(const struct family *f, const struct vm *vm, struct items *items)
{
	add(items, 0, 0, 0, vm->nr_vcpus);
}

static void collect_running(const struct family *f, const struct vm *vm, struct items *items)
{
	add(items, 0, 0, 0, !vm->ended);
}

/* --- Labels --- */

static void label_reason(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	char buf[32];

	fprintf(out, ",reason=\"%s\"", value == VALUE_OTHER ? "other" : exit_name(vm->isa, value, buf, sizeof(buf)));
}

static void label_outcome(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	label_reason(out, vm, value, variant);
	fprintf(out, ",outcome=\"%s\"", variant < EXEUNT_OUTCOMES ? outcome_words[variant] : "other");
}

static void label_number(FILE *out, const char *label, const char *fmt, uint64_t value)
{
	fprintf(out, ",%s=\"", label);
	if (value == VALUE_OTHER)
		fputs("other", out);
	else
		fprintf(out, fmt, value);
	fputc('"', out);
}

static void label_access(FILE *out, unsigned int variant)
{
	fprintf(out, ",access=\"%s\"", variant ? "write" : "read");
}

static void label_msr(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	const char *name = value == VALUE_OTHER ? NULL : msr_name(value);

	label_number(out, "msr", "0x%" PRIx64, value);
	if (name)
		fprintf(out, ",name=\"%s\"", name);
	label_access(out, variant);
}

static void label_port(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	label_number(out, "port", "0x%" PRIx64, value);
	label_access(out, variant);
}

static void label_page(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	label_number(out, "page", "0x%" PRIx64 "000", value);
	label_access(out, variant);
}

static void label_hypercall(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	const char *name = value == VALUE_OTHER ? NULL : hypercall_name(value);

	label_number(out, "hypercall", "%" PRIu64, value);
	if (name)
		fprintf(out, ",name=\"%s\"", name);
}

static void label_vector(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	label_number(out, "vector", "%" PRIu64, value);
}

static void label_exception(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	char name[16];

	label_number(out, "vector", "%" PRIu64, value);
	if (value != VALUE_OTHER)
		fprintf(out, ",name=\"%s\"", exception_name(value, name, sizeof(name)));
}

static void label_user_reason(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	const char *name = value == VALUE_OTHER || value == EXEUNT_USER_OTHER ? "other" : user_exit_name(value);

	if (name)
		fprintf(out, ",reason=\"%s\"", name);
	else
		label_number(out, "reason", "%" PRIu64, value);
}

static void label_ipi(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	fprintf(out, ",mode=\"%s\",destination=\"%s\",targets=\"%s\"", delivery_mode_name(variant / 4), destination_words[variant / 2 % 2],
		targets_words[variant % 2]);
}

static void label_ipi_target(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	fprintf(out, ",targets=\"%s\",state=\"%s\"", targets_words[variant / EXEUNT_TARGETS], target_words[variant % EXEUNT_TARGETS]);
}

static void label_won(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	fprintf(out, ",result=\"%s\"", variant ? "lost" : "won");
}

static void label_touched(FILE *out, const struct vm *vm, uint64_t value, unsigned int variant)
{
	fprintf(out, ",state=\"%s\"", variant ? "untouched" : "touched");
}

/* --- The table --- */

#define COUNTER(member)	.counter = offsetof(struct exeunt_counters, member)
#define ADJACENT(a, b) \
	_Static_assert(offsetof(struct exeunt_counters, b) == offsetof(struct exeunt_counters, a) + sizeof(uint64_t), \
		       #a " and " #b " are a pair")
ADJACENT(halt_poll_won_ns, halt_poll_lost_ns);
ADJACENT(fpu_touched, fpu_untouched);

const struct family families[] = {
	{ .name = "exeunt_vm_running", .help = "1 while the virtual machine is there, 0 after it has ended.",
	  .type = FAMILY_GAUGE, .of_vm = true, .collect = collect_running },
	{ .name = "exeunt_vm_vcpus", .help = "vCPUs that the virtual machine has.",
	  .type = FAMILY_GAUGE, .of_vm = true, .collect = collect_vcpus },
	{ .name = "exeunt_exits", .help = "VM exits, counted when the vCPU enters the guest again.",
	  .space = SPACE_REASON, .collect = collect_exits, .labels = label_outcome },
	{ .name = "exeunt_exit_seconds", .unit = "seconds", .help = "Time from VM exits to the next entries of the vCPU.",
	  .space = SPACE_REASON, .collect = collect_exit_time, .labels = label_outcome, .ticks = true },
	{ .name = "exeunt_exit_duration_seconds", .unit = "seconds", .help = "Time from a VM exit to the next entry of the vCPU.",
	  .type = FAMILY_HISTOGRAM, .space = SPACE_REASON, .of_vm = true, .collect = collect_durations, .labels = label_reason, .ticks = true },
	{ .name = "exeunt_msr_exits", .help = "VM exits for reads and writes of model specific registers.",
	  .space = SPACE_MSR, .collect = collect_msrs, .labels = label_msr },
	{ .name = "exeunt_port_exits", .help = "VM exits for port I/O.",
	  .space = SPACE_PORT, .collect = collect_ports, .labels = label_port },
	{ .name = "exeunt_mmio_exits", .help = "VM exits for memory-mapped I/O, by guest page.",
	  .space = SPACE_PAGE, .collect = collect_pages, .labels = label_page },
	{ .name = "exeunt_hypercalls", .help = "Hypercalls.",
	  .space = SPACE_HYPERCALL, .collect = collect_hypercalls, .labels = label_hypercall },
	{ .name = "exeunt_user_exits", .help = "Returns of KVM_RUN to the virtual machine monitor.",
	  .space = SPACE_USER, .collect = collect_user_exits, .labels = label_user_reason, COUNTER(user_exits) },
	{ .name = "exeunt_runs", .help = "Calls of KVM_RUN.", .collect = collect_counter, COUNTER(runs) },
	{ .name = "exeunt_preemptions", .help = "Times that the vCPU's thread left the CPU within KVM_RUN though it could have run on.",
	  .collect = collect_counter, COUNTER(preemptions) },
	{ .name = "exeunt_interrupts", .help = "Interrupts that the guest has taken.",
	  .space = SPACE_VECTOR, .collect = collect_vectors, .labels = label_vector, COUNTER(interrupts) },
	{ .name = "exeunt_exceptions", .help = "Exceptions that the hypervisor has given to the guest.",
	  .space = SPACE_EXCEPTION, .collect = collect_exceptions, .labels = label_exception, COUNTER(exceptions) },
	{ .name = "exeunt_nmis", .help = "NMIs injected into the guest.", .collect = collect_counter, COUNTER(nmis), .exeunt_only = true },
	{ .name = "exeunt_ipis", .help = "Interrupts between processors that the vCPU has sent and that were taken.",
	  .collect = collect_ipis, .labels = label_ipi, COUNTER(ipis) },
	{ .name = "exeunt_ipis_untaken", .help = "Interrupts between processors that the vCPU has sent and that no processor took.",
	  .collect = collect_counter, COUNTER(ipis_untaken), .exeunt_only = true },
	{ .name = "exeunt_ipi_targets", .help = "vCPUs that took an interrupt of this vCPU, by what they were doing.",
	  .collect = collect_ipi_targets, .labels = label_ipi_target, COUNTER(ipi_targets) },
	{ .name = "exeunt_halts", .help = "Times that the vCPU waited for an interrupt, INIT or SIPI.",
	  .collect = collect_counter, COUNTER(halts) },
	{ .name = "exeunt_halt_seconds", .unit = "seconds", .help = "Time in halts after polling: asleep, and until the thread runs again.",
	  .collect = collect_counter, COUNTER(halt_wait_ns), .nanoseconds = true },
	{ .name = "exeunt_halt_polls", .help = "Polls before sleep in a halt; won are those that made the sleep unnecessary.",
	  .collect = collect_polls, .labels = label_won },
	{ .name = "exeunt_halt_poll_seconds", .unit = "seconds", .help = "Time in such polls.",
	  .collect = collect_pair, .labels = label_won, COUNTER(halt_poll_won_ns), .nanoseconds = true },
	{ .name = "exeunt_halt_wakes", .help = "Sleeps in a halt that an interrupt, INIT, SIPI or the timer ended.",
	  .collect = collect_counter, COUNTER(halt_wakes), .exeunt_only = true },
	{ .name = "exeunt_halt_wake_seconds", .unit = "seconds", .help = "Time from what ended such a sleep until the vCPU's thread ran again.",
	  .collect = collect_counter, COUNTER(halt_wake_ns), .nanoseconds = true, .exeunt_only = true },
	{ .name = "exeunt_fpu_puts", .help = "Times that the vCPU left its CPU, its vector state having been in use or not.",
	  .collect = collect_pair, .labels = label_touched, COUNTER(fpu_touched), .exeunt_only = true },
	{ .name = "exeunt_fpu_host_saves", .help = "Times that the thread's own vector state was saved to make room for the guest's.",
	  .collect = collect_counter, COUNTER(fpu_host_saves), .exeunt_only = true },
	{ .name = "exeunt_fpu_guest_loads", .help = "Times that the guest's vector state was loaded.",
	  .collect = collect_counter, COUNTER(fpu_guest_loads) },
	{ .name = "exeunt_exits_without_detail", .help = "VM exits whose MSR, port, page or hypercall found no row of its own in the kernel.",
	  .collect = collect_counter, COUNTER(rows_lost) },
	{ .name = "exeunt_unaccounted_exits", .help = "VM exits that were seen and could not be kept: they are in no other metric.",
	  .of_vm = true, .collect = collect_unaccounted },
};

const size_t nr_families = sizeof(families) / sizeof(families[0]);
