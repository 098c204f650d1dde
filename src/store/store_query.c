/* store_query.c - sweeps and runs, read for reports; see store_query.h. One run in detail: store_query_run.c. */
#include "store_query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "store_internal.h"

char *store_get_text(sqlite3_stmt *q, int column, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(q, column);
	return text ? arena_strdup(arena, text) : NULL;
}

void *store_grow(struct arena *arena, const void *old, size_t n, size_t *room, size_t size)
{
	*room = *room ? 2 * *room : 8;
	void *bigger = arena_array(arena, *room, size);
	return n ? memcpy(bigger, old, n * size) : bigger;
}

/* Names and reasons are clean when they are stored; those of older files are cleaned here. */
char *store_get_line(sqlite3_stmt *q, int column, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(q, column);
	if (!text)
		return NULL;
	struct buf clean = BUF_INIT;
	utf8_clean(text, strlen(text), &clean);
	char *line = arena_strdup(arena, clean.data ? clean.data : "");
	buf_release(&clean);
	return line;
}

double store_get_double(sqlite3_stmt *q, int column)
{
	return sqlite3_column_type(q, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, column);
}

int store_get_setup(struct store *s, int64_t id, struct store_setup *out, struct arena *arena, struct err *err)
{
	sqlite3_stmt *q = store_ask(
		s, err,
		"SELECT model, model_dir, model_digest, dataset, train, prompt, target FROM setups WHERE id = ?1", "i",
		id);
	if (!q)
		return -1;
	if (store_step(s, q, err) <= 0)
		return err->kind ? -1 : err_set(err, ERR_INPUT, "%s: no setup %lld", s->path, (long long)id);
	out->model = store_get_text(q, 0, arena);
	out->model_dir = store_get_text(q, 1, arena);
	out->model_digest = store_get_text(q, 2, arena);
	out->dataset = store_get_text(q, 3, arena);
	out->train = store_get_text(q, 4, arena);
	out->prompt = store_get_text(q, 5, arena);
	out->target = store_get_text(q, 6, arena);
	sqlite3_reset(q);
	return 0;
}

static int get_splits(struct store *s, struct store_sweep *sweep, struct arena *arena, struct err *err)
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
		STORE_PUSH_ROOM(arena, sweep->splits, sweep->n_splits, room);
		sweep->splits[sweep->n_splits++] = (struct store_split){
			.name = store_get_text(q, 0, arena),
			.input = store_get_text(q, 1, arena),
			.references = store_get_text(q, 2, arena),
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

/* One sweep by its id, or all (0): the last started first. */
static sqlite3_stmt *ask_sweeps(struct store *s, int64_t only, struct err *err)
{
	return store_ask(s, err,
			 "SELECT id, name, path, text, method, metric, goal, status, created_at, started_at, "
			 "finished_at, setup_id FROM sweeps WHERE ?1 IS NULL OR id = ?1 "
			 "ORDER BY started_at DESC, id DESC",
			 "0", only);
}

/* The row at which q stands, and what belongs to it. */
static int get_sweep(struct store *s, sqlite3_stmt *q, struct store_sweep *sweep, struct arena *arena, struct err *err)
{
	const char *goal = (const char *)sqlite3_column_text(q, 6);
	*sweep = (struct store_sweep){
		.id = sqlite3_column_int64(q, 0),
		.name = store_get_line(q, 1, arena),
		.path = store_get_line(q, 2, arena),
		.text = store_get_text(q, 3, arena),
		.method = store_get_text(q, 4, arena),
		.metric = store_get_text(q, 5, arena),
		.maximize = !goal || strcmp(goal, "minimize") != 0,
		.status = store_get_text(q, 7, arena),
		.created_at = store_get_text(q, 8, arena),
		.started_at = store_get_text(q, 9, arena),
		.finished_at = store_get_text(q, 10, arena),
	};
	if (store_get_setup(s, sqlite3_column_int64(q, 11), &sweep->setup, arena, err) < 0 ||
	    get_splits(s, sweep, arena, err) < 0)
		return -1;
	return count_runs(s, sweep, err);
}

int store_get_sweep(struct store *s, int64_t id, struct store_sweep *out, struct arena *arena, struct err *err)
{
	sqlite3_stmt *q = ask_sweeps(s, id, err);
	int result = q ? store_step(s, q, err) : -1;
	if (result > 0)
		result = get_sweep(s, q, out, arena, err);
	if (q)
		sqlite3_reset(q);
	return result;
}

int store_query_sweeps(struct store *s, struct store_sweeps *out, struct err *err)
{
	*out = (struct store_sweeps){0};
	sqlite3_stmt *q = ask_sweeps(s, 0, err);
	size_t room = 0;
	int got = q ? 1 : -1;
	while (got > 0 && (got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->sweep, out->n, room);
		if (get_sweep(s, q, &out->sweep[out->n++], &out->arena, err) < 0)
			got = -1;
	}
	if (q)
		sqlite3_reset(q);
	if (got < 0)
		store_sweeps_release(out);
	return got;
}

void store_sweeps_release(struct store_sweeps *sweeps)
{
	arena_release(&sweeps->arena);
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
		STORE_PUSH_ROOM(&out->arena, out->metrics, out->n_metrics, room);
		out->metrics[out->n_metrics++] = (struct store_metric){.name = store_get_text(q, 0, &out->arena),
								       .split = store_get_text(q, 1, &out->arena),
								       .metric = store_get_text(q, 2, &out->arena)};
	}
	return got;
}

/* The columns of struct store_run, for store_get_run. */
static const char run_columns[] =
	"SELECT r.id, r.sweep_id, r.label, r.status, r.reason, r.finished_at, r.score, r.note, "
	"(SELECT sum(t.seconds) FROM artifacts t WHERE t.id = r.adapter_id OR t.id IN "
	"(SELECT artifact_id FROM run_artifacts WHERE run_id = r.id))";
enum { RUN_FIXED = 9 };

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
int store_get_run(sqlite3_stmt *q, struct store_run *run, struct arena *arena)
{
	*run = (struct store_run){
		.id = sqlite3_column_int64(q, 0),
		.sweep_id = sqlite3_column_int64(q, 1),
		.label = store_get_line(q, 2, arena),
		.status = store_get_text(q, 3, arena),
		.reason = store_get_line(q, 4, arena),
		.finished_at = store_get_text(q, 5, arena),
		.score = store_get_double(q, 6),
		.note = store_get_line(q, 7, arena),
		.seconds = store_get_double(q, 8),
	};
	for (int id = 0; id < PARAM_COUNT; id++)
		run->params.v[id] = column_param(q, RUN_FIXED + id, id);
	return RUN_FIXED + PARAM_COUNT;
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
		STORE_PUSH_ROOM(&out->arena, out->run, out->n, room);
		struct store_run *run = &out->run[out->n++];
		int column = store_get_run(q, run, &out->arena);
		run->scores = arena_array(&out->arena, out->n_metrics, sizeof *run->scores);
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
	arena_release(&runs->arena);
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

int store_query_expected(struct store *s, int64_t sweep_id, struct arena *arena, struct store_expected **out, size_t *n,
			 struct err *err)
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
		STORE_PUSH_ROOM(arena, *out, *n, room);
		(*out)[(*n)++] = (struct store_expected){.label = store_get_line(q, 0, arena),
							 .metric = store_get_text(q, 1, arena),
							 .value = sqlite3_column_double(q, 2)};
	}
	return got;
}
