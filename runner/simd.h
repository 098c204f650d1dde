/* simd.h - sixteen floats at a time with GCC's vector extensions: what the kernels of ops.c, attention.c and dropout.c
 * are made of.
 *
 *     SIMD_CLONES float ops_dot(const float *a, const float *b, size_t n)
 *     {
 *             v16 sum = simd_set(0);
 *             for (size_t i = 0; i + 16 <= n; i += 16)
 *                     sum += simd_load(a + i) * simd_load(b + i);
 *             ...
 *
 * A v16 is one AVX-512 register, two AVX or four SSE ones; the order of additions is the same in all three, so a result
 * depends neither on the number of threads nor (but for the rounding of fused multiply-adds on CPUs without them) on
 * the machine. SIMD_CLONES compiles a leaf function once for each family of CPUs and picks one at load time. It must
 * not be put on a function with an OpenMP pragma inside: the outlined region would not be cloned. Sanitizers cannot
 * look into load-time dispatch, so those builds have the plain version alone. */
#ifndef SWEEP_RUNNER_SIMD_H
#define SWEEP_RUNNER_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
	!defined(__SANITIZE_THREAD__) && !defined(__AVX512F__)
#define SIMD_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define SIMD_CLONES
#endif
#define SIMD_INLINE static inline __attribute__((always_inline, unused))

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef float v16_any __attribute__((vector_size(64), aligned(4), may_alias)); /* in memory, at any float's address */

SIMD_INLINE v16 simd_set(float x)
{
	return (v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

SIMD_INLINE v16 simd_load(const float *p)
{
	return *(const v16_any *)p;
}

SIMD_INLINE void simd_store(float *p, v16 x)
{
	*(v16_any *)p = x;
}

/* The first n < 16 floats at p, the other lanes filled. */
SIMD_INLINE v16 simd_load_part(const float *p, size_t n, float fill)
{
	float lane[16];
	for (size_t i = 0; i < 16; i++)
		lane[i] = i < n ? p[i] : fill;
	return simd_load(lane);
}

SIMD_INLINE void simd_store_part(float *p, v16 x, size_t n)
{
	float lane[16];
	simd_store(lane, x);
	for (size_t i = 0; i < n; i++)
		p[i] = lane[i];
}

/* Lane by lane: mask (all ones or all zeros, as comparisons give) ? a : b. */
SIMD_INLINE v16 simd_select(i16 mask, v16 a, v16 b)
{
	return (v16)((mask & (i16)a) | (~mask & (i16)b));
}

/* The larger of each lane; a NaN in a is dropped, one in b stays. */
SIMD_INLINE v16 simd_max(v16 a, v16 b)
{
	return simd_select(a > b, a, b);
}

/* Always ((0+8)+(4+12)) + ...: a fixed tree. */
SIMD_INLINE float simd_sum(v16 x)
{
	float s[16];
	simd_store(s, x);
	for (size_t half = 8; half > 0; half /= 2)
		for (size_t i = 0; i < half; i++)
			s[i] += s[i + half];
	return s[0];
}

SIMD_INLINE float simd_top(v16 x)
{
	float s[16];
	simd_store(s, x);
	for (size_t half = 8; half > 0; half /= 2)
		for (size_t i = 0; i < half; i++)
			s[i] = s[i] > s[i + half] ? s[i] : s[i + half];
	return s[0];
}

/* e^x to about 1 ulp. Below -87.33 (a result too small for a normal float) 0, above 88.37 infinity; NaN stays NaN.
 * Cody and Waite's reduction x = k ln 2 + r, a polynomial for e^r - 1 - r (Cephes' coefficients), then k goes into the
 * exponent bits. k is rounded by adding 1.5 * 2^23: no conversion that a NaN or a huge x would break. */
SIMD_INLINE v16 simd_exp(v16 x)
{
	const float magic = 12582912.0f;
	v16 shifted = x * 1.44269504088896341f + magic;
	v16 k = shifted - magic;
	v16 r = x - k * 0.693359375f;
	r = r - k * -2.12194440e-4f;
	v16 p = r * 1.9875691500E-4f + 1.3981999507E-3f;
	p = p * r + 8.3334519073E-3f;
	p = p * r + 4.1665795894E-2f;
	p = p * r + 1.6666665459E-1f;
	p = p * r + 5.0000001201E-1f;
	p = p * (r * r) + r + 1.0f;
	i16 bits = (i16)shifted - (0x4B400000 - 127); /* 0x4B400000: the bits of magic */
	/* Through unsigned: a huge x shifts bits out, and is replaced below. */
	typedef uint32_t u16 __attribute__((vector_size(64)));
	v16 scale = (v16)((u16)bits << 23);
	v16 y = p * scale;
	y = (v16)((i16)y & ~(x < -87.33f));
	return simd_select(x > 88.37f, simd_set(__builtin_inff()), y);
}

/* 1 / (1 + e^-x). */
SIMD_INLINE v16 simd_sigmoid(v16 x)
{
	return 1.0f / (1.0f + simd_exp(-x));
}

/* tanh to about 2 ulp: Cephes' odd polynomial near 0, through e^2|x| elsewhere. */
SIMD_INLINE v16 simd_tanh(v16 x)
{
	const i16 sign = (i16)simd_set(-0.0f);
	v16 a = (v16)((i16)x & ~sign), z = x * x;
	v16 p = z * -5.70498872745e-3f + 2.06390887954e-2f;
	p = p * z + -5.37397155531e-2f;
	p = p * z + 1.33314422036e-1f;
	p = p * z + -3.33332819422e-1f;
	v16 small = p * z * x + x;
	v16 large = 1.0f - 2.0f / (simd_exp(2.0f * a) + 1.0f);
	large = (v16)((i16)large | ((i16)x & sign));
	return simd_select(a < 0.625f, small, large);
}

#endif
