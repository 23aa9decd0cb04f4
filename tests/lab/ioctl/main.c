// SPDX-License-Identifier: GPL-2.0
/*
 * ioctl-test: what a KVM device answers to ioctls that are wrong, odd, or at the
 * wrong time. Expected answers are those of the KVM API document and of Linux 6.1.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "system", test_system }, { "memory", test_memory }, { "vcpu", test_vcpu },
	{ "pointers", test_pointers }, { "replies", test_replies }, { "lifetime", test_lifetime },
	{ "halt", test_halt }, { "mechanisms", test_mechanisms }, { "stats", test_stats },
};

static int usage(FILE *to)
{
	unsigned int i;

	fprintf(to, "Usage: ioctl-test [DEVICE [GROUP]...]\n"
		"Test the ioctls of a KVM device (default /dev/kvm). Groups:");
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		fprintf(to, " %s", groups[i].name);
	fprintf(to, "\nExit status: 0 all passed, 1 some failed, 2 the tests could not be run.\n");
	return to == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	unsigned int i;
	int arg, found;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return usage(stdout);
	if (argc > 1)
		device = argv[1];
	if (argc <= 2) {
		for (i = 0; i < ARRAY_SIZE(groups); i++)
			groups[i].run();
		return summary();
	}
	for (arg = 2; arg < argc; arg++) {
		for (found = 0, i = 0; i < ARRAY_SIZE(groups); i++)
			if (!strcmp(argv[arg], groups[i].name)) {
				groups[i].run();
				found = 1;
			}
		if (!found)
			return usage(stderr);
	}
	return summary();
}
