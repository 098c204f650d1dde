/* spec_params.c - `parameters:` of a sweep file: lists, scalars and W&B's maps, checked against params.def.
 *
 * Part of spec.c's step. A parameter is written as a bare scalar, a bare list, or W&B's map (value, values, min/max,
 * distribution, ...); the whole is one map (one grid) or a list of maps (the union of their grids, each perhaps with a
 * `name:` and the `expected:` scores that somebody published). Every value goes through params_parse, so the sentence
 * about a wrong one is the same here, in --set and in a job file; here it gets file:line:column in front. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "spec_parts.h"

/* W&B's names. `values` and the like are SPEC_VALUES. */
static const struct {
	const char *name;
	enum spec_distribution distribution;
} distributions[] = {
	{"constant", SPEC_VALUES},
	{"categorical", SPEC_VALUES},
	{"categorical_w_probabilities", SPEC_VALUES},
	{"int_uniform", SPEC_INT_UNIFORM},
	{"uniform", SPEC_UNIFORM},
	{"q_uniform", SPEC_Q_UNIFORM},
	{"log_uniform", SPEC_LOG_UNIFORM},
	{"log_uniform_values", SPEC_LOG_UNIFORM_VALUES},
	{"q_log_uniform", SPEC_Q_LOG_UNIFORM},
	{"q_log_uniform_values", SPEC_Q_LOG_UNIFORM_VALUES},
	{"normal", SPEC_NORMAL},
	{"q_normal", SPEC_Q_NORMAL},
	{"log_normal", SPEC_LOG_NORMAL},
	{"q_log_normal", SPEC_Q_LOG_NORMAL},
};
#define N_DISTRIBUTIONS (sizeof distributions / sizeof *distributions)

static int read_value(int id, const struct yaml_node *node, union param_value *value, struct err *err)
{
	struct params scratch;
	char room[80];
	bool plain = node->kind == YAML_SCALAR && strlen(node->text) <= 60 && (node->text[0] || !node->quoted);
	for (const char *p = plain ? node->text : ""; *p; p++)
		plain = plain && (unsigned char)*p >= 0x20 && *p != 0x7f;
	bool nullable = strcmp(param_table[id].default_text, "null") == 0;
	if (plain && !(node->text[0] == '\0' && !nullable)) {
		if (params_parse(&scratch, id, yaml_is_null(node) && nullable ? "null" : node->text, err) < 0)
			return err_prefix(err, "%s:%zu:%zu", node->file, node->line, node->column);
		*value = scratch.v[id];
		return 0;
	}
	struct buf what = BUF_INIT;
	params_describe(id, &what);
	yaml_err(node, err, "%s: expected %s, found %s", param_table[id].name, what.data, yaml_found(node, room));
	buf_release(&what);
	return -1;
}

static int read_values(struct spec_param *param, const struct yaml_node *node, struct err *err)
{
	param->distribution = SPEC_VALUES;
	size_t n = node->kind == YAML_LIST ? node->n : 1;
	if (n == 0)
		return yaml_err(node, err, "%s: an empty list; give at least one value", param_table[param->id].name);
	param->values = mem_array(n, sizeof *param->values);
	param->n_values = n;
	for (size_t i = 0; i < n; i++)
		if (read_value(param->id, node->kind == YAML_LIST ? node->items[i] : node, &param->values[i], err) < 0)
			return -1;
	return 0;
}

static int read_probabilities(struct spec_param *param, const struct yaml_node *node, const struct spec *spec,
			      struct err *err)
{
	const char *name = param_table[param->id].name;
	if (spec->method == SPEC_GRID)
		return yaml_err(node, err, "%s: `probabilities` need method random; a grid takes every value", name);
	if (node->kind != YAML_LIST || node->n != param->n_values)
		return yaml_err(node, err, "%s: expected %zu probabilities, one for each value", name, param->n_values);
	param->probabilities = mem_array(node->n, sizeof *param->probabilities);
	double sum = 0;
	for (size_t i = 0; i < node->n; i++) {
		if (spec_number(node->items[i], name, &param->probabilities[i], err) < 0)
			return -1;
		if (param->probabilities[i] < 0)
			return yaml_err(node->items[i], err, "%s: a probability below 0", name);
		sum += param->probabilities[i];
	}
	if (fabs(sum - 1) > 1e-6)
		return yaml_err(node, err, "%s: the probabilities add up to %.6g, expected 1", name, sum);
	return 0;
}

static bool is_whole_text(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && node->text[0] && strspn(node->text, "+-0123456789") == strlen(node->text);
}

static bool takes_normal(enum spec_distribution d)
{
	return d == SPEC_NORMAL || d == SPEC_Q_NORMAL || d == SPEC_LOG_NORMAL || d == SPEC_Q_LOG_NORMAL;
}

static bool takes_q(enum spec_distribution d)
{
	return d == SPEC_Q_UNIFORM || d == SPEC_Q_LOG_UNIFORM || d == SPEC_Q_LOG_UNIFORM_VALUES || d == SPEC_Q_NORMAL ||
	       d == SPEC_Q_LOG_NORMAL;
}

/* Words that others use, whose nearest word of W&B's means something else. */
static const struct {
	const char *word, *meant;
} other_words[] = {
	{"loguniform", "log_uniform_values"},
	{"log-uniform", "log_uniform_values"},
	{"reciprocal", "log_uniform_values"},
	{"qloguniform", "q_log_uniform_values"},
	{"choice", "categorical"},
	{"randint", "int_uniform"},
};

static int unknown_distribution(const char *name, const struct yaml_node *word, struct err *err)
{
	const char *names[N_DISTRIBUTIONS], *near = NULL;
	char room[80];
	yaml_found(word, room);
	for (size_t i = 0; i < N_DISTRIBUTIONS; i++)
		names[i] = distributions[i].name;
	if (word->kind == YAML_SCALAR)
		near = err_nearest(word->text, names, N_DISTRIBUTIONS);
	for (size_t i = 0; word->kind == YAML_SCALAR && i < sizeof other_words / sizeof *other_words; i++)
		if (strcasecmp(word->text, other_words[i].word) == 0)
			near = other_words[i].meant;
	if (!near)
		return yaml_err(word, err, "%s: unknown distribution %s", name, room);
	return yaml_err(word, err, "%s: unknown distribution %s; did you mean `%s`?%s", name, room, near,
			strstr(near, "log_uniform_values")
				? " (its min and max are values, those of log_uniform exponents)"
				: "");
}

/* log_uniform takes exponents: 1e-5 to 1e-2 draws values around 1, which nobody who writes that wants. */
static void warn_of_exponents(struct spec *spec, const struct spec_param *param)
{
	if (param->distribution != SPEC_LOG_UNIFORM && param->distribution != SPEC_Q_LOG_UNIFORM)
		return;
	if (param->min > 0 && (param->min < 0.1 || param->max <= 1))
		spec_warning(spec,
			     "%s: log_uniform takes exponents, so `min` %g and `max` %g draw values from %.6g to "
			     "%.6g; log_uniform_values takes the values themselves",
			     param_table[param->id].name, param->min, param->max, exp(param->min), exp(param->max));
}

/* The ends of a range must be values that the parameter can have (of log_uniform: their exponentials). */
static int check_end(const struct spec_param *param, const struct yaml_node *node, double end, struct err *err)
{
	bool exponent = param->distribution == SPEC_LOG_UNIFORM || param->distribution == SPEC_Q_LOG_UNIFORM;
	union param_value value;
	double real = exponent ? exp(end) : end;
	if (exponent && (!isfinite(real) || real < param_table[param->id].min || real > param_table[param->id].max))
		return yaml_err(node, err,
				"%s: e to the power of %g is outside of what it accepts (log_uniform takes "
				"exponents; log_uniform_values takes the values themselves)",
				param_table[param->id].name, end);
	if (exponent)
		return 0;
	return read_value(param->id, node, &value, err);
}

static int read_range(struct spec_param *param, const struct yaml_node *map, struct err *err)
{
	const struct yaml_node *min = yaml_get(map, "min"), *max = yaml_get(map, "max"), *q = yaml_get(map, "q");
	const char *name = param_table[param->id].name;
	enum param_type type = param_table[param->id].type;
	if (type == PARAM_TYPE_BOOL || type == PARAM_TYPE_CHOICE)
		return yaml_err(map, err, "%s has no range; list its `values`", name);
	if ((min && spec_number(min, name, &param->min, err) < 0) ||
	    (max && spec_number(max, name, &param->max, err) < 0))
		return -1;
	if (type == PARAM_TYPE_INT && param->distribution != SPEC_INT_UNIFORM && !takes_q(param->distribution))
		return yaml_err(map, err, "%s takes whole numbers; use int_uniform or a distribution with `q`", name);
	param->q = 1;
	if (q && !takes_q(param->distribution))
		return yaml_err(q, err, "%s: `q` belongs to the distributions that start with q_", name);
	if (q && (spec_number(q, name, &param->q, err) < 0 || param->q <= 0))
		return err->kind ? -1 : yaml_err(q, err, "%s: `q` must be above 0", name);
	if (type == PARAM_TYPE_INT && param->q != floor(param->q))
		return yaml_err(q, err, "%s takes whole numbers, so `q` must be one", name);
	if (takes_normal(param->distribution)) {
		const struct yaml_node *mu = yaml_get(map, "mu"), *sigma = yaml_get(map, "sigma");
		if (min || max)
			return yaml_err(min ? min : max, err,
					"%s: a normal distribution has mu and sigma, no min or max", name);
		param->sigma = 1;
		if ((mu && spec_number(mu, name, &param->mu, err) < 0) ||
		    (sigma && spec_number(sigma, name, &param->sigma, err) < 0))
			return -1;
		return param->sigma > 0 ? 0 : yaml_err(sigma, err, "%s: `sigma` must be above 0", name);
	}
	const struct yaml_node *stray = yaml_get(map, "mu") ? yaml_get(map, "mu") : yaml_get(map, "sigma");
	if (stray)
		return yaml_err(stray, err, "%s: mu and sigma belong to normal distributions", name);
	if (!min || !max)
		return yaml_err(map, err, "%s: expected both `min` and `max`", name);
	if (check_end(param, min, param->min, err) < 0 || check_end(param, max, param->max, err) < 0)
		return -1;
	if (param->min > param->max)
		return yaml_err(min, err, "%s: `min` %g is above `max` %g", name, param->min, param->max);
	bool by_log =
		param->distribution == SPEC_LOG_UNIFORM_VALUES || param->distribution == SPEC_Q_LOG_UNIFORM_VALUES;
	if (by_log && param->min <= 0)
		return yaml_err(min, err, "%s: a logarithmic range needs a `min` above 0", name);
	return 0;
}

/* W&B's map of one parameter. */
static int read_map(struct spec_param *param, const struct yaml_node *map, struct spec *spec, struct err *err)
{
	static const char *const keys[] = {"value",         "values", "min",   "max", "distribution",
					   "probabilities", "mu",     "sigma", "q"};
	const char *name = param_table[param->id].name;
	char room[80];
	if (yaml_get(map, "parameters"))
		return yaml_err(map, err,
				"%s: nested `parameters:` are not supported; write the parameters beside each other",
				name);
	if (spec_keys(map, keys, sizeof keys / sizeof *keys, name, err) < 0)
		return -1;
	const struct yaml_node *value = yaml_get(map, "value"), *values = yaml_get(map, "values"),
			       *word = yaml_get(map, "distribution"), *min = yaml_get(map, "min"),
			       *max = yaml_get(map, "max"), *probabilities = yaml_get(map, "probabilities");
	bool whole = (!min || is_whole_text(min)) && (!max || is_whole_text(max));
	param->distribution = value || values ? SPEC_VALUES : whole ? SPEC_INT_UNIFORM : SPEC_UNIFORM;
	/* whole ends of a real-valued parameter ({min: 0, max: 1} of top_p) mean the reals between them */
	if (param->distribution == SPEC_INT_UNIFORM && param_table[param->id].type == PARAM_TYPE_FLOAT && !word)
		param->distribution = SPEC_UNIFORM;
	if (word) {
		size_t at = 0;
		while (at < N_DISTRIBUTIONS &&
		       !(word->kind == YAML_SCALAR && strcmp(word->text, distributions[at].name) == 0))
			at++;
		if (at == N_DISTRIBUTIONS)
			return unknown_distribution(name, word, err);
		param->distribution = distributions[at].distribution;
	}
	if (param->distribution != SPEC_VALUES) {
		if (value || values)
			return yaml_err(word, err, "%s: a distribution and a list of values exclude each other", name);
		if (!word && !min && !max)
			return yaml_err(map, err, "%s: expected `value`, `values`, or `min` and `max`", name);
		if (spec->method == SPEC_GRID)
			return yaml_err(map, err, "%s: a range needs method random; a grid takes a list of `values`",
					name);
		if (probabilities)
			return yaml_err(probabilities, err, "%s: `probabilities` belong to `values`", name);
		if (read_range(param, map, err) < 0)
			return -1;
		warn_of_exponents(spec, param);
		return 0;
	}
	if (value && values)
		return yaml_err(values, err, "%s: both `value` and `values`; give one of them", name);
	if (!value && !values)
		return yaml_err(map, err, "%s: expected `value` or `values`", name);
	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->pairs[i].key->text;
		if (strcmp(key, "value") && strcmp(key, "values") && strcmp(key, "distribution") &&
		    strcmp(key, "probabilities"))
			return yaml_err(map->pairs[i].key, err, "%s: `%s` and a list of values exclude each other",
					name, key);
	}
	if (values && values->kind != YAML_LIST)
		return yaml_err(values, err, "%s: `values` must be a list, found %s", name, yaml_found(values, room));
	if (value && value->kind != YAML_SCALAR)
		return yaml_err(value, err, "%s: `value` must be one value, found %s; use `values` for a list", name,
				yaml_found(value, room));
	if (read_values(param, value ? value : values, err) < 0)
		return -1;
	return probabilities ? read_probabilities(param, probabilities, spec, err) : 0;
}

static int unknown_parameter(const struct yaml_node *key, bool in_list, struct err *err)
{
	char room[80];
	const char *near = params_nearest(key->text);
	if (!in_list && (strcmp(key->text, "name") == 0 || strcmp(key->text, "expected") == 0))
		return yaml_err(key, err, "`%s` stands in an entry only where `parameters` is a list of maps",
				key->text);
	if (near)
		return yaml_err(key, err, "unknown parameter %s; did you mean `%s`?", yaml_found(key, room), near);
	return yaml_err(key, err, "unknown parameter %s; `sweep params` lists them", yaml_found(key, room));
}

static int read_expected(struct spec *spec, const struct spec_grid *grid, const struct yaml_node *node, struct err *err)
{
	char room[80];
	if (!grid->label)
		return yaml_err(node, err, "expected: needs a `name` beside it, which the report shows");
	if (node->kind != YAML_MAP)
		return yaml_err(node, err, "expected: expected a map of scores, found %s", yaml_found(node, room));
	for (size_t i = 0; i < grid->n_params; i++)
		if (grid->params[i].distribution != SPEC_VALUES || grid->params[i].n_values != 1)
			return yaml_err(node, err, "expected: belongs to one setting, but %s has several values here",
					param_table[grid->params[i].id].name);
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
		double score;
		if (spec_check_metric(spec, key, "expected", key->text, err) < 0)
			return -1;
		if (yaml_is_null(value))
			continue; /* not published */
		if (spec_number(value, "expected", &score, err) < 0)
			return -1;
		spec->expected = mem_grow(spec->expected, spec->n_expected + 1, sizeof *spec->expected);
		spec->expected[spec->n_expected++] =
			(struct spec_expected){mem_strdup(grid->label), mem_strdup(key->text), score};
	}
	return 0;
}

static int read_label(struct spec *spec, struct spec_grid *grid, const struct yaml_node *node, struct err *err)
{
	if (spec_text(node, "name", false, &grid->label, err) < 0)
		return -1;
	spec_clean(&grid->label);
	for (size_t i = 0; i + 1 < spec->n_grids; i++)
		if (spec->grids[i].label && strcmp(spec->grids[i].label, grid->label) == 0)
			return yaml_err(node, err, "name: another entry is called `%s`", grid->label);
	return 0;
}

static int read_grid(struct spec *spec, const struct yaml_node *map, bool in_list, struct err *err)
{
	char room[80];
	if (map->kind != YAML_MAP)
		return yaml_err(map, err, "parameters: expected a map of parameters, found %s", yaml_found(map, room));
	if (map->n == 0)
		return yaml_err(map, err, "parameters: an empty map; name at least one parameter");
	spec->grids = mem_grow(spec->grids, spec->n_grids + 1, sizeof *spec->grids);
	struct spec_grid *grid = &spec->grids[spec->n_grids++];
	*grid = (struct spec_grid){.params = mem_zero(map->n, sizeof *grid->params)};
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->pairs[i].key, *value = map->pairs[i].value;
		if (in_list && strcmp(key->text, "name") == 0) {
			if (read_label(spec, grid, value, err) < 0)
				return -1;
			continue;
		}
		if (in_list && strcmp(key->text, "expected") == 0)
			continue;
		int id = params_find(key->text), foreign = id < 0 ? spec_foreign_read(spec, key, value, err) : 0;
		if (id < 0 && foreign == 0)
			return unknown_parameter(key, in_list, err);
		if (foreign < 0)
			return -1;
		if (foreign > 0)
			continue;
		for (size_t j = 0; j < grid->n_params; j++)
			if (grid->params[j].id == id)
				return yaml_err(
					key, err,
					"%s is given twice (`%s` is the same parameter); the first is on line %zu",
					param_table[id].name, key->text, grid->params[j].line);
		struct spec_param *param = &grid->params[grid->n_params++];
		*param = (struct spec_param){.id = id};
		if (strcmp(key->file, spec->path) == 0) { /* not of --set */
			param->line = key->line;
			param->column = key->column;
		}
		if (value->kind == YAML_MAP ? read_map(param, value, spec, err) : read_values(param, value, err))
			return -1;
	}
	const struct yaml_node *expected = in_list ? yaml_get(map, "expected") : NULL;
	return expected && !yaml_is_null(expected) ? read_expected(spec, grid, expected, err) : 0;
}

int spec_params_read(struct spec *spec, const struct yaml_node *node, struct err *err)
{
	if (node->kind != YAML_LIST)
		return read_grid(spec, node, false, err);
	if (node->n == 0)
		return yaml_err(node, err, "parameters: an empty list; give at least one map of parameters");
	if (node->n > SPEC_GRIDS_MAX)
		return yaml_err(node, err, "parameters: %zu entries; at most %d", node->n, SPEC_GRIDS_MAX);
	for (size_t i = 0; i < node->n; i++)
		if (read_grid(spec, node->items[i], true, err) < 0)
			return -1;
	return 0;
}

static void override_map(struct yaml_node *map, int id, struct yaml_node *key, struct yaml_node *value)
{
	for (size_t i = 0; i < map->n; i++) {
		if (params_find(map->pairs[i].key->text) == id) { /* perhaps by another of its names */
			map->pairs[i] = (struct yaml_pair){key, value};
			return;
		}
	}
	yaml_put(map, key, value);
}

int spec_params_override(struct yaml_node *parameters, int id, struct yaml_node *key, struct yaml_node *value,
			 struct err *err)
{
	char room[80];
	if (!parameters)
		return -1;
	if (parameters->kind == YAML_MAP) {
		override_map(parameters, id, key, value);
		return 0;
	}
	for (size_t i = 0; parameters->kind == YAML_LIST && i < parameters->n; i++) {
		if (parameters->items[i]->kind != YAML_MAP)
			return yaml_err(parameters->items[i], err, "parameters: expected a map of parameters, found %s",
					yaml_found(parameters->items[i], room));
		override_map(parameters->items[i], id, key, value);
	}
	return parameters->kind == YAML_LIST ? 0
					     : yaml_err(parameters, err, "parameters: expected a map, found %s",
							yaml_found(parameters, room));
}
