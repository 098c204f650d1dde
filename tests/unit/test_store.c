/* test_store.c - results.db: made, locked, migrated, filled from artifact folders, resumed, and kept from harm. SQL is
 * used here to look at the file as a user would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "store/store_query.h"
#include "store_fixture.h"

static char *scratch;

static char *db_path(void)
{
	return fs_join(scratch, "results.db");
}

static int make_scratch(void **state)
{
	(void)state;
	const char *base = getenv("TMPDIR");
	scratch = mem_printf("%s/test_store.XXXXXX", base ? base : "/tmp");
	return mkdtemp(scratch) ? 0 : -1;
}

static int drop_scratch(void **state)
{
	(void)state;
	fs_remove_tree(scratch);
	free(scratch);
	return 0;
}

static struct store *open_ok(enum store_mode mode)
{
	struct err err = {0};
	struct store *store;
	char *path = db_path();
	if (store_open(&store, path, mode, &err) < 0)
		fail_msg("store_open: %s", err.text);
	free(path);
	return store;
}

static void refused(enum store_mode mode, const char *needle)
{
	struct err err = {0};
	struct store *store;
	char *path = db_path();
	assert_int_equal(store_open(&store, path, mode, &err), -1);
	assert_null(store);
	if (!strstr(err.text, needle) || (err.kind != ERR_INPUT && err.kind != ERR_DATABASE))
		fail_msg("expected `%s`, got kind %d `%s`", needle, (int)err.kind, err.text);
	free(path);
}

/* The first column of the first row as text; "" for NULL or no row. The caller frees. */
static char *ask(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	char *path = db_path();
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 2000);
	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int code = sqlite3_step(q);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
	char *answer = mem_strdup(text ? text : "");
	sqlite3_finalize(q);
	sqlite3_close(db);
	free(path);
	return answer;
}

static void expect(const char *sql, const char *expected)
{
	char *answer = ask(sql);
	if (strcmp(answer, expected) != 0)
		fail_msg("%s\n  expected `%s`, got `%s`", sql, expected, answer);
	free(answer);
}

static void change(const char *sql)
{
	char *path = db_path(), *why = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	sqlite3_close(db);
	free(path);
}

static int64_t begin(struct fixture *f, struct store *store)
{
	struct err err = {0};
	int64_t sweep;
	if (store_begin_sweep(store, &f->spec, &f->plan, &sweep, &err) < 0)
		fail_msg("begin: %s", err.text);
	return sweep;
}

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
	expect("PRAGMA user_version", "3");
	expect("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%STRICT%'", "0");
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

static void test_whole_sweep(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 36);
	struct store *store = open_ok(STORE_WRITE);
	int64_t sweep = begin(&f, store);
	expect("SELECT count(*) FROM runs WHERE status = 'pending'", "36");
	expect("SELECT count(*) FROM leaderboard WHERE dev_bleu IS NULL", "36");
	fixture_finish(&f, store, 0, 12);
	/* another connection sees finished runs while the sweep goes on */
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "12");
	expect("SELECT status FROM sweeps", "running");
	expect("SELECT group_concat(run) FROM (SELECT run FROM leaderboard LIMIT 2)", "12,11");
	expect("SELECT dev_bleu FROM leaderboard LIMIT 1", "39.7");
	expect("SELECT status FROM leaderboard LIMIT 1 OFFSET 12", "pending");
	fixture_finish(&f, store, 12, 36);
	assert_int_equal(store_end_sweep(store, sweep, false, &err), 0);
	expect("SELECT status FROM sweeps", "done");
	expect("SELECT run FROM leaderboard LIMIT 1", "36");
	expect("SELECT group_concat(name, ' ') FROM pragma_table_info('leaderboard')",
	       "sweep run label num_virtual_tokens num_beams max_new_tokens temperature dev_bleu dev_sentence_bleu "
	       "small_bleu small_sentence_bleu status seconds");
	expect("SELECT count(*) FROM hypotheses", "504"); /* 36 * (12 + 2) */
	expect("SELECT count(*) FROM losses", "120");
	expect("SELECT table_text FROM outputs WHERE run = 36 AND split = 'small' AND input = 1", "name : \"Ral\"");
	expect("SELECT count(*) FROM refs", "26");
	expect("SELECT dir FROM artifacts WHERE kind = 'adapter' AND dir NOT LIKE 'results.artifacts/%'", "");
	/* exact scores are kept; the view rounds */
	char *exact = ask("SELECT printf('%.17g', score) FROM runs WHERE id = 36");
	assert_true(strtod(exact, NULL) == fixture_bleu(35));
	free(exact);
	expect("SELECT value FROM expected", "12.5");
	expect("SELECT varies FROM sweeps", "num_virtual_tokens num_beams max_new_tokens temperature");
	expect("PRAGMA integrity_check", "ok");
	expect("SELECT count(*) FROM pragma_foreign_key_check", "0");
	store_close(store);
	fixture_release(&f);
}

/* The same command twice is the same sweep with the same runs; a changed file adds runs, and keeps numbers. */
static void test_again(void **state)
{
	(void)state;
	struct fixture f, g;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 12);
	struct store *store = open_ok(STORE_WRITE);
	int64_t sweep = begin(&f, store);
	fixture_finish(&f, store, 0, 6);
	assert_int_equal(store_end_sweep(store, sweep, true, &err), 0);
	expect("SELECT status FROM sweeps", "interrupted");
	store_close(store);

	fixture_init(&g, scratch, "grid", 24);
	store = open_ok(STORE_WRITE);
	for (size_t i = 0; i < g.plan.n_artifacts; i++)
		g.plan.artifacts[i].have =
			store_have_artifact(g.plan.artifacts[i].key, g.plan.artifacts[i].kind, store);
	assert_int_equal(begin(&g, store), sweep);
	expect("SELECT count(*) FROM runs", "24");
	expect("SELECT count(*) || ' ' || max(id) FROM runs WHERE status = 'done'", "6 6");
	expect("SELECT count(*) FROM runs WHERE status = 'pending'", "18");
	expect("SELECT score IS NOT NULL FROM runs WHERE id = 3", "1");
	expect("SELECT count(*) FROM sweeps", "1");
	fixture_finish(&g, store, 6, 24);
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "24");
	/* a smaller file: what has results stays, what has none is dropped */
	change("UPDATE runs SET status = 'pending' WHERE id = 20");
	assert_int_equal(begin(&f, store), sweep);
	expect("SELECT status FROM runs WHERE id = 20", "dropped");
	expect("SELECT status FROM runs WHERE id = 21", "done");
	expect("SELECT count(*) FROM leaderboard", "23");
	store_close(store);
	fixture_release(&f);
	fixture_release(&g);
}

/* Two sweeps that need the same artifact share it, and both runs are done when it is there. */
static void test_shared(void **state)
{
	(void)state;
	struct fixture f, g;
	fixture_init(&f, scratch, "one", 4);
	fixture_init(&g, scratch, "one", 4);
	free(g.spec.name);
	g.spec.name = mem_strdup("two");
	g.spec.maximize = false;
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	begin(&g, store);
	fixture_finish(&f, store, 0, 4);
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "8");
	expect("SELECT count(*) FROM artifacts", "11");
	/* each sweep by its own goal: in `two` the smallest is best */
	expect("SELECT run FROM leaderboard WHERE sweep = 'one' LIMIT 1", "4");
	expect("SELECT run FROM leaderboard WHERE sweep = 'two' LIMIT 1", "5");
	store_close(store);
	fixture_release(&f);
	fixture_release(&g);
}

static void test_failure(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	int64_t attempt;
	fixture_init(&f, scratch, "grid", 8);
	struct store *store = open_ok(STORE_WRITE);
	int64_t sweep = begin(&f, store);
	const char *train = f.plan.jobs[0].job.key; /* of runs 2 and 6 */
	assert_int_equal(store_attempt_begin(store, train, 1, 0, 2, 99, &attempt, &err), 0);
	expect("SELECT state FROM jobs WHERE id = 1", "running");
	struct event loss = {.kind = EVENT_LOSS, .step = 3, .loss = (double)NAN, .learning_rate = 0.1};
	assert_int_equal(store_loss(store, train, &loss, &err), 0);
	expect("SELECT loss IS NULL AND step = 3 FROM losses", "1");
	assert_int_equal(
		store_attempt_end(store, attempt, ATTEMPT_FAILED, "it's out of memory", "line 1\nline 2", NULL, &err),
		0);
	assert_int_equal(store_job_failed(store, train, "it's out of memory", &err), 0);
	expect("SELECT group_concat(id) FROM runs WHERE status = 'failed'", "2,6");
	expect("SELECT reason FROM runs WHERE id = 6", "it's out of memory");
	expect("SELECT log_tail FROM attempts", "line 1\nline 2");
	assert_int_equal(store_end_sweep(store, sweep, false, &err), 0);
	expect("SELECT status FROM sweeps", "interrupted"); /* six are pending still */
	/* the same command again: failed runs are pending again */
	begin(&f, store);
	expect("SELECT count(*) FROM runs WHERE status = 'pending'", "8");
	expect("SELECT reason IS NULL FROM runs WHERE id = 6", "1");
	fixture_finish(&f, store, 0, 8);
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "8");
	store_close(store);
	fixture_release(&f);
}

/* A scheduler that died: its attempts are lost, its jobs wait again; a complete folder without a row is adopted. */
static void test_after_death(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	int64_t attempt;
	fixture_init(&f, scratch, "grid", 4);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store *store = open_ok(STORE_WRITE);
		begin(&f, store);
		FIXTURE_CHECK(store_attempt_begin(store, f.plan.jobs[0].job.key, 1, 0, 2, 99, &attempt, &err) == 0);
		fixture_write(&f, 0); /* renamed into place, but not yet committed */
		kill(getpid(), SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	struct store *store = open_ok(STORE_WRITE);
	expect("SELECT outcome FROM attempts", "lost");
	expect("SELECT state FROM jobs WHERE id = 1", "pending");
	expect("SELECT status FROM sweeps", "interrupted");
	expect("SELECT count(*) FROM losses", "0");
	assert_true(store_have_artifact(f.plan.artifacts[0].key, JOB_TRAIN, store));
	assert_false(store_have_artifact(f.plan.artifacts[0].key, JOB_DECODE, store) &&
		     !store_have_artifact(f.plan.artifacts[0].key, JOB_TRAIN, store));
	expect("SELECT count(*) FROM losses", "40");
	assert_false(store_have_artifact(f.plan.artifacts[1].key, JOB_TRAIN, store));
	/* and one whose folder somebody removed is not there, whatever the row says */
	fs_remove_tree(f.plan.artifacts[0].dir);
	assert_false(store_have_artifact(f.plan.artifacts[0].key, JOB_TRAIN, store));
	store_close(store);
	fixture_release(&f);
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

/* Version 1, as it was: without published scores and the view of outputs; and from before two parameters existed. */
static void test_migration(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 8);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 8);
	store_close(store);
	change("DROP VIEW leaderboard; DROP VIEW outputs; DROP TABLE expected; ALTER TABLE sweeps DROP COLUMN varies;"
	       "ALTER TABLE runs DROP COLUMN top_k;"
	       "ALTER TABLE runs DROP COLUMN early_stopping; PRAGMA user_version = 1;");
	/* a reader brings it forward by itself */
	store = open_ok(STORE_READ);
	struct store_runs runs;
	struct store_runs_query query = {.sweep_id = 1};
	assert_int_equal(store_query_runs(store, &query, &runs, &err), 0);
	assert_int_equal(runs.n, 8);
	assert_int_equal(PARAM_I(&runs.run[0].params, top_k), 50);
	assert_int_equal(PARAM_I(&runs.run[0].params, early_stopping), EARLY_STOPPING_FALSE);
	bool varies[PARAM_COUNT];
	assert_int_equal(store_query_varying(store, 1, varies, &err), 0);
	assert_true(varies[PARAM_num_beams] && !varies[PARAM_top_k]);
	store_runs_release(&runs);
	store_close(store);
	expect("PRAGMA user_version", "3");
	expect("SELECT count(*) FROM expected", "0");
	expect("SELECT count(*) > 0 FROM outputs", "1");
	expect("SELECT count(*) FROM leaderboard", "8");
	store = open_ok(STORE_WRITE);
	begin(&f, store);
	expect("SELECT count(*) FROM expected", "1");
	store_close(store);
	/* while somebody writes, the reader brings a copy in memory forward, and the file stays as it is */
	change("DROP VIEW outputs; DROP TABLE expected; ALTER TABLE sweeps DROP COLUMN varies; PRAGMA user_version = "
	       "1");
	char *lock = mem_printf("%s/results.db.lock", scratch);
	pid_t child = fork();
	if (child == 0) {
		execl("/usr/bin/flock", "flock", lock, "sleep", "5", (char *)NULL);
		_exit(1);
	}
	struct timespec nap = {.tv_nsec = 400000000};
	nanosleep(&nap, NULL);
	store = open_ok(STORE_READ);
	assert_int_equal(store_query_runs(store, &query, &runs, &err), 0);
	assert_int_equal(runs.n, 8);
	store_runs_release(&runs);
	store_close(store);
	expect("PRAGMA user_version", "1");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	free(lock);
	fixture_release(&f);
}

/* NULs, quotes, newlines and bytes that are not UTF-8 come back as they were. */
static void test_texts(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "it's \"odd\"", 4);
	f.n_inputs = 4;
	fixture_data(&f);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	size_t artifact = FIXTURE_ADAPTERS - 1;
	fixture_write(&f, artifact);
	fixture_put(f.plan.artifacts[artifact].dir, "hypotheses.jsonl",
		    "{\"id\":0,\"text\":\"nul \\u0000 inside\",\"score\":null,\"new\":{\"a\":[1,\"]\"]}}\n"
		    "{\"id\":1,\"text\":\"'quote' \\\"double\\\"\\nnew line\\t\\ud83d\\ude00 \\ud800\"}\n"
		    "{\"id\":2,\"text\":\"\xff\xfe not UTF-8\",\"tokens\":7}\n"
		    "{\"id\":\"3\",\"text\":\"\"}\n");
	if (store_artifact_done(store, f.plan.artifacts[artifact].key, f.plan.artifacts[artifact].dir, &err) < 0)
		fail_msg("%s", err.text);
	struct store_outputs outputs;
	if (store_query_outputs(store, 1, "dev", &outputs, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(outputs.n, 4);
	assert_int_equal(outputs.output[0].text.size, 12);
	assert_memory_equal(outputs.output[0].text.data, "nul \0 inside", 12);
	assert_true(isnan(outputs.output[0].score));
	assert_int_equal(outputs.output[0].tokens, -1);
	assert_string_equal(outputs.output[1].text.data, "'quote' \"double\"\nnew line\t\xf0\x9f\x98\x80 \xef\xbf\xbd");
	assert_string_equal(outputs.output[2].text.data, "\xff\xfe not UTF-8");
	assert_int_equal(outputs.output[2].tokens, 7);
	assert_int_equal(outputs.output[3].text.size, 0);
	assert_string_equal(outputs.output[2].table.data, "name : Corlin 2 | boat : yacht");
	assert_int_equal(outputs.output[2].n_references, 3);
	store_outputs_release(&outputs);
	assert_int_equal(store_query_outputs(store, 1, "small", &outputs, &err), -1);
	assert_non_null(strstr(err.text, "no outputs on small yet"));
	assert_int_equal(store_query_outputs(store, 1, "dew", &outputs, &err), -1);
	expect("SELECT sweep FROM leaderboard", "it's \"odd\"");
	store_close(store);
	fixture_release(&f);
}

static void bad_artifact(struct fixture *f, struct store *store, const char *file, const char *text, const char *needle)
{
	struct err err = {0};
	size_t artifact = FIXTURE_ADAPTERS - 1;
	fixture_write(f, artifact);
	if (text) {
		fixture_put(f->plan.artifacts[artifact].dir, file, text);
	} else {
		char *path = fs_join(f->plan.artifacts[artifact].dir, file);
		unlink(path);
		free(path);
	}
	assert_int_equal(
		store_artifact_done(store, f->plan.artifacts[artifact].key, f->plan.artifacts[artifact].dir, &err), -1);
	if (err.kind != ERR_INPUT || !strstr(err.text, needle))
		fail_msg("expected `%s`, got `%s`", needle, err.text);
	expect("SELECT count(*) FROM hypotheses", "0");
	expect("SELECT count(*) FROM scores", "0");
	expect("SELECT count(*) FROM runs WHERE status = 'done'", "0");
}

static void test_hostile_artifacts(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	bad_artifact(&f, store, "artifact.json", NULL, "artifact.json");
	bad_artifact(&f, store, "artifact.json", "", "not valid JSON");
	bad_artifact(&f, store, "artifact.json", "[1,2]", "`kind` is missing");
	bad_artifact(&f, store, "artifact.json", "{\"kind\":\"hypotheses\",\"key\":\"00\",\"split\":\"dev\"}",
		     "`key`: expected");
	bad_artifact(&f, store, "artifact.json", "{\"kind\":\"bird\",\"key\":\"00\"}", "`kind`: expected adapter");
	bad_artifact(&f, store, "hypotheses.jsonl", NULL, "hypotheses.jsonl");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":0,\"text\":\"a\"}\n", "expected 12 lines");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":0,\"text\":\"a\"}\n{\"id\":1,\"te", ":2:");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":0,\"text\":7}\n", "`text`: expected a text");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":-1,\"text\":\"a\"}\n", "`id`: expected a whole number");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":1,\"text\":\"a\"}\n{\"id\":1,\"text\":\"a\"}\n",
		     "ids rise");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":0,\"text\":\"a\",\"score\":1e999}\n", "not a JSON object");
	bad_artifact(&f, store, "hypotheses.jsonl", "{\"id\":0,\"text\":\"a\",\"score\":\"high\"}\n",
		     "`score`: expected a number");
	struct buf deep = BUF_INIT;
	buf_adds(&deep, "{\"id\":0,\"x\":");
	for (int i = 0; i < 100000; i++)
		buf_addc(&deep, '[');
	bad_artifact(&f, store, "hypotheses.jsonl", deep.data, "not a JSON object");
	bad_artifact(&f, store, "artifact.json", deep.data, "not valid JSON");
	buf_release(&deep);
	expect("PRAGMA integrity_check", "ok");
	store_close(store);
	fixture_release(&f);
}

/* A new split and a newly varied parameter give the view new columns; quotes in names do no harm. */
static void test_view_grows(void **state)
{
	(void)state;
	struct fixture f, g;
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	expect("SELECT count(*) FROM pragma_table_info('leaderboard') WHERE name IN ('length_penalty', 'te''st_bleu')",
	       "0");
	fixture_init(&g, scratch, "more", 4);
	PARAM_F(&g.plan.runs[1].params, length_penalty) = 2;
	char *before = g.splits[1].name;
	g.spec_splits[1].name = g.splits[1].name = mem_strdup("te'st");
	for (size_t i = 0; i < g.plan.n_artifacts; i++)
		if (g.plan.artifacts[i].split == before)
			g.plan.artifacts[i].split = g.splits[1].name;
	free(before);
	begin(&g, store);
	fixture_finish(&g, store, 0, 4);
	expect("SELECT count(*) FROM pragma_table_info('leaderboard') WHERE name IN ('length_penalty', 'te''st_bleu')",
	       "2");
	expect("SELECT count(\"te'st_bleu\") FROM leaderboard", "4");
	store_close(store);
	fixture_release(&f);
	fixture_release(&g);
}

static void test_digests(void **state)
{
	(void)state;
	struct err err = {0};
	char hex[HASH_HEX], key[HASH_HEX];
	fixture_put(scratch, "weights", "abc");
	char *file = fs_join(scratch, "weights");
	struct store *store = open_ok(STORE_WRITE);
	assert_false(store_digest_get(store, file, hex));
	hash_bytes("abc", 3, key);
	assert_int_equal(store_digest_put(store, file, key, &err), 0);
	assert_true(store_digest_get(store, file, hex));
	assert_string_equal(hex, key);
	fixture_put(scratch, "weights", "abcd");
	assert_false(store_digest_get(store, file, hex));
	assert_false(store_digest_get(store, "/nowhere", hex));
	assert_int_equal(store_digest_put(store, "/nowhere", key, &err), -1);
	store_close(store);
	free(file);
}

/* The section of a table in docs/DATABASE.md, with only the first cells of its rows. The caller frees; NULL: none. */
static char *documented(const char *page, const char *table)
{
	char *heading = mem_printf("\n### %s\n", table);
	const char *from = strstr(page, heading);
	free(heading);
	if (!from)
		return NULL;
	const char *end = strstr(from + 4, "\n#");
	struct buf cells = BUF_INIT;
	buf_reserve(&cells, 1);
	for (const char *p = from; p && (!end || p < end); p = strstr(p + 1, "\n| `")) {
		if (strncmp(p, "\n| `", 4) != 0)
			continue;
		buf_add(&cells, p + 3, strcspn(p + 3, "|"));
	}
	return buf_detach(&cells);
}

/* docs/DATABASE.md is the contract: it has every table and column and none that does not exist, and its queries run. */
static void test_documentation(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	struct buf page = BUF_INIT;
	if (buf_read_file(&page, SOURCE_DIR "/docs/DATABASE.md", 1 << 20, &err) < 0)
		fail_msg("%s", err.text);
	fixture_init(&f, scratch, "grid", 36);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 36);
	char *path = db_path(), *version = mem_printf("`PRAGMA user_version` is %d;", 3);
	assert_non_null(strstr(page.data, version));
	free(version);
	sqlite3 *db;
	sqlite3_stmt *q;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
					    "WHERE t.type = 'table' ORDER BY 1",
					    -1, &q, NULL),
			 SQLITE_OK);
	size_t columns = 0;
	while (sqlite3_step(q) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(q, 0),
			   *column = (const char *)sqlite3_column_text(q, 1);
		char *cells = documented(page.data, table), *name = mem_printf("`%s`", column);
		bool param = strcmp(table, "runs") == 0 && params_find(column) >= 0;
		if (!cells || !strstr(param ? page.data : cells, name))
			fail_msg("docs/DATABASE.md lacks %s.%s", table, column);
		free(cells);
		free(name);
		columns++;
	}
	sqlite3_finalize(q);
	assert_true(columns > 100);
	/* the other way round: what the page names exists */
	for (const char *p = strstr(page.data, "\n### "); p; p = strstr(p + 1, "\n### ")) {
		char *table = mem_strndup(p + 5, strcspn(p + 5, "\n")), *cells = documented(page.data, table);
		for (const char *c = strchr(cells, '`'); c; c = strchr(c + 1, '`')) {
			size_t n = strcspn(c + 1, "`");
			char *exact = mem_printf("SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%.*s'",
						 table, (int)n, c + 1);
			expect(exact, "1");
			free(exact);
			c += 1 + n;
		}
		free(table);
		free(cells);
	}
	size_t queries = 0;
	for (const char *p = strstr(page.data, "```sql\n"); p; p = strstr(p, "```sql\n")) {
		p += 7;
		char *sql = mem_strndup(p, (size_t)(strstr(p, "```") - p));
		if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
			fail_msg("docs/DATABASE.md: %s: %s", sqlite3_errmsg(db), sql);
		int code;
		while ((code = sqlite3_step(q)) == SQLITE_ROW)
			;
		assert_int_equal(code, SQLITE_DONE);
		sqlite3_finalize(q);
		free(sql);
		queries++;
	}
	assert_true(queries >= 10);
	sqlite3_close(db);
	store_close(store);
	buf_release(&page);
	free(path);
	fixture_release(&f);
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

int main(int argc, char **argv)
{
	/* test_store --make DIR NAME RUNS DONE: a results.db for the CLI tests, DONE of its RUNS finished */
	if (argc == 6 && strcmp(argv[1], "--make") == 0) {
		struct fixture f;
		struct err err = {0};
		struct store *store;
		int64_t sweep;
		size_t runs = strtoul(argv[4], NULL, 10), done = strtoul(argv[5], NULL, 10);
		char *dir = realpath(argv[2], NULL), *path = fs_join(dir, "results.db");
		fixture_init(&f, dir, argv[3], runs);
		FIXTURE_CHECK(store_open(&store, path, STORE_WRITE, &err) == 0);
		FIXTURE_CHECK(store_begin_sweep(store, &f.spec, &f.plan, &sweep, &err) == 0);
		if (done)
			fixture_finish(&f, store, 0, done);
		FIXTURE_CHECK(store_end_sweep(store, sweep, false, &err) == 0);
		store_close(store);
		fixture_release(&f);
		free(path);
		free(dir);
		return 0;
	}
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, drop_scratch)
	const struct CMUnitTest tests[] = {
		TEST(test_new_file),
		TEST(test_whole_sweep),
		TEST(test_again),
		TEST(test_shared),
		TEST(test_failure),
		TEST(test_after_death),
		TEST(test_lock),
		TEST(test_bad_files),
		TEST(test_damaged),
		TEST(test_read_only),
		TEST(test_migration),
		TEST(test_texts),
		TEST(test_hostile_artifacts),
		TEST(test_view_grows),
		TEST(test_digests),
		TEST(test_documentation),
		TEST(test_no_room),
		TEST(test_reader_beside_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
