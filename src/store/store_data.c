/* store_data.c - a split's tables and references, kept in the database once for each content: so that an output can be
 * shown with its table, and two runs compared, when the files are gone or changed. The runner has the strict reader of
 * these files (runner/dataset.c); this one cuts lines by the same rule (base/lines.h), takes what it can and leaves
 * complaining to the check job. Files with columns have one reader for all (base/columns.h).
 *
 * A dataset is known by a digest of its content and of the rule by which that was read. Rows that were read by an
 * earlier rule stood beside the wrong outputs where the two differ: they are read anew when their files are next seen,
 * and keep their number, so that the runs of then show the right tables too. */
#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/columns.h"
#include "base/hash.h"
#include "base/lines.h"
#include "base/mem.h"

static int add_inputs(struct store *s, int64_t dataset, struct lines *l, int64_t limit, int64_t *count, struct err *err)
{
	*count = 0;
	while ((limit == 0 || *count < limit) && lines_next(l)) {
		if (lines_blank(l))
			continue;
		if (store_do(s, err, "INSERT OR REPLACE INTO inputs(dataset_id, input, table_text) VALUES(?1, ?2, ?3)",
			     "iib", dataset, *count, l->line, l->n) < 0)
			return -1;
		++*count;
	}
	return 0;
}

/* The id counts inputs from 0; references of tables behind the limit are left out. */
static int add_references(struct store *s, int64_t dataset, struct lines *l, int64_t n_inputs, int64_t *count,
			  struct err *err)
{
	int64_t *of_input = mem_zero((size_t)n_inputs, sizeof *of_input);
	struct lines_reference r;
	int result = 0;
	*count = 0;
	while (result == 0 && lines_next(l)) {
		if (!lines_reference(l->line, l->n, &r) || r.id >= (size_t)n_inputs)
			continue;
		result = store_do(s, err, "INSERT INTO refs(dataset_id, input, n, text) VALUES(?1, ?2, ?3, ?4)", "iiib",
				  dataset, (int64_t)r.id, of_input[r.id]++, r.text, r.n_text);
		++*count;
	}
	free(of_input);
	return result;
}

/* Both, of a file with columns. */
static int add_rows(struct store *s, int64_t dataset, const struct job_split *split, int64_t *n_inputs,
		    int64_t *n_references, struct err *err)
{
	struct columns_file t;
	if (columns_open(&t, split->input, &split->columns, 0, err) < 0)
		return -1;
	columns_group(&t);
	*n_inputs = split->limit && split->limit < (int64_t)t.n_inputs ? split->limit : (int64_t)t.n_inputs;
	int64_t *of_input = mem_zero((size_t)*n_inputs, sizeof *of_input);
	int result = 0;
	*n_references = 0;
	for (size_t i = 0; i < t.n && result == 0; i++) {
		const struct columns_row *row = &t.rows[i];
		int64_t number = (int64_t)row->number;
		if (number >= *n_inputs)
			continue;
		if (row->first)
			result = store_do(
				s, err,
				"INSERT OR REPLACE INTO inputs(dataset_id, input, table_text) VALUES(?1, ?2, ?3)",
				"iib", dataset, number, row->input, row->n_input);
		if (result < 0 || !split->references)
			continue;
		result = store_do(s, err, "INSERT INTO refs(dataset_id, input, n, text) VALUES(?1, ?2, ?3, ?4)", "iiib",
				  dataset, number, of_input[number]++, row->target, row->n_target);
		++*n_references;
	}
	free(of_input);
	columns_close(&t);
	return result;
}

/* The digest of a split's content, read by LINES_RULE (`now`) and as databases of the first rule have it (`before`). */
static void digests(const struct lines *input, const struct lines *references, const struct job_split *split,
		    char now[HASH_HEX], char before[HASH_HEX])
{
	const struct columns_map *columns = &split->columns;
	struct buf identity = BUF_INIT;
	char hex[HASH_HEX];
	hash_bytes(input->text.data, input->text.size, hex);
	buf_printf(&identity, "%s ", hex);
	hash_bytes(references->path ? references->text.data : "", references->text.size, hex);
	buf_printf(&identity, "%s %d %lld", hex, references->path != NULL, (long long)split->limit);
	if (columns->format)
		buf_printf(&identity, " %s %zu %s %s", columns_format_name(columns->format), strlen(columns->input),
			   columns->input, columns->target ? columns->target : "");
	hash_bytes(identity.data, identity.size, before);
	buf_printf(&identity, " %d", LINES_RULE);
	hash_bytes(identity.data, identity.size, now);
	buf_release(&identity);
}

/* Makes the dataset's row, or takes that of an earlier rule over without what was read then. */
static int begin_dataset(struct store *s, const struct job_split *split, const char *now, const char *before,
			 int64_t *id, struct err *err)
{
	int got = store_int(s, err, id,
			    "UPDATE datasets SET digest = ?1, input = ?3, \"references\" = ?4 WHERE digest = ?2 "
			    "RETURNING id",
			    "tttt", now, before, split->input, split->references);
	if (got != 0)
		return got < 0 || store_do(s, err, "DELETE FROM refs WHERE dataset_id = ?1", "i", *id) < 0 ||
				       store_do(s, err, "DELETE FROM inputs WHERE dataset_id = ?1", "i", *id) < 0
			       ? -1
			       : 0;
	return store_int(s, err, id,
			 "INSERT INTO datasets(digest, input, \"references\", \"limit\", n_inputs, n_references) "
			 "VALUES(?1, ?2, ?3, ?4, 0, 0) RETURNING id",
			 "ttti", now, split->input, split->references, split->limit) < 0
		       ? -1
		       : 0;
}

int store_dataset(struct store *s, const struct job_split *split, int64_t *id, struct err *err)
{
	struct lines input = {0}, references = {0};
	char now[HASH_HEX], before[HASH_HEX];
	int result = -1;
	if (lines_open(&input, split->input, 0, err) < 0 ||
	    (split->references && lines_open(&references, split->references, 0, err) < 0)) {
		err_prefix(err, "the data of split `%s`", split->name);
		goto out;
	}
	digests(&input, &references, split, now, before);
	int got = store_int(s, err, id,
			    "UPDATE datasets SET input = ?2, \"references\" = ?3 WHERE digest = ?1 RETURNING id", "ttt",
			    now, split->input, split->references);
	if (got != 0) {
		result = got < 0 ? -1 : 0;
		goto out;
	}
	int64_t n_inputs, n_references = 0;
	if (begin_dataset(s, split, now, before, id, err) < 0)
		goto out;
	if (split->columns.format) {
		if (add_rows(s, *id, split, &n_inputs, &n_references, err) < 0)
			goto out;
	} else if (add_inputs(s, *id, &input, split->limit, &n_inputs, err) < 0 ||
		   (split->references && add_references(s, *id, &references, n_inputs, &n_references, err) < 0)) {
		goto out;
	}
	result = store_do(s, err, "UPDATE datasets SET n_inputs = ?2, n_references = ?3 WHERE id = ?1", "iii", *id,
			  n_inputs, n_references);
out:
	lines_close(&input);
	lines_close(&references);
	return result;
}
