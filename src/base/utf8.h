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
/* What Python's str.split() and str.rstrip() take for white space: White_Space and U+001C to U+001F. */
bool utf8_is_space(uint32_t c);

#endif
