/* input.h - files that results depend on, known by what they hold and recognized cheaply: the plan takes a file's digest
 * once and says in every job file how the file looked then (device, inode, size, times of the last change); a worker
 * compares the looks, and reads the file only when they differ.
 *
 *     plan:    struct input in = {.path = path};
 *              do input_look(path, in.seen, err), digest, input_look(path, again, err) until both looks are equal
 *     worker:  input_check_all(job.inputs, job.n_inputs, err)      before it reads them, when it has read them, and
 *                                                                  before it puts a result in place
 *
 * What this notices: a file written to, replaced by rename, removed, and one that appeared (of what a model's folder may
 * hold). A change within the same tick of the kernel's clock would look like none; so input_look waits until a later
 * change must look different. What it cannot notice: a file that is replaced and put back between two looks, links and
 * all, and stores through somebody's shared mapping that the kernel has not written back yet. */
#ifndef SWEEP_BASE_INPUT_H
#define SWEEP_BASE_INPUT_H

#include <stddef.h>

#include "err.h"
#include "hash.h"

#define INPUT_LOOK 88 /* five numbers in hex, and NUL */

struct input {
	char *path;
	char sha256[HASH_HEX]; /* empty: there was no such file */
	char seen[INPUT_LOOK]; /* how it looked when that was its digest; empty: not known, read it */
};

/* How the file looks now; empty when there is none. Waits for the clock where it must (milliseconds; on file systems
 * that count whole seconds, two). -1: it cannot be looked at. */
int input_look(const char *path, char look[INPUT_LOOK], struct err *err);
/* ERR_CHANGED with a sentence that names the file, if it does not hold what it held. A file that only looks different
 * (touched, copied) is fine, and its new look is remembered in *in. */
int input_check(struct input *in, struct err *err);
int input_check_all(struct input *inputs, size_t n, struct err *err);

#endif
