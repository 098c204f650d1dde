/* decode.h - runs a decode job: hypotheses of every output, their scores, and the artifact folders
 * (docs/REFERENCE.md, 5, 6).
 *
 *     if (decode_run(&job, err) < 0) ...               an EVENT_ARTIFACT for each output as it is in place
 */
#ifndef SWEEP_RUNNER_DECODE_H
#define SWEEP_RUNNER_DECODE_H

#include "base/err.h"
#include "base/job.h"

int decode_run(const struct job *job, struct err *err);

#endif
