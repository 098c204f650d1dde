/* random_model.h - a GPT-2 of any sizes with random weights N(0, scale), LayerNorm gains near 1, tied head.
 *
 *     struct model model = {.n_layer = 2, .n_head = 2, .n_embd = 16, .n_inner = 50, .n_positions = 64, .n_vocab = 33,
 *                           .layer_norm_epsilon = 1e-5f};
 *     random_model(&model, 3, 0.3f);
 *     random_model_release(&model);
 */
#ifndef SWEEP_TESTS_RANDOM_MODEL_H
#define SWEEP_TESTS_RANDOM_MODEL_H

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model.h"

static inline const float *random_tensor(size_t n, uint64_t seed, uint64_t *number, float mean, float scale)
{
	float *out = aligned_alloc(64, (n * sizeof *out + 63) / 64 * 64);
	if (!out)
		BUG("no memory for %zu weights", n);
	for (size_t i = 0; i < n; i++)
		out[i] = mean + scale * rng_normal(rng_key(seed, RNG_INIT), *number, i);
	++*number;
	return out;
}

static inline void random_model(struct model *m, uint64_t seed, float scale)
{
	size_t d = m->n_embd, f = m->n_inner;
	uint64_t number = 0;
	m->head_size = d / m->n_head;
	m->layers = mem_zero(m->n_layer, sizeof *m->layers);
	m->wte = m->lm_head = random_tensor(m->n_vocab * d, seed, &number, 0, scale);
	m->wpe = random_tensor(m->n_positions * d, seed, &number, 0, scale);
	for (size_t l = 0; l < m->n_layer; l++) {
		struct model_layer *w = &m->layers[l];
		w->ln1_gain = random_tensor(d, seed, &number, 1, scale);
		w->ln1_bias = random_tensor(d, seed, &number, 0, scale);
		w->attn_w = random_tensor(d * 3 * d, seed, &number, 0, scale);
		w->attn_b = random_tensor(3 * d, seed, &number, 0, scale);
		w->proj_w = random_tensor(d * d, seed, &number, 0, scale);
		w->proj_b = random_tensor(d, seed, &number, 0, scale);
		w->ln2_gain = random_tensor(d, seed, &number, 1, scale);
		w->ln2_bias = random_tensor(d, seed, &number, 0, scale);
		w->fc_w = random_tensor(d * f, seed, &number, 0, scale);
		w->fc_b = random_tensor(f, seed, &number, 0, scale);
		w->out_w = random_tensor(f * d, seed, &number, 0, scale);
		w->out_b = random_tensor(d, seed, &number, 0, scale);
	}
	m->lnf_gain = random_tensor(d, seed, &number, 1, scale);
	m->lnf_bias = random_tensor(d, seed, &number, 0, scale);
}

static inline void random_model_release(struct model *m)
{
	for (size_t l = 0; l < m->n_layer; l++) {
		const struct model_layer *w = &m->layers[l];
		const float *all[] = {w->ln1_gain, w->ln1_bias, w->attn_w, w->attn_b, w->proj_w, w->proj_b,
				      w->ln2_gain, w->ln2_bias, w->fc_w,   w->fc_b,   w->out_w,  w->out_b};
		for (size_t i = 0; i < sizeof all / sizeof *all; i++)
			free((float *)all[i]);
	}
	free((float *)m->wte);
	free((float *)m->wpe);
	free((float *)m->lnf_gain);
	free((float *)m->lnf_bias);
	free(m->layers);
	*m = (struct model){0};
}

#endif
