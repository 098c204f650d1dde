/* ops.c - GPT-2's row arithmetic; see ops.h. Sums run in thirty-two lanes and are folded in a fixed tree, so a row's
 * result never depends on threads or neighbours.
 *
 * Each kernel is one expression over lanes. EACH(n, body) runs body for at = 0, 8, 16 ... with rest = 8, and a last
 * time with rest < 8 for what is left of the row; FOLD(n, term) is the sum of term over the same. In both, LOAD(p,
 * fill) is p[at .. at + rest - 1] with the other lanes filled, and STORE(p, v) writes it back. */
#include "ops.h"

#include <math.h>

#include "simd.h"

#define LOAD(p, fill) (rest == 8 ? simd_load((p) + at) : simd_load_part((p) + at, rest, fill))
#define STORE(p, v)   (rest == 8 ? simd_store((p) + at, v) : simd_store_part((p) + at, v, rest))

#define EACH(n, body)                                                                                                  \
	do {                                                                                                           \
		size_t at = 0;                                                                                         \
		for (; at + 8 <= (n); at += 8) {                                                                       \
			const size_t rest = 8;                                                                         \
			body;                                                                                          \
		}                                                                                                      \
		if (at < (n)) {                                                                                        \
			const size_t rest = (n)-at;                                                                    \
			body;                                                                                          \
		}                                                                                                      \
	} while (0)

#define FOLD(n, term)                                                                                                  \
	__extension__({                                                                                                \
		v8 s0 = simd_set(0), s1 = s0, s2 = s0, s3 = s0;                                                        \
		size_t at = 0;                                                                                         \
		const size_t whole = (n) / 32 * 32;                                                                    \
		while (at < whole) {                                                                                   \
			const size_t rest = 8;                                                                         \
			s0 += (term), at += 8;                                                                         \
			s1 += (term), at += 8;                                                                         \
			s2 += (term), at += 8;                                                                         \
			s3 += (term), at += 8;                                                                         \
		}                                                                                                      \
		for (; at + 8 <= (n); at += 8) {                                                                       \
			const size_t rest = 8;                                                                         \
			s0 += (term);                                                                                  \
		}                                                                                                      \
		if (at < (n)) {                                                                                        \
			const size_t rest = (n)-at;                                                                    \
			s1 += (term);                                                                                  \
		}                                                                                                      \
		simd_sum((s0 + s1) + (s2 + s3));                                                                       \
	})

/* Mean and 1 / sqrt(variance + epsilon), in two passes: x may be far from 0. */
SIMD_INLINE void moments(const float *x, float epsilon, size_t n, float *mean, float *inverse)
{
	float m = FOLD(n, LOAD(x, 0)) / (float)n;
	float variance = FOLD(n, (LOAD(x, m) - m) * (LOAD(x, m) - m)) / (float)n;
	*mean = m;
	*inverse = 1.0f / sqrtf(variance + epsilon);
}

SIMD_CLONES void ops_layernorm(const float *x, const float *gain, const float *bias, float epsilon, size_t n,
			       float *out)
{
	float mean, inverse;
	moments(x, epsilon, n, &mean, &inverse);
	EACH(n, STORE(out, (LOAD(x, 0) - mean) * inverse * LOAD(gain, 0) + LOAD(bias, 0)));
}

/* With h = (x - mean) * inverse and g = dout * gain: dx = inverse * (g - mean(g) - h * mean(g h)). */
SIMD_CLONES void ops_layernorm_backward(const float *x, const float *gain, float epsilon, const float *dout, size_t n,
					float *dx)
{
	float mean, inverse;
	moments(x, epsilon, n, &mean, &inverse);
	float mean_g = FOLD(n, LOAD(dout, 0) * LOAD(gain, 0)) / (float)n;
	float mean_gh = FOLD(n, LOAD(dout, 0) * LOAD(gain, 0) * ((LOAD(x, mean) - mean) * inverse)) / (float)n;
	EACH(n, v8 h = (LOAD(x, mean) - mean) * inverse;
	     STORE(dx, LOAD(dx, 0) + inverse * (LOAD(dout, 0) * LOAD(gain, 0) - mean_g - h * mean_gh)));
}

SIMD_CLONES void ops_add(float *x, const float *y, size_t n)
{
	EACH(n, STORE(x, LOAD(x, 0) + LOAD(y, 0)));
}

SIMD_CLONES void ops_add_bias_residual(float *x, const float *y, const float *bias, size_t n)
{
	EACH(n, STORE(x, LOAD(x, 0) + (LOAD(y, 0) + LOAD(bias, 0))));
}

SIMD_CLONES void ops_sum(const float *a, const float *b, size_t n, float *out)
{
	EACH(n, STORE(out, LOAD(a, 0) + LOAD(b, 0)));
}

SIMD_CLONES void ops_axpy(float *y, float a, const float *x, size_t n)
{
	EACH(n, STORE(y, LOAD(y, 0) + a * LOAD(x, 0)));
}

SIMD_CLONES void ops_scale(float *x, float a, size_t n)
{
	EACH(n, STORE(x, a * LOAD(x, 0)));
}

SIMD_CLONES float ops_dot(const float *a, const float *b, size_t n)
{
	return FOLD(n, LOAD(a, 0) * LOAD(b, 0));
}

#define GELU_SCALE 1.5957691216057308f /* 2 sqrt(2 / pi) */
#define GELU_CUBE  0.044715f

/* z/2 (1 + tanh(u)) = z * sigmoid(2u), which stays accurate for very negative z. */
SIMD_INLINE v8 gelu(v8 z)
{
	return z * simd_sigmoid(z * (z * z * (GELU_SCALE * GELU_CUBE) + GELU_SCALE));
}

/* With s = sigmoid(2u): s + z s (1 - s) (2u)'. */
SIMD_INLINE v8 gelu_slope(v8 z)
{
	v8 square = z * z;
	v8 u2 = z * (square * (GELU_SCALE * GELU_CUBE) + GELU_SCALE);
	u2 = simd_select(u2 < -80.0f, simd_set(-80.0f), u2); /* keeps exp(-2u) finite; the slope there is 0 */
	v8 e = simd_exp(-u2), s = 1.0f / (1.0f + e);
	return s + z * s * (e * s) * (square * (3 * GELU_SCALE * GELU_CUBE) + GELU_SCALE);
}

SIMD_CLONES void ops_bias_gelu(const float *x, const float *bias, size_t n, float *out)
{
	EACH(n, STORE(out, gelu(LOAD(x, 0) + LOAD(bias, 0))));
}

SIMD_CLONES void ops_bias_gelu_backward(const float *x, const float *bias, const float *dout, size_t n, float *dz)
{
	EACH(n, STORE(dz, LOAD(dout, 0) * gelu_slope(LOAD(x, 0) + LOAD(bias, 0))));
}

SIMD_CLONES void ops_tanh(const float *x, size_t n, float *out)
{
	EACH(n, STORE(out, simd_tanh(LOAD(x, 0))));
}

SIMD_INLINE float row_max(const float *x, size_t n)
{
	v8 a = simd_set(-INFINITY), b = a;
	size_t at = 0, rest = 8;
	for (; at + 16 <= n; at += 16) {
		a = simd_max(simd_load(x + at), a);
		b = simd_max(simd_load(x + at + 8), b);
	}
	for (; at < n; at += 8) {
		rest = n - at < 8 ? n - at : 8;
		a = simd_max(LOAD(x, -INFINITY), a);
	}
	return simd_top(simd_max(a, b));
}

SIMD_CLONES float ops_max(const float *x, size_t n)
{
	return row_max(x, n);
}

SIMD_INLINE float row_exp_sum(float *x, float shift, size_t n)
{
	return FOLD(n, __extension__({
			    v8 e = simd_exp(LOAD(x, -INFINITY) - shift);
			    STORE(x, e);
			    e;
		    }));
}

SIMD_CLONES float ops_exp_sum(float *x, float shift, size_t n)
{
	return row_exp_sum(x, shift, n);
}

SIMD_CLONES void ops_softmax(float *x, size_t n)
{
	float inverse = 1.0f / row_exp_sum(x, row_max(x, n), n);
	EACH(n, STORE(x, inverse * LOAD(x, 0)));
}
