/* event.h - what a worker says while it works: one JSON object a line on its standard output (stderr is its log).
 *
 *     runner:     struct event e = {.kind = EVENT_LOSS, .step = 7, .total = 250, .loss = 3.1};
 *                 event_send(&e);
 *     scheduler:  if (event_parse(line, n, &e) == 0) switch (e.kind) ...
 *
 * Unknown kinds and members are skipped by the parser (a newer runner may say more); a line that is no event gives -1.
 */
#ifndef SWEEP_BASE_EVENT_H
#define SWEEP_BASE_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "hash.h"

enum event_kind {
	EVENT_UNKNOWN,
	EVENT_START,    /* threads, text = BLIS kernel family */
	EVENT_PROGRESS, /* phase ("load", "train", "decode"), done of total (steps; inputs), tokens_per_second */
	EVENT_LOSS,     /* step (from 1) of total, loss, learning_rate, tokens_per_second */
	EVENT_ARTIFACT, /* key: that artifact's folder is in place */
	EVENT_ERROR,    /* text: one sentence; error_kind: of err.h (ERR_INPUT is never retried, ERR_ROOM stops all);
			   key: of the output at fault, when it is one */
	EVENT_DONE,     /* the job is complete: seconds, tokens_per_second, peak_rss_kb */
	EVENT_VALUE,    /* a program reported: text = its name, step, value (NaN and infinities too) */
	EVENT_NOTE,     /* text: one sentence that the user should read, though nothing failed */
	EVENT_COUNT
};

struct event {
	enum event_kind kind;
	char phase[16];
	char key[HASH_HEX];
	int64_t done, total, step, threads, peak_rss_kb;
	double value, loss, learning_rate, tokens_per_second, seconds;
	enum err_kind error_kind;
	char text[1200];
};

/* 0, or -1 when the line is not an event at all. line needs no NUL. */
int event_parse(const char *line, size_t n, struct event *event);
/* One line with its newline. Members that are 0 or empty are left out. */
void event_format(const struct event *event, struct buf *out);
/* Writes it to file descriptor 1 in one write(); a closed pipe is ignored here (the scheduler's death ends us anyway).
 */
void event_send(const struct event *event);

#endif
