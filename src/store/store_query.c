/* store_query.c - sweeps and runs, read for reports; see store_query.h. One run in detail: store_query_run.c. */
#include "store_query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "store_internal.h"

char *store_get_text(sqlite3_stmt *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q, column);
	return text ? mem_strdup(text) : NULL;
}

/* Names and reasons are clean when they are stored; those of older files are cleaned here. */
char *store_get_line(sqlite3_stmt *q, int column)
{
	char *text = store_get_text(q, column);
	if (!text)
		return NULL;
	struct buf clean = BUF_INIT;
	utf8_clean(text, strlen(text), &clean);
	free(text);
	return buf_detach(&clean);
}

double store_get_double(sqlite3_stmt *q, int column)
{
	return sqlite3_column_type(q, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, column);
}

void store_setup_release(struct store_setup *setup)
{
	free(setup->model);
	free(setup->model_dir);
	free(setup->model_digest);
	free(setup->dataset);
	free(setup->train);
	free(setup->prompt);
	free(setup->target);
}

int store_get_setup(struct store *s, int64_t id, struct store_setup *out, struct err *err)
{
	sqlite3_stmt *q = store_ask(
		s, err,
		"SELECT model, model_dir, model_digest, dataset, train, prompt, target FROM setups WHERE id = ?1", "i",
		id);
	if (!q)
		return -1;
	if (store_step(s, q, err) <= 0)
		return err->kind ? -1 : err_set(err, ERR_INPUT, "%s: no setup %lld", s->path, (long long)id);
	out->model = store_get_text(q, 0);
	out->model_dir = store_get_text(q, 1);
	out->model_digest = store_get_text(q, 2);
	out->dataset = store_get_text(q, 3);
	out->train = store_get_text(q, 4);
	out->prompt = store_get_text(q, 5);
	out->target = store_get_text(q, 6);
	sqlite3_reset(q);
	return 0;
}

static int get_splits(struct store *s, struct store_sweep *sweep, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT p.name, d.input, d.\"references\", d.\"limit\", d.n_inputs, d.n_references "
				    "FROM splits p LEFT JOIN datasets d ON d.id = p.dataset_id WHERE p.sweep_id = ?1 "
				    "ORDER BY p.position",
				    "i", sweep->id);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		MEM_PUSH_ROOM(sweep->splits, sweep->n_splits, room);
		sweep->splits[sweep->n_splits++] = (struct store_split){
			.name = store_get_text(q, 0),
			.input = store_get_text(q, 1),
			.references = store_get_text(q, 2),
			.limit = sqlite3_column_int64(q, 3),
			.n_inputs = sqlite3_column_int64(q, 4),
			.n_references = sqlite3_column_int64(q, 5),
		};
	}
	return got;
}

static int count_runs(struct store *s, struct store_sweep *sweep, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err, "SELECT status, count(*) FROM runs WHERE sweep_id = ?1 GROUP BY status",
				    "i", sweep->id);
	if (!q)
		return -1;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		const char *status = (const char *)sqlite3_column_text(q, 0);
		int64_t n = sqlite3_column_int64(q, 1);
		if (strcmp(status, "dropped") == 0)
			continue;
		sweep->runs += n;
		if (strcmp(status, "done") == 0)
			sweep->done = n;
		else if (strcmp(status, "failed") == 0)
			sweep->failed = n;
		else
			sweep->pending = n;
	}
	return got;
}

void store_sweep_release(struct store_sweep *sweep)
{
	free(sweep->name);
	free(sweep->path);
	free(sweep->text);
	free(sweep->method);
	free(sweep->metric);
	free(sweep->status);
	free(sweep->created_at);
	free(sweep->started_at);
	free(sweep->finished_at);
	store_setup_release(&sweep->setup);
	for (size_t i = 0; i < sweep->n_splits; i++) {
		free(sweep->splits[i].name);
		free(sweep->splits[i].input);
		free(sweep->splits[i].references);
	}
	free(sweep->splits);
}

/* only: one sweep's id, or 0 for all. */
int store_get_sweeps(struct store *s, int64_t only, struct store_sweeps *out, struct err *err)
{
	*out = (struct store_sweeps){0};
	sqlite3_stmt *q =
		store_ask(s, err,
			  "SELECT id, name, path, text, method, metric, goal, status, created_at, started_at, "
			  "finished_at, setup_id FROM sweeps WHERE ?1 IS NULL OR id = ?1 "
			  "ORDER BY started_at DESC, id DESC",
			  "0", only);
	if (!q)
		return -1;
	size_t room = 0;
	int got, result = 0;
	while ((got = store_step(s, q, err)) > 0) {
		MEM_PUSH_ROOM(out->sweep, out->n, room);
		struct store_sweep *sweep = &out->sweep[out->n++];
		const char *goal = (const char *)sqlite3_column_text(q, 6);
		*sweep = (struct store_sweep){
			.id = sqlite3_column_int64(q, 0),
			.name = store_get_line(q, 1),
			.path = store_get_line(q, 2),
			.text = store_get_text(q, 3),
			.method = store_get_text(q, 4),
			.metric = store_get_text(q, 5),
			.maximize = strcmp(goal, "minimize") != 0,
			.status = store_get_text(q, 7),
			.created_at = store_get_text(q, 8),
			.started_at = store_get_text(q, 9),
			.finished_at = store_get_text(q, 10),
		};
		if (store_get_setup(s, sqlite3_column_int64(q, 11), &sweep->setup, err) < 0 ||
		    get_splits(s, sweep, err) < 0 || count_runs(s, sweep, err) < 0) {
			result = -1;
			break;
		}
	}
	if (result == 0)
		result = got;
	sqlite3_reset(q);
	if (result < 0)
		store_sweeps_release(out);
	return result;
}

int store_query_sweeps(struct store *s, struct store_sweeps *out, struct err *err)
{
	return store_get_sweeps(s, 0, out, err);
}

void store_sweeps_release(struct store_sweeps *sweeps)
{
	for (size_t i = 0; i < sweeps->n; i++)
		store_sweep_release(&sweeps->sweep[i]);
	free(sweeps->sweep);
	*sweeps = (struct store_sweeps){0};
}

static int get_metrics(struct store *s, int64_t sweep, struct store_runs *out, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT m.name, m.split, m.metric FROM splits p JOIN metrics m ON m.split = p.name "
				    "WHERE p.sweep_id = ?1 ORDER BY p.position, m.rowid",
				    "i", sweep);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		MEM_PUSH_ROOM(out->metrics, out->n_metrics, room);
		out->metrics[out->n_metrics++] = (struct store_metric){
			.name = store_get_text(q, 0), .split = store_get_text(q, 1), .metric = store_get_text(q, 2)};
	}
	return got;
}

/* The columns of struct store_run, for store_get_run. */
static const char run_columns[] = "SELECT r.id, r.sweep_id, r.label, r.status, r.reason, r.finished_at, r.score, "
				  "(SELECT sum(t.seconds) FROM artifacts t WHERE t.id = r.adapter_id OR t.id IN "
				  "(SELECT artifact_id FROM run_artifacts WHERE run_id = r.id))";
enum { RUN_FIXED = 8 };

void store_run_columns(struct buf *sql)
{
	buf_adds(sql, run_columns);
	for (int id = 0; id < PARAM_COUNT; id++)
		buf_printf(sql, ", r.\"%s\"", param_table[id].name);
}

static union param_value column_param(sqlite3_stmt *q, int column, int id)
{
	struct params p;
	union param_value value = {0};
	struct err ignored = {0};
	switch (param_table[id].type) {
	case PARAM_TYPE_INT:
	case PARAM_TYPE_BOOL:
		value.i = sqlite3_column_int64(q, column);
		break;
	case PARAM_TYPE_FLOAT:
		value.f = store_get_double(q, column);
		break;
	case PARAM_TYPE_CHOICE: {
		const char *text = (const char *)sqlite3_column_text(q, column);
		if (text && params_parse(&p, id, text, &ignored) == 0)
			value = p.v[id];
		break;
	}
	}
	return value;
}

/* Returns the number of columns used. */
int store_get_run(sqlite3_stmt *q, struct store_run *run)
{
	*run = (struct store_run){
		.id = sqlite3_column_int64(q, 0),
		.sweep_id = sqlite3_column_int64(q, 1),
		.label = store_get_line(q, 2),
		.status = store_get_text(q, 3),
		.reason = store_get_line(q, 4),
		.finished_at = store_get_text(q, 5),
		.score = store_get_double(q, 6),
		.seconds = store_get_double(q, 7),
	};
	for (int id = 0; id < PARAM_COUNT; id++)
		run->params.v[id] = column_param(q, RUN_FIXED + id, id);
	return RUN_FIXED + PARAM_COUNT;
}

void store_run_release(struct store_run *run)
{
	free(run->label);
	free(run->status);
	free(run->reason);
	free(run->finished_at);
	free(run->scores);
}

/* Best first. By the sweep's own metric that is an index, so that the best of 100,000 runs is found by reading one. */
static int runs_text(const struct store_runs_query *query, const struct store_runs *out, struct buf *sql,
		     struct err *err)
{
	size_t by = out->n_metrics;
	store_run_columns(sql);
	for (size_t i = 0; i < out->n_metrics; i++) {
		buf_adds(sql, ", (SELECT c.value FROM run_artifacts a JOIN scores c ON c.artifact_id = a.artifact_id "
			      "WHERE a.run_id = r.id AND a.split = ");
		store_quote_text(out->metrics[i].split, sql);
		buf_adds(sql, " AND c.metric = ");
		store_quote_text(out->metrics[i].metric, sql);
		buf_printf(sql, ") AS m%zu", i);
		if (query->metric && strcmp(out->metrics[i].name, query->metric) == 0)
			by = i;
	}
	if (query->metric && by == out->n_metrics)
		return err_set(err, ERR_INPUT, "no metric `%s` in this sweep", query->metric);
	buf_adds(sql, " FROM runs r WHERE r.sweep_id = ?1 AND r.status <> 'dropped'");
	if (query->metric)
		buf_printf(sql, " ORDER BY m%zu IS NULL, m%zu %s, r.id", by, by, query->maximize ? "DESC" : "ASC");
	else
		buf_adds(sql, " ORDER BY r.rank, r.id");
	if (query->limit)
		buf_printf(sql, " LIMIT %zu", query->limit);
	return 0;
}

int store_query_runs(struct store *s, const struct store_runs_query *query, struct store_runs *out, struct err *err)
{
	*out = (struct store_runs){0};
	struct buf sql = BUF_INIT;
	sqlite3_stmt *q = NULL;
	int result = -1;
	if (get_metrics(s, query->sweep_id, out, err) < 0 || runs_text(query, out, &sql, err) < 0)
		goto out;
	q = store_prepare(s, sql.data, err);
	if (!q || store_bind(s, q, err, 1, "i", query->sweep_id) < 0)
		goto out;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		MEM_PUSH_ROOM(out->run, out->n, room);
		struct store_run *run = &out->run[out->n++];
		int column = store_get_run(q, run);
		run->scores = mem_array(out->n_metrics, sizeof *run->scores);
		for (size_t i = 0; i < out->n_metrics; i++)
			run->scores[i] = store_get_double(q, column + (int)i);
	}
	result = got;
out:
	sqlite3_finalize(q);
	buf_release(&sql);
	if (result < 0)
		store_runs_release(out);
	return result;
}

void store_runs_release(struct store_runs *runs)
{
	for (size_t i = 0; i < runs->n; i++)
		store_run_release(&runs->run[i]);
	for (size_t i = 0; i < runs->n_metrics; i++) {
		free(runs->metrics[i].name);
		free(runs->metrics[i].split);
		free(runs->metrics[i].metric);
	}
	free(runs->run);
	free(runs->metrics);
	*runs = (struct store_runs){0};
}

int store_query_varying(struct store *s, int64_t sweep_id, bool varies[PARAM_COUNT], struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err, "SELECT varies FROM sweeps WHERE id = ?1", "i", sweep_id);
	if (!q)
		return -1;
	int got = store_step(s, q, err);
	if (got < 0)
		return -1;
	const char *names = got ? (const char *)sqlite3_column_text(q, 0) : NULL;
	if (!names) { /* not begun again since this column exists: looked up */
		sqlite3_reset(q);
		return store_schema_varying(s, sweep_id, varies, err);
	}
	memset(varies, 0, PARAM_COUNT * sizeof *varies);
	while (*names) {
		size_t n = strcspn(names, " ");
		char *name = mem_strndup(names, n);
		int id = params_find(name);
		if (id >= 0)
			varies[id] = true;
		free(name);
		names += n + (names[n] == ' ');
	}
	sqlite3_reset(q);
	return 0;
}

int store_query_expected(struct store *s, int64_t sweep_id, struct store_expected **out, size_t *n, struct err *err)
{
	*out = NULL;
	*n = 0;
	sqlite3_stmt *q = store_ask(
		s, err, "SELECT label, metric, value FROM expected WHERE sweep_id = ?1 ORDER BY label, metric", "i",
		sweep_id);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		MEM_PUSH_ROOM(*out, *n, room);
		(*out)[(*n)++] = (struct store_expected){.label = store_get_line(q, 0),
							 .metric = store_get_text(q, 1),
							 .value = sqlite3_column_double(q, 2)};
	}
	if (got < 0) {
		store_expected_release(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return got;
}

void store_expected_release(struct store_expected *expected, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(expected[i].label);
		free(expected[i].metric);
	}
	free(expected);
}
