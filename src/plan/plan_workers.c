/* plan_workers.c - see plan_workers.h. A small copy of what sched.c does, without its failures: ready jobs, the one
 * with the longest chain behind it first; the free cores shared out among those that can start. */
#include "plan_workers.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define MOST_JOBS 500 /* above, one job's end is nothing beside the whole */
/* What t threads do of the work of t workers: t^0.85. Measured on two: 1.7 to 1.9 (docs/SPEED.md). */
#define SPEEDUP_EXPONENT 0.85
/* Fewer workers must win by so much: costs are rough, and with more workers the first results come sooner. */
#define CLEARLY 0.95

enum state { WAITS, READY, RUNS, OVER };

struct item {
	enum state state;
	double rank, ends;
	int threads;
};

/* The ready job that goes first, or PLAN_NONE. */
static size_t first_ready(const struct item *items, size_t n)
{
	size_t best = PLAN_NONE;
	for (size_t i = 0; i < n; i++)
		if (items[i].state == READY && (best == PLAN_NONE || items[i].rank > items[best].rank))
			best = i;
	return best;
}

/* The running job that ends first, or PLAN_NONE. */
static size_t first_end(const struct item *items, size_t n)
{
	size_t best = PLAN_NONE;
	for (size_t i = 0; i < n; i++)
		if (items[i].state == RUNS && (best == PLAN_NONE || items[i].ends < items[best].ends))
			best = i;
	return best;
}

double plan_workers_end(const struct plan *plan, int workers, int cores)
{
	size_t n = plan->n_jobs, n_ready = 0;
	struct item *items = mem_zero(n, sizeof *items);
	for (size_t i = n; i-- > 0;) { /* backwards: every job comes after what it waits for */
		size_t parent = plan->jobs[i].waits_for;
		items[i].rank += plan->jobs[i].cost;
		items[i].state = parent == PLAN_NONE ? READY : WAITS;
		n_ready += parent == PLAN_NONE;
		if (parent != PLAN_NONE && items[i].rank > items[parent].rank)
			items[parent].rank = items[i].rank;
	}
	double now = 0;
	int running = 0, available = cores;
	for (size_t ended; n_ready > 0 || running > 0;) {
		int share = n_ready < (size_t)(workers - running) ? (int)n_ready : workers - running;
		for (; share > 0 && available > 0; share--, n_ready--, running++) {
			struct item *item = &items[first_ready(items, n)];
			item->threads = (available + share - 1) / share;
			item->ends = now + plan->jobs[item - items].cost / pow(item->threads, SPEEDUP_EXPONENT);
			item->state = RUNS;
			available -= item->threads;
		}
		ended = first_end(items, n);
		now = items[ended].ends;
		items[ended].state = OVER;
		available += items[ended].threads;
		running--;
		for (size_t i = ended + 1; i < n; i++)
			if (plan->jobs[i].waits_for == ended) {
				items[i].state = READY;
				n_ready++;
			}
	}
	free(items);
	return now;
}

int plan_workers(const struct plan *plan, int cores)
{
	int best = cores;
	if (plan->n_jobs == 0 || plan->n_jobs > MOST_JOBS)
		return best;
	double least = plan_workers_end(plan, cores, cores);
	for (int workers = cores - 1; workers > 0; workers--) {
		double end = plan_workers_end(plan, workers, cores);
		if (end < CLEARLY * least) {
			least = end;
			best = workers;
		}
	}
	return best;
}
