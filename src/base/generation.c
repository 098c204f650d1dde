/* generation.c - generation defaults of a Hugging Face folder; see generation.h.
 *
 * transformers 4.50 (generation/utils.py, _prepare_generation_config): generation_config.json where there is one, else
 * what config.json says; and config.json again when the former says that it was made from it (`_from_model_config`) and
 * config.json holds parameters of generate() that are not the usual ones. In config.json null means "not said". */
#include "generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "json.h"

enum { GENERATION_MAX_JSON = 1 << 24, GPT2_EOS = 50256 /* GPT2Config's own default */, USUAL_MAX_LENGTH = 20 };

static const enum param_id honoured[] = {PARAM_num_beams,      PARAM_max_new_tokens, PARAM_do_sample,
					 PARAM_temperature,    PARAM_top_k,          PARAM_top_p,
					 PARAM_length_penalty, PARAM_early_stopping};

/* What changes a text and we have not, with the value that changes nothing; null and [] never do. Left out is what
 * changes how a text is computed and not which (use_cache, prompt_lookup_num_tokens, ...). */
enum neutral { ONLY_NULL, FALSE, ZERO, ONE };
static const struct {
	const char *name;
	enum neutral neutral;
} refused[] = {
	{"repetition_penalty", ONE},
	{"encoder_repetition_penalty", ONE},
	{"no_repeat_ngram_size", ZERO},
	{"encoder_no_repeat_ngram_size", ZERO},
	{"min_length", ZERO},
	{"min_new_tokens", ZERO},
	{"num_beam_groups", ONE},
	{"diversity_penalty", ZERO},
	{"num_return_sequences", ONE},
	{"penalty_alpha", ZERO},
	{"dola_layers", ONLY_NULL},
	{"min_p", ZERO},
	{"typical_p", ONE},
	{"epsilon_cutoff", ZERO},
	{"eta_cutoff", ZERO},
	{"guidance_scale", ONE},
	{"renormalize_logits", FALSE},
	{"token_healing", FALSE},
	{"bad_words_ids", ONLY_NULL},
	{"force_words_ids", ONLY_NULL},
	{"constraints", ONLY_NULL},
	{"sequence_bias", ONLY_NULL},
	{"suppress_tokens", ONLY_NULL},
	{"begin_suppress_tokens", ONLY_NULL},
	{"forced_bos_token_id", ONLY_NULL},
	{"forced_eos_token_id", ONLY_NULL},
	{"forced_decoder_ids", ONLY_NULL},
	{"exponential_decay_length_penalty", ONLY_NULL},
	{"stop_strings", ONLY_NULL},
	{"max_time", ONLY_NULL},
	{"watermarking_config", ONLY_NULL},
	{"cache_implementation", ONLY_NULL},
};

static bool is_neutral(const cJSON *item, enum neutral neutral)
{
	if (!item || cJSON_IsNull(item) || (cJSON_IsArray(item) && !item->child))
		return true;
	if (neutral == FALSE)
		return cJSON_IsFalse(item);
	return neutral != ONLY_NULL && cJSON_IsNumber(item) && item->valuedouble == (neutral == ONE ? 1 : 0);
}

static int refuse(const cJSON *config, struct err *err)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, refused[i].name);
		if (is_neutral(item, refused[i].neutral))
			continue;
		char *value = cJSON_PrintUnformatted(item);
		err_set(err, ERR_INPUT,
			"`%s` is %.40s: generate() would write other texts for it, and it is not supported; take it "
			"out of a copy of the folder to go on without it",
			refused[i].name, value ? value : "");
		cJSON_free(value);
		return -1;
	}
	return 0;
}

/* One end token; a list of one is a token too. Absent or null leaves *eos alone. */
static int read_eos(const cJSON *config, int32_t *eos, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, "eos_token_id");
	if (!item || cJSON_IsNull(item))
		return 0;
	if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 1)
		item = item->child;
	if (cJSON_IsArray(item))
		return err_set(err, ERR_INPUT, "`eos_token_id`: exactly one end token is supported");
	double d = item->valuedouble;
	if (!cJSON_IsNumber(item) || !(d >= 0 && d <= INT32_MAX) || d != floor(d))
		return err_set(err, ERR_INPUT, "`eos_token_id`: expected a token id");
	*eos = (int32_t)d;
	return 0;
}

/* The member as the text that params_parse reads; null says "do not", which is a value of three parameters. */
static const char *value_text(const cJSON *item, enum param_id id, bool null_counts, struct buf *text)
{
	if (!item || (cJSON_IsNull(item) && !null_counts))
		return NULL;
	if (cJSON_IsNull(item))
		return id == PARAM_top_k ? "0" : id == PARAM_top_p || id == PARAM_temperature ? "1" : NULL;
	buf_clear(text);
	if (cJSON_IsString(item))
		buf_adds(text, item->valuestring);
	else if (cJSON_IsNumber(item))
		json_format_double(item->valuedouble, text);
	else
		buf_adds(text, cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "a list or map");
	return text->data;
}

static int read_defaults(struct generation *g, const cJSON *config, bool null_counts, struct err *err)
{
	struct params usual;
	struct buf text = BUF_INIT;
	int result = refuse(config, err);
	params_default(&usual);
	for (size_t i = 0; i < sizeof honoured / sizeof *honoured && result == 0; i++) {
		enum param_id id = honoured[i];
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, param_table[id].name);
		const char *value = value_text(item, id, null_counts, &text);
		if (value)
			result = params_parse(&g->defaults, (int)id, value, err);
		g->set[id] = !params_value_equal((int)id, g->defaults.v[id], usual.v[id]);
	}
	buf_release(&text);
	int64_t max_length = 0;
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, "max_length");
	if (result == 0 && item && !cJSON_IsNull(item))
		result = json_int(config, "max_length", 0, INT32_MAX, &max_length, err);
	item = cJSON_GetObjectItemCaseSensitive(config, "max_new_tokens");
	if (max_length != USUAL_MAX_LENGTH && (!item || cJSON_IsNull(item)))
		g->max_length = max_length;
	return result;
}

/* Does config.json hold what PretrainedConfig takes for generate(), with another value than the usual one? */
static bool config_generates(const cJSON *config)
{
	static const enum param_id ours[] = {PARAM_num_beams, PARAM_do_sample,      PARAM_temperature,   PARAM_top_k,
					     PARAM_top_p,     PARAM_length_penalty, PARAM_early_stopping};
	static const char *const others[] = {
		"min_length",          "num_beam_groups",      "diversity_penalty",
		"typical_p",           "repetition_penalty",   "no_repeat_ngram_size",
		"bad_words_ids",       "num_return_sequences", "encoder_no_repeat_ngram_size",
		"forced_bos_token_id", "forced_eos_token_id",  "exponential_decay_length_penalty",
		"suppress_tokens",     "begin_suppress_tokens"};
	struct params usual, said;
	struct buf text = BUF_INIT;
	struct err ignored = {0};
	params_default(&usual);
	said = usual;
	const cJSON *length = cJSON_GetObjectItemCaseSensitive(config, "max_length");
	bool found = cJSON_IsNumber(length) && length->valuedouble != USUAL_MAX_LENGTH;
	for (size_t i = 0; i < sizeof ours / sizeof *ours && !found; i++) {
		enum param_id id = ours[i];
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, param_table[id].name);
		const char *value = value_text(item, id, false, &text);
		found = value && (params_parse(&said, (int)id, value, &ignored) < 0 ||
				  !params_value_equal((int)id, said.v[id], usual.v[id]));
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused && !found; i++)
		for (size_t k = 0; k < sizeof others / sizeof *others && !found; k++)
			found = strcmp(refused[i].name, others[k]) == 0 &&
				!is_neutral(cJSON_GetObjectItemCaseSensitive(config, others[k]), refused[i].neutral);
	buf_release(&text);
	return found;
}

static cJSON *read_object(const char *path, struct err *err)
{
	cJSON *json = json_read_file(path, GENERATION_MAX_JSON, err);
	if (json && !cJSON_IsObject(json)) {
		err_at(err, path, 0, 0, "expected a JSON object");
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

int generation_read(struct generation *g, const char *dir, struct err *err)
{
	*g = (struct generation){.file = "config.json", .eos_token_id = GPT2_EOS};
	params_default(&g->defaults);
	char *paths[] = {fs_join(dir, "config.json"), fs_join(dir, "generation_config.json")};
	cJSON *config = read_object(paths[0], err), *own = NULL;
	int result = config ? read_eos(config, &g->eos_token_id, err) : -1;
	if (config && result < 0)
		err_prefix(err, "%s", paths[0]);
	if (result == 0 && fs_exists(paths[1])) {
		own = read_object(paths[1], err);
		result = own ? 0 : -1;
	}
	if (result == 0) {
		bool from_config = own && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(own, "_from_model_config")) &&
				   config_generates(config);
		const cJSON *source = own && !from_config ? own : config;
		g->file = source == own ? "generation_config.json" : "config.json";
		result = source == own ? read_eos(own, &g->eos_token_id, err) : 0;
		if (result == 0)
			result = read_defaults(g, source, source == own, err);
		if (result < 0)
			err_prefix(err, "%s", paths[source == own]);
	}
	cJSON_Delete(config);
	cJSON_Delete(own);
	free(paths[0]);
	free(paths[1]);
	return result;
}
