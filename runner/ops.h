/* ops.h - the arithmetic of GPT-2 that is no matrix product, on one row of floats each: LayerNorm, bias, GELU,
 * residual, softmax, exp, and their derivatives where training needs them.
 *
 *     #pragma omp parallel for
 *     for (size_t i = 0; i < rows; i++)
 *             ops_layernorm(x + i * D, gain, bias, epsilon, D, out + i * D);
 *
 * Leaf functions: no threads inside (callers parallelise over rows), no allocation, any n, no alignment needed, and the
 * same bits for a row whatever stands around it. Pointers may be equal (in place) where that is said. Kernels are
 * dispatched to AVX-512, AVX2 or SSE2 at load time; NaN in gives NaN out. */
#ifndef SWEEP_RUNNER_OPS_H
#define SWEEP_RUNNER_OPS_H

#include <stddef.h>

/* out = (x - mean) / sqrt(variance + epsilon) * gain + bias, biased variance; out may be x. */
void ops_layernorm(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out);
/* dx += the gradient through ops_layernorm at x, given dout; mean and deviation are computed again from x. dx must not
 * be dout. */
void ops_layernorm_backward(const float *x, const float *gain, float epsilon, const float *dout, size_t n, float *dx);

/* x += y */
void ops_add(float *x, const float *y, size_t n);
/* x += y + bias: a residual connection */
void ops_add_bias_residual(float *x, const float *y, const float *bias, size_t n);
/* out = a + b */
void ops_sum(const float *a, const float *b, size_t n, float *out);
/* y += a * x */
void ops_axpy(float *y, float a, const float *x, size_t n);
/* x *= a */
void ops_scale(float *x, float a, size_t n);
/* sum of a[i] * b[i] */
float ops_dot(const float *a, const float *b, size_t n);

/* out = gelu_new(x + bias), z / (1 + exp(-2 sqrt(2/pi) (z + 0.044715 z^3))): the same as with tanh. out may be x. */
void ops_bias_gelu(const float *x, const float *bias, size_t n, float *out);
/* dz = dout * gelu_new'(x + bias); dz may be dout. */
void ops_bias_gelu_backward(const float *x, const float *bias, const float *dout, size_t n, float *dz);

/* out = tanh(x); out may be x. */
void ops_tanh(const float *x, size_t n, float *out);

/* The largest element; -infinity when n is 0, NaNs are passed over. */
float ops_max(const float *x, size_t n);
/* x = exp(x - shift), and their sum: with shift = ops_max(x, n) the numerators of a softmax. */
float ops_exp_sum(float *x, float shift, size_t n);
/* x = exp(x) / sum; -infinity becomes exactly 0. A row of only -infinity becomes NaN. */
void ops_softmax(float *x, size_t n);

#endif
