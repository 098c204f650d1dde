/* columns.h - data files with named columns: CSV, TSV and JSON lines, plain or gzip. One reader for the worker, the store
 * and `sweep score`, as lines.h is for files without columns.
 *
 *     struct columns_file t;
 *     if (columns_open(&t, path, &columns, limit, err) < 0) return -1;      the sentence has file and line
 *     columns_group(&t);                                                    equal inputs are one input
 *     for (size_t i = 0; i < t.n; i++)
 *             use(t.rows[i].input, t.rows[i].n_input, t.rows[i].number);
 *     columns_close(&t);
 *
 * CSV is RFC 4180: commas, a field in double quotes may hold commas, line breaks and doubled quotes, and the first record
 * names the columns. TSV is the same with tabs. JSON lines have an object a line, whose members are texts. A byte order
 * mark is not text, blank lines do not count, CRLF within a text is LF. White space around a text belongs to it.
 *
 * Why no library: libcsv cuts white space off fields, takes what is no CSV, and knows no line numbers; what takes lines
 * here is not the cutting but to say where a file is wrong. */
#ifndef SWEEP_BASE_COLUMNS_H
#define SWEEP_BASE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "lines.h"

/* What a file holds, by its name. COLUMNS_PARQUET is known only to be refused. */
enum columns_format { COLUMNS_NONE, COLUMNS_CSV, COLUMNS_TSV, COLUMNS_JSONL, COLUMNS_PARQUET };

/* How to read a file. A format of COLUMNS_NONE: it has no columns, see lines.h. */
struct columns_map {
	enum columns_format format;
	char *input;  /* the column's name */
	char *target; /* or NULL: inputs alone are wanted */
};

/* Of .csv, .tsv, .jsonl, .ndjson, .json and .parquet, in any case and with .gz behind; else COLUMNS_NONE. */
enum columns_format columns_format_of(const char *path);
/* csv, tsv, jsonl; as in job files and keys. */
const char *columns_format_name(enum columns_format format);
enum columns_format columns_format_named(const char *name);
/* The first bytes of a Parquet file. */
#define COLUMNS_PARQUET_MAGIC "PAR1"
#define COLUMNS_PARQUET_HELP                                                                                           \
	"a Parquet file; convert it first: python3 -c \"import pandas; "                                               \
	"pandas.read_parquet('data.parquet').to_csv('data.csv', index=False)\""

struct columns_row {
	const char *input, *target; /* in the file's memory; UTF-8 without NUL, not blank */
	size_t n_input, n_target;
	size_t line;   /* where the row begins, from 1 */
	size_t number; /* of its input, from 0; after columns_group */
	bool first;    /* the first row of its input */
};

struct columns_file {
	struct lines lines; /* the file */
	struct columns_row *rows;
	size_t n, n_inputs; /* n_inputs: after columns_group */
};

/* The first `limit` rows (0: all), at least one. On an error there is nothing to close. */
int columns_open(struct columns_file *t, const char *path, const struct columns_map *columns, size_t limit,
		 struct err *err);
/* Numbers the inputs in order of first appearance: rows with the same input are one input with several targets. */
void columns_group(struct columns_file *t);
void columns_close(struct columns_file *t);

#endif
