/* store_scratch.h - what the tests of the store share: a scratch folder, a results.db in it, and SQL to look at it as a
 * user would. Each test runs in a folder of its own:
 *
 *     const struct CMUnitTest tests[] = {STORE_TEST(test_new_file)};
 */
#ifndef SWEEP_STORE_SCRATCH_H
#define SWEEP_STORE_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>

#include "store/store_query.h"
#include "store_fixture.h"

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, drop_scratch)

static char *scratch;

static inline char *db_path(void)
{
	return fs_join(scratch, "results.db");
}

static inline int make_scratch(void **state)
{
	(void)state;
	const char *base = getenv("TMPDIR");
	scratch = mem_printf("%s/test_store.XXXXXX", base ? base : "/tmp");
	return mkdtemp(scratch) ? 0 : -1;
}

static inline int drop_scratch(void **state)
{
	(void)state;
	fs_remove_tree(scratch);
	free(scratch);
	return 0;
}

static inline struct store *open_ok(enum store_mode mode)
{
	struct err err = {0};
	struct store *store;
	char *path = db_path();
	if (store_open(&store, path, mode, &err) < 0)
		fail_msg("store_open: %s", err.text);
	free(path);
	return store;
}

static inline void refused(enum store_mode mode, const char *needle)
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
static inline char *ask(const char *sql)
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

static inline void expect(const char *sql, const char *expected)
{
	char *answer = ask(sql);
	if (strcmp(answer, expected) != 0)
		fail_msg("%s\n  expected `%s`, got `%s`", sql, expected, answer);
	free(answer);
}

static inline void change(const char *sql)
{
	char *path = db_path(), *why = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	sqlite3_close(db);
	free(path);
}

static inline bool have(struct store *store, const char *key, enum job_kind kind)
{
	struct err why = {0};
	return store_have_artifact(store, key, kind, &why);
}

static inline int64_t begin(struct fixture *f, struct store *store)
{
	struct err err = {0};
	int64_t sweep;
	if (store_begin_sweep(store, &f->spec, &f->plan, &sweep, &err) < 0)
		fail_msg("begin: %s", err.text);
	return sweep;
}

#endif
