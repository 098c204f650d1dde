/* text.h - texts as a terminal shows them: how wide they are, cut, padded, wrapped and cleaned; durations.
 *
 *     text_cell(label, 12, TEXT_LEFT, &out);            padded to 12 columns, or cut to them
 *     text_wrap(sentence, 0, 2, term_columns(1), &out);
 *
 * Width is in columns: a Chinese character or an emoji takes two, an accent none (utf8proc has Unicode's tables). Texts
 * are UTF-8 or anything; the styles of term.h take no room. Nothing here knows where the text goes. */
#ifndef SWEEP_TERM_TEXT_H
#define SWEEP_TERM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

size_t text_width(const char *text);
/* Bytes of the longest start of text that takes at most `columns` columns; their width goes to *width (may be NULL). */
size_t text_fit(const char *text, size_t columns, size_t *width);

enum text_side { TEXT_LEFT, TEXT_RIGHT };
/* Exactly `width` columns: spaces where the text is shorter, "..." at the end where it is longer. */
void text_cell(const char *text, size_t width, enum text_side side, struct buf *out);

/* Words of text (at its spaces), the cursor standing in column `at`; lines of at most `columns`, further ones with
 * `indent` spaces in front. A word that is longer stays whole. No line end after the last. */
void text_wrap(const char *text, size_t at, size_t indent, size_t columns, struct buf *out);

/* utf8_clean that keeps line ends and the styles of term.h. */
void text_clean(const char *text, size_t n, struct buf *out);

/* "0.8 s", "42.0 s", "1:02", "2:05:00"; "-" when it is not known (NaN) or not possible. */
void text_duration(double seconds, struct buf *out);
/* The same of time that is left, in whole seconds, never too few: "3 s", "1:02". */
void text_time_left(double seconds, struct buf *out);

/* "812 bytes", "4.2 kB", "16.3 MB", "1.25 GB" */
void text_bytes(int64_t bytes, struct buf *out);

#endif
