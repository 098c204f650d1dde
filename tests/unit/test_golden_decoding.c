/* test_golden_decoding.c - every kind of search against generate() of transformers with a PEFT adapter (tests/golden/
 * decoding.json, tools/make_goldens.py): the same tokens, the same text, scores 1e-4 relative. Greedy and beam search
 * over beams x length_penalty x early_stopping x max_new_tokens; sampling and beam-sample with the same noise on both
 * sides. One of the adapters is ours, the other was written by PEFT's save_pretrained. Here one batch holds all inputs,
 * and one search answers all settings that it can; generate() had one input and one setting at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapter.h"
#include "base/fs.h"
#include "base/job.h"
#include "base/params.h"
#include "forward_oracle.h"
#include "golden.h"
#include "hypotheses.h"
#include "search.h"
#include "tokenizer.h"

static const cJSON *item(const cJSON *object, const char *name)
{
	const cJSON *found = cJSON_GetObjectItem(object, name);
	if (!found)
		fail_msg("decoding.json: `%s` is missing", name);
	return found;
}

struct fixture {
	cJSON *root;
	struct model model;
	struct tokenizer *tok;
	size_t n_inputs;
	struct search_input *inputs;
	const cJSON *sequences;
};

static int32_t *ids_of(const cJSON *array, size_t *n)
{
	*n = (size_t)cJSON_GetArraySize(array);
	int32_t *ids = mem_array(*n + 1, sizeof *ids), *next = ids;
	const cJSON *id;
	cJSON_ArrayForEach(id, array) *next++ = id->valueint;
	return ids;
}

static int setup(void **state)
{
	struct fixture *f = mem_zero(1, sizeof *f);
	struct err err = {0};
	f->root = golden_json(GOLDEN "/decoding.json");
	f->sequences = item(f->root, "sequences");
	f->n_inputs = (size_t)cJSON_GetArraySize(item(f->root, "inputs"));
	f->inputs = mem_array(f->n_inputs, sizeof *f->inputs);
	if (model_load(&f->model, SOURCE_DIR "/runner/demo", &err) < 0 ||
	    !(f->tok = tokenizer_open(SOURCE_DIR "/runner/demo", &err)))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < f->n_inputs; i++)
		f->inputs[i].ids =
			ids_of(item(cJSON_GetArrayItem(item(f->root, "inputs"), (int)i), "ids"), &f->inputs[i].n);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < f->n_inputs; i++)
		free((void *)(uintptr_t)f->inputs[i].ids);
	free(f->inputs);
	tokenizer_close(f->tok);
	model_release(&f->model);
	cJSON_Delete(f->root);
	free(f);
	return 0;
}

static const char *table_of(const struct fixture *f, int input)
{
	return item(cJSON_GetArrayItem(item(f->root, "inputs"), input), "table")->valuestring;
}

static void test_prompts(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < f->n_inputs; i++) {
		struct buf text = BUF_INIT;
		struct tokenizer_ids ids = {0};
		struct err err = {0};
		buf_printf(&text, "Convert the following table into English text: %s <|endoftext|> ",
			   table_of(f, (int)i));
		assert_int_equal(tokenizer_encode(f->tok, text.data, text.size, &ids, &err), 0);
		assert_int_equal(ids.n, f->inputs[i].n);
		assert_memory_equal(ids.id, f->inputs[i].ids, ids.n * sizeof *ids.id);
		free(ids.id);
		buf_release(&text);
	}
}

static void test_texts(void **state)
{
	struct fixture *f = *state;
	const cJSON *sequence;
	cJSON_ArrayForEach(sequence, f->sequences)
	{
		size_t n;
		int32_t *ids = ids_of(item(sequence, "ids"), &n);
		struct buf text = BUF_INIT, echo = BUF_INIT;
		tokenizer_decode(f->tok, ids, n, true, &text);
		buf_printf(&echo, "Convert the following table into English text: %s",
			   table_of(f, item(sequence, "input")->valueint));
		char *clean = hypotheses_clean(text.data ? text.data : "", text.size, echo.data);
		assert_string_equal(clean, item(sequence, "text")->valuestring);
		free(clean);
		free(ids);
		buf_release(&text);
		buf_release(&echo);
	}
}

/* ---- searches ---- */

enum { KINDS = 16, READERS = 64 };

/* Settings that one search answers: equal but for max_new_tokens, length_penalty and early_stopping. */
struct kind {
	struct params params;
	struct beam_reader readers[READERS];
	const cJSON *searches[READERS];
	size_t n_readers;
};

struct group {
	const struct fixture *f;
	struct kind kinds[KINDS];
	size_t n_kinds, n_answers;
	double worst_score;
};

static int compare(void *ctx, size_t task, size_t reader, const int32_t *ids, size_t n, float score, struct err *err)
{
	struct group *g = ctx;
	(void)err;
	const cJSON *search = g->kinds[task / g->f->n_inputs].searches[reader];
	const cJSON *want = cJSON_GetArrayItem(item(search, "answers"), (int)(task % g->f->n_inputs));
	const cJSON *sequence = cJSON_GetArrayItem(g->f->sequences, cJSON_GetArrayItem(want, 0)->valueint);
	size_t n_want;
	int32_t *ids_want = ids_of(item(sequence, "ids"), &n_want);
	if (n != n_want || memcmp(ids, ids_want, n * sizeof *ids) != 0) {
		char *params = cJSON_PrintUnformatted(item(search, "params"));
		struct buf text = BUF_INIT;
		tokenizer_decode(g->f->tok, ids, n, false, &text);
		fail_msg("input %zu, %s:\n  expected %zu tokens `%s`\n  found %zu tokens `%s`", task % g->f->n_inputs,
			 params, n_want, item(sequence, "text")->valuestring, n, text.data);
	}
	free(ids_want);
	if (cJSON_GetArraySize(want) > 1) {
		double expected = cJSON_GetArrayItem(want, 1)->valuedouble;
		double gap = fabs((double)score - expected) / fmax(1, fabs(expected));
		if (!(gap <= 1e-4))
			fail_msg("score %.9g, expected %.9g", (double)score, expected);
		g->worst_score = fmax(g->worst_score, gap);
	}
	g->n_answers++;
	return 0;
}

/* The kind of a search; a new one when it is the first. Its own reader settings come out in *p. */
static struct kind *kind_of(struct group *g, const cJSON *search, struct params *p)
{
	struct params common, other;
	struct err err = {0};
	const cJSON *set;
	params_default(p);
	params_default(&other);
	cJSON_ArrayForEach(set, item(search, "params"))
	{
		if (params_parse(p, params_find(set->string), set->valuestring, &err) < 0)
			fail_msg("%s", err.text);
	}
	common = *p;
	common.v[PARAM_max_new_tokens] = other.v[PARAM_max_new_tokens];
	common.v[PARAM_length_penalty] = other.v[PARAM_length_penalty];
	common.v[PARAM_early_stopping] = other.v[PARAM_early_stopping];
	for (size_t k = 0; k < g->n_kinds; k++) {
		int same = 0;
		for (int id = 0; id < PARAM_COUNT; id++)
			same += params_value_equal(id, g->kinds[k].params.v[id], common.v[id]);
		if (same == PARAM_COUNT)
			return &g->kinds[k];
	}
	assert_true(g->n_kinds < KINDS);
	g->kinds[g->n_kinds].params = common;
	return &g->kinds[g->n_kinds++];
}

static void run_group(struct fixture *f, const cJSON *about)
{
	struct err err = {0};
	struct adapter adapter;
	char *dir = fs_join(GOLDEN, item(about, "adapter")->valuestring);
	if (adapter_load(&adapter, dir, &f->model, &err) < 0)
		fail_msg("%s", err.text);
	struct group *g = mem_zero(1, sizeof *g);
	g->f = f;
	size_t n_searches = 0;
	const cJSON *search;
	cJSON_ArrayForEach(search, item(about, "searches"))
	{
		struct params p;
		struct kind *kind = kind_of(g, search, &p);
		assert_true(kind->n_readers < READERS);
		kind->searches[kind->n_readers] = search;
		kind->readers[kind->n_readers++] =
			(struct beam_reader){(size_t)PARAM_I(&p, max_new_tokens), PARAM_F(&p, length_penalty),
					     (int)PARAM_I(&p, early_stopping)};
		n_searches++;
	}
	size_t n = g->n_kinds * f->n_inputs;
	struct search_task *tasks = mem_array(n, sizeof *tasks);
	for (size_t i = 0; i < n; i++) {
		const struct kind *kind = &g->kinds[i / f->n_inputs];
		const struct params *p = &kind->params;
		size_t beams = (size_t)PARAM_I(p, num_beams);
		tasks[i] = (struct search_task){.input = i % f->n_inputs,
						.n_beams = beams,
						.rule = sample_rule(beams, PARAM_I(p, do_sample) != 0,
								    PARAM_F(p, temperature), PARAM_I(p, top_k),
								    PARAM_F(p, top_p), (uint64_t)PARAM_I(p, seed)),
						.readers = kind->readers,
						.n_readers = kind->n_readers};
	}
	struct search_limits limits = {0};
	struct search_hooks hooks = {compare, NULL, g};
	if (search_run(&f->model, NULL, adapter.table, adapter.n_virtual, f->inputs, f->n_inputs, tasks, n, &limits,
		       &hooks, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(g->n_answers, n_searches * f->n_inputs);
	print_message("%s: %zu decodings identical (%zu searches), scores %.1e apart\n",
		      item(about, "adapter")->valuestring, g->n_answers, n, g->worst_score);
	free(tasks);
	free(g);
	free(dir);
	adapter_release(&adapter);
}

static void test_searches(void **state)
{
	struct fixture *f = *state;
	const cJSON *about;
	size_t n = 0;
	cJSON_ArrayForEach(about, item(f->root, "groups"))
	{
		run_group(f, about);
		n++;
	}
	assert_int_equal(n, 2);
	assert_true(cJSON_GetArraySize(f->sequences) > 100); /* they do differ */
}

int main(int argc, char **argv)
{
	(void)argc;
	naive_short_waits(argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_searches),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
