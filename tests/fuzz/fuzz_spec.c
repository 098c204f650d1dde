/* fuzz_spec.c - libFuzzer: any bytes as a sweep file. They are parsed as YAML, read as a spec, and, when the grid is
 * small, multiplied out; nothing may crash, hang, leak or leave an error without a sentence.
 *
 *     cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_spec
 *     build/fuzz/tests/fuzz_spec -dict=tests/fuzz/spec.dict -max_len=4096 tests/fuzz/corpus_spec
 *
 * The corpus in tests/fuzz/corpus_spec also runs as a regression test without libFuzzer (tests/cli/spec_corpus.sh). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "plan/points.h"
#include "plan/spec.h"
#include "plan/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[] = "/tmp/fuzz_spec.XXXXXX";
	static int fd = -1;
	struct err err = {0};
	struct yaml doc;
	if (yaml_parse(&doc, (const char *)data, size, "fuzz", &err) == 0)
		yaml_release(&doc);
	else if (!err.text[0])
		abort();
	if (fd < 0)
		fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	struct spec spec;
	err = (struct err){0};
	if (spec_load(&spec, path, NULL, 0, &err) < 0) {
		if (!err.text[0] || err.kind == ERR_NONE || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	struct points points;
	if (spec.run_cap <= 1000 && points_make(&points, &spec, NULL, &err) == 0)
		points_release(&points);
	spec_release(&spec);
	return 0;
}
