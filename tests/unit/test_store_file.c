/* test_store_file.c - results.db as a file: made, locked, damaged, read-only, without room; a writer beside readers. */
#include "base/clock.h"
#include "store_scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void test_new_file(void **state)
{
	(void)state;
	refused(STORE_READ, "there is no ");
	struct store *store = open_ok(STORE_WRITE);
	char *artifacts = fs_join(scratch, "results.artifacts");
	assert_string_equal(store_artifacts_dir(store), artifacts);
	free(artifacts);
	store_close(store);
	expect("PRAGMA journal_mode", "wal");
	expect("PRAGMA user_version", "6");
	expect("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND sql NOT LIKE "
	       "'%STRICT%'",
	       "0");
	expect("SELECT count(*) FROM leaderboard", "0");
	/* every hyperparameter has its column, with params.def's default */
	char *columns = ask("SELECT count(*) FROM pragma_table_info('runs')");
	assert_true(strtol(columns, NULL, 10) >= PARAM_COUNT + 10);
	free(columns);
	expect("SELECT dflt_value FROM pragma_table_info('runs') WHERE name = 'lr_scheduler_type'", "'linear'");
	expect("SELECT dflt_value || type FROM pragma_table_info('runs') WHERE name = 'learning_rate'", "5e-05REAL");
	expect("SELECT dflt_value IS NULL AND \"notnull\" = 0 FROM pragma_table_info('runs') WHERE name = 'dropout'",
	       "1");
}

static void test_lock(void **state)
{
	(void)state;
	struct store *store = open_ok(STORE_WRITE);
	char *needle = mem_printf("another sweep (process %ld) is writing ", (long)getpid());
	refused(STORE_WRITE, needle);
	free(needle);
	struct store *reader = open_ok(STORE_READ);
	store_close(reader);
	store_close(store);
	store_close(open_ok(STORE_WRITE));
}

static void test_bad_files(void **state)
{
	(void)state;
	char *path = db_path();
	fixture_put(scratch, "results.db",
		    "This is a text, and a long one, since SQLite looks at the first hundred bytes only. "
		    "It is no database at all, whatever its name may say to the contrary.");
	refused(STORE_READ, "is not a database of sweep");
	refused(STORE_WRITE, "is not a database of sweep");
	unlink(path);
	change("CREATE TABLE birds(name)");
	refused(STORE_READ, "of another program");
	refused(STORE_WRITE, "of another program");
	expect("SELECT group_concat(name) FROM sqlite_schema", "birds");
	unlink(path);
	store_close(open_ok(STORE_WRITE));
	change("PRAGMA user_version = 99");
	refused(STORE_READ, "of version 99, newer than");
	refused(STORE_WRITE, "of version 99, newer than");
	unlink(path);
	fixture_put(scratch, "results.db", "");
	refused(STORE_READ, "is empty");
	store_close(open_ok(STORE_WRITE));
	unlink(path);
	assert_int_equal(mkdir(path, 0777), 0);
	refused(STORE_READ, "is not a plain file");
	refused(STORE_WRITE, "is not a plain file");
	free(path);
}

/* Pages overwritten in the middle: one sentence, no crash, from writers and readers alike. */
static void test_damaged(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 36);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 36);
	store_close(store);
	char *path = db_path();
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	for (long at = 4096; at + 4096 <= size; at += 4096) {
		fseek(file, at, SEEK_SET);
		for (int i = 0; i < 64; i++)
			fputc(0xa5, file);
	}
	fclose(file);
	struct store_sweeps sweeps = {0};
	int result = store_open(&store, path, STORE_READ, &err);
	if (result == 0) {
		result = store_query_sweeps(store, &sweeps, &err);
		store_close(store);
	}
	assert_int_equal(result, -1);
	assert_int_equal(err.kind, ERR_DATABASE);
	assert_non_null(strstr(err.text, "is damaged"));
	result = store_open(&store, path, STORE_WRITE, &err);
	if (result == 0) {
		int64_t sweep;
		result = store_begin_sweep(store, &f.spec, &f.plan, &sweep, &err);
		store_close(store);
	}
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "is damaged"));
	free(path);
	fixture_release(&f);
}

static void test_read_only(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 4);
	store_close(store);
	fixture_release(&f);
	char *path = db_path();
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(scratch, 0555), 0);
	if (access(path, W_OK) == 0) { /* root may write anywhere */
		chmod(scratch, 0777);
		free(path);
		print_message("test_read_only: running as root, only the reader is tested\n");
		store_close(open_ok(STORE_READ));
		return;
	}
	refused(STORE_WRITE, "is read-only");
	store = open_ok(STORE_READ);
	struct store_sweeps sweeps;
	assert_int_equal(store_query_sweeps(store, &sweeps, &err), 0);
	assert_int_equal(sweeps.sweep[0].done, 4);
	store_sweeps_release(&sweeps);
	store_close(store);
	chmod(scratch, 0777);
	free(path);
}

/* No room: one sentence, what was committed stays, and with room it goes on. A limit on file size stands for a full
 * disk. */
static void test_no_room(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 36);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 4);
	for (size_t i = 0; i < f.plan.n_artifacts; i++)
		fixture_write(&f, i);
	char *wal = fs_join(scratch, "results.db-wal");
	struct stat st;
	struct rlimit before, limit;
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)st.st_size + 20000;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int result = 0;
	size_t at = FIXTURE_ADAPTERS - 1 + 8;
	for (; at < f.plan.n_artifacts && result == 0; at++)
		result = store_artifact_done(store, f.plan.artifacts[at].key, f.plan.artifacts[at].dir, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	assert_int_equal(result, -1);
	assert_int_equal(err.kind, ERR_ROOM);
	assert_non_null(strstr(err.text, "results.db"));
	for (at = 0; at < f.plan.n_artifacts; at++)
		if (store_artifact_done(store, f.plan.artifacts[at].key, f.plan.artifacts[at].dir, &err) < 0)
			fail_msg("%s", err.text);
	store_close(store);
	expect("PRAGMA integrity_check", "ok");
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "36");
	free(wal);
	fixture_release(&f);
}

/* A reader in the middle of a query does not hold up the writer, nor the other way round. */
static void test_reader_beside_writer(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 12);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	struct store *reader = open_ok(STORE_READ);
	assert_int_equal(store_batch_begin(store, &err), 0);
	fixture_finish(&f, store, 0, 12);
	struct store_sweeps sweeps;
	assert_int_equal(store_query_sweeps(reader, &sweeps, &err), 0);
	assert_int_equal(sweeps.sweep[0].done, 0); /* not committed yet */
	store_sweeps_release(&sweeps);
	assert_int_equal(store_batch_end(store, &err), 0);
	assert_int_equal(store_query_sweeps(reader, &sweeps, &err), 0);
	assert_int_equal(sweeps.sweep[0].done, 12);
	store_sweeps_release(&sweeps);
	store_close(reader);
	store_close(store);
	fixture_release(&f);
}

/* One database under several names has one scheduler; so has one artifacts folder. */
static void test_names(void **state)
{
	(void)state;
	struct err err = {0};
	struct store *store = open_ok(STORE_WRITE), *other, *reader;
	char *path = db_path(), *link = fs_join(scratch, "link.db"), *hard = fs_join(scratch, "hard.db");
	char *bare = fs_join(scratch, "results"), *leftover = fs_join(scratch, "hard.artifacts");
	char *pid = mem_printf("another sweep (process %ld) is writing ", (long)getpid());
	assert_int_equal(symlink("results.db", link), 0);
	assert_int_equal(store_open(&other, link, STORE_WRITE, &err), -1);
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, hard, 0), 0);
	assert_int_equal(store_open(&other, hard, STORE_WRITE, &err), -1);
	assert_non_null(strstr(err.text, "hard.db by another of its names"));
	assert_false(fs_exists(leftover));
	assert_int_equal(store_open(&other, bare, STORE_WRITE, &err), -1);
	assert_non_null(strstr(err.text, "results.artifacts, which goes with this database, too"));
	assert_false(fs_exists(bare));
	/* readers know by any name */
	assert_int_equal(store_open(&reader, link, STORE_READ, &err), 0);
	assert_int_equal(store_query_writer(reader), getpid());
	assert_string_equal(store_artifacts_dir(reader), store_artifacts_dir(store));
	store_close(reader);
	store_close(store);
	assert_int_equal(store_open(&store, link, STORE_WRITE, &err), 0);
	store_close(store);
	/* an artifacts folder beside the link, where earlier versions put it, stays in use */
	char *real = fs_join(scratch, "results.artifacts"), *beside = fs_join(scratch, "link.artifacts");
	assert_int_equal(rename(real, beside), 0);
	char *dir = store_artifacts_of(link);
	assert_string_equal(dir, beside);
	char *names[] = {dir, real, beside, path, link, hard, bare, leftover, pid};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		free(names[i]);
	/* what SQLite would take for something else */
	assert_int_equal(store_open(&store, ":memory:", STORE_WRITE, &err), -1);
	assert_non_null(strstr(err.text, "would keep nothing"));
	assert_int_equal(store_open(&store, "file:x.db?mode=memory", STORE_WRITE, &err), -1);
	assert_non_null(strstr(err.text, "not a URI"));
}

/* In a child, since a step out of the working folder is for good. */
static void test_no_working_folder(void **state)
{
	(void)state;
	char *gone = fs_join(scratch, "gone");
	assert_int_equal(mkdir(gone, 0777), 0);
	pid_t child = fork();
	if (child == 0) {
		struct err err = {0};
		struct store *store;
		if (chdir(gone) < 0 || rmdir(gone) < 0)
			_exit(2);
		_exit(store_open(&store, "x.db", STORE_WRITE, &err) == -1 && strstr(err.text, "was deleted") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	free(gone);
}

static void expect_gone(struct store *store, int64_t sweep, const char *needle)
{
	struct err err = {0};
	for (int i = 0; i < 2; i++) { /* once and for all */
		assert_int_equal(store_event(store, sweep, "x", "y", &err), -1);
		if (err.kind != ERR_MOVED || !strstr(err.text, needle))
			fail_msg("expected `%s`, got `%s`", needle, err.text);
	}
	store_close(store);
}

static void test_file_gone(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, scratch, "grid", 8);
	char *path = db_path(), *away = fs_join(scratch, "away.db"), *saved = fs_join(scratch, "results.db.saved");
	struct store *store = open_ok(STORE_WRITE);
	int64_t sweep = begin(&f, store);
	fixture_finish(&f, store, 0, 8);
	/* moved: all of it is there */
	assert_int_equal(rename(path, away), 0);
	char *needle = mem_printf("was moved while the sweep ran; what was recorded is in %s", away);
	expect_gone(store, sweep, needle);
	free(needle);
	assert_int_equal(rename(away, path), 0);
	expect("SELECT count(DISTINCT artifact_id) FROM hypotheses", "16");
	/* replaced: saved beside it */
	store = open_ok(STORE_WRITE);
	sweep = begin(&f, store);
	assert_int_equal(unlink(path), 0);
	fixture_put(scratch, "results.db", "");
	expect_gone(store, sweep, "was replaced by another file");
	assert_int_equal(rename(saved, path), 0);
	expect("SELECT count(DISTINCT artifact_id) FROM hypotheses", "16");
	/* deleted */
	store = open_ok(STORE_WRITE);
	sweep = begin(&f, store);
	assert_int_equal(unlink(path), 0);
	expect_gone(store, sweep, "was deleted");
	assert_int_equal(rename(saved, path), 0);
	expect("SELECT count(DISTINCT artifact_id) FROM hypotheses", "16");
	free(saved);
	free(away);
	free(path);
	fixture_release(&f);
}

static void test_log_cut(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, scratch, "grid", 8);
	struct store *store = open_ok(STORE_WRITE);
	store_close(store);
	store = open_ok(STORE_WRITE);
	int64_t sweep = begin(&f, store);
	char *wal = fs_join(scratch, "results.db-wal");
	assert_int_equal(truncate(wal, 0), 0);
	expect_gone(store, sweep, "results.db-wal was cut or removed");
	expect("PRAGMA integrity_check", "ok");
	expect("SELECT count(*) FROM runs", "0");
	/* SQLite's own checkpoint cuts it too, and is no harm */
	store = open_ok(STORE_WRITE);
	sweep = begin(&f, store);
	change("PRAGMA wal_checkpoint(TRUNCATE)");
	struct err err = {0};
	assert_int_equal(store_event(store, sweep, "x", "y", &err), 0);
	store_close(store);
	free(wal);
	fixture_release(&f);
}

static bool there(const char *name)
{
	char *path = fs_join(scratch, name);
	bool found = fs_exists(path);
	free(path);
	return found;
}

static void test_reader_leaves_nothing(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	store_close(store);
	struct store_sweeps sweeps;
	store = open_ok(STORE_READ);
	assert_int_equal(store_query_sweeps(store, &sweeps, &err), 0);
	assert_int_equal(store_event(store, 1, "x", "y", &err), -1); /* a reader cannot write */
	store_close(store);
	store_sweeps_release(&sweeps);
	assert_false(there("results.db-wal"));
	assert_false(there("results.db-shm"));
	fixture_release(&f);
}

/* A lock that somebody holds: an interrupt that is waiting ends our patience at once. */
static void test_interrupt_while_locked(void **state)
{
	(void)state;
	struct err err = {0};
	struct store *store = open_ok(STORE_WRITE);
	sqlite3 *other;
	char *path = db_path();
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	sigset_t block, before;
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, &before);
	raise(SIGINT);
	int64_t begun = clock_ms();
	assert_int_equal(store_event(store, 0, "x", "y", &err), -1);
	assert_non_null(strstr(err.text, "is locked by another program"));
	assert_true(clock_ms() - begun < 30000); /* the whole patience */
	struct timespec none = {0};
	assert_int_equal(sigtimedwait(&block, NULL, &none), SIGINT);
	sigprocmask(SIG_SETMASK, &before, NULL);
	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(other);
	assert_int_equal(store_event(store, 0, "x", "y", &err), 0);
	store_close(store);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_new_file),
		STORE_TEST(test_lock),
		STORE_TEST(test_bad_files),
		STORE_TEST(test_damaged),
		STORE_TEST(test_read_only),
		STORE_TEST(test_no_room),
		STORE_TEST(test_reader_beside_writer),
		STORE_TEST(test_names),
		STORE_TEST(test_no_working_folder),
		STORE_TEST(test_file_gone),
		STORE_TEST(test_log_cut),
		STORE_TEST(test_reader_leaves_nothing),
		STORE_TEST(test_interrupt_while_locked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
