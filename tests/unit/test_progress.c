/* test_progress.c - what people see: frames at every width, plain lines, the order of runs in a tally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "run/progress.h"
#include "run/tally.h"

#define N_RUNS 3

static char dir[64];
static struct spec spec;
static struct spec_split splits[2];
static struct plan plan;
static struct plan_run runs[N_RUNS];
static struct plan_artifact artifacts[1 + 2 * N_RUNS];
static struct plan_job jobs[1 + N_RUNS];
static size_t run_artifacts[N_RUNS][2], job_artifacts[1 + N_RUNS][2];

static char *text_of(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void write_card(size_t artifact, double bleu)
{
	struct err err = {0};
	struct plan_artifact *a = &artifacts[artifact];
	char *card = mem_printf("{\"scores\": {\"bleu\": %.2f, \"sentence_bleu\": 1}}", bleu);
	char *path = fs_join(a->dir, "artifact.json");
	assert_int_equal(fs_make_dirs(a->dir, &err), 0);
	assert_int_equal(fs_write_file(path, card, strlen(card), &err), 0);
	free(card);
	free(path);
}

/* Three runs of one training: 3, 5 and 7 beams, on dev and small. */
static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/test_progress.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	splits[0].name = text_of("dev");
	splits[1].name = text_of("dev_small");
	spec = (struct spec){.name = text_of("beam_grid"),
			     .metric = text_of("dev_bleu"),
			     .maximize = true,
			     .splits = splits,
			     .n_splits = 2};
	plan = (struct plan){.runs = runs,
			     .n_runs = N_RUNS,
			     .artifacts = artifacts,
			     .n_artifacts = 1 + 2 * N_RUNS,
			     .jobs = jobs,
			     .n_jobs = 1 + N_RUNS,
			     .n_splits = 2};
	memset(artifacts, 0, sizeof artifacts);
	memset(jobs, 0, sizeof jobs);
	artifacts[0] = (struct plan_artifact){.kind = JOB_TRAIN, .dir = mem_printf("%s/a0", dir)};
	jobs[0] = (struct plan_job){.job = {.kind = JOB_TRAIN},
				    .title = text_of("train 20 virtual tokens"),
				    .waits_for = PLAN_NONE,
				    .artifacts = job_artifacts[0],
				    .n_artifacts = 1,
				    .cost = 10};
	static char titles[N_RUNS][64];
	for (size_t i = 0; i < N_RUNS; i++) {
		for (size_t s = 0; s < 2; s++) {
			size_t a = 1 + 2 * i + s;
			artifacts[a] = (struct plan_artifact){
				.kind = JOB_DECODE, .split = splits[s].name, .dir = mem_printf("%s/a%zu", dir, a)};
			run_artifacts[i][s] = job_artifacts[1 + i][s] = a;
		}
		params_default(&runs[i].params);
		PARAM_I(&runs[i].params, num_beams) = 3 + 2 * (int64_t)i;
		runs[i].artifacts = run_artifacts[i];
		snprintf(titles[i], sizeof titles[i], "decode 20 virtual tokens: %zu beams, 20/50 tokens, T 0.2",
			 3 + 2 * i);
		jobs[1 + i] = (struct plan_job){.job = {.kind = JOB_DECODE},
						.title = titles[i],
						.waits_for = 0,
						.artifacts = job_artifacts[1 + i],
						.n_artifacts = 2,
						.cost = 5};
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < plan.n_artifacts; i++)
		free(artifacts[i].dir);
	fs_remove_tree(dir);
	return 0;
}

static void test_tally(void **state)
{
	(void)state;
	struct tally t;
	artifacts[3].have = artifacts[4].have = true; /* 5 beams: there before */
	write_card(3, 30);
	write_card(4, 99);
	tally_init(&t, &spec, &plan);
	assert_int_equal(t.complete, 1);
	assert_int_equal(t.best, 1);
	assert_true(t.best_score == 30); /* of dev, not of dev_small */
	write_card(1, 50);
	assert_int_equal(tally_artifact(&t, 1), 0); /* half of run 0 */
	assert_int_equal(t.best, 1);
	write_card(2, 1);
	assert_int_equal(tally_artifact(&t, 2), 1);
	assert_int_equal(tally_artifact(&t, 2), 0); /* told twice, counted once */
	assert_int_equal(t.complete, 2);
	assert_int_equal(t.best, 0);
	assert_int_equal(tally_artifact(&t, 0), 0); /* an adapter completes nothing */
	struct buf text = BUF_INIT;
	tally_describe(NULL, &runs[0].params, t.varies, &text);
	assert_string_equal(text.data, "3 beams");
	buf_clear(&text);
	struct params one = runs[0].params;
	PARAM_I(&one, num_beams) = 1;
	tally_describe(NULL, &one, t.varies, &text);
	assert_string_equal(text.data, "1 beam");
	buf_clear(&text);
	tally_describe("published", &runs[0].params, t.varies, &text);
	assert_string_equal(text.data, "published");
	buf_release(&text);
	/* without a readable score a run is complete and never the best */
	assert_int_equal(tally_artifact(&t, 5) + tally_artifact(&t, 6), 1);
	assert_int_equal(t.complete, 3);
	assert_int_equal(t.best, 0);
	tally_release(&t);
	/* of equal scores the first of the file is the best, whichever was done first */
	tally_init(&t, &spec, &plan);
	assert_int_equal(t.best, 1);
	write_card(1, 30);
	tally_artifact(&t, 1);
	tally_artifact(&t, 2);
	assert_int_equal(t.best, 0);
	tally_release(&t);
	write_card(1, 50);
	/* a loss is better when it is less; a metric of none of the splits has no best */
	spec.maximize = false;
	tally_init(&t, &spec, &plan);
	tally_artifact(&t, 1);
	tally_artifact(&t, 2);
	assert_int_equal(t.best, 1);
	tally_release(&t);
	spec.metric = text_of("val_loss");
	tally_init(&t, &spec, &plan);
	assert_int_equal(t.complete, 1);
	assert_int_equal(t.best, PLAN_NONE);
	tally_release(&t);
}

static struct progress *new_progress(struct tally *t, int workers, bool utf8, bool live, int fd)
{
	struct progress_options o = {.plan = &plan,
				     .tally = t,
				     .name = "beam_grid",
				     .metric = "dev_bleu",
				     .workers = workers,
				     .fd = fd,
				     .live = live,
				     .utf8 = utf8,
				     .now = 1000};
	return progress_new(&o);
}

static int code_points(const char *text, size_t n)
{
	int width = 0;
	for (size_t i = 0; i < n; i++)
		width += ((unsigned char)text[i] & 0xC0) != 0x80;
	return width;
}

static void test_frame(void **state)
{
	(void)state;
	struct tally t;
	tally_init(&t, &spec, &plan);
	struct progress *p = new_progress(&t, 2, true, false, -1);
	progress_started(p, 0, 0, 1, 1000);
	progress_event(
		p, 0, 0,
		&(struct event){
			.kind = EVENT_LOSS, .step = 120, .total = 250, .loss = 2.314, .tokens_per_second = 4210});
	progress_started(p, 1, 1, 2, 2000);
	progress_event(p, 1, 1, &(struct event){.kind = EVENT_PROGRESS, .phase = "load", .done = 1, .total = 2});
	struct buf out = BUF_INIT;
	int widths[300];
	progress_frame(p, 2000, 80, 24, &out, widths);
	/* at every width: no line is wider, and the widths told are those of the text */
	for (int columns = 1; columns <= 250; columns++) {
		buf_clear(&out);
		size_t n = progress_frame(p, 5000, columns, 24, &out, widths), line = 0;
		assert_int_equal(n, 4);
		for (const char *at = out.data; line < n; line++) {
			size_t length = strcspn(at, "\n");
			assert_int_equal(code_points(at, length), widths[line]);
			if (columns > 12)
				assert_true(widths[line] < columns);
			at += length + (at[length] == '\n');
		}
	}
	buf_clear(&out);
	progress_frame(p, 5000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, "beam_grid ━"));
	assert_non_null(strstr(out.data, " 0/3 runs, 19%, "));
	assert_non_null(strstr(out.data, " left\n"));
	assert_non_null(strstr(out.data, "  1 train 20 virtual tokens"));
	assert_non_null(strstr(out.data, "step 120/250, loss 2.314, 4.2k tok/s"));
	assert_non_null(strstr(out.data, "loading, attempt 2"));
	assert_non_null(strstr(out.data, "no scores yet"));
	assert_null(strchr(out.data, 27)); /* no colour was asked for */
	/* when room is short the speed goes first, then words; never the count */
	buf_clear(&out);
	progress_frame(p, 5000, 80, 24, &out, widths);
	assert_non_null(strstr(out.data, "120/250, loss 2.314\n"));
	progress_free(p);
	/* a job of three searches makes three texts of each table: its count is none of tables */
	jobs[1].n_searches = 3;
	p = new_progress(&t, 1, true, false, -1);
	progress_started(p, 1, 0, 1, 1000);
	progress_event(p, 1, 0, &(struct event){.kind = EVENT_PROGRESS, .phase = "decode", .done = 68, .total = 330});
	buf_clear(&out);
	progress_frame(p, 5000, 120, 24, &out, widths);
	assert_non_null(strstr(out.data, "68/330 texts"));
	jobs[1].n_searches = 1;
	progress_free(p);
	/* more workers than rows: those that work, as far as there is room */
	p = new_progress(&t, 150, false, false, -1);
	for (int i = 0; i < 100; i++)
		progress_started(p, 1, i + 20, 1, 1000);
	buf_clear(&out);
	size_t n = progress_frame(p, 5000, 80, 10, &out, widths);
	assert_int_equal(n, 9);
	assert_non_null(strstr(out.data, "\n 21 decode"));
	assert_non_null(strstr(out.data, "and 94 more\n"));
	for (const char *c = out.data; *c; c++)
		assert_true((unsigned char)*c < 128); /* no UTF-8 on a terminal that has none */
	progress_free(p);
	tally_release(&t);
	buf_release(&out);
}

static void test_time_left(void **state)
{
	(void)state;
	struct tally t;
	tally_init(&t, &spec, &plan);
	struct progress *p = new_progress(&t, 1, true, false, open("/dev/null", 1));
	struct buf out = BUF_INIT;
	int widths[300];
	progress_frame(p, 1500, 100, 24, &out, widths);
	assert_null(strstr(out.data, "left")); /* nobody knows yet */
	/* 10 of cost took 20 s; the other 15 will take 30 s until decoding shows its own pace */
	progress_started(p, 0, 0, 1, 1000);
	progress_ended(p, 0, 0, ATTEMPT_DONE, "", 21000);
	buf_clear(&out);
	progress_frame(p, 21000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, " 40%, 30 s left"));
	/* 5 of cost took 1 s: two more decodings, 2 s; what is said follows, without a jump */
	progress_started(p, 1, 0, 1, 21000);
	progress_ended(p, 1, 0, ATTEMPT_DONE, "", 22000);
	buf_clear(&out);
	progress_frame(p, 22000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, " 60%, 6 s left"));
	buf_clear(&out);
	progress_frame(p, 32000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, " 60%, 2 s left"));
	progress_started(p, 2, 0, 1, 32000);
	progress_ended(p, 2, 0, ATTEMPT_FAILED, "no", 33000);
	buf_clear(&out);
	progress_frame(p, 43000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, " 80%, 1 failed, 1 s left"));
	/* a worker that loads tells nothing of its pace: only what comes after counts */
	struct event load = {.kind = EVENT_PROGRESS, .phase = "load", .total = 1};
	struct event decode = {.kind = EVENT_PROGRESS, .phase = "decode", .done = 0, .total = 100};
	progress_started(p, 3, 0, 1, 43000);
	progress_event(p, 3, 0, &load);
	progress_frame(p, 83000, 100, 24, &out, widths);
	progress_event(p, 3, 0, &decode);
	progress_frame(p, 83000, 100, 24, &out, widths);
	decode.done = 50;
	progress_event(p, 3, 0, &decode);
	buf_clear(&out);
	progress_frame(p, 84000, 100, 24, &out, widths);
	assert_non_null(strstr(out.data, ", 1 failed, 1 s left"));
	/* nor does it jump when a job turns out to be slow */
	int last = 1;
	for (int64_t now = 84000; now <= 134000; now += 500) {
		buf_clear(&out);
		progress_frame(p, now, 100, 24, &out, widths);
		int left = atoi(strstr(out.data, ", 1 failed, ") + 12);
		assert_in_range(left, last, last + 1);
		last = left;
	}
	assert_true(last > 10);
	progress_free(p);
	tally_release(&t);
	buf_release(&out);
}

static void test_plain_lines(void **state)
{
	(void)state;
	struct tally t;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	tally_init(&t, &spec, &plan);
	struct progress *p = new_progress(&t, 2, true, false, fds[1]);
	progress_started(p, 0, 0, 1, 1000);
	progress_event(p, 0, 0, &(struct event){.kind = EVENT_LOSS, .step = 1, .total = 1, .loss = 2.5});
	progress_ended(p, 0, 0, ATTEMPT_RETRY, "killed", 2000);
	progress_started(p, 0, 0, 2, 2000);
	progress_event(p, 0, 0, &(struct event){.kind = EVENT_LOSS, .step = 1, .total = 1, .loss = 2.25});
	progress_ended(p, 0, 0, ATTEMPT_DONE, "", 75000);
	progress_started(p, 1, 1, 1, 75000);
	write_card(1, 41.267);
	write_card(2, 1);
	tally_artifact(&t, 1);
	tally_artifact(&t, 2);
	progress_ended(p, 1, 1, ATTEMPT_DONE, "", 76300);
	progress_started(p, 2, 1, 1, 76300);
	progress_ended(p, 2, 1, ATTEMPT_FAILED, "bad \033[2Jline", 76300);
	progress_skipped(p, 3, 2);
	progress_line(p, "note: %d", 7);
	progress_tick(p, 80000); /* nothing to draw */
	progress_free(p);
	char text[4096];
	close(fds[1]);
	ssize_t n = read(fds[0], text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = '\0';
	close(fds[0]);
	assert_string_equal(
		text,
		"[0/4] retry   train 20 virtual tokens: killed\n"
		"[1/4] done    train 20 virtual tokens                                   1:13  loss 2.250\n"
		"[2/4] done    decode 20 virtual tokens: 3 beams, 20/50 tokens, T 0.2   1.3 s  dev_bleu 41.27\n"
		"[3/4] failed  decode 20 virtual tokens: 5 beams, 20/50 tokens, T 0.2: bad \xef\xbf\xbd[2Jline\n"
		"[4/4] skipped decode 20 virtual tokens: 7 beams, 20/50 tokens, T 0.2: it needs `decode 20 virtual "
		"tokens: 5 beams, 20/50 tokens, T 0.2`, which failed\nnote: 7\n");
	tally_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_tally),
		TEST(test_frame),
		TEST(test_time_left),
		TEST(test_plain_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
