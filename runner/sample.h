/* sample.h - from logits to candidates: log_softmax, temperature, top_k, top_p, the largest scores or an exponential
 * race, as generate() of transformers 4.50 does (docs/REFERENCE.md, 5.2 to 5.4). Each row alone (sample_row), then the
 * rows of one input together (sample_join); no full sort, no second look at a row's losers.
 *
 *     struct sample_scratch scratch;
 *     if (sample_scratch_init(&scratch, V, err) < 0) ...
 *     for each beam b of an input:
 *             sample_row(&rule, logits[b], V, scores[b], sample_position(hash, step), b * V, &scratch, &rows[b])
 *     n = sample_join(&rule, rows, n_beams, candidates);     at most rule.n_candidates, in list order
 *
 * Noise (the sampling rule of docs/REFERENCE.md, 5.4; tools/compare_decoding.py makes the same): the pair of beam b and
 * token x at step t (from 1) of an input draws r = rng_u32(rng_key(seed, RNG_SAMPLE), hash + t mod 2^64, b * V + x),
 * where hash = hash_u64() of the prompt's ids as little-endian int32; E = -log((r + 0.5) / 2^32) in double. The pair's
 * key is log(p / E), as score - log(E) in double; the n_candidates largest keys are the draws, in that order. */
#ifndef SWEEP_RUNNER_SAMPLE_H
#define SWEEP_RUNNER_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

struct sample_rule {
	bool log_probs;      /* beam modes start from log_softmax, the others from the logits */
	bool do_sample;      /* temperature, top_k and top_p are ignored without it */
	float temperature;   /* 1 is none */
	size_t top_k;        /* 0 is none */
	double top_p;        /* 1 is none */
	size_t keep;         /* min_tokens_to_keep: 1, in beam modes 2 */
	size_t n_candidates; /* 1, in beam modes 2 * num_beams */
	struct rng_key noise;
};

/* The rule for num_beams, do_sample, ... of generate(). */
struct sample_rule sample_rule(size_t num_beams, bool do_sample, double temperature, int64_t top_k, double top_p,
			       uint64_t seed);

struct sample_pair {
	double key;  /* what pairs are ranked by: the score, or the race's log(p / E) */
	float score; /* the beam's score plus the token's processed one */
	int32_t token;
};

/* What one row gives: its best pairs by key, best first; and the mass of all its surviving pairs. */
struct sample_row {
	struct sample_pair *pairs; /* [n_candidates], the caller's */
	size_t n;
	float top;  /* the largest score of a surviving pair */
	double sum; /* sum of exp(score - top) over the surviving pairs */
};

struct sample_candidate {
	int32_t beam, token;
	float score;
};

/* One thread's memory for rows of V logits. */
struct sample_scratch {
	float *groups, *heap;      /* [groups of a row] */
	struct sample_pair *pairs; /* [V] */
};
int sample_scratch_init(struct sample_scratch *scratch, size_t vocab, struct err *err);
void sample_scratch_release(struct sample_scratch *scratch);

/* Floats to allocate for a row of V logits; those from V on must be SAMPLE_PAD. */
size_t sample_width(size_t vocab);
#define SAMPLE_PAD (-3.40282347e+38f)

/* Position of the noise of step t of an input (see above). */
static inline uint64_t sample_position(uint64_t hash, size_t step)
{
	return hash + step;
}

/* Fills *row from logits[sample_width(V)] (not changed). base: the beam's score so far, 0 without beams. index: beam *
 * V. False when a logit is no finite number. */
bool sample_row(const struct sample_rule *rule, const float *logits, size_t vocab, float base, uint64_t position,
		uint64_t index, struct sample_scratch *scratch, struct sample_row *row);
/* The candidates of one input out of its n rows, in list order: by score, or in draw order. Returns how many: fewer
 * than n_candidates only when fewer pairs have any weight (docs/REFERENCE.md, 5.4, edge cases). Uses up the rows'
 * lists. */
size_t sample_join(const struct sample_rule *rule, struct sample_row *rows, size_t n, struct sample_candidate *out);

#endif
