/* sched.c - works a plan off: which job next, on which worker, retried or given up; see sched.h.
 *
 * Flow:   plan -> sched_run: start what is ready -> executor's next report -> listener -> start what is ready ...
 *
 * Ready jobs wait in a heap, longest first, where a job's length is its own cost and that of the longest chain behind
 * it: trainings, which everything waits for, go before decodings, and no long job is left for the end, when the
 * other workers would stand idle. Cores are shared out at each start: those that are free, divided by the jobs that can
 * start now or will after their back-off. Results do not depend on threads (docs/ARCHITECTURE.md, invariant 3), so any
 * division is right.
 *
 * Everything comes in through the executor (its reports, its clock), everything goes out through the listener: the
 * tests play both, and need no process and no disk. Once a listener has failed it is not called again: the workers are
 * stopped, and the failure is the result. */
#include "sched.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/artifact.h"
#include "base/mem.h"

#define TICK_MS      100
#define STALL_MS     60000 /* of silence without work, and somebody should look */
#define WATCH_MS     1000  /* how often that is looked at */
#define MAX_CRASHES  2     /* retries after a signal */
#define MAX_FAILURES 1     /* retries after any other failure */

static const int64_t back_off_ms[] = {1000, 4000};

/* Waiting for another job, ready, running, resting before a retry, or over. */
enum task_state { TASK_WAITS, TASK_READY, TASK_RUNS, TASK_RESTS, TASK_OVER };

/* An artifact: not there yet, reported and taken, reported and refused by the listener. */
enum made { MADE_NOT, MADE_WELL, MADE_BADLY };

struct task {
	enum task_state state;
	double rank;                      /* its cost and that of the longest chain behind it */
	size_t first_child, next_sibling; /* the jobs that wait for it */
	int attempts, crashes, failures;
	int64_t retry_at;
};

struct worker {
	size_t job; /* PLAN_NONE: free */
	int threads;
	size_t next;  /* where in its job's artifacts the next one is likely to be */
	bool refused; /* it reported bad input, or took too long: no retry */
	bool halted;  /* it reported what stops the sweep */
	bool late;    /* it took longer than it may */
	bool stall_told, ended;
	int64_t started_at, active_at; /* active_at: it spoke, or used the processor */
	int64_t cpu_ms;                /* used at active_at */
	char reason[sizeof(((struct err *)0)->text)];
};

struct sched {
	const struct plan *plan;
	struct executor *executor;
	const struct sched_options *options;
	struct sched_result *result;
	struct err *err;
	struct task *tasks;
	struct worker *workers;
	size_t *ready, n_ready; /* a heap: ready[0] has the highest rank */
	size_t *rests, n_rests; /* jobs in TASK_RESTS, in no order */
	enum made *made;        /* [n_artifacts] */
	int running, free_cores;
	int interrupts;
	int64_t watched_at;
	bool stopping; /* nothing new is started */
	bool halted;   /* err says why: the sweep cannot go on, but what happens is still told */
	bool broken;   /* err says why: the listener or the executor has failed */
};

/* Calls a listener that may be missing; its -1 stops everything. */
#define TELL(s, name, ...)                                                                                             \
	do {                                                                                                           \
		struct err said = {0};                                                                                 \
		if (!(s)->broken && (s)->options->listener && (s)->options->listener->name &&                          \
		    (s)->options->listener->name((s)->options->ctx, __VA_ARGS__, &said) < 0)                           \
			give_up(s, &said);                                                                             \
	} while (0)

static void stop_workers(struct sched *s, bool now)
{
	s->stopping = true;
	for (int i = 0; i < s->options->jobs; i++)
		if (s->workers[i].job != PLAN_NONE && !s->workers[i].ended)
			s->executor->ops->stop(s->executor, i, now);
}

static void give_up(struct sched *s, const struct err *why)
{
	if (!s->halted)
		*s->err = *why; /* else what stopped the sweep came first */
	s->broken = true;
	stop_workers(s, false);
}

static void halt(struct sched *s, enum err_kind kind, const char *why)
{
	if (s->halted || s->broken)
		return;
	s->halted = true;
	err_set(s->err, kind, "%s", why);
	stop_workers(s, false);
}

/* ---- ready jobs: a binary heap ---- */

static bool before(const struct sched *s, size_t a, size_t b)
{
	double x = s->tasks[a].rank, y = s->tasks[b].rank;
	return x > y || (x == y && a < b); /* the plan's order among equals */
}

static void ready_push(struct sched *s, size_t job)
{
	s->tasks[job].state = TASK_READY;
	size_t i = s->n_ready++;
	while (i > 0 && before(s, job, s->ready[(i - 1) / 2])) {
		s->ready[i] = s->ready[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->ready[i] = job;
}

static size_t ready_pop(struct sched *s)
{
	size_t top = s->ready[0], last = s->ready[--s->n_ready], i = 0;
	for (size_t child; (child = 2 * i + 1) < s->n_ready; i = child) {
		if (child + 1 < s->n_ready && before(s, s->ready[child + 1], s->ready[child]))
			child++;
		if (!before(s, s->ready[child], last))
			break;
		s->ready[i] = s->ready[child];
	}
	s->ready[i] = last;
	return top;
}

/* ---- starting ---- */

/* The job file's text, without the outputs that an earlier attempt has made. */
static char *job_text(const struct sched *s, size_t index)
{
	const struct plan_job *job = &s->plan->jobs[index];
	struct job part = job->job;
	size_t n = job->job.n_outputs ? job->job.n_outputs : job->n_artifacts;
	part.outputs = mem_array(n, sizeof *part.outputs);
	part.n_outputs = 0;
	for (size_t i = 0; i < n; i++)
		if (i >= job->n_artifacts || s->made[job->artifacts[i]] != MADE_WELL)
			part.outputs[part.n_outputs++] = plan_output(s->plan, job, i);
	struct buf text = BUF_INIT;
	job_format(&part, &text);
	free(part.outputs);
	return buf_detach(&text);
}

static void start(struct sched *s, size_t index, int threads)
{
	int slot = 0;
	while (s->workers[slot].job != PLAN_NONE)
		slot++;
	struct task *task = &s->tasks[index];
	const struct plan_job *job = &s->plan->jobs[index];
	for (size_t i = 0; i < job->n_artifacts; i++)
		if (s->made[job->artifacts[i]] == MADE_BADLY)
			s->made[job->artifacts[i]] = MADE_NOT; /* of an earlier attempt */
	char *text = job_text(s, index);
	struct executor_request request = {
		.worker = slot,
		.job_text = text,
		.job_key = job->job.key,
		.attempt = ++task->attempts,
		.threads = threads,
	};
	int64_t pid = 0;
	struct err err = {0};
	int result = s->executor->ops->start(s->executor, &request, &pid, &err);
	free(text);
	if (result < 0) {
		ready_push(s, index);
		give_up(s, &err);
		return;
	}
	task->state = TASK_RUNS;
	int64_t now = s->executor->ops->now(s->executor);
	s->workers[slot] = (struct worker){.job = index, .threads = threads, .started_at = now, .active_at = now};
	s->free_cores -= threads;
	s->running++;
	TELL(s, started, index, slot, task->attempts, threads, pid);
}

static void start_ready(struct sched *s)
{
	int64_t now = s->n_rests ? s->executor->ops->now(s->executor) : 0;
	for (size_t i = 0; i < s->n_rests;) {
		size_t job = s->rests[i];
		if (s->tasks[job].retry_at > now) {
			i++;
			continue;
		}
		s->rests[i] = s->rests[--s->n_rests];
		ready_push(s, job);
	}
	size_t slots = (size_t)(s->options->jobs - s->running);
	size_t share = s->n_ready + s->n_rests < slots ? s->n_ready + s->n_rests : slots;
	bool crowded = s->options->jobs > s->options->cores; /* by request: one thread each, cores are not counted */
	while (share > 0 && s->n_ready > 0 && !s->stopping) {
		int threads = crowded ? 1 : (s->free_cores + (int)share - 1) / (int)share;
		if (threads < 1)
			break;
		start(s, ready_pop(s), threads);
		share--;
	}
}

/* ---- what workers report ---- */

/* Not in place is no failure; in place and broken is one, whose sentence the worker gets. */
static bool in_place(const struct sched *s, struct worker *worker, size_t artifact)
{
	const struct plan_artifact *a = &s->plan->artifacts[artifact];
	if (s->options->have)
		return s->options->have(a, s->options->ctx);
	struct err why = {0};
	enum artifact_state state = artifact_look(a->made_at, a->key, a->kind, ARTIFACT_SIZES, &why);
	if (state == ARTIFACT_BROKEN && !worker->reason[0])
		snprintf(worker->reason, sizeof worker->reason, "%s", why.text);
	return state == ARTIFACT_WHOLE;
}

/* Reports an artifact once, when it is in place. */
static void take_artifact(struct sched *s, struct worker *worker, size_t artifact)
{
	if (s->made[artifact] == MADE_WELL || s->broken || !in_place(s, worker, artifact))
		return;
	const struct sched_listener *listener = s->options->listener;
	struct err err = {0};
	if (listener && listener->artifact && listener->artifact(s->options->ctx, worker->job, artifact, &err) < 0) {
		if (err.kind != ERR_INPUT) {
			give_up(s, &err);
			return;
		}
		if (!worker->reason[0])
			snprintf(worker->reason, sizeof worker->reason, "%s", err.text);
		s->made[artifact] = MADE_BADLY;
		return;
	}
	s->made[artifact] = MADE_WELL;
}

static void on_event(struct sched *s, const struct executor_report *report)
{
	struct worker *worker = &s->workers[report->worker];
	const struct event *event = &report->event;
	if (worker->job == PLAN_NONE)
		return;
	const struct plan_job *job = &s->plan->jobs[worker->job];
	worker->active_at = s->executor->ops->now(s->executor);
	TELL(s, event, worker->job, report->worker, event);
	if (event->kind == EVENT_ARTIFACT) {
		/* They come about in the order of the job file, and there may be thousands. */
		for (size_t k = 0; k < job->n_artifacts; k++) {
			size_t i = (worker->next + k) % job->n_artifacts;
			if (strcmp(s->plan->artifacts[job->artifacts[i]].key, event->key) != 0)
				continue;
			worker->next = i + 1;
			take_artifact(s, worker, job->artifacts[i]);
			break;
		}
	} else if (event->kind == EVENT_ERROR && !worker->refused && !worker->halted) {
		worker->refused = event->error_kind == ERR_INPUT || event->error_kind == ERR_USAGE;
		worker->halted = err_stops_sweep(event->error_kind);
		snprintf(worker->reason, sizeof worker->reason, "%s", event->text);
		if (worker->halted)
			halt(s, event->error_kind, event->text);
	}
}

static void skip_children(struct sched *s, size_t job, size_t because)
{
	for (size_t i = s->tasks[job].first_child; i != PLAN_NONE; i = s->tasks[i].next_sibling) {
		s->tasks[i].state = TASK_OVER;
		s->result->skipped++;
		TELL(s, skipped, i, because);
		skip_children(s, i, because);
	}
}

/* One sentence on why an attempt that did not make everything ended. */
static void explain_end(const struct sched *s, struct worker *worker, const struct executor_report *report)
{
	const struct plan_job *job = &s->plan->jobs[worker->job];
	size_t room = sizeof worker->reason;
	if (worker->late || worker->halted)
		return;
	if (!report->exited) {
		snprintf(worker->reason, room, "the worker was killed by signal %d (%s)%s", report->signal,
			 strsignal(report->signal), report->signal == SIGKILL ? ", perhaps for lack of memory" : "");
		return;
	}
	if (worker->reason[0])
		return;
	if (report->status) {
		snprintf(worker->reason, room, "the worker ended with exit status %d and did not say why",
			 report->status);
		return;
	}
	for (size_t i = 0; i < job->n_artifacts; i++) {
		const struct plan_artifact *a = &s->plan->artifacts[job->artifacts[i]];
		if (s->made[job->artifacts[i]] == MADE_WELL)
			continue;
		snprintf(worker->reason, room, "the worker ended without making %s%s (%.16s)",
			 a->kind == JOB_TRAIN ? "the adapter" : "the hypotheses of ",
			 a->kind == JOB_TRAIN || !a->split ? "" : a->split, a->key);
		return;
	}
}

/* What an attempt that did not make everything comes to; retries are put to rest here. */
static enum attempt_outcome judge_failure(struct sched *s, struct worker *worker, const struct executor_report *report)
{
	struct task *task = &s->tasks[worker->job];
	if (s->stopping && !report->exited)
		return ATTEMPT_STOPPED;
	explain_end(s, worker, report);
	if (worker->halted)
		return ATTEMPT_STOPPED; /* no fault of this job: the next command runs it */
	if (worker->late)
		return ATTEMPT_FAILED;
	bool again;
	int64_t pause = back_off_ms[0];
	if (!report->exited) {
		again = task->crashes < MAX_CRASHES;
		pause = back_off_ms[again ? task->crashes : 0];
		task->crashes++;
	} else {
		again = task->failures++ < MAX_FAILURES && !worker->refused && report->status != 2;
	}
	if (!again)
		return ATTEMPT_FAILED;
	if (s->stopping)
		return ATTEMPT_STOPPED; /* the next command tries again */
	task->state = TASK_RESTS;
	task->retry_at = s->executor->ops->now(s->executor) + pause;
	s->rests[s->n_rests++] = worker->job;
	return ATTEMPT_RETRY;
}

static void on_ended(struct sched *s, const struct executor_report *report)
{
	struct worker *worker = &s->workers[report->worker];
	if (worker->job == PLAN_NONE)
		return;
	size_t index = worker->job;
	const struct plan_job *job = &s->plan->jobs[index];
	worker->ended = true;
	/* An artifact whose event was lost (killed between rename and write) counts all the same. */
	bool complete = true;
	for (size_t i = 0; i < job->n_artifacts; i++) {
		if (s->made[job->artifacts[i]] == MADE_NOT)
			take_artifact(s, worker, job->artifacts[i]);
		complete &= s->made[job->artifacts[i]] == MADE_WELL;
	}
	enum attempt_outcome outcome;
	if (complete && (job->n_artifacts > 0 || (report->exited && report->status == 0)))
		outcome = ATTEMPT_DONE;
	else
		outcome = judge_failure(s, worker, report);
	s->running--;
	s->free_cores += worker->threads;
	worker->job = PLAN_NONE;
	if (outcome == ATTEMPT_STOPPED && !worker->halted)
		snprintf(worker->reason, sizeof worker->reason, "stopped before its end");
	TELL(s, ended, index, report->worker, outcome, outcome == ATTEMPT_DONE ? "" : worker->reason, report->log_tail);
	if (outcome == ATTEMPT_DONE) {
		s->tasks[index].state = TASK_OVER;
		s->result->done++;
		for (size_t i = s->tasks[index].first_child; i != PLAN_NONE; i = s->tasks[i].next_sibling)
			ready_push(s, i);
	} else if (outcome == ATTEMPT_FAILED) {
		s->tasks[index].state = TASK_OVER;
		s->result->failed++;
		skip_children(s, index, index);
		if (s->options->failures && s->result->failed >= s->options->failures)
			s->stopping = s->result->enough = true;
	}
}

static void on_signal(struct sched *s)
{
	s->interrupts++;
	s->result->interrupted = true;
	const struct sched_listener *listener = s->options->listener;
	if (listener && listener->interrupted && s->interrupts <= 2)
		listener->interrupted(s->options->ctx, s->interrupts);
	stop_workers(s, s->interrupts > 1);
}

/* ---- workers that take long ---- */

static bool watches(const struct sched *s)
{
	return s->options->timeout_ms || (s->options->listener && s->options->listener->stalled);
}

/* Silence alone says nothing: a search with many beams may be long between two events. A worker that neither speaks
 * nor computes is stopped, or waits for something that may never come. */
static void watch_worker(struct sched *s, int slot, int64_t now)
{
	struct worker *w = &s->workers[slot];
	if (s->options->timeout_ms && !w->late && now - w->started_at >= s->options->timeout_ms) {
		w->late = true;
		snprintf(w->reason, sizeof w->reason, "it took longer than the %.10g s that --timeout allows",
			 (double)s->options->timeout_ms / 1000);
		s->executor->ops->stop(s->executor, slot, false);
	}
	const struct sched_listener *listener = s->options->listener;
	int64_t silent = now - w->active_at;
	if (!listener || !listener->stalled || w->stall_told || w->late || silent < STALL_MS)
		return;
	int64_t cpu = s->executor->ops->cpu_ms(s->executor, slot);
	if (cpu < 0 || cpu - w->cpu_ms > silent / 100) {
		w->cpu_ms = cpu;
		w->active_at = now;
		return;
	}
	w->stall_told = true;
	listener->stalled(s->options->ctx, w->job, slot, silent);
}

static void watch(struct sched *s)
{
	int64_t now = s->executor->ops->now(s->executor);
	if (s->stopping || now - s->watched_at < WATCH_MS)
		return;
	s->watched_at = now;
	for (int i = 0; i < s->options->jobs; i++)
		if (s->workers[i].job != PLAN_NONE)
			watch_worker(s, i, now);
}

/* ---- the loop ---- */

/* How long to sleep at most: to the next retry, to the next redraw; -1: until something comes. */
static int patience(const struct sched *s)
{
	int64_t limit = -1;
	const struct sched_listener *listener = s->options->listener;
	if (watches(s) && s->running && !s->stopping)
		limit = WATCH_MS;
	if (listener && listener->tick)
		limit = TICK_MS;
	if (s->n_rests && !s->stopping) {
		int64_t now = s->executor->ops->now(s->executor);
		for (size_t i = 0; i < s->n_rests; i++) {
			int64_t left = s->tasks[s->rests[i]].retry_at - now;
			left = left > 0 ? left : 0;
			limit = limit < 0 || left < limit ? left : limit;
		}
	}
	return (int)limit;
}

/* One report, or none at the end of our patience. */
static int listen(struct sched *s)
{
	struct executor_report report = {0};
	struct err err = {0};
	int n = s->executor->ops->wait(s->executor, 0, &report, &err);
	if (n == 0) {
		struct err said = {0};
		if (s->options->listener && s->options->listener->idle && !s->broken &&
		    s->options->listener->idle(s->options->ctx, &said) < 0)
			give_up(s, &said);
		n = s->executor->ops->wait(s->executor, patience(s), &report, &err);
	}
	if (n < 0) {
		if (!s->broken && !s->halted)
			*s->err = err;
		s->broken = true;
		return -1; /* the executor's free ends its workers */
	}
	if (n == 0)
		return 0;
	if (report.kind == EXEC_EVENT)
		on_event(s, &report);
	else if (report.kind == EXEC_ENDED)
		on_ended(s, &report);
	else if (report.kind == EXEC_SIGNAL)
		on_signal(s);
	free(report.log_tail);
	return 0;
}

static void init(struct sched *s)
{
	const struct plan *plan = s->plan;
	size_t n = plan->n_jobs;
	s->tasks = mem_zero(n, sizeof *s->tasks);
	s->ready = mem_array(n, sizeof *s->ready);
	s->rests = mem_array(n, sizeof *s->rests);
	s->made = mem_zero(plan->n_artifacts, sizeof *s->made);
	s->workers = mem_array((size_t)s->options->jobs, sizeof *s->workers);
	for (int i = 0; i < s->options->jobs; i++)
		s->workers[i].job = PLAN_NONE;
	s->free_cores = s->options->cores;
	for (size_t i = 0; i < n; i++)
		s->tasks[i].first_child = s->tasks[i].next_sibling = PLAN_NONE;
	/* Backwards: every job comes after what it waits for. */
	for (size_t i = n; i-- > 0;) {
		struct task *task = &s->tasks[i];
		size_t parent = plan->jobs[i].waits_for;
		task->rank += plan->jobs[i].cost > 0 ? plan->jobs[i].cost : 0;
		if (parent == PLAN_NONE)
			continue;
		if (parent >= i)
			BUG("job %zu waits for job %zu, which comes later", i, parent);
		task->next_sibling = s->tasks[parent].first_child;
		s->tasks[parent].first_child = i;
		if (task->rank > s->tasks[parent].rank)
			s->tasks[parent].rank = task->rank;
	}
	for (size_t i = 0; i < n; i++)
		if (plan->jobs[i].waits_for == PLAN_NONE)
			ready_push(s, i);
}

int sched_run(const struct plan *plan, struct executor *executor, const struct sched_options *options,
	      struct sched_result *result, struct err *err)
{
	*result = (struct sched_result){0};
	struct sched s = {.plan = plan, .executor = executor, .options = options, .result = result, .err = err};
	init(&s);
	for (;;) {
		if (!s.stopping)
			start_ready(&s);
		if (s.running == 0 && (s.stopping || (s.n_ready == 0 && s.n_rests == 0)))
			break;
		if (options->listener && options->listener->tick)
			options->listener->tick(options->ctx, executor->ops->now(executor));
		if (watches(&s))
			watch(&s);
		if (listen(&s) < 0)
			break;
	}
	struct err said = {0};
	if (!s.broken && options->listener && options->listener->idle &&
	    options->listener->idle(options->ctx, &said) < 0)
		give_up(&s, &said);
	result->stopped = plan->n_jobs - result->done - result->failed - result->skipped;
	free(s.tasks);
	free(s.ready);
	free(s.rests);
	free(s.made);
	free(s.workers);
	return s.broken || s.halted ? -1 : 0;
}
