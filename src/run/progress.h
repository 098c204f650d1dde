/* progress.h - what a sweep looks like while it runs: a live display at the bottom of a terminal, plain lines
 * elsewhere.
 *
 *     struct progress *p = progress_new(&options);
 *     progress_started(p, job, worker, attempt, now_ms);   and _event, _ended, _skipped, as sched.h tells them
 *     progress_tick(p, now_ms);                            redraws, at most ten times a second
 *     progress_line(p, "note: %s", text);                  a line of its own, above the display
 *     progress_free(p);                                    the terminal is as it was
 *
 *     beam_grid ━━━━━━━━━━━━━━━━━━━╸────────────────────── 14/36 runs, 41%, 1:02 left
 *      1 train 20 virtual tokens        ━━━━━━──── step 120/250, loss 2.314, 4.2k tok/s
 *      2 decode 20 virtual tokens: 5 beams ━━━━── 45/100 tables, 1.2k tok/s
 *     best dev_bleu 41.27: 20 virtual tokens, 5 beams
 *
 * Borrows the plan and the tally; knows no processes and no SQL. */
#ifndef SWEEP_PROGRESS_H
#define SWEEP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/event.h"
#include "plan/plan.h"
#include "sched.h"
#include "tally.h"

struct progress;

struct progress_options {
	const struct plan *plan;
	const struct tally *tally;
	const char *name;   /* the sweep's */
	const char *metric; /* "dev_bleu" */
	int workers;
	int fd;    /* where to draw */
	bool live; /* a terminal: redraw; else one line for each finished job */
	bool colour, utf8;
	bool quiet;  /* only failures */
	int64_t now; /* milliseconds */
};

struct progress *progress_new(const struct progress_options *options);
void progress_free(struct progress *p); /* NULL is fine */

void progress_started(struct progress *p, size_t job, int worker, int attempt, int64_t now);
void progress_event(struct progress *p, size_t job, int worker, const struct event *event);
void progress_ended(struct progress *p, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		    int64_t now);
void progress_skipped(struct progress *p, size_t job, size_t because);
void progress_tick(struct progress *p, int64_t now);
void progress_line(struct progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What tick would draw on a terminal of that size: lines without a final newline. The width of each goes to widths
 * (room for rows), their number is returned. For progress.c itself and its tests. */
size_t progress_frame(struct progress *p, int64_t now, int columns, int rows, struct buf *out, int *widths);

#endif
