/* worker.c - around a job; see worker.h. */
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "event.h"

int worker_main(int argc, char **argv, const struct worker_kind *worker)
{
	if (argc != 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc == 2 ? stdout : stderr,
			"usage: %s JOBFILE\n\n%s; `sweep run` starts it. Events as JSON lines on standard output.\n",
			worker->name, worker->what);
		return argc == 2 ? 0 : 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error like a full disk */
	double started = clock_seconds();
	struct err err = {0};
	if (worker->run(argv[1], &err) < 0) {
		struct event e = {.kind = EVENT_ERROR, .error_kind = err.kind};
		snprintf(e.text, sizeof e.text, "%s", err.text);
		event_send(&e);
		fprintf(stderr, "%s: %s\n", worker->name, err.text);
		return err.kind == ERR_INPUT || err.kind == ERR_USAGE ? 2 : 1;
	}
	struct rusage usage;
	getrusage(worker->usage_of, &usage);
	struct event done = {.kind = EVENT_DONE, .seconds = clock_seconds() - started, .peak_rss_kb = usage.ru_maxrss};
	event_send(&done);
	return 0;
}
