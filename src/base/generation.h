/* generation.h - what a model's folder says about generating: the defaults that transformers' generate() takes from it.
 *
 *     struct generation g;
 *     if (generation_read(&g, "/path/to/distilgpt2", err) < 0) return -1;
 *     g.defaults                         params.def's, with the folder's own in their place
 *     g.eos_token_id
 *
 * They stand in generation_config.json or, in older folders, in config.json. A value that the sweep file sets wins over
 * them, as an argument of generate() does. What would change a text and is not among our parameters is refused by its
 * name: a folder is never half obeyed. The worker and the plan both read them here, so that they cannot differ. */
#ifndef SWEEP_BASE_GENERATION_H
#define SWEEP_BASE_GENERATION_H

#include <stdint.h>

#include "err.h"
#include "params.h"

struct generation {
	struct params defaults;
	bool set[PARAM_COUNT]; /* which of them the folder sets to another value than params.def */
	const char *file;      /* "generation_config.json" or "config.json" */
	int64_t max_length;    /* prompt and output together, where the folder limits that alone; else 0 */
	int32_t eos_token_id;
};

int generation_read(struct generation *g, const char *dir, struct err *err);

#endif
