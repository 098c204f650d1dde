/* test_train.c - whole train jobs on the bundled model: the loss falls, the adapter folder is complete and readable,
 * the same bytes at every thread count, other bytes for another seed, and clear sentences when it cannot work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "base/event.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "gemm.h"
#include "train.h"

static char folder[] = "/tmp/test_train.XXXXXX";

struct outcome {
	int result;
	struct err err;
	char *dir;
	struct buf adapter, losses, events;
};

/* A job of 8 steps of 2 pairs; `set` holds further name=value pairs separated by spaces. */
static struct outcome train(const char *name, int threads, const char *set)
{
	struct outcome o = {.dir = fs_join(folder, name)};
	struct job_output output = {.dir = o.dir};
	snprintf(output.key, sizeof output.key, "%s", name);
	params_default(&output.params);
	char *text = mem_printf("batch_size=2 train_limit=16 learning_rate=0.02 num_virtual_tokens=3 %s", set);
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		*value = '\0';
		assert_int_equal(params_parse(&output.params, params_find(word), value + 1, &o.err), 0);
	}
	free(text);
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
	char *log = fs_join(folder, "events");
	int keep = dup(1), to = open(log, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	fflush(stdout);
	dup2(to, 1);
	omp_set_num_threads(threads);
	gemm_threads(threads);
	o.result = train_run(&job, &o.err);
	dup2(keep, 1);
	close(keep);
	close(to);
	struct err err = {0};
	buf_read_file(&o.events, log, 1 << 24, &err);
	free(log);
	if (o.result == 0) {
		char *a = fs_join(o.dir, "adapter_model.safetensors"), *b = fs_join(o.dir, "losses.jsonl");
		assert_int_equal(buf_read_file(&o.adapter, a, 1 << 24, &err), 0);
		assert_int_equal(buf_read_file(&o.losses, b, 1 << 24, &err), 0);
		free(a);
		free(b);
	}
	return o;
}

static void release(struct outcome *o)
{
	free(o->dir);
	buf_release(&o->adapter);
	buf_release(&o->losses);
	buf_release(&o->events);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->adapter.size == b->adapter.size && memcmp(a->adapter.data, b->adapter.data, a->adapter.size) == 0 &&
	       a->losses.size == b->losses.size && memcmp(a->losses.data, b->losses.data, a->losses.size) == 0;
}

/* Line by line: steps in order, and the mean loss of the first and last quarter. */
static size_t read_losses(const struct buf *losses, double *early, double *late)
{
	size_t n = 0, lines = 0;
	for (size_t i = 0; i < losses->size; i++)
		lines += losses->data[i] == '\n';
	*early = *late = 0;
	for (const char *p = losses->data; p < losses->data + losses->size; n++) {
		struct err err = {0};
		const char *end = strchr(p, '\n');
		cJSON *line = json_parse(p, (size_t)(end - p), "losses.jsonl", &err);
		int64_t step;
		double loss, rate;
		assert_non_null(line);
		assert_int_equal(json_int(line, "step", 1, INT64_MAX, &step, &err), 0);
		assert_int_equal(json_double(line, "loss", &loss, &err), 0);
		assert_int_equal(json_double(line, "learning_rate", &rate, &err), 0);
		assert_int_equal(step, n + 1);
		*early += n < lines / 4 ? loss / (double)(lines / 4) : 0;
		*late += n >= lines - lines / 4 ? loss / (double)(lines / 4) : 0;
		cJSON_Delete(line);
		p = end + 1;
	}
	return n;
}

static void test_loss_falls_and_the_folder_is_complete(void **state)
{
	(void)state;
	for (int projection = 0; projection < 2; projection++) {
		struct outcome o = train(projection ? "mlp" : "table", 2,
					 projection ? "epochs=4 prefix_projection=true learning_rate=0.003 dropout=0"
						    : "epochs=4 dropout=0");
		if (o.result != 0)
			fail_msg("%s", o.err.text);
		double early, late;
		assert_int_equal(read_losses(&o.losses, &early, &late), 32);
		if (!(late < 0.97 * early))
			fail_msg("loss from %g to %g", early, late);
		struct model model;
		struct adapter adapter;
		struct err err = {0};
		assert_int_equal(model_load(&model, SOURCE_DIR "/runner/demo", &err), 0);
		if (adapter_load(&adapter, o.dir, &model, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(adapter.n_virtual, 3);
		adapter_release(&adapter);
		model_release(&model);
		char *path = fs_join(o.dir, "artifact.json");
		cJSON *about = json_read_file(path, 1 << 16, &err);
		const char *text;
		int64_t steps;
		assert_non_null(about);
		assert_int_equal(json_string(about, "kind", &text, &err), 0);
		assert_string_equal(text, "adapter");
		assert_int_equal(json_string(about, "arch", &text, &err), 0);
		assert_int_equal(json_int(about, "steps", 32, 32, &steps, &err), 0);
		cJSON_Delete(about);
		free(path);
		release(&o);
	}
}

static void test_events(void **state)
{
	(void)state;
	struct outcome o = train("events_of", 1, "");
	assert_int_equal(o.result, 0);
	int64_t first = 0, last = 0, losses = 0, artifacts = 0;
	for (char *p = o.events.data; p < o.events.data + o.events.size;) {
		char *end = strchr(p, '\n');
		struct event e;
		assert_int_equal(event_parse(p, (size_t)(end - p), &e), 0);
		if (e.kind == EVENT_LOSS) {
			first = losses++ ? first : e.step;
			last = e.step;
			assert_true(e.total == 8 && e.loss > 0 && e.tokens_per_second > 0);
		}
		if (e.kind == EVENT_ARTIFACT) {
			artifacts++;
			assert_string_equal(e.key, "events_of");
			assert_true(last == 8); /* only when all is done */
		}
		p = end + 1;
	}
	assert_true(first == 1 && last == 8 && artifacts == 1);
	release(&o);
}

static void test_threads_do_not_matter(void **state)
{
	(void)state;
	static const char *const cases[] = {"train_limit=9",
					    "train_limit=9 prefix_projection=true encoder_hidden_size=40"};
	for (int k = 0; k < 2; k++) {
		struct outcome o[3];
		for (int i = 0; i < 3; i++) {
			char name[32];
			snprintf(name, sizeof name, "threads%d_%d", k, i);
			o[i] = train(name, i + 1, cases[k]);
			assert_int_equal(o[i].result, 0);
			assert_true(same(&o[0], &o[i]));
		}
		for (int i = 0; i < 3; i++)
			release(&o[i]);
	}
}

static void test_parameters_matter(void **state)
{
	(void)state;
	static const char *const others[] = {
		"seed=43",     "shuffle=false",          "dropout=0",        "pad_to_length=90",
		"epochs=2",    "warmup_steps=3",         "batch_size=3",     "lr_scheduler_type=constant",
		"dropout=0.3", "prefix_projection=true", "weight_decay=0.5", "adam_beta1=0.5"};
	struct outcome base = train("base", 2, "train_limit=7");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		char name[16], *set = mem_printf("train_limit=7 %s", others[i]);
		snprintf(name, sizeof name, "other%zu", i);
		struct outcome o = train(name, 2, set);
		if (o.result != 0)
			fail_msg("%s: %s", others[i], o.err.text);
		if (same(&base, &o))
			fail_msg("%s changes nothing", others[i]);
		double early, late;
		size_t steps = read_losses(&o.losses, &early, &late);
		assert_int_equal(steps, strstr(set, "epochs=2")       ? 8
					: strstr(set, "batch_size=3") ? 3
								      : 4); /* 2 + 2 + 2 + 1 */
		release(&o);
		free(set);
	}
	release(&base);
}

/* Without learning, epochs differ only in what is drawn: the order of the pairs, and the dropout. */
static void test_every_epoch_draws_anew(void **state)
{
	(void)state;
	static const char *const cases[] = {"learning_rate=0 epochs=2 train_limit=8 dropout=0 shuffle=false",
					    "learning_rate=0 epochs=2 train_limit=8 dropout=0",
					    "learning_rate=0 epochs=2 train_limit=8 dropout=0.3 shuffle=false"};
	for (size_t k = 0; k < 3; k++) {
		char name[16];
		snprintf(name, sizeof name, "draws%zu", k);
		struct outcome o = train(name, 1, cases[k]);
		assert_int_equal(o.result, 0);
		char line[4][2][64] = {{""}};
		int step;
		for (const char *p = o.losses.data; p; p = strchr(p + 1, '\n')) {
			double loss;
			if (sscanf(p, " {\"step\":%d,\"loss\":%lf", &step, &loss) == 2)
				snprintf(line[(step - 1) % 4][(step - 1) / 4], 64, "%.17g", loss);
		}
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(strcmp(line[i][0], line[i][1]) == 0, k == 0);
		release(&o);
	}
}

static void refused(const char *set, const char *sentence)
{
	struct outcome o = train("refused", 1, set);
	assert_int_equal(o.result, -1);
	assert_int_equal(o.err.kind, ERR_INPUT);
	if (!strstr(o.err.text, sentence))
		fail_msg("%s: got `%s`, want `%s`", set, o.err.text, sentence);
	assert_false(fs_exists(o.dir));
	release(&o);
}

static void test_what_cannot_work(void **state)
{
	(void)state;
	refused("epochs=8 learning_rate=100 weight_decay=100 lr_scheduler_type=constant",
		"lower learning_rate (now 100)");
	refused("num_virtual_tokens=1000", "virtual tokens");
	refused("num_virtual_tokens=0", "the base model needs no training");
	refused("pad_to_length=5000", "lower num_virtual_tokens or pad_to_length");
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
	/* Read by libgomp before main: without it, barriers spin and three threads on a busy machine take minutes. */
	if (argc == 1 && !getenv("GOMP_SPINCOUNT") && setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
		execv("/proc/self/exe", argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss_falls_and_the_folder_is_complete),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_threads_do_not_matter),
		cmocka_unit_test(test_parameters_matter),
		cmocka_unit_test(test_every_epoch_draws_anew),
		cmocka_unit_test(test_what_cannot_work),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
