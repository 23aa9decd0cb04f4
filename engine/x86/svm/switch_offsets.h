/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Offsets into struct vcpu that switch.S uses; svm.c asserts that they are right.
 */
#ifndef EXEUNT_SVM_SWITCH_OFFSETS_H
#define EXEUNT_SVM_SWITCH_OFFSETS_H

#define V_REGS			0
#define V_SPEC_CTRL		128
#define V_SPEC_CTRL_PASSED	136
#define V_INNER			140
#define V_VMCB_PA		144

#endif
