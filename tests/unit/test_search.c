/* test_search.c - many searches in one batch over a random model with a prefix: each equals the plain generate() of
 * decode_oracle.h over the plain model of forward_oracle.h, and has the same bits alone, in a small batch, in a large
 * one and with any number of threads. */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "decode_oracle.h"
#include "forward_oracle.h"
#include "gemm.h"
#include "search.h"

enum { INPUTS = 24, GROUPS = 5, READERS = 3, TASKS = INPUTS * GROUPS, STEPS = 12, PREFIX = 2, VOCAB = 70 };

struct answer {
	size_t n;
	float score;
	int32_t ids[STEPS];
};

struct fixture {
	struct model model;
	float *table;
	int32_t ids[INPUTS][20];
	struct search_input inputs[INPUTS];
	struct beam_reader readers[READERS];
	struct search_task tasks[TASKS];
	struct oracle oracles[TASKS];
	struct answer answers[TASKS][READERS];
	size_t n_answers, n_rows;
};

static const struct {
	size_t n_beams, top_k;
	bool do_sample;
	double temperature, top_p;
} groups[GROUPS] = {
	{1, 50, false, 1, 1}, {3, 50, false, 1, 1}, {5, 50, true, 0.7, 0.9}, {1, 0, true, 1.5, 1}, {4, 0, true, 1, 1}};

/* Input 7 is input 3 again. Inputs come in families of four that begin alike, for 0, 3, 6 and 9 tokens. */
static void make_fixture(struct fixture *f)
{
	f->model = naive_model(2, 2, 12, VOCAB, 5, 0.3f);
	f->table = naive_table(&f->model, PREFIX, 6);
	for (size_t i = 0; i < INPUTS; i++) {
		size_t from = i == 7 ? 3 : i;
		f->inputs[i] = (struct search_input){f->ids[i], 3 + from % 9};
		for (size_t k = 0; k < f->inputs[i].n; k++)
			f->ids[i][k] = (int32_t)rng_below(rng_key(8, RNG_INIT),
							  k < from % 4 * 3 ? 1000 + from / 4 : from, k, VOCAB);
	}
	f->readers[0] = (struct beam_reader){STEPS, 1, EARLY_STOPPING_FALSE};
	f->readers[1] = (struct beam_reader){5, 0, EARLY_STOPPING_NEVER};
	f->readers[2] = (struct beam_reader){9, 2, EARLY_STOPPING_TRUE};
	for (size_t i = 0; i < TASKS; i++) {
		size_t g = i % GROUPS;
		f->tasks[i] = (struct search_task){.input = i / GROUPS,
						   .n_beams = groups[g].n_beams,
						   .rule = sample_rule(groups[g].n_beams, groups[g].do_sample,
								       groups[g].temperature, (int64_t)groups[g].top_k,
								       groups[g].top_p, 42),
						   .readers = f->readers,
						   .n_readers = READERS};
	}
}

static int take(void *ctx, size_t task, size_t reader, const int32_t *ids, size_t n, float score, struct err *err)
{
	struct fixture *f = ctx;
	(void)err;
	f->answers[task][reader] = (struct answer){.n = n, .score = score};
	memcpy(f->answers[task][reader].ids, ids, n * sizeof *ids);
	f->n_answers++;
	return 0;
}

static void progress(void *ctx, size_t n_done, uint64_t n_rows)
{
	(void)n_done;
	((struct fixture *)ctx)->n_rows = n_rows;
}

static void decode(struct fixture *f, size_t first, size_t n, size_t rows, int threads)
{
	omp_set_num_threads(threads);
	gemm_threads(threads);
	struct search_limits limits = {.rows = rows};
	struct search_hooks hooks = {take, progress, f};
	struct err err = {0};
	f->n_answers = 0;
	assert_int_equal(search_run(&f->model, NULL, f->table, PREFIX, f->inputs, INPUTS, f->tasks + first, n, &limits,
				    &hooks, &err),
			 0);
	assert_int_equal(f->n_answers, n * READERS);
}

/* The oracle's model: a plain pass over prompt and what was generated. */
struct context {
	const struct fixture *f;
	size_t input;
};

static void plain_logits(void *ctx, const int32_t *generated, size_t n, float *logits)
{
	const struct context *c = ctx;
	const struct search_input *input = &c->f->inputs[c->input];
	int32_t ids[20 + STEPS];
	memcpy(ids, input->ids, input->n * sizeof *ids);
	memcpy(ids + input->n, generated, n * sizeof *ids);
	naive_logits(&c->f->model, c->f->table, PREFIX, ids, input->n + n, logits);
}

static void test_oracle(void **state)
{
	struct fixture *f = *state;
	decode(f, 0, TASKS, 0, 1);
	size_t distinct = 0;
	for (size_t i = 0; i < 8 * GROUPS; i++) {
		struct context context = {f, f->tasks[i].input};
		const struct search_input *input = &f->inputs[context.input];
		struct oracle o = {.model = plain_logits,
				   .ctx = &context,
				   .vocab = VOCAB,
				   .n_beams = groups[i % GROUPS].n_beams,
				   .eos = f->model.eos_token_id,
				   .do_sample = groups[i % GROUPS].do_sample,
				   .temperature = groups[i % GROUPS].temperature,
				   .top_k = groups[i % GROUPS].top_k,
				   .top_p = groups[i % GROUPS].top_p,
				   .seed = 42,
				   .hash = hash_u64(input->ids, input->n * sizeof *input->ids)};
		for (size_t r = 0; r < READERS; r++) {
			const struct answer *answer = &f->answers[i][r];
			int32_t ids[64];
			size_t n;
			float score;
			o.steps = f->readers[r].max_new_tokens;
			o.length_penalty = f->readers[r].length_penalty;
			o.early_stopping = f->readers[r].early_stopping;
			oracle_generate(&o, ids, &n, &score);
			assert_int_equal(n, answer->n);
			assert_memory_equal(ids, answer->ids, n * sizeof *ids);
			if (o.n_beams > 1)
				assert_true(fabsf(score - answer->score) < 1e-4f * (1 + fabsf(score)));
			distinct += n > 1;
		}
	}
	assert_true(distinct > 40); /* the toy model says more than its end token */
}

/* Alone, then in batches of every kind: the same bits. */
static void test_batch_invariance(void **state)
{
	struct fixture *f = *state;
	static struct answer alone[TASKS][READERS];
	memset(f->answers, 0, sizeof f->answers);
	for (size_t i = 0; i < TASKS; i++) {
		/* decode() numbers tasks from the first it is given */
		decode(f, i, 1, 0, 1);
		memcpy(alone[i], f->answers[0], sizeof alone[i]);
	}
	static const struct {
		size_t rows;
		int threads;
	} ways[] = {{0, 1}, {5, 1}, {13, 1}, {40, 2}, {0, 3}};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		memset(f->answers, 0, sizeof f->answers);
		size_t n = ways[w].threads > 1 ? TASKS / 4 : TASKS;
		decode(f, 0, n, ways[w].rows, ways[w].threads);
		assert_memory_equal(f->answers, alone, n * sizeof alone[0]);
	}
}

/* Neighbouring tasks of one input share its prefill: fewer rows than apart. */
static void test_shared_prefill(void **state)
{
	struct fixture *f = *state;
	size_t apart = 0;
	for (size_t i = 0; i < GROUPS; i++) {
		decode(f, i, 1, 0, 1);
		apart += f->n_rows;
	}
	decode(f, 0, GROUPS, 0, 1);
	assert_int_equal(f->n_rows, apart - (GROUPS - 1) * f->inputs[0].n);
}

/* Inputs that begin alike, in one batch: the common tokens are run once. */
static void test_shared_beginnings(void **state)
{
	struct fixture *f = *state;
	struct search_task tasks[INPUTS];
	size_t apart = 0, common = 0;
	memcpy(tasks, f->tasks,
	       sizeof tasks); /* decode() takes neighbours: the second group of each input in their place */
	for (size_t i = 0; i < INPUTS; i++) {
		decode(f, i * GROUPS + 1, 1, 0, 1);
		apart += f->n_rows;
		size_t most = 0;
		for (size_t j = 0; j < i; j++) {
			size_t n = 0;
			while (n + 1 < f->inputs[i].n && n < f->inputs[j].n && f->ids[i][n] == f->ids[j][n])
				n++;
			most = n > most ? n : most;
		}
		common += most;
	}
	for (size_t i = 0; i < INPUTS; i++)
		f->tasks[i] = f->tasks[i * GROUPS + 1];
	decode(f, 0, INPUTS, 0, 2);
	memcpy(f->tasks, tasks, sizeof tasks);
	assert_true(common > 30);
	assert_int_equal(f->n_rows, apart - common);
}

static void test_not_finite(void **state)
{
	struct fixture *f = *state;
	struct search_limits limits = {0};
	struct search_hooks hooks = {take, NULL, f};
	struct err err = {0};
	float keep = f->table[0];
	f->table[0] = NAN;
	assert_int_equal(
		search_run(&f->model, NULL, f->table, PREFIX, f->inputs, INPUTS, f->tasks, 2, &limits, &hooks, &err),
		-1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.text, "finite"));
	f->table[0] = keep;
}

int main(int argc, char **argv)
{
	(void)argc;
	naive_short_waits(argv);
	static struct fixture f;
	make_fixture(&f);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_oracle, &f),
		cmocka_unit_test_prestate(test_shared_prefill, &f),
		cmocka_unit_test_prestate(test_shared_beginnings, &f),
		cmocka_unit_test_prestate(test_not_finite, &f),
		cmocka_unit_test_prestate(test_batch_invariance, &f),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(f.table);
	random_model_release(&f.model);
	return failed;
}
