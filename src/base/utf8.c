/* utf8.c - decoding UTF-8 that may be anything; see utf8.h.
 *
 * "Maximal subpart": the longest start of a well-formed sequence that the bytes begin with, or one byte. Python, Rust
 * and the WHATWG agree on it, so texts of ours with replaced bytes are theirs. */
#include "utf8.h"

#include <string.h>

size_t utf8_next(const char *text, size_t n, uint32_t *c)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char first = p[0];
	*c = first;
	if (first < 0x80)
		return 1;
	/* The second byte's range depends on the first: no overlong forms, no surrogates, nothing above U+10FFFF. */
	unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
	size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
	*c = UINT32_MAX;
	if (first < 0xC2 || first > 0xF4 || n < 2 || p[1] < low || p[1] > high)
		return 1;
	uint32_t value = (uint32_t)(first & (0x7F >> length)) << 6 | (p[1] & 0x3F);
	for (size_t i = 2; i < length; i++) {
		if (i == n || (p[i] & 0xC0) != 0x80)
			return i;
		value = value << 6 | (p[i] & 0x3F);
	}
	*c = value;
	return length;
}

size_t utf8_valid_prefix(const char *text, size_t n)
{
	size_t i = 0;
	while (i < n) {
		uint64_t eight;
		if (n - i >= 8) {
			memcpy(&eight, text + i, 8);
			if (!(eight & 0x8080808080808080u)) {
				i += 8;
				continue;
			}
		}
		uint32_t c;
		size_t length = utf8_next(text + i, n - i, &c);
		if (c == UINT32_MAX)
			return i;
		i += length;
	}
	return n;
}

void utf8_replace(const char *text, size_t n, struct buf *out)
{
	while (n) {
		size_t good = utf8_valid_prefix(text, n);
		buf_add(out, text, good);
		text += good;
		n -= good;
		if (n == 0)
			break;
		uint32_t c;
		size_t bad = utf8_next(text, n, &c);
		buf_adds(out, "\xEF\xBF\xBD");
		text += bad;
		n -= bad;
	}
}

/* What stands in the place of a character on a line, or NULL: itself. */
static const char *stand_in(uint32_t c)
{
	if (c == '\n')
		return "\xE2\x8F\x8E";
	if (c == '\t')
		return " ";
	if (c == UINT32_MAX || c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
	    (c >= 0x2066 && c <= 0x2069))
		return "\xEF\xBF\xBD";
	return NULL;
}

void utf8_clean(const char *text, size_t n, struct buf *out)
{
	uint32_t c;
	for (size_t step; n; text += step, n -= step) {
		step = utf8_next(text, n, &c);
		const char *other = stand_in(c);
		if (other)
			buf_adds(out, other);
		else
			buf_add(out, text, step);
	}
}

void utf8_clean_lines(const char *text, size_t n, struct buf *out)
{
	for (const char *end = text + n; text < end;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((stop ? stop : end) - text);
		utf8_clean(text, size, out);
		if (stop)
			buf_addc(out, '\n');
		text += size + (stop != NULL);
	}
}

void utf8_clean_into(char *to, size_t room, const char *text, size_t n)
{
	uint32_t c;
	for (size_t step; n; text += step, n -= step) {
		step = utf8_next(text, n, &c);
		const char *other = stand_in(c);
		size_t size = other ? strlen(other) : step;
		if (size >= room)
			break;
		memcpy(to, other ? other : text, size);
		to += size;
		room -= size;
	}
	*to = '\0';
}

bool utf8_is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
