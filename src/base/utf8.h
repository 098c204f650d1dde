/* utf8.h - UTF-8 as the Unicode standard (table 3-7) and Python have it.
 *
 *     size_t at = utf8_valid_prefix(text, n);
 *     if (at < n) ... text[at] starts something that is no UTF-8
 *     uint32_t c;
 *     for (size_t i = 0; i < n; i += utf8_next(text + i, n - i, &c)) ...
 */
#ifndef SWEEP_BASE_UTF8_H
#define SWEEP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Bytes of the character at text[0] (n >= 1), its code point in *c; or, when it is none, the bytes of the maximal
 * invalid subpart (1 to 3) and UINT32_MAX. */
size_t utf8_next(const char *text, size_t n, uint32_t *c);
/* How many bytes at the start are whole valid characters: n when all are. */
size_t utf8_valid_prefix(const char *text, size_t n);
/* Appends text with U+FFFD for each maximal invalid subpart, as Python's decode("utf-8", "replace") does. */
void utf8_replace(const char *text, size_t n, struct buf *out);
/* Text of others made fit for one line of a terminal, a table or a message: U+FFFD stands for control characters (ESC and
 * U+0080 to U+009F move cursors), for invalid bytes, and for what turns the order of letters around (U+202A to U+202E,
 * U+2066 to U+2069) or ends a line unseen (U+2028, U+2029); U+23CE, a return symbol, for a line end; a space for a tab. */
void utf8_clean(const char *text, size_t n, struct buf *out);
/* The same, line ends kept. */
void utf8_clean_lines(const char *text, size_t n, struct buf *out);
/* utf8_clean into `to` of `room` bytes, cut at a whole character and ended with NUL; allocates nothing. text may not
 * overlap with it. */
void utf8_clean_into(char *to, size_t room, const char *text, size_t n);
/* What Python's str.split() and str.rstrip() take for white space: White_Space and U+001C to U+001F. */
bool utf8_is_space(uint32_t c);

#endif
