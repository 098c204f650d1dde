/* err.c - one sentence for each failure; see err.h.
 *
 * Names and pieces of files stand in these sentences, and go on to terminals, logs and the database: they are cleaned
 * here, once, where every sentence is made (utf8.h). */
#include "err.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "utf8.h"

static void err_vformat(char *to, size_t room, const char *format, va_list ap)
{
	if (vsnprintf(to, room, format, ap) < 0)
		to[0] = '\0';
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	char text[sizeof err->text]; /* the arguments may point into *err */
	err_vformat(text, sizeof text, format, ap);
	va_end(ap);
	err->kind = kind;
	utf8_clean_into(err->text, sizeof err->text, text, strlen(text));
	return -1;
}

int err_at(struct err *err, const char *file, size_t line, size_t column, const char *format, ...)
{
	char text[sizeof err->text];
	va_list ap;
	va_start(ap, format);
	err_vformat(text, sizeof text, format, ap);
	va_end(ap);
	if (line && column)
		return err_set(err, ERR_INPUT, "%s:%zu:%zu: %s", file, line, column, text);
	if (line)
		return err_set(err, ERR_INPUT, "%s:%zu: %s", file, line, text);
	return err_set(err, ERR_INPUT, "%s: %s", file, text);
}

static enum err_kind kind_of(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_ROOM;
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EACCES:
	case ENAMETOOLONG:
	case ELOOP:
	case EROFS:
	case EPERM:
		return ERR_INPUT;
	default:
		return ERR_SYSTEM;
	}
}

static int with_errno(struct err *err, enum err_kind kind, int code, const char *format, va_list ap)
{
	char text[sizeof err->text];
	err_vformat(text, sizeof text, format, ap);
	return err_set(err, kind, "%s: %s", text, strerror(code));
}

int err_errno(struct err *err, const char *format, ...)
{
	int code = errno;
	va_list ap;
	va_start(ap, format);
	with_errno(err, kind_of(code), code, format, ap);
	va_end(ap);
	return -1;
}

int err_errno_writing(struct err *err, const char *format, ...)
{
	int code = errno;
	bool closed = code == EROFS || code == EACCES || code == EPERM;
	va_list ap;
	va_start(ap, format);
	with_errno(err, closed ? ERR_ROOM : kind_of(code), code, format, ap);
	va_end(ap);
	return -1;
}

bool err_stops_sweep(enum err_kind kind)
{
	return kind == ERR_ROOM || kind == ERR_CHANGED;
}

int err_prefix(struct err *err, const char *format, ...)
{
	char text[sizeof err->text];
	va_list ap;
	va_start(ap, format);
	err_vformat(text, sizeof text, format, ap);
	va_end(ap);
	return err_set(err, err->kind, "%s: %s", text, err->text);
}

/* Damerau's restricted edit distance (insert, delete, replace, swap neighbours), capped at names of 63 letters. */
static size_t err_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	if (la > 63 || lb > 63)
		return 64;
	size_t d[64][64];
	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
			size_t best = d[i - 1][j - 1] + (x != y);
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]) && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *err_nearest(const char *word, const char *const *names, size_t n)
{
	const char *found = NULL;
	size_t best = 1 + strlen(word) / 3;
	for (size_t i = 0; i < n; i++) {
		size_t distance = err_distance(word, names[i]);
		if (distance < best || (distance == best && !found)) {
			best = distance;
			found = names[i];
		}
	}
	return found;
}
