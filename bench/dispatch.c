// SPDX-License-Identifier: GPL-2.0
/*
 * Times the dispatch of exits in user space: the engine's exits.c, compiled once for each way to reach a handler, against a vCPU that nothing
 * runs. The handlers are the real ones; what they call in other files are stand-ins that do next to nothing, so that what differs is the
 * dispatch. bench/dispatch builds and runs this.
 *
 * Arguments: CPU RUNS DISPATCHES, then mixes: NAME=CODE/INFO:WEIGHT,... (exit code, EXITINFO1). Prints a line for each run of a mix on a
 * way: "MIX WAY PICOSECONDS", the mean of one dispatch in that run. Ways alternate, so that what disturbs one disturbs all.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>
#include "run.h"
#include "x86/insn.h"
#include "x86/svm/svm.h"

#define SEQUENCE	65536u		/* exits drawn from a mix; a power of 2, too long for a branch predictor to learn */
#define MAX_KINDS	64

/* exits.c, compiled with -Dvendor_handle_exit=dispatch_... */
int dispatch_switch(struct vcpu *v);
int dispatch_retpoline(struct vcpu *v);
int dispatch_pointer(struct vcpu *v);

struct exit {
	u32 code, info;
};

static struct vcpu vcpu;
static struct vm vm;
static struct vmcb vmcb;
static struct kvm_run run_page;
static struct vcpu_stats stats;
static struct exit sequence[SEQUENCE];

/* --- What handlers call outside of exits.c. --- */

struct svm_features svm = { .nrip = true };

void cpuid_execute(struct vcpu *v) { v->regs[R_BX] = v->regs[R_AX]; }
int msr_read(struct vcpu *v, u32 index, u64 *value, bool host) { *value = index; return 0; }
int msr_write(struct vcpu *v, u32 index, u64 value, bool host) { v->regs[R_BX] = value; return 0; }
int npt_fault(struct vcpu *v, u64 gpa, u32 error) { return RESUME; }
int emulate_mmio(struct vcpu *v) { return RESUME; }
int emulate_pio(struct vcpu *v, u16 port, u8 size, bool in, u64 next_rip) { return EXIT_TO_USER; }
int emulate_pio_string(struct vcpu *v, u16 port, u8 size, bool in) { return EXIT_TO_USER; }
int emulate_fetch_decode(struct vcpu *v, struct insn *insn) { return -EFAULT; }
int emulate_length(struct vcpu *v, enum insn_name name) { return 0; }
void pv_hypercall(struct vcpu *v) { v->regs[R_AX] = -KVM_ENOSYS; }
void vcpu_advance_to(struct vcpu *v, u64 next_rip) { VMCB(v)->s.rip = next_rip; }
void event_exception(struct vcpu *v, u8 vector) { }
void event_exception_error(struct vcpu *v, u8 vector, u32 error) { }
u8 lapic_get_cr8(struct vcpu *v) { return 0; }
void lapic_set_cr8(struct vcpu *v, u8 cr8) { }
bool cr0_valid(u64 cr0) { return true; }
bool cr4_valid(struct vcpu *v, u64 cr4) { return true; }
bool vcpu_xcr0_valid(struct vcpu *v, u64 xcr0) { return true; }
void vcpu_reset(struct vcpu *v, bool init) { }
void vendor_end_nmi_step(struct vcpu *v) { }
void vendor_flush_tlb(struct vcpu *v) { }
void vendor_set_cr0(struct vcpu *v, u64 cr0) { }
void vendor_set_cr4(struct vcpu *v, u64 cr4) { }
void vendor_set_efer(struct vcpu *v, u64 efer) { }
bool host_accounting(void) { return true; }
u32 host_cpu(void) { return 0; }
void host_yield(void) { }

/* --- Measuring. --- */

static noinline int dispatch_nothing(struct vcpu *v)
{
	barrier();
	return RESUME;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* One loop for each way, so that the call in it is direct. */
#define WAY(way)                                                       \
	static u64 time_##way(u64 count)                               \
	{                                                              \
		u64 begin = now_ns();                                  \
                                                                       \
		for (u64 i = 0; i < count; i++) {                      \
			struct exit e = sequence[i % SEQUENCE];        \
                                                                       \
			vcpu.hw.exit_code = e.code;                    \
			vmcb.c.exit_info_1 = e.info;                   \
			dispatch_##way(&vcpu);                         \
		}                                                      \
		return now_ns() - begin;                               \
	}

WAY(nothing)
WAY(switch)
WAY(retpoline)
WAY(pointer)

static const struct {
	const char *name;
	u64 (*time)(u64 count);
} ways[] = {
	{ "nothing", time_nothing }, { "switch", time_switch }, { "retpoline", time_retpoline }, { "pointer", time_pointer },
};

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "dispatch: %s: %s\n", what, detail);
	exit(2);
}

static u64 random_number(void)
{
	static u64 x = 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 11;
}

/* Fills the sequence from "CODE/INFO:WEIGHT,...": each exit drawn by itself. */
static void draw(char *mix)
{
	struct exit kinds[MAX_KINDS];
	u64 upto[MAX_KINDS], total = 0;
	unsigned int nr = 0;
	char *end = NULL;

	for (char *at = mix; ; at = end + 1) {
		if (nr == MAX_KINDS)
			die("too many kinds of exits", mix);
		kinds[nr].code = strtoul(at, &end, 0);
		if (*end != '/')
			die("no CODE/INFO", at);
		kinds[nr].info = strtoul(end + 1, &end, 0);
		if (*end != ':')
			die("no weight", at);
		total += strtoull(end + 1, &end, 0);
		upto[nr++] = total;
		if (!*end)
			break;
		if (*end != ',')
			die("not a mix", at);
	}
	if (!total)
		die("no exits", mix);
	for (unsigned int i = 0; i < SEQUENCE; i++) {
		u64 r = random_number() % total;
		unsigned int kind = 0;

		while (r >= upto[kind])
			kind++;
		sequence[i] = kinds[kind];
	}
}

static void make_vcpu(void)
{
	vcpu.hw.vmcb = &vmcb;
	vcpu.stats = &stats;
	vcpu.vm = &vm;
	vcpu.run = &run_page;
	vcpu.apic.present = true;
	vmcb.c.next_rip = 0x1000;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("no such processor", strerror(errno));
}

int main(int argc, char **argv)
{
	u64 runs, count;

	if (argc < 5)
		die("usage", "dispatch CPU RUNS DISPATCHES NAME=CODE/INFO:WEIGHT[,...]...");
	pin(atoi(argv[1]));
	runs = strtoull(argv[2], NULL, 0);
	count = strtoull(argv[3], NULL, 0);
	if (!runs || !count)
		die("not a number", "RUNS or DISPATCHES");
	make_vcpu();
	for (int i = 4; i < argc; i++) {
		char *mix = strchr(argv[i], '=');

		if (!mix)
			die("no NAME=", argv[i]);
		*mix++ = 0;
		draw(mix);
		for (u64 run = 0; run <= runs; run++)
			for (unsigned int way = 0; way < ARRAY_SIZE(ways); way++) {
				u64 ns = ways[way].time(count);

				/* The first one warms up. */
				if (run)
					printf("%s %s %llu\n", argv[i], ways[way].name, (unsigned long long)(ns * 1000 / count));
			}
	}
	return 0;
}
