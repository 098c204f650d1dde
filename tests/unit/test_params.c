/* test_params.c - params.def as C: names, texts of values, what is effective, what enters a key. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/params.h"

static void expect_key(const struct params *p, enum param_stage stage, const char *expected)
{
	struct buf text = BUF_INIT;
	params_key(p, stage, &text);
	assert_string_equal(text.data, expected);
	buf_release(&text);
}

static void set(struct params *p, const char *name, const char *text)
{
	struct err err = {0};
	if (params_parse(p, params_find(name), text, &err) < 0)
		fail_msg("%s", err.text);
}

/* Rules that every row of params.def keeps. */
static void test_table(void **state)
{
	(void)state;
	struct params defaults;
	params_default(&defaults);
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = &param_table[id];
		struct buf text = BUF_INIT;
		struct err err = {0};
		struct params back;
		assert_int_equal(params_find(info->name), id); /* no name is another's alias */
		assert_int_equal(params_check(id, defaults.v[id], &err), 0);
		assert_true(params_is_default(id, defaults.v[id]));
		params_format(id, defaults.v[id], &text); /* text -> value -> text */
		assert_int_equal(params_parse(&back, id, text.data, &err), 0);
		assert_true(params_value_equal(id, back.v[id], defaults.v[id]));
		buf_clear(&text);
		params_describe(id, &text);
		assert_true(text.size > 5);
		buf_release(&text);
		assert_true(strlen(info->name) <= 20 &&
			    strlen(info->default_text) <= 7); /* columns of `sweep params` */
		assert_non_null(info->help);
		assert_true(info->stage & PARAM_STAGE_BOTH);
		for (const char *p = info->aliases; *p;) {
			char alias[64];
			size_t n = strcspn(p, " ");
			assert_true(n < sizeof alias);
			memcpy(alias, p, n);
			alias[n] = '\0';
			assert_int_equal(params_find(alias), id);
			p += n + (p[n] == ' ');
		}
	}
	assert_int_equal(params_find("beams"), PARAM_num_beams);
	assert_int_equal(params_find("lr"), PARAM_learning_rate);
	assert_int_equal(params_find("virtual_tokens"), PARAM_num_virtual_tokens);
	assert_int_equal(params_find("virtualtokens"), PARAM_num_virtual_tokens);
	assert_int_equal(params_find("Beams"), -1);
	assert_int_equal(params_find(""), -1);
	assert_string_equal(params_nearest("num_beam"), "num_beams");
	assert_string_equal(params_nearest("virtual_token"), "num_virtual_tokens");
	assert_null(params_nearest("colour_of_the_sky"));
}

static void refused(const char *name, const char *text, const char *needle)
{
	struct params p;
	struct err err = {0};
	params_default(&p);
	struct params before = p;
	if (params_parse(&p, params_find(name), text, &err) == 0)
		fail_msg("%s accepted `%s`", name, text);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s`: %s", needle, err.text);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_memory_equal(&p, &before, sizeof p);
}

static void test_parse(void **state)
{
	(void)state;
	struct params p;
	params_default(&p);
	set(&p, "learning_rate", "1e-4"); /* a text to YAML 1.1, a number to everybody else */
	assert_true(PARAM_F(&p, learning_rate) == 1e-4);
	set(&p, "num_beams", "16.0");
	assert_int_equal(PARAM_I(&p, num_beams), 16);
	set(&p, "train_limit", "1e3");
	assert_int_equal(PARAM_I(&p, train_limit), 1000);
	set(&p, "seed", "9223372036854775807");
	assert_true(PARAM_I(&p, seed) == INT64_MAX);
	set(&p, "dropout", "0.0");
	assert_true(PARAM_F(&p, dropout) == 0);
	set(&p, "dropout", "null");
	assert_true(isnan(PARAM_F(&p, dropout)));
	set(&p, "length_penalty", "-0.0");
	assert_false(signbit(PARAM_F(&p, length_penalty))); /* one key for one value */
	set(&p, "do_sample", "Yes");
	assert_int_equal(PARAM_I(&p, do_sample), 1);
	set(&p, "early_stopping", "True");
	assert_int_equal(PARAM_I(&p, early_stopping), EARLY_STOPPING_TRUE);
	refused("num_beams", "many", "num_beams: expected a whole number from 1 to 1024, found `many`");
	refused("num_beams", "0", "found `0`");
	refused("num_beams", "1025", "found `1025`");
	refused("num_beams", "2.5", "found `2.5`");
	refused("num_beams", " 5", "found ` 5`");
	refused("num_beams", "5 ", "found `5 `");
	refused("num_beams", "", "found ``");
	refused("num_beams", "0x10", "found `0x10`");
	refused("seed", "9223372036854775808", "found");
	refused("learning_rate", "nan", "expected a number from 0 to 100, found `nan`");
	refused("learning_rate", "inf", "found `inf`");
	refused("learning_rate", "1e999", "found `1e999`");
	refused("temperature", "0", "expected a number above 0");
	refused("top_p", "1.01", "at most 1");
	refused("do_sample", "2", "true or false");
	refused("early_stopping", "maybe", "one of false, true, never");
	refused("lr_scheduler_type", "cosine", "one of linear, constant, constant_with_warmup");
	refused("top_p", "0", "expected a number above 0, at most 1");
	assert_int_equal(params_find("max_length"), -1); /* generate()'s is no length of training pairs */
}

static void test_effective_and_key(void **state)
{
	(void)state;
	struct params p;
	params_default(&p);
	expect_key(&p, PARAM_STAGE_TRAIN, "{\"num_virtual_tokens\":20}"); /* always there; defaults are not */
	expect_key(&p, PARAM_STAGE_DECODE, "{}");
	set(&p, "temperature", "0.2");
	set(&p, "top_k", "5");
	set(&p, "top_p", "0.9");
	set(&p, "length_penalty", "2");
	set(&p, "early_stopping", "never");
	set(&p, "encoder_hidden_size", "64");
	set(&p, "seed", "7");
	expect_key(&p, PARAM_STAGE_DECODE, "{}"); /* no sampling, one beam: nothing of it matters */
	expect_key(&p, PARAM_STAGE_TRAIN, "{\"num_virtual_tokens\":20,\"seed\":7}");
	set(&p, "do_sample", "true");
	expect_key(&p, PARAM_STAGE_DECODE,
		   "{\"seed\":7,\"do_sample\":true,\"temperature\":0.2,\"top_k\":5,\"top_p\":0.9}");
	set(&p, "num_beams", "3");
	expect_key(&p, PARAM_STAGE_DECODE,
		   "{\"seed\":7,\"num_beams\":3,\"do_sample\":true,\"temperature\":0.2,\"top_k\":5,\"top_p\":0.9,"
		   "\"length_penalty\":2,\"early_stopping\":\"never\"}");
	set(&p, "prefix_projection", "true");
	expect_key(&p, PARAM_STAGE_TRAIN,
		   "{\"num_virtual_tokens\":20,\"prefix_projection\":true,\"encoder_hidden_size\":64,\"seed\":7}");
	set(&p, "num_virtual_tokens", "0");
	expect_key(&p, PARAM_STAGE_TRAIN,
		   "{\"num_virtual_tokens\":0,\"seed\":7}"); /* never hashed: nothing is trained */
	/* transformers' constant schedule has no warm-up; before, ours had one, under another key than these */
	struct params q;
	params_default(&q);
	set(&q, "lr_scheduler_type", "constant");
	set(&q, "warmup_steps", "5");
	expect_key(&q, PARAM_STAGE_TRAIN, "{\"num_virtual_tokens\":20,\"lr_scheduler_type\":\"constant\"}");
	set(&q, "lr_scheduler_type", "constant_with_warmup");
	expect_key(&q, PARAM_STAGE_TRAIN,
		   "{\"num_virtual_tokens\":20,\"lr_scheduler_type\":\"constant_with_warmup\",\"warmup_steps\":5}");
	set(&q, "warmup_steps", "0");
	expect_key(&q, PARAM_STAGE_TRAIN, "{\"num_virtual_tokens\":20,\"lr_scheduler_type\":\"constant\"}");
	set(&p, "do_sample", "false");
	struct params e = params_effective(&p), twice = params_effective(&e);
	assert_memory_equal(&e, &twice, sizeof e);
	assert_int_equal(PARAM_I(&e, seed), 42);
	assert_int_equal(PARAM_I(&e, num_beams), 3);
}

static void test_json(void **state)
{
	(void)state;
	struct params p, back;
	struct err err = {0};
	params_default(&p);
	set(&p, "seed", "9007199254740993"); /* 2^53 + 1 is no double */
	set(&p, "learning_rate", "0.1");
	set(&p, "early_stopping", "never");
	cJSON *json = params_to_json(&p);
	char *text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	json = json_parse(text, strlen(text), "text", &err);
	assert_int_equal(params_from_json(&back, json, &err), 0);
	for (int id = 0; id < PARAM_COUNT; id++)
		assert_true(params_value_equal(id, p.v[id], back.v[id]));
	cJSON_Delete(json);
	cJSON_free(text);
	json = json_parse("{\"num_beans\":1}", 15, "text", &err);
	assert_int_equal(params_from_json(&back, json, &err), -1);
	assert_non_null(strstr(err.text, "num_beans"));
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_effective_and_key),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
