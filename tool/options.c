// SPDX-License-Identifier: GPL-2.0
/*
 * See options.h.
 */
#include <inttypes.h>
#include <limits.h>
#include "options.h"
#include "util.h"
#include "vmname.h"

enum { OPTION_VM = 0x200, OPTION_VCPU, OPTION_ENGINE };

static const struct argp_option target_option_list[] = {
	{ "pid", 'p', "PID", 0, "The virtual machines of this process", 0 },
	{ "vm", OPTION_VM, "NAME", 0, "The virtual machine of this name: QEMU's -name, or the process's", 0 },
	{ "vcpu", OPTION_VCPU, "N", 0, "Only the vCPU with this number", 0 },
	{ "engine", OPTION_ENGINE, "ENGINE", 0, "exeunt (its module), kvm (stock KVM), or auto: whichever is there (default)", 0 },
	{ 0 }
};

uint64_t number_argument(const struct argp_state *state, const char *what, const char *arg, uint64_t min, uint64_t max)
{
	uint64_t value = 0;

	if (!parse_number(arg, min, max, &value))
		argp_error(state, "%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'", what, min, max, arg);
	return value;
}

unsigned int interval_argument(const struct argp_state *state, const char *arg)
{
	return number_argument(state, "-I", arg, INTERVAL_MIN_MS, INTERVAL_MAX_MS);
}

char **take_command(struct argp_state *state)
{
	char **command = &state->argv[state->next - 1];

	state->next = state->argc;
	return command;
}

static enum engine engine_argument(const struct argp_state *state, const char *arg)
{
	int engine = engine_parse(arg);

	if (engine < 0)
		argp_error(state, "--engine is auto, exeunt or kvm, not '%s'", arg);
	return engine;
}

static void set_name(struct target_options *o, const struct argp_state *state, const char *arg)
{
	if (!*arg)
		argp_error(state, "--vm takes a name");
	name_clean(o->name, sizeof(o->name), arg);
	o->target.vm = o->name;
}

static void only_once(const struct argp_state *state, const char *what, bool given)
{
	if (given)
		argp_error(state, "%s is given twice", what);
}

static error_t parse_target(int key, char *arg, struct argp_state *state)
{
	struct target_options *o = state->input;

	switch (key) {
	case 'p':
		only_once(state, "-p", o->target.pid);
		o->target.pid = number_argument(state, "-p", arg, 1, INT_MAX);
		return 0;
	case OPTION_VM:
		only_once(state, "--vm", o->target.vm);
		set_name(o, state, arg);
		return 0;
	case OPTION_VCPU:
		only_once(state, "--vcpu", o->target.one_vcpu);
		o->target.vcpu = number_argument(state, "--vcpu", arg, 0, UINT32_MAX);
		o->target.one_vcpu = true;
		return 0;
	case OPTION_ENGINE:
		o->engine = engine_argument(state, arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp target_argp = { target_option_list, parse_target, NULL, NULL, NULL, NULL, NULL };
