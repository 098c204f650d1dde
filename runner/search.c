/* search.c - the decoding loop; see search.h. One round: admit waiting tasks (and run their prompts), one forward pass
 * for the newest token of every running beam, logits, candidates row by row, then each task's bookkeeping.
 *
 * A row of the batch is a lane of the cache (kvcache.h). A task holds as many lanes as it has beams; when its beams are
 * reordered the lanes stay and their paths are rewritten. The hidden state of a prompt's last token is kept with the
 * prompt, so that the first step of every task over it is a row of logits like any other. All memory is taken before
 * the first round. */
#include "search.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "forward.h"
#include "kvcache.h"

#define SEARCH_ROWS         ((size_t)320)
#define SEARCH_MEMORY       ((size_t)768 << 20)
#define SEARCH_LOGITS       ((size_t)128 << 20) /* bytes of logits at a time */
#define SEARCH_PREFILL_ROWS ((size_t)512)       /* prompt tokens at a time */
#define SEARCH_NONE         UINT32_MAX

/* A task in the batch. */
struct search_active {
	size_t task;
	struct beam beam;
	uint32_t *lanes; /* [n_beams] */
	uint32_t prompt;
	uint64_t hash;
	size_t first_row, n_rows; /* of this round's logits */
};

struct search {
	const struct model *model;
	const struct packed *packed;
	const struct search_input *inputs;
	const struct search_task *tasks;
	size_t n_inputs, n_tasks, next_task, n_done;
	uint64_t n_rows_done;
	const struct search_hooks *hooks;
	/* sizes over all tasks */
	size_t max_beams, min_beams, max_steps, max_readers, max_prompt, max_candidates;
	struct kvcache_room room;
	struct kvcache cache;
	struct forward forward;
	/* prompts in the cache */
	uint32_t *prompt_of;    /* [n_inputs], SEARCH_NONE when not resident */
	size_t *prompt_users;   /* [room.prompts] */
	uint32_t *prompt_input; /* [room.prompts]: whose keys and values are there, SEARCH_NONE before */
	float *prompt_hidden;   /* [room.prompts, D] */
	uint32_t *free_prompts, *free_lanes;
	size_t n_free_prompts, n_free_lanes;
	uint32_t **paths, **next_paths; /* [room.lanes] of [max_steps] */
	uint32_t *path_block, *lane_block;
	struct search_active **active; /* [max_active]: the first n_active are in the batch, the others spare */
	struct search_active *active_block;
	size_t n_active, max_active;
	/* one round */
	struct forward_row *rows;     /* [rows] */
	uint32_t *keep;               /* [room.prompts] */
	uint32_t *fresh;              /* [room.prompts]: prompts to run */
	struct forward_share *shares; /* [room.prompts] */
	float *hidden;                /* [rows, D] */
	float *logits;                /* [logits_rows, ld] */
	size_t logits_rows, ld;
	struct sample_row *found; /* [room.lanes] */
	struct sample_pair *pairs;
	struct sample_candidate *candidates; /* [max_candidates] */
	struct sample_scratch *scratch;      /* [n_threads] */
	int n_threads;
	int32_t *answer; /* [max_steps] */
};

/* calloc that checks; every array of the search comes from here. */
static void *take(size_t count, size_t size, bool *failed)
{
	void *p = calloc(count ? count : 1, size);
	*failed |= p == NULL;
	return p;
}

static void measure(struct search *s, const struct search_limits *limits)
{
	size_t rows = limits->rows ? limits->rows : SEARCH_ROWS,
	       memory = limits->memory ? limits->memory : SEARCH_MEMORY;
	size_t all_rows = 0;
	s->min_beams = SIZE_MAX;
	for (size_t i = 0; i < s->n_tasks; i++) {
		const struct search_task *task = &s->tasks[i];
		s->max_beams = task->n_beams > s->max_beams ? task->n_beams : s->max_beams;
		s->min_beams = task->n_beams < s->min_beams ? task->n_beams : s->min_beams;
		s->max_readers = task->n_readers > s->max_readers ? task->n_readers : s->max_readers;
		s->max_candidates =
			task->rule.n_candidates > s->max_candidates ? task->rule.n_candidates : s->max_candidates;
		for (size_t r = 0; r < task->n_readers; r++)
			if (task->readers[r].max_new_tokens > s->max_steps)
				s->max_steps = task->readers[r].max_new_tokens;
		if (s->inputs[task->input].n > s->max_prompt)
			s->max_prompt = s->inputs[task->input].n;
		all_rows += task->n_beams;
	}
	if (rows > all_rows)
		rows = all_rows;
	if (rows < s->max_beams)
		rows = s->max_beams;
	/* Inputs at a time when each has about the same number of rows, and two to spare. */
	size_t token = kvcache_token_bytes(s->model), each = (all_rows + s->n_inputs - 1) / s->n_inputs, prompts;
	for (;; rows = rows * 7 / 8 > s->max_beams ? rows * 7 / 8 : s->max_beams) {
		prompts = rows / each + 2;
		if (prompts > s->n_inputs)
			prompts = s->n_inputs;
		if (rows == s->max_beams || (rows * s->max_steps + prompts * s->max_prompt) <= memory / token)
			break;
	}
	s->room = (struct kvcache_room){
		.prompts = prompts, .prompt_tokens = s->max_prompt, .lanes = rows, .lane_tokens = s->max_steps};
	s->max_active = rows / s->min_beams;
	s->ld = sample_width(s->model->n_vocab);
	s->logits_rows = SEARCH_LOGITS / (s->ld * sizeof(float));
	s->logits_rows = s->logits_rows < 1 ? 1 : s->logits_rows > rows ? rows : s->logits_rows;
	s->n_threads = omp_get_max_threads();
}

static int prepare(struct search *s, const float *table, size_t n_prefix, struct err *err)
{
	size_t lanes = s->room.lanes, d = s->model->n_embd;
	size_t prefill = s->max_prompt > SEARCH_PREFILL_ROWS ? s->max_prompt : SEARCH_PREFILL_ROWS;
	size_t rows = prefill > lanes ? prefill : lanes;
	bool failed = false;
	s->prompt_of = take(s->n_inputs, sizeof *s->prompt_of, &failed);
	s->prompt_users = take(s->room.prompts, sizeof *s->prompt_users, &failed);
	s->prompt_hidden = take(s->room.prompts * d, sizeof *s->prompt_hidden, &failed);
	s->free_prompts = take(s->room.prompts, sizeof *s->free_prompts, &failed);
	s->free_lanes = take(lanes, sizeof *s->free_lanes, &failed);
	s->paths = take(lanes, sizeof *s->paths, &failed);
	s->next_paths = take(lanes, sizeof *s->next_paths, &failed);
	s->path_block = take(2 * lanes * s->max_steps, sizeof *s->path_block, &failed);
	s->lane_block = take(s->max_active * s->max_beams, sizeof *s->lane_block, &failed);
	s->active = take(s->max_active, sizeof *s->active, &failed);
	s->active_block = take(s->max_active, sizeof *s->active_block, &failed);
	s->rows = take(rows, sizeof *s->rows, &failed);
	s->keep = take(s->room.prompts, sizeof *s->keep, &failed);
	s->fresh = take(s->room.prompts, sizeof *s->fresh, &failed);
	s->shares = take(s->room.prompts, sizeof *s->shares, &failed);
	s->prompt_input = take(s->room.prompts, sizeof *s->prompt_input, &failed);
	s->hidden = take(rows * d, sizeof *s->hidden, &failed);
	s->logits = take(s->logits_rows * s->ld, sizeof *s->logits, &failed);
	s->found = take(lanes, sizeof *s->found, &failed);
	s->pairs = take(lanes * s->max_candidates, sizeof *s->pairs, &failed);
	s->candidates = take(s->max_candidates, sizeof *s->candidates, &failed);
	s->scratch = take((size_t)s->n_threads, sizeof *s->scratch, &failed);
	s->answer = take(s->max_steps, sizeof *s->answer, &failed);
	if (failed)
		return err_set(err, ERR_SYSTEM, "out of memory for a batch of %zu beams", lanes);
	for (size_t i = 0; i < s->max_active; i++) {
		s->active[i] = &s->active_block[i];
		s->active[i]->lanes = s->lane_block + i * s->max_beams;
		if (beam_init(&s->active[i]->beam, s->max_beams, s->max_steps, s->max_readers, err) < 0)
			return -1;
	}
	for (int i = 0; i < s->n_threads; i++)
		if (sample_scratch_init(&s->scratch[i], s->model->n_vocab, err) < 0)
			return -1;
	if (kvcache_init(&s->cache, s->model, table, n_prefix, &s->room, err) < 0 ||
	    forward_init(&s->forward, s->model, s->packed, &s->cache, rows, err) < 0)
		return -1;
	for (size_t i = 0; i < s->n_inputs; i++)
		s->prompt_of[i] = SEARCH_NONE;
	for (size_t i = 0; i < s->room.prompts; i++) {
		s->free_prompts[s->n_free_prompts++] = (uint32_t)(s->room.prompts - 1 - i);
		s->prompt_input[i] = SEARCH_NONE;
	}
	for (size_t i = 0; i < lanes; i++) {
		s->free_lanes[s->n_free_lanes++] = (uint32_t)(lanes - 1 - i);
		s->paths[i] = s->path_block + 2 * i * s->max_steps;
		s->next_paths[i] = s->paths[i] + s->max_steps;
	}
	for (size_t i = 0; i < s->logits_rows; i++)
		for (size_t x = s->model->n_vocab; x < s->ld; x++)
			s->logits[i * s->ld + x] = SAMPLE_PAD;
	return 0;
}

static void search_release(struct search *s)
{
	for (size_t i = 0; s->active_block && i < s->max_active; i++)
		beam_release(&s->active_block[i].beam);
	for (int i = 0; s->scratch && i < s->n_threads; i++)
		sample_scratch_release(&s->scratch[i]);
	forward_release(&s->forward);
	kvcache_release(&s->cache);
	void *all[] = {s->prompt_of,  s->prompt_users, s->prompt_hidden, s->free_prompts, s->free_lanes,  s->paths,
		       s->next_paths, s->path_block,   s->lane_block,    s->active,       s->rows,        s->keep,
		       s->fresh,      s->hidden,       s->logits,        s->found,        s->pairs,       s->candidates,
		       s->scratch,    s->answer,       s->active_block,  s->shares,       s->prompt_input};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

/* Which prompt in the cache begins most like this input, and for how many tokens; the last token of an input is always
 * its own, because its hidden state is wanted. */
static struct forward_share longest_share(const struct search *s, size_t index, uint32_t to)
{
	const struct search_input *input = &s->inputs[index];
	struct forward_share best = {.to = to};
	for (uint32_t prompt = 0; prompt < s->room.prompts; prompt++) {
		if (s->prompt_input[prompt] == SEARCH_NONE)
			continue;
		const struct search_input *other = &s->inputs[s->prompt_input[prompt]];
		size_t n = 0, most = other->n < input->n - 1 ? other->n : input->n - 1;
		while (n < most && other->ids[n] == input->ids[n])
			n++;
		if (n > best.n) {
			best.from = prompt;
			best.n = (uint32_t)n;
		}
	}
	return best;
}

/* Runs the prompts of fresh inputs, several to a pass, and keeps the hidden states of their last tokens. Where a prompt
 * begins like another one, it takes over that one's keys and values: tables of one data set, and the words before them,
 * are much alike. */
static void prefill(struct search *s, const size_t *input_of, size_t n_fresh)
{
	size_t d = s->model->n_embd;
	for (size_t first = 0, end; first < n_fresh; first = end) {
		size_t n = 0, n_shares = 0;
		for (end = first; end < n_fresh; end++) {
			const struct search_input *input = &s->inputs[input_of[end]];
			struct forward_share share = longest_share(s, input_of[end], s->fresh[end]);
			if (n > 0 && n + input->n - share.n > s->forward.max_rows)
				break;
			if (share.n > 0)
				s->shares[n_shares++] = share;
			for (size_t i = share.n; i < input->n; i++)
				s->rows[n++] = (struct forward_row){
					.token = input->ids[i],
					.position = (uint32_t)(s->cache.n_prefix + i),
					.view = {.prompt = s->fresh[end], .n_prompt = (uint32_t)(i + 1)}};
			s->keep[end - first] = (uint32_t)(n - 1);
			s->prompt_input[s->fresh[end]] = (uint32_t)input_of[end];
		}
		forward_prompts(&s->forward, s->rows, n, s->shares, n_shares, s->keep, end - first, s->hidden);
		for (size_t i = first; i < end; i++)
			memcpy(s->prompt_hidden + s->fresh[i] * d, s->hidden + (i - first) * d, d * sizeof(float));
		s->n_rows_done += n;
	}
}

/* Takes waiting tasks into the batch, in order, while there is room. input_of: [room.prompts], scratch. */
static void admit(struct search *s, int32_t eos, size_t *input_of)
{
	size_t n_fresh = 0;
	while (s->next_task < s->n_tasks) {
		const struct search_task *task = &s->tasks[s->next_task];
		bool resident = s->prompt_of[task->input] != SEARCH_NONE;
		if (s->n_free_lanes < task->n_beams || (!resident && s->n_free_prompts == 0))
			break;
		const struct search_input *input = &s->inputs[task->input];
		if (!resident) {
			uint32_t prompt = s->free_prompts[--s->n_free_prompts];
			s->prompt_of[task->input] = prompt;
			s->prompt_input[prompt] = SEARCH_NONE;
			s->prompt_users[prompt] = 0;
			input_of[n_fresh] = task->input;
			s->fresh[n_fresh++] = prompt;
		}
		struct search_active *active = s->active[s->n_active++];
		active->task = s->next_task++;
		active->prompt = s->prompt_of[task->input];
		active->hash = hash_u64(input->ids, input->n * sizeof *input->ids);
		s->prompt_users[active->prompt]++;
		for (size_t b = 0; b < task->n_beams; b++)
			active->lanes[b] = s->free_lanes[--s->n_free_lanes];
		beam_start(&active->beam, task->n_beams, eos, task->readers, task->n_readers);
	}
	prefill(s, input_of, n_fresh);
}

/* One token further for all running beams: hidden states of all rows of logits, those of new tasks at the end. */
static size_t advance(struct search *s)
{
	size_t d = s->model->n_embd, n = 0;
	for (size_t i = 0; i < s->n_active; i++) {
		struct search_active *active = s->active[i];
		const struct beam *beam = &active->beam;
		if (beam->step == 0)
			continue;
		active->first_row = n;
		active->n_rows = beam->n_live;
		size_t n_prompt = s->inputs[s->tasks[active->task].input].n;
		for (size_t b = 0; b < beam->n_live; b++)
			s->rows[n++] = (struct forward_row){
				.token = beam->tokens[(beam->step - 1) * beam->n_beams + b],
				.position = (uint32_t)(s->cache.n_prefix + n_prompt + beam->step - 1),
				.view = {.prompt = active->prompt,
					 .n_prompt = (uint32_t)n_prompt,
					 .n_path = (uint32_t)beam->step,
					 .path = s->paths[active->lanes[b]]}};
	}
	if (n > 0)
		forward_rows(&s->forward, s->rows, n, s->hidden);
	s->n_rows_done += n;
	for (size_t i = 0; i < s->n_active; i++) {
		struct search_active *active = s->active[i];
		if (active->beam.step > 0)
			continue;
		active->first_row = n;
		active->n_rows = 1;
		memcpy(s->hidden + n++ * d, s->prompt_hidden + active->prompt * d, d * sizeof(float));
	}
	return n;
}

/* Which task and beam a row of logits is. */
struct search_owner {
	uint32_t active, beam;
};

/* Logits of n rows and the best pairs of each. */
static int choose(struct search *s, size_t n, const struct search_owner *owners, struct err *err)
{
	size_t vocab = s->model->n_vocab;
	bool broken = false;
	for (size_t first = 0; first < n; first += s->logits_rows) {
		size_t block = n - first < s->logits_rows ? n - first : s->logits_rows;
		forward_logits(&s->forward, s->hidden + first * s->model->n_embd, block, s->logits, s->ld);
#pragma omp parallel for num_threads(s->n_threads) schedule(dynamic) reduction(|| : broken)
		for (size_t i = 0; i < block; i++) {
			const struct search_active *active = s->active[owners[first + i].active];
			size_t b = owners[first + i].beam;
			struct sample_row *row = &s->found[first + i];
			row->pairs = s->pairs + (first + i) * s->max_candidates;
			if (!sample_row(&s->tasks[active->task].rule, s->logits + i * s->ld, vocab,
					active->beam.scores[b], sample_position(active->hash, active->beam.step + 1),
					b * vocab, &s->scratch[omp_get_thread_num()], row))
				broken = true;
		}
	}
	if (broken)
		return err_set(
			err, ERR_INPUT,
			"the model gives logits that are no finite numbers; its weights or the trained prefix are "
			"damaged (did the training diverge?)");
	return 0;
}

/* After a step: each running beam's path is its parent's and its own lane. */
static void rewrite_paths(struct search *s, struct search_active *active)
{
	const struct beam *beam = &active->beam;
	size_t step = beam->step;
	const uint32_t *parents = beam->parents + (step - 1) * beam->n_beams;
	for (size_t b = 0; b < beam->n_live; b++) {
		uint32_t *path = s->next_paths[active->lanes[b]];
		memcpy(path, s->paths[active->lanes[parents[b]]], (step - 1) * sizeof *path);
		path[step - 1] = active->lanes[b];
	}
	for (size_t b = 0; b < beam->n_live; b++) {
		uint32_t lane = active->lanes[b], *path = s->paths[lane];
		s->paths[lane] = s->next_paths[lane];
		s->next_paths[lane] = path;
	}
}

/* A task is done: answers its readers and gives back what it held. */
static int leave(struct search *s, size_t i, struct err *err)
{
	struct search_active *active = s->active[i];
	const struct search_task *task = &s->tasks[active->task];
	for (size_t r = 0; r < task->n_readers; r++) {
		size_t n;
		float score;
		beam_result(&active->beam, r, s->answer, &n, &score);
		if (s->hooks->answer(s->hooks->ctx, active->task, r, s->answer, n, score, err) < 0)
			return -1;
	}
	for (size_t b = 0; b < task->n_beams; b++)
		s->free_lanes[s->n_free_lanes++] = active->lanes[b];
	if (--s->prompt_users[active->prompt] == 0) {
		s->free_prompts[s->n_free_prompts++] = active->prompt;
		s->prompt_of[task->input] = SEARCH_NONE;
	}
	s->active[i] = s->active[--s->n_active];
	s->active[s->n_active] = active;
	s->n_done++;
	return 0;
}

static int rounds(struct search *s, size_t *input_of, struct search_owner *owners, struct err *err)
{
	while (s->n_done < s->n_tasks) {
		admit(s, s->model->eos_token_id, input_of);
		size_t n = advance(s);
		for (size_t i = 0; i < s->n_active; i++)
			for (size_t b = 0; b < s->active[i]->n_rows; b++)
				owners[s->active[i]->first_row + b] = (struct search_owner){(uint32_t)i, (uint32_t)b};
		if (choose(s, n, owners, err) < 0)
			return -1;
		for (size_t i = s->n_active; i-- > 0;) {
			struct search_active *active = s->active[i];
			size_t found = sample_join(&s->tasks[active->task].rule, s->found + active->first_row,
						   active->n_rows, s->candidates);
			if (beam_step(&active->beam, s->candidates, found))
				rewrite_paths(s, active);
			else if (leave(s, i, err) < 0)
				return -1;
		}
		if (s->hooks->progress)
			s->hooks->progress(s->hooks->ctx, s->n_done, s->n_rows_done);
	}
	return 0;
}

int search_run(const struct model *model, const struct packed *packed, const float *table, size_t n_prefix,
	       const struct search_input *inputs, size_t n_inputs, const struct search_task *tasks, size_t n_tasks,
	       const struct search_limits *limits, const struct search_hooks *hooks, struct err *err)
{
	if (n_tasks == 0)
		return 0;
	struct search s = {.model = model,
			   .packed = packed,
			   .inputs = inputs,
			   .n_inputs = n_inputs,
			   .tasks = tasks,
			   .n_tasks = n_tasks,
			   .hooks = hooks};
	measure(&s, limits);
	bool failed = false;
	size_t *input_of = take(s.room.prompts, sizeof *input_of, &failed);
	struct search_owner *owners = take(s.room.lanes, sizeof *owners, &failed);
	int result = -1;
	if (failed)
		err_set(err, ERR_SYSTEM, "out of memory for a batch of %zu beams", s.room.lanes);
	else if (prepare(&s, table, n_prefix, err) == 0)
		result = rounds(&s, input_of, owners, err);
	free(input_of);
	free(owners);
	search_release(&s);
	return result;
}
