/* check.h - runs a check job: everything that could be wrong with model, tokenizer, data and lengths is found in
 * seconds, before hours of training; makes nothing. */
#ifndef SWEEP_RUNNER_CHECK_H
#define SWEEP_RUNNER_CHECK_H

#include "base/err.h"
#include "base/job.h"

int check_run(const struct job *job, struct err *err);

#endif
