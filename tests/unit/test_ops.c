/* test_ops.c - the row kernels against plain loops in double, at every length around a lane boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops.h"

enum { ROOM = 1100 };
static const size_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 64, 224, 767, 1000};

static float draw(uint64_t what, uint64_t i)
{
	return rng_normal(rng_key(7, RNG_INIT), what, i);
}

static void fill(float *x, size_t n, uint64_t what, float scale)
{
	for (size_t i = 0; i < n; i++)
		x[i] = scale * draw(what, i);
}

static void near(double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
		fail_msg("got %.9g, want %.9g", got, want);
}

static double gelu_plain(double z)
{
	return 0.5 * z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
}

/* Largest error in units of the last place of a float, over a range. */
static double worst_ulp(void (*f)(const float *, size_t, float *), double (*plain)(double), float from, float to)
{
	double worst = 0;
	for (int i = 0; i < 200000; i++) {
		float x = from + (to - from) * (float)i / 200000.0f, y;
		f(&x, 1, &y);
		double want = plain((double)x), ulp = ldexp(1, ilogb(want == 0 ? 1e-30 : want) - 23);
		double error = fabs((double)y - want) / ulp;
		worst = error > worst ? error : worst;
	}
	return worst;
}

/* ops_exp_sum's numerators. */
static void exp_row(const float *x, size_t n, float *out)
{
	memmove(out, x, n * sizeof *x);
	ops_exp_sum(out, 0, n);
}

static void test_exp_and_tanh_accuracy(void **state)
{
	(void)state;
	assert_true(worst_ulp(exp_row, exp, -87.3f, 87.3f) < 1.5);
	assert_true(worst_ulp(ops_tanh, tanh, -9.5f, 9.5f) < 2.5);
	assert_true(worst_ulp(ops_tanh, tanh, -0.7f, 0.7f) < 2.5);
	float x[6] = {NAN, INFINITY, -INFINITY, 0, -1000, 1e30f}, y[6];
	exp_row(x, 6, y);
	assert_true(isnan(y[0]) && y[1] == INFINITY && y[2] == 0 && y[3] == 1 && y[4] == 0 && y[5] == INFINITY);
	ops_tanh(x, 6, y);
	assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && y[4] == -1 && y[5] == 1);
}

static void test_layernorm(void **state)
{
	(void)state;
	static float x[ROOM], gain[ROOM], bias[ROOM], out[ROOM], dout[ROOM], dx[ROOM];
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
		size_t n = lengths[l];
		fill(x, n, 1, 3);
		fill(gain, n, 2, 1);
		fill(bias, n, 3, 1);
		fill(dout, n, 4, 1);
		for (size_t i = 0; i < n; i++)
			x[i] += 50;
		double mean = 0, var = 0, mg = 0, mgh = 0;
		for (size_t i = 0; i < n; i++)
			mean += (double)x[i] / (double)n;
		for (size_t i = 0; i < n; i++)
			var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
		double inverse = 1 / sqrt(var + 1e-5);
		out[n] = dx[n] = 77;
		ops_layernorm(x, gain, bias, 1e-5f, n, out);
		for (size_t i = 0; i < n; i++) {
			double h = ((double)x[i] - mean) * inverse, g = (double)dout[i] * (double)gain[i];
			near((double)out[i], h * (double)gain[i] + (double)bias[i], n == 1 ? 1e-2 : 3e-5);
			mg += g / (double)n;
			mgh += g * h / (double)n;
			dx[i] = 1;
		}
		ops_layernorm_backward(x, gain, 1e-5f, dout, n, dx);
		for (size_t i = 0; i < n && n > 2; i++) {
			double h = ((double)x[i] - mean) * inverse, g = (double)dout[i] * (double)gain[i];
			near((double)dx[i], 1 + inverse * (g - mg - h * mgh), 3e-5);
		}
		assert_true(out[n] == 77 && dx[n] == 77); /* nothing written past the row */
	}
}

static void test_gelu(void **state)
{
	(void)state;
	static float x[ROOM], bias[ROOM], out[ROOM], dout[ROOM], dz[ROOM];
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
		size_t n = lengths[l];
		fill(x, n, 5, 3);
		fill(bias, n, 6, 1);
		fill(dout, n, 7, 1);
		ops_bias_gelu(x, bias, n, out);
		ops_bias_gelu_backward(x, bias, dout, n, dz);
		for (size_t i = 0; i < n; i++) {
			double z = (double)(x[i] + bias[i]);
			near((double)out[i], gelu_plain(z), 1e-6);
			near((double)dz[i], (double)dout[i] * (gelu_plain(z + 1e-5) - gelu_plain(z - 1e-5)) / 2e-5,
			     2e-6);
		}
	}
	float far[4] = {-50, 50, NAN, -1e9f}, zero[4] = {0}, one[4] = {1, 1, 1, 1}, y[4];
	ops_bias_gelu(far, zero, 3, y);
	assert_true(y[0] == 0 && y[1] == 50 && isnan(y[2]));
	ops_bias_gelu_backward(far, zero, one, 3, y);
	assert_true(fabsf(y[0]) < 1e-20f && y[1] == 1 && isnan(y[2]));
}

static void test_sums(void **state)
{
	(void)state;
	static float a[ROOM], b[ROOM], c[ROOM], out[ROOM];
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
		size_t n = lengths[l];
		fill(a, n, 8, 1);
		fill(b, n, 9, 1);
		fill(c, n, 10, 1);
		double dot = 0;
		for (size_t i = 0; i < n; i++)
			dot += (double)a[i] * (double)b[i];
		near((double)ops_dot(a, b, n), dot, 1e-5);
		ops_sum(a, b, n, out);
		for (size_t i = 0; i < n; i++)
			assert_true(out[i] == a[i] + b[i]);
		ops_add(out, c, n);
		ops_scale(out, 0.5f, n);
		ops_axpy(out, 3, a, n);
		ops_add_bias_residual(out, b, c, n);
		for (size_t i = 0; i < n; i++)
			near((double)out[i],
			     0.5 * ((double)a[i] + (double)b[i] + (double)c[i]) + 3 * (double)a[i] + (double)b[i] +
				     (double)c[i],
			     1e-6);
	}
}

static void test_softmax(void **state)
{
	(void)state;
	static float x[ROOM], y[ROOM];
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
		size_t n = lengths[l];
		fill(x, n, 11, 10);
		double top = -INFINITY, sum = 0;
		for (size_t i = 0; i < n; i++)
			top = fmax(top, (double)x[i]);
		for (size_t i = 0; i < n; i++)
			sum += exp((double)x[i] - top);
		assert_true((double)ops_max(x, n) == top);
		memcpy(y, x, n * sizeof *x);
		ops_softmax(y, n);
		for (size_t i = 0; i < n; i++)
			near((double)y[i], exp((double)x[i] - top) / sum, 1e-6);
		memcpy(y, x, n * sizeof *x);
		near((double)ops_exp_sum(y, (float)top, n), sum, 1e-6);
	}
	float masked[3] = {-INFINITY, 1, -INFINITY}, bad[2] = {NAN, 1};
	ops_softmax(masked, 3);
	assert_true(masked[0] == 0 && masked[1] == 1 && masked[2] == 0);
	ops_softmax(bad, 2);
	assert_true(isnan(bad[0]) && isnan(bad[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exp_and_tanh_accuracy),
		cmocka_unit_test(test_layernorm),
		cmocka_unit_test(test_gelu),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_softmax),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
