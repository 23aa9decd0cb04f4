// SPDX-License-Identifier: GPL-2.0
/*
 * See util.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "util.h"

const char *command_name;

static void complain_list(const char *fmt, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "exeunt%s%s: ", command_name ? " " : "", command_name ? command_name : "");
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain_list(fmt, args);
	va_end(args);
}

void die(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain_list(fmt, args);
	va_end(args);
	exit(status);
}

static void *or_die(void *p)
{
	if (!p)
		die(STATUS_FAILED, "out of memory");
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return or_die(calloc(n ? n : 1, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	return or_die(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return or_die(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *text;
	int r;

	va_start(args, fmt);
	r = vasprintf(&text, fmt, args);
	va_end(args);
	return or_die(r < 0 ? NULL : text);
}

bool colour_on(FILE *f)
{
	const char *term = getenv("TERM");

	return isatty(fileno(f)) && term && strcmp(term, "dumb") && !getenv("NO_COLOR");
}

unsigned int terminal_columns(FILE *f)
{
	struct winsize size;

	if (!isatty(fileno(f)) || ioctl(fileno(f), TIOCGWINSZ, &size))
		return 0;
	return size.ws_col;
}

/* Three digits that matter. */
static const char *format_scaled(double x, const char *unit, char *buf, size_t size)
{
	snprintf(buf, size, "%.*f%s", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x, unit);
	return buf;
}

const char *format_ns(double ns, char *buf, size_t size)
{
	if (ns < 999.5) {
		snprintf(buf, size, "%.0fns", ns);
		return buf;
	}
	if (ns < 999.5e3)
		return format_scaled(ns / 1e3, "us", buf, size);
	if (ns < 999.5e6)
		return format_scaled(ns / 1e6, "ms", buf, size);
	return format_scaled(ns / 1e9, "s", buf, size);
}

const char *format_count(double n, char *buf, size_t size)
{
	if (n < 999.5) {
		snprintf(buf, size, "%.0f", n);
		return buf;
	}
	if (n < 999.5e3)
		return format_scaled(n / 1e3, "k", buf, size);
	if (n < 999.5e6)
		return format_scaled(n / 1e6, "M", buf, size);
	return format_scaled(n / 1e9, "G", buf, size);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

bool finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	if (errno != EPIPE)
		complain("cannot write: %s", strerror(errno));
	return false;
}

static bool is_ignored(int signo)
{
	struct sigaction action;

	return !sigaction(signo, NULL, &action) && action.sa_handler == SIG_IGN;
}

void ending_signals(sigset_t *set)
{
	static const int unless_ignored[] = { SIGHUP, SIGQUIT };

	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	for (size_t i = 0; i < sizeof(unless_ignored) / sizeof(unless_ignored[0]); i++) {
		if (!is_ignored(unless_ignored[i]))
			sigaddset(set, unless_ignored[i]);
	}
}

bool parse_number(const char *word, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	if (*word < '0' || *word > '9')
		return false;
	errno = 0;
	*value = strtoull(word, &end, 0);
	return !errno && !*end && *value >= min && *value <= max;
}
