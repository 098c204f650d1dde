/* test_sched.c - the scheduler alone: a fake executor with a fake clock and a script of what each attempt does, a
 * listener that writes down all it hears. No process, no disk, no waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "run/sched.h"

#define MAX_JOBS  64
#define MAX_SLOTS 8

/* What an attempt of a job does. */
enum act { WORK, KILL, REFUSE, FAIL, MUTE, FORGET, HALF, LATE, LOSE_EVENT, ROOM, CHANGED, SLEEP };

struct fake_worker {
	bool busy, artifacts_sent;
	size_t job;
	enum act act;
	int64_t ends_at;
	int stopped; /* 1: SIGTERM, 2: SIGKILL */
	size_t n_outputs;
	char outputs[8][HASH_HEX];
	size_t sent;
};

struct fake {
	struct executor base;
	const struct plan *plan;
	enum act acts[MAX_JOBS][8]; /* by job and attempt */
	int64_t length[MAX_JOBS];   /* ms */
	struct fake_worker workers[MAX_SLOTS];
	int64_t now;
	int64_t signals[4]; /* when SIGINT comes */
	int n_signals;
	bool deaf;         /* workers ignore SIGTERM */
	int fail_start_of; /* job, -1: none */
	bool fail_wait;
	/* seen */
	struct buf log;
	int running, most_running, threads_now, most_threads;
	bool there[MAX_JOBS * 4]; /* artifacts in place */
	struct sched_options options;
	int listener_fails_at; /* artifact index whose listener says -1; -1: none */
	enum err_kind listener_kind;
	int listener_fails; /* so often; 0: always */
	bool dirty;         /* something was told since the last idle */
	int sleeps_dirty;   /* waits that would sleep with something not committed */
};

static size_t job_of(const struct fake *f, const char *key)
{
	for (size_t i = 0; i < f->plan->n_jobs; i++)
		if (strcmp(f->plan->jobs[i].job.key, key) == 0)
			return i;
	fail_msg("unknown key %s", key);
	return 0;
}

static size_t artifact_of(const struct fake *f, const char *key)
{
	for (size_t i = 0; i < f->plan->n_artifacts; i++)
		if (strcmp(f->plan->artifacts[i].key, key) == 0)
			return i;
	fail_msg("unknown artifact %s", key);
	return 0;
}

static int fake_start(struct executor *e, const struct executor_request *r, int64_t *pid, struct err *err)
{
	struct fake *f = (struct fake *)e;
	size_t job = job_of(f, r->job_key);
	struct fake_worker *w = &f->workers[r->worker];
	assert_false(w->busy);
	assert_true(r->threads >= 1);
	if (f->fail_start_of == (int)job)
		return err_set(err, ERR_SYSTEM, "cannot start");
	*w = (struct fake_worker){.busy = true, .job = job, .act = f->acts[job][r->attempt - 1]};
	bool long_act = w->act == WORK || w->act == LATE || w->act == LOSE_EVENT || w->act == SLEEP;
	w->ends_at = f->now + (long_act ? f->length[job] : 1);
	/* the outputs that the job file names */
	for (const char *p = strstr(r->job_text, "\"outputs\""); p && (p = strstr(p, "{\"key\":\"")); p++)
		snprintf(w->outputs[w->n_outputs++], HASH_HEX, "%.*s", (int)strcspn(p + 8, "\""), p + 8);
	f->running++;
	f->threads_now += r->threads;
	f->most_running = f->running > f->most_running ? f->running : f->most_running;
	f->most_threads = f->threads_now > f->most_threads ? f->threads_now : f->most_threads;
	buf_printf(&f->log, "%lld start %s.%d slot %d threads %d outputs %zu\n", (long long)f->now, r->job_key,
		   r->attempt, r->worker, r->threads, w->n_outputs);
	w->stopped = 0;
	*pid = 1000 + (int64_t)job;
	return 0;
}

static void end(struct fake *f, int slot, struct executor_report *r)
{
	static const int status[] = {[WORK] = 0,       [REFUSE] = 2, [FAIL] = 1,    [MUTE] = 1, [FORGET] = 0,
				     [LOSE_EVENT] = 0, [ROOM] = 1,   [CHANGED] = 1, [SLEEP] = 0};

	struct fake_worker *w = &f->workers[slot];
	*r = (struct executor_report){.kind = EXEC_ENDED, .worker = slot, .exited = true};
	if (w->stopped) {
		r->exited = false;
		r->signal = w->stopped == 2 ? SIGKILL : SIGTERM;
	} else if (w->act == KILL || w->act == HALF || w->act == LATE) {
		r->exited = false;
		r->signal = SIGKILL;
	} else {
		r->status = status[w->act];
	}
	r->log_tail = mem_strdup("last words");
	w->busy = false;
	f->running--;
}

/* The next thing that happens at or before `until`; the clock goes there. */
static int fake_wait(struct executor *e, int timeout_ms, struct executor_report *r, struct err *err)
{
	struct fake *f = (struct fake *)e;
	if (f->fail_wait)
		return err_set(err, ERR_SYSTEM, "cannot wait");
	if (timeout_ms != 0 && f->dirty)
		f->sleeps_dirty++;
	int64_t until = timeout_ms < 0 ? INT64_MAX : f->now + timeout_ms, next = INT64_MAX;
	int slot = -1;
	for (int i = 0; i < MAX_SLOTS; i++) {
		struct fake_worker *w = &f->workers[i];
		int64_t at = w->stopped == 2 || (w->stopped == 1 && !f->deaf) ? f->now : w->ends_at;
		if (w->busy && at < next) {
			next = at;
			slot = i;
		}
	}
	if (f->n_signals && f->signals[0] <= until && f->signals[0] <= next) {
		f->now = f->signals[0] > f->now ? f->signals[0] : f->now;
		memmove(f->signals, f->signals + 1, sizeof f->signals - sizeof f->signals[0]);
		f->n_signals--;
		*r = (struct executor_report){.kind = EXEC_SIGNAL};
		return 1;
	}
	if (next > until || slot < 0) {
		assert_true(timeout_ms >= 0); /* else we would sleep for ever */
		f->now = until;
		return 0;
	}
	struct fake_worker *w = &f->workers[slot];
	f->now = next > f->now ? next : f->now;
	enum act act = w->act;
	bool stopped = w->stopped == 2 || (w->stopped == 1 && !f->deaf);
	size_t will_make = act == WORK || act == LATE || act == LOSE_EVENT || act == SLEEP ? w->n_outputs
			   : act == HALF                                                   ? 1
											   : 0;
	if (!stopped && w->sent < will_make) {
		const char *key = w->outputs[w->sent++];
		f->there[artifact_of(f, key)] = true;
		*r = (struct executor_report){.kind = EXEC_EVENT, .worker = slot};
		r->event.kind = act == LOSE_EVENT || act == LATE ? EVENT_PROGRESS : EVENT_ARTIFACT;
		snprintf(r->event.key, HASH_HEX, "%s", key);
		return 1;
	}
	static const struct {
		enum err_kind kind;
		const char *text;
	} words[] = {[REFUSE] = {ERR_INPUT, "bad line 7"},
		     [FAIL] = {ERR_SYSTEM, "no luck"},
		     [ROOM] = {ERR_ROOM, "the disk is full"},
		     [CHANGED] = {ERR_CHANGED, "train.txt changed"},
		     [SLEEP] = {ERR_NONE, NULL}};
	if (!stopped && words[act].text && !w->artifacts_sent) {
		w->artifacts_sent = true;
		*r = (struct executor_report){.kind = EXEC_EVENT, .worker = slot};
		r->event.kind = EVENT_ERROR;
		r->event.error_kind = words[act].kind;
		snprintf(r->event.text, sizeof r->event.text, "%s", words[act].text);
		return 1;
	}
	end(f, slot, r);
	return 1;
}

static void fake_stop(struct executor *e, int worker, bool now)
{
	struct fake *f = (struct fake *)e;
	assert_true(f->workers[worker].busy);
	if (f->workers[worker].stopped < (now ? 2 : 1))
		f->workers[worker].stopped = now ? 2 : 1;
	buf_printf(&f->log, "%lld stop %d%s\n", (long long)f->now, worker, now ? " now" : "");
}

static int64_t fake_now(struct executor *e)
{
	return ((struct fake *)e)->now;
}

static int64_t fake_cpu_ms(struct executor *e, int worker)
{
	struct fake *f = (struct fake *)e;
	return f->workers[worker].act == SLEEP ? 5 : f->now;
}

static const struct executor_ops fake_ops = {
	.start = fake_start, .wait = fake_wait, .stop = fake_stop, .cpu_ms = fake_cpu_ms, .now = fake_now};

/* ---- the listener ---- */

static const char *key_of(struct fake *f, size_t job)
{
	return f->plan->jobs[job].job.key;
}

static int on_started(void *ctx, size_t job, int worker, int attempt, int threads, int64_t pid, struct err *err)
{
	struct fake *f = ctx;
	(void)worker;
	(void)attempt;
	(void)threads;
	(void)err;
	f->dirty = true;
	assert_int_equal(pid, 1000 + (int64_t)job);
	return 0;
}

static int on_artifact(void *ctx, size_t job, size_t artifact, struct err *err)
{
	struct fake *f = ctx;
	(void)job;
	f->dirty = true;
	assert_true(f->there[artifact]);
	if (f->listener_fails_at == (int)artifact) {
		if (f->listener_fails && --f->listener_fails == 0)
			f->listener_fails_at = -1;
		return err_set(err, f->listener_kind, "no good");
	}
	buf_printf(&f->log, "%lld artifact %s\n", (long long)f->now, f->plan->artifacts[artifact].key);
	return 0;
}

static int on_ended(void *ctx, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		    const char *log_tail, struct err *err)
{
	static const char *const names[] = {"done", "failed", "retry", "stopped"};
	struct fake *f = ctx;
	(void)worker;
	(void)err;
	f->dirty = true;
	assert_string_equal(log_tail, "last words");
	assert_int_equal(reason[0] == '\0', outcome == ATTEMPT_DONE);
	buf_printf(&f->log, "%lld %s %s%s%s\n", (long long)f->now, names[outcome], key_of(f, job),
		   reason[0] ? ": " : "", reason);
	return 0;
}

static int on_skipped(void *ctx, size_t job, size_t because, struct err *err)
{
	struct fake *f = ctx;
	(void)err;
	buf_printf(&f->log, "%lld skipped %s because %s\n", (long long)f->now, key_of(f, job), key_of(f, because));
	return 0;
}

static int on_idle(void *ctx, struct err *err)
{
	(void)err;
	((struct fake *)ctx)->dirty = false;
	return 0;
}

static void on_stalled(void *ctx, size_t job, int worker, int64_t ms)
{
	struct fake *f = ctx;
	buf_printf(&f->log, "%lld stalled %s slot %d for %lld\n", (long long)f->now, key_of(f, job), worker,
		   (long long)ms);
}

static void on_interrupted(void *ctx, int times)
{
	struct fake *f = ctx;
	buf_printf(&f->log, "%lld interrupted %d\n", (long long)f->now, times);
}

static bool have(const struct plan_artifact *artifact, void *ctx)
{
	struct fake *f = ctx;
	return f->there[artifact - f->plan->artifacts];
}

/* ---- plans ---- */

struct test_plan {
	struct plan plan;
	struct plan_job jobs[MAX_JOBS];
	struct plan_artifact artifacts[MAX_JOBS * 4];
	struct job_output outputs[MAX_JOBS * 4];
	size_t indexes[MAX_JOBS * 4];
};

static char *text_of(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* Appends a job named key that waits for another (or PLAN_NONE) and makes n artifacts key-0, key-1, ... */
static size_t add(struct test_plan *t, struct fake *f, const char *key, size_t waits_for, size_t n, double cost,
		  int64_t length)
{
	size_t at = t->plan.n_jobs++;
	struct plan_job *job = &t->jobs[at];
	job->job = (struct job){.kind = waits_for == PLAN_NONE ? JOB_TRAIN : JOB_DECODE,
				.model = text_of("/m"),
				.prompt = text_of("p"),
				.target = text_of("t")};
	snprintf(job->job.key, HASH_HEX, "%.64s", key);
	job->title = text_of(key);
	job->waits_for = waits_for;
	job->cost = cost;
	job->artifacts = &t->indexes[t->plan.n_artifacts];
	job->job.outputs = &t->outputs[t->plan.n_artifacts];
	job->n_artifacts = job->job.n_outputs = n;
	for (size_t i = 0; i < n; i++) {
		size_t a = t->plan.n_artifacts++;
		snprintf(t->artifacts[a].key, HASH_HEX, "%.50s-%zu", key, i);
		snprintf(t->outputs[a].key, HASH_HEX, "%.50s-%zu", key, i);
		t->artifacts[a].kind = job->job.kind;
		t->artifacts[a].split = "dev";
		t->artifacts[a].dir = t->outputs[a].dir = text_of("/nowhere");
		t->indexes[a] = a;
	}
	t->plan.jobs = t->jobs;
	t->plan.artifacts = t->artifacts;
	f->length[at] = length;
	return at;
}

static const struct sched_listener listener = {.started = on_started,
					       .artifact = on_artifact,
					       .ended = on_ended,
					       .skipped = on_skipped,
					       .idle = on_idle,
					       .stalled = on_stalled,
					       .interrupted = on_interrupted};

static void begin(struct test_plan *t, struct fake *f, int jobs, int cores)
{
	memset(t, 0, sizeof *t);
	memset(f, 0, sizeof *f);
	f->base.ops = &fake_ops;
	f->plan = &t->plan;
	f->fail_start_of = f->listener_fails_at = -1;
	f->options =
		(struct sched_options){.jobs = jobs, .cores = cores, .listener = &listener, .ctx = f, .have = have};
}

static struct sched_result go(struct fake *f, int expected)
{
	struct sched_result result;
	struct err err = {0};
	assert_int_equal(sched_run(f->plan, &f->base, &f->options, &result, &err), expected);
	assert_int_equal(result.done + result.failed + result.skipped + result.stopped, f->plan->n_jobs);
	assert_int_equal(f->running, 0);
	if (expected == 0)
		assert_int_equal(f->sleeps_dirty, 0);
	else
		assert_true(err.text[0]);
	return result;
}

static void expect(struct fake *f, const char *text)
{
	if (!strstr(f->log.data ? f->log.data : "", text))
		fail_msg("expected `%s` in:\n%s", text, f->log.data);
}

static void expect_not(struct fake *f, const char *text)
{
	if (strstr(f->log.data ? f->log.data : "", text))
		fail_msg("did not expect `%s` in:\n%s", text, f->log.data);
}

static struct test_plan t;
static struct fake f;

/* ---- tests ---- */

static void test_empty(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 0);
	buf_release(&f.log);
}

static void test_order(void **state)
{
	(void)state;
	begin(&t, &f, 1, 2);
	/* Of two trainings the one with the longer chain behind it goes first, then everything by length. */
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 10, 10);
	size_t b = add(&t, &f, "b", PLAN_NONE, 1, 9, 9);
	add(&t, &f, "a1", a, 1, 1, 1);
	add(&t, &f, "b1", b, 1, 5, 5);
	add(&t, &f, "b2", b, 1, 2, 2);
	add(&t, &f, "c", PLAN_NONE, 1, 2, 2);
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 6);
	expect(&f, "0 start b.1 slot 0 threads 2 outputs 1\n9 artifact b-0\n9 done b\n"
		   "9 start a.1 slot 0 threads 2 outputs 1\n19 artifact a-0\n19 done a\n"
		   "19 start b1.1");
	expect(&f, "24 start b2.1");
	expect(&f, "26 start c.1"); /* equal to b2, but later in the plan */
	expect(&f, "28 start a1.1");
	assert_int_equal(f.most_running, 1);
	buf_release(&f.log);
}

static void test_threads(void **state)
{
	(void)state;
	/* Five cores, four slots, three jobs: 2 + 2 + 1, the longest first; then one job alone has them all. */
	begin(&t, &f, 4, 5);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 9, 9);
	add(&t, &f, "b", PLAN_NONE, 1, 8, 8);
	add(&t, &f, "c", PLAN_NONE, 1, 7, 7);
	add(&t, &f, "d", a, 1, 1, 1);
	go(&f, 0);
	expect(&f, "0 start a.1 slot 0 threads 2");
	expect(&f, "0 start b.1 slot 1 threads 2");
	expect(&f, "0 start c.1 slot 2 threads 1");
	expect(&f, "9 start d.1 slot 0 threads 5");
	buf_release(&f.log);
	/* More workers than cores, by request: a thread each. */
	begin(&t, &f, 3, 1);
	add(&t, &f, "a", PLAN_NONE, 1, 1, 5);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 5);
	add(&t, &f, "c", PLAN_NONE, 1, 1, 5);
	go(&f, 0);
	assert_int_equal(f.most_running, 3);
	assert_int_equal(f.most_threads, 3);
	buf_release(&f.log);
}

static void test_sharing(void **state)
{
	(void)state;
	/* 60 jobs on 8 slots: never more at a time, all done, cores never lent twice. */
	begin(&t, &f, 8, 8);
	size_t parents[6];
	for (size_t i = 0; i < 6; i++)
		parents[i] = add(&t, &f, (const char *[]){"p0", "p1", "p2", "p3", "p4", "p5"}[i], PLAN_NONE, 1,
				 (double)(10 + i), (int64_t)(10 + i));
	static char names[54][8];
	for (size_t i = 0; i < 54; i++) {
		snprintf(names[i], sizeof names[i], "d%zu", i);
		add(&t, &f, names[i], parents[i % 6], 1 + i % 3, 1 + (double)(i % 4), (int64_t)(1 + i % 4));
	}
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 60);
	assert_true(f.most_running <= 8);
	for (size_t i = 0; i < t.plan.n_artifacts; i++)
		assert_true(f.there[i]);
	buf_release(&f.log);
}

static void test_crash(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 1, 10);
	f.acts[a][0] = f.acts[a][1] = KILL;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 1);
	expect(&f, "1 retry a: the worker was killed by signal 9 (Killed), perhaps for lack of memory\n1001 start a.2");
	expect(&f, "1002 retry a");
	expect(&f, "5002 start a.3");
	expect(&f, "5012 done a");
	buf_release(&f.log);
	/* three times is enough */
	begin(&t, &f, 2, 2);
	a = add(&t, &f, "a", PLAN_NONE, 1, 1, 10);
	for (int i = 0; i < 8; i++)
		f.acts[a][i] = KILL;
	r = go(&f, 0);
	assert_int_equal(r.failed, 1);
	expect(&f, "5003 failed a: the worker was killed");
	expect_not(&f, "a.4");
	buf_release(&f.log);
}

static void test_no_retry_of_bad_input(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 2, 10);
	size_t b = add(&t, &f, "b", PLAN_NONE, 1, 1, 10);
	add(&t, &f, "a1", a, 2, 1, 1);
	add(&t, &f, "b1", b, 2, 1, 1);
	add(&t, &f, "a2", a, 1, 1, 1);
	f.acts[a][0] = REFUSE;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.skipped, 2);
	assert_int_equal(r.done, 2);
	expect(&f, "1 failed a: bad line 7\n");
	expect(&f, "skipped a1 because a\n");
	expect(&f, "skipped a2 because a\n");
	expect(&f, "done b1\n");
	expect_not(&f, "a.2");
	expect_not(&f, "start a1");
	buf_release(&f.log);
}

static void test_other_failures(void **state)
{
	(void)state;
	begin(&t, &f, 1, 1);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 3, 10), b = add(&t, &f, "b", PLAN_NONE, 1, 2, 10);
	size_t c = add(&t, &f, "c", PLAN_NONE, 1, 1, 10);
	f.acts[a][0] = FAIL;
	f.acts[b][0] = f.acts[b][1] = MUTE;
	f.acts[c][0] = f.acts[c][1] = FORGET;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.failed, 2);
	expect(&f, "retry a: no luck\n");
	expect(&f, "start a.2");
	expect(&f, "failed b: the worker ended with exit status 1 and did not say why\n");
	expect(&f, "failed c: the worker ended without making the adapter (c-0)\n");
	buf_release(&f.log);
}

static void test_kept_between_attempts(void **state)
{
	(void)state;
	/* Killed after one of three artifacts: the second attempt is asked for two. Killed after all: nothing is left.
	 */
	begin(&t, &f, 1, 1);
	size_t a = add(&t, &f, "a", PLAN_NONE, 3, 1, 10), b = add(&t, &f, "b", PLAN_NONE, 2, 1, 10);
	size_t c = add(&t, &f, "c", PLAN_NONE, 2, 1, 10);
	f.acts[a][0] = HALF;
	f.acts[b][0] = LATE;
	f.acts[c][0] = LOSE_EVENT;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 3);
	expect(&f, "start a.1 slot 0 threads 1 outputs 3\n");
	expect(&f, "start a.2 slot 0 threads 1 outputs 2\n");
	expect(&f, "artifact b-0\n");
	expect(&f, "artifact b-1\n");
	expect_not(&f, "start b.2");
	expect(&f, "artifact c-1\n");
	size_t told = 0;
	for (const char *p = f.log.data; (p = strstr(p, " artifact ")); p++)
		told++;
	assert_int_equal(told, 7);
	buf_release(&f.log);
}

static void test_interrupt(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	add(&t, &f, "a", PLAN_NONE, 1, 1, 100);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 20);
	add(&t, &f, "c", PLAN_NONE, 1, 1, 100);
	f.signals[0] = 30;
	f.n_signals = 1;
	struct sched_result r = go(&f, 0);
	assert_true(r.interrupted);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.stopped, 2);
	expect(&f, "30 interrupted 1\n30 stop 0\n30 stop 1\n");
	expect(&f, "30 stopped a: stopped before its end\n");
	expect_not(&f, "now");
	buf_release(&f.log);
	/* The second ends them now. */
	begin(&t, &f, 1, 1);
	add(&t, &f, "a", PLAN_NONE, 1, 1, 10000);
	f.deaf = true;
	f.signals[0] = 30;
	f.signals[1] = 40;
	f.n_signals = 2;
	r = go(&f, 0);
	assert_int_equal(r.stopped, 1);
	expect(&f, "40 interrupted 2\n40 stop 0 now\n40 stopped a");
	buf_release(&f.log);
	/* One that ends well all the same counts as done; nothing new is started. */
	begin(&t, &f, 1, 1);
	add(&t, &f, "a", PLAN_NONE, 1, 1, 50);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 50);
	f.acts[0][0] = FAIL;
	f.signals[0] = 500; /* while a rests before its retry and b runs or has run */
	f.n_signals = 1;
	r = go(&f, 0);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.stopped, 1);
	expect_not(&f, "start a.2");
	buf_release(&f.log);
}

static void test_listener_fails(void **state)
{
	(void)state;
	/* A full disk stops everything, and is told once. */
	begin(&t, &f, 2, 2);
	add(&t, &f, "a", PLAN_NONE, 1, 2, 10);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 50);
	add(&t, &f, "c", PLAN_NONE, 1, 1, 50);
	f.listener_fails_at = 0;
	f.listener_kind = ERR_SYSTEM;
	struct sched_result r = go(&f, -1);
	assert_int_equal(r.stopped, 3);
	expect(&f, "10 stop 0\n10 stop 1\n");
	expect_not(&f, "start c");
	expect_not(&f, "done");
	buf_release(&f.log);
	/* An artifact that cannot be used fails the attempt, and no other job; the retry makes it again, and no other.
	 */
	begin(&t, &f, 2, 2);
	size_t a = add(&t, &f, "a", PLAN_NONE, 3, 2, 10);
	add(&t, &f, "a1", a, 1, 1, 1);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 50);
	f.listener_fails_at = 1;
	f.listener_kind = ERR_INPUT;
	r = go(&f, 0);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.skipped, 1);
	assert_int_equal(r.done, 1);
	expect(&f, "artifact a-0\n");
	expect(&f, "artifact a-2\n");
	expect(&f, "retry a: no good\n");
	expect(&f, "start a.2 slot 0 threads 2 outputs 1\n");
	expect(&f, "failed a: no good\n");
	buf_release(&f.log);
}

static void test_executor_fails(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	add(&t, &f, "a", PLAN_NONE, 1, 2, 10);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 50);
	f.fail_start_of = 1;
	struct sched_result r = go(&f, -1);
	assert_int_equal(r.stopped, 2);
	buf_release(&f.log);
	begin(&t, &f, 1, 1);
	add(&t, &f, "a", PLAN_NONE, 1, 2, 10);
	f.fail_wait = true;
	struct sched_result result;
	struct err err = {0};
	assert_int_equal(sched_run(f.plan, &f.base, &f.options, &result, &err), -1);
	assert_string_equal(err.text, "cannot wait");
	buf_release(&f.log);
}

/* A job that makes nothing (the check) is done only when its worker says so. */
static void test_check_job(void **state)
{
	(void)state;
	begin(&t, &f, 1, 1);
	add(&t, &f, "check", PLAN_NONE, 0, 1, 10);
	assert_int_equal(go(&f, 0).done, 1);
	buf_release(&f.log);
	begin(&t, &f, 1, 1);
	add(&t, &f, "check", PLAN_NONE, 0, 1, 10);
	f.acts[0][0] = REFUSE;
	assert_int_equal(go(&f, 0).failed, 1);
	buf_release(&f.log);
	begin(&t, &f, 1, 1);
	add(&t, &f, "check", PLAN_NONE, 0, (double)NAN, 10);
	f.acts[0][0] = f.acts[0][1] = f.acts[0][2] = KILL;
	assert_int_equal(go(&f, 0).failed, 1);
	buf_release(&f.log);
}

/* What is no fault of one job stops the sweep at once, with the first reason; what happens meanwhile is still told. */
static void test_halted(void **state)
{
	(void)state;
	static const struct {
		enum act act;
		enum err_kind kind;
		const char *text;
	} cases[] = {{ROOM, ERR_ROOM, "the disk is full"}, {CHANGED, ERR_CHANGED, "train.txt changed"}};
	for (size_t i = 0; i < 2; i++) {
		begin(&t, &f, 2, 2);
		size_t a = add(&t, &f, "a", PLAN_NONE, 1, 3, 10);
		add(&t, &f, "a1", a, 1, 1, 1);
		size_t b = add(&t, &f, "b", PLAN_NONE, 1, 2, 50);
		add(&t, &f, "c", PLAN_NONE, 1, 1, 50);
		f.acts[a][0] = cases[i].act;
		f.acts[b][0] = WORK;
		struct sched_result r;
		struct err err = {0};
		assert_int_equal(sched_run(f.plan, &f.base, &f.options, &r, &err), -1);
		assert_int_equal(err.kind, cases[i].kind);
		assert_string_equal(err.text, cases[i].text);
		assert_int_equal(r.stopped, 4);
		assert_int_equal(r.failed, 0);
		expect(&f, "1 stop 0\n1 stop 1\n");
		expect(&f, "stopped a: "); /* with its reason, and pending */
		expect(&f, cases[i].text);
		expect(&f, "stopped b: stopped before its end\n");
		expect_not(&f, "start c");
		expect_not(&f, "skipped");
		assert_int_equal(f.running, 0);
		buf_release(&f.log);
	}
	/* The database fails after it: the first reason is the one that is told. */
	begin(&t, &f, 1, 1);
	add(&t, &f, "a", PLAN_NONE, 2, 3, 10);
	f.acts[0][0] = ROOM;
	f.there[0] = true; /* made before the room was gone: found when the worker has ended */
	f.listener_fails_at = 0;
	f.listener_kind = ERR_SYSTEM;
	struct sched_result r;
	struct err err = {0};
	assert_int_equal(sched_run(f.plan, &f.base, &f.options, &r, &err), -1);
	assert_int_equal(err.kind, ERR_ROOM);
	buf_release(&f.log);
}

/* An artifact that was refused once, made again, and whose event is lost, is looked at again. */
static void test_made_badly_once(void **state)
{
	(void)state;
	begin(&t, &f, 1, 1);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 1, 10);
	f.acts[a][1] = LOSE_EVENT;
	f.listener_fails_at = 0;
	f.listener_kind = ERR_INPUT;
	f.listener_fails = 1;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 1);
	expect(&f, "retry a: no good\n");
	expect(&f, "artifact a-0\n");
	expect_not(&f, "start a.3");
	buf_release(&f.log);
}

static void test_enough_failures(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 9, 10), b = add(&t, &f, "b", PLAN_NONE, 1, 8, 10);
	add(&t, &f, "c", PLAN_NONE, 1, 7, 100);
	add(&t, &f, "d", PLAN_NONE, 1, 6, 10);
	f.acts[a][0] = f.acts[b][0] = REFUSE;
	f.options.failures = 2;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.failed, 2);
	assert_int_equal(r.done, 1); /* c was running, and came to its end */
	assert_int_equal(r.stopped, 1);
	assert_true(r.enough);
	assert_false(r.interrupted);
	expect_not(&f, "start d");
	expect_not(&f, "stop ");
	buf_release(&f.log);
}

static void test_timeout(void **state)
{
	(void)state;
	begin(&t, &f, 1, 1);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 9, 100000);
	add(&t, &f, "a1", a, 1, 1, 1);
	add(&t, &f, "b", PLAN_NONE, 1, 1, 4000);
	f.options.timeout_ms = 5000;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.skipped, 1);
	assert_int_equal(r.done, 1);
	expect(&f, "5000 stop 0\n5000 failed a: it took longer than the 5 s that --timeout allows\n");
	expect_not(&f, "start a.2");
	expect(&f, "done b\n");
	buf_release(&f.log);
}

/* Told once; a worker that computes in silence is not named. */
static void test_stalled(void **state)
{
	(void)state;
	begin(&t, &f, 2, 2);
	size_t a = add(&t, &f, "a", PLAN_NONE, 1, 9, 400000);
	add(&t, &f, "b", PLAN_NONE, 1, 8, 400000);
	f.acts[a][0] = SLEEP;
	struct sched_result r = go(&f, 0);
	assert_int_equal(r.done, 2);
	expect(&f, "60000 stalled a slot 0 for 60000\n");
	expect_not(&f, "stalled b");
	assert_null(strstr(strstr(f.log.data, "stalled a") + 1, "stalled a"));
	buf_release(&f.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),           cmocka_unit_test(test_order),
		cmocka_unit_test(test_threads),         cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_crash),           cmocka_unit_test(test_no_retry_of_bad_input),
		cmocka_unit_test(test_other_failures),  cmocka_unit_test(test_kept_between_attempts),
		cmocka_unit_test(test_interrupt),       cmocka_unit_test(test_listener_fails),
		cmocka_unit_test(test_executor_fails),  cmocka_unit_test(test_check_job),
		cmocka_unit_test(test_halted),          cmocka_unit_test(test_made_badly_once),
		cmocka_unit_test(test_enough_failures), cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_stalled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
