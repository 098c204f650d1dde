/* attention.h - causal attention over a trained prefix, forward and backward, of one head of one sequence: what the
 * training pass runs in parallel over all (sequence, head).
 *
 *     struct attention a = {.n_virtual = v, .n = n, .first = 0, .n_query = n, .head_size = d, ...};
 *     float *work = ...attention_work(v, n, d) floats, one for each thread...
 *     attention_forward(&a, work, out, stride);
 *     attention_backward(&a, work, dout, stride, &gradient);
 *
 * Query i of the call is the sequence's row first + i; it sees the v prefix columns and the rows 0 .. first + i.
 *     S = q k^T / sqrt(d),  P = softmax(S),  out = dropout(P) v
 * The products are done here and not by BLIS: they are small (67 rows, 64 wide), causal, which halves them, and BLIS's
 * packing would cost as much as they do (docs/SPEED.md). */
#ifndef SWEEP_RUNNER_ATTENTION_H
#define SWEEP_RUNNER_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dropout.h"

struct attention {
	size_t n_virtual, n, first, n_query, head_size;
	const float *prefix_k, *prefix_v; /* [v, d] with row stride prefix_stride */
	size_t prefix_stride;
	const float *q;     /* [n_query, d], row stride q_stride; biases are added here */
	const float *k, *v; /* [n, d], row stride kv_stride */
	size_t q_stride, kv_stride;
	const float *q_bias, *k_bias, *v_bias; /* [d] */
	struct dropout dropout;
	size_t example, head; /* for the dropout's rows */
};

/* Where the backward pass puts its results. */
struct attention_gradient {
	float *prefix_k, *prefix_v; /* [v, d], row stride prefix_stride: ADDED to */
	size_t prefix_stride;
	bool prefix_only; /* the first layer: nothing below needs q, k, v */
	float *q, *k, *v; /* [n_query, d], [n, d]: overwritten */
	size_t q_stride, kv_stride;
};

/* Floats of workspace for sequences of at most n rows. */
size_t attention_work(size_t n_virtual, size_t n, size_t head_size);
/* out [n_query, d], row stride out_stride. */
void attention_forward(const struct attention *a, float *work, float *out, size_t out_stride);
void attention_backward(const struct attention *a, float *work, const float *dout, size_t dout_stride,
			const struct attention_gradient *gradient);

#endif
