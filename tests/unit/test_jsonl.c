/* test_jsonl.c - lines of flat JSON objects: what is read, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonl.h"

static void test_kinds(void **state)
{
	(void)state;
	struct jsonl_value v[] = {{.name = "a"}, {.name = "b"}, {.name = "c"},
				  {.name = "d"}, {.name = "e"}, {.name = "f"}};
	static const char line[] =
		" { \"a\" : -1.5e3 , "
		"\"b\":null,\"c\":\"x\\u0000\\n\\ud83d\\ude00\",\"d\":true,\"e\":[{\"z\":\"]}\"}],\"other\":{} } ";
	size_t column;
	assert_int_equal(jsonl_parse(line, strlen(line), v, 6, &column), 0);
	assert_int_equal(v[0].kind, JSONL_NUMBER);
	assert_true(v[0].number == -1500);
	assert_int_equal(v[1].kind, JSONL_NULL);
	assert_int_equal(v[2].kind, JSONL_TEXT);
	assert_int_equal(v[2].text.size, 7);
	assert_memory_equal(v[2].text.data, "x\0\n\xf0\x9f\x98\x80", 7);
	assert_int_equal(v[3].kind, JSONL_TRUE);
	assert_int_equal(v[4].kind, JSONL_OTHER);
	assert_int_equal(v[5].kind, JSONL_ABSENT);
	assert_int_equal(jsonl_parse("{}", 2, v, 6, &column), 0);
	assert_int_equal(v[0].kind, JSONL_ABSENT);
	/* of equal names the last */
	assert_int_equal(jsonl_parse("{\"a\":1,\"a\":2}", 13, v, 6, &column), 0);
	assert_true(v[0].number == 2);
	jsonl_release(v, 6);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		size_t column; /* 0: whichever */
	} bad[] = {
		{"", 1},
		{"[1]", 1},
		{"{", 2},
		{"{\"a\"}", 5},
		{"{\"a\":}", 6},
		{"{\"a\":1,}", 8},
		{"{\"a\":1} x", 9},
		{"{\"a\":nul}", 6},
		{"{\"a\":\"x", 0},
		{"{\"a\":\"\\", 0},
		{"{\"a\":\"\\x\"}", 0},
		{"{\"a\":\"\\u12\"}", 0},
		{"{\"a\":NaN}", 6},
		{"{\"a\":1e999}", 0},
		{"{\"a\":--1}", 0},
		{"{\"a\":[1}", 0},
		{"{\"a\":[", 0},
		{"{'a':1}", 2},
	};
	struct jsonl_value v = {.name = "a"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t column = 0, n = strlen(bad[i].line);
		if (jsonl_parse(bad[i].line, n, &v, 1, &column) == 0)
			fail_msg("accepted: %s", bad[i].line);
		if (bad[i].column && column != bad[i].column)
			fail_msg("%s: column %zu, expected %zu", bad[i].line, column, bad[i].column);
		assert_true(column >= 1 && column <= n + 1);
	}
	jsonl_release(&v, 1);
}

/* Every cut of a line, and every byte of it replaced: never beyond the end (ASan watches), never a crash. */
static void test_any_bytes(void **state)
{
	(void)state;
	static const char line[] = "{\"id\":3,\"text\":\"a\\u00e9\\\"b\",\"x\":[1,{\"y\":null}],\"score\":-0.25}";
	struct jsonl_value v[] = {{.name = "text"}, {.name = "score"}};
	size_t n = sizeof line - 1, column;
	for (size_t cut = 0; cut < n; cut++) {
		char *part = malloc(cut ? cut : 1);
		assert_non_null(part);
		memcpy(part, line, cut);
		assert_int_equal(jsonl_parse(part, cut, v, 2, &column), -1);
		for (size_t at = 0; at < cut; at++)
			for (int byte = 0; byte < 256; byte += 3) {
				char keep = part[at];
				part[at] = (char)byte;
				(void)jsonl_parse(part, cut, v, 2, &column);
				part[at] = keep;
			}
		free(part);
	}
	jsonl_release(v, 2);
}

struct seen {
	char text[512];
};

static void see(void *ctx, const struct jsonl_value *v)
{
	struct seen *seen = ctx;
	size_t n = strlen(seen->text);
	if (v->kind == JSONL_NUMBER)
		snprintf(seen->text + n, sizeof seen->text - n, "%s=%g ", v->name, v->number);
	else
		snprintf(seen->text + n, sizeof seen->text - n, "%s:%d ", v->name, (int)v->kind);
}

static void assert_members(const char *line, int result, const char *expected)
{
	struct seen seen = {""};
	size_t column;
	assert_int_equal(jsonl_each(line, strlen(line), see, &seen, &column), result);
	assert_string_equal(seen.text, expected);
}

static void test_every_member(void **state)
{
	(void)state;
	assert_members("{\"a\":1,\"b c\":-2.5}", 0, "a=1 b c=-2.5 ");
	assert_members("{\"train\":{\"loss\":0.5,\"in\":{\"x\":1}},\"t\":2}", 0, "train.loss=0.5 train.in.x=1 t=2 ");
	assert_members("{\"a\":NaN,\"b\":Infinity,\"c\":-Infinity}", 0, "a=nan b=inf c=-inf ");
	assert_members("{\"a\":[1,{\"b\":2}],\"c\":null,\"d\":{}}", 0, "a:6 c:1 ");
	assert_members("{\"a\":1,\"b\":}", -1, "a=1 ");
	assert_members("{\"a\":Nan}", -1, "");
	struct jsonl_value v = {.name = "a"};
	size_t column;
	assert_int_equal(jsonl_parse("{\"a\":NaN}", 9, &v, 1, &column), -1); /* our own files have none */
	char deep[1024] = "";
	for (int i = 0; i < 100; i++)
		strcat(deep, "{\"a\":");
	assert_members(deep, -1, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_every_member),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
