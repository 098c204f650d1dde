/* plan_merge.h - which searches of one adapter share a decode job, for plan.c. Nobody else includes this.
 *
 *     plan_merge(plan, workers);      before the jobs are put in order
 *
 * Searches in one job share the load of the model and each input's prefill, and keep the batch full when the last long
 * texts of one of them run out; texts do not depend on it (docs/ARCHITECTURE.md, invariant 3). Against that stand the
 * workers, which all want something to do, and the work lost when a job is killed. So: as few jobs as give every worker
 * two, and none above PLAN_MERGE_ROWS of work or PLAN_OUTPUTS_MAX outputs. Which of the two limits counts depends on the
 * searches: one of 5 beams over 547 tables is half of PLAN_MERGE_ROWS by itself, so that 50,000 of these are tens of
 * thousands of jobs, of minutes each; over 10 tables they are some hundred jobs. The start of a worker never weighs. */
#ifndef SWEEP_PLAN_MERGE_H
#define SWEEP_PLAN_MERGE_H

#include "plan.h"

/* Model rows (cost of a decode job): some five minutes of distilgpt2 on one core, seconds of a small model. */
#define PLAN_MERGE_ROWS 200000.0

/* One more artifact for a job. */
void plan_merge_push(struct plan *plan, struct plan_job *job, size_t artifact);
/* workers 0: leaves every search a job of its own. */
void plan_merge(struct plan *plan, int workers);

#endif
