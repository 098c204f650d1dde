/* rng.c - distributions on top of the Philox blocks of rng.h. */
#include "rng.h"

#include <math.h>

float rng_normal(struct rng_key key, uint64_t hi, uint64_t index)
{
	uint32_t r[4];
	rng_block(key, hi, index / 2, r);
	double radius = sqrt(-2.0 * log(rng_unit_double(r[0], r[1])));
	double angle = 6.283185307179586476925286766559 * rng_unit_double(r[2], r[3]);
	return (float)(index % 2 ? radius * sin(angle) : radius * cos(angle));
}

uint64_t rng_below(struct rng_key key, uint64_t hi, uint64_t index, uint64_t n)
{
	uint32_t r[4];
	rng_block(key, hi, index, r);
	uint64_t wide = (uint64_t)r[0] << 32 | r[1];
	return (uint64_t)(((__uint128_t)wide * n) >> 64);
}

void rng_shuffle(struct rng_key key, uint64_t hi, uint32_t *order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)rng_below(key, hi, i, i), keep = order[i - 1];
		order[i - 1] = order[j];
		order[j] = keep;
	}
}
