/* bleu_tokenize.c - sacrebleu's tokenizer 13a (docs/REFERENCE.md, 6.1); see bleu.h.
 *
 * The four substitutions are regular expressions there, over code points, each from left to right without overlap. All
 * that they look for is ASCII, and "not a digit" holds for every byte of a character outside ASCII, so that working on
 * bytes gives the same texts: a match swallows its neighbour's first or last byte, and the other bytes match nothing.
 */
#include <string.h>

#include "bleu.h"
#include "utf8.h"

static bool is_mark(char c)
{
	return c == '.' || c == ',';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ASCII punctuation and space, without ' , - . */
static bool is_separate(char c)
{
	unsigned char u = (unsigned char)c;
	return (u >= 0x20 && u <= 0x26) || (u >= 0x28 && u <= 0x2B) || u == 0x2F || (u >= 0x3A && u <= 0x40) ||
	       (u >= 0x5B && u <= 0x60) || (u >= 0x7B && u <= 0x7E);
}

/* Every `what` in *b becomes `with`, which is not longer: in place. */
static void replace_all(struct buf *b, const char *what, const char *with)
{
	size_t n = strlen(what), m = strlen(with), from = 0, to = 0;
	const char *found = b->size ? memmem(b->data, b->size, what, n) : NULL;
	if (!found)
		return;
	while (from < b->size) {
		if (b->size - from >= n && memcmp(b->data + from, what, n) == 0) {
			memcpy(b->data + to, with, m);
			to += m;
			from += n;
		} else {
			b->data[to++] = b->data[from++];
		}
	}
	b->data[to] = '\0';
	b->size = to;
}

static size_t without_trailing_space(const char *text, size_t n)
{
	size_t end = 0;
	for (size_t i = 0; i < n;) {
		uint32_t c;
		i += utf8_next(text + i, n - i, &c);
		if (!utf8_is_space(c))
			end = i;
	}
	return end;
}

/* Each pass reads n bytes, writes at most 3 n and returns how many. */
static size_t pass_punctuation(const char *in, size_t n, char *out)
{
	char *p = out;
	for (size_t i = 0; i < n; i++) {
		bool separate = is_separate(in[i]);
		if (separate)
			*p++ = ' ';
		*p++ = in[i];
		if (separate)
			*p++ = ' ';
	}
	return (size_t)(p - out);
}

/* A mark behind a character that is no digit. */
static size_t pass_mark_after(const char *in, size_t n, char *out)
{
	char *p = out;
	for (size_t i = 0; i < n; i++) {
		*p++ = in[i];
		if (!is_digit(in[i]) && i + 1 < n && is_mark(in[i + 1])) {
			*p++ = ' ';
			*p++ = in[++i];
			*p++ = ' ';
		}
	}
	return (size_t)(p - out);
}

/* A mark before a character that is no digit. */
static size_t pass_mark_before(const char *in, size_t n, char *out)
{
	char *p = out;
	for (size_t i = 0; i < n; i++) {
		if (is_mark(in[i]) && i + 1 < n && !is_digit(in[i + 1])) {
			*p++ = ' ';
			*p++ = in[i++];
			*p++ = ' ';
		}
		*p++ = in[i];
	}
	return (size_t)(p - out);
}

/* A dash behind a digit. */
static size_t pass_dash(const char *in, size_t n, char *out)
{
	char *p = out;
	for (size_t i = 0; i < n; i++) {
		*p++ = in[i];
		if (is_digit(in[i]) && i + 1 < n && in[i + 1] == '-') {
			*p++ = ' ';
			*p++ = in[++i];
			*p++ = ' ';
		}
	}
	return (size_t)(p - out);
}

/* Words of text, one space between them, appended to out. */
static void join_words(const char *text, size_t n, struct buf *out)
{
	size_t start = out->size;
	bool pending = false;
	buf_reserve(out, n);
	for (size_t i = 0; i < n;) {
		uint32_t c;
		size_t length = utf8_next(text + i, n - i, &c);
		if (utf8_is_space(c)) {
			pending = true;
		} else {
			if (pending && out->size > start)
				out->data[out->size++] = ' ';
			memcpy(out->data + out->size, text + i, length);
			out->size += length;
			pending = false;
		}
		i += length;
	}
	out->data[out->size] = '\0';
}

void bleu_tokenize(const char *text, size_t n, struct buf *out)
{
	static size_t (*const passes[])(const char *, size_t, char *) = {pass_punctuation, pass_mark_after,
									 pass_mark_before, pass_dash};
	struct buf line = BUF_INIT, next = BUF_INIT;
	buf_add(&line, text, without_trailing_space(text, n));
	replace_all(&line, "<skipped>", "");
	replace_all(&line, "-\n", "");
	replace_all(&line, "\n", " ");
	replace_all(&line, "&quot;", "\"");
	replace_all(&line, "&amp;", "&");
	replace_all(&line, "&lt;", "<");
	replace_all(&line, "&gt;", ">");
	buf_reserve(&next, line.size + 2);
	buf_addc(&next, ' ');
	buf_add(&next, line.data, line.size);
	buf_addc(&next, ' ');
	for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
		struct buf swap = line;
		line = next;
		next = swap;
		buf_clear(&next);
		buf_reserve(&next, 3 * line.size);
		next.size = passes[i](line.data, line.size, next.data);
	}
	join_words(next.data, next.size, out);
	buf_release(&line);
	buf_release(&next);
}
