/* main.c - sweep-exec JOBFILE: one attempt at one command, then exit (docs/ARCHITECTURE.md, invariant 1). Events go to
 * standard output, the program's fate and the end of its output to standard error. Exit status: 0 done, 2 bad input (never
 * retried), 1 anything else; when it was stopped, it ends by the signal that stopped it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "supervise.h"

static int run(const char *path, int *stopped, struct err *err)
{
	struct command command;
	const char *attempt = getenv("SWEEP_ATTEMPT"); /* the scheduler's count; it is no part of the work */
	if (command_read(&command, path, err) < 0)
		return -1;
	event_send(&(struct event){.kind = EVENT_START});
	int result = supervise(&command, attempt ? strtoll(attempt, NULL, 10) : 1, stopped, err);
	command_release(&command);
	return result;
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc == 2 ? stdout : stderr, "usage: sweep-exec JOBFILE\n\nRuns one command of a sweep; `sweep "
						     "run` starts it. Events as JSON lines on "
						     "standard output.\n");
		return argc == 2 ? 0 : 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error like a full disk */
	double started = clock_seconds();
	int stopped = 0;
	struct err err = {0};
	if (run(argv[1], &stopped, &err) < 0) {
		struct event e = {.kind = EVENT_ERROR, .error_kind = err.kind};
		snprintf(e.text, sizeof e.text, "%s", err.text);
		if (!stopped)
			event_send(&e);
		fprintf(stderr, "sweep-exec: %s\n", err.text);
		if (stopped) {
			sigset_t none;
			sigemptyset(&none);
			signal(stopped, SIG_DFL);
			sigprocmask(SIG_SETMASK, &none, NULL);
			raise(stopped);
		}
		return err.kind == ERR_INPUT || err.kind == ERR_USAGE ? 2 : 1;
	}
	struct rusage usage;
	getrusage(RUSAGE_CHILDREN, &usage);
	event_send(&(struct event){
		.kind = EVENT_DONE, .seconds = clock_seconds() - started, .peak_rss_kb = usage.ru_maxrss});
	return 0;
}
