/* bootstrap.h - sacrebleu's paired bootstrap: is one system better than another, or is it chance?
 * (docs/REFERENCE.md, 6.4)
 *
 *     struct bootstrap_result r;
 *     bootstrap_paired(stats_a, stats_b, n, BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED, &r);
 *     printf("%.2f against %.2f, p = %.4f\n", r.base, r.other, r.p);
 *
 * Works on corpus BLEU. The resampled segments are numpy's: default_rng(seed), so that the same seed gives
 * sacrebleu's own resamples (`--paired-bs`). */
#ifndef SWEEP_BASE_BOOTSTRAP_H
#define SWEEP_BASE_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bleu.h"

#define BOOTSTRAP_RESAMPLES 1000
#define BOOTSTRAP_SEED      12345

struct bootstrap_result {
	double base, other;           /* corpus BLEU of both on the real set */
	double base_mean, other_mean; /* averages over the resamples */
	double base_ci, other_ci;     /* half-widths of their 95% intervals */
	double mean_difference;       /* average of |other - base| over the resamples */
	double p;                     /* (count + 1) / (resamples + 1) */
	size_t count;                 /* resamples whose |difference| exceeds its mean by more than the real one */
};

/* base and other: statistics of the same n >= 1 segments. */
void bootstrap_paired(const struct bleu_stats *base, const struct bleu_stats *other, size_t n, size_t resamples,
		      uint64_t seed, struct bootstrap_result *result);

/* numpy's default_rng(seed): PCG64 (XSL-RR 128/64; O'Neill 2014) seeded by SeedSequence. */
struct bootstrap_rng {
	unsigned __int128 state, increment;
	uint32_t high; /* the second half of the last 64 bits, while `buffered` */
	bool buffered;
};

struct bootstrap_rng bootstrap_rng(uint64_t seed);
uint64_t bootstrap_u64(struct bootstrap_rng *rng);
/* rng.integers(n) for 1 <= n <= 2^32: Lemire's method on 32-bit halves. */
uint32_t bootstrap_below(struct bootstrap_rng *rng, uint64_t n);

#endif
