/* test_generation.c - base/generation.c against what transformers takes from the same folders (generation.json), and
 * how the plan uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/generation.h"
#include "golden.h"
#include "plan/points.h"
#include "plan/spec.h"

static char dir[] = "/tmp/test_generation.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	fs_remove_tree(dir);
	return 0;
}

/* NULL or null: no such file. */
static void put(const char *name, const char *text)
{
	struct err err = {0};
	char *path = fs_join(dir, name);
	if (text && strcmp(text, "null") != 0)
		assert_int_equal(fs_write_file(path, text, strlen(text), &err), 0);
	else
		unlink(path);
	free(path);
}

static void put_json(const char *name, const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);
	put(name, text);
	cJSON_free(text);
}

static double number(const cJSON *used, const char *name, double none)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(used, name);
	return cJSON_IsNumber(item) ? item->valuedouble : cJSON_IsTrue(item) ? 1 : cJSON_IsFalse(item) ? 0 : none;
}

static void assert_used(const struct generation *g, const cJSON *used)
{
	const struct params *p = &g->defaults;
	const cJSON *stop = cJSON_GetObjectItemCaseSensitive(used, "early_stopping"),
		    *eos = cJSON_GetObjectItemCaseSensitive(used, "eos_token_id");
	assert_int_equal(PARAM_I(p, num_beams), (int64_t)number(used, "num_beams", -1));
	assert_int_equal(PARAM_I(p, max_new_tokens), (int64_t)number(used, "max_new_tokens", 20));
	assert_int_equal(PARAM_I(p, do_sample), (int64_t)number(used, "do_sample", -1));
	assert_true(PARAM_F(p, temperature) == number(used, "temperature", 1));
	assert_int_equal(PARAM_I(p, top_k), (int64_t)number(used, "top_k", 0));
	assert_true(PARAM_F(p, top_p) == number(used, "top_p", 1));
	assert_true(PARAM_F(p, length_penalty) == number(used, "length_penalty", -1));
	assert_int_equal(PARAM_I(p, early_stopping), cJSON_IsString(stop) ? EARLY_STOPPING_NEVER
						     : cJSON_IsTrue(stop) ? EARLY_STOPPING_TRUE
									  : EARLY_STOPPING_FALSE);
	assert_int_equal(g->eos_token_id, (int)(cJSON_IsArray(eos) ? eos->child : eos)->valuedouble);
	/* 20 is generate()'s own: counted without the prompt. */
	double length = number(used, "max_length", 0);
	bool limits = length != 20 && number(used, "max_new_tokens", 0) == 0;
	assert_int_equal(g->max_length, limits ? (int64_t)length : 0);
}

static void test_folders(void **state)
{
	(void)state;
	cJSON *root = golden_json(GOLDEN "/generation.json"), *one;
	size_t n = 0, n_refused = 0;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(root, "cases"))
	{
		struct generation g;
		struct err err = {0};
		put_json("config.json", cJSON_GetObjectItemCaseSensitive(one, "config"));
		put_json("generation_config.json", cJSON_GetObjectItemCaseSensitive(one, "generation_config"));
		bool other = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(one, "processors")) > 0;
		int result = generation_read(&g, dir, &err);
		if (result != (other ? -1 : 0))
			fail_msg("folder %zu: %s", n, result < 0 ? err.text : "taken, but transformers does more");
		if (other)
			assert_non_null(strstr(err.text, "config.json: `"));
		else
			assert_used(&g, cJSON_GetObjectItemCaseSensitive(one, "used"));
		n_refused += other;
		n++;
	}
	assert_true(n == 38 && n_refused == 21);
	cJSON_Delete(root);
}

static void refused(const char *text, const char *needle)
{
	struct generation g;
	struct err err = {0};
	put("config.json", "{}");
	put("generation_config.json", text);
	assert_int_equal(generation_read(&g, dir, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("%s", err.text);
}

static void test_refused(void **state)
{
	(void)state;
	refused("{\"eos_token_id\": [1, 2]}", "generation_config.json: `eos_token_id`: exactly one");
	refused("{\"repetition_penalty\": 1.5}",
		"generation_config.json: `repetition_penalty` is 1.5: generate() would");
	refused("{\"stop_strings\": [\"x\"]}", "`stop_strings` is [\"x\"]");
	refused("{\"num_return_sequences\": 2}", "`num_return_sequences` is 2");
	refused("{\"num_beams\": 0}", "generation_config.json: num_beams: expected");
	refused("{\"early_stopping\": []}", "early_stopping: expected");
	refused("{\"max_length\": 3.5}", "`max_length`");
	refused("[1]", "expected a JSON object");
	refused("{", "not valid JSON");
}

/* The sweep file wins; what it does not set is the folder's, and said. */
static void test_plan(void **state)
{
	(void)state;
	char path[64];
	snprintf(path, sizeof path, "%s/sweep.yaml", dir);
	put("config.json", "{}");
	put("generation_config.json", "{\"num_beams\": 4, \"top_k\": 7, \"temperature\": 0.5, \"max_length\": 90}");
	static const char *const texts[] = {
		"name: a\nparameters: {num_beams: [2, 3], max_new_tokens: 9}\n",
		"name: a\nparameters: [{top_k: 2, max_new_tokens: 9}, {num_beams: 3, max_new_tokens: 8}]\n",
		"name: a\nparameters: {num_beams: 2}\n",
	};
	struct spec spec;
	struct params defaults;
	struct points points;
	struct err err = {0};
	put("sweep.yaml", texts[0]);
	assert_int_equal(spec_load(&spec, path, NULL, 0, &err), 0);
	size_t before = spec.n_notices;
	assert_int_equal(points_defaults(&defaults, &spec, dir, &err), 0);
	assert_int_equal(spec.n_notices, before + 2);
	assert_string_equal(spec.notices[before],
			    "note: temperature is 0.5 where the sweep file does not set it: the model's "
			    "generation_config.json says so");
	assert_int_equal(points_make(&points, &spec, &defaults, &err), 0);
	assert_int_equal(PARAM_I(&points.point[1].params, num_beams), 3);
	assert_int_equal(PARAM_I(&points.point[1].params, top_k), 7);
	assert_true(PARAM_F(&points.point[1].params, temperature) == 0.5);
	points_release(&points);
	spec_release(&spec);

	put("sweep.yaml", texts[1]);
	assert_int_equal(spec_load(&spec, path, NULL, 0, &err), 0);
	assert_int_equal(points_defaults(&defaults, &spec, dir, &err), 0);
	assert_int_equal(points_make(&points, &spec, &defaults, &err), 0);
	assert_int_equal(PARAM_I(&points.point[0].params, num_beams), 4);
	assert_int_equal(PARAM_I(&points.point[0].params, top_k), 2);
	assert_int_equal(PARAM_I(&points.point[1].params, num_beams), 3);
	points_release(&points);
	spec_release(&spec);

	put("sweep.yaml", texts[2]);
	assert_int_equal(spec_load(&spec, path, NULL, 0, &err), 0);
	assert_int_equal(points_defaults(&defaults, &spec, dir, &err), -1);
	assert_non_null(strstr(err.text, "sweep.yaml: `max_new_tokens` is not set"));
	spec_release(&spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_plan),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
