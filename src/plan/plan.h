/* plan.h - the smallest set of jobs that answers a sweep: points -> runs -> artifacts -> jobs (docs/ARCHITECTURE.md,
 * "Data flows one way"). The plan knows no processes and no SQL: it is told by a function which artifacts exist
 * already.
 *
 *     struct plan plan;
 *     if (plan_build(&plan, &spec, &sources, &points, &options, err) < 0) return -1;
 *     for (size_t i = 0; i < plan.n_jobs; i++)          what is still to be done, in a possible order
 *             puts(plan.jobs[i].title);
 *     plan_release(&plan);
 *
 * Equal key = same artifact: two runs that need the same one share it, a later sweep finds it done. Spec and sources
 * must outlive the plan, which points to their texts. */
#ifndef SWEEP_PLAN_H
#define SWEEP_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/job.h"
#include "base/params.h"

struct points;
struct sources;
struct spec;

/* Part of every key (docs/ARCHITECTURE.md, invariant 4). Raise it by hand when the same job may give other bytes than
 * before: a changed algorithm, order of summation, random stream or file format. Old artifacts then stay in the
 * database under their old keys and are made anew. docs/NUMERICS.md keeps the list of what each number stood for. */
#define NUMERICS_VERSION 1
/* A decode job makes at most so many outputs, which keeps job files small; a larger group is cut. */
#define PLAN_OUTPUTS_MAX 512

/* One artifact: an adapter, or the hypotheses of one split under one decode setting. */
struct plan_artifact {
	char key[HASH_HEX];
	enum job_kind kind;   /* JOB_TRAIN makes adapters, JOB_DECODE hypotheses */
	const char *split;    /* hypotheses: the split's name, points into the spec */
	bool have;            /* existed before this plan: nothing to do */
	struct params params; /* effective values; of adapters only the TRAIN stage's, the others are defaults */
	char *dir;            /* absolute: <db>.artifacts/<key> */
	char *made_at;        /* where its job puts it: dir, or <dir>.fresh when it is to replace what is there */
	size_t adapter;       /* hypotheses: index of the adapter artifact, or PLAN_NONE */
	size_t job;           /* index of the job that makes it, PLAN_NONE when have */
};

#define PLAN_NONE ((size_t)-1)

/* One run: a point of the grid and the artifacts it is scored by, one for each split in the spec's order. */
struct plan_run {
	struct params params; /* as the user wrote them */
	char key[HASH_HEX];   /* of its artifacts: two runs of one sweep with equal keys are the same run */
	size_t *artifacts;    /* [n_splits] */
	size_t adapter;       /* artifact index or PLAN_NONE */
	const char *label;    /* from a list of points with `name:`, or NULL; points into the spec */
};

/* One job still to be done: ready to be written as a job file. A job waits for at most one other: its adapter's. */
struct plan_job {
	struct job job;    /* without its outputs: see plan_output */
	char *title;       /* "train 20 virtual tokens", "decode 5 beams, 50 tokens, T 0.2": what people see */
	char *why;         /* for --explain: one sentence, why it runs */
	size_t waits_for;  /* job index or PLAN_NONE */
	size_t *artifacts; /* what it makes, in the order of job.outputs */
	size_t n_artifacts;
	size_t n_searches; /* decode: how many; outputs of one search differ only in lengths and splits */
	double cost;       /* rough relative work, for order and ETA */
};

struct plan {
	struct plan_run *runs;
	size_t n_runs;
	struct plan_artifact *artifacts;
	size_t n_artifacts;
	struct plan_job *jobs; /* in an order in which every job comes after what it waits for */
	size_t n_jobs;
	size_t n_splits;
	size_t n_points; /* of the grid, before runs that cannot differ collapsed */
	char **notices;  /* sentences for the user: collapsed parameters, duplicate points */
	size_t n_notices;
	/* The check job that goes before everything when n_jobs > 0. Its outputs are those whose lengths can differ:
	 * for each number of virtual tokens and each split the one with the largest max_new_tokens; for trainings
	 * (output.split == job.n_splits) each combination of num_virtual_tokens, pad_to_length and train_limit. */
	struct job check;
	const struct sources *sources; /* what it was built for */
	struct arena arena;            /* every text and array that jobs and runs point to (no job_release for them) */
};

typedef bool plan_have(const char *key, enum job_kind kind, void *ctx);
/* An artifact that is not to be used: is it there all the same? Then a new one is made beside it. */
typedef bool plan_again(const char *key, void *ctx);
/* An adapter that is not there: was it, until it was damaged? Then it is trained again, also when every text that needs
 * it exists. */
typedef bool plan_lost(const char *key, void *ctx);
typedef int plan_digest(const char *path, char hex[HASH_HEX], void *ctx, struct err *err);

struct plan_options {
	const char *artifacts_dir; /* absolute: results.artifacts */
	plan_have *have;           /* NULL: nothing exists */
	plan_again *again;         /* NULL: nothing is made again */
	plan_lost *lost;           /* NULL: nothing was lost */
	plan_digest *digest;       /* SHA-256 of a file, perhaps remembered; NULL: hash_file */
	void *ctx;                 /* of all */
	int workers;               /* at a time: how far searches share jobs (plan_merge.h); 0: not at all */
};

int plan_build(struct plan *plan, const struct spec *spec, const struct sources *sources, const struct points *points,
	       const struct plan_options *options, struct err *err);
/* The i-th output of a job; its texts are the plan's. */
struct job_output plan_output(const struct plan *plan, const struct plan_job *job, size_t i);
void plan_release(struct plan *plan);

#endif
