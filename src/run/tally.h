/* tally.h - how far a sweep is: which runs are complete, what they scored, which is the best so far.
 *
 *     struct tally tally;
 *     tally_init(&tally, &spec, &plan);                  counts what existed before
 *     tally_artifact(&tally, artifact);                  each time one is in place; reads its scores
 *     if (tally.best != PLAN_NONE) show(plan.runs[tally.best], tally.best_score);
 *     tally_release(&tally);
 *
 * Borrows the spec and the plan. Scores come from the artifacts' own artifact.json (job.h): what people see while the
 * sweep runs does not wait for the database. */
#ifndef SWEEP_TALLY_H
#define SWEEP_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "plan/plan.h"
#include "plan/spec.h"

struct tally {
	const struct spec *spec;
	const struct plan *plan;
	size_t metric_split;  /* index of the split that the spec's metric is of, PLAN_NONE: not one of ours */
	const char *metric;   /* its name without the split: "bleu" */
	size_t *missing;      /* [n_runs] artifacts that a run still waits for */
	size_t *first, *runs; /* artifact a is needed by runs[first[a]] .. runs[first[a + 1] - 1] */
	double *score;        /* [n_artifacts] its value of the metric, NaN: none */
	bool *there;          /* [n_artifacts] */
	bool varies[PARAM_COUNT];
	size_t complete; /* runs */
	size_t best;     /* complete run with the best score (of equals the first), or PLAN_NONE */
	double best_score;
};

void tally_init(struct tally *tally, const struct spec *spec, const struct plan *plan);
void tally_release(struct tally *tally);
/* The number of runs that became complete with it. */
size_t tally_artifact(struct tally *tally, size_t artifact);
/* A run in words, "20 virtual tokens, 5 beams, top_p 0.9": its label (may be NULL), else the parameters that vary. */
void tally_describe(const char *label, const struct params *params, const bool varies[PARAM_COUNT], struct buf *out);
/* The value of the metric that an artifact gave, NaN when it gave none. */
double tally_score(const struct tally *tally, size_t artifact);

#endif
