// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of `exeunt bench` but for the virtual machine, which the test plays: options, selection, table and JSON. Each run is a process
 * of its own, whose output is read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <argp.h>
#include <jansson.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"
#include "cmd.h"
#include "source.h"
#include "util.h"

#define ROOM 1000000

static char out[ROOM], err[ROOM];

/* Of an option that this command has not. */
int engine_parse(const char *word)
{
	return -1;
}

/* --- The virtual machine --- */

bool bench_check_device(const char *device)
{
	if (!strcmp(device, "/dev/nothing"))
		complain("there is no '%s'", device);
	return strcmp(device, "/dev/nothing");
}

/* What was asked for goes into the remark. */
static void describe(struct bench_result *r, const struct bench_setup *s)
{
	int len = snprintf(r->words, sizeof(r->words), "%s n=%u c=%u timeout=%u pin=%d cpus", s->device, s->samples, s->vcpus, s->timeout,
			   s->pin);

	for (unsigned int i = 0; i < s->nr_cpus; i++)
		len += snprintf(r->words + len, sizeof(r->words) - len, " %u", s->cpus[i]);
}

void bench_run(struct bench_result *r, const struct bench_setup *setup, const struct bench_operation *operation, struct bench_host *host)
{
	*r = (struct bench_result){ .operation = operation, .vcpus = operation->vcpus ? operation->vcpus : setup->vcpus, .empty = 7 };
	*host = (struct bench_host){ .tsc_khz = 2500000, .nrips = true };
	if (!strncmp(operation->name, "pv_", 3)) {
		r->outcome = BENCH_SKIPPED;
		strcpy(r->words, "PV IPI is not offered");
	} else if (!strcmp(operation->name, "npf_2m_first")) {
		r->outcome = BENCH_FAILED;
		strcpy(r->words, "timed out after 60 s");
	} else {
		r->cost = (struct summary){ .n = setup->samples, .min = 600, .median = 603, .p99 = 662, .max = 9000, .mean = 608.75,
					    .error = 2.5, .half_width = 4.9 };
	}
	if (!strcmp(operation->name, "cpuid"))
		describe(r, setup);
}

/* --- Runs --- */

static void read_all(int fd, char *to)
{
	size_t len = 0;
	ssize_t n;

	while (len < ROOM - 1 && (n = read(fd, to + len, ROOM - 1 - len)) > 0)
		len += n;
	to[len] = '\0';
	close(fd);
}

static void be_bench(char **words, int output, int errors)
{
	int argc = 0;

	while (words[argc])
		argc++;
	dup2(output, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	argp_err_exit_status = STATUS_USAGE;
	command_name = "bench";
	exit(cmd_bench(argc, words));
}

/* The exit status, or minus the signal. */
static int bench_words(char **words)
{
	FILE *errors = tmpfile();
	int ends[2], status;
	pid_t child;

	assert_non_null(errors);
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	if (!child) {
		close(ends[0]);
		be_bench(words, ends[1], fileno(errors));
	}
	close(ends[1]);
	read_all(ends[0], out);
	assert_int_equal(waitpid(child, &status, 0), child);
	rewind(errors);
	err[fread(err, 1, ROOM - 1, errors)] = '\0';
	fclose(errors);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define run_bench(...) bench_words((char *[]){ "exeunt bench", __VA_ARGS__ __VA_OPT__(,) NULL })

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	while ((text = strstr(text, part))) {
		text += strlen(part);
		n++;
	}
	return n;
}

/* Called wrongly: @words is said on one line, beside argp's hint, and nothing is printed. */
#define assert_usage(words, ...) \
	do { \
		assert_int_equal(run_bench(__VA_ARGS__), STATUS_USAGE); \
		if (!strstr(err, words)) \
			fail_msg("said: %s", err); \
		assert_string_equal(out, ""); \
	} while (0)

/* --- Tests --- */

static void list_has_every_operation(void **state)
{
	assert_int_equal(run_bench("--list"), 0);
	for (size_t i = 0; i < nr_bench_operations; i++) {
		assert_non_null(strstr(out, bench_operations[i].name));
		assert_non_null(strstr(out, bench_operations[i].what));
	}
	assert_int_equal(count(out, "\n\n"), bench_operations[nr_bench_operations - 1].group);
}

static void names_are_words_and_differ(void **state)
{
	for (size_t i = 0; i < nr_bench_operations; i++) {
		const char *name = bench_operations[i].name;

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(name, bench_operations[k].name);
		assert_true(!bench_operations[i].together || bench_operations[i].vcpus != 1);
	}
}

static void table_has_a_line_for_each_selected(void **state)
{
	assert_int_equal(run_bench("--device", "/dev/kvm", "cpuid", "out_*", "cpuid", "pv_ipi_self"), 0);
	assert_int_equal(count(out, "\n  cpuid "), 1);
	assert_int_equal(count(out, "\n  out_user "), 1);
	assert_int_equal(count(out, "\n  out_eventfd "), 1);
	assert_int_equal(count(out, "\n  in_user "), 0);
	assert_non_null(strstr(out, "/dev/kvm, 1000 samples of each, in ticks of the TSC of 2.500 GHz\n"));
	assert_non_null(strstr(out, "  out_user                        600       603       662       608.8      2.5  OUT to user space and back\n"));
	assert_non_null(strstr(out, "  pv_ipi_self               skipped: PV IPI is not offered\n"));
	assert_non_null(strstr(out, "\nPorts and MMIO\n"));
	assert_null(strstr(out, "Nested page faults"));
	assert_null(strchr(out, '\033'));
	assert_string_equal(err, "");
}

static void failures_are_shown_and_are_the_status(void **state)
{
	assert_int_equal(run_bench("--device", "/dev/kvm", "npf*"), STATUS_FAILED);
	assert_non_null(strstr(out, "  npf_2m_first              failed: timed out after 60 s\n"));
	assert_string_equal(err, "exeunt bench: 1 of 4 operations failed\n");
}

static void no_device_is_a_failure(void **state)
{
	assert_int_equal(run_bench("--device", "/dev/nothing"), STATUS_FAILED);
	assert_string_equal(err, "exeunt bench: there is no '/dev/nothing'\n");
	assert_string_equal(out, "");
}

static void json_has_all(void **state)
{
	json_t *document, *results, *row;
	size_t i, measured = 0, skipped = 0, failed = 0;

	assert_int_equal(run_bench("--device", "/dev/kvm", "--json", "-n", "50"), STATUS_FAILED);
	document = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "device")), "/dev/kvm");
	assert_int_equal(json_integer_value(json_object_get(document, "samples")), 50);
	assert_int_equal(json_integer_value(json_object_get(document, "tsc_khz")), 2500000);
	assert_true(json_is_true(json_object_get(document, "nrips")));
	results = json_object_get(document, "results");
	assert_int_equal(json_array_size(results), nr_bench_operations);
	json_array_foreach(results, i, row) {
		assert_string_equal(json_string_value(json_object_get(row, "name")), bench_operations[i].name);
		measured += json_is_integer(json_object_get(row, "median"));
		skipped += json_is_string(json_object_get(row, "skipped"));
		failed += json_is_string(json_object_get(row, "failed"));
	}
	assert_int_equal(measured + skipped + failed, nr_bench_operations);
	assert_int_equal(failed, 1);
	row = json_array_get(results, 0);
	assert_int_equal(json_integer_value(json_object_get(row, "p99")), 662);
	assert_true(json_real_value(json_object_get(row, "half_width_95")) == 4.9);
	json_decref(document);
}

static void options_reach_the_machine(void **state)
{
	char *list, *expected;
	cpu_set_t set;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	list = xasprintf("%d-%d", cpu, cpu);
	expected = xasprintf("(/dev/kvm n=200 c=4 timeout=62 pin=1 cpus %d)", cpu);
	assert_int_equal(run_bench("--device", "/dev/kvm", "-n", "200", "-c", "4", "--cpu-list", list, "cpuid"), 0);
	assert_non_null(strstr(out, expected));
	assert_int_equal(run_bench("--device=/dev/kvm", "--samples=2", "--no-pin", "--timeout=5", "--vcpus=8", "cpuid"), 0);
	assert_non_null(strstr(out, "(/dev/kvm n=2 c=8 timeout=5 pin=0 cpus"));
	free(expected);
	free(list);
}

static void wrong_calls_are_told(void **state)
{
	assert_usage("there is no operation 'cpuidd'", "cpuid", "cpuidd");
	assert_usage("there is no operation ''", "");
	assert_usage("there is no operation 'x*'", "x*");
	assert_usage("-n takes a number from 2 to 100000, not '0'", "-n", "0");
	assert_usage("-n takes a number from 2 to 100000, not '-5'", "-n", "-5");
	assert_usage("-n takes a number from 2 to 100000, not '100001'", "-n", "100001");
	assert_usage("-n takes a number from 2 to 100000, not 'many'", "-n", "many");
	assert_usage("-c takes a number from 2 to 8, not '99'", "--vcpus", "99");
	assert_usage("-c takes a number from 2 to 8, not '1'", "-c", "1");
	assert_usage("--timeout takes a number", "--timeout", "0");
	assert_usage("--device takes a file's name", "--device", "");
	assert_usage("--cpu-list takes numbers and ranges", "--cpu-list", "");
	assert_usage("--cpu-list takes numbers and ranges", "--cpu-list", "0,");
	assert_usage("--cpu-list takes numbers and ranges", "--cpu-list", "3-1");
	assert_usage("--cpu-list takes numbers and ranges", "--cpu-list", "all");
	assert_usage("--cpu-list takes numbers and ranges", "--cpu-list", "1024");
	assert_usage("CPU 1023 is not there", "--cpu-list", "1023");
	assert_usage("unrecognized option", "--nonsense");
}

static void a_cpu_is_used_once(void **state)
{
	cpu_set_t set;
	char *list;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	list = xasprintf("%d,%d", cpu, cpu);
	assert_usage("is twice in --cpu-list", "--cpu-list", list);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_has_every_operation),
		cmocka_unit_test(names_are_words_and_differ),
		cmocka_unit_test(table_has_a_line_for_each_selected),
		cmocka_unit_test(failures_are_shown_and_are_the_status),
		cmocka_unit_test(no_device_is_a_failure),
		cmocka_unit_test(json_has_all),
		cmocka_unit_test(options_reach_the_machine),
		cmocka_unit_test(wrong_calls_are_told),
		cmocka_unit_test(a_cpu_is_used_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
