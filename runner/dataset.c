/* dataset.c - the experiment's files as token ids; see dataset.h and docs/REFERENCE.md, 4, 5.6, 6.3.
 *
 * A training pair is ids(prompt) then ids(target) then the end token, prompt and target tokenised apart, because the
 * experiment did and a joint tokenisation would differ at the seam. base/lines.h and base/columns.h cut the files. What is
 * wrong is told with file and line before anything is trained on. */
#include "dataset.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/columns.h"
#include "base/lines.h"
#include "base/mem.h"

#define EOS "{eos}"

/* Template with {name} and {eos} replaced, in one pass: what is put in is not looked at again. */
static void render(const char *tmpl, const char *name, const char *value, size_t n, const char *eos, struct buf *out)
{
	size_t n_name = strlen(name);
	buf_clear(out);
	while (*tmpl) {
		if (strncmp(tmpl, name, n_name) == 0) {
			buf_add(out, value, n);
			tmpl += n_name;
		} else if (strncmp(tmpl, EOS, strlen(EOS)) == 0) {
			buf_adds(out, eos);
			tmpl += strlen(EOS);
		} else {
			const char *brace = strchr(tmpl + 1, '{');
			size_t length = brace ? (size_t)(brace - tmpl) : strlen(tmpl);
			buf_add(out, tmpl, length);
			tmpl += length;
		}
	}
}

int dataset_template_init(struct dataset_template *tmpl, const struct job *job, const struct tokenizer *tok,
			  int32_t eos, struct err *err)
{
	*tmpl = (struct dataset_template){.prompt = job->prompt,
					  .target = job->target ? job->target : JOB_DEFAULT_TARGET,
					  .eos = eos,
					  .eos_text = tokenizer_special_text(tok, eos)};
	if (!tmpl->eos_text && (strstr(job->prompt, EOS) || (job->target && strstr(job->target, EOS))))
		return err_set(err, ERR_INPUT,
			       "%s: `eos_token_id` %d of the model is no special token of its tokenizer", job->model,
			       (int)eos);
	if (!tmpl->eos_text)
		tmpl->eos_text = "";
	return 0;
}

char *dataset_echo(const struct dataset_template *tmpl, const char *table)
{
	static const char name[] = "{table}";
	const char *end = strstr(tmpl->prompt, name);
	char *head = mem_strndup(tmpl->prompt, end ? (size_t)(end - tmpl->prompt) + sizeof name - 1 : 0);
	struct buf text = BUF_INIT;
	render(head, name, table, strlen(table), "", &text);
	free(head);
	return buf_detach(&text);
}

static int encode_rendered(struct tokenizer *tok, const char *tmpl, const char *name, const char *value, size_t n,
			   const char *eos, struct buf *scratch, struct tokenizer_ids *ids, struct err *err)
{
	render(tmpl, name, value, n, eos, scratch);
	return tokenizer_encode(tok, scratch->data ? scratch->data : "", scratch->size, ids, err);
}

struct loading {
	struct dataset_train *train;
	size_t room;
	const char *path;
	struct tokenizer *tok;
	const struct dataset_template *tmpl;
	size_t pad_to_length;
	struct buf scratch;
	struct tokenizer_ids ids;
};

struct text {
	const char *p;
	size_t n;
};

/* One pair behind the ids so far; pair->ids is set when the block no longer moves. */
static int add_pair(struct loading *l, struct text table, struct text text, size_t line, struct err *err)
{
	struct tokenizer_ids *ids = &l->ids;
	size_t from = ids->n;
	if (encode_rendered(l->tok, l->tmpl->prompt, "{table}", table.p, table.n, l->tmpl->eos_text, &l->scratch, ids,
			    err) < 0)
		return -1;
	size_t prompt = ids->n - from;
	if (encode_rendered(l->tok, l->tmpl->target, "{text}", text.p, text.n, l->tmpl->eos_text, &l->scratch, ids,
			    err) < 0)
		return -1;
	if (ids->n == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->id = mem_grow(ids->id, ids->room, sizeof *ids->id);
	}
	ids->id[ids->n++] = l->tmpl->eos;
	size_t n = ids->n - from, pad = 0;
	if (n > UINT32_MAX / 2)
		return err_at(err, l->path, line, 0, "the line has %zu tokens", n);
	if (l->pad_to_length && n > l->pad_to_length) {
		n = l->pad_to_length;
		ids->n = from + n;
	} else if (l->pad_to_length) {
		pad = l->pad_to_length - n;
	}
	if (prompt >= n)
		return err_at(err, l->path, line, 0,
			      "the prompt has %zu tokens, so that nothing of the text is left within pad_to_length %zu",
			      prompt, l->pad_to_length);
	MEM_PUSH_ROOM(l->train->pairs, l->train->n, l->room);
	l->train->pairs[l->train->n++] = (struct dataset_pair){
		.n = (uint32_t)n, .n_prompt = (uint32_t)prompt, .pad = (uint32_t)pad, .line = (uint32_t)line};
	return 0;
}

static int add_line(struct loading *to, const struct lines *l, struct err *err)
{
	if (lines_check(l, err) < 0)
		return -1;
	size_t bars = lines_bars(l->line, l->n, 0);
	if (l->n == 0)
		return err_at(err, l->path, l->number, 0, "an empty line; expected `table||text`");
	if (bars == l->n)
		return err_at(err, l->path, l->number, 0, "no `||` in the line; expected `table||text`");
	struct lines_reference reference;
	if (lines_reference(l->line, l->n, &reference))
		return err_at(err, l->path, l->number, 0,
			      "looks like `id||table||text`, a line of references; expected `table||text`");
	return add_pair(to, (struct text){l->line, bars}, (struct text){l->line + bars + 2, l->n - bars - 2}, l->number,
			err);
}

static int load_lines(struct loading *to, size_t limit, struct err *err)
{
	struct lines l;
	if (lines_open(&l, to->path, limit, err) < 0)
		return -1;
	int result = 0;
	while (result == 0 && (limit == 0 || to->train->n < limit) && lines_next(&l))
		result = add_line(to, &l, err);
	lines_close(&l);
	return result;
}

static int load_rows(struct loading *to, const struct columns_map *columns, size_t limit, struct err *err)
{
	struct columns_file t;
	if (columns_open(&t, to->path, columns, limit, err) < 0)
		return -1;
	int result = 0;
	for (size_t i = 0; i < t.n && result == 0; i++) {
		const struct columns_row *row = &t.rows[i];
		result = add_pair(to, (struct text){row->input, row->n_input},
				  (struct text){row->target, row->n_target}, row->line, err);
	}
	columns_close(&t);
	return result;
}

int dataset_load_train(struct dataset_train *train, const char *path, const struct columns_map *columns, size_t limit,
		       struct tokenizer *tok, const struct dataset_template *tmpl, size_t pad_to_length,
		       struct err *err)
{
	*train = (struct dataset_train){0};
	struct loading l = {.train = train, .path = path, .tok = tok, .tmpl = tmpl, .pad_to_length = pad_to_length};
	int result = columns && columns->format ? load_rows(&l, columns, limit, err) : load_lines(&l, limit, err);
	train->block = l.ids.id;
	const int32_t *next = train->block;
	for (size_t i = 0; i < train->n; i++) {
		train->pairs[i].ids = next;
		next += train->pairs[i].n;
	}
	buf_release(&l.scratch);
	if (result < 0)
		dataset_release_train(train);
	return result;
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
	int result = 0;
	size_t id;
	while (result == 0 && lines_next(&l)) {
		result = lines_check(&l, err);
		if (result < 0 || lines_blank(&l))
			continue;
		if (lines_id(l.line, l.n, &id))
			result = err_at(err, path, l.number, 0,
					"looks like `id||table||text`, a line of references; expected a table");
		MEM_PUSH_ROOM(tables->text, tables->n, tables->room);
		tables->text[tables->n++] = mem_strndup(l.line, l.n);
	}
	lines_close(&l);
	if (result == 0 && tables->n == 0)
		result = err_at(err, path, 0, 0, "there is no table in the file");
	return result;
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

static void push_reference(struct dataset_input *input, const char *text, size_t length)
{
	size_t n = input->n_references;
	if ((n & (n - 1)) == 0) /* room doubles at powers of two */
		input->references = mem_grow(input->references, n ? 2 * n : 1, sizeof *input->references);
	input->references[input->n_references++] = mem_strndup(text, length);
}

static int add_reference(struct dataset_eval *eval, const struct tables *tables, const struct lines *l, struct err *err)
{
	struct lines_reference r;
	if (!lines_reference(l->line, l->n, &r))
		return err_at(err, l->path, l->number, 0, "expected `id||table||text`");
	size_t digits = (size_t)(r.table - l->line) - 2;
	if (r.id >= tables->n)
		return err_at(err, l->path, l->number, 0,
			      "the reference is for input %.*s, but there are only %zu inputs (from 0)",
			      (int)(digits < 20 ? digits : 20), l->line, tables->n);
	bool same = compare_tables(r.table, r.n_table, tables->text[r.id], strlen(tables->text[r.id])) == 0;
	if (!same && !is_a_table(tables, r.table, r.n_table))
		return err_at(err, l->path, l->number, 0,
			      "the table of reference %zu is not input %zu (`%.100s`), nor any other", r.id, r.id,
			      tables->text[r.id]);
	if (r.id >= eval->n)
		return 0; /* behind the limit */
	eval->n_elsewhere += !same;
	push_reference(&eval->inputs[r.id], r.text, r.n_text);
	return 0;
}

static int load_references(struct dataset_eval *eval, struct tables *tables, const char *path, const char *input,
			   struct err *err)
{
	struct lines l;
	if (lines_open(&l, path, 0, err) < 0)
		return -1;
	int result = 0;
	tables->sorted = mem_array(tables->n, sizeof *tables->sorted);
	memcpy(tables->sorted, tables->text, tables->n * sizeof *tables->sorted);
	qsort(tables->sorted, tables->n, sizeof *tables->sorted, compare_sorted);
	while (result == 0 && lines_next(&l)) {
		result = lines_check(&l, err);
		if (result == 0 && !lines_blank(&l))
			result = add_reference(eval, tables, &l, err);
	}
	lines_close(&l);
	for (size_t i = 0; result == 0 && i < eval->n; i++)
		if (eval->inputs[i].n_references == 0)
			result = err_at(err, path, 0, 0, "no reference for input %zu of %s (`%.100s`)", i, input,
					tables->text[i]);
	return result;
}

static int load_eval_lines(struct dataset_eval *eval, const char *input, const char *references, size_t limit,
			   struct err *err)
{
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
	return result;
}

static int load_eval_rows(struct dataset_eval *eval, const char *path, bool references,
			  const struct columns_map *columns, size_t limit, struct err *err)
{
	struct columns_file t;
	if (columns_open(&t, path, columns, 0, err) < 0)
		return -1;
	columns_group(&t);
	eval->n = limit && limit < t.n_inputs ? limit : t.n_inputs;
	eval->inputs = mem_zero(eval->n, sizeof *eval->inputs);
	for (size_t i = 0; i < t.n; i++) {
		const struct columns_row *row = &t.rows[i];
		if (row->number >= eval->n)
			continue;
		struct dataset_input *input = &eval->inputs[row->number];
		if (row->first) {
			input->table = mem_strndup(row->input, row->n_input);
			input->line = row->line;
		}
		if (references)
			push_reference(input, row->target, row->n_target);
	}
	columns_close(&t);
	return 0;
}

int dataset_load_eval(struct dataset_eval *eval, const char *input, const char *references,
		      const struct columns_map *columns, size_t limit, struct tokenizer *tok,
		      const struct dataset_template *tmpl, struct err *err)
{
	*eval = (struct dataset_eval){0};
	int result = columns && columns->format ? load_eval_rows(eval, input, references, columns, limit, err)
						: load_eval_lines(eval, input, references, limit, err);
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
