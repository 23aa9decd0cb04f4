// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the tables: perf's layout, what is left out where there is little room, and what each section says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <regex.h>
#include <stdlib.h>
#include "fake_source.h"
#include "print.h"

#define CPUID		EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define HLT		EXEUNT_KEY(0x78, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define WRMSR(n, outcome) EXEUNT_KEY(0x7c, EXEUNT_MSR_WRITE, outcome, n)

static struct target everything;
static char *page;			/* what was printed last */

static void print(unsigned int columns, unsigned int sections, struct print p)
{
	size_t len;

	free(page);
	p.f = open_memstream(&page, &len);
	p.columns = columns;
	if (!p.target)
		p.target = &everything;
	print_sample(&p, &fake.now, sections);
	fclose(p.f);
}

#define print_all(sections) print(0, sections, (struct print){ 0 })

/* The page's lines that match @pattern, an extended regular expression. */
static unsigned int lines_like(const char *pattern)
{
	unsigned int n = 0;
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	for (char *line = page, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		n += !regexec(&re, line, 0, NULL, 0);
		*end = '\n';
	}
	regfree(&re);
	return n;
}

static size_t longest_line(void)
{
	size_t longest = 0;

	for (char *line = page, *end; (end = strchr(line, '\n')); line = end + 1) {
		if ((size_t)(end - line) > longest)
			longest = end - line;
	}
	return longest;
}

/* 1000 exits for CPUID of 2 us, 10 for HLT of 1 ms, EOIs of 500 ns in the fast path and 1 us in the kernel. */
static struct vcpu *one_vcpu(const char *engine)
{
	struct vcpu *v = fake_vcpu(fake_vm(engine, 1, 100, "web"), 0);

	fake_exits(v, CPUID, 1000, 2000);
	fake_exits(v, HLT, 10, 1000000);
	fake_exits(v, WRMSR(0x80b, EXEUNT_FAST), 300, 500);
	fake_exits(v, WRMSR(0x80b, EXEUNT_KERNEL), 100, 1000);
	return v;
}

static int reset(void **state)
{
	fake_reset();
	free(page);
	page = NULL;
	return 0;
}

/* --- The table of exits --- */

static void table_of_exits_begins_as_perfs(void **state)
{
	one_vcpu("exeunt");
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("^Analyze events for all VMs, all VCPUs:$"), 1);
	assert_int_equal(lines_like("^             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time "), 1);
	assert_int_equal(lines_like("^               cpuid       1000    70\\.92%    16\\.33%      2\\.00us      2\\.00us      "
				    "2\\.00us \\( \\+-   0\\.00% \\)      2\\.00us "), 1);
	assert_int_equal(lines_like("^                 hlt         10     0\\.71%    81\\.63%   1000\\.00us "), 1);
	assert_int_equal(lines_like("^Total Samples:1410, Total events handled time:12250\\.00us\\.$"), 1);
}

/* The expression by which tests/lab/linux/perf-stat reads perf's table. */
static void rows_are_read_by_who_reads_perfs(void **state)
{
	one_vcpu("exeunt");
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("^ +[^ ].* +[0-9]+ +[0-9.]+% +[0-9.]+% +[0-9.]+us +[0-9.]+us +[0-9.]+us "), 3);
}

static void most_frequent_reason_comes_first(void **state)
{
	one_vcpu("exeunt");
	print_all(1u << SECTION_EXITS);
	assert_true(strstr(page, "cpuid") < strstr(page, "msr"));
	assert_true(strstr(page, "msr") < strstr(page, "hlt"));
}

static void percentiles_and_outcomes_follow(void **state)
{
	one_vcpu("exeunt");
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("Avg time +p50 +p90 +p99 +p99\\.9 +Fast +Kernel +User$"), 1);
	assert_int_equal(lines_like("^ +msr +400 .* 75\\.00% +25\\.00% +0\\.00%$"), 1);
	assert_int_equal(lines_like("^ +msr +400 .*\\) +0\\.50us +0\\.99us +0\\.99us +0\\.99us "), 1);
}

static void error_is_that_of_the_mean(void **state)
{
	struct vcpu *v = fake_vcpu(fake_vm("kvm", 1, 100, "web"), 0);

	fake_exits(v, CPUID, 2, 1000);
	fake_exits(v, CPUID, 2, 3000);		/* mean 2000, s = 1154.7, s / sqrt(4) = 577.35 */
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("2\\.00us \\( \\+-  28\\.87% \\)"), 1);
}

static void ticks_are_turned_into_time(void **state)
{
	one_vcpu("exeunt");
	fake.now.vms[0].tick_ns = .5;
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("^ +cpuid .* 1\\.00us +1\\.00us +1\\.00us \\("), 1);
	assert_int_equal(lines_like("time:6125\\.00us\\.$"), 1);
}

static void headings_say_what_is_meant(void **state)
{
	struct target t = { .vm = "web", .one_vcpu = true, .vcpu = 3 };

	one_vcpu("exeunt");
	print(0, 1u << SECTION_EXITS, (struct print){ .target = &t });
	assert_int_equal(lines_like("^Analyze events for VM web, VCPU 3:$"), 1);
	t = (struct target){ .pid = 100 };
	print(0, 1u << SECTION_MSR, (struct print){ .target = &t });
	assert_int_equal(lines_like("^MSR accesses for pid\\(s\\) 100, all VCPUs:$"), 1);
}

static void each_engine_has_tables_of_its_own(void **state)
{
	one_vcpu("exeunt");
	one_vcpu("kvm");
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("^Analyze events for all VMs, all VCPUs \\(exeunt\\):$"), 1);
	assert_int_equal(lines_like("^Analyze events for all VMs, all VCPUs \\(kvm\\):$"), 1);
	assert_int_equal(lines_like("^Total Samples:1410"), 2);
}

static void without_vms_the_table_is_empty(void **state)
{
	print_all(1u << SECTION_EXITS);
	assert_int_equal(lines_like("^             VM-EXIT    Samples "), 1);
	assert_int_equal(lines_like("^Total Samples:0, Total events handled time:0\\.00us\\.$"), 1);
}

static void with_intervals_rows_begin_with_the_time(void **state)
{
	one_vcpu("exeunt");
	print(0, 1u << SECTION_EXITS | 1u << SECTION_USER, (struct print){ .timed = true, .seconds = 1.25 });
	assert_int_equal(lines_like("^ +1\\.250000000 +cpuid +1000 "), 1);
	assert_int_equal(lines_like("^ +Time +VM-EXIT +Samples "), 1);
	assert_int_equal(lines_like("^ +1\\.250000000 +exits +1410 "), 1);
}

/* --- Little room --- */

static void no_line_is_longer_than_the_terminal(void **state)
{
	struct vcpu *v = one_vcpu("exeunt");

	fake_exits(v, EXEUNT_KEY(0x402, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 1234567890123, 1);	/* a long name, a long number */
	fake_exits(v, WRMSR(0xc0000302, EXEUNT_KERNEL), 1, 1);
	v->counters.runs = v->counters.halts = 1;
	v->counters.interrupts[0xec] = 5;
	v->counters.ipis[0][1][1] = v->counters.ipi_targets[1][EXEUNT_TARGET_HALTED] = 3;
	for (unsigned int columns = 1; columns < 260; columns++) {
		print(columns, (1u << SECTIONS) - 1, (struct print){ .timed = columns % 2 });
		assert_true(longest_line() <= columns);
	}
}

/* Is the column there in a table for @columns? */
static bool has_column(unsigned int columns, const char *title)
{
	char *line;

	print(columns, 1u << SECTION_EXITS, (struct print){ .timed = true });
	line = strstr(page, "VM-EXIT");
	if (!line)
		return false;
	*strchr(line, '\n') = '\0';
	while (line > page && line[-1] != '\n')
		line--;
	return strstr(line, title);
}

static void columns_are_left_out_percentiles_first(void **state)
{
	static const char *const order[] = {
		"p99.9", "p90", "p50", "p99 ", "Fast", "Kernel", "User", "Min Time", "Max Time", "Avg time", " Time%", "Samples%",
	};
	unsigned int widths[sizeof(order) / sizeof(order[0])];

	one_vcpu("exeunt");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		for (widths[i] = 1; !has_column(widths[i], order[i]); widths[i]++)
			assert_true(widths[i] < 300);
		assert_true(has_column(300, order[i]));
		if (i)
			assert_true(widths[i] < widths[i - 1]);
	}
}

static void twenty_columns_have_name_and_samples(void **state)
{
	one_vcpu("exeunt");
	print(20, 1u << SECTION_EXITS, (struct print){ 0 });
	assert_int_equal(lines_like("^ *VM-EXIT    Samples$"), 1);
	assert_int_equal(lines_like("^ *cpuid       1000$"), 1);
	assert_int_equal(lines_like("%|us"), 0);
}

static void names_that_do_not_fit_are_cut(void **state)
{
	fake_exits(fake_vcpu(fake_vm("exeunt", 1, 100, "web"), 0), EXEUNT_KEY(0x402, EXEUNT_PLAIN, EXEUNT_KERNEL, 0), 7, 1);
	print(20, 1u << SECTION_EXITS, (struct print){ 0 });
	assert_int_equal(lines_like("^avic_una~          7$"), 1);
	print(0, 1u << SECTION_EXITS, (struct print){ 0 });
	assert_int_equal(lines_like("^avic_unaccelerated_access +7 "), 1);
}

static void names_give_way_before_columns_do(void **state)
{
	one_vcpu("exeunt");
	print(0, 1u << SECTION_EXITS, (struct print){ 0 });
	assert_int_equal(lines_like("^ {15}cpuid "), 1);
	print(longest_line() - 5, 1u << SECTION_EXITS, (struct print){ 0 });
	assert_int_equal(lines_like("^ {10}cpuid .*User$|^ {10}cpuid .* 0\\.00%$"), 1);
	assert_true(strstr(page, "p99.9"));
}

static void lines_are_cut_between_characters(void **state)
{
	struct target t = { .vm = "\303\274\303\274\303\274" };

	print(28, 1u << SECTION_EXITS, (struct print){ .target = &t });
	assert_int_equal(lines_like("^Analyze events for VM \303\274\303\274\303\274$"), 1);
	print(27, 1u << SECTION_EXITS, (struct print){ .target = &t });
	assert_int_equal(lines_like("^Analyze events for VM \303\274\303\274$"), 1);
}

/* --- Details --- */

static void msrs_have_rows_of_their_own(void **state)
{
	struct vcpu *v = one_vcpu("exeunt");

	fake_exits(v, WRMSR(EXEUNT_DETAIL_OTHERS, EXEUNT_KERNEL), 9, 100);
	print_all(1u << SECTION_MSR);
	assert_int_equal(lines_like("^ +MSR +Samples +Samples% "), 1);
	assert_int_equal(lines_like("^ *wr 0x80b x2APIC_EOI +400 +28\\.19% "), 1);
	assert_int_equal(lines_like("^ +wr others +9 "), 1);
	assert_int_equal(lines_like("cpuid"), 0);
	assert_int_equal(lines_like("^Samples:409 of 1419, events handled time:250\\.90us of 12250\\.90us\\.$"), 1);
}

static void ports_pages_and_hypercalls_have_rows_of_their_own(void **state)
{
	struct vcpu *v = one_vcpu("kvm");

	fake_exits(v, EXEUNT_KEY(0x7b, EXEUNT_PIO_OUT, EXEUNT_USER, 0x3f8), 4, 1000);
	fake_exits(v, EXEUNT_KEY(0x400, EXEUNT_MMIO_READ, EXEUNT_USER, 0xfec00), 5, 1000);
	fake_exits(v, EXEUNT_KEY(0x81, EXEUNT_HYPERCALL, EXEUNT_KERNEL, 11), 6, 1000);
	print_all(1u << SECTION_PIO | 1u << SECTION_MMIO | 1u << SECTION_HYPERCALL);
	assert_int_equal(lines_like("^ +out 0x3f8 +4 .* 100\\.00%$"), 1);
	assert_int_equal(lines_like("^ +rd 0xfec00xxx +5 "), 1);
	assert_int_equal(lines_like("^ +KVM_HC_SCHED_YIELD +6 "), 1);
	assert_int_equal(lines_like("^Samples:. of 1425"), 3);
}

/* --- Counters --- */

static void ipis_are_told_apart(void **state)
{
	struct exeunt_counters *c = &one_vcpu("exeunt")->counters;

	c->ipis[0][0][0] = 30;
	c->ipis[0][1][1] = 9;
	c->ipis[4][0][0] = 1;
	c->ipi_targets[0][EXEUNT_TARGET_HALTED] = 20;
	c->ipi_targets[0][EXEUNT_TARGET_RUNNING] = 11;
	c->ipi_targets[1][EXEUNT_TARGET_PREEMPTED] = 18;
	print_all(1u << SECTION_IPI);
	assert_int_equal(lines_like("^ +fixed +physical +one +30 +75\\.00%$"), 1);
	assert_int_equal(lines_like("^ +fixed +logical +several +9 +22\\.50%$"), 1);
	assert_int_equal(lines_like("^ +NMI +physical +one +1 +2\\.50%$"), 1);
	assert_int_equal(lines_like("^ +halted +20 +64\\.52% +0 +0\\.00%$"), 1);
	assert_int_equal(lines_like("^ +off its CPU +0 +0\\.00% +18 +100\\.00%$"), 1);
}

static void interrupts_are_listed_by_vector(void **state)
{
	struct exeunt_counters *c = &one_vcpu("exeunt")->counters;

	c->interrupts[0xec] = 6;
	c->interrupts[255] = 1;
	c->nmis = 2;
	c->exceptions[14] = 1;
	print_all(1u << SECTION_IRQ);
	assert_int_equal(lines_like("^ +interrupt 0xec +6 +60\\.00%$"), 1);
	assert_int_equal(lines_like("^ +interrupt 0xff +1 "), 1);
	assert_int_equal(lines_like("^ +NMI +2 "), 1);
	assert_int_equal(lines_like("^ +exception #PF +1 "), 1);
	assert_int_equal(lines_like("interrupt 0x00"), 0);
}

static void vector_state_is_counted_per_run(void **state)
{
	struct exeunt_counters *c = &one_vcpu("exeunt")->counters;

	c->runs = 100;
	c->fpu_touched = 30;
	c->fpu_untouched = 90;
	c->fpu_guest_loads = 50;
	c->fpu_host_saves = 5;
	print_all(1u << SECTION_FPU);
	assert_int_equal(lines_like("^ +in use at vcpu_put +30 +25\\.00% +0\\.300$"), 1);
	assert_int_equal(lines_like("^ +not in use at vcpu_put +90 +75\\.00% +0\\.900$"), 1);
	assert_int_equal(lines_like("^ +guest's loaded +50 +- +0\\.500$"), 1);
	assert_int_equal(lines_like("^ +host's saved +5 +- +0\\.050$"), 1);
}

static void what_stock_kvm_does_not_tell_is_said(void **state)
{
	struct exeunt_counters *c = &one_vcpu("kvm")->counters;

	c->runs = 100;
	c->fpu_guest_loads = 50;
	print_all(1u << SECTION_FPU | 1u << SECTION_IPI | 1u << SECTION_IRQ);
	assert_int_equal(lines_like("^ +guest's loaded +50 +- +0\\.500$"), 1);
	assert_int_equal(lines_like("vcpu_put|halted"), 0);
	assert_int_equal(lines_like("^Stock KVM does not tell"), 3);
}

static void user_exits_are_listed_by_reason(void **state)
{
	struct exeunt_counters *c = &one_vcpu("exeunt")->counters;

	c->runs = 100;
	c->user_exits[2] = 75;
	c->user_exits[50] = 5;
	c->user_exits[EXEUNT_USER_ERROR] = 20;
	c->preemptions = 7;
	c->halts = 10;
	c->halt_wait_ns = 5000000;
	c->halt_polls = 4;
	c->halt_polls_won = 1;
	c->halt_poll_won_ns = 250000;
	c->halt_poll_lost_ns = 750000;
	c->halt_wakes = 8;
	c->halt_wake_ns = 20000;
	print_all(1u << SECTION_USER);
	assert_int_equal(lines_like("^ +KVM_EXIT_IO +75 +75\\.00% +0\\.750$"), 1);
	assert_int_equal(lines_like("^ +reason 50 +5 "), 1);
	assert_int_equal(lines_like("^ +error +20 "), 1);
	assert_int_equal(lines_like("^ +exits +1410 +- +14\\.100$"), 1);
	assert_int_equal(lines_like("^ +preemptions +7 +- +0\\.070$"), 1);
	assert_int_equal(lines_like("^ +polls that found work +1 +25\\.00% "), 1);
	assert_int_equal(lines_like("^ +polls that found none +3 +75\\.00% "), 1);
	assert_int_equal(lines_like("^Asleep in halts:5000\\.00us, in polls that found work:250\\.00us, that found none:750\\.00us\\.$"), 1);
	assert_int_equal(lines_like("^Woken from sleep:8 times, until the vCPU ran again:2\\.50us on average\\.$"), 1);
}

static void without_runs_nothing_is_per_run(void **state)
{
	one_vcpu("exeunt");
	print_all(1u << SECTION_USER | 1u << SECTION_FPU);
	assert_int_equal(lines_like("nan|inf"), 0);
	assert_int_equal(lines_like("^ +exits +1410 +- +-$"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, reset, reset)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(table_of_exits_begins_as_perfs), T(rows_are_read_by_who_reads_perfs), T(most_frequent_reason_comes_first),
		T(percentiles_and_outcomes_follow), T(error_is_that_of_the_mean), T(ticks_are_turned_into_time),
		T(headings_say_what_is_meant), T(each_engine_has_tables_of_its_own), T(without_vms_the_table_is_empty),
		T(with_intervals_rows_begin_with_the_time), T(no_line_is_longer_than_the_terminal),
		T(columns_are_left_out_percentiles_first), T(twenty_columns_have_name_and_samples), T(names_that_do_not_fit_are_cut),
		T(names_give_way_before_columns_do), T(lines_are_cut_between_characters), T(msrs_have_rows_of_their_own),
		T(ports_pages_and_hypercalls_have_rows_of_their_own), T(ipis_are_told_apart), T(interrupts_are_listed_by_vector),
		T(vector_state_is_counted_per_run), T(what_stock_kvm_does_not_tell_is_said),
		T(user_exits_are_listed_by_reason), T(without_runs_nothing_is_per_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
