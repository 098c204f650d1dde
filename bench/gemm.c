/* gemm.c - BLIS's own best single-precision product on this machine, and ours, at the shapes of training and decoding.
 *
 *     cmake --build build/release --target bench-gemm && build/release/bench-gemm 2
 *
 * GFLOP/s, the best of several alternating rounds of each shape: bli_sgemm with its own threads, gemm() and, where
 * decoding uses it, gemm_with() on a packed B. "best" is BLIS's largest figure of all shapes: 100% in docs/SPEED.md. */
#include <blis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gemm.h"

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *filled(size_t n)
{
	float *x = malloc(n * sizeof *x);
	for (size_t i = 0; x && i < n; i++)
		x[i] = (float)(i % 17) * 0.01f;
	return x;
}

int main(int argc, char **argv)
{
	static const struct {
		size_t m, n, k;
		int transposed;
		const char *what;
	} shapes[] = {
		{1080, 2304, 768, 0, "training: c_attn"},
		{1080, 3072, 768, 0, "training: c_fc"},
		{1080, 768, 3072, 0, "training: c_proj (MLP)"},
		{1080, 768, 768, 0, "training: c_proj (attention)"},
		{1080, 768, 3072, 1, "training: c_fc backward"},
		{448, 50257, 768, 1, "training: logits"},
		{64, 50257, 768, 1, "logits, 64 rows"},
		{64, 768, 50257, 0, "logits backward, 64 rows"},
		{320, 2304, 768, 0, "decoding, 320 rows: c_attn"},
		{320, 3072, 768, 0, "decoding, 320 rows: c_fc"},
		{320, 50257, 768, 1, "decoding, 320 rows: logits"},
		{5, 3072, 768, 0, "decoding, 5 rows: c_fc"},
		{5, 50257, 768, 1, "decoding, 5 rows: logits"},
		{700, 768, 256, 0, "demo model: c_attn"},
		{320, 1024, 256, 0, "demo model, decoding: c_fc"},
		{2048, 2048, 2048, 0, "2048 cubed"},
		{4096, 768, 3072, 0, "4096 rows"},
	};
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	gemm_threads(threads);
	bli_thread_set_num_threads(threads);
	double best_of_all = 0;
	printf("%23s  %7s  %7s  %7s  GFLOP/s\n", "m x n x k", "BLIS", "gemm", "packed");
	for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
		size_t m = shapes[s].m, n = shapes[s].n, k = shapes[s].k;
		size_t b_row = shapes[s].transposed ? 1 : n, b_col = shapes[s].transposed ? k : 1;
		float *a = filled(m * k), *b = filled(k * n), *c = filled(m * n), one = 1, zero = 0;
		float *memory = aligned_alloc(64, (gemm_packed_floats(n, k) * sizeof(float) + 63) / 64 * 64);
		struct gemm_packed packed;
		gemm_pack(&packed, n, k, b, b_row, b_col, memory);
		double best[3] = {1e9, 1e9, 1e9}, rate[3];
		for (int round = 0; round < 9; round++)
			for (int way = 0; way < 3; way++) {
				double start = now();
				if (way == 0)
					bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k,
						  &one, a, (inc_t)k, 1, b, (inc_t)b_row, (inc_t)b_col, &zero, c,
						  (inc_t)n, 1);
				else if (way == 1)
					gemm(m, n, k, a, k, 1, b, b_row, b_col, 0, c, n);
				else
					gemm_with(m, a, k, &packed, c, n);
				double seconds = now() - start;
				best[way] = seconds < best[way] ? seconds : best[way];
			}
		for (int way = 0; way < 3; way++)
			rate[way] = 2.0 * (double)m * (double)n * (double)k / best[way] * 1e-9;
		best_of_all = rate[0] > best_of_all ? rate[0] : best_of_all;
		printf("%5zu x %6zu x %6zu  %8.1f %8.1f %8.1f  %s\n", m, n, k, rate[0], rate[1], rate[2],
		       shapes[s].what);
		free(a);
		free(b);
		free(c);
		free(memory);
	}
	printf("BLIS's best %.1f GFLOP/s, %d threads, kernels for %s\n", best_of_all, threads, gemm_arch());
	return 0;
}
