/* points.h - the points of a sweep: the grid multiplied out, or drawn at random. Duplicates collapse, order is the
 * file's: the last parameter varies fastest.
 *
 *     struct points points;
 *     if (points_make(&points, &spec, err) < 0) return -1;      at most POINTS_MAX
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

int points_make(struct points *points, const struct spec *spec, struct err *err);
void points_release(struct points *points);

#endif
