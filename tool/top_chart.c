// SPDX-License-Identifier: GPL-2.0
/*
 * See top_chart.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "top_chart.h"
#include "util.h"

#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))
#define EIGHTHS		8
#define MIN_BUCKETS	24	/* that a chart spans: three octaves */
#define MAX_REPEAT	6
#define LOG_BUCKET	16	/* the axis is logarithmic from here on; what lies before it is not shown if it is empty */
#define SCALE_COLUMNS	7	/* left of the bars */

/* A bar's cell that is @eighths full, at least 1. */
static wchar_t bar_wide(unsigned int eighths)
{
	return L"▁▂▃▄▅▆▇█"[eighths - 1];
}

static char bar_ascii(unsigned int eighths)
{
	return "._:-=+*#"[eighths - 1];
}

/* Something that is not nothing is seen. */
static unsigned int bar_height(double value, double highest, unsigned int lines)
{
	double height = highest > 0 ? value / highest * lines * EIGHTHS : 0;

	return value > 0 && height < 1 ? 1 : (unsigned int)(height + .5);
}

/* --- Trends --- */

void trend_paint(struct canvas *c, unsigned int y, unsigned int x, unsigned int width, enum style style, const float *rates,
		 unsigned int nr, unsigned int samples)
{
	double bars[TREND_TICKS] = { 0 }, highest = 0;
	unsigned int sizes[TREND_TICKS] = { 0 }, group, newest;

	if (!nr || !width)
		return;
	group = (nr + width - 1) / width;
	newest = samples / group;
	/* A sample stays in its group when others come, or the picture would flicker. */
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int age = newest - (samples - (nr - 1 - i)) / group;

		bars[age] += rates[i];
		sizes[age]++;
	}
	for (unsigned int i = 0; i < TREND_TICKS && sizes[i]; i++) {
		bars[i] /= sizes[i];
		highest = fmax(highest, bars[i]);
	}
	for (unsigned int i = 0; i < width && i < TREND_TICKS && sizes[i]; i++) {
		unsigned int height = bar_height(bars[i], highest, 1);

		if (height)
			canvas_fill(c, y, x + width - 1 - i, 1, style, bar_wide(height), bar_ascii(height));
	}
}

/* --- Fitting --- */

void chart_free(struct chart *c)
{
	free(c->counts);
	memset(c, 0, sizeof(*c));
}

static void chart_fill(struct chart *c, const struct exeunt_row *row)
{
	for (unsigned int x = 0; x < c->columns; x++) {
		for (unsigned int i = 0; i < c->group; i++) {
			unsigned int bucket = c->first + x / c->repeat * c->group + i;

			if (bucket < EXEUNT_HIST_BUCKETS)
				c->counts[x] += row->hist[bucket];
		}
		if (c->counts[x] > c->highest)
			c->highest = c->counts[x];
	}
}

/* Where @covered buckets begin that have the @span ones from @low on in their middle, as far as there are so many. */
static unsigned int first_bucket(unsigned int low, unsigned int span, unsigned int covered)
{
	unsigned int least = low < LOG_BUCKET ? low : LOG_BUCKET, left = (covered - span) / 2;
	unsigned int first = low > least + left ? low - left : least;
	unsigned int last = covered < EXEUNT_HIST_BUCKETS ? EXEUNT_HIST_BUCKETS - covered : 0;

	return first < last ? first : last;
}

void chart_make(struct chart *c, const struct exeunt_row *row, unsigned int columns)
{
	unsigned int low = 0, high = EXEUNT_HIST_BUCKETS - 1, wanted, span, covered;

	while (low < high && !row->hist[low])
		low++;
	while (high > low && !row->hist[high])
		high--;
	span = high - low + 1;
	wanted = span < MIN_BUCKETS ? MIN_BUCKETS : span;
	*c = (struct chart){ .columns = columns, .counts = xcalloc(columns, sizeof(*c->counts)) };
	c->group = (wanted + columns - 1) / columns;
	c->repeat = c->group > 1 ? 1 : columns / wanted;
	if (c->repeat > MAX_REPEAT)
		c->repeat = MAX_REPEAT;
	covered = columns / c->repeat * c->group;
	c->first = first_bucket(low, span, covered);
	chart_fill(c, row);
}

int chart_column(const struct chart *c, double ticks, unsigned int hist_shift)
{
	unsigned int bucket = hist_bucket(ticks < 0 ? 0 : ticks, hist_shift);
	double low = hist_low(bucket, hist_shift), high = hist_low(bucket + 1, hist_shift);
	double position = bucket + fmin((ticks - low) / (high - low), .999);

	return (int)floor((position - c->first) / c->group * c->repeat);
}

/* --- Painting --- */

/* The bars' place on the canvas. */
struct plot {
	struct canvas *canvas;
	const struct chart *chart;
	const struct item *item;
	unsigned int y, lines, x;	/* the axis is the line below */
};

static double percentile(const struct item *item, double p)
{
	return row_percentile(&item->figures.sum, item->hist_shift, p);
}

static void paint_bars(const struct plot *p)
{
	int p90 = chart_column(p->chart, percentile(p->item, .9), p->item->hist_shift);
	int p99 = chart_column(p->chart, percentile(p->item, .99), p->item->hist_shift);

	for (unsigned int x = 0; x < p->chart->columns; x++) {
		unsigned int height = bar_height(p->chart->counts[x], p->chart->highest, p->lines);
		enum style style = (int)x <= p90 ? STYLE_FAST : (int)x <= p99 ? STYLE_SLOW : STYLE_SLOWEST;

		for (unsigned int i = 0; i < p->lines && height > i * EIGHTHS; i++) {
			unsigned int eighths = height - i * EIGHTHS < EIGHTHS ? height - i * EIGHTHS : EIGHTHS;

			canvas_fill(p->canvas, p->y + p->lines - 1 - i, p->x + x, 1, style, bar_wide(eighths), bar_ascii(eighths));
		}
	}
}

static void paint_scale(const struct plot *p)
{
	char buf[16];

	if (!p->x)
		return;
	for (unsigned int i = 0; i < p->lines; i++)
		canvas_fill(p->canvas, p->y + i, p->x - 1, 1, STYLE_FAINT, i ? L'│' : L'┤', i ? '|' : '+');
	canvas_fill(p->canvas, p->y + p->lines, p->x - 1, 1, STYLE_FAINT, L'└', '+');
	canvas_put_right(p->canvas, p->y, 0, p->x - 2, STYLE_PLAIN, format_count(p->chart->highest, buf, sizeof(buf)));
	if (p->lines > 1)
		canvas_put_right(p->canvas, p->y + p->lines - 1, 0, p->x - 2, STYLE_PLAIN, "0");
}

/* @digit * 10^@exponent ns, as short as can be: "20us". */
static const char *round_time(unsigned int digit, unsigned int exponent, char *buf, size_t size)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	unsigned int unit = exponent / 3 < 3 ? exponent / 3 : 3;

	snprintf(buf, size, "%u%.*s%s", digit, (int)(exponent - unit * 3), "000", units[unit]);
	return buf;
}

/* Is there nothing yet in [@x, @x + @width), and a column free on each side? */
static bool is_free(const struct canvas *c, unsigned int y, int x, unsigned int width)
{
	for (int i = x - 1; i <= x + (int)width; i++) {
		const struct cell *cell = i < 0 ? NULL : canvas_cell(c, y, i);

		if (cell && cell->c != L' ')
			return false;
	}
	return x >= 0 && x + width <= c->columns;
}

static void paint_time(const struct plot *p, unsigned int digit, unsigned int exponent)
{
	double ticks = digit * pow(10, exponent) / p->item->tick_ns;
	int x = chart_column(p->chart, ticks, p->item->hist_shift), at;
	char buf[16];
	unsigned int len;

	if (x < 0 || x >= (int)p->chart->columns)
		return;
	len = strlen(round_time(digit, exponent, buf, sizeof(buf)));
	at = p->x + x - (int)len / 2;
	if (!is_free(p->canvas, p->y + p->lines + 1, at, len))
		return;
	canvas_put(p->canvas, p->y + p->lines + 1, at, len, STYLE_PLAIN, buf);
	canvas_fill(p->canvas, p->y + p->lines, p->x + x, 1, STYLE_FAINT, L'┬', '+');
}

/* Powers of ten first, then what fits between them. */
static void paint_axis(const struct plot *p)
{
	static const unsigned int digits[] = { 1, 2, 5, 3, 7, 4, 6 };

	canvas_fill(p->canvas, p->y + p->lines, p->x, p->chart->columns, STYLE_FAINT, L'─', '-');
	for (size_t i = 0; i < LENGTH(digits); i++) {
		for (unsigned int exponent = 0; exponent <= 11; exponent++)
			paint_time(p, digits[i], exponent);
	}
}

/* Is the axis, but for marks of times, bare there? */
static bool axis_is_bare(const struct plot *p, unsigned int x, unsigned int width)
{
	for (unsigned int i = 0; i < width; i++) {
		const struct cell *cell = canvas_cell(p->canvas, p->y + p->lines, x + i);

		if (!cell || cell->style != STYLE_FAINT)
			return false;
	}
	return true;
}

/* On the axis, where so many exits lie to the left: a mark, and what it is if there is room. */
static void paint_percentile(const struct plot *p, double share, const char *name)
{
	int x = chart_column(p->chart, percentile(p->item, share), p->item->hist_shift);
	unsigned int len = strlen(name);

	if (x < 0 || x >= (int)p->chart->columns || !axis_is_bare(p, p->x + x, 1))
		return;
	canvas_fill(p->canvas, p->y + p->lines, p->x + x, 1, STYLE_KEY, L'▲', '^');
	if (axis_is_bare(p, p->x + x + 1, len + 1))
		canvas_put(p->canvas, p->y + p->lines, p->x + x + 1, len, STYLE_KEY, name);
}

static void paint_percentiles(const struct plot *p)
{
	paint_percentile(p, .5, "p50");
	paint_percentile(p, .99, "p99");
	paint_percentile(p, .9, "p90");
	paint_percentile(p, .999, "p99.9");
}

/* Puts "@name @ns" into line @y at *@x, and moves on, if it fits. */
static void paint_figure(struct canvas *c, unsigned int y, unsigned int *x, const char *name, double ns)
{
	char time[16], text[40];
	unsigned int len;

	len = snprintf(text, sizeof(text), "%s %s", name, format_ns(ns, time, sizeof(time)));
	if (*x + len > c->columns)
		return;
	canvas_put(c, y, *x, len, STYLE_PLAIN, text);
	canvas_restyle(c, y, *x, strlen(name), STYLE_FAINT);
	*x += len + 2;
}

static void paint_figures(struct canvas *c, unsigned int y, unsigned int x, const struct item *item)
{
	const struct exeunt_row *sum = &item->figures.sum;

	paint_figure(c, y, &x, "p50", percentile(item, .5) * item->tick_ns);
	paint_figure(c, y, &x, "p90", percentile(item, .9) * item->tick_ns);
	paint_figure(c, y, &x, "p99", percentile(item, .99) * item->tick_ns);
	paint_figure(c, y, &x, "p99.9", percentile(item, .999) * item->tick_ns);
	paint_figure(c, y, &x, "max", sum->max * item->tick_ns);
	paint_figure(c, y, &x, "avg", row_mean(sum) * item->tick_ns);
	paint_figure(c, y, &x, "min", sum->min * item->tick_ns);
}

void chart_paint(struct canvas *c, unsigned int y, unsigned int lines, const struct item *item, const char *title)
{
	unsigned int left = c->columns >= 4 * SCALE_COLUMNS ? SCALE_COLUMNS : 0;
	struct plot p = { .canvas = c, .item = item, .y = y + 1, .lines = lines - 4, .x = left };
	struct chart chart;

	if (lines < 5 || c->columns <= left)
		return;
	canvas_fill(c, y, 0, c->columns, STYLE_FAINT, L'─', '-');
	canvas_put(c, y, 2, c->columns > 4 ? c->columns - 4 : 0, STYLE_HEAD, title);
	if (!item->figures.sum.count)
		return;
	chart_make(&chart, &item->figures.sum, c->columns - left);
	p.chart = &chart;
	paint_bars(&p);
	paint_scale(&p);
	paint_axis(&p);
	paint_percentiles(&p);
	paint_figures(c, y + lines - 1, left, item);
	chart_free(&chart);
}
