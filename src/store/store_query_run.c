/* store_query_run.c - one run with everything, its outputs and losses, and the jobs for `sweep status`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store_internal.h"
#include "store_query.h"

#define ATTEMPT_COLUMNS                                                                                                \
	"j.title, j.kind, t.outcome, t.reason, t.started_at, t.ended_at, t.log_tail, t.attempt, t.worker, t.threads, " \
	"t.pid, t.peak_rss_kb, coalesce(t.seconds, (julianday(coalesce(t.ended_at, 'now')) - "                         \
	"julianday(t.started_at)) "                                                                                    \
	"* 86400), t.tokens_per_second, j.key"

static void get_attempt(sqlite3_stmt *q, int at, struct store_attempt *a, struct arena *arena)
{
	*a = (struct store_attempt){
		.job = store_get_line(q, at, arena),
		.kind = store_get_text(q, at + 1, arena),
		.outcome = store_get_text(q, at + 2, arena),
		.reason = store_get_line(q, at + 3, arena),
		.started_at = store_get_text(q, at + 4, arena),
		.ended_at = store_get_text(q, at + 5, arena),
		.log_tail = store_get_text(q, at + 6, arena),
		.attempt = sqlite3_column_int64(q, at + 7),
		.worker = sqlite3_column_int64(q, at + 8),
		.threads = sqlite3_column_int64(q, at + 9),
		.pid = sqlite3_column_int64(q, at + 10),
		.peak_rss_kb = sqlite3_column_int64(q, at + 11),
		.seconds = store_get_double(q, at + 12),
		.tokens_per_second = store_get_double(q, at + 13),
		.key = store_get_text(q, at + 14, arena),
	};
}

static int no_run(struct store *s, int64_t run_id, struct err *err)
{
	int64_t first = 0, last = 0;
	int got = store_int(s, err, &first, "SELECT min(id) FROM runs", "");
	if (got < 0 || store_int(s, err, &last, "SELECT max(id) FROM runs", "") < 0)
		return -1;
	if (!got)
		return err_set(err, ERR_INPUT, "there is no run %lld: %s has no runs yet", (long long)run_id, s->path);
	return err_set(err, ERR_INPUT, "there is no run %lld in %s; its runs are %lld to %lld", (long long)run_id,
		       s->path, (long long)first, (long long)last);
}

int store_note(struct store *s, int64_t run_id, const char *text, struct err *err)
{
	int64_t found;
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int got = store_int(s, err, &found, "UPDATE runs SET note = ?2 WHERE id = ?1 RETURNING id", "it", run_id, text);
	return store_finish(s, got > 0 ? 0 : got < 0 ? -1 : no_run(s, run_id, err), err);
}

static int get_run(struct store *s, int64_t run_id, struct store_full_run *out, int64_t *setup, struct err *err)
{
	struct buf sql = BUF_INIT;
	store_run_columns(&sql);
	buf_adds(&sql, ", r.setup_id, a.id, a.key, a.dir, (SELECT arch FROM run_artifacts x JOIN artifacts h "
		       "ON h.id = x.artifact_id WHERE x.run_id = r.id AND arch IS NOT NULL LIMIT 1), "
		       "(SELECT count(*) - 1 FROM runs o WHERE o.adapter_id = r.adapter_id) "
		       "FROM runs r LEFT JOIN artifacts a ON a.id = r.adapter_id WHERE r.id = ?1");
	sqlite3_stmt *q = store_prepare(s, sql.data, err);
	buf_release(&sql);
	int got = q && store_bind(s, q, err, 1, "i", run_id) == 0 ? store_step(s, q, err) : -1;
	if (got > 0) {
		int at = store_get_run(q, &out->run, &out->arena);
		*setup = sqlite3_column_int64(q, at);
		out->adapter_id = sqlite3_column_int64(q, at + 1);
		out->adapter_key = store_get_text(q, at + 2, &out->arena);
		const char *dir = (const char *)sqlite3_column_text(q, at + 3);
		out->adapter_dir = !dir            ? NULL
				   : dir[0] == '/' ? arena_strdup(&out->arena, dir)
						   : arena_printf(&out->arena, "%s/%s", s->dir, dir);
		out->arch = store_get_text(q, at + 4, &out->arena);
		out->sharing = out->adapter_id ? sqlite3_column_int64(q, at + 5) : 0;
	}
	sqlite3_finalize(q);
	if (got == 0)
		return no_run(s, run_id, err);
	return got < 0 ? -1 : 0;
}

static int get_scores(struct store *s, struct store_full_run *out, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT x.split || '_' || c.metric, x.split, c.metric, c.signature, c.value "
				    "FROM runs r JOIN run_artifacts x ON x.run_id = r.id "
				    "JOIN scores c ON c.artifact_id = x.artifact_id "
				    "LEFT JOIN splits p ON p.sweep_id = r.sweep_id AND p.name = x.split "
				    "WHERE r.id = ?1 ORDER BY p.position, x.split, c.metric",
				    "i", out->run.id);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->scores, out->n_scores, room);
		out->scores[out->n_scores++] = (struct store_score){
			.name = store_get_text(q, 0, &out->arena),
			.split = store_get_text(q, 1, &out->arena),
			.metric = store_get_text(q, 2, &out->arena),
			.signature = store_get_text(q, 3, &out->arena),
			.value = store_get_double(q, 4),
		};
	}
	return got;
}

static int get_attempts(struct store *s, struct store_full_run *out, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT " ATTEMPT_COLUMNS " FROM jobs j JOIN attempts t ON t.job_id = j.id "
				    "WHERE j.id IN (SELECT job_id FROM artifacts WHERE id = ?1 UNION "
				    "SELECT a.job_id FROM run_artifacts x JOIN artifacts a ON a.id = x.artifact_id "
				    "WHERE x.run_id = ?2) ORDER BY t.id",
				    "0i", out->adapter_id, out->run.id);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->attempts, out->n_attempts, room);
		get_attempt(q, 0, &out->attempts[out->n_attempts++], &out->arena);
	}
	return got;
}

int store_query_run(struct store *s, int64_t run_id, struct store_full_run *out, struct err *err)
{
	*out = (struct store_full_run){0};
	int64_t setup = 0;
	int result = get_run(s, run_id, out, &setup, err);
	if (result == 0)
		result = store_get_sweep(s, out->run.sweep_id, &out->sweep, &out->arena, err) < 0 ? -1 : 0;
	if (result == 0)
		result = store_get_setup(s, setup, &out->setup, &out->arena, err);
	if (result == 0)
		result = get_scores(s, out, err);
	if (result == 0)
		result = get_attempts(s, out, err);
	if (result < 0)
		store_full_run_release(out);
	return result;
}

void store_full_run_release(struct store_full_run *run)
{
	arena_release(&run->arena);
	*run = (struct store_full_run){0};
}

/* The bytes of a column, NULs and all. */
static struct store_text get_bytes(sqlite3_stmt *q, int column, struct arena *arena)
{
	const char *data = (const char *)sqlite3_column_text(q, column);
	size_t size = (size_t)sqlite3_column_bytes(q, column);
	struct store_text text = {arena_alloc(arena, size + 1), size};
	if (size)
		memcpy(text.data, data, size);
	text.data[size] = '\0';
	return text;
}

static int get_references(struct store *s, struct store_outputs *out, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err, "SELECT input, text FROM refs WHERE dataset_id = ?1 ORDER BY input, n", "0",
				    out->dataset_id);
	if (!q)
		return -1;
	size_t at = 0, room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		int64_t input = sqlite3_column_int64(q, 0);
		size_t before = at;
		while (at < out->n && out->output[at].input < input)
			at++;
		if (at != before)
			room = 0;
		if (at == out->n || out->output[at].input != input)
			continue;
		struct store_output *o = &out->output[at];
		STORE_PUSH_ROOM(&out->arena, o->references, o->n_references, room);
		o->references[o->n_references++] = get_bytes(q, 1, &out->arena);
	}
	return got;
}

static int find_hypotheses(struct store *s, int64_t run_id, const char *split, struct store_outputs *out, int64_t *id,
			   struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT a.id, a.key, a.dataset_id, a.state FROM run_artifacts x "
				    "JOIN artifacts a ON a.id = x.artifact_id WHERE x.run_id = ?1 AND x.split = ?2",
				    "it", run_id, split);
	if (!q)
		return -1;
	int got = store_step(s, q, err);
	if (got < 0)
		return -1;
	if (got == 0)
		return err_set(err, ERR_INPUT, "run %lld has no split `%s`", (long long)run_id, split);
	*id = sqlite3_column_int64(q, 0);
	out->key = store_get_text(q, 1, &out->arena);
	out->dataset_id = sqlite3_column_int64(q, 2);
	bool done = strcmp((const char *)sqlite3_column_text(q, 3), "done") == 0;
	sqlite3_reset(q);
	if (!done)
		return err_set(err, ERR_INPUT, "run %lld has no outputs on %s yet", (long long)run_id, split);
	return 0;
}

int store_query_outputs(struct store *s, int64_t run_id, const char *split, struct store_outputs *out, struct err *err)
{
	*out = (struct store_outputs){0};
	int64_t id = 0;
	int result = -1, got;
	sqlite3_stmt *q;
	if (find_hypotheses(s, run_id, split, out, &id, err) < 0)
		goto out;
	q = store_ask(s, err,
		      "SELECT h.input, i.table_text, h.text, h.score, h.sentence_bleu, h.tokens FROM hypotheses h "
		      "LEFT JOIN inputs i ON i.dataset_id = ?2 AND i.input = h.input "
		      "WHERE h.artifact_id = ?1 ORDER BY h.input",
		      "i0", id, out->dataset_id);
	if (!q)
		goto out;
	size_t room = 0;
	while ((got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->output, out->n, room);
		out->output[out->n++] = (struct store_output){
			.input = sqlite3_column_int64(q, 0),
			.table = get_bytes(q, 1, &out->arena),
			.text = get_bytes(q, 2, &out->arena),
			.score = store_get_double(q, 3),
			.sentence_bleu = store_get_double(q, 4),
			.tokens = sqlite3_column_type(q, 5) == SQLITE_NULL ? -1 : sqlite3_column_int64(q, 5),
		};
	}
	if (got == 0)
		result = get_references(s, out, err);
out:
	if (result < 0)
		store_outputs_release(out);
	return result;
}

void store_outputs_release(struct store_outputs *outputs)
{
	arena_release(&outputs->arena);
	*outputs = (struct store_outputs){0};
}

int store_query_losses(struct store *s, int64_t adapter_id, struct store_losses *out, struct err *err)
{
	*out = (struct store_losses){0};
	sqlite3_stmt *q = store_ask(
		s, err,
		"SELECT step, loss, learning_rate, tokens_per_second FROM losses WHERE adapter_id = ?1 ORDER BY step",
		"i", adapter_id);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->loss, out->n, room);
		out->loss[out->n++] = (struct store_loss){.step = sqlite3_column_int64(q, 0),
							  .loss = store_get_double(q, 1),
							  .learning_rate = store_get_double(q, 2),
							  .tokens_per_second = store_get_double(q, 3)};
	}
	if (got < 0)
		store_losses_release(out);
	return got;
}

void store_losses_release(struct store_losses *losses)
{
	arena_release(&losses->arena);
	*losses = (struct store_losses){0};
}

int store_query_jobs(struct store *s, int64_t sweep_id, const char *state, size_t limit, struct store_jobs *out,
		     struct err *err)
{
	*out = (struct store_jobs){0};
	sqlite3_stmt *q = store_ask(
		s, err,
		"SELECT j.id, j.key, j.kind, j.title, j.state, j.reason, w.name, b.title, "
		"(SELECT count(*) FROM runs r WHERE r.adapter_id IN (SELECT id FROM artifacts WHERE job_id = j.id)) + "
		"(SELECT count(DISTINCT x.run_id) FROM artifacts a JOIN run_artifacts x ON x.artifact_id = a.id "
		"WHERE a.job_id = j.id), "
		"(SELECT max(l.step) FROM artifacts a JOIN losses l ON l.adapter_id = a.id WHERE a.job_id = j.id), "
		"(SELECT l.loss FROM artifacts a JOIN losses l ON l.adapter_id = a.id WHERE a.job_id = j.id "
		"ORDER BY l.step DESC LIMIT 1), " ATTEMPT_COLUMNS
		" FROM jobs j LEFT JOIN sweeps w ON w.id = j.sweep_id "
		"LEFT JOIN jobs b ON b.id = j.waits_for "
		"LEFT JOIN attempts t ON t.id = (SELECT max(id) FROM attempts WHERE job_id = j.id) "
		"WHERE j.state = ?1 AND (?2 IS NULL OR j.sweep_id = ?2) ORDER BY j.id LIMIT ?3",
		"t0i", state, sweep_id, limit ? (int64_t)limit : (int64_t)-1);
	if (!q)
		return -1;
	size_t room = 0;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&out->arena, out->job, out->n, room);
		struct store_job *job = &out->job[out->n++];
		*job = (struct store_job){
			.id = sqlite3_column_int64(q, 0),
			.key = store_get_text(q, 1, &out->arena),
			.kind = store_get_text(q, 2, &out->arena),
			.title = store_get_line(q, 3, &out->arena),
			.state = store_get_text(q, 4, &out->arena),
			.reason = store_get_line(q, 5, &out->arena),
			.sweep = store_get_line(q, 6, &out->arena),
			.waits_for = store_get_line(q, 7, &out->arena),
			.runs = sqlite3_column_int64(q, 8),
			.step = sqlite3_column_int64(q, 9),
			.loss = store_get_double(q, 10),
		};
		get_attempt(q, 11, &job->last, &out->arena);
	}
	if (got < 0)
		store_jobs_release(out);
	return got;
}

void store_jobs_release(struct store_jobs *jobs)
{
	arena_release(&jobs->arena);
	*jobs = (struct store_jobs){0};
}

int store_query_count_jobs(struct store *s, int64_t sweep_id, const char *state, int64_t *n, struct err *err)
{
	*n = 0;
	return store_int(s, err, n, "SELECT count(*) FROM jobs WHERE state = ?1 AND (?2 IS NULL OR sweep_id = ?2)",
			 "t0", state, sweep_id) < 0
		       ? -1
		       : 0;
}
