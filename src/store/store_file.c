/* store_file.c - results.db as a file: which one it is, who may write it, whether it is still there; opened and closed.
 *
 * A database is its inode, whatever the names: a link, a second hard link, `--db x` beside `--db x.db` (two databases,
 * one artifacts folder). So a writer holds three locks, with flock, until it closes:
 *   <db>.lock             names the holder's pid, and keeps out a sweep of before version 4, which knows this one only.
 *                         Never removed: that would race with the next one who takes it
 *   the database's inode  one scheduler, whatever the name
 *   the artifacts folder  its unfinished folders (<key>.tmp.<pid>) belong to one scheduler
 * flock is not what SQLite uses. Its own POSIX locks keep readers and the writer consistent, and are lost when any
 * descriptor of the same file is closed in this process: ours is opened before SQLite's and closed after it.
 *
 * A file that is moved, deleted or replaced keeps on taking commits that nobody will find, so each transaction first
 * looks whether the path still leads to the open inode, and whether the log still has what the index says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store_internal.h"

#define WRITER_PATIENCE_MS  30000
#define READER_PATIENCE_MS  10000
#define HURRIED_PATIENCE_MS 1000
#define NAP_MS              20

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
}

/* ---- locks ---- */

/* Readers who ask who writes hold a lock for a moment. */
static bool lock(int fd)
{
	int taken = flock(fd, LOCK_EX | LOCK_NB);
	for (int i = 0; i < 4 && taken < 0 && errno == EWOULDBLOCK; i++) {
		nap();
		taken = flock(fd, LOCK_EX | LOCK_NB);
	}
	return taken == 0;
}

static int64_t read_pid(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	return n > 0 ? strtoll(text, NULL, 10) : 0;
}

static int busy(const char *what, const char *why, int64_t pid, struct err *err)
{
	char process[48] = "";
	if (pid > 0)
		snprintf(process, sizeof process, " (process %lld)", (long long)pid);
	return err_set(err, ERR_INPUT, "another sweep%s is writing %s%s; wait for it, or give another name with --db",
		       process, what, why);
}

static int take_lock_file(struct store *s, struct err *err)
{
	char *path = mem_printf("%s.lock", s->real), text[32];
	int result = -1, n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (s->lock_fd < 0) {
		if (errno == EACCES || errno == EROFS || errno == EPERM)
			err_set(err, ERR_INPUT, "%s cannot be written: no permission to make %s", s->path, path);
		else
			err_errno(err, "cannot open %s", path);
	} else if (!lock(s->lock_fd)) {
		result = errno == EWOULDBLOCK ? busy(s->path, "", read_pid(s->lock_fd), err)
					      : err_errno(err, "cannot lock %s", path);
	} else if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n) {
		err_errno(err, "cannot write %s", path);
	} else {
		result = 0;
	}
	free(path);
	return result;
}

/* Before SQLite has opened anything. */
static int take_locks(struct store *s, struct err *err)
{
	if (take_lock_file(s, err) < 0)
		return -1;
	if (fs_make_dirs(s->artifacts_dir, err) < 0)
		return -1;
	s->artifacts_fd = open(s->artifacts_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->artifacts_fd < 0)
		return err_errno(err, "cannot open %s", s->artifacts_dir);
	if (!lock(s->artifacts_fd))
		return errno == EWOULDBLOCK ? busy(s->artifacts_dir, ", which goes with this database, too", 0, err)
					    : err_errno(err, "cannot lock %s", s->artifacts_dir);
	s->file_fd = open(s->real, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (s->file_fd < 0)
		return err_errno(err, "cannot open %s", s->path);
	if (!lock(s->file_fd)) {
		int bad = errno == EWOULDBLOCK ? busy(s->path, " by another of its names", 0, err)
					       : err_errno(err, "cannot lock %s", s->path);
		rmdir(s->artifacts_dir); /* if it is empty, we have just made it */
		return bad;
	}
	return 0;
}

/* Is somebody's lock on it? */
static bool held(int fd)
{
	if (fd < 0)
		return false;
	bool taken = flock(fd, LOCK_SH | LOCK_NB) < 0;
	if (!taken)
		flock(fd, LOCK_UN);
	return taken;
}

int64_t store_query_writer(struct store *s)
{
	char *path = mem_printf("%s.lock", s->real);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int64_t pid = 0;
	free(path);
	if (held(fd)) {
		pid = read_pid(fd);
		pid = pid > 0 ? pid : -1;
	} else if (held(s->file_fd)) {
		pid = -1; /* by another name */
	}
	if (fd >= 0)
		close(fd);
	return pid;
}

/* ---- still the same file? ---- */

/* What it holds is not lost with its name: a copy beside it, by SQLite itself, from the inode that is still open. */
static bool save_copy(struct store *s, char **saved)
{
	*saved = mem_printf("%s.saved", s->path);
	char *real = mem_printf("%s.saved", s->real);
	struct err ignored = {0};
	sqlite3_stmt *q = NULL;
	bool done = !fs_exists(real) && (q = store_prepare(s, "VACUUM INTO ?1", &ignored)) &&
		    store_bind(s, q, &ignored, 1, "t", real) == 0 && store_step(s, q, &ignored) == 0;
	sqlite3_finalize(q);
	free(real);
	return done;
}

/* The log stays at the old name, where SQLite would take it for that of the next file of that name. So what it holds
 * goes into the database that it belongs to, and it goes. SQLite itself does not do this for a file that was moved. */
static void empty_log(struct store *s)
{
	struct stat st;
	char *shm = mem_printf("%s-shm", s->real);
	sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (stat(s->wal, &st) == 0 && st.st_ino == s->wal_inode && st.st_size == 0 && !fs_exists(s->real)) {
		unlink(s->wal);
		unlink(shm);
	}
	free(shm);
}

static int moved(struct store *s, const char *what, struct err *err)
{
	empty_log(s);
	char link[64], place[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", s->file_fd);
	ssize_t n = readlink(link, place, sizeof place - 1);
	struct stat open_one, there;
	place[n > 0 ? n : 0] = '\0';
	if (n > 0 && fstat(s->file_fd, &open_one) == 0 && stat(place, &there) == 0 && there.st_ino == open_one.st_ino &&
	    there.st_dev == open_one.st_dev)
		return err_set(err, ERR_MOVED,
			       "%s was %s while the sweep ran; what was recorded is in %s: move it back, or give it "
			       "with --db",
			       s->path, strcmp(what, "deleted") == 0 ? "moved" : what, place);
	char *saved;
	if (save_copy(s, &saved))
		err_set(err, ERR_MOVED,
			"%s was %s while the sweep ran; what it held is saved as %s: give it the old name again",
			s->path, what, saved);
	else
		err_set(err, ERR_MOVED,
			"%s was %s while the sweep ran; what is in %s is taken over into a new one, not computed again",
			s->path, what, s->artifacts_dir);
	free(saved);
	return -1;
}

/* The log must reach as far as the index (the -shm file, sqlite.org/walformat.html) says: its frames are commits that
 * the database does not have yet. One that was cut, and then written to where it had ended, begins with a hole. */
static bool log_is_whole(const struct store *s)
{
	static const unsigned char magic[3] = {0x37, 0x7f, 0x06};
	unsigned char header[20], first[3];
	uint16_t page;
	uint32_t frames;
	struct stat st;
	if (s->shm_fd < 0 || s->wal_fd < 0 || pread(s->shm_fd, header, sizeof header, 0) != sizeof header)
		return true;
	memcpy(&page, header + 14, sizeof page);
	memcpy(&frames, header + 16, sizeof frames);
	if (header[12] == 0 || frames == 0) /* being made; all of it is in the database */
		return true;
	int64_t size = page == 1 ? 65536 : page;
	return stat(s->wal, &st) == 0 && st.st_ino == s->wal_inode &&
	       st.st_size >= 32 + (int64_t)frames * (size + 24) &&
	       pread(s->wal_fd, first, sizeof first, 0) == sizeof first && memcmp(first, magic, sizeof magic) == 0;
}

/* After the first transaction, which has made both files. */
static void watch_log(struct store *s)
{
	char *shm = mem_printf("%s-shm", s->real);
	struct stat st;
	if (stat(s->wal, &st) == 0) {
		s->wal_inode = st.st_ino;
		s->wal_fd = open(s->wal, O_RDONLY | O_CLOEXEC);
		s->shm_fd = open(shm, O_RDONLY | O_CLOEXEC);
	}
	free(shm);
}

enum place { SAME, DELETED, REPLACED, LOG_CUT };

static enum place look(const struct store *s)
{
	struct stat open_one, there;
	if (s->mode != STORE_WRITE || s->in_memory || fstat(s->file_fd, &open_one) < 0)
		return SAME;
	if (stat(s->real, &there) < 0)
		return DELETED;
	if (there.st_ino != open_one.st_ino || there.st_dev != open_one.st_dev)
		return REPLACED;
	return log_is_whole(s) ? SAME : LOG_CUT;
}

bool store_file_same(const struct store *s)
{
	return !s->gone.kind && look(s) == SAME;
}

int store_file_check(struct store *s, struct err *err)
{
	if (s->gone.kind) { /* once is enough */
		*err = s->gone;
		return -1;
	}
	switch (look(s)) {
	case SAME:
		return 0;
	case DELETED:
		moved(s, "deleted", err);
		break;
	case REPLACED:
		moved(s, "replaced by another file", err);
		break;
	case LOG_CUT:
		/* what is left of the log must not be copied into the database as if it were all */
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		err_set(err, ERR_MOVED,
			"%s-wal was cut or removed while the sweep ran, and with it the last results; what is in %s is "
			"taken "
			"over when the same command runs again, not computed again",
			s->path, s->artifacts_dir);
		break;
	}
	s->gone = *err;
	return -1;
}

/* ---- names ---- */

static char *without_db(const char *path)
{
	size_t n = strlen(path);
	return mem_printf("%.*s.artifacts", (int)(n > 3 && strcmp(path + n - 3, ".db") == 0 ? n - 3 : n), path);
}

/* The path with its links resolved; of a file that is not there yet, its folder's. */
static char *real_path(const char *whole)
{
	char *real = realpath(whole, NULL);
	if (real)
		return real;
	char *parent = mem_strdup(whole), *slash = strrchr(parent, '/');
	const char *name = strrchr(whole, '/') + 1;
	slash[slash == parent] = '\0';
	char *folder = realpath(parent, NULL);
	char *path = fs_join(folder ? folder : parent, name);
	free(folder);
	free(parent);
	return path;
}

char *store_artifacts_of(const char *path)
{
	char *whole = fs_absolute(path);
	char *real = whole[0] == '/' ? real_path(whole) : mem_strdup(whole);
	char *dir = without_db(real), *beside = without_db(whole);
	/* A link to a database whose artifacts stand beside the link: earlier versions put them there. */
	if (strcmp(real, whole) != 0 && !fs_is_dir(dir) && fs_is_dir(beside)) {
		char *other = dir;
		dir = beside;
		beside = other;
	}
	free(beside);
	free(whole);
	free(real);
	return dir;
}

static struct store *new_store(const char *path, enum store_mode mode)
{
	struct store *s = mem_zero(1, sizeof *s);
	s->path = mem_strdup(path);
	s->mode = mode;
	s->patience_ms = mode == STORE_WRITE ? WRITER_PATIENCE_MS : READER_PATIENCE_MS;
	s->lock_fd = s->file_fd = s->artifacts_fd = s->shm_fd = s->wal_fd = -1;
	char *whole = fs_absolute(path);
	s->real = real_path(whole);
	s->wal = mem_printf("%s-wal", s->real);
	s->artifacts_dir = store_artifacts_of(path);
	char *slash = strrchr(s->artifacts_dir, '/');
	s->dir = mem_strndup(s->artifacts_dir, (size_t)(slash - s->artifacts_dir) + (slash == s->artifacts_dir));
	free(whole);
	return s;
}

/* What is at path before SQLite looks: our own sentences for a folder, a missing file, no permission, and for names that
 * SQLite would take for something else than a file. */
static int check_file(const char *path, enum store_mode mode, struct err *err)
{
	struct stat st;
	char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
	if (path[0] != '/' && !here)
		return err_set(err, ERR_INPUT,
			       "the working folder was deleted: go to another one, and run the command again");
	free(here);
	if (strcmp(path, ":memory:") == 0)
		return err_set(err, ERR_USAGE, "`:memory:` would keep nothing; give the name of a file with --db");
	if (stat(path, &st) < 0) {
		if (errno == ENOENT && strncmp(path, "file:", 5) == 0)
			return err_set(err, ERR_USAGE, "--db takes the name of a file, not a URI: `%s`",
				       path[5] ? path + 5 : "results.db");
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

/* ---- opening ---- */

void store_hurry(struct store *s)
{
	if (s->patience_ms > HURRIED_PATIENCE_MS)
		s->patience_ms = HURRIED_PATIENCE_MS;
}

/* SQLite's question while somebody else has the file: wait on? The signals are blocked while a scheduler runs (loop.h),
 * so one that came is pending, and Ctrl-C need not wait for the end of our patience. Then it ends for all that is still
 * to be written. */
static int wait_on(void *ctx, int times)
{
	struct store *s = ctx;
	static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t pending;
	sigpending(&pending);
	for (size_t i = 0; i < sizeof interrupts / sizeof *interrupts; i++)
		if (sigismember(&pending, interrupts[i]) == 1)
			store_hurry(s);
	if (times * NAP_MS >= s->patience_ms) {
		if (s->patience_ms <= HURRIED_PATIENCE_MS)
			s->patience_ms = 0;
		return 0;
	}
	nap();
	return 1;
}

static int open_sqlite(struct store *s, const char *name, int flags, struct err *err)
{
	sqlite3_close(s->db);
	s->db = NULL;
	if (sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(s, err);
	sqlite3_busy_handler(s->db, wait_on, s);
	return 0;
}

static int copy_file(const char *from, const char *to, struct err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n = in < 0 || out < 0 ? -1 : 1;
	while (n > 0)
		n = sendfile(out, in, NULL, (size_t)1 << 30);
	int result = n < 0 ? err_errno(err, "cannot copy %s to %s", from, to) : 0;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return result;
}

/* A scheduler died and left a log, in a folder where this user cannot make the index that reading a log takes: read from
 * copies, whose names go as soon as they are open. */
static int open_copies(struct store *s, struct err *err)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_printf("%s/sweep-read.XXXXXX", base && base[0] ? base : "/tmp");
	if (!mkdtemp(dir)) {
		int result = err_errno(err, "cannot make the folder %s", dir);
		free(dir);
		return result;
	}
	char *db = fs_join(dir, "db"), *wal = fs_join(dir, "db-wal");
	int result = -1;
	if (copy_file(s->real, db, err) == 0 && copy_file(s->wal, wal, err) == 0 &&
	    open_sqlite(s, db, SQLITE_OPEN_READWRITE, err) == 0)
		result = store_exec(s, "PRAGMA query_only=ON; SELECT 1 FROM sqlite_schema", err);
	fs_remove_tree(dir);
	free(db);
	free(wal);
	free(dir);
	return result;
}

/* file:... URI with immutable=1: a WAL database in a folder where its -shm file cannot be made. Only when no -wal file
 * holds newer rows. */
static int open_immutable(struct store *s, struct err *err)
{
	struct stat st;
	if (stat(s->wal, &st) == 0 && st.st_size > 0)
		return open_copies(s, err);
	struct buf uri = BUF_INIT;
	buf_adds(&uri, "file:");
	for (const char *p = s->real; *p; p++) {
		if (*p == '%' || *p == '?' || *p == '#')
			buf_printf(&uri, "%%%02x", (unsigned char)*p);
		else
			buf_addc(&uri, *p);
	}
	buf_adds(&uri, "?immutable=1");
	int result = open_sqlite(s, uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
	buf_release(&uri);
	return result;
}

/* A reader writes nothing. But whoever opens a WAL database makes its -wal and -shm, and only one who could write takes
 * them away again at its end; so where there is no log to be emptied by that, it is opened like this. */
static int open_reader(struct store *s, bool *old, struct err *err)
{
	struct stat st;
	s->file_fd = open(s->real, O_RDONLY | O_CLOEXEC); /* for store_query_writer */
	bool clean = stat(s->wal, &st) < 0 || st.st_size == 0;
	if (open_sqlite(s, s->real, clean ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, err) < 0)
		return -1;
	int primary = sqlite3_exec(s->db, "PRAGMA query_only=ON; SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) & 0xff;
	if ((primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY) && open_immutable(s, err) < 0)
		return -1;
	return store_schema_check(s, old, err);
}

static int open_writer(struct store *s, struct err *err)
{
	if (take_locks(s, err) < 0 || open_sqlite(s, s->real, SQLITE_OPEN_READWRITE, err) < 0 ||
	    store_schema_open(s, err) < 0)
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
	result = store_finish(s, result, err);
	watch_log(s);
	return result;
}

/* Goes on with a copy in memory, brought to our version: the file itself is a writer's to change. */
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
	store_forget_statements(s);
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
	if (result == 0 && old)
		result = read_copy(s, err);
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
	struct err ignored = {0};
	if (s->durable != STORE_LAZY && !s->gone.kind) { /* closing checkpoints and syncs as well */
		s->durable = STORE_NOW;
		store_sync(s, &ignored);
	}
	store_forget_statements(s);
	sqlite3_finalize(s->insert_run);
	if (s->db && s->mode == STORE_WRITE && !s->gone.kind)
		sqlite3_exec(s->db, "PRAGMA analysis_limit=400; PRAGMA optimize", NULL, NULL, NULL);
	sqlite3_close(s->db);
	const int fds[] = {s->wal_fd, s->shm_fd, s->artifacts_fd, s->file_fd, s->lock_fd}; /* and with them the locks */
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(s->path);
	free(s->real);
	free(s->wal);
	free(s->dir);
	free(s->artifacts_dir);
	free(s);
}

const char *store_artifacts_dir(const struct store *s)
{
	return s->artifacts_dir;
}
