/* search.h - decodes many inputs at once: continuous batching over one model and one prefix.
 *
 *     struct search_input inputs[] = {{ids, n}, ...};
 *     struct search_task tasks[] = {
 *             {.input = 0, .n_beams = 5, .rule = sample_rule(5, ...), .readers = readers, .n_readers = 2}};
 *     struct search_hooks hooks = {answer, NULL, ctx};
 *     search_run(&model, packed, adapter.table, adapter.n_virtual, inputs, n, tasks, n_tasks, &limits, &hooks, err);
 *
 * A task is one search over one input; its readers are what it answers (beam.h). The batch is as many rows as fit: the
 * beams of many tasks, each at its own step. A task that is done leaves, the next in order takes its rows. Tasks of the
 * same input that are neighbours in the list share its prefill and its keys and values. A task's answers do not depend
 * on what else is in the batch (docs/ARCHITECTURE.md, invariant 3). */
#ifndef SWEEP_RUNNER_SEARCH_H
#define SWEEP_RUNNER_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "beam.h"
#include "model.h"
#include "packed.h"
#include "sample.h"

struct search_input {
	const int32_t *ids; /* 0 <= id < V */
	size_t n;           /* at least 1 */
};

struct search_task {
	size_t input, n_beams;
	struct sample_rule rule;
	const struct beam_reader *readers;
	size_t n_readers;
};

/* How much at a time; 0 is the default. */
struct search_limits {
	size_t rows;   /* beams in the batch */
	size_t memory; /* bytes of keys and values, unless one task alone needs more */
};

struct search_hooks {
	/* A reader of a task is answered (beam_result's values); all readers of a task follow each other. */
	int (*answer)(void *ctx, size_t task, size_t reader, const int32_t *ids, size_t n, float score,
		      struct err *err);
	/* After each step: tasks done, rows computed so far. May be NULL. */
	void (*progress)(void *ctx, size_t n_done, uint64_t n_rows);
	void *ctx;
};

/* packed as in forward_init. Every prefix + prompt + max_new_tokens must fit the model's positions (the caller's check). */
int search_run(const struct model *model, const struct packed *packed, const float *table, size_t n_prefix,
	       const struct search_input *inputs, size_t n_inputs, const struct search_task *tasks, size_t n_tasks,
	       const struct search_limits *limits, const struct search_hooks *hooks, struct err *err);

#endif
