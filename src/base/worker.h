/* worker.h - what the main of every worker does around its job: usage, signals, the last event, the exit status.
 *
 *     int main(int argc, char **argv) { return worker_main(argc, argv, &worker); }
 *
 * Events go to standard output, the log to standard error. Exit status: 0 done, 2 bad input (never retried), 1 anything
 * else. */
#ifndef SWEEP_BASE_WORKER_H
#define SWEEP_BASE_WORKER_H

#include "err.h"

struct worker_kind {
	const char *name, *what; /* "sweep-runner", "Runs one job of a sweep" */
	int usage_of;            /* whose memory counts: RUSAGE_SELF or RUSAGE_CHILDREN */
	int (*run)(const char *job_file, struct err *err);
};

int worker_main(int argc, char **argv, const struct worker_kind *worker);

#endif
