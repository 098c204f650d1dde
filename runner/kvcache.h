/* kvcache.h - keys and values of everything that decoding has seen, and attention over them.
 *
 *     struct kvcache cache;
 *     kvcache_init(&cache, &model, adapter.table, adapter.n_virtual, &room, err)
 *     kvcache_put_prompt(&cache, layer, prompt, i, k, v);           token i of a prompt
 *     kvcache_put_step(&cache, layer, lane, t, k, v);               generated token t (from 0) of the beam in a lane
 *     kvcache_attend(&cache, layer, head, q, &view, &scratch, out)
 *
 * Three stores: the prefix, once for the whole batch; prompts, once for each input and shared by its beams and
 * searches; and lanes, one for each row of the batch, with the tokens generated in it. When beams are reordered no key
 * moves: the new beam's path names, for every generated token, the lane that holds it. Runs of one lane lie contiguous,
 * [T, d], so that attention reads long stretches. Memory that was never written is never touched (calloc), so room for
 * the longest prompt and text costs nothing until it is used. */
#ifndef SWEEP_RUNNER_KVCACHE_H
#define SWEEP_RUNNER_KVCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model.h"

struct kvcache_room {
	size_t prompts, prompt_tokens; /* inputs at a time, longest prompt */
	size_t lanes, lane_tokens;     /* rows at a time, longest text */
};

struct kvcache {
	size_t n_layer, n_head, head_size;
	size_t width; /* head_size rounded up to whole vectors; the rest is 0 */
	size_t n_prefix;
	struct kvcache_room room;
	float *prefix[2]; /* keys, values: [L, H, n_prefix, width] */
	float *prompt[2]; /* [prompts, L, H, prompt_tokens, width] */
	float *lane[2];   /* [lanes, L, H, lane_tokens, width] */
};

/* What one row attends to: the prefix, the first n_prompt tokens of a prompt, and the generated tokens path[0..n_path).
 */
struct kvcache_view {
	uint32_t prompt, n_prompt, n_path;
	const uint32_t *path; /* lane of generated token 0, 1, ... */
};

/* One thread's memory for kvcache_attend. */
struct kvcache_run;
struct kvcache_scratch {
	float *query, *scores;
	struct kvcache_run *runs;
};

/* table: adapter.h's, or NULL with n_prefix 0. */
int kvcache_init(struct kvcache *cache, const struct model *model, const float *table, size_t n_prefix,
		 const struct kvcache_room *room, struct err *err);
void kvcache_release(struct kvcache *cache);
int kvcache_scratch_init(struct kvcache_scratch *scratch, const struct kvcache *cache, struct err *err);
void kvcache_scratch_release(struct kvcache_scratch *scratch);
/* Bytes of keys and values for one token. */
size_t kvcache_token_bytes(const struct model *model);

/* k, v: [D], head-major. */
void kvcache_put_prompt(struct kvcache *cache, size_t layer, size_t prompt, size_t token, const float *k,
			const float *v);
/* The first n tokens of a prompt are those of another one: keys and values of one layer, head by head. */
void kvcache_copy_prompt(struct kvcache *cache, size_t layer, size_t head, size_t from, size_t to, size_t n);
void kvcache_put_step(struct kvcache *cache, size_t layer, size_t lane, size_t token, const float *k, const float *v);

/* out[head_size] = softmax(q k / sqrt(head_size)) v of one head of one row. Depends on that row alone. */
void kvcache_attend(const struct kvcache *cache, size_t layer, size_t head, const float *q,
		    const struct kvcache_view *view, struct kvcache_scratch *scratch, float *out);

#endif
