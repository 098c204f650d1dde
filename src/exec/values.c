/* values.c - numbers out of a program's words; see values.h. The only file with PCRE2 here.
 *
 * Whatever a program prints comes through here, a gigabyte of it perhaps, so nothing may grow with it: lines are cut at
 * LINE_MAX_BYTES, a pattern has a budget (a pattern that takes exponential time gives up on that line, and the second
 * time it is told), names are limited. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "values.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/jsonl.h"
#include "base/mem.h"

#define LINE_MAX_BYTES ((size_t)65536)
#define MATCH_LIMIT    100000 /* of PCRE2's internal calls for one line: some milliseconds */
#define FLUSH_BYTES    ((size_t)65536)
#define NAME_MAX_BYTES 200
#define COUNTED        INT64_MIN /* a step that nobody said: the values of each name are counted from 0 */

struct entry {
	struct values_summary summary;
	int64_t finite; /* how many went into mean */
	size_t next;    /* in its bucket; SIZE_MAX: the last */
	bool fresh;
};

struct matcher {
	struct values_pattern pattern; /* its texts are the caller's */
	pcre2_code *code;
	bool step; /* it finds the step, not a value */
	bool gave_up;
};

/* A stream of bytes cut into lines. */
struct lines {
	struct buf part; /* of the line that is not whole yet */
	bool overlong;   /* the rest of this line is skipped */
};

/* The summaries by name. */
struct table {
	struct entry *entries;
	size_t n, room;
	size_t buckets[1024];
};

struct values {
	int fd;
	char *path;
	struct buf out;
	int64_t n_written;
	bool full; /* a write failed; values_close says so */
	int full_errno;
	bool json;
	struct matcher *matchers;
	size_t n_matchers;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	struct table table;
	struct lines output, metrics;
	int64_t output_step; /* that a pattern found last, or COUNTED */
	int64_t next_step;   /* of the next JSON line that names none */
	char complaint[300];
	size_t n_complaints;
	/* of the JSON line at hand */
	struct {
		char *name;
		double value;
	} * members;
	size_t n_members, members_room;
	double line_step;
};

static void complain(struct values *v, const char *format, const char *name)
{
	if (v->n_complaints++ == 0)
		snprintf(v->complaint, sizeof v->complaint, format, name);
}

/* ---- summaries and the file ---- */

static void table_init(struct table *t)
{
	*t = (struct table){0};
	for (size_t i = 0; i < sizeof t->buckets / sizeof *t->buckets; i++)
		t->buckets[i] = SIZE_MAX;
}

static void table_release(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free((char *)t->entries[i].summary.name);
	free(t->entries);
}

static size_t bucket_of(const struct table *t, const char *name)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return h % (sizeof t->buckets / sizeof *t->buckets);
}

static struct entry *table_find(const struct table *t, const char *name)
{
	for (size_t i = t->buckets[bucket_of(t, name)]; i != SIZE_MAX; i = t->entries[i].next)
		if (strcmp(t->entries[i].summary.name, name) == 0)
			return &t->entries[i];
	return NULL;
}

static struct entry *table_add(struct table *t, const char *name)
{
	size_t *head = &t->buckets[bucket_of(t, name)];
	MEM_PUSH_ROOM(t->entries, t->n, t->room);
	struct entry *e = &t->entries[t->n];
	*e = (struct entry){
		.summary = {.name = mem_strdup(name), .min = (double)NAN, .max = (double)NAN, .mean = (double)NAN},
		.next = *head};
	*head = t->n++;
	return e;
}

static void count_value(struct entry *e, int64_t step, double value)
{
	struct values_summary *s = &e->summary;
	if (s->n++ == 0)
		s->first_step = step;
	s->last = value;
	s->last_step = step;
	e->fresh = true;
	if (isnan(value))
		return;
	s->min = isnan(s->min) || value < s->min ? value : s->min;
	s->max = isnan(s->max) || value > s->max ? value : s->max;
	s->mean = e->finite++ ? s->mean + (value - s->mean) / (double)e->finite : value;
}

static void flush(struct values *v)
{
	size_t done = 0;
	while (done < v->out.size && !v->full) {
		ssize_t n = write(v->fd, v->out.data + done, v->out.size - done);
		if (n > 0) {
			done += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			v->full = true;
			v->full_errno = n == 0 ? ENOSPC : errno;
		}
	}
	buf_clear(&v->out);
}

static void write_line(struct values *v, const char *name, int64_t step, double value)
{
	if (v->n_written++ >= VALUES_LINES_MAX)
		return;
	buf_adds(&v->out, "{\"name\":");
	json_format_string(name, strlen(name), &v->out);
	buf_printf(&v->out, ",\"step\":%lld,\"value\":", (long long)step);
	if (isfinite(value))
		json_format_double(value, &v->out);
	else
		buf_adds(&v->out, isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"");
	buf_adds(&v->out, "}\n");
	if (v->out.size >= FLUSH_BYTES)
		flush(v);
}

static void add_value(struct values *v, const char *name, int64_t step, double value)
{
	struct entry *e = table_find(&v->table, name);
	if (!e && v->table.n == VALUES_NAMES_MAX) {
		complain(v, "more than 10000 names of values; `%.80s` and others are left out", name);
		return;
	}
	if (!e)
		e = table_add(&v->table, name);
	if (step == COUNTED)
		step = e->summary.n;
	count_value(e, step, value);
	write_line(v, name, step, value);
}

/* ---- which of its values a name stands for ---- */

static const char *const how_names[] = {"last", "min", "max", "mean"};
#define N_HOW (sizeof how_names / sizeof *how_names)

const char *values_how_name(enum values_how how)
{
	return how_names[how];
}

double values_result(const struct values_summary *s)
{
	const double by[N_HOW] = {s->last, s->min, s->max, s->mean};
	return by[s->how];
}

/* N_HOW: no such word. */
static size_t find_how(const char *word)
{
	size_t i = 0;
	while (i < N_HOW && strcmp(how_names[i], word) != 0)
		i++;
	return i;
}

static void set_how(struct values *v, const char *name, const char *word)
{
	size_t how = find_how(word);
	struct entry *e = table_find(&v->table, name);
	if (how == N_HOW) {
		complain(v, "_summary: expected last, min, max or mean, found `%.40s`", word);
		return;
	}
	if (!e && (v->table.n == VALUES_NAMES_MAX || strlen(name) > NAME_MAX_BYTES))
		return;
	if (!e)
		e = table_add(&v->table, name);
	e->summary.how = (enum values_how)how;
	buf_adds(&v->out, "{\"name\":");
	json_format_string(name, strlen(name), &v->out);
	buf_printf(&v->out, ",\"summary\":\"%s\"}\n", how_names[how]);
}

/* ---- JSON lines ---- */

static void on_member(void *ctx, const struct jsonl_value *m)
{
	struct values *v = ctx;
	double number;
	if (m->kind == JSONL_TEXT && strncmp(m->name, "_summary.", 9) == 0) {
		set_how(v, m->name + 9, m->text.data ? m->text.data : "");
		return;
	}
	if (m->kind == JSONL_NUMBER)
		number = m->number;
	else if (m->kind == JSONL_TRUE || m->kind == JSONL_FALSE)
		number = m->kind == JSONL_TRUE;
	else {
		if (m->name[0] != '_' && m->kind != JSONL_NULL)
			complain(v, "`%.80s` is no number: only numbers are kept", m->name);
		return;
	}
	if (strcmp(m->name, "step") == 0 || strcmp(m->name, "_step") == 0) {
		v->line_step = number;
		return;
	}
	if (m->name[0] == '_')
		return;
	if (m->name[0] == '\0' || strlen(m->name) > NAME_MAX_BYTES) {
		complain(v, "a value's name must have 1 to 200 bytes, found `%.80s`", m->name);
		return;
	}
	MEM_PUSH_ROOM(v->members, v->n_members, v->members_room);
	v->members[v->n_members].name = mem_strdup(m->name);
	v->members[v->n_members++].value = number;
}

static bool is_step(double d)
{
	return d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == floor(d);
}

/* False: it is no JSON object. The step may stand behind the values, so they wait for the whole line. */
static bool json_line(struct values *v, const char *line, size_t n)
{
	size_t column;
	v->n_members = 0;
	v->line_step = (double)NAN;
	bool whole = jsonl_each(line, n, on_member, v, &column) == 0;
	if (whole && !isnan(v->line_step) && !is_step(v->line_step)) {
		complain(v, "`%s` must be a whole number", "step");
		v->line_step = (double)NAN;
	}
	int64_t step = isnan(v->line_step) ? v->next_step : (int64_t)v->line_step;
	for (size_t i = 0; i < v->n_members; i++) {
		if (whole)
			add_value(v, v->members[i].name, step, v->members[i].value);
		free(v->members[i].name);
	}
	if (whole && v->n_members)
		v->next_step = step + 1;
	return whole;
}

/* ---- patterns ---- */

/* The number in a pattern's first group. Programs write 1e-3, nan, inf, 1,234 is none. */
static bool parse_number(const char *text, size_t n, double *value)
{
	char room[64];
	if (n == 0 || n >= sizeof room)
		return false;
	memcpy(room, text, n);
	room[n] = '\0';
	char *end;
	*value = strtod(room, &end);
	return end == room + n;
}

static void match_line(struct values *v, const char *line, size_t n)
{
	double step;
	for (size_t i = 0; i < v->n_matchers; i++) {
		struct matcher *m = &v->matchers[i];
		int found = pcre2_match(m->code, (PCRE2_SPTR)line, n, 0, 0, v->match, v->limits);
		if (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_DEPTHLIMIT ||
		    found == PCRE2_ERROR_HEAPLIMIT || found == PCRE2_ERROR_JIT_STACKLIMIT) {
			if (!m->gave_up)
				complain(v, "the pattern of `%.80s` takes too long on a line of the output",
					 m->pattern.name);
			m->gave_up = true;
			continue;
		}
		if (found < 1)
			continue;
		const PCRE2_SIZE *at = pcre2_get_ovector_pointer(v->match);
		double number;
		if (at[2] == PCRE2_UNSET)
			continue;
		if (!parse_number(line + at[2], at[3] - at[2], &number)) {
			complain(v, "the pattern of `%.80s` matched what is no number", m->pattern.name);
			continue;
		}
		step = number;
		if (!m->step)
			add_value(v, m->pattern.name, v->output_step, number);
		else if (is_step(step))
			v->output_step = (int64_t)step;
	}
}

static int compile(struct values *v, const struct values_pattern *p, struct matcher *m, struct err *err)
{
	int code;
	PCRE2_SIZE offset;
	*m = (struct matcher){.pattern = *p, .step = strcmp(p->name, "step") == 0};
	m->code = pcre2_compile((PCRE2_SPTR)p->regex, PCRE2_ZERO_TERMINATED, 0, &code, &offset, NULL);
	if (!m->code) {
		PCRE2_UCHAR said[200] = "";
		pcre2_get_error_message(code, said, sizeof said);
		return err_set(err, ERR_INPUT, "values.%s: `%s` is no regular expression: %s at character %zu", p->name,
			       p->regex, (char *)said, (size_t)offset + 1);
	}
	uint32_t groups = 0;
	pcre2_pattern_info(m->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups < 1)
		return err_set(
			err, ERR_INPUT,
			"values.%s: `%s` has no group: put the number in parentheses, as in 'loss=([-+.0-9eE]+)'",
			p->name, p->regex);
	pcre2_jit_compile(m->code, PCRE2_JIT_COMPLETE); /* faster where the machine can; as good without */
	(void)v;
	return 0;
}

/* ---- streams ---- */

static void take_line(struct values *v, struct lines *from, const char *line, size_t n)
{
	if (n && line[n - 1] == '\r')
		n--;
	if (n == 0)
		return;
	if (from == &v->metrics) {
		if (!json_line(v, line, n))
			complain(v, "a line of $SWEEP_METRICS is no JSON object: `%.120s`", line);
		return;
	}
	if (v->json && line[0] == '{' && json_line(v, line, n))
		return;
	match_line(v, line, n);
}

static void take_bytes(struct values *v, struct lines *from, const char *bytes, size_t n)
{
	while (n) {
		const char *stop = memchr(bytes, '\n', n);
		/* A progress bar writes over itself: what a carriage return ends is a line, too. */
		if (from == &v->output) {
			const char *bar = memchr(bytes, '\r', stop ? (size_t)(stop - bytes) : n);
			if (bar && bar + 1 < (stop ? stop : bytes + n))
				stop = bar;
		}
		size_t part = stop ? (size_t)(stop - bytes) : n;
		if (!from->overlong) {
			size_t room = LINE_MAX_BYTES - from->part.size;
			buf_add(&from->part, bytes, part < room ? part : room);
			from->overlong = from->part.size == LINE_MAX_BYTES;
		}
		if (stop) {
			if (from->part.size)
				take_line(v, from, from->part.data, from->part.size);
			buf_clear(&from->part);
			from->overlong = false;
			part++;
		}
		bytes += part;
		n -= part;
	}
}

void values_output(struct values *v, const char *bytes, size_t n)
{
	if (v->json || v->n_matchers)
		take_bytes(v, &v->output, bytes, n);
}

void values_metrics(struct values *v, const char *bytes, size_t n)
{
	take_bytes(v, &v->metrics, bytes, n);
}

void values_end_of_input(struct values *v)
{
	values_output(v, "\n", 1);
	values_metrics(v, "\n", 1);
}

/* ---- open, look, close ---- */

int values_open(struct values **values, const struct values_options *o, struct err *err)
{
	struct values *v = mem_zero(1, sizeof *v);
	v->fd = -1;
	v->json = o->json;
	v->path = mem_strdup(o->path);
	table_init(&v->table);
	v->output_step = COUNTED;
	v->matchers = mem_zero(o->n_patterns, sizeof *v->matchers);
	v->match = pcre2_match_data_create(16, NULL);
	v->limits = pcre2_match_context_create(NULL);
	int result = -1;
	if (!v->match || !v->limits) {
		err_set(err, ERR_SYSTEM, "out of memory");
		goto out;
	}
	pcre2_set_match_limit(v->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(v->limits, MATCH_LIMIT);
	for (size_t i = 0; i < o->n_patterns; i++)
		if (compile(v, &o->patterns[i], &v->matchers[v->n_matchers++], err) < 0)
			goto out;
	/* The step first: it may stand anywhere on the line whose values it dates. */
	for (size_t i = 1; i < v->n_matchers; i++)
		if (v->matchers[i].step) {
			struct matcher m = v->matchers[i];
			memmove(v->matchers + 1, v->matchers, i * sizeof m);
			v->matchers[0] = m;
			break;
		}
	v->fd = open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (v->fd < 0) {
		err_errno(err, "cannot write %s", o->path);
		goto out;
	}
	result = 0;
out:
	if (result < 0) {
		struct err ignored = {0};
		values_close(v, &ignored);
		v = NULL;
	}
	*values = v;
	return result;
}

void values_fresh(struct values *v, void (*one)(void *ctx, const struct values_summary *summary), void *ctx)
{
	for (size_t i = 0; i < v->table.n; i++) {
		if (v->table.entries[i].fresh)
			one(ctx, &v->table.entries[i].summary);
		v->table.entries[i].fresh = false;
	}
}

const char *values_complaint(const struct values *v)
{
	return v->n_complaints ? v->complaint : NULL;
}

int values_close(struct values *v, struct err *err)
{
	int result = 0;
	if (v->fd >= 0) {
		flush(v);
		if (!v->full && fsync(v->fd) < 0) {
			v->full = true;
			v->full_errno = errno;
		}
		if (v->full) {
			errno = v->full_errno;
			result = err_errno(err, "cannot write %s", v->path);
		}
		close(v->fd);
	}
	for (size_t i = 0; i < v->n_matchers; i++)
		pcre2_code_free(v->matchers[i].code);
	pcre2_match_data_free(v->match);
	pcre2_match_context_free(v->limits);
	table_release(&v->table);
	free(v->matchers);
	free(v->members);
	buf_release(&v->out);
	buf_release(&v->output.part);
	buf_release(&v->metrics.part);
	free(v->path);
	free(v);
	return result;
}

/* ---- the file, read again ---- */

enum { V_NAME, V_STEP, V_VALUE, V_SUMMARY, V_COUNT };

/* A line of the file: a value, or (how is not N_HOW) what a name stands for. */
struct value_line {
	const char *name;
	int64_t step;
	double value;
	size_t how;
	const char *text; /* the whole line, n bytes */
	size_t n;
};

/* Calls line() for each value of the file. A line cut short by a kill is left out. */
static int each_line(const char *path, void (*line)(void *ctx, const struct value_line *line), void *ctx,
		     struct err *err)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return err_errno(err, "cannot read %s", path);
	struct jsonl_value v[V_COUNT] = {{.name = "name"}, {.name = "step"}, {.name = "value"}, {.name = "summary"}};
	char *text = NULL;
	size_t room = 0, column;
	ssize_t n;
	while ((n = getline(&text, &room, f)) > 0) {
		struct value_line l = {.how = N_HOW, .text = text, .n = (size_t)n};
		if (text[n - 1] != '\n' || jsonl_parse(text, l.n, v, V_COUNT, &column) < 0 ||
		    v[V_NAME].kind != JSONL_TEXT)
			continue;
		l.name = v[V_NAME].text.data;
		if (v[V_SUMMARY].kind == JSONL_TEXT)
			l.how = find_how(v[V_SUMMARY].text.data);
		else if (v[V_STEP].kind == JSONL_NUMBER && v[V_VALUE].kind == JSONL_TEXT)
			l.value = strtod(v[V_VALUE].text.data, NULL); /* nan, inf, -inf */
		else if (v[V_STEP].kind == JSONL_NUMBER && v[V_VALUE].kind == JSONL_NUMBER)
			l.value = v[V_VALUE].number;
		else
			continue;
		l.step = (int64_t)v[V_STEP].number;
		line(ctx, &l);
	}
	int bad = ferror(f) ? err_errno(err, "cannot read %s", path) : 0;
	free(text);
	jsonl_release(v, V_COUNT);
	fclose(f);
	return bad;
}

static void summarise(void *ctx, const struct value_line *l)
{
	struct table *t = ctx;
	struct entry *e = table_find(t, l->name);
	if (!e)
		e = table_add(t, l->name);
	if (l->how != N_HOW)
		e->summary.how = (enum values_how)l->how;
	else
		count_value(e, l->step, l->value);
}

int values_read(const char *path, void (*one)(void *ctx, const struct values_summary *summary), void *ctx,
		struct err *err)
{
	struct table t;
	table_init(&t);
	int result = each_line(path, summarise, &t, err);
	for (size_t i = 0; i < t.n && result == 0; i++)
		if (t.entries[i].summary.n) /* a name may only have been spoken of */
			one(ctx, &t.entries[i].summary);
	table_release(&t);
	return result;
}

struct join {
	struct table after;
	FILE *out;
};

static void keep_earlier(void *ctx, const struct value_line *l)
{
	struct join *j = ctx;
	const struct entry *e = table_find(&j->after, l->name);
	if (!e || e->summary.n == 0 || l->how != N_HOW || l->step < e->summary.first_step)
		fwrite(l->text, 1, l->n, j->out);
}

static void keep(void *ctx, const struct value_line *l)
{
	struct join *j = ctx;
	fwrite(l->text, 1, l->n, j->out);
}

int values_join(const char *before, const char *after, struct err *err)
{
	struct join j;
	if (access(before, F_OK) < 0)
		return 0;
	char *joined = mem_printf("%s.joined", after);
	table_init(&j.after);
	j.out = fopen(joined, "we");
	int result = j.out ? 0 : err_errno(err, "cannot write %s", joined);
	if (result == 0 && (each_line(after, summarise, &j.after, err) < 0 ||
			    each_line(before, keep_earlier, &j, err) < 0 || each_line(after, keep, &j, err) < 0))
		result = -1;
	if (j.out) {
		bool bad = fflush(j.out) == EOF || ferror(j.out) || fsync(fileno(j.out)) < 0;
		bad |= fclose(j.out) == EOF;
		if (bad && result == 0)
			result = err_errno(err, "cannot write %s", joined);
	}
	if (result == 0 && rename(joined, after) < 0)
		result = err_errno(err, "cannot rename %s", joined);
	if (result == 0)
		unlink(before);
	else
		unlink(joined);
	table_release(&j.after);
	free(joined);
	return result;
}
