/* test_plan.c - points -> jobs: what is shared, what is reused, what a key depends on, and the words for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "plan/points.h"
#include "plan/sources.h"
#include "plan/spec.h"
#include "plan_print.h"

static char folder[] = "/tmp/test_plan.XXXXXX";

/* Keys that exist, for plan_have. */
struct existing {
	char key[64][HASH_HEX];
	size_t n, asked, digests;
	bool lost; /* every adapter that is not there was once */
};

static bool have(const char *key, enum job_kind kind, void *ctx)
{
	struct existing *e = ctx;
	assert_true(kind == JOB_TRAIN || kind == JOB_DECODE);
	e->asked++;
	for (size_t i = 0; i < e->n; i++)
		if (strcmp(e->key[i], key) == 0)
			return true;
	return false;
}

static bool lost(const char *key, void *ctx)
{
	(void)key;
	return ((struct existing *)ctx)->lost;
}

static int digest(const char *path, char hex[HASH_HEX], void *ctx, struct err *err)
{
	((struct existing *)ctx)->digests++;
	return hash_file(path, hex, err);
}

static void write_text(const char *name, const char *text)
{
	char *path = fs_join(folder, name);
	struct err err = {0};
	assert_int_equal(fs_write_file(path, text, strlen(text), &err), 0);
	free(path);
}

struct made {
	struct spec spec;
	struct sources sources;
	struct points points;
	struct plan plan;
	struct err err;
};

#define HEAD                                                                                                           \
	"model: model\ndataset: {train: train.txt, eval: {dev: {input: dev.txt, references: dev.out}, small: "         \
	"small.txt}}\n"

static bool any_model(const char *name)
{
	(void)name;
	return true;
}

static char *not_there(const char *name)
{
	(void)name;
	return NULL;
}

/* Of a name on the Hub, for sources_find: everything could be there, nothing is. */
static const struct sources_lookup nothing_cached = {any_model, not_there, not_there};

static int workers; /* of the plans to come; 0: every search has a job of its own */

/* Sweep file text -> plan; -1 when plan_build refuses. */
static int try_plan(struct made *m, const char *text, struct existing *e)
{
	*m = (struct made){0};
	write_text("s.yaml", text);
	char *path = fs_join(folder, "s.yaml");
	struct plan_options options = {.artifacts_dir = "/db/results.artifacts", .ctx = e, .workers = workers};
	if (e) {
		options.have = have;
		options.lost = lost;
		options.digest = digest;
	}
	if (spec_load(&m->spec, path, NULL, 0, &m->err) < 0 ||
	    sources_find(&m->sources, &m->spec, &nothing_cached, &m->err) < 0 ||
	    points_make(&m->points, &m->spec, NULL, &m->err) < 0)
		fail_msg("%s", m->err.text);
	free(path);
	return plan_build(&m->plan, &m->spec, &m->sources, &m->points, &options, &m->err);
}

static void release(struct made *m)
{
	plan_release(&m->plan);
	points_release(&m->points);
	sources_release(&m->sources);
	spec_release(&m->spec);
}

static void build(struct made *m, const char *text, struct existing *e)
{
	if (try_plan(m, text, e) < 0)
		fail_msg("%s", m->err.text);
	/* what holds for every plan */
	const struct plan *plan = &m->plan;
	for (size_t i = 0; i < plan->n_jobs; i++) {
		const struct plan_job *job = &plan->jobs[i];
		assert_true(job->waits_for == PLAN_NONE || job->waits_for < i);
		struct job whole = job->job;
		whole.n_outputs = job->n_artifacts;
		whole.outputs = mem_array(whole.n_outputs, sizeof *whole.outputs);
		assert_in_range(job->n_artifacts, 1, PLAN_OUTPUTS_MAX);
		assert_non_null(job->title);
		assert_non_null(job->why);
		assert_true(job->cost > 0);
		for (size_t j = 0; j < job->n_artifacts; j++) {
			const struct plan_artifact *a = &plan->artifacts[job->artifacts[j]];
			assert_false(a->have);
			assert_int_equal(a->job, i);
			assert_int_equal(a->kind, job->job.kind);
			struct job_output output = whole.outputs[j] = plan_output(plan, job, j);
			assert_string_equal(a->key, output.key);
			assert_string_equal(a->dir, output.dir);
			assert_memory_equal(&a->params, &output.params, sizeof a->params);
			if (a->kind == JOB_DECODE) {
				assert_true(output.split < job->job.n_splits);
				assert_string_equal(job->job.splits[output.split].name, a->split);
				assert_true((a->adapter == PLAN_NONE) == (job->job.adapter == NULL));
			}
		}
		struct buf text1 = BUF_INIT; /* a job file that can be written and read */
		struct job back;
		struct err err = {0};
		job_format(&whole, &text1);
		free(whole.outputs);
		write_text("job.json", text1.data);
		char *path = fs_join(folder, "job.json");
		if (i < 50 && job_read(&back, path, &err) < 0)
			fail_msg("%s", err.text);
		if (i < 50)
			job_release(&back);
		free(path);
		buf_release(&text1);
	}
	for (size_t i = 0; i < plan->n_runs; i++)
		for (size_t j = 0; j < plan->n_splits; j++)
			assert_int_equal(plan->artifacts[plan->runs[i].artifacts[j]].adapter, plan->runs[i].adapter);
}

static size_t count_jobs(const struct plan *plan, enum job_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < plan->n_jobs; i++)
		n += plan->jobs[i].job.kind == kind;
	return n;
}

static bool has_notice(const struct plan *plan, const char *needle)
{
	for (size_t i = 0; i < plan->n_notices; i++)
		if (strstr(plan->notices[i], needle))
			return true;
	return false;
}

#define GRID                                                                                                           \
	"parameters:\n  num_virtual_tokens: [5, 10, 20]\n  num_beams: [3, 5, 7]\n  max_new_tokens: [20, 50]\n"         \
	"  temperature: [0.2, 1.0]\n  do_sample: true\n"

static void test_sharing(void **state)
{
	(void)state;
	struct made m;
	build(&m, HEAD GRID, NULL);
	const struct plan *plan = &m.plan;
	assert_int_equal(plan->n_runs, 36);
	assert_int_equal(count_jobs(plan, JOB_TRAIN), 3);
	assert_int_equal(count_jobs(plan, JOB_DECODE), 18); /* 3 adapters x 3 beams x 2 temperatures */
	assert_int_equal(plan->n_artifacts, 3 + 36 * 2);
	assert_int_equal(plan->n_notices, 0);
	for (size_t i = 0; i < plan->n_jobs; i++) {
		assert_int_equal(plan->jobs[i].job.kind, i < 3 ? JOB_TRAIN : JOB_DECODE); /* trainings first */
		if (i >= 3) {
			assert_int_equal(plan->jobs[i].n_artifacts, 4); /* 2 lengths x 2 splits */
			assert_in_range(plan->jobs[i].waits_for, 0, 2);
			assert_string_equal(plan->jobs[i].job.adapter,
					    plan->artifacts[plan->jobs[plan->jobs[i].waits_for].artifacts[0]].dir);
		}
	}
	assert_string_equal(plan->jobs[0].title, "train 20 virtual tokens"); /* longest first */
	assert_non_null(strstr(plan->jobs[3].title, "7 beams, 20/50 tokens, T "));
	assert_non_null(strstr(plan->jobs[0].why, "6 decodes wait for it"));
	for (size_t i = 0; i < 36; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(plan->runs[i].key, plan->runs[j].key);
	/* the check job looks at each prefix length and split once, and at each training */
	const struct job *check = &plan->check;
	assert_int_equal(check->kind, JOB_CHECK);
	assert_int_equal(check->n_splits, 2);
	assert_int_equal(check->n_outputs, 3 + 3 * 2);
	for (size_t i = 0; i < check->n_outputs; i++)
		assert_true(check->outputs[i].split == 2 || PARAM_I(&check->outputs[i].params, max_new_tokens) == 50);
	assert_non_null(check->train);
	release(&m);
	assert_null(m.plan.runs);
}

static void test_collapse(void **state)
{
	(void)state;
	struct made m;
	build(&m,
	      HEAD "parameters: {num_virtual_tokens: [5, 10, 20], num_beams: [3, 5, 7], max_new_tokens: [20, 50], "
		   "temperature: [0.2, 1.0]}\n",
	      NULL);
	assert_int_equal(m.plan.n_runs, 18);
	assert_int_equal(m.plan.n_points, 36);
	assert_true(has_notice(
		&m.plan, "temperature has no effect without do_sample: 2 values collapse, 18 runs instead of 36"));
	assert_int_equal(m.plan.n_notices, 1);
	release(&m);
	/* the base model: nothing of training matters, but for runs that do train it does */
	build(&m, HEAD "parameters: {num_virtual_tokens: [0, 5], learning_rate: [1e-3, 1e-2], top_k: [5, 50]}\n", NULL);
	assert_int_equal(m.plan.n_runs, 3);
	assert_int_equal(count_jobs(&m.plan, JOB_TRAIN), 2);
	assert_true(has_notice(
		&m.plan, "learning_rate has no effect with num_virtual_tokens 0 (no training): 2 values collapse"));
	assert_true(has_notice(&m.plan, "top_k has no effect without do_sample: 2 values collapse"));
	assert_true(has_notice(&m.plan, "values without effect collapse: 3 runs instead of 8"));
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: 0, seed: [1, 2, 3], num_beams: 1, length_penalty: [1, 2]}\n",
	      NULL);
	assert_int_equal(m.plan.n_runs, 1);
	assert_true(has_notice(
		&m.plan,
		"seed has no effect with num_virtual_tokens 0 and without do_sample (nothing is drawn): 3 values"));
	assert_true(has_notice(&m.plan, "length_penalty has no effect with num_beams 1: 2 values"));
	release(&m);
	/* set everywhere, to no effect: said too, although nothing collapses */
	build(&m, HEAD "parameters: {num_virtual_tokens: 5, temperature: 0.3, encoder_hidden_size: 64}\n", NULL);
	assert_int_equal(m.plan.n_notices, 2);
	assert_true(has_notice(&m.plan, "temperature has no effect without do_sample"));
	assert_true(has_notice(&m.plan, "encoder_hidden_size has no effect without prefix_projection"));
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: [0, 5], prefix_projection: true}\n", NULL);
	assert_int_equal(m.plan.n_notices, 0); /* it does matter for one of them */
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: 0, num_beams: [3, 3]}\n", NULL);
	assert_true(has_notice(&m.plan, "1 point of the grid repeats another one and is left out"));
	release(&m);
	build(&m, HEAD "method: random\nrun_cap: 9\nparameters: {num_virtual_tokens: 0, num_beams: [3, 4]}\n", NULL);
	assert_true(has_notice(&m.plan, "only 2 different points were found for run_cap 9"));
	release(&m);
	/* names of collapsed points are kept */
	build(&m,
	      HEAD "parameters:\n- {num_virtual_tokens: 0}\n- {num_virtual_tokens: 0, temperature: 0.5, name: cold}\n",
	      NULL);
	assert_int_equal(m.plan.n_runs, 1);
	assert_string_equal(m.plan.runs[0].label, "cold");
	release(&m);
}

static void test_base_model(void **state)
{
	(void)state;
	struct made m;
	build(&m,
	      "model: model\ndataset: {eval: {dev: dev.txt}}\nparameters: {num_virtual_tokens: 0, num_beams: [1, 4]}\n",
	      NULL);
	assert_int_equal(m.plan.n_jobs, 2);
	assert_int_equal(m.plan.runs[0].adapter, PLAN_NONE);
	assert_null(m.plan.jobs[0].job.adapter);
	assert_null(m.plan.jobs[0].job.train);
	assert_null(m.plan.check.train);
	assert_string_equal(m.plan.jobs[0].title, "decode base model: 4 beams, 20 tokens");
	assert_string_equal(m.plan.jobs[1].title, "decode base model: greedy, 20 tokens");
	release(&m);
	assert_int_equal(
		try_plan(&m,
			 "model: model\ndataset: {eval: {dev: dev.txt}}\nparameters: {num_virtual_tokens: [0, 5]}\n",
			 NULL),
		-1);
	assert_non_null(strstr(m.err.text, "dataset.train is missing"));
	assert_int_equal(m.err.kind, ERR_INPUT);
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: 0}\n", NULL);
	assert_null(m.plan.check.train); /* nothing to look at there */
	release(&m);
	assert_int_equal(try_plan(&m, "model: distilgpt2\nparameters: {num_beams: 1}\n", NULL), -1);
	assert_non_null(strstr(m.err.text, "run `sweep fetch distilgpt2` first"));
	release(&m);
	write_text("bare/config.json", "{}");
	assert_int_equal(try_plan(&m, "model: bare\nparameters: {num_virtual_tokens: 0}\n", NULL), -1);
	assert_non_null(strstr(m.err.text, "has no model.safetensors"));
	release(&m);
}

static void test_reuse(void **state)
{
	(void)state;
	struct made first, m;
	struct existing e = {0};
	build(&first, HEAD "parameters: {num_virtual_tokens: 5, max_new_tokens: [20, 50]}\n", &e);
	assert_int_equal(first.plan.n_jobs, 2);
	assert_int_equal(e.asked, 1 + 4);
	assert_true(e.digests >= 2 + 1 + 3); /* model, train, splits */
	/* everything there: nothing to do */
	for (size_t i = 0; i < first.plan.n_artifacts; i++)
		memcpy(e.key[e.n++], first.plan.artifacts[i].key, HASH_HEX);
	build(&m, HEAD "parameters: {num_virtual_tokens: 5, max_new_tokens: [20, 50]}\n", &e);
	assert_int_equal(m.plan.n_jobs, 0);
	assert_int_equal(m.plan.check.n_outputs, 0);
	assert_true(m.plan.artifacts[0].have && m.plan.artifacts[0].job == PLAN_NONE);
	release(&m);
	/* another sweep: the adapter is reused, one length is left out of the search */
	build(&m, HEAD "name: other\nparameters: {num_virtual_tokens: [5, 7], max_new_tokens: [50, 60]}\n", &e);
	assert_int_equal(count_jobs(&m.plan, JOB_TRAIN), 1);
	assert_string_equal(m.plan.jobs[0].title, "train 7 virtual tokens");
	assert_int_equal(count_jobs(&m.plan, JOB_DECODE), 2);
	for (size_t i = 1; i < 3; i++) {
		bool old = m.plan.jobs[i].waits_for == PLAN_NONE;
		assert_int_equal(m.plan.jobs[i].n_artifacts, old ? 2 : 4);
	}
	release(&m);
	/* all texts there but not the adapter: it is not trained for nothing */
	memmove(e.key[0], e.key[1], sizeof e.key - sizeof e.key[0]);
	e.n--;
	build(&m, HEAD "parameters: {num_virtual_tokens: 5, max_new_tokens: [20, 50]}\n", &e);
	assert_int_equal(m.plan.n_jobs, 0);
	release(&m);
	/* unless it was made, and damaged since: it is somebody's result */
	e.lost = true;
	build(&m, HEAD "parameters: {num_virtual_tokens: 5, max_new_tokens: [20, 50]}\n", &e);
	assert_int_equal(m.plan.n_jobs, 1);
	assert_int_equal(count_jobs(&m.plan, JOB_TRAIN), 1);
	release(&m);
	e.lost = false;
	build(&m, HEAD "parameters: {num_virtual_tokens: 5, max_new_tokens: [20, 51]}\n", &e);
	assert_int_equal(count_jobs(&m.plan, JOB_TRAIN), 1);
	assert_int_equal(count_jobs(&m.plan, JOB_DECODE), 1);
	release(&m);
	release(&first);
}

/* The key of the first run's adapter and texts on the first split. */
static void keys_of(const char *text, char adapter[HASH_HEX], char texts[HASH_HEX])
{
	struct made m;
	build(&m, text, NULL);
	size_t a = m.plan.runs[0].adapter;
	snprintf(adapter, HASH_HEX, "%s", a == PLAN_NONE ? "" : m.plan.artifacts[a].key);
	snprintf(texts, HASH_HEX, "%s", m.plan.artifacts[m.plan.runs[0].artifacts[0]].key);
	release(&m);
}

static void digest_of(const char *name, char hex[HASH_HEX])
{
	char *path = fs_join(folder, name);
	struct err err = {0};
	assert_int_equal(hash_file(path, hex, &err), 0);
	free(path);
}

/* The texts that are hashed, written out by hand: a change here makes everybody's results.db compute anew. */
static void test_key_text(void **state)
{
	(void)state;
	char config[HASH_HEX], weights[HASH_HEX], merges[HASH_HEX], model[HASH_HEX], train[HASH_HEX], input[HASH_HEX],
		references[HASH_HEX], adapter[HASH_HEX], texts[HASH_HEX], expected[HASH_HEX];
	digest_of("model/config.json", config);
	digest_of("model/model.safetensors", weights);
	digest_of("model/merges.txt", merges);
	digest_of("train.txt", train);
	digest_of("dev.txt", input);
	digest_of("dev.out", references);
	char *text = mem_printf("config.json %s\nmodel.safetensors %s\nmerges.txt %s\n", config, weights, merges);
	hash_bytes(text, strlen(text), model);
	free(text);
	keys_of(HEAD "parameters: {num_virtual_tokens: 5, lr: 0.001, epochs: 1, num_beams: 4, early_stopping: never, "
		     "seed: 7}\n",
		adapter, texts);
	text = mem_printf("{\"artifact\":\"adapter\",\"numerics\":1,\"model\":\"%s\",\"train\":\"%s\","
			  "\"prompt\":\"Convert the following table into English text: {table} {eos} \","
			  "\"target\":\"{text} {eos}\","
			  "\"params\":{\"num_virtual_tokens\":5,\"learning_rate\":0.001,\"seed\":7}}",
			  model, train);
	hash_bytes(text, strlen(text), expected);
	free(text);
	assert_string_equal(adapter, expected);
	text = mem_printf(
		"{\"artifact\":\"hypotheses\",\"numerics\":1,\"model\":\"%s\",\"adapter\":\"%s\",\"input\":\"%s\","
		"\"references\":\"%s\",\"prompt\":\"Convert the following table into English text: {table} {eos} \","
		"\"params\":{\"num_beams\":4,\"early_stopping\":\"never\"}}",
		model, adapter, input, references);
	hash_bytes(text, strlen(text), expected);
	free(text);
	assert_string_equal(texts, expected);
	keys_of("model: model\ndataset: {eval: {dev: {input: dev.txt, limit: 2}}}\n"
		"parameters: {num_virtual_tokens: 0, do_sample: true, seed: 7}\n",
		adapter, texts);
	text = mem_printf(
		"{\"artifact\":\"hypotheses\",\"numerics\":1,\"model\":\"%s\",\"adapter\":null,\"input\":\"%s\","
		"\"references\":null,\"limit\":2,"
		"\"prompt\":\"Convert the following table into English text: {table} {eos} \","
		"\"params\":{\"seed\":7,\"do_sample\":true}}",
		model, input);
	hash_bytes(text, strlen(text), expected);
	free(text);
	assert_string_equal(texts, expected);
	assert_int_equal(NUMERICS_VERSION, 1); /* raise it here too, and write docs/NUMERICS.md */
}

static void test_key_depends(void **state)
{
	(void)state;
	static const char base[] = HEAD "parameters: {num_virtual_tokens: 5}\n";
	char a0[HASH_HEX], t0[HASH_HEX], a[HASH_HEX], t[HASH_HEX];
	keys_of(base, a0, t0);
	/* nothing that does not matter: names, notices, defaults written out, a README */
	write_text("model/README.md", "changed");
	keys_of("name: other\nproject: p\n" HEAD
		"parameters: {virtual_tokens: 5, batch_size: 16, num_beams: 1, temperature: 3}\n",
		a, t);
	assert_string_equal(a, a0);
	assert_string_equal(t, t0);
	keys_of(HEAD "target: '{text}'\nparameters: {num_virtual_tokens: 5}\n", a, t);
	assert_string_not_equal(a, a0);
	assert_string_not_equal(t, t0);
	keys_of(HEAD "target: '{text}'\nparameters: {num_virtual_tokens: 0}\n", a, t);
	char plain[HASH_HEX];
	keys_of(HEAD "parameters: {num_virtual_tokens: 0}\n", a, plain);
	assert_string_equal(t, plain); /* the base model sees no target */
	keys_of(HEAD "prompt: '{table}'\nparameters: {num_virtual_tokens: 5}\n", a, t);
	assert_string_not_equal(a, a0);
	keys_of(HEAD "parameters: {num_virtual_tokens: 5, dropout: 0}\n", a, t);
	assert_string_not_equal(a, a0); /* null, the default, is not 0 */
	keys_of(HEAD "parameters: {num_virtual_tokens: 5, num_beams: 2}\n", a, t);
	assert_string_equal(a, a0);
	assert_string_not_equal(t, t0);
	write_text("model/tokenizer.json", "{}");
	keys_of(base, a, t);
	assert_string_not_equal(a, a0);
	char *path = fs_join(folder, "model/tokenizer.json");
	unlink(path);
	free(path);
	write_text("train.txt", "a : b||other\n");
	keys_of(base, a, t);
	assert_string_not_equal(a, a0);
	write_text("train.txt", "a : b||c\n");
	keys_of(base, a, t);
	assert_string_equal(a, a0);
}

static void test_splits(void **state)
{
	(void)state;
	struct made m;
	/* two names for one split: one artifact. A limit makes another one. */
	build(&m,
	      "model: model\ndataset: {eval: {a: dev.txt, b: dev.txt, c: {input: dev.txt, limit: 1}}}\n"
	      "parameters: {num_virtual_tokens: 0}\n",
	      NULL);
	assert_int_equal(m.plan.n_artifacts, 2);
	assert_int_equal(m.plan.runs[0].artifacts[0], m.plan.runs[0].artifacts[1]);
	assert_int_not_equal(m.plan.runs[0].artifacts[0], m.plan.runs[0].artifacts[2]);
	assert_int_equal(m.plan.n_jobs, 1);
	assert_int_equal(m.plan.jobs[0].job.n_splits, 2); /* only those it decodes */
	assert_string_equal(m.plan.jobs[0].job.splits[1].name, "c");
	assert_int_equal(m.plan.jobs[0].job.splits[1].limit, 1);
	release(&m);
}

static const struct input *input_of(const struct job *job, const char *name)
{
	for (size_t i = 0; i < job->n_inputs; i++)
		if (strcmp(strrchr(job->inputs[i].path, '/') + 1, name) == 0)
			return &job->inputs[i];
	return NULL;
}

/* A job names the files that it reads, with their digests, and no others. */
static void test_inputs(void **state)
{
	(void)state;
	struct made m;
	char digest[HASH_HEX];
	build(&m, HEAD "parameters: {num_virtual_tokens: 3, num_beams: [1, 2]}\n", NULL);
	const struct job *train = &m.plan.jobs[0].job, *decode = &m.plan.jobs[1].job, *check = &m.plan.check;
	assert_int_equal(train->kind, JOB_TRAIN);
	assert_int_equal(decode->kind, JOB_DECODE);
	const char *const data[] = {"train.txt", "dev.txt", "dev.out", "small.txt"};
	for (size_t i = 0; i < 4; i++) {
		char *path = fs_join(folder, data[i]);
		struct err err = {0};
		assert_int_equal(hash_file(path, digest, &err), 0);
		free(path);
		assert_string_equal(input_of(check, data[i])->sha256, digest);
		assert_true(input_of(check, data[i])->seen[0]);
		assert_true((input_of(train, data[i]) != NULL) == (i == 0));
		assert_true((input_of(decode, data[i]) != NULL) == (i != 0));
	}
	assert_non_null(input_of(train, "model.safetensors"));
	assert_non_null(input_of(decode, "model.safetensors"));
	assert_string_equal(input_of(decode, "added_tokens.json")->sha256, ""); /* not there: and so it must stay */
	assert_ptr_equal(decode->inputs, m.plan.jobs[2].job.inputs);            /* one list for all alike */
	for (size_t i = 0; i < decode->n_inputs; i++) {
		struct err err = {0};
		if (input_check(&decode->inputs[i], &err) < 0)
			fail_msg("%s", err.text);
	}
	release(&m);
}

/* Jobs that are full leave no searches over that could have shared one. */
static void test_merge_is_tight(void **state)
{
	(void)state;
	struct made m;
	struct buf text = BUF_INIT;
	write_text("ten.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
	buf_adds(&text, "model: model\ndataset: {eval: {dev: ten.txt}}\nparameters:\n  num_virtual_tokens: 0\n"
			"  do_sample: true\n  max_new_tokens: 40\n  num_beams: 199\n  temperature: [");
	for (int i = 0; i < 30; i++)
		buf_printf(&text, "%s%g", i ? ", " : "", 1 + 0.1 * i);
	buf_adds(&text, "]\n");
	workers = 1;
	build(&m, text.data, NULL);
	workers = 0;
	/* 10 tables x (30 + 40 tokens x 199 beams) = 79,900 rows: two fit below 200,000 */
	assert_int_equal(m.plan.n_runs, 30);
	assert_int_equal(m.plan.n_jobs, 15);
	for (size_t i = 0; i < m.plan.n_jobs; i++)
		assert_int_equal(m.plan.jobs[i].n_searches, 2);
	release(&m);
	buf_release(&text);
}

static void test_many_outputs(void **state)
{
	(void)state;
	struct made m;
	struct buf text = BUF_INIT;
	buf_adds(&text, HEAD "parameters:\n  num_virtual_tokens: 5\n  num_beams: 2\n  length_penalty: [");
	for (int i = 0; i < 40; i++)
		buf_printf(&text, "%s%g", i ? ", " : "", 0.1 * i);
	buf_adds(&text, "]\n  max_new_tokens: [");
	for (int i = 1; i <= 20; i++)
		buf_printf(&text, "%s%d", i > 1 ? ", " : "", i);
	buf_adds(&text, "]\n");
	build(&m, text.data, NULL);
	buf_release(&text);
	assert_int_equal(m.plan.n_runs, 800);
	assert_int_equal(count_jobs(&m.plan, JOB_DECODE), (1600 + PLAN_OUTPUTS_MAX - 1) / PLAN_OUTPUTS_MAX);
	assert_int_equal(m.plan.check.n_outputs, 3);
	release(&m);
}

/* Prints into *text; checks that no line is wider than 80 columns. */
static void print(struct made *m, bool explain, char **text)
{
	size_t size;
	FILE *out = open_memstream(text, &size);
	if (explain)
		plan_print_explain(out, &m->spec, &m->plan);
	else
		plan_print_summary(out, &m->spec, &m->plan, 2);
	plan_print_notices(out, &m->spec, &m->plan);
	fclose(out);
	for (const char *p = *text; !explain && *p; p += strcspn(p, "\n") + 1)
		assert_true(strcspn(p, "\n") <= 80);
}

static void test_print(void **state)
{
	(void)state;
	struct made m;
	char *text;
	struct existing e = {0};
	build(&m, "name: grid\n" HEAD GRID, &e);
	print(&m, false, &text);
	assert_non_null(strstr(text, "grid: 36 runs of model model, decoded on dev and small"));
	assert_non_null(strstr(text, "runs                 36          0         36\n"));
	assert_non_null(strstr(text, "trainings             3          0          3   12 runs share each\n"));
	assert_non_null(strstr(text, "text sets            72          0         72   by 18 searches\n"));
	assert_non_null(strstr(text, "21 jobs to do, up to 2 at a time."));
	assert_non_null(
		strstr(text, "Longest chain: train 20 virtual tokens, then decode 20 virtual: 7 beams, 20/50\n"));
	free(text);
	print(&m, true, &text);
	size_t lines = 0;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 21); /* a line for each job */
	assert_non_null(strstr(
		text, "run   train 5 virtual tokens; no adapter for these parameters yet; 6 decodes wait for it\n"));
	free(text);
	for (size_t i = 0; i < 5; i++) /* the first adapter, and two runs on both splits */
		memcpy(e.key[e.n++], m.plan.artifacts[i].key, HASH_HEX);
	release(&m);
	build(&m, HEAD GRID, &e);
	print(&m, false, &text);
	assert_non_null(strstr(text, "runs                 36          2         34\n"));
	assert_non_null(strstr(text, "trainings             3          1          2"));
	free(text);
	print(&m, true, &text);
	assert_non_null(strstr(text, "have  train 5 virtual tokens; its adapter exists\n"));
	assert_non_null(strstr(text, "have  decode 5 virtual: 3 beams, 20 tokens, T 0.2; its texts exist\n"));
	free(text);
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: 0, temperature: 0.5}\n", NULL);
	for (size_t i = 0; i < m.plan.n_artifacts; i++)
		memcpy(e.key[e.n++], m.plan.artifacts[i].key, HASH_HEX);
	release(&m);
	build(&m, HEAD "parameters: {num_virtual_tokens: 0, temperature: 0.5}\n", &e);
	print(&m, false, &text);
	assert_non_null(strstr(text, "Every run is done: nothing to do.\n"));
	assert_non_null(strstr(text, "note: temperature has no effect without do_sample\n"));
	free(text);
	release(&m);
}

static int setup(void **state)
{
	(void)state;
	setenv("SWEEP_HOME", SOURCE_DIR, 1);
	setenv("HF_HOME", "/nonexistent/hf", 1);
	struct err err = {0};
	if (!mkdtemp(folder))
		return -1;
	char *model = fs_join(folder, "model"), *bare = fs_join(folder, "bare");
	int result = fs_make_dirs(model, &err) | fs_make_dirs(bare, &err);
	free(model);
	free(bare);
	write_text("model/config.json", "{}");
	write_text("model/model.safetensors", "weights");
	write_text("model/merges.txt", "#version: 0.2\n");
	write_text("train.txt", "a : b||c\n");
	write_text("dev.txt", "a : b\nd : e\n");
	write_text("dev.out", "0||a : b||c\n1||d : e||f\n");
	write_text("small.txt", "g : h\n");
	return result;
}

static int teardown(void **state)
{
	(void)state;
	fs_remove_tree(folder);
	return 0;
}

/* Searches of one adapter share jobs, so that two workers have two jobs each; never those of two adapters. */
static void test_merging(void **state)
{
	(void)state;
	static const char text[] = HEAD "parameters:\n  num_virtual_tokens: [1, 2]\n  num_beams: [3, 5, 7]\n"
					"  temperature: [0.5, 1.0]\n  do_sample: true\n  max_new_tokens: [5, 9]\n";
	struct made alone, shared;
	build(&alone, text, NULL);
	assert_int_equal(count_jobs(&alone.plan, JOB_DECODE), 12);
	static const struct {
		int workers;
		size_t decodes;
	} cases[] = {{1, 2}, {2, 4}, {3, 6}, {6, 12}, {100, 12}};
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		workers = cases[c].workers;
		build(&shared, text, NULL);
		workers = 0;
		assert_int_equal(count_jobs(&shared.plan, JOB_TRAIN), 2);
		assert_int_equal(count_jobs(&shared.plan, JOB_DECODE), cases[c].decodes);
		size_t searches = 0, outputs = 0;
		for (size_t i = 0; i < shared.plan.n_jobs; i++) {
			const struct plan_job *job = &shared.plan.jobs[i];
			if (job->job.kind != JOB_DECODE)
				continue;
			searches += job->n_searches;
			outputs += job->n_artifacts;
			assert_int_equal(job->n_searches, 12 / cases[c].decodes);
			for (size_t j = 0; j < job->n_artifacts; j++) /* its adapter's, and nobody else's */
				assert_int_equal(shared.plan.artifacts[job->artifacts[j]].adapter,
						 shared.plan.jobs[job->waits_for].artifacts[0]);
		}
		assert_int_equal(searches, 12);
		assert_int_equal(outputs, alone.plan.n_artifacts - 2);
		/* the same artifacts under the same keys */
		for (size_t i = 0; i < alone.plan.n_artifacts; i++)
			assert_string_equal(alone.plan.artifacts[i].key, shared.plan.artifacts[i].key);
		release(&shared);
	}
	release(&alone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sharing),        cmocka_unit_test(test_collapse),
		cmocka_unit_test(test_base_model),     cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_key_text),       cmocka_unit_test(test_key_depends),
		cmocka_unit_test(test_splits),         cmocka_unit_test(test_many_outputs),
		cmocka_unit_test(test_print),          cmocka_unit_test(test_merging),
		cmocka_unit_test(test_merge_is_tight), cmocka_unit_test(test_inputs),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
