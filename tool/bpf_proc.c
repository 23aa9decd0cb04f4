// SPDX-License-Identifier: GPL-2.0
/*
 * See bpf_proc.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bpf_proc.h"
#include "util.h"

/* What is of use in /proc/PID/stat and /proc/PID/task/TID/stat. */
struct stat_line {
	char state;
	long threads;
	uint64_t start;
};

static FILE *open_proc(pid_t pid, pid_t tid, const char *file)
{
	char *path = tid ? xasprintf("/proc/%d/task/%d/%s", pid, tid, file) : xasprintf("/proc/%d/%s", pid, file);
	FILE *f = fopen(path, "re");

	free(path);
	return f;
}

/* Fields are counted from behind the name, which may have any characters: proc(5). */
static bool read_stat(pid_t pid, pid_t tid, struct stat_line *s)
{
	FILE *f = open_proc(pid, tid, "stat");
	char text[1024] = "", *fields;

	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		*text = '\0';
	fclose(f);
	fields = strrchr(text, ')');
	return fields && sscanf(fields, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %" SCNu64,
				&s->state, &s->threads, &s->start) == 3;
}

static bool dead(const struct stat_line *s)
{
	return s->state == 'Z' || s->state == 'X';
}

/* The first thread may end before the others. */
uint64_t process_start(pid_t pid)
{
	struct stat_line s;

	return read_stat(pid, 0, &s) && !(dead(&s) && s.threads <= 1) ? s.start : 0;
}

bool thread_is_gone(pid_t pid, pid_t tid)
{
	struct stat_line s;

	return !read_stat(pid, tid, &s) || dead(&s);
}

int thread_vcpu(pid_t pid, pid_t tid)
{
	FILE *f = open_proc(pid, tid, "comm");
	int vcpu = -1, end = 0;
	char name[32] = "";

	if (!f)
		return -1;
	if (!fgets(name, sizeof(name), f) || sscanf(name, "CPU %d/KVM%n", &vcpu, &end) != 1 || !end)
		vcpu = -1;
	fclose(f);
	return vcpu;
}

/* Exeunt's VMs have descriptors of the same name, beside one of /dev/exeunt. */
static bool has_vm(pid_t pid)
{
	bool vm = false, exeunt = false;
	char *path = xasprintf("/proc/%d/fd", pid), to[64];
	DIR *dir = opendir(path);
	struct dirent *e;
	ssize_t len;

	free(path);
	while (dir && (e = readdir(dir))) {
		len = readlinkat(dirfd(dir), e->d_name, to, sizeof(to) - 1);
		if (len < 0)
			continue;
		to[len] = '\0';
		vm |= !strcmp(to, "anon_inode:kvm-vm");
		exeunt |= !strcmp(to, "/dev/exeunt");
	}
	if (dir)
		closedir(dir);
	return vm && !exeunt;
}

static void append(pid_t **pids, size_t *nr, pid_t pid)
{
	*pids = xreallocarray(*pids, *nr + 1, sizeof(**pids));
	(*pids)[(*nr)++] = pid;
}

size_t processes_with_vm(pid_t only, pid_t **pids)
{
	DIR *dir = only ? NULL : opendir("/proc");
	struct dirent *e;
	size_t nr = 0;

	*pids = NULL;
	if (only && has_vm(only))
		append(pids, &nr, only);
	while (dir && (e = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)*e->d_name) ? atoi(e->d_name) : 0;

		if (pid && has_vm(pid))
			append(pids, &nr, pid);
	}
	if (dir)
		closedir(dir);
	return nr;
}
