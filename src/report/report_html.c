/* report_html.c - one self-contained page: no network, no library, light and dark. The numbers and charts are made here
 * and stand in the page as a table and as SVG; the few lines of script only sort. */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "report.h"

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
	"<style>\n"
	":root{color-scheme:light "
	"dark;--ink:#1d2430;--dim:#68707d;--line:#e3e6eb;--paper:#fff;--soft:#f6f7f9;--good:#0a7d4b;"
	"--blue:#2f6fde}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#98a1af;--line:#2b313b;--paper:#14171c;--soft:#"
	"1b1f26;"
	"--good:#4cc38a;--blue:#74a5ff}}\n"
	"body{font:15px/1.5 "
	"system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2.5rem auto;"
	"padding:0 1.25rem}\n"
	"h1{font-size:1.6rem;margin:0}h2{font-size:1.05rem;margin:2.2rem 0 .6rem}p{color:var(--dim);margin:.3rem 0}\n"
	".best{background:var(--soft);border-left:4px solid var(--good);padding:.8rem 1rem;margin:1.4rem "
	"0;border-radius:4px}\n"
	".best b{color:var(--good);font-size:1.25rem}\n"
	".charts{display:flex;flex-wrap:wrap;gap:1rem}.charts figure{margin:0;background:var(--soft);border-radius:6px;"
	"padding:.7rem}\n"
	"figcaption{font-size:.85rem;font-weight:600}svg text{fill:var(--dim);font:11px system-ui,sans-serif}\n"
	"svg .axis{stroke:var(--line)}svg "
	".range{stroke:var(--blue);stroke-opacity:.35;stroke-width:6;stroke-linecap:round}\n"
	"svg .mean{fill:var(--blue)}svg .line{stroke:var(--blue);fill:none;stroke-width:1.5}\n"
	".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
	"th{position:sticky;top:0;background:var(--paper);cursor:pointer;text-align:left;font-weight:600;font-size:."
	"85rem;"
	"border-bottom:2px solid var(--line);padding:.4rem .6rem;user-select:none;vertical-align:bottom}\n"
	"td{border-bottom:1px solid var(--line);padding:.3rem .6rem;white-space:nowrap}.n{text-align:right}\n"
	"tr.first td{color:var(--good);font-weight:600}tbody tr:hover{background:var(--soft)}\n"
	"th[data-dir=\"1\"]::after{content:\" \\2191\"}th[data-dir=\"-1\"]::after{content:\" \\2193\"}\n"
	"</style>\n<title>";

static const char script[] =
	"<script>\n"
	"for(const th of document.querySelectorAll('th'))th.onclick=()=>{\n"
	" const body=document.querySelector('tbody'),i=th.cellIndex,dir=th.dataset.dir==='-1'?1:-1;\n"
	" for(const o of th.parentNode.children)delete o.dataset.dir;\n"
	" th.dataset.dir=dir;\n"
	" const key=r=>{const t=r.cells[i].dataset.v??r.cells[i].textContent,x=parseFloat(t);return isNaN(x)?t:x};\n"
	" const cmp=(a,b)=>{const x=key(a),y=key(b);if(x===y)return 0;if(x==='')return 1;if(y==='')return -1;\n"
	"  return(typeof x===typeof y?x<y:typeof x==='number')?-dir:dir};\n"
	" body.append(...[...body.rows].sort(cmp));\n"
	"};\n</script>\n";

static void add_escaped(const char *text, struct buf *out)
{
	struct buf plain = BUF_INIT;
	utf8_clean(text, strlen(text), &plain);
	for (const char *p = plain.size ? plain.data : ""; *p; p++) {
		switch (*p) {
		case '&':
			buf_adds(out, "&amp;");
			break;
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '"':
			buf_adds(out, "&quot;");
			break;
		default:
			buf_addc(out, *p);
		}
	}
	buf_release(&plain);
}

#define LETTER 6.2 /* pixels, of the labels' font */
enum { WIDTH = 250, HEIGHT = 150, LEFT = 38, RIGHT = 14, TOP = 10, BOTTOM = 24 };

/* Scores (y) over a parameter's values (x, evenly spaced): a bar from least to most, a dot and a line for the means. */
static void add_chart(const struct report *r, const struct report_effect *e, double low, double high, struct buf *out)
{
	struct buf label = BUF_INIT;
	double free_from = 0;
	double step = (double)(WIDTH - LEFT - RIGHT) / (double)e->n_values;
	double span = high > low ? high - low : 1, room = HEIGHT - TOP - BOTTOM;
#define Y(value) (TOP + room * (1 - ((value)-low) / span))
	buf_printf(out, "<figure><figcaption>%s</figcaption><svg width=\"%d\" height=\"%d\" role=\"img\">",
		   param_table[e->id].name, WIDTH, HEIGHT);
	for (int i = 0; i <= 2; i++) {
		double value = low + span * i / 2;
		buf_printf(out,
			   "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
			   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>",
			   LEFT, WIDTH - RIGHT, Y(value), Y(value), LEFT - 6, Y(value) + 4, value);
	}
	buf_adds(out, "<polyline class=\"line\" points=\"");
	for (size_t i = 0; i < e->n_values; i++)
		buf_printf(out, "%.1f,%.1f ", LEFT + step * ((double)i + 0.5), Y(e->values[i].mean));
	buf_adds(out, "\"/>");
	for (size_t i = 0; i < e->n_values; i++) {
		const struct report_value *v = &e->values[i];
		double x = LEFT + step * ((double)i + 0.5);
		buf_clear(&label);
		report_effect_value(r, e, i, &label);
		buf_printf(out,
			   "<g><title>%s: mean %.2f of %zu runs, %.2f to %.2f</title>"
			   "<line class=\"range\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			   "<circle class=\"mean\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/></g>",
			   label.data, v->mean, v->n, v->min, v->max, x, x, Y(v->min), Y(v->max), x, Y(v->mean));
		char *to = strstr(label.data, " to "); /* a group goes by its first value: there is no room for two */
		if (to)
			*to = '\0';
		double half = LETTER * (double)strlen(label.data) / 2;
		if (x - half < free_from) /* never over the one before */
			continue;
		free_from = x + half + LETTER;
		buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, HEIGHT - 6,
			   label.data);
	}
#undef Y
	buf_adds(out, "</svg></figure>\n");
	buf_release(&label);
}

static void add_charts(const struct report *r, struct buf *out)
{
	size_t n;
	struct report_effect *effects = report_effects(r, &n);
	double low = INFINITY, high = -INFINITY;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < effects[i].n_values; k++) {
			low = fmin(low, effects[i].values[k].min);
			high = fmax(high, effects[i].values[k].max);
		}
	if (n) {
		buf_adds(out, "<h2>What each parameter does</h2>\n<p>");
		add_escaped(r->runs.metrics[r->by].name, out);
		buf_adds(out, " of all runs that have a value: the mean, and the range from least to most; what "
			      "explains most comes first.");
		buf_printf(out, "%s</p>\n<div class=\"charts\">\n", report_seed_note(r));
		for (size_t i = 0; i < n; i++)
			add_chart(r, &effects[i], low, high, out);
		buf_adds(out, "</div>\n");
	}
	report_effects_release(effects, n);
}

static void add_table(const struct report *r, struct buf *out)
{
	struct buf cell = BUF_INIT, exact = BUF_INIT;
	buf_adds(out, "<h2>Runs</h2>\n<p>A click on a column's name sorts by it.</p>\n<div "
		      "class=\"scroll\"><table><thead><tr>");
	for (size_t c = 0; c < r->n_columns; c++) {
		buf_adds(out, r->columns[c].number ? "<th class=\"n\">" : "<th>");
		add_escaped(r->columns[c].name, out);
		buf_adds(out, "</th>");
	}
	buf_adds(out, "</tr></thead><tbody>\n");
	for (size_t i = 0; i < r->n_listed; i++) {
		bool best = i == 0 && r->by < r->runs.n_metrics && !isnan(r->runs.run[0].scores[r->by]);
		buf_adds(out, best ? "<tr class=\"first\">" : "<tr>");
		for (size_t c = 0; c < r->n_columns; c++) {
			buf_clear(&cell);
			buf_clear(&exact);
			report_cell(r, &r->columns[c], &r->runs.run[i], false, &cell);
			report_cell(r, &r->columns[c], &r->runs.run[i], true, &exact);
			buf_adds(out, r->columns[c].number ? "<td class=\"n\"" : "<td");
			if (cell.size && strcmp(cell.data, exact.data) != 0)
				buf_printf(out, " data-v=\"%s\"", exact.data); /* a number: only they differ */
			buf_addc(out, '>');
			add_escaped(cell.size ? cell.data : "", out);
			buf_adds(out, "</td>");
		}
		buf_adds(out, "</tr>\n");
	}
	buf_adds(out, "</tbody></table></div>\n");
	buf_release(&cell);
	buf_release(&exact);
}

void report_html(const struct report *r, struct buf *out)
{
	struct buf text = BUF_INIT;
	buf_adds(out, head);
	add_escaped(r->sweep->name, out);
	buf_adds(out, "</title></head><body>\n<h1>");
	add_escaped(r->sweep->name, out);
	buf_adds(out, "</h1>\n<p>");
	report_counts(r->sweep, &text);
	add_escaped(text.data, out);
	buf_adds(out, "; model ");
	add_escaped(r->sweep->setup.model, out);
	buf_clear(&text);
	report_constants(r, &text);
	if (text.size) {
		buf_adds(out, "; the same in all: ");
		add_escaped(text.data, out);
	}
	buf_adds(out, "</p>\n");
	if (r->runs.n && r->by < r->runs.n_metrics && !isnan(r->runs.run[0].scores[r->by])) {
		const struct store_run *run = &r->runs.run[0];
		buf_printf(out, "<div class=\"best\"><b>%.2f</b> ", run->scores[r->by]);
		add_escaped(r->runs.metrics[r->by].name, out);
		buf_printf(out, " &mdash; run %lld", (long long)run->id);
		for (int id = 0; id < PARAM_COUNT; id++) {
			if (!r->varies[id])
				continue;
			buf_printf(out, ", %s ", param_table[id].name);
			params_format_short(id, run->params.v[id], r->digits[id], out);
		}
		buf_adds(out, "</div>\n");
	}
	if (!r->options.best)
		add_charts(r, out);
	add_table(r, out);
	buf_adds(out, script);
	buf_adds(out, "<p>Made with sweep " SWEEP_VERSION ".</p>\n</body></html>\n");
	buf_release(&text);
}
