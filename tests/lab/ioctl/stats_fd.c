// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_STATS_FD (KVM API document, 4.133): the descriptor, the format that any reader of KVM's statistics relies on, and what
 * the values say of a guest whose exits are known.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define MAX_FILE	(256 * 1024)
#define MAX_NAME	128
#define MAX_EXPONENT	18
#define OUTS		100

static const uint8_t outs_and_hlt[] = {
	0xb9, OUTS, 0x00,	/* 1: mov $OUTS, %cx */
	0xe6, 0x80,		/* 2: out %al, $0x80 */
	0xe2, 0xfc,		/* loop 2b */
	0xf4,			/* hlt */
	0xeb, 0xf6,		/* jmp 1b */
};

/* A whole statistics file, in memory. */
struct image {
	size_t size;
	union {
		struct kvm_stats_header header;
		uint8_t bytes[MAX_FILE];
	};
};

static int stats_fd(int of)
{
	return ioctl(of, KVM_GET_STATS_FD, NULL);
}

static const struct kvm_stats_desc *desc_at(const struct image *f, unsigned int i)
{
	size_t each = sizeof(struct kvm_stats_desc) + f->header.name_size;

	return (const void *)(f->bytes + f->header.desc_offset + i * each);
}

static void load(int fd, struct image *f)
{
	ssize_t n = pread(fd, f->bytes, sizeof(f->bytes), 0);

	f->size = n < 0 ? 0 : n;
}

static const struct kvm_stats_desc *find(const struct image *f, const char *name)
{
	for (unsigned int i = 0; i < f->header.num_desc; i++)
		if (!strcmp(desc_at(f, i)->name, name))
			return desc_at(f, i);
	return NULL;
}

/* Value @i of a statistic; all ones if there is no such. */
static uint64_t value_at(const struct image *f, const char *name, unsigned int i)
{
	const struct kvm_stats_desc *d = find(f, name);
	uint64_t value;

	if (!d || i >= d->size)
		return ~0ull;
	memcpy(&value, f->bytes + f->header.data_offset + d->offset + i * 8, sizeof(value));
	return value;
}

static uint64_t value_of(const struct image *f, const char *name)
{
	return value_at(f, name, 0);
}

uint64_t vcpu_statistic(int vcpu, const char *name)
{
	const struct kvm_stats_desc *d;
	static struct image f;
	int fd = stats_fd(vcpu);
	uint64_t sum = 0;

	load(fd, &f);
	close(fd);
	d = find(&f, name);
	for (unsigned int i = 0; d && i < d->size; i++)
		sum += value_at(&f, name, i);
	return d ? sum : ~0ull;
}

/* ---- the format ---- */

/* @len bytes from @at end within the file, and in a NUL. */
static bool string_inside(const struct image *f, size_t at, size_t len)
{
	return at < f->size && len <= f->size - at && memchr(f->bytes + at, 0, len);
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (!isgraph((unsigned char)*s))
			return false;
	return true;
}

static bool zeros_after(const char *s, size_t len)
{
	for (size_t i = strlen(s); i < len; i++)
		if (s[i])
			return false;
	return true;
}

static bool check_header(const struct image *f, const char *who)
{
	const struct kvm_stats_header *h = &f->header;
	size_t each = sizeof(struct kvm_stats_desc) + h->name_size;
	bool ok = check(f->size > sizeof(*h) && f->size < MAX_FILE, "%s: the file is read in one call", who);

	ok = ok && check(!h->flags, "%s: no header flags", who);
	ok = ok && check(h->name_size && h->name_size <= MAX_NAME && h->num_desc, "%s: there are descriptors", who);
	ok = ok && check(h->id_offset >= sizeof(*h) && string_inside(f, h->id_offset, h->name_size),
			 "%s: the id is a string", who);
	ok = ok && check(h->desc_offset >= h->id_offset + strlen((char *)f->bytes + h->id_offset) && !(h->desc_offset % 8),
			 "%s: the descriptors come after the id, aligned", who);
	return ok && check(h->data_offset >= h->desc_offset + h->num_desc * each && !(h->data_offset % 8) &&
			   h->data_offset < f->size, "%s: the data come after the descriptors, aligned", who);
}

static void check_id(const struct image *f, const char *who, const char *format)
{
	const char *id = (const char *)f->bytes + f->header.id_offset;
	char want[64];

	snprintf(want, sizeof(want), format, getpid());
	check(!strcmp(id, want), "%s: the id is %s", who, format);
}

static bool legal_flags(const struct kvm_stats_desc *d)
{
	unsigned int type = d->flags & KVM_STATS_TYPE_MASK, unit = d->flags & KVM_STATS_UNIT_MASK;

	return type <= KVM_STATS_TYPE_MAX && unit <= KVM_STATS_UNIT_MAX &&
	       (d->flags & KVM_STATS_BASE_MASK) <= KVM_STATS_BASE_MAX &&
	       !(d->flags & ~(KVM_STATS_TYPE_MASK | KVM_STATS_UNIT_MASK | KVM_STATS_BASE_MASK));
}

static bool legal_size(const struct kvm_stats_desc *d)
{
	unsigned int type = d->flags & KVM_STATS_TYPE_MASK;

	if (type == KVM_STATS_TYPE_LINEAR_HIST)
		return d->size && d->bucket_size;
	if (type == KVM_STATS_TYPE_LOG_HIST)
		return d->size && !d->bucket_size;
	return d->size == 1 && !d->bucket_size;
}

static bool same_name(const struct image *f, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (!strcmp(desc_at(f, i)->name, desc_at(f, j)->name))
			return true;
	return false;
}

static bool overlaps(const struct image *f, unsigned int i)
{
	const struct kvm_stats_desc *a = desc_at(f, i), *b;

	for (unsigned int j = 0; j < i; j++) {
		b = desc_at(f, j);
		if (a->offset < b->offset + 8 * b->size && b->offset < a->offset + 8 * a->size)
			return true;
	}
	return false;
}

static void check_descriptors(const struct image *f, const char *who)
{
	unsigned int names = 0, flags = 0, exponents = 0, sizes = 0, same = 0, places = 0, overlapping = 0;
	unsigned int nr = f->header.num_desc;
	size_t end = f->header.data_offset;

	for (unsigned int i = 0; i < nr; i++) {
		const struct kvm_stats_desc *d = desc_at(f, i);
		size_t data_end = (size_t)f->header.data_offset + d->offset + 8 * d->size;

		if (!memchr(d->name, 0, f->header.name_size) || !d->name[0]) {
			check(false, "%s: name %u ends in its field", who, i);
			return;
		}
		names += printable(d->name) && zeros_after(d->name, f->header.name_size);
		flags += legal_flags(d);
		exponents += abs(d->exponent) <= MAX_EXPONENT;
		sizes += legal_size(d);
		same += same_name(f, i);
		places += !(d->offset % 8) && data_end <= f->size;
		overlapping += overlaps(f, i);
		end = data_end > end ? data_end : end;
	}
	check(names == nr, "%s: every name is printable, and zeros after it", who);
	check(!same, "%s: no name is there twice", who);
	check(flags == nr, "%s: types, units and bases are legal", who);
	check(exponents == nr, "%s: exponents make sense", who);
	check(sizes == nr, "%s: sizes and bucket sizes fit the types", who);
	check(places == nr, "%s: all data lie in the file, aligned", who);
	check(!overlapping, "%s: no data overlap", who);
	check(end == f->size, "%s: nothing lies behind the data", who);
}

/* ---- reading ---- */

/* The file from @at to @end, or to its own end, read @step bytes at a time, is what @f has there. */
static bool same_in_steps(int fd, const struct image *f, size_t at, size_t end, size_t step)
{
	uint8_t part[PAGE];
	ssize_t n;

	for (end = end < f->size ? end : f->size; at < end; at += n) {
		n = pread(fd, part, step, at);
		if (n != (ssize_t)(step < f->size - at ? step : f->size - at) || memcmp(part, f->bytes + at, n))
			return false;
	}
	return true;
}

static void check_reading(int fd, const struct image *f, const char *who)
{
	static const size_t steps[] = { 1, 7, 8, 24 };
	static uint8_t again[MAX_FILE];
	size_t i, at = 0, data = f->header.data_offset;
	uint8_t past[16] = "unchanged";
	ssize_t n;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		check(same_in_steps(fd, f, 0, 600, steps[i]) && same_in_steps(fd, f, data - 150, data + 150, steps[i]) &&
		      same_in_steps(fd, f, f->size - 150, f->size, steps[i]),
		      "%s: %zu bytes at a time give the same", who, steps[i]);
	check(same_in_steps(fd, f, 0, f->size, 333) && same_in_steps(fd, f, 0, f->size, PAGE), "%s: so do more", who);
	while ((n = read(fd, again + at, 1000)) > 0)
		at += n;
	check(!n && at == f->size && !memcmp(again, f->bytes, at), "%s: read() goes through it to the end", who);
	n = pread(fd, again, 100, f->size - 8);
	check(n == 8 && !memcmp(again, f->bytes + f->size - 8, 8), "%s: a read across the end is short", who);
	check(!pread(fd, past, sizeof(past), f->size) && !pread(fd, past, sizeof(past), f->size + 12345) &&
	      !pread(fd, past, sizeof(past), INT64_MAX - 100) && !memcmp(past, "unchanged", 9),
	      "%s: behind the end there is nothing", who);
	check(!pread(fd, past, 0, 0), "%s: a read of nothing", who);
	check_errno(pread(fd, past, sizeof(past), -1), EINVAL, "%s: a read at a negative offset", who);
	check_errno(pread(fd, (void *)PAGE, 100, 0), EFAULT, "%s: a read to nowhere", who);
	check_errno(pread(fd, (void *)PAGE, 100, f->header.data_offset), EFAULT, "%s: a read of the data to nowhere", who);
}

static void check_descriptor_file(int fd, const char *who)
{
	uint8_t byte = 0;

	check(fcntl(fd, F_GETFD) & FD_CLOEXEC, "%s: closed on exec", who);
	check((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "%s: opened for reading", who);
	check_errno(write(fd, &byte, 1), EBADF, "%s: cannot be written to", who);
	check_errno(ioctl(fd, KVM_GET_STATS_FD, NULL), ENOTTY, "%s: takes no ioctl", who);
	check(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV, "%s: cannot be mapped", who);
}

static bool reads_in_child(int fd)
{
	static uint8_t bytes[MAX_FILE];
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(pread(fd, bytes, sizeof(bytes), 0) > 0 ? 0 : 1);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void test_file(int of, const char *who, const char *id)
{
	static struct image f, other;
	int fd = stats_fd(of), second = stats_fd(of);

	if (!check(fd >= 0 && second >= 0 && fd != second, "%s: a descriptor for each call", who))
		return;
	load(fd, &f);
	load(second, &other);
	check(f.size == other.size && !memcmp(&f, &other, f.header.data_offset), "%s: two descriptors say the same", who);
	check_descriptor_file(fd, who);
	if (check_header(&f, who)) {
		check_id(&f, who, id);
		check_descriptors(&f, who);
		check_reading(fd, &f, who);
	}
	check(reads_in_child(fd), "%s: another process can read what it was given", who);
	close(fd);
	check(pread(second, other.bytes, MAX_FILE, 0) == (ssize_t)f.size, "%s: one closed, the other reads on", who);
	close(second);
}

static void test_format(void)
{
	struct machine m = machine_new(STAGE_VCPU);

	check(has_cap(KVM_CAP_BINARY_STATS_FD), "KVM_CAP_BINARY_STATS_FD");
	test_file(m.vm, "a VM's statistics", "kvm-%d");
	test_file(m.vcpu, "a vCPU's statistics", "kvm-%d/vcpu-0");
	machine_free(&m);
}

/* ---- what the values say ---- */

/* Through the loop once: OUTS exits for a port and one for HLT, all of them the VMM's. */
static bool run_round(struct machine *m)
{
	unsigned int outs = 0;

	while (!machine_run(m) && m->run->exit_reason == KVM_EXIT_IO)
		outs++;
	return m->run->exit_reason == KVM_EXIT_HLT && outs == OUTS;
}

static uint64_t hist_sum(const struct image *f, const char *name)
{
	const struct kvm_stats_desc *d = find(f, name);
	uint64_t sum = 0;

	for (unsigned int i = 0; d && i < d->size; i++)
		sum += value_at(f, name, i);
	return sum;
}

/* No HLT is the kernel's in a machine without APICs. */
static struct machine machine_of_outs(void)
{
	struct machine m = machine_without_irqchip();

	machine_code(&m, outs_and_hlt, sizeof(outs_and_hlt));
	return m;
}

static void test_values(void)
{
	static struct image before, after;
	struct machine m = machine_of_outs();
	int fd = stats_fd(m.vcpu);

	check(run_round(&m), "a guest that makes %u OUTs and a HLT", OUTS);
	load(fd, &before);
	check(run_round(&m), "and so again");
	load(fd, &after);
	check(value_of(&after, "io_exits") - value_of(&before, "io_exits") == OUTS, "io_exits counts the OUTs");
	check(value_of(&after, "halt_exits") - value_of(&before, "halt_exits") == 1, "halt_exits counts the HLT");
	check(value_of(&after, "exits") - value_of(&before, "exits") >= OUTS + 1, "exits counts both");
	check(value_of(&after, "mmio_exits") == value_of(&before, "mmio_exits"), "mmio_exits counts neither");
	check(value_of(&after, "signal_exits") == 0, "signal_exits is 0 where no signal came");
	close(fd);
	machine_free(&m);
}

static const uint8_t doorbell_and_hlt[] = { 0xe6, 0x80, 0xe6, 0x80, 0xf4, 0xeb, 0xf9 };

/* An OUT that the kernel answers by itself exits as well: io_exits is about the guest's exits, not the VMM's. */
static void test_io_exits_in_the_kernel(void)
{
	struct machine m = machine_without_irqchip();
	struct kvm_ioeventfd e = { .addr = 0x80, .len = 1, .flags = KVM_IOEVENTFD_FLAG_PIO };
	static struct image before, after;
	int fd = stats_fd(m.vcpu);

	machine_code(&m, doorbell_and_hlt, sizeof(doorbell_and_hlt));
	e.fd = eventfd(0, EFD_CLOEXEC);
	check_errno(ioctl(m.vm, KVM_IOEVENTFD, &e), 0, "a doorbell at a port");
	machine_run(&m);
	load(fd, &before);
	check(!machine_run(&m) && m.run->exit_reason == KVM_EXIT_HLT, "a guest rings it twice and halts");
	load(fd, &after);
	check(value_of(&after, "io_exits") - value_of(&before, "io_exits") == 2, "io_exits counts OUTs that the kernel answers");
	close(e.fd);
	close(fd);
	machine_free(&m);
}

static const uint8_t spin[] = { 0xeb, 0xfe };

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_signal_exits(void)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct machine m = machine_new(STAGE_VCPU);
	static struct image before, after;
	int fd = stats_fd(m.vcpu);

	machine_code(&m, spin, sizeof(spin));
	load(fd, &before);
	m.run->immediate_exit = 1;
	check_errno(ioctl(m.vcpu, KVM_RUN, 0), EINTR, "KVM_RUN with immediate_exit: EINTR");
	m.run->immediate_exit = 0;
	load(fd, &after);
	check(value_of(&after, "signal_exits") == value_of(&before, "signal_exits"), "signal_exits does not count it");
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	check_errno(ioctl(m.vcpu, KVM_RUN, 0), EINTR, "a signal ends KVM_RUN: EINTR");
	signal(SIGALRM, SIG_DFL);
	load(fd, &after);
	check(value_of(&after, "signal_exits") - value_of(&before, "signal_exits") == 1, "signal_exits counts that");
	close(fd);
	machine_free(&m);
}

#define VECTOR		0x20
#define HANDLER		0x100

static const uint8_t sti_and_hlt[] = { 0xfb, 0x90, 0xf4, 0xeb, 0xfd };		/* sti; nop; 1: hlt; jmp 1b */
static const uint8_t handler[] = { 0xe6, 0x81, 0xcf };				/* out %al, $0x81; iret */

/* From one HLT to the next, with an interrupt in between. */
static bool interrupt(struct machine *m)
{
	struct kvm_interrupt irq = { .irq = VECTOR };

	return !ioctl(m->vcpu, KVM_INTERRUPT, &irq) && !machine_run(m) && m->run->exit_reason == KVM_EXIT_IO &&
	       m->run->io.port == 0x81 && !machine_run(m) && m->run->exit_reason == KVM_EXIT_HLT;
}

/* The first interrupt faults the guest's stack in; upstream counts one twice whose delivery a nested page fault interrupts. */
static void test_irq_injections(void)
{
	struct machine m = machine_without_irqchip();
	static struct image before, after;
	int fd = stats_fd(m.vcpu);

	machine_code(&m, sti_and_hlt, sizeof(sti_and_hlt));
	memcpy(m.ram + HANDLER, handler, sizeof(handler));
	memcpy(m.ram + VECTOR * 4, (uint16_t []){ HANDLER, 0 }, 4);
	check(!machine_run(&m) && interrupt(&m), "a guest waits for an interrupt, and handles it");
	load(fd, &before);
	check(interrupt(&m), "and another one");
	load(fd, &after);
	check(value_of(&after, "irq_injections") - value_of(&before, "irq_injections") == 1, "irq_injections counts that");
	if (find(&after, "irq_injections_by_vector"))
		check(value_at(&after, "irq_injections_by_vector", VECTOR) == 2 &&
		      hist_sum(&after, "irq_injections_by_vector") == 2,
		      "irq_injections_by_vector has both at their vector");
	close(fd);
	machine_free(&m);
}

/* Statistics that upstream does not have. */
static bool exeunt(const struct image *f)
{
	return find(f, "exits_user");
}

/* "exit_NAME" if @hist is "exit_NAME_hist". */
static bool reason_of(const char *hist, char *reason, size_t size)
{
	const char *end = strstr(hist, "_hist");

	if (!end || strncmp(hist, "exit_", 5))
		return false;
	snprintf(reason, size, "%.*s", (int)(end - hist), hist);
	return true;
}

static bool adds_up(const struct image *f, const char *reason, const char *hist)
{
	char cycles[MAX_NAME + 16];

	snprintf(cycles, sizeof(cycles), "%s_cycles", reason);
	return hist_sum(f, hist) == value_of(f, reason) && !value_of(f, reason) == !value_of(f, cycles);
}

static void check_sums(const struct image *f)
{
	uint64_t exits = 0, outcomes = value_of(f, "exits_kernel") + value_of(f, "exits_user") + value_of(f, "exits_fast");
	unsigned int reasons = 0, good = 0;
	char reason[MAX_NAME];

	for (unsigned int i = 0; i < f->header.num_desc; i++) {
		const char *hist = desc_at(f, i)->name;

		if (!reason_of(hist, reason, sizeof(reason)))
			continue;
		reasons++;
		good += adds_up(f, reason, hist);
		exits += value_of(f, reason);
	}
	check(reasons && good == reasons, "each reason has a count, cycles and a histogram that adds up to the count");
	exits += value_of(f, "exit_other");
	check(exits && exits == value_of(f, "exits"), "the reasons add up to the exits");
	check(outcomes == exits, "so do the outcomes");
	check(hist_sum(f, "user_exits_by_reason") == value_of(f, "runs"), "the exit reasons of KVM_RUN add up to its calls");
}

static void test_exeunt_values(void)
{
	static struct image before, after;
	struct machine m = machine_of_outs();
	int fd = stats_fd(m.vcpu);

	load(fd, &before);
	if (!exeunt(&before)) {
		skip("Exeunt's own statistics: not there");
		close(fd);
		machine_free(&m);
		return;
	}
	run_round(&m);
	load(fd, &before);
	run_round(&m);
	load(fd, &after);
	check(value_of(&after, "exit_io") - value_of(&before, "exit_io") == OUTS, "exit_io counts the OUTs");
	check(value_of(&after, "exit_hlt") - value_of(&before, "exit_hlt") == 1, "exit_hlt counts the HLT");
	check(value_of(&after, "runs") - value_of(&before, "runs") == OUTS + 1, "runs counts the calls of KVM_RUN");
	check(value_at(&after, "user_exits_by_reason", KVM_EXIT_IO) == 2 * OUTS, "KVM_EXIT_IO in user_exits_by_reason");
	check(value_at(&after, "user_exits_by_reason", KVM_EXIT_HLT) == 2, "KVM_EXIT_HLT in user_exits_by_reason");
	check(value_of(&after, "exits_user") - value_of(&before, "exits_user") >= OUTS + 1, "exits_user counts both");
	check_sums(&after);
	close(fd);
	machine_free(&m);
}

/* The VM's descriptor knows of a vCPU that comes later, and adds up. */
static void test_vm_values(void)
{
	static struct image f;
	struct machine m = machine_of_outs();
	int fd = stats_fd(m.vm), vcpu;
	uint64_t io;

	load(fd, &f);
	if (exeunt(&f)) {
		check(value_of(&f, "vcpus") == 1 && value_of(&f, "exits") == 0, "a VM whose vCPU has not run");
		run_round(&m);
		machine_run(&m);
		load(fd, &f);
		io = value_of(&f, "exit_io");
		vcpu = ioctl(m.vm, KVM_CREATE_VCPU, 7);
		load(fd, &f);
		check(value_of(&f, "vcpus") == 2, "a vCPU that is added counts in its VM's statistics");
		check(io == OUTS && value_of(&f, "exit_io") == OUTS, "a VM's statistics are its vCPUs' sum");
		check_sums(&f);
		close(vcpu);
	} else {
		skip("a VM's own sums: not there");
	}
	close(fd);
	machine_free(&m);
}

/* ---- lifetime ---- */

static void test_survives(void)
{
	static struct image vm_before, vcpu_before, after;
	struct machine m = machine_of_outs();
	int vm = stats_fd(m.vm), vcpu = stats_fd(m.vcpu);

	run_round(&m);
	load(vm, &vm_before);
	load(vcpu, &vcpu_before);
	machine_free(&m);
	load(vm, &after);
	check(after.size == vm_before.size && !memcmp(&after, &vm_before, vm_before.header.data_offset),
	      "a VM's statistics are read after it is closed");
	load(vcpu, &after);
	check(after.size == vcpu_before.size && !memcmp(&after, &vcpu_before, vcpu_before.header.data_offset), "and a vCPU's");
	check(value_of(&after, "io_exits") >= value_of(&vcpu_before, "io_exits") && value_of(&after, "io_exits") <= OUTS &&
	      value_of(&after, "halt_exits") <= 1, "and say what it did");
	close(vcpu);
	close(vm);
}

static void test_many(void)
{
	struct machine m = machine_new(STAGE_VCPU);
	int fds[200];
	unsigned int i, good = 0;
	uint8_t byte;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = stats_fd(i & 1 ? m.vm : m.vcpu);
	machine_free(&m);
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		good += pread(fds[i], &byte, 1, 0) == 1;
		close(fds[i]);
	}
	check(good == ARRAY_SIZE(fds), "%zu descriptors at once, closed after their VM", ARRAY_SIZE(fds));
}

void test_stats_fd(void)
{
	test_format();
	test_values();
	test_io_exits_in_the_kernel();
	test_signal_exits();
	test_irq_injections();
	test_exeunt_values();
	test_vm_values();
	test_survives();
	test_many();
}
