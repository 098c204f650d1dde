/* cmd_status.c - `sweep status`: what runs now, what waits, what failed and why. Reads the database beside a running
 * scheduler, which it never holds up (WAL), and knows from the scheduler's lock whether there is one at all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli.h"
#include "report/report.h"
#include "term/term.h"
#include "term/text.h"

#define WAITING_SHOWN 5
#define FAILED_SHOWN  20

struct status {
	struct store *store;
	const struct store_sweep *sweep;
	int64_t writer; /* pid of the scheduler, 0 without one */
	bool colour;
};

static void put_state(const struct status *s, struct buf *out)
{
	const struct store_sweep *w = s->sweep;
	if (strcmp(w->status, "running") == 0 && s->writer > 0)
		buf_printf(out, "running since %.19s UTC (process %lld)", w->started_at, (long long)s->writer);
	else if (strcmp(w->status, "running") == 0 && s->writer < 0)
		buf_printf(out, "running since %.19s UTC", w->started_at);
	else if (strcmp(w->status, "running") == 0)
		buf_printf(out, "interrupted (its scheduler is gone): the same `sweep run %s` goes on",
			   w->path ? w->path : "FILE");
	else if (strcmp(w->status, "interrupted") == 0)
		buf_printf(out, "interrupted: the same `sweep run %s` goes on", w->path ? w->path : "FILE");
	else
		buf_printf(out, "%s, %.19s UTC", w->status, w->finished_at ? w->finished_at : w->started_at);
}

static int put_best(const struct status *s, struct buf *out, struct err *err)
{
	struct store_runs runs;
	struct store_runs_query query = {.sweep_id = s->sweep->id, .limit = 1};
	if (store_query_runs(s->store, &query, &runs, err) < 0)
		return -1;
	if (runs.n && !isnan(runs.run[0].score))
		buf_printf(out, "  best so far: run %lld, %s %.2f\n", (long long)runs.run[0].id, s->sweep->metric,
			   runs.run[0].score);
	store_runs_release(&runs);
	return 0;
}

static void put_running(const struct store_job *job, struct buf *out)
{
	buf_printf(out, "  %s: ", job->title);
	text_duration(job->last.seconds, out);
	if (!isnan(job->loss))
		buf_printf(out, ", step %lld, loss %.3f", (long long)job->step, job->loss);
	buf_printf(out, ", worker %lld (process %lld)", (long long)job->last.worker, (long long)job->last.pid);
	if (job->last.attempt > 1)
		buf_printf(out, ", attempt %lld", (long long)job->last.attempt);
	buf_adds(out, "\n");
}

static void put_waiting(const struct store_job *job, struct buf *out)
{
	buf_printf(out, "  %s", job->title);
	if (job->waits_for)
		buf_printf(out, " (after: %s)", job->waits_for);
	if (job->last.outcome && strcmp(job->last.outcome, "retry") == 0 && job->last.reason)
		buf_printf(out, " (tried before: %s)", job->last.reason);
	buf_adds(out, "\n");
}

static void put_failed(const struct status *s, const struct store_job *job, struct buf *out)
{
	buf_printf(out, "  %s%s%s", paint(s->colour, PAINT_RED), job->title, paint(s->colour, PAINT_PLAIN));
	if (job->runs)
		buf_printf(out, " (%lld run%s)", (long long)job->runs, job->runs == 1 ? "" : "s");
	buf_printf(out, ": %s\n", job->reason ? job->reason : "no reason given");
	const char *log = job->last.log_tail;
	while (log && *log) {
		size_t n = strcspn(log, "\n");
		buf_printf(out, "    %s| ", paint(s->colour, PAINT_DIM));
		utf8_clean(log, n, out);
		buf_printf(out, "%s\n", paint(s->colour, PAINT_PLAIN));
		log += n + (log[n] == '\n');
	}
}

static int put_jobs(const struct status *s, const char *state, const char *title, size_t limit, struct buf *out,
		    struct err *err)
{
	struct store_jobs jobs;
	int64_t total;
	if (store_query_count_jobs(s->store, s->sweep->id, state, &total, err) < 0 ||
	    store_query_jobs(s->store, s->sweep->id, state, limit, &jobs, err) < 0)
		return -1;
	if (total) {
		buf_printf(out, "\n%s%s%s", paint(s->colour, PAINT_BOLD), title, paint(s->colour, PAINT_PLAIN));
		buf_printf(out, " (%lld job%s)\n", (long long)total, total == 1 ? "" : "s");
	}
	for (size_t i = 0; i < jobs.n; i++) {
		if (strcmp(state, "running") == 0)
			put_running(&jobs.job[i], out);
		else if (strcmp(state, "pending") == 0)
			put_waiting(&jobs.job[i], out);
		else
			put_failed(s, &jobs.job[i], out);
	}
	if (jobs.n < (size_t)total)
		buf_printf(out, "  ... and %lld more\n", (long long)total - (long long)jobs.n);
	store_jobs_release(&jobs);
	return 0;
}

static int put_sweep(const struct status *s, struct buf *out, struct err *err)
{
	bool running = strcmp(s->sweep->status, "running") == 0 && s->writer != 0;
	buf_printf(out, "%s%s%s: ", paint(s->colour, PAINT_BOLD), s->sweep->name, paint(s->colour, PAINT_PLAIN));
	put_state(s, out);
	buf_adds(out, "\n  ");
	report_counts(s->sweep, out);
	buf_adds(out, "\n");
	if (put_best(s, out, err) < 0 || (running && put_jobs(s, "running", "Running", 0, out, err) < 0) ||
	    put_jobs(s, "pending", "Waiting", WAITING_SHOWN, out, err) < 0 ||
	    put_jobs(s, "failed", "Failed", FAILED_SHOWN, out, err) < 0)
		return -1;
	return 0;
}

static int put_status(struct status *s, const char *name, const char *db, struct buf *out, struct err *err)
{
	struct store_sweeps sweeps;
	int result = -1;
	if (store_query_sweeps(s->store, &sweeps, err) < 0)
		return -1;
	s->writer = store_query_writer(s->store);
	if (report_sweep(&sweeps, name, db, &s->sweep, err) < 0 || put_sweep(s, out, err) < 0)
		goto out;
	for (size_t i = 0, k = 0; i < sweeps.n; i++) {
		if (&sweeps.sweep[i] == s->sweep)
			continue;
		buf_printf(out, "%s%s%s: %s, ", k++ ? "" : "\n", paint(s->colour, PAINT_DIM), sweeps.sweep[i].name,
			   sweeps.sweep[i].status);
		report_counts(&sweeps.sweep[i], out);
		buf_printf(out, "%s\n", paint(s->colour, PAINT_PLAIN));
	}
	result = 0;
out:
	store_sweeps_release(&sweeps);
	return result;
}

int cmd_status(int argc, char **argv, struct err *err)
{
	const char *db = "results.db", *sweep = NULL;
	bool helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "sweep", .type = CLI_TEXT, .text = &sweep, .help = "of this sweep; else the one started last"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n > 0)
		return err_set(err, ERR_USAGE, "status takes no argument: found `%s`; --db FILE names the database",
			       argv[1]);
	struct status s = {.colour = term_colour(STDOUT_FILENO)};
	if (store_open(&s.store, db, STORE_READ, err) < 0)
		return -1;
	struct buf out = BUF_INIT;
	int result = put_status(&s, sweep, db, &out, err);
	if (result == 0)
		result = term_print(&out, err);
	buf_release(&out);
	store_close(s.store);
	return result;
}
