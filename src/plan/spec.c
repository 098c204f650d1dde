/* spec.c - a sweep file as a whole: read, overridden by --set, every key known; see spec.h.
 *
 * Second step of `sweep run`: file -> yaml.c -> here -> points.c. There are four kinds of keys: those that mean something
 * here, W&B's that only drive its own server and agents (accepted, each with a notice, because silence would let people
 * believe that `early_terminate` works), W&B's that name a program to run (refused, because another program than that
 * would run), and the rest, which are typing errors. The order of reading follows what needs what: data first (the metric names a split), parameters last
 * (`expected` names metrics). Nothing is computed here, and no file but the sweep file is opened (sources.c does). */
#include "spec.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "points.h"
#include "spec_parts.h"
#include "yaml.h"

/* Keys that mean something, then W&B's own that do not, with the reason that a person is told. */
static const char *const keys_used[] = {"name",  "method",  "metric", "parameters", "run_cap",
					"model", "dataset", "prompt", "target",     "seed"};
static const struct {
	const char *name, *why;
} keys_unused[] = {
	{"early_terminate", "every run is worked to its end"},
	{"project", "it belongs to W&B's server"},
	{"entity", "it belongs to W&B's server"},
	{"description", "it is kept in the database with the file's text"},
	{"controller", "it belongs to W&B's server"},
	{"image_uri", "it belongs to W&B's launch agents"},
	{"job", "it belongs to W&B's launch agents"},
	{"$schema", "the file is checked by `sweep` itself"},
};
#define N_USED   (sizeof keys_used / sizeof *keys_used)
#define N_UNUSED (sizeof keys_unused / sizeof *keys_unused)

static void add_notice(struct spec *spec, const char *kind, const char *format, va_list ap)
{
	struct buf text = BUF_INIT;
	buf_adds(&text, kind);
	buf_vprintf(&text, format, ap);
	for (size_t i = 0; i < spec->n_notices; i++) {
		if (strcmp(spec->notices[i], text.data) == 0) {
			buf_release(&text);
			return;
		}
	}
	spec->notices = mem_grow(spec->notices, spec->n_notices + 1, sizeof *spec->notices);
	spec->notices[spec->n_notices++] = buf_detach(&text);
}

void spec_notice(struct spec *spec, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add_notice(spec, "note: ", format, ap);
	va_end(ap);
}

void spec_warning(struct spec *spec, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add_notice(spec, "warning: ", format, ap);
	va_end(ap);
}

int spec_keys(const struct yaml_node *node, const char *const *names, size_t n, const char *what, struct err *err)
{
	char room[80];
	const char *of = what[0] ? what : "the sweep file";
	if (node->kind != YAML_MAP)
		return yaml_err(node, err, "%s: expected a map, found %s", of, yaml_found(node, room));
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *key = node->pairs[i].key;
		bool known = false;
		for (size_t j = 0; j < n && !known; j++)
			known = strcmp(key->text, names[j]) == 0;
		if (known)
			continue;
		const char *near = err_nearest(key->text, names, n);
		if (near)
			return yaml_err(key, err, "unknown key %s in %s; did you mean `%s`?", yaml_found(key, room), of,
					near);
		struct buf list = BUF_INIT;
		for (size_t j = 0; j < n; j++)
			buf_printf(&list, "%s%s", j ? ", " : "", names[j]);
		yaml_err(key, err, "unknown key %s in %s; known are %s", yaml_found(key, room), of, list.data);
		buf_release(&list);
		return -1;
	}
	return 0;
}

int spec_text(const struct yaml_node *node, const char *what, bool lines, char **text, struct err *err)
{
	char room[80];
	if (node->kind != YAML_SCALAR || node->text[0] == '\0' || yaml_is_null(node))
		return yaml_err(node, err, "%s: expected a text, found %s", what, yaml_found(node, room));
	if (strlen(node->text) > 65536)
		return yaml_err(node, err, "%s: a text of more than 65536 bytes", what);
	for (const unsigned char *p = (const unsigned char *)node->text; *p; p++)
		if ((*p < 0x20 && !(lines && (*p == '\n' || *p == '\t'))) || *p == 0x7f)
			return yaml_err(node, err, "%s: a control character (byte %d) in the text", what, *p);
	free(*text);
	*text = mem_strdup(node->text);
	return 0;
}

int spec_number(const struct yaml_node *node, const char *what, double *value, struct err *err)
{
	char room[80], *end = NULL;
	if (node->kind == YAML_SCALAR &&
	    (strchr("+-.", node->text[0]) || (node->text[0] >= '0' && node->text[0] <= '9')))
		*value = strtod(node->text, &end);
	if (!end || end == node->text || *end != '\0' || !isfinite(*value) || strpbrk(node->text, "xXnN"))
		return yaml_err(node, err, "%s: expected a number, found %s", what, yaml_found(node, room));
	return 0;
}

int spec_int(const struct yaml_node *node, const char *what, int64_t min, int64_t max, int64_t *value, struct err *err)
{
	char room[80], *end = NULL;
	errno = 0;
	long long n = 0;
	if (node->kind == YAML_SCALAR &&
	    (strchr("+-", node->text[0]) || (node->text[0] >= '0' && node->text[0] <= '9')))
		n = strtoll(node->text, &end, 10);
	if (!end || end == node->text || *end != '\0' || errno == ERANGE || n < min || n > max) {
		if (max == INT64_MAX)
			return yaml_err(node, err, "%s: expected a whole number from %lld up, found %s", what,
					(long long)min, yaml_found(node, room));
		return yaml_err(node, err, "%s: expected a whole number from %lld to %lld, found %s", what,
				(long long)min, (long long)max, yaml_found(node, room));
	}
	*value = n;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the top level */

static int check_top(struct spec *spec, const struct yaml_node *root, struct err *err)
{
	const char *names[N_USED + N_UNUSED];
	char room[80];
	for (size_t i = 0; i < N_USED; i++)
		names[i] = keys_used[i];
	for (size_t i = 0; i < N_UNUSED; i++)
		names[N_USED + i] = keys_unused[i].name;
	if (root->kind != YAML_MAP)
		return yaml_err(root, err, "expected a sweep file (a map with `parameters:`), found %s",
				yaml_found(root, room));
	for (size_t i = 0; i < root->n; i++) {
		const struct yaml_node *key = root->pairs[i].key;
		size_t at = 0;
		while (at < N_USED + N_UNUSED && strcmp(key->text, names[at]) != 0)
			at++;
		if (at < N_USED || strncmp(key->text, "x-", 2) == 0)
			continue;
		if (strcmp(key->text, "program") == 0 || strcmp(key->text, "command") == 0)
			return yaml_err(key, err,
					"`%s`: `sweep` cannot run programs of your own; it trains and decodes prefixes "
					"of GPT-2 itself, and does that for this file once the key is taken out",
					key->text);
		if (at < N_USED + N_UNUSED) {
			spec_notice(spec, "`%s` (line %zu) is not used: %s", names[at], key->line,
				    keys_unused[at - N_USED].why);
			continue;
		}
		if (params_find(key->text) >= 0)
			return yaml_err(key, err, "unknown key `%s`; a parameter belongs under `parameters:`",
					key->text);
		const char *near = err_nearest(key->text, names, N_USED + N_UNUSED);
		if (near)
			return yaml_err(key, err, "unknown key %s; did you mean `%s`?", yaml_found(key, room), near);
		return yaml_err(key, err,
				"unknown key %s; known are name, model, dataset, prompt, target, method, metric, "
				"run_cap, seed, parameters (your own may start with x-)",
				yaml_found(key, room));
	}
	return 0;
}

static int read_method(struct spec *spec, const struct yaml_node *root, struct err *err)
{
	const struct yaml_node *method = yaml_get(root, "method"), *cap = yaml_get(root, "run_cap"),
			       *seed = yaml_get(root, "seed");
	char room[80];
	int64_t number = 0;
	if (method) {
		if (method->kind == YAML_SCALAR && strcmp(method->text, "grid") == 0)
			spec->method = SPEC_GRID;
		else if (method->kind == YAML_SCALAR && strcmp(method->text, "random") == 0)
			spec->method = SPEC_RANDOM;
		else
			return yaml_err(method, err, "method: %s is not one of grid, random", yaml_found(method, room));
	}
	if (cap && spec_int(cap, "run_cap", 1, POINTS_MAX, &spec->run_cap, err) < 0)
		return -1;
	if (spec->method == SPEC_RANDOM && !cap)
		return yaml_err(method, err, "method: random needs `run_cap:`, the number of runs to draw");
	if (seed && spec_int(seed, "seed", 0, INT64_MAX, &number, err) < 0)
		return -1;
	spec->seed = (uint64_t)number;
	return 0;
}

int spec_check_metric(const struct spec *spec, const struct yaml_node *node, const char *what, const char *name,
		      struct err *err)
{
	size_t n = 2 * spec->n_splits;
	char **names = mem_array(n, sizeof *names), room[80];
	struct buf list = BUF_INIT;
	int result = -1;
	for (size_t i = 0; i < spec->n_splits; i++) {
		names[2 * i] = mem_printf("%s_bleu", spec->splits[i].name);
		names[2 * i + 1] = mem_printf("%s_sentence_bleu", spec->splits[i].name);
		buf_printf(&list, "%s%s, %s", i ? ", " : "", names[2 * i], names[2 * i + 1]);
	}
	for (size_t i = 0; i < n && result; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		if (!spec->splits[i / 2].scored) {
			yaml_err(node, err, "%s: the split `%s` has no references, so it gets no scores", what,
				 spec->splits[i / 2].name);
			goto out;
		}
		result = 0;
	}
	if (result) {
		const char *near = err_nearest(name, (const char *const *)names, n);
		if (near)
			yaml_err(node, err, "%s: unknown metric %s; did you mean `%s`?", what, yaml_found(node, room),
				 near);
		else
			yaml_err(node, err, "%s: unknown metric %s; known are %s", what, yaml_found(node, room),
				 list.data);
	}
out:
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	buf_release(&list);
	return result;
}

static int read_metric(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	static const char *const keys[] = {"name", "goal", "target"};
	char room[80];
	spec->maximize = true;
	const struct spec_split *best = NULL;
	for (size_t i = 0; i < spec->n_splits; i++) {
		const struct spec_split *split = &spec->splits[i];
		if (split->scored && (!best || (strcmp(split->name, "dev") == 0 && strcmp(best->name, "dev") != 0)))
			best = split;
	}
	if (!best) {
		best = &spec->splits[0];
		spec_notice(spec, "no split has references: runs get texts but no scores");
	}
	spec->metric = mem_printf("%s_bleu", best->name);
	if (!node)
		return 0;
	const struct yaml_node *name = node;
	if (node->kind == YAML_MAP) {
		if (spec_keys(node, keys, sizeof keys / sizeof *keys, "metric", err) < 0)
			return -1;
		name = yaml_get(node, "name");
		const struct yaml_node *goal = yaml_get(node, "goal");
		if (goal && goal->kind == YAML_SCALAR && strcmp(goal->text, "minimize") == 0)
			spec->maximize = false;
		else if (goal && (goal->kind != YAML_SCALAR || strcmp(goal->text, "maximize") != 0))
			return yaml_err(goal, err, "metric.goal: %s is not one of maximize, minimize",
					yaml_found(goal, room));
		if (yaml_get(node, "target"))
			spec_notice(spec, "`metric.target` (line %zu) is not used: every run is worked to its end",
				    yaml_get(node, "target")->line);
	}
	if (name && (spec_text(name, "metric.name", false, &spec->metric, err) < 0 ||
		     spec_check_metric(spec, name, "metric.name", spec->metric, err) < 0))
		return -1;
	/* Every metric that there is today is a BLEU, whose direction nobody doubts. One that has none must be given one. */
	if (!spec->maximize)
		spec_warning(spec,
			     "`goal: minimize` makes the run with the worst %s the best one: more BLEU is better; say "
			     "`goal: maximize`",
			     spec->metric);
	else if (node->kind == YAML_MAP && !yaml_get(node, "goal"))
		spec_notice(spec, "no `goal:` for %s, so it is maximized (W&B would minimize it)", spec->metric);
	return 0;
}

/* Names are shown and stored for ever: as one line of letters. */
void spec_clean(char **name)
{
	struct buf clean = BUF_INIT;
	utf8_clean(*name, strlen(*name), &clean);
	free(*name);
	*name = buf_detach(&clean);
}

static int read_name(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	if (node) {
		if (spec_text(node, "name", false, &spec->name, err) < 0)
			return -1;
		if (strlen(spec->name) > 200)
			return yaml_err(node, err, "name: more than 200 bytes");
		spec_clean(&spec->name);
		return 0;
	}
	const char *slash = strrchr(spec->path, '/'), *base = slash ? slash + 1 : spec->path;
	const char *dot = strrchr(base, '.');
	spec->name = dot && dot != base ? mem_strndup(base, (size_t)(dot - base)) : mem_strdup(base);
	spec_clean(&spec->name);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ --set and loading */

struct overrides {
	struct yaml *docs; /* two for each: key and value; the nodes live in the file's tree until reading ends */
	size_t n;
};

static int apply_override(struct yaml_node *root, const char *text, struct overrides *o, struct err *err)
{
	const char *equals = strchr(text, '=');
	if (!equals || equals == text)
		return err_set(err, ERR_USAGE, "--set %s: expected key=value", text);
	if (equals[1] == '\0')
		return err_set(err, ERR_USAGE, "--set %s: no value behind the equals sign", text);
	int result = -1;
	char *key_text = mem_strndup(text, (size_t)(equals - text)), *name = mem_printf("--set %s", key_text);
	if (yaml_parse(&o->docs[o->n], key_text, strlen(key_text), name, err) < 0)
		goto out;
	struct yaml_node *key = o->docs[o->n++].root;
	if (yaml_parse(&o->docs[o->n], equals + 1, strlen(equals + 1), name, err) < 0)
		goto out;
	struct yaml_node *value = o->docs[o->n++].root;
	if (key->kind != YAML_SCALAR) {
		err_set(err, ERR_USAGE, "%s: expected the name of a parameter or a key", name);
		goto out;
	}
	int id = params_find(key->text);
	if (id >= 0) {
		result = spec_params_override(yaml_get(root, "parameters"), id, key, value, err);
		if (result < 0 && !err->kind)
			err_set(err, ERR_INPUT, "%s: the sweep file has no `parameters:`", name);
		goto out;
	}
	for (size_t i = 0; i < N_USED; i++) {
		if (strcmp(keys_used[i], key->text) == 0 && strcmp(key->text, "parameters") != 0) {
			yaml_put(root, key, value);
			result = 0;
			goto out;
		}
	}
	const char *near = params_nearest(key->text);
	if (!near)
		near = err_nearest(key->text, keys_used, N_USED);
	struct buf foreign = BUF_INIT;
	if (spec_foreign_describe(key->text, &foreign))
		err_set(err, ERR_USAGE, "%s: %s", name, foreign.data);
	else if (near)
		err_set(err, ERR_USAGE, "%s: no such parameter or key; did you mean `%s`?", name, near);
	else
		err_set(err, ERR_USAGE, "%s: no such parameter or key; `sweep params` lists the parameters", name);
	buf_release(&foreign);
out:
	free(name);
	free(key_text);
	return result;
}

static int read_root(struct spec *spec, const struct yaml_node *root, struct err *err)
{
	const struct yaml_node *parameters = yaml_get(root, "parameters");
	if (check_top(spec, root, err) < 0 || read_name(spec, yaml_get(root, "name"), err) < 0 ||
	    read_method(spec, root, err) < 0 || spec_data_model(spec, yaml_get(root, "model"), err) < 0 ||
	    spec_data_dataset(spec, yaml_get(root, "dataset"), err) < 0 ||
	    spec_data_templates(spec, yaml_get(root, "prompt"), yaml_get(root, "target"), err) < 0 ||
	    read_metric(spec, yaml_get(root, "metric"), err) < 0)
		return -1;
	if (!parameters)
		return err_at(err, spec->path, 0, 0, "`parameters:` is missing; it holds what the sweep varies");
	return spec_params_read(spec, parameters, err);
}

int spec_load(struct spec *spec, const char *path, const char *const *overrides, size_t n_overrides, struct err *err)
{
	*spec = (struct spec){.path = mem_strdup(path), .folder = fs_absolute(path), .maximize = true};
	struct buf text = BUF_INIT;
	struct yaml doc = {0};
	struct overrides o = {.docs = mem_zero(2 * n_overrides, sizeof *o.docs)};
	char *slash = strrchr(spec->folder, '/');
	int result = -1;
	slash[slash == spec->folder] = '\0';
	*err = (struct err){0};
	if (buf_read_file(&text, path, YAML_BYTES_MAX, err) < 0 ||
	    yaml_parse(&doc, text.data ? text.data : "", text.size, path, err) < 0)
		goto out;
	for (size_t i = 0; i < n_overrides; i++) {
		if (apply_override(doc.root, overrides[i], &o, err) < 0)
			goto out;
		buf_printf(&text, "%s# --set %s\n", i ? "" : "\n", overrides[i]);
	}
	result = read_root(spec, doc.root, err);
	if (result == 0)
		spec->text = buf_detach(&text);
out:
	for (size_t i = 0; i < o.n; i++)
		yaml_release(&o.docs[i]);
	free(o.docs);
	yaml_release(&doc);
	buf_release(&text);
	if (result < 0)
		spec_release(spec);
	return result;
}

static void release_file(struct spec_file *file)
{
	free(file->path);
	free(file->at.file);
}

void spec_release(struct spec *spec)
{
	free(spec->path);
	free(spec->name);
	free(spec->folder);
	free(spec->text);
	free(spec->model);
	free(spec->model_at.file);
	free(spec->dataset);
	release_file(&spec->train);
	free(spec->columns.input);
	free(spec->columns.target);
	free(spec->prompt);
	free(spec->target);
	free(spec->metric);
	for (size_t i = 0; i < spec->n_splits; i++) {
		free(spec->splits[i].name);
		release_file(&spec->splits[i].input);
		release_file(&spec->splits[i].references);
	}
	free(spec->splits);
	for (size_t i = 0; i < spec->n_grids; i++) {
		for (size_t j = 0; j < spec->grids[i].n_params; j++) {
			free(spec->grids[i].params[j].values);
			free(spec->grids[i].params[j].probabilities);
		}
		free(spec->grids[i].params);
		free(spec->grids[i].label);
	}
	free(spec->grids);
	for (size_t i = 0; i < spec->n_expected; i++) {
		free(spec->expected[i].label);
		free(spec->expected[i].metric);
	}
	free(spec->expected);
	for (size_t i = 0; i < spec->n_notices; i++)
		free(spec->notices[i]);
	free(spec->notices);
	*spec = (struct spec){0};
}
