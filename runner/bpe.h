/* bpe.h - byte-pair merging: which two neighbours join next, until none does (docs/REFERENCE.md, 1, step 4).
 *
 *     struct bpe bpe;
 *     bpe_init(&bpe, n_merges);
 *     bpe_add(&bpe, left, right, rank, joined);        for each line of merges.txt
 *     n = bpe_merge(&bpe, ids, n);                     in place: from the ids of bytes to the ids of tokens
 *     bpe_release(&bpe);
 *
 * After the last bpe_add the struct is only read: threads may share it. */
#ifndef SWEEP_RUNNER_BPE_H
#define SWEEP_RUNNER_BPE_H

#include <stddef.h>
#include <stdint.h>

struct bpe_rule; /* bpe.c's */

struct bpe {
	struct bpe_rule *rules; /* open addressing, a power of two */
	size_t mask;
};

void bpe_init(struct bpe *bpe, size_t n_merges);
void bpe_release(struct bpe *bpe);
/* left and right become joined; low ranks first. The same pair again replaces its rule. At most n_merges different. */
void bpe_add(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t joined);
/* Merges ids[0 .. n-1] in place and returns how many are left. O(n log n) for long pieces. */
size_t bpe_merge(const struct bpe *bpe, int32_t *ids, size_t n);

#endif
