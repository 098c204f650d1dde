/* test_decode.c - whole decode jobs on the bundled model with a random prefix: files, sharing, equal bytes, refusals.
 */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "decode.h"
#include "forward_oracle.h"
#include "gemm.h"
#include "hypotheses.h"

enum { OUTPUTS = 6, TABLES = 5 };

static char folder[] = "/tmp/test_decode.XXXXXX";
static struct job_split splits[2] = {
	{"dev", SOURCE_DIR "/sweeps/data/dev.txt", SOURCE_DIR "/sweeps/data/dev.out", TABLES, {0}},
	{"bare", SOURCE_DIR "/sweeps/data/dev.txt", NULL, 2, {0}},
};

static void set(struct params *p, const char *name, const char *text)
{
	struct err err = {0};
	assert_int_equal(params_parse(p, params_find(name), text, &err), 0);
}

static struct job make_job(struct job_output *outputs, const char *place)
{
	static const char *const values[OUTPUTS][5] = {
		/* num_beams, max_new_tokens, do_sample, length_penalty, split */
		{"3", "12", "false", "1.0", "0"}, {"3", "5", "false", "1.0", "0"}, {"3", "12", "false", "0", "1"},
		{"1", "12", "false", "1.0", "0"}, {"2", "9", "true", "1.0", "0"},  {"1", "9", "true", "1.0", "1"},
	};
	static char adapter[64];
	snprintf(adapter, sizeof adapter, "%s/adapter", folder);
	for (size_t i = 0; i < OUTPUTS; i++) {
		struct job_output *o = &outputs[i];
		params_default(&o->params);
		set(&o->params, "num_beams", values[i][0]);
		set(&o->params, "max_new_tokens", values[i][1]);
		set(&o->params, "do_sample", values[i][2]);
		set(&o->params, "length_penalty", values[i][3]);
		o->split = (size_t)(values[i][4][0] - '0');
		hash_bytes(&i, sizeof i, o->key);
		o->dir = mem_printf("%s/%s/%zu", folder, place, i);
	}
	return (struct job){.kind = JOB_DECODE,
			    .model = SOURCE_DIR "/runner/demo",
			    .model_name = "demo",
			    .prompt = JOB_DEFAULT_PROMPT,
			    .target = JOB_DEFAULT_TARGET,
			    .adapter = adapter,
			    .splits = splits,
			    .n_splits = 2,
			    .outputs = outputs,
			    .n_outputs = OUTPUTS};
}

static void free_outputs(struct job_output *outputs)
{
	for (size_t i = 0; i < OUTPUTS; i++)
		free(outputs[i].dir);
}

/* decode_run without its events on our standard output. */
static int quiet_run(const struct job *job, int threads, struct err *err)
{
	omp_set_num_threads(threads);
	gemm_threads(threads);
	fflush(stdout);
	int out = dup(1), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(dup2(null, 1) == 1);
	int result = decode_run(job, err);
	assert_true(dup2(out, 1) == 1);
	close(out);
	close(null);
	return result;
}

static char *read_file(const char *dir, const char *name)
{
	char *path = fs_join(dir, name);
	struct buf text = BUF_INIT;
	struct err err = {0};
	if (buf_read_file(&text, path, 1 << 20, &err) < 0)
		fail_msg("%s", err.text);
	free(path);
	return buf_detach(&text);
}

static void same_folder(const char *a, const char *b)
{
	static const char *const names[] = {"hypotheses.jsonl", "artifact.json"};
	for (size_t i = 0; i < 2; i++) {
		char *x = read_file(a, names[i]), *y = read_file(b, names[i]);
		assert_string_equal(x, y);
		free(x);
		free(y);
	}
}

static int make_adapter(void **state)
{
	(void)state;
	struct model model;
	struct err err = {0};
	struct fs_dir dir;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(model_load(&model, SOURCE_DIR "/runner/demo", &err), 0);
	float *table = naive_table(&model, 3, 12);
	char *place = fs_join(folder, "adapter");
	assert_int_equal(fs_dir_begin(&dir, place, &err), 0);
	assert_int_equal(adapter_write(&dir, table, 3, &model, "demo", model.n_embd, false, &err), 0);
	assert_int_equal(fs_dir_commit(&dir, NULL, NULL, &err), 0);
	free(place);
	free(table);
	model_release(&model);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	fs_remove_tree(folder);
	return 0;
}

/* All outputs in one job, and each in a job of its own: the same bytes. */
static void test_sharing(void **state)
{
	(void)state;
	struct job_output together[OUTPUTS], apart[OUTPUTS];
	struct err err = {0};
	struct job job = make_job(together, "together");
	if (quiet_run(&job, 1, &err) < 0)
		fail_msg("%s", err.text);
	job = make_job(apart, "apart");
	for (size_t i = 0; i < OUTPUTS; i++) {
		struct job one = job;
		one.outputs = &apart[i];
		one.n_outputs = 1;
		if (quiet_run(&one, i == 0 ? 2 : 1, &err) < 0)
			fail_msg("%s", err.text);
		same_folder(together[i].dir, apart[i].dir);
	}
	free_outputs(together);
	free_outputs(apart);
}

static void test_files(void **state)
{
	(void)state;
	struct job_output outputs[OUTPUTS];
	make_job(outputs, "together");
	for (size_t i = 0; i < OUTPUTS; i++) {
		size_t count = outputs[i].split ? 2 : TABLES, at = 0, texts = 0;
		char *lines = read_file(outputs[i].dir, "hypotheses.jsonl"), *line = lines, *end;
		struct err err = {0};
		for (; (end = strchr(line, '\n')); line = end + 1, at++) {
			cJSON *o = json_parse(line, (size_t)(end - line), "line", &err);
			int64_t id, tokens;
			const char *text;
			assert_int_equal(json_int(o, "id", 0, 1000, &id, &err), 0);
			assert_int_equal(json_int(o, "tokens", 1, 12, &tokens, &err), 0);
			assert_int_equal(json_string(o, "text", &text, &err), 0);
			assert_int_equal(id, at);
			texts += text[0] != '\0';
			assert_int_equal(cJSON_IsNumber(cJSON_GetObjectItem(o, "score")),
					 PARAM_I(&outputs[i].params, num_beams) > 1);
			assert_int_equal(cJSON_HasObjectItem(o, "sentence_bleu"), outputs[i].split == 0);
			cJSON_Delete(o);
		}
		assert_int_equal(at, count);
		assert_true(texts > 0);
		free(lines);
		char *about = read_file(outputs[i].dir, "artifact.json");
		cJSON *o = json_parse(about, strlen(about), "artifact", &err);
		int64_t n;
		const char *key;
		assert_int_equal(json_int(o, "count", 0, 1000, &n, &err), 0);
		assert_int_equal(n, count);
		assert_int_equal(json_string(o, "key", &key, &err), 0);
		assert_string_equal(key, outputs[i].key);
		assert_int_equal(cJSON_HasObjectItem(o, "scores"), outputs[i].split == 0);
		cJSON_Delete(o);
		free(about);
	}
	free_outputs(outputs);
}

/* What is in place is announced and not computed again: a model that is missing is not even looked for. */
static void test_in_place(void **state)
{
	(void)state;
	struct job_output outputs[OUTPUTS];
	struct job job = make_job(outputs, "together");
	struct err err = {0};
	job.model = "/nowhere";
	assert_int_equal(quiet_run(&job, 1, &err), 0);
	free_outputs(outputs);
}

static void test_refusals(void **state)
{
	(void)state;
	struct job_output outputs[OUTPUTS];
	struct job job = make_job(outputs, "refused");
	struct err err = {0};
	job.n_outputs = 1;
	set(&outputs[0].params, "max_new_tokens", "60000");
	assert_int_equal(quiet_run(&job, 1, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.text, "dev.txt: table 1 of split `dev` is too long"));
	set(&outputs[0].params, "max_new_tokens", "5");
	job.adapter = "/nowhere";
	assert_int_equal(quiet_run(&job, 1, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_false(fs_exists(outputs[0].dir));
	free_outputs(outputs);
}

static void check_clean(const char *text, const char *echo, const char *want)
{
	char *clean = hypotheses_clean(text, strlen(text), echo);
	assert_string_equal(clean, want);
	free(clean);
}

static void test_clean(void **state)
{
	(void)state;
	check_clean("", "", "");
	check_clean("  The Mill\nis a pub. \n", "", "The Mill is a pub.");
	check_clean("\xC2\xA0x\xC2\xA0y\xE2\x80\xA8", "", "x\xC2\xA0y");
	check_clean(" \n ", "", "");
	check_clean("Say: name : A twice Say: name : A", "Say: name : A", "twice");
	check_clean("Say", "Say: name", "Say");
	check_clean("\xFF x \xFF", "", "\xFF x \xFF");
}

int main(int argc, char **argv)
{
	(void)argc;
	naive_short_waits(argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),    cmocka_unit_test(test_sharing),  cmocka_unit_test(test_files),
		cmocka_unit_test(test_in_place), cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, make_adapter, remove_folder);
}
