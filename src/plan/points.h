/* points.h - the points of a sweep: the grid multiplied out, or drawn at random. Duplicates collapse, order is the
 * file's: the last parameter varies fastest.
 *
 *     struct points points;
 *     if (points_defaults(&defaults, &spec, sources.model, err) < 0 ||
 *         points_make(&points, &spec, &defaults, err) < 0) return -1;      at most POINTS_MAX
 */
#ifndef SWEEP_POINTS_H
#define SWEEP_POINTS_H

#include <stddef.h>

#include "base/err.h"
#include "base/params.h"

#define POINTS_MAX 1000000

struct spec;

struct point {
	struct params params;
	const char *label; /* of its grid, or NULL; points into the spec */
};

struct points {
	struct point *point;
	size_t n;
	size_t duplicates; /* points that collapsed into an equal one */
};

/* What the parameters are that the file does not set: the generation defaults of the model's folder, params.def's for
 * the rest. Those of the folder that are used become notices of the spec. */
int points_defaults(struct params *defaults, struct spec *spec, const char *model, struct err *err);
/* defaults: NULL for params.def's alone. */
int points_make(struct points *points, const struct spec *spec, const struct params *defaults, struct err *err);
void points_release(struct points *points);

#endif
