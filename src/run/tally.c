/* tally.c - how far a sweep is; see tally.h. Fed by record.c with each artifact that the scheduler reports, read by
 * progress.c while the sweep runs and by cmd_run.c for its last words.
 *
 * A grid may have a million runs over few artifacts, so the runs of each artifact are laid out once in one array, and
 * an artifact touches only the runs that need it. */
#include "tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/artifact.h"
#include "base/mem.h"

/* "dev_bleu" is `bleu` of split `dev`; of several splits that fit the longest name wins. */
static void find_metric(struct tally *t)
{
	t->metric_split = PLAN_NONE;
	size_t longest = 0;
	for (size_t i = 0; t->spec->metric && i < t->spec->n_splits; i++) {
		size_t n = strlen(t->spec->splits[i].name);
		if (n > longest && strncmp(t->spec->metric, t->spec->splits[i].name, n) == 0 &&
		    t->spec->metric[n] == '_') {
			longest = n;
			t->metric_split = i;
			t->metric = t->spec->metric + n + 1;
		}
	}
}

static double read_score(const char *dir, const char *metric)
{
	struct err err = {0};
	struct artifact artifact;
	artifact_read(&artifact, dir, NULL, &err); /* NULL's members are NULL */
	const cJSON *scores = cJSON_GetObjectItemCaseSensitive(artifact.card, "scores");
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(scores, metric);
	double score = cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
	artifact_release(&artifact);
	return score;
}

/* Hands the run to `best` when it is complete and better; of equals the first of the file, whichever came first. */
static void consider(struct tally *t, size_t run)
{
	if (t->metric_split == PLAN_NONE)
		return;
	double score = t->score[t->plan->runs[run].artifacts[t->metric_split]];
	if (isnan(score))
		return;
	bool better = t->best == PLAN_NONE || (t->spec->maximize ? score > t->best_score : score < t->best_score);
	if (better || (score == t->best_score && run < t->best)) {
		t->best = run;
		t->best_score = score;
	}
}

static void index_runs(struct tally *t)
{
	const struct plan *plan = t->plan;
	size_t n = plan->n_artifacts, splits = plan->n_splits;
	t->first = mem_zero(n + 2, sizeof *t->first);
	for (size_t r = 0; r < plan->n_runs; r++)
		for (size_t s = 0; s < splits; s++)
			t->first[plan->runs[r].artifacts[s] + 2]++; /* two ahead: it becomes the end */
	for (size_t a = 0; a < n; a++)
		t->first[a + 2] += t->first[a + 1];
	t->runs = mem_array(plan->n_runs * (splits ? splits : 1), sizeof *t->runs);
	for (size_t r = 0; r < plan->n_runs; r++)
		for (size_t s = 0; s < splits; s++)
			t->runs[t->first[plan->runs[r].artifacts[s] + 1]++] = r;
}

static void find_varying(struct tally *t)
{
	for (size_t r = 1; r < t->plan->n_runs; r++)
		for (int id = 0; id < PARAM_COUNT; id++)
			t->varies[id] |=
				!params_value_equal(id, t->plan->runs[r].params.v[id], t->plan->runs[0].params.v[id]);
}

void tally_init(struct tally *t, const struct spec *spec, const struct plan *plan)
{
	*t = (struct tally){.spec = spec, .plan = plan, .best = PLAN_NONE, .best_score = (double)NAN};
	find_metric(t);
	t->missing = mem_array(plan->n_runs, sizeof *t->missing);
	for (size_t r = 0; r < plan->n_runs; r++)
		t->missing[r] = plan->n_splits;
	t->score = mem_array(plan->n_artifacts, sizeof *t->score);
	t->there = mem_zero(plan->n_artifacts, sizeof *t->there);
	for (size_t a = 0; a < plan->n_artifacts; a++)
		t->score[a] = (double)NAN;
	index_runs(t);
	find_varying(t);
	for (size_t a = 0; a < plan->n_artifacts; a++)
		if (plan->artifacts[a].have)
			tally_artifact(t, a);
}

void tally_release(struct tally *t)
{
	free(t->missing);
	free(t->first);
	free(t->runs);
	free(t->score);
	free(t->there);
	*t = (struct tally){.best = PLAN_NONE};
}

size_t tally_artifact(struct tally *t, size_t artifact)
{
	const struct plan_artifact *a = &t->plan->artifacts[artifact];
	size_t complete = 0;
	if (t->there[artifact] || a->kind != JOB_DECODE)
		return 0;
	t->there[artifact] = true;
	bool scored = t->metric_split != PLAN_NONE && a->split &&
		      strcmp(a->split, t->spec->splits[t->metric_split].name) == 0;
	if (scored)
		t->score[artifact] = read_score(a->dir, t->metric);
	for (size_t i = t->first[artifact]; i < t->first[artifact + 1]; i++) {
		if (--t->missing[t->runs[i]])
			continue;
		complete++;
		consider(t, t->runs[i]);
	}
	t->complete += complete;
	return complete;
}

/* A parameter in the words of job titles: "20 virtual tokens", "T 0.2"; any other by its name. */
static void put_param(int id, union param_value value, struct buf *out)
{
	static const struct {
		int id;
		const char *before, *after;
	} words[] = {{PARAM_num_virtual_tokens, "", " virtual tokens"},
		     {PARAM_num_beams, "", " beams"},
		     {PARAM_max_new_tokens, "", " tokens"},
		     {PARAM_temperature, "T ", ""}};
	const char *before = NULL, *after = "";
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (words[i].id != id)
			continue;
		before = words[i].before;
		after = words[i].after;
	}
	if (before)
		buf_adds(out, before);
	else
		buf_printf(out, "%s ", param_table[id].name);
	params_format_short(id, value, 4, out);
	buf_add(out, after, strlen(after) - (after[0] && value.i == 1)); /* 1 beam */
}

void tally_describe(const char *label, const struct params *params, const bool varies[PARAM_COUNT], struct buf *out)
{
	if (label) {
		buf_adds(out, label);
		return;
	}
	const char *between = "";
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (!varies[id])
			continue;
		buf_adds(out, between);
		put_param(id, params->v[id], out);
		between = ", ";
	}
	if (!between[0])
		buf_adds(out, "the only run");
}

double tally_score(const struct tally *t, size_t artifact)
{
	return t->score[artifact];
}
