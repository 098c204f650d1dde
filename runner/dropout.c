/* dropout.c - see dropout.h. Eight Philox counters at a time: two AVX2 registers for each of the four words, a counter
 * in the low half of each 64-bit lane. vpmuludq reads low halves only, so what the rounds leave in the high halves does
 * no harm, and a round costs two multiplications, two shifts and four exclusive ors for four counters. */
#include "dropout.h"

void dropout_row_plain(const struct dropout *d, uint64_t row, size_t n, float *x)
{
	for (size_t e = 0; e < n; e++) {
		size_t word = e % 64 / 16, lane = e % 8;
		uint32_t r[4];
		rng_block(d->key, d->hi, row << 16 | (e / 64 * 8 + lane / 2 + lane % 2 * 4), r);
		uint32_t bits = e % 16 < 8 ? r[word] & 0xFFFF : r[word] >> 16;
		x[e] *= bits < d->threshold ? 0 : d->scale;
	}
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* The counters base .. base + 7: 0 to 3 in words[w][0], 4 to 7 in words[w][1]. */
AVX2 static inline void philox8(const struct dropout *d, uint64_t base, __m256i words[4][2])
{
	const __m256i mult_a = _mm256_set1_epi64x(0xD2511F53), mult_b = _mm256_set1_epi64x(0xCD9E8D57);
	__m256i c0[2], c1[2], c2[2], c3[2];
	for (int half = 0; half < 2; half++) {
		c0[half] =
			_mm256_add_epi64(_mm256_set1_epi64x((long long)base + 4 * half), _mm256_set_epi64x(3, 2, 1, 0));
		c1[half] = _mm256_srli_epi64(c0[half], 32);
		c2[half] = _mm256_set1_epi64x((long long)d->hi);
		c3[half] = _mm256_srli_epi64(c2[half], 32);
	}
	uint32_t k0 = d->key.k[0], k1 = d->key.k[1];
	for (int round = 0; round < 10; round++) {
		__m256i key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
		for (int half = 0; half < 2; half++) {
			__m256i a = _mm256_mul_epu32(c0[half], mult_a), b = _mm256_mul_epu32(c2[half], mult_b);
			c0[half] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(b, 32), c1[half]), key0);
			c1[half] = b;
			c2[half] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), c3[half]), key1);
			c3[half] = a;
		}
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	for (int half = 0; half < 2; half++) {
		words[0][half] = c0[half];
		words[1][half] = c1[half];
		words[2][half] = c2[half];
		words[3][half] = c3[half];
	}
}

/* The factors, 0 or scale, of the 64 elements that start at the counter `base`. */
AVX2 static inline void factors64(const struct dropout *d, uint64_t base, __m256 factor[8])
{
	const __m256i low32 = _mm256_set1_epi64x(0xFFFFFFFF), low16 = _mm256_set1_epi32(0xFFFF);
	const __m256i below = _mm256_set1_epi32((int)d->threshold - 1);
	const __m256 scale = _mm256_set1_ps(d->scale);
	__m256i words[4][2];
	philox8(d, base, words);
	for (int w = 0; w < 4; w++) {
		__m256i both =
			_mm256_or_si256(_mm256_and_si256(words[w][0], low32), _mm256_slli_epi64(words[w][1], 32));
		__m256i keep0 = _mm256_cmpgt_epi32(_mm256_and_si256(both, low16), below);
		__m256i keep1 = _mm256_cmpgt_epi32(_mm256_srli_epi32(both, 16), below);
		factor[2 * w] = _mm256_and_ps(_mm256_castsi256_ps(keep0), scale);
		factor[2 * w + 1] = _mm256_and_ps(_mm256_castsi256_ps(keep1), scale);
	}
}

AVX2 static void dropout_row_avx2(const struct dropout *d, uint64_t row, size_t n, float *x)
{
	__m256 factor[8];
	size_t e = 0;
	for (; e + 64 <= n; e += 64) {
		factors64(d, row << 16 | e / 8, factor);
		for (size_t i = 0; i < 8; i++)
			_mm256_storeu_ps(x + e + 8 * i, _mm256_mul_ps(_mm256_loadu_ps(x + e + 8 * i), factor[i]));
	}
	if (e < n) {
		float rest[64];
		factors64(d, row << 16 | e / 8, factor);
		for (size_t i = 0; i < 8; i++)
			_mm256_storeu_ps(rest + 8 * i, factor[i]);
		for (size_t i = 0; e < n; i++, e++)
			x[e] *= rest[i];
	}
}

void dropout_row(const struct dropout *d, uint64_t row, size_t n, float *x)
{
	if (d->threshold == 0)
		return;
	if (__builtin_cpu_supports("avx2"))
		dropout_row_avx2(d, row, n, x);
	else
		dropout_row_plain(d, row, n, x);
}

#else

void dropout_row(const struct dropout *d, uint64_t row, size_t n, float *x)
{
	if (d->threshold)
		dropout_row_plain(d, row, n, x);
}

#endif
