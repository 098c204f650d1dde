/* test_store_schema.c - tables and views: older versions brought forward, new columns, and docs/DATABASE.md beside them. */
#include "store_scratch.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

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
	change("DROP VIEW leaderboard; DROP VIEW outputs; DROP TABLE expected; DROP TABLE artifact_files;"
	       "DROP TABLE removed; DROP TABLE garbage; ALTER TABLE runs DROP COLUMN note;"
	       "ALTER TABLE sweeps DROP COLUMN varies; ALTER TABLE runs DROP COLUMN top_k;"
	       "ALTER TABLE runs DROP COLUMN early_stopping; PRAGMA user_version = 1;");
	/* a reader brings a copy in memory forward, and the file stays as it is */
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
	expect("PRAGMA user_version", "1");
	/* a writer brings the file forward */
	store_close(open_ok(STORE_WRITE));
	expect("PRAGMA user_version", "6");
	expect("SELECT count(*) FROM expected", "0");
	expect("SELECT count(*) > 0 FROM outputs", "1");
	expect("SELECT count(*) FROM leaderboard", "8");
	store = open_ok(STORE_WRITE);
	begin(&f, store);
	expect("SELECT count(*) FROM expected", "1");
	/* digests of what was made before there were any are taken when it is asked for */
	expect("SELECT count(*) FROM artifact_files", "0");
	assert_true(have(store, f.plan.artifacts[0].key, JOB_TRAIN));
	expect("SELECT group_concat(name) FROM artifact_files",
	       "adapter_config.json,adapter_model.safetensors,artifact.json,losses.jsonl");
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
	char *path = db_path(), *version = mem_printf("`PRAGMA user_version` is %d;", 6);
	assert_non_null(strstr(page.data, version));
	free(version);
	sqlite3 *db;
	sqlite3_stmt *q;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
					    "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY 1",
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_migration),
		STORE_TEST(test_view_grows),
		STORE_TEST(test_documentation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
