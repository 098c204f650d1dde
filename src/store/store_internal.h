/* store_internal.h - inside the store: one connection, its statements, its transactions. Included by store*.c only
 * (they are the only files with SQL; the layer check knows).
 *
 *     if (store_do(s, err, "UPDATE jobs SET state = ?1 WHERE id = ?2", "ti", "done", id) < 0) return -1;
 *     int found = store_int(s, err, &id, "SELECT id FROM jobs WHERE key = ?1", "t", key);     1, 0 or -1
 *
 * Argument letters: i int64_t, d double (NaN is NULL), t text or NULL, b bytes and size_t (stored as TEXT, NULs and
 * all), 0 an int64_t of which 0 is NULL. SQL given here must be a string literal:
 * statements are prepared once and found again by its address. */
#ifndef SWEEP_STORE_INTERNAL_H
#define SWEEP_STORE_INTERNAL_H

#include <sqlite3.h>
#include <stdarg.h>

#include "base/buf.h"
#include "store.h"
#include "store_query.h"

#define STORE_APPLICATION_ID 0x53574550                            /* "SWEP" in the file's header */
#define STORE_TIME           "strftime('%Y-%m-%d %H:%M:%f','now')" /* UTC */

/* What a commit is worth against a power cut (store.c, "Durability"); kill -9 undoes none of them. */
enum store_durable { STORE_LAZY, STORE_SOON, STORE_NOW };

struct store {
	sqlite3 *db;
	char *path;          /* as the user wrote it: for messages */
	char *real, *wal;    /* absolute, links resolved; the same with -wal */
	char *dir;           /* absolute folder that names in the file are relative to: the artifacts folder's */
	char *artifacts_dir; /* absolute */
	enum store_mode mode;
	int lock_fd, file_fd, artifacts_fd; /* a writer's locks (store_file.c), or -1; file_fd is a reader's, too */
	int wal_fd, shm_fd;                 /* a writer's: the log and its index */
	ino_t wal_inode;
	struct err gone;            /* the file is not at its place any more: no transaction begins */
	int patience_ms;            /* with somebody else who has the file */
	bool in_memory;             /* a reader's copy of an older version */
	int depth;                  /* open transactions: 0 none, 1 BEGIN, more are savepoints */
	enum store_durable durable; /* the most that commits since the last fsync asked for */
	int64_t synced_ms;          /* when that was, by the monotonic clock */
	bool view_stale; /* a new score column or varying parameter: make the view again at the next commit */
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} * statements;
	size_t n_statements, statements_room;
	sqlite3_stmt *insert_run; /* its text depends on params.def */
};

/* Turns SQLite's complaint into our sentence; returns -1. */
int store_fail(struct store *s, struct err *err);

/* The prepared statement of a literal with its arguments, to be stepped; NULL and err. Belongs to the store. */
sqlite3_stmt *store_ask(struct store *s, struct err *err, const char *literal, const char *types, ...);
/* A statement of SQL made at run time: the caller binds from argument `at` on (1 is the first), steps and finalizes. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *err);
int store_bind(struct store *s, sqlite3_stmt *q, struct err *err, int at, const char *types, ...);
void store_forget_statements(struct store *s);
int store_do(struct store *s, struct err *err, const char *literal, const char *types, ...);
/* The first column of the first row. 1 with a value, 0 without a row (or NULL), -1 on failure. */
int store_int(struct store *s, struct err *err, int64_t *value, const char *literal, const char *types, ...);
/* SQL made at run time (several statements allowed), run once. */
int store_exec(struct store *s, const char *sql, struct err *err);
/* Steps and resets. 1: a row is there; 0: done, already reset; -1. */
int store_step(struct store *s, sqlite3_stmt *q, struct err *err);

/* Nested: the outermost is BEGIN IMMEDIATE, inner ones are savepoints. */
int store_begin(struct store *s, enum store_durable durable, struct err *err);
/* Commits when result is 0 (-1 if that fails), else rolls back and returns -1 with err as it was. */
int store_finish(struct store *s, int result, struct err *err);

/* Makes what was committed durable, as far as it asked for that. */
int store_sync(struct store *s, struct err *err);

/* store_file.c: is the open file still the one at its path, with its log? _check, outside of a transaction, saves what it
 * holds if not, and is -1 from then on. */
bool store_file_same(const struct store *s);
int store_file_check(struct store *s, struct err *err);

/* store_schema.c */
#define STORE_VERSION 6
int store_schema_open(struct store *s, struct err *err); /* writer: create or migrate */
int store_schema_check(struct store *s, bool *old,
		       struct err *err);                 /* reader: *old when a writer must migrate it first */
int store_schema_view(struct store *s, struct err *err); /* makes `leaderboard` again if it would differ */
/* Which parameters differ between the runs of a sweep (0: all sweeps): one pass over the table. */
int store_schema_varying(struct store *s, int64_t sweep, bool varies[PARAM_COUNT], struct err *err);
void store_quote(const char *name, struct buf *out);      /* as an SQL identifier */
void store_quote_text(const char *text, struct buf *out); /* as an SQL text literal */

/* store_data.c: the id of the rows for a split's inputs and references, read from its files when they are new */
int store_dataset(struct store *s, const struct job_split *split, int64_t *id, struct err *err);

/* store_digest.c: remembers the files of a finished artifact with their digests (of an older card: reads them). */
struct artifact;
int store_put_files(struct store *s, int64_t id, const struct artifact *artifact, const char *dir, struct err *err);
/* Compares a folder with what is remembered: sizes and times; contents where those changed, or with all. *known is false
 * when nothing is (a database of before version 4). */
int store_check_files(struct store *s, int64_t id, const char *dir, bool all, bool *known, struct err *err);

/* Is the card in the folder the very file that is remembered, by inode and times? */
bool store_card_is_known(struct store *s, int64_t id, const char *dir);

/* store_artifact.c: the artifact's row, made (pending) when it is new. */
int store_artifact_row(struct store *s, const char *key, const char *dir, bool adapter, const char *split, int64_t *id,
		       struct err *err);
/* A damaged artifact: sets its folder aside, makes its job and its runs pending again, and says why in the diary. Its
 * files stay known, which marks it as lost. */
int store_unmake(struct store *s, int64_t id, const char *dir, const char *why, struct err *err);
/* Sets score and rank: of one run, of all runs of a sweep, of the runs that show an artifact. */
enum store_rank { STORE_RANK_RUN, STORE_RANK_SWEEP, STORE_RANK_ARTIFACT };
int store_rank(struct store *s, enum store_rank of, int64_t id, struct err *err);

/* store_query.c, for store_query_run.c */
/* Copies for a result, in its arena; NULL for NULL. */
char *store_get_text(sqlite3_stmt *q, int column, struct arena *arena);
char *store_get_line(sqlite3_stmt *q, int column, struct arena *arena); /* of what is only shown: cleaned (utf8.h) */
double store_get_double(sqlite3_stmt *q, int column);                   /* or NaN */
/* Room for one more of n in a list that grows in an arena: STORE_PUSH_ROOM(arena, list, n, room); list[n++] = x; */
void *store_grow(struct arena *arena, const void *old, size_t n, size_t *room, size_t size);
#define STORE_PUSH_ROOM(arena, list, n, room)                                                                          \
	do {                                                                                                           \
		if ((n) == (room))                                                                                     \
			(list) = store_grow((arena), (list), (n), &(room), sizeof *(list));                            \
	} while (0)
void store_run_columns(struct buf *sql); /* "SELECT r.id, ..." of a struct store_run */
/* Reads them; the number of columns. */
int store_get_run(sqlite3_stmt *q, struct store_run *run, struct arena *arena);
int store_get_setup(struct store *s, int64_t id, struct store_setup *out, struct arena *arena, struct err *err);
/* 1, 0 when there is none, -1 */
int store_get_sweep(struct store *s, int64_t id, struct store_sweep *out, struct arena *arena, struct err *err);

#endif
