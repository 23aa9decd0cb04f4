/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that a command makes: it is there when it is whole, and not before. "-" is standard output; what is no regular file (a
 * terminal, a pipe, /dev/null, a symbolic link to whatever) is written in place, and is never renamed or replaced.
 */
#ifndef EXEUNT_TOOL_OUTFILE_H
#define EXEUNT_TOOL_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct outfile {
	FILE *f;		/* to write to */
	const char *path;
	char *temporary;	/* where it is until it is whole; NULL: written in place */
};

/* False, with a line on standard error, if nothing can be written there. @mode: of a new file, as open()'s. */
bool outfile_open(struct outfile *o, const char *path, mode_t mode);
/*
 * Puts the file in its place; with @keep_old, a file that it replaces becomes PATH.old. False, with a line on standard error unless the reader of
 * a pipe went away, if not all could be written. Either way, or by outfile_abandon(), @o ends.
 */
bool outfile_commit(struct outfile *o, bool keep_old);
void outfile_abandon(struct outfile *o);

#endif
