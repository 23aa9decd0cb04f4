// SPDX-License-Identifier: GPL-2.0
/*
 * A halted vCPU: whether the kernel polls for it (KVM_CAP_HALT_POLL, MSR_KVM_POLL_CONTROL), and what its statistics tell of being woken.
 * The guest halts, and an NMI that another thread sends wakes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS		10
#define PAUSE_US	5000		/* until the NMI */
#define HANDLER		0x100
#define APIC_SVR	0xf0
#define MSR_POLL_CONTROL	0x4b564d05

static const uint8_t halt_again[] = { 0xf4, 0xeb, 0xfd };	/* 1: hlt; jmp 1b */
static const uint8_t handler[] = { 0xe6, 0x80, 0xcf };	/* out %al, $0x80; iret */

static struct machine machine_of_halts(void)
{
	const uint16_t nmi_vector[] = { HANDLER, 0 };
	struct machine m = machine_new(STAGE_VCPU);
	struct kvm_lapic_state apic;

	/* Upstream finds an APIC that was never touched by no message. */
	ioctl(m.vcpu, KVM_GET_LAPIC, &apic);
	memcpy(apic.regs + APIC_SVR, &(uint32_t){ 0x1ff }, 4);
	ioctl(m.vcpu, KVM_SET_LAPIC, &apic);
	machine_code(&m, halt_again, sizeof(halt_again));
	memcpy(m.ram + 2 * 4, nmi_vector, sizeof(nmi_vector));
	memcpy(m.ram + HANDLER, handler, sizeof(handler));
	return m;
}

static void *send_nmi(void *vm)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x400 };

	usleep(PAUSE_US);
	ioctl(*(int *)vm, KVM_SIGNAL_MSI, &msi);
	return NULL;
}

/* HLT, woken after a while; ROUNDS times. */
static bool run_halts(struct machine *m)
{
	unsigned int good = 0;
	pthread_t thread;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pthread_create(&thread, NULL, send_nmi, &m->vm);
		good += !machine_run(m) && m->run->exit_reason == KVM_EXIT_IO && m->run->io.port == 0x80;
		pthread_join(thread, NULL);
	}
	return good == ROUNDS;
}

static int set_limit(struct machine *m, uint64_t ns)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL, .args = { ns } };

	return ioctl(m->vm, KVM_ENABLE_CAP, &cap);
}

static int poll_control(struct machine *m, int request, uint64_t *value)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry entry; } msrs = {
		.head.nmsrs = 1, .entry = { .index = MSR_POLL_CONTROL, .data = *value },
	};
	int ret = ioctl(m->vcpu, request, &msrs);

	*value = msrs.entry.data;
	return ret;
}

static void test_capability(void)
{
	struct kvm_enable_cap flags = { .cap = KVM_CAP_HALT_POLL, .flags = 1 };
	struct machine m = machine_new(STAGE_VCPU);

	check(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_HALT_POLL) == 1, "KVM_CAP_HALT_POLL is there");
	check_errno(set_limit(&m, 0), 0, "KVM_CAP_HALT_POLL takes 0");
	check_errno(set_limit(&m, ~0U), 0, "and 2^32 - 1, also when there are vCPUs");
	check_errno(set_limit(&m, 1ULL << 32), EINVAL, "but not 2^32");
	check_errno(set_limit(&m, ~0ULL), EINVAL, "nor 2^64 - 1");
	check_errno(ioctl(m.vm, KVM_ENABLE_CAP, &flags), EINVAL, "nor flags");
	machine_free(&m);
}

static void test_limit(void)
{
	struct machine m = machine_of_halts();
	uint64_t polls;

	set_limit(&m, 0);
	check(run_halts(&m), "a guest that halts is woken each time");
	check(vcpu_statistic(m.vcpu, "halt_attempted_poll") == 0, "a limit of 0 ns: no polls");
	set_limit(&m, 1000000000);
	check(run_halts(&m), "and woken with a limit of 1 s");
	polls = vcpu_statistic(m.vcpu, "halt_attempted_poll");
	check(polls > 0, "then polls are made (%lu)", polls);
	set_limit(&m, 0);
	run_halts(&m);
	check(vcpu_statistic(m.vcpu, "halt_attempted_poll") == polls, "and none any more when the limit is 0 again");
	machine_free(&m);
}

static void test_poll_control(void)
{
	struct machine m = machine_of_halts();
	uint64_t value = 99, polls;

	check(poll_control(&m, KVM_GET_MSRS, &value) == 1 && value == 1, "MSR_KVM_POLL_CONTROL is 1 in a new vCPU");
	value = 2;
	check(poll_control(&m, KVM_SET_MSRS, &value) == 0, "it refuses 2");
	value = 0;
	check(poll_control(&m, KVM_SET_MSRS, &value) == 1, "and takes 0");
	value = 99;
	check(poll_control(&m, KVM_GET_MSRS, &value) == 1 && !value, "and keeps it");
	set_limit(&m, 1000000000);
	check(run_halts(&m), "a guest that halts");
	check(vcpu_statistic(m.vcpu, "halt_attempted_poll") == 0, "is not polled for while that is 0");
	value = 1;
	poll_control(&m, KVM_SET_MSRS, &value);
	run_halts(&m);
	polls = vcpu_statistic(m.vcpu, "halt_attempted_poll");
	check(polls > 0, "and is when it is 1 (%lu)", polls);
	machine_free(&m);
}

static void test_wakes(void)
{
	struct machine m = machine_of_halts();
	uint64_t wakes, ns, wait, lost;

	set_limit(&m, 0);
	run_halts(&m);
	wakes = vcpu_statistic(m.vcpu, "halt_wakeup");
	check(wakes > 0 && wakes <= ROUNDS, "halt_wakeup counts those that slept (%lu of %u)", wakes, ROUNDS);
	wait = vcpu_statistic(m.vcpu, "halt_wait_hist");
	check(wait >= wakes, "halt_wait_hist has all of them (%lu)", wait);
	ns = vcpu_statistic(m.vcpu, "halt_wake_ns");
	if (ns == ~0ULL) {
		skip("wake-up latency: Exeunt's only");
	} else {
		check(ns > 0 && ns < vcpu_statistic(m.vcpu, "halt_wait_ns"), "the latency is less than the sleep (%lu ns)", ns);
		check(vcpu_statistic(m.vcpu, "halt_wake_hist") == wakes, "halt_wake_hist has all wake-ups");
	}
	set_limit(&m, 1000000000);
	run_halts(&m);
	lost = vcpu_statistic(m.vcpu, "halt_attempted_poll") - vcpu_statistic(m.vcpu, "halt_successful_poll");
	check(vcpu_statistic(m.vcpu, "halt_poll_fail_hist") == lost, "halt_poll_fail_hist has all lost polls (%lu)", lost);
	check(vcpu_statistic(m.vcpu, "halt_poll_success_hist") == vcpu_statistic(m.vcpu, "halt_successful_poll"),
	      "halt_poll_success_hist has all won polls");
	machine_free(&m);
}

void test_halt(void)
{
	if (!has_cap(KVM_CAP_HALT_POLL)) {
		skip("KVM_CAP_HALT_POLL");
		return;
	}
	test_capability();
	test_limit();
	test_poll_control();
	test_wakes();
}
