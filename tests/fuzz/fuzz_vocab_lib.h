/* fuzz_vocab_lib.h - what the three targets of a tokenizer's files do with a folder that can be opened: any text comes
 * back from its ids, or from ids that the vocabulary has not at all. */
#ifndef SWEEP_TESTS_FUZZ_VOCAB_LIB_H
#define SWEEP_TESTS_FUZZ_VOCAB_LIB_H

#include "fuzz.h"
#include "tokenizer.h"

static inline void fuzz_open_tokenizer(void)
{
	static const char text[] =
		"name : Blue Spice | food : \xc3\xa9\xf0\x9f\x8d\x9c  <|endoftext|> don't 12 \n\n end";
	struct err err = {0};
	struct tokenizer *tok = tokenizer_open(fuzz_folder(), &err);
	if (!tok) {
		fuzz_refused(&err);
		return;
	}
	struct tokenizer_ids ids = {0};
	struct buf back = BUF_INIT;
	if (tokenizer_encode(tok, text, sizeof text - 1, &ids, &err) < 0)
		fuzz_refused(&err);
	for (size_t i = 0; i < ids.n; i++)
		if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(tok))
			BUG("id %d of %zu", (int)ids.id[i], tokenizer_size(tok));
	tokenizer_decode(tok, ids.id, ids.n, true, &back);
	buf_release(&back);
	free(ids.id);
	tokenizer_close(tok);
}

#endif
