// SPDX-License-Identifier: GPL-2.0
/*
 * Metrics: the text is what the formats demand, the numbers are the sample's, series are bounded and never go back.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include "metrics.h"
#include "synthetic.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND 1000000000ull

static const struct metrics_options ordinary = { .max_series = METRICS_MAX_SERIES, .keep_ended_ns = METRICS_KEEP_ENDED_NS };

/* --- Samples --- */

static struct sample two_vms(uint64_t seed, unsigned int load)
{
	struct sample s = { .time_ns = SECOND, .nr_vms = 2, .vms = xcalloc(2, sizeof(*s.vms)) };

	synthetic_vm(&s.vms[0], 7, "web", 2);
	synthetic_vm(&s.vms[1], 9, "database", 1);
	synthetic_go_on(&s, load, &seed);
	return s;
}

/* One vCPU without exits. */
static struct sample idle_vm(const char *name, double tick_ns)
{
	struct sample s = { .time_ns = SECOND, .nr_vms = 1, .vms = xcalloc(1, sizeof(*s.vms)) };

	s.vms[0] = (struct vm){ .id = 1, .pid = 42, .engine = "exeunt", .isa = ISA_SVM, .tick_ns = tick_ns, .nr_vcpus = 1,
				.vcpus = xcalloc(1, sizeof(*s.vms[0].vcpus)) };
	snprintf(s.vms[0].name, sizeof(s.vms[0].name), "%s", name);
	return s;
}

static void add_exits(struct sample *s, uint64_t key, unsigned int n, uint64_t ticks)
{
	struct vcpu *v = &s->vms[0].vcpus[0];
	size_t i = 0;

	while (i < v->nr_rows && v->rows[i].key < key)
		i++;
	if (i == v->nr_rows || v->rows[i].key != key) {
		v->rows = xreallocarray(v->rows, v->nr_rows + 1, sizeof(*v->rows));
		memmove(&v->rows[i + 1], &v->rows[i], (v->nr_rows++ - i) * sizeof(*v->rows));
		row_init(&v->rows[i], key);
	}
	while (n--)
		synthetic_exit(&v->rows[i], ticks, s->vms[0].hist_shift);
}

/* --- Texts --- */

static char *text_of(struct metrics *m, const struct sample *s)
{
	size_t len;
	char *text = metrics_text(m, s, METRICS_OPENMETRICS, &len);

	assert_int_equal(strlen(text), len);
	return text;
}

static char *text_once(const struct sample *s, const struct metrics_options *o)
{
	struct metrics *m = metrics_new(o);
	char *text = text_of(m, s);

	metrics_free(m);
	return text;
}

/* The value of a series, given as it stands in the text; NAN if it is not there. */
static double value_of(const char *text, const char *series)
{
	size_t len = strlen(series);

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		if (!strncmp(line, series, len) && line[len] == ' ')
			return strtod(line + len, NULL);
	}
	return NAN;
}

static void assert_value(const char *text, const char *series, double expected)
{
	double value = value_of(text, series);

	if (value != expected)
		fail_msg("%s is %.15g, not %.15g", series, value, expected);
}

static void assert_absent(const char *text, const char *series)
{
	if (!isnan(value_of(text, series)))
		fail_msg("there is a series %s", series);
}

/* The sum of the series whose lines begin with @name and "{" and contain @part. */
static double sum_of(const char *text, const char *name, const char *part, size_t *nr)
{
	size_t len = strlen(name);
	double sum = 0;

	*nr = 0;
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		char *copy = strndup(line, strchr(line, '\n') - line);

		if (!strncmp(copy, name, len) && copy[len] == '{' && strstr(copy, part)) {
			sum += strtod(strrchr(copy, ' '), NULL);
			++*nr;
		}
		free(copy);
	}
	return sum;
}

#define WEB	"vm=\"web\",pid=\"4207\",id=\"7\",engine=\"exeunt\""
#define ONE	"vm=\"one\",pid=\"42\",id=\"1\",engine=\"exeunt\""

static const uint64_t CPUID = EXEUNT_KEY(SVM_EXIT_CPUID, EXEUNT_PLAIN, EXEUNT_KERNEL, 0);

static uint64_t msr_write(uint64_t msr)
{
	return EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_KERNEL, msr);
}

/* --- Numbers --- */

static void exits_are_the_samples(void **state)
{
	struct sample s = two_vms(3, 500);
	char *text = text_once(&s, &ordinary);
	const struct exeunt_row *row = synthetic_find(&s.vms[0].vcpus[1], CPUID);
	uint64_t all = 0;
	size_t nr;

	assert_value(text, "exeunt_exits_total{" WEB ",vcpu=\"1\",reason=\"cpuid\",outcome=\"kernel\"}", row->count);
	assert_true(fabs(value_of(text, "exeunt_exit_seconds_total{" WEB ",vcpu=\"1\",reason=\"cpuid\",outcome=\"kernel\"}") -
			 row->total / 2.9e9) < 1e-15);
	for (size_t m = 0; m < 2; m++) {
		for (size_t c = 0; c < s.vms[m].nr_vcpus; c++) {
			for (size_t i = 0; i < NR_SYNTHETIC_ROWS; i++)
				all += s.vms[m].vcpus[c].rows[i].count;
		}
	}
	assert_true(sum_of(text, "exeunt_exits_total", "", &nr) == all);
	assert_true(sum_of(text, "exeunt_exit_duration_seconds_count", "", &nr) == all);
	assert_true(sum_of(text, "exeunt_exit_duration_seconds_bucket", "le=\"+Inf\"", &nr) == all);
	free(text);
	sample_free(&s);
}

static void details_have_their_series(void **state)
{
	struct sample s = idle_vm("one", 1);
	char *text;

	add_exits(&s, msr_write(0x80b), 3, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_FAST, 0x80b), 4, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_READ, EXEUNT_USER, 0xc0010999), 5, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_IOIO, EXEUNT_PIO_IN, EXEUNT_USER, 0x3fd), 6, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_IOIO, EXEUNT_PIO_OUT, EXEUNT_USER, 0x3fd), 7, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_NPF, EXEUNT_MMIO_WRITE, EXEUNT_USER, 0xfee00), 8, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, EXEUNT_KERNEL, 5), 9, 10);
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_VMMCALL, EXEUNT_HYPERCALL, EXEUNT_KERNEL, 1234), 10, 10);
	text = text_once(&s, &ordinary);
	assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0x80b\",name=\"x2APIC_EOI\",access=\"write\"}", 7);
	assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0xc0010999\",access=\"read\"}", 5);
	assert_value(text, "exeunt_port_exits_total{" ONE ",vcpu=\"0\",port=\"0x3fd\",access=\"read\"}", 6);
	assert_value(text, "exeunt_port_exits_total{" ONE ",vcpu=\"0\",port=\"0x3fd\",access=\"write\"}", 7);
	assert_value(text, "exeunt_mmio_exits_total{" ONE ",vcpu=\"0\",page=\"0xfee00000\",access=\"write\"}", 8);
	assert_value(text, "exeunt_hypercalls_total{" ONE ",vcpu=\"0\",hypercall=\"5\",name=\"KVM_HC_KICK_CPU\"}", 9);
	assert_value(text, "exeunt_hypercalls_total{" ONE ",vcpu=\"0\",hypercall=\"1234\"}", 10);
	assert_value(text, "exeunt_exits_total{" ONE ",vcpu=\"0\",reason=\"msr\",outcome=\"fast\"}", 4);
	free(text);
	sample_free(&s);
}

static void counters_have_their_series(void **state)
{
	struct sample s = idle_vm("one", 1);
	struct exeunt_counters *c = &s.vms[0].vcpus[0].counters;
	char *text;

	c->runs = 1;
	c->preemptions = 2;
	c->user_exits[2] = 3;
	c->user_exits[EXEUNT_USER_OTHER] = 4;
	c->user_exits[EXEUNT_USER_ERROR] = 5;
	c->interrupts[236] = 6;
	c->exceptions[14] = 7;
	c->nmis = 8;
	c->ipis[5][1][0] = 9;
	c->ipi_targets[1][EXEUNT_TARGET_HALTED] = 10;
	c->halts = 11;
	c->halt_wait_ns = 1500000000;
	c->halt_polls = 13;
	c->halt_polls_won = 5;
	c->halt_poll_won_ns = 250;
	c->halt_poll_lost_ns = 750;
	c->fpu_touched = 14;
	c->fpu_untouched = 15;
	c->fpu_host_saves = 16;
	c->fpu_guest_loads = 17;
	c->rows_lost = 18;
	c->ipis_untaken = 20;
	c->halt_wakes = 21;
	c->halt_wake_ns = 2500000000;
	s.vms[0].unaccounted = 19;
	text = text_once(&s, &ordinary);
	assert_value(text, "exeunt_runs_total{" ONE ",vcpu=\"0\"}", 1);
	assert_value(text, "exeunt_preemptions_total{" ONE ",vcpu=\"0\"}", 2);
	assert_value(text, "exeunt_user_exits_total{" ONE ",vcpu=\"0\",reason=\"KVM_EXIT_IO\"}", 3);
	assert_value(text, "exeunt_user_exits_total{" ONE ",vcpu=\"0\",reason=\"other\"}", 4);
	assert_value(text, "exeunt_user_exits_total{" ONE ",vcpu=\"0\",reason=\"error\"}", 5);
	assert_value(text, "exeunt_interrupts_total{" ONE ",vcpu=\"0\",vector=\"236\"}", 6);
	assert_value(text, "exeunt_exceptions_total{" ONE ",vcpu=\"0\",vector=\"14\",name=\"#PF\"}", 7);
	assert_value(text, "exeunt_nmis_total{" ONE ",vcpu=\"0\"}", 8);
	assert_value(text, "exeunt_ipis_total{" ONE ",vcpu=\"0\",mode=\"INIT\",destination=\"logical\",targets=\"one\"}", 9);
	assert_value(text, "exeunt_ipi_targets_total{" ONE ",vcpu=\"0\",targets=\"many\",state=\"halted\"}", 10);
	assert_value(text, "exeunt_halts_total{" ONE ",vcpu=\"0\"}", 11);
	assert_value(text, "exeunt_halt_seconds_total{" ONE ",vcpu=\"0\"}", 1.5);
	assert_value(text, "exeunt_halt_polls_total{" ONE ",vcpu=\"0\",result=\"won\"}", 5);
	assert_value(text, "exeunt_halt_polls_total{" ONE ",vcpu=\"0\",result=\"lost\"}", 8);
	assert_value(text, "exeunt_halt_poll_seconds_total{" ONE ",vcpu=\"0\",result=\"won\"}", 250e-9);
	assert_value(text, "exeunt_halt_poll_seconds_total{" ONE ",vcpu=\"0\",result=\"lost\"}", 750e-9);
	assert_value(text, "exeunt_halt_wakes_total{" ONE ",vcpu=\"0\"}", 21);
	assert_value(text, "exeunt_halt_wake_seconds_total{" ONE ",vcpu=\"0\"}", 2.5);
	assert_value(text, "exeunt_fpu_puts_total{" ONE ",vcpu=\"0\",state=\"touched\"}", 14);
	assert_value(text, "exeunt_fpu_puts_total{" ONE ",vcpu=\"0\",state=\"untouched\"}", 15);
	assert_value(text, "exeunt_fpu_host_saves_total{" ONE ",vcpu=\"0\"}", 16);
	assert_value(text, "exeunt_fpu_guest_loads_total{" ONE ",vcpu=\"0\"}", 17);
	assert_value(text, "exeunt_exits_without_detail_total{" ONE ",vcpu=\"0\"}", 18);
	assert_value(text, "exeunt_unaccounted_exits_total{" ONE "}", 19);
	assert_value(text, "exeunt_ipis_untaken_total{" ONE ",vcpu=\"0\"}", 20);
	free(text);
	sample_free(&s);
}

static void what_stock_kvm_does_not_count_is_not_zero_there(void **state)
{
	struct sample s = idle_vm("one", 1);
	char *text;

	text = text_once(&s, &ordinary);
	assert_value(text, "exeunt_nmis_total{" ONE ",vcpu=\"0\"}", 0);
	free(text);
	strcpy(s.vms[0].engine, "kvm");
	text = text_once(&s, &ordinary);
	assert_absent(text, "exeunt_nmis_total{vm=\"one\",pid=\"42\",id=\"1\",engine=\"kvm\",vcpu=\"0\"}");
	assert_null(strstr(text, "exeunt_fpu_puts"));
	assert_value(text, "exeunt_halts_total{vm=\"one\",pid=\"42\",id=\"1\",engine=\"kvm\",vcpu=\"0\"}", 0);
	free(text);
	sample_free(&s);
}

static void per_vm_adds_up_the_vcpus(void **state)
{
	struct metrics_options o = ordinary;
	struct sample s = two_vms(3, 500);
	uint64_t cpuid = synthetic_find(&s.vms[0].vcpus[0], CPUID)->count + synthetic_find(&s.vms[0].vcpus[1], CPUID)->count;
	char *text;

	o.per_vm = true;
	text = text_once(&s, &o);
	assert_null(strstr(text, "vcpu=\""));
	assert_value(text, "exeunt_exits_total{" WEB ",reason=\"cpuid\",outcome=\"kernel\"}", cpuid);
	assert_value(text, "exeunt_runs_total{" WEB "}", s.vms[0].vcpus[0].counters.runs + s.vms[0].vcpus[1].counters.runs);
	assert_value(text, "exeunt_vm_vcpus{" WEB "}", 2);
	free(text);
	sample_free(&s);
}

/* --- Histograms --- */

static double bucket(const char *text, const char *le)
{
	char *series = xasprintf("exeunt_exit_duration_seconds_bucket{" ONE ",reason=\"cpuid\",le=\"%s\"}", le);
	double value = value_of(text, series);

	free(series);
	return value;
}

/* At 10 ns a tick, our bucket of 24 and 25 ticks ends at 250 ns exactly; that of 26 and 27 begins above. */
static void a_bucket_is_exact_at_a_shared_edge(void **state)
{
	struct sample s = idle_vm("one", 10);
	char *text;

	add_exits(&s, CPUID, 3, 25);
	add_exits(&s, CPUID, 4, 26);
	text = text_once(&s, &ordinary);
	assert_true(bucket(text, "2.5e-07") == 3);
	assert_true(bucket(text, "5e-07") == 7);
	assert_true(bucket(text, "1.0") == 7);
	assert_true(bucket(text, "+Inf") == 7);
	assert_true(value_of(text, "exeunt_exit_duration_seconds_count{" ONE ",reason=\"cpuid\"}") == 7);
	assert_true(value_of(text, "exeunt_exit_duration_seconds_sum{" ONE ",reason=\"cpuid\"}") == (3 * 250 + 4 * 260) / 1e9);
	free(text);
	sample_free(&s);
}

/* 960 to 1023 ns are one bucket of ours: who is in it may have taken more than 1 us, and counts as if. */
static void a_bucket_across_an_edge_counts_above_it(void **state)
{
	struct sample s = idle_vm("one", 1);
	char *text;

	add_exits(&s, CPUID, 5, 960);
	add_exits(&s, CPUID, 2, 959);
	text = text_once(&s, &ordinary);
	assert_true(bucket(text, "1e-06") == 2);
	assert_true(bucket(text, "2e-06") == 7);
	free(text);
	sample_free(&s);
}

static void what_is_beyond_our_buckets_is_beyond_all(void **state)
{
	struct sample s = idle_vm("one", 1e-3);	/* the last bucket begins at 4 ms */
	char *text;

	add_exits(&s, CPUID, 1, UINT32_MAX);
	add_exits(&s, CPUID, 1, 1);
	text = text_once(&s, &ordinary);
	assert_true(bucket(text, "1.0") == 1);
	assert_true(bucket(text, "+Inf") == 2);
	free(text);
	sample_free(&s);
}

/* --- The formats --- */

/* Fails unless @line is a sample: name, labels whose values are quoted and escaped, number. */
static void check_sample_line(const char *line)
{
	const char *c = line + strspn(line, "abcdefghijklmnopqrstuvwxyz_");
	char *end;

	assert_true(c > line && *c == '{');
	do {
		c++;
		c += strspn(c, "abcdefghijklmnopqrstuvwxyz_");
		assert_memory_equal(c, "=\"", 2);
		for (c += 2; *c != '"'; c++) {
			assert_true(*c && *c != '\n');
			if (*c == '\\')
				assert_non_null(strchr("\\\"n", *++c));
		}
		c++;
	} while (*c == ',');
	assert_memory_equal(c, "} ", 2);
	assert_true(isfinite(strtod(c + 2, &end)));
	assert_true(*end == '\n' && end > c + 2);
}

/* Is @line a sample of @family, of type @type? */
static bool belongs(const char *line, const char *family, const char *type)
{
	static const char *const counter[] = { "_total", NULL }, *const gauge[] = { "", NULL },
				 *const histogram[] = { "_bucket", "_count", "_sum", NULL };
	const char *const *suffixes = !strcmp(type, "counter") ? counter : !strcmp(type, "gauge") ? gauge : histogram;
	size_t len = strlen(family), name = strcspn(line, "{");

	for (; *suffixes; suffixes++) {
		if (name == len + strlen(*suffixes) && !strncmp(line, family, len) && !strncmp(line + len, *suffixes, strlen(*suffixes)))
			return true;
	}
	return false;
}

/* A family's samples follow its TYPE and HELP, and no family comes twice; no series does. */
static void check_openmetrics(const char *text)
{
	char family[64] = "", type[16] = "", seen[4096] = "";

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		char *copy = strndup(line, strchr(line, '\n') - line), *again;

		if (!strncmp(line, "# EOF\n", 6)) {
			assert_string_equal(line, "# EOF\n");
		} else if (sscanf(line, "# TYPE %63s %15s", family, type) == 2) {
			char *word = xasprintf(" %s ", family);

			assert_null(strstr(seen, word));
			assert_true(strlen(seen) + strlen(word) < sizeof(seen));
			strcat(seen, word);
			free(word);
		} else if (line[0] == '#') {
			assert_true(!strncmp(line, "# HELP ", 7) || !strncmp(line, "# UNIT ", 7));
			assert_memory_equal(line + 7, family, strlen(family));
		} else {
			check_sample_line(line);
			if (!belongs(line, family, type))
				fail_msg("not of family %s, a %s: %s", family, type, copy);
			strrchr(copy, ' ')[1] = '\0';
			again = strstr(line + 1, copy);
			assert_null(again);
		}
		free(copy);
	}
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

static void openmetrics_is_well_formed(void **state)
{
	struct sample s = two_vms(3, 200);
	char *text = text_once(&s, &ordinary);

	check_openmetrics(text);
	assert_non_null(strstr(text, "# TYPE exeunt_exits counter\n"));
	assert_non_null(strstr(text, "# UNIT exeunt_exit_seconds seconds\n"));
	free(text);
	sample_free(&s);
}

static void promtool_has_no_complaint(void **state)
{
	struct metrics *m = metrics_new(&ordinary);
	struct sample s = two_vms(3, 200);
	size_t len;
	char *text = metrics_text(m, &s, METRICS_PROMETHEUS, &len);
	FILE *f = popen("promtool check metrics 2>&1", "w");

	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "# UNIT"));
	assert_non_null(strstr(text, "# TYPE exeunt_exits_total counter\n"));
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(pclose(f), 0);
	free(text);
	metrics_free(m);
	sample_free(&s);
}

static void no_vm_is_well_formed_too(void **state)
{
	struct sample s = { .time_ns = SECOND };
	char *text = text_once(&s, &ordinary);

	check_openmetrics(text);
	assert_value(text, "exeunt_build_info{version=\"1.0\"}", 1);
	free(text);
}

static void names_are_escaped(void **state)
{
	struct sample s = idle_vm("a\"b\\c}\xc3\xa9\xff{\n", 1);
	char *text = text_once(&s, &ordinary);

	check_openmetrics(text);
	assert_value(text, "exeunt_vm_running{vm=\"a\\\"b\\\\c}\xc3\xa9?{?\",pid=\"42\",id=\"1\",engine=\"exeunt\"}", 1);
	free(text);
	sample_free(&s);
}

static void vms_of_one_name_and_process_are_told_apart(void **state)
{
	struct sample s = two_vms(3, 200);
	char *text;

	strcpy(s.vms[1].name, s.vms[0].name);
	s.vms[1].pid = s.vms[0].pid;
	text = text_once(&s, &ordinary);
	check_openmetrics(text);
	free(text);
	strcpy(s.vms[1].engine, "kvm");
	s.vms[1].id = s.vms[0].id;
	text = text_once(&s, &ordinary);
	check_openmetrics(text);
	free(text);
	sample_free(&s);
}

static void reasons_without_a_name_are_numbers(void **state)
{
	struct sample s = idle_vm("one", 1);
	char *text;

	s.vms[0].isa = ISA_UNKNOWN;
	add_exits(&s, CPUID, 3, 10);
	text = text_once(&s, &ordinary);
	assert_value(text, "exeunt_exits_total{" ONE ",vcpu=\"0\",reason=\"0x72\",outcome=\"kernel\"}", 3);
	free(text);
	sample_free(&s);
}

/* --- Bounds, and going on --- */

static void the_most_frequent_have_series_and_the_rest_is_other(void **state)
{
	struct metrics_options o = { .max_series = 4 };
	struct sample s = idle_vm("one", 1);
	unsigned int all = 0;
	char *text;
	size_t nr;

	for (unsigned int i = 0; i < 50; i++) {
		add_exits(&s, msr_write(0x1000 + i), 1 + i, 10);
		all += 1 + i;
	}
	add_exits(&s, EXEUNT_KEY(SVM_EXIT_MSR, EXEUNT_MSR_WRITE, EXEUNT_KERNEL, EXEUNT_DETAIL_OTHERS), 1000, 10);
	text = text_once(&s, &o);
	check_openmetrics(text);
	assert_true(sum_of(text, "exeunt_msr_exits_total", "", &nr) == all + 1000);
	assert_int_equal(nr, 5);
	assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0x1031\",access=\"write\"}", 50);
	assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0x102e\",access=\"write\"}", 47);
	assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"other\",access=\"write\"}", 1000 + all - 50 - 49 - 48 - 47);
	free(text);
	sample_free(&s);
}

static void every_open_label_is_bounded(void **state)
{
	static const char *const names[] = { "exeunt_msr_exits_total", "exeunt_port_exits_total", "exeunt_mmio_exits_total",
					     "exeunt_hypercalls_total", "exeunt_exits_total", "exeunt_exit_seconds_total",
					     "exeunt_exit_duration_seconds_count", "exeunt_interrupts_total", "exeunt_exceptions_total",
					     "exeunt_user_exits_total" };
	struct sample s = idle_vm("one", 1);
	struct exeunt_counters *c = &s.vms[0].vcpus[0].counters;
	char *text;

	for (unsigned int i = 0; i < 60; i++) {
		add_exits(&s, EXEUNT_KEY(i, EXEUNT_MSR_READ, EXEUNT_KERNEL, i), 1, 10);
		add_exits(&s, EXEUNT_KEY(i, EXEUNT_PIO_IN, EXEUNT_KERNEL, i), 1, 10);
		add_exits(&s, EXEUNT_KEY(i, EXEUNT_MMIO_READ, EXEUNT_KERNEL, i), 1, 10);
		add_exits(&s, EXEUNT_KEY(i, EXEUNT_HYPERCALL, EXEUNT_KERNEL, i), 1, 10);
		c->interrupts[i] = c->exceptions[i % 32] = c->user_exits[i] = 1;
	}
	text = text_once(&s, &(struct metrics_options){ .max_series = 10 });
	check_openmetrics(text);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t nr;

		sum_of(text, names[i], "", &nr);
		if (nr != 11)
			fail_msg("%s has %zu series", names[i], nr);
	}
	free(text);
	sample_free(&s);
}

/* What once was in "other" stays there, however often it comes: else "other" would go back. */
static void a_late_value_stays_other(void **state)
{
	struct metrics *m = metrics_new(&(struct metrics_options){ .max_series = 2 });
	struct sample s = idle_vm("one", 1);

	add_exits(&s, msr_write(1), 10, 10);
	free(text_of(m, &s));
	add_exits(&s, msr_write(2), 5, 10);
	add_exits(&s, msr_write(3), 4, 10);
	for (int round = 0; round < 3; round++) {
		char *text = text_of(m, &s);

		assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0x1\",access=\"write\"}", 10);
		assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"0x2\",access=\"write\"}", 5);
		assert_value(text, "exeunt_msr_exits_total{" ONE ",vcpu=\"0\",msr=\"other\",access=\"write\"}", 4 + 1000 * round);
		add_exits(&s, msr_write(3), 1000, 10);
		free(text);
	}
	metrics_free(m);
	sample_free(&s);
}

/* Every series of @before is in @after, and no less there, unless it is a gauge. */
static void assert_monotonic(const char *before, const char *after)
{
	for (const char *line = before; *line; line = strchr(line, '\n') + 1) {
		char *series = strndup(line, strcspn(line, "}\n") + 1);
		double was, is;

		if (line[0] != '#' && strncmp(line, "exeunt_vm_", 10)) {
			was = value_of(before, series);
			is = value_of(after, series);
			if (!(is >= was))
				fail_msg("%s went from %.15g to %.15g", series, was, is);
		}
		free(series);
	}
}

static void counters_never_go_back(void **state)
{
	struct metrics *m = metrics_new(&(struct metrics_options){ .max_series = 2, .keep_ended_ns = SECOND });
	struct sample s = two_vms(5, 20);
	char *before = text_of(m, &s);
	uint64_t seed = 77;

	for (int round = 0; round < 12; round++) {
		char *after;

		s.time_ns += SECOND;
		synthetic_go_on(&s, 20 << round / 2, &seed);
		after = text_of(m, &s);
		check_openmetrics(after);
		assert_monotonic(before, after);
		free(before);
		before = after;
	}
	free(before);
	metrics_free(m);
	sample_free(&s);
}

/* As the kernel's derived counters may, for a moment. */
static void a_number_that_falls_is_held(void **state)
{
	struct metrics *m = metrics_new(&ordinary);
	struct sample s = two_vms(5, 300), less;
	char *before = text_of(m, &s), *after;

	sample_copy(&less, &s);
	for (size_t i = 0; i < 2; i++) {
		struct vcpu *v = &less.vms[0].vcpus[i];

		v->counters.fpu_touched--;
		v->counters.halt_polls_won++;
		for (size_t r = 0; r < v->nr_rows; r++) {
			if (v->rows[r].count > 1)
				row_init(&v->rows[r], v->rows[r].key);
		}
	}
	after = text_of(m, &less);
	check_openmetrics(after);
	assert_monotonic(before, after);
	free(before);
	free(after);
	metrics_free(m);
	sample_free(&s);
	sample_free(&less);
}

static void a_vm_that_has_ended_is_shown_for_a_while(void **state)
{
	struct metrics *m = metrics_new(&(struct metrics_options){ .max_series = 32, .keep_ended_ns = 10 * SECOND });
	struct sample s = two_vms(5, 100);
	char *text = text_of(m, &s);
	double exits = value_of(text, "exeunt_exits_total{" WEB ",vcpu=\"0\",reason=\"hlt\",outcome=\"kernel\"}");

	assert_value(text, "exeunt_vm_running{" WEB "}", 1);
	free(text);
	s.vms[0].ended = true;
	s.time_ns = 100 * SECOND;
	free(text_of(m, &s));
	s.time_ns = 110 * SECOND;
	text = text_of(m, &s);
	assert_value(text, "exeunt_vm_running{" WEB "}", 0);
	assert_value(text, "exeunt_exits_total{" WEB ",vcpu=\"0\",reason=\"hlt\",outcome=\"kernel\"}", exits);
	free(text);
	for (uint64_t later = 111; later < 500; later += 100) {
		s.time_ns = later * SECOND;
		text = text_of(m, &s);
		assert_null(strstr(text, WEB));
		assert_non_null(strstr(text, "vm=\"database\""));
		free(text);
	}
	metrics_free(m);
	sample_free(&s);
}

static void a_vm_that_is_gone_is_forgotten(void **state)
{
	struct metrics *m = metrics_new(&(struct metrics_options){ .max_series = 1 });
	struct sample s = two_vms(5, 100);
	char *text;

	free(text_of(m, &s));
	sample_select(&s, &(struct target){ .vm = "database" });
	text = text_of(m, &s);
	check_openmetrics(text);
	assert_null(strstr(text, WEB));
	free(text);
	metrics_free(m);
	sample_free(&s);
}

/* --- What clients ask for --- */

static void clients_get_what_they_prefer(void **state)
{
	static const struct { const char *accept; enum metrics_format format; } cases[] = {
		{ NULL, METRICS_OPENMETRICS },
		{ "", METRICS_OPENMETRICS },
		{ "*/*", METRICS_OPENMETRICS },
		/* Prometheus 2.42 */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
		  "*/*;q=0.1", METRICS_OPENMETRICS },
		/* Prometheus before it knew OpenMetrics */
		{ "text/plain;version=0.0.4;q=1,*/*;q=0.1", METRICS_PROMETHEUS },
		{ "text/plain", METRICS_PROMETHEUS },
		{ "TEXT/Plain", METRICS_PROMETHEUS },
		{ " text/* , application/json", METRICS_PROMETHEUS },
		{ "text/plain;q=0.2, application/openmetrics-text;q=0.3", METRICS_OPENMETRICS },
		{ "text/plain;q=0.3, application/openmetrics-text;q=0.2", METRICS_PROMETHEUS },
		{ "text/plain; q=0.3, application/openmetrics-text; version=1.0.0; q=0.2", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=0, */*", METRICS_PROMETHEUS },
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", METRICS_OPENMETRICS },
		{ "text/plainer", METRICS_OPENMETRICS },
		{ ",,;;q=,/,text/plain;q=nan,q=9", METRICS_OPENMETRICS },
		{ "image/png", METRICS_OPENMETRICS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (metrics_preferred(cases[i].accept) != cases[i].format)
			fail_msg("%s", cases[i].accept);
	}
	assert_string_equal(metrics_content_type(METRICS_OPENMETRICS), "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_are_the_samples),
		cmocka_unit_test(details_have_their_series),
		cmocka_unit_test(counters_have_their_series),
		cmocka_unit_test(what_stock_kvm_does_not_count_is_not_zero_there),
		cmocka_unit_test(per_vm_adds_up_the_vcpus),
		cmocka_unit_test(a_bucket_is_exact_at_a_shared_edge),
		cmocka_unit_test(a_bucket_across_an_edge_counts_above_it),
		cmocka_unit_test(what_is_beyond_our_buckets_is_beyond_all),
		cmocka_unit_test(openmetrics_is_well_formed),
		cmocka_unit_test(promtool_has_no_complaint),
		cmocka_unit_test(no_vm_is_well_formed_too),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(vms_of_one_name_and_process_are_told_apart),
		cmocka_unit_test(reasons_without_a_name_are_numbers),
		cmocka_unit_test(the_most_frequent_have_series_and_the_rest_is_other),
		cmocka_unit_test(every_open_label_is_bounded),
		cmocka_unit_test(a_late_value_stays_other),
		cmocka_unit_test(counters_never_go_back),
		cmocka_unit_test(a_number_that_falls_is_held),
		cmocka_unit_test(a_vm_that_has_ended_is_shown_for_a_while),
		cmocka_unit_test(a_vm_that_is_gone_is_forgotten),
		cmocka_unit_test(clients_get_what_they_prefer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
