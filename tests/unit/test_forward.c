/* test_forward.c - prefill and steps through the cache give the logits of a plain forward pass over the whole sequence,
 * for odd shapes, with and without a prefix; and a row's bits do not depend on its batch. */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "forward.h"
#include "forward_oracle.h"
#include "gemm.h"
#include "packed.h"

enum { PROMPT = 7, STEPS = 4, MOST = 12 };

static void make_ids(const struct model *model, uint64_t seed, int32_t ids[PROMPT + STEPS])
{
	for (size_t i = 0; i < PROMPT + STEPS; i++)
		ids[i] = (int32_t)rng_below(rng_key(seed, RNG_INIT), 5, i, model->n_vocab);
}

/* Logits after the prompt and after each step of `n` sequences decoded together; out: [n, STEPS + 1, V]. */
static void decode(const struct model *model, const struct packed *packed, const float *table, size_t n_prefix,
		   size_t first, size_t n, bool prompts_together, float *out)
{
	struct kvcache cache;
	struct kvcache_room room = {MOST, PROMPT, MOST, STEPS};
	struct forward forward;
	struct err err = {0};
	size_t d = model->n_embd, vocab = model->n_vocab;
	assert_int_equal(kvcache_init(&cache, model, table, n_prefix, &room, &err), 0);
	assert_int_equal(forward_init(&forward, model, packed, &cache, MOST * PROMPT, &err), 0);
	struct forward_row rows[MOST * PROMPT];
	uint32_t keep[MOST], paths[MOST][STEPS];
	int32_t ids[MOST][PROMPT + STEPS];
	float *hidden = mem_array(MOST * d, sizeof *hidden), *logits = mem_array(MOST * vocab, sizeof *logits);
	for (size_t s = 0; s < n; s++)
		make_ids(model, first + s, ids[s]);
	for (size_t s = 0, n_rows = 0, from = 0; s < n; s++) {
		for (size_t i = 0; i < PROMPT; i++)
			rows[n_rows++] = (struct forward_row){
				ids[s][i], (uint32_t)(n_prefix + i), {(uint32_t)s, (uint32_t)(i + 1), 0, NULL}};
		keep[s - from] = (uint32_t)(n_rows - 1);
		if (prompts_together && s + 1 < n)
			continue;
		forward_prompts(&forward, rows, n_rows, NULL, 0, keep, s + 1 - from, hidden + from * d);
		from = s + 1;
		n_rows = 0;
	}
	for (size_t step = 0;; step++) {
		forward_logits(&forward, hidden, n, logits, vocab);
		for (size_t s = 0; s < n; s++)
			memcpy(out + (s * (STEPS + 1) + step) * vocab, logits + s * vocab, vocab * sizeof *out);
		if (step == STEPS)
			break;
		for (size_t s = 0; s < n; s++) {
			/* lanes that change on the way */
			paths[s][step] = (uint32_t)((s + step / 2) % n);
			rows[s] = (struct forward_row){ids[s][PROMPT + step],
						       (uint32_t)(n_prefix + PROMPT + step),
						       {(uint32_t)s, PROMPT, (uint32_t)(step + 1), paths[s]}};
		}
		forward_rows(&forward, rows, n, hidden);
	}
	free(hidden);
	free(logits);
	forward_release(&forward);
	kvcache_release(&cache);
}

static void one_shape(size_t layers, size_t heads, size_t head_size, size_t vocab, size_t n_prefix, int max_threads)
{
	omp_set_num_threads(1);
	gemm_threads(1);
	struct model model = naive_model(layers, heads, head_size, vocab, 3, 0.15f);
	float *table = naive_table(&model, n_prefix, 4), *want = mem_array(vocab, sizeof *want);
	size_t each = (STEPS + 1) * vocab;
	float *alone = mem_array(MOST * each, sizeof *alone), *batch = mem_array(MOST * each, sizeof *batch);
	for (size_t s = 0; s < MOST; s++)
		decode(&model, NULL, table, n_prefix, s, 1, false, alone + s * each);
	for (size_t s = 0; s < 2; s++) {
		int32_t ids[PROMPT + STEPS];
		make_ids(&model, s, ids);
		for (size_t step = 0; step <= STEPS; step++) {
			naive_logits(&model, table, n_prefix, ids, PROMPT + step, want);
			for (size_t t = 0; t < vocab; t++)
				assert_true(fabsf(alone[s * each + step * vocab + t] - want[t]) < 1e-4f);
		}
	}
	for (int threads = 1; threads <= max_threads; threads++) {
		omp_set_num_threads(threads);
		gemm_threads(threads);
		for (int together = threads > 1; together < 2; together++) {
			decode(&model, NULL, table, n_prefix, 0, MOST, together, batch);
			assert_memory_equal(batch, alone, MOST * each * sizeof *batch);
		}
	}
	struct err err = {0};
	struct packed *packed = packed_make(&model, -1, &err);
	assert_non_null(packed);
	decode(&model, packed, table, n_prefix, 0, MOST, true, batch);
	packed_release(packed);
	assert_memory_equal(batch, alone, MOST * each * sizeof *batch);
	free(table);
	free(want);
	free(alone);
	free(batch);
	random_model_release(&model);
}

static void test_shapes(void **state)
{
	(void)state;
	one_shape(2, 2, 16, 50, 0, 1);
	one_shape(1, 3, 8, 131, 4, 3);
	one_shape(3, 5, 7, 33, 2, 1);
	one_shape(2, 2, 64, 300, 1, 1);
}

int main(int argc, char **argv)
{
	(void)argc;
	naive_short_waits(argv);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
