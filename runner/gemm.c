/* gemm.c - BLIS's expert API with the small-matrix ("sup") path off; see gemm.h and docs/NUMERICS.md.
 *
 * The sup path picks kernels by shape, so a row's bits would depend on how many rows share its batch. The conventional
 * path packs and always runs the same micro-kernel over k in the same blocks. */
#include "gemm.h"

#include <blis.h>

static int gemm_thread_count = 1;

void gemm_threads(int threads)
{
	gemm_thread_count = threads < 1 ? 1 : threads;
}

const char *gemm_arch(void)
{
	bli_init();
	return bli_arch_string(bli_arch_query_id());
}

static void gemm_with(int threads, size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
		      const float *b, size_t b_row, size_t b_col, float beta, float *c, size_t ldc)
{
	rntm_t rntm;
	bli_rntm_init(&rntm);
	bli_rntm_disable_l3_sup(&rntm);
	bli_rntm_set_num_threads(threads, &rntm);
	float one = 1;
	bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one, (float *)a, (inc_t)a_row,
		     (inc_t)a_col, (float *)b, (inc_t)b_row, (inc_t)b_col, &beta, c, (inc_t)ldc, 1, NULL, &rntm);
}

void gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
	  size_t b_col, float beta, float *c, size_t ldc)
{
	gemm_with(gemm_thread_count, m, n, k, a, a_row, a_col, b, b_row, b_col, beta, c, ldc);
}

void gemm_single(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
		 size_t b_col, float beta, float *c, size_t ldc)
{
	gemm_with(1, m, n, k, a, a_row, a_col, b, b_row, b_col, beta, c, ldc);
}
