/* store.c - results.db as a file: opened, locked, committed, closed. What is in it: store_schema.c; what goes into it:
 * store_sweep.c, store_attempt.c and store_artifact.c; what comes out: store_query.c.
 *
 * Durability. Every commit survives kill -9 (WAL). Against a power cut the log must be fsynced, as synchronous=FULL
 * does after each commit. That is done here, by worth: sweeps and failures at once; artifacts at once too, but in a
 * burst at most every SYNC_EVERY_MS, since an fsync may take longer than a small job; attempts, losses and digests with
 * the next of those. So a power cut can undo the last instants of a burst, and even that costs no work: the artifacts'
 * folders were fsynced before, and are taken over when the sweep goes on (store_have_artifact).
 *
 * Two locks. SQLite's own keep readers and the writer consistent. <db>.lock, held with flock while a scheduler runs,
 * says that nobody else schedules into this file; it names the holder's pid. It is a file of its own because POSIX
 * locks, which SQLite uses, are lost when any descriptor of the same file is closed. It is never removed: removing it
 * would race with the next one who takes it. */
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
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
		return err_set(err, ERR_SYSTEM, "cannot read or write %s: %s (%s)", s->path, said, strerror(number));
	case SQLITE_NOMEM:
		return err_set(err, ERR_SYSTEM, "out of memory while reading %s", s->path);
	case SQLITE_TOOBIG:
		return err_set(err, ERR_INPUT, "a text is too large for %s", s->path);
	default:
		return err_set(err, ERR_INTERNAL, "%s: %s (SQLite code %d)", s->path, said, code);
	}
}

sqlite3_stmt *store_statement(struct store *s, const char *literal, struct err *err)
{
	for (size_t i = 0; i < s->n_statements; i++)
		if (s->statements[i].sql == literal) {
			sqlite3_reset(s->statements[i].stmt);
			sqlite3_clear_bindings(s->statements[i].stmt);
			return s->statements[i].stmt;
		}
	if (s->n_statements == STORE_STATEMENTS)
		BUG("more than %d statements", STORE_STATEMENTS);
	sqlite3_stmt *q;
	if (sqlite3_prepare_v3(s->db, literal, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) != SQLITE_OK) {
		store_fail(s, err);
		return NULL;
	}
	s->statements[s->n_statements].sql = literal;
	s->statements[s->n_statements++].stmt = q;
	return q;
}

static void forget_statements(struct store *s)
{
	for (size_t i = 0; i < s->n_statements; i++)
		sqlite3_finalize(s->statements[i].stmt);
	s->n_statements = 0;
}

void store_vbind(sqlite3_stmt *q, const char *types, va_list ap)
{
	for (int i = 1; types[i - 1]; i++) {
		switch (types[i - 1]) {
		case 'i':
			sqlite3_bind_int64(q, i, va_arg(ap, int64_t));
			break;
		case '0': {
			int64_t value = va_arg(ap, int64_t);
			if (value)
				sqlite3_bind_int64(q, i, value);
			break;
		}
		case 'd': /* SQLite keeps a NaN as NULL */
			sqlite3_bind_double(q, i, va_arg(ap, double));
			break;
		case 't': {
			const char *text = va_arg(ap, const char *);
			if (text)
				sqlite3_bind_text(q, i, text, -1, SQLITE_TRANSIENT);
			break;
		}
		case 'b': {
			const char *text = va_arg(ap, const char *);
			size_t n = va_arg(ap, size_t);
			if (text)
				sqlite3_bind_text64(q, i, text, n, SQLITE_TRANSIENT, SQLITE_UTF8);
			break;
		}
		case 'n':
			break;
		default:
			BUG("argument letter %c", types[i - 1]);
		}
	}
}

void store_bind(sqlite3_stmt *q, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	store_vbind(q, types, ap);
	va_end(ap);
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

int store_do(struct store *s, struct err *err, const char *literal, const char *types, ...)
{
	sqlite3_stmt *q = store_statement(s, literal, err);
	if (!q)
		return -1;
	va_list ap;
	va_start(ap, types);
	store_vbind(q, types, ap);
	va_end(ap);
	int got;
	while ((got = store_step(s, q, err)) > 0)
		;
	return got;
}

int store_int(struct store *s, struct err *err, int64_t *value, const char *literal, const char *types, ...)
{
	sqlite3_stmt *q = store_statement(s, literal, err);
	if (!q)
		return -1;
	va_list ap;
	va_start(ap, types);
	store_vbind(q, types, ap);
	va_end(ap);
	int got = store_step(s, q, err);
	if (got <= 0)
		return got;
	if (sqlite3_column_type(q, 0) == SQLITE_NULL)
		got = 0;
	else
		*value = sqlite3_column_int64(q, 0);
	/* INSERT ... RETURNING has done its work at the first row, but ends only at the next step */
	int more;
	while ((more = store_step(s, q, err)) > 0)
		;
	return more < 0 ? -1 : got;
}

int store_exec(struct store *s, const char *sql, struct err *err)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(s, err);
	return 0;
}

int store_begin(struct store *s, enum store_durable durable, struct err *err)
{
	if (store_do(s, err, s->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT inner", "") < 0)
		return -1;
	s->depth++;
	if (durable > s->durable)
		s->durable = durable;
	return 0;
}

/* What synchronous=FULL does after each commit, done after those that are worth it. */
static int sync_wal(struct store *s, struct err *err)
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
	if (result == 0 && store_do(s, err, outermost ? "COMMIT" : "RELEASE inner", "") == 0)
		return outermost ? sync_wal(s, err) : 0;
	/* A failed COMMIT (disk full) leaves the transaction open; some failures have rolled back already. */
	if (!sqlite3_get_autocommit(s->db)) {
		if (outermost)
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		else
			sqlite3_exec(s->db, "ROLLBACK TO inner; RELEASE inner", NULL, NULL, NULL);
	}
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

/* Takes <db>.lock, or says who has it. */
static int take_lock(struct store *s, struct err *err)
{
	char *path = mem_printf("%s.lock", s->path);
	int result = -1;
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (s->lock_fd < 0) {
		if (errno == EACCES || errno == EROFS || errno == EPERM)
			err_set(err, ERR_INPUT, "%s cannot be written: no permission to make %s", s->path, path);
		else
			err_errno(err, "cannot open %s", path);
		goto out;
	}
	int taken = -1;
	for (int i = 0; i < 5 && taken < 0; i++) { /* store_query_writer looks for a moment, with a lock too */
		struct timespec nap = {.tv_nsec = 10000000};
		if (i)
			nanosleep(&nap, NULL);
		taken = flock(s->lock_fd, LOCK_EX | LOCK_NB);
	}
	if (taken < 0) {
		if (errno != EWOULDBLOCK) {
			err_errno(err, "cannot lock %s", path);
			goto out;
		}
		char text[32] = "";
		ssize_t n = pread(s->lock_fd, text, sizeof text - 1, 0);
		long pid = n > 0 ? strtol(text, NULL, 10) : 0;
		if (pid > 0)
			err_set(err, ERR_INPUT,
				"another sweep (process %ld) is writing %s; wait for it, or give another name "
				"with --db",
				pid, s->path);
		else
			err_set(err, ERR_INPUT,
				"another sweep is writing %s; wait for it, or give another name with --db", s->path);
		goto out;
	}
	char text[32];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n) {
		err_errno(err, "cannot write %s", path);
		goto out;
	}
	result = 0;
out:
	free(path);
	return result;
}

int64_t store_query_writer(struct store *s)
{
	char *path = mem_printf("%s.lock", s->path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int64_t pid = 0;
	free(path);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		char text[32] = "";
		ssize_t n = pread(fd, text, sizeof text - 1, 0);
		pid = n > 0 ? strtoll(text, NULL, 10) : 0;
		pid = pid > 0 ? pid : -1;
	}
	close(fd);
	return pid;
}

static struct store *new_store(const char *path, enum store_mode mode)
{
	struct store *s = mem_zero(1, sizeof *s);
	s->path = mem_strdup(path);
	s->mode = mode;
	s->lock_fd = -1;
	char *whole = fs_absolute(path);
	char *slash = strrchr(whole, '/');
	s->dir = slash == whole ? mem_strdup("/") : mem_strndup(whole, (size_t)(slash - whole));
	size_t n = strlen(whole);
	if (n > 3 && strcmp(whole + n - 3, ".db") == 0)
		n -= 3;
	s->artifacts_dir = mem_printf("%.*s.artifacts", (int)n, whole);
	free(whole);
	return s;
}

/* What is at path before SQLite looks: its own sentences for a folder, a missing file, no permission. */
static int check_file(const char *path, enum store_mode mode, struct err *err)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		if (errno == ENOENT && mode == STORE_WRITE) {
			char *parent = mem_strdup(path), *slash = strrchr(parent, '/');
			int bad = 0;
			if (slash) {
				*slash = '\0';
				if (*parent && !fs_is_dir(parent))
					bad = err_set(err, ERR_INPUT, "cannot make %s: the folder %s does not exist",
						      path, parent);
			}
			free(parent);
			return bad;
		}
		if (errno == ENOENT)
			return err_set(err, ERR_INPUT, "there is no %s; `sweep run FILE` makes it, --db names another",
				       path);
		return err_errno(err, "cannot open %s", path);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is not a plain file", path);
	if (access(path, R_OK) < 0)
		return err_errno(err, "cannot open %s", path);
	if (mode == STORE_WRITE && access(path, W_OK) < 0)
		return err_set(err, ERR_INPUT, "%s is read-only; make it writable, or give another name with --db",
			       path);
	return 0;
}

/* file:... URI with immutable=1: a WAL database in a folder where its -shm file cannot be made. Only when no -wal file
 * holds newer rows. */
static int open_immutable(struct store *s, struct err *err)
{
	char *wal = mem_printf("%s-wal", s->path);
	struct stat st;
	bool pending = stat(wal, &st) == 0 && st.st_size > 0;
	free(wal);
	if (pending)
		return store_fail(s, err);
	struct buf uri = BUF_INIT;
	char *whole = fs_absolute(s->path);
	buf_adds(&uri, "file:");
	for (const char *p = whole; *p; p++) {
		if (*p == '%' || *p == '?' || *p == '#')
			buf_printf(&uri, "%%%02x", (unsigned char)*p);
		else
			buf_addc(&uri, *p);
	}
	buf_adds(&uri, "?immutable=1");
	sqlite3_close(s->db);
	s->db = NULL;
	int code =
		sqlite3_open_v2(uri.data, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	buf_release(&uri);
	free(whole);
	return code == SQLITE_OK ? 0 : store_fail(s, err);
}

static int open_reader(struct store *s, bool *old, struct err *err)
{
	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(s, err);
	sqlite3_busy_timeout(s->db, 10000);
	int code = sqlite3_exec(s->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
	int primary = code & 0xff;
	if ((primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY) && open_immutable(s, err) < 0)
		return -1;
	return store_schema_check(s, old, err);
}

static int open_writer(struct store *s, struct err *err)
{
	if (take_lock(s, err) < 0)
		return -1;
	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return store_fail(s, err);
	sqlite3_busy_timeout(s->db, 30000);
	if (store_schema_open(s, err) < 0)
		return -1;
	/* We hold the scheduler's lock: whatever seems to run was left by one that died. */
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int result = 0;
	if (store_do(s, err,
		     "UPDATE attempts SET outcome = 'lost', ended_at = " STORE_TIME
		     ", reason = 'the scheduler ended before this attempt did' WHERE outcome = 'running'",
		     "") < 0 ||
	    store_do(s, err, "UPDATE jobs SET state = 'pending' WHERE state = 'running'", "") < 0 ||
	    store_do(s, err, "UPDATE sweeps SET status = 'interrupted' WHERE status = 'running'", "") < 0)
		result = -1;
	return store_finish(s, result, err);
}

/* Goes on with a copy in memory, brought to our version: an old file that is read-only or being written. */
static int read_copy(struct store *s, struct err *err)
{
	sqlite3 *copy;
	if (sqlite3_open(":memory:", &copy) != SQLITE_OK) {
		sqlite3_close(copy);
		return err_set(err, ERR_SYSTEM, "no memory for a copy of %s", s->path);
	}
	sqlite3_backup *backup = sqlite3_backup_init(copy, "main", s->db, "main");
	int code = backup ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
	sqlite3_backup_finish(backup);
	forget_statements(s);
	sqlite3_close(s->db);
	s->db = copy;
	s->in_memory = true;
	if (code != SQLITE_DONE)
		return err_set(err, ERR_SYSTEM, "%s is of an older version and could not be copied: %s", s->path,
			       sqlite3_errstr(code));
	return store_schema_open(s, err);
}

int store_open(struct store **store, const char *path, enum store_mode mode, struct err *err)
{
	*store = NULL;
	if (check_file(path, mode, err) < 0)
		return -1;
	struct store *s = new_store(path, mode);
	bool old = false;
	int result = mode == STORE_WRITE ? open_writer(s, err) : open_reader(s, &old, err);
	if (result == 0 && old) {
		/* An older version is brought forward where it stands, if that can be; else a copy in memory is. */
		struct err ignored = {0};
		struct store *writer;
		if (store_open(&writer, path, STORE_WRITE, &ignored) == 0) {
			store_close(writer);
			store_close(s);
			s = new_store(path, mode);
			result = open_reader(s, &old, err);
		} else {
			result = read_copy(s, err);
		}
	}
	if (result < 0) {
		store_close(s);
		return -1;
	}
	*store = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->durable != STORE_LAZY) {
		struct err ignored = {0}; /* closing checkpoints and syncs as well */
		s->durable = STORE_NOW;
		sync_wal(s, &ignored);
	}
	forget_statements(s);
	sqlite3_finalize(s->insert_run);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd); /* and with it the lock */
	free(s->path);
	free(s->dir);
	free(s->artifacts_dir);
	free(s);
}

const char *store_artifacts_dir(const struct store *s)
{
	return s->artifacts_dir;
}

/* A file's identity without reading it. */
static bool file_identity(const char *path, int64_t identity[3])
{
	struct stat st;
	if (stat(path, &st) < 0)
		return false;
	identity[0] = st.st_size;
	identity[1] = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	identity[2] = (int64_t)st.st_ino;
	return true;
}

bool store_digest_get(struct store *s, const char *path, char hex[HASH_HEX])
{
	int64_t id[3];
	struct err err = {0};
	if (!file_identity(path, id))
		return false;
	sqlite3_stmt *q = store_statement(
		s, "SELECT sha256 FROM digests WHERE path = ?1 AND size = ?2 AND mtime_ns = ?3 AND inode = ?4", &err);
	if (!q)
		return false;
	store_bind(q, "tiii", path, id[0], id[1], id[2]);
	bool found = store_step(s, q, &err) > 0 && sqlite3_column_bytes(q, 0) == HASH_HEX - 1;
	if (found)
		memcpy(hex, sqlite3_column_text(q, 0), HASH_HEX);
	sqlite3_reset(q);
	return found;
}

int store_digest_put(struct store *s, const char *path, const char *hex, struct err *err)
{
	int64_t id[3];
	if (!file_identity(path, id))
		return err_errno(err, "cannot open %s", path);
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	int result = store_do(s, err,
			      "INSERT INTO digests(path, size, mtime_ns, inode, sha256) VALUES(?1, ?2, ?3, ?4, ?5) "
			      "ON CONFLICT(path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
			      "inode = excluded.inode, sha256 = excluded.sha256",
			      "tiiit", path, id[0], id[1], id[2], hex);
	return store_finish(s, result, err);
}
