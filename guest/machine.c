// SPDX-License-Identifier: GPL-2.0
/*
 * The machine: memory, vCPUs and their initial state, the loop around KVM_RUN.
 * See machine.h. The devices a payload sees are service.c's.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define IOAPIC_PINS		24
#define TSS_ADDR		0xfffbd000UL
#define IDENTITY_MAP_ADDR	0xfffbc000UL
#define HUGE_PAGE		0x200000UL
#define CPUID_1_ECX_X2APIC	(1U << 21)
#define CPUID_1_ECX_DEADLINE	(1U << 24)
#define CPUID_80000001_ECX_SVM	(1U << 2)
#define KICK_SIGNAL		SIGUSR1

/* What a call of the kernel's that failed is, in vm->fault. */
static bool fail(struct vm *vm, const char *what)
{
	snprintf(vm->fault, sizeof(vm->fault), "%s: %s", what, strerror(errno));
	return false;
}

void vm_finish(struct vm *vm, const char *fault, ...)
{
	va_list ap;

	if (vm->done)
		return;
	va_start(ap, fault);
	vsnprintf(vm->fault, sizeof(vm->fault), fault, ap);
	va_end(ap);
	vm->done = true;
	pthread_cond_signal(&vm->finished);
	pthread_cond_broadcast(&vm->rest);
}

void vcpu_kick(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

static void kick_handler(int sig)
{
	(void)sig;
}

static bool is_elf64(const struct vm_options *o, const Elf64_Ehdr *eh)
{
	return o->payload_bytes >= sizeof(*eh) && !memcmp(eh->e_ident, ELFMAG, SELFMAG) &&
	       eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_phentsize == sizeof(Elf64_Phdr) &&
	       eh->e_phoff <= o->payload_bytes &&
	       eh->e_phnum <= (o->payload_bytes - eh->e_phoff) / sizeof(Elf64_Phdr);
}

/* Copy the PT_LOAD segments of a 64-bit ELF file to the addresses they ask for. */
static bool load_payload(struct vm *vm, const struct vm_options *o)
{
	const uint8_t *image = o->payload;
	const Elf64_Ehdr *eh = o->payload;
	Elf64_Phdr ph;
	int i;

	errno = ENOEXEC;
	if (!is_elf64(o, eh))
		return fail(vm, "the payload");
	for (i = 0; i < eh->e_phnum; i++) {
		memcpy(&ph, image + eh->e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type != PT_LOAD || !ph.p_filesz)
			continue;
		if (ph.p_offset > o->payload_bytes || ph.p_filesz > o->payload_bytes - ph.p_offset)
			return fail(vm, "the payload");
		if (ph.p_paddr >= vm->ram_bytes || ph.p_filesz > vm->ram_bytes - ph.p_paddr) {
			errno = EFBIG;
			return fail(vm, "the payload");
		}
		memcpy(vm->ram + ph.p_paddr, image + ph.p_offset, ph.p_filesz);
	}
	if (((struct mon_header *)(vm->ram + MON_LOAD_ADDR))->magic != MON_MAGIC)
		return fail(vm, "the payload");
	return true;
}

/* Memory that begins where a huge page can, or MAP_FAILED. */
static void *map_aligned(size_t bytes, int flags, int fd)
{
	uint8_t *at = mmap(NULL, bytes + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	uint8_t *begin = (uint8_t *)(((uintptr_t)at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));

	if (at == MAP_FAILED)
		return at;
	munmap(at, begin - at);
	munmap(begin + bytes, HUGE_PAGE - (begin - at));
	return mmap(begin, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

/*
 * Main memory is shared and from a memfd, so that MADV_DONTNEED unmaps pages
 * without losing what they hold. The aux memory is private. Both have small pages
 * in their lower half, and huge ones in the upper half if the host has them.
 */
static bool create_memory(struct vm *vm, unsigned int mem_mb)
{
	struct kvm_userspace_memory_region region = { 0 };
	int fd = memfd_create("guest", MFD_CLOEXEC);

	vm->ram_bytes = (size_t)mem_mb << 20;
	if (fd < 0 || ftruncate(fd, vm->ram_bytes))
		return fail(vm, "memfd");
	vm->ram = map_aligned(vm->ram_bytes, MAP_SHARED, fd);
	vm->aux = map_aligned(MON_AUX_SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	close(fd);
	if (vm->ram == MAP_FAILED || vm->aux == MAP_FAILED)
		return fail(vm, "mmap of guest memory");
	madvise(vm->ram, vm->ram_bytes / 2, MADV_NOHUGEPAGE);
	madvise(vm->ram + vm->ram_bytes / 2, vm->ram_bytes / 2, MADV_HUGEPAGE);
	madvise(vm->aux, MON_AUX_SIZE / 2, MADV_NOHUGEPAGE);
	madvise(vm->aux + MON_AUX_SIZE / 2, MON_AUX_SIZE / 2, MADV_HUGEPAGE);

	region.memory_size = vm->ram_bytes;
	region.userspace_addr = (uintptr_t)vm->ram;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return fail(vm, "KVM_SET_USER_MEMORY_REGION");
	return true;
}

static bool open_vm(struct vm *vm, const char *device)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
	uint64_t identity = IDENTITY_MAP_ADDR;
	int size;

	vm->kvm = open(device, O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return fail(vm, device);
	if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return fail(vm, "KVM_GET_API_VERSION");
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return fail(vm, "KVM_CREATE_VM");
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return fail(vm, "KVM_GET_VCPU_MMAP_SIZE");
	vm->run_bytes = size;
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity))
		return fail(vm, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR))
		return fail(vm, "KVM_SET_TSS_ADDR");
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		return fail(vm, "KVM_ENABLE_CAP(KVM_CAP_SPLIT_IRQCHIP)");
	return true;
}

/* What the hypervisor supports but for SVM, the APIC's two options, and a leaf of our own. */
static bool prepare_cpuid(struct vm *vm)
{
	bool deadline = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid_entry2 *e;
	unsigned int i;

	vm->cpuid = calloc(1, sizeof(*vm->cpuid) + MAX_CPUID_ENTRIES * sizeof(*e));
	if (!vm->cpuid)
		return fail(vm, "calloc");
	vm->cpuid->nent = MAX_CPUID_ENTRIES - 2;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, vm->cpuid))
		return fail(vm, "KVM_GET_SUPPORTED_CPUID");
	for (i = 0; i < vm->cpuid->nent; i++) {
		e = &vm->cpuid->entries[i];
		if (e->function == 1)
			e->ecx |= CPUID_1_ECX_X2APIC | (deadline ? CPUID_1_ECX_DEADLINE : 0);
		else if (e->function == 0x80000001)
			e->ecx &= ~CPUID_80000001_ECX_SVM;
	}
	for (i = 0; i < 2; i++) {
		e = &vm->cpuid->entries[vm->cpuid->nent++];
		*e = (struct kvm_cpuid_entry2){
			.function = MON_CPUID_LEAF, .index = i,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = MON_CPUID_EAX(i), .ebx = MON_CPUID_EBX(i),
			.ecx = MON_CPUID_ECX(i), .edx = MON_CPUID_EDX(i),
		};
	}
	return true;
}

void cpuid_personalize(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = vcpu->vm->cpuid;
	struct kvm_cpuid_entry2 *e;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		e = &cpuid->entries[i];
		switch (e->function) {
		case 1:
			e->ebx = (e->ebx & 0xffff) | vcpu->id << 24 | vcpu->vm->vcpus << 16;
			break;
		case 0xb:
		case 0x1f:
			e->edx = vcpu->id;
			break;
		case 0x8000001e:
			e->eax = vcpu->id;
			break;
		}
	}
}

static struct kvm_segment flat_segment(uint16_t selector, bool code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = selector, .type = code ? 11 : 3,
		.present = 1, .s = 1, .g = 1, .l = code, .db = !code,
	};
}

/* 64-bit mode with the payload's page tables and GDT; no IDT yet. */
static void long_mode_sregs(struct vm *vm, struct kvm_sregs *sregs)
{
	struct mon_header *header = (struct mon_header *)(vm->ram + MON_LOAD_ADDR);

	sregs->cs = flat_segment(0x08, true);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat_segment(0x10, false);
	sregs->tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	sregs->ldt = (struct kvm_segment){ .type = 2, .unusable = 1 };
	sregs->gdt = (struct kvm_dtable){ .base = header->gdt, .limit = header->gdt_limit };
	sregs->idt = (struct kvm_dtable){ 0 };
	sregs->cr0 = 0x80010033;	/* PG WP NE ET MP PE */
	sregs->cr2 = 0;
	sregs->cr3 = header->pml4;
	sregs->cr4 = 0x20;		/* PAE */
	sregs->cr8 = 0;
	sregs->efer = 0x500;		/* LMA LME */
	memset(sregs->interrupt_bitmap, 0, sizeof(sregs->interrupt_bitmap));
}

static bool create_vcpu(struct vm *vm, struct vcpu *vcpu)
{
	struct mon_header *header = (struct mon_header *)(vm->ram + MON_LOAD_ADDR);
	struct kvm_regs regs = { .rip = header->entry, .rflags = 2 };
	struct kvm_sregs sregs;

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)vcpu->id);
	if (vcpu->fd < 0)
		return fail(vm, "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		return fail(vm, "mmap of the vCPU");
	cpuid_personalize(vcpu);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, vm->cpuid))
		return fail(vm, "KVM_SET_CPUID2");
	if (vcpu->id)
		return true;	/* waits for INIT and SIPI in its reset state */
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return fail(vm, "KVM_GET_SREGS");
	long_mode_sregs(vm, &sregs);
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return fail(vm, "KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return fail(vm, "KVM_SET_REGS");
	vm->tsc_khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	return true;
}

/* Go on at rip in the state of the start, with two values in rdi and rsi. */
static bool restart(struct vcpu *vcpu, uint64_t rip, uint32_t rdi, uint32_t rsi)
{
	struct kvm_regs regs = { .rip = rip, .rdi = rdi, .rsi = rsi, .rflags = 2 };
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};
	struct kvm_debugregs debugregs = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_sregs now;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &now))
		return false;
	long_mode_sregs(vcpu->vm, &now);
	return !ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp) &&
	       !ioctl(vcpu->fd, KVM_SET_SREGS, &now) &&
	       !ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debugregs) &&
	       !ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) &&
	       !ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

/* After an exit that no guest survives: go on where MON_CATCH said, if it did. */
static bool catch_fatal(struct vcpu *vcpu, uint32_t reason, uint32_t suberror)
{
	uint64_t rip = vcpu->catch_rip;

	vcpu->catch_rip = 0;
	return rip && restart(vcpu, rip, reason, suberror);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint32_t suberror = 0;

	if (run->exit_reason < MON_EXIT_REASONS)
		vcpu->counts.exits[run->exit_reason]++;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		service_io(vcpu);
		return;
	case KVM_EXIT_MMIO:
		service_mmio(vcpu);
		return;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return;
	case KVM_EXIT_INTERNAL_ERROR:
		suberror = run->internal.suberror;
		break;
	}
	if (!catch_fatal(vcpu, run->exit_reason, suberror))
		vm_finish(vcpu->vm, "vCPU %u: exit reason %u, suberror %u", vcpu->id,
			  run->exit_reason, suberror);
}

/* A signal took the vCPU out of KVM_RUN: the end, a kick the payload asked for, or none. */
static void handle_signal(struct vcpu *vcpu)
{
	vcpu->counts.eintr++;
	if (vcpu->vm->done)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (vcpu->kicked)
		catch_fatal(vcpu, MON_KICKED, 0);
	vcpu->kicked = false;
}

/*
 * What a monitor may do at any exit, in the midst of an instruction that takes
 * several, and must not change anything: read the vCPU's state.
 */
static void disturb(struct vcpu *vcpu)
{
	static const uint32_t indices[] = { 0x10, 0x1b, 0x277, 0xc0000080, 0xc0000082 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[5];
	} msrs = { .head.nmsrs = 5 };
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_fpu fpu;
		struct kvm_lapic_state lapic;
		struct kvm_vcpu_events events;
		struct kvm_xsave xsave;
	} state;
	unsigned int i;

	for (i = 0; i < 5; i++)
		msrs.head.entries[i].index = indices[i];
	ioctl(vcpu->fd, KVM_GET_REGS, &state);
	ioctl(vcpu->fd, KVM_GET_SREGS, &state);
	ioctl(vcpu->fd, KVM_GET_FPU, &state);
	ioctl(vcpu->fd, KVM_GET_LAPIC, &state);
	ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &state);
	ioctl(vcpu->fd, KVM_GET_XSAVE, &state);
	ioctl(vcpu->fd, KVM_GET_MSRS, &msrs);
}

/* Where and how a vCPU's thread is to run; with the VM's lock held. */
static void place(struct vcpu *vcpu)
{
	static const struct sched_param none;
	cpu_set_t set;

	if (vcpu->cpu != VCPU_ANYWHERE) {
		CPU_ZERO(&set);
		CPU_SET(vcpu->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			vm_finish(vcpu->vm, "CPU %d: %s", vcpu->cpu, strerror(errno));
	}
	if (vcpu->vm->batch && sched_setscheduler(0, SCHED_BATCH, &none))
		vm_finish(vcpu->vm, "SCHED_BATCH: %s", strerror(errno));
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	int err;

	pthread_mutex_lock(&vm->lock);
	place(vcpu);
	while (!vm->done) {
		service_extint(vcpu);
		pthread_mutex_unlock(&vm->lock);
		err = ioctl(vcpu->fd, KVM_RUN, 0) ? errno : 0;
		pthread_mutex_lock(&vm->lock);
		vcpu->counts.runs++;
		if (vm->disturb)
			disturb(vcpu);
		if (err == EINTR)
			handle_signal(vcpu);
		else if (!err)
			handle_exit(vcpu);
		else if (err != EAGAIN)
			vm_finish(vm, "vCPU %u: KVM_RUN: %s", vcpu->id, strerror(err));
	}
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}

/* Start a thread for each vCPU; returns how many run. */
static unsigned int start_vcpus(struct vm *vm)
{
	unsigned int i;
	int err;

	for (i = 0; i < vm->vcpus; i++) {
		err = pthread_create(&vm->vcpu[i].thread, NULL, vcpu_thread, &vm->vcpu[i]);
		if (err) {
			vm_finish(vm, "pthread_create: %s", strerror(err));
			break;
		}
	}
	return i;
}

bool vm_run(struct vm *vm, unsigned int timeout)
{
	struct sigaction sa = { .sa_handler = kick_handler };
	struct timespec until;
	bool in_time = true;
	unsigned int i, started;

	sigaction(KICK_SIGNAL, &sa, NULL);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout;
	pthread_mutex_lock(&vm->lock);
	started = start_vcpus(vm);
	while (!vm->done && in_time)
		in_time = pthread_cond_timedwait(&vm->finished, &vm->lock, &until) != ETIMEDOUT;
	if (!vm->done)
		vm_finish(vm, "timed out after %u s", timeout);
	pthread_mutex_unlock(&vm->lock);
	for (i = 0; i < started; i++)
		vcpu_kick(&vm->vcpu[i]);
	for (i = 0; i < started; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
	console_flush(vm);
	return in_time;
}

bool vm_create(struct vm *vm, const struct vm_options *o)
{
	unsigned int i;

	*vm = (struct vm){ .kvm = -1, .fd = -1, .eventfd = -1, .vcpus = o->vcpus,
			   .ram = MAP_FAILED, .aux = MAP_FAILED };
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->finished, NULL);
	pthread_cond_init(&vm->rest, NULL);
	snprintf(vm->args, sizeof(vm->args), "%s", o->args);
	for (i = 0; i < vm->vcpus; i++)
		vm->vcpu[i] = (struct vcpu){ .vm = vm, .id = i, .fd = -1, .run = MAP_FAILED,
					     .extint = MON_VECTOR_NONE, .cpu = VCPU_ANYWHERE };
	if (!open_vm(vm, o->device) || !create_memory(vm, o->mem_mb) || !load_payload(vm, o) ||
	    !prepare_cpuid(vm))
		return false;
	for (i = 0; i < vm->vcpus; i++)
		if (!create_vcpu(vm, &vm->vcpu[i]))
			return false;
	return true;
}

static void unmap(void *at, size_t bytes)
{
	if (at != MAP_FAILED)
		munmap(at, bytes);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vm_destroy(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->vcpus; i++) {
		unmap(vm->vcpu[i].run, vm->run_bytes);
		close_fd(vm->vcpu[i].fd);
	}
	service_end(vm);
	close_fd(vm->fd);
	close_fd(vm->kvm);
	unmap(vm->ram, vm->ram_bytes);
	unmap(vm->aux, MON_AUX_SIZE);
	free(vm->cpuid);
}
