/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Architectural register names and bits (AMD APM vol. 2 chapters 3, 4 and 8). Only facts, no state.
 */
#ifndef EXEUNT_X86_REGS_H
#define EXEUNT_X86_REGS_H

/* GPR indices as instructions encode them. */
enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15 };

/* Segment register indices as instructions encode them, then the system ones. */
enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_TR, SEG_LDTR };

enum vector {
	VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7, VEC_DF = 8,
	VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
};

#define FLAG_CF		(1ull << 0)
#define FLAG_FIXED	(1ull << 1)
#define FLAG_PF		(1ull << 2)
#define FLAG_AF		(1ull << 4)
#define FLAG_ZF		(1ull << 6)
#define FLAG_SF		(1ull << 7)
#define FLAG_TF		(1ull << 8)
#define FLAG_IF		(1ull << 9)
#define FLAG_DF		(1ull << 10)
#define FLAG_OF		(1ull << 11)
#define FLAG_IOPL	(3ull << 12)
#define FLAG_RF		(1ull << 16)
#define FLAG_VM		(1ull << 17)
#define FLAG_AC		(1ull << 18)

#define CR0_PE_BIT	(1ull << 0)
#define CR0_MP_BIT	(1ull << 1)
#define CR0_EM_BIT	(1ull << 2)
#define CR0_TS_BIT	(1ull << 3)
#define CR0_ET_BIT	(1ull << 4)
#define CR0_NE_BIT	(1ull << 5)
#define CR0_WP_BIT	(1ull << 16)
#define CR0_AM_BIT	(1ull << 18)
#define CR0_NW_BIT	(1ull << 29)
#define CR0_CD_BIT	(1ull << 30)
#define CR0_PG_BIT	(1ull << 31)

#define CR4_VME_BIT	(1ull << 0)
#define CR4_PVI_BIT	(1ull << 1)
#define CR4_TSD_BIT	(1ull << 2)
#define CR4_DE_BIT	(1ull << 3)
#define CR4_PSE_BIT	(1ull << 4)
#define CR4_PAE_BIT	(1ull << 5)
#define CR4_MCE_BIT	(1ull << 6)
#define CR4_PGE_BIT	(1ull << 7)
#define CR4_PCE_BIT	(1ull << 8)
#define CR4_OSFXSR_BIT	(1ull << 9)
#define CR4_OSXMMEXC_BIT (1ull << 10)
#define CR4_UMIP_BIT	(1ull << 11)
#define CR4_LA57_BIT	(1ull << 12)
#define CR4_FSGSBASE_BIT (1ull << 16)
#define CR4_PCIDE_BIT	(1ull << 17)
#define CR4_OSXSAVE_BIT	(1ull << 18)
#define CR4_SMEP_BIT	(1ull << 20)
#define CR4_SMAP_BIT	(1ull << 21)
#define CR4_PKE_BIT	(1ull << 22)

#define EFER_SCE_BIT	(1ull << 0)
#define EFER_LME_BIT	(1ull << 8)
#define EFER_LMA_BIT	(1ull << 10)
#define EFER_NXE_BIT	(1ull << 11)
#define EFER_SVME_BIT	(1ull << 12)
#define EFER_LMSLE_BIT	(1ull << 13)
#define EFER_FFXSR_BIT	(1ull << 14)

/* Page-fault error code (APM vol. 2, 8.4.2). */
#define PF_PRESENT	(1u << 0)
#define PF_WRITE	(1u << 1)
#define PF_USER		(1u << 2)
#define PF_RSVD		(1u << 3)
#define PF_FETCH	(1u << 4)
#define PF_PK		(1u << 5)

#endif
