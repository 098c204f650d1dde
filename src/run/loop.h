/* loop.h - signals and poll, as a single-threaded program needs them: SIGINT, SIGTERM, SIGHUP and SIGCHLD are blocked
 * everywhere but inside ppoll, so that no code of ours is ever interrupted, and none is missed.
 *
 *     struct loop loop;
 *     loop_begin(&loop);
 *     struct loop_news news;
 *     loop_wait(fds, n, timeout_ms, &loop, &news, err);     news.interrupts, news.children, fds[i].revents
 *     loop_end(&loop);
 *
 * One at a time in a process: a signal handler knows no context, so the counters that it raises are globals of loop.c.
 * Linux and POSIX. */
#ifndef SWEEP_LOOP_H
#define SWEEP_LOOP_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define LOOP_SIGNALS 4

struct loop {
	sigset_t mask;                         /* as it was before: what ppoll and children use */
	struct sigaction before[LOOP_SIGNALS]; /* put back by loop_end */
};

struct loop_news {
	int interrupts; /* SIGINT, SIGTERM or SIGHUP since the last wait */
	bool children;  /* SIGCHLD came: somebody can be waited for */
};

void loop_begin(struct loop *loop);
void loop_end(struct loop *loop);
/* Waits until a descriptor is ready, a signal comes, or timeout_ms is over (-1: for ever). 0, or -1 with err. */
int loop_wait(struct pollfd *fds, size_t n, int timeout_ms, const struct loop *loop, struct loop_news *news,
	      struct err *err);
/* Async-signal-safe: gives a forked child the signal handling it would have had without us. */
void loop_child(const struct loop *loop);

#endif
