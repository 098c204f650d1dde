/* plan_print.c - a plan in words: `sweep run --dry-run`, `--explain` and the notices; see plan_print.h.
 *
 * Read by a person who wants to know, before hours of work, whether the file says what she meant: how many runs, how
 * much of the work is shared, what an earlier sweep has left, and what the longest wait will be. Counts come first, in
 * one small table; nothing is wider than the terminal unless a word is, and on a pipe a job stays on one line, for grep.
 */
#include "plan_print.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli.h"
#include "plan/plan_notes.h"
#include "term/term.h"
#include "term/text.h"

/* Words of text, wrapped at the terminal's width with `indent` spaces in front of every further line. */
static void put_wrapped(FILE *out, const char *text, size_t at, size_t indent, int columns)
{
	struct buf lines = BUF_INIT;
	text_wrap(text, at, indent, (size_t)columns, &lines);
	fprintf(out, "%s\n", buf_text(&lines));
	buf_release(&lines);
}

static const char *grouped(size_t n, char room[32])
{
	char digits[32];
	int length = snprintf(digits, sizeof digits, "%zu", n), at = 0;
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			room[at++] = ',';
		room[at++] = digits[i];
	}
	room[at] = '\0';
	return room;
}

struct counts {
	size_t runs_done, adapters, adapters_have, texts, texts_have, trainings, searches;
};

static struct counts count(const struct plan *plan)
{
	struct counts c = {0};
	for (size_t i = 0; i < plan->n_artifacts; i++) {
		bool adapter = plan->artifacts[i].kind == JOB_TRAIN;
		c.adapters += adapter;
		c.adapters_have += adapter && plan->artifacts[i].have;
		c.texts += !adapter;
		c.texts_have += !adapter && plan->artifacts[i].have;
	}
	for (size_t i = 0; i < plan->n_jobs; i++) {
		const struct plan_job *job = &plan->jobs[i];
		c.trainings += job->job.kind == JOB_TRAIN;
		c.searches += job->n_searches;
	}
	for (size_t i = 0; i < plan->n_runs; i++) {
		bool done = true;
		for (size_t j = 0; j < plan->n_splits && done; j++)
			done = plan->artifacts[plan->runs[i].artifacts[j]].have;
		c.runs_done += done;
	}
	return c;
}

static void put_row(FILE *out, const char *name, size_t needed, size_t exist, size_t to_do, const char *note)
{
	char a[32], b[32], c[32];
	fprintf(out, "  %-12s %10s %10s %10s%s%s\n", name, grouped(needed, a), grouped(exist, b), grouped(to_do, c),
		note[0] ? "   " : "", note);
}

/* The job whose end lies furthest away, with what it waits for. */
static void put_chain(FILE *out, const struct plan *plan)
{
	const struct plan_job *last = NULL;
	double longest = -1;
	for (size_t i = 0; i < plan->n_jobs; i++) {
		const struct plan_job *job = &plan->jobs[i];
		double cost = job->cost + (job->waits_for == PLAN_NONE ? 0 : plan->jobs[job->waits_for].cost);
		if (cost > longest) {
			longest = cost;
			last = job;
		}
	}
	const char *head = "Longest chain: ";
	struct buf text = BUF_INIT;
	if (last->waits_for != PLAN_NONE)
		buf_printf(&text, "%s, then ", plan->jobs[last->waits_for].title);
	buf_adds(&text, last->title);
	fputs(head, out);
	put_wrapped(out, text.data, strlen(head), strlen(head), term_columns(fileno(out)));
	buf_release(&text);
}

static void put_heading(FILE *out, const struct spec *spec, const struct plan *plan)
{
	struct buf text = BUF_INIT;
	char room[32];
	bool colour = term_colour(fileno(out));
	buf_printf(&text, "%s run%s of model %s, decoded on ", grouped(plan->n_runs, room),
		   plan->n_runs == 1 ? "" : "s", spec->model);
	for (size_t i = 0; i < spec->n_splits; i++)
		buf_printf(&text, "%s%s", i == 0 ? "" : i + 1 == spec->n_splits ? " and " : ", ", spec->splits[i].name);
	buf_printf(&text, "; %s %s is best", spec->maximize ? "highest" : "lowest", spec->metric);
	fprintf(out, "%s%s%s: ", paint(colour, PAINT_BOLD), spec->name, paint(colour, PAINT_PLAIN));
	put_wrapped(out, text.data, text_width(spec->name) + 2, 2, term_columns(fileno(out)));
	buf_release(&text);
}

void plan_print_summary(FILE *out, const struct spec *spec, const struct plan *plan, int jobs)
{
	struct counts c = count(plan);
	char note[80], room[32];
	put_heading(out, spec, plan);
	fprintf(out, "\n  %-12s %10s %10s %10s\n", "", "needed", "exist", "to do");
	put_row(out, "runs", plan->n_runs, c.runs_done, plan->n_runs - c.runs_done, "");
	size_t trained = 0;
	for (size_t i = 0; i < plan->n_runs; i++)
		trained += plan->runs[i].adapter != PLAN_NONE;
	note[0] = '\0';
	if (c.adapters && trained % c.adapters == 0 && trained > c.adapters)
		snprintf(note, sizeof note, "%s runs share each", grouped(trained / c.adapters, room));
	else if (trained > c.adapters)
		snprintf(note, sizeof note, "shared by %s runs", grouped(trained, room));
	put_row(out, "trainings", c.adapters, c.adapters_have, c.trainings, note);
	snprintf(note, sizeof note, c.searches ? "by %s search%s" : "", grouped(c.searches, room),
		 c.searches == 1 ? "" : "es");
	put_row(out, "text sets", c.texts, c.texts_have, c.texts - c.texts_have, note);
	fputc('\n', out);
	if (c.adapters - c.adapters_have > c.trainings)
		fprintf(out, "%s adapter%s missing but not needed: all texts made with %s exist.\n",
			grouped(c.adapters - c.adapters_have - c.trainings, room),
			c.adapters - c.adapters_have - c.trainings == 1 ? " is" : "s are",
			c.adapters - c.adapters_have - c.trainings == 1 ? "it" : "them");
	if (plan->n_jobs == 0) {
		fprintf(out, "Every run is done: nothing to do.\n");
		return;
	}
	fprintf(out, "%s job%s to do, up to %d at a time.\n", grouped(plan->n_jobs, room), plan->n_jobs == 1 ? "" : "s",
		jobs);
	put_chain(out, plan);
}

static void put_job(FILE *out, const char *state, const char *title, const char *why)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s; %s", title, why);
	fprintf(out, "%-6s", state);
	put_wrapped(out, text.data, 6, 8, term_wrap_at(fileno(out)));
	buf_release(&text);
}

/* What is not done because it exists: adapters, then texts, those of one run on one line. */
static void explain_rest(FILE *out, const struct plan *plan)
{
	bool varies[PARAM_COUNT];
	struct buf title = BUF_INIT;
	size_t *have = mem_array(plan->n_splits, sizeof *have);
	plan_notes_varying(plan, varies);
	for (size_t i = 0; i < plan->n_artifacts; i++) {
		const struct plan_artifact *a = &plan->artifacts[i];
		if (a->kind != JOB_TRAIN || a->job != PLAN_NONE)
			continue;
		buf_clear(&title);
		plan_notes_name(plan, &i, 1, varies, &title);
		put_job(out, a->have ? "have" : "skip", title.data,
			a->have ? "its adapter exists" : "every text that needs its adapter exists");
	}
	for (size_t i = 0; i < plan->n_runs; i++) {
		size_t n = 0;
		for (size_t j = 0; j < plan->n_splits; j++)
			if (plan->artifacts[plan->runs[i].artifacts[j]].have)
				have[n++] = plan->runs[i].artifacts[j];
		if (n == 0)
			continue;
		buf_clear(&title);
		plan_notes_name(plan, have, n, varies, &title);
		put_job(out, "have", title.data, n == plan->n_splits ? "its texts exist" : "some of its texts exist");
	}
	free(have);
	buf_release(&title);
}

void plan_print_explain(FILE *out, const struct spec *spec, const struct plan *plan)
{
	(void)spec;
	for (size_t i = 0; i < plan->n_jobs; i++)
		put_job(out, "run", plan->jobs[i].title, plan->jobs[i].why);
	explain_rest(out, plan);
}

void plan_print_notices(FILE *out, const struct spec *spec, const struct plan *plan)
{
	for (size_t i = 0; i < spec->n_notices; i++)
		term_say(out, "%s", spec->notices[i]);
	for (size_t i = 0; i < plan->n_notices; i++)
		term_say(out, "note: %s", plan->notices[i]);
}
