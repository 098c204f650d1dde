/* test_gemm.c - products by plain loops; the bits of BLIS's own conventional path; and batch invariance: the bits of a
 * row of C do not depend on the number of rows and columns computed with it, nor on threads, nor on who packs B. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <blis.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "gemm.h"

static bool chosen_by_user;

static float *matrix(size_t n, uint64_t what)
{
	float *x = malloc(n * sizeof *x);
	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = rng_normal(rng_key(1, RNG_INIT), what, i);
	return x;
}

static void test_against_plain_loops(void **state)
{
	(void)state;
	static const size_t shapes[][3] = {{1, 1, 1},      {5, 3, 7},    {33, 50, 17},
					   {100, 97, 130}, {1, 300, 64}, {64, 1, 9}};
	for (size_t s = 0; s < 6; s++)
		for (int form = 0; form < 8; form++) { /* A transposed or not, B too, beta 0 or 1 */
			size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], ldc = n + 3;
			float *a = matrix(m * k, 1), *b = matrix(k * n, 2), *c = matrix(m * ldc, 3),
			      *d = matrix(m * ldc, 3);
			size_t a_row = form & 1 ? 1 : k, a_col = form & 1 ? m : 1, b_row = form & 2 ? 1 : n,
			       b_col = form & 2 ? k : 1;
			float beta = form & 4 ? 1 : 0;
			if (beta == 0)
				c[0] = d[0] = NAN; /* not read */
			gemm_threads(1 + form % 3);
			gemm(m, n, k, a, a_row, a_col, b, b_row, b_col, beta, c, ldc);
			for (size_t i = 0; i < m; i++)
				for (size_t j = 0; j < ldc; j++) {
					double want = beta == 0 && j < n ? 0 : (double)d[i * ldc + j];
					for (size_t l = 0; l < k && j < n; l++)
						want += (double)a[i * a_row + l * a_col] *
							(double)b[l * b_row + j * b_col];
					if (!(fabs((double)c[i * ldc + j] - want) < 1e-4))
						fail_msg("%zu x %zu x %zu form %d: got %g, want %g", m, n, k, form,
							 (double)c[i * ldc + j], want);
				}
			free(a);
			free(b);
			free(c);
			free(d);
		}
}

/* BLIS's own product on one thread, its small-matrix path off: what gemm.c's loops must equal in every bit. */
static void by_blis(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
		    size_t b_row, size_t b_col, float beta, float *c, size_t ldc)
{
	rntm_t rntm;
	bli_rntm_init(&rntm);
	bli_rntm_disable_l3_sup(&rntm);
	bli_rntm_set_num_threads(1, &rntm);
	float one = 1;
	bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one, (float *)a, (inc_t)a_row,
		     (inc_t)a_col, (float *)b, (inc_t)b_row, (inc_t)b_col, &beta, c, (inc_t)ldc, 1, NULL, &rntm);
}

/* Sizes around the kernel's blocks, all layouts, packed and not, over one and several chunks of k. */
static void test_bits_of_blis(void **state)
{
	(void)state;
	static const size_t shapes[][3] = {{1, 1, 1},      {5, 17, 9},      {6, 16, 256},   {7, 31, 257},
					   {13, 100, 511}, {24, 48, 513},   {145, 33, 300}, {301, 64, 1025},
					   {40, 1500, 70}, {2100, 20, 2500}};
	for (size_t s = 0; s < 10; s++)
		for (int form = 0; form < 8; form++) {
			size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], ldc = n + 5;
			float *a = matrix(m * k, 1), *b = matrix(k * n, 2), *c = matrix(m * ldc, 3),
			      *want = matrix(m * ldc, 3);
			size_t a_row = form & 1 ? 1 : k, a_col = form & 1 ? m : 1, b_row = form & 2 ? 1 : n,
			       b_col = form & 2 ? k : 1;
			float beta = form & 4 ? 1 : 0;
			by_blis(m, n, k, a, a_row, a_col, b, b_row, b_col, beta, want, ldc);
			gemm_threads(1 + (int)(s + (size_t)form) % 3);
			gemm(m, n, k, a, a_row, a_col, b, b_row, b_col, beta, c, ldc);
			assert_memory_equal(c, want, m * ldc * sizeof *c);
			if (a_col == 1 && beta == 0) {
				size_t bytes = (gemm_packed_floats(n, k) * sizeof(float) + 63) / 64 * 64;
				struct gemm_packed packed;
				float *memory = aligned_alloc(64, bytes), *again = matrix(m * ldc, 3);
				gemm_pack(&packed, n, k, b, b_row, b_col, memory);
				gemm_with(m, a, k, &packed, again, ldc);
				assert_memory_equal(again, want, m * ldc * sizeof *c);
				free(memory);
				free(again);
			}
			free(a);
			free(b);
			free(c);
			free(want);
		}
}

/* One row alone, in batches of many sizes, with 1 to 5 threads: the same bits. k goes past BLIS's block of it. */
static void test_rows_do_not_depend_on_their_batch(void **state)
{
	(void)state;
	static const size_t shapes[][2] = {{672, 224}, {224, 896}, {101, 700}, {768, 768}, {33, 1537}, {3072, 100}};
	static const size_t batches[] = {1, 2, 5, 6, 7, 16, 47, 48, 49, 97, 160, 333};
	for (size_t s = 0; s < 6; s++) {
		size_t n = shapes[s][0], k = shapes[s][1], most = 333;
		float *a = matrix(most * k, 4), *b = matrix(k * n, 5), *c = matrix(most * n, 6),
		      *first = matrix(most * n, 7);
		gemm_threads(1);
		gemm(most, n, k, a, k, 1, b, n, 1, 0, first, n);
		for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
			int threads = 1 + (int)(i % 5);
			size_t from = (most - batches[i]) / 2;
			gemm_threads(threads);
			gemm(batches[i], n, k, a + from * k, k, 1, b, n, 1, 0, c, n);
			assert_memory_equal(c, first + from * n, batches[i] * n * sizeof *c);
			by_blis(batches[i], n, k, a + from * k, k, 1, b, n, 1, 0, c, n);
			assert_memory_equal(c, first + from * n, batches[i] * n * sizeof *c);
		}
		free(a);
		free(b);
		free(c);
		free(first);
	}
}

/* A CPU that BLIS does not know is no CPU without vectors. */
static void test_kernels_fit_the_cpu(void **state)
{
	(void)state;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !chosen_by_user)
		assert_string_not_equal(gemm_arch(), "generic");
#endif
}

int main(void)
{
	chosen_by_user = getenv("BLIS_ARCH_TYPE") != NULL; /* gemm.c may set it */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_plain_loops),
		cmocka_unit_test(test_bits_of_blis),
		cmocka_unit_test(test_kernels_fit_the_cpu),
		cmocka_unit_test(test_rows_do_not_depend_on_their_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
