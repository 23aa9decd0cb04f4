// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what `exeunt top` knows and where its user is: figures and trends, VMs that come and go, rows, sorting, filtering,
 * selection, keys.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include "fake_top.h"
#include "top_help.h"
#include "top_layout.h"

static struct top top;

static int setup(void **state)
{
	fake_vms();
	top_init(&top, 1);
	top_resize(&top, 24, 80);
	return 0;
}

static int teardown(void **state)
{
	top_free(&top);
	fake_reset();
	return 0;
}

static void assert_close(double a, double b)
{
	assert_true(fabs(a - b) <= 1e-6 * fmax(1, fabs(b)));
}

static void press(unsigned int key)
{
	top_key(&top, key);
}

static void type(const char *text)
{
	while (*text)
		press(*text++);
}

static const struct item *row(const char *name)
{
	for (size_t i = 0; i < top.items.nr; i++) {
		if (!strcmp(top.items.items[i].name, name))
			return &top.items.items[i];
	}
	fail_msg("no row '%s'", name);
	return NULL;
}

static bool has_row(const char *name)
{
	for (size_t i = 0; i < top.items.nr; i++) {
		if (!strcmp(top.items.items[i].name, name))
			return true;
	}
	return false;
}

static double value(const char *name, enum column column)
{
	return row(name)->values[column];
}

/* The names of all rows, a space after each. */
static const char *names(void)
{
	static char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < top.items.nr; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s ", top.items.items[i].name);
	return text;
}

static void assert_selected(const char *name)
{
	assert_non_null(top_selected(&top));
	assert_string_equal(top_selected(&top)->name, name);
}

static void select_row(const char *name)
{
	press(TOP_KEY_HOME);
	for (size_t i = 0; i < top.items.nr && strcmp(top_selected(&top)->name, name); i++)
		press(TOP_KEY_DOWN);
	assert_selected(name);
}

static void enter(const char *name)
{
	select_row(name);
	press(TOP_KEY_ENTER);
}

/* --- Figures --- */

static void rates_are_by_the_time_between_samples(void **state)
{
	vm_exits("web", 0, CPUID, 5000, 100);
	take(&top, 0);
	assert_close(value("web", COLUMN_RATE), 0);
	vm_exits("web", 0, CPUID, 300, 100);
	vm_exits("web", 1, CPUID, 100, 100);
	take(&top, SECOND / 4);
	assert_close(value("web", COLUMN_RATE), 1600);
	assert_close(value("web", COLUMN_COUNT), 400);
	take(&top, SECOND);
	assert_close(value("web", COLUMN_RATE), 0);
}

static void c_switches_to_figures_since_the_start(void **state)
{
	vm_exits("web", 0, CPUID, 5000, 100);
	take(&top, 0);
	vm_exits("web", 0, CPUID, 300, 100);
	take(&top, SECOND);
	vm_exits("web", 0, CPUID, 100, 100);
	take(&top, 3 * SECOND);
	press('c');
	assert_close(value("web", COLUMN_COUNT), 400);
	assert_close(value("web", COLUMN_RATE), 100);
	press('c');
	assert_close(value("web", COLUMN_COUNT), 100);
}

static void a_vm_that_appears_counts_from_the_sample_before(void **state)
{
	take(&top, 0);
	take(&top, 10 * SECOND);
	fake_vcpu(fake_vm("kvm", 9, 109, "new"), 0);
	vm_exits("new", 0, HLT, 50, 100);
	take(&top, 2 * SECOND);
	assert_close(value("new", COLUMN_RATE), 25);
	press('c');
	assert_close(value("new", COLUMN_RATE), 25);
	take(&top, 2 * SECOND);
	assert_close(value("new", COLUMN_RATE), 12.5);
}

static void time_outside_is_a_share_of_all_vcpus_time(void **state)
{
	vm_named("web")->tick_ns = 2;
	take(&top, 0);
	vm_exits("web", 0, CPUID, 1000, 100000);
	vm_named("web")->vcpus[1].counters.halt_wait_ns += SECOND / 2;
	take(&top, SECOND);
	assert_close(value("web", COLUMN_OUTSIDE), 10);		/* 0.2 s of two seconds */
	assert_close(value("web", COLUMN_HALTED), 25);
	enter("web");
	assert_close(value("all", COLUMN_OUTSIDE), 10);
	assert_close(value("0", COLUMN_OUTSIDE), 20);
	assert_close(value("1", COLUMN_HALTED), 50);
}

static void a_sleep_longer_than_the_interval_is_all_of_it(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, HLT, 1, 20 * SECOND);
	take(&top, SECOND);
	assert_close(value("db", COLUMN_OUTSIDE), 100);
}

static void reasons_have_shares_of_exits_and_of_time(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 30, 100);
	vm_exits("web", 1, MSR_WRITE(0x830), 5, 1000);
	vm_exits("web", 1, MSR_READ(0x10), 5, 400);
	take(&top, SECOND);
	enter("web");
	enter("all");
	assert_string_equal(names(), "cpuid msr ");
	assert_close(value("cpuid", COLUMN_SHARE), 75);
	assert_close(value("msr", COLUMN_SHARE), 25);
	assert_close(value("cpuid", COLUMN_TIME), 30);
	assert_close(value("msr", COLUMN_TIME), 70);
	assert_close(value("msr", COLUMN_AVERAGE), 700);
	assert_close(value("msr", COLUMN_USER), 50);
	assert_true(value("msr", COLUMN_MAX) >= 1000 && value("msr", COLUMN_MAX) < 1125);
	assert_true(value("msr", COLUMN_P50) > 375 && value("msr", COLUMN_P50) < 425);
	enter("msr");
	assert_true(has_row("wr 0x830 x2APIC_ICR"));
	assert_close(value("rd 0x10 TSC", COLUMN_USER), 100);
	assert_close(value("rd 0x10 TSC", COLUMN_SHARE), 50);
}

static void one_vcpus_reasons_are_its_own(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 30, 100);
	vm_exits("web", 1, HLT, 7, 100);
	take(&top, SECOND);
	enter("web");
	assert_string_equal(row("1")->top, "hlt 100%");
	enter("1");
	assert_string_equal(names(), "hlt ");
	assert_close(value("hlt", COLUMN_COUNT), 7);
}

static void a_reason_without_exits_lately_stays(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, HLT, 3, 100);
	vm_exits("db", 0, CPUID, 3, 100);
	take(&top, SECOND);
	vm_exits("db", 0, CPUID, 3, 100);
	take(&top, SECOND);
	enter("db");
	enter("all");
	assert_close(value("hlt", COLUMN_COUNT), 0);
	assert_close(value("cpuid", COLUMN_COUNT), 3);
}

static void the_most_frequent_reason_is_named(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 2, 100000);
	vm_exits("web", 0, MSR_WRITE(1), 2, 1);
	vm_exits("web", 1, MSR_WRITE(2), 4, 1);
	take(&top, SECOND);
	assert_string_equal(row("web")->top, "msr 75%");
	assert_string_equal(row("db")->top, "");
}

static void vms_with_one_id_on_two_engines_are_two(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 10, 100);
	vm_exits("old", 0, CPUID, 20, 100);
	take(&top, SECOND);
	assert_close(value("web", COLUMN_COUNT), 10);
	assert_close(value("old", COLUMN_COUNT), 20);
	enter("old");
	assert_close(value("all", COLUMN_COUNT), 20);
}

/* --- Trends --- */

static void a_trend_has_the_rates_of_the_last_samples(void **state)
{
	float rates[TREND_TICKS];
	struct part web;

	take(&top, 0);
	web = row("web")->part;
	assert_int_equal(top_data_trend(&top.data, &web, rates), 0);
	for (unsigned int i = 1; i <= 5; i++) {
		vm_exits("web", 0, CPUID, 10 * i, 100);
		vm_exits("web", 1, HLT, i, 100);
		vm_exits("old", 0, HLT, 1000, 100);
		take(&top, SECOND / 2);
	}
	assert_int_equal(top_data_trend(&top.data, &web, rates), 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_close(rates[i], 22 * (i + 1));
	assert_close(top_data_trend_seconds(&top.data), 2.5);
	enter("web");
	assert_int_equal(top_data_trend(&top.data, &row("1")->part, rates), 5);
	assert_close(rates[4], 10);
	enter("all");
	top_data_trend(&top.data, &row("hlt")->part, rates);
	assert_close(rates[0], 2);
}

static void a_long_trend_forgets_its_beginning(void **state)
{
	float rates[TREND_TICKS];

	take(&top, 0);
	vm_exits("old", 0, CPUID, 5, 100);
	for (unsigned int i = 1; i <= TREND_TICKS + 7; i++) {
		vm_exits("db", 0, CPUID, i, 100);
		take(&top, SECOND);
	}
	assert_int_equal(top_data_trend(&top.data, &row("db")->part, rates), TREND_TICKS);
	for (unsigned int i = 0; i < TREND_TICKS; i++)
		assert_close(rates[i], i + 8);
	assert_close(top_data_trend_seconds(&top.data), TREND_TICKS);
	top_data_trend(&top.data, &row("old")->part, rates);
	for (unsigned int i = 0; i < TREND_TICKS; i++)
		assert_close(rates[i], 0);
}

static void a_trend_of_what_appears_late_begins_with_nothing(void **state)
{
	float rates[TREND_TICKS];

	for (unsigned int i = 0; i < 4; i++)
		take(&top, SECOND);
	vm_exits("db", 0, CPUID, 9, 100);
	take(&top, SECOND);
	assert_int_equal(top_data_trend(&top.data, &row("db")->part, rates), 4);
	assert_close(rates[2], 0);
	assert_close(rates[3], 9);
}

/* --- VMs that come and go --- */

static void an_ended_vm_is_marked_and_goes_after_some_seconds(void **state)
{
	vm_exits("web", 0, CPUID, 10, 100);
	take(&top, 0);
	vm_named("web")->ended = true;
	take(&top, SECOND);
	assert_true(row("web")->ended);
	assert_false(row("db")->ended);
	top_expire(&top, fake_ns + ENDED_VISIBLE_NS);
	assert_true(has_row("web"));
	top_expire(&top, fake_ns + ENDED_VISIBLE_NS + 1);
	assert_false(has_row("web"));
	take(&top, ENDED_VISIBLE_NS + SECOND);		/* the source still has it */
	assert_false(has_row("web"));
	assert_true(has_row("db"));
}

static void a_vm_that_the_source_has_forgotten_has_ended(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 10, 100);
	take(&top, SECOND);
	vm_vanishes("web");
	take(&top, SECOND);
	assert_true(row("web")->ended);
	assert_close(value("web", COLUMN_COUNT), 0);
	press('c');
	assert_close(value("web", COLUMN_COUNT), 10);
	for (unsigned int i = 0; i < 6; i++)
		take(&top, SECOND);
	assert_false(has_row("web"));
}

static void an_ended_vms_rate_since_the_start_stands_still(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 10, 100);
	vm_named("web")->ended = true;
	take(&top, SECOND);
	take(&top, 3 * SECOND);
	press('c');
	assert_close(value("web", COLUMN_RATE), 10);
}

static void who_is_inside_a_vm_that_goes_is_told_and_put_outside(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 10, 100);
	take(&top, SECOND);
	enter("web");
	enter("all");
	vm_named("web")->ended = true;
	take(&top, SECOND);
	assert_int_equal(top.level, LEVEL_REASONS);
	take(&top, 6 * SECOND);
	assert_int_equal(top.level, LEVEL_VMS);
	assert_string_equal(top.message, "web has ended");
	assert_false(has_row("web"));
}

static void no_vm_at_all_is_no_trouble(void **state)
{
	static const unsigned int keys[] = { TOP_KEY_DOWN, TOP_KEY_UP, TOP_KEY_ENTER, TOP_KEY_ESCAPE, TOP_KEY_PAGE_DOWN, TOP_KEY_END,
					     'r', 's', TOP_KEY_ENTER, '<', '>', 'c' };

	vm_vanishes("web");
	vm_vanishes("db");
	vm_vanishes("old");
	take(&top, 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		press(keys[i]);
	assert_null(top_selected(&top));
	fake_vcpu(fake_vm("kvm", 5, 105, "late"), 0);
	take(&top, SECOND);
	assert_selected("late");
}

/* --- Selection --- */

static void the_selection_follows_its_row_when_the_order_changes(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 30, 100);
	vm_exits("db", 0, CPUID, 20, 100);
	vm_exits("old", 0, CPUID, 10, 100);
	take(&top, SECOND);
	assert_string_equal(names(), "web db old ");
	select_row("db");
	vm_exits("old", 0, CPUID, 100, 100);
	vm_exits("web", 0, CPUID, 50, 100);
	take(&top, SECOND);
	assert_string_equal(names(), "old web db ");
	assert_selected("db");
	fake_vcpu(fake_vm("exeunt", 3, 109, "new"), 0);
	vm_exits("new", 0, CPUID, 1000, 100);
	take(&top, SECOND);
	assert_selected("db");
}

static void the_first_figures_decide_what_is_selected_at_first(void **state)
{
	take(&top, 0);
	assert_selected("web");
	vm_exits("old", 0, CPUID, 30, 100);
	take(&top, SECOND);
	assert_selected("old");
	vm_exits("db", 0, CPUID, 30, 100);
	take(&top, SECOND);
	assert_selected("old");
}

static void what_the_user_selected_before_the_first_figures_stays(void **state)
{
	take(&top, 0);
	press(TOP_KEY_DOWN);
	assert_selected("db");
	vm_exits("old", 0, CPUID, 30, 100);
	take(&top, SECOND);
	assert_selected("db");
}

static void when_the_selected_vm_goes_its_place_is_selected(void **state)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 30, 100);
	vm_exits("db", 0, CPUID, 20, 100);
	vm_exits("old", 0, CPUID, 10, 100);
	take(&top, SECOND);
	press('c');
	select_row("db");
	vm_vanishes("db");
	take(&top, SECOND);
	assert_selected("db");
	take(&top, 6 * SECOND);
	assert_selected("old");
	vm_vanishes("old");
	take(&top, SECOND);
	take(&top, 6 * SECOND);
	assert_selected("web");
}

static void each_level_remembers_its_selection_on_the_way_up(void **state)
{
	take(&top, 0);
	vm_exits("old", 0, MSR_WRITE(0x830), 10, 100);
	vm_exits("old", 0, CPUID, 20, 100);
	take(&top, SECOND);
	enter("old");
	enter("0");
	enter("msr");
	assert_int_equal(top.level, LEVEL_DETAILS);
	press(TOP_KEY_BACKSPACE);
	assert_selected("msr");
	press('h');
	assert_selected("0");
	press(TOP_KEY_ESCAPE);
	assert_selected("old");
	press(TOP_KEY_ESCAPE);
	assert_int_equal(top.level, LEVEL_VMS);
	assert_false(top.quit);
}

static void a_reason_without_details_leads_nowhere(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, CPUID, 20, 100);
	take(&top, SECOND);
	enter("db");
	enter("all");
	enter("cpuid");
	assert_int_equal(top.level, LEVEL_REASONS);
	assert_string_equal(top.message, "nothing more is known of cpuid");
	press(TOP_KEY_DOWN);
	assert_string_equal(top.message, "");
}

static void all_vcpus_together_come_first_in_any_order(void **state)
{
	take(&top, 0);
	vm_exits("web", 1, CPUID, 20, 100);
	take(&top, SECOND);
	enter("web");
	assert_string_equal(names(), "all 0 1 ");
	press('r');
	assert_string_equal(names(), "all 1 0 ");
	for (unsigned int i = 0; i < 12; i++) {
		press('>');
		assert_string_equal(top.items.items[0].name, "all");
	}
}

static void vcpus_are_ordered_as_numbers(void **state)
{
	struct vm *vm = fake_vm("kvm", 7, 107, "big");

	for (uint32_t i = 0; i < 12; i++)
		fake_vcpu(vm, i);
	take(&top, 0);
	enter("big");
	assert_string_equal(names(), "all 0 1 2 3 4 5 6 7 8 9 10 11 ");
}

/* --- Sorting --- */

static void sort_by(enum column column)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr = level_sort_columns(top.level, columns), i = 0;

	while (i < nr && columns[i] != column)
		i++;
	assert_true(i < nr);
	press('s');
	press(TOP_KEY_HOME);
	for (; i; i--)
		press(TOP_KEY_DOWN);
	press(TOP_KEY_ENTER);
	assert_int_equal(top_current_view(&top)->sort, column);
}

static void the_menu_chooses_the_column_to_sort_by(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, CPUID, 20, 10000);
	vm_exits("web", 0, CPUID, 500, 10);
	vm_exits("old", 0, HLT, 30, 100);
	take(&top, SECOND);
	assert_string_equal(names(), "web old db ");
	sort_by(COLUMN_NAME);
	assert_string_equal(names(), "db old web ");
	sort_by(COLUMN_PID);
	assert_string_equal(names(), "web db old ");
	sort_by(COLUMN_VCPUS);
	assert_string_equal(names(), "web db old ");
	sort_by(COLUMN_ENGINE);
	assert_string_equal(names(), "web db old ");
	sort_by(COLUMN_OUTSIDE);
	assert_string_equal(names(), "db old web ");
	sort_by(COLUMN_TOP);
	assert_string_equal(names(), "web db old ");
	press('r');
	assert_string_equal(names(), "old web db ");
	sort_by(COLUMN_AVERAGE);
	assert_string_equal(names(), "db old web ");
}

static void sort_keys_stop_at_the_ends_of_the_menu(void **state)
{
	enum column columns[TOP_MAX_LIST_COLUMNS];
	size_t nr;

	take(&top, 0);
	nr = level_sort_columns(top.level, columns);
	for (size_t i = 0; i < 30; i++)
		press('>');
	assert_int_equal(top_current_view(&top)->sort, columns[nr - 1]);
	for (size_t i = 0; i < 30; i++)
		press('<');
	assert_int_equal(top_current_view(&top)->sort, columns[0]);
	press(TOP_KEY_F6);
	assert_int_equal(top.mode, TOP_SORT);
	for (size_t i = 0; i < 30; i++)
		press(TOP_KEY_DOWN);
	assert_int_equal(top.sort_index, nr - 1);
	press(TOP_KEY_ESCAPE);
	assert_int_equal(top.mode, TOP_BROWSE);
	assert_int_equal(top_current_view(&top)->sort, columns[0]);
}

static void every_column_of_every_level_sorts_numbers_downwards(void **state)
{
	static const enum column down[] = { COLUMN_RATE, COLUMN_COUNT, COLUMN_SHARE, COLUMN_TIME, COLUMN_AVERAGE, COLUMN_P50,
					    COLUMN_P99, COLUMN_MAX, COLUMN_USER };

	take(&top, 0);
	for (unsigned int i = 1; i <= 6; i++)
		vm_exits("db", 0, EXEUNT_KEY(0x60 + i, i % 2 ? EXEUNT_PLAIN : EXEUNT_PIO_IN, i % 3 ? EXEUNT_KERNEL : EXEUNT_USER, 0),
			 7 * i % 11, 100 * (5 * i % 7));
	take(&top, SECOND);
	enter("db");
	enter("all");
	for (size_t c = 0; c < sizeof(down) / sizeof(down[0]); c++) {
		sort_by(down[c]);
		for (size_t i = 1; i < top.items.nr; i++)
			assert_true(top.items.items[i - 1].values[down[c]] >= top.items.items[i].values[down[c]]);
		press('r');
		for (size_t i = 1; i < top.items.nr; i++)
			assert_true(top.items.items[i - 1].values[down[c]] <= top.items.items[i].values[down[c]]);
	}
}

static void equal_rows_keep_their_places(void **state)
{
	take(&top, 0);
	assert_string_equal(names(), "web db old ");
	sort_by(COLUMN_P99);
	assert_string_equal(names(), "web db old ");
	take(&top, SECOND);
	assert_string_equal(names(), "web db old ");
}

/* --- Filtering --- */

static void a_filter_keeps_rows_with_the_text_in_capitals_or_not(void **state)
{
	fake_vcpu(fake_vm("kvm", 8, 108, "WebDB-ÄÖ"), 0);
	take(&top, 0);
	press('/');
	type("WEB");
	assert_string_equal(names(), "web WebDB-ÄÖ ");
	type("d");
	assert_string_equal(names(), "WebDB-ÄÖ ");
	press(TOP_KEY_ENTER);
	assert_int_equal(top.mode, TOP_BROWSE);
	assert_string_equal(names(), "WebDB-ÄÖ ");
	press('/');
	press(0x15);
	press(0xe4);
	assert_string_equal(top_current_view(&top)->filter, "ä");
	assert_string_equal(names(), "WebDB-ÄÖ ");
	press(TOP_KEY_BACKSPACE);
	assert_string_equal(top_current_view(&top)->filter, "");
	assert_int_equal(top.items.nr, 4);
}

static void enter_keeps_the_filter_and_escape_clears_it(void **state)
{
	take(&top, 0);
	press('/');
	type("db");
	press(TOP_KEY_ENTER);
	assert_string_equal(names(), "db ");
	assert_selected("db");
	press('/');
	type("xyz");
	assert_int_equal(top.items.nr, 0);
	assert_null(top_selected(&top));
	press(TOP_KEY_ESCAPE);
	assert_string_equal(names(), "web db old ");
	assert_selected("db");
}

static void keys_are_text_while_a_filter_is_typed(void **state)
{
	take(&top, 0);
	press('/');
	type("qp?s");
	assert_false(top.quit);
	assert_false(top.paused);
	assert_string_equal(top_current_view(&top)->filter, "qp?s");
	press(TOP_KEY_DOWN);
	press(0x07);
	press(0x7f + 1);
	assert_string_equal(top_current_view(&top)->filter, "qp?s");
}

static void a_filter_never_outgrows_its_place(void **state)
{
	take(&top, 0);
	press('/');
	for (unsigned int i = 0; i < 3 * TOP_FILTER_SIZE; i++)
		press(i % 3 ? 0x6771 : 0x1f600);
	assert_true(strlen(top_current_view(&top)->filter) < TOP_FILTER_SIZE);
	assert_true(mbstowcs(NULL, top_current_view(&top)->filter, 0) != (size_t)-1);
	for (unsigned int i = 0; i < TOP_FILTER_SIZE; i++)
		press(TOP_KEY_BACKSPACE);
	assert_string_equal(top_current_view(&top)->filter, "");
}

static void each_level_has_a_filter_of_its_own(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, CPUID, 1, 100);
	take(&top, SECOND);
	press('/');
	type("db");
	press(TOP_KEY_ENTER);
	press(TOP_KEY_ENTER);
	assert_string_equal(names(), "all 0 ");
	press(TOP_KEY_ENTER);
	assert_string_equal(names(), "cpuid ");
	press(TOP_KEY_LEFT);
	press(TOP_KEY_LEFT);
	assert_string_equal(names(), "db ");
}

/* --- Other keys --- */

static void plus_and_minus_go_through_steps_and_stop(void **state)
{
	top.delay = 1.5;
	press('+');
	assert_close(top.delay, 2);
	press('-');
	assert_close(top.delay, 1);
	for (unsigned int i = 0; i < 20; i++)
		press('-');
	assert_true(top.delay >= TOP_MIN_DELAY);
	assert_close(top.delay, 0.1);
	for (unsigned int i = 0; i < 20; i++)
		press('+');
	assert_close(top.delay, 60);
}

static void p_pauses_and_q_quits(void **state)
{
	press('p');
	assert_true(top.paused);
	press('p');
	assert_false(top.paused);
	press('q');
	assert_true(top.quit);
}

static void help_scrolls_within_its_text_and_any_other_key_leaves_it(void **state)
{
	top_resize(&top, 10, 80);
	press('?');
	assert_int_equal(top.mode, TOP_HELP);
	for (unsigned int i = 0; i < 100; i++)
		press(TOP_KEY_DOWN);
	assert_int_equal(top.help_offset, help_lines(80) - 9);
	press(TOP_KEY_PAGE_UP);
	assert_int_equal(top.help_offset, help_lines(80) - 9 - 8);
	top_resize(&top, 200, 80);
	assert_int_equal(top.help_offset, 0);
	press('q');
	assert_int_equal(top.mode, TOP_BROWSE);
	assert_false(top.quit);
}

/* --- Scrolling --- */

static void the_selected_row_is_in_sight_at_any_size(void **state)
{
	for (size_t nr = 1; nr <= 12; nr++) {
		for (size_t page = 1; page <= 14; page++) {
			for (size_t index = 0; index < nr; index++) {
				for (size_t before = 0; before <= 15; before++) {
					size_t offset = scroll(before, index, nr, page);

					assert_true(offset <= index && index < offset + page);
					assert_true(nr <= page ? offset == 0 : offset + page <= nr);
					if (before <= index && index < before + page && before + page <= nr)
						assert_int_equal(offset, before);
				}
			}
		}
	}
}

static void pages_are_as_long_as_the_list_on_the_screen(void **state)
{
	for (unsigned int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vm%02u", i);
		fake_vcpu(fake_vm("kvm", 100 + i, 200 + i, name), 0);
	}
	take(&top, 0);
	sort_by(COLUMN_NAME);
	top_resize(&top, 7, 80);	/* title, head, 4 rows, keys */
	assert_int_equal(top.page, 4);
	press(TOP_KEY_HOME);
	assert_selected("db");
	press(TOP_KEY_PAGE_DOWN);
	assert_selected("vm02");
	press(TOP_KEY_END);
	assert_selected("web");
	assert_int_equal(top_current_view(&top)->offset, 53 - 4);
	press(TOP_KEY_PAGE_UP);
	assert_selected("vm46");
	press('g');
	press(TOP_KEY_UP);
	assert_selected("db");
	assert_int_equal(top_current_view(&top)->offset, 0);
	press('G');
	top_resize(&top, 60, 80);
	assert_selected("web");
	assert_true(top_current_view(&top)->offset + top.page <= 53 || top_current_view(&top)->offset == 0);
}

static void strips_fill_the_screen_at_any_size(void **state)
{
	for (unsigned int lines = 1; lines <= 120; lines++) {
		for (unsigned int columns = 1; columns <= 100; columns += 9) {
			struct layout l;
			const struct strip *strips[] = { &l.title, &l.summary, &l.head, &l.list, &l.pane, &l.keys };
			unsigned int y = 0;

			layout_make(&l, lines, columns);
			for (size_t i = 0; i < sizeof(strips) / sizeof(strips[0]); i++) {
				assert_int_equal(strips[i]->y, y);
				y += strips[i]->lines;
			}
			assert_int_equal(y, lines);
			assert_true(l.list.lines >= 1);
			assert_true(lines < 16 || l.list.lines >= 4);
		}
	}
}

/* --- Anything at all --- */

static void random_life(unsigned int *seed)
{
	static const uint64_t keys[] = { CPUID, HLT, MSR_WRITE(0x830), MSR_READ(0x10), PORT_OUT(0x3f8) };
	static uint64_t next_id = 1000;
	char name[16];

	if (rand_r(seed) % 10 == 0) {
		snprintf(name, sizeof(name), "r%u", rand_r(seed) % 1000);
		fake_vcpu(fake_vm("kvm", next_id, next_id, name), 0);
		next_id++;
	}
	if (fake.now.nr_vms && rand_r(seed) % 12 == 0)
		vm_vanishes(fake.now.vms[rand_r(seed) % fake.now.nr_vms].name);
	for (size_t i = 0; i < fake.now.nr_vms; i++) {
		fake.now.vms[i].ended |= rand_r(seed) % 40 == 0;
		fake_exits(&fake.now.vms[i].vcpus[0], keys[rand_r(seed) % 5], rand_r(seed) % 50, 1u << rand_r(seed) % 30);
	}
	take(&top, rand_r(seed) % (2 * SECOND));
}

static void whatever_happens_the_state_is_sound(void **state)
{
	static const char characters[] = "jkhlgGsrcp+-/?<>abWQ \x15\x1b";
	unsigned int seed = 1;

	take(&top, 0);
	for (unsigned int i = 0; i < 20000; i++) {
		const struct top_view *v;

		if (i % 7 == 0)
			random_life(&seed);
		else if (i % 11 == 0)
			top_resize(&top, 1 + rand_r(&seed) % 60, 1 + rand_r(&seed) % 150);
		else if (i % 2)
			press(TOP_KEY_UP + rand_r(&seed) % (TOP_KEY_OTHER - TOP_KEY_UP + 1));
		else
			press(characters[rand_r(&seed) % (sizeof(characters) - 1)]);
		v = top_current_view(&top);
		if (!top.items.nr)
			continue;
		assert_true(v->index < top.items.nr);
		assert_true(v->offset <= v->index && v->index < v->offset + top.page);
		assert_true(part_is(&v->selected, &top_selected(&top)->part));
		assert_true(top.level == LEVEL_VMS || part_vm(&top.data.now, &top.scopes[top.level]));
	}
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rates_are_by_the_time_between_samples),
		TEST(c_switches_to_figures_since_the_start),
		TEST(a_vm_that_appears_counts_from_the_sample_before),
		TEST(time_outside_is_a_share_of_all_vcpus_time),
		TEST(a_sleep_longer_than_the_interval_is_all_of_it),
		TEST(reasons_have_shares_of_exits_and_of_time),
		TEST(one_vcpus_reasons_are_its_own),
		TEST(a_reason_without_exits_lately_stays),
		TEST(the_most_frequent_reason_is_named),
		TEST(vms_with_one_id_on_two_engines_are_two),
		TEST(a_trend_has_the_rates_of_the_last_samples),
		TEST(a_long_trend_forgets_its_beginning),
		TEST(a_trend_of_what_appears_late_begins_with_nothing),
		TEST(an_ended_vm_is_marked_and_goes_after_some_seconds),
		TEST(a_vm_that_the_source_has_forgotten_has_ended),
		TEST(an_ended_vms_rate_since_the_start_stands_still),
		TEST(who_is_inside_a_vm_that_goes_is_told_and_put_outside),
		TEST(no_vm_at_all_is_no_trouble),
		TEST(the_selection_follows_its_row_when_the_order_changes),
		TEST(the_first_figures_decide_what_is_selected_at_first),
		TEST(what_the_user_selected_before_the_first_figures_stays),
		TEST(when_the_selected_vm_goes_its_place_is_selected),
		TEST(each_level_remembers_its_selection_on_the_way_up),
		TEST(a_reason_without_details_leads_nowhere),
		TEST(all_vcpus_together_come_first_in_any_order),
		TEST(vcpus_are_ordered_as_numbers),
		TEST(the_menu_chooses_the_column_to_sort_by),
		TEST(sort_keys_stop_at_the_ends_of_the_menu),
		TEST(every_column_of_every_level_sorts_numbers_downwards),
		TEST(equal_rows_keep_their_places),
		TEST(a_filter_keeps_rows_with_the_text_in_capitals_or_not),
		TEST(enter_keeps_the_filter_and_escape_clears_it),
		TEST(keys_are_text_while_a_filter_is_typed),
		TEST(a_filter_never_outgrows_its_place),
		TEST(each_level_has_a_filter_of_its_own),
		TEST(plus_and_minus_go_through_steps_and_stop),
		TEST(p_pauses_and_q_quits),
		TEST(help_scrolls_within_its_text_and_any_other_key_leaves_it),
		TEST(the_selected_row_is_in_sight_at_any_size),
		TEST(pages_are_as_long_as_the_list_on_the_screen),
		TEST(strips_fill_the_screen_at_any_size),
		TEST(whatever_happens_the_state_is_sound),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
