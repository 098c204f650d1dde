/* fuzz_tokenizer.c - any bytes as text: encoding never fails, decoding gives the text back (bytes that are no UTF-8 as
 * U+FFFD), and a fresh tokenizer agrees with one whose cache is full of earlier inputs.
 *
 *     build/fuzz/tests/fuzz_tokenizer -max_total_time=60 -max_len=4096     (from the top of the source tree) */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "tokenizer.h"

static struct tokenizer *open_small(void)
{
	struct err err = {0};
	char dir[1024];
	snprintf(dir, sizeof dir, "%s/tests/golden/text/tokenizer", fuzz_source());
	struct tokenizer *tok = tokenizer_open(dir, &err);
	if (!tok)
		BUG("%s", err.text);
	return tok;
}

static struct tokenizer_ids encode(struct tokenizer *tok, const char *text, size_t n)
{
	struct err err = {0};
	struct tokenizer_ids ids = {0};
	if (tokenizer_encode(tok, text, n, &ids, &err) < 0)
		BUG("%s", err.text);
	return ids;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct tokenizer *tok;
	static unsigned count;
	if (!tok)
		tok = open_small();
	struct buf text = BUF_INIT, back = BUF_INIT;
	struct tokenizer_ids ids = encode(tok, (const char *)bytes, n);
	for (size_t i = 0; i < ids.n; i++)
		if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(tok))
			BUG("id %d", (int)ids.id[i]);
	buf_reserve(&text, n);
	utf8_replace((const char *)bytes, n, &text);
	tokenizer_decode(tok, ids.id, ids.n, false, &back);
	if (back.size != text.size || memcmp(back.data, text.data, text.size) != 0)
		BUG("another text comes back");
	if (++count % 64 == 0) {
		struct tokenizer *fresh = open_small();
		struct tokenizer_ids same = encode(fresh, (const char *)bytes, n);
		if (same.n != ids.n || (ids.n && memcmp(same.id, ids.id, ids.n * sizeof *ids.id) != 0))
			BUG("the cache changes ids");
		free(same.id);
		tokenizer_close(fresh);
	}
	free(ids.id);
	buf_release(&text);
	buf_release(&back);
	return 0;
}
