/* decode_oracle.h - generate() of transformers 4.50 for one input, written as plainly as docs/REFERENCE.md, 5 states
 * it: full sorts over all B * V pairs, whole sequences copied, dead beams carried along at -1e9 and -infinity. What the
 * fast code of sample.c, beam.c and search.c is compared with. */
#ifndef SWEEP_TESTS_DECODE_ORACLE_H
#define SWEEP_TESTS_DECODE_ORACLE_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/params.h"
#include "base/rng.h"

/* Logits [V] after n generated tokens. */
typedef void (*oracle_model)(void *ctx, const int32_t *generated, size_t n, float *logits);

struct oracle {
	oracle_model model;
	void *ctx;
	size_t vocab, n_beams, steps;
	int32_t eos;
	bool do_sample;
	double temperature, top_p, length_penalty;
	size_t top_k;
	int early_stopping;
	uint64_t seed, hash;
};

struct oracle_sequence {
	float score;
	bool finished;
	size_t n;
	int32_t ids[64];
};

struct oracle_rank {
	float value;
	size_t index;
};

static int oracle_by_value(const void *a, const void *b)
{
	const struct oracle_rank *x = a, *y = b;
	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Indices of all n values, largest first, ties by index. */
static struct oracle_rank *oracle_sort(const float *values, size_t n)
{
	struct oracle_rank *ranks = mem_array(n, sizeof *ranks);
	for (size_t i = 0; i < n; i++)
		ranks[i] = (struct oracle_rank){values[i], i};
	qsort(ranks, n, sizeof *ranks, oracle_by_value);
	return ranks;
}

static void oracle_softmax(const float *x, size_t n, float *p)
{
	float top = -INFINITY;
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		top = x[i] > top ? x[i] : top;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)(x[i] - top));
	for (size_t i = 0; i < n; i++)
		p[i] = (float)exp((double)(x[i] - top)) / (float)sum;
}

/* log_softmax in beam modes, then temperature, top_k, top_p on one row, in place. */
static void oracle_process(const struct oracle *o, float *x)
{
	size_t v = o->vocab, keep = o->n_beams > 1 ? 2 : 1;
	if (o->n_beams > 1) {
		float top = -INFINITY;
		double sum = 0;
		for (size_t i = 0; i < v; i++)
			top = x[i] > top ? x[i] : top;
		for (size_t i = 0; i < v; i++)
			sum += exp((double)(x[i] - top));
		for (size_t i = 0; i < v; i++)
			x[i] = (x[i] - top) - (float)log(sum);
	}
	if (!o->do_sample)
		return;
	if (o->temperature != 1)
		for (size_t i = 0; i < v; i++)
			x[i] /= (float)o->temperature;
	if (o->top_k > 0) {
		struct oracle_rank *ranks = oracle_sort(x, v);
		size_t k = o->top_k > keep ? o->top_k : keep;
		float least = ranks[(k < v ? k : v) - 1].value;
		for (size_t i = 0; i < v; i++)
			x[i] = x[i] < least ? -INFINITY : x[i];
		free(ranks);
	}
	if (o->top_p < 1) {
		struct oracle_rank *ranks = oracle_sort(x, v);
		float *p = mem_array(v, sizeof *p);
		oracle_softmax(x, v, p);
		double sum = 0;
		for (size_t i = v; i-- > keep;) { /* ascending */
			sum += (double)p[ranks[i].index];
			if ((float)sum <= (float)(1 - o->top_p))
				x[ranks[i].index] = -INFINITY;
		}
		free(p);
		free(ranks);
	}
}

static float oracle_exponential(const struct oracle *o, size_t step, uint64_t index)
{
	uint32_t r = rng_u32(rng_key(o->seed, RNG_SAMPLE), o->hash + step, index);
	return (float)-log(((double)r + 0.5) / 4294967296.0);
}

/* The first c of all pairs: by score, or by p / E. Returns their indices (the caller frees). */
static size_t *oracle_candidates(const struct oracle *o, const float *a, size_t n, size_t c, size_t step)
{
	float *key = mem_array(n, sizeof *key);
	memcpy(key, a, n * sizeof *key);
	if (o->do_sample) {
		oracle_softmax(a, n, key);
		for (size_t i = 0; i < n; i++)
			key[i] /= oracle_exponential(o, step, i);
	}
	struct oracle_rank *ranks = oracle_sort(key, n);
	size_t *best = mem_array(c, sizeof *best);
	for (size_t i = 0; i < c; i++)
		best[i] = ranks[i].index;
	free(ranks);
	free(key);
	return best;
}

static void oracle_one(const struct oracle *o, int32_t *ids, size_t *n)
{
	float *x = mem_array(o->vocab, sizeof *x);
	for (*n = 0; *n < o->steps;) {
		o->model(o->ctx, ids, *n, x);
		oracle_process(o, x);
		size_t *best = oracle_candidates(o, x, o->vocab, 1, *n + 1);
		ids[(*n)++] = (int32_t)best[0];
		free(best);
		if (ids[*n - 1] == o->eos)
			break;
	}
	free(x);
}

/* The B best of n sequences, in order. */
static void oracle_best(struct oracle_sequence *all, const float *scores, size_t n, size_t b,
			struct oracle_sequence *out)
{
	struct oracle_rank *ranks = oracle_sort(scores, n);
	for (size_t i = 0; i < b; i++) {
		out[i] = all[ranks[i].index];
		out[i].score = scores[ranks[i].index];
	}
	free(ranks);
}

static bool oracle_goes_on(const struct oracle *o, const struct oracle_sequence *running,
			   const struct oracle_sequence *done, size_t t, bool all_hit)
{
	double length =
		o->early_stopping == EARLY_STOPPING_NEVER && o->length_penalty > 0 ? (double)o->steps : (double)t;
	float best = running[0].score / (float)pow(length, o->length_penalty), worst = INFINITY;
	bool possible = false, full = true;
	for (size_t i = 0; i < o->n_beams; i++)
		worst = done[i].score < worst ? done[i].score : worst;
	for (size_t i = 0; i < o->n_beams; i++) {
		possible |= best > (done[i].finished ? worst : -1e9f);
		full &= done[i].finished;
	}
	return possible && !(full && o->early_stopping == EARLY_STOPPING_TRUE) && !all_hit;
}

/* One step of beam search or beam-sample; false at the end. */
static bool oracle_beam_step(const struct oracle *o, struct oracle_sequence *running, struct oracle_sequence *done,
			     size_t t)
{
	size_t b = o->n_beams, v = o->vocab, c = 2 * b;
	float *a = mem_array(b * v, sizeof *a), *run_score = mem_array(c, sizeof *a),
	      *all_score = mem_array(b + c, sizeof *a);
	struct oracle_sequence *list = mem_array(c, sizeof *list), *all = mem_array(b + c, sizeof *all);
	for (size_t i = 0; i < b; i++) {
		o->model(o->ctx, running[i].ids, t - 1, a + i * v);
		oracle_process(o, a + i * v);
		for (size_t x = 0; x < v; x++)
			a[i * v + x] += running[i].score;
	}
	size_t *chosen = oracle_candidates(o, a, b * v, c, t);
	bool full = o->early_stopping == EARLY_STOPPING_TRUE, all_hit = true;
	for (size_t i = 0; i < b; i++) {
		full &= done[i].finished;
		all[i] = done[i];
		all_score[i] = done[i].score;
	}
	for (size_t i = 0; i < c; i++) {
		list[i] = running[chosen[i] / v];
		list[i].score = a[chosen[i]];
		list[i].ids[t - 1] = (int32_t)(chosen[i] % v);
		list[i].n = t;
		bool hit = t >= o->steps || list[i].ids[t - 1] == o->eos;
		all_hit &= hit;
		run_score[i] = list[i].score + (hit ? -1e9f : 0);
		list[i].finished = hit && i < b;
		all[b + i] = list[i];
		all_score[b + i] = list[i].score / (float)pow((double)t, o->length_penalty);
		all_score[b + i] += full ? -1e9f : 0;
		all_score[b + i] += list[i].finished ? 0 : -1e9f;
	}
	oracle_best(list, run_score, c, b, running);
	oracle_best(all, all_score, b + c, b, done);
	free(chosen);
	free(a);
	free(run_score);
	free(all_score);
	free(list);
	free(all);
	return oracle_goes_on(o, running, done, t, all_hit);
}

/* ids: room for steps <= 64. score: NaN with one beam. */
__attribute__((unused)) static void oracle_generate(const struct oracle *o, int32_t *ids, size_t *n, float *score)
{
	if (o->n_beams == 1) {
		*score = NAN;
		oracle_one(o, ids, n);
		return;
	}
	struct oracle_sequence *running = mem_zero(o->n_beams, sizeof *running),
			       *done = mem_zero(o->n_beams, sizeof *done);
	for (size_t i = 0; i < o->n_beams; i++) {
		running[i].score = i ? -1e9f : 0;
		done[i].score = -1e9f;
	}
	for (size_t t = 1; oracle_beam_step(o, running, done, t); t++)
		continue;
	*n = done[0].finished ? done[0].n : 0;
	*score = done[0].score;
	memcpy(ids, done[0].ids, *n * sizeof *ids);
	free(running);
	free(done);
}

#endif
