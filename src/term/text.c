/* text.c - texts as a terminal shows them; see text.h.
 *
 * What a terminal draws as one is a grapheme cluster: a letter with its accents, an emoji with its modifiers, a flag of
 * two letters. Its width is the sum of its code points', two at most. Terminals differ in the rarest clusters; for the
 * scripts that people write labels in they agree. */
#include "text.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"

/* Bytes of a style (ESC [ digits m) at text[0]; 0: none begins there. */
static size_t style_size(const char *text, size_t n)
{
	size_t i = 2;
	if (n < 3 || text[0] != '\033' || text[1] != '[')
		return 0;
	while (i < n && ((text[i] >= '0' && text[i] <= '9') || text[i] == ';'))
		i++;
	return i < n && text[i] == 'm' ? i + 1 : 0;
}

static size_t char_width(uint32_t c)
{
	if (c < 0x7F)
		return c >= 0x20;
	return c == UINT32_MAX ? 1 : (size_t)utf8proc_charwidth((utf8proc_int32_t)c);
}

/* Bytes of the cluster, or of the style, at text[0] (n >= 1), and its columns. */
static size_t next_cluster(const char *text, size_t n, size_t *columns)
{
	uint32_t c, after;
	utf8proc_int32_t state = 0;
	size_t size = style_size(text, n);
	*columns = 0;
	if (size)
		return size;
	size = utf8_next(text, n, &c);
	*columns = char_width(c);
	while (size < n && (unsigned char)text[size] >= 0x80 && c != UINT32_MAX) { /* ASCII begins its own */
		size_t step = utf8_next(text + size, n - size, &after);
		if (after == UINT32_MAX ||
		    utf8proc_grapheme_break_stateful((utf8proc_int32_t)c, (utf8proc_int32_t)after, &state))
			break;
		*columns += char_width(after);
		size += step;
		c = after;
	}
	if (*columns > 2)
		*columns = 2;
	return size;
}

size_t text_fit(const char *text, size_t columns, size_t *width)
{
	size_t n = strlen(text), i = 0, used = 0, more;
	while (i < n) {
		size_t step = next_cluster(text + i, n - i, &more);
		if (used + more > columns)
			break;
		used += more;
		i += step;
	}
	if (width)
		*width = used;
	return i;
}

size_t text_width(const char *text)
{
	size_t width;
	text_fit(text, SIZE_MAX, &width);
	return width;
}

static void add_spaces(size_t n, struct buf *out)
{
	buf_printf(out, "%*s", (int)n, "");
}

void text_cell(const char *text, size_t width, enum text_side side, struct buf *out)
{
	size_t has = text_width(text);
	if (has > width) {
		size_t dots = width < 3 ? width : 3, size = text_fit(text, width - dots, &has);
		buf_add(out, text, size);
		buf_add(out, "...", dots);
		add_spaces(width - dots - has, out); /* half a wide character */
		return;
	}
	if (side == TEXT_RIGHT)
		add_spaces(width - has, out);
	buf_adds(out, text);
	if (side == TEXT_LEFT)
		add_spaces(width - has, out);
}

void text_wrap(const char *text, size_t at, size_t indent, size_t columns, struct buf *out)
{
	struct buf word = BUF_INIT;
	bool first = true;
	for (const char *p = text; *p; first = false) {
		size_t n = strcspn(p, " ");
		buf_clear(&word);
		buf_add(&word, p, n);
		size_t width = n ? text_width(word.data) : 0;
		if (!first && at + 1 + width > columns && at > indent) {
			buf_addc(out, '\n');
			add_spaces(indent, out);
			at = indent;
		} else if (!first) {
			buf_addc(out, ' ');
			at++;
		}
		buf_add(out, p, n);
		at += width;
		p += n + (p[n] == ' ');
	}
	buf_release(&word);
}

void text_clean(const char *text, size_t n, struct buf *out)
{
	size_t from = 0;
	for (size_t i = 0; i < n;) {
		size_t keep = text[i] == '\n' ? 1 : style_size(text + i, n - i);
		if (keep) {
			utf8_clean(text + from, i - from, out);
			buf_add(out, text + i, keep);
			from = i + keep;
		}
		i += keep ? keep : 1;
	}
	utf8_clean(text + from, n - from, out);
}

static void add_clock(int64_t s, struct buf *out)
{
	if (s < 3600)
		buf_printf(out, "%d:%02d", (int)(s / 60), (int)(s % 60));
	else
		buf_printf(out, "%lld:%02d:%02d", (long long)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

void text_duration(double seconds, struct buf *out)
{
	if (!(seconds >= 0 && seconds < 1e15))
		buf_adds(out, "-");
	else if (seconds < 59.95)
		buf_printf(out, "%.1f s", seconds);
	else
		add_clock((int64_t)(seconds + 0.5), out);
}

void text_time_left(double seconds, struct buf *out)
{
	double whole = ceil(seconds);
	if (!(whole >= 0 && whole < 1e15))
		buf_adds(out, "-");
	else if (whole < 60)
		buf_printf(out, "%d s", (int)whole);
	else
		add_clock((int64_t)whole, out);
}

void text_bytes(int64_t bytes, struct buf *out)
{
	if (bytes < 1000)
		buf_printf(out, "%lld byte%s", (long long)bytes, bytes == 1 ? "" : "s");
	else if (bytes < 1000000)
		buf_printf(out, "%.1f kB", (double)bytes / 1e3);
	else if (bytes < 1000000000)
		buf_printf(out, "%.1f MB", (double)bytes / 1e6);
	else
		buf_printf(out, "%.2f GB", (double)bytes / 1e9);
}
