// SPDX-License-Identifier: GPL-2.0
/*
 * See source_exeunt.h. Owns the conversation with /dev/exeunt. The session is open as long as the source, so that VMs which end stay
 * readable; those that had ended before are nobody's business here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "source_exeunt.h"
#include "util.h"
#include "vmname.h"

#define DEVICE		"/dev/exeunt"
#define ACCOUNTING	"/sys/module/exeunt_amd/parameters/accounting"
#define MAX_ROWS	65536	/* of a vCPU: more than that is not believed */
#define ATTEMPTS	8	/* while what is read outgrows the room that was right for it a moment ago, */
#define SLACK		16	/* and so much more */

/* A VM of the last list: what is known of it for good. */
struct known_vm {
	uint64_t id;
	bool ended_before;		/* when the source was opened */
	char name[sizeof(((struct vm *)0)->name)];
};

struct exeunt_source {
	int device, session;
	bool warned;			/* that accounting has been switched off */
	const struct target *target;
	struct exeunt_info info;
	bool opened;			/* the first list has been read */
	size_t nr_known;
	struct known_vm *known;
	uint32_t vms_room, rows_room;
	struct exeunt_vm_list *list;
	struct exeunt_row *rows;
};

/* --- Opening --- */

bool exeunt_present(bool *owns_dev_kvm)
{
	struct exeunt_info info = { 0 };
	int fd;

	*owns_dev_kvm = false;
	if (access(DEVICE, F_OK))
		return false;
	*owns_dev_kvm = true;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		*owns_dev_kvm = !ioctl(fd, EXEUNT_GET_INFO, &info) && info.owns_dev_kvm;
		close(fd);
	}
	return true;
}

static int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		complain("Exeunt's module is not loaded: there is no %s", DEVICE);
	else if (errno == EACCES || errno == EPERM)
		complain("no permission to open %s: this needs root", DEVICE);
	else
		complain("cannot open %s: %s", DEVICE, strerror(errno));
	return -1;
}

static bool check_info(int device, struct exeunt_info *info)
{
	memset(info, 0, sizeof(*info));
	if (ioctl(device, EXEUNT_GET_INFO, info)) {
		if (errno == ENOTTY)
			complain("the loaded module has no statistics, this exeunt wants version %d: install matching ones",
				 EXEUNT_STATS_VERSION);
		else
			complain("cannot ask the module for its version: %s", strerror(errno));
		return false;
	}
	if (info->version != EXEUNT_STATS_VERSION) {
		complain("the loaded module has statistics version %u, this exeunt %d: install matching ones", info->version,
			 EXEUNT_STATS_VERSION);
		return false;
	}
	if (!info->accounting) {
		complain("the module's accounting is switched off: write Y to %s", ACCOUNTING);
		return false;
	}
	if (!info->cycles_khz || info->hist_shift > 31) {
		complain("the module gives a clock of %" PRIu64 " kHz and a histogram of shift %u: no use", (uint64_t)info->cycles_khz,
			 info->hist_shift);
		return false;
	}
	return true;
}

static int open_session(int device)
{
	int session = ioctl(device, EXEUNT_OPEN_STATS);

	if (session >= 0)
		return session;
	if (errno == EPERM || errno == EACCES)
		complain("reading statistics needs CAP_PERFMON or root");
	else
		complain("cannot open the module's statistics: %s", strerror(errno));
	return -1;
}

struct exeunt_source *exeunt_source_open(const struct target *t, int *status)
{
	struct exeunt_source *src;
	struct exeunt_info info;
	struct sample first;
	int session = -1, device = open_device();

	*status = STATUS_FAILED;
	if (device < 0)
		return NULL;
	if (check_info(device, &info))
		session = open_session(device);
	if (session < 0) {
		close(device);
		return NULL;
	}
	src = xcalloc(1, sizeof(*src));
	src->device = device;
	src->session = session;
	src->target = t;
	src->info = info;
	if (exeunt_source_read(src, &first)) {
		exeunt_source_close(src);
		return NULL;
	}
	sample_free(&first);
	src->opened = true;
	return src;
}

void exeunt_source_close(struct exeunt_source *src)
{
	close(src->session);
	close(src->device);
	free(src->known);
	free(src->list);
	free(src->rows);
	free(src);
}

/* --- The list of VMs --- */

static bool make_list_room(struct exeunt_source *src, uint32_t nr)
{
	if (nr > EXEUNT_MAX_VMS)
		return false;
	if (nr > src->vms_room || !src->list) {
		free(src->list);
		src->list = xcalloc(1, sizeof(*src->list) + nr * sizeof(src->list->vms[0]));
		src->vms_room = nr;
	}
	return true;
}

static int read_list(struct exeunt_source *src)
{
	uint32_t room = src->vms_room ? src->vms_room : 16;

	for (int i = 0; i < ATTEMPTS && make_list_room(src, room); i++) {
		src->list->nr = src->vms_room;
		if (!ioctl(src->session, EXEUNT_LIST_VMS, src->list))
			return 0;
		if (errno != E2BIG)
			break;
		room = src->list->nr + SLACK;
	}
	complain("cannot list the virtual machines: %s", strerror(errno));
	return -1;
}

static const struct known_vm *find_known(const struct exeunt_source *src, uint64_t id)
{
	for (size_t i = 0; i < src->nr_known; i++) {
		if (src->known[i].id == id)
			return &src->known[i];
	}
	return NULL;
}

/* A VM that has ended gets its name from what the list says: its process id may be another's by now. */
static struct known_vm learn(const struct exeunt_source *src, const struct exeunt_vm_entry *e)
{
	const struct known_vm *old = find_known(src, e->id);
	struct known_vm vm = { .id = e->id };
	char comm[sizeof(e->comm) + 1] = "";
	bool ended = e->flags & EXEUNT_VM_ENDED;

	if (old)
		return *old;
	memcpy(comm, e->comm, sizeof(e->comm));
	vm_name(vm.name, sizeof(vm.name), ended ? 0 : e->pid, comm);
	vm.ended_before = ended && !src->opened;
	return vm;
}

/* known[i] becomes what is known of vms[i]. */
static void learn_list(struct exeunt_source *src)
{
	struct known_vm *known = xcalloc(src->list->nr, sizeof(*known));

	for (uint32_t i = 0; i < src->list->nr; i++)
		known[i] = learn(src, &src->list->vms[i]);
	free(src->known);
	src->known = known;
	src->nr_known = src->list->nr;
}

/* --- A vCPU --- */

static int by_key(const void *pa, const void *pb)
{
	const struct exeunt_row *a = pa, *b = pb;

	return (a->key > b->key) - (a->key < b->key);
}

/* 0, or errno. */
static int read_vcpu(struct exeunt_source *src, uint64_t vm_id, struct vcpu *v)
{
	struct exeunt_read_vcpu arg;
	uint32_t room = EXEUNT_MAX_ROWS;

	for (int i = 0; i < ATTEMPTS && room <= MAX_ROWS; i++) {
		if (room > src->rows_room) {
			src->rows = xreallocarray(src->rows, room, sizeof(*src->rows));
			src->rows_room = room;
		}
		memset(&v->counters, 0, sizeof(v->counters));
		arg = (struct exeunt_read_vcpu){
			.vm_id = vm_id,
			.vcpu_id = v->id,
			.nr_rows = src->rows_room,
			.rows = (uintptr_t)src->rows,
			.counters = (uintptr_t)&v->counters,
			.counters_size = sizeof(v->counters),
		};
		if (!ioctl(src->session, EXEUNT_READ_VCPU, &arg)) {
			v->tid = arg.tid;
			v->nr_rows = arg.nr_rows;
			v->rows = xcalloc(arg.nr_rows, sizeof(*v->rows));
			memcpy(v->rows, src->rows, arg.nr_rows * sizeof(*v->rows));
			qsort(v->rows, v->nr_rows, sizeof(*v->rows), by_key);
			return 0;
		}
		if (errno != E2BIG)
			return errno;
		room = arg.nr_rows + SLACK;
	}
	return E2BIG;
}

/* --- A VM --- */

static void describe(const struct exeunt_source *src, const struct exeunt_vm_entry *e, const struct known_vm *known, struct vm *vm)
{
	*vm = (struct vm){
		.id = e->id,
		.pid = e->pid,
		.engine = "exeunt",
		.isa = src->info.isa,
		.ended = e->flags & EXEUNT_VM_ENDED,
		.tick_ns = 1e6 / src->info.cycles_khz,
		.hist_shift = src->info.hist_shift,
	};
	memcpy(vm->name, known->name, sizeof(vm->name));
}

/* A vCPU, or the whole VM, that is not there any more is no error. */
static int read_vcpus(struct exeunt_source *src, const struct exeunt_vm_entry *e, struct vm *vm)
{
	size_t room = 0;

	for (uint64_t id = 0; e->nr_vcpus && id <= e->max_vcpu_id && vm->nr_vcpus < e->nr_vcpus; id++) {
		struct vcpu v = { .id = id };
		int error = read_vcpu(src, vm->id, &v);

		if (error == ENOENT)
			continue;
		if (error) {
			complain("cannot read the statistics of vCPU %" PRIu64 " of process %d: %s", id, vm->pid, strerror(error));
			return -1;
		}
		if (vm->nr_vcpus == room) {
			room = room ? 2 * room : 8;
			vm->vcpus = xreallocarray(vm->vcpus, room, sizeof(*vm->vcpus));
		}
		vm->vcpus[vm->nr_vcpus++] = v;
	}
	return 0;
}

/* While it is off the numbers stand still, which must not be taken for a guest without exits. */
static void warn_of_accounting(struct exeunt_source *src)
{
	struct exeunt_info info = { 0 };

	if (src->warned || ioctl(src->device, EXEUNT_GET_INFO, &info) || info.accounting)
		return;
	complain("warning: the module's accounting has been switched off, exits are missing: %s", ACCOUNTING);
	src->warned = true;
}

int exeunt_source_read(struct exeunt_source *src, struct sample *s)
{
	memset(s, 0, sizeof(*s));
	warn_of_accounting(src);
	if (read_list(src))
		return -1;
	learn_list(src);
	s->time_ns = now_ns();
	s->vms = xcalloc(src->list->nr, sizeof(*s->vms));
	for (uint32_t i = 0; i < src->list->nr; i++) {
		struct vm *vm = &s->vms[s->nr_vms];

		describe(src, &src->list->vms[i], &src->known[i], vm);
		if (src->known[i].ended_before || !target_means(src->target, vm))
			continue;
		s->nr_vms++;
		if (read_vcpus(src, &src->list->vms[i], vm)) {
			sample_free(s);
			return -1;
		}
	}
	return 0;
}
