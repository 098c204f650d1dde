/* record.c - what the scheduler says, written down; see record.h. The listener of `sweep run`.
 *
 * A durable commit waits for the disk, for milliseconds. What comes together is committed together, and when jobs end
 * faster than every 20 ms they share commits (10,000 runs that do nothing would else wait 10,000 times); a run is in
 * results.db a tenth of a second after its score exists at the latest, at once when jobs are longer. A kill before
 * that loses rows, not work: the artifact's folder is complete, and the next plan adopts it.
 *
 * Losses come by the hundred and stand in the adapter's own losses.jsonl as well, so they are only for those who look
 * on: written once a second, or with something else.
 */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "loop.h"

#define GROUP_MS   20
#define LOSSES_MS  1000
#define LOSSES_MAX 4096 /* kept between two writes; of more, some are left to losses.jsonl */

struct record_slot {
	int64_t attempt; /* its row */
	int64_t pid;
	struct event done; /* what EVENT_DONE said */
	bool has_done;
	int64_t started_at; /* clock_ms */
};

struct record_loss {
	const char *adapter; /* key */
	int64_t step;
	double loss, learning_rate, tokens_per_second;
};

void record_init(struct record *r, int workers)
{
	r->slots = mem_zero((size_t)workers, sizeof *r->slots);
}

void record_release(struct record *r)
{
	for (size_t i = 0; i < r->n_failures; i++) {
		free(r->failures[i].reason);
		free(r->failures[i].log_tail);
	}
	free(r->failures);
	free(r->slots);
	free(r->losses);
	r->failures = NULL;
	r->slots = NULL;
	r->losses = NULL;
	r->n_failures = r->n_losses = 0;
}

/* Every write goes through this: the first after a sleep opens the transaction. */
static int begin(struct record *r, struct err *err)
{
	if (r->batch)
		return 0;
	if (store_batch_begin(r->store, err) < 0)
		return -1;
	r->batch = true;
	return 0;
}

int record_flush(struct record *r, struct err *err)
{
	if (r->n_losses && begin(r, err) < 0)
		return -1;
	for (size_t i = 0; i < r->n_losses; i++) {
		const struct record_loss *l = &r->losses[i];
		struct event event = {.kind = EVENT_LOSS,
				      .step = l->step,
				      .loss = l->loss,
				      .learning_rate = l->learning_rate,
				      .tokens_per_second = l->tokens_per_second};
		if (store_loss(r->store, l->adapter, &event, err) < 0)
			return -1;
	}
	r->n_losses = 0;
	if (!r->batch)
		return 0;
	r->batch = false;
	int result = store_batch_end(r->store, err);
	r->flushed_at = clock_ms();
	return result;
}

static int on_idle(void *ctx, struct err *err)
{
	struct record *r = ctx;
	int64_t since = clock_ms() - r->flushed_at;
	bool due = r->batch ? since >= GROUP_MS : r->n_losses && since >= LOSSES_MS;
	return due ? record_flush(r, err) : 0;
}

static int on_started(void *ctx, size_t job, int worker, int attempt, int threads, int64_t pid, struct err *err)
{
	struct record *r = ctx;
	progress_started(r->progress, job, worker, attempt, clock_ms());
	r->slots[worker].has_done = false;
	r->slots[worker].pid = pid;
	r->slots[worker].started_at = clock_ms();
	if (begin(r, err) < 0)
		return -1;
	return store_attempt_begin(r->store, r->plan->jobs[job].job.key, attempt, worker, threads, pid,
				   &r->slots[worker].attempt, err);
}

static int on_event(void *ctx, size_t job, int worker, const struct event *event, struct err *err)
{
	struct record *r = ctx;
	(void)err;
	progress_event(r->progress, job, worker, event);
	const struct plan_job *j = &r->plan->jobs[job];
	if (event->kind == EVENT_DONE) {
		r->slots[worker].done = *event;
		r->slots[worker].has_done = true;
	} else if (event->kind == EVENT_LOSS && j->n_artifacts && r->n_losses < LOSSES_MAX) {
		MEM_PUSH_ROOM(r->losses, r->n_losses, r->losses_room);
		r->losses[r->n_losses++] =
			(struct record_loss){r->plan->artifacts[j->artifacts[0]].key, event->step, event->loss,
					     event->learning_rate, event->tokens_per_second};
	}
	return 0;
}

static int on_artifact(void *ctx, size_t job, size_t artifact, struct err *err)
{
	struct record *r = ctx;
	(void)job;
	const struct plan_artifact *a = &r->plan->artifacts[artifact];
	bool fresh = a->made_at != a->dir; /* it replaces another, which lies at made_at from here on */
	if (begin(r, err) < 0 || (fresh && fs_exchange(a->made_at, a->dir, err) < 0))
		return -1;
	if (store_artifact_done(r->store, a->key, a->dir, err) < 0) {
		/* A folder that cannot be used must not be in the way of the next attempt's. */
		struct err ignored = {0};
		if (fresh)
			fs_exchange(a->made_at, a->dir, &ignored);
		if (err->kind == ERR_INPUT && fs_set_aside(a->made_at, &ignored) < 0)
			fs_remove_tree(a->made_at);
		return -1;
	}
	if (fresh)
		fs_remove_tree(a->made_at);
	tally_artifact(r->tally, artifact);
	return 0;
}

static int on_ended(void *ctx, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		    const char *log_tail, struct err *err)
{
	struct record *r = ctx;
	struct record_slot *slot = &r->slots[worker];
	progress_ended(r->progress, job, worker, outcome, reason, clock_ms());
	/* A worker that did not come to its last event has a duration, too: by our clock, which nobody sets. */
	if (!slot->has_done)
		slot->done =
			(struct event){.kind = EVENT_DONE, .seconds = (double)(clock_ms() - slot->started_at) / 1000};
	if (begin(r, err) < 0 ||
	    store_attempt_end(r->store, slot->attempt, outcome, reason, log_tail, &slot->done, err) < 0)
		return -1;
	if (outcome != ATTEMPT_FAILED)
		return 0;
	MEM_PUSH_ROOM(r->failures, r->n_failures, r->failures_room);
	r->failures[r->n_failures++] = (struct record_failure){
		.job = job, .reason = mem_strdup(reason), .log_tail = log_tail ? mem_strdup(log_tail) : NULL};
	return store_job_failed(r->store, r->plan->jobs[job].job.key, reason, err);
}

static int on_skipped(void *ctx, size_t job, size_t because, struct err *err)
{
	struct record *r = ctx;
	progress_skipped(r->progress, job, because);
	r->skipped++;
	const char *cause = "";
	for (size_t i = 0; i < r->n_failures; i++)
		if (r->failures[i].job == because)
			cause = r->failures[i].reason;
	char *reason = mem_printf("it needs `%s`, which failed: %s", r->plan->jobs[because].title, cause);
	int result = begin(r, err);
	if (result == 0)
		result = store_job_failed(r->store, r->plan->jobs[job].job.key, reason, err);
	free(reason);
	return result;
}

static void on_tick(void *ctx, int64_t now)
{
	struct record *r = ctx;
	progress_tick(r->progress, now);
}

static void on_stalled(void *ctx, size_t job, int worker, int64_t ms)
{
	struct record *r = ctx;
	long pid = (long)r->slots[worker].pid;
	progress_line(r->progress,
		      "`%s` has neither said anything nor used the processor for %lld s: is process %ld stopped, or "
		      "waiting? `kill -9 %ld` has it tried again, --timeout ends such jobs",
		      r->plan->jobs[job].title, (long long)(ms / 1000), pid, pid);
}

static void on_interrupted(void *ctx, int times)
{
	struct record *r = ctx;
	store_hurry(r->store);
	progress_line(r->progress,
		      times == 1 ? "stopping; finished work is kept (once more: stop at once)" : "stopping at once");
}

const struct sched_listener record_listener = {
	.started = on_started,
	.event = on_event,
	.artifact = on_artifact,
	.ended = on_ended,
	.skipped = on_skipped,
	.idle = on_idle,
	.tick = on_tick,
	.stalled = on_stalled,
	.interrupted = on_interrupted,
};
