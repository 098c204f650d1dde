/* test_dataset.c - dataset.c: the E2E facts of docs/REFERENCE.md, 4, padding and cutting, and files that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fs.h"
#include "base/job.h"
#include "dataset.h"

#define E2E    SOURCE_DIR "/../shared/e2e"
#define GPT2   SOURCE_DIR "/../shared/gpt2"
#define GOLDEN SOURCE_DIR "/tests/golden/text/tokenizer"

static struct tokenizer *tok; /* the small one of the golden data */
static const struct dataset_template tmpl = {"{table} {eos} ", "{text} {eos}", 416, "<|endoftext|>"};
static char dir[64], path[96], other[96];

static int make_dir(void **state)
{
	(void)state;
	struct err err = {0};
	snprintf(dir, sizeof dir, "/tmp/test_dataset.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/data", dir);
	snprintf(other, sizeof other, "%s/refs", dir);
	tok = tokenizer_open(GOLDEN, &err);
	return tok ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	tokenizer_close(tok);
	fs_remove_tree(dir);
	return 0;
}

static void put(const char *where, const char *text, size_t n)
{
	struct err err = {0};
	assert_int_equal(fs_write_file(where, text, n, &err), 0);
}

static void put_text(const char *where, const char *text)
{
	put(where, text, strlen(text));
}

static void put_gzip(const char *text)
{
	gzFile file = gzopen(path, "wb");
	gzwrite(file, text, (unsigned)strlen(text));
	gzclose(file);
}

/* The tokens of a pair or a prompt as text again, special ones shown. */
static void assert_text(const int32_t *ids, size_t n, const char *expected)
{
	struct buf out = BUF_INIT;
	tokenizer_decode(tok, ids, n, false, &out);
	assert_string_equal(out.data, expected);
	buf_release(&out);
}

static void load(struct dataset_train *train, size_t limit, size_t pad)
{
	struct err err = {0};
	if (dataset_load_train(train, path, NULL, limit, tok, &tmpl, pad, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_train(void **state)
{
	(void)state;
	static const char text[] = "name : a|b||the pub . \n{eos} {text}||{table}\r\nx||no newline";
	struct dataset_train t;
	for (int gzip = 0; gzip < 2; gzip++) {
		if (gzip)
			put_gzip(text);
		else
			put(path, text, sizeof text - 1);
		load(&t, 0, 0);
		assert_int_equal(t.n, 3);
		assert_text(t.pairs[0].ids, t.pairs[0].n,
			    "name : a|b <|endoftext|> the pub .  <|endoftext|><|endoftext|>");
		assert_text(t.pairs[0].ids, t.pairs[0].n_prompt, "name : a|b <|endoftext|> ");
		/* What is put into the template is not looked at again, and a carriage return goes with its newline. */
		assert_text(t.pairs[1].ids, t.pairs[1].n,
			    "{eos} {text} <|endoftext|> {table} <|endoftext|><|endoftext|>");
		assert_text(t.pairs[2].ids, t.pairs[2].n, "x <|endoftext|> no newline <|endoftext|><|endoftext|>");
		assert_int_equal(t.pairs[2].pad, 0);
		dataset_release_train(&t);
		load(&t, 2, 0);
		assert_int_equal(t.n, 2);
		dataset_release_train(&t);
		load(&t, 100, 0);
		assert_int_equal(t.n, 3);
		dataset_release_train(&t);
	}
}

/* More than one read, and a limit that ends inside of it: the last pair is whole. */
static void test_limit(void **state)
{
	(void)state;
	struct dataset_train t;
	struct buf text = BUF_INIT;
	for (int i = 0; i < 200; i++) {
		buf_printf(&text, "table %d||", i);
		while (text.size % 4096 < 4090)
			buf_addc(&text, ' ');
		buf_adds(&text, "end\n");
	}
	put(path, text.data, text.size);
	for (size_t limit = 60; limit < 70; limit++) {
		load(&t, limit, 0);
		assert_int_equal(t.n, limit);
		struct buf last = BUF_INIT;
		tokenizer_decode(tok, t.pairs[limit - 1].ids, t.pairs[limit - 1].n, true, &last);
		assert_string_equal(last.data + last.size - 5, " end ");
		buf_release(&last);
		dataset_release_train(&t);
	}
	buf_release(&text);
}

static void test_padding(void **state)
{
	(void)state;
	struct err err = {0};
	struct dataset_train whole, t;
	put_text(path, "name||the pub near\na||b\n");
	load(&whole, 0, 0);
	size_t n0 = whole.pairs[0].n, prompt0 = whole.pairs[0].n_prompt, n1 = whole.pairs[1].n;
	assert_true(n0 > n1 && prompt0 + 1 < n0);
	load(&t, 0, 40);
	assert_int_equal(t.pairs[0].pad, 40 - n0);
	assert_int_equal(t.pairs[1].pad, 40 - n1);
	assert_int_equal(t.pairs[0].n, n0);
	dataset_release_train(&t);
	/* Cut at the end, so that the two end tokens go first. */
	load(&t, 0, n0 - 1);
	assert_int_equal(t.pairs[0].n, n0 - 1);
	assert_int_equal(t.pairs[0].pad, 0);
	assert_memory_equal(t.pairs[0].ids, whole.pairs[0].ids, (n0 - 1) * sizeof(int32_t));
	assert_int_equal(t.pairs[1].n, n1);
	assert_memory_equal(t.pairs[1].ids, whole.pairs[1].ids, n1 * sizeof(int32_t));
	dataset_release_train(&t);
	assert_int_equal(dataset_load_train(&t, path, NULL, 0, tok, &tmpl, prompt0, &err), -1);
	assert_non_null(strstr(err.text, "data:1: the prompt has"));
	dataset_release_train(&whole);
}

static void train_refused(const char *text, size_t n, const char *needle)
{
	struct err err = {0};
	struct dataset_train t;
	put(path, text, n);
	if (dataset_load_train(&t, path, NULL, 0, tok, &tmpl, 0, &err) == 0)
		fail_msg("taken, but expected: %s", needle);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

#define TRAIN_REFUSED(text, needle) train_refused(text, sizeof(text) - 1, needle)

static void test_train_refuses(void **state)
{
	(void)state;
	struct err err = {0};
	struct dataset_train t;
	TRAIN_REFUSED("", "the file is empty");
	TRAIN_REFUSED("a||b\nno bars\n", "data:2: no `||`");
	TRAIN_REFUSED("a||b\n\nc||d\n", "data:2: an empty line");
	TRAIN_REFUSED("a||b\nc||caf\xE9\n", "data:2:7: byte 0xe9 is not UTF-8");
	TRAIN_REFUSED("a||b\0c\n", "data:1: the line holds a NUL");
	TRAIN_REFUSED("0||name : a||text\n", "line of references");
	TRAIN_REFUSED("a|b\n", "data:1: no `||`");
	TRAIN_REFUSED("\x1F\x8B\x08\x00garbage that is no gzip stream at all", "gzip");
	put_gzip("a||b\nc||d\n");
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(dataset_load_train(&t, path, NULL, 0, tok, &tmpl, 0, &err), -1);
	assert_non_null(strstr(err.text, "gzip"));
	assert_int_equal(dataset_load_train(&t, "/nonexistent", NULL, 0, tok, &tmpl, 0, &err), -1);
	assert_non_null(strstr(err.text, "cannot open /nonexistent"));
	assert_int_equal(dataset_load_train(&t, dir, NULL, 0, tok, &tmpl, 0, &err), -1);
	assert_non_null(strstr(err.text, "plain file"));
	/* A pipe would make a worker wait for ever. */
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(dataset_load_train(&t, path, NULL, 0, tok, &tmpl, 0, &err), -1);
	assert_non_null(strstr(err.text, "plain file"));
	unlink(path);
	/* Numbers with bars are fine as long as they are no references. */
	put_text(path, "\xEF\xBB\xBF"
		       "7||seven\n");
	load(&t, 0, 0);
	assert_text(t.pairs[0].ids, t.pairs[0].n_prompt, "7 <|endoftext|> ");
	dataset_release_train(&t);
}

static void test_eval(void **state)
{
	(void)state;
	struct err err = {0};
	struct dataset_eval e;
	put_text(path, "name : a\n\n  \t\nname : b \r\nname : a");
	put_text(other,
		 "2||name : a||third\n0||name : a||first || with bars \n1||name : b||\n0|| name : a ||again\r\n\n");
	if (dataset_load_eval(&e, path, other, NULL, 0, tok, &tmpl, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(e.n, 3);
	assert_string_equal(e.inputs[1].table, "name : b ");
	assert_text(e.inputs[1].ids, e.inputs[1].n, "name : b  <|endoftext|> ");
	assert_int_equal(e.inputs[0].n_references, 2);
	assert_string_equal(e.inputs[0].references[0], "first || with bars ");
	assert_string_equal(e.inputs[0].references[1], "again");
	assert_string_equal(e.inputs[1].references[0], "");
	assert_string_equal(e.inputs[2].references[0], "third");
	assert_int_equal(e.n_elsewhere, 0);
	dataset_release_eval(&e);
	/* The limit keeps the first inputs; references of the others are not wrong. */
	assert_int_equal(dataset_load_eval(&e, path, other, NULL, 1, tok, &tmpl, &err), 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.inputs[0].n_references, 2);
	dataset_release_eval(&e);
	assert_int_equal(dataset_load_eval(&e, path, NULL, NULL, 0, tok, &tmpl, &err), 0);
	assert_null(e.inputs[0].references);
	dataset_release_eval(&e);
	/* In another order than the inputs: the id counts, and the caller can say so. */
	put_text(path, "a\nb\nc\n");
	put_text(other, "0||b||x\n1||a ||y\n2||c||z\n");
	assert_int_equal(dataset_load_eval(&e, path, other, NULL, 0, tok, &tmpl, &err), 0);
	assert_int_equal(e.n_elsewhere, 2);
	assert_string_equal(e.inputs[0].references[0], "x");
	dataset_release_eval(&e);
}

static void eval_refused(const char *inputs, const char *references, const char *needle)
{
	struct err err = {0};
	struct dataset_eval e;
	put_text(path, inputs);
	if (references)
		put_text(other, references);
	if (dataset_load_eval(&e, path, references ? other : NULL, NULL, 0, tok, &tmpl, &err) == 0)
		fail_msg("taken, but expected: %s", needle);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s` in: %s", needle, err.text);
}

static void test_eval_refuses(void **state)
{
	(void)state;
	eval_refused("", NULL, "the file is empty");
	eval_refused("\n \n", NULL, "no table in the file");
	eval_refused("a\nb\xFF\n", NULL, "data:2:2: byte 0xff");
	eval_refused("0||a||text\n", NULL, "a line of references");
	eval_refused("a\nb\n", "0||a||x\n", "no reference for input 1");
	eval_refused("a\nb\n", "0||a||x\n1||b\n", "refs:2: expected `id||table||text`");
	eval_refused("a\nb\n", "0||a||x\n1||b||y\n2||c||z\n",
		     "refs:3: the reference is for input 2, but there are only 2");
	eval_refused("a\nb\n", "0||a||x\n1||c||y\n", "refs:2: the table of reference 1 is not input 1 (`b`)");
	eval_refused("a\nb\n", "0||a||x\n1||||y\n", "refs:2: the table of reference 1 is not input 1 (`b`)");
	eval_refused("a\n", "99999999999999999999999999||a||x\n", "there are only 1");
	eval_refused("a\n", "", "the file is empty");
}

static void test_e2e(void **state)
{
	(void)state;
	if (!fs_is_dir(E2E) || !fs_is_dir(GPT2)) {
		print_message("SKIPPED: %s or %s is not there\n", E2E, GPT2);
		skip();
	}
	struct err err = {0};
	struct tokenizer *gpt2 = tokenizer_open(GPT2, &err);
	struct dataset_template experiment = {JOB_DEFAULT_PROMPT, JOB_DEFAULT_TARGET, 50256, "<|endoftext|>"};
	struct dataset_train train;
	struct dataset_eval dev;
	if (dataset_load_train(&train, E2E "/train.txt.gz", NULL, 0, gpt2, &experiment, 150, &err) < 0)
		fail_msg("%s", err.text);
	size_t total = 0, labels = 0, longest = 0, most = 0;
	for (size_t i = 0; i < train.n; i++) {
		size_t n = train.pairs[i].n, own = n - train.pairs[i].n_prompt;
		assert_int_equal(train.pairs[i].pad + n, 150);
		total += n;
		labels += own;
		longest = n > longest ? n : longest;
		most = own > most ? own : most;
	}
	assert_int_equal(train.n, 42061);
	assert_int_equal(longest, 129);
	assert_int_equal(most, 80);
	assert_int_equal((total * 10 + train.n / 2) / train.n, 675);
	assert_int_equal((labels * 10 + train.n / 2) / train.n, 280);
	static const int32_t target[] = {464,  21314, 2240,  1474, 42151, 1215, 380,  1512, 468, 257, 642,   3491,
					 7955, 764,   29431, 923,  379,   4248, 1542, 764,  220, 220, 50256, 50256};
	size_t n = sizeof target / sizeof *target;
	assert_int_equal(train.pairs[0].n - train.pairs[0].n_prompt, n);
	assert_memory_equal(train.pairs[0].ids + train.pairs[0].n_prompt, target, sizeof target);
	dataset_release_train(&train);

	if (dataset_load_eval(&dev, E2E "/dev.txt", E2E "/dev.out", NULL, 0, gpt2, &experiment, &err) < 0)
		fail_msg("%s", err.text);
	static const int32_t prompt[] = {3103, 1851, 262,  1708, 3084, 656, 3594, 2420,  25,
					 1438, 1058, 978,  3681, 388,  930, 1989, 1058,  1748,
					 7372, 930,  1641, 8030, 1058, 645, 220,  50256, 220};
	assert_int_equal(dev.n, 547);
	assert_int_equal(dev.inputs[0].n, 27);
	assert_memory_equal(dev.inputs[0].ids, prompt, sizeof prompt);
	size_t references = 0, least = SIZE_MAX;
	most = 0;
	for (size_t i = 0; i < dev.n; i++) {
		references += dev.inputs[i].n_references;
		least = dev.inputs[i].n_references < least ? dev.inputs[i].n_references : least;
		most = dev.inputs[i].n_references > most ? dev.inputs[i].n_references : most;
	}
	assert_true(references == 4672 && least == 2 && most == 43);
	/* The two files are in different orders from input 275 on; the experiment pairs by id all the same. */
	assert_int_equal(dev.n_elsewhere, 1697);
	dataset_release_eval(&dev);
	tokenizer_close(gpt2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_train),         cmocka_unit_test(test_limit), cmocka_unit_test(test_padding),
		cmocka_unit_test(test_train_refuses), cmocka_unit_test(test_eval),  cmocka_unit_test(test_eval_refuses),
		cmocka_unit_test(test_e2e),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
