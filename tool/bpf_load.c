// SPDX-License-Identifier: GPL-2.0
/*
 * See bpf_load.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include "bpf_load.h"
#include "exits.skel.h"
#include "util.h"

#define HOST_PIDS	"pid:[4026531836]"	/* /proc/self/ns/pid in the first PID namespace (PROC_PID_INIT_INO) */

/* What libbpf said first since the last look, without its newline. */
static char libbpf_words[256];

static int keep_words(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level == LIBBPF_WARN && !*libbpf_words) {
		vsnprintf(libbpf_words, sizeof(libbpf_words), fmt, args);
		libbpf_words[strcspn(libbpf_words, "\n")] = '\0';
	}
	return 0;
}

/* --- May we, and is there anything? --- */

static bool has_capabilities(void)
{
	const uint64_t admin = 1ull << CAP_SYS_ADMIN, both = 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	FILE *f = fopen("/proc/self/status", "re");
	uint64_t caps = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %" SCNx64, &caps) != 1)
		;
	if (f)
		fclose(f);
	return (caps & admin) || (caps & both) == both;
}

static bool in_host_pid_namespace(void)
{
	char name[64] = "";

	return readlink("/proc/self/ns/pid", name, sizeof(name) - 1) < 0 || !strcmp(name, HOST_PIDS);
}

static bool exists(const char *pattern)
{
	glob_t found;
	bool any = !glob(pattern, 0, NULL, &found);

	globfree(&found);
	return any;
}

/* Where two modules have trace points of one name, tracefs has those of the module that was loaded first. The list begins with the last. */
static bool exeunt_came_first(void)
{
	FILE *f = fopen("/proc/modules", "re");
	bool kvm_seen = false, first = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "kvm ", strlen("kvm ")))
			kvm_seen = true;
		else if (kvm_seen && !strncmp(line, "exeunt_", strlen("exeunt_")))
			first = true;
	}
	if (f)
		fclose(f);
	return first;
}

static const char *tracefs(void)
{
	return access("/sys/kernel/tracing/events", F_OK) ? "/sys/kernel/debug/tracing" : "/sys/kernel/tracing";
}

static bool event_exists(const char *name)
{
	char *path = xasprintf("%s/events/kvm/%s/id", tracefs(), name);
	bool there = !access(path, R_OK);

	free(path);
	return there;
}

static bool check_kvm(void)
{
	if (access("/sys/module/kvm", F_OK)) {
		if (exists("/sys/module/exeunt_*"))
			complain("KVM is not loaded here, Exeunt is: --engine exeunt shows its VMs");
		else
			complain("no KVM here: the kvm module is not loaded");
	} else if (exeunt_came_first()) {
		complain("Exeunt was loaded before KVM and hides its trace points: load kvm first, or see Exeunt's VMs with --engine exeunt");
	} else if (!event_exists("kvm_exit") || !event_exists("kvm_entry")) {
		complain("KVM's trace points are not in %s/events: load the kvm module again, with tracefs mounted", tracefs());
	} else {
		return true;
	}
	return false;
}

static bool check_all(void)
{
	bool module = !access("/sys/module/kvm/initstate", F_OK);

	if (!has_capabilities() || access(tracefs(), R_OK | X_OK))
		complain("no permission to watch stock KVM: this needs root, or CAP_BPF, CAP_PERFMON and access to tracefs");
	else if (!in_host_pid_namespace())
		complain("watching stock KVM works in the host's PID namespace only, not in a container's");
	else if (!check_kvm())
		return false;
	else if (access("/sys/kernel/btf/vmlinux", R_OK) || (module && access("/sys/kernel/btf/kvm", R_OK)))
		complain("this kernel has no type information for KVM (CONFIG_DEBUG_INFO_BTF, CONFIG_DEBUG_INFO_BTF_MODULES)");
	else
		return true;
	return false;
}

/* --- Loading --- */

static bool takes_records(const struct bpf_program *prog)
{
	return bpf_program__type(prog) == BPF_PROG_TYPE_TRACEPOINT;
}

/* "kvm_exit" */
static const char *event_of(const struct bpf_program *prog)
{
	return strrchr(bpf_program__section_name(prog), '/') + 1;
}

/* Is there a program for the same event of the other type? */
static bool has_twin(const struct exits *skel, const struct bpf_program *prog)
{
	struct bpf_program *other;

	bpf_object__for_each_program(other, skel->obj) {
		if (other != prog && !strcmp(event_of(other), event_of(prog)))
			return true;
	}
	return false;
}

/*
 * Leaves out what this kernel has no event for, and one of each two twins. The raw one is found by the event's name alone: it is not for
 * a host where Exeunt's module, with events of the same names, may be the one that is found.
 */
static void choose_programs(struct exits *skel)
{
	bool raw = !exists("/sys/module/exeunt_*");
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, skel->obj) {
		bool there = !strncmp(event_of(prog), "kvm_", strlen("kvm_")) ? event_exists(event_of(prog)) : true;

		if (!there || (has_twin(skel, prog) && takes_records(prog) == raw))
			bpf_program__set_autoload(prog, false);
	}
}

/* Before 6.1 a program that traces must not make the kernel allocate: less room then, all of it taken at once. */
static void size_maps(struct exits *skel)
{
	struct utsname kernel;
	unsigned int major, minor;

	if (uname(&kernel) || sscanf(kernel.release, "%u.%u", &major, &minor) != 2 || major > 6 || (major == 6 && minor >= 1))
		return;
	bpf_map__set_map_flags(skel->maps.counters, 0);
	bpf_map__set_max_entries(skel->maps.counters, 512);
	bpf_map__set_map_flags(skel->maps.rows, 0);
	bpf_map__set_max_entries(skel->maps.rows, 4096);
}

/* --- Attaching --- */

static int open_event(const char *name)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .sample_period = 1, .disabled = 1 };
	char *path = xasprintf("%s/events/kvm/%s/id", tracefs(), name);
	unsigned long long id;
	FILE *f = fopen(path, "re");
	int found = f ? fscanf(f, "%llu", &id) : 0;

	free(path);
	if (f)
		fclose(f);
	if (found != 1) {
		errno = ENOENT;
		return -1;
	}
	attr.config = id;
	return syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

/*
 * As libbpf attaches to trace points, but for the event that belongs to it, which is switched off: it would have perf count each
 * occurrence on the first CPU, and does not take part in the program's being called, on every CPU.
 */
static struct bpf_link *attach_to_event(struct bpf_program *prog)
{
	int fd = open_event(event_of(prog));
	struct bpf_link *link;

	if (fd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(prog, fd);
	if (link)
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	else
		close(fd);
	return link;
}

/* The skeleton owns the links. */
static bool attach(struct exits *skel)
{
	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		struct bpf_prog_skeleton *p = &skel->skeleton->progs[i];

		if (!bpf_program__autoload(*p->prog))
			continue;
		*p->link = takes_records(*p->prog) ? attach_to_event(*p->prog) : bpf_program__attach(*p->prog);
		if (!*p->link) {
			complain("cannot attach to %s: %s", bpf_program__section_name(*p->prog), strerror(errno));
			return false;
		}
	}
	return true;
}

static struct exits *load(pid_t only)
{
	struct exits *skel;
	int r;

	libbpf_set_print(keep_words);
	*libbpf_words = '\0';
	skel = exits__open();
	if (!skel) {
		complain("cannot open the BPF program: %s", *libbpf_words ? libbpf_words : strerror(errno));
		return NULL;
	}
	skel->rodata->target_tgid = only;
	choose_programs(skel);
	size_maps(skel);
	r = exits__load(skel);
	if (!r)
		return skel;
	complain("the kernel does not take the BPF program: %s", *libbpf_words ? libbpf_words : strerror(-r));
	exits__destroy(skel);
	return NULL;
}

bool bpf_load(struct bpf_exits *b, pid_t only)
{
	struct exits *skel = check_all() ? load(only) : NULL;

	if (!skel)
		return false;
	if (!attach(skel)) {
		exits__destroy(skel);
		return false;
	}
	skel->bss->watching = true;
	*b = (struct bpf_exits){
		.skeleton = skel,
		.threads = &skel->bss->threads[0][0],
		.homeless = &skel->bss->homeless,
		.counters_fd = bpf_map__fd(skel->maps.counters),
		.rows_fd = bpf_map__fd(skel->maps.rows),
	};
	return true;
}

void bpf_unload(struct bpf_exits *b)
{
	exits__destroy(b->skeleton);
}
