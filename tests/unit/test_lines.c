/* test_lines.c - base/lines.c: what a line is, what blank is, what a reference is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fs.h"
#include "base/lines.h"

static char path[] = "/tmp/test_lines.XXXXXX";

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void open_text(struct lines *l, const char *text, size_t n, bool packed)
{
	struct err err = {0};
	if (packed) {
		gzFile file = gzopen(path, "wb");
		gzwrite(file, text, (unsigned)n);
		gzclose(file);
	} else {
		assert_int_equal(fs_write_file(path, text, n, &err), 0);
	}
	if (lines_open(l, path, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void assert_line(struct lines *l, size_t number, const char *expected)
{
	assert_true(lines_next(l));
	assert_int_equal(l->number, number);
	assert_int_equal(l->n, strlen(expected));
	assert_memory_equal(l->line, expected, l->n);
}

static void test_cut(void **state)
{
	(void)state;
	static const char text[] = "\xEF\xBB\xBFone\r\n\ntwo\r\r\nth\rree\n\xEF\xBB\xBF\nlast\r";
	for (int packed = 0; packed < 2; packed++) {
		struct lines l;
		open_text(&l, text, sizeof text - 1, packed);
		assert_line(&l, 1, "one");
		assert_line(&l, 2, "");
		assert_line(&l, 3, "two\r");
		assert_line(&l, 4, "th\rree");
		assert_line(&l, 5, "\xEF\xBB\xBF"); /* only at the start of a file is it a mark */
		assert_line(&l, 6, "last");
		assert_false(lines_next(&l));
		assert_false(lines_next(&l));
		lines_close(&l);
	}
}

static void test_blank(void **state)
{
	(void)state;
	static const char *const blank[] = {"",        " ", " \t\v\f\r", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\xA8",
					    "\x1C\x1F"};
	static const char *const other[] = {"x", "\xC2\xA0.", "\xEF\xBB\xBF", "\xE2\x80\x8B" /* U+200B is no space */,
					    "\xC2"};
	struct lines l = {0};
	for (size_t i = 0; i < sizeof blank / sizeof *blank; i++) {
		l.line = (char *)blank[i];
		l.n = strlen(blank[i]);
		assert_true(lines_blank(&l));
	}
	for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
		l.line = (char *)other[i];
		l.n = strlen(other[i]);
		assert_false(lines_blank(&l));
	}
}

static void test_reference(void **state)
{
	(void)state;
	struct lines_reference r;
	static const char line[] = "12||a|b||the text || with bars";
	assert_true(lines_reference(line, sizeof line - 1, &r));
	assert_int_equal(r.id, 12);
	assert_int_equal(r.n_table, 3);
	assert_memory_equal(r.table, "a|b", 3);
	assert_int_equal(r.n_text, strlen("the text || with bars"));
	assert_memory_equal(r.text, "the text || with bars", r.n_text);
	assert_true(lines_reference("0||||", 5, &r));
	assert_int_equal(r.n_table + r.n_text, 0);
	assert_true(lines_reference("99999999999999999999999||a||b", 29, &r));
	assert_true(r.id == SIZE_MAX);
	static const char *const others[] = {"",     "1",       "1||",    "1||a",     "1||a|",
					     "1|||", "a||b||c", "||b||c", " 1||b||c", "-1||b||c"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(lines_reference(others[i], strlen(others[i]), &r));
	size_t id;
	assert_int_equal(lines_id("7||x", 4, &id), 3);
	assert_int_equal(id, 7);
	assert_int_equal(lines_id("7|x", 3, &id), 0);
	assert_int_equal(lines_bars("a||b||c", 7, 2), 4);
	assert_int_equal(lines_bars("a|", 2, 0), 2);
}

static void test_refused(void **state)
{
	(void)state;
	struct lines l;
	struct err err = {0};
	assert_int_equal(fs_write_file(path, "\xEF\xBB\xBF", 3, &err), 0);
	assert_int_equal(lines_open(&l, path, 0, &err), -1);
	assert_non_null(strstr(err.text, "the file is empty"));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(lines_open(&l, "/tmp", 0, &err), -1);
	assert_non_null(strstr(err.text, "expected a plain file"));
	assert_int_equal(lines_open(&l, "/nonexistent/file", 0, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	open_text(&l, "ok\n\xE4\n\0\n", 7, false);
	assert_true(lines_next(&l) && lines_check(&l, &err) == 0);
	assert_true(lines_next(&l) && lines_check(&l, &err) < 0);
	assert_non_null(strstr(err.text, ":2:1: byte 0xe4 is not UTF-8"));
	assert_true(lines_next(&l) && lines_check(&l, &err) < 0);
	assert_non_null(strstr(err.text, ":3: the line holds a NUL"));
	lines_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_blank),
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
