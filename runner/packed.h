/* packed.h - a model's matrices in the order in which the micro-kernel reads them (gemm.h). Decoding multiplies a few
 * hundred rows by every matrix at each step; to pack them each time took an eighth of it.
 *
 *     if (packed_make(&model, err) < 0) return -1;           model.packed is there; forward.c uses it from now on
 *     model_release(&model);                                 releases it
 *
 * The results have the same bits with and without. The memory is as large as the matrices; the pages of the model's
 * file that were read for it are given back, so that the process does not grow. */
#ifndef SWEEP_RUNNER_PACKED_H
#define SWEEP_RUNNER_PACKED_H

#include "gemm.h"
#include "model.h"

struct packed_layer {
	struct gemm_packed attn, proj, fc, out;
};

struct packed {
	struct packed_layer *layers; /* [n_layer] */
	struct gemm_packed lm_head;  /* [D, V] */
	void *memory;
	size_t bytes;
};

int packed_make(struct model *model, struct err *err);
void packed_release(struct packed *packed); /* NULL is fine */

#endif
