/* decode.c - a decode job: which searches answer its outputs, and who gets which answer; see decode.h.
 *
 * Outputs that differ only in max_new_tokens, length_penalty, early_stopping or split form a group. A task (search.h)
 * is one group over one distinct prompt; its readers are the settings of the group's outputs whose split has that
 * prompt. Prompts that several splits or lines share are decoded once. Tasks are ordered by prompt, so that all groups
 * share one prefill. An output is written as soon as the last task of its split is done. */
#include "decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "base/artifact.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/mem.h"
#include "dataset.h"
#include "hypotheses.h"
#include "model.h"
#include "packed.h"
#include "search.h"
#include "tokenizer.h"

#define DECODE_NONE SIZE_MAX

struct decode_split {
	bool used;
	struct dataset_eval eval;
	size_t *prompt;    /* [eval.n]: its number among the distinct prompts */
	size_t n_prompts;  /* distinct ones of this split */
	struct bleu *bleu; /* NULL without references */
};

struct decode_output {
	bool wanted; /* not in place yet */
	size_t group;
	struct beam_reader reader;
	size_t missing; /* tasks not done */
};

struct decode {
	const struct job *job;
	struct model model;
	struct packed *packed;
	struct adapter adapter;
	struct tokenizer *tok;
	struct dataset_template tmpl;
	struct decode_split *splits;   /* [job->n_splits] */
	struct decode_output *outputs; /* [job->n_outputs] */
	struct params *groups;         /* [n_groups]: their effective parameters, the readers' ones at their defaults */
	size_t n_groups;
	struct search_input *prompts; /* [n_prompts], distinct; ids belong to the splits */
	size_t n_prompts;
	bool *member;    /* [n_prompts, n_splits] */
	size_t *task_of; /* [n_prompts, n_groups] */
	struct search_task *tasks;
	size_t n_tasks;
	size_t *task_group;             /* [n_tasks] */
	size_t *first_answer;           /* [n_tasks] */
	struct beam_reader *readers;    /* all tasks' readers, one after the other; answers in the same order */
	struct hypotheses_row *answers; /* text NULL until it is there */
	size_t n_readers;
	double started, told;
};

static bool same_reader(const struct beam_reader *a, const struct beam_reader *b)
{
	return a->max_new_tokens == b->max_new_tokens && a->length_penalty == b->length_penalty &&
	       a->early_stopping == b->early_stopping;
}

/* Equal in every parameter of the search itself. The training parameters are those of the job's one adapter. */
static bool same_search(const struct params *a, const struct params *b)
{
	for (int id = 0; id < PARAM_COUNT; id++) {
		bool mine = param_table[id].stage == PARAM_STAGE_DECODE || (id == PARAM_seed && PARAM_I(a, do_sample));
		if (mine && !params_value_equal(id, a->v[id], b->v[id]))
			return false;
	}
	return true;
}

/* Sorts outputs into groups; those that are in place already are only announced. */
static void group_outputs(struct decode *d)
{
	const struct job *job = d->job;
	struct params defaults;
	params_default(&defaults);
	d->outputs = mem_zero(job->n_outputs, sizeof *d->outputs);
	d->groups = mem_array(job->n_outputs, sizeof *d->groups);
	for (size_t i = 0; i < job->n_outputs; i++) {
		struct decode_output *output = &d->outputs[i];
		struct params p = params_effective(&job->outputs[i].params);
		output->reader = (struct beam_reader){.max_new_tokens = (size_t)PARAM_I(&p, max_new_tokens),
						      .length_penalty = PARAM_F(&p, length_penalty),
						      .early_stopping = (int)PARAM_I(&p, early_stopping)};
		p.v[PARAM_max_new_tokens] = defaults.v[PARAM_max_new_tokens];
		p.v[PARAM_length_penalty] = defaults.v[PARAM_length_penalty];
		p.v[PARAM_early_stopping] = defaults.v[PARAM_early_stopping];
		struct err why = {0};
		output->wanted = artifact_look(job->outputs[i].dir, job->outputs[i].key, JOB_DECODE, ARTIFACT_SIZES,
					       &why) != ARTIFACT_WHOLE;
		if (!output->wanted)
			continue;
		d->splits[job->outputs[i].split].used = true;
		size_t g = 0;
		while (g < d->n_groups && !same_search(&d->groups[g], &p))
			g++;
		if (g == d->n_groups)
			d->groups[d->n_groups++] = p;
		output->group = g;
	}
}

/* An adapter that a sweep made has the bytes that it was made with; one from elsewhere has no card. */
static int check_adapter(const char *dir, struct err *err)
{
	char *card = fs_join(dir, ARTIFACT_CARD);
	bool ours = fs_exists(card);
	free(card);
	if (!ours || artifact_look(dir, NULL, JOB_TRAIN, ARTIFACT_BYTES, err) == ARTIFACT_WHOLE)
		return 0;
	return err_prefix(err, "the adapter is damaged; the next `sweep run` makes it again");
}

static int load(struct decode *d, struct err *err)
{
	const struct job *job = d->job;
	struct event e = {.kind = EVENT_PROGRESS, .phase = "load"};
	event_send(&e);
	if (model_load(&d->model, job->model, err) < 0)
		return -1;
	if (job->adapter && check_adapter(job->adapter, err) < 0)
		return -1;
	if (job->adapter && adapter_load(&d->adapter, job->adapter, &d->model, err) < 0)
		return -1;
	d->tok = tokenizer_open(job->model, err);
	if (!d->tok)
		return -1;
	if (dataset_template_init(&d->tmpl, job, d->tok, d->model.eos_token_id, err) < 0)
		return -1;
	for (size_t s = 0; s < job->n_splits; s++) {
		struct decode_split *split = &d->splits[s];
		const struct job_split *from = &job->splits[s];
		if (!split->used)
			continue;
		if (dataset_load_eval(&split->eval, from->input, from->references, &from->columns, (size_t)from->limit,
				      d->tok, &d->tmpl, err) < 0)
			return -1;
		if (!from->references)
			continue;
		split->bleu = bleu_new();
		for (size_t i = 0; i < split->eval.n; i++)
			bleu_add(split->bleu, (const char *const *)split->eval.inputs[i].references,
				 split->eval.inputs[i].n_references);
	}
	return 0;
}

/* Every prompt must have tokens of the model's vocabulary and leave room for the longest text. */
static int check_lengths(const struct decode *d, struct err *err)
{
	for (size_t o = 0; o < d->job->n_outputs; o++) {
		if (!d->outputs[o].wanted)
			continue;
		const struct job_split *from = &d->job->splits[d->job->outputs[o].split];
		const struct dataset_eval *eval = &d->splits[d->job->outputs[o].split].eval;
		for (size_t i = 0; i < eval->n; i++) {
			const struct dataset_input *input = &eval->inputs[i];
			size_t more = d->outputs[o].reader.max_new_tokens, v = d->adapter.n_virtual;
			if (input->n == 0)
				return err_set(err, ERR_INPUT, "%s: table %zu of split `%s` gives an empty prompt",
					       from->input, i + 1, from->name);
			if (v + input->n + more > d->model.n_positions)
				return err_set(err, ERR_INPUT,
					       "%s: table %zu of split `%s` is too long: %zu prompt tokens, %zu "
					       "virtual tokens and max_new_tokens %zu make %zu, but the model has "
					       "%zu positions",
					       from->input, i + 1, from->name, input->n, v, more, v + input->n + more,
					       d->model.n_positions);
			for (size_t k = 0; k < input->n; k++)
				if (input->ids[k] < 0 || (size_t)input->ids[k] >= d->model.n_vocab)
					return err_set(err, ERR_INPUT,
						       "%s: table %zu of split `%s` has token id %d, beyond the "
						       "model's vocabulary of %zu; tokenizer and model do not belong "
						       "together",
						       from->input, i + 1, from->name, (int)input->ids[k],
						       d->model.n_vocab);
		}
	}
	return 0;
}

/* Gives equal prompts one number, through an open-addressing table of their hashes. */
static void number_prompts(struct decode *d)
{
	size_t all = 0, n_splits = d->job->n_splits, room = 16;
	for (size_t s = 0; s < n_splits; s++)
		all += d->splits[s].eval.n;
	while (room < 2 * all)
		room *= 2;
	size_t *table = mem_array(room, sizeof *table);
	for (size_t i = 0; i < room; i++)
		table[i] = DECODE_NONE;
	d->prompts = mem_array(all, sizeof *d->prompts);
	d->member = mem_zero(all * n_splits, sizeof *d->member);
	for (size_t s = 0; s < n_splits; s++) {
		struct decode_split *split = &d->splits[s];
		split->prompt = mem_array(split->eval.n, sizeof *split->prompt);
		for (size_t i = 0; i < split->eval.n; i++) {
			const struct dataset_input *input = &split->eval.inputs[i];
			size_t bytes = input->n * sizeof *input->ids, at = hash_u64(input->ids, bytes) & (room - 1);
			while (table[at] != DECODE_NONE && (d->prompts[table[at]].n != input->n ||
							    memcmp(d->prompts[table[at]].ids, input->ids, bytes) != 0))
				at = (at + 1) & (room - 1);
			if (table[at] == DECODE_NONE) {
				table[at] = d->n_prompts;
				d->prompts[d->n_prompts++] = (struct search_input){.ids = input->ids, .n = input->n};
			}
			split->prompt[i] = table[at];
			bool *member = &d->member[table[at] * n_splits + s];
			split->n_prompts += !*member;
			*member = true;
		}
	}
	free(table);
}

/* The readers of one task, after those of the tasks before it. */
static size_t add_readers(struct decode *d, size_t prompt, size_t group)
{
	size_t first = d->n_readers;
	for (size_t o = 0; o < d->job->n_outputs; o++) {
		const struct decode_output *output = &d->outputs[o];
		if (!output->wanted || output->group != group ||
		    !d->member[prompt * d->job->n_splits + d->job->outputs[o].split])
			continue;
		size_t r = first;
		while (r < d->n_readers && !same_reader(&d->readers[r], &output->reader))
			r++;
		if (r == d->n_readers)
			d->readers[d->n_readers++] = output->reader;
	}
	return d->n_readers - first;
}

static void make_tasks(struct decode *d)
{
	size_t most = d->n_prompts * d->n_groups, n_splits = d->job->n_splits;
	d->task_of = mem_array(most, sizeof *d->task_of);
	d->tasks = mem_array(most, sizeof *d->tasks);
	d->task_group = mem_array(most, sizeof *d->task_group);
	d->first_answer = mem_array(most, sizeof *d->first_answer);
	d->readers = mem_array(d->n_prompts * d->job->n_outputs, sizeof *d->readers);
	for (size_t p = 0; p < d->n_prompts; p++)
		for (size_t g = 0; g < d->n_groups; g++) {
			const struct params *rule = &d->groups[g];
			size_t first = d->n_readers, n = add_readers(d, p, g), beams = (size_t)PARAM_I(rule, num_beams);
			if (n == 0)
				continue;
			d->task_of[p * d->n_groups + g] = d->n_tasks;
			d->task_group[d->n_tasks] = g;
			d->first_answer[d->n_tasks] = first;
			d->tasks[d->n_tasks++] = (struct search_task){
				.input = p,
				.n_beams = beams,
				.rule = sample_rule(beams, PARAM_I(rule, do_sample), PARAM_F(rule, temperature),
						    PARAM_I(rule, top_k), PARAM_F(rule, top_p),
						    (uint64_t)PARAM_I(rule, seed)),
				.readers = d->readers + first,
				.n_readers = n};
		}
	d->answers = mem_zero(d->n_readers, sizeof *d->answers);
	for (size_t o = 0; o < d->job->n_outputs; o++)
		d->outputs[o].missing = n_splits ? d->splits[d->job->outputs[o].split].n_prompts : 0;
}

static int write_output(const struct decode *d, size_t o, struct err *err)
{
	const struct job_output *output = &d->job->outputs[o];
	const struct decode_split *split = &d->splits[output->split];
	if (input_check_all(d->job->inputs, d->job->n_inputs, err) < 0)
		return -1;
	struct hypotheses_row *rows = mem_array(split->eval.n, sizeof *rows);
	for (size_t i = 0; i < split->eval.n; i++) {
		size_t task = d->task_of[split->prompt[i] * d->n_groups + d->outputs[o].group], r = 0;
		while (!same_reader(&d->tasks[task].readers[r], &d->outputs[o].reader))
			r++;
		const struct hypotheses_row *answer = &d->answers[d->first_answer[task] + r];
		char *echo = dataset_echo(&d->tmpl, split->eval.inputs[i].table);
		rows[i] = *answer;
		rows[i].text = hypotheses_clean(answer->text, strlen(answer->text), echo);
		free(echo);
	}
	int result =
		hypotheses_write(output, d->job->splits[output->split].name, rows, split->eval.n, split->bleu, err);
	for (size_t i = 0; i < split->eval.n; i++)
		free(rows[i].text);
	free(rows);
	if (result < 0)
		return -1;
	struct event e = {.kind = EVENT_ARTIFACT};
	memcpy(e.key, output->key, sizeof e.key);
	event_send(&e);
	return 0;
}

static int take_answer(void *ctx, size_t task, size_t reader, const int32_t *ids, size_t n, float score,
		       struct err *err)
{
	struct decode *d = ctx;
	struct hypotheses_row *answer = &d->answers[d->first_answer[task] + reader];
	struct buf text = BUF_INIT;
	/* a model may have more ids than its tokenizer: they have no text */
	size_t limit = tokenizer_size(d->tok);
	for (size_t i = 0, end; i < n; i = end + 1) {
		for (end = i; end < n && (size_t)ids[end] < limit; end++)
			continue;
		tokenizer_decode(d->tok, ids + i, end - i, true, &text);
	}
	/* a NUL byte is a token of GPT-2 like any other, but texts are C strings from here on */
	struct buf whole = BUF_INIT;
	for (size_t i = 0; i < text.size; i++)
		buf_add(&whole, text.data[i] ? &text.data[i] : "\xEF\xBF\xBD", text.data[i] ? 1 : 3);
	buf_release(&text);
	*answer = (struct hypotheses_row){.text = buf_detach(&whole), .n_tokens = n, .score = score};
	if (reader + 1 < d->tasks[task].n_readers)
		return 0;
	for (size_t o = 0; o < d->job->n_outputs; o++) {
		struct decode_output *output = &d->outputs[o];
		size_t split = d->job->outputs[o].split;
		if (!output->wanted || output->group != d->task_group[task] ||
		    !d->member[d->tasks[task].input * d->job->n_splits + split])
			continue;
		if (--output->missing == 0 && write_output(d, o, err) < 0)
			return -1;
	}
	return 0;
}

static void tell(void *ctx, size_t n_done, uint64_t n_rows)
{
	struct decode *d = ctx;
	double t = clock_seconds();
	if (t - d->told < 0.1 && n_done < d->n_tasks)
		return;
	d->told = t;
	struct event e = {.kind = EVENT_PROGRESS,
			  .phase = "decode",
			  .done = (int64_t)n_done,
			  .total = (int64_t)d->n_tasks,
			  .tokens_per_second = (double)n_rows / (t - d->started + 1e-9)};
	event_send(&e);
}

static int run(struct decode *d, struct err *err)
{
	const struct job *job = d->job;
	group_outputs(d);
	for (size_t o = 0; o < job->n_outputs; o++)
		if (!d->outputs[o].wanted) {
			struct event e = {.kind = EVENT_ARTIFACT};
			memcpy(e.key, job->outputs[o].key, sizeof e.key);
			event_send(&e);
		}
	if (d->n_groups == 0)
		return 0;
	if (load(d, err) < 0 || input_check_all(job->inputs, job->n_inputs, err) < 0 || check_lengths(d, err) < 0 ||
	    !(d->packed = packed_make(&d->model, packed_inherited(), err)))
		return -1;
	number_prompts(d);
	make_tasks(d);
	d->started = clock_seconds();
	struct search_limits limits = {0};
	struct search_hooks hooks = {.answer = take_answer, .progress = tell, .ctx = d};
	return search_run(&d->model, d->packed, d->adapter.table, d->adapter.n_virtual, d->prompts, d->n_prompts,
			  d->tasks, d->n_tasks, &limits, &hooks, err);
}

int decode_run(const struct job *job, struct err *err)
{
	struct decode d = {.job = job};
	d.splits = mem_zero(job->n_splits, sizeof *d.splits);
	int result = run(&d, err);
	for (size_t i = 0; d.answers && i < d.n_readers; i++)
		free(d.answers[i].text);
	for (size_t s = 0; s < job->n_splits; s++) {
		free(d.splits[s].prompt);
		bleu_free(d.splits[s].bleu);
		if (d.splits[s].used)
			dataset_release_eval(&d.splits[s].eval);
	}
	free(d.splits);
	free(d.outputs);
	free(d.groups);
	free(d.prompts);
	free(d.member);
	free(d.task_of);
	free(d.tasks);
	free(d.task_group);
	free(d.first_answer);
	free(d.readers);
	free(d.answers);
	tokenizer_close(d.tok);
	adapter_release(&d.adapter);
	packed_release(d.packed);
	model_release(&d.model);
	return result;
}
