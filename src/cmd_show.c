/* cmd_show.c - `sweep show RUN`: one run, from its parameters to what it wrote; with --log, what its workers said. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli.h"
#include "report/report.h"
#include "run/exec_local.h"
#include "term/term.h"
#include "term/text.h"

struct show {
	struct store *store;
	struct store_full_run run;
	bool varies[PARAM_COUNT];
	bool colour;
	int width;         /* where lines are wrapped */
	const char *split; /* whose outputs are shown; NULL: the sweep's metric's */
};

static void heading(const struct show *s, const char *text, struct buf *out)
{
	buf_printf(out, "\n%s%s%s\n", paint(s->colour, PAINT_BOLD), text, paint(s->colour, PAINT_PLAIN));
}

static void fact(const struct show *s, const char *name, const char *value, struct buf *out)
{
	report_fact(name, value, s->colour, s->width, out);
}

static void show_title(const struct show *s, struct buf *out)
{
	const struct store_run *run = &s->run.run;
	buf_printf(out, "%srun %lld%s of %s", paint(s->colour, PAINT_BOLD), (long long)run->id,
		   paint(s->colour, PAINT_PLAIN), s->run.sweep.name);
	if (run->label)
		buf_printf(out, " (%s)", run->label);
	buf_printf(out, ": %s", strcmp(run->status, "pending") == 0 ? "waiting" : run->status);
	if (run->finished_at)
		buf_printf(out, ", %.19s UTC", run->finished_at);
	buf_adds(out, "\n");
	if (run->reason) {
		buf_adds(out, "  ");
		text_wrap(run->reason, 2, 2, (size_t)s->width, out);
		buf_addc(out, '\n');
	}
	if (run->note) {
		buf_adds(out, "  ");
		text_wrap(run->note, 2, 2, (size_t)s->width, out);
		buf_addc(out, '\n');
	}
}

/* What differs within the sweep first, then what is not at its default, then how many are. */
static void show_params(const struct show *s, struct buf *out)
{
	struct buf value = BUF_INIT;
	int defaults = 0;
	heading(s, "Parameters", out);
	for (int pass = 0; pass < 2; pass++) {
		for (int id = 0; id < PARAM_COUNT; id++) {
			if (s->varies[id] != (pass == 0))
				continue;
			if (pass == 1 && params_is_default(id, s->run.run.params.v[id])) {
				defaults++;
				continue;
			}
			buf_clear(&value);
			params_format(id, s->run.run.params.v[id], &value);
			if (pass == 1)
				buf_printf(&value, "%s  (the same in all runs)%s", paint(s->colour, PAINT_DIM),
					   paint(s->colour, PAINT_PLAIN));
			fact(s, param_table[id].name, value.data, out);
		}
	}
	buf_printf(out, "  %sand %d at their defaults (sweep params)%s\n", paint(s->colour, PAINT_DIM), defaults,
		   paint(s->colour, PAINT_PLAIN));
	buf_release(&value);
}

static void show_scores(const struct show *s, struct buf *out)
{
	struct buf value = BUF_INIT;
	if (!s->run.n_scores)
		return;
	heading(s, "Scores", out);
	for (size_t i = 0; i < s->run.n_scores; i++) {
		const struct store_score *score = &s->run.scores[i];
		buf_clear(&value);
		report_score(score->value, &value);
		if (score->signature)
			buf_printf(&value, "   %s%s%s", paint(s->colour, PAINT_DIM), score->signature,
				   paint(s->colour, PAINT_PLAIN));
		fact(s, score->name, value.data, out);
	}
	buf_release(&value);
}

/* Eight heights of block, one for each stretch of steps: the mean loss in it. */
static void sparkline(const struct store_losses *losses, size_t width, struct buf *out)
{
	double low = INFINITY, high = -INFINITY;
	double *mean = mem_zero(width, sizeof *mean);
	size_t n = losses->n < width ? losses->n : width;
	for (size_t i = 0; i < n; i++) {
		size_t from = i * losses->n / n, to = (i + 1) * losses->n / n, seen = 0;
		for (size_t k = from; k < to; k++)
			if (isfinite(losses->loss[k].loss)) {
				mean[i] += losses->loss[k].loss;
				seen++;
			}
		mean[i] = seen ? mean[i] / (double)seen : (double)NAN;
		if (seen) {
			low = fmin(low, mean[i]);
			high = fmax(high, mean[i]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		int level = isnan(mean[i]) ? -1 : high > low ? (int)(7.999 * (mean[i] - low) / (high - low)) : 0;
		if (level < 0)
			buf_addc(out, '?');
		else
			buf_printf(out, "\xe2\x96%c", 0x81 + level); /* U+2581 .. U+2588 */
	}
	free(mean);
}

static int show_training(const struct show *s, struct buf *out, struct err *err)
{
	struct store_losses losses;
	if (!s->run.adapter_id)
		return 0;
	if (store_query_losses(s->store, s->run.adapter_id, &losses, err) < 0)
		return -1;
	struct buf value = BUF_INIT;
	heading(s, "Training", out);
	if (losses.n) {
		const struct store_loss *first = &losses.loss[0], *last = &losses.loss[losses.n - 1];
		sparkline(&losses, 48, &value);
		fact(s, "loss", value.data, out);
		buf_clear(&value);
		buf_printf(&value, "%.4f at step %lld, %.4f at step %lld", first->loss, (long long)first->step,
			   last->loss, (long long)last->step);
		fact(s, "", value.data, out);
	}
	if (s->run.adapter_dir)
		fact(s, "adapter", s->run.adapter_dir, out);
	if (s->run.sharing > 0) {
		buf_clear(&value);
		buf_printf(&value, "%lld other run%s use%s this adapter", (long long)s->run.sharing,
			   s->run.sharing == 1 ? "" : "s", s->run.sharing == 1 ? "s" : "");
		fact(s, "shared", value.data, out);
	}
	buf_release(&value);
	store_losses_release(&losses);
	return 0;
}

static void show_data(const struct show *s, struct buf *out)
{
	struct buf value = BUF_INIT;
	heading(s, "Model and data", out);
	fact(s, "model", s->run.setup.model, out);
	if (s->run.setup.model_digest) {
		buf_printf(&value, "sha256:%s", s->run.setup.model_digest);
		fact(s, "model digest", value.data, out);
	}
	if (s->run.setup.train)
		fact(s, "training data", s->run.setup.train, out);
	for (size_t i = 0; i < s->run.sweep.n_splits; i++) {
		const struct store_split *split = &s->run.sweep.splits[i];
		buf_clear(&value);
		buf_printf(&value, "%s, %lld tables, %lld references", split->input ? split->input : "-",
			   (long long)split->n_inputs, (long long)split->n_references);
		fact(s, split->name, value.data, out);
	}
	if (s->run.arch)
		fact(s, "BLIS kernels", s->run.arch, out);
	buf_release(&value);
}

static void show_attempts(const struct show *s, struct buf *out)
{
	struct buf line = BUF_INIT;
	if (!s->run.n_attempts)
		return;
	heading(s, "Attempts", out);
	for (size_t i = 0; i < s->run.n_attempts; i++) {
		const struct store_attempt *a = &s->run.attempts[i];
		buf_clear(&line);
		buf_printf(&line, "%s: %s", a->job, a->outcome);
		if (a->attempt > 1)
			buf_printf(&line, " at attempt %lld", (long long)a->attempt);
		buf_adds(&line, ", ");
		text_duration(a->seconds, &line);
		buf_printf(&line, " on %lld thread%s", (long long)a->threads, a->threads == 1 ? "" : "s");
		if (!isnan(a->tokens_per_second))
			buf_printf(&line, ", %.0f tokens/s", a->tokens_per_second);
		if (a->peak_rss_kb)
			buf_printf(&line, ", %.0f MB", (double)a->peak_rss_kb / 1024);
		buf_printf(out, "  %s%.16s%s  ", paint(s->colour, PAINT_DIM), a->started_at,
			   paint(s->colour, PAINT_PLAIN));
		text_wrap(line.data, 20, 20, (size_t)s->width, out);
		buf_addc(out, '\n');
		if (a->reason)
			buf_printf(out, "                    %s\n", a->reason);
	}
	buf_release(&line);
}

static int by_bleu(const void *a, const void *b)
{
	const struct store_output *x = *(struct store_output *const *)a, *y = *(struct store_output *const *)b;
	double p = isnan(x->sentence_bleu) ? -1 : x->sentence_bleu, q = isnan(y->sentence_bleu) ? -1 : y->sentence_bleu;
	if (p != q)
		return p < q ? 1 : -1;
	return x->input < y->input ? -1 : 1;
}

static void show_output(const struct show *s, const char *which, const struct store_output *o, struct buf *out)
{
	struct buf line = BUF_INIT;
	if (!isnan(o->sentence_bleu))
		buf_printf(&line, "%s, sentence BLEU %.2f", which, o->sentence_bleu);
	else
		buf_adds(&line, which);
	buf_printf(out, "  %s (input %lld)\n", line.data, (long long)o->input);
	const struct {
		const char *name;
		const struct store_text *text;
	} parts[] = {{"table", &o->table}, {"output", &o->text}, {"reference", o->references}};
	for (size_t i = 0; i < 3; i++) {
		if (!parts[i].text)
			continue;
		buf_clear(&line);
		utf8_clean(parts[i].text->data, parts[i].text->size, &line);
		buf_printf(out, "    %s%-10s%s", paint(s->colour, PAINT_DIM), parts[i].name,
			   paint(s->colour, PAINT_PLAIN));
		text_wrap(buf_text(&line), 14, 14, (size_t)s->width, out);
		buf_addc(out, '\n');
	}
	buf_release(&line);
}

/* The split that the sweep's metric is of, if the run has outputs on it; else the first that has some. */
static const char *choose_split(const struct show *s)
{
	const char *metric = s->run.sweep.metric;
	if (s->split)
		return s->split;
	for (size_t i = 0; i < s->run.sweep.n_splits; i++) {
		const char *name = s->run.sweep.splits[i].name;
		if (strncmp(metric, name, strlen(name)) == 0 && metric[strlen(name)] == '_')
			return name;
	}
	return s->run.sweep.n_splits ? s->run.sweep.splits[0].name : NULL;
}

static int show_outputs(const struct show *s, struct buf *out, struct err *err)
{
	const char *split = choose_split(s);
	struct store_outputs outputs;
	struct err none = {0};
	if (!split)
		return 0;
	if (store_query_outputs(s->store, s->run.run.id, split, &outputs, &none) < 0) {
		if (!s->split && none.kind == ERR_INPUT)
			return 0; /* not decoded yet */
		*err = none;
		return -1;
	}
	struct store_output **order = mem_array(outputs.n, sizeof *order);
	for (size_t i = 0; i < outputs.n; i++)
		order[i] = &outputs.output[i];
	if (outputs.n) {
		qsort(order, outputs.n, sizeof *order, by_bleu);
		struct buf title = BUF_INIT;
		buf_printf(&title, "Outputs on %s", split);
		heading(s, title.data, out);
		buf_release(&title);
		bool scored = !isnan(order[0]->sentence_bleu);
		show_output(s, scored ? "best" : "first", order[0], out);
		if (outputs.n > 2)
			show_output(s, scored ? "median" : "another", order[outputs.n / 2], out);
		if (outputs.n > 1)
			show_output(s, scored ? "worst" : "last", order[outputs.n - 1], out);
	}
	free(order);
	store_outputs_release(&outputs);
	return 0;
}

static int show_table(const struct show *s, struct buf *out, struct err *err)
{
	show_title(s, out);
	show_params(s, out);
	show_scores(s, out);
	if (show_training(s, out, err) < 0)
		return -1;
	show_data(s, out);
	show_attempts(s, out);
	return show_outputs(s, out, err);
}

#define LOG_MAX ((size_t)1 << 26) /* of several attempts by one name: base/logfile.h bounds each */

/* The file that an attempt's words went to: also those of a later attempt, when a sweep began anew and counted from 1. */
static char *log_file(const struct show *s, const struct store_attempt *a)
{
	return exec_local_log(store_artifacts_dir(s->store), a->key ? a->key : "", (int)a->attempt);
}

/* Is its file that of a later attempt, too? It is shown there. */
static bool log_is_later(const struct show *s, size_t i)
{
	const struct store_attempt *a = &s->run.attempts[i];
	for (size_t k = i + 1; k < s->run.n_attempts; k++)
		if (strcmp(s->run.attempts[k].key, a->key) == 0 && s->run.attempts[k].attempt == a->attempt)
			return true;
	return false;
}

static void show_attempt_log(const struct show *s, size_t i, struct buf *out)
{
	const struct store_attempt *a = &s->run.attempts[i];
	struct buf text = BUF_INIT, title = BUF_INIT;
	struct err unreadable = {0};
	char *path = log_file(s, a);
	buf_printf(&title, "%s, attempt %lld: %s, %.19s UTC", a->job, (long long)a->attempt, a->outcome, a->started_at);
	heading(s, title.data, out);
	if (a->reason)
		buf_printf(out, "  %s\n", a->reason);
	bool later = log_is_later(s, i), kept = !later && buf_read_file(&text, path, LOG_MAX, &unreadable) == 0;
	buf_adds(out, paint(s->colour, PAINT_DIM));
	if (kept)
		buf_printf(out, "  from %s\n", path);
	else if (later && fs_exists(path))
		buf_printf(out, "  in %s, with a later attempt's, below\n", path);
	else if (a->log_tail)
		buf_adds(out, "  its end, from the database: the file is not there\n");
	else
		buf_adds(out, "  it said nothing\n");
	buf_adds(out, paint(s->colour, PAINT_PLAIN));
	const char *words = kept ? buf_text(&text) : !later || !fs_exists(path) ? a->log_tail : NULL;
	if (words) {
		size_t n = kept ? text.size : strlen(words);
		utf8_clean_lines(words, n, out);
		if (n && words[n - 1] != '\n')
			buf_addc(out, '\n');
	}
	free(path);
	buf_release(&text);
	buf_release(&title);
}

static void show_log(const struct show *s, struct buf *out)
{
	show_title(s, out);
	if (!s->run.n_attempts)
		buf_adds(out,
			 "  no attempt of it is recorded: it waits, or its results were taken over from a folder\n");
	for (size_t i = 0; i < s->run.n_attempts; i++)
		show_attempt_log(s, i, out);
}

int cmd_show(int argc, char **argv, struct err *err)
{
	const char *db = "results.db", *split = NULL;
	bool log = false, helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "split", .type = CLI_TEXT, .text = &split, .help = "show outputs on this split"},
		{.name = "log", .type = CLI_FLAG, .flag = &log, .help = "what the workers of its attempts said"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	int64_t id;
	if (n != 1)
		return err_set(err, ERR_USAGE, "show takes one run's number: sweep show RUN");
	if (log && split)
		return err_set(err, ERR_USAGE, "show: --log shows no outputs: leave --split out");
	if (report_run_id(argv[1], &id, err) < 0)
		return -1;
	struct show s = {.colour = term_colour(STDOUT_FILENO), .width = term_wrap_at(STDOUT_FILENO), .split = split};
	if (store_open(&s.store, db, STORE_READ, err) < 0)
		return -1;
	struct buf out = BUF_INIT;
	int result = store_query_run(s.store, id, &s.run, err);
	if (result == 0)
		result = store_query_varying(s.store, s.run.run.sweep_id, s.varies, err);
	if (result == 0 && log)
		show_log(&s, &out);
	else if (result == 0)
		result = show_table(&s, &out, err);
	if (result == 0)
		result = term_print(&out, err);
	buf_release(&out);
	store_full_run_release(&s.run);
	store_close(s.store);
	return result;
}
