// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of `exeunt record` and `exeunt report` as wholes, on a source made up by the test: each run is a process of its own, in a directory
 * of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <argp.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cmd.h"
#include "fake_source.h"
#include "recording.h"

#define CPUID		EXEUNT_KEY(0x72, EXEUNT_PLAIN, EXEUNT_KERNEL, 0)
#define WRMSR(n)	EXEUNT_KEY(0x7c, EXEUNT_MSR_WRITE, EXEUNT_FAST, n)
#define BEFORE		1000	/* exits before recording began */
#define EACH		10	/* exits between two looks */

static char directory[] = "/tmp/test_record.XXXXXX";
static char *out, *err;

/* --- Running commands --- */

static char *read_file(const char *name)
{
	FILE *f = fopen(name, "r");
	char *text = xcalloc(1 << 20, 1);

	assert_non_null(f);
	fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static pid_t start(int (*command)(int argc, char **argv), char **words, const char *input)
{
	int argc = 0;
	pid_t child = fork();

	if (child)
		return child;
	while (words[argc])
		argc++;
	dup2(open(input, O_RDONLY), STDIN_FILENO);
	dup2(open("../out", O_RDWR | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
	dup2(open("../err", O_RDWR | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	argp_err_exit_status = STATUS_USAGE;
	command_name = strchr(words[0], ' ') + 1;
	exit(command(argc, words));
}

static int finish(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	free(out);
	free(err);
	out = read_file("../out");
	err = read_file("../err");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define record(...) finish(start(cmd_record, (char *[]){ "exeunt record", __VA_ARGS__ __VA_OPT__(,) NULL }, "/dev/null"))
#define report(...) finish(start(cmd_report, (char *[]){ "exeunt report", __VA_ARGS__ __VA_OPT__(,) NULL }, "/dev/null"))

static struct recording *read_recording(const char *name)
{
	char error[256] = "";
	FILE *f = fopen(name, "r");
	struct recording *r;

	assert_non_null(f);
	r = recording_read(f, error, sizeof(error));
	fclose(f);
	if (!r)
		fail_msg("%s: %s", name, error);
	return r;
}

static unsigned int files(void)
{
	DIR *d = opendir(".");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void assert_one_line(const char *text)
{
	if (!*text || strchr(text, '\n') != text + strlen(text) - 1)
		fail_msg("not one line: \"%s\"", text);
}

/* --- A VM that makes exits between any two looks --- */

static void step(void)
{
	fake_exits(&fake.now.vms[0].vcpus[0], CPUID, EACH, 500);
	fake_exits(&fake.now.vms[0].vcpus[0], WRMSR(0x830), 1, 700);
	fake.now.vms[0].vcpus[0].counters.runs++;
}

static void step_and_fail(void)
{
	step();
	fake.cannot_read = fake.reads >= 4;
}

static int set_up(void **state)
{
	struct vm *vm;

	if (mkdir("files", 0700) || chdir("files"))
		return -1;
	fake_reset();
	vm = fake_vm("exeunt", 1, 42, "web");
	fake_exits(fake_vcpu(vm, 0), CPUID, BEFORE, 500);
	fake.step = step;
	return 0;
}

static int tear_down(void **state)
{
	fake_reset();
	return chdir("..") || system("rm -rf files");
}

static uint64_t exits(const struct sample *s, uint64_t key)
{
	uint64_t n = 0;

	for (size_t m = 0; m < s->nr_vms; m++)
		for (size_t c = 0; c < s->vms[m].nr_vcpus; c++)
			for (size_t i = 0; i < s->vms[m].vcpus[c].nr_rows; i++)
				n += s->vms[m].vcpus[c].rows[i].key == key ? s->vms[m].vcpus[c].rows[i].count : 0;
	return n;
}

/* --- record --- */

static void what_happens_while_a_command_runs_is_recorded(void **state)
{
	struct recording *r;
	struct stat st;

	assert_int_equal(record("--", "true"), 0);
	assert_string_equal(out, "");
	assert_one_line(err);
	assert_int_equal(files(), 1);
	assert_int_equal(stat("exeunt.json", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	r = read_recording("exeunt.json");
	assert_string_equal(r->command, "true");
	assert_int_equal(r->interval_ms, 1000);
	assert_int_equal(r->total.nr_vms, 1);
	assert_string_equal(r->total.vms[0].name, "web");
	assert_int_equal(exits(&r->total, CPUID), EACH);
	assert_int_equal(exits(&r->total, WRMSR(0x830)), 1);
	assert_int_equal(r->total.vms[0].vcpus[0].counters.runs, 1);
	recording_free(r);
}

static void intervals_are_of_the_length_asked_for(void **state)
{
	struct recording *r;

	assert_int_equal(record("-q", "-I", "50", "-o", "a.json", "--", "sleep", "0.5"), 0);
	assert_string_equal(err, "");
	r = read_recording("a.json");
	assert_int_equal(r->interval_ms, 50);
	assert_in_range(r->nr_intervals, 3, 12);
	assert_in_range(exits(&r->total, CPUID), r->nr_intervals * EACH, (r->nr_intervals + 1) * EACH);	/* the last may be short */
	assert_in_range(r->duration_ns, 500000000, 60000000000);
	assert_int_equal(r->intervals[r->nr_intervals - 1].end_ns, r->duration_ns);
	recording_free(r);
}

static void without_intervals_there_is_one(void **state)
{
	struct recording *r;

	assert_int_equal(record("-I", "0", "--", "sleep", "0.1"), 0);
	r = read_recording("exeunt.json");
	assert_int_equal(r->interval_ms, 0);
	assert_int_equal(r->nr_intervals, 1);
	recording_free(r);
}

static void the_file_before_is_kept_as_old(void **state)
{
	char *first, *old;

	assert_int_equal(record("--", "true"), 0);
	first = read_file("exeunt.json");
	assert_int_equal(record("--", "true"), 0);
	old = read_file("exeunt.json.old");
	assert_string_equal(first, old);
	assert_int_equal(files(), 2);
	free(first);
	free(old);
}

static void a_recording_can_go_to_standard_output(void **state)
{
	assert_int_equal(record("-o", "-", "--", "true"), 0);
	recording_free(read_recording("../out"));
	assert_int_equal(files(), 0);
}

static void the_exit_status_is_the_commands(void **state)
{
	assert_int_equal(record("--", "sh", "-c", "exit 7"), 7);
	recording_free(read_recording("exeunt.json"));
}

static void a_command_that_cannot_run_leaves_no_file(void **state)
{
	assert_int_equal(record("--", "/nowhere/at/all"), 127);
	assert_one_line(err);
	assert_int_equal(files(), 0);
}

static void where_nothing_can_be_written_nothing_is_run(void **state)
{
	assert_int_equal(record("-o", "nowhere/x.json", "--", "touch", "ran"), 1);
	assert_one_line(err);
	assert_int_equal(record("-o", ".", "--", "touch", "ran"), 1);
	assert_one_line(err);
	assert_int_equal(files(), 0);
}

static void a_symbolic_link_is_followed_and_stays(void **state)
{
	struct stat st;

	assert_int_equal(symlink("target.json", "link.json"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(record("-o", "link.json", "--", "true"), 0);
		assert_int_equal(lstat("link.json", &st), 0);
		assert_true(S_ISLNK(st.st_mode));
		assert_int_equal(files(), 2);
		recording_free(read_recording("target.json"));
	}
	assert_int_equal(lstat("target.json", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(symlink("/proc/self/fd/1", "stdout"), 0);
	assert_int_equal(report("link.json", "--html", "stdout"), 0);
	assert_non_null(strstr(out, "</html>"));
	assert_int_equal(lstat("stdout", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(files(), 3);
}

static void a_full_disk_is_told(void **state)
{
	assert_int_equal(record("-o", "/dev/full", "--", "true"), 1);
	assert_one_line(err);
}

static void what_a_failing_source_gave_is_kept(void **state)
{
	struct recording *r;

	fake.step = step_and_fail;
	assert_int_equal(record("-I", "20", "--", "sleep", "2"), 1);
	r = read_recording("exeunt.json");
	assert_int_equal(exits(&r->total, CPUID), 3 * EACH);
	assert_in_range(r->nr_intervals, 1, 3);
	recording_free(r);
}

static void an_interrupt_ends_the_recording_and_the_file_is_whole(void **state)
{
	pid_t child = start(cmd_record, (char *[]){ "exeunt record", "-q", "-I", "20", NULL }, "/dev/null");

	usleep(300000);
	kill(child, SIGINT);
	assert_int_equal(finish(child), 0);
	assert_string_equal(err, "");
	assert_int_equal(files(), 1);
	recording_free(read_recording("exeunt.json"));
}

static void the_command_is_recorded_as_a_shell_reads_it(void **state)
{
	static const struct { const char *word, *quoted; } words[] = {
		{ "plain-word_1.x=/a:b", "plain-word_1.x=/a:b" }, { "two words", "'two words'" }, { "", "''" }, { "$HOME", "'$HOME'" },
		{ "it's", "$'it\\'s'" }, { "a\nb\x1b\\", "$'a\\012b\\033\\\\'" }, { "\xc3\xbc", "'\xc3\xbc'" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char *expected = xasprintf("true %s", words[i].quoted);
		struct recording *r;

		assert_int_equal(record("-q", "--", "true", (char *)words[i].word), 0);
		r = read_recording("exeunt.json");
		assert_string_equal(r->command, expected);
		recording_free(r);
		free(expected);
	}
}

static void wrong_usage_is_status_2(void **state)
{
	assert_int_equal(record("-I", "soon"), 2);
	assert_int_equal(record("-o", ""), 2);
	assert_int_equal(record("--nonsense"), 2);
	assert_int_equal(report("a.json", "b.json"), 2);
	assert_int_equal(report("--json", "--html", "x"), 2);
	assert_int_equal(report("--html", "x", "-o", "y"), 2);
	assert_int_equal(report("--html", "x", "-o", "-"), 2);
	assert_int_equal(files(), 0);
}

/* --- report --- */

static void a_report_has_the_facts_and_the_table(void **state)
{
	record("--", "true", "or not");
	assert_int_equal(report(), 0);
	assert_string_equal(err, "");
	assert_non_null(strstr(out, "# command        : true 'or not'\n"));
	assert_non_null(strstr(out, "# VM             : web, pid 42, 1 vCPU, on exeunt\n"));
	assert_non_null(strstr(out, "VM-EXIT"));
	assert_non_null(strstr(out, "cpuid         10"));
	assert_non_null(strstr(out, "Total Samples:11,"));
	assert_int_equal(report("--msr", "exeunt.json"), 0);
	assert_non_null(strstr(out, "wr 0x830"));
	assert_null(strstr(out, "cpuid"));
}

static void a_recording_is_read_from_standard_input(void **state)
{
	record("--", "true");
	assert_int_equal(finish(start(cmd_report, (char *[]){ "exeunt report", "-", NULL }, "exeunt.json")), 0);
	assert_non_null(strstr(out, "Total Samples:11,"));
}

static void a_report_in_json_has_everything(void **state)
{
	json_t *json;

	record("--", "true");
	assert_int_equal(report("--json", "-o", "b.json"), 0);
	assert_string_equal(out, "");
	json = json_load_file("b.json", 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "vms")), 1);
	assert_true(json_integer_value(json_object_get(json, "duration_ns")) > 0);
	json_decref(json);
}

static void only_what_is_asked_for_is_reported(void **state)
{
	struct vm *vm = fake_vm("kvm", 1, 43, "database");

	fake_exits(fake_vcpu(vm, 3), CPUID, 5, 5000);
	record("--", "true");
	assert_int_equal(report("--vm", "web"), 0);
	assert_null(strstr(out, "database"));
	assert_int_equal(report("-p", "43", "--vcpu", "3"), 0);
	assert_null(strstr(out, "web"));
	assert_int_equal(report("--engine", "exeunt", "--html", "x.html"), 0);
	free(out);
	out = read_file("x.html");
	assert_non_null(strstr(out, "\"name\":\"web\""));
	assert_null(strstr(out, "database"));
}

static void what_is_not_in_the_recording_is_told(void **state)
{
	record("--", "true");
	assert_int_equal(report("--vm", "mail"), 1);
	assert_string_equal(err, "exeunt report: the recording has no virtual machine 'mail' that is meant\n");
	assert_int_equal(report("--vcpu", "9"), 1);
	assert_one_line(err);
	assert_int_equal(report("--engine", "kvm"), 1);
	assert_one_line(err);
	assert_int_equal(report("-p", "9"), 1);
	assert_one_line(err);
	assert_string_equal(out, "");
}

static void what_is_no_recording_is_told(void **state)
{
	assert_int_equal(report("none.json"), 1);
	assert_string_equal(err, "exeunt report: cannot open none.json: No such file or directory\n");
	assert_int_equal(report("/proc/self/exe"), 1);
	assert_one_line(err);
	assert_int_equal(report("-"), 1);
	assert_string_equal(err, "exeunt report: standard input: empty\n");
	assert_int_equal(report("."), 1);
	assert_one_line(err);
	assert_int_equal(files(), 0);
}

static void a_page_cannot_be_broken_out_of(void **state)
{
	char *page;
	size_t ends = 0;

	strcpy(fake.now.vms[0].name, "</script><!--<script>alert(1)");
	record("--", "true", "</SCRIPT>");
	assert_int_equal(report("--html", "x.html"), 0);
	assert_string_equal(out, "");
	page = read_file("x.html");
	for (const char *p = page; (p = strcasestr(p, "</script")); p++)
		ends++;
	assert_int_equal(ends, 2);
	assert_null(strstr(page, "<!--<"));
	assert_non_null(strstr(page, "\"name\":\"\\u003c/script>\\u003c!--\\u003cscript>alert(1)\""));
	assert_null(strstr(page, "@RECORDING@"));
	free(page);
}

static void a_page_with_a_very_long_recording_has_not_every_interval(void **state)
{
	struct sample delta = { 0 };
	struct recording *r;
	FILE *f;

	record("--", "true");
	r = read_recording("exeunt.json");
	for (int i = 0; i < 5000; i++, r->duration_ns += 1000000000)
		recording_add_interval(r, r->duration_ns, r->duration_ns + 1000000000, &delta);
	f = fopen("long.json", "w");
	assert_int_equal(recording_write(r, f), 0);
	fclose(f);
	recording_free(r);
	assert_int_equal(report("long.json", "--html", "x.html"), 0);
	free(out);
	out = read_file("x.html");
	assert_non_null(strstr(out, "\"interval_ms\":8000,"));
}

static void a_full_disk_under_a_report_is_told(void **state)
{
	record("--", "true");
	assert_int_equal(report("-o", "/dev/full"), 1);
	assert_one_line(err);
	assert_int_equal(report("--html", "/dev/full"), 1);
	assert_one_line(err);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_happens_while_a_command_runs_is_recorded),
		TEST(intervals_are_of_the_length_asked_for),
		TEST(without_intervals_there_is_one),
		TEST(the_file_before_is_kept_as_old),
		TEST(a_recording_can_go_to_standard_output),
		TEST(the_exit_status_is_the_commands),
		TEST(a_command_that_cannot_run_leaves_no_file),
		TEST(where_nothing_can_be_written_nothing_is_run),
		TEST(a_symbolic_link_is_followed_and_stays),
		TEST(a_full_disk_is_told),
		TEST(what_a_failing_source_gave_is_kept),
		TEST(an_interrupt_ends_the_recording_and_the_file_is_whole),
		TEST(the_command_is_recorded_as_a_shell_reads_it),
		TEST(wrong_usage_is_status_2),
		TEST(a_report_has_the_facts_and_the_table),
		TEST(a_recording_is_read_from_standard_input),
		TEST(a_report_in_json_has_everything),
		TEST(only_what_is_asked_for_is_reported),
		TEST(what_is_not_in_the_recording_is_told),
		TEST(what_is_no_recording_is_told),
		TEST(a_page_cannot_be_broken_out_of),
		TEST(a_page_with_a_very_long_recording_has_not_every_interval),
		TEST(a_full_disk_under_a_report_is_told),
	};
	int failed;

	if (!mkdtemp(directory) || chdir(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(out);
	free(err);
	if (unlink("out") || unlink("err") || chdir("/") || rmdir(directory))
		return 1;
	return failed;
}
