// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what a sample says, section by section; see print.h. Owns the words and columns of the tables, whose layout begins as perf kvm
 * stat's: name, samples, shares, minimum, maximum, average and its error; and goes on with what perf has not.
 */
#include <inttypes.h>
#include <string.h>
#include "names.h"
#include "print.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))

/* One engine's part of a sample on its way to paper. */
struct page {
	const struct print *p;
	const struct sample *s;
	const char *engine;
	bool both;			/* there is another engine's, too: headings say which */
};

/* Exeunt tells all that there is in struct exeunt_counters; of stock KVM, the sections say what it does not. */
static bool tells_all(const struct page *page)
{
	return !strcmp(page->engine, "exeunt");
}

static void print_note(const struct page *page, const char *text)
{
	print_line(page->p->f, page->p->columns, "%s", text);
	fputc('\n', page->p->f);
}

static double share(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* --- Headings --- */

static void print_heading(const struct page *page, const char *what)
{
	const struct target *t = page->p->target;
	char vms[96], vcpus[32];

	if (t->vm)
		snprintf(vms, sizeof(vms), "VM %s", t->vm);
	else if (t->pid)
		snprintf(vms, sizeof(vms), "pid(s) %d", t->pid);
	else
		snprintf(vms, sizeof(vms), "all VMs");
	if (t->one_vcpu)
		snprintf(vcpus, sizeof(vcpus), "VCPU %" PRIu32, t->vcpu);
	else
		snprintf(vcpus, sizeof(vcpus), "all VCPUs");
	fputc('\n', page->p->f);
	print_line(page->p->f, page->p->columns, "%s for %s, %s%s%s%s:", what, vms, vcpus, page->both ? " (" : "",
		   page->both ? page->engine : "", page->both ? ")" : "");
	fputc('\n', page->p->f);
}

/* --- Grids whose first column, with -I, is the time --- */

static void begin_grid(const struct page *page, struct grid *g, const struct column *columns, size_t nr_columns)
{
	size_t without_time = !page->p->timed;

	grid_init(g, columns + without_time, nr_columns - without_time);
}

static void time_cell(const struct page *page, struct grid *g)
{
	if (page->p->timed)
		grid_cell(g, "%.9f", page->p->seconds);
}

static void end_grid(const struct page *page, struct grid *g)
{
	grid_print(g, page->p->f, page->p->columns);
	grid_free(g);
	fputc('\n', page->p->f);
}

#define TIME_COLUMN	{ "Time", 16, 20, false }

/* --- Exits --- */

/* Average and error are one column; its title stands where perf has it. */
#define EXIT_COLUMNS(title) { \
	TIME_COLUMN, { title, 20, 0, true }, { "Samples", 10, 0, false }, { "Samples%", 9, 12, false }, { "Time%", 9, 11, false }, \
	{ "Min Time", 11, 8, false }, { "Max Time", 11, 9, false }, { "Avg time          ", 26, 10, false }, \
	{ "p50", 11, 3, false }, { "p90", 11, 2, false }, { "p99", 11, 4, false }, { "p99.9", 11, 1, false }, \
	{ "Fast", 8, 5, false }, { "Kernel", 8, 6, false }, { "User", 8, 7, false }, \
}

static void exit_cells(struct grid *g, const struct table *t, const struct table_row *row)
{
	static const double percentiles[] = { .5, .9, .99, .999 };
	static const enum exeunt_outcome outcomes[] = { EXEUNT_FAST, EXEUNT_KERNEL, EXEUNT_USER };
	const struct exeunt_row *sum = &row->sum;
	double us = t->tick_ns / 1000;

	grid_cell(g, "%s", row->name);
	grid_cell(g, "%" PRIu64, (uint64_t)sum->count);
	grid_cell(g, "%.2f%%", share(sum->count, t->all.count));
	grid_cell(g, "%.2f%%", share(sum->total, t->all.total));
	grid_cell(g, "%.2fus", sum->min * us);
	grid_cell(g, "%.2fus", sum->max * us);
	grid_cell(g, "%.2fus ( +-%7.2f%% )", row_mean(sum) * us, 100 * row_error(sum));
	for (size_t i = 0; i < LENGTH(percentiles); i++)
		grid_cell(g, "%.2fus", row_percentile(sum, t->hist_shift, percentiles[i]) * us);
	for (size_t i = 0; i < LENGTH(outcomes); i++)
		grid_cell(g, "%.2f%%", share(row->outcomes[outcomes[i]], sum->count));
}

/* "Total Samples" of the section, of all exits where that is another number. */
static void exits_footer(const struct page *page, const struct table *t, bool some)
{
	struct exeunt_row shown;
	double us = t->tick_ns / 1000;

	row_init(&shown, 0);
	for (size_t i = 0; i < t->nr; i++)
		row_add(&shown, &t->rows[i].sum);
	if (some)
		print_line(page->p->f, page->p->columns, "Samples:%" PRIu64 " of %" PRIu64 ", events handled time:%.2fus of %.2fus.",
			   (uint64_t)shown.count, (uint64_t)t->all.count, shown.total * us, t->all.total * us);
	else
		print_line(page->p->f, page->p->columns, "Total Samples:%" PRIu64 ", Total events handled time:%.2fus.",
			   (uint64_t)shown.count, shown.total * us);
	fputc('\n', page->p->f);
}

static void print_exits(const struct page *page, const char *heading, const struct column *columns, size_t nr_columns,
			enum view view)
{
	struct table t;
	struct grid g;

	table_make(&t, page->s, page->engine, view);
	print_heading(page, heading);
	begin_grid(page, &g, columns, nr_columns);
	for (size_t i = 0; i < t.nr; i++) {
		time_cell(page, &g);
		exit_cells(&g, &t, &t.rows[i]);
	}
	end_grid(page, &g);
	exits_footer(page, &t, view != VIEW_REASON);
	table_free(&t);
}

/* --- Counters --- */

static void ipis_sent(const struct page *page, const struct exeunt_counters *c)
{
	static const struct column columns[] = {
		TIME_COLUMN, { "Delivery", 20, 0, true }, { "Destination", 11, 2, false }, { "Targets", 7, 3, false },
		{ "Sent", 10, 0, false }, { "Share", 9, 1, false },
	};
	const uint64_t *sent = (const uint64_t *)c->ipis;
	uint64_t all = 0;
	struct grid g;

	for (unsigned int i = 0; i < 8 * 2 * 2; i++)
		all += sent[i];
	begin_grid(page, &g, columns, LENGTH(columns));
	for (unsigned int i = 0; i < 8 * 2 * 2; i++) {
		if (!sent[i])
			continue;
		time_cell(page, &g);
		grid_cell(&g, "%s", delivery_mode_name(i >> 2));
		grid_cell(&g, "%s", i & 2 ? "logical" : "physical");
		grid_cell(&g, "%s", i & 1 ? "several" : "one");
		grid_cell(&g, "%" PRIu64, sent[i]);
		grid_cell(&g, "%.2f%%", share(sent[i], all));
	}
	end_grid(page, &g);
}

static void ipi_targets(const struct page *page, const struct exeunt_counters *c)
{
	static const struct column columns[] = {
		TIME_COLUMN, { "Target was", 20, 0, true }, { "of one", 10, 0, false }, { "Share", 9, 2, false },
		{ "of several", 10, 1, false }, { "Share", 9, 1, false },
	};
	static const char *const states[EXEUNT_TARGETS] = {
		[EXEUNT_TARGET_SELF] = "the sender", [EXEUNT_TARGET_RUNNING] = "in guest mode",
		[EXEUNT_TARGET_OUTSIDE] = "in the hypervisor", [EXEUNT_TARGET_HALTED] = "halted",
		[EXEUNT_TARGET_PREEMPTED] = "off its CPU",
	};
	uint64_t all[2] = { 0, 0 };
	struct grid g;

	for (unsigned int i = 0; i < 2 * EXEUNT_TARGETS; i++)
		all[i / EXEUNT_TARGETS] += c->ipi_targets[i / EXEUNT_TARGETS][i % EXEUNT_TARGETS];
	begin_grid(page, &g, columns, LENGTH(columns));
	for (unsigned int i = 0; i < EXEUNT_TARGETS; i++) {
		time_cell(page, &g);
		grid_cell(&g, "%s", states[i]);
		for (unsigned int several = 0; several < 2; several++) {
			grid_cell(&g, "%" PRIu64, (uint64_t)c->ipi_targets[several][i]);
			grid_cell(&g, "%.2f%%", share(c->ipi_targets[several][i], all[several]));
		}
	}
	end_grid(page, &g);
}

static void print_ipis(const struct page *page, const struct table *t)
{
	print_heading(page, "IPIs sent");
	ipis_sent(page, &t->counters);
	if (t->counters.ipis_untaken)
		print_line(page->p->f, page->p->columns, "Taken by nobody: %" PRIu64 ".", (uint64_t)t->counters.ipis_untaken);
	print_heading(page, "Targets of IPIs");
	if (tells_all(page))
		ipi_targets(page, &t->counters);
	else
		print_note(page, "Stock KVM does not tell.");
}

static void irq_row(const struct page *page, struct grid *g, const char *kind, const char *name, uint64_t count, uint64_t all)
{
	if (!count)
		return;
	time_cell(page, g);
	grid_cell(g, "%s%s", kind, name);
	grid_cell(g, "%" PRIu64, count);
	grid_cell(g, "%.2f%%", share(count, all));
}

static void print_irqs(const struct page *page, const struct table *t)
{
	static const struct column columns[] = {
		TIME_COLUMN, { "Event", 20, 0, true }, { "Injected", 10, 0, false }, { "Share", 9, 1, false },
	};
	const struct exeunt_counters *c = &t->counters;
	uint64_t all = c->nmis;
	struct grid g;
	char name[16];

	for (unsigned int i = 0; i < LENGTH(c->interrupts); i++)
		all += c->interrupts[i];
	for (unsigned int i = 0; i < LENGTH(c->exceptions); i++)
		all += c->exceptions[i];
	print_heading(page, "Interrupts and exceptions");
	begin_grid(page, &g, columns, LENGTH(columns));
	for (unsigned int i = 0; i < LENGTH(c->interrupts); i++) {
		snprintf(name, sizeof(name), "0x%02x", i);
		irq_row(page, &g, "interrupt ", name, c->interrupts[i], all);
	}
	irq_row(page, &g, "NMI", "", c->nmis, all);
	for (unsigned int i = 0; i < LENGTH(c->exceptions); i++)
		irq_row(page, &g, "exception ", exception_name(i, name, sizeof(name)), c->exceptions[i], all);
	end_grid(page, &g);
	if (!tells_all(page))
		print_note(page, "Stock KVM does not tell of NMIs.");
}

/* A count, as a share of @whole (0: it is none of anything) and for each call of KVM_RUN. */
static void run_row(const struct page *page, struct grid *g, const char *name, uint64_t count, uint64_t whole, uint64_t runs)
{
	time_cell(page, g);
	grid_cell(g, "%s", name);
	grid_cell(g, "%" PRIu64, count);
	if (whole)
		grid_cell(g, "%.2f%%", share(count, whole));
	else
		grid_cell(g, "-");
	if (runs)
		grid_cell(g, "%.3f", (double)count / runs);
	else
		grid_cell(g, "-");
}

#define RUN_COLUMNS(title) { \
	TIME_COLUMN, { title, 26, 0, true }, { "Count", 10, 0, false }, { "Share", 9, 2, false }, { "per KVM_RUN", 11, 1, false }, \
}

static void print_fpu(const struct page *page, const struct table *t)
{
	static const struct column columns[] = RUN_COLUMNS("Vector state");
	const struct exeunt_counters *c = &t->counters;
	uint64_t puts = c->fpu_touched + c->fpu_untouched;
	struct grid g;

	print_heading(page, "Vector state");
	begin_grid(page, &g, columns, LENGTH(columns));
	if (tells_all(page)) {
		run_row(page, &g, "in use at vcpu_put", c->fpu_touched, puts, c->runs);
		run_row(page, &g, "not in use at vcpu_put", c->fpu_untouched, puts, c->runs);
		run_row(page, &g, "host's saved", c->fpu_host_saves, 0, c->runs);
	}
	run_row(page, &g, "guest's loaded", c->fpu_guest_loads, 0, c->runs);
	run_row(page, &g, "calls of KVM_RUN", c->runs, 0, 0);
	end_grid(page, &g);
	if (!tells_all(page))
		print_note(page, "Stock KVM does not tell when it was in use, and when the host's was saved.");
}

static void user_reasons(const struct page *page, const struct exeunt_counters *c)
{
	static const struct column columns[] = RUN_COLUMNS("KVM_RUN returned");
	uint64_t all = 0;
	struct grid g;

	for (unsigned int i = 0; i < EXEUNT_USER_REASONS; i++)
		all += c->user_exits[i];
	begin_grid(page, &g, columns, LENGTH(columns));
	for (unsigned int i = 0; i < EXEUNT_USER_REASONS; i++) {
		const char *name = user_exit_name(i);
		char number[16];

		if (!c->user_exits[i])
			continue;
		snprintf(number, sizeof(number), "reason %u", i);
		run_row(page, &g, name ? name : number, c->user_exits[i], all, c->runs);
	}
	end_grid(page, &g);
}

static void runs_and_halts(const struct page *page, const struct table *t)
{
	static const struct column columns[] = RUN_COLUMNS("In KVM_RUN");
	const struct exeunt_counters *c = &t->counters;
	struct grid g;

	begin_grid(page, &g, columns, LENGTH(columns));
	run_row(page, &g, "calls", c->runs, 0, 0);
	run_row(page, &g, "exits", t->all.count, 0, c->runs);
	run_row(page, &g, "preemptions", c->preemptions, 0, c->runs);
	run_row(page, &g, "halts", c->halts, 0, c->runs);
	run_row(page, &g, "polls that found work", c->halt_polls_won, c->halt_polls, c->runs);
	run_row(page, &g, "polls that found none", c->halt_polls - c->halt_polls_won, c->halt_polls, c->runs);
	end_grid(page, &g);
	print_line(page->p->f, page->p->columns, "Asleep in halts:%.2fus, in polls that found work:%.2fus, that found none:%.2fus.",
		   c->halt_wait_ns / 1e3, c->halt_poll_won_ns / 1e3, c->halt_poll_lost_ns / 1e3);
	if (c->halt_wakes)
		print_line(page->p->f, page->p->columns, "Woken from sleep:%llu times, until the vCPU ran again:%.2fus on average.",
			   (unsigned long long)c->halt_wakes, c->halt_wake_ns / 1e3 / c->halt_wakes);
	fputc('\n', page->p->f);
}

static void print_user(const struct page *page, const struct table *t)
{
	print_heading(page, "Exits to user space");
	user_reasons(page, &t->counters);
	runs_and_halts(page, t);
}

/* --- Sections --- */

#define PRINT_EXITS(page, heading, title, view) do { \
	static const struct column columns[] = EXIT_COLUMNS(title); \
	\
	print_exits(page, heading, columns, LENGTH(columns), view); \
} while (0)

static void print_counters(const struct page *page, void (*print)(const struct page *page, const struct table *t))
{
	struct table t;

	table_make(&t, page->s, page->engine, VIEW_REASON);
	print(page, &t);
	table_free(&t);
}

static void print_section(const struct page *page, enum section section)
{
	switch (section) {
	case SECTION_EXITS:
		PRINT_EXITS(page, "Analyze events", "VM-EXIT", VIEW_REASON);
		break;
	case SECTION_MSR:
		PRINT_EXITS(page, "MSR accesses", "MSR", VIEW_MSR);
		break;
	case SECTION_PIO:
		PRINT_EXITS(page, "Port I/O", "Port", VIEW_PIO);
		break;
	case SECTION_MMIO:
		PRINT_EXITS(page, "MMIO", "Page", VIEW_MMIO);
		break;
	case SECTION_HYPERCALL:
		PRINT_EXITS(page, "Hypercalls", "Hypercall", VIEW_HYPERCALL);
		break;
	case SECTION_IPI:
		print_counters(page, print_ipis);
		break;
	case SECTION_IRQ:
		print_counters(page, print_irqs);
		break;
	case SECTION_FPU:
		print_counters(page, print_fpu);
		break;
	case SECTION_USER:
		print_counters(page, print_user);
		break;
	case SECTIONS:
		break;
	}
}

static bool has_engine(const struct sample *s, const char *engine)
{
	for (size_t i = 0; i < s->nr_vms; i++) {
		if (!strcmp(s->vms[i].engine, engine))
			return true;
	}
	return false;
}

void print_sample(const struct print *p, const struct sample *s, unsigned int sections)
{
	static const char *const engines[] = { "exeunt", "kvm" };
	bool both = has_engine(s, engines[0]) && has_engine(s, engines[1]);

	for (size_t i = 0; i < LENGTH(engines); i++) {
		struct page page = { .p = p, .s = s, .engine = engines[i], .both = both };

		/* Without any VM there is a table still: an empty one. */
		if (!has_engine(s, engines[i]) && (i || s->nr_vms))
			continue;
		for (unsigned int section = 0; section < SECTIONS; section++) {
			if (sections & 1u << section)
				print_section(&page, section);
		}
	}
}
