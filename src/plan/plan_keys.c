/* plan_keys.c - digests of model and data, keys of artifacts, and how much work they are; see plan_keys.h.
 *
 * Part of plan.c's step. Files count by what they hold, not by where they lie: a sweep file that moves together with
 * its data finds its results again, and the same model in a folder and in the Hugging Face cache is the same model.
 * Keys are made millions of times in a large sweep, so everything but adapter and parameters is formatted once. */
#include "plan_keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#define DIGEST_TRIES 3

static struct input *add_file(struct plan_keys *keys, const char *path, size_t of)
{
	MEM_PUSH_ROOM(keys->files, keys->n_files, keys->files_room);
	struct plan_keys_file *file = &keys->files[keys->n_files++];
	*file = (struct plan_keys_file){.of = of};
	file->input.path = arena_strdup(keys->arena, path);
	return &file->input;
}

/* The digest belongs to how the file looks before and after it is read; one that is being written has none. */
static int digest_file(struct plan_keys *keys, const struct plan_options *options, const char *path, size_t of,
		       char hex[HASH_HEX], struct err *err)
{
	struct input *input = add_file(keys, path, of);
	for (int i = 0; i < DIGEST_TRIES; i++) {
		char again[INPUT_LOOK];
		int result = input_look(path, input->seen, err);
		if (result == 0)
			result = options->digest ? options->digest(path, hex, options->ctx, err)
						 : hash_file(path, hex, err);
		if (result < 0 || input_look(path, again, err) < 0)
			return -1;
		memcpy(input->sha256, hex, HASH_HEX);
		if (strcmp(input->seen, again) == 0)
			return 0;
	}
	return err_set(err, ERR_CHANGED, "%s changes while it is read: run the command again when it is complete",
		       path);
}

/* Everything of a model folder that can change a result: not its README. */
static int digest_model(struct plan_keys *keys, const struct plan_options *options, struct err *err)
{
	static const char *const needed[] = {"config.json", "model.safetensors"};
	static const char *const files[] = {
		"config.json",    "generation_config.json", "model.safetensors",       "vocab.json",       "merges.txt",
		"tokenizer.json", "tokenizer_config.json",  "special_tokens_map.json", "added_tokens.json"};
	const char *dir = keys->sources->model;
	struct buf text = BUF_INIT;
	int result = 0;
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		char *path = fs_join(dir, needed[i]);
		if (!fs_exists(path) && result == 0)
			result = err_set(err, ERR_INPUT, "the model `%s` has no %s in %s", keys->spec->model, needed[i],
					 dir);
		free(path);
	}
	for (size_t i = 0; i < sizeof files / sizeof *files && result == 0; i++) {
		char *path = fs_join(dir, files[i]), hex[HASH_HEX];
		if (fs_exists(path)) {
			result = digest_file(keys, options, path, PLAN_KEYS_MODEL, hex, err);
			buf_printf(&text, "%s %s\n", files[i], hex);
		} else {
			add_file(keys, path, PLAN_KEYS_MODEL); /* that it is not there counts, too */
		}
		free(path);
	}
	if (result == 0)
		hash_bytes(text.data, text.size, keys->model);
	buf_release(&text);
	return result;
}

/* Roughly how many lines: for costs only. Plain text is counted up to 64 MB, gzip guessed from its size. */
static double guess_lines(const char *path)
{
	struct buf text = BUF_INIT;
	struct err ignored = {0};
	struct stat st;
	size_t n = strlen(path), lines = 0;
	if (stat(path, &st) < 0)
		return 0;
	if (n > 3 && strcmp(path + n - 3, ".gz") == 0)
		return (double)st.st_size / 30;
	if (st.st_size > 1 << 26 || buf_read_file(&text, path, 1 << 26, &ignored) < 0)
		return (double)st.st_size / 150;
	for (const char *p = text.data; p && (p = memchr(p, '\n', (size_t)(text.data + text.size - p))); p++)
		lines++;
	buf_release(&text);
	return (double)lines;
}

static int digest_split(struct plan_keys *keys, size_t i, const struct plan_options *options, struct err *err)
{
	struct plan_keys_split *facts = &keys->splits[i];
	const struct job_split *split = &keys->sources->splits[i];
	if (digest_file(keys, options, split->input, i, facts->input, err) < 0 ||
	    (split->references && digest_file(keys, options, split->references, i, facts->references, err) < 0))
		return -1;
	facts->n_inputs = guess_lines(split->input);
	if (split->limit && (double)split->limit < facts->n_inputs)
		facts->n_inputs = (double)split->limit;
	for (facts->same_as = 0; facts->same_as < i; facts->same_as++) {
		const struct plan_keys_split *other = &keys->splits[facts->same_as];
		if (strcmp(other->input, facts->input) == 0 && strcmp(other->references, facts->references) == 0 &&
		    keys->sources->splits[facts->same_as].limit == split->limit &&
		    keys->sources->splits[facts->same_as].columns.format == split->columns.format)
			break;
	}
	return 0;
}

static void add_member(struct buf *text, const char *name, const char *value)
{
	buf_printf(text, ",\"%s\":", name);
	if (value)
		json_format_string(value, strlen(value), text);
	else
		buf_adds(text, "null");
}

/* How a file is read, where it has columns; their names are the same for all files of a sweep. */
static void add_columns(struct buf *text, const struct columns_map *columns)
{
	if (columns->format == COLUMNS_NONE)
		return;
	buf_printf(text, ",\"columns\":{\"format\":\"%s\"", columns_format_name(columns->format));
	add_member(text, "input", columns->input);
	if (columns->target)
		add_member(text, "target", columns->target);
	buf_addc(text, '}');
}

static void begin_texts(struct plan_keys *keys, size_t i)
{
	struct plan_keys_split *facts = &keys->splits[i];
	const struct job_split *split = &keys->sources->splits[i];
	buf_printf(&facts->head, "{\"artifact\":\"hypotheses\",\"numerics\":%d", NUMERICS_VERSION);
	add_member(&facts->head, "model", keys->model);
	buf_adds(&facts->head, ",\"adapter\":");
	add_member(&facts->middle, "input", facts->input);
	add_member(&facts->middle, "references", facts->references[0] ? facts->references : NULL);
	add_columns(&facts->middle, &split->columns);
	if (split->limit)
		buf_printf(&facts->middle, ",\"limit\":%lld", (long long)split->limit);
	add_member(&facts->middle, "prompt", keys->spec->prompt);
	buf_adds(&facts->middle, ",\"params\":");
}

int plan_keys_init(struct plan_keys *keys, const struct spec *spec, const struct sources *sources,
		   const struct plan_options *options, bool training, struct arena *arena, struct err *err)
{
	*keys = (struct plan_keys){.spec = spec, .sources = sources, .arena = arena};
	keys->lent_to = mem_zero(spec->n_splits + 1, sizeof *keys->lent_to);
	keys->splits = mem_zero(spec->n_splits, sizeof *keys->splits);
	if (digest_model(keys, options, err) < 0)
		return -1;
	if (training) {
		if (digest_file(keys, options, sources->train, PLAN_KEYS_TRAIN, keys->train, err) < 0)
			return -1;
		keys->n_pairs = guess_lines(sources->train);
	}
	for (size_t i = 0; i < spec->n_splits; i++) {
		if (digest_split(keys, i, options, err) < 0)
			return -1;
		begin_texts(keys, i);
	}
	return 0;
}

void plan_keys_release(struct plan_keys *keys)
{
	for (size_t i = 0; keys->splits && i < keys->spec->n_splits; i++) {
		buf_release(&keys->splits[i].head);
		buf_release(&keys->splits[i].middle);
	}
	free(keys->splits);
	free(keys->files);
	free(keys->lent_to);
	buf_release(&keys->adapter);
	buf_release(&keys->params);
	buf_release(&keys->text);
	*keys = (struct plan_keys){0};
}

void plan_keys_inputs(struct plan_keys *keys, const bool *wanted, struct job *job)
{
	size_t n_splits = keys->spec->n_splits;
	if (!keys->lent || memcmp(keys->lent_to, wanted, (n_splits + 1) * sizeof *wanted) != 0) {
		memcpy(keys->lent_to, wanted, (n_splits + 1) * sizeof *wanted);
		keys->lent = arena_array(keys->arena, keys->n_files, sizeof *keys->lent);
		keys->n_lent = 0;
		for (size_t i = 0; i < keys->n_files; i++) {
			const struct plan_keys_file *file = &keys->files[i];
			if (file->of == PLAN_KEYS_MODEL || wanted[file->of == PLAN_KEYS_TRAIN ? n_splits : file->of])
				keys->lent[keys->n_lent++] = file->input;
		}
	}
	job->inputs = keys->lent;
	job->n_inputs = keys->n_lent;
}

void plan_keys_adapter(const struct plan_keys *keys, const struct params *effective, char key[HASH_HEX])
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "{\"artifact\":\"adapter\",\"numerics\":%d", NUMERICS_VERSION);
	add_member(&text, "model", keys->model);
	add_member(&text, "train", keys->train);
	add_columns(&text, &keys->sources->train_columns);
	add_member(&text, "prompt", keys->spec->prompt);
	add_member(&text, "target", keys->spec->target);
	buf_adds(&text, ",\"params\":");
	params_key(effective, PARAM_STAGE_TRAIN, &text);
	buf_addc(&text, '}');
	hash_bytes(text.data, text.size, key);
	buf_release(&text);
}

void plan_keys_setting(struct plan_keys *keys, const struct params *effective, const char *adapter)
{
	buf_clear(&keys->adapter);
	buf_clear(&keys->params);
	if (adapter)
		buf_printf(&keys->adapter, "\"%s\"", adapter);
	else
		buf_adds(&keys->adapter, "null");
	params_key(effective, PARAM_STAGE_DECODE, &keys->params);
}

void plan_keys_hypotheses(struct plan_keys *keys, size_t split, char key[HASH_HEX])
{
	const struct plan_keys_split *facts = &keys->splits[split];
	struct buf *text = &keys->text;
	buf_clear(text);
	buf_add(text, facts->head.data, facts->head.size);
	buf_add(text, keys->adapter.data, keys->adapter.size);
	buf_add(text, facts->middle.data, facts->middle.size);
	buf_add(text, keys->params.data, keys->params.size);
	buf_addc(text, '}');
	hash_bytes(text->data, text->size, key);
}

/* A training step costs a forward and about as much backward (frozen weights have no gradients of their own). */
double plan_keys_train_cost(const struct plan_keys *keys, const struct params *params)
{
	double pairs = keys->n_pairs, limit = (double)PARAM_I(params, train_limit);
	if (limit > 0 && limit < pairs)
		pairs = limit;
	return pairs * (double)PARAM_I(params, epochs) * (70 + (double)PARAM_I(params, num_virtual_tokens)) * 2.2;
}

/* A decoded token moves all weights for few rows, but needs no backward. Texts rarely reach a long limit. Measured on
 * the quickstart (two busy cores): training to a search of 7 beams as 15 to 1; these two give 10 to 1. */
double plan_keys_decode_cost(const struct plan_keys *keys, const struct params *params, size_t split)
{
	double tokens = (double)PARAM_I(params, max_new_tokens);
	tokens = tokens < 40 ? tokens : 40 + (tokens - 40) / 8;
	return keys->splits[split].n_inputs * (30 + tokens * (double)PARAM_I(params, num_beams));
}
