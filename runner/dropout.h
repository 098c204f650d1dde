/* dropout.h - counter-based dropout for training (docs/REFERENCE.md, 3.4): whether an element is dropped is a function
 * of the seed, the step, the place in the network and the element's place in its example, never of threads or packing,
 * so that the backward pass makes the mask again instead of storing it.
 *
 *     struct dropout d = dropout_at(rng_key(seed, RNG_DROPOUT), 0.1, step, layer, DROPOUT_MLP);
 *     dropout_row(&d, dropout_row_id(b, 0, i), D, x);          x = mask / (1 - p) * x
 *
 * Sixteen bits decide on an element: p is rounded to a multiple of 2^-16, and the scale is that p's own. Of row r,
 * element e = 64 t + 16 w + 8 h + lane uses the Philox block (hi, r << 16 | 8 t + lane / 2 + 4 (lane % 2)), word w, its
 * low half when h is 0, its high half when h is 1: the order in which AVX2 has them at hand. */
#ifndef SWEEP_RUNNER_DROPOUT_H
#define SWEEP_RUNNER_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

/* Part of results: append only. */
enum dropout_site { DROPOUT_EMBEDDING = 0, DROPOUT_ATTENTION = 1, DROPOUT_PROJECTION = 2, DROPOUT_MLP = 3 };

struct dropout {
	struct rng_key key;
	uint64_t hi;
	uint32_t threshold; /* dropped when the sixteen bits are below; 0: no dropout at all */
	float scale;        /* 1 / (1 - threshold / 65536) */
};

static inline struct dropout dropout_at(struct rng_key key, double rate, uint64_t step, size_t layer,
					enum dropout_site site)
{
	uint32_t threshold = (uint32_t)(rate * 65536 + 0.5);
	return (struct dropout){key, step << 32 | (uint64_t)layer << 8 | (uint64_t)site, threshold,
				(float)(65536.0 / (65536.0 - (double)threshold))};
}

/* The row of position i (below 2^20) of a batch's example b (below 2^14) under head h (below 2^14; 0 outside
 * attention). */
static inline uint64_t dropout_row_id(size_t b, size_t h, size_t i)
{
	return (uint64_t)b << 34 | (uint64_t)h << 20 | (uint64_t)i;
}

/* x[0 .. n-1] *= 0 or scale. n is below 2^19. */
void dropout_row(const struct dropout *d, uint64_t row, size_t n, float *x);
/* The same by the definition above, one element at a time: the tests' oracle, and what CPUs without AVX2 run. */
void dropout_row_plain(const struct dropout *d, uint64_t row, size_t n, float *x);

#endif
