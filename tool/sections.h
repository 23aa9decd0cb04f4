/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options that choose what of a sample is printed, --msr, --pio and so on, as a child of a command's argp, beside options.h's.
 */
#ifndef EXEUNT_TOOL_SECTIONS_H
#define EXEUNT_TOOL_SECTIONS_H

#include <argp.h>

/* Its input is an unsigned int, zeroed: bits of enum section, for print_sample(); 0 if none was asked for. Keys are 0x300 to 0x3ff. */
extern const struct argp section_argp;

#endif
