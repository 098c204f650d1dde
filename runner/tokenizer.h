/* tokenizer.h - GPT-2's byte-level BPE, identical to the fast tokenizer of Hugging Face (docs/REFERENCE.md, 1).
 *
 *     struct tokenizer *tok = tokenizer_open("/path/to/distilgpt2", err);
 *     struct tokenizer_ids ids = {0};
 *     if (tokenizer_encode(tok, text, strlen(text), &ids, err) < 0) ...
 *     tokenizer_decode(tok, ids.id, ids.n, true, &text_buf);
 *     free(ids.id); tokenizer_close(tok);
 */
#ifndef SWEEP_RUNNER_TOKENIZER_H
#define SWEEP_RUNNER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct tokenizer;

struct tokenizer_ids {
	int32_t *id; /* malloc'd, grown by encode; the caller frees */
	size_t n, room;
};

/* Reads tokenizer.json, or vocab.json + merges.txt where that is missing. NULL and err on failure. */
struct tokenizer *tokenizer_open(const char *dir, struct err *err);
void tokenizer_close(struct tokenizer *tok);
/* Largest id + 1. */
size_t tokenizer_size(const struct tokenizer *tok);
/* Text of id as written in text (`<|endoftext|>`), NULL when id is no added token. */
const char *tokenizer_special_text(const struct tokenizer *tok, int32_t id);
/* Appends the ids of n bytes of text. Added tokens in the text become their ids. Text must be UTF-8 (invalid bytes are
 * replaced by U+FFFD as Python's decode("utf-8", "replace") does). One thread at a time: it keeps what it has seen. */
int tokenizer_encode(struct tokenizer *tok, const char *text, size_t n, struct tokenizer_ids *ids, struct err *err);
/* Appends the text of ids, special tokens left out when asked: all bytes together, then U+FFFD for each maximal invalid
 * UTF-8 subpart; no clean-up of spaces. */
void tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, bool skip_special, struct buf *out);

#endif
