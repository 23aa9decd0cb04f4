// SPDX-License-Identifier: GPL-2.0
/*
 * Reads recordings, trusting nothing in them: what does not follow docs/recording.md is refused, with the place where it does not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "recording.h"
#include "recording_words.h"
#include "util.h"

#define MAX_COUNT	(1ull << 53)	/* what a double holds exactly */
#define MAX_TICKS	((uint64_t)INT64_MAX)
#define MAX_DETAIL	EXEUNT_DETAIL_OTHERS
#define MAX_HIST_SHIFT	31		/* the last bucket's bounds fit 64 bits */
#define MIN_TICK_NS	1e-6
#define MAX_TICK_NS	1e6

/* Where in the file we are, for messages: a chain up to the whole, whose member is NULL and which has the message. */
struct at {
	const struct at *up;
	const char *member;		/* "vms", and then */
	size_t index;			/* its element, or NO_INDEX */
	char *error;
	size_t size;
};
#define NO_INDEX	SIZE_MAX

static void print_place(const struct at *at, FILE *f)
{
	if (!at->up)
		return;
	print_place(at->up, f);
	fprintf(f, "%s%s", at->up->up ? "." : "", at->member);
	if (at->index != NO_INDEX)
		fprintf(f, "[%zu]", at->index);
}

/* "total.vms[0].vcpus[1].rows[2].count: missing". Always false. */
__attribute__((format(printf, 3, 4)))
static bool wrong(const struct at *at, const char *member, const char *fmt, ...)
{
	const struct at here = { .up = at, .member = member, .index = NO_INDEX }, *root = at;
	va_list args;
	FILE *f;

	while (root->up)
		root = root->up;
	f = fmemopen(root->error, root->size, "w");
	if (!f)
		return false;
	print_place(member ? &here : at, f);
	fputs(": ", f);
	va_start(args, fmt);
	vfprintf(f, fmt, args);
	va_end(args);
	fclose(f);
	root->error[root->size - 1] = '\0';
	return false;
}

static bool check_number(const json_t *value, const struct at *at, const char *member, uint64_t min, uint64_t max, uint64_t *n)
{
	if (!value)
		return wrong(at, member, "missing");
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) < min ||
	    (uint64_t)json_integer_value(value) > max)
		return wrong(at, member, "not a whole number from %" PRIu64 " to %" PRIu64, min, max);
	*n = json_integer_value(value);
	return true;
}

static bool get_number(const json_t *object, const struct at *at, const char *member, uint64_t min, uint64_t max, uint64_t *n)
{
	return check_number(json_object_get(object, member), at, member, min, max, n);
}

/* The number of an element among @nr. */
static bool get_index(const json_t *object, const struct at *at, const char *member, size_t nr, size_t *index)
{
	return nr ? get_number(object, at, member, 0, nr - 1, index) : wrong(at, member, "there is none");
}

/* One line of printable characters. */
static bool get_text(const json_t *object, const struct at *at, const char *member, const char **s)
{
	const json_t *value = json_object_get(object, member);

	if (!value)
		return wrong(at, member, "missing");
	if (!json_is_string(value))
		return wrong(at, member, "not a string");
	*s = json_string_value(value);
	for (const char *c = *s; *c; c++)
		if (control_length(c))
			return wrong(at, member, "has control characters");
	return true;
}

static bool get_word(const json_t *object, const struct at *at, const char *member, const char *const *words, size_t nr, size_t *index)
{
	const char *word;

	if (!get_text(object, at, member, &word))
		return false;
	for (*index = 0; *index < nr; ++*index)
		if (!strcmp(word, words[*index]))
			return true;
	return wrong(at, member, "unknown: \"%.32s\"", word);
}

static bool get_array(const json_t *object, const struct at *at, const char *member, size_t max, const json_t **array)
{
	*array = json_object_get(object, member);
	if (!*array)
		return wrong(at, member, "missing");
	if (!json_is_array(*array))
		return wrong(at, member, "not an array");
	if (json_array_size(*array) > max)
		return wrong(at, member, "has more than %zu elements", max);
	return true;
}

static bool check_object(const json_t *value, const struct at *at)
{
	return json_is_object(value) || wrong(at, NULL, "not an object");
}

/* An array of @nr numbers, in place of an object where there are very many. */
static bool check_tuple(const json_t *value, const struct at *at, size_t nr)
{
	return (json_is_array(value) && json_array_size(value) == nr) || wrong(at, NULL, "not an array of %zu numbers", nr);
}

static bool parse_squares(const json_t *object, const struct at *at, struct exeunt_row *row)
{
	const unsigned __int128 max = ~(unsigned __int128)0;
	unsigned __int128 n = 0;
	const char *digits;

	if (!get_text(object, at, "squares_ticks", &digits))
		return false;
	if (!*digits || digits[strspn(digits, "0123456789")])
		return wrong(at, "squares_ticks", "not a decimal number");
	for (const char *d = digits; *d; d++) {
		if (n > (max - (*d - '0')) / 10)
			return wrong(at, "squares_ticks", "beyond 128 bits");
		n = n * 10 + (*d - '0');
	}
	row->square_lo = (uint64_t)n;
	row->square_hi = (uint64_t)(n >> 64);
	return true;
}

static bool parse_histogram(const json_t *object, const struct at *up, struct exeunt_row *row)
{
	struct at at = { .up = up, .member = "histogram" };
	uint64_t next = 0, bucket, count, sum = 0;
	const json_t *array;

	if (!get_array(object, up, "histogram", EXEUNT_HIST_BUCKETS, &array))
		return false;
	for (at.index = 0; at.index < json_array_size(array); at.index++) {
		const json_t *pair = json_array_get(array, at.index);

		if (!check_tuple(pair, &at, 2) ||
		    !check_number(json_array_get(pair, 0), &at, NULL, next, EXEUNT_HIST_BUCKETS - 1, &bucket) ||
		    !check_number(json_array_get(pair, 1), &at, NULL, 1, MAX_COUNT, &count))
			return false;
		row->hist[bucket] = count;
		sum += count;
		next = bucket + 1;
	}
	if (sum != row->count)
		return wrong(up, "histogram", "has %" PRIu64 " exits, count says %" PRIu64, sum, (uint64_t)row->count);
	return true;
}

static bool parse_row(const json_t *object, const struct at *at, struct exeunt_row *row)
{
	size_t kind, outcome;
	uint64_t reason, detail, count, total, min, max;

	if (!check_object(object, at) ||
	    !get_number(object, at, "reason", 0, EXEUNT_REASON_INVALID, &reason) ||
	    !get_word(object, at, "kind", kind_words, EXEUNT_KINDS, &kind) ||
	    !get_word(object, at, "outcome", outcome_words, EXEUNT_OUTCOMES, &outcome) ||
	    !get_number(object, at, "detail", 0, MAX_DETAIL, &detail) ||
	    !get_number(object, at, "count", 1, MAX_COUNT, &count) ||
	    !get_number(object, at, "total_ticks", 0, MAX_TICKS, &total) ||
	    !get_number(object, at, "min_ticks", 0, MAX_TICKS, &min) ||
	    !get_number(object, at, "max_ticks", min, MAX_TICKS, &max))
		return false;
	row->key = EXEUNT_KEY(reason, kind, outcome, detail);
	row->count = count;
	row->total = total;
	row->min = min;
	row->max = max;
	return parse_squares(object, at, row) && parse_histogram(object, at, row);
}

/* An array of objects, each with a count for what its other members say. @one finds the counter. */
static bool parse_counts(const json_t *object, const struct at *up, const char *member, struct exeunt_counters *c,
			 __u64 *(*one)(const json_t *element, const struct at *at, struct exeunt_counters *c))
{
	struct at at = { .up = up, .member = member };
	const json_t *array;
	uint64_t count;

	if (!json_object_get(object, member))
		return true;
	if (!get_array(object, up, member, 256, &array))
		return false;
	for (at.index = 0; at.index < json_array_size(array); at.index++) {
		const json_t *element = json_array_get(array, at.index);
		__u64 *counter;

		if (!check_object(element, &at) || !get_number(element, &at, "count", 1, MAX_COUNT, &count))
			return false;
		counter = one(element, &at, c);
		if (!counter)
			return false;
		if (*counter)
			return wrong(&at, NULL, "there already");
		*counter = count;
	}
	return true;
}

static __u64 *one_user_exit(const json_t *element, const struct at *at, struct exeunt_counters *c)
{
	uint64_t reason;

	return get_number(element, at, "reason", 0, EXEUNT_USER_REASONS - 1, &reason) ? &c->user_exits[reason] : NULL;
}

static __u64 *one_interrupt(const json_t *element, const struct at *at, struct exeunt_counters *c)
{
	uint64_t vector;

	return get_number(element, at, "vector", 0, 255, &vector) ? &c->interrupts[vector] : NULL;
}

static __u64 *one_exception(const json_t *element, const struct at *at, struct exeunt_counters *c)
{
	uint64_t vector;

	return get_number(element, at, "vector", 0, 31, &vector) ? &c->exceptions[vector] : NULL;
}

static __u64 *one_ipi(const json_t *element, const struct at *at, struct exeunt_counters *c)
{
	size_t destination, targets;
	uint64_t mode;

	if (!get_number(element, at, "delivery_mode", 0, 7, &mode) ||
	    !get_word(element, at, "destination", destination_words, 2, &destination) ||
	    !get_word(element, at, "targets", targets_words, 2, &targets))
		return NULL;
	return &c->ipis[mode][destination][targets];
}

static __u64 *one_ipi_target(const json_t *element, const struct at *at, struct exeunt_counters *c)
{
	size_t state, targets;

	if (!get_word(element, at, "targets", targets_words, 2, &targets) ||
	    !get_word(element, at, "state", target_words, EXEUNT_TARGETS, &state))
		return NULL;
	return &c->ipi_targets[targets][state];
}

static bool parse_counter(const json_t *object, const struct at *at, const char *member, __u64 *counter)
{
	uint64_t n = 0;
	bool ok = !json_object_get(object, member) || get_number(object, at, member, 0, MAX_TICKS, &n);

	*counter = n;
	return ok;
}

static bool parse_counters(const json_t *object, const struct at *up, struct exeunt_counters *c)
{
	const struct at at = { .up = up, .member = "counters", .index = NO_INDEX };

	if (!object)
		return wrong(up, "counters", "missing");
	if (!check_object(object, &at))
		return false;
#define PARSE(name) if (!parse_counter(object, &at, #name, &c->name)) return false;
	COUNTERS_EACH(PARSE)
#undef PARSE
	return parse_counts(object, &at, "user_exits", c, one_user_exit) &&
	       parse_counts(object, &at, "interrupts", c, one_interrupt) &&
	       parse_counts(object, &at, "exceptions", c, one_exception) &&
	       parse_counts(object, &at, "ipis", c, one_ipi) &&
	       parse_counts(object, &at, "ipi_targets", c, one_ipi_target);
}

static bool parse_vcpu(const json_t *object, const struct at *up, struct vcpu *vcpu)
{
	struct at at = { .up = up, .member = "rows" };
	const json_t *rows;
	uint64_t id, tid;

	if (!check_object(object, up) ||
	    !get_number(object, up, "id", 0, UINT32_MAX, &id) ||
	    !get_number(object, up, "tid", 0, INT32_MAX, &tid) ||
	    !parse_counters(json_object_get(object, "counters"), up, &vcpu->counters) ||
	    !get_array(object, up, "rows", RECORDING_MAX_ROWS, &rows))
		return false;
	vcpu->id = id;
	vcpu->tid = tid;
	vcpu->rows = xcalloc(json_array_size(rows), sizeof(*vcpu->rows));
	for (at.index = 0; at.index < json_array_size(rows); at.index++) {
		struct exeunt_row *row = &vcpu->rows[vcpu->nr_rows++];

		if (!parse_row(json_array_get(rows, at.index), &at, row))
			return false;
		if (at.index && row->key <= row[-1].key)
			return wrong(&at, NULL, "there already, or out of order");
	}
	return true;
}

static bool parse_tick(const json_t *object, const struct at *at, double *tick_ns)
{
	const json_t *value = json_object_get(object, "tick_ns");

	*tick_ns = json_number_value(value);
	if (!value)
		return wrong(at, "tick_ns", "missing");
	return (*tick_ns >= MIN_TICK_NS && *tick_ns <= MAX_TICK_NS) ||
	       wrong(at, "tick_ns", "not a number from %g to %g", MIN_TICK_NS, MAX_TICK_NS);
}

/* What a VM is, without its vCPUs. */
static bool parse_vm_head(const json_t *object, const struct at *at, struct vm *vm)
{
	static const char *const engines[] = { "exeunt", "kvm" };
	uint64_t pid, isa, shift;
	const char *name;
	size_t engine;

	if (!check_object(object, at) ||
	    !get_word(object, at, "engine", engines, 2, &engine) ||
	    !get_number(object, at, "id", 0, INT64_MAX, &vm->id) ||
	    !get_number(object, at, "pid", 0, INT32_MAX, &pid) ||
	    !get_text(object, at, "name", &name) ||
	    !get_number(object, at, "isa", 0, UINT32_MAX, &isa) ||
	    !parse_tick(object, at, &vm->tick_ns) ||
	    !get_number(object, at, "hist_shift", 0, MAX_HIST_SHIFT, &shift) ||
	    !get_number(object, at, "unaccounted", 0, MAX_COUNT, &vm->unaccounted))
		return false;
	if (!*name || strlen(name) >= sizeof(vm->name))
		return wrong(at, "name", "not 1 to %zu bytes long", sizeof(vm->name) - 1);
	if (!json_is_boolean(json_object_get(object, "ended")))
		return wrong(at, "ended", "not true or false");
	strcpy(vm->engine, engines[engine]);
	strcpy(vm->name, name);
	vm->pid = pid;
	vm->isa = isa;
	vm->hist_shift = shift;
	vm->ended = json_is_true(json_object_get(object, "ended"));
	return true;
}

static bool parse_vm(const json_t *object, const struct at *up, struct vm *vm, size_t *vcpus_left)
{
	struct at at = { .up = up, .member = "vcpus" };
	const json_t *vcpus;

	if (!parse_vm_head(object, up, vm) || !get_array(object, up, "vcpus", *vcpus_left, &vcpus))
		return false;
	*vcpus_left -= json_array_size(vcpus);
	vm->vcpus = xcalloc(json_array_size(vcpus), sizeof(*vm->vcpus));
	for (at.index = 0; at.index < json_array_size(vcpus); at.index++) {
		struct vcpu *vcpu = &vm->vcpus[vm->nr_vcpus++];

		if (!parse_vcpu(json_array_get(vcpus, at.index), &at, vcpu))
			return false;
		if (at.index && vcpu->id <= vcpu[-1].id)
			return wrong(&at, "id", "there already, or out of order");
	}
	return true;
}

static bool vm_before(const struct vm *a, const struct vm *b)
{
	int r = strcmp(a->engine, b->engine);

	return r < 0 || (!r && a->id < b->id);
}

static bool parse_total(const json_t *object, const struct at *root, struct sample *total)
{
	const struct at up = { .up = root, .member = "total", .index = NO_INDEX };
	struct at at = { .up = &up, .member = "vms" };
	size_t vcpus_left = RECORDING_MAX_VCPUS;
	const json_t *vms;

	if (!object)
		return wrong(root, "total", "missing");
	if (!check_object(object, &up) ||
	    !get_number(object, &up, "time_ns", 0, INT64_MAX, &total->time_ns) ||
	    !get_array(object, &up, "vms", RECORDING_MAX_VMS, &vms))
		return false;
	total->vms = xcalloc(json_array_size(vms), sizeof(*total->vms));
	for (at.index = 0; at.index < json_array_size(vms); at.index++) {
		struct vm *vm = &total->vms[total->nr_vms++];

		if (!parse_vm(json_array_get(vms, at.index), &at, vm, &vcpus_left))
			return false;
		if (at.index && !vm_before(vm - 1, vm))
			return wrong(&at, "id", "there already, or out of order");
	}
	return true;
}

/* What of the total the intervals have not accounted for yet: a flat array, with where each vCPU begins in it. */
struct rest {
	size_t *vms;			/* index of a VM's first vCPU in @vcpus */
	size_t *vcpus;			/* index of a vCPU's first row in @rows */
	struct rest_row { uint64_t count, ticks; } *rows;
};

static void rest_init(struct rest *rest, const struct sample *total)
{
	size_t nr_vcpus = 0, nr_rows = 0;

	for (size_t m = 0; m < total->nr_vms; m++) {
		nr_vcpus += total->vms[m].nr_vcpus;
		for (size_t c = 0; c < total->vms[m].nr_vcpus; c++)
			nr_rows += total->vms[m].vcpus[c].nr_rows;
	}
	*rest = (struct rest){
		.vms = xcalloc(total->nr_vms, sizeof(*rest->vms)),
		.vcpus = xcalloc(nr_vcpus, sizeof(*rest->vcpus)),
		.rows = xcalloc(nr_rows, sizeof(*rest->rows)),
	};
	nr_vcpus = nr_rows = 0;
	for (size_t m = 0; m < total->nr_vms; m++) {
		rest->vms[m] = nr_vcpus;
		for (const struct vcpu *v = total->vms[m].vcpus; v < total->vms[m].vcpus + total->vms[m].nr_vcpus; v++) {
			rest->vcpus[nr_vcpus++] = nr_rows;
			for (size_t i = 0; i < v->nr_rows; i++)
				rest->rows[nr_rows++] = (struct rest_row){ v->rows[i].count, v->rows[i].total };
		}
	}
}

static void rest_free(struct rest *rest)
{
	free(rest->vms);
	free(rest->vcpus);
	free(rest->rows);
}

static bool rest_check_empty(const struct rest *rest, const struct sample *total, const struct at *root)
{
	const struct rest_row *row = rest->rows;

	for (size_t m = 0; m < total->nr_vms; m++)
		for (size_t c = 0; c < total->vms[m].nr_vcpus; c++)
			for (size_t i = 0; i < total->vms[m].vcpus[c].nr_rows; i++, row++)
				if (row->count)
					return wrong(root, "intervals", "fewer exits than total.vms[%zu].vcpus[%zu].rows[%zu]", m, c, i);
	return true;
}

static bool parse_interval_row(const json_t *tuple, const struct at *at, const struct vcpu *vcpu, struct rest_row *rest,
			       size_t first, size_t *index, struct interval_row *row)
{
	if (!check_tuple(tuple, at, 3) ||
	    !check_number(json_array_get(tuple, 0), at, NULL, first, vcpu->nr_rows - 1, index) ||
	    !check_number(json_array_get(tuple, 1), at, NULL, 1, MAX_COUNT, &row->count) ||
	    !check_number(json_array_get(tuple, 2), at, NULL, 0, MAX_TICKS, &row->ticks))
		return false;
	if (row->count > rest[*index].count || row->ticks > rest[*index].ticks)
		return wrong(at, NULL, "with this, the intervals are more than the total");
	rest[*index].count -= row->count;
	rest[*index].ticks -= row->ticks;
	row->key = vcpu->rows[*index].key;
	return true;
}

static bool parse_interval_rows(const json_t *object, const struct at *up, const struct vcpu *vcpu, struct rest_row *rest,
				struct interval_vcpu *v)
{
	struct at at = { .up = up, .member = "rows" };
	size_t next = 0, index;
	const json_t *rows;

	if (!get_array(object, up, "rows", vcpu->nr_rows, &rows))
		return false;
	if (!json_array_size(rows))
		return wrong(up, "rows", "empty");
	v->rows = xcalloc(json_array_size(rows), sizeof(*v->rows));
	for (at.index = 0; at.index < json_array_size(rows); at.index++, next = index + 1)
		if (!parse_interval_row(json_array_get(rows, at.index), &at, vcpu, rest, next, &index, &v->rows[v->nr_rows++]))
			return false;
	return true;
}

/* @place: the VM and the vCPU of the element before, and then of this one. */
static bool parse_interval_vcpu(const json_t *object, const struct at *at, const struct sample *total, struct rest *rest,
				size_t place[2], struct interval_vcpu *v)
{
	const struct vm *vm;
	size_t m, c;

	if (!check_object(object, at) || !get_index(object, at, "vm", total->nr_vms, &m))
		return false;
	vm = &total->vms[m];
	if (!get_index(object, at, "vcpu", vm->nr_vcpus, &c))
		return false;
	if (place[0] != NO_INDEX && (m < place[0] || (m == place[0] && c <= place[1])))
		return wrong(at, NULL, "there already, or out of order");
	place[0] = m;
	place[1] = c;
	memcpy(v->engine, vm->engine, sizeof(v->engine));
	v->vm = vm->id;
	v->vcpu = vm->vcpus[c].id;
	return parse_interval_rows(object, at, &vm->vcpus[c], &rest->rows[rest->vcpus[rest->vms[m] + c]], v);
}

static bool parse_interval(const json_t *object, const struct at *up, struct recording *r, struct rest *rest, struct interval *in)
{
	struct at at = { .up = up, .member = "vcpus" };
	size_t place[2] = { NO_INDEX, NO_INDEX };
	const json_t *vcpus;

	if (!check_object(object, up) ||
	    !get_number(object, up, "begin_ns", in > r->intervals ? in[-1].end_ns : 0, r->duration_ns, &in->begin_ns) ||
	    !get_number(object, up, "end_ns", in->begin_ns, r->duration_ns, &in->end_ns) ||
	    !get_array(object, up, "vcpus", RECORDING_MAX_VCPUS, &vcpus))
		return false;
	in->vcpus = xcalloc(json_array_size(vcpus), sizeof(*in->vcpus));
	for (at.index = 0; at.index < json_array_size(vcpus); at.index++) {
		struct interval_vcpu *v = &in->vcpus[in->nr_vcpus++];

		if (!parse_interval_vcpu(json_array_get(vcpus, at.index), &at, &r->total, rest, place, v))
			return false;
		r->nr_interval_rows += v->nr_rows;
		if (r->nr_interval_rows > RECORDING_MAX_INTERVAL_ROWS)
			return wrong(&at, "rows", "more than %u rows of intervals", RECORDING_MAX_INTERVAL_ROWS);
	}
	return true;
}

static bool parse_intervals(const json_t *object, const struct at *root, struct recording *r)
{
	struct at at = { .up = root, .member = "intervals" };
	const json_t *intervals;
	struct rest rest;
	bool ok = true;

	if (!get_array(object, root, "intervals", RECORDING_MAX_INTERVALS, &intervals))
		return false;
	if (!json_array_size(intervals))
		return wrong(root, "intervals", "empty");
	rest_init(&rest, &r->total);
	r->intervals = xcalloc(json_array_size(intervals), sizeof(*r->intervals));
	for (at.index = 0; ok && at.index < json_array_size(intervals); at.index++)
		ok = parse_interval(json_array_get(intervals, at.index), &at, r, &rest, &r->intervals[r->nr_intervals++]);
	ok = ok && rest_check_empty(&rest, &r->total, root);
	rest_free(&rest);
	return ok;
}

static bool parse_head(const json_t *object, const struct at *root, struct recording *r)
{
	const json_t *begin = json_object_get(object, "begin_unix_ns");
	const char *hostname, *kernel, *tool_version, *command = NULL;
	uint64_t interval_ms;

	if (!get_text(object, root, "tool_version", &tool_version) ||
	    !get_text(object, root, "hostname", &hostname) ||
	    !get_text(object, root, "kernel", &kernel) ||
	    (!json_is_null(json_object_get(object, "command")) && !get_text(object, root, "command", &command)) ||
	    !get_number(object, root, "duration_ns", 0, INT64_MAX, &r->duration_ns) ||
	    !get_number(object, root, "interval_ms", 0, RECORDING_MAX_INTERVAL_MS, &interval_ms))
		return false;
	if (!json_is_integer(begin))
		return wrong(root, "begin_unix_ns", "not a whole number");
	r->begin_unix_ns = json_integer_value(begin);
	r->interval_ms = interval_ms;
	r->tool_version = xstrdup(tool_version);
	r->hostname = xstrdup(hostname);
	r->kernel = xstrdup(kernel);
	r->command = command ? xstrdup(command) : NULL;
	return true;
}

/* Is it ours at all, and of a version that we know? */
static bool check_format(const json_t *object, char *error, size_t size)
{
	const char *format = json_string_value(json_object_get(object, "format"));
	const json_t *version = json_object_get(object, "version");

	if (!format || strcmp(format, RECORDING_FORMAT)) {
		snprintf(error, size, "not a recording of exeunt");
		return false;
	}
	if (!json_is_integer(version) || json_integer_value(version) < 1) {
		snprintf(error, size, "version: not a whole number from 1");
		return false;
	}
	if (json_integer_value(version) > RECORDING_VERSION) {
		snprintf(error, size, "a recording of version %" JSON_INTEGER_FORMAT "; this program reads up to %d",
			 json_integer_value(version), RECORDING_VERSION);
		return false;
	}
	return true;
}

static struct recording *parse_recording(const json_t *object, char *error, size_t size)
{
	const struct at root = { .index = NO_INDEX, .error = error, .size = size };
	struct recording *r;

	if (!check_format(object, error, size))
		return NULL;
	r = xcalloc(1, sizeof(*r));
	if (parse_head(object, &root, r) && parse_total(json_object_get(object, "total"), &root, &r->total) &&
	    parse_intervals(object, &root, r))
		return r;
	recording_free(r);
	return NULL;
}

/* jansson's words for what is no JSON at all may quote the file, which may be anything: only the place is told. */
static void explain_json_error(const json_error_t *e, size_t len, char *error, size_t size)
{
	switch (json_error_code(e)) {
	case json_error_premature_end_of_input:
		if (len)
			snprintf(error, size, "truncated: it ends within line %d", e->line);
		else
			snprintf(error, size, "empty");
		break;
	case json_error_duplicate_key:
		snprintf(error, size, "line %d, column %d: a member that is there already", e->line, e->column);
		break;
	case json_error_null_byte_in_key:
		snprintf(error, size, "line %d, column %d: a member with \\u0000 in its name", e->line, e->column);
		break;
	case json_error_numeric_overflow:
		snprintf(error, size, "line %d, column %d: a number that is too large", e->line, e->column);
		break;
	case json_error_out_of_memory:
		die(STATUS_FAILED, "out of memory");
	default:
		snprintf(error, size, "not a recording of exeunt: no JSON from line %d, column %d on", e->line, e->column);
	}
}

struct recording *recording_parse(const char *text, size_t len, char *error, size_t size)
{
	struct recording *r;
	json_error_t e;
	json_t *object;

	if (len > RECORDING_MAX_BYTES) {
		snprintf(error, size, "larger than %u MiB", RECORDING_MAX_BYTES >> 20);
		return NULL;
	}
	object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!object) {
		explain_json_error(&e, len, error, size);
		return NULL;
	}
	r = parse_recording(object, error, size);
	json_decref(object);
	return r;
}

struct recording *recording_read(FILE *f, char *error, size_t size)
{
	size_t len = 0, room = 0;
	struct recording *r;
	char *text = NULL;

	while (!feof(f) && !ferror(f) && len <= RECORDING_MAX_BYTES) {
		if (len == room) {
			room = room ? 2 * room : 1 << 16;
			text = xreallocarray(text, room, 1);
		}
		len += fread(text + len, 1, room - len, f);
	}
	if (ferror(f)) {
		snprintf(error, size, "cannot read: %s", strerror(errno));
		free(text);
		return NULL;
	}
	r = recording_parse(text, len, error, size);
	free(text);
	return r;
}
