/* store_fixture.h - a results.db as a real sweep would leave it, without workers: a spec and a plan made by hand, and
 * the artifact folders that the runner would write. Used by test_store.c and test_report.c.
 *
 *     struct fixture f;
 *     fixture_init(&f, dir, "grid", 36);              36 runs over two splits, files below dir
 *     store_begin_sweep(store, &f.spec, &f.plan, &sweep, &err);
 *     fixture_finish(&f, store, 0, 36);               artifacts of runs 0..35 are written and taken in
 *     fixture_release(&f);
 */
#ifndef SWEEP_STORE_FIXTURE_H
#define SWEEP_STORE_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "plan/sources.h"
#include "plan/spec.h"
#include "store/store.h"

#define FIXTURE_INPUTS   12
#define FIXTURE_ADAPTERS 4 /* the first is the base model */

struct fixture {
	char *dir, *artifacts_dir;
	struct spec spec;
	struct plan plan;
	struct spec_split spec_splits[2];
	struct sources sources;
	struct job_split splits[2]; /* of the sources; the spec's have the same names */
	struct spec_expected expected[1];
	size_t n_inputs; /* hypotheses written for each artifact */
};

#define FIXTURE_CHECK(x)                                                                                               \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #x);                                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

static inline void fixture_put_bytes(const char *dir, const char *name, const char *bytes, size_t n)
{
	char *path = fs_join(dir, name);
	FILE *f = fopen(path, "wb");
	FIXTURE_CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
	free(path);
}

static inline void fixture_put(const char *dir, const char *name, const char *text)
{
	fixture_put_bytes(dir, name, text, strlen(text));
}

static inline void fixture_key(char key[HASH_HEX], const char *name, size_t i, const char *what)
{
	struct buf b = BUF_INIT;
	buf_printf(&b, "%s %zu %s", name, i, what);
	hash_bytes(b.data, b.size, key);
	buf_release(&b);
}

static inline void fixture_data(struct fixture *f)
{
	struct buf inputs = BUF_INIT, references = BUF_INIT;
	for (size_t i = 0; i < f->n_inputs; i++) {
		buf_printf(&inputs, "name : Corlin %zu | boat : yacht\n", i);
		for (size_t k = 0; k < 1 + i % 3; k++)
			buf_printf(&references,
				   "%zu||name : Corlin %zu | boat : yacht||The yacht Corlin %zu lies here , %zu .\n", i,
				   i, i, k);
	}
	fixture_put(f->dir, "dev.txt", inputs.data);
	fixture_put(f->dir, "dev.out", references.data);
	fixture_put(f->dir, "small.txt", "name : Zan\nname : \"Ral\"\n");
	fixture_put(f->dir, "small.out", "0||name : Zan||Here is Zan .\n1||name : \"Ral\"||Here is \"Ral\" .\n");
	buf_release(&inputs);
	buf_release(&references);
}

static inline struct params fixture_params(size_t i)
{
	static const int64_t tokens[] = {0, 5, 10, 20}, beams[] = {3, 5, 7}, longest[] = {20, 50};
	struct params p;
	params_default(&p);
	PARAM_I(&p, num_virtual_tokens) = tokens[i % 4];
	PARAM_I(&p, num_beams) = beams[i / 4 % 3];
	PARAM_I(&p, max_new_tokens) = longest[i / 12 % 2];
	PARAM_F(&p, temperature) = i / 24 % 2 ? 1.0 : 0.2;
	PARAM_I(&p, prefix_projection) = 1;
	PARAM_I(&p, do_sample) = 1;
	PARAM_I(&p, seed) = 42 + (int64_t)(i / 48);
	return p;
}

static inline void fixture_plan(struct fixture *f, size_t n_runs)
{
	struct plan *plan = &f->plan;
	plan->n_splits = 2;
	plan->runs = mem_zero(n_runs, sizeof *plan->runs);
	plan->artifacts = mem_zero(FIXTURE_ADAPTERS + 2 * n_runs, sizeof *plan->artifacts);
	plan->jobs = mem_zero(FIXTURE_ADAPTERS + n_runs, sizeof *plan->jobs);
	plan->n_runs = n_runs;
	for (size_t i = 1; i < FIXTURE_ADAPTERS; i++) {
		struct plan_artifact *a = &plan->artifacts[plan->n_artifacts++];
		struct plan_job *job = &plan->jobs[plan->n_jobs];
		fixture_key(a->key, f->spec.name, i, "adapter");
		a->kind = JOB_TRAIN;
		a->params = fixture_params(i);
		a->dir = fs_join(f->artifacts_dir, a->key);
		a->adapter = PLAN_NONE;
		a->job = plan->n_jobs++;
		job->job.kind = JOB_TRAIN;
		memcpy(job->job.key, a->key, HASH_HEX);
		job->title =
			mem_printf("train %lld virtual tokens", (long long)PARAM_I(&a->params, num_virtual_tokens));
		job->why = mem_strdup("nobody has this adapter yet");
		job->waits_for = PLAN_NONE;
		job->cost = 10;
	}
	for (size_t i = 0; i < n_runs; i++) {
		struct plan_run *run = &plan->runs[i];
		struct plan_job *job = &plan->jobs[plan->n_jobs];
		run->params = fixture_params(i);
		fixture_key(run->key, f->spec.name, i, "run");
		run->adapter = i % 4 ? i % 4 - 1 : PLAN_NONE;
		run->label = i == 0 ? "base model" : NULL;
		run->artifacts = mem_zero(2, sizeof *run->artifacts);
		for (size_t k = 0; k < 2; k++) {
			struct plan_artifact *a = &plan->artifacts[plan->n_artifacts];
			fixture_key(a->key, f->spec.name, i, f->splits[k].name);
			a->kind = JOB_DECODE;
			a->split = f->splits[k].name;
			a->params = run->params;
			a->dir = fs_join(f->artifacts_dir, a->key);
			a->adapter = run->adapter;
			a->job = plan->n_jobs;
			run->artifacts[k] = plan->n_artifacts++;
		}
		job->job.kind = JOB_DECODE;
		fixture_key(job->job.key, f->spec.name, i, "job");
		job->title = mem_printf("decode %lld beams, %lld tokens", (long long)PARAM_I(&run->params, num_beams),
					(long long)PARAM_I(&run->params, max_new_tokens));
		job->waits_for = run->adapter == PLAN_NONE ? PLAN_NONE : run->adapter; /* job i makes adapter i */
		plan->n_jobs++;
	}
}

/* dir must exist; results.db belongs beside results.artifacts in it. */
static inline void fixture_init(struct fixture *f, const char *dir, const char *name, size_t n_runs)
{
	memset(f, 0, sizeof *f);
	f->dir = mem_strdup(dir);
	f->artifacts_dir = fs_join(dir, "results.artifacts");
	f->n_inputs = FIXTURE_INPUTS;
	f->spec.path = mem_printf("sweeps/%s.yaml", name);
	f->spec.name = mem_strdup(name);
	f->spec.text = mem_printf("name: %s\n", name);
	f->spec.model = mem_strdup("demo");
	f->sources.model = mem_strdup("/models/demo");
	f->sources.train = mem_strdup("/data/train.txt");
	f->spec.prompt = mem_strdup(JOB_DEFAULT_PROMPT);
	f->spec.target = mem_strdup(JOB_DEFAULT_TARGET);
	f->spec.metric = mem_strdup("dev_bleu");
	f->spec.maximize = true;
	f->splits[0] = (struct job_split){
		.name = mem_strdup("dev"), .input = fs_join(dir, "dev.txt"), .references = fs_join(dir, "dev.out")};
	f->splits[1] = (struct job_split){.name = mem_strdup("small"),
					  .input = fs_join(dir, "small.txt"),
					  .references = fs_join(dir, "small.out")};
	for (size_t i = 0; i < 2; i++)
		f->spec_splits[i] = (struct spec_split){.name = f->splits[i].name, .scored = true};
	f->sources.splits = f->splits;
	f->plan.sources = &f->sources;
	f->spec.splits = f->spec_splits;
	f->spec.n_splits = 2;
	f->expected[0] = (struct spec_expected){
		.label = mem_strdup("base model"), .metric = mem_strdup("dev_bleu"), .value = 12.5};
	f->spec.expected = f->expected;
	f->spec.n_expected = 1;
	fixture_data(f);
	fixture_plan(f, n_runs);
}

static inline void fixture_release(struct fixture *f)
{
	for (size_t i = 0; i < f->plan.n_runs; i++)
		free(f->plan.runs[i].artifacts);
	for (size_t i = 0; i < f->plan.n_artifacts; i++)
		free(f->plan.artifacts[i].dir);
	for (size_t i = 0; i < f->plan.n_jobs; i++) {
		free(f->plan.jobs[i].title);
		free(f->plan.jobs[i].why);
	}
	for (size_t i = 0; i < 2; i++) {
		free(f->splits[i].name);
		free(f->splits[i].input);
		free(f->splits[i].references);
	}
	free(f->plan.runs);
	free(f->plan.artifacts);
	free(f->plan.jobs);
	free(f->expected[0].label);
	free(f->expected[0].metric);
	free(f->spec.path);
	free(f->spec.name);
	free(f->spec.text);
	free(f->spec.model);
	free(f->sources.model);
	free(f->sources.train);
	free(f->spec.prompt);
	free(f->spec.target);
	free(f->spec.metric);
	free(f->dir);
	free(f->artifacts_dir);
}

/* A run's score on dev: known, different for each run, best for run 11 of the first 12. */
static inline double fixture_bleu(size_t run)
{
	return 10 + 30 * fabs(sin(0.13 * (double)(run % 12))) + 0.001 * (double)(run / 12) + 1e-9 / 3;
}

/* Writes an artifact's folder as the runner would. */
static inline void fixture_write(struct fixture *f, size_t artifact)
{
	const struct plan_artifact *a = &f->plan.artifacts[artifact];
	struct err err = {0};
	struct buf card = BUF_INIT, lines = BUF_INIT;
	FIXTURE_CHECK(fs_make_dirs(a->dir, &err) == 0);
	if (a->kind == JOB_TRAIN) {
		buf_printf(&card, "{\"kind\":\"adapter\",\"key\":\"%s\",\"count\":40,\"arch\":\"haswell\"}", a->key);
		for (int step = 1; step <= 40; step++)
			buf_printf(&lines, "{\"step\":%d,\"loss\":%.6f,\"learning_rate\":%g}\n", step,
				   1 + 3 * exp(-0.1 * step) + 0.05 * sin(step), 0.01 * (41 - step) / 40);
		fixture_put(a->dir, "losses.jsonl", lines.data);
		fixture_put(a->dir, "adapter_config.json", "{}");
		fixture_put_bytes(a->dir, "adapter_model.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
	} else {
		size_t run = (artifact - (FIXTURE_ADAPTERS - 1)) / 2;
		bool dev = strcmp(a->split, "dev") == 0;
		size_t n = dev ? f->n_inputs : 2;
		struct buf bleu = BUF_INIT;
		json_format_double(fixture_bleu(run) - (dev ? 0 : 1), &bleu);
		buf_printf(&card,
			   "{\"kind\":\"hypotheses\",\"key\":\"%s\",\"split\":\"%s\",\"count\":%zu,"
			   "\"scores\":{\"bleu\":%s,\"sentence_bleu\":%g},\"signatures\":{\"bleu\":\"nrefs:var|case:"
			   "mixed|eff:no|"
			   "tok:13a|smooth:exp|version:2.5.1\"},\"arch\":\"haswell\"}",
			   a->key, a->split, n, bleu.data, fixture_bleu(run) / 2);
		for (size_t i = 0; i < n; i++)
			buf_printf(
				&lines,
				"{\"id\":%zu,\"text\":\"The yacht Corlin %zu lies here , run %zu .\",\"score\":-0.%zu,"
				"\"tokens\":9,\"sentence_bleu\":%g}\n",
				i, i, run, 1 + i, 20 + 60 * fabs(sin((double)(i + run))));
		fixture_put(a->dir, "hypotheses.jsonl", lines.data);
		buf_release(&bleu);
	}
	fixture_put(a->dir, "artifact.json", card.data);
	buf_release(&card);
	buf_release(&lines);
}

/* One attempt of a job and all that it makes. */
static inline void fixture_job(struct fixture *f, struct store *store, size_t job)
{
	struct err err = {0};
	struct event done = {
		.kind = EVENT_DONE, .seconds = 1.5 + (double)job, .tokens_per_second = 1234, .peak_rss_kb = 50000};
	int64_t attempt;
	FIXTURE_CHECK(store_attempt_begin(store, f->plan.jobs[job].job.key, 1, 0, 2, 4711, &attempt, &err) == 0);
	for (size_t i = 0; i < f->plan.n_artifacts; i++)
		if (f->plan.artifacts[i].job == job) {
			fixture_write(f, i);
			if (store_artifact_done(store, f->plan.artifacts[i].key, f->plan.artifacts[i].dir, &err) < 0) {
				fprintf(stderr, "%s\n", err.text);
				abort();
			}
		}
	FIXTURE_CHECK(store_attempt_end(store, attempt, ATTEMPT_DONE, "", NULL, &done, &err) == 0);
}

/* Trains all adapters (when from is 0) and decodes runs from .. to-1, in one durable batch. */
static inline void fixture_finish(struct fixture *f, struct store *store, size_t from, size_t to)
{
	struct err err = {0};
	FIXTURE_CHECK(store_batch_begin(store, &err) == 0);
	for (size_t i = from ? FIXTURE_ADAPTERS - 1 + from : 0; i < FIXTURE_ADAPTERS - 1 + to; i++)
		fixture_job(f, store, i);
	FIXTURE_CHECK(store_batch_end(store, &err) == 0);
}

#endif
