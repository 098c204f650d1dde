/* child.h - a program and everything that it starts: begun in a group and a session of its own, heard through one pipe,
 * and ended with all its descendants, however they hide. Linux.
 *
 *     child_adopt_orphans();                                   once, before the first start
 *     struct child child;
 *     if (child_start(&child, &options, err) < 0) return -1;   child.output is readable, at its end everybody is gone
 *     child_signal(SIGTERM);                                   to all descendants
 *     child_end_all(grace_ms);                                 TERM, then KILL, until nobody is left
 *
 * The caller is a child subreaper: a daemon that a program leaves behind becomes the caller's child and cannot escape.
 * Signals of the caller (SIGCHLD) are its own business (supervise.c). */
#ifndef SWEEP_EXEC_CHILD_H
#define SWEEP_EXEC_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct child_options {
	char *const *argv;   /* argv[0] is looked for on the child's PATH */
	char *const *env;    /* the whole environment */
	const char *workdir; /* absolute */
	int64_t memory;      /* bytes of address space, RLIMIT_AS; 0: no limit */
};

struct child {
	pid_t pid;
	int output; /* what it writes to stdout and stderr; the caller closes */
};

void child_adopt_orphans(void);
/* ERR_INPUT with one sentence when there is no such program, or it cannot be executed, or workdir is no folder. */
int child_start(struct child *child, const struct child_options *options, struct err *err);
/* Sends a signal to every descendant; false when there is none. */
bool child_signal(int signal);
/* Reaps whoever ended. When it was pid: *status as of waitpid, and true. *left: are there others? */
bool child_reap(pid_t pid, int *status, bool *left);
/* Ends every descendant; pid's status goes to *status if it was still alive. False: somebody would not die (a process in
 * the kernel's uninterruptible sleep). */
bool child_end_all(pid_t pid, int *status, int64_t grace_ms);

#endif
