/* spec_foreign.c - parameters that people bring along from generate(), TrainingArguments and PEFT, and `sweep` does not
 * have.
 *
 * Part of spec.c's step. The nearest name of ours would mislead (min_new_tokens is no max_new_tokens), so that these
 * names get a sentence of their own; and a value that changes nothing is no reason to refuse a file, so that it is
 * accepted with a notice. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "spec_parts.h"

static const struct foreign {
	const char *name, *owner;
	const char *neutral; /* the values that change nothing, separated by spaces; NULL: none does */
	const char *advice;  /* or NULL */
} foreign[] = {
	{"max_length", "generate()", NULL,
	 "say max_new_tokens for the texts that are written, pad_to_length for training pairs"},
	{"min_length", "generate()", "0 null", NULL},
	{"min_new_tokens", "generate()", "0 null", NULL},
	{"repetition_penalty", "generate()", "1 null", NULL},
	{"encoder_repetition_penalty", "generate()", "1 null", NULL},
	{"no_repeat_ngram_size", "generate()", "0 null", NULL},
	{"encoder_no_repeat_ngram_size", "generate()", "0 null", NULL},
	{"num_return_sequences", "generate()", "1 null", NULL},
	{"num_beam_groups", "generate()", "1 null", NULL},
	{"diversity_penalty", "generate()", "0 null", NULL},
	{"typical_p", "generate()", "1 null", NULL},
	{"min_p", "generate()", "0 null", NULL},
	{"epsilon_cutoff", "generate()", "0 null", NULL},
	{"eta_cutoff", "generate()", "0 null", NULL},
	{"penalty_alpha", "generate()", "0 null", NULL},
	{"guidance_scale", "generate()", "1 null", NULL},
	{"exponential_decay_length_penalty", "generate()", "null", NULL},
	{"forced_bos_token_id", "generate()", "null", NULL},
	{"forced_eos_token_id", "generate()", "null", NULL},
	{"bad_words_ids", "generate()", "null", NULL},
	{"suppress_tokens", "generate()", "null", NULL},
	{"renormalize_logits", "generate()", "false", NULL},
	{"remove_invalid_values", "generate()", "false", NULL},
	{"use_cache", "generate()", "*", NULL},
	{"output_scores", "generate()", "*", NULL},
	{"per_device_eval_batch_size", "TrainingArguments", "*", NULL},
	{"eval_batch_size", "TrainingArguments", "*", NULL},
	{"gradient_accumulation_steps", "TrainingArguments", "1", "say batch_size"},
	{"gradient_checkpointing", "TrainingArguments", "*", NULL},
	{"max_grad_norm", "TrainingArguments", "0 null", "gradients are not clipped here"},
	{"label_smoothing_factor", "TrainingArguments", "0", NULL},
	{"warmup_ratio", "TrainingArguments", "0", "say warmup_steps"},
	{"max_steps", "TrainingArguments", "-1", "say epochs and train_limit"},
	{"optim", "TrainingArguments", "adamw_torch adamw adamw_hf", "the optimizer is AdamW"},
	{"optimizer", "TrainingArguments", "adamw adamw_torch", "the optimizer is AdamW"},
	{"fp16", "TrainingArguments", "false", NULL},
	{"bf16", "TrainingArguments", "false", NULL},
	{"group_by_length", "TrainingArguments", "false", NULL},
	{"dataloader_num_workers", "TrainingArguments", "*", NULL},
	{"logging_steps", "TrainingArguments", "*", NULL},
	{"save_steps", "TrainingArguments", "*", NULL},
	{"eval_steps", "TrainingArguments", "*", NULL},
	{"peft_type", "PEFT", "PREFIX_TUNING", "adapters are trained prefixes"},
	{"task_type", "PEFT", "CAUSAL_LM", NULL},
	{"inference_mode", "PEFT", "*", NULL},
	{"token_dim", "PEFT", "null", "the model says it"},
	{"num_layers", "PEFT", "null", "the model says it"},
	{"num_attention_heads", "PEFT", "null", "the model says it"},
	{"r", "PEFT", NULL, "it belongs to LoRA; adapters are trained prefixes here"},
	{"lora_alpha", "PEFT", NULL, "it belongs to LoRA; adapters are trained prefixes here"},
	{"lora_dropout", "PEFT", NULL, "it belongs to LoRA; adapters are trained prefixes here"},
	{"target_modules", "PEFT", NULL, "it belongs to LoRA; adapters are trained prefixes here"},
};

static const struct foreign *find_foreign(const char *name)
{
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (strcmp(foreign[i].name, name) == 0)
			return &foreign[i];
	return NULL;
}

/* "generate() has this parameter, `sweep` does not; say warmup_steps" */
static void describe(const struct foreign *row, struct buf *out)
{
	buf_printf(out, "%s %s this parameter, `sweep` does not%s%s", row->owner, row->owner[0] == 'T' ? "have" : "has",
		   row->advice ? "; " : "", row->advice ? row->advice : "");
}

bool spec_foreign_describe(const char *name, struct buf *out)
{
	const struct foreign *row = find_foreign(name);
	if (row)
		describe(row, out);
	return row != NULL;
}

/* `1.0` is the word 1, `False` the word false, and nothing at all the word null. */
static bool is_neutral(const struct foreign *row, const struct yaml_node *node)
{
	if (row->neutral && strcmp(row->neutral, "*") == 0)
		return true;
	if (!row->neutral || node->kind != YAML_SCALAR)
		return false;
	const char *text = yaml_is_null(node) ? "null" : node->text;
	for (const char *p = row->neutral; *p;) {
		size_t n = strcspn(p, " ");
		char *end, *last;
		double wanted = strtod(p, &end), found = strtod(text, &last);
		bool numbers = end == p + n && last != text && *last == '\0';
		if (numbers ? wanted == found : strlen(text) == n && strncasecmp(text, p, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static int refuse(const struct foreign *row, const struct yaml_node *node, struct err *err)
{
	struct buf text = BUF_INIT;
	describe(row, &text);
	if (row->neutral) {
		buf_adds(&text, "; accepted is only what changes nothing: ");
		for (const char *p = row->neutral; *p; p++)
			buf_adds(&text, *p == ' ' ? " or " : (char[]){*p, '\0'});
	}
	yaml_err(node, err, "%s: %s", row->name, text.data);
	buf_release(&text);
	return -1;
}

int spec_foreign_read(struct spec *spec, const struct yaml_node *key, const struct yaml_node *value, struct err *err)
{
	const struct foreign *row = find_foreign(key->text);
	if (!row)
		return 0;
	const struct yaml_node *given = value;
	if (value->kind == YAML_MAP) {
		given = yaml_get(value, "value") ? yaml_get(value, "value") : yaml_get(value, "values");
		if (!given && !is_neutral(row, value))
			return refuse(row, value, err);
	}
	for (size_t i = 0; given && given->kind == YAML_LIST && i < given->n; i++)
		if (!is_neutral(row, given->items[i]))
			return refuse(row, given->items[i], err);
	if (given && given->kind != YAML_LIST && !is_neutral(row, given))
		return refuse(row, given, err);
	spec_notice(spec, "`%s` (line %zu) is not used: %s", row->name, key->line,
		    strcmp(row->neutral, "*") == 0 ? "it changes no result here"
						   : "`sweep` does not have it, and this value changes nothing");
	return 1;
}
