/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch: from the host into the guest and back, with everything that must be done before the first line of C can run.
 *
 * Between VMLOAD of the guest and VMLOAD of the host, %gs is the guest's: no per-CPU data, no tracing, and no C but inner.c's. GIF is 0
 * from CLGI to STGI, so interrupts and NMIs stay pending; STI inside lets them force an exit from the guest (APM vol. 2, 15.13.1, 15.17).
 */
#include "host_asm.h"
#include "x86/svm/switch_offsets.h"

/* Nothing of the guest's stays where a mispredicted path could use it. RAX, RCX and RDI are the caller's to overwrite. */
.macro CLEAR_GUEST_REGS
	xor %edx, %edx
	xor %ebx, %ebx
	xor %ebp, %ebp
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
.endm

	HOST_TEXT_NOINSTR

/*
 * void svm_world_switch(struct vcpu *v, u64 guest_vmcb_pa, u64 host_vmcb_pa, u64 host_spec_ctrl)
 *
 * Interrupts off, preemption off. The guest's GPRs but RAX and RSP go through v->regs; those two are in the VMCB. With v->hw.inner the
 * guest is entered again from here after exits that svm_inner() deals with.
 */
HOST_FUNC_START(svm_world_switch)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rcx			/* 16(%rsp): the host's SPEC_CTRL */
	push %rdx			/* 8(%rsp): the host's VMSAVE page */
	push %rdi			/* 0(%rsp): v */
	mov %rsi, %r8

	clgi
	sti

	/* The guest's SPEC_CTRL, if the CPU has one and it differs from the host's. */
	HOST_IF_SPEC_CTRL .Lguest_spec_done
	mov V_SPEC_CTRL(%rdi), %rax
	cmp %rcx, %rax
	je .Lguest_spec_done
	mov %rax, %rdx
	shr $32, %rdx
	mov $0x48, %ecx
	wrmsr
.Lguest_spec_done:

	mov %r8, %rax
	vmload %rax

.Lenter:
	mov V_REGS + 1 * 8(%rdi), %rcx
	mov V_REGS + 2 * 8(%rdi), %rdx
	mov V_REGS + 3 * 8(%rdi), %rbx
	mov V_REGS + 5 * 8(%rdi), %rbp
	mov V_REGS + 6 * 8(%rdi), %rsi
	mov V_REGS + 8 * 8(%rdi), %r8
	mov V_REGS + 9 * 8(%rdi), %r9
	mov V_REGS + 10 * 8(%rdi), %r10
	mov V_REGS + 11 * 8(%rdi), %r11
	mov V_REGS + 12 * 8(%rdi), %r12
	mov V_REGS + 13 * 8(%rdi), %r13
	mov V_REGS + 14 * 8(%rdi), %r14
	mov V_REGS + 15 * 8(%rdi), %r15
	mov V_REGS + 7 * 8(%rdi), %rdi

	HOST_CLEAR_CPU_BUFFERS

	vmrun %rax

	/* RAX (the VMCB's address) and RSP are the host's again; everything else is the guest's. No XCHG: it would lock. */
	push %rdi
	mov 8(%rsp), %rdi
	mov %rcx, V_REGS + 1 * 8(%rdi)
	mov %rdx, V_REGS + 2 * 8(%rdi)
	mov %rbx, V_REGS + 3 * 8(%rdi)
	mov %rbp, V_REGS + 5 * 8(%rdi)
	mov %rsi, V_REGS + 6 * 8(%rdi)
	mov %r8, V_REGS + 8 * 8(%rdi)
	mov %r9, V_REGS + 9 * 8(%rdi)
	mov %r10, V_REGS + 10 * 8(%rdi)
	mov %r11, V_REGS + 11 * 8(%rdi)
	mov %r12, V_REGS + 12 * 8(%rdi)
	mov %r13, V_REGS + 13 * 8(%rdi)
	mov %r14, V_REGS + 14 * 8(%rdi)
	mov %r15, V_REGS + 15 * 8(%rdi)
	pop %rcx
	mov %rcx, V_REGS + 7 * 8(%rdi)

	cmpb $0, V_INNER(%rdi)
	je .Lleave
	/* One of the exits that the inner loop knows (its numbers from SVM_INNER_FIRST on are bits of SVM_INNER_EXITS)? */
	mov V_VMCB(%rdi), %rcx
	mov VMCB_EXIT_CODE(%rcx), %ecx
	sub $SVM_INNER_FIRST, %ecx
	cmp $31, %ecx
	ja .Lleave
	mov $SVM_INNER_EXITS, %edx
	bt %ecx, %edx
	jnc .Lleave
	HOST_UNTRAIN_RET
	CLEAR_GUEST_REGS
	xor %ecx, %ecx
	call svm_inner
	mov (%rsp), %rdi
	test %al, %al
	mov V_VMCB_PA(%rdi), %rax
	jnz .Lenter
.Lleave:
	pop %rcx

	vmsave %rax

	/* No return before the return stack holds the host's own entries only. */
	HOST_FILL_RETURN_STACK %rax

	/* The host's SPEC_CTRL; what the guest wrote without an exit is kept first. */
	HOST_IF_SPEC_CTRL .Lhost_spec_done
	cmpl $0, V_SPEC_CTRL_PASSED(%rdi)
	je .Lhost_spec
	mov $0x48, %ecx
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, V_SPEC_CTRL(%rdi)
.Lhost_spec:
	mov V_SPEC_CTRL(%rdi), %rcx
	mov 8(%rsp), %rax
	cmp %rax, %rcx
	je .Lhost_spec_done
	mov %rax, %rdx
	shr $32, %rdx
	mov $0x48, %ecx
	wrmsr
.Lhost_spec_done:

	HOST_UNTRAIN_RET

	/* RAX and RCX are overwritten below. */
	CLEAR_GUEST_REGS
	xor %edi, %edi

	pop %rax			/* the host's VMSAVE page */
	vmload %rax
	cli
	stgi

	pop %rcx
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	HOST_RET
HOST_FUNC_END(svm_world_switch)
