/* dataset.c - the experiment's files as token ids; see dataset.h and docs/REFERENCE.md, 4, 5.6, 6.3.
 *
 * A training pair is ids(prompt) then ids(target) then the end token, prompt and target tokenised apart, because the
 * experiment did and a joint tokenisation would differ at the seam. Files are read as bytes and cut at newlines only;
 * one carriage return at a line's end is dropped. What is wrong is told with file and line before anything is trained
 * on. */
#include "dataset.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/utf8.h"

#define DATASET_MAX_FILE ((size_t)1 << 32)
enum { DATASET_CHUNK = 1 << 18 };

/* A text file, plain or gzip, in memory; line by line. */
struct lines {
	const char *path;
	struct buf text;
	size_t at, number; /* the next line's offset; the number of the last line given, from 1 */
	const char *line;
	size_t n;
};

/* Reads the file, or at least its first `limit` lines (0: all). zlib passes plain files through as they are. */
static int lines_open(struct lines *l, const char *path, size_t limit, struct err *err)
{
	*l = (struct lines){.path = path};
	struct stat info;
	if (stat(path, &info) < 0)
		return err_errno(err, "cannot open %s", path);
	if (!S_ISREG(info.st_mode))
		return err_at(err, path, 0, 0, "expected a plain file");
	errno = 0;
	gzFile file = gzopen(path, "rbe");
	if (!file)
		return errno ? err_errno(err, "cannot open %s", path)
			     : err_set(err, ERR_SYSTEM, "cannot open %s", path);
	size_t newlines = 0;
	int result = 0, got;
	gzbuffer(file, DATASET_CHUNK);
	do {
		buf_reserve(&l->text, DATASET_CHUNK);
		got = gzread(file, l->text.data + l->text.size, DATASET_CHUNK);
		for (int i = 0; i < got; i++)
			newlines += l->text.data[l->text.size + (size_t)i] == '\n';
		if (got > 0)
			l->text.size += (size_t)got;
	} while (got > 0 && (limit == 0 || newlines < limit) && l->text.size < DATASET_MAX_FILE);
	int code;
	const char *why = gzerror(file, &code);
	if (code == Z_ERRNO)
		result = err_errno(err, "cannot read %s", path);
	else if (code != Z_OK && code != Z_STREAM_END)
		result = err_at(err, path, 0, 0, "a damaged or incomplete gzip file (%s)", why);
	else if (l->text.size >= DATASET_MAX_FILE)
		result = err_at(err, path, 0, 0, "larger than %zu bytes", DATASET_MAX_FILE);
	else if (l->text.size == 0)
		result = err_at(err, path, 0, 0, "the file is empty");
	gzclose(file);
	if (l->text.size >= 3 && memcmp(l->text.data, "\xEF\xBB\xBF", 3) == 0)
		l->at = 3; /* a byte order mark is not text */
	if (result < 0)
		buf_release(&l->text);
	return result;
}

/* 1 and the next line, 0 at the end, -1 when the line is not UTF-8. */
static int lines_next(struct lines *l, struct err *err)
{
	if (l->at >= l->text.size)
		return 0;
	l->line = l->text.data + l->at;
	const char *end = memchr(l->line, '\n', l->text.size - l->at);
	l->n = end ? (size_t)(end - l->line) : l->text.size - l->at;
	l->at += l->n + 1;
	l->number++;
	if (l->n && l->line[l->n - 1] == '\r')
		l->n--;
	size_t valid = utf8_valid_prefix(l->line, l->n);
	if (valid < l->n)
		return err_at(err, l->path, l->number, valid + 1, "byte 0x%02x is not UTF-8; convert the file to UTF-8",
			      (unsigned char)l->line[valid]);
	if (memchr(l->line, '\0', l->n))
		return err_at(err, l->path, l->number, 0, "the line holds a NUL byte; is this a text file?");
	return 1;
}

static void lines_close(struct lines *l)
{
	buf_release(&l->text);
}

/* The offset of the first `||` in text from `from`, or n. */
static size_t find_bars(const char *text, size_t n, size_t from)
{
	for (size_t i = from; i + 1 < n; i++)
		if (text[i] == '|' && text[i + 1] == '|')
			return i;
	return n;
}

/* `digits||`: what a reference line begins with. */
static bool starts_with_id(const char *text, size_t n)
{
	size_t i = 0;
	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i > 0 && i + 1 < n && text[i] == '|' && text[i + 1] == '|';
}

static bool blank(const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t c;
		i += utf8_next(text + i, n - i, &c);
		if (!utf8_is_space(c))
			return false;
	}
	return true;
}

/* Template with {name} and {eos} replaced, in one pass: what is put in is not looked at again. */
static void render(const char *tmpl, const char *name, const char *value, size_t n, const char *eos, struct buf *out)
{
	size_t n_name = strlen(name);
	buf_clear(out);
	while (*tmpl) {
		if (strncmp(tmpl, name, n_name) == 0) {
			buf_add(out, value, n);
			tmpl += n_name;
		} else if (strncmp(tmpl, "{eos}", 5) == 0) {
			buf_adds(out, eos);
			tmpl += 5;
		} else {
			const char *brace = strchr(tmpl + 1, '{');
			size_t length = brace ? (size_t)(brace - tmpl) : strlen(tmpl);
			buf_add(out, tmpl, length);
			tmpl += length;
		}
	}
}

static int encode_rendered(struct tokenizer *tok, const char *tmpl, const char *name, const char *value, size_t n,
			   const char *eos, struct buf *scratch, struct tokenizer_ids *ids, struct err *err)
{
	render(tmpl, name, value, n, eos, scratch);
	return tokenizer_encode(tok, scratch->data ? scratch->data : "", scratch->size, ids, err);
}

/* One line's pair behind the ids so far; pair->ids is set when the block no longer moves. */
static int add_pair(struct dataset_pair *pair, const struct lines *l, struct tokenizer *tok,
		    const struct dataset_template *tmpl, size_t pad_to_length, struct buf *scratch,
		    struct tokenizer_ids *ids, struct err *err)
{
	size_t bars = find_bars(l->line, l->n, 0), from = ids->n;
	if (l->n == 0)
		return err_at(err, l->path, l->number, 0, "an empty line; expected `table||text`");
	if (bars == l->n)
		return err_at(err, l->path, l->number, 0, "no `||` in the line; expected `table||text`");
	if (starts_with_id(l->line, l->n) && find_bars(l->line, l->n, bars + 2) < l->n)
		return err_at(err, l->path, l->number, 0,
			      "looks like `id||table||text`, a line of references; expected `table||text`");
	if (encode_rendered(tok, tmpl->prompt, "{table}", l->line, bars, tmpl->eos_text, scratch, ids, err) < 0)
		return -1;
	size_t prompt = ids->n - from;
	if (encode_rendered(tok, tmpl->target, "{text}", l->line + bars + 2, l->n - bars - 2, tmpl->eos_text, scratch,
			    ids, err) < 0)
		return -1;
	if (ids->n == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->id = mem_grow(ids->id, ids->room, sizeof *ids->id);
	}
	ids->id[ids->n++] = tmpl->eos;
	size_t n = ids->n - from, pad = 0;
	if (n > UINT32_MAX / 2)
		return err_at(err, l->path, l->number, 0, "the line has %zu tokens", n);
	if (pad_to_length && n > pad_to_length) {
		n = pad_to_length;
		ids->n = from + n;
	} else if (pad_to_length) {
		pad = pad_to_length - n;
	}
	if (prompt >= n)
		return err_at(err, l->path, l->number, 0,
			      "the prompt has %zu tokens, so that nothing of the text is left within pad_to_length %zu",
			      prompt, pad_to_length);
	*pair = (struct dataset_pair){.n = (uint32_t)n, .n_prompt = (uint32_t)prompt, .pad = (uint32_t)pad};
	return 0;
}

int dataset_load_train(struct dataset_train *train, const char *path, size_t limit, struct tokenizer *tok,
		       const struct dataset_template *tmpl, size_t pad_to_length, struct err *err)
{
	*train = (struct dataset_train){0};
	struct lines l;
	if (lines_open(&l, path, limit, err) < 0)
		return -1;
	struct buf scratch = BUF_INIT;
	struct tokenizer_ids ids = {0};
	size_t room = 0;
	int more = 0;
	while ((limit == 0 || train->n < limit) && (more = lines_next(&l, err)) > 0) {
		MEM_PUSH_ROOM(train->pairs, train->n, room);
		if (add_pair(&train->pairs[train->n], &l, tok, tmpl, pad_to_length, &scratch, &ids, err) < 0) {
			more = -1;
			break;
		}
		train->n++;
	}
	train->block = ids.id;
	const int32_t *next = train->block;
	for (size_t i = 0; i < train->n; i++) {
		train->pairs[i].ids = next;
		next += train->pairs[i].n;
	}
	buf_release(&scratch);
	lines_close(&l);
	if (more < 0)
		dataset_release_train(train);
	return more < 0 ? -1 : 0;
}

void dataset_release_train(struct dataset_train *train)
{
	free(train->pairs);
	free(train->block);
	*train = (struct dataset_train){0};
}

/* All tables of an input file in order, those behind the limit too. */
struct tables {
	char **text;
	size_t n, room;
	char **sorted; /* the same texts by strcmp, while references are read */
};

static int load_tables(struct tables *tables, const char *path, struct err *err)
{
	struct lines l;
	if (lines_open(&l, path, 0, err) < 0)
		return -1;
	int more;
	while ((more = lines_next(&l, err)) > 0) {
		if (blank(l.line, l.n))
			continue;
		if (starts_with_id(l.line, l.n)) {
			more = err_at(err, path, l.number, 0,
				      "looks like `id||table||text`, a line of references; expected a table");
			break;
		}
		MEM_PUSH_ROOM(tables->text, tables->n, tables->room);
		tables->text[tables->n++] = mem_strndup(l.line, l.n);
	}
	lines_close(&l);
	if (more == 0 && tables->n == 0)
		more = err_at(err, path, 0, 0, "there is no table in the file");
	return more;
}

static bool edge(char c)
{
	return c == ' ' || c == '\t';
}

/* strcmp of two tables, of which white space at either end does not count. */
static int compare_tables(const char *a, size_t n, const char *b, size_t m)
{
	for (; n && edge(a[n - 1]); n--)
		;
	for (; m && edge(b[m - 1]); m--)
		;
	for (; n && edge(*a); n--)
		a++;
	for (; m && edge(*b); m--)
		b++;
	int order = memcmp(a, b, n < m ? n : m);
	return order ? order : (n > m) - (n < m);
}

static int compare_sorted(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	return compare_tables(x, strlen(x), y, strlen(y));
}

static bool is_a_table(const struct tables *tables, const char *text, size_t n)
{
	size_t low = 0, high = tables->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare_tables(text, n, tables->sorted[middle], strlen(tables->sorted[middle]));
		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static int add_reference(struct dataset_eval *eval, const struct tables *tables, const struct lines *l, struct err *err)
{
	size_t first = find_bars(l->line, l->n, 0), second = first < l->n ? find_bars(l->line, l->n, first + 2) : l->n;
	if (!starts_with_id(l->line, l->n) || second == l->n)
		return err_at(err, l->path, l->number, 0, "expected `id||table||text`");
	size_t id = 0, n_table = second - first - 2;
	const char *table = l->line + first + 2;
	for (size_t i = 0; i < first; i++)
		id = id > (size_t)1 << 40 ? id : 10 * id + (size_t)(l->line[i] - '0');
	if (id >= tables->n)
		return err_at(err, l->path, l->number, 0,
			      "the reference is for input %.*s, but there are only %zu inputs (from 0)",
			      (int)(first < 20 ? first : 20), l->line, tables->n);
	bool same = compare_tables(table, n_table, tables->text[id], strlen(tables->text[id])) == 0;
	if (!same && !is_a_table(tables, table, n_table))
		return err_at(err, l->path, l->number, 0,
			      "the table of reference %zu is not input %zu (`%.100s`), nor any other", id, id,
			      tables->text[id]);
	if (id >= eval->n)
		return 0; /* behind the limit */
	eval->n_elsewhere += !same;
	struct dataset_input *input = &eval->inputs[id];
	size_t n = input->n_references;
	if ((n & (n - 1)) == 0) /* room doubles at powers of two */
		input->references = mem_grow(input->references, n ? 2 * n : 1, sizeof *input->references);
	input->references[input->n_references++] = mem_strndup(l->line + second + 2, l->n - second - 2);
	return 0;
}

static int load_references(struct dataset_eval *eval, struct tables *tables, const char *path, const char *input,
			   struct err *err)
{
	struct lines l;
	if (lines_open(&l, path, 0, err) < 0)
		return -1;
	int more;
	tables->sorted = mem_array(tables->n, sizeof *tables->sorted);
	memcpy(tables->sorted, tables->text, tables->n * sizeof *tables->sorted);
	qsort(tables->sorted, tables->n, sizeof *tables->sorted, compare_sorted);
	while ((more = lines_next(&l, err)) > 0) {
		if (blank(l.line, l.n))
			continue;
		if (add_reference(eval, tables, &l, err) < 0) {
			more = -1;
			break;
		}
	}
	lines_close(&l);
	for (size_t i = 0; more == 0 && i < eval->n; i++)
		if (eval->inputs[i].n_references == 0)
			more = err_at(err, path, 0, 0, "no reference for input %zu of %s (`%.100s`)", i, input,
				      tables->text[i]);
	return more;
}

int dataset_load_eval(struct dataset_eval *eval, const char *input, const char *references, size_t limit,
		      struct tokenizer *tok, const struct dataset_template *tmpl, struct err *err)
{
	*eval = (struct dataset_eval){0};
	struct tables tables = {0};
	int result = load_tables(&tables, input, err);
	if (result == 0) {
		eval->n = limit && limit < tables.n ? limit : tables.n;
		eval->inputs = mem_zero(eval->n, sizeof *eval->inputs);
		if (references)
			result = load_references(eval, &tables, references, input, err);
	}
	for (size_t i = 0; i < tables.n; i++) {
		if (i < eval->n)
			eval->inputs[i].table = tables.text[i];
		else
			free(tables.text[i]);
	}
	free(tables.text);
	free(tables.sorted);
	struct buf scratch = BUF_INIT;
	for (size_t i = 0; result == 0 && i < eval->n; i++) {
		struct dataset_input *in = &eval->inputs[i];
		struct tokenizer_ids ids = {0};
		result = encode_rendered(tok, tmpl->prompt, "{table}", in->table, strlen(in->table), tmpl->eos_text,
					 &scratch, &ids, err);
		in->ids = ids.id;
		in->n = ids.n;
	}
	buf_release(&scratch);
	if (result < 0)
		dataset_release_eval(eval);
	return result;
}

void dataset_release_eval(struct dataset_eval *eval)
{
	for (size_t i = 0; i < eval->n; i++) {
		struct dataset_input *in = &eval->inputs[i];
		for (size_t k = 0; k < in->n_references; k++)
			free(in->references[k]);
		free(in->references);
		free(in->table);
		free(in->ids);
	}
	free(eval->inputs);
	*eval = (struct dataset_eval){0};
}
