// SPDX-License-Identifier: GPL-2.0
/*
 * VMs out of what the BPF program writes. The kernel is made up here: its maps, the threads' memory, and /proc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "bpf_load.h"
#include "bpf_proc.h"
#include "source_bpf.h"
#include "util.h"

#define MAX		256
#define COUNTERS_FD	3
#define ROWS_FD		4
#define CPUID		0x72
#define HLT		0x78

static struct {
	bool refuses;
	struct exits_thread threads[EXITS_THREADS];
	__u64 homeless;
	size_t nr_rows, nr_counters, nr_processes, nr_vm_pids;
	struct { struct exits_row_key key; struct exeunt_row row; } rows[MAX];
	struct { uint64_t id; struct exeunt_counters c; } counters[MAX];
	struct { pid_t pid; uint64_t start; } processes[MAX];
	pid_t gone[MAX], vm_pids[MAX];
	size_t nr_gone;
	int vcpu_name[MAX];		/* + 1 by thread, where the name says so */
	int growing, half_counted;	/* so many readings of rows find them in change; after that, with the same exit half counted */
	pid_t only;
} kernel;

/* --- The kernel's side --- */

bool bpf_load(struct bpf_exits *b, pid_t only)
{
	kernel.only = only;
	*b = (struct bpf_exits){ .threads = kernel.threads, .homeless = &kernel.homeless, .counters_fd = COUNTERS_FD, .rows_fd = ROWS_FD };
	return !kernel.refuses;
}

void bpf_unload(struct bpf_exits *b)
{
}

static int missing(void)
{
	errno = ENOENT;
	return -1;
}

static bool same_key(const struct exits_row_key *a, const struct exits_row_key *b)
{
	return a->owner == b->owner && a->key == b->key;
}

int bpf_map_get_next_key(int fd, const void *key, void *next)
{
	size_t i = 0;

	assert_int_equal(fd, ROWS_FD);
	while (key && i < kernel.nr_rows && !same_key(&kernel.rows[i].key, key))
		i++;
	i += !!key;
	if (i >= kernel.nr_rows)
		return missing();
	memcpy(next, &kernel.rows[i].key, sizeof(kernel.rows[i].key));
	return 0;
}

static void disturb(struct exeunt_row *row)
{
	if (kernel.growing) {
		for (int i = kernel.growing--; i; i--)
			exits_count(row, 5);
	} else if (kernel.half_counted) {
		kernel.half_counted--;
		row->count++;
	}
}

static int lookup_row(const struct exits_row_key *key, struct exeunt_row *row)
{
	for (size_t i = 0; i < kernel.nr_rows; i++) {
		if (same_key(&kernel.rows[i].key, key)) {
			*row = kernel.rows[i].row;
			disturb(row);
			return 0;
		}
	}
	return missing();
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	if (fd == ROWS_FD)
		return lookup_row(key, value);
	assert_int_equal(fd, COUNTERS_FD);
	for (size_t i = 0; i < kernel.nr_counters; i++) {
		if (kernel.counters[i].id == *(const uint64_t *)key) {
			memcpy(value, &kernel.counters[i].c, sizeof(kernel.counters[i].c));
			return 0;
		}
	}
	return missing();
}

int bpf_map_delete_elem(int fd, const void *key)
{
	size_t nr = 0;

	if (fd == ROWS_FD) {
		for (size_t i = 0; i < kernel.nr_rows; i++) {
			if (!same_key(&kernel.rows[i].key, key))
				kernel.rows[nr++] = kernel.rows[i];
		}
		kernel.nr_rows = nr;
		return 0;
	}
	for (size_t i = 0; i < kernel.nr_counters; i++) {
		if (kernel.counters[i].id != *(const uint64_t *)key)
			kernel.counters[nr++] = kernel.counters[i];
	}
	kernel.nr_counters = nr;
	return 0;
}

uint64_t process_start(pid_t pid)
{
	for (size_t i = 0; i < kernel.nr_processes; i++) {
		if (kernel.processes[i].pid == pid)
			return kernel.processes[i].start;
	}
	return 0;
}

bool thread_is_gone(pid_t pid, pid_t tid)
{
	for (size_t i = 0; i < kernel.nr_gone; i++) {
		if (kernel.gone[i] == tid)
			return true;
	}
	return !process_start(pid);
}

int thread_vcpu(pid_t pid, pid_t tid)
{
	return kernel.vcpu_name[tid % MAX] - 1;
}

size_t processes_with_vm(pid_t only, pid_t **pids)
{
	*pids = xcalloc(MAX, sizeof(**pids));
	memcpy(*pids, kernel.vm_pids, sizeof(kernel.vm_pids));
	return kernel.nr_vm_pids;
}

/* --- Making things happen --- */

static void begin_process(pid_t pid, uint64_t start)
{
	kernel.processes[kernel.nr_processes].pid = pid;
	kernel.processes[kernel.nr_processes++].start = start;
}

static void end_process(pid_t pid)
{
	size_t nr = 0;

	for (size_t i = 0; i < kernel.nr_processes; i++) {
		if (kernel.processes[i].pid != pid)
			kernel.processes[nr++] = kernel.processes[i];
	}
	kernel.nr_processes = nr;
}

static struct exits_thread *thread_at(pid_t pid, pid_t tid)
{
	uint64_t id = (uint64_t)pid << 32 | tid;

	for (size_t i = 0; i < EXITS_THREADS; i++) {
		if (kernel.threads[i].id == id)
			return &kernel.threads[i];
	}
	return NULL;
}

static struct exits_thread *begin_thread(pid_t pid, pid_t tid, uint32_t vcpu)
{
	size_t i = tid * 7 % EXITS_THREADS;	/* anywhere */

	while (kernel.threads[i].id)
		i++;
	kernel.threads[i] = (struct exits_thread){ .id = (uint64_t)pid << 32 | tid, .isa = ISA_SVM, .vcpu = vcpu, .first_vcpu = vcpu,
						   .process = "vmm" };
	kernel.counters[kernel.nr_counters].id = kernel.threads[i].id;
	kernel.counters[kernel.nr_counters++].c = (struct exeunt_counters){ .runs = 1 };
	return &kernel.threads[i];
}

static void exits_of(pid_t pid, pid_t tid, uint32_t vcpu, uint64_t key, unsigned int n)
{
	struct exits_row_key where = { .owner = EXITS_OWNER(pid, tid, vcpu), .key = key };
	size_t i = 0;

	while (i < kernel.nr_rows && !same_key(&kernel.rows[i].key, &where))
		i++;
	if (i == kernel.nr_rows) {
		kernel.nr_rows++;
		kernel.rows[i].key = where;
		memset(&kernel.rows[i].row, 0, sizeof(kernel.rows[i].row));
	}
	while (n--)
		exits_count(&kernel.rows[i].row, 1000);
}

static struct bpf_source *src;

static int set_up(void **state)
{
	struct target all = { 0 };
	int status = 0;

	memset(&kernel, 0, sizeof(kernel));
	src = bpf_source_open(&all, &status);
	return !src;
}

static int tear_down(void **state)
{
	bpf_source_close(src);
	return 0;
}

static struct sample take(void)
{
	struct sample s;

	assert_int_equal(bpf_source_read(src, &s), 0);
	return s;
}

static uint64_t count_of(const struct vcpu *v, uint64_t key)
{
	for (size_t i = 0; i < v->nr_rows; i++) {
		if (v->rows[i].key == key)
			return v->rows[i].count;
	}
	return 0;
}

/* --- Tests --- */

static void a_vm_is_a_process_and_its_vcpus_and_rows_are_sorted(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 103, 1);
	begin_thread(100, 102, 0);
	exits_of(100, 103, 1, HLT, 4);
	exits_of(100, 103, 1, CPUID, 3);
	exits_of(100, 102, 0, HLT, 2);
	s = take();
	assert_int_equal(s.nr_vms, 1);
	assert_int_equal(s.vms[0].pid, 100);
	assert_string_equal(s.vms[0].engine, "kvm");
	assert_int_equal(s.vms[0].isa, ISA_SVM);
	assert_false(s.vms[0].ended);
	assert_int_equal(s.vms[0].hist_shift, EXITS_HIST_SHIFT);
	assert_true(s.vms[0].tick_ns == 1);
	assert_int_equal(s.vms[0].nr_vcpus, 2);
	assert_int_equal(s.vms[0].vcpus[0].id, 0);
	assert_int_equal(s.vms[0].vcpus[0].tid, 102);
	assert_int_equal(s.vms[0].vcpus[1].id, 1);
	assert_int_equal(s.vms[0].vcpus[1].nr_rows, 2);
	assert_int_equal(s.vms[0].vcpus[1].rows[0].key, CPUID);
	assert_int_equal(s.vms[0].vcpus[1].rows[0].count, 3);
	assert_int_equal(s.vms[0].vcpus[1].rows[1].key, HLT);
	assert_int_equal(s.vms[0].vcpus[0].counters.runs, 1);
	sample_free(&s);
}

static void a_vcpu_that_changed_threads_is_one(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 5)->unaccounted = 2;
	begin_thread(100, 103, 5)->preemptions = 9;
	exits_of(100, 102, 5, HLT, 2);
	exits_of(100, 103, 5, HLT, 3);
	s = take();
	assert_int_equal(s.vms[0].nr_vcpus, 1);
	assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 5);
	assert_int_equal(s.vms[0].vcpus[0].counters.runs, 2);
	assert_int_equal(s.vms[0].vcpus[0].counters.preemptions, 9);
	assert_int_equal(s.vms[0].unaccounted, 2);
	sample_free(&s);
}

static void a_thread_that_runs_two_vcpus_makes_rows_for_both(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 100, 1);
	exits_of(100, 100, 0, HLT, 2);
	exits_of(100, 100, 1, HLT, 3);
	s = take();
	assert_int_equal(s.vms[0].nr_vcpus, 2);
	assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 2);
	assert_int_equal(count_of(&s.vms[0].vcpus[1], HLT), 3);
	assert_int_equal(s.vms[0].vcpus[0].counters.runs, 0);
	assert_int_equal(s.vms[0].vcpus[1].counters.runs, 1);
	sample_free(&s);
}

static void what_a_thread_leaves_is_kept_and_its_place_is_free(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0)->unaccounted = 1;
	exits_of(100, 102, 0, HLT, 2);
	begin_thread(100, 103, 1);
	exits_of(100, 103, 1, HLT, 5);
	s = take();
	sample_free(&s);
	exits_of(100, 102, 0, HLT, 1);
	kernel.gone[kernel.nr_gone++] = 102;
	for (int i = 0; i < 2; i++) {
		s = take();
		assert_int_equal(s.nr_vms, 1);
		assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 3);
		assert_int_equal(count_of(&s.vms[0].vcpus[1], HLT), 5);
		assert_int_equal(s.vms[0].vcpus[0].counters.runs, 1);
		assert_int_equal(s.vms[0].unaccounted, 1);
		assert_false(s.vms[0].ended);
		sample_free(&s);
	}
	assert_int_equal(kernel.nr_rows, 1);
	assert_int_equal(kernel.nr_counters, 1);
	assert_null(thread_at(100, 102));
	assert_non_null(thread_at(100, 103));
}

static void a_vm_that_ends_keeps_its_name_and_numbers(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 2);
	s = take();
	sample_free(&s);
	end_process(100);
	for (int i = 0; i < 2; i++) {
		s = take();
		assert_int_equal(s.nr_vms, 1);
		assert_true(s.vms[0].ended);
		assert_int_equal(s.vms[0].id, 0);
		assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 2);
		sample_free(&s);
	}
	assert_int_equal(kernel.nr_rows, 0);
}

static void a_vm_that_ended_before_anyone_looked_is_there(void **state)
{
	struct sample s;

	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 2);
	s = take();
	assert_int_equal(s.nr_vms, 1);
	assert_true(s.vms[0].ended);
	assert_string_equal(s.vms[0].name, "vmm");
	assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 2);
	sample_free(&s);
}

static void a_process_number_used_again_is_another_vm(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 2);
	s = take();
	sample_free(&s);
	end_process(100);
	s = take();
	sample_free(&s);
	begin_process(100, 8);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 3);
	s = take();
	assert_int_equal(s.nr_vms, 2);
	assert_true(s.vms[0].ended);
	assert_int_equal(count_of(&s.vms[0].vcpus[0], HLT), 2);
	assert_false(s.vms[1].ended);
	assert_int_equal(count_of(&s.vms[1].vcpus[0], HLT), 3);
	assert_int_not_equal(s.vms[0].id, s.vms[1].id);
	sample_free(&s);
}

static void so_many_ended_vms_are_kept_and_no_more(void **state)
{
	struct sample s;

	begin_process(50, 1);
	begin_thread(50, 51, 0);
	exits_of(50, 51, 0, HLT, 1);
	for (int i = 0; i < EXEUNT_MAX_ENDED + 10; i++) {
		begin_thread(1000 + i, 1000 + i, 0);
		exits_of(1000 + i, 1000 + i, 0, HLT, 1);
		s = take();
		sample_free(&s);
	}
	s = take();
	assert_int_equal(s.nr_vms, EXEUNT_MAX_ENDED + 1);
	assert_int_equal(s.vms[0].pid, 50);
	assert_int_equal(s.vms[1].pid, 1010);
	assert_int_equal(s.vms[EXEUNT_MAX_ENDED].pid, 1000 + EXEUNT_MAX_ENDED + 9);
	sample_free(&s);
}

static void an_idle_vm_is_seen(void **state)
{
	struct sample s;

	begin_process(100, 7);
	kernel.vm_pids[kernel.nr_vm_pids++] = 100;
	s = take();
	assert_int_equal(s.nr_vms, 1);
	assert_int_equal(s.vms[0].pid, 100);
	assert_int_equal(s.vms[0].nr_vcpus, 0);
	sample_free(&s);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 1);
	s = take();
	assert_int_equal(s.nr_vms, 1);
	assert_int_equal(s.vms[0].nr_vcpus, 1);
	sample_free(&s);
}

static void a_thread_without_an_exit_is_no_vcpu(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0)->isa = 0;
	s = take();
	assert_int_equal(s.nr_vms, 0);
	sample_free(&s);
}

static void vcpus_without_numbers_are_numbered_by_name_or_in_their_order(void **state)
{
	struct sample s;

	begin_process(100, 7);
	for (pid_t tid = 105; tid > 101; tid--) {
		begin_thread(100, tid, EXITS_VCPU_UNKNOWN)->isa = ISA_ARM64;
		exits_of(100, tid, EXITS_VCPU_UNKNOWN, tid, 1);
	}
	s = take();
	assert_int_equal(s.vms[0].isa, ISA_ARM64);
	assert_int_equal(s.vms[0].nr_vcpus, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(s.vms[0].vcpus[i].id, i);
		assert_int_equal(s.vms[0].vcpus[i].tid, 102 + i);
		assert_int_equal(count_of(&s.vms[0].vcpus[i], 102 + i), 1);
	}
	sample_free(&s);
	kernel.vcpu_name[106] = 7 + 1;
	begin_thread(100, 106, EXITS_VCPU_UNKNOWN)->isa = ISA_ARM64;
	begin_thread(100, 107, EXITS_VCPU_UNKNOWN)->isa = ISA_ARM64;
	s = take();
	assert_int_equal(s.vms[0].nr_vcpus, 6);
	assert_int_equal(s.vms[0].vcpus[4].id, 4);
	assert_int_equal(s.vms[0].vcpus[4].tid, 107);
	assert_int_equal(s.vms[0].vcpus[5].id, 7);
	assert_int_equal(s.vms[0].vcpus[5].tid, 106);
	sample_free(&s);
}

static void a_row_is_read_whole(void **state)
{
	uint64_t sum = 0;
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 2);
	kernel.growing = 7;
	kernel.half_counted = 4;
	s = take();
	for (int i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		sum += s.vms[0].vcpus[0].rows[0].hist[i];
	assert_int_equal(sum, s.vms[0].vcpus[0].rows[0].count);
	assert_int_equal(s.vms[0].vcpus[0].rows[0].count, 2);
	assert_int_equal(kernel.half_counted, 0);
	sample_free(&s);
}

static void a_row_that_was_made_and_not_counted_is_left_out(void **state)
{
	struct sample s;

	begin_process(100, 7);
	begin_thread(100, 102, 0);
	exits_of(100, 102, 0, HLT, 0);
	s = take();
	assert_int_equal(s.vms[0].vcpus[0].nr_rows, 0);
	sample_free(&s);
}

static void what_cannot_be_opened_is_refused(void **state)
{
	struct target one = { .pid = 77 };
	int status = 0;

	kernel.refuses = true;
	assert_null(bpf_source_open(&one, &status));
	assert_int_equal(status, STATUS_FAILED);
	assert_int_equal(kernel.only, 77);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_vm_is_a_process_and_its_vcpus_and_rows_are_sorted),
		TEST(a_vcpu_that_changed_threads_is_one),
		TEST(a_thread_that_runs_two_vcpus_makes_rows_for_both),
		TEST(what_a_thread_leaves_is_kept_and_its_place_is_free),
		TEST(a_vm_that_ends_keeps_its_name_and_numbers),
		TEST(a_vm_that_ended_before_anyone_looked_is_there),
		TEST(a_process_number_used_again_is_another_vm),
		TEST(so_many_ended_vms_are_kept_and_no_more),
		TEST(an_idle_vm_is_seen),
		TEST(a_thread_without_an_exit_is_no_vcpu),
		TEST(vcpus_without_numbers_are_numbered_by_name_or_in_their_order),
		TEST(a_row_is_read_whole),
		TEST(a_row_that_was_made_and_not_counted_is_left_out),
		TEST(what_cannot_be_opened_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
