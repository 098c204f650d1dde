/* test_term.c - what reaches a terminal: how wide it is, where it is cut and wrapped, and what never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <unistd.h>

#include "base/event.h"
#include "base/utf8.h"
#include "term/term.h"
#include "term/text.h"

static void test_width(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t width;
	} cases[] = {
		{"", 0},
		{"beam 5", 6},
		{"\xc3\xa9"
		 "a",
		 2},
		{"e\xcc\x81", 1},                                    /* e, an accent */
		{"\xe6\x9d\xb1\xe4\xba\xac", 4},                     /* Tokyo */
		{"\xf0\x9f\x9a\x80", 2},                             /* a rocket */
		{"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", 2}, /* she flies one */
		{"\xf0\x9f\x87\xaf\xf0\x9f\x87\xb5", 2},             /* a flag */
		{"\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!", 3},            /* a thumb of some colour */
		{"\xed\x95\x9c\xea\xb8\x80", 4},                     /* hangul */
		{"\xff\xfe", 2},                                     /* no UTF-8: two marks */
		{PAINT_BOLD "ab" PAINT_PLAIN, 2},                    /* styles take no room */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(text_width(cases[i].text), cases[i].width);
	size_t width;
	assert_int_equal(text_fit("\xe6\x9d\xb1\xe4\xba\xac", 3, &width), 3); /* half of the second does not fit */
	assert_int_equal(width, 2);
	assert_int_equal(text_fit("abc", 2, NULL), 2);
}

static void cell(const char *text, size_t width, enum text_side side, const char *expected)
{
	struct buf out = BUF_INIT;
	text_cell(text, width, side, &out);
	assert_string_equal(buf_text(&out), expected);
	assert_int_equal(text_width(buf_text(&out)), width);
	buf_release(&out);
}

static void test_cell(void **state)
{
	(void)state;
	cell("ab", 4, TEXT_LEFT, "ab  ");
	cell("ab", 4, TEXT_RIGHT, "  ab");
	cell("abcdef", 5, TEXT_LEFT, "ab...");
	cell("abcdef", 2, TEXT_LEFT, "..");
	cell("abc", 0, TEXT_LEFT, "");
	cell("\xe6\x9d\xb1", 4, TEXT_RIGHT, "  \xe6\x9d\xb1");
	cell("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", 5, TEXT_LEFT, "\xe6\x9d\xb1...");
	cell("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", 4, TEXT_LEFT, "... "); /* there is no half of it */
}

static void test_wrap(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t at, indent, columns;
		const char *lines;
	} cases[] = {
		{"one two three", 0, 2, 8, "one two\n  three"},
		{"one two three", 5, 2, 8, "one\n  two\n  three"},
		{"a-word-that-is-longer b", 0, 2, 8, "a-word-that-is-longer\n  b"}, /* never within a word */
		{"", 0, 2, 8, ""},
		{"\xe6\x9d\xb1 \xe4\xba\xac", 0, 0, 4, "\xe6\x9d\xb1\n\xe4\xba\xac"},
		{PAINT_BOLD "one" PAINT_PLAIN " two", 0, 0, 7, PAINT_BOLD "one" PAINT_PLAIN " two"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = BUF_INIT;
		text_wrap(cases[i].text, cases[i].at, cases[i].indent, cases[i].columns, &out);
		assert_string_equal(buf_text(&out), cases[i].lines);
		buf_release(&out);
	}
}

/* ESC [ 2 J clears a screen, U+009B is ESC [ in one, U+202E turns what follows around, U+2028 ends a line. */
static const char hostile[] = "a\033[2Jb\xc2\x9b"
			      "31mc\xe2\x80\xae"
			      "d\xe2\x80\xa8"
			      "e\xe2\x81\xa6\x07\xff\r\tf\n";
#define BAD   "\xef\xbf\xbd"
#define CLEAN "a" BAD "[2Jb" BAD "31mc" BAD "d" BAD "e" BAD BAD BAD BAD " f"

static void test_clean(void **state)
{
	(void)state;
	struct buf out = BUF_INIT;
	utf8_clean(hostile, sizeof hostile - 1, &out);
	assert_string_equal(out.data, CLEAN "\xe2\x8f\x8e");
	buf_clear(&out);
	utf8_clean_lines(hostile, sizeof hostile - 1, &out);
	assert_string_equal(out.data, CLEAN "\n");
	buf_clear(&out);
	text_clean(hostile, sizeof hostile - 1, &out);
	assert_string_equal(out.data, CLEAN "\n");
	buf_clear(&out);
	/* of escapes only the styles of ours get through */
	static const char mixed[] = PAINT_BEST "best" PAINT_PLAIN "\033[3A\033]0;title\007\033[31";
	text_clean(mixed, sizeof mixed - 1, &out);
	assert_string_equal(out.data, PAINT_BEST "best" PAINT_PLAIN BAD "[3A" BAD "]0;title" BAD BAD "[31");
	buf_release(&out);
	char room[9];
	utf8_clean_into(room, sizeof room, "abcd\xe6\x9d\xb1\xe4\xba\xac", 10);
	assert_string_equal(room, "abcd\xe6\x9d\xb1"); /* whole characters */
	utf8_clean_into(room, sizeof room, "ab\033\033\033", 5);
	assert_string_equal(room, "ab" BAD BAD);
}

/* Every sentence and everything that a worker says is clean from the start. */
static void test_messages(void **state)
{
	(void)state;
	struct err err = {0};
	err_set(&err, ERR_INPUT, "unknown tensor `%s`", hostile);
	assert_string_equal(err.text, "unknown tensor `" CLEAN "\xe2\x8f\x8e`");
	err_prefix(&err, "%s", "x\033");
	assert_string_equal(err.text, "x" BAD ": unknown tensor `" CLEAN "\xe2\x8f\x8e`");
	err_at(&err, hostile, 1, 2, "no");
	assert_string_equal(err.text, CLEAN "\xe2\x8f\x8e:1:2: no");
	char longest[3000];
	memset(longest, '\033', sizeof longest); /* each becomes three bytes */
	longest[sizeof longest - 1] = '\0';
	err_set(&err, ERR_INPUT, "%s", longest);
	assert_int_equal(strlen(err.text), (sizeof err.text - 1) / 3 * 3);
	struct event event;
	static const char line[] = "{\"event\":\"error\",\"text\":\"a\\u001b[2J\\u009b\\nb\"}";
	assert_int_equal(event_parse(line, sizeof line - 1, &event), 0);
	assert_string_equal(event.text, "a" BAD "[2J" BAD "\xe2\x8f\x8e"
					"b");
}

static void test_duration(void **state)
{
	(void)state;
	static const struct {
		double seconds;
		const char *took, *left;
	} cases[] = {{0, "0.0 s", "0 s"},
		     {0.04, "0.0 s", "1 s"},
		     {42.04, "42.0 s", "43 s"},
		     {59.94, "59.9 s", "1:00"},
		     {59.96, "1:00", "1:00"},
		     {61.4, "1:01", "1:02"},
		     {3599.4, "59:59", "1:00:00"},
		     {7500, "2:05:00", "2:05:00"},
		     {90061, "25:01:01", "25:01:01"},
		     {-1, "-", "-"},
		     {NAN, "-", "-"},
		     {1e300, "-", "-"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = BUF_INIT;
		text_duration(cases[i].seconds, &out);
		assert_string_equal(out.data, cases[i].took);
		buf_clear(&out);
		text_time_left(cases[i].seconds, &out);
		assert_string_equal(out.data, cases[i].left);
		buf_release(&out);
	}
}

static void test_terminal(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	unsetenv("COLUMNS");
	assert_int_equal(term_columns(fds[1]), 80);
	setenv("COLUMNS", "132", 1);
	assert_int_equal(term_columns(fds[1]), 132); /* where there is no terminal to ask */
	static const char *const bad[] = {"", "0", "-3", "12x", "99999999999999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("COLUMNS", bad[i], 1);
		assert_int_equal(term_columns(fds[1]), 80);
	}
	unsetenv("COLUMNS");
	assert_false(term_colour(fds[1]) || term_live(fds[1]));
	assert_int_equal(term_rows(fds[1]), 24);
	setenv("LC_ALL", "de_DE.UTF-8", 1);
	assert_true(term_utf8());
	setenv("LC_ALL", "C", 1);
	setenv("LANG", "de_DE.UTF-8", 1);
	assert_false(term_utf8());
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),    cmocka_unit_test(test_cell),     cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_clean),    cmocka_unit_test(test_messages), cmocka_unit_test(test_duration),
		cmocka_unit_test(test_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
