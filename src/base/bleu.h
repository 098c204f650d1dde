/* bleu.h - BLEU as sacrebleu computes it, number for number (docs/REFERENCE.md, 6).
 *
 *     struct bleu *bleu = bleu_new();
 *     for each input: bleu_add(bleu, references, n_references);      tokenised and counted once
 *     struct bleu_stats sum = {0}, one;
 *     for each input i: bleu_segment(bleu, i, text, strlen(text), &one), bleu_sum(&sum, &one);
 *     struct bleu_score corpus = bleu_score(&sum, BLEU_SMOOTH_EXP, false);
 *     bleu_free(bleu);
 *
 * The references are only read once they are in: many hypothesis sets and many threads may share one struct bleu. */
#ifndef SWEEP_BASE_BLEU_H
#define SWEEP_BASE_BLEU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define BLEU_SACREBLEU_VERSION "2.6.0" /* the release whose numbers these are */

enum { BLEU_ORDER = 4 };

enum bleu_smooth { BLEU_SMOOTH_EXP, BLEU_SMOOTH_NONE, BLEU_SMOOTH_FLOOR, BLEU_SMOOTH_ADD_K };

/* What one segment adds to a corpus: all that a score is made of. */
struct bleu_stats {
	int64_t hyp_len, ref_len; /* tokens; ref_len is the length closest to hyp_len, of equals the shorter */
	int64_t correct[BLEU_ORDER], total[BLEU_ORDER];
};

struct bleu_score {
	double score;                  /* 0 to 100, and a perfect match a little more */
	double precisions[BLEU_ORDER]; /* percent, smoothed */
	double brevity_penalty;
	struct bleu_stats stats;
};

struct bleu; /* the references of a set of segments */
struct bleu *bleu_new(void);
void bleu_free(struct bleu *bleu);
/* The next segment's references, n >= 1 of them. */
void bleu_add(struct bleu *bleu, const char *const *references, size_t n);
/* References of every segment, or 0 when the number varies. */
size_t bleu_references(const struct bleu *bleu);

void bleu_segment(const struct bleu *bleu, size_t segment, const char *hypothesis, size_t n, struct bleu_stats *stats);
void bleu_sum(struct bleu_stats *sum, const struct bleu_stats *one);
/* The score of one segment's statistics or of their sum over a corpus. effective_order leaves out the orders that a
 * short text cannot have: sentences want it, corpora do not. */
struct bleu_score bleu_score(const struct bleu_stats *stats, enum bleu_smooth smooth, bool effective_order);

/* The two figures of an evaluation over statistics of n segments: sacrebleu's corpus BLEU, and the mean of sentence
 * BLEU with effective order, summed in order (the original experiment's figure; 0 for n = 0). */
double bleu_corpus(const struct bleu_stats *stats, size_t n);
double bleu_mean_sentence(const struct bleu_stats *stats, size_t n);

/* sacrebleu's signature: nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 (references 0: var). Beside a mean of
 * sentence scores `var` says that their numbers vary, where sacrebleu would print that of the last sentence. */
void bleu_signature(size_t references, enum bleu_smooth smooth, bool effective_order, struct buf *out);

/* mteval-v13a's tokens with one space between them (sacrebleu's tokenizer `13a`). */
void bleu_tokenize(const char *text, size_t n, struct buf *out);

#endif
