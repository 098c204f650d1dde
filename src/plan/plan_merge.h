/* plan_merge.h - which searches of one adapter share a decode job, for plan.c. Nobody else includes this.
 *
 *     plan_merge(plan, workers);      before the jobs are put in order
 *
 * Searches in one job share the load of the model and each input's prefill, and keep the batch full when the last long
 * texts of one of them run out; texts do not depend on it (docs/ARCHITECTURE.md, invariant 3). Against that stand the
 * workers, which all want something to do, and the work lost when a job is killed. So: as few jobs as give every worker
 * two, and none above PLAN_MERGE_ROWS. */
#ifndef SWEEP_PLAN_MERGE_H
#define SWEEP_PLAN_MERGE_H

#include "plan.h"

/* Model rows (cost of a decode job): some five minutes of distilgpt2 on one core, seconds of a small model. */
#define PLAN_MERGE_ROWS 200000.0

/* workers 0: leaves every search a job of its own. */
void plan_merge(struct plan *plan, int workers);

#endif
