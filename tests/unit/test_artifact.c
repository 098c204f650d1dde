/* test_artifact.c - is it there and whole, and the commit that does not lose a good folder for a bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/artifact.h"
#include "base/buf.h"
#include "base/mem.h"

#define KEY   "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222222222222222222222222222"

static char *base, *place;

static int setup(void **state)
{
	(void)state;
	base = mem_strdup("/tmp/test_artifact.XXXXXX");
	place = mem_printf("%s/a", mkdtemp(base) ? base : "");
	return place[0] == '/' ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fs_remove_tree(base);
	free(base);
	free(place);
	return 0;
}

static void make(const char *lines)
{
	struct fs_dir d;
	struct err err = {0};
	assert_int_equal(fs_dir_begin(&d, place, &err), 0);
	assert_int_equal(fs_dir_write(&d, "hypotheses.jsonl", lines, strlen(lines), &err), 0);
	assert_int_equal(fs_dir_write(&d, "README.md", "words", 5, &err), 0);
	if (artifact_commit(&d, KEY, JOB_DECODE, "\"split\":\"dev\",\"count\":2", &err) < 0)
		fail_msg("%s", err.text);
}

static void put(const char *name, const char *bytes, size_t n)
{
	struct err err = {0};
	char *path = fs_join(place, name);
	assert_int_equal(fs_make_dirs(place, &err), 0);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void expect_of(enum job_kind kind, enum artifact_depth depth, enum artifact_state state, const char *needle)
{
	struct err why = {0};
	enum artifact_state found = artifact_look(place, KEY, kind, depth, &why);
	if (found != state || !strstr(why.text, needle))
		fail_msg("expected %d with `%s`, got %d with `%s`", (int)state, needle, (int)found, why.text);
}

static void expect(enum artifact_depth depth, enum artifact_state state, const char *needle)
{
	expect_of(JOB_DECODE, depth, state, needle);
}

static void expect_lines(const char *expected)
{
	struct buf text = BUF_INIT;
	struct err err = {0};
	char *path = fs_join(place, "hypotheses.jsonl");
	assert_int_equal(buf_read_file(&text, path, 1 << 20, &err), 0);
	assert_string_equal(text.data, expected);
	buf_release(&text);
	free(path);
}

static void test_whole(void **state)
{
	(void)state;
	expect(ARTIFACT_SIZES, ARTIFACT_ABSENT, "");
	make("one\ntwo\n");
	expect(ARTIFACT_SIZES, ARTIFACT_WHOLE, "");
	expect(ARTIFACT_BYTES, ARTIFACT_WHOLE, "");
	expect_of(JOB_TRAIN, ARTIFACT_SIZES, ARTIFACT_BROKEN, "holds hypotheses, not adapter");
	struct artifact a;
	struct err err = {0};
	assert_int_equal(artifact_read(&a, place, NULL, &err), 0);
	assert_int_equal(a.kind, JOB_DECODE);
	assert_true(a.listed);
	assert_int_equal(a.n_files, 1); /* not README.md, which people may change */
	assert_string_equal(a.files[0].name, "hypotheses.jsonl");
	assert_int_equal(a.files[0].size, 8);
	artifact_release(&a);
	assert_int_equal(artifact_read(&a, place, OTHER, &err), -1);
	assert_non_null(strstr(err.text, "`key`: expected 2222"));
	artifact_release(&a);
	put_text("README.md", "other words");
	expect(ARTIFACT_BYTES, ARTIFACT_WHOLE, "");
}

static void test_broken(void **state)
{
	(void)state;
	make("one\ntwo\n");
	put_text("hypotheses.jsonl", "one\ntwO\n"); /* a flipped bit */
	expect(ARTIFACT_SIZES, ARTIFACT_WHOLE, "");
	expect(ARTIFACT_BYTES, ARTIFACT_BROKEN, "hypotheses.jsonl does not have the bytes");
	put_text("hypotheses.jsonl", "one\n"); /* cut */
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "hypotheses.jsonl has 4 bytes, it was made with 8");
	char *path = fs_join(place, "hypotheses.jsonl");
	assert_int_equal(unlink(path), 0);
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "hypotheses.jsonl is missing");
	assert_int_equal(mkdir(path, 0777), 0);
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "not a plain file");
	free(path);
	static const char *const cards[][2] = {
		{"", "not valid JSON"},
		{"[]", "`kind` is missing"},
		{"{\"kind\":\"bird\",\"key\":\"" KEY "\"}", "`kind`: expected adapter"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" OTHER "\"}", "`key`: expected"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"files\":{}}", "`files`"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"files\":[1]}", "`files`"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"files\":{\"../x\":{\"size\":1,\"sha256\":\"\"}}}",
		 "no name of a file"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"files\":{\"x\":{\"size\":-1,\"sha256\":\"\"}}}",
		 "size"},
		{"{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"files\":{\"x\":{\"size\":1,\"sha256\":\"00\"}}}",
		 "has 2 digits"},
	};
	for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
		put_text(ARTIFACT_CARD, cards[i][0]);
		expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, cards[i][1]);
	}
	fs_remove_tree(place);
	assert_int_equal(mkdir(place, 0777), 0); /* an empty folder */
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, ARTIFACT_CARD);
}

/* Cards of 12aba00 name no files. */
static void test_older(void **state)
{
	(void)state;
	put_text(ARTIFACT_CARD, "{\"kind\":\"hypotheses\",\"key\":\"" KEY "\",\"split\":\"dev\",\"count\":2}");
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "hypotheses.jsonl");
	put_text("hypotheses.jsonl", "{}\n{}\n");
	expect(ARTIFACT_BYTES, ARTIFACT_WHOLE, "");
	put_text("hypotheses.jsonl", "{}\n{");
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "expected 2 lines");
	put_text("hypotheses.jsonl", "{}\n");
	expect(ARTIFACT_SIZES, ARTIFACT_BROKEN, "expected 2 lines as artifact.json says, found 1");

	static const char header[] = "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
	char weights[8 + sizeof header - 1 + 4] = {sizeof header - 1};
	memcpy(weights + 8, header, sizeof header - 1);
	put_text(ARTIFACT_CARD, "{\"kind\":\"adapter\",\"key\":\"" KEY "\"}");
	put("adapter_model.safetensors", weights, sizeof weights);
	expect_of(JOB_TRAIN, ARTIFACT_SIZES, ARTIFACT_BROKEN, "adapter_config.json");
	put_text("adapter_config.json", "{}");
	expect_of(JOB_TRAIN, ARTIFACT_BYTES, ARTIFACT_WHOLE, "");
	for (size_t n = 0; n < sizeof weights; n += 7) {
		put("adapter_model.safetensors", weights, n);
		expect_of(JOB_TRAIN, ARTIFACT_SIZES, ARTIFACT_BROKEN,
			  "adapter_model.safetensors is missing or damaged");
	}
	memset(weights, 0xff, 8);
	put("adapter_model.safetensors", weights, sizeof weights);
	expect_of(JOB_TRAIN, ARTIFACT_SIZES, ARTIFACT_BROKEN, "adapter_model.safetensors is missing or damaged");
}

static void test_commit(void **state)
{
	(void)state;
	char *aside = mem_printf("%s.unusable", place);
	/* an incomplete folder in the place: once it was kept, and the good one thrown away */
	put_text("hypotheses.jsonl", "o");
	make("one\ntwo\n");
	expect(ARTIFACT_BYTES, ARTIFACT_WHOLE, "");
	expect_lines("one\ntwo\n");
	assert_true(fs_is_dir(aside));
	fs_remove_tree(aside);
	/* a whole one stays */
	make("ONE\nTWO\n");
	expect_lines("one\ntwo\n");
	assert_false(fs_exists(aside));
	/* one with a flipped byte does not */
	put_text("hypotheses.jsonl", "one\ntwO\n");
	make("one\ntwo\n");
	expect_lines("one\ntwo\n");
	assert_true(fs_is_dir(aside));
	/* nor does a plain file, or a second broken folder */
	fs_remove_tree(place);
	FILE *f = fopen(place, "wb");
	assert_non_null(f);
	fclose(f);
	make("one\ntwo\n");
	expect_lines("one\ntwo\n");
	struct err err = {0};
	fs_remove_tree(place);
	assert_int_equal(fs_make_dirs(place, &err), 0);
	put_text("x", "y");
	make("one\ntwo\n");
	expect_lines("one\ntwo\n");
	free(aside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
