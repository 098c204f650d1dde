/* job.c - the job file as JSON, both ways; see job.h. */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

static const char *const job_kind_names[] = {"check", "train", "decode", "command"};

const char *job_kind_name(enum job_kind kind)
{
	return job_kind_names[kind];
}

static void add_columns(cJSON *object, const char *name, const struct columns_map *columns)
{
	if (columns->format == COLUMNS_NONE)
		return;
	cJSON *to = cJSON_AddObjectToObject(object, name);
	json_add_text(to, "format", columns_format_name(columns->format));
	json_add_text(to, "input", columns->input);
	json_add_text(to, "target", columns->target);
}

void job_format(const struct job *job, struct buf *out)
{
	cJSON *root = cJSON_CreateObject();
	cJSON_AddNumberToObject(root, "sweep_job", 1);
	json_add_text(root, "kind", job_kind_name(job->kind));
	json_add_text(root, "key", job->key);
	json_add_text(root, "model", job->model);
	json_add_text(root, "model_name", job->model_name);
	json_add_text(root, "train", job->train);
	add_columns(root, "train_columns", &job->train_columns);
	json_add_text(root, "prompt", job->prompt);
	json_add_text(root, "target", job->target);
	json_add_text(root, "adapter", job->adapter);
	cJSON *inputs = job->n_inputs ? cJSON_AddArrayToObject(root, "inputs") : NULL;
	for (size_t i = 0; i < job->n_inputs; i++) {
		cJSON *input = cJSON_CreateObject();
		json_add_text(input, "path", job->inputs[i].path);
		json_add_text(input, "sha256", job->inputs[i].sha256);
		json_add_text(input, "seen", job->inputs[i].seen);
		cJSON_AddItemToArray(inputs, input);
	}
	cJSON *splits = cJSON_AddArrayToObject(root, "splits");
	for (size_t i = 0; i < job->n_splits; i++) {
		cJSON *split = cJSON_CreateObject();
		json_add_text(split, "name", job->splits[i].name);
		json_add_text(split, "input", job->splits[i].input);
		json_add_text(split, "references", job->splits[i].references);
		cJSON_AddNumberToObject(split, "limit", (double)job->splits[i].limit);
		add_columns(split, "columns", &job->splits[i].columns);
		cJSON_AddItemToArray(splits, split);
	}
	cJSON *outputs = cJSON_AddArrayToObject(root, "outputs");
	for (size_t i = 0; i < job->n_outputs; i++) {
		cJSON *output = cJSON_CreateObject();
		json_add_text(output, "key", job->outputs[i].key);
		json_add_text(output, "dir", job->outputs[i].dir);
		cJSON_AddNumberToObject(output, "split", (double)job->outputs[i].split);
		cJSON_AddItemToObject(output, "params", params_to_json(&job->outputs[i].params));
		cJSON_AddItemToArray(outputs, output);
	}
	json_print(root, out);
	cJSON_Delete(root);
}

static int read_key(const cJSON *object, char key[HASH_HEX], struct err *err)
{
	const char *text;
	if (json_string(object, "key", &text, err) < 0)
		return -1;
	if (strlen(text) >= HASH_HEX)
		return err_set(err, ERR_INPUT, "`key` is too long");
	memcpy(key, text, strlen(text) + 1);
	return 0;
}

/* A job file that somebody wrote by hand may name none: then nothing is checked. */
static int read_inputs(struct job *job, const cJSON *inputs, struct err *err)
{
	job->inputs = mem_zero((size_t)cJSON_GetArraySize(inputs), sizeof *job->inputs);
	const cJSON *item;
	cJSON_ArrayForEach(item, inputs)
	{
		struct input *input = &job->inputs[job->n_inputs++];
		const char *sha256, *seen;
		input->path = json_text(item, "path");
		if (!input->path)
			return err_set(err, ERR_INPUT, "an input needs `path`");
		if (json_string(item, "sha256", &sha256, err) < 0 || json_string(item, "seen", &seen, err) < 0)
			return -1;
		snprintf(input->sha256, sizeof input->sha256, "%s", sha256);
		snprintf(input->seen, sizeof input->seen, "%s", seen);
	}
	return 0;
}

static int read_columns(const cJSON *object, const char *name, bool targets, struct columns_map *columns,
			struct err *err)
{
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(object, name);
	const char *format;
	if (!from)
		return 0;
	if (json_string(from, "format", &format, err) < 0)
		return -1;
	columns->format = columns_format_named(format);
	columns->input = json_text(from, "input");
	columns->target = json_text(from, "target");
	if (columns->format == COLUMNS_NONE || !columns->input || (targets && !columns->target))
		return err_set(err, ERR_INPUT, "`%s` needs `format`, `input`%s", name, targets ? " and `target`" : "");
	return 0;
}

static void release_columns(struct columns_map *columns)
{
	free(columns->input);
	free(columns->target);
}

static int read_splits(struct job *job, const cJSON *splits, struct err *err)
{
	job->splits = mem_zero((size_t)cJSON_GetArraySize(splits), sizeof *job->splits);
	const cJSON *item;
	cJSON_ArrayForEach(item, splits)
	{
		struct job_split *split = &job->splits[job->n_splits++];
		split->name = json_text(item, "name");
		split->input = json_text(item, "input");
		split->references = json_text(item, "references");
		if (!split->name || !split->input)
			return err_set(err, ERR_INPUT, "a split needs `name` and `input`");
		if (json_int(item, "limit", 0, INT32_MAX, &split->limit, err) < 0 ||
		    read_columns(item, "columns", split->references, &split->columns, err) < 0)
			return -1;
	}
	return 0;
}

static int read_outputs(struct job *job, const cJSON *outputs, struct err *err)
{
	job->outputs = mem_zero((size_t)cJSON_GetArraySize(outputs), sizeof *job->outputs);
	const cJSON *item;
	cJSON_ArrayForEach(item, outputs)
	{
		struct job_output *output = &job->outputs[job->n_outputs++];
		int64_t split;
		output->dir = json_text(item, "dir");
		if (!output->dir)
			return err_set(err, ERR_INPUT, "an output needs `dir`");
		if (read_key(item, output->key, err) < 0 || json_int(item, "split", 0, INT32_MAX, &split, err) < 0 ||
		    params_from_json(&output->params, cJSON_GetObjectItemCaseSensitive(item, "params"), err) < 0)
			return -1;
		output->split = (size_t)split;
		if (job->kind == JOB_DECODE && output->split >= job->n_splits)
			return err_set(err, ERR_INPUT, "`split` %lld does not exist", (long long)split);
	}
	return 0;
}

int job_read(struct job *job, const char *path, struct err *err)
{
	*job = (struct job){0};
	cJSON *root = json_read_file(path, (size_t)1 << 28, err);
	if (!root)
		return -1;
	int64_t version;
	const char *kind;
	int result = -1;
	if (json_int(root, "sweep_job", 1, 1, &version, err) < 0 || json_string(root, "kind", &kind, err) < 0 ||
	    read_key(root, job->key, err) < 0)
		goto out;
	int found = -1;
	for (int i = 0; i < 3; i++)
		if (strcmp(kind, job_kind_names[i]) == 0)
			found = i;
	if (found < 0) {
		err_set(err, ERR_INPUT, "`kind`: expected check, train or decode, found `%s`", kind);
		goto out;
	}
	job->kind = (enum job_kind)found;
	job->model = json_text(root, "model");
	job->model_name = json_text(root, "model_name");
	job->train = json_text(root, "train");
	job->prompt = json_text(root, "prompt");
	job->target = json_text(root, "target");
	job->adapter = json_text(root, "adapter");
	if (!job->model || !job->prompt || !job->target) {
		err_set(err, ERR_INPUT, "`model`, `prompt` and `target` are needed");
		goto out;
	}
	result = read_inputs(job, cJSON_GetObjectItemCaseSensitive(root, "inputs"), err);
	if (result == 0)
		result = read_columns(root, "train_columns", true, &job->train_columns, err);
	if (result == 0)
		result = read_splits(job, cJSON_GetObjectItemCaseSensitive(root, "splits"), err);
	if (result == 0)
		result = read_outputs(job, cJSON_GetObjectItemCaseSensitive(root, "outputs"), err);
	if (result == 0 && job->kind != JOB_CHECK && job->n_outputs == 0)
		result = err_set(err, ERR_INPUT, "`outputs` is empty");
	if (result == 0 && job->kind == JOB_TRAIN && !job->train)
		result = err_set(err, ERR_INPUT, "`train` is missing");
out:
	cJSON_Delete(root);
	if (result < 0) {
		err_prefix(err, "%s", path);
		job_release(job);
	}
	return result;
}

void job_release(struct job *job)
{
	free(job->model);
	free(job->model_name);
	free(job->train);
	release_columns(&job->train_columns);
	free(job->prompt);
	free(job->target);
	free(job->adapter);
	for (size_t i = 0; i < job->n_inputs; i++)
		free(job->inputs[i].path);
	free(job->inputs);
	for (size_t i = 0; i < job->n_splits; i++) {
		free(job->splits[i].name);
		free(job->splits[i].input);
		free(job->splits[i].references);
		release_columns(&job->splits[i].columns);
	}
	free(job->splits);
	for (size_t i = 0; i < job->n_outputs; i++)
		free(job->outputs[i].dir);
	free(job->outputs);
	*job = (struct job){0};
}
