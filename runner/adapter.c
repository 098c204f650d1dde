/* adapter.c - the trained prefix in PEFT's files; see adapter.h and docs/REFERENCE.md, 7.
 *
 * What is stored is always the table of final keys and values: PEFT saves the projected result too, never the MLP, so
 * that `prefix_projection` in the config says how it was trained and nothing about how to read it. The files are
 * byte for byte what `save_pretrained` of peft 0.14.0 writes. */
#include "adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "safetensors.h"

enum { ADAPTER_MAX_CONFIG = 1 << 20, ADAPTER_MAX_VIRTUAL = 1 << 20 };

/* A size of the config, if it is there, must be the model's. */
static int check_size(const cJSON *config, const char *name, size_t expected, struct err *err)
{
	int64_t value;
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, name);
	if (!item || cJSON_IsNull(item))
		return 0;
	if (json_int(config, name, 0, 1 << 30, &value, err) < 0)
		return -1;
	if ((size_t)value != expected)
		return err_set(err, ERR_INPUT, "`%s` is %lld, but the model's is %zu: an adapter for another model",
			       name, (long long)value, expected);
	return 0;
}

static int check_config(const cJSON *config, const struct model *model, size_t *n_virtual, struct err *err)
{
	const char *type;
	int64_t v;
	if (json_string(config, "peft_type", &type, err) < 0)
		return -1;
	if (strcmp(type, "PREFIX_TUNING") != 0)
		return err_set(err, ERR_INPUT, "`peft_type` is `%.60s`; only PREFIX_TUNING is supported", type);
	if (check_size(config, "num_layers", model->n_layer, err) < 0 ||
	    check_size(config, "num_attention_heads", model->n_head, err) < 0 ||
	    check_size(config, "token_dim", model->n_embd, err) < 0 ||
	    check_size(config, "num_transformer_submodules", 1, err) < 0 ||
	    json_int(config, "num_virtual_tokens", 1, ADAPTER_MAX_VIRTUAL, &v, err) < 0)
		return -1;
	*n_virtual = (size_t)v;
	return 0;
}

static int read_config(const char *path, const struct model *model, size_t *n_virtual, struct err *err)
{
	cJSON *config = json_read_file(path, ADAPTER_MAX_CONFIG, err);
	if (!config)
		return -1;
	int result = check_config(config, model, n_virtual, err);
	if (result < 0)
		err_prefix(err, "%s", path);
	cJSON_Delete(config);
	return result;
}

static int read_table(struct adapter *adapter, const char *path, const struct model *model, struct err *err)
{
	struct safetensors st;
	if (safetensors_open(&st, path, err) < 0)
		return -1;
	int result = -1;
	size_t width = 2 * model->n_layer * model->n_embd;
	const struct safetensors_tensor *t = safetensors_find(&st, "prompt_embeddings");
	if (!t) {
		err_at(err, path, 0, 0, "tensor `prompt_embeddings` is missing: not a prefix-tuning adapter");
	} else if (!safetensors_is_float(t->type) || t->rank != 2 || t->shape[0] != adapter->n_virtual ||
		   t->shape[1] != width) {
		struct buf shape = BUF_INIT;
		safetensors_format_shape(t->shape, t->rank, &shape);
		err_at(err, path, 0, 0, "tensor `prompt_embeddings` is %s %s, expected F32 [%zu, %zu] for this model",
		       safetensors_type_name(t->type), shape.data, adapter->n_virtual, width);
		buf_release(&shape);
	} else if (!(adapter->table = malloc(t->count * sizeof(float)))) {
		err_set(err, ERR_SYSTEM, "no memory for an adapter of %zu numbers", t->count);
	} else {
		safetensors_widen(t, adapter->table);
		result = 0;
	}
	safetensors_close(&st);
	return result;
}

int adapter_load(struct adapter *adapter, const char *dir, const struct model *model, struct err *err)
{
	*adapter = (struct adapter){0};
	char *config = fs_join(dir, "adapter_config.json"), *table = fs_join(dir, "adapter_model.safetensors");
	char *pickle = fs_join(dir, "adapter_model.bin");
	int result;
	if (!fs_is_dir(dir))
		result = err_set(err, ERR_INPUT, "%s: no such adapter folder", dir);
	else if (!fs_exists(table) && fs_exists(pickle))
		result = err_set(err, ERR_INPUT,
				 "%s: only adapter_model.bin is there; save the adapter again with safetensors", dir);
	else
		result = read_config(config, model, &adapter->n_virtual, err);
	if (result == 0)
		result = read_table(adapter, table, model, err);
	if (result < 0)
		adapter_release(adapter);
	free(config);
	free(table);
	free(pickle);
	return result;
}

void adapter_release(struct adapter *adapter)
{
	free(adapter->table);
	*adapter = (struct adapter){0};
}

/* Python's json.dumps(..., indent=2, sort_keys=True); nothing in it but the name can need escapes. */
static void format_config(const struct model *model, size_t n_virtual, const char *base_model_name,
			  size_t encoder_hidden_size, bool prefix_projection, struct buf *out)
{
	buf_adds(out, "{\n  \"auto_mapping\": null,\n  \"base_model_name_or_path\": ");
	json_format_string(base_model_name, strlen(base_model_name), out);
	buf_printf(out,
		   ",\n  \"encoder_hidden_size\": %zu,\n  \"inference_mode\": true,\n  \"num_attention_heads\": %zu,\n"
		   "  \"num_layers\": %zu,\n  \"num_transformer_submodules\": 1,\n  \"num_virtual_tokens\": %zu,\n"
		   "  \"peft_type\": \"PREFIX_TUNING\",\n  \"prefix_projection\": %s,\n  \"revision\": null,\n"
		   "  \"task_type\": \"CAUSAL_LM\",\n  \"token_dim\": %zu\n}",
		   encoder_hidden_size, model->n_head, model->n_layer, n_virtual, prefix_projection ? "true" : "false",
		   model->n_embd);
}

static void format_card(size_t n_virtual, const char *base_model_name, struct buf *out)
{
	buf_adds(out, "---\nbase_model: ");
	json_format_string(base_model_name, strlen(base_model_name), out);
	buf_printf(
		out,
		"\nlibrary_name: peft\n---\n\nA prefix of %zu virtual tokens, trained by sweep. To use it in "
		"Python:\n\n"
		"    from peft import PeftModel\n    model = PeftModel.from_pretrained(base_model, \"this folder\")\n",
		n_virtual);
}

int adapter_write(struct fs_dir *dir, const float *table, size_t n_virtual, const struct model *model,
		  const char *base_model_name, size_t encoder_hidden_size, bool prefix_projection, struct err *err)
{
	struct buf config = BUF_INIT, card = BUF_INIT, weights = BUF_INIT;
	struct safetensors_tensor t = {.name = "prompt_embeddings",
				       .type = SAFETENSORS_F32,
				       .rank = 2,
				       .shape = {n_virtual, 2 * model->n_layer * model->n_embd},
				       .data = (const unsigned char *)table};
	format_config(model, n_virtual, base_model_name, encoder_hidden_size, prefix_projection, &config);
	format_card(n_virtual, base_model_name, &card);
	safetensors_write(&t, 1, &weights);
	int result = fs_dir_write(dir, "adapter_config.json", config.data, config.size, err);
	if (result == 0)
		result = fs_dir_write(dir, "adapter_model.safetensors", weights.data, weights.size, err);
	if (result == 0)
		result = fs_dir_write(dir, "README.md", card.data, card.size, err);
	buf_release(&config);
	buf_release(&card);
	buf_release(&weights);
	return result;
}
