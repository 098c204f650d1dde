/* exec_local.h - workers as processes of this machine: fork and exec of `sweep-runner JOBFILE`.
 *
 *     struct exec_local_options options = {.runner = "/usr/libexec/sweep/sweep-runner", .dir = "/x/results.artifacts",
 *                                          .workers = 2, .cores = exec_local_cores()};
 *     struct executor *exec = exec_local_new(&options, err);     then as in executor.h
 *
 * Job files go to dir/jobs/<key>.<attempt>.json (not synced: they can be made again). Those of workers that ended well
 * are reused, and removed at the end; those of failed jobs stay until the next exec_local_new on dir, which empties
 * jobs/. Logs go to dir/logs/<key>.<attempt>.log, bounded (base/logfile.h), when there is something to write; a later
 * attempt with the same number appends. What a killed worker left half made in dir (<key>.tmp.<pid>) is removed at the
 * beginning and at the end: dir belongs to one scheduler at a time, the one that holds the lock of results.db. From
 * exec_local_new to ops->free the process's SIGINT, SIGTERM, SIGHUP and SIGCHLD belong to the executor; the soft limit of
 * open files is raised as far as the workers need it, and they get back what it was.
 *
 * What ends with what: a worker dies with the scheduler, however that dies (PR_SET_PDEATHSIG); what it started in its
 * process group is killed when it has ended, as long as the scheduler lives. After a kill -9 of the scheduler nobody is
 * left to do that, so a program that starts others must see to them itself: sweep-runner starts none. One that
 * supervises commands has to be their subreaper, and to ask for SIGTERM at its parent's death, which it can act upon,
 * in the place of the SIGKILL set here. Killing by pids that were written down would be unsound: a number may be
 * somebody else's by then. */
#ifndef SWEEP_EXEC_LOCAL_H
#define SWEEP_EXEC_LOCAL_H

#include "executor.h"

struct exec_local_options {
	const char *runner; /* absolute path of the program */
	const char *dir;    /* absolute; made when missing */
	int workers;        /* slots */
	int cores;    /* that all workers together may use; all usable ones: workers are pinned to disjoint sets */
	int grace_ms; /* from SIGTERM to SIGKILL; 0: 5000 */
};

/* The options are copied. NULL and err when the folders cannot be made. */
struct executor *exec_local_new(const struct exec_local_options *options, struct err *err);

/* Cores that this process may use: its CPU affinity, and the CPU quota of its container. At least 1. */
int exec_local_cores(void);

/* Where the log of an attempt is, or would be: a worker that says nothing has none. The caller frees. */
char *exec_local_log(const char *dir, const char *job_key, int attempt);

#endif
