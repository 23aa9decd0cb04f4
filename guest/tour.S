/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A tour from 64-bit mode through compatibility mode, protected mode, PAE and
 * 32-bit paging and real mode, and back; at each stop the same instructions
 * that exit are executed and what they did is stored (struct tour_stop).
 */
#include "cpu.h"
#include "monitor.h"
#include "tour.h"

#define SEL_LOW_CODE16	0x20		/* base TOUR_LOW */
#define SEL_LOW_DATA16	0x28
#define SEL_LIMITED	0x30		/* base TOUR_LIMITED, one page */
#define TOUR_LIMITED	0x30000

	.section .low, "awx"

/*
 * The instructions of one stop. base: what DS and ES have for a base. The string
 * that faults is left to the mode.
 */
	.macro	visit stop, base
	.set	at, tour_stops + \stop * STOP_SIZE - \base
	movl	$MON_CPUID_LEAF, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%eax, at + STOP_CPUID
	movl	$TOUR_ECHO + \stop, %eax
	movw	$MON_PORT_ECHO, %dx
	outl	%eax, %dx
	xorl	%eax, %eax
	inl	%dx, %eax
	movl	%eax, at + STOP_IN
	movl	$0x7fff, %eax
	vmmcall
	movl	%eax, at + STOP_VMMCALL
	cld
	movw	$MON_PORT_STREAM, %dx
	movl	$tour_text - \base, %esi
	movl	$TOUR_STRING, %ecx
	rep outsb
	subl	$tour_text - \base, %esi
	movl	%esi, at + STOP_OUTS_ESI
	movl	%ecx, at + STOP_OUTS_ECX
	movl	$at + STOP_DATA, %edi
	movl	$TOUR_STRING, %ecx
	rep insb
	subl	$at + STOP_DATA, %edi
	movl	%edi, at + STOP_INS_EDI
	.endm

/* The end of the string that faulted; the handlers have stored vector, error and CR2. */
	.macro	visit_fault stop, base
	.set	at, tour_stops + \stop * STOP_SIZE - \base
	movl	%esi, at + STOP_FAULT_ESI
	movl	%ecx, at + STOP_FAULT_ECX
	movl	fault_vector - \base, %eax
	movl	%eax, at + STOP_VECTOR
	movl	fault_error - \base, %eax
	movl	%eax, at + STOP_ERROR
	movl	%cr2, %eax
	movl	%eax, at + STOP_CR2
	movl	$-1, fault_vector - \base
	movl	$-1, fault_error - \base
	.endm

	.macro	outs_into_hole
	movl	$1f, fault_resume
	movl	$TOUR_HOLE - 8, %esi
	movl	$TOUR_FAULTING, %ecx
	rep outsb
1:
	.endm

	.macro	paging on
	movl	%cr0, %eax
	.if	\on
	orl	$0x80000000, %eax
	.else
	andl	$0x7fffffff, %eax
	.endif
	movl	%eax, %cr0
	.endm

	.code64
	.globl	tour
tour:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, saved_rsp
	sgdt	saved_gdt
	sidt	saved_idt
	movl	$0xc0000101, %ecx
	rdmsr
	movl	%eax, saved_gs
	lgdt	tour_gdt_pointer
	movl	$tour_stack_end, %esp
	pushq	$SEL_CODE32
	pushq	$compat
	lretq

	.code32
compat:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	visit	TOUR_COMPAT, 0
	/* The 64-bit exception handler, with a place to resume as TRY() gives it. */
	movl	$1f, %gs:0
	movl	$TOUR_HOLE - 8, %esi
	movl	$TOUR_FAULTING, %ecx
	rep outsb
1:
	movl	%gs:28, %eax
	movl	%eax, fault_vector
	movl	%gs:32, %eax
	movl	%eax, fault_error
	visit_fault TOUR_COMPAT, 0

	paging	0
	movl	$0xc0000080, %ecx
	rdmsr
	andl	$~EFER_LME, %eax
	wrmsr
	lidt	tour_idt_pointer
	visit	TOUR_PROTECTED, 0
	movl	$SEL_LIMITED, %eax
	movl	%eax, %fs
	movl	$1f, fault_resume
	movl	$0x1000 - 8, %esi
	movl	$TOUR_FAULTING, %ecx
	rep outsb %fs:(%esi), %dx
1:
	visit_fault TOUR_PROTECTED, 0

	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$pae_pdpt, %eax
	movl	%eax, %cr3
	paging	1
	visit	TOUR_PAE, 0
	outs_into_hole
	visit_fault TOUR_PAE, 0
	paging	0

	movl	$0x10, %eax		/* PSE */
	movl	%eax, %cr4
	movl	$pages32, %eax
	movl	%eax, %cr3
	paging	1
	visit	TOUR_PAGED32, 0
	outs_into_hole
	visit_fault TOUR_PAGED32, 0
	paging	0
	xorl	%eax, %eax
	movl	%eax, %cr4

	movl	$SEL_DATA, %eax		/* FS keeps its 4 GiB limit in real mode */
	movl	%eax, %fs
	movl	$SEL_LOW_DATA16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	ljmpl	$SEL_LOW_CODE16, $leave_protected - TOUR_LOW

	.code16
leave_protected:
	lidtl	ivt_pointer - TOUR_LOW
	movl	%cr0, %eax
	andl	$~1, %eax
	movl	%eax, %cr0
	ljmpw	$TOUR_LOW >> 4, $real - TOUR_LOW
real:
	movw	$TOUR_LOW >> 4, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$tour_stack_end - TOUR_LOW, %esp
	visit	TOUR_REAL, TOUR_LOW
	.set	at, tour_stops + TOUR_REAL * STOP_SIZE - TOUR_LOW
	movl	$MON_LOAD_ADDR, %ebx	/* beyond a real-mode limit */
	movl	%fs:(%ebx), %eax
	movl	%eax, at + STOP_EXTRA
	int	$0x21
	movl	$1f - TOUR_LOW, fault_resume - TOUR_LOW
	movl	$0xffff - 14, %esi	/* the eighth word crosses the limit */
	movl	$TOUR_FAULTING, %ecx
	rep outsw
1:
	visit_fault TOUR_REAL, TOUR_LOW

	lgdtl	tour_gdt_pointer - TOUR_LOW
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $to_long

	.code32
to_long:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	paging	1
	ljmpl	$SEL_CODE, $long_again

	.code64
long_again:
	lgdt	saved_gdt
	lidt	saved_idt
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$0xc0000101, %ecx
	movl	saved_gs, %eax
	xorl	%edx, %edx
	wrmsr
	movq	saved_rsp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* Exceptions with an error code: note them and go on at fault_resume. */
	.code32
fault32_gp:
	movl	$EXC_GP_VECTOR, fault_vector
	jmp	1f
fault32_pf:
	movl	$EXC_PF_VECTOR, fault_vector
1:	popl	fault_error
	pushl	%eax
	movl	fault_resume, %eax
	movl	%eax, 4(%esp)
	popl	%eax
	iretl

	.code16
fault16_gp:
	movl	$EXC_GP_VECTOR, fault_vector - TOUR_LOW
	pushw	%bp
	movw	%sp, %bp
	pushw	%ax
	movw	fault_resume - TOUR_LOW, %ax
	movw	%ax, 2(%bp)
	popw	%ax
	popw	%bp
	iretw
int16:
	incl	tour_stops + TOUR_REAL * STOP_SIZE - TOUR_LOW + STOP_EXTRA + 4
	iretw

	.set	EXC_GP_VECTOR, 13
	.set	EXC_PF_VECTOR, 14

	.balign	16
tour_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
	.quad	0x00cf9b000000ffff	/* SEL_CODE32 */
	.quad	0x00009b010000ffff	/* SEL_LOW_CODE16 */
	.quad	0x000093010000ffff	/* SEL_LOW_DATA16 */
	.quad	0x0040930300000fff	/* SEL_LIMITED */
tour_gdt_end:
tour_gdt_pointer:
	.word	tour_gdt_end - tour_gdt - 1
	.long	tour_gdt
	.long	0
tour_idt:
	.fill	13, 8, 0
	.word	fault32_gp - TOUR_LOW, SEL_CODE32, 0x8e00, TOUR_LOW >> 16
	.word	fault32_pf - TOUR_LOW, SEL_CODE32, 0x8e00, TOUR_LOW >> 16
tour_idt_pointer:
	.word	15 * 8 - 1
	.long	tour_idt
ivt_pointer:
	.word	0x3ff
	.long	ivt
	.balign	4
ivt:
	.fill	13, 4, 0
	.word	fault16_gp - TOUR_LOW, TOUR_LOW >> 4
	.fill	0x21 - 14, 4, 0
	.word	int16 - TOUR_LOW, TOUR_LOW >> 4

	.balign	8
saved_rsp:	.quad 0
saved_gs:	.quad 0
saved_gdt:	.fill 10
saved_idt:	.fill 10
	.balign	4
fault_resume:	.long 0
fault_vector:	.long -1
fault_error:	.long -1
	.globl	tour_text
tour_text:	.ascii "exeunt: "
	.balign	STOP_SIZE
	.globl	tour_stops
tour_stops:
	.fill	TOUR_STOPS * STOP_SIZE

	.balign	32
pae_pdpt:
	.quad	boot_pd + 1, boot_pd + 0x1001, boot_pd + 0x2001, boot_pd + 0x3001
	.balign	4096
pages32:
	.set	page, 0
	.rept	1024
	.if	page == TOUR_HOLE >> 22
	.long	0
	.else
	.long	page << 22 | 0x87
	.endif
	.set	page, page + 1
	.endr
	.skip	4096
	.balign	16
tour_stack_end:

	.section .note.GNU-stack, "", @progbits
