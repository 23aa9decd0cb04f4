/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tour through the processor's modes (tour.S) finds in each of them.
 */
#ifndef GUEST_TOUR_H
#define GUEST_TOUR_H

#define TOUR_LOW		0x10000		/* where section .low is */
#define TOUR_COMPAT		0
#define TOUR_PROTECTED		1
#define TOUR_PAE		2
#define TOUR_PAGED32		3
#define TOUR_REAL		4
#define TOUR_STOPS		5

#define TOUR_ECHO		0x77000000	/* plus the stop: value sent to MON_PORT_ECHO */
#define TOUR_STRING		8		/* bytes of each whole string instruction */
#define TOUR_FAULTING		16		/* elements of one that faults on the way */
#define TOUR_HOLE		0x4000000	/* first byte of a page that is not mapped */

/* Offsets in struct tour_stop; its size is a power of two. */
#define STOP_SIZE		64
#define STOP_CPUID		0
#define STOP_IN			4
#define STOP_VMMCALL		8
#define STOP_OUTS_ESI		12
#define STOP_OUTS_ECX		16
#define STOP_INS_EDI		20
#define STOP_FAULT_ESI		24
#define STOP_FAULT_ECX		28
#define STOP_VECTOR		32
#define STOP_ERROR		36
#define STOP_CR2		40
#define STOP_DATA		44
#define STOP_EXTRA		52

#ifndef __ASSEMBLER__
#include <stdint.h>

struct tour_stop {
	uint32_t cpuid;			/* EAX of MON_CPUID_LEAF */
	uint32_t in;			/* read back from MON_PORT_ECHO */
	uint32_t vmmcall;		/* EAX of an unknown hypercall */
	uint32_t outs_esi, outs_ecx;	/* registers after a whole REP OUTSB, advanced by */
	uint32_t ins_edi;		/* after a whole REP INSB, advanced by */
	uint32_t fault_esi, fault_ecx;	/* after one that faulted */
	uint32_t vector, error, cr2;
	uint8_t data[TOUR_STRING];	/* what REP INSB stored */
	uint32_t extra[3];
};

extern struct tour_stop tour_stops[TOUR_STOPS];
extern uint8_t tour_text[TOUR_STRING];

/* Through all modes and back to 64-bit mode. Interrupts must be off. */
void tour(void);
#endif
#endif
