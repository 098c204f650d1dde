/* forward_oracle.h - GPT-2 with a prefix, one sequence at a time, in double and with plain loops: what forward.c and
 * search.c are compared with. */
#ifndef SWEEP_TESTS_FORWARD_ORACLE_H
#define SWEEP_TESTS_FORWARD_ORACLE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model.h"
#include "random_model.h"

/* OpenMP's threads wait for each other by spinning for milliseconds, which on a busy machine makes thousands of tiny
 * parallel regions take minutes. libgomp reads its settings when it is loaded: start again with short waits. */
__attribute__((unused)) static void naive_short_waits(char **argv)
{
	if (!getenv("GOMP_SPINCOUNT") && setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
		execv("/proc/self/exe", argv);
}

static void naive_norm(const double *x, const float *gain, const float *bias, double epsilon, size_t n, double *out)
{
	double mean = 0, variance = 0;
	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		variance += (x[i] - mean) * (x[i] - mean) / (double)n;
	for (size_t i = 0; i < n; i++)
		out[i] = (x[i] - mean) / sqrt(variance + epsilon) * (double)gain[i] + (double)bias[i];
}

/* out[m] = x[n] w[n, m] + b */
static void naive_linear(const double *x, const float *w, const float *b, size_t n, size_t m, double *out)
{
	for (size_t j = 0; j < m; j++) {
		out[j] = (double)b[j];
		for (size_t i = 0; i < n; i++)
			out[j] += x[i] * (double)w[i * m + j];
	}
}

/* Attention of position t of one layer: k, v are [n_prefix + t + 1, D]. */
static void naive_attend(const struct model *model, const double *q, const double *k, const double *v, size_t keys,
			 double *out)
{
	size_t d = model->head_size, width = model->n_embd;
	double *p = mem_array(keys, sizeof *p);
	for (size_t h = 0; h < model->n_head; h++) {
		double sum = 0;
		for (size_t j = 0; j < keys; j++) {
			p[j] = 0;
			for (size_t c = 0; c < d; c++)
				p[j] += q[h * d + c] * k[j * width + h * d + c];
			p[j] = exp(p[j] / sqrt((double)d));
			sum += p[j];
		}
		for (size_t c = 0; c < d; c++) {
			out[h * d + c] = 0;
			for (size_t j = 0; j < keys; j++)
				out[h * d + c] += p[j] / sum * v[j * width + h * d + c];
		}
	}
	free(p);
}

/* Logits [V] after the last of n ids. table: [n_prefix, 2 L D] as adapter.h has it. */
__attribute__((unused)) static void naive_logits(const struct model *model, const float *table, size_t n_prefix,
						 const int32_t *ids, size_t n, float *logits)
{
	size_t d = model->n_embd, f = model->n_inner, keys = n_prefix + n;
	double *x = mem_array(n * d, sizeof *x), *k = mem_array(keys * d, sizeof *k),
	       *v = mem_array(keys * d, sizeof *v);
	double *q = mem_array(n * d, sizeof *q), *h = mem_array(3 * d + f, sizeof *h),
	       *y = mem_array(3 * d + f, sizeof *y);
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < d; c++)
			x[i * d + c] =
				(double)model->wte[(size_t)ids[i] * d + c] + (double)model->wpe[(n_prefix + i) * d + c];
	for (size_t l = 0; l < model->n_layer; l++) {
		const struct model_layer *w = &model->layers[l];
		for (size_t j = 0; j < n_prefix; j++)
			for (size_t c = 0; c < d; c++) {
				k[j * d + c] = (double)table[(j * model->n_layer + l) * 2 * d + c];
				v[j * d + c] = (double)table[((j * model->n_layer + l) * 2 + 1) * d + c];
			}
		for (size_t i = 0; i < n; i++) {
			naive_norm(x + i * d, w->ln1_gain, w->ln1_bias, (double)model->layer_norm_epsilon, d, h);
			naive_linear(h, w->attn_w, w->attn_b, d, 3 * d, y);
			memcpy(q + i * d, y, d * sizeof *y);
			memcpy(k + (n_prefix + i) * d, y + d, d * sizeof *y);
			memcpy(v + (n_prefix + i) * d, y + 2 * d, d * sizeof *y);
		}
		for (size_t i = 0; i < n; i++) {
			naive_attend(model, q + i * d, k, v, n_prefix + i + 1, h);
			naive_linear(h, w->proj_w, w->proj_b, d, d, y);
			for (size_t c = 0; c < d; c++)
				x[i * d + c] += y[c];
			naive_norm(x + i * d, w->ln2_gain, w->ln2_bias, (double)model->layer_norm_epsilon, d, h);
			naive_linear(h, w->fc_w, w->fc_b, d, f, y);
			for (size_t c = 0; c < f; c++)
				y[c] = 0.5 * y[c] * (1 + tanh(sqrt(2 / M_PI) * (y[c] + 0.044715 * y[c] * y[c] * y[c])));
			naive_linear(y, w->out_w, w->out_b, f, d, h);
			for (size_t c = 0; c < d; c++)
				x[i * d + c] += h[c];
		}
	}
	naive_norm(x + (n - 1) * d, model->lnf_gain, model->lnf_bias, (double)model->layer_norm_epsilon, d, h);
	for (size_t t = 0; t < model->n_vocab; t++) {
		double sum = 0;
		for (size_t c = 0; c < d; c++)
			sum += h[c] * (double)model->lm_head[t * d + c];
		logits[t] = (float)sum;
	}
	free(x);
	free(k);
	free(v);
	free(q);
	free(h);
	free(y);
}

/* A random model and prefix for tests. */
__attribute__((unused)) static struct model naive_model(size_t layers, size_t heads, size_t head_size, size_t vocab,
							uint64_t seed, float scale)
{
	struct model model = {.n_layer = layers,
			      .n_head = heads,
			      .n_embd = heads * head_size,
			      .n_inner = 3 * heads * head_size + 5,
			      .n_positions = 64,
			      .n_vocab = vocab,
			      .layer_norm_epsilon = 1e-5f,
			      .eos_token_id = 3};
	random_model(&model, seed, scale);
	return model;
}

__attribute__((unused)) static float *naive_table(const struct model *model, size_t n_prefix, uint64_t seed)
{
	size_t n = n_prefix * 2 * model->n_layer * model->n_embd;
	float *table = mem_array(n, sizeof *table);
	for (size_t i = 0; i < n; i++)
		table[i] = rng_normal(rng_key(seed, RNG_INIT), 77, i);
	return table;
}

#endif
