/* plan_print.h - a plan in words: what `sweep run --dry-run` and `--explain` show. Plain text of at most 80 columns.
 *
 *     plan_print_summary(stdout, &spec, &plan, jobs);     runs, jobs after sharing, what exists, the longest chain
 *     plan_print_explain(stdout, &spec, &plan);           one line for each job: why it runs, or why not
 *
 * Neither frees nor keeps anything. Notices (plan.notices, spec.notices) are not printed here: they belong on stderr,
 * before any work, with plan_print_notices. */
#ifndef SWEEP_PLAN_PRINT_H
#define SWEEP_PLAN_PRINT_H

#include <stdio.h>

#include "plan/plan.h"
#include "plan/spec.h"

/* jobs: how many workers would run at a time (--jobs). */
void plan_print_summary(FILE *out, const struct spec *spec, const struct plan *plan, int jobs);
void plan_print_explain(FILE *out, const struct spec *spec, const struct plan *plan);
/* "note: <sentence>" a line: the spec's, then the plan's. */
void plan_print_notices(FILE *out, const struct spec *spec, const struct plan *plan);

#endif
