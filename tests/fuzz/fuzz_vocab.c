/* fuzz_vocab.c - any bytes as vocab.json, beside a merges.txt that stays the same. */
#include "fuzz_vocab_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	if (!begun)
		fuzz_copy("tests/fuzz/vocab/merges.txt", "merges.txt");
	begun = true;
	fuzz_write("vocab.json", data, size);
	fuzz_open_tokenizer();
	return 0;
}
