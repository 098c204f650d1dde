/* report.c - what all report formats share; see report.h. Stands between store_query.h and the formats, and decides
 * what a reader wants to see: columns in which runs differ, everything else said once. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

const struct report_format report_formats[] = {
	{"table", report_table, false, 20},      {"csv", report_csv, true, 0},    {"json", report_json, true, 0},
	{"markdown", report_markdown, false, 0}, {"html", report_html, false, 0},
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
	for (size_t i = 0; i < r->runs.n && r->n_expected; i++)
		if (!isnan(report_published(r, &r->runs.run[i], metric)))
			return true;
	return false;
}

static void choose_columns(struct report *r)
{
	bool labels = false, unfinished = false, all = r->options.all_columns;
	for (size_t i = 0; i < r->runs.n; i++) {
		labels |= r->runs.run[i].label != NULL;
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
	struct store_runs_query query = {.sweep_id = r->sweep->id, .limit = options->best ? 2 : options->top};
	const char *metric = options->metric ? options->metric : r->sweep->metric;
	r->maximize = greater_is_better(r, metric);
	if (options->metric && strcmp(metric, r->sweep->metric) != 0) {
		query.metric = metric;
		query.maximize = r->maximize;
	}
	if (store_query_runs(store, &query, &r->runs, err) < 0 ||
	    store_query_expected(store, r->sweep->id, &r->expected, &r->n_expected, err) < 0)
		goto fail;
	r->by = r->runs.n_metrics;
	for (size_t i = 0; i < r->runs.n_metrics; i++)
		if (strcmp(r->runs.metrics[i].name, metric) == 0)
			r->by = i;
	if (options->best) {
		if (r->runs.n == 0 || r->by == r->runs.n_metrics || isnan(r->runs.run[0].scores[r->by])) {
			err_set(err, ERR_INPUT, "no run of sweep %s has a %s yet; `sweep status` says what is going on",
				r->sweep->name, metric);
			goto fail;
		}
		if (store_query_run(store, r->runs.run[0].id, &r->best, err) < 0)
			goto fail;
	}
	if (store_query_varying(store, r->sweep->id, r->varies, err) < 0)
		goto fail;
	choose_columns(r);
	return 0;
fail:
	report_release(r);
	return -1;
}

void report_release(struct report *r)
{
	store_runs_release(&r->runs);
	store_expected_release(r->expected, r->n_expected);
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
	case REPORT_LABEL:
		buf_adds(out, run->label ? run->label : "");
		break;
	case REPORT_PARAM:
		params_format(column->id, run->params.v[column->id], out);
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
		params_format(id, value, out);
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

static bool value_less(int id, union param_value a, union param_value b)
{
	if (param_table[id].type == PARAM_TYPE_FLOAT)
		return (isnan(a.f) && !isnan(b.f)) || a.f < b.f;
	return a.i < b.i;
}

static void add_to_effect(struct report_effect *e, union param_value value, double score, size_t *room)
{
	size_t at = 0;
	while (at < e->n_values && value_less(e->id, e->values[at].value, value))
		at++;
	if (at == e->n_values || !params_value_equal(e->id, e->values[at].value, value)) {
		MEM_PUSH_ROOM(e->values, e->n_values, *room);
		memmove(&e->values[at + 1], &e->values[at], (e->n_values - at) * sizeof *e->values);
		e->values[at] = (struct report_value){.value = value, .min = score, .max = score};
		e->n_values++;
	}
	struct report_value *v = &e->values[at];
	v->n++;
	v->mean += (score - v->mean) / (double)v->n;
	v->min = fmin(v->min, score);
	v->max = fmax(v->max, score);
}

static double spread(const struct report_effect *e)
{
	double low = e->values[0].mean, high = low;
	for (size_t i = 1; i < e->n_values; i++) {
		low = fmin(low, e->values[i].mean);
		high = fmax(high, e->values[i].mean);
	}
	return high - low;
}

static int by_spread(const void *a, const void *b)
{
	double x = spread(a), y = spread(b);
	return (x < y) - (x > y);
}

struct report_effect *report_effects(const struct report *r, size_t *n)
{
	struct report_effect *effects = mem_zero(PARAM_COUNT, sizeof *effects);
	*n = 0;
	for (int id = 0; id < PARAM_COUNT && r->by < r->runs.n_metrics; id++) {
		struct report_effect *e = &effects[*n];
		size_t room = 0;
		e->id = id;
		for (size_t i = 0; r->varies[id] && i < r->runs.n; i++)
			if (!isnan(r->runs.run[i].scores[r->by]))
				add_to_effect(e, r->runs.run[i].params.v[id], r->runs.run[i].scores[r->by], &room);
		/* more values than that, as of a random search, are a cloud and no effect */
		if (e->n_values >= 2 && e->n_values <= 40) {
			++*n;
		} else {
			free(e->values);
			*e = (struct report_effect){0};
		}
	}
	qsort(effects, *n, sizeof *effects, by_spread);
	return effects;
}

void report_effects_release(struct report_effect *effects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(effects[i].values);
	free(effects);
}
