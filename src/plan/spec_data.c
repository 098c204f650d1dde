/* spec_data.c - what a sweep file says of model, data and templates.
 *
 * Part of spec.c's step. Paths stay as they are written, with their places in the file: whether they are there is the
 * question of sources.c. */
#include <stdlib.h>
#include <string.h>

#include "base/job.h"
#include "base/mem.h"
#include "spec_parts.h"

#define SPLITS_MAX 64

static struct spec_at place_of(const struct yaml_node *node)
{
	return (struct spec_at){mem_strdup(node->file), node->line, node->column};
}

static int read_file(const struct yaml_node *node, const char *what, struct spec_file *file, struct err *err)
{
	if (spec_text(node, what, false, &file->path, err) < 0)
		return -1;
	file->at = place_of(node);
	return 0;
}

int spec_data_model(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	if (!node) {
		spec->model = mem_strdup("demo");
		spec_notice(spec, "no `model:` in the file: the bundled demo model is used");
		return 0;
	}
	if (spec_text(node, "model", false, &spec->model, err) < 0)
		return -1;
	spec->model_at = place_of(node);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ dataset */

static bool is_split_name(const char *name)
{
	static const char taken[] = "_sentence"; /* split `x_sentence` would share `x_sentence_bleu` with split `x` */
	size_t n = strlen(name), tail = sizeof taken - 1;
	if (n == 0 || n > 40 || name[0] < 'a' || name[0] > 'z' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != n)
		return false;
	return n <= tail || strcmp(name + n - tail, taken) != 0;
}

static struct spec_split *add_split(struct spec *spec, const char *name)
{
	spec->splits = mem_grow(spec->splits, spec->n_splits + 1, sizeof *spec->splits);
	struct spec_split *split = &spec->splits[spec->n_splits++];
	*split = (struct spec_split){.name = mem_strdup(name)};
	return split;
}

/* A file's name says whether it has columns: then `columns` must name the input's, and the target's if `targets`. */
static int check_columns(const struct spec *spec, const struct yaml_node *node, const char *what, const char *path,
			 bool targets, struct err *err)
{
	enum columns_format format = columns_format_of(path);
	if (format == COLUMNS_PARQUET)
		return yaml_err(node, err, "%s: %s is %s", what, path, COLUMNS_PARQUET_HELP);
	if (format == COLUMNS_NONE)
		return 0;
	if (!spec->columns.input)
		return yaml_err(node, err,
				"%s: %s has columns; say which ones with `columns: {input: NAME, target: NAME}` in "
				"`dataset`",
				what, path);
	if (targets && !spec->columns.target)
		return yaml_err(node, err, "%s: %s is to be learnt from, and `columns` names no `target`", what, path);
	return 0;
}

static int read_columns(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	static const char *const keys[] = {"input", "target"};
	if (spec_keys(node, keys, sizeof keys / sizeof *keys, "dataset.columns", err) < 0)
		return -1;
	const struct yaml_node *input = yaml_get(node, "input"), *target = yaml_get(node, "target");
	if (!input)
		return yaml_err(node, err, "dataset.columns.input is missing: the name of the column with the inputs");
	if (spec_text(input, "dataset.columns.input", false, &spec->columns.input, err) < 0 ||
	    (target && spec_text(target, "dataset.columns.target", false, &spec->columns.target, err) < 0))
		return -1;
	if (target && strcmp(spec->columns.input, spec->columns.target) == 0)
		return yaml_err(target, err, "dataset.columns: `%s` is input and target", spec->columns.input);
	return 0;
}

/* `columns` that no file has are a mistake that would show late. */
static int check_columns_used(const struct spec *spec, const struct yaml_node *columns, struct err *err)
{
	bool used = spec->train.path && columns_format_of(spec->train.path);
	for (size_t i = 0; i < spec->n_splits; i++)
		used = used || columns_format_of(spec->splits[i].input.path);
	return used ? 0
		    : yaml_err(columns, err,
			       "dataset.columns: no file here has columns; their names end in .csv, .tsv or .jsonl, "
			       "with "
			       ".gz or without");
}

/* Inputs and references of a split whose file has columns, or of one that has none. */
static int check_split_files(const struct spec *spec, struct spec_split *split, const struct yaml_node *in,
			     const char *input, const struct yaml_node *refs, const char *references, struct err *err)
{
	if (check_columns(spec, in, input, split->input.path, false, err) < 0)
		return -1;
	bool table = columns_format_of(split->input.path) != COLUMNS_NONE;
	if (table && split->scored)
		return yaml_err(refs, err,
				"%s: %s has its references in it; leave `references` out, or null for texts alone",
				references, split->input.path);
	if (!table && split->scored && columns_format_of(split->references.path))
		return yaml_err(refs, err,
				"%s: expected `id||table||text` lines; a file with columns has inputs and references: "
				"give %s as the split's `input`",
				references, split->references.path);
	if (table)
		split->scored = !refs && spec->columns.target;
	return 0;
}

/* A split of files: `dev: FILE` or {input, references, limit}. */
static int read_split(struct spec *spec, const struct yaml_node *key, const struct yaml_node *node, struct err *err)
{
	static const char *const keys[] = {"input", "references", "limit"};
	char room[80];
	if (!is_split_name(key->text))
		return yaml_err(key, err,
				"dataset.eval: %s is no name for a split; use a-z, 0-9 and _, a letter first, not "
				"ending in _sentence",
				yaml_found(key, room));
	struct spec_split *split = add_split(spec, key->text);
	char *what = mem_printf("dataset.eval.%s", key->text), *input = mem_printf("%s.input", what),
	     *references = mem_printf("%s.references", what), *limit = mem_printf("%s.limit", what);
	int result = -1;
	if (node->kind == YAML_SCALAR) {
		result = read_file(node, what, &split->input, err);
		if (result == 0)
			result = check_split_files(spec, split, node, what, NULL, references, err);
	} else if (spec_keys(node, keys, sizeof keys / sizeof *keys, what, err) == 0) {
		const struct yaml_node *in = yaml_get(node, "input"), *refs = yaml_get(node, "references"),
				       *first = yaml_get(node, "limit");
		split->scored = refs && !yaml_is_null(refs);
		if (!in)
			yaml_err(key, err, "%s is missing: the file with a table on each line", input);
		else if (read_file(in, input, &split->input, err) == 0 &&
			 (!split->scored || read_file(refs, references, &split->references, err) == 0) &&
			 check_split_files(spec, split, in, input, refs, references, err) == 0 &&
			 (!first || spec_int(first, limit, 0, INT32_MAX, &split->limit, err) == 0))
			result = 0;
	}
	free(what);
	free(input);
	free(references);
	free(limit);
	return result;
}

static int check_eval(const struct yaml_node *eval, const struct yaml_node *dataset, const char *example,
		      struct err *err)
{
	char room[80];
	if (!eval || eval->kind != YAML_MAP || eval->n == 0)
		return yaml_err(eval ? eval : dataset, err, "dataset.eval: expected a map of splits, such as %s%s%s",
				example, eval ? ", found " : "", eval ? yaml_found(eval, room) : "");
	if (eval->n > SPLITS_MAX)
		return yaml_err(eval, err, "dataset.eval: %zu splits; at most %d", eval->n, SPLITS_MAX);
	return 0;
}

/* A split of a dataset that has a name: nothing, or {limit}. */
static int read_named_split(struct spec *spec, const struct yaml_node *key, const struct yaml_node *node,
			    struct err *err)
{
	static const char *const keys[] = {"limit"};
	static const char *const known[] = SPEC_NAMED_SPLITS;
	char room[80];
	bool is_known = false;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		is_known = is_known || strcmp(key->text, known[i]) == 0;
	if (!is_known)
		return yaml_err(key, err, "dataset.eval: the dataset `%s` has the splits dev and small, found %s",
				spec->dataset, yaml_found(key, room));
	struct spec_split *split = add_split(spec, key->text);
	split->scored = true;
	if (yaml_is_null(node))
		return 0;
	char *what = mem_printf("dataset.eval.%s", key->text), *limit = mem_printf("%s.limit", what);
	const struct yaml_node *first = yaml_get(node, "limit");
	int result = spec_keys(node, keys, sizeof keys / sizeof *keys, what, err);
	if (result == 0 && first)
		result = spec_int(first, limit, 0, INT32_MAX, &split->limit, err);
	free(what);
	free(limit);
	return result;
}

/* node: the name itself. eval: which of its splits, and how much of them; NULL: all. */
static int named_dataset(struct spec *spec, const struct yaml_node *node, const struct yaml_node *eval, struct err *err)
{
	static const char *const known[] = SPEC_NAMED_DATASETS;
	static const char *const splits[] = SPEC_NAMED_SPLITS;
	bool is_known = false;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		is_known = is_known || strcmp(spec->dataset, known[i]) == 0;
	if (!is_known) {
		const char *near = err_nearest(spec->dataset, known, sizeof known / sizeof *known);
		return yaml_err(node, err, "dataset: unknown name `%s`; %s%s%s", spec->dataset,
				near ? "did you mean `"
				     : "expected demo, e2e, or a map {train: FILE, eval: {dev: {input: "
				       "FILE, references: FILE}}}",
				near ? near : "", near ? "`?" : "");
	}
	for (size_t i = 0; !eval && i < sizeof splits / sizeof *splits; i++)
		add_split(spec, splits[i])->scored = true;
	if (eval && check_eval(eval, eval, "{dev: {limit: 100}}", err) < 0)
		return -1;
	for (size_t i = 0; eval && i < eval->n; i++)
		if (read_named_split(spec, eval->pairs[i].key, eval->pairs[i].value, err) < 0)
			return -1;
	return 0;
}

int spec_data_dataset(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	static const char *const keys[] = {"name", "train", "eval", "columns"};
	if (!node) {
		spec->dataset = mem_strdup("demo");
		spec_notice(spec, "no `dataset:` in the file: the bundled demo tables are used");
		return named_dataset(spec, node, NULL, err);
	}
	if (node->kind == YAML_SCALAR)
		return spec_text(node, "dataset", false, &spec->dataset, err) < 0
			       ? -1
			       : named_dataset(spec, node, NULL, err);
	if (spec_keys(node, keys, sizeof keys / sizeof *keys, "dataset", err) < 0)
		return -1;
	const struct yaml_node *name = yaml_get(node, "name"), *train = yaml_get(node, "train"),
			       *eval = yaml_get(node, "eval"), *columns = yaml_get(node, "columns");
	if (name && columns)
		return yaml_err(columns, err, "dataset.columns: only files of your own have columns, not a `name`");
	if (name && train)
		return yaml_err(train, err, "dataset: give the `name` of a dataset or files of your own, not both");
	if (name)
		return spec_text(name, "dataset.name", false, &spec->dataset, err) < 0
			       ? -1
			       : named_dataset(spec, name, eval, err);
	if (columns && read_columns(spec, columns, err) < 0)
		return -1;
	if (train && !yaml_is_null(train) &&
	    (read_file(train, "dataset.train", &spec->train, err) < 0 ||
	     check_columns(spec, train, "dataset.train", spec->train.path, true, err) < 0))
		return -1;
	if (check_eval(eval, node, "{dev: {input: FILE, references: FILE}}", err) < 0)
		return -1;
	for (size_t i = 0; i < eval->n; i++)
		if (read_split(spec, eval->pairs[i].key, eval->pairs[i].value, err) < 0)
			return -1;
	return columns ? check_columns_used(spec, columns, err) : 0;
}

/* ------------------------------------------------------------------------------------------------ templates */

/* `{word}` must be one of the two known ones, and the first of them must be there. Other braces are text. */
static int check_template(const struct yaml_node *node, const char *what, const char *text, const char *needed,
			  struct err *err)
{
	bool found = false;
	for (const char *p = text; (p = strchr(p, '{')); p++) {
		size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		if (n == 0 || p[n + 1] != '}')
			continue;
		if (n == strlen(needed) && memcmp(p + 1, needed, n) == 0)
			found = true;
		else if (n != 3 || memcmp(p + 1, "eos", 3) != 0)
			return yaml_err(node, err, "%s: unknown placeholder `{%.*s}`; known are {%s} and {eos}", what,
					n > 60 ? 60 : (int)n, p + 1, needed);
	}
	return found ? 0 : yaml_err(node, err, "%s: must contain {%s}", what, needed);
}

int spec_data_templates(struct spec *spec, const struct yaml_node *prompt, const struct yaml_node *target,
			struct err *err)
{
	spec->prompt = mem_strdup(JOB_DEFAULT_PROMPT);
	spec->target = mem_strdup(JOB_DEFAULT_TARGET);
	if (prompt && (spec_text(prompt, "prompt", true, &spec->prompt, err) < 0 ||
		       check_template(prompt, "prompt", spec->prompt, "table", err) < 0))
		return -1;
	if (target && (spec_text(target, "target", true, &spec->target, err) < 0 ||
		       check_template(target, "target", spec->target, "text", err) < 0))
		return -1;
	return 0;
}
