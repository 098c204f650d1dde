/* spec.h - a sweep file, checked: everything it says, with nothing computed and nothing looked for yet (sources.h finds
 * the model and the data that it names).
 *
 *     struct spec spec;
 *     if (spec_load(&spec, "sweeps/beam_grid.yaml", overrides, n_overrides, err) < 0) return -1;
 *     spec_release(&spec);
 *
 * The keys are those of W&B sweep files (docs/SWEEP_FILE.md). Errors have file:line:column and the nearest name. */
#ifndef SWEEP_SPEC_H
#define SWEEP_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/columns.h"
#include "base/err.h"
#include "base/params.h"

enum spec_method { SPEC_GRID, SPEC_RANDOM };
enum spec_distribution {
	SPEC_VALUES, /* one of a list */
	SPEC_INT_UNIFORM,
	SPEC_UNIFORM,
	SPEC_LOG_UNIFORM_VALUES,
	SPEC_LOG_UNIFORM,
	SPEC_Q_UNIFORM,
	SPEC_Q_LOG_UNIFORM_VALUES,
	SPEC_NORMAL,
	SPEC_LOG_NORMAL,
	SPEC_Q_LOG_UNIFORM,
	SPEC_Q_NORMAL,
	SPEC_Q_LOG_NORMAL
};
#define SPEC_GRIDS_MAX 10000

/* What the file says of one parameter. */
struct spec_param {
	int id; /* enum param_id */
	enum spec_distribution distribution;
	union param_value *values; /* SPEC_VALUES */
	double *probabilities;     /* method random with `probabilities`, or NULL */
	size_t n_values;
	double min, max, mu, sigma, q;
	size_t line, column; /* 0: of --set */
};

/* One map of parameters: the grid is their product; several maps: the union of their grids. */
struct spec_grid {
	struct spec_param *params;
	size_t n_params;
	char *label; /* `name:` beside the parameters of a list entry, or NULL */
};

/* Where something stands, for sentences of those who look closer later. */
struct spec_at {
	char *file; /* the sweep file, or "--set KEY" */
	size_t line, column;
};

/* A file that the sweep file names. */
struct spec_file {
	char *path; /* as written; NULL: not given */
	struct spec_at at;
};

/* Datasets that have a name, and their splits. */
#define SPEC_NAMED_DATASETS                                                                                            \
	{                                                                                                              \
		"demo", "e2e"                                                                                          \
	}
#define SPEC_NAMED_SPLITS                                                                                              \
	{                                                                                                              \
		"dev", "small"                                                                                         \
	}

struct spec_split {
	char *name;
	struct spec_file input, references; /* of a dataset that has a name: not given; references of a table: in it */
	bool scored;                        /* it has references */
	int64_t limit;                      /* the first so many tables; 0 is all */
};

/* `expected:` published scores beside ours: split metric ("dev_bleu") of the run a label names. */
struct spec_expected {
	char *label, *metric;
	double value;
};

struct spec {
	char *path, *name;
	char *folder; /* the sweep file's own, absolute: what its paths are relative to */
	char *text;   /* the file's bytes as read, then `# --set key=value` lines; kept in the database */
	char *model;  /* as written: demo, a hub id, or a folder; never NULL */
	struct spec_at model_at;
	char *dataset; /* when it is a name (demo, e2e), else NULL */
	struct spec_file train;
	struct columns_map columns; /* of the files that have some; their formats are of their own */
	struct spec_split *splits;
	size_t n_splits;
	char *prompt, *target; /* templates, defaults filled in */
	enum spec_method method;
	int64_t run_cap; /* 0: none */
	char *metric;    /* "dev_bleu"; never NULL */
	bool maximize;
	uint64_t seed; /* of method random: top-level `seed:`, default 0 */
	struct spec_grid *grids;
	size_t n_grids;
	struct spec_expected *expected;
	size_t n_expected;
	char **notices; /* "note: ...", "warning: ...": for the user */
	size_t n_notices;
};

/* overrides: "key=value" texts of --set: a parameter (value or [list]), or a top-level scalar (model, dataset, name,
 * method, run_cap). They win over the file. */
int spec_load(struct spec *spec, const char *path, const char *const *overrides, size_t n_overrides, struct err *err);
void spec_release(struct spec *spec);
/* One more sentence for spec->notices; said once, however often. */
void spec_notice(struct spec *spec, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
