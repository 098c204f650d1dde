/* test_adapter.c - adapter.c: what PEFT's save_pretrained wrote is read, and written again byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "safetensors.h"

#define GOLDEN SOURCE_DIR "/tests/golden/text"

static const struct model model = {.n_layer = 3, .n_head = 2, .n_embd = 12, .head_size = 6};

static void assert_same_file(const char *a, const char *b, const char *name)
{
	struct err err = {0};
	struct buf x = BUF_INIT, y = BUF_INIT;
	char *in_a = fs_join(a, name), *in_b = fs_join(b, name);
	assert_int_equal(buf_read_file(&x, in_a, 1 << 20, &err), 0);
	assert_int_equal(buf_read_file(&y, in_b, 1 << 20, &err), 0);
	assert_int_equal(x.size, y.size);
	assert_memory_equal(x.data, y.data, x.size);
	free(in_a);
	free(in_b);
	buf_release(&x);
	buf_release(&y);
}

static void test_peft(void **state)
{
	(void)state;
	for (int projection = 0; projection < 2; projection++) {
		struct err err = {0};
		struct adapter a;
		struct fs_dir out;
		const char *golden = projection ? GOLDEN "/adapter_projection" : GOLDEN "/adapter";
		if (adapter_load(&a, golden, &model, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(a.n_virtual, 4);
		char place[] = "/tmp/test_adapter.XXXXXX/made";
		place[strlen("/tmp/test_adapter.XXXXXX")] = '\0';
		assert_non_null(mkdtemp(place));
		place[strlen(place)] = '/';
		assert_int_equal(fs_dir_begin(&out, place, &err), 0);
		assert_int_equal(adapter_write(&out, a.table, a.n_virtual, &model, "some/\"tiny\" model",
					       projection ? 20 : 12, projection, &err),
				 0);
		assert_int_equal(fs_dir_commit(&out, NULL, NULL, &err), 0);
		assert_same_file(golden, place, "adapter_config.json");
		assert_same_file(golden, place, "adapter_model.safetensors");
		char *card = fs_join(place, "README.md");
		assert_true(fs_exists(card));
		free(card);
		*strrchr(place, '/') = '\0';
		fs_remove_tree(place);
		adapter_release(&a);
	}
}

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/test_adapter.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	fs_remove_tree(dir);
	return 0;
}

static void put(const char *name, const char *bytes, size_t n)
{
	struct err err = {0};
	char *path = fs_join(dir, name);
	assert_int_equal(fs_write_file(path, bytes, n, &err), 0);
	free(path);
}

static void put_table(const char *name, size_t rows, size_t columns)
{
	struct buf out = BUF_INIT;
	float *zeros = calloc(rows * columns, sizeof *zeros);
	struct safetensors_tensor t = {
		.name = name, .type = SAFETENSORS_F32, .rank = 2, .shape = {rows, columns}, .data = (void *)zeros};
	safetensors_write(&t, 1, &out);
	put("adapter_model.safetensors", out.data, out.size);
	buf_release(&out);
	free(zeros);
}

static void refused(const char *needle)
{
	struct err err = {0};
	struct adapter a;
	if (adapter_load(&a, dir, &model, &err) == 0)
		fail_msg("taken, but expected: %s", needle);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

#define PUT_CONFIG(text) put("adapter_config.json", text, strlen(text))

static void test_refuses(void **state)
{
	(void)state;
	struct err err = {0};
	struct adapter a;
	assert_int_equal(adapter_load(&a, "/nonexistent", &model, &err), -1);
	assert_non_null(strstr(err.text, "no such adapter folder"));
	put("adapter_model.bin", "pickle", 6);
	refused("only adapter_model.bin");
	put_table("prompt_embeddings", 4, 72);
	refused("adapter_config.json");
	PUT_CONFIG("{\"peft_type\":\"LORA\",\"num_virtual_tokens\":4}");
	refused("`peft_type` is `LORA`");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\"}");
	refused("`num_virtual_tokens` is missing");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":4,\"num_layers\":6}");
	refused("`num_layers` is 6, but the model's is 3");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":4,\"token_dim\":768}");
	refused("`token_dim` is 768, but the model's is 12");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":4,\"num_attention_heads\":12}");
	refused("`num_attention_heads` is 12, but the model's is 2");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":5,\"unknown\":[1]}");
	refused("F32 [4, 72], expected F32 [5, 72]");
	PUT_CONFIG("{\"peft_type\":\"PREFIX_TUNING\",\"num_virtual_tokens\":4}");
	put_table("prompt_embeddings", 4, 71);
	refused("F32 [4, 71], expected F32 [4, 72]");
	put_table("base_model.lora_A", 4, 72);
	refused("`prompt_embeddings` is missing");
	put("adapter_model.safetensors", "short", 5);
	refused("too few");
	put_table("prompt_embeddings", 4, 72);
	assert_int_equal(adapter_load(&a, dir, &model, &err), 0);
	adapter_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peft),
		cmocka_unit_test_setup_teardown(test_refuses, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
