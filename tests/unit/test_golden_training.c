/* test_golden_training.c - prefix tuning against PEFT and torch (tests/golden/models and training, tools/
 * make_goldens.py): gradients of every trained tensor, with and without projection and left padding (1e-4 relative);
 * 51 steps on the bundled model with equal initial values and order (losses 1e-4, the adapter 1e-3); and the moments of
 * the loss under dropout, whose random numbers are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "adapter.h"
#include "base/fs.h"
#include "forward_oracle.h"
#include "golden.h"
#include "gpt2.h"
#include "prefix.h"
#include "train.h"

enum { PAIRS = 4, WIDTH = 16, VIRTUAL = 3, HIDDEN = 10, PAD_TO = 20, SEED = 42 };

static const char *const names[] = {"one_head", "three_heads", "half", "untied", "old_names"};

struct tiny {
	struct model model;
	struct safetensors golden;
	int32_t *ids;
	struct dataset_pair pairs[PAIRS];
	const struct dataset_pair *list[PAIRS];
	struct gpt2 g;
};

static void tiny_open(struct tiny *t, const char *name)
{
	struct err err = {0};
	char *folder = fs_join(GOLDEN "/models", name), *values = fs_join(folder, "golden.safetensors");
	if (model_load(&t->model, folder, &err) < 0 || safetensors_open(&t->golden, values, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	size_t n;
	t->ids = golden_ints(&t->golden, "pairs", &n);
	assert_int_equal(n, PAIRS * WIDTH);
	int32_t *sizes = golden_ints(&t->golden, "sizes", &n);
	struct gpt2_limits limits = {.n_virtual = VIRTUAL, .batch = PAIRS, .longest = WIDTH};
	for (size_t i = 0; i < PAIRS; i++) {
		t->pairs[i] = (struct dataset_pair){
			.ids = t->ids + i * WIDTH, .n = (uint32_t)sizes[2 * i], .n_prompt = (uint32_t)sizes[2 * i + 1]};
		t->list[i] = &t->pairs[i];
		limits.rows += t->pairs[i].n;
		limits.labels += gpt2_labels(&t->pairs[i]);
	}
	assert_int_equal(gpt2_init(&t->g, &t->model, &limits, &err), 0);
	free(sizes);
	free(folder);
	free(values);
}

static void tiny_close(struct tiny *t)
{
	gpt2_release(&t->g);
	free(t->ids);
	safetensors_close(&t->golden);
	model_release(&t->model);
}

static double gradients(struct tiny *t, const char *name, bool projection, uint32_t pad_to)
{
	struct prefix p;
	struct err err = {0};
	char tag[64];
	double worst = 0;
	assert_int_equal(prefix_init(&p, &t->model, VIRTUAL, projection, projection ? HIDDEN : 0, SEED, &err), 0);
	for (size_t i = 0; i < PAIRS; i++)
		t->pairs[i].pad = pad_to ? pad_to - t->pairs[i].n : 0;
	prefix_forward(&p);
	float loss = (float)gpt2_step(&t->g, t->list, PAIRS, p.table, NULL, p.dtable);
	prefix_backward(&p);
	snprintf(tag, sizeof tag, "%d.%u.loss", projection, pad_to);
	float *want = golden_floats(&t->golden, tag, 1);
	char what[128];
	snprintf(what, sizeof what, "%s %s", name, tag);
	golden_relative(what, &loss, want, 1, 1e-5);
	free(want);
	for (size_t i = 0; i < p.n_tensors; i++) {
		size_t count = p.tensors[i].rows * p.tensors[i].columns;
		snprintf(tag, sizeof tag, "%d.%u.%s", projection, pad_to, p.tensors[i].name);
		snprintf(what, sizeof what, "%s %s", name, tag);
		want = golden_floats(&t->golden, tag, count);
		worst = fmax(worst, golden_relative(what, p.tensors[i].gradient, want, count, 1e-4));
		free(want);
	}
	prefix_release(&p);
	return worst;
}

static void test_gradients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tiny t = {0};
		tiny_open(&t, names[i]);
		double worst = 0;
		for (int k = 0; k < 4; k++)
			worst = fmax(worst, gradients(&t, names[i], k & 1, k & 2 ? PAD_TO : 0));
		print_message("%s: gradients %.1e apart, relative\n", names[i], worst);
		tiny_close(&t);
	}
}

/* Dropout 0.1 at all sites: mean and standard deviation of the loss over many draws are torch's. The golden values are
 * estimates too, out of golden[2] draws. */
static void test_dropout_moments(void **state)
{
	(void)state;
	enum { DRAWS = 4000 };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tiny t = {0};
		struct prefix p;
		struct err err = {0};
		tiny_open(&t, names[i]);
		assert_int_equal(prefix_init(&p, &t.model, VIRTUAL, false, 0, SEED, &err), 0);
		double sum = 0, squares = 0;
		for (uint64_t draw = 0; draw < DRAWS; draw++) { /* seeds and steps: both must be independent */
			struct gpt2_dropout dropout = {.key = rng_key(draw % 50, RNG_DROPOUT),
						       .step = draw / 50,
						       .embedding = 0.1,
						       .attention = 0.1,
						       .residual = 0.1};
			double loss = gpt2_step(&t.g, t.list, PAIRS, p.table, &dropout, NULL);
			sum += loss;
			squares += loss * loss;
		}
		float *want = golden_floats(&t.golden, "dropout", 3);
		double mean = sum / DRAWS, sd = sqrt((squares - sum * mean) / (DRAWS - 1)), n = (double)want[2];
		double z = (mean - (double)want[0]) / sqrt(sd * sd / DRAWS + (double)want[1] * (double)want[1] / n);
		print_message("%s: loss under dropout %.4f (torch %.4f, %.1f standard errors), deviation %.4f (%.4f)\n",
			      names[i], mean, (double)want[0], z, sd, (double)want[1]);
		assert_true(fabs(z) < 4);
		assert_true(fabs(sd / (double)want[1] - 1) < 0.08);
		free(want);
		prefix_release(&p);
		tiny_close(&t);
	}
}

/* ---- whole trainings ---- */

static char folder[] = "/tmp/test_golden_training.XXXXXX";

/* Trains as the golden case says; the adapter folder. */
static char *train(const cJSON *about)
{
	struct err err = {0};
	char *dir = fs_join(folder, cJSON_GetObjectItem(about, "name")->valuestring);
	struct job_output output = {.key = "golden", .dir = dir};
	params_default(&output.params);
	const cJSON *set;
	cJSON_ArrayForEach(set, cJSON_GetObjectItem(about, "set"))
	{
		if (params_parse(&output.params, params_find(set->string), set->valuestring, &err) < 0)
			fail_msg("%s", err.text);
	}
	char model[] = SOURCE_DIR "/runner/demo", data[] = SOURCE_DIR "/sweeps/data/train.txt", demo[] = "demo";
	char prompt[] = JOB_DEFAULT_PROMPT, target[] = JOB_DEFAULT_TARGET;
	struct job job = {.kind = JOB_TRAIN,
			  .model = model,
			  .model_name = demo,
			  .train = data,
			  .prompt = prompt,
			  .target = target,
			  .outputs = &output,
			  .n_outputs = 1};
	fflush(stdout);
	int keep = dup(1), to = open("/dev/null", O_WRONLY); /* events */
	dup2(to, 1);
	int result = train_run(&job, &err);
	dup2(keep, 1);
	close(keep);
	close(to);
	if (result < 0)
		fail_msg("%s", err.text);
	return dir;
}

/* The largest relative difference of a loss; all steps must be there. */
static double compare_losses(const char *name, const char *dir, const cJSON *want)
{
	struct buf text = BUF_INIT;
	struct err err = {0};
	char *path = fs_join(dir, "losses.jsonl");
	assert_int_equal(buf_read_file(&text, path, 1 << 20, &err), 0);
	double worst = 0, loss;
	int n = 0;
	for (char *p = text.data; p < text.data + text.size; n++) {
		char *end = strchr(p, '\n');
		cJSON *line = json_parse(p, (size_t)(end - p), path, &err);
		assert_non_null(line);
		assert_int_equal(json_double(line, "loss", &loss, &err), 0);
		assert_true(n < cJSON_GetArraySize(want));
		double gap = fabs(loss / cJSON_GetArrayItem(want, n)->valuedouble - 1);
		if (!(gap <= 1e-4))
			fail_msg("%s: loss of step %d is %.9g, torch's %.9g", name, n + 1, loss,
				 cJSON_GetArrayItem(want, n)->valuedouble);
		worst = fmax(worst, gap);
		cJSON_Delete(line);
		p = end + 1;
	}
	assert_int_equal(n, cJSON_GetArraySize(want));
	free(path);
	buf_release(&text);
	return worst;
}

static void test_training(void **state)
{
	(void)state;
	struct err err = {0};
	struct model model;
	assert_int_equal(model_load(&model, SOURCE_DIR "/runner/demo", &err), 0);
	cJSON *cases = golden_json(GOLDEN "/training/losses.json"), *about;
	assert_true(cJSON_GetArraySize(cases) >= 5);
	cJSON_ArrayForEach(about, cases)
	{
		const char *name = cJSON_GetObjectItem(about, "name")->valuestring;
		char *dir = train(about), *golden = fs_join(GOLDEN "/training", name);
		struct adapter ours, theirs;
		double losses = compare_losses(name, dir, cJSON_GetObjectItem(about, "losses"));
		if (adapter_load(&ours, dir, &model, &err) < 0 || adapter_load(&theirs, golden, &model, &err) < 0)
			fail_msg("%s: %s", name, err.text);
		assert_int_equal(ours.n_virtual, theirs.n_virtual);
		double gap = golden_relative(name, ours.table, theirs.table,
					     ours.n_virtual * 2 * model.n_layer * model.n_embd, 1e-3);
		print_message("%s: losses %.1e, adapter %.1e apart, relative\n", name, losses, gap);
		adapter_release(&ours);
		adapter_release(&theirs);
		free(dir);
		free(golden);
	}
	cJSON_Delete(cases);
	model_release(&model);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fs_remove_tree(folder);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	naive_short_waits(argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gradients),
		cmocka_unit_test(test_dropout_moments),
		cmocka_unit_test(test_training),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
