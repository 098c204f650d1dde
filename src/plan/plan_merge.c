/* plan_merge.c - decode jobs of one adapter put together; see plan_merge.h for when and why.
 *
 * Jobs are sorted by adapter, costliest first; the searches of an adapter are dealt to its new jobs one by one, each to
 * the job with the least to do so far (longest processing time first), and to one more when not even that has room. */
#include "plan_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct member {
	size_t job;
	const char *adapter; /* NULL: the base model */
	double cost;
};

static int by_adapter(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	if (x->adapter != y->adapter)
		return !x->adapter ? -1 : !y->adapter ? 1 : strcmp(x->adapter, y->adapter);
	if (x->cost != y->cost)
		return x->cost < y->cost ? 1 : -1;
	return x->job < y->job ? -1 : x->job > y->job;
}

/* Grown by doubling from 1: most jobs make one or two things. */
void plan_merge_push(struct plan *plan, struct plan_job *job, size_t artifact)
{
	size_t n = job->n_artifacts;
	if ((n & (n - 1)) == 0) {
		size_t *more = arena_array(&plan->arena, n ? 2 * n : 1, sizeof *more);
		if (n)
			memcpy(more, job->artifacts, n * sizeof *more);
		job->artifacts = more;
	}
	job->artifacts[job->n_artifacts++] = artifact;
}

/* Puts everything that job `from` makes into job `to` and leaves `from` empty. */
static void join(struct plan *plan, struct plan_job *to, struct plan_job *from)
{
	for (size_t i = 0; i < from->n_artifacts; i++)
		plan_merge_push(plan, to, from->artifacts[i]);
	to->n_searches += from->n_searches;
	to->cost += from->cost;
	from->n_artifacts = 0;
}

/* The jobs of one adapter that still take searches in: a heap, the one with the least to do first. */
struct open {
	struct plan_job **job;
	size_t n;
};

static bool goes_before(const struct plan_job *a, const struct plan_job *b)
{
	return a->cost != b->cost ? a->cost < b->cost : a < b;
}

static void sift(struct open *open, size_t i)
{
	struct plan_job *moved = open->job[i];
	for (size_t child; (child = 2 * i + 1) < open->n; i = child) {
		if (child + 1 < open->n && goes_before(open->job[child + 1], open->job[child]))
			child++;
		if (!goes_before(open->job[child], moved))
			break;
		open->job[i] = open->job[child];
	}
	open->job[i] = moved;
}

static void add_open(struct open *open, struct plan_job *job)
{
	size_t i = open->n++;
	for (; i > 0 && goes_before(job, open->job[(i - 1) / 2]); i = (i - 1) / 2)
		open->job[i] = open->job[(i - 1) / 2];
	open->job[i] = job;
}

static void close_first(struct open *open)
{
	open->job[0] = open->job[--open->n];
	if (open->n)
		sift(open, 0);
}

/* The n jobs of one adapter, costliest first, into `wanted` or, where a job would grow too large, more. */
static void merge_adapter(struct plan *plan, const struct member *member, size_t n, size_t wanted)
{
	struct open open = {.job = mem_array(n, sizeof(struct plan_job *))};
	double total = 0;
	for (size_t i = 0; i < n; i++)
		total += member[i].cost;
	size_t least = (size_t)(total / PLAN_MERGE_ROWS) + 1;
	wanted = wanted < least ? least : wanted;
	for (size_t i = 0; i < n; i++) {
		struct plan_job *job = &plan->jobs[member[i].job];
		while (open.n > 0 && i >= wanted && open.job[0]->n_artifacts + job->n_artifacts > PLAN_OUTPUTS_MAX)
			close_first(&open);
		if (i < wanted || open.n == 0 || open.job[0]->cost + job->cost > PLAN_MERGE_ROWS) {
			add_open(&open, job);
			continue;
		}
		join(plan, open.job[0], job);
		sift(&open, 0);
	}
	free(open.job);
}

/* Takes empty jobs out; what waited for a job still does. */
static void close_gaps(struct plan *plan)
{
	size_t *place = mem_array(plan->n_jobs, sizeof *place), n = 0;
	for (size_t i = 0; i < plan->n_jobs; i++) {
		place[i] = n;
		if (plan->jobs[i].n_artifacts)
			plan->jobs[n++] = plan->jobs[i];
	}
	plan->n_jobs = n;
	for (size_t i = 0; i < n; i++)
		if (plan->jobs[i].waits_for != PLAN_NONE)
			plan->jobs[i].waits_for = place[plan->jobs[i].waits_for];
	free(place);
}

void plan_merge(struct plan *plan, int workers)
{
	if (workers < 1)
		return;
	struct member *member = mem_array(plan->n_jobs, sizeof *member);
	size_t n = 0, adapters = 0;
	for (size_t i = 0; i < plan->n_jobs; i++)
		if (plan->jobs[i].job.kind == JOB_DECODE)
			member[n++] = (struct member){i, plan->jobs[i].job.adapter, plan->jobs[i].cost};
	qsort(member, n, sizeof *member, by_adapter);
	for (size_t i = 0; i < n; i++)
		adapters += i == 0 || member[i].adapter != member[i - 1].adapter;
	size_t wanted = adapters ? (2 * (size_t)workers + adapters - 1) / adapters : 1;
	for (size_t begin = 0, end; begin < n; begin = end) {
		for (end = begin + 1; end < n && member[end].adapter == member[begin].adapter;)
			end++;
		merge_adapter(plan, member + begin, end - begin, wanted);
	}
	free(member);
	close_gaps(plan);
}
