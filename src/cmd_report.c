/* cmd_report.c - `sweep report`: which setting is best. Loads a report (report.h), has a format write it, and puts it
 * on stdout or into a file, whole or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli.h"
#include "report/report.h"
#include "term/term.h"

/* What the user did not say: the format by the file's ending, the number of runs by the format. */
static const struct report_format *choose_format(const char *format, const char *file, struct err *err)
{
	static const struct {
		const char *ending, *format;
	} endings[] = {
		{".csv", "csv"}, {".json", "json"}, {".md", "markdown"}, {".markdown", "markdown"}, {".html", "html"}};
	if (!format && file) {
		const char *dot = strrchr(file, '.');
		for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
			if (strcmp(dot, endings[i].ending) == 0)
				format = endings[i].format;
		if (!format && strcmp(file, "-") != 0) {
			err_set(err, ERR_USAGE,
				"-o %s: no format ends like that: .csv, .json, .md and .html do; else say --format "
				"table, csv, json, markdown or html",
				file);
			return NULL;
		}
	}
	return report_find(format ? format : "table", err);
}

static int write_out(const struct buf *out, const char *file, struct err *err)
{
	if (file && strcmp(file, "-") != 0)
		return fs_write_file(file, out->data, out->size, err);
	return term_print(out, err);
}

int cmd_report(int argc, char **argv, struct err *err)
{
	const char *sweep = NULL, *metric = NULL, *format_name = NULL, *file = NULL, *db = "results.db";
	bool best = false, helped = false;
	int64_t top = -1;
	const struct cli_option options[] = {
		{.name = "best",
		 .type = CLI_FLAG,
		 .flag = &best,
		 .help = "the winner, and all that is needed to use it"},
		{.name = "sweep", .type = CLI_TEXT, .text = &sweep, .help = "of this sweep; else the one started last"},
		{.name = "top",
		 .type = CLI_INT,
		 .number = &top,
		 .min = 0,
		 .max = INT32_MAX,
		 .help = "the best N runs; 0 is all"},
		{.name = "metric",
		 .type = CLI_TEXT,
		 .text = &metric,
		 .help = "order by this one, such as dev_sentence_bleu"},
		{.name = "format",
		 .type = CLI_TEXT,
		 .text = &format_name,
		 .help = "table, csv, json, markdown or html"},
		{.name = "o",
		 .type = CLI_TEXT,
		 .text = &file,
		 .help = "write to this file; its ending chooses the format"},
		{.name = "db", .type = CLI_TEXT, .text = &db, .help = "the database; results.db"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n < 0 ? -1 : 0;
	if (n > 0)
		return err_set(err, ERR_USAGE,
			       "report takes no file: found `%s`; options are shown by `sweep report --help`", argv[1]);
	const struct report_format *format = choose_format(format_name, file, err);
	if (!format)
		return -1;
	struct store *store;
	if (store_open(&store, db, STORE_READ, err) < 0)
		return -1;
	bool screen = !file || strcmp(file, "-") == 0;
	struct report report = {
		.db = db, .colour = screen && term_colour(STDOUT_FILENO), .width = term_columns(STDOUT_FILENO)};
	struct report_options wanted = {
		.sweep = sweep,
		.metric = metric,
		.top = top < 0 ? format->top : (size_t)top,
		.best = best,
		.all_columns = format->all_columns,
		.all_runs = format->all_runs && !best,
	};
	int result = report_load(&report, store, &wanted, err);
	if (result == 0) {
		struct buf out = BUF_INIT;
		format->write(&report, &out);
		result = write_out(&out, file, err);
		buf_release(&out);
		report_release(&report);
	}
	store_close(store);
	return result;
}
