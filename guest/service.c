// SPDX-License-Identifier: GPL-2.0
/*
 * What the monitor is to a payload: the console, the test ports, the logged
 * MMIO window and the calls of monitor.h. All of it runs with the VM's lock held.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

/* A thread that does one thing a while later, in the name of a vCPU. */
struct later {
	struct vcpu *vcpu;
	unsigned int us;
	void *addr;		/* discard this, or kick if NULL */
	size_t len;
	unsigned int kick;	/* vcpu->kicks when it was asked for */
};

/* Guest memory at [addr, addr + len), or NULL if it is not all main memory. */
static void *guest_ptr(struct vm *vm, uint64_t addr, uint64_t len)
{
	if (addr >= vm->ram_bytes || len > vm->ram_bytes - addr)
		return NULL;
	return vm->ram + addr;
}

static bool aux_range(uint64_t offset, uint64_t len)
{
	return offset <= MON_AUX_SIZE && len <= MON_AUX_SIZE - offset;
}

void console_flush(struct vm *vm)
{
	if (!vm->line_len)
		return;
	vm->line[vm->line_len] = '\0';
	vm->line_len = 0;
	if (vm->console)
		fprintf(vm->console, "%s\n", vm->line);
	if (!strncmp(vm->line, "PASS", 4))
		vm->passed++;
	else if (!strncmp(vm->line, "FAIL", 4))
		vm->failed++;
	else if (!strncmp(vm->line, "SKIP", 4))
		vm->skipped++;
}

static void console_put(struct vm *vm, char c)
{
	if (c != '\n')
		vm->line[vm->line_len++] = c;
	if (c == '\n' || vm->line_len == LINE_BYTES - 1)
		console_flush(vm);
}

static void *later_thread(void *arg)
{
	struct later *later = arg;
	struct timespec ts = { later->us / 1000000, later->us % 1000000 * 1000L };

	nanosleep(&ts, NULL);
	if (later->addr) {
		madvise(later->addr, later->len, MADV_DONTNEED);
	} else {
		pthread_mutex_lock(&later->vcpu->vm->lock);
		if (later->kick == later->vcpu->kicks) {
			later->vcpu->kicked = true;
			vcpu_kick(later->vcpu);
		}
		pthread_mutex_unlock(&later->vcpu->vm->lock);
	}
	free(later);
	return NULL;
}

static int64_t start_later(struct vcpu *vcpu, unsigned int us, void *addr, size_t len)
{
	struct later *later = malloc(sizeof(*later));
	pthread_t thread;

	if (!later)
		return -ENOMEM;
	*later = (struct later){ .vcpu = vcpu, .us = us, .addr = addr, .len = len,
				  .kick = vcpu->kicks };
	if (pthread_create(&thread, NULL, later_thread, later)) {
		free(later);
		return -EAGAIN;
	}
	pthread_detach(thread);
	return 0;
}

void service_extint(struct vcpu *vcpu)
{
	struct kvm_interrupt irq = { .irq = vcpu->extint };

	vcpu->run->request_interrupt_window = 0;
	if (vcpu->extint == MON_VECTOR_NONE)
		return;
	if (!vcpu->run->ready_for_interrupt_injection) {
		vcpu->run->request_interrupt_window = 1;
		return;
	}
	vcpu->extint = MON_VECTOR_NONE;
	if (ioctl(vcpu->fd, KVM_INTERRUPT, &irq))
		vm_finish(vcpu->vm, "KVM_INTERRUPT: %s", strerror(errno));
}

static int64_t call_cpuid(struct vcpu *vcpu, uint64_t addr, uint64_t max)
{
	struct vm *vm = vcpu->vm;
	struct mon_cpuid *to = max <= MAX_CPUID_ENTRIES ?
			       guest_ptr(vm, addr, max * sizeof(*to)) : NULL;
	const struct kvm_cpuid_entry2 *e = vm->cpuid->entries;
	unsigned int i;

	if (!to)
		return -EFAULT;
	cpuid_personalize(vcpu);
	for (i = 0; i < vm->cpuid->nent && i < max; i++, e++)
		to[i] = (struct mon_cpuid){ e->function, e->index, e->flags,
					    e->eax, e->ebx, e->ecx, e->edx };
	return vm->cpuid->nent;
}

static void host_cpuid(uint32_t leaf, uint32_t regs[4])
{
	asm("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
	    : "a"(leaf), "c"(0));
}

void vm_info(const struct vm *vm, struct mon_info *info)
{
	char brand[49] = "";
	uint32_t regs[4];
	unsigned int i;

	for (i = 0; i < 3; i++)
		host_cpuid(0x80000002 + i, (uint32_t *)brand + 4 * i);
	host_cpuid(0x8000000a, regs);
	*info = (struct mon_info){
		.vcpus = vm->vcpus, .tsc_khz = vm->tsc_khz, .ram_bytes = vm->ram_bytes,
		.emulated = !!strstr(brand, "QEMU TCG"), .nrips = regs[3] >> 3 & 1,
	};
}

static int64_t call_info(struct vm *vm, struct mon_info *info)
{
	if (!info)
		return -EFAULT;
	vm_info(vm, info);
	return 0;
}

static int64_t call_slot(struct vm *vm, const struct mon_call *call)
{
	struct kvm_userspace_memory_region region = {
		.slot = call->arg[0], .flags = call->arg[1], .guest_phys_addr = call->arg[2],
		.memory_size = call->arg[3], .userspace_addr = (uintptr_t)vm->aux + call->arg[4],
	};

	if (!region.slot || !aux_range(call->arg[4], call->arg[3]))
		return -EINVAL;
	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int64_t call_dirty(struct vm *vm, const struct mon_call *call)
{
	struct kvm_dirty_log log = { .slot = call->arg[0] };

	/* A bit for each page of the aux memory is what the largest slot can need. */
	if (call->arg[2] < MON_AUX_SIZE / 4096 / 8)
		return -EINVAL;
	log.dirty_bitmap = guest_ptr(vm, call->arg[1], call->arg[2]);
	if (!log.dirty_bitmap)
		return -EFAULT;
	return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
}

static int64_t call_resident(struct vm *vm, uint64_t offset, uint64_t len)
{
	static unsigned char map[MON_AUX_SIZE / 4096];
	int64_t pages = 0;
	uint64_t i;

	if (!aux_range(offset, len) || offset % 4096 || mincore(vm->aux + offset, len, map))
		return -EINVAL;
	for (i = 0; i < len / 4096; i++)
		pages += map[i] & 1;
	return pages;
}

static int64_t call_discard(struct vcpu *vcpu, const struct mon_call *call)
{
	void *addr = guest_ptr(vcpu->vm, call->arg[0], call->arg[1]);

	if (!addr)
		return -EFAULT;
	if (call->op == MON_DISCARD_LATER)
		return start_later(vcpu, call->arg[2], addr, call->arg[1]);
	return madvise(addr, call->arg[1], MADV_DONTNEED) ? -errno : 0;
}

static int64_t call_msi(struct vm *vm, uint64_t addr, uint64_t data)
{
	struct kvm_msi msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data };
	int ret = ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);

	return ret < 0 ? -errno : ret;
}

/* Copy out a log of n records of size bytes to a buffer of max records. */
static int64_t call_log(struct vm *vm, const struct mon_call *call, const void *log, unsigned int n,
			size_t size)
{
	uint64_t max = call->arg[1];
	void *to = max <= STREAM_BYTES ? guest_ptr(vm, call->arg[0], max * size) : NULL;

	if (!to)
		return -EFAULT;
	memcpy(to, log, (n < max ? n : max) * size);
	return n;
}

static int64_t call_kick(struct vcpu *vcpu, uint64_t us)
{
	vcpu->kicks++;
	vcpu->kicked = false;
	return us ? start_later(vcpu, us, NULL, 0) : 0;
}

static int64_t call_counts(struct vcpu *vcpu, uint64_t addr)
{
	void *to = guest_ptr(vcpu->vm, addr, sizeof(vcpu->counts));

	if (!to)
		return -EFAULT;
	memcpy(to, &vcpu->counts, sizeof(vcpu->counts));
	return 0;
}

static int64_t call_args(struct vm *vm, uint64_t addr, uint64_t size)
{
	char *to = size ? guest_ptr(vm, addr, size) : NULL;

	if (!to)
		return -EFAULT;
	snprintf(to, size, "%s", vm->args);
	return strlen(vm->args);
}

static int64_t call_aux(struct vm *vm, const struct mon_call *call)
{
	uint64_t value;

	if (!aux_range(call->arg[0], sizeof(value)))
		return -EINVAL;
	if (call->op == MON_AUX_WRITE) {
		memcpy(vm->aux + call->arg[0], &call->arg[1], sizeof(value));
		return 0;
	}
	memcpy(&value, vm->aux + call->arg[0], sizeof(value));
	return value;
}

static int64_t call_aux_discard(struct vm *vm, uint64_t offset, uint64_t len)
{
	if (!aux_range(offset, len))
		return -EINVAL;
	return madvise(vm->aux + offset, len, MADV_DONTNEED) ? -errno : 0;
}

/* Bytes in huge pages of the mappings that are in [begin, end), from /proc/self/smaps. */
static int64_t huge_bytes(uintptr_t begin, uintptr_t end)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long from, to, kb;
	int64_t bytes = 0;
	bool within = false;
	char line[LINE_BYTES];

	if (!smaps)
		return -errno;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			within = from < end && to > begin;
		else if (within && (sscanf(line, "AnonHugePages: %lu", &kb) == 1 ||
				    sscanf(line, "ShmemPmdMapped: %lu", &kb) == 1))
			bytes += kb << 10;
	}
	fclose(smaps);
	return bytes;
}

static int64_t call_huge(struct vm *vm, const struct mon_call *call)
{
	uint64_t len = call->arg[1];
	uint8_t *at = guest_ptr(vm, call->arg[0], len);

	if (call->arg[2])
		at = aux_range(call->arg[0], len) ? vm->aux + call->arg[0] : NULL;
	return at ? huge_bytes((uintptr_t)at, (uintptr_t)at + len) : -EFAULT;
}

static int64_t set_ioeventfd(struct vm *vm, const struct mon_call *call, unsigned int flags)
{
	struct kvm_ioeventfd io = {
		.addr = call->arg[0], .len = call->arg[1], .fd = vm->eventfd,
		.flags = flags | (call->arg[2] ? KVM_IOEVENTFD_FLAG_PIO : 0),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}

static int64_t call_eventfd(struct vm *vm, const struct mon_call *call)
{
	if (vm->eventfd >= 0)
		return -EBUSY;
	vm->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return vm->eventfd < 0 ? -errno : set_ioeventfd(vm, call, 0);
}

static int64_t call_eventfd_end(struct vm *vm, const struct mon_call *call)
{
	int64_t ret = set_ioeventfd(vm, call, KVM_IOEVENTFD_FLAG_DEASSIGN);
	uint64_t count = 0;

	if (ret)
		return ret;
	if (read(vm->eventfd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	close(vm->eventfd);
	vm->eventfd = -1;
	return count;
}

static int64_t call_rest(struct vm *vm)
{
	unsigned int wakes = vm->wakes;

	vm->resting++;
	pthread_cond_broadcast(&vm->rest);
	while (wakes == vm->wakes && !vm->done)
		pthread_cond_wait(&vm->rest, &vm->lock);
	return 0;
}

static int64_t call_resting(struct vm *vm, uint64_t vcpus)
{
	while (vm->resting < vcpus && !vm->done)
		pthread_cond_wait(&vm->rest, &vm->lock);
	return 0;
}

static int64_t call_wake(struct vm *vm)
{
	vm->resting = 0;
	vm->wakes++;
	pthread_cond_broadcast(&vm->rest);
	return 0;
}

static int64_t call_samples(struct vm *vm, const struct mon_call *call)
{
	size_t bytes = call->arg[1] * sizeof(*vm->samples.values);
	const void *values = call->arg[1] <= MON_MAX_SAMPLES ? guest_ptr(vm, call->arg[0], bytes) : NULL;
	const char *words = call->arg[4] ? guest_ptr(vm, call->arg[4], LINE_BYTES) : "";

	if (!values || !words || vm->samples.values)
		return -EINVAL;
	vm->samples.values = malloc(bytes + 1);
	if (!vm->samples.values)
		return -ENOMEM;
	memcpy(vm->samples.values, values, bytes);
	vm->samples.nr = call->arg[1];
	vm->samples.empty = call->arg[2];
	vm->samples.outcome = call->arg[3];
	snprintf(vm->samples.words, sizeof(vm->samples.words), "%.*s", LINE_BYTES - 1, words);
	return 0;
}

void service_end(struct vm *vm)
{
	if (vm->eventfd >= 0)
		close(vm->eventfd);
	free(vm->samples.values);
}

static int64_t do_call(struct vcpu *vcpu, const struct mon_call *call)
{
	struct vm *vm = vcpu->vm;
	const uint64_t *a = call->arg;
	int64_t ret;

	switch (call->op) {
	case MON_COUNTS:	return call_counts(vcpu, a[0]);
	case MON_ARGS:		return call_args(vm, a[0], a[1]);
	case MON_CPUID:		return call_cpuid(vcpu, a[0], a[1]);
	case MON_INFO:
		return call_info(vm, guest_ptr(vm, a[0], sizeof(struct mon_info)));
	case MON_CATCH:
		vcpu->catch_rip = a[0];
		return 0;
	case MON_KICK:		return call_kick(vcpu, a[0]);
	case MON_NMI:		return ioctl(vcpu->fd, KVM_NMI, 0) ? -errno : 0;
	case MON_MSI:		return call_msi(vm, a[0], a[1]);
	case MON_EXTINT:
		vcpu->extint = a[0] & 0xff;
		return 0;
	case MON_DISCARD:
	case MON_DISCARD_LATER:	return call_discard(vcpu, call);
	case MON_RESIDENT:	return call_resident(vm, a[0], a[1]);
	case MON_SLOT:		return call_slot(vm, call);
	case MON_AUX_READ:
	case MON_AUX_WRITE:	return call_aux(vm, call);
	case MON_DIRTY:		return call_dirty(vm, call);
	case MON_MMIO_LOG:
		ret = call_log(vm, call, vm->mmio_log, vm->mmio_logged, sizeof(vm->mmio_log[0]));
		vm->mmio_logged = 0;
		return ret;
	case MON_STREAM_LOG:
		ret = call_log(vm, call, vm->stream, vm->stream_len, 1);
		vm->stream_len = vm->stream_pos = 0;
		return ret;
	case MON_AUX_DISCARD:	return call_aux_discard(vm, a[0], a[1]);
	case MON_HUGE:		return call_huge(vm, call);
	case MON_EVENTFD:	return call_eventfd(vm, call);
	case MON_EVENTFD_END:	return call_eventfd_end(vm, call);
	case MON_REST:		return call_rest(vm);
	case MON_RESTING:	return call_resting(vm, a[0]);
	case MON_WAKE:		return call_wake(vm);
	case MON_SAMPLES:	return call_samples(vm, call);
	}
	return -ENOSYS;
}

static void port_out(struct vcpu *vcpu, uint16_t port, uint32_t value, unsigned int size)
{
	struct vm *vm = vcpu->vm;
	struct mon_call *call;

	switch (port) {
	case MON_PORT_CONSOLE:
		console_put(vm, value);
		break;
	case MON_PORT_EXIT:
		vm->status = value;
		vm_finish(vm, "%s", "");
		break;
	case MON_PORT_CALL:
		call = size == 4 ? guest_ptr(vm, value, sizeof(*call)) : NULL;
		if (call)
			call->ret = do_call(vcpu, call);
		else
			vm_finish(vm, "bad call block at %#x", value);
		break;
	case MON_PORT_ECHO:
		vm->echo = value;
		break;
	case MON_PORT_STREAM:
		if (vm->stream_len < STREAM_BYTES)
			vm->stream[vm->stream_len++] = value;
		break;
	}
}

static uint32_t port_in(struct vm *vm, uint16_t port)
{
	switch (port) {
	case MON_PORT_ECHO:
		return vm->echo;
	case MON_PORT_STREAM:
		return vm->stream_pos++ & 0xff;
	}
	return 0xffffffff;
}

/* A string instruction may bring several elements in one exit. */
void service_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned int size = run->io.size;
	uint32_t value, i;

	for (i = 0; i < run->io.count; i++, data += size) {
		value = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			port_out(vcpu, run->io.port, value, size);
		} else {
			value = port_in(vcpu->vm, run->io.port);
			memcpy(data, &value, size);
		}
	}
}

/* Outside the window reads are all ones and writes are lost; both are logged. */
void service_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vm *vm = vcpu->vm;
	uint64_t offset = run->mmio.phys_addr - MON_MMIO_BASE;
	uint32_t len = run->mmio.len;
	struct mon_mmio *log;
	uint8_t *at;

	if (len > sizeof(run->mmio.data)) {
		vm_finish(vm, "MMIO of %u bytes", len);
		return;
	}
	at = offset < MON_MMIO_SIZE && len <= MON_MMIO_SIZE - offset ? vm->mmio + offset : NULL;
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	if (at && run->mmio.is_write)
		memcpy(at, run->mmio.data, len);
	else if (at)
		memcpy(run->mmio.data, at, len);
	if (vm->mmio_logged == MMIO_LOG_ENTRIES)
		return;
	log = &vm->mmio_log[vm->mmio_logged++];
	*log = (struct mon_mmio){ .addr = run->mmio.phys_addr, .len = len,
				  .write = run->mmio.is_write };
	memcpy(&log->data, run->mmio.data, len);
}
