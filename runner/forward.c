/* forward.c - see forward.h. Matrix products through gemm.h; everything between them row by row in parallel. */
#include "forward.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gemm.h"
#include "ops.h"

static float *rows_of(size_t rows, size_t width)
{
	size_t n;
	return mem_mul_overflows(rows, width, &n) || n > SIZE_MAX / sizeof(float) ? NULL : malloc(n * sizeof(float));
}

int forward_init(struct forward *forward, const struct model *model, const struct packed *packed, struct kvcache *cache,
		 size_t max_rows, struct err *err)
{
	size_t d = model->n_embd;
	*forward = (struct forward){.model = model, .packed = packed, .cache = cache, .max_rows = max_rows};
	forward->x = rows_of(max_rows, d);
	forward->norm = rows_of(max_rows, d);
	forward->qkv = rows_of(max_rows, 3 * d);
	forward->mixed = rows_of(max_rows, d);
	forward->inner = rows_of(max_rows, model->n_inner);
	forward->n_threads = omp_get_max_threads();
	forward->scratch = calloc((size_t)forward->n_threads, sizeof *forward->scratch);
	if (!forward->x || !forward->norm || !forward->qkv || !forward->mixed || !forward->inner || !forward->scratch) {
		forward_release(forward);
		return err_set(err, ERR_SYSTEM, "out of memory for %zu rows of activations", max_rows);
	}
	for (int i = 0; i < forward->n_threads; i++)
		if (kvcache_scratch_init(&forward->scratch[i], cache, err) < 0) {
			forward_release(forward);
			return -1;
		}
	return 0;
}

void forward_release(struct forward *forward)
{
	free(forward->x);
	free(forward->norm);
	free(forward->qkv);
	free(forward->mixed);
	free(forward->inner);
	for (int i = 0; forward->scratch && i < forward->n_threads; i++)
		kvcache_scratch_release(&forward->scratch[i]);
	free(forward->scratch);
	*forward = (struct forward){0};
}

static void embed(struct forward *forward, const struct forward_row *rows, size_t n)
{
	const struct model *model = forward->model;
	size_t d = model->n_embd;
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_sum(model->wte + (size_t)rows[i].token * d, model->wpe + rows[i].position * d, d,
			forward->x + i * d);
}

/* out[n, columns] = x[n, k] w[k, columns], with the packed copy of w where there is one. */
static void multiply(size_t n, const float *x, size_t k, const struct gemm_packed *packed, const float *w,
		     size_t columns, float *out)
{
	if (packed)
		gemm_with(n, x, k, packed, out, columns);
	else
		gemm(n, columns, k, x, k, 1, w, columns, 1, 0, out, columns);
}

/* Queries, keys and values of all rows; the keys and values go into the cache. */
static void project(struct forward *forward, const struct forward_row *rows, size_t n, size_t layer)
{
	const struct model *model = forward->model;
	const struct model_layer *w = &model->layers[layer];
	size_t d = model->n_embd;
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_layernorm(forward->x + i * d, w->ln1_gain, w->ln1_bias, model->layer_norm_epsilon, d,
			      forward->norm + i * d);
	multiply(n, forward->norm, d, forward->packed ? &forward->packed->layers[layer].attn : NULL, w->attn_w, 3 * d,
		 forward->qkv);
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++) {
		float *q = forward->qkv + i * 3 * d;
		const struct kvcache_view *view = &rows[i].view;
		ops_add(q, w->attn_b, 3 * d);
		if (view->n_path == 0)
			kvcache_put_prompt(forward->cache, layer, view->prompt, view->n_prompt - 1, q + d, q + 2 * d);
		else
			kvcache_put_step(forward->cache, layer, view->path[view->n_path - 1], view->n_path - 1, q + d,
					 q + 2 * d);
	}
}

/* Attention of rows keep[0..n) (NULL: 0..n) into mixed[n, D]. Eight neighbouring rows, mostly beams of one input, go
 * through the heads together, so that they find their prompt's keys in the core's cache. */
static void attend(struct forward *forward, const struct forward_row *rows, const uint32_t *keep, size_t n,
		   size_t layer)
{
	const struct model *model = forward->model;
	const size_t together = 8;
	size_t d = model->n_embd, items = n * model->n_head;
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t item = 0; item < items; item++) {
		size_t first = item / (together * model->n_head) * together, rest = item - first * model->n_head;
		size_t block = n - first < together ? n - first : together;
		size_t head = rest / block, i = first + rest % block, row = keep ? keep[i] : i;
		size_t at = head * model->head_size;
		kvcache_attend(forward->cache, layer, head, forward->qkv + row * 3 * d + at, &rows[row].view,
			       &forward->scratch[omp_get_thread_num()], forward->mixed + i * d + at);
	}
}

/* The rest of a layer for n rows: output projection, residual, and the MLP. */
static void finish(struct forward *forward, size_t n, size_t layer)
{
	const struct model *model = forward->model;
	const struct model_layer *w = &model->layers[layer];
	size_t d = model->n_embd, f = model->n_inner;
	const struct packed_layer *packed = forward->packed ? &forward->packed->layers[layer] : NULL;
	multiply(n, forward->mixed, d, packed ? &packed->proj : NULL, w->proj_w, d, forward->norm);
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++) {
		ops_add_bias_residual(forward->x + i * d, forward->norm + i * d, w->proj_b, d);
		ops_layernorm(forward->x + i * d, w->ln2_gain, w->ln2_bias, model->layer_norm_epsilon, d,
			      forward->norm + i * d);
	}
	multiply(n, forward->norm, d, packed ? &packed->fc : NULL, w->fc_w, f, forward->inner);
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_bias_gelu(forward->inner + i * f, w->fc_b, f, forward->inner + i * f);
	multiply(n, forward->inner, f, packed ? &packed->out : NULL, w->out_w, d, forward->norm);
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_add_bias_residual(forward->x + i * d, forward->norm + i * d, w->out_b, d);
}

static void share(struct forward *forward, const struct forward_share *shares, size_t n, size_t layer)
{
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t head = 0; head < forward->model->n_head; head++)
		for (size_t i = 0; i < n; i++)
			kvcache_copy_prompt(forward->cache, layer, head, shares[i].from, shares[i].to, shares[i].n);
}

/* keep NULL: all rows. */
static void run(struct forward *forward, const struct forward_row *rows, size_t n, const struct forward_share *shares,
		size_t n_shares, const uint32_t *keep, size_t n_keep, float *hidden)
{
	const struct model *model = forward->model;
	size_t d = model->n_embd;
	embed(forward, rows, n);
	for (size_t layer = 0; layer < model->n_layer; layer++) {
		bool last = layer + 1 == model->n_layer;
		project(forward, rows, n, layer);
		if (n_shares > 0)
			share(forward, shares, n_shares, layer);
		/* Above the last layer's keys and values only the wanted rows matter. */
		if (last && keep) {
			for (size_t i = 0; i < n_keep; i++)
				memmove(forward->x + i * d, forward->x + keep[i] * d, d * sizeof(float));
			attend(forward, rows, keep, n_keep, layer);
			finish(forward, n_keep, layer);
		} else {
			attend(forward, rows, NULL, n, layer);
			finish(forward, n, layer);
		}
	}
#pragma omp parallel for num_threads(forward->n_threads) schedule(static)
	for (size_t i = 0; i < n_keep; i++)
		ops_layernorm(forward->x + i * d, model->lnf_gain, model->lnf_bias, model->layer_norm_epsilon, d,
			      hidden + i * d);
}

void forward_rows(struct forward *forward, const struct forward_row *rows, size_t n, float *hidden)
{
	run(forward, rows, n, NULL, 0, NULL, n, hidden);
}

void forward_prompts(struct forward *forward, const struct forward_row *rows, size_t n,
		     const struct forward_share *shares, size_t n_shares, const uint32_t *keep, size_t n_keep,
		     float *hidden)
{
	run(forward, rows, n, shares, n_shares, keep, n_keep, hidden);
}

void forward_logits(const struct forward *forward, const float *hidden, size_t n, float *logits, size_t ld)
{
	const struct model *model = forward->model;
	size_t d = model->n_embd;
	if (forward->packed)
		gemm_with(n, hidden, d, &forward->packed->lm_head, logits, ld);
	else
		gemm(n, model->n_vocab, d, hidden, d, 1, model->lm_head, 1, d, 0, logits, ld);
}
