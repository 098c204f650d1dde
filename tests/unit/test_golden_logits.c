/* test_golden_logits.c - logits of tiny GPT-2 folders of odd shapes, without and with a prefix, against those of
 * transformers and PEFT (tests/golden/models, tools/make_goldens.py): at most 1e-4 apart. The folders are read as a
 * user's are, so that F16 and BF16 weights, names with and without `transformer.`, buffers of old files, an own
 * lm_head and another epsilon are part of it. With arguments it is a tool for tools/compare_logits.py: MODEL [ADAPTER],
 * lines of ids on standard input, float32 logits of every position to standard output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <stdio.h>

#include "adapter.h"
#include "base/fs.h"
#include "forward.h"
#include "forward_oracle.h"
#include "golden.h"

static const char *const names[] = {"one_head", "three_heads", "half", "untied", "old_names"};

/* Logits of every position of one prompt: [n, V]. */
static float *logits_of(const struct model *model, const float *table, size_t n_prefix, const int32_t *ids, size_t n)
{
	struct kvcache cache;
	struct kvcache_room room = {1, n, 1, 1};
	struct forward forward;
	struct err err = {0};
	assert_int_equal(kvcache_init(&cache, model, table, n_prefix, &room, &err), 0);
	assert_int_equal(forward_init(&forward, model, NULL, &cache, n, &err), 0);
	struct forward_row *rows = mem_array(n, sizeof *rows);
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct forward_row){ids[i], (uint32_t)(n_prefix + i), {0, (uint32_t)(i + 1), 0, NULL}};
	float *hidden = mem_array(n * model->n_embd, sizeof *hidden), *out = mem_array(n * model->n_vocab, sizeof *out);
	forward_rows(&forward, rows, n, hidden);
	forward_logits(&forward, hidden, n, out, model->n_vocab);
	free(hidden);
	free(rows);
	forward_release(&forward);
	kvcache_release(&cache);
	return out;
}

static void compare(const char *name, const char *tensor, const struct safetensors *golden, const struct model *model,
		    const struct adapter *adapter)
{
	size_t n;
	int32_t *ids = golden_ints(golden, "ids", &n);
	float *want = golden_floats(golden, tensor, n * model->n_vocab);
	float *got = logits_of(model, adapter ? adapter->table : NULL, adapter ? adapter->n_virtual : 0, ids, n);
	double gap = golden_difference(got, want, n * model->n_vocab);
	if (!(gap <= 1e-4))
		fail_msg("%s, %s: %.2e apart", name, tensor, gap);
	print_message("%s, %s: %.1e apart, the largest is %.1f\n", name, tensor, gap,
		      golden_size(want, n * model->n_vocab));
	free(ids);
	free(want);
	free(got);
}

static void test_logits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct err err = {0};
		struct model model;
		struct adapter adapter;
		struct safetensors golden;
		char *folder = fs_join(GOLDEN "/models", names[i]), *about = fs_join(folder, "adapter"),
		     *values = fs_join(folder, "golden.safetensors");
		if (model_load(&model, folder, &err) < 0 || adapter_load(&adapter, about, &model, &err) < 0 ||
		    safetensors_open(&golden, values, &err) < 0)
			fail_msg("%s: %s", names[i], err.text);
		compare(names[i], "logits", &golden, &model, NULL);
		compare(names[i], "logits_prefix", &golden, &model, &adapter);
		safetensors_close(&golden);
		adapter_release(&adapter);
		model_release(&model);
		free(folder);
		free(about);
		free(values);
	}
}

static int tool(const char *folder, const char *prefix)
{
	struct err err = {0};
	struct model model;
	struct adapter adapter = {0};
	char *line = NULL;
	size_t room = 0;
	if (model_load(&model, folder, &err) < 0 || (prefix && adapter_load(&adapter, prefix, &model, &err) < 0)) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	while (getline(&line, &room, stdin) > 0) {
		int32_t ids[1024];
		size_t n = 0;
		for (char *next = line, *end; n < 1024; next = end) {
			ids[n] = (int32_t)strtol(next, &end, 10);
			if (end == next)
				break;
			assert(ids[n] >= 0 && (size_t)ids[n] < model.n_vocab);
			n++;
		}
		float *logits = logits_of(&model, adapter.table, adapter.n_virtual, ids, n);
		fwrite(logits, sizeof *logits, n * model.n_vocab, stdout);
		free(logits);
	}
	free(line);
	adapter_release(&adapter);
	model_release(&model);
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	naive_short_waits(argv);
	if (argc > 1)
		return tool(argv[1], argc > 2 ? argv[2] : NULL);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
