// SPDX-License-Identifier: GPL-2.0
/*
 * See source.h. Owns the choice of the engine, and the merging where both are watched.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "source.h"
#include "source_bpf.h"
#include "source_exeunt.h"
#include "util.h"

struct source {
	struct exeunt_source *exeunt;	/* NULL: not watched */
	struct bpf_source *bpf;
};

int engine_parse(const char *word)
{
	static const char *const words[] = { [ENGINE_AUTO] = "auto", [ENGINE_EXEUNT] = "exeunt", [ENGINE_KVM] = "kvm" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(word, words[i]))
			return i;
	}
	return -1;
}

/* Is what -p or --vm mean a VM of Exeunt's? Then there is no need to trace every exit of every other VM. */
static bool exeunt_has_target(struct source *src, const struct target *t)
{
	struct sample s;
	bool found;

	if (!src->exeunt || (!t->pid && !t->vm) || exeunt_source_read(src->exeunt, &s))
		return false;
	sample_select(&s, t);
	found = s.nr_vms;
	sample_free(&s);
	return found;
}

static bool kvm_runs(bool exeunt_owns_dev_kvm)
{
	return !access("/sys/module/kvm", F_OK) || (!exeunt_owns_dev_kvm && !access("/dev/kvm", F_OK));
}

/* Both, where both are there; one that cannot be watched has said why, and is left out if the other can. */
static void open_what_is_there(struct source *src, const struct target *t, int *status)
{
	bool owns_dev_kvm, exeunt = exeunt_present(&owns_dev_kvm), kvm = kvm_runs(owns_dev_kvm);

	if (exeunt)
		src->exeunt = exeunt_source_open(t, status);
	if (kvm && !exeunt_has_target(src, t))
		src->bpf = bpf_source_open(t, status);
	if (!exeunt && !kvm)
		complain("no hypervisor is loaded, neither Exeunt nor KVM");
}

struct source *source_open(enum engine engine, const struct target *t, int *status)
{
	struct source *src = xcalloc(1, sizeof(*src));

	*status = STATUS_FAILED;
	switch (engine) {
	case ENGINE_EXEUNT:
		src->exeunt = exeunt_source_open(t, status);
		break;
	case ENGINE_KVM:
		src->bpf = bpf_source_open(t, status);
		break;
	case ENGINE_AUTO:
		open_what_is_there(src, t, status);
		break;
	}
	if (src->exeunt || src->bpf)
		return src;
	source_close(src);
	return NULL;
}

/* Appends @b's VMs, and takes them from it. */
static void merge(struct sample *a, struct sample *b)
{
	a->vms = xreallocarray(a->vms, a->nr_vms + b->nr_vms, sizeof(*a->vms));
	if (b->nr_vms)
		memcpy(&a->vms[a->nr_vms], b->vms, b->nr_vms * sizeof(*b->vms));
	a->nr_vms += b->nr_vms;
	a->time_ns = b->time_ns;
	free(b->vms);
}

int source_read(struct source *src, struct sample *s)
{
	struct sample kvm;

	memset(s, 0, sizeof(*s));
	if (src->exeunt && exeunt_source_read(src->exeunt, s))
		return -1;
	if (!src->bpf)
		return 0;
	if (bpf_source_read(src->bpf, &kvm)) {
		sample_free(s);
		return -1;
	}
	merge(s, &kvm);
	return 0;
}

void source_close(struct source *src)
{
	if (src->exeunt)
		exeunt_source_close(src->exeunt);
	if (src->bpf)
		bpf_source_close(src->bpf);
	free(src);
}
