/* cmd_compare.c - `sweep compare A B`: is A better than B, or is it chance? Paired bootstrap on corpus BLEU as
 * sacrebleu's --paired-bs does it (docs/REFERENCE.md, 6.4), and the outputs side by side, the largest differences
 * first. Texts and references come from the database as they were when the runs were made, so that no file is needed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bleu.h"
#include "base/bootstrap.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli.h"
#include "report/report.h"
#include "term/term.h"
#include "term/text.h"

struct compare {
	struct store *store;
	struct store_full_run run[2];
	struct store_outputs outputs[2];
	const char *split;
	bool scored; /* every input has references */
	struct bleu_stats *stats[2];
	double *sentence[2]; /* [n] */
	size_t n;            /* inputs */
	struct bootstrap_result bootstrap;
	size_t better[2], equal;
	size_t top;
	uint64_t seed; /* of the resamples */
	bool colour;
	int width; /* where lines are wrapped */
};

static bool has_split(const struct store_full_run *run, const char *split)
{
	for (size_t i = 0; i < run->sweep.n_splits; i++)
		if (strcmp(run->sweep.splits[i].name, split) == 0)
			return true;
	return false;
}

/* The split of the first run's metric, else the first that both have. */
static int choose_split(struct compare *c, struct err *err)
{
	const struct store_sweep *sweep = &c->run[0].sweep;
	const char *found = NULL;
	if (c->split)
		return 0;
	for (size_t i = 0; i < sweep->n_splits; i++) {
		const char *name = sweep->splits[i].name;
		if (!has_split(&c->run[1], name))
			continue;
		if (!found || (strncmp(sweep->metric, name, strlen(name)) == 0 && sweep->metric[strlen(name)] == '_'))
			found = name;
	}
	if (!found)
		return err_set(err, ERR_INPUT, "run %lld (%s) and run %lld (%s) have no split in common",
			       (long long)c->run[0].run.id, c->run[0].sweep.name, (long long)c->run[1].run.id,
			       c->run[1].sweep.name);
	c->split = found;
	return 0;
}

static bool same_text(const struct store_text *a, const struct store_text *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static int load(struct compare *c, const int64_t ids[2], struct err *err)
{
	for (int k = 0; k < 2; k++)
		if (store_query_run(c->store, ids[k], &c->run[k], err) < 0)
			return -1;
	if (choose_split(c, err) < 0)
		return -1;
	for (int k = 0; k < 2; k++)
		if (store_query_outputs(c->store, ids[k], c->split, &c->outputs[k], err) < 0)
			return -1;
	const struct store_outputs *a = &c->outputs[0], *b = &c->outputs[1];
	bool same = a->dataset_id == b->dataset_id && a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = a->output[i].input == b->output[i].input;
	if (!same)
		return err_set(err, ERR_INPUT,
			       "run %lld and run %lld were not scored on the same data: %s had %zu tables, then %zu, "
			       "or its files were changed in between",
			       (long long)ids[0], (long long)ids[1], c->split, a->n, b->n);
	c->n = a->n;
	c->scored = c->n > 0;
	for (size_t i = 0; i < c->n; i++)
		c->scored &= a->output[i].n_references > 0;
	return 0;
}

static void score(struct compare *c)
{
	struct bleu *bleu = bleu_new();
	for (size_t i = 0; i < c->n; i++) {
		const struct store_output *o = &c->outputs[0].output[i];
		const char **references = mem_array(o->n_references, sizeof *references);
		for (size_t k = 0; k < o->n_references; k++)
			references[k] = o->references[k].data;
		bleu_add(bleu, references, o->n_references);
		free(references);
	}
	for (int k = 0; k < 2; k++) {
		c->stats[k] = mem_zero(c->n, sizeof *c->stats[k]);
		c->sentence[k] = mem_zero(c->n, sizeof *c->sentence[k]);
		for (size_t i = 0; i < c->n; i++) {
			const struct store_text *text = &c->outputs[k].output[i].text;
			bleu_segment(bleu, i, text->data, text->size, &c->stats[k][i]);
			c->sentence[k][i] = bleu_score(&c->stats[k][i], BLEU_SMOOTH_EXP, true).score;
		}
	}
	bleu_free(bleu);
	bootstrap_paired(c->stats[0], c->stats[1], c->n, BOOTSTRAP_RESAMPLES, c->seed, &c->bootstrap);
	for (size_t i = 0; i < c->n; i++) {
		if (c->sentence[0][i] == c->sentence[1][i])
			c->equal++;
		else
			c->better[c->sentence[0][i] < c->sentence[1][i]]++;
	}
}

static void put_difference(const struct compare *c, struct buf *out)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	bool any = false;
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (params_value_equal(id, c->run[0].run.params.v[id], c->run[1].run.params.v[id]))
			continue;
		buf_clear(&a);
		buf_clear(&b);
		for (int digits = 4; digits <= 17 && strcmp(buf_text(&a), buf_text(&b)) == 0; digits++) {
			buf_clear(&a);
			buf_clear(&b);
			params_format_short(id, c->run[0].run.params.v[id], digits, &a);
			params_format_short(id, c->run[1].run.params.v[id], digits, &b);
		}
		buf_printf(out, "  %-22s%12s%12s\n", param_table[id].name, a.data, b.data);
		any = true;
	}
	if (strcmp(c->run[0].setup.model, c->run[1].setup.model) != 0) {
		buf_printf(out, "  %-22s%12s%12s\n", "model", c->run[0].setup.model, c->run[1].setup.model);
		any = true;
	}
	if (!any)
		buf_adds(out, "  they have the same parameters\n");
	buf_release(&a);
	buf_release(&b);
}

static void put_scores(const struct compare *c, struct buf *out)
{
	const struct bootstrap_result *r = &c->bootstrap;
	long long a = (long long)c->run[0].run.id, b = (long long)c->run[1].run.id;
	buf_printf(out, "\n  corpus BLEU           %12.2f%12.2f%+12.2f\n", r->base, r->other, r->other - r->base);
	buf_printf(out, "  95%% of resamples      %6.2f \xc2\xb1%4.2f%6.2f \xc2\xb1%4.2f\n", r->base_mean, r->base_ci,
		   r->other_mean, r->other_ci);
	double x = bleu_mean_sentence(c->stats[0], c->n), y = bleu_mean_sentence(c->stats[1], c->n);
	buf_printf(out, "  mean sentence BLEU    %12.2f%12.2f%+12.2f\n", x, y, y - x);
	buf_printf(out, "  better on             %12zu%12zu%12zu equal\n", c->better[0], c->better[1], c->equal);
	if (r->base == r->other) {
		buf_printf(out, "\n%sThey score the same.%s\n", paint(c->colour, PAINT_BOLD),
			   paint(c->colour, PAINT_PLAIN));
		return;
	}
	struct buf text = BUF_INIT;
	buf_printf(&text,
		   "%sRun %lld is better by %.2f BLEU%s, and that %s: p = %.4f (paired bootstrap, %d resamples, "
		   "seed %llu; below 0.05 counts as significant).",
		   paint(c->colour, PAINT_BOLD), r->base > r->other ? a : b, fabs(r->base - r->other),
		   paint(c->colour, PAINT_PLAIN), r->p < 0.05 ? "is hardly chance" : "may well be chance", r->p,
		   BOOTSTRAP_RESAMPLES, (unsigned long long)c->seed);
	buf_addc(out, '\n');
	text_wrap(text.data, 0, 0, (size_t)c->width, out);
	buf_addc(out, '\n');
	buf_release(&text);
}

static void put_text(const struct compare *c, const char *name, double bleu, const struct store_text *text, bool good,
		     struct buf *out)
{
	struct buf line = BUF_INIT;
	utf8_clean(text->data, text->size, &line);
	buf_printf(out, "  %s%-9s%s", paint(c->colour, PAINT_DIM), name, paint(c->colour, PAINT_PLAIN));
	if (isnan(bleu))
		buf_adds(out, "       ");
	else
		buf_printf(out, "%s%6.2f%s ", paint(c->colour && good, PAINT_GREEN), bleu,
			   paint(c->colour && good, PAINT_PLAIN));
	buf_addc(out, ' ');
	text_wrap(buf_text(&line), 19, 19, (size_t)c->width, out);
	buf_addc(out, '\n');
	buf_release(&line);
}

struct pair {
	size_t at;
	double difference;
};

static int by_difference(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->difference != y->difference)
		return x->difference < y->difference ? 1 : -1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void put_outputs(const struct compare *c, struct buf *out)
{
	struct pair *pairs = mem_array(c->n, sizeof *pairs);
	size_t n = 0;
	char names[2][24];
	for (int k = 0; k < 2; k++)
		snprintf(names[k], sizeof names[k], "run %lld", (long long)c->run[k].run.id);
	for (size_t i = 0; i < c->n; i++)
		if (!same_text(&c->outputs[0].output[i].text, &c->outputs[1].output[i].text))
			pairs[n++] = (struct pair){i, c->scored ? fabs(c->sentence[0][i] - c->sentence[1][i]) : 0};
	qsort(pairs, n, sizeof *pairs, by_difference);
	buf_printf(out, "\n%zu of %zu outputs are the same text.", c->n - n, c->n);
	if (n)
		buf_adds(out, c->scored ? " The largest differences in sentence BLEU:\n" : " The others:\n");
	else
		buf_adds(out, "\n");
	for (size_t i = 0; i < n && (c->top == 0 || i < c->top); i++) {
		size_t at = pairs[i].at;
		const struct store_output *o[2] = {&c->outputs[0].output[at], &c->outputs[1].output[at]};
		double s[2] = {c->scored ? c->sentence[0][at] : (double)NAN,
			       c->scored ? c->sentence[1][at] : (double)NAN};
		buf_printf(out, "\n");
		char input[32];
		snprintf(input, sizeof input, "input %lld", (long long)o[0]->input);
		put_text(c, input, (double)NAN, &o[0]->table, false, out);
		for (int k = 0; k < 2; k++)
			put_text(c, names[k], s[k], &o[k]->text, c->scored && s[k] > s[1 - k], out);
		if (o[0]->n_references)
			put_text(c, "reference", (double)NAN, &o[0]->references[0], false, out);
	}
	if (c->top && n > c->top)
		buf_printf(out, "\n... and %zu more that differ (--top 0 shows all)\n", n - c->top);
	free(pairs);
}

static void put_table(const struct compare *c, struct buf *out)
{
	long long a = (long long)c->run[0].run.id, b = (long long)c->run[1].run.id;
	char name[2][24];
	snprintf(name[0], sizeof name[0], "run %lld", a);
	snprintf(name[1], sizeof name[1], "run %lld", b);
	buf_printf(out, "%srun %lld%s (%s) and %srun %lld%s (%s) on %s, %zu tables\n\n", paint(c->colour, PAINT_BOLD),
		   a, paint(c->colour, PAINT_PLAIN), c->run[0].sweep.name, paint(c->colour, PAINT_BOLD), b,
		   paint(c->colour, PAINT_PLAIN), c->run[1].sweep.name, c->split, c->n);
	buf_printf(out, "  %s%-22s%12s%12s%12s%s\n", paint(c->colour, PAINT_DIM), "", name[0], name[1], "difference",
		   paint(c->colour, PAINT_PLAIN));
	put_difference(c, out);
	if (c->scored)
		put_scores(c, out);
	else
		buf_printf(out, "\n%s has no references: nothing to score.\n", c->split);
	put_outputs(c, out);
}

static void put_json(const struct compare *c, struct buf *out)
{
	const struct bootstrap_result *r = &c->bootstrap;
	buf_printf(out, "{\"sweep_compare\":1,\"runs\":[%lld,%lld],\"split\":", (long long)c->run[0].run.id,
		   (long long)c->run[1].run.id);
	json_format_string(c->split, strlen(c->split), out);
	buf_printf(out, ",\"inputs\":%zu", c->n);
	if (c->scored) {
		const struct {
			const char *name;
			double value;
		} numbers[] = {{"bleu_first", r->base},
			       {"bleu_second", r->other},
			       {"resampled_mean_first", r->base_mean},
			       {"resampled_mean_second", r->other_mean},
			       {"interval_first", r->base_ci},
			       {"interval_second", r->other_ci},
			       {"p", r->p},
			       {"sentence_bleu_first", bleu_mean_sentence(c->stats[0], c->n)},
			       {"sentence_bleu_second", bleu_mean_sentence(c->stats[1], c->n)}};
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
			buf_printf(out, ",\"%s\":", numbers[i].name);
			json_format_double(numbers[i].value, out);
		}
		buf_printf(out,
			   ",\"resamples\":%d,\"seed\":%llu,\"better_first\":%zu,\"better_second\":%zu,\"equal\":%zu",
			   BOOTSTRAP_RESAMPLES, (unsigned long long)c->seed, c->better[0], c->better[1], c->equal);
	}
	buf_adds(out, "}\n");
}

static void release(struct compare *c)
{
	for (int k = 0; k < 2; k++) {
		store_full_run_release(&c->run[k]);
		store_outputs_release(&c->outputs[k]);
		free(c->stats[k]);
		free(c->sentence[k]);
	}
	store_close(c->store);
}

/* SACREBLEU_SEED as sacrebleu reads it: a number, or "none" for one that nobody knows beforehand (it is shown, and --seed
 * takes it). Only 0 differs: it is a seed here, and `none` to sacrebleu's paired test. */
static int environment_seed(uint64_t *seed, struct err *err)
{
	const char *text = getenv("SACREBLEU_SEED");
	char *end;
	*seed = BOOTSTRAP_SEED;
	if (!text || !*text)
		return 0;
	if (strcasecmp(text, "none") == 0) {
		if (getrandom(seed, sizeof *seed, 0) != (ssize_t)sizeof *seed)
			return err_errno(err, "no random seed for SACREBLEU_SEED=none");
		*seed >>= 1; /* what --seed takes */
		return 0;
	}
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (end == text || *end || errno || value < 0)
		return err_set(err, ERR_USAGE, "SACREBLEU_SEED: expected a whole number from 0 up or none, found `%s`",
			       text);
	*seed = (uint64_t)value;
	return 0;
}

int cmd_compare(int argc, char **argv, struct err *err)
{
	const char *db = "results.db", *split = NULL, *format = "table";
	int64_t top = 5, seed = -1, ids[2];
	bool helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "split", .type = CLI_TEXT, .text = &split, .help = "compare on this split; else the metric's"},
		{.name = "top",
		 .type = CLI_INT,
		 .number = &top,
		 .min = 0,
		 .max = INT32_MAX,
		 .help = "show N pairs; 0 is all"},
		{.name = "seed",
		 .type = CLI_INT,
		 .number = &seed,
		 .min = 0,
		 .max = INT64_MAX,
		 .help = "of the bootstrap's resamples; else SACREBLEU_SEED, else 12345"},
		{.name = "format", .type = CLI_TEXT, .text = &format, .help = "table or json (exact numbers)"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n != 2)
		return err_set(err, ERR_USAGE, "compare takes two runs' numbers: sweep compare RUN RUN");
	bool json = strcmp(format, "json") == 0;
	if (!json && strcmp(format, "table") != 0)
		return err_set(err, ERR_USAGE, "unknown format `%s`; there are table and json", format);
	if (report_run_id(argv[1], &ids[0], err) < 0 || report_run_id(argv[2], &ids[1], err) < 0)
		return -1;
	struct compare c = {.split = split,
			    .top = (size_t)top,
			    .colour = term_colour(STDOUT_FILENO),
			    .width = term_wrap_at(STDOUT_FILENO)};
	if (seed >= 0)
		c.seed = (uint64_t)seed;
	else if (environment_seed(&c.seed, err) < 0)
		return -1;
	if (store_open(&c.store, db, STORE_READ, err) < 0)
		return -1;
	int result = load(&c, ids, err);
	if (result == 0) {
		struct buf out = BUF_INIT;
		if (c.scored)
			score(&c);
		if (json)
			put_json(&c, &out);
		else
			put_table(&c, &out);
		result = term_print(&out, err);
		buf_release(&out);
	}
	release(&c);
	return result;
}
