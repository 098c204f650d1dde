/* model.h - a GPT-2 in memory: sizes and weights, as a Hugging Face folder gives them (docs/REFERENCE.md, 2).
 *
 *     struct model model;
 *     if (model_load(&model, "/path/to/distilgpt2", err) < 0) return -1;
 *     model.layers[0].attn_w ...
 *     model_release(&model);
 *
 * F32 weights point straight into the mmapped file, so that all workers on a machine share those pages; F16 and BF16
 * weights are widened once into private memory. All matrices are row-major, [in, out] as GPT-2's Conv1D stores them. */
#ifndef SWEEP_RUNNER_MODEL_H
#define SWEEP_RUNNER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct model_layer {
	const float *ln1_gain, *ln1_bias; /* [D] */
	const float *attn_w, *attn_b;     /* [D, 3D], [3D]: columns Q | K | V, each head-major */
	const float *proj_w, *proj_b;     /* [D, D], [D] */
	const float *ln2_gain, *ln2_bias; /* [D] */
	const float *fc_w, *fc_b;         /* [D, F], [F] */
	const float *out_w, *out_b;       /* [F, D], [D] */
};

struct model {
	size_t n_layer, n_head, n_embd /* D */, n_inner /* F, 4D by default */, n_positions, n_vocab /* V */;
	size_t head_size; /* D / n_head */
	float layer_norm_epsilon;
	double embd_pdrop, attn_pdrop, resid_pdrop;
	int32_t eos_token_id;
	const float *wte;                 /* [V, D] */
	const float *wpe;                 /* [n_positions, D] */
	const float *lnf_gain, *lnf_bias; /* [D] */
	const float *lm_head;             /* [V, D]; wte when tied */
	struct model_layer *layers;       /* [n_layer] */
	void *owned;                      /* model.c's: the mapping and widened copies */
};

/* Reads config.json, generation_config.json (base/generation.h) and model.safetensors of a folder. Refuses another
 * architecture, tensors that are missing, misshapen or of another type, and features of GPT-2 variants that would
 * change results (scale_attn_by_inverse_layer_idx, other activations, cross-attention). */
int model_load(struct model *model, const char *dir, struct err *err);
void model_release(struct model *model);
/* Is this weight in the mapped file, and not in private memory? */
bool model_in_file(const struct model *model, const float *weight);
/* Equal for two processes that loaded the same files; 0 for a model that is in no file. */
uint64_t model_identity(const struct model *model);

#endif
