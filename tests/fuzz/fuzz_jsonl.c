/* fuzz_jsonl.c - any bytes as a line of hypotheses.jsonl. */
#include "base/jsonl.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jsonl_value values[] = {{.name = "text"}, {.name = "score"}, {.name = "index"}, {.name = "tokens"}};
	size_t n = sizeof values / sizeof *values, column = 0;
	char *line = mem_alloc(size ? size : 1); /* of its own size: a byte read too far is noticed */
	memcpy(line, data, size);
	if (jsonl_parse(line, size, values, n, &column) < 0 && (column < 1 || column > size + 1))
		BUG("column %zu of %zu", column, size);
	jsonl_release(values, n);
	free(line);
	return 0;
}
