/* test_logfile.c - the first and the last part of a log, whatever the pieces it came in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/logfile.h"

#define LINE 16

static char path[64];

/* Line i of the stream: its number, right-justified. */
static void line_of(char *line, int i)
{
	snprintf(line, LINE + 1, "%*d\n", LINE - 1, i);
}

static void read_log(struct buf *text)
{
	struct err err = {0};
	assert_int_equal(buf_read_file(text, path, 1 << 24, &err), 0);
}

static void begin(struct logfile *log)
{
	struct err err = {0};
	assert_int_equal(logfile_open(log, path, &err), 0);
}

static void test_short(void **state)
{
	(void)state;
	struct logfile log;
	struct buf text = BUF_INIT;
	begin(&log);
	logfile_add(&log, "a\n", 2);
	logfile_add(&log, "", 0);
	logfile_close(&log);
	begin(&log); /* a second writer goes on behind the first */
	logfile_add(&log, "b\n", 2);
	logfile_close(&log);
	read_log(&text);
	assert_string_equal(text.data, "a\nb\n");
	buf_release(&text);
	unlink(path);
}

static void test_long(void **state)
{
	(void)state;
	static const size_t pieces[] = {1, 3, 7, 1000, 50000};
	for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
		struct logfile log;
		struct buf all = BUF_INIT, text = BUF_INIT;
		const int lines = 200000; /* 3.2 MB */
		for (int i = 0; i < lines; i++) {
			char line[LINE + 1];
			line_of(line, i);
			buf_adds(&all, line);
		}
		begin(&log);
		logfile_add(&log, "before\n", 7);
		logfile_close(&log);
		begin(&log);
		for (size_t at = 0; at < all.size;) {
			size_t n = pieces[p] * LINE < all.size - at ? pieces[p] * LINE : all.size - at;
			logfile_add(&log, all.data + at, n);
			at += n;
			assert_true(log.size <= 7 + LOGFILE_HEAD + 2 * LOGFILE_TAIL);
		}
		logfile_close(&log);
		read_log(&text);
		assert_true(text.size <= (size_t)(7 + LOGFILE_HEAD + 2 * LOGFILE_TAIL));
		assert_memory_equal(text.data, "before\n", 7);
		assert_memory_equal(text.data + 7, all.data, (size_t)LOGFILE_HEAD);
		assert_memory_equal(text.data + text.size - LOGFILE_TAIL, all.data + all.size - LOGFILE_TAIL,
				    (size_t)LOGFILE_TAIL);
		long long left_out;
		const char *gap = text.data + 7 + LOGFILE_HEAD;
		assert_int_equal(sscanf(gap, "\n[... %lld bytes are left out here ...]", &left_out), 1);
		assert_int_equal(gap[0], '\n');
		assert_int_equal(gap[63], '\n');
		/* nothing is counted twice or lost: head, what is left out, and the rest are the whole */
		assert_true((size_t)(LOGFILE_HEAD + left_out) + (text.size - 7 - (size_t)LOGFILE_HEAD - 64) ==
			    all.size);
		buf_release(&all);
		buf_release(&text);
		unlink(path);
	}
}

static int make_path(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/test_logfile.%ld", (long)getpid());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_long),
	};
	return cmocka_run_group_tests(tests, make_path, NULL);
}
