/* columns.c - CSV, TSV and JSON lines; see columns.h.
 *
 * The whole file is in memory (lines.c). Fields are cut, and freed of their quotes and escapes, where they stand: what
 * they mean is never longer than how they are written. */
#include "columns.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hash.h"
#include "jsonl.h"
#include "mem.h"
#include "table.h"
#include "utf8.h"

static const struct {
	const char *ending;
	enum columns_format format;
} endings[] = {{".csv", COLUMNS_CSV},      {".tsv", COLUMNS_TSV},    {".jsonl", COLUMNS_JSONL},
	       {".ndjson", COLUMNS_JSONL}, {".json", COLUMNS_JSONL}, {".parquet", COLUMNS_PARQUET}};

static const char *const format_names[] = {"", "csv", "tsv", "jsonl", "parquet"};

enum columns_format columns_format_of(const char *path)
{
	size_t n = strlen(path);
	if (n > 3 && strcasecmp(path + n - 3, ".gz") == 0)
		n -= 3;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		size_t m = strlen(endings[i].ending);
		if (n > m && path[n - m - 1] != '/' && strncasecmp(path + n - m, endings[i].ending, m) == 0)
			return endings[i].format;
	}
	return COLUMNS_NONE;
}

const char *columns_format_name(enum columns_format format)
{
	return format_names[format];
}

enum columns_format columns_format_named(const char *name)
{
	for (int i = COLUMNS_CSV; i <= COLUMNS_JSONL; i++)
		if (strcmp(name, format_names[i]) == 0)
			return (enum columns_format)i;
	return COLUMNS_NONE;
}

struct reader {
	struct columns_file *t;
	const struct columns_map *columns;
	const char *path;
	size_t limit, room; /* rows wanted (0: all); rows that t->rows has room for */
	/* CSV and TSV */
	char *p, *end;
	size_t line;
	char delimiter;
	size_t n_fields, input, target; /* of the header, and which of them are wanted */
};

struct text {
	char *p;
	size_t n;
};

/* ------------------------------------------------------------------------------------------------ any format */

/* A sentence for a column that is not among the n names of the file. */
static int no_column(const struct reader *r, size_t line, const char *what, const char *column,
		     const char *const *names, size_t n, struct err *err)
{
	char list[400], name[64];
	size_t size = 0;
	const char *near = err_nearest(column, names, n);
	list[0] = '\0';
	for (size_t i = 0; i < n && size + 80 < sizeof list; i++) {
		utf8_clean_into(name, sizeof name, names[i], strlen(names[i]));
		size += (size_t)snprintf(list + size, sizeof list - size, "%s`%s`", i ? ", " : "", name);
	}
	utf8_clean_into(name, sizeof name, near ? near : "", near ? strlen(near) : 0);
	return err_at(err, r->path, line, 0, "%s `%s`, but %s%s%s%s%s", what, column, n ? list : "none at all",
		      n && size + 80 >= sizeof list ? ", ..." : "", near ? "; did you mean `" : "", name,
		      near ? "`?" : "");
}

/* CRLF is LF. */
static void drop_returns(struct text *text)
{
	char *to = text->p;
	if (!memchr(text->p, '\r', text->n))
		return;
	for (size_t i = 0; i < text->n; i++)
		if (text->p[i] != '\r' || i + 1 == text->n || text->p[i + 1] != '\n')
			*to++ = text->p[i];
	text->n = (size_t)(to - text->p);
}

static int add_row(struct reader *r, size_t line, struct text input, struct text target, struct err *err)
{
	struct columns_file *t = r->t;
	struct text *texts[] = {&input, &target};
	const char *names[] = {r->columns->input, r->columns->target};
	for (int i = 0; i < 2 && names[i]; i++) {
		drop_returns(texts[i]);
		if (lines_blank(&(struct lines){.line = texts[i]->p, .n = texts[i]->n}))
			return err_at(err, r->path, line, 0,
				      "the column `%s` is empty; fill it in or leave the row out", names[i]);
	}
	/* a field's end in the file, or that of the buffer, is no part of the next one */
	input.p[input.n] = '\0';
	if (names[1])
		target.p[target.n] = '\0';
	MEM_PUSH_ROOM(t->rows, t->n, r->room);
	t->rows[t->n++] = (struct columns_row){
		.input = input.p, .n_input = input.n, .target = target.p, .n_target = target.n, .line = line};
	return 0;
}

static bool enough(const struct reader *r)
{
	return r->limit && r->t->n >= r->limit;
}

/* UTF-8 without NUL, the file as a whole: a record's own bytes are moved while it is read. */
static int check_bytes(const struct reader *r, struct err *err)
{
	size_t n = (size_t)(r->end - r->p), good = utf8_valid_prefix(r->p, n), line = 1;
	const char *nul = memchr(r->p, '\0', n), *bad = nul && (size_t)(nul - r->p) < good ? nul : r->p + good, *from;
	if (good == n && !nul)
		return 0;
	from = r->p;
	for (const char *p; (p = memchr(from, '\n', (size_t)(bad - from))); from = p + 1)
		line++;
	if (bad == nul)
		return err_at(err, r->path, line, 0, "the line holds a NUL byte; is this a text file?");
	return err_at(err, r->path, line, (size_t)(bad - from) + 1,
		      "byte 0x%02x is not UTF-8; convert the file to UTF-8", (unsigned char)*bad);
}

/* ------------------------------------------------------------------------------------------------ CSV, TSV */

static void skip_blank_lines(struct reader *r)
{
	while (r->p < r->end) {
		const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));
		size_t n = newline ? (size_t)(newline - r->p) : (size_t)(r->end - r->p);
		if (!lines_blank(&(struct lines){.line = r->p, .n = n}))
			return;
		r->p += newline ? n + 1 : n;
		r->line++;
	}
}

static int quoted(struct reader *r, struct text *field, struct err *err)
{
	size_t first = r->line;
	char *p = r->p + 1, *to = p;
	field->p = to;
	for (;;) {
		if (p == r->end)
			return err_at(err, r->path, first, 0, "a quote opens a field here and is never closed");
		if (*p == '"' && !(p + 1 < r->end && p[1] == '"'))
			break;
		p += *p == '"';
		r->line += *p == '\n';
		*to++ = *p++;
	}
	field->n = (size_t)(to - field->p);
	r->p = p + 1;
	if (r->p < r->end && *r->p != r->delimiter && *r->p != '\n' && *r->p != '\r')
		return err_at(
			err, r->path, r->line, 0,
			"text behind the closing quote of a field that opens in line %zu; a quote within quotes is "
			"written twice",
			first);
	return 0;
}

/* 1: another field of this record follows; 0: this was its last one. */
static int next_field(struct reader *r, struct text *field, struct err *err)
{
	if (r->p < r->end && *r->p == '"') {
		if (quoted(r, field, err) < 0)
			return -1;
	} else {
		field->p = r->p;
		while (r->p < r->end && *r->p != r->delimiter && *r->p != '\n' && *r->p != '\r')
			r->p++;
		field->n = (size_t)(r->p - field->p);
	}
	if (r->p < r->end && *r->p == r->delimiter) {
		r->p++;
		return 1;
	}
	if (r->p < r->end && *r->p == '\r')
		r->p++;
	if (r->p < r->end && *r->p != '\n')
		return err_at(err, r->path, r->line, 0,
			      "a carriage return without a line feed; save the file with line ends LF or CRLF");
	if (r->p < r->end)
		r->p++;
	r->line++;
	return 0;
}

static int find_column(const struct reader *r, size_t line, const char *column, const char *const *names, size_t n,
		       size_t *number, struct err *err)
{
	*number = n;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], column) != 0)
			continue;
		if (*number < n)
			return err_at(err, r->path, line, 0, "the header has two columns `%s`", column);
		*number = i;
	}
	return *number < n ? 0 : no_column(r, line, "the header has no column", column, names, n, err);
}

static int read_header(struct reader *r, struct err *err)
{
	char **names = NULL;
	size_t n = 0, room = 0, line;
	struct text field = {0};
	int more = 1, result;
	skip_blank_lines(r);
	line = r->line;
	while (more > 0 && (more = next_field(r, &field, err)) >= 0) {
		MEM_PUSH_ROOM(names, n, room);
		names[n++] = mem_strndup(field.p, field.n);
	}
	const char *const *known = (const char *const *)names;
	r->n_fields = n;
	result = more;
	if (result == 0)
		result = find_column(r, line, r->columns->input, known, n, &r->input, err);
	if (result == 0 && r->columns->target)
		result = find_column(r, line, r->columns->target, known, n, &r->target, err);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return result;
}

static int read_record(struct reader *r, struct err *err)
{
	struct text field = {0}, input = {0}, target = {0};
	size_t line = r->line, n = 0;
	int more = 1;
	for (; more > 0; n++) {
		more = next_field(r, &field, err);
		if (more < 0)
			return -1;
		if (n == r->input)
			input = field;
		if (r->columns->target && n == r->target)
			target = field;
	}
	if (n != r->n_fields)
		return err_at(err, r->path, line, 0,
			      "the row has %zu field%s, but the header has %zu; a text with a %s in it needs quotes", n,
			      n == 1 ? "" : "s", r->n_fields, r->delimiter == ',' ? "comma" : "tab");
	return add_row(r, line, input, target, err);
}

static int read_csv(struct reader *r, struct err *err)
{
	r->delimiter = r->columns->format == COLUMNS_CSV ? ',' : '\t';
	int result = read_header(r, err);
	for (skip_blank_lines(r); result == 0 && r->p < r->end && !enough(r); skip_blank_lines(r))
		result = read_record(r, err);
	return result;
}

/* ------------------------------------------------------------------------------------------------ JSON lines */

struct members {
	char **names;
	size_t n, room;
};

static void add_member(void *ctx, const struct jsonl_value *value)
{
	struct members *m = ctx;
	MEM_PUSH_ROOM(m->names, m->n, m->room);
	m->names[m->n++] = mem_strdup(value->name);
}

static int no_member(const struct reader *r, const char *column, struct err *err)
{
	struct members m = {0};
	size_t ignored;
	jsonl_each(r->t->lines.line, r->t->lines.n, add_member, &m, &ignored);
	no_column(r, r->t->lines.number, "the object has no member", column, (const char *const *)m.names, m.n, err);
	for (size_t i = 0; i < m.n; i++)
		free(m.names[i]);
	free(m.names);
	return -1;
}

static int check_member(const struct reader *r, const struct jsonl_value *value, struct err *err)
{
	static const char *const kinds[] = {"missing",         "null", "true", "false", "a number", "a text",
					    "a list or object"};
	size_t line = r->t->lines.number;
	if (value->kind == JSONL_ABSENT)
		return no_member(r, value->name, err);
	if (value->kind != JSONL_TEXT)
		return err_at(err, r->path, line, 0, "`%s` is %s; expected a text%s", value->name, kinds[value->kind],
			      value->kind == JSONL_OTHER ? ", one on each line" : "");
	if (memchr(value->text.data, '\0', value->text.size))
		return err_at(err, r->path, line, 0, "`%s` holds a NUL", value->name);
	return 0;
}

static int read_jsonl(struct reader *r, struct err *err)
{
	struct lines *l = &r->t->lines;
	struct jsonl_value values[2] = {{.name = r->columns->input}, {.name = r->columns->target}};
	size_t wanted = r->columns->target ? 2 : 1, column;
	int result = 0;
	while (result == 0 && !enough(r) && lines_next(l)) {
		if (lines_blank(l))
			continue;
		if (jsonl_parse(l->line, l->n, values, wanted, &column) < 0)
			result = err_at(err, r->path, l->number, column, "expected a JSON object on each line%s",
					r->t->n == 0 && *l->line == '[' ? "; a list becomes lines with: jq -c '.[]'"
									: "");
		for (size_t i = 0; i < wanted && result == 0; i++)
			result = check_member(r, &values[i], err);
		if (result < 0)
			break;
		struct text input = {l->line, values[0].text.size},
			    target = {l->line + input.n + 1, wanted > 1 ? values[1].text.size : 0};
		memcpy(input.p, values[0].text.data, input.n);
		if (wanted > 1)
			memcpy(target.p, values[1].text.data, target.n);
		result = add_row(r, l->number, input, target, err);
	}
	jsonl_release(values, 2);
	return result;
}

/* ------------------------------------------------------------------------------------------------ all */

int columns_open(struct columns_file *t, const char *path, const struct columns_map *columns, size_t limit,
		 struct err *err)
{
	*t = (struct columns_file){0};
	if (lines_open(&t->lines, path, 0, err) < 0)
		return -1;
	struct reader r = {.t = t, .columns = columns, .path = path, .limit = limit, .line = 1};
	r.p = t->lines.text.data + t->lines.at;
	r.end = t->lines.text.data + t->lines.text.size;
	bool parquet = (size_t)(r.end - r.p) >= 4 && memcmp(r.p, COLUMNS_PARQUET_MAGIC, 4) == 0;
	int result = parquet ? err_at(err, path, 0, 0, "%s", COLUMNS_PARQUET_HELP) : check_bytes(&r, err);
	if (result == 0)
		result = columns->format == COLUMNS_JSONL ? read_jsonl(&r, err) : read_csv(&r, err);
	if (result == 0 && t->n == 0)
		result = err_at(err, path, 0, 0, "there is no row in the file");
	if (result < 0)
		columns_close(t);
	return result;
}

/* Whether the row at hand has the input with this number, whose first row is first[number]. */
struct group {
	const struct columns_row *row, **first;
};

static bool same_input(size_t number, void *ctx)
{
	const struct group *g = ctx;
	const struct columns_row *other = g->first[number];
	return other->n_input == g->row->n_input && memcmp(other->input, g->row->input, other->n_input) == 0;
}

void columns_group(struct columns_file *t)
{
	struct table numbers = {0};
	struct group group = {.first = mem_array(t->n, sizeof *group.first)};
	for (size_t i = 0; i < t->n; i++) {
		struct columns_row *row = &t->rows[i];
		group.row = row;
		row->number = table_add(&numbers, hash_u64(row->input, row->n_input), same_input, &group, &row->first);
		if (row->first)
			group.first[row->number] = row;
	}
	t->n_inputs = numbers.n;
	table_release(&numbers);
	free(group.first);
}

void columns_close(struct columns_file *t)
{
	lines_close(&t->lines);
	free(t->rows);
	*t = (struct columns_file){0};
}
