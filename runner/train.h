/* train.h - runs a train job: prefix tuning of a frozen GPT-2 (docs/REFERENCE.md, 3, 4) into an adapter folder.
 *
 *     if (train_run(&job, err) < 0) ...       events on the way, the adapter folder in place at the end
 */
#ifndef SWEEP_RUNNER_TRAIN_H
#define SWEEP_RUNNER_TRAIN_H

#include "base/err.h"
#include "base/job.h"

int train_run(const struct job *job, struct err *err);

#endif
