/* store_check.c - `sweep check`: the database by SQLite's own tests, the artifacts by their digests, and both by each
 * other. */
#include <stdlib.h>
#include <string.h>

#include "base/artifact.h"
#include "base/mem.h"
#include "store_internal.h"

struct check {
	struct store *store;
	bool repair;
	void (*found)(void *ctx, const char *sentence);
	void *ctx;
	struct store_checked *out;
};

static void say(struct check *c, const char *sentence)
{
	c->out->damaged++;
	c->found(c->ctx, sentence);
}

static int check_database(struct check *c, struct err *err)
{
	struct store *s = c->store;
	sqlite3_stmt *q = store_ask(s, err, "PRAGMA integrity_check(20)", "");
	int got = q ? 1 : -1;
	while (got > 0 && (got = store_step(s, q, err)) > 0) {
		const char *text = (const char *)sqlite3_column_text(q, 0);
		if (text && strcmp(text, "ok") == 0)
			continue;
		char *sentence = mem_printf("%s is damaged: %s", s->path, text ? text : "");
		say(c, sentence);
		free(sentence);
	}
	if (got == 0)
		q = store_ask(s, err, "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT 20", "");
	got = got == 0 && q ? 1 : -1;
	while (got > 0 && (got = store_step(s, q, err)) > 0) {
		char *sentence =
			mem_printf("%s is damaged: row %lld of %s names a row of %s that is not there", s->path,
				   (long long)sqlite3_column_int64(q, 1), (const char *)sqlite3_column_text(q, 0),
				   (const char *)sqlite3_column_text(q, 2));
		say(c, sentence);
		free(sentence);
	}
	return got;
}

/* Every byte of its files; -1 with ERR_INPUT: what is wrong. */
static int look(struct store *s, int64_t id, const char *key, enum job_kind kind, const char *dir, struct err *why)
{
	bool known;
	if (!fs_exists(dir))
		return err_set(why, ERR_INPUT, "%s is missing", dir);
	if (store_check_files(s, id, dir, true, &known, why) < 0)
		return -1;
	if (known)
		return 0;
	return artifact_look(dir, key, kind, ARTIFACT_BYTES, why) == ARTIFACT_WHOLE ? 0 : -1;
}

static int check_artifact(struct check *c, int64_t id, const char *key, bool adapter, int64_t missing,
			  const char *place, struct err *err)
{
	struct store *s = c->store;
	struct err why = {0};
	char *dir = fs_join(s->dir, place);
	int result = look(s, id, key, adapter ? JOB_TRAIN : JOB_DECODE, dir, &why);
	if (result == 0 && missing)
		result = err_set(&why, ERR_INPUT, "%s: %lld of its texts are not in the database", dir,
				 (long long)missing);
	c->out->artifacts++;
	if (result < 0 && why.kind != ERR_INPUT) {
		*err = why;
	} else if (result < 0) {
		say(c, why.text);
		result = 0;
		if (c->repair) {
			result = store_unmake(s, id, dir, why.text, err);
			c->out->repaired += result == 0;
		}
	}
	free(dir);
	return result;
}

struct row {
	int64_t id, missing;
	char *key, *place;
	bool adapter;
};

/* All rows first: a repair changes what is being read. */
static int check_artifacts(struct check *c, struct err *err)
{
	struct store *s = c->store;
	struct arena arena = {0};
	struct row *rows = NULL;
	size_t n = 0, room = 0;
	sqlite3_stmt *q = store_ask(
		s, err,
		"SELECT a.id, a.key, a.kind = 'adapter', a.dir, CASE WHEN a.kind = 'hypotheses' THEN "
		"coalesce(a.count, 0) - (SELECT count(*) FROM hypotheses h WHERE h.artifact_id = a.id) ELSE 0 END "
		"FROM artifacts a WHERE a.state = 'done' ORDER BY a.id",
		"");
	int got = q ? 1 : -1;
	while (got > 0 && (got = store_step(s, q, err)) > 0) {
		STORE_PUSH_ROOM(&arena, rows, n, room);
		rows[n++] = (struct row){.id = sqlite3_column_int64(q, 0),
					 .key = store_get_text(q, 1, &arena),
					 .adapter = sqlite3_column_int(q, 2) != 0,
					 .place = store_get_text(q, 3, &arena),
					 .missing = sqlite3_column_int64(q, 4)};
	}
	int result = got;
	for (size_t i = 0; i < n; i++) {
		if (result == 0)
			result = check_artifact(c, rows[i].id, rows[i].key, rows[i].adapter, rows[i].missing,
						rows[i].place, err);
	}
	arena_release(&arena);
	if (result == 0)
		result = store_int(s, err, &c->out->files,
				   "SELECT count(*) FROM artifact_files f JOIN artifacts a ON a.id = f.artifact_id "
				   "WHERE a.state = 'done'",
				   "") < 0
				 ? -1
				 : 0;
	return result;
}

int store_check(struct store *s, bool repair, void (*found)(void *ctx, const char *sentence), void *ctx,
		struct store_checked *out, struct err *err)
{
	*out = (struct store_checked){0};
	struct check c = {s, repair, found, ctx, out};
	return check_database(&c, err) < 0 || check_artifacts(&c, err) < 0 ? -1 : 0;
}
