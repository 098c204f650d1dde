/* buf.h - a byte buffer that grows, always NUL-terminated, with a hard cap.
 *
 *     struct buf b = BUF_INIT;
 *     buf_printf(&b, "%s=%d", name, value);
 *     write(fd, b.data, b.size);
 *     buf_release(&b);
 *
 * The owner of the struct owns the bytes. Appending cannot fail short of memory (mem.h); past BUF_MAX bytes it is a
 * BUG: callers that read unbounded input check sizes first (buf_read_file does). */
#ifndef SWEEP_BASE_BUF_H
#define SWEEP_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "err.h"

#define BUF_MAX ((size_t)1 << 34)

struct buf {
	char *data; /* NULL or NUL-terminated */
	size_t size, room;
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		0                                                                                                      \
	}

void buf_release(struct buf *b); /* frees, back to empty */
void buf_clear(struct buf *b);   /* size 0, keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list ap);
/* The text so far, "" before anything was appended. */
static inline const char *buf_text(const struct buf *b)
{
	return b->data ? b->data : "";
}
char *buf_detach(struct buf *b); /* the caller frees; never NULL */

/* Appends a whole file of at most max bytes. Plain files only. */
int buf_read_file(struct buf *b, const char *path, size_t max, struct err *err);

#endif
