/* forward.h - GPT-2's forward pass for decoding: rows of tokens in, hidden states and logits out
 * (docs/REFERENCE.md, 2, 3.3).
 *
 *     struct forward forward;
 *     forward_init(&forward, &model, packed, &cache, max_rows, err)
 *     forward_prompts(&forward, rows, n, NULL, 0, keep, n_keep, hidden);     hidden[n_keep, D], after the last LayerNorm
 *     forward_rows(&forward, rows, n, hidden);                               hidden[n, D]
 *     forward_logits(&forward, hidden, n, logits, ld);                       logits[n, V]
 *
 * A row is one token of one sequence: a prompt's token (prefill: all tokens of several prompts packed together) or the
 * newest generated token of a beam. Its keys and values go into the cache, and it attends to what its view shows, which
 * ends with itself. Rows of the same pass may attend to each other only through the cache, within a layer: all keys of
 * a layer are stored before its attention starts. A row's result does not depend on the other rows (gemm.h, kvcache.h).
 */
#ifndef SWEEP_RUNNER_FORWARD_H
#define SWEEP_RUNNER_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kvcache.h"
#include "model.h"
#include "packed.h"

struct forward_row {
	int32_t token;
	uint32_t position;        /* row of wpe: prefix included */
	struct kvcache_view view; /* n_path 0: this is token n_prompt - 1 of its prompt; else token n_path - 1 of its
				     lane, path[n_path - 1] */
};

/* The first n tokens of prompt `to` are those of prompt `from`, and so are their keys and values: they are copied and
 * not computed. `from` was run before, or its rows are in the same pass; a chain of shares is listed from its
 * beginning. */
struct forward_share {
	uint32_t from, to, n;
};

struct forward {
	const struct model *model;
	const struct packed *packed;
	struct kvcache *cache;
	size_t max_rows;
	float *x, *norm, *qkv, *mixed, *inner; /* [rows, D], [rows, D], [rows, 3D], [rows, D], [rows, F] */
	int n_threads;
	struct kvcache_scratch *scratch; /* [n_threads] */
};

/* packed: the model's matrices again (packed.h), NULL without. Uses as many threads as OpenMP has now. */
int forward_init(struct forward *forward, const struct model *model, const struct packed *packed, struct kvcache *cache,
		 size_t max_rows, struct err *err);
void forward_release(struct forward *forward);
/* The newest token of n sequences, n <= max_rows; hidden [n, D]. */
void forward_rows(struct forward *forward, const struct forward_row *rows, size_t n, float *hidden);
/* Tokens of prompts, n <= max_rows; hidden [n_keep, D]: of the rows keep[0..n_keep), ascending. */
void forward_prompts(struct forward *forward, const struct forward_row *rows, size_t n,
		     const struct forward_share *shares, size_t n_shares, const uint32_t *keep, size_t n_keep,
		     float *hidden);
/* hidden[n, D] -> logits[n, ld], columns from V on untouched. */
void forward_logits(const struct forward *forward, const float *hidden, size_t n, float *logits, size_t ld);

#endif
