// SPDX-License-Identifier: GPL-2.0
/*
 * Does the kernel's verifier take a BPF object that is fitted to another kernel? load OBJECT TYPES: OBJECT's programs whose trace points
 * TYPES has are relocated to its layouts and loaded. Prints their number; status 0 if all were taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define OURS	"kvm_"

static const char *event_of(const struct bpf_program *prog)
{
	return strrchr(bpf_program__section_name(prog), '/') + 1;
}

static int has_event(const struct btf *types, const char *event)
{
	char record[128];

	snprintf(record, sizeof(record), "trace_event_raw_%s", event);
	return btf__find_by_name_kind(types, record, BTF_KIND_STRUCT) > 0;
}

int main(int argc, char **argv)
{
	struct bpf_object_open_opts opts = { .sz = sizeof(opts), .btf_custom_path = argc == 3 ? argv[2] : NULL };
	struct bpf_object *object = argc == 3 ? bpf_object__open_file(argv[1], &opts) : NULL;
	struct btf *types = object ? btf__parse(argv[2], NULL) : NULL;
	struct bpf_program *prog;
	unsigned int loaded = 0, left_out = 0;

	if (!object || !types) {
		fprintf(stderr, "load: no such object or types\n");
		return 2;
	}
	bpf_object__for_each_program(prog, object) {
		int wanted = strncmp(event_of(prog), OURS, strlen(OURS)) || has_event(types, event_of(prog));

		bpf_program__set_autoload(prog, wanted);
		*(wanted ? &loaded : &left_out) += 1;
	}
	if (bpf_object__load(object))
		return 1;
	printf("%u programs, %u left out\n", loaded, left_out);
	return 0;
}
