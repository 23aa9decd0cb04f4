/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every payload uses: reports, exceptions, interrupt handlers, other CPUs
 * and calls to the monitor.
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include "cpu.h"
#include "monitor.h"

/* A payload defines this; what it returns is the run's status (0 is success). */
int payload_main(void);

void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One PASS or FAIL line. Returns ok. */
bool report(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * As report(), for what the host's CPU itself must check and no hypervisor sees:
 * a failure is a SKIP line where the CPU is emulated by QEMU's TCG, which does not.
 */
bool report_cpu(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * How often to try what an exit at the wrong moment upsets on TCG: its VMRUN loads
 * neither the interrupt shadow nor DR7's breakpoints. Once where the CPU is real.
 */
unsigned int tries(void);
void report_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
bool has_arg(const char *word);
/* The number after `word` on the command line, or `otherwise`. */
u64 arg_number(const char *word, u64 otherwise);

/* Handlers run with interrupts off; the frame may be changed. NULL takes one away. */
void set_handler(u8 vector, void (*handler)(struct frame *frame));
/*
 * Wait for an interrupt that has a handler. TCG's VMRUN forgets STI's shadow: where the interrupt
 * then comes before HLT, which would sleep for ever, HLT is skipped.
 */
void sti_hlt_cli(void);
/* Put an entry point of one's own, or the standard stub if 0, into the IDT. */
void set_gate(u8 vector, u64 entry, unsigned int dpl);
void *idt_base(void);

/* Call fn(arg) in ring 3. Returns NO_EXC, with *result set, or the exception's vector. */
int in_user(u64 (*fn)(u64), u64 arg, u64 *result);
/*
 * Call fn(arg), which should end in a fatal exit. Returns the KVM exit reason, or
 * -1 if fn returned. Interrupts must be off.
 */
int expect_fatal(void (*fn)(void *), void *arg);
/*
 * The same for code in place: if (!catch_fatal()) the code; else what to do if it
 * ended in a fatal exit. What the code changes must be volatile. Then forget_fatal().
 */
#define catch_fatal()	(arm_fatal(), context_save(&this_cpu()->fatal))
void arm_fatal(void);
void forget_fatal(void);
int context_save(struct context *context) __attribute__((returns_twice));

long mon_call(u64 op, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
void mon_exit(int status) __attribute__((noreturn));
void mon_info(struct mon_info *info);
/* Exits of one kind that this vCPU has made, the one for this call included. */
u64 mon_exits(unsigned int reason);

/* Start the other CPUs; returns how many run, this one included. */
unsigned int start_cpus(void);
/* Run fn(arg) on another CPU, which must be started, and wait for its end. */
void on_cpu(unsigned int id, void (*fn)(void *), void *arg);
void on_cpu_start(unsigned int id, void (*fn)(void *), void *arg);
void on_cpu_wait(unsigned int id);
bool on_cpu_busy(unsigned int id);
struct cpu *cpu_by_id(unsigned int id);

#endif
