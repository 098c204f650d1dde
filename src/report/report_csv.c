/* report_csv.c - every run with every parameter, exact numbers, RFC 4180: for spreadsheets, R and pandas. */
#include <string.h>

#include "report.h"

/* A number or a word of ours, or a text of somebody's: spreadsheets take one that begins with = + - @ for a formula, so
 * an apostrophe, their own sign for a text, is put before it. */
static void add_field(const char *text, bool theirs, struct buf *out)
{
	if (theirs && text[0] && strchr("=+-@", text[0])) {
		struct buf defused = BUF_INIT;
		buf_printf(&defused, "'%s", text);
		add_field(defused.data, false, out);
		buf_release(&defused);
		return;
	}
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
	struct buf cell = BUF_INIT;
	for (size_t c = 0; c < r->n_columns; c++) {
		if (c)
			buf_addc(out, ',');
		if (r->columns[c].kind == REPORT_PUBLISHED) {
			buf_clear(&cell);
			buf_printf(&cell, "%s_published", r->runs.metrics[r->columns[c].id].name);
			add_field(cell.data, false, out);
		} else {
			add_field(r->columns[c].name, false, out);
		}
	}
	buf_adds(out, "\n");
	for (size_t i = 0; i < r->n_listed; i++) {
		for (size_t c = 0; c < r->n_columns; c++) {
			enum report_kind kind = r->columns[c].kind;
			buf_clear(&cell);
			report_cell(r, &r->columns[c], &r->runs.run[i], true, &cell);
			if (kind == REPORT_PARAM && r->columns[c].number && strcmp(buf_text(&cell), "null") == 0)
				buf_clear(&cell); /* an empty field, so that the column stays one of numbers */
			if (c)
				buf_addc(out, ',');
			add_field(buf_text(&cell), kind == REPORT_SWEEP || kind == REPORT_LABEL || kind == REPORT_NOTE,
				  out);
		}
		buf_adds(out, "\n");
	}
	buf_release(&cell);
}
