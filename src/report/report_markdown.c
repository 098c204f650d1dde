/* report_markdown.c - the report that is committed beside a paper or under reports/: what was run on what, every run,
 * what each parameter did. It holds nothing that changes when the same sweep is run again but the times. */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "report.h"

/* Text in a table's cell: no bar, no line end, nothing that Markdown would take for markup. */
static void add_escaped(const char *text, struct buf *out)
{
	struct buf plain = BUF_INIT;
	utf8_clean(text, strlen(text), &plain);
	for (const char *p = plain.size ? plain.data : ""; *p; p++) {
		if (strchr("|*`<>[]\\#", *p))
			buf_addc(out, '\\');
		buf_addc(out, *p);
	}
	buf_release(&plain);
}

static void add_fact(const char *name, const char *value, struct buf *out)
{
	buf_printf(out, "| %s | ", name);
	add_escaped(value, out);
	buf_adds(out, " |\n");
}

static void add_facts(const struct report *r, struct buf *out)
{
	const struct store_sweep *s = r->sweep;
	struct buf text = BUF_INIT;
	buf_adds(out, "| | |\n| --- | --- |\n");
	report_counts(s, &text);
	add_fact("runs", text.data, out);
	add_fact("model", s->setup.model, out);
	if (s->setup.model_digest)
		buf_printf(out, "| model digest | `sha256:%s` |\n", s->setup.model_digest);
	const char *train = s->setup.train ? strrchr(s->setup.train, '/') : NULL;
	if (s->setup.dataset)
		add_fact("dataset", s->setup.dataset, out);
	if (s->setup.train)
		add_fact("training data", train ? train + 1 : s->setup.train, out);
	for (size_t i = 0; i < s->n_splits; i++) {
		const struct store_split *split = &s->splits[i];
		buf_clear(&text);
		buf_printf(&text, "%lld tables, %lld references", (long long)split->n_inputs,
			   (long long)split->n_references);
		buf_adds(out, "| split `");
		buf_printf(out, "%s` | ", split->name);
		add_escaped(text.data, out);
		buf_adds(out, " |\n");
	}
	buf_clear(&text);
	report_constants(r, &text);
	if (text.size)
		add_fact("the same in all runs", text.data, out);
	add_fact("sweep file", s->path ? s->path : s->name, out);
	buf_clear(&text);
	buf_printf(&text, "%.16s UTC", s->finished_at ? s->finished_at : s->started_at);
	add_fact(s->finished_at ? "finished" : "started", text.data, out);
	buf_release(&text);
}

static void add_table(const struct report *r, struct buf *out)
{
	struct buf cell = BUF_INIT;
	for (size_t c = 0; c < r->n_columns; c++) {
		buf_adds(out, "| ");
		add_escaped(r->columns[c].name, out);
		buf_addc(out, ' ');
	}
	buf_adds(out, "|\n");
	for (size_t c = 0; c < r->n_columns; c++)
		buf_adds(out, r->columns[c].number ? "| ---: " : "| --- ");
	buf_adds(out, "|\n");
	for (size_t i = 0; i < r->n_listed; i++) {
		bool best = i == 0 && r->by < r->runs.n_metrics && !isnan(r->runs.run[0].scores[r->by]);
		for (size_t c = 0; c < r->n_columns; c++) {
			const struct report_column *column = &r->columns[c];
			bool strong = best && column->kind == REPORT_METRIC && column->id == (int)r->by;
			buf_clear(&cell);
			report_cell(r, column, &r->runs.run[i], false, &cell);
			buf_adds(out, strong ? "| **" : "| ");
			add_escaped(buf_text(&cell), out);
			buf_adds(out, strong ? "** " : " ");
		}
		buf_adds(out, "|\n");
	}
	buf_release(&cell);
}

static void add_effects(const struct report *r, struct buf *out)
{
	size_t n;
	struct report_effect *effects = report_effects(r, &n);
	struct buf value = BUF_INIT;
	if (n)
		buf_printf(
			out,
			"\n## What each parameter does\n\nMean %s of all runs that have a value, and its range; what "
			"explains most comes first.%s\n\n"
			"| parameter | value | runs | mean | least | most |\n| --- | ---: | ---: | ---: | ---: | "
			"---: |\n",
			r->runs.metrics[r->by].name, report_seed_note(r));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < effects[i].n_values; k++) {
			const struct report_value *v = &effects[i].values[k];
			buf_clear(&value);
			report_effect_value(r, &effects[i], k, &value);
			buf_printf(out, "| %s | %s | %zu | %.2f | %.2f | %.2f |\n",
				   k ? "" : param_table[effects[i].id].name, value.data, v->n, v->mean, v->min, v->max);
		}
	buf_release(&value);
	report_effects_release(effects, n);
}

void report_markdown(const struct report *r, struct buf *out)
{
	buf_adds(out, "# ");
	add_escaped(r->sweep->name, out);
	buf_adds(out, "\n\n");
	add_facts(r, out);
	buf_printf(out,
		   "\n## %s\n\nBest first by %s%s. Scores are sacrebleu's BLEU from 0 to 100; seconds are the work "
		   "behind a "
		   "run, and shared work counts in every run that uses it.\n\n",
		   r->options.best ? "The best run" : "Runs",
		   r->by < r->runs.n_metrics ? r->runs.metrics[r->by].name : r->sweep->metric,
		   r->maximize ? "" : " (smallest)");
	add_table(r, out);
	if (!r->options.best)
		add_effects(r, out);
	buf_adds(out, "\nMade with sweep " SWEEP_VERSION ".\n");
}
