/* test_yaml.c - YAML as a tree: places, aliases, merge keys, and every limit against hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "plan/yaml.h"

/* Parses text that must be refused; the sentence must hold `needle` behind its place. */
static void refused_bytes(const char *text, size_t n, const char *needle)
{
	struct yaml doc;
	struct err err = {0};
	if (yaml_parse(&doc, text, n, "x.yaml", &err) == 0) {
		yaml_release(&doc);
		fail_msg("accepted: %.60s", text);
	}
	if (!strstr(err.text, needle) || strchr(err.text, '\n'))
		fail_msg("expected `%s` in one line, got: %s", needle, err.text);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_null(doc.root);
}

static void refused(const char *text, const char *needle)
{
	refused_bytes(text, strlen(text), needle);
}

static void parse(struct yaml *doc, const char *text)
{
	struct err err = {0};
	if (yaml_parse(doc, text, strlen(text), "x.yaml", &err) < 0)
		fail_msg("refused: %s", err.text);
}

static void test_tree(void **state)
{
	(void)state;
	struct yaml doc;
	parse(&doc, "a: 1\nb: [x, 'y', ~]\nc:\n  d: 1e-4\n  e: \"\"\n  f:\n  g: null\n  h: 'null'\n");
	assert_int_equal(doc.root->kind, YAML_MAP);
	assert_int_equal(doc.root->n, 3);
	const struct yaml_node *b = yaml_get(doc.root, "b"), *c = yaml_get(doc.root, "c");
	assert_int_equal(b->kind, YAML_LIST);
	assert_int_equal(b->n, 3);
	assert_int_equal(b->line, 2);
	assert_int_equal(b->column, 4);
	assert_int_equal(b->items[1]->line, 2);
	assert_int_equal(b->items[1]->column, 8);
	assert_true(b->items[1]->quoted);
	assert_true(yaml_is_null(b->items[2]));
	assert_string_equal(yaml_get(c, "d")->text, "1e-4"); /* a text: what it means, spec decides */
	assert_int_equal(yaml_get(c, "d")->line, 4);
	assert_false(yaml_is_null(yaml_get(c, "e")));
	assert_true(yaml_is_null(yaml_get(c, "f")));
	assert_true(yaml_is_null(yaml_get(c, "g")));
	assert_false(yaml_is_null(yaml_get(c, "h")));
	assert_null(yaml_get(c, "nothing"));
	assert_null(yaml_get(b, "a"));
	assert_null(yaml_get(NULL, "a"));
	yaml_release(&doc);
	assert_null(doc.root);
	parse(&doc, "\xEF\xBB\xBF---\na: \"\\u00e9 \\U0001F600\"\n...\n"); /* byte order mark, document marks */
	assert_string_equal(yaml_get(doc.root, "a")->text, "\xC3\xA9 \xF0\x9F\x98\x80");
	yaml_release(&doc);
}

static void test_alias_and_merge(void **state)
{
	(void)state;
	struct yaml doc;
	parse(&doc, "x: &base {a: 1, b: 2, n: [1, 2]}\ny: {<<: *base, b: 3}\nz: {c: 4, <<: [{a: 9}, *base]}\nl: "
		    "[*base, *base]\n");
	const struct yaml_node *y = yaml_get(doc.root, "y"), *z = yaml_get(doc.root, "z");
	assert_string_equal(yaml_get(y, "a")->text, "1");
	assert_string_equal(yaml_get(y, "b")->text, "3"); /* its own wins */
	assert_null(yaml_get(y, "<<"));
	assert_int_equal(y->n, 3);
	assert_string_equal(yaml_get(z, "a")->text, "9"); /* the first of the list wins */
	assert_string_equal(yaml_get(z, "b")->text, "2");
	assert_ptr_equal(yaml_get(doc.root, "l")->items[0], yaml_get(doc.root, "x"));
	yaml_release(&doc);
}

static void test_refused(void **state)
{
	(void)state;
	refused("", "empty");
	refused("# only a comment\n", "empty");
	refused("name: [a\nmodel: }\n", "x.yaml:2:");
	refused("a: b: c\n", "x.yaml:1:5: not valid YAML");
	refused("a: 1\n\tb: 2\n", "not valid YAML");
	refused("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: `a` is given twice; the first is on line 1");
	refused("{a: 1, \"a\": 2}", "given twice");
	refused("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document");
	refused("[a]: 1\n", "a key must be a word");
	refused("{{a: b}: 1}", "a key must be a word");
	refused("a: *nothing\n", "x.yaml:1:4: `*nothing` names nothing above it");
	refused("a: &a [*a]\n", "contains itself");
	refused("a: &a {b: [1, *a]}\n", "contains itself");
	refused("a: !!python/object/apply:os.system [ls]\n", "tag");
	refused("a: !custom 1\n", "the tag `!custom` is not supported");
	refused("a: \"x\\0y\"\n", "NUL");
	refused("a: {<<: 5}\n", "`<<` merges maps only");
	refused("a: {<<: [5]}\n", "`<<` merges maps only");
	refused("a: \xff\xfe\n", "x.yaml:1:4: not valid YAML");
	refused("a: \xC3\n", "not valid YAML");
	refused_bytes("\xff\xfe"
		      "a\0:\0 \0b\0",
		      10, "not valid YAML"); /* UTF-16 */
	refused("a: \x07\n", "not valid YAML");
}

static void test_limits(void **state)
{
	(void)state;
	struct buf text = BUF_INIT;
	for (int i = 0; i < 100000; i++)
		buf_addc(&text, '[');
	refused(text.data, "deep");
	buf_clear(&text);
	for (int i = 0; i < 20000; i++)
		buf_adds(&text, "{a: ");
	refused(text.data, "deep");
	buf_clear(&text); /* block style: deeper by indentation */
	for (int i = 0; i < 40; i++)
		buf_printf(&text, "%*sa:\n", i, "");
	refused(text.data, "deep");
	buf_clear(&text); /* a billion laughs */
	buf_adds(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&text, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			buf_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
		buf_adds(&text, "]\n");
	}
	refused(text.data, "when every alias is written out");
	buf_clear(&text);
	for (int i = 0; i < YAML_KEYS_MAX + 1; i++)
		buf_printf(&text, "k%d: 1\n", i);
	refused(text.data, "a map of more than");
	buf_clear(&text); /* the same by merging */
	for (int g = 0; g < 2; g++) {
		buf_printf(&text, "- &m%d {", g);
		for (int i = 0; i < 200; i++)
			buf_printf(&text, "k%d_%d: 1, ", g, i);
		buf_adds(&text, "}\n");
	}
	buf_adds(&text, "- {<<: [*m0, *m1]}\n");
	refused(text.data, "a map of more than");
	buf_clear(&text);
	for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
		buf_printf(&text, "- &a%d x\n", i);
	refused(text.data, "anchors");
	buf_clear(&text);
	buf_reserve(&text, YAML_BYTES_MAX + 1);
	memset(text.data, ' ', YAML_BYTES_MAX + 1);
	refused_bytes(text.data, YAML_BYTES_MAX + 1, "bytes of YAML");
	buf_release(&text);
}

static void test_found(void **state)
{
	(void)state;
	struct yaml doc;
	char room[80];
	struct buf text = BUF_INIT;
	buf_adds(&text, "- 1\n- []\n- {}\n- ''\n-\n- \"a\\nb\"\n- \"\\e[31m\"\n- a");
	for (int i = 0; i < 40; i++)
		buf_adds(&text, "\xC3\xA9");
	parse(&doc, text.data);
	buf_release(&text);
	struct yaml_node **item = doc.root->items;
	assert_string_equal(yaml_found(item[0], room), "`1`");
	assert_string_equal(yaml_found(item[1], room), "a list");
	assert_string_equal(yaml_found(item[2], room), "a map");
	assert_string_equal(yaml_found(item[3], room), "an empty text");
	assert_string_equal(yaml_found(item[4], room), "nothing");
	assert_string_equal(yaml_found(item[5], room), "`a...`");
	assert_string_equal(yaml_found(item[6], room), "`?[31m`"); /* nothing steers the terminal */
	yaml_found(item[7], room);                                 /* 60 would cut a character in two */
	assert_int_equal(strlen(room), 1 + 59 + 4);
	assert_memory_equal(room + 58, "\xC3\xA9...`", 7);
	yaml_release(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),   cmocka_unit_test(test_alias_and_merge), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
