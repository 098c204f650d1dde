/* paths.h - where the program's own parts are: the runner and the bundled model and data, found relative to the
 * executable, in the build tree and installed.
 *
 *     char *runner = paths_runner(err);         $SWEEP_RUNNER, else beside `sweep`, else ../libexec/sweep/
 *     char *demo = paths_bundled("runner/demo", err);
 */
#ifndef SWEEP_PATHS_H
#define SWEEP_PATHS_H

#include "err.h"

/* Absolute path of an executable sweep-runner; NULL and a sentence when there is none. The caller frees. */
char *paths_runner(struct err *err);
/* Absolute path of a bundled file or folder ("runner/demo", "sweeps/data/train.txt"): $SWEEP_HOME, else the source tree
 * above the build folder, else <prefix>/share/sweep. NULL and a sentence when it is missing. The caller frees. */
char *paths_bundled(const char *name, struct err *err);

#endif
