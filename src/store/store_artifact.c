/* store_artifact.c - a finished artifact's folder becomes rows: artifact, scores, hypotheses or losses, and every run
 * that is complete with it, in one durable transaction. The files were written by a worker, but perhaps not by ours or
 * not by this version: whatever is wrong with them is an ERR_INPUT with file and line, and nothing of it stays. */
#include "store_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/artifact.h"
#include "base/buf.h"
#include "base/jsonl.h"
#include "base/mem.h"

#define LINES_MAX ((size_t)1 << 29) /* hypotheses.jsonl, losses.jsonl */

/* Calls row() for every line of a JSON Lines file. */
typedef int line_function(struct store *s, int64_t artifact, struct jsonl_value *values, int64_t *last,
			  struct err *err);

static int read_lines(struct store *s, int64_t artifact, const char *path, struct jsonl_value *values, size_t n_values,
		      line_function *row, int64_t *count, struct err *err)
{
	struct buf text = BUF_INIT;
	int64_t last = -1;
	int result = buf_read_file(&text, path, LINES_MAX, err);
	size_t number = 0;
	*count = 0;
	for (const char *at = text.data, *end = at + text.size; result == 0 && at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at), column;
		number++;
		if (n > 0) {
			if (jsonl_parse(at, n, values, n_values, &column) < 0)
				result = err_at(err, path, number, column, "not a JSON object");
			else if (row(s, artifact, values, &last, err) < 0)
				/* the store's own failures (disk full) are not the file's */
				result = err->kind == ERR_INPUT ? err_at(err, path, number, 0, "%s", err->text) : -1;
			else
				++*count;
		}
		at += n + (stop != NULL);
	}
	buf_release(&text);
	jsonl_release(values, n_values);
	return result;
}

/* A number, or NaN for null and absent. */
static int get_number(const struct jsonl_value *v, double *value, struct err *err)
{
	*value = (double)NAN;
	if (v->kind == JSONL_NUMBER)
		*value = v->number;
	else if (v->kind != JSONL_NULL && v->kind != JSONL_ABSENT)
		return err_set(err, ERR_INPUT, "`%s`: expected a number", v->name);
	return 0;
}

static int get_count(const struct jsonl_value *v, int64_t *value, struct err *err)
{
	if (v->kind != JSONL_NUMBER || v->number != floor(v->number) || v->number < 0 || v->number > 9007199254740992.0)
		return err_set(err, ERR_INPUT, "`%s`: expected a whole number from 0 up", v->name);
	*value = (int64_t)v->number;
	return 0;
}

enum { H_ID, H_TEXT, H_SCORE, H_TOKENS, H_SENTENCE, H_COUNT };

static int add_hypothesis(struct store *s, int64_t artifact, struct jsonl_value *v, int64_t *last, struct err *err)
{
	int64_t id = 0, tokens = -1;
	double score, sentence;
	if (v[H_ID].kind == JSONL_TEXT) { /* "3" */
		char *end;
		errno = 0;
		v[H_ID].number = (double)strtoll(v[H_ID].text.data, &end, 10);
		if (!errno && *end == '\0' && end != v[H_ID].text.data)
			v[H_ID].kind = JSONL_NUMBER;
	}
	if (get_count(&v[H_ID], &id, err) < 0 || get_number(&v[H_SCORE], &score, err) < 0 ||
	    get_number(&v[H_SENTENCE], &sentence, err) < 0)
		return -1;
	if (v[H_TOKENS].kind != JSONL_NULL && v[H_TOKENS].kind != JSONL_ABSENT &&
	    get_count(&v[H_TOKENS], &tokens, err) < 0)
		return -1;
	if (v[H_TEXT].kind != JSONL_TEXT)
		return err_set(err, ERR_INPUT, "`text`: expected a text");
	if (id <= *last)
		return err_set(err, ERR_INPUT, "`id`: expected more than %lld (ids rise), found %lld", (long long)*last,
			       (long long)id);
	*last = id;
	return store_do(s, err,
			"INSERT INTO hypotheses(artifact_id, input, text, score, tokens, sentence_bleu) "
			"VALUES(?1, ?2, ?3, ?4, nullif(?5, -1), ?6)",
			"iibdid", artifact, id, v[H_TEXT].text.data, v[H_TEXT].text.size, score, tokens, sentence);
}

enum { L_STEP, L_LOSS, L_RATE, L_SPEED, L_COUNT };

static int add_loss(struct store *s, int64_t artifact, struct jsonl_value *v, int64_t *last, struct err *err)
{
	int64_t step = 0;
	double loss, rate, speed;
	if (get_count(&v[L_STEP], &step, err) < 0 || get_number(&v[L_LOSS], &loss, err) < 0 ||
	    get_number(&v[L_RATE], &rate, err) < 0 || get_number(&v[L_SPEED], &speed, err) < 0)
		return -1;
	if (step <= *last)
		return err_set(err, ERR_INPUT, "`step`: expected more than %lld (steps rise), found %lld",
			       (long long)*last, (long long)step);
	*last = step;
	/* tokens/s is known from the events only: a row that came live keeps it */
	return store_do(s, err,
			"INSERT INTO losses(adapter_id, step, loss, learning_rate, tokens_per_second) "
			"VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET loss = excluded.loss, "
			"learning_rate = excluded.learning_rate, "
			"tokens_per_second = coalesce(excluded.tokens_per_second, tokens_per_second)",
			"iiddd", artifact, step, loss, rate, speed);
}

static int add_scores(struct store *s, int64_t artifact, const cJSON *card, const char *split, struct err *err)
{
	if (store_do(s, err, "DELETE FROM scores WHERE artifact_id = ?1", "i", artifact) < 0)
		return -1;
	const cJSON *scores = cJSON_GetObjectItemCaseSensitive(card, "scores"), *item;
	const cJSON *signatures = cJSON_GetObjectItemCaseSensitive(card, "signatures");
	cJSON_ArrayForEach(item, scores)
	{
		if (!item->string || strlen(item->string) > 200 || (!cJSON_IsNumber(item) && !cJSON_IsNull(item)))
			return err_set(err, ERR_INPUT, "`scores`: expected numbers by name");
		const cJSON *signature = cJSON_GetObjectItemCaseSensitive(signatures, item->string);
		double value = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
		if (store_do(s, err,
			     "INSERT OR REPLACE INTO scores(artifact_id, metric, value, signature) VALUES(?1, ?2, ?3, "
			     "?4)",
			     "itdt", artifact, item->string, value,
			     cJSON_IsString(signature) ? signature->valuestring : NULL) < 0)
			return -1;
		int64_t rowid;
		int added = store_int(s, err, &rowid,
				      "INSERT INTO metrics(name, split, metric) VALUES(?1 || '_' || ?2, ?1, ?2) "
				      "ON CONFLICT DO NOTHING RETURNING rowid",
				      "tt", split, item->string);
		if (added < 0)
			return -1;
		if (added)
			s->view_stale = true;
	}
	return 0;
}

/* The runs' own score and the sort key made of it, where an artifact (or a sweep's metric) changed. */
#define SET_RANK(WHERE)                                                                                                \
	"UPDATE runs SET (score, rank) = (SELECT c.value, CASE WHEN c.value IS NULL THEN 9e999 "                       \
	"WHEN s.goal = 'maximize' THEN -c.value ELSE c.value END FROM sweeps s "                                       \
	"LEFT JOIN metrics m ON m.name = s.metric "                                                                    \
	"LEFT JOIN run_artifacts x ON x.run_id = runs.id AND x.split = m.split "                                       \
	"LEFT JOIN scores c ON c.artifact_id = x.artifact_id AND c.metric = m.metric "                                 \
	"WHERE s.id = runs.sweep_id) WHERE " WHERE

int store_rank(struct store *s, enum store_rank of, int64_t id, struct err *err)
{
	switch (of) {
	case STORE_RANK_RUN:
		return store_do(s, err, SET_RANK("id = ?1"), "i", id);
	case STORE_RANK_SWEEP:
		return store_do(s, err, SET_RANK("sweep_id = ?1"), "i", id);
	default:
		return store_do(s, err, SET_RANK("id IN (SELECT run_id FROM run_artifacts WHERE artifact_id = ?1)"),
				"i", id);
	}
}

static int complete_runs(struct store *s, int64_t artifact, struct err *err)
{
	if (store_rank(s, STORE_RANK_ARTIFACT, artifact, err) < 0)
		return -1;
	return store_do(s, err,
			"UPDATE runs SET status = 'done', reason = NULL, finished_at = " STORE_TIME
			" WHERE status IN ('pending', 'failed') AND "
			"id IN (SELECT run_id FROM run_artifacts WHERE artifact_id = ?1) AND NOT EXISTS "
			"(SELECT 1 FROM run_artifacts x JOIN artifacts a ON a.id = x.artifact_id "
			"WHERE x.run_id = runs.id AND a.state <> 'done')",
			"i", artifact);
}

static int add_rows(struct store *s, int64_t artifact, const cJSON *card, bool adapter, const char *dir,
		    struct err *err)
{
	int64_t count = 0;
	int result;
	char *path = fs_join(dir, adapter ? "losses.jsonl" : "hypotheses.jsonl");
	if (adapter) {
		struct jsonl_value values[L_COUNT] = {
			{.name = "step"}, {.name = "loss"}, {.name = "learning_rate"}, {.name = "tokens_per_second"}};
		result = fs_exists(path) ? read_lines(s, artifact, path, values, L_COUNT, add_loss, &count, err) : 0;
	} else {
		struct jsonl_value values[H_COUNT] = {{.name = "id"},
						      {.name = "text"},
						      {.name = "score"},
						      {.name = "tokens"},
						      {.name = "sentence_bleu"}};
		result = store_do(s, err, "DELETE FROM hypotheses WHERE artifact_id = ?1", "i", artifact);
		if (result == 0)
			result = read_lines(s, artifact, path, values, H_COUNT, add_hypothesis, &count, err);
		const cJSON *said = cJSON_GetObjectItemCaseSensitive(card, "count");
		if (result == 0 && cJSON_IsNumber(said) && said->valuedouble != (double)count)
			result = err_at(err, path, 0, 0, "expected %.0f lines as artifact.json says, found %lld",
					said->valuedouble, (long long)count);
	}
	if (result == 0 && !adapter)
		result = store_do(s, err, "UPDATE artifacts SET count = ?2 WHERE id = ?1", "ii", artifact, count);
	free(path);
	return result;
}

/* Below the database's folder a relative name, so that file and folder can be moved together. */
static char *stored_dir(const struct store *s, const char *dir)
{
	size_t n = strlen(s->dir);
	if (strncmp(dir, s->dir, n) == 0 && (dir[n] == '/' || s->dir[n - 1] == '/'))
		return mem_strdup(dir + n + (dir[n] == '/'));
	return mem_strdup(dir);
}

int store_artifact_row(struct store *s, const char *key, const char *dir, bool adapter, const char *split, int64_t *id,
		       struct err *err)
{
	char *place = stored_dir(s, dir);
	int got =
		store_int(s, err, id,
			  "INSERT INTO artifacts(key, kind, split, dir, state) VALUES(?1, ?2, ?3, ?4, 'pending') "
			  "ON CONFLICT(key) DO UPDATE SET dir = excluded.dir, split = coalesce(excluded.split, split) "
			  "RETURNING id",
			  "tttt", key, adapter ? "adapter" : "hypotheses", split, place);
	free(place);
	return got < 0 ? -1 : 0;
}

int store_artifact_done(struct store *s, const char *key, const char *dir, struct err *err)
{
	struct artifact artifact;
	if (artifact_read(&artifact, dir, key, err) < 0 ||
	    (artifact.listed && artifact_verify(&artifact, dir, ARTIFACT_SIZES, err) < 0)) {
		artifact_release(&artifact);
		return -1;
	}
	const cJSON *card = artifact.card;
	bool adapter = artifact.kind == JOB_TRAIN;
	const cJSON *split_item = cJSON_GetObjectItemCaseSensitive(card, "split");
	const cJSON *arch = cJSON_GetObjectItemCaseSensitive(card, "arch");
	const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(card, "seconds");
	const char *split = cJSON_IsString(split_item) ? split_item->valuestring : NULL;
	int64_t id;
	int result = -1;
	if (!adapter && !split) {
		err_set(err, ERR_INPUT, "%s/artifact.json: `split` is missing", dir);
		goto out;
	}
	if (store_begin(s, STORE_SOON, err) < 0)
		goto out;
	if (store_artifact_row(s, key, dir, adapter, split, &id, err) == 0 &&
	    store_put_files(s, id, &artifact, dir, err) == 0 && add_rows(s, id, card, adapter, dir, err) == 0 &&
	    (adapter || add_scores(s, id, card, split, err) == 0) &&
	    store_do(s, err,
		     "UPDATE artifacts SET state = 'done', arch = ?2, seconds = coalesce(?3, seconds), created_at "
		     "= " STORE_TIME " WHERE id = ?1",
		     "itd", id, cJSON_IsString(arch) ? arch->valuestring : NULL,
		     cJSON_IsNumber(seconds) ? seconds->valuedouble : (double)NAN) == 0)
		result = complete_runs(s, id, err);
	result = store_finish(s, result, err);
out:
	artifact_release(&artifact);
	return result;
}

int store_unmake(struct store *s, int64_t id, const char *dir, const char *why, struct err *err)
{
	if (fs_set_aside(dir, err) < 0 || store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int result = -1;
	if (store_do(s, err, "UPDATE artifacts SET state = 'pending' WHERE id = ?1", "i", id) == 0 &&
	    store_do(s, err,
		     "UPDATE jobs SET state = 'pending' WHERE state = 'done' AND id = (SELECT job_id FROM artifacts "
		     "WHERE id = ?1)",
		     "i", id) == 0 &&
	    store_do(
		    s, err,
		    "UPDATE runs SET status = 'pending', finished_at = NULL WHERE status = 'done' AND (adapter_id = ?1 "
		    "OR id IN (SELECT run_id FROM run_artifacts WHERE artifact_id = ?1))",
		    "i", id) == 0 &&
	    store_do(s, err,
		     "UPDATE sweeps SET status = 'interrupted' WHERE status = 'done' AND id IN (SELECT sweep_id FROM "
		     "runs "
		     "WHERE status = 'pending')",
		     "") == 0)
		result = store_event(s, 0, "damaged", why, err);
	return store_finish(s, result, err);
}

/* Is the folder of a row that says done what it was? */
static enum artifact_state look_at_row(struct store *s, int64_t id, const char *key, enum job_kind kind,
				       const char *dir, struct err *why)
{
	bool known;
	struct err err = {0};
	if (!fs_exists(dir)) {
		/* Whoever removed a folder may have had reasons: it is made again when something needs it. */
		if (s->mode == STORE_WRITE)
			store_do(s, &err, "DELETE FROM artifact_files WHERE artifact_id = ?1", "i", id);
		return ARTIFACT_ABSENT;
	}
	int result = store_check_files(s, id, dir, false, &known, why);
	if (result < 0 || known)
		return result < 0 ? ARTIFACT_BROKEN : ARTIFACT_WHOLE;
	enum artifact_state state = artifact_look(dir, key, kind, ARTIFACT_SIZES, why);
	struct artifact artifact;
	if (state == ARTIFACT_WHOLE && s->mode == STORE_WRITE) { /* made before digests were kept */
		if (artifact_read(&artifact, dir, key, &err) == 0)
			store_put_files(s, id, &artifact, dir, &err);
		artifact_release(&artifact);
	}
	return state;
}

bool store_have_artifact(struct store *s, const char *key, enum job_kind kind, struct err *why)
{
	struct err err = {0};
	int64_t id = 0;
	char *dir = fs_join(s->artifacts_dir, key);
	int row = store_int(s, &err, &id, "SELECT id FROM artifacts WHERE key = ?1 AND state = 'done'", "t", key);
	/* Without a row we were killed between the worker's rename and our commit, or the database was deleted. */
	enum artifact_state state =
		row > 0 ? look_at_row(s, id, key, kind, dir, why) : artifact_look(dir, key, kind, ARTIFACT_BYTES, why);
	bool have = row >= 0 && state == ARTIFACT_WHOLE;
	if (state == ARTIFACT_BROKEN && why->kind == ERR_INPUT && s->mode == STORE_WRITE)
		store_unmake(s, id, dir, why->text, &err);
	else if (have && row == 0 && s->mode == STORE_WRITE) {
		have = store_artifact_done(s, key, dir, &err) == 0;
		char *fresh = mem_printf("%s" FS_FRESH, dir); /* what it has replaced, or was to be replaced by */
		fs_remove_tree(fresh);
		free(fresh);
	}
	free(dir);
	return have;
}

/* The row waits to be made, its files are remembered, and the card in its place is the very file that is: nothing has
 * replaced it. A new folder has another inode, so one that was put in place by a scheduler killed before its commit is
 * adopted, like any other. */
static bool is_old(struct store *s, int64_t id, const char *key)
{
	char *dir = fs_join(s->artifacts_dir, key);
	bool old = store_card_is_known(s, id, dir);
	free(dir);
	return old;
}

bool store_again_artifact(struct store *s, const char *key, bool failed)
{
	struct err err = {0};
	int64_t id;
	return store_int(s, &err, &id,
			 "SELECT id FROM artifacts WHERE key = ?1 AND (state = 'pending' OR (?2 AND state = 'failed'))",
			 "ti", key, (int64_t)failed) > 0 &&
	       is_old(s, id, key);
}

bool store_again_sweep(struct store *s, const char *sweep)
{
	struct err err = {0};
	sqlite3_stmt *q =
		store_ask(s, &err,
			  "SELECT a.id, a.key FROM sweeps s CROSS JOIN artifact_files f ON f.name = '" ARTIFACT_CARD
			  "' JOIN artifacts a ON a.id = f.artifact_id WHERE s.name = ?1 AND a.state = 'pending' "
			  "AND (EXISTS(SELECT 1 FROM runs r WHERE r.adapter_id = a.id AND r.sweep_id = s.id AND "
			  "r.status <> 'dropped') OR EXISTS(SELECT 1 FROM run_artifacts x JOIN runs r ON r.id = "
			  "x.run_id WHERE x.artifact_id = a.id AND r.sweep_id = s.id AND r.status <> 'dropped'))",
			  "t", sweep);
	bool again = false;
	while (q && !again && store_step(s, q, &err) > 0) {
		char *key = mem_strdup((const char *)sqlite3_column_text(q, 1));
		again = is_old(s, sqlite3_column_int64(q, 0), key);
		free(key);
	}
	if (q)
		sqlite3_reset(q);
	return again;
}

bool store_lost_artifact(struct store *s, const char *key)
{
	struct err err = {0};
	int64_t lost = 0;
	return store_int(s, &err, &lost,
			 "SELECT EXISTS(SELECT 1 FROM artifacts a JOIN artifact_files f ON f.artifact_id = a.id "
			 "WHERE a.key = ?1 AND a.state <> 'done')",
			 "t", key) > 0 &&
	       lost;
}
