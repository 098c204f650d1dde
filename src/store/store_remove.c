/* store_remove.c - rows go: a sweep's (`sweep rm`), and what no run refers to (`sweep gc`).
 *
 * One transaction takes the rows and notes in `garbage` the keys of the folders that go with them; the folders go after it.
 * Killed in between, the next `sweep gc` finds the list. A key that has a row again by then is somebody's, and stays.
 *
 * SQLite would look for children of each row that goes, through tables without an index for that: foreign keys are
 * switched off for the transaction, and all of them are checked once before it is committed. */
#include <string.h>

#include "store_internal.h"

/* What goes, in temporary tables; # is the sweep, 0 for none. An adapter stays while hypotheses that stay were made with
 * it; a job stays while what it made does, without its sweep. */
static const char choose[] =
	"DROP TABLE IF EXISTS temp.gone_artifacts; DROP TABLE IF EXISTS temp.gone_jobs;"
	"CREATE TEMP TABLE gone_artifacts AS SELECT a.id AS id, a.key AS key FROM artifacts a WHERE"
	" NOT EXISTS(SELECT 1 FROM runs r WHERE r.adapter_id = a.id AND r.sweep_id <> #)"
	" AND NOT EXISTS(SELECT 1 FROM run_artifacts x JOIN runs r ON r.id = x.run_id"
	"  WHERE x.artifact_id = a.id AND r.sweep_id <> #)"
	" AND (# = 0 OR EXISTS(SELECT 1 FROM runs r WHERE r.adapter_id = a.id)"
	"  OR EXISTS(SELECT 1 FROM run_artifacts x WHERE x.artifact_id = a.id));"
	"DELETE FROM temp.gone_artifacts WHERE id IN (SELECT adapter_id FROM artifacts WHERE adapter_id IS NOT NULL"
	" AND id NOT IN (SELECT id FROM temp.gone_artifacts));"
	"CREATE TEMP TABLE gone_jobs AS SELECT id FROM jobs WHERE (sweep_id = # OR (sweep_id IS NULL AND kind <> "
	"'check'))"
	" AND id NOT IN (SELECT job_id FROM artifacts WHERE job_id IS NOT NULL AND id NOT IN (SELECT id FROM "
	"temp.gone_artifacts));";

static const char take_artifacts[] =
	"INSERT OR IGNORE INTO garbage(key) SELECT key FROM temp.gone_artifacts;"
	"DELETE FROM hypotheses WHERE artifact_id IN (SELECT id FROM temp.gone_artifacts);"
	"DELETE FROM scores WHERE artifact_id IN (SELECT id FROM temp.gone_artifacts);"
	"DELETE FROM losses WHERE adapter_id IN (SELECT id FROM temp.gone_artifacts);"
	"DELETE FROM artifact_files WHERE artifact_id IN (SELECT id FROM temp.gone_artifacts);"
	"DELETE FROM artifacts WHERE id IN (SELECT id FROM temp.gone_artifacts);"
	"DELETE FROM garbage WHERE key IN (SELECT key FROM artifacts);"
	"DELETE FROM events WHERE job_id IN (SELECT id FROM temp.gone_jobs);"
	"DELETE FROM attempts WHERE job_id IN (SELECT id FROM temp.gone_jobs);"
	"UPDATE jobs SET waits_for = NULL WHERE waits_for IN (SELECT id FROM temp.gone_jobs);"
	"DELETE FROM jobs WHERE id IN (SELECT id FROM temp.gone_jobs);";

/* Before the artifacts: its runs, whose numbers are never used again. */
static const char take_sweep[] = "INSERT INTO removed(sweep, at, runs, last_run) SELECT name, " STORE_TIME
				 ", (SELECT count(*) FROM runs WHERE sweep_id = #),"
				 " (SELECT coalesce(max(id), 0) FROM runs WHERE sweep_id = #) FROM sweeps WHERE id = #;"
				 "DELETE FROM run_artifacts WHERE run_id IN (SELECT id FROM runs WHERE sweep_id = #);"
				 "DELETE FROM runs WHERE sweep_id = #;"
				 "DELETE FROM splits WHERE sweep_id = #;"
				 "DELETE FROM expected WHERE sweep_id = #;"
				 "DELETE FROM events WHERE sweep_id = #;"
				 "UPDATE jobs SET sweep_id = NULL WHERE sweep_id = #;"
				 "DELETE FROM sweeps WHERE id = #;";

/* After them: what they shared. */
static const char take_rest[] =
	"DELETE FROM setups WHERE id NOT IN (SELECT setup_id FROM runs UNION SELECT setup_id FROM sweeps UNION "
	"SELECT setup_id FROM artifacts WHERE setup_id IS NOT NULL);"
	"DELETE FROM datasets WHERE id NOT IN (SELECT dataset_id FROM splits WHERE dataset_id IS NOT NULL UNION "
	"SELECT dataset_id FROM artifacts WHERE dataset_id IS NOT NULL);"
	"DELETE FROM inputs WHERE dataset_id NOT IN (SELECT id FROM datasets);"
	"DELETE FROM refs WHERE dataset_id NOT IN (SELECT id FROM datasets);"
	"DELETE FROM metrics WHERE split NOT IN (SELECT name FROM splits UNION SELECT split FROM run_artifacts);";

/* SQL with the sweep's number in its places. */
static void with_number(const char *sql, int64_t sweep, struct buf *out)
{
	for (const char *at; (at = strchr(sql, '#')); sql = at + 1) {
		buf_add(out, sql, (size_t)(at - sql));
		buf_printf(out, "%lld", (long long)sweep);
	}
	buf_adds(out, sql);
}

static int take(struct store *s, const char *sql, int64_t sweep, struct err *err)
{
	struct buf text = BUF_INIT;
	with_number(sql, sweep, &text);
	int result = store_exec(s, text.data, err);
	buf_release(&text);
	return result;
}

static int count(struct store *s, int64_t sweep, struct store_removed *out, struct err *err)
{
	const struct {
		int64_t *to;
		const char *sql;
	} counts[] = {{&out->runs, "SELECT count(*) FROM runs WHERE sweep_id = #"},
		      {&out->artifacts, "SELECT count(*) FROM temp.gone_artifacts"},
		      {&out->jobs, "SELECT count(*) FROM temp.gone_jobs"},
		      {&out->attempts, "SELECT count(*) FROM attempts WHERE job_id IN (SELECT id FROM temp.gone_jobs)"},
		      {&out->shared,
		       "SELECT count(*) FROM artifacts WHERE id NOT IN (SELECT id FROM temp.gone_artifacts) AND id IN "
		       "(SELECT adapter_id FROM runs WHERE sweep_id = # UNION SELECT artifact_id FROM "
		       "run_artifacts x JOIN runs r ON r.id = x.run_id WHERE r.sweep_id = #)"}};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct buf sql = BUF_INIT;
		with_number(counts[i].sql, sweep, &sql);
		sqlite3_stmt *q = store_prepare(s, sql.data, err);
		buf_release(&sql);
		int got = q ? store_step(s, q, err) : -1;
		*counts[i].to = got > 0 ? sqlite3_column_int64(q, 0) : 0;
		sqlite3_finalize(q);
		if (got < 0)
			return -1;
	}
	return 0;
}

static int list_garbage(struct store *s, void (*garbage)(void *ctx, const char *key), void *ctx, struct err *err)
{
	sqlite3_stmt *q = store_prepare(s, "SELECT key FROM garbage ORDER BY key", err);
	int got = q ? 1 : -1;
	while (got > 0 && (got = store_step(s, q, err)) > 0)
		garbage(ctx, (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	return got;
}

static int nothing_dangles(struct store *s, struct err *err)
{
	sqlite3_stmt *q = store_prepare(s, "PRAGMA foreign_key_check", err);
	int got = q ? store_step(s, q, err) : -1;
	sqlite3_finalize(q);
	return got > 0 ? err_set(err, ERR_INTERNAL, "%s: rows would be left without what they refer to", s->path) : got;
}

int store_remove(struct store *s, int64_t sweep, bool dry, struct store_removed *out,
		 void (*garbage)(void *ctx, const char *key), void *ctx, struct err *err)
{
	*out = (struct store_removed){0};
	if (store_exec(s, "PRAGMA foreign_keys=OFF", err) < 0)
		return -1;
	int result = store_begin(s, STORE_NOW, err);
	if (result == 0) {
		if (take(s, choose, sweep, err) < 0 || count(s, sweep, out, err) < 0 ||
		    (sweep && take(s, take_sweep, sweep, err) < 0) || take(s, take_artifacts, sweep, err) < 0 ||
		    take(s, take_rest, sweep, err) < 0 || nothing_dangles(s, err) < 0 ||
		    list_garbage(s, garbage, ctx, err) < 0)
			result = -1;
		s->view_stale = result == 0 && !dry;
		struct err rolled_back = {0};
		if (result == 0 && dry)
			store_finish(s, -1, &rolled_back);
		else
			result = store_finish(s, result, err);
	}
	struct err ignored = {0};
	return store_exec(s, "PRAGMA foreign_keys=ON", result < 0 ? &ignored : err) < 0 ? -1 : result;
}

int store_forget_garbage(struct store *s, struct err *err)
{
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	return store_finish(s, store_do(s, err, "DELETE FROM garbage", ""), err);
}

bool store_has_artifact(struct store *s, const char *key)
{
	struct err err = {0};
	int64_t one;
	return store_int(s, &err, &one, "SELECT 1 FROM artifacts WHERE key = ?1", "t", key) != 0;
}

bool store_needs_log(struct store *s, const char *prefix)
{
	struct err err = {0};
	int64_t one;
	return store_int(s, &err, &one,
			 "SELECT 1 FROM jobs j WHERE j.key >= ?1 AND j.key < ?1 || 'g' AND (j.state IN ('pending', "
			 "'running', 'failed') OR EXISTS(SELECT 1 FROM artifacts a WHERE a.job_id = j.id))",
			 "t", prefix) != 0;
}
