// SPDX-License-Identifier: GPL-2.0
/*
 * See outfile.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "outfile.h"
#include "util.h"

static bool open_temporary(struct outfile *o, mode_t mode)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	o->temporary = xasprintf("%s.XXXXXX", o->path);
	fd = mkostemp(o->temporary, O_CLOEXEC);
	if (fd < 0) {
		complain("cannot write %s: %s", o->path, strerror(errno));
		free(o->temporary);
		return false;
	}
	fchmod(fd, mode & ~mask);
	o->f = fdopen(fd, "w");
	return o->f;
}

static bool open_in_place(struct outfile *o, mode_t mode)
{
	int fd = open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0) {
		complain("cannot write %s: %s", o->path, strerror(errno));
		return false;
	}
	o->f = fdopen(fd, "w");
	return o->f;
}

bool outfile_open(struct outfile *o, const char *path, mode_t mode)
{
	struct stat st;

	*o = (struct outfile){ .path = path };
	if (!strcmp(path, "-")) {
		o->f = stdout;
		return true;
	}
	if (lstat(path, &st) || S_ISREG(st.st_mode))
		return open_temporary(o, mode);
	return open_in_place(o, mode);
}

static bool put_in_place(const struct outfile *o, bool keep_old)
{
	char *old = xasprintf("%s.old", o->path);
	bool kept = !keep_old || !rename(o->path, old) || errno == ENOENT;

	if (!kept)
		complain("cannot rename %s to %s: %s", o->path, old, strerror(errno));
	free(old);
	if (kept && rename(o->temporary, o->path)) {
		complain("cannot write %s: %s", o->path, strerror(errno));
		kept = false;
	}
	return kept;
}

bool outfile_commit(struct outfile *o, bool keep_old)
{
	bool ok;

	if (o->f == stdout)
		return finish_output();
	ok = !fflush(o->f) && !ferror(o->f);
	if (!ok && errno != EPIPE)
		complain("cannot write %s: %s", o->path, strerror(errno));
	if (fclose(o->f) && ok) {
		complain("cannot write %s: %s", o->path, strerror(errno));
		ok = false;
	}
	if (o->temporary) {
		ok = ok && put_in_place(o, keep_old);
		if (!ok)
			unlink(o->temporary);
		free(o->temporary);
	}
	return ok;
}

void outfile_abandon(struct outfile *o)
{
	if (o->f != stdout)
		fclose(o->f);
	if (o->temporary) {
		unlink(o->temporary);
		free(o->temporary);
	}
}
