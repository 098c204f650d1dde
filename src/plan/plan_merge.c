/* plan_merge.c - decode jobs of one adapter put together; see plan_merge.h for when and why.
 *
 * Jobs are sorted by adapter, costliest first; the searches of an adapter are dealt to its new jobs one by one, each to
 * the job with the least to do so far (longest processing time first). */
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

/* Puts everything that job `from` makes into job `to` and leaves `from` empty. */
static void join(struct plan *plan, size_t to, size_t from)
{
	struct plan_job *a = &plan->jobs[to], *b = &plan->jobs[from];
	size_t *both = arena_array(&plan->arena, a->n_artifacts + b->n_artifacts, sizeof *both);
	memcpy(both, a->artifacts, a->n_artifacts * sizeof *both);
	memcpy(both + a->n_artifacts, b->artifacts, b->n_artifacts * sizeof *both);
	a->artifacts = both;
	a->n_artifacts += b->n_artifacts;
	a->n_searches += b->n_searches;
	a->cost += b->cost;
	b->n_artifacts = 0;
}

/* The n jobs of one adapter, costliest first, into `wanted` or, where a job would grow too large, more. */
static void merge_adapter(struct plan *plan, const struct member *member, size_t n, size_t wanted)
{
	double total = 0;
	for (size_t i = 0; i < n; i++)
		total += member[i].cost;
	size_t least = (size_t)(total / PLAN_MERGE_ROWS) + 1;
	wanted = wanted < least ? least : wanted;
	for (size_t i = wanted; i < n; i++) { /* the first `wanted` stay and take the others in */
		size_t best = PLAN_NONE;
		for (size_t j = 0; j < wanted; j++) {
			const struct plan_job *job = &plan->jobs[member[j].job];
			if (job->n_artifacts + plan->jobs[member[i].job].n_artifacts > PLAN_OUTPUTS_MAX ||
			    job->cost + member[i].cost > PLAN_MERGE_ROWS)
				continue;
			if (best == PLAN_NONE || job->cost < plan->jobs[member[best].job].cost)
				best = j;
		}
		if (best != PLAN_NONE)
			join(plan, member[best].job, member[i].job);
	}
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
