/* beam.c - the bookkeeping of beam search, as transformers 4.50 keeps it (generation/utils.py, _beam_search); see
 * beam.h.
 *
 * Dead beams, which transformers carries along at -1e9 or -infinity when an input has fewer live continuations than
 * beams, are not kept here: they have no weight ever after and cannot become the best (docs/REFERENCE.md, 5.4). All
 * score arithmetic is float32 with the length's power computed in double, as torch does it. */
#include "beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"

#define BEAM_NOTHING (-1e9f) /* the score of an empty slot */

int beam_init(struct beam *beam, size_t max_beams, size_t max_steps, size_t max_readers, struct err *err)
{
	*beam = (struct beam){.max_beams = max_beams, .max_steps = max_steps, .max_readers = max_readers};
	beam->scores = calloc(max_beams, sizeof *beam->scores);
	beam->next_scores = calloc(max_beams, sizeof *beam->next_scores);
	beam->tokens = calloc(max_steps * max_beams, sizeof *beam->tokens);
	beam->parents = calloc(max_steps * max_beams, sizeof *beam->parents);
	beam->readers = calloc(max_readers, sizeof *beam->readers);
	beam->done = calloc(max_readers, sizeof *beam->done);
	beam->slots = calloc(max_readers * max_beams, sizeof *beam->slots);
	if (beam->scores && beam->next_scores && beam->tokens && beam->parents && beam->readers && beam->done &&
	    beam->slots)
		return 0;
	beam_release(beam);
	return err_set(err, ERR_SYSTEM, "out of memory for %zu beams of %zu tokens", max_beams, max_steps);
}

void beam_release(struct beam *beam)
{
	free(beam->scores);
	free(beam->next_scores);
	free(beam->tokens);
	free(beam->parents);
	free(beam->readers);
	free(beam->done);
	free(beam->slots);
	*beam = (struct beam){0};
}

void beam_start(struct beam *beam, size_t n_beams, int32_t eos, const struct beam_reader *readers, size_t n_readers)
{
	beam->n_beams = n_beams;
	beam->eos = eos;
	beam->step = 0;
	beam->n_live = 1;
	beam->scores[0] = 0;
	beam->n_readers = n_readers;
	beam->n_steps = 0;
	memcpy(beam->readers, readers, n_readers * sizeof *readers);
	for (size_t r = 0; r < n_readers; r++) {
		beam->done[r] = false;
		if (readers[r].max_new_tokens > beam->n_steps)
			beam->n_steps = readers[r].max_new_tokens;
		for (size_t i = 0; i < n_beams; i++)
			beam->slots[r * n_beams + i] = (struct beam_slot){.score = BEAM_NOTHING};
	}
	if (n_beams > beam->max_beams || beam->n_steps > beam->max_steps || n_readers > beam->max_readers)
		BUG("a search of %zu beams, %zu steps, %zu readers", n_beams, beam->n_steps, n_readers);
}

static float length_power(size_t length, double penalty)
{
	return (float)pow((double)length, penalty);
}

/* Step 5 of docs/REFERENCE.md, 5.4: of the first B candidates those that end here may enter the slots. */
static void collect(const struct beam *beam, size_t r, const struct sample_candidate *candidates, size_t n)
{
	const struct beam_reader *reader = &beam->readers[r];
	struct beam_slot *slots = beam->slots + r * beam->n_beams;
	bool last = beam->step >= reader->max_new_tokens, full = reader->early_stopping == EARLY_STOPPING_TRUE;
	for (size_t i = 0; i < beam->n_beams; i++)
		full = full && slots[i].finished;
	float power = length_power(beam->step, reader->length_penalty);
	for (size_t i = 0; i < n && i < beam->n_beams; i++) {
		if (!last && candidates[i].token != beam->eos)
			continue;
		float score = candidates[i].score / power + (full ? BEAM_NOTHING : 0);
		size_t at = beam->n_beams;
		while (at > 0 && score > slots[at - 1].score)
			at--;
		if (at == beam->n_beams)
			continue;
		memmove(slots + at + 1, slots + at, (beam->n_beams - at - 1) * sizeof *slots);
		slots[at] = (struct beam_slot){.score = score,
					       .finished = true,
					       .step = (uint32_t)beam->step,
					       .beam = (uint32_t)candidates[i].beam,
					       .token = candidates[i].token};
	}
}

/* Step 6: is this reader served? best is the score of the best running beam. */
static bool served(const struct beam *beam, size_t r, float best)
{
	const struct beam_reader *reader = &beam->readers[r];
	const struct beam_slot *slots = beam->slots + r * beam->n_beams;
	if (beam->step >= reader->max_new_tokens)
		return true;
	size_t n_finished = 0;
	for (size_t i = 0; i < beam->n_beams; i++)
		n_finished += slots[i].finished;
	if (reader->early_stopping == EARLY_STOPPING_TRUE && n_finished == beam->n_beams)
		return true;
	bool hope = reader->early_stopping == EARLY_STOPPING_NEVER && reader->length_penalty > 0;
	best /= length_power(hope ? reader->max_new_tokens : beam->step, reader->length_penalty);
	bool above_worst = n_finished > 0 && best > slots[beam->n_beams - 1].score;
	bool above_nothing = n_finished < beam->n_beams && best > BEAM_NOTHING;
	return !above_worst && !above_nothing;
}

/* Step 4: the B best candidates that do not end here run on. */
static void run_on(struct beam *beam, const struct sample_candidate *candidates, size_t n)
{
	int32_t *tokens = beam->tokens + (beam->step - 1) * beam->n_beams;
	uint32_t *parents = beam->parents + (beam->step - 1) * beam->n_beams;
	float *scores = beam->next_scores;
	size_t live = 0;
	for (size_t i = 0; i < n; i++) {
		if (candidates[i].token == beam->eos)
			continue;
		size_t at = live;
		while (at > 0 && candidates[i].score > scores[at - 1])
			at--;
		if (at == beam->n_beams)
			continue;
		live += live < beam->n_beams;
		for (size_t j = live - 1; j > at; j--) {
			scores[j] = scores[j - 1];
			tokens[j] = tokens[j - 1];
			parents[j] = parents[j - 1];
		}
		scores[at] = candidates[i].score;
		tokens[at] = candidates[i].token;
		parents[at] = (uint32_t)candidates[i].beam;
	}
	beam->next_scores = beam->scores;
	beam->scores = scores;
	beam->n_live = live;
}

/* num_beams 1: the one candidate is the next token, whatever it is. */
static bool grow(struct beam *beam, const struct sample_candidate *candidates, size_t n)
{
	beam->n_live = 0;
	if (n == 0) {
		beam->step--;
		return false;
	}
	beam->tokens[beam->step - 1] = candidates[0].token;
	beam->parents[beam->step - 1] = 0;
	if (candidates[0].token == beam->eos || beam->step == beam->n_steps)
		return false;
	beam->n_live = 1;
	return true;
}

bool beam_step(struct beam *beam, const struct sample_candidate *candidates, size_t n)
{
	if (beam->step >= beam->n_steps)
		BUG("a step after the last of %zu", beam->n_steps);
	beam->step++;
	if (beam->n_beams == 1)
		return grow(beam, candidates, n);
	for (size_t r = 0; r < beam->n_readers; r++)
		if (!beam->done[r])
			collect(beam, r, candidates, n);
	run_on(beam, candidates, n);
	bool more = false;
	for (size_t r = 0; r < beam->n_readers; r++) {
		if (!beam->done[r])
			beam->done[r] = beam->n_live == 0 || served(beam, r, beam->scores[0]);
		more |= !beam->done[r];
	}
	if (!more)
		beam->n_live = 0;
	return more;
}

void beam_result(const struct beam *beam, size_t reader, int32_t *ids, size_t *n, float *score)
{
	if (beam->n_beams == 1) {
		size_t most = beam->readers[reader].max_new_tokens;
		*n = beam->step < most ? beam->step : most;
		memcpy(ids, beam->tokens, *n * sizeof *ids);
		*score = NAN;
		return;
	}
	const struct beam_slot *best = &beam->slots[reader * beam->n_beams];
	*score = best->score;
	*n = best->step;
	if (best->step == 0) /* nothing beat an empty slot, which only an absurd length_penalty brings about */
		return;
	ids[best->step - 1] = best->token;
	size_t at = best->beam;
	for (size_t step = best->step - 1; step > 0; step--) {
		ids[step - 1] = beam->tokens[(step - 1) * beam->n_beams + at];
		at = beam->parents[(step - 1) * beam->n_beams + at];
	}
}
