/* dataset.h - the experiment's data formats, tokenised (docs/REFERENCE.md, 4, 6.3).
 *
 *     struct dataset_train train;
 *     dataset_load_train(&train, job->train, limit, tokenizer, &template, pad_to_length, err);
 *     train.pairs[i].ids, .n, .n_prompt
 *
 * train: `table||text` lines, plain or gzip. Inputs: one table a line (blank lines dropped). References:
 * `id||table||text`, several an id, ids counting the inputs from 0. Or files with columns (base/columns.h), in which rows
 * with the same input are one input with several references. Errors name file and line. */
#ifndef SWEEP_RUNNER_DATASET_H
#define SWEEP_RUNNER_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/job.h"
#include "tokenizer.h"

/* The experiment's texts around a table and its description; {table}, {text}, {eos} are replaced literally. */
struct dataset_template {
	const char *prompt; /* with {table}, maybe {eos} */
	const char *target; /* with {text}, maybe {eos}; one more eos id always follows */
	int32_t eos;        /* its id */
	const char *eos_text;
};

/* The job's texts and the end token eos; refuses one that has no text where a template wants it. */
int dataset_template_init(struct dataset_template *tmpl, const struct job *job, const struct tokenizer *tok,
			  int32_t eos, struct err *err);
/* The prompt up to the end of the table, without end tokens: what a model sometimes repeats (hypotheses.h). The caller
 * frees. */
char *dataset_echo(const struct dataset_template *tmpl, const char *table);

struct dataset_pair {
	const int32_t *ids; /* prompt then target; points into the dataset's one block */
	uint32_t n;         /* all ids, after any cut */
	uint32_t n_prompt;  /* labels are ids[n_prompt .. n-1] */
	uint32_t pad;       /* columns of left padding before ids[0]: position of ids[i] is v + pad + i */
	uint32_t line;      /* of the file, from 1 */
};

struct dataset_train {
	struct dataset_pair *pairs;
	size_t n;
	int32_t *block;
};

/* columns: NULL or of COLUMNS_NONE for `table||text` lines. limit 0 is all. pad_to_length 0: no pads, pair.pad = 0; else pad = max(0, pad_to_length - n) and pairs longer than
 * pad_to_length are cut at the end (as the experiment did). A pair left without a label is an error with its line. */
int dataset_load_train(struct dataset_train *train, const char *path, const struct columns_map *columns, size_t limit,
		       struct tokenizer *tok, const struct dataset_template *tmpl, size_t pad_to_length,
		       struct err *err);
void dataset_release_train(struct dataset_train *train);

struct dataset_input {
	char *table;
	int32_t *ids; /* the rendered prompt */
	size_t n;
	char **references; /* texts; NULL without a reference file */
	size_t n_references;
	size_t line; /* of the file, where it has columns; else 0 */
};

struct dataset_eval {
	struct dataset_input *inputs;
	size_t n;
	size_t n_elsewhere; /* references whose table is not their input's but another's: see below */
};

/* references may be NULL. Every input must have at least one reference, no reference may be of an unknown id, and a
 * reference's table must be an input's. It belongs to the input of its id even when its table is another's, as the
 * experiment's scorer had it: the E2E dev files are in different orders from input 275 on (183 of 547 inputs, 1,697
 * of 4,672 references), and the published scores are over those pairs; n_elsewhere counts them, so that a caller can
 * say so. limit 0 is all. A file with columns has its references in it, and `references` says only whether they are
 * wanted. */
int dataset_load_eval(struct dataset_eval *eval, const char *input, const char *references,
		      const struct columns_map *columns, size_t limit, struct tokenizer *tok,
		      const struct dataset_template *tmpl, struct err *err);
void dataset_release_eval(struct dataset_eval *eval);

#endif
