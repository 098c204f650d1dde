/* lines.c - data files as lines; see lines.h for the rule. */
#include "lines.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "utf8.h"

#define LINES_MAX_FILE ((size_t)1 << 32)
enum { LINES_CHUNK = 1 << 18 };

/* zlib passes plain files through as they are. */
static int read_all(struct lines *l, gzFile file, size_t limit, struct err *err)
{
	size_t newlines = 0;
	int got;
	do {
		buf_reserve(&l->text, LINES_CHUNK);
		got = gzread(file, l->text.data + l->text.size, LINES_CHUNK);
		for (int i = 0; i < got; i++)
			newlines += l->text.data[l->text.size + (size_t)i] == '\n';
		if (got > 0)
			l->text.size += (size_t)got;
	} while (got > 0 && (limit == 0 || newlines < limit) && l->text.size < LINES_MAX_FILE);
	int code;
	const char *why = gzerror(file, &code);
	if (code == Z_ERRNO)
		return err_errno(err, "cannot read %s", l->path);
	if (code == Z_MEM_ERROR)
		return err_set(err, ERR_SYSTEM, "not enough memory to read %s", l->path);
	if (code != Z_OK && code != Z_STREAM_END)
		return err_at(err, l->path, 0, 0, "a damaged or incomplete gzip file (%s)", why);
	if (l->text.size >= LINES_MAX_FILE)
		return err_at(err, l->path, 0, 0, "larger than %zu bytes", LINES_MAX_FILE);
	return 0;
}

int lines_open(struct lines *l, const char *path, size_t limit, struct err *err)
{
	*l = (struct lines){.path = path};
	struct stat info;
	if (stat(path, &info) < 0)
		return err_errno(err, "cannot open %s", path);
	if (!S_ISREG(info.st_mode))
		return err_at(err, path, 0, 0, "expected a plain file");
	errno = 0;
	gzFile file = gzopen(path, "rbe");
	if (!file) /* zlib sets no errno when it is short of memory */
		return errno ? err_errno(err, "cannot open %s", path)
			     : err_set(err, ERR_SYSTEM, "not enough memory to read %s", path);
	gzbuffer(file, LINES_CHUNK);
	int result = read_all(l, file, limit, err);
	gzclose(file);
	if (result == 0 && l->text.size >= 3 && memcmp(l->text.data, "\xEF\xBB\xBF", 3) == 0)
		l->at = 3;
	if (result == 0 && l->at == l->text.size)
		result = err_at(err, path, 0, 0, "the file is empty");
	if (result < 0)
		lines_close(l);
	return result;
}

void lines_close(struct lines *l)
{
	buf_release(&l->text);
}

bool lines_next(struct lines *l)
{
	if (l->at >= l->text.size)
		return false;
	l->line = l->text.data + l->at;
	const char *end = memchr(l->line, '\n', l->text.size - l->at);
	l->n = end ? (size_t)(end - l->line) : l->text.size - l->at;
	l->at += l->n + 1;
	l->number++;
	if (l->n && l->line[l->n - 1] == '\r')
		l->n--;
	return true;
}

int lines_check(const struct lines *l, struct err *err)
{
	size_t valid = utf8_valid_prefix(l->line, l->n);
	if (valid < l->n)
		return err_at(err, l->path, l->number, valid + 1, "byte 0x%02x is not UTF-8; convert the file to UTF-8",
			      (unsigned char)l->line[valid]);
	if (memchr(l->line, '\0', l->n))
		return err_at(err, l->path, l->number, 0, "the line holds a NUL byte; is this a text file?");
	return 0;
}

bool lines_blank(const struct lines *l)
{
	for (size_t i = 0; i < l->n;) {
		uint32_t c;
		i += utf8_next(l->line + i, l->n - i, &c);
		if (!utf8_is_space(c))
			return false;
	}
	return true;
}

size_t lines_bars(const char *line, size_t n, size_t from)
{
	for (size_t i = from; i + 1 < n; i++)
		if (line[i] == '|' && line[i + 1] == '|')
			return i;
	return n;
}

size_t lines_id(const char *line, size_t n, size_t *id)
{
	size_t i = 0;
	*id = 0;
	for (; i < n && line[i] >= '0' && line[i] <= '9'; i++)
		*id = *id > SIZE_MAX / 20 ? SIZE_MAX : 10 * *id + (size_t)(line[i] - '0');
	return i > 0 && i + 1 < n && line[i] == '|' && line[i + 1] == '|' ? i + 2 : 0;
}

bool lines_reference(const char *line, size_t n, struct lines_reference *r)
{
	size_t table = lines_id(line, n, &r->id), second = table ? lines_bars(line, n, table) : n;
	if (second == n)
		return false;
	r->table = line + table;
	r->n_table = second - table;
	r->text = line + second + 2;
	r->n_text = n - second - 2;
	return true;
}
