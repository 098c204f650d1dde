/* cmd_fetch.c - `sweep fetch NAME`: a model or a dataset into the shared cache; its folder on stdout.
 *
 *     dir=$(sweep fetch distilgpt2)        progress and notices go to stderr
 *
 * An interrupted fetch keeps what has come; the same command goes on from there. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hub/hub.h"
#include "hub/hub_bar.h"
#include "term/term.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static bool cancelled(void *ctx)
{
	(void)ctx;
	return interrupted != 0;
}

static int fetch(const char *name, bool dataset, const struct hub_options *options, char **dir, struct err *err)
{
	/* A second Ctrl-C ends the program at once: nothing is lost by that either. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old_int, old_term;
	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
	int result = dataset ? hub_fetch_dataset(name, options, dir, err) : hub_fetch_model(name, options, dir, err);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	return result;
}

int cmd_fetch(int argc, char **argv, struct err *err)
{
	const char *revision = NULL;
	bool dataset = false, helped = false;
	const struct cli_option options[] = {
		{.name = "revision",
		 .type = CLI_TEXT,
		 .text = &revision,
		 .help = "a branch, a tag or a commit of the model's repository; main"},
		{.name = "dataset",
		 .type = CLI_FLAG,
		 .flag = &dataset,
		 .help = "NAME is a dataset of the Hub, not a model"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0)
		return -1;
	if (helped)
		return 0;
	if (n != 1)
		return err_set(err, ERR_USAGE, "`sweep fetch` takes one name, for example distilgpt2 or e2e; it got %d",
			       n);
	const char *name = argv[1];
	if (strcmp(name, "demo") == 0)
		return err_set(err, ERR_INPUT, "`demo` comes with sweep: there is nothing to fetch");
	bool pinned = hub_is_dataset(name);
	if (pinned && revision)
		return err_set(err, ERR_USAGE,
			       "the dataset `%s` is pinned by the hashes of its files: it takes no --revision", name);
	struct hub_bar bar;
	hub_bar_init(&bar, stderr);
	struct hub_options how = {.revision = revision,
				  .progress = hub_bar_progress,
				  .notice = hub_bar_notice,
				  .cancelled = cancelled,
				  .ctx = &bar};
	char *dir;
	if (fetch(name, dataset || pinned, &how, &dir, err) < 0) {
		if (!interrupted && err->kind != ERR_SYSTEM && err->kind != ERR_ROOM)
			return -1;
		term_say(stderr, "sweep: %s", err->text);
		return interrupted ? 130 : 1; /* the network, the disk: not the user's mistake */
	}
	printf("%s\n", dir);
	free(dir);
	return 0;
}
