// SPDX-License-Identifier: GPL-2.0
/*
 * See sections.h.
 */
#include "print.h"
#include "sections.h"

#define KEY	0x300

static const struct argp_option section_options[] = {
	{ "msr", KEY + SECTION_MSR, NULL, 0, "MSR accesses, by MSR and direction", 0 },
	{ "pio", KEY + SECTION_PIO, NULL, 0, "Port I/O, by port and direction", 0 },
	{ "mmio", KEY + SECTION_MMIO, NULL, 0, "MMIO, by page and direction", 0 },
	{ "hypercall", KEY + SECTION_HYPERCALL, NULL, 0, "Hypercalls, by number", 0 },
	{ "ipi", KEY + SECTION_IPI, NULL, 0, "IPIs, by delivery and destination mode; what their targets were at", 0 },
	{ "irq", KEY + SECTION_IRQ, NULL, 0, "Interrupts and exceptions given to the guest, by vector", 0 },
	{ "fpu", KEY + SECTION_FPU, NULL, 0, "How often vector state was in use, loaded and saved", 0 },
	{ "user", KEY + SECTION_USER, NULL, 0, "Exits to user space, by reason; preemptions and halts per KVM_RUN", 0 },
	{ 0 }
};

static error_t parse_section(int key, char *arg, struct argp_state *state)
{
	unsigned int *sections = state->input;

	if (key < KEY || key >= KEY + SECTIONS)
		return ARGP_ERR_UNKNOWN;
	*sections |= 1u << (key - KEY);
	return 0;
}

const struct argp section_argp = { section_options, parse_section, NULL, NULL, NULL, NULL, NULL };
