/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The vocabulary of exits: what a handler tells the run loop to do next.
 */
#ifndef EXEUNT_EXIT_H
#define EXEUNT_EXIT_H

/*
 * Every exit handler returns one of these, or a negative errno that ends KVM_RUN with that error. A handler never
 * leaves the guest half-advanced: the instruction is completed with RIP moved, or has raised its exception, or waits
 * in vcpu->emul for its completion on the next KVM_RUN.
 */
enum outcome {
	EXIT_TO_USER = 0,	/* kvm_run is filled in; return to the VMM */
	RESUME = 1,		/* enter the guest again */
};

#endif
