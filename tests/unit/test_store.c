/* test_store.c - a sweep in results.db: begun, filled, begun again, shared, failed. `--make` makes one for the CLI tests. */
#include "store_scratch.h"

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
		g.plan.artifacts[i].have = have(store, g.plan.artifacts[i].key, g.plan.artifacts[i].kind);
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
	/* a speed that nobody knows is none, not 0 */
	expect("SELECT tokens_per_second IS NULL FROM losses", "1");
	loss = (struct event){.kind = EVENT_LOSS, .step = 4, .loss = 2, .learning_rate = 0.1, .tokens_per_second = 0.5};
	assert_int_equal(store_loss(store, train, &loss, &err), 0);
	expect("SELECT tokens_per_second FROM losses WHERE step = 4", "0.5");
	assert_int_equal(
		store_attempt_end(store, attempt, ATTEMPT_FAILED, "it's out of memory", "line 1\nline 2", NULL, &err),
		0);
	assert_int_equal(store_job_failed(store, train, "it's out of memory", &err), 0);
	expect("SELECT group_concat(id) FROM runs WHERE status = 'failed'", "2,6");
	expect("SELECT reason FROM runs WHERE id = 6", "it's out of memory");
	expect("SELECT log_tail FROM attempts", "line 1\nline 2");
	expect("SELECT reason FROM attempts", "it's out of memory");
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
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_whole_sweep),
		STORE_TEST(test_again),
		STORE_TEST(test_shared),
		STORE_TEST(test_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
