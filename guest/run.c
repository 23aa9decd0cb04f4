// SPDX-License-Identifier: GPL-2.0
/*
 * guest/run: runs one payload on a minimal KVM monitor (machine.h).
 *
 * This file owns the command line and the verdict.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

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

static void die(const char *what)
{
	fprintf(stderr, "run: %s: %s\n", what, strerror(errno));
	exit(STATUS_SETUP);
}

/* PAYLOAD is a path if it has a slash, else build/NAME.elf beside this program. */
static void find_payload(const char *name, char *path, size_t size)
{
	char exe[4096];
	ssize_t len;

	if (strchr(name, '/')) {
		snprintf(path, size, "%s", name);
		return;
	}
	len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (len < 0)
		die("/proc/self/exe");
	exe[len] = '\0';
	snprintf(path, size, "%s/build/%s.elf", dirname(exe), name);
}

static void map_payload(struct vm_options *machine, const char *name)
{
	char path[8192];
	struct stat st;
	FILE *file;

	find_payload(name, path, sizeof(path));
	file = fopen(path, "rb");
	if (!file || fstat(fileno(file), &st))
		die(path);
	machine->payload_bytes = st.st_size;
	machine->payload = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
	if (machine->payload == MAP_FAILED)
		die(path);
	fclose(file);
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
	static struct vm vm;
	char args[LINE_BYTES] = "";
	struct vm_options machine = { .args = args };
	struct options opt;
	bool in_time;
	int arg;

	parse_options(argc, argv, &opt);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (arg = optind + 1; arg < argc; arg++)
		snprintf(args + strlen(args), sizeof(args) - strlen(args), "%s%s",
			 arg > optind + 1 ? " " : "", argv[arg]);
	machine.device = opt.device;
	machine.vcpus = opt.vcpus;
	machine.mem_mb = opt.mem_mb;
	map_payload(&machine, opt.payload);
	if (!vm_create(&vm, &machine)) {
		fprintf(stderr, "run: %s\n", vm.fault);
		return STATUS_SETUP;
	}
	vm.console = stdout;
	vm.disturb = opt.disturb;

	in_time = vm_run(&vm, opt.timeout);
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
