/* test_check.c - check.c: jobs over the bundled model that must pass, and what must stop them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "model.h"

static char dir[64], *files[3];
static int64_t positions;
static struct job_split splits[2];
static struct job_output outputs[4];
static struct job job;

static void put(size_t file, const char *text)
{
	struct err err = {0};
	assert_int_equal(fs_write_file(files[file], text, strlen(text), &err), 0);
}

/* Two splits and two outputs, all fine: tests spoil one thing each. */
static int make_job(void **state)
{
	(void)state;
	struct err err = {0};
	struct model model;
	snprintf(dir, sizeof dir, "/tmp/test_check.XXXXXX");
	if (!mkdtemp(dir) || model_load(&model, SOURCE_DIR "/runner/demo", &err) < 0)
		return -1;
	positions = (int64_t)model.n_positions;
	model_release(&model);
	for (int i = 0; i < 3; i++)
		files[i] = mem_printf("%s/%s", dir, (const char *[]){"train", "input", "refs"}[i]);
	put(0, "a||one text\nb : b||another text\n");
	put(1, "a\nb\n");
	put(2, "0||a||one\n1||b||two\n");
	splits[0] = (struct job_split){.name = (char *)"dev", .input = files[1], .references = files[2]};
	splits[1] = (struct job_split){.name = (char *)"small", .input = files[1]};
	job = (struct job){.kind = JOB_CHECK,
			   .model = (char *)SOURCE_DIR "/runner/demo",
			   .train = files[0],
			   .prompt = (char *)"{table} {eos} ",
			   .target = (char *)"{text} {eos}",
			   .splits = splits,
			   .n_splits = 2,
			   .outputs = outputs,
			   .n_outputs = 3};
	for (size_t i = 0; i < 4; i++)
		params_default(&outputs[i].params);
	outputs[0].split = 2; /* n_splits: a training */
	outputs[1].split = 0;
	outputs[2].split = 1;
	return 0;
}

static int remove_job(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		free(files[i]);
	fs_remove_tree(dir);
	return 0;
}

static void passes(void)
{
	struct err err = {0};
	if (check_run(&job, &err) < 0)
		fail_msg("%s", err.text);
}

static void refused(const char *needle)
{
	struct err err = {0};
	if (check_run(&job, &err) == 0)
		fail_msg("passed, but expected: %s", needle);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

static void test_good(void **state)
{
	(void)state;
	passes();
	job.n_outputs = 0;
	passes();
}

/* Exactly as many positions as there are is enough; one more is not. */
static void test_decode_lengths(void **state)
{
	(void)state;
	PARAM_I(&outputs[1].params, num_virtual_tokens) = 7;
	char *needs = mem_printf("input 0 needs %lld positions", (long long)positions + 1);
	int64_t more = positions - 7;
	for (struct err err = {0}; check_run(&job, &err) == 0 || !strstr(err.text, needs); more--) {
		PARAM_I(&outputs[1].params, max_new_tokens) = more;
		assert_true(more > positions - 30);
	}
	PARAM_I(&outputs[1].params, max_new_tokens) = more; /* one less than what was refused */
	passes();
	free(needs);
}

static void test_training_lengths(void **state)
{
	(void)state;
	PARAM_I(&outputs[0].params, pad_to_length) = positions - 20;
	passes();
	PARAM_I(&outputs[0].params, pad_to_length) = positions - 19;
	refused("pad_to_length");
	PARAM_I(&outputs[0].params, pad_to_length) = 3;
	refused("train:2: the prompt has");
	PARAM_I(&outputs[0].params, pad_to_length) = 0;
	struct buf text = BUF_INIT;
	buf_adds(&text, "a||b\nc||");
	for (int64_t i = 0; i < positions; i++)
		buf_adds(&text, "8 ? ");
	put(0, text.data);
	buf_release(&text);
	refused("train:2: the pair has");
	/* A training that stops before that pair has no trouble with it; another one may not hide it. */
	PARAM_I(&outputs[0].params, train_limit) = 1;
	passes();
	outputs[3] = outputs[0];
	PARAM_I(&outputs[3].params, train_limit) = 0;
	job.n_outputs = 4;
	refused("train:2: the pair has");
	/* Padding cuts it. */
	PARAM_I(&outputs[3].params, pad_to_length) = 50;
	passes();
}

static void test_data(void **state)
{
	(void)state;
	put(0, "a||b\nc\n");
	refused("train:2: no `||`");
	put(0, "a||b\n");
	put(2, "0||a||one\n");
	refused("no reference for input 1");
	put(2, "0||a||one\n1||b||two\n");
	put(1, "");
	refused("the file is empty");
	put(1, "a\nb\n");
	job.prompt = (char *)"";
	refused("is empty");
	job.prompt = (char *)"{table}";
	job.train = NULL;
	refused("no training file");
	job.train = files[0];
	job.adapter = dir;
	refused("adapter_config.json");
	job.adapter = NULL;
	job.model = dir;
	refused("config.json");
}

/* An end token that the tokenizer does not know as special; ids behind the end of the embedding. */
static void test_vocabulary(void **state)
{
	(void)state;
	struct err err = {0};
	static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
	struct buf text[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
	for (int i = 0; i < 3; i++) {
		char *from = fs_join(SOURCE_DIR "/runner/demo", names[i]), *to = fs_join(dir, names[i]);
		assert_int_equal(buf_read_file(&text[i], from, 1 << 25, &err), 0);
		assert_int_equal(fs_write_file(to, text[i].data, text[i].size, &err), 0);
		free(from);
		free(to);
	}
	job.model = dir;
	passes();
	char *generation = fs_join(dir, "generation_config.json"), *tokens = fs_join(dir, "added_tokens.json");
	assert_int_equal(fs_write_file(generation, "{\"eos_token_id\":5}", 18, &err), 0);
	refused("`eos_token_id` 5 of the model is no special token");
	assert_int_equal(fs_write_file(generation, "{}", 2, &err), 0);
	assert_int_equal(fs_write_file(tokens, "{\"<pad>\":900000}", 16, &err), 0);
	passes();
	put(1, "a\nb <pad>\n");
	put(2, "0||a||one\n1||b <pad>||two\n");
	refused("the token `<pad>` has the id 900000");
	free(generation);
	free(tokens);
	for (int i = 0; i < 3; i++)
		buf_release(&text[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, make_job, remove_job),
		cmocka_unit_test_setup_teardown(test_decode_lengths, make_job, remove_job),
		cmocka_unit_test_setup_teardown(test_training_lengths, make_job, remove_job),
		cmocka_unit_test_setup_teardown(test_data, make_job, remove_job),
		cmocka_unit_test_setup_teardown(test_vocabulary, make_job, remove_job),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
