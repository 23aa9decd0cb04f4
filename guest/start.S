/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Start code of every payload: header, page tables, GDT, exception stubs, the
 * application processors' way from real mode, ring 3 and back.
 */
#include "cpu.h"
#include "monitor.h"

	.section .header, "a"
	.globl header
header:
	.quad	MON_MAGIC
	.quad	start
	.quad	boot_pml4
	.quad	boot_gdt
	.quad	boot_gdt_end - boot_gdt - 1

	.text
	.code64

/* In: edi = CPU number. GS.base and the CPU's own tables are set; keeps r12 and r13. */
enter_cpu:
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%edi, %eax
	imulq	$CPU_SIZE, %rax
	addq	$cpus, %rax
	movq	%rax, %rdx
	shrq	$32, %rdx
	movl	$0xc0000101, %ecx	/* GS.base */
	wrmsr
	subq	$8, %rsp
	call	load_tables
	addq	$8, %rsp
	ret

start:
	movq	$boot_stack_end, %rsp
	call	cpus_init
	xorl	%edi, %edi
	call	enter_cpu
	movq	%gs:CPU_STACK, %rsp
	call	payload_main
	movl	%eax, %edi
	call	mon_exit

/* Where MON_CATCH goes on: edi = exit reason, esi = suberror. */
	.globl	catch_entry
catch_entry:
	movl	%edi, %r12d
	movl	%esi, %r13d
	movq	$boot_stack_end, %rsp
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	movl	%ebx, %edi
	call	enter_cpu
	movl	%r12d, %edi
	movl	%r13d, %esi
	jmp	catch_return

/* int context_save(struct context *ctx): 0, and what context_go() gives after that. */
	.globl	context_save
context_save:
	movq	(%rsp), %rax
	movq	%rax, 0(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, 8(%rdi)
	movq	%rbx, 16(%rdi)
	movq	%rbp, 24(%rdi)
	movq	%r12, 32(%rdi)
	movq	%r13, 40(%rdi)
	movq	%r14, 48(%rdi)
	movq	%r15, 56(%rdi)
	xorl	%eax, %eax
	ret

/* void context_go(struct context *ctx, int value) */
	.globl	context_go
context_go:
	movl	%esi, %eax
	movq	8(%rdi), %rsp
	movq	16(%rdi), %rbx
	movq	24(%rdi), %rbp
	movq	32(%rdi), %r12
	movq	40(%rdi), %r13
	movq	48(%rdi), %r14
	movq	56(%rdi), %r15
	jmpq	*0(%rdi)

/* void user_enter(u64 (*fn)(u64), u64 arg, u64 stack): into ring 3, back by int $0x80. */
	.globl	user_enter
user_enter:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	$user_return, %rcx
	subq	$8, %rdx
	movq	%rcx, (%rdx)
	pushq	$SEL_USER_DATA
	pushq	%rdx
	pushq	$0x3002			/* IOPL 3: ring 3 may use ports */
	pushq	$SEL_USER_CODE
	pushq	%rax
	iretq
user_return:
	int	$VECTOR_USER_RETURN

/* void sti_hlt_cli(void) */
	.globl	sti_hlt_cli, halt_insn
sti_hlt_cli:
	sti
halt_insn:
	hlt
	cli
	ret

/* One stub per vector, STUB_SIZE bytes each: error code (or 0), vector, common part. */
	.balign	STUB_SIZE
	.globl	exception_stubs
exception_stubs:
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE
	/* Bits of the vectors with an error code: 8, 10 to 14, 17, 21, 29, 30. */
	.if	vector >= 32 || !(0x60227d00 >> (vector & 31) & 1)
	pushq	$0
	.endif
	pushq	$vector
	jmp	exception_common
	.set	vector, vector + 1
	.endr

	.balign	16
exception_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi
	movq	%rsp, %rbp
	andq	$-16, %rsp
	cld
	call	exception
	movq	%rbp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

/* Copied to AP_START, where SIPI vector AP_START >> 12 makes a CPU begin. */
	.globl	ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_trampoline
	movl	$0x11, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $ap_start32
ap_gdt_pointer:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
ap_trampoline_end:

	.code32
ap_start32:
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
	movl	$0x80010033, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $ap_start64

	.code64
ap_start64:
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	movl	%ebx, %edi
	imulq	$CPU_SIZE, %rdi, %rax
	movq	CPU_STACK + cpus(%rax), %rsp
	call	enter_cpu
	call	ap_main
1:	hlt
	jmp	1b

	.data
	.balign	16
	.globl	boot_gdt, boot_gdt_end
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE: 64-bit code */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
	.quad	0x00cf9b000000ffff	/* SEL_CODE32 */
	.quad	0x00009b000000ffff	/* SEL_CODE16: base 0 */
	.quad	0x000093000000ffff	/* SEL_DATA16: base 0, 64 KiB */
	.quad	0x00cff3000000ffff	/* SEL_USER_DATA */
	.quad	0x00affb000000ffff	/* SEL_USER_CODE */
	.quad	0, 0			/* SEL_TSS: filled in for each CPU */
boot_gdt_end:

/* The low 4 GiB mapped to themselves with 2 MiB pages, for ring 3 too. */
	.balign	4096
	.globl	boot_pml4, boot_pd
boot_pml4:
	.quad	boot_pdpt + 7
	.fill	511, 8, 0
boot_pdpt:
	.quad	boot_pd + 7, boot_pd + 0x1007, boot_pd + 0x2007, boot_pd + 0x3007
	.fill	508, 8, 0
boot_pd:
	.set	page, 0
	.rept	2048
	.quad	page * 0x200000 + 0x87
	.set	page, page + 1
	.endr

	.bss
	.balign	16
	.skip	4096
boot_stack_end:

	.section .note.GNU-stack, "", @progbits
