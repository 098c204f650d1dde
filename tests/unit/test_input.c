/* test_input.c - files that must stay as they are: what counts as changed, and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/input.h"
#include "base/mem.h"

static char folder[] = "/tmp/test_input.XXXXXX";
static struct err err;

static char *place(const char *name)
{
	return fs_join(folder, name);
}

static void put(const char *name, const char *text)
{
	char *path = place(name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static struct input look(const char *name)
{
	struct input in = {.path = place(name)};
	assert_int_equal(input_look(in.path, in.seen, &err), 0);
	if (in.seen[0])
		assert_int_equal(hash_file(in.path, in.sha256, &err), 0);
	return in;
}

static void expect_changed(struct input *in, const char *why)
{
	err = (struct err){0};
	assert_int_equal(input_check(in, &err), -1);
	assert_int_equal(err.kind, ERR_CHANGED);
	if (!strstr(err.text, in->path) || !strstr(err.text, why))
		fail_msg("expected `%s` in: %s", why, err.text);
	free(in->path);
}

/* Written again right after it was looked at, over and over: a look must never stay the same within a tick. */
static void test_same_tick(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		put("a", "one");
		struct input in = look("a");
		put("a", "two");
		expect_changed(&in, "its digest was");
	}
}

static void test_replaced(void **state)
{
	(void)state;
	put("a", "one");
	put("b", "two");
	struct input in = look("a");
	char *a = place("a"), *b = place("b");
	assert_int_equal(rename(b, a), 0);
	expect_changed(&in, "its digest was");
	in = look("a");
	assert_int_equal(unlink(a), 0);
	expect_changed(&in, "it is gone");
	in = look("a");
	assert_string_equal(in.seen, "");
	assert_int_equal(input_check(&in, &err), 0); /* still none */
	put("a", "");
	expect_changed(&in, "not there before");
	/* a folder in the place of the file */
	in = look("a");
	unlink(a);
	assert_int_equal(mkdir(a, 0777), 0);
	expect_changed(&in, a);
	rmdir(a);
	free(a);
	free(b);
}

/* The same bytes with other times, or as another file: fine, and looked at once. */
static void test_only_touched(void **state)
{
	(void)state;
	put("a", "one");
	struct input in = look("a");
	char before[INPUT_LOOK];
	memcpy(before, in.seen, sizeof before);
	put("a", "one");
	assert_int_equal(input_check(&in, &err), 0);
	assert_string_not_equal(in.seen, before);
	memcpy(before, in.seen, sizeof before);
	assert_int_equal(input_check_all(&in, 1, &err), 0);
	assert_string_equal(in.seen, before);
	char *a = place("a"), *b = place("b");
	put("b", "one");
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(input_check(&in, &err), 0);
	/* with no look at all (a job file from another machine) the bytes decide */
	in.seen[0] = '\0';
	assert_int_equal(input_check(&in, &err), 0);
	assert_true(in.seen[0]);
	free(in.path);
	free(a);
	free(b);
}

static int begin(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	fs_remove_tree(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_tick),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_only_touched),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
