/* gemm.h - every matrix product of the runner, by BLIS's micro-kernels. The only file that includes blis.h is gemm.c.
 *
 *     gemm_threads(2);
 *     gemm(rows, 3 * D, D, x, D, 1, w, 3 * D, 1, 0, out, 3 * D);     out[rows, 3D] = x[rows, D] w[D, 3D]
 *
 *     float *memory = aligned_alloc(64, gemm_packed_floats(3 * D, D) * sizeof(float) rounded up to 64);
 *     gemm_pack(&packed, 3 * D, D, w, 3 * D, 1, memory);             once, for a matrix that is used often,
 *     gemm_with(rows, x, D, &packed, out, 3 * D);                    the same product, the same bits, sooner
 *
 * Batch invariance (docs/ARCHITECTURE.md, invariant 3): a row of C has the same bits for every m and every thread
 * count, because the same micro-kernel runs over the same blocks of k in the same order, and threads split m and n,
 * never k.
 *
 * One product at a time: call these from one thread, outside parallel regions. */
#ifndef SWEEP_RUNNER_GEMM_H
#define SWEEP_RUNNER_GEMM_H

#include <stddef.h>

/* B[k, n] in the order in which the micro-kernel reads it. */
struct gemm_packed {
	size_t n, k;
	const float *panels; /* the caller's memory, 64-byte aligned */
};

/* Threads for the functions below; call once at start and when the number of threads changes. */
void gemm_threads(int threads);
/* BLIS's kernel family for this CPU ("zen3", "skx", "haswell", ...). */
const char *gemm_arch(void);

/* C[m, n] = beta * C + A[m, k] B[k, n] in float32; k is at least 1. Each operand has a row and a column stride in
 * elements: (ld, 1) as it is, (1, ld) transposed. beta is 0 or 1; with 0 C is not read. C is row-major with leading
 * dimension ldc. */
void gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
	  size_t b_col, float beta, float *c, size_t ldc);

/* Floats of memory that B[k, n] takes packed: k * n, n rounded up to the kernel's width, and what kernels may read
 * behind it. */
size_t gemm_packed_floats(size_t n, size_t k);
void gemm_pack(struct gemm_packed *packed, size_t n, size_t k, const float *b, size_t b_row, size_t b_col,
	       float *memory);
/* C[m, n] = A[m, k] B, A and C row-major. */
void gemm_with(size_t m, const float *a, size_t lda, const struct gemm_packed *b, float *c, size_t ldc);

#endif
