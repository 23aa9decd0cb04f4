/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual machine control block and the SVM names in it (APM vol. 2, appendices B and C). Layout only.
 */
#ifndef EXEUNT_SVM_VMCB_H
#define EXEUNT_SVM_VMCB_H

#include "host.h"

/* Intercept vectors: word index and bit (appendix B, offsets 000h to 014h). */
enum intercept_word { ICPT_CR, ICPT_DR, ICPT_EXCEPTION, ICPT_MISC1, ICPT_MISC2, ICPT_MISC3 };

#define ICPT_CR_READ(n)		(1u << (n))
#define ICPT_CR_WRITE(n)	(1u << (16 + (n)))

#define ICPT1_INTR		(1u << 0)
#define ICPT1_NMI		(1u << 1)
#define ICPT1_SMI		(1u << 2)
#define ICPT1_INIT		(1u << 3)
#define ICPT1_VINTR		(1u << 4)
#define ICPT1_CR0_SELECTIVE	(1u << 5)	/* changes of CR0 other than TS and MP */
#define ICPT1_RDPMC		(1u << 15)
#define ICPT1_CPUID		(1u << 18)
#define ICPT1_IRET		(1u << 20)
#define ICPT1_INVD		(1u << 22)
#define ICPT1_PAUSE		(1u << 23)
#define ICPT1_HLT		(1u << 24)
#define ICPT1_INVLPGA		(1u << 26)
#define ICPT1_IOIO		(1u << 27)
#define ICPT1_MSR		(1u << 28)
#define ICPT1_FERR_FREEZE	(1u << 30)
#define ICPT1_SHUTDOWN		(1u << 31)

#define ICPT2_VMRUN		(1u << 0)
#define ICPT2_VMMCALL		(1u << 1)
#define ICPT2_VMLOAD		(1u << 2)
#define ICPT2_VMSAVE		(1u << 3)
#define ICPT2_STGI		(1u << 4)
#define ICPT2_CLGI		(1u << 5)
#define ICPT2_SKINIT		(1u << 6)
#define ICPT2_RDTSCP		(1u << 7)
#define ICPT2_WBINVD		(1u << 9)
#define ICPT2_MONITOR		(1u << 10)
#define ICPT2_MWAIT		(1u << 11)
#define ICPT2_MWAIT_ARMED	(1u << 12)
#define ICPT2_XSETBV		(1u << 13)
#define ICPT2_RDPRU		(1u << 14)

#define ICPT3_INVLPGB		(1u << 0)
#define ICPT3_INVPCID		(1u << 2)
#define ICPT3_TLBSYNC		(1u << 4)

/* int_ctl (060h). */
#define V_TPR_FIELD		0xfu
#define V_IRQ_BIT		(1u << 8)
#define V_INTR_PRIO(n)		((u32)(n) << 16)
#define V_IGN_TPR_BIT		(1u << 20)
#define V_INTR_MASKING_BIT	(1u << 24)
#define X2AVIC_BIT		(1u << 30)
#define AVIC_BIT		(1u << 31)

#define INT_SHADOW_BIT		1ull		/* int_state (068h) */
#define NP_ENABLE_BIT		1ull		/* np_ctl (090h) */

enum tlb_control { TLB_KEEP = 0, TLB_FLUSH_ALL = 1, TLB_FLUSH_GUEST = 3 };

/* event_inj and exit_int_info. */
#define EVENT_TYPE_INTR		(0u << 8)
#define EVENT_TYPE_NMI		(2u << 8)
#define EVENT_TYPE_EXCEPTION	(3u << 8)
#define EVENT_TYPE_SOFT		(4u << 8)
#define EVENT_TYPE_FIELD	(7u << 8)
#define EVENT_ERROR_VALID	(1u << 11)
#define EVENT_VALID		(1u << 31)

/* exit_info_2 of an IPI that AVIC has not completed: in the upper half why, and in the lower an index of the first target with that (15.29). */
#define AVIC_IPI_NOT_RUNNING	1u	/* sent, but not all targets run; for any other reason nothing is sent */

/* exit_info_1 of an access that AVIC does not accelerate: the register's offset, and whether it is a write. */
#define AVIC_ACCESS_REG(info)	((u32)(info) & 0xff0)
#define AVIC_ACCESS_WRITE	(1ull << 32)

/* exit_info_1 of a nested page fault: it hit the access itself, not the guest's page tables (15.25.6). */
#define NPF_FINAL		(1ull << 32)

struct vmcb_seg {
	u16 selector;
	u16 attrib;	/* type, S, DPL, P in bits 0..7; AVL, L, D/B, G in bits 8..11 */
	u32 limit;
	u64 base;
};

#define VMCB_CS_LONG	(1u << 9)	/* attrib of a 64-bit code segment */

struct vmcb_control {
	u32 intercepts[6];
	u8 rsvd_018[0x3c - 0x18];
	u16 pause_filter_thresh;
	u16 pause_filter_count;
	u64 iopm_pa;		/* 040h */
	u64 msrpm_pa;
	u64 tsc_offset;
	u32 asid;		/* 058h */
	u8 tlb_ctl;
	u8 rsvd_05d[3];
	u32 int_ctl;		/* 060h */
	u32 int_vector;
	u64 int_state;		/* 068h */
	u32 exit_code;		/* 070h */
	u32 exit_code_hi;
	u64 exit_info_1;
	u64 exit_info_2;
	u32 exit_int_info;	/* 088h */
	u32 exit_int_info_err;
	u64 np_ctl;		/* 090h */
	u64 avic_bar;
	u64 ghcb;
	u32 event_inj;		/* 0a8h */
	u32 event_inj_err;
	u64 ncr3;		/* 0b0h */
	u64 virt_ext;
	u32 clean;		/* 0c0h */
	u32 rsvd_0c4;
	u64 next_rip;		/* 0c8h */
	u8 insn_len;		/* 0d0h */
	u8 insn_bytes[15];
	u64 avic_page;		/* 0e0h */
	u64 rsvd_0e8;
	u64 avic_logical;	/* 0f0h */
	u64 avic_physical;	/* 0f8h: and in its low 12 bits the last index */
	u8 rsvd_100[0x400 - 0x100];
} __attribute__((packed));

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;	/* 400h.. */
	u8 rsvd_0a0[0xcb - 0xa0];
	u8 cpl;
	u32 rsvd_0cc;
	u64 efer;		/* 0d0h */
	u8 rsvd_0d8[0x148 - 0xd8];
	u64 cr4;		/* 148h */
	u64 cr3;
	u64 cr0;
	u64 dr7;		/* 160h */
	u64 dr6;
	u64 rflags;		/* 170h */
	u64 rip;
	u8 rsvd_180[0x1d8 - 0x180];
	u64 rsp;		/* 1d8h */
	u8 rsvd_1e0[0x1f8 - 0x1e0];
	u64 rax;		/* 1f8h */
	u64 star;		/* 200h */
	u64 lstar;
	u64 cstar;
	u64 sfmask;
	u64 kernel_gs_base;
	u64 sysenter_cs;
	u64 sysenter_esp;
	u64 sysenter_eip;
	u64 cr2;		/* 240h */
	u8 rsvd_248[0x268 - 0x248];
	u64 g_pat;		/* 268h */
	u64 dbgctl;
	u64 br_from, br_to, lastexc_from, lastexc_to;
	u8 rsvd_298[0x2e0 - 0x298];
	u64 spec_ctrl;		/* 2e0h, with V_SPEC_CTRL */
	u8 rsvd_2e8[0xc00 - 0x2e8];
} __attribute__((packed));

struct vmcb {
	struct vmcb_control c;
	struct vmcb_save s;
} __attribute__((packed));

_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is one page");
_Static_assert(__builtin_offsetof(struct vmcb, c.iopm_pa) == 0x40, "");
_Static_assert(__builtin_offsetof(struct vmcb, c.exit_code) == 0x70, "");
_Static_assert(__builtin_offsetof(struct vmcb, c.next_rip) == 0xc8, "");
_Static_assert(__builtin_offsetof(struct vmcb, c.avic_physical) == 0xf8, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.efer) == 0x400 + 0xd0, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.cr4) == 0x400 + 0x148, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.rsp) == 0x400 + 0x1d8, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.rax) == 0x400 + 0x1f8, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.cr2) == 0x400 + 0x240, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.g_pat) == 0x400 + 0x268, "");
_Static_assert(__builtin_offsetof(struct vmcb, s.spec_ctrl) == 0x400 + 0x2e0, "");

/* Exit codes (appendix C). */
enum svm_exit {
	SVM_EXIT_READ_CR0 = 0x00, SVM_EXIT_READ_CR4 = 0x04, SVM_EXIT_WRITE_CR0 = 0x10, SVM_EXIT_WRITE_CR4 = 0x14, SVM_EXIT_WRITE_CR8 = 0x18,
	SVM_EXIT_READ_DR0 = 0x20, SVM_EXIT_WRITE_DR0 = 0x30, SVM_EXIT_WRITE_DR7 = 0x37, SVM_EXIT_EXCP_BASE = 0x40,
	SVM_EXIT_INTR = 0x60, SVM_EXIT_NMI = 0x61, SVM_EXIT_SMI = 0x62, SVM_EXIT_INIT = 0x63, SVM_EXIT_VINTR = 0x64,
	SVM_EXIT_CR0_SEL_WRITE = 0x65,
	SVM_EXIT_RDPMC = 0x6f, SVM_EXIT_CPUID = 0x72, SVM_EXIT_IRET = 0x74, SVM_EXIT_INVD = 0x76, SVM_EXIT_PAUSE = 0x77,
	SVM_EXIT_HLT = 0x78, SVM_EXIT_INVLPGA = 0x7a, SVM_EXIT_IOIO = 0x7b, SVM_EXIT_MSR = 0x7c, SVM_EXIT_FERR_FREEZE = 0x7e,
	SVM_EXIT_SHUTDOWN = 0x7f, SVM_EXIT_VMRUN = 0x80, SVM_EXIT_VMMCALL = 0x81, SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83, SVM_EXIT_STGI = 0x84, SVM_EXIT_CLGI = 0x85, SVM_EXIT_SKINIT = 0x86, SVM_EXIT_RDTSCP = 0x87,
	SVM_EXIT_WBINVD = 0x89, SVM_EXIT_MONITOR = 0x8a, SVM_EXIT_MWAIT = 0x8b, SVM_EXIT_MWAIT_COND = 0x8c,
	SVM_EXIT_XSETBV = 0x8d, SVM_EXIT_RDPRU = 0x8e, SVM_EXIT_INVLPGB = 0xa0, SVM_EXIT_INVPCID = 0xa2,
	SVM_EXIT_TLBSYNC = 0xa4, SVM_EXIT_NPF = 0x400, SVM_EXIT_AVIC_INCOMPLETE_IPI = 0x401, SVM_EXIT_AVIC_NOACCEL = 0x402,
	SVM_EXIT_ERR = -1,
};

#endif
