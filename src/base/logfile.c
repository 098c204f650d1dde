/* logfile.c - the first and the last part of what was said; see logfile.h.
 *
 * The file is appended to until head and twice the tail are full; then the last LOGFILE_TAIL bytes move up behind the
 * head. So each byte is written at most twice, however long the log would have been. */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define GAP_BYTES 64 /* of the line between head and tail: always as long, so that it can be written anew */

int logfile_open(struct logfile *log, const char *path, struct err *err)
{
	struct stat st;
	*log = (struct logfile){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
	if (log->fd < 0)
		return err_errno(err, "cannot write %s", path);
	log->begin = log->size = fstat(log->fd, &st) == 0 ? st.st_size : 0;
	return 0;
}

/* False: no room; what could not be written is left out. */
static bool write_at(struct logfile *log, const char *bytes, size_t n, int64_t at)
{
	while (n) {
		ssize_t done = pwrite(log->fd, bytes, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		at += done;
		n -= (size_t)done;
	}
	return true;
}

/* Drops what lies between the head and the last LOGFILE_TAIL bytes. */
static void tidy(struct logfile *log)
{
	int64_t gap = log->begin + LOGFILE_HEAD, tail = gap + GAP_BYTES;
	char *bytes = mem_alloc((size_t)LOGFILE_TAIL), line[GAP_BYTES + 1];
	ssize_t n = pread(log->fd, bytes, (size_t)LOGFILE_TAIL, log->size - LOGFILE_TAIL);
	if (n == LOGFILE_TAIL) {
		/* What stood between head and tail, but for the line that stood there before. */
		log->left_out += log->size - LOGFILE_TAIL - (log->left_out ? tail : gap);
		snprintf(line, sizeof line, "\n[... %20lld bytes are left out here ...]%*s\n", (long long)log->left_out,
			 GAP_BYTES - 56, "");
		if (write_at(log, line, GAP_BYTES, gap) && write_at(log, bytes, (size_t)LOGFILE_TAIL, tail)) {
			log->size = tail + LOGFILE_TAIL;
			(void)!ftruncate(log->fd, log->size);
		}
	}
	free(bytes);
}

void logfile_add(struct logfile *log, const char *bytes, size_t n)
{
	int64_t full = log->begin + LOGFILE_HEAD + 2 * LOGFILE_TAIL;
	while (n && log->fd >= 0) {
		size_t part = (int64_t)n < full - log->size ? n : (size_t)(full - log->size);
		if (!write_at(log, bytes, part, log->size))
			return;
		log->size += (int64_t)part;
		bytes += part;
		n -= part;
		if (log->size >= full)
			tidy(log);
		if (log->size >= full)
			return; /* it could not be made shorter */
	}
}

void logfile_close(struct logfile *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}
