/* cmd_rm.c - `sweep rm SWEEP`: a sweep's rows, and the artifacts that no other sweep uses. First the rows, in one
 * transaction, then the folders: killed in between, `sweep gc` (or the next `sweep rm`) ends it. */
#include <stdio.h>

#include "base/fs.h"
#include "cli.h"
#include "report/report.h"
#include "term/term.h"
#include "term/text.h"
#include "tidy.h"

static int find(struct store *store, const char *name, const char *db, int64_t *id, struct err *err)
{
	struct store_sweeps sweeps;
	const struct store_sweep *found;
	if (store_query_sweeps(store, &sweeps, err) < 0)
		return -1;
	int result = report_sweep(&sweeps, name, db, &found, err);
	if (result == 0)
		*id = found->id;
	store_sweeps_release(&sweeps);
	return result;
}

static void plural(const char *before, int64_t n, const char *what, struct buf *out)
{
	buf_printf(out, "%s%lld %s%s", before, (long long)n, what, n == 1 ? "" : "s");
}

static void say(const char *name, const struct store_removed *removed, const struct tidy *tidy)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s %s: ", tidy->dry ? "would remove" : "removed", name);
	plural("", removed->runs, "run", &text);
	plural(", ", removed->jobs, "job", &text);
	plural(" with ", removed->attempts, "attempt", &text);
	plural(", ", removed->artifacts, "artifact", &text);
	buf_adds(&text, " (");
	text_bytes(tidy->artifacts.bytes + tidy->unusable.bytes + tidy->scratch.bytes, &text);
	buf_addc(&text, ')');
	if (removed->shared)
		plural("; kept: ", removed->shared, "artifact", &text);
	if (removed->shared)
		buf_adds(&text, " that other sweeps use");
	term_say(stdout, "%s", text.data);
	buf_release(&text);
}

int cmd_rm(int argc, char **argv, struct err *err)
{
	const char *db = "results.db";
	bool dry = false, helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "dry-run", .type = CLI_FLAG, .flag = &dry, .help = "say what would go, and remove nothing"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n != 1)
		return err_set(err, ERR_USAGE,
			       "rm takes the name of one sweep, as `sweep status` has it: sweep rm SWEEP");
	if (!fs_exists(db)) /* a writer would make it */
		return err_set(err, ERR_INPUT, "there is no %s; --db names another", db);
	struct tidy tidy = {.dry = dry};
	struct store_removed removed;
	int64_t id = 0;
	if (store_open(&tidy.store, db, STORE_WRITE, err) < 0)
		return -1;
	int result = find(tidy.store, argv[1], db, &id, err);
	if (result == 0)
		result = store_remove(tidy.store, id, dry, &removed, tidy_add, &tidy, err);
	if (result == 0)
		result = tidy_garbage(&tidy, err);
	if (result == 0)
		say(argv[1], &removed, &tidy);
	tidy_release(&tidy);
	store_close(tidy.store);
	return result;
}
