/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names for numbers: exit reasons by ISA (as perf kvm stat prints them), MSRs, hypercalls, KVM_EXIT_*, interrupt delivery modes.
 */
#ifndef EXEUNT_TOOL_NAMES_H
#define EXEUNT_TOOL_NAMES_H

#include <stdint.h>
#include <stddef.h>

/* The name of exit @reason of @isa (enum isa), or NULL: unknown reason or unknown ISA. */
const char *exit_reason_name(uint32_t isa, unsigned int reason);
/* The same, never NULL: the number in hexadecimal ("0x7b") where there is no name. Returns @buf or a constant. */
const char *exit_name(uint32_t isa, unsigned int reason, char *buf, size_t size);
/* The name of a key's kind and detail: "rd 0x80b x2APIC_EOI", "out 0x3f8", "wr 0xfee00xxx", "KVM_HC_SEND_IPI", "others". */
const char *detail_name(uint32_t isa, uint64_t key, char *buf, size_t size);
/* NULL where there is none. */
const char *msr_name(uint32_t msr);
const char *hypercall_name(uint32_t nr);
const char *user_exit_name(unsigned int reason);	/* "KVM_EXIT_IO" ...; EXEUNT_USER_* have names too */
const char *delivery_mode_name(unsigned int mode);	/* of an IPI: "fixed", "NMI" ...; never NULL */
/* An exception of x86: "#PF"; the number where there is no name. Returns @buf or a constant. */
const char *exception_name(unsigned int vector, char *buf, size_t size);
const char *isa_name(uint32_t isa);			/* "vmx", "svm", "arm64", NULL */

#endif
