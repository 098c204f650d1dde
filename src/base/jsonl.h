/* jsonl.h - one line of a JSON Lines file of flat objects, bytes kept as they are.
 *
 *     struct jsonl_value values[2] = {{.name = "text"}, {.name = "score"}};
 *     if (jsonl_parse(line, n, values, 2, &column) < 0) ...       not an object; column (from 1) says where
 *     if (values[0].kind == JSONL_TEXT) use(values[0].text.data, values[0].text.size);
 *     jsonl_release(values, 2);
 *
 * Why not cJSON: its texts end at the first NUL, and a hypothesis may hold one ("\u0000"). Unknown members are skipped,
 * nested ones too. The same values may be parsed into again and again: buffers keep their memory. */
#ifndef SWEEP_JSONL_H
#define SWEEP_JSONL_H

#include <stddef.h>

#include "buf.h"

enum jsonl_kind { JSONL_ABSENT, JSONL_NULL, JSONL_TRUE, JSONL_FALSE, JSONL_NUMBER, JSONL_TEXT, JSONL_OTHER };

struct jsonl_value {
	const char *name; /* the member wanted */
	enum jsonl_kind kind;
	double number;
	struct buf text; /* JSONL_TEXT: unescaped; may hold NULs */
};

/* 0, or -1 with *column. Of equal names the last wins. Numbers are finite. */
int jsonl_parse(const char *line, size_t n, struct jsonl_value *values, size_t n_values, size_t *column);
void jsonl_release(struct jsonl_value *values, size_t n_values);

/* Every member in turn, for lines whose names nobody knows beforehand. value->name ends with a NUL; it and value belong to
 * the reader. Members of nested objects are named "outer.inner"; arrays are JSONL_OTHER. NaN, Infinity and -Infinity, which
 * Python's json module writes, are numbers here. Returns as jsonl_parse; members before the error were called. */
typedef void jsonl_member(void *ctx, const struct jsonl_value *value);
int jsonl_each(const char *line, size_t n, jsonl_member *member, void *ctx, size_t *column);

#endif
