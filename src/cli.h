/* cli.h - what every command shares: its entry in the table, its options, and how it speaks to people.
 *
 *     int cmd_params(int argc, char **argv, struct err *err);     argv[0] is the command's name
 *
 * A command returns its exit status (0, 1, 2, 130), or -1 with err filled: main then prints "sweep: <sentence>" to
 * stderr and exits with 2 (1 for ERR_INTERNAL, our own mistake, and for ERR_MOVED and ERR_CHANGED: try again). Results go
 * to stdout, everything else to stderr. */
#ifndef SWEEP_CLI_H
#define SWEEP_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef int cli_function(int argc, char **argv, struct err *err);

struct cli_command {
	const char *name;
	cli_function *run;
	const char *usage; /* "run FILE [--db results.db] ..." */
	const char *help;  /* one line */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_n_commands;

/* Options of a command: --name VALUE, --name=VALUE or a flag; everything else is positional. */
enum cli_option_type { CLI_FLAG, CLI_TEXT, CLI_INT, CLI_LIST };
struct cli_option {
	const char *name; /* without the dashes; a one-letter name is also accepted as -x */
	enum cli_option_type type;
	bool *flag;
	const char **text;
	int64_t *number, min, max;
	const char ***list; /* CLI_LIST: grows; the caller frees *list */
	size_t *n_list;
	const char *help; /* a few words for `sweep COMMAND --help`; never NULL */
};

/* Fills the options and moves positionals to the front of argv (from argv[1]); returns their number or -1 with a
 * sentence that names the nearest option. After `--` everything is positional; a lone `-` always is. `--help` prints
 * the command's usage, help and options to stdout and sets *helped: the command then returns 0 at once. */
int cli_parse(int argc, char **argv, const struct cli_option *options, size_t n, bool *helped, struct err *err);

/* The command of that name, or NULL. */
const struct cli_command *cli_find(const char *name);
/* All commands, a line each. */
void cli_print_help(FILE *out);

cli_function cmd_run, cmd_report, cmd_show, cmd_compare, cmd_status, cmd_check, cmd_fetch, cmd_score, cmd_generate,
	cmd_params, cmd_rm, cmd_gc, cmd_note;

#endif
