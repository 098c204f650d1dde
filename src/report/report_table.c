/* report_table.c - the report that people read on a terminal: what is the same in all runs is said once, the table has
 * only what differs, and fits the terminal's width. Headers break at the underscores of their names:
 *
 *          num    num    max
 *      virtual  beams    new                dev
 *  run  tokens         tokens  temperature  bleu
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report.h"
#include "term/term.h"
#include "term/text.h"

#define GAP            2
#define WORDS          8 /* of a header: "dev_sentence_bleu" has three */
#define NAME_MAX_WIDTH 28

struct layout {
	size_t width[REPORT_COLUMNS_MAX];
	bool shown[REPORT_COLUMNS_MAX];
	char *lines[REPORT_COLUMNS_MAX][WORDS]; /* of the header */
	size_t n_lines[REPORT_COLUMNS_MAX], height;
};

static void style(const struct report *r, const char *code, struct buf *out)
{
	if (r->colour)
		buf_adds(out, code);
}

/* Words packed into lines of at most `width`; a word that is longer makes the column wider. */
static void break_header(struct layout *l, size_t c, const char *name)
{
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "_ ");
		if (n > l->width[c])
			l->width[c] = n;
		p += n + (p[n] != '\0');
	}
	char *line = NULL;
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "_ ");
		if (line && strlen(line) + 1 + n <= l->width[c]) {
			char *longer = mem_printf("%s %.*s", line, (int)n, p);
			free(line);
			line = longer;
		} else {
			if (line && l->n_lines[c] < WORDS - 1)
				l->lines[c][l->n_lines[c]++] = line;
			else
				free(line);
			line = mem_strndup(p, n);
		}
		p += n + (p[n] != '\0');
	}
	if (line)
		l->lines[c][l->n_lines[c]++] = line;
	if (l->n_lines[c] > l->height)
		l->height = l->n_lines[c];
}

static size_t total_width(const struct report *r, const struct layout *l)
{
	size_t width = 0;
	for (size_t c = 0; c < r->n_columns; c++)
		if (l->shown[c])
			width += l->width[c] + GAP;
	return width;
}

/* What goes first when the terminal is too narrow: the time, then other metrics from the last, then parameters. */
static void make_fit(const struct report *r, struct layout *l)
{
	static const enum report_kind order[] = {REPORT_SECONDS, REPORT_METRIC, REPORT_PARAM};
	for (size_t k = 0; k < 3; k++)
		for (size_t c = r->n_columns; c-- > 0 && total_width(r, l) > (size_t)r->width;)
			if (r->columns[c].kind == order[k] &&
			    !(order[k] == REPORT_METRIC && r->columns[c].id == (int)r->by))
				l->shown[c] = false;
}

static struct layout *lay_out(const struct report *r)
{
	struct layout *l = mem_zero(1, sizeof *l);
	struct buf cell = BUF_INIT;
	for (size_t c = 0; c < r->n_columns; c++) {
		l->shown[c] = true;
		for (size_t i = 0; i < r->n_listed; i++) {
			buf_clear(&cell);
			report_cell(r, &r->columns[c], &r->runs.run[i], false, &cell);
			size_t width = text_width(buf_text(&cell));
			if (width > NAME_MAX_WIDTH)
				width = NAME_MAX_WIDTH;
			if (width > l->width[c])
				l->width[c] = width;
		}
		break_header(l, c, r->columns[c].name);
	}
	buf_release(&cell);
	make_fit(r, l);
	return l;
}

static void release_layout(const struct report *r, struct layout *l)
{
	for (size_t c = 0; c < r->n_columns; c++)
		for (size_t i = 0; i < l->n_lines[c]; i++)
			free(l->lines[c][i]);
	free(l);
}

static void trim(struct buf *out)
{
	while (out->size && out->data[out->size - 1] == ' ')
		out->data[--out->size] = '\0';
}

static void put_header(const struct report *r, const struct layout *l, struct buf *out)
{
	for (size_t line = 0; line < l->height; line++) {
		style(r, PAINT_DIM, out);
		for (size_t c = 0; c < r->n_columns; c++) {
			if (!l->shown[c])
				continue;
			size_t blank = l->height - l->n_lines[c];
			buf_printf(out, "%*s", GAP, "");
			text_cell(line < blank ? "" : l->lines[c][line - blank], l->width[c],
				  r->columns[c].number ? TEXT_RIGHT : TEXT_LEFT, out);
		}
		trim(out);
		style(r, PAINT_PLAIN, out);
		buf_adds(out, "\n");
	}
}

static void put_rows(const struct report *r, const struct layout *l, struct buf *out)
{
	struct buf cell = BUF_INIT;
	for (size_t i = 0; i < r->n_listed; i++) {
		const struct store_run *run = &r->runs.run[i];
		bool scored = r->by < r->runs.n_metrics && !isnan(run->scores[r->by]);
		bool best = i == 0 && scored;
		style(r, best ? PAINT_BEST : scored ? "" : PAINT_DIM, out);
		for (size_t c = 0; c < r->n_columns; c++) {
			if (!l->shown[c])
				continue;
			buf_clear(&cell);
			report_cell(r, &r->columns[c], run, false, &cell);
			bool missing = !cell.size && (r->columns[c].kind == REPORT_METRIC);
			buf_printf(out, "%*s", GAP, "");
			text_cell(missing ? "-" : buf_text(&cell), l->width[c],
				  r->columns[c].number ? TEXT_RIGHT : TEXT_LEFT, out);
		}
		trim(out);
		style(r, best || !scored ? PAINT_PLAIN : "", out);
		buf_adds(out, "\n");
	}
	buf_release(&cell);
}

static const char *metric_name(const struct report *r)
{
	return r->by < r->runs.n_metrics ? r->runs.metrics[r->by].name : r->sweep->metric;
}

static void put_title(const struct report *r, struct buf *out)
{
	struct buf line = BUF_INIT;
	buf_printf(&line, "%s%s%s: ", paint(r->colour, PAINT_BOLD), r->sweep->name, paint(r->colour, PAINT_PLAIN));
	report_counts(r->sweep, &line);
	buf_printf(&line, "; model %s; best first by %s%s", r->sweep->setup.model, metric_name(r),
		   r->maximize ? "" : " (smallest)");
	text_wrap(line.data, 0, 2, (size_t)r->width, out);
	buf_addc(out, '\n');
	buf_clear(&line);
	buf_adds(&line, "the same in all: ");
	size_t before = line.size;
	report_constants(r, &line);
	if (line.size > before) {
		style(r, PAINT_DIM, out);
		text_wrap(line.data, 0, 2, (size_t)r->width, out);
		style(r, PAINT_PLAIN, out);
		buf_addc(out, '\n');
	}
	buf_release(&line);
}

static void put_foot(const struct report *r, const struct layout *l, struct buf *out)
{
	struct buf line = BUF_INIT;
	if (r->n_listed < (size_t)r->sweep->runs)
		buf_printf(&line, "%zu of %lld runs (--top 0 shows all). ", r->n_listed, (long long)r->sweep->runs);
	size_t hidden = 0;
	for (size_t c = 0; c < r->n_columns; c++)
		hidden += !l->shown[c];
	if (hidden) {
		buf_adds(&line, "Not shown for lack of room: ");
		for (size_t c = 0, k = 0; c < r->n_columns; c++)
			if (!l->shown[c])
				buf_printf(&line, "%s%s", k++ ? ", " : "", r->columns[c].name);
		buf_adds(&line, " (--format csv has everything). ");
	}
	if (r->sweeps.n > 1) {
		buf_adds(&line, "Other sweeps here: ");
		for (size_t i = 0, k = 0; i < r->sweeps.n && k < 6; i++)
			if (&r->sweeps.sweep[i] != r->sweep)
				buf_printf(&line, "%s%s", k++ ? ", " : "", r->sweeps.sweep[i].name);
		buf_adds(&line, r->sweeps.n > 7 ? ", ... (--sweep NAME). " : " (--sweep NAME). ");
	}
	if (line.size) {
		line.data[--line.size] = '\0';
		buf_adds(out, "\n");
		style(r, PAINT_DIM, out);
		text_wrap(line.data, 0, 0, (size_t)r->width, out);
		style(r, PAINT_PLAIN, out);
		buf_addc(out, '\n');
	}
	buf_release(&line);
}

static void fact(const struct report *r, const char *name, const char *value, struct buf *out)
{
	report_fact(name, value, r->colour, r->width, out);
}

static void put_best_scores(const struct report *r, struct buf *out)
{
	const struct store_run *run = &r->runs.run[0];
	struct buf line = BUF_INIT;
	for (size_t i = 0; i < r->runs.n_metrics; i++) {
		if (isnan(run->scores[i]))
			continue;
		buf_clear(&line);
		if (i == r->by)
			style(r, PAINT_BEST, &line);
		report_score(run->scores[i], &line);
		if (i == r->by)
			style(r, PAINT_PLAIN, &line);
		if (i == r->by && r->second)
			buf_printf(&line, "   %.2f ahead of run %lld", r->ahead, (long long)r->second);
		double published = report_published(r, run, r->runs.metrics[i].name);
		if (!isnan(published))
			buf_printf(&line, "   published: %.2f", published);
		fact(r, r->runs.metrics[i].name, line.data, out);
	}
	buf_release(&line);
}

static void put_best(const struct report *r, struct buf *out)
{
	const struct store_run *run = &r->runs.run[0];
	const struct store_full_run *full = &r->best;
	struct buf line = BUF_INIT, text = BUF_INIT;
	buf_printf(&line, "run %lld", (long long)run->id);
	style(r, PAINT_BEST, out);
	buf_adds(out, line.data);
	style(r, PAINT_PLAIN, out);
	if (run->label)
		buf_printf(out, " (%s)", run->label);
	buf_printf(out, " is the best of %s by %s (", r->sweep->name, metric_name(r));
	report_counts(r->sweep, out);
	buf_adds(out, ")\n\n");
	put_best_scores(r, out);
	buf_adds(out, "\n");
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (params_is_default(id, run->params.v[id]) && !r->varies[id])
			continue;
		buf_clear(&text);
		params_format(id, run->params.v[id], &text);
		fact(r, param_table[id].name, text.data, out);
	}
	buf_adds(out, "\n");
	fact(r, "model", full->setup.model, out);
	fact(r, "adapter", full->adapter_dir ? full->adapter_dir : "none: the base model as it is", out);
	for (size_t i = 0; i < full->n_scores; i++)
		if (full->scores[i].signature && strcmp(full->scores[i].name, metric_name(r)) == 0)
			fact(r, "signature", full->scores[i].signature, out);
	buf_clear(&text);
	text_duration(run->seconds, &text);
	fact(r, "work behind it", text.data, out);
	buf_clear(&line);
	if (strcmp(r->db, "results.db") != 0)
		buf_printf(&line, " --db %s", r->db);
	const char *db = line.size ? line.data : "";
	buf_printf(out, "\nAll of it:                sweep show %lld%s\n", (long long)run->id, db);
	if (r->second)
		buf_printf(out, "Is the difference real?   sweep compare %lld %lld%s\n", (long long)run->id,
			   (long long)r->second, db);
	buf_printf(out, "Decode new tables:        sweep generate %lld FILE%s\n", (long long)run->id, db);
	buf_release(&line);
	buf_release(&text);
}

void report_table(const struct report *r, struct buf *out)
{
	if (r->options.best) {
		put_best(r, out);
		return;
	}
	put_title(r, out);
	buf_adds(out, "\n");
	struct layout *l = lay_out(r);
	put_header(r, l, out);
	put_rows(r, l, out);
	put_foot(r, l, out);
	release_layout(r, l);
}
