/* main.c - `sweep`: finds the command, runs it, and turns its error into one sentence and an exit status (cli.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "term/term.h"

#ifndef SWEEP_VERSION
#define SWEEP_VERSION "unknown"
#endif

static int complain(const struct err *err)
{
	fflush(stdout);
	term_say(stderr, "sweep: %s", err->text);
	return err->kind == ERR_INTERNAL || err->kind == ERR_MOVED || err->kind == ERR_CHANGED ? 1 : 2;
}

static int unknown_command(const char *word)
{
	const char *names[32], *near;
	struct err err;
	for (size_t i = 0; i < cli_n_commands; i++)
		names[i] = cli_commands[i].name;
	near = err_nearest(word, names, cli_n_commands);
	if (near)
		err_set(&err, ERR_USAGE, "unknown command `%.100s`; did you mean `%s`?", word, near);
	else
		err_set(&err, ERR_USAGE, "unknown command `%.100s`; `sweep --help` lists them", word);
	return complain(&err);
}

/* Descriptors 0, 1 and 2 must be taken: a database that came to be number 2 would get our messages. */
static void hold_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	hold_standard_descriptors();
	if (argc < 2) {
		cli_print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("sweep " SWEEP_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		const struct cli_command *of = argc > 2 ? cli_find(argv[2]) : NULL;
		char *ask[] = {of ? argv[2] : NULL, (char[]){"--help"}, NULL};
		if (of)
			return of->run(2, ask, &err);
		cli_print_help(stdout);
		return 0;
	}
	const struct cli_command *command = cli_find(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	int status = command->run(argc - 1, argv + 1, &err);
	if (status < 0)
		return complain(&err);
	/* Results that never arrived are no results. */
	if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE) {
		err_errno(&err, "cannot write to standard output");
		return complain(&err);
	}
	return status;
}
