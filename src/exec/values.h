/* values.h - the numbers that a program reports, out of its words: name, step, value.
 *
 *     struct values *values;
 *     if (values_open(&values, &options, err) < 0) return -1;
 *     values_output(values, bytes, n);          what it wrote to its output: patterns, and JSON lines where asked for
 *     values_metrics(values, bytes, n);         what it appended to $SWEEP_METRICS: JSON lines
 *     values_close(values, err);
 *     values_read(path, one_summary, ctx, err);
 *
 * A JSON line is an object whose numbers are values: {"val_loss": 0.31, "acc": 0.9, "step": 100}. `step` (or W&B's
 * `_step`) is the step of the whole line; a line without one counts on from the last. Nested objects are "outer.inner";
 * true and false are 1 and 0; NaN and infinities are kept. A text or an array is no value: the first one of each name
 * becomes a complaint, which is told and stops nothing. Members whose names begin with an underscore are W&B's own, but
 * for {"_summary": {"val_loss": "min"}}: which of its values a name stands for, last (unless said), min, max or mean.
 *
 * Everything goes to a JSON Lines file, {"name","step","value"} a line (a value that is not finite is the text "nan",
 * "inf" or "-inf") or {"name","summary"}, buffered; the summary of each name is kept in memory, so memory does not grow with steps. */
#ifndef SWEEP_EXEC_VALUES_H
#define SWEEP_EXEC_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VALUES_NAMES_MAX 10000               /* different names; more are complained about */
#define VALUES_LINES_MAX ((int64_t)20000000) /* lines of the file; later values count in the summary alone */

enum values_how { VALUES_LAST, VALUES_MIN, VALUES_MAX, VALUES_MEAN };
const char *values_how_name(enum values_how how); /* "last", ... */

/* What a name came to. min, max and mean leave NaN out (NaN when nothing else came). */
struct values_summary {
	const char *name;
	int64_t n, first_step, last_step;
	double last, min, max, mean;
	enum values_how how;
};
/* The one that the program means: last, or min, max, mean. */
double values_result(const struct values_summary *summary);

/* A value that a pattern of the sweep file finds: the regular expression's first group, in each line it matches. A
 * pattern named `step` sets the step of the values on its line and the lines after it. */
struct values_pattern {
	const char *name, *regex;
};

struct values_options {
	const char *path; /* of the file; made anew */
	const struct values_pattern *patterns;
	size_t n_patterns;
	bool json; /* `values: json`: lines of the output that are JSON objects count, too */
};

struct values;

/* Joins the values of an attempt that did not end well with those of the next, which may have gone on from a checkpoint
 * or begun again: of each name, those of `before` stay whose step lies before the first one in `after`. The result
 * replaces `after`; `before` is removed. A missing `before` is fine. */
int values_join(const char *before, const char *after, struct err *err);
/* Calls one() for each name of a values file. */
int values_read(const char *path, void (*one)(void *ctx, const struct values_summary *summary), void *ctx,
		struct err *err);

/* Keeps the texts of options for as long as it is open. A pattern that is no regular expression, or has no group:
 * ERR_INPUT. */
int values_open(struct values **values, const struct values_options *options, struct err *err);
void values_output(struct values *values, const char *bytes, size_t n);
void values_metrics(struct values *values, const char *bytes, size_t n);
/* The last line may lack its newline: the program has ended. */
void values_end_of_input(struct values *values);
/* The newest value of each name that got one since the last call, for those who look on. */
void values_fresh(struct values *values, void (*one)(void *ctx, const struct values_summary *summary), void *ctx);
/* One sentence about what was no value, or NULL. */
const char *values_complaint(const struct values *values);
/* Flushes, fsyncs, closes, frees. -1: the file could not be written. */
int values_close(struct values *values, struct err *err);

#endif
