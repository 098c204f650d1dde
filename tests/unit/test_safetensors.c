/* test_safetensors.c - safetensors.c: a file that the Rust writer made, the same bytes back, and files made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "safetensors.h"

#define GOLDEN SOURCE_DIR "/tests/golden/text/mixed.safetensors"

static void read_golden(struct buf *file)
{
	struct err err = {0};
	assert_int_equal(buf_read_file(file, GOLDEN, 1 << 20, &err), 0);
}

static void assert_widened(const struct safetensors *st, const char *name, const float *expected, size_t n)
{
	const struct safetensors_tensor *t = safetensors_find(st, name);
	float out[16];
	assert_non_null(t);
	assert_int_equal(t->count, n);
	safetensors_widen(t, out);
	for (size_t i = 0; i < n; i++)
		if (memcmp(&out[i], &expected[i], sizeof *out) != 0)
			fail_msg("%s[%zu] is %a, expected %a", name, i, (double)out[i], (double)expected[i]);
}

static void test_golden(void **state)
{
	(void)state;
	struct err err = {0};
	struct safetensors st;
	assert_int_equal(safetensors_open(&st, GOLDEN, &err), 0);
	assert_int_equal(st.n, 8);
	assert_null(safetensors_find(&st, "c.weight"));
	const struct safetensors_tensor *b = safetensors_find(&st, "b.weight");
	assert_int_equal(b->type, SAFETENSORS_F32);
	assert_int_equal(b->rank, 2);
	assert_int_equal(b->shape[0], 3);
	assert_int_equal(b->shape[1], 5);
	assert_non_null(safetensors_floats(b));
	assert_int_equal(safetensors_find(&st, "empty")->count, 0);
	assert_int_equal(safetensors_find(&st, "long")->type, SAFETENSORS_I64);
	assert_false(safetensors_is_float(SAFETENSORS_I64));
	assert_widened(&st, "scalar", (float[]){2.5f}, 1);
	assert_widened(&st, "half",
		       (float[]){0, -0.0f, 1, -2.5f, 65504, 0x1p-24f, 0x1p-14f * 0x3ffp-10f, INFINITY, -INFINITY}, 9);
	assert_widened(&st, "brain", (float[]){0, 1, -3.140625f, 0x1.2cp126f, 0x1p-133f}, 5);
	/* And back: the Rust writer's own bytes. */
	struct buf file = BUF_INIT, written = BUF_INIT;
	read_golden(&file);
	safetensors_write(st.tensors, st.n, &written);
	assert_int_equal(written.size, file.size);
	assert_memory_equal(written.data, file.data, file.size);
	buf_release(&file);
	buf_release(&written);
	safetensors_close(&st);
}

/* No prefix of a good file is a good file, and none reads past its end (ASan watches the exact allocation). */
static void test_truncated(void **state)
{
	(void)state;
	struct buf file = BUF_INIT;
	read_golden(&file);
	for (size_t n = 0; n < file.size; n++) {
		struct err err = {0};
		struct safetensors st;
		char *copy = mem_alloc(n);
		memcpy(copy, file.data, n);
		if (safetensors_parse(&st, copy, n, "file", &err) == 0)
			fail_msg("%zu of %zu bytes were taken", n, file.size);
		assert_int_equal(err.kind, ERR_INPUT);
		free(copy);
	}
	buf_release(&file);
}

/* A header of this text and `data` zero bytes behind it. */
static int parse_text(const char *header, size_t data, struct err *err)
{
	size_t n = strlen(header);
	char *bytes = mem_zero(8 + n + data, 1);
	for (int i = 0; i < 8; i++)
		bytes[i] = (char)((uint64_t)n >> 8 * i);
	memcpy(bytes + 8, header, n);
	struct safetensors st;
	int result = safetensors_parse(&st, bytes, 8 + n + data, "file", err);
	if (result == 0) {
		float out[64];
		for (size_t i = 0; i < st.n; i++)
			if (safetensors_is_float(st.tensors[i].type) && st.tensors[i].count <= 64)
				safetensors_widen(&st.tensors[i], out);
		safetensors_close(&st);
	}
	free(bytes);
	return result;
}

static void refused(const char *header, size_t data, const char *needle)
{
	struct err err = {0};
	if (parse_text(header, data, &err) == 0)
		fail_msg("taken: %s", header);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

#define F32(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_hostile(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(parse_text("{}", 0, &err), 0);
	assert_int_equal(parse_text("{\"a\":" F32("[2]", "[0,8]") "}   ", 8, &err), 0);
	assert_int_equal(parse_text("{\"a\":" F32("[2]", "[4,12]") ",\"b\":" F32("[]", "[0,4]") "}", 12, &err), 0);
	assert_int_equal(parse_text("{\"a\":" F32("[0,9]", "[8,8]") ",\"b\":" F32("[2]", "[0,8]") "}", 8, &err), 0);
	assert_int_equal(parse_text("{\"__metadata__\":{\"x\":\"y\"}}", 0, &err), 0);

	refused("[]", 0, "not a JSON object");
	refused(" {}", 0, "not a JSON object");
	refused("{", 0, "not a JSON object");
	refused("{\"a\":", 0, "not valid JSON");
	refused("{}x", 0, "not valid JSON");
	refused("{\"a\":1}", 0, "not described by an object");
	refused("{\"__metadata__\":1}", 0, "`__metadata__`");
	refused("{\"__metadata__\":{\"x\":1}}", 0, "`__metadata__`");
	refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
	refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "unknown type `F31`");
	refused("{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "no `dtype`");
	refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no `shape`");
	refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[0]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[0,8,8]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[\"0\",8]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[-4,4]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[0.5,8.5]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[0,1e300]") "}", 8, "`data_offsets` is not");
	refused("{\"a\":" F32("[2]", "[8,0]") "}", 8, "needs 8 bytes");
	refused("{\"a\":" F32("[3]", "[0,8]") "}", 8, "needs 12 bytes");
	refused("{\"a\":" F32("[-2]", "[0,8]") "}", 8, "not a whole number");
	refused("{\"a\":" F32("[2.5]", "[0,10]") "}", 10, "not a whole number");
	refused("{\"a\":" F32("[null]", "[0,8]") "}", 8, "not a whole number");
	refused("{\"a\":" F32("[4294967296,4294967296]", "[0,0]") "}", 0, "more elements than any file");
	refused("{\"a\":" F32("[4611686018427387904,4]", "[0,0]") "}", 0, "not a whole number");
	refused("{\"a\":" F32("[4503599627370496,1024]", "[0,0]") "}", 0, "more elements than any file");
	refused("{\"a\":" F32("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 16 dimensions");
	refused("{\"a\":" F32("[2]", "[0,8]") ",\"a\":" F32("[2]", "[8,16]") "}", 16, "there twice");
	refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[4,12]") "}", 12, "overlap");
	refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[0,8]") "}", 8, "overlap");
	refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[12,20]") "}", 20, "leave a gap");
	refused("{\"a\":" F32("[2]", "[4,12]") "}", 12, "leave a gap");
	refused("{\"a\":" F32("[2]", "[0,8]") "}", 7, "cut short");
	refused("{\"a\":" F32("[2]", "[0,8]") "}", 9, "1 bytes follow");
	refused("{\"a\":" F32("[2251799813685248]", "[0,9007199254740992]") "}", 16, "cut short");

	/* Lengths of the header that lie. */
	static const unsigned char lies[][10] = {
		{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, '{', '}'},
		{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'},
		{0, 0, 0, 0, 0, 0, 0, 0, '{', '}'},
		{2, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'},
	};
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct safetensors st;
		assert_int_equal(safetensors_parse(&st, lies[i], 10, "file", &err), -1);
		assert_non_null(strstr(err.text, "not a safetensors file"));
	}
}

/* Deep nesting must end in a sentence, not in a stack overflow. */
static void test_nesting(void **state)
{
	(void)state;
	struct buf header = BUF_INIT;
	buf_adds(&header, "{\"a\":");
	for (int i = 0; i < 1000000; i++)
		buf_addc(&header, '[');
	refused(header.data, 0, "not valid JSON");
	buf_release(&header);
}

/* Every byte of the header changed to every other value: never a crash, never a read outside (ASan), at most a
 * sentence. */
static void test_mutated(void **state)
{
	(void)state;
	struct buf file = BUF_INIT;
	read_golden(&file);
	size_t header = 8 + (unsigned char)file.data[0] + 256u * (unsigned char)file.data[1];
	char *copy = mem_alloc(file.size);
	for (size_t i = 0; i < header; i++) {
		for (int change = 1; change < 256; change = change * 2 + 1) {
			struct err err = {0};
			struct safetensors st;
			memcpy(copy, file.data, file.size);
			copy[i] = (char)(copy[i] ^ change);
			if (safetensors_parse(&st, copy, file.size, "file", &err) == 0)
				safetensors_close(&st);
			else
				assert_int_equal(err.kind, ERR_INPUT);
		}
	}
	free(copy);
	buf_release(&file);
}

/* Data that starts at an odd address is still read, through a copy. */
static void test_unaligned(void **state)
{
	(void)state;
	const char *header = "{\"a\":" F32("[2]", "[0,8]") "}";
	size_t n = strlen(header);
	char *bytes = mem_zero(8 + n + 8 + 1, 1), *start = bytes + ((8 + n) % 4 == 0);
	start[0] = (char)n;
	memcpy(start + 8, header, n);
	memcpy(start + 8 + n, (float[]){1.5f, -2}, 8);
	struct err err = {0};
	struct safetensors st;
	assert_int_equal(safetensors_parse(&st, start, 8 + n + 8, "file", &err), 0);
	assert_null(safetensors_floats(&st.tensors[0]));
	assert_widened(&st, "a", (float[]){1.5f, -2}, 2);
	safetensors_close(&st);
	free(bytes);
}

static void test_files(void **state)
{
	(void)state;
	struct err err = {0};
	struct safetensors st;
	assert_int_equal(safetensors_open(&st, "/nonexistent/model.safetensors", &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(safetensors_open(&st, "/tmp", &err), -1);
	assert_non_null(strstr(err.text, "plain file"));
	char path[] = "/tmp/test_safetensors.XXXXXX";
	close(mkstemp(path));
	assert_int_equal(safetensors_open(&st, path, &err), -1);
	assert_non_null(strstr(err.text, "0 bytes are too few"));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),  cmocka_unit_test(test_truncated), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_nesting), cmocka_unit_test(test_mutated),   cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
