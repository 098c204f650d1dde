/* beam.h - one input's search: its running beams, and what each reader of it has finished
 * (docs/REFERENCE.md, 5.4, 5.7).
 *
 *     struct beam beam;
 *     if (beam_init(&beam, max_beams, max_steps, max_readers, err) < 0) ...           once
 *     beam_start(&beam, 5, eos, readers, n_readers);                                  for each input
 *     do {
 *             logits of the n_live running beams; n = sample_join(..., candidates)
 *     } while (beam_step(&beam, candidates, n));
 *     beam_result(&beam, reader, ids, &n_ids, &score);
 *
 * Which candidates a step has depends on no max_new_tokens, length_penalty or early_stopping; those decide what is
 * collected and when it is enough. So one search serves many readers, each with its own finished slots and its own end,
 * and each gets exactly what a search of its own would give it. num_beams 1 (greedy, sampling) is one growing sequence,
 * of which a reader takes the beginning. */
#ifndef SWEEP_RUNNER_BEAM_H
#define SWEEP_RUNNER_BEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sample.h"

/* A setting that a search answers. early_stopping: EARLY_STOPPING_FALSE, _TRUE or _NEVER (base/params.h). */
struct beam_reader {
	size_t max_new_tokens; /* K */
	double length_penalty;
	int early_stopping;
};

/* A place among a reader's best finished sequences: candidate `token` of step `step` (from 1) after running beam `beam`
 * of the step before. */
struct beam_slot {
	float score; /* sum of log-probabilities / step^length_penalty; -1e9 when empty */
	bool finished;
	uint32_t step, beam;
	int32_t token;
};

struct beam {
	size_t n_beams;    /* B */
	size_t n_steps;    /* the largest K of the readers */
	size_t step;       /* tokens that running beams have */
	size_t n_live;     /* running beams that can still grow, best first: B, or fewer (1 at the start) */
	float *scores;     /* [B] of the running beams; 0 when B is 1 */
	int32_t *tokens;   /* [n_steps, B]: row step-1 is the last token of each running beam */
	uint32_t *parents; /* [n_steps, B]: the running beam of the step before that it continues */
	size_t n_readers;
	struct beam_reader *readers; /* [n_readers] */
	bool *done;                  /* [n_readers] */
	struct beam_slot *slots;     /* [n_readers, B], best first */
	int32_t eos;                 /* -1: none */
	size_t max_beams, max_steps, max_readers;
	float *next_scores; /* [B], scratch */
};

int beam_init(struct beam *beam, size_t max_beams, size_t max_steps, size_t max_readers, struct err *err);
void beam_release(struct beam *beam);
/* Readers are copied; at least one. */
void beam_start(struct beam *beam, size_t n_beams, int32_t eos, const struct beam_reader *readers, size_t n_readers);
/* One step with its candidates in list order. False when no reader wants another step. */
bool beam_step(struct beam *beam, const struct sample_candidate *candidates, size_t n);
/* Tokens of a reader's best sequence, its end token included, into ids[K], once beam_step has returned false. The score
 * is NaN for num_beams 1. */
void beam_result(const struct beam *beam, size_t reader, int32_t *ids, size_t *n, float *score);

#endif
