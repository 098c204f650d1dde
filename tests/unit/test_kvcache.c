/* test_kvcache.c - attention over prefix, prompt and paths through lanes, against plain loops; and that it does not
 * matter in which lanes a path lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "forward_oracle.h"
#include "kvcache.h"

enum { PREFIX = 3, PROMPT = 6, STEPS = 9, LANES = 5 };

/* K or V of logical position i of the row under test. */
static float element(size_t which, size_t layer, size_t position, size_t column)
{
	return rng_normal(rng_key(which, RNG_INIT), layer * 1000 + position, column);
}

static void fill(float *out, size_t which, size_t layer, size_t position, size_t n)
{
	for (size_t c = 0; c < n; c++)
		out[c] = element(which, layer, position, c);
}

static void one_shape(size_t heads, size_t head_size)
{
	struct model model = naive_model(2, heads, head_size, 11, 1, 0.1f);
	size_t d = model.n_embd, keys = PREFIX + PROMPT + STEPS;
	float *table = mem_array(PREFIX * 4 * d, sizeof *table);
	for (size_t j = 0; j < PREFIX; j++)
		for (size_t l = 0; l < 2; l++)
			for (size_t which = 0; which < 2; which++)
				fill(table + ((j * 2 + l) * 2 + which) * d, which, l, j, d);
	struct kvcache cache;
	struct kvcache_room room = {2, PROMPT, LANES, STEPS};
	struct kvcache_scratch scratch;
	struct err err = {0};
	assert_int_equal(kvcache_init(&cache, &model, table, PREFIX, &room, &err), 0);
	assert_int_equal(kvcache_scratch_init(&scratch, &cache, &err), 0);
	const uint32_t paths[2][STEPS] = {{0, 0, 0, 0, 0, 0, 0, 0, 0}, {4, 4, 1, 2, 2, 2, 2, 1, 3}};
	float *k = mem_array(d, sizeof *k), *v = mem_array(d, sizeof *v), *q = mem_array(d, sizeof *q);
	float *out[2] = {mem_array(d, sizeof(float)), mem_array(d, sizeof(float))};
	double *wide[3];
	for (size_t i = 0; i < 3; i++)
		wide[i] = mem_array(keys * d, sizeof(double));
	fill(q, 9, 0, 0, d);
	for (size_t l = 0; l < 2; l++) {
		for (size_t i = 0; i < PROMPT + STEPS; i++) {
			fill(k, 0, l, PREFIX + i, d);
			fill(v, 1, l, PREFIX + i, d);
			if (i < PROMPT) {
				kvcache_put_prompt(&cache, l, 1, i, k, v);
			} else {
				kvcache_put_step(&cache, l, paths[0][i - PROMPT], i - PROMPT, k, v);
				kvcache_put_step(&cache, l, paths[1][i - PROMPT], i - PROMPT, k, v);
			}
		}
		for (size_t n_path = 0; n_path <= STEPS; n_path++) {
			size_t n_prompt = n_path ? PROMPT : 4;
			for (size_t p = 0; p < 2; p++) {
				struct kvcache_view view = {1, (uint32_t)n_prompt, (uint32_t)n_path, paths[p]};
				for (size_t h = 0; h < heads; h++)
					kvcache_attend(&cache, l, h, q + h * head_size, &view, &scratch,
						       out[p] + h * head_size);
			}
			assert_memory_equal(out[0], out[1], d * sizeof(float));
			for (size_t i = 0; i < keys * d; i++) {
				wide[0][i] = (double)element(0, l, i / d, i % d);
				wide[1][i] = (double)element(1, l, i / d, i % d);
			}
			double *query = mem_array(d, sizeof *query);
			for (size_t c = 0; c < d; c++)
				query[c] = (double)q[c];
			naive_attend(&model, query, wide[0], wide[1], PREFIX + n_prompt + n_path, wide[2]);
			for (size_t c = 0; c < d; c++)
				assert_true(fabs((double)out[0][c] - wide[2][c]) < 1e-5);
			free(query);
		}
	}
	for (size_t i = 0; i < 3; i++)
		free(wide[i]);
	free(out[0]);
	free(out[1]);
	free(k);
	free(v);
	free(q);
	free(table);
	kvcache_scratch_release(&scratch);
	kvcache_release(&cache);
	random_model_release(&model);
}

static void test_attention(void **state)
{
	(void)state;
	one_shape(2, 64);
	one_shape(3, 32);
	one_shape(2, 40);
	one_shape(1, 7);
	one_shape(2, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
