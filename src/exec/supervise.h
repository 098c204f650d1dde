/* supervise.h - one attempt at a command: run, heard, limited, ended with all it started, and its folder made an artifact.
 *
 *     if (supervise(&command, attempt, err) < 0) ...      err: the program's fate in one sentence
 *
 * While it runs, events go to standard output (event.h): EVENT_VALUE, at most a few a second and name. On success the
 * artifact is in place and EVENT_ARTIFACT was sent. On failure ${dir} and the values stay for the next attempt, and the
 * end of the program's output is on our standard error. SIGTERM, SIGINT and SIGHUP stop the program: then supervise
 * returns -1 with *stopped set to the signal. */
#ifndef SWEEP_EXEC_SUPERVISE_H
#define SWEEP_EXEC_SUPERVISE_H

#include <stdint.h>

#include "base/command.h"

int supervise(const struct command *command, int64_t attempt, int *stopped, struct err *err);

#endif
