/* simd.h - eight floats at a time with GCC's vector extensions: what the kernels of ops.c, attention.c and dropout.c
 * are made of.
 *
 *     SIMD_CLONES float ops_dot(const float *a, const float *b, size_t n)
 *     {
 *             v8 sum = simd_set(0);
 *             for (size_t i = 0; i + 8 <= n; i += 8)
 *                     sum += simd_load(a + i) * simd_load(b + i);
 *             ...
 *
 * A v8 is one AVX register or two SSE ones; the order of additions is the same in both, so a result depends neither on
 * the number of threads nor (but for the rounding of fused multiply-adds on CPUs without them) on the machine. Eight
 * and not sixteen lanes, because GCC 12 keeps a vector that is wider than the CPU's registers on the stack; the AVX-512
 * clone still gains its masks and thirty-two registers. SIMD_CLONES compiles a leaf function once for each family of
 * CPUs and picks one at load time. It must not be put on a function with an OpenMP pragma inside: the outlined region
 * would not be cloned. Sanitizers cannot look into load-time dispatch, so those builds have the plain version alone. */
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

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef float v8_any __attribute__((vector_size(32), aligned(4), may_alias)); /* in memory, at any float's address */

/* Lanes of a (0 to 7) and b (8 to 15) in the order that `lanes` says. */
#ifdef __clang__ /* has only one whose lanes are constants; clang builds are for fuzzing, not for speed */
SIMD_INLINE v8 simd_shuffle(v8 a, v8 b, v8i lanes)
{
	v8 out;
	for (int i = 0; i < 8; i++)
		out[i] = lanes[i] < 8 ? a[lanes[i]] : b[lanes[i] - 8];
	return out;
}
#else
#define simd_shuffle(a, b, lanes) __builtin_shuffle(a, b, lanes)
#endif

SIMD_INLINE v8 simd_set(float x)
{
	return (v8){x, x, x, x, x, x, x, x};
}

SIMD_INLINE v8 simd_load(const float *p)
{
	return *(const v8_any *)p;
}

SIMD_INLINE void simd_store(float *p, v8 x)
{
	*(v8_any *)p = x;
}

/* The first n < 8 floats at p, the other lanes filled. */
SIMD_INLINE v8 simd_load_part(const float *p, size_t n, float fill)
{
	float lane[8];
	for (size_t i = 0; i < 8; i++)
		lane[i] = i < n ? p[i] : fill;
	return simd_load(lane);
}

SIMD_INLINE void simd_store_part(float *p, v8 x, size_t n)
{
	float lane[8];
	simd_store(lane, x);
	for (size_t i = 0; i < n; i++)
		p[i] = lane[i];
}

/* Lane by lane: mask (all ones or all zeros, as comparisons give) ? a : b. */
SIMD_INLINE v8 simd_select(v8i mask, v8 a, v8 b)
{
	return (v8)((mask & (v8i)a) | (~mask & (v8i)b));
}

/* The larger of each lane; a NaN in a is dropped, one in b stays. */
SIMD_INLINE v8 simd_max(v8 a, v8 b)
{
	return simd_select(a > b, a, b);
}

/* Always ((0+4)+(2+6)) + ((1+5)+(3+7)): a fixed tree. */
SIMD_INLINE float simd_sum(v8 x)
{
	float s[8];
	simd_store(s, x);
	for (size_t half = 4; half > 0; half /= 2)
		for (size_t i = 0; i < half; i++)
			s[i] += s[i + half];
	return s[0];
}

SIMD_INLINE float simd_top(v8 x)
{
	float s[8];
	simd_store(s, x);
	for (size_t half = 4; half > 0; half /= 2)
		for (size_t i = 0; i < half; i++)
			s[i] = s[i] > s[i + half] ? s[i] : s[i + half];
	return s[0];
}

/* e^x to about 1 ulp for |x| <= 87.33; below that 0, above it infinity; NaN stays NaN.
 * Cody and Waite's reduction x = k ln 2 + r, a polynomial for e^r (Cephes' coefficients), then k goes into the exponent
 * bits. k is rounded by adding 1.5 * 2^23: no conversion that a NaN or a huge x would break. */
SIMD_INLINE v8 simd_exp(v8 x)
{
	const float magic = 12582912.0f;
	v8 shifted = x * 1.44269504088896341f + magic;
	v8 k = shifted - magic;
	v8 r = x - k * 0.693359375f;
	r = r - k * -2.12194440e-4f;
	v8 p = r * 1.9875691500E-4f + 1.3981999507E-3f;
	p = p * r + 8.3334519073E-3f;
	p = p * r + 4.1665795894E-2f;
	p = p * r + 1.6666665459E-1f;
	p = p * r + 5.0000001201E-1f;
	p = p * (r * r) + r + 1.0f;
	v8 y = p * (v8)(((v8u)shifted + (127 - 0x4B400000u)) << 23); /* 0x4B400000: the bits of magic */

	y = (v8)((v8i)y & ~(x < -87.33f));
	return simd_select(x > 87.33f, simd_set(__builtin_inff()), y);
}

/* 1 / (1 + e^-x). */
SIMD_INLINE v8 simd_sigmoid(v8 x)
{
	return 1.0f / (1.0f + simd_exp(-x));
}

/* tanh to about 2 ulp: Cephes' odd polynomial near 0, through e^2|x| elsewhere. */
SIMD_INLINE v8 simd_tanh(v8 x)
{
	const v8i sign = (v8i)simd_set(-0.0f);
	v8 a = (v8)((v8i)x & ~sign), z = x * x;
	v8 p = z * -5.70498872745e-3f + 2.06390887954e-2f;
	p = p * z + -5.37397155531e-2f;
	p = p * z + 1.33314422036e-1f;
	p = p * z + -3.33332819422e-1f;
	v8 small = p * z * x + x;
	v8 large = 1.0f - 2.0f / (simd_exp(2.0f * a) + 1.0f);
	large = (v8)((v8i)large | ((v8i)x & sign));
	return simd_select(a < 0.625f, small, large);
}

#endif
