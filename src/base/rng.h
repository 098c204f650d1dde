/* rng.h - counter-based randomness: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw is a pure function of (seed, stream, position), so results do not depend on threads,
 * order, batch or time (docs/ARCHITECTURE.md, invariant 3).
 *
 *     struct rng_key key = rng_key(seed, RNG_DROPOUT);
 *     uint32_t r[4];
 *     rng_block(key, position_hi, position_lo, r);      four 32-bit draws
 *     float u = rng_unit(r[0]);                         in (0, 1)
 */
#ifndef SWEEP_BASE_RNG_H
#define SWEEP_BASE_RNG_H

#include <stdint.h>

/* One stream a purpose, so that no two uses ever see the same draws. Append only: numbers are part of results. */
enum rng_stream {
	RNG_INIT = 1,    /* initial values of the prefix encoder: position = tensor, element */
	RNG_SHUFFLE = 2, /* order of the training pairs: position = epoch, index */
	RNG_DROPOUT = 3, /* position = (step, layer, site), element */
	RNG_SAMPLE = 4,  /* position = (input, step), beam * V + token */
	RNG_POINTS = 5,  /* method: random: position = draw, parameter */
};

struct rng_key {
	uint32_t k[2];
};

/* seed's 64 bits and the stream, mixed by SplitMix64's finaliser into the 64-bit Philox key. */
static inline struct rng_key rng_key(uint64_t seed, enum rng_stream stream)
{
	uint64_t z = seed + 0x9E3779B97F4A7C15u * ((uint64_t)stream + 1);
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	z ^= z >> 31;
	return (struct rng_key){{(uint32_t)z, (uint32_t)(z >> 32)}};
}

/* Four draws for the 128-bit counter (hi, lo). */
static inline void rng_block(struct rng_key key, uint64_t hi, uint64_t lo, uint32_t out[4])
{
	uint32_t c0 = (uint32_t)lo, c1 = (uint32_t)(lo >> 32), c2 = (uint32_t)hi, c3 = (uint32_t)(hi >> 32);
	uint32_t k0 = key.k[0], k1 = key.k[1];
	for (int round = 0; round < 10; round++) {
		uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
		c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)b;
		c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)a;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* One draw at `index` of the position hi: word index % 4 of block index / 4. */
static inline uint32_t rng_u32(struct rng_key key, uint64_t hi, uint64_t index)
{
	uint32_t block[4];
	rng_block(key, hi, index / 4, block);
	return block[index % 4];
}

/* Uniform in the open interval (0, 1), 23 bits and a half: exact in float, never 0 or 1, so that log() is finite. */
static inline float rng_unit(uint32_t r)
{
	return ((float)(r >> 9) + 0.5f) * 0x1p-23f;
}

/* Uniform in (0, 1) with 53 bits out of two draws. */
static inline double rng_unit_double(uint32_t a, uint32_t b)
{
	return ((double)((uint64_t)(a >> 5) << 26 | b >> 6) + 0.5) * 0x1p-53;
}

/* rng.c */
/* Standard normal at `index` of position hi (Box-Muller on the doubles of one block). */
float rng_normal(struct rng_key key, uint64_t hi, uint64_t index);
/* Uniform integer in [0, n), n >= 1, without bias worth speaking of (64-bit multiply-shift). */
uint64_t rng_below(struct rng_key key, uint64_t hi, uint64_t index, uint64_t n);
/* A shuffled order of 0 .. n-1 (Fisher-Yates) at position hi. */
void rng_shuffle(struct rng_key key, uint64_t hi, uint32_t *order, uint32_t n);

#endif
