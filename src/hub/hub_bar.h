/* hub_bar.h - what a person sees of a fetch: a bar with speed and ETA on a terminal, plain lines elsewhere.
 *
 *     struct hub_bar bar;
 *     hub_bar_init(&bar, stderr);
 *     struct hub_options options = {.progress = hub_bar_progress, .notice = hub_bar_notice, .ctx = &bar};
 *
 * HF_HUB_DISABLE_PROGRESS_BARS=1 leaves the plain lines only. Nothing to release. */
#ifndef SWEEP_HUB_BAR_H
#define SWEEP_HUB_BAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "hub.h"

struct hub_bar {
	FILE *out;
	bool live;        /* a terminal: one line that is drawn again and again */
	bool drawn;       /* the cursor stands behind such a line */
	int64_t begun_ms; /* of the present file */
	int64_t sample_ms, sample_bytes;
	double speed;    /* bytes a second, smoothed over some seconds; 0: not known yet */
	int64_t said_ms; /* plain lines: the last one */
};

void hub_bar_init(struct hub_bar *bar, FILE *out);
/* ctx: the struct hub_bar. */
void hub_bar_progress(void *ctx, const struct hub_progress *progress);
void hub_bar_notice(void *ctx, const char *sentence);

/* One line of at most `columns` columns (without a line end) for `speed` bytes a second; for tests. */
void hub_bar_line(char *to, size_t room, int columns, const struct hub_progress *progress, double speed);
/* "818 B", "73.5 kB", "352.8 MB": powers of 1000, as the Hub's own pages count. */
void hub_bar_size(char *to, size_t room, int64_t bytes);

#endif
