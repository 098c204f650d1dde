/* record.h - what the scheduler says, written down: into results.db, into the tally, onto the screen.
 *
 *     struct record record = {.plan = &plan, .store = store, .tally = &tally, .progress = progress};
 *     record_init(&record, workers);
 *     struct sched_options options = {.listener = &record_listener, .ctx = &record, ...};
 *     sched_run(&plan, executor, &options, &result, err);
 *     record_flush(&record, err);
 *     record_release(&record);
 *
 * Borrows all that it points to. Rows are committed when the scheduler has nothing more to say for the moment
 * (sched.h, idle), and after sched_run by record_flush. */
#ifndef SWEEP_RECORD_H
#define SWEEP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event.h"
#include "plan/plan.h"
#include "progress.h"
#include "sched.h"
#include "store/store.h"
#include "tally.h"

/* A job that failed for good, for the last words. */
struct record_failure {
	size_t job;
	char *reason, *log_tail; /* log_tail may be NULL */
};

struct record {
	const struct plan *plan;
	struct store *store;
	struct tally *tally;
	struct progress *progress;
	/* the rest is filled by record_init and the listener */
	struct record_failure *failures;
	size_t n_failures, failures_room, skipped;
	struct record_slot *slots; /* [workers] */
	struct record_loss *losses;
	size_t n_losses, losses_room;
	int64_t flushed_at; /* when the last transaction ended */
	bool batch;         /* one is open */
};

extern const struct sched_listener record_listener;

void record_init(struct record *record, int workers);
/* Commits what is not committed yet. */
int record_flush(struct record *record, struct err *err);
void record_release(struct record *record);

#endif
