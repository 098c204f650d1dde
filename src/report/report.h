/* report.h - the runs of one sweep, ready to be shown: which columns are worth showing, what is the same everywhere,
 * what each parameter does to the score. A format is one file, report_NAME.c, and one row of the table in report.c.
 *
 *     struct report report;
 *     struct report_options options = {.sweep = NULL, .top = 20};
 *     if (report_load(&report, store, &options, err) < 0) return -1;
 *     struct buf out = BUF_INIT;
 *     report_find("table", err)->write(&report, &out);
 *     report_release(&report);
 *
 * Formats only append to a buffer: they cannot fail, and do not know where it goes. */
#ifndef SWEEP_REPORT_H
#define SWEEP_REPORT_H

#include "base/buf.h"
#include "store/store_query.h"

struct report_options {
	const char *sweep;  /* name; NULL: the one started last */
	const char *metric; /* "dev_bleu"; NULL: the sweep's own */
	size_t top;         /* list at most so many runs; 0: all */
	bool best;          /* the winner alone, and all that is needed to use it */
	bool all_columns;   /* every parameter, exact numbers (csv, json) */
	bool all_runs;      /* load all, whatever is listed: for report_effects */
};

enum report_kind {
	REPORT_SWEEP,
	REPORT_RUN,
	REPORT_LABEL,
	REPORT_PARAM,     /* id: enum param_id */
	REPORT_METRIC,    /* id: index into runs.metrics */
	REPORT_PUBLISHED, /* id: the same; the expected value beside it */
	REPORT_STATUS,
	REPORT_SECONDS,
	REPORT_NOTE
};

struct report_column {
	enum report_kind kind;
	int id;
	const char *name; /* "num_beams", "dev_bleu" */
	bool number;      /* set right */
};

#define REPORT_COLUMNS_MAX (PARAM_COUNT + 64)

struct report {
	struct report_options options;
	struct store_sweeps sweeps; /* all, for "other sweeps in this file" */
	const struct store_sweep *sweep;
	struct store_runs runs; /* best first: by score, then by number */
	size_t n_listed;        /* of them, from the first */
	size_t by;              /* index into runs.metrics of the metric that orders them */
	bool maximize;
	struct store_expected *expected;
	size_t n_expected;
	bool varies[PARAM_COUNT]; /* among all runs of the sweep */
	int digits[PARAM_COUNT];  /* significant digits that tell a FLOAT's values apart */
	struct report_column columns[REPORT_COLUMNS_MAX];
	size_t n_columns;
	struct store_full_run best; /* options.best: the winner */
	int64_t second;             /* options.best: the run after it, 0 when there is none with a score */
	double ahead;               /* of that one */
	const char *db;             /* as the user named it, for hints */
	/* how a terminal shows it */
	bool colour;
	int width;
};

struct report_format {
	const char *name;
	void (*write)(const struct report *report, struct buf *out);
	bool all_columns, all_runs;
	size_t top; /* when the user does not say */
};

extern const struct report_format report_formats[];
extern const size_t report_n_formats;

/* ERR_USAGE with the nearest name when there is none. */
const struct report_format *report_find(const char *name, struct err *err);

int report_load(struct report *report, struct store *store, const struct report_options *options, struct err *err);
void report_release(struct report *report);

/* The text of a cell; exact: shortest that reads back the same, otherwise scores with two decimals. "" when there is
 * nothing to say. */
void report_cell(const struct report *report, const struct report_column *column, const struct store_run *run,
		 bool exact, struct buf *out);
double report_published(const struct report *report, const struct store_run *run, const char *metric); /* or NaN */
/* "num_beams 5, do_sample true, ...": the parameters that all runs share and that are not at their defaults. */
void report_constants(const struct report *report, struct buf *out);
/* "36 runs, all done" / "36 runs: 30 done, 4 waiting, 2 failed". */
void report_counts(const struct store_sweep *sweep, struct buf *out);
/* "46.31", "-" for NaN. */
void report_score(double value, struct buf *out);

/* "  name      value" on a line, the value wrapped at that many columns. */
void report_fact(const char *name, const char *value, bool colour, int columns, struct buf *out);

/* The sweep of that name, or the one started last. ERR_INPUT with the nearest name. */
int report_sweep(const struct store_sweeps *sweeps, const char *name, const char *db, const struct store_sweep **found,
		 struct err *err);
/* A run's number, as an argument of a command. */
int report_run_id(const char *text, int64_t *id, struct err *err);

/* What a parameter does: for each of its values the scores of the runs that have it. Of many values (a random search)
 * neighbours are put into groups of about as many runs each. */
struct report_effect {
	int id; /* parameter */
	struct report_value {
		union param_value from, to; /* equal: one value */
		size_t n;
		double mean, min, max;
	} * values; /* in rising order */
	size_t n_values;
	double unexplained; /* variance of the scores that it leaves, corrected for the number of its values */
};
/* One for each varying parameter but the seed, which is chance and no choice; what explains most comes first. Needs
 * options.all_runs. The caller frees with report_effects_release. */
struct report_effect *report_effects(const struct report *report, size_t *n);
void report_effects_release(struct report_effect *effects, size_t n);
/* A sentence for where the seed varies, "" elsewhere. */
const char *report_seed_note(const struct report *report);
/* "5", "0.0001 to 0.003" */
void report_effect_value(const struct report *report, const struct report_effect *effect, size_t i, struct buf *out);

void report_table(const struct report *report, struct buf *out);
void report_csv(const struct report *report, struct buf *out);
void report_json(const struct report *report, struct buf *out);
void report_markdown(const struct report *report, struct buf *out);
void report_html(const struct report *report, struct buf *out);

#endif
