/* term.c - what a descriptor's terminal can do, and the way to it; see term.h. */
#include "term.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

bool term_live(int fd)
{
	const char *term = getenv("TERM");
	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool term_colour(int fd)
{
	const char *none = getenv("NO_COLOR");
	return term_live(fd) && !(none && *none);
}

bool term_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"}; /* the first that is set decides */
	for (size_t i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);
		if (value && value[0])
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

int term_columns(int fd)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	const char *said = getenv("COLUMNS");
	char *end;
	long columns = said ? strtol(said, &end, 10) : 0;
	return columns > 0 && columns <= 10000 && !*end ? (int)columns : 80;
}

int term_wrap_at(int fd)
{
	return isatty(fd) ? term_columns(fd) : INT_MAX;
}

int term_rows(int fd)
{
	struct winsize size;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

int term_print(const struct buf *out, struct err *err)
{
	struct buf clean = BUF_INIT;
	text_clean(buf_text(out), out->size, &clean);
	bool arrived = fwrite(buf_text(&clean), 1, clean.size, stdout) == clean.size && fflush(stdout) == 0;
	int result = arrived ? 0 : err_errno(err, "cannot write to standard output");
	buf_release(&clean);
	return result;
}

void term_say(FILE *out, const char *format, ...)
{
	struct buf text = BUF_INIT, clean = BUF_INIT, lines = BUF_INIT;
	va_list ap;
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	text_clean(buf_text(&text), text.size, &clean);
	text_wrap(buf_text(&clean), 0, 2, (size_t)term_wrap_at(fileno(out)), &lines);
	fprintf(out, "%s\n", buf_text(&lines));
	buf_release(&text);
	buf_release(&clean);
	buf_release(&lines);
}
