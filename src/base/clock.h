/* clock.h - how much time has passed, by the clock that nobody sets (CLOCK_MONOTONIC): a date changed in the middle of a
 * sweep moves no deadline and no duration. Dates are SQLite's business (src/store), and nothing else needs one.
 *
 *     int64_t end = clock_ms() + timeout_ms;
 *     double started = clock_seconds();
 */
#ifndef SWEEP_BASE_CLOCK_H
#define SWEEP_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);
double clock_seconds(void);

#endif
