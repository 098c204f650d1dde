/* test_sample.c - filters, ranking and noise of sample.c against the plain code of decode_oracle.h, ties included, and
 * the distribution of draws (chi-square). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decode_oracle.h"
#include "sample.h"

static uint64_t draw_state;
static uint32_t draw(uint32_t n)
{
	return (uint32_t)rng_below(rng_key(11, RNG_POINTS), 1, draw_state++, n);
}

/* A row of logits [sample_width(vocab)]; quantised ones tie often. */
static float *random_logits(size_t vocab, float spread, bool quantised)
{
	size_t width = sample_width(vocab);
	float *x = mem_array(width, sizeof *x);
	uint64_t row = draw_state++;
	for (size_t i = 0; i < width; i++) {
		x[i] = i < vocab ? spread * rng_normal(rng_key(3, RNG_INIT), row, i) : SAMPLE_PAD;
		if (quantised && i < vocab)
			x[i] = floorf(x[i] * 2) / 2;
	}
	return x;
}

static size_t random_vocab(void)
{
	static const size_t sizes[] = {3, 17, 127, 128, 129, 500, 3072};
	return sizes[draw(7)];
}

static struct oracle random_rule(size_t vocab, size_t n_beams, bool do_sample, struct sample_rule *rule)
{
	static const double temperatures[] = {1, 0.7, 0.2, 1.5}, tops[] = {1, 0.95, 0.5, 0.01};
	static const size_t ks[] = {50, 0, 5, 1, 2000, 100000};
	struct oracle o = {.vocab = vocab,
			   .n_beams = n_beams,
			   .do_sample = do_sample,
			   .temperature = temperatures[draw(4)],
			   .top_k = ks[draw(6)],
			   .top_p = tops[draw(4)],
			   .seed = 5,
			   .hash = 1000};
	*rule = sample_rule(n_beams, do_sample, o.temperature, (int64_t)o.top_k, o.top_p, o.seed);
	return o;
}

/* Every survivor of the filters, with its score, and nothing else. */
static void test_filters(void **state)
{
	(void)state;
	for (size_t i = 0; i < 600; i++) {
		size_t vocab = random_vocab(), n_beams = i % 2 ? 5 : 1;
		float *x = random_logits(vocab, 3, n_beams == 1 && i % 4 == 0);
		struct sample_rule rule;
		struct oracle o = random_rule(vocab, n_beams, true, &rule);
		rule.n_candidates = vocab;
		struct sample_scratch scratch;
		struct err err = {0};
		assert_int_equal(sample_scratch_init(&scratch, vocab, &err), 0);
		struct sample_row row = {.pairs = mem_array(vocab, sizeof *row.pairs)};
		float base = n_beams > 1 ? -2.5f : 0;
		assert_true(sample_row(&rule, x, vocab, base, sample_position(o.hash, 1), 0, &scratch, &row));
		oracle_process(&o, x);
		size_t n = 0;
		for (size_t t = 0; t < vocab; t++)
			n += x[t] != -INFINITY;
		assert_int_equal(row.n, n);
		double sum = 0, last = INFINITY;
		for (size_t k = 0; k < row.n; k++) {
			const struct sample_pair *pair = &row.pairs[k];
			float want = x[pair->token] + base;
			assert_true(fabsf(pair->score - want) <= 1e-5f * (1 + fabsf(want)));
			uint32_t r = rng_u32(rng_key(5, RNG_SAMPLE), 1001, (uint64_t)pair->token);
			double e = -log(((double)r + 0.5) / 4294967296.0);
			assert_true(fabs(pair->key - ((double)pair->score - log(e))) < 1e-9);
			assert_true(pair->key <= last);
			last = pair->key;
			sum += exp((double)(pair->score - row.top));
		}
		assert_true(fabs(sum - row.sum) <= 1e-4 * sum);
		free(row.pairs);
		free(x);
		sample_scratch_release(&scratch);
	}
}

/* The largest scores, ties by token. */
static void test_largest(void **state)
{
	(void)state;
	for (size_t i = 0; i < 600; i++) {
		size_t vocab = random_vocab();
		float *x = random_logits(vocab, 2, true);
		struct sample_rule rule = sample_rule(1, false, 1, 50, 1, 0);
		rule.n_candidates = 1 + draw(60);
		struct sample_scratch scratch;
		struct err err = {0};
		assert_int_equal(sample_scratch_init(&scratch, vocab, &err), 0);
		struct sample_row row = {.pairs = mem_array(rule.n_candidates, sizeof *row.pairs)};
		assert_true(sample_row(&rule, x, vocab, 0, 0, 0, &scratch, &row));
		struct oracle_rank *ranks = oracle_sort(x, vocab);
		assert_int_equal(row.n, rule.n_candidates < vocab ? rule.n_candidates : vocab);
		for (size_t k = 0; k < row.n; k++) {
			assert_int_equal(row.pairs[k].token, ranks[k].index);
			assert_true(row.pairs[k].score == ranks[k].value);
		}
		free(ranks);
		free(row.pairs);
		free(x);
		sample_scratch_release(&scratch);
	}
}

static void test_join(void **state)
{
	(void)state;
	struct sample_rule rule = sample_rule(2, true, 1, 0, 1, 0);
	struct sample_pair a[] = {{5, -1, 7}, {2, -3, 8}}, b[] = {{5, -1, 3}, {3, -200, 4}, {1, -2, 9}};
	struct sample_row rows[] = {{a, 2, -1, 1.2}, {b, 3, -1, 1.3}};
	struct sample_candidate out[4];
	/* equal keys: lower beam first; exp(-199) is no float32 probability */
	assert_int_equal(sample_join(&rule, rows, 2, out), 4);
	const int32_t beams[] = {0, 1, 0, 1}, tokens[] = {7, 3, 8, 9};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(out[i].beam, beams[i]);
		assert_int_equal(out[i].token, tokens[i]);
	}
	assert_true(out[2].score == -3);
}

static void test_not_finite(void **state)
{
	(void)state;
	struct sample_scratch scratch;
	struct err err = {0};
	assert_int_equal(sample_scratch_init(&scratch, 300, &err), 0);
	struct sample_pair pairs[4];
	struct sample_row row = {.pairs = pairs};
	const float bad[] = {NAN, INFINITY, -INFINITY};
	for (size_t i = 0; i < 3; i++) {
		float *x = random_logits(300, 1, false);
		struct sample_rule greedy = sample_rule(1, false, 1, 50, 1, 0),
				   beams = sample_rule(2, false, 1, 50, 1, 0);
		assert_true(sample_row(&greedy, x, 300, 0, 0, 0, &scratch, &row));
		x[i * 100 + 7] = bad[i];
		assert_false(sample_row(&greedy, x, 300, 0, 0, 0, &scratch, &row));
		assert_false(sample_row(&beams, x, 300, 0, 0, 0, &scratch, &row));
		free(x);
	}
	sample_scratch_release(&scratch);
}

/* Draws follow the softmax: one from 8 tokens, and ordered pairs without replacement from 4. 30,000 draws each; the
 * limits are the 1 - 1e-6 quantiles of chi-square with 7 and 11 degrees of freedom. */
static void test_distribution(void **state)
{
	(void)state;
	enum { DRAWS = 30000 };
	float x[128];
	for (size_t i = 0; i < 128; i++)
		x[i] = SAMPLE_PAD;
	struct sample_scratch scratch;
	struct err err = {0};
	assert_int_equal(sample_scratch_init(&scratch, 8, &err), 0);
	struct sample_pair pairs[2];
	struct sample_row row;
	float p[8];
	size_t one[8] = {0}, two[4][4] = {{0}};
	for (size_t i = 0; i < 8; i++)
		x[i] = 0.4f * (float)i;
	struct sample_rule rule = sample_rule(1, true, 1, 0, 1, 99);
	for (size_t i = 0; i < DRAWS; i++) {
		row = (struct sample_row){.pairs = pairs};
		assert_true(sample_row(&rule, x, 8, 0, sample_position(i * 1000003, 1), 0, &scratch, &row));
		one[row.pairs[0].token]++;
	}
	oracle_softmax(x, 8, p);
	double chi = 0;
	for (size_t i = 0; i < 8; i++)
		chi += pow((double)one[i] - DRAWS * (double)p[i], 2) / (DRAWS * (double)p[i]);
	assert_true(chi < 40.5);
	for (size_t i = 4; i < 8; i++)
		x[i] = SAMPLE_PAD;
	rule.n_candidates = 2;
	for (size_t i = 0; i < DRAWS; i++) {
		row = (struct sample_row){.pairs = pairs};
		assert_true(sample_row(&rule, x, 4, 0, sample_position(i * 1000003, 2), 0, &scratch, &row));
		two[row.pairs[0].token][row.pairs[1].token]++;
	}
	oracle_softmax(x, 4, p);
	chi = 0;
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++) {
			double want = DRAWS * (double)(p[i] * p[j] / (1 - p[i]));
			if (i != j)
				chi += pow((double)two[i][j] - want, 2) / want;
		}
	assert_true(chi < 49.0);
	sample_scratch_release(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),    cmocka_unit_test(test_largest),      cmocka_unit_test(test_join),
		cmocka_unit_test(test_not_finite), cmocka_unit_test(test_distribution),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
