/* hypotheses.h - decoded texts as people read and score them, and their artifact folder (base/job.h has its files).
 *
 *     char *text = hypotheses_clean(decoded, n, prompt_and_table);
 *     hypotheses_write(&job->outputs[i], "dev", rows, n, bleu, err);     the folder, renamed into place
 *
 * Same job, same bytes: no times, threads or machine names are written, only BLIS's kernel family. */
#ifndef SWEEP_RUNNER_HYPOTHESES_H
#define SWEEP_RUNNER_HYPOTHESES_H

#include <stddef.h>

#include "base/bleu.h"
#include "base/err.h"
#include "base/job.h"

struct hypotheses_row {
	char *text;
	size_t n_tokens; /* new tokens, the end token included */
	float score;     /* NaN: none */
};

/* What the experiment's scorer sees of a continuation (docs/REFERENCE.md, 5.6): every occurrence of `echo` (the prompt
 * up to the table's end; may be empty) is taken out, newlines become spaces, white space at both ends goes. The caller
 * frees.
 */
char *hypotheses_clean(const char *text, size_t n, const char *echo);

/* Scores (bleu: the split's references in the same order, or NULL) and writes one output. */
int hypotheses_write(const struct job_output *output, const char *split, const struct hypotheses_row *rows, size_t n,
		     const struct bleu *bleu, struct err *err);

#endif
