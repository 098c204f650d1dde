/* main.c - sweep-runner JOBFILE: one job, then exit (docs/ARCHITECTURE.md, invariant 1). Events go to standard output,
 * the log to standard error. Exit status: 0 done, 2 bad input (never retried), 1 anything else.
 *
 * OMP_NUM_THREADS, set by the executor, is the number of threads; results do not depend on it. */
#include <omp.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/event.h"
#include "base/job.h"
#include "base/worker.h"
#include "check.h"
#include "decode.h"
#include "gemm.h"
#include "train.h"

static int run(const char *path, struct err *err)
{
	struct job job;
	if (job_read(&job, path, err) < 0)
		return -1;
	int threads = omp_get_max_threads();
	gemm_threads(threads);
	struct event start = {.kind = EVENT_START, .threads = threads};
	snprintf(start.text, sizeof start.text, "%s", gemm_arch());
	event_send(&start);
	int result = -1;
	if (input_check_all(job.inputs, job.n_inputs, err) < 0)
		goto out;
	switch (job.kind) {
	case JOB_CHECK:
		result = check_run(&job, err);
		if (input_check_all(job.inputs, job.n_inputs, err) < 0)
			result = -1; /* what was read may be neither the old file nor the new one */
		break;
	case JOB_TRAIN:
		result = train_run(&job, err);
		break;
	case JOB_DECODE:
		result = decode_run(&job, err);
		break;
	case JOB_COMMAND: /* sweep-exec's, and no job file of ours says so (job.c) */
		result = err_set(err, ERR_INTERNAL, "commands are run by sweep-exec");
		break;
	}
out:
	job_release(&job);
	return result;
}

int main(int argc, char **argv)
{
	static const struct worker_kind worker = {"sweep-runner", "Runs one job of a sweep", RUSAGE_SELF, run};
	return worker_main(argc, argv, &worker);
}
