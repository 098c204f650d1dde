/* cli.c - the table of commands, the parser of their options, and what they share in speaking to a terminal; see cli.h.
 *
 * Every command is one row here and one file cmd_NAME.c. The parser is our own and small, because getopt_long knows
 * nothing of ranges, lists and nearest names, and prints by itself. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/paths.h"
#include "term/term.h"
#include "term/text.h"

const struct cli_command cli_commands[] = {
	{"run", cmd_run, "run FILE [OPTIONS]", "work a sweep file off: train, decode, score, keep"},
	{"report", cmd_report, "report [OPTIONS]", "which setting is best: a table, CSV, JSON, Markdown or HTML"},
	{"show", cmd_show, "show RUN [OPTIONS]", "one run: parameters, scores, timings, attempts, sample outputs"},
	{"compare", cmd_compare, "compare RUN RUN [OPTIONS]",
	 "is one run better: paired bootstrap, outputs side by side"},
	{"status", cmd_status, "status [OPTIONS]", "what runs now, what waits, what failed and why"},
	{"check", cmd_check, "check [OPTIONS]", "is the database whole, with every artifact; --repair"},
	{"note", cmd_note, "note RUN TEXT [OPTIONS]", "write down what you want to remember of a run"},
	{"rm", cmd_rm, "rm SWEEP [OPTIONS]", "a sweep and its artifacts go, as far as no other uses them"},
	{"gc", cmd_gc, "gc [OPTIONS]", "what nothing refers to goes: artifacts, remains, old logs"},
	{"fetch", cmd_fetch, "fetch NAME [OPTIONS]",
	 "a model or dataset from the Hub into the standard Hugging Face cache"},
	{"score", cmd_score, "score REFERENCES... HYPOTHESES [OPTIONS]",
	 "BLEU of any file, the same numbers as sacrebleu"},
	{"generate", cmd_generate, "generate RUN [FILE] [OPTIONS]", "decode new inputs with a run's adapter"},
	{"params", cmd_params, "params [OPTIONS]", "every hyperparameter: values, default, stage"},
};
const size_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; i < cli_n_commands; i++)
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	return NULL;
}

/* A paragraph, wrapped at the terminal's width, and at 80 columns elsewhere. */
static void say_wrapped(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say_wrapped(FILE *out, const char *format, ...)
{
	struct buf text = BUF_INIT, lines = BUF_INIT;
	va_list ap;
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	text_wrap(text.data, 0, 0, (size_t)term_columns(fileno(out)), &lines);
	fprintf(out, "%s\n", buf_text(&lines));
	buf_release(&text);
	buf_release(&lines);
}

/* A sweep file that is there: in a clone by its short name, after an install where it was put. The caller frees. */
static char *first_sweep(void)
{
	static const char name[] = "sweeps/beam_grid.yaml";
	struct err none = {0};
	char *path = fs_exists(name) ? mem_strdup(name) : paths_bundled(name, &none);
	return path ? path : mem_strdup("FILE");
}

void cli_print_help(FILE *out)
{
	fputs("sweep - a YAML grid of hyperparameters, worked off and compared\n\n"
	      "Usage: sweep COMMAND [ARGUMENTS]\n\n",
	      out);
	for (size_t i = 0; i < cli_n_commands; i++)
		fprintf(out, "  %-9s %s\n", cli_commands[i].name, cli_commands[i].help);
	char *first = first_sweep();
	fputc('\n', out);
	say_wrapped(out, "`sweep COMMAND --help` says more. First steps: `sweep run %s`, then `sweep report`.", first);
	say_wrapped(out, "Exit status: 0 all runs have scores, 1 some run failed, 2 bad usage or bad input, 130 "
			 "interrupted (the same command goes on).");
	free(first);
}

/* "-j", "--jobs": how an option is written. */
static void option_name(const struct cli_option *option, char room[64])
{
	snprintf(room, 64, "%s%s", option->name[1] ? "--" : "-", option->name);
}

#define HELP_AT 21 /* the column of the options' help */

static void print_command_help(const char *name, const struct cli_option *options, size_t n)
{
	static const char *const values[] = {"", " TEXT", " N", " TEXT"};
	const struct cli_command *command = cli_find(name);
	if (command)
		printf("Usage: sweep %s\n\n%s\n", command->usage, command->help);
	if (n)
		printf("\nOptions:\n");
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		char dashed[64], whole[96];
		option_name(&options[i], dashed);
		snprintf(whole, sizeof whole, "%s%s", dashed, values[options[i].type]);
		buf_clear(&text);
		buf_printf(&text, "  %-18s ", whole);
		size_t at = text.size;
		char *help =
			mem_printf("%s%s", options[i].help, options[i].type == CLI_LIST ? " (may be repeated)" : "");
		text_wrap(help, at, HELP_AT, (size_t)term_columns(STDOUT_FILENO), &text);
		puts(text.data);
		free(help);
	}
	buf_release(&text);
}

static int unknown_option(const char *command, const char *word, size_t length, const struct cli_option *options,
			  size_t n, struct err *err)
{
	const char **names = mem_array(n + 1, sizeof *names);
	char *name = mem_strndup(word, length);
	for (size_t i = 0; i < n; i++)
		names[i] = options[i].name;
	names[n] = "help";
	const char *near = err_nearest(name + strspn(name, "-"), names, n + 1);
	if (near)
		err_set(err, ERR_USAGE, "%s: unknown option %s; did you mean %s%s?", command, name,
			near[1] ? "--" : "-", near);
	else
		err_set(err, ERR_USAGE, "%s: unknown option %s; `sweep %s --help` lists them", command, name, command);
	free(names);
	free(name);
	return -1;
}

static int set_option(const char *command, const struct cli_option *option, const char *value, struct err *err)
{
	char dashed[64], *end;
	option_name(option, dashed);
	switch (option->type) {
	case CLI_FLAG:
		*option->flag = true;
		break;
	case CLI_TEXT:
		if (value[0] == '\0')
			return err_set(err, ERR_USAGE, "%s: %s needs a value, found an empty one", command, dashed);
		*option->text = value;
		break;
	case CLI_INT: {
		errno = 0;
		long long number = strtoll(value, &end, 10);
		if (end == value || *end || errno || value[0] == ' ' || number < option->min || number > option->max) {
			if (option->max == INT64_MAX)
				return err_set(err, ERR_USAGE,
					       "%s: %s: expected a whole number from %lld up, found `%s`", command,
					       dashed, (long long)option->min, value);
			return err_set(err, ERR_USAGE, "%s: %s: expected a whole number from %lld to %lld, found `%s`",
				       command, dashed, (long long)option->min, (long long)option->max, value);
		}
		*option->number = number;
		break;
	}
	case CLI_LIST:
		*option->list = mem_grow(*option->list, *option->n_list + 1, sizeof **option->list);
		(*option->list)[(*option->n_list)++] = value;
		break;
	}
	return 0;
}

int cli_parse(int argc, char **argv, const struct cli_option *options, size_t n, bool *helped, struct err *err)
{
	const char *command = argv[0];
	int positional = 0;
	bool only_positional = false;
	*helped = false;
	for (int i = 1; i < argc; i++) {
		char *word = argv[i];
		if (only_positional || word[0] != '-' || word[1] == '\0') {
			argv[++positional] = word;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			only_positional = true;
			continue;
		}
		size_t dashes = word[1] == '-' ? 2 : 1, length = strcspn(word, "=");
		const char *name = word + dashes;
		const struct cli_option *option = NULL;
		for (size_t j = 0; j < n && !option; j++)
			if (strlen(options[j].name) == length - dashes &&
			    memcmp(options[j].name, name, length - dashes) == 0 &&
			    (options[j].name[1] == '\0') == (dashes == 1))
				option = &options[j];
		if (!option && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
			print_command_help(command, options, n);
			*helped = true;
			return 0;
		}
		if (!option)
			return unknown_option(command, word, length, options, n, err);
		const char *value = word[length] == '=' ? word + length + 1 : NULL;
		if (option->type == CLI_FLAG && value)
			return err_set(err, ERR_USAGE, "%s: %.*s takes no value", command, (int)length, word);
		if (option->type != CLI_FLAG && !value) {
			if (i + 1 == argc)
				return err_set(err, ERR_USAGE, "%s: %s needs a value", command, word);
			value = argv[++i];
		}
		if (set_option(command, option, value, err) < 0)
			return -1;
	}
	return positional;
}
