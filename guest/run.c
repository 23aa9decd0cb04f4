// SPDX-License-Identifier: GPL-2.0
/*
 * guest/run: a minimal KVM monitor that runs one payload.
 *
 * This file owns the machine: memory, vCPUs and their initial state, the loop
 * around KVM_RUN, and the verdict. The devices a payload sees are service.c's.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

#define IOAPIC_PINS		24
#define TSS_ADDR		0xfffbd000UL
#define IDENTITY_MAP_ADDR	0xfffbc000UL
#define HUGE_PAGE		0x200000UL
#define CPUID_1_ECX_X2APIC	(1U << 21)
#define CPUID_1_ECX_DEADLINE	(1U << 24)
#define CPUID_80000001_ECX_SVM	(1U << 2)
#define KICK_SIGNAL		SIGUSR1

enum { STATUS_PASS, STATUS_FAIL, STATUS_SETUP, STATUS_TIMEOUT };

struct options {
	const char *device;
	const char *payload;
	unsigned int vcpus;
	unsigned int mem_mb;
	unsigned int timeout;
	bool quiet;
	bool disturb;
};

static const char usage[] =
	"Usage: run [OPTION]... PAYLOAD [ARGUMENT]...\n"
	"Run a bare-metal payload (an ELF file, or a name in build/) on the KVM API.\n"
	"\n"
	"  -d, --device PATH    the hypervisor's device (default /dev/kvm)\n"
	"  -c, --vcpus N        number of vCPUs, 1 to 8 (default 1)\n"
	"  -m, --mem MB         main memory, 16 to 1024 (default 64)\n"
	"  -t, --timeout SEC    give up after this long (default 120)\n"
	"  -x, --disturb        between exits, ask for all of the vCPU's state\n"
	"  -q, --quiet          print the payload's output only, no counts\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 all checks passed, 1 some failed or the guest died,\n"
	"2 the machine could not be set up, 3 timed out.\n";

static void die(const char *what)
{
	fprintf(stderr, "run: %s: %s\n", what, strerror(errno));
	exit(STATUS_SETUP);
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

static void parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longopts[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "vcpus", required_argument, NULL, 'c' },
		{ "mem", required_argument, NULL, 'm' },
		{ "timeout", required_argument, NULL, 't' },
		{ "disturb", no_argument, NULL, 'x' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .device = "/dev/kvm", .vcpus = 1, .mem_mb = 64, .timeout = 120 };
	while ((c = getopt_long(argc, argv, "+d:c:m:t:xqh", longopts, NULL)) != -1) {
		switch (c) {
		case 'd': opt->device = optarg; break;
		case 'c': opt->vcpus = strtoul(optarg, NULL, 0); break;
		case 'm': opt->mem_mb = strtoul(optarg, NULL, 0); break;
		case 't': opt->timeout = strtoul(optarg, NULL, 0); break;
		case 'x': opt->disturb = true; break;
		case 'q': opt->quiet = true; break;
		case 'h': fputs(usage, stdout); exit(STATUS_PASS);
		default: fputs(usage, stderr); exit(STATUS_SETUP);
		}
	}
	if (optind == argc || !opt->vcpus || opt->vcpus > MON_MAX_VCPUS ||
	    opt->mem_mb < 16 || opt->mem_mb > 1024) {
		fputs(usage, stderr);
		exit(STATUS_SETUP);
	}
	opt->payload = argv[optind];
}

/* PAYLOAD is a path if it has a slash, else build/NAME.elf beside this program. */
static FILE *open_payload(const char *name)
{
	char exe[4096], path[8192];
	ssize_t len;
	FILE *file;

	if (strchr(name, '/')) {
		snprintf(path, sizeof(path), "%s", name);
	} else {
		len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
		if (len < 0)
			die("/proc/self/exe");
		exe[len] = '\0';
		snprintf(path, sizeof(path), "%s/build/%s.elf", dirname(exe), name);
	}
	file = fopen(path, "rb");
	if (!file)
		die(path);
	return file;
}

/* Copy the PT_LOAD segments of a 64-bit ELF file to the addresses they ask for. */
static void load_payload(struct vm *vm, const char *name)
{
	FILE *file = open_payload(name);
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int i;

	if (fread(&eh, sizeof(eh), 1, file) != 1 || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(ph)) {
		errno = ENOEXEC;
		die(name);
	}
	for (i = 0; i < eh.e_phnum; i++) {
		if (fseek(file, eh.e_phoff + i * sizeof(ph), SEEK_SET) ||
		    fread(&ph, sizeof(ph), 1, file) != 1)
			die(name);
		if (ph.p_type != PT_LOAD || !ph.p_filesz)
			continue;
		if (ph.p_paddr >= vm->ram_bytes || ph.p_filesz > vm->ram_bytes - ph.p_paddr) {
			errno = EFBIG;
			die(name);
		}
		if (fseek(file, ph.p_offset, SEEK_SET) ||
		    fread(vm->ram + ph.p_paddr, ph.p_filesz, 1, file) != 1)
			die(name);
	}
	fclose(file);
	if (((struct mon_header *)(vm->ram + MON_LOAD_ADDR))->magic != MON_MAGIC) {
		errno = ENOEXEC;
		die(name);
	}
}

/*
 * Main memory is shared and from a memfd, so that MADV_DONTNEED unmaps pages
 * without losing what they hold. The aux memory is private: small pages in its
 * lower half, huge ones in the upper half if the host has them.
 */
static void create_memory(struct vm *vm, unsigned int mem_mb)
{
	struct kvm_userspace_memory_region region = { 0 };
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *aux;

	vm->ram_bytes = (size_t)mem_mb << 20;
	if (fd < 0 || ftruncate(fd, vm->ram_bytes))
		die("memfd");
	vm->ram = mmap(NULL, vm->ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	aux = mmap(NULL, MON_AUX_SIZE + HUGE_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vm->ram == MAP_FAILED || aux == MAP_FAILED)
		die("mmap of guest memory");
	close(fd);
	vm->aux = (uint8_t *)(((uintptr_t)aux + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	madvise(vm->aux, MON_AUX_SIZE / 2, MADV_NOHUGEPAGE);
	madvise(vm->aux + MON_AUX_SIZE / 2, MON_AUX_SIZE / 2, MADV_HUGEPAGE);

	region.memory_size = vm->ram_bytes;
	region.userspace_addr = (uintptr_t)vm->ram;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION");
}

static void create_vm(struct vm *vm, const char *device)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
	uint64_t identity = IDENTITY_MAP_ADDR;
	int size;

	vm->kvm = open(device, O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die(device);
	if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		die("KVM_GET_API_VERSION");
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die("KVM_CREATE_VM");
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		die("KVM_GET_VCPU_MMAP_SIZE");
	vm->run_bytes = size;
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity))
		die("KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR))
		die("KVM_SET_TSS_ADDR");
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		die("KVM_ENABLE_CAP(KVM_CAP_SPLIT_IRQCHIP)");
}

/* What the hypervisor supports but for SVM, the APIC's two options, and a leaf of our own. */
static void prepare_cpuid(struct vm *vm)
{
	bool deadline = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid_entry2 *e;
	unsigned int i;

	vm->cpuid = calloc(1, sizeof(*vm->cpuid) + MAX_CPUID_ENTRIES * sizeof(*e));
	if (!vm->cpuid)
		die("calloc");
	vm->cpuid->nent = MAX_CPUID_ENTRIES - 2;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, vm->cpuid))
		die("KVM_GET_SUPPORTED_CPUID");
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

static void create_vcpu(struct vm *vm, unsigned int id)
{
	struct mon_header *header = (struct mon_header *)(vm->ram + MON_LOAD_ADDR);
	struct kvm_regs regs = { .rip = header->entry, .rflags = 2 };
	struct vcpu *vcpu = &vm->vcpu[id];
	struct kvm_sregs sregs;

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->extint = MON_VECTOR_NONE;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0)
		die("KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die("mmap of the vCPU");
	cpuid_personalize(vcpu);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, vm->cpuid))
		die("KVM_SET_CPUID2");
	if (id)
		return;		/* waits for INIT and SIPI in its reset state */
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS");
	long_mode_sregs(vm, &sregs);
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		die("KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS");
	vm->tsc_khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
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

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	int err;

	pthread_mutex_lock(&vm->lock);
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

/* Run until the payload ends or time is up. Returns false in the latter case. */
static bool run_vm(struct vm *vm, unsigned int timeout)
{
	struct sigaction sa = { .sa_handler = kick_handler };
	struct timespec until;
	bool in_time = true;
	unsigned int i;

	sigaction(KICK_SIGNAL, &sa, NULL);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout;
	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->vcpus; i++)
		if (pthread_create(&vm->vcpu[i].thread, NULL, vcpu_thread, &vm->vcpu[i]))
			die("pthread_create");
	while (!vm->done && in_time)
		in_time = pthread_cond_timedwait(&vm->finished, &vm->lock, &until) != ETIMEDOUT;
	if (!vm->done)
		vm_finish(vm, "timed out after %u s", timeout);
	pthread_mutex_unlock(&vm->lock);
	for (i = 0; i < vm->vcpus; i++)
		vcpu_kick(&vm->vcpu[i]);
	for (i = 0; i < vm->vcpus; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
	console_flush(vm);
	return in_time;
}

static uint32_t lapic_reg(const struct kvm_lapic_state *lapic, unsigned int reg)
{
	uint32_t value;

	memcpy(&value, lapic->regs + reg, sizeof(value));
	return value;
}

static void print_interrupts(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	unsigned int i;

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) || ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) ||
	    ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events))
		return;
	fprintf(stderr,
		"run: vCPU %u: mp_state %u shadow %u interrupt %u/%u exception %u/%u nmi %u/%u/%u "
		"lvt %x count %x/%x tpr %x", vcpu->id, mp.mp_state, events.interrupt.shadow,
		events.interrupt.injected, events.interrupt.nr, events.exception.injected,
		events.exception.nr, events.nmi.pending, events.nmi.injected, events.nmi.masked,
		lapic_reg(&lapic, 0x320), lapic_reg(&lapic, 0x380), lapic_reg(&lapic, 0x390),
		lapic_reg(&lapic, 0x80));
	for (i = 0; i < 8; i++)
		if (lapic_reg(&lapic, 0x100 + 16 * i) | lapic_reg(&lapic, 0x200 + 16 * i))
			fprintf(stderr,
				" isr%u %x irr%u %x", i, lapic_reg(&lapic, 0x100 + 16 * i), i,
				lapic_reg(&lapic, 0x200 + 16 * i));
	fputc('\n', stderr);
}

/* For a run that did not end well: where every vCPU is, and what it waits for. */
static void print_where(struct vm *vm)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	unsigned int i;

	for (i = 0; i < vm->vcpus; i++) {
		if (ioctl(vm->vcpu[i].fd, KVM_GET_REGS, &regs) ||
		    ioctl(vm->vcpu[i].fd, KVM_GET_SREGS, &sregs))
			continue;
		fprintf(stderr,
			"run: vCPU %u: cs %x rip %llx rsp %llx rflags %llx rax %llx cr0 %llx "
			"cr2 %llx cr3 %llx cr4 %llx efer %llx\n", i, sregs.cs.selector, regs.rip,
			regs.rsp, regs.rflags, regs.rax, sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4,
			sregs.efer);
		print_interrupts(&vm->vcpu[i]);
	}
}

static void print_counts(struct vm *vm)
{
	static const struct { uint32_t reason; const char *name; } names[] = {
		{ KVM_EXIT_IO, "io" }, { KVM_EXIT_MMIO, "mmio" }, { KVM_EXIT_HLT, "hlt" },
		{ KVM_EXIT_IRQ_WINDOW_OPEN, "irq-window" }, { KVM_EXIT_SHUTDOWN, "shutdown" },
		{ KVM_EXIT_INTERNAL_ERROR, "internal-error" },
		{ KVM_EXIT_FAIL_ENTRY, "fail-entry" }, { KVM_EXIT_DEBUG, "debug" },
	};
	unsigned int i, n;

	for (i = 0; i < vm->vcpus; i++) {
		struct mon_counts *c = &vm->vcpu[i].counts;

		printf("counts: vcpu %u: runs %lu eintr %lu", i, c->runs, c->eintr);
		for (n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			if (c->exits[names[n].reason])
				printf(" %s %lu", names[n].name, c->exits[names[n].reason]);
		putchar('\n');
	}
	printf("%u passed, %u failed, %u skipped\n", vm->passed, vm->failed, vm->skipped);
}

int main(int argc, char **argv)
{
	static struct vm vm = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER,
	};
	struct options opt;
	bool in_time;
	unsigned int i;
	int arg;

	parse_options(argc, argv, &opt);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (arg = optind + 1; arg < argc; arg++)
		snprintf(vm.args + strlen(vm.args), sizeof(vm.args) - strlen(vm.args), "%s%s",
			 arg > optind + 1 ? " " : "", argv[arg]);
	vm.vcpus = opt.vcpus;
	vm.disturb = opt.disturb;
	create_vm(&vm, opt.device);
	create_memory(&vm, opt.mem_mb);
	load_payload(&vm, opt.payload);
	prepare_cpuid(&vm);
	for (i = 0; i < vm.vcpus; i++)
		create_vcpu(&vm, i);

	in_time = run_vm(&vm, opt.timeout);
	if (vm.fault[0]) {
		printf("FAIL %s: %s\n", opt.payload, vm.fault);
		vm.failed++;
		print_where(&vm);
	} else if (vm.status) {
		printf("FAIL %s: ended with status %lu\n", opt.payload, vm.status);
		vm.failed++;
	}
	if (!opt.quiet)
		print_counts(&vm);
	if (!in_time)
		return STATUS_TIMEOUT;
	return vm.failed ? STATUS_FAIL : STATUS_PASS;
}
