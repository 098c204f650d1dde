/* fuzz_tokenizer_json.c - any bytes as tokenizer.json. */
#include "fuzz_vocab_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_write("tokenizer.json", data, size);
	fuzz_open_tokenizer();
	return 0;
}
