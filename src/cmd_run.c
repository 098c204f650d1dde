/* cmd_run.c - `sweep run FILE`: from the sweep file to the last words.
 *
 * Order matters here. Everything that can be wrong with what the user gave is found first and leaves nothing half done:
 * the file, the grid, the database, the plan, the worker program, and then, by one check job, model and data. Only then
 * is the sweep registered and worked off. With nothing to do, that takes milliseconds: a sweep that is done says so.
 *
 * The parts know nothing of each other; this file introduces them: plan asks store what exists, sched drives the
 * executor and tells record, which writes to store, tally and progress. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/paths.h"
#include "cli.h"
#include "hub/hub.h"
#include "hub/hub_bar.h"
#include "plan/plan_notes.h"
#include "plan/plan_workers.h"
#include "plan/points.h"
#include "plan/sources.h"
#include "plan/spec.h"
#include "plan_print.h"
#include "report/report.h"
#include "run/exec_local.h"
#include "run/loop.h"
#include "run/progress.h"
#include "run/record.h"
#include "run/sched.h"
#include "run/tally.h"
#include "store/store.h"
#include "term/term.h"
#include "term/text.h"

#define FAILURES_SHOWN 5
#define LEADERS_SHOWN  5

struct run {
	const char *file, *db;
	const char **overrides;
	size_t n_overrides;
	int64_t jobs, cores; /* 0: as many as make sense */
	int64_t failures;    /* nothing new is started after so many; 0: always go on */
	const char *timeout; /* of a job: 90s, 10m, 1.5h */
	int64_t timeout_ms;
	bool apart; /* every search gets a job of its own: some that shared one failed */
	bool dry, explain, quiet;
	bool force;   /* all artifacts are made again */
	bool forcing; /* ... by the plan that is being built: of what then fails, the next plan knows */
	bool live;    /* a display can be drawn */
	struct spec spec;
	struct sources sources;
	struct points points;
	struct plan plan;
	struct store *store;
	struct executor *executor;
	struct tally tally;
	struct sched_result result;
	int64_t sweep_id, started_at;
	int status; /* exit status, once it is known */
};

/* ---- from file to plan ---- */

static char *cached_model(const char *name)
{
	struct err missing = {0};
	return hub_find(name, NULL, &missing);
}

static char *cached_dataset(const char *name)
{
	struct err missing = {0};
	return hub_find_dataset(name, &missing);
}

static int find_sources(struct run *r, struct err *err)
{
	static const struct sources_lookup cache = {hub_is_id, cached_model, cached_dataset};
	sources_release(&r->sources);
	return sources_find(&r->sources, &r->spec, &cache, err);
}

/* What the sweep file names and this machine lacks comes from the Hub; then it is looked for again. */
static int fetch_missing(struct run *r, struct err *err)
{
	if (r->sources.model && !r->sources.dataset_missing)
		return 0;
	if (r->dry)
		return err_at(err, r->file, 0, 0, "%s `%s` is not on this machine yet: run `sweep fetch %s` first",
			      r->sources.model ? "the dataset" : "the model",
			      r->sources.model ? r->spec.dataset : r->spec.model,
			      r->sources.model ? r->spec.dataset : r->spec.model);
	struct hub_bar bar;
	hub_bar_init(&bar, stderr);
	struct hub_options options = {
		.progress = r->quiet ? NULL : hub_bar_progress, .notice = hub_bar_notice, .ctx = &bar};
	char *dir = NULL;
	if (!r->sources.model) {
		if (hub_fetch_model(r->spec.model, &options, &dir, err) < 0)
			return -1;
		free(dir);
	}
	if (r->sources.dataset_missing) {
		if (hub_fetch_dataset(r->spec.dataset, &options, &dir, err) < 0)
			return -1;
		free(dir);
	}
	return find_sources(r, err);
}

/* SHA-256 of a file, remembered in the database: a large model is read once. */
static int digest(const char *path, char hex[HASH_HEX], void *ctx, struct err *err)
{
	struct run *r = ctx;
	if (r->store && store_digest_get(r->store, path, hex))
		return 0;
	if (hash_file(path, hex, err) < 0)
		return -1;
	return r->store && !r->dry ? store_digest_put(r->store, path, hex, err) : 0;
}

/* With --force whatever is there, whole or not; else what an earlier --force left to do. */
static bool again(const char *key, void *ctx)
{
	struct run *r = ctx;
	if (!r->forcing)
		return r->store && store_again_artifact(r->store, key, r->apart);
	char *dir = store_artifacts_of(r->db), *place = fs_join(dir, key);
	bool there = fs_exists(place);
	free(dir);
	free(place);
	return there;
}

static bool have(const char *key, enum job_kind kind, void *ctx)
{
	struct run *r = ctx;
	struct err why = {0};
	if (!r->forcing && again(key, r))
		return false;
	bool there = r->store && store_have_artifact(r->store, key, kind, &why);
	if (why.kind && !there && !r->quiet)
		fprintf(stderr, "note: %s; it is made again\n", why.text);
	return there && !r->forcing;
}

static bool lost(const char *key, void *ctx)
{
	struct run *r = ctx;
	return r->store && store_lost_artifact(r->store, key);
}

static int build_plan(struct run *r, struct err *err)
{
	char *dir = store_artifacts_of(r->db);
	struct plan_options options = {.artifacts_dir = dir,
				       .have = have,
				       .again = again,
				       .lost = lost,
				       .digest = digest,
				       .ctx = r,
				       .workers = r->apart ? 0 : (int)r->jobs};
	/* The plan's questions may adopt finished artifacts and remember digests: one transaction for all. */
	bool batch = r->store && !r->dry;
	int result = -1;
	if (!batch || store_batch_begin(r->store, err) == 0) {
		struct err at_end = {0};
		result = plan_build(&r->plan, &r->spec, &r->sources, &r->points, &options, err);
		if (batch && store_batch_end(r->store, &at_end) < 0 && result == 0) {
			*err = at_end;
			result = -1;
		}
	}
	r->forcing = false;
	free(dir);
	return result;
}

/* --force: all is made again, whatever is there. A round that was stopped goes on, with --force as without: else a
 * command that is killed again and again, and given again by a batch system, would never come to its end. */
static void begin_round(struct run *r)
{
	r->forcing = r->force && !(r->store && store_again_sweep(r->store, r->spec.name));
	if (r->force && !r->forcing && !r->quiet)
		fprintf(stderr,
			"note: what --force began goes on; what it has made again since is not made once more\n");
	if (r->forcing && r->store && !r->dry) /* what an earlier round left unused */
		fs_remove_fresh(store_artifacts_dir(r->store));
}

static int make_points(struct run *r, struct err *err)
{
	struct params defaults;
	return points_defaults(&defaults, &r->spec, r->sources.model, err) < 0
		       ? -1
		       : points_make(&r->points, &r->spec, &defaults, err);
}

static int prepare(struct run *r, struct err *err)
{
	if (spec_load(&r->spec, r->file, (const char *const *)r->overrides, r->n_overrides, err) < 0 ||
	    find_sources(r, err) < 0 || fetch_missing(r, err) < 0 || make_points(r, err) < 0)
		return -1;
	bool none = r->dry && !fs_exists(r->db);
	if (!none && store_open(&r->store, r->db, r->dry ? STORE_READ : STORE_WRITE, err) < 0)
		return -1;
	if (!r->cores)
		r->cores = exec_local_cores();
	bool free_choice = r->jobs == 0;
	if (free_choice)
		r->jobs = r->cores;
	begin_round(r);
	if (build_plan(r, err) < 0)
		return -1;
	if (free_choice)
		r->jobs = plan_workers(&r->plan, (int)r->cores);
	if (!r->quiet)
		plan_print_notices(stderr, &r->spec, &r->plan);
	if ((uint64_t)r->jobs > r->plan.n_jobs && r->plan.n_jobs)
		r->jobs = (int64_t)r->plan.n_jobs;
	if (r->dry)
		plan_print_summary(stdout, &r->spec, &r->plan, (int)r->jobs);
	if (r->explain)
		plan_print_explain(stdout, &r->spec, &r->plan);
	fflush(stdout);
	return 0;
}

/* ---- the check job ---- */

struct check {
	bool live;  /* a line on the terminal is in the way */
	bool input; /* the user's files are at fault, not a worker that died */
	struct err err;
	char key[HASH_HEX]; /* of the output whose values are, or empty */
	char *log_tail;
};

static int check_event(void *ctx, size_t job, int worker, const struct event *event, struct err *err)
{
	struct check *c = ctx;
	(void)job;
	(void)worker;
	(void)err;
	if (event->kind == EVENT_NOTE) {
		fputs(c->live ? TERM_CLEAR_LINE : "", stderr);
		term_say(stderr, "note: %s", event->text);
	}
	if (event->kind == EVENT_ERROR && event->key[0])
		memcpy(c->key, event->key, sizeof c->key);
	if (event->kind == EVENT_ERROR)
		c->input = event->error_kind == ERR_INPUT || event->error_kind == ERR_USAGE;
	return 0;
}

static int check_ended(void *ctx, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		       const char *log_tail, struct err *err)
{
	struct check *c = ctx;
	(void)job;
	(void)worker;
	(void)err;
	if (outcome != ATTEMPT_FAILED)
		return 0;
	c->log_tail = log_tail ? mem_strdup(log_tail) : NULL;
	return err_set(&c->err, c->input ? ERR_INPUT : ERR_SYSTEM, "%s", reason) < 0 ? 0 : -1;
}

/* Model, tokenizer, data and lengths, looked at by a worker before anything is registered: a plan of one job. */
static int run_check(struct run *r, struct err *err)
{
	static const struct sched_listener listener = {.event = check_event, .ended = check_ended};
	struct plan_job job = {.job = r->plan.check, .title = (char *)"check model and data", .waits_for = PLAN_NONE};
	struct plan plan = {.jobs = &job, .n_jobs = 1};
	struct check check = {.live = r->live};
	struct sched_options options = {.jobs = 1, .cores = (int)r->cores, .listener = &listener, .ctx = &check};
	struct sched_result result;
	if (!job.job.key[0])
		snprintf(job.job.key, sizeof job.job.key, "check");
	if (r->live)
		fprintf(stderr, "checking model and data");
	int status = sched_run(&plan, r->executor, &options, &result, err);
	if (r->live)
		fputs(TERM_CLEAR_LINE, stderr);
	if (status == 0 && result.failed) {
		*err = check.err;
		status = -1;
		struct buf run = BUF_INIT;
		if (check.key[0] && plan_notes_run(&r->plan, &r->spec, check.key, err->text, &run))
			err_prefix(err, "%s", run.data);
		buf_release(&run);
		if (!check.input && check.log_tail)
			fprintf(stderr, "%s\n", check.log_tail);
	} else if (status == 0 && result.interrupted) {
		fprintf(stderr, "interrupted before anything was started\n");
		r->status = 130;
	}
	free(check.log_tail);
	return status;
}

/* ---- last words ---- */

static void put_indented(const char *text)
{
	fputs("    ", stderr);
	for (; *text; text++) {
		fputc(*text, stderr);
		if (*text == '\n')
			fputs("    ", stderr);
	}
	fputc('\n', stderr);
}

static void say_failures(const struct run *r, const struct record *record)
{
	for (size_t i = 0; i < record->n_failures && i < FAILURES_SHOWN; i++) {
		const struct record_failure *f = &record->failures[i];
		term_say(stderr, "failed: %s: %s", r->plan.jobs[f->job].title, f->reason);
		bool same = f->log_tail && !strchr(f->log_tail, '\n') && strstr(f->log_tail, f->reason);
		if (f->log_tail && !same)
			put_indented(f->log_tail);
	}
	if (record->n_failures > FAILURES_SHOWN)
		fprintf(stderr, "and %zu more failed; `sweep status` has them all\n",
			record->n_failures - FAILURES_SHOWN);
	if (record->skipped)
		fprintf(stderr, "%zu job%s that need%s them did not run\n", record->skipped,
			record->skipped == 1 ? "" : "s", record->skipped == 1 ? "s" : "");
}

/* The best run and the table of the first five, both from the database, as `sweep report` and the leaderboard have them.
 * The sweep is done and recorded: a failure here is not worth a word. */
static void say_leaders(const struct run *r, bool table)
{
	struct report report = {
		.db = r->db, .colour = term_colour(STDOUT_FILENO), .width = term_columns(STDOUT_FILENO)};
	struct report_options options = {.sweep = r->spec.name, .top = LEADERS_SHOWN};
	struct err err = {0};
	if (report_load(&report, r->store, &options, &err) < 0)
		return;
	struct buf out = BUF_INIT;
	if (report.runs.n && report.by < report.runs.n_metrics && !isnan(report.runs.run[0].scores[report.by])) {
		const struct store_run *best = &report.runs.run[0];
		buf_printf(&out, "best %s %.2f: ", r->spec.metric, best->scores[report.by]);
		tally_describe(best->label, &best->params, report.varies, &out);
		term_say(stdout, "%s", out.data);
		buf_clear(&out);
	}
	if (table) {
		buf_addc(&out, '\n');
		report_table(&report, &out);
		term_print(&out, &err);
	}
	buf_release(&out);
	report_release(&report);
}

static void say_end(const struct run *r)
{
	size_t done = r->tally.complete, all = r->plan.n_runs;
	bool plain_db = strcmp(r->db, "results.db") == 0;
	struct buf took = BUF_INIT;
	text_duration((double)(clock_ms() - r->started_at) / 1000, &took);
	if (done == all && r->plan.n_jobs == 0)
		term_say(stdout, "%s: all %zu runs are done", r->spec.name, all);
	else if (done == all)
		term_say(stdout, "%s: all %zu runs are done, %zu job%s in %s", r->spec.name, all, r->plan.n_jobs,
			 r->plan.n_jobs == 1 ? "" : "s", took.data);
	else
		term_say(stdout, "%s: %zu of %zu runs are done", r->spec.name, done, all);
	buf_release(&took);
	say_leaders(r, r->plan.n_jobs && done > 1 && !r->quiet);
	fflush(stdout);
	if (r->result.enough)
		fprintf(stderr, "stopped after %zu failed job%s (--keep-going %lld): %zu job%s left\n",
			r->result.failed, r->result.failed == 1 ? "" : "s", (long long)r->failures, r->result.stopped,
			r->result.stopped == 1 ? " is" : "s are");
	if (r->result.interrupted && done < all) {
		struct buf again = BUF_INIT;
		buf_printf(&again, "sweep run %s%s%s", r->file, plain_db ? "" : " --db ", plain_db ? "" : r->db);
		for (size_t i = 0; i < r->n_overrides; i++)
			buf_printf(&again, " --set '%s'", r->overrides[i]);
		term_say(stderr, "interrupted; the same command goes on from here: %s", again.data);
		buf_release(&again);
	} else if (!r->quiet && done > 0) {
		term_say(stderr, "look further: sweep report%s%s, or sqlite3 %s 'SELECT * FROM leaderboard LIMIT 5'",
			 plain_db ? "" : " --db ", plain_db ? "" : r->db, r->db);
	}
}

/* The sweep cannot go on: one sentence, and what to do. */
static void say_halted(struct run *r, const struct err *err)
{
	bool changed = err->kind == ERR_CHANGED;
	if (err->kind == ERR_MOVED) {
		term_say(stderr, "sweep: %s", err->text);
		r->status = 1;
		return;
	}
	term_say(stderr, "sweep: %s; finished work is kept, and the same command %s", err->text,
		 changed ? "does with the file as it is now what is to be done" : "goes on from here");
	r->status = changed ? 1 : 2;
}

/* ---- the work ---- */

static int start_executor(struct run *r, struct err *err)
{
	char *runner = paths_runner(err);
	if (!runner)
		return -1;
	struct exec_local_options options = {
		.runner = runner,
		.dir = store_artifacts_dir(r->store),
		.workers = (int)r->jobs,
		.cores = (int)r->cores,
	};
	r->executor = exec_local_new(&options, err);
	free(runner);
	return r->executor ? 0 : -1;
}

static int work(struct run *r, struct err *err)
{
	struct progress_options options = {
		.plan = &r->plan,
		.tally = &r->tally,
		.name = r->spec.name,
		.metric = r->spec.metric,
		.workers = (int)r->jobs,
		.fd = STDERR_FILENO,
		.live = r->live,
		.colour = term_colour(STDERR_FILENO),
		.utf8 = term_utf8(),
		.quiet = r->quiet,
		.now = clock_ms(),
	};
	struct record record = {.plan = &r->plan, .store = r->store, .tally = &r->tally};
	record.progress = progress_new(&options);
	record_init(&record, (int)r->jobs);
	struct sched_options sched = {
		.jobs = (int)r->jobs,
		.cores = (int)r->cores,
		.failures = (size_t)r->failures,
		.timeout_ms = r->timeout_ms,
		.listener = &record_listener,
		.ctx = &record,
	};
	int result = sched_run(&r->plan, r->executor, &sched, &r->result, err);
	progress_free(record.progress);
	/* Where the sweep was stopped the first reason is told, and what can still be written is. */
	bool stopped = result < 0 || r->result.interrupted || r->result.enough;
	struct err ignored = {0}, *why = result < 0 ? &ignored : err;
	if (record_flush(&record, why) < 0 || store_end_sweep(r->store, r->sweep_id, stopped, why) < 0)
		result = -1;
	say_failures(r, &record);
	bool together = false;
	for (size_t i = 0; i < record.n_failures; i++)
		together |= r->plan.jobs[record.failures[i].job].n_searches > 1;
	record_release(&record);
	if (result < 0 || r->apart || !together || stopped)
		return result;
	/* A search must not fail because of another that shared its job: those that are missing are tried alone. */
	fprintf(stderr, "searches that failed together are tried one by one\n");
	r->apart = true;
	tally_release(&r->tally);
	plan_release(&r->plan);
	/* The files are digested anew, so the workers' shared weights (exec_local.h) begin anew, too. */
	r->executor->ops->free(r->executor);
	r->executor = NULL;
	if (build_plan(r, err) < 0 || (r->plan.n_jobs && start_executor(r, err) < 0))
		return -1;
	tally_init(&r->tally, &r->spec, &r->plan);
	if (store_begin_sweep(r->store, &r->spec, &r->plan, &r->sweep_id, err) < 0)
		return -1;
	return work(r, err);
}

/* 90, 90s, 1.5m, 2h, 1d */
static int read_duration(const char *option, const char *text, int64_t *ms, struct err *err)
{
	char *end;
	double number = strtod(text, &end), unit = 1;
	if (*end == 'm')
		unit = 60;
	else if (*end == 'h')
		unit = 3600;
	else if (*end == 'd')
		unit = 86400;
	bool whole = *end == '\0' || (strchr("smhd", *end) && end[1] == '\0');
	double result = number * unit * 1000;
	if (end == text || !whole || !(result >= 1) || result > 1e14)
		return err_set(err, ERR_USAGE, "run: %s: expected a time such as 90s, 10m or 1.5h, found `%s`", option,
			       text);
	*ms = (int64_t)result;
	return 0;
}

static int run(struct run *r, struct err *err)
{
	r->started_at = clock_ms();
	signal(SIGPIPE, SIG_IGN); /* who looked on may go; the work goes on */
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is "no room" (EFBIG), and told like it */
	if (r->timeout && read_duration("--timeout", r->timeout, &r->timeout_ms, err) < 0)
		return -1;
	r->live = !r->quiet && term_live(STDERR_FILENO);
	if (prepare(r, err) < 0)
		return -1;
	if (r->dry)
		return 0;
	if (!r->plan.n_jobs)
		fs_remove_scratch(store_artifacts_dir(r->store)); /* else the executor does, when it begins and ends */
	else if (start_executor(r, err) < 0)
		return -1;
	if (r->plan.n_jobs && run_check(r, err) < 0) {
		if (!err_stops_sweep(err->kind))
			return -1;
		say_halted(r, err);
	}
	if (r->status)
		return 0;
	tally_init(&r->tally, &r->spec, &r->plan);
	if (store_begin_sweep(r->store, &r->spec, &r->plan, &r->sweep_id, err) < 0)
		return -1;
	int result = r->plan.n_jobs ? work(r, err) : store_end_sweep(r->store, r->sweep_id, false, err);
	if (result < 0) {
		say_halted(r, err);
		return 0;
	}
	say_end(r);
	if (r->tally.complete < r->plan.n_runs)
		r->status = r->result.interrupted ? 130 : 1;
	return 0;
}

int cmd_run(int argc, char **argv, struct err *err)
{
	struct run r = {.db = "results.db", .tally = {.best = PLAN_NONE}};
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &r.db, .help = "where results go (results.db)"},
		{.name = "jobs",
		 .type = CLI_INT,
		 .number = &r.jobs,
		 .min = 1,
		 .max = 4096,
		 .help = "workers at a time (one a core, fewer for few long jobs)"},
		{.name = "threads",
		 .type = CLI_INT,
		 .number = &r.cores,
		 .min = 1,
		 .max = 4096,
		 .help = "cores that all workers together use (all)"},
		{.name = "keep-going",
		 .type = CLI_INT,
		 .number = &r.failures,
		 .min = 0,
		 .max = INT32_MAX,
		 .help = "start nothing new after so many failed jobs (0: go on)"},
		{.name = "timeout",
		 .type = CLI_TEXT,
		 .text = &r.timeout,
		 .help = "a job that takes longer has failed: 90s, 10m, 1.5h (no limit)"},
		{.name = "dry-run", .type = CLI_FLAG, .flag = &r.dry, .help = "say what would be done, and do nothing"},
		{.name = "explain", .type = CLI_FLAG, .flag = &r.explain, .help = "say why each job runs, or does not"},
		{.name = "force",
		 .type = CLI_FLAG,
		 .flag = &r.force,
		 .help = "make everything again, also what is there; the old is replaced when the new is whole"},
		{.name = "quiet", .type = CLI_FLAG, .flag = &r.quiet, .help = "only failures and the result"},
		{.name = "set",
		 .type = CLI_LIST,
		 .list = &r.overrides,
		 .n_list = &r.n_overrides,
		 .help = "KEY=VALUE in the place of what the file says"},
	};
	bool helped = false;
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	int result = n < 0 ? -1 : 0;
	if (n < 0 || helped)
		goto out;
	if (n != 1) {
		result = err_set(err, ERR_USAGE,
				 n ? "one sweep file at a time, found `%s` too" : "which sweep file? sweep run FILE%s",
				 n ? argv[2] : "");
		goto out;
	}
	r.file = argv[1];
	result = run(&r, err);
out:
	if (r.executor)
		r.executor->ops->free(r.executor);
	tally_release(&r.tally);
	plan_release(&r.plan);
	points_release(&r.points);
	if (r.store)
		store_close(r.store);
	sources_release(&r.sources);
	spec_release(&r.spec);
	free(r.overrides);
	return result < 0 ? -1 : r.status;
}
