/* cmd_gc.c - `sweep gc`: what nothing refers to goes. Artifacts that no run shows, what was set aside, what was half made,
 * job files, and logs of jobs that are over and of which nothing is left. A whole artifact that the database does not know
 * stays, since the next sweep that needs it takes it over: --all removes it, too. */
#include <stdio.h>

#include "base/fs.h"
#include "cli.h"
#include "term/term.h"
#include "term/text.h"
#include "tidy.h"

static void line(const struct tidy_count *count, const char *one, const char *many, struct buf *out)
{
	if (!count->n)
		return;
	buf_printf(out, "  %6lld %s, ", (long long)count->n, count->n == 1 ? one : many);
	text_bytes(count->bytes, out);
	buf_addc(out, '\n');
}

static int say(const struct tidy *t, const char *db, struct err *err)
{
	struct buf out = BUF_INIT;
	int64_t n = t->artifacts.n + t->unusable.n + t->scratch.n + t->files.n;
	int64_t bytes = t->artifacts.bytes + t->unusable.bytes + t->scratch.bytes + t->files.bytes;
	if (n == 0) {
		buf_printf(&out, "nothing to remove: all that lies beside %s is used\n", db);
	} else {
		buf_adds(&out, t->dry ? "would remove " : "removed ");
		text_bytes(bytes, &out);
		buf_addc(&out, '\n');
	}
	line(&t->artifacts, "artifact that no run uses", "artifacts that no run uses", &out);
	line(&t->unusable, "damaged folder", "damaged folders", &out);
	line(&t->scratch, "folder half made, or replaced", "folders half made, or replaced", &out);
	line(&t->files, "job file or log", "job files and logs", &out);
	if (t->kept.n) {
		buf_printf(&out, "kept: %lld whole artifact%s that the database does not know, ", (long long)t->kept.n,
			   t->kept.n == 1 ? "" : "s");
		text_bytes(t->kept.bytes, &out);
		buf_printf(&out, "; a sweep that needs %s takes %s over (--all removes %s)\n",
			   t->kept.n == 1 ? "it" : "them", t->kept.n == 1 ? "it" : "them",
			   t->kept.n == 1 ? "it" : "them");
	}
	int result = term_print(&out, err);
	buf_release(&out);
	return result;
}

int cmd_gc(int argc, char **argv, struct err *err)
{
	const char *db = "results.db";
	struct tidy tidy = {0};
	bool helped = false;
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
		{.name = "dry-run",
		 .type = CLI_FLAG,
		 .flag = &tidy.dry,
		 .help = "say what would go, and remove nothing"},
		{.name = "all",
		 .type = CLI_FLAG,
		 .flag = &tidy.all,
		 .help = "whole artifacts that the database does not know, too"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n > 0)
		return err_set(err, ERR_USAGE, "gc takes no argument: found `%s`; --db FILE names the database",
			       argv[1]);
	if (!fs_exists(db)) /* a writer would make it */
		return err_set(err, ERR_INPUT, "there is no %s; --db names another", db);
	struct store_removed removed;
	if (store_open(&tidy.store, db, STORE_WRITE, err) < 0)
		return -1;
	int result = store_remove(tidy.store, 0, tidy.dry, &removed, tidy_add, &tidy, err);
	if (result == 0)
		result = tidy_garbage(&tidy, err);
	if (result == 0)
		result = tidy_folder(&tidy, err);
	if (result == 0)
		result = say(&tidy, db, err);
	tidy_release(&tidy);
	store_close(tidy.store);
	return result;
}
