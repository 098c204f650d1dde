/* test_columns.c - base/columns.c: CSV, TSV and JSON lines, whole, in pieces, and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/columns.h"
#include "base/fs.h"

static char path[] = "/tmp/test_columns.XXXXXX";

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

static int read_text(struct columns_file *t, enum columns_format format, const char *text, size_t n, size_t limit,
		     struct err *err)
{
	struct columns_map columns = {format, (char *)"mr", (char *)"ref"};
	*err = (struct err){0};
	assert_int_equal(fs_write_file(path, text, n, err), 0);
	return columns_open(t, path, &columns, limit, err);
}

static void open_text(struct columns_file *t, enum columns_format format, const char *text)
{
	struct err err;
	if (read_text(t, format, text, strlen(text), 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void assert_row(const struct columns_file *t, size_t i, size_t line, const char *input, const char *target)
{
	assert_true(i < t->n);
	const struct columns_row *row = &t->rows[i];
	assert_int_equal(row->line, line);
	assert_int_equal(row->n_input, strlen(input));
	assert_memory_equal(row->input, input, row->n_input);
	assert_int_equal(row->n_target, strlen(target));
	assert_memory_equal(row->target, target, row->n_target);
}

static void refused(enum columns_format format, const char *text, size_t n, const char *sentence)
{
	struct columns_file t;
	struct err err;
	char expected[1300];
	snprintf(expected, sizeof expected, "%s:%s", path, sentence);
	if (read_text(&t, format, text, n, 0, &err) == 0)
		fail_msg("taken, but expected: %s", expected);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, expected))
		fail_msg("found `%s`, expected `%s`", err.text, expected);
	assert_null(t.rows);
}

#define REFUSED(format, text, sentence) refused(format, text, sizeof(text) - 1, sentence)

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(columns_format_of("a/b.csv"), COLUMNS_CSV);
	assert_int_equal(columns_format_of("B.CSV.gz"), COLUMNS_CSV);
	assert_int_equal(columns_format_of("x.tsv.GZ"), COLUMNS_TSV);
	assert_int_equal(columns_format_of("x.jsonl"), COLUMNS_JSONL);
	assert_int_equal(columns_format_of("x.ndjson"), COLUMNS_JSONL);
	assert_int_equal(columns_format_of("x.json"), COLUMNS_JSONL);
	assert_int_equal(columns_format_of("x.parquet"), COLUMNS_PARQUET);
	static const char *const none[] = {"",    "csv",       "x.txt",  "x.gz",    ".csv", "a/.csv",
					   ".gz", "x.csv.txt", "x.csvs", "a.csv/x", "gz",   "x.csv.bz2"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(columns_format_of(none[i]), COLUMNS_NONE);
	for (int i = COLUMNS_CSV; i <= COLUMNS_JSONL; i++)
		assert_int_equal(columns_format_named(columns_format_name((enum columns_format)i)), i);
	assert_int_equal(columns_format_named("parquet"), COLUMNS_NONE);
	assert_int_equal(columns_format_named(""), COLUMNS_NONE);
}

static void test_csv(void **state)
{
	(void)state;
	static const char text[] = "\xEF\xBB\xBF\"ref\",id,mr\r\n"
				   "one,1,a\r\n"
				   "\r\n"
				   "\"two, \"\"quoted\"\"\",2,\"b\r\nc\"\r\n"
				   " three \"3\" ,3,\"\"\"\"\n"
				   "f\xC3\xBCnf,,d";
	struct columns_file t;
	open_text(&t, COLUMNS_CSV, text);
	assert_int_equal(t.n, 4);
	assert_row(&t, 0, 2, "a", "one");
	assert_row(&t, 1, 4, "b\nc", "two, \"quoted\"");
	assert_row(&t, 2, 6, "\"", " three \"3\" ");
	assert_row(&t, 3, 7, "d", "f\xC3\xBCnf");
	columns_close(&t);

	open_text(&t, COLUMNS_TSV, "mr\tref\na,b\t\"c\td\"\ne\tf\r");
	assert_int_equal(t.n, 2);
	assert_row(&t, 0, 2, "a,b", "c\td");
	assert_row(&t, 1, 3, "e", "f");
	columns_close(&t);
}

static void test_jsonl(void **state)
{
	(void)state;
	struct columns_file t;
	open_text(&t, COLUMNS_JSONL,
		  "\xEF\xBB\xBF{\"ref\": \"one\", \"x\": [1, {\"mr\": 2}], \"mr\": \"a\"}\r\n"
		  "\n"
		  "{\"mr\": \"\\u00e4\\n\\\"\", \"ref\": \"\\ud83d\\ude00 \\/\"}");
	assert_int_equal(t.n, 2);
	assert_row(&t, 0, 1, "a", "one");
	assert_row(&t, 1, 3, "\xC3\xA4\n\"", "\xF0\x9F\x98\x80 /");
	columns_close(&t);
}

/* Inputs alone: nobody looks at targets. */
static void test_no_target(void **state)
{
	(void)state;
	static const char *const texts[] = {"mr,x\na,\nb,1\n", "mr\tx\na\t\nb\t1\n",
					    "{\"mr\":\"a\"}\n{\"mr\":\"b\"}\n"};
	for (int f = 0; f < 3; f++) {
		struct columns_map columns = {(enum columns_format)(COLUMNS_CSV + f), (char *)"mr", NULL};
		struct columns_file t;
		struct err err = {0};
		assert_int_equal(fs_write_file(path, texts[f], strlen(texts[f]), &err), 0);
		assert_int_equal(columns_open(&t, path, &columns, 0, &err), 0);
		assert_int_equal(t.n, 2);
		assert_memory_equal(t.rows[1].input, "b", 1);
		assert_int_equal(t.rows[1].n_target, 0);
		columns_close(&t);
	}
}

static void test_limit_and_gzip(void **state)
{
	(void)state;
	static const char text[] = "mr,ref\n\"a\n\n\",1\nb,2\n\nc,3\nbad\n";
	struct columns_file t;
	struct err err = {0};
	for (size_t limit = 1; limit <= 3; limit++) {
		assert_int_equal(read_text(&t, COLUMNS_CSV, text, sizeof text - 1, limit, &err), 0);
		assert_int_equal(t.n, limit);
		columns_close(&t);
	}
	REFUSED(COLUMNS_CSV, text, "8: the row has 1 field, but the header has 2");

	struct columns_map columns = {COLUMNS_CSV, (char *)"mr", (char *)"ref"};
	gzFile file = gzopen(path, "wb");
	gzwrite(file, text, sizeof text - 1);
	gzclose(file);
	assert_int_equal(columns_open(&t, path, &columns, 3, &err), 0);
	assert_row(&t, 0, 2, "a\n\n", "1");
	assert_row(&t, 2, 7, "c", "3");
	columns_close(&t);
}

static void test_group(void **state)
{
	(void)state;
	static const size_t number[] = {0, 1, 0, 2, 1, 0, 3};
	struct columns_file t;
	open_text(&t, COLUMNS_CSV, "mr,ref\nz,1\na,2\nz,3\nzz,4\na,5\nz,6\n\"z \",7\n");
	columns_group(&t);
	assert_int_equal(t.n, 7);
	assert_int_equal(t.n_inputs, 4);
	size_t seen = 0;
	for (size_t i = 0; i < t.n; i++) {
		assert_int_equal(t.rows[i].number, number[i]);
		assert_int_equal(t.rows[i].first, number[i] == seen);
		seen += t.rows[i].first;
	}
	columns_close(&t);
}

static void test_refused(void **state)
{
	(void)state;
	REFUSED(COLUMNS_CSV, "", " the file is empty");
	REFUSED(COLUMNS_CSV, "mr,ref\n", " there is no row in the file");
	REFUSED(COLUMNS_CSV, "\n \n", "3: the header has no column `mr`");
	REFUSED(COLUMNS_CSV, "\nMR,ref\na,b\n",
		"2: the header has no column `mr`, but `MR`, `ref`; did you mean `MR`?");
	REFUSED(COLUMNS_CSV, "mr;ref\na;b\n", "1: the header has no column `mr`, but `mr;ref`");
	REFUSED(COLUMNS_CSV, "mr,ref,mr\na,b,c\n", "1: the header has two columns `mr`");
	REFUSED(COLUMNS_CSV, "mr,ref\na,b\nc\n", "3: the row has 1 field, but the header has 2; a text with a comma");
	REFUSED(COLUMNS_TSV, "mr\tref\na\tb\tc\n", "2: the row has 3 fields, but the header has 2; a text with a tab");
	REFUSED(COLUMNS_CSV, "mr,ref\na,b\nc,\"d\ne,f\n", "3: a quote opens a field here and is never closed");
	REFUSED(COLUMNS_CSV, "mr,ref\na,\"b\nc\"d\ne,f\n",
		"3: text behind the closing quote of a field that opens in line 2");
	REFUSED(COLUMNS_CSV, "mr,ref\ra,b\r", "1: a carriage return without a line feed");
	REFUSED(COLUMNS_CSV, "mr,ref\na,b\nc,\xE9\n", "3:3: byte 0xe9 is not UTF-8");
	REFUSED(COLUMNS_CSV, "mr,ref\na,b\0\nc,\xE9\n", "2: the line holds a NUL");
	REFUSED(COLUMNS_CSV, "\xFF\xFEm\0r\0", "1:1: byte 0xff is not UTF-8");
	REFUSED(COLUMNS_CSV, "mr,ref\na,b\n,c\n", "3: the column `mr` is empty");
	REFUSED(COLUMNS_CSV, "mr,ref\na,\" \n\"\n", "2: the column `ref` is empty");
	REFUSED(COLUMNS_CSV, "PAR1\x15\x04", " a Parquet file; convert it first");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":\"b\"}\n{\"mr\":\"a\",\"refs\":\"b\"}\n",
		"2: the object has no member `ref`, but `mr`, `refs`; did you mean `refs`?");
	REFUSED(COLUMNS_JSONL, "{}", "1: the object has no member `mr`, but none at all");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":null}", "1: `ref` is null; expected a text");
	REFUSED(COLUMNS_JSONL, "{\"mr\":5,\"ref\":\"b\"}", "1: `mr` is a number; expected a text");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":[\"b\"]}",
		"1: `ref` is a list or object; expected a text, one on each");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":\"\\u0000\"}", "1: `ref` holds a NUL");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":\"\"}", "1: the column `ref` is empty");
	REFUSED(COLUMNS_JSONL, "[{\"mr\":\"a\",\"ref\":\"b\"}]",
		"1:1: expected a JSON object on each line; a list becomes");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\",\"ref\":\"b\"}\nx\n", "2:1: expected a JSON object on each line");
	REFUSED(COLUMNS_JSONL, "{\"mr\":\"a\"\xE9,\"ref\":\"b\"}", "1:10: byte 0xe9 is not UTF-8");
}

/* Wherever a file is cut off, it is either whole rows or refused; never read beyond its end. */
static void test_any_cut(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"mr,ref\r\n\"a\"\"\r\n,\",b\r\n\r\nc,\"\"\"d\"\"\"\r\n", "mr\tref\na\t\"b\"\n\"c\"\td\n",
		"{\"mr\":\"a\\u00e4\",\"ref\":\"b\"}\n\n{\"ref\":\"\\\\\",\"mr\":\"\\ud83d\\ude00\"}\n"};
	for (int f = 0; f < 3; f++) {
		size_t last = 0;
		for (size_t n = 1; n <= strlen(texts[f]); n++) {
			struct columns_file t;
			struct err err;
			if (read_text(&t, (enum columns_format)(COLUMNS_CSV + f), texts[f], n, 0, &err) == 0) {
				assert_in_range(t.n, last, 2);
				last = t.n;
				columns_close(&t);
			} else {
				assert_int_equal(err.kind, ERR_INPUT);
			}
		}
		assert_int_equal(last, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),          cmocka_unit_test(test_csv),
		cmocka_unit_test(test_jsonl),          cmocka_unit_test(test_no_target),
		cmocka_unit_test(test_limit_and_gzip), cmocka_unit_test(test_group),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_any_cut),
	};
	return cmocka_run_group_tests_name("columns", tests, make_file, remove_file);
}
