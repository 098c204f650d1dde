/* paint.h - the styles of a terminal, each written once.
 *
 *     buf_printf(out, "%s%s%s", paint(colour, PAINT_BOLD), name, paint(colour, PAINT_PLAIN));
 */
#ifndef SWEEP_PAINT_H
#define SWEEP_PAINT_H

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

#endif
