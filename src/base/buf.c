/* buf.c - growing byte buffer; see buf.h. */
#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
	b->size = 0;
	if (b->data)
		b->data[0] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
	if (more > BUF_MAX || b->size > BUF_MAX - more)
		BUG("buffer over %zu bytes", (size_t)BUF_MAX);
	size_t need = b->size + more + 1;
	if (need <= b->room)
		return;
	size_t room = b->room ? b->room : 64;
	while (room < need)
		room *= 2;
	b->data = mem_grow(b->data, room, 1);
	b->room = room;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->data + b->size, bytes, n);
	b->size += n;
	b->data[b->size] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		BUG("bad format %s", format);
	buf_reserve(b, (size_t)n);
	vsnprintf(b->data + b->size, (size_t)n + 1, format, ap);
	b->size += (size_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	buf_vprintf(b, format, ap);
	va_end(ap);
}

char *buf_detach(struct buf *b)
{
	buf_reserve(b, 0);
	char *data = b->data;
	data[b->size] = '\0';
	*b = (struct buf)BUF_INIT;
	return data;
}

int buf_read_file(struct buf *b, const char *path, size_t max, struct err *err)
{
	int result = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(err, "cannot open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0) {
		err_errno(err, "cannot read %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_INPUT, "%s is not a plain file", path);
		goto out;
	}
	if ((unsigned long long)st.st_size > max) {
		err_set(err, ERR_INPUT, "%s is too large: %lld bytes, at most %zu are read", path,
			(long long)st.st_size, max);
		goto out;
	}
	for (;;) {
		buf_reserve(b, 65536);
		ssize_t n = read(fd, b->data + b->size, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, "cannot read %s", path);
			goto out;
		}
		b->size += (size_t)n;
		b->data[b->size] = '\0';
		if (n == 0)
			break;
		if (b->size > max) {
			err_set(err, ERR_INPUT, "%s grew past %zu bytes while it was read", path, max);
			goto out;
		}
	}
	result = 0;
out:
	close(fd);
	return result;
}
