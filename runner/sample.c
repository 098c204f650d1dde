/* sample.c - candidates out of logits; see sample.h. Stands between the logits product (search.c) and the bookkeeping
 * of beams (beam.c).
 *
 * A row of 50,000 logits is read twice: once for its maxima, once for the sum of exponentials. The first pass keeps the
 * maximum of every group of 16 logits (lane i of 16 consecutive vectors, so that no lane ever meets another); the k-th
 * largest of those maxima is a lower bound for the k-th largest logit, so only the few groups that reach it are looked
 * into. Scores fall monotonically with logits, rounding included, so comparing scores instead is exact, and pairs that
 * tie after rounding are ranked by index as they should be.
 *
 * All arithmetic on scores is float32 in torch's order: (x - max) - log(sum), / temperature, + beam score. Nothing here
 * depends on other rows, so that an input's result does not depend on its batch. */
#include "sample.h"

#include <math.h>
#include <stdlib.h>

#include "simd.h"

#define SAMPLE_CHUNK ((size_t)128) /* logits whose 16 vectors share one vector of maxima */

struct sample_rule sample_rule(size_t num_beams, bool do_sample, double temperature, int64_t top_k, double top_p,
			       uint64_t seed)
{
	return (struct sample_rule){
		.log_probs = num_beams > 1,
		.do_sample = do_sample,
		.temperature = do_sample ? (float)temperature : 1,
		.top_k = do_sample ? (size_t)top_k : 0,
		.top_p = do_sample ? top_p : 1,
		.keep = num_beams > 1 ? 2 : 1,
		.n_candidates = num_beams > 1 ? 2 * num_beams : 1,
		.noise = rng_key(seed, RNG_SAMPLE),
	};
}

size_t sample_width(size_t vocab)
{
	return (vocab + SAMPLE_CHUNK - 1) / SAMPLE_CHUNK * SAMPLE_CHUNK;
}

int sample_scratch_init(struct sample_scratch *scratch, size_t vocab, struct err *err)
{
	size_t n_groups = sample_width(vocab) / 16;
	scratch->groups = malloc(n_groups * sizeof *scratch->groups);
	scratch->heap = malloc(n_groups * sizeof *scratch->heap);
	scratch->pairs = malloc(vocab * sizeof *scratch->pairs);
	if (scratch->groups && scratch->heap && scratch->pairs)
		return 0;
	sample_scratch_release(scratch);
	return err_set(err, ERR_SYSTEM, "out of memory for a row of %zu logits", vocab);
}

void sample_scratch_release(struct sample_scratch *scratch)
{
	free(scratch->groups);
	free(scratch->heap);
	free(scratch->pairs);
	*scratch = (struct sample_scratch){0};
}

/* Group maxima of a row [width]; returns the largest, NaN when a logit is infinite or NaN. */
SIMD_CLONES static float group_maxima(const float *x, size_t width, float *groups)
{
	v8 top = simd_set(SAMPLE_PAD), zero = simd_set(0);
	for (size_t at = 0; at < width; at += SAMPLE_CHUNK) {
		v8 most = simd_load(x + at);
		zero += most * 0.0f;
		for (size_t i = 8; i < SAMPLE_CHUNK; i += 8) {
			v8 v = simd_load(x + at + i);
			zero += v * 0.0f;
			most = simd_max(v, most);
		}
		simd_store(groups + at / 16, most);
		top = simd_max(most, top);
	}
	return simd_sum(zero) == 0 ? simd_top(top) : NAN;
}

/* How a logit becomes a score; value is the score plus the beam's. */
struct scale {
	bool log_probs, tempered;
	float top, log_sum, temperature, base;
};

SIMD_INLINE float scale_score(const struct scale *s, float x)
{
	if (s->log_probs)
		x = (x - s->top) - s->log_sum;
	return s->tempered ? x / s->temperature : x;
}

/* Sum of exp(score - shift) over a row; pads count 0. */
SIMD_CLONES static double sum_exp(const float *x, size_t width, const struct scale *s, float shift)
{
	v8 sum = simd_set(0);
	for (size_t i = 0; i < width; i += 8) {
		v8 v = simd_load(x + i);
		if (s->log_probs)
			v = (v - s->top) - s->log_sum;
		if (s->tempered)
			v = v / s->temperature;
		sum += simd_exp(v - shift);
	}
	return (double)simd_sum(sum);
}

/* The k-th largest of n floats, 1 <= k <= n, with a heap of k whose root is the smallest. */
static float kth_largest(const float *x, size_t n, size_t k, float *heap)
{
	size_t have = 0;
	for (size_t i = 0; i < n; i++) {
		float v = x[i];
		size_t at;
		if (have < k) {
			for (at = have++; at > 0 && heap[(at - 1) / 2] > v; at = (at - 1) / 2)
				heap[at] = heap[(at - 1) / 2];
		} else if (v > heap[0]) {
			at = 0;
			for (size_t child = 1; child < k; child = 2 * at + 1) {
				if (child + 1 < k && heap[child + 1] < heap[child])
					child++;
				if (heap[child] >= v)
					break;
				heap[at] = heap[child];
				at = child;
			}
		} else {
			continue;
		}
		heap[at] = v;
	}
	return heap[0];
}

static inline bool pair_before(const struct sample_pair *a, const struct sample_pair *b)
{
	return a->key > b->key || (a->key == b->key && a->token < b->token);
}

/* Puts `pair` at the root of a heap of n whose root is the last in rank. */
static void heap_sink(struct sample_pair *heap, size_t n, struct sample_pair pair)
{
	size_t at = 0;
	for (size_t child = 1; child < n; child = 2 * at + 1) {
		if (child + 1 < n && pair_before(&heap[child], &heap[child + 1]))
			child++;
		if (!pair_before(&pair, &heap[child]))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = pair;
}

/* Adds to a heap of the best `room` pairs. */
static void heap_offer(struct sample_pair *heap, size_t *n, size_t room, struct sample_pair pair)
{
	if (*n == room) {
		if (pair_before(&pair, &heap[0]))
			heap_sink(heap, room, pair);
		return;
	}
	size_t at = (*n)++;
	for (; at > 0 && pair_before(&heap[(at - 1) / 2], &pair); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = pair;
}

/* Best first. */
static void heap_sort(struct sample_pair *heap, size_t n)
{
	while (n > 1) {
		struct sample_pair last = heap[--n], worst = heap[0];
		heap_sink(heap, n, last);
		heap[n] = worst;
	}
}

/* The best `want` of a row, sorted, and everything that ties with the last of them: pairs by score + base. Returns how
 * many. want may exceed the vocabulary. */
static size_t collect(const float *logits, size_t vocab, const struct scale *s, size_t want,
		      struct sample_scratch *scratch)
{
	size_t n_groups = sample_width(vocab) / 16, n = 0;
	struct sample_pair *pairs = scratch->pairs;
	float least = -INFINITY;
	if (want <= n_groups)
		least = scale_score(s, kth_largest(scratch->groups, n_groups, want, scratch->heap)) + s->base;
	for (size_t g = 0; g < n_groups; g++) {
		if (scale_score(s, scratch->groups[g]) + s->base < least)
			continue;
		size_t first = g / 8 * SAMPLE_CHUNK + g % 8;
		for (size_t i = first; i < first + SAMPLE_CHUNK && i < vocab; i += 8) {
			float score = scale_score(s, logits[i]) + s->base;
			if (score >= least)
				heap_offer(pairs, &n, vocab, (struct sample_pair){score, score, (int32_t)i});
		}
	}
	heap_sort(pairs, n);
	if (want < n) {
		size_t kept = want;
		while (kept < n && pairs[kept].score == pairs[want - 1].score)
			kept++;
		n = kept;
	}
	return n;
}

/* How many of the n best pairs (sorted, base 0) are in the nucleus: those whose mass and that of all less probable ones
 * is above 1 - top_p. total: the mass of all survivors of top_k in units of the best pair's. */
static size_t nucleus(const struct sample_rule *rule, const struct sample_pair *pairs, size_t n, double total)
{
	float cut = (float)(1 - rule->top_p);
	double above = 0;
	for (size_t i = 0; i < n; i++) {
		if (i >= rule->keep && (float)((total - above) / total) <= cut)
			return i;
		above += exp((double)(pairs[i].score - pairs[0].score));
	}
	return n;
}

/* How many of the best pairs top_k leaves (and ties); 0: it filters nothing. */
static size_t top_k_limit(const struct sample_rule *rule, size_t vocab)
{
	size_t k = rule->top_k > rule->keep ? rule->top_k : rule->keep;
	return rule->top_k > 0 && k < vocab ? k : 0;
}

/* The pairs that top_k and top_p leave, sorted by score, without the beam's score. Not for a rule without either. */
static size_t survivors(const struct sample_rule *rule, const float *logits, size_t vocab, struct scale *s,
			struct sample_scratch *scratch)
{
	float base = s->base;
	s->base = 0;
	size_t n, k = top_k_limit(rule, vocab);
	if (k > 0) {
		n = collect(logits, vocab, s, k, scratch);
		if (rule->top_p < 1) {
			double total = 0;
			for (size_t i = 0; i < n; i++)
				total += exp((double)(scratch->pairs[i].score - scratch->pairs[0].score));
			n = nucleus(rule, scratch->pairs, n, total);
		}
	} else {
		/* The nucleus of the whole row: more and more of its best until the edge is among them. */
		double total = sum_exp(logits, sample_width(vocab), s, scale_score(s, s->top));
		for (size_t want = 64;; want *= 4) {
			size_t found = collect(logits, vocab, s, want, scratch);
			n = nucleus(rule, scratch->pairs, found, total);
			if (n < found || found >= vocab)
				break;
		}
	}
	s->base = base;
	return n;
}

static inline double race_key(float score, uint32_t r)
{
	return (double)score - log(-log(((double)r + 0.5) * 0x1p-32));
}

/* Plain sampling from the whole row: every pair runs. */
static void race_all(const struct sample_rule *rule, const float *logits, size_t vocab, const struct scale *s,
		     uint64_t position, uint64_t index, struct sample_row *row)
{
	const double luck = 22.9; /* -log(E) is below this for every draw */
	uint32_t r[4];
	rng_block(rule->noise, position, index / 4, r);
	row->n = 0;
	for (size_t i = 0; i < vocab; i++, index++) {
		if (i > 0 && index % 4 == 0)
			rng_block(rule->noise, position, index / 4, r);
		float score = scale_score(s, logits[i]) + s->base;
		if (row->n == rule->n_candidates && (double)score + luck < row->pairs[0].key)
			continue;
		heap_offer(row->pairs, &row->n, rule->n_candidates,
			   (struct sample_pair){race_key(score, r[index % 4]), score, (int32_t)i});
	}
	row->top = scale_score(s, s->top) + s->base;
	row->sum = sum_exp(logits, sample_width(vocab), s, scale_score(s, s->top));
}

bool sample_row(const struct sample_rule *rule, const float *logits, size_t vocab, float base, uint64_t position,
		uint64_t index, struct sample_scratch *scratch, struct sample_row *row)
{
	size_t width = sample_width(vocab);
	struct scale s = {.top = group_maxima(logits, width, scratch->groups), .base = base, .temperature = 1};
	row->n = 0;
	if (!isfinite(s.top))
		return false;
	if (rule->log_probs) {
		s.log_sum = (float)log(sum_exp(logits, width, &s, s.top));
		s.log_probs = true;
		if (isnan(s.log_sum))
			return false;
	}
	if (!rule->do_sample) {
		size_t n = collect(logits, vocab, &s, rule->n_candidates, scratch);
		row->n = n < rule->n_candidates ? n : rule->n_candidates;
		for (size_t i = 0; i < row->n; i++)
			row->pairs[i] = scratch->pairs[i];
		return true;
	}
	s.tempered = rule->temperature != 1;
	s.temperature = rule->temperature;
	if (!isfinite(scale_score(&s, s.top)))
		return false;
	if (top_k_limit(rule, vocab) == 0 && rule->top_p >= 1) {
		race_all(rule, logits, vocab, &s, position, index, row);
	} else {
		size_t n = survivors(rule, logits, vocab, &s, scratch);
		row->top = scratch->pairs[0].score + base;
		row->sum = 0;
		for (size_t i = 0; i < n; i++) {
			struct sample_pair pair = scratch->pairs[i];
			pair.score += base;
			row->sum += exp((double)(pair.score - row->top));
			pair.key = race_key(pair.score, rng_u32(rule->noise, position, index + (uint64_t)pair.token));
			heap_offer(row->pairs, &row->n, rule->n_candidates, pair);
		}
	}
	heap_sort(row->pairs, row->n);
	return true;
}

size_t sample_join(const struct sample_rule *rule, struct sample_row *rows, size_t n, struct sample_candidate *out)
{
	/* torch races with float32 probabilities: a pair whose probability rounds to 0 is as if filtered. */
	float top = -INFINITY, total = 0;
	if (rule->do_sample) {
		double sum = 0;
		for (size_t b = 0; b < n; b++)
			top = rows[b].top > top ? rows[b].top : top;
		for (size_t b = 0; b < n; b++)
			sum += rows[b].sum * exp((double)(rows[b].top - top));
		total = (float)sum;
	}
	size_t n_out = 0;
	while (n_out < rule->n_candidates) {
		struct sample_row *best = NULL;
		for (size_t b = 0; b < n; b++)
			if (rows[b].n > 0 && (!best || rows[b].pairs->key > best->pairs->key))
				best = &rows[b];
		if (!best)
			break;
		struct sample_pair pair = *best->pairs;
		best->pairs++;
		best->n--;
		if (rule->do_sample && (float)exp((double)(pair.score - top)) / total == 0)
			continue;
		out[n_out++] = (struct sample_candidate){(int32_t)(best - rows), pair.token, pair.score};
	}
	return n_out;
}
