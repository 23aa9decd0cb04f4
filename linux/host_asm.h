/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the engine's assembly needs of the kernel: sections, symbols, and the mitigations that the kernel patches in by CPU.
 */
#ifndef EXEUNT_HOST_ASM_H
#define EXEUNT_HOST_ASM_H

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

#define HOST_TEXT_NOINSTR	.section .noinstr.text, "ax"
#define HOST_FUNC_START(name)	SYM_FUNC_START(name)
#define HOST_FUNC_END(name)	SYM_FUNC_END(name)
#define HOST_RET		RET
#define HOST_CLEAR_CPU_BUFFERS	VM_CLEAR_CPU_BUFFERS

.macro HOST_FILL_RETURN_STACK reg:req
	FILL_RETURN_BUFFER \reg, RSB_CLEAR_LOOPS, X86_FEATURE_RETPOLINE
.endm

/* Clobbers RAX, RCX, RDX. */
.macro HOST_UNTRAIN_RET
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
.endm

/* Jumps to @skip unless the CPU has SPEC_CTRL and does not switch it by itself. */
.macro HOST_IF_SPEC_CTRL skip:req
	ALTERNATIVE_2 "jmp \skip", "", X86_FEATURE_MSR_SPEC_CTRL, "jmp \skip", X86_FEATURE_V_SPEC_CTRL
.endm

#endif
