/* kvcache.c - the stores of kvcache.h and attention of one row and head over them.
 *
 * A row's keys are a few runs of contiguous [n, width] blocks: prefix, prompt, then one run for each change of lane in
 * its path. Scores are dot products key by key, the output is summed key by key in the order of positions, so the bits
 * depend on the row's own history alone. */
#include "kvcache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ops.h"
#include "simd.h"

struct kvcache_run {
	const float *k, *v; /* [n, width] */
	size_t n;
};

static size_t padded(size_t head_size)
{
	return (head_size + 7) / 8 * 8;
}

size_t kvcache_token_bytes(const struct model *model)
{
	return 2 * model->n_layer * model->n_head * padded(model->head_size) * sizeof(float);
}

/* Floats for `tokens` tokens, `count` times over; 0 on overflow. */
static size_t floats(const struct kvcache *cache, size_t count, size_t tokens)
{
	size_t n = cache->n_layer * cache->n_head * cache->width;
	if (mem_mul_overflows(n, tokens, &n) || mem_mul_overflows(n, count, &n) || n > SIZE_MAX / sizeof(float))
		return 0;
	return n;
}

int kvcache_init(struct kvcache *cache, const struct model *model, const float *table, size_t n_prefix,
		 const struct kvcache_room *room, struct err *err)
{
	*cache = (struct kvcache){.n_layer = model->n_layer,
				  .n_head = model->n_head,
				  .head_size = model->head_size,
				  .width = padded(model->head_size),
				  .n_prefix = n_prefix,
				  .room = *room};
	size_t n_prompt = floats(cache, room->prompts, room->prompt_tokens);
	size_t n_lane = floats(cache, room->lanes, room->lane_tokens);
	for (int i = 0; i < 2; i++) {
		cache->prefix[i] = calloc(floats(cache, 1, n_prefix) + 1, sizeof(float));
		cache->prompt[i] = n_prompt ? calloc(n_prompt, sizeof(float)) : NULL;
		cache->lane[i] = n_lane ? calloc(n_lane, sizeof(float)) : NULL;
		if (!cache->prefix[i] || !cache->prompt[i] || !cache->lane[i]) {
			kvcache_release(cache);
			return err_set(err, ERR_SYSTEM,
				       "out of memory for the keys and values of %zu rows of up to %zu tokens",
				       room->lanes, room->lane_tokens);
		}
	}
	/* flat[j][(2 l + i) H d + h d + c] (docs/REFERENCE.md, 3.2) */
	size_t d = cache->head_size, heads = cache->n_layer * cache->n_head;
	for (size_t j = 0; j < n_prefix; j++)
		for (size_t lh = 0; lh < heads; lh++)
			for (size_t i = 0; i < 2; i++) {
				size_t layer = lh / cache->n_head, head = lh % cache->n_head;
				memcpy(cache->prefix[i] + (lh * n_prefix + j) * cache->width,
				       table + ((j * cache->n_layer + layer) * 2 + i) * cache->n_head * d + head * d,
				       d * sizeof(float));
			}
	return 0;
}

void kvcache_release(struct kvcache *cache)
{
	for (int i = 0; i < 2; i++) {
		free(cache->prefix[i]);
		free(cache->prompt[i]);
		free(cache->lane[i]);
	}
	*cache = (struct kvcache){0};
}

int kvcache_scratch_init(struct kvcache_scratch *scratch, const struct kvcache *cache, struct err *err)
{
	size_t tokens = cache->n_prefix + cache->room.prompt_tokens + cache->room.lane_tokens;
	scratch->query = calloc(cache->width, sizeof *scratch->query);
	scratch->scores = calloc(tokens + 4, sizeof *scratch->scores);
	scratch->runs = calloc(2 + cache->room.lane_tokens, sizeof *scratch->runs);
	if (scratch->query && scratch->scores && scratch->runs)
		return 0;
	kvcache_scratch_release(scratch);
	return err_set(err, ERR_SYSTEM, "out of memory for attention over %zu tokens", tokens);
}

void kvcache_scratch_release(struct kvcache_scratch *scratch)
{
	free(scratch->query);
	free(scratch->scores);
	free(scratch->runs);
	*scratch = (struct kvcache_scratch){0};
}

static size_t prompt_at(const struct kvcache *cache, size_t prompt, size_t layer, size_t head, size_t token)
{
	size_t block = (prompt * cache->n_layer + layer) * cache->n_head + head;
	return (block * cache->room.prompt_tokens + token) * cache->width;
}

static size_t lane_at(const struct kvcache *cache, size_t lane, size_t layer, size_t head, size_t token)
{
	size_t block = (lane * cache->n_layer + layer) * cache->n_head + head;
	return (block * cache->room.lane_tokens + token) * cache->width;
}

void kvcache_put_prompt(struct kvcache *cache, size_t layer, size_t prompt, size_t token, const float *k,
			const float *v)
{
	size_t d = cache->head_size;
	for (size_t head = 0; head < cache->n_head; head++) {
		size_t at = prompt_at(cache, prompt, layer, head, token);
		memcpy(cache->prompt[0] + at, k + head * d, d * sizeof(float));
		memcpy(cache->prompt[1] + at, v + head * d, d * sizeof(float));
	}
}

void kvcache_copy_prompt(struct kvcache *cache, size_t layer, size_t head, size_t from, size_t to, size_t n)
{
	size_t source = prompt_at(cache, from, layer, head, 0), target = prompt_at(cache, to, layer, head, 0);
	for (int i = 0; i < 2; i++)
		memcpy(cache->prompt[i] + target, cache->prompt[i] + source, n * cache->width * sizeof(float));
}

void kvcache_put_step(struct kvcache *cache, size_t layer, size_t lane, size_t token, const float *k, const float *v)
{
	size_t d = cache->head_size;
	for (size_t head = 0; head < cache->n_head; head++) {
		size_t at = lane_at(cache, lane, layer, head, token);
		memcpy(cache->lane[0] + at, k + head * d, d * sizeof(float));
		memcpy(cache->lane[1] + at, v + head * d, d * sizeof(float));
	}
}

/* The runs of one row, layer and head; returns how many. */
static size_t find_runs(const struct kvcache *cache, size_t layer, size_t head, const struct kvcache_view *view,
			struct kvcache_run *runs)
{
	size_t n = 0;
	if (cache->n_prefix > 0) {
		size_t at = (layer * cache->n_head + head) * cache->n_prefix * cache->width;
		runs[n++] = (struct kvcache_run){cache->prefix[0] + at, cache->prefix[1] + at, cache->n_prefix};
	}
	if (view->n_prompt > 0) {
		size_t at = prompt_at(cache, view->prompt, layer, head, 0);
		runs[n++] = (struct kvcache_run){cache->prompt[0] + at, cache->prompt[1] + at, view->n_prompt};
	}
	for (size_t i = 0, end; i < view->n_path; i = end) {
		for (end = i + 1; end < view->n_path && view->path[end] == view->path[i]; end++)
			continue;
		size_t at = lane_at(cache, view->path[i], layer, head, i);
		runs[n++] = (struct kvcache_run){cache->lane[0] + at, cache->lane[1] + at, end - i};
	}
	return n;
}

/* The sums of four vectors, each in the order ((0+1)+(2+3)) + ((4+5)+(6+7)): transposing adds, no trip through memory.
 */
typedef float v4 __attribute__((vector_size(16)));
typedef float v4_any __attribute__((vector_size(16), aligned(4), may_alias));
SIMD_INLINE v4 sum_four(v8 a, v8 b, v8 c, v8 d)
{
	const v8i even = {0, 8, 2, 10, 4, 12, 6, 14}, odd = {1, 9, 3, 11, 5, 13, 7, 15};
	const v8i low = {0, 1, 8, 9, 4, 5, 12, 13}, high = {2, 3, 10, 11, 6, 7, 14, 15};
	v8 ab = simd_shuffle(a, b, even) + simd_shuffle(a, b, odd);
	v8 cd = simd_shuffle(c, d, even) + simd_shuffle(c, d, odd);
	v8 halves = simd_shuffle(ab, cd, low) + simd_shuffle(ab, cd, high);
	union {
		v8 whole;
		v4 half[2];
	} parts = {halves};
	return parts.half[0] + parts.half[1];
}

/* scores[n] = q k; all widths whole vectors. Always four keys at a time, so that a key's bits do not depend on its
 * place in a run: the last ones are repeated, and scores has room for them. */
SIMD_CLONES static void score_run(const float *q, const float *k, size_t n, size_t width, float *scores)
{
	for (size_t j = 0; j < n; j += 4, k += 4 * width) {
		const float *k1 = j + 1 < n ? k + width : k, *k2 = j + 2 < n ? k + 2 * width : k,
			    *k3 = j + 3 < n ? k + 3 * width : k;
		v8 a = simd_set(0), b = a, c = a, d = a;
		for (size_t i = 0; i < width; i += 8) {
			v8 x = simd_load(q + i);
			a += x * simd_load(k + i);
			b += x * simd_load(k1 + i);
			c += x * simd_load(k2 + i);
			d += x * simd_load(k3 + i);
		}
		*(v4_any *)(scores + j) = sum_four(a, b, c, d);
	}
}

/* out[8 n] = scale * sum of weights[j] v[j] over all runs, for n <= 8 vectors of columns that stay in registers. */
SIMD_INLINE void mix_columns(const struct kvcache_run *runs, size_t n_runs, const float *weights, float scale,
			     size_t width, size_t at, size_t n, float *out)
{
	v8 sum[8];
	for (size_t c = 0; c < n; c++)
		sum[c] = simd_set(0);
	for (size_t r = 0; r < n_runs; r++) {
		const float *v = runs[r].v + at;
		for (size_t j = 0; j < runs[r].n; j++, v += width) {
			float p = *weights++;
			for (size_t c = 0; c < n; c++)
				sum[c] += p * simd_load(v + 8 * c);
		}
	}
	for (size_t c = 0; c < n; c++)
		simd_store(out + at + 8 * c, sum[c] * scale);
}

SIMD_CLONES static void mix_runs(const struct kvcache_run *runs, size_t n_runs, const float *weights, float scale,
				 size_t width, float *out)
{
	size_t at = 0;
	for (; at + 64 <= width; at += 64)
		mix_columns(runs, n_runs, weights, scale, width, at, 8, out);
	for (; at + 32 <= width; at += 32)
		mix_columns(runs, n_runs, weights, scale, width, at, 4, out);
	for (; at < width; at += 8)
		mix_columns(runs, n_runs, weights, scale, width, at, 1, out);
}

void kvcache_attend(const struct kvcache *cache, size_t layer, size_t head, const float *q,
		    const struct kvcache_view *view, struct kvcache_scratch *scratch, float *out)
{
	size_t d = cache->head_size, width = cache->width;
	float scale = 1 / sqrtf((float)d);
	for (size_t i = 0; i < d; i++)
		scratch->query[i] = q[i] * scale;
	size_t n_runs = find_runs(cache, layer, head, view, scratch->runs), n = 0;
	for (size_t r = 0; r < n_runs; r++) {
		score_run(scratch->query, scratch->runs[r].k, scratch->runs[r].n, width, scratch->scores + n);
		n += scratch->runs[r].n;
	}
	float sum = ops_exp_sum(scratch->scores, ops_max(scratch->scores, n), n);
	/* the query is used up: its padded memory takes the result */
	mix_runs(scratch->runs, n_runs, scratch->scores, 1 / sum, width, scratch->query);
	memcpy(out, scratch->query, d * sizeof *out);
	memset(scratch->query + d, 0, (width - d) * sizeof *scratch->query);
}
