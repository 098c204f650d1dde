/* fuzz.h - what the targets share: a scratch folder (in $TMPDIR, which run.sh removes), and what every refusal must be.
 *
 *     fuzz_write("config.json", data, size);
 *     if (model_load(&model, fuzz_folder(), &err) < 0) fuzz_refused(&err); */
#ifndef SWEEP_TESTS_FUZZ_H
#define SWEEP_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The top of the source tree, for the files that stay the same. */
static inline const char *fuzz_source(void)
{
	const char *top = getenv("SOURCE_DIR");
	return top ? top : ".";
}

static inline const char *fuzz_folder(void)
{
	static char folder[512];
	if (!folder[0]) {
		const char *top = getenv("TMPDIR");
		snprintf(folder, sizeof folder, "%s/sweep-fuzz.XXXXXX", top ? top : "/tmp");
		if (!mkdtemp(folder))
			BUG("mkdtemp %s", folder);
	}
	return folder;
}

/* The path of a file in the folder; valid until the next call but one. */
static inline const char *fuzz_path(const char *name)
{
	static char paths[2][1024];
	static unsigned which;
	char *path = paths[which++ % 2];
	snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder(), name);
	return path;
}

static inline void fuzz_write(const char *name, const void *data, size_t size)
{
	FILE *f = fopen(fuzz_path(name), "wb");
	if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f) != 0)
		BUG("%s cannot be written", fuzz_path(name));
}

/* The file of the source tree, copied into the folder (once). */
static inline void fuzz_copy(const char *from, const char *name)
{
	struct buf text = BUF_INIT;
	struct err err = {0};
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", fuzz_source(), from);
	if (buf_read_file(&text, path, (size_t)1 << 30, &err) < 0)
		BUG("%s", err.text);
	fuzz_write(name, text.data, text.size);
	buf_release(&text);
}

/* A sentence: not empty, one line, nothing that a terminal obeys. */
static inline void fuzz_refused(const struct err *err)
{
	if (err->kind == ERR_NONE || !err->text[0])
		BUG("refused without a sentence");
	for (const char *p = err->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			BUG("a control character in: %s", err->text);
}

#endif
