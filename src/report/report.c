/* report.c - what all report formats share; see report.h. Stands between store_query.h and the formats, and decides
 * what a reader wants to see: columns in which runs differ, everything else said once. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "term/term.h"
#include "term/text.h"

#define MANY_VALUES 40 /* no grid has so many */
#define APART       12 /* values of a parameter shown each for itself; more are put into groups */
#define GROUPS      8

const struct report_format report_formats[] = {
	{"table", report_table, false, false, 20}, {"csv", report_csv, true, false, 0},
	{"json", report_json, true, false, 0},     {"markdown", report_markdown, false, true, 0},
	{"html", report_html, false, true, 0},
};
const size_t report_n_formats = sizeof report_formats / sizeof *report_formats;

const struct report_format *report_find(const char *name, struct err *err)
{
	const char *names[sizeof report_formats / sizeof *report_formats];
	for (size_t i = 0; i < report_n_formats; i++) {
		names[i] = report_formats[i].name;
		if (strcmp(names[i], name) == 0)
			return &report_formats[i];
	}
	const char *near = err_nearest(name, names, report_n_formats);
	if (near)
		err_set(err, ERR_USAGE, "unknown format `%s`; did you mean `%s`?", name, near);
	else
		err_set(err, ERR_USAGE, "unknown format `%s`; there are table, csv, json, markdown and html", name);
	return NULL;
}

int report_sweep(const struct store_sweeps *sweeps, const char *name, const char *db, const struct store_sweep **found,
		 struct err *err)
{
	if (sweeps->n == 0)
		return err_set(err, ERR_INPUT, "%s holds no sweep yet; `sweep run FILE` adds one", db);
	*found = &sweeps->sweep[0];
	if (!name)
		return 0;
	for (size_t i = 0; i < sweeps->n; i++)
		if (strcmp(sweeps->sweep[i].name, name) == 0) {
			*found = &sweeps->sweep[i];
			return 0;
		}
	const char **names = mem_array(sweeps->n, sizeof *names);
	for (size_t i = 0; i < sweeps->n; i++)
		names[i] = sweeps->sweep[i].name;
	const char *near = err_nearest(name, names, sweeps->n);
	if (near) {
		err_set(err, ERR_INPUT, "no sweep `%s` in %s; did you mean `%s`?", name, db, near);
	} else {
		struct buf list = BUF_INIT;
		for (size_t i = 0; i < sweeps->n && i < 8; i++)
			buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
		err_set(err, ERR_INPUT, "no sweep `%s` in %s; there are: %s%s", name, db, list.data,
			sweeps->n > 8 ? ", ..." : "");
		buf_release(&list);
	}
	free(names);
	return -1;
}

/* Losses and the like are better when small; the sweep's own metric is what its file says. */
static bool greater_is_better(const struct report *r, const char *metric)
{
	if (strcmp(metric, r->sweep->metric) == 0)
		return r->sweep->maximize;
	return !strstr(metric, "loss") && !strstr(metric, "perplexity") && !strstr(metric, "error");
}

/* Whether the metric exists is known when the runs are loaded: the sentence then names the nearest. */
static int unknown_metric(struct report *r, struct store *store, struct err *err)
{
	struct store_runs runs;
	struct store_runs_query query = {.sweep_id = r->sweep->id, .limit = 1};
	if (store_query_runs(store, &query, &runs, err) < 0)
		return -1;
	const char **names = mem_array(runs.n_metrics, sizeof *names);
	struct buf list = BUF_INIT;
	bool known = false;
	for (size_t i = 0; i < runs.n_metrics; i++) {
		names[i] = runs.metrics[i].name;
		known |= strcmp(names[i], r->options.metric) == 0;
		buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
	}
	const char *near = err_nearest(r->options.metric, names, runs.n_metrics);
	int result = 0;
	if (!known && near)
		result = err_set(err, ERR_INPUT, "no metric `%s` in sweep %s; did you mean `%s`?", r->options.metric,
				 r->sweep->name, near);
	else if (!known)
		result = err_set(err, ERR_INPUT, "no metric `%s` in sweep %s; there are: %s", r->options.metric,
				 r->sweep->name, list.size ? list.data : "none yet");
	free(names);
	buf_release(&list);
	store_runs_release(&runs);
	return result;
}

static void add_column(struct report *r, enum report_kind kind, int id, const char *name, bool number)
{
	if (r->n_columns < REPORT_COLUMNS_MAX)
		r->columns[r->n_columns++] = (struct report_column){kind, id, name, number};
}

static bool has_published(const struct report *r, const char *metric)
{
	for (size_t i = 0; i < r->n_listed && r->n_expected; i++)
		if (!isnan(report_published(r, &r->runs.run[i], metric)))
			return true;
	return false;
}

static void choose_columns(struct report *r)
{
	bool labels = false, notes = false, unfinished = false, all = r->options.all_columns;
	for (size_t i = 0; i < r->n_listed; i++) {
		labels |= r->runs.run[i].label != NULL;
		notes |= r->runs.run[i].note != NULL;
		unfinished |= strcmp(r->runs.run[i].status, "done") != 0;
	}
	if (all)
		add_column(r, REPORT_SWEEP, 0, "sweep", false);
	add_column(r, REPORT_RUN, 0, "run", true);
	if (labels)
		add_column(r, REPORT_LABEL, 0, "label", false);
	for (int id = 0; id < PARAM_COUNT; id++)
		if (r->varies[id] || all)
			add_column(r, REPORT_PARAM, id, param_table[id].name,
				   param_table[id].type == PARAM_TYPE_INT || param_table[id].type == PARAM_TYPE_FLOAT);
	for (size_t i = 0; i < r->runs.n_metrics; i++) {
		add_column(r, REPORT_METRIC, (int)i, r->runs.metrics[i].name, true);
		if (has_published(r, r->runs.metrics[i].name))
			add_column(r, REPORT_PUBLISHED, (int)i, "published", true);
	}
	if (unfinished || all)
		add_column(r, REPORT_STATUS, 0, "status", false);
	add_column(r, REPORT_SECONDS, 0, "seconds", true);
	if (notes && all)
		add_column(r, REPORT_NOTE, 0, "note", false);
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return isnan(x) ? (isnan(y) ? 0 : -1) : (x > y) - (x < y);
}

/* Three digits are enough for the eye; more where they tell two values apart. Among very many values, those of a random
 * search, four. */
static int digits_of(int id, const double *sorted, size_t n)
{
	struct buf one = BUF_INIT, other = BUF_INIT;
	int digits = n > MANY_VALUES ? 4 : 3;
	for (size_t i = 1; i < n && n <= MANY_VALUES && digits < 17;) {
		buf_clear(&one);
		buf_clear(&other);
		params_format_short(id, (union param_value){.f = sorted[i - 1]}, digits, &one);
		params_format_short(id, (union param_value){.f = sorted[i]}, digits, &other);
		if (sorted[i - 1] != sorted[i] && strcmp(one.data, other.data) == 0)
			digits++;
		else
			i++;
	}
	buf_release(&one);
	buf_release(&other);
	return digits;
}

static void find_digits(struct report *r)
{
	double *values = mem_array(r->runs.n, sizeof *values);
	for (int id = 0; id < PARAM_COUNT; id++) {
		r->digits[id] = 4;
		if (!r->varies[id] || param_table[id].type != PARAM_TYPE_FLOAT)
			continue;
		size_t n = 0;
		for (size_t i = 0; i < r->runs.n; i++)
			values[i] = r->runs.run[i].params.v[id].f;
		qsort(values, r->runs.n, sizeof *values, by_number);
		for (size_t i = 0; i < r->runs.n; i++)
			if (n == 0 || by_number(&values[n - 1], &values[i]) != 0)
				values[n++] = values[i];
		r->digits[id] = digits_of(id, values, n);
	}
	free(values);
}

/* The winner with everything, and how far it is ahead of the next. */
static int load_best(struct report *r, struct store *store, struct store_runs_query query, const char *metric,
		     struct err *err)
{
	struct store_runs two;
	if (r->runs.n == 0 || r->by == r->runs.n_metrics || isnan(r->runs.run[0].scores[r->by]))
		return err_set(err, ERR_INPUT, "no run of sweep %s has a %s yet; `sweep status` says what is going on",
			       r->sweep->name, metric);
	query.limit = 2;
	if (store_query_run(store, r->runs.run[0].id, &r->best, err) < 0 ||
	    store_query_runs(store, &query, &two, err) < 0)
		return -1;
	if (two.n > 1 && !isnan(two.run[1].scores[r->by])) {
		r->second = two.run[1].id;
		r->ahead = fabs(two.run[0].scores[r->by] - two.run[1].scores[r->by]);
	}
	store_runs_release(&two);
	return 0;
}

int report_load(struct report *r, struct store *store, const struct report_options *options, struct err *err)
{
	const char *db = r->db ? r->db : "results.db";
	bool colour = r->colour;
	int width = r->width;
	*r = (struct report){.options = *options, .db = db, .colour = colour, .width = width};
	if (store_query_sweeps(store, &r->sweeps, err) < 0 ||
	    report_sweep(&r->sweeps, options->sweep, db, &r->sweep, err) < 0 ||
	    (options->metric && unknown_metric(r, store, err) < 0))
		goto fail;
	struct store_runs_query query = {.sweep_id = r->sweep->id,
					 .limit = options->best       ? 1
						  : options->all_runs ? 0
								      : options->top};
	const char *metric = options->metric ? options->metric : r->sweep->metric;
	r->maximize = greater_is_better(r, metric);
	if (options->metric && strcmp(metric, r->sweep->metric) != 0) {
		query.metric = metric;
		query.maximize = r->maximize;
	}
	if (store_query_runs(store, &query, &r->runs, err) < 0 ||
	    store_query_expected(store, r->sweep->id, &r->runs.arena, &r->expected, &r->n_expected, err) < 0)
		goto fail;
	r->by = r->runs.n_metrics;
	for (size_t i = 0; i < r->runs.n_metrics; i++)
		if (strcmp(r->runs.metrics[i].name, metric) == 0)
			r->by = i;
	r->n_listed = options->top && options->top < r->runs.n ? options->top : r->runs.n;
	if (options->best && load_best(r, store, query, metric, err) < 0)
		goto fail;
	if (store_query_varying(store, r->sweep->id, r->varies, err) < 0)
		goto fail;
	find_digits(r);
	choose_columns(r);
	return 0;
fail:
	report_release(r);
	return -1;
}

void report_release(struct report *r)
{
	store_runs_release(&r->runs);
	store_sweeps_release(&r->sweeps);
	store_full_run_release(&r->best);
	*r = (struct report){0};
}

void report_score(double value, struct buf *out)
{
	if (isnan(value))
		buf_adds(out, "-");
	else
		buf_printf(out, "%.2f", value);
}

double report_published(const struct report *r, const struct store_run *run, const char *metric)
{
	for (size_t i = 0; run->label && i < r->n_expected; i++)
		if (strcmp(r->expected[i].label, run->label) == 0 && strcmp(r->expected[i].metric, metric) == 0)
			return r->expected[i].value;
	return (double)NAN;
}

static void add_number(double value, bool exact, const char *format, struct buf *out)
{
	if (isnan(value))
		return;
	if (exact)
		json_format_double(value, out);
	else
		buf_printf(out, format, value);
}

void report_cell(const struct report *r, const struct report_column *column, const struct store_run *run, bool exact,
		 struct buf *out)
{
	switch (column->kind) {
	case REPORT_SWEEP:
		buf_adds(out, r->sweep->name);
		break;
	case REPORT_RUN:
		buf_printf(out, "%lld", (long long)run->id);
		break;
	case REPORT_NOTE:
		buf_adds(out, run->note ? run->note : "");
		break;
	case REPORT_LABEL:
		buf_adds(out, run->label ? run->label : "");
		break;
	case REPORT_PARAM:
		if (exact)
			params_format(column->id, run->params.v[column->id], out);
		else
			params_format_short(column->id, run->params.v[column->id], r->digits[column->id], out);
		break;
	case REPORT_METRIC:
		add_number(run->scores[column->id], exact, "%.2f", out);
		break;
	case REPORT_PUBLISHED:
		add_number(report_published(r, run, r->runs.metrics[column->id].name), exact, "%.2f", out);
		break;
	case REPORT_STATUS:
		buf_adds(out, run->status);
		break;
	case REPORT_SECONDS:
		add_number(run->seconds, exact, "%.1f", out);
		break;
	}
}

void report_constants(const struct report *r, struct buf *out)
{
	bool first = true;
	for (int id = 0; r->runs.n && id < PARAM_COUNT; id++) {
		union param_value value = r->runs.run[0].params.v[id];
		if (r->varies[id] || params_is_default(id, value))
			continue;
		buf_printf(out, "%s%s ", first ? "" : ", ", param_table[id].name);
		params_format_short(id, value, r->digits[id], out);
		first = false;
	}
}

void report_counts(const struct store_sweep *sweep, struct buf *out)
{
	buf_printf(out, "%lld run%s", (long long)sweep->runs, sweep->runs == 1 ? "" : "s");
	if (sweep->runs && sweep->done == sweep->runs) {
		buf_adds(out, sweep->runs == 1 ? ", done" : ", all done");
		return;
	}
	const struct {
		int64_t n;
		const char *what;
	} parts[] = {{sweep->done, "done"}, {sweep->pending, "waiting"}, {sweep->failed, "failed"}};
	bool first = true;
	for (size_t i = 0; i < 3; i++)
		if (parts[i].n) {
			buf_printf(out, "%s%lld %s", first ? ": " : ", ", (long long)parts[i].n, parts[i].what);
			first = false;
		}
}

void report_fact(const char *name, const char *value, bool colour, int columns, struct buf *out)
{
	buf_printf(out, "  %s%-22s%s", paint(colour, PAINT_DIM), name, paint(colour, PAINT_PLAIN));
	text_wrap(value, 24, 24, (size_t)columns, out);
	buf_addc(out, '\n');
}

int report_run_id(const char *text, int64_t *id, struct err *err)
{
	char *end;
	long long value = strtoll(text, &end, 10);
	if (*end || end == text || value < 1 || value > 1000000000000)
		return err_set(err, ERR_USAGE, "expected a run's number, found `%s`; `sweep report` shows the numbers",
			       text);
	*id = value;
	return 0;
}

/* A run's value of a parameter, and its score. */
struct point {
	int id;
	union param_value value;
	double score;
};

static int by_value(const void *a, const void *b)
{
	const struct point *x = a, *y = b;
	if (param_table[x->id].type == PARAM_TYPE_FLOAT)
		return by_number(&x->value.f, &y->value.f);
	return (x->value.i > y->value.i) - (x->value.i < y->value.i);
}

/* One value of an effect, of n points; returns the sum of squares around its mean. */
static double add_value(struct report_effect *e, const struct point *points, size_t n)
{
	struct report_value *v = &e->values[e->n_values++];
	*v = (struct report_value){
		.from = points[0].value, .to = points[n - 1].value, .n = n, .min = INFINITY, .max = -INFINITY};
	double squares = 0;
	for (size_t i = 0; i < n; i++) {
		double off = points[i].score - v->mean;
		v->mean += off / (double)(i + 1);
		squares += off * (points[i].score - v->mean);
		v->min = fmin(v->min, points[i].score);
		v->max = fmax(v->max, points[i].score);
	}
	return squares;
}

/* False when there is nothing to compare. */
static bool make_effect(struct report_effect *e, int id, struct point *points, size_t n)
{
	size_t different = n > 0;
	qsort(points, n, sizeof *points, by_value);
	for (size_t i = 1; i < n; i++)
		different += by_value(&points[i - 1], &points[i]) != 0;
	if (different < 2)
		return false;
	bool apart = different <= APART;
	*e = (struct report_effect){.id = id, .values = mem_array(apart ? different : GROUPS, sizeof *e->values)};
	double squares = 0;
	for (size_t from = 0, to; from < n; from = to) {
		to = apart ? from + 1 : (e->n_values + 1) * n / GROUPS;
		to = to > from ? to : from + 1;
		while (to < n && by_value(&points[to - 1], &points[to]) == 0) /* equal values stay together */
			to++;
		squares += add_value(e, points + from, to - from);
	}
	e->unexplained = n > e->n_values ? squares / (double)(n - e->n_values) : INFINITY;
	return true;
}

static int by_explained(const void *a, const void *b)
{
	const struct report_effect *x = a, *y = b;
	if (x->unexplained != y->unexplained)
		return x->unexplained < y->unexplained ? -1 : 1;
	return x->id - y->id;
}

struct report_effect *report_effects(const struct report *r, size_t *n)
{
	struct report_effect *effects = mem_zero(PARAM_COUNT, sizeof *effects);
	struct point *points = mem_array(r->runs.n, sizeof *points);
	*n = 0;
	for (int id = 0; id < PARAM_COUNT && r->by < r->runs.n_metrics; id++) {
		size_t k = 0;
		for (size_t i = 0; r->varies[id] && id != PARAM_seed && i < r->runs.n; i++)
			if (!isnan(r->runs.run[i].scores[r->by]))
				points[k++] =
					(struct point){id, r->runs.run[i].params.v[id], r->runs.run[i].scores[r->by]};
		*n += make_effect(&effects[*n], id, points, k);
	}
	free(points);
	qsort(effects, *n, sizeof *effects, by_explained);
	return effects;
}

const char *report_seed_note(const struct report *r)
{
	return r->varies[PARAM_seed] ? " Seeds are chance and no choice: they have no part in this." : "";
}

void report_effect_value(const struct report *r, const struct report_effect *e, size_t i, struct buf *out)
{
	const struct report_value *v = &e->values[i];
	params_format_short(e->id, v->from, r->digits[e->id], out);
	if (params_value_equal(e->id, v->from, v->to))
		return;
	buf_adds(out, " to ");
	params_format_short(e->id, v->to, r->digits[e->id], out);
}

void report_effects_release(struct report_effect *effects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(effects[i].values);
	free(effects);
}
