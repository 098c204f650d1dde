/* model.c - a Hugging Face GPT-2 folder as struct model; see model.h and docs/REFERENCE.md, 2.
 *
 * config.json says the sizes; each size says what shape a tensor must have; the table made by model_slots says where
 * each tensor goes. F32 tensors stay in the mapped file, shared with every other worker on the machine; F16 and BF16
 * ones are widened into one private block. Names may carry `transformer.` or not; the causal masks that old files hold
 * (attn.bias, attn.masked_bias) and anything else that is not in the table is left alone, as transformers does. */
#include "model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/generation.h"
#include "base/json.h"
#include "base/mem.h"
#include "safetensors.h"

enum { MODEL_MAX_JSON = 1 << 24, MODEL_SLOTS_OUTSIDE = 5, MODEL_SLOTS_LAYER = 12 };

struct model_owned {
	struct safetensors file;
	float *block;
};

/* Where a tensor goes, and what it must look like. */
struct model_slot {
	const float **to;
	char name[64];
	size_t rank, shape[2];
	const struct safetensors_tensor *tensor;
};

static void add_slot(struct model_slot **slot, const float **to, size_t rows, size_t columns, const char *name)
{
	struct model_slot *s = (*slot)++;
	*s = (struct model_slot){.to = to, .rank = rows ? 2 : 1, .shape = {rows ? rows : columns, columns}};
	snprintf(s->name, sizeof s->name, "%s", name);
}

static void add_layer_slot(struct model_slot **slot, const float **to, size_t rows, size_t columns, size_t layer,
			   const char *name)
{
	char whole[64];
	snprintf(whole, sizeof whole, "h.%zu.%s", layer, name);
	add_slot(slot, to, rows, columns, whole);
}

/* All tensors of the model, in file order; the caller frees. The first is wte, the last lm_head. */
static struct model_slot *model_slots(struct model *m, size_t *n)
{
	size_t D = m->n_embd, F = m->n_inner;
	struct model_slot *slots = mem_zero(MODEL_SLOTS_OUTSIDE + MODEL_SLOTS_LAYER * m->n_layer, sizeof *slots),
			  *s = slots;
	add_slot(&s, &m->wte, m->n_vocab, D, "wte.weight");
	add_slot(&s, &m->wpe, m->n_positions, D, "wpe.weight");
	for (size_t l = 0; l < m->n_layer; l++) {
		struct model_layer *layer = &m->layers[l];
		add_layer_slot(&s, &layer->ln1_gain, 0, D, l, "ln_1.weight");
		add_layer_slot(&s, &layer->ln1_bias, 0, D, l, "ln_1.bias");
		add_layer_slot(&s, &layer->attn_w, D, 3 * D, l, "attn.c_attn.weight");
		add_layer_slot(&s, &layer->attn_b, 0, 3 * D, l, "attn.c_attn.bias");
		add_layer_slot(&s, &layer->proj_w, D, D, l, "attn.c_proj.weight");
		add_layer_slot(&s, &layer->proj_b, 0, D, l, "attn.c_proj.bias");
		add_layer_slot(&s, &layer->ln2_gain, 0, D, l, "ln_2.weight");
		add_layer_slot(&s, &layer->ln2_bias, 0, D, l, "ln_2.bias");
		add_layer_slot(&s, &layer->fc_w, D, F, l, "mlp.c_fc.weight");
		add_layer_slot(&s, &layer->fc_b, 0, F, l, "mlp.c_fc.bias");
		add_layer_slot(&s, &layer->out_w, F, D, l, "mlp.c_proj.weight");
		add_layer_slot(&s, &layer->out_b, 0, D, l, "mlp.c_proj.bias");
	}
	add_slot(&s, &m->lnf_gain, 0, D, "ln_f.weight");
	add_slot(&s, &m->lnf_bias, 0, D, "ln_f.bias");
	add_slot(&s, &m->lm_head, m->n_vocab, D, "lm_head.weight");
	*n = (size_t)(s - slots);
	return slots;
}

/* A size under one of two names. */
static int config_size(const cJSON *config, const char *name, const char *other, int64_t max, size_t *value,
		       struct err *err)
{
	int64_t found;
	bool use_other = other && !cJSON_GetObjectItemCaseSensitive(config, name) &&
			 cJSON_GetObjectItemCaseSensitive(config, other);
	if (json_int(config, use_other ? other : name, 1, max, &found, err) < 0)
		return -1;
	*value = (size_t)found;
	return 0;
}

static int config_rate(const cJSON *config, const char *name, double *value, struct err *err)
{
	*value = 0.1;
	if (!cJSON_GetObjectItemCaseSensitive(config, name))
		return 0;
	if (json_double(config, name, value, err) < 0)
		return -1;
	if (!(*value >= 0 && *value < 1))
		return err_set(err, ERR_INPUT, "`%s`: expected a rate from 0 to below 1", name);
	return 0;
}

/* A switch of a GPT-2 variant that would change results: only the usual value is accepted. */
static int config_switch(const cJSON *config, const char *name, bool usual, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, name);
	if (item && !cJSON_IsNull(item) && (usual ? !cJSON_IsTrue(item) : !cJSON_IsFalse(item)))
		return err_set(err, ERR_INPUT, "`%s`: only %s is supported", name, usual ? "true" : "false");
	return 0;
}

static int config_variant(const cJSON *config, struct err *err)
{
	const char *type, *activation = "gelu_new";
	if (json_string(config, "model_type", &type, err) < 0)
		return -1;
	if (strcmp(type, "gpt2") != 0)
		return err_set(err, ERR_INPUT, "`model_type` is `%.60s`; only gpt2 is supported", type);
	if (cJSON_GetObjectItemCaseSensitive(config, "activation_function") &&
	    json_string(config, "activation_function", &activation, err) < 0)
		return -1;
	if (strcmp(activation, "gelu_new") != 0 && strcmp(activation, "gelu_pytorch_tanh") != 0)
		return err_set(err, ERR_INPUT, "`activation_function` is `%.60s`; only gelu_new is supported",
			       activation);
	if (config_switch(config, "scale_attn_weights", true, err) < 0 ||
	    config_switch(config, "scale_attn_by_inverse_layer_idx", false, err) < 0 ||
	    config_switch(config, "add_cross_attention", false, err) < 0)
		return -1;
	/* reorder_and_upcast_attn only changes the order of float32 operations. */
	return 0;
}

static int read_config(struct model *m, const cJSON *config, bool *tied, struct err *err)
{
	if (!cJSON_IsObject(config))
		return err_set(err, ERR_INPUT, "expected a JSON object");
	if (config_variant(config, err) < 0)
		return -1;
	const char *positions = cJSON_GetObjectItemCaseSensitive(config, "max_position_embeddings")
					? "max_position_embeddings"
					: "n_ctx";
	if (config_size(config, "n_layer", "num_hidden_layers", 4096, &m->n_layer, err) < 0 ||
	    config_size(config, "n_head", "num_attention_heads", 1 << 16, &m->n_head, err) < 0 ||
	    config_size(config, "n_embd", "hidden_size", 1 << 20, &m->n_embd, err) < 0 ||
	    config_size(config, "n_positions", positions, 1 << 24, &m->n_positions, err) < 0 ||
	    config_size(config, "vocab_size", NULL, INT32_MAX, &m->n_vocab, err) < 0)
		return -1;
	if (m->n_embd % m->n_head)
		return err_set(err, ERR_INPUT, "`n_embd` %zu is not a multiple of `n_head` %zu", m->n_embd, m->n_head);
	m->head_size = m->n_embd / m->n_head;
	m->n_inner = 4 * m->n_embd;
	const cJSON *inner = cJSON_GetObjectItemCaseSensitive(config, "n_inner");
	if (inner && !cJSON_IsNull(inner) && config_size(config, "n_inner", NULL, 1 << 24, &m->n_inner, err) < 0)
		return -1;
	double epsilon = 1e-5;
	if (cJSON_GetObjectItemCaseSensitive(config, "layer_norm_epsilon") &&
	    json_double(config, "layer_norm_epsilon", &epsilon, err) < 0)
		return -1;
	if (!(epsilon > 0 && epsilon < 1))
		return err_set(err, ERR_INPUT, "`layer_norm_epsilon`: expected a small number above 0");
	m->layer_norm_epsilon = (float)epsilon;
	if (config_rate(config, "embd_pdrop", &m->embd_pdrop, err) < 0 ||
	    config_rate(config, "attn_pdrop", &m->attn_pdrop, err) < 0 ||
	    config_rate(config, "resid_pdrop", &m->resid_pdrop, err) < 0)
		return -1;
	*tied = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(config, "tie_word_embeddings"));
	return 0;
}

static int read_configs(struct model *m, const char *dir, bool *tied, struct err *err)
{
	char *path = fs_join(dir, "config.json");
	cJSON *config = json_read_file(path, MODEL_MAX_JSON, err);
	int result = -1;
	if (config) {
		result = read_config(m, config, tied, err);
		if (result < 0)
			err_prefix(err, "%s", path);
	}
	cJSON_Delete(config);
	free(path);
	if (result < 0)
		return -1;
	struct generation generation;
	result = generation_read(&generation, dir, err);
	m->eos_token_id = generation.eos_token_id;
	if (result == 0 && (size_t)m->eos_token_id >= m->n_vocab)
		result = err_set(err, ERR_INPUT, "%s: `eos_token_id` %d is not below `vocab_size` %zu", dir,
				 (int)m->eos_token_id, m->n_vocab);
	return result;
}

static int open_file(struct model_owned *owned, const char *dir, struct err *err)
{
	char *weights = fs_join(dir, "model.safetensors"), *pickle = fs_join(dir, "pytorch_model.bin");
	int result;
	if (!fs_exists(weights) && fs_exists(pickle))
		result = err_set(err, ERR_INPUT,
				 "%s: only pytorch_model.bin is there; convert it with transformers: "
				 "GPT2LMHeadModel.from_pretrained(folder).save_pretrained(folder)",
				 dir);
	else
		result = safetensors_open(&owned->file, weights, err);
	free(weights);
	free(pickle);
	return result;
}

static const struct safetensors_tensor *find_tensor(const struct model_owned *owned, const char *name)
{
	char prefixed[96];
	snprintf(prefixed, sizeof prefixed, "transformer.%s", name);
	const struct safetensors_tensor *t = safetensors_find(&owned->file, name);
	return t ? t : safetensors_find(&owned->file, prefixed);
}

static int check_tensor(const struct model_slot *slot, const char *dir, struct err *err)
{
	const struct safetensors_tensor *t = slot->tensor;
	if (!t)
		return err_set(err, ERR_INPUT, "%s/model.safetensors: tensor `%s` is missing", dir, slot->name);
	if (!safetensors_is_float(t->type))
		return err_set(err, ERR_INPUT,
			       "%s/model.safetensors: tensor `%s` is %s; only F32, F16 and BF16 are supported", dir,
			       slot->name, safetensors_type_name(t->type));
	if (t->rank == slot->rank && memcmp(t->shape, slot->shape, slot->rank * sizeof *slot->shape) == 0)
		return 0;
	struct buf found = BUF_INIT, expected = BUF_INIT;
	safetensors_format_shape(t->shape, t->rank, &found);
	safetensors_format_shape(slot->shape, slot->rank, &expected);
	err_set(err, ERR_INPUT, "%s/model.safetensors: tensor `%s` is %s, expected %s by config.json", dir, slot->name,
		found.data, expected.data);
	buf_release(&found);
	buf_release(&expected);
	return -1;
}

/* The last slot is lm_head: tied, it is wte, whatever the file says. */
static void tie(struct model_slot *slots, size_t n, bool tied)
{
	if (!tied)
		return;
	if (!slots[0].tensor)
		slots[0].tensor = slots[n - 1].tensor;
	slots[n - 1].tensor = slots[0].tensor;
}

static int read_tensors(struct model *m, struct model_owned *owned, const char *dir, bool tied, struct err *err)
{
	size_t n, widened = 0;
	struct model_slot *slots = model_slots(m, &n);
	int result = -1;
	for (size_t i = 0; i < n; i++)
		slots[i].tensor = find_tensor(owned, slots[i].name);
	tie(slots, n, tied);
	for (size_t i = 0; i < n; i++) {
		if (check_tensor(&slots[i], dir, err) < 0)
			goto out;
		bool again = i == n - 1 && slots[i].tensor == slots[0].tensor;
		if (!again && !safetensors_floats(slots[i].tensor))
			widened += (slots[i].tensor->count + 15) / 16 * 16;
	}
	if (widened) {
		size_t bytes;
		owned->block = mem_mul_overflows(widened, sizeof(float), &bytes) ? NULL : aligned_alloc(64, bytes);
		if (!owned->block) {
			err_set(err, ERR_SYSTEM, "%s: no memory for %zu weights", dir, widened);
			goto out;
		}
	}
	float *next = owned->block;
	for (size_t i = 0; i < n; i++) {
		const float *there = safetensors_floats(slots[i].tensor);
		if (i == n - 1 && slots[i].tensor == slots[0].tensor) {
			there = *slots[0].to;
		} else if (!there) {
			safetensors_widen(slots[i].tensor, next);
			there = next;
			next += (slots[i].tensor->count + 15) / 16 * 16; /* each tensor on its own cache line */
		}
		*slots[i].to = there;
	}
	result = 0;
out:
	free(slots);
	return result;
}

int model_load(struct model *model, const char *dir, struct err *err)
{
	*model = (struct model){0};
	if (!fs_is_dir(dir))
		return err_set(err, ERR_INPUT, "%s: no such model folder", dir);
	bool tied = true;
	if (read_configs(model, dir, &tied, err) < 0)
		return -1;
	struct model_owned *owned = mem_zero(1, sizeof *owned);
	model->owned = owned;
	model->layers = mem_zero(model->n_layer, sizeof *model->layers);
	if (open_file(owned, dir, err) < 0 || read_tensors(model, owned, dir, tied, err) < 0) {
		model_release(model);
		return -1;
	}
	return 0;
}

void model_release(struct model *model)
{
	struct model_owned *owned = model->owned;
	if (owned) {
		safetensors_close(&owned->file);
		free(owned->block);
		free(owned);
	}
	free(model->layers);
	*model = (struct model){0};
}

bool model_in_file(const struct model *model, const float *weight)
{
	const struct model_owned *owned = model->owned;
	const char *map = owned ? owned->file.map : NULL, *at = (const char *)weight;
	return map && at >= map && at < map + owned->file.map_size;
}

uint64_t model_identity(const struct model *model)
{
	const struct model_owned *owned = model->owned;
	return owned ? owned->file.identity : 0;
}
