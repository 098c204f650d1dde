/* test_tokenizer.c - tokenizer.c, tokenizer_load.c and bpe.c against `tokenizers` (tests/golden/text,
 * tools/goldens_text.py), the vectors of docs/REFERENCE.md, 1, and files that are wrong. With a folder as argument it
 * is a tool: lines of hex-encoded text in, "ids|decoded text in hex" out, for tools/goldens_text.py --live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bpe.h"
#include "tokenizer.h"

#define GOLDEN SOURCE_DIR "/tests/golden/text"
#define GPT2   SOURCE_DIR "/../shared/gpt2"

static size_t unhex(const char *hex, char *out)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (char)byte;
	}
	out[n] = '\0';
	return n;
}

static struct tokenizer *open_or_fail(const char *dir)
{
	struct err err = {0};
	struct tokenizer *tok = tokenizer_open(dir, &err);
	if (!tok)
		fail_msg("%s", err.text);
	return tok;
}

static void assert_ids(struct tokenizer *tok, const char *text, size_t n, const int32_t *ids, size_t n_ids)
{
	struct err err = {0};
	struct tokenizer_ids got = {0};
	assert_int_equal(tokenizer_encode(tok, text, n, &got, &err), 0);
	if (got.n != n_ids || (n_ids && memcmp(got.id, ids, n_ids * sizeof *ids) != 0)) {
		for (size_t i = 0; i < got.n; i++)
			fprintf(stderr, "%d ", (int)got.id[i]);
		fail_msg("other ids for `%s`", text);
	}
	free(got.id);
}

/* Every case twice: the second time pieces come out of the cache. */
static void test_golden(void **state)
{
	(void)state;
	struct err err = {0};
	cJSON *cases = json_read_file(GOLDEN "/tokenizer_cases.json", (size_t)1 << 24, &err);
	assert_non_null(cases);
	struct tokenizer *tok = open_or_fail(GOLDEN "/tokenizer");
	assert_int_equal(tokenizer_size(tok), 419);
	static char text[1 << 16], decoded[1 << 16];
	static int32_t ids[1 << 16];
	size_t n_cases = 0;
	for (int round = 0; round < 2; round++) {
		const cJSON *item, *id;
		cJSON_ArrayForEach(item, cases)
		{
			size_t n_ids = 0;
			cJSON_ArrayForEach(id, cJSON_GetObjectItem(item, "ids")) ids[n_ids++] = id->valueint;
			const cJSON *hex = cJSON_GetObjectItem(item, "text");
			if (hex)
				assert_ids(tok, text, unhex(hex->valuestring, text), ids, n_ids);
			size_t n = unhex(cJSON_GetObjectItem(item, "decoded")->valuestring, decoded);
			struct buf out = BUF_INIT;
			tokenizer_decode(tok, ids, n_ids, true, &out);
			assert_int_equal(out.size, n);
			assert_memory_equal(out.data, decoded, n);
			buf_release(&out);
			n_cases++;
		}
	}
	assert_true(n_cases > 1000);
	cJSON_Delete(cases);
	tokenizer_close(tok);
}

static void test_vectors(void **state)
{
	(void)state;
	if (!fs_is_dir(GPT2)) {
		print_message("SKIPPED: %s is not there\n", GPT2);
		skip();
	}
	static const struct {
		const char *text;
		int32_t ids[32];
		size_t n;
	} vectors[] = {
		{"Hello world", {15496, 995}, 2},
		{" Hello world", {18435, 995}, 2},
		{"a  b   c", {64, 220, 275, 220, 220, 269}, 6},
		{"don't  we'll\n\n x", {9099, 470, 220, 356, 1183, 628, 2124}, 7},
		{"£30 ½ 10.50 — “q”", {14988, 1270, 25208, 838, 13, 1120, 851, 564, 250, 80, 447, 251}, 12},
		{"Convert the following table into English text: name : Alimentum | area : city centre | family "
		 "friendly : no "
		 "<|endoftext|> ",
		 {3103, 1851, 262,  1708, 3084, 656, 3594, 2420, 25,   1438, 1058, 978,   3681, 388,
		  930,  1989, 1058, 1748, 7372, 930, 1641, 8030, 1058, 645,  220,  50256, 220},
		 27},
		{"", {0}, 0},
		{"<|endoftext|>", {50256}, 1},
	};
	struct tokenizer *tok = open_or_fail(GPT2);
	assert_int_equal(tokenizer_size(tok), 50257);
	assert_string_equal(tokenizer_special_text(tok, 50256), "<|endoftext|>");
	assert_null(tokenizer_special_text(tok, 262));
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		assert_ids(tok, vectors[i].text, strlen(vectors[i].text), vectors[i].ids, vectors[i].n);
	/* Special tokens stay when they are not to be skipped. */
	struct buf out = BUF_INIT;
	tokenizer_decode(tok, (int32_t[]){15496, 50256, 995, -1, 99999}, 5, false, &out);
	assert_string_equal(out.data, "Hello<|endoftext|> world");
	buf_clear(&out);
	tokenizer_decode(tok, NULL, 0, true, &out);
	assert_string_equal(out.data, "");
	buf_release(&out);
	tokenizer_close(tok);
}

/* A hundred thousand letters without a space, a million spaces: no more than a moment, and nothing lost. */
static void test_long_words(void **state)
{
	(void)state;
	struct tokenizer *tok = open_or_fail(GOLDEN "/tokenizer");
	static const char *const units[] = {"a", "the", " ", "é", "restaurant", "1"};
	for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
		struct buf text = BUF_INIT, back = BUF_INIT;
		while (text.size < 300000)
			buf_adds(&text, units[u]);
		struct tokenizer_ids ids = {0};
		struct err err = {0};
		assert_int_equal(tokenizer_encode(tok, text.data, text.size, &ids, &err), 0);
		tokenizer_decode(tok, ids.id, ids.n, true, &back);
		assert_int_equal(back.size, text.size);
		assert_memory_equal(back.data, text.data, text.size);
		free(ids.id);
		buf_release(&text);
		buf_release(&back);
	}
	tokenizer_close(tok);
}

/* The heap of long pieces and the scan of short ones do the same: random rules, pieces cut at random. */
static void test_bpe_long_is_short(void **state)
{
	(void)state;
	uint32_t seed = 1;
	for (int trial = 0; trial < 200; trial++) {
		struct bpe bpe;
		bpe_init(&bpe, 60);
		for (uint32_t rank = 0; rank < 60; rank++) {
			seed = seed * 1664525 + 1013904223;
			bpe_add(&bpe, (int32_t)(seed >> 8) % (int32_t)(4 + rank),
				(int32_t)(seed >> 20) % (int32_t)(4 + rank), rank, (int32_t)(4 + rank));
		}
		int32_t whole[80], naive[80];
		size_t n = 49 + seed % 31, m = n;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			whole[i] = naive[i] = (int32_t)(seed >> 16) % 4;
		}
		/* The definition: try every rule in order of rank, leftmost first, start again after each join. */
		for (bool joined = true; joined;) {
			joined = false;
			int32_t best = INT32_MAX;
			size_t at = 0;
			for (size_t i = 0; i + 1 < m; i++) {
				int32_t two[2] = {naive[i], naive[i + 1]};
				if (bpe_merge(&bpe, two, 2) == 1 &&
				    two[0] < best) { /* a rule's rank is its result - 4 */
					best = two[0];
					at = i;
				}
			}
			if (best < INT32_MAX) {
				naive[at] = best;
				memmove(&naive[at + 1], &naive[at + 2], (m - at - 2) * sizeof *naive);
				m--;
				joined = true;
			}
		}
		assert_int_equal(bpe_merge(&bpe, whole, n), m);
		assert_memory_equal(whole, naive, m * sizeof *naive);
		bpe_release(&bpe);
	}
}

/* ------------------------------------------------------------------------------------------------ files */

static char scratch[64];

static void put_bytes(const char *name, const void *bytes, size_t n)
{
	struct err err = {0};
	char *path = fs_join(scratch, name);
	assert_int_equal(fs_write_file(path, bytes, n, &err), 0);
	free(path);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static void fresh(void)
{
	fs_remove_tree(scratch);
	snprintf(scratch, sizeof scratch, "/tmp/test_tokenizer.XXXXXX");
	assert_non_null(mkdtemp(scratch));
}

static void refused(const char *needle)
{
	struct err err = {0};
	struct tokenizer *tok = tokenizer_open(scratch, &err);
	assert_null(tok);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

/* The bundled tokenizer.json with one text replaced. */
static void put_changed(const char *from, const char *to)
{
	struct err err = {0};
	struct buf text = BUF_INIT, changed = BUF_INIT;
	assert_int_equal(buf_read_file(&text, GOLDEN "/tokenizer/tokenizer.json", 1 << 20, &err), 0);
	const char *at = strstr(text.data, from);
	assert_non_null(at);
	buf_add(&changed, text.data, (size_t)(at - text.data));
	buf_adds(&changed, to);
	buf_adds(&changed, at + strlen(from));
	put("tokenizer.json", changed.data);
	buf_release(&text);
	buf_release(&changed);
}

static void test_refuses(void **state)
{
	(void)state;
	fresh();
	refused("no tokenizer");
	put("vocab.json", "{\"a\": 0}");
	refused("no tokenizer");
	put("merges.txt", "#version: 0.2\n");
	refused("not a byte-level vocabulary");
	put("vocab.json", "{\"a\": 0");
	refused("not valid JSON");
	put("vocab.json", "[1]");
	refused("expected an object");
	put("vocab.json", "{\"a\": -1}");
	refused("expected an id");
	put("vocab.json", "{\"a\": 1e9}");
	refused("expected an id");
	put("vocab.json", "{\"a\": 1, \"a\": 2}");
	refused("there twice");
	put("vocab.json", "{\"a\": 1, \"b\": 1}");
	refused("two tokens have the id 1");
	put_changed("\"type\": \"BPE\"", "\"type\": \"WordPiece\"");
	refused("`WordPiece`; only GPT-2's byte-level BPE");
	put_changed("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
	refused("`normalizer` is set");
	put_changed("\"add_prefix_space\": false", "\"add_prefix_space\": true");
	refused("add_prefix_space");
	put_changed("\"type\": \"ByteLevel\"", "\"type\": \"Whitespace\"");
	refused("`pre_tokenizer` is `Whitespace`");
	put_changed("\"ignore_merges\": false", "\"ignore_merges\": true");
	refused("model.ignore_merges");
	put_changed("\"lstrip\": false", "\"lstrip\": true");
	refused("`lstrip`");
	put_changed("\"id\": 416", "\"id\": 5");
	refused("of another token");
	put_changed("\"merges\": [", "\"merges\": [[\"a\"],");
	refused("number 1 is not a pair");
	put_changed("\"merges\": [", "\"merges\": [[\"zzz\", \"a\"],");
	refused("the first part is not in the vocabulary");
	put_changed("\"merges\": [", "\"merges\": [\"a zzz\",");
	refused("the second part is not in the vocabulary");
	put_changed("\"merges\": [", "\"merges\": [\"Z Z\",");
	refused("the whole is not in the vocabulary");
	put("tokenizer.json", "{}");
	refused("`model` is missing");
	put("tokenizer.json", "");
	refused("not valid JSON");
}

/* vocab.json and merges.txt give what tokenizer.json gives; both forms of merges do. */
static void test_layouts(void **state)
{
	(void)state;
	struct err err = {0};
	fresh();
	cJSON *root = json_read_file(GOLDEN "/tokenizer/tokenizer.json", 1 << 20, &err);
	const cJSON *model = cJSON_GetObjectItem(root, "model"), *merge;
	char *vocab = cJSON_PrintUnformatted(cJSON_GetObjectItem(model, "vocab"));
	put("vocab.json", vocab);
	struct buf merges = BUF_INIT;
	buf_adds(&merges, "#version: 0.2\r\n");
	/* A part that is a token and then NULs, so many that what is behind the token's text is nobody's memory, and that
	 * its place in the vocabulary's table is the token's: a comparison that stops at the NUL takes them for equal. */
	struct buf zeros = BUF_INIT;
	size_t slots = 16, count = 1, tokens = (size_t)cJSON_GetArraySize(cJSON_GetObjectItem(model, "vocab"));
	while (slots < 2 * tokens)
		slots *= 2;
	uint64_t token = (14695981039346656037u ^ 't') * 1099511628211u, hash = token;
	for (; count < 1 << 25 || ((hash ^ hash >> 32) & (slots - 1)) != ((token ^ token >> 32) & (slots - 1)); count++)
		hash *= 1099511628211u;
	buf_reserve(&zeros, count + 4);
	memset(zeros.data, 0, count);
	zeros.size = count;
	zeros.data[0] = 't';
	buf_adds(&zeros, " h\n");
	put_bytes("merges.txt", zeros.data, zeros.size);
	buf_release(&zeros);
	refused("merges.txt:1: merge 1, `t");
	cJSON_ArrayForEach(merge, cJSON_GetObjectItem(model, "merges"))
		buf_printf(&merges, "%s %s\r\n", merge->child->valuestring, merge->child->next->valuestring);
	put("merges.txt", merges.data);
	put("added_tokens.json", "{\"<table>\": 417, \"<table>s\": 418}");
	put("tokenizer_config.json",
	    "{\"eos_token\": {\"content\": \"<|endoftext|>\"}, \"added_tokens_decoder\": {\"416\": "
	    "{\"content\": \"<|endoftext|>\", \"special\": true}}}");
	struct tokenizer *a = open_or_fail(GOLDEN "/tokenizer"), *b = open_or_fail(scratch);
	assert_int_equal(tokenizer_size(b), tokenizer_size(a));
	struct tokenizer_ids ids = {0};
	const char *text = "the restaurant  <table>s near café<|endoftext|> 日本 don't";
	assert_int_equal(tokenizer_encode(a, text, strlen(text), &ids, &err), 0);
	assert_ids(b, text, strlen(text), ids.id, ids.n);
	tokenizer_close(b);

	fresh();
	cJSON *list = cJSON_GetObjectItem(cJSON_GetObjectItem(root, "model"), "merges");
	for (int i = 0, n = cJSON_GetArraySize(list); i < n; i++) {
		const cJSON *pair = cJSON_GetArrayItem(list, i);
		char *both = mem_printf("%s %s", pair->child->valuestring, pair->child->next->valuestring);
		cJSON_ReplaceItemInArray(list, i, cJSON_CreateString(both));
		free(both);
	}
	char *whole = cJSON_PrintUnformatted(root);
	put("tokenizer.json", whole);
	b = open_or_fail(scratch);
	assert_ids(b, text, strlen(text), ids.id, ids.n);
	put("merges.txt", "#version: 0.2\na b c\n");
	put("vocab.json", vocab);
	char *json = fs_join(scratch, "tokenizer.json");
	unlink(json);
	free(json);
	refused("merges.txt:2: expected two tokens");
	free(ids.id);
	buf_release(&merges);
	cJSON_free(vocab);
	cJSON_free(whole);
	cJSON_Delete(root);
	tokenizer_close(a);
	tokenizer_close(b);
	fs_remove_tree(scratch);
}

static void test_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *repaired;
	} cases[] = {
		{"abc", "abc"},
		{"caf\xC3\xA9", "caf\xC3\xA9"},
		{"\xFF", "\uFFFD"},
		{"\xC3", "\uFFFD"},
		{"\xC3(", "\uFFFD("},
		{"\xE2\x82", "\uFFFD"},
		{"\xE2\x82x", "\uFFFDx"},
		{"\xF0\x9F\x98", "\uFFFD"},
		{"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
		{"\xC0\xAF", "\uFFFD\uFFFD"},
		{"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
		{"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
		{"\xF1\x80\x80\xF1\x80z", "\uFFFD\uFFFDz"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = BUF_INIT;
		utf8_replace(cases[i].bytes, strlen(cases[i].bytes), &out);
		assert_string_equal(out.data, cases[i].repaired);
		assert_int_equal(utf8_valid_prefix(out.data, out.size), out.size);
		buf_release(&out);
	}
	assert_int_equal(utf8_valid_prefix("0123456789\xC3\xA9\xFFxyz", 16), 12);
}

/* The tool of tools/goldens_text.py --live. */
static int answer(const char *dir)
{
	struct err err = {0};
	struct tokenizer *tok = tokenizer_open(dir, &err);
	if (!tok) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	char *line = NULL, *text = NULL;
	size_t room = 0;
	struct tokenizer_ids ids = {0};
	struct buf decoded = BUF_INIT;
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		line[n - 1] = '\0';
		text = mem_grow(text, (size_t)n, 1);
		ids.n = 0;
		buf_clear(&decoded);
		if (tokenizer_encode(tok, text, unhex(line, text), &ids, &err) < 0)
			return 1;
		tokenizer_decode(tok, ids.id, ids.n, true, &decoded);
		for (size_t i = 0; i < ids.n; i++)
			printf("%d ", (int)ids.id[i]);
		putchar('|');
		for (size_t i = 0; i < decoded.size; i++)
			printf("%02x", (unsigned char)decoded.data[i]);
		putchar('\n');
	}
	free(line);
	free(text);
	free(ids.id);
	buf_release(&decoded);
	tokenizer_close(tok);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return answer(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_bpe_long_is_short),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_layouts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
