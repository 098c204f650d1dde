/* clock.c - how much time has passed; see clock.h. */
#include "clock.h"

#include <time.h>

static struct timespec now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return t;
}

int64_t clock_ms(void)
{
	struct timespec t = now();
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

double clock_seconds(void)
{
	struct timespec t = now();
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
