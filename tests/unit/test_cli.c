/* test_cli.c - options of commands: every way to write one, and every way to get it wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"

struct parsed {
	bool flag, x, helped;
	const char *text, *output;
	int64_t number;
	const char **list;
	size_t n_list;
	char *argv[16];
	int positional;
	struct err err;
};

/* Splits `line` at spaces (into *copy) and parses it. */
static int parse(struct parsed *p, const char *line, char copy[200])
{
	*p = (struct parsed){.text = "default", .number = 3};
	int argc = 0;
	strncpy(copy, line, 199);
	for (char *word = copy; *word; word += strcspn(word, " ")) {
		if (*word == ' ')
			*word++ = '\0';
		p->argv[argc++] = word;
	}
	const struct cli_option options[] = {
		{.name = "dry-run", .type = CLI_FLAG, .flag = &p->flag, .help = "look only"},
		{.name = "x", .type = CLI_FLAG, .flag = &p->x, .help = "h"},
		{.name = "db", .type = CLI_TEXT, .text = &p->text, .help = "h"},
		{.name = "o", .type = CLI_TEXT, .text = &p->output, .help = "h"},
		{.name = "jobs", .type = CLI_INT, .number = &p->number, .min = 1, .max = 64, .help = "h"},
		{.name = "set", .type = CLI_LIST, .list = &p->list, .n_list = &p->n_list, .help = "h"},
	};
	p->positional = cli_parse(argc, p->argv, options, sizeof options / sizeof *options, &p->helped, &p->err);
	return p->positional;
}

static void test_accepted(void **state)
{
	(void)state;
	struct parsed p;
	char copy[200] = "";
	assert_int_equal(parse(&p, "run", copy), 0);
	assert_string_equal(p.text, "default");
	assert_int_equal(p.number, 3);
	assert_int_equal(parse(&p, "run a.yaml --db x.db --jobs=4 --dry-run -x -o out b --set k=v --set=l=w", copy), 2);
	assert_string_equal(p.argv[0], "run");
	assert_string_equal(p.argv[1], "a.yaml");
	assert_string_equal(p.argv[2], "b");
	assert_string_equal(p.text, "x.db");
	assert_string_equal(p.output, "out");
	assert_int_equal(p.number, 4);
	assert_true(p.flag && p.x && !p.helped);
	assert_int_equal(p.n_list, 2);
	assert_string_equal(p.list[0], "k=v");
	assert_string_equal(p.list[1], "l=w");
	free(p.list);
	assert_int_equal(parse(&p, "score - -- --db", copy), 2); /* a lone dash, and everything behind -- */
	assert_string_equal(p.argv[1], "-");
	assert_string_equal(p.argv[2], "--db");
	assert_int_equal(parse(&p, "run --set -1", copy), 0); /* a value may start with a dash */
	assert_string_equal(p.list[0], "-1");
	free(p.list);
}

static void refused(const char *line, const char *needle)
{
	struct parsed p;
	char copy[200] = "";
	assert_int_equal(parse(&p, line, copy), -1);
	if (!strstr(p.err.text, needle))
		fail_msg("expected `%s`: %s", needle, p.err.text);
	assert_int_equal(p.err.kind, ERR_USAGE);
	free(p.list);
}

static void test_refused(void **state)
{
	(void)state;
	refused("run --job 4", "run: unknown option --job; did you mean --jobs?");
	refused("run --dryrun", "did you mean --dry-run?");
	refused("run --hlep", "did you mean --help?");
	refused("run --colour-of-the-sky", "`sweep run --help` lists them");
	refused("run -db x", "unknown option -db");
	refused("run --o x", "unknown option --o");
	refused("run --jobs 0", "run: --jobs: expected a whole number from 1 to 64, found `0`");
	refused("run --jobs=65", "found `65`");
	refused("run --jobs=", "found ``");
	refused("run --jobs 4x", "found `4x`");
	refused("run --jobs 99999999999999999999", "found `9");
	refused("run --jobs", "run: --jobs needs a value");
	refused("run --db=", "--db needs a value, found an empty one");
	refused("run --dry-run=yes", "--dry-run takes no value");
}

static void test_table(void **state)
{
	(void)state;
	static const char *const names[] = {"run", "report", "show",  "compare", "status",   "check", "note",
					    "rm",  "gc",     "fetch", "score",   "generate", "params"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct cli_command *command = cli_find(names[i]);
		assert_non_null(command);
		assert_int_equal(strncmp(command->usage, names[i], strlen(names[i])), 0);
		assert_non_null(command->run);
	}
	assert_null(cli_find("rum"));
	assert_int_equal(cli_n_commands, sizeof names / sizeof *names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
