/* test_dropout.c - the vectorised masks against their definition, and the distribution over many rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "dropout.h"

static void test_fast_is_plain(void **state)
{
	(void)state;
	static const size_t lengths[] = {1, 7, 63, 64, 65, 200, 768, 1001};
	static const double rates[] = {0.1, 0.5, 0.99, 1.0 / 65536};
	for (size_t l = 0; l < 8; l++)
		for (size_t r = 0; r < 4; r++) {
			float a[1002], b[1002];
			for (size_t i = 0; i <= lengths[l]; i++)
				a[i] = b[i] = (float)i - 5;
			struct dropout d = dropout_at(rng_key(3, RNG_DROPOUT), rates[r], 1u << 20, 5, DROPOUT_MLP);
			uint64_t row = dropout_row_id(4095, 11, 1000 + l);
			dropout_row(&d, row, lengths[l], a);
			dropout_row_plain(&d, row, lengths[l], b);
			assert_memory_equal(a, b, (lengths[l] + 1) * sizeof *a);
		}
	float x[3] = {1, 2, 3};
	struct dropout none = dropout_at(rng_key(3, RNG_DROPOUT), 0, 1, 0, DROPOUT_MLP);
	dropout_row(&none, 0, 3, x);
	assert_true(x[0] == 1 && x[1] == 2 && x[2] == 3);
}

/* Mean 1 and variance p / (1 - p) of the factors; neighbours, rows, steps, layers and sites are independent. */
static void test_distribution(void **state)
{
	(void)state;
	enum { N = 512, ROWS = 400 };
	static float a[ROWS][N], others[5][ROWS][N];
	const double rate = 0.1;
	struct rng_key key = rng_key(3, RNG_DROPOUT);
	const struct dropout at[6] = {
		dropout_at(key, rate, 7, 2, DROPOUT_MLP), dropout_at(key, rate, 8, 2, DROPOUT_MLP),
		dropout_at(key, rate, 7, 3, DROPOUT_MLP), dropout_at(key, rate, 7, 2, DROPOUT_PROJECTION),
		dropout_at(key, rate, 7, 2, DROPOUT_MLP), dropout_at(rng_key(4, RNG_DROPOUT), rate, 7, 2, DROPOUT_MLP),
	};
	double sum = 0, squares = 0, neighbours = 0, cross[5] = {0};
	for (size_t r = 0; r < ROWS; r++) {
		for (size_t i = 0; i < N; i++) {
			a[r][i] = 1;
			for (size_t k = 0; k < 5; k++)
				others[k][r][i] = 1;
		}
		dropout_row(&at[0], dropout_row_id(r % 16, 0, r / 16), N, a[r]);
		for (size_t k = 0; k < 5; k++) /* the fourth: same site, other example */
			dropout_row(&at[k + 1], dropout_row_id(r % 16 + (k == 3 ? 16 : 0), 0, r / 16), N, others[k][r]);
		for (size_t i = 0; i < N; i++) {
			double x = (double)a[r][i] - 1;
			sum += x;
			squares += x * x;
			neighbours += i ? x * ((double)a[r][i - 1] - 1) : 0;
			for (size_t k = 0; k < 5; k++)
				cross[k] += x * ((double)others[k][r][i] - 1);
		}
	}
	double n = N * ROWS, variance = rate / (1 - rate);
	assert_true(fabs(sum / n) < 5 * sqrt(variance / n));
	assert_true(fabs(squares / n / variance - 1) < 0.03);
	assert_true(fabs(neighbours / n) < 5 * variance / sqrt(n));
	for (size_t k = 0; k < 5; k++)
		assert_true(fabs(cross[k] / n) < 5 * variance / sqrt(n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast_is_plain),
		cmocka_unit_test(test_distribution),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
