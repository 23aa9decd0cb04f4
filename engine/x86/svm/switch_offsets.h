/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Offsets into struct vcpu, and other numbers, that switch.S uses; svm.c asserts that they are right.
 */
#ifndef EXEUNT_SVM_SWITCH_OFFSETS_H
#define EXEUNT_SVM_SWITCH_OFFSETS_H

#define V_REGS			0
#define V_SPEC_CTRL		128
#define V_SPEC_CTRL_PASSED	136
#define V_INNER			140
#define V_VMCB_PA		144
#define V_VMCB			160
#define VMCB_EXIT_CODE		0x70

/* CPUID, MSR, VMMCALL: see switch.S. */
#define SVM_INNER_FIRST		0x72
#define SVM_INNER_EXITS		0x8401

#endif
