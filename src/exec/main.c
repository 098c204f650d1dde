/* main.c - sweep-exec JOBFILE: one attempt at one command, then exit (docs/ARCHITECTURE.md, invariant 1). Events go to
 * standard output, the program's fate and the end of its output to standard error. Exit status: 0 done, 2 bad input (never
 * retried), 1 anything else; when it was stopped, it ends by the signal that stopped it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/event.h"
#include "base/worker.h"
#include "supervise.h"

/* Ends as whoever stopped us expects; the scheduler knows that nothing failed. */
static void end_by(int signal_number)
{
	sigset_t none;
	sigemptyset(&none);
	signal(signal_number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(signal_number);
}

static int run(const char *path, struct err *err)
{
	struct command command;
	const char *attempt = getenv("SWEEP_ATTEMPT"); /* the scheduler's count; it is no part of the work */
	int stopped = 0;
	if (command_read(&command, path, err) < 0)
		return -1;
	event_send(&(struct event){.kind = EVENT_START});
	int result = supervise(&command, attempt ? strtoll(attempt, NULL, 10) : 1, &stopped, err);
	command_release(&command);
	if (stopped && result < 0) {
		fprintf(stderr, "sweep-exec: %s\n", err->text);
		end_by(stopped);
	}
	return result;
}

int main(int argc, char **argv)
{
	static const struct worker_kind worker = {"sweep-exec", "Runs one command of a sweep", RUSAGE_CHILDREN, run};
	return worker_main(argc, argv, &worker);
}
