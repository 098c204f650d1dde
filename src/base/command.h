/* command.h - the job file of a command: everything that sweep-exec needs to run one program, and nothing else. The plan
 * makes it with all templates filled in; `sweep-exec JOBFILE` reads it (job.h is the same for built-in stages).
 *
 *     struct command command;
 *     if (command_read(&command, path, err) < 0) return -1;
 *     ...
 *     command_release(&command);
 *
 * Three folders. `dir` is the artifact's place, "<key>". While the program runs its ${dir} is `part`, "<key>.part": it
 * becomes `dir` by a rename when the program has succeeded, and stays for the next attempt when it has not. What sweep-exec
 * itself writes meanwhile (log, values) is in `scratch`, "<key>.attempt", out of the program's way; it goes along as
 * `dir`/.sweep/. */
#ifndef SWEEP_BASE_COMMAND_H
#define SWEEP_BASE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "hash.h"

struct command_pattern {
	char *name, *regex;
};

struct command {
	char key[HASH_HEX];
	char *stage;   /* its name in the sweep file: for sentences */
	char **argv;   /* NULL at the end */
	char **env;    /* NAME=VALUE texts beside what we set, NULL at the end */
	char *workdir; /* absolute */
	char *dir, *part, *scratch;
	char *config;     /* the parameters as a JSON object's text: SWEEP_CONFIG */
	char *run;        /* number or name of the run, when the stage belongs to one: SWEEP_RUN; else NULL */
	char *metric;     /* a value that must be reported, or NULL: without it the attempt has failed */
	int64_t seed;     /* SWEEP_SEED */
	int64_t time_ms;  /* the program may run so long; 0: for ever */
	int64_t grace_ms; /* between TERM and KILL */
	int64_t memory;   /* bytes of address space; 0: no limit */
	bool values_json; /* JSON lines of its output are values */
	struct command_pattern *patterns;
	size_t n_patterns;
};

int command_read(struct command *command, const char *path, struct err *err);
/* The file's text, as canonical JSON; same command, same bytes. */
void command_format(const struct command *command, struct buf *out);
void command_release(struct command *command);

#endif
