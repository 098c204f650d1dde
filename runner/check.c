/* check.c - the check job: what could stop a sweep after hours is looked for in the first second; see check.h.
 *
 * It opens model, tokenizer and data with the very functions that the train and decode jobs use, so that whatever they
 * would refuse is refused here, with the same sentence. Then come the lengths: every prompt with its virtual tokens and
 * new tokens, and every training sequence, must fit into the model's positions. A plan has thousands of outputs but few
 * different data: each split and the training file are read once, and an output costs a comparison. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "base/event.h"
#include "base/mem.h"
#include "dataset.h"
#include "model.h"
#include "tokenizer.h"

struct check {
	const struct job *job;
	struct model model;
	struct tokenizer *tok;
	struct dataset_template tmpl;
	size_t *longest; /* of each split: tokens of its longest prompt ... */
	size_t *input;   /* ... and which input that is; SIZE_MAX while unread */
};

static int open_parts(struct check *c, struct err *err)
{
	if (model_load(&c->model, c->job->model, err) < 0)
		return -1;
	c->tok = tokenizer_open(c->job->model, err);
	if (!c->tok)
		return -1;
	return dataset_template_init(&c->tmpl, c->job, c->tok, c->model.eos_token_id, err);
}

/* No id of a text may be beyond the rows of the embedding. */
static int check_ids(const struct check *c, const int32_t *ids, size_t n, const char *path, size_t line,
		     struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if ((size_t)ids[i] < c->model.n_vocab)
			continue;
		struct buf text = BUF_INIT;
		tokenizer_decode(c->tok, &ids[i], 1, false, &text);
		err_at(err, path, line, 0,
		       "the token `%.80s` has the id %d, but the model's vocabulary ends before %zu", text.data,
		       (int)ids[i], c->model.n_vocab);
		buf_release(&text);
		return -1;
	}
	return 0;
}

/* Reads a split when an output first needs it. */
static int check_split(struct check *c, size_t split, struct err *err)
{
	const struct job_split *s = &c->job->splits[split];
	if (c->input[split] != SIZE_MAX)
		return 0;
	struct dataset_eval eval;
	if (dataset_load_eval(&eval, s->input, s->references, &s->columns, (size_t)s->limit, c->tok, &c->tmpl, err) < 0)
		return -1;
	int result = 0;
	if (eval.n_elsewhere) {
		struct event note = {.kind = EVENT_NOTE};
		snprintf(note.text, sizeof note.text,
			 "%s: %zu references stand under the id of another table than their own; they are scored by "
			 "id, as in "
			 "the original experiment, so scores of %s are too low",
			 s->references, eval.n_elsewhere, s->name);
		event_send(&note);
	}
	c->input[split] = 0;
	for (size_t i = 0; i < eval.n && result == 0; i++) {
		const struct dataset_input *in = &eval.inputs[i];
		if (in->n == 0)
			result = err_at(err, s->input, in->line, 0,
					"the prompt of input %zu is empty: `prompt` needs some text", i);
		else
			result = check_ids(c, in->ids, in->n, s->input, in->line, err);
		if (in->n > c->longest[split]) {
			c->longest[split] = in->n;
			c->input[split] = i;
		}
	}
	dataset_release_eval(&eval);
	return result;
}

/* The values of one output are at fault: says of which, so that `sweep run` can name the run. */
static int refuse_output(const struct job_output *o, const struct err *err)
{
	struct event event = {.kind = EVENT_ERROR, .error_kind = err->kind};
	memcpy(event.key, o->key, HASH_HEX);
	snprintf(event.text, sizeof event.text, "%s", err->text);
	event_send(&event);
	return -1;
}

static int check_decode(struct check *c, const struct job_output *o, struct err *err)
{
	if (check_split(c, o->split, err) < 0)
		return -1;
	size_t v = (size_t)PARAM_I(&o->params, num_virtual_tokens), more = (size_t)PARAM_I(&o->params, max_new_tokens);
	size_t n = c->longest[o->split], all = v + n + more;
	if (all <= c->model.n_positions)
		return 0;
	err_at(err, c->job->splits[o->split].input, 0, 0,
	       "input %zu needs %zu positions (num_virtual_tokens %zu, prompt %zu, max_new_tokens %zu), but the "
	       "model has "
	       "%zu",
	       c->input[o->split], all, v, n, more, c->model.n_positions);
	return refuse_output(o, err);
}

/* The training pairs that every training uses, and of the first i+1 of them which is longest in all, and in its prompt.
 */
struct pairs {
	struct dataset_train train;
	size_t *longest, *longest_prompt;
};

static int check_training(const struct check *c, const struct pairs *p, const struct job_output *o, struct err *err)
{
	size_t v = (size_t)PARAM_I(&o->params, num_virtual_tokens), pad = (size_t)PARAM_I(&o->params, pad_to_length);
	size_t limit = (size_t)PARAM_I(&o->params, train_limit);
	size_t last = (limit == 0 || limit > p->train.n ? p->train.n : limit) - 1, room = c->model.n_positions;
	size_t longest = p->longest[last], n = p->train.pairs[longest].n;
	if (pad && v + pad > room)
		return err_set(err, ERR_INPUT,
			       "pad_to_length %zu and num_virtual_tokens %zu need %zu positions, but the model has %zu",
			       pad, v, v + pad, room);
	if (!pad && v + n > room)
		return err_at(err, c->job->train, p->train.pairs[longest].line, 0,
			      "the pair has %zu tokens; with num_virtual_tokens %zu that is %zu positions, but the "
			      "model has %zu",
			      n, v, v + n, room);
	size_t prompt = p->longest_prompt[last], n_prompt = p->train.pairs[prompt].n_prompt;
	if (pad && n_prompt >= pad)
		return err_at(err, c->job->train, p->train.pairs[prompt].line, 0,
			      "the prompt has %zu tokens, so that nothing of the text is left within pad_to_length %zu",
			      n_prompt, pad);
	return 0;
}

static int load_pairs(const struct check *c, struct pairs *p, size_t limit, struct err *err)
{
	if (!c->job->train)
		return err_set(err, ERR_INPUT, "a prefix is to be trained, but there is no training file");
	if (dataset_load_train(&p->train, c->job->train, &c->job->train_columns, limit, c->tok, &c->tmpl, 0, err) < 0)
		return -1;
	p->longest = mem_array(p->train.n, sizeof *p->longest);
	p->longest_prompt = mem_array(p->train.n, sizeof *p->longest_prompt);
	size_t longest = 0, prompt = 0;
	for (size_t i = 0; i < p->train.n; i++) {
		const struct dataset_pair *pair = &p->train.pairs[i];
		if (check_ids(c, pair->ids, pair->n, c->job->train, pair->line, err) < 0)
			return -1;
		if (pair->n_prompt == 0)
			return err_at(err, c->job->train, pair->line, 0,
				      "the prompt is empty: `prompt` needs some text");
		if (pair->n > p->train.pairs[longest].n)
			longest = i;
		if (pair->n_prompt > p->train.pairs[prompt].n_prompt)
			prompt = i;
		p->longest[i] = longest;
		p->longest_prompt[i] = prompt;
	}
	return 0;
}

static bool is_training(const struct job *job, const struct job_output *o)
{
	return o->split >= job->n_splits;
}

/* The training file is read as far as the training that reads most of it does. */
static int check_trainings(const struct check *c, struct err *err)
{
	size_t limit = 0, trainings = 0;
	bool all = false;
	for (size_t i = 0; i < c->job->n_outputs; i++) {
		const struct job_output *o = &c->job->outputs[i];
		if (!is_training(c->job, o))
			continue;
		size_t own = (size_t)PARAM_I(&o->params, train_limit);
		all |= own == 0;
		limit = own > limit ? own : limit;
		trainings++;
	}
	if (!trainings)
		return 0;
	struct pairs p = {0};
	int result = load_pairs(c, &p, all ? 0 : limit, err);
	for (size_t i = 0; i < c->job->n_outputs && result == 0; i++)
		if (is_training(c->job, &c->job->outputs[i]) && check_training(c, &p, &c->job->outputs[i], err) < 0)
			result = refuse_output(&c->job->outputs[i], err);
	dataset_release_train(&p.train);
	free(p.longest);
	free(p.longest_prompt);
	return result;
}

int check_run(const struct job *job, struct err *err)
{
	struct check c = {.job = job};
	c.longest = mem_zero(job->n_splits, sizeof *c.longest);
	c.input = mem_array(job->n_splits, sizeof *c.input);
	for (size_t i = 0; i < job->n_splits; i++)
		c.input[i] = SIZE_MAX;
	int result = open_parts(&c, err);
	if (result == 0 && job->adapter) {
		struct adapter adapter;
		result = adapter_load(&adapter, job->adapter, &c.model, err);
		if (result == 0)
			adapter_release(&adapter);
	}
	for (size_t i = 0; i < job->n_outputs && result == 0; i++)
		if (!is_training(job, &job->outputs[i]))
			result = check_decode(&c, &job->outputs[i], err);
	if (result == 0)
		result = check_trainings(&c, err);
	tokenizer_close(c.tok);
	model_release(&c.model);
	free(c.longest);
	free(c.input);
	return result;
}
