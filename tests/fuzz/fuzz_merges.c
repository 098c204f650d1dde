/* fuzz_merges.c - any bytes as merges.txt, beside a vocab.json that stays the same. */
#include "fuzz_vocab_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	if (!begun)
		fuzz_copy("tests/fuzz/vocab/vocab.json", "vocab.json");
	begun = true;
	fuzz_write("merges.txt", data, size);
	fuzz_open_tokenizer();
	return 0;
}
