// SPDX-License-Identifier: GPL-2.0
/*
 * See source_bpf.h. Owns the way from threads, which is what the BPF program knows, to VMs and vCPUs: each VM has a store of what its
 * threads left that are gone; a sample is the stores and what the living threads have in the kernel.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bpf_load.h"
#include "bpf_proc.h"
#include "bpf_tables.h"
#include "source_bpf.h"
#include "util.h"
#include "vmname.h"

#define LOOK_FOR_VMS_NS	1000000000ull	/* through all of /proc, at most so often */

/* A vCPU's number where the kernel does not tell. */
struct number {
	pid_t tid;
	uint32_t vcpu;
};

struct known_vm {
	struct vm vm;			/* its vCPUs: what threads that are gone left */
	uint64_t start;			/* of its process */
	size_t nr_numbers;
	struct number *numbers;
};

struct bpf_source {
	struct bpf_exits exits;
	pid_t only;			/* 0: all processes */
	uint64_t looked_ns;
	uint64_t next_id;
	bool said_full;
	size_t nr_known;
	struct known_vm *known;		/* by id */
};

/* --- VMs: gathering --- */

/* In the order in which they are asked for: sorted by vm_settle(). */
static struct vcpu *vm_vcpu(struct vm *vm, uint32_t id)
{
	struct vcpu *v;

	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].id == id)
			return &vm->vcpus[i];
	}
	vm->vcpus = xreallocarray(vm->vcpus, vm->nr_vcpus + 1, sizeof(*vm->vcpus));
	v = &vm->vcpus[vm->nr_vcpus++];
	memset(v, 0, sizeof(*v));
	v->id = id;
	return v;
}

static void vcpu_append_row(struct vcpu *v, const struct exeunt_row *row)
{
	v->rows = xreallocarray(v->rows, v->nr_rows + 1, sizeof(*v->rows));
	v->rows[v->nr_rows++] = *row;
}

static int by_key(const void *pa, const void *pb)
{
	const struct exeunt_row *a = pa, *b = pb;

	return (a->key > b->key) - (a->key < b->key);
}

static int by_vcpu_id(const void *pa, const void *pb)
{
	const struct vcpu *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

/* Sorts, and adds up the rows of the same key, which different threads had. */
static void vm_settle(struct vm *vm)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		size_t nr = 0;

		if (v->nr_rows)
			qsort(v->rows, v->nr_rows, sizeof(*v->rows), by_key);
		for (size_t j = 0; j < v->nr_rows; j++) {
			if (nr && v->rows[nr - 1].key == v->rows[j].key)
				row_add(&v->rows[nr - 1], &v->rows[j]);
			else
				v->rows[nr++] = v->rows[j];
		}
		v->nr_rows = nr;
	}
	if (vm->nr_vcpus)
		qsort(vm->vcpus, vm->nr_vcpus, sizeof(*vm->vcpus), by_vcpu_id);
}

/* --- VMs: which there are --- */

static uint32_t isa_of_host(void)
{
	if (!access("/sys/module/kvm_intel", F_OK))
		return ISA_VMX;
	if (!access("/sys/module/kvm_amd", F_OK))
		return ISA_SVM;
	return ISA_UNKNOWN;
}

/* @process is what the process is called where it is not there any more to be asked. */
static struct known_vm *new_vm(struct bpf_source *src, pid_t pid, const char *process)
{
	struct known_vm *k;

	src->known = xreallocarray(src->known, src->nr_known + 1, sizeof(*src->known));
	k = &src->known[src->nr_known++];
	memset(k, 0, sizeof(*k));
	k->start = process_start(pid);
	k->vm = (struct vm){
		.id = src->next_id++,
		.pid = pid,
		.engine = "kvm",
		.isa = isa_of_host(),
		.ended = !k->start,
		.tick_ns = 1,
		.hist_shift = EXITS_HIST_SHIFT,
	};
	vm_name(k->vm.name, sizeof(k->vm.name), k->start ? pid : 0, k->start ? NULL : process);
	return k;
}

static struct known_vm *find_vm(struct bpf_source *src, pid_t pid)
{
	for (size_t i = src->nr_known; i--;) {
		if (src->known[i].vm.pid == pid)
			return &src->known[i];
	}
	return NULL;
}

static void note_ends(struct bpf_source *src)
{
	for (size_t i = 0; i < src->nr_known; i++) {
		struct known_vm *k = &src->known[i];

		k->vm.ended |= process_start(k->vm.pid) != k->start;
	}
}

/* VMs that had no exit yet. */
static void look_for_vms(struct bpf_source *src)
{
	uint64_t now = now_ns();
	pid_t *pids;
	size_t nr;

	if (src->looked_ns && now - src->looked_ns < LOOK_FOR_VMS_NS)
		return;
	src->looked_ns = now;
	nr = processes_with_vm(src->only, &pids);
	for (size_t i = 0; i < nr; i++) {
		const struct known_vm *k = find_vm(src, pids[i]);

		if (!k || k->vm.ended)
			new_vm(src, pids[i], "");
	}
	free(pids);
}

/* A thread that is gone belongs to the process that had that number last; one that lives to one that lives. */
static struct known_vm *vm_of(struct bpf_source *src, const struct bpf_thread *t)
{
	struct known_vm *k = find_vm(src, bpf_thread_process(t));

	if (!k || (k->vm.ended && !t->gone))
		k = new_vm(src, bpf_thread_process(t), t->state.process);
	k->vm.isa = t->state.isa;
	return k;
}

static void forget_vm(struct bpf_source *src, size_t i)
{
	struct sample s = { .nr_vms = 1, .vms = xcalloc(1, sizeof(*s.vms)) };

	s.vms[0] = src->known[i].vm;
	sample_free(&s);
	free(src->known[i].numbers);
	memmove(&src->known[i], &src->known[i + 1], (--src->nr_known - i) * sizeof(*src->known));
}

static void forget_old_vms(struct bpf_source *src)
{
	size_t ended = 0;

	for (size_t i = src->nr_known; i--;) {
		if (src->known[i].vm.ended && ++ended > EXEUNT_MAX_ENDED)
			forget_vm(src, i);
	}
}

/* --- vCPUs --- */

static bool number_taken(const struct known_vm *k, uint32_t vcpu)
{
	for (size_t i = 0; i < k->nr_numbers; i++) {
		if (k->numbers[i].vcpu == vcpu)
			return true;
	}
	return false;
}

/* What the thread's name says, or the first number that is free: threads come here in the order of their own numbers. */
static uint32_t number_of(struct known_vm *k, pid_t tid)
{
	uint32_t vcpu = 0;
	int named;

	for (size_t i = 0; i < k->nr_numbers; i++) {
		if (k->numbers[i].tid == tid)
			return k->numbers[i].vcpu;
	}
	named = thread_vcpu(k->vm.pid, tid);
	if (named >= 0)
		vcpu = named;
	while (named < 0 && number_taken(k, vcpu))
		vcpu++;
	k->numbers = xreallocarray(k->numbers, k->nr_numbers + 1, sizeof(*k->numbers));
	k->numbers[k->nr_numbers++] = (struct number){ .tid = tid, .vcpu = vcpu };
	return vcpu;
}

/* A vCPU's number as the kernel tells it, or ours. */
static uint32_t vcpu_id(struct known_vm *k, const struct bpf_thread *t, uint32_t told)
{
	return told == EXITS_VCPU_UNKNOWN ? number_of(k, bpf_thread_tid(t)) : told;
}

static void add_counters(struct bpf_source *src, struct vm *vm, struct known_vm *k, const struct bpf_thread *t)
{
	struct vcpu *v = vm_vcpu(vm, vcpu_id(k, t, t->state.first_vcpu));
	struct exeunt_counters c;

	bpf_read_counters(&src->exits, t, &c);
	counters_add(&v->counters, &c);
	v->tid = bpf_thread_tid(t);
	vm->unaccounted += t->state.unaccounted;
}

/* --- Reading --- */

/* A thread is known for a vCPU's when an exit has told which. */
static bool is_vcpu(const struct bpf_thread *t)
{
	return t->state.isa;
}

/* Adds to @vm what @thread has in the kernel; @k is what is known of that VM. */
static void add_thread(struct bpf_source *src, const struct bpf_tables *t, struct vm *vm, struct known_vm *k,
		       const struct bpf_thread *thread)
{
	const struct exits_row_key *keys;
	struct exeunt_row row;
	size_t nr;

	add_counters(src, vm, k, thread);
	keys = bpf_thread_rows(t, thread, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (bpf_read_row(&src->exits, &keys[i], &row))
			vcpu_append_row(vm_vcpu(vm, vcpu_id(k, thread, EXITS_OWNER_VCPU(keys[i].owner))), &row);
	}
}

/* The stores take over from threads that are gone; the kernel's tables have room again. */
static void retire_threads(struct bpf_source *src, const struct bpf_tables *t)
{
	for (size_t i = 0; i < t->nr_threads; i++) {
		const struct bpf_thread *thread = &t->threads[i];

		if (!thread->gone)
			continue;
		if (is_vcpu(thread)) {
			struct known_vm *k = vm_of(src, thread);

			add_thread(src, t, &k->vm, k, thread);
			vm_settle(&k->vm);
		}
		bpf_remove_thread(t, thread);
	}
}

/* Every VM that a living thread belongs to becomes known; only then do their places in src->known stay. */
static void know_vms(struct bpf_source *src, const struct bpf_tables *t)
{
	retire_threads(src, t);
	for (size_t i = 0; i < t->nr_threads; i++) {
		if (!t->threads[i].gone && is_vcpu(&t->threads[i]))
			vm_of(src, &t->threads[i]);
	}
	look_for_vms(src);
	forget_old_vms(src);
}

static void copy_stores(const struct bpf_source *src, struct sample *s)
{
	struct sample stores = { .time_ns = now_ns(), .nr_vms = src->nr_known, .vms = xcalloc(src->nr_known, sizeof(*s->vms)) };

	for (size_t i = 0; i < src->nr_known; i++)
		stores.vms[i] = src->known[i].vm;
	sample_copy(s, &stores);
	free(stores.vms);
}

static void say_if_full(struct bpf_source *src)
{
	if (*src->exits.homeless && !src->said_full) {
		complain("there are more vCPUs than there is room for in the kernel: some are not counted");
		src->said_full = true;
	}
}

int bpf_source_read(struct bpf_source *src, struct sample *s)
{
	struct bpf_tables t;

	note_ends(src);	/* first: a thread that lives after it is of a process that did */
	bpf_tables_read(&t, &src->exits);
	know_vms(src, &t);
	copy_stores(src, s);
	for (size_t i = 0; i < t.nr_threads; i++) {
		const struct bpf_thread *thread = &t.threads[i];

		if (!thread->gone && is_vcpu(thread)) {
			struct known_vm *k = find_vm(src, bpf_thread_process(thread));

			add_thread(src, &t, &s->vms[k - src->known], k, thread);
		}
	}
	for (size_t i = 0; i < s->nr_vms; i++)
		vm_settle(&s->vms[i]);
	bpf_tables_free(&t);
	say_if_full(src);
	return 0;
}

struct bpf_source *bpf_source_open(const struct target *t, int *status)
{
	struct bpf_source *src = xcalloc(1, sizeof(*src));

	*status = STATUS_FAILED;
	src->only = t->pid;
	if (bpf_load(&src->exits, t->pid))
		return src;
	free(src);
	return NULL;
}

void bpf_source_close(struct bpf_source *src)
{
	bpf_unload(&src->exits);
	while (src->nr_known)
		forget_vm(src, src->nr_known - 1);
	free(src->known);
	free(src);
}
