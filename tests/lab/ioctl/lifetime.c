// SPDX-License-Identifier: GPL-2.0
/*
 * Who may call, when, and in what order: other processes, file descriptors closed
 * in any order, threads that get in each other's way, kvm_run written to at any
 * time. What is checked is mostly that it ends, and that a machine works after it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define RACE_MS		700

static const uint8_t spin[] = { 0xeb, 0xfe };
static const uint8_t out_loop[] = { 0xe6, 0x80, 0xeb, 0xfc };	/* 1: out %al, $0x80; jmp 1b */
static const uint8_t busy_loop[] = {
	0xe6, 0x80,			/* 1: out %al, $0x80 */
	0xe4, 0x80,			/* in $0x80, %al */
	0x67, 0xc7, 0x05, 0x00, 0x00, 0x02, 0x00, 0x34, 0x12,	/* movw $0x1234, 0x20000 */
	0x67, 0xa1, 0x00, 0x00, 0x02, 0x00,			/* movw 0x20000, %ax */
	0xeb, 0xeb,			/* jmp 1b */
};

static volatile bool stop;

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* ---- other processes ---- */

/* errno that a child gets from an ioctl, 0 if it worked. */
static int in_child(int fd, unsigned long request, void *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(ioctl(fd, request, arg) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_other_process(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_userspace_memory_region region = { .slot = 3, .guest_phys_addr = 0x10000000,
		.memory_size = PAGE, .userspace_addr = (uintptr_t)m.ram };
	struct kvm_regs regs;

	machine_code(&m, out_loop, sizeof(out_loop));
	check(in_child(m.vcpu, KVM_RUN, NULL) == EIO, "KVM_RUN in another process: EIO");
	check(in_child(m.vcpu, KVM_GET_REGS, &regs) == EIO, "KVM_GET_REGS in another process: EIO");
	check(in_child(m.vm, KVM_SET_USER_MEMORY_REGION, &region) == EIO,
	      "KVM_SET_USER_MEMORY_REGION in another process: EIO");
	check(in_child(m.vm, KVM_CREATE_VCPU, (void *)1) == EIO,
	      "KVM_CREATE_VCPU in another process: EIO");
	check(in_child(m.kvm, KVM_GET_API_VERSION, NULL) == 0, "the device serves any process");
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO,
	      "the owner's vCPU runs after that");
	machine_free(&m);
}

/* A child that inherits the descriptors, and outlives the parent's use of them. */
static void test_orphan(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	pid_t pid;
	int status;

	machine_code(&m, out_loop, sizeof(out_loop));
	machine_run(&m);
	pid = fork();
	if (!pid) {
		sleep_ms(100);
		_exit(0);
	}
	machine_free(&m);
	waitpid(pid, &status, 0);
	check(WIFEXITED(status), "the last reference to a VM may go with another process");
}

/* ---- closing ---- */

static void test_closing(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_regs regs;

	machine_code(&m, out_loop, sizeof(out_loop));
	close(m.kvm);
	close(m.vm);
	m.vm = -1;
	m.kvm = open_device();
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO,
	      "a vCPU runs when its VM's fd is closed");
	check_errno(ioctl(m.vcpu, KVM_GET_REGS, &regs), 0, "and answers");
	close(m.vcpu);
	m.vcpu = -1;
	check(m.run->exit_reason == KVM_EXIT_IO,
	      "kvm_run can be read after its vCPU's fd is closed");
	machine_free(&m);

	m = machine_new(STAGE_VCPU);
	machine_code(&m, out_loop, sizeof(out_loop));
	munmap(m.run, m.run_bytes);
	m.run = NULL;
	check_errno(machine_run(&m), 0, "KVM_RUN with kvm_run not mapped");
	munmap(m.ram, RAM_BYTES);
	m.ram = NULL;
	check(machine_run(&m) <= 0, "KVM_RUN with the memory gone ends");
	machine_free(&m);
}

static sigjmp_buf on_bus_error;

static void bus_error(int sig)
{
	siglongjmp(on_bus_error, sig);
}

static void test_mmap(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	size_t size = m.run_bytes + 16 * PAGE;
	volatile uint8_t *p = mmap(NULL, size, PROT_READ, MAP_SHARED, m.vcpu, 0);
	bool beyond = p == MAP_FAILED;

	signal(SIGBUS, bus_error);
	if (!beyond && sigsetjmp(on_bus_error, 1))
		beyond = true;
	else if (!beyond)
		(void)p[size - 1];
	signal(SIGBUS, SIG_DFL);
	check(beyond, "nothing lies behind kvm_run's mapping");
	if (p != MAP_FAILED)
		munmap((void *)p, size);
	machine_free(&m);
}

/* ---- threads ---- */

struct runner {
	struct machine *m;
	pthread_t thread;
	volatile bool done;
	int ret, err;
};

static void *run_once(void *arg)
{
	struct runner *r = arg;

	r->ret = ioctl(r->m->vcpu, KVM_RUN, 0);
	r->err = errno;
	r->done = true;
	return NULL;
}

static void *get_regs(void *arg)
{
	struct runner *r = arg;
	struct kvm_regs regs;

	r->ret = ioctl(r->m->vcpu, KVM_GET_REGS, &regs);
	r->err = errno;
	r->done = true;
	return NULL;
}

static void test_blocking(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	struct runner run = { .m = &m }, get = { .m = &m };
	struct kvm_userspace_memory_region region = { .slot = 3, .guest_phys_addr = 0x10000000,
		.memory_size = PAGE, .userspace_addr = (uintptr_t)m.ram };

	machine_code(&m, spin, sizeof(spin));
	pthread_create(&run.thread, NULL, run_once, &run);
	sleep_ms(100);
	pthread_create(&get.thread, NULL, get_regs, &get);
	sleep_ms(100);
	check(!run.done && !get.done, "an ioctl of a vCPU in KVM_RUN waits");
	check_errno(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, &region), 0, "one of its VM does not");
	pthread_kill(run.thread, SIGUSR1);
	pthread_join(run.thread, NULL);
	pthread_join(get.thread, NULL);
	check(run.ret < 0 && run.err == EINTR, "a signal ends KVM_RUN with EINTR");
	check(m.run->exit_reason == KVM_EXIT_INTR, "and KVM_EXIT_INTR");
	check_errno(get.ret, 0, "and lets the other ioctl go on");
	machine_free(&m);
}

static void *second_waiter(void *arg)
{
	struct runner *r = arg;

	while (!stop)
		run_once(r);
	return NULL;
}

/* Run a race for a while: `count` threads, all stopped by a flag and a signal. */
static void race(void *(**threads)(void *), unsigned int count, void *arg)
{
	struct timespec wait = { 0, 2000000 };
	pthread_t ids[4];
	unsigned int i;
	int ms;

	stop = false;
	for (i = 0; i < count; i++)
		pthread_create(&ids[i], NULL, threads[i], arg);
	for (ms = 0; ms < RACE_MS; ms += 2)
		nanosleep(&wait, NULL);
	stop = true;
	for (i = 0; i < count; i++) {
		/* A thread may enter KVM_RUN after one signal: send until it is gone. */
		while (pthread_tryjoin_np(ids[i], NULL)) {
			pthread_kill(ids[i], SIGUSR1);
			nanosleep(&wait, NULL);
		}
	}
}

static void test_two_runners(void)
{
	void *(*threads[])(void *) = { second_waiter, second_waiter };
	struct machine m = machine_new(STAGE_VCPU);
	struct runner r = { .m = &m };

	machine_code(&m, out_loop, sizeof(out_loop));
	race(threads, 2, &r);
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO,
	      "two threads in KVM_RUN of one vCPU");
	machine_free(&m);
}

static void *run_loop(void *arg)
{
	struct machine *m = arg;

	while (!stop)
		ioctl(m->vcpu, KVM_RUN, 0);
	return NULL;
}

/* Everything in the page, but leave it so that KVM_RUN enters the guest at times. */
static void *scribble_run(void *arg)
{
	struct machine *m = arg;
	volatile uint8_t *p = (volatile uint8_t *)m->run;
	unsigned int seed = 1;

	while (!stop) {
		p[rand_r(&seed) % m->run_bytes] = rand_r(&seed);
		if (!(rand_r(&seed) % 16))
			m->run->immediate_exit = 0;
	}
	return NULL;
}

static void *move_slot(void *arg)
{
	struct machine *m = arg;
	struct kvm_userspace_memory_region region = { .slot = 5, .guest_phys_addr = 0x20000,
		.memory_size = PAGE, .userspace_addr = (uintptr_t)m->ram + 2 * PAGE };

	while (!stop) {
		region.memory_size = PAGE;
		ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
		madvise(m->ram, RAM_BYTES - PAGE, MADV_WILLNEED);
		madvise(m->ram + 2 * PAGE, PAGE, MADV_DONTNEED);
		region.memory_size = 0;
		ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
	}
	return NULL;
}

static void *send_msis(void *arg)
{
	struct machine *m = arg;
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x40 };

	while (!stop)
		ioctl(m->vm, KVM_SIGNAL_MSI, &msi);
	return NULL;
}

static void *make_vcpus(void *arg)
{
	struct machine *m = arg;
	unsigned long id;
	int fd;

	for (id = 1; id < 200 && !stop; id++) {
		fd = ioctl(m->vm, KVM_CREATE_VCPU, id);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void *set_routes(void *arg)
{
	struct machine *m = arg;
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[4];
	} table = { 0 };
	unsigned int i;

	for (i = 0; i < 4; i++)
		table.entries[i] = (struct kvm_irq_routing_entry){
			.gsi = i, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = 0x50 + i } };
	while (!stop) {
		table.head.nr = 4;
		ioctl(m->vm, KVM_SET_GSI_ROUTING, &table);
		table.head.nr = 1;
		ioctl(m->vm, KVM_SET_GSI_ROUTING, &table);
	}
	return NULL;
}

static void *churn_irqfd(void *arg)
{
	struct machine *m = arg;
	struct kvm_irqfd irqfd = { .gsi = 2 };
	int fd;

	while (!stop) {
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		irqfd.fd = fd;
		irqfd.flags = 0;
		ioctl(m->vm, KVM_IRQFD, &irqfd);
		eventfd_write(fd, 1);
		irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
		if (fd & 1)
			ioctl(m->vm, KVM_IRQFD, &irqfd);
		close(fd);
	}
	return NULL;
}

static void *churn_ioeventfd(void *arg)
{
	struct machine *m = arg;
	struct kvm_ioeventfd e = { .addr = 0x20000, .len = 2 };

	e.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	while (!stop) {
		e.flags = 0;
		ioctl(m->vm, KVM_IOEVENTFD, &e);
		e.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
		ioctl(m->vm, KVM_IOEVENTFD, &e);
	}
	close(e.fd);
	return NULL;
}

static void *nmi_and_events(void *arg)
{
	struct machine *m = arg;
	struct kvm_vcpu_events e;
	struct kvm_sregs s;

	while (!stop) {
		ioctl(m->vcpu, KVM_NMI, 0);
		ioctl(m->vcpu, KVM_GET_VCPU_EVENTS, &e);
		ioctl(m->vcpu, KVM_SET_VCPU_EVENTS, &e);
		ioctl(m->vcpu, KVM_GET_SREGS, &s);
		ioctl(m->vcpu, KVM_SET_SREGS, &s);
	}
	return NULL;
}

static bool fresh_machine_works(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	bool ok;

	machine_code(&m, out_loop, sizeof(out_loop));
	ok = !machine_run(&m) && m.run->exit_reason == KVM_EXIT_IO;
	machine_free(&m);
	return ok;
}

static void test_race(const char *what, void *(*a)(void *), void *(*b)(void *), void *(*c)(void *))
{
	void *(*threads[])(void *) = { a, b, c };
	struct machine m = machine_new(STAGE_VCPU);

	machine_code(&m, busy_loop, sizeof(busy_loop));
	race(threads, c ? 3 : 2, &m);
	machine_free(&m);
	check(fresh_machine_works(), "%s", what);
}

static void *close_vm(void *arg)
{
	int *fd = arg;

	close(*fd);
	return NULL;
}

static void *create_and_run(void *arg)
{
	int fd = *(int *)arg, vcpu = ioctl(fd, KVM_CREATE_VCPU, 0);

	if (vcpu >= 0)
		close(vcpu);
	return NULL;
}

/* The VM's only descriptor is closed while a vCPU is being made through it. */
static void test_close_race(void)
{
	pthread_t a, b;
	unsigned int turn;
	int kvm = open_device(), fd;

	for (turn = 0; turn < 100; turn++) {
		fd = ioctl(kvm, KVM_CREATE_VM, 0);
		pthread_create(&a, NULL, create_and_run, &fd);
		pthread_create(&b, NULL, close_vm, &fd);
		pthread_join(a, NULL);
		pthread_join(b, NULL);
	}
	close(kvm);
	check(fresh_machine_works(), "a VM closed while a vCPU is made, 100 times");
}

static void test_exit_with_runner(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		static struct machine m;
		pthread_t thread;

		m = machine_new(STAGE_VCPU);
		machine_code(&m, spin, sizeof(spin));
		pthread_create(&thread, NULL, run_loop, &m);
		sleep_ms(50);
		_exit(7);
	}
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7,
	      "a process ends while its guest spins");
	pid = fork();
	if (!pid) {
		static struct machine m;

		m = machine_new(STAGE_VCPU);
		machine_code(&m, spin, sizeof(spin));
		ioctl(m.vcpu, KVM_RUN, 0);
		_exit(0);
	}
	sleep_ms(100);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "SIGKILL ends a guest that spins");
	check(fresh_machine_works(), "and a new machine works");
}

void test_lifetime(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	test_other_process();
	test_orphan();
	test_closing();
	test_mmap();
	test_blocking();
	test_two_runners();
	test_race("kvm_run overwritten while the guest runs", run_loop, scribble_run, NULL);
	test_race("slots changed while the guest runs", run_loop, move_slot, NULL);
	test_race("kvm_run and slots at once", run_loop, scribble_run, move_slot);
	test_race("MSIs sent while vCPUs are made", send_msis, make_vcpus, set_routes);
	test_race("irqfds and routes changed while the guest runs", run_loop, churn_irqfd,
		  set_routes);
	test_race("ioeventfds changed where the guest writes", run_loop, churn_ioeventfd,
		  scribble_run);
	test_race("events and NMIs set between runs", run_loop, nmi_and_events, NULL);
	test_close_race();
	test_exit_with_runner();
}
