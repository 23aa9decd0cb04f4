// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what `exeunt top` shows: characters on a canvas, columns by width, distributions, whole screens at every size.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <wctype.h>
#include "fake_top.h"
#include "top_canvas.h"
#include "top_chart.h"
#include "top_help.h"
#include "top_paint.h"
#include "top_table.h"

static struct top top;
static struct canvas canvas;

static int setup(void **state)
{
	fake_vms();
	top_init(&top, 1);
	return 0;
}

static int teardown(void **state)
{
	top_free(&top);
	canvas_free(&canvas);
	fake_reset();
	return 0;
}

static void new_canvas(unsigned int lines, unsigned int columns, bool unicode)
{
	canvas_free(&canvas);
	canvas_init(&canvas, lines, columns, unicode);
}

/* Line @y as it is seen, without trailing spaces. */
static const char *line(unsigned int y)
{
	static char text[4096];
	size_t len = 0;

	for (unsigned int x = 0; x < canvas.columns; x++) {
		const struct cell *cell = canvas_cell(&canvas, y, x);

		if (cell->c)
			len += wctomb(text + len, cell->c);
	}
	while (len && text[len - 1] == ' ')
		len--;
	text[len] = '\0';
	return text;
}

/* Each cell can be shown, and wide characters have both their halves. */
static void assert_sound_canvas(void)
{
	for (unsigned int y = 0; y < canvas.lines; y++) {
		for (unsigned int x = 0; x < canvas.columns; x++) {
			const struct cell *cell = canvas_cell(&canvas, y, x), *next = canvas_cell(&canvas, y, x + 1);
			int width = cell->c ? wcwidth(cell->c) : 0;

			assert_true(!cell->c || width > 0);
			assert_true(canvas.unicode || cell->c < 0x80);
			assert_true(cell->style < STYLES);
			assert_int_equal(width == 2, x + 1 < canvas.columns && !next->c);
		}
	}
}

static int paint(unsigned int lines, unsigned int columns, bool unicode)
{
	int cursor_x;

	top_resize(&top, lines, columns);
	new_canvas(lines, columns, unicode);
	top_paint(&top, &canvas, &cursor_x);
	assert_sound_canvas();
	return cursor_x;
}

static bool screen_has(const char *text)
{
	for (unsigned int y = 0; y < canvas.lines; y++) {
		if (strstr(line(y), text))
			return true;
	}
	return false;
}

static void assert_screen_has(const char *text)
{
	if (screen_has(text))
		return;
	for (unsigned int y = 0; y < canvas.lines; y++)
		print_message("|%s\n", line(y));
	fail_msg("'%s' is not on the screen", text);
}

static void press(unsigned int key)
{
	top_key(&top, key);
}

/* --- Canvas --- */

static void text_that_does_not_fit_is_cut_with_a_mark(void **state)
{
	new_canvas(1, 8, true);
	assert_int_equal(canvas_put(&canvas, 0, 1, 5, STYLE_PLAIN, "abcdef"), 5);
	assert_string_equal(line(0), " abcd…");
	assert_int_equal(canvas_put(&canvas, 0, 1, 6, STYLE_PLAIN, "abcdef"), 6);
	assert_string_equal(line(0), " abcdef");
	assert_int_equal(canvas_put(&canvas, 0, 5, 20, STYLE_PLAIN, "abcdef"), 3);
	assert_string_equal(line(0), " abcdab…");
	assert_int_equal(canvas_put(&canvas, 0, 0, 0, STYLE_PLAIN, "abc"), 0);
	assert_string_equal(line(0), " abcdab…");
	new_canvas(1, 4, false);
	canvas_put(&canvas, 0, 0, 4, STYLE_PLAIN, "abcdef");
	assert_string_equal(line(0), "abc~");
}

static void what_lies_outside_is_not_painted(void **state)
{
	new_canvas(2, 4, true);
	canvas_put(&canvas, 2, 0, 4, STYLE_PLAIN, "below");
	canvas_put(&canvas, 0, 9, 4, STYLE_PLAIN, "right");
	canvas_fill(&canvas, 1, 2, 100, STYLE_PLAIN, L'x', 'x');
	canvas_fill(&canvas, 7, 0, 100, STYLE_PLAIN, L'x', 'x');
	canvas_restyle(&canvas, 1, 3, 100, STYLE_KEY);
	canvas_restyle(&canvas, 9, 0, 100, STYLE_KEY);
	canvas_put_right(&canvas, 0, 3, 5, STYLE_PLAIN, "abc");
	assert_string_equal(line(0), "");
	assert_string_equal(line(1), "  xx");
	assert_int_equal(canvas_cell(&canvas, 1, 2)->style, STYLE_PLAIN);
	assert_int_equal(canvas_cell(&canvas, 1, 3)->style, STYLE_KEY);
	assert_null(canvas_cell(&canvas, 2, 0));
	assert_null(canvas_cell(&canvas, 0, 4));
}

static void wide_characters_take_two_columns_and_are_never_halved(void **state)
{
	new_canvas(1, 6, true);
	assert_int_equal(canvas_text_width(&canvas, "東京x"), 5);
	assert_int_equal(canvas_put(&canvas, 0, 0, 6, STYLE_PLAIN, "東京x"), 5);
	assert_string_equal(line(0), "東京x");
	assert_sound_canvas();
	canvas_put(&canvas, 0, 1, 1, STYLE_PLAIN, "a");
	assert_string_equal(line(0), " a京x");
	assert_sound_canvas();
	canvas_put(&canvas, 0, 2, 1, STYLE_PLAIN, "b");
	assert_string_equal(line(0), " ab x");
	assert_sound_canvas();
	canvas_put(&canvas, 0, 0, 4, STYLE_PLAIN, "東京東");
	assert_string_equal(line(0), "東… x");
	assert_sound_canvas();
}

static void control_characters_and_nonsense_become_question_marks(void **state)
{
	static const char *const texts[] = {
		"a\x1b[31mb", "a?[31mb", "tab\there", "tab?here", "\xff\xfe", "??", "\xe6\x9d", "?", "\xc2\x9b" "0m", "?0m",
		"\xc0\x9b", "?",
		"e\xcc\x81" "x", "ex", "\xe2\x80\xae" "abc", "abc", "\xf4\x90\x80\x80", "?", "\xed\xa0\x80", "?", "\x7f", "?",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i += 2) {
		new_canvas(1, 20, true);
		canvas_put(&canvas, 0, 0, 20, STYLE_PLAIN, texts[i]);
		assert_string_equal(line(0), texts[i + 1]);
		assert_sound_canvas();
	}
	new_canvas(1, 20, false);
	canvas_put(&canvas, 0, 0, 20, STYLE_PLAIN, "a東ä.");
	assert_string_equal(line(0), "a??.");
}

/* --- Columns --- */

static void some_exits(void)
{
	take(&top, 0);
	vm_exits("web", 0, CPUID, 900, 700);
	vm_exits("web", 0, MSR_WRITE(0x830), 4000, 2000);
	vm_exits("web", 0, MSR_WRITE(0x80b), 40, 3000);
	vm_exits("web", 1, PORT_OUT(0x3f8), 3, 90000);
	vm_exits("db", 0, HLT, 7, 12345678);
	take(&top, SECOND);
}

/* Shows @level: as the user would get there. */
static void go_to(enum level level)
{
	press(TOP_KEY_HOME);
	for (unsigned int i = LEVEL_VMS; i < level; i++)
		press(TOP_KEY_ENTER);
	assert_int_equal(top.level, level);
}

static bool has_column(const struct table_columns *c, enum column column)
{
	for (size_t i = 0; i < c->nr; i++) {
		if (c->columns[i].column == column)
			return true;
	}
	return false;
}

static void tables_are_never_wider_than_the_screen(void **state)
{
	some_exits();
	new_canvas(1, 1, true);
	for (enum level level = LEVEL_VMS; level < LEVELS; level++) {
		size_t before = 0;

		if (level)
			press(TOP_KEY_ENTER);
		assert_int_equal(top.level, level);
		for (unsigned int width = 2; width <= 200; width++) {
			struct table_columns c;
			unsigned int total = 0;

			table_choose(&c, &canvas, &top, width, true);
			for (size_t i = 0; i < c.nr; i++)
				total += 1 + c.columns[i].width;
			assert_true(total <= width);
			assert_int_equal(c.columns[0].column, COLUMN_NAME);
			assert_true(c.columns[0].width >= 1);
			assert_true(width < 16 || has_column(&c, COLUMN_RATE));
			assert_true(c.nr >= before);
			before = c.nr;
		}
		assert_int_equal(before, 11);
	}
}

static void eighty_columns_show_what_matters(void **state)
{
	static const enum column vms[] = { COLUMN_PID, COLUMN_ENGINE, COLUMN_VCPUS, COLUMN_RATE, COLUMN_OUTSIDE, COLUMN_TOP };
	static const enum column reasons[] = { COLUMN_RATE, COLUMN_SHARE, COLUMN_TIME, COLUMN_AVERAGE, COLUMN_P50, COLUMN_P99,
					       COLUMN_MAX, COLUMN_TREND };
	struct table_columns c;

	some_exits();
	new_canvas(1, 80, true);
	table_choose(&c, &canvas, &top, 80, true);
	for (size_t i = 0; i < sizeof(vms) / sizeof(vms[0]); i++)
		assert_true(has_column(&c, vms[i]));
	go_to(LEVEL_REASONS);
	table_choose(&c, &canvas, &top, 80, true);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		assert_true(has_column(&c, reasons[i]));
	table_choose(&c, &canvas, &top, 80, false);
	assert_false(has_column(&c, COLUMN_TREND));
}

static void long_names_are_cut_and_leave_room_for_figures(void **state)
{
	snprintf(vm_named("web")->name, sizeof(vm_named("web")->name), "%s",
		 "a-virtual-machine-with-a-rather-long-name");
	take(&top, 0);
	take(&top, SECOND);
	paint(24, 80, true);
	assert_screen_has("a-virtual-machine-…     101 exeunt       2");
	paint(24, 200, true);
	assert_screen_has(">a-virtual-machine-with-a-rather-long-name     101 exeunt       2");
	paint(4, 20, true);
	assert_screen_has("a-virtual…");
}

static void text_of(const char *name, enum column column, const char *expected)
{
	char buf[80];

	for (size_t i = 0; i < top.items.nr; i++) {
		if (!strcmp(top.items.items[i].name, name)) {
			assert_string_equal(column_text(&top.items.items[i], column, buf, sizeof(buf)), expected);
			return;
		}
	}
	fail_msg("no row '%s'", name);
}

static void cells_say_what_the_figures_are(void **state)
{
	some_exits();
	text_of("web", COLUMN_PID, "101");
	text_of("web", COLUMN_ENGINE, "exeunt");
	text_of("old", COLUMN_ENGINE, "kvm");
	text_of("web", COLUMN_VCPUS, "2");
	text_of("web", COLUMN_RATE, "4.94k");
	text_of("web", COLUMN_TOP, "msr 82%");
	text_of("old", COLUMN_TOP, "-");
	text_of("old", COLUMN_AVERAGE, "-");
	text_of("db", COLUMN_OUTSIDE, "8.6");
	text_of("db", COLUMN_AVERAGE, "12.3ms");
	go_to(LEVEL_REASONS);
	text_of("msr", COLUMN_COUNT, "4.04k");
	text_of("io", COLUMN_USER, "100.0");
	text_of("cpuid", COLUMN_MAX, "700ns");
}

/* --- Distributions --- */

static void a_chart_counts_every_exit_at_any_width(void **state)
{
	unsigned int seed = 3;

	for (unsigned int round = 0; round < 40; round++) {
		struct exeunt_row r;
		uint64_t all = 0;

		row_init(&r, 0);
		for (unsigned int i = 0; i <= rand_r(&seed) % 9; i++)
			r.hist[rand_r(&seed) % EXEUNT_HIST_BUCKETS] += 1 + rand_r(&seed) % 100;
		for (unsigned int i = 0; i < EXEUNT_HIST_BUCKETS; i++)
			all += r.hist[i];
		for (unsigned int columns = 1; columns <= 300; columns++) {
			struct chart c;
			uint64_t sum = 0, highest = 0;

			chart_make(&c, &r, columns);
			for (unsigned int x = 0; x < columns; x++) {
				sum += c.counts[x];
				highest = c.counts[x] > highest ? c.counts[x] : highest;
			}
			assert_true(c.group >= 1 && c.repeat >= 1);
			assert_int_equal(c.highest, highest);
			assert_true(sum >= all * c.repeat && sum <= all * c.repeat);
			chart_free(&c);
		}
	}
}

static void longer_times_are_further_to_the_right(void **state)
{
	struct exeunt_row r;

	row_init(&r, 0);
	row_exits(&r, 5, 900, 4);
	row_exits(&r, 3, 70000, 4);
	for (unsigned int columns = 1; columns <= 200; columns++) {
		struct chart c;
		int before = -1000;

		chart_make(&c, &r, columns);
		for (uint64_t ticks = 1; ticks < 1ull << 36; ticks += 1 + ticks / 7) {
			int x = chart_column(&c, ticks, 4);

			assert_true(x >= before);
			before = x;
		}
		assert_true(chart_column(&c, 900, 4) >= 0 && chart_column(&c, 900, 4) < (int)columns);
		assert_true(c.counts[chart_column(&c, 900, 4)] >= 5);
		assert_true(c.counts[chart_column(&c, 70000, 4)] >= 3);
		chart_free(&c);
	}
}

static void a_rare_exit_is_seen_beside_many(void **state)
{
	take(&top, 0);
	vm_exits("db", 0, CPUID, 1000000, 1000);
	vm_exits("db", 0, CPUID, 1, 1000000);
	take(&top, SECOND);
	paint(24, 80, true);
	assert_screen_has(" db: time of 1.00M exits ");
	assert_screen_has("▁");
	assert_screen_has("p50 1.00us");
	assert_screen_has("max 1.00ms");
	paint(24, 80, false);
	assert_screen_has(".");
}

static void percentiles_and_times_are_on_the_axis(void **state)
{
	take(&top, 0);
	for (unsigned int i = 0; i < 98; i++)
		vm_exits("db", 0, CPUID, 1, 1000 + i);
	vm_exits("db", 0, CPUID, 2, 100000);
	take(&top, SECOND);
	paint(24, 80, true);
	assert_screen_has("▲p50");
	assert_screen_has("▲p99");
	assert_screen_has(" 1us ");
	assert_screen_has(" 10us ");
	assert_screen_has(" 100us ");
	paint(24, 80, false);
	assert_screen_has("^p50");
}

static void a_trend_fits_its_width(void **state)
{
	float rates[TREND_TICKS];

	for (unsigned int nr = 0; nr <= TREND_TICKS; nr++) {
		for (unsigned int width = 1; width <= 60; width += 7) {
			new_canvas(1, width + 2, true);
			for (unsigned int i = 0; i < nr; i++)
				rates[i] = i + 1;
			trend_paint(&canvas, 0, 1, width, STYLE_TREND, rates, nr, nr + 1 + width);
			assert_int_equal(canvas_cell(&canvas, 0, 0)->c, L' ');
			assert_int_equal(canvas_cell(&canvas, 0, width + 1)->c, L' ');
			assert_int_equal(canvas_cell(&canvas, 0, width)->c, nr ? L'█' : L' ');
			assert_sound_canvas();
		}
	}
}

static void a_trends_nothing_is_blank_and_its_least_is_seen(void **state)
{
	static const float rates[] = { 0, 0.001, 1000, 500 };

	new_canvas(1, 4, true);
	trend_paint(&canvas, 0, 0, 4, STYLE_TREND, rates, 4, 5);
	assert_string_equal(line(0), " ▁█▄");
	new_canvas(1, 4, false);
	trend_paint(&canvas, 0, 0, 4, STYLE_TREND, rates, 4, 5);
	assert_string_equal(line(0), " .#-");
}

/* --- Screens --- */

static void a_screen_of_80_by_24_shows_it_all(void **state)
{
	some_exits();
	paint(24, 80, true);
	assert_string_equal(line(0), "exeunt top: VMs                                                          last 1s");
	assert_string_equal(line(1), " 3 VMs, 4 vCPUs: 4.95k exits/s");
	assert_screen_has("VM         PID ENGINE   VCPUS EXITS/S▼  OUT%");
	assert_screen_has(">web        101 exeunt       2    4.94k");
	assert_screen_has(" db         102 exeunt       1        7");
	assert_screen_has(" web: time of 4.94k exits ");
	assert_screen_has("q quit  ? help  Enter in");
	press(TOP_KEY_ENTER);
	press(TOP_KEY_ENTER);
	paint(24, 80, true);
	assert_string_equal(line(0), "exeunt top: VMs › web › all vCPUs                                        last 1s");
	assert_screen_has("pid 101 on exeunt, 2 vCPUs: 4.94k exits/s");
	assert_screen_has(">msr       4.04k");
	press('c');
	press('p');
	paint(24, 80, false);
	assert_string_equal(line(0), "exeunt top: VMs > web > all vCPUs                    paused  since the start, 1s");
}

static void exits_that_the_source_had_no_room_for_are_told_of(void **state)
{
	some_exits();
	vm_named("old")->unaccounted = 1234;
	take(&top, SECOND);
	take(&top, SECOND);
	paint(24, 80, true);
	assert_screen_has("exits/s; not shown for lack of room: 1.23k exits");
}

static void a_screen_of_20_by_4_shows_what_is_selected(void **state)
{
	some_exits();
	go_to(LEVEL_REASONS);
	paint(4, 20, true);
	assert_string_equal(line(0), "all vCPUs         1s");
	assert_string_equal(line(1), " REASON EXITS/S▼");
	assert_string_equal(line(2), ">msr       4.04k");
	assert_string_equal(line(3), "q quit  ? help");
	press(TOP_KEY_DOWN);
	paint(4, 20, true);
	assert_string_equal(line(2), ">cpuid       900");
}

static void without_a_vm_it_says_so(void **state)
{
	while (fake.now.nr_vms)
		vm_vanishes(fake.now.vms[0].name);
	take(&top, 0);
	for (unsigned int lines = 1; lines < 30; lines++) {
		paint(lines, 60, true);
		assert_screen_has("no virtual machine is running; waiting");
	}
}

static void an_ended_vm_is_marked_without_colours_too(void **state)
{
	some_exits();
	vm_named("web")->ended = true;
	take(&top, SECOND);
	paint(10, 80, true);
	assert_screen_has("web        101 exeunt       2    ended");
	paint(4, 20, true);
	assert_screen_has("ended");
}

static void the_order_is_seen_in_the_heads(void **state)
{
	some_exits();
	paint(24, 80, true);
	assert_screen_has("EXITS/S▼");
	press('r');
	paint(24, 80, false);
	assert_screen_has("EXITS/S^");
	press('s');
	press(TOP_KEY_HOME);
	press(TOP_KEY_ENTER);
	paint(24, 80, false);
	assert_screen_has(" VM^");
}

static void a_filter_is_typed_on_the_last_line(void **state)
{
	some_exits();
	press('/');
	press('w');
	assert_int_equal(paint(24, 80, true), 2);
	assert_string_equal(line(23), "/w");
	assert_screen_has("/w  last 1s");
	press('x');
	paint(24, 80, true);
	assert_screen_has("no row has 'wx' in it");
	for (unsigned int i = 0; i < 30; i++)
		press(0x6771);
	press('z');
	assert_true(paint(5, 12, true) <= 11);
	assert_string_equal(line(4), "/東東東東z");
	press(TOP_KEY_ENTER);
	assert_int_equal(paint(24, 80, true), -1);
}

static void the_sort_menu_shows_its_choice_at_any_height(void **state)
{
	some_exits();
	press('s');
	press(TOP_KEY_END);
	for (unsigned int lines = 1; lines < 30; lines++) {
		paint(lines, 40, true);
		assert_screen_has(">P99");
	}
}

static void help_is_complete_at_any_width(void **state)
{
	for (unsigned int columns = 1; columns <= 120; columns++) {
		unsigned int nr = help_lines(columns);

		new_canvas(nr, columns, true);
		help_paint(&canvas, 0, nr, 0);
		assert_sound_canvas();
		if (columns >= 20) {
			assert_screen_has("share of");
			assert_screen_has("TOP REASON");
			assert_false(screen_has("…"));
		}
	}
}

static void names_are_shown_safely(void **state)
{
	snprintf(vm_named("web")->name, 64, "%s", "\x1b]0;x\x07\x1b[2J東京");
	snprintf(vm_named("db")->name, 64, "%s", "\xe2\x80\xae\xf0\x9f\x92\xa9");
	take(&top, 0);
	take(&top, SECOND);
	for (unsigned int columns = 1; columns <= 90; columns++)
		paint(24, columns, true);
	assert_screen_has("?]0;x??[2J東京");
	paint(24, 90, false);
	assert_screen_has("?]0;x??[2J??");
}

static void random_keys(unsigned int *seed)
{
	static const char characters[] = "jkhlgGsrcp/?<>ab\x1b";

	for (unsigned int i = rand_r(seed) % 12; i; i--) {
		if (rand_r(seed) % 2)
			press(TOP_KEY_UP + rand_r(seed) % (TOP_KEY_OTHER - TOP_KEY_UP + 1));
		else
			press(characters[rand_r(seed) % (sizeof(characters) - 1)]);
	}
}

static void every_size_shows_a_sound_screen(void **state)
{
	unsigned int seed = 5;

	some_exits();
	for (unsigned int lines = 1; lines <= 45; lines++) {
		for (unsigned int columns = 1; columns <= 140; columns += 1 + columns / 9) {
			random_keys(&seed);
			paint(lines, columns, seed % 3);
			if (lines * columns % 17 == 0) {
				vm_exits("web", seed % 2, CPUID, 1 + seed % 1000, 1ull << seed % 37);
				take(&top, SECOND);
			}
		}
	}
}

static void plain_text_has_every_row_and_no_trailing_space(void **state)
{
	char *text = NULL, *at;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	some_exits();
	top_print_list(&top, 0, true, f);
	fclose(f);
	assert_null(strstr(text, " \n"));
	assert_non_null(strstr(text, "EXITS/S▼"));
	assert_null(strstr(text, "TREND"));
	at = strstr(text, "\n web ");
	assert_non_null(at);
	assert_non_null(strstr(at, "msr 82%"));
	assert_non_null(strstr(at, "\n db "));
	assert_non_null(strstr(at, "\n old "));
	free(text);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_that_does_not_fit_is_cut_with_a_mark),
		TEST(what_lies_outside_is_not_painted),
		TEST(wide_characters_take_two_columns_and_are_never_halved),
		TEST(control_characters_and_nonsense_become_question_marks),
		TEST(tables_are_never_wider_than_the_screen),
		TEST(eighty_columns_show_what_matters),
		TEST(long_names_are_cut_and_leave_room_for_figures),
		TEST(cells_say_what_the_figures_are),
		TEST(a_chart_counts_every_exit_at_any_width),
		TEST(longer_times_are_further_to_the_right),
		TEST(a_rare_exit_is_seen_beside_many),
		TEST(percentiles_and_times_are_on_the_axis),
		TEST(a_trend_fits_its_width),
		TEST(a_trends_nothing_is_blank_and_its_least_is_seen),
		TEST(a_screen_of_80_by_24_shows_it_all),
		TEST(exits_that_the_source_had_no_room_for_are_told_of),
		TEST(a_screen_of_20_by_4_shows_what_is_selected),
		TEST(without_a_vm_it_says_so),
		TEST(an_ended_vm_is_marked_without_colours_too),
		TEST(the_order_is_seen_in_the_heads),
		TEST(a_filter_is_typed_on_the_last_line),
		TEST(the_sort_menu_shows_its_choice_at_any_height),
		TEST(help_is_complete_at_any_width),
		TEST(names_are_shown_safely),
		TEST(every_size_shows_a_sound_screen),
		TEST(plain_text_has_every_row_and_no_trailing_space),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
