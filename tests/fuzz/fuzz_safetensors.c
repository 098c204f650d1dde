/* fuzz_safetensors.c - any bytes as a safetensors file: refused with a sentence, or every tensor can be read, and what
 * the writer makes of them is read again as the same. Seeds: tests/golden/text (a file of the Rust writer, adapters of
 * PEFT).
 *
 *     build/fuzz/tests/fuzz_safetensors -max_total_time=60 tests/golden/text/adapter tests/golden/text */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct err err = {0};
	struct safetensors st, again;
	if (safetensors_parse(&st, bytes, n, "fuzz", &err) < 0) {
		if (err.kind != ERR_INPUT || !err.text[0])
			BUG("refused without a sentence");
		return 0;
	}
	for (size_t i = 0; i < st.n; i++) {
		const struct safetensors_tensor *t = &st.tensors[i];
		if (safetensors_find(&st, t->name) != t)
			BUG("`%s` is not found", t->name);
		if (safetensors_is_float(t->type)) {
			float *out = mem_array(t->count, sizeof *out);
			safetensors_widen(t, out);
			free(out);
		}
	}
	struct buf out = BUF_INIT;
	safetensors_write(st.tensors, st.n, &out);
	if (safetensors_parse(&again, out.data, out.size, "again", &err) < 0)
		BUG("%s", err.text);
	if (again.n != st.n)
		BUG("%zu tensors became %zu", st.n, again.n);
	for (size_t i = 0; i < st.n; i++)
		if (strcmp(st.tensors[i].name, again.tensors[i].name) != 0 ||
		    st.tensors[i].size != again.tensors[i].size ||
		    (st.tensors[i].size && memcmp(st.tensors[i].data, again.tensors[i].data, st.tensors[i].size) != 0))
			BUG("`%s` is not the same any more", st.tensors[i].name);
	safetensors_close(&again);
	safetensors_close(&st);
	buf_release(&out);
	return 0;
}
