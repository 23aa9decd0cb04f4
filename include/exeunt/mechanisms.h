/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Exeunt's mechanisms on the exit path, each with a switch of its own, so that what it brings can be measured. The module parameter
 * named here is the default for all VMs; a VMM decides for its VM with KVM_ENABLE_CAP. Both may change while vCPUs run: a vCPU follows
 * at the latest after EXEUNT_FAST_ROUNDS exits. The guest cannot tell the difference but by time.
 */
#ifndef EXEUNT_MECHANISMS_H
#define EXEUNT_MECHANISMS_H

/*
 * KVM_ENABLE_CAP on a VM: args[0] the mechanisms that this VM decides for itself from now on, args[1] which of those are on; the others
 * follow the module's parameters. EINVAL for unknown bits. KVM_CHECK_EXTENSION: all the mechanisms that there are.
 */
#define EXEUNT_CAP_MECHANISMS	0x45580001

enum exeunt_mechanism {
	EXEUNT_FAST_PATH = 1 << 0,	/* fast_path: frequent exits are dealt with before host interrupts are enabled */
	EXEUNT_FAST_IPI = 1 << 1,	/* fast_ipi: of those, what sends an interrupt to one vCPU, or to a few */
	EXEUNT_FAST_TIMER = 1 << 2,	/* fast_timer: and writes of the TSC deadline */
	EXEUNT_LAZY_TIMER = 1 << 3,	/* lazy_timer: the host's timer stays as it is when the guest's moves later */
	EXEUNT_INNER_LOOP = 1 << 4,	/* inner_loop: and the simplest of them without leaving the guest's segment bases */
	EXEUNT_TIMER_ADVANCE = 1 << 5,	/* timer_advance: the host's timer fires earlier by what it takes from there into the guest */
	EXEUNT_AVIC = 1 << 6,		/* avic: the CPU delivers interrupts and IPIs to running vCPUs by itself, where it can (AVIC, x2AVIC) */
	EXEUNT_MECHANISMS = (1 << 7) - 1
};

/* So many exits in a row at most are dealt with before host interrupts are enabled for a moment. */
#define EXEUNT_FAST_ROUNDS	256
/* So many vCPUs at most are sent an interrupt at once before host interrupts are enabled. */
#define EXEUNT_FAST_IPI_TARGETS	16

#endif
