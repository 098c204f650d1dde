/* fuzz_columns.c - any bytes as a file with columns; the first byte says which format, and whether targets are wanted. */
#include <string.h>

#include "base/columns.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct columns_map columns = {(enum columns_format)(COLUMNS_CSV + data[0] % 3), (char *)"mr", (char *)"ref"};
	struct columns_file t;
	struct err err = {0};
	if (data[0] % 6 >= 3)
		columns.target = NULL;
	fuzz_write("data.csv", data + 1, size - 1);
	if (columns_open(&t, fuzz_path("data.csv"), &columns, data[0] & 64 ? 2 : 0, &err) < 0) {
		fuzz_refused(&err);
		return 0;
	}
	columns_group(&t);
	const char *begin = t.lines.text.data, *end = begin + t.lines.text.size;
	size_t first = 0;
	for (size_t i = 0; i < t.n; i++) {
		const struct columns_row *row = &t.rows[i];
		if (row->input < begin || row->input + row->n_input > end)
			BUG("an input lies outside of the file");
		if (columns.target && (row->target < begin || row->target + row->n_target > end))
			BUG("a target lies outside of the file");
		if (row->number > first || row->first != (row->number == first))
			BUG("inputs are not numbered in order");
		first += row->first;
	}
	if (first != t.n_inputs || t.n == 0)
		BUG("%zu inputs of %zu", first, t.n_inputs);
	columns_close(&t);
	return 0;
}
