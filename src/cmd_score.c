/* cmd_score.c - `sweep score REFERENCES... HYPOTHESES`: BLEU of any texts, the numbers that sacrebleu gives.
 *
 * References are either `id||table||text` lines, several an id, or plain files of one text a line (several files:
 * several references), or, with --columns, rows of a CSV, TSV or JSON lines file, several an input. Hypotheses are a text a line, or `id||text` lines in any order, or JSON lines with `id` and `text`
 * such as the hypotheses.jsonl of a run. Which of them a file is, its lines say: the form with ids is taken when every
 * line has it. Anything that does not match up, or looks like a table or a JSON document, is refused: a score over
 * texts that are one line off, or over JSON's quotes and braces, looks like a bad model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bleu.h"
#include "base/columns.h"
#include "base/json.h"
#include "base/jsonl.h"
#include "base/lines.h"
#include "base/mem.h"
#include "cli.h"

/* A file's lines, each NUL-terminated in the text that `lines` holds. `jsonl`: it begins with a JSON object. */
struct text_file {
	struct lines lines;
	char **line;
	size_t n, room;
	bool jsonl;
};

static bool is_json_object(const char *line)
{
	size_t column;
	return line[0] == '{' && jsonl_parse(line, strlen(line), NULL, 0, &column) == 0;
}

/* Exports of spreadsheets and of other programs are no texts, though every line of them can be scored. */
static int refuse_tables(const struct text_file *f, struct err *err)
{
	const char *path = f->lines.path, *dot = strrchr(path, '.');
	size_t numbered = 0;
	for (size_t i = 0; i < f->n; i++) {
		size_t digits = strspn(f->line[i], "0123456789");
		char mark = f->line[i][digits];
		size_t number = digits ? (size_t)strtoull(f->line[i], NULL, 10) : 0;
		numbered += digits && (number == i || number == i + 1) && (mark == ',' || mark == ';' || mark == '\t');
	}
	if ((dot && (strcasecmp(dot, ".csv") == 0 || strcasecmp(dot, ".tsv") == 0)) || (f->n > 1 && numbered == f->n))
		return err_at(err, path, 0, 0,
			      "looks like a table (CSV); expected a text a line, lines with ids and `||`, or JSON "
			      "lines with `id` and `text`; references in columns need --columns INPUT,TARGET");
	if (f->line[0][0] != '[' && f->line[0][0] != '{')
		return 0;
	struct buf whole = BUF_INIT;
	struct err ignored = {0};
	for (size_t i = 0; i < f->n; i++)
		buf_printf(&whole, "%s\n", f->line[i]);
	cJSON *json = json_parse(whole.data, whole.size, path, &ignored);
	buf_release(&whole);
	if (!json)
		return 0;
	cJSON_Delete(json);
	return err_at(err, path, 0, 0,
		      "is one JSON document; expected JSON lines: an object with `id` and `text` a line");
}

static int read_lines(struct text_file *f, const char *path, struct err *err)
{
	if (lines_open(&f->lines, path, 0, err) < 0)
		return -1;
	while (lines_next(&f->lines)) {
		if (lines_check(&f->lines, err) < 0)
			return -1;
		MEM_PUSH_ROOM(f->line, f->n, f->room);
		f->line[f->n++] = f->lines.line;
		f->lines.line[f->lines.n] = '\0';
	}
	f->jsonl = is_json_object(f->line[0]);
	return f->jsonl ? 0 : refuse_tables(f, err);
}

static void text_file_release(struct text_file *f)
{
	lines_close(&f->lines);
	free(f->line);
	*f = (struct text_file){0};
}

static bool is_blank(const char *line)
{
	return lines_blank(&(struct lines){.line = (char *)line, .n = strlen(line)});
}

/* True when every line has an id, of references also a table; blank lines do not count in such a file. */
static bool has_ids(const struct text_file *f, bool references)
{
	size_t ids = 0, blank = 0, id;
	struct lines_reference r;
	for (size_t i = 0; i < f->n; i++) {
		size_t n = strlen(f->line[i]);
		ids += references ? lines_reference(f->line[i], n, &r) : lines_id(f->line[i], n, &id) > 0;
		blank += is_blank(f->line[i]);
	}
	return ids > 0 && ids + blank == f->n;
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
	size_t last = 0;
	struct lines_reference l;
	for (size_t i = 0; i < f->n; i++) {
		if (!lines_reference(f->line[i], strlen(f->line[i]), &l))
			continue;
		/* More ids than lines cannot be without a hole, and must not ask for memory. */
		if (l.id >= f->n)
			return err_at(err, f->lines.path, i + 1, 0,
				      "the id is beyond the %zu lines of the file: ids count from 0", f->n);
		last = l.id > last ? l.id : last;
	}
	references_begin(r, last + 1);
	for (size_t i = 0; i < f->n; i++)
		if (lines_reference(f->line[i], strlen(f->line[i]), &l))
			add_reference(r, l.id, l.text);
	for (size_t i = 0; i < r->n; i++)
		if (!r->counts[i])
			return err_at(err, f->lines.path, 0, 0, "no reference for id %zu, but there is one for id %zu",
				      i, last);
	return 0;
}

static int references_by_line(struct references *r, const struct text_file *files, size_t n, struct err *err)
{
	for (size_t k = 1; k < n; k++)
		if (files[k].n != files[0].n)
			return err_set(err, ERR_INPUT,
				       "%s has %zu lines, but %s has %zu: one reference a line is expected",
				       files[0].lines.path, files[0].n, files[k].lines.path, files[k].n);
	references_begin(r, files[0].n);
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < n; k++)
			add_reference(r, i, files[k].line[i]);
	return 0;
}

/* Of a file with columns: rows with the same input are its references. They point into `rows`. */
static int references_by_row(struct references *r, const char *path, const struct columns_map *columns,
			     struct columns_file *rows, struct err *err)
{
	if (columns_open(rows, path, columns, 0, err) < 0)
		return -1;
	columns_group(rows);
	references_begin(r, rows->n_inputs);
	for (size_t i = 0; i < rows->n; i++)
		add_reference(r, rows->rows[i].number, rows->rows[i].target);
	return 0;
}

/* The text of a JSON line of ours (base/job.h) or of anybody's with the two members, unescaped into `line` itself:
 * what JSON escapes is never shorter than the text. */
static int json_hypothesis(const struct text_file *f, size_t i, size_t *id, const char **text, struct err *err)
{
	struct jsonl_value values[] = {{.name = "id"}, {.name = "text"}};
	size_t column;
	char *line = f->line[i];
	int result = 0;
	if (jsonl_parse(line, strlen(line), values, 2, &column) < 0)
		result = err_at(err, f->lines.path, i + 1, column, "not a JSON object, but the first line is one");
	else if (values[0].kind != JSONL_NUMBER || values[0].number < 0 || values[0].number > 1e15 ||
		 values[0].number != floor(values[0].number))
		result = err_at(err, f->lines.path, i + 1, 0, "expected `id` with the input's number, from 0");
	else if (values[1].kind != JSONL_TEXT || memchr(values[1].text.data, '\0', values[1].text.size))
		result = err_at(err, f->lines.path, i + 1, 0, "expected `text` with the hypothesis");
	if (result == 0) {
		*id = (size_t)values[0].number;
		memcpy(line, values[1].text.data, values[1].text.size + 1);
		*text = line;
	}
	jsonl_release(values, 2);
	return result;
}

/* One hypothesis for each of n segments; the caller frees the array. NULL and err when they do not match up. */
static const char **order_hypotheses(const struct text_file *f, size_t n, const char *references, struct err *err)
{
	const char *path = f->lines.path, **texts = mem_zero(n, sizeof *texts);
	bool ids = !f->jsonl && has_ids(f, false);
	size_t found = 0;
	for (size_t i = 0; i < f->n; i++) {
		size_t id = found;
		const char *text = f->line[i];
		if ((f->jsonl || ids) && is_blank(text))
			continue;
		if (f->jsonl && json_hypothesis(f, i, &id, &text, err) < 0)
			goto fail;
		if (ids)
			text += lines_id(text, strlen(text), &id);
		if (id >= n && (f->jsonl || ids)) {
			err_at(err, path, i + 1, 0, "the id is not below %zu, the number of inputs in %s", n,
			       references);
			goto fail;
		}
		if (id < n && texts[id]) {
			err_at(err, path, i + 1, 0, "a second hypothesis for id %zu", id);
			goto fail;
		}
		if (id < n)
			texts[id] = text;
		found++;
	}
	if (found == n)
		return texts;
	err_set(err, ERR_INPUT, "%s has %zu hypotheses, but %s is about %zu inputs", path, found, references, n);
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
static int score_files(char **paths, size_t n_references, const struct columns_map *columns, struct scores *scores,
		       struct err *err)
{
	struct text_file *files = mem_zero(n_references + 1, sizeof *files);
	struct references references = {0};
	struct columns_file rows = {0};
	int result = -1;
	for (size_t i = columns->format ? 1 : 0; i <= n_references; i++) {
		if (read_lines(&files[i], paths[i], err) < 0)
			goto out;
		if (i < n_references && files[i].jsonl) {
			err_at(err, paths[i], 1, 0,
			       "JSON lines are hypotheses; references are a text a line or `id||table||text` lines, "
			       "or in columns that --columns INPUT,TARGET names");
			goto out;
		}
	}
	if (columns->format)
		result = references_by_row(&references, paths[0], columns, &rows, err);
	else if (n_references == 1 && has_ids(&files[0], true))
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
	columns_close(&rows);
	for (size_t i = 0; i <= n_references; i++)
		text_file_release(&files[i]);
	free(files);
	return result;
}

/* --columns INPUT,TARGET: of the one file of references. The caller frees both names. */
static int parse_columns(const char *text, const char *path, size_t n_references, struct columns_map *columns,
			 struct err *err)
{
	const char *comma = strchr(text, ',');
	if (!comma || comma == text || !comma[1] || strchr(comma + 1, ','))
		return err_set(err, ERR_USAGE, "score: --columns: expected INPUT,TARGET, such as mr,ref, found `%s`",
			       text);
	if (n_references != 1)
		return err_set(err, ERR_USAGE, "score: --columns is for one file of references, found %zu",
			       n_references);
	columns->format = columns_format_of(path);
	if (columns->format == COLUMNS_PARQUET)
		return err_at(err, path, 0, 0, COLUMNS_PARQUET_HELP);
	if (columns->format == COLUMNS_NONE)
		return err_at(err, path, 0, 0,
			      "--columns is for files whose names end in .csv, .tsv or .jsonl, with .gz or without");
	columns->input = mem_strndup(text, (size_t)(comma - text));
	columns->target = mem_strdup(comma + 1);
	return 0;
}

int cmd_score(int argc, char **argv, struct err *err)
{
	const char *format = "table", *columns_text = NULL;
	bool helped;
	const struct cli_option options[] = {
		{.name = "format", .type = CLI_TEXT, .text = &format, .help = "table (default) or json"},
		{.name = "columns",
		 .type = CLI_TEXT,
		 .text = &columns_text,
		 .help = "INPUT,TARGET: references are in these columns of a CSV, TSV or JSON lines file"},
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
	struct columns_map columns = {0};
	int result = columns_text ? parse_columns(columns_text, argv[1], (size_t)n - 1, &columns, err) : 0;
	if (result == 0)
		result = score_files(argv + 1, (size_t)n - 1, &columns, &scores, err);
	free(columns.input);
	free(columns.target);
	if (result < 0)
		return -1;
	if (json)
		print_json(&scores);
	else
		print_table(&scores);
	buf_release(&scores.corpus_signature);
	buf_release(&scores.sentence_signature);
	return 0;
}
