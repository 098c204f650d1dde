/* test_model.c - model.c: the bundled model, folders written here in every accepted form, and folders that must be
 * refused with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model.h"
#include "safetensors.h"

#define CONFIG                                                                                                         \
	"{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":4,\"n_positions\":8,\"vocab_size\":10,"        \
	"\"eos_token_id\":9"

static char dir[64];

static void put(const char *name, const void *bytes, size_t n)
{
	struct err err = {0};
	char *path = fs_join(dir, name);
	assert_int_equal(fs_write_file(path, bytes, n, &err), 0);
	free(path);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void drop(const char *name)
{
	char *path = fs_join(dir, name);
	unlink(path);
	free(path);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/test_model.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	fs_remove_tree(dir);
	return 0;
}

struct named {
	const char *name;
	size_t rank, rows, columns;
};

static const struct named parts[] = {
	{"wte.weight", 2, 10, 4},
	{"wpe.weight", 2, 8, 4},
	{"ln_f.weight", 1, 4, 0},
	{"ln_f.bias", 1, 4, 0},
	{"h.%d.ln_1.weight", 1, 4, 0},
	{"h.%d.ln_1.bias", 1, 4, 0},
	{"h.%d.attn.c_attn.weight", 2, 4, 12},
	{"h.%d.attn.c_attn.bias", 1, 12, 0},
	{"h.%d.attn.c_proj.weight", 2, 4, 4},
	{"h.%d.attn.c_proj.bias", 1, 4, 0},
	{"h.%d.ln_2.weight", 1, 4, 0},
	{"h.%d.ln_2.bias", 1, 4, 0},
	{"h.%d.mlp.c_fc.weight", 2, 4, 16},
	{"h.%d.mlp.c_fc.bias", 1, 16, 0},
	{"h.%d.mlp.c_proj.weight", 2, 16, 4},
	{"h.%d.mlp.c_proj.bias", 1, 4, 0},
	{"h.%d.attn.bias", 2, 8, 8},
};

enum { PARTS = sizeof parts / sizeof *parts, MOST = 2 * PARTS + 1 };

/* A whole model; element i of tensor k is k + i / 64. */
struct tensors {
	struct safetensors_tensor t[MOST];
	float data[MOST][256];
	uint16_t narrow[MOST][256];
	size_t n;
};

static void add(struct tensors *all, const char *prefix, const struct named *part, int layer)
{
	char name[96];
	snprintf(name, sizeof name, "%s", prefix);
	const char *at = strstr(part->name, "%d");
	if (at)
		snprintf(name + strlen(name), sizeof name - strlen(name), "%.*s%d%s", (int)(at - part->name),
			 part->name, layer, at + 2);
	else
		snprintf(name + strlen(name), sizeof name - strlen(name), "%s", part->name);
	size_t k = all->n++;
	all->t[k] = (struct safetensors_tensor){.name = mem_strdup(name),
						.type = SAFETENSORS_F32,
						.rank = part->rank,
						.shape = {part->rows, part->columns},
						.data = (const unsigned char *)all->data[k]};
	for (size_t i = 0; i < 256; i++)
		all->data[k][i] = (float)k + (float)i / 64;
}

static struct tensors *make(const char *prefix)
{
	struct tensors *all = mem_zero(1, sizeof *all);
	for (size_t p = 0; p < PARTS; p++)
		for (int layer = 0; layer < (strchr(parts[p].name, '%') ? 2 : 1); layer++)
			add(all, prefix, &parts[p], layer);
	return all;
}

static void done(struct tensors *all)
{
	for (size_t i = 0; i < all->n; i++)
		free((char *)all->t[i].name);
	free(all);
}

static void save(const struct tensors *all, const char *name)
{
	struct buf out = BUF_INIT;
	safetensors_write(all->t, all->n, &out);
	put(name, out.data, out.size);
	buf_release(&out);
}

static struct safetensors_tensor *named(struct tensors *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->t[i].name, name) == 0)
			return &all->t[i];
	fail_msg("no %s", name);
	return NULL;
}

static void remove_named(struct tensors *all, const char *name)
{
	struct safetensors_tensor *t = named(all, name);
	free((char *)t->name);
	*t = all->t[--all->n];
}

static void refused(const char *needle)
{
	struct err err = {0};
	struct model m;
	if (model_load(&m, dir, &err) == 0)
		fail_msg("taken, but expected: %s", needle);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

static void load(struct model *m)
{
	struct err err = {0};
	if (model_load(m, dir, &err) < 0)
		fail_msg("%s", err.text);
}

/* Both layers' tensors lie where the table says: their first elements are the tensors' numbers. */
static void assert_placed(const struct model *m)
{
	assert_true(m->wte[0] == 0 && m->wpe[0] == 1 && m->lnf_gain[0] == 2 && m->lnf_bias[0] == 3);
	for (int l = 0; l < 2; l++) {
		const struct model_layer *layer = &m->layers[l];
		const float *in_order[] = {layer->ln1_gain, layer->ln1_bias, layer->attn_w,   layer->attn_b,
					   layer->proj_w,   layer->proj_b,   layer->ln2_gain, layer->ln2_bias,
					   layer->fc_w,     layer->fc_b,     layer->out_w,    layer->out_b};
		for (int k = 0; k < 12; k++)
			assert_true(in_order[k][0] == (float)(4 + 2 * k + l));
		assert_true(layer->out_w[63] == (float)(4 + 20 + l) + 63.0f / 64);
	}
	assert_ptr_equal(m->lm_head, m->wte);
}

static void test_forms(void **state)
{
	(void)state;
	struct model m;
	for (int prefixed = 0; prefixed < 2; prefixed++) {
		struct tensors *all = make(prefixed ? "transformer." : "");
		put_text("config.json", CONFIG "}");
		save(all, "model.safetensors");
		load(&m);
		assert_placed(&m);
		assert_int_equal(m.n_inner, 16);
		assert_int_equal(m.head_size, 2);
		assert_int_equal(m.eos_token_id, 9);
		assert_true(m.embd_pdrop == 0.1 && m.attn_pdrop == 0.1 && m.resid_pdrop == 0.1);
		assert_true(m.layer_norm_epsilon == 1e-5f);
		model_release(&m);
		/* All of it as BF16: k + i / 64 has too many digits, k alone does not. */
		for (size_t k = 0; k < all->n; k++) {
			for (size_t i = 0; i < 256; i++) {
				float whole = (float)k;
				uint32_t bits;
				memcpy(&bits, &whole, 4);
				all->narrow[k][i] = (uint16_t)(bits >> 16);
			}
			all->t[k].type = SAFETENSORS_BF16;
			all->t[k].data = (const unsigned char *)all->narrow[k];
		}
		save(all, "model.safetensors");
		load(&m);
		assert_true(m.wpe[31] == 1 && m.layers[1].attn_w[47] == 9 && m.layers[1].out_b[3] == 27);
		assert_ptr_equal(m.lm_head, m.wte);
		model_release(&m);
		done(all);
	}
}

/* A head of its own is used when, and only when, the config says that it is not tied. */
static void test_head(void **state)
{
	(void)state;
	struct model m;
	struct tensors *all = make("transformer.");
	add(all, "", &(struct named){"lm_head.weight", 2, 10, 4}, 0);
	save(all, "model.safetensors");
	put_text("config.json", CONFIG "}");
	load(&m);
	assert_ptr_equal(m.lm_head, m.wte);
	model_release(&m);
	put_text("config.json", CONFIG ",\"tie_word_embeddings\":false}");
	load(&m);
	assert_true(m.lm_head[0] == (float)(all->n - 1));
	model_release(&m);
	remove_named(all, "lm_head.weight");
	save(all, "model.safetensors");
	refused("`lm_head.weight` is missing");
	done(all);
}

static void test_config(void **state)
{
	(void)state;
	struct model m;
	struct tensors *all = make("");
	save(all, "model.safetensors");
	put_text("config.json", "{\"model_type\":\"gpt2\",\"num_hidden_layers\":2,\"num_attention_heads\":1,\"hidden_"
				"size\":4,\"n_ctx\":8,"
				"\"vocab_size\":10,\"eos_token_id\":[3],\"n_inner\":16,\"attn_pdrop\":0,\"activation_"
				"function\":\"gelu_pytorch_tanh\"}");
	load(&m);
	assert_true(m.n_positions == 8 && m.n_head == 1 && m.eos_token_id == 3 && m.attn_pdrop == 0);
	model_release(&m);
	put_text("generation_config.json", "{\"eos_token_id\": 5}");
	load(&m);
	assert_int_equal(m.eos_token_id, 5);
	model_release(&m);
	put_text("generation_config.json", "{\"eos_token_id\": [5, 6]}");
	refused("generation_config.json: `eos_token_id`: exactly one");
	put_text("generation_config.json", "{\"eos_token_id\": 10}");
	refused("not below `vocab_size` 10");
	drop("generation_config.json");

	static const struct {
		const char *config, *needle;
	} bad[] = {
		{"", "config.json"},
		{"[]", "expected a JSON object"},
		{"{\"model_type\":\"gpt2\",", "not valid JSON"},
		{"{}", "`model_type` is missing"},
		{"{\"model_type\":\"llama\"}", "only gpt2 is supported"},
		{"{\"model_type\":\"gpt2\"}", "`n_layer` is missing"},
		{CONFIG ",\"activation_function\":\"relu\"}", "`relu`; only gelu_new"},
		{CONFIG ",\"scale_attn_weights\":false}", "`scale_attn_weights`: only true"},
		{CONFIG ",\"scale_attn_by_inverse_layer_idx\":true}", "`scale_attn_by_inverse_layer_idx`: only false"},
		{CONFIG ",\"add_cross_attention\":true}", "`add_cross_attention`: only false"},
		{CONFIG ",\"resid_pdrop\":1.5}", "`resid_pdrop`"},
		{CONFIG ",\"layer_norm_epsilon\":0}", "`layer_norm_epsilon`"},
		{CONFIG ",\"n_inner\":-1}", "`n_inner`"},
		{"{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,\"n_embd\":4,\"n_positions\":8,\"vocab_size\":"
		 "10}",
		 "not a multiple"},
		{"{\"model_type\":\"gpt2\",\"n_layer\":1e9,\"n_head\":2,\"n_embd\":4,\"n_positions\":8,\"vocab_size\":"
		 "10}",
		 "`n_layer`: expected a whole number"},
		{"{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":4,\"n_positions\":8,\"vocab_size\":11,"
		 "\"eos_token_id\":1}",
		 "`wte.weight` is [10, 4], expected [11, 4]"},
		{"{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_head\":2,\"n_embd\":4,\"n_positions\":8,\"vocab_size\":10,"
		 "\"eos_token_id\":1}",
		 "`h.2.ln_1.weight` is missing"},
		{CONFIG ",\"n_inner\":8}", "`h.0.mlp.c_fc.weight` is [4, 16], expected [4, 8]"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_text("config.json", bad[i].config);
		refused(bad[i].needle);
	}
	done(all);
}

static void test_refuses(void **state)
{
	(void)state;
	struct tensors *all = make("");
	put_text("config.json", CONFIG "}");
	refused("model.safetensors: No such file");
	put_text("pytorch_model.bin", "pickle");
	refused("only pytorch_model.bin is there");
	named(all, "h.1.mlp.c_fc.bias")->type = SAFETENSORS_I32;
	save(all, "model.safetensors");
	refused("`h.1.mlp.c_fc.bias` is I32");
	named(all, "h.1.mlp.c_fc.bias")->type = SAFETENSORS_F32;
	named(all, "h.1.mlp.c_fc.bias")->shape[0] = 15;
	save(all, "model.safetensors");
	refused("`h.1.mlp.c_fc.bias` is [15], expected [16]");
	remove_named(all, "h.1.mlp.c_fc.bias");
	save(all, "model.safetensors");
	refused("`h.1.mlp.c_fc.bias` is missing");
	struct err err = {0};
	struct model m;
	assert_int_equal(model_load(&m, "/nonexistent/folder", &err), -1);
	assert_non_null(strstr(err.text, "no such model folder"));
	done(all);
}

static void test_bundled(void **state)
{
	(void)state;
	struct err err = {0};
	struct model m;
	if (model_load(&m, SOURCE_DIR "/runner/demo", &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(m.head_size * m.n_head, m.n_embd);
	double sum = 0;
	for (size_t i = 0; i < m.n_vocab * m.n_embd; i++)
		sum += fabs(m.wte[i]);
	assert_true(sum > 0 && sum < 1e9);
	model_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forms, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_head, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_config, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_refuses, make_dir, remove_dir),
		cmocka_unit_test(test_bundled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
