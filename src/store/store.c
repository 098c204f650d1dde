/* store.c - statements, transactions, and what a commit is worth. The file itself, its locks and its name: store_file.c.
 * What is in it: store_schema.c; what goes into it: store_sweep.c, store_attempt.c, store_artifact.c and store_digest.c;
 * what comes out: store_query.c.
 *
 * Durability. Every commit survives kill -9 (WAL). Against a power cut the log must be fsynced, as synchronous=FULL
 * does after each commit. That is done here, by worth: sweeps and failures at once; artifacts at once too, but in a
 * burst at most every SYNC_EVERY_MS, since an fsync may take longer than a small job; attempts, losses and digests with
 * the next of those. So a power cut can undo the last instants of a burst, and even that costs no work: the artifacts'
 * folders were fsynced before, and are taken over when the sweep goes on (store_have_artifact). */
#include "store_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SYNC_EVERY_MS 25

int store_fail(struct store *s, struct err *err)
{
	int code = sqlite3_extended_errcode(s->db);
	const char *said = sqlite3_errmsg(s->db);
	int saved = errno, number = sqlite3_system_errno(s->db);
	number = number ? number : saved; /* SQLite does not always keep it */
	if ((code & 0xff) == SQLITE_IOERR && (number == EFBIG || number == EDQUOT || number == ENOSPC))
		code = SQLITE_FULL;
	switch (code & 0xff) {
	case SQLITE_NOTADB:
		return err_set(err, ERR_DATABASE,
			       "%s is not a database of sweep (it is some other kind of file); give another "
			       "name with --db",
			       s->path);
	case SQLITE_CORRUPT:
		return err_set(err, ERR_DATABASE,
			       "%s is damaged (%s); move it away and run the sweep again: what is in %s is "
			       "taken over, not computed again",
			       s->path, said, s->artifacts_dir);
	case SQLITE_READONLY:
		return err_set(err, ERR_DATABASE, "%s cannot be written: the file or its folder is read-only", s->path);
	case SQLITE_CANTOPEN:
		return err_set(err, ERR_DATABASE, "cannot open %s: %s", s->path, said);
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return err_set(err, ERR_DATABASE, "no permission for %s", s->path);
	case SQLITE_FULL:
		return err_set(err, ERR_ROOM,
			       "no room on the disk for %s; make room and run the same command again: nothing "
			       "finished is lost",
			       s->path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, ERR_SYSTEM,
			       "%s is locked by another program (an open transaction in sqlite3, perhaps); "
			       "end it and run the same command again",
			       s->path);
	case SQLITE_IOERR:
		if (number == 0)
			return err_set(err, ERR_SYSTEM, "cannot read or write %s: %s", s->path, said);
		return err_set(err, ERR_SYSTEM, "cannot read or write %s: %s (%s)", s->path, said, strerror(number));
	case SQLITE_NOMEM:
		return err_set(err, ERR_SYSTEM, "out of memory while reading %s", s->path);
	case SQLITE_TOOBIG:
		return err_set(err, ERR_INPUT, "a text is too large for %s", s->path);
	default:
		return err_set(err, ERR_INTERNAL, "%s: %s (SQLite code %d)", s->path, said, code);
	}
}

static sqlite3_stmt *statement(struct store *s, const char *literal, struct err *err)
{
	for (size_t i = 0; i < s->n_statements; i++)
		if (s->statements[i].sql == literal) {
			sqlite3_reset(s->statements[i].stmt);
			sqlite3_clear_bindings(s->statements[i].stmt);
			return s->statements[i].stmt;
		}
	sqlite3_stmt *q;
	if (sqlite3_prepare_v3(s->db, literal, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) != SQLITE_OK) {
		store_fail(s, err);
		return NULL;
	}
	MEM_PUSH_ROOM(s->statements, s->n_statements, s->statements_room);
	s->statements[s->n_statements].sql = literal;
	s->statements[s->n_statements++].stmt = q;
	return q;
}

void store_forget_statements(struct store *s)
{
	for (size_t i = 0; i < s->n_statements; i++)
		sqlite3_finalize(s->statements[i].stmt);
	free(s->statements);
	s->statements = NULL;
	s->n_statements = s->statements_room = 0;
}

static int vbind(struct store *s, sqlite3_stmt *q, struct err *err, int at, const char *types, va_list ap)
{
	int code = SQLITE_OK;
	for (; *types && code == SQLITE_OK; types++, at++) {
		switch (*types) {
		case 'i':
			code = sqlite3_bind_int64(q, at, va_arg(ap, int64_t));
			break;
		case '0': {
			int64_t value = va_arg(ap, int64_t);
			if (value)
				code = sqlite3_bind_int64(q, at, value);
			break;
		}
		case 'd': /* SQLite keeps a NaN as NULL */
			code = sqlite3_bind_double(q, at, va_arg(ap, double));
			break;
		case 't': {
			const char *text = va_arg(ap, const char *);
			if (text)
				code = sqlite3_bind_text(q, at, text, -1, SQLITE_TRANSIENT);
			break;
		}
		case 'b': {
			const char *text = va_arg(ap, const char *);
			size_t n = va_arg(ap, size_t);
			if (text)
				code = sqlite3_bind_text64(q, at, text, n, SQLITE_TRANSIENT, SQLITE_UTF8);
			break;
		}
		default:
			BUG("argument letter %c", *types);
		}
	}
	return code == SQLITE_OK ? 0 : store_fail(s, err);
}

int store_bind(struct store *s, sqlite3_stmt *q, struct err *err, int at, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	int result = vbind(s, q, err, at, types, ap);
	va_end(ap);
	return result;
}

static sqlite3_stmt *vask(struct store *s, struct err *err, const char *literal, const char *types, va_list ap)
{
	sqlite3_stmt *q = statement(s, literal, err);
	return q && vbind(s, q, err, 1, types, ap) == 0 ? q : NULL;
}

sqlite3_stmt *store_ask(struct store *s, struct err *err, const char *literal, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *q = vask(s, err, literal, types, ap);
	va_end(ap);
	return q;
}

sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *err)
{
	sqlite3_stmt *q = NULL;
	if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
		store_fail(s, err);
	return q;
}

int store_step(struct store *s, sqlite3_stmt *q, struct err *err)
{
	int code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		return 1;
	int result = code == SQLITE_DONE ? 0 : store_fail(s, err);
	sqlite3_reset(q);
	return result;
}

/* Steps to the end. INSERT ... RETURNING has done its work at the first row, but ends only at the last step. */
static int step_out(struct store *s, sqlite3_stmt *q, struct err *err)
{
	int got;
	while ((got = store_step(s, q, err)) > 0)
		;
	return got;
}

int store_do(struct store *s, struct err *err, const char *literal, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *q = vask(s, err, literal, types, ap);
	va_end(ap);
	return q ? step_out(s, q, err) : -1;
}

int store_int(struct store *s, struct err *err, int64_t *value, const char *literal, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *q = vask(s, err, literal, types, ap);
	va_end(ap);
	int got = q ? store_step(s, q, err) : -1;
	if (got <= 0)
		return got;
	if (sqlite3_column_type(q, 0) == SQLITE_NULL)
		got = 0;
	else
		*value = sqlite3_column_int64(q, 0);
	return step_out(s, q, err) < 0 ? -1 : got;
}

int store_exec(struct store *s, const char *sql, struct err *err)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(s, err);
	return 0;
}

int store_begin(struct store *s, enum store_durable durable, struct err *err)
{
	if (s->depth == 0 && store_file_check(s, err) < 0)
		return -1;
	if (store_do(s, err, s->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT inner", "") < 0)
		return -1;
	s->depth++;
	if (durable > s->durable)
		s->durable = durable;
	return 0;
}

/* What synchronous=FULL does after each commit, done after those that are worth it. */
int store_sync(struct store *s, struct err *err)
{
	if (s->in_memory || s->durable == STORE_LAZY ||
	    (s->durable == STORE_SOON && clock_ms() - s->synced_ms < SYNC_EVERY_MS))
		return 0; /* a later commit takes it along */
	sqlite3_file *wal = NULL;
	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || !wal ||
	    !wal->pMethods)
		return err_set(err, ERR_INTERNAL, "%s: SQLite shows no write-ahead log", s->path);
	if (wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) != SQLITE_OK)
		return err_errno(err, "cannot sync %s-wal", s->path);
	s->durable = STORE_LAZY;
	s->synced_ms = clock_ms();
	return 0;
}

int store_finish(struct store *s, int result, struct err *err)
{
	bool outermost = --s->depth == 0;
	if (result == 0 && outermost && s->view_stale) {
		result = store_schema_view(s, err);
		s->view_stale = false;
	}
	bool same = !outermost || store_file_same(s);
	if (result == 0 && same && store_do(s, err, outermost ? "COMMIT" : "RELEASE inner", "") == 0)
		return outermost ? store_sync(s, err) : 0;
	/* A failed COMMIT (disk full) leaves the transaction open; some failures have rolled back already. */
	if (!sqlite3_get_autocommit(s->db)) {
		if (outermost)
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		else
			sqlite3_exec(s->db, "ROLLBACK TO inner; RELEASE inner", NULL, NULL, NULL);
	}
	if (!same && result == 0) /* now that no transaction is in its way */
		store_file_check(s, err);
	return -1;
}

int store_batch_begin(struct store *s, struct err *err)
{
	return store_begin(s, STORE_LAZY, err); /* durable as soon as something in it is */
}

int store_batch_end(struct store *s, struct err *err)
{
	return store_finish(s, 0, err);
}
