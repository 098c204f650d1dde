/* report_json.c - the sweep and its runs as one JSON object, exact numbers: for programs. Members are only ever added.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "report.h"

static void member(const char *name, const char *text, struct buf *out)
{
	buf_printf(out, ",\"%s\":", name);
	if (!text) {
		buf_adds(out, "null");
		return;
	}
	struct buf plain = BUF_INIT; /* names and paths may hold bytes that JSON may not */
	utf8_clean(text, strlen(text), &plain);
	json_format_string(plain.size ? plain.data : "", plain.size, out);
	buf_release(&plain);
}

static void number_member(const char *name, double value, struct buf *out)
{
	buf_printf(out, ",\"%s\":", name);
	json_format_double(value, out);
}

static void add_run(const struct report *r, const struct store_run *run, struct buf *out)
{
	buf_printf(out, "{\"run\":%lld", (long long)run->id);
	member("label", run->label, out);
	member("status", run->status, out);
	if (run->reason)
		member("reason", run->reason, out);
	number_member("seconds", run->seconds, out);
	member("finished_at", run->finished_at, out);
	if (run->note)
		member("note", run->note, out);
	cJSON *params = params_to_json(&run->params);
	char *text = cJSON_PrintUnformatted(params);
	buf_printf(out, ",\"parameters\":%s,\"scores\":{", text);
	cJSON_free(text);
	cJSON_Delete(params);
	for (size_t i = 0; i < r->runs.n_metrics; i++) {
		buf_adds(out, i ? "," : "");
		json_format_string(r->runs.metrics[i].name, strlen(r->runs.metrics[i].name), out);
		buf_addc(out, ':');
		json_format_double(run->scores[i], out);
	}
	buf_adds(out, "}");
	bool first = true;
	for (size_t i = 0; i < r->runs.n_metrics; i++) {
		double published = report_published(r, run, r->runs.metrics[i].name);
		if (isnan(published))
			continue;
		buf_adds(out, first ? ",\"published\":{" : ",");
		json_format_string(r->runs.metrics[i].name, strlen(r->runs.metrics[i].name), out);
		buf_addc(out, ':');
		json_format_double(published, out);
		first = false;
	}
	buf_adds(out, first ? "}" : "}}");
}

static void add_best(const struct report *r, struct buf *out)
{
	member("adapter", r->best.adapter_dir, out);
	member("arch", r->best.arch, out);
	buf_adds(out, ",\"signatures\":{");
	bool first = true;
	for (size_t i = 0; i < r->best.n_scores; i++) {
		const struct store_score *score = &r->best.scores[i];
		if (!score->signature)
			continue;
		buf_adds(out, first ? "" : ",");
		json_format_string(score->name, strlen(score->name), out);
		buf_addc(out, ':');
		json_format_string(score->signature, strlen(score->signature), out);
		first = false;
	}
	buf_adds(out, "}");
	if (r->second)
		number_member("ahead_of_second", r->ahead, out);
}

void report_json(const struct report *r, struct buf *out)
{
	const struct store_sweep *s = r->sweep;
	buf_adds(out, "{\"sweep_report\":1");
	member("sweep", s->name, out);
	member("model", s->setup.model, out);
	member("model_digest", s->setup.model_digest, out);
	member("dataset", s->setup.dataset, out);
	member("metric", r->by < r->runs.n_metrics ? r->runs.metrics[r->by].name : s->metric, out);
	member("goal", r->maximize ? "maximize" : "minimize", out);
	member("status", s->status, out);
	member("started_at", s->started_at, out);
	member("finished_at", s->finished_at, out);
	buf_printf(out, ",\"runs_total\":%lld,\"runs_done\":%lld,\"runs_failed\":%lld", (long long)s->runs,
		   (long long)s->done, (long long)s->failed);
	if (r->options.best)
		add_best(r, out);
	buf_adds(out, ",\"runs\":[");
	for (size_t i = 0; i < r->n_listed; i++) {
		buf_adds(out, i ? ",\n" : "\n");
		add_run(r, &r->runs.run[i], out);
	}
	buf_adds(out, "]}\n");
}
