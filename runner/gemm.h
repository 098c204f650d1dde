/* gemm.h - every matrix product of the runner, through BLIS. The only file that includes blis.h is gemm.c.
 *
 *     gemm_threads(2);
 *     gemm(rows, 3 * D, D, x, D, 1, w, 3 * D, 1, 0, out, 3 * D);     out[rows, 3D] = x[rows, D] w[D, 3D]
 *
 * Batch invariance (DESIGN, invariant 3): a row of C has the same bits for every m and every thread count, because
 * BLIS's small-matrix path is off and its threads split m and n, never k. */
#ifndef SWEEP_RUNNER_GEMM_H
#define SWEEP_RUNNER_GEMM_H

#include <stddef.h>

/* Threads for gemm(); call once at start and when the number of threads changes. */
void gemm_threads(int threads);
/* BLIS's kernel family for this CPU ("zen3", "skx", "haswell", ...). */
const char *gemm_arch(void);

/* C[m, n] = beta * C + A[m, k] B[k, n] in float32. Each operand has a row and a column stride in elements: (ld, 1) as
 * it is, (1, ld) transposed. beta is 0 or 1; with 0 C is not read. C is row-major with leading dimension ldc. */
void gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
	  size_t b_col, float beta, float *c, size_t ldc);
/* The same on the calling thread alone: for products inside an OpenMP region. */
void gemm_single(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
		 size_t b_col, float beta, float *c, size_t ldc);

#endif
