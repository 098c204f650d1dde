/* term.h - the terminal that people look at: its styles, each written once, its colours and its width.
 *
 *     bool colour = term_colour(STDOUT_FILENO);
 *     buf_printf(out, "%s%s%s", paint(colour, PAINT_BOLD), name, paint(colour, PAINT_PLAIN));
 */
#ifndef SWEEP_TERM_H
#define SWEEP_TERM_H

#include <stdbool.h>

#define PAINT_PLAIN  "\033[0m"
#define PAINT_BOLD   "\033[1m"
#define PAINT_DIM    "\033[2m"
#define PAINT_RED    "\033[31m"
#define PAINT_GREEN  "\033[32m"
#define PAINT_YELLOW "\033[33m"
#define PAINT_CYAN   "\033[36m"
#define PAINT_BEST   "\033[1;32m"

static inline const char *paint(bool colour, const char *code)
{
	return colour ? code : "";
}

/* Colours are for terminals, unless NO_COLOR is set or TERM is dumb. */
bool term_colour(int fd);
/* Columns of the terminal, 80 when fd is none. */
int term_columns(int fd);

#endif
