/* executor.h - how workers are started and heard: the seam between the scheduler and processes. `local` forks and
 * execs; the tests' fake one is a script with a fake clock; `slurm` may come.
 *
 *     struct executor *exec = exec_local_new(&options, err);
 *     exec->ops->start(exec, &request, &worker_id, err);
 *     while (exec->ops->wait(exec, timeout_ms, &report, err) > 0) ...      one report at a time
 *     exec->ops->free(exec);
 *
 * All calls are made from one thread. Reports of one worker come in order and end with EXEC_ENDED. */
#ifndef SWEEP_EXECUTOR_H
#define SWEEP_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/event.h"

enum executor_report_kind { EXEC_NOTHING, EXEC_EVENT, EXEC_ENDED, EXEC_SIGNAL /* SIGINT or SIGTERM came */ };

struct executor_report {
	enum executor_report_kind kind;
	int worker;         /* slot number of the worker, 0 .. jobs-1 */
	struct event event; /* EXEC_EVENT */
	bool exited;        /* EXEC_ENDED: exit() (then status) or killed by a signal (then signal) */
	int status, signal;
	char *log_tail; /* EXEC_ENDED: the last lines of the worker's log; caller frees; may be NULL */
};

struct executor_request {
	int worker;           /* a free slot */
	const char *job_text; /* the job file's bytes */
	const char *job_key;  /* names job and log files */
	int attempt;          /* from 1 */
	int threads;
};

struct executor;

struct executor_ops {
	/* Starts a worker in a free slot. -1 when it cannot be started at all (no such program, no memory). */
	int (*start)(struct executor *e, const struct executor_request *request, int64_t *pid, struct err *err);
	/* Waits up to timeout_ms (-1: for ever) for one report. 1 with a report, 0 at the timeout, -1 on failure. */
	int (*wait)(struct executor *e, int timeout_ms, struct executor_report *report, struct err *err);
	/* Asks a worker to end (SIGTERM), or ends it now (SIGKILL). Its EXEC_ENDED report still comes. */
	void (*stop)(struct executor *e, int worker, bool now);
	/* Milliseconds of processor time that a worker has used; -1: not known. */
	int64_t (*cpu_ms)(struct executor *e, int worker);
	/* Milliseconds of a monotonic clock. */
	int64_t (*now)(struct executor *e);
	/* Kills what still runs, reaps, frees. */
	void (*free)(struct executor *e);
};

struct executor {
	const struct executor_ops *ops;
};

#endif
