/* plan_workers.h - how many workers at a time finish a plan soonest, when nobody said --jobs.
 *
 *     int jobs = plan_workers(&plan, 2);
 *
 * Several workers with a core each waste nothing on waiting for each other, so they win when there are jobs enough. A
 * few long jobs are another matter: of three equal trainings on two cores the third would run alone on one of them. So
 * the plan is played through, with the scheduler's own rules and the jobs' rough costs, for each number of workers. */
#ifndef SWEEP_PLAN_WORKERS_H
#define SWEEP_PLAN_WORKERS_H

#include "plan.h"

/* At least 1, at most cores; cores for plans so long that their end hardly matters. */
int plan_workers(const struct plan *plan, int cores);
/* The end of the plan with so many workers, in units of cost. */
double plan_workers_end(const struct plan *plan, int workers, int cores);

#endif
