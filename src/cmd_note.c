/* cmd_note.c - `sweep note RUN TEXT`: what somebody wants to remember of a run, in the database, where `sweep show` and the
 * exact formats of `sweep report` have it. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/utf8.h"
#include "cli.h"
#include "report/report.h"

#define NOTE_MAX 4000

int cmd_note(int argc, char **argv, struct err *err)
{
	const char *db = "results.db";
	bool helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	int64_t id;
	if (n != 2)
		return err_set(err, ERR_USAGE,
			       "note takes a run's number and one text, in quotes: sweep note RUN TEXT (an empty one "
			       "takes the note away)");
	if (report_run_id(argv[1], &id, err) < 0)
		return -1;
	size_t size = strlen(argv[2]);
	if (size > NOTE_MAX)
		return err_set(err, ERR_USAGE, "note: at most %d bytes, found %zu", NOTE_MAX, size);
	if (utf8_valid_prefix(argv[2], size) != size)
		return err_set(err, ERR_USAGE, "note: the text is not UTF-8");
	if (!fs_exists(db)) /* a writer would make it */
		return err_set(err, ERR_INPUT, "there is no %s; --db names another", db);
	struct store *store;
	if (store_open(&store, db, STORE_WRITE, err) < 0)
		return -1;
	int result = store_note(store, id, size ? argv[2] : NULL, err);
	store_close(store);
	return result;
}
