/* test_gpt2.c - the training step against the plain oracle (loss and gradient, with and without dropout), the oracle
 * against finite differences, and the same bits at every thread count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <string.h>

#include "gemm.h"
#include "oracle.h"
#include "random_model.h"

struct shape {
	size_t n_layer, n_head, n_embd, n_inner, n_vocab, n_virtual, n_pair;
	uint32_t pad;
};

/* Odd widths, one head, one layer, one virtual token, heads narrower and wider than a vector, an MLP narrower than D.
 */
static const struct shape shapes[] = {
	{2, 2, 16, 64, 37, 3, 4, 0}, {1, 1, 5, 7, 11, 1, 3, 0},     {3, 3, 27, 108, 101, 5, 6, 9},
	{2, 1, 40, 24, 64, 2, 1, 0}, {4, 7, 56, 224, 50, 20, 9, 2}, {2, 4, 12, 48, 33, 1, 2, 30},
};

struct setup {
	struct model model;
	struct dataset_pair pairs[16];
	const struct dataset_pair *list[16];
	int32_t ids[16][40];
	struct gpt2 g;
	size_t table_floats;
	float *table, *dtable;
	double *wide, *dwide;
};

static void setup_open(struct setup *s, const struct shape *shape)
{
	struct err err = {0};
	*s = (struct setup){.model = {.n_layer = shape->n_layer,
				      .n_head = shape->n_head,
				      .n_embd = shape->n_embd,
				      .n_inner = shape->n_inner,
				      .n_positions = 128,
				      .n_vocab = shape->n_vocab,
				      .layer_norm_epsilon = 1e-5f}};
	random_model(&s->model, 3, 0.3f);
	struct gpt2_limits limits = {.n_virtual = shape->n_virtual, .batch = shape->n_pair, .longest = 40};
	struct rng_key key = rng_key(5, RNG_POINTS);
	for (size_t b = 0; b < shape->n_pair; b++) {
		struct dataset_pair *pair = &s->pairs[b];
		pair->n = (uint32_t)(3 + rng_below(key, 1, b, 30));
		pair->n_prompt = (uint32_t)(1 + rng_below(key, 2, b, pair->n - 1));
		if (b == 1)
			pair->n_prompt = 1; /* every token but the first is a label */
		if (b == 2)
			pair->n_prompt = pair->n - 1; /* one label */
		pair->pad = shape->pad;
		for (size_t i = 0; i < pair->n; i++)
			s->ids[b][i] = (int32_t)rng_below(key, 10 + b, i, shape->n_vocab);
		pair->ids = s->ids[b];
		s->list[b] = pair;
		limits.rows += pair->n;
		limits.labels += gpt2_labels(pair);
	}
	assert_int_equal(gpt2_init(&s->g, &s->model, &limits, &err), 0);
	s->table_floats = shape->n_virtual * 2 * shape->n_layer * shape->n_embd;
	s->table = mem_zero(s->table_floats, sizeof(float));
	s->dtable = mem_zero(s->table_floats, sizeof(float));
	s->wide = mem_zero(s->table_floats, sizeof(double));
	s->dwide = mem_zero(s->table_floats, sizeof(double));
	for (size_t i = 0; i < s->table_floats; i++) {
		s->table[i] = rng_normal(rng_key(11, RNG_INIT), 0, i);
		s->wide[i] = (double)s->table[i];
		s->dtable[i] = 77;
	}
}

static void setup_close(struct setup *s)
{
	gpt2_release(&s->g);
	random_model_release(&s->model);
	free(s->table);
	free(s->dtable);
	free(s->wide);
	free(s->dwide);
}

/* The largest difference, relative to the largest value. */
static double worst(const float *got, const double *want, size_t n)
{
	double top = 0, error = 0;
	for (size_t i = 0; i < n; i++) {
		top = fmax(top, fabs(want[i]));
		error = fmax(error, fabs((double)got[i] - want[i]));
		assert_false(isnan(got[i]));
	}
	return error / top;
}

static void agree(const struct shape *shape, const struct gpt2_dropout *dropout)
{
	struct setup s;
	setup_open(&s, shape);
	double want = oracle_loss(&s.model, s.list, shape->n_pair, shape->n_virtual, s.wide, dropout, s.dwide);
	double got = gpt2_step(&s.g, s.list, shape->n_pair, s.table, dropout, s.dtable);
	if (!(fabs(got - want) <= 1e-5 * fabs(want)))
		fail_msg("loss %.9g, oracle %.9g", got, want);
	double error = worst(s.dtable, s.dwide, s.table_floats);
	if (!(error <= 5e-5)) /* float32 against double; 2.2e-5 is the worst shape's with Zen's kernels */
		fail_msg("gradient differs by %.3g of its largest element", error);
	assert_true(gpt2_step(&s.g, s.list, shape->n_pair, s.table, dropout, NULL) == got);
	setup_close(&s);
}

static void test_step_agrees_with_oracle(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		agree(&shapes[i], NULL);
}

static void test_step_agrees_with_oracle_under_dropout(void **state)
{
	(void)state;
	struct gpt2_dropout dropouts[] = {
		{rng_key(1, RNG_DROPOUT), 1, 0.1, 0.1, 0.1},
		{rng_key(1, RNG_DROPOUT), 9, 0.5, 0, 0},
		{rng_key(2, RNG_DROPOUT), 3, 0, 0.5, 0},
		{rng_key(2, RNG_DROPOUT), 3, 0, 0, 0.5},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (size_t j = 0; j < 4; j++)
			agree(&shapes[i], &dropouts[j]);
}

static void test_oracle_agrees_with_finite_differences(void **state)
{
	(void)state;
	struct gpt2_dropout dropout = {rng_key(1, RNG_DROPOUT), 1, 0.1, 0.2, 0.1};
	for (size_t k = 0; k < 4; k++) {
		struct setup s;
		setup_open(&s, &shapes[k]);
		size_t n = shapes[k].n_pair, v = shapes[k].n_virtual;
		const struct gpt2_dropout *d = k == 2 ? &dropout : NULL;
		oracle_loss(&s.model, s.list, n, v, s.wide, d, s.dwide);
		for (size_t i = 0; i < s.table_floats; i += s.table_floats / 12 + 1) {
			double keep = s.wide[i], step = 1e-5;
			s.wide[i] = keep + step;
			double up = oracle_loss(&s.model, s.list, n, v, s.wide, d, NULL);
			s.wide[i] = keep - step;
			double down = oracle_loss(&s.model, s.list, n, v, s.wide, d, NULL);
			s.wide[i] = keep;
			if (!(fabs((up - down) / (2 * step) - s.dwide[i]) < 1e-8 + 1e-5 * fabs(s.dwide[i])))
				fail_msg("element %zu: slope %.9g, gradient %.9g", i, (up - down) / (2 * step),
					 s.dwide[i]);
		}
		setup_close(&s);
	}
}

/* The same bits at 1, 2 and 3 threads, and again in a workspace used for another batch before. */
static void test_threads_do_not_matter(void **state)
{
	(void)state;
	struct gpt2_dropout dropout = {rng_key(1, RNG_DROPOUT), 1, 0.1, 0.1, 0.1};
	float *first = NULL;
	double loss = 0;
	int before = omp_get_max_threads();
	for (int threads = 1; threads <= 3; threads++) {
		omp_set_num_threads(threads);
		gemm_threads(threads);
		struct setup s;
		setup_open(&s, &shapes[4]);
		gpt2_step(&s.g, s.list + 3, 4, s.table, NULL, s.dtable);
		double now = gpt2_step(&s.g, s.list, shapes[4].n_pair, s.table, &dropout, s.dtable);
		if (!first) {
			first = mem_array(s.table_floats, sizeof *first);
			memcpy(first, s.dtable, s.table_floats * sizeof *first);
			loss = now;
		}
		assert_true(loss == now);
		assert_memory_equal(first, s.dtable, s.table_floats * sizeof *first);
		setup_close(&s);
	}
	omp_set_num_threads(before);
	gemm_threads(before);
	free(first);
}

/* The gradient of a batch is that of its examples weighted by their labels, whatever order they are packed in. */
static void test_order_of_examples_does_not_matter_without_dropout(void **state)
{
	(void)state;
	struct setup s;
	setup_open(&s, &shapes[2]);
	size_t n = shapes[2].n_pair;
	double loss = gpt2_step(&s.g, s.list, n, s.table, NULL, s.dtable);
	for (size_t i = 0; i < s.table_floats; i++)
		s.dwide[i] = (double)s.dtable[i];
	const struct dataset_pair *turned[16];
	for (size_t i = 0; i < n; i++)
		turned[i] = s.list[n - 1 - i];
	assert_true(fabs(gpt2_step(&s.g, turned, n, s.table, NULL, s.dtable) - loss) < 1e-6);
	assert_true(worst(s.dtable, s.dwide, s.table_floats) < 1e-5);
	setup_close(&s);
}

static void test_batch_without_labels_is_nan(void **state)
{
	(void)state;
	struct setup s;
	setup_open(&s, &shapes[0]);
	for (size_t b = 0; b < shapes[0].n_pair; b++)
		s.pairs[b].n_prompt = s.pairs[b].n;
	assert_true(isnan(gpt2_step(&s.g, s.list, shapes[0].n_pair, s.table, NULL, s.dtable)));
	setup_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle_agrees_with_finite_differences),
		cmocka_unit_test(test_step_agrees_with_oracle),
		cmocka_unit_test(test_step_agrees_with_oracle_under_dropout),
		cmocka_unit_test(test_threads_do_not_matter),
		cmocka_unit_test(test_order_of_examples_does_not_matter_without_dropout),
		cmocka_unit_test(test_batch_without_labels_is_nan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
