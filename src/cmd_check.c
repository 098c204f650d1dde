/* cmd_check.c - `sweep check`: is a database whole, with all its artifacts? Reads every byte of them, which `sweep run`
 * does only for what changed since it last looked. One line for each thing that is wrong; exit status 1 when there is
 * one. --repair makes what is damaged pending again, so that the next `sweep run` of its sweep makes it. */
#include <stdio.h>

#include "base/fs.h"
#include "cli.h"
#include "store/store.h"

static void put_line(void *ctx, const char *sentence)
{
	(void)ctx;
	printf("%s\n", sentence);
}

static void say_end(const char *db, bool repair, const struct store_checked *checked)
{
	if (checked->damaged == 0)
		printf("%s is whole: %lld artifact%s, %lld files\n", db, (long long)checked->artifacts,
		       checked->artifacts == 1 ? "" : "s", (long long)checked->files);
	else if (!repair)
		printf("%lld damaged; `sweep check --repair` has the next `sweep run` make again what can be\n",
		       (long long)checked->damaged);
	else
		printf("%lld damaged, %lld of them wait to be made again: run the same `sweep run` as before\n",
		       (long long)checked->damaged, (long long)checked->repaired);
}

int cmd_check(int argc, char **argv, struct err *err)
{
	const char *db = "results.db";
	bool repair = false, helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "repair", .type = CLI_FLAG, .flag = &repair, .help = "have what is damaged made again"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n > 0)
		return err_set(err, ERR_USAGE, "check takes no argument: found `%s`; --db FILE names the database",
			       argv[1]);
	struct store *store;
	struct store_checked checked;
	if (repair && !fs_exists(db)) /* a writer would make it */
		return err_set(err, ERR_INPUT, "there is no %s; --db names another", db);
	if (store_open(&store, db, repair ? STORE_WRITE : STORE_READ, err) < 0)
		return -1;
	int result = store_check(store, repair, put_line, NULL, &checked, err);
	store_close(store);
	if (result < 0)
		return -1;
	say_end(db, repair, &checked);
	return checked.damaged ? 1 : 0;
}
