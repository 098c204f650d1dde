/* train.c - a train job from its file to the adapter folder: load, then for each step table -> loss and gradient ->
 * AdamW (docs/REFERENCE.md, 4: token-mean loss, last partial batch kept, no clipping), then write. Everything is a
 * function of the job file and the files that it names; the thread count and the clock only decide how long it takes
 * and when events go out. */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "base/artifact.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/params.h"
#include "dataset.h"
#include "gemm.h"
#include "gpt2.h"
#include "model.h"
#include "optim.h"
#include "prefix.h"
#include "tokenizer.h"

struct training {
	const struct job *job;
	const struct params *params;
	struct model model;
	struct tokenizer *tokenizer;
	struct dataset_train data;
	struct prefix prefix;
	struct optim optim;
	struct gpt2 gpt2;
	struct gpt2_dropout dropout;
	bool drops;                        /* any dropout rate above 0 */
	size_t batch;                      /* pairs of a full batch */
	const struct dataset_pair **pairs; /* [batch] of the step at hand */
	uint32_t *order;                   /* [data.n] of the epoch at hand */
	int64_t total;                     /* steps */
	double final_loss;
	struct buf losses; /* losses.jsonl */
	double last_event; /* when an event went out */
	size_t tokens;     /* since then */
};

/* Every id is in the vocabulary and every position in the model's table. */
static int check_pairs(const struct training *t, struct err *err)
{
	size_t v = (size_t)PARAM_I(t->params, num_virtual_tokens);
	for (size_t i = 0; i < t->data.n; i++) {
		const struct dataset_pair *pair = &t->data.pairs[i];
		size_t needed = v + pair->pad + pair->n;
		if (needed > t->model.n_positions)
			return err_set(err, ERR_INPUT,
				       "%s: training pair %zu needs %zu positions (%zu virtual tokens, %u of padding, "
				       "%u tokens), the "
				       "model has %zu: lower num_virtual_tokens%s",
				       t->job->train, i + 1, needed, v, pair->pad, pair->n, t->model.n_positions,
				       pair->pad ? " or pad_to_length" : ", or leave long pairs out");
		for (size_t j = 0; j < pair->n; j++)
			if (pair->ids[j] < 0 || (size_t)pair->ids[j] >= t->model.n_vocab)
				return err_set(err, ERR_INPUT,
					       "%s: training pair %zu has token id %d, the model's vocabulary ends at "
					       "%zu: tokenizer and "
					       "model do not belong together",
					       t->job->train, i + 1, pair->ids[j], t->model.n_vocab - 1);
	}
	return 0;
}

static int load(struct training *t, struct err *err)
{
	const struct job *job = t->job;
	struct event event = {.kind = EVENT_PROGRESS, .phase = "load", .done = 0, .total = 1};
	event_send(&event);
	if (PARAM_I(t->params, num_virtual_tokens) < 1)
		return err_set(err, ERR_INPUT, "num_virtual_tokens is 0: the base model needs no training");
	if (!job->train)
		return err_set(err, ERR_INPUT, "a train job without training data");
	if (model_load(&t->model, job->model, err) < 0)
		return -1;
	t->tokenizer = tokenizer_open(job->model, err);
	if (!t->tokenizer)
		return -1;
	struct dataset_template template;
	if (dataset_template_init(&template, job, t->tokenizer, t->model.eos_token_id, err) < 0)
		return -1;
	if (dataset_load_train(&t->data, job->train, &job->train_columns, (size_t)PARAM_I(t->params, train_limit),
			       t->tokenizer, &template, (size_t)PARAM_I(t->params, pad_to_length), err) < 0)
		return -1;
	if (t->data.n == 0 || t->data.n > UINT32_MAX)
		return err_set(err, ERR_INPUT, "%s: %zu training pairs", job->train, t->data.n);
	return check_pairs(t, err);
}

static int by_size_down(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x < y) - (x > y);
}

/* No batch can hold more than its longest pairs together. */
static struct gpt2_limits limits_of(const struct training *t)
{
	size_t n = t->data.n;
	struct gpt2_limits limits = {.n_virtual = t->prefix.n_virtual, .batch = t->batch};
	uint32_t *rows = mem_array(n, sizeof *rows), *labels = mem_array(n, sizeof *labels);
	for (size_t i = 0; i < n; i++) {
		rows[i] = t->data.pairs[i].n;
		labels[i] = (uint32_t)gpt2_labels(&t->data.pairs[i]);
	}
	qsort(rows, n, sizeof *rows, by_size_down);
	qsort(labels, n, sizeof *labels, by_size_down);
	for (size_t i = 0; i < t->batch; i++) {
		limits.rows += rows[i];
		limits.labels += labels[i];
	}
	limits.longest = rows[0];
	free(rows);
	free(labels);
	return limits;
}

static int prepare(struct training *t, struct err *err)
{
	const struct params *p = t->params;
	uint64_t seed = (uint64_t)PARAM_I(p, seed);
	size_t batch = (size_t)PARAM_I(p, batch_size);
	t->batch = batch < t->data.n ? batch : t->data.n;
	t->pairs = mem_array(t->batch, sizeof *t->pairs);
	t->order = mem_array(t->data.n, sizeof *t->order);
	if (__builtin_mul_overflow((int64_t)((t->data.n + t->batch - 1) / t->batch), PARAM_I(p, epochs), &t->total))
		return err_set(err, ERR_INPUT, "epochs: too many steps");
	if (prefix_init(&t->prefix, &t->model, (size_t)PARAM_I(p, num_virtual_tokens),
			PARAM_I(p, prefix_projection) != 0, (size_t)PARAM_I(p, encoder_hidden_size), seed, err) < 0)
		return -1;
	struct optim_settings settings = {PARAM_F(p, adam_beta1), PARAM_F(p, adam_beta2), PARAM_F(p, adam_epsilon),
					  PARAM_F(p, weight_decay)};
	if (optim_init(&t->optim, t->prefix.n_parameters, &settings, err) < 0)
		return -1;
	double rate = PARAM_F(p, dropout);
	bool own = isnan(rate);
	t->dropout = (struct gpt2_dropout){.key = rng_key(seed, RNG_DROPOUT),
					   .embedding = own ? t->model.embd_pdrop : rate,
					   .attention = own ? t->model.attn_pdrop : rate,
					   .residual = own ? t->model.resid_pdrop : rate};
	t->drops = t->dropout.embedding > 0 || t->dropout.attention > 0 || t->dropout.residual > 0;
	struct gpt2_limits limits = limits_of(t);
	return gpt2_init(&t->gpt2, &t->model, &limits, err);
}

/* A line of losses.jsonl for every step; an event for the first, the last, and about ten a second. */
static void record(struct training *t, int64_t step, double loss, double learning_rate)
{
	buf_printf(&t->losses, "{\"step\":%lld,\"loss\":", (long long)step);
	json_format_double(loss, &t->losses);
	buf_adds(&t->losses, ",\"learning_rate\":");
	json_format_double(learning_rate, &t->losses);
	buf_adds(&t->losses, "}\n");
	t->tokens += t->gpt2.rows;
	double now = clock_seconds(), since = now - t->last_event;
	if (step > 1 && step < t->total && since < 0.1)
		return;
	struct event event = {.kind = EVENT_LOSS,
			      .step = step,
			      .total = t->total,
			      .loss = loss,
			      .learning_rate = learning_rate,
			      .tokens_per_second = since > 0 ? (double)t->tokens / since : 0};
	event_send(&event);
	t->last_event = now;
	t->tokens = 0;
}

static int diverged(const struct training *t, const char *what, double value, int64_t step, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s became %s at step %lld: lower learning_rate (now %g)", what,
		       isnan(value) ? "nan" : "infinite", (long long)step, PARAM_F(t->params, learning_rate));
}

/* One step, numbered from 0, on n pairs. */
static int step(struct training *t, int64_t s, size_t n, struct err *err)
{
	const struct params *p = t->params;
	double rate = optim_learning_rate(PARAM_F(p, learning_rate), PARAM_I(p, lr_scheduler_type),
					  PARAM_I(p, warmup_steps), s, t->total);
	t->dropout.step = (uint64_t)s;
	prefix_forward(&t->prefix);
	double loss =
		gpt2_step(&t->gpt2, t->pairs, n, t->prefix.table, t->drops ? &t->dropout : NULL, t->prefix.dtable);
	if (!isfinite(loss))
		return diverged(t, "the loss", loss, s + 1, err);
	prefix_backward(&t->prefix);
	optim_step(&t->optim, t->prefix.parameters, t->prefix.gradients, rate);
	t->final_loss = loss;
	record(t, s + 1, loss, rate);
	return 0;
}

static int run_steps(struct training *t, struct err *err)
{
	struct rng_key key = rng_key((uint64_t)PARAM_I(t->params, seed), RNG_SHUFFLE);
	t->last_event = clock_seconds();
	int64_t s = 0;
	for (int64_t epoch = 0; epoch < PARAM_I(t->params, epochs); epoch++) {
		for (size_t i = 0; i < t->data.n; i++)
			t->order[i] = (uint32_t)i;
		if (PARAM_I(t->params, shuffle))
			rng_shuffle(key, (uint64_t)epoch, t->order, (uint32_t)t->data.n);
		for (size_t at = 0; at < t->data.n; at += t->batch, s++) {
			size_t n = t->data.n - at < t->batch ? t->data.n - at : t->batch;
			for (size_t i = 0; i < n; i++)
				t->pairs[i] = &t->data.pairs[t->order[at + i]];
			if (step(t, s, n, err) < 0)
				return -1;
		}
	}
	prefix_forward(&t->prefix);
	for (size_t i = 0; i < t->prefix.n_virtual * t->prefix.out; i++)
		if (!isfinite(t->prefix.table[i]))
			return diverged(t, "the prefix", (double)t->prefix.table[i], s, err);
	return 0;
}

static void announce(const struct job_output *output)
{
	struct event event = {.kind = EVENT_ARTIFACT};
	memcpy(event.key, output->key, sizeof event.key);
	event_send(&event);
}

static int write_artifact(struct training *t, struct err *err)
{
	const struct job_output *output = &t->job->outputs[0];
	struct fs_dir dir;
	if (fs_dir_begin(&dir, output->dir, err) < 0)
		return -1;
	struct buf about = BUF_INIT;
	buf_adds(&about, "\"arch\":");
	json_format_string(gemm_arch(), strlen(gemm_arch()), &about);
	buf_printf(&about, ",\"steps\":%lld,\"final_loss\":", (long long)t->total);
	json_format_double(t->final_loss, &about);
	int result = -1;
	if (adapter_write(&dir, t->prefix.table, t->prefix.n_virtual, &t->model, t->job->model_name, t->prefix.hidden,
			  t->prefix.projection, err) < 0 ||
	    fs_dir_write(&dir, "losses.jsonl", t->losses.data, t->losses.size, err) < 0 ||
	    input_check_all(t->job->inputs, t->job->n_inputs, err) < 0 ||
	    artifact_commit(&dir, output->key, JOB_TRAIN, about.data, err) < 0)
		fs_dir_abandon(&dir);
	else
		result = 0;
	buf_release(&about);
	if (result == 0)
		announce(output);
	return result;
}

int train_run(const struct job *job, struct err *err)
{
	if (job->n_outputs != 1)
		return err_set(err, ERR_INPUT, "a train job has one output, this one has %zu", job->n_outputs);
	struct err why = {0};
	if (artifact_look(job->outputs[0].dir, job->outputs[0].key, JOB_TRAIN, ARTIFACT_SIZES, &why) ==
	    ARTIFACT_WHOLE) {
		announce(&job->outputs[0]); /* an earlier attempt was killed before it could */
		return 0;
	}
	struct training t = {.job = job, .params = &job->outputs[0].params};
	int result = -1;
	if (load(&t, err) == 0 && input_check_all(job->inputs, job->n_inputs, err) == 0 && prepare(&t, err) == 0 &&
	    run_steps(&t, err) == 0 && write_artifact(&t, err) == 0)
		result = 0;
	gpt2_release(&t.gpt2);
	optim_release(&t.optim);
	prefix_release(&t.prefix);
	buf_release(&t.losses);
	free(t.order);
	free(t.pairs);
	dataset_release_train(&t.data);
	tokenizer_close(t.tokenizer);
	model_release(&t.model);
	return result;
}
