/* event.c - events as JSON lines; see event.h. */
#include "event.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "utf8.h"

static const char *const event_names[EVENT_COUNT] = {"unknown", "start", "progress", "loss", "artifact",
						     "error",   "done",  "value",    "note"};

/* What a worker says goes to terminals and into the database: cleaned here, once, for both. */
static void get_text(const cJSON *o, const char *name, char *to, size_t room)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
	if (cJSON_IsString(item))
		utf8_clean_into(to, room, item->valuestring, strlen(item->valuestring));
}

static double get_number(const cJSON *o, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
	if (cJSON_IsNull(item))
		return (double)NAN; /* a loss that is not a number */
	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static int64_t get_int(const cJSON *o, const char *name)
{
	double d = get_number(o, name);
	return d > -9e15 && d < 9e15 ? (int64_t)d : 0;
}

int event_parse(const char *line, size_t n, struct event *e)
{
	memset(e, 0, sizeof *e);
	cJSON *o = cJSON_ParseWithLength(line, n);
	if (!cJSON_IsObject(o)) {
		cJSON_Delete(o);
		return -1;
	}
	char name[16] = "";
	get_text(o, "event", name, sizeof name);
	for (int i = 1; i < EVENT_COUNT; i++)
		if (strcmp(name, event_names[i]) == 0)
			e->kind = (enum event_kind)i;
	get_text(o, "phase", e->phase, sizeof e->phase);
	get_text(o, "key", e->key, sizeof e->key);
	get_text(o, "text", e->text, sizeof e->text);
	e->done = get_int(o, "done");
	e->total = get_int(o, "total");
	e->step = get_int(o, "step");
	e->threads = get_int(o, "threads");
	e->peak_rss_kb = get_int(o, "peak_rss_kb");
	e->value = get_number(o, "value");
	e->loss = get_number(o, "loss");
	e->learning_rate = get_number(o, "learning_rate");
	e->tokens_per_second = get_number(o, "tokens_per_second");
	e->seconds = get_number(o, "seconds");
	int64_t kind = get_int(o, "error_kind");
	e->error_kind = kind >= ERR_NONE && kind <= ERR_CHANGED ? (enum err_kind)kind : ERR_SYSTEM;
	int known = name[0] != '\0';
	cJSON_Delete(o);
	return known ? 0 : -1;
}

static void put_int(struct buf *out, const char *name, int64_t value)
{
	if (value)
		buf_printf(out, ",\"%s\":%lld", name, (long long)value);
}

static void put_number(struct buf *out, const char *name, double value)
{
	if (value == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	if (isinf(value))
		value = (double)NAN;
	json_format_double(value, out);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	if (!text[0])
		return;
	buf_printf(out, ",\"%s\":", name);
	json_format_string(text, strlen(text), out);
}

void event_format(const struct event *e, struct buf *out)
{
	buf_printf(out, "{\"event\":\"%s\"", event_names[e->kind]);
	put_text(out, "phase", e->phase);
	put_text(out, "key", e->key);
	put_int(out, "done", e->done);
	put_int(out, "total", e->total);
	put_int(out, "step", e->step);
	put_int(out, "threads", e->threads);
	put_int(out, "peak_rss_kb", e->peak_rss_kb);
	put_number(out, "value", e->value);
	put_number(out, "loss", e->loss);
	put_number(out, "learning_rate", e->learning_rate);
	put_number(out, "tokens_per_second", e->tokens_per_second);
	put_number(out, "seconds", e->seconds);
	put_int(out, "error_kind", (int64_t)e->error_kind);
	put_text(out, "text", e->text);
	buf_adds(out, "}\n");
}

void event_send(const struct event *e)
{
	struct buf line = BUF_INIT;
	event_format(e, &line);
	const char *p = line.data;
	size_t left = line.size;
	while (left) {
		ssize_t n = write(STDOUT_FILENO, p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		p += n;
		left -= (size_t)n;
	}
	buf_release(&line);
}
