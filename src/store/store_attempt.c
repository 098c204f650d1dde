/* store_attempt.c - what jobs are doing: attempts, losses, failures, events. All but a failure is written without
 * waiting for the disk (store.c says why that loses nothing). */
#include "store_internal.h"

#include <math.h>

static int job_id(struct store *s, const char *key, int64_t *id, struct err *err)
{
	int got = store_int(s, err, id, "SELECT id FROM jobs WHERE key = ?1", "t", key);
	if (got == 0) /* a job that no plan registered: a check made by hand, a test */
		got = store_int(s, err, id,
				"INSERT INTO jobs(key, kind, title, state, created_at) "
				"VALUES(?1, 'check', 'check', 'pending', " STORE_TIME ") RETURNING id",
				"t", key);
	return got < 0 ? -1 : 0;
}

int store_event(struct store *s, int64_t sweep_id, const char *kind, const char *text, struct err *err)
{
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	return store_finish(s,
			    store_do(s, err,
				     "INSERT INTO events(at, sweep_id, kind, text) VALUES(" STORE_TIME ", ?1, ?2, ?3)",
				     "0tt", sweep_id, kind, text),
			    err);
}

static int job_event(struct store *s, int64_t job, const char *kind, const char *text, struct err *err)
{
	return store_do(s, err,
			"INSERT INTO events(at, sweep_id, job_id, kind, text) "
			"SELECT " STORE_TIME ", sweep_id, id, ?2, title || ': ' || ?3 FROM jobs WHERE id = ?1",
			"itt", job, kind, text ? text : "");
}

int store_attempt_begin(struct store *s, const char *job_key, int attempt, int worker, int threads, int64_t pid,
			int64_t *attempt_id, struct err *err)
{
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	int64_t job;
	int result = 0;
	if (job_id(s, job_key, &job, err) < 0 ||
	    store_int(s, err, attempt_id,
		      "INSERT INTO attempts(job_id, attempt, worker, threads, pid, started_at, outcome) "
		      "VALUES(?1, ?2, ?3, ?4, ?5, " STORE_TIME ", 'running') RETURNING id",
		      "iiiii", job, (int64_t)attempt, (int64_t)worker, (int64_t)threads, pid) < 0 ||
	    store_do(s, err, "UPDATE jobs SET state = 'running', reason = NULL WHERE id = ?1", "i", job) < 0)
		result = -1;
	return store_finish(s, result, err);
}

/* The time an attempt took belongs to what its job made: an adapter has all of it, hypotheses a share by their number.
 */
static int share_seconds(struct store *s, int64_t job, int64_t attempt, struct err *err)
{
	return store_do(s, err,
			"UPDATE artifacts SET seconds = round((SELECT seconds FROM attempts WHERE id = ?2) * "
			"max(1, coalesce(count, 1)) / (SELECT sum(max(1, coalesce(b.count, 1))) FROM artifacts b "
			"WHERE b.job_id = ?1 AND b.state = 'done'), 3) WHERE job_id = ?1 AND state = 'done'",
			"ii", job, attempt);
}

int store_attempt_end(struct store *s, int64_t attempt_id, enum attempt_outcome outcome, const char *reason,
		      const char *log_tail, const struct event *done, struct err *err)
{
	static const char *const outcomes[] = {[ATTEMPT_DONE] = "done",
					       [ATTEMPT_FAILED] = "failed",
					       [ATTEMPT_RETRY] = "retry",
					       [ATTEMPT_STOPPED] = "stopped"};
	static const char *const states[] = {[ATTEMPT_DONE] = "done",
					     [ATTEMPT_FAILED] = "failed",
					     [ATTEMPT_RETRY] = "pending",
					     [ATTEMPT_STOPPED] = "pending"};
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	if (reason && !reason[0])
		reason = NULL;
	int64_t job, rss = done ? done->peak_rss_kb : 0;
	double seconds = done ? done->seconds : (double)NAN; /* not from two dates: somebody may set the clock */
	double speed = done && done->tokens_per_second > 0 ? done->tokens_per_second : (double)NAN;
	int result = -1;
	int got = store_int(s, err, &job,
			    "UPDATE attempts SET outcome = ?2, reason = ?3, log_tail = ?4, ended_at = " STORE_TIME
			    ", seconds = round(?5, 3), "
			    "tokens_per_second = ?6, peak_rss_kb = ?7 WHERE id = ?1 RETURNING job_id",
			    "itttdd0", attempt_id, outcomes[outcome], reason, log_tail, seconds, speed, rss);
	if (got == 0)
		err_set(err, ERR_INTERNAL, "%s has no attempt %lld", s->path, (long long)attempt_id);
	if (got <= 0)
		goto out;
	if (store_do(s, err, "UPDATE jobs SET state = ?2, reason = ?3 WHERE id = ?1", "itt", job, states[outcome],
		     reason) < 0)
		goto out;
	if (outcome == ATTEMPT_DONE && share_seconds(s, job, attempt_id, err) < 0)
		goto out;
	if (outcome == ATTEMPT_RETRY && job_event(s, job, "retry", reason, err) < 0)
		goto out;
	result = 0;
out:
	return store_finish(s, result, err);
}

int store_loss(struct store *s, const char *adapter_key, const struct event *loss, struct err *err)
{
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	int result = store_do(s, err,
			      "INSERT OR REPLACE INTO losses(adapter_id, step, loss, learning_rate, tokens_per_second) "
			      "SELECT id, ?2, ?3, ?4, ?5 FROM artifacts WHERE key = ?1",
			      "tiddd", adapter_key, loss->step, loss->loss, loss->learning_rate,
			      loss->tokens_per_second > 0 ? loss->tokens_per_second : (double)NAN);
	return store_finish(s, result, err);
}

int store_job_failed(struct store *s, const char *job_key, const char *reason, struct err *err)
{
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int64_t job;
	int result = -1;
	if (job_id(s, job_key, &job, err) < 0 ||
	    store_do(s, err, "UPDATE jobs SET state = 'failed', reason = ?2 WHERE id = ?1", "it", job, reason) < 0 ||
	    store_do(s, err, "UPDATE artifacts SET state = 'failed' WHERE job_id = ?1 AND state <> 'done'", "i", job) <
		    0)
		goto out;
	/* A run fails with its adapter or with any of its hypotheses. */
	if (store_do(s, err,
		     "UPDATE runs SET status = 'failed', reason = ?2, finished_at = " STORE_TIME
		     " WHERE status = 'pending' AND id IN ("
		     "SELECT r.id FROM artifacts a JOIN runs r ON r.adapter_id = a.id "
		     "WHERE a.job_id = ?1 AND a.state = 'failed' UNION "
		     "SELECT x.run_id FROM artifacts a JOIN run_artifacts x ON x.artifact_id = a.id "
		     "WHERE a.job_id = ?1 AND a.state = 'failed')",
		     "it", job, reason) < 0)
		goto out;
	result = job_event(s, job, "failed", reason, err);
out:
	return store_finish(s, result, err);
}
