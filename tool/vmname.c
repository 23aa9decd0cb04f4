// SPDX-License-Identifier: GPL-2.0
/*
 * See vmname.h.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util.h"
#include "vmname.h"

#define MAX_ARGUMENTS	65536	/* bytes of a command line that are looked at */

/* Not so: DEL, surrogates, separators of lines, and what turns the direction of text, which could make one name look like another. */
static bool is_printable(unsigned int code)
{
	return code != 0x7f && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && (code < 0x2028 || code > 0x202e) &&
	       (code < 0x2066 || code > 0x2069);
}

/* Bytes of the printable character that begins at @s; 0 if none does. */
static size_t character(const unsigned char *s)
{
	static const struct { unsigned char mask, lead; unsigned int min; } forms[] = {
		{ 0x80, 0x00, ' ' }, { 0xe0, 0xc0, 0xa0 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
	};

	for (size_t len = 1; len <= 4; len++) {
		unsigned int code = *s & ~forms[len - 1].mask & 0xff;

		if ((*s & forms[len - 1].mask) != forms[len - 1].lead)
			continue;
		for (size_t i = 1; i < len; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
		return code >= forms[len - 1].min && is_printable(code) ? len : 0;
	}
	return 0;
}

void name_clean(char *to, size_t size, const char *from)
{
	const char *end = to + size - 1;

	while (*from) {
		size_t printable = character((const unsigned char *)from), len = printable ? printable : 1;

		if (len > (size_t)(end - to))
			break;
		if (printable)
			memcpy(to, from, len);
		else
			*to = '?';
		to += len;
		from += len;
	}
	*to = '\0';
}

/* Takes one item off the list that QEMU's options are: items end at a comma, and ",," is one within an item. False at the end. */
static bool next_item(const char **list, char *item, size_t size)
{
	const char *s = *list;
	size_t len = 0;

	if (!*s)
		return false;
	for (; *s && (*s != ',' || s[1] == ','); s++) {
		s += *s == ',';
		if (len + 1 < size)
			item[len++] = *s;
	}
	item[len] = '\0';
	*list = *s ? s + 1 : s;
	return true;
}

/* The guest's name in "X,process=Y" or "process=Y,guest=X". */
static void name_in_list(char *name, size_t size, const char *list)
{
	static const char member[] = "guest=";
	char item[256];

	for (bool first = true; next_item(&list, item, sizeof(item)); first = false) {
		if (!strncmp(item, member, strlen(member)))
			name_clean(name, size, item + strlen(member));
		else if (first && !strchr(item, '='))
			name_clean(name, size, item);
	}
}

void qemu_name(char *name, size_t size, const char *arguments, size_t len)
{
	const char *end = arguments + len, *word = arguments, *next;

	*name = '\0';
	for (; word < end; word = next) {
		next = word + strnlen(word, end - word) + 1;
		if ((!strcmp(word, "-name") || !strcmp(word, "--name")) && next < end)
			name_in_list(name, size, next);
	}
}

/* Reads /proc/PID/@file: the number of bytes, a NUL behind them. */
static size_t read_proc(pid_t pid, const char *file, char *buf, size_t size)
{
	char *path = xasprintf("/proc/%d/%s", pid, file);
	FILE *f = fopen(path, "re");
	size_t len = 0;

	free(path);
	if (f) {
		len = fread(buf, 1, size - 1, f);
		fclose(f);
	}
	buf[len] = '\0';
	return len;
}

void vm_name(char *name, size_t size, pid_t pid, const char *comm)
{
	char *arguments = xcalloc(MAX_ARGUMENTS, 1), own[32] = "";

	*name = '\0';
	if (pid)
		qemu_name(name, size, arguments, read_proc(pid, "cmdline", arguments, MAX_ARGUMENTS));
	free(arguments);
	if (*name)
		return;
	if (pid && (!comm || !*comm)) {
		read_proc(pid, "comm", own, sizeof(own));
		own[strcspn(own, "\n")] = '\0';
		comm = own;
	}
	name_clean(name, size, comm && *comm ? comm : "?");
}
