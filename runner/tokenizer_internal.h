/* tokenizer_internal.h - what tokenizer.c (texts) and tokenizer_load.c (files) share; see tokenizer.h. */
#ifndef SWEEP_RUNNER_TOKENIZER_INTERNAL_H
#define SWEEP_RUNNER_TOKENIZER_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "bpe.h"
#include "tokenizer.h"

/* A token that is found in raw text before anything else is done to it. */
struct tokenizer_added {
	char *text;
	size_t n;
	int32_t id;
	bool special;    /* left out of decoded text */
	bool normalized; /* looked for in a second pass, as `tokenizers` does */
};

struct tokenizer_token {
	char *bytes; /* NULL: no token has this id */
	size_t n;
	bool special;
};

struct tokenizer_piece; /* tokenizer.c's: a slot of the cache */

struct tokenizer {
	struct bpe bpe;
	int32_t byte_id[256]; /* the ids that merging starts from */
	struct tokenizer_token *tokens;
	size_t n_tokens; /* largest id + 1 */
	struct tokenizer_added *added;
	size_t n_added;
	bool starts_added[2][256]; /* [normalized][first byte] */
	pcre2_code *split;

	/* Pieces seen before and their ids. */
	struct tokenizer_piece *pieces;
	size_t n_pieces;
	struct buf piece_bytes;
	struct tokenizer_ids piece_ids;
};

/* Fills everything above but the regular expression and the cache; on failure the caller releases what is there. */
int tokenizer_load(struct tokenizer *tok, const char *dir, struct err *err);

#endif
