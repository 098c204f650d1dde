/* gemm.c - BLIS's own best single-precision product on this machine, and at the shapes that training and decoding use.
 *
 *     cc -O2 -iquote runner bench/gemm.c runner/gemm.c -lblis -lm -o build/bench/gemm &&
 * build/bench/gemm 2
 *
 * GFLOP/s, the best of several rounds of each shape; "best" is the largest figure of all shapes: 100% in docs/SPEED.md.
 */
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
	double best_of_all = 0;
	for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
		size_t m = shapes[s].m, n = shapes[s].n, k = shapes[s].k;
		float *a = filled(m * k), *b = filled(k * n), *c = filled(m * n);
		double best = 1e9;
		for (int round = 0; round < 7; round++) {
			double start = now();
			gemm(m, n, k, a, k, 1, b, shapes[s].transposed ? 1 : n, shapes[s].transposed ? k : 1, 0, c, n);
			double seconds = now() - start;
			best = seconds < best ? seconds : best;
		}
		double rate = 2.0 * (double)m * (double)n * (double)k / best * 1e-9;
		best_of_all = rate > best_of_all ? rate : best_of_all;
		printf("%5zu x %5zu x %5zu  %7.1f GFLOP/s  %s\n", m, n, k, rate, shapes[s].what);
		free(a);
		free(b);
		free(c);
	}
	printf("best %.1f GFLOP/s, %d threads, BLIS kernels for %s\n", best_of_all, threads, gemm_arch());
	return 0;
}
