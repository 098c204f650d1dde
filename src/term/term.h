/* term.h - the terminal that people look at: its colours, its size, and the way to it. Texts for it: text.h.
 *
 *     bool colour = term_colour(STDOUT_FILENO);
 *     buf_printf(&out, "%s%s%s\n", paint(colour, PAINT_BOLD), name, paint(colour, PAINT_PLAIN));
 *     return term_print(&out, err);
 *
 * Whatever a hostile file or name put into a text, term_print and term_say let through only lines, letters and the
 * styles below. */
#ifndef SWEEP_TERM_H
#define SWEEP_TERM_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

#define PAINT_PLAIN  "\033[0m"
#define PAINT_BOLD   "\033[1m"
#define PAINT_DIM    "\033[2m"
#define PAINT_RED    "\033[31m"
#define PAINT_GREEN  "\033[32m"
#define PAINT_YELLOW "\033[33m"
#define PAINT_CYAN   "\033[36m"
#define PAINT_BEST   "\033[1;32m"

/* Back to the start of a line that was drawn without an end, and the line empty. */
#define TERM_CLEAR_LINE "\r\033[K"

static inline const char *paint(bool colour, const char *code)
{
	return colour ? code : "";
}

/* A terminal on which a line can be drawn again: not one whose TERM is dumb or missing. */
bool term_live(int fd);
/* Colours are for live terminals, unless NO_COLOR is set. */
bool term_colour(int fd);
/* The locale's letters are UTF-8. */
bool term_utf8(void);
/* Columns of the terminal; where fd is none, what COLUMNS says, else 80. */
int term_columns(int fd);
/* Where sentences are wrapped: at the terminal's columns; nowhere (INT_MAX) where fd is none, so that grep finds them. */
int term_wrap_at(int fd);
/* Rows of the terminal; 24 where fd is none. */
int term_rows(int fd);

/* The end of a command: what it has to say goes to standard output, cleaned, and arrives. */
int term_print(const struct buf *out, struct err *err);
/* A sentence and a line end, cleaned: wrapped at words on a terminal, one line elsewhere. */
void term_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
