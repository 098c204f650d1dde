/* logfile.h - a log that cannot fill the disk: its first LOGFILE_HEAD bytes, its last LOGFILE_TAIL, and between them a line
 * that says how much was left out.
 *
 *     struct logfile log;
 *     if (logfile_open(&log, path, err) < 0) return -1;      makes it, or goes on at its end
 *     logfile_add(&log, bytes, n);                           what came is in the file when this returns
 *     logfile_close(&log);
 *
 * At any time the file is readable; between two clean-ups it may be longer by one more LOGFILE_TAIL. A log is no result:
 * where it cannot be written (a full disk) it is cut, and nothing fails. */
#ifndef SWEEP_BASE_LOGFILE_H
#define SWEEP_BASE_LOGFILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define LOGFILE_HEAD ((int64_t)1 << 18)
#define LOGFILE_TAIL ((int64_t)1 << 18)

struct logfile {
	int fd;           /* -1: closed */
	int64_t begin;    /* where in the file what is bounded begins: behind what an earlier writer left */
	int64_t size;     /* of the file */
	int64_t left_out; /* bytes that are not in it any more */
};

int logfile_open(struct logfile *log, const char *path, struct err *err);
void logfile_add(struct logfile *log, const char *bytes, size_t n);
void logfile_close(struct logfile *log);

#endif
