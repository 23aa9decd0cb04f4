// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the source that reads Exeunt's module. The module is made up here: open(), access() and ioctl() are this file's, for
 * /dev/exeunt.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "source_exeunt.h"
#include "util.h"

#define DEVICE	"/dev/exeunt"
#define MAX_VMS	300
#define ROW(n)	EXEUNT_KEY(0x7c, EXEUNT_MSR_READ, EXEUNT_KERNEL, n)

static struct {
	bool absent;
	int open_error, info_error, session_error, list_error, read_error;
	struct exeunt_info info;
	unsigned int nr_vms, nr_rows;
	struct exeunt_vm_entry vms[MAX_VMS];
	uint64_t missing_vm;		/* is in the list, and gone when it is read */
	uint32_t missing_vcpu;		/* of all VMs; 0: none */
	unsigned int growing;		/* so many more VMs and rows after each attempt to read them */
	int device, session;		/* descriptors */
	unsigned int reads;
} module;

static int refuse(int error)
{
	errno = error;
	return -1;
}

int access(const char *path, int mode)
{
	if (!strcmp(path, DEVICE))
		return module.absent ? refuse(ENOENT) : 0;
	return syscall(SYS_access, path, mode);
}

/* open() with _FILE_OFFSET_BITS=64. */
int open64(const char *path, int flags, ...)
{
	if (strcmp(path, DEVICE))
		return syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
	if (module.absent)
		return refuse(ENOENT);
	if (module.open_error)
		return refuse(module.open_error);
	assert_true(flags & O_CLOEXEC);
	return module.device = dup(STDERR_FILENO);
}

static int list_vms(struct exeunt_vm_list *list)
{
	uint32_t room = list->nr;

	if (module.list_error)
		return refuse(module.list_error);
	list->nr = module.nr_vms;
	if (module.nr_vms > room) {
		module.nr_vms += module.growing;
		return refuse(E2BIG);
	}
	memcpy(list->vms, module.vms, module.nr_vms * sizeof(module.vms[0]));
	return 0;
}

/* Rows in the order of a hash table, none of theirs: the last first. */
static int read_vcpu(struct exeunt_read_vcpu *arg)
{
	struct exeunt_row *rows = (void *)(uintptr_t)arg->rows;
	struct exeunt_counters *counters = (void *)(uintptr_t)arg->counters;
	uint32_t room = arg->nr_rows;

	module.reads++;
	if (module.read_error)
		return refuse(module.read_error);
	if (arg->vm_id == module.missing_vm || (arg->vcpu_id && arg->vcpu_id == module.missing_vcpu))
		return refuse(ENOENT);
	arg->nr_rows = module.nr_rows;
	if (module.nr_rows > room) {
		module.nr_rows += module.growing;
		return refuse(E2BIG);
	}
	for (uint32_t i = 0; i < module.nr_rows; i++) {
		memset(&rows[i], 0, sizeof(rows[i]));
		rows[i].key = ROW(module.nr_rows - i);
		rows[i].count = 1000 * arg->vm_id + arg->vcpu_id;
	}
	assert_int_equal(arg->counters_size, sizeof(*counters));
	counters->runs = arg->vcpu_id + 1;
	arg->tid = 7000 + arg->vcpu_id;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case EXEUNT_GET_INFO:
		assert_int_equal(fd, module.device);
		memcpy(arg, &module.info, sizeof(module.info));
		return module.info_error ? refuse(module.info_error) : 0;
	case EXEUNT_OPEN_STATS:
		assert_int_equal(fd, module.device);
		return module.session_error ? refuse(module.session_error) : (module.session = dup(STDERR_FILENO));
	case EXEUNT_LIST_VMS:
		assert_int_equal(fd, module.session);
		return list_vms(arg);
	case EXEUNT_READ_VCPU:
		assert_int_equal(fd, module.session);
		return read_vcpu(arg);
	}
	return refuse(ENOTTY);
}

/* --- The tests' tools --- */

static const struct target everything;

static struct exeunt_vm_entry *add_vm(uint64_t id, const char *comm, unsigned int nr_vcpus)
{
	struct exeunt_vm_entry *e = &module.vms[module.nr_vms++];

	*e = (struct exeunt_vm_entry){ .id = id, .nr_vcpus = nr_vcpus, .max_vcpu_id = nr_vcpus ? nr_vcpus - 1 : 0 };
	strncpy((char *)e->comm, comm, sizeof(e->comm));
	return e;
}

static int load_module(void **state)
{
	memset(&module, 0, sizeof(module));
	module.info = (struct exeunt_info){
		.version = EXEUNT_STATS_VERSION,
		.isa = ISA_SVM,
		.cycles_khz = 2000000,
		.hist_shift = 4,
		.accounting = 1,
		.counters_size = sizeof(struct exeunt_counters),
	};
	module.nr_rows = 3;
	module.device = -1;
	return 0;
}

static char complaint[1000];

static FILE *errors;
static int real_stderr;

static void catch_errors(void)
{
	errors = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(errors), STDERR_FILENO);
}

/* What was said on standard error since catch_errors() is in complaint. */
static void end_catching(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(errors);
	complaint[fread(complaint, 1, sizeof(complaint) - 1, errors)] = '\0';
	fclose(errors);
}

/* Opens the source; what it says on standard error is in complaint. */
static struct exeunt_source *open_source(const struct target *t)
{
	int status = 0;
	struct exeunt_source *src;

	catch_errors();
	src = exeunt_source_open(t, &status);
	end_catching();
	assert_true(src || status == STATUS_FAILED);
	return src;
}

static void read_source(struct exeunt_source *src)
{
	struct sample s;

	catch_errors();
	assert_int_equal(exeunt_source_read(src, &s), 0);
	end_catching();
	sample_free(&s);
}

static void check_refusal(const char *words)
{
	assert_null(open_source(&everything));
	assert_non_null(strstr(complaint, words));
	assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
	assert_int_equal(fcntl(module.device, F_GETFD), -1);
}

/* --- Refusals --- */

static void absent_module_is_said_to_be_absent(void **state)
{
	bool owns;

	module.absent = true;
	assert_false(exeunt_present(&owns));
	check_refusal("module is not loaded");
}

static void missing_permission_is_said_to_be_missing(void **state)
{
	module.open_error = EACCES;
	check_refusal("needs root");
	module.open_error = 0;
	module.session_error = EPERM;
	check_refusal("needs CAP_PERFMON or root");
}

static void module_of_another_version_is_refused(void **state)
{
	char *words = xasprintf("statistics version %d, this exeunt %d: install matching ones", EXEUNT_STATS_VERSION + 1,
				EXEUNT_STATS_VERSION);

	module.info.version++;
	check_refusal(words);
	module.info_error = ENOTTY;
	check_refusal("has no statistics");
	free(words);
}

static void accounting_that_is_off_is_said_to_be_off(void **state)
{
	module.info.accounting = 0;
	check_refusal("/sys/module/exeunt_amd/parameters/accounting");
}

static void numbers_out_of_bounds_are_refused(void **state)
{
	module.info.cycles_khz = 0;
	check_refusal("0 kHz");
	module.info.cycles_khz = 1;
	module.info.hist_shift = 60;
	check_refusal("shift 60");
}

static void accounting_switched_off_meanwhile_is_told_once(void **state)
{
	struct exeunt_source *src = open_source(&everything);

	assert_non_null(src);
	assert_string_equal(complaint, "");
	read_source(src);
	assert_string_equal(complaint, "");
	module.info.accounting = 0;
	read_source(src);
	assert_non_null(strstr(complaint, "accounting has been switched off"));
	assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
	read_source(src);
	assert_string_equal(complaint, "");
	exeunt_source_close(src);
	assert_int_equal(fcntl(module.device, F_GETFD), -1);
}

static void failures_of_the_module_are_told(void **state)
{
	module.list_error = EFAULT;
	check_refusal("cannot list the virtual machines");
	module.list_error = 0;
	module.read_error = EFAULT;
	add_vm(1, "a", 1);
	check_refusal("cannot read the statistics of vCPU 0");
}

static void owner_of_dev_kvm_is_known(void **state)
{
	bool owns = true;

	assert_true(exeunt_present(&owns));
	assert_false(owns);
	module.info.owns_dev_kvm = 1;
	assert_true(exeunt_present(&owns));
	assert_true(owns);
	module.info.owns_dev_kvm = 0;
	module.open_error = EACCES;
	assert_true(exeunt_present(&owns));
	assert_true(owns);
}

/* --- Reading --- */

static void vms_are_as_the_module_tells(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	add_vm(5, "a", 2);
	add_vm(6, "b\033[2J", 1)->pid = 0;
	add_vm(7, "c", 0);
	src = open_source(&everything);
	assert_non_null(src);
	assert_string_equal(complaint, "");
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_int_equal(s.nr_vms, 3);
	assert_int_equal(s.vms[0].id, 5);
	assert_string_equal(s.vms[0].name, "a");
	assert_string_equal(s.vms[1].name, "b?[2J");
	assert_string_equal(s.vms[0].engine, "exeunt");
	assert_int_equal(s.vms[0].isa, ISA_SVM);
	assert_int_equal(s.vms[0].hist_shift, 4);
	assert_true(s.vms[0].tick_ns == .5);
	assert_int_equal(s.vms[0].nr_vcpus, 2);
	assert_int_equal(s.vms[0].vcpus[1].id, 1);
	assert_int_equal(s.vms[0].vcpus[1].tid, 7001);
	assert_int_equal(s.vms[0].vcpus[1].counters.runs, 2);
	assert_int_equal(s.vms[0].vcpus[1].nr_rows, 3);
	assert_int_equal(s.vms[2].nr_vcpus, 0);
	sample_free(&s);
	exeunt_source_close(src);
	assert_int_equal(fcntl(module.session, F_GETFD), -1);
}

static void rows_are_sorted(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	add_vm(1, "a", 1);
	module.nr_rows = 200;
	src = open_source(&everything);
	assert_int_equal(exeunt_source_read(src, &s), 0);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(s.vms[0].vcpus[0].rows[i].key, ROW(i + 1));
	sample_free(&s);
	exeunt_source_close(src);
}

static void room_grows_with_what_there_is(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	for (unsigned int i = 0; i < MAX_VMS; i++)
		add_vm(i + 1, "a", 1);
	module.nr_vms = 100;
	module.nr_rows = 1000;
	module.growing = 10;			/* while it is being read */
	src = open_source(&everything);
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_int_equal(s.nr_vms, module.nr_vms);
	assert_int_equal(s.vms[99].vcpus[0].nr_rows, module.nr_rows);
	sample_free(&s);
	exeunt_source_close(src);
}

static void endless_growth_is_an_error(void **state)
{
	add_vm(1, "a", 1);
	module.nr_rows = 1000;
	module.growing = 1000000;
	check_refusal("cannot read the statistics");
	module.nr_vms = EXEUNT_MAX_VMS + 1;
	check_refusal("cannot list the virtual machines");
}

static void what_goes_between_list_and_read_is_left_out(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	add_vm(1, "a", 3);
	add_vm(2, "b", 2);
	src = open_source(&everything);
	module.missing_vcpu = 1;
	module.missing_vm = 2;
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_int_equal(s.nr_vms, 2);
	assert_int_equal(s.vms[0].nr_vcpus, 2);
	assert_int_equal(s.vms[0].vcpus[1].id, 2);
	assert_int_equal(s.vms[1].nr_vcpus, 0);
	sample_free(&s);
	exeunt_source_close(src);
}

static void vms_that_end_while_watched_stay_and_earlier_ones_are_not_there(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	add_vm(1, "a", 1)->flags = EXEUNT_VM_ENDED;
	add_vm(2, "b", 1);
	src = open_source(&everything);
	module.vms[1].flags = EXEUNT_VM_ENDED;
	add_vm(3, "c", 1)->flags = EXEUNT_VM_ENDED;	/* begun and ended between two looks */
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_int_equal(s.nr_vms, 2);
	assert_int_equal(s.vms[0].id, 2);
	assert_true(s.vms[0].ended);
	assert_int_equal(s.vms[1].id, 3);
	sample_free(&s);
	exeunt_source_close(src);
}

/* Its process's name is known from when it ran: what bears its process id afterwards may be anything. */
static void names_are_learnt_once(void **state)
{
	struct exeunt_source *src;
	struct sample s;

	add_vm(1, "before", 1);
	src = open_source(&everything);
	strcpy((char *)module.vms[0].comm, "after");
	module.vms[0].flags = EXEUNT_VM_ENDED;
	add_vm(2, "new", 1)->pid = getpid();
	module.vms[1].flags = EXEUNT_VM_ENDED;
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_string_equal(s.vms[0].name, "before");
	assert_string_equal(s.vms[1].name, "new");
	sample_free(&s);
	exeunt_source_close(src);
}

static void only_the_target_is_read(void **state)
{
	struct target t = { .vm = "b" };
	struct exeunt_source *src;
	struct sample s;

	add_vm(1, "a", 5);
	add_vm(2, "b", 2);
	src = open_source(&t);
	module.reads = 0;
	assert_int_equal(exeunt_source_read(src, &s), 0);
	assert_int_equal(module.reads, 2);
	assert_int_equal(s.nr_vms, 1);
	assert_int_equal(s.vms[0].id, 2);
	sample_free(&s);
	exeunt_source_close(src);
}

#define T(f) cmocka_unit_test_setup(f, load_module)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(absent_module_is_said_to_be_absent), T(missing_permission_is_said_to_be_missing),
		T(module_of_another_version_is_refused), T(accounting_that_is_off_is_said_to_be_off),
		T(accounting_switched_off_meanwhile_is_told_once),
		T(numbers_out_of_bounds_are_refused), T(failures_of_the_module_are_told), T(owner_of_dev_kvm_is_known),
		T(vms_are_as_the_module_tells), T(rows_are_sorted), T(room_grows_with_what_there_is), T(endless_growth_is_an_error),
		T(what_goes_between_list_and_read_is_left_out), T(vms_that_end_while_watched_stay_and_earlier_ones_are_not_there),
		T(names_are_learnt_once), T(only_the_target_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
