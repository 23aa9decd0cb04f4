/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every command needs: memory that is there or the program ends, messages, terminals, words for quantities.
 */
#ifndef EXEUNT_TOOL_UTIL_H
#define EXEUNT_TOOL_UTIL_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses: something failed; called wrongly. */
#define STATUS_FAILED	1
#define STATUS_USAGE	2

/* "exeunt CMD: text" on standard error, one line. The command's name is set by main(). */
extern const char *command_name;
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, and exit. */
void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Colour is for terminals, unless NO_COLOR is set or TERM is dumb. */
bool colour_on(FILE *f);
/* Columns of @f's terminal; 0 if it is none. */
unsigned int terminal_columns(FILE *f);

/* Five characters or so: "431ns", "12.3us", "4.56ms", "1.2s". */
const char *format_ns(double ns, char *buf, size_t size);
/* "999", "12.3k", "4.56M". */
const char *format_count(double n, char *buf, size_t size);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Flushes standard output; false, with a complaint unless the reader went away (EPIPE), when it could not be written. */
bool finish_output(void);

/*
 * The signals that ask a program to end: SIGINT and SIGTERM, and unless they are ignored, as nohup has it, SIGHUP and SIGQUIT. To be
 * blocked and waited for: a blocked signal comes even if it is ignored.
 */
void ending_signals(sigset_t *set);

/* Whole numbers from the command line: false for anything else, or out of range. */
bool parse_number(const char *word, uint64_t min, uint64_t max, uint64_t *value);

#endif
