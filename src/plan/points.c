/* points.c - the grid multiplied out, or points drawn at random; see points.h.
 *
 * Third step of `sweep run`: spec -> here -> plan.c. The product's size is computed before anything is multiplied out,
 * so that a typing error costs a sentence and not the machine's memory. Duplicates are found with a hash table over the
 * values: a million points take about a second.
 *
 * Method random draws from Philox at position (draw, hash of the parameter's name): what one parameter draws depends
 * neither on which others the file varies nor on their order, and a larger run_cap continues a smaller one. */
#include "points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/generation.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "spec.h"

static bool same_point(size_t number, void *ctx)
{
	const struct points *points = ctx;
	return memcmp(&points->point[number].params, &points->point[points->n].params, sizeof(struct params)) == 0;
}

/* Keeps points->point[n] unless there is an equal one (which gets its label, if it has none); false then. Values are
 * compared by their bits, of a double too: there is no -0 and one NaN. */
static bool take_point(struct points *points, struct table *table)
{
	bool added;
	uint64_t word[PARAM_COUNT];
	struct point *point = &points->point[points->n];
	memcpy(word, &point->params, sizeof word);
	struct point *other =
		&points->point[table_add(table, table_hash(word, PARAM_COUNT), same_point, points, &added)];
	points->n += added;
	if (!other->label)
		other->label = point->label;
	return added;
}

/* The sum of the grids' products; a sentence when that is above POINTS_MAX. In doubles: exact up to 2^53, and large
 * enough for any file. */
static int count_points(const struct spec *spec, size_t *count, struct err *err)
{
	double sum = 0;
	for (size_t i = 0; i < spec->n_grids; i++) {
		double product = 1;
		for (size_t j = 0; j < spec->grids[i].n_params; j++)
			product *= (double)spec->grids[i].params[j].n_values;
		sum += product;
	}
	*count = (size_t)sum;
	if (sum <= POINTS_MAX)
		return 0;
	struct buf text = BUF_INIT;
	buf_printf(&text, sum < 1e18 ? "the grid has %.0f points" : "the grid has %.1e points", sum);
	const char *between = " (";
	for (size_t j = 0; spec->n_grids == 1 && j < spec->grids[0].n_params; j++) {
		const struct spec_param *param = &spec->grids[0].params[j];
		if (param->n_values > 1 && text.size < 600) {
			buf_printf(&text, "%s%zu %s", between, param->n_values, param_table[param->id].name);
			between = " x ";
		}
	}
	buf_printf(&text, "%s; at most %d are worked; shorten its lists or use method random with run_cap",
		   between[1] == '(' ? "" : ")", POINTS_MAX);
	err_at(err, spec->path, 0, 0, "%s", text.data);
	buf_release(&text);
	return -1;
}

/* Whole grids, the last parameter fastest, until `cap` points are there. */
static void multiply_out(struct points *points, struct table *table, const struct spec *spec,
			 const struct params *defaults, size_t cap)
{
	for (size_t g = 0; g < spec->n_grids; g++) {
		const struct spec_grid *grid = &spec->grids[g];
		size_t *at = mem_zero(grid->n_params, sizeof *at);
		struct params current = *defaults;
		for (size_t j = 0; j < grid->n_params; j++)
			current.v[grid->params[j].id] = grid->params[j].values[0];
		for (bool more = true; more && points->n < cap;) {
			points->point[points->n] = (struct point){current, grid->label};
			if (!take_point(points, table))
				points->duplicates++;
			more = false;
			for (size_t j = grid->n_params; j-- > 0 && !more;) {
				const struct spec_param *param = &grid->params[j];
				more = ++at[j] < param->n_values;
				if (!more)
					at[j] = 0;
				current.v[param->id] = param->values[at[j]];
			}
		}
		free(at);
	}
}

/* ------------------------------------------------------------------------------------------------ random */

struct draw {
	struct rng_key key;
	uint64_t number, lo;
};

static double draw_unit(struct draw *d)
{
	uint32_t r[4];
	rng_block(d->key, d->number, d->lo++, r);
	return rng_unit_double(r[0], r[1]);
}

static double draw_normal(struct draw *d)
{
	uint32_t r[4];
	rng_block(d->key, d->number, d->lo++, r);
	return sqrt(-2 * log(rng_unit_double(r[0], r[1]))) * cos(2 * M_PI * rng_unit_double(r[2], r[3]));
}

static double draw_real(const struct spec_param *param, struct draw *d)
{
	double low = param->min, high = param->max, x;
	switch (param->distribution) {
	case SPEC_UNIFORM:
		return low + (high - low) * draw_unit(d);
	case SPEC_Q_UNIFORM:
		x = low + (high - low) * draw_unit(d);
		break;
	case SPEC_LOG_UNIFORM:
		return exp(low + (high - low) * draw_unit(d));
	case SPEC_Q_LOG_UNIFORM:
		x = exp(low + (high - low) * draw_unit(d));
		break;
	case SPEC_LOG_UNIFORM_VALUES:
	case SPEC_Q_LOG_UNIFORM_VALUES:
		x = exp(log(low) + (log(high) - log(low)) * draw_unit(d));
		x = x < low ? low : x > high ? high : x; /* rounding of exp(log()) */
		if (param->distribution == SPEC_LOG_UNIFORM_VALUES)
			return x;
		break;
	case SPEC_NORMAL:
		return param->mu + param->sigma * draw_normal(d);
	case SPEC_LOG_NORMAL:
		return exp(param->mu + param->sigma * draw_normal(d));
	case SPEC_Q_NORMAL:
		x = param->mu + param->sigma * draw_normal(d);
		break;
	case SPEC_Q_LOG_NORMAL:
		x = exp(param->mu + param->sigma * draw_normal(d));
		break;
	default:
		BUG("distribution %d draws no reals", (int)param->distribution);
	}
	char text[32]; /* 0.3 rather than 3 * 0.1 */
	snprintf(text, sizeof text, "%.14g", nearbyint(x / param->q) * param->q);
	return strtod(text, NULL);
}

static union param_value draw_value(const struct spec_param *param, struct draw *d)
{
	union param_value value = {0};
	if (param->distribution == SPEC_VALUES) {
		double u = draw_unit(d), sum = 0;
		size_t at = (size_t)(u * (double)param->n_values);
		for (size_t i = 0; param->probabilities && i < param->n_values; i++) {
			sum += param->probabilities[i];
			if (param->probabilities[i] > 0)
				at = i; /* the last possible one, should rounding leave sum below u */
			if (u < sum)
				break;
		}
		return param->values[at];
	}
	if (param->distribution == SPEC_INT_UNIFORM) {
		/* 2^63 as a double is one past the largest seed */
		int64_t low = (int64_t)param->min, high = param->max >= 0x1p63 ? INT64_MAX : (int64_t)param->max;
		uint64_t span = (uint64_t)high - (uint64_t)low + 1;
		int64_t whole = (int64_t)((uint64_t)low + rng_below(d->key, d->number, d->lo++, span));
		if (param_table[param->id].type == PARAM_TYPE_FLOAT)
			value.f = (double)whole;
		else
			value.i = whole;
		return value;
	}
	double real = draw_real(param, d);
	if (param_table[param->id].type == PARAM_TYPE_INT)
		value.i = real >= -9e15 && real <= 9e15 ? (int64_t)real : INT64_MIN; /* the latter is in no range */
	else
		value.f = real == 0 ? 0 : real;
	return value;
}

/* A value the parameter accepts: what falls outside (a normal's tail, a rounded end) is drawn again. */
static int draw_accepted(const struct spec_param *param, const struct spec *spec, struct draw *d,
			 union param_value *value, struct err *err)
{
	const char *name = param_table[param->id].name;
	d->lo = hash_u64(name, strlen(name)) & ~(uint64_t)0xFFFF;
	for (int i = 0; i < 1000; i++) {
		struct err refused = {0};
		*value = draw_value(param, d);
		if (params_check(param->id, *value, &refused) == 0)
			return 0;
	}
	return err_at(err, spec->path, param->line, param->column,
		      "%s: 1,000 draws of its distribution gave no value that it accepts", name);
}

static int draw_points(struct points *points, struct table *table, const struct spec *spec,
		       const struct params *defaults, struct err *err)
{
	struct draw d = {.key = rng_key(spec->seed, RNG_POINTS)};
	uint64_t cap = (uint64_t)spec->run_cap, last = 50 * cap + 1000;
	/* Repeated draws are no loss here: run_cap asks for that many different runs, as far as there are so many. */
	for (; points->n < cap && d.number < last; d.number++) {
		const struct spec_grid *grid = &spec->grids[0];
		d.lo = 0;
		if (spec->n_grids > 1)
			grid = &spec->grids[(size_t)(draw_unit(&d) * (double)spec->n_grids)];
		struct point *point = &points->point[points->n];
		point->params = *defaults;
		point->label = grid->label;
		for (size_t j = 0; j < grid->n_params; j++)
			if (draw_accepted(&grid->params[j], spec, &d, &point->params.v[grid->params[j].id], err) < 0)
				return -1;
		take_point(points, table);
	}
	return 0;
}

/* Does every map of parameters set it? */
static bool is_set(const struct spec *spec, int id)
{
	for (size_t i = 0; i < spec->n_grids; i++) {
		bool found = false;
		for (size_t j = 0; j < spec->grids[i].n_params; j++)
			found |= spec->grids[i].params[j].id == id;
		if (!found)
			return false;
	}
	return spec->n_grids > 0;
}

int points_defaults(struct params *defaults, struct spec *spec, const char *model, struct err *err)
{
	struct generation g;
	params_default(defaults);
	char *config = fs_join(model, "config.json");
	bool there = fs_exists(config);
	free(config);
	if (!there) /* plan_keys.c has the sentence */
		return 0;
	if (generation_read(&g, model, err) < 0)
		return -1;
	if (g.max_length && !is_set(spec, PARAM_max_new_tokens))
		return err_at(err, spec->path, 0, 0,
			      "`max_new_tokens` is not set, and the model's %s limits prompt and output together "
			      "(`max_length`: %lld), which is not supported: set max_new_tokens",
			      g.file, (long long)g.max_length);
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (!g.set[id] || is_set(spec, id))
			continue;
		struct buf value = BUF_INIT;
		params_format(id, g.defaults.v[id], &value);
		spec_notice(spec, "%s is %s where the sweep file does not set it: the model's %s says so",
			    param_table[id].name, value.data, g.file);
		buf_release(&value);
	}
	*defaults = g.defaults;
	return 0;
}

int points_make(struct points *points, const struct spec *spec, const struct params *defaults, struct err *err)
{
	struct params usual;
	params_default(&usual);
	if (!defaults)
		defaults = &usual;
	*points = (struct points){0};
	size_t most = (size_t)spec->run_cap;
	if (spec->method == SPEC_GRID && count_points(spec, &most, err) < 0)
		return -1;
	struct table table = {0};
	points->point = mem_array(most + 1, sizeof *points->point);
	int result = 0;
	if (spec->method == SPEC_GRID)
		multiply_out(points, &table, spec, defaults, spec->run_cap ? (size_t)spec->run_cap : most);
	else
		result = draw_points(points, &table, spec, defaults, err);
	table_release(&table);
	if (result < 0)
		points_release(points);
	return result;
}

void points_release(struct points *points)
{
	free(points->point);
	*points = (struct points){0};
}
