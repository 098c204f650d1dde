/* packed.h - a model's matrices in the order in which the micro-kernel reads them (gemm.h). Decoding multiplies a few
 * hundred rows by every matrix at each step; to pack them each time took an eighth of it.
 *
 *     struct packed *packed = packed_make(&model, packed_inherited(), err);    for forward_init and search_run
 *     packed_release(packed);                                                  before the model
 *
 * The results have the same bits with and without. The memory is as large as the matrices; pages of the model's file
 * that were read for it are given back, so that a process does not grow by it.
 *
 * Workers share it: the scheduler makes one empty file in memory (memfd) that all of them inherit. The first worker
 * packs into it while the others wait for its lock; they map what they find. A worker that finds another model's
 * weights there, or no room, packs into memory of its own. The file is gone with the last process that has it. */
#ifndef SWEEP_RUNNER_PACKED_H
#define SWEEP_RUNNER_PACKED_H

#include <stdbool.h>

#include "gemm.h"
#include "model.h"

struct packed_layer {
	struct gemm_packed attn, proj, fc, out;
};

struct packed {
	struct packed_layer *layers; /* [n_layer] */
	struct gemm_packed lm_head;  /* [D, V] */
	void *map;
	size_t map_bytes;
	bool shared; /* in the shared file */
};

/* The descriptor that the environment variable SWEEP_WEIGHTS_FD names, -1 without. */
int packed_inherited(void);
/* shared: the file, or -1. NULL and err when memory is short. */
struct packed *packed_make(const struct model *model, int shared, struct err *err);
void packed_release(struct packed *packed); /* NULL is fine */

#endif
