/* gemm.c - BLIS's expert API with the small-matrix ("sup") path off; see gemm.h and docs/NUMERICS.md.
 *
 * The sup path picks kernels by shape, so a row's bits would depend on how many rows share its batch. The conventional
 * path packs and always runs the same micro-kernel over k in the same blocks.
 *
 * Threads are ours and not BLIS's: C is cut into a grid of blocks, one single-threaded product each. BLIS's own threads
 * meet at barriers that spin without end, so that on a busy machine (two workers of three threads on two cores, say) a
 * product took ten times as long; OpenMP's barrier sleeps. On an idle machine both are equally fast. */
#include "gemm.h"

#include <blis.h>
#include <omp.h>

/* Below so many multiplications a second thread costs more than it brings. */
#define GEMM_SMALL 400000
/* Blocks begin at multiples of this: cut evenly, but do not leave every block a ragged edge. */
#define GEMM_GRAIN 16

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

void gemm_single(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
		 size_t b_col, float beta, float *c, size_t ldc)
{
	rntm_t rntm;
	bli_rntm_init(&rntm);
	bli_rntm_disable_l3_sup(&rntm);
	bli_rntm_set_num_threads(1, &rntm);
	float one = 1;
	bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one, (float *)a, (inc_t)a_row,
		     (inc_t)a_col, (float *)b, (inc_t)b_row, (inc_t)b_col, &beta, c, (inc_t)ldc, 1, NULL, &rntm);
}

/* Where block i of `blocks` begins in 0 .. n. */
static size_t block_begin(size_t n, size_t blocks, size_t i)
{
	size_t grains = (n + GEMM_GRAIN - 1) / GEMM_GRAIN, begin = grains * i / blocks * GEMM_GRAIN;
	return begin < n ? begin : n;
}

/* rows * columns = threads, such that the least is packed: every block packs its share of A and of B. */
static void choose_grid(size_t m, size_t n, size_t threads, size_t *rows, size_t *columns)
{
	size_t best = SIZE_MAX;
	for (size_t r = 1; r <= threads; r++) {
		if (threads % r)
			continue;
		size_t packed = threads / r * m + r * n;
		if (packed < best) {
			best = packed;
			*rows = r;
			*columns = threads / r;
		}
	}
}

void gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
	  size_t b_col, float beta, float *c, size_t ldc)
{
	size_t threads = (size_t)gemm_thread_count, rows = 1, columns = 1;
	if (threads == 1 || (double)m * (double)n * (double)k < GEMM_SMALL) {
		gemm_single(m, n, k, a, a_row, a_col, b, b_row, b_col, beta, c, ldc);
		return;
	}
	choose_grid(m, n, threads, &rows, &columns);
#pragma omp parallel for schedule(static, 1) num_threads(gemm_thread_count)
	for (size_t i = 0; i < threads; i++) {
		size_t top = block_begin(m, rows, i / columns), left = block_begin(n, columns, i % columns);
		size_t height = block_begin(m, rows, i / columns + 1) - top;
		size_t width = block_begin(n, columns, i % columns + 1) - left;
		if (height > 0 && width > 0)
			gemm_single(height, width, k, a + top * a_row, a_row, a_col, b + left * b_col, b_row, b_col,
				    beta, c + top * ldc + left, ldc);
	}
}
