/* report_csv.c - every run with every parameter, exact numbers, RFC 4180: for spreadsheets, R and pandas. */
#include <string.h>

#include "report.h"

static void add_field(const char *text, struct buf *out)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		buf_adds(out, text);
		return;
	}
	buf_addc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_addc(out, '"');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

void report_csv(const struct report *r, struct buf *out)
{
	size_t n = r->options.best && r->runs.n > 1 ? 1 : r->runs.n;
	struct buf cell = BUF_INIT;
	for (size_t c = 0; c < r->n_columns; c++) {
		if (c)
			buf_addc(out, ',');
		if (r->columns[c].kind == REPORT_PUBLISHED) {
			buf_clear(&cell);
			buf_printf(&cell, "%s_published", r->runs.metrics[r->columns[c].id].name);
			add_field(cell.data, out);
		} else {
			add_field(r->columns[c].name, out);
		}
	}
	buf_adds(out, "\n");
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < r->n_columns; c++) {
			buf_clear(&cell);
			buf_reserve(&cell, 0);
			report_cell(r, &r->columns[c], &r->runs.run[i], true, &cell);
			if (r->columns[c].kind == REPORT_PARAM && r->columns[c].number &&
			    strcmp(cell.data, "null") == 0)
				buf_clear(&cell); /* an empty field, so that the column stays one of numbers */
			if (c)
				buf_addc(out, ',');
			add_field(cell.size ? cell.data : "", out);
		}
		buf_adds(out, "\n");
	}
	buf_release(&cell);
}
