/* gpt2.h - one training step of a frozen GPT-2 behind a trained prefix: the loss of a batch, and its gradient with
 * respect to the prefix's keys and values (docs/REFERENCE.md, 2, 3). The decoding pass is forward.h; the plain version
 * that both are tested against is tests/unit/oracle.h.
 *
 *     struct gpt2 g;
 *     struct gpt2_limits limits = {.n_virtual = 20, .batch = 16, .rows = 2064, .labels = 900, .longest = 129};
 *     if (gpt2_init(&g, &model, &limits, err) < 0) return -1;
 *     double loss = gpt2_step(&g, pairs, 16, table, NULL, table_gradient);
 *     gpt2_release(&g);
 *
 * What it does not compute: pads (sequences are packed one after the other, attention goes by sequence), logits of rows
 * that predict no label, in the last layer queries and MLP of those rows, gradients of frozen weights, and anything
 * below the first layer's keys and values. What it does not keep: logits (made in blocks of rows, and turned into the
 * gradient in place), LayerNorm and GELU outputs and attention probabilities (made again in the backward pass).
 *
 * Every result is the same at every thread count: a row's arithmetic depends on the row alone, and sums over rows are
 * taken in a fixed order. */
#ifndef SWEEP_RUNNER_GPT2_H
#define SWEEP_RUNNER_GPT2_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "dataset.h"
#include "model.h"

/* What the largest batch may hold. */
struct gpt2_limits {
	size_t n_virtual, batch; /* virtual tokens; sequences */
	size_t rows, labels;     /* sums of n, and of predicted tokens, over a batch */
	size_t longest;          /* n of one sequence */
};

/* Dropout of a step; rates may differ by kind of site, 0 is none. */
struct gpt2_dropout {
	struct rng_key key;
	uint64_t step;
	double embedding, attention, residual;
};

struct gpt2_layer {
	float *in;  /* [N, D] residual stream that enters the layer */
	float *qkv; /* [N, 3D] without biases; of the last layer q is not used */
	float *mid; /* [N, D] residual stream between attention and MLP; [R, D] in the last layer */
	float *fc;  /* [N, F] c_fc's output without bias; [R, F] in the last layer */
};

/* One sequence of the batch at hand: rows begin .. begin + n - 1 of N; rows first .. first + labels - 1 of it predict a
 * label, and are rows label_begin .. of R. */
struct gpt2_sequence {
	const struct dataset_pair *pair;
	size_t begin, n, first, labels, label_begin;
};

struct gpt2 {
	const struct model *model;
	struct gpt2_limits limits;
	size_t threads;                  /* workspaces of attention */
	size_t n_sequence, rows, labels; /* of the batch at hand: N, R */
	struct gpt2_sequence *sequence;  /* [batch] */
	struct gpt2_row {
		uint32_t sequence, index; /* whose row it is, and which */
	} * row, *label_row;              /* [N], [R] */
	const struct gpt2_dropout *dropout;

	float *memory; /* one block for everything below */
	struct gpt2_layer *layers;
	float *x;      /* [R, D] after the last layer */
	float *last_q; /* [R, D] queries of the last layer */
	float *h, *y;  /* [N, D] */
	float *inner;  /* [N, F], and attention's output [N, D] */
	float *dqkv;   /* [N, 3D] */
	float *dx;     /* [N, D] */
	float *logits; /* [block_rows, V] */
	size_t block_rows;
	double *row_loss;    /* [R] */
	float *prefix_parts; /* [parts, v, 2D] gradients of one layer's prefix, a part of the batch each */
	size_t parts;
	float *attention; /* [threads, attention_floats] */
	size_t attention_floats;
};

/* The allocation is all there is: nothing is allocated by gpt2_step. Uses omp_get_max_threads() threads at most. */
int gpt2_init(struct gpt2 *g, const struct model *model, const struct gpt2_limits *limits, struct err *err);
void gpt2_release(struct gpt2 *g);

/* Rows of a pair that predict a label: the tokens from n_prompt on, but never the first. */
static inline size_t gpt2_labels(const struct dataset_pair *pair)
{
	size_t first = pair->n_prompt > 1 ? pair->n_prompt : 1;
	return pair->n > first ? pair->n - first : 0;
}

/* The mean cross-entropy over all labels of the batch (NaN when there are none). table [v, 2LD] as adapter.h has it;
 * dtable (same shape) is overwritten with the gradient, or NULL for the loss alone. dropout NULL is none. Pairs must
 * respect the limits. */
double gpt2_step(struct gpt2 *g, const struct dataset_pair *const *pairs, size_t n, const float *table,
		 const struct gpt2_dropout *dropout, float *dtable);

#endif
