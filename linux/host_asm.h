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

/*
 * The kernel's FILL_RETURN_BUFFER without its loop, as the kernel has it for 32 bits: as many calls, each with its trap, and no conditional
 * branch that could be mispredicted. The fence is kept all the same.
 */
.macro HOST_FILL_RETURN_STACK
	ALTERNATIVE "jmp .Lfilled_\@", "", X86_FEATURE_RETPOLINE
	.rept RSB_CLEAR_LOOPS
	__FILL_RETURN_SLOT
	.endr
	add $RSB_CLEAR_LOOPS * 8, %rsp
	lfence
.Lfilled_\@:
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
