// SPDX-License-Identifier: GPL-2.0
/*
 * Exeunt's own statistics (include/exeunt/stats.h): who may read them, which VMs are listed and how long, what is answered to what
 * is wrong, and that what is read fits together while vCPUs run, VMs come and go, and the accounting is switched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <exeunt/stats.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "check.h"

#define NOBODY		65534
#define RACE_MS		1000
#define LEAST_ROUNDS	10	/* of a race, however slow the machine is */
#define OUTS		50
#define PORT		0x80
#define SWITCH		"/sys/module/exeunt_amd/parameters/accounting"
/* SVM exit codes (APM vol. 2, appendix C). */
#define EXIT_CPUID	0x72
#define EXIT_HLT	0x78
#define EXIT_IOIO	0x7b

static const uint8_t outs_and_hlt[] = {
	0xb9, OUTS, 0x00,	/* 1: mov $OUTS, %cx */
	0xe6, PORT,		/* 2: out %al, $PORT */
	0xe2, 0xfc,		/* loop 2b */
	0xf4,			/* hlt */
	0xeb, 0xf6,		/* jmp 1b */
};
static const uint8_t cpuid_and_out[] = {
	0x0f, 0xa2,		/* 1: cpuid */
	0x0f, 0xa2,		/* cpuid */
	0xe6, PORT,		/* out %al, $PORT */
	0xeb, 0xf8,		/* jmp 1b */
};

struct list {
	struct exeunt_vm_list head;
	struct exeunt_vm_entry vms[200];
};

/* A vCPU as it was read. */
struct reading {
	struct exeunt_read_vcpu request;
	struct exeunt_counters counters;
	struct exeunt_row rows[EXEUNT_MAX_ROWS];
};

static int dev;

static int open_session(void)
{
	return ioctl(dev, EXEUNT_OPEN_STATS);
}

static int list(int session, struct list *l, uint32_t room)
{
	l->head = (struct exeunt_vm_list){ .nr = room };
	return ioctl(session, EXEUNT_LIST_VMS, l);
}

/* The entries of this process's VMs that live, or have ended. */
static unsigned int count_vms(int session, bool ended)
{
	static struct list l;
	unsigned int n = 0;

	if (list(session, &l, ARRAY_SIZE(l.vms)))
		return ~0u;
	for (uint32_t i = 0; i < l.head.nr; i++)
		n += !(l.vms[i].flags & EXEUNT_VM_ENDED) == !ended;
	return n;
}

/* The id of the VM made last; 0 if there is none. */
static uint64_t last_vm(int session)
{
	static struct list l;

	return list(session, &l, ARRAY_SIZE(l.vms)) || !l.head.nr ? 0 : l.vms[l.head.nr - 1].id;
}

static int read_vcpu(int session, uint64_t vm, uint32_t vcpu, struct reading *r)
{
	r->request = (struct exeunt_read_vcpu){
		.vm_id = vm, .vcpu_id = vcpu, .nr_rows = EXEUNT_MAX_ROWS, .rows = (uintptr_t)r->rows,
		.counters = (uintptr_t)&r->counters, .counters_size = sizeof(r->counters),
	};
	return ioctl(session, EXEUNT_READ_VCPU, &r->request);
}

static uint64_t count_of(const struct reading *r, uint64_t key)
{
	for (uint32_t i = 0; i < r->request.nr_rows; i++)
		if (r->rows[i].key == key)
			return r->rows[i].count;
	return 0;
}

static uint64_t hist_sum(const struct exeunt_row *row)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		sum += row->hist[i];
	return sum;
}

static uint64_t all_exits(const struct reading *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->request.nr_rows; i++)
		sum += r->rows[i].count;
	return sum;
}

/* min <= mean <= max, and the squares: at least those of the mean, at most those of the maximum. */
static bool sums_fit(const struct exeunt_row *row)
{
	unsigned __int128 squares = (unsigned __int128)row->square_hi << 64 | row->square_lo;
	unsigned __int128 n = row->count, total = row->total;

	if (!row->count)
		return !row->total && row->min == ~0ull && !row->max && !squares;
	return row->min <= row->max && n * row->min <= total && total <= n * row->max && squares * n >= total * total &&
	       squares <= total * row->max;
}

static unsigned int bad_rows(const struct reading *r)
{
	unsigned int bad = 0;

	for (uint32_t i = 0; i < r->request.nr_rows; i++)
		bad += hist_sum(&r->rows[i]) != r->rows[i].count || !sums_fit(&r->rows[i]) || r->rows[i].reserved;
	return bad;
}

/* ---- the device ---- */

static void test_info(void)
{
	struct exeunt_info info, again;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	memset(&info, 0xa5, sizeof(info));
	memset(&again, 0x5a, sizeof(again));
	check_errno(ioctl(dev, EXEUNT_GET_INFO, &info), 0, "EXEUNT_GET_INFO");
	check(info.version == EXEUNT_STATS_VERSION, "version %u", EXEUNT_STATS_VERSION);
	check(info.isa == 2, "the exit reasons are SVM's");
	check(info.cycles_khz > 100000 && info.cycles_khz < 100000000, "a cycle is one of a processor's");
	check(info.hist_shift < 32, "the histograms' unit fits their rule");
	check(info.accounting == 1, "the accounting is on from the start");
	check(info.counters_size == sizeof(struct exeunt_counters), "the size of the counters");
	check(!info.reserved[0] && !info.reserved[1] && !info.reserved[2] && !info.reserved[3], "what is reserved is 0");
	check(info.owns_dev_kvm == (kvm >= 0 && !ioctl(kvm, EXEUNT_GET_INFO, &again)), "whether /dev/kvm is the module's");
	check_errno(ioctl(dev, EXEUNT_GET_INFO, (void *)PAGE), EFAULT, "EXEUNT_GET_INFO to nowhere: EFAULT");
	if (kvm >= 0)
		close(kvm);
}

static bool is_refused(int fd, unsigned long cmd, int otherwise)
{
	char arg[4096] = { 0 };

	return ioctl(fd, cmd, arg) < 0 && (errno == ENOTTY || errno == otherwise);
}

static void test_unknown_numbers(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	unsigned int nr, size, devices = 0, sessions = 0, vms = 0;
	int session = open_session();

	for (nr = 0; nr < 256; nr++)
		for (size = 0; size <= 128; size += 8) {
			unsigned long cmd = _IOC(_IOC_READ | _IOC_WRITE, EXEUNT_IOC, nr, size);

			sessions += cmd != EXEUNT_LIST_VMS && cmd != EXEUNT_READ_VCPU && !is_refused(session, cmd, ENOTTY);
			devices += !is_refused(dev, cmd, ENOTTY);
			vms += !is_refused(m.vm, cmd, EINVAL) || !is_refused(m.vcpu, cmd, EINVAL);
		}
	check(!sessions, "numbers that mean nothing to a session: ENOTTY");
	check(!devices, "numbers that mean nothing to the device: ENOTTY");
	check(!vms, "VMs and vCPUs know none of them");
	check_errno(ioctl(session, KVM_GET_API_VERSION, 0), ENOTTY, "a session answers no KVM ioctl");
	check_errno(ioctl(session, EXEUNT_OPEN_STATS), ENOTTY, "a session opens no session");
	check_errno(ioctl(m.vm, EXEUNT_OPEN_STATS), ENOTTY, "nor does a VM");
	close(session);
	machine_free(&m);
}

static void test_session_file(void)
{
	int session = open_session();
	char byte = 0;

	check(fcntl(session, F_GETFD) & FD_CLOEXEC, "a session is closed on exec");
	check_errno(read(session, &byte, 1), EINVAL, "a session is not for read()");
	check_errno(write(session, &byte, 1), EINVAL, "a session is not for write()");
	check(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, session, 0) == MAP_FAILED && errno == ENODEV, "a session is not for mmap()");
	close(session);
}

/* ---- privilege ---- */

/* @capability alone, or none if it is negative; user nobody. */
static bool become_nobody_with(int capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (prctl(PR_SET_KEEPCAPS, 1) || setresuid(NOBODY, NOBODY, NOBODY))
		return false;
	if (capability >= 0)
		data[capability / 32].permitted = data[capability / 32].effective = 1u << capability % 32;
	return !syscall(SYS_capset, &head, data);
}

/* What @opens() gives a process of such a user: errno, 0 if it worked; -1 if there can be no such process. */
static int as_nobody(int capability, int (*opens)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!become_nobody_with(capability))
			_exit(255);
		_exit(opens() < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

static int ask_info(void)
{
	struct exeunt_info info;

	return ioctl(dev, EXEUNT_GET_INFO, &info);
}

static int inherited_session;

static int ask_inherited(void)
{
	static struct list l;

	return list(inherited_session, &l, ARRAY_SIZE(l.vms));
}

static void test_privilege(void)
{
	check(as_nobody(-1, open_session) == EPERM, "a session without privilege: EPERM");
	check(as_nobody(CAP_SYS_PTRACE, open_session) == EPERM, "a session with some other capability: EPERM");
	check(!as_nobody(CAP_PERFMON, open_session), "a session with CAP_PERFMON");
	check(!as_nobody(CAP_SYS_ADMIN, open_session), "a session with CAP_SYS_ADMIN");
	check(!as_nobody(-1, ask_info), "EXEUNT_GET_INFO without privilege");
	inherited_session = open_session();
	check(!as_nobody(-1, ask_inherited), "a session that was opened for a process");
	close(inherited_session);
}

/* ---- the list ---- */

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static bool untouched(const struct exeunt_vm_entry *e)
{
	for (size_t i = 0; i < sizeof(*e); i++)
		if (((const uint8_t *)e)[i] != 0xa5)
			return false;
	return true;
}

static void test_list_rooms(void)
{
	int session = open_session();
	static struct list l;
	struct machine a, b;

	memset(&l, 0xa5, sizeof(l));
	check_errno(list(session, &l, 0), 0, "a list of no VMs in no room");
	check(l.head.nr == 0 && untouched(&l.vms[0]), "has no entry");
	a = machine_new(STAGE_VM);
	b = machine_new(STAGE_VM);
	check_errno(list(session, &l, 0), E2BIG, "two VMs in no room: E2BIG");
	check(l.head.nr == 2 && untouched(&l.vms[0]), "and the number it takes");
	check_errno(list(session, &l, 1), E2BIG, "two VMs in the room of one: E2BIG");
	check(l.head.nr == 2 && untouched(&l.vms[1]), "and the number it takes");
	check_errno(list(session, &l, 2), 0, "two VMs in the room of two");
	check(l.head.nr == 2 && untouched(&l.vms[2]), "and nothing behind them");
	check_errno(list(session, &l, 3), 0, "two VMs in more room");
	check(l.head.nr == 2 && untouched(&l.vms[2]), "and nothing behind them");
	check_errno(list(session, &l, EXEUNT_MAX_VMS + 1), EINVAL, "more room than there can be VMs: EINVAL");
	check_errno(list(session, &l, ~0u), EINVAL, "all the room there can be: EINVAL");
	check_errno(list(session, &l, EXEUNT_MAX_VMS), 0, "as much room as there can be VMs");
	l.head = (struct exeunt_vm_list){ .nr = 2, .reserved = 1 };
	check_errno(ioctl(session, EXEUNT_LIST_VMS, &l), EINVAL, "a list with something in what is reserved: EINVAL");
	machine_free(&b);
	machine_free(&a);
	close(session);
}

static void test_list_pointers(void)
{
	struct machine m = machine_new(STAGE_VM);
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct exeunt_vm_list *last = (void *)(pages + PAGE - sizeof(*last));	/* zeros */
	int session = open_session();

	munmap(pages + PAGE, PAGE);
	check_errno(ioctl(session, EXEUNT_LIST_VMS, NULL), EFAULT, "a list to no address: EFAULT");
	check_errno(ioctl(session, EXEUNT_LIST_VMS, ~0ul << 12), EFAULT, "a list to the kernel's addresses: EFAULT");
	last->nr = 1;
	check_errno(ioctl(session, EXEUNT_LIST_VMS, last), EFAULT, "a list whose entries have no memory: EFAULT");
	last->nr = 1;
	mprotect(pages, PAGE, PROT_READ);
	check_errno(ioctl(session, EXEUNT_LIST_VMS, last), EFAULT, "a list in read-only memory: EFAULT");
	munmap(pages, PAGE);
	close(session);
	machine_free(&m);
}

static void test_list_entries(void)
{
	uint64_t before = boot_ns();
	struct machine a = machine_new(STAGE_VCPU), b = machine_new(STAGE_VM);
	uint64_t after = boot_ns();
	int session = open_session(), extra = ioctl(a.vm, KVM_CREATE_VCPU, 9);
	struct exeunt_vm_entry first;
	static struct list l;
	char comm[16] = "";

	prctl(PR_GET_NAME, comm);
	check(!list(session, &l, ARRAY_SIZE(l.vms)) && l.head.nr == 2, "two VMs are listed");
	first = l.vms[0];
	check(first.id && l.vms[1].id > first.id, "the older one first");
	check(first.pid == getpid() && l.vms[1].pid == getpid(), "with the process that made them");
	check(!strcmp((char *)first.comm, comm), "and its name");
	check(!first.flags && !l.vms[1].flags, "both live");
	check(first.created_ns >= before && first.created_ns <= l.vms[1].created_ns && l.vms[1].created_ns <= after,
	      "with the time at which they were made");
	check(first.nr_vcpus == 2 && first.max_vcpu_id == 9 && l.vms[1].nr_vcpus == 0, "with their vCPUs");
	close(extra);
	machine_free(&a);
	a = machine_new(STAGE_VM);
	list(session, &l, ARRAY_SIZE(l.vms));
	check(l.vms[l.head.nr - 1].id > l.vms[1].id && l.vms[0].id == first.id, "an id is not used again");
	machine_free(&a);
	machine_free(&b);
	close(session);
}

/* Exit status: 0 the VM is listed without a number, 1 it is not, 2 there are no namespaces. For a process of its own. */
static int list_in_a_pid_namespace(int session)
{
	static struct list l;
	int status = 1;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return 2;
	pid = fork();
	if (!pid)
		_exit(list(session, &l, ARRAY_SIZE(l.vms)) || l.head.nr != 1 || l.vms[0].pid);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* There the VMM has no number. */
static void test_list_in_a_pid_namespace(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	int session = open_session(), status;
	pid_t pid = fork();

	if (!pid)
		_exit(list_in_a_pid_namespace(session));
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip("a reader in another PID namespace: there are none here");
	else
		check(WIFEXITED(status) && !WEXITSTATUS(status), "a reader in another PID namespace gets no PID");
	close(session);
	machine_free(&m);
}

/* ---- one vCPU ---- */

/* A guest that makes OUTS exits for a port and one for HLT, all of them the VMM's, each time round. */
static struct machine machine_of_outs(void)
{
	struct machine m = machine_without_irqchip();

	machine_code(&m, outs_and_hlt, sizeof(outs_and_hlt));
	return m;
}

static void run_round(struct machine *m)
{
	while (!machine_run(m) && m->run->exit_reason == KVM_EXIT_IO)
		;
}

#define OUT_KEY	EXEUNT_KEY(EXIT_IOIO, EXEUNT_PIO_OUT, EXEUNT_USER, PORT)
#define HLT_KEY	EXEUNT_KEY(EXIT_HLT, EXEUNT_PLAIN, EXEUNT_USER, 0)

static void test_read_values(void)
{
	int session = open_session();
	struct machine m = machine_of_outs();
	static struct reading a, b;
	uint64_t vm = last_vm(session), tsc;

	check_errno(read_vcpu(session, vm, 0, &a), 0, "a vCPU that has not run is read");
	check(all_exits(&a) == 0 && a.counters.runs == 0 && a.request.tid == 0, "and has made no exit");
	check(EXEUNT_KEY_REASON(a.rows[0].key) == EXEUNT_REASON_LOST, "its first row is for what has no other");
	run_round(&m);
	read_vcpu(session, vm, 0, &a);
	check(count_of(&a, HLT_KEY) == 0, "an exit does not count before the next entry");
	run_round(&m);
	tsc = __rdtsc();
	check_errno(read_vcpu(session, vm, 0, &b), 0, "a vCPU that has run is read");
	check(b.request.now >= tsc && b.request.now <= __rdtsc(), "with the cycles at that moment");
	check(count_of(&a, OUT_KEY) == OUTS && count_of(&b, OUT_KEY) == 2 * OUTS, "the OUTs are counted by port");
	check(count_of(&b, HLT_KEY) == 1, "the HLT, by the round after it");
	check(b.counters.runs == 2 * (OUTS + 1), "so are the calls of KVM_RUN");
	check(b.counters.user_exits[KVM_EXIT_IO] == 2 * OUTS && b.counters.user_exits[KVM_EXIT_HLT] == 2, "and their reasons");
	check(!bad_rows(&b), "every row fits together");
	check(b.counters.rows_lost == 0, "nothing was lost");
	check(b.request.tid == gettid(), "the thread is this one");
	check(b.counters.fpu_touched + b.counters.fpu_untouched >= b.counters.runs, "each KVM_RUN says whether the FPU was used");
	machine_free(&m);
	close(session);
}

static void *run_in_thread(void *arg)
{
	run_round(arg);
	return (void *)(uintptr_t)gettid();
}

static void test_read_thread(void)
{
	int session = open_session();
	struct machine m = machine_of_outs();
	static struct reading r;
	pthread_t thread;
	void *tid;

	pthread_create(&thread, NULL, run_in_thread, &m);
	pthread_join(thread, &tid);
	read_vcpu(session, last_vm(session), 0, &r);
	check(r.request.tid == 0 || r.request.tid == (int)(uintptr_t)tid, "of a thread that has ended only the number is left");
	run_round(&m);
	read_vcpu(session, last_vm(session), 0, &r);
	check(r.request.tid == gettid(), "the thread that ran last is told");
	machine_free(&m);
	close(session);
}

static void test_read_bad_ids(void)
{
	static const uint32_t vcpus[] = { 1, 255, 256, 0x80000000, ~0u };
	static const uint64_t vms[] = { 0, ~0ull, 1ull << 63 };
	int session = open_session();
	struct machine m = machine_of_outs();
	static struct reading r;
	uint64_t vm = last_vm(session);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vcpus); i++)
		check_errno(read_vcpu(session, vm, vcpus[i], &r), ENOENT, "vCPU %u, which there is not: ENOENT", vcpus[i]);
	for (i = 0; i < ARRAY_SIZE(vms); i++)
		check_errno(read_vcpu(session, vms[i], 0, &r), ENOENT, "VM %#lx, which there is not: ENOENT", vms[i]);
	check_errno(read_vcpu(session, vm + 1, 0, &r), ENOENT, "the VM that comes next: ENOENT");
	check_errno(ioctl(session, EXEUNT_READ_VCPU, NULL), EFAULT, "a reading of no address: EFAULT");
	machine_free(&m);
	close(session);
}

/* EXEUNT_READ_VCPU with room for @nr_rows and @size bytes of counters, at these addresses. */
static int read_into(int session, struct exeunt_read_vcpu *request, void *rows, uint32_t nr_rows, void *counters, uint32_t size)
{
	request->vm_id = last_vm(session);
	request->vcpu_id = 0;
	request->nr_rows = nr_rows;
	request->rows = (uintptr_t)rows;
	request->counters = (uintptr_t)counters;
	request->counters_size = size;
	return ioctl(session, EXEUNT_READ_VCPU, request);
}

static void test_read_rooms(void)
{
	int session = open_session();
	struct machine m = machine_of_outs();
	struct exeunt_read_vcpu request;
	static struct reading r;
	uint64_t counters[2 * sizeof(struct exeunt_counters) / 8];
	uint32_t nr;

	run_round(&m);
	run_round(&m);
	read_vcpu(session, last_vm(session), 0, &r);
	nr = r.request.nr_rows;
	check(nr >= 3, "there are rows");
	memset(&r.rows, 0xa5, sizeof(r.rows));
	check_errno(read_into(session, &request, NULL, 0, NULL, 0), E2BIG, "rows in no room: E2BIG");
	check(request.nr_rows == nr && !request.counters_size, "and their number");
	check_errno(read_into(session, &request, r.rows, nr - 1, counters, 0), E2BIG, "rows in the room of one less: E2BIG");
	check(request.nr_rows == nr, "and their number");
	check_errno(read_into(session, &request, r.rows, nr, counters, 0), 0, "rows in exactly their room, no counters");
	check(request.nr_rows == nr && request.counters_size == 0, "and the number of both");
	check(r.rows[nr].key == 0xa5a5a5a5a5a5a5a5, "nothing is written behind the rows");
	check_errno(read_into(session, &request, r.rows, ~0u, counters, 0), 0, "rows in all the room there can be");
	memset(counters, 0xa5, sizeof(counters));
	check_errno(read_into(session, &request, r.rows, nr, counters, 8), 0, "the first of the counters");
	check(request.counters_size == 8 && counters[0] == 2 * (OUTS + 1) && counters[1] == 0xa5a5a5a5a5a5a5a5, "and only that");
	check_errno(read_into(session, &request, r.rows, nr, counters, sizeof(counters)), 0,
		    "room for more counters than there are");
	check(request.counters_size == sizeof(struct exeunt_counters) &&
	      counters[sizeof(struct exeunt_counters) / 8] == 0xa5a5a5a5a5a5a5a5, "gets those that there are");
	check_errno(read_into(session, &request, (void *)PAGE, nr, counters, 8), EFAULT, "rows to nowhere: EFAULT");
	check_errno(read_into(session, &request, r.rows, nr, (void *)PAGE, 8), EFAULT, "counters to nowhere: EFAULT");
	check_errno(read_into(session, &request, (void *)~0xfffull, nr, counters, 8), EFAULT,
		    "rows to the kernel's addresses: EFAULT");
	machine_free(&m);
	close(session);
}

static void test_read_from_another_process(void)
{
	int session = open_session(), status;
	struct machine m = machine_of_outs();
	static struct reading r;
	pid_t pid;

	run_round(&m);
	pid = fork();
	if (!pid)
		_exit(read_vcpu(session, last_vm(session), 0, &r) || count_of(&r, OUT_KEY) != OUTS || r.request.tid != getppid());
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && !WEXITSTATUS(status), "a process reads what another one's VM did");
	machine_free(&m);
	close(session);
}

/* ---- the end of a VM ---- */

static void test_end_is_watched(void)
{
	int session = open_session(), second = open_session();
	struct machine m = machine_of_outs();
	static struct reading before, after;
	uint64_t vm = last_vm(session);
	static struct list l;

	run_round(&m);
	read_vcpu(session, vm, 0, &before);
	machine_free(&m);
	list(session, &l, ARRAY_SIZE(l.vms));
	check(l.head.nr == 1 && l.vms[0].id == vm && l.vms[0].flags == EXEUNT_VM_ENDED, "a VM that has ended is listed, as ended");
	check(l.vms[0].pid == getpid() && l.vms[0].nr_vcpus == 1, "with what there was to say of it");
	check_errno(read_vcpu(session, vm, 0, &after), 0, "its vCPU is still read");
	check(all_exits(&after) == all_exits(&before) && count_of(&after, OUT_KEY) == OUTS, "with its last counts");
	check(after.counters.runs == OUTS + 1 && after.counters.user_exits[KVM_EXIT_HLT] == 1, "and counters");
	check_errno(read_vcpu(session, vm, 1, &after), ENOENT, "one that it did not have is not");
	close(session);
	check_errno(read_vcpu(second, vm, 0, &after), 0, "it stays while one session is open");
	close(second);
	session = open_session();
	check_errno(read_vcpu(session, vm, 0, &after), ENOENT, "with the last session it goes");
	check(count_vms(session, true) == 0, "and leaves the list");
	close(session);
}

static void test_end_is_not_watched(void)
{
	struct machine m = machine_of_outs();
	int session = open_session();
	static struct reading r;
	uint64_t vm = last_vm(session);

	run_round(&m);
	close(session);
	machine_free(&m);
	session = open_session();
	check(count_vms(session, true) == 0, "a VM that ends while nobody watches leaves nothing");
	check_errno(read_vcpu(session, vm, 0, &r), ENOENT, "and is not read");
	close(session);
}

static void test_order_of_ends(void)
{
	struct machine m[3];
	int session = open_session();
	static struct list l;
	uint64_t id[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		m[i] = machine_new(STAGE_VM);
		id[i] = last_vm(session);
	}
	machine_free(&m[1]);
	machine_free(&m[0]);
	list(session, &l, ARRAY_SIZE(l.vms));
	check(l.head.nr == 3 && l.vms[0].id == id[1] && l.vms[1].id == id[0] && l.vms[2].id == id[2],
	      "VMs that have ended come first, the first to end before all");
	check(l.vms[0].flags && l.vms[1].flags && !l.vms[2].flags, "and only they are marked so");
	machine_free(&m[2]);
	close(session);
}

/* All but the last EXEUNT_MAX_ENDED are forgotten; those that live never are. */
static void test_many_ends(void)
{
	int session = open_session();
	struct machine living = machine_of_outs(), m;
	uint64_t ids[EXEUNT_MAX_ENDED + 10], living_id = last_vm(session);
	unsigned int i, gone = 0, kept = 0;
	static struct reading r;

	run_round(&living);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		m = machine_of_outs();
		ids[i] = last_vm(session);
		machine_run(&m);
		machine_free(&m);
	}
	for (i = 0; i < 10; i++)
		gone += read_vcpu(session, ids[i], 0, &r) < 0 && errno == ENOENT;
	for (; i < ARRAY_SIZE(ids); i++)
		kept += !read_vcpu(session, ids[i], 0, &r);
	check(gone == 10, "the oldest of too many VMs that have ended are forgotten");
	check(kept == EXEUNT_MAX_ENDED, "the last %u are kept", EXEUNT_MAX_ENDED);
	check(count_vms(session, true) == EXEUNT_MAX_ENDED && count_vms(session, false) == 1, "and listed");
	check(!read_vcpu(session, living_id, 0, &r) && count_of(&r, OUT_KEY) == OUTS, "an older one that lives is kept");
	machine_free(&living);
	close(session);
}

#define MANY_VCPUS	250

/* A VM with so many vCPUs that few of them are kept. */
static uint64_t end_with_many_vcpus(int session)
{
	struct machine m = machine_new(STAGE_SPLIT);
	uint64_t id = last_vm(session);
	int fds[MANY_VCPUS];
	unsigned int i;

	for (i = 0; i < MANY_VCPUS; i++)
		fds[i] = ioctl(m.vm, KVM_CREATE_VCPU, i);
	while (i--)
		close(fds[i]);
	machine_free(&m);
	return id;
}

static void test_ends_with_many_vcpus(void)
{
	uint64_t ids[EXEUNT_MAX_ENDED_VCPUS / MANY_VCPUS + 1];
	unsigned int i, kept = 0;
	int session = open_session();
	static struct reading r;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = end_with_many_vcpus(session);
	check_errno(read_vcpu(session, ids[0], 0, &r), ENOENT, "of VMs that had too many vCPUs the first to end is forgotten");
	for (i = 1; i < ARRAY_SIZE(ids); i++)
		kept += !read_vcpu(session, ids[i], MANY_VCPUS - 1, &r);
	check(kept == ARRAY_SIZE(ids) - 1, "those with %u together are kept", kept * MANY_VCPUS);
	close(session);
}

/* ---- races ---- */

static volatile bool stop;

static void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *come_and_go(void *arg)
{
	unsigned int *vms = arg;
	struct machine m;

	for (; !stop; ++*vms) {
		m = machine_of_outs();
		machine_run(&m);
		machine_free(&m);
	}
	return NULL;
}

/* A session that reads all there is, and ends. */
static void *open_and_close(void *arg)
{
	struct reading *r = malloc(sizeof(*r));
	struct list *l = malloc(sizeof(*l));
	unsigned int *bad = arg;

	while (r && l && !stop) {
		int session = open_session();

		if (session < 0 || list(session, l, ARRAY_SIZE(l->vms)))
			++*bad;
		else
			for (uint32_t i = 0; i < l->head.nr; i++)
				if (!read_vcpu(session, l->vms[i].id, 0, r))
					*bad += bad_rows(r);
		close(session);
	}
	free(l);
	free(r);
	return NULL;
}

static void test_come_and_go(void)
{
	unsigned int vms = 0, bad[2] = { 0 };
	pthread_t threads[3];
	struct machine m;

	stop = false;
	pthread_create(&threads[0], NULL, come_and_go, &vms);
	pthread_create(&threads[1], NULL, open_and_close, &bad[0]);
	pthread_create(&threads[2], NULL, open_and_close, &bad[1]);
	sleep_ms(RACE_MS);
	stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	check(vms && !bad[0] && !bad[1], "sessions open and close while VMs come and go");
	m = machine_of_outs();
	run_round(&m);
	check(m.run->exit_reason == KVM_EXIT_HLT, "and a VM works after that");
	machine_free(&m);
}

/* Two vCPUs that run a guest as fast as they can, each in its thread. */
struct pair {
	struct machine m[2];	/* the second has only a vCPU of its own, in the first one's VM */
	pthread_t threads[2];
};

static void *run_until_stopped(void *arg)
{
	struct machine *m = arg;

	while (!stop)
		ioctl(m->vcpu, KVM_RUN, 0);
	return NULL;
}

static void pair_start(struct pair *p)
{
	p->m[0] = machine_without_irqchip();
	p->m[1] = p->m[0];
	p->m[1].vcpu = ioctl(p->m[0].vm, KVM_CREATE_VCPU, 1);
	stop = false;
	for (unsigned int i = 0; i < 2; i++) {
		machine_code(&p->m[i], cpuid_and_out, sizeof(cpuid_and_out));
		pthread_create(&p->threads[i], NULL, run_until_stopped, &p->m[i]);
	}
}

static void pair_stop(struct pair *p)
{
	stop = true;
	for (unsigned int i = 0; i < 2; i++)
		while (pthread_tryjoin_np(p->threads[i], NULL)) {
			pthread_kill(p->threads[i], SIGUSR1);
			sleep_ms(2);
		}
}

static void pair_free(struct pair *p)
{
	close(p->m[1].vcpu);
	machine_free(&p->m[0]);
}

/* What has gone down since the reading before. */
static unsigned int gone_down(const struct reading *r, const struct reading *last)
{
	unsigned int bad = r->counters.runs < last->counters.runs || r->request.now < last->request.now ||
			   r->request.nr_rows < last->request.nr_rows;

	for (uint32_t i = 0; i < last->request.nr_rows; i++)
		bad += r->rows[i].key != last->rows[i].key || r->rows[i].count < last->rows[i].count ||
		       r->rows[i].total < last->rows[i].total || r->rows[i].min > last->rows[i].min ||
		       r->rows[i].max < last->rows[i].max;
	return bad;
}

static uint64_t now_ms(void)
{
	return boot_ns() / 1000000;
}

static void test_reading_while_they_run(void)
{
	static struct reading r[2][2];	/* [vCPU][now and before] */
	unsigned int reads = 0, torn = 0, down = 0, failed = 0;
	uint64_t end = now_ms() + RACE_MS, first;
	int session = open_session();
	struct pair p;

	pair_start(&p);
	memset(r, 0, sizeof(r));
	read_vcpu(session, last_vm(session), 0, &r[0][1]);
	read_vcpu(session, last_vm(session), 1, &r[1][1]);
	first = all_exits(&r[0][1]);
	for (; now_ms() < end || reads <= LEAST_ROUNDS; reads++)
		for (unsigned int i = 0; i < 2; i++) {
			struct reading *now = &r[i][reads % 2], *before = &r[i][!(reads % 2)];

			failed += !!read_vcpu(session, last_vm(session), i, now);
			torn += bad_rows(now);
			down += gone_down(now, before);
		}
	pair_stop(&p);
	check(!failed, "two vCPUs are read while they run");
	check(!torn, "every row fits together at any moment");
	check(!down, "what has been counted stays counted");
	read_vcpu(session, last_vm(session), 0, &r[0][0]);
	check(all_exits(&r[0][0]) > first + 10, "they did run meanwhile");
	check(!bad_rows(&r[0][0]) && count_of(&r[0][0], EXEUNT_KEY(EXIT_CPUID, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)) >=
	      2 * count_of(&r[0][0], OUT_KEY), "and what they did is what is counted");
	pair_free(&p);
	close(session);
}

/* ---- the switch ---- */

static int set_accounting(const char *to)
{
	int fd = open(SWITCH, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -1;
	r = write(fd, to, strlen(to)) == (ssize_t)strlen(to) ? 0 : -1;
	close(fd);
	return r;
}

static uint32_t accounting(void)
{
	struct exeunt_info info = { 0 };

	ioctl(dev, EXEUNT_GET_INFO, &info);
	return info.accounting;
}

static void test_switched_off(void)
{
	int session = open_session();
	struct machine m = machine_of_outs();
	static struct reading a, b;
	uint64_t vm = last_vm(session);

	run_round(&m);
	check_errno(set_accounting("0"), 0, "the accounting is switched off");
	check(accounting() == 0, "EXEUNT_GET_INFO says so");
	read_vcpu(session, vm, 0, &a);
	run_round(&m);
	run_round(&m);
	read_vcpu(session, vm, 0, &b);
	check(all_exits(&a) == all_exits(&b) && !memcmp(&a.rows, &b.rows, sizeof(a.rows)), "no exit counts meanwhile");
	check(!memcmp(&a.counters, &b.counters, sizeof(a.counters)), "nor does anything else");
	check_errno(set_accounting("perhaps"), EINVAL, "a switch is on or off: EINVAL");
	check(accounting() == 0, "and stays as it was");
	check_errno(set_accounting("1"), 0, "the accounting is switched on again");
	check(accounting() == 1, "EXEUNT_GET_INFO says so");
	run_round(&m);
	read_vcpu(session, vm, 0, &b);
	check(count_of(&b, OUT_KEY) == 2 * OUTS, "and exits count again");
	check(!bad_rows(&b), "every row fits together");
	machine_free(&m);
	close(session);
}

/* Keys that the guest's exits can have, or the host's that come between. */
static bool possible(uint64_t key)
{
	unsigned int reason = EXEUNT_KEY_REASON(key), kind = EXEUNT_KEY_KIND(key);

	if (reason == EXIT_IOIO)
		return kind == EXEUNT_PLAIN || (kind == EXEUNT_PIO_OUT && EXEUNT_KEY_DETAIL(key) == PORT);
	return kind == EXEUNT_PLAIN && EXEUNT_KEY_OUTCOME(key) < EXEUNT_OUTCOMES;
}

static void test_switched_while_they_run(void)
{
	unsigned int switches = 0, bad = 0, impossible = 0, late = 0;
	uint64_t start = __rdtsc(), end = now_ms() + RACE_MS;
	int session = open_session();
	static struct reading r;
	struct pair p;

	pair_start(&p);
	for (; now_ms() < end || switches <= LEAST_ROUNDS; switches++) {
		set_accounting(switches % 2 ? "1" : "0");
		sleep_ms(switches % 7);
		read_vcpu(session, last_vm(session), switches % 2, &r);
		bad += bad_rows(&r);
		for (uint32_t i = 0; i < r.request.nr_rows; i++) {
			impossible += !possible(r.rows[i].key) && r.rows[i].count;
			late += r.rows[i].total > r.request.now - start;
		}
	}
	set_accounting("1");
	sleep_ms(50);
	read_vcpu(session, last_vm(session), 0, &r);
	pair_stop(&p);
	check(accounting() == 1, "the accounting is switched while vCPUs run");
	check(!bad, "every row fits together");
	check(!impossible, "no exit counts that never was");
	check(!late, "nor longer than the guest has run");
	check(all_exits(&r) > 0, "and it counts when it is on");
	pair_free(&p);
	close(session);
}

void test_stats(void)
{
	struct exeunt_info info;

	test_stats_fd();
	dev = open_device();
	if (ioctl(dev, EXEUNT_GET_INFO, &info) && strcmp(device, "/dev/exeunt")) {
		skip("Exeunt's own statistics: not this device's");
		close(dev);
		return;
	}
	signal(SIGUSR1, on_signal);
	test_info();
	test_unknown_numbers();
	test_session_file();
	test_privilege();
	test_list_rooms();
	test_list_pointers();
	test_list_entries();
	test_list_in_a_pid_namespace();
	test_read_values();
	test_read_thread();
	test_read_bad_ids();
	test_read_rooms();
	test_read_from_another_process();
	test_end_is_watched();
	test_end_is_not_watched();
	test_order_of_ends();
	test_many_ends();
	test_ends_with_many_vcpus();
	test_come_and_go();
	test_reading_while_they_run();
	test_switched_off();
	test_switched_while_they_run();
	signal(SIGUSR1, SIG_DFL);
	close(dev);
}
