/* bootstrap.c - paired bootstrap resampling (Koehn 2004) as sacrebleu does it; see bootstrap.h and
 * docs/REFERENCE.md, 6.4.
 *
 * The same resampled segments serve both systems. p asks how often the difference of a resample, moved so that its mean
 * is zero, is larger than the one seen. numpy's generator is rebuilt here because the numbers are part of the result.
 */
#include "bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "mem.h"

/* numpy.random.SeedSequence: a pool of four words, each mixed into each other. */
enum { POOL = 4 };

static uint32_t hash_mix(uint32_t value, uint32_t *constant)
{
	value ^= *constant;
	*constant *= 0x931E8875u;
	value *= *constant;
	return value ^ value >> 16;
}

static uint32_t mix(uint32_t x, uint32_t y)
{
	uint32_t value = 0xCA01F9DDu * x - 0x4973F715u * y;
	return value ^ value >> 16;
}

static void seed_words(uint64_t seed, uint64_t out[4])
{
	uint32_t pool[POOL], constant = 0x43B0D7E5u;
	for (int i = 0; i < POOL; i++)
		pool[i] = hash_mix(i == 0 ? (uint32_t)seed : i == 1 ? (uint32_t)(seed >> 32) : 0, &constant);
	for (int from = 0; from < POOL; from++)
		for (int to = 0; to < POOL; to++)
			if (from != to)
				pool[to] = mix(pool[to], hash_mix(pool[from], &constant));
	constant = 0x8B51F9DDu;
	for (int i = 0; i < 8; i++) {
		uint32_t word = pool[i % POOL] ^ constant;
		constant *= 0x58F38DEDu;
		word *= constant;
		word ^= word >> 16;
		out[i / 2] = i % 2 ? out[i / 2] | (uint64_t)word << 32 : word;
	}
}

static void step(struct bootstrap_rng *rng)
{
	const unsigned __int128 multiplier = (unsigned __int128)0x2360ED051FC65DA4u << 64 | 0x4385DF649FCCF645u;
	rng->state = rng->state * multiplier + rng->increment;
}

struct bootstrap_rng bootstrap_rng(uint64_t seed)
{
	uint64_t words[4];
	seed_words(seed, words);
	struct bootstrap_rng rng = {.increment = ((unsigned __int128)words[2] << 64 | words[3]) << 1 | 1};
	step(&rng);
	rng.state += (unsigned __int128)words[0] << 64 | words[1];
	step(&rng);
	return rng;
}

uint64_t bootstrap_u64(struct bootstrap_rng *rng)
{
	step(rng);
	uint64_t folded = (uint64_t)(rng->state >> 64) ^ (uint64_t)rng->state;
	unsigned turn = (unsigned)(rng->state >> 122);
	return folded >> turn | folded << (-turn & 63);
}

static uint32_t next_u32(struct bootstrap_rng *rng)
{
	if (rng->buffered) {
		rng->buffered = false;
		return rng->high;
	}
	uint64_t both = bootstrap_u64(rng);
	rng->high = (uint32_t)(both >> 32);
	rng->buffered = true;
	return (uint32_t)both;
}

uint32_t bootstrap_below(struct bootstrap_rng *rng, uint64_t n)
{
	if (n == 1)
		return 0; /* numpy draws nothing */
	if (n == (uint64_t)1 << 32)
		return next_u32(rng);
	uint64_t product = next_u32(rng) * n;
	if ((uint32_t)product < n) {
		uint32_t threshold = (uint32_t)((((uint64_t)1 << 32) - n) % n);
		while ((uint32_t)product < threshold)
			product = next_u32(rng) * n;
	}
	return (uint32_t)(product >> 32);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Mean and half-width of the middle 95%; sorts the scores. */
static void summarise(double *scores, size_t n, double *mean, double *ci)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += scores[i];
	*mean = sum / (double)n;
	qsort(scores, n, sizeof *scores, compare_doubles);
	*ci = 0.5 * (scores[n - 1 - n / 40] - scores[n / 40]);
}

void bootstrap_paired(const struct bleu_stats *base, const struct bleu_stats *other, size_t n, size_t resamples,
		      uint64_t seed, struct bootstrap_result *result)
{
	double *of_base = mem_array(resamples, sizeof *of_base), *of_other = mem_array(resamples, sizeof *of_other);
	*result = (struct bootstrap_result){.base = bleu_corpus(base, n), .other = bleu_corpus(other, n)};
	struct bootstrap_rng rng = bootstrap_rng(seed);
	double sum = 0;
	for (size_t b = 0; b < resamples; b++) {
		struct bleu_stats sum_base = {0}, sum_other = {0};
		for (size_t i = 0; i < n; i++) {
			uint32_t at = bootstrap_below(&rng, n);
			bleu_sum(&sum_base, &base[at]);
			bleu_sum(&sum_other, &other[at]);
		}
		of_base[b] = bleu_score(&sum_base, BLEU_SMOOTH_EXP, false).score;
		of_other[b] = bleu_score(&sum_other, BLEU_SMOOTH_EXP, false).score;
		sum += fabs(of_other[b] - of_base[b]);
	}
	result->mean_difference = sum / (double)resamples;
	double seen = fabs(result->base - result->other);
	for (size_t b = 0; b < resamples; b++)
		result->count += fabs(of_other[b] - of_base[b]) - result->mean_difference > seen;
	result->p = (double)(result->count + 1) / (double)(resamples + 1);
	summarise(of_base, resamples, &result->base_mean, &result->base_ci);
	summarise(of_other, resamples, &result->other_mean, &result->other_ci);
	free(of_base);
	free(of_other);
}
