/* sources.h - where a sweep's model and data are: what the sweep file calls them (spec.h), as places on this machine.
 *
 *     static const struct sources_lookup cache = {.is_model = hub_is_id, .model = ..., .dataset = ...};
 *     if (sources_find(&sources, &spec, &cache, err) < 0) return -1;       a wrong path: file:line:column
 *     if (!sources.model) ...                                              fetch it, release, find again
 *     sources_release(&sources);
 *
 * A name is looked for among what is bundled with the program, then in folders, then in a cache that the caller knows.
 * All texts are in the sources' own memory, but the names of splits and columns, which are the spec's. */
#ifndef SWEEP_SOURCES_H
#define SWEEP_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/job.h"

struct spec;

/* The cache of things that can be fetched. The functions return a folder, which the caller frees, or NULL when it is
 * not there (yet). */
struct sources_lookup {
	bool (*is_model)(const char *name); /* could this be the name of a model that can be fetched? */
	char *(*model)(const char *name);
	char *(*dataset)(const char *name);
};

struct sources {
	char *model;          /* absolute folder in Hugging Face format; NULL: not on this machine yet */
	bool model_of_hub;    /* the spec's name of it is the Hub's */
	bool dataset_missing; /* a dataset with a name that is not in the cache; train and splits are not known */
	char *train;          /* absolute; NULL when the file gives none */
	struct columns_map train_columns;
	struct job_split *splits; /* [spec->n_splits], absolute paths */
	struct arena arena;
};

/* Every file that is named is opened once, so that a wrong path is reported at its line and not an hour later; what the
 * files hold is the workers' business. */
int sources_find(struct sources *sources, const struct spec *spec, const struct sources_lookup *cache, struct err *err);
void sources_release(struct sources *sources);

#endif
