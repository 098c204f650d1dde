/* ops.c - GPT-2's row arithmetic; see ops.h. Each function is one loop over sixteen lanes and a tail of fewer; sums run
 * in sixteen lanes and are folded in a fixed tree (simd.h), so a row's result never depends on threads or neighbours.
 */
#include "ops.h"

#include <math.h>

#include "simd.h"

/* Sum over the row of f(lane vector) with the tail's empty lanes as `fill`: the body sees `v`, adds to `sum`. */
SIMD_INLINE float row_sum(const float *x, size_t n)
{
	v16 sum = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		sum += simd_load(x + i);
	if (i < n)
		sum += simd_load_part(x + i, n - i, 0);
	return simd_sum(sum);
}

/* Mean and 1 / sqrt(variance + epsilon), in two passes: x may be far from 0. */
SIMD_INLINE void row_moments(const float *x, float epsilon, size_t n, float *mean, float *inverse)
{
	float m = row_sum(x, n) / (float)n;
	v16 sum = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16) {
		v16 v = simd_load(x + i) - m;
		sum += v * v;
	}
	if (i < n) {
		v16 v = simd_load_part(x + i, n - i, m) - m;
		sum += v * v;
	}
	*mean = m;
	*inverse = 1.0f / sqrtf(simd_sum(sum) / (float)n + epsilon);
}

SIMD_CLONES void ops_layernorm(const float *x, const float *gain, const float *bias, float epsilon, size_t n,
			       float *out)
{
	float mean, inverse;
	row_moments(x, epsilon, n, &mean, &inverse);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(out + i, (simd_load(x + i) - mean) * inverse * simd_load(gain + i) + simd_load(bias + i));
	if (i < n) {
		v16 y = (simd_load_part(x + i, n - i, 0) - mean) * inverse;
		simd_store_part(out + i, y * simd_load_part(gain + i, n - i, 0) + simd_load_part(bias + i, n - i, 0),
				n - i);
	}
}

/* With h = (x - mean) * inverse and g = dout * gain: dx = inverse * (g - mean(g) - h * mean(g h)). */
SIMD_CLONES void ops_layernorm_backward(const float *x, const float *gain, float epsilon, const float *dout, size_t n,
					float *dx)
{
	float mean, inverse;
	row_moments(x, epsilon, n, &mean, &inverse);
	v16 sum_g = simd_set(0), sum_gh = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16) {
		v16 g = simd_load(dout + i) * simd_load(gain + i);
		sum_g += g;
		sum_gh += g * ((simd_load(x + i) - mean) * inverse);
	}
	if (i < n) {
		v16 g = simd_load_part(dout + i, n - i, 0) * simd_load_part(gain + i, n - i, 0);
		sum_g += g;
		sum_gh += g * ((simd_load_part(x + i, n - i, mean) - mean) * inverse);
	}
	float mean_g = simd_sum(sum_g) / (float)n, mean_gh = simd_sum(sum_gh) / (float)n;
	for (i = 0; i + 16 <= n; i += 16) {
		v16 g = simd_load(dout + i) * simd_load(gain + i), h = (simd_load(x + i) - mean) * inverse;
		simd_store(dx + i, simd_load(dx + i) + inverse * (g - mean_g - h * mean_gh));
	}
	if (i < n) {
		v16 g = simd_load_part(dout + i, n - i, 0) * simd_load_part(gain + i, n - i, 0);
		v16 h = (simd_load_part(x + i, n - i, mean) - mean) * inverse;
		simd_store_part(dx + i, simd_load_part(dx + i, n - i, 0) + inverse * (g - mean_g - h * mean_gh), n - i);
	}
}

SIMD_CLONES void ops_add(float *x, const float *y, size_t n)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(x + i, simd_load(x + i) + simd_load(y + i));
	for (; i < n; i++)
		x[i] += y[i];
}

SIMD_CLONES void ops_add_bias_residual(float *x, const float *y, const float *bias, size_t n)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(x + i, simd_load(x + i) + (simd_load(y + i) + simd_load(bias + i)));
	for (; i < n; i++)
		x[i] += y[i] + bias[i];
}

SIMD_CLONES void ops_sum(const float *a, const float *b, size_t n, float *out)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(out + i, simd_load(a + i) + simd_load(b + i));
	for (; i < n; i++)
		out[i] = a[i] + b[i];
}

SIMD_CLONES void ops_axpy(float *y, float a, const float *x, size_t n)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(y + i, simd_load(y + i) + a * simd_load(x + i));
	if (i < n)
		simd_store_part(y + i, simd_load_part(y + i, n - i, 0) + a * simd_load_part(x + i, n - i, 0), n - i);
}

SIMD_CLONES void ops_scale(float *x, float a, size_t n)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(x + i, a * simd_load(x + i));
	for (; i < n; i++)
		x[i] *= a;
}

SIMD_CLONES float ops_dot(const float *a, const float *b, size_t n)
{
	v16 sum = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		sum += simd_load(a + i) * simd_load(b + i);
	if (i < n)
		sum += simd_load_part(a + i, n - i, 0) * simd_load_part(b + i, n - i, 0);
	return simd_sum(sum);
}

#define GELU_SCALE 1.5957691216057308f /* 2 sqrt(2 / pi) */
#define GELU_CUBE  0.044715f

/* z/2 (1 + tanh(u)) = z * sigmoid(2u), which stays accurate for very negative z. */
SIMD_INLINE v16 gelu(v16 z)
{
	v16 u2 = z * (z * z * (GELU_SCALE * GELU_CUBE) + GELU_SCALE);
	return z * simd_sigmoid(u2);
}

/* With s = sigmoid(2u): s + z s (1 - s) (2u)'. */
SIMD_INLINE v16 gelu_slope(v16 z)
{
	v16 square = z * z;
	v16 u2 = z * (square * (GELU_SCALE * GELU_CUBE) + GELU_SCALE);
	u2 = simd_select(u2 < -80.0f, simd_set(-80.0f), u2); /* keeps exp(-2u) finite; the slope there is 0 */
	v16 e = simd_exp(-u2), s = 1.0f / (1.0f + e);
	return s + z * s * (e * s) * (square * (3 * GELU_SCALE * GELU_CUBE) + GELU_SCALE);
}

SIMD_CLONES void ops_bias_gelu(const float *x, const float *bias, size_t n, float *out)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(out + i, gelu(simd_load(x + i) + simd_load(bias + i)));
	if (i < n)
		simd_store_part(out + i, gelu(simd_load_part(x + i, n - i, 0) + simd_load_part(bias + i, n - i, 0)),
				n - i);
}

SIMD_CLONES void ops_bias_gelu_backward(const float *x, const float *bias, const float *dout, size_t n, float *dz)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(dz + i, simd_load(dout + i) * gelu_slope(simd_load(x + i) + simd_load(bias + i)));
	if (i < n) {
		v16 z = simd_load_part(x + i, n - i, 0) + simd_load_part(bias + i, n - i, 0);
		simd_store_part(dz + i, simd_load_part(dout + i, n - i, 0) * gelu_slope(z), n - i);
	}
}

SIMD_CLONES void ops_exp(const float *x, size_t n, float *out)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(out + i, simd_exp(simd_load(x + i)));
	if (i < n)
		simd_store_part(out + i, simd_exp(simd_load_part(x + i, n - i, 0)), n - i);
}

SIMD_CLONES void ops_tanh(const float *x, size_t n, float *out)
{
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(out + i, simd_tanh(simd_load(x + i)));
	if (i < n)
		simd_store_part(out + i, simd_tanh(simd_load_part(x + i, n - i, 0)), n - i);
}

SIMD_INLINE float row_max(const float *x, size_t n)
{
	v16 top = simd_set(-INFINITY);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		top = simd_max(simd_load(x + i), top);
	if (i < n)
		top = simd_max(simd_load_part(x + i, n - i, -INFINITY), top);
	return simd_top(top);
}

SIMD_CLONES float ops_max(const float *x, size_t n)
{
	return row_max(x, n);
}

SIMD_INLINE float row_exp_sum(float *x, float shift, size_t n)
{
	v16 sum = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16) {
		v16 e = simd_exp(simd_load(x + i) - shift);
		simd_store(x + i, e);
		sum += e;
	}
	if (i < n) {
		v16 e = simd_exp(simd_load_part(x + i, n - i, -INFINITY) - shift);
		simd_store_part(x + i, e, n - i);
		sum += e;
	}
	return simd_sum(sum);
}

SIMD_CLONES float ops_exp_sum(float *x, float shift, size_t n)
{
	return row_exp_sum(x, shift, n);
}

SIMD_INLINE double row_log_sum_exp(const float *x, size_t n)
{
	float top = row_max(x, n);
	v16 sum = simd_set(0);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		sum += simd_exp(simd_load(x + i) - top);
	if (i < n)
		sum += simd_exp(simd_load_part(x + i, n - i, -INFINITY) - top);
	return (double)top + log((double)simd_sum(sum));
}

SIMD_CLONES double ops_log_sum_exp(const float *x, size_t n)
{
	return row_log_sum_exp(x, n);
}

SIMD_CLONES void ops_softmax(float *x, size_t n)
{
	float inverse = 1.0f / row_exp_sum(x, row_max(x, n), n);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(x + i, inverse * simd_load(x + i));
	for (; i < n; i++)
		x[i] *= inverse;
}

SIMD_CLONES void ops_log_softmax(float *x, size_t n)
{
	float norm = (float)row_log_sum_exp(x, n);
	size_t i = 0;
	for (; i + 16 <= n; i += 16)
		simd_store(x + i, simd_load(x + i) - norm);
	for (; i < n; i++)
		x[i] -= norm;
}
