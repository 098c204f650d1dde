/* store_data.c - a split's tables and references, kept in the database once for each content: so that an output can be
 * shown with its table, and two runs compared, when the files are gone or changed. The runner has the strict reader of
 * these files (runner/dataset.c); this one takes what it can and leaves complaining to the check job. */
#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

#define FILE_MAX ((size_t)1 << 30)

/* The next line of a text, without its end; false at the end. */
static bool next_line(const char **at, const char *end, const char **line, size_t *n)
{
	if (*at == end)
		return false;
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	*line = *at;
	*n = (size_t)((stop ? stop : end) - *at);
	*at = stop ? stop + 1 : end;
	if (*n && (*line)[*n - 1] == '\r')
		--*n;
	return true;
}

static bool blank(const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (line[i] != ' ' && line[i] != '\t')
			return false;
	return true;
}

static int add_inputs(struct store *s, int64_t dataset, const struct buf *text, int64_t limit, int64_t *count,
		      struct err *err)
{
	const char *at = text->data, *end = at + text->size, *line;
	size_t n;
	*count = 0;
	while (next_line(&at, end, &line, &n) && (limit == 0 || *count < limit)) {
		if (blank(line, n))
			continue;
		if (store_do(s, err, "INSERT OR REPLACE INTO inputs(dataset_id, input, table_text) VALUES(?1, ?2, ?3)",
			     "iib", dataset, *count, line, n) < 0)
			return -1;
		++*count;
	}
	return 0;
}

/* id||table||text: the id counts inputs from 0; the text is what is behind the second mark. */
static int add_references(struct store *s, int64_t dataset, const struct buf *text, int64_t n_inputs, int64_t *count,
			  struct err *err)
{
	const char *at = text->data, *end = at + text->size, *line;
	size_t n;
	int64_t *of_input = mem_zero((size_t)n_inputs, sizeof *of_input);
	int result = 0;
	*count = 0;
	while (result == 0 && next_line(&at, end, &line, &n)) {
		const char *table = memmem(line, n, "||", 2);
		const char *last = table ? memmem(table + 2, n - (size_t)(table + 2 - line), "||", 2) : NULL;
		if (!last)
			continue;
		int64_t id = 0;
		const char *p = line;
		for (; p < table && *p >= '0' && *p <= '9' && id < n_inputs; p++)
			id = 10 * id + (*p - '0');
		if (p != table || p == line || id >= n_inputs)
			continue;
		result = store_do(s, err, "INSERT INTO refs(dataset_id, input, n, text) VALUES(?1, ?2, ?3, ?4)", "iiib",
				  dataset, id, of_input[id]++, last + 2, (size_t)(line + n - (last + 2)));
		++*count;
	}
	free(of_input);
	return result;
}

int store_dataset(struct store *s, const struct job_split *split, int64_t *id, struct err *err)
{
	struct buf input = BUF_INIT, references = BUF_INIT, identity = BUF_INIT;
	char hex[HASH_HEX];
	int result = -1;
	if (buf_read_file(&input, split->input, FILE_MAX, err) < 0 ||
	    (split->references && buf_read_file(&references, split->references, FILE_MAX, err) < 0)) {
		err_prefix(err, "the data of split `%s`", split->name);
		goto out;
	}
	hash_bytes(input.data ? input.data : "", input.size, hex);
	buf_printf(&identity, "%s ", hex);
	hash_bytes(references.data ? references.data : "", references.size, hex);
	buf_printf(&identity, "%s %d %lld", hex, split->references != NULL, (long long)split->limit);
	hash_bytes(identity.data, identity.size, hex);
	int got = store_int(s, err, id,
			    "UPDATE datasets SET input = ?2, \"references\" = ?3 WHERE digest = ?1 RETURNING id", "ttt",
			    hex, split->input, split->references);
	if (got != 0) {
		result = got < 0 ? -1 : 0;
		goto out;
	}
	int64_t n_inputs, n_references = 0;
	if (store_int(s, err, id,
		      "INSERT INTO datasets(digest, input, \"references\", \"limit\", n_inputs, n_references) "
		      "VALUES(?1, ?2, ?3, ?4, 0, 0) RETURNING id",
		      "ttti", hex, split->input, split->references, split->limit) < 0 ||
	    add_inputs(s, *id, &input, split->limit, &n_inputs, err) < 0 ||
	    (split->references && add_references(s, *id, &references, n_inputs, &n_references, err) < 0))
		goto out;
	result = store_do(s, err, "UPDATE datasets SET n_inputs = ?2, n_references = ?3 WHERE id = ?1", "iii", *id,
			  n_inputs, n_references);
out:
	buf_release(&input);
	buf_release(&references);
	buf_release(&identity);
	return result;
}
