/* sched.h - works a plan off: which job next, on which worker, retried or given up. Knows no SQL and no processes: it
 * drives an executor and tells a listener, which is how results reach the store and the screen.
 *
 *     struct sched_options options = {.jobs = 2, .cores = 2, .listener = &listener, .ctx = &run};
 *     struct sched_result result;
 *     if (sched_run(&plan, executor, &options, &result, err) < 0) ...      it could not go on, and err says why
 *
 * A worker killed by a signal is retried twice with back-off (1 s, 4 s); one that reports bad input (ERR_INPUT or exit
 * status 2) is not, nor is one that took too long; any other failure is retried once. A failed job fails what waits for
 * it, and nothing else. A retry makes only the artifacts that are still missing. The first SIGINT asks the workers to
 * end, the second ends them now.
 *
 * What is no fault of one job (err_stops_sweep: no room, a changed input) stops the sweep at the first worker that
 * reports it: the others are asked to end, their jobs stay as they were, and sched_run returns -1 with that sentence. */
#ifndef SWEEP_SCHED_H
#define SWEEP_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "executor.h"
#include "plan/plan.h"

/* Called from sched_run, on its thread. Any of them may be NULL. A listener that returns -1 stops the scheduler (a full
 * disk): workers are stopped and sched_run returns -1 with that err. */
struct sched_listener {
	int (*started)(void *ctx, size_t job, int worker, int attempt, int threads, int64_t pid, struct err *err);
	int (*event)(void *ctx, size_t job, int worker, const struct event *event, struct err *err);
	/* An artifact of the job is in place (index into plan->artifacts). -1 with ERR_INPUT: it cannot be used, which
	 * fails this attempt and stops nothing else; the listener has put it out of the way. */
	int (*artifact)(void *ctx, size_t job, size_t artifact, struct err *err);
	/* An attempt ended. reason: one sentence (empty for ATTEMPT_DONE); log_tail may be NULL. */
	int (*ended)(void *ctx, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		     const char *log_tail, struct err *err);
	/* A job that will never run, because `because` failed. */
	int (*skipped)(void *ctx, size_t job, size_t because, struct err *err);
	/* Nothing more to report right now, the scheduler is about to sleep: commit here what came since the last call.
	 */
	int (*idle)(void *ctx, struct err *err);
	/* At least every 100 ms when not NULL: a chance to redraw. */
	void (*tick)(void *ctx, int64_t now_ms);
	/* A worker has said nothing and used no processor for so long. Told once for an attempt. */
	void (*stalled)(void *ctx, size_t job, int worker, int64_t ms);
	/* The first SIGINT: 1; the second: 2. */
	void (*interrupted)(void *ctx, int times);
};

struct sched_options {
	int jobs;        /* workers at a time, >= 1 */
	int cores;       /* divided among the workers that run */
	size_t failures; /* so many failed jobs, and no new ones are started: those that run come to their end; 0: never */
	int64_t timeout_ms; /* an attempt that takes longer is ended, and its job has failed; 0: never */
	const struct sched_listener *listener;
	void *ctx;
	bool (*have)(const struct plan_artifact *artifact, void *ctx); /* is it in place? NULL: artifact_look */
};

struct sched_result {
	size_t done, failed, skipped, stopped; /* jobs; stopped: all that did not come to an end */
	bool interrupted;
	bool enough; /* options.failures was reached */
};

int sched_run(const struct plan *plan, struct executor *executor, const struct sched_options *options,
	      struct sched_result *result, struct err *err);

#endif
