/* test_store_artifact.c - artifact folders become rows: after a death, with odd texts, with hostile files; digests. */
#include "store_scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

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
	assert_true(have(store, f.plan.artifacts[0].key, JOB_TRAIN));
	assert_false(have(store, f.plan.artifacts[0].key, JOB_DECODE) &&
		     !have(store, f.plan.artifacts[0].key, JOB_TRAIN));
	expect("SELECT count(*) FROM losses", "40");
	assert_false(have(store, f.plan.artifacts[1].key, JOB_TRAIN));
	/* and one whose folder somebody removed is not there, whatever the row says */
	fs_remove_tree(f.plan.artifacts[0].dir);
	assert_false(have(store, f.plan.artifacts[0].key, JOB_TRAIN));
	store_close(store);
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

static void flip(const char *dir, const char *name)
{
	char *path = fs_join(dir, name);
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	int c = fgetc(file);
	assert_int_equal(fseek(file, 0, SEEK_SET), 0);
	fputc(c ^ 1, file);
	assert_int_equal(fclose(file), 0);
	free(path);
}

static void cut(const char *dir, const char *name)
{
	char *path = fs_join(dir, name);
	assert_int_equal(truncate(path, 3), 0);
	free(path);
}

/* What was whole once and is not now is set aside, and waits to be made again with its job and its runs. */
static void test_damage(void **state)
{
	(void)state;
	struct fixture f;
	struct err why = {0};
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 4);
	const struct plan_artifact *adapter = &f.plan.artifacts[0], *texts = &f.plan.artifacts[FIXTURE_ADAPTERS - 1];
	assert_true(have(store, adapter->key, JOB_TRAIN));
	assert_false(store_lost_artifact(store, adapter->key));
	flip(adapter->dir, "adapter_model.safetensors");
	assert_false(store_have_artifact(store, adapter->key, JOB_TRAIN, &why));
	assert_non_null(strstr(why.text, "adapter_model.safetensors does not have the bytes"));
	assert_true(store_lost_artifact(store, adapter->key));
	assert_false(fs_exists(adapter->dir));
	expect("SELECT state FROM artifacts WHERE id = 1", "pending");
	expect("SELECT count(*) > 0 FROM runs WHERE adapter_id = 1 AND status = 'pending'", "1");
	expect("SELECT count(*) FROM runs WHERE adapter_id <> 1 AND status = 'pending'", "0");
	expect("SELECT kind FROM events ORDER BY id DESC", "damaged");
	cut(texts->dir, "hypotheses.jsonl");
	why = (struct err){0};
	assert_false(store_have_artifact(store, texts->key, JOB_DECODE, &why));
	assert_non_null(strstr(why.text, "has 3 bytes"));
	/* a file that was only touched is read, and is what it was */
	char *path = fs_join(f.plan.artifacts[1].dir, "losses.jsonl");
	const struct timespec then[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
	assert_true(have(store, f.plan.artifacts[1].key, JOB_TRAIN));
	free(path);
	/* made again: no longer lost */
	fixture_write(&f, 0);
	assert_int_equal(store_artifact_done(store, adapter->key, adapter->dir, &why), 0);
	assert_true(have(store, adapter->key, JOB_TRAIN));
	assert_false(store_lost_artifact(store, adapter->key));
	/* removed by somebody: made again when it is needed, not for its own sake */
	fs_remove_tree(adapter->dir);
	assert_false(have(store, adapter->key, JOB_TRAIN));
	assert_false(store_lost_artifact(store, adapter->key));
	store_close(store);
	fixture_release(&f);
}

static void count_line(void *ctx, const char *sentence)
{
	struct buf *lines = ctx;
	buf_printf(lines, "%s\n", sentence);
}

static void test_check(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	struct store_checked out;
	struct buf lines = BUF_INIT;
	buf_reserve(&lines, 1);
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	fixture_finish(&f, store, 0, 4);
	assert_int_equal(store_check(store, false, count_line, &lines, &out, &err), 0);
	assert_int_equal(out.damaged, 0);
	assert_int_equal(out.artifacts, f.plan.n_artifacts);
	assert_int_equal(lines.size, 0);
	flip(f.plan.artifacts[0].dir, "adapter_config.json");
	fs_remove_tree(f.plan.artifacts[1].dir);
	change("DELETE FROM hypotheses WHERE artifact_id = (SELECT max(artifact_id) FROM hypotheses) AND input = 0");
	assert_int_equal(store_check(store, false, count_line, &lines, &out, &err), 0);
	assert_int_equal(out.damaged, 3);
	assert_int_equal(out.repaired, 0);
	assert_non_null(strstr(lines.data, "adapter_config.json does not have the bytes"));
	assert_non_null(strstr(lines.data, " is missing"));
	assert_non_null(strstr(lines.data, "1 of its texts are not in the database"));
	expect("SELECT count(*) FROM artifacts WHERE state <> 'done'", "0");
	assert_int_equal(store_check(store, true, count_line, &lines, &out, &err), 0);
	assert_int_equal(out.repaired, 3);
	expect("SELECT count(*) FROM artifacts WHERE state = 'pending'", "3");
	assert_true(store_lost_artifact(store, f.plan.artifacts[1].key));
	assert_int_equal(store_check(store, false, count_line, &lines, &out, &err), 0);
	assert_int_equal(out.damaged, 0);
	/* rows that point nowhere */
	change("INSERT INTO scores(artifact_id, metric) VALUES(999, 'bleu')");
	buf_clear(&lines);
	assert_int_equal(store_check(store, false, count_line, &lines, &out, &err), 0);
	assert_int_equal(out.damaged, 1);
	assert_non_null(strstr(lines.data, "of scores names a row of artifacts that is not there"));
	store_close(store);
	buf_release(&lines);
	fixture_release(&f);
}

/* The database's own failure is not the artifact's. */
static void test_blame(void **state)
{
	(void)state;
	struct fixture f;
	struct err err = {0};
	fixture_init(&f, scratch, "grid", 4);
	struct store *store = open_ok(STORE_WRITE);
	begin(&f, store);
	change("CREATE TRIGGER odd BEFORE INSERT ON losses BEGIN SELECT raise(ABORT, 'no'); END");
	fixture_write(&f, 0);
	assert_int_equal(store_artifact_done(store, f.plan.artifacts[0].key, f.plan.artifacts[0].dir, &err), -1);
	assert_int_not_equal(err.kind, ERR_INPUT);
	change("DROP TRIGGER odd");
	store_close(store);
	/* pages of a table overwritten: the folder is as good as before */
	char *path = fs_join(scratch, "results.db");
	char *at =
		ask("SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = "
		    "'losses'");
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, strtol(at, NULL, 10), SEEK_SET), 0);
	fputs("damage", file);
	assert_int_equal(fclose(file), 0);
	free(at);
	free(path);
	store = open_ok(STORE_WRITE);
	err = (struct err){0};
	assert_int_equal(store_artifact_done(store, f.plan.artifacts[0].key, f.plan.artifacts[0].dir, &err), -1);
	assert_int_equal(err.kind, ERR_DATABASE);
	assert_true(fs_is_dir(f.plan.artifacts[0].dir));
	store_close(store);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_after_death), STORE_TEST(test_texts),  STORE_TEST(test_hostile_artifacts),
		STORE_TEST(test_digests),     STORE_TEST(test_damage), STORE_TEST(test_check),
		STORE_TEST(test_blame),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
