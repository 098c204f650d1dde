/* store_sweep.c - a sweep begins and ends: its plan becomes rows.
 *
 * Who is who, so that a command given twice repeats nothing: a sweep is its name; a run is a point of its sweep, that
 * is the parameters that have an effect (params_effective), whatever data and model it is scored with; jobs and
 * artifacts are their keys. So a changed sweep file of the same name adds runs and keeps numbers: run 7 stays 7, and
 * gains a column when a split is added. Runs that the file no longer has and that have no result become `dropped`;
 * finished ones stay. */
#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "plan/sources.h"

static void add_field(struct buf *b, const char *text)
{
	if (text)
		buf_adds(b, text);
	buf_addc(b, text ? '\1' : '\2');
}

static int put_setup(struct store *s, const struct spec *spec, const struct sources *sources, int64_t *id,
		     struct err *err)
{
	char digest[HASH_HEX] = "", key[HASH_HEX];
	if (sources->model) {
		char *weights = fs_join(sources->model, "model.safetensors");
		if (!store_digest_get(s, weights, digest))
			digest[0] = '\0';
		free(weights);
	}
	struct buf all = BUF_INIT;
	add_field(&all, spec->model);
	add_field(&all, sources->model);
	add_field(&all, digest);
	add_field(&all, spec->dataset);
	add_field(&all, sources->train);
	add_field(&all, spec->prompt);
	add_field(&all, spec->target);
	hash_bytes(all.data, all.size, key);
	buf_release(&all);
	int got = store_int(s, err, id, "SELECT id FROM setups WHERE key = ?1", "t", key);
	if (got == 0)
		got = store_int(
			s, err, id,
			"INSERT INTO setups(key, model, model_dir, model_digest, dataset, train, prompt, target) "
			"VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
			"tttttttt", key, spec->model, sources->model, digest[0] ? digest : NULL, spec->dataset,
			sources->train, spec->prompt, spec->target);
	return got < 0 ? -1 : 0;
}

static int put_sweep(struct store *s, const struct spec *spec, int64_t setup, int64_t *id, struct err *err)
{
	int64_t old = 0, same = 1;
	const char *goal = spec->maximize ? "maximize" : "minimize";
	int got = store_int(s, err, &old, "SELECT setup_id FROM sweeps WHERE name = ?1", "t", spec->name);
	if (got < 0 || store_int(s, err, &same, "SELECT metric = ?2 AND goal = ?3 FROM sweeps WHERE name = ?1", "ttt",
				 spec->name, spec->metric, goal) < 0)
		return -1;
	if (store_int(s, err, id,
		      "INSERT INTO sweeps(name, path, text, setup_id, method, metric, goal, status, created_at, "
		      "started_at) "
		      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', " STORE_TIME ", " STORE_TIME ") "
		      "ON CONFLICT(name) DO UPDATE SET path = excluded.path, text = excluded.text, "
		      "setup_id = excluded.setup_id, method = excluded.method, metric = excluded.metric, "
		      "goal = excluded.goal, status = 'running', started_at = excluded.started_at, finished_at = NULL "
		      "RETURNING id",
		      "tttittt", spec->name, spec->path, spec->text, setup,
		      spec->method == SPEC_RANDOM ? "random" : "grid", spec->metric, goal) < 0)
		return -1;
	if (!same && store_rank(s, STORE_RANK_SWEEP, *id, err) < 0) /* ordered by another metric now */
		return -1;
	if (got && old != setup &&
	    store_event(s, *id, "changed", "the model, the training data or the templates are others than before",
			err) < 0)
		return -1;
	return store_event(s, *id, got ? "resumed" : "started", spec->path ? spec->path : spec->name, err);
}

/* datasets[i] gets the row of split i, or 0 when its files cannot be read (nobody needs them yet). */
static int put_splits(struct store *s, const struct plan *plan, int64_t sweep, int64_t *datasets, struct err *err)
{
	if (store_do(s, err, "DELETE FROM splits WHERE sweep_id = ?1", "i", sweep) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_splits; i++) {
		const struct job_split *split = &plan->sources->splits[i];
		struct err unreadable = {0};
		if (store_begin(s, STORE_NOW, err) < 0)
			return -1;
		int result = store_dataset(s, split, &datasets[i], &unreadable);
		if (store_finish(s, result, &unreadable) < 0) {
			datasets[i] = 0;
			if (unreadable.kind != ERR_INPUT) {
				*err = unreadable;
				return -1;
			}
		}
		if (store_do(s, err,
			     "INSERT OR REPLACE INTO splits(sweep_id, position, name, dataset_id) VALUES(?1, ?2, ?3, "
			     "?4)",
			     "iit0", sweep, (int64_t)i, split->name, datasets[i]) < 0)
			return -1;
		if (split->references &&
		    store_do(s, err,
			     "INSERT OR IGNORE INTO metrics(name, split, metric) VALUES(?1 || '_bleu', ?1, 'bleu'), "
			     "(?1 || '_sentence_bleu', ?1, 'sentence_bleu')",
			     "t", split->name) < 0)
			return -1;
	}
	return 0;
}

static int put_expected(struct store *s, const struct spec *spec, int64_t sweep, struct err *err)
{
	if (store_do(s, err, "DELETE FROM expected WHERE sweep_id = ?1", "i", sweep) < 0)
		return -1;
	for (size_t i = 0; i < spec->n_expected; i++)
		if (store_do(s, err,
			     "INSERT OR REPLACE INTO expected(sweep_id, label, metric, value) VALUES(?1, ?2, ?3, ?4)",
			     "ittd", sweep, spec->expected[i].label, spec->expected[i].metric,
			     spec->expected[i].value) < 0)
			return -1;
	return 0;
}

static int put_job(struct store *s, const struct job *job, const char *title, const char *why, int64_t waits_for,
		   double cost, int64_t sweep, int64_t *id, struct err *err)
{
	return store_int(s, err, id,
			 "INSERT INTO jobs(key, sweep_id, kind, title, why, waits_for, state, cost, created_at) "
			 "VALUES(?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, " STORE_TIME ") "
			 "ON CONFLICT(key) DO UPDATE SET sweep_id = excluded.sweep_id, title = excluded.title, "
			 "why = excluded.why, waits_for = excluded.waits_for, state = 'pending', reason = NULL, "
			 "cost = excluded.cost RETURNING id",
			 "tittt0d", job->key, sweep, job_kind_name(job->kind), title, why, waits_for, cost) < 0
		       ? -1
		       : 0;
}

static int put_jobs(struct store *s, const struct plan *plan, int64_t sweep, int64_t *ids, struct err *err)
{
	/* what a former plan left undone and this one puts otherwise; the upserts below bring back what stays */
	if (store_do(s, err, "UPDATE jobs SET state = 'dropped' WHERE sweep_id = ?1 AND state IN ('pending', 'failed')",
		     "i", sweep) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_jobs; i++) {
		const struct plan_job *job = &plan->jobs[i];
		int64_t before = job->waits_for == PLAN_NONE ? 0 : ids[job->waits_for];
		if (put_job(s, &job->job, job->title ? job->title : job_kind_name(job->job.kind), job->why, before,
			    job->cost, sweep, &ids[i], err) < 0)
			return -1;
	}
	return 0;
}

static size_t split_index(const struct spec *spec, const char *name)
{
	for (size_t i = 0; name && i < spec->n_splits; i++)
		if (strcmp(spec->splits[i].name, name) == 0)
			return i;
	return PLAN_NONE;
}

/* Adapters first, since hypotheses point to them. */
static int put_artifacts(struct store *s, const struct spec *spec, const struct plan *plan, int64_t setup,
			 const int64_t *datasets, const int64_t *jobs, int64_t *ids, struct err *err)
{
	struct buf params = BUF_INIT;
	int result = 0;
	for (int pass = 0; pass < 2 && result == 0; pass++) {
		for (size_t i = 0; i < plan->n_artifacts && result == 0; i++) {
			const struct plan_artifact *a = &plan->artifacts[i];
			bool adapter = a->kind == JOB_TRAIN;
			if (adapter != (pass == 0))
				continue;
			size_t split = split_index(spec, a->split);
			buf_clear(&params);
			params_key(&a->params, adapter ? PARAM_STAGE_TRAIN : PARAM_STAGE_DECODE, &params);
			int64_t dataset = adapter || split == PLAN_NONE ? 0 : datasets[split];
			int64_t made_with = a->adapter == PLAN_NONE ? 0 : ids[a->adapter];
			int same = !a->have ? 0
					    : store_int(s, err, &ids[i],
							"SELECT id FROM artifacts WHERE key = ?1 AND state = 'done' "
							"AND setup_id = ?2 AND dataset_id IS ?3 AND adapter_id IS ?4",
							"ti00", a->key, setup, dataset, made_with);
			if (same) { /* the usual thing when a sweep goes on: nothing to write */
				result = same < 0 ? -1 : 0;
				continue;
			}
			result =
				store_artifact_row(s, a->key, a->dir, adapter, adapter ? NULL : a->split, &ids[i], err);
			if (result == 0)
				result = store_do(s, err,
						  "UPDATE artifacts SET params = ?2, setup_id = ?3, dataset_id = ?4, "
						  "adapter_id = ?5, "
						  "job_id = coalesce(?6, job_id), state = ?7 WHERE id = ?1",
						  "iti000t", ids[i], params.data, setup, dataset, made_with,
						  a->have || a->job == PLAN_NONE ? (int64_t)0 : jobs[a->job],
						  a->have ? "done" : "pending");
		}
	}
	buf_release(&params);
	return result;
}

static int bind_param(struct store *s, sqlite3_stmt *q, int at, int id, union param_value value, struct err *err)
{
	struct buf text = BUF_INIT;
	int result = 0;
	switch (param_table[id].type) {
	case PARAM_TYPE_INT:
	case PARAM_TYPE_BOOL:
		result = store_bind(s, q, err, at, "i", value.i);
		break;
	case PARAM_TYPE_FLOAT:
		result = store_bind(s, q, err, at, "d", value.f); /* NaN, that is null, becomes NULL */
		break;
	case PARAM_TYPE_CHOICE:
		params_format(id, value, &text);
		result = store_bind(s, q, err, at, "t", text.data);
		break;
	}
	buf_release(&text);
	return result;
}

enum { RUN_PARAMS = 7 }; /* the first parameter's argument */

static int prepare_run(struct store *s, struct err *err)
{
	if (s->insert_run)
		return 0;
	struct buf sql = BUF_INIT;
	buf_adds(&sql, "INSERT INTO runs(id, sweep_id, key, label, status, adapter_id, setup_id");
	for (int id = 0; id < PARAM_COUNT; id++)
		buf_printf(&sql, ", \"%s\"", param_table[id].name);
	buf_adds(&sql, ", created_at, finished_at) VALUES(1 + max(coalesce((SELECT max(id) FROM runs), 0), "
		       "coalesce((SELECT max(last_run) FROM removed), 0)), ");
	for (int i = 1; i < RUN_PARAMS + PARAM_COUNT; i++)
		buf_printf(&sql, "?%d, ", i);
	buf_adds(&sql, STORE_TIME
		 ", CASE ?4 WHEN 'done' THEN " STORE_TIME " END) ON CONFLICT(sweep_id, key) DO UPDATE SET "
		 "label = excluded.label, status = excluded.status, reason = NULL, adapter_id = excluded.adapter_id, "
		 "setup_id = excluded.setup_id, "
		 "finished_at = CASE excluded.status WHEN 'done' THEN coalesce(finished_at, excluded.finished_at) END "
		 "RETURNING id");
	int code = sqlite3_prepare_v3(s->db, sql.data, -1, SQLITE_PREPARE_PERSISTENT, &s->insert_run, NULL);
	buf_release(&sql);
	return code == SQLITE_OK ? 0 : store_fail(s, err);
}

/* A run's identity in its sweep: what of its parameters has an effect. */
static void run_key(const struct params *params, char hex[HASH_HEX])
{
	struct buf text = BUF_INIT;
	params_key(params, PARAM_STAGE_TRAIN, &text);
	params_key(params, PARAM_STAGE_DECODE, &text);
	hash_bytes(text.data, text.size, hex);
	buf_release(&text);
}

/* 1 when the run's row and what it points to are as this plan has them: nothing to write. */
static int run_is_same(struct store *s, const struct plan_run *run, const struct plan *plan, const char *key,
		       const char *status, int64_t sweep, int64_t setup, const int64_t *artifacts, struct err *err)
{
	int64_t id, found, n = 0;
	int same = store_int(s, err, &id,
			     "SELECT id FROM runs WHERE sweep_id = ?1 AND key = ?2 AND status = ?3 AND label IS ?4 "
			     "AND adapter_id IS ?5 AND setup_id = ?6",
			     "ittt0i", sweep, key, status, run->label,
			     run->adapter == PLAN_NONE ? (int64_t)0 : artifacts[run->adapter], setup);
	for (size_t i = 0; i < plan->n_splits && same > 0; i++) {
		if (run->artifacts[i] == PLAN_NONE)
			continue;
		same = store_int(s, err, &found,
				 "SELECT artifact_id FROM run_artifacts WHERE run_id = ?1 AND split = ?2", "it", id,
				 plan->artifacts[run->artifacts[i]].split);
		if (same > 0 && found != artifacts[run->artifacts[i]])
			same = 0;
		n++;
	}
	if (same > 0)
		same = store_int(s, err, &found, "SELECT count(*) FROM run_artifacts WHERE run_id = ?1", "i", id);
	return same <= 0 ? same : found == n;
}

static int write_run(struct store *s, const struct plan_run *run, const char *key, const char *status, int64_t sweep,
		     int64_t setup, int64_t adapter, int64_t *id, struct err *err)
{
	sqlite3_stmt *q = s->insert_run;
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	int got = store_bind(s, q, err, 1, "ittt0i", sweep, key, run->label, status, adapter, setup);
	for (int i = 0; i < PARAM_COUNT && got == 0; i++)
		got = bind_param(s, q, RUN_PARAMS + i, i, run->params.v[i], err);
	if (got == 0)
		got = store_step(s, q, err);
	if (got > 0) {
		*id = sqlite3_column_int64(q, 0);
		got = store_step(s, q, err);
	}
	return got;
}

static int put_run(struct store *s, const struct plan_run *run, const struct plan *plan, int64_t sweep, int64_t setup,
		   const int64_t *artifacts, struct err *err)
{
	char key[HASH_HEX];
	int64_t id = 0;
	bool done = true;
	for (size_t i = 0; i < plan->n_splits; i++)
		done &= run->artifacts[i] == PLAN_NONE || plan->artifacts[run->artifacts[i]].have;
	const char *status = done ? "done" : "pending";
	run_key(&run->params, key);
	int same = run_is_same(s, run, plan, key, status, sweep, setup, artifacts, err);
	if (same)
		return same < 0 ? -1 : 0;
	if (write_run(s, run, key, status, sweep, setup,
		      run->adapter == PLAN_NONE ? (int64_t)0 : artifacts[run->adapter], &id, err) < 0 ||
	    store_do(s, err, "DELETE FROM run_artifacts WHERE run_id = ?1", "i", id) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_splits; i++)
		if (run->artifacts[i] != PLAN_NONE &&
		    store_do(s, err,
			     "INSERT OR REPLACE INTO run_artifacts(run_id, split, artifact_id) VALUES(?1, ?2, ?3)",
			     "iti", id, plan->artifacts[run->artifacts[i]].split, artifacts[run->artifacts[i]]) < 0)
			return -1;
	return store_rank(s, STORE_RANK_RUN, id, err);
}

static int put_runs(struct store *s, const struct plan *plan, int64_t sweep, int64_t setup, const int64_t *artifacts,
		    struct err *err)
{
	if (prepare_run(s, err) < 0 ||
	    store_do(s, err,
		     "UPDATE runs SET status = 'dropped' WHERE sweep_id = ?1 AND status IN ('pending', 'failed')", "i",
		     sweep) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_runs; i++)
		if (put_run(s, &plan->runs[i], plan, sweep, setup, artifacts, err) < 0)
			return -1;
	return 0;
}

/* Remembered, since a report on 100,000 runs should not look at every one of them. */
static int put_varying(struct store *s, int64_t sweep, struct err *err)
{
	bool varies[PARAM_COUNT];
	if (store_schema_varying(s, sweep, varies, err) < 0)
		return -1;
	struct buf names = BUF_INIT;
	buf_reserve(&names, 1);
	buf_clear(&names);
	for (int id = 0; id < PARAM_COUNT; id++)
		if (varies[id])
			buf_printf(&names, "%s%s", names.size ? " " : "", param_table[id].name);
	int result = store_do(s, err, "UPDATE sweeps SET varies = ?2 WHERE id = ?1", "it", sweep, names.data);
	buf_release(&names);
	return result;
}

int store_begin_sweep(struct store *s, const struct spec *spec, const struct plan *plan, int64_t *sweep_id,
		      struct err *err)
{
	int64_t setup;
	int64_t *datasets = mem_zero(spec->n_splits, sizeof *datasets);
	int64_t *jobs = mem_zero(plan->n_jobs, sizeof *jobs);
	int64_t *artifacts = mem_zero(plan->n_artifacts, sizeof *artifacts);
	int result = store_begin(s, STORE_NOW, err);
	if (result < 0)
		goto out;
	if (put_setup(s, spec, plan->sources, &setup, err) < 0 || put_sweep(s, spec, setup, sweep_id, err) < 0 ||
	    put_splits(s, plan, *sweep_id, datasets, err) < 0 || put_expected(s, spec, *sweep_id, err) < 0 ||
	    put_jobs(s, plan, *sweep_id, jobs, err) < 0 ||
	    put_artifacts(s, spec, plan, setup, datasets, jobs, artifacts, err) < 0 ||
	    put_runs(s, plan, *sweep_id, setup, artifacts, err) < 0 || put_varying(s, *sweep_id, err) < 0)
		result = -1;
	s->view_stale = true;
	result = store_finish(s, result, err);
out:
	free(datasets);
	free(jobs);
	free(artifacts);
	return result;
}

int store_end_sweep(struct store *s, int64_t sweep_id, bool interrupted, struct err *err)
{
	int64_t done = 0, failed = 0, pending = 0;
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int result = -1;
	if (store_int(s, err, &done, "SELECT count(*) FROM runs WHERE sweep_id = ?1 AND status = 'done'", "i",
		      sweep_id) < 0 ||
	    store_int(s, err, &failed, "SELECT count(*) FROM runs WHERE sweep_id = ?1 AND status = 'failed'", "i",
		      sweep_id) < 0 ||
	    store_int(s, err, &pending, "SELECT count(*) FROM runs WHERE sweep_id = ?1 AND status = 'pending'", "i",
		      sweep_id) < 0)
		goto out;
	const char *status = interrupted || pending ? "interrupted" : failed ? "failed" : "done";
	if (store_do(s, err, "UPDATE sweeps SET status = ?2, finished_at = " STORE_TIME " WHERE id = ?1", "it",
		     sweep_id, status) < 0)
		goto out;
	char text[100];
	snprintf(text, sizeof text, "%lld runs done, %lld failed, %lld not finished", (long long)done,
		 (long long)failed, (long long)pending);
	result = store_event(s, sweep_id, status, text, err);
	s->view_stale = true;
out:
	return store_finish(s, result, err);
}
