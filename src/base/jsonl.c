/* jsonl.c - a small strict reader for lines such as {"id":3,"text":"a \"b\"","score":-0.7}; see jsonl.h. */
#include "jsonl.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64 /* of members that are skipped */

struct scan {
	const char *p, *end;
	bool nonfinite; /* NaN and Infinity are numbers */
};

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static void add_code_point(uint32_t c, struct buf *out)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static int hex4(struct scan *s, uint32_t *value)
{
	if (s->end - s->p < 4)
		return -1;
	*value = 0;
	for (int i = 0; i < 4; i++, s->p++) {
		char c = *s->p;
		uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
				 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
				 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
							: 16;
		if (digit == 16)
			return -1;
		*value = *value << 4 | digit;
	}
	return 0;
}

/* Behind "\u": one code point, with the second half of a surrogate pair; half a pair alone is U+FFFD. */
static int unicode_escape(struct scan *s, struct buf *out)
{
	uint32_t c;
	if (hex4(s, &c) < 0)
		return -1;
	if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		struct scan ahead = {.p = s->p + 2, .end = s->end};
		uint32_t low;
		if (hex4(&ahead, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			s->p = ahead.p;
		}
	}
	add_code_point(c >= 0xd800 && c < 0xe000 ? 0xfffd : c, out);
	return 0;
}

static int text(struct scan *s, struct buf *out)
{
	buf_clear(out);
	buf_reserve(out, 1);
	if (!take(s, '"'))
		return -1;
	for (;;) {
		const char *plain = s->p;
		while (s->p < s->end && *s->p != '"' && *s->p != '\\')
			s->p++;
		buf_add(out, plain, (size_t)(s->p - plain));
		if (s->p == s->end)
			return -1;
		if (*s->p++ == '"')
			return 0;
		if (s->p == s->end)
			return -1;
		static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
		char c = *s->p++;
		const char *known = c ? strchr(from, c) : NULL;
		if (known)
			buf_addc(out, to[known - from]);
		else if (c != 'u' || unicode_escape(s, out) < 0)
			return -1;
	}
}

static int number(struct scan *s, double *value)
{
	char digits[64];
	size_t n = 0;
	while (s->p < s->end && n < sizeof digits - 1 && *s->p && strchr("+-.eE0123456789", *s->p))
		digits[n++] = *s->p++;
	digits[n] = '\0';
	char *end;
	*value = strtod(digits, &end);
	return n > 0 && *end == '\0' && isfinite(*value) ? 0 : -1;
}

static int word(struct scan *s, const char *expected)
{
	size_t n = strlen(expected);
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, expected, n) != 0)
		return -1;
	s->p += n;
	return 0;
}

/* An array or object that nobody asked for. */
static int skip_nested(struct scan *s, struct buf *scratch)
{
	char closing[DEPTH_MAX];
	int depth = 0;
	do {
		if (s->p == s->end)
			return -1;
		char c = *s->p;
		if (c == '"') {
			if (text(s, scratch) < 0)
				return -1;
			continue;
		}
		s->p++;
		if (c == '[' || c == '{') {
			if (depth == DEPTH_MAX)
				return -1;
			closing[depth++] = c == '[' ? ']' : '}';
		} else if ((c == ']' || c == '}') && closing[--depth] != c) {
			return -1;
		}
	} while (depth > 0);
	return 0;
}

/* NaN, Infinity, -Infinity. */
static bool nonfinite(struct scan *s, double *value)
{
	static const struct {
		const char *text;
		double value;
	} words[] = {{"NaN", (double)NAN}, {"Infinity", (double)INFINITY}, {"-Infinity", -(double)INFINITY}};
	for (size_t i = 0; s->nonfinite && i < 3; i++)
		if (word(s, words[i].text) == 0) {
			*value = words[i].value;
			return true;
		}
	return false;
}

static int value(struct scan *s, struct jsonl_value *to)
{
	if (s->p == s->end)
		return -1;
	switch (*s->p) {
	case '"':
		to->kind = JSONL_TEXT;
		return text(s, &to->text);
	case 'n':
		to->kind = JSONL_NULL;
		return word(s, "null");
	case 't':
		to->kind = JSONL_TRUE;
		return word(s, "true");
	case 'f':
		to->kind = JSONL_FALSE;
		return word(s, "false");
	case '[':
	case '{':
		to->kind = JSONL_OTHER;
		return skip_nested(s, &to->text);
	default:
		to->kind = JSONL_NUMBER;
		return nonfinite(s, &to->number) ? 0 : number(s, &to->number);
	}
}

/* What to do with a member: a place for its value, and a word when it is there. */
struct reader {
	struct jsonl_value *(*place)(struct reader *r, const struct buf *name);
	void (*there)(struct reader *r, struct jsonl_value *value); /* or NULL */
	bool flatten;                                               /* members of nested objects, as outer.inner */
	struct jsonl_value *wanted;
	size_t n_wanted;
	struct jsonl_value other;
	jsonl_member *member;
	void *ctx;
};

static int object(struct scan *s, struct reader *r, struct buf *name, int depth)
{
	size_t outer = name->size;
	struct buf word = BUF_INIT;
	int result = -1;
	if (depth == DEPTH_MAX || !take(s, '{'))
		return -1;
	skip_space(s);
	if (take(s, '}'))
		return 0;
	do {
		skip_space(s);
		if (text(s, &word) < 0)
			goto out;
		if (outer)
			buf_addc(name, '.');
		buf_add(name, word.data, word.size);
		skip_space(s);
		if (!take(s, ':'))
			goto out;
		skip_space(s);
		if (r->flatten && s->p < s->end && *s->p == '{') {
			if (object(s, r, name, depth + 1) < 0)
				goto out;
		} else {
			struct jsonl_value *to = r->place(r, name);
			if (value(s, to) < 0)
				goto out;
			if (r->there)
				r->there(r, to);
		}
		name->size = outer;
		name->data[outer] = '\0';
		skip_space(s);
	} while (take(s, ','));
	result = take(s, '}') ? 0 : -1;
out:
	buf_release(&word);
	return result;
}

static int whole_line(struct scan *s, struct reader *r, size_t *column)
{
	const char *line = s->p;
	struct buf name = BUF_INIT;
	buf_reserve(&name, 1);
	skip_space(s);
	int result = object(s, r, &name, 0);
	skip_space(s);
	if (result == 0 && s->p != s->end)
		result = -1;
	*column = (size_t)(s->p - line) + 1;
	buf_release(&name);
	buf_release(&r->other.text);
	return result;
}

static struct jsonl_value *place_wanted(struct reader *r, const struct buf *name)
{
	struct jsonl_value *to = &r->other;
	for (size_t i = 0; i < r->n_wanted; i++)
		if (strlen(r->wanted[i].name) == name->size && memcmp(r->wanted[i].name, name->data, name->size) == 0)
			to = &r->wanted[i];
	return to;
}

int jsonl_parse(const char *line, size_t n, struct jsonl_value *values, size_t n_values, size_t *column)
{
	struct scan s = {.p = line, .end = line + n};
	struct reader r = {.place = place_wanted, .wanted = values, .n_wanted = n_values};
	for (size_t i = 0; i < n_values; i++)
		values[i].kind = JSONL_ABSENT;
	return whole_line(&s, &r, column);
}

static struct jsonl_value *place_any(struct reader *r, const struct buf *name)
{
	r->other.name = name->data;
	return &r->other;
}

static void hand_over(struct reader *r, struct jsonl_value *value)
{
	r->member(r->ctx, value);
}

int jsonl_each(const char *line, size_t n, jsonl_member *member, void *ctx, size_t *column)
{
	struct scan s = {.p = line, .end = line + n, .nonfinite = true};
	struct reader r = {.place = place_any, .there = hand_over, .flatten = true, .member = member, .ctx = ctx};
	return whole_line(&s, &r, column);
}

void jsonl_release(struct jsonl_value *values, size_t n_values)
{
	for (size_t i = 0; i < n_values; i++)
		buf_release(&values[i].text);
}
