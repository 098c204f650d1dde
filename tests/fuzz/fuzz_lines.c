/* fuzz_lines.c - any bytes as a data file, plain or gzip; the first byte says of which kind: training pairs, inputs, or
 * references of two inputs that stay the same. */
#include "base/lines.h"
#include "dataset.h"
#include "fuzz.h"

static void read_lines(void)
{
	struct lines l;
	struct err err = {0};
	if (lines_open(&l, fuzz_path("data.txt"), 0, &err) < 0) {
		fuzz_refused(&err);
		return;
	}
	while (lines_next(&l)) {
		struct lines_reference r;
		if (lines_check(&l, &err) < 0) {
			fuzz_refused(&err);
			err = (struct err){0};
		}
		if (lines_reference(l.line, l.n, &r) &&
		    (r.table < l.line || r.table + r.n_table > r.text || r.text + r.n_text > l.line + l.n))
			BUG("a part of a line lies outside of it");
		lines_blank(&l);
	}
	lines_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tokenizer *tok;
	const struct dataset_template tmpl = {
		.prompt = "T {table} {eos} ", .target = "{text} {eos}", .eos = 0, .eos_text = "<|endoftext|>"};
	struct err err = {0};
	if (!tok) {
		char dir[1024];
		snprintf(dir, sizeof dir, "%s/tests/golden/text/tokenizer", fuzz_source());
		tok = tokenizer_open(dir, &err);
		if (!tok)
			BUG("%s", err.text);
		fuzz_write("inputs.txt", "name : A\nname : B\n", 18);
	}
	if (!size)
		return 0;
	fuzz_write("data.txt", data + 1, size - 1);
	read_lines();
	char *path = mem_strdup(fuzz_path("data.txt")), *inputs = mem_strdup(fuzz_path("inputs.txt"));
	struct dataset_train train;
	struct dataset_eval eval;
	if (data[0] % 3 == 0) {
		size_t pad = data[0] & 4 ? 20 : 0;
		if (dataset_load_train(&train, path, NULL, data[0] & 8 ? 2 : 0, tok, &tmpl, pad, &err) < 0)
			fuzz_refused(&err);
		else
			dataset_release_train(&train);
	} else if (dataset_load_eval(&eval, data[0] % 3 == 1 ? path : inputs, data[0] % 3 == 1 ? NULL : path, NULL,
				     data[0] & 8 ? 2 : 0, tok, &tmpl, &err) < 0) {
		fuzz_refused(&err);
	} else {
		dataset_release_eval(&eval);
	}
	free(inputs);
	free(path);
	return 0;
}
