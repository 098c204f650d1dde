/* test_bleu.c - bleu.c and bleu_tokenize.c against sacrebleu: equal doubles, not close ones. The cases are those of
 * tests/golden/text/bleu.json (tools/goldens_text.py), the vectors of docs/REFERENCE.md, 6 and the whole E2E dev set.
 * With an argument it is a tool: a line of hex-encoded texts (hypothesis, references) in, eight scores out; an empty
 * line in, the scores and the signature of the set out, for tools/goldens_text.py --live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bleu.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#define GOLDEN SOURCE_DIR "/tests/golden/text/bleu.json"
#define E2E    SOURCE_DIR "/../shared/e2e"

enum { MAX_REFS = 64, MAX_SET = 64 };

static void assert_same(double got, double expected)
{
	if (got != expected)
		fail_msg("got %.17g, expected %.17g", got, expected);
}

/* The caller frees. */
static char *unhex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	char *out = mem_alloc(n + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (char)byte;
	}
	out[n] = '\0';
	return out;
}

static struct bleu_stats one_segment(const char *hypothesis, const char *const *references, size_t n)
{
	struct bleu_stats stats;
	struct bleu *bleu = bleu_new();
	bleu_add(bleu, references, n);
	bleu_segment(bleu, 0, hypothesis, strlen(hypothesis), &stats);
	bleu_free(bleu);
	return stats;
}

static void test_golden(void **state)
{
	(void)state;
	struct err err = {0};
	cJSON *root = json_read_file(GOLDEN, 1 << 24, &err);
	assert_non_null(root);
	const cJSON *rows = cJSON_GetObjectItem(root, "segments"), *row;
	struct bleu *bleu = bleu_new();
	struct bleu_stats *stats = mem_array((size_t)cJSON_GetArraySize(rows), sizeof *stats);
	size_t n = 0;
	cJSON_ArrayForEach(row, rows)
	{
		char *hypothesis = unhex(cJSON_GetObjectItem(row, "hyp")->valuestring), *refs[MAX_REFS];
		char *tokens = unhex(cJSON_GetObjectItem(row, "tokens")->valuestring);
		size_t n_refs = 0;
		const cJSON *item;
		cJSON_ArrayForEach(item, cJSON_GetObjectItem(row, "refs")) refs[n_refs++] = unhex(item->valuestring);
		struct buf out = BUF_INIT;
		bleu_tokenize(hypothesis, strlen(hypothesis), &out);
		assert_string_equal(out.data, tokens);
		buf_release(&out);
		bleu_add(bleu, (const char *const *)refs, n_refs);
		bleu_segment(bleu, n, hypothesis, strlen(hypothesis), &stats[n]);
		const cJSON *score = cJSON_GetObjectItem(row, "scores")->child;
		for (int effective = 0; effective < 2; effective++)
			for (int smooth = 0; smooth < 4; smooth++, score = score->next)
				assert_same(bleu_score(&stats[n], (enum bleu_smooth)smooth, effective).score,
					    score->valuedouble);
		n++;
		free(hypothesis);
		free(tokens);
		while (n_refs)
			free(refs[--n_refs]);
	}
	assert_int_equal(n, 300);
	assert_same(bleu_corpus(stats, n), cJSON_GetObjectItem(root, "corpus")->valuedouble);
	struct buf signature = BUF_INIT;
	bleu_signature(bleu_references(bleu), BLEU_SMOOTH_EXP, false, &signature);
	assert_string_equal(signature.data, cJSON_GetObjectItem(root, "signature")->valuestring);
	buf_release(&signature);
	free(stats);
	bleu_free(bleu);
	cJSON_Delete(root);
}

static void assert_tokens(const char *text, const char *expected)
{
	struct buf out = BUF_INIT;
	bleu_tokenize(text, strlen(text), &out);
	assert_string_equal(out.data, expected);
	buf_release(&out);
}

static void test_tokens(void **state)
{
	(void)state;
	assert_tokens("It's £30.50, isn't it? (yes) a-b 5-6 U.S.A. ... 3,000 x,y. &quot;q&quot; &amp;lt; foo/bar",
		      "It's £30.50 , isn't it ? ( yes ) a-b 5 - 6 U . S . A . . . . 3,000 x , y . \" q \" < foo / bar");
	assert_tokens("1.5. 2,a a.1 ,,. end-", "1.5 . 2 , a a . 1 , , . end-");
	assert_tokens("a_b^c", "a _ b ^ c");
	assert_tokens("", "");
	assert_tokens(" \t\u2003 ", "");
	assert_tokens("a<skip<skipped>ped>b-\nc\nd", "a < skipped > bc d");
}

static void test_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *hypothesis, *references[2];
		double score;
		int64_t correct[4], total[4], hyp_len, ref_len;
	} v[] = {
		{"the the the the", {"the cat", "the the dog"}, 31.947155212313625, {2, 1, 0, 0}, {4, 3, 2, 1}, 4, 3},
		{"hello", {"hello"}, 100.00000000000004, {1, 0, 0, 0}, {1, 0, 0, 0}, 1, 1},
		{"hello world", {"hello there"}, 49.99999999999999, {1, 0, 0, 0}, {2, 1, 0, 0}, 2, 2},
		{"a b c d", {"a b c", "a b c d e"}, 100.00000000000004, {4, 3, 2, 1}, {4, 3, 2, 1}, 4, 3},
		{"x y z", {"a b c"}, 0, {0, 0, 0, 0}, {3, 2, 1, 0}, 3, 3},
		{"", {"a b c"}, 0, {0, 0, 0, 0}, {0, 0, 0, 0}, 0, 3},
		{"a", {"a b", ""}, 100.00000000000004, {1, 0, 0, 0}, {1, 0, 0, 0}, 1, 0},
	};
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct bleu_stats s = one_segment(v[i].hypothesis, v[i].references, v[i].references[1] ? 2 : 1);
		assert_same(bleu_score(&s, BLEU_SMOOTH_EXP, true).score, v[i].score);
		assert_memory_equal(s.correct, v[i].correct, sizeof s.correct);
		assert_memory_equal(s.total, v[i].total, sizeof s.total);
		assert_int_equal(s.hyp_len, v[i].hyp_len);
		assert_int_equal(s.ref_len, v[i].ref_len);
	}
	/* Without effective order fewer than four tokens score nothing. */
	struct bleu_stats short_text = one_segment("hello", v[1].references, 1);
	assert_same(bleu_score(&short_text, BLEU_SMOOTH_EXP, false).score, 0);
	assert_same(bleu_mean_sentence(NULL, 0), 0);
	struct buf signature = BUF_INIT;
	bleu_signature(2, BLEU_SMOOTH_EXP, true, &signature);
	assert_string_equal(signature.data, "nrefs:2|case:mixed|eff:yes|tok:13a|smooth:exp|version:2.6.0");
	buf_clear(&signature);
	bleu_signature(0, BLEU_SMOOTH_FLOOR, false, &signature);
	assert_string_equal(signature.data, "nrefs:var|case:mixed|eff:no|tok:13a|smooth:floor[0.10]|version:2.6.0");
	buf_release(&signature);
}

/* A text of many words must not cost a scan of everything for each. */
static void test_long(void **state)
{
	(void)state;
	struct buf text = BUF_INIT;
	for (int i = 0; i < 100000; i++)
		buf_printf(&text, "w%d ", i % 5000);
	const char *reference = text.data;
	struct bleu_stats s = one_segment(text.data, &reference, 1);
	assert_int_equal(s.correct[3], 99997);
	assert_int_equal(s.total[0], 100000);
	buf_release(&text);
}

/* ------------------------------------------------------------------------------------------------ the E2E dev set */

struct dev {
	struct buf inputs, references;
	char *input[1000], *reference[1000][MAX_REFS];
	size_t n, n_refs[1000];
};

static void load_dev(struct dev *d)
{
	struct err err = {0};
	char *save;
	assert_int_equal(buf_read_file(&d->inputs, E2E "/dev.txt", 1 << 24, &err), 0);
	assert_int_equal(buf_read_file(&d->references, E2E "/dev.out", 1 << 24, &err), 0);
	for (char *line = strtok_r(d->inputs.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		d->input[d->n++] = line;
	for (char *line = strtok_r(d->references.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *rest;
		size_t id = strtoul(line, &rest, 10);
		d->reference[id][d->n_refs[id]++] = strstr(rest + 2, "||") + 2;
	}
}

/* Deletes ':' and '|', then makes double spaces single, one pass each, as docs/REFERENCE.md, 6.3 describes. */
static char *stripped(const char *text)
{
	char *out = mem_strdup(text), *to = out;
	for (const char *p = text; *p; p++)
		if (*p != ':' && *p != '|')
			*to++ = *p;
	*to = '\0';
	to = out;
	for (const char *p = out; *p; p++) {
		*to++ = *p;
		if (p[0] == ' ' && p[1] == ' ')
			p++;
	}
	*to = '\0';
	return out;
}

static void test_e2e(void **state)
{
	(void)state;
	if (!fs_is_dir(E2E)) {
		print_message("SKIPPED: %s is not there\n", E2E);
		skip();
	}
	static struct dev d;
	static struct bleu_stats first[1000], input[1000], strip[1000], other[1000];
	load_dev(&d);
	assert_int_equal(d.n, 547);
	struct bleu *bleu = bleu_new();
	size_t total = 0;
	for (size_t i = 0; i < d.n; i++) {
		const char *const *refs = (const char *const *)d.reference[i];
		char *plain = stripped(d.input[i]);
		total += d.n_refs[i];
		bleu_add(bleu, refs, d.n_refs[i]);
		bleu_segment(bleu, i, refs[0], strlen(refs[0]), &first[i]);
		bleu_segment(bleu, i, d.input[i], strlen(d.input[i]), &input[i]);
		bleu_segment(bleu, i, plain, strlen(plain), &strip[i]);
		other[i] = one_segment(refs[0], refs + 1, d.n_refs[i] - 1);
		free(plain);
	}
	assert_int_equal(total, 4672);
	assert_same(bleu_mean_sentence(first, d.n), 100.00000000000001);
	assert_same(bleu_mean_sentence(input, d.n), 9.077500236402733);
	assert_same(bleu_mean_sentence(strip, d.n), 16.94557834679687);
	assert_same(bleu_mean_sentence(other, d.n), 56.23682856564587);
	assert_same(bleu_corpus(input, d.n), 8.09253749253383);
	assert_same(bleu_corpus(strip, d.n), 16.357370762931044);
	struct bleu_stats sum = {0};
	for (size_t i = 0; i < d.n; i++)
		bleu_sum(&sum, &input[i]);
	assert_int_equal(sum.hyp_len, 16600);
	assert_int_equal(sum.ref_len, 15934);
	const char *hypothesis = "Alimentum is a place .", *const two[] = {d.reference[0][2], d.reference[0][5]};
	struct bleu_stats s = one_segment(hypothesis, two, 2);
	struct bleu_score score = bleu_score(&s, BLEU_SMOOTH_EXP, true);
	assert_same(score.score, 7.878071481927813);
	assert_same(score.brevity_penalty, .2465969639416065);
	bleu_free(bleu);
	buf_release(&d.inputs);
	buf_release(&d.references);
}

/* Corpus BLEU, mean of sentence BLEU and signature of the segments since the last set. */
static void answer_set(const struct bleu_stats *stats, size_t n, size_t references)
{
	struct buf signature = BUF_INIT;
	bleu_signature(references, BLEU_SMOOTH_EXP, false, &signature);
	printf("%.17g %.17g %s\n", bleu_corpus(stats, n), bleu_mean_sentence(stats, n), signature.data);
	buf_release(&signature);
}

/* The tool of tools/goldens_text.py --live: "-" stands for an empty text, an empty line ends a set of segments. */
static int answer(void)
{
	char *line = NULL, *save;
	size_t room = 0, n_set = 0, references = 0;
	struct bleu_stats *set = mem_array(MAX_SET, sizeof *set);
	while (getline(&line, &room, stdin) > 0) {
		char *text[MAX_REFS];
		size_t n = 0;
		if (line[0] == '\n') {
			answer_set(set, n_set, references);
			n_set = 0;
			continue;
		}
		for (char *hex = strtok_r(line, " \n", &save); hex && n < MAX_REFS; hex = strtok_r(NULL, " \n", &save))
			text[n++] = unhex(strcmp(hex, "-") == 0 ? "" : hex);
		struct bleu_stats s = one_segment(text[0], (const char *const *)text + 1, n - 1);
		if (n_set < MAX_SET) {
			references = n_set == 0 || references == n - 1 ? n - 1 : 0;
			set[n_set++] = s;
		}
		for (int effective = 0; effective < 2; effective++)
			for (int smooth = 0; smooth < 4; smooth++)
				printf("%.17g ", bleu_score(&s, (enum bleu_smooth)smooth, effective).score);
		putchar('\n');
		while (n)
			free(text[--n]);
	}
	free(line);
	free(set);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return answer();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens), cmocka_unit_test(test_vectors), cmocka_unit_test(test_golden),
		cmocka_unit_test(test_long),   cmocka_unit_test(test_e2e),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
