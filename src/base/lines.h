/* lines.h - the lines of a data file, by one rule for whoever reads one: the worker that decodes tables, the store that
 * keeps them for later, and `sweep score`. If two of them cut a file differently, texts stand beside the wrong tables.
 *
 *     struct lines l;
 *     if (lines_open(&l, path, 0, err) < 0) return -1;
 *     while (lines_next(&l)) {
 *             if (lines_blank(&l)) continue;
 *             if (lines_check(&l, err) < 0) ...                  UTF-8, no NUL
 *             use(l.line, l.n, l.number);
 *     }
 *     lines_close(&l);
 *
 * The rule: a file is plain or gzip; a byte order mark at its start is not text; lines end at newlines only, and one
 * carriage return in front of a newline (or of the end) is dropped; a line is blank when it is empty or all white space
 * as Python's str.isspace() has it, U+00A0 and U+3000 too. Blank lines of inputs and references do not count. The store
 * knows this rule by LINES_RULE: whoever changes it, counts that up. */
#ifndef SWEEP_BASE_LINES_H
#define SWEEP_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"

#define LINES_RULE 2

struct lines {
	const char *path; /* the caller's */
	struct buf text;  /* the whole file, unpacked, its byte order mark too */
	size_t at;        /* where the next line starts */
	char *line;       /* the line that lines_next found, in `text`, not terminated; it may be written to */
	size_t n, number; /* its bytes; counted from 1 */
};

/* Reads the file, or at least its first `limit` lines (0: all). An empty one is refused. On an error there is nothing
 * to close. */
int lines_open(struct lines *l, const char *path, size_t limit, struct err *err);
void lines_close(struct lines *l);
/* False at the end. */
bool lines_next(struct lines *l);
/* Refuses a line that is not UTF-8 or holds a NUL. */
int lines_check(const struct lines *l, struct err *err);
bool lines_blank(const struct lines *l);

/* `id||table||text`, a line of references, in parts that point into the line. */
struct lines_reference {
	size_t id; /* SIZE_MAX: too large to count */
	const char *table, *text;
	size_t n_table, n_text;
};

/* False when the line has another form. */
bool lines_reference(const char *line, size_t n, struct lines_reference *r);
/* The bytes of the `digits||` that a line with an id begins with, its number in *id (SIZE_MAX: too large); 0: none. */
size_t lines_id(const char *line, size_t n, size_t *id);
/* The offset of the first `||` from `from` on, or n. */
size_t lines_bars(const char *line, size_t n, size_t from);

#endif
