/* spec_data.c - what a sweep file says of model, data and templates, resolved to absolute paths.
 *
 * Part of spec.c's step. Every file that is named is opened once here, so that a wrong path is reported at its line and
 * not an hour later; what the files hold is the runner's business (the check job). Paths are relative to the sweep
 * file's folder, because a sweep file is moved together with its data; a model folder is also looked for from where the
 * person stands. What is not on this machine yet stays unresolved (model_dir NULL, dataset_missing): `sweep run` may
 * fetch it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/job.h"
#include "base/mem.h"
#include "base/paths.h"
#include "hub/hub.h"
#include "spec_parts.h"

#define SPLITS_MAX 64

/* An absolute path with "a/../" and "./" taken out by name alone, for messages and keys of job files that people read.
 */
static char *tidy(char *path)
{
	char *out = mem_alloc(strlen(path) + 2);
	size_t n = 0;
	for (const char *p = path; *p;) {
		size_t slashes = strspn(p, "/"), length = strcspn(p + slashes, "/");
		const char *part = p + slashes;
		if (length == 2 && memcmp(part, "..", 2) == 0) {
			while (n > 0 && out[--n] != '/')
				;
		} else if (length && !(length == 1 && *part == '.')) {
			out[n++] = '/';
			memcpy(out + n, part, length);
			n += length;
		}
		p = part + length;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	/* a link on the way makes the two differ: then the path stays as it was */
	struct stat a, b;
	if (stat(path, &a) == 0 && (stat(out, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev)) {
		free(out);
		return path;
	}
	free(path);
	return out;
}

static int read_file(const struct yaml_node *node, const char *what, const char *folder, char **path, struct err *err)
{
	char *text = NULL;
	if (spec_text(node, what, false, &text, err) < 0)
		return -1;
	free(*path);
	*path = tidy(fs_join(folder, text));
	int fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result = 0;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		result = yaml_err(node, err, "%s: cannot open %s: %s", what, *path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		result = yaml_err(node, err, "%s: %s is not a plain file", what, *path);
	if (fd >= 0)
		close(fd);
	free(text);
	return result;
}

/* ------------------------------------------------------------------------------------------------ model */

/* 1: *dir is a model folder; 0: no such folder; -1: a folder, but no model. */
static int try_folder(const struct yaml_node *node, char *dir, char **found, struct err *err)
{
	int result = 0;
	if (fs_is_dir(dir)) {
		dir = tidy(dir);
		char *config = fs_join(dir, "config.json");
		result = fs_exists(config) ? 1
					   : yaml_err(node, err,
						      "model: %s has no config.json; expected a folder in "
						      "Hugging Face format",
						      dir);
		free(config);
	}
	if (result == 1)
		*found = dir;
	else
		free(dir);
	return result;
}

int spec_data_model(struct spec *spec, const struct yaml_node *node, const char *folder, struct err *err)
{
	if (!node) {
		spec->model = mem_strdup("demo");
		spec_notice(spec, "no `model:` in the file: the bundled demo model is used");
	} else if (spec_text(node, "model", false, &spec->model, err) < 0) {
		return -1;
	}
	if (strcmp(spec->model, "demo") == 0) {
		spec->model_dir = paths_bundled("runner/demo", err);
		return spec->model_dir ? 0 : -1;
	}
	int here = try_folder(node, fs_join(folder, spec->model), &spec->model_dir, err);
	if (here == 0)
		here = try_folder(node, fs_absolute(spec->model), &spec->model_dir, err);
	if (here)
		return here < 0 ? -1 : 0;
	if (!hub_is_id(spec->model))
		return yaml_err(node, err, "model: `%s` is no folder, and not the name of a model on the Hub",
				spec->model);
	struct err missing = {0}; /* not an error yet: `sweep run` may fetch it */
	spec->model_dir = hub_find(spec->model, NULL, &missing);
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

static int read_split(struct spec *spec, const struct yaml_node *key, const struct yaml_node *node, const char *folder,
		      struct err *err)
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
	if (node->kind == YAML_SCALAR) { /* dev: FILE */
		result = read_file(node, what, folder, &split->input, err);
	} else if (spec_keys(node, keys, sizeof keys / sizeof *keys, what, err) == 0) {
		const struct yaml_node *in = yaml_get(node, "input"), *refs = yaml_get(node, "references"),
				       *first = yaml_get(node, "limit");
		if (!in)
			yaml_err(key, err, "%s is missing: the file with a table on each line", input);
		else if (read_file(in, input, folder, &split->input, err) == 0 &&
			 (!refs || yaml_is_null(refs) ||
			  read_file(refs, references, folder, &split->references, err) == 0) &&
			 (!first || spec_int(first, limit, 0, INT32_MAX, &split->limit, err) == 0))
			result = 0;
	}
	free(what);
	free(input);
	free(references);
	free(limit);
	return result;
}

static void bundled_split(struct spec *spec, const char *name, const char *folder)
{
	struct spec_split *split = add_split(spec, name);
	split->input = mem_printf("%s/%s.txt", folder, name);
	split->references = mem_printf("%s/%s.out", folder, name);
}

static int named_dataset(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	static const char *const known[] = {"demo", "e2e"};
	char *folder = NULL;
	if (strcmp(spec->dataset, "demo") == 0) {
		folder = paths_bundled("sweeps/data", err);
		if (!folder)
			return -1;
		spec->train = fs_join(folder, "train.txt");
	} else if (hub_is_dataset(spec->dataset)) {
		struct err missing = {0};
		folder = hub_find_dataset(spec->dataset, &missing);
		spec->dataset_missing = !folder;
		if (!folder)
			folder = mem_strdup("."); /* never opened: plan_build refuses a missing dataset */
		spec->train = fs_join(folder, "train.txt.gz");
	} else {
		const char *near = err_nearest(spec->dataset, known, sizeof known / sizeof *known);
		return yaml_err(node, err, "dataset: unknown name `%s`; %s%s%s", spec->dataset,
				near ? "did you mean `"
				     : "expected demo, e2e, or a map {train: FILE, eval: {dev: {input: "
				       "FILE, references: FILE}}}",
				near ? near : "", near ? "`?" : "");
	}
	bundled_split(spec, "dev", folder);
	bundled_split(spec, "small", folder);
	free(folder);
	return 0;
}

int spec_data_dataset(struct spec *spec, const struct yaml_node *node, const char *folder, struct err *err)
{
	static const char *const keys[] = {"train", "eval"};
	char room[80];
	if (!node) {
		spec->dataset = mem_strdup("demo");
		spec_notice(spec, "no `dataset:` in the file: the bundled demo tables are used");
		return named_dataset(spec, node, err);
	}
	if (node->kind == YAML_SCALAR)
		return spec_text(node, "dataset", false, &spec->dataset, err) < 0 ? -1 : named_dataset(spec, node, err);
	if (spec_keys(node, keys, sizeof keys / sizeof *keys, "dataset", err) < 0)
		return -1;
	const struct yaml_node *train = yaml_get(node, "train"), *eval = yaml_get(node, "eval");
	if (train && !yaml_is_null(train) && read_file(train, "dataset.train", folder, &spec->train, err) < 0)
		return -1;
	if (!eval || eval->kind != YAML_MAP || eval->n == 0)
		return yaml_err(
			eval ? eval : node, err,
			"dataset.eval: expected a map of splits, such as {dev: {input: FILE, references: FILE}}%s%s",
			eval ? ", found " : "", eval ? yaml_found(eval, room) : "");
	if (eval->n > SPLITS_MAX)
		return yaml_err(eval, err, "dataset.eval: %zu splits; at most %d", eval->n, SPLITS_MAX);
	for (size_t i = 0; i < eval->n; i++)
		if (read_split(spec, eval->pairs[i].key, eval->pairs[i].value, folder, err) < 0)
			return -1;
	return 0;
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
