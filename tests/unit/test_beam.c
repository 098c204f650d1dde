/* test_beam.c - searches over random toy language models: the fast routine against the plain one of decode_oracle.h,
 * one search with many readers against as many searches (docs/REFERENCE.md, 5.7), and hand-made cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "beam.h"
#include "decode_oracle.h"
#include "sample.h"

#define MAX_STEPS 16

/* Logits that depend on the last two tokens. */
struct toy {
	uint64_t seed;
	size_t vocab;
	float spread, eos_bias;
	int32_t eos;
};

static void toy_logits(void *ctx, const int32_t *ids, size_t n, float *logits)
{
	const struct toy *toy = ctx;
	uint64_t state = n > 0 ? (uint64_t)ids[n - 1] + 1 : 0;
	state = state * 1000 + (n > 1 ? (uint64_t)ids[n - 2] + 1 : 0);
	for (size_t x = 0; x < toy->vocab; x++)
		logits[x] = toy->spread * rng_normal(rng_key(toy->seed, RNG_INIT), state, x);
	if (toy->eos >= 0)
		logits[toy->eos] += toy->eos_bias;
}

/* What search.c does, for one input. */
static void toy_search(const struct toy *toy, const struct sample_rule *rule, struct beam *beam, uint64_t hash)
{
	size_t width = sample_width(toy->vocab), b = beam->n_beams;
	float *logits = mem_array(width, sizeof *logits);
	struct sample_pair *pairs = mem_array(b * rule->n_candidates, sizeof *pairs);
	struct sample_row *rows = mem_array(b, sizeof *rows);
	struct sample_candidate *candidates = mem_array(rule->n_candidates, sizeof *candidates);
	struct sample_scratch scratch;
	struct err err = {0};
	assert_int_equal(sample_scratch_init(&scratch, toy->vocab, &err), 0);
	for (size_t x = 0; x < width; x++)
		logits[x] = SAMPLE_PAD;
	size_t n;
	do {
		for (size_t i = 0; i < beam->n_live; i++) {
			int32_t ids[MAX_STEPS];
			size_t at = i;
			for (size_t step = beam->step; step > 0; step--) {
				ids[step - 1] = beam->tokens[(step - 1) * b + at];
				at = beam->parents[(step - 1) * b + at];
			}
			toy_logits((void *)toy, ids, beam->step, logits);
			rows[i].pairs = pairs + i * rule->n_candidates;
			assert_true(sample_row(rule, logits, toy->vocab, beam->scores[i],
					       sample_position(hash, beam->step + 1), i * toy->vocab, &scratch,
					       &rows[i]));
		}
		n = sample_join(rule, rows, beam->n_live, candidates);
	} while (beam_step(beam, candidates, n));
	sample_scratch_release(&scratch);
	free(logits);
	free(pairs);
	free(rows);
	free(candidates);
}

static uint64_t draw_state;
static uint32_t draw(uint32_t n)
{
	return (uint32_t)rng_below(rng_key(7, RNG_POINTS), 1, draw_state++, n);
}

static struct toy random_toy(size_t n_beams)
{
	static const float spreads[] = {0.3f, 1, 3, 8};
	struct toy toy = {.seed = draw(1000000), .spread = spreads[draw(4)], .eos_bias = (float)draw(5)};
	toy.vocab = 2 * n_beams + draw(300) * (draw(4) == 0);
	toy.vocab += toy.vocab < 12 ? 12 : 0;
	toy.eos = draw(10) == 0 ? -1 : (int32_t)draw((uint32_t)toy.vocab);
	return toy;
}

static struct oracle random_oracle(struct toy *toy, size_t n_beams, bool do_sample)
{
	static const double temperatures[] = {1, 0.7, 0.2, 1.5}, tops[] = {1, 0.9, 0.5};
	static const size_t ks[] = {50, 0, 5, 1};
	return (struct oracle){.model = toy_logits,
			       .ctx = toy,
			       .vocab = toy->vocab,
			       .n_beams = n_beams,
			       .eos = toy->eos,
			       .do_sample = do_sample,
			       .temperature = do_sample ? temperatures[draw(4)] : 1,
			       .top_k = do_sample ? ks[draw(4)] : 0,
			       .top_p = do_sample ? tops[draw(3)] : 1,
			       .seed = draw(100),
			       .hash = draw(1000)};
}

static struct beam_reader random_reader(void)
{
	static const double penalties[] = {1, 0, -1, 0.6, 2};
	return (struct beam_reader){.max_new_tokens = 1 + draw(MAX_STEPS),
				    .length_penalty = penalties[draw(5)],
				    .early_stopping = (int)draw(3)};
}

/* Searches over random models, each answering several readers, equal the oracle's separate runs. */
static void compare_with_oracle(size_t n_beams, bool do_sample, size_t n_cases)
{
	enum { READERS = 4 };
	struct beam beam;
	struct err err = {0};
	assert_int_equal(beam_init(&beam, n_beams, MAX_STEPS, READERS, &err), 0);
	for (size_t i = 0; i < n_cases; i++) {
		struct toy toy = random_toy(n_beams);
		struct oracle o = random_oracle(&toy, n_beams, do_sample);
		struct sample_rule rule =
			sample_rule(n_beams, do_sample, o.temperature, (int64_t)o.top_k, o.top_p, o.seed);
		struct beam_reader readers[READERS];
		for (size_t r = 0; r < READERS; r++)
			readers[r] = random_reader();
		beam_start(&beam, n_beams, toy.eos, readers, READERS);
		toy_search(&toy, &rule, &beam, o.hash);
		for (size_t r = 0; r < READERS; r++) {
			int32_t ids[64], want[64];
			size_t n, n_want;
			float score, want_score;
			beam_result(&beam, r, ids, &n, &score);
			o.steps = readers[r].max_new_tokens;
			o.length_penalty = readers[r].length_penalty;
			o.early_stopping = readers[r].early_stopping;
			oracle_generate(&o, want, &n_want, &want_score);
			assert_int_equal(n, n_want);
			assert_memory_equal(ids, want, n * sizeof *ids);
			if (n_beams > 1)
				assert_true(fabsf(score - want_score) <= 1e-5f * (1 + fabsf(want_score)));
		}
	}
	beam_release(&beam);
}

static void test_beam_search(void **state)
{
	(void)state;
	for (size_t b = 2; b <= 7; b++)
		compare_with_oracle(b, false, 150);
}

static void test_beam_sample(void **state)
{
	(void)state;
	for (size_t b = 2; b <= 7; b++)
		compare_with_oracle(b, true, 150);
}

static void test_greedy_and_sampling(void **state)
{
	(void)state;
	compare_with_oracle(1, false, 400);
	compare_with_oracle(1, true, 400);
}

/* One search for 45 readers gives, bit for bit, what 45 searches give. */
static void test_readers(void **state)
{
	(void)state;
	enum { READERS = 45 };
	static const size_t lengths[] = {1, 5, 14};
	static const double penalties[] = {-1, 0, 0.6, 1, 2};
	struct beam_reader readers[READERS];
	size_t n_readers = 0;
	for (size_t k = 0; k < 3; k++)
		for (size_t p = 0; p < 5; p++)
			for (int e = 0; e < 3; e++)
				readers[n_readers++] = (struct beam_reader){lengths[k], penalties[p], e};
	struct beam together, alone;
	struct err err = {0};
	assert_int_equal(beam_init(&together, 5, MAX_STEPS, READERS, &err), 0);
	assert_int_equal(beam_init(&alone, 5, MAX_STEPS, 1, &err), 0);
	for (size_t i = 0; i < 60; i++) {
		size_t b = 2 + draw(4);
		struct toy toy = random_toy(b);
		struct oracle o = random_oracle(&toy, b, i % 2);
		struct sample_rule rule = sample_rule(b, i % 2, o.temperature, (int64_t)o.top_k, o.top_p, o.seed);
		beam_start(&together, b, toy.eos, readers, READERS);
		toy_search(&toy, &rule, &together, o.hash);
		for (size_t r = 0; r < READERS; r++) {
			int32_t ids[2][MAX_STEPS];
			size_t n[2];
			float score[2];
			beam_start(&alone, b, toy.eos, &readers[r], 1);
			toy_search(&toy, &rule, &alone, o.hash);
			beam_result(&together, r, ids[0], &n[0], &score[0]);
			beam_result(&alone, 0, ids[1], &n[1], &score[1]);
			assert_int_equal(n[0], n[1]);
			assert_memory_equal(ids[0], ids[1], n[0] * sizeof ids[0][0]);
			assert_memory_equal(&score[0], &score[1], sizeof score[0]);
		}
	}
	beam_release(&together);
	beam_release(&alone);
}

/* Only the first B of the list may finish; a later one with a better score runs on instead, and an EOS there is lost.
 */
static void test_list_order(void **state)
{
	(void)state;
	struct beam beam;
	struct err err = {0};
	struct beam_reader reader = {1, 1, EARLY_STOPPING_FALSE};
	assert_int_equal(beam_init(&beam, 2, 4, 1, &err), 0);
	beam_start(&beam, 2, 9, &reader, 1);
	struct sample_candidate draws[] = {{0, 1, -3}, {0, 2, -2}, {0, 3, -1}, {0, 9, -0.5f}};
	assert_false(beam_step(&beam, draws, 4));
	int32_t ids[4];
	size_t n;
	float score;
	beam_result(&beam, 0, ids, &n, &score);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], 2);
	assert_true(score == -2);
	reader.max_new_tokens = 4;
	beam_start(&beam, 2, 9, &reader, 1);
	assert_true(beam_step(&beam, draws, 4));
	assert_int_equal(beam.n_live, 2);
	assert_int_equal(beam.tokens[0], 3);
	assert_int_equal(beam.tokens[1], 2);
	beam_release(&beam);
}

/* Fewer live pairs than beams: the search goes on with what lives, and ends when nothing does. */
static void test_dead_beams(void **state)
{
	(void)state;
	struct beam beam;
	struct err err = {0};
	struct beam_reader reader = {4, 1, EARLY_STOPPING_FALSE};
	assert_int_equal(beam_init(&beam, 3, 4, 1, &err), 0);
	beam_start(&beam, 3, 9, &reader, 1);
	struct sample_candidate first[] = {{0, 9, -1}, {0, 4, -2}}, second[] = {{0, 9, -5}};
	assert_true(beam_step(&beam, first, 2));
	assert_int_equal(beam.n_live, 1);
	assert_false(beam_step(&beam, second, 1));
	int32_t ids[4];
	size_t n;
	float score;
	beam_result(&beam, 0, ids, &n, &score);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], 9);
	beam_release(&beam);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_order),          cmocka_unit_test(test_dead_beams),
		cmocka_unit_test(test_beam_search),         cmocka_unit_test(test_beam_sample),
		cmocka_unit_test(test_greedy_and_sampling), cmocka_unit_test(test_readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
