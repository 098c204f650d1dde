/* cmd_score.c - `sweep score REFERENCES... HYPOTHESES`: BLEU of any texts, the numbers that sacrebleu gives.
 *
 * References are either `id||table||text` lines, several an id, or plain files of one text a line (several files:
 * several references). Hypotheses are a text a line, or `id||text` lines in any order. Which of the two a file is, its
 * lines say: the form with ids is taken when every line has it. Anything that does not match up is refused: a score
 * over texts that are one line off looks like a bad model. */
#include <stdlib.h>
#include <string.h>

#include "base/bleu.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli.h"

#define SCORE_MAX_FILE ((size_t)1 << 32)

/* A file's lines, without line ends, each NUL-terminated in `bytes`. */
struct text_file {
	const char *path;
	struct buf bytes;
	char **line;
	size_t n, room;
};

static int read_lines(struct text_file *f, const char *path, struct err *err)
{
	f->path = path;
	if (buf_read_file(&f->bytes, path, SCORE_MAX_FILE, err) < 0)
		return -1;
	if (f->bytes.size == 0)
		return err_at(err, path, 0, 0, "the file is empty");
	for (size_t at = 0; at < f->bytes.size;) {
		char *line = f->bytes.data + at, *end = memchr(line, '\n', f->bytes.size - at);
		size_t n = end ? (size_t)(end - line) : f->bytes.size - at;
		at += n + 1;
		if (n && line[n - 1] == '\r')
			n--;
		MEM_PUSH_ROOM(f->line, f->n, f->room);
		f->line[f->n++] = line;
		size_t valid = utf8_valid_prefix(line, n);
		if (valid < n)
			return err_at(err, path, f->n, valid + 1, "byte 0x%02x is not UTF-8",
				      (unsigned char)line[valid]);
		if (memchr(line, '\0', n))
			return err_at(err, path, f->n, 0, "the line holds a NUL byte; is this a text file?");
		line[n] = '\0';
	}
	return 0;
}

static void text_file_release(struct text_file *f)
{
	buf_release(&f->bytes);
	free(f->line);
	*f = (struct text_file){0};
}

/* The text behind `digits||`, or NULL; *id is the number (huge ones are SIZE_MAX). */
static char *cut_id(char *line, size_t *id)
{
	char *p = line;
	*id = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		*id = *id > SIZE_MAX / 20 ? SIZE_MAX : 10 * *id + (size_t)(*p - '0');
	return p > line && p[0] == '|' && p[1] == '|' ? p + 2 : NULL;
}

/* True when every line has `bars` times `||`, the first behind a number. */
static bool has_ids(const struct text_file *f, int bars)
{
	for (size_t i = 0; i < f->n; i++) {
		size_t id;
		const char *rest = cut_id(f->line[i], &id);
		if (!rest || (bars == 2 && !strstr(rest, "||")))
			return false;
	}
	return true;
}

/* The references of each segment. */
struct references {
	const char ***of; /* [n][counts[i]] */
	size_t *counts, n;
};

static void references_release(struct references *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->of[i]);
	free(r->of);
	free(r->counts);
	*r = (struct references){0};
}

static void references_begin(struct references *r, size_t n)
{
	r->n = n;
	r->of = mem_zero(n, sizeof *r->of);
	r->counts = mem_zero(n, sizeof *r->counts);
}

static void add_reference(struct references *r, size_t i, const char *text)
{
	size_t n = r->counts[i];
	if ((n & (n - 1)) == 0) /* room doubles at powers of two */
		r->of[i] = mem_grow(r->of[i], n ? 2 * n : 1, sizeof *r->of[i]);
	r->of[i][r->counts[i]++] = text;
}

/* `id||table||text` lines: ids from 0 without a hole. */
static int references_by_id(struct references *r, const struct text_file *f, struct err *err)
{
	size_t last = 0, id;
	for (size_t i = 0; i < f->n; i++) {
		cut_id(f->line[i], &id);
		/* More ids than lines cannot be without a hole, and must not ask for memory. */
		if (id >= f->n)
			return err_at(err, f->path, i + 1, 0,
				      "the id is beyond the %zu lines of the file: ids count from 0", f->n);
		last = id > last ? id : last;
	}
	references_begin(r, last + 1);
	for (size_t i = 0; i < f->n; i++) {
		char *rest = cut_id(f->line[i], &id);
		add_reference(r, id, strstr(rest, "||") + 2);
	}
	for (size_t i = 0; i < r->n; i++)
		if (!r->counts[i])
			return err_at(err, f->path, 0, 0, "no reference for id %zu, but there is one for id %zu", i,
				      last);
	return 0;
}

static int references_by_line(struct references *r, const struct text_file *files, size_t n, struct err *err)
{
	for (size_t k = 1; k < n; k++)
		if (files[k].n != files[0].n)
			return err_set(err, ERR_INPUT,
				       "%s has %zu lines, but %s has %zu: one reference a line is expected",
				       files[0].path, files[0].n, files[k].path, files[k].n);
	references_begin(r, files[0].n);
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < n; k++)
			add_reference(r, i, files[k].line[i]);
	return 0;
}

/* One hypothesis for each of n segments; the caller frees the array. NULL and err when they do not match up. */
static const char **order_hypotheses(const struct text_file *f, size_t n, const char *references, struct err *err)
{
	if (f->n != n) {
		err_set(err, ERR_INPUT, "%s has %zu hypotheses, but %s is about %zu inputs", f->path, f->n, references,
			n);
		return NULL;
	}
	const char **texts = mem_zero(n, sizeof *texts);
	bool ids = has_ids(f, 1);
	for (size_t i = 0; i < n; i++) {
		size_t id = i;
		const char *text = ids ? cut_id(f->line[i], &id) : f->line[i];
		if (id >= n) {
			err_at(err, f->path, i + 1, 0, "the id is not below %zu, the number of inputs in %s", n,
			       references);
			goto fail;
		}
		if (texts[id]) {
			err_at(err, f->path, i + 1, 0, "a second hypothesis for id %zu", id);
			goto fail;
		}
		texts[id] = text;
	}
	return texts;
fail:
	free(texts);
	return NULL;
}

struct scores {
	struct bleu_score corpus;
	double sentence;
	size_t n;
	struct buf corpus_signature, sentence_signature;
};

static void compute(struct scores *s, const struct references *r, const char *const *hypotheses)
{
	struct bleu *bleu = bleu_new();
	struct bleu_stats *stats = mem_array(r->n, sizeof *stats), sum = {0};
	for (size_t i = 0; i < r->n; i++) {
		bleu_add(bleu, r->of[i], r->counts[i]);
		bleu_segment(bleu, i, hypotheses[i], strlen(hypotheses[i]), &stats[i]);
		bleu_sum(&sum, &stats[i]);
	}
	s->n = r->n;
	s->corpus = bleu_score(&sum, BLEU_SMOOTH_EXP, false);
	s->sentence = bleu_mean_sentence(stats, r->n);
	bleu_signature(bleu_references(bleu), BLEU_SMOOTH_EXP, false, &s->corpus_signature);
	bleu_signature(bleu_references(bleu), BLEU_SMOOTH_EXP, true, &s->sentence_signature);
	free(stats);
	bleu_free(bleu);
}

static double ratio(const struct bleu_stats *s)
{
	return s->ref_len ? (double)s->hyp_len / (double)s->ref_len : 0;
}

static void print_table(const struct scores *s)
{
	const struct bleu_score *c = &s->corpus;
	printf("BLEU           %6.2f  %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld ref_len = %lld)\n",
	       c->score, c->precisions[0], c->precisions[1], c->precisions[2], c->precisions[3], c->brevity_penalty,
	       ratio(&c->stats), (long long)c->stats.hyp_len, (long long)c->stats.ref_len);
	printf("sentence BLEU  %6.2f  mean of %zu\n", s->sentence, s->n);
	printf("signatures     %s\n               %s\n", s->corpus_signature.data, s->sentence_signature.data);
}

static void add_double(cJSON *object, const char *name, double value)
{
	struct buf text = BUF_INIT;
	json_format_double(value, &text);
	cJSON_AddRawToObject(object, name, text.data);
	buf_release(&text);
}

static void add_counts(cJSON *object, const char *name, const int64_t counts[BLEU_ORDER])
{
	cJSON *array = cJSON_AddArrayToObject(object, name);
	for (int k = 0; k < BLEU_ORDER; k++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber((double)counts[k]));
}

static void print_json(const struct scores *s)
{
	cJSON *root = cJSON_CreateObject();
	const struct bleu_stats *stats = &s->corpus.stats;
	add_double(root, "bleu", s->corpus.score);
	add_double(root, "sentence_bleu", s->sentence);
	cJSON_AddNumberToObject(root, "count", (double)s->n);
	cJSON *precisions = cJSON_AddArrayToObject(root, "precisions");
	for (int k = 0; k < BLEU_ORDER; k++) {
		struct buf text = BUF_INIT;
		json_format_double(s->corpus.precisions[k], &text);
		cJSON_AddItemToArray(precisions, cJSON_CreateRaw(text.data));
		buf_release(&text);
	}
	add_counts(root, "correct", stats->correct);
	add_counts(root, "total", stats->total);
	add_double(root, "brevity_penalty", s->corpus.brevity_penalty);
	add_double(root, "ratio", ratio(stats));
	cJSON_AddNumberToObject(root, "hyp_len", (double)stats->hyp_len);
	cJSON_AddNumberToObject(root, "ref_len", (double)stats->ref_len);
	cJSON *signatures = cJSON_AddObjectToObject(root, "signatures");
	cJSON_AddStringToObject(signatures, "bleu", s->corpus_signature.data);
	cJSON_AddStringToObject(signatures, "sentence_bleu", s->sentence_signature.data);
	char *text = cJSON_Print(root);
	puts(text);
	cJSON_free(text);
	cJSON_Delete(root);
}

/* paths: the reference files, then the hypotheses. */
static int score_files(char **paths, size_t n_references, struct scores *scores, struct err *err)
{
	struct text_file *files = mem_zero(n_references + 1, sizeof *files);
	struct references references = {0};
	int result = -1;
	for (size_t i = 0; i <= n_references; i++)
		if (read_lines(&files[i], paths[i], err) < 0)
			goto out;
	if (n_references == 1 && has_ids(&files[0], 2))
		result = references_by_id(&references, &files[0], err);
	else
		result = references_by_line(&references, files, n_references, err);
	if (result < 0)
		goto out;
	const char **hypotheses = order_hypotheses(&files[n_references], references.n, paths[0], err);
	result = hypotheses ? 0 : -1;
	if (hypotheses)
		compute(scores, &references, hypotheses);
	free(hypotheses);
out:
	references_release(&references);
	for (size_t i = 0; i <= n_references; i++)
		text_file_release(&files[i]);
	free(files);
	return result;
}

int cmd_score(int argc, char **argv, struct err *err)
{
	const char *format = "table";
	bool helped;
	const struct cli_option options[] = {
		{.name = "format", .type = CLI_TEXT, .text = &format, .help = "table (default) or json"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n;
	if (n < 2)
		return err_set(err, ERR_USAGE, "score: expected a file of references and a file of hypotheses");
	bool json = strcmp(format, "json") == 0;
	if (!json && strcmp(format, "table") != 0)
		return err_set(err, ERR_USAGE, "score: --format: expected table or json, found `%s`", format);
	struct scores scores = {0};
	if (score_files(argv + 1, (size_t)n - 1, &scores, err) < 0)
		return -1;
	if (json)
		print_json(&scores);
	else
		print_table(&scores);
	buf_release(&scores.corpus_signature);
	buf_release(&scores.sentence_signature);
	return 0;
}
