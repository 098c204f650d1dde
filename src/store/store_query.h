/* store_query.h - what is in results.db, as structs: for reports, for `generate`, for the summary at the end of a run.
 *
 *     struct store_runs runs;
 *     struct store_runs_query query = {.sweep_id = id, .limit = 5};
 *     if (store_query_runs(store, &query, &runs, err) < 0) return -1;
 *     for (size_t i = 0; i < runs.n; i++) print(runs.run[i].id, runs.run[i].scores[0]);      best first
 *     store_runs_release(&runs);
 *
 * Every result has an arena with all that it points to; release it. Texts that may be absent are NULL, numbers that may be absent NaN. A text of
 * data (tables, outputs, references) comes with its size, since it may hold NULs. Times are UTC, "2026-11-23
 * 02:56:27.123". */
#ifndef SWEEP_STORE_QUERY_H
#define SWEEP_STORE_QUERY_H

#include "base/arena.h"
#include "base/params.h"
#include "store.h"

struct store_split {
	char *name, *input, *references; /* absolute paths; references NULL when there are none */
	int64_t limit, n_inputs, n_references;
};

/* What a run's model and data were. */
struct store_setup {
	char *model, *model_dir, *model_digest, *dataset, *train, *prompt, *target;
};

struct store_sweep {
	int64_t id;
	char *name, *path, *text, *method, *metric, *status, *created_at, *started_at, *finished_at;
	bool maximize;
	int64_t runs, done, failed, pending; /* runs: without dropped ones */
	struct store_setup setup;
	struct store_split *splits;
	size_t n_splits;
};

struct store_sweeps {
	struct store_sweep *sweep; /* the last started first */
	size_t n;
	struct arena arena;
};

struct store_run {
	int64_t id, sweep_id;
	char *label, *status, *reason, *finished_at, *note;
	struct params params;
	double score;   /* by the sweep's own metric */
	double *scores; /* [n_metrics] of its struct store_runs */
	double seconds; /* work behind it; shared work counts in every run that uses it */
};

struct store_metric {
	char *name, *split, *metric; /* "dev_bleu", "dev", "bleu" */
};

struct store_runs {
	struct store_run *run;
	size_t n;
	struct store_metric *metrics; /* of the sweep's splits, in their order */
	size_t n_metrics;
	struct arena arena;
};

struct store_runs_query {
	int64_t sweep_id;
	const char *metric; /* order by this; NULL: the sweep's own */
	bool maximize;      /* with metric: greatest first */
	size_t limit;       /* 0: all */
};

struct store_score {
	char *name, *split, *metric, *signature;
	double value;
};

struct store_attempt {
	char *key, *job, *kind, *outcome, *reason, *started_at, *ended_at, *log_tail; /* key: its job's */
	int64_t attempt, worker, threads, pid, peak_rss_kb;
	double seconds, tokens_per_second;
};

struct store_expected {
	char *label, *metric;
	double value;
};

/* One run with everything: what `show` tells and `generate` needs. */
struct store_full_run {
	struct store_run run; /* scores NULL: see score[] */
	struct store_sweep sweep;
	struct store_setup setup;        /* the run's own */
	char *adapter_key, *adapter_dir; /* absolute folder; NULL: the base model */
	int64_t adapter_id;
	char *arch; /* BLIS kernel family its hypotheses were made with */
	struct store_score *scores;
	size_t n_scores;
	struct store_attempt *attempts;
	size_t n_attempts;
	int64_t sharing; /* other runs that use the same adapter */
	struct arena arena;
};

struct store_text {
	char *data;
	size_t size;
};

struct store_output {
	int64_t input;
	struct store_text table, text;
	double score, sentence_bleu;
	int64_t tokens; /* -1: unknown */
	struct store_text *references;
	size_t n_references;
};

struct store_outputs {
	struct store_output *output; /* in input order */
	size_t n;
	int64_t dataset_id; /* two runs compare when it is equal */
	char *key;          /* of the hypotheses */
	struct arena arena;
};

struct store_loss {
	int64_t step;
	double loss, learning_rate, tokens_per_second;
};

struct store_losses {
	struct store_loss *loss;
	size_t n;
	struct arena arena;
};

struct store_job {
	int64_t id;
	char *key, *kind, *title, *state, *reason, *sweep, *waits_for;
	int64_t runs;              /* that need it */
	struct store_attempt last; /* last attempt; .outcome NULL when none was made */
	int64_t step;              /* of a training: the last one recorded */
	double loss;
};

struct store_jobs {
	struct store_job *job;
	size_t n;
	struct arena arena;
};

int store_query_sweeps(struct store *store, struct store_sweeps *out, struct err *err);
void store_sweeps_release(struct store_sweeps *sweeps);

int store_query_runs(struct store *store, const struct store_runs_query *query, struct store_runs *out,
		     struct err *err);
void store_runs_release(struct store_runs *runs);
/* Which parameters differ between the runs of a sweep. */
int store_query_varying(struct store *store, int64_t sweep_id, bool varies[PARAM_COUNT], struct err *err);
/* Published figures of a sweep, in the caller's arena. */
int store_query_expected(struct store *store, int64_t sweep_id, struct arena *arena, struct store_expected **out,
			 size_t *n, struct err *err);

/* ERR_INPUT when there is no such run; the sentence says which there are. */
int store_query_run(struct store *store, int64_t run_id, struct store_full_run *out, struct err *err);
void store_full_run_release(struct store_full_run *run);
/* The outputs of a run on a split, with tables and references as they were when the sweep began. An unknown split or
 * one without hypotheses yet is ERR_INPUT. */
int store_query_outputs(struct store *store, int64_t run_id, const char *split, struct store_outputs *out,
			struct err *err);
void store_outputs_release(struct store_outputs *outputs);
int store_query_losses(struct store *store, int64_t adapter_id, struct store_losses *out, struct err *err);
void store_losses_release(struct store_losses *losses);

/* Jobs in a state ("running", "pending", "failed") of one sweep, or of all (0); limit 0 is all. */
int store_query_jobs(struct store *store, int64_t sweep_id, const char *state, size_t limit, struct store_jobs *out,
		     struct err *err);
void store_jobs_release(struct store_jobs *jobs);
/* The process that schedules into this file now; 0: nobody; -1: somebody. */
int64_t store_query_writer(struct store *store);
/* Number of jobs in a state. */
int store_query_count_jobs(struct store *store, int64_t sweep_id, const char *state, int64_t *n, struct err *err);

#endif
