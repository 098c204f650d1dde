/* store.h - results.db: the only door to SQLite (store*.c are the only files with SQL). Written by the scheduler alone
 * (docs/ARCHITECTURE.md, invariant 2), read by everybody. docs/DATABASE.md is the contract with users.
 *
 *     struct store *store;
 *     if (store_open(&store, "results.db", STORE_WRITE, err) < 0) return -1;
 *     store_begin_sweep(store, &spec, &plan, &sweep_id, err);
 *     store_close(store);
 *
 * Every write function is one durable transaction unless it stands between store_batch_begin and store_batch_end. */
#ifndef SWEEP_STORE_H
#define SWEEP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/event.h"
#include "base/job.h"
#include "plan/plan.h"
#include "plan/spec.h"

struct store;

enum store_mode { STORE_READ, STORE_WRITE };

/* STORE_READ needs an existing file, and does not change it: one of an older version is read as a copy in memory.
 * STORE_WRITE makes, migrates and takes the writer's locks (a second scheduler on the same file or the same artifacts,
 * by whatever name, gets a sentence with the first one's pid). Refuses a file that is no database, is of a newer
 * version, or cannot be written. A file that is moved, deleted or replaced later fails the next transaction with
 * ERR_MOVED. */
int store_open(struct store **store, const char *path, enum store_mode mode, struct err *err);
void store_close(struct store *store);
/* An interrupt came: what is still to be written waits a second at most for somebody else who has the file. */
void store_hurry(struct store *store);
/* The folder of a database's artifacts, absolute: "<path without .db>.artifacts", links resolved. */
char *store_artifacts_of(const char *path); /* of a file that need not be there; the caller frees */
const char *store_artifacts_dir(const struct store *store);

int store_batch_begin(struct store *store, struct err *err);
int store_batch_end(struct store *store, struct err *err);

/* The plan's questions. An artifact is there when its folder is what it was when it was made; a whole folder without a
 * row (we were killed between rename and commit) is adopted. A broken one is set aside, and *why says what it was. */
bool store_have_artifact(struct store *store, const char *key, enum job_kind kind, struct err *why);
/* Is its folder one that `sweep run --force` is to replace: made before its row became pending again, and not replaced
 * since? failed: also when the job that was to do it has failed. */
bool store_again_artifact(struct store *store, const char *key, bool failed);
/* Was a sweep of that name told to make its artifacts again, and stopped before all were? */
bool store_again_sweep(struct store *store, const char *sweep);
/* Was it made once and found damaged since? Then it is to be made again, also when nothing waits for it. */
bool store_lost_artifact(struct store *store, const char *key);

/* `sweep check`: calls found with a sentence for each thing that is wrong with the database or with the files of an
 * artifact. repair (of a writer): what can be made again becomes pending, its broken folder is set aside. */
struct store_checked {
	int64_t artifacts, files, damaged, repaired; /* damaged: sentences; repaired: artifacts */
};
int store_check(struct store *store, bool repair, void (*found)(void *ctx, const char *sentence), void *ctx,
		struct store_checked *out, struct err *err);

/* `sweep rm`: the rows of a sweep go, with the jobs and artifacts that only it refers to; `sweep gc` (sweep 0): those of
 * artifacts that no run refers to. dry: nothing is changed, but all is told. garbage is called with the key of every
 * artifact whose folder is to go, also of those that an earlier call told and nobody removed; when they are gone,
 * store_forget_garbage says so. */
struct store_removed {
	int64_t runs, jobs, attempts, artifacts,
		shared; /* shared: artifacts of the sweep that stay, others have them */
};
int store_remove(struct store *store, int64_t sweep, bool dry, struct store_removed *out,
		 void (*garbage)(void *ctx, const char *key), void *ctx, struct err *err);
int store_forget_garbage(struct store *store, struct err *err);
bool store_has_artifact(struct store *store, const char *key);
/* Is there a job whose key begins so, and which is not done with, or made what is still there? */
bool store_needs_log(struct store *store, const char *prefix);

/* Registers sweep, runs, jobs and artifacts; repeats nothing that is there (same spec name and text: same sweep). */
int store_begin_sweep(struct store *store, const struct spec *spec, const struct plan *plan, int64_t *sweep_id,
		      struct err *err);
/* Run statuses of this sweep from the artifacts' states, finished_at, leaderboard view. */
int store_end_sweep(struct store *store, int64_t sweep_id, bool interrupted, struct err *err);

int store_attempt_begin(struct store *store, const char *job_key, int attempt, int worker, int threads, int64_t pid,
			int64_t *attempt_id, struct err *err);
int store_attempt_end(struct store *store, int64_t attempt_id, enum attempt_outcome outcome, const char *reason,
		      const char *log_tail, const struct event *done /* or NULL */, struct err *err);
int store_loss(struct store *store, const char *adapter_key, const struct event *loss, struct err *err);
/* Reads a finished artifact's folder (job.h) into artifacts, hypotheses, scores and losses, and marks every run that is
 * complete with it. */
int store_artifact_done(struct store *store, const char *key, const char *dir, struct err *err);
int store_job_failed(struct store *store, const char *job_key, const char *reason, struct err *err);
/* What people want to remember of a run, in the place of what was there; NULL: nothing. ERR_INPUT when there is no such
 * run. */
int store_note(struct store *store, int64_t run_id, const char *text, struct err *err);
/* A line for the sweep's diary (table events): "notice", "started", "failed" ... */
int store_event(struct store *store, int64_t sweep_id, const char *kind, const char *text, struct err *err);

/* A digest cache: SHA-256 of a file by path, size, device, inode, mtime and ctime: a 353 MB model is hashed once. */
bool store_digest_get(struct store *store, const char *path, char hex[HASH_HEX]);
int store_digest_put(struct store *store, const char *path, const char *hex, struct err *err);

/* Reading for reports lives in store_query.h. */

#endif
